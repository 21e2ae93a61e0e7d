"""Each number equals its definition; the related candidate is first, by spelling, by a bridge or by word order."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from datasets import Dataset

from nlptransfer.data.synthetic import make_tagged_languages
from nlptransfer.data.tables import tagged_dataset
from nlptransfer.errors import InputError
from nlptransfer.transferability.which_source import (
    RankedSource,
    format_sources,
    frequent_word_profile,
    rank_sources,
    script_shares,
    spelling_overlap,
    type_token_ratio,
)

TO_GREEK = str.maketrans("abdefgiklmnoprstuvz", "αβδεφγικλμνοπρστυχζ")
LANGUAGES = make_tagged_languages(300, seed=0)
OTHER = make_tagged_languages(300, seed=5)  # other words, of the same letters


def corpus(sentences: list[list[str]]) -> Dataset:
    return Dataset.from_dict({"tokens": sentences})


def to_greek(word: str) -> str:
    return word.translate(TO_GREEK)


def in_greek(sentences: list[list[str]]) -> list[list[str]]:
    return [[to_greek(word) for word in sentence] for sentence in sentences]


LATIN = [list(sentence) for sentence in LANGUAGES.source["tokens"]]
OTHER_LATIN = [list(sentence) for sentence in OTHER.source["tokens"]]
TARGET, RELATED = corpus(LATIN[:150]), corpus(LATIN[150:])


def names(ranked: list[RankedSource]) -> list[str]:
    return [source.name for source in ranked]


def test_the_candidate_that_shares_words_is_first_and_in_another_script_it_is_not() -> None:
    unrelated = corpus(OTHER_LATIN[150:])
    ranked = rank_sources(TARGET, {"unrelated": unrelated, "related": RELATED})
    assert names(ranked) == ["related", "unrelated"]
    assert ranked[0].values["words"] > 0.6 > 0.3 > ranked[1].values["words"]
    # The control: the same words in a script that the target does not have.
    hidden = rank_sources(TARGET, {"related": corpus(in_greek(LATIN[150:])), "unrelated": unrelated})
    assert names(hidden) == ["unrelated", "related"]
    assert hidden[1].values["words"] == hidden[1].values["script"] == 0


def test_a_bridge_finds_the_related_candidate_that_spelling_hides() -> None:
    candidates = {"unrelated": corpus(OTHER_LATIN[150:]), "related": corpus(in_greek(LATIN[150:]))}
    assert names(rank_sources(TARGET, candidates))[0] == "unrelated"
    ranked = rank_sources(TARGET, candidates, bridges={"related": to_greek})
    assert names(ranked)[0] == "related"
    assert ranked[0].as_written.words == 0
    assert ranked[0].values["words"] == spelling_overlap(LATIN[150:], LATIN[:150]).words
    assert any("after the bridge (0.000 as written)" in reason for reason in ranked[0].reasons)
    # A bridge that leads elsewhere helps nobody.
    useless = rank_sources(TARGET, candidates, bridges={"related": lambda word: word[::-1]})
    assert names(useless)[0] == "unrelated"


def test_a_bridge_is_applied_once_to_each_distinct_word() -> None:
    seen: Counter[str] = Counter()

    def bridge(word: str) -> str:
        seen[word] += 1
        return word

    spelling_overlap([["a", "b", "a"], ["a"]], [["c", "c", "1"]], bridge=bridge)
    assert seen == Counter("abc")


def test_where_no_spelling_is_shared_word_order_finds_the_related_candidate() -> None:
    """Function words before what they belong to, or after: prepositions, or postpositions."""

    def language(before: bool, letters: str, seed: int) -> list[list[str]]:
        rng = np.random.default_rng(seed)
        words = ["".join(rng.choice(list(letters), size=5)) for _ in range(300)]
        sentences = []
        for _ in range(200):
            phrases = [[letters[rng.integers(4)], words[rng.integers(300)]] for _ in range(5)]
            sentences.append([word for phrase in phrases for word in (phrase if before else phrase[::-1])])
        return sentences

    target = corpus(language(False, "абвгдежз", 0))
    candidates = {"before": corpus(language(True, "abcdefgh", 1)), "after": corpus(language(False, "αβγδεζηθ", 2))}
    ranked = rank_sources(target, candidates)
    assert names(ranked) == ["after", "before"]
    assert ranked[0].values["word order"] < 0.05 < 0.3 < ranked[1].values["word order"]
    assert [reason for reason in ranked[0].reasons if "word order, rank 1 of 2" in reason]
    assert [reason for reason in ranked[0].reasons if "script, the same for all" in reason]
    # The control: read backwards, it is the other one.
    backwards = corpus([list(sentence)[::-1] for sentence in target["tokens"]])
    assert names(rank_sources(backwards, candidates)) == ["before", "after"]


def test_spelling_overlap_follows_its_definitions() -> None:
    source = [["Ab", "abc", "1", "λό"], [], ["ab"]]
    target = [["ab", "ab", "bc", "?"], ["λό", "zz"]]
    found = spelling_overlap(source, target)
    assert found.words == 3 / 5  # ab, ab and λό of ab, ab, bc, λό and zz
    latin, greek = np.array([7 / 9, 2 / 9]), np.array([8 / 10, 2 / 10])
    assert found.script == pytest.approx(np.minimum(latin, greek).sum())

    def trigrams(words: list[str]) -> Counter[str]:
        marked = [f"<{word.lower()}>" for word in words]
        return Counter(word[start : start + 3] for word in marked for start in range(len(word) - 2))

    first, second = trigrams(["Ab", "abc", "λό", "ab"]), trigrams(["ab", "ab", "bc", "λό", "zz"])
    divergence = 0.0
    for trigram in {*first, *second}:
        p, q = first[trigram] / first.total(), second[trigram] / second.total()
        divergence += sum(share / 2 * math.log2(share / ((p + q) / 2)) for share in (p, q) if share)
    assert found.ngrams == pytest.approx(1 - divergence)


def test_scripts_are_counted_by_letters_and_vowel_signs() -> None:
    found = script_shares({"hai": 3, "है": 1, "2024!": 50})
    assert found == {"LATIN": 9 / 11, "DEVANAGARI": 2 / 11}
    assert list(script_shares({"ہے": 2, "a": 1})) == ["ARABIC", "LATIN"]
    assert script_shares({"...": 2}) == {}


def test_the_profile_is_the_share_of_frequent_words_at_each_edge() -> None:
    # 20 words twice in each of two sentences; the others once. Where two sentences differ the share is a half.
    common = [f"common{letter}" for letter in "abcdefghijklmnopqrst"]
    sentences = [
        ["Commona", "x", *common, *common, "y", "z", "!"],
        ["v", "commonb", *common, *common, "commonc", "w"],
        ["too", "short"],
    ]
    np.testing.assert_array_equal(frequent_word_profile(sentences), [0.5, 0.5, 1.0, 1.0, 0.5, 0.0])
    with pytest.raises(InputError, match="place of frequent words"):
        frequent_word_profile([["too", "short", "!", "!", "!", "!", "!"]])


def test_the_type_token_ratio_is_over_the_first_words() -> None:
    sentences = [["a", "b", "!"], [], ["A", "c", "d"]]
    assert type_token_ratio(sentences, 3) == 2 / 3
    assert type_token_ratio(sentences, 5) == 4 / 5
    with pytest.raises(InputError, match="too few words"):
        type_token_ratio(sentences, 6)


def test_ranks_are_mean_places_and_their_mean_decides() -> None:
    candidates = {"one": corpus(LATIN[:100]), "two": RELATED, "three": corpus(OTHER_LATIN)}
    ranked = rank_sources(TARGET, candidates, vector_distances={"one": 3.0, "two": 2.5, "three": 3.0})
    by_name = {source.name: source for source in ranked}
    assert {name: source.ranks["vector space"] for name, source in by_name.items()} == {
        "one": 2.5,
        "two": 1,
        "three": 2.5,
    }
    assert {source.values["script"] for source in ranked} == {1.0}
    assert {source.ranks["script"] for source in ranked} == {2.0}
    sizes = {name: source.values["size"] for name, source in by_name.items()}
    assert sizes["one"] == sum(word.isalpha() for sentence in LATIN[:100] for word in sentence)
    assert sizes["three"] > 1.8 * sizes["two"] > 1.8 * sizes["one"]
    assert by_name["three"].ranks["size"] == 1
    for source in ranked:
        assert set(source.ranks) == set(source.values)
        assert source.mean_rank == pytest.approx(sum(source.ranks.values()) / 7)
    assert [source.mean_rank for source in ranked] == sorted(source.mean_rank for source in ranked)


def test_hardly_different_values_share_a_rank() -> None:
    # 'zq' is a loan: 1 running word in some 300 of the target.
    target = corpus([*LATIN[:30], ["zq"]])
    greek, loan = in_greek(OTHER_LATIN), [["zq"] * 3, *in_greek(OTHER_LATIN)]
    ranked = rank_sources(target, {"greek": corpus(greek), "loan": corpus(loan)})
    values = {source.name: source.values["words"] for source in ranked}
    assert values["loan"] > values["greek"] == 0
    assert {source.ranks["words"] for source in ranked} == {1.5}


def test_equal_candidates_stay_in_the_order_given() -> None:
    assert names(rank_sources(TARGET, {"b": RELATED, "a": RELATED})) == ["b", "a"]


def test_labels_of_the_target_are_not_read() -> None:
    labelled = LANGUAGES.source.select(range(150))
    candidates = {"related": RELATED, "unrelated": corpus(OTHER_LATIN)}
    assert rank_sources(labelled, candidates) == rank_sources(labelled.remove_columns("tags"), candidates)
    assert "tags" not in rank_sources(labelled, candidates)[0].values


def test_tags_are_compared_where_shares_of_the_target_are_given() -> None:
    sentence = ["ab", "cd", "ef", "gh", "ij", "kl"]
    like = tagged_dataset([sentence], [["N", "N", "N", "V", "V", "D"]], where="like")
    unlike = tagged_dataset([sentence], [["X", "X", "X", "X", "N", "N"]], where="unlike")
    candidates = {"unlike": unlike, "like": like}
    ranked = rank_sources(corpus([sentence]), candidates, target_tag_shares={"N": 0.5, "V": 0.5})
    assert names(ranked) == ["like", "unlike"]
    p, q = np.array([0.5, 1 / 3, 1 / 6]), np.array([0.5, 0.5, 0.0])
    middle = (p + q) / 2
    expected = 0.5 * (p * np.log2(p / middle)).sum() + 0.5 * (q[:2] * np.log2(q[:2] / middle[:2])).sum()
    assert ranked[0].values["tags"] == pytest.approx(expected)
    with pytest.raises(InputError, match="no tags"):
        rank_sources(corpus([sentence]), {"like": corpus([sentence])}, target_tag_shares={"N": 1.0})


def test_a_table_and_the_reasons_are_shown() -> None:
    ranked = rank_sources(TARGET, {"related": RELATED, "unrelated": corpus(OTHER_LATIN)})
    text = format_sources(ranked)
    lines = text.splitlines()
    assert lines[0].split()[:2] == ["mean", "rank"]
    assert lines[1].startswith("related ")
    assert len(ranked[0].reasons) == 6
    assert all(f"- {reason}" in lines for source in ranked for reason in source.reasons)


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(InputError, match="no candidates"):
        rank_sources(TARGET, {})
    with pytest.raises(InputError, match="bridge for 'x', which is no candidate"):
        rank_sources(TARGET, {"a": RELATED}, bridges={"x": to_greek})
    with pytest.raises(InputError, match="vector distance of 'b' is missing"):
        rank_sources(TARGET, {"a": RELATED, "b": RELATED}, vector_distances={"a": 1.0})
    with pytest.raises(InputError, match="a: the corpus has no words"):
        rank_sources(TARGET, {"a": corpus([["1", "!"], []])})
    with pytest.raises(InputError, match="the target: the corpus has no tokens"):
        rank_sources(Dataset.from_dict({"text": ["a"]}), {"a": RELATED})
