"""All cells of a fine-tuning run: each trained once and kept; what reads no target's text, once for all targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.experiments import cell_folder, run_cell
from nlptransfer.recipes.finetuning_data import Job, Test, load_jobs
from nlptransfer.recipes.finetuning_ensemble import ask_members
from nlptransfer.recipes.finetuning_systems import System, list_systems, seeds_of, train_cell
from nlptransfer.recipes.processes import tell

if TYPE_CHECKING:
    from nlptransfer.experiments import Cell
    from nlptransfer.finetuning.strategies import Strategy
    from nlptransfer.recipes.transformer_finetuning import Settings

    Cells = dict[tuple[str, str, int], Cell[Any]]
    """By place (a source, or a pair where the target's text is read), system and seed."""


def places(job: Job, system: System | Strategy) -> dict[str, tuple[Test, ...]]:
    """Where a system is trained: once per source, or once per pair where it reads the target's text."""
    if system.uses_target and not job.is_tagging:
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
            for place, tests in places(job, system).items():
                folder = cell_folder(settings.output_dir, system.name, seed, pair=place)
                done = (folder / "cell.json").exists()
                train = partial(_train, settings, job, system, seed, place, tests)
                cell = run_cell(folder, train)
                if not done:
                    tell(
                        f"{place}: {system.name}, seed {seed}: accuracy on the source's development data "
                        f"{cell.facts['dev_accuracy']:.4f}, {cell.seconds:.0f} s"
                    )


def _train(
    settings: Settings, job: Job, system: System, seed: int, place: str, tests: Sequence[Test], folder: Path
) -> Cell[Any]:
    if system.members:
        return ask_members(settings, job, system, seed, tests, member_folders(settings, job, system, seed, place))
    base = _kept_folder(settings, job, system.strategy.without_after, system.size, seed, place)
    base = base / "model" if system.strategy.after and base is not None else None
    return train_cell(settings, job, system, seed, tests, base, folder, tell)


def member_folders(settings: Settings, job: Job, system: System, seed: int, place: str) -> list[Path]:
    """The cells of an ensemble's members.

    Args:
        settings: the recipe's.
        job: what they were trained on.
        system: the ensemble.
        seed: of the members; of one that no seed changes, the first.
        place: of the ensemble.
    """
    folders = [_kept_folder(settings, job, own, system.size, seed, place) for own in system.members]
    return [folder for folder in folders if folder is not None]


def load_trained(settings: Settings, job: Job, name: str, seed: int, place: str) -> Any:
    """The model of a system, as it was kept; of an ensemble one with all its members.

    Args:
        settings: the recipe's.
        job: what it was trained on.
        name: the system's.
        seed: it was trained under.
        place: the source, or the pair where the target's text was read.
    """
    import nlptransfer
    from nlptransfer.models.model_ensemble import TaggerEnsemble, TextClassifierEnsemble

    system = next(own for own in list_systems(settings) if own.name == name)
    if not system.members:
        where = place if place in places(job, system) else job.name
        return nlptransfer.load(cell_folder(settings.output_dir, name, seed, pair=where) / "model")
    members = [nlptransfer.load(folder / "model") for folder in member_folders(settings, job, system, seed, place)]
    return TaggerEnsemble(members) if job.is_tagging else TextClassifierEnsemble(members)


def _kept_folder(
    settings: Settings, job: Job, strategy: Strategy, size: int | None, seed: int, place: str
) -> Path | None:
    """The cell of a strategy that was trained on as many items for the same source or pair."""
    for other in list_systems(settings):
        if not other.members and other.strategy == strategy and other.size == size:
            start = place if place in places(job, strategy) else job.name
            own = seed if seed in seeds_of(other, settings) else settings.seeds[0]
            kept = cell_folder(settings.output_dir, other.name, own, pair=start)
            return kept if (kept / "model").exists() else None
    return None


def read_cells(settings: Settings, jobs: Sequence[Job], systems: Sequence[System]) -> Cells:
    """The kept cells."""

    def missing(folder: Path) -> Any:
        raise RuntimeError(f"{folder} was to be trained, and was not")

    cells: Cells = {}
    for job in jobs:
        for system in systems:
            for seed in seeds_of(system, settings):
                for place in places(job, system):
                    folder = cell_folder(settings.output_dir, system.name, seed, pair=place)
                    cells[place, system.name, seed] = run_cell(folder, missing)
    return cells


def seconds_by_system(cells: Mapping[tuple[str, str, int], Cell[Any]]) -> dict[str, float]:
    """Mean seconds of training per cell, by system."""
    found: dict[str, list[float]] = {}
    for (_, system, _), cell in cells.items():
        found.setdefault(system, []).append(float(cell.facts["training_seconds"]))
    return {system: sum(own) / len(own) for system, own in found.items()}
