"""What the report of a fine-tuning run shows beside scores and verdicts, and the model that it leaves."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlptransfer.recipes.finetuning_data import Job
from nlptransfer.recipes.finetuning_systems import System

if TYPE_CHECKING:
    from nlptransfer.data.domain_pairs import DomainPair
    from nlptransfer.evaluation.document_predictions import DocumentPredictions
    from nlptransfer.evaluation.run_folder import RunFolder
    from nlptransfer.evaluation.verdict import Score, Verdict
    from nlptransfer.recipes.finetuning_cells import Cells
    from nlptransfer.recipes.transformer_finetuning import Settings
    from nlptransfer.transferability.which_way import Recommendation

_MEASURED_TEXTS = 300


def recommend(settings: Settings, job: Job) -> Recommendation:
    """The strategy that measured size and distance speak for, before anything is trained."""
    from nlptransfer.embeddings.encoder_settings import load_tokenizer
    from nlptransfer.embeddings.find_encoder import find_encoder
    from nlptransfer.embeddings.ngrams import NgramVectorizer
    from nlptransfer.transferability.proxy_a_distance import proxy_a_distance
    from nlptransfer.transferability.which_way import measure_fertility, recommend_strategy

    def texts(items: Sequence[Any]) -> list[str]:
        return [item if isinstance(item, str) else " ".join(item) for item in items]

    target = next((test for test in job.tests if test.split == "target_test"), None)
    used_on = texts(target.unlabelled or target.items) if target is not None else texts(job.train)
    distance = None
    if target is not None:
        # By n-grams and not by the encoder's features, which would have to be computed first.
        vectorizer = NgramVectorizer(min_documents=2, max_features=10_000, normalize=True)
        own = texts(job.train)
        features = vectorizer.fit([*own, *used_on]).transform([*own, *used_on])
        distance = proxy_a_distance(features[: len(own)], features[len(own) :], seed=settings.split_seed)
    return recommend_strategy(
        num_labels=min(settings.train_sizes, default=len(job.train)),
        num_classes=len(job.label_names),
        # What the table has for much unlabelled text may end in self-training, which taggers can't do.
        num_unlabelled=0 if target is None or job.is_tagging else len(target.unlabelled),
        fertility=measure_fertility(load_tokenizer(find_encoder(str(settings.encoder))), used_on[:_MEASURED_TEXTS]),
        domain_distance=distance,
    )


def on_every_pair(predictions: Sequence[Any]) -> list[DocumentPredictions]:
    """Those of pairs, of the systems that were trained on every pair: only they have a mean over the pairs."""
    of_pairs = [part for part in predictions if getattr(part, "pair", None) is not None]
    pairs = {part.pair for part in of_pairs}
    found: dict[str, set[str]] = {}
    for part in of_pairs:
        found.setdefault(part.system, set()).add(part.pair)
    return [part for part in of_pairs if found[part.system] == pairs]


def make_tables(
    settings: Settings, jobs: Sequence[Job], cells: Cells, scores: Sequence[Score], advice: Recommendation
) -> list[Any]:
    """Cost beside score, the recommendation beside what was found, and each strategy's plan."""
    from nlptransfer.evaluation.report import Table

    tables = [
        Table(
            "Cost and score",
            cost_rows(cells, scores),
            "Means over cells and seeds. Seconds before: of adapting the encoder, or of the network that a strategy "
            "goes on from. Memory: at the peak, above what was held before; on a GPU, of the device.",
        ),
        Table("Which way? Recommended before anything was trained", advice.table, " ".join(advice.reasons)),
        Table("What the strategies report of themselves (first cell)", _reports(cells)),
    ]
    if settings.train_sizes:
        tables.insert(1, Table("Where fine-tuning overtakes frozen features", crossing_rows(scores)))
    shown: set[str] = set()
    for (_, system, _), cell in cells.items():
        name = system.partition("@")[0]
        if "plan" in cell.facts and name not in shown:
            shown.add(name)
            tables.append(
                Table(f"Learning rates of {name}", cell.facts["plan"], "In the middle of each epoch; 0: frozen.")
            )
    return [table for table in tables if table.rows]


