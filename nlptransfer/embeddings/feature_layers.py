"""Representations learnt from text, as layers: how each is applied to features, kept, and read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import sparse
from scipy.special import expit

from nlptransfer.data.documents import Document
from nlptransfer.embeddings.extractors import Extractor, restore_extractor

if TYPE_CHECKING:
    import torch

Activation = Literal["tanh", "relu", "softplus", "sigmoid", "identity"]


def _softplus(values: np.ndarray) -> np.ndarray:
    return np.logaddexp(values, np.float32(0))


def _relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0, out=values)


def _tanh(values: np.ndarray) -> np.ndarray:
    return np.tanh(values, out=values)


_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": _tanh,
    "relu": _relu,
    "softplus": _softplus,
    "sigmoid": expit,
    "identity": lambda values: values,
}


@dataclass(frozen=True)
class FeatureLayer:
    """One layer: activation(x W + b).

    Attributes:
        weight: W, (D_in, D_out) float32.
        bias: b, (D_out,) float32.
        activation: applied to each number.
    """

    weight: np.ndarray
    bias: np.ndarray
    activation: Activation

    def apply(self, rows: Any) -> np.ndarray:
        """(N, D_out) float32, for (N, D_in) rows, dense or CSR."""
        values = np.asarray(rows @ self.weight, dtype=np.float32)
        values += self.bias
        return _ACTIVATIONS[self.activation](values)


class FeatureLayers:
    """Layers, each of which reads the one before, and which of their results make up the representation.

    The input h_0 is a row, weighted where there are weights, and divided by its largest entry (`scale_to_largest`); h_l
    is the l-th layer's result. Each block h_l that is kept is multiplied by its scale; the blocks stand side by side
    and, where there is a projection, are multiplied by it. In the end every row is scaled to length 1.

    Args:
        layers: in their order.
        scales: what each of h_0, h_1, ... is multiplied by; 0 leaves it out.
        projection: P, (sum of the kept widths, k); None without one.
        input_weights: (D,) what each feature is multiplied by beforehand; None for 1.

    Raises:
        ValueError: the shapes don't fit each other, or nothing is kept.
    """

    def __init__(
        self,
        layers: Sequence[FeatureLayer],
        *,
        scales: Sequence[float],
        projection: np.ndarray | None = None,
        input_weights: np.ndarray | None = None,
    ) -> None:
        if len(scales) != len(layers) + 1 or not any(scales):
            raise ValueError(f"{len(layers)} layers need {len(layers) + 1} scales, not all 0; found {list(scales)}")
        self.layers = list(layers)
        self.scales = [float(scale) for scale in scales]
        self.projection = projection
        self.input_weights = None if input_weights is None else np.asarray(input_weights, dtype=np.float32)
        widths = [layers[0].weight.shape[0], *(layer.weight.shape[1] for layer in layers)]
        self.blocks_dim = sum(width for width, scale in zip(widths, self.scales, strict=True) if scale)
        if projection is not None and projection.shape[0] != self.blocks_dim:
            raise ValueError(f"{self.blocks_dim} features need a projection of as many rows, not {projection.shape}")

    @property
    def dim(self) -> int:
        """Features of the representation."""
        return self.blocks_dim if self.projection is None else int(self.projection.shape[1])

    def weigh(self, features: Any) -> Any:
        """The features (N, D) times their weights; the same array where there are none."""
        if self.input_weights is None:
            return features
        if sparse.issparse(features):
            return (features @ sparse.diags(self.input_weights)).tocsr()
        return features * self.input_weights

    def blocks(self, features: Any) -> np.ndarray:
        """(N, blocks_dim) float32: what is kept, before the projection and before rows are scaled to length 1."""
        result = np.empty((features.shape[0], self.blocks_dim), dtype=np.float32)
        rows, place = scale_to_largest(self.weigh(features)), 0
        for number, scale in enumerate(self.scales):
            if number:
                rows = self.layers[number - 1].apply(rows)
            if scale:
                part = result[:, place : place + rows.shape[1]]
                part[:] = rows.toarray() if sparse.issparse(rows) else rows
                part *= np.float32(scale)
                place += rows.shape[1]
            if not any(self.scales[number + 1 :]):
                break
        return result

    def transform(self, features: Any) -> np.ndarray:
        """(N, dim) float32, for (N, D) features, dense or CSR."""
        return self.project(self.blocks(features))

    def project(self, blocks: np.ndarray) -> np.ndarray:
        """(N, dim) float32, each row of length 1, for (N, blocks_dim) `blocks`, which may be overwritten."""
        rows = blocks if self.projection is None else blocks @ self.projection
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
        return rows


def scale_to_largest(rows: Any) -> Any:
    """Each row divided by its largest entry in absolute value, as float32; rows of zeros stay.

    Binary features that were scaled to length 1 are 0 and 1 again, and any others lie between -1 and 1, where the
    units of a layer are at home.

    Args:
        rows: (N, D), dense or CSR; not written into.
    """
    if sparse.issparse(rows):
        largest = np.asarray(abs(rows).max(axis=1).toarray(), dtype=np.float32).ravel()
        scaled = rows.astype(np.float32, copy=True)
        scaled.data /= np.repeat(np.where(largest > 0, largest, 1), np.diff(rows.indptr))
        return scaled
    largest = np.abs(rows).max(axis=1, initial=0).astype(np.float32)
    return np.asarray(rows, dtype=np.float32) / np.where(largest > 0, largest, 1)[:, None]


class LayeredFeatures:
    """The features of an extractor, as learnt layers represent them; an extractor in its turn.

    Args:
        base: makes the features that the layers read.
        layers: what was learnt.

    Example:
        >>> learnt = MarginalizedDenoising().fit(source_features, target_features=target_features)
        >>> LayeredFeatures(vectorizer, learnt.layers_).transform(["a good book"])
    """

    def __init__(self, base: Extractor, layers: FeatureLayers) -> None:
        self.base = base
        self.layers = layers

    @property
    def dim(self) -> int:
        """Features per document."""
        return self.layers.dim

    def transform(self, documents: Sequence[Document]) -> np.ndarray:
        """(documents, dim) float32."""
        return self.layers.transform(self.base.transform(documents))

    def to_saved(self) -> tuple[dict[str, Any], dict[str, torch.Tensor], dict[str, Any]]:
        """Settings, tensors and other values from which `from_saved` builds the same features."""
        import torch

        base, tensors, documents = self.base.to_saved()
        arrays = {"projection": self.layers.projection, "input_weights": self.layers.input_weights}
        for number, layer in enumerate(self.layers.layers):
            arrays |= {f"{number}.weight": layer.weight, f"{number}.bias": layer.bias}
        own = {
            f"layers.{name}": torch.from_numpy(np.ascontiguousarray(array))
            for name, array in arrays.items()
            if array is not None
        }
        config = {
            "type": "layered",
            "base": base,
            "activations": [layer.activation for layer in self.layers.layers],
            "scales": self.layers.scales,
        }
        return config, {**{f"base.{name}": tensor for name, tensor in tensors.items()}, **own}, documents

    @classmethod
    def from_saved(
        cls, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], documents: Mapping[str, Any]
    ) -> LayeredFeatures:
        """The features of which `to_saved` gave `config`, `tensors` and `documents`.

        Raises:
            InputError: see `restore_extractor`.
        """
        own = {name: tensor for name, tensor in tensors.items() if name.startswith("base.")}
        base = restore_extractor(
            config["base"], {name.removeprefix("base."): tensor for name, tensor in own.items()}, documents
        )

        def array(name: str) -> np.ndarray | None:
            return tensors[f"layers.{name}"].numpy() if f"layers.{name}" in tensors else None

        layers = []
        for number, activation in enumerate(config["activations"]):
            weight, bias = array(f"{number}.weight"), array(f"{number}.bias")
            assert weight is not None and bias is not None
            layers.append(FeatureLayer(weight, bias, activation))
        made = FeatureLayers(
            layers,
            scales=config["scales"],
            projection=array("projection"),
            input_weights=array("input_weights"),
        )
        return cls(base, made)
