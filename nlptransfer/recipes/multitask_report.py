"""What a multitask run shows: scores and verdicts by task, costs, the curve, the map of conflict; and its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nlptransfer.recipes.multitask_data import Arm
from nlptransfer.recipes.multitask_models import SEQUENTIAL, SINGLE, Training
from nlptransfer.recipes.multitask_systems import load_model, model_place

if TYPE_CHECKING:
    from accelerate import Accelerator

    from nlptransfer.embeddings.word_vectors import WordVectors
    from nlptransfer.evaluation.run_folder import RunFolder
    from nlptransfer.evaluation.verdict import Score, Verdict
    from nlptransfer.experiments import Cell
    from nlptransfer.recipes.multitask_tagging import Settings

Cells = Mapping[tuple[str, int], "Cell[Any]"]


def describe_run(settings: Settings, arms: Sequence[Arm], vectors: WordVectors | None) -> dict[str, Any]:
    """The signature: what the numbers rest on."""
    from nlptransfer.evaluation.verdict import METRIC_NAMES
    from nlptransfer.multitask.selection import task_metric

    described: dict[str, Any] = {}
    for name, data in arms[-1].tasks.items():
        sizes = ", ".join(f"{len(arm.tasks[name].splits['train']):,}" for arm in _distinct(arms, name, settings))
        source = data.source
        described[f"task {name}"] = (
            f"{source.corpus}{'' if source.column is None else ':' + source.column}, {len(data.task.labels)} labels, "
            f"{sizes} texts to train on, {len(data.splits['dev']):,} to develop on, {len(data.splits['test']):,} to "
            f"test on; by {METRIC_NAMES[task_metric(data.task)]}"
        )
    return {
        **described,
        **_starting_point(settings, vectors),
        "labels for model choice": "dev of each task: its epoch; dev of all tasks: the model that is saved"
        if settings.selection == "task"
        else "dev of all tasks together: the epoch and the model that is saved",
        "test labels": "read to score",
        "seeds": list(settings.seeds),
        "interval": "95 %, bootstrap over texts",
        "test": "paired permutation over texts, two-sided",
    }


def score_tasks(settings: Settings, arms: Sequence[Arm], cells: Cells) -> tuple[list[Score], list[Verdict]]:
    """Scores and verdicts, task by task: each has a metric of its own and its own baseline.

    Args:
        settings: the recipe's.
        arms: of the run.
        cells: by system and seed.

    Returns:
        The scores; and a verdict on each way of sharing against the task alone, then one on a low layer against the
        same layer where both were run, and one on what a sequential training has left of its earlier tasks.
    """
    from nlptransfer.evaluation.verdict import compare_with_baseline, score_predictions
    from nlptransfer.multitask.selection import task_metric
    from nlptransfer.multitask.sequential import forgetting

    scores: list[Score] = []
    verdicts: list[Verdict] = []
    for name, data in arms[-1].tasks.items():
        metric = task_metric(data.task)
        metrics = ("accuracy", "macro_f1") if data.task.kind == "classification" else (metric,)
        baselines = {arm.mark: f"{name}.{SINGLE}{arm.mark_of(name, settings.curve_task)}" for arm in arms}
        compared = [(baselines[arm.mark], [f"{name}.{way}{arm.mark}" for way in settings.sharing]) for arm in arms] + [
            (f"{name}.hard{arm.mark}", [f"{name}.low_layer{arm.mark}"])
            for arm in arms
            if {"hard", "low_layer"} <= set(settings.sharing)
        ]
        systems = dict.fromkeys(system for baseline, others in compared for system in (baseline, *others))
        parts = {
            system: [part for seed in settings.seeds for part in cells[system, seed].predictions] for system in systems
        }
        scores += score_predictions([part for own in parts.values() for part in own], metrics=metrics, seed=0)
        for baseline, others in compared:
            own = [part for system in (baseline, *others) for part in parts[system]]
            verdicts += compare_with_baseline(own, baseline, metrics=(metric,), seed=0)
        for arm in arms:
            before, after = (f"{name}.{SEQUENTIAL}{moment}{arm.mark}" for moment in ("_before", ""))
            if all((before, seed) in cells for seed in settings.seeds):
                early = [part for seed in settings.seeds for part in cells[before, seed].predictions]
                scores += score_predictions(early, metrics=metrics, seed=0)
                lost = forgetting(_on_test(early), _on_test(parts[after]), metric=metric, seed=0)
                verdicts.append(replace(lost, system=after, baseline=before))
    return scores, verdicts


def make_tables(
    settings: Settings,
    arms: Sequence[Arm],
    trainings: Sequence[Training],
    cells: Cells,
    scores: Sequence[Score],
    verdicts: Sequence[Verdict],
) -> list[Any]:
    """Tasks by ways of sharing at a glance, what each costs, and what a sequential training forgot."""
    from nlptransfer.evaluation.report import Table
    from nlptransfer.evaluation.verdict import METRIC_NAMES, points
    from nlptransfer.multitask.selection import task_metric

    metrics = {name: task_metric(data.task) for name, data in arms[-1].tasks.items()}
    test = {(own.system, own.metric): own.value for own in scores if own.seed is None and own.split == "test"}
    reading = {own.system: own for own in reversed(verdicts) if own.split == "test"}  # the first: against single
    glance, costs = [], []
    for arm in arms:
        alone = {
            name: next(
                own for own in trainings if own.name == f"{name}.{SINGLE}{arm.mark_of(name, settings.curve_task)}"
            )
            for name in metrics
        }
        for way in (SINGLE, *settings.sharing):
            row: dict[str, Any] = {"sharing": f"{way}{arm.mark}"}
            for name, metric in metrics.items():
                system = alone[name].system(name) if way == SINGLE else f"{name}.{way}{arm.mark}"
                row[f"{name}, {METRIC_NAMES[metric]}, %"] = round(100 * test[system, metric], 2)
                verdict = reading.get(system)
                row[f"{name}, against alone"] = (
                    "-" if way == SINGLE or verdict is None else f"{points(verdict.gain)}: {verdict.verdict}"
                )
            glance.append(row)
        sums: dict[str, float] = {}
        for way in (SINGLE, *settings.sharing):
            models = list(alone.values()) if way == SINGLE else [
                own for own in trainings if (own.way, own.mark) == (way, arm.mark)
            ]  # fmt: skip
            facts = [_facts(cells, own, seed) for own in models for seed in settings.seeds]
            num_seeds = len(settings.seeds)
            sums = {name: sum(own[name] for own in facts) / num_seeds for name in ("seconds", "parameters", "steps")}
            if way == SINGLE:
                all_alone = sums["seconds"]
            costs.append(
                {
                    "sharing": f"{way}{arm.mark}" + (f", {len(models)} models" if way == SINGLE else ""),
                    "trained parameters": f"{round(sums['parameters']):,}",
                    "steps": f"{round(sums['steps']):,}",
                    "peak memory, MB": round(max(own["memory_bytes"] for own in facts) / 1e6),
                    "seconds": round(sums["seconds"], 1),
                    "times the tasks alone": round(sums["seconds"] / max(all_alone, 1e-9), 2),
                }
            )
    lost = [
        {
            "task": f"{name}{arm.mark}",
            "then trained on": ", ".join(list(metrics)[list(metrics).index(name) + 1 :]),
            "before, %": round(100 * test[own.baseline, metric], 2),
            "after, %": round(100 * test[own.system, metric], 2),
            "forgotten, points": points(-own.gain),
            "95 % interval": f"{points(-own.high)} to {points(-own.low)}",
            "verdict": own.verdict,
        }
        for name, metric in metrics.items()
        for arm in arms
        for own in verdicts
        if own.baseline == f"{name}.{SEQUENTIAL}_before{arm.mark}"
    ]
    forgotten = Table(
        "What a sequential training forgot",
        lost,
        "One encoder, trained on one task after the other: the test score of an earlier task right after its own "
        "turn and in the end. Harmed: it has forgotten more than chance explains.",
    )
    return [
        Table("Tasks by ways of sharing", glance, "On test data, means over the seeds; gains in points."),
        *([forgotten] if lost else []),
        Table(
            "What sharing costs",
            costs,
            "Of one seed on average; memory at the highest, above what was held before the training, on a GPU that of "
            "the device. Seconds of training hold the scoring of development data; they depend on the machine and on "
            "what else it did.",
        ),
    ]


def make_figures(
    settings: Settings, arms: Sequence[Arm], trainings: Sequence[Training], cells: Cells, scores: Sequence[Score]
) -> dict[str, tuple[str, Any]]:
    """The curve over training sizes, and the map of the gradients' conflict of the first seed."""
    from nlptransfer.evaluation.conflict_plot import plot_gradient_conflict
    from nlptransfer.evaluation.plots import plot_label_curve
    from nlptransfer.multitask.selection import task_metric

    figures: dict[str, tuple[str, Any]] = {}
    if settings.curve_task is not None:
        metric = task_metric(arms[-1].tasks[settings.curve_task].task)
        means = [
            own
            for own in scores
            if (own.split, own.metric, own.seed) == ("test", metric, None)
            and own.system.startswith(f"{settings.curve_task}.")
        ]
        curve = plot_label_curve(means, axis=f"training texts of {settings.curve_task}")
        figures["size_curve.png"] = (
            f"Test scores of {settings.curve_task} by its training texts; bars: intervals.",
            curve,
        )
    for training in trainings:
        rows = _facts(cells, training, settings.seeds[0])["conflict"]
        if rows:
            figures[f"conflict_{training.name}.png"] = (
                f"Do the tasks pull the shared parameters the same way? {training.name}, seed {settings.seeds[0]}: red "
                "where they conflict.",
                plot_gradient_conflict(rows),
            )
    return figures


