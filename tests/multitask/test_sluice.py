"""Subspaces and layers are mixed as the paper says, and what is not mixed is a single-task network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nlptransfer.multitask.sluice import LayerShares, Sluice


def make(lab: Any, **settings: Any) -> Sluice:
    return Sluice(lab.pair(num_layers=2), **settings).eval()


def array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def test_subspaces_are_mixed_across_tasks_and_layers_within_a_task(lab: Any) -> None:
    network, batch = make(lab), lab.batch()
    with torch.no_grad():
        for weight in [*network.units.parameters(), *network.layer_shares.parameters()]:
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    output = network(batch, "few")
    inputs = [single.words(batch) for single in network.networks]  # type: ignore[operator]
    mixed = 0.0
    for depth in range(2):
        states = [n.layers[depth](x, batch.mask) for n, x in zip(network.networks, inputs, strict=True)]  # type: ignore[index,union-attr]
        np.testing.assert_allclose(array(output.layer_states[depth]), np.stack([array(s) for s in states]), atol=1e-6)
        halves = [part for state in states for part in (array(state)[..., :8], array(state)[..., 8:])]  # A1 A2 B1 B2
        alpha = array(network.units[depth].weight)[0]  # type: ignore[arg-type]
        stitched = [sum(alpha[row, column] * halves[column] for column in range(4)) for row in range(4)]
        inputs = [torch.tensor(np.concatenate(stitched[at : at + 2], axis=-1)) for at in (0, 2)]
        mixed = mixed + array(network.layer_shares[1].weight)[depth] * inputs[1].numpy()  # type: ignore[arg-type]
    np.testing.assert_allclose(array(output.features), mixed, rtol=1e-3, atol=1e-5)


def test_with_nothing_mixed_it_is_the_single_task_networks_exactly(lab: Any) -> None:
    network = make(lab, own_share=1.0)
    with torch.no_grad():
        for shares in network.layer_shares.parameters():
            shares.copy_(torch.tensor([0.0, 1.0]))
    batch = lab.batch()
    for task, single in lab.pair(num_layers=2).items():
        assert torch.equal(network(batch, task).logits, single.eval()(batch, task).logits)


def test_layers_start_equal() -> None:
    assert LayerShares(4)([torch.full((2,), float(number)) for number in range(4)]).tolist() == [1.5, 1.5]


def test_the_overlap_is_that_of_the_two_halves_of_each_layer_over_real_words(lab: Any) -> None:
    network, batch = make(lab), lab.batch()
    output = network(batch, "many")
    mask = batch.mask.numpy()
    assert not mask.all()
    expected = 0.0
    for states in output.layer_states:
        for task_states in array(states):
            words = task_states[mask].astype(float)
            expected += np.square(words[:, :8].T @ words[:, 8:] / len(words)).sum()
    assert network.subspace_overlap(output, batch).item() == pytest.approx(expected, rel=1e-5)


def test_penalising_the_overlap_lowers_it(lab: Any) -> None:
    batch = lab.batch(16)
    overlaps = []
    for weight in (0.0, 5.0):
        network = Sluice(lab.pair())
        lab.fit(
            network,
            {"few": lab.batches(12, 2)},
            extra=lambda o, b, t, p, n=network, w=weight: w * n.subspace_overlap(o, b),
        )
        overlaps.append(float(network.subspace_overlap(network(batch, "few"), batch).detach()))
    assert overlaps[1] < 0.5 * overlaps[0]


def test_betas_and_heads_are_a_tasks_own_and_all_else_is_shared(lab: Any) -> None:
    network = make(lab, num_subspaces=4)
    own = network.task_parameters("many")
    assert sum(weight.numel() for weight in own) == 2 + 16 * 4 + 4
    assert sum(weight.numel() for weight in network.units.parameters()) == 2 * 8 * 8
    assert {*own, *network.task_parameters("few"), *network.shared_parameters()} == set(network.parameters())


def test_a_batch_of_one_task_moves_nothing_that_only_the_other_uses(lab: Any) -> None:
    network, batch = make(lab), lab.batch()
    network.loss(network(batch, "many"), batch, "many").backward()
    assert all(weight.grad is None for weight in network.task_parameters("few"))
    network.zero_grad()
    batch = lab.unlabelled(batch)
    network.loss(network(batch, "few"), batch, "few").backward()
    assert all(weight.grad is None for weight in network.parameters())


def test_a_task_with_few_labels_gains_by_it(lab: Any, score_alone: float) -> None:
    networks = lab.pair()
    networks["few"].words = networks["many"].words  # as in the paper
    assert lab.score(lab.fit(Sluice(networks), lab.data(), epochs=6)) > score_alone + 0.2


def test_layers_that_can_not_be_cut_or_mixed_are_refused(lab: Any) -> None:
    with pytest.raises(ValueError, match="3 subspaces"):
        make(lab, num_subspaces=3)
    networks = lab.pair()
    for network in networks.values():
        network.layers.append(lab.layers([16], hidden_dim=4)[0])
    with pytest.raises(ValueError, match="one size"):
        Sluice(networks)
