"""Which word follows which: counts of running text in bounded memory, and a smoothed bigram model of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

BOUNDARY = ""
"""Stands for the ends of a sentence and for what is no word: numbers and punctuation."""

_DISCOUNT = 0.75


@dataclass(frozen=True, eq=False)
class BigramCounts:
    """Words and pairs of neighbours in running text.

    Attributes:
        words: V words, the most frequent first after `BOUNDARY`, which is at 0.
        counts: (V,) int64, how often each occurs.
        first: (M,) int32, the row of the first word of each pair, ascending.
        second: (M,) int32, the row of the second.
        pair_counts: (M,) int64, how often the two stand side by side.
    """

    words: list[str]
    counts: np.ndarray
    first: np.ndarray
    second: np.ndarray
    pair_counts: np.ndarray


def is_word(token: str) -> bool:
    """Whether a token holds a letter."""
    return any(character.isalpha() for character in token)


def count_bigrams(
    sentences: Iterable[Sequence[str]], *, max_words: int = 200_000, max_bigrams: int = 2_000_000
) -> BigramCounts:
    """Count the words and the pairs of neighbours of running text, read once.

    Pairs are dropped while the text is read whenever there are more than twice `max_bigrams` of them, the rarest
    first, so that those which begin to occur late are counted a little low.

    Args:
        sentences: lists of tokens. A token without a letter counts as the end of a sentence.
        max_words: words that are kept, the most frequent ones.
        max_bigrams: pairs that are kept, about, the most frequent ones.

    Returns:
        The counts.

    Example:
        >>> count_bigrams([["so", "it", "goes"], ["so", "it", "is"]]).words
        ['', 'so', 'it', 'goes', 'is']
    """
    rows: dict[str, int] = {BOUNDARY: 0}
    counts: Counter[int] = Counter()
    pairs: Counter[int] = Counter()
    # A pair is one number: cheaper than a tuple by two thirds.
    for sentence in sentences:
        ids = [0]
        for token in sentence:
            row = rows.get(token)
            if row is None:
                row = 0
                if is_word(token):
                    row = rows[token] = len(rows)
            if row or ids[-1]:
                ids.append(row)
        if ids[-1]:
            ids.append(0)
        counts.update(ids[1:])
        pairs.update([(a << 32) | b for a, b in pairwise(ids)])
        if len(pairs) > 2 * max_bigrams:
            pairs = Counter(dict(pairs.most_common(max_bigrams)))
    counts[0] = counts[0]  # There, also in an empty text.
    words = list(rows)
    kept = [0, *(row for row, _ in counts.most_common(max_words + 1) if row)][: max_words + 1]
    new_rows = np.full(len(words), -1, dtype=np.int64)
    new_rows[kept] = np.arange(len(kept))
    common = pairs.most_common(max_bigrams)
    numbers = np.array([number for number, _ in common], dtype=np.int64)
    pair_counts = np.array([count for _, count in common], dtype=np.int64)
    first, second = new_rows[numbers >> 32], new_rows[numbers & 0xFFFFFFFF]
    known = (first >= 0) & (second >= 0)
    order = np.lexsort((second[known], first[known]))
    return BigramCounts(
        words=[words[row] for row in kept],
        counts=np.array([counts[row] for row in kept], dtype=np.int64),
        first=first[known][order].astype(np.int32),
        second=second[known][order].astype(np.int32),
        pair_counts=pair_counts[known][order],
    )


class BigramModel:
    r"""Probability of a word after another, smoothed by interpolated absolute discounting.

    .. math::
        P(w \mid v) = \frac{\max(n(v w) - d, 0)}{n(v)} + \beta(v) P(w), \qquad
        P(w) = \frac{\max(n(w) - d, 0)}{N} + \beta\, P_0(w)

    with :math:`d = 0.75`, :math:`N` all words and :math:`\beta` what the discounts (and pairs that were not kept)
    leave over, so that the probabilities of a :math:`v` sum to one. :math:`P_0` is given for words that are on no list.

    Args:
        counts: of running text; :math:`n`.
        log_unseen: :math:`\log P_0` of a word, such as `SpellingModel.log_probability`.

    Reference:
        Ney, Essen and Kneser 1994, "On structuring probabilistic dependences in stochastic language modelling",
        section 3, https://doi.org/10.1006/csla.1994.1001.

    Example:
        >>> model = BigramModel(count_bigrams([["a", "b"]]), log_unseen=lambda word: -5.0)
        >>> model.log_next("a", "b") > model.log_next("b", "a")
        True
    """

    def __init__(self, counts: BigramCounts, *, log_unseen: Callable[[str], float]) -> None:
        self.counts = counts
        self._log_unseen = log_unseen
        self._row_of = {word: row for row, word in enumerate(counts.words)}
        self._starts = np.searchsorted(counts.first, np.arange(len(counts.words) + 1))
        total = int(counts.counts.sum())
        discounted = np.maximum(counts.counts - _DISCOUNT, 0.0) / max(total, 1)
        self._shares = discounted.tolist()
        self._left = 1 - float(discounted.sum())
        self._single: dict[str, float] = {}
        self._followers: dict[int, tuple[dict[int, float], float]] = {}

    def __contains__(self, word: str) -> bool:
        return word in self._row_of

    def count(self, word: str) -> int:
        """How often a word occurs in the text."""
        row = self._row_of.get(word)
        return 0 if row is None else int(self.counts.counts[row])

    def log_probability(self, word: str) -> float:
        """log P(word)."""
        found = self._single.get(word)
        if found is None:
            row = self._row_of.get(word)
            share = 0.0 if row is None else self._shares[row]
            found = self._single[word] = _log_sum(share, self._left, self._log_unseen(word))
        return found

    def log_next(self, previous: str, word: str) -> float:
        """log P(word | previous); without the first where it was never seen."""
        first = self._row_of.get(previous)
        single = self.log_probability(word)
        if first is None:
            return single
        followers, left = self._followers.get(first) or self._read_followers(first)
        second = self._row_of.get(word)
        kept = 0.0 if second is None else followers.get(second, 0.0)
        return _log_sum(kept, left, single)

    def _read_followers(self, first: int) -> tuple[dict[int, float], float]:
        """The words that follow one, with their discounted shares, and what these leave over."""
        part = slice(self._starts[first], self._starts[first + 1])
        total = int(self.counts.counts[first])
        shares = (self.counts.pair_counts[part] - _DISCOUNT) / max(total, 1)
        followers = dict(zip(self.counts.second[part].tolist(), shares.tolist(), strict=True))
        self._followers[first] = followers, 1 - float(shares.sum())
        return self._followers[first]


def _log_sum(kept: float, left: float, log_rest: float) -> float:
    """log(kept + left * exp(log_rest)), also where the exponential is too small for a number."""
    return math.log(kept + left * math.exp(log_rest)) if kept else math.log(left) + log_rest
