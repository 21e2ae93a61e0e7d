"""Inverse document frequency over both domains: the number, and what both domains change."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer

from nlptransfer.adaptation.inverse_document_frequency import IDFWeighting


def counts(seed: int, num_rows: int) -> np.ndarray:
    return np.random.default_rng(seed).poisson(0.4, size=(num_rows, 6)).astype(np.float32)


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_weights_are_those_of_scikit_learn_over_both_domains(smooth: bool, kind: type) -> None:
    source, target = counts(1, 30), counts(2, 20)
    source[0], target[0] = 1, 3  # every feature occurs
    idf = IDFWeighting(smooth=smooth).fit(kind(source), target_features=kind(target))
    reference = TfidfTransformer(smooth_idf=smooth, norm=None).fit(np.concatenate([source, target]))
    np.testing.assert_allclose(idf.idf_, reference.idf_)
    for domain in ("source", "target"):
        weighted = idf.transform(kind(target), domain=domain)
        assert sparse.issparse(weighted) == (kind is not np.asarray) and weighted.dtype == np.float32
        expected = idf.scale_ * reference.transform(target).toarray()
        np.testing.assert_allclose(weighted.toarray() if sparse.issparse(weighted) else weighted, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_the_mean_length_of_all_rows_stays_what_it_was(kind: type) -> None:
    source, target = counts(1, 30), counts(2, 20)
    idf = IDFWeighting().fit(kind(source), target_features=kind(target))
    rows = np.concatenate([source, target])
    weighted = rows * (idf.scale_ * idf.idf_)
    assert np.linalg.norm(weighted, axis=1).mean() == pytest.approx(np.linalg.norm(rows, axis=1).mean())


def test_a_word_of_the_target_alone_weighs_less_than_the_source_by_itself_would_say() -> None:
    source, target = np.array([[1, 0], [1, 0], [1, 0]]), np.array([[0, 1], [0, 1]])
    alone = IDFWeighting().fit(source, target_features=source).idf_
    both = IDFWeighting().fit(source, target_features=target).idf_
    assert alone[1] > both[1] > both[0] > alone[0]


def test_a_feature_that_is_in_every_document_keeps_its_value_and_one_in_none_is_finite() -> None:
    features = np.array([[2.0, 0.0], [5.0, 0.0]])
    for smooth in (True, False):
        idf = IDFWeighting(smooth=smooth).fit(features, target_features=features)
        np.testing.assert_array_equal(idf.transform(features), features)
        assert np.isfinite(idf.idf_).all()
