"""Every word counts exactly once, in every epoch, with little padding."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch

from nlptransfer.data.batching import Batches, EncodedSentences, encode_sentences, make_windows
from nlptransfer.data.vocabulary import BOUNDARIES, PADDING, UNKNOWN, Vocabulary, spell
from nlptransfer.types import NO_LABEL, Batch


def encode_lengths(lengths: list[int]) -> EncodedSentences:
    """Sentences of distinct words whose label is their position, so that each token can be told apart."""
    words = [f"w{number}" for number in range(sum(lengths))]
    starts = np.cumsum([0, *lengths]).tolist()
    sentences = [words[start:end] for start, end in pairwise(starts)]
    labels = [list(range(start, end)) for start, end in pairwise(starts)]
    return encode_sentences(sentences, Vocabulary(words), labels=labels)


def batch_facts(batch: Batch) -> tuple[list[list[int]], list[list[int]]]:
    assert batch.labels is not None
    return batch.input_ids.tolist(), batch.labels.tolist()


# Windows


@pytest.mark.parametrize(("max_length", "context"), [(1, 0), (4, 0), (4, 1), (5, 2), (10, 3), (256, 16)])
def test_each_token_counts_in_exactly_one_window(max_length: int, context: int) -> None:
    random = np.random.default_rng(0)
    stride = max_length - 2 * context
    lengths = [0, 1, stride, stride + 1, max_length - 1, max_length, max_length + 1, 2 * max_length, 3 * stride, 0]
    lengths += random.integers(0, 4 * max_length, 30).tolist()
    starts = np.cumsum([0, *lengths])
    windows = make_windows(starts, max_length=max_length, context=context)
    counted = [position for window in windows for position in range(window.first, window.last)]
    assert counted == list(range(int(starts[-1])))
    for window in windows:
        sentence = np.searchsorted(starts, window.first, side="right") - 1
        begin, end = starts[sentence], starts[sentence + 1]
        assert begin <= window.start <= window.first < window.last <= window.end <= end, "a window leaves its sentence"
        assert window.end - window.start <= max_length
        if end - begin <= max_length:
            assert (window.start, window.end) == (begin, end), "a short sentence is read whole"
        else:
            assert window.first - window.start == min(context, window.first - begin)
            assert window.end - window.last == min(context, end - window.last)


def test_a_long_sentence_is_cut_like_this() -> None:
    windows = make_windows(np.array([0, 3, 12]), max_length=6, context=1)
    facts = [(window.start, window.end, window.first, window.last) for window in windows]
    assert facts == [(0, 3, 0, 3), (3, 8, 3, 7), (6, 12, 7, 11), (10, 12, 11, 12)]


def test_windows_without_room_beside_their_context_are_refused() -> None:
    with pytest.raises(ValueError, match="max_length must be at least 33"):
        make_windows(np.array([0, 5]), max_length=32, context=16)


# Encoding


def test_words_are_looked_up_and_spelled() -> None:
    vocabulary, characters = Vocabulary(["the", "bank"]), Vocabulary([*BOUNDARIES, *"abehknt"])
    sentences = [["the", "river", "bank"], [], ["the"]]
    encoded = encode_sentences(sentences, vocabulary, characters=characters, labels=[[5, 6, 7], [], [8]])
    assert encoded.word_ids[encoded.word_rows].tolist() == [2, UNKNOWN, 3, 2]
    assert encoded.starts.tolist() == [0, 3, 3, 4] and len(encoded) == 3
    assert encoded.labels is not None and encoded.labels.tolist() == [5, 6, 7, 8]
    assert encoded.characters is not None
    np.testing.assert_array_equal(
        encoded.characters[encoded.word_rows], spell(["the", "river", "bank", "the"], characters)
    )
    assert len(encoded.word_ids) == 3, "each distinct word once"


@pytest.mark.parametrize("sentences", [[], [[]], [[], []]])
def test_nothing_to_encode_makes_no_batches(sentences: list[list[str]]) -> None:
    characters = Vocabulary([*BOUNDARIES, "a"])
    encoded = encode_sentences(
        sentences,
        Vocabulary(["a"]),
        characters=characters,
        labels=[[] for _ in sentences],
        find_vectors=lambda words: (np.zeros((0, 3), dtype=np.float32), np.zeros(0, dtype=bool)),
    )
    for seed in (None, 0):
        batches = Batches(encoded, batch_size=4, seed=seed)
        assert len(batches) == 0 and list(batches) == [] and batches.padding == 0.0


def test_a_missing_label_is_an_error_that_names_the_sentence() -> None:
    vocabulary = Vocabulary(["a"])
    with pytest.raises(ValueError, match="sentence 1 has 2 words and 1 labels"):
        encode_sentences([["a"], ["a", "a"]], vocabulary, labels=[[0], [0]])
    with pytest.raises(ValueError):
        encode_sentences([["a"], ["a"]], vocabulary, labels=[[0]])


def find_even(words: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Words such as "u4" have a vector that says their number, unless it is odd."""
    numbers = np.array([int(word[1:]) for word in words])
    return np.stack([numbers, -numbers], axis=1).astype(np.float32).reshape(-1, 2), numbers % 2 == 0


