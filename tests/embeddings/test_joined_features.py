"""Joined features against a slow join, and through a saved model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from nlptransfer.data.documents import Document
from nlptransfer.embeddings.averaged_vectors import AveragedVectors
from nlptransfer.embeddings.extractors import Extractor, restore_extractor
from nlptransfer.embeddings.joined_features import JoinedFeatures
from nlptransfer.embeddings.ngrams import NgramVectorizer
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError
from nlptransfer.models.linear import LinearTextClassifier

TEXTS = ["A good book, not dull", "a dull book", "", "good good reads", "unheard of", "good unknown"]
FITTED = TEXTS[:4]
BAGS: list[Document] = [{"good": 2.0, "book": 1.0}, {"book": 3.0}, {}]
VECTORS = WordVectors(
    ["good", "book"], np.array([[1.0, 2.0, 0.0], [0.5, -1.0, 2.0]], np.float32), None, source="table", digest="none"
)


def ngrams(texts: list[Any] = FITTED, **settings: Any) -> NgramVectorizer:
    return NgramVectorizer(min_documents=1, **settings).fit(texts)


def averages() -> AveragedVectors:
    return AveragedVectors(VECTORS, weighting="idf").fit(FITTED)


def dense(rows: Any) -> np.ndarray:
    return rows.toarray() if sparse.issparse(rows) else np.asarray(rows)


def slow_join(parts: list[Extractor], documents: list[Any]) -> np.ndarray:
    """One document, one part and one number at a time."""
    joined = []
    for number in range(len(documents)):
        row: list[float] = []
        for part in parts:
            values = [float(value) for value in dense(part.transform(documents))[number]]
            length = sum(value**2 for value in values) ** 0.5
            row += [value / length if length else 0.0 for value in values]
        joined.append(row)
    return np.array(joined)


PARTS: dict[str, list[Any]] = {
    "one sparse": [ngrams(weighting="counts")],
    "one dense": [AveragedVectors(VECTORS)],
    "sparse and dense": [ngrams(weighting="tfidf"), averages()],
    "dense and sparse": [averages(), ngrams(weighting="counts", ngram_range=(2, 2))],
    "two sparse": [ngrams(weighting="log"), ngrams(lowercase=False, normalize=True)],
    "two dense": [averages(), AveragedVectors(VECTORS)],
    "joined again": [JoinedFeatures([averages(), ngrams()]), ngrams(weighting="tfidf")],
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_numbers_are_those_of_a_slow_join(parts: list[Any]) -> None:
    joined = JoinedFeatures(parts)
    rows = joined.transform(TEXTS)
    assert rows.dtype == np.float32 and rows.shape == (6, joined.dim) == (6, sum(part.dim for part in parts))
    np.testing.assert_allclose(dense(rows), slow_join(parts, TEXTS), atol=1e-6)
    assert not dense(rows)[2].any(), "an empty text is a row of zeros"
    is_sparse = [sparse.issparse(part.transform(TEXTS)) for part in parts]
    assert sparse.issparse(rows) == any(is_sparse)
    if sparse.issparse(rows):
        assert rows.format == "csr" and rows.indices.dtype == rows.indptr.dtype == np.int32
        assert (rows.data != 0).all() and rows.has_sorted_indices


def test_no_part_drowns_the_others_and_a_missing_one_leaves_the_rest_as_long_as_it_was() -> None:
    loud = AveragedVectors(WordVectors(["good"], np.array([[3e4]], np.float32), None, source="t", digest="n"))
    rows = dense(JoinedFeatures([ngrams(), loud]).transform(["good book", "book", "zzz good"]))
    lengths = np.linalg.norm(rows[:, :-1], axis=1), np.abs(rows[:, -1])
    np.testing.assert_allclose(lengths, [[1, 1, 1], [1, 0, 1]], rtol=1e-6)


def test_bags_are_joined_like_texts() -> None:
    parts: list[Any] = [ngrams(BAGS, weighting="counts"), AveragedVectors(VECTORS)]
    rows = JoinedFeatures(parts).transform(BAGS)
    np.testing.assert_allclose(dense(rows), slow_join(parts, BAGS), atol=1e-6)


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_no_documents_have_no_rows_and_still_their_columns(parts: list[Any]) -> None:
    joined = JoinedFeatures(parts)
    assert joined.transform([]).shape == (0, joined.dim)


def test_the_features_of_the_parts_are_not_written_into() -> None:
    class Kept:
        dim = 2
        rows = np.array([[3.0, 4.0], [0.0, 2.0]], np.float32)

        def transform(self, documents: Any) -> Any:
            return self.rows

    class KeptSparse(Kept):
        def transform(self, documents: Any) -> Any:
            return thin

    thin = sparse.csr_matrix(Kept.rows)
    rows = JoinedFeatures([Kept(), KeptSparse()]).transform(["a", "b"])  # type: ignore[list-item]
    np.testing.assert_allclose(rows.toarray(), [[0.6, 0.8, 0.6, 0.8], [0, 1, 0, 1]])
    assert Kept.rows.tolist() == thin.toarray().tolist() == [[3, 4], [0, 2]]


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_a_saved_classifier_makes_the_same_features_again(parts: list[Any], tmp_path: Path) -> None:
    joined = JoinedFeatures(parts)
    coefficients = np.random.default_rng(0).normal(size=(2, joined.dim))
    LinearTextClassifier(joined, ["neg", "pos"], coefficients, np.array([0.1, -0.1])).save_pretrained(tmp_path / "m")
    loaded = LinearTextClassifier.from_pretrained(tmp_path / "m")
    assert isinstance(loaded.extractor, JoinedFeatures) and loaded.extractor.dim == joined.dim
    np.testing.assert_array_equal(dense(loaded.extractor.transform(TEXTS)), dense(joined.transform(TEXTS)))
    expected = LinearTextClassifier(joined, ["neg", "pos"], coefficients, np.array([0.1, -0.1])).predict_proba(TEXTS)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), expected)
    loaded.save_pretrained(tmp_path / "again")
    again = LinearTextClassifier.from_pretrained(tmp_path / "again")
    np.testing.assert_array_equal(again.predict_proba(TEXTS), expected)


def test_more_than_ten_parts_keep_what_is_theirs() -> None:
    # Part 1's names must not be taken for part 11's.
    parts = [ngrams([f"only word{n}", f"word{n} again"], weighting="tfidf") for n in range(12)]
    joined = JoinedFeatures(parts)
    config, tensors, documents = joined.to_saved()
    restored = restore_extractor(json.loads(json.dumps(config)), tensors, json.loads(json.dumps(documents)))
    assert isinstance(restored, JoinedFeatures)
    assert [part.terms_ for part in restored.parts] == [part.terms_ for part in parts]  # type: ignore[attr-defined]
    texts = [f"only word{n}" for n in range(12)]
    np.testing.assert_array_equal(dense(restored.transform(texts)), dense(joined.transform(texts)))


def test_a_part_of_unknown_type_is_named() -> None:
    config, tensors, documents = JoinedFeatures([ngrams(), averages()]).to_saved()
    config["parts"][1]["type"] = "pixels"
    with pytest.raises(InputError, match=r"a type that is not known.*or joined or layered; found 'pixels'"):
        restore_extractor(config, tensors, documents)


def test_nothing_to_join_is_refused() -> None:
    with pytest.raises(ValueError, match="no features to join"):
        JoinedFeatures([])
