"""Spelling in another script: edit distance against a slow recursion, and both scores by hand."""

from __future__ import annotations

from functools import cache
from itertools import product

import pytest

from nlptransfer.errors import InputError
from nlptransfer.evaluation.transliteration_scores import edit_distance, transliteration_scores


@cache
def slow_distance(first: str, second: str) -> int:
    if not first or not second:
        return len(first) + len(second)
    return min(
        slow_distance(first[1:], second) + 1,
        slow_distance(first, second[1:]) + 1,
        slow_distance(first[1:], second[1:]) + (first[0] != second[0]),
    )


def test_edit_distance_is_that_of_the_recursion_for_all_short_words() -> None:
    words = ["".join(letters) for length in range(4) for letters in product("ab", repeat=length)] + ["abcab", "cabba"]
    for first, second in product(words, repeat=2):
        assert edit_distance(first, second) == slow_distance(first, second), (first, second)


def test_published_example_of_the_edit_distance() -> None:
    assert edit_distance("kitten", "sitting") == 3


def test_scores_are_edits_over_reference_characters_and_the_share_of_right_words() -> None:
    written = {"a": "xy", "b": "xyz", "c": "", "d": "q"}
    scores = transliteration_scores([("a", "xy"), ("b", "xz"), ("c", "xyz"), ("d", "q")], written.__getitem__)
    assert scores == (2 / 4, (0 + 1 + 3 + 0) / (2 + 2 + 3 + 1), 4)


def test_nothing_to_score_is_an_input_error() -> None:
    with pytest.raises(InputError, match="no pairs"):
        transliteration_scores([], str)
    with pytest.raises(InputError, match="reference of 'b' is empty"):
        transliteration_scores([("a", "b"), ("b", "")], str)
