"""Maps: Procrustes against scipy, VecMap's steps by covariances, RCSLS by its loss, and files of mapped words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes

from nlptransfer.crosslingual import alignment as aligning
from nlptransfer.crosslingual.alignment import fit_procrustes, fit_rcsls, fit_vecmap, normalise, write_word2vec
from nlptransfer.crosslingual.retrieval import score_translations
from nlptransfer.data.vocabulary import Vocabulary
from nlptransfer.embeddings.embedding_layer import make_embedding
from nlptransfer.embeddings.word_vectors import WordVectors, read_word_vectors
from nlptransfer.errors import InputError


def rotated(
    num_words: int = 300, dim: int = 20, noise: float = 0.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source vectors, the same turned and in another order among some others, and the true pairs."""
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(num_words, dim)) * rng.gamma(2, size=dim)
    turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    target = rng.normal(size=(num_words + 17, dim))
    place = rng.permutation(num_words + 17)[:num_words]
    target[place] = source @ turn + noise * rng.normal(size=source.shape)
    return source, target, np.stack([np.arange(num_words), place], axis=1)


def p_at_1(alignment: aligning.Alignment, source: np.ndarray, target: np.ndarray, pairs: np.ndarray) -> float:
    mapped = alignment.transform_source(source), alignment.transform_target(target)
    return score_translations(*mapped, pairs).precision_at_1


def test_an_exact_rotation_is_recovered() -> None:
    source, target, pairs = rotated()
    fitted = fit_procrustes(source, target, pairs[:30], normalisation=("unit",))
    assert p_at_1(fitted, source, target, pairs) == 1.0
    np.testing.assert_allclose(fitted.transform_source(source), fitted.transform_target(target)[pairs[:, 1]], atol=1e-5)


def test_without_a_map_nothing_is_found_and_unrelated_pairs_do_not_help() -> None:
    source, target, pairs = rotated()
    assert score_translations(source, target, pairs).precision_at_1 < 0.1
    wrong = np.stack([pairs[:30, 0], pairs[30:60, 1]], axis=1)
    assert p_at_1(fit_procrustes(source, target, wrong), source, target, pairs[60:]) < 0.1


@pytest.mark.parametrize("steps", [(), ("unit",), ("unit", "centre", "unit")])
def test_the_procrustes_map_is_that_of_scipy(steps: tuple[str, ...]) -> None:
    source, target, pairs = rotated(noise=0.8)
    fitted = fit_procrustes(source, target, pairs[:50], normalisation=steps)
    x, z = normalise(source, steps)[0][pairs[:50, 0]], normalise(target, steps)[0][pairs[:50, 1]]
    expected, _ = orthogonal_procrustes(x.astype(float), z.astype(float))
    np.testing.assert_allclose(fitted.source_map, expected, atol=1e-4)
    np.testing.assert_array_equal(fitted.target_map, np.eye(20))


def test_normalisation_is_that_of_each_row_and_then_of_the_mean() -> None:
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(9, 4)) + 1
    matrix[5] = 0
    expected = np.array([row / np.linalg.norm(row) if row.any() else row for row in matrix])
    np.testing.assert_allclose(normalise(matrix, ("unit",))[0], expected, atol=1e-6)
    centred = expected - expected.sum(axis=0) / 9
    found, means = normalise(matrix)
    np.testing.assert_allclose(means[0], expected.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found, [row / np.linalg.norm(row) for row in centred], atol=1e-6)
    assert matrix[0, 0] == np.random.default_rng(2).normal(size=(9, 4))[0, 0] + 1
    with pytest.raises(ValueError, match="'unit' and 'centre'"):
        normalise(matrix, ("unit", "center"))


def test_new_words_are_mapped_by_the_means_of_the_vocabulary() -> None:
    source, target, pairs = rotated(noise=0.3)
    fitted = fit_procrustes(source, target, pairs)
    np.testing.assert_allclose(fitted.transform_source(source[7:9]), fitted.transform_source(source)[7:9], atol=1e-6)
    with pytest.raises(InputError, match=r"Expected \(N, 20\); found \(300, 19\)"):
        fitted.transform_source(source[:, 1:])


