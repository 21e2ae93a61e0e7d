"""The systems of a multitask run: each task alone, and all tasks together by each way of sharing."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.recipes.multitask_data import Arm
from nlptransfer.recipes.multitask_models import SINGLE, Training, group_texts, make_model

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

    from nlptransfer.embeddings.word_vectors import WordVectors
    from nlptransfer.experiments import Cell
    from nlptransfer.multitask.saved import MultitaskModel
    from nlptransfer.multitask.task_data import TaskData, TaskSplit
    from nlptransfer.multitask.task_step import TaskLosses, TaskStep, Weighting
    from nlptransfer.recipes.multitask_tagging import Settings

CHECKPOINT = "checkpoint.pt"
SELECTION = "selection.pt"
WEIGHTS = "weights.pt"
HISTORY = "history.json"
_MAPPED = ("hard", "low_layer")
"""Ways of sharing whose tasks' gradients meet in the same parameters: those that the map of conflict is drawn for."""


def list_trainings(settings: Settings, arms: Sequence[Arm]) -> list[Training]:
    """Each task alone first, then the ways of sharing as asked for, for each arm; nothing twice.

    Args:
        settings: the recipe's.
        arms: from `load_arms`.
    """
    trainings = {}
    for arm in arms:
        for task, data in arm.tasks.items():
            mark = arm.mark_of(task, settings.curve_task)
            name = f"{task}.{SINGLE}{mark}"
            trainings[name] = Training(name, SINGLE, mark, {task: data})
        for way in settings.sharing:
            trainings[f"{way}{arm.mark}"] = Training(f"{way}{arm.mark}", way, arm.mark, arm.tasks)
    return list(trainings.values())


def train_and_predict(
    settings: Settings,
    training: Training,
    task: str,
    seed: int,
    vectors: WordVectors | None,
    accelerator: Accelerator,
    tell: Callable[[str], Any],
    folder: Path,
) -> Cell[Any]:
    """Train a model, or take the one that is there, and let it label dev and test of one of its tasks.

    Args:
        settings: the recipe's.
        training: what to train.
        task: the task to predict.
        seed: of all that is random.
        vectors: pretrained ones, or None.
        accelerator: device and precision.
        tell: called with lines for the screen.
        folder: the cell's; the model is kept beside it, for the cells of its other tasks.
    """
    from nlptransfer.experiments import Cell
    from nlptransfer.multitask.selection import task_score

    started = time.perf_counter()
    place = model_place(folder.parent, training, seed)
    facts = train_model(settings, training, seed, vectors, accelerator, tell, place)
    model = load_model(settings, training, seed, vectors, accelerator, place, task=_selected(settings, task))
    data = training.tasks[task]
    predictions, system = [], training.system(task)
    for split in ("dev", "test"):
        part = data.splits[split]
        predicted = model.predict(part.texts, task, batch_size=settings.batch_size)
        if split == "dev":
            facts["dev_score"] = task_score(data.task, part.gold(), predicted)
        predictions.append(labelled(data, system, split, seed, predicted))
    # The history is that of the model: one of its cells tells it.
    rows = facts.pop("history") if task == next(iter(training.tasks)) else []
    history = [{"system": training.name, "seed": seed, **row} for row in rows]
    facts.pop("history", None)
    return Cell(predictions, history, time.perf_counter() - started, facts)


def model_place(cells: Path, training: Training, seed: int) -> Path:
    """The folder of a model, beside the cells of its tasks."""
    return cells / "models" / f"{training.name}-{seed}"


