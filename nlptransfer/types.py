"""What flows between modules: batches in, logits and features out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace

import torch

NO_LABEL = -100
"""The label of a position that carries none. Losses and scores skip it."""


@dataclass(frozen=True)
class Batch:
    """Sentences or documents of one step, padded to the longest.

    Attributes:
        input_ids: (batch, time) integers, 0 on padding.
        mask: (batch, time), True on real tokens.
        labels: (batch,) or (batch, time) integers, or (batch,) floats where numbers are predicted; `NO_LABEL` where
            there is none; or None.
        weights: (batch,) one weight per item; or None.
        characters: (words, characters) character ids of the distinct words of the batch, 0 on padding; or None.
        character_rows: (batch, time) which row of `characters` spells the token; or None.
        unseen_vectors: (unseen words, dim) vectors of words that the model's vocabulary lacks: `input_ids` from the
            vocabulary's size on are rows of it; or None.
        values: (batch, time) what each feature of a bag of words weighs, `input_ids` being the features; or None.
        words: (batch, time) which word of the row each subword is of, -1 on padding and on the tokens that frame the
            text; `labels` are then (batch, words). None where tokens are words.
    """

    input_ids: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor | None = None
    weights: torch.Tensor | None = None
    characters: torch.Tensor | None = None
    character_rows: torch.Tensor | None = None
    unseen_vectors: torch.Tensor | None = None
    values: torch.Tensor | None = None
    words: torch.Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with every tensor on `device`."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        """The same batch with every tensor changed."""
        return replace(self, **{name: change(tensor) for name, tensor in self._tensors()})

    def part(self, index: int, count: int) -> Batch:
        """Every `count`-th item from `index` on; the whole batch where it has fewer items than `count`.

        Together the `count` parts hold each item once. The order of items within a batch is by length, so the parts
        are about equally long.
        """
        if count == 1 or len(self.input_ids) < count:
            return self
        return replace(
            self,
            **{
                name: tensor[index::count]
                for name, tensor in self._tensors()
                if name not in ("characters", "unseen_vectors")  # rows of these are words, not items
            },
        )

    def num_labels(self) -> int:
        """How many positions carry a label."""
        return 0 if self.labels is None else int((self.labels != NO_LABEL).sum())

    def _tensors(self) -> list[tuple[str, torch.Tensor]]:
        pairs = ((own.name, getattr(self, own.name)) for own in fields(self))
        return [(name, tensor) for name, tensor in pairs if tensor is not None]


@dataclass(frozen=True)
class DomainBatch:
    """Items of two domains that one step sees together.

    Attributes:
        source: a batch with labels.
        target: a batch of the other domain, without labels.
    """

    source: Batch
    target: Batch

    @property
    def input_ids(self) -> torch.Tensor:
        """Of the source: the loop counts items by it."""
        return self.source.input_ids

    def to(self, device: torch.device | str) -> DomainBatch:
        """The same batches with every tensor on `device`."""
        return DomainBatch(self.source.to(device), self.target.to(device))

    def part(self, index: int, count: int) -> DomainBatch:
        """Every `count`-th item of each from `index` on, as `Batch.part` does."""
        source = self.source.part(index, count)
        return self if source is self.source else DomainBatch(source, self.target.part(index, count))

    def num_labels(self) -> int:
        """How many positions of the source carry a label."""
        return self.source.num_labels()


@dataclass(frozen=True)
class TaskBatch:
    """What one step shows to each of several tasks.

    Attributes:
        batches: by task. Tasks that share their text hold the very same tensors, but for their labels: where
            ``one.input_ids is other.input_ids`` the text need be encoded only once.
        scales: by task, what to multiply its mean loss by where this is one process's part of a step, so that the
            mean over the processes is the whole step's; a task that is missing here has the factor 1. See `scaled`.
    """

    batches: Mapping[str, Batch]
    scales: Mapping[str, float] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> TaskBatch:
        """The same batches with every tensor on `device`; tensors that were shared still are."""
        moved: dict[int, torch.Tensor] = {}

        def move(tensor: torch.Tensor) -> torch.Tensor:
            if id(tensor) not in moved:
                moved[id(tensor)] = tensor.to(device, non_blocking=True)
            return moved[id(tensor)]

        return replace(self, batches={task: batch.map(move) for task, batch in self.batches.items()})

    def part(self, index: int, count: int) -> TaskBatch:
        """Every `count`-th item of each task from `index` on, as `Batch.part` does, with the scales that it needs."""
        if count == 1:
            return self
        taken: dict[int, torch.Tensor] = {}
        batches, scales = {}, {}
        for task, batch in self.batches.items():
            part = batch.part(index, count)
            if part is not batch:
                # Slicing makes new tensors: what was one tensor before must be one again.
                for name, tensor in batch._tensors():
                    own = getattr(part, name)
                    part = replace(part, **{name: taken.setdefault(id(tensor), own)})
                scales[task] = count * part.num_labels() / max(batch.num_labels(), 1)
            batches[task] = part
        return TaskBatch(batches, scales)

    def num_labels(self) -> int:
        """How many positions carry a label, of all tasks together."""
        return sum(batch.num_labels() for batch in self.batches.values())

    def scaled(self, losses: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The tasks' mean losses, each times its scale; 0 for a task without a label in this part."""
        return {
            task: loss * self.scales.get(task, 1.0) if self.scales.get(task, 1.0) > 0 else torch.zeros_like(loss)
            for task, loss in losses.items()
        }


@dataclass(frozen=True)
class ModelOutput:
    """What every model returns.

    Attributes:
        logits: (batch, labels) or (batch, time, labels).
        features: (batch, hidden) or (batch, time, hidden), what the head saw.
    """

    logits: torch.Tensor
    features: torch.Tensor
