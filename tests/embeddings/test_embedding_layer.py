"""Each row is its word's vector; the rows without one come from the vectors' own distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nlptransfer.data.vocabulary import PADDING, UNKNOWN, Vocabulary
from nlptransfer.embeddings.embedding_layer import Unseen, make_embedding, make_random_embedding
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError


def make_vectors(words: list[str], matrix: np.ndarray) -> WordVectors:
    return WordVectors(words=words, matrix=matrix.astype(np.float32), subwords=None, source="test", digest="test")


@pytest.fixture
def vectors() -> WordVectors:
    """Each dimension with a mean and a scale of its own."""
    random = np.random.default_rng(0)
    matrix = random.normal(size=(500, 4)) * [0.1, 1.0, 3.0, 0.0] + [0.0, -2.0, 5.0, 7.0]
    return make_vectors([f"w{number}" for number in range(500)], matrix)


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("unseen", ["random", "mean", "zero"])
def test_a_words_row_is_its_vector_and_padding_is_zero(vectors: WordVectors, trainable: bool, unseen: Unseen) -> None:
    vocabulary = Vocabulary(["w7", "missing", "w499", "w0"])
    layer = make_embedding(vectors, vocabulary, trainable=trainable, unseen=unseen)
    assert layer.weight.shape == (6, 4) and layer.weight.dtype == torch.float32
    for word, row in (("w7", 7), ("w499", 499), ("w0", 0)):
        (number,) = vocabulary.ids([word])
        np.testing.assert_array_equal(layer.weight[number].detach().numpy(), vectors.matrix[row])
    assert (layer.weight[PADDING] == 0).all()


def test_a_word_is_found_by_the_fallbacks_that_are_on() -> None:
    vectors = make_vectors(["bank", "0000"], np.array([[1.0, 2.0], [3.0, 4.0]]))
    vocabulary = Vocabulary(["Bank", "1990"])
    layer = make_embedding(vectors, vocabulary, trainable=False, unseen="zero")
    assert layer.weight[2:].tolist() == [[1, 2], [3, 4]]
    layer = make_embedding(vectors, vocabulary, trainable=False, unseen="zero", fallbacks=("lower case",))
    assert layer.weight[2:].tolist() == [[1, 2], [0, 0]]
    layer = make_embedding(vectors, vocabulary, trainable=False, unseen="zero", fallbacks=())
    assert layer.weight[2:].tolist() == [[0, 0], [0, 0]]


def test_mean_and_zero_are_what_they_say(vectors: WordVectors) -> None:
    vocabulary = Vocabulary(["missing", "w1"])
    mean = make_embedding(vectors, vocabulary, trainable=True, unseen="mean").weight.detach().numpy()
    zero = make_embedding(vectors, vocabulary, trainable=True, unseen="zero").weight.detach().numpy()
    for number in (UNKNOWN, 2):
        np.testing.assert_allclose(mean[number], vectors.matrix.astype(np.float64).mean(axis=0), rtol=1e-5, atol=1e-6)
        assert (zero[number] == 0).all()


def test_random_rows_have_each_dimensions_own_mean_and_scale(vectors: WordVectors) -> None:
    vocabulary = Vocabulary([f"missing{number}" for number in range(20_000)])
    layer = make_embedding(vectors, vocabulary, trainable=True, generator=torch.Generator().manual_seed(0))
    rows = layer.weight[1:].detach().double().numpy()
    scale, mean = vectors.matrix.std(axis=0), vectors.matrix.mean(axis=0)
    np.testing.assert_allclose(rows.std(axis=0), scale, rtol=0.03, atol=1e-5)
    np.testing.assert_array_less(np.abs(rows.mean(axis=0) - mean), 4 * scale / math.sqrt(20_000) + 1e-5)
    standard = (rows[:, :3] - mean[:3]) / scale[:3]
    np.testing.assert_allclose((standard**4).mean(axis=0), 3.0, rtol=0.1)  # Gaussian, neither uniform nor heavy
    np.testing.assert_allclose(np.corrcoef(standard.T), np.eye(3), atol=0.04)


def test_random_rows_follow_from_the_generator_alone(vectors: WordVectors) -> None:
    vocabulary = Vocabulary(["missing", "w3", "gone"])

    def rows(seed: int) -> list[list[float]]:
        torch.rand(3)  # moves the global generator
        generator = torch.Generator().manual_seed(seed)
        weights: list[list[float]] = make_embedding(
            vectors, vocabulary, trainable=True, generator=generator
        ).weight.tolist()
        return weights

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


@pytest.mark.parametrize("unseen", ["random", "mean", "zero"])
def test_vectors_that_hold_no_word_never_make_rows_that_are_not_numbers(unseen: Unseen) -> None:
    """Vectors restricted to a vocabulary of which the file holds nothing have no rows at all."""
    nothing = make_vectors([], np.zeros((0, 3)))
    try:
        layer = make_embedding(nothing, Vocabulary(["a", "b"]), trainable=True, unseen=unseen)
    except InputError:
        return
    assert layer.weight.isfinite().all()


def test_an_empty_vocabulary_has_its_reserved_rows(vectors: WordVectors) -> None:
    assert make_embedding(vectors, Vocabulary([]), trainable=True, unseen="mean").weight.shape == (2, 4)


@pytest.mark.filterwarnings("error")
def test_read_only_vectors_are_neither_altered_nor_shared() -> None:
    matrix = np.arange(6, dtype=np.float32).reshape(3, 2)
    matrix.flags.writeable = False
    vectors = WordVectors(words=["a", "b", "c"], matrix=matrix, subwords=None, source="test", digest="test")
    layer = make_embedding(vectors, Vocabulary(["c", "a"]), trainable=True)
    with torch.no_grad():
        layer.weight.zero_()
    assert matrix.tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("trainable", [True, False])
def test_training_changes_the_rows_it_saw_if_they_are_trainable_and_never_padding(
    vectors: WordVectors, trainable: bool
) -> None:
    layer = make_embedding(vectors, Vocabulary(["w0", "missing", "w1"]), trainable=trainable)
    head = torch.nn.Linear(4, 2)
    before = layer.weight.detach().clone()
    parameters = [parameter for parameter in (*layer.parameters(), *head.parameters()) if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        head(layer(torch.tensor([[2, 3, 0], [UNKNOWN, 2, 0]]))).square().sum().backward()
        optimizer.step()
    changed = (layer.weight != before).any(dim=1).tolist()
    assert changed == ([False, True, True, True, False] if trainable else [False] * 5)
    assert layer.weight.requires_grad is trainable
    assert (layer.weight.grad is not None) is trainable


def test_random_embeddings_have_rows_of_norm_one_and_zero_padding() -> None:
    vocabulary = Vocabulary([f"w{number}" for number in range(5000)])
    layer = make_random_embedding(vocabulary, 50, generator=torch.Generator().manual_seed(0))
    weight = layer.weight.detach()
    assert weight.shape == (5002, 50) and layer.weight.requires_grad
    assert (weight[PADDING] == 0).all()
    assert float(weight.abs().max()) <= math.sqrt(3 / 50)
    assert float(weight[1:].square().sum(dim=1).mean()) == pytest.approx(1.0, abs=0.01)
    again = make_random_embedding(vocabulary, 50, generator=torch.Generator().manual_seed(0))
    other = make_random_embedding(vocabulary, 50, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again.weight, layer.weight) and not torch.equal(other.weight, layer.weight)


def test_an_unknown_choice_for_unseen_words_is_refused_with_the_choices(vectors: WordVectors) -> None:
    with pytest.raises(ValueError, match="'random', 'mean' or 'zero'; found 'zeros'"):
        make_embedding(vectors, Vocabulary(["a"]), trainable=True, unseen="zeros")  # type: ignore[arg-type]
