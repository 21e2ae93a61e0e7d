"""What the report of a cross-lingual run shows beside scores and verdicts, and the model that it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlptransfer.recipes.crosslingual_bridges import Bridging
from nlptransfer.recipes.crosslingual_data import LanguagePair
from nlptransfer.recipes.crosslingual_systems import REFERENCE, TARGET_ONLY, System, train_model

if TYPE_CHECKING:
    from accelerate import Accelerator

    from nlptransfer.evaluation.run_folder import RunFolder
    from nlptransfer.evaluation.verdict import Score, Verdict
    from nlptransfer.experiments import Cell
    from nlptransfer.recipes.cross_lingual_transfer import Settings

_SHOWN_WORDS = 60


def describe_run(settings: Settings, pair: LanguagePair, bridging: Bridging) -> dict[str, Any]:
    """The signature: what the numbers rest on."""
    train = 0 if pair.target_train is None else len(pair.target_train)
    return {
        "source": f"{pair.names[0]}: {len(pair.train):,} items, {len(pair.dev):,} to develop on, {bridging.scripts[0]}",
        "target": f"{pair.names[1]}: {len(pair.target_test):,} items to test on, {bridging.scripts[1]}",
        "labelled target items": f"{train:,}, for the reference"
        + (" and as many as --target_labels says" if any(settings.target_labels) else ""),
        "unlabelled target text": f"the same items without labels, {', '.join(settings.target_text) or 'no more'}",
        "source text": ", ".join(settings.source_text) or "the training items",
        "vectors": f"{settings.source_vectors or 'none'}, {settings.target_vectors or 'none'}",
        "word pairs": settings.pairs or "none",
        "encoder": settings.encoder or "none",
        "labels for model choice": "dev of the source: epochs; the same as the target would write it: the bridge that "
        "is saved. None of the target",
        "test labels": "read to score, and their names compared with the source's when they are loaded",
        "seeds": list(settings.seeds),
        "interval": "95 %, bootstrap over items",
        "test": "paired permutation over items, two-sided",
    }


def make_tables(
    settings: Settings, systems: Sequence[System], cells: Mapping[tuple[str, int], Cell[Any]], scores: Sequence[Score]
) -> list[Any]:
    """What was known of each bridge without target labels beside what it then reached, and what a bridge is worth."""
    from nlptransfer.evaluation.report import Table

    test = {own.system: own.value for own in main_scores(scores)}
    rows = []
    for system in systems:
        facts = [cells[system.name, seed].facts for seed in settings.seeds]

        def mean(name: str, facts: list[dict[str, Any]] = facts) -> float | None:
            values = [own[name] for own in facts if name in own]
            return round(100 * sum(values) / len(values), 2) if values else None

        rows.append(
            {
                "system": system.name,
                "target labels": system.labels,
                "its own dev, %": mean("dev_accuracy"),
                "source dev as the target would write it, %": mean("simulated_accuracy"),
                "target test, %": round(100 * test[system.name], 2),
                "seconds": round(sum(cells[system.name, seed].seconds for seed in settings.seeds), 1),
            }
        )
    tables = [
        Table(
            "Known without target labels, and found with them",
            rows,
            "The third and fourth column need no label of the target: the bridge that is saved has the highest number "
            "in the fourth. Seconds are of all seeds; bridges that share a model pay for it once.",
        )
    ]
    worth = worth_rows(scores)
    if worth:
        tables.append(
            Table(
                "How many labelled target items is a bridge worth?",
                worth,
                "Where a model that was trained on target items alone reaches what the bridge reaches without any.",
            )
        )
    return tables


def main_scores(scores: Sequence[Score]) -> list[Score]:
    """Means over the seeds on the target's test, by the metric that comes first."""
    wanted = [own for own in scores if own.seed is None and own.split == "target_test"]
    metric = wanted[0].metric
    return [own for own in wanted if own.metric == metric]


def curves_of(scores: Sequence[Score]) -> dict[str, dict[int, float]]:
    """Score by number of target labels, for each bridge and for the target's labels alone."""
    curves: dict[str, dict[int, float]] = {}
    for own in main_scores(scores):
        name, mark, number = own.system.partition("@")
        if mark:
            curves.setdefault(name, {})[int(number)] = own.value
    return curves