def seconds_of(settings: Settings, trainings: Sequence[Training], cells: Cells) -> dict[str, float]:
    """How long each training took."""
    return {
        f"{training.name}, seed {seed}": _facts(cells, training, seed)["seconds"]
        for training in trainings
        for seed in settings.seeds
    }


def notes_on(settings: Settings, chosen: Training, seed: int) -> list[str]:
    """Which model was saved, and how its predictions differ from those that were scored."""
    notes = [
        f"Saved: {chosen.name}, seed {seed}, the best way of sharing on the development data of all tasks together."
    ]
    if chosen.way == SEQUENTIAL:
        notes.append(
            "It is as it was after its last task, and so it was scored; of earlier tasks it may have forgotten."
        )
    elif settings.selection == "task":
        notes.append(
            "Each task is scored at the epoch that was best for it; the saved model is of the epoch that was best for "
            "all tasks together, so its predictions may differ from those scored."
        )
    return notes


def keep_model(
    settings: Settings,
    folder: RunFolder,
    chosen: Training,
    seed: int,
    vectors: WordVectors | None,
    accelerator: Accelerator,
    scores: Sequence[Score],
    verdicts: Sequence[Verdict],
    signature: Mapping[str, Any],
    warnings: Sequence[str],
) -> None:
    """The chosen model of all tasks, in one folder; checked in a fresh process, task by task."""
    from nlptransfer.evaluation.verdict import describe
    from nlptransfer.models.saving import check_reload

    place = model_place(settings.output_dir / "cells", chosen, seed)
    model = load_model(settings, chosen, seed, vectors, accelerator, place, task=None)
    text = '["Not worth the money."]'
    examples = {"tagging": '[["The", "bank", "raised", "rates"]]', "classification": text, "regression": text}
    card = [
        f"# A model of {len(chosen.tasks)} tasks: {', '.join(chosen.tasks)}\n",
        f"Trained {'one after the other' if chosen.way == SEQUENTIAL else 'together'}, sharing by {chosen.way}; "
        f"seed {seed}.\n",
        '```python\nimport nlptransfer\n\nmodel = nlptransfer.load("model")',
        *(f'model.predict({examples[data.task.kind]}, "{name}")' for name, data in chosen.tasks.items()),
        "```\n",
    ]
    own = {chosen.system(task) for task in chosen.tasks}
    rows = [
        f"| {score.system} | {score.split} | {score.metric} | {score.value * 100:.2f} |"
        for score in scores
        if score.system in own and score.seed == seed
    ]
    card += ["| system | split | metric | % |", "|---|---|---|---|", *rows, ""]
    card += [f"- {describe(verdict)}" for verdict in verdicts if verdict.system in own]
    card += [f"- {note}" for note in (*notes_on(settings, chosen, seed), *warnings)]
    card += [f"- {name}: {value}" for name, value in signature.items()]
    model.save_pretrained(folder.model, card="\n".join(card) + "\n")
    texts = {name: data.splits["dev"].texts[:50] for name, data in chosen.tasks.items()}
    check_reload(folder.model, texts, {name: model.predict(own, name) for name, own in texts.items()})


