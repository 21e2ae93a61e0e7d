"""Right pairs of rotated spaces are found again when left out; wrong pairs and unlike spaces land at chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from nlptransfer.crosslingual.lexicon import Lexicon
from nlptransfer.crosslingual.seed_quality import map_by_pairs, prepared_rows, score_mapped_pairs, seed_quality
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError

DIM = 8
ROTATION = ortho_group.rvs(DIM, random_state=1)


def space(vectors: np.ndarray, prefix: str) -> WordVectors:
    words = [f"{prefix}{row}" for row in range(len(vectors))]
    return WordVectors(words, vectors.astype(np.float32), None, prefix, prefix)


def two_spaces(count: int = 120, *, noise: float = 0.1, seed: int = 0) -> tuple[WordVectors, WordVectors]:
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(count, DIM)) + 0.5
    return space(source, "s"), space(source @ ROTATION + noise * rng.normal(size=source.shape), "t")


def pairs(rows: range, *, shift: int = 0) -> Lexicon:
    return Lexicon(tuple((f"s{row}", f"t{rows[(place + shift) % len(rows)]}") for place, row in enumerate(rows)))


def test_right_pairs_of_a_rotated_space_are_found_again_when_left_out() -> None:
    source, target = two_spaces()
    found = seed_quality(source, target, pairs(range(40, 100)), num_words=50, seed=0)
    assert found.num_pairs == found.num_known == 60
    assert found.source_rank == found.target_rank == 70.5
    assert found.num_candidates == 100  # 50 frequent words, and 50 translations beyond them
    assert found.held_out is not None
    assert found.held_out.num_queries == 60
    assert found.held_out.precision_at_1 > 0.9
    assert found.z_above_chance > 10
    assert found.relational_similarity > 0.9


def test_wrong_pairs_land_no_better_than_chance_however_clustered_the_seed_words_are() -> None:
    # The seed words lie together, apart from the frequent ones, so that any mapping of them finds their region.
    source, target = two_spaces()
    for vectors, direction in ((source, np.ones(DIM)), (target, np.ones(DIM) @ ROTATION)):
        vectors.matrix[60:] += 4 * direction.astype(np.float32)
    right, wrong = (seed_quality(source, target, pairs(range(60, 120), shift=s), num_words=60, seed=0) for s in (0, 7))
    assert right.z_above_chance > 10
    assert abs(wrong.z_above_chance) < 3
    assert wrong.held_out is not None
    assert wrong.held_out.precision_at_1 < 0.1
    assert abs(wrong.relational_similarity) < 0.15


def test_standard_errors_above_chance_are_those_of_unrelated_spaces() -> None:
    rng = np.random.default_rng(0)
    z = [
        seed_quality(
            space(rng.normal(size=(60, DIM)), "s"), space(rng.normal(size=(60, DIM)), "t"), pairs(range(60)), seed=seed
        ).z_above_chance
        for seed in range(60)
    ]
    assert abs(np.mean(z)) < 0.5
    assert 0.7 < np.std(z) < 1.4


def test_several_translations_are_one_word_with_a_later_chance() -> None:
    rng = np.random.default_rng(0)
    z = []
    for seed in range(40):
        source, target = space(rng.normal(size=(30, DIM)), "s"), space(rng.normal(size=(90, DIM)), "t")
        lexicon = Lexicon(tuple((f"s{row // 3}", f"t{row}") for row in range(90)))
        found = seed_quality(source, target, lexicon, seed=seed)
        assert found.held_out is not None
        assert found.held_out.num_queries == 30
        z.append(found.z_above_chance)
    assert abs(np.mean(z)) < 0.6


def test_pairs_that_share_a_word_are_never_parted() -> None:
    source, target = two_spaces()
    chain = Lexicon((("s0", "t0"), ("s0", "t1"), ("s1", "t1"), ("s1", "t2")))
    found = seed_quality(source, target, chain, seed=0)
    assert found.held_out is None
    assert np.isnan(found.z_above_chance)
    assert seed_quality(source, target, Lexicon((*chain.pairs, ("s9", "t9"))), seed=0).held_out is not None


def test_unknown_words_are_counted_on_their_side() -> None:
    source, target = two_spaces()
    lexicon = Lexicon((*pairs(range(5)).pairs, ("nowhere", "t9"), ("nowhere", "t8"), ("s9", "nirgends")))
    found = seed_quality(source, target, lexicon, seed=0)
    assert (found.num_pairs, found.num_known) == (8, 5)
    assert (found.num_without_source, found.num_without_target) == (1, 1)
    nothing = seed_quality(source, target, Lexicon((("nowhere", "nirgends"),)), seed=0)
    assert nothing.num_known == 0
    assert nothing.held_out is None
    assert np.isnan([nothing.source_rank, nothing.relational_similarity, nothing.z_above_chance]).all()


def test_no_pairs_at_all_are_refused() -> None:
    with pytest.raises(InputError, match="no seed pairs"):
        seed_quality(*two_spaces(), Lexicon(()), seed=0)


def test_relational_similarity_is_the_correlation_of_cosines_within_each_side() -> None:
    source, target = two_spaces(30, noise=0.5)
    found = seed_quality(source, target, pairs(range(6)), num_words=20, seed=0)

    def cosines(vectors: np.ndarray) -> list[float]:
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        centred = unit - unit[:20].mean(axis=0)
        return [
            a @ b / np.sqrt((a @ a) * (b @ b))
            for i, a in enumerate(centred[:6])
            for j, b in enumerate(centred[:6])
            if i < j
        ]

    expected = np.corrcoef(cosines(source.matrix), cosines(target.matrix))[0, 1]
    assert found.relational_similarity == pytest.approx(expected, abs=1e-4)


def test_the_mapping_is_the_orthogonal_procrustes_solution_of_scipy() -> None:
    source, target = two_spaces(noise=0.6)
    rows = np.arange(20)
    mapped, kept = map_by_pairs(source, target, np.stack([rows, rows], axis=1), num_words=50)
    of_source, of_target = (prepared_rows(side, np.arange(50), num_words=50) for side in (source, target))
    expected, _ = orthogonal_procrustes(of_source[:20].astype(float), of_target[:20].astype(float))
    np.testing.assert_allclose(mapped, of_source @ expected, atol=1e-4)
    np.testing.assert_allclose(kept, of_target)


def test_prepared_vectors_are_of_length_one_about_the_mean_of_the_frequent_words() -> None:
    source, _ = two_spaces()
    found = prepared_rows(source, np.array([3, 110]), num_words=40)
    unit = source.matrix / np.linalg.norm(source.matrix, axis=1, keepdims=True)
    centred = unit - unit[:40].mean(axis=0)
    expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected[[3, 110]], atol=1e-6)


def test_spaces_of_unlike_dimension_can_be_judged() -> None:
    rng = np.random.default_rng(0)
    small = rng.normal(size=(80, 5))
    wide = small @ ortho_group.rvs(9, random_state=2)[:5]
    for source, target in ((small, wide), (wide, small)):
        found = seed_quality(space(source, "s"), space(target, "t"), pairs(range(40)), seed=0)
        assert found.held_out is not None
        assert found.held_out.precision_at_1 > 0.9


def test_scores_after_a_mapping_are_over_the_same_candidates() -> None:
    source, target = two_spaces(noise=0.0)
    known = np.array([[0, 0], [1, 1], [100, 100], [101, 7]])
    mapped = source.matrix @ ROTATION, target.matrix
    found = score_mapped_pairs(known, mapped, num_words=50)
    assert found.num_queries == 4
    assert found.precision_at_1 == 0.75  # the last pair is wrong, as word 7 is not what 101 means
    assert score_mapped_pairs(known, (source.matrix, target.matrix), num_words=50).precision_at_1 < 0.75
