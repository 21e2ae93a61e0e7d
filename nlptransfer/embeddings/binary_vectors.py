"""Word vectors as written by word2vec in binary: a header line, then words and 32-bit floats."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from nlptransfer.embeddings.vector_formats import CONTROL, VectorFile, open_vector_file
from nlptransfer.embeddings.word_forms import WantedWords
from nlptransfer.errors import InputError

_BLOCK = 1 << 20
_LONGEST_WORD = 1 << 16


def read_binary_vectors(
    file: VectorFile, *, wanted: WantedWords | None = None, max_words: int | None = None
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Read a word2vec binary file in blocks, with or without a line end behind each vector.

    Args:
        file: what `detect_format` said.
        wanted: keep only these words.
        max_words: read only so many.

    Yields:
        Words and their vectors (words, dim) float32, in the order of the file.

    Raises:
        InputError: the file ends early or goes on too long, or what should be a word is not text; the message names
            the word by its number.
    """
    assert file.num_words is not None
    size = 4 * file.dim
    limit = file.num_words if max_words is None else min(file.num_words, max_words)
    # A word, a space, and the bytes of its vector; or what is left at the end of a block. Found in bulk by the regular
    # expression engine, since a loop in Python over millions of words would take longer than reading the file.
    records = re.compile(rb"([^ ]* ).{%d}|.+" % size, re.DOTALL)
    num_words = 0
    rest = b""
    with open_vector_file(file.path, compressed=file.compressed) as stream:
        stream.seek(file.start)
        while num_words < limit:
            block = stream.read(_BLOCK)
            if not block:
                raise InputError(
                    "the file is cut short, or its header promises too much",
                    where=file.path,
                    expected=f"{file.num_words:,} words of {file.dim} numbers, as the header says",
                    found=f"{num_words:,} whole words",
                    remedy="Download or copy the file again.",
                )
            block = rest + block
            heads = records.findall(block)
            if not heads[-1]:
                heads.pop()  # not a whole record
            del heads[limit - num_words :]
            # (words,) where each vector begins
            starts = np.cumsum(np.fromiter(map(len, heads), dtype=np.int64, count=len(heads)) + size) - size
            rest = block[int(starts[-1]) + size :] if heads else block
            _check_heads(file, heads, rest, num_words)
            num_words += len(heads)
            # The C tool ends each vector with a line end, gensim does not; so it belongs to the next word.
            heads = [head.strip(b"\n ") for head in heads]
            kept = list(range(len(heads))) if wanted is None else wanted.rows_of(heads)
            words = [heads[row].decode("utf-8", "replace") for row in kept]
            if wanted is not None:
                exact = [position for position, word in enumerate(words) if word in wanted]
                kept, words = [kept[position] for position in exact], [words[position] for position in exact]
            if words:
                values = b"".join([block[start : start + size] for start in starts[kept].tolist()])
                yield words, np.frombuffer(values, dtype="<f4").reshape(-1, file.dim)
        if limit == file.num_words and (rest + stream.read(2)).strip(b"\r\n"):
            raise InputError(
                "the header contradicts what follows it",
                where=file.path,
                line=1,
                expected=f"{file.num_words:,} words of {file.dim} numbers and then the end, as the header says",
                found="more bytes",
                remedy="Correct the header or download the file again.",
            )


def _check_heads(file: VectorFile, heads: list[bytes], rest: bytes, num_before: int) -> None:
    """Numbers where a word should be show that the dimension is wrong or that bytes are missing."""
    whole = b"".join(heads)
    too_long = rest.find(b" ") < 0 and len(rest) > _LONGEST_WORD
    if CONTROL.search(whole) or too_long:
        bad = next((place for place, head in enumerate(heads) if CONTROL.search(head)), len(heads))
        raise InputError(
            "the header contradicts what follows it, or the file is damaged",
            where=file.path,
            expected=f"a word as number {num_before + bad + 1:,}, after {file.dim} numbers for each word before it",
            found="bytes that are no text",
            remedy="Correct the header or download the file again.",
        )
