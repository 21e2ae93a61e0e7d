"""Accuracy against a method's settings, with the one chosen without target labels; and against its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_setting_curve(
    rows: Sequence[Mapping[str, Any]], *, along: str, lines: str, value: str, chosen: str, baseline: float | None = None
) -> Figure:
    """One line for each value of one setting, along another; the chosen point is ringed.

    Args:
        rows: a point each, with the keys named below.
        along: key of the setting on the x axis, a number.
        lines: key of the setting that has a line of its own for each value.
        value: key of the score, in per cent.
        chosen: key that is true of the chosen point.
        baseline: a score to draw across, in per cent; None for none.

    Returns:
        The figure.

    Raises:
        ValueError: there are no rows.

    Example:
        >>> points = [{"corruption": 0.5, "layers": 1, "accuracy, %": 79.0, "chosen": True}]
        >>> plot_setting_curve(points, along="corruption", lines="layers", value="accuracy, %", chosen="chosen")
    """
    from matplotlib.figure import Figure

    if not rows:
        raise ValueError("there are no points to draw")
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for number in sorted({row[lines] for row in rows}):
        own = sorted((row[along], row[value]) for row in rows if row[lines] == number)
        axes.plot(*zip(*own, strict=True), marker="o", label=f"{number} {lines}")
    for row in rows:
        if row[chosen]:
            axes.plot(row[along], row[value], "o", ms=14, mfc="none", mec="black", label="chosen without target labels")
    if baseline is not None:
        axes.axhline(baseline, color="grey", linestyle="--", label="raw features")
    axes.set(xlabel=along, ylabel=value)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    return figure


def plot_cost(rows: Sequence[Mapping[str, Any]], *, cost: str, value: str, name: str) -> Figure:
    """A named point for each system: what it cost, and what it reached.

    Args:
        rows: a system each, with the keys named below.
        cost: key of the cost, above 0; drawn on a logarithmic axis.
        value: key of the score; a row without it is left out.
        name: key of the system's name.

    Returns:
        The figure.

    Raises:
        ValueError: no row has a score.

    Example:
        >>> points = [{"system": "full", "seconds": 95.0, "test, %": 88.1}]
        >>> plot_cost(points, cost="seconds", value="test, %", name="system")
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    shown = [row for row in rows if row.get(value) is not None]
    if not shown:
        raise ValueError("there are no points to draw")
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    for row in shown:
        axes.plot(row[cost], row[value], "o")
        axes.annotate(row[name], (row[cost], row[value]), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.margins(x=0.25, y=0.1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel=cost, ylabel=value)
    axes.grid(alpha=0.3)
    return figure
