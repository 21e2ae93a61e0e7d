"""A layer that is the identity forwards and turns the gradient around backwards, for adversarial training."""

from __future__ import annotations

from typing import Any

import torch


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, features: torch.Tensor, strength: float) -> torch.Tensor:
        context.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return -context.strength * gradients[0], None


def reverse_gradient(features: torch.Tensor, strength: float = 1.0) -> torch.Tensor:
    r"""The identity, whose gradient is turned around.

    .. math:: R(x) = x, \qquad \frac{dR}{dx} = -\lambda I

    Args:
        features: of any shape.
        strength: :math:`\lambda`.

    Returns:
        `features`, as a new tensor.

    Reference:
        Ganin et al. 2016, section 4.2, https://jmlr.org/papers/v17/15-239.html.
    """
    reversed_features: torch.Tensor = _Reversal.apply(features, strength)
    return reversed_features
