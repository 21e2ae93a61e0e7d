"""Rows of a vector file as they come from a reader: repeated words dropped, odd numbers refused."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import numpy as np

from nlptransfer.errors import InputError

Chunks = Iterable[tuple[list[str], np.ndarray]]
"""What every reader gives: some words, and their vectors (words, D) float32, in the order of the file."""

_log = logging.getLogger(__name__)


class DistinctRows:
    """Iterates over the vectors of a reader, keeping the first of each word.

    Args:
        chunks: from a reader.
        where: the file, for messages.

    Attributes:
        words: the words whose vectors were given so far.
        num_repeated: how many rows were dropped because their word had come before.
    """

    def __init__(self, chunks: Chunks, *, where: str) -> None:
        self._chunks = chunks
        self._where = where
        self._seen: set[str] = set()
        self.words: list[str] = []
        self.num_repeated = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        num_undecodable = 0
        for words, rows in self._chunks:
            self._check_finite(words, rows)
            num_undecodable += sum("\ufffd" in word for word in words if not word.isascii())
            if self._seen.isdisjoint(words) and len(set(words)) == len(words):
                self._seen.update(words)
                self.words += words
                yield rows
                continue
            kept = []
            for position, word in enumerate(words):
                if word not in self._seen:
                    self._seen.add(word)
                    kept.append(position)
            self.words += [words[position] for position in kept]
            self.num_repeated += len(words) - len(kept)
            if kept:
                yield rows[kept]
        if self.num_repeated:
            _log.warning("%s: %d repeated words; the first vector of each is used.", self._where, self.num_repeated)
        if num_undecodable:
            _log.warning("%s: %d words hold characters that are not valid UTF-8.", self._where, num_undecodable)

    def _check_finite(self, words: list[str], rows: np.ndarray) -> None:
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            position = int(np.argmin(finite))
            raise InputError(
                f"the vector of {words[position]!r} holds a number that is not finite",
                where=self._where,
                found=str(rows[position][~np.isfinite(rows[position])][0]),
                remedy="Download or convert the file again.",
            )


def rows_in_memory(rows: Iterable[np.ndarray], dim: int) -> np.ndarray:
    """One (V, dim) float32 array of all rows, without ever holding them twice."""
    # A bytearray grows in place where the system lets it; a list of arrays would need a second copy to be joined.
    grown = bytearray()
    for part in filter(len, rows):
        grown += np.ascontiguousarray(part, dtype=np.float32).data.cast("B")
    return np.frombuffer(grown, dtype=np.float32).reshape(-1, dim)
