"""The two networks against numpy, their loss, their order of predictions, and that they learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn
from torch.nn import functional

from nlptransfer.data.feature_batches import DocumentBatches, FeatureBatches
from nlptransfer.models.classifier import BagOfWordsNetwork, RecurrentClassifier, classification_loss
from nlptransfer.training.loop import train
from nlptransfer.training.seeding import seeded
from nlptransfer.types import NO_LABEL, Batch, ModelOutput


def make_network(num_features: int = 6, num_labels: int = 3, **settings: Any) -> BagOfWordsNetwork:
    with seeded(0):
        network = BagOfWordsNetwork(num_features, num_labels, **{"hidden_dim": 4, **settings})
        nn.init.normal_(network.hidden_bias)
    return network


def make_recurrent(**settings: Any) -> RecurrentClassifier:
    with seeded(0):
        embedding = nn.Embedding(10, 5, padding_idx=0)
        return RecurrentClassifier(embedding, 2, **{"hidden_dim": 4, **settings})


def random_rows(num_rows: int = 7, num_features: int = 6, density: float = 0.4) -> np.ndarray:
    random = np.random.default_rng(0)
    rows = random.normal(size=(num_rows, num_features)) * (random.random((num_rows, num_features)) < density)
    rows[2] = 0  # a document of which no feature is known
    rows[3] = 1 + np.arange(num_features)  # and one that has them all
    return rows.astype(np.float32)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_the_hidden_layer_is_the_formula(form: str, activation: Any) -> None:
    rows = random_rows()
    network = make_network(activation=activation)
    (batch,) = FeatureBatches(rows if form == "dense" else sparse.csr_matrix(rows), None, batch_size=8)
    output = network(batch)
    weighed = rows @ network.hidden_weight.detach().numpy() + network.hidden_bias.detach().numpy()
    function = {"relu": lambda x: x * (x > 0), "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh}[activation]
    np.testing.assert_allclose(output.features.detach().numpy(), function(weighed), rtol=1e-5, atol=1e-6)
    head = network.head.weight.detach().numpy(), network.head.bias.detach().numpy()
    logits = function(weighed) @ head[0].T + head[1]
    np.testing.assert_allclose(output.logits.detach().numpy(), logits, rtol=1e-5, atol=1e-5)


def test_sparse_and_dense_rows_give_the_same_gradient_and_absent_features_none() -> None:
    rows = random_rows()
    rows[:, 5] = 0
    gradients = []
    for features in (rows, sparse.csr_matrix(rows)):
        network = make_network()
        (batch,) = FeatureBatches(features, np.arange(7) % 3, batch_size=8)
        network.loss(network(batch), batch).backward()
        assert network.hidden_weight.grad is not None and not network.hidden_weight.grad.is_sparse
        gradients.append(network.hidden_weight.grad.numpy())
    np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-6)
    assert (gradients[1][5] == 0).all() and (gradients[1][0] != 0).any()


def test_a_row_alone_is_scored_as_among_others_so_that_padding_does_not_count() -> None:
    rows = sparse.csr_matrix(random_rows())
    network = make_network().eval()
    (whole,) = FeatureBatches(rows, None, batch_size=8)
    for row in range(7):
        (alone,) = FeatureBatches(rows[row], None, batch_size=1)
        torch.testing.assert_close(network(alone).logits[0], network(whole).logits[row])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="activation must be one of relu, sigmoid, tanh; found 'gelu'"):
        make_network(activation="gelu")
    with pytest.raises(ValueError, match="pooling must be one of attention, max, mean; found 'last'"):
        make_recurrent(pooling="last")


def test_the_loss_is_the_weighted_mean_over_labelled_items() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, NO_LABEL, 2, 1, 1])
    weights = torch.tensor([0.5, 9.0, 2.0, 0.0, 1.5])
    batch = Batch(torch.zeros(5, 1), torch.ones(5, 1, dtype=torch.bool), labels=labels)
    log_shares = logits.numpy() - np.log(np.exp(logits.numpy()).sum(axis=1, keepdims=True))
    terms = [
        (w, -log_shares[i, y]) for i, (y, w) in enumerate(zip(labels.tolist(), weights.tolist(), strict=True)) if y >= 0
    ]
    plain = classification_loss(ModelOutput(logits, logits), batch)
    assert float(plain) == pytest.approx(sum(term for _, term in terms) / 4, rel=1e-6)
    assert float(plain) == pytest.approx(
        float(functional.cross_entropy(logits, labels, ignore_index=NO_LABEL)), rel=1e-6
    )
    weighted = classification_loss(ModelOutput(logits, logits), replace(batch, weights=weights))
    assert float(weighted) == pytest.approx(sum(weight * term for weight, term in terms) / 4, rel=1e-6)
    nothing = classification_loss(ModelOutput(logits, logits), replace(batch, labels=torch.full((5,), NO_LABEL)))
    assert float(nothing) == 0.0


def test_probabilities_come_in_the_order_of_the_items_and_without_dropout() -> None:
    rows = random_rows(num_rows=9)
    network = make_network(dropout=0.5).train()
    expected = network.eval()(next(iter(FeatureBatches(rows, None, batch_size=9)))).logits.softmax(dim=1)
    network.train()
    shuffled = FeatureBatches(sparse.csr_matrix(rows), None, batch_size=2, seed=5)
    shuffled.set_epoch(3)
    np.testing.assert_allclose(network.probabilities(shuffled), expected.detach().numpy(), rtol=1e-4, atol=1e-6)
    assert network.represent(shuffled).shape == (9, 4)
    assert network.training

    documents = [np.full(length, 2 + length % 7) for length in (5, 0, 9, 1, 3)]
    recurrent = make_recurrent(dropout=0.5).eval()
    batches = DocumentBatches(documents, None, batch_size=2, max_length=6)
    for number, ids in enumerate(documents):
        alone = DocumentBatches([ids], None, batch_size=1, max_length=6)
        np.testing.assert_allclose(
            recurrent.probabilities(batches)[number], recurrent.probabilities(alone)[0], rtol=1e-4, atol=1e-6
        )
    assert recurrent.represent(batches).shape == (5, 8)


def test_no_documents_have_no_probabilities() -> None:
    assert make_network().probabilities(FeatureBatches(np.zeros((0, 6)), None, batch_size=2)).shape == (0, 3)


@pytest.mark.parametrize("pooling", ["attention", "max", "mean"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_document_is_read_alike_whatever_stands_beside_it(cell: Any, pooling: Any) -> None:
    network = make_recurrent(cell=cell, pooling=pooling).eval()
    ids = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 0, 0, 0]])
    whole = network(Batch(ids, ids != 0))
    alone = network(Batch(ids[1:, :2], ids[1:, :2] != 0))
    torch.testing.assert_close(whole.logits[1:], alone.logits)
    torch.testing.assert_close(whole.features[1:], alone.features)


def test_dropout_is_on_the_features_that_the_head_sees() -> None:
    (batch,) = FeatureBatches(random_rows(), None, batch_size=8)
    ids = torch.full((3, 4), 2)
    for network, given in (
        (make_network(dropout=0.5, activation="sigmoid"), batch),
        (make_recurrent(dropout=0.5), Batch(ids, ids > 0)),
    ):
        with seeded(0):
            output = network.train()(given)
        assert (output.features == 0).any()
        torch.testing.assert_close(network.head(output.features), output.logits)


def test_both_networks_learn_what_can_be_learnt() -> None:
    random = np.random.default_rng(0)
    documents = [random.choice([2, 3, 4, 5, 6], size=random.integers(2, 9)) for _ in range(120)]
    labels = random.integers(0, 2, 120)
    # The first or the second of two words tells the label, somewhere in the document.
    documents = [
        np.insert(ids, random.integers(0, len(ids)), 7 + label) for ids, label in zip(documents, labels, strict=True)
    ]
    rows = np.stack([np.bincount(ids, minlength=10) for ids in documents]).astype(np.float32)
    for network, batches in (
        (make_network(10, 2, hidden_dim=8), FeatureBatches(sparse.csr_matrix(rows), labels, batch_size=16, seed=0)),
        (make_recurrent(hidden_dim=8), DocumentBatches(documents, labels, batch_size=16, max_length=20, seed=0)),
    ):
        before = (network.probabilities(batches).argmax(axis=1) == labels).mean()
        train(
            network,
            lambda model, batch, progress: {"loss": model.loss(model(batch), batch)},
            batches,
            torch.optim.AdamW(network.parameters(), 2e-2),
            epochs=8,
            seed=0,
        )
        assert before < 0.7 and (network.probabilities(batches).argmax(axis=1) == labels).mean() > 0.97
