"""What one system predicted on one split under one seed, and the JSON-lines file that keeps it.

Predictions come in three kinds: a tag for each word of each sentence (`Predictions`), one label for each document
(`DocumentPredictions`), one number for each text (`NumberPredictions`). All functions here take all of them; one file
holds one kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nlptransfer.errors import InputError
from nlptransfer.evaluation.document_predictions import DocumentPredictions
from nlptransfer.evaluation.metrics import TagLists, check_word_counts
from nlptransfer.evaluation.number_scores import NumberPredictions
from nlptransfer.files import read_lines, write_whole

_FIELDS = ("split", "seed", "index", "tokens", "gold", "predicted")
_DOCUMENT_FIELDS = ("split", "seed", "index", "id", "gold", "predicted")
_REMEDY = "Write the file again by repeating the run that made it."


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


SystemPredictions = Predictions | DocumentPredictions | NumberPredictions
"""Predictions of any kind."""

_KINDS = {Predictions: "tags of words", DocumentPredictions: "labels of documents", NumberPredictions: "numbers"}

Part = TypeVar("Part", bound=SystemPredictions)


def check_same_items(predictions: Sequence[SystemPredictions], *, names: Sequence[str] | None = None) -> None:
    """Make sure that all were made for the same items with the same gold labels: only then can they be paired.

    Args:
        predictions: any number of them, for sentences or for documents.
        names: what to call each in the message; without it, system, split and seed.

    Raises:
        InputError: says where two of them first differ.
    """
    if not predictions:
        return
    columns: list[tuple[str, Sequence[Any], Sequence[Any]]]
    named = names or [f"{p.system} on {p.split} with seed {p.seed}" for p in predictions]
    first = predictions[0]
    remedy = "Pair only predictions for the same test set: the same data, split and preprocessing."
    for name, other in zip(named[1:], predictions[1:], strict=True):
        if isinstance(first, Predictions) and isinstance(other, Predictions):
            item = "sentence"
            columns = [("words", first.tokens, other.tokens), ("gold tags", first.gold, other.gold)]
        elif isinstance(first, DocumentPredictions) and isinstance(other, DocumentPredictions):
            item = "document"
            columns = [("id", first.ids, other.ids)]
            if first.gold is not None and other.gold is not None:
                columns.append(("gold label", first.gold, other.gold))
        elif isinstance(first, NumberPredictions) and isinstance(other, NumberPredictions):
            item, columns = "text", [("id", first.ids, other.ids), ("gold number", first.gold, other.gold)]
        else:
            raise InputError(
                "the predictions were not made for the same test items",
                expected=f"{_KINDS[type(first)]} as in {named[0]}",
                found=f"{_KINDS[type(other)]} in {name}",
                remedy=remedy,
            )
        if len(columns[0][1]) != len(columns[0][2]):
            raise InputError(
                "the predictions were not made for the same test items",
                expected=f"{len(columns[0][1])} {item}s as in {named[0]}",
                found=f"{len(columns[0][2])} in {name}",
                remedy=remedy,
            )
        for what, ours, theirs in columns:
            if ours == theirs:
                continue
            for index, (left, right) in enumerate(zip(ours, theirs, strict=True)):
                # A list and a tuple of the same tags are the same.
                if left != right and (isinstance(left, str | float | int) or list(left) != list(right)):
                    raise InputError(
                        f"the predictions were not made for the same test items: {item} {index + 1} differs in its "
                        f"{what}",
                        expected=f"{_clipped(left)} as in {named[0]}",
                        found=f"{_clipped(right)} in {name}",
                        remedy=remedy,
                    )


def by_split(predictions: Iterable[Part]) -> dict[str, list[Part]]:
    """The predictions of each split, splits in the order in which they first appear."""
    groups: dict[str, list[Part]] = {}
    for part in predictions:
        groups.setdefault(part.split, []).append(part)
    return groups


def by_system(predictions: Iterable[Part]) -> dict[str, list[Part]]:
    """The predictions of each system, systems in the order in which they first appear."""
    groups: dict[str, list[Part]] = {}
    for part in predictions:
        groups.setdefault(part.system, []).append(part)
    return groups


def by_pair(predictions: Iterable[Part]) -> dict[str | None, list[Part]]:
    """The predictions of each pair of domains, pairs in the order in which they first appear; tags have pair None."""
    groups: dict[str | None, list[Part]] = {}
    for part in predictions:
        groups.setdefault(part.pair if isinstance(part, DocumentPredictions) else None, []).append(part)
    return groups


def pooled_tags(predictions: Sequence[SystemPredictions]) -> tuple[TagLists, TagLists]:
    """Gold and predicted tags, one list per sentence, of all the predictions in a row: of every seed, say.

    A document counts as a sentence of one word, whose tag is its label; numbers are no tags, and are left out.
    """
    gold: list[Sequence[str]] = []
    predicted: list[Sequence[str]] = []
    for part in predictions:
        if isinstance(part, Predictions):
            gold += part.gold
            predicted += part.predicted
        elif isinstance(part, DocumentPredictions):
            gold += [[label] for label in part.gold or ()]
            predicted += [[label] for label in part.predicted]
    return gold, predicted


def write_predictions(path: str | Path, predictions: Iterable[SystemPredictions]) -> None:
    """Write one line per sentence: split, seed, index (from 0), tokens, gold, predicted.

    For documents, one line per document: split, seed, pair (where there is one), index, id, gold (null while it is
    withheld), predicted. For texts with numbers the same, gold and predicted being numbers.

    Args:
        path: the file, written whole or not at all.
        predictions: all of one system: every split, seed and pair.

    Raises:
        OSError: the file can't be written.
    """
    with write_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for part in predictions:
            for row in _rows(part):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_predictions(path: str | Path) -> list[Predictions] | list[DocumentPredictions] | list[NumberPredictions]:
    """Read a file that `write_predictions` wrote; the system's name is the file's, the kind is told by the first line.

    Args:
        path: a `.jsonl` file.

    Returns:
        One `Predictions` or `NumberPredictions` per split and seed, or one `DocumentPredictions` per split, seed and
        pair, in the order of the file.

    Raises:
        InputError: the file is missing or empty, a line is not JSON, lacks a field or has lists of different lengths,
            or a sentence or document is missing in between.
    """
    path = Path(path)
    parts: dict[tuple[str, int, str | None], tuple[list[Any], list[Any], list[Any]]] = {}
    documents = numbers = False
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
                remedy=_REMEDY,
            ) from error
        if number == 1:
            documents = isinstance(row, dict) and "id" in row
            numbers = documents and _is_number(row.get("predicted"))
        split, seed, index, *values = _check_row(row, path, number, _DOCUMENT_FIELDS if documents else _FIELDS)
        (_check_number if numbers else _check_document if documents else _check_sentence)(row, path, number)
        part = parts.setdefault((split, seed, row.get("pair")), ([], [], []))
        if index != len(part[0]):
            raise InputError(
                f"a {'document' if documents else 'sentence'} of split {split}, seed {seed} is missing or told twice",
                where=path,
                line=number,
                expected=f"index {len(part[0])}",
                found=str(index),
                remedy=_REMEDY,
            )
        for column, value in zip(part, values, strict=True):
            column.append(value)
    if not parts:
        raise InputError("the file holds no predictions", where=path, remedy=_REMEDY)
    if not documents:
        return [Predictions(path.stem, split, seed, *columns) for (split, seed, _), columns in parts.items()]
    if numbers:
        return [NumberPredictions(path.stem, split, seed, *columns) for (split, seed, _), columns in parts.items()]
    return [
        DocumentPredictions(path.stem, split, seed, ids, None if None in gold else gold, predicted, pair)
        for (split, seed, pair), (ids, gold, predicted) in parts.items()
    ]


def _rows(part: SystemPredictions) -> Iterator[dict[str, Any]]:
    start: dict[str, Any] = {"split": part.split, "seed": part.seed}
    if isinstance(part, Predictions):
        sentences = zip(part.tokens, part.gold, part.predicted, strict=True)
        for index, (tokens, tags, predicted) in enumerate(sentences):
            yield {
                **start,
                "index": index,
                "tokens": list(tokens),
                "gold": list(tags),
                "predicted": list(predicted),
            }
        return
    if isinstance(part, DocumentPredictions) and part.pair is not None:
        start["pair"] = part.pair
    gold: Sequence[str | float | None] = [None] * len(part.ids) if part.gold is None else part.gold
    for index, (name, label, own) in enumerate(zip(part.ids, gold, part.predicted, strict=True)):
        yield {**start, "index": index, "id": name, "gold": label, "predicted": own}


def _check_row(row: object, path: Path, line: int, fields: Sequence[str]) -> list[Any]:
    """The values of the fields, split, seed and index checked."""
    if not isinstance(row, dict) or not set(fields) <= set(row):
        found = ", ".join(map(str, row)) if isinstance(row, dict) else repr(row)[:60]
        raise InputError(
            "the line is not a prediction",
            where=path,
            line=line,
            expected=f"the fields {', '.join(fields)}",
            found=found or "none",
            remedy=_REMEDY,
        )
    split, seed, index = row["split"], row["seed"], row["index"]
    if not isinstance(split, str) or type(seed) is not int or type(index) is not int:
        raise InputError(
            "a field has the wrong type",
            where=path,
            line=line,
            expected="split as text, seed and index as whole numbers",
            found=f"{split!r}, {seed!r}, {index!r}",
            remedy=_REMEDY,
        )
    return [row[name] for name in fields]


def _check_sentence(row: Mapping[str, Any], path: Path, line: int) -> None:
    columns = row["tokens"], row["gold"], row["predicted"]
    if not all(isinstance(column, list) and all(isinstance(item, str) for item in column) for column in columns):
        raise InputError("tokens, gold and predicted must be lists of text", where=path, line=line, remedy=_REMEDY)
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise InputError(
            "tokens, gold and predicted differ in length",
            where=path,
            line=line,
            expected="one gold and one predicted tag for each word",
            found=f"{lengths[0]} words, {lengths[1]} gold and {lengths[2]} predicted tags",
            remedy=_REMEDY,
        )


def _check_document(row: Mapping[str, Any], path: Path, line: int) -> None:
    optional = row["gold"], row.get("pair")
    texts = row["id"], row["predicted"], *(value for value in optional if value is not None)
    if not all(isinstance(value, str) for value in texts):
        raise InputError("id, gold, predicted and pair must be text", where=path, line=line, remedy=_REMEDY)


def _check_number(row: Mapping[str, Any], path: Path, line: int) -> None:
    if not isinstance(row["id"], str) or not _is_number(row["gold"]) or not _is_number(row["predicted"]):
        raise InputError("id must be text, gold and predicted numbers", where=path, line=line, remedy=_REMEDY)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _clipped(words: Sequence[str] | float) -> str:
    if isinstance(words, float | int):
        return str(words)
    text = words if isinstance(words, str) else " ".join(words)
    return repr(text if len(text) <= 60 else text[:57] + "...")
