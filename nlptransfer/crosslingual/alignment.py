"""Linear maps that bring the word vectors of two languages into one space: Procrustes, VecMap's steps, RCSLS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import xxhash

from nlptransfer.crosslingual.retrieval import nearest_both_ways
from nlptransfer.embeddings.vector_formats import CONTROL
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError
from nlptransfer.files import write_whole

Side = Literal["source", "target"]

NORMALISATION = ("unit", "centre", "unit")
"""Applied to each language by itself before it is mapped, as VecMap does; `()` for none."""

_BLOCK = 16_384


@dataclass(frozen=True, eq=False)
class Alignment:
    """A fitted pair of maps into one space.

    Attributes:
        normalisation: the steps before the map, "unit" (length 1) or "centre" (less the mean), in order.
        source_means: what each "centre" step subtracts from source vectors, (D,) each.
        target_means: the same for target vectors.
        source_map: (D, P); a source vector x goes to x @ source_map.
        target_map: (D, P).

    Example:
        >>> alignment = fit_procrustes(source.matrix, target.matrix, rows.pairs)
        >>> mapped = alignment.map_source(source)
        >>> write_word2vec("hi_in_urdu_space.bin", mapped)
        >>> layer = make_embedding(mapped, vocabulary, trainable=False)
    """

    normalisation: tuple[str, ...]
    source_means: tuple[np.ndarray, ...]
    target_means: tuple[np.ndarray, ...]
    source_map: np.ndarray
    target_map: np.ndarray

    def transform_source(self, matrix: np.ndarray) -> np.ndarray:
        """(N, D) source vectors in the common space: (N, P) float32."""
        return self._transform(matrix, self.source_means, self.source_map)

    def transform_target(self, matrix: np.ndarray) -> np.ndarray:
        """(N, D) target vectors in the common space: (N, P) float32."""
        return self._transform(matrix, self.target_means, self.target_map)

    def map_source(self, vectors: WordVectors) -> WordVectors:
        """Source words with their vectors in the common space. Subwords are not mapped and fall away."""
        return _word_vectors(vectors, self.transform_source(vectors.matrix))

    def map_target(self, vectors: WordVectors) -> WordVectors:
        """Target words with their vectors in the common space. Subwords are not mapped and fall away."""
        return _word_vectors(vectors, self.transform_target(vectors.matrix))

    def _transform(self, matrix: np.ndarray, means: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
        if matrix.ndim != 2 or matrix.shape[1] != len(weights):
            raise InputError(
                "the vectors are not of the dimension that the map was fitted on",
                expected=f"(N, {len(weights)})",
                found=str(matrix.shape),
            )
        mapped = np.empty((len(matrix), weights.shape[1]), np.float32)
        for start in range(0, len(matrix), _BLOCK):
            rows = np.array(matrix[start : start + _BLOCK], dtype=np.float32)
            left = iter(means)
            for step in self.normalisation:
                rows = _unit(rows) if step == "unit" else rows - next(left)
            mapped[start : start + _BLOCK] = rows @ weights
        return mapped


def normalise(matrix: np.ndarray, steps: Sequence[str] = NORMALISATION) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Apply steps "unit" (length 1, zeros stay) and "centre" (less the mean of all rows) in the order given.

    Args:
        matrix: (V, D) vectors of one language.
        steps: names of steps.

    Returns:
        (V, D) float32, and the mean that each "centre" step subtracted.

    Raises:
        ValueError: an unknown step.

    Reference: Artetxe, Labaka, Agirre (2016), section 2, https://aclanthology.org/D16-1250; Xing et al. (2015),
    https://aclanthology.org/N15-1104, for the length.
    """
    if isinstance(steps, str) or set(steps) - {"unit", "centre"}:
        raise ValueError(f"the steps are 'unit' and 'centre'; found {steps!r}")
    rows = np.array(matrix, dtype=np.float32)
    means = []
    for step in steps:
        if step == "unit":
            rows = _unit(rows)
        else:
            means.append(rows.mean(axis=0, dtype=np.float64).astype(np.float32))
            rows -= means[-1]
    return rows, tuple(means)


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows /= np.where(lengths > 0, lengths, 1)[:, None]
    return rows


