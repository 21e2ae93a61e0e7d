"""The pictures hold the numbers they were given, and are made without matplotlib's global state."""

from __future__ import annotations

import dataclasses
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nlptransfer.evaluation.document_predictions import DocumentPredictions
from nlptransfer.evaluation.plots import (
    plot_confusion_matrix,
    plot_coverage,
    plot_domains,
    plot_gain_heat_map,
    plot_gains,
    plot_label_curve,
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
from nlptransfer.evaluation import choices, compare_runs, document_predictions, document_significance, metrics
from nlptransfer.evaluation import over_pairs, pair_significance, plots, report, run_folder, significance, verdict
heavy = {"torch", "matplotlib", "scipy", "sklearn", "evaluate", "datasets", "rich"} & set(sys.modules)
assert not heavy, heavy
plots.plot_gains([verdict.Verdict("a", "b", "test", "token_accuracy", 0.1, 0.0, 0.2, 0.01, "helped")])
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def on_pairs(system: str, gains: dict[str, float], reading: str = "no evidence") -> list[Verdict]:
    return [
        Verdict(system, "source-only", "target_test", "accuracy", gain, gain, gain, 0.5, reading, pair)  # type: ignore[arg-type]
        for pair, gain in gains.items()
    ]


PAIR_VERDICTS = [
    *on_pairs("dann", {"books>dvd": 0.02, "dvd>books": -0.01, "all": 0.005}),
    *on_pairs("coral", {"books>dvd": -0.03}, "harmed"),
]
PAIR_SCORES = [
    Score(system, "target_test", "accuracy", 0.8, 0.78, 0.82, 100, seed, pair)
    for system in ("source-only", "dann")
    for pair in ("books>dvd", "dvd>books", "all")
    for seed in (0, None)
]


def test_the_heat_map_holds_gains_in_points_stars_and_the_mean_last() -> None:
    axes = plot_gain_heat_map(PAIR_VERDICTS).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["books>dvd", "dvd>books", "mean"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["dann", "coral"]
    values = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(values, [[2.0, -1.0, 0.5], [-3.0, np.nan, np.nan]])
    assert [text.get_text() for text in axes.texts] == ["+2.0", "-1.0", "+0.5", "-3.0*"]
    low, high = axes.images[0].get_clim()
    assert low == -high < 0


def test_where_there_are_several_baselines_each_row_names_its_own() -> None:
    other = [dataclasses.replace(own, baseline="network") for own in PAIR_VERDICTS[:3]]
    axes = plot_gain_heat_map([*PAIR_VERDICTS, *other]).axes[0]
    names = ["dann over source-only", "coral over source-only", "dann over network"]
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    assert axes.get_title(loc="left") == "gain over its baseline, points (* more than chance)"
    axes = plot_gains([PAIR_VERDICTS[2], other[2]]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [names[0], names[2]]
    assert axes.get_xlabel() == "gain over its baseline, percentage points"


def test_one_wild_gain_does_not_pale_the_others() -> None:
    gains = {f"a>{number}": 0.01 for number in range(60)} | {"a>b": -0.4}
    assert plot_gain_heat_map(on_pairs("dann", gains)).axes[0].images[0].get_clim() == (-1.0, 1.0)


def test_a_heat_map_of_two_metrics_at_once_is_refused() -> None:
    with pytest.raises(ValueError, match="one verdict for each system and pair"):
        plot_gain_heat_map([*PAIR_VERDICTS, PAIR_VERDICTS[0]])
    with pytest.raises(ValueError, match="one verdict for each system and pair"):
        plot_gain_heat_map(on_pairs("dann", {"all": 0.1}))


def test_fifteen_systems_by_twelve_pairs_fit_a_page() -> None:
    gains = {f"{a}>{b}": 0.01 for a in range(4) for b in range(4) if a != b} | {"all": 0.0}
    verdicts = [own for number in range(15) for own in on_pairs(f"method{number}", gains)]
    width, height = plot_gain_heat_map(verdicts).get_size_inches()
    assert 8 < width < 14
    assert 4 < height < 9


def test_domains_are_drawn_before_and_after_in_turns_and_every_point_of_both() -> None:
    random = np.random.default_rng(0)
    before = random.normal(size=(30, 2)), random.normal(3, 1, size=(20, 2))
    figure = plot_domains(before, (before[0], before[1] - 3), titles=("words", "DANN"), domains=("books", "dvd"))
    assert [axes.get_title() for axes in figure.axes] == ["words", "DANN"]
    drawn = figure.axes[0].collections[0]
    offsets, colours = np.asarray(drawn.get_offsets()), drawn.get_facecolors()
    source = (colours == colours[0]).all(axis=1)
    assert sorted(map(tuple, offsets[source].tolist())) == sorted(map(tuple, before[0].tolist()))
    assert sorted(map(tuple, offsets[~source].tolist())) == sorted(map(tuple, before[1].tolist()))
    assert 0 < source[:10].sum() < 10
    assert [text.get_text() for text in figure.legends[0].texts] == ["books", "dvd"]
    with pytest.raises(ValueError, match="points must be"):
        plot_domains((before[0], before[1][:, :1]), before)


def test_curves_of_many_pairs_are_a_mean_and_a_band_over_all_runs() -> None:
    history = [
        {
            "system": "dann",
            "pair": pair,
            "seed": seed,
            "epoch": epoch,
            "score": 0.7 + 0.1 * (pair == "a>b") + 0.01 * epoch,
        }
        for pair in ("a>b", "b>a")
        for seed in (0, 1)
        for epoch in (1, 2)
    ]
    axes = plot_learning_curves(history, metric="accuracy").axes[0]
    (line,) = axes.lines
    assert line.get_label() == "dann (4 runs)"
    assert np.allclose(line.get_ydata(), [76, 77])
    assert axes.get_ylabel() == "development accuracy, %"


def test_scores_of_one_pair_are_drawn_or_the_means_over_them() -> None:
    axes = plot_scores(PAIR_SCORES, split="target_test", pair="all").axes
    assert [own.get_title() for own in axes] == ["accuracy"]
    assert len(axes[0].get_yticklabels()) == 2


def test_gains_on_several_pairs_are_told_apart() -> None:
    axes = plot_gains(PAIR_VERDICTS[:3]).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0] == "dann\ntarget test, accuracy, books>dvd"
    assert labels[2] == "dann\ntarget test, accuracy, all pairs"


def test_every_picture_of_a_grid_is_written(tmp_path: Path) -> None:
    parts = [
        DocumentPredictions("dann", "target_test", 0, ["0", "1"], ["a", "b"], ["a", "a"], pair)
        for pair in ("x>y", "y>x")
    ]
    own = plot_domains((np.zeros((2, 2)), np.ones((1, 2))), (np.zeros((2, 2)), np.ones((1, 2))))
    files = write_plots(
        tmp_path / "plots",
        predictions=parts,
        scores=PAIR_SCORES,
        verdicts=PAIR_VERDICTS,
        best_system="dann",
        figures={"domains.png": ("Books and DVDs before and after.", own)},
    )
    names = [
        "gains.png",
        "heat_map_target_test.png",
        "scores_target_test.png",
        "confusion_target_test.png",
        "domains.png",
    ]
    assert [path.name for path in files.values()] == names
    assert "all pairs and seeds together" in list(files)[3]
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == sorted(names)


def test_a_run_on_one_pair_has_the_usual_pictures(tmp_path: Path) -> None:
    scores = [own for own in PAIR_SCORES if own.pair == "books>dvd"]
    files = write_plots(tmp_path / "plots", scores=scores, verdicts=PAIR_VERDICTS[:1])
    assert [path.name for path in files.values()] == ["gains.png", "scores_target_test.png"]
    assert "interval over test documents" in next(iter(files))


def test_a_label_curve_joins_a_methods_numbers_of_labels_and_draws_the_others_as_levels() -> None:
    values = {"pooled@50": 0.8, "pooled@10": 0.7, "l2_sp@10": 0.6, "source_only": 0.65, "target_trained": 0.9}
    scores = [
        Score(system, "target_test", "accuracy", value, value - 0.02, value + 0.04, 100, None, "books>dvd")
        for system, value in {**values, "idf": 0.5}.items()
    ]
    (axes,) = plot_label_curve(scores, levels=("source_only", "target_trained", "absent")).axes
    curves = {container.get_label(): container.lines[0].get_ydata() for container in axes.containers}
    assert {name: list(own) for name, own in curves.items()} == {"pooled": [70.0, 80.0], "l2_sp": [60.0]}
    levels = {line.get_label(): line.get_ydata()[0] for line in axes.lines if line.get_label() in values}
    assert levels == {"source_only": 65.0, "target_trained": 90.0}, "and idf, which is neither, is left out"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "50"]


def test_no_labels_at_all_stand_a_step_before_the_fewest() -> None:
    scores = [
        Score(f"rules@{number}", "target_test", "accuracy", 0.5, 0.4, 0.6, 100, None) for number in (0, 10, 100, 1000)
    ]
    figure = plot_label_curve(scores)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "10", "100", "1000"]
    places = axes.transData.transform([(number, 50.0) for number in (0, 10, 100, 1000)])[:, 0]
    steps = np.diff(places)
    assert steps[0] > 0.3 * steps[1], "each has room for its name"
    np.testing.assert_allclose(steps[1], steps[2], rtol=0.05)


def test_a_label_curve_needs_numbers_of_labels() -> None:
    with pytest.raises(ValueError, match="method@number"):
        plot_label_curve([])
