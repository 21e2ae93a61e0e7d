"""Documents as rows of weighted n-gram counts."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import CountVectorizer

from nlptransfer.data.documents import Document
from nlptransfer.data.words import split_words
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    import torch

Weighting = Literal["binary", "counts", "log", "tfidf"]


class NgramVectorizer(BaseEstimator):
    """The n-grams of documents, counted and weighted.

    With c the count of term t in the document, N the number of documents given to `fit` and df(t) how many of them
    hold t, a feature is::

        binary   1 where c > 0
        counts   c
        log      ln(1 + c)
        tfidf    (1 + ln c) * idf(t),   idf(t) = ln((1 + N) / (1 + df(t))) + 1

    Texts are split by `split_words`. Documents that are bags of counted terms are taken as they are: `ngram_range` and
    `lowercase` do nothing to them. Across domains, fit on the source's texts together with the target's unlabelled
    ones, so that the target's own words have columns.

    Args:
        ngram_range: smallest and largest number of words in a term.
        weighting: "binary", "counts", "log" or "tfidf".
        min_documents: leave out terms that fewer documents hold.
        max_features: keep so many terms, those of most documents first (ties: first as text); None keeps all.
        lowercase: fold case before words are compared.
        normalize: divide each row by its L2 norm.

    Attributes after `fit`: ``terms_``, the D terms sorted as text, one per column; ``idf_``, (D,) float64, counted
    whatever the weighting; ``reads_counts_``, whether documents are bags of counted terms.

    Reference: Salton & Buckley 1988, https://doi.org/10.1016/0306-4573(88)90021-0; the weights of "tfidf" are those of
    scikit-learn's ``TfidfVectorizer(sublinear_tf=True)``. Binary features are those of Pang, Lee & Vaithyanathan 2002,
    https://aclanthology.org/W02-1011.

    Compare with: `AveragedVectors`, dense and blind to word order; `EncoderFeatures`, better and far slower.

    Example:
        >>> vectorizer = NgramVectorizer(ngram_range=(1, 1), min_documents=1).fit(["a good book", "a dull book"])
        >>> vectorizer.terms_
        ['a', 'book', 'dull', 'good']
        >>> vectorizer.transform(["good, good book"]).toarray()
        array([[0., 1., 0., 1.]], dtype=float32)
    """

    def __init__(
        self,
        *,
        ngram_range: tuple[int, int] = (1, 2),
        weighting: Weighting = "binary",
        min_documents: int = 2,
        max_features: int | None = None,
        lowercase: bool = True,
        normalize: bool = False,
    ) -> None:
        self.ngram_range = ngram_range
        self.weighting = weighting
        self.min_documents = min_documents
        self.max_features = max_features
        self.lowercase = lowercase
        self.normalize = normalize

    def fit(self, documents: Sequence[Document]) -> NgramVectorizer:
        """Choose the terms and count in how many documents each occurs.

        Args:
            documents: texts, or bags of counted terms; not both.

        Raises:
            InputError: no documents, texts among bags, a count that is no count, or no term is left.
        """
        self._fit(documents)
        return self

    def transform(self, documents: Sequence[Document]) -> sparse.csr_matrix:
        """The features of documents; those without a known term are rows of zeros.

        Args:
            documents: of the kind that was given to `fit`.

        Returns:
            (documents, D) CSR, float32 with int32 indices.

        Raises:
            InputError: documents of the other kind, or a count that is no count.
        """
        if any(isinstance(document, str) == self.reads_counts_ for document in documents):
            kinds = "texts", "bags of counted terms"
            raise InputError(
                "the documents are not of the kind that the n-grams were fitted on",
                expected=kinds[self.reads_counts_],
                found=kinds[not self.reads_counts_],
                remedy="Give the corpus in the form of the training data.",
            )
        return self._weigh(self._counts(documents, self._columns)[0])

    def fit_transform(self, documents: Sequence[Document]) -> sparse.csr_matrix:
        """`fit`, then `transform`, without counting twice."""
        return self._weigh(self._fit(documents))

    @property
    def dim(self) -> int:
        """D, the number of terms."""
        return len(self.terms_)

    def to_saved(self) -> tuple[dict[str, Any], dict[str, torch.Tensor], dict[str, Any]]:
        """Settings, tensors and other values from which `from_saved` builds the same vectorizer."""
        import torch

        settings = {**self.get_params(), "ngram_range": list(self.ngram_range)}
        config = {"type": "ngrams", "settings": settings, "reads_counts": self.reads_counts_}
        return config, {"idf": torch.from_numpy(self.idf_)}, {"terms": self.terms_}

    @classmethod
    def from_saved(
        cls, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], documents: Mapping[str, Any]
    ) -> NgramVectorizer:
        """The vectorizer of which `to_saved` gave `config`, `tensors` and `documents`."""
        settings = dict(config["settings"])
        vectorizer = cls(**{**settings, "ngram_range": tuple(settings["ngram_range"])})
        vectorizer._keep(documents["terms"], tensors["idf"].numpy(), config["reads_counts"])
        return vectorizer

    def _fit(self, documents: Sequence[Document]) -> sparse.csr_matrix:
        """Keep the terms; returns their counts in `documents`."""
        self._check_settings()
        if not documents:
            raise InputError("there are no documents to take n-grams from", expected="at least one", found="none")
        counts, found = self._counts(documents, None)
        num_documents = document_frequencies(counts)
        often = np.flatnonzero(num_documents >= self.min_documents)
        chosen = sorted((-int(num_documents[column]), found[column], column) for column in often)[: self.max_features]
        if not chosen:
            highest = int(num_documents.max(initial=0))
            raise InputError(
                f"no n-gram is left of {len(documents):,} documents",
                expected=f"terms that occur in min_documents={self.min_documents} or more",
                found=f"{len(found):,} terms, none in more than {highest:,}" if found else "no words at all",
                remedy="Lower min_documents or give more documents."
                if found
                else "Check that the column with the texts was named.",
            )
        columns = [column for _, _, column in sorted(chosen, key=lambda entry: entry[1])]
        self._keep(
            [found[column] for column in columns],
            inverse_document_frequencies(num_documents[columns], len(documents)),
            not isinstance(documents[0], str),
        )
        kept: sparse.csr_matrix = counts[:, columns]
        kept.sort_indices()
        return kept

    def _check_settings(self) -> None:
        smallest, largest = self.ngram_range
        if not 1 <= smallest <= largest:
            raise InputError(
                "ngram_range is not a range", expected="1 <= smallest <= largest", found=f"{self.ngram_range}"
            )
        if self.weighting not in get_args(Weighting):
            raise InputError("unknown weighting", expected=" or ".join(get_args(Weighting)), found=repr(self.weighting))
        for name, value in (("min_documents", self.min_documents), ("max_features", self.max_features)):
            if value is not None and value < 1:
                raise InputError(f"{name} is too small", expected="at least 1", found=str(value))

    def _keep(self, terms: list[str], idf: np.ndarray, reads_counts: bool) -> None:
        self.terms_ = terms
        self.idf_ = idf
        self.reads_counts_ = reads_counts
        self._columns = {term: column for column, term in enumerate(terms)}

    def _counts(
        self, documents: Sequence[Document], columns: Mapping[str, int] | None
    ) -> tuple[sparse.csr_matrix, list[str]]:
        return count_terms(documents, ngram_range=self.ngram_range, lowercase=self.lowercase, columns=columns)

    def _weigh(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        """Weighs in place: `counts` was made here."""
        if self.weighting == "binary":
            counts.data[:] = 1
        elif self.weighting == "log":
            counts.data = np.log1p(counts.data)
        elif self.weighting == "tfidf":
            if (counts.data < 1).any():
                raise InputError(
                    "tfidf weighs whole counts",
                    expected="counts of 1 or more",
                    found=f"{counts.data.min():g}",
                    remedy="Use the weighting 'counts' or 'log'.",
                )
            counts.data = ((1 + np.log(counts.data)) * self.idf_[counts.indices]).astype(np.float32)
        if self.normalize:
            lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
            counts.data /= np.repeat(lengths, np.diff(counts.indptr))
        return counts


def count_terms(
    documents: Sequence[Document],
    *,
    ngram_range: tuple[int, int] = (1, 1),
    lowercase: bool = False,
    columns: Mapping[str, int] | None = None,
) -> tuple[sparse.csr_matrix, list[str]]:
    """Count the n-grams of texts, or lay out bags of terms that were counted before.

    Args:
        documents: texts, or bags of counted terms, which are taken as they are.
        ngram_range: smallest and largest number of words in a term.
        lowercase: fold the case of texts.
        columns: term -> column, 0 to T - 1; other terms are left out. None: a column for each term that occurs.

    Returns:
        (documents, T) CSR float32 with int32 indices, without stored zeros; and the T terms.

    Raises:
        InputError: texts among bags or the other way round, or a count that is negative or no number.
    """
    splitter = CountVectorizer(tokenizer=split_words, token_pattern=None, ngram_range=ngram_range, lowercase=lowercase)
    known: dict[str, int] = {}
    indices, values, ends = array("i"), array("f"), array("q", [0])
    for bag in _bags(documents, splitter.build_analyzer()):
        if columns is None:
            indices.extend([known.setdefault(term, len(known)) for term in bag])
            values.extend(bag.values())
        else:
            held = [(column, count) for term, count in bag.items() if (column := columns.get(term)) is not None]
            indices.extend([column for column, _ in held])
            values.extend([count for _, count in held])
        ends.append(len(indices))
    terms = list(known if columns is None else columns)
    data = np.array(values, dtype=np.float32)
    if not np.isfinite(data).all() or (data < 0).any():
        entry = int(np.flatnonzero(~(np.isfinite(data) & (data >= 0)))[0])
        raise InputError(
            f"document {int(np.searchsorted(ends, entry, side='right'))} has a count that is none",
            expected="numbers from 0 on",
            found=f"{data[entry]:g} for {terms[indices[entry]]!r}",
        )
    counts = sparse.csr_matrix(
        (data, np.array(indices, np.int32), np.array(ends, np.int32)), (len(documents), len(terms))
    )
    counts.eliminate_zeros()
    counts.sort_indices()
    return counts, terms


def document_frequencies(counts: sparse.csr_matrix) -> np.ndarray:
    """In how many documents each term occurs, (T,), from counts (documents, T) without stored zeros."""
    return np.bincount(counts.indices, minlength=counts.shape[1])


def inverse_document_frequencies(num_documents: np.ndarray, total: int) -> np.ndarray:
    """idf(t) = ln((1 + N) / (1 + df(t))) + 1, as if one more document held every term.

    Args:
        num_documents: (T,) df, how many documents hold each term.
        total: N, how many documents there are.

    Returns:
        (T,) float64.
    """
    return np.log((1 + total) / (1 + num_documents)) + 1


def _bags(documents: Sequence[Document], analyze: Callable[[str], list[str]]) -> Iterator[Mapping[str, float]]:
    """Each document as a bag of counted terms; they must be all texts, or none of them."""
    kind = None
    for number, document in enumerate(documents, start=1):
        if not isinstance(document, str | Mapping):
            raise InputError(
                f"document {number} is neither a text nor a bag of counted terms", found=type(document).__name__
            )
        own_kind = "a text" if isinstance(document, str) else "a bag of counted terms"
        kind = kind or own_kind
        if own_kind != kind:
            raise InputError(f"document {number} is not of the kind of those before", expected=kind, found=own_kind)
        yield Counter(analyze(document)) if isinstance(document, str) else document
