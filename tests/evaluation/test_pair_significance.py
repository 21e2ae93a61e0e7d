"""The sign-flip test against scipy and enumeration, the hierarchical bootstrap against a slow loop and theory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import permutation_test

from nlptransfer.evaluation.pair_significance import PairOutcomes, over_pairs_interval, sign_flip_test


@pytest.mark.parametrize(
    "gains", [[0.02, 0.01, -0.005, 0.03, 0.0, 0.01, 0.02], [0.01] * 6, [-0.02, -0.01, 0.01], [0.03, 0.0], [0.02]]
)
def test_the_p_value_equals_the_enumeration_of_all_sign_flips(gains: list[float]) -> None:
    values = np.array(gains)
    means = np.array(list(itertools.product([1, -1], repeat=len(values)))) @ values / len(values)
    expected = 2 * min((means >= means[0] - 1e-12).mean(), (means <= means[0] + 1e-12).mean())
    assert sign_flip_test(gains, seed=0) == pytest.approx(min(1.0, expected))


def test_twelve_pairs_are_enumerated_and_twenty_drawn() -> None:
    gains = np.random.default_rng(0).normal(0.01, 0.02, 20)
    exact = permutation_test((gains[:12],), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_test(gains[:12], seed=0) == sign_flip_test(gains[:12], seed=1) == pytest.approx(exact.pvalue)
    drawn = [sign_flip_test(gains, seed=seed) for seed in (0, 1)]
    assert drawn[0] != drawn[1]
    assert drawn == pytest.approx([drawn[0]] * 2, abs=0.01)


def test_fewer_than_six_pairs_can_not_be_significant() -> None:
    assert sign_flip_test([0.1] * 5, seed=0) == pytest.approx(2 / 32)
    assert sign_flip_test([0.1] * 6, seed=0) < 0.05


def test_gains_must_be_numbers() -> None:
    with pytest.raises(ValueError, match="one number per pair"):
        sign_flip_test([], seed=0)


def make_pairs(sizes: list[int], *, seeds: int, baseline_seeds: int | None) -> list[PairOutcomes]:
    random = np.random.default_rng(0)
    pairs = []
    for number, size in enumerate(sizes):
        gold = random.integers(0, 2, size)

        def predict(count: int, right: float, gold: np.ndarray = gold) -> np.ndarray:
            return np.where(random.random((count, len(gold))) < right, gold, 1 - gold)

        baseline = None if baseline_seeds is None else predict(baseline_seeds, 0.6)
        pairs.append(PairOutcomes(gold, predict(seeds, 0.65 + 0.05 * number), baseline))
    return pairs


def macro_f1(gold: np.ndarray, predicted: np.ndarray) -> float:
    scores = []
    for label in np.union1d(gold, predicted):
        right = ((gold == label) & (predicted == label)).sum()
        scores.append(2 * right / ((gold == label).sum() + (predicted == label).sum()))
    return float(np.mean(scores))


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
@pytest.mark.parametrize("baseline_seeds", [None, 1, 2])
def test_the_interval_agrees_with_a_slow_loop_over_pairs_seeds_and_documents(
    metric: str, baseline_seeds: int | None
) -> None:
    pairs = make_pairs([25, 40, 30], seeds=3, baseline_seeds=baseline_seeds)
    random = np.random.default_rng(1)

    def score(gold: np.ndarray, predicted: np.ndarray) -> float:
        return float((gold == predicted).mean()) if metric == "accuracy" else macro_f1(gold, predicted)

    values = []
    for _ in range(1_500):
        drawn = []
        for pair in random.integers(0, len(pairs), len(pairs)):
            gold, system, baseline = pairs[pair]
            rows = random.integers(0, len(gold), len(gold))
            own = np.mean([score(gold[rows], system[s, rows]) for s in random.integers(0, len(system), len(system))])
            if baseline is not None:
                seeds = random.integers(0, len(baseline), len(baseline))
                own -= np.mean([score(gold[rows], baseline[s, rows]) for s in seeds])
            drawn.append(own)
        values.append(np.mean(drawn))
    found = over_pairs_interval(metric, pairs, confidence=0.9, num_resamples=20_000, seed=0)
    assert found == pytest.approx(tuple(np.quantile(values, [0.05, 0.95])), abs=0.012)


def test_with_one_seed_and_many_documents_only_the_pairs_vary() -> None:
    gold = np.zeros(200_000, dtype=int)
    accuracies = [0.70, 0.76, 0.72, 0.80, 0.74]
    pairs = [PairOutcomes(gold, (np.arange(len(gold))[None] >= a * len(gold)).astype(int)) for a in accuracies]
    every = np.array(list(itertools.product(accuracies, repeat=5))).mean(axis=1)
    low, high = over_pairs_interval("accuracy", pairs, confidence=0.8, num_resamples=20_000, seed=0)
    assert (low, high) == pytest.approx(tuple(np.quantile(every, [0.1, 0.9])), abs=0.002)


def test_the_interval_is_wider_where_pairs_differ_more() -> None:
    alike = over_pairs_interval("accuracy", make_pairs([500] * 2, seeds=2, baseline_seeds=2)[:1] * 6, seed=0)
    unlike = over_pairs_interval("accuracy", make_pairs([500] * 6, seeds=2, baseline_seeds=2), seed=0)
    assert unlike[1] - unlike[0] > 1.5 * (alike[1] - alike[0])


def test_no_pair_has_no_interval() -> None:
    with pytest.raises(ValueError, match="there is no pair"):
        over_pairs_interval("accuracy", [], seed=0)
