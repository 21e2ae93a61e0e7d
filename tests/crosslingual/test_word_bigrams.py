"""Counts of running text against naive ones, and the smoothed model against its formula."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from nlptransfer.crosslingual.word_bigrams import BOUNDARY, BigramModel, count_bigrams

SENTENCES = [["a", "b", "a", "c"], ["b", "a"], ["a", "b"], ["c"]]


def test_counts_are_those_of_a_naive_count() -> None:
    counts = count_bigrams(SENTENCES)
    words = Counter(word for sentence in SENTENCES for word in sentence)
    assert dict(zip(counts.words[1:], counts.counts[1:].tolist(), strict=True)) == words
    pairs = Counter(pair for s in SENTENCES for pair in zip([BOUNDARY, *s], [*s, BOUNDARY], strict=True))
    found = {
        (counts.words[first], counts.words[second]): count
        for first, second, count in zip(counts.first, counts.second, counts.pair_counts.tolist(), strict=True)
    }
    assert found == pairs
    assert (np.diff(counts.first) >= 0).all()


def test_what_is_no_word_ends_a_sentence() -> None:
    counts = count_bigrams([["a", ",", "12", "b"], ["."], []])
    assert counts.words == [BOUNDARY, "a", "b"]
    assert counts.counts.tolist() == [2, 1, 1]


def test_memory_is_bounded_and_the_frequent_are_kept() -> None:
    rare = [[f"x{number}", f"y{number}"] for number in range(200)]
    counts = count_bigrams([*[["so", "it", "goes"]] * 5, *rare], max_words=3, max_bigrams=10)
    assert counts.words == [BOUNDARY, "so", "it", "goes"]
    assert len(counts.first) <= 10
    assert counts.pair_counts.max() == 5


def test_probability_is_the_formula_worked_out_by_hand() -> None:
    model = BigramModel(count_bigrams(SENTENCES), log_unseen=lambda word: math.log(0.01))
    # Of a's four, two are before b. All 13 tokens: a 4, b 3, c 2, boundary 4.
    alone = (3 - 0.75) / 13 + 0.75 * 4 / 13 * 0.01
    followers = 3  # b, c and the boundary
    assert model.log_probability("b") == pytest.approx(math.log(alone))
    assert model.log_next("a", "b") == pytest.approx(math.log((2 - 0.75) / 4 + 0.75 * followers / 4 * alone))


def test_chances_of_the_next_word_sum_to_one() -> None:
    model = BigramModel(count_bigrams(SENTENCES), log_unseen=lambda word: 0.0 if word == "new" else -math.inf)
    for previous in (BOUNDARY, "a", "c", "never seen"):
        assert sum(math.exp(model.log_next(previous, w)) for w in [BOUNDARY, "a", "b", "c", "new"]) == pytest.approx(1)


def test_word_with_a_chance_too_small_for_a_number_keeps_its_logarithm() -> None:
    model = BigramModel(count_bigrams(SENTENCES), log_unseen=lambda word: -2000.0)
    assert model.log_next("a", "new") == pytest.approx(-2000, abs=5)


def test_empty_text_gives_an_empty_list() -> None:
    counts = count_bigrams([])
    assert (counts.words, len(counts.first)) == ([BOUNDARY], 0)
    assert BigramModel(counts, log_unseen=lambda word: -3.0).log_next("a", "b") == pytest.approx(-3)
