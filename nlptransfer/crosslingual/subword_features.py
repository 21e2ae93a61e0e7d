"""Words as the mean of their subwords' embeddings: what a recurrent tagger reads where languages share subwords."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nlptransfer.data.batching import EncodedSentences, encode_sentences
from nlptransfer.data.subword_words import encode_words
from nlptransfer.data.vocabulary import PADDING, Vocabulary
from nlptransfer.types import Batch


class SubwordWordFeatures(nn.Module):
    r"""One vector per word, the mean of the embeddings of its subwords.

    .. math:: x(w) = \frac{1}{|g(w)|} \sum_{s \in g(w)} e_s

    with :math:`g(w)` the subwords that the tokenizer cuts the word into, repeated ones repeatedly. No word has an
    embedding of its own, so that a word never seen in training, of either language, is read like any other. The order
    of a word's subwords is lost.

    It takes the place of `WordFeatures`: `encode` makes what `Batches` takes. A distinct word's subwords travel where
    otherwise its characters do, in `Batch.characters`; `Batch.input_ids` say nothing.

    Its weights are drawn from torch's global generator: make it within `seeded`.

    Args:
        tokenizer: a tokenizer of `transformers`, such as `train_shared_vocabulary` gives.
        dim: D, numbers per word.

    Attributes:
        output_dim: D.

    Reference:
        Zhao, Mudgal & Liang 2018, https://aclanthology.org/D18-1059, whose subwords are character n-grams.

    Compare with:
        `train_shared_vectors`, whose vectors of subwords have learnt from unlabelled text, and which need no other
        network; `WordFeatures` with a character encoder, which knows the order of letters, and with word dropout:
        prefer these where most target words occur in training once they are bridged.

    Example:
        >>> words = SubwordWordFeatures(tokenizer, 100)
        >>> words(next(iter(Batches(words.encode([["The", "bank"]]), batch_size=1)))).shape
        torch.Size([1, 2, 100])
    """

    def __init__(self, tokenizer: Any, dim: int) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.output_dim = dim
        # Subword s is row s + 1: row 0 is padding, which not every tokenizer has, or has at 0.
        self.embedding = nn.Embedding(len(tokenizer) + 1, dim, padding_idx=PADDING)
        with torch.no_grad():
            self.embedding.weight.uniform_(-math.sqrt(3.0 / dim), math.sqrt(3.0 / dim))  # rows of norm 1 or so
            self.embedding.weight[PADDING] = 0.0

    def forward(self, batch: Batch) -> torch.Tensor:
        """(batch, time, D)."""
        assert batch.characters is not None and batch.character_rows is not None, "encode sentences by `encode`"
        sums = self.embedding(batch.characters).sum(dim=1)  # (distinct words, D)
        sizes = (batch.characters != PADDING).sum(dim=1, keepdim=True)
        return functional.embedding(batch.character_rows, sums / sizes)

    def encode(
        self, sentences: Sequence[Sequence[str]], labels: Sequence[Sequence[int]] | None = None
    ) -> EncodedSentences:
        """Sentences as the integers that these features are made from.

        Args:
            sentences: lists of words, bridged as the text that the tokenizer learnt from.
            labels: one integer per word; None when there are none.

        Raises:
            ValueError: a sentence has more or fewer labels than words.
        """
        encoded = encode_sentences(sentences, Vocabulary([]), labels=labels)
        words = list(dict.fromkeys(word for sentence in sentences for word in sentence))  # in the order of `word_ids`
        pieces = encode_words(self.tokenizer, [words])
        sizes = np.diff(pieces.subword_starts)
        spelled = np.full((len(words), int(sizes.max(initial=1))), PADDING, dtype=np.int64)
        spelled[np.arange(spelled.shape[1]) < sizes[:, None]] = pieces.subwords + 1
        return replace(encoded, characters=spelled)
