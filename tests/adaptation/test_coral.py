"""CORAL: the paper's map, its claim, and the short cuts that make it fit text features."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from numpy.random import Generator
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from nlptransfer.adaptation import coral as coral_file
from nlptransfer.adaptation.coral import CORAL
from nlptransfer.errors import InputError


@pytest.fixture
def rng() -> Generator:
    return np.random.default_rng(3)


def paper_map(source: np.ndarray, target: np.ndarray, ridge: float) -> np.ndarray:
    """Algorithm 1, with general matrix roots in place of eigenvectors."""
    identity = ridge * np.eye(source.shape[1])
    source_covariance = np.cov(source, rowvar=False) + identity
    target_covariance = np.cov(target, rowvar=False) + identity
    return source @ np.linalg.inv(scipy.linalg.sqrtm(source_covariance)) @ scipy.linalg.sqrtm(target_covariance)


def counts(rng: Generator, num_rows: int, num_columns: int) -> np.ndarray:
    return rng.poisson(rng.uniform(0.02, 1.5, size=num_columns), size=(num_rows, num_columns)).astype(np.float64)


@pytest.mark.parametrize("num_columns", [7, 90], ids=["more rows than columns", "more columns than rows"])
@pytest.mark.parametrize("ridge", [1.0, 0.03])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csr_array])
def test_the_map_is_algorithm_1(rng: Generator, num_columns: int, ridge: float, kind: type) -> None:
    source, target = counts(rng, 40, num_columns), counts(rng, 25, num_columns) @ np.diag(rng.random(num_columns) * 3)
    fitted = CORAL(regularization=ridge).fit(kind(source), target_features=kind(target))
    expected = paper_map(source, target, ridge)
    np.testing.assert_allclose(fitted.transform(kind(source), domain="source"), expected, atol=1e-9)
    single = clone(fitted).fit(kind(source.astype(np.float32)), target_features=kind(target.astype(np.float32)))
    mapped = single.transform(kind(source[:4].astype(np.float32)), domain="source")
    assert mapped.dtype == np.float32 and type(mapped) is np.ndarray
    np.testing.assert_allclose(mapped, expected[:4], atol=1e-4)


def test_it_agrees_with_skada_where_both_are_defined_alike(rng: Generator) -> None:
    skada = pytest.importorskip("skada")
    source, target = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 5)), rng.normal(size=(60, 5))
    source, target = source - source.mean(axis=0), target - target.mean(axis=0)
    target *= np.sqrt(np.trace(source.T @ source) / np.trace(target.T @ target))
    # skada shrinks to (1 - a) C + a trace(C) / D I, with C divided by n: for equal traces that is one ridge for both.
    shrinkage, trace = 0.2, np.trace(np.cov(source, rowvar=False))
    adapter = skada.CORALAdapter(reg=shrinkage)
    theirs = adapter.fit_transform(np.concatenate([source, target]), sample_domain=np.repeat([1, -2], 60))
    ours = CORAL(regularization=shrinkage / (1 - shrinkage) * trace / 5).fit(source, target_features=target)
    np.testing.assert_allclose(ours.transform(source, domain="source"), theirs[:60], atol=1e-9)


def test_the_covariance_becomes_the_targets(rng: Generator) -> None:
    source, target = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4)), rng.normal(size=(200, 4)) * [1, 2, 3, 0.5]
    mapped = CORAL(regularization=1e-9).fit(source, target_features=target).transform(source, domain="source")
    np.testing.assert_allclose(np.cov(mapped, rowvar=False), np.cov(target, rowvar=False), atol=1e-6)


@pytest.mark.parametrize("shape", [(40, 12), (20, 60)])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_the_low_rank_map_is_the_exact_one_at_full_rank(
    rng: Generator, shape: tuple[int, int], kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = kind(counts(rng, *shape)), kind(counts(rng, shape[0] + 5, shape[1]))
    exact = CORAL().fit(source, target_features=target).transform(source, domain="source")
    full = CORAL(rank=min(shape[0] + 4, shape[1])).fit(source, target_features=target)
    np.testing.assert_allclose(full.transform(source, domain="source"), exact, atol=1e-9)
    # Low rank leaves out the smallest directions only: the one before full is near, and the largest are the same.
    almost = CORAL(rank=min(shape[0] - 2, shape[1] - 1)).fit(source, target_features=target)
    low = almost.transform(source, domain="source")
    assert 1e-6 < np.linalg.norm(low - exact) / np.linalg.norm(exact) < 0.2
    np.testing.assert_allclose(almost.source_variances_, full.source_variances_[-len(almost.source_variances_) :])
    # The iterations that sizes beyond the exact ones need find the same.
    monkeypatch.setattr(coral_file, "MAX_EXACT_SIZE", 1)
    iterated = clone(almost).fit(source, target_features=target).transform(source, domain="source")
    np.testing.assert_allclose(iterated, low, atol=1e-5)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_iterations_find_the_directions_of_rows_of_equal_length(
    rng: Generator, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(num_rows: int, axes: np.ndarray) -> np.ndarray:
        points = rng.normal(size=(num_rows, 2)) @ axes
        return points / np.linalg.norm(points, axis=1, keepdims=True)

    source, target = rows(30, rng.normal(size=(2, 80))), rows(35, rng.normal(size=(2, 80)))
    exact = CORAL().fit(source, target_features=target).transform(source, domain="source")
    monkeypatch.setattr(coral_file, "MAX_EXACT_SIZE", 1)
    low = CORAL(rank=2).fit(kind(source), target_features=kind(target)).transform(kind(source), domain="source")
    np.testing.assert_allclose(low, exact, atol=1e-6)


def two_shifted_domains(rng: Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One latent problem seen through two symmetric matrices, the case that CORAL solves."""
    weights = np.array([1.0, -1.0, 0.3])
    latent = rng.normal(size=(900, 3))
    labels = (latent @ weights > 0).astype(int)
    mixed = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.3], [0.0, 0.3, 0.5]])
    source_root, target_root = np.diag([1.0, 5.0, 1.0]), scipy.linalg.sqrtm(mixed @ mixed.T + 0.05 * np.eye(3)).real
    return latent[:500] @ source_root, labels[:500], latent[500:] @ target_root, labels[500:]


