"""Proxy A-distance: how well a linear classifier tells two domains apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nlptransfer.errors import InputError
from nlptransfer.transferability.domain_rows import draw_rows

COSTS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Values of C to try, for features of total variance 1."""


def proxy_a_distance(
    source_features: Any,
    target_features: Any,
    *,
    seed: int,
    costs: Sequence[float] = COSTS,
    max_rows: int = 2_000,
) -> float:
    r"""Proxy A-distance between two samples, 0 where they can't be told apart and 2 where they always can.

    .. math:: \hat d_A = 2\,(1 - 2\epsilon)

    where :math:`\epsilon` is the error with which a linear support vector machine, trained on one half of the rows,
    tells source from target on the other half: the lowest over several values of C, as in Ganin et al.

    A small distance in a representation does not promise a small loss of accuracy, nor a larger one a larger loss:
    features of mSDA are *easier* to tell apart by domain than words are (Glorot et al. 2011, Chen et al. 2012), and
    transfer better. Use it to describe a pair of domains, not to choose a method.

    Ours: equally many rows are drawn of each domain, since with unequal domains even a constant answer would have a
    small error, and at most `max_rows`, since the distance grows with the number of rows to learn from and can be
    compared only at like numbers. Features are divided by the root of their total variance, so that C means the same
    in every representation. A distance below 0, which chance can give, is returned as 0.

    Args:
        source_features: (N, D) array or sparse matrix; sparse input stays sparse.
        target_features: (M, D) likewise.
        seed: of the drawing and of the halves.
        costs: the values of C to try.
        max_rows: how many rows of each domain to use at most.

    Returns:
        A number in 0..2. The lowest error is taken on the half that it is measured on, so that two samples of one
        distribution score a little above 0 rather than at it.

    Raises:
        InputError: a domain has fewer than 2 rows.
        ValueError: the two have different numbers of features.

    Reference: Ben-David, Blitzer, Crammer, Pereira 2007, "Analysis of representations for domain adaptation",
    section 5; Ganin et al. 2016, "Domain-adversarial training of neural networks", section 5.1.5,
    https://jmlr.org/papers/v17/15-239.html.

    Compare with: `kernel_mean_discrepancy`, which trains nothing.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> proxy_a_distance(rng.normal(size=(90, 5)), rng.normal(9, 1, size=(70, 5)), seed=0)
        2.0
    """
    from scipy import sparse
    from sklearn.svm import LinearSVC

    source, target = draw_rows(source_features, target_features, max_rows=max_rows, seed=seed, same_number=True)
    number = source.shape[0]
    if number < 2:
        raise InputError(
            "a domain has too few documents for the proxy A-distance",
            expected="at least 2 in each, one to learn from and one to test on",
            found=f"{source_features.shape[0]} in the source, {target_features.shape[0]} in the target",
        )
    stack = sparse.vstack if sparse.issparse(source) else np.vstack
    # Rows come in random order, so that the first and second half of each domain are random halves.
    half = number // 2
    train = stack([source[:half], target[:half]])
    test = stack([source[half:], target[half:]])
    scale = _root_of_total_variance(train)
    train, test = train / scale, test / scale
    train_domains, test_domains = np.repeat([0, 1], half), np.repeat([0, 1], number - half)
    errors = []
    for cost in costs:
        # The primal problem has no randomness of its own.
        classifier = LinearSVC(C=cost, dual=False).fit(train, train_domains)
        errors.append(float(np.mean(classifier.predict(test) != test_domains)))
    return max(0.0, 2 * (1 - 2 * min(errors)))


def _root_of_total_variance(features: Any) -> float:
    """sqrt(E||x - E x||^2), without subtracting the mean from a sparse matrix; 1 where nothing varies."""
    squares = features.multiply(features) if hasattr(features, "multiply") else np.square(features, dtype=np.float64)
    variance = squares.sum(dtype=np.float64) / features.shape[0]
    variance -= np.square(np.asarray(features.mean(axis=0, dtype=np.float64))).sum()
    return float(np.sqrt(variance)) if variance > 0 else 1.0
