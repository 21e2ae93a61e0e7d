"""Scores with intervals, and the verdict: did the transfer help, harm, or is there no evidence?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nlptransfer.errors import InputError
from nlptransfer.evaluation.document_predictions import ALL_PAIRS
from nlptransfer.evaluation.number_scores import R_SQUARED, NumberPredictions, number_outcomes
from nlptransfer.evaluation.outcomes import default_metric, document_outcomes, sentence_outcomes
from nlptransfer.evaluation.predictions import (
    Part,
    Predictions,
    SystemPredictions,
    by_pair,
    by_split,
    by_system,
    check_same_items,
)
from nlptransfer.evaluation.span_scores import SPAN_F1

SELECTION_SPLITS = ("train", "dev")
"""Splits that training or model choice has used: scored, but never the ground of a verdict."""

METRIC_NAMES = {
    "token_accuracy": "token accuracy",
    "unseen_word_accuracy": "accuracy on words unseen in training",
    "padded_accuracy": "accuracy with padding counted",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    SPAN_F1: "F1 of spans",
    R_SQUARED: "R squared",
}
"""How each metric is called in a sentence."""

MIN_GAP = 0.005
"""A reference that is not better than the baseline by more than this (half a point) leaves no gap worth closing."""

Outcome = Literal["helped", "no evidence", "harmed"]


@dataclass(frozen=True)
class Score:
    """One number with its interval.

    Attributes:
        system: the system's name.
        split: `dev`, `test`, `source_test`, `target_test`.
        metric: one of `nlptransfer.evaluation.metrics.METRICS` or `DOCUMENT_METRICS`.
        value: the score, in 0..1; of `r_squared` also below.
        low: low end of its interval over sentences, documents, or pairs.
        high: high end.
        n: what was scored: words, documents, or, where padding counts, positions.
        seed: the seed, or None for the mean over the seeds.
        pair: the pair of domains, `all` for the mean over the pairs, None where the run has no pairs.
    """

    system: str
    split: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    seed: int | None
    pair: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as in metrics.json; without the pair where there is none."""
        fields = asdict(self)
        return fields if self.pair is not None else {name: fields[name] for name in fields if name != "pair"}


