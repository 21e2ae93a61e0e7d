"""EasyAdapt: one copy of the features for both domains and one for each of them."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator

from nlptransfer.adaptation.feature_arrays import FeatureArray, check_domain, check_features, stack_rows
from nlptransfer.errors import InputError


class EasyAdapt(BaseEstimator):
    r"""Three copies of each feature: general, source only, target only.

    .. math::
        \Phi^s(x) = \langle x, x, 0 \rangle \qquad \Phi^t(x) = \langle x, 0, x \rangle

    A linear classifier fitted on the mapped source rows together with a few labelled target rows learns weights
    :math:`\langle w, w_s, w_t \rangle`; on target rows it uses :math:`w + w_t`. What both domains agree about goes into
    :math:`w`, which is the cheapest under an L2 penalty. Without labelled target rows :math:`w_t` stays zero: use
    `EasyAdaptPlusPlus` or another method.

    Sparse features stay sparse.

    Reference:
        Daume III 2007, section 3.1, https://aclanthology.org/P07-1033.

    Compare with:
        `EasyAdaptPlusPlus`, which uses unlabelled target rows too.

    Example:
        >>> adapt = EasyAdapt().fit(source_features, target_features=target_features)
        >>> rows = [adapt.transform(source_features, domain="source"), adapt.transform(labelled_target_features)]
        >>> classifier.fit(vstack(rows), [*source_labels, *labelled_target_labels])
    """

    def fit(
        self,
        features: FeatureArray,
        labels: np.ndarray | None = None,
        *,
        target_features: FeatureArray,
        target_labels: np.ndarray | None = None,
    ) -> EasyAdapt:
        """Note the number of features; there is nothing else to learn.

        Args:
            features: (N, D) source rows, dense or sparse.
            labels: not used.
            target_features: (M, D) target rows, dense or sparse.
            target_labels: not used.
        """
        source = check_features(features, "source features")
        check_features(target_features, "target features", num_columns=source.shape[1])
        self.n_features_in_ = source.shape[1]
        return self

    def transform(self, features: FeatureArray, *, domain: str = "target") -> FeatureArray:
        """Lay the copies side by side.

        Args:
            features: (N, D), dense or sparse.
            domain: "source" or "target".

        Returns:
            (N, 3 D), sparse if `features` are.
        """
        check_domain(domain)
        rows = check_features(features, f"{domain} features", num_columns=self.n_features_in_)
        return _side_by_side(rows, (1, 1, 0) if domain == "source" else (1, 0, 1))


class EasyAdaptPlusPlus(EasyAdapt):
    r"""EasyAdapt (EA) with unlabelled target rows, on which source and target predictor are to agree: EA++.

    .. math::
        \Phi^u(x) = \langle 0, x, -x \rangle

    On such a row a linear classifier gives :math:`(w_s - w_t) \cdot x`, the difference between its source and its
    target predictor. The row is given to the classifier once with every class as its label; of all scores, equal ones
    are then the cheapest, so that the difference is drawn to zero. In the paper there are two classes and a hinge
    loss; with C classes and log loss the same holds.

    The classifier's intercept is shared by both domains and is no part of the difference. Where classes are unbalanced
    fit it without intercept and append a column of ones to the features: the agreement rows would draw an intercept
    to zero. Sparse features stay sparse.

    Args:
        unlabelled_weight: sample weight of each unlabelled row for each of its labels; the labelled rows have 1.
            At 0 the classifier is that of `EasyAdapt`; large ones force both predictors into one.

    Raises:
        InputError: the weight is negative.

    Reference:
        Daume III, Kumar and Saha 2010, section 3, https://aclanthology.org/W10-2608.

    Compare with:
        `EasyAdapt`, for labelled rows only, which is better where what differs between the domains is also what varies
        most in the target.

    Example:
        >>> adapt = EasyAdaptPlusPlus(unlabelled_weight=0.01).fit(source_features, target_features=target_features)
        >>> rows, labels, weights = adapt.training_rows(source_features, source_labels, target_features=target_features)
        >>> LogisticRegression().fit(rows, labels, sample_weight=weights).predict(adapt.transform(target_features))
    """

    def __init__(self, *, unlabelled_weight: float = 0.01) -> None:
        self.unlabelled_weight = unlabelled_weight

    def unlabelled_rows(self, target_features: FeatureArray) -> FeatureArray:
        """The agreement rows.

        Args:
            target_features: (M, D) unlabelled target rows, dense or sparse.

        Returns:
            (M, 3 D), sparse if `target_features` are; each is to be fitted once with every class.
        """
        rows = check_features(target_features, "target features", num_columns=self.n_features_in_)
        return _side_by_side(rows, (0, 1, -1))

    def training_rows(
        self,
        features: FeatureArray,
        labels: np.ndarray,
        *,
        target_features: FeatureArray,
        labelled_target_features: FeatureArray | None = None,
        labelled_target_labels: np.ndarray | None = None,
    ) -> tuple[FeatureArray, np.ndarray, np.ndarray]:
        """All that a linear classifier is fitted on.

        Args:
            features: (N, D) source rows.
            labels: (N,) class ids of the source rows.
            target_features: (M, D) unlabelled target rows.
            labelled_target_features: (L, D) labelled target rows, if there are any.
            labelled_target_labels: (L,) their class ids.

        Returns:
            Rows (N + L + M C, 3 D), labels (N + L + M C,) and sample weights (N + L + M C,), where C is the number of
            classes among the labels.
        """
        if self.unlabelled_weight < 0:
            raise InputError(
                "the weight of the unlabelled rows is negative",
                expected="0 or more",
                found=str(self.unlabelled_weight),
            )
        if (labelled_target_features is None) != (labelled_target_labels is None):
            raise ValueError("labelled target features and their labels come together")
        blocks = [self.transform(features, domain="source")]
        known = np.asarray(labels)
        if labelled_target_features is not None:
            blocks.append(self.transform(labelled_target_features, domain="target"))
            known = np.concatenate([known, np.asarray(labelled_target_labels)])
        agreement = self.unlabelled_rows(target_features)
        classes = np.unique(known)
        blocks += [agreement] * len(classes)
        assumed = np.repeat(classes, agreement.shape[0])
        weights = np.concatenate([np.ones(len(known)), np.full(len(assumed), float(self.unlabelled_weight))])
        return stack_rows(*blocks), np.concatenate([known, assumed]), weights


def _side_by_side(rows: FeatureArray, factors: tuple[int, int, int]) -> FeatureArray:
    """Three copies of the rows, each times its factor."""
    if not sparse.issparse(rows):
        return np.concatenate([rows * rows.dtype.type(factor) for factor in factors], axis=1)
    nothing = sparse.csr_matrix(rows.shape, dtype=rows.dtype)
    return sparse.hstack([rows * rows.dtype.type(factor) if factor else nothing for factor in factors], format="csr")
