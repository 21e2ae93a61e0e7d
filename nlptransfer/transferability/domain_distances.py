"""Every distance between two domains in one row, for a report."""

from __future__ import annotations

from typing import Any

from nlptransfer.transferability.kernel_mean_discrepancy import kernel_mean_discrepancy
from nlptransfer.transferability.proxy_a_distance import proxy_a_distance
from nlptransfer.transferability.vocabulary_overlap import vocabulary_overlap


def describe_domains(
    pair: str,
    source_features: Any,
    target_features: Any,
    *,
    source_counts: Any,
    target_counts: Any,
    seed: int,
) -> dict[str, Any]:
    """The distances between the domains of one pair, without a label of either.

    Args:
        pair: its name, such as ``books>dvd``.
        source_features: (N, D) array or sparse matrix that a model sees.
        target_features: (M, D) likewise, unlabelled.
        source_counts: (N, V) how often each term occurs in each document; may be the features where they are counts
            or binary.
        target_counts: (M, V) likewise.
        seed: of the rows drawn.

    Returns:
        ``pair``; ``source_documents`` and ``target_documents``, N and M; ``proxy_a_distance`` (0..2) and
        ``squared_mmd`` (unbiased, Gaussian kernel of median width) of the features; ``vocabulary_overlap``,
        ``known_token_share`` and ``jensen_shannon`` (0..1) of the counts.

    Raises:
        InputError: a domain has fewer than 2 documents, or no terms.
        ValueError: the domains have different numbers of features or of terms.

    Example:
        >>> describe_domains("books>dvd", source, target, source_counts=source, target_counts=target, seed=0)
    """
    words = vocabulary_overlap(source_counts, target_counts)
    return {
        "pair": pair,
        "source_documents": source_features.shape[0],
        "target_documents": target_features.shape[0],
        "proxy_a_distance": proxy_a_distance(source_features, target_features, seed=seed),
        "squared_mmd": kernel_mean_discrepancy(source_features, target_features, seed=seed),
        "vocabulary_overlap": words.jaccard,
        "known_token_share": words.known_token_share,
        "jensen_shannon": words.jensen_shannon,
    }
