"""Documents as the mean of their words' pretrained vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from scipy import sparse

from nlptransfer.data.documents import Document
from nlptransfer.embeddings.ngrams import count_terms, document_frequencies, inverse_document_frequencies
from nlptransfer.embeddings.packed_vectors import pack_vectors, unpack_vectors
from nlptransfer.embeddings.word_forms import FALLBACKS
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    import torch

AverageWeighting = Literal["mean", "idf"]


class AveragedVectors:
    """The mean of the vectors of a document's words, each weighted by its idf where that is asked for.

    With c(w) the count of word w in the document, over the words that have a vector v(w)::

        x = sum_w c(w) g(w) v(w) / sum_w c(w) g(w),   g(w) = 1 ("mean")  or  ln((1 + N) / (1 + df(w))) + 1 ("idf")

    N and df, the number of documents and of those that hold the word in any case, are those of `fit`; a word that none
    of them holds has df 0. Bags of counted terms are taken as words with their counts. The vectors travel with a saved
    model: read those that the texts can use (``vocabulary`` and ``max_words`` of `read_word_vectors`).

    Args:
        vectors: the pretrained vectors.
        weighting: "mean" needs no `fit`; "idf" does.
        fallbacks: some of `FALLBACKS`, for words that are not among the vectors as they are spelled.

    Reference: Wieting et al. 2016, section 3 (plain mean), https://arxiv.org/abs/1511.08198.

    Compare with: `NgramVectorizer`, sparse, which knows word order and needs no pretrained vectors; `EncoderFeatures`,
    which reads words in their context.

    Example:
        >>> features = AveragedVectors(read_word_vectors("glove.6B.100d.txt"), weighting="idf").fit(texts)
        >>> features.transform(["a good book"]).shape
        (1, 100)
    """

    def __init__(
        self, vectors: WordVectors, *, weighting: AverageWeighting = "mean", fallbacks: Sequence[str] = FALLBACKS
    ) -> None:
        if weighting not in get_args(AverageWeighting):
            raise InputError(
                "unknown weighting", expected=" or ".join(get_args(AverageWeighting)), found=repr(weighting)
            )
        self.vectors = vectors
        self.weighting = weighting
        self.fallbacks = tuple(fallbacks)
        self._idf: dict[str, float] = {}
        self._unseen_idf: float | None = None if weighting == "idf" else 1.0

    def fit(self, documents: Sequence[Document]) -> AveragedVectors:
        """Count in how many of the documents each word occurs; for "mean" there is nothing to count."""
        if self.weighting == "idf":
            counts, words = count_terms(documents, lowercase=True)
            idf = inverse_document_frequencies(document_frequencies(counts), len(documents))
            self._keep(words, idf, float(np.log(1 + len(documents)) + 1))
        return self

    def transform(self, documents: Sequence[Document]) -> np.ndarray:
        """The features of documents.

        Args:
            documents: texts, or bags of counted words.

        Returns:
            (documents, D) float32, dense; zeros where none of a document's words is known.

        Raises:
            InputError: texts among bags, or a count that is no count.
            ValueError: the weighting is "idf", and `fit` was not called.
        """
        if self._unseen_idf is None:
            raise ValueError("AveragedVectors(weighting='idf') must be fitted first")
        weights, words = count_terms(documents)
        vectors, found_by = self.vectors.vectors_for(words, fallbacks=self.fallbacks)
        known = np.array([name != "not found" for name in found_by], dtype=bool)
        idf = np.array([self._idf.get(word.lower(), self._unseen_idf) for word in words])
        weights = weights.astype(np.float64)
        weights.data *= (idf * known)[weights.indices]
        totals = np.asarray(weights.sum(axis=1)).ravel()
        # Before the product: a mean of equal vectors is that vector.
        weights = sparse.diags_array(1 / np.where(totals > 0, totals, 1)) @ weights
        return np.asarray(weights @ vectors, dtype=np.float32)  # (documents, D)

    def coverage(self, documents: Sequence[Document]) -> float:
        """The share of the documents' running words that have a vector; 0 where there are no words."""
        counts, words = count_terms(documents)
        known = np.array(
            [name != "not found" for name in self.vectors.lookup(words, fallbacks=self.fallbacks)[1]], bool
        )
        of_word = np.asarray(counts.sum(axis=0, dtype=np.float64)).ravel()
        return float(of_word[known].sum() / max(of_word.sum(), 1))

    @property
    def dim(self) -> int:
        """D, numbers per document."""
        return self.vectors.dim

    def to_saved(self) -> tuple[dict[str, Any], dict[str, torch.Tensor], dict[str, Any]]:
        """Settings, tensors and other values from which `from_saved` builds the same features."""
        import torch

        arrays, rest = pack_vectors(self.vectors)
        arrays["idf"] = np.array(list(self._idf.values()), dtype=np.float64)
        config = {
            "type": "averaged_vectors",
            "weighting": self.weighting,
            "fallbacks": list(self.fallbacks),
            "unseen_idf": self._unseen_idf,
        }
        tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
        return config, tensors, {"vectors": rest, "idf_words": list(self._idf)}

    @classmethod
    def from_saved(
        cls, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], documents: Mapping[str, Any]
    ) -> AveragedVectors:
        """The features of which `to_saved` gave `config`, `tensors` and `documents`."""
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        features = cls(
            unpack_vectors(arrays, documents["vectors"]), weighting=config["weighting"], fallbacks=config["fallbacks"]
        )
        features._keep(documents["idf_words"], arrays["idf"], config["unseen_idf"])
        return features

    def _keep(self, words: Sequence[str], idf: np.ndarray, unseen_idf: float | None) -> None:
        self._idf = dict(zip(words, idf.tolist(), strict=True))
        self._unseen_idf = unseen_idf
