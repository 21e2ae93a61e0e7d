"""Denoising of sequences: the loss by hand, its estimate without bias, and that the modules serve what follows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nlptransfer.adaptation.method_names import parse_method
from nlptransfer.adaptation.network_systems import DomainItems, train_network
from nlptransfer.adaptation.sequence_denoising import (
    SequenceDenoiser,
    count_words,
    pretrain_by_denoising,
    words_to_write,
)
from nlptransfer.data.batching import Batches
from nlptransfer.data.feature_batches import DocumentBatches
from nlptransfer.data.vocabulary import BOUNDARIES, Vocabulary
from nlptransfer.embeddings.embedding_layer import make_random_embedding
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError
from nlptransfer.models.classifier import BagOfWordsNetwork, RecurrentClassifier
from nlptransfer.models.recurrent import RecurrentEncoder
from nlptransfer.models.tagger import RecurrentTagger, TaggerShape
from nlptransfer.training.loop import train
from nlptransfer.training.seeding import seeded
from nlptransfer.types import NO_LABEL, Batch

NUM_IDS = 14


def make_documents(number: int = 60, *, topics: int = 2, seed: int = 0) -> list[np.ndarray]:
    """Documents of one topic each, of 6 words that no other topic has; ids from 2 on."""
    rng = np.random.default_rng(seed)
    return [2 + 6 * (row % topics) + rng.integers(0, 6, rng.integers(3, 9)) for row in range(number)]


def make_modules(num_ids: int = NUM_IDS, *, trainable: bool = True) -> tuple[nn.Embedding, RecurrentEncoder]:
    with seeded(1):
        embedding = nn.Embedding(num_ids, 5, padding_idx=0)
        embedding.weight.requires_grad_(trainable)
        return embedding, RecurrentEncoder(5, 4, cell="gru")


def make_denoiser(documents: list[np.ndarray], num_ids: int = NUM_IDS, **settings: Any) -> SequenceDenoiser:
    batches = DocumentBatches(documents, None, batch_size=8, max_length=20)
    embedding, encoder = make_modules(num_ids)
    with seeded(2):
        return SequenceDenoiser(embedding, encoder, count_words(batches, num_ids), **settings)


def only_batch(documents: list[np.ndarray]) -> Batch:
    (batch,) = DocumentBatches(documents, None, batch_size=len(documents), max_length=20)
    return batch


def slow_loss(denoiser: SequenceDenoiser, noisy: Batch, clean: Batch) -> float:
    """One document and one word at a time, without padding."""
    losses = []
    for row in range(len(clean.input_ids)):
        read, write = noisy.input_ids[row][noisy.mask[row]], clean.input_ids[row][clean.mask[row]]
        states = denoiser.encoder(denoiser.embedding(read)[None], torch.ones(1, len(read), dtype=torch.bool))
        encoding = states[0].mean(dim=0)
        state, before = None, torch.zeros(5)
        for word in write.tolist():
            given = torch.cat([before, encoding])[None, None]
            out, state = denoiser.decoder(given, state)
            scores = denoiser.embedding.weight[2:] @ denoiser.output(out[0, 0]) + denoiser.bias
            if word >= 2:
                losses.append(-scores.log_softmax(dim=0)[word - 2])
            before = denoiser.embedding.weight[word]
    return float(torch.stack(losses).mean())


def test_the_loss_is_that_of_one_document_and_one_word_at_a_time() -> None:
    documents = [np.array([2, 5, 1, 3]), np.array([4]), np.array([6, 2, 2, 7, 9, 3])]
    denoiser = make_denoiser(documents).eval()
    clean = only_batch(documents)
    noisy = denoiser.corrupt(clean, generator=torch.Generator().manual_seed(3))
    assert not torch.equal(noisy.input_ids, clean.input_ids)
    with torch.no_grad():
        assert float(denoiser.loss(noisy, clean)) == pytest.approx(slow_loss(denoiser, noisy, clean), abs=1e-6)


def test_a_prediction_sees_the_words_before_it_and_the_noisy_document_alone() -> None:
    documents = [np.array([2, 5, 8, 3])]
    denoiser = make_denoiser(documents).eval()
    clean, other = only_batch(documents), only_batch([np.array([2, 5, 9, 3])])
    first, second = denoiser(clean, clean)[0], denoiser(clean, other)[0]
    assert torch.equal(first[:3], second[:3]) and not torch.allclose(first[3], second[3])
    assert not torch.allclose(denoiser(other, clean)[0, 0], first[0])


def test_the_drawn_sum_over_words_is_the_whole_one_on_average() -> None:
    documents = make_documents(20)
    denoiser = make_denoiser(documents, num_sampled=4)
    batch = only_batch([np.array([3])])  # one word: the loss is log of the sum, minus its score
    with torch.no_grad(), seeded(0):
        (predicted,) = denoiser(batch, batch)[0]
        score = float(denoiser.embedding.weight[3] @ predicted + denoiser.bias[1])
        drawn = np.array([math.exp(float(denoiser.train().loss(batch, batch)) + score) for _ in range(1500)])
        whole = math.exp(float(denoiser.eval().loss(batch, batch)) + score)
    assert drawn.std() > 0.05 * whole, "the draws differ"
    assert drawn.mean() == pytest.approx(whole, abs=4 * drawn.std() / math.sqrt(len(drawn)))


def test_where_all_words_can_be_drawn_none_is() -> None:
    documents = make_documents(5)
    batch = only_batch(documents)
    denoiser = make_denoiser(documents, num_sampled=NUM_IDS - 2)
    assert torch.equal(denoiser.train().loss(batch, batch), denoiser.eval().loss(batch, batch))


def test_a_draw_of_the_right_word_alone_leaves_finite_gradients() -> None:
    denoiser = make_denoiser([np.array([2, 2])], num_ids=4, num_sampled=1).train()
    batch = only_batch([np.array([2, 2, 3])])
    with seeded(0):
        for _ in range(20):
            denoiser.loss(batch, batch).backward()
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in denoiser.parameters())


def test_padding_is_never_read_or_written() -> None:
    documents = [np.array([2, 5, 4]), np.array([3])]
    denoiser = make_denoiser(documents).eval()
    batch = only_batch(documents)
    wide = Batch(nn.functional.pad(batch.input_ids, (0, 3)), nn.functional.pad(batch.mask, (0, 3)))
    other = Batch(wide.input_ids.masked_fill(~wide.mask, 7), wide.mask)
    for padded in (wide, other):
        torch.testing.assert_close(denoiser.loss(padded, padded), denoiser.loss(batch, batch))
    denoiser.loss(batch, batch).backward()
    assert denoiser.embedding.weight.grad is not None
    assert not denoiser.embedding.weight.grad[0].any(), "padding keeps its zeros"


def test_what_has_no_id_of_its_own_is_not_written() -> None:
    ids = torch.tensor([[2, 1, 13, 14, 0]])
    batch = Batch(ids, torch.tensor([[True, True, True, True, False]]))
    assert words_to_write(batch, NUM_IDS).tolist() == [[2, NO_LABEL, 13, NO_LABEL, NO_LABEL]]
    assert count_words([batch, batch], NUM_IDS).tolist() == [0, 0, 2, *[0] * 10, 2]


def test_documents_of_unknown_words_alone_have_a_loss_of_zero_beside_others_and_are_refused_alone() -> None:
    empty = [np.zeros(0, dtype=np.int64), np.array([1, 1])]
    denoiser = make_denoiser([np.array([2, 3])])
    assert denoiser.loss(only_batch(empty), only_batch(empty)).item() == 0
    with pytest.raises(InputError, match="no word of the vocabulary"):
        pretrain_by_denoising(
            *make_modules(), DocumentBatches(empty, None, batch_size=2, max_length=5), epochs=1, seed=0
        )


def pretrain(embedding: nn.Embedding, encoder: RecurrentEncoder, epochs: int = 2, **settings: Any) -> list[Any]:
    batches = DocumentBatches(make_documents(), None, batch_size=8, max_length=20, seed=0)
    return pretrain_by_denoising(embedding, encoder, batches, epochs=epochs, **{"seed": 0, **settings})


def test_it_learns_more_than_how_often_words_occur_and_by_way_of_the_encoding() -> None:
    documents = make_documents()
    embedding, encoder = make_modules()
    history = pretrain(embedding, encoder, epochs=12, learning_rate=0.02)
    losses = [row["loss"] for row in history]
    assert losses[-1] < losses[0]
    batches = DocumentBatches(documents, None, batch_size=8, max_length=20)
    shares = count_words(batches, NUM_IDS)[2:] / sum(map(len, documents))
    unigram = float(-(shares * np.log(shares)).sum())  # log 12 or a little less; of one topic alone, log 6
    assert unigram > 2.45 and losses[-1] < unigram - 0.4

    # A decoder of its own on what was trained: given another document's words it has little to go by.
    with seeded(3):
        denoiser = SequenceDenoiser(embedding, encoder, count_words(batches, NUM_IDS))
    clean = only_batch(documents[:8])
    others = only_batch([*documents[1:8], documents[0]])
    step = lambda model, batch, progress: {"loss": model.loss(model.corrupt(batch), batch)}  # noqa: E731
    train(denoiser, step, batches, torch.optim.Adam(denoiser.parameters(), 0.02), epochs=8, seed=0)
    with torch.no_grad():
        own, foreign = float(denoiser.loss(clean, clean)), float(denoiser.loss(others, clean))
    assert own < foreign - 0.5


def test_the_classifiers_own_modules_are_trained_and_serve_it_at_once() -> None:
    with seeded(0):
        network = RecurrentClassifier(nn.Embedding(NUM_IDS, 5, padding_idx=0), 2, hidden_dim=4, cell="gru")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    history = pretrain(network.embedding, network.encoder)
    assert [row["epoch"] for row in history] == [1, 2]
    changed = {
        name.split(".")[0] for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed == {"embedding", "encoder"}
    batches = DocumentBatches(make_documents(7), None, batch_size=3, max_length=20)
    assert np.isfinite(network.probabilities(batches)).all()


def test_frozen_word_vectors_stay_and_the_encoder_learns() -> None:
    embedding, encoder = make_modules(trainable=False)
    vectors, weight = embedding.weight.clone(), encoder.directions[0].weight_hh_l0.clone()
    pretrain(embedding, encoder)
    assert torch.equal(embedding.weight, vectors) and not embedding.weight.requires_grad
    assert not torch.equal(encoder.directions[0].weight_hh_l0, weight)


def test_the_seed_alone_decides_the_weights_and_nothing_else_is_moved() -> None:
    runs = []
    for seed, given in ((0, 1), (0, 2), (1, 1)):
        embedding, encoder = make_modules()
        torch.manual_seed(given)
        state = torch.get_rng_state()
        pretrain(embedding, encoder, seed=seed, num_sampled=3)
        assert torch.equal(torch.get_rng_state(), state)
        runs.append([*embedding.state_dict().values(), *encoder.state_dict().values()])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(runs[0], runs[1], strict=True))
    assert not all(torch.equal(ours, theirs) for ours, theirs in zip(runs[0], runs[2], strict=True))


def test_labels_of_the_batches_are_not_read() -> None:
    documents = make_documents(20)
    weights = []
    for labels in (None, np.arange(20) % 2, np.full(20, NO_LABEL)):
        embedding, encoder = make_modules()
        batches = DocumentBatches(documents, labels, batch_size=8, max_length=20, seed=0)
        pretrain_by_denoising(embedding, encoder, batches, epochs=1, seed=0)
        weights.append(embedding.weight.detach())
    assert torch.equal(weights[0], weights[1]) and torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("characters", ["none", "lstm"])
def test_a_taggers_encoder_learns_from_sentences_without_tags(characters: Any) -> None:
    """With spelling, and with words of which only the pretrained vectors know."""
    words = ["a", "dog", "barks", "cat", "sleeps"]
    matrix = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    vectors = WordVectors(["bird", *words], matrix, subwords=None, source="made", digest="none")
    vocabulary = Vocabulary(words)
    letters = Vocabulary([*sorted(set("".join(words))), *BOUNDARIES])
    shape = TaggerShape(hidden_dim=4, characters=characters, character_dim=4)
    with seeded(0):
        embedding = make_random_embedding(vocabulary, 5)
        tagger = RecurrentTagger(vocabulary, letters, ["D", "N", "V"], embedding, shape, vectors=vectors)
    before = {name: tensor.clone() for name, tensor in tagger.state_dict().items()}
    sentences = [["a", "dog", "barks"], ["a", "bird", "sleeps"], ["sleeps"], ["a", "zebra", "barks", "a", "cat"]] * 4
    batches = Batches(tagger.encode(sentences), batch_size=4, seed=0)
    assert any(batch.unseen_vectors is not None for batch in batches)
    history = pretrain_by_denoising(
        tagger.embedding, tagger.encoder, batches, characters=tagger.characters, epochs=6, learning_rate=0.02, seed=0
    )
    assert history[-1]["loss"] < history[0]["loss"]
    changed = {
        name.split(".")[0] for name, tensor in tagger.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed == {"embedding", "encoder"} | ({"characters"} if characters != "none" else set())
    assert [len(tags) for tags in tagger.predict(sentences)] == [len(sentence) for sentence in sentences]


WORDS_OF_A_TOPIC = 60


def of_topics(number: int, low: int, high: int, random: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    """Documents of ten words of their class's `WORDS_OF_A_TOPIC`, from the `low`-th to before the `high`-th."""
    labels = np.arange(number) % 2
    return [2 + WORDS_OF_A_TOPIC * label + random.integers(low, high, 10) for label in labels], labels


