"""Label shift: how often each class occurs in the target, from predictions alone, and a classifier that uses it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import StratifiedKFold

from nlptransfer.adaptation.feature_arrays import FeatureArray, check_features
from nlptransfer.errors import InputError

_LARGEST_CONDITION = 100.0  # for two classes: right in 50.5 % of either


def estimate_label_shift(
    source_labels: ArrayLike, source_predictions: ArrayLike, target_predictions: ArrayLike, num_labels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""How much more often each class occurs in the target than in the source (black box shift estimation, BBSE).

    .. math::
        \hat{w} = \hat{C}^{-1} \hat{\mu}, \quad
        \hat{C}_{ij} = \frac{1}{N} \sum_n 1[f(x_n) = i, y_n = j], \quad
        \hat{\mu}_i = \frac{1}{M} \sum_m 1[f(x'_m) = i], \quad
        \hat{q}_j = \hat{w}_j \hat{p}_j

    with :math:`\hat{p}_j` the share of class j among the source labels. It holds where the texts of a class are
    alike in both domains and only the classes' shares differ. Between domains of other *texts* it takes the errors
    that these cause for a shift of the shares; so it describes, and is wrong to an unknown degree.

    Ours: shares below 0, which sampling error can give, become 0, and all are scaled to sum to 1, so that the mean of
    w over the source rows is 1 (the paper keeps w as it comes out).

    Args:
        source_labels: (N,) ids 0..num_labels - 1.
        source_predictions: (N,) predicted ids, by a classifier that has not seen these rows.
        target_predictions: (M,) predicted ids, by the same classifier.
        num_labels: C.

    Returns:
        Weights w (C,) and target shares q (C,), which sum to 1.

    Raises:
        InputError: a domain is empty; a class has no source row; or the confusion matrix with columns scaled to sum to
            1 has a condition number above 100, so that the classifier tells some classes hardly apart and an error
            of the predicted shares would be multiplied by as much.
        ValueError: labels and predictions differ in number, or an id is out of range.

    Reference:
        Lipton, Wang and Smola (2018), Detecting and Correcting for Label Shift with Black Box Predictors, ICML,
        https://arxiv.org/abs/1802.03916.

    Compare with:
        `DensityRatioWeighting`, when the texts differ and the classes' shares do not.

    Example:
        >>> weights, shares = estimate_label_shift([0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 0], 2)
        >>> weights, shares
        (array([0.5, 1.5]), array([0.25, 0.75]))
    """
    labels, predictions, target = (
        _checked_ids(ids, num_labels) for ids in (source_labels, source_predictions, target_predictions)
    )
    if len(labels) != len(predictions):
        raise ValueError(f"there are {len(labels)} source labels and {len(predictions)} predictions for them")
    if not len(labels) or not len(target):
        raise InputError(
            "label shift can't be estimated without predictions",
            expected="documents in both domains",
            found=f"{len(labels)} in the source, {len(target)} in the target",
        )
    confusion = np.zeros((num_labels, num_labels))
    np.add.at(confusion, (predictions, labels), 1 / len(labels))
    source_shares = confusion.sum(axis=0)
    if not source_shares.all():
        raise InputError(
            "a class has no labelled source document",
            expected=f"documents of all {num_labels} classes",
            found=f"none of class {int(source_shares.argmin())}",
            remedy="Leave the class out, or add documents of it.",
        )
    predicted_shares = np.bincount(target, minlength=num_labels) / len(target)
    # Columns scaled to sum to 1 make the condition a matter of the classifier: a rare class alone would look singular.
    within_class = confusion / source_shares
    condition = float(np.linalg.cond(within_class))
    if condition > _LARGEST_CONDITION:
        raise InputError(
            "the classifier confuses classes too much to estimate their shares in the target from its predictions",
            expected=f"a confusion matrix with a condition number up to {_LARGEST_CONDITION:g}",
            found="a singular one" if condition > 1e12 else f"{condition:.0f}",
            remedy="Use a better classifier or more labelled source documents, or leave the shares as they are.",
        )
    shares = np.clip(np.linalg.solve(within_class, predicted_shares), 0, None)
    shares /= shares.sum()
    return shares / source_shares, shares


