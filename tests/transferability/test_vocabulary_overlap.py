from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse

from nlptransfer.errors import InputError
from nlptransfer.transferability.vocabulary_overlap import vocabulary_overlap

SOURCE = np.array([[2, 1, 0, 0, 0], [0, 3, 0, 1, 0], [0, 0, 0, 0, 0]])
TARGET = np.array([[1, 0, 4, 1, 0], [2, 0, 0, 2, 0]])


def test_it_is_what_counting_by_hand_gives() -> None:
    p, q = [2 / 7, 4 / 7, 0, 1 / 7, 0], [3 / 10, 0, 4 / 10, 3 / 10, 0]
    divergence = 0.0
    for a, b in zip(p, q, strict=True):
        r = (a + b) / 2
        divergence += 0.5 * (a * math.log2(a / r) if a else 0) + 0.5 * (b * math.log2(b / r) if b else 0)
    expected = (2 / 4, 6 / 10, divergence)
    assert vocabulary_overlap(SOURCE, TARGET) == pytest.approx(expected)
    assert vocabulary_overlap(sparse.csr_matrix(SOURCE), sparse.csc_matrix(TARGET)) == pytest.approx(expected)


def test_the_same_domain_overlaps_wholly_and_a_foreign_one_not_at_all() -> None:
    assert vocabulary_overlap(SOURCE, 3 * SOURCE) == pytest.approx((1, 1, 0), abs=1e-9)
    assert vocabulary_overlap(np.array([[1, 0, 2]]), np.array([[0, 5, 0]])) == pytest.approx((0, 0, 1))


def test_only_the_known_share_has_a_direction() -> None:
    there, back = vocabulary_overlap(SOURCE, TARGET), vocabulary_overlap(TARGET, SOURCE)
    assert (there.jaccard, there.jensen_shannon) == pytest.approx((back.jaccard, back.jensen_shannon))
    assert back.known_token_share == pytest.approx(3 / 7)


def test_documents_without_terms_and_negative_counts_are_refused() -> None:
    with pytest.raises(InputError, match="no document of the target holds a term of the vocabulary"):
        vocabulary_overlap(SOURCE, 0 * TARGET)
    with pytest.raises(ValueError, match="the source has a negative count"):
        vocabulary_overlap(-SOURCE, TARGET)