def train_model(
    settings: Settings,
    training: Training,
    seed: int,
    vectors: WordVectors | None,
    accelerator: Accelerator,
    tell: Callable[[str], Any],
    place: Path,
) -> dict[str, Any]:
    """Train a model, unless that is done; its weights stay in `place`.

    Args:
        settings: the recipe's.
        training: what to train.
        seed: of all that is random.
        vectors: pretrained ones, or None.
        accelerator: device and precision.
        tell: called with lines for the screen.
        place: of the weights.

    Returns:
        "history", "seconds", "parameters", "steps", "joint_score" and "conflict".
    """
    from torch.optim import AdamW

    from nlptransfer.files import write_json
    from nlptransfer.multitask.gradient_conflict import ConflictRecorder, shared_layers
    from nlptransfer.multitask.loss_weighting import DynamicWeightAverage
    from nlptransfer.multitask.selection import TaskSelection
    from nlptransfer.training.checkpoint import write_checkpoint
    from nlptransfer.training.loop import train
    from nlptransfer.training.schedules import linear

    kept = place / HISTORY
    if kept.exists():
        facts: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return facts
    place.mkdir(parents=True, exist_ok=True)
    model = make_model(settings, training, seed, vectors)
    weighting = make_weighting(settings, training)
    whole = _whole(model, weighting).to(accelerator.device)
    batches = make_batches(settings, training, model, seed)
    epochs = max(settings.epochs, math.ceil(settings.min_steps / len(batches)))
    recorder = None
    if settings.conflict_every and training.way in _MAPPED:
        recorder = ConflictRecorder(every=settings.conflict_every, layers=lambda whole: shared_layers(whole["network"]))
    selection = TaskSelection(
        whole,
        {task: _scorer(model, data, settings.batch_size) for task, data in training.tasks.items()},
        checkpoint=place / SELECTION,
        resume=True,
    )
    history: list[dict[str, Any]] = []

    def on_epoch(row: dict[str, Any]) -> None:
        history.append(dict(row))
        if isinstance(weighting, DynamicWeightAverage):
            weighting.record(row)
        tell(
            f"{training.name}, seed {seed}, epoch {row['epoch']} of {epochs}: loss {row['loss']:.4f}, dev "
            f"{row['score']:.4f}, {row['seconds']:.1f} s"
        )

    trained = [parameter for parameter in whole.parameters() if parameter.requires_grad]
    train(
        whole,
        make_step(settings, training, weighting, recorder),
        batches,
        AdamW(trained, lr=settings.learning_rate, weight_decay=0.0),
        epochs=epochs,
        seed=seed,
        evaluate=selection,
        schedule=linear,
        max_gradient_norm=5.0,
        checkpoint=place / CHECKPOINT,
        resume=True,
        accelerator=accelerator,
        on_epoch=on_epoch,
        description=f"{training.name}, seed {seed}",
    )
    write_checkpoint(place / WEIGHTS, {"weights": whole.state_dict()})
    facts = {
        "history": history,
        "seconds": sum(row["seconds"] for row in history),
        "parameters": sum(own.numel() for own in model.network.parameters() if own.requires_grad),
        "steps": epochs * len(batches),
        "joint_score": max(row["score"] for row in history),
        "conflict": recorder.rows if recorder is not None else [],
    }
    write_json(kept, facts)
    (place / CHECKPOINT).unlink(missing_ok=True)
    return facts


def load_model(
    settings: Settings,
    training: Training,
    seed: int,
    vectors: WordVectors | None,
    accelerator: Accelerator,
    place: Path,
    *,
    task: str | None,
) -> MultitaskModel:
    """A trained model, as it was at its best epoch.

    Args:
        settings: the recipe's.
        training: what was trained.
        seed: it was trained under.
        vectors: pretrained ones, or None.
        accelerator: device and precision.
        place: of the weights.
        task: at the epoch that was best for this task; None for the one that was best for all.
    """
    from nlptransfer.multitask.selection import TaskSelection
    from nlptransfer.training.checkpoint import read_checkpoint

    model = make_model(settings, training, seed, vectors)
    whole = _whole(model, make_weighting(settings, training))
    if task is None:
        whole.load_state_dict(read_checkpoint(place / WEIGHTS)["weights"])
    else:
        TaskSelection(whole, {}, checkpoint=place / SELECTION, resume=True).restore(task)
    whole.to(accelerator.device).eval()
    return model


def make_weighting(settings: Settings, training: Training) -> Weighting | None:
    """How the losses of several tasks become one; a task alone has its own loss.

    Args:
        settings: the recipe's.
        training: what to train.
    """
    from nlptransfer.multitask.loss_weighting import DynamicWeightAverage, UncertaintyWeighting, fixed_weighting
    from nlptransfer.recipes.multitask_data import read_numbers

    if training.way == SINGLE:
        return None
    tasks = [data.task for data in training.tasks.values()]
    if settings.weighting == "uncertainty":
        return UncertaintyWeighting(tasks)
    if settings.weighting == "dwa":
        return DynamicWeightAverage(tasks)
    return fixed_weighting({**dict.fromkeys(training.tasks, 1.0), **read_numbers(settings.weights, flag="weights")})


