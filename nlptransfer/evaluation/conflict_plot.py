"""The map of gradient conflict: layer by training progress, coloured by the cosine of two tasks' gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_gradient_conflict(rows: Sequence[Mapping[str, Any]], *, num_columns: int = 40) -> Figure:
    """One map for each pair of tasks: red where their gradients conflict, blue where they agree.

    Args:
        rows: with "progress" in 0..1, "layer", "first", "second" and "cosine" in -1..1, as `ConflictRecorder` notes
            them; layers are drawn in their order, the first at the bottom.
        num_columns: stretches of the training, each shown by its mean, at most; one without a row stays white.

    Returns:
        The figure.

    Raises:
        ValueError: there are no rows.

    Example:
        >>> figure = plot_gradient_conflict(recorder.rows)
        >>> figure.savefig("conflict.png")
    """
    from matplotlib.figure import Figure

    if not rows:
        raise ValueError("there are no gradients to draw")
    pairs = list(dict.fromkeys((row["first"], row["second"]) for row in rows))
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    num_columns = min(num_columns, len({row["progress"] for row in rows}))
    figure = Figure(figsize=(7.2, len(pairs) * (0.34 * len(layers) + 1.1) + 0.4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(pairs), 1, sharex=True))
    for axes, (first, second) in zip(panels, pairs, strict=True):
        sums, counts = np.zeros((len(layers), num_columns)), np.zeros((len(layers), num_columns))
        for row in rows:
            if (row["first"], row["second"]) == (first, second):
                place = layers.index(row["layer"]), min(int(row["progress"] * num_columns), num_columns - 1)
                sums[place] += row["cosine"]
                counts[place] += 1
        means = np.ma.masked_invalid(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))
        image = axes.imshow(
            means, cmap="RdBu", vmin=-1, vmax=1, aspect="auto", origin="lower", extent=(0, 100, -0.5, len(layers) - 0.5)
        )
        axes.set_yticks(range(len(layers)), layers)
        axes.set_title(f"{first} and {second}", fontsize=10, loc="left")
    panels[-1].set_xlabel("training, %")
    figure.colorbar(image, ax=list(panels), label="cosine of the tasks' gradients")
    return figure
