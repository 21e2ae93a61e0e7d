"""The map of gradient conflict shows every layer, pair and stretch of the training."""

from __future__ import annotations

import numpy as np
import pytest

from nlptransfer.evaluation.conflict_plot import plot_gradient_conflict


def row(progress: float, layer: str, cosine: float, second: str = "chunk") -> dict:
    return {"step": 0, "progress": progress, "layer": layer, "first": "pos", "second": second, "cosine": cosine}


def test_each_pair_has_a_map_of_layers_by_progress() -> None:
    rows = [
        row(0.0, "low", -1.0),
        row(0.0, "high", 0.5),
        row(0.5, "low", 0.2),
        row(0.6, "low", 0.4),
        row(0.0, "low", 0.9, "ner"),
    ]
    figure = plot_gradient_conflict(rows, num_columns=2)
    first, second = figure.axes[:2]
    shown = np.ma.filled(first.images[0].get_array(), np.nan)
    np.testing.assert_allclose(shown, [[-1.0, 0.3], [0.5, np.nan]])
    assert [label.get_text() for label in first.get_yticklabels()] == ["low", "high"]
    assert first.images[0].get_clim() == (-1, 1) and first.images[0].origin == "lower"
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["pos and chunk", "pos and ner"]
    assert figure.axes[2].get_ylabel() == "cosine of the tasks' gradients"


def test_there_is_no_map_of_nothing() -> None:
    with pytest.raises(ValueError, match="no gradients"):
        plot_gradient_conflict([])
