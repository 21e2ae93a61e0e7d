"""Do the tasks pull the shared parameters the same way? The cosine of their gradients, per layer, over the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from nlptransfer.multitask.gradient_balancing import flat_gradient
from nlptransfer.multitask.task_step import TaskLosses, task_losses
from nlptransfer.types import TaskBatch

Layers = Mapping[str, Sequence[nn.Parameter]]
"""By the layer's name, its parameters."""


def gradient_cosines(losses: Mapping[str, torch.Tensor], layers: Layers) -> list[dict[str, Any]]:
    r"""The cosine between the gradients of each two tasks, layer by layer.

    .. math:: \cos(g_a, g_b) = \frac{\langle g_a, g_b \rangle}{\lVert g_a \rVert \lVert g_b \rVert}

    Below 0 the tasks conflict: a small step down one's gradient raises the other's loss.

    Args:
        losses: a scalar by task, with their graph, which is kept.
        layers: parameters that the tasks share.

    Returns:
        A row for each layer and pair of tasks that both have a gradient there, not 0: "layer", "first", "second",
        "cosine".

    Reference:
        Yu et al. 2020, definition 1, https://arxiv.org/abs/2001.06782.

    Example:
        >>> rows = gradient_cosines(task_losses(network, batch, 0.0), shared_layers(network))
    """
    rows = []
    gradients: dict[str, dict[str, torch.Tensor]] = {}
    everything = [parameter for parameters in layers.values() for parameter in parameters]
    for task, loss in losses.items():
        flat = flat_gradient(loss, everything)  # one backward pass for all layers
        if flat is not None:
            sizes = [sum(parameter.numel() for parameter in parameters) for parameters in layers.values()]
            gradients[task] = dict(zip(layers, flat.split(sizes), strict=True))
    for layer in layers:
        for first, second in combinations(gradients, 2):
            own, other = gradients[first][layer], gradients[second][layer]
            if bool(own.any()) and bool(other.any()):
                cosine = float(functional.cosine_similarity(own.double(), other.double(), dim=0))
                rows.append({"layer": layer, "first": first, "second": second, "cosine": cosine})
    return rows


def shared_layers(model: Any) -> dict[str, list[nn.Parameter]]:
    """The parameters that a model's tasks share, by the part of the model they are in.

    Args:
        model: with `shared_parameters`, as `HardSharing` and the other ways of sharing have.

    Returns:
        In the model's order, by the parameters' names up to the first number, such as "layers.0", or the first two
        parts of a name without one; those in a pretrained encoder go by its own names, such as "encoder.layer.0".
    """
    shared = {id(parameter) for parameter in model.shared_parameters()}
    layers: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if id(parameter) in shared and parameter.requires_grad:
            layers.setdefault(_layer_name(name), []).append(parameter)
    return layers


def _layer_name(parameter: str) -> str:
    parts = parameter.removeprefix("states.encoder.").split(".")[:-1]
    number = next((at for at, part in enumerate(parts) if part.isdigit()), 1)
    return ".".join(parts[: number + 1]) or parameter


class ConflictRecorder:
    """Notes `gradient_cosines` at every k-th step of a training, which it does not change.

    At such a step each task costs a backward pass more. Steps that show one task only tell nothing: use `TaskBatches`
    with several tasks, or `MixedBatches`. Under several processes each sees its own part of the batch.

    Args:
        every: k.
        layers: model -> the parameters to look at, by layer.

    Attributes:
        rows: "step" from 0, "progress" in 0..1, and what `gradient_cosines` gives.

    Raises:
        ValueError: `every` is below 1.

    Example:
        >>> recorder = ConflictRecorder(every=50)
        >>> train(network, make_task_step(losses=recorder.watch()), batches, optimizer, epochs=10, seed=0)
        >>> figure = plot_gradient_conflict(recorder.rows)
    """

    def __init__(self, *, every: int, layers: Callable[[Any], Layers] = shared_layers) -> None:
        if every < 1:
            raise ValueError(f"every must be at least 1, found {every}")
        self.every = every
        self.layers = layers
        self.rows: list[dict[str, Any]] = []
        self._steps = 0

    def watch(self, losses: TaskLosses = task_losses) -> TaskLosses:
        """The same losses, looked at on their way.

        Args:
            losses: the loss of each task.

        Returns:
            What to hand to `make_task_step` or `make_balanced_step`.
        """

        def watched(model: Any, batch: TaskBatch, progress: float) -> Mapping[str, torch.Tensor]:
            found = losses(model, batch, progress)
            if self._steps % self.every == 0 and len(found) > 1:
                start = {"step": self._steps, "progress": progress}
                self.rows += [{**start, **row} for row in gradient_cosines(found, self.layers(model))]
            self._steps += 1
            return found

        return watched