def worth_rows(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """For each bridge the number of labelled target items that alone do as well as the bridge without any."""
    from nlptransfer.evaluation.crossings import crossing_points

    curves = curves_of(scores)
    alone = curves.get(TARGET_ONLY, {})
    rows = []
    for name, curve in curves.items():
        if name == TARGET_ONLY or 0 not in curve or not alone:
            continue
        level = curve[0]
        at = crossing_points(alone, dict.fromkeys(alone, level))
        smallest = min(alone)
        worth = (
            f"{at[0]:,.0f}"
            if at
            else (f"fewer than {smallest:,}" if alone[smallest] > level else f"more than {max(alone):,}")
        )
        rows.append({"bridge": name, "without target labels, %": round(100 * level, 2), "is worth": worth})
    return rows


def make_figures(settings: Settings, scores: Sequence[Score]) -> dict[str, tuple[str, Any]]:
    """The curve over the number of target labels, where several were asked for."""
    from nlptransfer.evaluation.plots import plot_label_curve

    if len(settings.target_labels) < 2:
        return {}
    curve = plot_label_curve(main_scores(scores), levels=(REFERENCE,), axis="labelled target items")
    return {"label_curve.png": ("What labels of the target add to each bridge; bars: intervals.", curve)}


def notes_on(settings: Settings, chosen: System, scores: Sequence[Score]) -> list[str]:
    """The choice, and what it left on the table, in sentences."""
    best = max(
        (own for own in main_scores(scores) if own.system.partition("@")[0] not in (REFERENCE, TARGET_ONLY)),
        key=lambda own: own.value,
    )
    note = f"Chosen without target labels: {chosen.name}."
    if best.system != chosen.name:
        note += f" The test found {best.system} best; nobody could have known."
    return [note]


def keep_model(
    settings: Settings,
    folder: RunFolder,
    pair: LanguagePair,
    bridging: Bridging,
    chosen: System,
    accelerator: Accelerator,
    scores: Sequence[Score],
    verdicts: Sequence[Verdict],
    signature: Mapping[str, Any],
    warnings: Sequence[str],
) -> None:
    """The chosen bridge's model, which reads the target as it is written; checked in a fresh process."""
    from nlptransfer.crosslingual.bridged_model import BridgedTagger, BridgedTextClassifier
    from nlptransfer.evaluation.model_card import model_card
    from nlptransfer.experiments import cell_folder
    from nlptransfer.models.model_ensemble import TaggerEnsemble, TextClassifierEnsemble
    from nlptransfer.models.saving import check_reload
    from nlptransfer.recipes.processes import tell

    seed = settings.seeds[0]
    place = cell_folder(settings.output_dir, chosen.name, seed)
    bridged = BridgedTagger if pair.is_tagging else BridgedTextClassifier
    models: list[Any] = []
    for own in chosen.members or (chosen,):
        model = train_model(settings, pair, bridging, own, seed, accelerator, tell, place).model
        models.append(bridged(model, bridging.reader(own.reads.spelling)))
    whole = models[0]
    if chosen.members:
        whole = TaggerEnsemble(models) if pair.is_tagging else TextClassifierEnsemble(models)
    what = "Tags words" if pair.is_tagging else f"Tells {', '.join(pair.label_names)} apart"
    card = model_card(
        title=f"{'Tagger' if pair.is_tagging else 'Text classifier'} ({chosen.name})",
        system=chosen.name,
        seed=seed,
        summary=f"{what} of {pair.names[1]}; trained on {pair.names[0]}.",
        scores=scores,
        verdicts=verdicts,
        signature=signature,
        notes=warnings,
    )
    whole.save_pretrained(folder.model, card=card)
    items = pair.target_test.items[:100]
    check_reload(folder.model, items, whole.predict(items))


def print_plan(settings: Settings, pair: LanguagePair, bridging: Bridging, systems: Sequence[System]) -> None:
    """What a run would do."""
    for name, value in describe_run(settings, pair, bridging).items():
        print(f"{name}: {value}")
    print(f"Systems: {', '.join(system.name for system in systems)}")
    print(f"{len(systems) * len(settings.seeds)} trainings at most. Nothing was trained.")
