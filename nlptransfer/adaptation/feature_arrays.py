"""Dense and sparse feature arrays, checked once at a method's door."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from scipy import sparse

from nlptransfer.errors import InputError

FeatureArray: TypeAlias = Any
"""(N, D) numbers: a numpy array, or a sparse matrix or array of scipy."""


def check_features(features: FeatureArray, name: str, *, num_columns: int | None = None) -> FeatureArray:
    """The features as CSR or as a dense array, of floating-point numbers; the caller's own array where it is that.

    Args:
        features: (N, D), dense or sparse, N at least 1.
        name: what they are, for the message, such as "source features".
        num_columns: D, where it is known.

    Returns:
        (N, D): CSR for sparse input, otherwise a numpy array; float64 stays, all else is float32.

    Raises:
        InputError: not two-dimensional, no rows, another number of columns, or a number that is not finite.
    """
    checked = features.tocsr() if sparse.issparse(features) else np.asarray(features)
    if checked.dtype not in (np.float32, np.float64):
        checked = checked.astype(np.float32)
    if checked.ndim != 2:
        raise InputError(
            f"the {name} are no table",
            expected="two dimensions, a row for each document",
            found=f"shape {checked.shape}",
        )
    if not checked.shape[0]:
        raise InputError(f"the {name} have no rows", expected="at least one document", found="none")
    if num_columns is not None and checked.shape[1] != num_columns:
        raise InputError(
            f"the {name} have another width",
            expected=f"{num_columns} columns",
            found=str(checked.shape[1]),
            remedy="Extract the features of both domains with the same vocabulary.",
        )
    if not np.isfinite(checked.data if sparse.issparse(checked) else checked).all():
        raise InputError(
            f"the {name} hold NaN or infinity",
            expected="finite numbers",
            remedy="Look for empty documents that were divided by their length.",
        )
    return checked


def check_domain(domain: str) -> None:
    """Refuse a domain that is neither "source" nor "target" (ValueError)."""
    if domain not in ("source", "target"):
        raise ValueError(f"domain is 'source' or 'target', not {domain!r}")


def stack_rows(*blocks: FeatureArray) -> FeatureArray:
    """The blocks' rows below one another: CSR if any block is sparse, else dense."""
    if any(sparse.issparse(block) for block in blocks):
        return sparse.vstack([sparse.csr_matrix(block) for block in blocks], format="csr")
    return np.concatenate(blocks)


def stack_domains(
    source: FeatureArray, target: FeatureArray | None, source_unlabelled: FeatureArray | None
) -> FeatureArray:
    """All rows that a representation is learnt from, checked, below one another in this order.

    Args:
        source: (N, D), dense or sparse.
        target: (M, D); None for a control that sees none.
        source_unlabelled: (K, D) further source rows, or None.

    Returns:
        (N + M + K, D): CSR if any part is sparse, else dense.

    Raises:
        InputError: see `check_features`; or no row has any feature.
    """
    parts = [check_features(source, "source features")]
    others = {"target features": target, "unlabelled source features": source_unlabelled}
    width = parts[0].shape[1]
    parts += [check_features(rows, name, num_columns=width) for name, rows in others.items() if rows is not None]
    stacked = stack_rows(*parts)
    if not (stacked.count_nonzero() if sparse.issparse(stacked) else stacked.any()):
        raise InputError("the rows hold no feature at all", remedy="Look for empty documents.")
    return stacked
