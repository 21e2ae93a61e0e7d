"""Writing a model's tags into a file of any size: CoNLL-U, tokenised lines or JSON lines, a few sentences at a time.

Only the tags change: every other byte of a CoNLL-U file and every other key of a JSON line stays as it was.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, TypeVar

from nlptransfer.data.conllu import check_block
from nlptransfer.errors import InputError
from nlptransfer.files import decoded_lines

Format = Literal["conllu", "lines", "jsonl"]
Predict = Callable[[list[list[str]]], Sequence[Sequence[str]]]

UPOS_COLUMN, XPOS_COLUMN = 3, 4
_SUFFIXES: dict[str, Format] = {".conllu": "conllu", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_BYTE_ORDER_MARK = "\ufeff"
_GZIP = b"\x1f\x8b"
_MEND = "Mend the line, or name the file's format with --format."
Item = TypeVar("Item")


class Passage(NamedTuple):
    """A stretch of the file with the words of one sentence.

    Attributes:
        tokens: its words; empty where the stretch has none.
        written: the stretch with these tags, as it goes into the output.
    """

    tokens: list[str]
    written: Callable[[Sequence[str]], str]


def tag_stream(
    predict: Predict,
    reader: BinaryIO,
    writer: BinaryIO,
    *,
    name: str,
    format: Format | None = None,
    column: int = UPOS_COLUMN,
    chunk_size: int = 2_000,
    progress: Callable[[int], object] = lambda tokens: None,
) -> int:
    """Read sentences, have them tagged, and write them with their tags; memory holds one chunk at a time.

    Args:
        predict: lists of words -> lists of tags, as many and as long.
        reader: UTF-8 bytes, gzipped or not (which is told where it is an `io.BufferedReader`, as opened files are).
            CoNLL-U; or one sentence a line, words separated by spaces; or one JSON object a line with `tokens`.
        writer: where to write. CoNLL-U with `column` replaced; or `word<TAB>tag` lines with an empty line after each
            sentence; or the JSON objects with `tags` added.
        name: the file's name, for messages and for its suffix.
        format: the format; where it is None, the suffix tells, or else the first lines.
        column: the CoNLL-U column to write, `UPOS_COLUMN` or `XPOS_COLUMN`.
        chunk_size: sentences tagged at once.
        progress: called with the number of words just written.

    Returns:
        The number of words tagged.

    Raises:
        InputError: a line that is broken, with its number. What came before it may be written already: give a writer
            whose output is thrown away then.

    Example:
        >>> reader, writer = io.BytesIO(b"The bank\\n"), io.BytesIO()
        >>> tag_stream(lambda sentences: [["X"] * len(words) for words in sentences], reader, writer, name="-")
        2
        >>> writer.getvalue()
        b'The\\tX\\nbank\\tX\\n\\n'
    """
    lines: Iterator[str] = (line for _, line in decoded_lines(unpacked(reader), where=name))
    first = next(lines, "")
    lines = itertools.chain([first.removeprefix(_BYTE_ORDER_MARK)], lines) if first else lines
    if format is None:
        format, lines = _detected(name, lines)
    if first.startswith(_BYTE_ORDER_MARK) and format == "conllu":
        writer.write(_BYTE_ORDER_MARK.encode())
    passages = {
        "conllu": lambda: _conllu_passages(lines, name=name, column=column),
        "lines": lambda: _line_passages(lines),
        "jsonl": lambda: _jsonl_passages(lines, name=name),
    }[format]()
    num_tokens = 0
    for chunk in chunks(passages, chunk_size):
        tags = iter(predict([passage.tokens for passage in chunk if passage.tokens]))
        for passage in chunk:
            own: Sequence[str] = next(tags) if passage.tokens else []
            assert len(own) == len(passage.tokens), "the model dropped a word"
            # backslashreplace only ever touches JSON's lone surrogates, and gives them back as JSON writes them.
            writer.write(passage.written(own).encode("utf-8", "backslashreplace"))
        tagged = sum(len(passage.tokens) for passage in chunk)
        progress(tagged)
        num_tokens += tagged
    return num_tokens


def _conllu_passages(lines: Iterable[str], *, name: str, column: int) -> Iterator[Passage]:
    """Sentences of a CoNLL-U file, each with its comments and the empty line after it; the syntactic words get tags."""
    for sentence in _up_to_empty_lines(enumerate(lines, start=1)):
        block = [(number, line.rstrip("\r\n")) for number, line in sentence if line.strip()]
        check_block(block, where=name, remedy=_MEND)
        passage = [line for _, line in sentence]
        words = [row for row, line in enumerate(passage) if line.partition("\t")[0].isdecimal()]

        def written(tags: Sequence[str], passage: list[str] = passage, words: list[int] = words) -> str:
            for row, tag in zip(words, tags, strict=True):
                columns = passage[row].split("\t")
                columns[column] = tag
                passage[row] = "\t".join(columns)
            return "".join(passage)

        yield Passage([passage[row].split("\t")[1] for row in words], written)


def _up_to_empty_lines(numbered: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """Runs of lines; each but perhaps the last ends with an empty line."""
    run: list[tuple[int, str]] = []
    for number, line in numbered:
        run.append((number, line))
        if not line.strip():
            yield run
            run = []
    if run:
        yield run


def _line_passages(lines: Iterable[str]) -> Iterator[Passage]:
    """Sentences of a text with one a line, its words separated by spaces; an empty line has no words."""
    for line in lines:
        # Only spaces and tabs separate: a no-break space may stand within a word.
        tokens = [token for token in re.split(r"[ \t]", line.rstrip("\r\n")) if token]

        def written(tags: Sequence[str], tokens: list[str] = tokens) -> str:
            return "".join(f"{token}\t{tag}\n" for token, tag in zip(tokens, tags, strict=True)) + "\n"

        yield Passage(tokens, written)


def _jsonl_passages(lines: Iterable[str], *, name: str) -> Iterator[Passage]:
    """Sentences of a file with one JSON object a line, the words under the key `tokens`; an empty line is kept."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():

            def kept(tags: Sequence[str], line: str = line) -> str:
                return line

            yield Passage([], kept)
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        tokens = row.get("tokens") if isinstance(row, dict) else None
        if not isinstance(tokens, list) or not all(isinstance(token, str) and token for token in tokens):
            raise InputError(
                "the line holds no sentence",
                where=name,
                line=number,
                expected='a JSON object such as {"tokens": ["The", "bank"]}',
                found=clipped(line.rstrip("\r\n")),
                remedy=_MEND,
            )
        end = line[len(line.rstrip("\r\n")) :]

        def written(tags: Sequence[str], row: dict[str, object] = row, end: str = end) -> str:
            return json.dumps({**row, "tags": list(tags)}, ensure_ascii=False) + end

        yield Passage(tokens, written)


