from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from nlptransfer.errors import InputError
from nlptransfer.transferability.domain_rows import draw_rows
from nlptransfer.transferability.proxy_a_distance import proxy_a_distance


def gaussians(distance: float, rows: tuple[int, int] = (300, 200), dim: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows[0], dim)), rng.normal(size=(rows[1], dim)) + distance * np.eye(dim)[0]


def test_it_is_2_for_separable_domains_and_near_0_for_one_distribution() -> None:
    assert proxy_a_distance(*gaussians(20.0), seed=0) == 2.0
    source, target = gaussians(0.0, (2000, 2000))
    assert 0 <= proxy_a_distance(source, target, seed=0) < 0.15


def test_it_is_that_of_the_best_error_between_two_gaussians() -> None:
    # Means 2 apart: the best rule errs by Phi(-1) = 0.1587.
    source, target = gaussians(2.0, (4000, 4000))
    assert proxy_a_distance(source, target, seed=0, max_rows=4000) == pytest.approx(2 * (1 - 2 * 0.1587), abs=0.04)


def test_it_agrees_with_another_linear_classifier_on_the_same_halves() -> None:
    source, target = gaussians(1.0, (400, 400))
    drawn = draw_rows(source, target, max_rows=400, seed=3, same_number=True)
    domains = np.repeat([0, 1], 200)
    model = LogisticRegression().fit(np.vstack([part[:200] for part in drawn]), domains)
    error = np.mean(model.predict(np.vstack([part[200:] for part in drawn])) != domains)
    assert proxy_a_distance(source, target, seed=3) == pytest.approx(2 * (1 - 2 * error), abs=0.05)


def test_a_constant_answer_is_no_distance_where_one_domain_is_larger() -> None:
    assert proxy_a_distance(*gaussians(0.0, (3000, 300)), seed=0) < 0.35


def test_below_0_is_returned_as_0() -> None:
    # Each document of the test half stands in the training half as one of the other domain.
    source = np.array([[1.0], [2.0]])
    order = [draw_rows(source, source[::-1], max_rows=2, seed=seed) for seed in range(20)]
    seed = next(seed for seed, (left, right) in enumerate(order) if left[0] != right[0])
    assert proxy_a_distance(source, source[::-1], seed=seed) == 0.0
    assert proxy_a_distance(np.ones((4, 3)), np.ones((6, 3)), seed=0) == 0.0


def test_sparse_and_dense_input_and_any_scale_give_the_same_and_stay_as_they_were() -> None:
    rng = np.random.default_rng(1)
    source = rng.poisson(0.3, size=(120, 40)).astype(np.float32)
    target = rng.poisson(np.linspace(0.1, 0.6, 40), size=(90, 40)).astype(np.float32)
    kept = source.copy()
    dense = proxy_a_distance(source, target, seed=2)
    assert 0 < dense < 2
    assert np.array_equal(source, kept)
    assert proxy_a_distance(sparse.csr_matrix(source), sparse.csr_matrix(target), seed=2) == pytest.approx(dense)
    assert proxy_a_distance(1e-4 * source, 1e-4 * target, seed=2) == pytest.approx(dense)
    assert proxy_a_distance(1e4 * source, 1e4 * target, seed=2) == pytest.approx(dense)
    assert proxy_a_distance(source, target, seed=2) == dense


def test_30_000_sparse_features_stay_sparse_and_end_without_a_warning() -> None:
    rng = np.random.default_rng(0)
    shares = 1 / np.arange(1, 30_001)
    other = shares * np.exp(rng.normal(0, 0.5, 30_000))
    documents = [
        sparse.csr_matrix(rng.multinomial(60, each / each.sum(), size=400).astype(np.float32))
        for each in (shares, other)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 0.5 < proxy_a_distance(*documents, seed=0) < 2


def test_too_few_documents_are_told() -> None:
    with pytest.raises(InputError, match=r"Expected at least 2 in each, .*; found 1 in the source, 5 in the target"):
        proxy_a_distance(np.ones((1, 2)), np.ones((5, 2)), seed=0)
