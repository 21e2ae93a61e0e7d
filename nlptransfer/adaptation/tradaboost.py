"""TrAdaBoost: boosting that forgets the source rows which contradict a few labelled target rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from nlptransfer.adaptation.feature_arrays import FeatureArray, check_features, stack_rows
from nlptransfer.errors import InputError

_SMALLEST_ERROR = 0.001
_LARGEST_ERROR = 0.499


class TrAdaBoost(ClassifierMixin, BaseEstimator):
    r"""Boosting for two classes with many source labels and a few target labels.

    In round t of N a classifier h_t is trained on all n source and m target rows with the weights w; with
    :math:`e_i = |h_t(x_i) - c(x_i)|`, 1 for an error and 0 otherwise,

    .. math::
        \epsilon_t = \frac{\sum_{i \in T} w_i e_i}{\sum_{i \in T} w_i}, \quad
        \beta_t = \frac{\epsilon_t}{1 - \epsilon_t}, \quad
        \beta = \frac{1}{1 + \sqrt{2 \ln n / N}}

    over target rows T. Then :math:`w_i \leftarrow w_i \beta^{e_i}` for source rows (those in error count less) and
    :math:`w_i \leftarrow w_i \beta_t^{-e_i}` for target rows (those in error count more). The second half of the rounds
    votes, :math:`t = \lceil N/2 \rceil .. N`, each with :math:`\log(1 / \beta_t)`; at least half of all votes make
    the answer the second class.

    The paper asks for :math:`\epsilon_t < 1/2` and does not say what to do about 0. Ours: the error is kept within
    0.001 and 0.499. A round that does no better than chance on the target then hardly votes, and one without an
    error, as is usual with fewer target rows than columns, has a vote of 6.9 rather than an infinite one.

    It can forget some of the source, not most of it: where the first classifiers do no better than chance on the
    target, hardly any weight moves, and training on the target rows alone is the better choice. On thousands of word
    columns, where any classifier soon learns its target rows by heart, it often does worse than one classifier trained
    on all rows: compare with that.

    The weights are given to the estimator with mean 1 (the paper: sum 1; the distribution is the same), so that its
    regularization means what it means without weights.

    `predict_proba` gives the share of the votes. That is no average of probabilities: a round that is unsure of a row
    votes as firmly as one that is sure, so with k voting rounds there are few different values, 0 and 1 among them.
    Don't read it as a confidence, and don't average the rounds' coefficients into one linear model: its answers would
    be others.

    Args:
        estimator: a scikit-learn classifier whose `fit` takes `sample_weight`; cloned for each round.
        num_rounds: N.

    Attributes:
        classes_: (2,) the label ids, in ascending order.
        estimators_: of the rounds that vote.
        votes_: (K,) log(1 / beta_t) of these.
        errors_: (N,) weighted error on the labelled target rows in each round, as measured.
        source_weights_, target_weights_: (n,) and (m,) after the last round, with mean 1 over both together.

    Reference:
        Dai, Yang, Xue and Yu (2007), Boosting for Transfer Learning, ICML, algorithm 1.

    Compare with:
        `EasyAdapt`, also for a few target labels, in a single training; `DensityRatioWeighting`, which needs none.

    Example:
        >>> boosting = TrAdaBoost(LogisticRegression(), num_rounds=10)
        >>> boosting.fit(source, labels, labelled_target_features=few, labelled_target_labels=few_labels)
        >>> boosting.predict(target)
    """

    def __init__(self, estimator: Any, *, num_rounds: int = 10) -> None:
        self.estimator = estimator
        self.num_rounds = num_rounds

    def fit(
        self,
        features: FeatureArray,
        labels: ArrayLike,
        *,
        labelled_target_features: FeatureArray,
        labelled_target_labels: ArrayLike,
    ) -> TrAdaBoost:
        """Train all rounds.

        Args:
            features: (n, D) source rows, dense or sparse.
            labels: (n,) their label ids.
            labelled_target_features: (m, D) the labelled target rows.
            labelled_target_labels: (m,) their label ids.

        Returns:
            The classifier itself.

        Raises:
            InputError: a domain is empty, all rows have one class, or the domains have different numbers of columns.
            ValueError: there are more than two classes, or a domain's rows and labels differ in number.
        """
        if self.num_rounds < 1:
            raise ValueError(f"num_rounds must be at least 1, got {self.num_rounds}")
        source = check_features(features, "source features")
        target = check_features(labelled_target_features, "labelled target features", num_columns=source.shape[1])
        num_source = source.shape[0]
        all_labels = np.concatenate([np.asarray(labels), np.asarray(labelled_target_labels)])
        if len(np.asarray(labels)) != num_source or len(all_labels) != num_source + target.shape[0]:
            raise ValueError("features and labels differ in number, in the source or in the target")
        self.classes_ = np.unique(all_labels)
        if len(self.classes_) > 2:
            raise ValueError(f"TrAdaBoost is for two classes, there are {len(self.classes_)}: {self.classes_.tolist()}")
        if len(self.classes_) < 2:
            raise InputError(
                "all rows have the same class",
                expected="two classes",
                found=f"only {self.classes_[0]}",
                remedy="Check the label column.",
            )
        rows = stack_rows(source, target)
        source_factor = 1 / (1 + math.sqrt(2 * math.log(num_source) / self.num_rounds))  # beta
        weights = np.ones(len(all_labels))
        errors, rounds = [], []
        for _ in range(self.num_rounds):
            weights = weights / weights.mean()
            estimator = clone(self.estimator).fit(rows, all_labels, sample_weight=weights)
            wrong = estimator.predict(rows) != all_labels
            errors.append(float(np.average(wrong[num_source:], weights=weights[num_source:])))
            error = min(max(errors[-1], _SMALLEST_ERROR), _LARGEST_ERROR)
            target_factor = error / (1 - error)  # beta_t
            weights[:num_source] *= np.where(wrong[:num_source], source_factor, 1.0)
            weights[num_source:] *= np.where(wrong[num_source:], 1 / target_factor, 1.0)
            rounds.append((estimator, math.log(1 / target_factor)))
        weights = weights / weights.mean()
        voting = rounds[math.ceil(self.num_rounds / 2) - 1 :]  # rounds are counted from 1 in the paper
        self.estimators_ = [estimator for estimator, _ in voting]
        self.votes_ = np.array([vote for _, vote in voting])
        self.errors_ = np.array(errors)
        self.source_weights_, self.target_weights_ = weights[:num_source], weights[num_source:]
        return self

    def predict(self, features: FeatureArray) -> NDArray[Any]:
        """The class with the larger share of the votes for each row; the second class where they are equal.

        Args:
            features: (rows, D) dense or sparse.

        Returns:
            (rows,) label ids.
        """
        return self.classes_[(self.predict_proba(features)[:, 1] >= 0.5).astype(int)]

    def predict_proba(self, features: FeatureArray) -> NDArray[np.float64]:
        """The share of the votes that each class has.

        Args:
            features: (rows, D) dense or sparse.

        Returns:
            (rows, 2) in the order of `classes_`.
        """
        for_second = np.array([estimator.predict(features) == self.classes_[1] for estimator in self.estimators_])
        share = self.votes_ @ for_second / self.votes_.sum()
        return np.stack([1 - share, share], axis=1)

    def members(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """What has to be kept to vote again, for linear estimators: no pickle is needed.

        Round k says the second class where `coefficients[k] @ x + intercepts[k] > 0`; the answer is the second class
        where the votes of these rounds are at least half of all.

        Returns:
            Coefficients (K, D), intercepts (K,) and votes (K,) of the rounds that vote.

        Raises:
            ValueError: the estimator is not linear.
        """
        if not all(hasattr(estimator, "coef_") for estimator in self.estimators_):
            raise ValueError(f"{type(self.estimator).__name__} is not linear: it has no coef_")
        coefficients = np.concatenate([estimator.coef_ for estimator in self.estimators_])
        intercepts = np.concatenate([np.ravel(estimator.intercept_) for estimator in self.estimators_])
        return coefficients, intercepts, self.votes_
