"""How one system's seeds came out on one test set, of sentences or of documents, ready to be scored and compared."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlptransfer.evaluation.document_predictions import DocumentPredictions, label_ids
from nlptransfer.evaluation.document_significance import (
    document_interval,
    document_score,
    paired_document_interval,
    paired_document_test,
)
from nlptransfer.evaluation.metrics import SentenceCounts, sentence_counts
from nlptransfer.evaluation.number_scores import R_SQUARED, NumberPredictions
from nlptransfer.evaluation.predictions import Predictions, SystemPredictions, check_same_items
from nlptransfer.evaluation.significance import bootstrap_interval, paired_bootstrap_interval, paired_permutation_test
from nlptransfer.evaluation.span_scores import SPAN_F1, SpanOutcomes, span_counts


@dataclass(frozen=True)
class SentenceOutcomes:
    """What each sentence adds to an accuracy of tags, under each seed.

    Attributes:
        correct: (seeds, sentences) right positions.
        counts: (sentences,) positions that count.
    """

    correct: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Positions that count."""
        return int(self.counts.sum())

    def of_seed(self, index: int) -> SentenceOutcomes:
        """Those of one seed."""
        return SentenceOutcomes(self.correct[[index]], self.counts)

    def score(self) -> float:
        """The mean over the seeds."""
        return sum(SentenceCounts(own, self.counts).accuracy() for own in self.correct) / len(self.correct)

    def interval(self, *, confidence: float, num_resamples: int, seed: int) -> tuple[float, float]:
        """The score's, over sentences."""
        return bootstrap_interval(
            self.correct, self.counts, confidence=confidence, num_resamples=num_resamples, seed=seed
        )

    def gain_interval(
        self, baseline: SentenceOutcomes, *, confidence: float, num_resamples: int, seed: int
    ) -> tuple[float, float]:
        """The gain's over a baseline on the same sentences."""
        return paired_bootstrap_interval(
            self.correct,
            baseline.correct,
            self.counts,
            confidence=confidence,
            num_resamples=num_resamples,
            seed=seed,
        )

    def p_value(self, baseline: SentenceOutcomes, *, num_resamples: int, seed: int) -> float:
        """The gain's over a baseline on the same sentences."""
        return paired_permutation_test(
            self.correct, baseline.correct, self.counts, num_resamples=num_resamples, seed=seed
        )


@dataclass(frozen=True)
class DocumentOutcomes:
    """The labels of each document, gold and under each seed.

    Attributes:
        metric: one of `nlptransfer.evaluation.metrics.DOCUMENT_METRICS`.
        gold: (documents,) label ids.
        predicted: (seeds, documents) label ids.
    """

    metric: str
    gold: NDArray[np.int64]
    predicted: NDArray[np.int64]

    @property
    def n(self) -> int:
        """The number of documents."""
        return len(self.gold)

    def of_seed(self, index: int) -> DocumentOutcomes:
        """Those of one seed."""
        return DocumentOutcomes(self.metric, self.gold, self.predicted[[index]])

    def score(self) -> float:
        """The mean over the seeds."""
        return document_score(self.metric, self.gold, self.predicted)

    def interval(self, *, confidence: float, num_resamples: int, seed: int) -> tuple[float, float]:
        """The score's, over documents."""
        return document_interval(
            self.metric, self.gold, self.predicted, confidence=confidence, num_resamples=num_resamples, seed=seed
        )

    def gain_interval(
        self, baseline: DocumentOutcomes, *, confidence: float, num_resamples: int, seed: int
    ) -> tuple[float, float]:
        """The gain's over a baseline on the same documents."""
        return paired_document_interval(
            self.metric,
            self.gold,
            self.predicted,
            baseline.predicted,
            confidence=confidence,
            num_resamples=num_resamples,
            seed=seed,
        )

    def p_value(self, baseline: DocumentOutcomes, *, num_resamples: int, seed: int) -> float:
        """The gain's over a baseline on the same documents."""
        return paired_document_test(
            self.metric, self.gold, self.predicted, baseline.predicted, num_resamples=num_resamples, seed=seed
        )


def default_metric(part: SystemPredictions) -> str:
    """The metric of predictions of this kind: token accuracy of tags, accuracy of documents, R squared of numbers."""
    if isinstance(part, Predictions):
        return "token_accuracy"
    return R_SQUARED if isinstance(part, NumberPredictions) else "accuracy"


def sentence_outcomes(
    *systems: Sequence[SystemPredictions],
    metric: str,
    training_words: Collection[str] | None = None,
    max_length: int | None = None,
) -> list[SentenceOutcomes] | list[SpanOutcomes]:
    """The outcomes of each system's tags; see `metrics.sentence_counts` for the arguments.

    Args:
        metric: one of `nlptransfer.evaluation.metrics.METRICS`, or `span_f1`.
        training_words: the training set's words; for `unseen_word_accuracy`.
        max_length: positions per sentence; for `padded_accuracy`.
        *systems: each system's predictions for the same sentences, one per seed.

    Returns:
        One for each system.

    Raises:
        InputError: the predictions are not for the same sentences.
        ValueError: the metric is none of tags, or what it needs was not given.
    """
    check_same_items([part for parts in systems for part in parts])
    if metric == SPAN_F1:
        return [_span_outcomes([part for part in parts if isinstance(part, Predictions)]) for parts in systems]
    found = []
    for parts in systems:
        counts = [
            sentence_counts(
                metric,
                part.gold,
                part.predicted,
                tokens=part.tokens,
                training_words=training_words,
                max_length=max_length,
            )
            for part in parts
            if isinstance(part, Predictions)
        ]
        found.append(SentenceOutcomes(np.stack([own.correct for own in counts]), counts[0].counts))
    return found


def _span_outcomes(parts: Sequence[Predictions]) -> SpanOutcomes:
    counts = [span_counts(part.gold, part.predicted) for part in parts]
    return SpanOutcomes(
        np.stack([own.right for own in counts]), counts[0].gold, np.stack([own.predicted for own in counts])
    )


def document_outcomes(*systems: Sequence[SystemPredictions], metric: str) -> list[DocumentOutcomes]:
    """The outcomes of each system's labels of documents, a label being the same number in all of them.

    Args:
        metric: one of `nlptransfer.evaluation.metrics.DOCUMENT_METRICS`.
        *systems: each system's predictions for the same documents, one per seed.

    Returns:
        One for each system.

    Raises:
        InputError: the predictions are not for the same documents, or gold labels are withheld.
    """
    everything = [part for parts in systems for part in parts]
    check_same_items(everything)
    gold, labels = label_ids([part for part in everything if isinstance(part, DocumentPredictions)])
    ends = np.cumsum([len(parts) for parts in systems])
    return [DocumentOutcomes(metric, gold, own) for own in np.split(labels, ends[:-1])]
