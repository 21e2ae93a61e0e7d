"""Scores by which a model or a setting for the target can be chosen without a single target label.

In all of them higher is better, and none is safe: each says what deceives it. Choose by one that is named beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlptransfer.errors import InputError

_BLOCK_NUMBERS = 4_000_000  # similarities held at once: 32 MB an array

FitPredict = Callable[[Any, NDArray[Any], Any, Any], ArrayLike]
"""(source features, source labels, target features, new features) -> predicted labels of the new features."""


def prediction_entropy_score(probabilities: ArrayLike) -> float:
    r"""How sure the model is of its predictions on the target: the negative mean entropy.

    .. math:: -\frac{1}{M} \sum_m H(p_m), \qquad H(p) = -\sum_c p_c \log p_c

    Deceived by confidence: a model that puts every document into one class with probability 1 gets the best score
    there is, and so does anything that only scales the logits up.

    Args:
        probabilities: (M, C) of target documents; rows sum to 1.

    Returns:
        Between -log C (nothing known) and 0 (certain), in nats.

    Raises:
        ValueError: rows are no probabilities, or there are none.

    Reference:
        Morerio, Cavazza and Murino (2018), Minimal-Entropy Correlation Alignment for Unsupervised Deep Domain
        Adaptation, ICLR, https://arxiv.org/abs/1711.10288.

    Compare with:
        `information_maximization_score`, which sees through a collapse to one class.

    Example:
        >>> prediction_entropy_score([[1.0, 0.0], [0.5, 0.5]])
        -0.34657359027997264
    """
    return -float(_entropies(_checked_probabilities(probabilities)).mean())


def information_maximization_score(probabilities: ArrayLike) -> float:
    r"""How much a prediction tells: sure of each document, and not the same for all.

    .. math:: H\Big(\frac{1}{M} \sum_m p_m\Big) - \frac{1}{M} \sum_m H(p_m)

    the mutual information of document and predicted class. A collapse to one class scores 0. Deceived by a target
    whose classes are truly unequal, which it wants equal, by wrong predictions that are sure and balanced, and by
    scaled logits.

    Args:
        probabilities: (M, C) of target documents; rows sum to 1.

    Returns:
        Between 0 and log C, in nats.

    Raises:
        ValueError: rows are no probabilities, or there are none.

    Reference:
        Bridle, Heading and MacKay (1991), Unsupervised Classifiers, Mutual Information and 'Phantom Targets', NIPS;
        Shi and Sha (2012), Information-Theoretical Learning of Discriminative Clusters for Unsupervised Domain
        Adaptation, ICML, https://arxiv.org/abs/1206.6438.

    Compare with:
        `prediction_entropy_score`, its second term alone.

    Example:
        >>> information_maximization_score([[1.0, 0.0], [0.0, 1.0]])
        0.6931471805599453
    """
    checked = _checked_probabilities(probabilities)
    return float(_entropies(checked.mean(axis=0, keepdims=True))[0] - _entropies(checked).mean())


def soft_neighbourhood_density(features: ArrayLike, *, temperature: float = 0.05) -> float:
    r"""How many near neighbours a target document has, on average: the entropy of its similarities to the others.

    .. math::
        P_{ij} = \frac{\exp(s_{ij} / \tau)}{\sum_{k \ne i} \exp(s_{ik} / \tau)} \quad (j \ne i), \qquad
        \frac{1}{M} \sum_i H(P_i)

    with :math:`s_{ij}` the cosine of rows i and j. Deceived by a collapse of all documents into one point or one
    class, which is as dense as can be. Grows with M: compare only on the same documents.

    Similarities are made in blocks of rows, so that memory is bounded (some 100 MB) for any M; time grows with its
    square.

    Args:
        features: (M, D) of target documents: the model's probabilities, as in the paper, or its features.
        temperature: tau, above 0; 0.05 in the paper.

    Returns:
        Between 0 and log(M - 1), in nats.

    Raises:
        ValueError: fewer than 2 rows, or a temperature that is not above 0.

    Reference:
        Saito, Kim, Teterwak, Sclaroff, Darrell and Saenko (2021), Tune it the Right Way: Unsupervised Validation of
        Domain Adaptation via Soft Neighborhood Density, ICCV, section 3, https://arxiv.org/abs/2108.10860.

    Compare with:
        `information_maximization_score`. skada 0.6's SoftNeighborhoodDensity keeps each document among its
        own neighbours, with the similarity -1: on probabilities at temperature 0.05 the difference is below 1e-6.

    Example:
        >>> soft_neighbourhood_density([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])
        0.6931471805599453
    """
    rows = np.asarray(features, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < 2:
        raise ValueError(f"density needs at least 2 documents, a row each, got an array of shape {rows.shape}")
    if temperature <= 0:
        raise ValueError(f"the temperature must be above 0, got {temperature}")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.where(lengths > 0, lengths, 1.0)
    block = max(1, _BLOCK_NUMBERS // len(rows))
    total = 0.0
    for start in range(0, len(rows), block):
        logits = rows[start : start + block] @ rows.T / temperature  # (block, M)
        own = np.arange(len(logits))
        logits[own, start + own] = -np.inf
        logits -= logits.max(axis=1, keepdims=True)
        shares = np.exp(logits)
        sums = shares.sum(axis=1)
        # H = log(sum of exp) - the mean logit under P; the own logit, -inf, has the share 0.
        logits[own, start + own] = 0.0
        total += float((np.log(sums) - (shares * logits).sum(axis=1) / sums).sum())
    return total / len(rows)


def importance_weighted_accuracy(correct: ArrayLike, weights: ArrayLike) -> float:
    r"""Accuracy on held-out source documents, each counting as much as it looks like the target.

    .. math:: \frac{\sum_n w_n \, 1[f(x_n) = y_n]}{\sum_n w_n}

    An estimate of target accuracy where labels depend on the text alike in both domains (covariate shift). Deceived
    where they don't, and worthless where few weights carry all: see `effective_sample_size` of the weighting. Ours:
    divided by the weights' sum rather than their number, which keeps it in 0..1. With weights of mean 1 that is the
    same, and so is the control variate of You et al., which corrects for a mean that is not 1.

    Args:
        correct: (N,) 1 or True where a held-out source document was predicted right.
        weights: (N,) of these documents, 0 or more, such as `DensityRatioWeighting` gives.

    Returns:
        In 0..1.

    Raises:
        InputError: a weight is negative or not finite, or all are zero.
        ValueError: the two differ in number.

    Reference:
        Sugiyama, Krauledat and Mueller (2007), Covariate Shift Adaptation by Importance Weighted Cross Validation,
        JMLR 8; You, Wang, Long and Jordan (2019), Towards Accurate Model Selection in Deep Unsupervised
        Domain Adaptation, ICML (DEV).

    Compare with:
        `reverse_validation_accuracy`, which needs no weights and trains twice.

    Example:
        >>> importance_weighted_accuracy([1, 0, 1], [1.0, 3.0, 2.0])
        0.5
    """
    correct, weights = np.asarray(correct, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if correct.shape != weights.shape or correct.ndim != 1:
        raise ValueError(f"one weight per document is needed: got {correct.shape} answers and {weights.shape} weights")
    if not (np.isfinite(weights) & (weights >= 0)).all() or not weights.sum() > 0:
        raise InputError(
            "the documents can't be weighted",
            expected="finite weights, 0 or more, not all 0",
            found=f"weights from {weights.min()} to {weights.max()}" if len(weights) else "none",
            remedy="Look for rows with missing features, or weight less sharply.",
        )
    return float(weights @ correct / weights.sum())


def reverse_validation_accuracy(
    fit_predict: FitPredict,
    source_features: Any,
    source_labels: ArrayLike,
    target_features: Any,
    *,
    holdout: float = 0.1,
    seed: int,
) -> float:
    """How well held-out source documents are predicted by a model that learnt from the target's predicted labels.

    The source is cut into a part S and a held-out part V. A method is trained from S to the target and labels the
    target; then it is trained the other way, from the target with these labels to S without labels, and predicts V.
    The share that is right is the score: errors on the way there come back.

    Deceived by errors that the way back undoes: a method that takes the classes for each other both times scores as
    well as the right one. A target labelled as one class can't be learnt from; it scores what that class has in V.

    Ours: all of the target is used. The paper holds out a tenth of it too, to stop its networks early.

    Args:
        fit_predict: trains the method and predicts: (source features (N, D), source labels (N,), target features
            (M, D), new features (K, D)) -> labels (K,). Its randomness must be its own matter.
        source_features: (N, D) dense or CSR.
        source_labels: (N,) ids.
        target_features: (M, D), without labels.
        holdout: share of the source in V, stratified by class, in 0..1.
        seed: of the cut.

    Returns:
        Accuracy on V, in 0..1.

    Raises:
        InputError: a class has too few source documents to be in both parts.
        ValueError: features and labels differ in number, or labels predicted for the target do.

    Reference:
        Ganin et al. (2016), Domain-Adversarial Training of Neural Networks, section 5.1.2,
        https://jmlr.org/papers/v17/15-239.html; Zhong, Fan, Yang, Verscheure and Ren (2010), Cross Validation
        Framework to Choose amongst Models and Datasets for Transfer Learning, ECML.

    Compare with:
        `importance_weighted_accuracy`, which trains once.

    Example:
        >>> def source_only(features, labels, target, new):
        ...     return LogisticRegression().fit(features, labels).predict(new)
        >>> reverse_validation_accuracy(source_only, source, labels, target, seed=0)
    """
    labels = np.asarray(source_labels)
    if len(labels) != source_features.shape[0]:
        raise ValueError(f"there are {source_features.shape[0]} source rows and {len(labels)} labels")
    kept, held_out = _stratified_cut(labels, holdout, seed)
    source, held_out_features = source_features[kept], source_features[held_out]
    guessed = np.asarray(fit_predict(source, labels[kept], target_features, target_features))
    if len(guessed) != target_features.shape[0]:
        raise ValueError(f"fit_predict gave {len(guessed)} labels for {target_features.shape[0]} target rows")
    if (guessed == guessed[0]).all():
        return float((labels[held_out] == guessed[0]).mean())
    back = np.asarray(fit_predict(target_features, guessed, source, held_out_features))
    return float((back == labels[held_out]).mean())


def _stratified_cut(labels: NDArray[Any], holdout: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of the kept and the held-out part, in ascending order."""
    if not 0 < holdout < 1:
        raise ValueError(f"holdout must lie between 0 and 1, got {holdout}")
    rng = np.random.default_rng(seed)
    held_out = []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        if len(rows) < 2:
            raise InputError(
                "reverse validation needs source documents of each class in both parts",
                expected="at least 2 of each class",
                found=f"{len(rows)} of class {label}",
                remedy="Leave the class out, or add documents of it.",
            )
        held_out.append(rows[: min(max(1, round(holdout * len(rows))), len(rows) - 1)])
    in_held_out = np.zeros(len(labels), dtype=bool)
    in_held_out[np.concatenate(held_out)] = True
    return np.flatnonzero(~in_held_out), np.flatnonzero(in_held_out)


def _checked_probabilities(probabilities: ArrayLike) -> NDArray[np.float64]:
    checked = np.asarray(probabilities, dtype=np.float64)
    if checked.ndim != 2 or not len(checked):
        raise ValueError(f"probabilities must be a row for each document, got an array of shape {checked.shape}")
    if not (checked >= 0).all() or not np.allclose(checked.sum(axis=1), 1, atol=1e-4):
        raise ValueError("probabilities must be 0 or more and sum to 1 in each row")
    return checked


def _entropies(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The entropy of each row, with 0 log 0 = 0."""
    positive = np.where(probabilities > 0, probabilities, 1.0)
    return -(probabilities * np.log(positive)).sum(axis=1)
