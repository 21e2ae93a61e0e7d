"""Self-learning: map, induce a dictionary with the map, map again; from a seed, or from nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nlptransfer.crosslingual.alignment import NORMALISATION, Alignment, fit_procrustes, fit_vecmap, normalise
from nlptransfer.crosslingual.retrieval import (
    Neighbours,
    Precision,
    csls_penalties,
    mutual_pairs,
    nearest_both_ways,
    translate_both_ways,
)
from nlptransfer.errors import InputError

Dictionary = Literal["union", "mutual"]


@dataclass(frozen=True)
class Iteration:
    """One turn of self-learning, as it is reported.

    Attributes:
        number: from 1.
        num_pairs: of the dictionary that the map was fitted on.
        mean_similarity: mean cosine of every word to its nearest neighbour, over both directions: the objective.
        keep_probability: with which the next dictionary takes each answer.
    """

    number: int
    num_pairs: int
    mean_similarity: float
    keep_probability: float


@dataclass(frozen=True, eq=False)
class SelfLearned:
    """What self-learning ends with.

    Attributes:
        alignment: fitted on `pairs`.
        pairs: (P, 2) rows, induced without chance by the map of the best iteration.
        iterations: all that there were.
        converged: whether the stop rule ended it, and not `max_iterations`.
    """

    alignment: Alignment
    pairs: np.ndarray
    iterations: tuple[Iteration, ...]
    converged: bool


def self_learn(
    source: np.ndarray,
    target: np.ndarray,
    pairs: np.ndarray,
    *,
    generator: np.random.Generator,
    normalisation: Sequence[str] = NORMALISATION,
    max_words: int = 20_000,
    num_neighbours: int = 10,
    dictionary: Dictionary = "union",
    keep_probability: float = 0.1,
    keep_growth: float = 2.0,
    patience: int = 10,
    min_gain: float = 1e-6,
    max_iterations: int = 500,
    reweight_at_end: bool = True,
    precision: Precision = "float32",
    on_iteration: Callable[[Iteration], None] | None = None,
) -> SelfLearned:
    r"""Fit an orthogonal map, take its CSLS translations for the next dictionary, and so on while the objective rises.

    .. math::
        \frac{1}{2N} \sum_x \max_y \cos(xW, y) + \frac{1}{2V} \sum_y \max_x \cos(xW, y)

    Each answer is kept with `keep_probability`; a word takes the best answer that was kept. When the objective has not
    risen for `patience` iterations, the probability is multiplied by `keep_growth`; at 1, it ends. VecMap is the
    defaults with ``patience=50``. The Procrustes refinement of MUSE is the same loop with ``dictionary="mutual",
    max_words=15_000, keep_probability=1.0, max_iterations=5, reweight_at_end=False``.

    Args:
        source: (N, D) vectors, most frequent word first.
        target: (V, D).
        pairs: (P, 2) rows to start from: `lexicon_rows` of a small lexicon, of identical strings or of cognates; or
            `unsupervised_pairs`.
        generator: draws which answers are kept.
        normalisation: of both languages, beforehand, over the whole vocabulary.
        max_words: dictionaries are induced among so many words of each language. The seed may lie beyond.
        num_neighbours: K of CSLS.
        dictionary: of the answers in both directions, all ("union"; a pair that both give counts twice, as in VecMap),
            or those where each word is the other's answer ("mutual", as in MUSE).
        keep_probability: at first; 1 for no chance.
        keep_growth: factor, above 1.
        patience: iterations without a gain.
        min_gain: by how much the objective must rise to count.
        max_iterations: stop there in any case.
        reweight_at_end: fit the last map by `fit_vecmap`; otherwise it stays orthogonal.
        precision: of the products, see `nearest_both_ways`.
        on_iteration: called after each, to show progress.

    Returns:
        The map, its dictionary and the course of the objective.

    Raises:
        InputError: there is no seed pair, the dimensions differ, the vectors are too few to re-weight by, or no pair is
            mutual.
        ValueError: a probability, a growth or a number of iterations out of range, or an unknown `dictionary`.

    Reference: Artetxe, Labaka, Agirre (2018), sections 3.3 and 3.4, https://aclanthology.org/P18-1073; Conneau et al.
    (2018), section 2.2, https://arxiv.org/abs/1710.04087. Departs from VecMap's code in three points: answers that are
    not kept are left out, and not scored 0; a word none of whose best answers is kept gives no pair, since only so many
    are looked at that this befalls one word in a hundred; and the map of the best iteration is the one that counts.

    Compare with: `fit_procrustes`, on a few thousand trusted pairs.

    Example:
        >>> seed = lexicon_rows(numerals(source.words, target.words), source, target).pairs
        >>> learned = self_learn(source.matrix, target.matrix, seed, generator=np.random.default_rng(1),
        ...                      on_iteration=lambda now: print(now.number, f"{now.mean_similarity:.4f}"))
        >>> mapped = learned.alignment.map_source(source)
    """
    if not 0 < keep_probability <= 1 or keep_growth <= 1 or max_iterations < 1 or dictionary not in ("union", "mutual"):
        raise ValueError(
            "keep_probability must be in (0, 1], keep_growth above 1, max_iterations at least 1, dictionary 'union' or "
            f"'mutual'; found {keep_probability}, {keep_growth}, {max_iterations}, {dictionary!r}"
        )
    # Normalised once, means over all words; only the frequent words and the seed are needed from here on.
    all_source, _ = normalise(source, normalisation)
    all_target, _ = normalise(target, normalisation)
    frequent_source, frequent_target = all_source[:max_words], all_target[:max_words]
    alignment = fit_procrustes(all_source, all_target, pairs, normalisation=())
    num_pairs = len(pairs)
    iterations: list[Iteration] = []
    best, best_map, last_gain = -math.inf, alignment.source_map, 0
    converged = False
    for number in range(1, max_iterations + 1):
        mapped = frequent_source @ alignment.source_map
        near = nearest_both_ways(mapped, frequent_target, num_neighbours, precision=precision)
        similarity = float(sum(side.scores[:, 0].mean(dtype=np.float64) for side in near) / 2)
        if similarity >= best + min_gain:
            last_gain = number
        if similarity > best:
            best, best_map = similarity, alignment.source_map
        if number - last_gain >= patience:
            if keep_probability >= 1:
                converged = True
            keep_probability, last_gain = min(1.0, keep_growth * keep_probability), number
        iterations.append(Iteration(number, num_pairs, similarity, keep_probability))
        if on_iteration is not None:
            on_iteration(iterations[-1])
        if converged or number == max_iterations:
            break
        induced = _induced(mapped, frequent_target, near, dictionary, keep_probability, generator, precision)
        num_pairs = len(induced)
        alignment = fit_procrustes(frequent_source, frequent_target, induced, normalisation=())
    mapped = frequent_source @ best_map
    near = nearest_both_ways(mapped, frequent_target, num_neighbours, precision=precision)
    last = _induced(mapped, frequent_target, near, dictionary, 1.0, generator, precision)
    fit = fit_vecmap if reweight_at_end else fit_procrustes
    return SelfLearned(fit(source, target, last, normalisation=normalisation), last, tuple(iterations), converged)


def _induced(
    mapped: np.ndarray,
    target: np.ndarray,
    near: tuple[Neighbours, Neighbours],
    dictionary: Dictionary,
    keep_probability: float,
    generator: np.random.Generator,
    precision: Precision,
) -> np.ndarray:
    """(P, 2) rows: for each word, in both directions, the best by CSLS of the answers that chance keeps."""
    # The best kept answer is the i-th best with probability p (1 - p)^i, whatever the scores are: no need to draw for
    # each of the N V similarities.
    count = 1 if keep_probability == 1 else math.ceil(math.log(0.01) / math.log1p(-keep_probability))
    a, b = csls_penalties(*near)
    answers = nearest_both_ways(mapped, target, count, source_penalty=a, target_penalty=b, precision=precision)
    drawn = []
    for side in answers:
        place = generator.geometric(keep_probability, size=len(side.rows)) - 1
        kept = np.flatnonzero(place < side.rows.shape[1])
        drawn.append((kept, side.rows[kept, place[kept]]))
    (source_rows, their_targets), (target_rows, their_sources) = drawn
    forward = np.stack([source_rows, their_targets], axis=1)
    backward = np.stack([their_sources, target_rows], axis=1)
    if dictionary == "union":
        return np.concatenate([forward, backward])
    if keep_probability == 1:
        mutual = mutual_pairs(*answers)
    else:
        both = set(map(tuple, backward.tolist()))
        mutual = np.array([pair for pair in map(tuple, forward.tolist()) if pair in both]).reshape(-1, 2)
    if not len(mutual):
        raise InputError(
            "no two words are each other's translation under the present map",
            found=f"{len(mapped):,} source and {len(target):,} target words",
            remedy="Start from more or better pairs, or raise keep_probability.",
        )
    return mutual


def unsupervised_pairs(
    source: np.ndarray,
    target: np.ndarray,
    *,
    normalisation: Sequence[str] = NORMALISATION,
    max_words: int = 4000,
    num_neighbours: int = 10,
) -> np.ndarray:
    r"""A seed from nothing: words whose similarities to the words of their own language are distributed alike.

    .. math::
        M_X = (X X^\top)^{1/2} \qquad x' = \text{sorted}(M_X[x, :])

    The sorted rows, normalised, of both languages are compared by CSLS; each word gives its best answer. A few pairs
    better than chance are enough for `self_learn`, but on distant languages or domains there are none.

    Args:
        source: (N, D) vectors, most frequent word first.
        target: (V, D).
        normalisation: of both languages, and of the sorted similarities.
        max_words: only so many words of each language, and as many of both.
        num_neighbours: K of CSLS.

    Returns:
        (P, 2) rows: the best target of each source word and the best source of each target word.

    Raises:
        InputError: the vectors are not finite, or a side has none.
        ValueError: an unknown normalisation step.

    Reference: Artetxe, Labaka, Agirre (2018), section 3.2, https://aclanthology.org/P18-1073.

    Compare with: `identical_strings`, `numerals` and `cognates` of `nlptransfer.crosslingual.lexicon`: any of them that
    finds some dozens of pairs is the safer start.

    Example:
        >>> seed = unsupervised_pairs(source.matrix, target.matrix)
        >>> learned = self_learn(source.matrix, target.matrix, seed, generator=np.random.default_rng(1))
    """
    count = min(max_words, len(source), len(target))
    shapes = []
    for matrix in (source, target):
        rows = normalise(matrix, normalisation)[0][:count].astype(np.float64)
        if not np.isfinite(rows).all():
            raise InputError("the vectors hold numbers that are not finite", remedy="Leave those words out.")
        u, spread, _ = np.linalg.svd(rows, full_matrices=False)
        similarities = ((u * spread) @ u.T).astype(np.float32)  # (count, count)
        similarities.sort(axis=1)
        shapes.append(normalise(similarities, normalisation)[0])
    forward, backward = translate_both_ways(shapes[0], shapes[1], num_neighbours=num_neighbours)
    everyone = np.arange(count)
    return np.concatenate(
        [np.stack([everyone, forward.rows[:, 0]], axis=1), np.stack([backward.rows[:, 0], everyone], axis=1)]
    )
