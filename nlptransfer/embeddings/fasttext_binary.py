"""fastText's own .bin models: words, and character n-grams for the words that are not in it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from nlptransfer.embeddings.subwords import Subwords, composed_vectors
from nlptransfer.embeddings.vector_formats import VectorFile, open_vector_file
from nlptransfer.embeddings.word_forms import WantedWords
from nlptransfer.errors import InputError

_BLOCK = 1 << 20
# fastText gives the mark that it puts behind each line no n-grams.
_END_OF_SENTENCE = "</s>"


@dataclass(frozen=True, eq=False)
class FastTextModel:
    """The input side of a fastText model.

    Attributes:
        words: in the order of the file, most frequent first.
        vectors: (words, D) float32, each word's own vector, without its n-grams.
        subwords: the n-grams; None for a model trained without them.
    """

    words: list[str]
    vectors: np.ndarray
    subwords: Subwords | None

    def chunks(
        self, *, wanted: WantedWords | None = None, max_words: int | None = None
    ) -> Iterator[tuple[list[str], np.ndarray]]:
        """The words and their full vectors (words, D)."""
        return composed_vectors(
            self.words,
            self.vectors,
            self.subwords,
            wanted=wanted,
            max_words=max_words,
            without_ngrams=_END_OF_SENTENCE,
        )


def read_fasttext_model(file: VectorFile) -> FastTextModel:
    """Read a fastText .bin model; where it is not gzipped, its matrix is memory-mapped rather than read.

    Args:
        file: what `detect_format` said.

    Returns:
        Words, vectors and n-grams.

    Raises:
        InputError: the file is cut short, holds a compressed (quantized) model, or contradicts itself.
    """
    with open_vector_file(file.path, compressed=file.compressed) as stream:
        reader = _Reader(stream, file)
        _, version, *arguments = reader.unpack("<14i")
        reader.unpack("<d")
        dim, _, _, _, _, _, _, model, num_buckets, min_n, max_n, _ = arguments
        if version == 11 and model == 3:
            max_n = 0  # supervised models of that version had no n-grams, whatever they say
        size, num_words, _ = reader.unpack("<3i")
        _, num_pruned = reader.unpack("<2q")
        words = [word for word, is_label in (reader.entry() for _ in range(size)) if not is_label]
        if num_pruned > 0 or reader.unpack("<?")[0]:
            raise InputError(
                "a compressed (quantized) fastText model, whose vectors are not stored",
                where=file.path,
                expected="a model saved without quantization (.bin, not .ftz)",
            )
        num_rows, num_columns = reader.unpack("<2q")
        if num_columns != dim or len(words) != num_words or num_rows != num_words + num_buckets:
            raise InputError(
                "the fastText model contradicts itself",
                where=file.path,
                expected=f"{num_words:,} words and {num_rows:,} rows of {dim} numbers "
                f"for {num_words:,} words and {num_buckets:,} buckets",
                found=f"{len(words):,} words and {num_rows:,} rows of {num_columns} numbers",
                remedy="Download or copy the file again.",
            )
        matrix = reader.matrix(num_rows, dim)
    if num_words == 0 or dim == 0:
        raise InputError("the file holds no words", where=file.path)
    subwords = None
    if num_buckets > 0 and max_n > 0:
        subwords = Subwords(ngrams=matrix[num_words:], num_buckets=num_buckets, min_n=min_n, max_n=max_n)
    return FastTextModel(words=words, vectors=matrix[:num_words], subwords=subwords)


class _Reader:
    """Reads numbers, words and the matrix one after the other, and says where the file ends too early."""

    def __init__(self, stream: BinaryIO, file: VectorFile) -> None:
        self._stream = stream
        self._file = file
        self._buffer = b""
        self._position = 0
        self._offset = 0  # of the buffer's first byte in the file

    def unpack(self, layout: str) -> tuple[int, ...]:
        size = struct.calcsize(layout)
        self._fill(size)
        values = struct.unpack_from(layout, self._buffer, self._position)
        self._position += size
        return values

    def entry(self) -> tuple[str, bool]:
        """The next entry of the dictionary, and whether it is a label rather than a word."""
        while (end := self._buffer.find(b"\0", self._position)) < 0:
            self._fill(len(self._buffer) - self._position + 1)
        word = self._buffer[self._position : end].decode("utf-8", "replace")
        self._position = end + 1
        _, kind = self.unpack("<qb")
        return word, kind == 1

    def matrix(self, num_rows: int, dim: int) -> np.ndarray:
        start = self._offset + self._position
        size = 4 * num_rows * dim
        if not self._file.compressed:
            found = self._file.path.stat().st_size - start
            if found < size:
                raise self._cut_short(f"{size:,} bytes of vectors", f"{found:,}")
            return np.asarray(np.memmap(self._file.path, dtype="<f4", mode="r", offset=start, shape=(num_rows, dim)))
        values = bytearray(self._buffer[self._position : self._position + size])
        while len(values) < size and (part := self._stream.read(min(_BLOCK, size - len(values)))):
            values += part
        if len(values) < size:
            raise self._cut_short(f"{size:,} bytes of vectors", f"{len(values):,}")
        return np.frombuffer(values, dtype="<f4").reshape(num_rows, dim)

    def _fill(self, size: int) -> None:
        """Have at least `size` bytes in the buffer from the position on."""
        while len(self._buffer) - self._position < size:
            part = self._stream.read(_BLOCK)
            if not part:
                raise self._cut_short("its list of words", "the end of the file")
            self._offset += self._position
            self._buffer = self._buffer[self._position :] + part
            self._position = 0

    def _cut_short(self, expected: str, found: str) -> InputError:
        return InputError(
            "the fastText model is cut short",
            where=self._file.path,
            expected=expected,
            found=found,
            remedy="Download or copy the file again.",
        )
