from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from nlptransfer.errors import InputError
from nlptransfer.transferability.domain_rows import draw_rows
from nlptransfer.transferability.two_dimensions import project_two_dimensions

RNG = np.random.default_rng(0)
SOURCE = RNG.normal(size=(30, 6)) * [5, 3, 1, 1, 1, 1]
TARGET = RNG.normal(size=(20, 6)) * [5, 3, 1, 1, 1, 1] + 4


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_it_is_the_projection_on_the_first_two_singular_directions(make: object) -> None:
    rows = np.vstack(draw_rows(SOURCE, TARGET, max_rows=1000, seed=3))
    centred = rows - rows.mean(axis=0)
    expected = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    source, target = project_two_dimensions(make(SOURCE), make(TARGET), seed=3)  # type: ignore[operator]
    assert source.shape == (30, 2)
    assert target.shape == (20, 2)
    found = np.vstack([source, target])
    # A direction's sign is free.
    assert np.allclose(np.abs(found), np.abs(expected), atol=1e-6)


def test_domains_that_lie_apart_are_seen_apart_and_the_same_seed_gives_the_same_picture() -> None:
    source, target = project_two_dimensions(SOURCE, TARGET + 40, seed=0)
    assert source[:, 0].max() < target[:, 0].min() or target[:, 0].max() < source[:, 0].min()
    again = project_two_dimensions(SOURCE, TARGET + 40, seed=0)
    assert np.array_equal(source, again[0])
    assert np.array_equal(target, again[1])


def test_no_more_rows_than_asked_for_are_shown() -> None:
    source, target = project_two_dimensions(SOURCE, TARGET, seed=0, max_rows=7)
    assert (source.shape, target.shape) == ((7, 2), (7, 2))


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_rows_that_vary_in_fewer_directions_get_zeros(make: object) -> None:
    line = np.outer(np.arange(1.0, 8.0), [1, 2, 0, 1])
    for source, target, directions in (
        (line, line[:4] + 1, 2),
        (line, line[:4], 1),
        (line[:, :1], line[:4, :1], 1),
        (np.ones((5, 3)), np.ones((4, 3)), 0),
        (line[:1], line[3:4], 1),
    ):
        found = np.vstack(project_two_dimensions(make(source), make(target), seed=0))  # type: ignore[operator]
        assert found.shape == (len(source) + len(target), 2)
        assert [bool(np.abs(found[:, axis]).max() > 1e-6) for axis in range(2)] == [directions > 0, directions > 1]


def test_a_value_that_is_not_finite_is_told() -> None:
    bad = SOURCE.copy()
    bad[2, 2] = np.nan
    with pytest.raises(InputError, match="not a finite number"):
        project_two_dimensions(bad, TARGET, seed=0)
