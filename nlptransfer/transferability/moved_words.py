"""Which words set two domains apart, and which words changed their weight when a model was adapted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nlptransfer.transferability.vocabulary_overlap import term_totals


def moved_words(
    source_counts: Any, target_counts: Any, terms: Sequence[str], *, top: int = 20, prior_share: float = 0.1
) -> list[dict[str, Any]]:
    r"""The terms that most mark one domain against the other, by log-odds with a Dirichlet prior.

    With :math:`y_w^i` the count of term :math:`w` in domain :math:`i`, :math:`n^i` that of all terms, and a prior of
    :math:`\alpha_w` further occurrences in each domain, :math:`\alpha_0 = \sum_w \alpha_w`:

    .. math::
        \delta_w &= \log\frac{y_w^i + \alpha_w}{n^i + \alpha_0 - y_w^i - \alpha_w}
                  - \log\frac{y_w^j + \alpha_w}{n^j + \alpha_0 - y_w^j - \alpha_w} \\
        \sigma^2(\delta_w) &\approx \frac{1}{y_w^i + \alpha_w} + \frac{1}{y_w^j + \alpha_w}, \qquad
        \zeta_w = \delta_w / \sigma(\delta_w)

    So neither the commonest words nor the rarest lead the list, as with plain differences or ratios. The prior is the
    informative one: :math:`\alpha_w` is in proportion to the share of :math:`w` in both domains together.

    Ours: :math:`\alpha_0` is a share of all the words counted, where the paper fixes a number, so that the list does
    not depend on the size of the corpora.

    Args:
        source_counts: (N, D) array or sparse matrix of how often each term occurs in each document.
        target_counts: (M, D) likewise.
        terms: the D terms.
        top: how many terms of each domain to give.
        prior_share: alpha_0 / (all words of both domains). The larger, the more a word that one domain lacks counts.

    Returns:
        Rows of ``term``, ``domain`` (``source`` or ``target``: where it is the commoner), ``z`` (zeta, above 0 for the
        source), ``source_per_1000`` and ``target_per_1000`` (occurrences per 1,000 of the domain's words). First the
        source's by falling z, then the target's by rising z. Fewer than `top` where a domain has no more.

    Raises:
        InputError: a domain has no documents, or no terms in them.
        ValueError: there are not as many terms as columns, a count is negative, or the prior is not above 0.

    Reference: Monroe, Colaresi, Quinn 2008, "Fightin' words", equations 16, 20 and 22, prior of section 3.5.1,
    https://doi.org/10.1093/pan/mpn018.

    Compare with: `sentiment_moved`, for words whose meaning to a classifier changed.

    Example:
        >>> rows = moved_words(np.array([[5, 5, 0]]), np.array([[5, 0, 5]]), ["good", "read", "watch"])
        >>> [(row["term"], row["domain"]) for row in rows]
        [('read', 'source'), ('watch', 'target')]
    """
    source, target = term_totals(source_counts, target_counts)
    _check_terms(terms, len(source))
    if prior_share <= 0:
        raise ValueError(f"the prior must be above 0, got {prior_share}")
    occurs = source + target > 0
    prior = prior_share * (source + target)  # alpha_0 * (y_w / n), with alpha_0 = prior_share * n
    z = np.zeros(len(source))
    z[occurs] = _z_scores(source[occurs], target[occurs], prior[occurs])
    per_1000 = {"source_per_1000": 1000 * source / source.sum(), "target_per_1000": 1000 * target / target.sum()}
    rows = []
    for domain, sign in (("source", 1), ("target", -1)):
        order = np.argsort(-sign * z, kind="stable")[:top]
        rows += [
            {
                "term": terms[index],
                "domain": domain,
                "z": float(z[index]),
                **{name: float(values[index]) for name, values in per_1000.items()},
            }
            for index in order
            if sign * z[index] > 0
        ]
    return rows


def sentiment_moved(
    features: Any,
    source_coefficients: np.ndarray,
    adapted_coefficients: np.ndarray,
    terms: Sequence[str],
    *,
    top: int = 20,
) -> list[dict[str, Any]]:
    r"""The terms whose weight differs most between a source-only linear model and an adapted one.

    .. math:: e_w = (a_w / \|a\| - s_w / \|s\|) \sqrt{\tfrac{1}{N} \sum_i x_{iw}^2}

    with :math:`s` and :math:`a` the two models' weights for one label and :math:`x` the features: how far the change
    moves the documents' scores. Weights are taken at unit length, as two models of different regularisation differ
    in length alone without deciding otherwise. Ours; no paper defines it.

    Args:
        features: (N, D) array or sparse matrix of the documents on which the change is to matter: the target's, as a
            word that the source lacks weighs nothing there.
        source_coefficients: (D,) or (1, D) weights of one label (scikit-learn's ``coef_`` of two classes is that of
            the second).
        adapted_coefficients: likewise, in the space of the same D terms.
        terms: the D terms.
        top: how many to give.

    Returns:
        Rows of ``term``, ``source_weight``, ``adapted_weight`` (both of the unit vectors) and ``effect`` (e), by
        falling size of the effect; terms without any are left out.

    Raises:
        ValueError: the sizes do not agree, or the weights of several labels were given at once.

    Compare with: `moved_words`, which needs no model.

    Example:
        >>> rows = sentiment_moved(np.eye(3), np.array([3.0, 4.0, 0.0]), np.array([3.0, 0.0, 4.0]), ["a", "b", "c"])
        >>> [(row["term"], round(row["effect"], 2)) for row in rows]
        [('b', -0.46), ('c', 0.46)]
    """
    from scipy import sparse

    weights = []
    for name, coefficients in (("source", source_coefficients), ("adapted", adapted_coefficients)):
        coefficients = np.asarray(coefficients, dtype=np.float64)
        if coefficients.ndim == 2 and coefficients.shape[0] != 1:
            raise ValueError(
                f"the {name} coefficients are of {coefficients.shape[0]} labels; give the row of one label"
            )
        weights.append(coefficients.ravel() / (np.linalg.norm(coefficients) or 1.0))
        _check_terms(terms, len(weights[-1]))
    _check_terms(terms, features.shape[1])
    squares = features.multiply(features) if sparse.issparse(features) else np.square(features, dtype=np.float64)
    size = np.sqrt(np.asarray(squares.mean(axis=0, dtype=np.float64)).ravel())  # (D,)
    effect = (weights[1] - weights[0]) * size
    order = np.argsort(-np.abs(effect), kind="stable")[:top]
    return [
        {
            "term": terms[index],
            "source_weight": float(weights[0][index]),
            "adapted_weight": float(weights[1][index]),
            "effect": float(effect[index]),
        }
        for index in order
        if effect[index] != 0
    ]


def _z_scores(source: np.ndarray, target: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """zeta of each term; all arrays (terms,), of terms that occur."""
    if len(source) == 1:
        return np.zeros(1)  # a term that is all there is has no odds, and marks neither domain
    log_odds = []
    for counts in (source, target):
        smoothed = counts + prior
        log_odds.append(np.log(smoothed) - np.log(smoothed.sum() - smoothed))
    variance = 1 / (source + prior) + 1 / (target + prior)
    return (log_odds[0] - log_odds[1]) / np.sqrt(variance)


def _check_terms(terms: Sequence[str], number: int) -> None:
    if len(terms) != number:
        raise ValueError(f"there are {len(terms)} terms for {number} columns")
