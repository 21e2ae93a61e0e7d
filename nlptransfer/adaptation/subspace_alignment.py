"""Subspace alignment: turn the source's principal directions into the target's."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator

from nlptransfer.adaptation.feature_arrays import FeatureArray, check_domain, check_features, stack_rows
from nlptransfer.errors import InputError


class SubspaceAlignment(BaseEstimator):
    r"""Project each domain on its own principal components and align the source's with the target's.

    .. math::
        M = P_S^\top P_T \qquad x_S \mapsto (x_S - \mu_S) P_S M \qquad x_T \mapsto (x_T - \mu_T) P_T

    where the columns of P are the first d principal components of a domain. The components come from skada (the extra
    ``nlptransfer[adaptation]``), which needs dense rows. Sparse features are therefore first projected by truncated
    SVD of the rows of both domains on `svd_dimensions` dimensions, which must be more than d: in one common space of d
    dimensions nothing would be left to align.

    Args:
        num_components: d.
        svd_dimensions: to how many dimensions sparse features are reduced first; at most as many as there are rows
            or columns. Dense features are not reduced.
        seed: for the randomized SVD.

    Raises:
        InputError: skada is not installed; or there are fewer rows or columns in a domain than components.

    Reference:
        Fernando et al. 2013, section 3.2, https://doi.org/10.1109/ICCV.2013.368.

    Compare with:
        `CORAL`, which keeps all directions and aligns their variances too.

    Example:
        >>> aligned = SubspaceAlignment(num_components=50, seed=1).fit(source, target_features=target)
        >>> classifier.fit(aligned.transform(source, domain="source"), labels)
        >>> classifier.predict(aligned.transform(target))
    """

    def __init__(self, *, num_components: int = 50, svd_dimensions: int = 500, seed: int) -> None:
        self.num_components = num_components
        self.svd_dimensions = svd_dimensions
        self.seed = seed

    def fit(
        self,
        features: FeatureArray,
        labels: np.ndarray | None = None,
        *,
        target_features: FeatureArray,
        target_labels: np.ndarray | None = None,
    ) -> SubspaceAlignment:
        """Find both domains' principal components.

        Args:
            features: (N, D) source rows, dense or sparse.
            labels: not used.
            target_features: (M, D) unlabelled target rows, dense or sparse.
            target_labels: not used.
        """
        adapter = _skada_adapter(self.num_components, self.seed)
        source = check_features(features, "source features")
        target = check_features(target_features, "target features", num_columns=source.shape[1])
        self.n_features_in_ = source.shape[1]
        self._svd = None
        if sparse.issparse(source) or sparse.issparse(target):
            from sklearn.decomposition import TruncatedSVD

            rows = stack_rows(source, target)
            dimensions = min(self.svd_dimensions, min(rows.shape) - 1)
            self._svd = TruncatedSVD(max(dimensions, 1), random_state=self.seed).fit(rows)
            source, target = self._svd.transform(source), self._svd.transform(target)
        possible = min(*source.shape, *target.shape) - (self._svd is not None)
        if not 1 <= self.num_components <= possible:
            raise InputError(
                "subspace alignment cannot find that many principal components",
                expected=f"between 1 and {possible}: no more than each domain has rows and (reduced) columns",
                found=str(self.num_components),
                remedy="Lower num_components, or raise svd_dimensions for sparse features.",
            )
        # skada takes both domains in one array, and writes into the labels it is given: it is given none.
        self._adapter = adapter.fit(
            np.concatenate([source, target]), sample_domain=np.repeat([1, -2], [len(source), len(target)])
        )
        return self

    def transform(self, features: FeatureArray, *, domain: str = "target") -> np.ndarray:
        """Project rows of a domain.

        Args:
            features: (N, D), dense or sparse.
            domain: "source" or "target".

        Returns:
            (N, d), dense.
        """
        check_domain(domain)
        rows = check_features(features, f"{domain} features", num_columns=self.n_features_in_)
        if self._svd is not None:
            dense = self._svd.transform(rows)
        else:
            dense = rows.toarray() if sparse.issparse(rows) else rows
        of_domain = np.full(dense.shape[0], 1 if domain == "source" else -2)
        projected = self._adapter.transform(dense, sample_domain=of_domain, allow_source=True)
        return np.asarray(projected).astype(rows.dtype, copy=False)


def _skada_adapter(num_components: int, seed: int) -> Any:
    import sklearn

    before = sklearn.get_config()
    try:
        from skada import SubspaceAlignmentAdapter
    except ImportError as error:
        raise InputError(
            "subspace alignment needs skada, which is not installed",
            remedy='Install it with: pip install "nlptransfer[adaptation]"',
        ) from error
    finally:
        # To import skada switches on metadata routing for all of scikit-learn, under which others' code fails.
        sklearn.set_config(**before)
    return SubspaceAlignmentAdapter(n_components=num_components, random_state=seed)
