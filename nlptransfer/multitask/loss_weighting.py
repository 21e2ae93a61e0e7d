"""How much each task's loss counts: fixed weights, learned noise, or the pace at which the losses fall."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from nlptransfer.multitask.tasks import Task


def fixed_weighting(weights: Mapping[str, float]) -> Callable[[Mapping[str, torch.Tensor]], torch.Tensor]:
    r"""The sum of the losses times fixed weights.

    .. math:: L = \sum_t w_t L_t

    Args:
        weights: w by task, 0 or more; every task has one.

    Returns:
        Losses by task -> a scalar.

    Raises:
        ValueError: a negative weight.

    Example:
        >>> fixed_weighting({"pos": 0.5, "ner": 2.0})({"pos": torch.tensor(4.0), "ner": torch.tensor(1.0)})
        tensor(4.)
    """
    if any(not 0 <= weight < math.inf for weight in weights.values()):
        raise ValueError(f"weights of losses must be numbers from 0 on, found {dict(weights)}")
    kept = dict(weights)

    def weighting(losses: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return torch.stack([kept[task] * loss for task, loss in losses.items()]).sum()

    return weighting


class UncertaintyWeighting(nn.Module):
    r"""Each task's loss divided by its noise, which is learned (homoscedastic uncertainty).

    .. math::
        L = \sum_{t \text{ regression}} \left( \frac{1}{2 \sigma_t^2} L_t + \log \sigma_t \right)
          + \sum_{t \text{ classification}} \left( \frac{1}{\sigma_t^2} L_t + \log \sigma_t \right)

    with the squared error or the cross-entropy for :math:`L_t`. What is learned is :math:`s_t = \log \sigma_t^2`, as
    the paper advises, from 0 on. For regression :math:`\sigma_t^2` becomes the variance of the residuals; for
    classification and tagging it is a temperature.

    It is a module: `train` must be given one that holds it beside the model, and the optimizer its parameters, without
    weight decay, which would draw every variance to 1.

    Args:
        tasks: all of them.

    Attributes:
        log_variances: (tasks,) s, in the order of the tasks.

    Reference:
        Kendall, Gal & Cipolla 2018, section 3.2, equations 7 and 10, https://arxiv.org/abs/1705.07115.

    Compare with:
        `DynamicWeightAverage`, which learns nothing; `fixed_weighting`, where a grid search can be paid for.

    Example:
        >>> weighting = UncertaintyWeighting([pos, stars])
        >>> whole = nn.ModuleDict({"network": network, "weighting": weighting})
        >>> step = make_task_step(weighting, losses=lambda whole, *rest: task_losses(whole["network"], *rest))
        >>> train(whole, step, batches, torch.optim.Adam(whole.parameters()), epochs=10, seed=0)
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        super().__init__()
        kinds = {task.name: task.kind for task in tasks}
        self.tasks = list(kinds)
        self.log_variances = nn.Parameter(torch.zeros(len(kinds)))
        halves = [0.5 if kind == "regression" else 1.0 for kind in kinds.values()]
        self.register_buffer("factors", torch.tensor(halves), persistent=False)
        self.factors: torch.Tensor

    def forward(self, losses: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The weighted sum, and the logs that keep the noise from growing; of the tasks that are there.

        Args:
            losses: a scalar by task.

        Returns:
            A scalar; it may be negative.
        """
        rows = [self.tasks.index(task) for task in losses]
        log_variances = self.log_variances[rows]
        weighed = self.factors[rows] * torch.exp(-log_variances) * torch.stack(list(losses.values()))
        return (weighed + 0.5 * log_variances).sum()

    def variances(self) -> dict[str, float]:
        """The learned variance of each task."""
        return dict(zip(self.tasks, self.log_variances.detach().exp().tolist(), strict=True))


class DynamicWeightAverage:
    r"""Weights that follow how fast each loss falls: a task whose loss falls slowly counts for more.

    .. math::
        \lambda_t(e) = \frac{K \exp(w_t(e-1) / T)}{\sum_u \exp(w_u(e-1) / T)}, \qquad
        w_t(e-1) = \frac{L_t(e-1)}{L_t(e-2)}

    with the mean loss of each epoch for :math:`L_t(e)`, and :math:`w = 1` in the first two epochs. The losses come
    from the rows of the history, which `train` hands out also when it resumes, and which are those of all processes.

    With `AlternatingBatches` the mean is over all steps, those of other tasks included; the number of steps of a task
    must not change between epochs then, as it does with "annealed" sampling.

    Args:
        tasks: all K of them.
        temperature: T; a large one makes the weights equal.

    Raises:
        ValueError: a temperature that is not above 0.

    Reference:
        Liu, Johns & Davison 2019, equation 7, https://arxiv.org/abs/1803.10704 (T = 2).

    Compare with:
        `UncertaintyWeighting`, whose weights are learned at every step.

    Example:
        >>> weighting = DynamicWeightAverage([pos, chunk])
        >>> train(network, make_task_step(weighting), batches, optimizer, epochs=10, seed=0, on_epoch=weighting.record)
    """

    def __init__(self, tasks: Iterable[Task], *, temperature: float = 2.0) -> None:
        if temperature <= 0:
            raise ValueError(f"the temperature must be above 0, found {temperature}")
        self.tasks = [task.name for task in tasks]
        self.temperature = temperature
        self._losses: list[dict[str, float]] = []

    def record(self, row: Mapping[str, Any]) -> None:
        """Take note of an epoch's mean losses.

        Args:
            row: of the history, with each task's loss under its name.
        """
        self._losses = [*self._losses, {task: float(row[task]) for task in self.tasks}][-2:]

    def weights(self) -> dict[str, float]:
        """The weight of each task in the epoch that comes; they sum to K."""
        if len(self._losses) < 2:
            return dict.fromkeys(self.tasks, 1.0)
        before, last = self._losses
        # A loss of 0 can't fall: it stands still.
        paces = [last[task] / before[task] if before[task] > 0 else 1.0 for task in self.tasks]
        highest = max(paces)  # only differences count, and large powers overflow
        powers = [math.exp((pace - highest) / self.temperature) for pace in paces]
        scale = len(self.tasks) / sum(powers)
        return {task: scale * power for task, power in zip(self.tasks, powers, strict=True)}

    def __call__(self, losses: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The sum of the losses times the weights.

        Args:
            losses: a scalar by task.
        """
        return fixed_weighting(self.weights())(losses)
