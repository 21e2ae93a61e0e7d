"""What a batch of features or documents holds, in which order, and how two domains meet."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from nlptransfer.data.feature_batches import DocumentBatches, DomainBatches, FeatureBatches, ItemBatches
from nlptransfer.data.vocabulary import UNKNOWN
from nlptransfer.types import NO_LABEL, Batch

ROWS = np.array([[0, 2, 0, 0], [1, 0, 0, 3], [0, 0, 0, 0], [5, 6, 7, 8], [0, 0, 4, 0]], dtype=np.float32)
LABELS = np.array([0, 1, 1, NO_LABEL, 0])


def to_rows(batch: Batch, num_features: int) -> np.ndarray:
    """The rows that a batch holds, written out."""
    assert batch.values is not None
    rows = np.zeros((len(batch.values), num_features), dtype=np.float32)
    for row, ids, values, mask in zip(rows, batch.input_ids, batch.values, batch.mask, strict=True):
        for feature, value in zip(ids[mask].tolist(), values[mask].tolist(), strict=True):
            row[feature] += value
    return rows


def order_of(batches: ItemBatches) -> list[list[int]]:
    return [items.tolist() for items, _ in batches.groups()]


@pytest.mark.parametrize(
    "features", [ROWS, sparse.csr_matrix(ROWS), sparse.csr_array(ROWS)], ids=["dense", "csr", "array"]
)
def test_batches_hold_the_rows_their_labels_and_their_weights(features: object) -> None:
    weights = np.arange(5) / 2
    batches = FeatureBatches(features, LABELS, batch_size=2, seed=3, weights=weights)
    batches.set_epoch(1)
    seen = []
    for items, batch in batches.groups():
        seen += items.tolist()
        assert batch.labels is not None and batch.weights is not None
        assert (to_rows(batch, 4) == ROWS[items]).all()
        assert (batch.labels.numpy() == LABELS[items]).all()
        assert (batch.weights.numpy() == weights[items]).all()
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_a_sparse_batch_is_as_wide_as_its_longest_row_and_masks_the_rest() -> None:
    (batch,) = FeatureBatches(sparse.csr_matrix(ROWS[:3]), None, batch_size=8)
    assert batch.input_ids.tolist() == [[1, 0], [0, 3], [0, 0]]
    assert batch.mask.tolist() == [[True, False], [True, True], [False, False]]
    assert batch.labels is None and batch.weights is None


def test_features_of_a_row_are_in_order_and_the_callers_array_is_left_alone() -> None:
    unsorted = sparse.csr_matrix((np.array([3.0, 1.0, 2.0]), np.array([3, 0, 3]), np.array([0, 3])), shape=(1, 4))
    (batch,) = FeatureBatches(unsorted, None, batch_size=1)
    assert batch.input_ids.tolist() == [[0, 3]] and batch.values is not None and batch.values.tolist() == [[1.0, 5.0]]
    assert unsorted.indices.tolist() == [3, 0, 3]


def test_without_a_seed_items_keep_their_order_and_with_one_it_depends_on_the_epoch_alone() -> None:
    plain = FeatureBatches(ROWS, None, batch_size=2)
    plain.set_epoch(4)
    assert order_of(plain) == [[0, 1], [2, 3], [4]]
    orders = []
    for epochs in ([0, 1, 2], [2]):
        batches = FeatureBatches(np.zeros((40, 2)), None, batch_size=7, seed=1)
        for epoch in epochs:
            batches.set_epoch(epoch)
        orders.append(order_of(batches))
    assert orders[0] == orders[1]
    batches.set_epoch(3)
    assert order_of(batches) != orders[0]


def test_batches_are_of_equal_size_so_that_the_last_one_still_has_a_covariance() -> None:
    batches = FeatureBatches(np.zeros((65, 1)), None, batch_size=64)
    assert [len(batch.input_ids) for batch in batches] == [33, 32]
    assert len(batches) == 2


def test_no_items_make_no_batches() -> None:
    for batches in (
        FeatureBatches(np.zeros((0, 3)), None, batch_size=2),
        DocumentBatches([], None, batch_size=2, max_length=3),
    ):
        assert len(batches) == 0 and list(batches) == [] and batches.num_items == 0


@pytest.mark.parametrize("name", ["labels", "weights"])
def test_as_many_labels_and_weights_as_items_are_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match=f"one of the {name} per item, 5 in all"):
        FeatureBatches(ROWS, np.zeros(4) if name == "labels" else None, batch_size=2, weights=np.zeros(4))


def test_an_impossible_size_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, found 0"):
        FeatureBatches(ROWS, None, batch_size=0)
    with pytest.raises(ValueError, match="max_length must be at least 1, found 0"):
        DocumentBatches([], None, batch_size=1, max_length=0)


def test_documents_are_cut_counted_and_matched_with_their_labels() -> None:
    documents = [np.array([5, 6, 7]), np.array([], dtype=np.int64), np.array([8]), np.arange(2, 9), np.array([9, 4])]
    batches = DocumentBatches(documents, LABELS, batch_size=2, max_length=3, seed=0, weights=np.arange(5.0))
    assert batches.num_truncated == 1 and batches.num_items == 5 and len(batches) == 3
    expected = [[5, 6, 7], [UNKNOWN], [8], [2, 3, 4], [9, 4]]
    found: dict[int, list[int]] = {}
    for items, batch in batches.groups():
        assert batch.labels is not None and batch.weights is not None
        assert (batch.labels.numpy() == LABELS[items]).all()
        assert batch.weights.tolist() == items.tolist()
        for item, ids, mask in zip(items.tolist(), batch.input_ids, batch.mask, strict=True):
            found[item] = ids[mask].tolist()
    assert [found[item] for item in range(5)] == expected


def test_documents_of_a_length_share_a_batch() -> None:
    random = np.random.default_rng(0)
    documents = [np.full(length, 3) for length in random.integers(1, 200, 1000)]
    batches = DocumentBatches(documents, None, batch_size=20, max_length=150, seed=0)
    assert batches.padding < 0.04
    orders = []
    for epoch in (0, 1):
        batches.set_epoch(epoch)
        orders.append(order_of(batches))
    assert orders[0] != orders[1]


def make_pair(num_source: int, num_target: int) -> tuple[FeatureBatches, FeatureBatches]:
    source = FeatureBatches(np.arange(num_source)[:, None], np.zeros(num_source), batch_size=2, seed=0)
    return source, FeatureBatches(np.arange(num_target)[:, None], None, batch_size=3, seed=1)


def values_of(batch: Batch) -> list[int]:
    assert batch.values is not None
    return batch.values[:, 0].int().tolist()


@pytest.mark.parametrize("num_target", [3, 7, 60], ids=["one batch", "fewer batches", "more batches"])
def test_the_source_comes_in_the_order_that_it_would_have_alone(num_target: int) -> None:
    alone, _ = make_pair(11, num_target)
    together = DomainBatches(*make_pair(11, num_target))
    assert len(together) == len(alone) == 6
    for epoch in (0, 1, 5):
        alone.set_epoch(epoch)
        together.set_epoch(epoch)
        assert [values_of(batch.source) for batch in together] == [values_of(batch) for batch in alone]


def test_a_small_target_is_gone_through_again_in_another_order() -> None:
    together = DomainBatches(*make_pair(12, 6))  # 6 batches against 2
    together.set_epoch(1)
    targets = [values_of(batch.target) for batch in together]
    passes = [targets[at] + targets[at + 1] for at in (0, 2, 4)]
    assert [sorted(seen) for seen in passes] == [[0, 1, 2, 3, 4, 5]] * 3
    assert passes[0] != passes[1] != passes[2]
    again = DomainBatches(*make_pair(12, 6))  # as a resumed run would
    again.set_epoch(1)
    assert [values_of(batch.target) for batch in again] == targets


def test_a_large_target_shows_other_items_each_epoch() -> None:
    together = DomainBatches(*make_pair(4, 60))
    seen = set()
    for epoch in range(20):
        together.set_epoch(epoch)
        seen |= {value for batch in together for value in values_of(batch.target)}
    assert len(seen) > 45


def test_target_labels_and_an_empty_target_are_refused() -> None:
    source, target = make_pair(4, 4)
    with pytest.raises(ValueError, match="target's batches carry labels"):
        list(DomainBatches(source, source))
    with pytest.raises(ValueError, match="there are none"):
        DomainBatches(source, FeatureBatches(np.zeros((0, 1)), None, batch_size=2))
    assert isinstance(next(iter(DomainBatches(source, target))).target.mask, torch.Tensor)
