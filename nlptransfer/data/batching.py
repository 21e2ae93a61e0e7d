"""Sentences to batches: encoded once, bucketed by length, long sentences windowed, no word ever dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nlptransfer.data.vocabulary import UNKNOWN, Vocabulary, spell
from nlptransfer.types import NO_LABEL, Batch


@dataclass(frozen=True)
class EncodedSentences:
    """Sentences as integers, their words looked up and spelled once per distinct word.

    Attributes:
        word_rows: (tokens,) which row of `word_ids` and `characters` each token is.
        starts: (sentences + 1,) where each sentence begins in `word_rows`; the last entry is the number of tokens.
        word_ids: (distinct words,) the vocabulary's id of each distinct word; from the vocabulary's size on, a row of
            `unseen_vectors`.
        characters: (distinct words, characters) their spelling; or None.
        labels: (tokens,) or None.
        vocabulary_size: ids in the vocabulary.
        unseen_vectors: (unseen words, dim) the vectors of words that the vocabulary lacks; or None.
    """

    word_rows: np.ndarray
    starts: np.ndarray
    word_ids: np.ndarray
    characters: np.ndarray | None
    labels: np.ndarray | None
    vocabulary_size: int
    unseen_vectors: np.ndarray | None

    def __len__(self) -> int:
        """The number of sentences."""
        return len(self.starts) - 1


def encode_sentences(
    sentences: Sequence[Sequence[str]],
    vocabulary: Vocabulary,
    *,
    characters: Vocabulary | None = None,
    labels: Sequence[Sequence[int]] | None = None,
    find_vectors: Callable[[list[str]], tuple[np.ndarray, np.ndarray]] | None = None,
) -> EncodedSentences:
    """Look up each distinct word once, and spell it once.

    Args:
        sentences: lists of words.
        vocabulary: of words.
        characters: of characters; None when the model reads none.
        labels: one integer per word; None when there are none.
        find_vectors: words that the vocabulary lacks -> their vectors (N, dim) and which of them were found (N,).

    Returns:
        The encoded sentences, in the order given.

    Raises:
        ValueError: a sentence has more or fewer labels than words.
    """
    rows: dict[str, int] = {}
    lengths = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))
    word_rows = np.fromiter(
        (rows.setdefault(word, len(rows)) for sentence in sentences for word in sentence),
        dtype=np.int64,
        count=int(lengths.sum()),
    )
    flat_labels = None
    if labels is not None:
        for number, (sentence, sentence_labels) in enumerate(zip(sentences, labels, strict=True)):
            if len(sentence) != len(sentence_labels):
                raise ValueError(
                    f"sentence {number} has {len(sentence)} words and {len(sentence_labels)} labels; "
                    "expected one label per word"
                )
        flat_labels = np.fromiter((label for sentence in labels for label in sentence), dtype=np.int64)
    words = list(rows)
    word_ids = vocabulary.ids(words)
    unseen_vectors = None
    if find_vectors is not None:
        unseen = np.flatnonzero(word_ids == UNKNOWN)
        vectors, found = find_vectors([words[index] for index in unseen.tolist()])
        unseen_vectors = vectors[found]
        word_ids[unseen[found]] = len(vocabulary) + np.arange(len(unseen_vectors))
    return EncodedSentences(
        word_rows=word_rows,
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        word_ids=word_ids,
        characters=None if characters is None else spell(words, characters),
        labels=flat_labels,
        vocabulary_size=len(vocabulary),
        unseen_vectors=unseen_vectors,
    )


@dataclass(frozen=True)
class Window:
    """A stretch of tokens that the model reads at once, and the part of it that counts.

    Attributes:
        start, end: the tokens read, as positions in `EncodedSentences.word_rows`.
        first, last: the tokens of which the window gives the result: ``start <= first < last <= end``.
    """

    start: int
    end: int
    first: int
    last: int


def make_windows(starts: np.ndarray, *, max_length: int, context: int) -> list[Window]:
    """Cut long sentences into windows so that each token counts exactly once.

    A sentence of at most `max_length` tokens is one window. A longer one is cut into stretches, each read with up to
    `context` tokens on either side, which don't count there but in their own window.

    Args:
        starts: (sentences + 1,) as in `EncodedSentences`.
        max_length: tokens read at once, context included.
        context: tokens of context on either side.

    Returns:
        The windows in the order of their tokens. Empty sentences have none.

    Raises:
        ValueError: `max_length` leaves no room beside the context.
    """
    stride = max_length - 2 * context
    if stride < 1:
        raise ValueError(
            f"windows of {max_length} tokens leave no room between {context} tokens of context on either side; "
            f"max_length must be at least {2 * context + 1}"
        )
    windows = []
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if start == end:
            continue
        if end - start <= max_length:
            windows.append(Window(start, end, start, end))
            continue
        for first in range(start, end, stride):
            last = min(first + stride, end)
            windows.append(Window(max(start, first - context), min(end, last + context), first, last))
    return windows


def length_groups(lengths: np.ndarray, *, batch_size: int, seed: int | None, epoch: int) -> list[np.ndarray]:
    """Group items of about the same length.

    Args:
        lengths: (N,) of the items.
        batch_size: items per group.
        seed: shuffles, together with the epoch; None keeps the items sorted by length, as for prediction.
        epoch: from 0.

    Returns:
        The numbers of each group's items. Each item is in one group.
    """
    if seed is None:
        order = np.argsort(lengths, kind="stable")
        return [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
    random = np.random.default_rng((seed, epoch))
    # A little noise on the length lets items of near lengths meet in other batches each epoch, at the price of a per
    # cent or two of padding. Large batches mix enough by themselves.
    noise = 0.03 * min(1.0, 32 / batch_size)
    order = np.argsort(lengths * random.uniform(1 - noise, 1 + noise, len(lengths)), kind="stable")
    groups = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
    random.shuffle(groups)
    return groups


class WindowBatches:
    """Batches of windows of about the same length, however their tensors are made; see `Batches` and `WordBatches`.

    Args:
        windows: what each row of a batch reads.
        lengths: (windows,) positions that each takes.
        batch_size: windows per batch.
        seed: shuffles; None keeps the windows sorted by length.

    Raises:
        ValueError: no room in a batch.
    """

    def __init__(self, windows: list[Window], lengths: np.ndarray, *, batch_size: int, seed: int | None) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, found {batch_size}")
        self.windows = windows
        self.batch_size = batch_size
        self.seed = seed
        self._lengths = lengths
        self._groups: list[np.ndarray] = []
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Group and order the windows for `epoch`."""
        self._groups = length_groups(self._lengths, batch_size=self.batch_size, seed=self.seed, epoch=epoch)

    @property
    def padding(self) -> float:
        """The share of padding among all positions of this epoch's batches, 0 to 1."""
        positions = sum(len(group) * int(self._lengths[group].max()) for group in self._groups)
        return 1.0 - float(self._lengths.sum()) / positions if positions else 0.0

    def __len__(self) -> int:
        """The number of batches."""
        return len(self._groups)

    def __iter__(self) -> Iterator[Batch]:
        for group in self._groups:
            yield self._assemble(group)

    def groups(self) -> Iterator[tuple[list[Window], Batch]]:
        """Each batch with the windows that it holds, row by row."""
        for group in self._groups:
            yield [self.windows[index] for index in group.tolist()], self._assemble(group)

    def _assemble(self, group: np.ndarray) -> Batch:
        """The tensors of the windows with these numbers."""
        raise NotImplementedError


