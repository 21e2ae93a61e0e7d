"""The word bridge on an invented pair of scripts: Greek capitals that leave inner vowels out, and Latin."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nlptransfer.crosslingual.spelling_model import SpellingModel
from nlptransfer.crosslingual.word_bigrams import BOUNDARY
from nlptransfer.crosslingual.word_bridge import WordBridge
from nlptransfer.errors import InputError

CONSONANTS = dict(zip("ktbmlrsdgn", "ΚΤΒΜΛΡΣΔΓΝ", strict=True))
FINAL_VOWELS = {"a": "Α", "i": "Ι", "u": "Υ"}
READ = {letter: consonant for consonant, letter in CONSONANTS.items()}
SIGNS = str.maketrans("٠١٢;", "012?")


def spell(word: str) -> str:
    """As the Greek side writes it: vowels at the end alone."""
    return "".join(CONSONANTS.get(letter, "") for letter in word) + FINAL_VOWELS.get(word[-1], "")


def rules(token: str) -> str:
    """Letter by letter, which can't know the vowels; signs become those of the target."""
    return "".join(READ.get(letter, letter) for letter in token.translate(SIGNS)).translate(
        {ord(letter): vowel for vowel, letter in FINAL_VOWELS.items()}
    )


def key(word: str) -> str:
    """The consonants."""
    return "".join(READ.get(letter, letter if letter in CONSONANTS else "") for letter in word)


def make_sentences() -> list[list[str]]:
    """Running text: "kitab" comes after "nili", "katib" after "guru"; many other words."""
    random = np.random.default_rng(0)
    words = sorted(
        {"".join(random.choice(list("ktbmlrsdgn")) + random.choice(list("aiu")) for _ in range(3)) for _ in range(120)}
    )
    sentences = [list(random.choice(words, 4)) for _ in range(150)]
    return [*sentences, *[["nili", "kitab", "badal"]] * 6, *[["guru", "katib", "malik"]] * 5]


SENTENCES = make_sentences()
COUNTS = Counter(spell(word) for sentence in SENTENCES for word in sentence)


def make_bridge(**settings: float) -> WordBridge:
    return WordBridge(rules=rules, key=key, **settings).fit(SENTENCES, COUNTS)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bridge() -> WordBridge:
    return make_bridge()


def test_rules_alone_fail_on_dropped_vowels_and_the_bridge_reads_them(bridge: WordBridge) -> None:
    listed = Counter(word for sentence in SENTENCES for word in sentence)
    # Of words that are spelled alike none can be told from the other without a sentence.
    alone = [word for word in listed if sum(spell(word) == spell(other) for other in listed) == 1]
    assert len(alone) > 60
    assert np.mean([rules(spell(word)) == word for word in alone]) == 0
    assert np.mean([bridge.word(spell(word)) == word for word in alone]) > 0.95


def test_context_decides_between_words_that_are_spelled_alike(bridge: WordBridge) -> None:
    assert spell("kitab") == spell("katib") == "ΚΤΒ"
    assert bridge.word("ΚΤΒ") == "kitab"
    assert bridge.sentence(["ΝΛΙ", "ΚΤΒ"]) == ["nili", "kitab"]
    assert bridge.sentence(["ΓΡΥ", "ΚΤΒ"]) == ["guru", "katib"]
    # What follows counts too.
    assert bridge.sentence(["ΚΤΒ", "ΜΛΚ"]) == ["katib", "malik"]
    # Control: without the weight of the context both are read alike.
    unaware = make_bridge(context_weight=0.0)
    assert unaware.sentence(["ΝΛΙ", "ΚΤΒ"])[1] == unaware.sentence(["ΓΡΥ", "ΚΤΒ"])[1]


def test_without_target_text_it_is_the_rules() -> None:
    empty = WordBridge(rules=rules, key=key).fit([], COUNTS)
    words = [*COUNTS, "ΞΨ", "12;", "word"]
    assert empty.words(words) == [rules(word) for word in words]
    assert empty.sentence(words) == [rules(word) for word in words]
    assert WordBridge(rules=rules, key=key).words(words) == [rules(word) for word in words]


def test_sentence_is_the_best_of_all_combinations(bridge: WordBridge) -> None:
    tokens = ["ΓΡΥ", "ΚΤΒ", ",", "ΚΤΒ", "ΜΛΚ"]
    words = [[word for word, _ in bridge.candidates(token)] or [BOUNDARY] for token in tokens]

    def score(chosen: tuple[str, ...]) -> float:
        fits = [bridge.channel.log_probability(t, w) for t, w in zip(tokens, chosen, strict=True) if w != BOUNDARY]
        return sum(fits) + sum(bridge.bigrams.log_next(*pair) for pair in itertools.pairwise(["", *chosen, ""]))

    best = max(itertools.product(*words), key=score)
    assert len(best) == 5
    assert bridge.sentence(tokens) == [word or token for word, token in zip(best, tokens, strict=True)]