def accuracy(train: np.ndarray, labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray) -> float:
    return LogisticRegression(C=10).fit(train, labels).score(test, test_labels)


def test_a_classifier_of_mapped_source_rows_is_right_on_the_target_where_the_plain_one_fails(rng: Generator) -> None:
    source, labels, target, target_labels = two_shifted_domains(rng)
    assert accuracy(source, labels, target, target_labels) < 0.85
    coral = CORAL(regularization=1e-3).fit(source, labels, target_features=target)
    mapped = coral.transform(source, domain="source")
    assert accuracy(mapped, labels, coral.transform(target), target_labels) > 0.95


def test_without_a_shift_or_under_a_huge_ridge_nothing_moves(rng: Generator) -> None:
    source, _, target, _ = two_shifted_domains(rng)
    same = CORAL().fit(source, target_features=source[::-1])
    np.testing.assert_allclose(same.transform(source, domain="source"), source, atol=1e-9)
    ridge = CORAL(regularization=1e9).fit(source, target_features=target)
    np.testing.assert_allclose(ridge.transform(source, domain="source"), source, atol=1e-6)


def test_target_rows_come_back_as_they_are_and_no_array_is_written_into(rng: Generator) -> None:
    source, target = sparse.csr_matrix(counts(rng, 9, 20)), sparse.csr_matrix(counts(rng, 7, 20))
    before = source.copy(), target.copy()
    coral = CORAL().fit(source, target_features=target)
    coral.transform(source, domain="source")
    assert coral.transform(target) is target
    assert (source != before[0]).nnz == 0 and (target != before[1]).nnz == 0


def test_documents_that_are_all_alike_have_only_the_ridge(rng: Generator) -> None:
    alike, target = np.full((5, 30), 0.7), counts(rng, 8, 30)
    coral = CORAL().fit(alike, target_features=target)
    assert len(coral.source_variances_) == 0
    np.testing.assert_allclose(coral.transform(alike, domain="source"), paper_map(alike, target, 1.0), atol=1e-9)


def test_bad_input_is_told(rng: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = rng.normal(size=(6, 3)), rng.normal(size=(5, 3))
    with pytest.raises(InputError, match="one target row has no covariance"):
        CORAL().fit(source, target_features=target[:1])
    with pytest.raises(InputError, match=r"target features have another width. Expected 3 columns; found 2"):
        CORAL().fit(source, target_features=target[:, :2])
    with pytest.raises(InputError, match="source features have no rows"):
        CORAL().fit(source[:0], target_features=target)
    with pytest.raises(InputError, match="NaN or infinity"):
        CORAL().fit(source, target_features=sparse.csr_matrix(target * np.nan))
    with pytest.raises(InputError, match="are no table"):
        CORAL().fit(source[0], target_features=target)
    with pytest.raises(InputError, match="regularization must be positive"):
        CORAL(regularization=0).fit(source, target_features=target)
    with pytest.raises(InputError, match="rank must be at least 1"):
        CORAL(rank=0).fit(source, target_features=target)
    with pytest.raises(ValueError, match="'source' or 'target'"):
        CORAL().fit(source, target_features=target).transform(source, domain="books")
    monkeypatch.setattr(coral_file, "MAX_EXACT_SIZE", 2)
    with pytest.raises(InputError, match=r"too large for the exact CORAL.*Give a rank"):
        CORAL().fit(source, target_features=target)
    CORAL(rank=1).fit(source, target_features=target)
