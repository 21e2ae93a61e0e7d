"""Documents as the features of a frozen pretrained encoder, computed once and kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import xxhash

from nlptransfer.data.documents import Document, only_texts
from nlptransfer.data.subword_texts import Truncation, count_truncated, tokenize_documents
from nlptransfer.embeddings.frozen_encoder import FrozenEncoder, Precision, kept_features
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    import torch

Pooling = Literal["mean", "cls", "max"]

_log = logging.getLogger(__name__)


class EncoderFeatures:
    """The hidden states of a pretrained encoder, pooled over the tokens of a document.

    With h_1 to h_T the hidden states of the document's tokens, those that the tokenizer adds included, each the mean
    over the layers where several are read::

        mean  (1 / T) sum_t h_t        cls  h_1        max  max_t h_t, for each dimension

    The encoder is not trained. Of a long document the first `max_length` tokens are read, or others that `truncation`
    says; `num_truncated` counts the documents of which not all is read. With "windows" all is: a token that is in two
    windows counts in the one where it has more on either side, the special tokens count at the document's ends, and
    "cls" is the mean over the windows' first tokens. Features are kept in the cache under the digests of the encoder
    and the texts, so that a second run does not load the encoder. A saved model names the encoder and holds its
    digest, not its weights.

    Args:
        folder_or_name: a model folder as `transformers` writes it, or a name on the Hugging Face hub, which is looked
            up in the hub's local cache before it is fetched. Its weights must be safetensors; code that comes with a
            model is not run.
        pooling: "mean", "cls" or "max".
        layers: which hidden states are read: 0 is the embeddings, 1 the first layer, -1 the last. Several are averaged.
        max_length: in subword tokens.
        truncation: "head", "head_tail" (a quarter of the first tokens and three quarters of the last) or "windows" that
            overlap by a quarter; see `nlptransfer.data.subword_texts.cut_documents`.
        precision: of the pass: "fp32", or "bf16" by autocast. The features are float32.
        batch_size: documents of `max_length` tokens read at once, at most, or as many more shorter ones. On a CPU
            fewer are, which is faster.
        device: "cpu", "cuda", "cuda:1" or "mps".
        cache: look in the cache, and write to it.

    Raises:
        InputError: there is no such encoder, or it can't be used: no safetensors, no such layer, or a shorter longest
            input.

    Reference: Reimers & Gurevych 2019, section 3 (the three poolings), https://arxiv.org/abs/1908.10084; Sun et al.
        2019, section 5.3.1 (truncation) and 5.3.2 (layers), https://arxiv.org/abs/1905.05583.

    Compare with: `AveragedVectors`, faster, which reads each word without its context; `NgramVectorizer`;
    `EncoderWordFeatures`, a row per word.

    Example:
        >>> features = EncoderFeatures("sentence-transformers/all-MiniLM-L6-v2").encode(["a good book"])
        >>> features.shape
        (1, 384)
    """

    def __init__(
        self,
        folder_or_name: str | Path,
        *,
        pooling: Pooling = "mean",
        layers: Sequence[int] = (-1,),
        max_length: int = 256,
        truncation: Truncation = "head",
        precision: Precision = "fp32",
        batch_size: int = 32,
        device: str = "cpu",
        cache: bool = True,
    ) -> None:
        for name, value, known in (("pooling", pooling, Pooling), ("truncation", truncation, Truncation)):
            if value not in get_args(known):
                raise InputError(f"unknown {name}", expected=" or ".join(get_args(known)), found=repr(value))
        self.folder_or_name = str(folder_or_name)
        self.pooling = pooling
        self.layers = tuple(layers)
        self.max_length = max_length
        self.truncation = truncation
        self.precision = precision
        self.batch_size = batch_size
        self.device = device
        self.cache = cache
        self._frozen = FrozenEncoder(
            folder_or_name,
            layers=self.layers,
            precision=precision,
            max_length=max_length,
            batch_size=batch_size,
            device=device,
            cache=cache,
        )
        self.folder = self._frozen.folder

    @property
    def dim(self) -> int:
        """H, numbers per document."""
        return self._frozen.dim

    @property
    def digest(self) -> str:
        """Identifies the encoder: of its weights, its architecture and its tokenizer."""
        return self._frozen.digest

    def encode(self, documents: Sequence[Document]) -> np.ndarray:
        """The features of documents; those kept from an earlier call are read instead of computed.

        Args:
            documents: N texts.

        Returns:
            (N, H) float32, dense; zeros where the tokenizer makes no token of a text.

        Raises:
            InputError: a document is not a text.
        """
        texts = only_texts(documents)
        if not self.cache:
            return self._compute(texts)
        return kept_features(self._key(texts), (len(texts), self.dim), lambda: self._compute(texts))

    def transform(self, documents: Sequence[Document]) -> np.ndarray:
        """The same as `encode`, under the name that every extractor has."""
        return self.encode(documents)

    def num_truncated(self, documents: Sequence[Document]) -> int:
        """How many of the documents have tokens that are not read, since they have more than `max_length`."""
        return count_truncated(
            self._frozen.tokenizer,
            only_texts(documents),
            max_length=self.max_length,
            truncation=self.truncation,
        )

    def to_saved(self) -> tuple[dict[str, Any], dict[str, torch.Tensor], dict[str, Any]]:
        """The encoder's name or path, its digest and the settings, from which `from_saved` finds the same encoder."""
        folder = Path(self.folder_or_name).expanduser()
        config = {
            "type": "encoder",
            "encoder": str(folder.resolve()) if folder.is_dir() else self.folder_or_name,
            "digest": self.digest,
            "pooling": self.pooling,
            "layers": list(self.layers),
            "max_length": self.max_length,
            "truncation": self.truncation,
            "precision": self.precision,
            "batch_size": self.batch_size,
        }
        return config, {}, {}

    @classmethod
    def from_saved(
        cls, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], documents: Mapping[str, Any]
    ) -> EncoderFeatures:
        """The features of which `to_saved` gave `config`; on the CPU, and none of them kept.

        Raises:
            InputError: the encoder is no longer there, or is another one now.
        """
        # The last three are younger than the oldest saved models.
        names = ("pooling", "max_length", "batch_size", "layers", "truncation", "precision")
        settings = {name: config[name] for name in names if name in config}
        try:
            features = cls(config["encoder"], **settings, cache=False)
        except InputError as error:
            raise InputError(
                "the encoder that makes the features of this model is not at hand",
                where=config["encoder"],
                found=str(error).rstrip("."),
                remedy="Put the encoder there, or where it is a name on the hub, fetch it with: hf download NAME.",
            ) from error
        if features.digest != config["digest"]:
            raise InputError(
                "the encoder is not the one that the model was trained with",
                where=features.folder,
                expected=f"weights and tokenizer with digest {config['digest']}",
                found=features.digest,
                remedy="Put the encoder of that time in this place, or train the model again.",
            )
        return features

    def _key(self, texts: Sequence[str]) -> str:
        frozen = self._frozen
        settings = (self.pooling, frozen.layers, self.max_length, self.truncation, self.precision, len(texts))
        hasher = xxhash.xxh3_128(repr((self.digest, *settings)).encode())
        for text in texts:
            encoded = text.encode("utf-8", "surrogatepass")
            hasher.update(len(encoded).to_bytes(8, "little") + encoded)
        return hasher.hexdigest()

    def _compute(self, texts: Sequence[str]) -> np.ndarray:
        import torch
        from tqdm import tqdm

        frozen = self._frozen
        tokenized = tokenize_documents(frozen.tokenizer, texts, max_length=self.max_length, truncation=self.truncation)
        if tokenized.num_truncated:
            cut = "were cut after" if self.truncation == "head" else "lack their middle, being cut to"
            cut_of = (f"{tokenized.num_truncated:,}", f"{len(texts):,}")
            _log.warning("%s of %s documents %s %d tokens.", *cut_of, cut, self.max_length)
        lengths = np.fromiter(map(len, tokenized.ids), dtype=np.int64, count=len(tokenized.ids))
        features = np.full((len(texts), self.dim), -np.inf if self.pooling == "max" else 0, dtype=np.float32)
        num_pooled = np.zeros(len(texts), dtype=np.int64)
        # Longest first: what does not fit in memory shows at once, and rows of a batch need little padding.
        order = np.argsort(-lengths, kind="stable")
        order = order[lengths[order] > 0]
        with tqdm(total=len(order), desc="encoding", unit="text", disable=None) as bar:
            start = 0
            while start < len(order):
                longest = int(lengths[order[start]])
                rows = order[start : start + max(1, frozen.num_positions // longest)]
                input_ids = np.full((len(rows), longest), frozen.padding)
                mask = np.arange(longest) < lengths[rows, None]
                input_ids[mask] = np.concatenate([tokenized.ids[row] for row in rows.tolist()])
                hidden = frozen.hidden_states(torch.from_numpy(input_ids), torch.from_numpy(mask))  # (rows, time, H)
                counted = tokenized.counted[rows] if self.pooling != "cls" else np.array([[0, 1]] * len(rows))
                self._add(hidden, counted, tokenized.documents[rows], features, num_pooled)
                start += len(rows)
                bar.update(len(rows))
        if self.pooling != "max":
            features /= np.maximum(num_pooled, 1)[:, None]
        features[num_pooled == 0] = 0
        return features

    def _add(
        self,
        hidden: torch.Tensor,
        counted: np.ndarray,
        documents: np.ndarray,
        features: np.ndarray,
        num_pooled: np.ndarray,
    ) -> None:
        """Pool what counts of each row, and add it to what its document's other rows gave."""
        import torch

        places = torch.arange(hidden.shape[1], device=hidden.device)
        first, last = torch.from_numpy(counted).to(hidden.device).T[..., None]  # each (rows, 1)
        counts = ((places >= first) & (places < last))[..., None]  # (rows, time, 1)
        if self.pooling == "max":
            np.maximum.at(features, documents, hidden.masked_fill(~counts, float("-inf")).amax(dim=1).cpu().numpy())
        else:
            np.add.at(features, documents, (hidden * counts).sum(dim=1).cpu().numpy())
        np.add.at(num_pooled, documents, counted[:, 1] - counted[:, 0])
