"""Over- and undersampling: rows repeated or dropped until the classes have given shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlptransfer.errors import InputError


def resample_indices(
    labels: ArrayLike, *, kind: Literal["over", "under"], priors: Sequence[float] | None = None, seed: int
) -> NDArray[np.int64]:
    r"""Which rows to take, some repeatedly or not at all, so that the classes have equal or given shares.

    With :math:`n_c` rows of class c and the wanted share :math:`\pi_c` the sample has

    .. math::
        T_\text{over} = \max_c n_c / \pi_c, \qquad T_\text{under} = \min_c n_c / \pi_c

    rows, :math:`\pi_c T` of class c, rounded. Oversampling keeps every row and repeats rows of the other classes,
    all equally often give or take one; undersampling repeats none.

    Resample the training rows only, after the split: repeated rows in a development or test set count twice.

    Args:
        labels: (N,) label ids 0..C - 1.
        kind: `over` to repeat rows, `under` to drop some.
        priors: (C,) wanted shares, above 0, on any scale; None for equal ones.
        seed: of the drawing.

    Returns:
        (T,) row numbers in ascending order, repeated ones next to each other.

    Raises:
        InputError: there are no rows, or a class has none.
        ValueError: a share is not above 0, or there are more classes than shares.

    Reference:
        Japkowicz and Stephen (2002), The class imbalance problem: a systematic study,
        Intelligent Data Analysis 6.

    Compare with:
        class weights (`LabelShiftCorrection`), the same on average without rows twice in a batch. Undersampling
        throws labels away and is for data that are too many.

    Example:
        >>> resample_indices([0, 0, 1], kind="over", seed=0)
        array([0, 1, 2, 2])
    """
    if kind not in ("over", "under"):
        raise ValueError(f"kind must be 'over' or 'under', got {kind!r}")
    labels = np.asarray(labels, dtype=np.int64)
    if labels.ndim != 1 or (len(labels) and labels.min() < 0):
        raise ValueError("labels must be one list of ids, 0 or more: leave out rows without a label")
    counts = np.bincount(labels, minlength=0 if priors is None else len(priors))
    if not len(labels) or not counts.all():
        raise InputError(
            "rows of a class that has none can't be drawn" if len(labels) else "there are no rows to draw from",
            expected=f"at least one row of each of the {len(counts)} classes" if len(labels) else "labelled rows",
            found=f"none of class {int(counts.argmin())}" if len(labels) else "none",
            remedy="Leave the class out, or add documents of it.",
        )
    shares = np.full(len(counts), 1 / len(counts)) if priors is None else np.asarray(priors, dtype=np.float64)
    if shares.shape != counts.shape or not (shares > 0).all() or not np.isfinite(shares).all():
        raise ValueError(f"priors must be {len(counts)} numbers above 0, one for each class, got {priors}")
    shares = shares / shares.sum()
    totals = counts / shares
    wanted = np.rint(shares * (totals.max() if kind == "over" else totals.min())).astype(int)
    rng = np.random.default_rng(seed)
    taken = []
    for label, number in enumerate(wanted):
        rows = np.flatnonzero(labels == label)
        # As often as all fit, then a part of them, none twice.
        taken += [np.repeat(rows, number // len(rows)), rng.permutation(rows)[: number % len(rows)]]
    return np.sort(np.concatenate(taken))
