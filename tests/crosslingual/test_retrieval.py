"""Retrieval: blocks against a slow matrix, CSLS and inverted softmax by the formulas, what hubs do, scores by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nlptransfer.crosslingual import retrieval
from nlptransfer.crosslingual.retrieval import (
    Neighbours,
    hub_penalties,
    mutual_pairs,
    nearest_both_ways,
    score_translations,
    translate_both_ways,
    unit_rows,
)
from nlptransfer.errors import InputError


def two_sides(num_source: int, num_target: int, dim: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(num_source, dim)) * rng.gamma(2, size=(num_source, 1)), rng.normal(size=(num_target, dim))


def cosines(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(source, axis=1)[:, None] * np.linalg.norm(target, axis=1)
    return source @ target.T / lengths


def slow_csls(source: np.ndarray, target: np.ndarray, k: int) -> np.ndarray:
    """Equations 2 and 3 of Conneau et al. 2018, word by word."""
    cosine = cosines(source, target)
    near_target = [np.mean(sorted(row)[-k:]) for row in cosine]
    near_source = [np.mean(sorted(column)[-k:]) for column in cosine.T]
    return np.array(
        [[2 * cosine[i, j] - near_target[i] - near_source[j] for j in range(len(target))] for i in range(len(source))]
    )


def with_hubs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Targets are noisy copies of the sources; four of them are drawn to the middle, and so near to everything."""
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=50) * 1.5
    source = middle + rng.normal(size=(300, 50))
    target = source + 1.3 * rng.normal(size=source.shape)
    target[::75] = middle + 0.05 * rng.normal(size=(4, 50))
    return source, target


# (45, 70): less than a tile; (900, 150): many strips of rows; (150, 900): many tiles of columns.
@pytest.mark.parametrize("sizes", [(45, 70), (900, 150), (150, 900), (3, 2)])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("penalised", [False, True])
def test_blocks_find_what_one_sorted_matrix_holds(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, int], precision: retrieval.Precision, penalised: bool
) -> None:
    monkeypatch.setattr(retrieval, "_TILE_COLUMNS", 256)
    monkeypatch.setattr(retrieval, "_STRIP_BYTES", 4 * 64 * 256)
    source, target = two_sides(*sizes)
    rng = np.random.default_rng(1)
    a, b = rng.random(sizes[0]) / 3, rng.random(sizes[1]) / 3
    expected = cosines(source, target) - (a[:, None] + b if penalised else 0)
    forward, backward = nearest_both_ways(
        source,
        target,
        4,
        source_penalty=a if penalised else None,
        target_penalty=b if penalised else None,
        precision=precision,
    )
    for found, scores in ((forward, expected), (backward, expected.T)):
        best = -np.sort(-scores, axis=1)[:, :4]
        np.testing.assert_allclose(found.scores, best, atol=1e-6)
        np.testing.assert_allclose(np.take_along_axis(scores, found.rows, axis=1), best, atol=1e-6)
        assert all(len(set(row)) == len(row) for row in found.rows.tolist())


def test_rows_that_come_ever_nearer_are_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "_STRIP_BYTES", 4 * 32 * 64)
    angles = np.linspace(1.5, 0.1, 500)
    source, target = np.stack([np.cos(angles), np.sin(angles)], axis=1), np.array([[1.0, 0.0], [-1.0, 0.0]])
    _, backward = nearest_both_ways(source, target, 3)
    assert backward.rows.tolist() == [[499, 498, 497], [0, 1, 2]]


def test_csls_is_that_of_the_paper_in_both_directions() -> None:
    source, target = two_sides(40, 55)
    expected = slow_csls(source, target, 10)
    forward, backward = translate_both_ways(source, target, num_answers=3)
    for found, scores in ((forward, expected), (backward, expected.T)):
        np.testing.assert_array_equal(found.rows, np.argsort(-scores, axis=1)[:, :3])
        np.testing.assert_allclose(found.scores, -np.sort(-scores, axis=1)[:, :3], atol=1e-5)


def test_inverted_softmax_is_that_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "_STRIP_BYTES", 4 * 55 * 7)
    source, target = two_sides(40, 55)
    weights = np.exp(12 * cosines(source, target))
    forward, backward = translate_both_ways(
        source, target, retrieval="inverted_softmax", inverse_temperature=12, num_answers=2
    )
    np.testing.assert_array_equal(forward.rows, np.argsort(-weights / weights.sum(axis=0), axis=1)[:, :2])
    np.testing.assert_array_equal(backward.rows, np.argsort(-(weights / weights.sum(axis=1)[:, None]).T, axis=1)[:, :2])


def test_without_penalties_the_cosine_decides() -> None:
    source, target = two_sides(20, 30)
    a, b = hub_penalties(source, target, "cosine")
    assert not a.any() and not b.any()
    forward, _ = translate_both_ways(source, target, retrieval="cosine")
    np.testing.assert_array_equal(forward.rows[:, 0], cosines(source, target).argmax(axis=1))


