"""Deep CORAL against numpy's covariances."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nlptransfer.adaptation.deep_coral import coral_loss


def draw(number: int, seed: int, dim: int = 3) -> torch.Tensor:
    return torch.randn(number, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("dim", [1, 3, 6])
def test_it_is_the_squared_distance_of_numpys_covariances_over_4_d_squared(dim: int) -> None:
    source, target = draw(5, 0, dim), draw(9, 1, dim) * 2
    difference = np.atleast_2d(np.cov(source.numpy().T)) - np.atleast_2d(np.cov(target.numpy().T))
    expected = np.linalg.norm(difference, "fro") ** 2 / (4 * dim**2)
    assert float(coral_loss(source, target)) == pytest.approx(expected, rel=1e-10)


def test_it_is_zero_for_identical_samples_and_for_a_shift_of_the_mean_and_symmetric() -> None:
    source, target = draw(5, 0), draw(9, 1)
    assert float(coral_loss(source, source.flip(0))) == pytest.approx(0, abs=1e-20)
    assert float(coral_loss(source, source + 7)) == pytest.approx(0, abs=1e-20)
    assert float(coral_loss(source, target)) == pytest.approx(float(coral_loss(target, source)))
    assert float(coral_loss(source, target)) > 0


def test_its_gradient_is_right() -> None:
    assert torch.autograd.gradcheck(coral_loss, (draw(4, 0).requires_grad_(), draw(6, 1).requires_grad_()))


def test_a_single_item_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="the target sample has 1"):
        coral_loss(draw(4, 0), draw(1, 1))
