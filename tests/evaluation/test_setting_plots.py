"""Pictures of scores against settings and against cost hold every point."""

from __future__ import annotations

import pytest

from nlptransfer.evaluation.setting_plots import plot_cost, plot_setting_curve


def test_each_system_is_a_named_point_at_its_cost_and_score() -> None:
    rows = [
        {"system": "full", "seconds": 90.0, "test, %": 88.0},
        {"system": "lora", "seconds": 60.0, "test, %": 87.0},
        {"system": "not scored", "seconds": 5.0},
    ]
    (axes,) = plot_cost(rows, cost="seconds", value="test, %", name="system").axes
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines] == [(90.0, 88.0), (60.0, 87.0)]
    assert [text.get_text() for text in axes.texts] == ["full", "lora"]
    assert axes.get_xscale() == "log"


def test_there_is_no_picture_of_nothing() -> None:
    with pytest.raises(ValueError, match="no points"):
        plot_cost([{"system": "full", "seconds": 1.0}], cost="seconds", value="test, %", name="system")
    with pytest.raises(ValueError, match="no points"):
        plot_setting_curve([], along="x", lines="y", value="z", chosen="c")
