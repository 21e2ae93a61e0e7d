"""Units against their formula, the identity against single-task networks, and when mixing helps."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch

from nlptransfer.multitask.cross_stitch import CrossStitch, CrossStitchUnit
from nlptransfer.multitask.hard_sharing import HardSharing
from nlptransfer.training.seeding import seeded


def test_a_unit_mixes_streams_by_its_matrix_and_sends_gradients_back_by_its_transpose() -> None:
    unit = CrossStitchUnit(3, own_share=0.8)
    streams = torch.randn(3, 2, 4, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight = unit.weight.detach().numpy()[0]
    np.testing.assert_allclose(weight, 0.1 + 0.7 * np.eye(3), rtol=1e-6)
    mixed = unit(streams)
    plain = streams.detach().numpy()
    for row in range(3):
        expected = sum(weight[row, stream] * plain[stream] for stream in range(3))
        np.testing.assert_allclose(mixed[row].detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    upstream = torch.randn(3, 2, 4, 6, generator=torch.Generator().manual_seed(1))
    (mixed * upstream).sum().backward()
    assert streams.grad is not None and unit.weight.grad is not None
    for row in range(3):  # equation 2: alpha_AA times A's gradient plus alpha_BA times B's
        expected = sum(weight[stream, row] * upstream[stream].numpy() for stream in range(3))
        np.testing.assert_allclose(streams.grad[row].numpy(), expected, rtol=1e-4, atol=1e-6)
    # Equation 3: the gradient of alpha_AB is that of A's mix times x_B.
    expected = np.einsum("ibth,jbth->ij", upstream.numpy(), plain)
    np.testing.assert_allclose(unit.weight.grad[0].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_groups_of_channels_are_mixed_each_by_a_matrix_of_its_own() -> None:
    unit = CrossStitchUnit(2, num_groups=2, own_share=1.0)
    with torch.no_grad():
        unit.weight[1] = torch.tensor([[0.0, 1.0], [1.0, 0.0]])  # the second half of the channels changes places
    streams = torch.arange(8.0).reshape(2, 1, 1, 4)
    assert unit(streams)[:, 0, 0].tolist() == [[0, 1, 6, 7], [4, 5, 2, 3]]


@pytest.mark.parametrize("num_subspaces", [1, 4])
def test_at_the_identity_it_is_the_single_task_networks_exactly(lab: Any, num_subspaces: int) -> None:
    alone = lab.pair(num_layers=2)
    network = CrossStitch(deepcopy(alone), num_subspaces=num_subspaces, own_share=1.0)
    network.units.requires_grad_(False)
    optimizers = [torch.optim.AdamW(network.parameters(), 0.02)]
    optimizers += [torch.optim.AdamW(single.parameters(), 0.02) for single in alone.values()]
    batches = list(zip(lab.batches(12, 1), lab.batches(12, 2), strict=True))
    for pair in batches:
        for optimizer in optimizers:
            optimizer.zero_grad()
        # Both tasks in a step: with one, the other's gradient is 0, by which Adam's momentum runs on.
        joint, expected = [], []
        for task, batch in zip(alone, pair, strict=True):
            output, single = network(batch, task), alone[task](batch, task)
            assert torch.equal(output.logits, single.logits) and torch.equal(output.features, single.features)
            joint.append(network.loss(output, batch, task))
            expected.append(alone[task].loss(single, batch, task))
        torch.stack(joint).sum().backward()
        torch.stack(expected).sum().backward()
        for optimizer in optimizers:
            optimizer.step()
    for task, single in alone.items():
        trained = dict(network.networks[list(alone).index(task)].named_parameters())
        assert all(torch.equal(weight, trained[name]) for name, weight in single.named_parameters())
    with torch.no_grad():
        network.units[0].weight[:, 0, 1] = 0.5  # type: ignore[index,operator]
    batch = lab.batch()
    assert not torch.equal(network(batch, "many").logits, alone["many"](batch, "many").logits), "control"


def test_it_computes_layer_by_layer_what_the_units_say(lab: Any) -> None:
    networks = lab.pair(num_layers=2)
    network = CrossStitch(networks, own_share=0.7).eval()
    batch = lab.batch()
    many, few = (single.words(batch) for single in networks.values())
    for depth in range(2):
        many, few = (networks[t].layers[depth](x, batch.mask) for t, x in (("many", many), ("few", few)))
        many, few = 0.7 * many + 0.3 * few, 0.3 * many + 0.7 * few
    torch.testing.assert_close(network(batch, "few").logits, networks["few"].head("few").output(few))


def test_all_but_heads_is_shared_and_the_units_number_what_they_must(lab: Any) -> None:
    network = CrossStitch(lab.pair(num_layers=2), num_subspaces=4)
    assert sum(weight.numel() for weight in network.units.parameters()) == 2 * 4 * 2 * 2
    heads = [weight for task in network.tasks for weight in network.task_parameters(task)]
    assert sum(weight.numel() for weight in heads) == (16 * 4 + 4) + (16 * 5 + 5)
    assert {*heads, *network.shared_parameters()} == set(network.parameters())


def test_words_in_common_are_read_once(lab: Any) -> None:
    networks = lab.pair()
    networks["few"].words = networks["many"].words
    network = CrossStitch(networks)
    calls: list[int] = []
    network.networks[0].words.register_forward_hook(lambda *_: calls.append(1))  # type: ignore[union-attr,operator]
    network(lab.batch(), "few")
    assert len(calls) == 1


def test_a_batch_without_labels_of_a_task_moves_nothing(lab: Any) -> None:
    network = CrossStitch(lab.pair())
    batch = lab.unlabelled(lab.batch())
    network.loss(network(batch, "few"), batch, "few").backward()
    assert all(weight.grad is None for weight in network.parameters())
    batch = lab.batch()
    network.loss(network(batch, "many"), batch, "many").backward()
    assert all(weight.grad is None for weight in network.task_parameters("few"))


def test_a_task_with_few_labels_gains_by_mixing_and_not_at_the_identity(lab: Any, score_alone: float) -> None:
    mixed, apart = CrossStitch(lab.pair()), CrossStitch(lab.pair(), own_share=1.0)
    apart.units.requires_grad_(False)
    assert lab.score(lab.fit(mixed, lab.data())) > score_alone + 0.2
    assert lab.score(lab.fit(apart, lab.data(), epochs=4)) < score_alone + 0.1


def test_networks_that_can_not_be_joined_are_refused(lab: Any) -> None:
    with pytest.raises(ValueError, match="sizes must agree"):
        CrossStitch({**lab.pair(), "few": lab.single(lab.few, num_layers=2)})
    with pytest.raises(ValueError, match="3 subspaces"):
        CrossStitch(lab.pair(), num_subspaces=3)
    with seeded(0):
        both = HardSharing([lab.many, lab.few], lab.words(), lab.layers([16]))
    with pytest.raises(ValueError, match="this task alone"):
        CrossStitch({"many": both, "few": both})
    with pytest.raises(ValueError, match="at least 2"):
        CrossStitchUnit(1)
