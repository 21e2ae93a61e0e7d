"""The adversary and the overlap against their formulas, and that the shared encoder forgets the task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nlptransfer.multitask.shared_private import SharedPrivate
from nlptransfer.multitask.tasks import Task
from nlptransfer.training.seeding import seeded
from nlptransfer.types import Batch


def make(lab: Any) -> SharedPrivate:
    with seeded(0):
        private = {"many": lab.layers([16], hidden_dim=4), "few": lab.layers([16, 16])}
        return SharedPrivate([lab.many, lab.few], lab.words(), lab.layers([16]), private)


def test_the_head_reads_shared_beside_private_states(lab: Any) -> None:
    network, batch = make(lab).eval(), lab.batch()
    output = network(batch, "few")
    words = network.words(batch)
    shared, private = network.shared_layers[0](words, batch.mask), words
    for layer in network.private_layers[1]:  # type: ignore[union-attr]
        private = layer(private, batch.mask)
    assert torch.equal(output.shared, shared) and torch.equal(output.private, private)
    assert torch.equal(output.features, torch.cat([shared, private], dim=-1))
    assert network(batch, "many").features.shape[-1] == 16 + 8


def test_the_adversarial_loss_is_cross_entropy_of_the_task_from_the_mean_of_the_shared_states(lab: Any) -> None:
    network, batch = make(lab), lab.batch()
    output = network(batch, "few")
    losses = []
    for states, mask in zip(output.shared.detach().double(), batch.mask, strict=True):
        scores = network.discriminator.double()(states[mask].mean(dim=0)).detach().numpy()
        losses.append(np.log(np.exp(scores).sum()) - scores[1])
    network.discriminator.float()
    assert network.adversarial_loss(output, batch, "few").item() == pytest.approx(np.mean(losses), rel=1e-5)


def test_the_discriminator_descends_while_the_shared_encoder_climbs_and_the_private_one_is_left_alone(lab: Any) -> None:
    network, batch = make(lab), lab.batch()
    gradients = []
    for strength in (-1.0, 0.5):  # -1 gives the gradient that is not reversed
        network.zero_grad()
        network.adversarial_loss(network(batch, "few"), batch, "few", reversal_strength=strength).backward()
        assert all(
            weight.grad is None for weight in [*network.private_layers.parameters(), *network.heads.parameters()]
        )
        layer = network.shared_layers[0]
        gradients.append([[w.grad.clone() for w in part.parameters()] for part in (layer, network.discriminator)])  # type: ignore[union-attr]
    (straight, judge), (turned, judge_again) = gradients
    for before, after in zip(straight, turned, strict=True):
        torch.testing.assert_close(after, -0.5 * before)
    for before, after in zip(judge, judge_again, strict=True):
        torch.testing.assert_close(after, before)
    assert straight[0].abs().max() > 0


def test_the_overlap_is_over_real_words_and_penalising_it_lowers_it(lab: Any) -> None:
    network, batch = make(lab), lab.batch()
    output = network(batch, "few")
    shared, private = (states[batch.mask].detach().double().numpy() for states in (output.shared, output.private))
    expected = np.square(shared.T @ private / len(shared)).sum()
    assert network.overlap(output, batch).item() == pytest.approx(expected, rel=1e-5)
    overlaps = []
    for weight in (0.0, 1.0):
        network = make(lab)
        few = {"few": lab.batches(12, 2)}
        lab.fit(network, few, extra=lambda o, b, t, p, n=network, w=weight: w * n.overlap(o, b))
        overlaps.append(float(network.overlap(network(batch, "few"), batch).detach()))
    assert overlaps[1] < 0.5 * overlaps[0]


def test_shared_and_own_parameters_make_up_all(lab: Any) -> None:
    network = make(lab)
    own = network.task_parameters("few")
    assert set(own) == {*network.private_layers[1].parameters(), *network.heads[1].parameters()}
    assert sum(weight.numel() for weight in network.discriminator.parameters()) == 16 * 2 + 2
    assert {*own, *network.task_parameters("many"), *network.shared_parameters()} == set(network.parameters())


def test_a_batch_of_one_task_moves_nothing_of_the_other(lab: Any) -> None:
    network, batch = make(lab), lab.batch()
    output = network(batch, "many")
    (network.loss(output, batch, "many") + network.adversarial_loss(output, batch, "many")).backward()
    assert all(weight.grad is None for weight in network.task_parameters("few"))
    network.zero_grad()
    batch = lab.unlabelled(batch)
    network.loss(network(batch, "few"), batch, "few").backward()
    assert all(weight.grad is None for weight in network.parameters())


def test_a_task_with_few_labels_gains_by_the_shared_encoder(lab: Any, score_alone: float) -> None:
    with seeded(0):
        private = {name: lab.layers([16], hidden_dim=4) for name in ("many", "few")}
        network = SharedPrivate([lab.many, lab.few], lab.words(), lab.layers([16]), private)
    assert lab.score(lab.fit(network, lab.data(), epochs=6)) > score_alone + 0.25


class Given(nn.Module):
    """Words come with two features: one tells the label, the other which task the text is of."""

    output_dim = 2

    def forward(self, batch: Batch) -> torch.Tensor:
        assert batch.values is not None
        return batch.values


class PerWord(nn.Module):
    """A layer need not be recurrent."""

    def __init__(self, make_output: Callable[[torch.Tensor], torch.Tensor] | nn.Module) -> None:
        super().__init__()
        self.make_output = make_output
        self.output_dim = 1

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.make_output(features)


def texts_of(task: str, seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (32,), generator=generator)
    signs = torch.stack([2.0 * labels - 1, torch.full((32,), 1.0 if task == "right" else -1.0)], dim=-1)
    values = signs[:, None] + 0.5 * torch.randn(32, 3, 2, generator=generator)
    mask = torch.ones(32, 3, dtype=torch.bool)
    return Batch(torch.zeros(32, 3, dtype=torch.long), mask, labels=labels, values=values)


def trained(reversal_strength: float) -> tuple[float, float, float]:
    """How much of what is shared tells the task beside the label; the adversary's loss; the accuracy of the tasks."""
    tasks = [Task(name, "classification", ("no", "yes")) for name in ("left", "right")]
    with seeded(0):
        private = {task.name: [PerWord(lambda features: features[..., :1] * 0.0)] for task in tasks}
        network = SharedPrivate(tasks, Given(), [PerWord(nn.Linear(2, 1))], private)
    weight = network.shared_layers[0].make_output.weight  # type: ignore[union-attr]
    with torch.no_grad():
        weight.fill_(1.0)  # type: ignore[union-attr,operator]
    # Slow against its judge: what the judge can't use by a larger weight must be gone from the features.
    rest = [p for name, p in network.named_parameters() if not name.startswith("discriminator")]
    groups = [{"params": rest, "lr": 0.02}, {"params": list(network.discriminator.parameters()), "lr": 0.3}]
    optimizer = torch.optim.SGD(groups)
    for step in range(120):
        batches = {"left": texts_of("left", 2 * step), "right": texts_of("right", 2 * step + 1)}
        losses = []
        for task, batch in batches.items():
            output = network(batch, task)
            losses.append(network.loss(output, batch, task))
            losses.append(network.adversarial_loss(output, batch, task, reversal_strength=reversal_strength))
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
    judged, right = [], []
    with torch.no_grad():
        for number, task in enumerate(("left", "right")):
            batch = texts_of(task, 1000 + number)
            output = network(batch, task)
            judged.append(network.adversarial_loss(output, batch, task).item())
            right.append((network.decode(output, batch, task) == batch.labels).float().mean().item())
        ratio = float((weight[0, 1] / weight[0, 0]).abs())  # type: ignore[index]
    return ratio, float(np.mean(judged)), float(np.mean(right))


def test_against_the_adversary_the_shared_encoder_forgets_the_task_and_keeps_the_label() -> None:
    ratio, judged, right = trained(0.0)
    assert ratio > 0.4 and judged < 0.6, "a judge that is only looking finds the task"
    ratio, judged, right = trained(1.0)
    assert ratio < 0.15 and judged > 0.67 and right > 0.95


def test_encoders_without_layers_are_refused(lab: Any) -> None:
    with pytest.raises(ValueError, match="need a layer"):
        SharedPrivate([lab.many, lab.few], lab.words(), lab.layers([16]), {"many": lab.layers([16])})
    with pytest.raises(ValueError, match="no task 'fwe'"):
        SharedPrivate([lab.many], lab.words(), lab.layers([16]), {"many": lab.layers([16]), "fwe": lab.layers([16])})
