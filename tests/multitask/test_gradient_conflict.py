"""The cosines of the tasks' gradients by hand, and a recorder that changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nlptransfer.data.batching import Batches
from nlptransfer.multitask.gradient_conflict import ConflictRecorder, gradient_cosines, shared_layers
from nlptransfer.multitask.hard_sharing import HardSharing
from nlptransfer.multitask.task_data import SharedTexts
from nlptransfer.multitask.task_sampling import TaskBatches
from nlptransfer.multitask.task_step import make_task_step, task_losses
from nlptransfer.training.loop import train
from nlptransfer.types import TaskBatch


def network_of(lab: Any, **settings: Any) -> HardSharing:
    torch.manual_seed(0)
    return HardSharing([lab.many, lab.few], lab.words(), lab.layers([16, 16]), **settings)


def text(lab: Any, *, opposed: bool = False) -> TaskBatches:
    """Both tasks tell the same classes, or "few" tells the next one's."""
    sentences = lab.sentences(48, 1)
    flat = np.array([label for own in lab.labels(sentences) for label in own])
    encoded = lab.words().encode(sentences, SharedTexts(sentences, {}).positions())
    columns = {"many": flat, "few": (flat + 1) % 4 if opposed else flat}
    return TaskBatches(Batches(encoded, batch_size=8, seed=0), columns)


def test_cosines_are_those_of_two_backward_passes(lab: Any) -> None:
    network = network_of(lab, depths={"many": 1})
    batch = next(iter(text(lab)))
    rows = gradient_cosines(task_losses(network, batch, 0.0), shared_layers(network))
    by_task: dict[str, dict[str, np.ndarray]] = {}
    for task, own in batch.batches.items():
        network.zero_grad()
        network.loss(network(own, task), own, task).backward()
        by_task[task] = {
            "words.embedding": network.words.embedding.weight.grad.numpy().ravel().copy(),  # type: ignore[union-attr]
            "layers.0": np.concatenate([p.grad.numpy().ravel() for p in network.layers[0].parameters()]),
        }
    assert [row["layer"] for row in rows] == ["words.embedding", "layers.0"], "the second layer is not shared"
    for row in rows:
        first, second = (by_task[task][row["layer"]].astype(np.float64) for task in (row["first"], row["second"]))
        expected = first @ second / (np.linalg.norm(first) * np.linalg.norm(second))
        assert row["cosine"] == pytest.approx(expected, abs=1e-6)


def test_agreement_is_one_conflict_minus_one_and_a_task_without_gradient_has_no_row() -> None:
    shared, other = nn.Parameter(torch.tensor([1.0, 2.0])), nn.Parameter(torch.tensor([1.0]))
    slope = torch.tensor([2.0, -1.0])
    losses = {
        "a": torch.dot(shared, slope) + other.sum(),
        "b": torch.dot(shared, -3 * slope),
        "c": torch.dot(shared, 5 * slope),
        "none": torch.tensor(0.0, requires_grad=True),
    }
    rows = gradient_cosines(losses, {"one": [shared], "two": [other]})
    assert {(row["first"], row["second"]): round(row["cosine"], 6) for row in rows} == {
        ("a", "b"): -1.0,
        ("a", "c"): 1.0,
        ("b", "c"): -1.0,
    }
    assert {row["layer"] for row in rows} == {"one"}


def test_recording_changes_nothing_and_comes_every_few_steps(lab: Any) -> None:
    def run(recorder: ConflictRecorder | None) -> dict[str, torch.Tensor]:
        network = network_of(lab, dropout=0.3)
        step = make_task_step() if recorder is None else make_task_step(losses=recorder.watch())
        train(network, step, text(lab), torch.optim.Adam(network.parameters(), 0.01), epochs=2, seed=0)
        return network.state_dict()

    recorder = ConflictRecorder(every=5)
    watched, plain = run(recorder), run(None)
    assert all(torch.equal(watched[name], plain[name]) for name in plain)
    assert sorted({row["step"] for row in recorder.rows}) == [0, 5, 10]
    assert [row["progress"] for row in recorder.rows if row["layer"] == "layers.1"] == pytest.approx(
        [0, 5 / 12, 10 / 12]
    )
    with pytest.raises(ValueError, match="at least 1"):
        ConflictRecorder(every=0)


def test_tasks_with_opposed_labels_conflict_and_tasks_that_agree_do_not(lab: Any) -> None:
    """In the layer below two heads that start alike: the control has the same labels in both tasks."""

    def mean_cosine(opposed: bool) -> float:
        network = network_of(lab)
        first, second = (network.head(task).output for task in ("many", "few"))
        with torch.no_grad():
            second.weight[:4], second.bias[:4] = first.weight, first.bias
            second.bias[4] = -20.0  # the label that never occurs
        recorder = ConflictRecorder(every=1)
        step = make_task_step(losses=recorder.watch())
        for batch in text(lab, opposed=opposed):
            step(network, batch, 0.0)
        return float(np.mean([row["cosine"] for row in recorder.rows if row["layer"] == "layers.1"]))

    assert mean_cosine(opposed=True) < 0.2 < 0.95 < mean_cosine(opposed=False)


def test_a_step_of_one_task_tells_nothing(lab: Any) -> None:
    recorder = ConflictRecorder(every=1)
    recorder.watch()(network_of(lab), TaskBatch({"few": lab.batch()}), 0.0)
    assert recorder.rows == []
