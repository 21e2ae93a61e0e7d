"""Noise on words: its rates, its bounds, and that padding and labels are never moved among words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from nlptransfer.adaptation.word_noise import drop_words, replace_words, shuffle_words
from nlptransfer.data.batching import Batches, encode_sentences
from nlptransfer.data.feature_batches import FeatureBatches
from nlptransfer.data.vocabulary import BOUNDARIES, Vocabulary
from nlptransfer.types import Batch

Noise = Callable[..., Batch]
NOISES: list[Noise] = [
    partial(drop_words, probability=0.4),
    partial(shuffle_words, max_distance=2),
    partial(replace_words, probability=0.4),
]


def seeded_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_batch(lengths: list[int]) -> Batch:
    """Word ids that tell where each word stood: 100 times the row, plus the place, from 1 on."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    ids = 100 * torch.arange(1, len(lengths) + 1)[:, None] + torch.arange(1, max(lengths) + 1)
    return Batch(ids.masked_fill(~mask, 0), mask, labels=ids.masked_fill(~mask, -100), weights=torch.ones(len(lengths)))


def rows(batch: Batch) -> list[list[int]]:
    return [ids[real].tolist() for ids, real in zip(batch.input_ids, batch.mask, strict=True)]


def test_words_are_dropped_at_the_rate_and_stay_in_order() -> None:
    batch = make_batch([90, 40, 7] * 40)
    left = drop_words(batch, 0.3, generator=seeded_generator())
    share = int(left.mask.sum()) / int(batch.mask.sum())
    assert share == pytest.approx(0.7, abs=0.02)  # 5,480 words: a standard deviation of 0.006
    for before, after in zip(rows(batch), rows(left), strict=True):
        assert after == [word for word in before if word in set(after)]
    assert left.input_ids.shape[1] == int(left.mask.sum(dim=1).max())


def test_a_document_keeps_one_of_its_words_whichever_it_is() -> None:
    batch = make_batch([3, 1] * 300)
    left = drop_words(batch, 0.999, generator=seeded_generator())
    assert [len(row) for row in rows(left)] == [1] * 600
    places = np.bincount([row[0] % 100 for row in rows(left)[::2]], minlength=4)[1:]
    assert places.min() > 70, "of 300, a third each"


@pytest.mark.parametrize("max_distance", [1, 3])
def test_no_word_is_moved_further_than_the_distance_and_some_are_moved_so_far(max_distance: int) -> None:
    batch = make_batch([60, 5, 2, 1] * 20)
    moved = shuffle_words(batch, max_distance, generator=seeded_generator())
    assert torch.equal(moved.mask, batch.mask)
    distances = []
    for before, after in zip(rows(batch), rows(moved), strict=True):
        assert sorted(after) == before
        distances += [abs(before.index(word) - place) for place, word in enumerate(after)]
    assert max(distances) == max_distance
    assert 0.1 < np.mean(np.array(distances) == 0) < 0.9


def test_the_shuffle_is_that_of_a_sort_by_hand() -> None:
    batch = make_batch([9, 4])
    moved = shuffle_words(batch, 3, generator=seeded_generator(5))
    draws = torch.rand(2, 9, generator=seeded_generator(5)).numpy()
    for row, length in ((0, 9), (1, 4)):
        keys = [place + 4 * draws[row, place] for place in range(length)]
        assert rows(moved)[row] == [rows(batch)[row][place] for place in np.argsort(keys)]


def test_replaced_words_are_as_many_as_asked_and_drawn_as_often_as_they_occur() -> None:
    ids = torch.tensor([[2] * 60 + [3] * 20] * 50 + [[4] * 20 + [0] * 60] * 50)
    batch = Batch(ids, ids > 0)
    noisy = replace_words(batch, 0.5, generator=seeded_generator())
    assert torch.equal(noisy.mask, batch.mask)
    # Of 5,000 words 3,000 are twos, 1,000 threes, 1,000 fours: of the fours half are drawn anew, 3 in 5 as twos.
    became = np.bincount(noisy.input_ids[50:][noisy.mask[50:]], minlength=5) / 1000
    np.testing.assert_allclose(became[2:], [0.5 * 0.6, 0.5 * 0.2, 0.5 + 0.5 * 0.2], atol=0.05)
    assert became[0] == 0, "padding is no word"


def test_no_noise_leaves_the_words_as_they_are() -> None:
    batch = make_batch([4, 2, 1])
    for clean in (drop_words(batch, 0.0), shuffle_words(batch, 0), replace_words(batch, 0.0)):
        assert torch.equal(clean.input_ids, batch.input_ids) and torch.equal(clean.mask, batch.mask)


@pytest.mark.parametrize("noise", NOISES)
def test_padding_stays_zeros_behind_the_words_and_the_given_batch_as_it_was(noise: Noise) -> None:
    batch = make_batch([6, 3, 1])
    ids = batch.input_ids.clone()
    noisy = noise(batch, generator=seeded_generator(1))
    assert torch.equal(batch.input_ids, ids)
    assert torch.equal(noisy.mask, noisy.mask.sort(dim=1, descending=True).values)
    assert torch.equal(noisy.input_ids > 0, noisy.mask)
    assert noisy.labels is None and noisy.weights is None, "they belong to other words now"
    assert rows(noise(batch, generator=seeded_generator(1))) == rows(noisy)
    assert any(rows(noise(batch, generator=seeded_generator(seed))) != rows(noisy) for seed in range(2, 6))


@pytest.mark.parametrize("noise", NOISES)
def test_the_spelling_goes_with_the_word(noise: Noise) -> None:
    words = ["a", "bb", "ccc", "dd"]
    characters = Vocabulary(["a", "b", "c", "d", *BOUNDARIES])
    sentences = [["a", "bb", "ccc", "dd", "bb", "a"], ["ccc", "a"], ["dd"]]
    encoded = encode_sentences(sentences, Vocabulary(words), characters=characters)
    (batch,) = Batches(encoded, batch_size=3)
    noisy = noise(batch, generator=seeded_generator(2))
    assert batch.characters is not None and noisy.characters is not None and noisy.character_rows is not None
    spelled = {
        int(word): spelling.tolist()
        for word, row, real in zip(batch.input_ids.flatten(), batch.character_rows.flatten(), batch.mask.flatten())  # type: ignore[union-attr] # noqa: B905
        if real
        for spelling in [batch.characters[row]]
    }
    found = zip(noisy.input_ids[noisy.mask], noisy.character_rows[noisy.mask], strict=True)
    assert all(noisy.characters[row].tolist() == spelled[int(word)] for word, row in found)


@pytest.mark.parametrize("noise", NOISES)
def test_a_bag_of_words_has_no_words_to_move(noise: Noise) -> None:
    (batch,) = FeatureBatches(np.eye(3, dtype=np.float32), None, batch_size=3)
    with pytest.raises(ValueError, match="no order"):
        noise(batch)


def test_rates_out_of_range_are_refused() -> None:
    batch = make_batch([2])
    for noise in (drop_words, replace_words):
        with pytest.raises(ValueError, match="from 0 to below 1, found 1"):
            noise(batch, 1.0)
    with pytest.raises(ValueError, match="0 or more, found -1"):
        shuffle_words(batch, -1)
