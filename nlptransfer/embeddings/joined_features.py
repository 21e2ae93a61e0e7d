"""Several kinds of features side by side, such as n-grams and a pretrained encoder's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize

from nlptransfer.data.documents import Document
from nlptransfer.embeddings.extractors import Extractor, restore_extractor

if TYPE_CHECKING:
    import torch


class JoinedFeatures:
    """The features of several extractors, each scaled to rows of length 1 so that none drowns the others.

    Args:
        parts: fitted extractors; one alone is merely scaled.

    Raises:
        ValueError: there is none.

    Example:
        >>> features = JoinedFeatures([NgramVectorizer().fit(texts), EncoderFeatures("encoders/minilm")])
        >>> features.transform(texts)
    """

    def __init__(self, parts: Sequence[Extractor]) -> None:
        if not parts:
            raise ValueError("there are no features to join")
        self.parts = list(parts)

    @property
    def dim(self) -> int:
        """D, the sum of the parts'."""
        return sum(part.dim for part in self.parts)

    def transform(self, documents: Sequence[Document]) -> sparse.csr_matrix | np.ndarray:
        """(documents, D) float32: CSR if any part's are, else dense. Rows of zeros stay zeros."""
        rows = [part.transform(documents) for part in self.parts]
        blocks = [normalize(block) if block.shape[0] else block for block in rows]  # scikit-learn refuses no rows
        if not any(sparse.issparse(block) for block in blocks):
            return np.concatenate(blocks, axis=1).astype(np.float32)
        joined = sparse.hstack([sparse.csr_matrix(block) for block in blocks], format="csr", dtype=np.float32)
        joined.indices, joined.indptr = joined.indices.astype(np.int32), joined.indptr.astype(np.int32)
        return joined

    def to_saved(self) -> tuple[dict[str, Any], dict[str, torch.Tensor], dict[str, Any]]:
        """Settings, tensors and other values from which `from_saved` builds the same features."""
        saved = [part.to_saved() for part in self.parts]
        tensors = {f"{n}.{name}": tensor for n, (_, own, _) in enumerate(saved) for name, tensor in own.items()}
        documents = {f"{n}.{name}": value for n, (_, _, own) in enumerate(saved) for name, value in own.items()}
        return {"type": "joined", "parts": [config for config, _, _ in saved]}, tensors, documents

    @classmethod
    def from_saved(
        cls, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], documents: Mapping[str, Any]
    ) -> JoinedFeatures:
        """The features of which `to_saved` gave `config`, `tensors` and `documents`.

        Raises:
            InputError: see `restore_extractor`.
        """

        def own(values: Mapping[str, Any], number: int) -> dict[str, Any]:
            start = f"{number}."
            return {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}

        parts = config["parts"]
        return cls([restore_extractor(part, own(tensors, n), own(documents, n)) for n, part in enumerate(parts)])
