"""Each measure equals a slow rendering of its formula, is zero for a rotated space, and is not for another one."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching, minimum_spanning_tree
from scipy.stats import ortho_group

from nlptransfer.crosslingual.isometry import (
    bottleneck_distance,
    effective_rank,
    eigenvector_similarity,
    gromov_hausdorff_bound,
    laplacian_eigenvalues,
    merge_heights,
    neighbours_within,
    singular_value_gap,
)


def clustered(seed: int, *, count: int = 80, dim: int = 12) -> np.ndarray:
    """Words in groups of unlike sizes, as in a space of word vectors."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(8, dim))
    groups = rng.choice(8, size=count, p=np.arange(1, 9) / 36)
    return centres[groups] + 0.4 * rng.normal(size=(count, dim))


def rotated(vectors: np.ndarray, seed: int = 5) -> np.ndarray:
    return vectors @ ortho_group.rvs(vectors.shape[1], random_state=seed)


def slow_spectrum(vectors: np.ndarray, num_neighbours: int) -> np.ndarray:
    laplacian = np.zeros((len(vectors), len(vectors)))
    cosines = np.array([[a @ b / np.sqrt((a @ a) * (b @ b)) for b in vectors] for a in vectors])
    edges = set()
    for word in range(len(vectors)):
        others = sorted((other for other in range(len(vectors)) if other != word), key=lambda x: -cosines[word, x])
        edges |= {frozenset((word, other)) for other in others[:num_neighbours]}
    for first, second in map(sorted, edges):
        laplacian[first, second] = laplacian[second, first] = -1
        laplacian[first, first] += 1
        laplacian[second, second] += 1
    return np.sort(np.linalg.eigvals(laplacian).real)[::-1]


@pytest.mark.parametrize("num_neighbours", [1, 4])
def test_eigenvector_similarity_equals_a_slow_rendering(num_neighbours: int) -> None:
    source, target = clustered(0, count=30), clustered(1, count=30, dim=7)
    spectra = [slow_spectrum(vectors, num_neighbours) for vectors in (source, target)]
    np.testing.assert_allclose(laplacian_eigenvalues(source, num_neighbours=num_neighbours), spectra[0], atol=1e-8)
    smallest = []
    for spectrum in spectra:
        k = 1
        while spectrum[:k].sum() < 0.9 * spectrum.sum():
            k += 1
        smallest.append(k)
    k = min(smallest)
    expected = sum((spectra[0][i] - spectra[1][i]) ** 2 for i in range(k))
    assert expected > 0
    assert eigenvector_similarity(source, target, num_neighbours=num_neighbours) == pytest.approx(expected)


def test_a_rotated_space_in_another_order_is_isometric_by_every_measure_and_a_random_one_is_not() -> None:
    source = clustered(0)
    unit = source / np.linalg.norm(source, axis=1, keepdims=True)
    turned = rotated(unit)[np.random.default_rng(3).permutation(len(unit))]
    noise = np.random.default_rng(4).normal(size=unit.shape)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    for measure in (eigenvector_similarity, gromov_hausdorff_bound, singular_value_gap):
        same, other = measure(unit, turned), measure(unit, noise)
        assert same < 1e-4
        assert other > 0.1, measure


def test_eigenvector_similarity_tells_a_sample_of_the_same_words_from_noise() -> None:
    both = clustered(7, count=160)
    noise = np.random.default_rng(4).normal(size=(80, 12))
    assert eigenvector_similarity(both[::2], both[1::2]) < 0.5 * eigenvector_similarity(both[::2], noise)


def test_repeated_vectors_are_neighbours_of_each_other_and_not_of_themselves() -> None:
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = neighbours_within(vectors, 2)
    assert found.shape == (4, 2)
    assert all(row not in others for row, others in enumerate(found.tolist()))
    assert all(set(others) <= {0, 1, 2} for others in found.tolist())


