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
