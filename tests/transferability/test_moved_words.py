from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse

from nlptransfer.transferability.moved_words import moved_words, sentiment_moved

TERMS = ["the", "read", "watch", "plot", "never"]
SOURCE = np.array([[60, 9, 0, 3, 0], [50, 7, 1, 4, 0], [40, 8, 0, 3, 0]])
TARGET = np.array([[55, 0, 9, 3, 0], [45, 1, 8, 5, 0]])


def test_z_is_the_formula_term_by_term() -> None:
    y_i, y_j = [150, 24, 1, 10, 0], [100, 1, 17, 8, 0]
    n_i, n_j = sum(y_i), sum(y_j)
    alpha_0 = 0.1 * (n_i + n_j)
    expected = {}
    for w, term in enumerate(TERMS[:4]):
        alpha_w = alpha_0 * (y_i[w] + y_j[w]) / (n_i + n_j)
        odds_i = (y_i[w] + alpha_w) / (n_i + alpha_0 - y_i[w] - alpha_w)
        odds_j = (y_j[w] + alpha_w) / (n_j + alpha_0 - y_j[w] - alpha_w)
        variance = 1 / (y_i[w] + alpha_w) + 1 / (y_j[w] + alpha_w)
        expected[term] = math.log(odds_i / odds_j) / math.sqrt(variance)
    for counts in ((SOURCE, TARGET), (sparse.csr_matrix(SOURCE), sparse.csr_matrix(TARGET))):
        rows = moved_words(*counts, TERMS)
        assert {row["term"]: row["z"] for row in rows} == pytest.approx(expected)
    by_term = {row["term"]: row for row in rows}
    assert by_term["read"]["source_per_1000"] == pytest.approx(1000 * 24 / 185)
    assert by_term["read"]["target_per_1000"] == pytest.approx(1000 * 1 / 126)


def test_each_domain_gets_its_words_most_marked_first_and_no_more_than_asked_for() -> None:
    rows = moved_words(SOURCE, TARGET, TERMS)
    assert (rows[0]["term"], rows[0]["domain"]) == ("read", "source")
    of_target = [row for row in rows if row["domain"] == "target"]
    assert of_target[0]["term"] == "watch"
    assert [row["z"] for row in of_target] == sorted(row["z"] for row in of_target)
    assert all(row["z"] > 0 for row in rows if row["domain"] == "source")
    assert "never" not in {row["term"] for row in rows}
    assert [row["term"] for row in moved_words(SOURCE, TARGET, TERMS, top=1)] == ["read", "watch"]


def test_swapping_the_domains_turns_the_signs() -> None:
    there = {row["term"]: row["z"] for row in moved_words(SOURCE, TARGET, TERMS)}
    back = {row["term"]: -row["z"] for row in moved_words(TARGET, SOURCE, TERMS)}
    assert there == pytest.approx(back)


def test_planted_words_lead_where_a_plain_ratio_is_led_by_rare_ones() -> None:
    rng = np.random.default_rng(0)
    shares = 1 / np.arange(1, 1001)
    other = shares.copy()
    planted = {"source": [30, 60, 90], "target": [40, 70, 100]}
    other[planted["source"]] /= 3
    other[planted["target"]] *= 3
    source, target = (rng.multinomial(100, each / each.sum(), size=300) for each in (shares, other))
    terms = [f"w{index}" for index in range(1000)]
    rows = moved_words(source, target, terms, top=3)
    for domain, words in planted.items():
        assert {row["term"] for row in rows if row["domain"] == domain} == {f"w{index}" for index in words}
    # Control: the plain ratio.
    p, q = source.sum(0) / source.sum(), target.sum(0) / target.sum()
    assert not set(np.argsort(-(p + 1e-9) / (q + 1e-9))[:3]) & set(planted["source"])


def test_one_term_alone_marks_no_domain() -> None:
    assert moved_words(np.array([[3]]), np.array([[5]]), ["a"]) == []


def test_terms_must_fit_the_columns_and_the_prior_be_above_0() -> None:
    with pytest.raises(ValueError, match="3 terms for 5 columns"):
        moved_words(SOURCE, TARGET, TERMS[:3])
    with pytest.raises(ValueError, match="prior"):
        moved_words(SOURCE, TARGET, TERMS, prior_share=0.0)


def test_the_effect_is_the_formula() -> None:
    features = np.array([[1.0, 0, 2, 0, 1], [0, 3, 0, 0, 1], [1, 1, 1, 0, 1]])
    before, after = np.array([[1.0, 2, 0, 5, 4]]), np.array([2.0, 2, 1, -5, 8])
    rows = sentiment_moved(features, before, after, TERMS)
    expected = {}
    for j, term in enumerate(TERMS):
        change = after[j] / math.sqrt(sum(after**2)) - before[0, j] / math.sqrt(sum(before[0] ** 2))
        expected[term] = change * math.sqrt(sum(features[:, j] ** 2) / 3)
    del expected["plot"]  # no document has it, so that nothing moves
    assert {row["term"]: row["effect"] for row in rows} == pytest.approx(expected)
    sizes = [abs(row["effect"]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    again = sentiment_moved(sparse.csr_matrix(features), before, after, TERMS, top=2)
    assert [row["term"] for row in again] == [row["term"] for row in rows[:2]]


def test_a_model_that_is_longer_and_not_otherwise_different_moves_nothing() -> None:
    assert sentiment_moved(np.eye(2), np.array([3.0, 4.0]), np.array([6.0, 8.0]), ["a", "b"]) == []


def test_weights_of_several_labels_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="the adapted coefficients are of 2 labels"):
        sentiment_moved(np.eye(2), np.ones(2), np.ones((2, 2)), ["a", "b"])
