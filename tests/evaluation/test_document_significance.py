"""Intervals and p-values of documents' labels against scipy, full enumeration and loops over documents."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import accuracy_score, f1_score

from nlptransfer.evaluation.document_significance import (
    document_interval,
    document_score,
    paired_document_interval,
    paired_document_test,
)
from nlptransfer.evaluation.significance import bootstrap_interval, paired_permutation_test

METRICS = ["accuracy", "macro_f1"]


def one_score(metric: str, gold: np.ndarray, predicted: np.ndarray) -> float:
    if metric == "accuracy":
        return float((gold == predicted).mean())
    scores = []
    for label in {*gold.tolist(), *predicted.tolist()}:
        right = np.count_nonzero((gold == label) & (predicted == label))
        scores.append(2 * right / (np.count_nonzero(gold == label) + np.count_nonzero(predicted == label)))
    return sum(scores) / len(scores)


def mean_score(metric: str, gold: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.mean([one_score(metric, gold, own) for own in predicted]))


def draw(seed: int, documents: int, *, seeds: int = 2, labels: int = 3, right: float = 0.7) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(seed)
    gold = random.choice(labels, documents, p=np.arange(1, labels + 1) / sum(range(1, labels + 1)))
    kept = random.random((seeds, documents)) < right
    return gold, np.where(kept, gold, random.integers(0, labels, (seeds, documents)))


@pytest.mark.parametrize("metric", METRICS)
def test_the_score_is_scikit_learns_averaged_over_the_seeds(metric: str) -> None:
    gold, predicted = draw(0, 50)
    predicted[1, :3] = 5  # a label that the gold never has
    expected = [
        accuracy_score(gold, own) if metric == "accuracy" else f1_score(gold, own, average="macro", zero_division=0.0)
        for own in predicted
    ]
    assert document_score(metric, gold, predicted) == pytest.approx(np.mean(expected))
    assert document_score(metric, gold, predicted[0]) == pytest.approx(expected[0])
    assert [one_score(metric, gold, own) for own in predicted] == pytest.approx(expected)  # what the loops below use


@pytest.mark.parametrize("metric", METRICS)
def test_the_interval_agrees_with_scipys_bootstrap_over_documents(metric: str) -> None:
    gold, predicted = draw(1, 60)

    def statistic(*columns: np.ndarray) -> float:
        return mean_score(metric, columns[0], np.stack(columns[1:]))

    expected = bootstrap(
        (gold, *predicted),
        statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=1_000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    found = document_interval(metric, gold, predicted, num_resamples=20_000, seed=0)
    assert found == pytest.approx((expected.low, expected.high), abs=0.015)


@pytest.mark.parametrize("metric", METRICS)
def test_the_interval_equals_the_quantiles_of_every_possible_resample(metric: str) -> None:
    gold, predicted = np.array([0, 0, 1, 1, 1]), np.array([[0, 1, 1, 0, 1], [0, 0, 1, 0, 0]])
    every = np.array(list(itertools.product(range(5), repeat=5)))
    values = [mean_score(metric, gold[rows], predicted[:, rows]) for rows in every]
    found = document_interval(metric, gold, predicted, confidence=0.8, num_resamples=40_000, seed=0)
    assert found == pytest.approx(tuple(np.quantile(values, [0.1, 0.9])), abs=0.02)


def test_the_interval_of_an_accuracy_is_that_of_sentences_of_one_word() -> None:
    gold, predicted = draw(2, 500, seeds=3)
    expected = bootstrap_interval(predicted == gold, np.ones(500, dtype=int), seed=0)
    assert document_interval("accuracy", gold, predicted, seed=0) == pytest.approx(expected, abs=0.003)


@pytest.mark.parametrize("metric", METRICS)
def test_the_paired_interval_equals_the_quantiles_of_every_possible_resample(metric: str) -> None:
    gold = np.array([0, 0, 1, 1, 1])
    system, baseline = np.array([[0, 1, 1, 0, 1], [0, 0, 1, 0, 0]]), np.array([[0, 1, 0, 0, 1]])
    every = np.array(list(itertools.product(range(5), repeat=5)))
    gains = [mean_score(metric, gold[r], system[:, r]) - mean_score(metric, gold[r], baseline[:, r]) for r in every]
    found = paired_document_interval(metric, gold, system, baseline, confidence=0.8, num_resamples=40_000, seed=0)
    assert found == pytest.approx(tuple(np.quantile(gains, [0.1, 0.9])), abs=0.02)


def every_swap(metric: str, gold: np.ndarray, system: np.ndarray, baseline: np.ndarray) -> float:
    """Twice the smaller tail over all ways to swap the two document by document; as many seeds of each."""

    def gain(swap: np.ndarray) -> float:
        ours, theirs = np.where(swap, baseline, system), np.where(swap, system, baseline)
        return mean_score(metric, gold, ours) - mean_score(metric, gold, theirs)

    gains = np.array([gain(np.array(swap)) for swap in itertools.product([False, True], repeat=len(gold))])
    return min(1.0, 2 * min((gains >= gains[0] - 1e-12).mean(), (gains <= gains[0] + 1e-12).mean()))


@pytest.mark.parametrize("metric", METRICS)
def test_the_p_value_agrees_with_the_enumeration_of_all_swaps(metric: str) -> None:
    gold, system = draw(3, 9, labels=2, right=0.6)
    baseline = np.where(np.random.default_rng(3).random((2, 9)) < 0.5, gold, 1 - gold)
    expected = every_swap(metric, gold, system, baseline)
    assert 0.05 < expected < 0.9
    assert paired_document_test(metric, gold, system, baseline, num_resamples=40_000, seed=0) == pytest.approx(
        expected, abs=0.02
    )


@pytest.mark.parametrize("metric", METRICS)
def test_three_seeds_may_meet_one(metric: str) -> None:
    gold, system = draw(5, 9, labels=2, seeds=3, right=0.6)
    baseline = np.where(np.random.default_rng(5).random((1, 9)) < 0.5, gold, 1 - gold)
    expected = every_swap(metric, gold, system, np.repeat(baseline, 3, axis=0))
    found = paired_document_test(metric, gold, system, baseline[0], num_resamples=40_000, seed=0)
    assert found == pytest.approx(expected, abs=0.02)


def test_the_p_value_of_an_accuracy_is_that_of_sentences_of_one_word() -> None:
    gold, system = draw(7, 300, seeds=2, right=0.74)
    _, other = draw(8, 300, seeds=3, right=0.7)
    baseline = np.where(np.random.default_rng(0).random((3, 300)) < 0.7, gold, other)
    expected = paired_permutation_test(system == gold, baseline == gold, np.ones(300, dtype=int), seed=0)
    assert paired_document_test("accuracy", gold, system, baseline, seed=0) == pytest.approx(expected, abs=0.02)


def test_random_swaps_never_give_a_p_value_of_zero_and_no_difference_gives_one() -> None:
    gold = np.array([0, 1] * 40)
    assert paired_document_test("accuracy", gold, gold, 1 - gold, num_resamples=99, seed=0) == pytest.approx(2 / 100)
    assert paired_document_test("macro_f1", gold, gold, gold, seed=0) == 1.0
    assert paired_document_interval("macro_f1", gold, gold, gold, seed=0) == (0.0, 0.0)


def test_one_document_says_nothing_about_others_and_all_right_is_not_certainly_right() -> None:
    assert document_interval("accuracy", [1], [[1], [0]], seed=0) == (0.0, 1.0)
    assert paired_document_interval("accuracy", [1], [1], [0], seed=0) == (-1.0, 1.0)
    low, high = document_interval("macro_f1", [0, 1] * 10, [0, 1] * 10, seed=0)
    assert (low, high) == (pytest.approx(0.025 ** (1 / 20)), 1.0)
    low, high = document_interval("accuracy", [0, 1] * 10, [1, 0] * 10, seed=0)
    assert (low, high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 20)))


def test_a_label_that_a_drawn_test_set_lacks_is_no_class_of_it() -> None:
    # One document in 20 has label 2 and is right: a resample without it has two classes, not one with an F1 of 0.
    gold, predicted = np.array([0, 1] * 10), np.array([0, 1] * 10)
    gold[0] = predicted[0] = 2
    predicted[1] = 0
    low, _ = document_interval("macro_f1", gold, predicted, seed=0)
    assert low > 0.8


def test_many_labels_and_seeds_give_what_few_give() -> None:
    gold, predicted = draw(9, 80, labels=30, seeds=6)  # too many ways to be numbered: they are sorted
    assert document_score("macro_f1", gold, predicted) == pytest.approx(mean_score("macro_f1", gold, predicted))


def test_shapes_and_metrics_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown metric 'token_accuracy' of documents"):
        document_score("token_accuracy", [0], [0])
    with pytest.raises(ValueError, match="the documents differ"):
        document_score("accuracy", [0, 1], [0])
    with pytest.raises(ValueError, match="there is no document"):
        document_score("accuracy", [], [])


def test_six_thousand_documents_take_a_fraction_of_a_second() -> None:
    gold, system = draw(10, 6_000, labels=2, seeds=3)
    _, baseline = draw(11, 6_000, labels=2, seeds=3)
    calls: list[Callable[[], object]] = [
        lambda: document_interval("macro_f1", gold, system, seed=0),
        lambda: paired_document_interval("accuracy", gold, system, baseline, seed=0),
        lambda: paired_document_test("accuracy", gold, system, baseline, seed=0),
    ]
    started = time.perf_counter()
    for call in calls:
        call()
    assert time.perf_counter() - started < 3  # about 0.1 s on an idle core
