"""The documents of a text corpus as feature extractors take them: texts, or bags of counted terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset

Document: TypeAlias = str | Mapping[str, float]
"""A text; or for a corpus that ships counts only, how often each term occurs."""


def documents(dataset: Dataset) -> list[Document]:
    """The documents of a corpus, in its order.

    Args:
        dataset: with a column ``text``, or with ``terms`` (list of text) and ``counts`` (list of numbers).

    Returns:
        The texts, or for each document a dict from term to count.

    Raises:
        InputError: the dataset has neither.

    Example:
        >>> documents(load_corpus("amazon-bow5000:books", "test"))[0]["0"]
        1.0
    """
    names = dataset.column_names
    if "text" in names:
        return list(dataset["text"][:])
    if "terms" in names and "counts" in names:
        pairs = zip(dataset["terms"][:], dataset["counts"][:], strict=True)
        return [dict(zip(terms, counts, strict=True)) for terms, counts in pairs]
    raise InputError(
        "the dataset holds no documents",
        expected="a column 'text', or the columns 'terms' and 'counts'",
        found=", ".join(repr(name) for name in names) or "no columns",
        remedy="Load it with load_corpus; for a file or a hub dataset name its column with text_column.",
    )


def only_texts(documents: Sequence[Document]) -> list[str]:
    """Documents that are all texts, for what reads them word by word.

    Args:
        documents: N of them.

    Raises:
        InputError: one is a bag of terms, which has no order.
    """
    texts = [document for document in documents if isinstance(document, str)]
    if len(texts) < len(documents):
        raise InputError(
            "an encoder reads texts",
            expected="running text",
            found="documents that are bags of counted terms",
            remedy="Choose a corpus with texts, or n-gram features.",
        )
    return texts
