"""Word vectors as named arrays and plain values, for keeping them inside a model folder."""

from __future__ import annotations

from typing import Any

import numpy as np

from nlptransfer.embeddings.subwords import Subwords
from nlptransfer.embeddings.word_vectors import WordVectors


def pack_vectors(vectors: WordVectors) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays by name, and what else it takes, as JSON can hold it."""
    arrays = {"matrix": np.array(vectors.matrix)}
    rest: dict[str, Any] = {"words": vectors.words, "source": vectors.source, "digest": vectors.digest}
    if vectors.subwords is not None:
        subwords = vectors.subwords
        arrays["ngrams"] = np.array(subwords.ngrams)
        if subwords.buckets is not None:
            arrays["buckets"] = np.array(subwords.buckets)
        rest["subwords"] = {"num_buckets": subwords.num_buckets, "min_n": subwords.min_n, "max_n": subwords.max_n}
    return arrays, rest


def unpack_vectors(arrays: dict[str, np.ndarray], rest: dict[str, Any]) -> WordVectors:
    """The vectors that `pack_vectors` packed."""
    subwords = None
    if rest.get("subwords"):
        subwords = Subwords(ngrams=arrays["ngrams"], buckets=arrays.get("buckets"), **rest["subwords"])
    return WordVectors(rest["words"], arrays["matrix"], subwords, source=rest["source"], digest=rest["digest"])
