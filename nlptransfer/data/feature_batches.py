"""Documents to batches: rows of features, or sequences of word ids, and pairs of batches from two domains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from scipy import sparse

from nlptransfer.data.batching import Batches, EncodedSentences
from nlptransfer.data.vocabulary import UNKNOWN
from nlptransfer.types import Batch, DomainBatch


class ItemBatches(Protocol):
    """Batches that know which items they hold: `FeatureBatches` and `DocumentBatches`.

    Attributes:
        num_items: how many items there are.
    """

    num_items: int

    def set_epoch(self, epoch: int) -> None:
        """Order the items for `epoch`."""

    def groups(self) -> Iterator[tuple[np.ndarray, Batch]]:
        """Each batch with the numbers of its items, (batch,)."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


class FeatureBatches:
    """Batches of feature rows: `Batch.input_ids` are features, `Batch.values` what they weigh.

    A sparse row lists its features in ascending order, each once, padded to the longest row of the batch. A dense row
    lists all D of them, by a view that costs no memory; `BagOfWordsNetwork` recognises it and multiplies matrices.
    Shuffled batches depend on the seed and the epoch alone. They are of equal size, give or take one item: no last
    batch of one or two.

    Args:
        features: (N, D), sparse or dense.
        labels: (N,) class ids, `NO_LABEL` where there is none; or None.
        batch_size: items per batch, at most.
        seed: shuffles; None keeps the items in their order, as for prediction.
        weights: (N,) one weight per item; or None.

    Attributes:
        num_items: N.

    Raises:
        ValueError: no room in a batch, or as many labels or weights as rows were not given.

    Example:
        >>> batches = FeatureBatches(extractor.transform(documents), labels, batch_size=64, seed=0)
        >>> for batch in batches: ...
    """

    def __init__(
        self,
        features: Any,
        labels: np.ndarray | None,
        *,
        batch_size: int,
        seed: int | None = None,
        weights: np.ndarray | None = None,
    ) -> None:
        _check_batch_size(batch_size)
        if sparse.issparse(features):
            features = features.tocsr()
            if not features.has_canonical_format:
                features = features.copy()  # the caller's array stays as it is
                features.sum_duplicates()
        self.features = features
        self.num_items = features.shape[0]
        self.labels = _item_array("labels", labels, np.int64, self.num_items)
        self.weights = _item_array("weights", weights, np.float32, self.num_items)
        self.batch_size = batch_size
        self.seed = seed
        self._order = np.arange(self.num_items)

    def set_epoch(self, epoch: int) -> None:
        """Order the items for `epoch`."""
        if self.seed is not None:
            self._order = np.random.default_rng((self.seed, epoch)).permutation(self.num_items)

    def __len__(self) -> int:
        """The number of batches."""
        return -(-self.num_items // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for _, batch in self.groups():
            yield batch

    def groups(self) -> Iterator[tuple[np.ndarray, Batch]]:
        """Each batch with the numbers of its rows, (batch,)."""
        if self.num_items:
            for rows in np.array_split(self._order, len(self)):
                yield rows, self._assemble(rows)

    def _assemble(self, rows: np.ndarray) -> Batch:
        if sparse.issparse(self.features):
            starts = self.features.indptr[rows].astype(np.int64)
            lengths = self.features.indptr[rows + 1] - starts
            mask = np.arange(max(1, int(lengths.max()))) < lengths[:, None]  # (batch, time)
            within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            positions = np.repeat(starts, lengths) + within
            ids, values = np.zeros(mask.shape, dtype=np.int64), np.zeros(mask.shape, dtype=np.float32)
            ids[mask] = self.features.indices[positions]
            values[mask] = self.features.data[positions]
            batch = Batch(torch.from_numpy(ids), torch.from_numpy(mask), values=torch.from_numpy(values))
        else:
            values = np.ascontiguousarray(self.features[rows], dtype=np.float32)
            batch = Batch(
                torch.arange(values.shape[1]).expand(values.shape),
                torch.ones((), dtype=torch.bool).expand(values.shape),
                values=torch.from_numpy(values),
            )
        return _with_labels(batch, rows, self.labels, self.weights)


class DocumentBatches:
    """Batches of documents as word ids, documents of about the same length together.

    A document keeps its first `max_length` words. One without any word is read as a single unknown word, so that every
    document gets a prediction. Shuffled batches depend on the seed and the epoch alone.

    Args:
        documents: N sequences of word ids, as `Vocabulary.ids` gives them.
        labels: (N,) class ids, `NO_LABEL` where there is none; or None.
        batch_size: documents per batch, at most.
        max_length: words kept of a document.
        seed: shuffles; None keeps the documents sorted by length, as for prediction.
        weights: (N,) one weight per document; or None.

    Attributes:
        num_items: N.
        num_truncated: how many documents had more than `max_length` words.

    Raises:
        ValueError: no room in a batch or a document, or as many labels or weights as documents were not given.

    Example:
        >>> ids = [vocabulary.ids(split_words(text)) for text in texts]
        >>> batches = DocumentBatches(ids, labels, batch_size=32, max_length=300, seed=0)
    """

    def __init__(
        self,
        documents: Sequence[np.ndarray],
        labels: np.ndarray | None,
        *,
        batch_size: int,
        max_length: int,
        seed: int | None = None,
        weights: np.ndarray | None = None,
    ) -> None:
        _check_batch_size(batch_size)
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, found {max_length}")
        self.num_items = len(documents)
        self.num_truncated = sum(len(ids) > max_length for ids in documents)
        self.labels = _item_array("labels", labels, np.int64, self.num_items)
        self.weights = _item_array("weights", weights, np.float32, self.num_items)
        kept = [np.asarray(ids[:max_length], dtype=np.int64) if len(ids) else np.array([UNKNOWN]) for ids in documents]
        ids = np.concatenate([np.zeros(0, dtype=np.int64), *kept])
        size = int(ids.max(initial=0)) + 1
        self._starts = np.concatenate([[0], np.cumsum([len(row) for row in kept], dtype=np.int64)])
        encoded = EncodedSentences(ids, self._starts, np.arange(size), None, None, size, None)
        self._batches = Batches(encoded, batch_size=batch_size, max_length=max_length, seed=seed)

    def set_epoch(self, epoch: int) -> None:
        """Group and order the documents for `epoch`."""
        self._batches.set_epoch(epoch)

    @property
    def padding(self) -> float:
        """The share of padding among all positions of this epoch's batches, 0 to 1."""
        return self._batches.padding

    def __len__(self) -> int:
        """The number of batches."""
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        for _, batch in self.groups():
            yield batch

    def groups(self) -> Iterator[tuple[np.ndarray, Batch]]:
        """Each batch with the numbers of its documents, (batch,)."""
        for windows, batch in self._batches.groups():
            # One window per document, since none is longer than max_length.
            documents = np.searchsorted(self._starts, [window.start for window in windows])
            yield documents, _with_labels(batch, documents, self.labels, self.weights)


class DomainBatches:
    """Each batch of the source with a batch of the target, which starts over, reshuffled, when it is used up.

    The source's batches are those that it would give alone, in the same order. A target of more batches than the
    source shows another part of itself each epoch.

    Args:
        source: batches with labels; an epoch is as long as these.
        target: batches without labels.

    Raises:
        ValueError: the target has no batch; or, when they are gone through, its batches carry labels.

    Example:
        >>> train(network, step, DomainBatches(source_batches, target_batches), optimizer, epochs=10, seed=0)
    """

    def __init__(self, source: ItemBatches, target: ItemBatches) -> None:
        if not len(target):
            raise ValueError("adaptation needs target items, and there are none")
        self.source = source
        self.target = target
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Order both domains' batches for `epoch`."""
        self.source.set_epoch(epoch)
        self._epoch = epoch

    def __len__(self) -> int:
        """The number of the source's batches."""
        return len(self.source)

    def __iter__(self) -> Iterator[DomainBatch]:
        target_batches = self._target_batches()
        for source_batch in self.source:
            target_batch = next(target_batches)
            if target_batch.labels is not None:
                raise ValueError("the target's batches carry labels, which adaptation must not see")
            yield DomainBatch(source_batch, target_batch)

    def _target_batches(self) -> Iterator[Batch]:
        """As many batches as the source has; which ones depends on the epoch alone, so that a resumed run goes on."""
        passes = -(-len(self.source) // len(self.target))
        for number in range(passes):
            self.target.set_epoch(self._epoch * passes + number)
            yield from self.target


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, found {batch_size}")


def _item_array(name: str, values: Any, dtype: type, num_items: int) -> np.ndarray | None:
    if values is None:
        return None
    array: np.ndarray = np.asarray(values, dtype=dtype)
    if array.shape != (num_items,):
        raise ValueError(f"expected one of the {name} per item, {num_items} in all; found the shape {array.shape}")
    return array


def _with_labels(batch: Batch, items: np.ndarray, labels: np.ndarray | None, weights: np.ndarray | None) -> Batch:
    return replace(
        batch,
        labels=None if labels is None else torch.from_numpy(labels[items]),
        weights=None if weights is None else torch.from_numpy(weights[items]),
    )
