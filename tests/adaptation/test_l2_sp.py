"""The L2-SP penalty by hand, and fine-tuning on ten labels with and without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nlptransfer.adaptation.l2_sp import l2_sp_penalty, make_l2_sp_step
from nlptransfer.data.feature_batches import FeatureBatches
from nlptransfer.models.classifier import BagOfWordsNetwork
from nlptransfer.training.loop import train
from nlptransfer.training.seeding import seeded


def test_the_penalty_by_hand() -> None:
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight[:] = torch.tensor([[1.0, -2.0]])
        model.bias[:] = 3.0
    start = {"weight": torch.tensor([[0.5, 1.0]])}
    # (0.5 ** 2 + 3 ** 2) * 0.4 / 2 for what the source knew, 3 ** 2 * 0.1 / 2 for the new bias
    penalty = l2_sp_penalty(model, start, strength_shared=0.4, strength_new=0.1)
    assert float(penalty) == pytest.approx(9.25 * 0.2 + 9 * 0.05)
    penalty.backward()
    assert model.weight.grad is not None and model.bias.grad is not None
    torch.testing.assert_close(model.weight.grad, 0.4 * torch.tensor([[0.5, -3.0]]))
    torch.testing.assert_close(model.bias.grad, torch.tensor([0.3]))


def test_frozen_weights_are_not_counted_and_a_model_at_its_start_pays_nothing() -> None:
    model = nn.Linear(2, 1)
    start = {name: weight.clone() for name, weight in model.state_dict().items()}
    assert float(l2_sp_penalty(model, start, strength_shared=1.0, strength_new=1.0)) == 0.0
    assert float(l2_sp_penalty(model, {}, strength_shared=1.0, strength_new=0.0)) == 0.0
    model.weight.requires_grad_(False)
    with torch.no_grad():
        model.weight += 1.0
        model.bias += 2.0
    assert float(l2_sp_penalty(model, start, strength_shared=1.0, strength_new=1.0)) == pytest.approx(2.0)


def test_a_head_of_another_size_must_be_named_as_new() -> None:
    with pytest.raises(ValueError, match=r"the source's weight has the shape \(3, 2\), the model's \(1, 2\)"):
        l2_sp_penalty(nn.Linear(2, 1), nn.Linear(2, 3).state_dict(), strength_shared=1.0, strength_new=1.0)


def test_a_negative_strength_is_refused() -> None:
    with pytest.raises(ValueError, match="strengths must be 0 or more"):
        make_l2_sp_step({}, strength_shared=-1.0, strength_new=0.0)


def draw(number: int, direction: np.ndarray, threshold: float, random: np.random.Generator) -> tuple[Any, np.ndarray]:
    rows = random.normal(size=(number, len(direction))).astype(np.float32)
    return rows, (rows @ direction > threshold).astype(int)


def accuracies(threshold: float, num_wrong: int, strengths: list[float], seed: int) -> list[float]:
    """Target accuracy of the source's model, and after fine-tuning on 10 target labels, of which some are wrong."""
    random = np.random.default_rng(seed)
    direction = random.normal(size=50)
    direction /= np.linalg.norm(direction)
    source, labels = draw(1000, direction, 0.0, random)
    few, few_labels = draw(10, direction, threshold, random)
    few_labels[:num_wrong] = 1 - few_labels[:num_wrong]
    test, test_labels = draw(1000, direction, threshold, random)
    with seeded(seed):
        network = BagOfWordsNetwork(50, 2, hidden_dim=16)

    def fit(batches: FeatureBatches, step: Any, epochs: int) -> float:
        train(network, step, batches, torch.optim.Adam(network.parameters(), 1e-2), epochs=epochs, seed=seed)
        return float(
            (network.probabilities(FeatureBatches(test, None, batch_size=500)).argmax(1) == test_labels).mean()
        )

    plain = make_l2_sp_step({}, strength_shared=0.0, strength_new=0.0)
    found = [fit(FeatureBatches(source, labels, batch_size=50, seed=seed), plain, 10)]
    start = {name: weight.clone() for name, weight in network.state_dict().items()}
    for strength in strengths:
        network.load_state_dict(start)
        step = make_l2_sp_step(network.state_dict(), strength_shared=strength, strength_new=0.0)
        found.append(fit(FeatureBatches(few, few_labels, batch_size=10, seed=seed), step, 100))
        if strength >= 1000:
            moved = [float((weight - start[name]).abs().max()) for name, weight in network.state_dict().items()]
            assert max(moved) < 0.02
    return found


def test_a_few_noisy_labels_make_plain_fine_tuning_forget_and_l2_sp_does_not() -> None:
    runs = np.mean([accuracies(0.0, 2, [0.0, 0.1, 1000.0], seed) for seed in range(3)], axis=0)
    source, plain, held, fixed = runs
    assert source > 0.94
    assert plain < source - 0.06
    assert held > plain + 0.05
    assert fixed == pytest.approx(source, abs=0.02)


def test_where_the_domains_truly_differ_too_much_strength_learns_less() -> None:
    source, plain, held, fixed = np.mean([accuracies(1.0, 0, [0.0, 0.01, 1000.0], seed) for seed in range(3)], axis=0)
    assert plain > source + 0.1
    assert held > source + 0.08
    assert fixed == pytest.approx(source, abs=0.03)
