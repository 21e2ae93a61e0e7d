"""Scores and verdicts over many pairs of domains: does a method help on pairs in general, and by how much?

See `pair_significance.py` for what the interval and the test rest on. Intervals take 1,999 resamples unless told
otherwise: each of them draws the documents of every pair anew, for every system.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nlptransfer.errors import InputError
from nlptransfer.evaluation.document_predictions import ALL_PAIRS, DocumentPredictions
from nlptransfer.evaluation.outcomes import document_outcomes
from nlptransfer.evaluation.pair_significance import PairOutcomes, over_pairs_interval, sign_flip_test
from nlptransfer.evaluation.predictions import SystemPredictions, by_pair, by_split, by_system
from nlptransfer.evaluation.verdict import SELECTION_SPLITS, Score, Verdict, gap_closed, read_p_value


def score_over_pairs(
    predictions: Iterable[SystemPredictions],
    *,
    metrics: Sequence[str] = ("accuracy",),
    confidence: float = 0.95,
    num_resamples: int = 1_999,
    seed: int,
) -> list[Score]:
    """The mean over the pairs of every system's score on every split: under each seed, then the mean over the seeds.

    The mean over the seeds is taken within each pair first, so that a pair with more seeds weighs no more. A seed has
    a mean where the system was run under it on every pair.

    Args:
        predictions: of any systems, splits, pairs and seeds.
        metrics: any of `nlptransfer.evaluation.metrics.DOCUMENT_METRICS`.
        confidence: of the intervals, which are over pairs, seeds and documents (`over_pairs_interval`).
        num_resamples: how many times they are drawn.
        seed: of the drawing.

    Returns:
        The scores, with pair `all`, n being the documents of all pairs; per split, system and metric the seeds', then
        the mean with seed None. None of a split with one pair only.

    Raises:
        InputError: a system was not run on all the pairs of a split, or its seeds not on the same documents.
        ValueError: predictions of tags, or of no pair, are among them.
    """
    scores = []
    for split, split_parts in by_split(_documents(predictions)).items():
        all_pairs = by_pair(split_parts)
        if len(all_pairs) < 2:
            continue
        for system, parts in by_system(split_parts).items():
            pairs = by_pair(parts)
            _check_all_pairs(system, pairs, all_pairs, split)
            seeds = [
                seed_there
                for seed_there in dict.fromkeys(part.seed for part in parts)
                if all(any(part.seed == seed_there for part in own) for own in pairs.values())
            ]
            # One seed everywhere is its own mean: no need to draw it twice.
            several = any(len(own) > 1 for own in pairs.values())
            groups = [[part for part in parts if part.seed == own_seed] for own_seed in seeds if several]
            for metric in metrics:
                values = [
                    _mean_score(group, metric, confidence=confidence, num_resamples=num_resamples, seed=seed)
                    for group in (*groups, parts)
                ]
                if not several:
                    values *= len(seeds) + 1
                n = sum(len(own[0].ids) for own in pairs.values())
                scores += [
                    Score(system, split, metric, value, low, high, n, own_seed, ALL_PAIRS)
                    for (value, low, high), own_seed in zip(values, [*seeds, None], strict=True)
                ]
    return scores


def compare_over_pairs(
    predictions: Iterable[SystemPredictions],
    baseline: str,
    *,
    reference: str | None = None,
    metrics: Sequence[str] = ("accuracy",),
    alpha: float = 0.05,
    confidence: float = 0.95,
    num_resamples: int = 1_999,
    seed: int,
) -> list[Verdict]:
    """One verdict over all pairs for every other system against the baseline, on every held-out split.

    Args:
        predictions: of any systems, splits, pairs and seeds; splits in `SELECTION_SPLITS` are passed over.
        baseline: the baseline's name.
        reference: the name of the system trained on the target's labels, for `Verdict.gap_closed`; where it was not
            run, and for itself, that is None.
        metrics: any of `nlptransfer.evaluation.metrics.DOCUMENT_METRICS`.
        alpha: level of each test.
        confidence: of the intervals.
        num_resamples: of the bootstrap, and of the test where it can't go through all sign flips.
        seed: of both.

    Returns:
        The verdicts of `compare_system_over_pairs`: by split, then metric, then system. None of a split with one pair
        only: its verdict is `compare_with_baseline`'s.

    Raises:
        InputError: the baseline or a system was not run on all the pairs of a split, or not on the same documents.
        ValueError: predictions of tags, or of no pair, are among them.
    """
    held_out = [part for part in _documents(predictions) if part.split not in SELECTION_SPLITS]
    verdicts = []
    for split, split_parts in by_split(held_out).items():
        all_pairs, systems = by_pair(split_parts), by_system(split_parts)
        if len(all_pairs) < 2:
            continue
        for system in dict.fromkeys([baseline, *systems]):
            _check_all_pairs(system, by_pair(systems.get(system, ())), all_pairs, split)
        verdicts += [
            compare_system_over_pairs(
                parts,
                systems[baseline],
                reference=systems.get(reference, ()) if reference and system != reference else (),
                metric=metric,
                alpha=alpha,
                confidence=confidence,
                num_resamples=num_resamples,
                seed=seed,
            )
            for metric in metrics
            for system, parts in systems.items()
            if system != baseline
        ]
    return verdicts


def compare_system_over_pairs(
    system: Sequence[DocumentPredictions],
    baseline: Sequence[DocumentPredictions],
    *,
    reference: Sequence[DocumentPredictions] = (),
    metric: str = "accuracy",
    alpha: float = 0.05,
    confidence: float = 0.95,
    num_resamples: int = 1_999,
    seed: int,
) -> Verdict:
    """Does the system do better than the baseline on pairs of domains in general?

        gain = mean over pairs of (mean over the system's seeds - mean over the baseline's seeds)

    The p-value is the sign-flip permutation test's over pairs, on gains averaged over the seeds: the unit is the pair,
    since seeds of one pair are no independent evidence. Nor are pairs that share a test set (or labelled data) wholly
    independent, which the test does not know: with four domains, twelve pairs have four test sets. Where each of four
    domains once is the target of all others together, the test sets differ, but any two sources share two domains.
    Fewer than six pairs can give no p-value below 0.05, so those four are no evidence however large the gain. The
    interval draws pairs, seeds and documents anew (`over_pairs_interval`).

    Args:
        system: one system's predictions on one split of every pair, under every seed.
        baseline: the baseline's on the same; it may have other seeds.
        reference: those of models trained on the targets' labels, for `Verdict.gap_closed`, here the ratio of the mean
            gains; none leaves that None.
        metric: one of `nlptransfer.evaluation.metrics.DOCUMENT_METRICS`.
        alpha: level of the test; not corrected for several comparisons.
        confidence: of the interval.
        num_resamples: of the bootstrap, and of the test where there are more than 16 pairs.
        seed: of both.

    Returns:
        The verdict, with pair `all`.

    Raises:
        InputError: they were not run on the same pairs, or on the same documents of each.
        ValueError: one of them is empty.
    """
    if not system or not baseline:
        raise ValueError("a comparison needs at least one run of the system and one of the baseline")
    ours, theirs, best = by_pair(system), by_pair(baseline), by_pair(reference)
    for name, pairs, others in (
        (system[0].system, ours, theirs),
        (baseline[0].system, theirs, ours),
        *([(reference[0].system, best, theirs)] if reference else []),
    ):
        _check_all_pairs(name, pairs, others, system[0].split)
    outcomes: list[PairOutcomes] = []
    gains, reference_gains = [], []
    for pair in theirs:
        own, other, *top = document_outcomes(
            *(ours[pair], theirs[pair], *([best[pair]] if best else [])), metric=metric
        )
        outcomes.append(PairOutcomes(own.gold, own.predicted, other.predicted))
        gains.append(own.score() - other.score())
        reference_gains += [outcome.score() - other.score() for outcome in top]
    gain = sum(gains) / len(gains)
    low, high = over_pairs_interval(metric, outcomes, confidence=confidence, num_resamples=num_resamples, seed=seed)
    p_value = sign_flip_test(gains, num_resamples=num_resamples, seed=seed)
    return Verdict(
        system[0].system,
        baseline[0].system,
        system[0].split,
        metric,
        gain,
        low,
        high,
        p_value,
        read_p_value(gain, p_value, alpha=alpha),
        ALL_PAIRS,
        gap_closed(gain, sum(reference_gains) / len(reference_gains)) if reference_gains else None,
    )


def _mean_score(
    parts: Sequence[DocumentPredictions], metric: str, *, confidence: float, num_resamples: int, seed: int
) -> tuple[float, float, float]:
    """One system's mean over pairs with its interval."""
    own = [document_outcomes(pair_parts, metric=metric)[0] for pair_parts in by_pair(parts).values()]
    outcomes = [PairOutcomes(outcome.gold, outcome.predicted) for outcome in own]
    interval = over_pairs_interval(metric, outcomes, confidence=confidence, num_resamples=num_resamples, seed=seed)
    return sum(outcome.score() for outcome in own) / len(own), *interval


def _documents(predictions: Iterable[SystemPredictions]) -> list[DocumentPredictions]:
    found = []
    for part in predictions:
        if not isinstance(part, DocumentPredictions) or part.pair is None:
            raise ValueError(
                f"{part.system} on {part.split}: only labels of documents of a pair have a mean over pairs"
            )
        found.append(part)
    return found


def _check_all_pairs(
    system: str, own: Mapping[str | None, object], pairs: Mapping[str | None, object], split: str
) -> None:
    missing = [str(pair) for pair in pairs if pair not in own]
    if missing:
        raise InputError(
            f"{system!r} was not run on every pair of domains, so its mean over the pairs would be of other pairs",
            expected=f"predictions on {split} of {len(pairs)} pairs",
            found=f"none of {', '.join(missing)}",
            remedy="Run every system on every pair, or leave this one out.",
        )
