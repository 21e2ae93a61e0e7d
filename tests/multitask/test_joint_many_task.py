"""Predictions of the tasks below reach the layers above as the mean of their labels' embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nlptransfer.multitask.heads import TaskHead
from nlptransfer.multitask.joint_many_task import JointManyTask, successive_regularisation
from nlptransfer.multitask.tasks import Task
from nlptransfer.training.seeding import seeded

KIND = Task("kind", "classification", ("a", "b", "c"))
TOP = Task("top", "tagging", ("X", "Y"))


def make(lab: Any, tasks: list[Task] | None = None) -> JointManyTask:
    tasks = tasks or [lab.many, KIND, TOP]
    sizes = [16, *[16 + 16 + 5] * (len(tasks) - 1)]
    with seeded(0):
        return JointManyTask(tasks, lab.words(), lab.layers(sizes), label_dim=5).eval()


def test_a_layer_reads_the_one_below_the_words_and_the_sum_of_the_expected_label_embeddings(lab: Any) -> None:
    network, batch = make(lab), lab.batch()
    read: list[list[np.ndarray]] = []
    for layer in network.layers:
        layer.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0].detach().double().numpy()))
    network(batch, "top")
    words = network.words(batch).detach().double().numpy()
    np.testing.assert_array_equal(read[0], words)
    expected = np.zeros((*batch.mask.shape, 5))
    for depth, task in enumerate(("many", "kind")):
        logits = network(batch, task).logits.detach().double().numpy()
        probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        table = network.label_embeddings[depth].weight.detach().double().numpy()  # type: ignore[union-attr,operator]
        mean = sum(probabilities[..., [label]] * table[:, label] for label in range(table.shape[1]))
        expected += mean if mean.ndim == 3 else mean[:, None]  # a text's label stands at each of its words
        below = network.layers[depth](torch.tensor(read[depth], dtype=torch.float32), batch.mask).detach().numpy()
        np.testing.assert_allclose(read[depth + 1], np.concatenate([below, words, expected], -1), atol=1e-6)


def test_a_task_trains_the_heads_below_it_through_their_predictions_and_none_above(lab: Any) -> None:
    network, batch = make(lab), lab.batch()
    network(batch, "kind").logits.square().sum().backward()
    reached = {name for name, weight in network.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert "heads.0.output.weight" in reached and "label_embeddings.0.weight" in reached
    assert not any(name.startswith(("heads.2", "layers.2", "label_embeddings.1")) for name in reached)


def test_only_the_top_task_has_parameters_of_its_own(lab: Any) -> None:
    network = make(lab)
    top = [*network.layers[2].parameters(), *network.heads[2].parameters(), *network.label_embeddings[1].parameters()]
    assert set(network.task_parameters("top")) == set(top)
    assert network.task_parameters("many") == network.task_parameters("kind") == []
    assert {*network.shared_parameters(), *top} == set(network.parameters())
    assert sum(p.numel() for p in top) == 2 * 3 * 8 * (37 + 8 + 2) + (16 * 2 + 2) + 3 * 5


def test_a_top_task_without_labels_moves_none_of_its_parameters(lab: Any) -> None:
    network = make(lab, [lab.many, lab.few])
    batch = lab.unlabelled(lab.batch())
    network.loss(network(batch, "few"), batch, "few").backward()
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_task_with_few_labels_gains_by_the_predictions_below_it(lab: Any, score_alone: float) -> None:
    network = lab.fit(make(lab, [lab.many, lab.few]), lab.data(), epochs=6)
    assert lab.score(network) > score_alone + 0.25
    batch = lab.batch()
    before = network(batch, "few").logits
    with torch.no_grad():
        network.label_embeddings[0].weight.zero_()
    assert not torch.allclose(network(batch, "few").logits, before, atol=0.1), "and it does use them"


def test_successive_regularisation_is_the_squared_distance_of_what_lies_below(lab: Any) -> None:
    network = make(lab)
    below = network.parameters_below("kind")
    assert {name.split(".")[0] for name in below} == {"words", "layers", "heads"}
    assert not any(name.startswith(("layers.1", "heads.1", "label_embeddings")) for name in below)
    assert network.parameters_below("many") == {}
    earlier = {name: weight.detach() + 0.5 for name, weight in below.items()}
    expected = 0.01 * 0.25 * sum(weight.numel() for weight in below.values())
    found = successive_regularisation(below, earlier, strength=0.01)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert successive_regularisation({}, {}, strength=0.01).item() == 0.0
    with pytest.raises(ValueError, match="only one of the two"):
        successive_regularisation(below, {}, strength=0.01)


def test_stacks_that_do_not_fit_are_refused(lab: Any) -> None:
    with pytest.raises(ValueError, match="2 tasks and 1 layers"):
        JointManyTask([lab.many, TOP], lab.words(), lab.layers([16]), label_dim=5)
    with pytest.raises(ValueError, match="no embeddings"):
        make(lab, [Task("score", "regression"), TOP])
    with pytest.raises(ValueError, match="has no CRF: many"):
        JointManyTask([lab.many, TOP], lab.words(), lab.layers([16, 37]), label_dim=5, crf=["many", "top"])


def test_the_top_task_may_score_whole_sequences(lab: Any) -> None:
    with seeded(0):
        network = JointManyTask([lab.many, TOP], lab.words(), lab.layers([16, 37]), label_dim=5, crf=["top"]).eval()
    batch = lab.batch()
    output = network(batch, "top")
    head = network.heads[1]
    assert isinstance(head, TaskHead) and head.crf is not None
    assert torch.equal(network.decode(output, batch, "top"), head.crf.decode(output.logits, batch.mask))
