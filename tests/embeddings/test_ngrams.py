"""N-gram features equal scikit-learn's where it has them, and a slow count where it has none."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from nlptransfer.data.words import split_words
from nlptransfer.embeddings.ngrams import NgramVectorizer, count_terms
from nlptransfer.errors import InputError

TEXTS = [
    "A good book, a good read.",
    "Not a good book: I didn't like it!",
    "",
    "a dull book about good books and dull readers",
    "I like it; I like it not",
]
UNSEEN = ["good good dull unseen I", "nothing known", ""]
BAGS: list[dict[str, float]] = [{"10": 2.0, "9": 1.0}, {"9": 3.0, "100": 1.0, "7": 0.0}, {}, {"9": 1.0, "10": 1.0}]


def terms_of(text: str, smallest: int, largest: int) -> list[str]:
    words = split_words(text.lower())
    return [
        " ".join(words[start : start + size])
        for size in range(smallest, largest + 1)
        for start in range(len(words) - size + 1)
    ]


@pytest.mark.parametrize("weighting", ["binary", "counts", "log", "tfidf"])
@pytest.mark.parametrize("normalize", [False, True])
def test_features_equal_a_slow_count(weighting: Any, normalize: bool) -> None:
    vectorizer = NgramVectorizer(weighting=weighting, min_documents=2, normalize=normalize).fit(TEXTS)
    bags = [terms_of(text, 1, 2) for text in TEXTS]
    frequencies = {term: sum(term in bag for bag in bags) for bag in bags for term in bag}
    terms = sorted(term for term, number in frequencies.items() if number >= 2)
    assert vectorizer.terms_ == terms
    for text, row in zip(UNSEEN, vectorizer.transform(UNSEEN).toarray(), strict=True):
        expected = []
        for term in terms:
            count = terms_of(text, 1, 2).count(term)
            idf = math.log((1 + len(TEXTS)) / (1 + frequencies[term])) + 1
            weights = {
                "binary": float(count > 0),
                "counts": count,
                "log": math.log(1 + count),
                "tfidf": (1 + math.log(count)) * idf if count else 0.0,
            }
            expected.append(weights[weighting])
        length = math.sqrt(sum(value**2 for value in expected)) if normalize else 1
        np.testing.assert_allclose(row, np.array(expected) / (length or 1), rtol=1e-6)


def test_tfidf_equals_scikit_learn() -> None:
    settings: dict[str, Any] = {"tokenizer": split_words, "token_pattern": None, "ngram_range": (1, 3), "min_df": 2}
    theirs = TfidfVectorizer(**settings, sublinear_tf=True).fit(TEXTS)
    ours = NgramVectorizer(ngram_range=(1, 3), weighting="tfidf", normalize=True).fit(TEXTS)
    assert ours.terms_ == list(theirs.get_feature_names_out())
    np.testing.assert_allclose(ours.transform(UNSEEN).toarray(), theirs.transform(UNSEEN).toarray(), rtol=1e-6)
    np.testing.assert_allclose(ours.idf_, theirs.idf_)


def test_counts_equal_scikit_learn_for_texts_and_bags() -> None:
    theirs = CountVectorizer(tokenizer=split_words, token_pattern=None, ngram_range=(1, 2), lowercase=False)
    ours = NgramVectorizer(weighting="counts", min_documents=1, lowercase=False).fit(TEXTS)
    assert (ours.transform(TEXTS) != theirs.fit_transform(TEXTS)).nnz == 0
    assert ours.terms_ == list(theirs.get_feature_names_out())
    dicts = DictVectorizer()
    expected = dicts.fit_transform(BAGS).toarray()
    bags = NgramVectorizer(weighting="counts", min_documents=1).fit(BAGS)
    assert bags.terms_ == ["10", "100", "9"], "the term that is never there has no column"
    columns = [list(dicts.get_feature_names_out()).index(term) for term in bags.terms_]
    np.testing.assert_array_equal(bags.transform(BAGS).toarray(), expected[:, columns])


def test_rows_are_sparse_float32_with_int32_indices_and_empty_documents_are_zeros() -> None:
    for documents in (TEXTS, BAGS):
        vectorizer = NgramVectorizer(normalize=True)
        features = vectorizer.fit_transform(documents)
        assert sparse.isspmatrix_csr(features)
        assert features.dtype == np.float32
        assert features.indices.dtype == features.indptr.dtype == np.int32
        assert features.has_canonical_format and (features.data > 0).all()
        assert features[2].nnz == 0
        assert vectorizer.transform([]).shape == (0, vectorizer.dim)


def test_fitting_and_transforming_at_once_is_the_same() -> None:
    for documents in (TEXTS, BAGS):
        for weighting in ("binary", "tfidf"):
            vectorizer = clone(NgramVectorizer(weighting=weighting, max_features=3))  # type: ignore[arg-type]
            at_once = vectorizer.fit_transform(documents)
            assert at_once.shape == (len(documents), vectorizer.dim)
            assert (at_once != vectorizer.transform(documents)).nnz == 0


def test_the_terms_of_most_documents_are_kept_and_ties_go_by_text() -> None:
    texts = ["d c b", "d c a", "d b a", "e e e e e"]
    assert NgramVectorizer(ngram_range=(1, 1), min_documents=1, max_features=3).fit(texts).terms_ == ["a", "b", "d"]
    assert NgramVectorizer(ngram_range=(1, 1), min_documents=3, max_features=3).fit(texts).terms_ == ["d"]


def test_documents_and_arrays_of_the_caller_stay_as_they_were() -> None:
    bags = [dict(bag) for bag in BAGS]
    NgramVectorizer(weighting="log", normalize=True).fit_transform(bags)
    assert bags == BAGS


def test_seven_thousand_bags_take_well_under_a_second() -> None:
    rng = np.random.default_rng(0)
    bags = [dict.fromkeys(map(str, row.tolist()), 2.0) for row in rng.integers(0, 5000, (7000, 100))]
    started = time.process_time()
    features = NgramVectorizer().fit_transform(bags)
    assert time.process_time() - started < 1.0
    assert features.shape == (7000, 5000)


def test_no_term_left_says_why() -> None:
    number = len({term for text in TEXTS for term in terms_of(text, 1, 2)})
    with pytest.raises(
        InputError, match=rf"min_documents=9 or more; found {number} terms, none in more than 3\. Lower"
    ):
        NgramVectorizer(min_documents=9).fit(TEXTS)
    with pytest.raises(InputError, match=r"no words at all\. Check that the column"):
        NgramVectorizer().fit(["", "..."])
    with pytest.raises(InputError, match="there are no documents"):
        NgramVectorizer().fit([])


def test_texts_and_bags_do_not_mix() -> None:
    with pytest.raises(InputError, match=r"document 2 is not of the kind.*Expected a text; found a bag"):
        NgramVectorizer().fit(["a text", {"a": 1.0}])
    with pytest.raises(InputError, match=r"document 2 is neither a text nor a bag of counted terms\. Found NoneType"):
        NgramVectorizer().fit(["a text", None])  # type: ignore[list-item]
    with pytest.raises(InputError, match="Expected texts; found bags of counted terms"):
        NgramVectorizer().fit(TEXTS).transform(BAGS)
    with pytest.raises(InputError, match="Expected bags of counted terms; found texts"):
        NgramVectorizer().fit(BAGS).transform(["a good book"])


@pytest.mark.parametrize("count", [-1.0, math.nan, math.inf])
def test_what_is_no_count_is_refused(count: float) -> None:
    with pytest.raises(InputError, match=r"document 3 has a count that is none.* for 'b'"):
        count_terms([{"a": 1.0}, {}, {"a": 2.0, "b": count}])


def test_tfidf_refuses_counts_below_one() -> None:
    with pytest.raises(InputError, match=r"tfidf weighs whole counts.*found 0\.5"):
        NgramVectorizer(weighting="tfidf", min_documents=1).fit_transform([{"a": 0.5}])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weighting": "tf"}, "binary or counts or log or tfidf; found 'tf'"),
        ({"ngram_range": (2, 1)}, "ngram_range is not a range"),
        ({"min_documents": 0}, "min_documents is too small"),
        ({"max_features": 0}, "max_features is too small"),
    ],
)
def test_mistyped_settings_say_what_is_right(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        NgramVectorizer(**settings).fit(TEXTS)
