"""Inverse document frequency, counted over both domains."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator

from nlptransfer.adaptation.feature_arrays import FeatureArray, check_domain, check_features


def document_frequencies(rows: Any) -> np.ndarray:
    """(D,) in how many of the rows (N, D), dense or sparse, each feature is not 0."""
    return np.asarray((rows != 0).sum(axis=0)).ravel()


def inverse_document_frequencies(counts: np.ndarray, num_rows: int, *, smooth: bool = True) -> np.ndarray:
    """(D,) the weights of features that so many of the rows have; see `IDFWeighting` for the formula."""
    ratio = (1 + num_rows) / (1 + counts) if smooth else num_rows / np.maximum(counts, 1)
    return np.asarray(np.log(ratio) + 1)


class IDFWeighting(BaseEstimator):
    r"""Multiply each feature by its inverse document frequency among source and unlabelled target rows.

    .. math::
        \mathrm{idf}_d = \log \frac{1 + n}{1 + \mathrm{df}_d} + 1 \quad (\text{smooth}) \qquad
        \mathrm{idf}_d = \log \frac{n}{\max(\mathrm{df}_d, 1)} + 1

    with n = N + M rows, of which df have the feature. A word that only one domain uses gets the weight that it has in
    both together. Rescaling each row to length 1 is no linear map, and belongs to the feature extraction; instead all
    weights are divided by one number, so that the mean length of source and target rows stays what it was. A
    classifier's regularization then means the same with and without the weights.

    Sparse features stay sparse.

    Args:
        smooth: count one more document, which has every feature.

    Attributes:
        idf_: (D,).
        scale_: what they are multiplied by.

    Reference:
        Sparck Jones 1972, https://doi.org/10.1108/eb026526; with the constants of scikit-learn's TfidfTransformer.

    Compare with:
        a tf-idf vectorizer fitted on the source alone, for which words of the target are rarer than they are.

    Example:
        >>> idf = IDFWeighting().fit(np.eye(2), target_features=np.eye(2))
        >>> idf.transform(np.ones((1, 2)))
        array([[1., 1.]])
    """

    def __init__(self, *, smooth: bool = True) -> None:
        self.smooth = smooth

    def fit(
        self,
        features: FeatureArray,
        labels: np.ndarray | None = None,
        *,
        target_features: FeatureArray,
        target_labels: np.ndarray | None = None,
    ) -> IDFWeighting:
        """Count the documents that have each feature.

        Args:
            features: (N, D) source rows, dense or sparse.
            labels: not used.
            target_features: (M, D) unlabelled target rows, dense or sparse.
            target_labels: not used.
        """
        source = check_features(features, "source features")
        target = check_features(target_features, "target features", num_columns=source.shape[1])
        num_rows = source.shape[0] + target.shape[0]
        counts = document_frequencies(source) + document_frequencies(target)
        self.idf_ = inverse_document_frequencies(counts, num_rows, smooth=self.smooth)
        self.n_features_in_ = source.shape[1]
        before = _row_lengths(source, None).sum() + _row_lengths(target, None).sum()
        after = _row_lengths(source, self.idf_).sum() + _row_lengths(target, self.idf_).sum()
        self.scale_ = float(before / after) if after else 1.0
        return self

    def transform(self, features: FeatureArray, *, domain: str = "target") -> FeatureArray:
        """Weigh the features, which is done alike in both domains.

        Args:
            features: (N, D), dense or sparse.
            domain: "source" or "target".

        Returns:
            (N, D), sparse if `features` are.
        """
        check_domain(domain)
        rows = check_features(features, f"{domain} features", num_columns=self.n_features_in_)
        weights = (self.scale_ * self.idf_).astype(rows.dtype)
        return (rows @ sparse.diags(weights)).tocsr() if sparse.issparse(rows) else rows * weights


def _row_lengths(rows: FeatureArray, weights: np.ndarray | None) -> np.ndarray:
    """The L2 norms (N,) of rows whose columns are weighted."""
    squares = rows.multiply(rows) if sparse.issparse(rows) else rows * rows
    factors = np.ones(rows.shape[1]) if weights is None else weights**2
    return np.sqrt(np.asarray(squares @ factors).ravel())
