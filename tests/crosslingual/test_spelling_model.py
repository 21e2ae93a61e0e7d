"""The character n-gram model: its formula recomputed, and what it is for."""

from __future__ import annotations

import math

import pytest

from nlptransfer.crosslingual.spelling_model import WORD_END, WORD_START, SpellingModel


def test_probability_is_the_formula_worked_out_by_hand() -> None:
    model = SpellingModel(["ab", "aa"], order=2)
    # After "a" stand b, a and the end, once each; in all a three times, the end twice, b once.
    uniform = 1 / 4
    alone = (1 - 0.75) / 6 + 0.75 * 3 / 6 * uniform
    expected = (1 - 0.75) / 3 + 0.75 * 3 / 3 * alone
    assert model.log_next(WORD_START + "a", "b") == pytest.approx(math.log(expected))


def test_chances_of_the_next_character_sum_to_one() -> None:
    model = SpellingModel(["banana", "bandana", "ban"], order=3)
    for history in (WORD_START, WORD_START + "ba", "an", "never seen"):
        # One character that was never seen stands for all of them.
        total = sum(math.exp(model.log_next(history, character)) for character in ["a", "b", "n", "d", WORD_END, "?"])
        assert total == pytest.approx(1)


def test_word_like_spelling_is_likelier_than_its_letters_in_disorder() -> None:
    model = SpellingModel(["kitab", "kalam", "makan", "salam"])
    assert model.log_probability("kalab") > model.log_probability("lkbaa")


def test_empty_list_gives_every_spelling_a_chance() -> None:
    assert math.isfinite(SpellingModel([]).log_probability("ab"))


def test_order_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="order must be at least 1, found 0"):
        SpellingModel(["a"], order=0)
