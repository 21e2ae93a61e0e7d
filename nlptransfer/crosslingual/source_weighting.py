"""Source sentences by closeness to the target: features that both languages share, and sentences drawn by weight.

The weights themselves come from `DensityRatioWeighting`, `KLIEP` or `KernelMeanMatching`, which take such features; for
vectors in one space, `AveragedVectors` makes features without further ado.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlptransfer.data.subword_words import encode_words
from nlptransfer.embeddings.ngrams import NgramVectorizer, document_frequencies
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from scipy import sparse


def shared_subword_features(
    tokenizer: Any,
    source_sentences: Sequence[Sequence[str]],
    target_sentences: Sequence[Sequence[str]],
    *,
    min_sentences: int = 2,
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Sentences of two languages as bags of those subwords that both use.

    A subword that one language alone uses tells which language a sentence is of, and nothing about which source
    sentences are near the target. An estimator of weights that sees such columns tells the languages apart by them, and
    learns the less of what both have in common.

    Args:
        tokenizer: of a vocabulary for both languages, such as `train_shared_vocabulary` gives.
        source_sentences: N lists of words, bridged where the bridge goes from the source.
        target_sentences: M lists of words, likewise.
        min_sentences: a subword counts as used by a language if so many of its sentences hold it.

    Returns:
        (N, D) and (M, D) CSR float32: 1 where a sentence holds a subword. A sentence may hold none.

    Raises:
        InputError: the languages have no subword in common.

    Reference:
        Shimodaira 2000, https://doi.org/10.1016/S0378-3758(00)00115-4, for what such weights are for; that the features
        must be common to both is his condition that the source has text wherever the target has.

    Compare with:
        `NgramVectorizer` on the bridged texts, which weighs words and keeps those of one language.

    Example:
        >>> features = shared_subword_features(tokenizer, hindi, bridged_urdu)
        >>> weights = DensityRatioWeighting(C=0.1).fit(features[0], target_features=features[1]).weights_
    """
    bags = [_bags(tokenizer, sentences) for sentences in (source_sentences, target_sentences)]
    vectorizer = NgramVectorizer(ngram_range=(1, 1), weighting="binary", min_documents=1).fit([*bags[0], *bags[1]])
    source, target = (vectorizer.transform(own) for own in bags)
    used = [document_frequencies(features) >= min_sentences for features in (source, target)]
    columns = np.flatnonzero(used[0] & used[1])
    if not len(columns):
        raise InputError(
            "source and target have no subword in common",
            expected=f"subwords in at least {min_sentences} sentences of each",
            found=f"{int(used[0].sum()):,} of the source and {int(used[1].sum()):,} of the target, none of both",
            remedy="Bring both languages to one script first.",
        )
    return source[:, columns], target[:, columns]


def draw_by_weight(weights: ArrayLike, *, seed: int) -> NDArray[np.int64]:
    r"""Sentences repeated or left out by their weights, for models whose loss knows none, such as taggers.

    With weights w scaled to the mean 1, item i is drawn :math:`\lfloor w_i \rfloor` times, and once more with the
    probability :math:`w_i - \lfloor w_i \rfloor`: on average :math:`w_i` times, and N items in all.

    Args:
        weights: (N,) from 0 on, on any scale.
        seed: of the drawing.

    Returns:
        Numbers of items, ascending; draw anew for each epoch, so that none is left out for good.

    Raises:
        ValueError: a weight is negative or not finite, or all are 0.

    Reference:
        Whitley 1994, "A genetic algorithm tutorial", where it is called remainder stochastic sampling.

    Compare with:
        `resample_indices`, by class; weights in the loss (`Batch.weights`), where it knows them.

    Example:
        >>> draw_by_weight([2.0, 1.0, 0.0], seed=0)
        array([0, 0, 1])
    """
    array = np.asarray(weights, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not (array >= 0).all() or not 0 < array.sum() < np.inf:
        raise ValueError("weights are one number per item, finite and from 0 on, and not all 0")
    copies = array / array.mean()
    whole = np.floor(copies).astype(np.int64)
    whole += np.random.default_rng(seed).random(len(array)) < copies - whole
    return np.repeat(np.arange(len(array)), whole)


def _bags(tokenizer: Any, sentences: Sequence[Sequence[str]]) -> list[dict[str, float]]:
    """The subwords of each sentence, by name, and how often each occurs; the unknown piece is left out."""
    encoded = encode_words(tokenizer, sentences)
    ends = encoded.subword_starts[encoded.starts].tolist()
    bags = [Counter(encoded.subwords[start:end].tolist()) for start, end in pairwise(ends)]
    ids = [number for number in set().union(*bags) if number != tokenizer.unk_token_id]
    names = dict(zip(ids, tokenizer.convert_ids_to_tokens(ids), strict=True))
    return [{names[number]: float(count) for number, count in bag.items() if number in names} for bag in bags]
