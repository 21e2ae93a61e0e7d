from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from nlptransfer.errors import InputError
from nlptransfer.transferability.domain_rows import draw_rows

SOURCE, TARGET = np.arange(14.0).reshape(7, 2), -np.arange(1.0, 11.0).reshape(5, 2)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
def test_rows_are_drawn_without_repeats_and_input_is_left_alone(make: object) -> None:
    source, target = make(SOURCE), make(TARGET)  # type: ignore[operator]
    drawn = [
        np.asarray(part.todense()) if sparse.issparse(part) else part
        for part in draw_rows(source, target, max_rows=6, seed=1)
    ]
    assert [part.shape for part in drawn] == [(6, 2), (5, 2)]
    assert len({tuple(row) for row in drawn[0]} & {tuple(row) for row in SOURCE}) == 6
    assert {tuple(row) for row in drawn[1]} == {tuple(row) for row in TARGET}
    drawn[1][:] = 0
    assert np.array_equal(target.toarray() if sparse.issparse(target) else target, TARGET)


def test_two_representations_of_the_same_documents_are_drawn_alike() -> None:
    one = draw_rows(SOURCE, TARGET, max_rows=3, seed=4)
    other = draw_rows(sparse.csr_matrix(SOURCE * 2), sparse.csr_matrix(TARGET * 2), max_rows=3, seed=4)
    for left, right in zip(one, other, strict=True):
        assert np.array_equal(left * 2, right.toarray())
    assert not np.array_equal(one[0], draw_rows(SOURCE, TARGET, max_rows=3, seed=5)[0])


def test_the_same_number_is_that_of_the_smaller_domain() -> None:
    assert [len(part) for part in draw_rows(SOURCE, TARGET, max_rows=9, seed=0, same_number=True)] == [5, 5]
    assert [len(part) for part in draw_rows(SOURCE, TARGET, max_rows=2, seed=0, same_number=True)] == [2, 2]


def test_an_empty_domain_is_one_message_and_unlike_features_are_a_mistake() -> None:
    with pytest.raises(InputError, match=r"^the target has no documents. Expected at least one; found none."):
        draw_rows(SOURCE, TARGET[:0], max_rows=3, seed=0)
    with pytest.raises(ValueError, match="2 and 1 features"):
        draw_rows(SOURCE, TARGET[:, :1], max_rows=3, seed=0)
