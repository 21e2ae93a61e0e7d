"""What the step adds up, that a weight of 0 is source-only exactly, and each loss's claim with its control."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from nlptransfer.adaptation.dann import DomainDiscriminator, domain_adversarial_loss
from nlptransfer.adaptation.deep_coral import coral_loss
from nlptransfer.adaptation.domain_step import (
    AlignmentLoss,
    DomainStep,
    NetworkWithParts,
    adversarial_ramp,
    make_domain_step,
)
from nlptransfer.adaptation.l2_sp import make_l2_sp_step
from nlptransfer.adaptation.mmd import mmd_loss
from nlptransfer.adaptation.pivot_tasks import PivotTasks, make_pivot_step
from nlptransfer.data.feature_batches import DocumentBatches, DomainBatches, FeatureBatches, ItemBatches
from nlptransfer.models.classifier import BagOfWordsNetwork, RecurrentClassifier
from nlptransfer.training.loop import train
from nlptransfer.training.random_streams import own_random_stream
from nlptransfer.training.seeding import seeded

Network = BagOfWordsNetwork | RecurrentClassifier
NETWORKS = ["bag of words", "recurrent"]
METHODS = ["DANN", "MMD", "CORAL", "pivot tasks"]


def make_parts(kind: str) -> tuple[Network, ItemBatches, ItemBatches]:
    """A small network with dropout, labelled source and unlabelled target batches; the numbers of items differ."""
    random = np.random.default_rng(0)
    documents = [random.integers(2, 20, random.integers(1, 9)) for _ in range(45)]
    labels = random.integers(0, 2, 25)
    if kind == "recurrent":
        with seeded(0):
            network: Network = RecurrentClassifier(nn.Embedding(20, 6, padding_idx=0), 2, hidden_dim=5, dropout=0.4)
        source = DocumentBatches(documents[:25], labels, batch_size=8, max_length=7, seed=1)
        return network, source, DocumentBatches(documents[25:], None, batch_size=6, max_length=7, seed=2)
    with seeded(0):
        network = BagOfWordsNetwork(20, 2, hidden_dim=10, dropout=0.4)
    rows = sparse.csr_matrix(np.stack([np.bincount(ids, minlength=20) for ids in documents]).astype(np.float32))
    source_rows = FeatureBatches(rows[:25], labels, batch_size=8, seed=1)
    return network, source_rows, FeatureBatches(rows[25:], None, batch_size=6, seed=2)


def make_method(name: str, network: Network, weight: float) -> tuple[nn.Module, DomainStep]:
    """What is trained, and the step."""
    with seeded(7):
        discriminator, tasks = DomainDiscriminator(10, 4), PivotTasks(10, 2)
    if name == "pivot tasks":
        return NetworkWithParts(network, tasks), make_pivot_step(tasks, [[3, 4], [5]], adaptation_weight=weight)

    def adversarial(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return domain_adversarial_loss(source, target, discriminator)

    losses: dict[str, AlignmentLoss] = {"DANN": adversarial, "MMD": mmd_loss, "CORAL": coral_loss}
    return NetworkWithParts(network, discriminator), make_domain_step(losses[name], adaptation_weight=weight)


def fit(whole: nn.Module, step: Any, batches: Any, **settings: Any) -> list[dict[str, Any]]:
    optimizer = torch.optim.AdamW(whole.parameters(), 1e-2, weight_decay=0.1)
    return train(whole, step, batches, optimizer, **{"epochs": 3, "seed": 0, "max_gradient_norm": 0.3, **settings})


def plain_step(model: Any, batch: Any, progress: float) -> dict[str, torch.Tensor]:
    return {"loss": model.loss(model(batch), batch)}


def weights_of(network: nn.Module) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in network.state_dict().values()])


def source_only(kind: str) -> torch.Tensor:
    network, source, _ = make_parts(kind)
    before = weights_of(network)
    fit(network, plain_step, source)
    assert not torch.equal(weights_of(network), before)
    return weights_of(network)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("method", METHODS)
def test_a_weight_of_0_is_source_only_number_for_number_and_another_is_not(kind: str, method: str) -> None:
    expected = source_only(kind)
    for weight in (0.0, 1.0):
        network, source, target = make_parts(kind)
        whole, step = make_method(method, network, weight)
        fit(whole, step, DomainBatches(source, target))
        assert torch.equal(weights_of(network), expected) == (weight == 0.0)


@pytest.mark.parametrize("kind", NETWORKS)
def test_l2_sp_of_strength_0_is_plain_fine_tuning_number_for_number(kind: str) -> None:
    expected = source_only(kind)
    for strength in (0.0, 1.0):
        network, source, _ = make_parts(kind)
        fit(network, make_l2_sp_step(network.state_dict(), strength_shared=strength, strength_new=strength), source)
        assert torch.equal(weights_of(network), expected) == (strength == 0.0)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_targets_pass_leaves_the_sources_dropout_as_it_was(kind: str) -> None:
    def without_gradient(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return 0.0 * (source.sum() + target.sum())

    network, source, target = make_parts(kind)
    fit(network, make_domain_step(without_gradient, adaptation_weight=1.0), DomainBatches(source, target))
    assert torch.equal(weights_of(network), source_only(kind))


def test_the_targets_dropout_is_not_that_of_the_sources_next_batch() -> None:
    with seeded(0):
        first = torch.rand(4)
        with own_random_stream(torch.device("cpu")):
            inside = torch.rand(4)
        after = torch.rand(4)
    with seeded(0):
        assert torch.equal(torch.rand(8), torch.cat([first, after]))
    assert not torch.equal(inside, after)


def test_the_loss_is_task_plus_weight_times_ramp_times_alignment() -> None:
    network, source, target = make_parts("bag of words")
    network.eval()
    batch = next(iter(DomainBatches(source, target)))
    step = make_domain_step(mmd_loss, adaptation_weight=0.7, ramp=lambda progress: progress**2)
    losses = step(network, batch, 0.5)
    task = network.loss(network(batch.source), batch.source)
    alignment = mmd_loss(network(batch.source).features, network(batch.target).features)
    assert losses["task"].item() == task.item()
    assert losses["alignment"].item() == pytest.approx(alignment.item(), rel=1e-6)
    assert losses["loss"].item() == pytest.approx(task.item() + 0.7 * 0.25 * alignment.item(), rel=1e-6)


def test_the_ramp_is_the_papers() -> None:
    for progress in (0.0, 0.1, 0.33, 1.0):
        assert adversarial_ramp(progress) == pytest.approx(math.tanh(5 * progress))  # the same, written otherwise


def test_a_batch_of_one_item_is_not_aligned() -> None:
    network, _, _ = make_parts("bag of words")
    rows = sparse.csr_matrix(np.eye(20, dtype=np.float32))
    batches = DomainBatches(
        FeatureBatches(rows, np.zeros(20), batch_size=4), FeatureBatches(rows[:1], None, batch_size=4)
    )
    history = fit(network, make_domain_step(coral_loss, adaptation_weight=1.0), batches, epochs=1)
    assert history[0]["alignment"] == 0.0 and math.isfinite(history[0]["loss"])


@pytest.mark.parametrize("weight", [-0.1, math.inf, math.nan])
def test_an_impossible_weight_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="adaptation_weight must be a number from 0 on"):
        make_domain_step(mmd_loss, adaptation_weight=weight)


def test_under_half_precision_features_are_aligned_in_full() -> None:
    seen: list[torch.dtype] = []

    def look(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        seen.extend([source.dtype, target.dtype, (source.T @ source).dtype])
        return coral_loss(source, target)

    network, source, target = make_parts("recurrent")
    batch = next(iter(DomainBatches(source, target)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = make_domain_step(look, adaptation_weight=1.0)(network, batch, 0.5)
    losses["loss"].backward()
    assert seen == [torch.float32] * 3


def test_a_discriminator_is_checkpointed_and_resumed_with_its_network(tmp_path: Path) -> None:
    finals = []
    for stops in ([4], [2, 4]):  # at once, or stopped after two epochs and resumed
        for epochs in stops:
            network, source, target = make_parts("bag of words")
            whole, step = make_method("DANN", network, 1.0)
            checkpoint = tmp_path / f"{len(stops)}.pt"

            # The ramp depends on the share of the run that is done, so the run must be as long in both.
            def at_last(model: Any, batch: Any, progress: float, step: Any = step, epochs: int = epochs) -> Any:
                return step(model, batch, progress * epochs / 4)

            fit(whole, at_last, DomainBatches(source, target), epochs=epochs, checkpoint=checkpoint, resume=True)
        finals.append(weights_of(whole))
    torch.testing.assert_close(finals[0], finals[1])


# The claims. Two features: one tells the label a little in both domains; the other tells it well in the source, but
# in the target it only tells the domain.


def shift_of_the_mean(seed: int, *, shifted: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Its mean is 0.5 in the source and -0.5 in the target, where it knows no label."""

    def draw(number: int, is_source: bool) -> tuple[np.ndarray, np.ndarray]:
        labels = random.integers(0, 2, number)
        signs = 2 * labels - 1
        own = 0.5 + signs if is_source else np.full(number, -0.5)
        features = np.stack([signs + random.normal(0, 0.6, number), own + random.normal(0, 0.3, number)], axis=1)
        return features.astype(np.float32), labels

    random = np.random.default_rng(seed)
    return *draw(200, True), *draw(150, not shifted)


