"""Auxiliary pivot tasks: hiding, counting, the loss, and the claim on two domains with words of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy import sparse

from nlptransfer.adaptation.domain_step import NetworkWithParts
from nlptransfer.adaptation.pivot_tasks import PivotTasks, hide_pivots, make_pivot_step, pivot_occurrences
from nlptransfer.data.feature_batches import DocumentBatches, DomainBatches, FeatureBatches
from nlptransfer.data.vocabulary import UNKNOWN
from nlptransfer.models.classifier import BagOfWordsNetwork
from nlptransfer.training.loop import train
from nlptransfer.training.seeding import seeded

PIVOTS = [[3, 4], [5]]


def test_pivots_of_a_sequence_become_unknown_words() -> None:
    documents = [np.array([2, 3, 6, 3]), np.array([5, 7, 8]), np.array([9, 2])]
    (batch,) = DocumentBatches(documents, np.array([0, 1, 0]), batch_size=3, max_length=9)
    assert batch.input_ids.tolist() == [[9, 2, 0, 0], [5, 7, 8, 0], [2, 3, 6, 3]]
    hidden = hide_pivots(batch, PIVOTS)
    assert hidden.input_ids.tolist() == [[9, 2, 0, 0], [UNKNOWN, 7, 8, 0], [2, UNKNOWN, 6, UNKNOWN]]
    assert torch.equal(hidden.mask, batch.mask)
    assert pivot_occurrences(batch, PIVOTS).tolist() == [[0, 0], [0, 1], [1, 0]]
    assert pivot_occurrences(hidden, PIVOTS).sum() == 0
    assert batch.input_ids[2].tolist() == [2, 3, 6, 3]  # the batch given is left alone


@pytest.mark.parametrize("form", ["sparse", "dense"])
def test_pivots_of_a_bag_of_words_weigh_nothing(form: str) -> None:
    rows = np.zeros((3, 8), dtype=np.float32)
    rows[0, [3, 6]], rows[1, [4, 5]], rows[2, [0, 7]] = 2.0, 1.0, 1.0
    (batch,) = FeatureBatches(rows if form == "dense" else sparse.csr_matrix(rows), None, batch_size=3)
    assert pivot_occurrences(batch, PIVOTS).tolist() == [[1, 0], [1, 1], [0, 0]]
    with seeded(0):
        network = BagOfWordsNetwork(8, 2, hidden_dim=4)
    without = rows.copy()
    without[:, [3, 4, 5]] = 0
    (expected,) = FeatureBatches(without, None, batch_size=3)
    torch.testing.assert_close(network(hide_pivots(batch, PIVOTS)).features, network(expected).features)


def test_padding_is_no_pivot_although_its_id_may_be_one() -> None:
    rows = np.zeros((2, 4), dtype=np.float32)
    rows[0, [1, 2]], rows[1, 3] = 1.0, 1.0
    (batch,) = FeatureBatches(sparse.csr_matrix(rows), None, batch_size=2)
    assert pivot_occurrences(batch, [[0]]).tolist() == [[0], [0]]


def test_the_loss_sums_the_tasks_and_averages_the_documents() -> None:
    features = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    occurrences = torch.tensor([[1, 0], [0, 0], [1, 1], [0, 1], [0, 0]])
    with seeded(0):
        tasks = PivotTasks(3, 2)
    chances = 1 / (1 + np.exp(-tasks(features).detach().numpy().astype(float)))
    total = 0.0
    for document in range(5):
        for task in range(2):
            chance = chances[document, task]
            total -= np.log(chance if occurrences[document, task] else 1 - chance)
    assert float(tasks.loss(features, occurrences)) == pytest.approx(total / 5, rel=1e-5)


def test_the_step_reads_both_domains_without_their_pivots() -> None:
    with seeded(0):
        network, tasks = BagOfWordsNetwork(8, 2, hidden_dim=4), PivotTasks(4, 2)
    random = np.random.default_rng(0)
    source, target = (random.integers(0, 2, (number, 8)).astype(np.float32) for number in (5, 3))
    batches = DomainBatches(
        FeatureBatches(source, np.array([0, 1, 1, 0, 1]), batch_size=5), FeatureBatches(target, None, batch_size=3)
    )
    batch = next(iter(batches))
    losses = make_pivot_step(tasks, PIVOTS, adaptation_weight=0.5)(network, batch, 0.0)
    both = np.concatenate([source, target])
    occurrences = torch.tensor(np.stack([both[:, [3, 4]].any(axis=1), both[:, 5] > 0], axis=1))
    both[:, [3, 4, 5]] = 0
    (hidden,) = FeatureBatches(both, None, batch_size=8)
    auxiliary = tasks.loss(network(hidden).features, occurrences)
    task = network.loss(network(batch.source), batch.source)
    assert float(losses["auxiliary"]) == pytest.approx(float(auxiliary), rel=1e-5)
    assert float(losses["loss"]) == pytest.approx(float(task) + 0.5 * float(auxiliary), rel=1e-5)


@pytest.mark.parametrize("pivots", [[[3]], [[3], []]])
def test_every_task_needs_pivots(pivots: Sequence[Sequence[int]]) -> None:
    with pytest.raises(ValueError, match="each of the 2 auxiliary tasks needs pivots"):
        make_pivot_step(PivotTasks(4, 2), pivots, adaptation_weight=1.0)


def make_reviews(number: int, own_words: int, random: np.random.Generator) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Bags of words: half hold one of the two pivots of their label (features 0-1 or 2-3); the rest of what they say
    is in words of their domain, six for each label from `own_words` on, one in five of the wrong label, and in words
    that say nothing, from 28 on."""
    labels = random.integers(0, 2, number)
    rows = np.zeros((number, 40), dtype=np.float32)
    for row, label in zip(rows, labels, strict=True):
        if random.random() < 0.5:
            row[2 * label + random.integers(0, 2)] = 1
        for _ in range(3):
            side = label if random.random() < 0.8 else 1 - label
            row[own_words + 6 * side + random.integers(0, 6)] = 1
            row[28 + random.integers(0, 12)] = 1
    return sparse.csr_matrix(rows), labels


