"""Words (or characters, or tags) to integers and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

PADDING = 0
UNKNOWN = 1
RESERVED = ("<padding>", "<unknown>")

BOUNDARIES = ("<begin>", "<end>")
"""The entries of a character vocabulary that mark where a word begins and ends."""


class Vocabulary:
    """An ordered list of entries, after the two reserved ids: 0 for padding and 1 for what is unknown.

    Args:
        entries: the distinct entries, in the order of their ids from 2 on.

    Raises:
        ValueError: an entry occurs twice.

    Example:
        >>> vocabulary = Vocabulary(["the", "bank"])
        >>> vocabulary.ids(["the", "river", "bank"])
        array([2, 1, 3])
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self.entries = list(entries)
        self._ids = {entry: number for number, entry in enumerate(self.entries, start=len(RESERVED))}
        if len(self._ids) != len(self.entries):
            twice = next(entry for entry, count in Counter(self.entries).items() if count > 1)
            raise ValueError(f"a vocabulary's entries are distinct, but {twice!r} occurs twice")

    def __len__(self) -> int:
        """How many ids there are, the two reserved ones included."""
        return len(self.entries) + len(RESERVED)

    def __contains__(self, entry: str) -> bool:
        return entry in self._ids

    def ids(self, entries: Iterable[str]) -> np.ndarray:
        """The id of each entry, (N,) int64; `UNKNOWN` for what the vocabulary does not hold."""
        return np.fromiter((self._ids.get(entry, UNKNOWN) for entry in entries), dtype=np.int64)


def count_entries(sequences: Iterable[Iterable[str]]) -> dict[str, int]:
    """How often each entry occurs, the most frequent first; among equals the one met first.

    Args:
        sequences: sentences of words, or words of characters.

    Returns:
        Entry -> count, in that order.
    """
    counts: Counter[str] = Counter()
    for sequence in sequences:
        counts.update(sequence)
    return dict(counts.most_common())


def spell(words: Sequence[str], characters: Vocabulary, *, max_length: int = 40) -> np.ndarray:
    """Spell each word in character ids, between two boundary marks.

    A word longer than `max_length` keeps its first and its last characters: its ends tell most about its class.

    Args:
        words: N words.
        characters: the vocabulary of characters. The boundary marks are the entries of `BOUNDARIES`.
        max_length: characters kept of one word.

    Returns:
        (N, longest + 2) int64, `PADDING` after each word's end.
    """
    tail = max_length // 2
    head = max_length - tail
    kept = [word if len(word) <= max_length else word[:head] + word[len(word) - tail :] for word in words]
    lengths = np.fromiter((len(word) for word in kept), dtype=np.int64, count=len(kept))
    # Code points of all words in one array: a dictionary look-up per distinct character, not per character.
    points = np.frombuffer("".join(kept).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    distinct, positions = np.unique(points, return_inverse=True)
    ids = characters.ids(map(chr, distinct.tolist()))[positions]
    spelled = np.zeros((len(kept), int(lengths.max(initial=0)) + 2), dtype=np.int64)
    columns = np.arange(spelled.shape[1])
    begin, end = characters.ids(BOUNDARIES)
    spelled[:, 0] = begin
    spelled[(columns >= 1) & (columns <= lengths[:, None])] = ids
    spelled[np.arange(len(kept)), lengths + 1] = end
    return spelled
