"""Will mapping one word-vector space onto another work? Isometry, hubness, coverage and the seed pairs, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from nlptransfer.crosslingual.isometry import (
    bottleneck_distance,
    effective_rank,
    laplacian_eigenvalues,
    merge_heights,
    neighbours_within,
    singular_value_gap,
    spectral_difference,
)
from nlptransfer.crosslingual.lexicon import Lexicon, lexicon_rows
from nlptransfer.crosslingual.retrieval import Retrieval, RetrievalScores, translate_both_ways, unit_rows
from nlptransfer.crosslingual.seed_quality import (
    SeedQuality,
    map_by_pairs,
    prepared_rows,
    score_mapped_pairs,
    seed_quality,
)
from nlptransfer.embeddings.coverage import coverage_report
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError

Outlook = Literal["promising", "doubtful", "hopeless"]

# The bounds follow from what each number means, or are of a paper where one is named. None was fitted to scores.

FAR_FROM_ISOMETRIC = 0.5
"""From here on two spaces are unlike, on the scale of `Distance.position`: nearer to a cloud without structure than to
another sample of the same language. Ours, and a bound for doubt only: isometry ranks pairs of languages well by how
they map (Sogaard et al. 2018, https://aclanthology.org/P18-1072), but no paper names a value from which none does."""

NO_MORE_LIKE_THAN_NOISE = 1.0
"""From here on the target's space is no more like the source's than a random cloud of the same covariance is. What is
learnt from the shape of the spaces alone, without a pair, then has nothing to hold on to. Fairly sure."""

LOW_ACCURACY = 0.05
"""Below it a mapping has failed, by P@1 of pairs that it was not fitted to: the criterion of Artetxe et al. 2018
(https://aclanthology.org/P18-1073), who search far more target words, so that it is the milder one here."""

STANDARD_ERRORS_FROM_CHANCE = 3.0
"""Left-out pairs must be found so many standard errors above chance, or they tell nothing. Sure, for the usual two
would do if neighbours of one query were independent of those of another, which hubs prevent."""

MIN_PAIRS_TO_TEST = 10
"""With fewer known pairs chance can't be told from success: a part that is left out holds two of them."""

LOW_TEXT_COVERAGE = 0.8
"""Below it one running word in five has no vector, some four in a sentence of 20: what is transferred by vectors is
bounded by it. An argument, not a measurement."""

HOPELESS_TEXT_COVERAGE = 0.5
"""Below it most running words have no vector."""

LOW_PAIR_COVERAGE = 0.5
"""Below it more seed pairs are lost than used: they are of another domain than the vectors, or spelt otherwise."""

RARE_SEED_RANK = 5_000
"""From here on the middle seed pair is of rare words, whose vectors are noisy. The usual training dictionaries are of
the 5,000 most frequent words (Conneau et al. 2018, https://arxiv.org/abs/1710.04087). Somewhat sure."""

MANY_ANTI_HUBS = 0.5
"""From here on most target words are among the 10 nearest of no source word, so that no translation can reach them."""

HUB_STANDARD_DEVIATIONS = 2.0
"""A hub is so far above the mean k-occurrence (Radovanovic et al. 2010)."""

_NUM_NEIGHBOURS = 10
_RANK_BANDS = (100, 1_000, 10_000)


class Distance(NamedTuple):
    """A distance between two spaces, and what it is between spaces of which the answer is known.

    Attributes:
        value: between source and target.
        same_language: between two halves of the target's own most frequent words, every other word in each.
        structureless: between the source and a Gaussian cloud that has the target's mean and covariance.
    """

    value: float
    same_language: float
    structureless: float

    @property
    def position(self) -> float:
        """Where `value` lies between `same_language` (0) and `structureless` (1); it can be outside."""
        width = self.structureless - self.same_language
        if width <= 0:
            return float("nan")
        return (self.value - self.same_language) / width


class Hubness(NamedTuple):
    """How unevenly targets are chosen as neighbours.

    Attributes:
        skewness: of the k-occurrence over targets; 0 where it is symmetric, above 1 strongly uneven.
        hub_share: targets more than 2 standard deviations above the mean k-occurrence, 0..1.
        hub_occurrence: places in neighbour lists that the hubs take up, 0..1.
        anti_hub_share: targets that are in no list, 0..1.
    """

    skewness: float
    hub_share: float
    hub_occurrence: float
    anti_hub_share: float


class TextCoverage(NamedTuple):
    """How much of a text the vectors know, counting words that hold a letter.

    Attributes:
        token_share: running words, 0..1.
        type_share: distinct words, 0..1.
        by_rank: for each band of ranks by frequency in the text (``1-100``), the share of its words, 0..1.
    """

    token_share: float
    type_share: float
    by_rank: dict[str, float]


class Finding(NamedTuple):
    """Something that speaks against mapping: how much, and why."""

    outlook: Literal["doubtful", "hopeless"]
    text: str


@dataclass(frozen=True)
class MappingDiagnosis:
    """What `diagnose_mapping` gives.

    Attributes:
        num_words: most frequent words of each space that were compared.
        eigenvector_similarity: 0 for isospectral neighbour graphs.
        bottleneck_distance: twice the lower bound on the Gromov-Hausdorff distance.
        singular_value_gap: 0 for the same spectrum.
        effective_ranks: of source and target, in dimensions.
        source_coverage: of a text in the source language, where one was given.
        target_coverage: likewise.
        seeds: where pairs were given.
        mapped_pairs: of the pairs after the mapping that was given, by cosine among as many candidates as
            `SeedQuality.held_out`; they are not left out of its training, unless the caller saw to that.
        hubness: of ``target alone``, and after a mapping by ``cosine`` and by ``csls``.
        findings: what speaks against mapping, the worst first.
    """

    num_words: int
    eigenvector_similarity: Distance
    bottleneck_distance: Distance
    singular_value_gap: float
    effective_ranks: tuple[float, float]
    source_coverage: TextCoverage | None
    target_coverage: TextCoverage | None
    seeds: SeedQuality | None
    mapped_pairs: RetrievalScores | None
    hubness: dict[str, Hubness]
    findings: tuple[Finding, ...]

    @property
    def outlook(self) -> Outlook:
        """The worst finding's, or ``promising`` where there is none."""
        return self.findings[0].outlook if self.findings else "promising"


def hubness(neighbours: np.ndarray, num_targets: int) -> Hubness:
    r"""How unevenly targets occur among neighbours.

    .. math:: S_{N_k} = \frac{E\,(N_k - \mu_{N_k})^3}{\sigma_{N_k}^3}

    with :math:`N_k(x)` the number of lists of k neighbours that hold target x.

    Args:
        neighbours: (N, k) rows of the target, the k nearest of each query.
        num_targets: how many rows the target has.

    Returns:
        The skewness, and the shares of hubs and anti-hubs. Skewness 0 where all occur equally often.

    Raises:
        ValueError: there are no neighbours, or one is no row of the target.

    Reference: Radovanovic, Nanopoulos and Ivanovic 2010, "Hubs in space",
    https://jmlr.org/papers/v11/radovanovic10a.html; for mapped word vectors Dinu, Lazaridou and Baroni 2015,
    https://arxiv.org/abs/1412.6568.

    Example:
        >>> hubness(np.array([[0], [0], [0], [1]]), num_targets=4).anti_hub_share
        0.5
    """
    flat = np.asarray(neighbours).ravel()
    if flat.size == 0 or flat.min() < 0 or flat.max() >= num_targets:
        raise ValueError(f"neighbours must be rows of the {num_targets} targets, and there must be some")
    occurrences = np.bincount(flat, minlength=num_targets).astype(np.float64)
    centred = occurrences - occurrences.mean()
    deviation = centred.std()
    hubs = centred > HUB_STANDARD_DEVIATIONS * deviation
    return Hubness(
        skewness=float((centred**3).mean() / deviation**3) if deviation > 0 else 0.0,
        hub_share=float(hubs.mean()),
        hub_occurrence=float(occurrences[hubs].sum() / occurrences.sum()),
        anti_hub_share=float((occurrences == 0).mean()),
    )


def text_coverage(vectors: WordVectors, sentences: Iterable[Sequence[str]]) -> TextCoverage:
    """How much of a text the vectors know: running words, distinct ones, and by frequency rank.

    Args:
        vectors: looked up by their usual fallbacks.
        sentences: lists of words; those without a letter are not counted.

    Returns:
        The shares.

    Raises:
        InputError: the text has no words.

    Compare with: `coverage_report`, which says by which fallback words were found.

    Example:
        >>> text_coverage(vectors, corpus["tokens"]).by_rank
        {'1-100': 1.0, '101-1,000': 0.98, '1,001-10,000': 0.83}
    """
    tokens = [[word for word in sentence if any(map(str.isalpha, word))] for sentence in sentences]
    counts = Counter(word for sentence in tokens for word in sentence)
    if not counts:
        raise InputError("the text has no words to measure the coverage by", expected="at least one", found="none")
    report = coverage_report(vectors, {"text": {"tokens": tokens}})[0]
    _, found_by = vectors.lookup([word for word, _ in counts.most_common(_RANK_BANDS[-1])])
    known = np.array([name != "not found" for name in found_by])
    by_rank = {
        f"{first + 1:,}-{min(last, len(known)):,}": float(known[first:last].mean())
        for first, last in zip((0, *_RANK_BANDS), _RANK_BANDS, strict=False)
        if first < len(known)
    }
    return TextCoverage(1 - report["token_share"]["not found"], 1 - report["type_share"]["not found"], by_rank)


def diagnose_mapping(
    source: WordVectors,
    target: WordVectors,
    *,
    seed: int,
    lexicon: Lexicon | None = None,
    source_sentences: Iterable[Sequence[str]] | None = None,
    target_sentences: Iterable[Sequence[str]] | None = None,
    mapped: tuple[np.ndarray, np.ndarray] | None = None,
    num_words: int = 2_000,
) -> MappingDiagnosis:
    """Will it work to map these spaces, or did it?

    Before a mapping, it compares the shape of the spaces, what they know of texts, and the seed pairs. Distances
    between spaces have no scale of their own, so each is held against two of which the answer is known: between two
    halves of the target's own vocabulary, and between the source and a random cloud of the target's covariance. After
    a mapping it looks for hubs, and for the pairs. Hubs are looked for under plain Procrustes of the pairs where no
    mapping is given.

    The findings go by the constants of this file, each of which says where it is from and how sure it is. A verdict
    of ``hopeless`` means that one of these holds: left-out seed pairs land no better than chance; there are no seed
    pairs and the spaces are no more alike than noise; or most running words of a text have no vector. ``promising``
    means that nothing speaks against it, not that it will work: shape is compared over frequent words, whose spaces
    may be alike where those of rare words are not.

    Args:
        source: vectors, the most frequent word first.
        target: likewise; of any dimension unless `mapped` is given.
        seed: of the random cloud and of the parts of the pairs.
        lexicon: pairs by which the spaces are to be mapped, or, with `mapped`, others to test it by.
        source_sentences: a text in the source language, as lists of words.
        target_sentences: likewise; no labels are needed.
        mapped: (V, F) and (W, F), source and target after a mapping, rows as in the vectors.
        num_words: how many of the most frequent words are compared; at most half of the smaller vocabulary. Time
            grows with its cube: at 2,000 it is five eigenproblems of a few seconds, and 0.2 GB.

    Returns:
        The numbers and what they say.

    Raises:
        InputError: a vocabulary is too small.
        ValueError: the mapped vectors are not as many as the words.

    Reference: those of each measure.

    Compare with: `rank_sources`, which asks whether a language is near enough, by its texts.

    Example:
        >>> diagnosis = diagnose_mapping(hindi, urdu, lexicon=read_lexicon("hi-ur.txt"), seed=0)
        >>> print(format_diagnosis(diagnosis))
    """
    count = min(num_words, len(source) // 2, len(target) // 2)
    if count <= _NUM_NEIGHBOURS:
        raise InputError(
            "there are too few vectors to compare the spaces",
            expected=f"num_words and half of each vocabulary above {_NUM_NEIGHBOURS}",
            found=f"{num_words}, {len(source)} and {len(target)} words",
        )
    if mapped is not None and (len(mapped[0]), len(mapped[1])) != (len(source), len(target)):
        raise ValueError(f"{len(source)} and {len(target)} words need as many mapped vectors")
    frequent = np.arange(count)
    of_source, of_target = (prepared_rows(space, frequent, num_words=count) for space in (source, target))
    cloud = _structureless(of_target, np.random.default_rng(seed))
    both_halves = prepared_rows(target, np.arange(2 * count), num_words=2 * count)
    halves = both_halves[::2], both_halves[1::2]
    seeds = None if lexicon is None else seed_quality(source, target, lexicon, num_words=count, seed=seed)
    known = np.zeros((0, 2), dtype=np.int64) if lexicon is None else lexicon_rows(lexicon, source, target).pairs
    found = {"target alone": hubness(neighbours_within(of_target, _NUM_NEIGHBOURS), count)}
    after = mapped
    if after is None and len(known):
        after = map_by_pairs(source, target, known, num_words=count)
    if after is not None:
        found |= _hubness_after(after[0][:count], after[1][:count])
    numbers = MappingDiagnosis(
        num_words=count,
        eigenvector_similarity=_against_yardsticks(
            lambda vectors: laplacian_eigenvalues(vectors, num_neighbours=_NUM_NEIGHBOURS),
            spectral_difference,
            (of_source, of_target, halves, cloud),
        ),
        bottleneck_distance=_against_yardsticks(
            merge_heights, bottleneck_distance, (of_source, of_target, halves, cloud)
        ),
        singular_value_gap=singular_value_gap(of_source, of_target),
        effective_ranks=(effective_rank(of_source), effective_rank(of_target)),
        source_coverage=None if source_sentences is None else text_coverage(source, source_sentences),
        target_coverage=None if target_sentences is None else text_coverage(target, target_sentences),
        seeds=seeds,
        mapped_pairs=None if mapped is None or not len(known) else score_mapped_pairs(known, mapped, num_words=count),
        hubness=found,
        findings=(),
    )
    return _with_findings(numbers, min(source.dim, target.dim))


def format_diagnosis(diagnosis: MappingDiagnosis) -> str:
    """The diagnosis for the screen: the outlook, what speaks against it, and the numbers.

    Args:
        diagnosis: from `diagnose_mapping`.

    Returns:
        Lines of text.
    """
    lines = [f"Outlook for mapping: {diagnosis.outlook}"]
    lines += [f"- {finding.outlook}: {finding.text}" for finding in diagnosis.findings]
    lines += ["", f"Shape, over the {diagnosis.num_words:,} most frequent words of each:"]
    for name, distance in (
        ("eigenvector similarity", diagnosis.eigenvector_similarity),
        ("bottleneck distance", diagnosis.bottleneck_distance),
    ):
        lines.append(
            f"  {name:<24}{_number(distance.value)} (two halves of the target {_number(distance.same_language)},"
            f" random cloud {_number(distance.structureless)})"
        )
    first, second = diagnosis.effective_ranks
    lines.append(f"  {'singular value gap':<24}{_number(diagnosis.singular_value_gap)}")
    lines.append(f"  {'effective ranks':<24}{first:.1f} and {second:.1f}")
    for name, coverage in (("source", diagnosis.source_coverage), ("target", diagnosis.target_coverage)):
        if coverage is not None:
            bands = ", ".join(f"{band}: {_percent(share)}" for band, share in coverage.by_rank.items())
            lines.append(
                f"The {name}'s vectors know {_percent(coverage.token_share)} of the running words and"
                f" {_percent(coverage.type_share)} of the distinct ones (by rank {bands})."
            )
    seeds = diagnosis.seeds
    if seeds is not None:
        lines.append(
            f"Seed pairs: {seeds.num_known:,} of {seeds.num_pairs:,} known; middle ranks {seeds.source_rank:,.0f} and"
            f" {seeds.target_rank:,.0f}; relational similarity {seeds.relational_similarity:.2f}."
        )
        if seeds.held_out is not None:
            lines.append(
                f"  left out of the mapping, among {seeds.num_candidates:,} words: {_scores_text(seeds.held_out)};"
                f" {seeds.z_above_chance:.1f} standard errors above chance"
            )
        if diagnosis.mapped_pairs is not None:
            lines.append(f"  after the mapping that was given: {_scores_text(diagnosis.mapped_pairs)}")
    for name, hubs in diagnosis.hubness.items():
        lines.append(
            f"Hubness, {name}: skewness {hubs.skewness:.2f}; {_percent(hubs.hub_share)} of the words are hubs and take"
            f" {_percent(hubs.hub_occurrence)} of the places; {_percent(hubs.anti_hub_share)} are never found."
        )
    return "\n".join(lines)


def _with_findings(numbers: MappingDiagnosis, dim: int) -> MappingDiagnosis:
    findings = [*_shape_findings(numbers), *_coverage_findings(numbers), *_seed_findings(numbers, dim)]
    after = numbers.hubness.get("csls")
    if after is not None and after.anti_hub_share >= MANY_ANTI_HUBS:
        findings.append(
            Finding(
                "doubtful",
                f"{_percent(after.anti_hub_share)} of the target's words are among the {_NUM_NEIGHBOURS} nearest of no"
                " source word even by CSLS, so that no translation reaches them.",
            )
        )
    if numbers.mapped_pairs is not None and numbers.mapped_pairs.precision_at_1 < LOW_ACCURACY:
        findings.append(
            Finding(
                "doubtful",
                f"After the mapping {_percent(numbers.mapped_pairs.precision_at_1)} of the pairs are nearest"
                f" neighbours, less than {_percent(LOW_ACCURACY)}: it has failed.",
            )
        )
    findings.sort(key=lambda finding: finding.outlook != "hopeless")  # stable: otherwise as they came
    return replace(numbers, findings=tuple(findings))


def _shape_findings(numbers: MappingDiagnosis) -> list[Finding]:
    eigen, bottleneck = numbers.eigenvector_similarity.position, numbers.bottleneck_distance.position
    if eigen >= NO_MORE_LIKE_THAN_NOISE:
        lost = numbers.seeds is None
        text = "The neighbour graphs of the two spaces are no more alike than that of the source and a random cloud."
        advice = " Without seed pairs nothing can find the rotation." if lost else " All rests on the seed pairs."
        return [Finding("hopeless" if lost else "doubtful", text + advice)]
    for name, position in (("neighbour graphs", eigen), ("distances at which clusters merge", bottleneck)):
        if position >= FAR_FROM_ISOMETRIC:
            text = (
                f"By their {name} the spaces are {_percent(position)} of the way from two halves of one language to a"
                f" random cloud (unlike from {_percent(FAR_FROM_ISOMETRIC)}): a rotation fits them poorly."
            )
            return [Finding("doubtful", text)]
    return []


def _coverage_findings(numbers: MappingDiagnosis) -> list[Finding]:
    findings = []
    for name, coverage in (("source", numbers.source_coverage), ("target", numbers.target_coverage)):
        if coverage is None or coverage.token_share >= LOW_TEXT_COVERAGE:
            continue
        outlook: Literal["doubtful", "hopeless"] = (
            "hopeless" if coverage.token_share < HOPELESS_TEXT_COVERAGE else "doubtful"
        )
        text = (
            f"The {name}'s vectors know only {_percent(coverage.token_share)} of the running words (low below"
            f" {_percent(LOW_TEXT_COVERAGE)}). Check spelling and tokens, or take vectors of such text."
        )
        findings.append(Finding(outlook, text))
    return findings


def _seed_findings(numbers: MappingDiagnosis, dim: int) -> list[Finding]:
    seeds = numbers.seeds
    if seeds is None:
        is_mapped = "csls" in numbers.hubness
        if is_mapped or numbers.eigenvector_similarity.position >= NO_MORE_LIKE_THAN_NOISE:  # said already
            return []
        # Vulic et al. 2019, https://aclanthology.org/D19-1449: 87 of 210 pairs of languages fail so.
        text = (
            "There are no seed pairs: the rotation has to be found from the shape of the spaces alone, which fails for"
            " many pairs of languages, often altogether. A few pairs, or words that sound alike, are a surer seed."
        )
        return [Finding("doubtful", text)]
    findings: list[Finding] = []
    if seeds.num_known < LOW_PAIR_COVERAGE * seeds.num_pairs:
        text = (
            f"Only {seeds.num_known:,} of {seeds.num_pairs:,} seed pairs have vectors on both sides"
            f" ({seeds.num_without_source:,} source words and {seeds.num_without_target:,} target words have none)."
        )
        findings.append(Finding("doubtful", text))
    if seeds.num_known < dim:
        text = (
            f"{seeds.num_known:,} known pairs are fewer than the {dim} dimensions, so that they leave the rotation"
            " undetermined. Let self-learning add pairs."
        )
        findings.append(Finding("doubtful", text))
    if max(seeds.source_rank, seeds.target_rank) > RARE_SEED_RANK:
        text = (
            f"The seed words are rare: middle ranks {seeds.source_rank:,.0f} and {seeds.target_rank:,.0f} (rare from"
            f" {RARE_SEED_RANK:,}), where vectors are noisy."
        )
        findings.append(Finding("doubtful", text))
    held_out = seeds.held_out
    if held_out is None or seeds.num_known < MIN_PAIRS_TO_TEST:
        text = (
            f"{seeds.num_known:,} known pairs are too few to test by leaving some out ({MIN_PAIRS_TO_TEST} would do)."
        )
        findings.append(Finding("doubtful", text))
    elif seeds.z_above_chance < STANDARD_ERRORS_FROM_CHANCE:
        text = (
            f"Seed pairs that were left out of the mapping land no better than chance ({seeds.z_above_chance:.1f}"
            f" standard errors above it, where {STANDARD_ERRORS_FROM_CHANCE:.0f} are asked): the pairs are wrong or"
            " far too few, or the spaces are no rotations of each other."
        )
        findings.append(Finding("hopeless", text))
    elif held_out.precision_at_1 < LOW_ACCURACY:
        text = (
            f"Of seed pairs that were left out of the mapping {_percent(held_out.precision_at_1)} are nearest"
            f" neighbours, less than {_percent(LOW_ACCURACY)}, though they land better than chance: expect topics to"
            " map, and few translations."
        )
        findings.append(Finding("doubtful", text))
    return findings


def _hubness_after(source: np.ndarray, target: np.ndarray) -> dict[str, Hubness]:
    """Of the target among the neighbours of the source, by each way of retrieving."""
    ways: tuple[Retrieval, ...] = ("cosine", "csls")
    found: dict[str, Hubness] = {}
    for retrieval in ways:
        forward, _ = translate_both_ways(source, target, retrieval=retrieval, num_answers=_NUM_NEIGHBOURS)
        found[retrieval] = hubness(forward.rows, len(target))
    return found


def _against_yardsticks(
    describe: Callable[[np.ndarray], np.ndarray],
    compare: Callable[[np.ndarray, np.ndarray], float],
    spaces: tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray],
) -> Distance:
    """Describe each space once, and compare the descriptions."""
    source, target, halves, cloud = spaces
    of_source = describe(source)
    return Distance(
        value=compare(of_source, describe(target)),
        same_language=compare(describe(halves[0]), describe(halves[1])),
        structureless=compare(of_source, describe(cloud)),
    )


def _structureless(vectors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many unit vectors of a Gaussian with the mean and covariance of `vectors`."""
    mean = vectors.mean(axis=0)
    _, values, directions = np.linalg.svd(vectors - mean, full_matrices=False)
    spread = values / np.sqrt(len(vectors))
    return unit_rows(mean + (rng.standard_normal((len(vectors), len(spread))) * spread) @ directions)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _scores_text(scores: RetrievalScores) -> str:
    return (
        f"P@1 {_percent(scores.precision_at_1)}, P@10 {_percent(scores.precision_at_10)}"
        f" ({scores.num_queries:,} source words)"
    )