@dataclass(frozen=True)
class Verdict:
    """What a system gained over its baseline, and whether that is more than chance.

    Attributes:
        system: the system's name.
        baseline: the name of the system that it is held against.
        split: the split that both were read on.
        metric: one of `nlptransfer.evaluation.metrics.METRICS` or `DOCUMENT_METRICS`.
        gain: system's score - baseline's score, in -1..1, each the mean over its seeds.
        low: low end of the gain's interval over sentences, documents, or pairs.
        high: high end.
        p_value: of the paired permutation test over sentences, documents, or pairs.
        verdict: `helped` or `harmed` where p_value is below the level asked for, else `no evidence`.
        pair: the pair of domains, `all` for the mean over the pairs, None where the run has no pairs.
        gap_closed: (system - baseline) / (reference - baseline) on the same items, the reference being trained on the
            target's labels; below 0 where the system harmed. None without a reference, and where it is not better than
            the baseline by more than `MIN_GAP`.
    """

    system: str
    baseline: str
    split: str
    metric: str
    gain: float
    low: float
    high: float
    p_value: float
    verdict: Outcome
    pair: str | None = None
    gap_closed: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as in metrics.json; without those of pairs where the run has none."""
        fields = asdict(self)
        pairless = self.pair is None and self.gap_closed is None
        return {name: fields[name] for name in fields if not (pairless and name in ("pair", "gap_closed"))}


def score_predictions(
    predictions: Iterable[SystemPredictions],
    *,
    metrics: Sequence[str] = ("accuracy",),
    training_words: Collection[str] | None = None,
    max_length: int | None = None,
    confidence: float = 0.95,
    num_resamples: int = 9_999,
    seed: int,
) -> list[Score]:
    """Score every system on every split and pair: under each seed, then the mean over the seeds.

    Args:
        predictions: of any systems, splits, pairs and seeds.
        metrics: what to score documents by; tags are scored by token accuracy, by `span_f1` where it is named here,
            and by what the next two allow; numbers by `r_squared`.
        training_words: the training set's words; with them, words unseen in training are also scored apart. A split
            without such words has no such score.
        max_length: positions per sentence; with it, accuracy with padding counted is also given.
        confidence: of the intervals, which are over sentences (`bootstrap_interval`) or documents
            (`document_interval`).
        num_resamples: how many times they are drawn.
        seed: of the drawing.

    Returns:
        The scores, in the order in which splits, pairs and systems first appear; per metric the seeds', then the mean
        with seed None.

    Raises:
        InputError: a system's seeds were not run on the same items, gold labels are withheld, or there is nothing to
            score.

    Compare with `over_pairs.score_over_pairs`: the means over the pairs.
    """
    tag_metrics = ["token_accuracy", *([SPAN_F1] if SPAN_F1 in metrics else [])]
    document_metrics = [metric for metric in metrics if metric not in (SPAN_F1, R_SQUARED)]
    if training_words is not None:
        training_words = frozenset(training_words)
        tag_metrics.append("unseen_word_accuracy")
    if max_length is not None:
        tag_metrics.append("padded_accuracy")

    scores = []
    for split, split_parts in by_split(predictions).items():
        for pair, pair_parts in by_pair(split_parts).items():
            for system, parts in by_system(pair_parts).items():
                for metric in _metrics_of(parts[0], tag_metrics, document_metrics):
                    (every,) = _outcomes(parts, metric=metric, training_words=training_words, max_length=max_length)
                    if metric == "unseen_word_accuracy" and every.n == 0:
                        continue
                    # One seed is its own mean: no need to draw its items twice.
                    outcomes = [every.of_seed(index) for index in range(len(parts))] if len(parts) > 1 else []
                    values = [
                        (own.score(), *own.interval(confidence=confidence, num_resamples=num_resamples, seed=seed))
                        for own in (*outcomes, every)
                    ]
                    if len(parts) == 1:
                        values *= 2
                    scores += [
                        Score(system, split, metric, value, low, high, every.n, own_seed, pair)
                        for (value, low, high), own_seed in zip(
                            values, [*(part.seed for part in parts), None], strict=True
                        )
                    ]
    return scores


def compare(
    system: Sequence[SystemPredictions],
    baseline: Sequence[SystemPredictions],
    *,
    reference: Sequence[SystemPredictions] = (),
    metric: str | None = None,
    training_words: Collection[str] | None = None,
    max_length: int | None = None,
    alpha: float = 0.05,
    confidence: float = 0.95,
    num_resamples: int = 9_999,
    seed: int,
) -> Verdict:
    """Did the system do better than the baseline on the same sentences, or the same documents?

    gain = mean over the system's seeds - mean over the baseline's seeds; its interval is the paired bootstrap's, its
    p-value the paired permutation test's, both over sentences (`significance.py`) or documents
    (`document_significance.py`). `helped` if gain > 0 and p < alpha, `harmed` if gain < 0 and p < alpha, else
    `no evidence`, which is no evidence of equality.

    Args:
        system: one system's predictions on one split and pair, one per seed.
        baseline: the baseline's on the same; it may have another number of seeds.
        reference: those of a model trained on the target's labels, for `Verdict.gap_closed`; none leaves that None.
        metric: one of `nlptransfer.evaluation.metrics.METRICS` or `DOCUMENT_METRICS`, or `span_f1`; None is
            `token_accuracy` for tags and `accuracy` for documents.
        training_words: the training set's words; for `unseen_word_accuracy`.
        max_length: positions per sentence; for `padded_accuracy`.
        alpha: level of the test; not corrected for several comparisons.
        confidence: of the interval.
        num_resamples: of the bootstrap and of the test.
        seed: of both.

    Returns:
        The verdict, under the names of the first system and baseline given.

    Raises:
        InputError: they were not run on the same items, gold labels are withheld, or there is nothing to score.
        ValueError: system or baseline is empty, or the metric is none of their kind.

    Example:
        >>> tokens, gold = [["a", "dog"]] * 9, [["DT", "NN"]] * 9
        >>> vectors = Predictions("vectors", "test", 0, tokens, gold, gold)
        >>> random = Predictions("random", "test", 0, tokens, gold, [["DT", "VB"]] * 9)
        >>> compare([vectors], [random], seed=0).verdict
        'helped'
    """
    if not system or not baseline:
        raise ValueError("a comparison needs at least one run of the system and one of the baseline")
    metric = metric or default_metric(baseline[0])
    own, other, *best = _outcomes(
        *(system, baseline, *([reference] if reference else [])),
        metric=metric,
        training_words=training_words,
        max_length=max_length,
    )
    gain = own.score() - other.score()
    low, high = own.gain_interval(other, confidence=confidence, num_resamples=num_resamples, seed=seed)
    p_value = own.p_value(other, num_resamples=num_resamples, seed=seed)
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
        next(iter(by_pair(system))),
        gap_closed(gain, best[0].score() - other.score()) if best else None,
    )


def read_p_value(gain: float, p_value: float, *, alpha: float) -> Outcome:
    """`helped` or `harmed`, by the sign of the gain, where the p-value is below alpha; else `no evidence`."""
    if p_value >= alpha or gain == 0:
        return "no evidence"
    return "helped" if gain > 0 else "harmed"


def gap_closed(gain: float, reference_gain: float) -> float | None:
    """The share gain / reference_gain, both over the same baseline; None where the latter is at most `MIN_GAP`."""
    return gain / reference_gain if reference_gain > MIN_GAP else None


def compare_with_baseline(
    predictions: Iterable[SystemPredictions],
    baseline: str,
    *,
    reference: str | None = None,
    metrics: Sequence[str] | None = None,
    training_words: Collection[str] | None = None,
    max_length: int | None = None,
    alpha: float = 0.05,
    confidence: float = 0.95,
    num_resamples: int = 9_999,
    seed: int,
) -> list[Verdict]:
    """A verdict for every other system against the baseline, on every split that was held out of model choice.

    Args:
        predictions: of any systems, splits, pairs and seeds; splits in `SELECTION_SPLITS` are passed over.
        baseline: the baseline's name.
        reference: the name of the system trained on the target's labels, for `Verdict.gap_closed`; where it was not
            run, and for itself, that is None.
        metrics: what to compare by; None is `token_accuracy` for tags and `accuracy` for documents. A split where
            nothing counts for a metric gets no verdict by it.
        training_words: the training set's words; for `unseen_word_accuracy`.
        max_length: positions per sentence; for `padded_accuracy`.
        alpha: level of each test.
        confidence: of the intervals.
        num_resamples: of the bootstrap and of the test.
        seed: of both.

    Returns:
        The verdicts: by split, then pair, then metric, then system.

    Raises:
        InputError: two systems were not run on the same items, or the baseline was not run on a split or pair.

    Compare with `over_pairs.compare_over_pairs`: one verdict for each system over all pairs.
    """
    held_out = [part for part in predictions if part.split not in SELECTION_SPLITS]
    verdicts = []
    for split_parts in by_split(held_out).values():
        for pair_parts in by_pair(split_parts).values():
            systems = by_system(pair_parts)
            base = baseline_parts(systems, baseline)
            for metric in metrics or [default_metric(base[0])]:
                (counted,) = _outcomes(base[:1], metric=metric, training_words=training_words, max_length=max_length)
                verdicts += [
                    compare(
                        parts,
                        base,
                        reference=systems.get(reference, ()) if reference and system != reference else (),
                        metric=metric,
                        training_words=training_words,
                        max_length=max_length,
                        alpha=alpha,
                        confidence=confidence,
                        num_resamples=num_resamples,
                        seed=seed,
                    )
                    for system, parts in systems.items()
                    if system != baseline and counted.n
                ]
    return verdicts


def baseline_parts(systems: Mapping[str, list[Part]], baseline: str) -> list[Part]:
    """The baseline's among the predictions of one split and pair, by system.

    Raises:
        InputError: it was not run there.
    """
    if baseline not in systems:
        other = next(iter(systems.values()))[0]
        (pair,) = by_pair([other])
        raise InputError(
            f"the baseline {baseline!r} was not run on split {other.split!r}{'' if pair is None else f' of {pair}'}",
            found=", ".join(systems),
            remedy="Run the baseline on everything that the systems are compared on.",
        )
    return systems[baseline]


def best_system(
    scores: Iterable[Score], *, split: str = "dev", metric: str = "token_accuracy", pair: str | None = None
) -> str:
    """The system with the highest mean over its seeds; the first of several equals.

    Args:
        scores: of any systems.
        split: where to choose. Choosing on a test split would make its score too good.
        metric: what to choose by.
        pair: on which pair of domains; `all` is by the mean over the pairs, None for a run without pairs.

    Returns:
        The system's name.

    Raises:
        ValueError: no system has such a score.
    """
    wanted = (split, metric, pair, None)
    means = [score for score in scores if (score.split, score.metric, score.pair, score.seed) == wanted]
    if not means:
        of_pair = "" if pair is None else f" of {pair}"
        raise ValueError(f"no mean {metric} on {split}{of_pair} among the scores")
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
    where = {None: "", ALL_PAIRS: ", mean of all pairs"}.get(verdict.pair, f", {verdict.pair}")
    seeds = "" if num_seeds is None else f", {num_seeds} seed{'' if num_seeds == 1 else 's'}"
    gap = "" if verdict.gap_closed is None else f"; {share(verdict.gap_closed)} of the gap to the reference closed"
    return (
        f"{reading}: {gain} points ({confidence * 100:g} % interval {low} to {high}, {p_text(verdict.p_value)}) "
        f"over {verdict.baseline} on {split} {metric}{where}{seeds}{gap}."
    )


def points(difference: float, digits: int = 2) -> str:
    """A difference of two fractions in percentage points, with its sign; zero has none."""
    text = f"{difference * 100:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def share(fraction: float) -> str:
    """A share of something for reading, in whole per cent: `42 %`, `-7 %`."""
    return f"{round(fraction * 100)} %"


def p_text(p_value: float) -> str:
    """A p-value for reading: `p = 0.0002`, `p = 0.31`, `p < 0.0001`."""
    if p_value < 0.0001:
        return "p < 0.0001"
    return f"p = {p_value:.4f}" if p_value < 0.01 else f"p = {p_value:.2f}"


def _metrics_of(part: SystemPredictions, of_tags: list[str], of_documents: list[str]) -> list[str]:
    if isinstance(part, NumberPredictions):
        return [R_SQUARED]
    return of_tags if isinstance(part, Predictions) else of_documents


def _outcomes(
    *systems: Sequence[SystemPredictions],
    metric: str,
    training_words: Collection[str] | None,
    max_length: int | None,
) -> Sequence[Any]:
    """The outcomes of each system, all of sentences, all of documents or all of numbers."""
    if isinstance(systems[0][0], NumberPredictions):
        everything = [part for parts in systems for part in parts]
        check_same_items(everything)
        return number_outcomes(*[[own for own in parts if isinstance(own, NumberPredictions)] for parts in systems])
    if isinstance(systems[0][0], Predictions):
        return sentence_outcomes(*systems, metric=metric, training_words=training_words, max_length=max_length)
    return document_outcomes(*systems, metric=metric)
