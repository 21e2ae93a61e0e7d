"""What a fine-tuning will do, said before it begins: which group trains at which rate in which epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from nlptransfer.finetuning.freezing import train_all
from nlptransfer.finetuning.layer_groups import LayerGroup, layer_groups
from nlptransfer.training.loop import EpochBatches, Step, train

Schedule = Callable[[float], float]


@dataclass(frozen=True)
class TuningPlan:
    """Who trains when, and how fast.

    Attributes:
        groups: names of the layer groups, the lowest first.
        trained: (epochs, groups) True where a group trains.
        rates: (groups,) learning rates at the schedule's height.
        schedule: progress in 0..1 -> factor on all rates.
        sizes: (groups,) how many numbers each group holds that may be trained.

    Raises:
        ValueError: the shapes don't fit each other, or in some epoch nothing trains.
    """

    groups: tuple[str, ...]
    trained: tuple[tuple[bool, ...], ...]
    rates: tuple[float, ...]
    schedule: Schedule
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        widths = {len(self.groups), len(self.rates), len(self.sizes), *map(len, self.trained)}
        if len(widths) != 1:
            raise ValueError(f"a plan for {len(self.groups)} groups has rows of {sorted(widths)} entries")
        if not self.trained or not all(map(any, self.trained)):
            raise ValueError("in each epoch of a plan something must train")

    @property
    def epochs(self) -> int:
        """Passes over the data."""
        return len(self.trained)

    @property
    def num_trained(self) -> int:
        """How many numbers train in some epoch."""
        ever = (any(column) for column in zip(*self.trained, strict=True))
        return sum(size for size, is_trained in zip(self.sizes, ever, strict=True) if is_trained)

    def preview(self) -> list[dict[str, Any]]:
        """A row per group, the head first: its size, and its rate in the middle of each epoch, 0 where it is frozen."""
        rows = []
        for at in reversed(range(len(self.groups))):
            row: dict[str, Any] = {"group": self.groups[at], "parameters": self.sizes[at]}
            for epoch, trained in enumerate(self.trained):
                factor = self.schedule((epoch + 0.5) / self.epochs)
                row[f"epoch {epoch + 1}"] = self.rates[at] * factor if trained[at] else 0.0
            rows.append(row)
        return rows


def make_plan(
    groups: Sequence[LayerGroup],
    *,
    epochs: int,
    learning_rate: float | Sequence[float],
    schedule: Schedule,
    trained: Sequence[Sequence[bool]] | None = None,
) -> TuningPlan:
    """A plan for the groups of a network.

    Args:
        groups: as `layer_groups` gives them.
        epochs: passes over the data.
        learning_rate: one for all, or one for each group, such as `discriminative_rates` gives.
        schedule: such as `schedules.linear`.
        trained: such as `freezing.gradual_unfreezing` gives; None trains all throughout.

    Raises:
        ValueError: the shapes don't fit each other.

    Example:
        >>> plan = make_plan(layer_groups(network), epochs=3, learning_rate=1e-4, schedule=linear)
        >>> print(format_plan(plan))
    """
    rates = [learning_rate] * len(groups) if isinstance(learning_rate, float) else list(learning_rate)
    rows = train_all(len(groups), epochs) if trained is None else trained
    # What is frozen already, as the encoder around LoRA is, trains in no epoch.
    sizes = [sum(own.numel() for own in group.parameters if own.requires_grad) for group in groups]
    return TuningPlan(
        groups=tuple(group.name for group in groups),
        trained=tuple(tuple(trains and size > 0 for trains, size in zip(row, sizes, strict=True)) for row in rows),
        rates=tuple(rates),
        schedule=schedule,
        sizes=tuple(sizes),
    )


def format_plan(plan: TuningPlan) -> str:
    """The preview as lines of text; groups next to each other that are trained alike share one."""
    lines = [f"{'group':<24}{'parameters':>12}  " + "".join(f"{f'epoch {n}':>10}" for n in range(1, plan.epochs + 1))]
    rows = plan.preview()
    while rows:
        alike = [rows.pop(0)]
        rates = list(alike[0].values())[2:]
        while rows and list(rows[0].values())[2:] == rates:
            alike.append(rows.pop(0))
        name = alike[0]["group"] if len(alike) == 1 else f"{alike[0]['group']} to {alike[-1]['group']}"
        size = sum(row["parameters"] for row in alike)
        lines.append(f"{name:<24}{size:>12,}  " + "".join(f"{f'{rate:.1e}' if rate else '-':>10}" for rate in rates))
    return "\n".join(lines)


def fine_tune(
    network: nn.Module,
    plan: TuningPlan,
    step: Step,
    batches: EpochBatches,
    *,
    seed: int,
    weight_decay: float = 0.01,
    max_gradient_norm: float | None = 1.0,
    evaluate: Callable[[], float] | None = None,
    patience: int | None = None,
    checkpoint: str | Path | None = None,
    accelerator: Accelerator | None = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    description: str = "fine-tuning",
) -> list[dict[str, Any]]:
    """Train a network by a plan, with AdamW, and leave it with the weights of its best epoch.

    A group that is frozen in an epoch is not touched in it: no gradient, no weight decay, no momentum. Biases and
    normalisations have no weight decay. Afterwards all parameters may be trained again.

    Args:
        network: has an ``encoder``; parameters that were already frozen, as LoRA's base is, stay so.
        plan: as `make_plan` gives it, for this network's groups.
        step: as for `train`.
        batches: as for `train`.
        seed: as for `train`.
        weight_decay: of AdamW.
        max_gradient_norm: as for `train`.
        evaluate: as for `train`; with it the best epoch's weights are kept.
        patience: as for `train`.
        checkpoint: a file for the state after each epoch, from which a killed training goes on; None keeps none.
        accelerator: as for `train`.
        on_epoch: as for `train`.
        description: of the progress bar.

    Returns:
        The history; see `train`.

    Raises:
        ValueError: the plan is for another network.

    Reference: Mosbach et al. 2021, section 6 (warm-up and AdamW for stable runs), https://arxiv.org/abs/2006.04884.
    """
    groups = layer_groups(network)
    if tuple(group.name for group in groups) != plan.groups:
        raise ValueError(f"the plan is for {len(plan.groups)} groups, and the network has {len(groups)}")
    free = [[parameter for parameter in group.parameters if parameter.requires_grad] for group in groups]
    settings: list[dict[str, Any]] = []
    for parameters, rate in zip(free, plan.rates, strict=True):
        for decays in (True, False):
            own = [parameter for parameter in parameters if (parameter.ndim > 1) == decays]
            if own:
                settings.append({"params": own, "lr": rate, "weight_decay": weight_decay if decays else 0.0})
    optimizer = torch.optim.AdamW(settings, fused=True)

    def thaw(epoch: int) -> None:
        for parameters, trains in zip(free, plan.trained[epoch], strict=True):
            for parameter in parameters:
                parameter.requires_grad_(trains)

    try:
        return train(
            network,
            step,
            batches,
            optimizer,
            epochs=plan.epochs,
            seed=seed,
            evaluate=evaluate,
            schedule=plan.schedule,
            max_gradient_norm=max_gradient_norm,
            patience=patience,
            checkpoint=checkpoint,
            resume=checkpoint is not None,
            accelerator=accelerator,
            before_epoch=thaw,
            on_epoch=on_epoch,
            description=description,
        )
    finally:
        for parameters in free:
            for parameter in parameters:
                parameter.requires_grad_(True)
