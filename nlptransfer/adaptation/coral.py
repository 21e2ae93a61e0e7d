"""CORAL: give the source features the covariance of the target features."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from scipy import sparse
from sklearn.base import BaseEstimator

from nlptransfer.adaptation.feature_arrays import FeatureArray, check_domain, check_features
from nlptransfer.errors import InputError

MAX_EXACT_SIZE = 6_000
"""The largest of min(rows, columns) for which the principal components are computed exactly (a minute or two, 1 GB)."""


class CORAL(BaseEstimator):
    r"""Whiten the source features, then colour them with the covariance of the target features.

    .. math::
        C_S = \mathrm{cov}(D_S) + \lambda I \qquad C_T = \mathrm{cov}(D_T) + \lambda I \qquad
        D_S^* = D_S \, C_S^{-1/2} C_T^{1/2}

    The target features stay as they are, so a classifier fitted on the mapped source rows is used on target rows
    without any map. Covariances are divided by n - 1. As in the paper's Algorithm 1 nothing is centred besides:
    features with a mean keep it, mapped like the rest.

    The covariances are kept as :math:`\lambda I + V \mathrm{diag}(s) V^\top`, with at most min(n - 1, D) principal
    components, so that no D x D matrix is made where there are fewer rows than columns. That is exact. Sparse features
    are not made dense to fit; the mapped source rows are dense, (N, D), because the map is.

    Args:
        regularization: lambda, 1 in the paper; positive. Large values leave the source as it is.
        rank: keep only so many principal components of each domain, taking the remaining variance for zero; None for
            all of them, which is possible up to min(rows, columns) = `MAX_EXACT_SIZE`. With all, a domain of 2,000 rows
            takes seconds, whatever D, and one of 4,000 half a minute; with rank 500 about half of that.

    Attributes:
        source_components_, target_components_: (D, r), V.
        source_variances_, target_variances_: (r,), s.

    Raises:
        InputError: a domain with fewer than 2 rows; too many rows and columns for the exact map; a regularization or a
            rank that is not positive.

    Reference:
        Sun, Feng and Saenko 2016, Algorithm 1, https://arxiv.org/abs/1511.05547.

    Compare with:
        `SubspaceAlignment`, which keeps few directions; Deep CORAL, where the covariances are a network's loss.

    Example:
        >>> coral = CORAL().fit(source_features, target_features=target_features)
        >>> classifier.fit(coral.transform(source_features, domain="source"), source_labels)
        >>> classifier.predict(target_features)
    """

    def __init__(self, *, regularization: float = 1.0, rank: int | None = None) -> None:
        self.regularization = regularization
        self.rank = rank

    def fit(
        self,
        features: FeatureArray,
        labels: np.ndarray | None = None,
        *,
        target_features: FeatureArray,
        target_labels: np.ndarray | None = None,
    ) -> CORAL:
        """Estimate both covariances.

        Args:
            features: (N, D) source rows, dense or sparse.
            labels: not used.
            target_features: (M, D) unlabelled target rows, dense or sparse.
            target_labels: not used.
        """
        if not self.regularization > 0:
            raise InputError(
                "CORAL's regularization must be positive",
                expected="a number above 0, such as the paper's 1",
                found=str(self.regularization),
            )
        if self.rank is not None and self.rank < 1:
            raise InputError("CORAL's rank must be at least 1", found=str(self.rank), remedy="Give none for all.")
        source = check_features(features, "source features")
        target = check_features(target_features, "target features", num_columns=source.shape[1])
        self.source_components_, self.source_variances_ = _principal_components(source, self.rank, "source")
        self.target_components_, self.target_variances_ = _principal_components(target, self.rank, "target")
        self.n_features_in_ = source.shape[1]
        return self

    def transform(self, features: FeatureArray, *, domain: str = "target") -> FeatureArray:
        """Map source rows; target rows come back as they are.

        Args:
            features: (N, D), dense or sparse.
            domain: "source" or "target".

        Returns:
            (N, D): dense for the source; for the target the array that was given, not a copy.
        """
        check_domain(domain)
        rows = check_features(features, f"{domain} features", num_columns=self.n_features_in_)
        if domain == "target":
            return rows
        whitened = _times_power(rows, self.source_components_, self.source_variances_, self.regularization, -0.5)
        return _times_power(whitened, self.target_components_, self.target_variances_, self.regularization, 0.5)


def _times_power(
    rows: FeatureArray, components: np.ndarray, variances: np.ndarray, ridge: float, exponent: float
) -> np.ndarray:
    """Rows times (ridge I + V diag(variances) V^T)^exponent, dense."""
    # On the components the eigenvalue is ridge + variance, on everything orthogonal to them it is the ridge alone.
    beyond_ridge = (variances + ridge) ** exponent - ridge**exponent
    result = ((rows @ components) * beyond_ridge.astype(components.dtype)) @ components.T
    result += _dense(rows * rows.dtype.type(ridge**exponent))
    return result


def _principal_components(rows: FeatureArray, rank: int | None, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors (D, r) in the rows' type and eigenvalues (r,) of the covariance, without those that are zero."""
    num_rows, num_columns = rows.shape
    if num_rows < 2:
        raise InputError(f"one {name} row has no covariance", expected="at least 2 documents", found="1")
    if min(num_rows, num_columns) > MAX_EXACT_SIZE:
        if rank is not None and rank < min(num_rows, num_columns):
            return _lanczos_components(rows, rank)
        raise InputError(
            f"the {name} features are too large for the exact CORAL",
            expected=f"at most {MAX_EXACT_SIZE:,} rows or at most {MAX_EXACT_SIZE:,} columns",
            found=f"{num_rows:,} rows and {num_columns:,} columns",
            remedy="Give a rank, such as 500, or a smaller vocabulary.",
        )
    exact = rows.astype(np.float64, copy=False)
    mean = np.asarray(exact.mean(axis=0)).ravel()
    by_columns = num_columns <= num_rows
    if by_columns:
        products = _dense(exact.T @ exact)
        before_centring = np.trace(products)
        products -= num_rows * np.outer(mean, mean)
    else:
        # The eigenvalues of X X^T are those of X^T X; its eigenvectors times X^T are the longer ones.
        products = _dense(exact @ exact.T)
        before_centring = np.trace(products)
        with_mean = _dense(exact @ mean)
        products += mean @ mean - with_mean[:, None] - with_mean[None, :]
    size = len(products)
    if rank is None or rank >= size:
        variances, vectors = np.linalg.eigh(products)
    else:
        variances, vectors = scipy.linalg.eigh(products, subset_by_index=[size - rank, size - 1])
    kept = variances > before_centring * np.finfo(np.float64).eps * max(
        num_rows, num_columns
    )  # the others are rounding
    variances, vectors = variances[kept], vectors[:, kept].astype(rows.dtype)
    if not by_columns:
        # The mean needs no subtracting here: these vectors are orthogonal to the vector of ones.
        vectors = rows.T @ vectors
        vectors /= np.sqrt(variances).astype(rows.dtype)
    return vectors, variances / (num_rows - 1)


