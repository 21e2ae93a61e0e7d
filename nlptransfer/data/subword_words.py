"""Words to subwords and to batches of them: long sentences windowed between words, no word ever dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nlptransfer.data.batching import Window, WindowBatches
from nlptransfer.data.subword_texts import framing_ids
from nlptransfer.errors import InputError
from nlptransfer.types import NO_LABEL, Batch


@dataclass(frozen=True)
class SubwordSentences:
    """Sentences whose words are cut into subwords, each distinct word once.

    Attributes:
        starts: (sentences + 1,) where each sentence begins, in words; the last entry is the number of words.
        subword_starts: (words + 1,) where each word begins in `subwords`.
        subwords: (subwords,) ids, without the tokens that frame a text.
        labels: (words,) or None.
        prefix: ids that a text begins with, such as [CLS].
        suffix: ids that it ends with, such as [SEP].
        num_unknown: words that the tokenizer makes nothing of; they are read as its unknown token.
        num_cut: words of more subwords than `max_word_length`, of which the rest is not read.
    """

    starts: np.ndarray
    subword_starts: np.ndarray
    subwords: np.ndarray
    labels: np.ndarray | None
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    num_unknown: int
    num_cut: int

    def __len__(self) -> int:
        """The number of sentences."""
        return len(self.starts) - 1

    @property
    def num_words(self) -> int:
        """The number of words."""
        return len(self.subword_starts) - 1


def encode_words(
    tokenizer: Any,
    sentences: Sequence[Sequence[str]],
    *,
    labels: Sequence[Sequence[int]] | None = None,
    max_word_length: int = 32,
) -> SubwordSentences:
    """Cut words into subwords, as they are cut in the midst of a text.

    Args:
        tokenizer: a tokenizer of `transformers`.
        sentences: lists of words; empty ones are allowed.
        labels: one integer per word; None when there are none.
        max_word_length: subwords read of one word, at most.

    Returns:
        The sentences, in the order given. Every word has a subword at least.

    Raises:
        ValueError: a sentence has more or fewer labels than words.

    Example:
        >>> encoded = encode_words(tokenizer, [["The", "bank", "raised", "rates"]])
        >>> encoded.num_words
        4
    """
    flat_labels = None
    if labels is not None:
        for number, (sentence, own) in enumerate(zip(sentences, labels, strict=True)):
            if len(sentence) != len(own):
                raise ValueError(
                    f"sentence {number} has {len(sentence)} words and {len(own)} labels; expected one label per word"
                )
        flat_labels = np.fromiter((label for own in labels for label in own), dtype=np.int64)
    lengths = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))
    rows: dict[str, int] = {}
    word_rows = np.fromiter(
        (rows.setdefault(word, len(rows)) for sentence in sentences for word in sentence),
        dtype=np.int64,
        count=int(lengths.sum()),
    )
    pieces = _word_pieces(tokenizer, list(rows))
    unknown = np.array([not piece for piece in pieces], dtype=bool)
    too_long = np.array([len(piece) > max_word_length for piece in pieces], dtype=bool)
    kept = [np.asarray(piece[:max_word_length] or [tokenizer.unk_token_id or 0], dtype=np.int64) for piece in pieces]
    sizes = np.array([len(piece) for piece in kept], dtype=np.int64)
    prefix, suffix = framing_ids(tokenizer)
    return SubwordSentences(
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        subword_starts=np.concatenate([[0], np.cumsum(sizes[word_rows])]),
        subwords=np.concatenate([np.zeros(0, dtype=np.int64), *(kept[row] for row in word_rows.tolist())]),
        labels=flat_labels,
        prefix=tuple(prefix),
        suffix=tuple(suffix),
        num_unknown=int(unknown[word_rows].sum()),
        num_cut=int(too_long[word_rows].sum()),
    )


def window_sizes(tokenizer: Any, *, max_length: int, context: int = 16, word_length: int = 32) -> tuple[int, int]:
    """What there is room for in windows of few subwords.

    Args:
        tokenizer: a tokenizer of `transformers`.
        max_length: subwords read at once, those that frame the text included.
        context: subwords of context on either side of a window, where there is room.
        word_length: subwords read of one word, where there is room.

    Returns:
        The context, a quarter of the room at most, and the subwords read of one word, for `WordBatches` and
        `encode_words`.

    Raises:
        InputError: `max_length` leaves no room for a word.
    """
    num_framing = sum(map(len, framing_ids(tokenizer)))
    room = max_length - num_framing
    if room < 1:
        raise InputError(
            "max_length leaves no room for a word",
            expected=f"at least {num_framing + 1}, since the tokenizer adds {num_framing} special tokens",
            found=str(max_length),
        )
    context = min(context, room // 4)
    return context, min(word_length, room - 2 * context)


def _word_pieces(tokenizer: Any, words: list[str]) -> list[list[int]]:
    """The subword ids of each word as it stands in the midst of a text: where that matters, after a space."""
    if not words:
        return []

    def ids(texts: list[str]) -> list[list[int]]:
        encoded: list[list[int]] = tokenizer(
            texts, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False, verbose=False
        )["input_ids"]
        return encoded

    alone, twice, spaced = ids(["a", "a a", " a"])
    after_space = twice != [*alone, *alone] and twice == [*alone, *spaced]
    return ids([f" {word}" for word in words] if after_space else words)


class WordBatches(WindowBatches):
    """Batches of sentences as subwords that know their words; windows of about the same length together.

    A sentence of more than `max_length` subwords is read in windows of whole words. Each word counts in one window, and
    has there about `context` subwords on either side that count in another.

    Args:
        sentences: as `encode_words` gives them.
        batch_size: windows per batch.
        max_length: subwords read at once, those that frame the text included.
        context: subwords of context on either side of a window, about.
        seed: shuffles; None keeps the windows sorted by length, as for prediction.

    Attributes:
        windows: all windows, in words.

    Raises:
        ValueError: no room in a batch, or beside the context in a window for the longest word.

    Example:
        >>> batches = WordBatches(encode_words(tokenizer, sentences, labels=labels), batch_size=32, seed=0)
        >>> for batch in batches: ...
    """

    def __init__(
        self,
        sentences: SubwordSentences,
        *,
        batch_size: int,
        max_length: int = 256,
        context: int = 16,
        seed: int | None = None,
    ) -> None:
        self.sentences = sentences
        framing = len(sentences.prefix) + len(sentences.suffix)
        windows = _make_windows(sentences, room=max_length - framing, context=context)
        at = sentences.subword_starts
        lengths = np.array([at[window.end] - at[window.start] + framing for window in windows], dtype=np.int64)
        super().__init__(windows, lengths, batch_size=batch_size, seed=seed)

    def _assemble(self, group: np.ndarray) -> Batch:
        own = self.sentences
        windows = [self.windows[index] for index in group.tolist()]
        shape = (len(windows), int(self._lengths[group].max()))
        input_ids = np.zeros(shape, dtype=np.int64)
        words = np.full(shape, -1, dtype=np.int64)
        labels = None
        if own.labels is not None:
            labels = np.full((len(windows), max(window.end - window.start for window in windows)), NO_LABEL)
        at = len(own.prefix)
        for row, window in enumerate(windows):
            bounds = own.subword_starts[window.start : window.end + 1]
            end = at + int(bounds[-1] - bounds[0])
            input_ids[row, :at] = own.prefix
            input_ids[row, at:end] = own.subwords[bounds[0] : bounds[-1]]
            input_ids[row, end : end + len(own.suffix)] = own.suffix
            words[row, at:end] = np.repeat(np.arange(window.end - window.start), np.diff(bounds))
            if labels is not None and own.labels is not None:
                # Words of context carry no label: they count in their own window.
                labels[row, window.first - window.start : window.last - window.start] = own.labels[
                    window.first : window.last
                ]
        return Batch(
            input_ids=torch.from_numpy(input_ids),
            mask=torch.from_numpy(np.arange(shape[1]) < self._lengths[group][:, None]),
            labels=None if labels is None else torch.from_numpy(labels),
            words=torch.from_numpy(words),
        )


def _make_windows(sentences: SubwordSentences, *, room: int, context: int) -> list[Window]:
    """Windows of whole words of at most `room` subwords; each word counts in exactly one."""
    sizes = np.diff(sentences.subword_starts)
    longest = int(sizes.max(initial=1))
    if room < longest + 2 * context:
        raise ValueError(
            f"windows of {room} subwords leave no room for a word of {longest} between {context} subwords of context "
            f"on either side; max_length must be {longest + 2 * context - room} more"
        )
    at = sentences.subword_starts
    windows = []
    for start, end in zip(sentences.starts[:-1].tolist(), sentences.starts[1:].tolist(), strict=True):
        if start == end:
            continue
        if at[end] - at[start] <= room:
            windows.append(Window(start, end, start, end))
            continue
        first = start
        while first < end:
            # As many words before the first that counts as `context` holds, then as many as there is room for.
            begin = max(start, int(np.searchsorted(at, at[first] - context)))
            stop = min(end, int(np.searchsorted(at, at[begin] + room, side="right")) - 1)
            last = (
                end if stop == end else max(first + 1, int(np.searchsorted(at, at[stop] - context, side="right")) - 1)
            )
            windows.append(Window(begin, stop, first, last))
            first = last
    return windows
