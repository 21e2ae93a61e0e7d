"""One encoder, heads at depths of their own: who uses what, what moves what, and when sharing helps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nlptransfer.data.batching import Batches
from nlptransfer.data.vocabulary import Vocabulary
from nlptransfer.embeddings.embedding_layer import make_random_embedding
from nlptransfer.models.tagger import RecurrentTagger, TaggerShape
from nlptransfer.models.word_features import WordFeatures
from nlptransfer.multitask.hard_sharing import HardSharing
from nlptransfer.multitask.task_step import sum_losses, task_losses
from nlptransfer.multitask.tasks import Task
from nlptransfer.training.seeding import seeded
from nlptransfer.types import TaskBatch

LOW = Task("low", "tagging", ("A", "B", "C"))
HIGH = Task("high", "tagging", ("X", "Y"))
WHOLE = Task("v1.whole", "regression")  # names may hold a dot


def make(lab: Any, **settings: Any) -> HardSharing:
    with seeded(0):
        return HardSharing([LOW, HIGH, WHOLE], lab.words(), lab.layers([16, 16, 16]), **settings)


def test_alone_it_is_the_recurrent_tagger() -> None:
    vocabulary = Vocabulary(["a", "b", "c"])
    shape = TaggerShape(hidden_dim=4, num_layers=2, characters="none", dropout=0.0)
    with seeded(0):
        embedding = make_random_embedding(vocabulary, 5)
        tagger = RecurrentTagger(vocabulary, None, ["A", "B", "C"], embedding, shape)
        words = WordFeatures(vocabulary, embedding)
        encoder = tagger.encoder
        layers = [_Layer(encoder.directions[at], encoder.directions[at + 1]) for at in (0, 2)]
        network = HardSharing([LOW], words, layers)
    network.head("low").output.load_state_dict(tagger.head.state_dict())
    (batch,) = Batches(tagger.encode([["a", "b", "c"], ["c", "?"]], [[0, 1, 2], [2, 0]]), batch_size=2)
    expected, output = tagger.eval()(batch), network.eval()(batch, "low")
    assert torch.equal(output.logits, expected.logits) and torch.equal(output.features, expected.features)
    assert torch.equal(network.loss(output, batch, "low"), tagger.loss(expected, batch))


class _Layer(torch.nn.Module):
    """One layer of an encoder whose directions are given; any module of this signature can be a layer."""

    output_dim = 8

    def __init__(self, forwards: torch.nn.Module, backwards: torch.nn.Module) -> None:
        super().__init__()
        from nlptransfer.models.recurrent import RecurrentEncoder

        self.encoder = RecurrentEncoder(1, 4)
        self.encoder.directions = torch.nn.ModuleList([forwards, backwards])

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.encoder(features, mask)
        return states


def test_a_low_task_supervises_the_layers_up_to_its_depth_alone(lab: Any) -> None:
    network = make(lab, depths={"low": 1, "high": 2})
    batch = lab.batch()
    network(batch, "low").logits.sum().backward()
    reached = {name for name, weight in network.named_parameters() if weight.grad is not None}
    assert {name.split(".")[0] + "." + name.split(".")[1] for name in reached} == {
        "words.embedding", "layers.0", "heads.0"
    }  # fmt: skip


def test_shared_and_own_parameters_make_up_all_and_number_what_they_must(lab: Any) -> None:
    network = make(lab, depths={"low": 1, "high": 2}, private_layers={"low": lab.layers([16])}, crf=["high"])
    # A GRU of 8 units: 3 gates over 16 inputs and 8 states, with two biases; in two directions.
    layer = 2 * 3 * 8 * (16 + 8 + 2)
    words = 122 * 16
    assert sum(p.numel() for p in network.shared_parameters()) == words + 2 * layer
    assert sum(p.numel() for p in network.task_parameters("low")) == layer + 16 * 3 + 3
    assert sum(p.numel() for p in network.task_parameters("high")) == 16 * 2 + 2 + (2 * 2 + 2 + 2)
    whole = layer + (16 * 16 + 16 + 16) + 16 + 1  # its layer at the top, attention, output
    assert sum(p.numel() for p in network.task_parameters("v1.whole")) == whole
    everything = [*network.shared_parameters(), *(p for task in network.tasks for p in network.task_parameters(task))]
    assert len(everything) == len(set(everything)) and set(everything) == set(network.parameters())


def test_a_frozen_embedding_is_nobodys_to_train(lab: Any) -> None:
    network = make(lab)
    network.words.embedding.weight.requires_grad_(False)  # type: ignore[union-attr]
    assert all(parameter.requires_grad for parameter in network.shared_parameters())
    assert len(network.shared_parameters()) == 3 * 8


def test_private_layers_stand_between_depth_and_head(lab: Any) -> None:
    own = lab.layers([16])
    network = make(lab, depths={"low": 1}, private_layers={"low": own}).eval()
    batch = lab.batch()
    states = network.words(batch)
    for layer in (network.layers[0], own[0]):
        states = layer(states, batch.mask)
    expected = network.head("low")(states, batch.mask)
    assert torch.equal(network(batch, "low").logits, expected.logits)


@pytest.mark.parametrize("mixed", [True, False])
def test_a_label_missing_for_a_task_moves_nothing_of_its_head_bit_for_bit(lab: Any, mixed: bool) -> None:
    """Neither weights nor what Adam remembers, whether the task is in the step without labels or not at all."""
    with seeded(0):
        network = HardSharing([lab.many, lab.few], lab.words(), lab.layers([16]), dropout=0.2)
    optimizer = torch.optim.AdamW(network.parameters(), 0.02, weight_decay=0.1)
    labelled, batch = lab.batch(), lab.batch()
    steps = [{"many": labelled, "few": labelled}] * 2
    steps += [{"many": batch, "few": lab.unlabelled(batch)} if mixed else {"many": batch}] * 2
    few = network.task_parameters("few")
    remembered: list[list[torch.Tensor]] = []
    for batches in steps:
        optimizer.zero_grad()
        sum_losses(task_losses(network, TaskBatch(batches), 0.0)).backward()
        optimizer.step()
        remembered.append([value.clone() for p in few for value in (p, *optimizer.state[p].values())])
    assert any(not torch.equal(a, b) for a, b in zip(remembered[0], remembered[1], strict=True)), "with labels it moves"
    for later in remembered[2:]:
        assert all(torch.equal(a, b) for a, b in zip(remembered[1], later, strict=True))
    assert all(optimizer.state[p]["step"] == 4 for p in network.task_parameters("many")), "control: the other task did"


@pytest.mark.parametrize(("unrelated", "helps"), [(False, True), (True, False)])
def test_a_task_with_few_labels_gains_by_a_related_task_and_not_by_an_unrelated_one(
    lab: Any, score_alone: float, unrelated: bool, helps: bool
) -> None:
    with seeded(0):
        network = HardSharing([lab.many, lab.few], lab.words(), lab.layers([16]))
    score = lab.score(lab.fit(network, lab.data(unrelated=unrelated)))
    assert score > 0.95 if helps else score < score_alone + 0.1


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"depths": {"low": 0}}, "depths 1 to 3"),
        ({"depths": {"low": 4}}, "depths 1 to 3"),
        ({"depths": {"lwo": 1}}, "no task 'lwo'"),
        ({"crf": ["lwo"]}, "no task 'lwo'"),
        ({"depths": dict.fromkeys(("low", "high", "v1.whole"), 2)}, "above all heads"),
    ],
)
def test_settings_that_fit_no_task_or_layer_are_refused(lab: Any, settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make(lab, **settings)
    with pytest.raises(ValueError, match="distinct names"):
        HardSharing([LOW, LOW], lab.words(), lab.layers([16]))
