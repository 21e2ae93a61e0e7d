"""F1 of spans such as chunks and names, written as tags `B-NP I-NP O`; its intervals and its test, over sentences.

F1 is a ratio of two sums over sentences, so each sentence counts by what it adds to both (`span_counts`)::

    F1 = 2 sum(right) / (sum(gold) + sum(predicted))
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlptransfer.errors import InputError
from nlptransfer.evaluation.document_significance import drawn_counts
from nlptransfer.evaluation.metrics import TagLists, check_word_counts

SPAN_F1 = "span_f1"

_SPAN_TAG = re.compile(r"[BIES]-.+")
_BATCH_ELEMENTS = 2_000_000  # numbers held at once while swapping: 16 MB an array
_TIE = 1e-10


class SpanCounts(NamedTuple):
    """What each sentence adds to the F1 of spans.

    Attributes:
        right: (sentences,) integers, spans that were found with their borders and their type.
        gold: (sentences,) integers, spans that there are.
        predicted: (sentences,) integers, spans that were predicted.
    """

    right: np.ndarray
    gold: np.ndarray
    predicted: np.ndarray

    def f1(self) -> float:
        """2 right / (gold + predicted). Raises `InputError` where there is no span: 0/0 is not an F1."""
        total = int(self.gold.sum() + self.predicted.sum())
        if total == 0:
            raise InputError("there is no span to score", remedy="Give at least one sentence with a span.")
        return float(2 * self.right.sum() / total)


def is_span_tag_set(tags: Iterable[str]) -> bool:
    """Whether tags mark spans: all are ``O`` or like ``B-NP`` and ``I-NP`` (also ``E-``, ``S-``), one of them a ``B-``.

    Args:
        tags: the names of a task's labels.

    Example:
        >>> is_span_tag_set(["B-NP", "I-NP", "O"]), is_span_tag_set(["NOUN", "VERB"])
        (True, False)
    """
    names = list(tags)
    return all(name == "O" or _SPAN_TAG.fullmatch(name) for name in names) and any(
        name.startswith("B-") for name in names
    )


def span_counts(gold: TagLists, predicted: TagLists) -> SpanCounts:
    """Per-sentence counts behind `span_f1`.

    Spans are read from tags as conlleval reads them: also ``I-NP`` after ``O`` begins one.

    Args:
        gold: one list of gold tags per sentence.
        predicted: one list of predicted tags per sentence, of the same lengths.

    Returns:
        `SpanCounts`, three arrays of (sentences,) integers.

    Raises:
        InputError: the number of sentences or words differs.
    """
    from seqeval.metrics.sequence_labeling import get_entities

    check_word_counts(gold, predicted)
    rows = []
    for gold_tags, own_tags in zip(gold, predicted, strict=True):
        there, found = set(get_entities(list(gold_tags))), set(get_entities(list(own_tags)))
        rows.append((len(there & found), len(there), len(found)))
    return SpanCounts(*np.array(rows, dtype=np.int64).reshape(-1, 3).T)


def span_f1(gold: TagLists, predicted: TagLists) -> float:
    """F1 of spans: the harmonic mean of precision and recall, a span being right with both borders and its type.

    Args:
        gold: one list of gold tags per sentence, such as ``["B-NP", "I-NP", "O"]``.
        predicted: one list of predicted tags per sentence, of the same lengths.

    Returns:
        A number in 0..1.

    Raises:
        InputError: the number of sentences or words differs, or there is no span in either.

    Reference:
        Tjong Kim Sang & Buchholz 2000, section 5, https://aclanthology.org/W00-0726.

    Compare with `metrics.token_accuracy`, which a tagger that says ``O`` everywhere may do well by.

    Example:
        >>> span_f1([["B-NP", "I-NP", "B-VP"]], [["B-NP", "O", "B-VP"]])
        0.5
    """
    return span_counts(gold, predicted).f1()


@dataclass(frozen=True)
class SpanOutcomes:
    """What each sentence adds to the F1 of spans, under each seed.

    Attributes:
        right: (seeds, sentences) spans that were found.
        gold: (sentences,) spans that there are.
        predicted: (seeds, sentences) spans that were predicted.
    """

    right: NDArray[np.int64]
    gold: NDArray[np.int64]
    predicted: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Spans that there are."""
        return int(self.gold.sum())

    def of_seed(self, index: int) -> SpanOutcomes:
        """Those of one seed."""
        return SpanOutcomes(self.right[[index]], self.gold, self.predicted[[index]])

    def score(self) -> float:
        """The mean over the seeds."""
        pairs = zip(self.right, self.predicted, strict=True)
        return sum(SpanCounts(right, self.gold, predicted).f1() for right, predicted in pairs) / len(self.right)

    def interval(self, *, confidence: float, num_resamples: int, seed: int) -> tuple[float, float]:
        """The score's percentile bootstrap interval over sentences.

        Where drawing again can't show how uncertain the score is, it is not called certain: see
        `significance.bootstrap_interval`.
        """
        tallies = self._tallies()
        tallies = tallies[tallies.any(axis=(1, 2))]
        tail, num_sentences = (1 - confidence) / 2, len(tallies)
        if (tallies[..., 0] == tallies[..., 1]).all():
            return tail ** (1 / num_sentences), 1.0
        if not tallies[..., 0].any():
            return 0.0, 1 - tail ** (1 / num_sentences)
        if num_sentences == 1:
            return 0.0, 1.0
        (scores,) = _resampled(tallies, num_resamples=num_resamples, seed=seed)
        low, high = np.quantile(scores, [tail, 1 - tail])
        return float(low), float(high)

    def gain_interval(
        self, baseline: SpanOutcomes, *, confidence: float, num_resamples: int, seed: int
    ) -> tuple[float, float]:
        """The gain's over a baseline on the same sentences: both are read on the same drawn ones."""
        if len(self.gold) == 1:
            return -1.0, 1.0
        own, other = _resampled(self._tallies(), baseline._tallies(), num_resamples=num_resamples, seed=seed)
        tail = (1 - confidence) / 2
        low, high = np.quantile(own - other, [tail, 1 - tail])
        return float(low), float(high)

    def p_value(self, baseline: SpanOutcomes, *, num_resamples: int, seed: int) -> float:
        """The gain's over a baseline on the same sentences.

        The two systems' tags are swapped sentence by sentence at random, those of all seeds together, as in
        `document_significance.paired_document_test`, which tells the formula.
        """
        own, other = self._tallies(), baseline._tallies()
        num_seeds = math.lcm(own.shape[1], other.shape[1])
        own = np.tile(own, (1, num_seeds // own.shape[1], 1))
        other = np.tile(other, (1, num_seeds // other.shape[1], 1))
        own_sums, other_sums = own.sum(axis=0), other.sum(axis=0)  # (seeds, 2)
        observed = _f1(own_sums).mean() - _f1(other_sums).mean()
        changes = (other - own).reshape(len(own), -1)
        changes = changes[changes.any(axis=1)].astype(np.float64)  # the others can't change the sums
        generator = np.random.default_rng(seed)
        above = below = 1  # the observed labelling is one more random swap
        size = max(1, _BATCH_ELEMENTS // max(1, len(changes)))
        for start in range(0, num_resamples, size):
            rows = min(size, num_resamples - start)
            swapped = generator.integers(0, 2, (rows, len(changes))).astype(np.float64)
            moved = (swapped @ changes).reshape(rows, *own_sums.shape)
            gains = _f1(own_sums + moved).mean(axis=1) - _f1(other_sums - moved).mean(axis=1)
            above += int((gains >= observed - _TIE).sum())
            below += int((gains <= observed + _TIE).sum())
        return min(1.0, 2 * min(above, below) / (1 + num_resamples))

    def _tallies(self) -> NDArray[np.int64]:
        """(sentences, seeds, 2): what each sentence adds to the numerator and to the denominator."""
        return np.stack([2 * self.right, self.gold + self.predicted], axis=-1).transpose(1, 0, 2)


def _f1(sums: NDArray) -> NDArray[np.float64]:
    """(..., 2) sums to (...) scores; 0 where there is no span."""
    return sums[..., 0] / np.maximum(sums[..., 1], 1)


def _resampled(*systems: NDArray[np.int64], num_resamples: int, seed: int) -> list[NDArray[np.float64]]:
    """Each system's mean over its seeds on test sets drawn anew, the same ones for all: (resamples,) each."""
    flat = np.concatenate([own.reshape(len(own), -1) for own in systems], axis=1)
    ways, counts = np.unique(flat, axis=0, return_counts=True)  # sentences with the same counts are one way
    ends = np.cumsum([own.shape[1] * 2 for own in systems])[:-1]
    parts = np.split(ways.astype(np.float64), ends, axis=1)
    scores: list[list[NDArray[np.float64]]] = [[] for _ in systems]
    for drawn in drawn_counts(np.random.default_rng(seed), counts, num_resamples):
        for own, part in zip(scores, parts, strict=True):
            own.append(_f1((drawn @ part).reshape(len(drawn), -1, 2)).mean(axis=1))
    return [np.concatenate(own) for own in scores]
