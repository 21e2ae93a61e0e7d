"""Where one learning curve overtakes another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise


def crossing_points(curve: Mapping[int, float], other: Mapping[int, float]) -> list[float]:
    r"""The numbers of labels at which `curve` comes to lie above `other`, having lain below it or on it.

    Between two numbers n and m that were run, both curves are taken to be straight over the logarithm of the number.
    With d the difference curve - other, a crossing lies at

    .. math:: \exp\Big(\log n + \frac{-d_n}{d_m - d_n} (\log m - \log n)\Big), \qquad d_n \le 0 < d_m

    Args:
        curve: score by number of labels.
        other: likewise; only numbers that both have count.

    Returns:
        The crossings in order, as many as there are.

    Example:
        >>> crossing_points({100: 0.7, 1000: 0.9}, {100: 0.8, 1000: 0.8})
        [316.22776601683796]
    """
    numbers = sorted(set(curve) & set(other))
    found = []
    for low, high in pairwise(numbers):
        before, after = curve[low] - other[low], curve[high] - other[high]
        if before <= 0 < after:
            share = -before / (after - before)
            found.append(math.exp(math.log(low) + share * (math.log(high) - math.log(low))))
    return found