class Batches(WindowBatches):
    """Batches of windows of about the same length; a sequence that can be gone through again and again.

    Shuffled batches depend on the seed and the epoch alone, so that a resumed run sees the batches that the
    undisturbed one would have seen.

    Args:
        sentences: the encoded sentences.
        batch_size: windows per batch.
        max_length: tokens read at once; longer sentences are cut into windows.
        context: tokens of context on either side of a window that does not hold the whole sentence.
        seed: shuffles; None keeps the windows sorted by length, as for prediction.

    Attributes:
        windows: all windows.
        padding: the share of padding among all positions of the epoch's batches, 0 to 1.

    Example:
        >>> batches = Batches(encode_sentences(sentences, vocabulary), batch_size=32, seed=0)
        >>> for epoch in range(10):
        ...     batches.set_epoch(epoch)
        ...     for batch in batches: ...
    """

    def __init__(
        self,
        sentences: EncodedSentences,
        *,
        batch_size: int,
        max_length: int = 256,
        context: int = 0,
        seed: int | None = None,
    ) -> None:
        self.sentences = sentences
        windows = make_windows(sentences.starts, max_length=max_length, context=context)
        lengths = np.array([window.end - window.start for window in windows], dtype=np.int64)
        super().__init__(windows, lengths, batch_size=batch_size, seed=seed)

    def _assemble(self, group: np.ndarray) -> Batch:
        windows = [self.windows[index] for index in group.tolist()]
        lengths = self._lengths[group]
        mask = np.arange(int(lengths.max())) < lengths[:, None]  # (batch, time)
        tokens = np.concatenate([np.arange(window.start, window.end) for window in windows])
        distinct, positions = np.unique(self.sentences.word_rows[tokens], return_inverse=True)
        word_ids = self.sentences.word_ids[distinct]
        unseen_vectors = None
        unseen = np.flatnonzero(word_ids >= self.sentences.vocabulary_size)
        if self.sentences.unseen_vectors is not None and len(unseen):
            # Only this batch's unseen words travel with it, numbered anew.
            unseen_vectors = self.sentences.unseen_vectors[word_ids[unseen] - self.sentences.vocabulary_size]
            word_ids[unseen] = self.sentences.vocabulary_size + np.arange(len(unseen))
        input_ids = np.zeros(mask.shape, dtype=np.int64)
        input_ids[mask] = word_ids[positions]
        labels = characters = character_rows = None
        if self.sentences.labels is not None:
            labels = np.full(mask.shape, NO_LABEL, dtype=np.int64)
            counts = np.concatenate(
                [np.arange(window.start, window.end) - window.first for window in windows]
            )  # tokens of context carry no label: they count in their own window
            sizes = np.repeat([window.last - window.first for window in windows], lengths)
            labels[mask] = np.where((counts >= 0) & (counts < sizes), self.sentences.labels[tokens], NO_LABEL)
        if self.sentences.characters is not None:
            characters = self.sentences.characters[distinct]
            characters = characters[:, : int((characters != 0).sum(axis=1).max())]
            character_rows = np.zeros(mask.shape, dtype=np.int64)
            character_rows[mask] = positions
        return Batch(
            input_ids=torch.from_numpy(input_ids),
            mask=torch.from_numpy(mask),
            labels=None if labels is None else torch.from_numpy(labels),
            characters=None if characters is None else torch.from_numpy(characters),
            character_rows=None if character_rows is None else torch.from_numpy(character_rows),
            unseen_vectors=None if unseen_vectors is None else torch.from_numpy(unseen_vectors),
        )