def make_recurrent() -> RecurrentClassifier:
    return RecurrentClassifier(
        nn.Embedding(2 + 2 * WORDS_OF_A_TOPIC, 16, padding_idx=0), 2, hidden_dim=12, cell="gru", pooling="mean"
    )


def fit(network: RecurrentClassifier, source: list[np.ndarray], labels: np.ndarray, seed: int) -> RecurrentClassifier:
    train(
        network,
        lambda model, batch, progress: {"loss": model.loss(model(batch), batch)},
        DocumentBatches(source, labels, batch_size=16, max_length=20, seed=seed),
        torch.optim.AdamW(network.parameters(), 0.01, weight_decay=0.01),
        epochs=5,
        seed=seed,
    )
    return network


@pytest.mark.parametrize("seed", [0, 1])
def test_words_that_no_label_ever_stood_beside_are_understood_from_unlabelled_target_text(seed: int) -> None:
    """Labels know words 0 to 29 of a topic; the target writes 15 to 59; the test holds 30 to 59 alone."""
    random = np.random.default_rng(seed)
    source, labels = of_topics(60, 0, 30, random)
    target, _ = of_topics(300, 15, 60, random)
    test, test_labels = of_topics(200, 30, 60, random)
    more_source, _ = of_topics(300, 0, 30, random)

    def accuracy(unlabelled: list[np.ndarray] | None) -> float:
        with seeded(seed):
            network = make_recurrent()
        if unlabelled is not None:
            documents = DocumentBatches([*source, *unlabelled], None, batch_size=32, max_length=20, seed=seed)
            pretrain_by_denoising(
                network.embedding, network.encoder, documents, epochs=8, learning_rate=0.01, seed=seed
            )
        fit(network, source, labels, seed)
        answers = network.probabilities(DocumentBatches(test, None, batch_size=50, max_length=20)).argmax(axis=1)
        return float((answers == test_labels).mean())

    assert accuracy(None) < 0.65, "the baseline guesses"
    assert accuracy(target) > 0.85
    assert accuracy(more_source) < 0.7, "the same pre-training without target text"


