"""Word vectors trained here and now, for whoever has text but no vector file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import xxhash

from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError


def train_word_vectors(
    sentences: Iterable[Sequence[str]],
    *,
    dim: int = 100,
    window: int = 5,
    epochs: int = 5,
    min_count: int = 1,
    skip_gram: bool = True,
    seed: int,
) -> WordVectors:
    """Train word2vec on tokenised text; the same text and seed give the same vectors, bit for bit.

    Args:
        sentences: lists of tokens, labelled or not. They are held in memory.
        dim: numbers per word.
        window: how many tokens to either side count as context.
        epochs: passes over the text.
        min_count: leave out words that are rarer than this.
        skip_gram: predict the context from the word, which suits little text; otherwise the word from the context.
        seed: of the first values and of the samples drawn.

    Returns:
        The vectors, most frequent word first.

    Raises:
        InputError: no word occurs `min_count` times.

    Reference: Mikolov, Sutskever, Chen, Corrado, Dean (2013), Distributed Representations of Words and Phrases and
    their Compositionality, https://arxiv.org/abs/1310.4546

    Compare with: `read_word_vectors` for vectors of far more text, which nearly always serve better.

    Example:
        >>> vectors = train_word_vectors([["a", "good", "book"], ["a", "bad", "film"]], dim=20, seed=0)
        >>> len(vectors), vectors.dim
        (5, 20)
    """
    from gensim.models import Word2Vec

    texts = [list(sentence) for sentence in sentences]
    model = Word2Vec(vector_size=dim, window=window, min_count=min_count, sg=int(skip_gram), seed=seed, workers=1)
    model.build_vocab(texts)
    if not len(model.wv):
        raise InputError(
            "no word to train vectors for",
            expected=f"text in which some word occurs at least {min_count} times",
            found=f"{len(texts):,} sentences of {sum(map(len, texts)):,} tokens",
        )
    # One worker: with more, the order of updates, and so the result, depends on the threads.
    model.train(texts, total_examples=model.corpus_count, epochs=epochs)
    matrix = np.array(model.wv.vectors, dtype=np.float32)
    words = list(model.wv.index_to_key)
    hasher = xxhash.xxh3_128(matrix.tobytes())
    hasher.update("\n".join(words).encode("utf-8", "surrogatepass"))
    kind = "skip-gram" if skip_gram else "CBOW"
    source = f"word2vec ({kind}, {dim} dimensions, seed {seed}) trained on {sum(map(len, texts)):,} tokens"
    return WordVectors(words=words, matrix=matrix, subwords=None, source=source, digest=hasher.hexdigest())