def fit_procrustes(
    source: np.ndarray, target: np.ndarray, pairs: np.ndarray, *, normalisation: Sequence[str] = NORMALISATION
) -> Alignment:
    r"""The orthogonal map that brings source vectors nearest to their translations; target vectors stay in place.

    .. math::
        W = \arg\min_{W^\top W = I} \|X W - Z\|_F = U V^\top \qquad U S V^\top = X^\top Z

    Args:
        source: (N, D) vectors of the whole vocabulary, whose means the normalisation takes.
        target: (V, D).
        pairs: (P, 2) rows of words that translate each other; X and Z are their normalised vectors.
        normalisation: of both languages, beforehand.

    Raises:
        InputError: there is no pair, the dimensions differ, or a number is not finite.
        ValueError: a pair that is no row, or an unknown step.

    Reference: Schoenemann (1966), https://doi.org/10.1007/BF02289451; Xing et al. (2015),
    https://aclanthology.org/N15-1104; Smith et al. (2017), section 2.1, https://arxiv.org/abs/1702.03859.

    Compare with: `fit_vecmap`, whose re-weighting usually retrieves better with some thousand pairs; `fit_rcsls`.

    Example:
        >>> alignment = fit_procrustes(source.matrix, target.matrix, rows.pairs)
        >>> alignment.transform_source(source.matrix).shape
        (20000, 100)
    """
    paired_source, paired_target, means = _paired(source, target, pairs, normalisation)
    u, _, vt = np.linalg.svd(paired_source.T @ paired_target)
    return Alignment(tuple(normalisation), *means, (u @ vt).astype(np.float32), np.eye(len(u), dtype=np.float32))


def fit_vecmap(
    source: np.ndarray,
    target: np.ndarray,
    pairs: np.ndarray,
    *,
    normalisation: Sequence[str] = NORMALISATION,
    whiten: bool = True,
    source_reweight: float = 0.5,
    target_reweight: float = 0.5,
    source_dewhiten: Side | None = "source",
    target_dewhiten: Side | None = "target",
    num_components: int | None = None,
) -> Alignment:
    r"""VecMap's framework of linear steps, each to be switched off; the defaults are its symmetric re-weighting.

    .. math::
        \text{S1 whitening}\quad & X_1 = X (X^\top X)^{-1/2}, \quad Z_1 = Z (Z^\top Z)^{-1/2} \\
        \text{S2 orthogonal map}\quad & X_2 = X_1 U, \quad Z_2 = Z_1 V, \qquad U S V^\top = X_1^\top Z_1 \\
        \text{S3 re-weighting}\quad & X_3 = X_2 S^{p}, \quad Z_3 = Z_2 S^{q} \\
        \text{S4 de-whitening}\quad & X_4 = X_3\, U^\top (X^\top X)^{1/2} U \ \text{or}\
            X_3\, V^\top (Z^\top Z)^{1/2} V \\
        \text{S5 reduction}\quad & \text{the first columns, by falling } S

    Args:
        source: (N, D) vectors of the whole vocabulary.
        target: (V, D).
        pairs: (P, 2) rows of words that translate each other; X and Z are their normalised vectors.
        normalisation: of both languages, beforehand (S0).
        whiten: S1. With it there must be more independent pairs than dimensions.
        source_reweight: p of S3; the paper re-weights one side, (1, 0) or (0, 1), its successor both, (0.5, 0.5).
        target_reweight: q of S3.
        source_dewhiten: by whose covariance S4 de-whitens source vectors; None leaves them white.
        target_dewhiten: the same for target vectors.
        num_components: columns that S5 keeps; None for all.

    Raises:
        InputError: there is no pair, too few pairs to whiten, the dimensions differ, or a number is not finite.
        ValueError: a pair that is no row, an unknown step, de-whitening without whitening, or `num_components` above D.

    Reference: Artetxe, Labaka, Agirre (2018), section 3 and table 1, https://doi.org/10.1609/aaai.v32i1.11992; for
    the symmetric re-weighting, Artetxe, Labaka, Agirre (2018), section 3.4, https://aclanthology.org/P18-1073.

    Compare with: `fit_procrustes`, which needs few pairs. With all steps off but S2, similarities equal those of
    Procrustes, although both sides are turned.

    Example:
        >>> alignment = fit_vecmap(source.matrix, target.matrix, rows.pairs)
        >>> mapped_target = alignment.map_target(target)
    """
    paired_source, paired_target, means = _paired(source, target, pairs, normalisation)
    dim = paired_source.shape[1]
    if not whiten and (source_dewhiten or target_dewhiten):
        raise ValueError("without whitening there is nothing to de-whiten: set source_dewhiten=target_dewhiten=None")
    if num_components is not None and not 1 <= num_components <= dim:
        raise ValueError(f"num_components must be between 1 and {dim}; found {num_components}")
    roots = {}
    source_map, target_map = np.eye(dim), np.eye(dim)
    if whiten:
        source_map, roots["source"] = _whitening(paired_source, "source")
        target_map, roots["target"] = _whitening(paired_target, "target")
    u, weights, vt = np.linalg.svd((paired_source @ source_map).T @ (paired_target @ target_map))
    turns = {"source": u, "target": vt.T}
    source_map = source_map @ u * weights**source_reweight
    target_map = target_map @ vt.T * weights**target_reweight
    if source_dewhiten:
        source_map = source_map @ turns[source_dewhiten].T @ roots[source_dewhiten] @ turns[source_dewhiten]
    if target_dewhiten:
        target_map = target_map @ turns[target_dewhiten].T @ roots[target_dewhiten] @ turns[target_dewhiten]
    kept = slice(num_components)
    return Alignment(
        tuple(normalisation),
        *means,
        np.ascontiguousarray(source_map[:, kept], dtype=np.float32),
        np.ascontiguousarray(target_map[:, kept], dtype=np.float32),
    )


