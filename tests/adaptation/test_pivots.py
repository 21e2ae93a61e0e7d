"""Pivots: the rank by mutual information, and who may be one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse
from sklearn.feature_selection import mutual_info_classif

from nlptransfer.adaptation.pivots import _document_counts, _mutual_information, select_pivots
from nlptransfer.errors import InputError


def rows(seed: int, num_rows: int, num_columns: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.uniform(0.05, 1.5, size=num_columns), size=(num_rows, num_columns)).astype(np.float32)


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_mutual_information_is_that_of_scikit_learn_and_of_a_slow_loop(num_classes: int, kind: type) -> None:
    features, labels = rows(1, 50), np.arange(50) % num_classes
    features[:, 0] = labels == 1  # tells
    features[:, 1] = 1  # in every document
    features[:, 2] = 0  # in none
    found = _mutual_information(kind(features), labels, _document_counts(kind(features)))
    expected = mutual_info_classif(features > 0, labels, discrete_features=True)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    slow = 0.0
    for value in (0, 1):
        for label in range(num_classes):
            joint = np.mean(((features[:, 3] > 0) == value) & (labels == label))
            if joint:
                slow += joint * math.log(joint / (np.mean((features[:, 3] > 0) == value) * np.mean(labels == label)))
    assert found[3] == pytest.approx(slow)


def test_pivots_are_common_in_both_domains_and_come_best_first() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    source = np.zeros((6, 6))
    source[3:, 0] = 1  # tells all, but the target has it once
    source[[0, 3, 4, 5], 1] = 1  # tells some
    source[:, 2] = 1  # tells nothing
    source[3:, 3] = [1, 2, 3]  # tells all
    source[5, 4] = 9  # in one document only
    target = np.ones((4, 6))
    target[1:, 0] = 0
    target[:, 5] = 1  # not in the source
    assert select_pivots(source, labels, target, num_pivots=2, min_documents=2).tolist() == [3, 1]
    assert select_pivots(source, labels, target, num_pivots=9, min_documents=2).tolist() == [3, 1, 2]
    assert select_pivots(source, labels, target, num_pivots=1, min_documents=1).tolist() == [0]


def test_equal_features_keep_their_order() -> None:
    labels = np.array([0, 1, 0, 1])
    features = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0], [1, 0, 1]])  # one is the other's opposite
    assert select_pivots(features, labels, features, num_pivots=3, min_documents=1).tolist() == [0, 1, 2]


def test_by_frequency_the_rarer_domain_counts_and_labels_are_not_needed() -> None:
    source = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 1]])
    target = np.array([[0, 1, 1], [1, 1, 1], [0, 1, 0], [0, 0, 0]])
    chosen = select_pivots(source, None, target, num_pivots=3, min_documents=1, by="frequency")
    assert chosen.tolist() == [1, 2, 0]


def test_stored_zeros_are_no_occurrences() -> None:
    features = sparse.csr_matrix(np.ones((3, 2)))
    features.data[features.indices == 0] = 0
    assert select_pivots(features, [0, 1, 0], features, num_pivots=2, min_documents=1).tolist() == [1]


def test_bad_input_is_told() -> None:
    features = np.eye(3)
    with pytest.raises(InputError, match="at least 2 documents of each domain; found the most common one is in 1"):
        select_pivots(features, [0, 1, 0], features, num_pivots=2, min_documents=2)
    with pytest.raises(InputError, match="number of pivots must be at least 1"):
        select_pivots(features, [0, 1, 0], features, num_pivots=0, min_documents=1)
    with pytest.raises(ValueError, match="needs the source's labels"):
        select_pivots(features, None, features, num_pivots=1, min_documents=1)
    with pytest.raises(ValueError, match="3 source rows, but 2 labels"):
        select_pivots(features, [0, 1], features, num_pivots=1, min_documents=1)
