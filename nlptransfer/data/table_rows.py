"""Rows of CSV, TSV, JSON Lines and JSON files with the line each starts at, and Parquet files as they stand."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.errors import InputError
from nlptransfer.files import read_lines

if TYPE_CHECKING:
    from datasets import Dataset

Row = tuple[int | None, dict[str, Any]]


def jsonl_rows(path: Path, *, example: str) -> Iterator[Row]:
    """The objects of a JSON Lines file, and their lines; empty lines are passed over.

    Args:
        path: the file, plain or ``.gz``.
        example: what a row looks like, for messages.

    Raises:
        InputError: a line is no JSON object.
    """
    for line, text in read_lines(path):
        if not text.strip():
            continue
        row = parse_json(text, path=path, line=line)
        if not isinstance(row, dict):
            raise InputError("the line is not a JSON object", where=path, line=line, expected=example, found=text[:60])
        yield line, row


def json_rows(path: Path, *, example: str) -> Iterator[Row]:
    """The objects of a JSON file that holds one list of them; their lines are not known.

    Args:
        path: the file, plain or ``.gz``.
        example: what a row looks like, for messages.

    Raises:
        InputError: the file is no such list.
    """
    text = "\n".join(text for _, text in read_lines(path))
    rows = parse_json(text, path=path, line=1)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(
            "the file does not hold a list of objects",
            where=path,
            expected=f"[{example}, ...]",
            found=text[:60],
            remedy="One object per line is also read: name such a file .jsonl.",
        )
    for row in rows:
        yield None, row


def csv_rows(path: Path) -> Iterator[Row]:
    """The rows of a CSV file as dicts of text, and the line each ends at.

    Args:
        path: the file, plain or ``.gz``. Its first line names the columns.

    Raises:
        InputError: a row has another number of cells than the header, or the quotes are wrong.
    """
    # The csv module asks for line ends within quotes, which read_lines has taken off.
    reader = csv.reader((text + "\n" for _, text in read_lines(path)), strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            if not cells:
                continue
            if not header:
                header = cells
                _check_header(header, path=path, line=reader.line_num)
                continue
            _check_width(
                cells, header, path=path, line=reader.line_num, remedy='Put cells that hold commas in quotes ("...").'
            )
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise InputError(
            f"this is not CSV ({error})",
            where=path,
            line=reader.line_num,
            remedy="Look for a quote that is not closed, or not doubled within quotes.",
        ) from error
    if not header:
        _check_header(header, path=path, line=1)


def tsv_rows(path: Path) -> Iterator[Row]:
    """The rows of a file with a tab between cells, one row a line.

    A quote is a character like any other, as most such files are written without quoting; but a cell that is quoted as
    a whole loses the quotes, as in CSV.

    Args:
        path: the file, plain or ``.gz``. Its first line names the columns.

    Raises:
        InputError: a row has another number of cells than the header.
    """
    header: list[str] = []
    for line, text in read_lines(path):
        if not text.strip():
            continue
        cells = [unquote(cell) for cell in text.split("\t")]
        if not header:
            header = cells
            _check_header(header, path=path, line=line)
            continue
        remedy = "A cell can't hold a tab or a line break; write such texts as CSV or JSON Lines."
        _check_width(cells, header, path=path, line=line, remedy=remedy)
        yield line, dict(zip(header, cells, strict=True))
    if not header:
        _check_header(header, path=path, line=1)


def read_parquet(path: Path) -> Dataset:
    """A Parquet file as a Dataset with all its columns.

    Raises:
        InputError: the file is not Parquet, or damaged.
    """
    import pyarrow
    import pyarrow.parquet
    from datasets import Dataset
    from datasets.table import InMemoryTable

    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowInvalid as error:
        raise InputError(
            f"this is not a Parquet file, or it is damaged ({error})",
            where=path,
            remedy="Copy or write the file again.",
        ) from error
    # Dataset takes ClassLabel names from the metadata that `datasets` leaves in the file.
    return Dataset(InMemoryTable(table))


def parse_json(text: str, *, path: Path, line: int) -> Any:
    """The value that JSON text stands for.

    Args:
        text: the JSON.
        path: its file, for messages.
        line: the line at which it starts.

    Raises:
        InputError: this is not JSON; says the line and the column.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"this is not JSON ({error.msg} at column {error.colno})",
            where=path,
            line=line + error.lineno - 1,
            found=repr(text.split("\n")[error.lineno - 1][:60]),
            remedy="Mend the line, or write the file again.",
        ) from error


def unquote(cell: str) -> str:
    """A cell of TSV without its quotes if it is quoted as a whole, else as it is."""
    inner = cell[1:-1]
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else cell


def _check_header(header: list[str], *, path: Path, line: int) -> None:
    if not header:
        raise InputError(
            "the file is empty", where=path, line=line, expected="a first line that names the columns", found="nothing"
        )
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise InputError(
            f"two columns have the name '{twice[0]}'",
            where=path,
            line=line,
            found=", ".join(repr(name) for name in header),
            remedy="The first line names the columns; rename or delete one.",
        )


def _check_width(cells: list[str], header: list[str], *, path: Path, line: int, remedy: str) -> None:
    if len(cells) != len(header):
        raise InputError(
            "the row has another number of cells than the header",
            where=path,
            line=line,
            expected=f"{len(header)} ({', '.join(header)})",
            found=str(len(cells)),
            remedy=remedy,
        )
