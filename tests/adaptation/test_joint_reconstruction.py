"""Reconstructing while classifying: the loss by hand, what a weight of 0 leaves alone, the claim with its control."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from nlptransfer.adaptation.array_systems import DomainArrays
from nlptransfer.adaptation.domain_step import NetworkWithParts
from nlptransfer.adaptation.joint_reconstruction import ReconstructionDecoder, make_reconstruction_step
from nlptransfer.adaptation.method_names import parse_method
from nlptransfer.adaptation.network_systems import DomainItems, fit_network_system, train_network
from nlptransfer.data.feature_batches import DocumentBatches, DomainBatches, FeatureBatches
from nlptransfer.data.synthetic_reviews import make_review_domains
from nlptransfer.embeddings.ngrams import NgramVectorizer
from nlptransfer.errors import InputError
from nlptransfer.models.classifier import BagOfWordsNetwork, RecurrentClassifier
from nlptransfer.training.loop import train
from nlptransfer.training.schedules import cosine
from nlptransfer.training.seeding import seeded
from nlptransfer.types import Batch, DomainBatch

NUM_FEATURES = 12
MEANS = (np.linspace(-0.5, 0.5, NUM_FEATURES), np.linspace(0.3, 0.1, NUM_FEATURES))


def make_rows(number: int, seed: int) -> np.ndarray:
    """Weighted words, a third of them there; the first row is empty."""
    random = np.random.default_rng(seed)
    rows = random.random((number, NUM_FEATURES)) * (random.random((number, NUM_FEATURES)) < 0.35)
    rows[0] = 0
    return rows.astype(np.float32)


def make_network(*, dropout: float = 0.0, activation: Any = "tanh") -> BagOfWordsNetwork:
    with seeded(0):
        network = BagOfWordsNetwork(NUM_FEATURES, 2, hidden_dim=4, dropout=dropout, activation=activation)
    with torch.no_grad():
        network.hidden_bias.copy_(torch.linspace(-0.2, 0.3, 4))
    return network


def make_decoder(network: BagOfWordsNetwork) -> ReconstructionDecoder:
    return ReconstructionDecoder(network.hidden_weight, *MEANS)


def make_batch(rows: np.ndarray, form: str, labels: np.ndarray | None = None) -> Batch:
    (batch,) = FeatureBatches(rows if form == "dense" else sparse.csr_matrix(rows), labels, batch_size=len(rows))
    return batch


def share_by_hand(rows: np.ndarray, network: BagOfWordsNetwork, bias: np.ndarray, seen: np.ndarray) -> float:
    """One domain's part of R, with its intercept, of rows of which `seen` is what the network was shown."""
    weight = network.hidden_weight.detach().numpy().astype(float)
    hidden = np.tanh(seen @ weight + network.hidden_bias.detach().numpy())
    error = length = 0.0
    for row, features in zip(rows, hidden, strict=True):
        for column in range(NUM_FEATURES):
            error += (row[column] - (weight[column] @ features + bias[column])) ** 2
            length += row[column] ** 2
    return error / length


@pytest.mark.parametrize("form", ["sparse", "dense"])
@pytest.mark.parametrize("corruption", [0.0, 1.0])
def test_the_loss_is_the_formula_with_nothing_hidden_and_with_everything_hidden(corruption: float, form: str) -> None:
    network = make_network()
    decoder = make_decoder(network)
    source, target, labels = make_rows(5, 0), make_rows(3, 1), np.array([0, 1, 1, 0, 1])
    batch = DomainBatch(make_batch(source, form, labels), make_batch(target, form))
    step = make_reconstruction_step(decoder, reconstruction_weight=3.0, corruption=corruption, schedule=cosine)
    for progress in (0.0, 0.3, 1.0):
        losses = step(network, batch, progress)
        shares = [
            share_by_hand(rows, network, mean, (1 - corruption) * rows)
            for rows, mean in zip((source, target), MEANS, strict=True)
        ]
        assert float(losses["reconstruction"].detach()) == pytest.approx(np.mean(shares), rel=1e-5)
        task = network.loss(network(batch.source), batch.source)
        assert float(losses["task"].detach()) == pytest.approx(float(task.detach()))
        factor = (1 + np.cos(np.pi * progress)) / 2
        assert float(losses["loss"].detach()) == pytest.approx(
            float(task.detach()) + 3.0 * factor * np.mean(shares), rel=1e-5
        )