def cost_rows(cells: Cells, scores: Sequence[Score]) -> list[dict[str, Any]]:
    """A row per system: seconds, what was trained, memory, development and test accuracy."""
    means = test_means(scores)
    rows = []
    for name in dict.fromkeys(system for _, system, _ in cells):
        own = [cell.facts for (_, system, _), cell in cells.items() if system == name]

        def mean(key: str, own: list[dict[str, Any]] = own) -> float | None:
            values = [float(facts[key]) for facts in own if facts.get(key) is not None]
            return sum(values) / len(values) if values else None

        seconds, before = mean("training_seconds"), mean("seconds_before")
        memory, dev = mean("memory_bytes"), mean("dev_accuracy")
        row: dict[str, Any] = {
            "system": name,
            "seconds": round(seconds or 0.0, 1),
            "seconds before": None if before is None else round(before, 1),
            "trained parameters": int(mean("trained_parameters") or 0),
            "memory, MB": round((memory or 0.0) / 1e6),
            "source dev, %": round(100 * (dev or 0.0), 2),
        }
        for split, value in means.get(name, {}).items():
            row[f"{split.replace('_', ' ')}, %"] = round(100 * value, 2)
        rows.append(row)
    return rows


def test_means(scores: Sequence[Score]) -> dict[str, dict[str, float]]:
    """Mean accuracy over seeds, and where there are several pairs over these, by system and split."""
    wanted = [own for own in scores if own.seed is None and own.metric in ("accuracy", "token_accuracy")]
    many = any(own.pair == "all" for own in wanted)
    found: dict[str, dict[str, float]] = {}
    for own in wanted:
        if own.split not in ("train", "dev") and (not many or own.pair == "all"):
            found.setdefault(own.system, {})[own.split] = own.value
    return found


def _reports(cells: Cells) -> list[dict[str, Any]]:
    hidden = ("plan", "training_seconds", "seconds_before", "memory_bytes", "trained_parameters", "dev_accuracy")
    rows: dict[str, dict[str, Any]] = {}
    for (place, system, _), cell in cells.items():
        facts = {
            name: ", ".join(map(str, value)) if isinstance(value, list) else value
            for name, value in cell.facts.items()
            if name not in hidden
        }
        rows.setdefault(system, {"place": place, "system": system, **facts})
    return list(rows.values())


