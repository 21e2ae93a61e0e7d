"""Self-training: learn the target from the model's own confident answers, class by class, and stop when they drift."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from nlptransfer.adaptation.feature_arrays import FeatureArray, check_features, stack_rows
from nlptransfer.errors import InputError

Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(target rows (K,), their pseudo-labels (K,), their weights (K,)) -> probabilities of every target row (M, C).

It trains on the source's labels and on these rows, which may be none."""


@dataclass(frozen=True)
class Round:
    """One round of self-training.

    Attributes:
        rows: (K,) the target rows that carried a pseudo-label; none in the first round, which is source-only.
        labels: (K,) their pseudo-labels.
        probabilities: (M, C) of every target row, by the model that was trained on them.
        agreement: the share of target rows on which two replicas agree; None without replicas.
    """

    rows: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    agreement: float | None


def self_train(
    fit: Fit,
    *,
    class_priors: np.ndarray,
    num_rounds: int = 8,
    final_share: float = 0.8,
    temperature: float = 1.0,
    replicas: Sequence[Fit] = (),
    max_agreement_drop: float = 0.1,
) -> list[Round]:
    """Train in rounds, each on more of the target, labelled by the round before.

    In round r of R the K = final_share * M * r / R most confident target rows get pseudo-labels, class by class: class
    c gets K * prior(c) of them. Without these quotas the class that the shift favours takes all within a few rounds.
    With q = p^(1/temperature), normalised, the calibrated confidence, a pseudo-label weighs::

        w = (q - 1/C) / (1 - 1/C)

    that is 0 for a guess and 1 for certainty. Every round chooses anew, so a pseudo-label can be taken back.

    The stop rule: two replicas, each trained by itself on one half of the source and of the target, are asked for
    every target row, both with their class shares set to the priors (`match_priors`). Where both err in their own way
    they disagree, so the share of rows on which they agree tells about their error without a label (Jiang et al.
    2022). When it falls by more than `max_agreement_drop` below what it was before the first pseudo-label, the
    pseudo-labels no longer tell the classes but something else, and the rounds from there on are dropped.

    Args:
        fit: trains and predicts; see `Fit`.
        class_priors: (C,) the share of each class expected in the target, the source's for want of better.
        num_rounds: R, rounds with pseudo-labels, after the one without.
        final_share: share of the target rows that carry a pseudo-label in the last round, in 0..1.
        temperature: of the calibration, above 0; see `calibration_temperature`.
        replicas: two more `fit`s that share no source row and no target row to learn from, or none: then there is no
            stop rule.
        max_agreement_drop: in 0..1.

    Returns:
        The rounds that were kept, the first without pseudo-labels.

    Raises:
        ValueError: a setting is out of range, there is one replica, or a prior is not above 0.

    References: Yarowsky 1995, https://aclanthology.org/P95-1026; class quotas: Zou et al. 2018 (CBST), section 4,
    https://arxiv.org/abs/1810.07911; agreement as a measure of error: Jiang et al. 2022,
    https://arxiv.org/abs/2106.13799. The weights and the stop rule are ours.

    Compare with: `SelfTraining`, the same on arrays with a linear model.
    """
    if num_rounds < 1 or not 0 < final_share <= 1 or not temperature > 0 or not 0 <= max_agreement_drop <= 1:
        raise ValueError(
            f"num_rounds {num_rounds}, final_share {final_share}, temperature {temperature}, max_agreement_drop "
            f"{max_agreement_drop}: expected at least 1, within (0, 1], above 0, within [0, 1]"
        )
    if len(replicas) not in (0, 2):
        raise ValueError(f"the stop rule needs two replicas or none, got {len(replicas)}")
    nothing = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
    rounds: list[Round] = []
    chosen = [nothing] * (1 + len(replicas))
    for number in range(num_rounds + 1):
        probabilities = [train(*part) for train, part in zip((fit, *replicas), chosen, strict=True)]
        agreement = None
        if replicas:
            first, second = (match_priors(given, class_priors).argmax(axis=1) for given in probabilities[1:])
            agreement = float((first == second).mean())
            if rounds and rounds[0].agreement is not None and agreement < rounds[0].agreement - max_agreement_drop:
                break
        rounds.append(Round(chosen[0][0], chosen[0][1], probabilities[0], agreement))
        share = final_share * (number + 1) / num_rounds
        chosen = [choose_pseudo_labels(given, share, class_priors, temperature) for given in probabilities]
    return rounds


