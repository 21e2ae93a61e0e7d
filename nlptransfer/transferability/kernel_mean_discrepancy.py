"""Maximum mean discrepancy (MMD) between two samples, as a measure on arrays."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from nlptransfer.errors import InputError
from nlptransfer.transferability.domain_rows import draw_rows

_BLOCK = 512
_BANDWIDTH_ROWS = 500


def kernel_mean_discrepancy(
    source_features: Any,
    target_features: Any,
    *,
    seed: int,
    kernel: Literal["gaussian", "linear"] = "gaussian",
    bandwidth: float | None = None,
    unbiased: bool = True,
    max_rows: int = 2_000,
) -> float:
    r"""Squared maximum mean discrepancy: how far apart two samples' means lie in the space of a kernel.

    .. math:: \mathrm{MMD}^2_b = \frac{1}{N^2}\sum_{i,j} k(x_i, x_j) + \frac{1}{M^2}\sum_{i,j} k(y_i, y_j)
              - \frac{2}{NM}\sum_{i,j} k(x_i, y_j)

    The unbiased estimate leaves out :math:`i = j` in the first two sums and divides them by :math:`N(N-1)` and
    :math:`M(M-1)`. The Gaussian kernel is :math:`k(x, y) = \exp(-\|x - y\|^2 / (2\sigma^2))`, the linear one
    :math:`x \cdot y`: then the biased estimate is the squared distance of the means.

    Memory holds one block of 512 rows of kernel values; sparse input stays sparse.

    Args:
        source_features: (N, D) array or sparse matrix.
        target_features: (M, D) likewise.
        seed: of the drawing where a domain has more than `max_rows` rows, and of the rows that the median is taken on.
        kernel: `gaussian`, which sees any difference of distributions, or `linear`, which sees that of means only.
        bandwidth: sigma, in units of the features. None: the median distance between two rows of the pooled samples
            (of up to 500 rows of each domain), 1 where that is 0.
        unbiased: which estimate. The unbiased one is 0 on average for two samples of one distribution, and so at
            times below 0; the biased one never is.
        max_rows: how many rows of each domain to use at most.

    Returns:
        The square, not its root. With the Gaussian kernel between 0 and 2 (biased); with the linear one in squared
        units of the features.

    Raises:
        InputError: a domain has no rows, or only one where the estimate is the unbiased one.
        ValueError: the two have different numbers of features, or the bandwidth is not above 0.

    Reference: Gretton, Borgwardt, Rasch, Schoelkopf, Smola 2012, "A kernel two-sample test", equations 3 and 5 and
    (for the median) section 8, https://jmlr.org/papers/v13/gretton12a.html.

    Compare with: `proxy_a_distance`, which learns where the domains differ; the MMD loss of `adaptation`, which is
    made of tensors and minimised.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> round(kernel_mean_discrepancy(rng.normal(size=(90, 1)), rng.normal(2, 1, size=(70, 1)), seed=0), 1)
        0.6
    """
    if bandwidth is not None and bandwidth <= 0:
        raise ValueError(f"the bandwidth must be above 0, got {bandwidth}")
    source, target = draw_rows(source_features, target_features, max_rows=max_rows, seed=seed)
    if unbiased and min(source.shape[0], target.shape[0]) < 2:
        raise InputError(
            "a domain has too few documents for the unbiased mean discrepancy",
            expected="at least 2 in each",
            found=f"{source.shape[0]} in the source, {target.shape[0]} in the target",
        )
    if kernel == "gaussian" and bandwidth is None:
        bandwidth = _median_distance(source[:_BANDWIDTH_ROWS], target[:_BANDWIDTH_ROWS])
    within = [_mean_kernel(rows, rows, bandwidth, kernel, skip_self=unbiased) for rows in (source, target)]
    between = _mean_kernel(source, target, bandwidth, kernel, skip_self=False)
    result = within[0] + within[1] - 2 * between
    # Rounding may take the biased estimate, a squared length, a hair below 0.
    return result if unbiased else max(0.0, result)


def _mean_kernel(left: Any, right: Any, bandwidth: float | None, kernel: str, *, skip_self: bool) -> float:
    """The mean of k over all pairs of rows, or over all but those of a row with itself."""
    total = 0.0
    for start in range(0, left.shape[0], _BLOCK):
        block = left[start : start + _BLOCK]
        if kernel == "linear":
            values = _products(block, right)
        else:
            assert bandwidth is not None
            values = np.exp(-_squared_distances(block, right) / (2 * bandwidth**2))
        if skip_self:
            rows = np.arange(block.shape[0])
            values[rows, start + rows] = 0.0
        total += float(values.sum())
    pairs = left.shape[0] * (right.shape[0] - 1 if skip_self else right.shape[0])
    return total / pairs


def _median_distance(source: Any, target: Any) -> float:
    """The median distance of two rows of both samples together; 1 where that is 0."""
    between = _squared_distances(source, target).ravel()
    within = [
        _squared_distances(rows, rows)[np.triu_indices(rows.shape[0], 1)] for rows in (source, target)
    ]  # each pair once
    median = float(np.median(np.sqrt(np.concatenate([between, *within]))))
    return median if median > 0 else 1.0


def _squared_distances(left: Any, right: Any) -> np.ndarray:
    """(rows of left, rows of right)."""
    squares = [np.asarray(_squares(rows).sum(axis=1)).ravel() for rows in (left, right)]
    distances = squares[0][:, None] + squares[1][None, :] - 2 * _products(left, right)
    return np.maximum(distances, 0.0)


def _squares(rows: Any) -> Any:
    rows = rows.astype(np.float64)
    return rows.multiply(rows) if hasattr(rows, "multiply") else rows * rows


def _products(left: Any, right: Any) -> np.ndarray:
    """Dot products in double precision: (rows of left, rows of right), dense."""
    product = left.astype(np.float64) @ right.astype(np.float64).T
    return product.toarray() if hasattr(product, "toarray") else product