def unpacked(reader: BinaryIO) -> Iterable[bytes]:
    """The lines of the reader, or of what it unpacks to where it is gzipped."""
    # A pipe can't be rewound, so the first bytes are looked at without taking them.
    if isinstance(reader, io.BufferedReader) and reader.peek(2).startswith(_GZIP):
        return gzip.open(reader)
    return reader


def _detected(name: str, lines: Iterator[str]) -> tuple[Format, Iterator[str]]:
    """The format, by suffix or by the first line that is neither empty nor looks like a comment; and all the lines."""
    known = _SUFFIXES.get(Path(name.lower().removesuffix(".gz")).suffix)
    if known:
        return known, lines
    read: list[str] = []
    found: Format = "lines"
    for line in lines:
        read.append(line)
        if line.strip() and not line.startswith("#"):
            if line.count("\t") == 9:
                found = "conllu"
            elif line.startswith("{"):
                found = "jsonl"
            break
    return found, itertools.chain(read, lines)


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of at most `size` items."""
    remaining = iter(items)
    while chunk := list(itertools.islice(remaining, size)):
        yield chunk


def clipped(text: str) -> str:
    """The text in quotes, cut to 60 characters, for a message."""
    return f"'{text}'" if len(text) <= 60 else f"'{text[:57]}...'"
