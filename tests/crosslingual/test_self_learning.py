"""Self-learning: from 25 pairs and from nothing on turned vectors, its objective, its chance and its stop rule."""

from __future__ import annotations

import numpy as np
import pytest

from nlptransfer.crosslingual.alignment import fit_procrustes, normalise
from nlptransfer.crosslingual.retrieval import nearest_both_ways, score_translations, translate_both_ways
from nlptransfer.crosslingual.self_learning import Iteration, _induced, self_learn, unsupervised_pairs
from nlptransfer.errors import InputError


def two_languages(noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words in clusters of unequal size and spread; the target's are turned, disturbed and in another order."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(30, 40)) * rng.gamma(1, size=40)
    source = centres[rng.integers(30, size=600)] * rng.gamma(2, 0.5, size=(600, 1)) + 0.6 * rng.normal(size=(600, 40))
    turn = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    place = rng.permutation(620)[:600]
    target = rng.normal(size=(620, 40))
    target[place] = source @ turn + noise * rng.normal(size=source.shape)
    return source, target, np.stack([np.arange(600), place], axis=1)


def p_at_1(source: np.ndarray, target: np.ndarray, pairs: np.ndarray) -> float:
    return score_translations(source, target, pairs).precision_at_1


def learn(source: np.ndarray, target: np.ndarray, pairs: np.ndarray, *, seed: int = 1, patience: int = 3):  # type: ignore[no-untyped-def]
    return self_learn(source, target, pairs, generator=np.random.default_rng(seed), patience=patience)


def test_25_pairs_are_enough_to_recover_a_rotation() -> None:
    source, target, pairs = two_languages(noise=0.0)
    seed = pairs[:25]
    alone = fit_procrustes(source, target, seed)
    assert p_at_1(alone.transform_source(source), target, pairs) < 0.95, "25 pairs leave 15 dimensions open"
    learned = learn(source, target, seed)
    mapped = learned.alignment.transform_source(source), learned.alignment.transform_target(target)
    assert p_at_1(*mapped, pairs) == 1.0
    assert learned.converged
    assert learned.iterations[-1].mean_similarity > learned.iterations[0].mean_similarity


def test_words_whose_neighbourhoods_are_alike_are_a_seed_where_none_is_given() -> None:
    source, target, pairs = two_languages(noise=0.3)
    seed = unsupervised_pairs(source, target)
    assert seed.shape == (1200, 2)
    right = set(map(tuple, pairs.tolist()))
    share = np.mean([tuple(pair) in right for pair in seed.tolist()])
    assert share > 20 / 600, "far better than chance"
    learned = learn(source, target, seed)
    mapped = learned.alignment.transform_source(source), learned.alignment.transform_target(target)
    assert p_at_1(*mapped, pairs) > 0.98


def test_vectors_without_structure_give_no_seed() -> None:
    rng = np.random.default_rng(5)
    source, target = rng.normal(size=(300, 40)), rng.normal(size=(300, 40))
    pairs = np.stack([np.arange(300)] * 2, axis=1)
    learned = learn(source, target, unsupervised_pairs(source, target), patience=2)
    mapped = learned.alignment.transform_source(source), learned.alignment.transform_target(target)
    assert p_at_1(*mapped, pairs) < 0.05


def test_the_unsupervised_seed_compares_sorted_square_roots() -> None:
    source, target, _ = two_languages(noise=0.3)
    shapes = []
    for matrix in (source, target):
        rows = normalise(matrix)[0][:600].astype(float)
        values, vectors = np.linalg.eigh(rows @ rows.T)
        root = vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T
        shapes.append(normalise(np.sort(root, axis=1))[0])
    forward, backward = translate_both_ways(*shapes)  # type: ignore[misc]
    found = unsupervised_pairs(source, target)
    assert np.mean(found[:600, 1] == forward.rows[:, 0]) > 0.99  # another way of rounding
    assert np.mean(found[600:, 0] == backward.rows[:, 0]) > 0.99
    assert len(unsupervised_pairs(source, target, max_words=50)) == 100


def test_refinement_as_in_muse_is_the_same_loop_with_other_switches() -> None:
    source, target, pairs = two_languages(noise=0.9)
    seed = pairs[:60]
    before = p_at_1(fit_procrustes(source, target, seed).transform_source(source), normalise(target)[0], pairs)
    refined = self_learn(
        source,
        target,
        seed,
        generator=np.random.default_rng(1),
        dictionary="mutual",
        keep_probability=1.0,
        max_iterations=5,
        reweight_at_end=False,
    )
    assert len(refined.iterations) == 5
    weights = refined.alignment.source_map
    np.testing.assert_allclose(weights @ weights.T, np.eye(40), atol=1e-5)
    assert len(np.unique(refined.pairs, axis=0)) == len(refined.pairs) <= 600
    after = p_at_1(refined.alignment.transform_source(source), refined.alignment.transform_target(target), pairs)
    assert before < 0.6
    assert after > before + 0.1


def test_one_iteration_from_the_right_pairs_is_procrustes_and_the_objective_its_mean_cosine() -> None:
    source, target, pairs = two_languages(noise=0.3)
    learned = self_learn(
        source, target, pairs, generator=np.random.default_rng(1), max_iterations=1, reweight_at_end=False
    )
    assert not learned.converged
    fitted = fit_procrustes(source, target, pairs)
    x, z = fitted.transform_source(source), fitted.transform_target(target)
    cosine = (x @ z.T) / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(z, axis=1)
    expected = (cosine.max(axis=1).mean() + cosine.max(axis=0).mean()) / 2
    assert learned.iterations[0].mean_similarity == pytest.approx(expected, abs=1e-5)
    assert learned.iterations[0].num_pairs == 600
    # Its dictionary: CSLS in both directions.
    forward, backward = translate_both_ways(x, z)
    np.testing.assert_array_equal(learned.pairs[:600, 1], forward.rows[:, 0])
    np.testing.assert_array_equal(learned.pairs[600:, 0], backward.rows[:, 0])


def test_answers_are_kept_with_the_probability_given() -> None:
    rng = np.random.default_rng(0)
    source, target = normalise(rng.normal(size=(4000, 5)))[0], normalise(rng.normal(size=(3000, 5)))[0]
    near = nearest_both_ways(source, target, 10)
    best, drawn = (
        _induced(source, target, near, "union", share, np.random.default_rng(2), "float32") for share in (1.0, 0.25)
    )
    assert best.shape == (7000, 2)
    first_of_source = dict(best[:4000].tolist())
    forward = drawn[np.arange(len(drawn)) < np.flatnonzero(np.diff(drawn[:, 0]) < 0)[0] + 1]
    share = np.mean([first_of_source[row] == answer for row, answer in forward.tolist()])
    assert share == pytest.approx(0.25, abs=0.03)
    assert 0.985 < len(forward) / 4000 <= 1.0, "one word in a hundred at most gives no pair"


def test_the_same_seed_gives_the_same_map_and_progress_is_told() -> None:
    source, target, pairs = two_languages(noise=0.3)
    told: list[Iteration] = []
    runs = [
        self_learn(
            source[:200],
            target,
            pairs[:25],
            generator=np.random.default_rng(seed),
            max_iterations=3,
            reweight_at_end=False,
            on_iteration=told.append,
        )
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0].alignment.source_map, runs[1].alignment.source_map)
    assert not np.array_equal(runs[0].alignment.source_map, runs[2].alignment.source_map)
    assert [now.number for now in told] == [1, 2, 3] * 3
    assert tuple(told[:3]) == runs[0].iterations


