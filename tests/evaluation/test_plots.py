"""The pictures hold the numbers they were given, and are made without matplotlib's global state."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nlptransfer.evaluation.plots import (
    plot_confusion_matrix,
    plot_coverage,
    plot_gains,
    plot_learning_curves,
    plot_scores,
    write_plots,
)
from nlptransfer.evaluation.predictions import Predictions
from nlptransfer.evaluation.verdict import Score, Verdict

HISTORY = [
    {"system": system, "seed": seed, "epoch": epoch, "loss": 1.0, "score": 0.9 + 0.01 * epoch + 0.001 * seed}
    for system in ("random", "frozen")
    for seed in (0, 1)
    for epoch in range(1, 5 - seed)
]
SCORES = [
    Score(system, "test", metric, 0.9, 0.88, 0.92, 100, seed)
    for system in ("random", "frozen")
    for metric in ("token_accuracy", "unseen_word_accuracy", "padded_accuracy")
    for seed in (0, None)
]
VERDICTS = [Verdict("frozen", "random", "test", "token_accuracy", 0.02, 0.01, 0.03, 0.0002, "helped")]
COVERAGE = [
    {
        "group": "tag",
        "name": f"T{number}$",
        "tokens": 100 + number,
        "types": 10,
        "token_share": {"exact": 1 - number / 100, "not found": number / 100},
        "type_share": {"exact": 1.0, "not found": 0.0},
    }
    for number in range(30)
]


def test_the_curve_is_the_mean_over_the_seeds_and_ends_where_the_first_seed_stopped() -> None:
    axes = plot_learning_curves(HISTORY).axes[0]
    (line,) = [line for line in axes.lines if line.get_label() == "random (2 seeds)"]
    assert list(line.get_xdata()) == [1, 2, 3]
    assert np.allclose(line.get_ydata(), [91.05, 92.05, 93.05])


def test_epochs_without_a_development_score_are_passed_over() -> None:
    axes = plot_learning_curves([{"system": "a", "seed": 0, "epoch": 1, "loss": 0.1}]).axes[0]
    assert not axes.lines


def test_scores_are_drawn_in_percent_without_the_padded_ones() -> None:
    figure = plot_scores(SCORES, split="test")
    assert [axes.get_title() for axes in figure.axes] == ["all words", "words unseen in training"]
    assert [90.0] in [list(line.get_xdata()) for line in figure.axes[0].lines]
    assert [88.0, 92.0] in [list(line.get_xdata()) for line in figure.axes[0].lines]


def test_a_metric_without_a_short_name_is_drawn_under_its_own() -> None:
    scores = [Score("random", "test", "tag_entropy", 0.5, 0.4, 0.6, 100, None)]
    assert plot_scores(scores, split="test").axes[0].get_title() == "tag_entropy"


def test_gains_are_drawn_in_points_with_their_verdict() -> None:
    axes = plot_gains(VERDICTS).axes[0]
    assert [1.0, 3.0] in [list(line.get_xdata()) for line in axes.lines]
    assert [text.get_text() for text in axes.texts] == ["+2.00  helped, p = 0.0002"]


def test_confusions_are_shares_of_each_gold_tag_and_the_diagonal_has_no_colour() -> None:
    gold, predicted = [["A", "A", "A", "A", "B"]], [["A", "A", "A", "B", "B"]]
    axes = plot_confusion_matrix(gold, predicted).axes[0]
    assert axes.images[0].get_array().tolist() == [[0, 25], [0, 0]]
    assert [text.get_text() for text in axes.texts] == ["75", "25", "100"]


def test_beyond_the_most_confused_tags_all_are_pooled() -> None:
    gold = [["A"] * 10 + ["B"] * 10 + ["C"] * 10 + ["D"] * 10]
    predicted = [["B"] * 5 + ["A"] * 5 + ["B"] * 9 + ["C"] + ["C"] * 10 + ["D"] * 9 + ["C"]]
    axes = plot_confusion_matrix(gold, predicted, max_tags=2).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["A", "B", "other"]
    # B: 9 of 10 right, 1 taken for C; C and D together: 20 of 20 stay among the others.
    assert axes.images[0].get_array().tolist() == [[0, 50, 0], [0, 0, 10], [0, 0, 0]]


def test_coverage_shows_the_rows_with_most_tokens_not_found() -> None:
    axes = plot_coverage(COVERAGE, max_rows=3).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [r"T29\$", r"T28\$", r"T27\$"]
    widths = [bar.get_width() for bar in axes.containers[1]]
    assert widths == pytest.approx([29, 28, 27])


def test_every_picture_that_the_data_allows_is_written(tmp_path: Path) -> None:
    gold = [["A$", "B", r"\x$"]]
    parts = [Predictions("frozen", split, 0, gold, gold, [["B", "B", "B"]]) for split in ("dev", "test")]
    files = write_plots(
        tmp_path / "plots",
        history=HISTORY,
        predictions=parts,
        scores=SCORES,
        verdicts=VERDICTS,
        coverage=COVERAGE,
        best_system="frozen",
    )
    names = ["gains.png", "scores_test.png", "learning_curves.png", "confusion_test.png", "coverage.png"]
    assert [path.name for path in files.values()] == names
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == sorted(names)
    for path in files.values():
        header = path.read_bytes()[:24]
        assert header[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", header[16:24])
        assert 300 < width < 4_000
        assert 100 < height < 4_000


def test_without_data_there_are_no_pictures(tmp_path: Path) -> None:
    assert write_plots(tmp_path / "plots") == {}


def test_an_unwritable_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "plots").touch()
    with pytest.raises(FileExistsError, match="plots"):
        write_plots(tmp_path / "plots", verdicts=VERDICTS)


def test_drawing_touches_no_global_state_and_importing_loads_nothing_heavy() -> None:
    program = """
import sys
from nlptransfer.evaluation import compare_runs, metrics, plots, report, run_folder, significance, verdict
heavy = {"torch", "matplotlib", "scipy", "sklearn", "evaluate", "datasets", "rich"} & set(sys.modules)
assert not heavy, heavy
plots.plot_gains([verdict.Verdict("a", "b", "test", "token_accuracy", 0.1, 0.0, 0.2, 0.01, "helped")])
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