def test_sparse_and_dense_rows_are_hidden_to_the_share_asked_for_and_reconstructed_clean() -> None:
    class Watched(nn.Module):
        """Keeps what it was shown."""

        def __init__(self, network: BagOfWordsNetwork) -> None:
            super().__init__()
            self.network = network
            self.shown: list[Batch] = []

        def forward(self, batch: Batch) -> Any:
            self.shown.append(batch)
            return self.network(batch)

        def loss(self, output: Any, batch: Batch) -> torch.Tensor:
            return self.network.loss(output, batch)

    rows = np.ones((300, NUM_FEATURES), dtype=np.float32)
    rows[:, 5:] = 0
    for form in ("sparse", "dense"):
        watched = Watched(make_network())
        batch = DomainBatch(make_batch(rows, form, np.zeros(300, dtype=np.int64)), make_batch(rows[:200], form))
        decoder = make_decoder(watched.network)
        with seeded(0):
            losses = make_reconstruction_step(decoder, reconstruction_weight=1.0, corruption=0.7)(watched, batch, 0.0)
        clean, source, target = (each.values[:, :5].numpy() for each in watched.shown if each.values is not None)
        assert (clean == 1).all() and batch.source.values is not None
        assert bool((batch.source.values[:, :5] == 1).all())  # and so are the batch's own
        for part in (source, target):
            assert set(np.unique(part)) == {0.0, 1.0}
            assert part.mean() == pytest.approx(0.3, abs=0.05)
        expected = [
            share_by_hand(rows[: len(part)], watched.network, mean, np.pad(part, ((0, 0), (0, 7))))
            for part, mean in zip((source, target), MEANS, strict=True)
        ]
        assert float(losses["reconstruction"].detach()) == pytest.approx(np.mean(expected), rel=1e-5)


def test_a_sample_of_the_columns_gives_the_full_loss_on_average() -> None:
    network = make_network()
    decoder = make_decoder(network)
    parts = [make_rows(3, 1), make_rows(2, 2)]
    for rows in parts:
        rows[:, 4:] = 0  # eight columns that no row lists
        rows[1, :4] = 0.5
    batch = DomainBatch(*(make_batch(rows, "sparse") for rows in parts))
    source, target = (network(part).features.detach() for part in (batch.source, batch.target))
    full = np.mean([share_by_hand(rows, network, mean, rows) for rows, mean in zip(parts, MEANS, strict=True)])
    with seeded(0):
        drawn = [float(decoder.loss(source, target, batch, num_sampled=3).detach()) for _ in range(1000)]
    assert np.std(drawn) > 0.05
    assert np.mean(drawn) == pytest.approx(full, abs=4 * np.std(drawn) / 1000**0.5)
    assert float(decoder.loss(source, target, batch, num_sampled=8).detach()) == pytest.approx(full, rel=1e-5)


def test_the_share_does_not_change_with_the_scale_of_the_features() -> None:
    # Of a network that says 0 the share is 1, of any rows but empty ones.
    nothing = nn.Parameter(torch.zeros(NUM_FEATURES, 4))
    decoder = ReconstructionDecoder(nothing, np.zeros(NUM_FEATURES), np.zeros(NUM_FEATURES))
    for factor in (0.01, 1.0, 50.0):
        batch = make_batch(np.float32(factor) * make_rows(4, 0), "sparse")
        loss = decoder.loss(torch.ones(4, 4), torch.ones(4, 4), DomainBatch(batch, batch), num_sampled=20)
        assert float(loss.detach()) == pytest.approx(1)
    halves = np.full(NUM_FEATURES, 0.5)
    decoder = ReconstructionDecoder(nothing, halves, halves)
    empty = make_batch(np.zeros((2, NUM_FEATURES), dtype=np.float32), "sparse")
    loss = decoder.loss(torch.ones(2, 4), torch.ones(2, 4), DomainBatch(empty, empty), num_sampled=20)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(NUM_FEATURES / 4)
    assert all(bool(torch.isfinite(part.grad).all()) for part in decoder.parameters() if part.grad is not None)


def test_tied_weights_are_one_parameter_that_both_losses_move() -> None:
    network = make_network()
    tied = NetworkWithParts(network, make_decoder(network))
    own = NetworkWithParts(network, ReconstructionDecoder(nn.Parameter(torch.zeros(NUM_FEATURES, 4)), *MEANS))
    plain = sum(parameter.numel() for parameter in network.parameters())
    assert sum(parameter.numel() for parameter in tied.parameters()) == plain + NUM_FEATURES * 2
    assert sum(parameter.numel() for parameter in own.parameters()) == plain + NUM_FEATURES * 6
    decoder = tied.part
    assert isinstance(decoder, ReconstructionDecoder)
    gradients = []
    for weight in (network.hidden_weight, nn.Parameter(network.hidden_weight.detach().clone())):
        decoder.weight = weight
        network.zero_grad()
        batch = DomainBatch(make_batch(make_rows(4, 0), "dense"), make_batch(make_rows(3, 1), "dense"))
        source, target = (network(part).features for part in (batch.source, batch.target))
        decoder.loss(source, target, batch, num_sampled=1).backward()
        gradients.append([None if part.grad is None else part.grad.clone() for part in (network.hidden_weight, weight)])
    # The tied weight's gradient is what it has as an encoder and what it has as a decoder.
    (both, _), (encoder, decoder_own) = gradients
    assert both is not None and encoder is not None and decoder_own is not None
    torch.testing.assert_close(both, encoder + decoder_own)


