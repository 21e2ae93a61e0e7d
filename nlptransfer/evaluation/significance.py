"""Intervals and tests for accuracies, with the sentence as the unit that is drawn again.

Words of one sentence are tagged together, so their errors come together: drawing words one by one would give
intervals that are too narrow. All three functions take what each sentence adds to the accuracy
(`nlptransfer.evaluation.metrics.sentence_counts`). With several seeds the correct counts are averaged over the seeds
first: interval and test are about other *test sentences* at the mean over these seeds, not about other seeds, whose
spread is reported beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

_BATCH_ELEMENTS = 500_000  # numbers held at once while resampling: 4 MB an array, whatever the test set's size


def bootstrap_interval(
    correct: ArrayLike,
    counts: ArrayLike,
    *,
    confidence: float = 0.95,
    num_resamples: int = 9_999,
    seed: int,
) -> tuple[float, float]:
    """Percentile bootstrap interval over sentences for an accuracy sum(correct) / sum(counts).

    Sentences are drawn with replacement, as many as there are, and the ratio is taken anew; the interval runs between
    the (1 - confidence) / 2 quantiles on both sides. Percentile and not BCa: BCa leaves out each sentence in turn,
    which costs time in the square of their number, and is undefined where all sentences are alike; on the
    hundreds of sentences of a test set the two agree to the fourth decimal.

    Sentences in which nothing counts (no unseen word, say) say nothing about the ratio and are left out. Where drawing
    again can't show how uncertain the number is, it is not called certain: with one sentence the interval is (0, 1),
    and where every position of all S sentences is right it reaches down to ((1 - confidence) / 2) ** (1 / S), the
    exact binomial bound with sentences as trials (likewise up, where all are wrong).

    Args:
        correct: (sentences,) or (seeds, sentences) right positions.
        counts: (sentences,) positions that count.
        confidence: of the interval, in 0..1.
        num_resamples: how many times the sentences are drawn.
        seed: of the drawing.

    Returns:
        Low and high end, in 0..1.

    Raises:
        ValueError: the shapes don't fit, or no position counts.

    Reference:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    sums, num_seeds, totals = _check(correct, counts)
    tail = (1 - confidence) / 2
    if (sums == num_seeds * totals).all():
        return tail ** (1 / len(totals)), 1.0
    if (sums == 0).all():
        return 0.0, 1 - tail ** (1 / len(totals))
    if len(totals) == 1:
        return 0.0, 1.0
    return _ratio_interval(sums / num_seeds, totals, confidence, num_resamples, seed)


def paired_bootstrap_interval(
    system_correct: ArrayLike,
    baseline_correct: ArrayLike,
    counts: ArrayLike,
    *,
    confidence: float = 0.95,
    num_resamples: int = 9_999,
    seed: int,
) -> tuple[float, float]:
    """Percentile bootstrap interval over sentences for a gain: system accuracy - baseline accuracy.

    Both systems are read on the same drawn sentences, so that what makes a sentence hard for both cancels::

        gain = sum(system_correct - baseline_correct) / sum(counts)

    Args:
        system_correct: (sentences,) or (seeds, sentences) right positions of the system.
        baseline_correct: the same for the baseline; it may have another number of seeds.
        counts: (sentences,) positions that count.
        confidence: of the interval, in 0..1.
        num_resamples: how many times the sentences are drawn.
        seed: of the drawing.

    Returns:
        Low and high end, in -1..1; (-1, 1) where only one sentence counts.

    Raises:
        ValueError: the shapes don't fit, or no position counts.
    """
    differences, scale, totals = _scaled_differences(system_correct, baseline_correct, counts)
    if len(totals) == 1:
        return -1.0, 1.0
    return _ratio_interval(differences / scale, totals, confidence, num_resamples, seed)