def test_candidates_are_scored_by_channel_and_frequency(bridge: WordBridge) -> None:
    found = bridge.candidates("ΚΤΒ")
    assert {"kitab", "katib"} <= {word for word, _ in found}
    for word, score in found:
        expected = bridge.channel.log_probability("ΚΤΒ", word) + bridge.bigrams.log_probability(word)
        assert score == pytest.approx(expected)
    assert found == sorted(found, key=lambda item: -item[1])
    assert len(make_bridge(max_candidates=2).candidates("ΚΤΒ")) == 2


def test_word_on_no_list_gets_vowels(bridge: WordBridge) -> None:
    guess = bridge.word("ΜΣΚΡΝΑ")
    assert guess not in bridge.bigrams
    assert key(guess) == key("ΜΣΚΡΝΑ") and guess.endswith("a")
    spelling = SpellingModel({word for sentence in SENTENCES for word in sentence})
    assert spelling.log_probability(guess) > spelling.log_probability(rules("ΜΣΚΡΝΑ"))


def test_rules_the_other_way_are_an_index_of_their_own() -> None:
    def no_key(word: str) -> str:
        return ""

    blind = WordBridge(rules=rules, key=no_key).fit(SENTENCES, COUNTS)
    assert blind.word("ΚΤΒ") == "ktb"
    seeing = WordBridge(rules=rules, key=no_key, reverse_rules=spell).fit(SENTENCES, COUNTS)
    assert seeing.word("ΚΤΒ") == "kitab"


def test_numbers_and_signs_go_by_rules_and_other_scripts_stay(bridge: WordBridge) -> None:
    assert bridge.sentence(["٢٠١;", ";", "word", "слово", "ΝΛΙ"]) == ["201?", "?", "word", "слово", "nili"]
    assert bridge.words(["٢٠", "слово"]) == ["20", "слово"]
    assert bridge.candidates(";") == []


def test_empty_sentence_empty_word_and_letters_never_seen(bridge: WordBridge) -> None:
    assert bridge.sentence([]) == []
    assert bridge.words([]) == []
    assert bridge.word("") == ""
    assert bridge.sentence([""]) == [""]
    assert len(bridge.word("Κ")) >= 1
    assert "Ω" in bridge.word("ΩΚΩ")


def test_known_pairs_are_learned_from() -> None:
    pairs = [("ΞΚ", "xak"), ("ΞΛ", "xil"), ("ΞΜΑ", "xuma")] * 3
    sentences = [*SENTENCES, ["xurat"], ["zurat"]]
    given = WordBridge(rules=rules, key=lambda word: "").fit(sentences, COUNTS, pairs=pairs)
    fits = given.channel.log_probabilities([("ΞΡΤ", "xurat"), ("ΞΡΤ", "zurat")])
    assert fits[0] > fits[1] + 1


def test_saved_bridge_gives_the_same_words(bridge: WordBridge, tmp_path: Path) -> None:
    bridge.save(tmp_path / "bridge")
    again = WordBridge.load(tmp_path / "bridge", rules=rules, key=key)
    tokens = ["ΓΡΥ", "ΚΤΒ", ",", "ΜΣΚΡΝΑ", "слово", "٢"]
    assert again.sentence(tokens) == bridge.sentence(tokens)
    assert again.words(tokens) == bridge.words(tokens)
    assert again.candidates("ΚΤΒ") == bridge.candidates("ΚΤΒ")
    assert (again.context_weight, again.max_candidates) == (bridge.context_weight, bridge.max_candidates)


def test_folder_that_is_no_bridge_is_named(bridge: WordBridge, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        WordBridge.load(tmp_path / "absent", rules=rules, key=key)
    for damaged, text in (("bridge.json", "{}"), ("bridge.json", "not json"), ("bigrams.safetensors", "short")):
        bridge.save(tmp_path / "bridge")
        (tmp_path / "bridge" / damaged).write_text(text)
        with pytest.raises(InputError, match="not a saved word bridge, or it is damaged"):
            WordBridge.load(tmp_path / "bridge", rules=rules, key=key)


def test_no_candidates_is_refused() -> None:
    with pytest.raises(ValueError, match="max_candidates must be at least 1, found 0"):
        WordBridge(rules=rules, key=key, max_candidates=0)