def _whitening(paired: np.ndarray, side: str) -> tuple[np.ndarray, np.ndarray]:
    """(X^T X)^(-1/2) and (X^T X)^(1/2), both (D, D)."""
    _, spread, vt = np.linalg.svd(paired, full_matrices=False)
    rank = int((spread > 1e-5 * spread[0]).sum())
    if rank < paired.shape[1]:
        raise InputError(
            f"there are too few {side} words in the pairs to whiten by",
            expected=f"at least {paired.shape[1]} independent vectors, one for each dimension",
            found=f"{rank} among {len(paired):,} pairs",
            remedy="Give more pairs, or switch whitening and de-whitening off.",
        )
    return (vt.T / spread) @ vt, (vt.T * spread) @ vt


def fit_rcsls(
    source: np.ndarray,
    target: np.ndarray,
    pairs: np.ndarray,
    *,
    normalisation: Sequence[str] = NORMALISATION,
    num_neighbours: int = 10,
    max_words: int = 50_000,
    num_steps: int = 10,
    learning_rate: float = 1.0,
) -> Alignment:
    r"""Improve the Procrustes map by gradient steps on CSLS itself, relaxed; the map stops being orthogonal.

    .. math::
        \min_W \frac1n \sum_i \Big( -2 (x_i W) z_i^\top
            + \frac1k \sum_{z_j \in N_Z(x_i W)} (x_i W) z_j^\top
            + \frac1k \sum_{x_j \in N_X(z_i)} (x_j W) z_i^\top \Big)

    Each step finds the neighbours anew. A step that would raise the loss is taken back, and the rate halved.

    Args:
        source: (N, D) vectors of the whole vocabulary, most frequent first.
        target: (V, D).
        pairs: (P, 2) rows of words that translate each other.
        normalisation: of both languages, beforehand; must end in "unit".
        num_neighbours: k.
        max_words: neighbours are sought among so many words of each language, and those of the pairs among them.
        num_steps: gradient steps.
        learning_rate: factor of the gradient of the mean over pairs, at first.

    Returns:
        The map with the least loss; never a greater one than that of Procrustes.

    Raises:
        InputError: there is no pair, the dimensions differ, or a number is not finite.
        ValueError: a pair that is no row, or a normalisation that does not end in "unit".

    Reference: Joulin, Bojanowski, Mikolov, Jegou, Grave (2018), equation 7 in its unconstrained form,
    https://arxiv.org/abs/1804.07745. Departs from it by full batches and by taking steps back.

    Compare with: `fit_procrustes`, where it starts; prefer that in self-learning, since this fits the pairs it has.

    Example:
        >>> alignment = fit_rcsls(source.matrix, target.matrix, rows.pairs, num_steps=20)
        >>> scores = score_translations(alignment.transform_source(source.matrix),
        ...                             alignment.transform_target(target.matrix), test_rows.pairs)
    """
    if not normalisation or normalisation[-1] != "unit":
        raise ValueError(f"the loss takes vectors of length 1: the last step must be 'unit'; found {normalisation!r}")
    start = fit_procrustes(source, target, pairs, normalisation=normalisation)
    all_source, _ = normalise(source, normalisation)
    all_target, _ = normalise(target, normalisation)
    paired_source, paired_target = all_source[pairs[:, 0]], all_target[pairs[:, 1]]
    all_source, all_target = all_source[:max_words], all_target[:max_words]
    weights = start.source_map
    best_loss, gradient = _rcsls_loss(paired_source, paired_target, all_source, all_target, weights, num_neighbours)
    for _ in range(num_steps):
        tried = weights - np.float32(learning_rate) * gradient
        loss, tried_gradient = _rcsls_loss(paired_source, paired_target, all_source, all_target, tried, num_neighbours)
        if loss < best_loss:
            weights, best_loss, gradient = tried, loss, tried_gradient
        else:
            learning_rate /= 2
    return Alignment(start.normalisation, start.source_means, start.target_means, weights, start.target_map)