def of_pairs(fitted: aligning.Alignment, source: np.ndarray, target: np.ndarray, pairs: np.ndarray) -> list[np.ndarray]:
    sides = fitted.transform_source(source)[pairs[:, 0]], fitted.transform_target(target)[pairs[:, 1]]
    return [side.astype(float) for side in sides]


def power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Of a symmetric positive matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(values**exponent) @ vectors.T


def test_whitened_pairs_have_the_identity_as_covariance_and_falling_correlations() -> None:
    source, target, pairs = rotated(noise=0.8)
    fitted = fit_vecmap(
        source, target, pairs, source_reweight=0, target_reweight=0, source_dewhiten=None, target_dewhiten=None
    )
    x, z = of_pairs(fitted, source, target, pairs)
    np.testing.assert_allclose(x.T @ x, np.eye(20), atol=1e-4)
    np.testing.assert_allclose(z.T @ z, np.eye(20), atol=1e-4)
    # Whitening and an orthogonal map are canonical correlation analysis without its means.
    raw_x, raw_z = normalise(source)[0][pairs[:, 0]].astype(float), normalise(target)[0][pairs[:, 1]].astype(float)
    whole = power(raw_x.T @ raw_x, -0.5) @ raw_x.T @ raw_z @ np.linalg.inv(raw_z.T @ raw_z) @ raw_z.T @ raw_x
    squares = np.linalg.eigvalsh(whole @ power(raw_x.T @ raw_x, -0.5))[::-1]
    np.testing.assert_allclose(x.T @ z, np.diag(np.sqrt(squares)), atol=1e-4)


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)])
def test_re_weighting_multiplies_by_powers_of_the_correlations(weights: tuple[float, float]) -> None:
    source, target, pairs = rotated(noise=0.8)
    plain, weighted = (
        fit_vecmap(
            source, target, pairs, source_reweight=p, target_reweight=q, source_dewhiten=None, target_dewhiten=None
        )
        for p, q in ((0, 0), weights)
    )
    x, z = of_pairs(plain, source, target, pairs)
    correlations = np.diag(x.T @ z)
    for exponent, before, after in zip(weights, (x, z), of_pairs(weighted, source, target, pairs), strict=True):
        np.testing.assert_allclose(after, before * correlations**exponent, atol=1e-5)


def test_de_whitening_restores_the_covariance_of_the_side_it_names() -> None:
    source, target, pairs = rotated(noise=0.8)
    x, z = normalise(source)[0][pairs[:, 0]].astype(float), normalise(target)[0][pairs[:, 1]].astype(float)
    u, _, vt = np.linalg.svd(power(x.T @ x, -0.5) @ x.T @ z @ power(z.T @ z, -0.5))
    own = fit_vecmap(source, target, pairs, source_reweight=0, target_reweight=0)
    np.testing.assert_allclose(own.source_map, u, atol=1e-3)  # whitened, turned and de-whitened is only turned
    np.testing.assert_allclose(own.target_map, vt.T, atol=1e-3)
    other = fit_vecmap(
        source, target, pairs, source_reweight=0, target_reweight=0, source_dewhiten="target", target_dewhiten="source"
    )
    np.testing.assert_allclose(other.source_map, power(x.T @ x, -0.5) @ u @ vt @ power(z.T @ z, 0.5) @ vt.T, atol=1e-3)
    np.testing.assert_allclose(other.target_map, power(z.T @ z, -0.5) @ vt.T @ u.T @ power(x.T @ x, 0.5) @ u, atol=1e-3)


def test_reduction_keeps_the_first_columns() -> None:
    source, target, pairs = rotated(noise=0.8)
    whole, reduced = (fit_vecmap(source, target, pairs, num_components=count) for count in (None, 6))
    np.testing.assert_array_equal(reduced.transform_source(source).shape, (300, 6))
    np.testing.assert_array_equal(reduced.source_map, whole.source_map[:, :6])
    np.testing.assert_array_equal(reduced.target_map, whole.target_map[:, :6])


