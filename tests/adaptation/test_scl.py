"""Structural correspondence learning: the predictors, the new dimensions, the claim and its controls."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from nlptransfer.adaptation import scl as scl_file
from nlptransfer.adaptation.scl import StructuralCorrespondenceLearning, _left_singular_vectors, _predictor_weights
from nlptransfer.data.synthetic_reviews import make_review_domains
from nlptransfer.errors import InputError


def counts(seed: int, num_rows: int, num_columns: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    topics = rng.random((num_rows, 3)) @ rng.uniform(0, 0.8, size=(3, num_columns))
    return rng.poisson(topics).astype(np.float64)


@pytest.mark.parametrize("shape", [(40, 15), (25, 60)], ids=["more rows", "more columns"])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_the_predictors_are_ridge_regressions_of_the_pivots_on_the_other_features(
    shape: tuple[int, int], kind: type
) -> None:
    rows, pivots, regularization = counts(1, *shape), np.array([4, 0, 7]), 0.3
    found = _predictor_weights(kind(rows), pivots, regularization)
    others = np.delete(rows, pivots, axis=1)
    penalty = regularization * ((others - others.mean(axis=0)) ** 2).sum(axis=1).mean()
    ridge = Ridge(alpha=penalty, tol=1e-12).fit(others, (rows[:, pivots] > 0).astype(float))
    np.testing.assert_allclose(np.delete(found, pivots, axis=0), ridge.coef_.T, atol=1e-9)
    np.testing.assert_array_equal(found[pivots], 0)


def test_the_singular_vectors_are_those_of_a_full_decomposition() -> None:
    matrix = np.random.default_rng(2).normal(size=(30, 6))
    expected = np.linalg.svd(matrix)[0][:, :4]
    found = _left_singular_vectors(matrix, 4)
    np.testing.assert_allclose(np.abs(found.T @ expected), np.eye(4), atol=1e-9)
    assert _left_singular_vectors(matrix[:, [0, 0, 0]], 3).shape == (30, 1)  # one direction is all there is


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csr_array])
def test_the_new_features_are_the_papers_centred_and_scaled(kind: type) -> None:
    source, target, more = (counts(seed, rows, 40).astype(np.float32) for seed, rows in ((3, 30), (4, 20), (5, 10)))
    labels = (source[:, 0] > source[:, 1]).astype(int)
    scl = StructuralCorrespondenceLearning(num_pivots=8, num_dimensions=4, min_documents=3, scale=0.5)
    scl.fit(kind(source), labels, target_features=kind(target), source_unlabelled=kind(more))
    stacked = np.concatenate([source, target, more])
    weights = _predictor_weights(stacked, scl.pivots_, scl.pivot_regularization)
    directions = np.linalg.svd(np.where(weights > 0, weights, 0))[0][:, :4]
    np.testing.assert_allclose(np.abs(scl.theta_ @ directions), np.eye(4), atol=1e-3)
    np.testing.assert_array_equal(scl.theta_[:, scl.pivots_], 0)

    made = scl.transform(kind(stacked), domain="source")
    assert made.shape == (60, 44) and made.dtype == np.float32
    if kind is not np.asarray:
        assert made.format == "csr" and made.indices.dtype == np.int32
        made = made.toarray()
    np.testing.assert_array_equal(made[:, :40], stacked)
    new = made[:, 40:]
    projected = stacked @ scl.theta_.T
    standard = (projected - projected.mean(axis=0)) / projected.std(axis=0)
    expected = standard * 0.5 * np.linalg.norm(stacked, axis=1).mean() / np.linalg.norm(standard, axis=1).mean()
    np.testing.assert_allclose(new, expected, atol=1e-4)
    # The same map for a target row alone: nothing depends on the rows that stand beside it.
    alone = scl.transform(kind(target[:1]))
    np.testing.assert_allclose((alone.toarray() if sparse.issparse(alone) else alone)[0, 40:], expected[30], atol=1e-4)


@pytest.fixture(scope="module")
def reviews() -> dict[str, sparse.csr_matrix | np.ndarray]:
    domains = make_review_domains(600, seed=3)
    parts = {
        f"{name} {part}": domain[part]
        for name, domain in (("source", domains.source), ("target", domains.target))
        for part in ("train", "unlabelled")
    }
    vectorizer = CountVectorizer(binary=True, dtype=np.float32)
    vectorizer.fit([*parts["source train"]["text"], *parts["target unlabelled"]["text"]])
    made = {name: vectorizer.transform(part["text"]) for name, part in parts.items()}
    made |= {f"{name} labels": np.array(parts[f"{name} train"]["label"]) for name in ("source", "target")}
    return made


def accuracy(scl: StructuralCorrespondenceLearning | None, reviews: dict) -> float:
    train, test = reviews["source train"], reviews["target train"]
    if scl is not None:
        train, test = scl.transform(train, domain="source"), scl.transform(test)
    classifier = LogisticRegression(C=0.1, max_iter=2000).fit(train, reviews["source labels"])
    return classifier.score(test, reviews["target labels"])


def fitted(reviews: dict, **settings: float) -> StructuralCorrespondenceLearning:
    scl = clone(StructuralCorrespondenceLearning(num_pivots=60, num_dimensions=10)).set_params(**settings)
    return scl.fit(
        reviews["source train"], reviews["source labels"], target_features=reviews["target unlabelled"],
        source_unlabelled=reviews["source unlabelled"],
    )  # fmt: skip


def test_strong_words_of_the_target_are_learnt_through_shared_weak_words(reviews: dict) -> None:
    source_only = accuracy(None, reviews)
    assert source_only < 0.77
    assert accuracy(fitted(reviews), reviews) > source_only + 0.07


@pytest.mark.parametrize("setting", [{"num_dimensions": 0}, {"scale": 0.0}])
def test_without_new_dimensions_scl_is_source_only(reviews: dict, setting: dict[str, float]) -> None:
    scl = fitted(reviews, **setting)
    for domain in ("source", "target"):
        rows, made = reviews[f"{domain} train"], scl.transform(reviews[f"{domain} train"], domain=domain)
        made.eliminate_zeros()
        assert made.nnz == rows.nnz and (made[:, : rows.shape[1]] != rows).nnz == 0
    assert accuracy(scl, reviews) == accuracy(None, reviews)


def test_bad_input_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = counts(6, 12, 9), counts(7, 11, 9)
    labels = np.arange(12) % 2
    scl = StructuralCorrespondenceLearning(min_documents=100)
    with pytest.raises(InputError, match=r"no feature can be a pivot.*Lower min_documents"):
        scl.fit(source, labels, target_features=target)
    with pytest.raises(InputError, match="out of range"):
        clone(scl).set_params(pivot_regularization=0).fit(source, labels, target_features=target)
    with pytest.raises(ValueError, match="give labels"):
        scl.fit(source, target_features=target)
    monkeypatch.setattr(scl_file, "MAX_SIZE", 5)
    with pytest.raises(InputError, match="too many rows and columns for SCL"):
        scl.set_params(min_documents=1, num_pivots=2).fit(source, labels, target_features=target)
