"""Subspace alignment: the paper's projections, with skada's components; its claim and what it refuses."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from nlptransfer.adaptation.subspace_alignment import SubspaceAlignment
from nlptransfer.errors import InputError


def principal(rows: np.ndarray, count: int) -> np.ndarray:
    return np.linalg.svd(rows - rows.mean(axis=0))[2][:count].T


def two_domains(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two signal directions of decreasing variance, which each domain has turned elsewhere, among ten columns."""
    rng = np.random.default_rng(seed)

    def domain(num_rows: int, axes: np.ndarray, mean: float) -> tuple[np.ndarray, np.ndarray]:
        latent = rng.normal(size=(num_rows, 2)) * [3.0, 1.5]
        # Positive coordinates are more spread, so that labels could be told apart up to a turn.
        rows = latent @ axes + 0.1 * rng.normal(size=(num_rows, 10)) + mean
        return rows, (latent @ [0.5, 1.0] > 0).astype(int)

    source_axes, target_axes = np.zeros((2, 2, 10))
    source_axes[0, 0] = source_axes[1, 1] = 1
    target_axes[0, :2] = [0.6, 0.0]
    target_axes[0, 2] = 0.8  # the first direction moves by 53 degrees, the second the other way
    target_axes[1, 1] = 0.6
    target_axes[1, 3] = 0.8
    return *domain(300, source_axes, 0.0), *domain(200, target_axes, 1.0)


def test_the_projections_are_those_of_the_paper() -> None:
    pytest.importorskip("skada")
    source, labels, target, _ = two_domains()
    kept = labels.copy()
    aligned = SubspaceAlignment(num_components=2, seed=1).fit(source, labels, target_features=target)
    of_source, of_target = principal(source, 2), principal(target, 2)
    expected_target = (target - target.mean(axis=0)) @ of_target
    expected_source = (source - source.mean(axis=0)) @ of_source @ (of_source.T @ of_target)
    found_target = aligned.transform(target)
    signs = np.sign((found_target * expected_target).sum(axis=0))  # of a component nobody knows the sign
    np.testing.assert_allclose(found_target, expected_target * signs, atol=1e-9)
    np.testing.assert_allclose(aligned.transform(source, domain="source"), expected_source * signs, atol=1e-9)
    np.testing.assert_array_equal(labels, kept)


def test_a_classifier_in_the_aligned_subspace_beats_one_on_the_features() -> None:
    pytest.importorskip("skada")
    source, labels, target, target_labels = two_domains()
    plain = LogisticRegression().fit(source, labels).score(target, target_labels)
    assert plain < 0.85
    aligned = SubspaceAlignment(num_components=2, seed=1).fit(source, target_features=target)
    classifier = LogisticRegression().fit(aligned.transform(source, domain="source"), labels)
    assert classifier.score(aligned.transform(target), target_labels) > plain + 0.1


def test_without_a_shift_both_domains_have_the_same_map() -> None:
    pytest.importorskip("skada")
    source, *_ = two_domains()
    aligned = SubspaceAlignment(num_components=2, seed=1).fit(source, target_features=source[::-1])
    np.testing.assert_allclose(aligned.transform(source), aligned.transform(source, domain="source"), atol=1e-9)


def test_sparse_features_are_reduced_first_and_then_aligned_alike() -> None:
    pytest.importorskip("skada")
    rng = np.random.default_rng(2)
    source, target = rng.poisson(0.3, size=(30, 50)).astype(float), rng.poisson(0.4, size=(25, 50)).astype(float)
    # In an SVD of all rows nothing is lost: the alignment is that of the dense rows, but for signs.
    dense = SubspaceAlignment(num_components=3, seed=1).fit(source, target_features=target)
    reduced = SubspaceAlignment(num_components=3, svd_dimensions=54, seed=1)
    reduced.fit(sparse.csr_matrix(source), target_features=sparse.csr_matrix(target))
    rows = sparse.csr_matrix(target)
    before = rows.copy()
    for domain in ("source", "target"):
        found = reduced.transform(rows, domain=domain)
        np.testing.assert_allclose(np.abs(found), np.abs(dense.transform(target, domain=domain)), atol=0.05)
    assert (rows != before).nnz == 0


def test_the_map_is_affine() -> None:
    pytest.importorskip("skada")
    source, _, target, _ = two_domains()
    aligned = clone(SubspaceAlignment(num_components=2, svd_dimensions=8, seed=1))
    aligned.fit(sparse.csr_matrix(source), target_features=sparse.csr_matrix(target))
    for domain in ("source", "target"):
        offset = aligned.transform(sparse.csr_matrix((1, 10)), domain=domain)
        weights = aligned.transform(sparse.identity(10, format="csr"), domain=domain) - offset
        found = aligned.transform(sparse.csr_matrix(source), domain=domain)
        np.testing.assert_allclose(found, source @ weights + offset, atol=1e-9)


def test_bad_input_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skada")
    source, _, target, _ = two_domains()
    with pytest.raises(InputError, match=r"Expected between 1 and 4: .* found 5"):
        SubspaceAlignment(num_components=5, seed=1).fit(source, target_features=target[:4])
    with pytest.raises(InputError, match=r"Expected between 1 and 3: .* raise svd_dimensions"):
        aligned = SubspaceAlignment(num_components=4, svd_dimensions=4, seed=1)
        aligned.fit(sparse.csr_matrix(source), target_features=sparse.csr_matrix(target))
    monkeypatch.setitem(sys.modules, "skada", None)
    with pytest.raises(InputError, match=r'pip install "nlptransfer\[adaptation\]"'):
        SubspaceAlignment(num_components=2, seed=1).fit(source, target_features=target)


def test_scikit_learn_is_left_as_it_was_found() -> None:
    import sklearn

    before = sklearn.get_config()
    rows = np.random.default_rng(0).normal(size=(30, 6))
    SubspaceAlignment(num_components=2, seed=0).fit(rows, target_features=rows[:20])
    assert sklearn.get_config() == before


def test_sparse_rows_are_taken_by_a_map_that_was_fitted_on_dense_ones() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 6))
    alignment = SubspaceAlignment(num_components=2, seed=0).fit(rows, target_features=rows[:20])
    np.testing.assert_allclose(alignment.transform(sparse.csr_matrix(rows)), alignment.transform(rows))