def target_accuracy(weight: float, pivots: Sequence[Sequence[int]], seed: int) -> float:
    random = np.random.default_rng(seed)
    source, labels = make_reviews(400, 4, random)
    target, _ = make_reviews(500, 16, random)
    test, test_labels = make_reviews(400, 16, random)
    with seeded(seed):
        network, tasks = BagOfWordsNetwork(40, 2, hidden_dim=8, activation="tanh", dropout=0.3), PivotTasks(8, 2)
    whole = NetworkWithParts(network, tasks)
    train(
        whole,
        make_pivot_step(tasks, pivots, adaptation_weight=weight),
        DomainBatches(
            FeatureBatches(source, labels, batch_size=50, seed=seed),
            FeatureBatches(target, None, batch_size=50, seed=9),
        ),
        torch.optim.AdamW(whole.parameters(), 1e-2),
        epochs=20,
        seed=seed,
    )
    predicted = network.probabilities(FeatureBatches(test, None, batch_size=400)).argmax(axis=1)
    return float((predicted == test_labels).mean())


def test_words_that_only_the_target_has_are_learnt_from_the_pivots_beside_them() -> None:
    unadapted, adapted, misled = (
        np.mean([target_accuracy(weight, pivots, seed) for seed in range(2)])
        for weight, pivots in ((0.0, [[2, 3], [0, 1]]), (3.0, [[2, 3], [0, 1]]), (3.0, [[28, 29], [30, 31]]))
    )
    assert unadapted < 0.78
    assert adapted > unadapted + 0.12
    assert misled < unadapted + 0.05  # pivots that say nothing teach nothing
