"""All pairs of a run: each cell trained once, kept, and read again; several pairs at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.adaptation.method_names import Method, parse_method
from nlptransfer.errors import InputError
from nlptransfer.recipes.domain_diagnosis import diagnose
from nlptransfer.recipes.domain_features import make_pair_data
from nlptransfer.recipes.domain_representations import CURVE, representation_key, trace_curve
from nlptransfer.recipes.domain_systems import (
    SOURCE_ONLY,
    System,
    can_train_reference,
    list_systems,
    load_pair,
    seeds_of,
    train_cell,
)
from nlptransfer.recipes.processes import num_processes, run_jobs, tell

if TYPE_CHECKING:
    from nlptransfer.data.domain_pairs import DomainPair
    from nlptransfer.evaluation.document_predictions import DocumentPredictions
    from nlptransfer.experiments import Cell
    from nlptransfer.recipes.cross_domain_sentiment import Settings

    Cells = dict[tuple[str, str, int], Cell[DocumentPredictions]]
    """By pair, system and seed."""

FAILED = "failed.json"


def train_pairs(settings: Settings, names: Mapping[str, tuple[str, str]]) -> None:
    """Train every pair, several at once where that was asked for."""
    processes = num_processes(settings.processes, len(names), device=settings.device)
    run_jobs(train_pair, [(settings, *ends, name, tell) for name, ends in names.items()], processes=processes)


def train_pair(settings: Settings, source: str, target: str, name: str, say: Callable[[str], Any]) -> None:
    """Train every system of one pair and keep each as a cell; cells that are there are left as they are.

    Target test labels are not opened here, but for the reference where it has no other labels to learn from. A method
    that these data are too few for, say, leaves word of it (`read_failure`), and the others go on.

    Args:
        settings: the recipe's.
        source: the source's name.
        target: the target's name.
        name: the pair's.
        say: called with a line after each cell.

    Raises:
        InputError: no features can be made, or source-only can't be trained, so that nothing could be compared.
    """
    from nlptransfer.data.domain_pairs import draw_few
    from nlptransfer.experiments import cell_folder, run_cell
    from nlptransfer.files import write_json

    cells = [
        (system, seed, cell_folder(settings.output_dir, system.name, seed, pair=name))
        for system in list_systems(settings)
        for seed in seeds_of(system, settings)
    ]
    # Systems on one representation come one after the other, so that it is learnt once.
    keys = [representation_key(settings, system.method, seed) for system, seed, _ in cells]
    order = {key: place for place, key in reversed(list(enumerate(keys)))}
    cells = [cell for _, cell in sorted(zip(keys, cells, strict=True), key=lambda pair: order[pair[0]])]
    diagnosis = settings.output_dir / "cells" / cells[0][2].parent.name / "domains.json"
    if diagnosis.exists() and all((folder / "cell.json").exists() for _, _, folder in cells):
        return
    pair = load_pair(settings, source, target)
    pool = load_pair(settings, source, target, max(settings.target_labels)) if any(settings.target_labels) else pair
    data = make_pair_data(settings, pair, name)
    chosen: dict[str, Method] = {}
    for number, (system, seed, folder) in enumerate(cells, start=1):
        if system.method is None and not can_train_reference(pair):
            continue
        done = (folder / "cell.json").exists()
        (folder / FAILED).unlink(missing_ok=True)  # of an earlier try
        own = draw_few(pool, system.num_few, seed=seed) if system.num_few else pair
        train = partial(train_cell, settings, data, system, seed, own, chosen.get(system.name))
        try:
            cell = run_cell(folder, train)
        except (InputError, FloatingPointError) as error:
            if system.name in SOURCE_ONLY.values():
                raise InputError(str(error).rstrip("."), where=f"{name}, {system.name}, seed {seed}") from error
            write_json(folder / FAILED, str(error))
            say(f"{name}: {system.name}, seed {seed} ({number} of {len(cells)}) could not be trained: {error}")
            continue
        if "chosen" in cell.facts:
            chosen.setdefault(system.name, parse_method(cell.facts["chosen"]))
        if not done:
            say(f"{name}: {system.name}, seed {seed} ({number} of {len(cells)}), {cell.seconds:.1f} s")
    if settings.curve_corruptions and not (diagnosis.parent / CURVE).exists():
        trace_curve(settings, data, diagnosis.parent / CURVE)
        say(f"{name}: the curve of msda over corruption and layers")
    if not diagnosis.exists():
        diagnose(data, diagnosis, settings, cells)


def read_failure(folder: Path) -> str | None:
    """Why a cell could not be trained; None where nothing of the kind is known."""
    path = folder / FAILED
    return str(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def read_cells(
    settings: Settings,
    names: Mapping[str, tuple[str, str]],
    loaded: Mapping[str, DomainPair],
    systems: Sequence[System],
) -> tuple[Cells, dict[tuple[str, str], str]]:
    """The kept cells; and, by pair and system, why a system could not be trained, under one seed at least.

    A system that failed under some of its seeds is left out on that pair: the others would be a choice of seeds.
    """
    from nlptransfer.experiments import cell_folder, run_cell

    def missing(folder: Path) -> Any:
        raise RuntimeError(f"{folder} was to be trained, and was not")

    cells: Cells = {}
    failures: dict[tuple[str, str], str] = {}
    for name in names:
        for system in systems:
            if system.method is None and not can_train_reference(loaded[name]):
                continue
            seeds = seeds_of(system, settings)
            folders = {seed: cell_folder(settings.output_dir, system.name, seed, pair=name) for seed in seeds}
            reasons = [reason for folder in folders.values() if (reason := read_failure(folder)) is not None]
            if reasons:
                failures[name, system.name] = reasons[0]
                continue
            cells |= {(name, system.name, seed): run_cell(folder, missing) for seed, folder in folders.items()}
    return cells, failures


def sign_pair(name: str, pair: DomainPair, cells: Cells) -> dict[str, Any]:
    """The pair's signature, with the openings for the reference, which was trained elsewhere."""
    signature = pair.signature
    if signature["test_labels_opened"] is not None:
        opened = sum(bool(cell.facts.get("opened_test_labels")) for (own, _, _), cell in cells.items() if own == name)
        signature["test_labels_opened"]["reference"] = opened
    return signature