def paired_permutation_test(
    system_correct: ArrayLike,
    baseline_correct: ArrayLike,
    counts: ArrayLike,
    *,
    num_resamples: int = 9_999,
    seed: int,
) -> float:
    """Two-sided p-value of a gain: how often would swapping the systems' labels sentence by sentence give as much?

    If the two systems were alike, each sentence's two results could as well have been swapped: the sign of
    d = system_correct - baseline_correct is random. The p-value is twice the smaller of the fractions of swaps
    whose sum(d) is at most, or at least, the one observed.

    All 2 ** n swaps are gone through where they are no more than `num_resamples` (n: sentences in which the systems
    differ; the others can't change the sum). Otherwise `num_resamples` random swaps are drawn and the observed
    labelling is counted among them, since under the hypothesis it is one more random swap::

        p = 2 (1 + swaps at least as extreme on the observed side) / (1 + num_resamples)

    Without that +1 a p-value of exactly 0 would be possible and the test would reject too often. The smallest
    p-value that 9,999 swaps can give is therefore 0.0002.

    Args:
        system_correct: (sentences,) or (seeds, sentences) right positions of the system.
        baseline_correct: the same for the baseline; it may have another number of seeds.
        counts: (sentences,) positions that count.
        num_resamples: how many random swaps are drawn.
        seed: of the drawing.

    Returns:
        The p-value, in 0..1; 1 where the systems differ in no sentence, or in only one.

    Raises:
        ValueError: the shapes don't fit, or no position counts.

    Reference:
        Phipson and Smyth (2010), Permutation P-values Should Never Be Zero,
        https://doi.org/10.2202/1544-6115.1585
    """
    # The division by sum(counts), which no swap changes, is left out: sums of whole numbers are exact, so that ties
    # with the observed sum are seen as ties.
    differences, _, _ = _scaled_differences(system_correct, baseline_correct, counts)
    return swap_test(differences.astype(np.float64), num_resamples=num_resamples, seed=seed)


def swap_test(differences: NDArray[np.float64], *, num_resamples: int, seed: int) -> float:
    """The p-value of `paired_permutation_test` from what each item adds to the gain.

    Args:
        differences: (items,) system - baseline.
        num_resamples: how many random swaps are drawn.
        seed: of the drawing.
    """
    from scipy.stats import permutation_test

    differing = differences[differences != 0]
    if len(differing) < 2:
        return 1.0  # with one differing item, both of its two labellings are as extreme as the observed one
    result = permutation_test(
        (differing,),
        np.sum,
        permutation_type="samples",
        vectorized=True,
        n_resamples=num_resamples,
        # scipy goes through the sentences in Python once a batch: below about 100 swaps at a time that takes over.
        batch=max(100, _batch_size(len(differing))),
        alternative="two-sided",
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def _check(correct: ArrayLike, counts: ArrayLike) -> tuple[NDArray[np.int64], int, NDArray[np.int64]]:
    """Sums over the seeds, number of seeds and counts, of the sentences in which something counts."""
    right, totals = np.atleast_2d(np.asarray(correct)), np.asarray(counts)
    if totals.ndim != 1 or right.ndim != 2 or right.shape[1] != len(totals):
        raise ValueError(f"correct has shape {np.shape(correct)}, counts {np.shape(counts)}: the sentences differ")
    if (right < 0).any() or (right > totals).any():
        raise ValueError("a sentence has more positions right than count, or fewer than none")
    kept = totals > 0
    if not kept.any():
        raise ValueError("no position counts")
    return right.sum(axis=0)[kept], len(right), totals[kept]


def _scaled_differences(
    system_correct: ArrayLike, baseline_correct: ArrayLike, counts: ArrayLike
) -> tuple[NDArray[np.int64], int, NDArray[np.int64]]:
    """Mean over the system's seeds - mean over the baseline's, times `scale` so that it is whole; `scale`; counts."""
    system, system_seeds, totals = _check(system_correct, counts)
    baseline, baseline_seeds, _ = _check(baseline_correct, counts)
    scale = math.lcm(system_seeds, baseline_seeds)
    return system * (scale // system_seeds) - baseline * (scale // baseline_seeds), scale, totals


def _ratio_interval(
    numerators: NDArray[np.float64], totals: NDArray[np.int64], confidence: float, num_resamples: int, seed: int
) -> tuple[float, float]:
    """Percentile interval of sum(numerators) / sum(totals), sentences drawn with replacement."""

    def ratio(top: NDArray[np.float64], bottom: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return top.sum(axis=axis) / bottom.sum(axis=axis)

    data = (numerators, totals.astype(np.float64))
    return percentile_interval(data, ratio, confidence=confidence, num_resamples=num_resamples, seed=seed)


def percentile_interval(
    data: tuple[NDArray[np.float64], ...],
    statistic: Callable[..., NDArray[np.float64]],
    *,
    confidence: float,
    num_resamples: int,
    seed: int,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of several columns, whose rows are drawn together.

    Args:
        data: columns of (items,).
        statistic: columns of (..., items) and the axis of the items -> (...).
        confidence: of the interval, in 0..1.
        num_resamples: how many times the items are drawn.
        seed: of the drawing.

    Returns:
        Low and high end.
    """
    from scipy.stats import bootstrap

    interval = bootstrap(
        data,
        statistic,
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=confidence,
        n_resamples=num_resamples,
        batch=_batch_size(len(data[0])),
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _batch_size(num_sentences: int) -> int:
    """How many resamples to hold at once."""
    return max(1, _BATCH_ELEMENTS // num_sentences)
