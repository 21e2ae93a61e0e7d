"""Averaged vectors equal a slow mean, word by word."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nlptransfer.data.documents import Document
from nlptransfer.embeddings.averaged_vectors import AveragedVectors
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError

WORDS = ["good", "book", "dull", "Bank", "the"]
VECTORS = WordVectors(
    WORDS, np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32), None, source="table", digest="none"
)
TEXTS = ["The good, good book", "the xqzy", "THE dull Bank", "xqzy", ""]
BAGS: list[Document] = [{"good": 2.0, "book": 1.0, "xqzy": 5.0}, {}, {"xqzy": 1.0}]


def row(word: str) -> np.ndarray:
    return np.asarray(VECTORS.matrix[WORDS.index(word)], dtype=np.float64)


def test_the_mean_is_over_the_known_words_and_unknown_documents_are_zeros() -> None:
    features = AveragedVectors(VECTORS).transform(TEXTS)
    assert features.dtype == np.float32
    expected = [
        (row("the") + 2 * row("good") + row("book")) / 4,
        row("the"),
        (row("the") + row("dull") + row("Bank")) / 3,
        np.zeros(3),
        np.zeros(3),
    ]
    np.testing.assert_allclose(features, expected, rtol=1e-6)


def test_idf_counts_documents_in_any_case_and_unseen_words_weigh_most() -> None:
    features = AveragedVectors(VECTORS, weighting="idf").fit(TEXTS)
    common, rare = math.log(6 / 4) + 1, math.log(6 / 2) + 1
    expected = (common * row("the") + 2 * rare * row("good")) / (common + 2 * rare)
    np.testing.assert_allclose(features.transform(["good The good"])[0], expected, rtol=1e-6)
    unseen = AveragedVectors(VECTORS, weighting="idf").fit(["the"]).transform(["the dull"])
    most = math.log(2 / 1) + 1
    np.testing.assert_allclose(unseen[0], (row("the") + most * row("dull")) / (1 + most), rtol=1e-6)


def test_bags_are_words_with_their_counts() -> None:
    features = AveragedVectors(VECTORS).transform(BAGS)
    np.testing.assert_allclose(features, [(2 * row("good") + row("book")) / 3, np.zeros(3), np.zeros(3)], rtol=1e-6)


def test_coverage_is_the_share_of_running_words() -> None:
    assert AveragedVectors(VECTORS).coverage(TEXTS) == 8 / 10
    assert AveragedVectors(VECTORS, fallbacks=()).coverage(TEXTS) == 6 / 10
    assert AveragedVectors(VECTORS).coverage(BAGS) == 3 / 9
    assert AveragedVectors(VECTORS).coverage(["", "?"]) == 0.0


def test_no_documents_make_no_rows() -> None:
    assert AveragedVectors(VECTORS).transform([]).shape == (0, 3)


def test_idf_wants_a_fit_and_weightings_have_names() -> None:
    with pytest.raises(ValueError, match="must be fitted first"):
        AveragedVectors(VECTORS, weighting="idf").transform(TEXTS)
    with pytest.raises(InputError, match="mean or idf; found 'tfidf'"):
        AveragedVectors(VECTORS, weighting="tfidf")  # type: ignore[arg-type]
