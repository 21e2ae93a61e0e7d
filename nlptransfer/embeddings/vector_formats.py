"""Which format a vector file has, told from its first bytes and never from its name."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

import numpy as np

from nlptransfer.errors import InputError

NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf|infinity)", re.IGNORECASE)
CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
FASTTEXT_MAGIC = b"\xba\x16\x4f\x2f"

_SNIFFED = 1 << 19
_SNIFFED_LINES = 10
_LARGEST_DIM = 100_000
_HEADER = re.compile(rb"[ \t]*(\d+)[ \t]+(\d+)[ \t]*(?:\r?\n|\Z)")
_PRINTABLE = re.compile(rb"[\t\n\r\x20-\x7e]+")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_KNOWN = "word2vec text or binary, GloVe text, fastText .vec or .bin, or gensim's own format; text may be gzipped"
_PACKED = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"7z\xbc\xaf": "a 7z file",
}

Format = Literal["text", "word2vec binary", "fasttext binary", "gensim"]


@dataclass(frozen=True)
class VectorFile:
    """A vector file and what its first bytes say about it.

    Attributes:
        path: the file.
        format: which reader reads it.
        compressed: whether it is gzipped.
        dim: numbers per word; 0 where only the reader can tell.
        num_words: as the header promises; None without a header.
        start: offset of the first word, in bytes of the unpacked file.
        first_line: line number of the first word.
    """

    path: Path
    format: Format
    compressed: bool
    dim: int = 0
    num_words: int | None = None
    start: int = 0
    first_line: int = 1


@contextmanager
def open_vector_file(path: Path, *, compressed: bool | None = None) -> Iterator[BinaryIO]:
    """Open `path` for reading, unpacking gzip, and tell what goes wrong on the way in one message.

    Raises:
        InputError: the file can't be opened or read, or its gzip data is cut short or damaged.
    """
    try:
        with path.open("rb") as plain:
            if compressed is None:
                compressed = plain.read(2) == b"\x1f\x8b"
                plain.seek(0)
            if compressed:
                with gzip.GzipFile(fileobj=plain) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield plain
    except EOFError as error:
        raise InputError("the gzip file is cut short", where=path, remedy="Download or copy the file again.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            "the gzip data is damaged", where=path, found=str(error), remedy="Download or copy the file again."
        ) from error
    except OSError as error:
        if error.filename is not None and Path(os.fsdecode(error.filename)) != path:
            raise
        raise InputError("can't be read", where=path, found=error.strerror or str(error)) from error


def detect_format(path: Path) -> VectorFile:
    """Tell the format of a vector file.

    Args:
        path: the file, gzipped or not.

    Returns:
        What its reader needs to know.

    Raises:
        InputError: it is empty, packed some other way, not a vector file, or its header contradicts its lines.
    """
    with open_vector_file(path) as stream:
        compressed = isinstance(stream, gzip.GzipFile)
        start = stream.read(_SNIFFED)
    whole = len(start) < _SNIFFED
    offset = len(_BYTE_ORDER_MARK) if start.startswith(_BYTE_ORDER_MARK) else 0
    if not start[offset:].strip():
        raise InputError("the file holds no words", where=path, expected=_KNOWN, found="an empty file")
    if start.startswith(FASTTEXT_MAGIC):
        return VectorFile(path, "fasttext binary", compressed)
    if start[0] == 0x80 and 2 <= start[1] <= 5:
        return VectorFile(path, "gensim", compressed)
    header = _HEADER.match(start, offset)
    if header is None:
        return _without_header(path, compressed, start[offset:], offset, whole)
    num_words, dim = int(header[1]), int(header[2])
    lines = _lines(start[header.end() :], whole)
    counts = [numbers_at_end(line) for line in lines]
    if any(counts) and not CONTROL.search(b"".join(lines)):
        # A last line that the end of the file cuts off says nothing about the header.
        agreed = len(set(counts)) == 1 and (len(counts) > 1 or lines[0].endswith(b"\n"))
        if agreed and counts[0] == 1 and dim != 1 and all(len(line.split()) == 2 for line in lines):
            # One number per word: the first line is a word, too, and only looks like a header.
            return VectorFile(path, "text", compressed, dim=1, start=offset)
        if agreed and counts[0] != dim:
            raise InputError(
                "the header contradicts the lines below it",
                where=path,
                line=1,
                expected=f"{dim} numbers per word, as the header says",
                found=f"{counts[0]} on line 2",
                remedy="Correct the header or download the file again.",
            )
        _check_promise(path, num_words, dim)
        return VectorFile(path, "text", compressed, dim=dim, num_words=num_words, start=header.end(), first_line=2)
    _check_promise(path, num_words, dim)
    _check_first_binary_word(path, start[header.end() :], dim)
    return VectorFile(path, "word2vec binary", compressed, dim=dim, num_words=num_words, start=header.end())


def numbers_at_end(line: bytes) -> int:
    """How many numbers a line of a text file ends in, its first field, the word, never counted."""
    fields = line.strip(b"\r\n").rstrip(b" ").split(b" ")[1:]
    for count, field in enumerate(reversed(fields)):
        if not NUMBER.fullmatch(field):
            return count
    return len(fields)


def _lines(start: bytes, whole: bool) -> list[bytes]:
    """The first lines that are not blank; the last may be cut only where the file itself ends."""
    lines = start.split(b"\n", _SNIFFED_LINES)
    rest = lines.pop()
    kept = [line + b"\n" for line in lines] + ([rest] if whole and len(lines) < _SNIFFED_LINES else [])
    return [line for line in kept if line.strip()]


def _without_header(path: Path, compressed: bool, start: bytes, offset: int, whole: bool) -> VectorFile:
    lines = _lines(start, whole)
    counts = [numbers_at_end(line) for line in lines]
    # The most frequent count, so that one bad line among the first is reported as the bad one.
    dim = Counter(counts).most_common(1)[0][0] if counts else 0
    if dim == 0 or CONTROL.search(b"".join(lines)):
        raise _not_vectors(path, start)
    return VectorFile(path, "text", compressed, dim=dim, start=offset)


def _check_promise(path: Path, num_words: int, dim: int) -> None:
    if num_words == 0 or dim == 0:
        raise InputError(
            "the file holds no words",
            where=path,
            line=1,
            expected="a header with the number of words and of numbers per word, both above 0",
            found=f"{num_words} and {dim}",
        )
    if dim > _LARGEST_DIM:
        raise InputError(
            "the header is implausible",
            where=path,
            line=1,
            expected=f"at most {_LARGEST_DIM:,} numbers per word",
            found=f"{dim:,}",
            remedy="Correct the header or download the file again.",
        )


def _check_first_binary_word(path: Path, start: bytes, dim: int) -> None:
    word, space, rest = start.partition(b" ")
    values = np.frombuffer(rest[: len(rest) // 4 * 4], dtype="<f4")[:dim]
    # Text read as floats: ASCII shows itself, and letters of other scripts come out as astronomical numbers.
    with np.errstate(invalid="ignore"):
        astronomical = bool((np.abs(values) > 1e15).any())
    if (start and not space) or CONTROL.search(word) or _PRINTABLE.fullmatch(rest[: 4 * dim]) or astronomical:
        raise _not_vectors(path, start)


def _not_vectors(path: Path, start: bytes) -> InputError:
    packed = next((name for magic, name in _PACKED.items() if start.startswith(magic)), None)
    if packed is not None:
        return InputError("not a vector file", where=path, expected=_KNOWN, found=packed, remedy="Unpack it first.")
    first = start[:40].split(b"\n")[0]
    return InputError(
        "not a vector file",
        where=path,
        line=1,
        expected=_KNOWN + ", with a word and its numbers, separated by single spaces, on each line of a text file",
        found=repr(first.decode("utf-8")) if first.isascii() else repr(first),
    )
