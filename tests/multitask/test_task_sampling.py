"""Shares, batches of one text with several labels, alternating and mixed batches: complete, fair and repeatable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nlptransfer.data.batching import Batches
from nlptransfer.data.feature_batches import DocumentBatches
from nlptransfer.multitask.hard_sharing import HardSharing
from nlptransfer.multitask.task_data import SharedTexts
from nlptransfer.multitask.task_sampling import (
    AlternatingBatches,
    MixedBatches,
    Sampling,
    TaskBatches,
    annealed_exponent,
    task_shares,
)
from nlptransfer.multitask.task_step import make_task_step
from nlptransfer.training.loop import train
from nlptransfer.types import NO_LABEL, TaskBatch


def documents(number: int, tasks: Sequence[str], *, batch_size: int = 4, first: int = 0) -> TaskBatches:
    """Documents of one to three words; the label of each is its own number, so that batches tell what they hold."""
    ids = [np.full(1 + n % 3, first + n + 2) for n in range(number)]
    batches = DocumentBatches(ids, np.arange(number), batch_size=batch_size, max_length=5, seed=0)
    return TaskBatches(batches, {task: first + np.arange(number) for task in tasks})


def seen(batches: Any, epoch: int = 0) -> list[tuple[str, tuple[int, ...]]]:
    batches.set_epoch(epoch)
    found = []
    for batch in batches:
        for task, own in batch.batches.items():
            assert own.input_ids[:, 0].tolist() == (own.labels + 2).tolist(), "a text has its own label"
            found.append((task, tuple(own.labels.tolist())))
    return found


def steps(batches: Any, epoch: int = 0) -> Counter[str]:
    return Counter(task for task, _ in seen(batches, epoch))


# Shares


def test_shares_are_powers_of_the_sizes() -> None:
    sizes = {"a": 8_000, "b": 500, "c": 1_500}
    for sampling, exponent, settings in (
        ("proportional", 1.0, {}),
        ("square_root", 0.5, {}),
        ("temperature", 1 / 5, {"temperature": 5.0}),
        ("uniform", 0.0, {}),
        ("round_robin", 0.0, {}),
        ("annealed", 1 - 0.8 * 3 / 9, {"epoch": 3, "num_epochs": 10}),
    ):
        powers = {name: np.exp(exponent * np.log(size)) for name, size in sizes.items()}
        found = task_shares(sizes, sampling, **settings)  # type: ignore[arg-type]
        assert found == pytest.approx({name: power / sum(powers.values()) for name, power in powers.items()})


def test_annealing_begins_at_the_sizes_and_ends_near_equal_shares() -> None:
    assert [annealed_exponent(epoch, num_epochs=5) for epoch in (0, 2, 4)] == pytest.approx([1.0, 0.6, 0.2])
    assert annealed_exponent(0, num_epochs=1) == 1.0


@pytest.mark.parametrize(
    ("sampling", "temperature", "message"),
    [
        ("random", None, "sampling must be one of proportional"),
        ("temperature", None, "a temperature belongs to"),
        ("uniform", 2.0, "a temperature belongs to"),
        ("temperature", 0.5, "1 or more"),
    ],
)
def test_wrong_samplings_are_refused(sampling: Any, temperature: float | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_shares({"a": 1}, sampling, temperature=temperature)


# One text


def test_tasks_of_one_text_share_its_tensors() -> None:
    batch = next(iter(documents(9, ["a", "b"])))
    first, second = batch.batches["a"], batch.batches["b"]
    assert first.input_ids is second.input_ids and first.mask is second.mask
    moved, part = batch.to("cpu"), batch.part(1, 2)
    assert moved.batches["a"].input_ids is moved.batches["b"].input_ids
    assert part.batches["a"].input_ids is part.batches["b"].input_ids and len(part.batches["a"].input_ids) == 2


def test_words_find_their_labels_in_windows_too(lab: Any) -> None:
    """Sentences cut into windows: context counts in its own window, and each label is met once."""
    sentences = [[f"w{(7 * n + place) % 120}" for place in range(length)] for n, length in enumerate((3, 17, 1, 9))]
    numbers = np.arange(sum(map(len, sentences)))
    encoded = lab.words().encode(sentences, SharedTexts(sentences, {}).positions())
    words = [int(word[1:]) for sentence in sentences for word in sentence]
    columns = {"id": np.array(words), "half": np.where(numbers % 2, NO_LABEL, numbers)}
    batches = TaskBatches(Batches(encoded, batch_size=2, max_length=6, context=2, seed=0), columns)
    met: dict[str, list[int]] = {"id": [], "half": []}
    for batch in batches:
        for task, own in batch.batches.items():
            assert own.labels is not None
            met[task] += own.labels[own.labels != NO_LABEL].tolist()
        identities = batch.batches["id"]
        assert identities.labels is not None
        labelled = identities.labels != NO_LABEL
        assert torch.equal(identities.input_ids[labelled] - 2, identities.labels[labelled])
    assert sorted(met["id"]) == sorted(words)
    assert sorted(met["half"]) == list(range(0, len(words), 2))


def test_numbers_stay_floats() -> None:
    batches = DocumentBatches([np.array([2])] * 3, np.arange(3), batch_size=3, max_length=2)
    (batch,) = TaskBatches(batches, {"stars": np.array([0.5, NO_LABEL, 2.5], dtype=np.float32)})
    labels = batch.batches["stars"].labels
    assert labels is not None and labels.dtype == torch.float32
    assert sorted(labels.tolist()) == [NO_LABEL, 0.5, 2.5] and batch.batches["stars"].num_labels() == 2


# Alternating


def texts() -> dict[str, TaskBatches]:
    return {"big": documents(40, ["a"]), "small": documents(8, ["b"], first=100)}


def test_proportional_sampling_shows_each_text_once_as_if_it_were_alone() -> None:
    batches = AlternatingBatches(texts(), sampling="proportional", seed=0)
    assert len(batches) == 12 and batches.counts() == {"big": 10, "small": 2}
    for epoch in (0, 3):
        met = seen(batches, epoch)
        for task, name in (("a", "big"), ("b", "small")):
            assert [labels for own, labels in met if own == task] == [
                labels for _, labels in seen(texts()[name], epoch)
            ]


@pytest.mark.parametrize(
    ("sampling", "settings", "expected"),
    [
        ("square_root", {}, {"a": 8, "b": 4}),
        ("uniform", {}, {"a": 6, "b": 6}),
        ("round_robin", {}, {"a": 6, "b": 6}),
        ("temperature", {"temperature": 2.0}, {"a": 8, "b": 4}),
        ("uniform", {"steps_per_epoch": 3}, {"a": 2, "b": 1}),
        ("proportional", {"steps_per_epoch": 2}, {"a": 1, "b": 1}),
    ],
)
def test_counts_are_the_rounded_shares(sampling: Sampling, settings: Mapping[str, Any], expected: dict) -> None:
    batches = AlternatingBatches(texts(), sampling=sampling, seed=0, **settings)
    assert steps(batches) == expected and len(batches) == sum(expected.values())


def test_annealed_sampling_moves_towards_equal_counts() -> None:
    batches = AlternatingBatches(texts(), sampling="annealed", seed=0, num_epochs=4)
    counts = [steps(batches, epoch)["b"] for epoch in range(4)]
    assert counts[0] == 2 and counts == sorted(counts) and counts[-1] == 5
    with pytest.raises(ValueError, match="needs the number of epochs"):
        AlternatingBatches(texts(), sampling="annealed", seed=0)


def test_round_robin_takes_turns() -> None:
    names = [task for task, _ in seen(AlternatingBatches(texts(), sampling="round_robin", seed=0))]
    assert names == ["a", "b"] * 6


def test_a_text_with_more_steps_than_batches_starts_over_reshuffled() -> None:
    met = [labels for task, labels in seen(AlternatingBatches(texts(), sampling="uniform", seed=0)) if task == "b"]
    for at in (0, 2, 4):
        assert sorted(label for labels in met[at : at + 2] for label in labels) == list(range(100, 108))
    assert len({frozenset(labels) for labels in met}) > 2


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    batches = AlternatingBatches(texts(), sampling="proportional", seed=0)
    first, second = seen(batches, 0), seen(batches, 1)
    assert first != second
    assert seen(AlternatingBatches(texts(), sampling="proportional", seed=0), 1) == second
    assert seen(batches, 0) == first
    other = seen(AlternatingBatches(texts(), sampling="proportional", seed=1), 0)
    assert [task for task, _ in other] != [task for task, _ in first]


def test_fewer_steps_than_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="1 steps are fewer than the 2 texts"):
        AlternatingBatches(texts(), sampling="uniform", seed=0, steps_per_epoch=1)


# Mixed


def test_each_mixed_step_shows_every_task_and_the_longest_text_goes_through_once() -> None:
    mixed = MixedBatches([documents(40, ["a", "c"]), documents(8, ["b"], first=100)])
    met = seen(mixed)
    assert len(mixed) == 10 and [task for task, _ in met] == ["a", "c", "b"] * 10
    assert sorted(label for task, labels in met if task == "a" for label in labels) == list(range(40))
    assert Counter(label for task, labels in met if task == "b" for label in labels) == dict.fromkeys(
        range(100, 108), 5
    )


def test_mixed_batches_refuse_a_task_with_two_texts_and_a_text_without_batches() -> None:
    with pytest.raises(ValueError, match="a task has one text"):
        MixedBatches([documents(8, ["a"]), documents(8, ["a"])])
    with pytest.raises(ValueError, match="a batch at least"):
        MixedBatches([documents(8, ["a"]), documents(0, ["b"])])


# With the loop


def labelled(lab: Any, number: int, seed: int, tasks: Mapping[str, float]) -> TaskBatches:
    """The lab's sentences; each task's labels on a share of them."""
    sentences = lab.sentences(number, seed)
    encoded = lab.words().encode(sentences, SharedTexts(sentences, {}).positions())
    flat = np.array([label for own in lab.labels(sentences) for label in own])
    columns = {
        task: np.where(np.arange(len(flat)) < share * len(flat), flat, NO_LABEL) for task, share in tasks.items()
    }
    return TaskBatches(Batches(encoded, batch_size=8, seed=seed), columns)


@pytest.mark.parametrize("kind", ["shared", "alternating", "mixed"])
def test_a_resumed_training_goes_on_along_the_same_curve(lab: Any, tmp_path: Path, kind: str) -> None:
    def run(epochs: int, *, checkpoint: Path | None = None, resume: bool = False) -> tuple[list, dict]:
        torch.manual_seed(0)
        network = HardSharing([lab.many, lab.few], lab.words(), lab.layers([16]), dropout=0.2)
        one, other = labelled(lab, 24, 1, {"many": 1.0}), labelled(lab, 12, 2, {"few": 0.5})
        batches: Any = {
            "shared": labelled(lab, 24, 1, {"many": 1.0, "few": 0.3}),
            "alternating": AlternatingBatches({"x": one, "y": other}, sampling="square_root", seed=0),
            "mixed": MixedBatches([one, other]),
        }[kind]
        optimizer = torch.optim.Adam(network.parameters(), 0.01)
        history = train(
            network, make_task_step(), batches, optimizer, epochs=epochs, seed=0, checkpoint=checkpoint, resume=resume
        )
        weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        return [{name: own for name, own in row.items() if name != "seconds"} for row in history], weights

    history, weights = run(3)
    run(1, checkpoint=tmp_path / "state.pt")
    resumed, resumed_weights = run(3, checkpoint=tmp_path / "state.pt", resume=True)
    assert resumed == history and {"many", "few", "loss"} <= set(history[0])
    assert all(torch.equal(weights[name], resumed_weights[name]) for name in weights)


@pytest.mark.parametrize("count", [2, 3])
def test_the_processes_gradients_are_those_of_the_whole_step(lab: Any, count: int) -> None:
    """Labels of the second task are on a few sentences, so that its parts differ most."""
    torch.manual_seed(0)
    network = HardSharing([lab.many, lab.few], lab.words(), lab.layers([16]))
    batches = labelled(lab, 20, 1, {"many": 1.0, "few": 0.2})
    for batch in batches:
        whole = gradient(network, batch)
        parts = [gradient(network, batch.part(index, count)) for index in range(count)]
        torch.testing.assert_close(sum(parts) / count, whole, atol=1e-6, rtol=1e-5)


def gradient(network: Any, batch: TaskBatch) -> torch.Tensor:
    network.zero_grad()
    make_task_step()(network, batch, 0.0)["loss"].backward()
    return torch.cat(
        [(torch.zeros_like(own) if own.grad is None else own.grad).reshape(-1) for own in network.parameters()]
    )
