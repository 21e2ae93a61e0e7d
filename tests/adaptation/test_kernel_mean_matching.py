"""Kernel mean matching against a general solver of the same program, and against the mean discrepancy itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, sparse
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

from nlptransfer.adaptation.kernel_mean_matching import KernelMeanMatching, _nearest_allowed, median_distance
from nlptransfer.errors import InputError


def kernel(left: np.ndarray, right: np.ndarray, bandwidth: float) -> np.ndarray:
    return np.array([[np.exp(-np.sum((x - y) ** 2) / (2 * bandwidth**2)) for y in right] for x in left])


def discrepancy(source: np.ndarray, target: np.ndarray, weights: np.ndarray, bandwidth: float) -> float:
    """Squared mean discrepancy of the weighted source and the target."""
    weights = weights / weights.sum()
    uniform = np.full(len(target), 1 / len(target))
    return float(
        weights @ kernel(source, source, bandwidth) @ weights
        - 2 * weights @ kernel(source, target, bandwidth) @ uniform
        + uniform @ kernel(target, target, bandwidth) @ uniform
    )


@pytest.mark.parametrize("largest", [2.0, 1000.0])
def test_weights_solve_the_program_of_the_paper(largest: float) -> None:
    random = np.random.default_rng(0)
    source, target = random.normal(size=(25, 2)), random.normal(0.8, 0.7, size=(17, 2))
    weighting = KernelMeanMatching(bandwidth=1.0, largest_weight=largest, num_steps=5_000)
    weights = weighting.fit(source, target_features=target).weights_
    own, kappa = kernel(source, source, 1.0), 25 / 17 * kernel(source, target, 1.0).sum(axis=1)
    slack = 25 * (np.sqrt(25) - 1) / np.sqrt(25)
    solved = optimize.minimize(
        lambda w: w @ own @ w / 2 - kappa @ w,
        np.ones(25),
        jac=lambda w: own @ w - kappa,
        bounds=[(0, largest)] * 25,
        constraints=optimize.LinearConstraint(np.ones(25), 25 - slack, 25 + slack),
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 1_000},
    )
    if largest == 2:
        assert np.isclose(solved.x, 2).any()  # the bound is at work
    np.testing.assert_allclose(weights, solved.x / solved.x.mean(), atol=0.02)


def test_the_sum_of_the_weights_is_kept_within_its_bounds() -> None:
    values = np.array([-1.0, 0.2, 0.5, 3.0])
    for low, high in [(5.0, 6.0), (0.1, 1.0), (0.0, 9.0)]:
        found = _nearest_allowed(values, 2.0, low, high)
        solved = optimize.minimize(
            lambda x: np.sum((x - values) ** 2),
            np.ones(4),
            bounds=[(0, 2)] * 4,
            constraints=optimize.LinearConstraint(np.ones(4), low, high),
            method="SLSQP",
            options={"ftol": 1e-14},
        )
        np.testing.assert_allclose(found, solved.x, atol=1e-5)


def test_weighted_source_and_target_have_nearly_the_same_kernel_mean() -> None:
    random = np.random.default_rng(1)
    source, target = random.normal(size=(120, 2)), random.normal(0.8, 0.7, size=(90, 2))
    weighting = KernelMeanMatching().fit(source, target_features=target)
    before = discrepancy(source, target, np.ones(120), weighting.bandwidth_)
    after = discrepancy(source, target, weighting.weights_, weighting.bandwidth_)
    assert before > 0.05
    assert after < before / 50


def test_it_matches_the_mean_no_worse_than_skada() -> None:
    skada = pytest.importorskip("skada")
    random = np.random.default_rng(2)
    source, target = random.normal(size=(150, 5)), random.normal(0.5, 0.8, size=(110, 5))
    ours = KernelMeanMatching(bandwidth=2.0, largest_weight=1000.0).fit(source, target_features=target)
    theirs = skada.KMMReweightAdapter(gamma=1 / 8).fit(
        np.concatenate([source, target]), sample_domain=np.repeat([1, -2], [150, 110])
    )
    reached = [discrepancy(source, target, weights, 2.0) for weights in (ours.weights_, theirs.source_weights_)]
    assert reached[0] <= reached[1] * 1.02


def test_weighting_mends_a_line_fitted_to_a_curve() -> None:
    random = np.random.default_rng(3)
    source, target = random.normal(0, 1, size=(200, 1)), random.normal(1.5, 0.4, size=(130, 1))

    def curve(x: np.ndarray) -> np.ndarray:
        return x[:, 0] ** 2

    weighting = KernelMeanMatching().fit(source, target_features=target)
    plain = LinearRegression().fit(source, curve(source))
    weighted = LinearRegression().fit(source, curve(source), sample_weight=weighting.weights_)
    assert plain.score(target, curve(target)) < 0
    assert weighted.score(target, curve(target)) > 0.7


def test_the_sources_own_rows_as_target_leave_every_weight_at_one() -> None:
    source = np.random.default_rng(4).normal(size=(40, 3))
    weighting = KernelMeanMatching(num_steps=100).fit(source, target_features=source)
    np.testing.assert_allclose(weighting.weights_, 1, atol=1e-8)
    assert weighting.effective_sample_size_ == pytest.approx(40)


def test_sparse_rows_get_the_weights_of_dense_ones() -> None:
    random = np.random.default_rng(5)
    source = sparse.random_array((30, 12), density=0.3, rng=random, format="csr")
    target = sparse.random_array((21, 12), density=0.5, rng=random, format="csr")
    of_sparse = KernelMeanMatching().fit(source, target_features=target)
    of_dense = clone(of_sparse).fit(source.toarray(), target_features=target.toarray())
    np.testing.assert_allclose(of_sparse.weights_, of_dense.weights_, atol=1e-6)
    assert of_sparse.bandwidth_ == pytest.approx(of_dense.bandwidth_)


def test_the_median_distance_is_that_of_all_pairs() -> None:
    random = np.random.default_rng(6)
    source, target = random.normal(size=(9, 2)), random.normal(size=(6, 2))
    rows = np.concatenate([source, target])
    every = [np.linalg.norm(rows[i] - rows[j]) for i in range(15) for j in range(i)]
    assert median_distance(source, target) == pytest.approx(np.median(every))


def test_bad_input_is_told() -> None:
    same = np.ones((5, 2))
    with pytest.raises(InputError, match="Give a bandwidth"):
        KernelMeanMatching().fit(same, target_features=same)
    with pytest.raises(InputError, match="no rows"):
        KernelMeanMatching().fit(same, target_features=same[:0])
    with pytest.raises(ValueError, match="at least 1"):
        KernelMeanMatching(largest_weight=0.5).fit(same, target_features=same)