def test_words_that_only_the_vectors_hold_are_numbered_after_the_vocabulary() -> None:
    encoded = encode_sentences([["u4", "a", "u3", "u8"]], Vocabulary(["a"]), find_vectors=find_even)
    assert encoded.vocabulary_size == 3
    assert encoded.word_ids[encoded.word_rows].tolist() == [3, 2, UNKNOWN, 4]
    assert encoded.unseen_vectors is not None and encoded.unseen_vectors.tolist() == [[4, -4], [8, -8]]


@pytest.mark.parametrize("seed", [None, 0])
def test_each_batch_carries_its_own_unseen_vectors_rightly_numbered(seed: int | None) -> None:
    random = np.random.default_rng(0)
    sentences = [[f"u{number}" for number in random.integers(0, 60, random.integers(1, 9))] for _ in range(50)]
    known = [f"u{number}" for number in range(10)]
    encoded = encode_sentences(sentences, Vocabulary(known), find_vectors=find_even)
    before = encoded.word_ids.copy()
    batches = Batches(encoded, batch_size=4, seed=seed)
    words = [word for sentence in sentences for word in sentence]
    for _ in range(2):  # the second time sees what the first may have altered
        for windows, batch in batches.groups():
            used = set()
            for row, window in enumerate(windows):
                for column, position in enumerate(range(window.start, window.end)):
                    number, found = int(words[position][1:]), int(batch.input_ids[row, column])
                    if number < 10:
                        assert found == number + 2
                    elif number % 2:
                        assert found == UNKNOWN
                    else:
                        assert batch.unseen_vectors is not None
                        assert batch.unseen_vectors[found - 12].tolist() == [number, -number]
                        used.add(found - 12)
            assert used == set(range(0 if batch.unseen_vectors is None else len(batch.unseen_vectors)))
    assert (encoded.word_ids == before).all()


# Batches


