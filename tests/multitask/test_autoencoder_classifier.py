"""Autoencoder and classifier on one code: the losses by hand, the claim with few labels and its control, weight 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from nlptransfer.data.feature_batches import DocumentBatches, FeatureBatches
from nlptransfer.data.vocabulary import Vocabulary
from nlptransfer.embeddings.embedding_layer import make_random_embedding
from nlptransfer.models.classifier import BagOfWordsNetwork, RecurrentClassifier
from nlptransfer.multitask.autoencoder_classifier import (
    AutoencoderClassifier,
    RowReconstruction,
    SentenceReconstruction,
)
from nlptransfer.multitask.beam_search import END
from nlptransfer.multitask.sequence_decoder import sequence_log_probability
from nlptransfer.training.loop import train
from nlptransfer.training.seeding import seeded
from nlptransfer.types import NO_LABEL, Batch

NUM_FEATURES, HIDDEN = 7, 3
WORDS = [f"word{number}" for number in range(6)]


def make_rows(number: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return (random.random((number, NUM_FEATURES)) * (random.random((number, NUM_FEATURES)) < 0.5)).astype(np.float32)


def only_batch(rows: Any, labels: list[int] | None) -> Batch:
    (batch,) = FeatureBatches(rows, None if labels is None else np.array(labels), batch_size=rows.shape[0])
    return batch


def make_row_model(weight: float, *, tied: bool = True) -> AutoencoderClassifier:
    with seeded(0):
        network = BagOfWordsNetwork(NUM_FEATURES, 2, hidden_dim=HIDDEN, activation="tanh")
        own = nn.Parameter(torch.randn(NUM_FEATURES, HIDDEN))
    decoder = RowReconstruction(network.hidden_weight if tied else own, np.linspace(0, 0.6, NUM_FEATURES))
    return AutoencoderClassifier(network, decoder, reconstruction_weight=weight)


def make_sentence_model(weight: float, *, hidden_dim: int = 6) -> AutoencoderClassifier:
    vocabulary = Vocabulary(WORDS)
    with seeded(0):
        network = RecurrentClassifier(make_random_embedding(vocabulary, 8), 2, hidden_dim=hidden_dim, pooling="max")
        decoder = SentenceReconstruction(len(vocabulary), network.feature_dim, hidden_dim=2 * hidden_dim)
    return AutoencoderClassifier(network, decoder, reconstruction_weight=weight)


def step(model: Any, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
    return model.losses(model(batch), batch)  # type: ignore[no-any-return]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_the_loss_over_rows_is_the_formula(form: str, tied: bool) -> None:
    model, rows, labels = make_row_model(2.5, tied=tied), make_rows(4), [1, NO_LABEL, 0, NO_LABEL]
    losses = step(model, only_batch(rows if form == "dense" else sparse.csr_matrix(rows), labels), 0.0)
    weights = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    hidden = np.tanh(rows @ weights["network.hidden_weight"] + weights["network.hidden_bias"])
    back = hidden @ weights["reconstruction.weight"].T + weights["reconstruction.bias"]
    share = sum((row - z) @ (row - z) for row, z in zip(rows, back, strict=True)) / sum(row @ row for row in rows)
    logits = hidden @ weights["network.head.weight"].T + weights["network.head.bias"]
    entropy = -np.mean([logits[i, labels[i]] - np.log(np.exp(logits[i]).sum()) for i in (0, 2)])
    assert {name: float(loss.detach()) for name, loss in losses.items()} == pytest.approx(
        {"classification": entropy, "reconstruction": share, "loss": entropy + 2.5 * share}, rel=1e-5
    )
    assert (model.reconstruction.weight is model.network.hidden_weight) == tied


def test_the_loss_over_sentences_is_the_decoders_probability_of_the_sentence_itself() -> None:
    model = make_sentence_model(0.5).eval()
    documents = [np.array([2, 5, 1]), np.array([4])]
    (batch,) = DocumentBatches(documents, np.array([1, NO_LABEL]), batch_size=2, max_length=9)
    with torch.no_grad():
        output = model(batch)
        losses = model.losses(output, batch)
        whole = float(model.loss(output, batch))
        total = 0.0
        for features, ids in zip(output.features, [[4], [2, 5, 1]], strict=True):  # sorted by length
            words = torch.tensor([[*ids, END]])
            assert isinstance(model.reconstruction, SentenceReconstruction)
            total -= float(sequence_log_probability(model.reconstruction.decoder(features[None], words), words))
    assert float(losses["reconstruction"]) == pytest.approx(total / 6, rel=1e-5)
    classification = -float(output.logits[1].log_softmax(-1)[1])
    assert float(losses["classification"]) == pytest.approx(classification, rel=1e-5)
    assert whole == pytest.approx(classification + 0.5 * total / 6, rel=1e-5)
    assert torch.equal(model.decode(output, batch), output.logits.argmax(dim=-1))


@pytest.mark.parametrize("kind", ["rows", "sentences"])
def test_with_a_weight_of_zero_the_network_trains_as_it_would_alone(kind: str) -> None:
    model = make_row_model(0.0) if kind == "rows" else make_sentence_model(0.0)
    alone = (make_row_model(0.0) if kind == "rows" else make_sentence_model(0.0)).network
    batches: Any
    if kind == "rows":
        batches = FeatureBatches(make_rows(12), np.arange(12) % 2, batch_size=5, seed=0)
    else:
        documents = [np.arange(2, 3 + number % 4) for number in range(12)]
        batches = DocumentBatches(documents, np.arange(12) % 2, batch_size=5, max_length=9, seed=0)
    train(model, step, batches, torch.optim.Adam(model.parameters(), 0.01), epochs=2, seed=0)
    train(
        alone,
        lambda model, batch, progress: {"loss": model.loss(model(batch), batch)},
        batches,
        torch.optim.Adam(alone.parameters(), 0.01),
        epochs=2,
        seed=0,
    )
    expected = alone.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.network.state_dict().items())


def test_where_no_item_has_a_label_the_head_is_not_moved_and_the_code_is() -> None:
    model = make_row_model(1.0)
    optimizer = torch.optim.AdamW(model.parameters(), 0.1, weight_decay=0.5)
    rows = make_rows(4)
    for labels in ([0, 1, 0, 1], None, [NO_LABEL] * 4):
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        optimizer.zero_grad()
        batch = only_batch(rows, labels)
        model.loss(model(batch), batch).backward()
        optimizer.step()
        moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
        assert ("network.head.weight" in moved) == (labels == [0, 1, 0, 1])
        assert "network.hidden_weight" in moved and "reconstruction.bias" in moved
    nothing = make_row_model(0.0)
    batch = only_batch(rows, None)
    loss = nothing.loss(nothing(batch), batch)
    loss.backward()
    assert float(loss.detach()) == 0.0


def make_documents(number: int, seed: int, *, topics: bool) -> tuple[np.ndarray, np.ndarray]:
    """Five of 60 words in each document: with topics five of the first 30, or of the last 30, as its class is."""
    random = np.random.default_rng(seed)
    gold = np.arange(number) % 2
    rows = np.zeros((number, 60), dtype=np.float32)
    for row, side in zip(rows, gold, strict=True):
        row[30 * side + random.choice(30, 5, replace=False) if topics else random.choice(60, 5, replace=False)] = 1
    return rows, gold


def test_documents_without_labels_help_where_words_of_a_class_stand_together_and_not_where_they_do_not() -> None:
    def accuracy(weight: float, *, topics: bool) -> float:
        labelled, gold = make_documents(4, 0, topics=True)  # they hold at most 20 of the 60 words
        rows = np.concatenate([labelled, make_documents(296, 50, topics=topics)[0]])
        test_rows, test_gold = make_documents(500, 100, topics=True)
        labels = np.concatenate([gold, np.full(296, NO_LABEL)])
        with seeded(0):
            network = BagOfWordsNetwork(60, 2, hidden_dim=2, activation="tanh")
        decoder = RowReconstruction(network.hidden_weight, rows.mean(axis=0))
        model = AutoencoderClassifier(network, decoder, reconstruction_weight=weight)
        batches = FeatureBatches(rows, labels, batch_size=60, seed=0)
        train(model, step, batches, torch.optim.Adam(model.parameters(), 0.02), epochs=20, seed=0)
        found = network.probabilities(FeatureBatches(test_rows, None, batch_size=500)).argmax(axis=1)
        return float((found == test_gold).mean())

    alone = accuracy(0.0, topics=True)
    assert 0.6 < alone < 0.92, "most words of a document stand in no labelled one"
    assert accuracy(50.0, topics=True) > 0.98
    assert accuracy(50.0, topics=False) < alone


def test_a_code_of_one_vector_holds_a_short_sentence_and_its_class() -> None:
    model = make_sentence_model(1.0, hidden_dim=24)
    documents = [np.array(ids) for a in range(2, 7) for b in range(2, 7) for ids in ([a, b], [a, b, 7])]
    labels = np.array([int(ids[0] > ids[1]) for ids in documents])
    batches = DocumentBatches(documents, labels, batch_size=10, max_length=3, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    train(model, step, batches, optimizer, epochs=60, seed=0, max_gradient_norm=1.0)
    (batch,) = DocumentBatches(documents, labels, batch_size=50, max_length=3)
    assert batch.labels is not None
    with torch.no_grad():
        output = model(batch)
        assert isinstance(model.reconstruction, SentenceReconstruction)
        found = model.reconstruction.decoder.search(output.features, torch.full((50,), 6)).symbols[:, 0].tolist()
    written = [[word for word in row if word > END] for row in found]
    read = [[word for word in row if word] for row in batch.input_ids.tolist()]
    assert sum(a == b for a, b in zip(written, read, strict=True)) >= 49
    assert float((output.logits.argmax(dim=-1) == batch.labels).float().mean()) >= 0.98


def test_parts_that_do_not_go_together_are_refused() -> None:
    rows, sentences = make_row_model(1.0), make_sentence_model(1.0)
    with pytest.raises(ValueError, match="a SentenceReconstruction can't write what a BagOfWordsNetwork reads"):
        AutoencoderClassifier(rows.network, sentences.reconstruction, reconstruction_weight=1.0)
    with pytest.raises(ValueError, match="a RowReconstruction can't write what a RecurrentClassifier reads"):
        AutoencoderClassifier(sentences.network, rows.reconstruction, reconstruction_weight=1.0)
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="a number from 0 on"):
            AutoencoderClassifier(rows.network, rows.reconstruction, reconstruction_weight=weight)
    with pytest.raises(ValueError, match="mean row has 7 values, one per feature; found 6"):
        RowReconstruction(rows.network.hidden_weight, np.zeros(6))  # type: ignore[arg-type]