def crossing_rows(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """For each strategy the number of labels from which it does better than a head on frozen features."""
    from nlptransfer.evaluation.crossings import crossing_points

    curves = label_curves(scores)
    base = curves.get("feature_extraction", {})
    rows = []
    for name, curve in curves.items():
        if name in ("feature_extraction", "no_pretraining") or not base:
            continue
        at = crossing_points(curve, base)
        above = [size for size in sorted(set(curve) & set(base)) if curve[size] > base[size]]
        text = ", ".join(f"{number:,.0f}" for number in at)
        rows.append(
            {
                "strategy": name,
                "overtakes feature_extraction at": text or ("below the smallest" if above else "not within these"),
                "better at": ", ".join(f"{size:,}" for size in above) or "none",
            }
        )
    return rows


def label_curves(scores: Sequence[Score]) -> dict[str, dict[int, float]]:
    """Mean accuracy on the last test by number of labels, for each strategy that was trained on several."""
    curves: dict[str, dict[int, float]] = {}
    for system, means in test_means(scores).items():
        name, mark, number = system.rpartition("@")
        if mark and means:
            curves.setdefault(name, {})[int(number)] = list(means.values())[-1]  # the target's, where there is one
    return curves


def make_figures(settings: Settings, cells: Cells, scores: Sequence[Score]) -> dict[str, tuple[str, Any]]:
    """Score against cost; and score against the number of labels, where several were asked for."""
    from nlptransfer.evaluation.crossings import crossing_points
    from nlptransfer.evaluation.plots import plot_label_curve
    from nlptransfer.evaluation.setting_plots import plot_cost

    figures: dict[str, tuple[str, Any]] = {}
    rows = cost_rows(cells, scores)
    column = next((name for name in reversed(rows[0]) if name.endswith("test, %")), None)
    if column is not None:
        # All that it took, with the adapting of its encoder and the network that it goes on from.
        whole = [{**row, "seconds": row["seconds"] + (row["seconds before"] or 0.0)} for row in rows]
        figure = plot_cost(whole, cost="seconds", value=column, name="system")
        figures["cost.png"] = ("Accuracy against the seconds of training, with those of what came before.", figure)
    curves = label_curves(scores)
    if curves:
        base = curves.get("feature_extraction", {})
        crossings = {
            f"{name} overtakes, {at[0]:,.0f}": at[0]
            for name, curve in curves.items()
            if name != "no_pretraining" and base and (at := crossing_points(curve, base))
        }
        pair = "all" if any(own.pair == "all" for own in scores) else None
        last = [own for own in scores if "@" in own.system and own.split not in ("train", "dev")][-1]
        metric = "token_accuracy" if last.metric.endswith("word_accuracy") else "accuracy"
        wanted = (None, metric, last.split, pair or last.pair)
        means = [own for own in scores if (own.seed, own.metric, own.split, own.pair) == wanted]
        curve = plot_label_curve(means, axis="labelled training items", crossings=crossings)
        figures["label_curve.png"] = ("What labels are worth to each strategy; bars: intervals.", curve)
    return figures


def keep_model(
    settings: Settings,
    folder: RunFolder,
    jobs: Sequence[Job],
    cells: Cells,
    chosen: Mapping[str, str],
    scores: Sequence[Score],
    verdicts: Sequence[Verdict],
    signature: Mapping[str, Any],
    warnings: Sequence[str],
) -> None:
    """The chosen system's model of the first source, checked in a fresh process."""
    from nlptransfer.evaluation.model_card import model_card
    from nlptransfer.models.saving import check_reload
    from nlptransfer.recipes.finetuning_cells import load_trained

    job, seed = jobs[0], settings.seeds[0]
    name, system = next(iter(chosen.items()))
    pair = name if any(test.name == name for test in job.tests) else None
    what = "Tags words" if job.is_tagging else f"Tells {', '.join(job.label_names)} apart"
    card = model_card(
        title=f"{'Tagger' if job.is_tagging else 'Text classifier'} ({system})",
        system=system,
        seed=seed,
        summary=f"{what}; trained on {job.corpus} from the encoder {settings.encoder}.",
        scores=scores,
        verdicts=verdicts,
        signature=signature,
        notes=warnings,
        pair=pair,
    )
    model = load_trained(settings, job, system, seed, name)
    model.save_pretrained(folder.model, card=card)
    items = job.dev[:100]
    check_reload(folder.model, items, model.predict(items))
    shutil.rmtree(settings.output_dir / "cells" / "encoders", ignore_errors=True)


def describe_run(settings: Settings, jobs: Sequence[Job], sealed: Mapping[str, DomainPair]) -> dict[str, Any]:
    """The signature: what the numbers rest on."""
    return {
        "encoder": settings.encoder,
        "trained on": {
            job.name: f"{job.corpus}: {len(job.train):,} items, {len(job.dev):,} to develop on" for job in jobs
        },
        "sizes": list(settings.train_sizes) or "all",
        "seeds": list(settings.seeds),
        "precision": settings.precision,
        "labels for training": "train",
        "labels for model choice": "dev of the source: the epoch, and the system that is saved; none of the target",
        "test labels": "opened once, to score, when every system is trained",
        "pairs": {name: pair.signature for name, pair in sealed.items()},
        "interval": "95 %, bootstrap over items; over all pairs: over pairs, seeds and documents",
        "test": "paired permutation over items; over all pairs: sign flips of the pairs' gains; two-sided",
    }


def notes_on(
    settings: Settings, chosen: Mapping[str, str], advice: Recommendation, scores: Sequence[Score]
) -> list[str]:
    """The choice and the recommendation, in sentences."""
    notes = [
        "Chosen by the source's development data: "
        + ", ".join(f"{system} on {name}" for name, system in chosen.items())
        + "."
    ]
    means = {system: list(own.values())[-1] for system, own in test_means(scores).items() if own}
    trained = {system: value for system, value in means.items() if "choice" not in system}
    found = f" The runs found {max(trained, key=lambda own: trained[own])} best on the test." if trained else ""
    notes.append(f"Recommended beforehand, by size and distance: {advice.strategy}. {advice.reasons[0]}{found}")
    return notes


def print_plan(
    settings: Settings,
    jobs: Sequence[Job],
    systems: Sequence[System],
    advice: Recommendation,
    warnings: Sequence[str],
) -> None:
    """What a run would do."""
    from nlptransfer.recipes.finetuning_cells import places
    from nlptransfer.recipes.finetuning_systems import seeds_of

    for warning in warnings:
        print(f"Warning: {warning}")
    for job in jobs:
        tests = ", ".join(
            f"{test.name or test.split} {len(test.items):,} (unlabelled {len(test.unlabelled):,})" for test in job.tests
        )
        print(f"{job.corpus}: {len(job.train):,} to train on, {len(job.dev):,} to develop on; to test on: {tests}")
    print(f"Encoder: {settings.encoder}")
    print(f"Systems: {', '.join(system.name for system in systems)}")
    cells = sum(len(places(job, own)) * len(seeds_of(own, settings)) for job in jobs for own in systems)
    print(f"Recommended: {advice.strategy}. {' '.join(advice.reasons)}")
    print(f"{cells} trainings. Nothing was trained.")
