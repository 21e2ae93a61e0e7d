"""The metrics with the interface of the `evaluate` library, offline: `evaluate.load` would ask the network for them.

Importing this file imports `evaluate` (seconds); `nlptransfer.evaluation.metrics.load_metric` does it when needed.
Inputs are kept in memory, in one process.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import datasets
import evaluate

from nlptransfer.evaluation import metrics
from nlptransfer.evaluation.metrics import TagLists


def _metric_info(description: str, *names: str) -> evaluate.MetricInfo:
    """What `evaluate` wants to know of a metric whose inputs are all lists of strings."""
    return evaluate.MetricInfo(
        description=description,
        citation="",
        inputs_description=f"{', '.join(names)}: one list of strings per sentence, all of the same lengths",
        features=datasets.Features({name: datasets.Sequence(datasets.Value("string")) for name in names}),
    )


def _label_info(description: str) -> evaluate.MetricInfo:
    """The same of a metric whose inputs are one label per document."""
    return evaluate.MetricInfo(
        description=description,
        citation="",
        inputs_description="predictions, references: one label per document, as many of each",
        features=datasets.Features({name: datasets.Value("string") for name in ("predictions", "references")}),
    )


class TokenAccuracy(evaluate.Metric):
    """`nlptransfer.evaluation.metrics.token_accuracy` as an `evaluate.Metric`."""

    def __init__(self) -> None:
        super().__init__(keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        return _metric_info("fraction of real words whose tag is right", "predictions", "references")

    def _compute(self, predictions: TagLists, references: TagLists) -> dict[str, float]:
        return {"token_accuracy": metrics.token_accuracy(references, predictions)}


class UnseenWordAccuracy(evaluate.Metric):
    """`nlptransfer.evaluation.metrics.unseen_word_accuracy` as an `evaluate.Metric`.

    Args:
        training_words: the words of the training set as written there (case matters).
    """

    def __init__(self, *, training_words: Collection[str]) -> None:
        super().__init__(keep_in_memory=True)
        self.training_words = frozenset(training_words)

    def _info(self) -> evaluate.MetricInfo:
        description = "fraction of the words unseen in training whose tag is right"
        return _metric_info(description, "predictions", "references", "tokens")

    def _compute(self, predictions: TagLists, references: TagLists, tokens: TagLists) -> dict[str, float]:
        accuracy = metrics.unseen_word_accuracy(
            references, predictions, tokens=tokens, training_words=self.training_words
        )
        return {"unseen_word_accuracy": accuracy}


class PaddedAccuracy(evaluate.Metric):
    """`nlptransfer.evaluation.metrics.padded_accuracy` as an `evaluate.Metric`: padding counts, so it flatters.

    Args:
        max_length: positions per sentence.
    """

    def __init__(self, *, max_length: int) -> None:
        super().__init__(keep_in_memory=True)
        self.max_length = max_length

    def _info(self) -> evaluate.MetricInfo:
        return _metric_info("fraction of positions tagged right, padding counted", "predictions", "references")

    def _compute(self, predictions: TagLists, references: TagLists) -> dict[str, float]:
        return {"padded_accuracy": metrics.padded_accuracy(references, predictions, max_length=self.max_length)}


class Accuracy(evaluate.Metric):
    """`nlptransfer.evaluation.metrics.accuracy` as an `evaluate.Metric`."""

    def __init__(self) -> None:
        super().__init__(keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        return _label_info("fraction of documents whose label is right")

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        return {"accuracy": metrics.accuracy(references, predictions)}


class MacroF1(evaluate.Metric):
    """`nlptransfer.evaluation.metrics.macro_f1` as an `evaluate.Metric`."""

    def __init__(self) -> None:
        super().__init__(keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        return _label_info("mean over the labels of their F1")

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        return {"macro_f1": metrics.macro_f1(references, predictions)}
