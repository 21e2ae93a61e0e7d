"""How near two word-vector spaces are to being rotations of each other, by measures that need no translations."""

from __future__ import annotations

import numpy as np

from nlptransfer.crosslingual.retrieval import nearest_both_ways, unit_rows

_NUM_NEIGHBOURS = 10
_ENERGY = 0.9


def eigenvector_similarity(
    source_vectors: np.ndarray, target_vectors: np.ndarray, *, num_neighbours: int = _NUM_NEIGHBOURS
) -> float:
    r"""How far the nearest-neighbour graphs of two spaces are from isospectral; 0 for the same spectrum.

    .. math:: \Delta = \sum_{i=1}^{k} (\lambda_{1i} - \lambda_{2i})^2, \qquad
              k = \min_j k_j, \quad
              k_j = \min \Big\{k : \sum_{i=1}^{k} \lambda_{ji} \geq 0.9 \sum_{i=1}^{n} \lambda_{ji}\Big\}

    with :math:`\lambda_{j1} \geq \lambda_{j2} \geq \dots` the eigenvalues of :math:`D_j - A_j`, the Laplacian of the
    graph in which two words are joined if one is among the nearest of the other.

    It grows with n and with the neighbours, so that numbers are compared at like settings only. Ours: 10 neighbours
    rather than 1, for with one the eigenvalues are mostly those of the few largest stars, and two languages are then
    no further apart than two halves of one. Code in circulation adds the *smallest* k eigenvalues, and differs.

    Args:
        source_vectors: (N, D) of the N most frequent words; compared by cosine.
        target_vectors: (N, E) likewise; E may differ from D.
        num_neighbours: of each word.

    Returns:
        0 or more. Memory and time of two dense N x N eigenproblems: 2,000 words take seconds and 0.1 GB.

    Raises:
        ValueError: the numbers of rows differ, or are not above the number of neighbours.

    Reference: Sogaard, Ruder and Vulic 2018, "On the limitations of unsupervised bilingual dictionary induction",
    section on eigenvector similarity, https://aclanthology.org/P18-1072; Shigehalli and Shettar 2011.

    Compare with: `singular_value_gap`, far cheaper and blind to who is near whom.

    Example:
        >>> eigenvector_similarity(english.matrix[:2000], french.matrix[:2000])
    """
    _check_rows(source_vectors, target_vectors)
    return spectral_difference(
        laplacian_eigenvalues(source_vectors, num_neighbours=num_neighbours),
        laplacian_eigenvalues(target_vectors, num_neighbours=num_neighbours),
    )


def laplacian_eigenvalues(vectors: np.ndarray, *, num_neighbours: int) -> np.ndarray:
    """The spectrum of a nearest-neighbour graph.

    Args:
        vectors: (N, D); compared by cosine.
        num_neighbours: of each row, without itself; rows are joined if either is among the other's.

    Returns:
        (N,) float64, falling.

    Raises:
        ValueError: there are no more rows than neighbours.
    """
    from scipy import linalg

    count = len(vectors)
    if not 1 <= num_neighbours < count:
        raise ValueError(f"{count} vectors can't have {num_neighbours} neighbours each")
    joined = np.zeros((count, count))
    for row, others in enumerate(neighbours_within(vectors, num_neighbours)):
        joined[row, others] = joined[others, row] = 1.0
    laplacian = np.diag(joined.sum(axis=1)) - joined
    values: np.ndarray = linalg.eigvalsh(laplacian, overwrite_a=True, check_finite=False)[::-1]
    return values


def neighbours_within(vectors: np.ndarray, num_neighbours: int) -> np.ndarray:
    """The nearest other rows of each row, by cosine.

    Args:
        vectors: (N, D).
        num_neighbours: k, below N.

    Returns:
        (N, k) rows, the nearest first.
    """
    unit = unit_rows(vectors)
    # One more, as a row need not be its own nearest where vectors repeat.
    found, _ = nearest_both_ways(unit, unit, num_neighbours + 1)
    return np.stack([others[others != row][:num_neighbours] for row, others in enumerate(found.rows)])


def spectral_difference(first: np.ndarray, second: np.ndarray) -> float:
    """The Delta of `eigenvector_similarity`, of two spectra.

    Args:
        first: (N,) falling.
        second: (N,) likewise.

    Returns:
        0 or more.
    """
    kept = min(int(np.searchsorted(np.cumsum(values), _ENERGY * values.sum())) + 1 for values in (first, second))
    return float(((first[:kept] - second[:kept]) ** 2).sum())