def print_plan(settings: Settings, signature: Mapping[str, Any], trainings: Sequence[Training]) -> None:
    """What a run would do."""
    for name, value in signature.items():
        print(f"{name}: {value}")
    print(f"Models: {', '.join(training.name for training in trainings)}")
    print(f"{len(trainings) * len(settings.seeds)} trainings. Nothing was trained.")


def _starting_point(settings: Settings, vectors: WordVectors | None) -> dict[str, Any]:
    """What was learnt elsewhere: a pretrained encoder, or word vectors."""
    if settings.encoder is None:
        return {"vectors": "random" if vectors is None else f"{vectors.source}, {settings.embedding}"}
    from nlptransfer.embeddings.find_encoder import encoder_digest, find_encoder

    return {"encoder": f"{settings.encoder}, fine-tuned ({encoder_digest(find_encoder(settings.encoder))[:12]})"}


def _facts(cells: Cells, training: Training, seed: int) -> dict[str, Any]:
    """Of a model: its first task's cell has them."""
    return cells[training.system(next(iter(training.tasks))), seed].facts


def _on_test(parts: Sequence[Any]) -> list[Any]:
    return [part for part in parts if part.split == "test"]


def _distinct(arms: Sequence[Arm], task: str, settings: Settings) -> Sequence[Arm]:
    """The arms between which a task differs."""
    return arms if task == settings.curve_task else arms[-1:]
