"""Learnt layers: how they are applied, kept and read again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit

from nlptransfer.embeddings.extractors import restore_extractor
from nlptransfer.embeddings.feature_layers import (
    Activation,
    FeatureLayer,
    FeatureLayers,
    LayeredFeatures,
    scale_to_largest,
)
from nlptransfer.embeddings.ngrams import NgramVectorizer

TEXTS = ["a good book", "good good film", "a bad film", "bad book bad plot", "film"]


def layer(seed: int, inputs: int, outputs: int, activation: Activation = "tanh") -> FeatureLayer:
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=(inputs, outputs)), rng.normal(size=outputs)
    return FeatureLayer(weight.astype(np.float32), bias.astype(np.float32), activation)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csr_array])
def test_blocks_stand_side_by_side_and_rows_have_length_one(kind: type) -> None:
    rows = np.random.default_rng(0).poisson(1.0, size=(7, 4)).astype(np.float32)
    first, second = layer(1, 4, 3), layer(2, 3, 5, "relu")
    read = rows / np.maximum(rows.max(axis=1, keepdims=True), 1)
    hidden = np.tanh(read @ first.weight + first.bias)
    top = np.maximum(hidden @ second.weight + second.bias, 0)
    expected = np.concatenate([2 * read, 0.5 * top], axis=1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    layers = FeatureLayers([first, second], scales=[2, 0, 0.5])
    assert layers.dim == 9
    np.testing.assert_allclose(layers.transform(kind(rows)), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("tanh", np.tanh),
        ("relu", lambda x: np.maximum(x, 0)),
        ("softplus", lambda x: np.log1p(np.exp(x))),
        ("sigmoid", expit),
        ("identity", lambda x: x),
    ],
)
def test_activations_are_what_they_are_called(activation: Activation, function: np.ufunc) -> None:
    rows, own = np.random.default_rng(3).normal(size=(6, 4)).astype(np.float32), layer(4, 4, 3, activation)
    before = rows.copy()
    np.testing.assert_allclose(own.apply(rows), function(rows @ own.weight + own.bias), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(rows, before)


def test_binary_rows_of_length_one_become_binary_again() -> None:
    rows = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]], dtype=np.float32)
    unit = sparse.csr_matrix(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1))
    before = unit.copy()
    np.testing.assert_allclose(scale_to_largest(unit).toarray(), rows, rtol=1e-6)
    assert (unit != before).nnz == 0
    np.testing.assert_allclose(scale_to_largest(np.array([[2.0, -4.0], [0.0, 0.0]])), [[0.5, -1.0], [0.0, 0.0]])


@pytest.mark.parametrize("projected", [False, True])
def test_saved_layers_make_the_same_features_of_raw_text(projected: bool) -> None:
    vectorizer = NgramVectorizer(ngram_range=(1, 1), min_documents=1).fit(TEXTS)
    width = vectorizer.dim
    projection = np.random.default_rng(5).normal(size=(width + 3, 2)).astype(np.float32) if projected else None
    weights = np.linspace(0.5, 2, width)
    layers = FeatureLayers([layer(6, width, 3)], scales=[1, 0.3], projection=projection, input_weights=weights)
    made = LayeredFeatures(vectorizer, layers)
    assert made.dim == (2 if projected else width + 3)
    config, tensors, documents = made.to_saved()
    restored = restore_extractor(config, tensors, documents)
    np.testing.assert_array_equal(restored.transform(TEXTS), made.transform(TEXTS))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="need 2 scales"):
        FeatureLayers([layer(1, 4, 3)], scales=[1])
    with pytest.raises(ValueError, match="not all 0"):
        FeatureLayers([layer(1, 4, 3)], scales=[0, 0])
    with pytest.raises(ValueError, match="7 features need a projection"):
        FeatureLayers([layer(1, 4, 3)], scales=[1, 1], projection=np.zeros((6, 2), np.float32))


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_weights_come_before_everything(kind: type) -> None:
    rows = np.random.default_rng(8).poisson(1.0, size=(7, 4)).astype(np.float32)
    weights = np.array([0.5, 2.0, 1.0, 3.0], dtype=np.float32)
    weighted = FeatureLayers([layer(1, 4, 3)], scales=[1, 1], input_weights=weights)
    plain = FeatureLayers([layer(1, 4, 3)], scales=[1, 1])
    np.testing.assert_allclose(weighted.transform(kind(rows)), plain.transform(rows * weights), rtol=1e-5, atol=1e-6)
