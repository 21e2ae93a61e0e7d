"""Several models asked at once: the mean of their probabilities, or the majority of their labels."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Label = TypeVar("Label", bound=Hashable)

_ROUNDING = 1e-9


def average_probabilities(
    probabilities: Sequence[ArrayLike], *, weights: Sequence[float] | None = None
) -> NDArray[np.float64]:
    r"""The weighted mean of what M predictors hold likely, item by item.

    .. math:: p(c \mid i) = \sum_m w_m\, p_m(c \mid i), \qquad \sum_m w_m = 1

    It helps where predictors err on different items, and does nothing where all say the same. It needs no labels;
    weights that are chosen by labels must be chosen by those of the source.

    Args:
        probabilities: of each predictor (N, C), of the same items and classes in the same order. For tags, an item is
            a word: all words of all sentences below one another.
        weights: M numbers from 0 on, not all 0, on any scale; None: all alike.

    Returns:
        (N, C), rows sum to 1.

    Raises:
        ValueError: there is no predictor, shapes or weights don't fit, or a row is no distribution.

    Reference:
        Perrone and Cooper 1993, "When networks disagree"; for source languages of a tagger Rahimi, Li and
        Cohn 2019, https://aclanthology.org/P19-1015.

    Compare with:
        `majority_vote`, where there are labels only.

    Example:
        >>> most_probable(average_probabilities([[[0.6, 0.4]], [[0.1, 0.9]]]))
        array([1])
    """
    if not len(probabilities):
        raise ValueError("there are no predictors to average")
    arrays = [np.asarray(array, dtype=np.float64) for array in probabilities]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1 or arrays[0].ndim != 2:
        raise ValueError(f"predictors give (items, classes) of the same items and classes; found shapes {shapes}")
    for number, array in enumerate(arrays):
        if not (array >= 0).all() or not np.allclose(array.sum(axis=1), 1.0, atol=1e-4):
            raise ValueError(f"the rows of predictor {number} are not probabilities: from 0 on, with the sum 1")
    average = np.tensordot(_shares(weights, len(arrays)), np.stack(arrays), axes=1)  # (N, C)
    return np.asarray(average / average.sum(axis=1, keepdims=True))


def most_probable(probabilities: ArrayLike) -> NDArray[np.int64]:
    """The likeliest class of each item; of those that are equal up to rounding, the first.

    Args:
        probabilities: (N, C).

    Returns:
        (N,).

    Example:
        >>> most_probable([[0.3, 0.1 + 0.2, 0.4], [0.1 + 0.2, 0.3, 0.3]])
        array([2, 0])
    """
    array = np.asarray(probabilities, dtype=np.float64)
    # Sums in another order differ in the last digits: they must not decide.
    return (array >= array.max(axis=1, keepdims=True) - _ROUNDING).argmax(axis=1)


def majority_vote(predictions: Sequence[Sequence[Label]], *, weights: Sequence[float] | None = None) -> list[Label]:
    """The label that most of M predictors give, item by item.

    Of labels with as many votes, that of the first predictor that gave one of them: name the most trusted one first.

    Args:
        predictions: of each predictor N labels, of the same items. For tags, all words of all sentences in a row.
        weights: M numbers from 0 on, not all 0: how much each vote counts; None: all alike.

    Returns:
        N labels.

    Raises:
        ValueError: there is no predictor, they are of different numbers of items, or the weights don't fit.

    Reference:
        van Halteren, Daelemans and Zavrel 2001, https://aclanthology.org/J01-2002: votes of taggers, plain and
        weighted.

    Compare with:
        `average_probabilities`, which also knows how sure each is.

    Example:
        >>> majority_vote([["NOUN", "VERB"], ["ADJ", "VERB"], ["ADJ", "NOUN"]])
        ['ADJ', 'VERB']
    """
    if not len(predictions):
        raise ValueError("there are no predictors to ask")
    if len({len(labels) for labels in predictions}) > 1:
        raise ValueError(f"predictors label the same items; found {[len(labels) for labels in predictions]} labels")
    shares = _shares(weights, len(predictions)).tolist()
    chosen = []
    for labels in zip(*predictions, strict=True):
        votes: dict[Label, float] = {}  # in the order of the predictors
        for label, share in zip(labels, shares, strict=True):
            votes[label] = votes.get(label, 0.0) + share
        most = max(votes.values())
        chosen.append(next(label for label, vote in votes.items() if vote >= most - _ROUNDING))
    return chosen


def _shares(weights: Sequence[float] | None, number: int) -> NDArray[np.float64]:
    """(M,) weights that sum to 1."""
    given = np.ones(number) if weights is None else np.asarray(weights, dtype=np.float64)
    if given.shape != (number,) or not (given >= 0).all() or not 0 < given.sum() < np.inf:
        raise ValueError(f"{number} predictors need as many weights from 0 on, not all 0; found {weights}")
    return given / given.sum()
