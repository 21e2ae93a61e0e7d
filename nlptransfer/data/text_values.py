"""Texts with a number each, for regression: from tables, folders of tables and the hub."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.data.corpus_files import Format, load_hub, load_path
from nlptransfer.data.fetching import find_path
from nlptransfer.data.table_rows import csv_rows, json_rows, jsonl_rows, read_parquet, tsv_rows
from nlptransfer.data.text_tables import TEXT_TABLE_SUFFIXES, text_dataset
from nlptransfer.errors import InputError
from nlptransfer.files import missing_file

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def load_text_values(
    name: str | Path, *, value_column: str, text_column: str = "text", data_dir: str | Path | None = None
) -> Dataset | DatasetDict:
    """Load texts with a number each.

    Args:
        name: a path (``.csv``, ``.tsv``, ``.jsonl``, ``.json``, ``.parquet``, all but the last also ``.gz``), a folder
            of such files named for their split, or ``hub:owner/name``.
        value_column: the column with the numbers; an empty or missing one is unknown.
        text_column: the column with the texts.
        data_dir: the folder to look in first for a path that is not there; see `data_folders`.

    Returns:
        Columns ``text`` and ``value`` (float, null where it is unknown); a DatasetDict where there are splits.

    Raises:
        InputError: a column is missing, a value is no number, or the corpus can't be had.

    Example:
        >>> load_text_values("reviews.csv", value_column="stars")["value"][:2]
        [4.5, None]
    """

    def make(texts: Sequence[Any], values: Sequence[Any], where: str | Path, lines: Sequence[int | None] | None) -> Any:
        made = text_dataset(texts, where=where, lines=lines, text_column=text_column)
        numbers = [
            _number(value, row=row + 1, line=None if lines is None else lines[row], column=value_column, where=where)
            for row, value in enumerate(values)
        ]
        return made.add_column("value", numbers)

    def conform(dataset: Dataset, where: str) -> Dataset:
        _check_columns(dataset.column_names, (text_column, value_column), where=where)
        return make(dataset[text_column][:], dataset[value_column][:], where, None)

    def read(path: Path) -> Dataset:
        kind = Path(path.name.removesuffix(".gz")).suffix
        if kind == ".parquet":
            return conform(read_parquet(path), str(path))
        example = f'{{"{text_column}": "...", "{value_column}": 2.5}}'
        if kind == ".jsonl":
            rows = list(jsonl_rows(path, example=example))
        elif kind == ".json":
            rows = list(json_rows(path, example=example))
        else:
            rows = list(tsv_rows(path) if kind == ".tsv" else csv_rows(path))
        _check_columns({name for _, row in rows for name in row}, (text_column, value_column), where=path)
        return make(
            [row.get(text_column) for _, row in rows],
            [row.get(value_column) for _, row in rows],
            path,
            [line for line, _ in rows],
        )

    layout = Format(("train", "dev", "test"), TEXT_TABLE_SUFFIXES, read, conform, _together)
    kind, _, rest = str(name).partition(":")
    if kind == "hub":
        return load_hub(rest, None, layout)
    path = find_path(name, data_dir)
    if not path.exists():
        raise missing_file(path)
    return load_path(path, None, layout)


def _together(splits: Mapping[str, Dataset]) -> DatasetDict:
    from datasets import DatasetDict

    return DatasetDict(splits)


def _check_columns(found: Any, wanted: Sequence[str], *, where: str | Path) -> None:
    missing = [name for name in wanted if name not in found]
    if missing and found:
        raise InputError(
            f"there is no column {' and no column '.join(repr(name) for name in missing)}",
            where=where,
            expected=f"the columns {' and '.join(repr(name) for name in wanted)}",
            found=", ".join(repr(name) for name in sorted(found)),
            remedy="Name the column with the numbers after the corpus, as in stars=reviews.csv:stars:regression.",
        )


def _number(value: Any, *, row: int, line: int | None, column: str, where: str | Path) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.inf
    if math.isnan(number):
        return None  # tables written by pandas hold it where a cell was empty
    if math.isinf(number) or isinstance(value, bool):
        raise InputError(
            f"row {row} has no number in the column '{column}'",
            where=where,
            line=line,
            expected="a number, or nothing where it is unknown",
            found=repr(value)[:80],
            remedy="Mend the row, or name another column.",
        )
    return number
