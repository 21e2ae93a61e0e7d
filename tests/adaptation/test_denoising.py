"""Stacked denoising autoencoders: the layers, the losses, what is reported, the claim and its control."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.special import expit
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from nlptransfer.adaptation.denoising import DenoisingAutoencoder, StackedDenoising
from nlptransfer.data.feature_batches import FeatureBatches
from nlptransfer.data.synthetic_reviews import make_review_domains
from nlptransfer.errors import InputError
from nlptransfer.models.noise import corrupt_batch
from nlptransfer.models.sampled_reconstruction import sampled_reconstruction_loss
from nlptransfer.training.seeding import seeded

SMALL: dict[str, Any] = {"hidden_dims": (6, 4), "epochs": 2, "batch_size": 8, "num_sampled": 5, "learning_rate": 0.01}


def topics(seed: int, num_rows: int, num_columns: int = 30) -> np.ndarray:
    """Counts of words, a few of them common to a row."""
    random = np.random.default_rng(seed)
    weights = np.random.default_rng(0).uniform(0, 0.8, size=(3, num_columns)) ** 3
    rows = random.poisson(random.dirichlet([0.3] * 3, size=num_rows) @ weights * 3).astype(np.float32)
    rows[1] = 0  # a document without any known word
    rows[:, 5] = 0  # a feature that no document has
    return rows


def fitted(form: Any = sparse.csr_matrix, **settings: Any) -> StackedDenoising:
    estimator = StackedDenoising(**{**SMALL, **settings})
    return estimator.fit(form(topics(1, 25)), target_features=form(topics(2, 17)))


def units(values: np.ndarray, activation: str) -> np.ndarray:
    functions: dict[str, Any] = {
        "relu": lambda x: x * (x > 0),
        "softplus": lambda x: np.log1p(np.exp(x)),
        "tanh": np.tanh,
        "sigmoid": expit,
    }
    return np.asarray(functions[activation](values))


@pytest.mark.parametrize("form", ["dense", "sparse"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("activation", ["relu", "softplus", "tanh", "sigmoid"])
def test_the_loss_is_the_sampled_one_of_the_codes_in_numpy(activation: Any, tied: bool, form: str) -> None:
    rows = topics(1, 9)
    with seeded(0):
        bias = torch.randn(30)
        autoencoder = DenoisingAutoencoder(30, 4, activation=activation, tied=tied, decoder_bias=bias)
        torch.nn.init.normal_(autoencoder.bias)
        if not tied:
            torch.nn.init.normal_(autoencoder.decoder_weight)
    (batch,) = FeatureBatches(rows if form == "dense" else sparse.csr_matrix(rows), None, batch_size=9)
    corrupted = corrupt_batch(batch, "masking", 0.5, torch.Generator().manual_seed(1))
    dense = np.zeros_like(rows)
    assert corrupted.values is not None
    for row in range(9):
        for place in torch.nonzero(corrupted.mask[row]).ravel():
            dense[row, corrupted.input_ids[row, place]] = corrupted.values[row, place]
    codes = units(dense @ autoencoder.weight.detach().numpy() + autoencoder.bias.detach().numpy(), activation)
    np.testing.assert_allclose(autoencoder(corrupted).detach().numpy(), codes, rtol=1e-5, atol=1e-6)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        loss = autoencoder.loss(batch, corrupted, num_sampled=3, kind="squared")
        torch.manual_seed(7)
        expected = sampled_reconstruction_loss(
            torch.from_numpy(codes.astype(np.float32)), autoencoder.decoder_weight, bias, batch, num_sampled=3
        )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_joint_loss_goes_through_all_layers_and_back() -> None:
    rows = topics(1, 9)
    with seeded(0):
        first = DenoisingAutoencoder(30, 4, activation="tanh", tied=True, decoder_bias=torch.randn(30))
        second = DenoisingAutoencoder(4, 3, activation="tanh", tied=False, decoder_bias=torch.randn(4), input_scale=2.0)
        torch.nn.init.normal_(second.decoder_weight)
    (batch,) = FeatureBatches(sparse.csr_matrix(rows), None, batch_size=9)
    loss = first.loss(batch, batch, num_sampled=30, kind="squared", deeper=[second])
    one, two = ({name: value.detach().numpy() for name, value in part.state_dict().items()} for part in (first, second))
    codes = np.tanh(2 * np.tanh(rows @ one["weight"]) @ two["weight"])
    back = (codes @ two["own_decoder"].T + two["decoder_bias"]) / 2
    expected = np.square(back @ one["weight"].T + one["decoder_bias"] - rows).sum(axis=1).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("activation", ["relu", "softplus", "tanh", "sigmoid"])
def test_the_representation_is_the_networks_codes_in_blocks_of_equal_length(activation: Any) -> None:
    estimator = fitted(activation=activation)
    both = np.concatenate([topics(1, 25), topics(2, 17)])
    codes = np.divide(both, both.max(axis=1, keepdims=True), where=both.max(axis=1, keepdims=True) > 0, out=both * 0)
    blocks = [codes]
    with torch.no_grad():
        for autoencoder in estimator.autoencoders_:
            scaled = codes * np.float32(autoencoder.input_scale)
            (batch,) = FeatureBatches(scaled, None, batch_size=len(scaled))
            codes = autoencoder(batch).numpy()
            blocks.append(codes)
    blocks[0] = blocks[0] * estimator.layers_.input_weights
    lengths = [np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-12) for block in blocks]
    expected = np.concatenate([block / length for block, length in zip(blocks, lengths, strict=True)], axis=1)
    expected /= np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1e-12)
    found = estimator.transform(sparse.csr_matrix(both))
    assert found.dtype == np.float32 and found.shape == (42, 30 + 6 + 4)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(estimator.transform(both, domain="source"), found, rtol=1e-4, atol=1e-6)


def test_codes_alone_are_kept_where_the_input_is_not() -> None:
    estimator = fitted(activation="tanh", keep_input=False)
    found, whole = estimator.transform(topics(1, 25)), fitted(activation="tanh").transform(topics(1, 25))
    assert found.shape == (25, 10)
    codes = whole[:, 30:] / np.linalg.norm(whole[:, 30:], axis=1, keepdims=True)
    np.testing.assert_allclose(found, codes, rtol=1e-4, atol=1e-6)


def test_fit_transform_is_fit_and_then_transform_of_all_rows() -> None:
    source, target, more = topics(1, 25), topics(2, 17), topics(3, 11)
    estimator = StackedDenoising(**SMALL)
    found = estimator.fit_transform(source, target_features=target, source_unlabelled=more)
    again = StackedDenoising(**SMALL).fit(source, target_features=target, source_unlabelled=more)
    np.testing.assert_array_equal(found, again.transform(np.concatenate([source, target, more])))
    assert found.shape == (53, 40)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_a_feature_that_no_row_has_says_nothing(tied: bool) -> None:
    estimator = fitted(tied=tied)
    assert not estimator.layers_.layers[0].weight[5].any()
    assert estimator.layers_.layers[0].weight[[4, 6]].any(axis=1).all()


@pytest.mark.parametrize("noise", ["masking", "gaussian", "salt_and_pepper"])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csr_array])
def test_every_noise_trains_on_dense_and_sparse_rows_and_writes_into_neither(form: Any, noise: Any) -> None:
    source, target = form(topics(1, 25)), form(topics(2, 17))
    before = source.copy(), target.copy()
    estimator = StackedDenoising(**{**SMALL, "noise": noise, "corruption": 0.3}, joint_epochs=1)
    estimator.fit(source, target_features=target).transform(source)
    for rows, copy in zip((source, target), before, strict=True):
        np.testing.assert_array_equal(*(part.toarray() if sparse.issparse(part) else part for part in (rows, copy)))
    assert [(row["layer"], row["epoch"]) for row in estimator.history_] == [
        (1, 1), (1, 2), (2, 1), (2, 2), ("joint", 1),
    ]  # fmt: skip
    assert estimator.n_features_in_ == 30


def test_the_same_seed_gives_the_same_weights_and_another_one_others() -> None:
    state = torch.get_rng_state()
    first, second, other = fitted(seed=1), fitted(seed=1), fitted(seed=2)
    assert torch.equal(torch.get_rng_state(), state)  # and nobody else's randomness is touched
    for mine, yours, others in zip(first.layers_.layers, second.layers_.layers, other.layers_.layers, strict=True):
        np.testing.assert_array_equal(mine.weight, yours.weight)
        np.testing.assert_array_equal(mine.bias, yours.bias)
        assert not np.array_equal(mine.weight, others.weight)
    assert [row["loss"] for row in first.history_] == [row["loss"] for row in second.history_]


def test_a_clone_has_the_settings_and_no_weights() -> None:
    estimator = fitted(activation="tanh", hidden_dims=(3,))
    copy = clone(estimator)
    assert copy.get_params() == estimator.get_params() and not hasattr(copy, "layers_")
    np.testing.assert_array_equal(
        copy.fit(topics(1, 25), target_features=topics(2, 17)).transform(topics(3, 5)),
        fitted(np.asarray, activation="tanh", hidden_dims=(3,)).transform(topics(3, 5)),
    )


def test_untied_weights_begin_as_the_tied_ones_and_part() -> None:
    tied, untied = fitted(), fitted(tied=False)
    assert tied.autoencoders_[0].own_decoder is None
    first = untied.autoencoders_[0]
    assert first.own_decoder is not None and not torch.equal(first.weight, first.own_decoder)
    assert not np.array_equal(tied.layers_.layers[0].weight, untied.layers_.layers[0].weight)


def test_joint_training_moves_every_layer_and_lowers_the_loss_of_the_whole() -> None:
    settings: dict[str, Any] = {"epochs": 20, "num_sampled": 30, "corruption": 0.0, "deeper_corruption": 0.0}
    before, after = fitted(**settings), fitted(**settings, joint_epochs=40)
    for first, second in zip(before.layers_.layers, after.layers_.layers, strict=True):
        assert not np.array_equal(first.weight, second.weight)
    joint = [row["loss"] for row in after.history_ if row["layer"] == "joint"]
    assert len(joint) == 40 and joint[-1] < 0.95 * joint[0]


@pytest.mark.parametrize("reconstruction", ["cross_entropy", "squared"])
@pytest.mark.parametrize("activation", ["relu", "softplus", "tanh", "sigmoid"])
def test_influences_are_the_mean_slopes_of_the_reconstruction(activation: Any, reconstruction: Any) -> None:
    estimator = fitted(np.asarray, activation=activation, reconstruction=reconstruction, tied=False)
    rows, columns = np.concatenate([topics(1, 25), topics(2, 17)]).astype(np.float64), np.array([3, 20, 7])
    rows /= np.maximum(rows.max(axis=1, keepdims=True), 1)
    first = estimator.autoencoders_[0]
    weight, bias = (part.detach().double().numpy() for part in (first.weight, first.bias))
    decoder = first.decoder_weight.detach().double().numpy()[columns]

    def reconstruct(values: np.ndarray) -> np.ndarray:
        return units(values @ weight + bias, activation) @ decoder.T

    expected = np.empty((3, 30))
    step = 1e-6
    for feature in range(30):
        moved = np.eye(30)[feature] * step
        expected[:, feature] = ((reconstruct(rows + moved) - reconstruct(rows - moved)) / (2 * step)).mean(axis=0)
    found = estimator.influences(columns)
    assert found.shape == (3, 30) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("reconstruction", ["cross_entropy", "squared"])
def test_reconstruction_errors_are_those_of_the_formula(reconstruction: Any) -> None:
    # Without noise there is nothing random in them.
    estimator = fitted(reconstruction=reconstruction, corruption=0.0, deeper_corruption=0.0)
    rows: Any = topics(3, 50)
    rows /= np.maximum(rows.max(axis=1, keepdims=True), 1)
    expected = []
    for number, (layer, autoencoder) in enumerate(zip(estimator.layers_.layers, estimator.autoencoders_, strict=True)):
        codes = layer.apply(rows)
        with torch.no_grad():
            answer = codes @ autoencoder.decoder_weight.numpy().T + autoencoder.decoder_bias.numpy()
        wanted = rows * autoencoder.input_scale
        if reconstruction == "cross_entropy" and number == 0:
            answer, wanted = expit(answer), (rows > 0).astype(float)
        expected.append(((wanted - answer) ** 2).sum() / ((wanted - wanted.mean(axis=0)) ** 2).sum())
        rows = codes
    found = estimator.reconstruction_errors(sparse.csr_matrix(topics(3, 50)), seed=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_training_lowers_the_reconstruction_errors_and_noise_raises_them() -> None:
    settings: dict[str, Any] = {"corruption": 0.3, "deeper_corruption": 0.3, "hidden_dims": (10, 6)}
    brief, long = fitted(**settings, epochs=1), fitted(**settings, epochs=60)
    new = sparse.csr_matrix(topics(3, 80))
    few, many = (estimator.reconstruction_errors(new, seed=0) for estimator in (brief, long))
    assert all(after < before for before, after in zip(few, many, strict=True))
    assert many[0] < 0.9
    assert many == long.reconstruction_errors(new, seed=0) != long.reconstruction_errors(new, seed=1)
    assert many[0] < long.set_params(corruption=0.9).reconstruction_errors(new, seed=0)[0]


def test_features_of_both_domains_carry_over_where_raw_ones_do_not_and_without_target_text_less() -> None:
    domains = make_review_domains(1_000, seed=1)
    parts = (
        domains.source["train"],
        domains.source["unlabelled"],
        domains.target["unlabelled"],
        domains.target["train"],
    )
    vectorizer = CountVectorizer(binary=True, dtype=np.float32, min_df=2)
    vectorizer.fit([text for part in parts[:3] for text in part["text"]])
    source, more, unlabelled, test = (vectorizer.transform(part["text"]) for part in parts)
    labels, test_labels = np.array(parts[0]["label"]), np.array(parts[3]["label"])

    def accuracy(train_rows: Any, test_rows: Any) -> float:
        model = LogisticRegression(C=10, max_iter=300).fit(train_rows, labels)
        return float(model.score(test_rows, test_labels))

    estimator = StackedDenoising(hidden_dims=(80,), epochs=15, seed=0)
    raw = accuracy(normalize(source), normalize(test))
    gains = []
    for target in (unlabelled, None):
        estimator.fit(source, target_features=target, source_unlabelled=more)
        gains.append(accuracy(estimator.transform(source), estimator.transform(test)) - raw)
    assert raw < 0.78
    assert gains[0] > 0.08
    assert gains[1] < gains[0] - 0.04


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation": "step"}, "unknown activation"),
        ({"noise": "snow"}, "unknown noise"),
        ({"reconstruction": "hinge"}, "unknown reconstruction"),
        ({"corruption": 1.0}, "corruption of SDA is out of range"),
        ({"deeper_corruption": -0.1}, "deeper_corruption of SDA"),
        ({"noise": "gaussian", "corruption": -1.0}, "0 or more"),
        ({"hidden_dims": ()}, "hidden_dims of SDA"),
        ({"hidden_dims": (4, 0)}, r"found \(4, 0\)"),
        ({"epochs": 0}, "epochs of SDA"),
        ({"batch_size": 0}, "batch_size of SDA"),
        ({"num_sampled": 0}, "num_sampled of SDA"),
        ({"joint_epochs": -1}, "joint_epochs of SDA"),
        ({"learning_rate": 0.0}, "learning_rate of SDA"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fitted(**settings)


def test_rows_that_cannot_be_learnt_from_are_refused() -> None:
    estimator = StackedDenoising(**SMALL)
    with pytest.raises(InputError, match="no feature at all"):
        estimator.fit(sparse.csr_matrix((4, 30), dtype=np.float32))
    with pytest.raises(InputError, match="target features have another width"):
        estimator.fit(topics(1, 25), target_features=topics(2, 17)[:, :20])
    with pytest.raises(InputError, match="Set reconstruction to squared"):
        estimator.fit(topics(1, 25) - 1)
    estimator.set_params(reconstruction="squared").fit(topics(1, 25) - 1)
    with pytest.raises(InputError, match="another width"):
        estimator.transform(topics(1, 25)[:, :20])
    with pytest.raises(ValueError, match="domain is"):
        estimator.transform(topics(1, 25), domain="third")
