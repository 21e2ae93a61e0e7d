"""One task of a model of several tasks, to be used as a model of this task alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nlptransfer.errors import InputError


class TaskTagger:
    """The tags of one task.

    Args:
        model: of several tasks.
        task: one that tags words.

    Attributes:
        tags: those that the task tells apart.
        metadata: nothing, since the tasks of a model have columns of their own.
    """

    def __init__(self, model: Any, task: str) -> None:
        self.tags = list(model.tasks[task].labels)
        self.metadata: dict[str, Any] = {}
        self._model, self._task = model, task

    def predict(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """A list of tags for each list of words."""
        tags: list[list[str]] = self._model.predict(sentences, self._task)
        return tags


class TaskClassifier:
    """The labels of one task.

    Args:
        model: of several tasks.
        task: one that labels texts.

    Attributes:
        labels: those that the task tells apart.
    """

    def __init__(self, model: Any, task: str) -> None:
        self.labels = list(model.tasks[task].labels)
        self._model, self._task = model, task

    def predict(self, texts: Sequence[str]) -> list[str]:
        """A label for each text."""
        labels: list[str] = self._model.predict(texts, self._task)
        return labels

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, C) probabilities."""
        probabilities: np.ndarray = self._model.predict_proba(texts, self._task)
        return probabilities


def of_task(model: Any, task: str | None) -> Any:
    """A model of one task as it is; of a model of several tasks, the one asked for.

    Args:
        model: any.
        task: a task's name; None is the first.

    Returns:
        A model with `tags`, or with `labels` and `predict_proba`.

    Raises:
        InputError: the model has no such task, or the task predicts numbers.
    """
    tasks = getattr(model, "tasks", None)
    if tasks is None:
        if task is not None:
            raise InputError("the model has one task, which has no name", remedy="Leave out --task.")
        return model
    name = next(iter(tasks)) if task is None else task
    if name not in tasks:
        raise InputError("the model has no such task", expected=" or ".join(tasks), found=name)
    if tasks[name].kind == "regression":
        raise InputError(f"the task '{name}' predicts numbers", remedy="Use the model's `predict` from Python.")
    return (TaskTagger if tasks[name].kind == "tagging" else TaskClassifier)(model, name)