def test_by_name_it_is_pre_training_on_both_domains_and_then_the_plain_network() -> None:
    random = np.random.default_rng(0)
    (source, labels), (target, _) = of_topics(20, 0, 30, random), of_topics(13, 15, 60, random)
    system = train_network(
        parse_method("sequence_denoising:2"), make_recurrent, DomainItems(source, labels, target, 2), epochs=5,
        batch_size=16, learning_rate=0.01, weight_decay=0.01, max_length=20, seed=4,
    )  # fmt: skip
    with seeded(4):
        network = make_recurrent()
    documents = DocumentBatches([*source, *target], None, batch_size=16, max_length=20, seed=4)
    history = pretrain_by_denoising(network.embedding, network.encoder, documents, epochs=2, seed=4)
    ours, theirs = system.network.state_dict(), fit(network, source, labels, 4).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert [row["epoch"] for row in system.history] == [1, 2, 3, 4, 5]
    assert system.facts == {"reconstruction_loss": [round(row["loss"], 4) for row in history]}


def test_features_have_no_order_to_rebuild() -> None:
    features = np.eye(6, dtype=np.float32)
    items = DomainItems(features, np.arange(6) % 2, features, 2)
    with pytest.raises(InputError, match=r"'sequence_denoising' rebuilds documents word by word.*--network recurrent"):
        train_network(
            parse_method("sequence_denoising"), lambda: BagOfWordsNetwork(6, 2), items, epochs=1, batch_size=2,
            learning_rate=0.01, weight_decay=0.0, seed=0,
        )  # fmt: skip


def test_there_is_one_count_for_each_id() -> None:
    with pytest.raises(ValueError, match="a count for each of 14 ids"):
        SequenceDenoiser(*make_modules(), np.ones(13))
