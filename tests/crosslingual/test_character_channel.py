"""The character channel on an invented pair of scripts: Greek capitals that leave inner vowels out, and Latin."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

from nlptransfer.crosslingual.character_channel import CharacterChannel, words_that_meet
from nlptransfer.crosslingual.spelling_model import WORD_END, WORD_START, SpellingModel

CONSONANTS = dict(zip("ktbmlrsdgn", "ΚΤΒΜΛΡΣΔΓΝ", strict=True))
FINAL_VOWELS = {"a": "Α", "i": "Ι", "u": "Υ"}
READ = {letter: consonant for consonant, letter in CONSONANTS.items()} | {"Θ": "t"}


def spell(word: str) -> str:
    """As the Greek side writes it: vowels at the end alone; two letters for t, Θ before u."""
    letters = [
        "Θ" if letter == "t" and word[place + 1 : place + 2] == "u" else CONSONANTS.get(letter, "")
        for place, letter in enumerate(word)
    ]
    return "".join(letters) + FINAL_VOWELS.get(word[-1], "")


def rules(word: str) -> str:
    """Letter by letter, which can't know the vowels."""
    return "".join(READ.get(letter, letter.lower() if letter in "ABC" else "") for letter in word)


def key(word: str) -> str:
    """The consonants."""
    return "".join(READ.get(letter, letter if letter in CONSONANTS else "") for letter in word)