@pytest.mark.parametrize("form", ["sparse", "dense"])
def test_a_weight_of_0_is_the_plain_network_number_for_number_and_another_is_not(form: str) -> None:
    source, target = make_rows(25, 0), make_rows(17, 1)
    labels = np.arange(25) % 2

    def fit(weight: float | None) -> torch.Tensor:
        network = make_network(dropout=0.4, activation="relu")
        decoder = make_decoder(network)
        kind = np.asarray if form == "dense" else sparse.csr_matrix
        batches: Any = FeatureBatches(kind(source), labels, batch_size=8, seed=1)
        whole: nn.Module = network
        step: Any = lambda model, batch, progress: {"loss": model.loss(model(batch), batch)}  # noqa: E731
        if weight is not None:
            whole = NetworkWithParts(network, decoder)
            batches = DomainBatches(batches, FeatureBatches(kind(target), None, batch_size=6, seed=2))
            step = make_reconstruction_step(decoder, reconstruction_weight=weight)
        optimizer = torch.optim.AdamW(whole.parameters(), 1e-2, weight_decay=0.1)
        train(whole, step, batches, optimizer, epochs=3, seed=0)
        return torch.cat([tensor.flatten() for tensor in network.state_dict().values()])

    plain = fit(None)
    assert torch.equal(fit(0.0), plain)
    assert not torch.equal(fit(1.0), plain)


def test_what_can_not_be_is_refused() -> None:
    network = make_network()
    decoder = make_decoder(network)
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="reconstruction_weight must be a number from 0 on"):
            make_reconstruction_step(decoder, reconstruction_weight=weight)
    with pytest.raises(ValueError, match=r"corruption must be from 0 to 1, found 1\.5"):
        make_reconstruction_step(decoder, reconstruction_weight=1.0, corruption=1.5)
    with pytest.raises(ValueError, match="a mean row has 12 values, one per feature; found 3"):
        ReconstructionDecoder(network.hidden_weight, MEANS[0], np.zeros(3))
    documents = [np.array([2, 3, 4]), np.array([5])]
    with seeded(0):
        recurrent = RecurrentClassifier(nn.Embedding(20, 6, padding_idx=0), 2, hidden_dim=5)
    batches = DomainBatches(
        DocumentBatches(documents, np.array([0, 1]), batch_size=2, max_length=7, seed=1),
        DocumentBatches(documents, None, batch_size=2, max_length=7, seed=2),
    )
    with pytest.raises(ValueError, match="only a batch with values"):
        make_reconstruction_step(decoder, reconstruction_weight=1.0)(recurrent, next(iter(batches)), 0.0)
    items = DomainItems(documents, np.array([0, 1]), documents, 2)
    settings: dict[str, Any] = {"epochs": 1, "batch_size": 2, "learning_rate": 0.01, "weight_decay": 0.0, "seed": 0}
    with pytest.raises(InputError, match="'reconstruction:1' reconstructs features, and word ids have none"):
        train_network(parse_method("reconstruction:1"), lambda: recurrent, items, **settings)


def target_accuracy(method: str, seed: int, *, reads: str = "target") -> float:
    """Right on the target's other reviews, having read unlabelled reviews of the domain `reads`."""
    domains = make_review_domains(1000, seed=seed)
    source = domains.source["train"]
    texts = {"source": list(domains.source["unlabelled"]["text"]), "target": list(domains.target["unlabelled"]["text"])}
    extractor = NgramVectorizer(ngram_range=(1, 1), min_documents=5, normalize=True)
    extractor.fit([*source["text"], *texts["target"]])
    rows, read, test = (
        extractor.transform(part) for part in (source["text"], texts[reads], domains.target["train"]["text"])
    )
    arrays = DomainArrays(rows, np.asarray(source["label"]), read, 2)
    network = fit_network_system(parse_method(method), arrays, hidden_dim=50, epochs=20, seed=seed).network
    predicted = network.probabilities(FeatureBatches(test, None, batch_size=250)).argmax(axis=1)
    return float((predicted == np.asarray(domains.target["train"]["label"])).mean())


def test_words_that_only_the_target_has_are_learnt_from_the_words_beside_them() -> None:
    plain, joint = target_accuracy("network", 0), target_accuracy("reconstruction", 0)
    assert plain < 0.76
    assert joint > plain + 0.07
    # The control reconstructs more of the source in place of the target.
    assert joint > target_accuracy("reconstruction", 0, reads="source") + 0.03
