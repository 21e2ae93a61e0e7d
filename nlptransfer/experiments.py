"""Cells of an experiment (a system under a seed, say): run once each, kept, found again by a resumed run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from nlptransfer.evaluation.document_predictions import DocumentPredictions
from nlptransfer.evaluation.predictions import Predictions, read_predictions, write_predictions
from nlptransfer.files import write_json

_DONE = "cell.json"

Kind = TypeVar("Kind", Predictions, DocumentPredictions)


@dataclass(frozen=True)
class Cell(Generic[Kind]):
    """What is left of one cell once it has run.

    Attributes:
        predictions: one system's, for one seed, on every split that is scored. Gold labels of documents may be
            withheld from a cell, to be joined by the scorer alone (`document_predictions.with_gold`).
        history: its rows of history.jsonl.
        seconds: how long it took, in its last try.
        facts: what else is to be told of it, such as chosen settings and label-free scores: whatever JSON can hold.
    """

    predictions: list[Kind]
    history: list[dict[str, Any]]
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)


def cell_folder(run_folder: str | Path, system: str, seed: int, *, pair: str | None = None) -> Path:
    """Where a cell is kept: `cells/<system>-<seed>`, or `cells/<pair>/<system>-<seed>` in a grid of pairs.

    Args:
        run_folder: the run's folder.
        system: the system's name.
        seed: the seed.
        pair: the pair of domains, `books>dvd`. In the folder's name, > becomes _to_; other characters that no file
            system is sure to take (domains may be named by files) become _, followed by a digest of the whole name.
            Of a name too long for a folder, as that of a source of many domains, the end is taken, with the digest.

    Returns:
        The folder, which may not be there yet.

    Example:
        >>> cell_folder("runs/sentiment", "dann", 0, pair="books>dvd")
        PosixPath('runs/sentiment/cells/books_to_dvd/dann-0')
    """
    cells = Path(run_folder) / "cells"
    if pair is not None:
        arrow = pair.replace(">", "_to_")
        name = re.sub(r"[^A-Za-z0-9._+-]", "_", arrow)
        if name != arrow or len(name) > 200:
            # Two names that differ only in such characters, or where one is cut off, must not share a folder.
            name = f"{name[-80:]}_{hashlib.sha256(pair.encode()).hexdigest()[:8]}"
        cells /= name
    return cells / f"{system}-{seed}"


def read_facts(folder: str | Path) -> dict[str, Any]:
    """What a cell that has run told of itself."""
    facts: dict[str, Any] = json.loads((Path(folder) / _DONE).read_text(encoding="utf-8")).get("facts", {})
    return facts


def run_cell(folder: str | Path, run: Callable[[Path], Cell[Kind]], *, write: bool = True) -> Cell[Kind]:
    """Run a cell, or read what an earlier try has left of it.

    Args:
        folder: the cell's own folder; `run` may keep checkpoints and weights in it.
        run: gets the folder, gives the cell.
        write: keep the result; of several processes only one should.

    Returns:
        The cell. A cell counts as run once its last file, cell.json, is there.

    Example:
        >>> cell = run_cell(cell_folder(run_folder, "frozen", 0), lambda folder: train_frozen(folder, seed=0))
    """
    folder = Path(folder)
    done = folder / _DONE
    if done.exists():
        kept = json.loads(done.read_text(encoding="utf-8"))
        predictions = cast(list[Kind], read_predictions(folder / kept["predictions"]))
        return Cell(predictions, kept["history"], kept["seconds"], kept.get("facts", {}))
    cell = run(folder)
    if write:
        file = f"{cell.predictions[0].system}.jsonl"  # named by the system, as in a run folder
        write_predictions(folder / file, cell.predictions)
        result = {"predictions": file, "history": cell.history, "seconds": cell.seconds, "facts": cell.facts}
        write_json(done, result)
    return cell