def slow_bottleneck(first: np.ndarray, second: np.ndarray) -> float:
    """The least cost at which every point has a partner, on the other diagram or on the diagonal."""
    n, m = len(first), len(second)
    costs = np.zeros((n + m, m + n))  # rows: first, then the diagonal for each of second; columns the other way round
    costs[:n, :m] = np.abs(np.subtract.outer(first, second))
    costs[:n, m:] = first[:, None] / 2
    costs[n:, :m] = second[None, :] / 2
    for limit in np.unique(costs):
        matching = maximum_bipartite_matching(sparse.csr_matrix(costs <= limit), perm_type="column")
        if (matching >= 0).all():
            return float(limit)
    raise AssertionError("the largest cost always suffices")


def test_bottleneck_distance_equals_the_best_of_all_matchings() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        first, second = (rng.choice([0.1, 0.5, 1.0, 3.0]) * rng.random(rng.integers(low, 6)) for low in (0, 1))
        expected = slow_bottleneck(first, second)
        assert bottleneck_distance(first, second) == pytest.approx(expected, abs=1e-12)
        assert bottleneck_distance(second, first) == pytest.approx(expected, abs=1e-12)
        seen.add(expected)
    assert len(seen) > 100


def test_a_death_before_birth_is_refused() -> None:
    with pytest.raises(ValueError, match="before the birth"):
        bottleneck_distance(np.array([1.0]), np.array([-0.5]))


def test_merge_heights_are_the_edges_of_the_minimum_spanning_tree() -> None:
    vectors = clustered(2, count=15, dim=3)
    distances = np.array([[np.sqrt(((a - b) ** 2).sum()) for b in vectors] for a in vectors])
    edges = minimum_spanning_tree(sparse.csr_matrix(distances)).data
    np.testing.assert_allclose(merge_heights(vectors), np.sort(edges)[::-1])
    with pytest.raises(ValueError, match="no distances"):
        merge_heights(vectors[:1])


def exact_gromov_hausdorff(first: np.ndarray, second: np.ndarray) -> float:
    """Half the least distortion of all relations that leave no point out."""
    pairs = list(product(range(len(first)), range(len(second))))
    least = np.inf
    for size in range(max(len(first), len(second)), len(pairs) + 1):
        for relation in combinations(pairs, size):
            if {i for i, _ in relation} == set(range(len(first))) and {j for _, j in relation} == set(
                range(len(second))
            ):
                distortion = max(
                    abs(np.linalg.norm(first[i] - first[k]) - np.linalg.norm(second[j] - second[m]))
                    for (i, j), (k, m) in product(relation, relation)
                )
                least = min(least, distortion)
    return least / 2


def test_the_bound_never_exceeds_the_gromov_hausdorff_distance_and_can_meet_it() -> None:
    rng = np.random.default_rng(0)
    for _ in range(6):
        first, second = rng.normal(size=(2, 2)), 2 * rng.normal(size=(3, 2))
        exact = exact_gromov_hausdorff(first, second)
        assert 0 < gromov_hausdorff_bound(first, second) <= exact + 1e-12
    first, second = np.array([[0.0], [1.0]]), np.array([[0.0], [1.5]])
    assert gromov_hausdorff_bound(first, second) == exact_gromov_hausdorff(first, second) == 0.25


def test_singular_value_gap_and_effective_rank_follow_their_formulas() -> None:
    source, target = clustered(0, count=20, dim=4), clustered(1, count=20, dim=6)
    values = [np.sqrt(np.linalg.eigvalsh(vectors.T @ vectors))[::-1] for vectors in (source, target)]
    expected = sum((np.log(values[0][i]) - np.log(values[1][i])) ** 2 for i in range(4))
    assert singular_value_gap(source, target) == pytest.approx(expected)
    shares = values[0] / values[0].sum()
    assert effective_rank(source) == pytest.approx(np.prod(shares**-shares))
    assert effective_rank(np.eye(5)) == pytest.approx(5)
    assert effective_rank(np.outer(np.arange(1, 4), np.ones(3))) == pytest.approx(1)


def test_spaces_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="20 and 21 rows"):
        eigenvector_similarity(np.ones((20, 3)), np.ones((21, 3)))
    with pytest.raises(ValueError, match="20 and 21 rows"):
        singular_value_gap(np.ones((20, 3)), np.ones((21, 3)))
    with pytest.raises(ValueError, match="4 vectors can't have 4 neighbours"):
        laplacian_eigenvalues(np.ones((4, 3)), num_neighbours=4)
