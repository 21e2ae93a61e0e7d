"""The overlap of two sets of features, by loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nlptransfer.multitask.orthogonality import orthogonality_loss


def test_it_is_the_squared_norm_of_the_mean_products() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(size=(5, 3)), random.normal(size=(5, 2))
    expected = 0.0
    for a in range(3):
        for b in range(2):
            expected += (sum(first[row, a] * second[row, b] for row in range(5)) / 5) ** 2
    found = orthogonality_loss(torch.tensor(first), torch.tensor(second))
    assert found.item() == pytest.approx(expected)
    twice = orthogonality_loss(torch.tensor(first).repeat(2, 1), torch.tensor(second).repeat(2, 1))
    assert twice.item() == pytest.approx(expected), "it does not hang on the batch's size"


def test_features_that_never_go_together_do_not_overlap() -> None:
    first = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    second = torch.tensor([[3.0], [-3.0], [3.0], [-3.0]])
    assert orthogonality_loss(first, second).item() == 0.0
    assert orthogonality_loss(first, first).item() == 1.0
    assert orthogonality_loss(first[:0], second[:0]).item() == 0.0
