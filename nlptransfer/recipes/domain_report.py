"""What the report of a run across domains shows beside scores and verdicts, and the models that it leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlptransfer.recipes.domain_diagnosis import read_diagnosis
from nlptransfer.recipes.domain_representations import CURVE
from nlptransfer.recipes.domain_systems import REFERENCE, SOURCE_ONLY, System

if TYPE_CHECKING:
    from pathlib import Path

    from nlptransfer.data.domain_pairs import DomainPair
    from nlptransfer.evaluation.run_folder import RunFolder
    from nlptransfer.evaluation.verdict import Score, Verdict
    from nlptransfer.recipes.cross_domain_sentiment import Settings
    from nlptransfer.recipes.domain_cells import Cells

CURVE_NOTE = "A linear classifier on mSDA. Chosen: the best label-free score, which has seen no target label."


def make_tables(
    settings: Settings,
    names: Mapping[str, tuple[str, str]],
    cells: Cells,
    gold: Mapping[str, Sequence[str]],
    loaded: Mapping[str, DomainPair],
    choices: Sequence[Mapping[str, Any]],
) -> list[Any]:
    """The recipe's own tables: the choice, its oracle, the domains, what the methods report, the words."""
    from nlptransfer.evaluation.report import Table
    from nlptransfer.experiments import cell_folder

    seed = settings.seeds[0]
    folders = {name: cell_folder(settings.output_dir, "source_only", seed, pair=name).parent for name in names}
    read = {name: read_diagnosis(folder / "domains.json") for name, folder in folders.items()}
    reports = [
        {
            "pair": pair,
            "system": system,
            "as trained": cell.facts.get("chosen", system),
            f"label-free score ({settings.selection})": cell.facts.get("label_free_score"),
            **{
                key: value if not isinstance(value, list) else ", ".join(map(str, value))
                for key, value in cell.facts.items()
                if key not in ("chosen", "label_free_score", "candidates", "warnings", "bridging_words")
            },
        }
        for (pair, system, own), cell in cells.items()
        if own == seed and system != REFERENCE
    ]
    tables = [
        Table(
            "Chosen without target labels, and by an oracle",
            list(choices),
            "The oracle knows the test labels. Nobody has it: it tells how much a better choice could still bring.",
        ),
        Table(
            "The domains",
            [own["distances"] for own in read.values()],
            "Proxy A-distance: 0 alike, 2 told apart without error. A smaller distance is no law of a better transfer.",
        ),
        Table("What the methods report of themselves (first seed)", reports),
        Table(
            "Warnings of the methods",
            [
                {"pair": pair, "system": system, "seed": own, "warning": text}
                for (pair, system, own), cell in cells.items()
                for text in cell.facts.get("warnings", ())
            ],
        ),
        Table(
            "Warnings about the data",
            [{"pair": name, "warning": text} for name, pair in loaded.items() for text in pair.warnings],
        ),
    ]
    if numbers := number_rows(cells, gold, loaded, seed):
        tables.insert(1, Table("Numbers chosen without target labels, and by an oracle", numbers))
    for name in names:
        if rows := curve_rows(folders[name], gold.get(name), loaded[name].label_names):
            tables.append(Table(f"mSDA by corruption and layers, {name}", rows, CURVE_NOTE))
    for (pair, system, own_seed), cell in cells.items():
        if own_seed == seed and (words := cell.facts.get("bridging_words")):
            tables.append(
                Table(
                    f"What {system} reconstructs a domain's own words from, {pair}",
                    words,
                    "Words of the other domain's documents that fill in for one that they never use.",
                )
            )
    for name, own in read.items():
        tables.append(Table(f"Words that moved most, {name}", own["moved_words"], "z: weighted log odds."))
        if own["judged_anew"]:
            tables.append(Table(f"Words judged anew, {name}", own["judged_anew"]))
    return [table for table in tables if table.rows]


def curve_rows(folder: Path, gold: Sequence[str] | None, label_names: Sequence[str]) -> list[dict[str, Any]]:
    """The points of mSDA's curve, with their accuracy where the target has labels; none where it was not asked for."""
    path = folder / CURVE
    if not path.exists():
        return []
    points = json.loads(path.read_text(encoding="utf-8"))
    best = max(range(len(points)), key=lambda number: float(points[number]["score"]))
    rows = []
    for number, point in enumerate(points):
        row = {
            "corruption": point["corruption"],
            "layers": point["num_layers"],
            "label-free score": round(point["score"], 4),
            "chosen": number == best,
        }
        if gold is not None:
            right = sum(
                label_names[ord(digit) - 48] == label for digit, label in zip(point["predicted"], gold, strict=True)
            )
            row["accuracy, %"] = round(100 * right / len(gold), 2)
        rows.append(row)
    return rows


def number_rows(
    cells: Cells,
    gold: Mapping[str, Sequence[str]],
    loaded: Mapping[str, DomainPair],
    seed: int,
) -> list[dict[str, Any]]:
    """What the label-free choice of each method's number has cost against the best one."""
    rows = []
    for (pair, system, own), cell in cells.items():
        if own != seed or "candidates" not in cell.facts or pair not in gold:
            continue
        names = loaded[pair].label_names
        right = {
            candidate["method"]: sum(
                names[ord(digit) - 48] == label for digit, label in zip(candidate["predicted"], gold[pair], strict=True)
            )
            / len(gold[pair])
            for candidate in cell.facts["candidates"]
        }
        chosen, best = cell.facts["chosen"], max(right, key=lambda name: right[name])
        rows.append(
            {
                "pair": pair,
                "system": system,
                "chosen": chosen,
                "score, %": round(100 * right[chosen], 2),
                "oracle (NOT USABLE)": best,
                "gap, points": round(100 * (right[best] - right[chosen]), 2),
            }
        )
    return rows


