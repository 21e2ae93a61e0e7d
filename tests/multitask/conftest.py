"""Two tagging tasks over one invented vocabulary, one with many labels and one with few, and small networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from nlptransfer.data.batching import Batches
from nlptransfer.data.vocabulary import Vocabulary
from nlptransfer.embeddings.embedding_layer import make_random_embedding
from nlptransfer.models.recurrent import RecurrentEncoder
from nlptransfer.models.word_features import WordFeatures
from nlptransfer.multitask.hard_sharing import HardSharing
from nlptransfer.multitask.tasks import Task
from nlptransfer.training.seeding import seeded
from nlptransfer.types import NO_LABEL, Batch

WORDS = [f"w{number}" for number in range(120)]
NUM_CLASSES = 4


class SharingLab:
    """Words have hidden classes. "many" tells them under its own names, "few" under others, with fewer sentences.

    A network of "few" alone can't know the words that its sentences lack; one that shares with "many" can, unless
    "many" is of classes that have nothing to do with them.
    """

    many = Task("many", "tagging", ("a", "b", "c", "d"))
    few = Task("few", "tagging", ("w", "x", "y", "z", "never"))

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.classes = random.permutation(np.arange(len(WORDS)) % NUM_CLASSES)
        self.unrelated = random.permutation(self.classes)

    def words(self, dim: int = 16) -> WordFeatures:
        vocabulary = Vocabulary(WORDS)
        return WordFeatures(vocabulary, make_random_embedding(vocabulary, dim))

    def layers(self, sizes: Sequence[int], hidden_dim: int = 8) -> list[torch.nn.Module]:
        return [RecurrentEncoder(size, hidden_dim, cell="gru") for size in sizes]

    def single(self, task: Task, *, seed: int = 0, num_layers: int = 1, **settings: Any) -> HardSharing:
        with seeded(seed):
            return HardSharing([task], self.words(), self.layers([16] * num_layers), **settings)

    def pair(self, *, num_layers: int = 1) -> dict[str, HardSharing]:
        """A network for each task."""
        return {
            "many": self.single(self.many, seed=0, num_layers=num_layers),
            "few": self.single(self.few, seed=1, num_layers=num_layers),
        }

    def sentences(self, number: int, seed: int) -> list[list[str]]:
        random = np.random.default_rng(seed)
        return [random.choice(WORDS, random.integers(3, 8)).tolist() for _ in range(number)]

    def labels(self, sentences: list[list[str]], *, unrelated: bool = False) -> list[list[int]]:
        classes = self.unrelated if unrelated else self.classes
        return [[int(classes[int(word[1:])]) for word in sentence] for sentence in sentences]

    def batches(self, number: int, seed: int, *, unrelated: bool = False) -> Batches:
        sentences = self.sentences(number, seed)
        encoded = self.words().encode(sentences, self.labels(sentences, unrelated=unrelated))
        return Batches(encoded, batch_size=16 if number > 16 else 4, seed=seed)

    def fit(
        self,
        network: Any,
        batches: Mapping[str, Batches],
        *,
        epochs: int = 8,
        extra: Callable[[Any, Batch, str, float], torch.Tensor] | None = None,
    ) -> Any:
        """Train by alternating batches of the tasks; `extra` makes losses beside the task's."""
        optimizer = torch.optim.Adam(network.parameters(), 0.02)
        network.train()
        with seeded(0):
            for epoch in range(epochs):
                for task in batches:
                    batches[task].set_epoch(epoch)
                rows = [(task, batch) for task in batches for batch in batches[task]]
                for at in np.random.default_rng(epoch).permutation(len(rows)):
                    task, batch = rows[at]
                    output = network(batch, task)
                    loss = network.loss(output, batch, task)
                    if extra is not None:
                        loss = loss + extra(output, batch, task, epoch / epochs)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
        return network.eval()

    def data(self, *, unrelated: bool = False) -> dict[str, Batches]:
        return {"many": self.batches(160, 1, unrelated=unrelated), "few": self.batches(12, 2)}

    @torch.no_grad()
    def score(self, network: Any, task: str = "few") -> float:
        """Accuracy on fresh sentences."""
        right = total = 0
        for batch in self.batches(100, 3):
            assert batch.labels is not None
            decoded = network.eval().decode(network(batch, task), batch, task)
            right += int(((decoded == batch.labels) & batch.mask).sum())
            total += int(batch.mask.sum())
        return right / total

    def batch(self, number: int = 3, seed: int = 5) -> Batch:
        return next(iter(self.batches(number, seed)))

    def unlabelled(self, batch: Batch) -> Batch:
        assert batch.labels is not None
        return Batch(batch.input_ids, batch.mask, labels=torch.full_like(batch.labels, NO_LABEL))


@pytest.fixture(scope="session")
def lab() -> SharingLab:
    return SharingLab()


@pytest.fixture(scope="session")
def score_alone(lab: SharingLab) -> float:
    """What a network of the task with few labels reaches by itself: the words that it saw, and guesses."""
    score = lab.score(lab.fit(lab.single(lab.few, seed=0), {"few": lab.data()["few"]}))
    assert score < 0.7, "the baseline fails"
    return score
