"""Density-ratio weighting: source rows count as much as they look like target rows (covariate shift)."""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.model_selection import StratifiedKFold

from nlptransfer.adaptation.feature_arrays import FeatureArray, check_features
from nlptransfer.errors import InputError

_DEGENERATE_SHARE = 0.05  # of the rows: with a smaller effective sample a weighted model rests on a handful of rows
_LARGEST_LOGIT = 30.0  # exp(30) is 1e13: beyond any weight that can be used, and far from overflow
_LARGEST_GRADIENT = 1e-4  # of the mean loss, where a classifier's training ends
_MOST_STEPS = 1000


def effective_sample_size(weights: ArrayLike) -> float:
    """How many equally weighted rows would give an average as steady as these weights do.

        ESS = (sum_i w_i)^2 / sum_i w_i^2

    Args:
        weights: (N,) not negative, not all zero, on any scale.

    Returns:
        Between 1 (one row carries everything) and N (all weights equal).

    Raises:
        InputError: a weight is negative or not finite, or all are zero.

    Reference:
        Kong (1992), A Note on Importance Sampling using Standardized Weights, University of Chicago, report 348.

    Example:
        >>> effective_sample_size([1.0, 1.0, 0.0])
        2.0
    """
    weights = _finite_weights(weights)
    return float(weights.sum() ** 2 / (weights**2).sum())


def check_weights(weights: ArrayLike) -> NDArray[np.float64]:
    """Weights as a model may be trained with: finite, mean 1, with a warning when they have degenerated.

    Args:
        weights: (N,) not negative, on any scale.

    Returns:
        (N,) the same weights, divided by their mean.

    Raises:
        InputError: there are none, one is negative or not finite, or all are zero.

    Example:
        >>> check_weights([1.0, 3.0])
        array([0.5, 1.5])
    """
    weights = _finite_weights(weights)
    size = effective_sample_size(weights)
    if size < _DEGENERATE_SHARE * len(weights):
        warnings.warn(
            f"The weights have degenerated: {len(weights):,} source rows count like {size:.1f} equally weighted ones "
            f"(less than {_DEGENERATE_SHARE:.0%}), so a model trained with them rests on a few rows. Weight less "
            "sharply (smaller C, a clip, a wider kernel), or don't weight.",
            UserWarning,
            stacklevel=2,
        )
    return weights / weights.mean()


class DensityRatioWeighting(BaseEstimator):
    """Weights of source rows from a classifier that tells the domains apart (logistic regression).

        w(x) = p_target(x) / p_source(x) = p(target | x) / p(source | x) * N / M

    for N source and M target rows, divided by the mean of all w. p(target | x) of a row comes from a classifier that
    has not seen the row (cross-fitting). One that has seen it knows it for a source row, gives it a weight near 0,
    and leaves the sum of the weights to the few rows that it could not learn.

    The weights are right where the labels depend on the text in the same way in both domains (covariate shift) and
    wherever the target has text, the source has some too. On bags of words neither holds well: the better the
    classifier tells the domains apart, the fewer rows carry the weight. Read `effective_sample_size_`.

    Sparse features stay sparse. Training ends where no derivative of the mean loss exceeds 1e-4. On 2,000 and 2,000
    rows that leaves half of the weights within 1% of those at the optimum, and all of them within 10%.

    Args:
        C: of the logistic regression; the smaller, the closer the weights are to 1. 0.01 suits a few thousand reviews
            with thousands of words.
        clip: largest ratio w(x), before the division by the mean; None for no limit.
        folds: of the cross-fitting, at least 2. The time grows with folds - 1: two take about as long as one
            classifier on all rows, but each learns from half of them, and the weights are further from the true ratio.
        seed: of the division into folds.

    Attributes:
        weights_: (N,) float64, mean 1.
        effective_sample_size_: (sum w)^2 / sum w^2, between 1 and N.

    Reference:
        Bickel, Brueckner and Scheffer (2007), Discriminative Learning for Differing Training and Test Distributions,
        ICML; Shimodaira (2000) for what the weights are for. Cross-fitting as in Chernozhukov et al.
        (2018), Double/debiased machine learning for treatment and structural parameters.

    Compare with:
        `KernelMeanMatching` and `KLIEP`, which estimate the ratio without a classifier; `LabelShiftCorrection`, when
        the classes' shares differ and not the texts within a class. skada 0.6's DiscriminatorReweightAdapter gives the
        inverse of this ratio, from a classifier that has seen the rows.

    Example:
        >>> weighting = DensityRatioWeighting(clip=20.0).fit(source, target_features=target)
        >>> LogisticRegression().fit(source, labels, sample_weight=weighting.weights_)
    """

    def __init__(self, *, C: float = 0.01, clip: float | None = None, folds: int = 5, seed: int = 0) -> None:
        self.C = C
        self.clip = clip
        self.folds = folds
        self.seed = seed

    def fit(self, features: FeatureArray, *, target_features: FeatureArray) -> DensityRatioWeighting:
        """Estimate the weights of the source rows.

        Args:
            features: (N, D) source rows, dense or sparse.
            target_features: (M, D) target rows, without labels.

        Returns:
            The weighting itself, with `weights_`.

        Raises:
            InputError: a domain has fewer rows than there are folds, the domains have different numbers of columns, a
                feature is not finite, or the weights sum to zero.
        """
        source = check_features(features, "source features")
        target = check_features(target_features, "target features", num_columns=source.shape[1])
        num_source, num_target = source.shape[0], target.shape[0]
        if min(num_source, num_target) < self.folds:
            raise InputError(
                "a domain has too few documents to estimate weights out of fold",
                expected=f"at least {self.folds} in each, one for every fold",
                found=f"{num_source} in the source, {num_target} in the target",
                remedy="Give more documents, or fewer folds (2 at least).",
            )
        is_target = np.repeat([False, True], [num_source, num_target])
        splits = StratifiedKFold(self.folds, shuffle=True, random_state=self.seed).split(is_target, is_target)
        folds = [unseen for _, unseen in splits]
        source_folds = [fold[fold < num_source] for fold in folds]
        target_folds = [fold[fold >= num_source] - num_source for fold in folds]
        # Fold by fold, so that the rows outside of a fold are slices, which for dense rows takes no copy of them.
        source, target = source[np.concatenate(source_folds)], target[np.concatenate(target_folds)]
        logits = np.empty(num_source)  # log p(target | x) / p(source | x)
        start = target_start = 0
        classifier = np.zeros(source.shape[1] + 1)  # D weights and a bias
        for source_fold, target_fold in zip(source_folds, target_folds, strict=True):
            end, target_end = start + len(source_fold), target_start + len(target_fold)
            # Each starts from the one before, which has seen this fold's rows. The loss is strictly convex in the
            # weights: it has one optimum, that of the other rows alone, and what is left of the start is less than the
            # tolerance at which training ends.
            classifier = _train_domain_classifier(
                [source[:start], source[end:]], [target[:target_start], target[target_end:]], classifier, C=self.C
            )
            unseen = source[start:end]
            logits[source_fold] = unseen @ classifier[:-1].astype(unseen.dtype) + classifier[-1]
            start, target_start = end, target_end
        ratios = np.exp(np.minimum(logits, _LARGEST_LOGIT)) * num_source / num_target
        if self.clip is not None:
            ratios = np.minimum(ratios, self.clip)
        self.weights_ = check_weights(ratios)
        self.effective_sample_size_ = effective_sample_size(self.weights_)
        return self


