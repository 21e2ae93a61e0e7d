"""Word features are those of a tagger with the same weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nlptransfer.data.batching import Batches
from nlptransfer.data.vocabulary import BOUNDARIES, UNKNOWN, Vocabulary, count_entries
from nlptransfer.embeddings.embedding_layer import make_random_embedding
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.models.characters import CharacterLSTM
from nlptransfer.models.tagger import RecurrentTagger, TaggerShape
from nlptransfer.models.word_features import WordFeatures, unknown_probability
from nlptransfer.training.seeding import seeded
from nlptransfer.types import Batch

WORDS = ["the", "bank", "raised", "rates"]
SENTENCES = [["the", "loan", "xqzy"], ["rates"]]


def make_pair() -> tuple[WordFeatures, RecurrentTagger]:
    vocabulary, characters = Vocabulary(WORDS), Vocabulary([*BOUNDARIES, *count_entries(WORDS)])
    vectors = WordVectors(["loan"], np.ones((1, 5), dtype=np.float32), None, source="test", digest="test")
    with seeded(0):
        embedding = make_random_embedding(vocabulary, 5)
        encoder = CharacterLSTM(len(characters), 6)
        tagger = RecurrentTagger(
            vocabulary, characters, ["A", "B"], embedding, TaggerShape(hidden_dim=4, character_dim=6), vectors=vectors
        )
    tagger.characters = encoder
    words = WordFeatures(vocabulary, embedding, characters=encoder, character_vocabulary=characters, vectors=vectors)
    return words.eval(), tagger.eval()


def one_batch(words: WordFeatures) -> Batch:
    (batch,) = Batches(words.encode(SENTENCES), batch_size=10)
    return batch


def test_they_are_what_a_tagger_of_the_same_weights_reads_also_for_words_that_only_the_vectors_hold() -> None:
    words, tagger = make_pair()
    batch = one_batch(words)
    assert batch.unseen_vectors is not None
    read: list[torch.Tensor] = []
    tagger.encoder.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    tagger(batch)
    features = words(batch)
    assert features.shape == (2, 3, words.output_dim) and words.output_dim == 11
    assert torch.equal(features, read[0])
    assert torch.equal(features[1, 1, :5], torch.ones(5)), "the vector of 'loan'"


def test_words_and_tagger_encode_sentences_alike() -> None:
    words, tagger = make_pair()
    encoded, expected = words.encode(SENTENCES), tagger.encode(SENTENCES)
    assert encoded.word_ids.tolist() == expected.word_ids.tolist() == [2, 6, UNKNOWN, 5]


def test_rare_words_are_read_as_unknown_more_readily_and_reserved_ids_never() -> None:
    counts = np.array([9, 9, 1, 4, 0])
    found = unknown_probability(5, counts, 0.5).numpy()
    np.testing.assert_allclose(found, [0, 0, 0.5 / 1.5, 0.5 / 4.5, 1.0], rtol=1e-6)
    assert not unknown_probability(5, None, 0.5).any() and not unknown_probability(5, counts, 0.0).any()


def test_word_dropout_is_of_training_alone() -> None:
    vocabulary = Vocabulary(WORDS)
    words = WordFeatures(vocabulary, make_random_embedding(vocabulary, 5), counts=np.zeros(6), word_dropout=0.9)
    (batch,) = Batches(words.encode([WORDS]), batch_size=1)
    unknown = words.embedding.weight[UNKNOWN].expand(1, 4, -1)
    assert torch.equal(words.train()(batch), unknown), "what never occurred is always read as unknown"
    assert torch.equal(words.eval()(batch), words.embedding.weight[2:][None])


def test_an_encoder_of_characters_needs_their_vocabulary() -> None:
    vocabulary = Vocabulary(WORDS)
    with pytest.raises(ValueError, match="go together"):
        WordFeatures(vocabulary, make_random_embedding(vocabulary, 5), characters=CharacterLSTM(10, 4))
