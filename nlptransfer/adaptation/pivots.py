"""Pivots: the features that mean the same in both domains."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import sparse

from nlptransfer.adaptation.feature_arrays import FeatureArray, check_features
from nlptransfer.errors import InputError


def select_pivots(
    source_features: FeatureArray,
    labels: np.ndarray | None,
    target_features: FeatureArray,
    *,
    num_pivots: int,
    min_documents: int,
    by: Literal["mutual_information", "frequency"] = "mutual_information",
) -> np.ndarray:
    r"""Choose features that are common in both domains and, by mutual information, tell the source's labels.

    .. math::
        I(F; Y) = \sum_{f \in \{0, 1\}} \sum_{y} p(f, y) \log \frac{p(f, y)}{p(f) \, p(y)}

    where f is whether the feature is non-zero in a document, and p counts the labelled source documents. By frequency,
    the rank is the number of documents in that domain where the feature is rarer.

    Args:
        source_features: (N, D) source rows, dense or sparse, which stay sparse.
        labels: (N,) class ids of the source rows; not used by frequency, and may be None then.
        target_features: (M, D) unlabelled target rows.
        num_pivots: how many; fewer come back where fewer features are common.
        min_documents: how many documents of each domain must have the feature.
        by: "mutual_information" (SCL-MI of 2007) or "frequency" (SCL of 2006).

    Returns:
        Column indices, best first; of equal features the one further to the left.

    Raises:
        InputError: no feature is common enough in both domains.

    Reference:
        Blitzer, Dredze and Pereira 2007, section 4.1, https://aclanthology.org/P07-1056; by frequency: Blitzer,
        McDonald and Pereira 2006, section 3.1, https://aclanthology.org/W06-1615.

    Example:
        >>> select_pivots(np.eye(2), [0, 1], np.eye(2), num_pivots=1, min_documents=1)
        array([0])
    """
    if num_pivots < 1:
        raise InputError("the number of pivots must be at least 1", found=str(num_pivots))
    source = check_features(source_features, "source features")
    target = check_features(target_features, "target features", num_columns=source.shape[1])
    in_source, in_target = _document_counts(source), _document_counts(target)
    fewer = np.minimum(in_source, in_target)
    candidates = np.flatnonzero(fewer >= max(min_documents, 1))
    if not len(candidates):
        raise InputError(
            "no feature can be a pivot",
            expected=f"features in at least {min_documents} documents of each domain",
            found=f"the most common one is in {fewer.max(initial=0)}",
            remedy="Lower min_documents, or give more documents.",
        )
    if by == "frequency":
        scores = fewer[candidates].astype(np.float64)
    elif by == "mutual_information":
        if labels is None:
            raise ValueError("mutual information needs the source's labels")
        scores = _mutual_information(source, np.asarray(labels), in_source)[candidates]
    else:
        raise ValueError(f"pivots are chosen by 'mutual_information' or 'frequency', not {by!r}")
    # Rounded, so that features with the same counts keep their order whatever the order of summing.
    order = np.argsort(-scores.round(12), kind="stable")
    return candidates[order[:num_pivots]]


def _mutual_information(features: FeatureArray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """I(F; Y) of each column, (D,), in nats."""
    if len(labels) != features.shape[0]:
        raise ValueError(f"{features.shape[0]} source rows, but {len(labels)} labels")
    num_documents = len(labels)
    information = np.zeros(features.shape[1])
    for label in np.unique(labels):
        of_class = labels == label
        size = of_class.sum()
        with_feature = _document_counts(features[of_class])
        for joint, feature in ((with_feature, counts), (size - with_feature, num_documents - counts)):
            some = joint > 0  # 0 log 0 = 0
            ratio = joint[some] * num_documents / (feature[some] * float(size))
            information[some] += joint[some] / num_documents * np.log(ratio)
    return information


def _document_counts(features: FeatureArray) -> np.ndarray:
    """In how many rows each column is not zero, (D,)."""
    if not sparse.issparse(features):
        return np.count_nonzero(features, axis=0)
    return np.bincount(features.indices[features.data != 0], minlength=features.shape[1])
