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


_ACTIVATIONS: dict[str, Callable[[np.ndarray], Any]] = {
    "tanh": lambda values: np.tanh(values, out=values),
    "relu": lambda values: np.maximum(values, 0, out=values),
    "softplus": lambda values: np.logaddexp(values, np.float32(0), out=values),
    "sigmoid": lambda values: expit(values, out=values),
    "identity": lambda values: values,
}
"""Each is applied in place."""


_BLOCK_ROWS = 500


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

    def apply(self, rows: Any, out: np.ndarray | None = None) -> np.ndarray:
        """(N, D_out) float32, for (N, D_in) rows, dense or CSR; written to `out` if that is given."""
        values = np.empty((rows.shape[0], self.weight.shape[1]), dtype=np.float32) if out is None else out
        if sparse.issparse(rows):
            for start in range(0, rows.shape[0], _BLOCK_ROWS):  # lest the product be there twice
                values[start : start + _BLOCK_ROWS] = rows[start : start + _BLOCK_ROWS] @ self.weight
        else:
            np.matmul(rows, self.weight, out=values)
        values += self.bias
        _ACTIVATIONS[self.activation](values)
        return values


class FeatureLayers:
    """Layers, each of which reads the one before: a row's representation is its features and all their results.

    The first layer reads a row divided by its largest entry, h_0 (`scale_to_largest`); h_l is the l-th layer's result.
    The representation is h_0, each feature multiplied by its weight, and every h_l, side by side, each scaled to the
    same length and all of them together to length 1; where there is a projection, multiplied by it and scaled to length
    1 again.

    Args:
        layers: in their order.
        keep_input: whether h_0 is part of the representation.
        input_weights: (D,) what the features of h_0 are multiplied by in it, such as their inverse document
            frequencies; None for 1.
        projection: P, (sum of the widths, k); None without one.

    Raises:
        ValueError: the projection's shape doesn't fit.
    """

    def __init__(
        self,
        layers: Sequence[FeatureLayer],
        *,
        keep_input: bool = True,
        input_weights: np.ndarray | None = None,
        projection: np.ndarray | None = None,
    ) -> None:
        self.layers = list(layers)
        self.keep_input = keep_input
        self.input_weights = None if input_weights is None else np.asarray(input_weights, dtype=np.float32)
        self.projection = projection
        widths = [layers[0].weight.shape[0] if keep_input else 0, *(layer.weight.shape[1] for layer in layers)]
        ends = np.cumsum(widths).tolist()
        self.places = [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]
        self.blocks_dim = int(ends[-1])
        if projection is not None and projection.shape[0] != self.blocks_dim:
            raise ValueError(f"{self.blocks_dim} features need a projection of as many rows, not {projection.shape}")

    @property
    def dim(self) -> int:
        """Features of the representation."""
        return self.blocks_dim if self.projection is None else int(self.projection.shape[1])

    def blocks(self, features: Any) -> np.ndarray:
        """(N, blocks_dim) float32: the representation before the projection, for (N, D) features, dense or CSR."""
        result = np.empty((features.shape[0], self.blocks_dim), dtype=np.float32)
        rows = scale_to_largest(features)
        if self.keep_input:
            result[:, self.places[0]] = rows.toarray() if sparse.issparse(rows) else rows
        for layer, place in zip(self.layers, self.places[1:], strict=True):
            rows = layer.apply(rows, out=result[:, place])
        return self.scale_blocks(result)

    def scale_blocks(self, blocks: np.ndarray) -> np.ndarray:
        """The same array, (N, blocks_dim), with h_0, h_1, ... side by side in it weighted and scaled in place."""
        if self.keep_input and self.input_weights is not None:
            blocks[:, self.places[0]] *= self.input_weights
        parts = [blocks[:, place] for place in self.places[not self.keep_input :]]
        lengths = np.stack([_lengths(part) for part in parts])
        lengths *= np.sqrt((lengths > 0).sum(axis=0, dtype=np.float32))
        for part, own in zip(parts, lengths, strict=True):
            part *= np.divide(1, own, where=own > 0, out=np.zeros_like(own))[:, None]
        return blocks

    def transform(self, features: Any) -> np.ndarray:
        """(N, dim) float32, for (N, D) features, dense or CSR."""
        return self.project(self.blocks(features))

    def project(self, blocks: np.ndarray) -> np.ndarray:
        """(N, dim) float32, for (N, blocks_dim) `blocks`; they themselves without a projection."""
        if self.projection is None:
            return blocks
        rows = blocks @ self.projection
        rows /= np.maximum(_lengths(rows), np.float32(1e-12))[:, None]
        return rows


def _lengths(rows: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("ij,ij->i", rows, rows))


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
            "keep_input": self.layers.keep_input,
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
            keep_input=config["keep_input"],
            input_weights=array("input_weights"),
            projection=array("projection"),
        )
        return cls(base, made)
