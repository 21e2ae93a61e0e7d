"""What one system predicted on one split under one seed, and the JSON-lines file that keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlptransfer.errors import InputError
from nlptransfer.evaluation.metrics import TagLists, check_word_counts
from nlptransfer.files import read_lines, write_whole

_FIELDS = ("split", "seed", "index", "tokens", "gold", "predicted")


@dataclass(frozen=True)
class Predictions:
    """One system's tags for one split, under one seed.

    Attributes:
        system: the system's name, also the name of its file.
        split: `dev`, `test`, `source_test`, `target_test`.
        seed: the seed it was trained under.
        tokens: one list of words per sentence.
        gold: one list of gold tags per sentence.
        predicted: one list of predicted tags per sentence.

    Raises:
        InputError: the three differ in the number of sentences or words.
    """

    system: str
    split: str
    seed: int
    tokens: TagLists
    gold: TagLists
    predicted: TagLists

    def __post_init__(self) -> None:
        check_word_counts(self.gold, self.tokens, name="the words")
        check_word_counts(self.gold, self.predicted)


def check_same_items(predictions: Sequence[Predictions], *, names: Sequence[str] | None = None) -> None:
    """Make sure that all were made for the same sentences with the same gold tags: only then can they be paired.

    Args:
        predictions: any number of them.
        names: what to call each in the message; without it, system, split and seed.

    Raises:
        InputError: says where two of them first differ.
    """
    if not predictions:
        return
    named = names or [f"{p.system} on {p.split} with seed {p.seed}" for p in predictions]
    first = predictions[0]
    remedy = "Pair only predictions for the same test set: the same data, split and preprocessing."
    for name, other in zip(named[1:], predictions[1:], strict=True):
        if len(first.tokens) != len(other.tokens):
            raise InputError(
                "the predictions were not made for the same test items",
                expected=f"{len(first.tokens)} sentences as in {named[0]}",
                found=f"{len(other.tokens)} in {name}",
                remedy=remedy,
            )
        for what, ours, theirs in (("words", first.tokens, other.tokens), ("gold tags", first.gold, other.gold)):
            for index, (left, right) in enumerate(zip(ours, theirs, strict=True)):
                if list(left) != list(right):
                    raise InputError(
                        f"the predictions were not made for the same test items: sentence {index + 1} differs in its "
                        f"{what}",
                        expected=f"{_clipped(left)} as in {named[0]}",
                        found=f"{_clipped(right)} in {name}",
                        remedy=remedy,
                    )


def by_split(predictions: Iterable[Predictions]) -> dict[str, list[Predictions]]:
    """The predictions of each split, splits in the order in which they first appear."""
    groups: dict[str, list[Predictions]] = {}
    for part in predictions:
        groups.setdefault(part.split, []).append(part)
    return groups


def by_system(predictions: Iterable[Predictions]) -> dict[str, list[Predictions]]:
    """The predictions of each system, systems in the order in which they first appear."""
    groups: dict[str, list[Predictions]] = {}
    for part in predictions:
        groups.setdefault(part.system, []).append(part)
    return groups


def pooled_tags(predictions: Sequence[Predictions]) -> tuple[TagLists, TagLists]:
    """Gold and predicted tags, one list per sentence, of all the predictions in a row: of every seed, say."""
    gold = [tags for part in predictions for tags in part.gold]
    return gold, [tags for part in predictions for tags in part.predicted]


def write_predictions(path: str | Path, predictions: Iterable[Predictions]) -> None:
    """Write one line per sentence: split, seed, index (from 0), tokens, gold, predicted.

    Args:
        path: the file, written whole or not at all.
        predictions: all of one system: every split and seed.

    Raises:
        OSError: the file can't be written.
    """
    with write_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for part in predictions:
            for index, (tokens, gold, tags) in enumerate(zip(part.tokens, part.gold, part.predicted, strict=True)):
                values = (part.split, part.seed, index, list(tokens), list(gold), list(tags))
                file.write(json.dumps(dict(zip(_FIELDS, values, strict=True)), ensure_ascii=False) + "\n")


def read_predictions(path: str | Path) -> list[Predictions]:
    """Read a file that `write_predictions` wrote; the system's name is the file's.

    Args:
        path: a `.jsonl` file.

    Returns:
        One `Predictions` per split and seed, in the order of the file.

    Raises:
        InputError: the file is missing or empty, a line is not JSON, lacks a field or has lists of different lengths,
            or a sentence is missing in between.
    """
    path = Path(path)
    parts: dict[tuple[str, int], tuple[list[list[str]], list[list[str]], list[list[str]]]] = {}
    remedy = "Write the file again by repeating the run that made it."
    for number, line in read_lines(path):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(
                "the line is not JSON",
                where=path,
                line=number,
                expected="one JSON object per line",
                found=repr(line[:60]),
                remedy=remedy,
            ) from error
        split, seed, index, tokens, gold, predicted = _check_row(row, path, number)
        part = parts.setdefault((split, seed), ([], [], []))
        if index != len(part[0]):
            raise InputError(
                f"a sentence of split {split}, seed {seed} is missing or told twice",
                where=path,
                line=number,
                expected=f"index {len(part[0])}",
                found=str(index),
                remedy=remedy,
            )
        for column, values in zip(part, (tokens, gold, predicted), strict=True):
            column.append(values)
    if not parts:
        raise InputError("the file holds no predictions", where=path, remedy=remedy)
    return [Predictions(path.stem, split, seed, *columns) for (split, seed), columns in parts.items()]


def _check_row(row: object, path: Path, line: int) -> tuple[str, int, int, list[str], list[str], list[str]]:
    remedy = "Write the file again by repeating the run that made it."
    if not isinstance(row, dict) or not set(_FIELDS) <= set(row):
        found = ", ".join(map(str, row)) if isinstance(row, dict) else repr(row)[:60]
        raise InputError(
            "the line is not a prediction",
            where=path,
            line=line,
            expected=f"the fields {', '.join(_FIELDS)}",
            found=found or "none",
            remedy=remedy,
        )
    split, seed, index, *columns = (row[name] for name in _FIELDS)
    if not isinstance(split, str) or type(seed) is not int or type(index) is not int:
        raise InputError(
            "a field has the wrong type",
            where=path,
            line=line,
            expected="split as text, seed and index as whole numbers",
            found=f"{split!r}, {seed!r}, {index!r}",
            remedy=remedy,
        )
    if not all(isinstance(column, list) and all(isinstance(item, str) for item in column) for column in columns):
        raise InputError("tokens, gold and predicted must be lists of text", where=path, line=line, remedy=remedy)
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise InputError(
            "tokens, gold and predicted differ in length",
            where=path,
            line=line,
            expected="one gold and one predicted tag for each word",
            found=f"{lengths[0]} words, {lengths[1]} gold and {lengths[2]} predicted tags",
            remedy=remedy,
        )
    return split, seed, index, columns[0], columns[1], columns[2]


def _clipped(words: Sequence[str]) -> str:
    text = " ".join(words)
    return repr(text if len(text) <= 60 else text[:57] + "...")
