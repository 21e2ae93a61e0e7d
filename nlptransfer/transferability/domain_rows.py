"""The rows of two domains that a measure looks at: checked, and drawn at random where there are many."""

from __future__ import annotations

from typing import Any

import numpy as np

from nlptransfer.errors import InputError


def draw_rows(
    source_features: Any, target_features: Any, *, max_rows: int, seed: int, same_number: bool = False
) -> tuple[Any, Any]:
    """At most `max_rows` rows of each domain, in random order and none twice.

    Which rows are drawn depends on the numbers of rows and the seed alone: two representations of the same documents
    are drawn alike.

    Args:
        source_features: (N, D) array or sparse matrix.
        target_features: (M, D) array or sparse matrix.
        max_rows: how many rows of each domain to take at most.
        seed: of the drawing.
        same_number: take equally many of both, as many as the smaller domain has.

    Returns:
        The rows of the source and of the target, copies of the kind that came in; sparse ones as CSR.

    Raises:
        InputError: a domain has no rows.
        ValueError: the two have different numbers of features.

    Example:
        >>> source, target = draw_rows(np.ones((5, 2)), np.ones((3, 2)), max_rows=4, seed=0, same_number=True)
        >>> source.shape, target.shape
        ((3, 2), (3, 2))
    """
    check_domains(source_features, target_features)
    rng = np.random.default_rng(seed)
    numbers = [min(features.shape[0], max_rows) for features in (source_features, target_features)]
    if same_number:
        numbers = [min(numbers)] * 2
    drawn = []
    for features, number in zip((source_features, target_features), numbers, strict=True):
        rows = rng.permutation(features.shape[0])[:number]
        drawn.append(as_rows(features)[rows])
    return drawn[0], drawn[1]


def as_rows(features: Any) -> Any:
    """The features as they are where they are dense, else as a CSR matrix, whose rows can be taken."""
    from scipy import sparse

    return sparse.csr_matrix(features) if sparse.issparse(features) else np.asarray(features)


def check_domains(source_features: Any, target_features: Any) -> None:
    """Make sure that two domains can be held against each other.

    Raises:
        InputError: a domain has no rows.
        ValueError: the two have different numbers of features.
    """
    if source_features.shape[1] != target_features.shape[1]:
        raise ValueError(
            f"source and target have {source_features.shape[1]} and {target_features.shape[1]} features; give both "
            "the same"
        )
    for domain, features in (("source", source_features), ("target", target_features)):
        if features.shape[0] == 0:
            raise InputError(
                f"the {domain} has no documents",
                expected="at least one",
                found="none",
                remedy="Check what was loaded for this domain.",
            )
