"""Column files: one word per line with its tags beside it, a blank line between sentences (the CoNLL habit)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlptransfer.data.tables import check_columns, tagged_dataset
from nlptransfer.errors import InputError
from nlptransfer.files import read_lines

if TYPE_CHECKING:
    from datasets import Dataset

COLUMN_SUFFIXES = (".conll", ".tsv", ".txt", ".pos")


def read_columns(path: str | Path, *, columns: Sequence[str] | None = None, tag_column: str = "tags") -> Dataset:
    r"""Read a tagging corpus from a file with one word per line, plain or gzipped.

    The columns are separated by tabs if the first line holds one, else by spaces. Every line of words has as many
    columns as the first. Lines that start with ``-DOCSTART-`` (the document marks of CoNLL-2003) are left out. There
    are no comments: a line ``#<tab>SYM`` is a word.

    Args:
        path: the file.
        columns: the name of each column in order, of which ``tokens`` and `tag_column` are read, such as
            ``("tokens", "tags", "chunks")``. None: the first column holds the words and the last one the tags.
        tag_column: which of `columns` holds the tags.

    Returns:
        The corpus, with the schema of `tagged_dataset`.

    Raises:
        InputError: a line with another number of columns, a missing name in `columns`, a `tag_column` without
            `columns`, no sentences.

    Example:
        >>> Path("two.tsv").write_text("The\tDET\nend\tNOUN\n")
        >>> read_columns("two.tsv")["tokens"][0]
        ['The', 'end']
    """
    if columns is not None:
        check_columns(columns, tag_column=tag_column, where=path)
    elif tag_column != "tags":
        raise InputError(
            f"which column is '{tag_column}' can't be told: the file does not name its columns",
            where=path,
            remedy=f"Name them all in order, as in: --columns tokens {tag_column}",
        )
    token_index = 0 if columns is None else list(columns).index("tokens")
    tag_index = -1 if columns is None else list(columns).index(tag_column)
    num_columns = None if columns is None else len(columns)
    separator: str | None = None

    sentences: list[list[str]] = []
    tags: list[list[str]] = []
    lines: list[int] = []
    inside = False
    for line, text in read_lines(path):
        if not text.strip():
            inside = False
            continue
        if not sentences:
            separator = "\t" if "\t" in text else None  # None splits at any run of spaces
        if text.startswith("-DOCSTART-"):
            continue
        cells = text.split(separator)
        if num_columns is None:
            num_columns = len(cells)
            if num_columns < 2:
                raise _wrong_columns(path, line, text, expected="at least 2 columns, a word and its tag", found="1")
        if len(cells) != num_columns:
            if columns is None:
                expected = f"{num_columns} columns, as on the first line"
            else:
                expected = f"{num_columns} columns ({', '.join(columns)})"
            raise _wrong_columns(path, line, text, expected=expected, found=str(len(cells)))
        if not inside:
            inside = True
            sentences.append([])
            tags.append([])
            lines.append(line)
        sentences[-1].append(cells[token_index])
        tags[-1].append(cells[tag_index])
    return tagged_dataset(sentences, tags, where=path, lines=lines)


def _wrong_columns(path: str | Path, line: int, text: str, *, expected: str, found: str) -> InputError:
    return InputError(
        f"the line has another number of columns: {text[:60]!r}",
        where=path,
        line=line,
        expected=expected,
        found=found,
        remedy="Mend the line; a blank line ends a sentence, and tabs or spaces separate the columns throughout.",
    )
