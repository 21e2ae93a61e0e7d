"""Plain text without labels: a sentence per line, its words separated by spaces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nlptransfer.errors import InputError
from nlptransfer.files import missing_file, read_lines


def read_sentences(path: str | Path) -> Iterator[list[str]]:
    """Read tokenised text; empty lines are passed over, and a file that ends in ``.gz`` is unpacked.

    Args:
        path: the file, in UTF-8.

    Yields:
        The words of each sentence.

    Raises:
        InputError: there is no such file, it is not UTF-8, or holds no words.
    """
    path = Path(path)
    if not path.exists():
        raise missing_file(path)
    empty = True
    for _, line in read_lines(path):
        words = line.split()
        if words:
            empty = False
            yield words
    if empty:
        raise InputError("the file holds no words", where=path, expected="a sentence per line")
