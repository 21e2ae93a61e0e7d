"""The rows of a text corpus as one Arrow table, labels beside it, so that choosing rows is one vectorised step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nlptransfer.data.repeats import document_keys
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset, Features
    from numpy.typing import NDArray


@dataclass(frozen=True)
class DocumentRows:
    """Documents and, beside them, their labels.

    Attributes:
        table: ``text``, or ``terms`` and ``counts``.
        features: the schema of `table`.
        labels: (rows,) positions in `names`, -1 where there is none.
        names: names of the classes, as the corpus numbers them.
    """

    table: pyarrow.Table
    features: Features
    labels: NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, rows: NDArray[Any]) -> DocumentRows:
        """Some rows: a mask (rows,), or indices in the order wanted."""
        indices = np.flatnonzero(rows) if rows.dtype == bool else rows
        return DocumentRows(self.table.take(indices), self.features, self.labels[indices], self.names)

    def with_label(self) -> DocumentRows:
        """The rows that carry a label."""
        return self.select(self.labels >= 0)

    def without_label(self) -> DocumentRows:
        """The rows that carry none."""
        return self.select(self.labels < 0)

    def then(self, other: DocumentRows) -> DocumentRows:
        """These rows and the others after them, all of them without labels."""
        import pyarrow

        table = pyarrow.concat_tables([self.table, other.table.select(self.table.column_names).cast(self.table.schema)])
        return DocumentRows(table, self.features, np.full(len(table), -1, dtype=np.int64), ())

    def classes(self) -> list[str]:
        """The names of the classes that occur, sorted."""
        return sorted(self.names[index] for index in np.unique(self.labels[self.labels >= 0]))

    def ids(self, label_names: Sequence[str]) -> NDArray[np.int64]:
        """The labels as positions in `label_names`, -1 where there is none."""
        known = {name: index for index, name in enumerate(label_names)}
        return np.array([*(known.get(name, -1) for name in self.names), -1], dtype=np.int64)[self.labels]

    def keys(self) -> NDArray[np.uint64]:
        """The keys of the documents, see `document_keys`."""
        return document_keys(self.table)

    def dataset(self, label_names: Sequence[str] | None = None) -> Dataset:
        """The dataset, with a column ``label`` only if `label_names` are given."""
        import pyarrow
        from datasets import ClassLabel, Dataset, DatasetInfo, Features
        from datasets.table import InMemoryTable

        table, features = self.table, Features(self.features)
        if label_names is not None:
            table = table.append_column("label", pyarrow.array(self.ids(label_names)))
            features["label"] = ClassLabel(names=list(label_names))
        # What `datasets` itself noted in the file would name columns that are gone.
        table = table.replace_schema_metadata(None).cast(features.arrow_schema)
        return Dataset(InMemoryTable(table), info=DatasetInfo(features=features))


def document_rows(dataset: Dataset, *, where: str) -> DocumentRows:
    """Take the documents and labels out of a dataset.

    Args:
        dataset: with a column ``text``, or ``terms`` and ``counts``; and ``label`` (ClassLabel) where it has labels.
            Other columns are left out.
        where: the corpus, for messages.

    Raises:
        InputError: the columns are not there, or the labels have no names.
    """
    from datasets import Features

    content = ["text"] if "text" in dataset.column_names else ["terms", "counts"]
    if not set(content) <= set(dataset.column_names):
        raise InputError(
            "this is no text corpus",
            where=where,
            expected="a column 'text', or 'terms' and 'counts'",
            found=", ".join(dataset.column_names) or "no columns",
        )
    table = dataset.with_format("arrow")[:]
    labels = np.full(len(table), -1, dtype=np.int64)
    names: tuple[str, ...] = ()
    if "label" in dataset.column_names and table["label"].null_count < len(table):
        named = getattr(dataset.features["label"], "names", None)
        if named is None:
            raise InputError(
                "the labels have no names",
                where=where,
                expected="a column 'label' of ClassLabel",
                found=str(dataset.features["label"]),
                remedy="Load the corpus with load_corpus, or cast the column with class_encode_column.",
            )
        names = tuple(named)
        # `datasets` itself writes -1 for a missing ClassLabel.
        labels = np.maximum(table["label"].fill_null(-1).to_numpy().astype(np.int64), -1)
    features = Features({name: dataset.features[name] for name in content})
    return DocumentRows(table.select(content), features, labels, names)
