"""Sealed labels open once, are counted, and can't be printed, copied or pickled."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from nlptransfer.data.sealed_labels import SealedLabels

IDS = [2, 0, 1, 1, 7]


def test_the_scorer_opens_once_and_a_second_time_is_an_error() -> None:
    sealed = SealedLabels(IDS)
    assert sealed.open().tolist() == IDS
    with pytest.raises(RuntimeError, match="opened before"):
        sealed.open()
    assert sealed.openings == {"scorer": 1, "reference": 0}


def test_the_reference_may_open_often_and_is_counted_apart() -> None:
    sealed = SealedLabels(IDS)
    assert sealed.open_for_reference().tolist() == sealed.open_for_reference().tolist() == IDS
    assert sealed.open().tolist() == IDS
    assert sealed.open_for_reference().tolist() == IDS
    assert sealed.openings == {"scorer": 1, "reference": 3}


def test_what_is_changed_outside_does_not_change_the_labels() -> None:
    given = np.array(IDS)
    sealed = SealedLabels(given)
    given[:] = 9
    sealed.open_for_reference()[:] = 8
    sealed.openings["scorer"] = 5
    assert sealed.open().tolist() == IDS


def test_nothing_shows_the_labels() -> None:
    sealed = SealedLabels(IDS)
    assert repr(sealed) == str(sealed) == "SealedLabels(5 labels, opened 0 times)"
    assert len(sealed) == 5
    assert not hasattr(sealed, "__dict__")
    assert np.asarray(sealed).dtype == object
    with pytest.raises(TypeError):
        sealed[0]
    with pytest.raises(TypeError):
        list(sealed)


@pytest.mark.parametrize("attempt", [pickle.dumps, copy.copy, copy.deepcopy])
def test_they_are_neither_pickled_nor_copied(attempt) -> None:
    with pytest.raises(TypeError, match="sealed test labels"):
        attempt(SealedLabels(IDS))


def test_labels_are_one_row() -> None:
    with pytest.raises(ValueError, match="one integer per document"):
        SealedLabels([[0, 1], [1, 0]])