def _lanczos_components(rows: FeatureArray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The `rank` largest principal components, by Lanczos iterations on the centred rows, which are not made.

    For sizes where the matrix of products does not fit; where it does, to decompose it is faster.
    """
    from scipy.sparse.linalg import LinearOperator, svds

    exact = rows.astype(np.float64, copy=False)
    mean = np.asarray(exact.mean(axis=0)).ravel()
    centred = LinearOperator(
        exact.shape,
        matvec=lambda vector: exact @ vector.ravel() - mean @ vector.ravel(),
        rmatvec=lambda vector: exact.T @ vector.ravel() - mean * vector.sum(),
        dtype=np.float64,
    )
    # The start is taken from the data, how far each row (or column) is from the mean, so that the result depends on no
    # random number; the ramp is for rows that are all equally far, in which the iteration could be caught.
    squares = exact.multiply(exact) if sparse.issparse(exact) else exact * exact
    if exact.shape[0] <= exact.shape[1]:
        start = np.asarray(squares.sum(axis=1)).ravel() - 2 * (exact @ mean) + mean @ mean
    else:
        start = np.asarray(squares.sum(axis=0)).ravel() - exact.shape[0] * mean**2
    start *= np.linspace(1, 2, len(start))
    _, singular_values, vectors = svds(centred, k=rank, v0=start, tol=1e-6, return_singular_vectors="vh")
    kept = singular_values > 0
    return vectors[kept].T.astype(rows.dtype), singular_values[kept] ** 2 / (rows.shape[0] - 1)


def _dense(array: FeatureArray) -> np.ndarray:
    return array.toarray() if sparse.issparse(array) else np.asarray(array)
