"""Cells of an experiment (a system under a seed, say): run once each, kept, found again by a resumed run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlptransfer.evaluation.predictions import Predictions, read_predictions, write_predictions
from nlptransfer.files import write_json


@dataclass(frozen=True)
class Cell:
    """What is left of one cell once it has run.

    Attributes:
        predictions: one system's, for one seed, on every split that is scored.
        history: its rows of history.jsonl.
        seconds: how long it took, in its last try.
    """

    predictions: list[Predictions]
    history: list[dict[str, Any]]
    seconds: float


def run_cell(folder: str | Path, run: Callable[[Path], Cell], *, write: bool = True) -> Cell:
    """Run a cell, or read what an earlier try has left of it.

    Args:
        folder: the cell's own folder; `run` may keep checkpoints and weights in it.
        run: gets the folder, gives the cell.
        write: keep the result; of several processes only one should.

    Returns:
        The cell. A cell counts as run once its last file, cell.json, is there.

    Example:
        >>> cell = run_cell(run_folder / "cells" / "frozen-0", lambda folder: train_frozen(folder, seed=0))
    """
    folder = Path(folder)
    done = folder / "cell.json"
    if done.exists():
        kept = json.loads(done.read_text(encoding="utf-8"))
        return Cell(read_predictions(folder / kept["predictions"]), kept["history"], kept["seconds"])
    cell = run(folder)
    if write:
        predictions = f"{cell.predictions[0].system}.jsonl"  # named by the system, as in a run folder
        write_predictions(folder / predictions, cell.predictions)
        write_json(done, {"predictions": predictions, "history": cell.history, "seconds": cell.seconds})
    return cell
