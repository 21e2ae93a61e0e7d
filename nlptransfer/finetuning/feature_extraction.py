"""Classifiers over frozen features: a linear one or trees, fitted in seconds and ready to be saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from scipy import sparse
from scipy.special import softmax

from nlptransfer.embeddings.extractors import Extractor
from nlptransfer.errors import InputError
from nlptransfer.models.linear import LinearTextClassifier
from nlptransfer.models.tree_ensemble import TreeEnsemble, TreeTextClassifier

Kind = Literal["logistic_regression", "random_forest", "gradient_boosting"]

REGULARIZATIONS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
"""C of logistic regression on standardised features, from the simplest model on; cross-validation chooses."""
_FOLDS = 5
_FEW = 0.01
_MOST_ROWS = 5_000
_LEAST_DEVIATION = 1e-4  # of the median feature's


@dataclass(frozen=True)
class FeatureClassifier:
    """What `fit_feature_classifier` learned: a linear classifier or trees, on the features as they come.

    Attributes:
        model: coefficients (C, D) and intercepts (C,), with which p(x) = softmax(W x + b); or trees.
        regularization: C of logistic regression, given or chosen; None for trees.
    """

    model: tuple[np.ndarray, np.ndarray] | TreeEnsemble
    regularization: float | None

    def predict_proba(self, features: np.ndarray | sparse.csr_matrix) -> np.ndarray:
        """How probable each label is, (N, C), for features (N, D)."""
        if isinstance(self.model, TreeEnsemble):
            return self.model.predict_proba(features)
        coefficients, intercepts = self.model
        return np.asarray(softmax(features @ coefficients.T + intercepts, axis=1))

    def predict(self, features: np.ndarray | sparse.csr_matrix) -> np.ndarray:
        """The most probable class id of each row, (N,)."""
        return self.predict_proba(features).argmax(axis=1)

    def text_classifier(self, extractor: Extractor, labels: Sequence[str]) -> LinearTextClassifier | TreeTextClassifier:
        """The classifier with what makes its features: it reads texts, and can be saved.

        Args:
            extractor: made the features.
            labels: the C label names, in the order of their ids.
        """
        if isinstance(self.model, TreeEnsemble):
            return TreeTextClassifier(extractor, labels, self.model)
        return LinearTextClassifier(extractor, labels, *self.model)


def fit_feature_classifier(
    features: np.ndarray | sparse.csr_matrix,
    labels: np.ndarray,
    *,
    kind: Kind = "logistic_regression",
    num_labels: int,
    seed: int,
    regularization: float | None = None,
    num_trees: int = 300,
) -> FeatureClassifier:
    """Fit a classifier on frozen features of labelled documents or words.

    Logistic regression sees standardised features, z = (x - m) / s with the training rows' means m and deviations s,
    and is given back on the features as they come::

        W z + b = (W / s) x + (b - W (m / s))

    Sparse features are divided by s and not moved, so that they stay sparse. Trees need no standardising; those of
    gradient boosting look at sqrt(D) features a split. A label that no training row has gets the probability 0.

    Args:
        features: (N, D), dense or sparse.
        labels: (N,) class ids, 0 to C - 1.
        kind: "logistic_regression", "random_forest" or "gradient_boosting".
        num_labels: C.
        seed: draws the folds and the trees.
        regularization: C of logistic regression: the smaller, the simpler. None: of `REGULARIZATIONS` the one with the
            least log loss in a cross-validation of these rows, or of 5,000 drawn from more, of 5 folds or as many as
            the rarest label has rows; with one row of a label there is none, and 0.01 is taken.
        num_trees: of a forest, or rounds of boosting.

    Returns:
        The classifier.

    Raises:
        InputError: there is no such kind, or all rows have one label.
        ValueError: not as many labels as rows, or labels out of range.

    Reference: Peters, Ruder, Smith 2019, To Tune or Not to Tune?, section 3 (feature extraction),
        https://arxiv.org/abs/1903.05987.

    Compare with: fine-tuning, slower, which changes the encoder as well.

    Example:
        >>> fitted = fit_feature_classifier(extractor.transform(texts), label_ids, num_labels=2, seed=0)
        >>> fitted.text_classifier(extractor, ["neg", "pos"]).save_pretrained("model")
    """
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

    if kind not in get_args(Kind):
        raise InputError("unknown kind of classifier", expected=" or ".join(get_args(Kind)), found=repr(kind))
    labels = np.asarray(labels)
    if labels.shape != (features.shape[0],):
        raise ValueError(f"{features.shape[0]} rows need as many labels, not {labels.shape}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_labels:
        raise ValueError(f"labels must be 0 to {num_labels - 1}, found {labels.min()} to {labels.max()}")
    if len(np.unique(labels)) < 2:
        raise InputError(
            "there is nothing to learn: all training rows have the same label",
            expected="rows of two labels at least",
            found=f"{len(labels)} rows",
            remedy="Give more labelled rows.",
        )
    if kind == "logistic_regression":
        return _fit_linear(features, labels, num_labels, seed, regularization)
    if kind == "random_forest":
        estimator = RandomForestClassifier(num_trees, random_state=seed)
    else:
        estimator = GradientBoostingClassifier(n_estimators=num_trees, max_features="sqrt", random_state=seed)
    estimator.fit(features, labels)
    return FeatureClassifier(TreeEnsemble.from_sklearn(estimator, num_labels=num_labels), None)


def _fit_linear(
    features: np.ndarray | sparse.csr_matrix, labels: np.ndarray, num_labels: int, seed: int, chosen: float | None
) -> FeatureClassifier:
    if chosen is None:
        chosen = _choose(features, labels, seed)
    scaler = _scaler(features)
    estimator = _logistic_regression(chosen).fit(scaler.transform(features), labels)
    coefficients = estimator.coef_ / scaler.scale_
    # What is not centred has no means.
    means = scaler.mean_ if scaler.with_mean else np.zeros(features.shape[1])
    intercepts = estimator.intercept_ - coefficients @ means
    if len(coefficients) == 1:  # sigmoid(z) = softmax((0, z))
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        intercepts = np.concatenate([np.zeros_like(intercepts), intercepts])
    whole, added = np.zeros((num_labels, features.shape[1])), np.full(num_labels, -np.inf)
    whole[estimator.classes_], added[estimator.classes_] = coefficients, intercepts
    return FeatureClassifier((whole, added), chosen)


def _scaler(features: np.ndarray | sparse.csr_matrix) -> Any:
    """To means of 0, where the rows are dense, and deviations of 1, but for features that hardly vary.

    Encoders have dimensions that are all but dead. Brought to a deviation of 1 one would get a coefficient of 1e30,
    harmless here, and the end of any fine-tuning that starts from it: clipping would leave nothing of all other
    gradients.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler(with_mean=not sparse.issparse(features)).fit(features)
    scaler.scale_ = np.maximum(scaler.scale_, _LEAST_DEVIATION * np.median(scaler.scale_))
    return scaler