def make_figures(
    settings: Settings,
    names: Mapping[str, tuple[str, str]],
    systems: Sequence[System],
    scores: Sequence[Score],
    gold: Mapping[str, Sequence[str]],
    loaded: Mapping[str, DomainPair],
) -> dict[str, tuple[str, Any]]:
    """What labelled target reviews are worth, where several numbers were asked for; and both domains before and after
    each representation that was learnt, of a grid those of its first pair."""
    from nlptransfer.evaluation.document_predictions import ALL_PAIRS
    from nlptransfer.evaluation.plots import plot_domains, plot_label_curve
    from nlptransfer.evaluation.setting_plots import plot_setting_curve
    from nlptransfer.experiments import cell_folder

    figures: dict[str, tuple[str, Any]] = {}
    pair = ALL_PAIRS if len(names) > 1 else next(iter(names))
    means = [own for own in scores if (own.pair, own.metric, own.seed) == (pair, "accuracy", None)]
    if any("@" in own.system for own in means):
        curve = plot_label_curve(means, levels=(*SOURCE_ONLY.values(), REFERENCE))
        figures["label_curve.png"] = ("What a few labelled target reviews are worth; bars: intervals.", curve)
    name = next(iter(names))
    folder = cell_folder(settings.output_dir, "source_only", settings.seeds[0], pair=name).parent
    rows = curve_rows(folder, gold.get(name), loaded[name].label_names)
    if rows and name in gold:
        level = [own.value for own in scores if (own.system, own.pair, own.metric) == ("source_only", name, "accuracy")]
        curve = plot_setting_curve(
            rows,
            along="corruption",
            lines="layers",
            value="accuracy, %",
            chosen="chosen",
            baseline=100 * level[0] if level else None,
        )
        figures["corruption.png"] = (f"{name}: a linear classifier on mSDA", curve)
    for system in systems:
        path = cell_folder(settings.output_dir, system.name, settings.seeds[0], pair=name) / "picture.json"
        if path.exists():
            before, after = json.loads(path.read_text(encoding="utf-8"))
            ends = name.split(">", 1)
            figure = plot_domains(before, after, titles=("features", system.name), domains=(ends[0], ends[1]))
            figures[f"domains_{system.name}.png"] = (f"{name}: documents before and after {system.name}", figure)
    return figures


def keep_models(
    settings: Settings,
    folder: RunFolder,
    loaded: Mapping[str, DomainPair],
    choice: Mapping[str, str],
    systems: Sequence[System],
    scores: Sequence[Score],
    verdicts: Sequence[Verdict],
    signature: Mapping[str, Any],
    warnings: Sequence[str],
) -> None:
    """One pair: every system's model, the chosen one as `model`. Many: each pair's chosen one in `models`."""
    import nlptransfer
    from nlptransfer.data.documents import documents
    from nlptransfer.evaluation.model_card import model_card
    from nlptransfer.experiments import cell_folder
    from nlptransfer.models.saving import check_reload

    seed = settings.seeds[0]
    for number, (name, pair) in enumerate(loaded.items()):
        wanted = [choice[name]] if len(loaded) > 1 else [choice[name], *(system.name for system in systems)]
        for place, system in enumerate(wanted):
            kept = cell_folder(settings.output_dir, system, seed, pair=name) / "model"
            if not kept.exists():
                continue
            if len(loaded) > 1:
                path = folder.path / "models" / kept.parent.parent.name
            else:
                path = folder.model if place == 0 else folder.path / "models" / system
            model = nlptransfer.load(kept)
            card = model_card(
                title=f"Sentiment, {name} ({system})",
                system=system,
                seed=seed,
                summary=f"Tells {', '.join(pair.label_names)} apart in {pair.target}; labels came from {pair.source}.",
                scores=scores,
                verdicts=verdicts,
                signature={key: value for key, value in signature.items() if key != "pairs"},
                notes=warnings,
                pair=name,
            )
            model.save_pretrained(path, card=card)
            if place == 0 and number == 0:
                texts = documents(pair.target_unlabelled.select(range(min(100, len(pair.target_unlabelled)))))
                check_reload(path, texts, model.predict(texts))
    if len(loaded) == 1:
        shutil.rmtree(folder.path / "models" / choice[next(iter(loaded))], ignore_errors=True)  # it is `model`


def describe_choice(
    settings: Settings,
    choice: Mapping[str, str],
    has_labels: bool,
    elsewhere: str | None,
    on_other_pairs: Mapping[str, str],
) -> list[str]:
    """What was chosen, in sentences."""

    def each(chosen: Mapping[str, str]) -> str:
        return ", ".join(f"{system} on {name}" for name, system in chosen.items())

    by = settings.selection.replace("_", " ")
    notes = [f"Chosen without target labels, by {by}: {each(choice)}."]
    if on_other_pairs:
        notes.append(f"Best on the pairs without the target, and so chosen by them: {each(on_other_pairs)}.")
    if elsewhere is not None:
        notes.append(f"Best on the other domains of {settings.chosen_by}, and so chosen by them: {elsewhere}.")
    if len(choice) > 1 and settings.keep_models:
        notes.append("The model chosen on each pair is in the folder `models`.")
    if not has_labels:
        notes.append(
            "The target has no labels, so there is no score and no verdict. The model was trained all the same: "
            f"`nlptransfer predict --model {settings.output_dir / 'model'} --input FILE --output FILE` labels reviews."
        )
    return notes
