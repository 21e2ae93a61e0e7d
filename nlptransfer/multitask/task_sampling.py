"""Which task when: batches of several tasks, one text a step or all of them, in shares that may change by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import torch

from nlptransfer.data.text_lines import group_shares
from nlptransfer.training.loop import EpochBatches
from nlptransfer.types import NO_LABEL, Batch, TaskBatch

Sampling = Literal["proportional", "square_root", "temperature", "annealed", "uniform", "round_robin"]

_FAR = 100_000  # more epochs than any training has: passes of one epoch have numbers of their own


def annealed_exponent(epoch: int, *, num_epochs: int) -> float:
    r"""The exponent of annealed sampling: from the sizes' own shares nearly to equal ones.

    .. math:: \alpha = 1 - 0.8 \, \frac{e - 1}{E - 1}

    Args:
        epoch: e - 1, from 0.
        num_epochs: E; with one epoch the exponent is 1.

    Returns:
        A number from 0.2 to 1.

    Reference:
        Stickland & Murray 2019, "annealed sampling", https://arxiv.org/abs/1902.02671.

    Example:
        >>> annealed_exponent(0, num_epochs=5), round(annealed_exponent(4, num_epochs=5), 3)
        (1.0, 0.2)
    """
    return 1.0 - 0.8 * epoch / max(num_epochs - 1, 1)


def task_shares(
    sizes: Mapping[str, int],
    sampling: Sampling,
    *,
    temperature: float | None = None,
    epoch: int = 0,
    num_epochs: int = 1,
) -> dict[str, float]:
    r"""The share of an epoch's steps that each task gets.

    .. math:: p_t = n_t^\alpha / \sum_u n_u^\alpha

    with :math:`\alpha = 1` for "proportional", 1/2 for "square_root", :math:`1/T` for "temperature", 0 for "uniform"
    and "round_robin", and `annealed_exponent` for "annealed".

    Args:
        sizes: n by task, in any unit.
        sampling: see above.
        temperature: T, 1 or more; for "temperature" only. In the paper 5, for 103 languages.
        epoch: from 0; for "annealed" only.
        num_epochs: of the whole training; for "annealed" only.

    Returns:
        p by task; they sum to 1.

    Raises:
        ValueError: an unknown sampling, a task without items, or a temperature that is missing, below 1, or not asked
            for.

    Reference:
        Arivazhagan et al. 2019, temperature-based sampling, https://arxiv.org/abs/1907.05019.

    Example:
        >>> task_shares({"pos": 900, "ner": 100}, "square_root")
        {'pos': 0.75, 'ner': 0.25}
    """
    if sampling not in get_args(Sampling):
        raise ValueError(f"sampling must be one of {', '.join(get_args(Sampling))}; found {sampling!r}")
    if (temperature is not None) != (sampling == "temperature"):
        raise ValueError(f"a temperature belongs to the sampling 'temperature', found {temperature} and {sampling!r}")
    if temperature is not None and temperature < 1:
        raise ValueError(f"the temperature must be 1 or more, found {temperature}")
    exponent = {
        "proportional": 1.0,
        "square_root": 0.5,
        "temperature": 1.0 / (temperature or 1.0),
        "annealed": annealed_exponent(epoch, num_epochs=num_epochs),
        "uniform": 0.0,
        "round_robin": 0.0,
    }[sampling]
    return group_shares(sizes, exponent=exponent)


class TaskBatches:
    """Batches of one text with the labels of one or more tasks, read once for all of them.

    Args:
        batches: of a text; where a label stands in them it is a position in the columns, as `SharedTexts.positions`
            gives it. `Batches`, `WordBatches`, `DocumentBatches` and `FeatureBatches` are such batches.
        columns: by task, the labels; see `SharedTexts.columns`.

    Attributes:
        tasks: their names.

    Example:
        >>> (shared,) = share_texts([pos, chunk])
        >>> encoded = network.encode(shared.texts, shared.positions())
        >>> batches = TaskBatches(Batches(encoded, batch_size=32, seed=0), shared.columns())
        >>> train(network, make_task_step(), batches, optimizer, epochs=10, seed=0)
    """

    def __init__(self, batches: EpochBatches, columns: Mapping[str, np.ndarray]) -> None:
        self.batches = batches
        self.tasks = list(columns)
        self._columns = {task: torch.from_numpy(np.ascontiguousarray(column)) for task, column in columns.items()}

    def set_epoch(self, epoch: int) -> None:
        """Order the batches for `epoch`."""
        self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        """The number of batches."""
        return len(self.batches)

    def __iter__(self) -> Iterator[TaskBatch]:
        for batch in self.batches:
            assert isinstance(batch, Batch) and batch.labels is not None, "the batches hold no positions"
            positions = batch.labels
            missing = positions == NO_LABEL
            labels = {
                task: column[positions.masked_fill(missing, 0)].masked_fill(missing, NO_LABEL)
                for task, column in self._columns.items()
            }
            yield TaskBatch({task: replace(batch, labels=own) for task, own in labels.items()})


class AlternatingBatches:
    """One text a step, in shares that its size decides.

    An epoch is as long as all texts together, and what comes in it depends on the seed and the epoch alone. The number
    of steps of each text is its share, rounded, and at least 1; their order is random, but for "round_robin", which
    keeps to the order given. A text that gets more steps than it has batches starts over, reshuffled; one that gets
    fewer shows another part of itself each epoch. Proportional sampling therefore goes once through every text, with
    the very batches that training on this text alone would see.

    Ours: the papers draw a task at each step; with rounded counts two seeds differ in the order alone.

    Args:
        texts: by any name, batches of a text with one or more tasks.
        sampling: see `task_shares`; sizes are counted in batches.
        seed: of the order.
        temperature: see `task_shares`.
        num_epochs: of the whole training; for "annealed" only.
        steps_per_epoch: None is as many as all texts have batches.

    Raises:
        ValueError: fewer steps than texts, or what `task_shares` refuses.

    Compare with:
        `MixedBatches`, which shows every text at every step.

    Example:
        >>> batches = AlternatingBatches({"wsj": wsj, "tweets": tweets}, sampling="square_root", seed=0)
    """

    def __init__(
        self,
        texts: Mapping[str, TaskBatches],
        *,
        sampling: Sampling,
        seed: int,
        temperature: float | None = None,
        num_epochs: int | None = None,
        steps_per_epoch: int | None = None,
    ) -> None:
        if sampling == "annealed" and num_epochs is None:
            raise ValueError("annealed sampling needs the number of epochs")
        self.texts = dict(texts)
        self.sampling = sampling
        self.seed = seed
        self.temperature = temperature
        self.num_epochs = num_epochs or 1
        self.steps_per_epoch = steps_per_epoch or sum(map(len, self.texts.values()))
        if self.steps_per_epoch < len(self.texts):
            raise ValueError(f"{self.steps_per_epoch} steps are fewer than the {len(self.texts)} texts")
        self._epoch = 0
        self.counts()  # refuses wrong settings now

    def set_epoch(self, epoch: int) -> None:
        """Choose the order, and the batches of each text, for `epoch`."""
        self._epoch = epoch

    def counts(self) -> dict[str, int]:
        """The number of steps that each text gets in this epoch."""
        shares = task_shares(
            {name: len(batches) for name, batches in self.texts.items()},
            self.sampling,
            temperature=self.temperature,
            epoch=min(self._epoch, self.num_epochs - 1),
            num_epochs=self.num_epochs,
        )
        return _rounded(shares, self.steps_per_epoch)

    def __len__(self) -> int:
        """The number of steps of an epoch."""
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[TaskBatch]:
        counts = self.counts()
        if self.sampling == "round_robin":
            order = sorted((turn, place) for place, count in enumerate(counts.values()) for turn in range(count))
            names = [list(counts)[place] for _, place in order]
        else:
            names = np.repeat(list(counts), list(counts.values())).tolist()
            np.random.default_rng((self.seed, self._epoch)).shuffle(names)
        streams = {name: _stream(batches, self._epoch) for name, batches in self.texts.items()}
        for name in names:
            yield next(streams[name])


class MixedBatches:
    """Each step shows a batch of every text, so that all tasks have a gradient at every step.

    An epoch is as long as the text with most batches; the others start over, reshuffled, when they are used up.

    Args:
        texts: batches of a text with one or more tasks each; no task in two of them.

    Raises:
        ValueError: there is no text, one has no batch, or a task is in two texts.

    Compare with:
        `AlternatingBatches`: steps of one text cost less, and shares can be chosen; gradient balancing and conflict
        need all tasks at once.

    Example:
        >>> batches = MixedBatches([wsj, tweets])
    """

    def __init__(self, texts: Sequence[TaskBatches]) -> None:
        self.texts = list(texts)
        names = [task for batches in self.texts for task in batches.tasks]
        if not names or not all(map(len, self.texts)):
            raise ValueError("mixed batches need texts that have a batch at least")
        if len(set(names)) < len(names):
            raise ValueError(f"a task has one text, found the tasks {', '.join(names)}")
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Order the batches of each text for `epoch`."""
        self._epoch = epoch

    def __len__(self) -> int:
        """The number of batches of the longest text."""
        return max(map(len, self.texts))

    def __iter__(self) -> Iterator[TaskBatch]:
        streams = [_stream(batches, self._epoch) for batches in self.texts]
        for _ in range(len(self)):
            parts = [next(stream) for stream in streams]
            yield TaskBatch({task: batch for part in parts for task, batch in part.batches.items()})


def _stream(batches: TaskBatches, epoch: int) -> Iterator[TaskBatch]:
    """The batches of an epoch, then those of further passes: which ones depends on the epoch alone."""
    number = 0
    while True:
        batches.set_epoch(epoch + number * _FAR)
        yield from batches
        number += 1


def _rounded(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers with the sum `total`, nearest to the shares of it, and none below 1."""
    exact = {name: share * total for name, share in shares.items()}
    counts = {name: max(1, int(own + 1e-9)) for name, own in exact.items()}
    while (rest := total - sum(counts.values())) != 0:
        # The one that is furthest from its share; the first of several equals.
        change = 1 if rest > 0 else -1
        free = [name for name in counts if change > 0 or counts[name] > 1]
        name = max(free, key=lambda own: change * (exact[own] - counts[own]))
        counts[name] += change
    return counts
