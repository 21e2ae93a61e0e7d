"""Words in their sentences as the features of a frozen pretrained encoder, computed once and kept."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import xxhash

from nlptransfer.embeddings.frozen_encoder import FrozenEncoder, Precision, kept_features
from nlptransfer.errors import InputError

WordPooling = Literal["first", "mean"]

_log = logging.getLogger(__name__)


class EncoderWordFeatures:
    """The hidden states of a pretrained encoder at each word, for tagging.

    With h_1 to h_K the hidden states of the K subwords of a word, each the mean over the layers where several are
    read::

        first  h_1        mean  (1 / K) sum_k h_k

    Every word gives a row, one that the tokenizer makes nothing of as well: it is read as the unknown token. A sentence
    of more than `max_length` subwords is read in windows of whole words that overlap; each word counts in one. Features
    are kept in the cache, as those of `EncoderFeatures`.

    Args:
        folder_or_name: see `EncoderFeatures`.
        subwords: "first" or "mean".
        layers: which hidden states are read: 0 is the embeddings, 1 the first layer, -1 the last. Several are averaged.
        max_length: in subword tokens, special ones included.
        precision: of the pass: "fp32", or "bf16" by autocast. The features are float32.
        batch_size: sentences read at once.
        device: "cpu", "cuda", "cuda:1" or "mps".
        cache: look in the cache, and write to it.

    Raises:
        InputError: there is no such encoder, or it can't be used: no safetensors, no such layer, or a shorter longest
            input.

    Reference: Devlin et al. 2019, section 5.3 (the first subword; several layers), https://arxiv.org/abs/1810.04805.

    Compare with: `EncoderFeatures`, a row per document.

    Example:
        >>> rows, starts = EncoderWordFeatures("bert-base-cased").encode([["Rates", "rose"], ["No"]])
        >>> rows.shape, starts.tolist()
        ((3, 768), [0, 2, 3])
    """

    def __init__(
        self,
        folder_or_name: str | Path,
        *,
        subwords: WordPooling = "first",
        layers: Sequence[int] = (-1,),
        max_length: int = 256,
        precision: Precision = "fp32",
        batch_size: int = 32,
        device: str = "cpu",
        cache: bool = True,
    ) -> None:
        if subwords not in get_args(WordPooling):
            raise InputError("unknown subwords", expected=" or ".join(get_args(WordPooling)), found=repr(subwords))
        self.subwords = subwords
        self.cache = cache
        self._frozen = FrozenEncoder(
            folder_or_name,
            layers=layers,
            precision=precision,
            max_length=max_length,
            batch_size=batch_size,
            device=device,
            cache=cache,
        )

    @property
    def dim(self) -> int:
        """H, numbers per word."""
        return self._frozen.dim

    def encode(self, sentences: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        """The features of the words of sentences; those kept from an earlier call are read instead of computed.

        Args:
            sentences: N lists of words; empty ones are allowed.

        Returns:
            (words, H) float32, the rows of all sentences one after the other; and (N + 1,) where each sentence begins,
            the last being the number of words.

        Raises:
            InputError: `max_length` leaves no room for a word.
        """
        starts = np.concatenate([[0], np.cumsum([len(sentence) for sentence in sentences], dtype=np.int64)])
        if not self.cache:
            return self._compute(sentences), starts
        shape = (int(starts[-1]), self.dim)
        return kept_features(self._key(sentences), shape, lambda: self._compute(sentences)), starts

    def _key(self, sentences: Sequence[Sequence[str]]) -> str:
        frozen = self._frozen
        settings = ("words", self.subwords, frozen.layers, frozen.max_length, frozen.precision, len(sentences))
        hasher = xxhash.xxh3_128(repr((frozen.digest, *settings)).encode())
        for sentence in sentences:
            encoded = [word.encode("utf-8", "surrogatepass") for word in sentence]
            sizes = np.array([len(encoded), *map(len, encoded)], dtype="<i8")
            hasher.update(sizes.tobytes() + b"".join(encoded))
        return hasher.hexdigest()

    def _compute(self, sentences: Sequence[Sequence[str]]) -> np.ndarray:
        from tqdm import tqdm

        from nlptransfer.data.subword_words import WordBatches, encode_words, window_sizes

        frozen = self._frozen
        context, word_length = window_sizes(frozen.tokenizer, max_length=frozen.max_length)
        encoded = encode_words(frozen.tokenizer, sentences, max_word_length=word_length)
        if encoded.num_cut:
            _log.warning("Of %s words only the first subwords were read.", f"{encoded.num_cut:,}")
        batches = WordBatches(encoded, batch_size=frozen.batch_size, max_length=frozen.max_length, context=context)
        features = np.zeros((encoded.num_words, self.dim), dtype=np.float32)
        num_read = np.zeros(encoded.num_words, dtype=np.int64)
        with tqdm(total=len(batches.windows), desc="encoding", unit="sentence", disable=None) as bar:
            for windows, batch in batches.groups():
                assert batch.words is not None
                input_ids = batch.input_ids.masked_fill(~batch.mask, frozen.padding)
                hidden = frozen.hidden_states(input_ids, batch.mask).cpu().numpy()  # (windows, time, H)
                words = batch.words.numpy()  # (windows, time), counted from the window's first
                first = np.array([[window.first - window.start, window.last - window.start] for window in windows])
                counts = (words >= first[:, :1]) & (words < first[:, 1:])  # not those of context
                if self.subwords == "first":
                    counts[:, 1:] &= words[:, 1:] != words[:, :-1]
                rows = (words + np.array([[window.start] for window in windows]))[counts]
                np.add.at(features, rows, hidden[counts])
                np.add.at(num_read, rows, 1)
                bar.update(len(windows))
        sizes = np.diff(encoded.subword_starts)
        assert (num_read == (1 if self.subwords == "first" else sizes)).all(), "every word in is one row out"
        features /= num_read[:, None]
        return features
