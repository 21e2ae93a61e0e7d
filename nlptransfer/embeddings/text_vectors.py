"""Word vectors as text: word2vec, GloVe and fastText .vec, one word and its numbers per line."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np

from nlptransfer.embeddings.vector_formats import NUMBER, VectorFile, numbers_at_end, open_vector_file
from nlptransfer.embeddings.word_forms import WantedWords
from nlptransfer.errors import InputError

# Bytes. Parsing gains from large blocks; looking for words does not, and should take little memory.
_BLOCK = 4 << 20
_SCANNED_BLOCK = 1 << 19
_SELECTED_BLOCK = 1 << 19
_AGAIN = "Download or convert the file again."

Chunk = tuple[list[str], np.ndarray]


def read_text_vectors(
    file: VectorFile, *, wanted: WantedWords | None = None, max_words: int | None = None
) -> Iterator[Chunk]:
    """Read a text file of word vectors in blocks, so that no more than a few blocks are ever in memory.

    A word may hold spaces: the last `file.dim` fields of a line are its numbers, and what precedes them is the word.
    With `wanted` or `max_words`, the numbers of lines that are left out are never parsed, nor checked.

    Args:
        file: what `detect_format` said.
        wanted: keep only these words.
        max_words: read only so many lines.

    Yields:
        Words and their vectors (words, dim) float32, in the order of the file.

    Raises:
        InputError: a line with too few or too many numbers, or something that is no number; fewer or more words than
            the header promises. The message names the line and the word.
    """
    num_lines = 0
    with open_vector_file(file.path, compressed=file.compressed) as stream:
        stream.seek(file.start)
        if wanted is None and max_words is None:
            parser = _LineParser(file)
            for words, rows in parser.parse_all(_line_blocks(stream, _BLOCK)):
                num_lines += len(words)
                yield words, rows
        else:
            parser = _LineParser(file)
            selected = _SelectedLines(_line_blocks(stream, _SCANNED_BLOCK), file, wanted, max_words)
            for block, line_numbers in selected:
                words, rows = parser.parse(block, line_numbers)
                if wanted is not None:
                    kept = [position for position, word in enumerate(words) if word in wanted]
                    if len(kept) < len(words):
                        words, rows = [words[position] for position in kept], rows[kept]
                yield words, rows
            num_lines = selected.num_lines
    at_end = max_words is None or num_lines < max_words
    if file.num_words is not None and at_end and num_lines != file.num_words:
        raise InputError(
            "the file is cut short" if num_lines < file.num_words else "the header promises fewer words than follow",
            where=file.path,
            line=num_lines + 1 if num_lines < file.num_words else 1,
            expected=f"{file.num_words:,} words, as the header says",
            found=f"{num_lines:,}",
            remedy=_AGAIN if num_lines < file.num_words else "Correct the header or download the file again.",
        )


def _line_blocks(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """The stream in blocks of whole lines; only the last may lack its line end."""
    rest = b""
    while data := stream.read(size):
        end = data.rfind(b"\n") + 1
        if end:
            yield rest + data[:end] if rest else data[:end]
            rest = data[end:]
        else:
            rest += data
    if rest:
        yield rest


class _SelectedLines:
    """Iterates over (joined lines, their line numbers), finding words without looking at the numbers."""

    def __init__(
        self, blocks: Iterator[bytes], file: VectorFile, wanted: WantedWords | None, max_words: int | None
    ) -> None:
        self._blocks = blocks
        self._line = file.first_line
        self._wanted = wanted
        self._limit = max_words
        self.num_lines = 0

    def __iter__(self) -> Iterator[tuple[bytes, list[int]]]:
        pieces: list[bytes] = []
        numbers: list[int] = []
        size = 0
        last = b""
        last_number = 0
        for block in self._blocks:
            position = 0
            while position < len(block):
                end = block.find(b"\n", position) + 1 or len(block)
                space = block.find(b" ", position, end)
                head = block[position : space if space >= 0 else end]
                if space >= 0 or head.strip():
                    if self.num_lines == self._limit:
                        break
                    self.num_lines += 1
                    # A line without a space is bad whatever its word is; parsing it says so.
                    if self._wanted is None or space < 0 or self._wanted.may_start_with(head):
                        pieces.append(block[position:end])
                        numbers.append(self._line)
                        size += end - position
                    last_number, last_start, last_end = self._line, position, end
                self._line += 1
                position = end
                if size >= _SELECTED_BLOCK:
                    yield b"".join(pieces), numbers
                    pieces, numbers, size = [], [], 0
            else:
                if last_number:
                    last = block[last_start:last_end]
                continue
            break
        else:
            # The last line shows whether the file was cut short, so it is always parsed.
            if last and (not numbers or numbers[-1] != last_number):
                pieces.append(last)
                numbers.append(last_number)
        if pieces:
            yield b"".join(pieces), numbers


class _LineParser:
    """Turns lines into words and numbers: in bulk where all is regular, line by line where it is not."""

    def __init__(self, file: VectorFile) -> None:
        import pyarrow
        from pyarrow import csv

        self._file = file
        self._dim = file.dim
        self._csv = csv
        self._refused = pyarrow.ArrowInvalid
        columns = ["word", *map(str, range(file.dim))]
        types: dict[str, Any] = dict.fromkeys(columns, pyarrow.float32())
        types["word"] = pyarrow.binary()
        self._columns = columns
        # Words such as "null", '"' and "NA" are words, so nothing is special but the space and the line end.
        self._parse_options = csv.ParseOptions(delimiter=" ", quote_char=False, double_quote=False, escape_char=False)
        self._convert_options = csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False)
        self._buffer = pyarrow.BufferReader
        # Arrow's default pool keeps 8 MB per thread at hand for the small arrays that are made here.
        self._memory_pool = pyarrow.system_memory_pool()

    def parse_all(self, blocks: Iterator[bytes]) -> Iterator[Chunk]:
        """Parse blocks of lines on several threads; results come in order."""
        threads = min(4, os.cpu_count() or 1)
        line = self._file.first_line
        waiting: deque[Future[Chunk]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            for block in blocks:
                next_line = line + block.count(b"\n")
                waiting.append(pool.submit(self.parse, block, range(line, next_line + 1)))
                line = next_line
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def parse(self, block: bytes, line_numbers: Sequence[int]) -> Chunk:
        """Parse whole lines; `line_numbers` names each for messages."""
        try:
            words, rows = self._parse_regular(block)
        except self._refused:
            return self._parse_mixed(block, line_numbers)
        if not np.isfinite(rows).all():
            return self._parse_mixed(block, line_numbers)
        return words, rows

    def _parse_regular(self, block: bytes) -> Chunk:
        if block.startswith(b"\xef\xbb\xbf"):
            # The CSV reader would take a word that starts with U+FEFF for a byte order mark; it skips empty lines.
            block = b"\n" + block
        read_options = self._csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=self._columns)
        table = self._csv.read_csv(
            self._buffer(block),
            read_options=read_options,
            parse_options=self._parse_options,
            convert_options=self._convert_options,
            memory_pool=self._memory_pool,
        )
        rows = np.empty((len(table), self._dim), dtype=np.float32)
        words: list[str] = []
        for batch in table.to_batches():
            part = rows[len(words) : len(words) + len(batch)]
            words += [_text(word) for word in batch.column(0).to_pylist()]
            for position, column in enumerate(batch.columns[1:]):
                # Straight from the buffer: Arrow's own to_numpy would import pandas, which costs time and 40 MB.
                values = np.frombuffer(column.buffers()[1], dtype=np.float32)
                part[:, position] = values[column.offset : column.offset + len(part)]
        return words, rows

    def _parse_mixed(self, block: bytes, line_numbers: Sequence[int]) -> Chunk:
        """Parse a block that holds blank lines, words with spaces, or an error, which is found and raised."""
        lines = block.split(b"\n")
        ended = len(lines) - 1
        lines = [line.rstrip(b" \r") for line in lines]
        odd = [position for position, line in enumerate(lines) if line.count(b" ") != self._dim or b"\r" in line]
        rows = np.empty((len(lines), self._dim), dtype=np.float32)
        words = [""] * len(lines)
        regular = sorted(set(range(len(lines))).difference(odd))
        try:
            found, numbers = self._parse_regular(b"\n".join([lines[position] for position in regular]))
        except self._refused:
            odd, regular = list(range(len(lines))), []
        else:
            if np.isfinite(numbers).all():
                rows[regular] = numbers
                for position, word in zip(regular, found, strict=True):
                    words[position] = word
            else:
                odd, regular = list(range(len(lines))), []
        used = set(regular)
        for position in odd:
            if lines[position]:
                used.add(position)
                words[position] = self._parse_line(
                    lines[position], line_numbers[position], rows[position], ended=position < ended
                )
        kept = sorted(used)
        return [words[position] for position in kept], rows[kept]

    def _parse_line(self, line: bytes, line_number: int, row: np.ndarray, *, ended: bool) -> str:
        """Write the numbers of one line into `row` and return its word."""
        fields = line.rsplit(b" ", self._dim)
        word = _text(fields[0])
        expected = f"{self._dim} numbers" + ("" if self._file.num_words is None else ", as the header says")

        def wrong_length(word: str, count: int) -> InputError:
            cut = count < self._dim and not ended
            return InputError(
                f"the file is cut short in the vector of {word!r}"
                if cut
                else f"the vector of {word!r} has the wrong length",
                where=self._file.path,
                line=line_number,
                expected=expected,
                found=str(count),
                remedy=_AGAIN,
            )

        if len(fields) <= self._dim:
            raise wrong_length(word, len(fields) - 1)
        bad = [field for field in fields[1:] if not NUMBER.fullmatch(field)]
        count = numbers_at_end(line)
        if bad and not NUMBER.fullmatch(fields[1]) and len(bad) == self._dim - count:
            # Too few numbers behind a word that holds spaces, or behind a word alone: the bad fields precede them all.
            raise wrong_length(_text(line.rsplit(b" ", count)[0]), count)
        if bad:
            raise InputError(
                f"the vector of {word!r} holds something that is not a number",
                where=self._file.path,
                line=line_number,
                expected=expected,
                found=repr(_text(bad[0])),
                remedy=_AGAIN,
            )
        if count > self._dim:
            raise wrong_length(_text(line.rsplit(b" ", count)[0]), count)
        with np.errstate(over="ignore"):
            row[:] = [float(field) for field in fields[1:]]
        if not np.isfinite(row).all():
            raise InputError(
                f"the vector of {word!r} holds a number that is not finite",
                where=self._file.path,
                line=line_number,
                found=_text(fields[1 + int(np.argmin(np.isfinite(row)))]),
                remedy=_AGAIN,
            )
        return word


def _text(raw: bytes) -> str:
    # word2vec.c cuts long words in the middle of a character, so bad bytes must not stop the reading.
    return raw.decode("utf-8", "replace")
