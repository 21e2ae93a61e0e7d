"""What one system predicted for the documents of one split: a label each, of one pair of domains where there are many.

No text is kept: documents are told apart by short stable ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nlptransfer.errors import InputError

ALL_PAIRS = "all"
"""The `pair` of a score or verdict that is a mean over the pairs of domains."""


@dataclass(frozen=True)
class DocumentPredictions:
    """One system's labels for the documents of one split, under one seed.

    Attributes:
        system: the system's name, also the name of its file.
        split: `dev`, `test`, `source_test`, `target_test`.
        seed: the seed it was trained under.
        ids: a short stable name of each document (`17`, or a digest), in the order of the split.
        gold: the gold labels; None while they are withheld, see `with_gold`.
        predicted: the predicted labels.
        pair: the pair of domains, written `books>dvd`; None where the run has only one.

    Raises:
        InputError: the three differ in length.
    """

    system: str
    split: str
    seed: int
    ids: Sequence[str]
    gold: Sequence[str] | None
    predicted: Sequence[str]
    pair: str | None = None

    def __post_init__(self) -> None:
        if self.pair == ALL_PAIRS:
            raise ValueError(f"no pair of domains may be called {ALL_PAIRS!r}: that is the mean over them")
        for name, values in (("predicted", self.predicted), ("gold", self.gold)):
            if values is not None and len(values) != len(self.ids):
                raise InputError(
                    f"the {name} labels and the documents of {self.system} on {self.split} differ in number",
                    expected=f"one label for each of {len(self.ids)} documents",
                    found=str(len(values)),
                    remedy="Give exactly one label for each document, in the order of the documents.",
                )


def with_gold(predictions: DocumentPredictions, gold: Sequence[str]) -> DocumentPredictions:
    """The same predictions with the gold labels that were withheld until scoring.

    Args:
        predictions: with or without gold labels.
        gold: the gold label of each document, in the order of `predictions.ids`.

    Returns:
        New predictions; those given are not changed.

    Raises:
        InputError: there is not one gold label for each document.

    Example:
        >>> kept = DocumentPredictions("dann", "target_test", 0, ["0", "1"], None, ["pos", "neg"], "books>dvd")
        >>> with_gold(kept, ["pos", "pos"]).gold
        ['pos', 'pos']
    """
    return replace(predictions, gold=list(gold))


def label_ids(parts: Sequence[DocumentPredictions]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Gold and predicted labels as numbers, the same number for the same label throughout.

    Args:
        parts: predictions for the same documents (`check_same_items` sees to that): seeds, or systems and seeds.

    Returns:
        Gold label ids (documents,) and predicted label ids (parts, documents).

    Raises:
        InputError: there is no document, or the gold labels are withheld.
    """
    gold = parts[0].gold
    if gold is None:
        raise InputError(
            f"the gold labels of {parts[0].split} are withheld",
            remedy="Join them with `with_gold` before scoring.",
        )
    if not len(gold):
        raise InputError(f"there is no document to score on {parts[0].split}", remedy="Give at least one document.")
    columns = [gold, *(part.predicted for part in parts)]
    ids = {label: number for number, label in enumerate(sorted({label for column in columns for label in column}))}
    array = np.array([[ids[label] for label in column] for column in columns], dtype=np.int64)
    return array[0], array[1:]
