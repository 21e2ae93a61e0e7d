"""Tagging corpora as tables: their schema, and how JSON Lines, JSON, CSV and Parquet files become one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.data.table_rows import Row, csv_rows, json_rows, jsonl_rows, parse_json, read_parquet
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset

TABLE_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")
_EXAMPLE = '{"tokens": [...], "tags": [...]}'


def tagged_dataset(
    tokens: Sequence[list[str]],
    tags: Sequence[list[str]],
    *,
    where: str | Path,
    lines: Sequence[int | None] | None = None,
    domains: Sequence[str | None] | None = None,
    comments: Sequence[list[str]] | None = None,
) -> Dataset:
    """The `datasets.Dataset` of a tagging corpus, after a check of its contents.

    Args:
        tokens: the words of each sentence.
        tags: the tag of each word, as text.
        where: the file or corpus, for messages.
        lines: the line at which each sentence starts, for messages.
        domains: the genre of each sentence; the column is made only if every sentence has one.
        comments: the comment lines of each sentence, where the format has them.

    Returns:
        Columns ``tokens`` (list of text) and ``tags`` (list of ClassLabel; its names are the tags that occur, in
        sorted order), and ``domain`` and ``comments`` where given.

    Raises:
        InputError: no sentences; a sentence without words; as many tags as words are not there; a word or tag that is
            not text, or is empty.

    Example:
        >>> tagged_dataset([["The", "bank"]], [["DET", "NOUN"]], where="here").features["tags"].feature.names
        ['DET', 'NOUN']
    """
    if not tokens:
        raise InputError(
            "the corpus is empty",
            where=where,
            expected="at least one sentence",
            found="none",
            remedy="Check that this is the file you meant, and that it was copied whole.",
        )
    for number, (words, word_tags) in enumerate(zip(tokens, tags, strict=True)):
        _check_sentence(words, word_tags, where=where, number=number + 1, line=None if lines is None else lines[number])

    from datasets import ClassLabel, Dataset, Features, List, Value

    names = sorted({tag for word_tags in tags for tag in word_tags})
    ids = {name: index for index, name in enumerate(names)}
    columns: dict[str, Any] = {
        "tokens": list(tokens),
        "tags": [[ids[tag] for tag in word_tags] for word_tags in tags],
    }
    features = {"tokens": List(Value("string")), "tags": List(ClassLabel(names=names))}
    if domains is not None and all(domains):
        columns["domain"], features["domain"] = list(domains), Value("string")
    if comments is not None:
        columns["comments"], features["comments"] = list(comments), List(Value("string"))
    return Dataset.from_dict(columns, features=Features(features))


def read_table(path: str | Path, *, tag_column: str = "tags") -> Dataset:
    """Read a tagging corpus from a ``.jsonl``, ``.json``, ``.csv`` or ``.parquet`` file (the first three also ``.gz``).

    Each row is a sentence with its words in ``tokens`` and their tags in `tag_column`. In JSON both are lists, and a
    ``.json`` file is one list of such objects. In CSV a cell is either a JSON list (``["New", "York"]``) or words
    separated by spaces. In Parquet they are list columns, and tags may be a ClassLabel as `datasets` writes it. A
    ``domain`` column is kept; others are left out.

    Args:
        path: the file.
        tag_column: the column with the tags.

    Returns:
        The corpus, with the schema of `tagged_dataset`.

    Raises:
        InputError: a column is missing (names those found), a row is broken, or what `tagged_dataset` refuses.
    """
    path = Path(path)
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        return conform_dataset(read_parquet(path), where=path, tag_column=tag_column)
    if name.endswith(".csv"):
        rows = _csv_rows(path, tag_column=tag_column)
    elif name.endswith(".jsonl"):
        rows = jsonl_rows(path, example=_EXAMPLE)
    else:
        rows = json_rows(path, example=_EXAMPLE)
    tokens, tags, domains, lines = [], [], [], []
    for line, row in rows:
        check_columns(list(row), tag_column=tag_column, where=path, line=line)
        tokens.append(row["tokens"])
        tags.append(row[tag_column])
        domains.append(row.get("domain"))
        lines.append(line)
    return tagged_dataset(tokens, tags, where=path, lines=lines, domains=domains)


def conform_dataset(dataset: Dataset, *, where: str | Path, tag_column: str = "tags") -> Dataset:
    """A dataset from elsewhere in the schema of `tagged_dataset`: its ``tokens``, its tags, and its ``domain``.

    Args:
        dataset: any `datasets.Dataset` with lists of words and lists of tags (text or ClassLabel).
        where: its name, for messages.
        tag_column: the column with the tags.

    Raises:
        InputError: a column is missing or has another type, or what `tagged_dataset` refuses.
    """
    check_columns(dataset.column_names, tag_column=tag_column, where=where)
    inner = getattr(dataset.features[tag_column], "feature", None)
    tags = dataset[tag_column][:]
    names = getattr(inner, "names", None)
    if names is not None:
        tags = [[names[tag] if tag is not None and tag >= 0 else "" for tag in word_tags] for word_tags in tags]
    elif getattr(inner, "dtype", None) not in ("string", "large_string"):
        raise InputError(
            f"the column '{tag_column}' can't be read as tags",
            where=where,
            expected="a list of text or of ClassLabel in each row",
            found=str(dataset.features[tag_column]),
            remedy="Give the tags as text, or cast the column to List(ClassLabel(names=[...])).",
        )
    domains = dataset["domain"][:] if "domain" in dataset.column_names else None
    return tagged_dataset(dataset["tokens"][:], tags, where=where, domains=domains)


def check_columns(found: Sequence[str], *, tag_column: str, where: str | Path, line: int | None = None) -> None:
    """Raise InputError, naming the columns found, unless ``tokens`` and `tag_column` are among them."""
    missing = [name for name in ("tokens", tag_column) if name not in found]
    if missing:
        raise InputError(
            f"there is no column {' and no column '.join(repr(name) for name in missing)}",
            where=where,
            line=line,
            expected=f"the columns 'tokens' and '{tag_column}'",
            found=", ".join(repr(name) for name in found) or "no columns",
            remedy="Rename the columns, or name the one with the tags as tag_column.",
        )


def _check_sentence(words: Any, tags: Any, *, where: str | Path, number: int, line: int | None) -> None:
    def bad(problem: str, **details: str) -> InputError:
        return InputError(f"sentence {number} {problem}", where=where, line=line, **details)

    if not isinstance(words, list) or not isinstance(tags, list):
        found = next(value for value in (words, tags) if not isinstance(value, list))
        raise bad("is not given as two lists", expected="a list of words and a list of tags", found=repr(found)[:80])
    if len(words) != len(tags):
        raise bad(
            "has another number of tags than of tokens",
            expected=f"{len(words)} tags, one for each token",
            found=str(len(tags)),
            remedy="Mend or delete the sentence.",
        )
    if not words:
        raise bad("has no words", remedy="Delete it.")
    for kind, values in (("token", words), ("tag", tags)):
        # Two quick scans for the usual case; the slow search runs only to name the culprit.
        if "" in values or not all(type(value) is str for value in values):
            index = next(i for i, value in enumerate(values) if type(value) is not str or value == "")
            raise bad(
                f"has a {kind} that is no text (number {index + 1}, of the token {words[index]!r})",
                expected="text that is not empty",
                found=repr(values[index]),
                remedy="Mend or delete the sentence.",
            )
        try:
            "".join(values).encode()
        except UnicodeEncodeError as error:
            raise bad(
                f"has a {kind} with half a character, a lone surrogate", found=repr(error.object[error.start])
            ) from None


def _csv_rows(path: Path, *, tag_column: str) -> Iterator[Row]:
    for line, row in csv_rows(path):
        check_columns(list(row), tag_column=tag_column, where=path, line=1)
        for name in ("tokens", tag_column):
            cell = row[name]
            row[name] = parse_json(cell, path=path, line=line or 1) if cell.startswith('["') else cell.split()
        yield line, row