def shift_of_the_variance(seed: int, *, shifted: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Its mean is 0 in both; in the target it is noise of a large variance."""

    def draw(number: int, is_source: bool) -> tuple[np.ndarray, np.ndarray]:
        labels = random.integers(0, 2, number)
        signs = 2 * labels - 1
        own = 1.5 * signs + random.normal(0, 0.3, number) if is_source else random.normal(0, 6, number)
        features = np.stack([signs + random.normal(0, 0.6, number), own], axis=1)
        return features.astype(np.float32), labels

    random = np.random.default_rng(seed)
    return *draw(200, True), *draw(150, not shifted)


def target_accuracy(
    data: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], method: str, weight: float, activation: Any, seed: int
) -> float:
    source, source_labels, target, target_labels = data
    with seeded(seed):
        network = BagOfWordsNetwork(2, 2, hidden_dim=10, activation=activation)
    whole, step = make_method(method, network, weight)
    batches = DomainBatches(
        FeatureBatches(source, source_labels, batch_size=50, seed=seed),
        FeatureBatches(target, None, batch_size=50, seed=9),
    )
    fit(whole, step, batches, epochs=40, seed=seed, max_gradient_norm=None)
    predicted = network.probabilities(FeatureBatches(target, None, batch_size=150)).argmax(axis=1)
    return float((predicted == target_labels).mean())


@pytest.mark.parametrize(
    ("method", "weight", "activation", "make_data"),
    [
        ("DANN", 1.0, "sigmoid", shift_of_the_mean),
        ("MMD", 3.0, "relu", shift_of_the_mean),
        ("CORAL", 100.0, "relu", shift_of_the_variance),
    ],
)
def test_alignment_makes_the_target_readable_and_without_a_shift_does_no_harm(
    method: str, weight: float, activation: str, make_data: Callable[..., Any]
) -> None:
    def mean_accuracy(weight: float, *, shifted: bool) -> float:
        seeds = range(2)
        return float(
            np.mean([target_accuracy(make_data(s, shifted=shifted), method, weight, activation, s) for s in seeds])
        )

    unadapted = mean_accuracy(0.0, shifted=True)
    assert unadapted < 0.72
    assert mean_accuracy(weight, shifted=True) > unadapted + 0.15
    assert mean_accuracy(weight, shifted=False) > 0.93