def gromov_hausdorff_bound(source_vectors: np.ndarray, target_vectors: np.ndarray) -> float:
    r"""A lower bound on the Gromov-Hausdorff distance of two sets of vectors, 0 for isometric ones.

    .. math:: d_{GH}(X, Y) \geq \tfrac12\, d_B(\mathrm{Dgm}_0(X), \mathrm{Dgm}_0(Y))

    with the persistence diagrams of the Rips filtrations in dimension 0, a simplex entering at its diameter. What is
    published as "GH" of word vectors is :math:`d_B` itself, `bottleneck_distance`.

    It sees only at which distances clusters of words merge. A bound that is small proves nothing; one that is large
    proves that no isometry is near.

    Args:
        source_vectors: (N, D); by Euclidean distance, so that directions are compared where rows are of length 1.
        target_vectors: (M, E).

    Returns:
        0 or more, in units of the vectors. Holds N (N - 1) / 2 distances at a time.

    Raises:
        ValueError: a space has fewer than 2 rows.

    Reference: Chazal et al. 2009, "Gromov-Hausdorff stable signatures for shapes using persistence", theorem 3.1,
    https://doi.org/10.1111/j.1467-8659.2009.01516.x; for word vectors Patra et al. 2019,
    https://aclanthology.org/P19-1018.

    Compare with: `eigenvector_similarity`, which looks at single neighbours.

    Example:
        >>> gromov_hausdorff_bound(np.array([[0.0], [1.0]]), np.array([[0.0], [1.5]]))
        0.25
    """
    return 0.5 * bottleneck_distance(merge_heights(source_vectors), merge_heights(target_vectors))


def merge_heights(vectors: np.ndarray) -> np.ndarray:
    """The persistence diagram in dimension 0: at which distance each component joins another, all born at 0.

    These are the heights of single linkage, and the edges of the minimum spanning tree.

    Args:
        vectors: (N, D).

    Returns:
        (N - 1,) float64, falling.

    Raises:
        ValueError: there are fewer than 2 rows.
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import pdist

    if len(vectors) < 2:
        raise ValueError(f"{len(vectors)} vectors have no distances")
    heights: np.ndarray = linkage(pdist(np.asarray(vectors, dtype=np.float64)), method="single")[::-1, 2]
    return heights


def bottleneck_distance(first_deaths: np.ndarray, second_deaths: np.ndarray) -> float:
    r"""The bottleneck distance of two persistence diagrams whose points are all born at 0, exactly.

    A point (0, d) is matched to one of the other diagram at cost :math:`|d - d'|`, or to the diagonal at :math:`d/2`;
    the distance is the largest cost of the best matching. An unmatched point may change places with a smaller matched
    one, or both be left unmatched, at no greater cost, so that the m largest of both are matched in order, for some m:

    .. math:: d_B = \min_m \max\Big(\max_{i \leq m} |a_i - b_i|,\; \tfrac12 a_{m+1},\; \tfrac12 b_{m+1}\Big)

    Args:
        first_deaths: (N,) each 0 or more.
        second_deaths: (M,) likewise.

    Returns:
        0 or more.

    Raises:
        ValueError: a death comes before birth.

    Reference: Edelsbrunner and Harer 2010, "Computational topology", section VIII.2, for the definition; the closed
    form for common births is ours.

    Example:
        >>> bottleneck_distance(np.array([1.0, 0.2]), np.array([0.9]))
        0.1
    """
    size = max(len(first_deaths), len(second_deaths))
    first, second = (np.zeros(size + 1) for _ in range(2))  # a last 0: nothing is left to go to the diagonal
    for padded, deaths in ((first, first_deaths), (second, second_deaths)):
        padded[: len(deaths)] = -np.sort(-np.asarray(deaths, dtype=np.float64))
        if padded.min() < 0:
            raise ValueError(f"a death of {padded.min()} comes before the birth at 0")
    matched = np.concatenate([[0.0], np.maximum.accumulate(np.abs(first - second)[:-1])])
    unmatched = np.maximum(first, second) / 2
    return float(np.maximum(matched, unmatched).min())


def singular_value_gap(source_vectors: np.ndarray, target_vectors: np.ndarray) -> float:
    r"""How differently two spaces spread over their directions; 0 for the same singular values.

    .. math:: \mathrm{SVG} = \sum_{i=1}^{d} (\log \sigma_i(X) - \log \sigma_i(Y))^2

    Over the smaller number of dimensions, without those in which a space is flat.

    Args:
        source_vectors: (N, D).
        target_vectors: (N, E), as many, for singular values grow with the rows.

    Returns:
        0 or more.

    Raises:
        ValueError: the numbers of rows differ.

    Reference: Dubossarsky, Vulic, Reichart and Korhonen 2020, "The secret is in the spectra", section 3,
    https://aclanthology.org/2020.emnlp-main.186.

    Compare with: `effective_rank`, one number of each space.
    """
    _check_rows(source_vectors, target_vectors)
    source, target = _singular_values(source_vectors), _singular_values(target_vectors)
    both = min(len(source), len(target))
    return float((np.log(source[:both] / target[:both]) ** 2).sum())


def effective_rank(vectors: np.ndarray) -> float:
    r"""How many directions a space spreads over: :math:`\exp H(\sigma / \sum_i \sigma_i)`.

    Args:
        vectors: (N, D).

    Returns:
        1 to D.

    Reference: Roy and Vetterli 2007, "The effective rank"; used for word vectors by Dubossarsky et al. 2020.
    """
    values = _singular_values(vectors)
    shares = values / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _singular_values(vectors: np.ndarray) -> np.ndarray:
    values: np.ndarray = np.linalg.svd(np.asarray(vectors, dtype=np.float64), compute_uv=False)
    return values[values > 1e-6 * values[0]]


def _check_rows(source_vectors: np.ndarray, target_vectors: np.ndarray) -> None:
    if len(source_vectors) != len(target_vectors):
        raise ValueError(f"spectra of {len(source_vectors)} and {len(target_vectors)} rows can't be compared")
