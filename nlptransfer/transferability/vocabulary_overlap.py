"""How much of their vocabulary two domains share, and how differently they use it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nlptransfer.errors import InputError
from nlptransfer.transferability.domain_rows import check_domains


class VocabularyOverlap(NamedTuple):
    """What `vocabulary_overlap` gives, each a number in 0..1.

    Attributes:
        jaccard: shared terms / terms of either domain; 1 for the same vocabulary.
        known_token_share: the share of the target's running terms that the source has too.
        jensen_shannon: divergence of the two distributions of terms; 0 for the same, 1 where no term is shared.
    """

    jaccard: float
    known_token_share: float
    jensen_shannon: float


def vocabulary_overlap(source_counts: Any, target_counts: Any) -> VocabularyOverlap:
    r"""Compare the terms of two domains: which occur, and how often.

    With :math:`S` and :math:`T` the sets of terms that occur, :math:`t_w` the target's counts, :math:`P` and
    :math:`Q` the shares of the terms in each domain's counts and :math:`R = (P + Q)/2`:

    .. math:: J = \frac{|S \cap T|}{|S \cup T|}, \qquad
              K = \frac{\sum_{w \in S} t_w}{\sum_w t_w}, \qquad
              \mathrm{JSD} = \tfrac12 \sum_w P_w \log_2 \frac{P_w}{R_w} + \tfrac12 \sum_w Q_w \log_2 \frac{Q_w}{R_w}

    The Jaccard index falls with the size of the samples, as rare words are seldom in both; the divergence hardly does.

    Args:
        source_counts: (N, D) array or sparse matrix of how often each term occurs in each document (for binary
            features: whether it does).
        target_counts: (M, D) likewise, over the same terms.

    Returns:
        The three numbers.

    Raises:
        InputError: a domain has no documents, or no terms in them.
        ValueError: a count is negative, or the two are over different numbers of terms.

    Reference: Lin 1991, "Divergence measures based on the Shannon entropy", equation 4.1 with equal weights,
    https://doi.org/10.1109/18.61115; for domain similarity Plank and van Noord 2011, "Effective measures of domain
    similarity for parsing", section 4, https://aclanthology.org/P11-1157.

    Compare with: `moved_words`, which says which terms they are.

    Example:
        >>> vocabulary_overlap(np.array([[2, 1, 0]]), np.array([[1, 0, 1], [2, 0, 0]]))
        VocabularyOverlap(jaccard=0.3333333333333333, known_token_share=0.75, jensen_shannon=0.2947...)
    """
    from scipy.spatial.distance import jensenshannon

    source, target = term_totals(source_counts, target_counts)
    shared = (source > 0) & (target > 0)
    return VocabularyOverlap(
        jaccard=float(shared.sum() / ((source > 0) | (target > 0)).sum()),
        known_token_share=float(target[shared].sum() / target.sum()),
        # scipy gives the root, a distance.
        jensen_shannon=float(jensenshannon(source, target, base=2) ** 2),
    )


def term_totals(source_counts: Any, target_counts: Any) -> tuple[np.ndarray, np.ndarray]:
    """How often each term occurs in each domain.

    Args:
        source_counts: (N, D) array or sparse matrix.
        target_counts: (M, D) likewise.

    Returns:
        Two (D,) arrays.

    Raises:
        InputError: a domain has no documents, or no terms in them.
        ValueError: a count is negative, or the two are over different numbers of terms.
    """
    check_domains(source_counts, target_counts)
    totals = []
    for domain, counts in (("source", source_counts), ("target", target_counts)):
        if counts.shape[1] and counts.min() < 0:
            raise ValueError(f"the {domain} has a negative count; give counts of terms, not features made of them")
        total = np.asarray(counts.sum(axis=0, dtype=np.float64)).ravel()  # (D,)
        if total.sum() == 0:
            raise InputError(
                f"no document of the {domain} holds a term of the vocabulary",
                remedy="Take the vocabulary from both domains, or lower the document frequency that it asks for.",
            )
        totals.append(total)
    return totals[0], totals[1]
