"""Which rows of a corpus serve as what: to train on, unlabelled, or the test of a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nlptransfer.data.document_rows import DocumentRows, document_rows
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class TargetRoles:
    """The target's rows by role, before any label is drawn.

    Attributes:
        train: labelled rows beside the test, or None.
        test: labelled rows; none if the target has no labels.
        unlabelled: rows whose labels, if any, are not to be used; none if only the test can serve.
        unlabelled_from: where these come from, in words.
        test_without_label: how many rows of the test split carry no label, and are left out.
    """

    train: DocumentRows | None
    test: DocumentRows
    unlabelled: DocumentRows
    unlabelled_from: str
    test_without_label: int


def _splits(corpus: Dataset | Mapping[str, Dataset], *, where: str) -> dict[str, DocumentRows]:
    """The splits that have rows; a corpus without splits is all ``train``."""
    splits = corpus if isinstance(corpus, Mapping) else {"train": corpus}
    rows = {
        split: document_rows(splits[split], where=where)
        for split in ("train", "test", "unlabelled")
        if split in splits and len(splits[split])
    }
    if not rows:
        raise InputError(
            "the domain is empty",
            where=where,
            expected="reviews" + (" in a split train, test or unlabelled" if isinstance(corpus, Mapping) else ""),
            found=", ".join(f"{len(data)} in {split}" for split, data in splits.items()) or "no splits",
        )
    return rows


def source_roles(corpus: Dataset | Mapping[str, Dataset], *, where: str) -> tuple[DocumentRows, DocumentRows]:
    """The source's rows with labels and those without.

    Args:
        corpus: a text corpus, or its splits by name.
        where: its name, for messages.

    Raises:
        InputError: it is empty, has no split ``train``, no label, or one class only.
    """
    splits = _splits(corpus, where=where)
    if "train" not in splits:
        raise InputError(
            "the source has no reviews to train on",
            where=where,
            expected="a split 'train' with labels",
            found=", ".join(splits),
        )
    labelled, unlabelled = splits["train"].with_label(), splits["train"].without_label()
    if not len(labelled):
        raise InputError(
            "the source has no labels",
            where=where,
            expected="a label for at least two reviews",
            found=f"{len(unlabelled):,} reviews without one",
            remedy="Name the column with the labels (label_column), or swap source and target.",
        )
    if len(labelled.classes()) < 2:
        raise InputError(
            "the source has one class only",
            where=where,
            expected="reviews of at least two classes",
            found=f"{len(labelled):,} reviews, all {labelled.classes()[0]!r}",
        )
    return labelled, unlabelled.then(splits["unlabelled"]) if "unlabelled" in splits else unlabelled


def text_rows(corpus: Dataset | Mapping[str, Dataset], *, where: str) -> DocumentRows:
    """The rows of all splits, none with a label.

    Args:
        corpus: a text corpus, or its splits by name.
        where: its name, for messages.

    Raises:
        InputError: it is empty.
    """
    parts = list(_splits(corpus, where=where).values())
    rows = parts[0].select(np.zeros(0, dtype=np.int64))
    for part in parts:
        rows = rows.then(part)  # which leaves labels out
    return rows


def target_roles(corpus: Dataset | Mapping[str, Dataset], *, where: str) -> TargetRoles:
    """The target's rows by role; `assemble_domain_pair` tells the rules.

    Args:
        corpus: a text corpus, or its splits by name.
        where: its name, for messages.

    Raises:
        InputError: it is empty.
    """
    splits = _splits(corpus, where=where)
    first = next(iter(splits.values()))
    nothing = first.select(np.zeros(len(first), dtype=bool))
    train, extra = splits.get("train", nothing), splits.get("unlabelled", nothing)
    given = splits.get("test", nothing)
    test, test_without_label = given.with_label(), given.without_label()
    if len(test):
        labelled = train.with_label()
        unlabelled, origin = (extra, "split unlabelled") if len(extra) else (train, "split train, labels taken off")
        return TargetRoles(labelled if len(labelled) else None, test, unlabelled, origin, len(test_without_label))
    # A test split without labels can't be tested on: its reviews are unlabelled ones.
    unlabelled = train.without_label().then(extra).then(test_without_label)
    return TargetRoles(None, train.with_label(), unlabelled, "reviews without a label", 0)
