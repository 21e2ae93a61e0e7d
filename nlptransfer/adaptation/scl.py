"""Structural correspondence learning: which words stand for which, told by the words that both domains share."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from scipy import sparse
from sklearn.base import BaseEstimator

from nlptransfer.adaptation.feature_arrays import FeatureArray, check_domain, check_features, stack_rows
from nlptransfer.adaptation.pivots import select_pivots
from nlptransfer.errors import InputError

MAX_SIZE = 20_000
"""The largest of min(rows, columns): the predictors solve one dense system of that size (1.6 GB)."""


class StructuralCorrespondenceLearning(BaseEstimator):
    r"""Append dimensions in which words of both domains meet that predict the same pivots.

    For each pivot l, a feature that is common in both domains, a linear predictor of its occurrence p_l is learnt from
    the other features of the unlabelled rows of both domains. The main directions of the predictors' weights are the
    new features:

    .. math::
        \hat w_l = \arg\min_w \sum_j L(w \cdot x_j, p_l(x_j)) + \lambda \|w\|^2 \qquad
        W = [\hat w_1 | \ldots | \hat w_m]_+ = U D V^\top \qquad \theta = U_{1:h}^\top \qquad
        x \mapsto [x, \; \alpha \, \sigma^{-1} (\theta x - \mu)]

    Negative weights are set to zero before the singular value decomposition. The new features are centred and scaled
    to variance 1 over the unlabelled rows of both domains, and alpha is such that over those rows the mean L2 norm of
    the new part is `scale` times that of x.

    Where the paper minimizes modified Huber loss by stochastic gradient descent, one predictor after another, here L is
    the squared error, with an intercept: all predictors then share one matrix, and a thousand of them are one Cholesky
    factorization, of the smaller of rows and columns. It has no random order either. What follows uses the weights'
    main directions only.

    Sparse features stay sparse; the new columns are full, and stored in the same CSR array.

    Args:
        num_pivots: m, at most; chosen by mutual information with the source's labels.
        num_dimensions: h; fewer where the predictors span fewer. 0 leaves the features as they are.
        pivot_regularization: lambda, as a multiple of the rows' mean squared distance to the mean row.
        min_documents: how many rows of each domain must have a feature for it to be a pivot.
        scale: mean norm of the new part over the mean norm of x. 0 gives columns of zeros.

    Attributes:
        pivots_: column indices of the pivots, best first.
        theta_: (h, D), with zeros at the pivots.

    Raises:
        InputError: no feature can be a pivot; a setting is out of range; more than `MAX_SIZE` rows and columns.

    Reference:
        Blitzer, McDonald and Pereira 2006, section 3 and figure 2, https://aclanthology.org/W06-1615; pivots by mutual
        information: Blitzer, Dredze and Pereira 2007, section 4, https://aclanthology.org/P07-1056.

    Compare with:
        auxiliary tasks on pivots (Yu and Jiang 2016), the same idea for networks; `CORAL`, without pivots.

    Example:
        >>> scl = StructuralCorrespondenceLearning(num_pivots=500)
        >>> scl.fit(source_features, source_labels, target_features=target_features)
        >>> classifier.fit(scl.transform(source_features, domain="source"), source_labels)
    """

    def __init__(
        self,
        *,
        num_pivots: int = 500,
        num_dimensions: int = 50,
        pivot_regularization: float = 10.0,
        min_documents: int = 10,
        scale: float = 1.0,
    ) -> None:
        self.num_pivots = num_pivots
        self.num_dimensions = num_dimensions
        self.pivot_regularization = pivot_regularization
        self.min_documents = min_documents
        self.scale = scale

    def fit(
        self,
        features: FeatureArray,
        labels: np.ndarray | None = None,
        *,
        target_features: FeatureArray,
        target_labels: np.ndarray | None = None,
        source_unlabelled: FeatureArray | None = None,
    ) -> StructuralCorrespondenceLearning:
        """Choose the pivots, learn their predictors and decompose the weights.

        Args:
            features: (N, D) source rows, dense or sparse.
            labels: (N,) their class ids, by which pivots are chosen.
            target_features: (M, D) unlabelled target rows.
            target_labels: not used.
            source_unlabelled: further source rows, (K, D), for the predictors.
        """
        if self.num_dimensions < 0 or self.scale < 0 or not self.pivot_regularization > 0:
            raise InputError(
                "a setting of SCL is out of range",
                expected="num_dimensions and scale 0 or more, pivot_regularization above 0",
                found=f"{self.num_dimensions}, {self.scale} and {self.pivot_regularization}",
            )
        if labels is None:
            raise ValueError("the pivots are chosen by the source's labels: give labels")
        source = check_features(features, "source features")
        width = source.shape[1]
        target = check_features(target_features, "target features", num_columns=width)
        self.n_features_in_ = width
        self.pivots_ = select_pivots(
            source, labels, target, num_pivots=self.num_pivots, min_documents=self.min_documents
        )
        self.theta_ = np.zeros((0, width), source.dtype)
        self._weights, self._offset = self.theta_.T, np.zeros(0, source.dtype)
        if not self.num_dimensions:
            return self

        blocks = [source, target]
        if source_unlabelled is not None:
            blocks.append(check_features(source_unlabelled, "unlabelled source features", num_columns=width))
        rows = stack_rows(*blocks)
        weights = _predictor_weights(rows, self.pivots_, self.pivot_regularization)  # (D, m)
        np.maximum(weights, 0, out=weights)
        self.theta_ = _left_singular_vectors(weights, self.num_dimensions).T.astype(source.dtype)

        projected = rows @ self.theta_.T  # (rows, h)
        mean, deviation = projected.mean(axis=0), projected.std(axis=0)
        deviation[deviation == 0] = 1
        new_norm = np.linalg.norm((projected - mean) / deviation, axis=1).mean()
        factor = self.scale * _row_norms(rows).mean() / new_norm if new_norm else 0.0
        self._weights = (self.theta_.T * (factor / deviation)).astype(source.dtype)  # (D, h)
        self._offset = (-factor * mean / deviation).astype(source.dtype)
        return self

    def transform(self, features: FeatureArray, *, domain: str = "target") -> FeatureArray:
        """Append the new dimensions, which are the same for both domains.

        Args:
            features: (N, D), dense or sparse.
            domain: "source" or "target".

        Returns:
            (N, D + h), sparse if `features` are.
        """
        check_domain(domain)
        rows = check_features(features, f"{domain} features", num_columns=self.n_features_in_)
        new = rows @ self._weights + self._offset
        if sparse.issparse(rows):
            return sparse.hstack([rows, sparse.csr_matrix(new)], format="csr", dtype=rows.dtype)
        return np.concatenate([rows, new.astype(rows.dtype, copy=False)], axis=1)


def _predictor_weights(rows: FeatureArray, pivots: np.ndarray, regularization: float) -> np.ndarray:
    """Ridge regression of each pivot's occurrence on the other features: (D, m), with zeros in the pivots' rows."""
    occurs = rows[:, pivots]
    occurs = (occurs.toarray() if sparse.issparse(occurs) else occurs) != 0
    wanted = occurs.astype(rows.dtype)
    wanted -= wanted.mean(axis=0)  # (rows, m)

    is_pivot = np.zeros(rows.shape[1], bool)
    is_pivot[pivots] = True
    if sparse.issparse(rows):
        others = (rows @ sparse.diags((~is_pivot).astype(rows.dtype))).tocsr()
        others.eliminate_zeros()
    else:
        others = np.where(is_pivot, 0, rows)
    num_rows, num_columns = others.shape
    if min(num_rows, num_columns) > MAX_SIZE:
        raise InputError(
            "there are too many rows and columns for SCL",
            expected=f"at most {MAX_SIZE:,} rows of both domains together, or at most {MAX_SIZE:,} columns",
            found=f"{num_rows:,} rows and {num_columns:,} columns",
            remedy="Give fewer unlabelled rows, or a smaller vocabulary.",
        )
    mean = np.asarray(others.mean(axis=0)).ravel().astype(rows.dtype)
    # With an intercept, which is not penalized, both sides are centred; (X^T X + r)^-1 X^T = X^T (X X^T + r)^-1.
    by_columns = num_columns <= num_rows
    if by_columns:
        products = _gram(others.T)
        products -= np.outer(mean, mean * num_rows)
    else:
        products = _gram(others)
        with_mean = others @ mean
        products -= with_mean[:, None]
        products -= with_mean[None, :] - mean @ mean
    variance = np.trace(products) / num_rows
    products[np.diag_indices_from(products)] += max(regularization * variance, np.finfo(rows.dtype).tiny)
    factor = scipy.linalg.cho_factor(products, overwrite_a=True, check_finite=False)
    if by_columns:
        weights = scipy.linalg.cho_solve(factor, others.T @ wanted, check_finite=False)
        weights[is_pivot] = 0
        return weights
    return others.T @ scipy.linalg.cho_solve(factor, wanted, check_finite=False)


def _gram(rows: FeatureArray) -> np.ndarray:
    """Rows times their transpose, dense."""
    if not sparse.issparse(rows):
        return rows @ rows.T
    rows = rows.tocsr()
    products = np.empty((rows.shape[0],) * 2, rows.dtype)
    for start in range(0, rows.shape[0], 1000):  # in parts, since the sparse product takes more room than the dense
        products[start : start + 1000] = (rows[start : start + 1000] @ rows.T).toarray()
    return products


def _left_singular_vectors(matrix: np.ndarray, count: int) -> np.ndarray:
    """The first left singular vectors, (rows, at most count), each with its largest entry positive."""
    # Squared through the few columns: that loses digits only in directions that matter least.
    squares, right = np.linalg.eigh((matrix.T @ matrix).astype(np.float64))
    order = np.argsort(squares)[::-1][:count]
    order = order[squares[order] > squares[-1] * 1e-6]
    vectors = matrix @ (right[:, order] / np.sqrt(squares[order])).astype(matrix.dtype)
    largest = np.abs(vectors).argmax(axis=0)
    return vectors * np.sign(vectors[largest, np.arange(len(order))])


def _row_norms(rows: FeatureArray) -> np.ndarray:
    squares = rows.multiply(rows) if sparse.issparse(rows) else rows * rows
    return np.sqrt(np.asarray(squares.sum(axis=1)).ravel())
