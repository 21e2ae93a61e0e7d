"""Intervals and tests for metrics of documents' labels, with the document as the unit that is drawn again.

A metric of labels depends on the documents only by how many came out in each way: gold label, and the label from each
seed of each system. Drawing N documents with replacement is therefore drawing the numbers of each way from a
multinomial distribution, and swapping two systems' labels document by document is drawing how many of each way are
swapped from a binomial one. There are few ways, so that 9,999 resamples of 6,000 documents take milliseconds.

Both metrics are means of ratios of sums over documents, so each document counts by what it adds to each sum
(`way_tallies`)::

    accuracy  right documents / documents
    macro_f1  mean over the labels of 2 right of the label / (gold of the label + predicted of the label)

As in `significance.py`, interval and test are about other *test documents* at the mean over these seeds; the spread
between seeds is reported beside them. Labels are numbers here, as `document_predictions.label_ids` gives them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlptransfer.evaluation.metrics import DOCUMENT_METRICS

Counts = NDArray[np.int64]

_BATCH_ELEMENTS = 2_000_000  # numbers held at once while resampling: 16 MB an array
_MAX_CODES = 1_000_000
_TIE = 1e-10  # a metric of documents moves in steps far larger than this, and rounding errors are far smaller


def document_score(metric: str, gold: ArrayLike, predicted: ArrayLike) -> float:
    """The mean over the seeds of `accuracy` or `macro_f1`.

    Args:
        metric: one of `DOCUMENT_METRICS`.
        gold: (documents,) label ids.
        predicted: (documents,) or (seeds, documents) label ids.

    Returns:
        A number in 0..1.

    Raises:
        ValueError: the metric is not known, the shapes don't fit, or there is no document.
    """
    ways, (gold_labels, labels) = count_ways(metric, gold, predicted, average_seeds=True)
    return float(tally_scores(np.tensordot(ways, way_tallies(metric, gold_labels, labels), 1)).mean())


def document_interval(
    metric: str,
    gold: ArrayLike,
    predicted: ArrayLike,
    *,
    confidence: float = 0.95,
    num_resamples: int = 9_999,
    seed: int,
) -> tuple[float, float]:
    """Percentile bootstrap interval over documents for the mean over the seeds of a metric.

    Where drawing again can't show how uncertain the number is, it is not called certain: with one document the
    interval is (0, 1), and where all N labels are right it reaches down to ((1 - confidence) / 2) ** (1 / N), the
    exact binomial bound for the accuracy (likewise up, where all are wrong).

    Args:
        metric: one of `DOCUMENT_METRICS`.
        gold: (documents,) label ids.
        predicted: (documents,) or (seeds, documents) label ids.
        confidence: of the interval, in 0..1.
        num_resamples: how many times the documents are drawn.
        seed: of the drawing.

    Returns:
        Low and high end, in 0..1.

    Raises:
        ValueError: the metric is not known, the shapes don't fit, or there is no document.

    Reference:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    ways, (gold_labels, labels) = count_ways(metric, gold, predicted, average_seeds=True)
    tail, num_documents = (1 - confidence) / 2, int(ways.sum())
    right = labels == gold_labels[:, None]
    if right.all():
        return tail ** (1 / num_documents), 1.0
    if not right.any():
        return 0.0, 1 - tail ** (1 / num_documents)
    if num_documents == 1:
        return 0.0, 1.0
    drawn = drawn_counts(np.random.default_rng(seed), ways, num_resamples)
    tallies = way_tallies(metric, gold_labels, labels)
    values = [tally_scores(np.tensordot(counts, tallies, 1)).mean(axis=1) for counts in drawn]
    low, high = np.quantile(np.concatenate(values), [tail, 1 - tail])
    return float(low), float(high)