def choose_pseudo_labels(
    probabilities: np.ndarray, share: float, class_priors: np.ndarray, temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows that each class is surest of, in the classes' expected shares.

    A row stands for class c by its margin, ln p(c) - max over the other classes of ln p. Classes choose their best
    rows; a row that two classes want goes to the one with the larger margin.

    Args:
        probabilities: (M, C).
        share: of the rows to choose, in 0..1; class c gets round(share * M * prior(c)) of them at most.
        class_priors: (C,), summing to 1.
        temperature: of the calibrated confidence behind the weights.

    Returns:
        Rows (K,), labels (K,) and weights (K,) in 0..1.

    Raises:
        ValueError: the priors are not C numbers from 0 on that sum to 1.
    """
    num_rows, num_labels = probabilities.shape
    _check_priors(class_priors, num_labels)
    logs = np.log(np.maximum(probabilities, 1e-12))  # (rows, labels)
    others = np.stack([np.delete(logs, label, axis=1).max(axis=1) for label in range(num_labels)], axis=1)
    margins = logs - others
    owner = np.full(num_rows, -1)
    best = np.full(num_rows, -np.inf)
    for label, prior in enumerate(class_priors):
        quota = round(share * num_rows * float(prior))
        wanted = np.argsort(-margins[:, label], kind="stable")[:quota]
        mine = wanted[margins[wanted, label] > best[wanted]]
        owner[mine], best[mine] = label, margins[mine, label]
    rows = np.flatnonzero(owner >= 0)
    labels = owner[rows]
    calibrated = np.exp((logs - logs.max(axis=1, keepdims=True)) / temperature)
    calibrated /= calibrated.sum(axis=1, keepdims=True)
    confidence = calibrated[rows, labels]
    weights = np.clip((confidence - 1 / num_labels) / (1 - 1 / num_labels), 0.0, 1.0)
    return rows, labels, weights


def match_priors(probabilities: np.ndarray, class_priors: np.ndarray) -> np.ndarray:
    """The probabilities after one offset per class has set the mean probability of each class to its prior.

    q(c|x) is proportional to p(c|x) * exp(offset(c)), with the offsets at which the mean of q(c|x) over the rows is
    prior(c). Under a shift the decision boundary of a model trained elsewhere is often off by just such an offset.

    Args:
        probabilities: (M, C).
        class_priors: (C,) above 0, summing to 1.

    Returns:
        (M, C), each row summing to 1.

    Raises:
        ValueError: the priors are not C numbers above 0 that sum to 1.

    Ours. Compare with Saerens, Latinne & Decaestecker 2002, eq. 2.4, https://doi.org/10.1162/089976602753284446, who
    multiply each class by prior / training prior, after which the mean is the prior only if the model is calibrated.
    """
    offsets = prior_offsets(probabilities, class_priors)
    matched = np.maximum(probabilities, 1e-12) * np.exp(offsets)
    return np.asarray(matched / matched.sum(axis=1, keepdims=True))


def prior_offsets(probabilities: np.ndarray, class_priors: np.ndarray) -> np.ndarray:
    """The offsets (C,) on the log probabilities that `match_priors` applies, summing to 0.

    Args:
        probabilities: (M, C).
        class_priors: (C,) above 0, summing to 1.

    Raises:
        ValueError: the priors are not C numbers above 0 that sum to 1.
    """
    return _offsets_of_logs(np.log(np.maximum(probabilities, 1e-12)), np.asarray(class_priors, dtype=np.float64))


def _offsets_of_logs(logs: np.ndarray, class_priors: np.ndarray) -> np.ndarray:
    """`prior_offsets` of log probabilities (M, C), to each row of which any number may have been added."""
    from scipy.optimize import minimize
    from scipy.special import logsumexp, softmax

    logs = np.asarray(logs, dtype=np.float64)  # in single precision the search would not come to its end
    _check_priors(class_priors, logs.shape[1])
    if not class_priors.all():
        raise ValueError(f"class_priors {class_priors}: no offset makes a class's mean probability 0")

    # Convex, and its gradient is the mean probabilities minus the priors. The first offset stays 0: the sum is free.
    def loss(offsets: np.ndarray) -> float:
        shifted = np.concatenate([[0.0], offsets])
        return float(logsumexp(logs + shifted, axis=1).mean() - class_priors @ shifted)

    def means(offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shares = softmax(logs + np.concatenate([[0.0], offsets]), axis=1)[:, 1:]
        return shares, shares.mean(axis=0)

    def gradient(offsets: np.ndarray) -> np.ndarray:
        return np.asarray(means(offsets)[1] - class_priors[1:])

    def curvature(offsets: np.ndarray) -> np.ndarray:
        shares, mean = means(offsets)
        return np.asarray(np.diag(mean) - shares.T @ shares / len(shares))

    # A trust region, for where answers are near 0 and 1 there is next to no curvature on the way.
    found = minimize(
        loss, np.zeros(len(class_priors) - 1), jac=gradient, hess=curvature, method="trust-exact",
        options={"gtol": 1e-8, "maxiter": 1000},
    ).x  # fmt: skip
    offsets = np.concatenate([[0.0], found])
    return np.asarray(offsets - offsets.mean())


def _check_priors(class_priors: np.ndarray, num_labels: int) -> None:
    priors = np.asarray(class_priors, dtype=np.float64)
    if priors.shape != (num_labels,) or not (priors >= 0).all() or not np.isclose(priors.sum(), 1):
        raise ValueError(f"class_priors {class_priors}: expected {num_labels} numbers from 0 on that sum to 1")


def calibration_temperature(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The temperature T at which held-out predictions are as sure as they are right.

    T minimises the weighted mean of -ln q(label), where q is p^(1/T), normalised.

    Args:
        probabilities: (N, C) of held-out source rows.
        labels: (N,) their labels.
        weights: (N,) what each row counts; None weighs all alike.

    Returns:
        T, within 0.02..50; below 1 where the model is surer of the truth than it says.

    Reference: Guo et al. 2017, section 4.2, https://arxiv.org/abs/1706.04599.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    logs = np.log(np.maximum(probabilities, 1e-12))
    right = logs[np.arange(len(labels)), labels]

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        return float(np.average(logsumexp(scale * logs, axis=1) - scale * right, weights=weights))

    return float(np.exp(minimize_scalar(loss, bounds=np.log((0.02, 50)), method="bounded").x))


class SelfTraining(ClassifierMixin, BaseEstimator):
    """Self-training of a linear classifier, averaged over its rounds.

    `self_train` on arrays. The result is the mean of the rounds' coefficients, the first round's (source-only) among
    them: a round that goes astray is outvoted, and no round has to be chosen. Its intercepts are then set so that the
    mean prediction on the target is the class priors (`match_priors`), which the quotas have assumed all along.

    Args:
        estimator: a linear classifier with `predict_proba`, `coef_` and `sample_weight`; None is
            ``LogisticRegression()``.
        num_rounds: rounds with pseudo-labels.
        final_share: share of the target rows that carry one in the last round.
        class_priors: (C,) expected in the target, above 0; None takes the weighted source's.
        max_agreement_drop: of the stop rule; None does without it, in half the time.
        seed: of the halves that the replicas learn from, and of the calibration's folds.

    Attributes after `fit`: ``classes_``; ``coef_`` (1 or C, D) and ``intercept_`` (1 or C,), the means;
    ``rounds_``, the list of `Round`; ``stopped_``, whether the stop rule cut it short.

    Reference: see `self_train`. The averaging is ours; compare with temporal ensembling, Laine & Aila 2017,
    https://arxiv.org/abs/1610.02242.

    Compare with: `TrAdaBoost`, which has a few true target labels to go by.

    Example:
        >>> model = SelfTraining(LogisticRegression(C=2.0)).fit(source, labels, target_features=target)
        >>> model.predict(more_of_the_target)
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        num_rounds: int = 8,
        final_share: float = 0.8,
        class_priors: np.ndarray | None = None,
        max_agreement_drop: float | None = 0.1,
        seed: int = 0,
    ) -> None:
        self.estimator = estimator
        self.num_rounds = num_rounds
        self.final_share = final_share
        self.class_priors = class_priors
        self.max_agreement_drop = max_agreement_drop
        self.seed = seed

    def fit(
        self,
        features: FeatureArray,
        labels: np.ndarray,
        *,
        target_features: FeatureArray,
        sample_weight: np.ndarray | None = None,
    ) -> SelfTraining:
        """Train in rounds.

        Args:
            features: (N, D) of the source, dense or sparse.
            labels: (N,) its labels.
            target_features: (M, D) of the target, without labels.
            sample_weight: (N,) of the source rows; None weighs all alike.

        Returns:
            Itself.

        Raises:
            InputError: there is one class only, a class has a single row or no weight, or features are unusable (see
                `check_features`).
            ValueError: a setting is out of range, or rows, labels and weights differ in number.
        """
        estimator = LogisticRegression() if self.estimator is None else self.estimator
        source_rows = check_features(features, "source features")
        target_rows = check_features(target_features, "target features", num_columns=source_rows.shape[1])
        self.classes_, ids = np.unique(np.asarray(labels), return_inverse=True)
        weights = np.ones(len(ids)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if not len(ids) == len(weights) == source_rows.shape[0]:
            raise ValueError(f"there are {source_rows.shape[0]} rows, {len(ids)} labels and {len(weights)} weights")
        counts, masses = np.bincount(ids), np.bincount(ids, weights)
        if len(counts) < 2 or counts.min() < 2 or not masses.all():
            raise InputError(
                "self-training lacks rows of a class",
                expected="at least 2 classes, and in each 2 rows or more that have weight",
                found=", ".join(f"{n} of class {name}" for name, n in zip(self.classes_, counts, strict=True)),
                remedy="Leave the class out, or add documents of it.",
            )
        priors = masses / masses.sum() if self.class_priors is None else np.asarray(self.class_priors, dtype=np.float64)
        _check_priors(priors, len(counts))
        folds = StratifiedKFold(min(5, int(counts.min())), shuffle=True, random_state=self.seed)
        held_out = np.empty((len(ids), len(counts)))
        # Not cross_val_predict: to import skada changes how scikit-learn passes weights on.
        for seen, unseen in folds.split(np.zeros(len(ids)), ids):
            fold = clone(estimator).fit(source_rows[seen], ids[seen], sample_weight=weights[seen])
            held_out[unseen] = fold.predict_proba(source_rows[unseen])
        temperature = calibration_temperature(held_out, ids, weights)

        fitted: list[Any] = []
        random = np.random.default_rng(self.seed)
        source_half = _halves(ids, random)
        target_half = random.permutation(target_rows.shape[0]) % 2

        def trainer(source: np.ndarray, allowed: np.ndarray | None, keep: bool) -> Fit:
            def fit(rows: np.ndarray, pseudo_labels: np.ndarray, pseudo_weights: np.ndarray) -> np.ndarray:
                if allowed is not None:
                    mine = allowed[rows]
                    rows, pseudo_labels, pseudo_weights = rows[mine], pseudo_labels[mine], pseudo_weights[mine]
                model = clone(estimator).fit(
                    stack_rows(source_rows[source], target_rows[rows]),
                    np.concatenate([ids[source], pseudo_labels]),
                    sample_weight=np.concatenate([weights[source], pseudo_weights]),
                )
                if keep:
                    fitted.append(model)
                return np.asarray(model.predict_proba(target_rows))

            return fit

        replicas = [trainer(np.flatnonzero(source_half == half), target_half == half, False) for half in (0, 1)]
        self.rounds_ = self_train(
            trainer(np.arange(len(ids)), None, True),
            class_priors=priors,
            num_rounds=self.num_rounds,
            final_share=self.final_share,
            temperature=temperature,
            replicas=replicas if self.max_agreement_drop is not None else (),
            max_agreement_drop=self.max_agreement_drop or 0.0,
        )
        self.stopped_ = len(self.rounds_) <= self.num_rounds
        kept = fitted[: len(self.rounds_)]  # the round at which the rule stopped was fitted, too
        self.coef_ = np.mean([model.coef_ for model in kept], axis=0)
        self.intercept_ = np.mean([model.intercept_ for model in kept], axis=0)
        scores = self.decision_function(target_rows)
        offsets = _offsets_of_logs(scores if scores.ndim == 2 else np.stack([0 * scores, scores], axis=1), priors)
        self.intercept_ = self.intercept_ + (offsets[1:] - offsets[:1] if len(offsets) == 2 else offsets)
        return self

    def decision_function(self, features: FeatureArray) -> np.ndarray:
        """The logits, (N, C), or with two classes the second one's log odds, (N,)."""
        scores = np.asarray(features @ self.coef_.T + self.intercept_)
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, features: FeatureArray) -> np.ndarray:
        """(N, C) probabilities."""
        from scipy.special import expit, softmax

        scores = self.decision_function(features)
        if scores.ndim == 1:
            return np.stack([expit(-scores), expit(scores)], axis=1)
        return np.asarray(softmax(scores, axis=1))

    def predict(self, features: FeatureArray) -> np.ndarray:
        """(N,) labels."""
        return np.asarray(self.classes_[self.predict_proba(features).argmax(axis=1)])


def _halves(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """0 or 1 for each row, each class cut in half."""
    halves = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        halves[rows] = np.arange(len(rows)) % 2
    return halves