@pytest.mark.parametrize("way", ["csls", "inverted_softmax"])
def test_hubs_mislead_the_cosine_and_not_the_ways_against_them(way: retrieval.Retrieval) -> None:
    source, target = with_hubs()
    rows = np.setdiff1d(np.arange(300), np.arange(0, 300, 75))
    pairs = np.stack([rows, rows], axis=1)
    nearest = score_translations(source, target, pairs, retrieval="cosine").precision_at_1
    assert nearest < 0.5
    assert score_translations(source, target, pairs, retrieval=way).precision_at_1 > nearest + 0.3


def test_where_no_word_is_a_hub_csls_is_no_better() -> None:
    source = np.eye(30)
    pairs = np.stack([np.arange(30)] * 2, axis=1)
    for way in ("cosine", "csls"):
        assert score_translations(source, source, pairs, retrieval=way).precision_at_1 == 1.0  # type: ignore[arg-type]


def test_precision_and_average_precision_are_those_counted_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # One dimension too few for ties: target t lies at angle t, so that the ranks for a query at angle 0 are 1, 2, 3...
    angles = np.deg2rad(np.arange(1, 13))
    target = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    source = np.array([[1.0, 0.0], [0.0, 1.0], [5.0, 0.0]])
    # Query 0: ranks 2 and 6. Query 1 sees them from the other end: rank 1 (row 11). Query 2: rank 11.
    pairs = np.array([[0, 5], [1, 11], [0, 1], [2, 10], [0, 1]])
    scores = score_translations(source, target, pairs, retrieval="cosine")
    assert scores.num_queries == 3
    assert scores.precision_at_1 == pytest.approx(1 / 3)
    assert scores.precision_at_5 == pytest.approx(2 / 3)
    assert scores.precision_at_10 == pytest.approx(2 / 3)
    assert scores.mean_average_precision == pytest.approx(((1 / 2 + 2 / 6) / 2 + 1 + 1 / 11) / 3)
    monkeypatch.setattr(retrieval, "_STRIP_BYTES", 1)
    assert score_translations(source, target, pairs, retrieval="cosine") == scores, "one query at a time"


def test_ranks_by_query_are_those_of_a_sorted_matrix_and_their_means_the_scores() -> None:
    rng = np.random.default_rng(5)
    source, target = rng.standard_normal((9, 4)), rng.standard_normal((30, 4))
    pairs = np.array([[7, 3], [2, 11], [7, 20], [2, 0], [5, 29]])
    _, penalty = retrieval.hub_penalties(source, target, "csls")
    found = retrieval.rank_answers(source, target, pairs, target_penalty=penalty)
    cosines = (source @ target.T) / np.outer(np.linalg.norm(source, axis=1), np.linalg.norm(target, axis=1))
    order = np.argsort(np.argsort(-(cosines - penalty), axis=1), axis=1) + 1  # (9, 30) ranks
    assert found.queries.tolist() == [2, 5, 7]
    assert found.best_rank.tolist() == [min(order[2, [0, 11]]), order[5, 29], min(order[7, [3, 20]])]
    first, second = sorted(order[7, [3, 20]])
    assert found.average_precision[2] == pytest.approx((1 / first + 2 / second) / 2)
    assert found.scores() == score_translations(source, target, pairs)


def test_of_equal_answers_the_first_row_wins() -> None:
    target = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    scores = [
        score_translations(target[:1], target, np.array([[0, row]]), retrieval="cosine").mean_average_precision
        for row in range(3)
    ]
    assert scores == pytest.approx([1, 1 / 2, 1 / 3])


def test_mutual_pairs_are_each_others_best() -> None:
    forward = Neighbours(np.array([[2, 0], [0, 1], [2, 1]]), np.zeros((3, 2)))
    backward = Neighbours(np.array([[1], [0], [2], [0]]), np.zeros((4, 1)))
    assert mutual_pairs(forward, backward).tolist() == [[1, 0], [2, 2]]


def test_the_callers_arrays_stay_as_they_were_and_zero_rows_stay_zero() -> None:
    source, target = two_sides(10, 12)
    source[3] = 0
    kept = source.copy(), target.copy()
    forward, _ = translate_both_ways(source, target)
    assert np.isfinite(forward.scores).all()
    assert not unit_rows(source)[3].any()
    np.testing.assert_array_equal(source, kept[0])
    np.testing.assert_array_equal(target, kept[1])


def test_what_can_not_be_searched_is_told() -> None:
    source, target = two_sides(10, 12)
    with pytest.raises(InputError, match=r"not in one space.*\(10, 6\) and \(12, 5\)"):
        nearest_both_ways(source, target[:, :5], 1)
    with pytest.raises(InputError, match="no vectors"):
        nearest_both_ways(source, target[:0], 1)
    with pytest.raises(InputError, match="no pair"):
        score_translations(source, target, np.empty((0, 2)))
    with pytest.raises(ValueError, match="rows of the two matrices"):
        score_translations(source, target, np.array([[0, -1]]))
    source[4, 2] = np.nan
    with pytest.raises(InputError, match="vector 5 holds a number that is not finite"):
        nearest_both_ways(source, target, 1)
    with pytest.raises(ValueError, match="num_answers"):
        nearest_both_ways(target, target, 0)
    with pytest.raises(ValueError, match="retrieval must be"):
        hub_penalties(target, target, "nearest")  # type: ignore[arg-type]
