"""Deep CORAL: the distance between the covariances of two domains' features, as a loss."""

from __future__ import annotations

import torch


def coral_loss(source_features: torch.Tensor, target_features: torch.Tensor) -> torch.Tensor:
    r"""Squared Frobenius distance of the two covariances.

    .. math:: L = \frac{1}{4 d^2} \lVert C_S - C_T \rVert_F^2

    It sees neither means nor higher moments. The division by :math:`d^2` makes it small: weights of 1 to 1,000 are
    usual, while those of the other losses are about 1.

    Args:
        source_features: (N, d), N at least 2.
        target_features: (M, d), M at least 2.

    Returns:
        A scalar.

    Raises:
        ValueError: a sample has fewer than two items, and so no covariance.

    Reference:
        Sun & Saenko 2016, equations 1-3, https://arxiv.org/abs/1607.01719.

    Compare with:
        `CORAL` in coral.py, which transforms fixed feature arrays once, before any training; `mmd_loss`, which sees
        means as well.

    Example:
        >>> step = make_domain_step(coral_loss, adaptation_weight=100.0)
    """
    for name, features in (("source", source_features), ("target", target_features)):
        if len(features) < 2:
            raise ValueError(f"a covariance needs at least two items; the {name} sample has {len(features)}")
    difference = _covariance(source_features) - _covariance(target_features)  # (d, d)
    return difference.square().sum() / (4.0 * source_features.shape[1] ** 2)


def _covariance(features: torch.Tensor) -> torch.Tensor:
    centred = features - features.mean(dim=0)
    return centred.T @ centred / (len(features) - 1)
