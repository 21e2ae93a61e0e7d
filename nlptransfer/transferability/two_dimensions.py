"""Two domains in one plane, to be looked at."""

from __future__ import annotations

from typing import Any

import numpy as np

from nlptransfer.errors import InputError
from nlptransfer.transferability.domain_rows import draw_rows


def project_two_dimensions(
    source_features: Any, target_features: Any, *, seed: int, max_rows: int = 1_000
) -> tuple[np.ndarray, np.ndarray]:
    r"""The first two principal components of both domains together.

    .. math:: z = (x - \mu)\, [v_1\ v_2]

    with :math:`\mu` the mean and :math:`v_1, v_2` the two directions of the largest variance of the rows drawn, source
    and target pooled. One plane for both, so that distances between the domains are seen.

    For a picture before and one after a method, call it on the two representations of the same documents with the
    same seed: the same documents are drawn. The planes themselves are not the same, nor are their units.

    Args:
        source_features: (N, D) array or sparse matrix; sparse input stays sparse.
        target_features: (M, D) likewise.
        seed: of the drawing where a domain has more than `max_rows` rows.
        max_rows: how many rows of each domain to show at most.

    Returns:
        (min(N, max_rows), 2) and (min(M, max_rows), 2) float64 arrays, rows in random order. Where the rows vary in
        one direction only, or in none, the remaining coordinates are 0.

    Raises:
        InputError: a domain has no rows, or a value is not finite.
        ValueError: the two have different numbers of features.

    Reference: Pearson 1901; any textbook on principal components.

    Compare with: `proxy_a_distance`: domains that overlap in this plane may still be told apart in another one.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> before = project_two_dimensions(rng.normal(size=(90, 5)), rng.normal(9, 1, size=(70, 5)), seed=0)
        >>> before[0].shape, before[1].shape
        ((90, 2), (70, 2))
    """
    from scipy import sparse
    from sklearn.decomposition import PCA

    source, target = draw_rows(source_features, target_features, max_rows=max_rows, seed=seed)
    is_sparse = sparse.issparse(source)
    pooled: Any = (sparse.vstack if is_sparse else np.vstack)([source, target]).astype(np.float64)
    if not np.isfinite(pooled.data if is_sparse else pooled).all():
        raise InputError("a feature is not a finite number", remedy="Check the representation for inf and nan.")
    plane = np.zeros((pooled.shape[0], 2))
    if _varies(pooled):
        smaller = min(pooled.shape)
        # The iterative solver takes sparse rows, and fewer components than rows and columns.
        if smaller > 2:
            plane = PCA(2, svd_solver="arpack", random_state=seed).fit_transform(pooled)
        else:
            few = PCA().fit_transform(pooled.toarray() if is_sparse else pooled)[:, :2]
            plane[:, : few.shape[1]] = few
    return plane[: source.shape[0]], plane[source.shape[0] :]


def _varies(features: Any) -> bool:
    """Whether any two rows differ."""
    columns = features.max(axis=0) - features.min(axis=0)
    return bool(np.any(columns.toarray() if hasattr(columns, "toarray") else columns))
