"""The systems of a multitask run: each task alone, and all tasks together by each way of sharing."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.recipes.multitask_data import Arm
from nlptransfer.recipes.multitask_models import BALANCED, SEQUENTIAL, SINGLE, Training, make_model
from nlptransfer.recipes.multitask_steps import check_balancing, make_batches, make_step, make_weighting

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import nn
    from torch.optim import Optimizer

    from nlptransfer.embeddings.word_vectors import WordVectors
    from nlptransfer.experiments import Cell
    from nlptransfer.multitask.task_data import TaskData, TaskSplit
    from nlptransfer.multitask.task_model import TaskModel
    from nlptransfer.multitask.task_step import TaskStep, Weighting
    from nlptransfer.recipes.multitask_tagging import Settings

CHECKPOINT = "checkpoint.pt"
SELECTION = "selection.pt"
WEIGHTS = "weights.pt"
HISTORY = "history.json"


def list_trainings(settings: Settings, arms: Sequence[Arm]) -> list[Training]:
    """Each task alone first, then the ways of sharing as asked for, for each arm; nothing twice.

    Args:
        settings: the recipe's.
        arms: from `load_arms`.

    Raises:
        InputError: the tasks' gradients are to be balanced and can't be.
    """
    check_balancing(settings, arms)
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
    *,
    early: bool = False,
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
        early: of a sequential training, as it was at the end of this task's own turn.
    """
    from nlptransfer.experiments import Cell
    from nlptransfer.multitask.selection import task_score

    started = time.perf_counter()
    place = model_place(folder.parent, training, seed)
    facts = train_model(settings, training, seed, vectors, accelerator, tell, place)
    # A sequential model is scored as it is in the end: to choose an epoch for each task would hide what is forgotten.
    chosen = task if early or (settings.selection == "task" and training.way != SEQUENTIAL) else None
    model = load_model(settings, training, seed, vectors, accelerator, place, task=chosen)
    data = training.tasks[task]
    predictions, system = [], training.system(task, early=early)
    for split in ("dev", "test"):
        part = data.splits[split]
        predicted = model.predict(part.texts, task, batch_size=settings.batch_size)
        if split == "dev":
            facts["dev_score"] = task_score(data.task, part.gold(), predicted)
        predictions.append(labelled(data, system, split, seed, predicted))
    # The history is that of the model: one of its cells tells it.
    rows = facts.pop("history")
    told = task == next(iter(training.tasks)) and not early
    history = [{"system": training.name, "seed": seed, **row} for row in rows] if told else []
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
        "history", "seconds", "parameters", "memory_bytes" (at the peak, above what was held before), "steps",
        "joint_score" and "conflict".
    """
    from nlptransfer.files import write_json
    from nlptransfer.training.memory import PeakMemory

    kept = place / HISTORY
    if kept.exists():
        facts: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return facts
    place.mkdir(parents=True, exist_ok=True)
    fit = train_in_turn if training.way == SEQUENTIAL else train_together
    with PeakMemory(str(accelerator.device)) as memory:
        model = make_model(settings, training, seed, vectors, accelerator)
        facts = fit(settings, training, model, seed, accelerator, tell, place)
    facts = {
        **facts,
        "seconds": sum(row["seconds"] for row in facts["history"]),
        "parameters": sum(own.numel() for own in model.network.parameters() if own.requires_grad),
        "memory_bytes": memory.gained_bytes,
    }
    write_json(kept, facts)
    for checkpoint in place.glob(f"{CHECKPOINT}*"):
        checkpoint.unlink()
    return facts


def train_together(
    settings: Settings,
    training: Training,
    model: TaskModel,
    seed: int,
    accelerator: Accelerator,
    tell: Callable[[str], Any],
    place: Path,
) -> dict[str, Any]:
    """Train all tasks of a model at once, or its only one.

    Args:
        settings: the recipe's.
        training: what to train.
        model: before training.
        seed: of all that is random.
        accelerator: device and precision.
        tell: called with lines for the screen.
        place: of the weights.

    Returns:
        "history", "steps", "joint_score" and "conflict".
    """
    from nlptransfer.multitask.gradient_conflict import ConflictRecorder, shared_layers
    from nlptransfer.multitask.loss_weighting import DynamicWeightAverage
    from nlptransfer.multitask.selection import TaskSelection
    from nlptransfer.training.checkpoint import write_checkpoint

    weighting = make_weighting(settings, training)
    whole = _whole(model, weighting).to(accelerator.device)
    batches = make_batches(settings, training, model, seed)
    recorder = None
    # The map is drawn for ways of sharing whose tasks' gradients meet in the same parameters.
    if settings.conflict_every and training.way in BALANCED:
        recorder = ConflictRecorder(every=settings.conflict_every, layers=lambda whole: shared_layers(whole["network"]))
    selection = TaskSelection(
        whole,
        {task: _scorer(model, data, settings.batch_size) for task, data in training.tasks.items()},
        checkpoint=place / SELECTION,
        resume=True,
    )

    def note(row: dict[str, Any]) -> None:
        if isinstance(weighting, DynamicWeightAverage):
            weighting.record(row)

    step = make_step(settings, training, weighting, recorder)
    name = f"{training.name}, seed {seed}"
    history = _train(settings, whole, step, batches, seed, selection, place / CHECKPOINT, accelerator, name, tell, note)
    write_checkpoint(place / WEIGHTS, {"weights": whole.state_dict()})
    return {
        "history": history,
        "steps": len(history) * len(batches),
        "joint_score": max(row["score"] for row in history),
        "conflict": recorder.rows if recorder is not None else [],
    }


def train_in_turn(
    settings: Settings,
    training: Training,
    model: TaskModel,
    seed: int,
    accelerator: Accelerator,
    tell: Callable[[str], Any],
    place: Path,
) -> dict[str, Any]:
    """Train one encoder on the first task, then on the next: in each turn it ends as it was best for the turn's task.

    Args:
        settings: the recipe's.
        training: what to train.
        model: before training.
        seed: of all that is random.
        accelerator: device and precision.
        tell: called with lines for the screen.
        place: of the weights.

    Returns:
        "history", its epochs counted on from turn to turn; "steps"; "joint_score", in the end; and an empty "conflict".
    """
    from nlptransfer.multitask.selection import joint_score
    from nlptransfer.training.checkpoint import read_checkpoint, write_checkpoint

    whole = _whole(model, None).to(accelerator.device)
    history: list[dict[str, Any]] = []
    best: dict[str, dict[str, Any]] = {}
    steps = 0
    scorers = {task: _scorer(model, data, settings.batch_size) for task, data in training.tasks.items()}
    for number, (task, data) in enumerate(training.tasks.items(), start=1):
        turn = replace(training, tasks={task: data})
        batches = make_batches(settings, turn, model, seed)
        done = place / f"turn-{number}.pt"
        if done.exists():
            state = read_checkpoint(done)
            whole.load_state_dict(state["weights"])
            rows = state["history"]
        else:
            name, checkpoint = f"{training.name}: {task}, seed {seed}", place / f"{CHECKPOINT}-{number}"
            step = make_step(settings, turn, None, None)
            rows = _train(settings, whole, step, batches, seed, scorers[task], checkpoint, accelerator, name, tell)
            write_checkpoint(done, {"weights": whole.state_dict(), "history": rows})
        # The layout of a `TaskSelection`, from which `load_model` takes the model as it was after this task.
        best[task] = {own: tensor.detach().cpu().clone() for own, tensor in whole.state_dict().items()}
        steps += len(rows) * len(batches)
        history += [{**row, "epoch": len(history) + row["epoch"]} for row in rows]
    scores = {task: score() for task, score in scorers.items()}
    write_checkpoint(place / SELECTION, {"best": scores, "weights": best})
    write_checkpoint(place / WEIGHTS, {"weights": whole.state_dict()})
    return {"history": history, "steps": steps, "joint_score": joint_score(scores), "conflict": []}


def _train(
    settings: Settings,
    whole: nn.ModuleDict,
    step: TaskStep,
    batches: Any,
    seed: int,
    evaluate: Callable[[], float],
    checkpoint: Path,
    accelerator: Accelerator,
    name: str,
    tell: Callable[[str], Any],
    note: Callable[[dict[str, Any]], None] = lambda row: None,
) -> list[dict[str, Any]]:
    """Train with the recipe's settings; `note` is called with each row of the history, which is returned."""
    from nlptransfer.recipes.recurrent_taggers import make_optimizer
    from nlptransfer.training.loop import train
    from nlptransfer.training.schedules import linear

    is_encoder = settings.encoder is not None
    epochs = max(settings.epochs, math.ceil(settings.min_steps / len(batches)))

    def on_epoch(row: dict[str, Any]) -> None:
        note(row)
        tell(
            f"{name}, epoch {row['epoch']} of {epochs}: loss {row['loss']:.4f}, dev {row['score']:.4f}, "
            f"{row['seconds']:.1f} s"
        )

    return train(
        whole,
        step,
        batches,
        make_encoder_optimizer(settings, whole)
        if is_encoder
        else make_optimizer(whole, learning_rate=settings.learning_rate),
        epochs=epochs,
        seed=seed,
        evaluate=evaluate,
        # A pretrained encoder is spared large steps, most of all while its heads know nothing.
        schedule=partial(linear, warmup=0.1) if is_encoder else linear,
        max_gradient_norm=1.0 if is_encoder else 5.0,
        checkpoint=checkpoint,
        resume=True,
        accelerator=accelerator,
        on_epoch=on_epoch,
        description=name,
    )