def make_step(settings: Settings, training: Training, weighting: Weighting | None, recorder: Any) -> TaskStep:
    """The step of a way of sharing: the tasks' losses, weighed, and what the way adds to them.

    Args:
        settings: the recipe's.
        training: what to train.
        weighting: from `make_weighting`.
        recorder: a `ConflictRecorder`, or None.
    """
    from nlptransfer.multitask.task_step import make_task_step
    from nlptransfer.multitask.tied_parameters import annealed_strength

    losses = make_losses(settings, training)
    step = make_task_step(weighting, losses=losses if recorder is None else recorder.watch(losses))
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
    from nlptransfer.multitask.task_step import task_losses

    def separated(whole: Any, batch: Any, progress: float) -> dict[str, torch.Tensor]:
        network, found = whole["network"], {}
        for task, own in batch.batches.items():
            output = network(own, task)
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


def make_batches(settings: Settings, training: Training, model: MultitaskModel, seed: int) -> Any:
    """The batches of an epoch.

    Args:
        settings: the recipe's.
        training: what to train.
        model: knows how texts are encoded.
        seed: of their order.
    """
    from nlptransfer.data.batching import Batches
    from nlptransfer.multitask.task_sampling import AlternatingBatches, MixedBatches, TaskBatches
    from nlptransfer.multitask.text_batches import TextBatches

    texts = {}
    for group in group_texts(training.tasks, apart=settings.batches != "shared"):
        batches: Any
        if isinstance(group.texts[0], str):
            encoded = model.encode_texts(group.texts)
            batches = TextBatches(encoded, group.positions(), batch_size=settings.batch_size, seed=seed)
        else:
            batches = Batches(
                model.words.encode(group.texts, group.positions()),
                batch_size=settings.batch_size,
                max_length=model.shape.max_length,
                context=model.shape.context,
                seed=seed,
            )
        texts["+".join(group.labels)] = TaskBatches(batches, group.columns())
    if len(texts) == 1:
        return next(iter(texts.values()))
    if settings.batches == "mixed":
        return MixedBatches(list(texts.values()))
    return AlternatingBatches(
        texts, sampling=settings.sampling, seed=seed, temperature=settings.temperature, num_epochs=settings.epochs
    )


def labelled(data: TaskData, system: str, split: str, seed: int, predicted: Sequence[Any]) -> Any:
    """Predictions beside the labels, for the scorer; what carries no label is left out.

    Args:
        data: of the task.
        system: its name.
        split: dev or test.
        seed: the model's.
        predicted: for each text of the split.
    """
    from nlptransfer.evaluation.predictions import DocumentPredictions, Predictions
    from nlptransfer.multitask.task_data import MISSING_TAG

    part: TaskSplit = data.splits[split]
    gold = part.gold()
    rows = part.labelled()
    if data.task.kind == "classification":
        return DocumentPredictions(
            system,
            split,
            seed,
            [str(row) for row in rows],
            [gold[row] for row in rows],
            [predicted[row] for row in rows],
        )
    kept = [[place for place, tag in enumerate(gold[row]) if tag != MISSING_TAG] for row in rows]
    columns = [
        [[sentences[row][place] for place in places] for row, places in zip(rows, kept, strict=True)]
        for sentences in (part.texts, gold, predicted)
    ]
    return Predictions(system, split, seed, *columns)


def _selected(settings: Settings, task: str) -> str | None:
    return task if settings.selection == "task" else None


def _whole(model: MultitaskModel, weighting: Weighting | None) -> torch.nn.ModuleDict:
    """What is trained: the network, and a weighting that learns."""
    from torch import nn

    parts: dict[str, nn.Module] = {"network": model.network}
    if isinstance(weighting, nn.Module):
        parts["weighting"] = weighting
    return nn.ModuleDict(parts)


def _scorer(model: MultitaskModel, data: TaskData, batch_size: int) -> Callable[[], float]:
    """The task's score on its development data, which are encoded once."""
    from nlptransfer.multitask.selection import task_score

    part, task = data.splits["dev"], data.task
    gold = part.gold()
    if task.kind == "classification":
        texts = model.encode_texts(part.texts)
        return lambda: task_score(
            task, gold, [task.labels[own] for own in model.predict_ids(texts, task.name, batch_size=batch_size)]
        )
    encoded = model.words.encode(part.texts)
    spans = list(pairwise(encoded.starts.tolist()))

    def score() -> float:
        tags = [task.labels[own] for own in model.predict_ids(encoded, task.name, batch_size=batch_size).tolist()]
        return task_score(task, gold, [tags[start:end] for start, end in spans])

    return score
