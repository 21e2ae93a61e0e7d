"""A cell runs once; what it left is read back; an unfinished one is run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nlptransfer.errors import InputError
from nlptransfer.evaluation.document_predictions import DocumentPredictions
from nlptransfer.evaluation.predictions import Predictions
from nlptransfer.experiments import Cell, cell_folder, run_cell

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


def test_a_cell_keeps_facts_and_predictions_whose_gold_labels_are_withheld(tmp_path: Path) -> None:
    part = DocumentPredictions("dann", "target_test", 0, ["0", "1"], None, ["pos", "neg"], "books>dvd")
    facts = {"adaptation_weight": 0.1, "label-free scores": [0.5, None], "stopped": True}
    cell = Cell([part], [], 2.0, facts)
    folder = cell_folder(tmp_path, "dann", 0, pair="books>dvd")
    run_cell(folder, lambda _: cell)
    kept = run_cell(folder, lambda _: pytest.fail("it has run"))
    assert kept == cell
    assert kept.predictions[0].gold is None
    assert folder.relative_to(tmp_path) == Path("cells/books_to_dvd/dann-0")


def test_a_cell_of_an_older_version_has_no_facts(tmp_path: Path) -> None:
    run_cell(tmp_path / "cell", Run())
    done = tmp_path / "cell" / "cell.json"
    kept = json.loads(done.read_text())
    del kept["facts"]
    done.write_text(json.dumps(kept))
    assert run_cell(tmp_path / "cell", Run()) == CELL


def test_what_tells_that_a_cell_has_run_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("nlptransfer.experiments.write_json", full)
    with pytest.raises(OSError, match="disk is full"):
        run_cell(tmp_path / "cell", Run())
    assert [path.name for path in (tmp_path / "cell").iterdir()] == ["lstm.jsonl"]


def test_cells_of_pairs_named_by_files_have_safe_folders_of_their_own(tmp_path: Path) -> None:
    many = "+".join(f"domain_{n}" for n in range(1, 40))
    names = ["a/b.csv>c:d", "a_b.csv>c/d", "a/b.csv>c/d", "ü" * 300, f"{many}>domain_0", f"other+{many}>domain_0"]
    folders = {cell_folder(tmp_path, "dann", 0, pair=name) for name in names}
    assert len(folders) == len(names)
    for folder in folders:
        assert folder.parents[2] == tmp_path
        folder.mkdir(parents=True)
    joined = "books+dvd+electronics>kitchen"
    assert cell_folder(tmp_path, "dann", 0, pair=joined).parent.name == "books+dvd+electronics_to_kitchen"
    assert cell_folder(tmp_path, "frozen", 3) == tmp_path / "cells" / "frozen-3"
