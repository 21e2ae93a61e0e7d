"""Gradient reversal against its formula."""

from __future__ import annotations

import torch

from nlptransfer.models.gradient_reversal import reverse_gradient


def test_reversal_is_the_identity_forwards() -> None:
    features = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(reverse_gradient(features), features)


def test_reversing_once_turns_the_gradient_round_and_twice_turns_it_back() -> None:
    plain = torch.tensor([1.0, -2.0, 0.5])
    for times, factor in ((1, -0.3), (2, 0.09)):
        features = torch.zeros(3, requires_grad=True)
        reversed_features = features
        for _ in range(times):
            reversed_features = reverse_gradient(reversed_features, 0.3)
        (reversed_features * plain).sum().backward()
        assert features.grad is not None
        torch.testing.assert_close(features.grad, factor * plain)
