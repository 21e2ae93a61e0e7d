"""A batch moves and divides without losing an item or a word's spelling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nlptransfer.types import NO_LABEL, Batch, TaskBatch


def make_batch(items: int, time: int = 4, *, token_labels: bool = True) -> Batch:
    """A batch in which every number says where it came from."""
    ids = torch.arange(items * time).reshape(items, time) + 2
    return Batch(
        input_ids=ids,
        mask=torch.ones(items, time, dtype=torch.bool),
        labels=ids * 10 if token_labels else ids[:, 0] * 10,
        weights=torch.arange(items).float(),
        characters=torch.arange(21).reshape(7, 3),
        character_rows=ids % 7,
        unseen_vectors=torch.randn(5, 3),
    )


@pytest.mark.parametrize(
    ("items", "count"), [(items, count) for count in (1, 2, 3) for items in (1, 2, 3, 4, 5, 7, 8) if items >= count]
)
@pytest.mark.parametrize("token_labels", [True, False])
def test_the_parts_of_a_batch_hold_each_item_once(items: int, count: int, token_labels: bool) -> None:
    batch = make_batch(items, token_labels=token_labels)
    parts = [batch.part(index, count) for index in range(count)]
    for name in ("input_ids", "mask", "labels", "weights", "character_rows"):
        together = torch.cat([getattr(part, name) for part in parts])
        assert len(together) == items
    rows = torch.cat([part.input_ids for part in parts])
    order = rows[:, 0].argsort()
    assert torch.equal(rows[order], batch.input_ids)
    labels = torch.cat([part.labels for part in parts if part.labels is not None])[order]
    assert batch.labels is not None and torch.equal(labels, batch.labels)
    assert sum(part.num_labels() for part in parts) == batch.num_labels()
    assert max(len(part.input_ids) for part in parts) - min(len(part.input_ids) for part in parts) <= 1


def test_a_part_keeps_an_items_facts_together() -> None:
    batch = make_batch(5)
    part = batch.part(1, 2)
    assert torch.equal(part.input_ids, batch.input_ids[[1, 3]])
    assert part.labels is not None and torch.equal(part.labels, part.input_ids * 10)
    assert part.character_rows is not None and torch.equal(part.character_rows, part.input_ids % 7)
    assert part.weights is not None and part.weights.tolist() == [1.0, 3.0]


def test_a_part_keeps_all_spellings_and_unseen_vectors_since_ids_point_into_them() -> None:
    batch = make_batch(7)  # as many items as spellings: they must not be told apart by their size
    part = batch.part(0, 2)
    assert part.characters is batch.characters
    assert part.unseen_vectors is batch.unseen_vectors


def test_a_batch_with_fewer_items_than_parts_is_whole_in_each() -> None:
    batch = make_batch(2)
    assert all(torch.equal(batch.part(index, 3).input_ids, batch.input_ids) for index in range(3))


def test_a_part_of_a_batch_without_labels_has_none() -> None:
    batch = Batch(input_ids=torch.ones(4, 2, dtype=torch.long), mask=torch.ones(4, 2, dtype=torch.bool))
    part = batch.part(1, 2)
    assert part.labels is None and part.characters is None and part.num_labels() == 0


def test_labels_are_counted_where_there_are_any() -> None:
    labels = torch.tensor([[0, 5, NO_LABEL], [NO_LABEL, 1, 2]])
    batch = Batch(input_ids=labels, mask=torch.ones(2, 3, dtype=torch.bool), labels=labels)
    assert batch.num_labels() == int(np.sum(labels.numpy() != -100)) == 4


def test_moving_takes_every_tensor_and_leaves_the_original() -> None:
    batch = make_batch(3)
    moved = batch.to("meta")
    for name in ("input_ids", "mask", "labels", "weights", "characters", "character_rows", "unseen_vectors"):
        assert getattr(moved, name).device.type == "meta"
        assert getattr(batch, name).device.type == "cpu"


# Several tasks


def make_task_batch() -> TaskBatch:
    """Six items of one text: all have a label of task a, two have one of task b."""
    batch = make_batch(6, token_labels=False)
    few = torch.tensor([NO_LABEL, 1, NO_LABEL, 2, NO_LABEL, NO_LABEL])
    return TaskBatch({"a": batch, "b": replace(batch, labels=few)})


def test_tasks_that_share_their_text_still_do_when_it_is_moved_or_divided() -> None:
    batch = make_task_batch()
    for own in (batch.to("cpu"), batch.to("meta"), batch.part(1, 2)):
        first, second = own.batches["a"], own.batches["b"]
        for name in ("input_ids", "mask", "weights", "characters", "character_rows", "unseen_vectors"):
            assert getattr(first, name) is getattr(second, name), name
        assert first.labels is not second.labels
    assert batch.to("meta").batches["a"].input_ids.device.type == "meta"


def test_the_parts_of_a_task_batch_say_how_much_of_each_task_they_hold() -> None:
    batch = make_task_batch()
    assert batch.num_labels() == 8 and batch.part(0, 1) is batch and batch.scales == {}
    parts = [batch.part(index, 2) for index in range(2)]
    assert [part.scales for part in parts] == [{"a": 1.0, "b": 0.0}, {"a": 1.0, "b": 2.0}]
    losses = {"a": torch.tensor(3.0), "b": torch.tensor(float("nan"))}
    assert {task: float(loss) for task, loss in parts[0].scaled(losses).items()} == {"a": 3.0, "b": 0.0}
    assert float(parts[1].scaled({"b": torch.tensor(0.25)})["b"]) == 0.5
    assert batch.scaled(losses)["a"] is not None and float(batch.scaled(losses)["a"]) == 3.0


def test_a_task_with_fewer_items_than_parts_is_whole_in_each() -> None:
    batch = TaskBatch({"a": make_batch(4), "b": make_batch(1)})
    part = batch.part(2, 3)
    assert part.batches["b"] is batch.batches["b"] and "b" not in part.scales and part.scales["a"] == 0.75
