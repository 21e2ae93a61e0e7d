"""Learning rates over a run: progress in 0..1 to a factor in 0..1."""

from __future__ import annotations

import math


def constant(progress: float) -> float:
    """1 throughout."""
    return 1.0


def linear(progress: float, *, warmup: float = 0.0) -> float:
    r"""Up to 1 in a straight line over the share `warmup` of the run, then down to 0.

    .. math:: f(p) = p / w \text{ for } p < w, \qquad (1 - p) / (1 - w) \text{ after}

    Args:
        progress: p, the share of the run that is done, 0 to 1.
        warmup: w, 0 to 1, exclusive.

    Returns:
        The factor on the learning rate.
    """
    return progress / warmup if progress < warmup else (1.0 - progress) / (1.0 - warmup)


def cosine(progress: float, *, warmup: float = 0.0) -> float:
    r"""Up to 1 in a straight line over the share `warmup` of the run, then down to 0 along half a cosine.

    .. math:: f(p) = p / w \text{ for } p < w, \qquad (1 + \cos(\pi (p - w) / (1 - w))) / 2 \text{ after}

    Args:
        progress: p, the share of the run that is done, 0 to 1.
        warmup: w, 0 to 1, exclusive.

    Returns:
        The factor on the learning rate.

    Reference:
        Loshchilov & Hutter 2017, equation 5, https://arxiv.org/abs/1608.03983.
    """
    if progress < warmup:
        return progress / warmup
    return (1.0 + math.cos(math.pi * (progress - warmup) / (1.0 - warmup))) / 2.0


def slanted_triangular(progress: float, *, cut: float = 0.1, ratio: float = 32.0) -> float:
    r"""Steeply up to 1 over the share `cut` of the run, then slowly down, never below 1 / `ratio`.

    .. math:: f(p) = \frac{1 + q (r - 1)}{r}, \qquad q = p / c \text{ for } p < c, \quad
        1 - \frac{p - c}{c (1 / c - 1)} \text{ after}

    Args:
        progress: p, the share of the run that is done, 0 to 1.
        cut: c, above 0 and below 1.
        ratio: r, how much smaller than the highest rate the lowest is.

    Returns:
        The factor on the learning rate, 1 / r to 1.

    Reference:
        Howard & Ruder 2018, equation 3, https://aclanthology.org/P18-1031.
    """
    share = progress / cut if progress < cut else 1.0 - (progress - cut) / (cut * (1.0 / cut - 1.0))
    return (1.0 + share * (ratio - 1.0)) / ratio
