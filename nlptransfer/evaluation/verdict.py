"""Scores with intervals, and the verdict: did the transfer help, harm, or is there no evidence?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from nlptransfer.errors import InputError
from nlptransfer.evaluation.metrics import SentenceCounts, sentence_counts
from nlptransfer.evaluation.predictions import Predictions, by_split, by_system, check_same_items
from nlptransfer.evaluation.significance import bootstrap_interval, paired_bootstrap_interval, paired_permutation_test

SELECTION_SPLITS = ("train", "dev")
"""Splits that training or model choice has used: scored, but never the ground of a verdict."""

METRIC_NAMES = {
    "token_accuracy": "token accuracy",
    "unseen_word_accuracy": "accuracy on words unseen in training",
    "padded_accuracy": "accuracy with padding counted",
}
"""How each metric is called in a sentence."""


@dataclass(frozen=True)
class Score:
    """One number with its interval.

    Attributes:
        system: the system's name.
        split: `dev`, `test`, `source_test`, `target_test`.
        metric: one of `nlptransfer.evaluation.metrics.METRICS`.
        value: the score, in 0..1.
        low: low end of its interval over sentences.
        high: high end.
        n: positions scored: words, or, where padding counts, positions.
        seed: the seed, or None for the mean over the seeds.
    """

    system: str
    split: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    seed: int | None

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as in metrics.json."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """What a system gained over its baseline, and whether that is more than chance.

    Attributes:
        system: the system's name.
        baseline: the name of the system that it is held against.
        split: the split that both were read on.
        metric: one of `nlptransfer.evaluation.metrics.METRICS`.
        gain: system's score - baseline's score, in -1..1, each the mean over its seeds.
        low: low end of the gain's interval over sentences.
        high: high end.
        p_value: of the paired permutation test over sentences.
        verdict: `helped` or `harmed` where p_value is below the level asked for, else `no evidence`.
    """

    system: str
    baseline: str
    split: str
    metric: str
    gain: float
    low: float
    high: float
    p_value: float
    verdict: Literal["helped", "no evidence", "harmed"]

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as in metrics.json."""
        return asdict(self)


def score_predictions(
    predictions: Iterable[Predictions],
    *,
    training_words: Collection[str] | None = None,
    max_length: int | None = None,
    confidence: float = 0.95,
    num_resamples: int = 9_999,
    seed: int,
) -> list[Score]:
    """Score every system on every split: under each seed, then the mean over the seeds.

    Args:
        predictions: of any systems, splits and seeds.
        training_words: the training set's words; with them, words unseen in training are also scored apart. A split
            without such words has no such score.
        max_length: positions per sentence; with it, accuracy with padding counted is also given.
        confidence: of the intervals, which are over sentences (`bootstrap_interval`).
        num_resamples: how many times the sentences are drawn.
        seed: of the drawing.

    Returns:
        The scores, in the order in which splits and systems first appear; per metric the seeds', then the mean with
        seed None.

    Raises:
        InputError: a system's seeds were not run on the same sentences, or there is no word to score.
    """
    metrics = ["token_accuracy"]
    if training_words is not None:
        training_words = frozenset(training_words)
        metrics.append("unseen_word_accuracy")
    if max_length is not None:
        metrics.append("padded_accuracy")

    scores = []
    for split, split_parts in by_split(predictions).items():
        for system, parts in by_system(split_parts).items():
            check_same_items(parts)
            for metric in metrics:
                counts = _counts(parts, metric, training_words, max_length)
                if metric == "unseen_word_accuracy" and counts[0].counts.sum() == 0:
                    continue
                seed_scores = [
                    _score(system, split, metric, [own], part.seed, confidence, num_resamples, seed)
                    for part, own in zip(parts, counts, strict=True)
                ]
                # One seed is its own mean: no need to draw its sentences twice.
                mean = (
                    replace(seed_scores[0], seed=None)
                    if len(counts) == 1
                    else _score(system, split, metric, counts, None, confidence, num_resamples, seed)
                )
                scores += [*seed_scores, mean]
    return scores


