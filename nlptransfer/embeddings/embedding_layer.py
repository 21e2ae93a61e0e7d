"""Word vectors and a vocabulary make an embedding layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import nn

from nlptransfer.data.vocabulary import PADDING, RESERVED, Vocabulary
from nlptransfer.embeddings.word_forms import FALLBACKS
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError

Unseen = Literal["random", "mean", "zero"]


def make_embedding(
    vectors: WordVectors,
    vocabulary: Vocabulary,
    *,
    trainable: bool,
    unseen: Unseen = "random",
    fallbacks: Sequence[str] = FALLBACKS,
    generator: torch.Generator | None = None,
) -> nn.Embedding:
    """One row per id of the vocabulary: its vector where there is one.

    Args:
        vectors: V words of D dimensions.
        vocabulary: the ids; `PADDING` gets zeros, `UNKNOWN` is a word without a vector.
        trainable: whether training may change the rows.
        unseen: what a word without a vector starts from: "random", Gaussian with the mean and the standard deviation
            that each dimension has over the vectors; "mean", the mean vector; "zero".
        fallbacks: how a word may be found beside its exact form.
        generator: draws the random rows.

    Returns:
        An embedding of shape (len(vocabulary), D).

    Raises:
        InputError: there are no vectors.
        ValueError: an unknown choice of `unseen`.

    Example:
        >>> layer = make_embedding(read_word_vectors("glove.txt"), vocabulary, trainable=False)
    """
    if not len(vectors):
        raise InputError(
            "the vectors hold none of the words",
            where=vectors.source,
            remedy="Check that the vectors are of the text's language and spelling.",
        )
    found_vectors, found_by = vectors.vectors_for(vocabulary.entries, fallbacks=fallbacks)
    found = np.asarray(found_by) != "not found"
    weight = torch.empty(len(vocabulary), vectors.dim)
    # The first words stand for all: files are sorted by frequency, and millions of rows need not be read for this.
    sample = torch.from_numpy(np.array(vectors.matrix[:50_000]))
    if unseen == "random":
        weight.normal_(generator=generator)
        weight.mul_(sample.std(dim=0, correction=0)).add_(sample.mean(dim=0))
    elif unseen == "mean":
        weight[:] = sample.mean(dim=0)
    elif unseen == "zero":
        weight.zero_()
    else:
        raise ValueError(f"unseen must be 'random', 'mean' or 'zero'; found {unseen!r}")
    rows = torch.from_numpy(np.flatnonzero(found)) + len(RESERVED)
    weight[rows] = torch.from_numpy(found_vectors[found])
    weight[PADDING] = 0.0
    return nn.Embedding.from_pretrained(weight, freeze=not trainable, padding_idx=PADDING)


def make_random_embedding(
    vocabulary: Vocabulary, dim: int, *, generator: torch.Generator | None = None
) -> nn.Embedding:
    """An embedding that knows nothing yet: uniform between ``±sqrt(3 / dim)``, so that a row's norm is about 1.

    Args:
        vocabulary: the ids; `PADDING` gets zeros.
        dim: columns.
        generator: draws the rows.

    Returns:
        A trainable embedding of shape (len(vocabulary), dim).
    """
    bound = math.sqrt(3.0 / dim)
    weight = torch.empty(len(vocabulary), dim).uniform_(-bound, bound, generator=generator)
    weight[PADDING] = 0.0
    return nn.Embedding.from_pretrained(weight, freeze=False, padding_idx=PADDING)
