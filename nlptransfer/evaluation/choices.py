"""A choice among systems pair by pair, made without target labels, and beside it the one an oracle would have made.

Which method, or which of its settings, is best differs from pair to pair, and without target labels only a label-free
score can say which. What is chosen is a system of its own, with its own scores, interval and verdict. What the best
choice *by the test labels* would have reached is told beside it, as the distance still open: it is no result, since
nobody can choose so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nlptransfer.errors import InputError
from nlptransfer.evaluation.document_predictions import ALL_PAIRS, DocumentPredictions
from nlptransfer.evaluation.predictions import by_system
from nlptransfer.evaluation.verdict import Score

NOT_USABLE = "NOT USABLE"
"""How a choice by test labels is marked wherever it is shown."""


def chosen_predictions(
    predictions: Iterable[DocumentPredictions], choice: Mapping[str, str], *, name: str
) -> list[DocumentPredictions]:
    """The predictions of the system that was chosen on each pair, all under one name.

    Args:
        predictions: of any systems, splits, pairs and seeds.
        choice: the chosen system by pair.
        name: what to call the choice as a system.

    Returns:
        For each pair of `choice`, the chosen system's predictions on every split and under every seed, renamed.

    Raises:
        ValueError: a chosen system has no predictions on its pair.

    Example:
        >>> chosen_predictions(predictions, {"books>dvd": "dann", "dvd>books": "coral"}, name="chosen label-free")
    """
    systems = by_system(predictions)
    found = []
    for pair, system in choice.items():
        own = [replace(part, system=name) for part in systems.get(system, ()) if part.pair == pair]
        if not own:
            raise ValueError(f"{system!r} was chosen on {pair} but has no predictions there")
        found += own
    return found


def oracle_choice(
    scores: Iterable[Score], systems: Sequence[str], *, split: str = "target_test", metric: str = "accuracy"
) -> dict[str, str]:
    """The system that turned out best on each pair by its test labels; only to be told as `NOT_USABLE`.

    Args:
        scores: those of the systems, among others.
        systems: among which to choose; the first of several equals is taken.
        split: the test split.
        metric: what to choose by.

    Returns:
        The system with the highest mean over its seeds, by pair.
    """
    means = _means(scores, split, metric)
    pairs = dict.fromkeys(pair for _, pair in means)
    return {
        pair: max((name for name in systems if (name, pair) in means), key=lambda name: means[name, pair])
        for pair in pairs
        if any((name, pair) in means for name in systems)
    }


def best_elsewhere(
    scores: Iterable[Score],
    pairs: Iterable[str],
    systems: Sequence[str],
    *,
    split: str = "target_test",
    metric: str = "accuracy",
) -> str:
    """The system that was best in a run on other domains: a choice that needs no label of the domains at hand.

    Args:
        scores: the other run's.
        pairs: the pairs at hand, such as ``books>dvd``; none of their domains may be in the other run.
        systems: among which to choose; the first of several equals is taken.
        split: what the other run is judged by.
        metric: likewise.

    Returns:
        Of the systems that the other run scored on each of its pairs, the one with the best mean over them.

    Raises:
        InputError: the two runs share a domain, whose labels would take part in the choice; or no system.

    Example:
        >>> best_elsewhere(read_run("runs/other").scores, ["books>dvd"], ["coral", "dann"])
        'dann'
    """
    means = _means(scores, split, metric)
    there = dict.fromkeys(pair for _, pair in means)
    if shared := sorted(_domains(pairs) & _domains(there)):
        raise InputError(
            "the run to choose by is on a domain of this one, whose labels would take part in the choice",
            expected="a run on other domains",
            found=", ".join(shared),
            remedy="Name a run on other corpora, or leave out --chosen_by.",
        )
    best = _best_mean(means, there, systems)
    if best is None:
        raise InputError(
            "the run to choose by has none of these methods on all of its pairs",
            expected="one of " + ", ".join(systems),
            found=", ".join(dict.fromkeys(system for system, _ in means)) or "no scores",
            remedy="Run them there too, or leave out --chosen_by.",
        )
    return best


def best_on_other_pairs(
    scores: Iterable[Score],
    pairs: Iterable[str],
    systems: Sequence[str],
    *,
    split: str = "target_test",
    metric: str = "accuracy",
) -> dict[str, str]:
    """By pair, the system that was best on those of the pairs that are without its target, as source and as target.

    A choice for domains of which none has labels but as a source: what carried over among the other domains. It needs
    no label of the target, and three domains or more.

    Args:
        scores: of the run.
        pairs: its pairs, such as ``books>dvd``.
        systems: among which to choose; the first of several equals is taken.
        split: what they are judged by.
        metric: likewise.

    Returns:
        For each pair whose target is not in all others: of the systems that were scored on it and on all pairs without
        its target, the one with the best mean over those.

    Example:
        >>> best_on_other_pairs(scores, ["books>dvd", "books>kitchen", "kitchen>books"], ["coral", "dann"])
        {'books>dvd': 'dann'}
    """
    means = _means(scores, split, metric)
    pairs = list(pairs)
    found = {}
    for name in pairs:
        target = name.partition(">")[2].strip()
        others = [other for other in pairs if target not in _domains([other])]
        best = _best_mean(means, others, [system for system in systems if (system, name) in means])
        if best is not None:
            found[name] = best
    return found


def _best_mean(means: Mapping[tuple[str, str], float], pairs: Collection[str], systems: Sequence[str]) -> str | None:
    """Of the systems that have a score on each of the pairs, the one with the best mean; None without any."""
    known = [system for system in systems if pairs and all((system, pair) in means for pair in pairs)]
    return max(known, key=lambda system: sum(means[system, pair] for pair in pairs)) if known else None


def _domains(pairs: Iterable[str]) -> set[str]:
    """The domains in the names of pairs, of each of which the source may be several."""
    ends = [pair.partition(">") for pair in pairs]
    return {domain.strip() for source, _, target in ends for domain in (*source.split("+"), target)}


def choice_rows(
    scores: Iterable[Score],
    choice: Mapping[str, str],
    oracle: Mapping[str, str],
    *,
    split: str = "target_test",
    metric: str = "accuracy",
) -> list[dict[str, Any]]:
    """Rows for a table in the report: on each pair the label-free choice, the oracle's, and what lies between them.

    Args:
        scores: those of the systems chosen, among others.
        choice: the system chosen without target labels, by pair.
        oracle: the same from `oracle_choice`.
        split: the test split.
        metric: what to tell.

    Returns:
        A row per pair and one of the means, with scores in per cent.

    Raises:
        KeyError: a chosen system has no score on its pair.
    """
    means = _means(scores, split, metric)
    values = [(means[system, pair], means[oracle[pair], pair]) for pair, system in choice.items()]
    names = [(pair, system, oracle[pair]) for pair, system in choice.items()]
    if len(choice) > 1:
        names.append(("mean", "", ""))
        values.append((sum(own for own, _ in values) / len(choice), sum(best for _, best in values) / len(choice)))
    return [
        {
            "pair": pair,
            "chosen without target labels": own_name,
            "score, %": round(own * 100, 2),
            f"oracle ({NOT_USABLE})": best_name,
            f"oracle's score, % ({NOT_USABLE})": round(best * 100, 2),
            "gap, points": round((best - own) * 100, 2),
        }
        for (pair, own_name, best_name), (own, best) in zip(names, values, strict=True)
    ]


def _means(scores: Iterable[Score], split: str, metric: str) -> dict[tuple[str, str], float]:
    """The means over the seeds by system and pair."""
    return {
        (score.system, score.pair): score.value
        for score in scores
        if score.pair not in (None, ALL_PAIRS) and (score.split, score.metric, score.seed) == (split, metric, None)
    }
