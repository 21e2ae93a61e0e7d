"""Which words a learnt representation reconstructs a domain's own words from: what bridges the two vocabularies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nlptransfer.transferability.domain_rows import check_domains
from nlptransfer.transferability.moved_words import moved_words

_FAR_MORE = 5.0
"""A word is a domain's own if it stands in at least so many times the other's share of documents."""


def document_shares(features: Any) -> np.ndarray:
    """In which share of the documents each feature is not 0.

    Args:
        features: (N, D) array or sparse matrix.

    Returns:
        (D,) float64, 0 to 1.

    Example:
        >>> document_shares(np.array([[0.2, 0.0], [0.7, 0.1]]))
        array([1. , 0.5])
    """
    return np.asarray((features != 0).sum(axis=0)).ravel() / max(1, features.shape[0])


def domain_specific_words(
    source_features: Any, target_features: Any, terms: Sequence[str], *, top: int = 10, min_documents: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """The features that stand in at least five times as large a share of one domain's documents as of the other's.

    They are ordered as by `moved_words`, with occurrences counted once a document, so that the features may be
    weighted ones.

    Args:
        source_features: (N, D) array or sparse matrix.
        target_features: (M, D) likewise.
        terms: the D terms, distinct.
        top: how many of each domain to give, at most.
        min_documents: how many documents of its domain must hold a term.

    Returns:
        The columns of the source's words and those of the target's, the most marked first.

    Raises:
        InputError: a domain has no documents, or no terms in them.
        ValueError: there are not as many terms as columns.

    Compare with: `moved_words`, which also gives words that are merely commoner in one domain.

    Example:
        >>> source, target = domain_specific_words(books, kitchen, vectorizer.terms_)
        >>> rows = bridging_words(msda.influences, vectorizer.terms_, source, ...)
    """
    check_domains(source_features, target_features)
    occurs = [features != 0 for features in (source_features, target_features)]
    shares = {"source": document_shares(occurs[0]), "target": document_shares(occurs[1])}
    least = {"source": min_documents / occurs[0].shape[0], "target": min_documents / occurs[1].shape[0]}
    columns = {term: column for column, term in enumerate(terms)}
    found: dict[str, list[int]] = {"source": [], "target": []}
    for row in moved_words(occurs[0], occurs[1], terms, top=len(terms)):
        domain, column = row["domain"], columns[row["term"]]
        is_common = shares[domain][column] >= least[domain]
        if is_common and _owner(shares["source"][column], shares["target"][column]) == domain:
            found[domain].append(column)
    return np.array(found["source"][:top], dtype=np.int64), np.array(found["target"][:top], dtype=np.int64)


def bridging_words(
    influences: Callable[[np.ndarray], np.ndarray],
    terms: Sequence[str],
    columns: np.ndarray,
    *,
    source_share: np.ndarray,
    target_share: np.ndarray,
    top: int = 5,
) -> list[dict[str, Any]]:
    r"""For each word, the words of the other domain's documents that a representation reconstructs it from.

    With :math:`a_{fj}` what feature j adds to the reconstruction of the word f, and :math:`s_j` the share of the
    documents of the domain where f is the rarer that hold j:

    .. math:: \text{bridge}_{fj} = a_{fj}\, s_j (1 - s_j)

    So a word that the target never uses, such as "gripping", is filled in on the target's documents from the words that
    lead this list, such as "excellent", and what is learnt of the one holds for the other. A word that stands in every
    document tells nothing of any, hence the second factor; f itself is left out. Ours; no paper defines it.

    Args:
        influences: (F,) columns -> (F, D) a: of a representation, such as `MarginalizedDenoising.influences`.
        terms: the D terms.
        columns: (F,) the words to explain, such as `domain_specific_words` gives.
        source_share: (D,) from `document_shares`.
        target_share: (D,) likewise.
        top: how many bridging words of each to give, at most.

    Returns:
        A row for each word: ``word``, ``domain`` (where it is the commoner), ``source_share``, ``target_share`` and
        ``reconstructed_from``, the words by falling bridge above 0, joined by commas; those that are one domain's own,
        of five times the other's share or more, are marked ``(source)`` or ``(target)``. Empty where nothing bridges.

    Raises:
        ValueError: terms, shares and influences differ in size.

    Compare with: `moved_words`, which tells what sets the domains apart.

    Example:
        >>> share = {"source_share": document_shares(books), "target_share": document_shares(kitchen)}
        >>> rows = bridging_words(msda.influences, vectorizer.terms_, source_columns, **share)
        >>> rows[0]["word"], rows[0]["reconstructed_from"]
        ('gripping', 'excellent, great, sharp (target)')
    """
    if not len(terms) == len(source_share) == len(target_share):
        raise ValueError(f"{len(terms)} terms need as many shares, not {len(source_share)} and {len(target_share)}")
    columns = np.asarray(columns)
    weights = np.asarray(influences(columns), dtype=np.float64)  # (F, D)
    if weights.shape != (len(columns), len(terms)):
        raise ValueError(f"expected influences of the shape {(len(columns), len(terms))}, found {weights.shape}")
    rows = []
    for column, row in zip(columns.tolist(), weights, strict=True):
        domain = "source" if source_share[column] >= target_share[column] else "target"
        other = target_share if domain == "source" else source_share
        bridges = row * other * (1 - other)
        bridges[column] = 0
        order = np.argsort(-bridges, kind="stable")[:top]
        owners = {int(place): _owner(source_share[place], target_share[place]) for place in order if bridges[place] > 0}
        rows.append(
            {
                "word": terms[column],
                "domain": domain,
                "source_share": float(source_share[column]),
                "target_share": float(target_share[column]),
                "reconstructed_from": ", ".join(
                    terms[place] if owner is None else f"{terms[place]} ({owner})" for place, owner in owners.items()
                ),
            }
        )
    return rows


def _owner(source_share: float, target_share: float) -> str | None:
    """The domain whose own a word is; None where both have it, or neither."""
    if max(source_share, target_share) == 0 or max(source_share, target_share) < _FAR_MORE * min(
        source_share, target_share
    ):
        return None
    return "source" if source_share > target_share else "target"
