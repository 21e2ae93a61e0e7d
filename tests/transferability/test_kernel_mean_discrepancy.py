from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import sparse

from nlptransfer.errors import InputError
from nlptransfer.transferability.kernel_mean_discrepancy import kernel_mean_discrepancy

RNG = np.random.default_rng(0)
SOURCE, TARGET = RNG.normal(size=(7, 3)), RNG.normal(0.5, 2.0, size=(5, 3))


def by_loop(source: np.ndarray, target: np.ndarray, sigma: float | None, *, unbiased: bool) -> float:
    """The formula, pair by pair; the linear kernel where sigma is None."""

    def k(x: np.ndarray, y: np.ndarray) -> float:
        if sigma is None:
            return sum(a * b for a, b in zip(x, y, strict=True))
        return math.exp(-sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) / (2 * sigma * sigma))

    def within(rows: np.ndarray) -> float:
        pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if not unbiased or i != j]
        return sum(k(rows[i], rows[j]) for i, j in pairs) / len(pairs)

    between = sum(k(x, y) for x in source for y in target) / (len(source) * len(target))
    return within(source) + within(target) - 2 * between


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("sigma", [0.3, 2.0, None])
def test_it_is_the_formula(sigma: float | None, unbiased: bool) -> None:
    found = kernel_mean_discrepancy(
        SOURCE,
        TARGET,
        seed=0,
        kernel="linear" if sigma is None else "gaussian",
        bandwidth=sigma,
        unbiased=unbiased,
    )
    assert found == pytest.approx(by_loop(SOURCE, TARGET, sigma, unbiased=unbiased), rel=1e-9)


def test_the_bandwidth_is_the_median_distance_of_the_pooled_rows() -> None:
    pooled = [*SOURCE, *TARGET]
    median = float(np.median([np.linalg.norm(x - y) for x, y in itertools.combinations(pooled, 2)]))
    expected = by_loop(SOURCE, TARGET, median, unbiased=True)
    assert kernel_mean_discrepancy(SOURCE, TARGET, seed=0) == pytest.approx(expected, rel=1e-9)


def test_the_biased_linear_one_is_the_squared_distance_of_the_means() -> None:
    found = kernel_mean_discrepancy(SOURCE, TARGET, seed=0, kernel="linear", unbiased=False)
    assert found == pytest.approx(float(np.sum((SOURCE.mean(0) - TARGET.mean(0)) ** 2)))


def test_it_is_0_for_identical_samples_and_symmetric() -> None:
    assert kernel_mean_discrepancy(SOURCE, SOURCE[::-1], seed=0, unbiased=False) == pytest.approx(0, abs=1e-12)
    assert kernel_mean_discrepancy(SOURCE, TARGET, seed=0) == pytest.approx(
        kernel_mean_discrepancy(TARGET, SOURCE, seed=0)
    )
    assert kernel_mean_discrepancy(np.ones((4, 2)), np.ones((3, 2)), seed=0) == 0.0


def test_it_grows_with_the_shift_and_is_about_0_without_one() -> None:
    rng = np.random.default_rng(1)
    source = rng.normal(size=(700, 2))
    values = [kernel_mean_discrepancy(source, rng.normal(by, 1, size=(600, 2)), seed=0) for by in (0.0, 0.5, 2.0)]
    assert abs(values[0]) < 0.005
    assert 10 * abs(values[0]) < values[1] < values[2] / 3


def test_the_gaussian_kernel_sees_a_change_of_variance_that_the_linear_one_does_not() -> None:
    rng = np.random.default_rng(2)
    source, target = rng.normal(size=(500, 1)), rng.normal(0, 3, size=(400, 1))
    assert kernel_mean_discrepancy(source, target, seed=0) > 0.1
    assert abs(kernel_mean_discrepancy(source, target, seed=0, kernel="linear")) < 0.05


def test_blocks_and_sparse_input_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    source = rng.poisson(0.3, size=(23, 40)).astype(np.float32)
    target = rng.poisson(0.5, size=(17, 40)).astype(np.float32)
    whole = [kernel_mean_discrepancy(source, target, seed=0, unbiased=each) for each in (True, False)]
    monkeypatch.setattr("nlptransfer.transferability.kernel_mean_discrepancy._BLOCK", 5)
    rows = sparse.csr_matrix(source), sparse.csr_matrix(target)
    for arrays in ((source, target), rows):
        found = [kernel_mean_discrepancy(*arrays, seed=0, unbiased=each) for each in (True, False)]
        assert found == pytest.approx(whole, rel=1e-9)


def test_many_rows_are_drawn_from_by_seed() -> None:
    rng = np.random.default_rng(4)
    source, target = rng.normal(size=(300, 2)), rng.normal(1, 1, size=(200, 2))
    one, same, other = (kernel_mean_discrepancy(source, target, seed=seed, max_rows=50) for seed in (0, 0, 1))
    assert one == same != other
    assert one == pytest.approx(kernel_mean_discrepancy(source, target, seed=0), abs=0.15)


def test_bad_input_is_told() -> None:
    with pytest.raises(InputError, match="at least 2 in each; found 1 in the source, 5 in the target"):
        kernel_mean_discrepancy(SOURCE[:1], TARGET, seed=0)
    assert kernel_mean_discrepancy(SOURCE[:1], TARGET, seed=0, unbiased=False) > 0
    with pytest.raises(ValueError, match="bandwidth"):
        kernel_mean_discrepancy(SOURCE, TARGET, seed=0, bandwidth=0.0)
