"""The step that trains several tasks: the loss of each, and one number made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from nlptransfer.multitask.same_text import once_per_text
from nlptransfer.types import TaskBatch

TaskLosses = Callable[[Any, TaskBatch, float], Mapping[str, torch.Tensor]]
"""(model, batch, progress in 0..1) -> the loss of each task in the batch."""

Weighting = Callable[[Mapping[str, torch.Tensor]], torch.Tensor]
"""Losses by task -> the one that is minimised: `fixed_weighting`, `UncertaintyWeighting`, `DynamicWeightAverage`."""

TaskStep = Callable[[Any, TaskBatch, float], dict[str, torch.Tensor]]
"""A `nlptransfer.training.loop.Step` over batches of several tasks."""


def task_losses(model: Any, batch: TaskBatch, progress: float) -> dict[str, torch.Tensor]:
    """The loss of each task in a batch, with the factor that several processes need.

    Args:
        model: with ``model(batch, task)`` and ``loss(output, batch, task)``, as `HardSharing` and the other ways of
            sharing have. Where it has ``forward_text(batch, tasks)`` too, as those have whose tasks share an encoder, a
            text that several tasks label is gone through once for all of them.
        batch: of one or more tasks.
        progress: not used; other losses may change over the training.

    Returns:
        A scalar by task.
    """
    outputs = task_outputs(model, batch)
    return batch.scaled({task: model.loss(outputs[task], own, task) for task, own in batch.batches.items()})


def task_outputs(model: Any, batch: TaskBatch) -> dict[str, Any]:
    """What a model says of each task in a batch; a text that several tasks label is gone through once where it can be.

    Args:
        model: see `task_losses`.
        batch: of one or more tasks.

    Returns:
        A `ModelOutput` by task.
    """
    if not hasattr(model, "forward_text"):
        return {task: model(own, task) for task, own in batch.batches.items()}
    return once_per_text(batch.batches, model.forward_text)


def make_task_step(weighting: Weighting | None = None, *, losses: TaskLosses = task_losses) -> TaskStep:
    """A step that minimises one number made of the losses of the tasks in a batch.

    Args:
        weighting: what the number is; None is their sum.
        losses: the loss of each task.

    Returns:
        A step for `train` over `TaskBatches`, `AlternatingBatches` or `MixedBatches`, with the losses "loss" and that
        of each task of the batch under its name.

    Compare with:
        `make_balanced_step`, which weighs by the tasks' gradients.

    Example:
        >>> step = make_task_step(fixed_weighting({"pos": 0.3, "chunk": 1.0}))
        >>> train(network, step, batches, optimizer, epochs=10, seed=0)
    """

    def step(model: Any, batch: TaskBatch, progress: float) -> dict[str, torch.Tensor]:
        found = losses(model, batch, progress)
        total = sum_losses(found) if weighting is None else weighting(found)
        return {"loss": total, **found}

    return step


def sum_losses(losses: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The sum of the tasks' losses.

    Args:
        losses: a scalar by task.
    """
    return torch.stack(list(losses.values())).sum()
