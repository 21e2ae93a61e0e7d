"""A text that several tasks label is gone through once; losses and gradients are those of going task by task."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from nlptransfer.data.vocabulary import Vocabulary
from nlptransfer.embeddings.embedding_layer import make_random_embedding
from nlptransfer.multitask.recurrent_networks import MultitaskNetwork, MultitaskShape, make_network
from nlptransfer.multitask.same_text import once_per_text, same_text
from nlptransfer.multitask.task_step import sum_losses, task_losses, task_outputs
from nlptransfer.multitask.tasks import Task
from nlptransfer.training.seeding import seeded
from nlptransfer.types import Batch, ModelOutput, TaskBatch

WHOLE = Task("v1.whole", "regression")
WORDS = Vocabulary([f"w{number}" for number in range(120)])


def make(lab: Any, sharing: str, **more: Any) -> MultitaskNetwork:
    settings: dict[str, Any] = {"num_layers": 2, "dropout": 0.0, "word_dropout": 0.0, **more}
    shape = MultitaskShape(sharing=sharing, hidden_dim=4, characters="none", label_dim=3, **settings)  # type: ignore[arg-type]
    with seeded(0):
        return make_network([lab.many, lab.few, WHOLE], shape, WORDS, make_random_embedding(WORDS, 6)).train()


def one_text(lab: Any) -> dict[str, Batch]:
    """Of all three tasks; some labels are missing."""
    batch = lab.batch()
    assert batch.labels is not None
    few = batch.labels.clone()
    few[0] = -100
    return {
        "many": batch,
        "few": replace(batch, labels=few),
        "v1.whole": replace(batch, labels=torch.tensor([0.5, -1.0, 2.0])),
    }


def gradients(network: MultitaskNetwork, losses: Any) -> dict[str, torch.Tensor]:
    network.zero_grad()
    sum_losses(losses).backward()
    return {name: weight.grad.clone() for name, weight in network.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize(
    ("sharing", "settings"),
    [
        ("hard", {}),
        ("hard", {"depths": {"many": 1}, "num_private_layers": 1, "crf": ("few",)}),
        ("joint_many_task", {}),
        ("cross_stitch", {}),
        ("sluice", {}),
        ("shared_private", {}),
        ("tied", {}),
    ],
)
@pytest.mark.parametrize("texts", ["one", "two"])
def test_losses_and_gradients_are_those_of_each_task_by_itself(
    lab: Any, sharing: str, settings: dict[str, Any], texts: str
) -> None:
    network = make(lab, sharing, **settings)
    batches = one_text(lab)
    if texts == "two":
        batches["few"] = lab.batch(4, seed=6)
    apart = {task: network.loss(network(own, task), own, task) for task, own in batches.items()}  # type: ignore[arg-type]
    expected = gradients(network, apart)
    together = task_losses(network, TaskBatch(batches), 0.0)
    assert list(together) == list(batches)
    for task, loss in apart.items():
        torch.testing.assert_close(together[task], loss)
    found = gradients(network, together)
    assert found.keys() == expected.keys() and any(bool(gradient.any()) for gradient in found.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("texts", [1, 2])
def test_hard_sharing_encodes_each_text_once(lab: Any, texts: int) -> None:
    network = make(lab, "hard", depths={"many": 1})
    calls: dict[str, int] = {}
    for name in ("words", "layers.0", "layers.1"):
        calls[name] = 0

        def count(*_: Any, name: str = name) -> None:
            calls[name] += 1

        network.get_submodule(name).register_forward_hook(count)
    batches = one_text(lab)
    if texts == 2:
        batches["many"] = lab.batch(seed=6)
    task_losses(network, TaskBatch(batches), 0.0)
    # The low task alone does not reach the second layer.
    assert calls == {"words": texts, "layers.0": texts, "layers.1": 1}


def test_texts_are_the_same_where_their_tensors_are_and_not_where_they_are_equal(lab: Any) -> None:
    first, equal = lab.batch(), lab.batch()
    assert torch.equal(first.input_ids, equal.input_ids)
    batches = {"a": first, "b": equal, "c": replace(first, labels=None)}
    assert same_text(batches) == [["a", "c"], ["b"]]
    outputs = once_per_text(
        batches, lambda batch, tasks: {task: ModelOutput(batch.input_ids, batch.mask) for task in tasks}
    )
    assert list(outputs) == ["a", "b", "c"] and outputs["b"].logits is equal.input_ids


def test_a_model_that_goes_through_a_text_task_by_task_is_let_be(lab: Any) -> None:
    class Plain:
        def __call__(self, batch: Batch, task: str) -> str:
            return f"{task} of {len(batch.input_ids)}"

    assert task_outputs(Plain(), TaskBatch(one_text(lab))) == {
        "many": "many of 3", "few": "few of 3", "v1.whole": "v1.whole of 3"
    }  # fmt: skip