def _choose(features: np.ndarray | sparse.csr_matrix, labels: np.ndarray, seed: int) -> float:
    """Of `REGULARIZATIONS` the one with the least log loss out of the folds, on some rows where there are many."""
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold

    if len(labels) > _MOST_ROWS:
        drawn = np.random.default_rng(seed).permutation(len(labels))[:_MOST_ROWS]
        common = np.bincount(labels[drawn])[labels[drawn]] >= _FOLDS  # a label too rare for the folds says nothing
        features, labels = features[drawn[common]], labels[drawn[common]]
    seen, rarest = np.unique(labels), int(np.bincount(labels)[np.unique(labels)].min())
    if rarest < 2:
        return _FEW
    losses = np.zeros(len(REGULARIZATIONS))
    folds = StratifiedKFold(min(_FOLDS, rarest), shuffle=True, random_state=seed)
    for train, held_out in folds.split(np.zeros(len(labels)), labels):
        scaler = _scaler(features[train])
        train_rows, rows = scaler.transform(features[train]), scaler.transform(features[held_out])
        for at, strength in enumerate(REGULARIZATIONS):
            fitted = _logistic_regression(strength).fit(train_rows, labels[train])
            losses[at] += log_loss(labels[held_out], fitted.predict_proba(rows), labels=seen, normalize=False)
    return REGULARIZATIONS[int(losses.argmin())]


def _logistic_regression(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=1000)