def test_the_probability_grows_to_one_and_then_it_ends() -> None:
    source, target, pairs = two_languages(noise=0.0)
    learned = self_learn(
        source,
        target,
        pairs,
        generator=np.random.default_rng(1),
        keep_probability=0.4,
        patience=2,
        reweight_at_end=False,
    )
    # Nothing to gain from the true pairs: 0.4, 0.8, 1, each for two iterations without a gain.
    assert [now.keep_probability for now in learned.iterations] == [0.4, 0.4, 0.8, 0.8, 1.0, 1.0, 1.0]
    assert learned.converged


def test_rare_words_are_left_out_of_the_dictionary_but_not_of_the_seed() -> None:
    source, target, pairs = two_languages(noise=0.0)
    learned = self_learn(
        source, target, pairs[300:], generator=np.random.default_rng(1), max_words=100, max_iterations=2
    )
    assert learned.iterations[0].num_pairs == 300
    assert learned.pairs.max() < 100


def test_what_can_not_be_learned_from_is_told() -> None:
    source, target, pairs = two_languages(noise=0.0)
    with pytest.raises(InputError, match="there is no pair"):
        learn(source, target, pairs[:0])
    with pytest.raises(InputError, match="differ in dimension"):
        learn(source, target[:, :7], pairs)
    with pytest.raises(ValueError, match="keep_growth above 1"):
        self_learn(source, target, pairs, generator=np.random.default_rng(1), keep_growth=1.0)
