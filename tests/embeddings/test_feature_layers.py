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
@pytest.mark.parametrize("keep_input", [True, False])
def test_blocks_of_one_length_stand_side_by_side(kind: type, keep_input: bool) -> None:
    rows = np.random.default_rng(0).poisson(1.0, size=(7, 4)).astype(np.float32)
    rows[3] = 0  # an empty document
    first, second = layer(1, 4, 3), layer(2, 3, 5, "relu")
    weights = np.array([0.5, 2.0, 1.0, 3.0])
    read = rows / np.maximum(rows.max(axis=1, keepdims=True), 1)
    hidden = np.tanh(read @ first.weight + first.bias)
    top = np.maximum(hidden @ second.weight + second.bias, 0)
    parts = [weights * read, hidden, top] if keep_input else [hidden, top]
    expected = np.concatenate(
        [part / np.maximum(np.linalg.norm(part, axis=1)[:, None], 1e-9) for part in parts], axis=1
    )
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    layers = FeatureLayers([first, second], keep_input=keep_input, input_weights=weights)
    assert layers.dim == expected.shape[1]
    np.testing.assert_allclose(layers.transform(kind(rows)), expected, rtol=1e-4, atol=1e-6)
    projection = np.random.default_rng(9).normal(size=(layers.dim, 2)).astype(np.float32)
    projected = expected @ projection
    projected /= np.linalg.norm(projected, axis=1, keepdims=True)
    layers = FeatureLayers([first, second], keep_input=keep_input, input_weights=weights, projection=projection)
    np.testing.assert_allclose(layers.transform(kind(rows)), projected, rtol=1e-3, atol=1e-4)


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
    layers = FeatureLayers([layer(6, width, 3)], input_weights=weights, projection=projection)
    made = LayeredFeatures(vectorizer, layers)
    assert made.dim == (2 if projected else width + 3)
    config, tensors, documents = made.to_saved()
    restored = restore_extractor(config, tensors, documents)
    np.testing.assert_array_equal(restored.transform(TEXTS), made.transform(TEXTS))


def test_a_projection_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="7 features need a projection"):
        FeatureLayers([layer(1, 4, 3)], projection=np.zeros((6, 2), np.float32))
