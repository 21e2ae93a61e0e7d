"""KLIEP: the density ratio as a sum of kernels around target rows, fitted by likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import KFold

from nlptransfer.adaptation.feature_arrays import FeatureArray, check_features
from nlptransfer.adaptation.instance_weighting import check_weights, effective_sample_size
from nlptransfer.adaptation.kernel_mean_matching import median_distance
from nlptransfer.errors import InputError

_MAX_STEPS = 5_000
_SMALLEST_GAIN = 1e-7  # of the mean log ratio, in one step
_SMALLEST_NUMBER = np.finfo(np.float64).tiny  # keeps the logarithm finite where no kernel reaches


class KLIEP(BaseEstimator):
    r"""Weights of source rows from a density ratio that is fitted directly (Kullback-Leibler importance estimation).

    .. math::
        w(x) = \sum_l \alpha_l \exp\!\big(-\|x - c_l\|^2 / (2\sigma^2)\big), \qquad
        \max_\alpha \frac{1}{M} \sum_j \log w(x'_j) \quad \text{with} \quad
        \frac{1}{N} \sum_i w(x_i) = 1, \quad \alpha_l \ge 0

    over source rows :math:`x_i`, target rows :math:`x'_j` and centres :math:`c_l` drawn from the target rows. The
    bandwidth with the highest mean log ratio on held-out target rows is taken, as in the paper.

    Ours: the paper climbs with gradient steps and puts the constraint right after each. With
    :math:`\theta_l = \alpha_l \frac{1}{N} \sum_i k(x_i, c_l)` the same problem, which has one maximum, is that of the
    shares of a mixture, and the EM step :math:`\theta_l \leftarrow \theta_l` times the mean share of l climbs it
    without a step length.

    Memory holds (N + M) x `num_centers` kernel values; the features stay sparse.

    Args:
        bandwidths: values of sigma to try, in units of the features; None for half, once and twice the median
            distance between rows of both domains. A single value is used without a trial.
        num_centers: kernels, at most; as many as there are target rows if these are fewer.
        folds: of the target rows, for the choice of the bandwidth.
        seed: of the drawing of centres and of the folds.

    Attributes:
        weights_: (N,) float64, mean 1.
        effective_sample_size_: (sum w)^2 / sum w^2, between 1 and N.
        bandwidth_: sigma as chosen.

    Reference:
        Sugiyama, Suzuki, Nakajima, Kashima, von Buenau and Kawanabe (2008), Direct importance estimation for covariate
        shift adaptation, Annals of the Institute of Statistical Mathematics 60, section 2: KLIEP and its
        likelihood cross-validation.

    Compare with:
        `DensityRatioWeighting`, which is the better choice for thousands of sparse columns, where all rows are about
        equally far from each other; `KernelMeanMatching`. In skada 0.6 the gradient steps of KLIEPReweightAdapter are
        of the length 2e-16, so that its coefficients stay where they start.

    Example:
        >>> weighting = KLIEP(seed=0).fit(source, target_features=target)
        >>> LogisticRegression().fit(source, labels, sample_weight=weighting.weights_)
    """

    def __init__(
        self,
        *,
        bandwidths: tuple[float, ...] | None = None,
        num_centers: int = 100,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.bandwidths = bandwidths
        self.num_centers = num_centers
        self.folds = folds
        self.seed = seed

    def fit(self, features: FeatureArray, *, target_features: FeatureArray) -> KLIEP:
        """Estimate the weights of the source rows.

        Args:
            features: (N, D) source rows, dense or sparse.
            target_features: (M, D) target rows, without labels.

        Returns:
            The weighting itself, with `weights_`.

        Raises:
            InputError: a domain is empty, the target has fewer rows than folds, the domains have different numbers of
                columns, a feature is not finite, or no source row lies near a centre.
        """
        source = check_features(features, "source features")
        target = check_features(target_features, "target features", num_columns=source.shape[1])
        bandwidths = self.bandwidths
        if bandwidths is None:
            median = median_distance(source, target)
            bandwidths = (0.5 * median, median, 2 * median)
        if len(bandwidths) > 1:
            scores = [self._held_out_log_ratio(source, target, bandwidth) for bandwidth in bandwidths]
            self.bandwidth_ = float(bandwidths[int(np.argmax(scores))])
        else:
            self.bandwidth_ = float(bandwidths[0])
        centers, coefficients = self._fit_ratio(source, target, self.bandwidth_)
        self.weights_ = check_weights(_kernel(source, centers, self.bandwidth_) @ coefficients)
        self.effective_sample_size_ = effective_sample_size(self.weights_)
        return self

    def _held_out_log_ratio(self, source: Any, target: Any, bandwidth: float) -> float:
        """Mean log w of target rows that neither gave centres nor were fitted to."""
        if target.shape[0] < self.folds:
            raise InputError(
                "the target has too few documents to choose a bandwidth",
                expected=f"at least {self.folds}, one for every fold",
                found=str(target.shape[0]),
                remedy="Give a single bandwidth, or more documents.",
            )
        total = 0.0
        for seen, unseen in KFold(self.folds, shuffle=True, random_state=self.seed).split(np.zeros(target.shape[0])):
            centers, coefficients = self._fit_ratio(source, target[seen], bandwidth)
            ratios = _kernel(target[unseen], centers, bandwidth) @ coefficients
            total += float(np.log(np.maximum(ratios, _SMALLEST_NUMBER)).sum())
        return total / target.shape[0]

    def _fit_ratio(self, source: Any, target: Any, bandwidth: float) -> tuple[Any, NDArray[np.float64]]:
        """Centres (L, D) and their coefficients (L,)."""
        rng = np.random.default_rng(self.seed)
        centers = target[rng.permutation(target.shape[0])[: self.num_centers]]
        reach = _kernel(source, centers, bandwidth).mean(axis=0)
        near = reach > _SMALLEST_NUMBER
        if not near.any():
            raise InputError(
                "no source document lies near a target document, so that no weights make them alike",
                expected=f"distances of not many times the bandwidth, {bandwidth:g}",
                remedy="Give larger bandwidths, or features in which the domains overlap.",
            )
        # A centre that no source row is near could be given any coefficient, and changes no source row's weight.
        centers, reach = centers[near], reach[near]
        components = _kernel(target, centers, bandwidth) / reach  # each with the mean 1 over the source
        return centers, _mixture_shares(components) / reach


def _kernel(rows: Any, centers: Any, bandwidth: float) -> NDArray[np.float64]:
    """(rows, centres)."""
    return np.asarray(rbf_kernel(rows, centers, gamma=1 / (2 * bandwidth**2)), dtype=np.float64)


def _mixture_shares(components: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shares (L,), summing to 1, under which rows (M, L) of component densities are most likely, by EM."""
    shares = np.full(components.shape[1], 1 / components.shape[1])
    likelihood = -np.inf
    for _ in range(_MAX_STEPS):
        densities = np.maximum(components @ shares, _SMALLEST_NUMBER)
        before, likelihood = likelihood, float(np.log(densities).mean())
        if likelihood - before < _SMALLEST_GAIN:
            break
        shares = shares * (components.T @ (1 / densities)) / len(densities)
        shares /= shares.sum()
    return shares