def paired_document_interval(
    metric: str,
    gold: ArrayLike,
    system: ArrayLike,
    baseline: ArrayLike,
    *,
    confidence: float = 0.95,
    num_resamples: int = 9_999,
    seed: int,
) -> tuple[float, float]:
    """Percentile bootstrap interval over documents for a gain: system's score - baseline's score.

    Both are read on the same drawn documents, so that what makes a document hard for both cancels.

    Args:
        metric: one of `DOCUMENT_METRICS`.
        gold: (documents,) label ids.
        system: (documents,) or (seeds, documents) label ids from the system.
        baseline: the same from the baseline; it may have another number of seeds.
        confidence: of the interval, in 0..1.
        num_resamples: how many times the documents are drawn.
        seed: of the drawing.

    Returns:
        Low and high end, in -1..1; (-1, 1) where there is only one document.

    Raises:
        ValueError: the metric is not known, the shapes don't fit, or there is no document.
    """
    ways, (gold_labels, ours, theirs) = count_ways(metric, gold, system, baseline, average_seeds=True)
    if ways.sum() == 1:
        return -1.0, 1.0
    tallies = [way_tallies(metric, gold_labels, labels) for labels in (ours, theirs)]
    gains = []
    for counts in drawn_counts(np.random.default_rng(seed), ways, num_resamples):
        own, other = (tally_scores(np.tensordot(counts, each, 1)).mean(axis=1) for each in tallies)
        gains.append(own - other)
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(gains), [tail, 1 - tail])
    return float(low), float(high)


