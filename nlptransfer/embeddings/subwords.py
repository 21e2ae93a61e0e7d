"""fastText's character n-grams: vectors for words that no file lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from nlptransfer.embeddings.word_forms import WantedWords

_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Subwords:
    """The n-gram part of a fastText model.

    An unseen word w gets

        v(w) = 1/|G(w)| * sum over g in G(w) of z(hash(g) mod B)

    with G(w) the character n-grams of ``<w>`` of min_n to max_n characters and B the number of buckets.

    Attributes:
        ngrams: (N, D) float32, z.
        num_buckets: B.
        min_n: shortest n-gram, in characters.
        max_n: longest n-gram, in characters.
        buckets: (N,) ascending, the bucket of each row of `ngrams`; None when all B are there in order.

    Reference: Bojanowski, Grave, Joulin, Mikolov (2017), Enriching Word Vectors with Subword Information, section 3.2,
    https://aclanthology.org/Q17-1010
    """

    ngrams: np.ndarray
    num_buckets: int
    min_n: int
    max_n: int
    buckets: np.ndarray | None = None

    def rows(self, word: str) -> np.ndarray:
        """The rows of `ngrams` that spell `word`; empty when it has no n-grams, or one of them is not held here."""
        hashes = self.hashes(word)
        if self.buckets is None or not len(hashes):
            return hashes
        rows = np.minimum(np.searchsorted(self.buckets, hashes), len(self.buckets) - 1)
        # An average over some of the n-grams would be another vector than fastText's, and nobody would notice.
        return rows if np.array_equal(self.buckets[rows], hashes) else rows[:0]

    def vector(self, word: str) -> np.ndarray | None:
        """(D,) the vector of `word` from its n-grams alone; None when it can't be had."""
        rows = self.rows(word)
        return self.ngrams[rows].mean(axis=0, dtype=np.float32) if len(rows) else None

    def hashes(self, word: str) -> np.ndarray:
        """The buckets of the n-grams of `word`, with repeats."""
        from gensim.models.fasttext import ft_ngram_hashes

        return np.array(ft_ngram_hashes(word, self.min_n, self.max_n, self.num_buckets), dtype=np.int64)

    def restricted_to(self, words: list[str]) -> Subwords:
        """Only the n-grams that `words` need, copied into memory."""
        if self.buckets is not None or not words:
            return self
        held = np.unique(np.concatenate([self.hashes(word) for word in words]))
        if not len(held):
            return replace(self, ngrams=self.ngrams[:1].copy(), buckets=np.zeros(1, dtype=np.int64))
        return replace(self, ngrams=self.ngrams[held], buckets=held)


def composed_vectors(
    words: list[str],
    own_vectors: np.ndarray,
    subwords: Subwords | None,
    *,
    wanted: WantedWords | None = None,
    max_words: int | None = None,
    without_ngrams: str | None = None,
) -> Iterator[tuple[list[str], np.ndarray]]:
    """The vectors of listed words: the mean of a word's own vector u and those of its n-grams.

        v(w) = (u(w) + sum over g in G(w) of z(hash(g) mod B)) / (1 + |G(w)|)

    Args:
        words: V words.
        own_vectors: (V, D), u.
        subwords: z, B and the lengths of n-grams; None for a model without them, where v = u.
        wanted: keep only these words.
        max_words: keep only words among the first so many.
        without_ngrams: a word that has only its own vector.

    Yields:
        Words and their vectors (words, D) float32, in the same order.
    """
    kept = [row for row, word in enumerate(words[:max_words]) if wanted is None or word in wanted]
    for start in range(0, len(kept), _ROWS):
        rows = kept[start : start + _ROWS]
        part = [words[row] for row in rows]
        vectors = np.array(own_vectors[rows], dtype=np.float32)
        if subwords is not None:
            for vector, word in zip(vectors, part, strict=True):
                ngrams = subwords.hashes(word)
                if len(ngrams) and word != without_ngrams:
                    vector += subwords.ngrams[ngrams].sum(axis=0)
                    vector /= len(ngrams) + 1
        yield part, vectors