def compare(
    system: Sequence[Predictions],
    baseline: Sequence[Predictions],
    *,
    metric: str = "token_accuracy",
    training_words: Collection[str] | None = None,
    max_length: int | None = None,
    alpha: float = 0.05,
    confidence: float = 0.95,
    num_resamples: int = 9_999,
    seed: int,
) -> Verdict:
    """Did the system do better than the baseline on the same sentences?

    gain = mean over the system's seeds - mean over the baseline's seeds; its interval is the paired bootstrap's, its
    p-value the paired permutation test's, both over sentences (`significance.py`). `helped` if gain > 0 and
    p < alpha, `harmed` if gain < 0 and p < alpha, else `no evidence`, which is no evidence of equality.

    Args:
        system: one system's predictions on one split, one per seed.
        baseline: the baseline's on the same split; it may have another number of seeds.
        metric: one of `nlptransfer.evaluation.metrics.METRICS`.
        training_words: the training set's words; for `unseen_word_accuracy`.
        max_length: positions per sentence; for `padded_accuracy`.
        alpha: level of the test; not corrected for several comparisons.
        confidence: of the interval.
        num_resamples: of the bootstrap and of the test.
        seed: of both.

    Returns:
        The verdict, under the names of the first system and baseline given.

    Raises:
        InputError: the two were not run on the same sentences, or there is no word to score.
        ValueError: one of them is empty.

    Example:
        >>> tokens, gold = [["a", "dog"]] * 9, [["DT", "NN"]] * 9
        >>> vectors = Predictions("vectors", "test", 0, tokens, gold, gold)
        >>> random = Predictions("random", "test", 0, tokens, gold, [["DT", "VB"]] * 9)
        >>> compare([vectors], [random], seed=0).verdict
        'helped'
    """
    if not system or not baseline:
        raise ValueError("a comparison needs at least one run of the system and one of the baseline")
    check_same_items([*baseline, *system])
    system_counts = _counts(system, metric, training_words, max_length)
    baseline_counts = _counts(baseline, metric, training_words, max_length)
    gain = _mean_accuracy(system_counts) - _mean_accuracy(baseline_counts)
    totals = system_counts[0].counts
    system_correct = np.stack([counts.correct for counts in system_counts])  # (seeds, sentences)
    baseline_correct = np.stack([counts.correct for counts in baseline_counts])
    low, high = paired_bootstrap_interval(
        system_correct, baseline_correct, totals, confidence=confidence, num_resamples=num_resamples, seed=seed
    )
    p_value = paired_permutation_test(system_correct, baseline_correct, totals, num_resamples=num_resamples, seed=seed)
    verdict: Literal["helped", "no evidence", "harmed"] = "no evidence"
    if p_value < alpha and gain != 0:
        verdict = "helped" if gain > 0 else "harmed"
    return Verdict(system[0].system, baseline[0].system, system[0].split, metric, gain, low, high, p_value, verdict)


def compare_with_baseline(
    predictions: Iterable[Predictions],
    baseline: str,
    *,
    metrics: Sequence[str] = ("token_accuracy",),
    training_words: Collection[str] | None = None,
    max_length: int | None = None,
    alpha: float = 0.05,
    confidence: float = 0.95,
    num_resamples: int = 9_999,
    seed: int,
) -> list[Verdict]:
    """A verdict for every other system against the baseline, on every split that was held out of model choice.

    Args:
        predictions: of any systems, splits and seeds; splits in `SELECTION_SPLITS` are passed over.
        baseline: the baseline's name.
        metrics: what to compare by; a split where nothing counts for a metric gets no verdict by it.
        training_words: the training set's words; for `unseen_word_accuracy`.
        max_length: positions per sentence; for `padded_accuracy`.
        alpha: level of each test.
        confidence: of the intervals.
        num_resamples: of the bootstrap and of the test.
        seed: of both.

    Returns:
        The verdicts: by split, then metric, then system.

    Raises:
        InputError: two systems were not run on the same sentences, or the baseline was not run on a split.
    """
    held_out = [part for part in predictions if part.split not in SELECTION_SPLITS]
    verdicts = []
    for split, split_parts in by_split(held_out).items():
        systems = by_system(split_parts)
        if baseline not in systems:
            raise InputError(
                f"the baseline {baseline!r} was not run on split {split!r}",
                found=", ".join(systems),
                remedy="Run the baseline on every split that the systems are compared on.",
            )
        for metric in metrics:
            counted = _counts(systems[baseline][:1], metric, training_words, max_length)[0].counts.sum()
            verdicts += [
                compare(
                    parts,
                    systems[baseline],
                    metric=metric,
                    training_words=training_words,
                    max_length=max_length,
                    alpha=alpha,
                    confidence=confidence,
                    num_resamples=num_resamples,
                    seed=seed,
                )
                for system, parts in systems.items()
                if system != baseline and counted
            ]
    return verdicts


