"""Every way of sharing can be made from plain settings, and what its parts have in common is what it should be."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from nlptransfer.data.batching import Batches
from nlptransfer.data.vocabulary import BOUNDARIES, Vocabulary
from nlptransfer.embeddings.embedding_layer import make_random_embedding
from nlptransfer.models.word_features import WordFeatures
from nlptransfer.multitask.cross_stitch import CrossStitch
from nlptransfer.multitask.hard_sharing import HardSharing
from nlptransfer.multitask.joint_many_task import JointManyTask
from nlptransfer.multitask.recurrent_networks import MultitaskNetwork, MultitaskShape, make_network
from nlptransfer.multitask.shared_private import SharedPrivate
from nlptransfer.multitask.sluice import Sluice
from nlptransfer.multitask.tasks import Task
from nlptransfer.multitask.tied_parameters import TiedNetworks
from nlptransfer.training.seeding import seeded

POS = Task("pos", "tagging", ("A", "B", "C"))
CHUNK = Task("chunk", "tagging", ("X", "Y"))
SCORE = Task("score", "regression")
KINDS: dict[str, Any] = {
    "hard": HardSharing,
    "joint_many_task": JointManyTask,
    "tied": TiedNetworks,
    "cross_stitch": CrossStitch,
    "sluice": Sluice,
    "shared_private": SharedPrivate,
}
SMALL: dict[str, Any] = {"hidden_dim": 4, "characters": "cnn", "character_dim": 3, "dropout": 0.0}


def make(tasks: list[Task] | None = None, *, trainable: bool = True, **settings: Any) -> MultitaskNetwork:
    vocabulary, characters = Vocabulary(["ab", "ba"]), Vocabulary([*BOUNDARIES, "a", "b"])
    with seeded(0):
        embedding = make_random_embedding(vocabulary, 5)
        embedding.weight.requires_grad_(trainable)
        shape = MultitaskShape(**{**SMALL, **settings})
        return make_network(tasks or [POS, CHUNK, SCORE], shape, vocabulary, embedding, character_vocabulary=characters)


def words_of(network: MultitaskNetwork) -> list[WordFeatures]:
    return [module for module in network.modules() if isinstance(module, WordFeatures)]


@pytest.mark.parametrize("sharing", KINDS)
def test_each_way_of_sharing_is_made_and_trains_each_of_its_tasks(sharing: str) -> None:
    network = make(sharing=sharing, num_layers=2, num_private_layers=1)
    assert type(network) is KINDS[sharing] and list(network.tasks) == ["pos", "chunk", "score"]
    words = words_of(network)[0]
    (batch,) = Batches(words.encode([["ab", "ba", "?"], ["ba"]], [[0, 1, 1], [0]]), batch_size=2)
    moved: set[torch.Tensor] = set()
    for task in ("pos", "chunk"):
        network.zero_grad()
        network.loss(network(batch, task), batch, task).backward()
        moved |= {weight for weight in network.parameters() if weight.grad is not None}
    output = network(batch, "score")
    assert output.logits.shape == (2, 1) and network.decode(output, batch, "score").shape == (2,)
    own = [weight for task in network.tasks for weight in network.task_parameters(task)]
    everything = [*own, *network.shared_parameters()]
    assert len(everything) == len(set(everything)) and set(everything) == set(network.parameters())
    untouched = set(network.parameters()) - moved
    # Which task a text is of has a loss of its own.
    judge = {*network.discriminator.parameters()} if isinstance(network, SharedPrivate) else set()
    assert untouched <= {*network.task_parameters("score"), *judge}


def test_settings_reach_the_network() -> None:
    network = make(num_layers=3, depths={"pos": 1}, crf=("chunk",), num_private_layers=2, cell="gru")
    assert isinstance(network, HardSharing)
    assert network.depths == {"pos": 1, "chunk": 3, "score": 3}
    assert network.head("chunk").crf is not None and network.head("pos").crf is None
    assert [len(layers) for layers in network.private_layers] == [2, 2, 2]  # type: ignore[arg-type]
    stitched = make(sharing="cross_stitch", num_subspaces=4, own_share=0.6)
    assert isinstance(stitched, CrossStitch)
    weight = next(stitched.units.parameters())
    assert weight.shape == (4, 3, 3)
    torch.testing.assert_close(weight[0].detach(), 0.2 + 0.4 * torch.eye(3))


@pytest.mark.parametrize("trainable", [True, False])
def test_tied_and_stitched_networks_have_words_of_their_own_and_a_frozen_table_in_common(trainable: bool) -> None:
    for sharing in ("tied", "cross_stitch"):
        words = words_of(make(sharing=sharing, trainable=trainable))
        assert len(words) == 3 and len({id(each.characters) for each in words}) == 3
        tables = {id(each.embedding.weight) for each in words}
        assert len(tables) == (3 if trainable else 1)
        assert all(torch.equal(a.embedding.weight, b.embedding.weight) for a, b in pairwise(words))
    for sharing in ("hard", "joint_many_task", "sluice", "shared_private"):
        assert len(words_of(make(sharing=sharing, trainable=trainable))) == 1


def test_one_task_makes_the_single_task_network() -> None:
    network = make([POS], num_layers=2)
    assert isinstance(network, HardSharing) and network.shared_parameters() == []
    assert set(network.task_parameters("pos")) == set(network.parameters())


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"sharing": "soft"}, "sharing must be one of hard, "),
        ({"characters": "bpe"}, "characters must be one of"),
        ({"sharing": "tied", "depths": {"pos": 1}}, "only in hard sharing"),
        ({"crf": ("pso",)}, "no task 'pso'"),
        ({"sharing": "tied", "crf": ("pso",)}, "no task 'pso'"),
    ],
)
def test_settings_that_fit_nothing_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make(**settings)


def test_spelling_needs_a_vocabulary_of_characters() -> None:
    vocabulary = Vocabulary(["ab"])
    with pytest.raises(ValueError, match="needs a character vocabulary"):
        make_network([POS], MultitaskShape(), vocabulary, make_random_embedding(vocabulary, 5))
