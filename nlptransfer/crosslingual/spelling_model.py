"""Which spellings look like words of a language: a character n-gram model of its word list."""

from __future__ import annotations

import math
from collections.abc import Iterable

WORD_START, WORD_END = "\x02", "\x03"
"""Marks at the ends of a word, which no word holds."""

_DISCOUNT = 0.75
_CACHED = 2_000_000


class SpellingModel:
    r"""Probability of a spelling, character by character, smoothed by interpolated absolute discounting.

    .. math::
        P(w) = \prod_i P(c_i \mid h_i), \qquad
        P(c \mid h) = \frac{\max(n(h c) - d, 0)}{n(h \cdot)} + \frac{d\, n_{1+}(h \cdot)}{n(h \cdot)} P(c \mid h')

    with :math:`h` the last `order` - 1 characters (the start of the word is one, and its end is predicted),
    :math:`h'` the same without its first, :math:`d = 0.75`, and the same chance for every character below one
    character. Each word of the list counts once: how often it is used says little about how words are spelled.

    Args:
        words: the list; repeats count again.
        order: length of the n-grams, in characters.

    Reference:
        Ney, Essen and Kneser 1994, "On structuring probabilistic dependences in stochastic language modelling",
        section 3, https://doi.org/10.1006/csla.1994.1001.

    Example:
        >>> model = SpellingModel(["banana", "bandana"])
        >>> model.log_probability("banana") > model.log_probability("nabnan")
        True
    """

    def __init__(self, words: Iterable[str], *, order: int = 5) -> None:
        if order < 1:
            raise ValueError(f"order must be at least 1, found {order}")
        self.order = order
        self._counts: dict[str, dict[str, int]] = {}
        counts = self._counts
        for word in words:
            padded = f"{WORD_START}{word}{WORD_END}"
            for end in range(1, len(padded)):
                character = padded[end]
                for start in range(max(0, end - order + 1), end + 1):
                    following = counts.setdefault(padded[start:end], {})
                    following[character] = following.get(character, 0) + 1
        self._totals = {history: sum(following.values()) for history, following in counts.items()}
        # One more for characters that were never seen.
        self._uniform = 1 / (len(counts.get("", {})) + 1)
        self._cached: dict[tuple[str, str], float] = {}

    def log_next(self, history: str, character: str) -> float:
        """log P(character | history).

        Args:
            history: what stands before it, with `WORD_START`; the last `order` - 1 characters are read.
            character: one character, or `WORD_END`.
        """
        history = history[-(self.order - 1) :] if self.order > 1 else ""
        found = self._cached.get((history, character))
        if found is None:
            if len(self._cached) >= _CACHED:
                self._cached.clear()
            found = self._cached[history, character] = math.log(self._probability(history, character))
        return found

    def log_probability(self, word: str) -> float:
        """log P(word), its end included."""
        padded = f"{WORD_START}{word}{WORD_END}"
        return sum(self.log_next(padded[:end], padded[end]) for end in range(1, len(padded)))

    def _probability(self, history: str, character: str) -> float:
        following = self._counts.get(history)
        shorter = self._probability(history[1:], character) if history else self._uniform
        if following is None:
            return shorter
        total = self._totals[history]
        kept = max(following.get(character, 0) - _DISCOUNT, 0.0)
        return (kept + _DISCOUNT * len(following) * shorter) / total
