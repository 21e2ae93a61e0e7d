"""Documents as the features of a frozen pretrained encoder, computed once and kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import xxhash
from safetensors import SafetensorError

from nlptransfer.data.documents import Document
from nlptransfer.embeddings.find_encoder import encoder_digest, find_encoder
from nlptransfer.errors import InputError
from nlptransfer.files import cache_folder, write_whole

if TYPE_CHECKING:
    import torch

Pooling = Literal["mean", "cls", "max"]

_log = logging.getLogger(__name__)


class EncoderFeatures:
    """The hidden states of a pretrained encoder's last layer, pooled over the tokens of a document.

    With h_1 to h_T the hidden states of the document's tokens, those that the tokenizer adds included::

        mean  (1 / T) sum_t h_t        cls  h_1        max  max_t h_t, for each dimension

    The encoder is not trained. Of a long document its first `max_length` tokens are read; `num_truncated` counts such
    documents. Features are kept in the cache under the digests of the encoder and the texts, so that a second run does
    not load the encoder. A saved model names the encoder and holds its digest, not its weights.

    Args:
        folder_or_name: a model folder as `transformers` writes it, or a name on the Hugging Face hub, which is looked
            up in the hub's local cache before it is fetched. Its weights must be safetensors; code that comes with a
            model is not run.
        pooling: "mean", "cls" or "max".
        max_length: in subword tokens.
        batch_size: documents read at once.
        device: "cpu", "cuda", "cuda:1" or "mps".
        cache: look in the cache, and write to it.

    Raises:
        InputError: there is no such encoder, or it can't be used: no safetensors, or a shorter longest input.

    Reference: Reimers & Gurevych 2019, section 3 (the three poolings), https://arxiv.org/abs/1908.10084.

    Compare with: `AveragedVectors`, faster, which reads each word without its context; `NgramVectorizer`.

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
        max_length: int = 256,
        batch_size: int = 32,
        device: str = "cpu",
        cache: bool = True,
    ) -> None:
        if pooling not in get_args(Pooling):
            raise InputError("unknown pooling", expected=" or ".join(get_args(Pooling)), found=repr(pooling))
        for name, value in (("max_length", max_length), ("batch_size", batch_size)):
            if value < 1:
                raise InputError(f"{name} is too small", expected="at least 1", found=str(value))
        self.folder_or_name = str(folder_or_name)
        self.pooling = pooling
        self.max_length = max_length
        self.batch_size = batch_size
        self.device = device
        self.cache = cache
        self.folder = find_encoder(self.folder_or_name)
        if getattr(self._config, "is_encoder_decoder", False):
            raise InputError(
                "the model is an encoder with a decoder",
                where=self.folder,
                expected="an encoder alone, such as those of the BERT family",
                found=str(self._config.model_type),
                remedy="Name another encoder.",
            )
        longest = min(
            getattr(self._config, "max_position_embeddings", None) or max_length, self._tokenizer.model_max_length
        )
        if max_length > longest:
            raise InputError(
                "max_length is more than the encoder reads",
                where=self.folder,
                expected=f"at most {longest}",
                found=str(max_length),
                remedy=f"Set it to {longest} or less.",
            )

    @property
    def dim(self) -> int:
        """H, numbers per document."""
        return int(self._config.hidden_size)

    @cached_property
    def digest(self) -> str:
        """Identifies the encoder: of its weights, its architecture and its tokenizer."""
        return encoder_digest(self.folder, remember=self.cache)

    def encode(self, documents: Sequence[Document]) -> np.ndarray:
        """The features of documents; those kept from an earlier call are read instead of computed.

        Args:
            documents: N texts.

        Returns:
            (N, H) float32, dense; zeros where the tokenizer makes no token of a text.

        Raises:
            InputError: a document is not a text.
        """
        texts = _texts(documents)
        if not self.cache:
            return self._compute(texts)
        kept = cache_folder() / "encoder_features" / f"{self._key(texts)}.npy"
        try:
            features = np.load(kept, allow_pickle=False)
            if features.shape == (len(texts), self.dim) and features.dtype == np.float32:
                return np.asarray(features)
            _log.warning("%s does not hold the features that its name says; they are computed anew.", kept)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, EOFError) as error:
            _log.warning("%s can't be read (%s); the features are computed anew.", kept, error)
        features = self._compute(texts)
        try:
            with write_whole(kept) as temporary:
                np.save(temporary, features)
        except OSError as error:
            _log.warning("The encoder's features can't be kept (%s); the next run computes them again.", error)
        return features

    def transform(self, documents: Sequence[Document]) -> np.ndarray:
        """The same as `encode`, under the name that every extractor has."""
        return self.encode(documents)

    def num_truncated(self, documents: Sequence[Document]) -> int:
        """How many of the documents have more than `max_length` tokens, of which the rest is not read."""
        texts = _texts(documents)
        return sum(len(ids) > self.max_length for ids in self._token_ids(texts, truncation=False))

    def to_saved(self) -> tuple[dict[str, Any], dict[str, torch.Tensor], dict[str, Any]]:
        """The encoder's name or path, its digest and the settings, from which `from_saved` finds the same encoder."""
        folder = Path(self.folder_or_name).expanduser()
        config = {
            "type": "encoder",
            "encoder": str(folder.resolve()) if folder.is_dir() else self.folder_or_name,
            "digest": self.digest,
            "pooling": self.pooling,
            "max_length": self.max_length,
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
        settings = {name: config[name] for name in ("pooling", "max_length", "batch_size")}
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
        hasher = xxhash.xxh3_128(repr((self.digest, self.pooling, self.max_length, len(texts))).encode())
        for text in texts:
            encoded = text.encode("utf-8", "surrogatepass")
            hasher.update(len(encoded).to_bytes(8, "little") + encoded)
        return hasher.hexdigest()

    def _token_ids(self, texts: Sequence[str], *, truncation: bool) -> list[list[int]]:
        if not texts:
            return []
        encoded = self._tokenizer(
            list(texts),
            truncation=truncation,
            max_length=self.max_length if truncation else None,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,  # long texts are expected here
        )
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def _compute(self, texts: Sequence[str]) -> np.ndarray:
        import torch
        from tqdm import tqdm

        ids = self._token_ids(texts, truncation=False)
        lengths = np.array([len(row) for row in ids], dtype=np.int64)
        too_long = np.flatnonzero(lengths > self.max_length).tolist()
        for index, cut in zip(
            too_long, self._token_ids([texts[index] for index in too_long], truncation=True), strict=True
        ):
            ids[index] = cut  # by the tokenizer, which keeps the tokens that it adds at the end
            lengths[index] = len(cut)
        if too_long:
            _log.warning(
                "%s of %s documents were cut after %d tokens.", f"{len(too_long):,}", f"{len(texts):,}", self.max_length
            )
        features = np.zeros((len(texts), self.dim), dtype=np.float32)
        # Longest first: what does not fit in memory shows at once, and documents of a batch need little padding.
        order = [index for index in np.argsort(-lengths, kind="stable").tolist() if lengths[index]]
        encoder, padding = self._encoder, self._tokenizer.pad_token_id or 0
        with torch.inference_mode(), tqdm(total=len(order), desc="encoding", unit="text", disable=None) as bar:
            for start in range(0, len(order), self.batch_size):
                rows = order[start : start + self.batch_size]
                input_ids = torch.full((len(rows), int(lengths[rows[0]])), padding)
                for row, index in enumerate(rows):
                    input_ids[row, : lengths[index]] = torch.tensor(ids[index])
                mask = torch.arange(input_ids.shape[1])[None] < torch.from_numpy(lengths[rows])[:, None]
                input_ids, mask = input_ids.to(self.device), mask.to(self.device)
                hidden = encoder(input_ids=input_ids, attention_mask=mask.long()).last_hidden_state  # (rows, time, H)
                features[rows] = _POOLINGS[self.pooling](hidden, mask).float().cpu().numpy()
                bar.update(len(rows))
        return features

    @cached_property
    def _config(self) -> Any:
        from transformers import AutoConfig

        return self._read(AutoConfig)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return self._read(AutoTokenizer)

    @cached_property
    def _encoder(self) -> Any:
        import torch
        from transformers import AutoModel
        from transformers.utils import logging as transformers_logging

        # Its bar is drawn into logs as well; whoever wants it gets it back.
        bars = transformers_logging.is_progress_bar_enabled()
        transformers_logging.disable_progress_bar()
        try:
            encoder = self._read(AutoModel, use_safetensors=True, dtype=torch.float32)
        finally:
            if bars:
                transformers_logging.enable_progress_bar()
        return encoder.to(self.device).eval().requires_grad_(False)

    def _read(self, kind: Any, **settings: Any) -> Any:
        try:
            return kind.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False, **settings)
        except (OSError, ValueError, SafetensorError) as error:
            raise InputError(
                f"transformers can't read the encoder ({' '.join(str(error).split())})",
                where=self.folder,
                expected="config.json, *.safetensors and the tokenizer's files of a model that transformers knows",
                remedy="Save it again with save_pretrained, or name another encoder.",
            ) from error


def _mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def _cls(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return hidden[:, 0]


def _max(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return hidden.masked_fill(~mask[..., None], float("-inf")).amax(dim=1)


_POOLINGS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {"mean": _mean, "cls": _cls, "max": _max}


def _texts(documents: Sequence[Document]) -> list[str]:
    texts = [document for document in documents if isinstance(document, str)]
    if len(texts) < len(documents):
        raise InputError(
            "an encoder reads texts",
            expected="running text",
            found="documents that are bags of counted terms",
            remedy="Choose a corpus with texts, or n-gram features.",
        )
    return texts