def _train_domain_classifier(
    source: list[FeatureArray], target: list[FeatureArray], start: NDArray[np.float64], *, C: float
) -> NDArray[np.float64]:
    """Logistic regression, as scikit-learn's of this C, on blocks of rows that stay where they are.

    Returns:
        (D + 1,) weights and a bias, as `start`: logits above 0 are the target's.
    """
    blocks = [*source, *target]
    transposed = [block.T for block in blocks]  # of a sparse block a view too, but not for nothing
    sizes = [block.shape[0] for block in blocks]
    ends = np.cumsum(sizes)[:-1]
    num_rows, num_columns = sum(sizes), blocks[0].shape[1]
    is_target = np.repeat(np.arange(len(blocks)) >= len(source), sizes)
    penalty = 1 / (C * num_rows)

    def loss_and_gradient(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weight = parameters[:num_columns]
        logits = np.concatenate([block @ weight.astype(block.dtype) for block in blocks]) + parameters[num_columns]
        loss = (np.logaddexp(0, logits) - is_target * logits).mean() + penalty / 2 * (weight @ weight)
        slopes = (expit(logits) - is_target) / num_rows
        gradient = np.append(penalty * weight, slopes.sum())
        for block, part in zip(transposed, np.split(slopes, ends), strict=True):
            gradient[:num_columns] += block @ part.astype(block.dtype)
        return float(loss), gradient

    found = minimize(
        loss_and_gradient,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"gtol": _LARGEST_GRADIENT, "ftol": 1e-14, "maxiter": _MOST_STEPS, "maxfun": 10 * _MOST_STEPS},
    )
    if found.nit >= _MOST_STEPS:
        warnings.warn(
            f"The classifier that tells the domains apart was not done after {_MOST_STEPS:,} steps, so the weights are "
            "not quite those of the formula. Scale the features, or give a smaller C.",
            UserWarning,
            stacklevel=3,
        )
    return np.asarray(found.x)


def _finite_weights(weights: ArrayLike) -> NDArray[np.float64]:
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim != 1 or not len(weights):
        raise InputError("there are no weights", expected="one per row", found=f"an array of shape {weights.shape}")
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{wrong.sum():,} of {len(weights):,} weights can't be used",
            expected="finite numbers, 0 or more",
            found=f"{weights[row]} in row {row}",
            remedy="Look for rows with missing or infinite features.",
        )
    largest = float(weights.max())
    if largest == 0 or not math.isfinite(float(weights.sum())):
        raise InputError(
            "the weights sum to zero" if largest == 0 else "the weights sum to more than a number can hold",
            expected="some weight on some source row",
            found=f"weights from {weights.min()} to {largest}",
            remedy="The domains may have nothing in common: weight less sharply, or don't weight.",
        )
    return weights
