"""Batches of whole texts as words with their spelling, a label for each text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from nlptransfer.data.batching import Batches, EncodedSentences
from nlptransfer.types import Batch


class TextBatches:
    """Batches of encoded texts of about the same length, each text whole.

    Shuffled batches depend on the seed and the epoch alone.

    Args:
        texts: N texts, none without a word, as `MultitaskModel.encode_texts` makes them.
        labels: (N,) integers or floats, `NO_LABEL` where there is none; or None.
        batch_size: texts per batch, at most.
        seed: shuffles; None keeps the texts sorted by length, as for prediction.

    Raises:
        ValueError: a text without words, or not as many labels as texts.

    Compare with:
        `DocumentBatches`, which knows words by their ids alone, without spelling and vectors for unseen words.

    Example:
        >>> batches = TextBatches(model.encode_texts(texts), labels, batch_size=32, seed=0)
        >>> for batch in batches: ...
    """

    def __init__(
        self, texts: EncodedSentences, labels: np.ndarray | None, *, batch_size: int, seed: int | None = None
    ) -> None:
        lengths = np.diff(texts.starts)
        if len(lengths) and lengths.min() < 1:
            raise ValueError("a text without words would get no prediction; encode it as one empty word")
        if labels is not None and labels.shape != (len(texts),):
            raise ValueError(f"expected one label per text, {len(texts)} in all; found the shape {labels.shape}")
        self.labels = labels
        self._starts = texts.starts
        self._batches = Batches(
            replace(texts, labels=None),
            batch_size=batch_size,
            max_length=int(lengths.max(initial=1)),
            seed=seed,
        )

    def set_epoch(self, epoch: int) -> None:
        """Group and order the texts for `epoch`."""
        self._batches.set_epoch(epoch)

    def __len__(self) -> int:
        """The number of batches."""
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        for _, batch in self.groups():
            yield batch

    def groups(self) -> Iterator[tuple[np.ndarray, Batch]]:
        """Each batch with the numbers of its texts, (batch,)."""
        for windows, batch in self._batches.groups():
            # One window per text, since none is longer than the longest.
            items = np.searchsorted(self._starts, [window.start for window in windows])
            labels = None if self.labels is None else torch.from_numpy(self.labels[items])
            yield items, replace(batch, labels=labels)
