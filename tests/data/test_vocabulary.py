"""Entries to ids, and words to their spelling."""

from __future__ import annotations

import numpy as np
import pytest

from nlptransfer.data.vocabulary import BOUNDARIES, PADDING, UNKNOWN, Vocabulary, count_entries, spell


def unspell(ids: np.ndarray, characters: Vocabulary) -> str:
    """Back to a word, with ? for what is unknown; the boundaries must stand where they belong."""
    filled = ids[: int((ids != PADDING).sum())]
    assert (ids[len(filled) :] == PADDING).all(), "padding inside a word"
    begin, end = characters.ids(BOUNDARIES)
    assert filled[0] == begin and filled[-1] == end
    return "".join("?" if number == UNKNOWN else characters.entries[number - 2] for number in filled[1:-1].tolist())


def test_ids_follow_the_order_of_the_entries_from_two_on() -> None:
    vocabulary = Vocabulary(["the", "bank", "The"])
    assert vocabulary.ids(["bank", "river", "the", "The", ""]).tolist() == [3, UNKNOWN, 2, 4, UNKNOWN]
    assert vocabulary.ids([]).tolist() == [] and vocabulary.ids([]).dtype == np.int64
    assert len(vocabulary) == 5
    assert "The" in vocabulary and "THE" not in vocabulary


def test_reserved_names_are_not_words() -> None:
    vocabulary = Vocabulary(["a"])
    assert vocabulary.ids(["<padding>", "<unknown>"]).tolist() == [UNKNOWN, UNKNOWN]


def test_a_vocabulary_keeps_its_own_list() -> None:
    entries = ["a", "b"]
    vocabulary = Vocabulary(entries)
    entries.append("c")
    assert len(vocabulary) == 4 and vocabulary.ids(["c"]).tolist() == [UNKNOWN]


def test_an_entry_that_occurs_twice_is_named() -> None:
    with pytest.raises(ValueError, match="'b' occurs twice"):
        Vocabulary(["a", "b", "c", "b"])


def test_counts_come_by_frequency_and_then_by_first_meeting() -> None:
    counts = count_entries([["b", "a", "c"], [], ["a", "d", "c", "a"]])
    assert list(counts.items()) == [("a", 3), ("c", 2), ("b", 1), ("d", 1)]
    assert list(count_entries(["ab", "b"]).items()) == [("b", 2), ("a", 1)]


def test_words_are_spelled_between_boundaries() -> None:
    characters = Vocabulary([*BOUNDARIES, "a", "b"])
    spelled = spell(["ab", "", "bxba"], characters)
    begin, end, a, b = 2, 3, 4, 5
    assert spelled.tolist() == [
        [begin, a, b, end, 0, 0],
        [begin, end, 0, 0, 0, 0],
        [begin, b, UNKNOWN, b, a, end],
    ]
    assert spelled.dtype == np.int64


def test_spelling_survives_every_kind_of_character() -> None:
    words = ["Größe", "आम", "😀👍🏽", "𝔸b", "a\u0301", "\x00", "\ud800", "\ud83d", "\ude00", " ", "word", "\U0010ffff"]
    characters = Vocabulary([*BOUNDARIES, *count_entries(words)])
    spelled = spell(words, characters)
    assert [unspell(row, characters) for row in spelled] == words
    assert spelled.shape == (len(words), 7)
    assert unspell(spell(["a😀Z"], characters)[0], characters) == "a😀?"


@pytest.mark.parametrize("max_length", [1, 2, 3, 4, 7, 40])
def test_a_long_word_keeps_max_length_characters_from_its_two_ends(max_length: int) -> None:
    alphabet = [chr(0x4E00 + number) for number in range(100)]
    characters = Vocabulary([*BOUNDARIES, *alphabet])
    for length in (max_length - 1, max_length, max_length + 1, 100):
        word = "".join(alphabet[:length])
        kept = unspell(spell([word], characters, max_length=max_length)[0], characters)
        if length <= max_length:
            assert kept == word
        else:
            assert len(kept) == max_length
            head = -(-max_length // 2)  # the odd one goes to the beginning
            assert kept == word[:head] + word[length - (max_length - head) :]


def test_no_words_are_spelled_as_none() -> None:
    characters = Vocabulary([*BOUNDARIES, "a"])
    assert spell([], characters).shape == (0, 2)
    assert spell([""], characters).tolist() == [[2, 3]]


def test_spelling_equals_looking_up_each_character_of_random_words() -> None:
    random = np.random.default_rng(0)
    alphabet = [*"abcdefgh", "é", "😀", "ह"]
    characters = Vocabulary([*BOUNDARIES, *alphabet[::2]])
    words = ["".join(random.choice(alphabet, random.integers(0, 15))) for _ in range(200)]
    for word, row in zip(words, spell(words, characters), strict=True):
        expected = characters.ids([BOUNDARIES[0], *word, BOUNDARIES[1]]).tolist()
        assert row.tolist() == expected + [PADDING] * (len(row) - len(expected))
