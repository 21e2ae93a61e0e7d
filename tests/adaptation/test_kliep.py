"""KLIEP against a general solver of its problem and the true ratio of known densities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, sparse
from scipy.stats import norm
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

from nlptransfer.adaptation.kliep import KLIEP
from nlptransfer.errors import InputError


def kernel(left: np.ndarray, right: np.ndarray, bandwidth: float) -> np.ndarray:
    return np.array([[np.exp(-np.sum((x - y) ** 2) / (2 * bandwidth**2)) for y in right] for x in left])


def test_weights_solve_the_problem_of_the_paper() -> None:
    random = np.random.default_rng(0)
    source, target = random.normal(size=(40, 2)), random.normal(0.6, 0.7, size=(13, 2))
    weighting = KLIEP(bandwidths=(0.8,)).fit(source, target_features=target)  # every target row is a centre
    on_source, on_target = kernel(source, target, 0.8), kernel(target, target, 0.8)
    reach = on_source.mean(axis=0)
    solved = optimize.minimize(
        lambda alpha: -np.log(on_target @ alpha).mean(),
        np.full(13, 1 / reach.sum()),
        bounds=[(0, None)] * 13,
        constraints=optimize.LinearConstraint(reach, 1, 1),
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 2_000},
    )
    assert weighting.weights_.mean() == pytest.approx(1)
    np.testing.assert_allclose(weighting.weights_, on_source @ solved.x, atol=0.05)
    coefficients = np.linalg.lstsq(on_source, weighting.weights_)[0]
    assert np.log(on_target @ coefficients).mean() == pytest.approx(-solved.fun, abs=2e-4)


def test_weights_are_near_the_true_density_ratio() -> None:
    random = np.random.default_rng(1)
    source, target = random.normal(size=(500, 1)), random.normal(0.8, 0.7, size=(330, 1))
    weighting = KLIEP().fit(source, target_features=target)
    truth = norm(0.8, 0.7).pdf(source[:, 0]) / norm(0, 1).pdf(source[:, 0])
    assert np.corrcoef(weighting.weights_, truth)[0, 1] > 0.9


def test_the_bandwidth_is_the_one_that_explains_held_out_target_rows() -> None:
    random = np.random.default_rng(2)
    source, target = random.normal(size=(200, 1)), random.normal(0.8, 0.5, size=(150, 1))
    weighting = KLIEP(bandwidths=(0.001, 0.4, 50.0)).fit(source, target_features=target)
    assert weighting.bandwidth_ == 0.4


def test_weighting_mends_a_line_fitted_to_a_curve() -> None:
    random = np.random.default_rng(3)
    source, target = random.normal(0, 1, size=(200, 1)), random.normal(1.5, 0.4, size=(130, 1))
    weighting = KLIEP().fit(source, target_features=target)
    plain = LinearRegression().fit(source, source[:, 0] ** 2)
    weighted = LinearRegression().fit(source, source[:, 0] ** 2, sample_weight=weighting.weights_)
    assert plain.score(target, target[:, 0] ** 2) < 0
    assert weighted.score(target, target[:, 0] ** 2) > 0.7


def test_without_a_shift_the_weights_are_near_one() -> None:
    random = np.random.default_rng(4)
    source, target = random.normal(size=(300, 2)), random.normal(size=(230, 2))
    weighting = KLIEP().fit(source, target_features=target)
    assert weighting.effective_sample_size_ > 0.9 * 300


def test_sparse_rows_get_the_weights_of_dense_ones_and_the_seed_draws_the_centres() -> None:
    random = np.random.default_rng(5)
    source = sparse.random_array((30, 12), density=0.3, rng=random, format="csr")
    target = sparse.random_array((21, 12), density=0.5, rng=random, format="csr")
    of_sparse = KLIEP(num_centers=7, seed=3).fit(source, target_features=target)
    of_dense = clone(of_sparse).fit(source.toarray(), target_features=target.toarray())
    np.testing.assert_allclose(of_sparse.weights_, of_dense.weights_, atol=1e-6)
    other = clone(of_sparse).set_params(seed=4).fit(source, target_features=target)
    assert (other.weights_ != of_sparse.weights_).any()


def test_domains_without_contact_and_too_few_rows_are_told() -> None:
    source = np.zeros((6, 2))
    with pytest.raises(InputError, match="no source document lies near a target document"):
        KLIEP(bandwidths=(1.0,)).fit(source, target_features=source + 1e4)
    with pytest.raises(InputError, match=r"at least 5, one for every fold; found 3"):
        KLIEP(bandwidths=(1.0, 2.0)).fit(source, target_features=source[:3])
