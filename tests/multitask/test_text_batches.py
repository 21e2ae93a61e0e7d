"""Each text comes once, whole, with its own label."""

from __future__ import annotations

import numpy as np
import pytest

from nlptransfer.data.batching import encode_sentences
from nlptransfer.data.vocabulary import Vocabulary
from nlptransfer.multitask.text_batches import TextBatches

WORDS = ["one", "two", "three"]
TEXTS = [WORDS[: 1 + number % 3] * (1 + number // 3) for number in range(10)]


@pytest.mark.parametrize("seed", [None, 0])
def test_each_text_comes_once_with_its_own_label(seed: int | None) -> None:
    labels = np.arange(10, dtype=np.float32) / 2
    vocabulary = Vocabulary(WORDS)
    batches = TextBatches(encode_sentences(TEXTS, vocabulary), labels, batch_size=3, seed=seed)
    assert len(batches) == 4
    found: dict[int, list[int]] = {}
    for items, batch in batches.groups():
        assert batch.labels is not None and batch.labels.tolist() == labels[items].tolist()
        for item, ids, mask in zip(items.tolist(), batch.input_ids, batch.mask, strict=True):
            found[item] = ids[mask].tolist()
    assert found == {number: vocabulary.ids(text).tolist() for number, text in enumerate(TEXTS)}


def test_epochs_differ_and_come_again() -> None:
    batches = TextBatches(encode_sentences(TEXTS, Vocabulary(WORDS)), None, batch_size=3, seed=0)

    def order(epoch: int) -> list[list[int]]:
        batches.set_epoch(epoch)
        return [items.tolist() for items, _ in batches.groups()]

    first = order(0)
    assert order(1) != first and order(0) == first
    assert next(iter(batches)).labels is None


def test_texts_without_words_and_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="without words"):
        TextBatches(encode_sentences([["one"], []], Vocabulary(WORDS)), None, batch_size=3)
    with pytest.raises(ValueError, match="2 in all"):
        TextBatches(encode_sentences([["one"], ["two"]], Vocabulary(WORDS)), np.zeros(3), batch_size=3)
    assert not list(TextBatches(encode_sentences([], Vocabulary(WORDS)), None, batch_size=3))