def make_encoder_optimizer(settings: Settings, whole: nn.ModuleDict) -> Optimizer:
    """AdamW with one rate for a pretrained encoder, and another for what stands on it.

    Args:
        settings: the recipe's.
        whole: what is trained.
    """
    from torch.optim import AdamW

    network: Any = whole["network"]
    own = list(network.encoder.parameters())
    known = set(own)
    rest = [weight for weight in whole.parameters() if weight not in known]
    groups = [
        {"params": own, "lr": settings.encoder_learning_rate},
        {"params": rest, "lr": settings.learning_rate},
    ]
    return AdamW(groups, weight_decay=0.0, fused=True)


def load_model(
    settings: Settings,
    training: Training,
    seed: int,
    vectors: WordVectors | None,
    accelerator: Accelerator,
    place: Path,
    *,
    task: str | None,
) -> TaskModel:
    """A trained model, as it was at its best epoch.

    Args:
        settings: the recipe's.
        training: what was trained.
        seed: it was trained under.
        vectors: pretrained ones, or None.
        accelerator: device and precision.
        place: of the weights.
        task: at the epoch that was best for this task; None for the one that was best for all, or the last turn's.
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


def labelled(data: TaskData, system: str, split: str, seed: int, predicted: Sequence[Any]) -> Any:
    """Predictions beside the labels, for the scorer; what carries no label is left out.

    Args:
        data: of the task.
        system: its name.
        split: dev or test.
        seed: the model's.
        predicted: for each text of the split.
    """
    from nlptransfer.evaluation.number_scores import NumberPredictions
    from nlptransfer.evaluation.predictions import DocumentPredictions, Predictions
    from nlptransfer.multitask.task_data import MISSING_TAG

    part: TaskSplit = data.splits[split]
    gold = part.gold()
    rows = part.labelled()
    if data.task.kind != "tagging":
        kind = DocumentPredictions if data.task.kind == "classification" else NumberPredictions
        wanted, found = ([values[row] for row in rows] for values in (gold, predicted))
        return kind(system, split, seed, [str(row) for row in rows], wanted, found)
    kept = [[place for place, tag in enumerate(gold[row]) if tag != MISSING_TAG] for row in rows]
    columns = [
        [[sentences[row][place] for place in places] for row, places in zip(rows, kept, strict=True)]
        for sentences in (part.texts, gold, predicted)
    ]
    return Predictions(system, split, seed, *columns)


def _whole(model: TaskModel, weighting: Weighting | None) -> nn.ModuleDict:
    """What is trained: the network, and a weighting that learns."""
    from torch import nn

    parts: dict[str, nn.Module] = {"network": model.network}
    if isinstance(weighting, nn.Module):
        parts["weighting"] = weighting
    return nn.ModuleDict(parts)


def _scorer(model: TaskModel, data: TaskData, batch_size: int) -> Callable[[], float]:
    """The task's score on its development data, which are encoded once."""
    from nlptransfer.multitask.selection import task_score

    part, task = data.splits["dev"], data.task
    gold = part.gold()
    if task.kind != "tagging":
        texts = model.encode_texts(part.texts)

        def score_texts() -> float:
            found = model.predict_ids(texts, task.name, batch_size=batch_size).tolist()
            return task_score(task, gold, [task.labels[own] for own in found] if task.labels else found)

        return score_texts
    encoded = model.encode(part.texts)
    spans = list(pairwise(encoded.starts.tolist()))

    def score() -> float:
        tags = [task.labels[own] for own in model.predict_ids(encoded, task.name, batch_size=batch_size).tolist()]
        return task_score(task, gold, [tags[start:end] for start, end in spans])

    return score
