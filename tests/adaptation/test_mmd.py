"""MMD against double loops and scipy, and what it is 0 for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist, pdist

from nlptransfer.adaptation.mmd import mmd_loss


def draw(number: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(number, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def test_it_is_the_double_sum_of_the_formula() -> None:
    source, target, bandwidths = draw(5, 0), draw(8, 1, 0.5), [0.5, 2.0]

    def kernel(first: list[float], second: list[float]) -> float:
        squared = sum((a - b) ** 2 for a, b in zip(first, second, strict=True))
        return sum(math.exp(-squared / (2 * width**2)) for width in bandwidths) / len(bandwidths)

    def mean(first: torch.Tensor, second: torch.Tensor) -> float:
        return sum(kernel(x, y) for x in first.tolist() for y in second.tolist()) / (len(first) * len(second))

    expected = mean(source, source) + mean(target, target) - 2 * mean(source, target)
    assert float(mmd_loss(source, target, bandwidths=bandwidths)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("num_kernels", [1, 4, 5])
def test_without_bandwidths_they_are_the_median_distance_times_powers_of_two(num_kernels: int) -> None:
    source, target = draw(5, 0), draw(8, 1, 0.5)
    distances = np.sort(pdist(np.concatenate([source.numpy(), target.numpy()])))
    median = distances[(len(distances) - 1) // 2]
    widths = {1: [1], 4: [0.25, 0.5, 1, 2], 5: [0.25, 0.5, 1, 2, 4]}[num_kernels]

    def mean(first: torch.Tensor, second: torch.Tensor) -> float:
        squared = cdist(first.numpy(), second.numpy(), "sqeuclidean")
        return float(np.mean([np.exp(-squared / (2 * (median * width) ** 2)) for width in widths]))

    expected = mean(source, source) + mean(target, target) - 2 * mean(source, target)
    assert float(mmd_loss(source, target, num_kernels=num_kernels)) == pytest.approx(expected, rel=1e-9)


def test_it_is_zero_for_identical_samples_in_any_order_and_symmetric() -> None:
    source, target = draw(6, 0).float(), draw(9, 1, 1.0).float()
    assert float(mmd_loss(source, source.flip(0))) == pytest.approx(0, abs=1e-6)
    assert float(mmd_loss(source, target)) == pytest.approx(float(mmd_loss(target, source)), rel=1e-5)
    assert float(mmd_loss(source, target)) > 0.1


def test_it_grows_with_the_shift_and_sees_a_difference_in_variance_alone() -> None:
    source = draw(200, 0)
    shifts = [float(mmd_loss(source, draw(150, 1, shift))) for shift in (0.0, 0.3, 1.0, 3.0)]
    assert shifts == sorted(shifts) and shifts[0] < 0.02 < shifts[2]
    assert float(mmd_loss(source, 3 * draw(150, 1))) > 5 * shifts[0]


def test_scale_does_not_count_when_the_bandwidths_come_from_the_data() -> None:
    source, target = draw(6, 0), draw(9, 1, 1.0)
    assert float(mmd_loss(100 * source, 100 * target)) == pytest.approx(float(mmd_loss(source, target)))


def test_its_gradient_is_right_with_the_bandwidths_held_constant() -> None:
    source, target = draw(4, 0).requires_grad_(), draw(5, 1, 0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t: mmd_loss(s, t, bandwidths=[0.7, 1.5]), (source, target))
    median = float(
        np.sort(pdist(torch.cat([source, target]).detach().numpy()))[17]
    )  # the middle one of 36, rounded down
    held = mmd_loss(source, target, bandwidths=[median / 4, median / 2, median, 2 * median, 4 * median])
    for expected, found in zip(
        torch.autograd.grad(held, (source, target)),
        torch.autograd.grad(mmd_loss(source, target), (source, target)),
        strict=True,
    ):
        torch.testing.assert_close(found, expected)


def test_features_that_are_all_the_same_differ_by_nothing_and_have_no_gradient() -> None:
    source = torch.ones(3, 2, requires_grad=True)
    loss = mmd_loss(source, torch.ones(4, 2))
    loss.backward()
    assert float(loss) == 0.0 and source.grad is not None and (source.grad == 0).all()


def test_empty_samples_and_impossible_bandwidths_are_refused() -> None:
    with pytest.raises(ValueError, match="found 0 source and 4 target items"):
        mmd_loss(torch.ones(0, 2), torch.ones(4, 2))
    with pytest.raises(ValueError, match="bandwidths must be positive"):
        mmd_loss(torch.ones(3, 2), torch.ones(4, 2), bandwidths=[1.0, 0.0])
