"""Writing a model's tags into a file of any size: CoNLL-U, tokenised lines or JSON lines, a few sentences at a time.

Only the tags change: every other byte of a CoNLL-U file and every other key of a JSON line stays as it was.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, TypeVar

from nlptransfer.errors import InputError

Format = Literal["conllu", "lines", "jsonl"]
Predict = Callable[[list[list[str]]], Sequence[Sequence[str]]]

UPOS_COLUMN, XPOS_COLUMN = 3, 4
_SUFFIXES: dict[str, Format] = {".conllu": "conllu", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_BYTE_ORDER_MARK = "\ufeff"
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
    source: BinaryIO,
    target: BinaryIO,
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
        source: UTF-8 bytes. CoNLL-U; or one sentence a line, words separated by spaces; or one JSON object a line
            with `tokens`.
        target: where to write. CoNLL-U with `column` replaced; or `word<TAB>tag` lines with an empty line after each
            sentence; or the JSON objects with `tags` added.
        name: the file's name, for messages and for its suffix.
        format: the format; where it is None, the suffix tells, or else the first lines.
        column: the CoNLL-U column to write, `UPOS_COLUMN` or `XPOS_COLUMN`.
        chunk_size: sentences tagged at once.
        progress: called with the number of words just written.

    Returns:
        The number of words tagged.

    Raises:
        InputError: a line that is broken, with its number. What came before it may be written already: give a target
            that is thrown away then.

    Example:
        >>> source, target = io.BytesIO(b"The bank\\n"), io.BytesIO()
        >>> tag_stream(lambda sentences: [["X"] * len(words) for words in sentences], source, target, name="-")
        2
        >>> target.getvalue()
        b'The\\tX\\nbank\\tX\\n\\n'
    """
    lines = _decoded(source, name)
    first = next(lines, "")
    lines = itertools.chain([first.removeprefix(_BYTE_ORDER_MARK)], lines) if first else lines
    if format is None:
        format, lines = _detected(name, lines)
    if first.startswith(_BYTE_ORDER_MARK) and format == "conllu":
        target.write(_BYTE_ORDER_MARK.encode())
    passages = {
        "conllu": lambda: read_conllu(lines, name=name, column=column),
        "lines": lambda: read_lines(lines),
        "jsonl": lambda: read_jsonl(lines, name=name),
    }[format]()
    num_tokens = 0
    for chunk in _chunks(passages, chunk_size):
        tags = iter(predict([passage.tokens for passage in chunk if passage.tokens]))
        for passage in chunk:
            own: Sequence[str] = next(tags) if passage.tokens else []
            assert len(own) == len(passage.tokens), "the model dropped a word"
            # backslashreplace only ever touches JSON's lone surrogates, and gives them back as JSON writes them.
            target.write(passage.written(own).encode("utf-8", "backslashreplace"))
        tagged = sum(len(passage.tokens) for passage in chunk)
        progress(tagged)
        num_tokens += tagged
    return num_tokens


def read_conllu(lines: Iterable[str], *, name: str, column: int = UPOS_COLUMN) -> Iterator[Passage]:
    """Sentences of a CoNLL-U file: the syntactic words get tags, all else is kept.

    Args:
        lines: with their line ends.
        name: the file's name, for messages.
        column: which of the ten columns to write, counted from 0.

    Yields:
        One passage per sentence, with its comments and the empty line after it.

    Raises:
        InputError: a line without ten columns, or words that are not numbered 1, 2, 3.
    """
    passage: list[str] = []
    words: list[int] = []  # where in the passage the syntactic words stand
    tokens: list[str] = []

    def finished() -> Passage:
        def written(tags: Sequence[str], passage: list[str] = passage, words: list[int] = words) -> str:
            for row, tag in zip(words, tags, strict=True):
                columns = passage[row].split("\t")
                columns[column] = tag
                passage[row] = "\t".join(columns)
            return "".join(passage)

        return Passage(tokens, written)

    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        passage.append(line)
        if not text.strip():
            yield finished()
            passage, words, tokens = [], [], []
        elif not text.startswith("#"):
            columns = text.split("\t")
            if len(columns) != 10:
                raise InputError(
                    "this is not a line of a CoNLL-U file",
                    where=name,
                    line=number,
                    expected="10 columns separated by tabs",
                    found=f"{len(columns)}: {_clipped(text)}",
                    remedy="Mend the line, or name the file's format with --format.",
                )
            if columns[0].isdecimal():
                if int(columns[0]) != len(words) + 1 or not columns[1]:
                    raise InputError(
                        "the words of the sentence are not numbered in order, or one is empty",
                        where=name,
                        line=number,
                        expected=f"word {len(words) + 1}",
                        found=_clipped(text),
                        remedy="Mend the line; sentences end with an empty line.",
                    )
                words.append(len(passage) - 1)
                tokens.append(columns[1])
            elif not re.fullmatch(r"\d+[-.]\d+", columns[0]):
                raise InputError(
                    "the first column holds no word number",
                    where=name,
                    line=number,
                    expected="a number such as 3, a range such as 3-4, or an empty node such as 3.1",
                    found=f"'{columns[0]}'",
                )
    if passage:
        yield finished()


def read_lines(lines: Iterable[str]) -> Iterator[Passage]:
    """Sentences of a text with one sentence a line and its words separated by spaces.

    Args:
        lines: with their line ends.

    Yields:
        One passage per line, an empty one for an empty line.
    """
    for line in lines:
        # Only spaces and tabs separate: a no-break space may stand within a word.
        tokens = [token for token in re.split(r"[ \t]", line.rstrip("\r\n")) if token]

        def written(tags: Sequence[str], tokens: list[str] = tokens) -> str:
            return "".join(f"{token}\t{tag}\n" for token, tag in zip(tokens, tags, strict=True)) + "\n"

        yield Passage(tokens, written)


def read_jsonl(lines: Iterable[str], *, name: str) -> Iterator[Passage]:
    """Sentences of a file with one JSON object a line, the words under the key `tokens`.

    Args:
        lines: with their line ends.
        name: the file's name, for messages.

    Yields:
        One passage per line; an empty line is kept.

    Raises:
        InputError: a line that is no JSON object, or whose `tokens` are not a list of text.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            yield Passage([], lambda tags, line=line: line)  # type: ignore[misc]
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
                found=_clipped(line.rstrip("\r\n")),
                remedy="Mend the line, or name the file's format with --format.",
            )
        end = line[len(line.rstrip("\r\n")) :]

        def written(tags: Sequence[str], row: dict[str, object] = row, end: str = end) -> str:
            return json.dumps({**row, "tags": list(tags)}, ensure_ascii=False) + end

        yield Passage(tokens, written)


def _decoded(source: BinaryIO, name: str) -> Iterator[str]:
    """The lines as text, with their line ends."""
    for number, line in enumerate(source, start=1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                "the line is not UTF-8 text",
                where=name,
                line=number,
                found=f"byte {line[error.start]:#04x} at position {error.start + 1}",
                remedy="Convert the file to UTF-8.",
            ) from None


def _detected(name: str, lines: Iterator[str]) -> tuple[Format, Iterator[str]]:
    """The format, by suffix or by the first line that is neither empty nor looks like a comment; and all the lines."""
    known = _SUFFIXES.get(Path(name).suffix.lower())
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


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of at most `size` items."""
    remaining = iter(items)
    while chunk := list(itertools.islice(remaining, size)):
        yield chunk


def _clipped(text: str) -> str:
    return f"'{text}'" if len(text) <= 60 else f"'{text[:57]}...'"