def test_with_the_steps_off_similarities_are_those_of_procrustes() -> None:
    source, target, pairs = rotated(noise=0.8)
    bare = fit_vecmap(
        source,
        target,
        pairs[:12],
        whiten=False,
        source_reweight=0,
        target_reweight=0,
        source_dewhiten=None,
        target_dewhiten=None,
    )
    procrustes = fit_procrustes(source, target, pairs[:12])
    products = [
        of_pairs(fitted, source, target, pairs[:12])[0] @ of_pairs(fitted, source, target, pairs[:12])[1].T
        for fitted in (bare, procrustes)
    ]
    np.testing.assert_allclose(*products, atol=1e-5)


def noisy_dimensions(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Half of the dimensions tell the languages' words apart each in its own way: nothing corresponds there."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(600, 10))
    sides = []
    for spread in (1.2, 1.4):
        own = spread * rng.normal(size=(600, 10))
        turn = np.linalg.qr(rng.normal(size=(20, 20)))[0]
        sides.append(np.concatenate([shared + 0.2 * rng.normal(size=shared.shape), own], axis=1) @ turn)
    return sides[0], sides[1], np.stack([np.arange(600)] * 2, axis=1)


def test_re_weighting_finds_words_that_procrustes_misses_where_half_the_dimensions_are_unrelated() -> None:
    source, target, pairs = noisy_dimensions()
    train, test = pairs[:300], pairs[300:]
    plain = p_at_1(fit_procrustes(source, target, train), source, target, test)
    assert plain < 0.6
    assert p_at_1(fit_vecmap(source, target, train), source, target, test) > plain + 0.2


def stretched(seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The target is a linear map of the source that no rotation is, and noise."""
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(900, 40))
    linear = np.linalg.qr(rng.normal(size=(40, 40)))[0] * np.exp(0.6 * rng.normal(size=40))
    target = source @ linear
    target += target.std() * rng.normal(size=source.shape)
    return source, target, np.stack([np.arange(900)] * 2, axis=1)


def test_rcsls_finds_words_that_no_rotation_finds() -> None:
    source, target, pairs = stretched()
    train, test = pairs[:600], pairs[600:]
    plain = p_at_1(fit_procrustes(source, target, train), source, target, test)
    assert plain < 0.8
    assert p_at_1(fit_rcsls(source, target, train, learning_rate=8.0), source, target, test) > plain + 0.04


def test_without_steps_rcsls_is_procrustes() -> None:
    source, target, pairs = stretched()
    same = fit_rcsls(source, target, pairs[:100], num_steps=0)
    np.testing.assert_array_equal(same.source_map, fit_procrustes(source, target, pairs[:100]).source_map)


def slow_rcsls(
    x: np.ndarray, z: np.ndarray, all_x: np.ndarray, all_z: np.ndarray, w: torch.Tensor, k: int
) -> torch.Tensor:
    """Equation 7 of Joulin et al. 2018, pair by pair; the neighbours are found by cosine."""
    losses = []
    for xi, zi in zip(torch.from_numpy(x), torch.from_numpy(z), strict=True):
        mapped, all_mapped = xi @ w, torch.from_numpy(all_x) @ w
        near_z = (torch.from_numpy(all_z) @ mapped).topk(k).indices
        near_x = ((all_mapped @ zi) / all_mapped.norm(dim=1)).topk(k).indices
        losses.append(
            -2 * mapped @ zi + (torch.from_numpy(all_z)[near_z] @ mapped).mean() + (all_mapped[near_x] @ zi).mean()
        )
    return torch.stack(losses).mean()


def test_the_rcsls_loss_and_its_gradient_are_those_of_the_paper() -> None:
    source, target, pairs = stretched()
    all_x, all_z = normalise(source[:60])[0].astype(float), normalise(target[:70])[0].astype(float)
    x, z = all_x[pairs[:15, 0]], all_z[pairs[:15, 1]]
    w = torch.from_numpy(np.random.default_rng(3).normal(size=(40, 40))).requires_grad_()
    loss = slow_rcsls(x, z, all_x, all_z, w, 4)
    loss.backward()
    found, gradient = aligning._rcsls_loss(x, z, all_x, all_z, w.detach().numpy(), 4)
    assert found == pytest.approx(loss.item(), abs=1e-6)
    assert w.grad is not None
    np.testing.assert_allclose(gradient, w.grad.numpy(), atol=1e-6)


def test_a_rate_that_is_far_too_high_still_lowers_the_loss() -> None:
    source, target, pairs = stretched()
    all_x, all_z = normalise(source)[0], normalise(target)[0]
    losses = [
        aligning._rcsls_loss(
            all_x[:100],
            all_z[:100],
            all_x,
            all_z,
            fit_rcsls(source, target, pairs[:100], num_steps=steps, learning_rate=1e4).source_map,
            10,
        )[0]
        for steps in (0, 12)
    ]
    assert losses[1] <= losses[0]


def test_mapped_words_are_written_read_again_and_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLPTRANSFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(aligning, "_BLOCK", 64)
    source, target, pairs = rotated(noise=0.3)
    hindi = WordVectors([f"शब्द{row}" for row in range(300)], source.astype(np.float32), None, "hi.vec", "d")
    urdu = WordVectors([f"لفظ{row}" for row in range(317)], target.astype(np.float32), None, "ur.vec", "d")
    fitted = fit_procrustes(source, target, pairs)
    mapped = fitted.map_source(hindi)
    assert mapped.source == "hi.vec, mapped"
    assert mapped.digest not in ("d", fitted.map_target(urdu).digest)
    write_word2vec(tmp_path / "mapped.bin", mapped)
    again = read_word_vectors(tmp_path / "mapped.bin")
    assert again.words == hindi.words
    np.testing.assert_array_equal(again.matrix, mapped.matrix)
    vocabulary = Vocabulary([hindi.words[5]])
    layer = make_embedding(again, vocabulary, trainable=False)
    np.testing.assert_array_equal(layer.weight[-1].numpy(), mapped.matrix[5])


@pytest.mark.parametrize("word", ["", "New York", "a\nb", "a\x00"])
def test_a_word_that_the_format_can_not_hold_is_refused(tmp_path: Path, word: str) -> None:
    vectors = WordVectors(["a", word], np.ones((2, 3), np.float32), None, "test", "d")
    with pytest.raises(InputError, match="word 2 can't be written"):
        write_word2vec(tmp_path / "bad.bin", vectors)
    assert not (tmp_path / "bad.bin").exists()


def test_what_can_not_be_fitted_is_told() -> None:
    source, target, pairs = rotated()
    with pytest.raises(InputError, match="there is no pair"):
        fit_procrustes(source, target, pairs[:0])
    with pytest.raises(InputError, match="differ in dimension"):
        fit_procrustes(source, target[:, :5], pairs)
    with pytest.raises(InputError, match=r"too few source words.*at least 20.*found 12 among 12 pairs"):
        fit_vecmap(source, target, pairs[:12])
    with pytest.raises(ValueError, match="nothing to de-whiten"):
        fit_vecmap(source, target, pairs, whiten=False)
    with pytest.raises(ValueError, match="between 1 and 20"):
        fit_vecmap(source, target, pairs, num_components=21)
    with pytest.raises(ValueError, match="last step must be 'unit'"):
        fit_rcsls(source, target, pairs, normalisation=())
    with pytest.raises(ValueError, match="rows of the two matrices"):
        fit_procrustes(source, target, pairs + 300)
    target[pairs[3, 1]] = np.inf
    with pytest.raises(InputError, match="the target vectors hold numbers that are not finite"):
        fit_procrustes(source, target, pairs, normalisation=())