class LabelShiftCorrection(ClassifierMixin, BaseEstimator):
    """A classifier that is trained anew with the classes weighted by their estimated shares in the target.

    The confusion matrix comes from cross-validation on the source, the predicted shares from the same fold
    classifiers on the target (their mean), so that both are of the same classifiers. Then the estimator is trained on
    all source rows, each with the weight w of its class. Weights and their conditions: `estimate_label_shift`.

    Args:
        estimator: a scikit-learn classifier whose `fit` takes `sample_weight`; cloned.
        folds: of the cross-validation.
        seed: of the division into folds.

    Attributes:
        classes_: (C,) the label ids.
        class_weights_: (C,) w, with mean 1 over the source rows.
        target_priors_: (C,) estimated shares of the classes in the target.
        estimator_: the classifier trained at the end.

    Reference:
        Lipton, Wang and Smola (2018), https://arxiv.org/abs/1802.03916.

    Compare with:
        `resample_indices` with these shares, for estimators and networks that take no weights.

    Example:
        >>> corrected = LabelShiftCorrection(LogisticRegression()).fit(source, labels, target_features=target)
        >>> corrected.predict(target)
    """

    def __init__(self, estimator: Any, *, folds: int = 5, seed: int = 0) -> None:
        self.estimator = estimator
        self.folds = folds
        self.seed = seed

    def fit(self, features: FeatureArray, labels: ArrayLike, *, target_features: FeatureArray) -> LabelShiftCorrection:
        """Estimate the shift, then train.

        Args:
            features: (N, D) source rows, dense or sparse.
            labels: (N,) their label ids.
            target_features: (M, D) target rows, without labels.

        Returns:
            The classifier itself.

        Raises:
            InputError: a class has fewer rows than there are folds, or the shift can't be estimated.
            ValueError: features and labels differ in number.
        """
        source = check_features(features, "source features")
        target = check_features(target_features, "target features", num_columns=source.shape[1])
        labels = np.asarray(labels)
        if len(labels) != source.shape[0]:
            raise ValueError(f"there are {source.shape[0]} source rows and {len(labels)} labels")
        self.classes_, ids = np.unique(labels, return_inverse=True)
        rarest = int(np.bincount(ids).min())
        if rarest < self.folds:
            raise InputError(
                "a class has too few source documents for cross-validation",
                expected=f"at least {self.folds}, one for every fold",
                found=str(rarest),
                remedy="Use fewer folds, or leave the class out.",
            )
        predictions = np.empty(len(ids), dtype=np.int64)
        target_predictions = []
        splits = StratifiedKFold(self.folds, shuffle=True, random_state=self.seed)
        for seen, unseen in splits.split(np.zeros(len(ids)), ids):
            fold = clone(self.estimator).fit(source[seen], ids[seen])
            predictions[unseen] = fold.predict(source[unseen])
            target_predictions.append(fold.predict(target))
        self.class_weights_, self.target_priors_ = estimate_label_shift(
            ids, predictions, np.concatenate(target_predictions), len(self.classes_)
        )
        self.estimator_ = clone(self.estimator).fit(source, labels, sample_weight=self.class_weights_[ids])
        return self

    def predict(self, features: FeatureArray) -> NDArray[Any]:
        """The label ids (rows,) of rows (rows, D)."""
        return self.estimator_.predict(features)

    def predict_proba(self, features: FeatureArray) -> NDArray[np.float64]:
        """The probabilities (rows, C) of rows (rows, D), in the order of `classes_`."""
        return self.estimator_.predict_proba(features)

    @property
    def coef_(self) -> NDArray[np.float64]:
        """The coefficients of a linear estimator, as it has them."""
        return self.estimator_.coef_

    @property
    def intercept_(self) -> NDArray[np.float64]:
        """The intercepts of a linear estimator, as it has them."""
        return self.estimator_.intercept_


def _checked_ids(ids: ArrayLike, num_labels: int) -> NDArray[np.int64]:
    ids = np.asarray(ids, dtype=np.int64)
    if ids.ndim != 1 or (len(ids) and (ids.min() < 0 or ids.max() >= num_labels)):
        raise ValueError(f"label ids must be one list of numbers from 0 to {num_labels - 1}")
    return ids
