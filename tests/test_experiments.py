"""A cell runs once; what it left is read back; an unfinished one is run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptransfer.errors import InputError
from nlptransfer.evaluation.predictions import Predictions
from nlptransfer.experiments import Cell, run_cell

CELL = Cell(
    [
        Predictions("lstm", "dev", 3, [["a", "dög"], []], [["D", "N"], []], [["D", "V"], []]),
        Predictions("lstm", "test", 3, [["b"]], [["N"]], [["N"]]),
    ],
    [{"system": "lstm", "seed": 3, "epoch": 1, "loss": 0.1 + 0.2, "score": 1 / 3}],
    1.5,
)


class Run:
    def __init__(self) -> None:
        self.folders: list[Path] = []

    def __call__(self, folder: Path) -> Cell:
        self.folders.append(folder)
        return CELL


def test_a_cell_is_run_once_and_read_back_as_it_was(tmp_path: Path) -> None:
    run, folder = Run(), tmp_path / "cells" / "lstm-3"
    assert run_cell(folder, run) is CELL
    again = run_cell(str(folder), run)
    assert again == CELL
    assert again.history[0]["loss"] == 0.1 + 0.2, "no digit is lost"
    assert run.folders == [folder]
    assert sorted(path.name for path in folder.iterdir()) == ["cell.json", "lstm.jsonl"]


def test_a_cell_without_its_last_file_is_run_again(tmp_path: Path) -> None:
    run = Run()
    run_cell(tmp_path / "cell", run)
    (tmp_path / "cell" / "cell.json").unlink()
    (tmp_path / "cell" / "lstm.jsonl").write_text("half a li")
    assert run_cell(tmp_path / "cell", run) is CELL
    assert run_cell(tmp_path / "cell", run) == CELL
    assert len(run.folders) == 2


def test_a_process_that_does_not_write_leaves_no_trace(tmp_path: Path) -> None:
    assert run_cell(tmp_path / "cell", Run(), write=False) is CELL
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_cell_says_which_file(tmp_path: Path) -> None:
    run = Run()
    run_cell(tmp_path / "cell", run)
    (tmp_path / "cell" / "lstm.jsonl").write_text("half a li")
    with pytest.raises(InputError, match=r"lstm\.jsonl, line 1"):
        run_cell(tmp_path / "cell", run)