def paired_document_test(
    metric: str,
    gold: ArrayLike,
    system: ArrayLike,
    baseline: ArrayLike,
    *,
    num_resamples: int = 9_999,
    seed: int,
) -> float:
    """Two-sided p-value of a gain: how often would swapping the systems' labels document by document give as much?

    If the two systems were alike, the labels that they gave each document could as well have been swapped, those of
    all seeds together. `num_resamples` random swaps are drawn and the observed labelling is counted among them::

        p = 2 (1 + swaps at least as extreme on the observed side) / (1 + num_resamples)

    so that the smallest p-value that 9,999 swaps can give is 0.0002. Where the numbers of seeds differ, each side's
    are repeated to their least common multiple, which changes neither mean.

    Args:
        metric: one of `DOCUMENT_METRICS`.
        gold: (documents,) label ids.
        system: (documents,) or (seeds, documents) label ids from the system.
        baseline: the same from the baseline; it may have another number of seeds.
        num_resamples: how many random swaps are drawn.
        seed: of the drawing.

    Returns:
        The p-value, in 0..1.

    Raises:
        ValueError: the metric is not known, the shapes don't fit, or there is no document.

    Reference:
        Phipson and Smyth (2010), Permutation P-values Should Never Be Zero,
        https://doi.org/10.2202/1544-6115.1585

    Compare with `significance.paired_permutation_test`, the same for sentences of unequal lengths.
    """
    ours, theirs = np.atleast_2d(np.asarray(system)), np.atleast_2d(np.asarray(baseline))
    num_columns = math.lcm(len(ours), len(theirs))
    ours = np.tile(ours, (num_columns // len(ours), 1))
    theirs = np.tile(theirs, (num_columns // len(theirs), 1))
    ways, (gold_labels, ours, theirs) = count_ways(metric, gold, ours, theirs, average_seeds=True)
    own, other = way_tallies(metric, gold_labels, ours), way_tallies(metric, gold_labels, theirs)
    own_sums, other_sums = np.tensordot(ways, own, 1), np.tensordot(ways, other, 1)
    observed = tally_scores(own_sums).mean() - tally_scores(other_sums).mean()
    # What swapping one document adds to the system's sums and takes from the baseline's; ways alike in that are one.
    changes, which = np.unique((other - own).reshape(len(ways), -1), axis=0, return_inverse=True)
    swappable = np.bincount(which.ravel(), ways).astype(np.int64)
    rng = np.random.default_rng(seed)
    above = below = 1  # the observed labelling is one more random swap
    for size in _batches(max(len(swappable), changes.shape[1]), num_resamples):
        swapped = rng.binomial(swappable, 0.5, size=(size, len(swappable)))
        moved = (swapped @ changes).reshape(size, *own_sums.shape)
        gains = tally_scores(own_sums + moved).mean(axis=1) - tally_scores(other_sums - moved).mean(axis=1)
        above += int((gains >= observed - _TIE).sum())
        below += int((gains <= observed + _TIE).sum())
    return min(1.0, 2 * min(above, below) / (1 + num_resamples))


def count_ways(
    metric: str, gold: ArrayLike, *systems: ArrayLike, average_seeds: bool
) -> tuple[Counts, list[NDArray[np.int64]]]:
    """How many documents came out in each way.

    Args:
        metric: one of `DOCUMENT_METRICS`; for `accuracy` a way only tells right from wrong.
        gold: (documents,) label ids.
        average_seeds: only each system's mean over its seeds will be asked for: for `accuracy`, ways that differ only
            in which of the seeds are right then count as one.
        *systems: (documents,) or (seeds, documents) label ids of each system.

    Returns:
        (ways,) documents of each way; and a list of the ways' gold label ids (ways,) and each system's label ids
        (ways, seeds).

    Raises:
        ValueError: the metric is not known, the shapes don't fit, or there is no document.
    """
    if metric not in DOCUMENT_METRICS:
        raise ValueError(f"unknown metric {metric!r} of documents; known are {', '.join(DOCUMENT_METRICS)}")
    gold_labels = np.asarray(gold, dtype=np.int64)
    labels = [np.atleast_2d(np.asarray(system, dtype=np.int64)) for system in systems]
    if gold_labels.ndim != 1 or any(own.ndim != 2 or own.shape[1] != len(gold_labels) for own in labels):
        shapes = ", ".join(str(np.shape(system)) for system in systems)
        raise ValueError(f"gold has shape {np.shape(gold)}, the systems {shapes}: the documents differ")
    if not len(gold_labels):
        raise ValueError("there is no document")
    if metric == "accuracy":
        labels = [(own == gold_labels).astype(np.int64) for own in labels]
        gold_labels = np.ones_like(gold_labels)
        if average_seeds:
            labels = [np.sort(own, axis=0) for own in labels]
    columns = np.concatenate([gold_labels[None], *labels])  # (1 + seeds of all systems, documents)
    ways, counts = _unique_columns(columns)
    ends = np.cumsum([len(own) for own in labels])
    return counts, [ways[0], *(own.T for own in np.split(ways[1:], ends[:-1]))]


def way_tallies(metric: str, gold: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.float64]:
    """What one document of each way adds to the sums that a metric is made of.

    Args:
        metric: one of `DOCUMENT_METRICS`.
        gold: (ways,) label ids.
        predicted: (ways, seeds) label ids.

    Returns:
        (ways, seeds, 2, ratios): what it adds to the numerators and to the denominators; one ratio for `accuracy`, one
        per label for `macro_f1`.
    """
    if metric == "accuracy":
        right = (predicted == gold[:, None])[:, :, None]
        return np.stack([right, np.ones_like(right)], axis=2).astype(np.float64)
    labels = np.union1d(gold, predicted)
    is_gold, is_predicted = (gold[:, None] == labels)[:, None], predicted[:, :, None] == labels
    right = is_gold & is_predicted  # (ways, seeds, labels)
    return np.stack([2.0 * right, is_gold + is_predicted.astype(np.float64)], axis=2)


def tally_scores(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """A metric from the sums of `way_tallies` over documents: the mean of the ratios.

    A label that a drawn test set has neither in gold nor in predictions is no ratio of that set.

    Args:
        sums: (..., seeds, 2, ratios).

    Returns:
        (..., seeds) scores.
    """
    numerators, denominators = sums[..., 0, :], sums[..., 1, :]
    return (numerators / np.maximum(denominators, 1)).sum(axis=-1) / (denominators > 0).sum(axis=-1)


def drawn_counts(rng: np.random.Generator, ways: Counts, num_resamples: int) -> Iterator[Counts]:
    """Draw as many documents as there are, with replacement, many times.

    Args:
        rng: where the randomness comes from.
        ways: (ways,) documents of each way.
        num_resamples: how many times.

    Yields:
        (some of the resamples, ways) documents of each way; all together `num_resamples` rows.
    """
    num_documents = int(ways.sum())
    for size in _batches(len(ways), num_resamples):
        yield rng.multinomial(num_documents, ways / num_documents, size=size)


def _unique_columns(columns: NDArray[np.int64]) -> tuple[NDArray[np.int64], Counts]:
    """The different columns (rows, ways) and how often each is there."""
    num_labels = int(columns.max()) + 1
    if columns.min() < 0 or num_labels ** len(columns) > _MAX_CODES:
        ways, counts = np.unique(columns, axis=1, return_counts=True)
        return ways, counts
    # Each column as one number in base `num_labels`: counting numbers is far quicker than sorting columns.
    places = num_labels ** np.arange(len(columns))[::-1]
    counts = np.bincount(places @ columns)
    codes = np.flatnonzero(counts)
    return codes // places[:, None] % num_labels, counts[codes]


def _batches(num_ways: int, num_resamples: int) -> Iterator[int]:
    size = max(1, _BATCH_ELEMENTS // num_ways)
    for start in range(0, num_resamples, size):
        yield min(size, num_resamples - start)
