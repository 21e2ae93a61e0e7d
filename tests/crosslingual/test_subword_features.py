"""A word is the mean of its subwords: computed by hand, also for unseen words, and worth it across languages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from nlptransfer.crosslingual.shared_subwords import train_shared_vocabulary
from nlptransfer.crosslingual.subword_features import SubwordWordFeatures
from nlptransfer.data.batching import Batches
from nlptransfer.data.vocabulary import Vocabulary, count_entries
from nlptransfer.embeddings.embedding_layer import make_random_embedding
from nlptransfer.models.recurrent import RecurrentEncoder
from nlptransfer.models.word_features import WordFeatures
from nlptransfer.training.seeding import seeded
from nlptransfer.types import NO_LABEL

SCRIPTS = ("bdgklmnprstaeiou", "бдгклмнпрстаеиоу")
ENDINGS = ("mok", "ril", "nus", "tap", "gek")


def make_sentences(number: int, *, own: int) -> tuple[list[list[str]], list[list[int]]]:
    """Words in random order, whose ending tells their tag; `own` numbers a language with stems of its own."""
    random = np.random.default_rng(own)
    stems = [
        "".join(random.choice(list("bdgklmnprst")) + random.choice(list("aeiou")) for _ in range(2)) for _ in range(60)
    ]
    tags = [random.integers(0, len(ENDINGS), random.integers(3, 8)).tolist() for _ in range(number)]
    return [[str(random.choice(stems)) + ENDINGS[tag] for tag in sentence] for sentence in tags], tags


SOURCE, SOURCE_TAGS = make_sentences(150, own=0)
BRIDGED, TARGET_TAGS = make_sentences(100, own=1)
TARGET = [[word.translate(str.maketrans(*SCRIPTS)) for word in sentence] for sentence in BRIDGED]


def train_vocabulary(target: list[list[str]]) -> Any:
    texts = {"source": [" ".join(words) for words in SOURCE], "target": [" ".join(words) for words in target]}
    return train_shared_vocabulary(texts, vocab_size=100, seed=0)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_vocabulary(BRIDGED)


def features_of(words: SubwordWordFeatures, sentences: Sequence[Sequence[str]]) -> list[torch.Tensor]:
    """(words, D) of each sentence that is not empty."""
    found: dict[int, torch.Tensor] = {}
    batches = Batches(words.encode(sentences), batch_size=2)
    starts = batches.sentences.starts.tolist()
    for windows, batch in batches.groups():
        for row, window in zip(words(batch), windows, strict=True):
            found[starts.index(window.start)] = row[: window.end - window.start]
    return [found[number] for number in sorted(found)]


def test_a_word_is_the_mean_of_its_pieces_whatever_else_is_in_the_batch(tokenizer: Any) -> None:
    with seeded(1):
        words = SubwordWordFeatures(tokenizer, 6)
    assert words.output_dim == 6 and not words.embedding.weight[0].any()
    sentences = [SOURCE[0], ["zzzz", "☃", ""], [SOURCE[1][0]], BRIDGED[3]]
    for sentence, rows in zip(sentences, features_of(words, sentences), strict=True):
        for word, row in zip(sentence, rows, strict=True):
            ids = tokenizer(word, add_special_tokens=False)["input_ids"] or [tokenizer.unk_token_id]
            expected = np.mean([words.embedding.weight[number + 1].detach().numpy() for number in ids], axis=0)
            np.testing.assert_allclose(row.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_word_never_seen_is_read_and_one_of_twice_the_same_pieces_is_no_longer_vector(tokenizer: Any) -> None:
    words = SubwordWordFeatures(tokenizer, 4)
    (rows,) = features_of(words, [["bata", "batabata"]])
    assert torch.isfinite(rows).all() and rows.abs().max() <= (3 / 4) ** 0.5 + 1e-6


def test_labels_go_with_the_words_and_must_be_as_many(tokenizer: Any) -> None:
    words = SubwordWordFeatures(tokenizer, 4)
    (batch,) = Batches(words.encode([["bata", "ko"], ["ri"]], labels=[[3, 1], [2]]), batch_size=2)
    assert batch.labels is not None and batch.labels.tolist() == [[2, NO_LABEL], [3, 1]]
    with pytest.raises(ValueError, match="one label per word"):
        words.encode([["bata", "ko"]], labels=[[3]])


def target_accuracy(words: SubwordWordFeatures | WordFeatures, sentences: list[list[str]]) -> float:
    """Of a recurrent tagger on these features, trained on the source's tags alone."""
    encoder, head = RecurrentEncoder(words.output_dim, 16, cell="gru"), nn.Linear(32, len(ENDINGS))
    optimizer = torch.optim.Adam([*words.parameters(), *encoder.parameters(), *head.parameters()], lr=0.01)
    for batch in [*Batches(words.encode(SOURCE, labels=SOURCE_TAGS), batch_size=25, seed=0)] * 15:
        assert batch.labels is not None
        logits = head(encoder(words(batch), batch.mask))
        loss = functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=NO_LABEL)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = 0
    with torch.inference_mode():
        for batch in Batches(words.encode(sentences, labels=TARGET_TAGS), batch_size=50):
            right += int((head(encoder(words(batch), batch.mask)).argmax(dim=-1) == batch.labels).sum())
    return right / sum(map(len, sentences))


def test_shared_subwords_tag_a_languages_own_words_where_word_identity_cannot(tokenizer: Any) -> None:
    with seeded(0):
        vocabulary = Vocabulary(list(count_entries(SOURCE)))
        by_word = WordFeatures(vocabulary, make_random_embedding(vocabulary, 20))
        assert target_accuracy(by_word, BRIDGED) < 0.45
        assert target_accuracy(SubwordWordFeatures(tokenizer, 20), BRIDGED) > 0.8


def test_without_a_bridge_shared_subwords_carry_no_tags_over() -> None:
    with seeded(0):
        words = SubwordWordFeatures(train_vocabulary(TARGET), 20)
        assert target_accuracy(words, TARGET) < 0.45
