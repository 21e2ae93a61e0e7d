"""Writing a model's labels into a file of any size: lines of text, JSON lines, CSV or TSV, a few documents at a time.

Only the labels are new: every other byte of a table and every other key of a JSON line stays as it was.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from nlptransfer.data.documents import Document
from nlptransfer.data.table_rows import unquote
from nlptransfer.data.tag_files import chunks, clipped, unpacked
from nlptransfer.errors import InputError
from nlptransfer.files import decoded_lines

Format = Literal["lines", "jsonl", "csv", "tsv"]
PredictProba = Callable[[list[Document]], np.ndarray]

_SUFFIXES: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"}
_WHOLE = (".json", ".parquet", ".arrow")
_BYTE_ORDER_MARK = "\ufeff"
_MEND = "Mend the line, or name the file's format with --format."
_DIGITS = 6


class Passage(NamedTuple):
    """A stretch of the file with one document.

    Attributes:
        document: the document; None where the stretch holds none, or an empty one.
        written: the stretch with a label and its probability, as it goes into the output; both are None where there
            is no document.
    """

    document: Document | None
    written: Callable[[str | None, float | None], str]


def label_stream(
    predict_proba: PredictProba,
    labels: Sequence[str],
    reader: BinaryIO,
    writer: BinaryIO,
    *,
    name: str,
    format: Format | None = None,
    text_column: str | None = None,
    chunk_size: int = 1_000,
    progress: Callable[[int], object] = lambda documents: None,
) -> int:
    """Read documents, have them labelled, and write them with their labels; memory holds one chunk at a time.

    The output has the format of the input:

    - ``lines``: one text a line -> one label a line.
    - ``jsonl``: one JSON object a line, with the text under `text_column`, or for counts ``terms`` and ``counts`` ->
      the objects with ``label`` and ``probability`` added.
    - ``csv``, ``tsv``: a first line that names the columns -> two more columns, ``label`` and ``probability``. A TSV
      has a row a line, and a quote in it is a character like any other, but for cells that are quoted as a whole.

    Where the input has a ``label`` already, it stays and the new one is called ``predicted_label``; ``probability``
    likewise. Empty lines are kept, and an empty text gets an empty label (null in JSON).

    Args:
        predict_proba: documents -> (documents, C) probabilities.
        labels: the C labels; a document gets the most probable one.
        reader: UTF-8 bytes, gzipped or not (which is told where it is an `io.BufferedReader`, as opened files are).
        writer: where to write.
        name: the file's name, for messages and for its suffix.
        format: the format; where it is None, the suffix tells, or else the first line: ``jsonl`` or ``lines``.
        text_column: column or key with the text; None: ``text``, or in JSON ``terms`` and ``counts`` where there is
            no ``text``.
        chunk_size: documents labelled at once.
        progress: called with the number of documents just written.

    Returns:
        The number of documents labelled.

    Raises:
        InputError: a line that is broken, with its number. What came before it may be written already: give a writer
            whose output is thrown away then.

    Example:
        >>> reader, writer = io.BytesIO(b"A joy!\\n"), io.BytesIO()
        >>> label_stream(lambda texts: np.array([[0.1, 0.9]]), ["neg", "pos"], reader, writer, name="-")
        1
        >>> writer.getvalue()
        b'pos\\n'
    """
    lines: Iterator[str] = (line for _, line in decoded_lines(unpacked(reader), where=name))
    first = next(lines, "")
    lines = itertools.chain([first.removeprefix(_BYTE_ORDER_MARK)], lines) if first else lines
    if format is None:
        format, lines = _detected(name, lines)
    if format == "lines" and text_column is not None:
        raise InputError(
            "plain lines have no column to choose",
            where=name,
            expected="CSV, TSV or JSON lines",
            remedy="Leave out --text_column, or name the file's format with --format.",
        )
    if first.startswith(_BYTE_ORDER_MARK) and format in ("csv", "tsv"):
        writer.write(_BYTE_ORDER_MARK.encode())
    passages = {
        "lines": lambda: _line_passages(lines),
        "jsonl": lambda: _jsonl_passages(lines, name=name, text_column=text_column),
        "csv": lambda: _table_passages(_csv_records(lines, name), ",", name=name, text_column=text_column),
        "tsv": lambda: _table_passages(_tsv_records(lines), "\t", name=name, text_column=text_column),
    }[format]()
    num_documents = 0
    for chunk in chunks(passages, chunk_size):
        documents = [passage.document for passage in chunk if passage.document is not None]
        probabilities = predict_proba(documents) if documents else np.zeros((0, len(labels)))
        assert len(probabilities) == len(documents), "the model dropped a document"
        rows = iter(probabilities)
        for passage in chunk:
            label, probability = None, None
            if passage.document is not None:
                row = next(rows)
                best = int(row.argmax())
                label, probability = labels[best], round(float(row[best]), _DIGITS)
            # backslashreplace only ever touches JSON's lone surrogates, and gives them back as JSON writes them.
            writer.write(passage.written(label, probability).encode("utf-8", "backslashreplace"))
        progress(len(documents))
        num_documents += len(documents)
    return num_documents


def _kept(text: str) -> Passage:
    """A stretch without a document, which is written as it is."""
    return Passage(None, lambda label, probability: text)


def _line_passages(lines: Iterable[str]) -> Iterator[Passage]:
    """The texts of a file with one a line."""
    for line in lines:
        yield Passage(line.strip() or None, lambda label, probability: f"{label or ''}\n")


def _jsonl_passages(lines: Iterable[str], *, name: str, text_column: str | None) -> Iterator[Passage]:
    """The documents of a file with one JSON object a line; the first tells where they stand and what is taken."""
    is_first, added = True, ("", "")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            yield _kept(line)
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        if is_first and isinstance(row, dict):
            is_first, added = False, _new_columns(row, name=name, line=number)
            if text_column is None and ("text" in row or not {"terms", "counts"} <= set(row)):
                text_column = "text"
        document = _json_document(row, text_column, name=name, line=number, found=line)
        taken = [column for column in added if column in row]
        if taken:
            raise InputError(
                f"the line holds '{taken[0]}', which the first one does not",
                where=name,
                line=number,
                remedy="Rename the key, or give it to every line.",
            )
        end = line[len(line.rstrip("\r\n")) :]

        def written(
            label: str | None,
            probability: float | None,
            row: dict[str, Any] = row,
            end: str = end,
            added: tuple[str, str] = added,
        ) -> str:
            return json.dumps({**row, added[0]: label, added[1]: probability}, ensure_ascii=False) + end

        yield Passage(document, written)


def _json_document(row: Any, text_column: str | None, *, name: str, line: int, found: str) -> Document | None:
    """The text, or the counted terms where `text_column` is None; None where it is empty."""

    def bad(problem: str, expected: str) -> InputError:
        return InputError(
            problem, where=name, line=line, expected=expected, found=clipped(found.rstrip("\r\n")), remedy=_MEND
        )

    if not isinstance(row, dict):
        raise bad("the line is not a JSON object", 'one such as {"text": "A joy!"}')
    if text_column is not None:
        text = row.get(text_column)
        if text_column not in row:
            raise _no_column(text_column, list(row), name=name, line=line)
        if not isinstance(text, str):
            raise bad(f"the line holds no text under '{text_column}'", f'"{text_column}" with text in quotes')
        return text if text.strip() else None
    terms, counts = row.get("terms"), row.get("counts")
    if (
        not isinstance(terms, list)
        or not isinstance(counts, list)
        or len(terms) != len(counts)
        or not all(isinstance(term, str) for term in terms)
        or not all(isinstance(count, int | float) and math.isfinite(count) and count >= 0 for count in counts)
        or len(set(terms)) < len(terms)
    ):
        raise bad(
            "the line holds no counted terms",
            'distinct terms and as many counts, such as {"terms": ["a", "joy"], "counts": [1, 2]}',
        )
    return dict(zip(terms, map(float, counts), strict=True)) or None


def _table_passages(
    records: Iterable[tuple[int, str, list[str]]], delimiter: str, *, name: str, text_column: str | None
) -> Iterator[Passage]:
    """The header, then the documents of a table, from its records: line, as it stands in the file, cells."""
    header: list[str] = []
    column = 0
    for line, raw, cells in records:
        end = raw[len(raw.rstrip("\r\n")) :]
        start = raw[: len(raw) - len(end)]
        if not cells:
            yield _kept(raw)
        elif not header:
            header = cells
            column = _text_column(header, text_column, name=name, line=line)
            names = delimiter.join(_new_columns(header, name=name, line=line))
            yield _kept(f"{start}{delimiter}{names}{end}")
        else:
            if len(cells) != len(header):
                raise InputError(
                    "the row has another number of cells than the header",
                    where=name,
                    line=line,
                    expected=f"{len(header)} ({', '.join(header)})",
                    found=str(len(cells)),
                    remedy='Put cells that hold commas in quotes ("...").'
                    if delimiter == ","
                    else "A cell can't hold a tab or a line break; write such texts as CSV or JSON lines.",
                )

            def written(label: str | None, probability: float | None, start: str = start, end: str = end) -> str:
                added = io.StringIO()
                values = ("" if value is None else value for value in (label, probability))
                csv.writer(added, delimiter=delimiter, lineterminator="").writerow(values)
                return f"{start}{delimiter}{added.getvalue()}{end}"

            yield Passage(cells[column] if cells[column].strip() else None, written)


def _csv_records(lines: Iterable[str], name: str) -> Iterator[tuple[int, str, list[str]]]:
    """For each record the line it ends at, its lines as they stand, and its cells; none where the line is empty."""
    taken: list[str] = []

    def noted() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    # The csv module reads no further than the record's end.
    reader = csv.reader(noted(), strict=True)
    try:
        for cells in reader:
            yield reader.line_num, "".join(taken), cells
            taken.clear()
    except csv.Error as error:
        raise InputError(
            f"this is not CSV ({error})",
            where=name,
            line=reader.line_num,
            remedy="Look for a quote that is not closed, or not doubled within quotes.",
        ) from error


def _tsv_records(lines: Iterable[str]) -> Iterator[tuple[int, str, list[str]]]:
    """The same of a table with a tab between cells and a row a line."""
    for number, line in enumerate(lines, start=1):
        row = line.rstrip("\r\n")
        yield number, line, [unquote(cell) for cell in row.split("\t")] if row.strip() else []


def _text_column(header: list[str], text_column: str | None, *, name: str, line: int) -> int:
    wanted = text_column or "text"
    if wanted not in header:
        raise _no_column(wanted, header, name=name, line=line)
    if header.count(wanted) > 1:
        raise InputError(f"two columns have the name '{wanted}'", where=name, line=line, remedy="Rename or delete one.")
    return header.index(wanted)


def _new_columns(taken: Iterable[str], *, name: str, line: int) -> tuple[str, str]:
    """What to call the label and its probability, so that nothing of the input is written over."""
    own = set(taken)
    label, probability = (f"predicted_{column}" if column in own else column for column in ("label", "probability"))
    for column in (label, probability):
        if column in own:
            raise InputError(
                f"the file already has '{column}' beside '{column.removeprefix('predicted_')}'",
                where=name,
                line=line,
                remedy="Rename or delete one of them.",
            )
    return label, probability


def _no_column(column: str, found: Sequence[str], *, name: str, line: int) -> InputError:
    return InputError(
        f"there is no column '{column}'",
        where=name,
        line=line,
        expected="a column with the texts",
        found=", ".join(repr(each) for each in found) or "no columns",
        remedy="Name it with --text_column.",
    )


def _detected(name: str, lines: Iterator[str]) -> tuple[Format, Iterator[str]]:
    """The format, by suffix or by the first line that is not empty; and all the lines."""
    suffix = Path(name.lower().removesuffix(".gz")).suffix
    if suffix in _WHOLE:
        raise InputError(
            f"a {suffix} file can't be labelled piece by piece",
            where=name,
            expected=f"{', '.join(_SUFFIXES)}, or a text a line",
            remedy="Write it as JSON lines (.jsonl), or name its format with --format.",
        )
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix], lines
    read: list[str] = []
    for line in lines:
        read.append(line)
        if line.strip():
            break
    return "jsonl" if read and read[-1].startswith("{") else "lines", itertools.chain(read, lines)
