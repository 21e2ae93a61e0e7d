"""What each step of a multitask training sees and minimises: batches, the tasks' losses, one number made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlptransfer.errors import InputError
from nlptransfer.recipes.multitask_data import Arm
from nlptransfer.recipes.multitask_models import BALANCED, SEQUENTIAL, SINGLE, Training, group_texts

if TYPE_CHECKING:
    import torch

    from nlptransfer.multitask.task_model import TaskModel
    from nlptransfer.multitask.task_step import TaskLosses, TaskStep, Weighting
    from nlptransfer.recipes.multitask_tagging import Settings

_BY_LOSSES = ("fixed", "uncertainty", "dwa")


def balances(settings: Settings) -> bool:
    """Whether gradients are balanced, and not losses weighed.

    Args:
        settings: the recipe's.
    """
    return settings.weighting not in _BY_LOSSES


def check_balancing(settings: Settings, arms: Sequence[Arm]) -> None:
    """Refuse gradient balancing that can't be had, or that would never see two tasks in one step.

    Args:
        settings: the recipe's.
        arms: from `load_arms`.

    Raises:
        InputError: the package for it is not installed, or each step shows a single task.
    """
    from nlptransfer.multitask.gradient_balancing import load_aggregator

    if not balances(settings):
        return
    load_aggregator(settings.weighting)  # type: ignore[arg-type]  # it is one of them
    if settings.batches == "shared" and any(len(group_texts(arm.tasks)) > 1 for arm in arms):
        raise InputError(
            f"--weighting {settings.weighting} balances the tasks of one step, and these have texts of their own",
            expected="steps that show every task",
            remedy="Add --batches mixed.",
        )


def make_weighting(settings: Settings, training: Training) -> Weighting | None:
    """How the losses of several tasks become one; a task alone has its own loss, and balanced gradients need none.

    Args:
        settings: the recipe's.
        training: what to train.
    """
    from nlptransfer.multitask.loss_weighting import DynamicWeightAverage, UncertaintyWeighting, fixed_weighting
    from nlptransfer.recipes.multitask_data import read_numbers

    if training.way in (SINGLE, SEQUENTIAL) or balances(settings):
        return None
    tasks = [data.task for data in training.tasks.values()]
    if settings.weighting == "uncertainty":
        return UncertaintyWeighting(tasks)
    if settings.weighting == "dwa":
        return DynamicWeightAverage(tasks)
    return fixed_weighting({**dict.fromkeys(training.tasks, 1.0), **read_numbers(settings.weights, flag="weights")})


def make_step(settings: Settings, training: Training, weighting: Weighting | None, recorder: Any) -> TaskStep:
    """The step of a way of sharing: the tasks' losses, weighed or their gradients balanced, and what the way adds.

    Args:
        settings: the recipe's.
        training: what to train.
        weighting: from `make_weighting`.
        recorder: a `ConflictRecorder`, or None.
    """
    from nlptransfer.multitask.gradient_balancing import load_aggregator, make_balanced_step
    from nlptransfer.multitask.task_step import make_task_step
    from nlptransfer.multitask.tied_parameters import annealed_strength

    losses = make_losses(settings, training)
    if recorder is not None:
        losses = recorder.watch(losses)
    if balances(settings) and training.way in BALANCED:
        return make_balanced_step(
            load_aggregator(settings.weighting),  # type: ignore[arg-type]  # it is one of them
            losses=losses,
            shared_parameters=lambda whole: whole["network"].shared_parameters(),
        )
    step = make_task_step(weighting, losses=losses)
    if training.way != "tied":
        return step
    last = settings.tie_strength if settings.last_tie_strength is None else settings.last_tie_strength

    def tied_step(whole: Any, batch: Any, progress: float) -> dict[str, torch.Tensor]:
        found = step(whole, batch, progress)
        strength = annealed_strength(progress, first=settings.tie_strength, last=last)
        return {**found, "loss": found["loss"] + whole["network"].penalty(strength)}

    return tied_step


def make_losses(settings: Settings, training: Training) -> TaskLosses:
    """The losses of the tasks; of separated encoders each with what keeps them apart.

    Args:
        settings: the recipe's.
        training: what to train.
    """
    from nlptransfer.multitask.task_step import task_losses, task_outputs

    def separated(whole: Any, batch: Any, progress: float) -> dict[str, torch.Tensor]:
        network, found = whole["network"], {}
        for task, output in task_outputs(network, batch).items():
            own = batch.batches[task]
            found[task] = (
                network.loss(output, own, task)
                + settings.adversarial_weight * network.adversarial_loss(output, own, task)
                + settings.overlap_weight * network.overlap(output, own)
            )
        scaled: dict[str, torch.Tensor] = batch.scaled(found)
        return scaled

    def plain(whole: Any, batch: Any, progress: float) -> Mapping[str, torch.Tensor]:
        return task_losses(whole["network"], batch, progress)

    return separated if training.way == "shared_private" else plain


def make_batches(settings: Settings, training: Training, model: TaskModel, seed: int) -> Any:
    """The batches of an epoch.

    Args:
        settings: the recipe's.
        training: what to train.
        model: knows how texts are encoded.
        seed: of their order.
    """
    from nlptransfer.multitask.task_sampling import AlternatingBatches, MixedBatches, TaskBatches

    texts = {}
    for group in group_texts(training.tasks, apart=settings.batches != "shared"):
        batches: Any
        if isinstance(group.texts[0], str):
            encoded = model.encode_texts(group.texts)
            batches = model.text_batches(encoded, group.positions(), batch_size=settings.batch_size, seed=seed)
        else:
            encoded = model.encode(group.texts, group.positions())
            batches = model.word_batches(encoded, batch_size=settings.batch_size, seed=seed)
        texts["+".join(group.labels)] = TaskBatches(batches, group.columns())
    if len(texts) == 1:
        return next(iter(texts.values()))
    if settings.batches == "mixed":
        return MixedBatches(list(texts.values()))
    return AlternatingBatches(
        texts, sampling=settings.sampling, seed=seed, temperature=settings.temperature, num_epochs=settings.epochs
    )