def check_batches(encoded: EncodedSentences, batches: Batches, total: int) -> None:
    seen: Counter[int] = Counter()
    for batch in batches:
        ids, labels = batch_facts(batch)
        for row, row_labels, row_mask in zip(ids, labels, batch.mask.tolist(), strict=True):
            length = sum(row_mask)
            assert row_mask == [True] * length + [False] * (len(row) - length), "real tokens come first"
            for word, label, real in zip(row, row_labels, row_mask, strict=True):
                if not real:
                    assert word == PADDING and label == NO_LABEL
                elif label != NO_LABEL:
                    assert word == label + 2, "a label stands on another word"
                    seen[label] += 1
            reading = [word for word, real in zip(row, row_mask, strict=True) if real]
            assert reading == list(range(reading[0], reading[0] + length)), "words out of order"
        assert batch.mask[:, -1].any(), "a column of nothing but padding"
    assert seen == Counter(range(total)), "a word counts twice or never"


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize(("max_length", "context"), [(256, 0), (7, 0), (7, 2), (1, 0)])
@pytest.mark.parametrize("batch_size", [1, 4, 1000])
def test_every_token_counts_exactly_once_in_every_epoch(
    seed: int | None, max_length: int, context: int, batch_size: int
) -> None:
    lengths = [0, 1, 7, 8, 14, 15, 0, *np.random.default_rng(1).integers(0, 30, 40).tolist()]
    encoded = encode_lengths(lengths)
    batches = Batches(encoded, batch_size=batch_size, max_length=max_length, context=context, seed=seed)
    for epoch in (0, 1, 5):
        batches.set_epoch(epoch)
        check_batches(encoded, batches, sum(lengths))
        assert max(len(batch.input_ids) for batch in batches) <= batch_size
        assert len(list(batches)) == len(batches) == -(-len(batches.windows) // batch_size)


def test_tokens_of_context_are_read_but_carry_no_label() -> None:
    encoded = encode_lengths([9])
    (batch,) = Batches(encoded, batch_size=8, max_length=6, context=1)
    ids, labels = batch_facts(batch)
    none = NO_LABEL
    assert sorted(zip(ids, labels, strict=True)) == sorted(
        [
            ([2, 3, 4, 5, 6, 0], [0, 1, 2, 3, none, none]),
            ([5, 6, 7, 8, 9, 10], [none, 4, 5, 6, 7, none]),
            ([9, 10, 0, 0, 0, 0], [none, 8, none, none, none, none]),
        ]
    )


def epoch_order(batches: Batches, epoch: int) -> list[list[list[int]]]:
    batches.set_epoch(epoch)
    return [batch.input_ids.tolist() for batch in batches]


def test_an_epochs_order_depends_on_seed_and_epoch_alone() -> None:
    encoded = encode_lengths(np.random.default_rng(0).integers(1, 20, 60).tolist())
    straight = Batches(encoded, batch_size=4, seed=1)
    orders = [epoch_order(straight, epoch) for epoch in range(4)]
    resumed = Batches(encoded, batch_size=4, seed=1)
    np.random.seed(0)  # nor on the global generators
    torch.manual_seed(0)
    assert epoch_order(resumed, 3) == orders[3]
    assert epoch_order(resumed, 0) == orders[0]
    assert all(orders[first] != orders[second] for first in range(4) for second in range(first))
    assert epoch_order(Batches(encoded, batch_size=4, seed=2), 0) != orders[0]


def test_other_sentences_meet_in_other_epochs() -> None:
    encoded = encode_lengths(np.random.default_rng(0).integers(5, 9, 200).tolist())
    batches = Batches(encoded, batch_size=10, seed=0)
    groups = [{frozenset(row[0] for row in rows) for rows in epoch_order(batches, epoch)} for epoch in range(2)]
    assert len(groups[0] & groups[1]) < 5


def test_short_and_long_batches_come_in_no_order() -> None:
    """Sorted batches would end each epoch on the longest sentences."""
    batches = Batches(encode_lengths(list(range(1, 61))), batch_size=4, seed=0)
    widths = [batch.mask.shape[1] for batch in batches]
    assert abs(np.corrcoef(widths, np.arange(len(widths)))[0, 1]) < 0.7


def test_without_a_seed_the_windows_come_by_length_in_every_epoch() -> None:
    batches = Batches(encode_lengths([5, 2, 9, 2, 1]), batch_size=2)
    first = epoch_order(batches, 0)
    assert epoch_order(batches, 1) == first
    assert [[len(row) for row in rows] for rows in first] == [[2, 2], [5, 5], [9]]
    assert first[0][0] == [18 + 2, PADDING] and first[0][1] == [7, 8]


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_padding_is_under_five_per_cent_on_lengths_like_those_of_a_corpus(seed: int | None) -> None:
    random = np.random.default_rng(4)
    lengths = np.clip(random.lognormal(3.0, 0.55, 2800).round(), 1, 250).astype(int).tolist()
    batches = Batches(encode_lengths(lengths), batch_size=32, seed=seed)
    for epoch in range(3):
        batches.set_epoch(epoch)
        positions = sum(batch.mask.numel() for batch in batches)
        real = sum(int(batch.mask.sum()) for batch in batches)
        assert real == sum(lengths)
        assert batches.padding == pytest.approx(1 - real / positions, abs=1e-12)
        assert batches.padding < 0.05
    unsorted = sum(max(lengths[at : at + 32]) * len(lengths[at : at + 32]) for at in range(0, 2800, 32))
    assert 1 - real / unsorted > 0.3, "control: as they come, the batches would be a third padding"


@pytest.mark.parametrize("seed", [None, 0])
def test_each_token_points_at_its_own_spelling(seed: int | None) -> None:
    random = np.random.default_rng(0)
    alphabet = [*"abcdefg", "é", "😀"]
    words = ["".join(random.choice(alphabet, random.integers(1, 12))) for _ in range(40)]
    sentences = [random.choice(words, random.integers(1, 12)).tolist() for _ in range(30)]
    characters = Vocabulary([*BOUNDARIES, *alphabet])
    encoded = encode_sentences(sentences, Vocabulary(words[:5]) if len(set(words[:5])) == 5 else Vocabulary([]),
                               characters=characters)  # fmt: skip
    flat = [word for sentence in sentences for word in sentence]
    for windows, batch in Batches(encoded, batch_size=4, seed=seed).groups():
        assert batch.characters is not None and batch.character_rows is not None
        assert (batch.characters != 0).any(dim=0).all(), "a column of nothing but padding"
        assert len(batch.characters) == len({word for w in windows for word in flat[w.start : w.end]})
        for row, window in enumerate(windows):
            read = batch.characters[batch.character_rows[row, : window.end - window.start]]
            expected = spell(flat[window.start : window.end], characters)
            np.testing.assert_array_equal(read[:, : expected.shape[1]], expected)
            assert (read[:, expected.shape[1] :] == 0).all()


def test_the_parts_of_a_batch_hold_each_window_once() -> None:
    encoded = encode_lengths(np.random.default_rng(0).integers(1, 20, 33).tolist())
    for batch in Batches(encoded, batch_size=8, seed=0):
        count = min(3, len(batch.input_ids))
        rows = [row for index in range(count) for row in batch.part(index, count).input_ids.tolist()]
        assert sorted(rows) == sorted(batch.input_ids.tolist())
    many = [len(batch.input_ids) for batch in Batches(encoded, batch_size=8)]
    assert many == [8, 8, 8, 8, 1], "the last, short batch is kept"


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, found 0"):
        Batches(encode_lengths([1]), batch_size=0)
