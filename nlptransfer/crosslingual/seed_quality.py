"""What seed pairs are worth for mapping two word-vector spaces: known, frequent, and agreeing with each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlptransfer.crosslingual.lexicon import Lexicon, lexicon_rows
from nlptransfer.crosslingual.retrieval import RetrievalScores, score_translations, unit_rows
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError

_NUM_FOLDS = 5
_MAX_PAIRS = 5_000
_MAX_RELATED_PAIRS = 2_000


@dataclass(frozen=True)
class SeedQuality:
    """What seed pairs are worth for two spaces.

    Attributes:
        num_pairs: pairs given.
        num_known: pairs of which both words have vectors, without repeats.
        num_without_source: distinct source words without a vector.
        num_without_target: likewise of the target.
        source_rank: median row of the known pairs' source words, from 1; a frequency rank in most files.
        target_rank: likewise of the target.
        relational_similarity: correlation of the cosines between the pairs' source words with those between their
            translations, -1..1; nan for fewer than 3 pairs.
        num_candidates: target words among which left-out translations were looked for.
        held_out: of pairs to which the mapping was not fitted; None where they can't be parted.
        z_above_chance: by how many standard errors left-out translations come earlier than in a random order, among
            the translations that were left out with them; nan where they can't be parted.
    """

    num_pairs: int
    num_known: int
    num_without_source: int
    num_without_target: int
    source_rank: float
    target_rank: float
    relational_similarity: float
    num_candidates: int
    held_out: RetrievalScores | None
    z_above_chance: float


def seed_quality(
    source: WordVectors, target: WordVectors, lexicon: Lexicon, *, num_words: int = 2_000, seed: int
) -> SeedQuality:
    r"""What seed pairs are worth: how many are known, how frequent they are, and whether they agree with each other.

    Agreement is measured by leaving pairs out: orthogonal Procrustes is fitted to four fifths of the known pairs,

    .. math:: W = U V^\top, \qquad X^\top Y = U \Sigma V^\top,

    and the source words of the last fifth are looked up among the target's most frequent words and all translations,
    five times. Pairs that share a word stay together, so that no left-out word was seen. Vectors are brought to length
    1, centred and brought to length 1 first.

    Whether that beats chance is asked among the translations of the same fifth alone. Among the frequent words even
    wrong pairs come early: seed words are mostly rarer, rare words lie together, and a mapping learns to send one such
    region to the other.

    Args:
        source: vectors.
        target: vectors, of any dimension.
        lexicon: the pairs; a word may have several translations. The first 5,000 known ones by source row are left
            out in turn.
        num_words: how many of the most frequent target words are candidates, beside the translations.
        seed: of the parts.

    Returns:
        The counts, and where left-out pairs land.

    Raises:
        InputError: there are no pairs.

    Reference: Xing et al. 2015 for the mapping, https://aclanthology.org/N15-1104; for relational similarity Vulic,
    Ruder and Sogaard 2020, https://aclanthology.org/2020.emnlp-main.257. To judge seeds by leaving some
    out is ours.

    Compare with: `score_translations`, for a finished mapping over the whole vocabulary.

    Example:
        >>> seed_quality(hindi, urdu, read_lexicon("hi-ur.txt"), seed=0).held_out.precision_at_1
    """
    if not len(lexicon):
        raise InputError("there are no seed pairs to judge", expected="at least one", found="none")
    rows = lexicon_rows(lexicon, source, target)
    known = np.unique(rows.pairs, axis=0)  # two spellings may have found one row
    ranks = np.median(known, axis=0) + 1 if len(known) else np.full(2, np.nan)
    used = known[:_MAX_PAIRS]
    of_source = prepared_rows(source, used[:, 0], num_words=num_words)
    of_target = prepared_rows(target, used[:, 1], num_words=num_words)
    candidates = np.union1d(np.arange(min(num_words, len(target))), used[:, 1])
    of_candidates = prepared_rows(target, candidates, num_words=num_words)
    rng = np.random.default_rng(seed)
    held_out, z_above_chance = _left_out(used, of_source, of_target, candidates, of_candidates, rng)
    return SeedQuality(
        num_pairs=rows.num_pairs,
        num_known=len(known),
        num_without_source=rows.num_without_source,
        num_without_target=rows.num_without_target,
        source_rank=float(ranks[0]),
        target_rank=float(ranks[1]),
        relational_similarity=_relational_similarity(of_source, of_target),
        num_candidates=len(candidates),
        held_out=held_out,
        z_above_chance=z_above_chance,
    )


def map_by_pairs(
    source: WordVectors, target: WordVectors, known: np.ndarray, *, num_words: int
) -> tuple[np.ndarray, np.ndarray]:
    """The most frequent words of both spaces, the source's turned by the orthogonal Procrustes of pairs.

    Args:
        source: vectors.
        target: vectors, of any dimension.
        known: (P, 2) rows of the pairs, at least one.
        num_words: how many words of each.

    Returns:
        (num_words, E) each, of length 1.

    Compare with: `seed_quality`, for the method.
    """
    rotation = _procrustes(
        prepared_rows(source, known[:, 0], num_words=num_words), prepared_rows(target, known[:, 1], num_words=num_words)
    )
    frequent = np.arange(num_words)
    return (
        prepared_rows(source, frequent, num_words=num_words) @ rotation,
        prepared_rows(target, frequent, num_words=num_words),
    )


def score_mapped_pairs(known: np.ndarray, mapped: tuple[np.ndarray, np.ndarray], *, num_words: int) -> RetrievalScores:
    """How pairs are found after a mapping, by cosine, among the candidates that `seed_quality` takes.

    Args:
        known: (P, 2) rows of the pairs, at least one.
        mapped: (V, F) and (W, F), both spaces after the mapping.
        num_words: how many of the most frequent target words are candidates, beside the translations.

    Returns:
        The scores.
    """
    candidates = np.union1d(np.arange(num_words), known[:, 1])
    columns = np.searchsorted(candidates, known[:, 1])
    return _scores(mapped[0][known[:, 0]], known[:, 0], mapped[1][candidates], columns)


def prepared_rows(vectors: WordVectors, rows: np.ndarray, *, num_words: int) -> np.ndarray:
    """Vectors brought to length 1, centred by the mean of the most frequent words, and brought to length 1.

    What is mapped is directions, and a mean that all share would hide how they differ.

    Args:
        vectors: all words.
        rows: (N,) of the words to give.
        num_words: over how many words the mean is taken.

    Returns:
        (N, D) float32.
    """
    if not len(rows):
        return np.zeros((0, vectors.dim), dtype=np.float32)
    mean = unit_rows(vectors.matrix[:num_words]).mean(axis=0, dtype=np.float64)
    return unit_rows(unit_rows(vectors.matrix[rows]) - mean)


def _left_out(
    known: np.ndarray,
    source_vectors: np.ndarray,
    target_vectors: np.ndarray,
    candidates: np.ndarray,
    of_candidates: np.ndarray,
    rng: np.random.Generator,
) -> tuple[RetrievalScores | None, float]:
    """Scores of each part of the pairs under the mapping of the others, pooled, and z; None if there are no parts."""
    parts = _parts(known, rng)
    if parts.max(initial=0) < 1:
        return None, float("nan")
    scores, surplus, variance = [], 0.0, 0.0
    for part in range(parts.max() + 1):
        out = parts == part
        rotation = _procrustes(source_vectors[~out], target_vectors[~out])
        queries = source_vectors[out] @ rotation
        columns = np.searchsorted(candidates, known[out, 1])
        scores.append(_scores(queries, known[out, 0], of_candidates, columns))
        places, many = _places(queries, known[out], target_vectors[out])
        # The least of g numbers drawn evenly from 0..1 has mean 1 / (g + 1) and variance g / ((g + 1)^2 (g + 2)).
        surplus += (1 / (many + 1) - places).sum()
        variance += (many / ((many + 1) ** 2 * (many + 2))).sum()
    weights = [score.num_queries for score in scores]
    pooled = RetrievalScores(
        precision_at_1=float(np.average([score.precision_at_1 for score in scores], weights=weights)),
        precision_at_5=float(np.average([score.precision_at_5 for score in scores], weights=weights)),
        precision_at_10=float(np.average([score.precision_at_10 for score in scores], weights=weights)),
        mean_average_precision=float(np.average([score.mean_average_precision for score in scores], weights=weights)),
        num_queries=sum(weights),
    )
    return pooled, float(surplus / np.sqrt(variance))


def _parts(known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(P,) the part that each pair is in; pairs that share a word are in the same."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    if not len(known):
        return np.zeros(0, dtype=np.int64)
    _, sources = np.unique(known[:, 0], return_inverse=True)
    _, targets = np.unique(known[:, 1], return_inverse=True)
    size = sources.max() + targets.max() + 2
    edges = sparse.coo_matrix((np.ones(len(known)), (sources, targets + sources.max() + 1)), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    _, group = np.unique(component[sources], return_inverse=True)
    groups = rng.permutation(group.max() + 1)
    return groups[group] % min(_NUM_FOLDS, len(groups))


def _scores(
    queries: np.ndarray, source_rows: np.ndarray, of_candidates: np.ndarray, columns: np.ndarray
) -> RetrievalScores:
    """How the candidates at `columns` are found from the `queries`, one for each pair; rows say which are one word."""
    _, first, word = np.unique(source_rows, return_index=True, return_inverse=True)
    return score_translations(queries[first], of_candidates, np.stack([word, columns], axis=1), retrieval="cosine")


def _places(queries: np.ndarray, known: np.ndarray, target_vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Q,) where each word's best translation comes among those of `known`, 0..1, and (Q,) how many it has."""
    _, first, word = np.unique(known[:, 0], return_index=True, return_inverse=True)
    _, one_each, target = np.unique(known[:, 1], return_index=True, return_inverse=True)
    similarities = unit_rows(queries[first]) @ target_vectors[one_each].T  # (Q, T)
    best = np.full(len(first), -np.inf)
    np.maximum.at(best, word, similarities[word, target])
    ranks = 1 + (similarities > best[:, None]).sum(axis=1)
    return (ranks - 0.5) / len(one_each), np.bincount(word)


def _procrustes(source_vectors: np.ndarray, target_vectors: np.ndarray) -> np.ndarray:
    """(D, E) with orthonormal rows or columns, the smaller: the nearest to a map of one onto the other."""
    left, _, right = np.linalg.svd(source_vectors.T @ target_vectors, full_matrices=False)
    rotation: np.ndarray = left @ right
    return rotation


def _relational_similarity(source_vectors: np.ndarray, target_vectors: np.ndarray) -> float:
    """Pearson's correlation of the cosines within each side, over all pairs of pairs."""
    if len(source_vectors) < 3:
        return float("nan")
    first, second = source_vectors[:_MAX_RELATED_PAIRS], target_vectors[:_MAX_RELATED_PAIRS]
    above = np.triu_indices(len(first), k=1)
    return float(np.corrcoef((first @ first.T)[above], (second @ second.T)[above])[0, 1])
