"""What a training run would cost, measured on a few of its batches, with no weight changed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from accelerate import Accelerator
from torch import nn

from nlptransfer.training.loop import EpochBatches, Step


@dataclass(frozen=True)
class ParameterGroup:
    """The parameters of one part of a model.

    Attributes:
        name: of the part, as an attribute of the model.
        parameters: how many numbers it holds.
        trained: how many of them training changes.
    """

    name: str
    parameters: int
    trained: int


def parameter_groups(model: nn.Module) -> list[ParameterGroup]:
    """The parts of a model that hold parameters, in their order."""
    groups = []
    for name, part in model.named_children():
        parameters = list(part.parameters())
        if parameters:
            trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
            groups.append(ParameterGroup(name, sum(parameter.numel() for parameter in parameters), trained))
    return groups


def forecast_seconds_per_epoch(
    model: nn.Module, step: Step, batches: EpochBatches, *, accelerator: Accelerator, num_batches: int = 6
) -> float:
    """Time forward and backward on the first batches and scale it up to an epoch, by batches.

    The optimizer's own time is left out; gradients are thrown away.

    Args:
        model: as for `train`.
        step: as for `train`.
        batches: as for `train`.
        accelerator: as for `train`.
        num_batches: how many to time, after one that only warms up.

    Returns:
        Seconds per epoch, evaluation left out.
    """
    model.to(accelerator.device).train()
    seconds = []
    with torch.random.fork_rng():
        for batch in islice(batches, num_batches + 1):
            started = time.perf_counter()
            with accelerator.autocast():
                accelerator.backward(step(model, batch.to(accelerator.device), 0.0)["loss"])
            model.zero_grad()
            seconds.append(time.perf_counter() - started)
    model.eval()
    timed = seconds[1:] or seconds
    return sum(timed) / len(timed) * len(batches)


def forecast_bytes(groups: Sequence[ParameterGroup]) -> int:
    """Memory for weights, and for gradients, Adam's two averages and the best epoch's copy, in bytes (fp32)."""
    return sum(4 * (2 * group.parameters + 3 * group.trained) for group in groups)
