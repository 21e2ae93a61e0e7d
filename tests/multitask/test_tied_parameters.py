"""Tied at strength 0 the networks are alone, bit for bit; as the strength grows their parameters meet."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch

from nlptransfer.multitask.hard_sharing import HardSharing
from nlptransfer.multitask.tied_parameters import TiedNetworks, annealed_strength
from nlptransfer.training.seeding import seeded


def steps(lab: Any) -> list[tuple[str, Any]]:
    """Batches of the two tasks in turns of one and two."""
    batches = {"many": list(lab.batches(48, 1)), "few": list(lab.batches(12, 2))}
    return [(task, batches[task][at % 3]) for at in range(6) for task in ("many", "few", "few")[: 2 + at % 2]]


def take(network: Any, task: str, batch: Any, optimizer: torch.optim.Optimizer, strength: float | None) -> None:
    with seeded(int(batch.input_ids.sum())):  # dropout of a step is the same whoever else is trained
        loss = network.loss(network(batch, task), batch, task)
    if strength is not None:
        loss = loss + network.penalty(strength)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
    optimizer.step()


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_at_strength_0_they_are_single_task_networks_bit_for_bit(lab: Any, dropout: float) -> None:
    alone = {
        task.name: lab.single(task, seed=seed, num_layers=2, dropout=dropout)
        for seed, task in enumerate((lab.many, lab.few))
    }
    tied = TiedNetworks(deepcopy(alone))
    start = deepcopy(alone)
    optimizer = torch.optim.AdamW(tied.parameters(), 0.02, weight_decay=0.1)
    own = {name: torch.optim.AdamW(net.parameters(), 0.02, weight_decay=0.1) for name, net in alone.items()}
    for task, batch in steps(lab):
        take(tied, task, batch, optimizer, 0.0)
        take(alone[task], task, batch, own[task], None)
    for name, network in alone.items():
        trained = dict(tied.network(name).named_parameters())
        first = dict(start[name].named_parameters())
        assert all(torch.equal(weight, trained[key]) for key, weight in network.named_parameters())
        assert any(not torch.equal(weight, first[key]) for key, weight in trained.items()), "control: it was trained"
        for batch in lab.batches(16, 9):
            output, expected = tied.eval()(batch, name), network.eval()(batch, name)
            assert torch.equal(output.logits, expected.logits)
            assert torch.equal(tied.decode(output, batch, name), network.decode(expected, batch, name))


def test_as_the_strength_grows_the_parameters_meet_and_the_task_with_few_labels_gains(
    lab: Any, score_alone: float
) -> None:
    distances, scores = [], []
    for strength in (0.0, 0.001, 0.01):
        network = TiedNetworks(lab.pair())
        start = float(network.squared_distance().detach())
        lab.fit(network, lab.data(), epochs=6, extra=lambda o, b, t, p, s=strength, n=network: n.penalty(s))
        distances.append(float(network.squared_distance().detach()))
        scores.append(lab.score(network))
    assert distances[0] > start, "untied they drift apart"
    assert distances[1] < 0.05 * distances[0] and distances[2] < 0.05 * distances[1]
    assert scores[0] < score_alone + 0.1 and max(scores[1:]) > score_alone + 0.25


def test_the_penalty_is_the_squared_distance_between_all_pairs_of_encoders(lab: Any) -> None:
    third = lab.single(lab.many, seed=2)
    third.tasks = {"third": lab.many}
    networks = {**lab.pair(), "third": third}
    tied = TiedNetworks(networks)
    flat = [
        np.concatenate(
            [
                w.detach().double().numpy().ravel()
                for n, w in net.named_parameters()
                if n.startswith(("words", "layers"))
            ]
        )
        for net in networks.values()
    ]
    expected = sum(((flat[a] - flat[b]) ** 2).sum() for a, b in ((0, 1), (0, 2), (1, 2)))
    assert tied.squared_distance().item() == pytest.approx(expected, rel=1e-5)
    assert tied.penalty(0.3).item() == pytest.approx(0.3 * expected, rel=1e-5)
    assert tied.penalty(0.0).item() == 0.0 and not tied.penalty(0.0).requires_grad


def test_heads_are_free_and_parts_in_common_are_shared_outright(lab: Any) -> None:
    networks = lab.pair()
    networks["few"].words = networks["many"].words
    tied = TiedNetworks(networks)
    tied.penalty(1.0).backward()
    reached = {name.split(".")[2] for name, weight in tied.named_parameters() if weight.grad is not None}
    assert reached == {"layers"}, "what is one and the same is at no distance"
    assert set(tied.shared_parameters()) == set(networks["many"].words.parameters())
    rest = [p for name in tied.tasks for p in tied.task_parameters(name)]
    assert {*tied.shared_parameters(), *rest} == set(tied.parameters())
    assert TiedNetworks(lab.pair()).shared_parameters() == [], "tied is not shared"


def test_the_words_of_different_languages_can_be_left_free(lab: Any) -> None:
    networks = lab.pair()
    networks["few"].words = lab.words(dim=16)
    networks["few"].words.embedding = torch.nn.Embedding(7, 16)
    with pytest.raises(ValueError, match=r"words\.embedding\.weight.*tie_words=False"):
        TiedNetworks(networks)
    assert not any(name.startswith("words") for name in TiedNetworks(networks, tie_words=False).tied_names)


def test_copies_of_the_network_are_tied_among_themselves(lab: Any) -> None:
    tied = TiedNetworks(lab.pair())
    copy = deepcopy(tied)
    copy.penalty(1.0).backward()
    assert all(weight.grad is None for weight in tied.parameters())


def test_networks_that_can_not_be_joined_are_refused(lab: Any) -> None:
    with pytest.raises(ValueError, match="only one has layers"):
        TiedNetworks({**lab.pair(), "few": lab.single(lab.few, num_layers=2)})
    both = HardSharing([lab.many, lab.few], lab.words(), lab.layers([16]))
    with pytest.raises(ValueError, match="this task alone"):
        TiedNetworks({"many": both})
    with pytest.raises(ValueError, match="no networks"):
        TiedNetworks({})
    with pytest.raises(ValueError, match="0 or more"):
        TiedNetworks(lab.pair()).penalty(-1.0)


def test_the_strength_changes_evenly() -> None:
    assert [annealed_strength(p, first=0.2, last=1.0) for p in (0.0, 0.5, 1.0)] == pytest.approx([0.2, 0.6, 1.0])
