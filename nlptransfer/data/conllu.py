"""CoNLL-U, the format of Universal Dependencies: ten columns, comments, multiword ranges, empty nodes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nlptransfer.data.tables import tagged_dataset
from nlptransfer.errors import InputError
from nlptransfer.files import read_lines

if TYPE_CHECKING:
    from datasets import Dataset

_FIELDS = ("id", "form", "lemma", "upos", "xpos")
NO_TAG = "_"
"""What CoNLL-U writes where there is nothing to say."""

_LINE = re.compile(r"(\d+)(?:([-.])(\d+))?\t(?:[^\t]+\t){8}[^\t]+")
_NEWDOC = re.compile(r"#\s*newdoc\s+id\s*=\s*(\S+)")
# English EWT names its documents `weblog-...`, English GUM `GUM_fiction_...`.
_GENRE = re.compile(r"(?:(answers|email|newsgroup|reviews|weblog)-|GUM_([a-z]+)_)")


def _conllu_blocks(lines: Iterable[tuple[int, str]], *, where: str | Path) -> Iterator[list[tuple[int, str]]]:
    """The sentences of a CoNLL-U text as blocks of numbered lines, each checked, one at a time.

    Args:
        lines: line numbers and lines without line ends, as `read_lines` gives them.
        where: the file, for messages.

    Yields:
        The lines of one sentence with their numbers: comments, words, ranges and empty nodes. Blank lines are left
        out. A block may hold comments only.

    Raises:
        InputError: what `check_block` refuses.
    """
    block: list[tuple[int, str]] = []
    for line, text in lines:
        if text.strip():
            block.append((line, text))
        elif block:
            check_block(block, where=where)
            yield block
            block = []
    if block:
        check_block(block, where=where)
        yield block


def read_conllu(path: str | Path, *, tag_column: str = "upos") -> Dataset:
    """Read a tagging corpus from a CoNLL-U file, plain or gzipped.

    The tokens are the syntactic words: of ``3-4 don't``, ``3 do``, ``4 n't`` the last two. Empty nodes are left out.

    Args:
        path: the file.
        tag_column: ``upos`` (the 17 universal tags), ``xpos`` (the treebank's own), or ``misc:<key>``: what the column
            MISC says under the key, as ``misc:Chunk`` reads ``B-NP`` of ``Chunk=B-NP``, and ``_`` where it says
            nothing.

    Returns:
        The corpus, with the schema of `tagged_dataset`; ``comments`` holds the comment lines of each sentence as they
        stand, and ``domain`` the genre where the document names tell it (English EWT and GUM).

    Raises:
        InputError: a malformed line (says which), a word without a tag in UPOS or XPOS, a key that MISC has nowhere,
            no sentences, another `tag_column`.

    Reference: https://universaldependencies.org/format.html
    """
    import conllu

    in_misc, _, key = tag_column.partition(":")
    if tag_column not in ("upos", "xpos") and not (in_misc == "misc" and key):
        raise InputError(
            "CoNLL-U has no such tag column",
            where=path,
            expected="upos, xpos, or misc:<key> such as misc:Chunk",
            found=tag_column,
            remedy="Give tag_column as one of these.",
        )
    keys: set[str] = set()
    tokens, tags, comments, starts = [], [], [], []
    genres: list[str | None] = []
    genre: str | None = None
    for block in _conllu_blocks(read_lines(path), where=path):
        notes = [text for _, text in block if text.startswith("#")]
        for note in notes:
            if document := _NEWDOC.match(note):
                found = _GENRE.match(document[1])
                genre = (found[1] or found[2]) if found else None
        sentences = conllu.parse("\n".join(text for _, text in block), fields=_FIELDS)
        words = [word for sentence in sentences for word in sentence if isinstance(word["id"], int)]
        if not words:
            continue
        if key:
            columns = [text.split("\t") for _, text in block if not text.startswith("#")]
            misc = [_read_misc(column[9]) for column in columns if column[0].isdecimal()]
            keys.update(*misc)
            tags.append([own.get(key) or NO_TAG for own in misc])
        elif any(word[tag_column] in (None, "_") for word in words):
            raise _untagged_word(block, words, path=path, tag_column=tag_column)
        else:
            tags.append([word[tag_column] for word in words])
        tokens.append([word["form"] for word in words])
        comments.append(notes)
        genres.append(genre)
        starts.append(block[0][0])
    if key and tokens and key not in keys:
        raise InputError(
            f"the column MISC has no key '{key}'",
            where=path,
            found=", ".join(sorted(keys)[:12]) or "no keys",
            remedy="Keys are written as in the file, with their capital letters.",
        )
    return tagged_dataset(tokens, tags, where=path, lines=starts, domains=genres, comments=comments)


def _read_misc(text: str) -> dict[str, str]:
    """Keys and values of the column MISC."""
    pairs = (item.partition("=") for item in text.split("|") if item != NO_TAG)
    return {key: value for key, _, value in pairs}


def check_block(
    block: list[tuple[int, str]],
    *,
    where: str | Path,
    remedy: str = "Mend the line; files with other columns are read as .tsv.",
) -> None:
    """Make sure that the lines of one sentence are CoNLL-U.

    Checked are: ten columns, none empty, and word numbers in sequence, with ranges (``3-4``) before their first word
    and empty nodes (``8.1``) after the word they follow.

    Args:
        block: line numbers, and comments, words, ranges and empty nodes without line ends; no blank lines.
        where: the file, for messages.
        remedy: what to do about a line that has another form altogether.

    Raises:
        InputError: a line is malformed; says which, what was expected, and what was found.
    """
    last_word, last_empty, range_end = 0, 0, 0
    for line, text in block:
        if text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise _malformed(text, where=where, line=line, remedy=remedy)
        number, sign, second = int(match[1]), match[2], int(match[3] or 0)
        if sign is None:
            expected = [str(last_word + 1)]
            is_next = number == last_word + 1
            last_word, last_empty = number, 0
        elif sign == "-":
            expected = [f"{last_word + 1}-{last_word + 2} or a longer range from {last_word + 1} on"]
            is_next = number == last_word + 1 and second > number
            range_end = second
        else:
            expected = [f"{last_word}.{last_empty + 1}"]
            is_next = number == last_word and second == last_empty + 1
            last_empty = second
        if not is_next:
            raise InputError(
                "the word numbers are not in sequence",
                where=where,
                line=line,
                expected=expected[0],
                found=text.partition("\t")[0],
                remedy="Mend the number; a blank line must stand between two sentences.",
            )
        # The conllu library also takes two spaces for a column border, and would shift the tags without a word.
        if "  " in text and "  " in "\t".join(text.split("\t")[:5]):
            raise InputError(
                "a column holds two spaces in a row",
                where=where,
                line=line,
                expected="single spaces at most, and tabs between columns",
                found=repr(text[:60]),
                remedy="Replace them by one.",
            )
    if range_end > last_word:
        raise InputError(
            "a multiword range reaches past the end of the sentence",
            where=where,
            line=block[-1][0],
            expected=f"words up to number {range_end}",
            found=f"{last_word}",
            remedy="Mend the range, or add the missing words.",
        )


def _malformed(text: str, *, where: str | Path, line: int, remedy: str) -> InputError:
    columns = text.split("\t")
    if len(columns) != 10:
        problem = "the line has another number of columns"
        expected = "10, separated by tabs (or a comment that starts with #)"
        found = f"{len(columns)} ({text[:60]!r})"
    elif "" in columns:
        problem, expected = "a column is empty", "_ where there is nothing to say"
        found = f"nothing in column {columns.index('') + 1}"
    else:
        problem, expected = "the first column is no word number", "a number (3), a range (3-4) or an empty node (8.1)"
        found = repr(columns[0])
    return InputError(
        problem,
        where=where,
        line=line,
        expected=expected,
        found=found,
        remedy=remedy,
    )


def _untagged_word(block: list[tuple[int, str]], words: list, *, path: str | Path, tag_column: str) -> InputError:
    word = next(word for word in words if word[tag_column] in (None, "_"))
    line = next(line for line, text in block if text.startswith(f"{word['id']}\t"))
    other = "xpos" if tag_column == "upos" else "upos"
    has_other = word[other] not in (None, "_")
    return InputError(
        f"the word {word['form']!r} has no tag",
        where=path,
        line=line,
        expected=f"a tag in column {tag_column.upper()}",
        found="_",
        remedy=f"The column {other.upper()} has one: use tag_column={other}." if has_other else "Tag the word.",
    )
