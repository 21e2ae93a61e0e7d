"""Marginalized stacked denoising autoencoders (mSDA): a representation of two domains in closed form."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from scipy import sparse
from scipy.linalg import blas, lapack
from sklearn.base import BaseEstimator

from nlptransfer.adaptation.feature_arrays import FeatureArray, check_domain, check_features, stack_domains
from nlptransfer.adaptation.inverse_document_frequency import document_frequencies, inverse_document_frequencies
from nlptransfer.embeddings.feature_layers import FeatureLayer, FeatureLayers, scale_to_largest
from nlptransfer.errors import InputError

_BLOCK_ROWS = 1_000
"""By so many at a time rows are made dense, or copied for LAPACK."""
_BLOCK_COLUMNS = 256
"""By so many at a time a matrix is scaled or mirrored, so that it passes through the cache once."""
_SPARSE_BELOW = 0.05
"""Share of entries that are not 0 below which a product of sparse rows is faster than a dense one."""
_LEAST_RECIPROCAL_CONDITION = 1e-6
"""Below that a system in float32 has lost all but one or two digits."""
_POWER_ITERATIONS = 1


class MarginalizedDenoising(BaseEstimator):
    r"""Stacked linear denoisers, each solved at once for all corruptions, with tanh between them.

    A layer reconstructs its input x from x with each feature kept with probability 1 - p and divided by it, else set
    to 0, so that the corruption is unbiased, :math:`E[\tilde x] = x`. Over infinitely many corruptions of each of n
    rows the least squares have the solution

    .. math::
        W = Q^{-1} C, \quad b = \mu - \mu W, \qquad
        C = \sum_i (x_i - \mu)^\top (x_i - \mu), \quad Q = C + \frac{p}{1-p} \operatorname{diag}\Big(\sum_i x_i^2\Big)

    with x a row and :math:`\mu` the mean row, and the layer's result is :math:`h = \tanh(x W + b)`, the next layer's
    input. The first layer's is a row of features divided by its largest entry, so that binary features are 0 and 1. The
    representation is x and every h side by side, each row of each scaled to the same length and all together to length
    1, as `FeatureLayers` says; there x is weighted by its inverse document frequencies in the rows of the fit.

    Where there are more than `max_features` features, the first layer reconstructs the `max_features` most frequent
    ones only, from each of K random parts of all features in turn, and averages, :math:`h = \tanh(\frac1K \sum_k x_k
    W_k + b)` (section 4 of the paper, "high dimensional data").

    Ours: the weights and the lengths (the paper puts x and h side by side as they are); the corruption is divided by
    1 - p (the paper's W is the same times 1 / (1 - p)); the intercept, which the paper appends as a feature that is
    never corrupted, is solved for separately, which is the same; and since :math:`C = Q - D` with D the diagonal
    above, :math:`W = I - Q^{-1} D` needs an inverse of a symmetric matrix and no further solution. All is float32:
    scaled to a unit diagonal, no eigenvalue of Q lies below p, and its largest below the number of features, so that
    the system is well-conditioned unless p is tiny. Where it is not, the diagonal is raised until it is, with a
    warning (`ridge_`).

    Args:
        num_layers: L.
        corruption: p, above 0 and below 1.
        max_features: most features that a layer reconstructs, and reads at once.
        output_dim: k, where the representation is to be projected to its k main directions; None for all of it.
        seed: of the random parts and of the projection; without either nothing is random.

    Attributes:
        layers_: a `FeatureLayers`, which applies and keeps the representation.
        ridge_: by layer, what was added to the scaled diagonal; 0 where nothing was.
        n_features_in_: D.

    Raises:
        InputError: a setting is out of range; there are no rows, or no feature is ever used.

    Reference:
        Chen, Xu, Weinberger and Sha 2012, Marginalized Denoising Autoencoders for Domain Adaptation, ICML, sections 3
        and 4, https://arxiv.org/abs/1206.4683.

    Compare with:
        `StackedDenoising`, trained by gradients, with any noise and any unit; the same number of units in each layer
        takes far longer there.

    Example:
        >>> msda = MarginalizedDenoising(num_layers=3)
        >>> msda.fit(source_features, target_features=target_features)
        >>> classifier.fit(msda.transform(source_features), labels).predict(msda.transform(test_features))
    """

    def __init__(
        self,
        *,
        num_layers: int = 5,
        corruption: float = 0.5,
        max_features: int = 5_000,
        output_dim: int | None = None,
        seed: int = 0,
    ) -> None:
        self.num_layers = num_layers
        self.corruption = corruption
        self.max_features = max_features
        self.output_dim = output_dim
        self.seed = seed

    def fit(
        self,
        features: FeatureArray,
        labels: np.ndarray | None = None,
        *,
        target_features: FeatureArray | None = None,
        source_unlabelled: FeatureArray | None = None,
    ) -> MarginalizedDenoising:
        """Solve every layer on the rows of both domains.

        Args:
            features: (N, D) source rows, dense or sparse.
            labels: not used.
            target_features: (M, D) target rows; None for the control that sees none.
            source_unlabelled: (K, D) further source rows, or None.
        """
        self.fit_transform(features, labels, target_features=target_features, source_unlabelled=source_unlabelled)
        return self

    def fit_transform(
        self,
        features: FeatureArray,
        labels: np.ndarray | None = None,
        *,
        target_features: FeatureArray | None = None,
        source_unlabelled: FeatureArray | None = None,
    ) -> np.ndarray:
        """`fit`, and the representation of all rows, which is made on the way there.

        Args:
            features: (N, D) source rows, dense or sparse.
            labels: not used.
            target_features: (M, D) target rows, or None.
            source_unlabelled: (K, D) further source rows, or None.

        Returns:
            (N + M + K, dim) float32: the source, then the target, then the further source rows.
        """
        self._check_settings()
        rows = scale_to_largest(stack_domains(features, target_features, source_unlabelled))
        height, width = rows.shape
        num_reconstructed = min(width, self.max_features)
        result = np.empty((height, width + self.num_layers * num_reconstructed), dtype=np.float32)
        for start in range(0, height, _BLOCK_ROWS):
            some = rows[start : start + _BLOCK_ROWS]
            result[start : start + _BLOCK_ROWS, :width] = some.toarray() if sparse.issparse(some) else some
        starts = iter(range(width, result.shape[1], num_reconstructed))
        read: Any = rows

        def next_inputs(layer: FeatureLayer) -> Callable[[], Iterable[Any]]:
            nonlocal read
            start = next(starts)
            read = layer.apply(read, out=result[:, start : start + num_reconstructed])
            return lambda: [read]

        self._fit_layers(lambda: [read], next_inputs)
        self.layers_.scale_blocks(result)
        if self.output_dim is not None:
            self._fit_projection(lambda: [result])
        return self.layers_.project(result)

    def fit_batches(self, make_batches: Callable[[], Iterable[FeatureArray]]) -> MarginalizedDenoising:
        """`fit` to more rows than memory holds; the result is the same, but for the order in which sums are taken.

        The documents that have each feature are counted in one pass over the batches. Every layer is another (several
        where there are more than `max_features` features), in which the layers before it are applied anew; so is every
        iteration of the projection.

        Args:
            make_batches: called for every pass; gives the same (rows, D) batches each time, dense or sparse.

        Raises:
            InputError: there are no batches, or they differ in width.
        """
        fitted: list[FeatureLayer] = []

        def batches() -> Iterator[Any]:
            width = None
            for batch in make_batches():
                rows = check_features(batch, "batch of features", num_columns=width)
                width = rows.shape[1]
                rows = scale_to_largest(rows)
                for layer in fitted:
                    rows = layer.apply(rows)
                yield rows

        def next_inputs(layer: FeatureLayer) -> Callable[[], Iterable[Any]]:
            fitted.append(layer)
            return batches

        self._check_settings()
        self._fit_layers(batches, next_inputs)
        fitted.clear()
        if self.output_dim is not None:
            layers = self.layers_
            self._fit_projection(lambda: (layers.blocks(batch) for batch in batches()))
        return self

    def _fit_layers(
        self,
        inputs: Callable[[], Iterable[Any]],
        next_inputs: Callable[[FeatureLayer], Callable[[], Iterable[Any]]],
    ) -> None:
        """Solve one layer after the other; `next_inputs` says what the next reads."""
        random = np.random.default_rng(self.seed)
        layers: list[FeatureLayer] = []
        self.ridge_: list[float] = []
        self.reconstructed_, parts, weights = self._divide_features(inputs, random)
        wanted = self.reconstructed_
        for number in range(self.num_layers):
            if number:
                wanted = np.arange(len(self.reconstructed_))
                parts = [wanted]
            layers.append(self._solve(inputs, parts, wanted))
            inputs = next_inputs(layers[-1])
        self.layers_ = FeatureLayers(layers, input_weights=weights)
        self.facts_ = {"ridge": self.ridge_} if any(self.ridge_) else {}

    def _check_settings(self) -> None:
        if not 0 < self.corruption < 1:
            raise InputError(
                "the corruption of mSDA is out of range", expected="above 0 and below 1", found=str(self.corruption)
            )
        for name in ("num_layers", "max_features", "output_dim"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} of mSDA is out of range", expected="1 or more", found=str(value))

    def _divide_features(
        self, inputs: Callable[[], Iterable[Any]], random: np.random.Generator
    ) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
        """The features that the first layer reconstructs, the parts of all features from which it does, and the weight
        of each feature."""
        occurrences, num_rows = np.zeros(0, dtype=np.int64), 0
        for block in inputs():
            own = document_frequencies(block)
            occurrences = occurrences + own if num_rows else own
            num_rows += block.shape[0]
        if not num_rows:
            raise InputError("there is nothing to learn from", expected="at least one row", found="none")
        if not occurrences.any():
            raise InputError("the rows hold no feature at all", remedy="Look for empty documents.")
        width = self.n_features_in_ = len(occurrences)
        weights = inverse_document_frequencies(occurrences, num_rows)
        if width <= self.max_features:
            return np.arange(width), [np.arange(width)], weights
        most_frequent = np.argsort(-occurrences, kind="stable")[: self.max_features]
        parts = np.array_split(random.permutation(width), -(-width // self.max_features))
        return np.sort(most_frequent), [np.sort(part) for part in parts], weights

    def _solve(self, inputs: Callable[[], Iterable[Any]], parts: list[np.ndarray], wanted: np.ndarray) -> FeatureLayer:
        """One layer that reconstructs the `wanted` features from each part of all features, on average over them."""
        num_features = sum(len(part) for part in parts)
        weight = np.zeros((num_features, len(wanted)), dtype=np.float32)
        bias = np.zeros(len(wanted), dtype=np.float32)
        ridge = 0.0
        for part in parts:
            moments = _collect_moments(inputs(), part, None if len(parts) == 1 else wanted)
            own, added = denoising_weights(moments, self.corruption)
            ridge = max(ridge, added)
            if len(parts) == 1:
                weight = own
            else:
                weight[part] = own / np.float32(len(parts))
            wanted_mean = moments.mean if moments.wanted_mean is None else moments.wanted_mean
            bias += (wanted_mean - moments.mean @ own) / np.float32(len(parts))
        self.ridge_.append(ridge)
        return FeatureLayer(weight, bias, "tanh")

    def _fit_projection(self, blocks: Callable[[], Iterable[np.ndarray]]) -> None:
        """The main directions of the uncentred blocks, by subspace iteration: a pass over the rows each."""
        assert self.output_dim is not None
        layers = self.layers_
        num_directions = min(self.output_dim + 20, layers.blocks_dim)
        directions = np.random.default_rng(self.seed).standard_normal((layers.blocks_dim, num_directions))
        directions = scipy.linalg.qr(directions.astype(np.float32), mode="economic")[0]
        for _ in range(_POWER_ITERATIONS):
            image = np.zeros_like(directions)
            for block in blocks():
                image += block.T @ (block @ directions)
            directions = scipy.linalg.qr(image, mode="economic")[0]
        inner = np.zeros((num_directions,) * 2, dtype=np.float64)
        for block in blocks():
            projected = block @ directions
            inner += projected.T @ projected
        vectors = np.linalg.eigh(inner)[1][:, ::-1][:, : self.output_dim].astype(np.float32)  # the largest first
        self.layers_ = FeatureLayers(layers.layers, input_weights=layers.input_weights, projection=directions @ vectors)

    def transform(self, features: FeatureArray, *, domain: str = "target") -> np.ndarray:
        """Represent rows; both domains' alike.

        Args:
            features: (N, D), dense or sparse.
            domain: "source" or "target".

        Returns:
            (N, dim) float32, dense.
        """
        check_domain(domain)
        rows = check_features(features, f"{domain} features", num_columns=self.n_features_in_)
        return self.layers_.transform(rows)

    def influences(self, columns: np.ndarray) -> np.ndarray:
        """By how much each feature adds to the first layer's reconstruction of some: its weights, before the tanh.

        Args:
            columns: (F,) of the features that are reconstructed.

        Returns:
            (F, D): row f holds what one unit of each feature adds to the reconstruction of `columns[f]`; zeros where
            that feature is not reconstructed, being none of the `max_features` most frequent ones.
        """
        columns = np.asarray(columns)
        result = np.zeros((len(columns), self.n_features_in_), dtype=np.float32)
        places = {int(column): place for place, column in enumerate(self.reconstructed_)}
        for row, column in enumerate(columns):
            if int(column) in places:
                result[row] = self.layers_.layers[0].weight[:, places[int(column)]]
        return result

    def reconstruction_errors(self, features: FeatureArray, *, seed: int) -> list[float]:
        r"""By layer, the squared error of reconstructing its clean input from a corrupted one, before the tanh.

        .. math:: \frac{\sum_i \lVert x_i - (\tilde x_i W + b) \rVert^2}{\sum_i \lVert x_i - \bar x \rVert^2}

        with :math:`\bar x` the mean of `features` at that layer: 1 where nothing was learnt, 0 where all comes back.

        Args:
            features: (N, D) rows, best ones that were not learnt from.
            seed: of the corruption.
        """
        rows: Any = scale_to_largest(check_features(features, "features", num_columns=self.n_features_in_))
        random = np.random.default_rng(seed)
        errors = []
        for number, layer in enumerate(self.layers_.layers):
            wanted = rows[:, self.reconstructed_] if number == 0 else rows
            wanted = wanted.toarray() if sparse.issparse(wanted) else wanted
            dense = rows.toarray() if sparse.issparse(rows) else rows
            kept = random.random(dense.shape, dtype=np.float32) >= self.corruption
            answer = (dense * kept / np.float32(1 - self.corruption)) @ layer.weight + layer.bias
            spread = np.square(wanted - wanted.mean(axis=0)).sum(dtype=np.float64)
            errors.append(float(np.square(wanted - answer).sum(dtype=np.float64) / max(spread, 1e-30)))
            rows = layer.apply(rows)
        return errors


@dataclass(frozen=True)
class Moments:
    """Sums over rows by which a layer is solved.

    Attributes:
        num_rows: n.
        mean: (D,) of the features that are read.
        squares: (D,) their sums of squares.
        covariance: (D, D) C, their products about the mean, summed; its lower triangle alone is filled.
        wanted_mean: (F,) of the features that are reconstructed, where these are others; else None.
        wanted_covariance: (D, F) products of those read with those reconstructed; else None.
    """

    num_rows: int
    mean: np.ndarray
    squares: np.ndarray
    covariance: np.ndarray
    wanted_mean: np.ndarray | None = None
    wanted_covariance: np.ndarray | None = None


def denoising_weights(moments: Moments, corruption: float) -> tuple[np.ndarray, float]:
    r"""The weights W of the linear denoiser that is best over all corruptions; see `MarginalizedDenoising`.

    A feature that no row has can't be reconstructed and says nothing: its weights are 0.

    Args:
        moments: of the rows; `covariance` is overwritten.
        corruption: p.

    Returns:
        W, (D, F) float32, and what was added to the diagonal of Q, scaled to 1, to make the system solvable; usually 0.
    """
    seen = moments.squares > 0
    noise = np.where(seen, np.float32(corruption / (1 - corruption)) * moments.squares, np.float32(1))
    system = np.asfortranarray(moments.covariance)  # LAPACK's order
    diagonal = np.einsum("ii->i", system)
    diagonal += noise
    scale = 1 / np.sqrt(diagonal)
    norm = _scale_lower(system, scale)
    factor, ridge = _factorize(system, norm)
    if moments.wanted_covariance is not None:
        right = moments.wanted_covariance * scale[:, None]
        solution, _ = lapack.spotrs(factor, np.asfortranarray(right), lower=1, overwrite_b=1)
        return np.ascontiguousarray(solution * scale[:, None]), ridge
    inverse, _ = lapack.spotri(factor, lower=1, overwrite_c=1)  # its lower triangle
    _mirror_lower(inverse)
    inverse = inverse.T  # the same, row by row in memory
    # W = I - Q^-1 (D + ridge), and what was added to the scaled system is ridge / scale^2 in Q.
    of_columns = scale * (noise + np.float32(ridge) / np.square(scale))
    for start in range(0, len(inverse), _BLOCK_COLUMNS):
        rows = inverse[start : start + _BLOCK_COLUMNS]
        rows *= -scale[start : start + _BLOCK_COLUMNS, None]
        rows *= of_columns
    np.einsum("ii->i", inverse)[:] += 1
    if not seen.all():
        inverse[~seen] = 0
        inverse[:, ~seen] = 0
    return inverse, ridge


def _factorize(system: np.ndarray, norm: float) -> tuple[np.ndarray, float]:
    """The Cholesky factor of a matrix with unit diagonal, its diagonal raised until it has one that can be used.

    Args:
        system: (D, D) in column order, of which the lower triangle is read and overwritten by the factor.
        norm: its largest sum of a row's absolute values.

    Returns:
        The same array, and what was added to the diagonal.
    """
    _mirror_lower(system)  # LAPACK leaves the upper triangle as it is
    ridge = 0.0
    while True:
        np.einsum("ii->i", system)[:] = np.float32(1 + ridge)
        factor, failed = lapack.spotrf(system, lower=1, overwrite_a=1, clean=0)
        condition = 0.0 if failed else float(lapack.spocon(factor, norm, uplo="L")[0])
        if condition >= _LEAST_RECIPROCAL_CONDITION:
            break
        ridge = max(10 * ridge, 1e-4)
        _mirror_lower(system.T)
    if ridge:
        warnings.warn(
            f"mSDA's system of {len(system):,} features is ill-conditioned in float32: {ridge:g} was added to its "
            "diagonal of 1. A corruption that is not so near to 0 needs none.",
            stacklevel=2,
        )
    return factor, ridge


def _scale_lower(matrix: np.ndarray, scale: np.ndarray) -> float:
    """Multiply entry (i, j) of the lower triangle by scale_i scale_j, after which the diagonal is 1.

    Returns:
        The largest sum of a row's absolute values of the symmetric matrix.
    """
    sums = np.zeros(len(matrix), dtype=np.float32)
    for start in range(0, len(matrix), _BLOCK_COLUMNS):
        columns = matrix[start:, start : start + _BLOCK_COLUMNS]
        columns *= scale[start:, None]
        columns *= scale[start : start + _BLOCK_COLUMNS]
        sizes = np.abs(columns)
        width = columns.shape[1]
        sizes[:width] = np.tril(sizes[:width])
        sums[start:] += sizes.sum(axis=1)
        sums[start : start + width] += sizes.sum(axis=0)
    return float(sums.max()) - 1  # the diagonal was counted twice


def _mirror_lower(matrix: np.ndarray) -> None:
    """Copy the lower triangle to the upper, block by block, so that no second matrix is needed."""
    for start in range(0, len(matrix), _BLOCK_COLUMNS):
        stop = start + _BLOCK_COLUMNS
        block = matrix[start:stop, start:stop]
        block[:] = np.tril(block) + np.tril(block, -1).T
        matrix[start:stop, stop:] = matrix[stop:, start:stop].T


def _collect_moments(blocks: Iterable[Any], part: np.ndarray, wanted: np.ndarray | None) -> Moments:
    """Sums over the columns `part` of all rows, and of their products with the columns `wanted`."""
    size = len(part)
    products: np.ndarray | None = None
    cross = None if wanted is None else np.zeros((size, len(wanted)), dtype=np.float32)
    sums, wanted_sums = np.zeros(size, dtype=np.float64), np.zeros(0 if wanted is None else len(wanted))
    num_rows = 0
    for block in blocks:
        own = block if size == block.shape[1] else block[:, part]
        num_rows += own.shape[0]
        sums += np.asarray(own.sum(axis=0, dtype=np.float64)).ravel()
        if sparse.issparse(own) and own.nnz < _SPARSE_BELOW * own.shape[0] * size:
            gram = (own.T @ own).toarray(order="F")
            products = gram if products is None else np.add(products, gram, out=products)
        else:
            if products is None:
                products = np.zeros((size, size), dtype=np.float32, order="F")
            for start in range(0, own.shape[0], _BLOCK_ROWS):
                some = own[start : start + _BLOCK_ROWS]
                dense = some.toarray() if sparse.issparse(some) else np.ascontiguousarray(some)
                products = blas.ssyrk(1.0, dense.T, beta=1.0, c=products, lower=1, overwrite_c=1)
        if cross is not None:
            other = block[:, wanted]
            wanted_sums += np.asarray(other.sum(axis=0, dtype=np.float64)).ravel()
            crossed = own.T @ other
            cross += crossed.toarray() if sparse.issparse(crossed) else crossed
    assert products is not None, "there is a block"
    squares = np.einsum("ii->i", products).copy()
    mean = (sums / num_rows).astype(np.float32)
    products = blas.ssyr(np.float32(-num_rows), mean, a=products, lower=1, overwrite_a=1)
    if cross is None:
        return Moments(num_rows, mean, squares, products)
    wanted_mean = (wanted_sums / num_rows).astype(np.float32)
    cross -= np.outer(np.float32(num_rows) * mean, wanted_mean)
    return Moments(num_rows, mean, squares, products, wanted_mean, cross)
