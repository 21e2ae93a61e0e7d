"""What every feature extractor can do, and how a saved one is built again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy import sparse

from nlptransfer.data.documents import Document
from nlptransfer.embeddings.averaged_vectors import AveragedVectors
from nlptransfer.embeddings.encoder_features import EncoderFeatures
from nlptransfer.embeddings.ngrams import NgramVectorizer
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    import torch

_TYPES: dict[str, Any] = {
    "averaged_vectors": AveragedVectors,
    "encoder": EncoderFeatures,
    "ngrams": NgramVectorizer,
}


class Extractor(Protocol):
    """Makes a row of features of each document."""

    @property
    def dim(self) -> int:
        """D, features per document."""

    def transform(self, documents: Sequence[Document]) -> sparse.csr_matrix | np.ndarray:
        """(documents, D) float32, CSR or dense."""

    def to_saved(self) -> tuple[dict[str, Any], dict[str, torch.Tensor], dict[str, Any]]:
        """What `restore_extractor` builds it from: settings with its ``type``, tensors, and other values for JSON."""


def restore_extractor(
    config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], documents: Mapping[str, Any]
) -> Extractor:
    """The extractor whose `to_saved` gave these.

    Args:
        config: its settings.
        tensors: its tensors by name.
        documents: its other values by name.

    Returns:
        An extractor that makes the same features.

    Raises:
        InputError: the type is not known to this version, or what it needs is no longer there.

    Example:
        >>> restore_extractor(*vectorizer.to_saved()).transform(["a good book"])
    """
    from nlptransfer.embeddings.feature_layers import LayeredFeatures  # these two restore their parts from here
    from nlptransfer.embeddings.joined_features import JoinedFeatures

    types = {**_TYPES, "joined": JoinedFeatures, "layered": LayeredFeatures}
    if config["type"] not in types:
        raise InputError(
            "the model's features are of a type that is not known to this version",
            expected=" or ".join(types),
            found=repr(config["type"]),
            remedy="Load the model with the nlptransfer that wrote it.",
        )
    restored: Extractor = types[config["type"]].from_saved(config, tensors, documents)
    return restored
