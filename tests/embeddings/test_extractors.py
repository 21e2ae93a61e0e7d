"""A saved extractor makes the same features again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from nlptransfer.data.documents import Document
from nlptransfer.embeddings.averaged_vectors import AveragedVectors
from nlptransfer.embeddings.extractors import Extractor, restore_extractor
from nlptransfer.embeddings.ngrams import NgramVectorizer
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError

TEXTS = ["A good book, not dull", "a dull book", "", "good good reads"]
BAGS: list[Document] = [{"10": 2.0, "9": 1.0}, {"9": 3.0}, {}]
VECTORS = WordVectors(
    ["good", "book"], np.array([[1.0, 2.0], [0.5, -1.0]], np.float32), None, source="table", digest="none"
)


def as_saved(extractor: Extractor) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    config, tensors, documents = extractor.to_saved()
    return json.loads(json.dumps(config)), tensors, json.loads(json.dumps(documents))


@pytest.mark.parametrize(
    ("extractor", "documents"),
    [
        (NgramVectorizer(weighting="tfidf", min_documents=1, normalize=True, lowercase=False).fit(TEXTS), TEXTS),
        (NgramVectorizer(ngram_range=(2, 3), max_features=4, min_documents=1).fit(TEXTS), TEXTS),
        (NgramVectorizer(weighting="log", min_documents=1).fit(BAGS), BAGS),
        (AveragedVectors(VECTORS), TEXTS),
        (AveragedVectors(VECTORS, weighting="idf", fallbacks=("lower case",)).fit(TEXTS), TEXTS),
    ],
)
def test_a_restored_extractor_makes_the_same_features(extractor: Extractor, documents: list[Document]) -> None:
    before = extractor.transform(documents)
    restored = restore_extractor(*as_saved(extractor))
    after = restored.transform(documents)
    assert restored.dim == extractor.dim == after.shape[1]
    if sparse.issparse(before):
        before, after = before.toarray(), after.toarray()
    assert before.any()
    np.testing.assert_array_equal(before, after)
    config, _, values = as_saved(restored)
    assert (config, values) == (as_saved(extractor)[0], as_saved(extractor)[2]), "it can be saved again"


def test_an_unknown_type_of_extractor_is_named() -> None:
    with pytest.raises(InputError, match="averaged_vectors or encoder or ngrams or joined or layered; found 'pixels'"):
        restore_extractor({"type": "pixels"}, {}, {})
