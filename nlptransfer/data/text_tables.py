"""Text corpora as tables: their schema, and how CSV, TSV, JSON Lines, JSON and Parquet files become one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.data.table_rows import csv_rows, json_rows, jsonl_rows, read_parquet, tsv_rows
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

TEXT_TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
_EXAMPLE = '{"text": "...", "label": "..."}'


def text_dataset(
    texts: Sequence[Any],
    labels: Sequence[Any] | None = None,
    *,
    where: str | Path,
    domains: Sequence[Any] | None = None,
    lines: Sequence[int | None] | None = None,
    text_column: str = "text",
    label_column: str = "label",
    domain_column: str = "domain",
) -> Dataset:
    """The `datasets.Dataset` of a text corpus, after a check of its contents.

    Args:
        texts: the documents.
        labels: their labels as text, whole numbers or booleans, which become text; None or empty text where a document
            has none. None: the corpus is unlabelled.
        where: the file or corpus, for messages.
        domains: the domain of each document; no column is made where all are None or empty.
        lines: the line of each document, for messages.
        text_column: what the file calls the texts, for messages.
        label_column: what it calls the labels.
        domain_column: what it calls the domains.

    Returns:
        Columns ``text``; ``label`` (ClassLabel; its names are the labels that occur, sorted as text; null where there
        is none) unless `labels` is None; ``domain`` where given.

    Raises:
        InputError: no documents; a text or a domain that is not text, or is empty; a label that is no label.

    Example:
        >>> text_dataset(["Dull.", "A joy!"], ["neg", "pos"], where="here").features["label"].names
        ['neg', 'pos']
    """
    _check_rows(len(texts), where=where)
    at = _Place(where, lines)
    _check_texts(texts, column=text_column, at=at)

    from datasets import ClassLabel, Dataset, Features, Value

    columns: dict[str, list[Any]] = {"text": list(texts)}
    features: dict[str, Any] = {"text": Value("string")}
    if labels is not None:
        names, ids = _number_labels(labels, column=label_column, at=at)
        columns["label"], features["label"] = ids, ClassLabel(names=names)
    if domains is not None and any(domain not in (None, "") for domain in domains):
        domains = [str(domain) if type(domain) is int else domain for domain in domains]
        _check_texts(domains, column=domain_column, at=at)
        columns["domain"], features["domain"] = list(domains), Value("string")
    return Dataset.from_dict(columns, features=Features(features))


def read_text_table(
    path: str | Path,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    domain_column: str | None = None,
) -> Dataset:
    """Read a text corpus from a ``.csv``, ``.tsv``, ``.jsonl``, ``.json`` or ``.parquet`` file, a document a row.

    All but Parquet may be gzipped (``.gz``). A ``.json`` file is one list of objects. Columns that are not named here
    are left out. A row whose label is missing, null or empty is an unlabelled document.

    Args:
        path: the file.
        text_column: the column with the texts; None: ``text``.
        label_column: the column with the labels; None: ``label`` if there is one, else the corpus is unlabelled.
        domain_column: the column with the domain of each text; None: ``domain`` if there is one.

    Returns:
        The corpus, with the schema of `text_dataset`.

    Raises:
        InputError: a column is missing (names those found), a row is broken, or what `text_dataset` refuses.
    """
    path = Path(path)
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        return conform_text_dataset(
            read_parquet(path),
            where=path,
            text_column=text_column,
            label_column=label_column,
            domain_column=domain_column,
        )
    if name.endswith(".jsonl"):
        rows = jsonl_rows(path, example=_EXAMPLE)
    elif name.endswith(".json"):
        rows = json_rows(path, example=_EXAMPLE)
    else:
        rows = tsv_rows(path) if name.endswith(".tsv") else csv_rows(path)
    lines, records = [], []
    for line, row in rows:
        lines.append(line)
        records.append(row)
    _check_rows(len(records), where=path)
    # Rows of JSON may each have other keys; the text must be in every one.
    found = list(dict.fromkeys(name for row in records for name in row))
    text, label, domain = _choose_columns(found, text_column, label_column, domain_column, where=path)
    for number, row in enumerate(records):
        if text not in row:
            raise _missing_columns([text], list(row), where=path, line=lines[number], row=number + 1)
    return text_dataset(
        [row[text] for row in records],
        None if label is None else [row.get(label) for row in records],
        where=path,
        domains=None if domain is None else [row.get(domain) for row in records],
        lines=lines,
        text_column=text,
        label_column=label or "label",
        domain_column=domain or "domain",
    )


def conform_text_dataset(
    dataset: Dataset,
    *,
    where: str | Path,
    text_column: str | None = None,
    label_column: str | None = None,
    domain_column: str | None = None,
) -> Dataset:
    """A dataset from elsewhere in the schema of `text_dataset`; one with ``terms`` and ``counts`` keeps these instead.

    Args:
        dataset: any `datasets.Dataset` with a column of text; labels may be text, whole numbers, booleans or
            ClassLabel.
        where: its name, for messages.
        text_column: see `read_text_table`; so also the next two.
        label_column: the column with the labels.
        domain_column: the column with the domains.

    Raises:
        InputError: a column is missing, or what `text_dataset` refuses.
    """
    found = dataset.column_names
    is_counted = text_column is None and "text" not in found and {"terms", "counts"} <= set(found)
    text, label, domain = _choose_columns(
        found, "terms" if is_counted else text_column, label_column, domain_column, where=where
    )
    labels = None
    if label is not None:
        labels = dataset[label][:]
        names = getattr(dataset.features[label], "names", None)
        if names is not None:
            # -1 is how the hub marks unlabelled rows.
            labels = [None if index is None or index < 0 else names[index] for index in labels]
    made = text_dataset(
        ["counted"] * len(dataset) if is_counted else dataset[text][:],
        labels,
        where=where,
        domains=None if domain is None else dataset[domain][:],
        text_column=text,
        label_column=label or "label",
        domain_column=domain or "domain",
    )
    return _with_counts(dataset, made, where=where) if is_counted else made


def _with_counts(dataset: Dataset, others: Dataset, *, where: str | Path) -> Dataset:
    import pyarrow

    # Read through the dataset, which may be a selection of the rows of its table.
    terms, counts = dataset["terms"][:], dataset["counts"][:]
    for number, (row_terms, row_counts) in enumerate(zip(terms, counts, strict=True)):
        if not isinstance(row_terms, list) or not isinstance(row_counts, list) or len(row_terms) != len(row_counts):
            raise InputError(
                f"row {number + 1} has not as many counts as terms",
                where=where,
                expected="two lists of one length in the columns 'terms' and 'counts'",
                found=f"{str(row_terms)[:40]} and {str(row_counts)[:40]}",
            )
    try:
        columns = (
            pyarrow.array(terms, pyarrow.list_(pyarrow.string())),
            pyarrow.array(counts, pyarrow.list_(pyarrow.float32())),
        )
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
        raise InputError(
            f"the columns 'terms' and 'counts' can't be read as counted terms ({error})",
            where=where,
            expected="lists of text and lists of numbers",
        ) from error
    return counted_dataset(*columns, others)


def counted_dataset(terms: Any, counts: Any, others: Dataset) -> Dataset:
    """The dataset of a corpus that ships counts, made in bulk.

    Args:
        terms: pyarrow list array, the terms of each document.
        counts: pyarrow list array, how often each occurs.
        others: a dataset of as many rows, whose columns other than ``text`` are taken over.

    Returns:
        Columns ``terms`` (list of text), ``counts`` (list of float32), then those of `others`.
    """
    import pyarrow
    from datasets import Dataset, Features, List, Value
    from datasets.table import InMemoryTable

    kept = {name: feature for name, feature in others.features.items() if name != "text"}
    features = Features({"terms": List(Value("string")), "counts": List(Value("float32")), **kept})
    columns = [terms, counts, *(others.data.column(name) for name in kept)]
    table = pyarrow.table(dict(zip(features, columns, strict=True)))
    return Dataset(InMemoryTable(table.cast(features.arrow_schema)))


def label_names(dataset: Dataset) -> list[str]:
    """The names of the labels of a text corpus, by id.

    Raises:
        InputError: the dataset has no column ``label`` with named labels.
    """
    names = getattr(dataset.features.get("label"), "names", None)
    if names is None:
        raise InputError(
            "the dataset has no named labels",
            expected="a column 'label' of ClassLabel",
            found=", ".join(dataset.column_names) or "no columns",
            remedy="Load it with load_corpus; label_column names the column with the labels.",
        )
    return list(names)


def drop_labels(dataset: Dataset) -> Dataset:
    """The corpus without its label column, if it has one: an unlabelled corpus."""
    return dataset.remove_columns("label") if "label" in dataset.column_names else dataset


def share_labels(splits: Mapping[str, Dataset]) -> DatasetDict:
    """The same datasets with one numbering of their labels, that of the sorted names of all; unlabelled ones as is."""
    from datasets import DatasetDict

    names = sorted({name for data in splits.values() if "label" in data.features for name in label_names(data)})
    return DatasetDict({split: _renumber(data, names) for split, data in splits.items()})


def _renumber(data: Dataset, names: list[str]) -> Dataset:
    from datasets import ClassLabel

    if "label" not in data.features or label_names(data) == names:
        return data
    old = label_names(data)
    ids = [None if label is None else names.index(old[label]) for label in data["label"][:]]
    order = data.column_names
    renumbered = data.remove_columns("label").add_column("label", ids, feature=ClassLabel(names=names))
    return renumbered.select_columns(order)


class _Place:
    """Where the rows are, to say so in an error."""

    def __init__(self, where: str | Path, lines: Sequence[int | None] | None) -> None:
        self.where = where
        self.lines = lines

    def error(self, index: int, problem: str, **details: str) -> InputError:
        line = None if self.lines is None else self.lines[index]
        return InputError(f"row {index + 1} {problem}", where=self.where, line=line, **details)


def _check_rows(number: int, *, where: str | Path) -> None:
    if not number:
        raise InputError(
            "the corpus is empty",
            where=where,
            expected="at least one text",
            found="none",
            remedy="Check that this is the file you meant, and that it was copied whole.",
        )


def _check_texts(values: Sequence[Any], *, column: str, at: _Place) -> None:
    wrong = [index for index, value in enumerate(values) if type(value) is not str or not value or value.isspace()]
    if wrong:
        value = values[wrong[0]]
        others = f"; so have {len(wrong) - 1} other rows" if len(wrong) > 1 else ""
        raise at.error(
            wrong[0],
            f"has no text in the column '{column}'{others}",
            expected="text that is not empty",
            found=repr(value)[:80],
            remedy="Mend or delete such rows, or name another column.",
        )
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        index = next(index for index, value in enumerate(values) if _has_surrogate(value))
        raise at.error(index, f"has half a character, a lone surrogate, in the column '{column}'") from None


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _number_labels(labels: Sequence[Any], *, column: str, at: _Place) -> tuple[list[str], list[int | None]]:
    texts = [_label_text(label, column=column, at=at, index=index) for index, label in enumerate(labels)]
    names = sorted({text for text in texts if text is not None})
    ids = {name: index for index, name in enumerate(names)}
    return names, [None if text is None else ids[text] for text in texts]


def _label_text(label: Any, *, column: str, at: _Place, index: int) -> str | None:
    # Tables that were written with a gap in a column of whole numbers hold them as 1.0, and NaN for the gap.
    if label is None or label != label:
        return None
    if isinstance(label, str) and not _has_surrogate(label):
        return label.strip() or None
    if isinstance(label, bool | int) or (isinstance(label, float) and label.is_integer()):
        return str(label if isinstance(label, bool) else int(label))
    raise at.error(
        index,
        f"has no label in the column '{column}'",
        expected="text, a whole number, true or false; or nothing where the text is unlabelled",
        found=repr(label)[:80],
        remedy="Mend the row, or name another column with label_column.",
    )


def _choose_columns(
    found: Sequence[str], text: str | None, label: str | None, domain: str | None, *, where: str | Path
) -> tuple[str, str | None, str | None]:
    """The columns to read: those named must be there, ``label`` and ``domain`` need not."""
    missing = [name for name in (text or "text", label, domain) if name is not None and name not in found]
    if missing:
        raise _missing_columns(missing, found, where=where)
    return text or "text", label or _if_there("label", found), domain or _if_there("domain", found)


def _if_there(name: str, found: Iterable[str]) -> str | None:
    return name if name in found else None


def _missing_columns(
    missing: Sequence[str], found: Sequence[str], *, where: str | Path, line: int | None = None, row: int | None = None
) -> InputError:
    return InputError(
        ("there is" if row is None else f"row {row} has")
        + f" no column {' and no column '.join(repr(name) for name in missing)}",
        where=where,
        line=line,
        expected="a column with the texts, and with labels one more",
        found=", ".join(repr(name) for name in found) or "no columns",
        remedy="Name them with text_column and label_column (domain_column, if there is one with the domains), or "
        "rename them.",
    )
