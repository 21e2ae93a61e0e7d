"""Resampling, by counting."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nlptransfer.adaptation.resampling import resample_indices
from nlptransfer.errors import InputError

LABELS = np.array([0, 1, 0, 0, 2, 0, 1, 0, 0, 0])  # 7, 2, 1


def test_oversampling_keeps_every_row_and_makes_the_classes_equal() -> None:
    rows = resample_indices(LABELS, kind="over", seed=0)
    assert Counter(LABELS[rows].tolist()) == {0: 7, 1: 7, 2: 7}
    times = Counter(rows.tolist())
    assert set(times) == set(range(10))
    assert sorted([times[1], times[6]]) == [3, 4]  # give or take one
    assert times[4] == 7
    assert (np.diff(rows) >= 0).all()


def test_undersampling_repeats_no_row_and_makes_the_classes_equal() -> None:
    rows = resample_indices(LABELS, kind="under", seed=0)
    assert Counter(LABELS[rows].tolist()) == {0: 1, 1: 1, 2: 1}
    assert len(set(rows.tolist())) == len(rows)


def test_given_shares_are_matched() -> None:
    over = resample_indices(LABELS, kind="over", priors=[0.5, 0.25, 0.25], seed=0)
    assert Counter(LABELS[over].tolist()) == {0: 7, 1: 4, 2: 4}  # 14 rows wanted: 7, 3.5, 3.5
    under = resample_indices(np.repeat([0, 1], [70, 40]), kind="under", priors=[3, 1], seed=0)
    assert Counter((under >= 70).tolist()) == {False: 70, True: 23}


def test_classes_that_are_right_already_are_left_alone() -> None:
    balanced = np.array([1, 0, 0, 1, 2, 2])
    for kind in ("over", "under"):
        assert resample_indices(balanced, kind=kind, seed=3).tolist() == list(range(6))
    assert resample_indices(LABELS, kind="under", priors=[7, 2, 1], seed=3).tolist() == list(range(10))
    assert resample_indices([0, 0], kind="over", seed=0).tolist() == [0, 1]  # one class


def test_the_seed_decides_which_rows() -> None:
    labels = np.repeat([0, 1], [50, 20])
    drawn = [resample_indices(labels, kind="under", seed=seed).tolist() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_bad_input_is_told() -> None:
    with pytest.raises(InputError, match="none of class 1"):
        resample_indices([0, 2, 2], kind="over", seed=0)
    with pytest.raises(InputError, match="none of class 2"):
        resample_indices([0, 1], kind="over", priors=[1, 1, 1], seed=0)
    with pytest.raises(InputError, match="no rows"):
        resample_indices([], kind="over", seed=0)
    with pytest.raises(ValueError, match="numbers above 0"):
        resample_indices(LABELS, kind="over", priors=[1, 1, 0], seed=0)
    with pytest.raises(ValueError, match="3 numbers"):
        resample_indices(LABELS, kind="over", priors=[1, 1], seed=0)
    with pytest.raises(ValueError, match="without a label"):
        resample_indices([0, -100], kind="over", seed=0)
    with pytest.raises(ValueError, match="'both'"):
        resample_indices(LABELS, kind="both", seed=0)  # type: ignore[arg-type]
