"""Find documents that occur more than once: a key per document, equal where the documents are."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow
    from numpy.typing import NDArray


def document_keys(table: pyarrow.Table) -> NDArray[np.uint64]:
    """A 64-bit key of each document, to compare many documents fast.

    Texts are the same whatever their case and white space; bags of counted terms are the same if they hold the same
    terms equally often, in any order.

    Args:
        table: with a column ``text``, or with ``terms`` and ``counts``.

    Returns:
        (documents,) keys. Different documents share one with a probability of about n^2 / 2^65.

    Example:
        >>> import pyarrow
        >>> first, second = document_keys(pyarrow.table({"text": ["A  fine book", "a fine book\\n"]}))
        >>> first == second
        True
    """
    if "text" in table.column_names:
        return _hash(" ".join(text.split()).casefold() for text in table["text"].to_pylist())
    return _bag_keys(table["terms"].combine_chunks(), table["counts"].combine_chunks())


def _hash(texts: Iterable[str]) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(blake2b(text.encode(), digest_size=8).digest() for text in texts), dtype=np.uint64)


def _bag_keys(terms: pyarrow.ListArray, counts: pyarrow.ListArray) -> NDArray[np.uint64]:
    """The sum of a hash of each term with its count: the order of the terms does not matter to it."""
    encoded = terms.flatten().dictionary_encode()
    hashes = _hash(encoded.dictionary.to_pylist())[encoded.indices.to_numpy()]
    # Multiplied and shifted until every bit of term and count has touched every other (as splitmix64 ends), so that
    # a count moved from one term to another changes the sum.
    hashes ^= counts.flatten().to_numpy(zero_copy_only=False).astype(np.float64).view(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        hashes ^= hashes >> np.uint64(shift)
        hashes *= np.uint64(factor)
    hashes ^= hashes >> np.uint64(31)
    # Differences of running sums: reduceat would give an empty bag the hash of its neighbour's first term.
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(hashes, dtype=np.uint64)])
    ends = np.cumsum(terms.value_lengths().to_numpy())
    return sums[ends] - sums[np.concatenate([[0], ends[:-1]])] if len(ends) else sums[:0]


def repeats_earlier(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """(documents,) True where an earlier document has the same key."""
    repeated = np.ones(len(keys), dtype=bool)
    repeated[np.unique(keys, return_index=True)[1]] = False
    return repeated
