"""One update from the gradients of tasks that pull against each other: PCGrad, CAGrad, MGDA and others, by torchjd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import nn

from nlptransfer.errors import InputError
from nlptransfer.multitask.task_step import TaskLosses, TaskStep, sum_losses, task_losses
from nlptransfer.types import TaskBatch

Balancing = Literal["pcgrad", "cagrad", "mgda", "imtl_g", "aligned_mtl", "config", "graddrop", "upgrad", "dualproj"]

Aggregator = Callable[[torch.Tensor], torch.Tensor]
"""(tasks, parameters) gradients -> the (parameters,) direction to go down."""

_INSTALL = "Run `pip install nlptransfer[multitask]`."


def load_aggregator(method: Balancing, *, radius: float = 0.4) -> Aggregator:
    r"""One of torchjd's ways to make one direction of several gradients.

    - ``pcgrad``: each gradient loses what runs against another one; then their sum (Yu et al. 2020, algorithm 1,
      https://arxiv.org/abs/2001.06782).
    - ``cagrad``: the direction near the mean gradient that helps the worst-off task most (Liu et al. 2021,
      algorithm 1, https://arxiv.org/abs/2110.14048).
    - ``mgda``: the shortest convex combination (Sener & Koltun 2018, algorithm 2, https://arxiv.org/abs/1810.04650).
    - ``imtl_g``: the combination with equal projections on all gradients (Liu et al. 2021, section 3.1,
      https://openreview.net/forum?id=IMPnRXEWpvr).
    - ``aligned_mtl``: the gradients made orthogonal and equally long (Senushkin et al. 2023, algorithm 1,
      https://arxiv.org/abs/2305.19000).
    - ``config``: equal angles with all gradients (Liu et al. 2024, https://arxiv.org/abs/2408.11104).
    - ``graddrop``: each coordinate keeps gradients of one sign, drawn at random (Chen et al. 2020,
      https://arxiv.org/abs/2010.06808).
    - ``upgrad``, ``dualproj``: the mean of the gradients projected on directions that harm no task, or their
      projected mean (Quinton & Rey 2024, https://arxiv.org/abs/2406.16232).

    They differ in length, so that learning rates are not to be carried over: of equal gradients ``pcgrad``,
    ``graddrop`` and ``config`` make their sum, ``cagrad`` more than their mean, and the others their mean. Methods that
    remember earlier steps (GradVac, Nash-MTL) are left out, since a resumed training would forget what they remember.

    Args:
        method: one of the above.
        radius: c of ``cagrad``, from 0 (the mean gradient) to below 1; others pass it over.

    Returns:
        The aggregator, for `make_balanced_step`.

    Raises:
        InputError: torchjd, or what it needs for the method, is not installed.
        ValueError: an unknown method.

    Example:
        >>> load_aggregator("pcgrad")(torch.tensor([[1.0, 0.0], [-1.0, 1.0]]))
        tensor([0.5000, 1.5000])
    """
    if method not in get_args(Balancing):
        raise ValueError(f"method must be one of {', '.join(get_args(Balancing))}; found {method!r}")
    try:
        from torchjd import aggregation
    except ImportError as error:
        raise InputError(
            f"balancing gradients by {method} needs the package torchjd", found="not installed", remedy=_INSTALL
        ) from error
    made: dict[str, Callable[[], Any]] = {
        "pcgrad": lambda: aggregation.PCGrad(),
        "cagrad": lambda: aggregation.CAGrad(c=radius),
        "mgda": lambda: aggregation.MGDA(),
        "imtl_g": lambda: aggregation.IMTLG(),
        "aligned_mtl": lambda: aggregation.AlignedMTL(),
        "config": lambda: aggregation.ConFIG(),
        "graddrop": lambda: aggregation.GradDrop(),
        "upgrad": lambda: aggregation.UPGrad(),
        "dualproj": lambda: aggregation.DualProj(),
    }
    try:
        aggregator: Aggregator = made[method]()
    except ImportError as error:
        raise InputError(
            f"balancing gradients by {method} needs more than torchjd alone", found=str(error), remedy=_INSTALL
        ) from error
    return aggregator


def make_balanced_step(
    aggregator: Aggregator,
    *,
    losses: TaskLosses = task_losses,
    shared_parameters: Callable[[Any], Sequence[nn.Parameter]] | None = None,
) -> TaskStep:
    r"""A step whose shared parameters go down a direction made of the tasks' gradients, not down their sum.

    With :math:`g_t = \partial L_t / \partial \theta` at the shared parameters :math:`\theta` and A the aggregator, the
    loss handed to `train` is

    .. math:: L = \sum_t L_t + \langle A(g_1 \dots g_K) - \sum_t g_t, \, \theta \rangle - c

    where the left side of the product is a constant, and c the product's value. Its value is the sum of the losses,
    its gradient at :math:`\theta` is A's, and each head keeps the gradient of its own task.

    Each task costs a backward pass more. A task without a gradient at the shared parameters takes no part; with fewer
    than two others the step is the plain sum. Under several processes each balances its own part of the batch, so that
    their number matters. Gradients of half precision (fp16) are not scaled before they are balanced: use bf16.

    Args:
        aggregator: from `load_aggregator`, or any other.
        losses: the loss of each task.
        shared_parameters: model -> parameters; None is the model's own `shared_parameters`, those that more than one
            task uses.

    Returns:
        A step for `train` over batches that show all tasks at once: `TaskBatches` or `MixedBatches`.

    Compare with:
        `make_task_step` with a weighting, at the price of one backward pass.

    Example:
        >>> step = make_balanced_step(load_aggregator("pcgrad"))
        >>> train(network, step, MixedBatches([wsj, tweets]), optimizer, epochs=10, seed=0)
    """

    def step(model: Any, batch: TaskBatch, progress: float) -> dict[str, torch.Tensor]:
        found = dict(losses(model, batch, progress))
        total = sum_losses(found)
        shared = list(model.shared_parameters() if shared_parameters is None else shared_parameters(model))
        shared = [parameter for parameter in shared if parameter.requires_grad]
        rows = [flat for loss in found.values() if (flat := flat_gradient(loss, shared)) is not None]
        if len(rows) < 2:
            return {"loss": total, **found}
        with torch.autocast(total.device.type, enabled=False):
            gradients = torch.stack(rows)  # (tasks, parameters)
            wanted = aggregator(gradients) - gradients.sum(dim=0)
            turned = torch.dot(wanted.detach(), torch.cat([parameter.reshape(-1) for parameter in shared]).float())
        return {"loss": total + turned - turned.detach(), **found}

    return step


def flat_gradient(loss: torch.Tensor, parameters: Sequence[nn.Parameter]) -> torch.Tensor | None:
    """The gradient of a loss at some parameters, in one row; what `backward` will do later is not touched.

    Args:
        loss: a scalar, whose graph is kept.
        parameters: P numbers in all.

    Returns:
        (P,) float32, 0 where the loss does not hang on a parameter; None where it hangs on none.
    """
    if not loss.requires_grad or not parameters:
        return None
    found = torch.autograd.grad(loss, list(parameters), retain_graph=True, allow_unused=True)
    if all(gradient is None for gradient in found):
        return None
    pairs = zip(found, parameters, strict=True)
    return torch.cat([(torch.zeros_like(own) if gradient is None else gradient).reshape(-1) for gradient, own in pairs])