def best_system(scores: Iterable[Score], *, split: str = "dev", metric: str = "token_accuracy") -> str:
    """The system with the highest mean over its seeds; the first of several equals.

    Args:
        scores: of any systems.
        split: where to choose. Choosing on a test split would make its score too good.
        metric: what to choose by.

    Returns:
        The system's name.

    Raises:
        ValueError: no system has such a score.
    """
    means = [score for score in scores if (score.split, score.metric, score.seed) == (split, metric, None)]
    if not means:
        raise ValueError(f"no mean {metric} on {split} among the scores")
    return max(means, key=lambda score: score.value).system


def describe(verdict: Verdict, *, num_seeds: int | None = None, confidence: float = 0.95) -> str:
    """The verdict as one sentence, in percentage points.

    Args:
        verdict: the verdict.
        num_seeds: how many seeds were averaged; left out of the sentence where None.
        confidence: of the verdict's interval.

    Returns:
        The sentence, with its full stop.

    Example:
        >>> describe(Verdict("frozen", "random", "test", "token_accuracy", 0.009, 0.006, 0.012, 0.0002, "helped"))
        'frozen helped: +0.9 points (95 % interval +0.6 to +1.2, p = 0.0002) over random on test token accuracy.'
    """
    reading = {
        "helped": f"{verdict.system} helped",
        "harmed": f"{verdict.system} harmed",
        "no evidence": f"no evidence that {verdict.system} helped or harmed",
    }[verdict.verdict]
    # Gains of hundredths of a point are real in tagging; show as many digits as the interval's width calls for.
    digits = 1 if verdict.high - verdict.low >= 0.002 else 2
    gain, low, high = (points(value, digits) for value in (verdict.gain, verdict.low, verdict.high))
    split, metric = verdict.split.replace("_", " "), METRIC_NAMES.get(verdict.metric, verdict.metric)
    seeds = "" if num_seeds is None else f", {num_seeds} seed{'' if num_seeds == 1 else 's'}"
    return (
        f"{reading}: {gain} points ({confidence * 100:g} % interval {low} to {high}, {p_text(verdict.p_value)}) "
        f"over {verdict.baseline} on {split} {metric}{seeds}."
    )


def points(difference: float, digits: int = 2) -> str:
    """A difference of two fractions in percentage points, with its sign; zero has none."""
    text = f"{difference * 100:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def p_text(p_value: float) -> str:
    """A p-value for reading: `p = 0.0002`, `p = 0.31`, `p < 0.0001`."""
    if p_value < 0.0001:
        return "p < 0.0001"
    return f"p = {p_value:.4f}" if p_value < 0.01 else f"p = {p_value:.2f}"


def _counts(
    parts: Iterable[Predictions], metric: str, training_words: Collection[str] | None, max_length: int | None
) -> list[SentenceCounts]:
    return [
        sentence_counts(
            metric,
            part.gold,
            part.predicted,
            tokens=part.tokens,
            training_words=training_words,
            max_length=max_length,
        )
        for part in parts
    ]


def _mean_accuracy(counts: Sequence[SentenceCounts]) -> float:
    return sum(own.accuracy() for own in counts) / len(counts)


def _score(
    system: str,
    split: str,
    metric: str,
    counts: Sequence[SentenceCounts],
    score_seed: int | None,
    confidence: float,
    num_resamples: int,
    seed: int,
) -> Score:
    value = _mean_accuracy(counts)
    low, high = bootstrap_interval(
        np.stack([own.correct for own in counts]),
        counts[0].counts,
        confidence=confidence,
        num_resamples=num_resamples,
        seed=seed,
    )
    return Score(system, split, metric, value, low, high, int(counts[0].counts.sum()), score_seed)