def make_words(number: int, *, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    words: dict[str, None] = {}
    while len(words) < number:
        syllables = [
            random.choice(list(CONSONANTS)) + random.choice(list("aaiu")) for _ in range(random.integers(2, 4))
        ]
        words["".join(syllables) + random.choice(["", "", *CONSONANTS])] = None
    return list(words)


WORDS = make_words(300, seed=0)
PAIRS = [(spell(word), word) for word in WORDS]


@pytest.fixture(scope="module")
def channel() -> CharacterChannel:
    return CharacterChannel().fit(PAIRS)


def chance_from_counts(channel: CharacterChannel, context: str, chunk: str) -> float:
    """The formulas of the docstring, from the counts that are saved."""
    saved = channel.to_json()
    alpha, longest = saved["smoothing"], saved["longest_chunk"]
    floors = (0.25, 0.6, 0.1, 0.05)
    floor = floors[len(chunk)] / sum(floors[: longest + 1]) / saved["alphabet_size"] ** len(chunk)

    def smoothed(part: slice, lower: float) -> float:
        same = [chunks for found, chunks in saved["counts"].items() if found[part] == context[part]]
        count = sum(chunks.get(chunk, 0.0) for chunks in same)
        return (count + alpha * lower) / (sum(sum(chunks.values()) for chunks in same) + alpha)

    alone = smoothed(slice(1, 2), floor)
    return smoothed(slice(0, 3), (smoothed(slice(0, 2), alone) + smoothed(slice(1, 3), alone)) / 2)


def probability_by_all_segmentations(channel: CharacterChannel, source: str, target: str) -> float:
    padded = WORD_START + target + WORD_END
    total = 0.0
    for lengths in itertools.product(range(channel.longest_chunk + 1), repeat=len(target)):
        if sum(lengths) == len(source):
            ends = [0, *itertools.accumulate(lengths)]
            chunks = [source[start:end] for start, end in itertools.pairwise(ends)]
            total += math.prod(
                chance_from_counts(channel, padded[place : place + 3], chunk) for place, chunk in enumerate(chunks)
            )
    return total


@pytest.mark.parametrize("pair", [("ΚΤΒ", "kitab"), ("ΘΑ", "tuka"), ("Ω", "b"), ("", "ka"), ("ΚΩΤ", "xi")])
def test_log_probability_is_the_sum_over_all_segmentations(channel: CharacterChannel, pair: tuple[str, str]) -> None:
    expected = math.log(probability_by_all_segmentations(channel, *pair))
    assert channel.log_probability(*pair) == pytest.approx(expected)


def test_three_characters_to_a_chunk_are_summed_too() -> None:
    channel = CharacterChannel(longest_chunk=3).fit([("ΚΣΩ", "x"), ("ΚΣΩΤ", "xt"), ("Τ", "t")])
    for pair in (("ΚΣΩΤ", "xt"), ("ΤΚΣ", "tx")):
        assert channel.log_probability(*pair) == pytest.approx(
            math.log(probability_by_all_segmentations(channel, *pair))
        )


def test_chances_of_all_source_words_sum_to_one() -> None:
    channel = CharacterChannel().fit([("ΚΤ", "kat"), ("ΤΚ", "tak"), ("ΚΑ", "ka")])
    # Ω stands for all characters that were never seen.
    sources = ["".join(word) for length in range(5) for word in itertools.product("ΚΤΑΩ", repeat=length)]
    scores = channel.log_probabilities([(source, "ka") for source in sources])
    assert np.exp(scores).sum() == pytest.approx(1)


def test_scores_of_many_pairs_are_those_of_each() -> None:
    channel = CharacterChannel().fit(PAIRS[:50])
    some = [(source, target) for source, _ in PAIRS[:7] for _, target in PAIRS[40:50]]
    assert channel.log_probabilities(some).tolist() == pytest.approx([channel.log_probability(*pair) for pair in some])
    assert channel.log_probabilities([]).shape == (0,)


@pytest.mark.parametrize("longest_chunk", [1, 2, 3])
def test_likelihood_does_not_fall_from_round_to_round(longest_chunk: int) -> None:
    channel = CharacterChannel(longest_chunk=longest_chunk, smoothing=1e-7).fit(PAIRS[:80], smallest_gain=0)
    assert len(channel.log_likelihoods) > 5
    assert np.diff(channel.log_likelihoods).min() > -1e-6
    assert channel.log_likelihoods[-1] > channel.log_likelihoods[0] + 1


def test_likelihood_of_word_lists_does_not_fall_either() -> None:
    channel = CharacterChannel(smoothing=1e-7).fit_without_pairs(
        dict.fromkeys([spell(word) for word in WORDS], 1),
        dict.fromkeys(WORDS, 1),
        rules=rules,
        key=key,
        smallest_gain=0,
    )
    assert len(channel.log_likelihoods) > 5
    assert np.diff(channel.log_likelihoods).min() > -1e-6


def test_em_finds_the_letter_of_each_consonant_and_that_inner_vowels_are_dropped(channel: CharacterChannel) -> None:
    for consonant, letter in CONSONANTS.items():
        likeliest = max(
            CONSONANTS.values(), key=lambda other: channel.log_probability(f"Μ{other}Λ", f"ma{consonant}al")
        )
        assert likeliest == letter
    for vowel in "aiu":
        assert chance_from_counts(channel, f"k{vowel}t", "") > 0.9
        written = [chance_from_counts(channel, f"k{vowel}{end}", FINAL_VOWELS[vowel]) for end in ("t", WORD_END)]
        assert written[0] < 0.1 < 0.3 < written[1]


def test_neighbours_decide_between_two_letters_for_one_sound(channel: CharacterChannel) -> None:
    assert channel.log_probability("ΜΘΒ", "matub") > channel.log_probability("ΜΤΒ", "matub") + 1
    assert channel.log_probability("ΜΤΒ", "matab") > channel.log_probability("ΜΘΒ", "matab") + 1


def test_word_lists_alone_teach_the_letters() -> None:
    # Θ is no letter of the rules here, so that only words with other letters meet by key.
    def poor_key(word: str) -> str:
        return key(word.replace("Θ", "")) if word.isupper() else key(word.replace("tu", "u"))

    source = {spell(word): 1000 // (rank + 1) + 1 for rank, word in enumerate(WORDS)}
    target = {word: 1000 // (rank + 1) + 1 for rank, word in enumerate(WORDS)}
    target |= dict.fromkeys(make_words(200, seed=1), 1)
    channel = CharacterChannel().fit_without_pairs(source, target, rules=rules, key=poor_key)

    def share_right(model: CharacterChannel) -> float:
        some, listed = list(source)[:60], list(target)
        scores = model.log_probabilities([(word, other) for word in some for other in listed]).reshape(60, -1)
        return float(np.mean([spell(listed[best]) == word for word, best in zip(some, scores.argmax(1), strict=True)]))

    assert sum(rules(spell(word)) == word for word in WORDS) == 0
    assert share_right(CharacterChannel()) < 0.1
    assert share_right(channel) > 0.9
    assert channel.log_probability("ΜΘΒ", "matub") > channel.log_probability("ΜΤΒ", "matub")


def test_known_pairs_teach_what_no_key_meets() -> None:
    lists = ({"ΚΜ": 3, "ΜΚ": 2}, {"kam": 4, "mak": 1})
    without = CharacterChannel().fit_without_pairs(*lists, rules=rules, key=key)
    known = CharacterChannel().fit_without_pairs(*lists, rules=rules, key=key, known_pairs=[("Ξ", "x"), ("ΞΚ", "xak")])
    assert known.log_probability("ΞΜ", "xam") > without.log_probability("ΞΜ", "xam") + 1


def test_lists_that_never_meet_leave_the_channel_untrained() -> None:
    channel = CharacterChannel().fit_without_pairs({"ΚΤ": 1}, {"mal": 1}, rules=rules, key=key)
    assert not channel.is_trained
    assert channel.candidates("ΚΤ", spelling=SpellingModel(["mal"])) == []


def test_words_that_meet_share_a_key_or_are_what_the_rules_write() -> None:
    met = words_that_meet(
        {"ΚΤ": 2, "ΜΛ": 1, "ΡΡ": 3},
        {"kat": 1, "kut": 5, "ml": 1},
        rules=rules,
        key=lambda word: key(word)[:2],
        max_words=9,
    )
    assert met == {"ΚΤ": {"kut": False, "kat": False}, "ΜΛ": {"ml": True}}
    assert list(met["ΚΤ"]) == ["kut", "kat"]
    met = words_that_meet(
        {"ΚΤ": 2}, {"kat": 1, "mal": 2}, rules=rules, key=lambda word: "", reverse_rules=spell, max_words=9
    )
    assert met == {"ΚΤ": {"kat": True}}


def test_search_fills_in_vowels_of_words_on_no_list(channel: CharacterChannel) -> None:
    spelling = SpellingModel(WORDS)
    unseen = [word for word in make_words(330, seed=0)[300:] if word not in WORDS]
    found = [[word for word, _ in channel.candidates(spell(word), 10, spelling=spelling)] for word in unseen]
    right = np.mean(
        [any(spell(word) == spell(guess) for guess in guesses) for word, guesses in zip(unseen, found, strict=True)]
    )
    assert right > 0.95
    # Its vowels can't be known for sure, but are well among ten guesses for more than half the words.
    assert np.mean([word in guesses for word, guesses in zip(unseen, found, strict=True)]) > 0.5
    assert np.mean([rules(spell(word)) == word for word in unseen]) == 0


def test_search_ranks_by_channel_and_prior(channel: CharacterChannel) -> None:
    spelling = SpellingModel(WORDS)
    for weight in (0.5, 1.0):
        found = channel.candidates("ΚΤΒ", 4, spelling=spelling, spelling_weight=weight)
        expected = [channel.log_probability("ΚΤΒ", word) + weight * spelling.log_probability(word) for word, _ in found]
        assert [score for _, score in found] == pytest.approx(expected)
        assert expected == sorted(expected, reverse=True)


def test_search_takes_over_characters_that_were_never_seen(channel: CharacterChannel) -> None:
    assert any("Ω" in word for word, _ in channel.candidates("ΚΩΤ", spelling=SpellingModel(WORDS)))


def test_empty_short_and_long_words(channel: CharacterChannel) -> None:
    spelling = SpellingModel(WORDS)
    assert channel.candidates("", spelling=spelling) == []
    assert channel.log_probability("", "") == 0
    assert channel.log_probability("Κ", "") == -math.inf
    assert channel.log_probability("ΚΤΒ", "k") == -math.inf
    assert channel.log_probability("Κ", "k") > channel.log_probability("Μ", "k")
    assert math.isfinite(channel.log_probability("ΚΩ" * 500, "kx" * 500))
    assert channel.candidates("Κ", spelling=spelling)


def test_untrained_and_empty_training_score_by_the_floor() -> None:
    channel = CharacterChannel().fit([])
    assert not channel.is_trained
    assert channel.log_probability("ΚΤ", "kt") > channel.log_probability("ΚΤ", "kata")


def test_saved_counts_make_the_same_channel(channel: CharacterChannel) -> None:
    again = CharacterChannel.from_json(json.loads(json.dumps(channel.to_json())))
    assert again.log_probability("ΚΤΒ", "kitab") == channel.log_probability("ΚΤΒ", "kitab")
    spelling = SpellingModel(WORDS)
    assert again.candidates("ΜΘΒ", spelling=spelling) == channel.candidates("ΜΘΒ", spelling=spelling)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="longest_chunk must be 1 to 3, found 4"):
        CharacterChannel(longest_chunk=4)
    with pytest.raises(ValueError, match="smoothing must be above 0, found 0"):
        CharacterChannel(smoothing=0)
