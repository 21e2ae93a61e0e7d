"""Packed and unpacked, vectors give the same for every word, found by whatever means."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nlptransfer.embeddings.packed_vectors import pack_vectors, unpack_vectors
from nlptransfer.embeddings.subwords import Subwords
from nlptransfer.embeddings.word_vectors import WordVectors

WORDS = ["the", "Straße", "کتاب", "two words"]
ASKED = [*WORDS, "THE", "straßen", "كتب", "x", ""]


def make_vectors(*, subwords: bool, buckets: bool = False) -> WordVectors:
    rng = np.random.default_rng(0)
    ngrams = None
    if subwords:
        values = rng.standard_normal((500, 3)).astype(np.float32)
        ngrams = Subwords(ngrams=values, num_buckets=500, min_n=2, max_n=3)
        if buckets:
            ngrams = ngrams.restricted_to(["straßen", "x"])
    matrix = rng.standard_normal((len(WORDS), 3)).astype(np.float32)
    matrix.setflags(write=False)  # as from the cache
    return WordVectors(WORDS, matrix, ngrams, source="file.bin", digest="abc")


@pytest.mark.parametrize(("subwords", "buckets"), [(False, False), (True, False), (True, True)])
def test_packing_keeps_every_words_vector(subwords: bool, buckets: bool) -> None:
    vectors = make_vectors(subwords=subwords, buckets=buckets)
    arrays, rest = pack_vectors(vectors)
    again = unpack_vectors(arrays, json.loads(json.dumps(rest)))
    assert (again.words, again.source, again.digest) == (WORDS, "file.bin", "abc")
    expected, expected_by = vectors.vectors_for(ASKED)
    found, found_by = again.vectors_for(ASKED)
    assert found_by == expected_by
    assert ("subwords" in found_by) == subwords
    assert (dict(zip(ASKED, found_by, strict=True))["كتب"] == "subwords") == (subwords and not buckets)
    np.testing.assert_array_equal(found, expected)
    assert all(array.flags.writeable for array in arrays.values()), "torch takes no read-only arrays"
