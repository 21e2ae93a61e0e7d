"""The end of a recipe over pairs of domains: every file of the run folder, and an oracle that is in no picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nlptransfer.evaluation.document_predictions import DocumentPredictions
from nlptransfer.evaluation.over_pairs import compare_over_pairs, score_over_pairs
from nlptransfer.evaluation.plots import plot_gains
from nlptransfer.evaluation.report import Table
from nlptransfer.evaluation.run_folder import open_run_folder, read_run
from nlptransfer.evaluation.verdict import compare_with_baseline, score_predictions
from nlptransfer.recipes import finishing
from nlptransfer.recipes.finishing import finish_run


def test_a_grid_ends_in_a_folder_that_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gold = ["neg", "pos"] * 10
    parts = [
        DocumentPredictions(
            system, "target_test", 0, list(map(str, range(20))), gold, gold[:right] + ["pos"] * (20 - right), pair
        )
        for pair in ("a>b", "b>a")
        for system, right in (("source-only", 4), ("dann", 10), ("oracle", 20))
    ]
    sure: dict[str, Any] = {"num_resamples": 50, "seed": 0}
    scores = [*score_predictions(parts, **sure), *score_over_pairs(parts, **sure)]
    verdicts = compare_with_baseline(parts, "source-only", **sure) + compare_over_pairs(parts, "source-only", **sure)
    drawn: dict[str, Any] = {}
    write_plots = finishing.write_plots

    def keep(folder: Path, **arguments: Any) -> dict[str, Path]:
        drawn.update(arguments)
        return write_plots(folder, **arguments)

    monkeypatch.setattr(finishing, "write_plots", keep)
    folder = open_run_folder(tmp_path / "run", settings={"pairs": "all"})
    (folder.path / "cells").mkdir()
    finish_run(
        folder,
        recipe="sentiment",
        title="Sentiment",
        question="Does it help?",
        settings={"pairs": "all"},
        signature={},
        scores=scores,
        verdicts=verdicts,
        predictions=parts,
        history=[],
        seconds={"total": 1.0},
        tables=[Table("Domains", [{"pair": "a>b", "MMD": 0.1}])],
        figures={"domains.png": ("Before and after.", plot_gains(verdicts[:1]))},
        not_usable=["oracle"],
    )
    run = read_run(folder.path)
    assert (run.scores, run.verdicts) == (scores, verdicts)
    assert {row.system for name in ("scores", "verdicts") for row in drawn[name]} == {"source-only", "dann"}
    found = {str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file()}
    pictures = {f"plots/{name}.png" for name in ("domains", "gains", "heat_map_target_test", "scores_target_test")}
    systems = {f"predictions/{name}.jsonl" for name in ("dann", "oracle", "source-only")}
    assert found == pictures | systems | {"history.jsonl", "metrics.json", "report.html", "settings.yaml"}
    assert not (folder.path / "cells").exists()
    page = folder.report.read_text("utf-8")
    assert "<h2>Domains</h2>" in page and "oracle (NOT USABLE)" in page
    shown = capsys.readouterr().out
    assert "NOT USABLE" in shown and str(folder.report) in shown
