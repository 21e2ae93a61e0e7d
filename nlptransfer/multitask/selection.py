"""How good a task is on its development data, and which epoch to keep: of each task by itself, or of all together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nlptransfer.evaluation.metrics import accuracy, token_accuracy
from nlptransfer.evaluation.number_scores import R_SQUARED, r_squared
from nlptransfer.evaluation.span_scores import SPAN_F1, is_span_tag_set, span_f1
from nlptransfer.multitask.task_data import MISSING_TAG
from nlptransfer.multitask.tasks import Task
from nlptransfer.training.checkpoint import read_checkpoint, write_checkpoint
from nlptransfer.types import NO_LABEL


def task_metric(task: Task) -> str:
    """What a task is judged by.

    Args:
        task: with its labels.

    Returns:
        ``span_f1`` for tags that mark spans, such as chunks and names; ``token_accuracy`` for other tags;
        ``accuracy`` for classification; ``r_squared`` for regression.
    """
    if task.kind == "tagging":
        return SPAN_F1 if is_span_tag_set(task.labels) else "token_accuracy"
    return "accuracy" if task.kind == "classification" else R_SQUARED


def task_score(task: Task, gold: Sequence[Any], predicted: Sequence[Any]) -> float:
    """The score of a task by its own metric; what carries no label is passed over.

    Args:
        task: with its labels.
        gold: for each text a list of tags, a label, or a number; see `TaskSplit.gold`.
        predicted: the same from a model.

    Returns:
        A number; higher is better, 1 is perfect. Of spans, sentences that are labelled in part count as far as they
        are.

    Raises:
        InputError: the two do not fit, or nothing carries a label.

    Example:
        >>> task_score(Task("pos", "tagging", ("N", "V")), [["N", "_"], ["V"]], [["N", "V"], ["N"]])
        0.5
    """
    if task.kind == "regression":
        known = [pair for pair in zip(gold, predicted, strict=True) if pair[0] != NO_LABEL]
        return r_squared([own for own, _ in known], [other for _, other in known])
    if task.kind == "classification":
        pairs = [pair for pair in zip(gold, predicted, strict=True) if pair[0] != MISSING_TAG]
        return accuracy([own for own, _ in pairs], [other for _, other in pairs])
    kept = [[tag != MISSING_TAG for tag in tags] for tags in gold]
    if not all(map(all, kept)):
        pick = [list(map(bool, flags)) for flags in kept]
        gold, predicted = (
            [
                [tag for tag, flag in zip(tags, flags, strict=True) if flag]
                for tags, flags in zip(side, pick, strict=True)
            ]
            for side in (gold, predicted)
        )
    return (span_f1 if task_metric(task) == SPAN_F1 else token_accuracy)(gold, predicted)


def joint_score(scores: Mapping[str, float], references: Mapping[str, float] | None = None) -> float:
    r"""One score for all tasks: the mean of the tasks' scores, each as a share of its reference.

    .. math:: S = \frac{1}{K} \sum_t \frac{s_t}{r_t}

    Args:
        scores: s by task, higher is better.
        references: r by task, above 0, such as what the task reaches alone on its development data; then 1 is as good
            as alone. None is 1 for all: the plain mean.

    Returns:
        A number.

    Raises:
        ValueError: there is no score, a task has no reference, or one that is not above 0.

    Reference:
        Maninis et al. 2019, the average per-task drop, which is S - 1; https://arxiv.org/abs/1904.08918.

    Example:
        >>> joint_score({"pos": 0.9, "chunk": 0.6}, {"pos": 0.9, "chunk": 0.8})
        0.875
    """
    if not scores:
        raise ValueError("there is no score to join")
    if references is None:
        return sum(scores.values()) / len(scores)
    if any(references.get(task, 0.0) <= 0 for task in scores):
        raise ValueError(f"every task needs a reference above 0, found {dict(references)} for {', '.join(scores)}")
    return sum(score / references[task] for task, score in scores.items()) / len(scores)


class TaskSelection:
    """Scores all tasks after each epoch: gives `train` the joint score, and keeps each task's own best weights.

    Selecting jointly gives one model for all tasks; selecting per task, one set of weights for each, of which all but
    the task's own output is passed over. Say in results which one was used.

    Args:
        model: the one that is trained.
        evaluate: by task, its score on its own development data with the model as it is.
        references: see `joint_score`.
        checkpoint: file that keeps the best weights; None keeps them in memory alone.
        resume: read the checkpoint where there is one, as `train` does.

    Attributes:
        best: by task, its highest score so far.

    Raises:
        InputError: the checkpoint can't be read.

    Example:
        >>> selection = TaskSelection(network, {"pos": score_pos, "chunk": score_chunk})
        >>> train(network, step, batches, optimizer, epochs=10, seed=0, evaluate=selection)
        >>> selection.restore("chunk")  # the network of the epoch that was best for chunks
    """

    def __init__(
        self,
        model: nn.Module,
        evaluate: Mapping[str, Callable[[], float]],
        *,
        references: Mapping[str, float] | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> None:
        self.model = model
        self.evaluate = dict(evaluate)
        self.references = references
        self.checkpoint = checkpoint
        self.best: dict[str, float] = {}
        self._weights: dict[str, dict[str, torch.Tensor]] = {}
        if checkpoint is not None and resume and Path(checkpoint).exists():
            state = read_checkpoint(checkpoint)
            self.best, self._weights = state["best"], state["weights"]

    def __call__(self) -> float:
        """Score every task; keep the weights where a task is better than ever. Gives the joint score."""
        scores = {task: float(own()) for task, own in self.evaluate.items()}
        better = [task for task, score in scores.items() if score > self.best.get(task, float("-inf"))]
        if better:
            # One copy for all tasks that are best at this epoch.
            weights = {name: tensor.detach().cpu().clone() for name, tensor in self.model.state_dict().items()}
            for task in better:
                self.best[task], self._weights[task] = scores[task], weights
            if self.checkpoint is not None:
                write_checkpoint(self.checkpoint, {"best": self.best, "weights": self._weights})
        return joint_score(scores, self.references)

    def restore(self, task: str) -> None:
        """Give the model the weights of the epoch that was best for a task.

        Args:
            task: one that was scored.
        """
        self.model.load_state_dict(self._weights[task])
