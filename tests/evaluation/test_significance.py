"""Intervals and p-values against full enumeration, closed forms and simulation."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from nlptransfer.evaluation.significance import (
    bootstrap_interval,
    paired_bootstrap_interval,
    paired_permutation_test,
)


def draw(seed: int, sentences: int, accuracy: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    counts = random.integers(1, 40, sentences)
    return random.binomial(counts, accuracy), counts


def test_bootstrap_interval_equals_the_quantiles_of_every_possible_resample() -> None:
    correct, counts = np.array([3, 5, 1, 0, 9]), np.array([4, 5, 2, 3, 9])
    every = np.array(list(itertools.product(range(5), repeat=5)))  # (5 ** 5, 5): each drawing is equally likely
    ratios = correct[every].sum(axis=1) / counts[every].sum(axis=1)
    expected = np.quantile(ratios, [0.1, 0.9])
    found = bootstrap_interval(correct, counts, confidence=0.8, num_resamples=40_000, seed=0)
    assert found == pytest.approx(tuple(expected), abs=0.015)


def test_bootstrap_interval_agrees_with_the_linearised_normal_interval() -> None:
    correct, counts = draw(seed=1, sentences=1_500)
    ratio = correct.sum() / counts.sum()
    # Standard error of a ratio of sums (delta method).
    error = np.sqrt(((correct - ratio * counts) ** 2).sum()) / counts.sum()
    low, high = bootstrap_interval(correct, counts, seed=0)
    assert low == pytest.approx(ratio - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(ratio + 1.96 * error, abs=0.1 * error)


def test_bootstrap_interval_holds_the_true_accuracy_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        correct, counts = draw(seed, sentences=80, accuracy=0.8)
        low, high = bootstrap_interval(correct, counts, confidence=0.9, num_resamples=400, seed=seed)
        held += low <= 0.8 <= high
    assert 0.83 <= held / 200 <= 0.96


def test_several_seeds_are_averaged_first() -> None:
    correct, counts = draw(seed=2, sentences=60)
    other, _ = draw(seed=2, sentences=60)
    other = np.minimum(other + 1, counts)
    both = bootstrap_interval(np.stack([correct, other]), counts, seed=0)
    assert both == pytest.approx(bootstrap_interval(np.stack([correct + other] * 2), 2 * counts, seed=0))


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    correct, counts = draw(seed=3, sentences=40)
    assert bootstrap_interval(correct, counts, seed=0) == bootstrap_interval(correct, counts, seed=0)
    assert bootstrap_interval(correct, counts, seed=0) != bootstrap_interval(correct, counts, seed=1)


def test_sentences_in_which_nothing_counts_change_nothing() -> None:
    correct, counts = draw(seed=4, sentences=30)
    padded = np.append(correct, [0, 0]), np.append(counts, [0, 0])
    assert bootstrap_interval(*padded, seed=0) == bootstrap_interval(correct, counts, seed=0)


def test_one_sentence_says_nothing_about_others() -> None:
    assert bootstrap_interval([3], [4], seed=0) == (0.0, 1.0)
    assert paired_bootstrap_interval([3], [2], [4], seed=0) == (-1.0, 1.0)


def test_all_right_is_not_certainly_right() -> None:
    from scipy.stats import binomtest

    exact = binomtest(20, 20).proportion_ci(0.95, method="exact")
    low, high = bootstrap_interval([3] * 20, [3] * 20, seed=0)
    assert (low, high) == (pytest.approx(exact.low), 1.0)
    low, high = bootstrap_interval([0] * 20, [3] * 20, seed=0)
    assert (low, high) == (0.0, pytest.approx(1 - exact.low))


def test_paired_interval_equals_the_quantiles_of_every_possible_resample() -> None:
    system, baseline, counts = np.array([3, 5, 1, 2]), np.array([2, 5, 2, 0]), np.array([4, 5, 2, 3])
    every = np.array(list(itertools.product(range(4), repeat=4)))
    gains = (system - baseline)[every].sum(axis=1) / counts[every].sum(axis=1)
    found = paired_bootstrap_interval(system, baseline, counts, confidence=0.8, num_resamples=40_000, seed=0)
    assert found == pytest.approx(tuple(np.quantile(gains, [0.1, 0.9])), abs=0.02)


def test_pairing_makes_the_interval_of_a_constant_gain_narrow() -> None:
    correct, counts = draw(seed=5, sentences=200, accuracy=0.5)
    low, high = paired_bootstrap_interval(np.minimum(correct + 1, counts), correct, counts, seed=0)
    own_low, own_high = bootstrap_interval(correct, counts, seed=0)
    assert high - low < 0.5 * (own_high - own_low)


def test_swapping_system_and_baseline_swaps_the_interval() -> None:
    system, counts = draw(seed=6, sentences=50)
    baseline = np.maximum(system - np.arange(50) % 3, 0)
    low, high = paired_bootstrap_interval(system, baseline, counts, seed=0)
    assert paired_bootstrap_interval(baseline, system, counts, seed=0) == pytest.approx((-high, -low))


def exact_p_value(differences: np.ndarray) -> float:
    """Twice the smaller tail over all sign flips, in whole numbers."""
    signs = np.array(list(itertools.product([1, -1], repeat=len(differences))))
    sums, observed = signs @ differences, differences.sum()
    return min(1.0, 2 * min((sums <= observed).mean(), (sums >= observed).mean()))


@pytest.mark.parametrize(
    "differences", [[1, 2, 0, 3, -1, 1], [1, 1, 1, 1, 1, 1, 1, 1], [-2, -1, -4, 1, -3], [1, -1], [0, 4, 0]]
)
def test_p_value_equals_the_enumeration_of_all_sign_flips(differences: list[int]) -> None:
    values, counts = np.array(differences), np.full(len(differences), 10)
    assert paired_permutation_test(5 + values, np.full(len(values), 5), counts, seed=0) == exact_p_value(values)


def test_p_value_of_thirds_equals_the_enumeration_too() -> None:
    # Means over three seeds are thirds, which floating point can't hold: ties must still be ties.
    random = np.random.default_rng(0)
    system, baseline = random.integers(0, 8, (3, 9)), random.integers(0, 8, (3, 9))
    expected = exact_p_value(system.sum(axis=0) - baseline.sum(axis=0))
    assert paired_permutation_test(system, baseline, np.full(9, 10), seed=0) == expected


def test_three_seeds_may_meet_one() -> None:
    random = np.random.default_rng(1)
    system, baseline = random.integers(0, 8, (3, 9)), random.integers(0, 8, (1, 9))
    expected = exact_p_value(system.sum(axis=0) - 3 * baseline[0])
    assert paired_permutation_test(system, baseline[0], np.full(9, 10), seed=0) == expected


def test_random_swaps_agree_with_the_normal_approximation() -> None:
    from scipy.stats import norm

    random = np.random.default_rng(2)
    differences = random.integers(-2, 4, 300)  # a mean of 0.5
    differences = differences - (np.arange(300) % 2)  # about 0: a p-value well inside (0, 1)
    expected = 2 * norm.sf(abs(differences.sum()) / np.sqrt((differences**2).sum()))
    found = paired_permutation_test(10 + differences, np.full(300, 10), np.full(300, 20), seed=0)
    assert found == pytest.approx(expected, abs=0.03)


def test_random_swaps_never_give_a_p_value_of_zero() -> None:
    found = paired_permutation_test(np.full(50, 9), np.full(50, 1), np.full(50, 10), num_resamples=99, seed=0)
    assert found == pytest.approx(2 / 100)


def test_identical_results_give_a_p_value_of_one_and_no_gain() -> None:
    correct, counts = draw(seed=7, sentences=30)
    assert paired_permutation_test(correct, correct, counts, seed=0) == 1.0
    assert paired_bootstrap_interval(correct, correct, counts, seed=0) == (0.0, 0.0)


def test_sentences_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="the sentences differ"):
        bootstrap_interval([1, 2], [1, 2, 3], seed=0)
    with pytest.raises(ValueError, match="more positions right than count"):
        bootstrap_interval([4, 1], [3, 3], seed=0)
    with pytest.raises(ValueError, match="no position counts"):
        bootstrap_interval([0], [0], seed=0)


def test_two_thousand_sentences_take_no_longer_than_a_few_seconds() -> None:
    system, counts = draw(seed=8, sentences=2_000)
    baseline, _ = draw(seed=8, sentences=2_000, accuracy=0.94)
    started = time.perf_counter()
    bootstrap_interval(system, counts, seed=0)
    paired_permutation_test(system, baseline, counts, seed=0)
    assert time.perf_counter() - started < 5  # about 0.6 s on an idle core