def _rcsls_loss(
    paired_source: np.ndarray,
    paired_target: np.ndarray,
    all_source: np.ndarray,
    all_target: np.ndarray,
    weights: np.ndarray,
    num_neighbours: int,
) -> tuple[float, np.ndarray]:
    """The loss, and its gradient (D, D) with the neighbours held fixed.

    Neighbours are found by cosine. That is the order of the products in the first sum, where the z_j have length 1; in
    the second it disregards the lengths of x_j W, which start from 1.
    """
    n = len(paired_source)
    of_source, _ = nearest_both_ways(paired_source @ weights, all_target, num_neighbours)
    of_target, _ = nearest_both_ways(paired_target, all_source @ weights, num_neighbours)
    # (n, D): the mean of each pair's neighbours; the loss is linear in W once they are chosen.
    near_target = _row_means(all_target, of_source.rows)
    near_source = _row_means(all_source, of_target.rows)
    gradient = (paired_source.T @ (near_target - 2 * paired_target) + near_source.T @ paired_target) / n
    return float((weights.astype(np.float64) * gradient).sum()), gradient


def _row_means(matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(n, D) mean over the k rows (n, k), one neighbour at a time for the sake of memory."""
    total = matrix[rows[:, 0]]
    for column in range(1, rows.shape[1]):
        total += matrix[rows[:, column]]
    return total / np.float32(rows.shape[1])


def _paired(
    source: np.ndarray, target: np.ndarray, pairs: np.ndarray, normalisation: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]]:
    """The normalised float64 vectors of the pairs, (P, D) each, and the means of both sides."""
    if source.ndim != 2 or target.ndim != 2 or source.shape[1] != target.shape[1]:
        raise InputError(
            "the vectors of the two languages differ in dimension",
            expected="as many numbers per word",
            found=f"{source.shape} and {target.shape}",
            remedy="Take vectors of one dimension, or reduce the larger by SVD first.",
        )
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"pairs must be (P, 2) rows; found shape {pairs.shape}")
    if not len(pairs):
        raise InputError(
            "there is no pair to fit the map on",
            remedy="Check the coverage of the lexicon, or take another seed: see nlptransfer.crosslingual.lexicon.",
        )
    if (pairs < 0).any() or (pairs >= [len(source), len(target)]).any():
        raise ValueError("the pairs must be rows of the two matrices")
    paired, means = [], []
    for name, matrix, rows in (("source", source, pairs[:, 0]), ("target", target, pairs[:, 1])):
        normalised, mean = normalise(matrix, normalisation)
        paired.append(normalised[rows].astype(np.float64))
        means.append(mean)
        if not np.isfinite(paired[-1]).all():
            raise InputError(f"the {name} vectors hold numbers that are not finite", remedy="Leave those words out.")
    return paired[0], paired[1], (means[0], means[1])


def _word_vectors(vectors: WordVectors, matrix: np.ndarray) -> WordVectors:
    hasher = xxhash.xxh3_128(matrix.tobytes())
    hasher.update("\n".join(vectors.words).encode("utf-8", "surrogatepass"))
    return WordVectors(vectors.words, matrix, None, source=f"{vectors.source}, mapped", digest=hasher.hexdigest())


def write_word2vec(path: str | Path, vectors: WordVectors) -> None:
    """Write word vectors in word2vec's binary format: exact, and read by `read_word_vectors`, gensim and others.

    Args:
        path: the file to write, whole or not at all; usually ``.bin``.
        vectors: V words of D dimensions; subwords are not written.

    Raises:
        InputError: a word is empty or holds a space, a line break or a control character, which the format can't.

    Example:
        >>> write_word2vec("hi_in_urdu_space.bin", alignment.map_source(source))
        >>> read_word_vectors("hi_in_urdu_space.bin").dim
        100
    """
    for number, word in enumerate(vectors.words, start=1):
        if not word or " " in word or "\n" in word or CONTROL.search(word.encode("utf-8", "replace")):
            raise InputError(
                f"word {number:,} can't be written in word2vec's binary format",
                where=path,
                expected="words without spaces, line breaks and control characters",
                found=repr(word),
                remedy="Leave the word out.",
            )
    with write_whole(path) as temporary, temporary.open("wb") as handle:
        handle.write(f"{len(vectors)} {vectors.dim}\n".encode())
        for start in range(0, len(vectors), _BLOCK):
            block = np.ascontiguousarray(vectors.matrix[start : start + _BLOCK], dtype="<f4")
            for word, row in zip(vectors.words[start : start + _BLOCK], block, strict=True):
                handle.write(word.encode() + b" " + row.tobytes() + b"\n")
