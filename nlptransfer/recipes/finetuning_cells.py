"""All cells of a fine-tuning run: each trained once and kept; what reads no target's text, once for all targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.experiments import cell_folder, run_cell
from nlptransfer.recipes.finetuning_data import Job, Test, load_jobs
from nlptransfer.recipes.finetuning_systems import System, list_systems, seeds_of, train_cell
from nlptransfer.recipes.processes import tell

if TYPE_CHECKING:
    from nlptransfer.experiments import Cell
    from nlptransfer.finetuning.strategies import Strategy
    from nlptransfer.recipes.transformer_finetuning import Settings

    Cells = dict[tuple[str, str, int], Cell[Any]]
    """By place (a source, or a pair where the target's text is read), system and seed."""


def places(job: Job, strategy: Strategy) -> dict[str, tuple[Test, ...]]:
    """Where a strategy is trained: once per source, or once per pair where it reads the target's text."""
    if strategy.uses_target and not job.is_tagging:
        return {str(test.name): (test,) for test in job.tests}
    return {job.name: job.tests}


def train_job(settings: Settings, name: str) -> None:
    """Train every system of one source and keep each as a cell; cells that are there are left as they are.

    Args:
        settings: the recipe's, with the encoder resolved.
        name: the source's.
    """
    job = next(own for own in load_jobs(settings) if own.name == name)
    for system in list_systems(settings):
        for seed in seeds_of(system, settings):
            for place, tests in places(job, system.strategy).items():
                folder = cell_folder(settings.output_dir, system.name, seed, pair=place)
                done = (folder / "cell.json").exists()
                base = _base_folder(settings, job, system, seed, place)
                train = partial(_train, settings, job, system, seed, tests, base)
                cell = run_cell(folder, train)
                if not done:
                    tell(
                        f"{place}: {system.name}, seed {seed}: accuracy on the source's development data "
                        f"{cell.facts['dev_accuracy']:.4f}, {cell.seconds:.0f} s"
                    )


def _train(
    settings: Settings, job: Job, system: System, seed: int, tests: Sequence[Test], base: Path | None, folder: Path
) -> Cell[Any]:
    return train_cell(settings, job, system, seed, tests, base, folder, tell)


def _base_folder(settings: Settings, job: Job, system: System, seed: int, place: str) -> Path | None:
    """The model that a strategy goes on from, where an earlier cell has kept it."""
    if not system.strategy.after:
        return None
    before = system.strategy.without_after
    for other in list_systems(settings):
        if other.strategy == before and other.size == system.size:
            start = place if before.uses_target else job.name
            kept = cell_folder(settings.output_dir, other.name, seed, pair=start) / "model"
            return kept if kept.exists() else None
    return None


def read_cells(settings: Settings, jobs: Sequence[Job], systems: Sequence[System]) -> Cells:
    """The kept cells."""

    def missing(folder: Path) -> Any:
        raise RuntimeError(f"{folder} was to be trained, and was not")

    cells: Cells = {}
    for job in jobs:
        for system in systems:
            for seed in seeds_of(system, settings):
                for place in places(job, system.strategy):
                    folder = cell_folder(settings.output_dir, system.name, seed, pair=place)
                    cells[place, system.name, seed] = run_cell(folder, missing)
    return cells


def seconds_by_system(cells: Mapping[tuple[str, str, int], Cell[Any]]) -> dict[str, float]:
    """Mean seconds of training per cell, by system."""
    found: dict[str, list[float]] = {}
    for (_, system, _), cell in cells.items():
        found.setdefault(system, []).append(float(cell.facts["training_seconds"]))
    return {system: sum(own) / len(own) for system, own in found.items()}
