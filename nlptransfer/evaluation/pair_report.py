"""The part of the report that shows systems by pairs of domains: scores, gaps closed, and who counts as best."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from nlptransfer.evaluation.choices import NOT_USABLE
from nlptransfer.evaluation.document_predictions import ALL_PAIRS
from nlptransfer.evaluation.html_tables import framed_table, html_cell, html_table, percent, share_or_dash
from nlptransfer.evaluation.verdict import METRIC_NAMES, SELECTION_SPLITS, Score, Verdict


@dataclass(frozen=True)
class Marks:
    """Which systems are no contenders for the best.

    Attributes:
        reference: the system trained on the target's labels.
        not_usable: systems that were chosen by test labels.
    """

    reference: str | None
    not_usable: frozenset[str]

    def name(self, system: str) -> str:
        """The system's name, with the mark where it has one."""
        return f"{system} ({NOT_USABLE})" if system in self.not_usable else system

    def sentence(self, verdict: Verdict, sentence: str) -> str:
        """The verdict's sentence, with the mark where its system has one."""
        if verdict.system not in self.not_usable:
            return sentence
        return f"{NOT_USABLE}, since it was chosen by test labels: {sentence}"

    def contends(self, system: str) -> bool:
        """Whether it can be the best."""
        return system != self.reference and system not in self.not_usable


def pair_section(
    scores: Sequence[Score],
    verdicts: Sequence[Verdict],
    best_system: str | None,
    confidence: float,
    marked: Marks,
) -> list[str]:
    """Tables of systems by pairs: scores by split and metric, then the share of the gap that was closed."""
    body = ["<h2>Scores</h2>"]
    if best_system is not None:
        body.append(f"<p>Best on development data: <b>{escape(best_system)}</b>.</p>")
    legends: dict[str, None] = {}  # in order, each once
    shown = sorted(scores, key=lambda score: score.split in SELECTION_SPLITS)  # stable
    for split, metric in dict.fromkeys((score.split, score.metric) for score in shown):
        own = [score for score in scores if (score.split, score.metric) == (split, metric)]
        means = {(score.system, score.pair): score for score in own if score.seed is None}
        pairs = pairs_of(means.values())
        systems = sorted(dict.fromkeys(system for system, _ in means), key=lambda name: name in marked.not_usable)
        best = {
            pair: max((m.value for (name, p), m in means.items() if p == pair and marked.contends(name)), default=None)
            for pair in (*pairs, ALL_PAIRS)
        }
        lines = []
        for system in systems:
            row = [html_cell(marked.name(system))]
            for pair in (*pairs, ALL_PAIRS):
                score = means.get((system, pair))
                text = "–" if score is None else percent(score.value)
                is_best = score is not None and marked.contends(system) and score.value == best[pair]
                row.append(html_cell(text, "best" if is_best else ""))
            whole = means.get((system, ALL_PAIRS))
            row.append(html_cell("–" if whole is None else f"{percent(whole.low)} to {percent(whole.high)}"))
            row.append(html_cell(_pair_spread(own, system, pairs)))
            css = ' class="unusable"' if system in marked.not_usable else ""
            lines.append(f"<tr{css}>{''.join(row)}</tr>")
        name = METRIC_NAMES.get(metric, metric)
        short, legend = short_pairs(pairs)
        legends[legend] = None
        header = ["System", *short, "mean", f"{confidence * 100:g} % interval", "sd over seeds"]
        body += [
            f"<h3>{escape(split.replace('_', ' '))}: {escape(name)}, %</h3>",
            framed_table(header, lines, css="pairs"),
        ]
    apart = f", {marked.reference} (trained on target labels) apart" if marked.reference else ""
    body.append(
        f'<p class="small">Means over the seeds; the best of each column in bold{escape(apart)}. '
        "Interval of the mean: hierarchical bootstrap over pairs, seeds and documents. sd over seeds: of the mean "
        "over the pairs where every pair has the same seeds, else the mean of the pairs' own; in points. "
        f"{escape('; '.join(legend for legend in legends if legend))}</p>"
    )
    closed = [own for own in verdicts if own.gap_closed is not None]
    for split, metric in dict.fromkeys((own.split, own.metric) for own in closed):
        there = [own for own in closed if (own.split, own.metric) == (split, metric)]
        shares = {(own.system, own.baseline, own.pair): own.gap_closed for own in there}
        pairs = pairs_of(own for own in verdicts if (own.split, own.metric) == (split, metric))
        short, _ = short_pairs(pairs)
        rows = [
            [
                marked.name(system),
                baseline,
                *(share_or_dash(shares.get((system, baseline, pair))) for pair in (*pairs, ALL_PAIRS)),
            ]
            for system, baseline in dict.fromkeys((own.system, own.baseline) for own in there)
        ]
        body += [
            f"<h3>Gap closed: {escape(split.replace('_', ' '))}, {escape(METRIC_NAMES.get(metric, metric))}</h3>",
            html_table(["System", "over", *short, "all pairs"], rows, css="pairs"),
        ]
    if closed:
        body.append(
            '<p class="small">(system − baseline) / (reference − baseline), the reference being trained on the '
            "target's labels; below 0 where the system harmed. A dash where the reference is not better than the "
            "baseline by more than half a point. All pairs: ratio of the mean gains.</p>"
        )
    return body


def pairs_of(rows: Iterable[Score | Verdict]) -> list[str]:
    """The pairs of domains, but for their mean."""
    return [pair for pair in dict.fromkeys(row.pair for row in rows) if pair not in (None, ALL_PAIRS)]


def short_pairs(pairs: Sequence[str]) -> tuple[list[str], str]:
    """Pairs for narrow columns, `B>D` or `B+D>K`, and what the letters mean; whole names where initials are ambiguous.

    Args:
        pairs: names of pairs; the domains of a source are joined by +.
    """
    split_pairs = [[end.split("+") for end in pair.split(">")] for pair in pairs]
    domains = dict.fromkeys(domain for pair in split_pairs for end in pair for domain in end)
    initials = {domain: domain[:1].upper() for domain in domains}
    if any(len(own) != 2 for own in split_pairs) or len({*initials.values()} - {""}) < len(domains):
        return column_names(pairs), ""
    legend = ", ".join(f"{initial}: {domain}" for domain, initial in initials.items())
    return [">".join("+".join(initials[domain] for domain in end) for end in pair) for pair in split_pairs], legend


def column_names(pairs: Sequence[str]) -> list[str]:
    """Pairs for the heads of columns: `9 domains>toys` for a source of more than three, where that tells them apart.

    Args:
        pairs: names of pairs; the domains of a source are joined by +.
    """
    counts = [pair.partition(">")[0].count("+") + 1 for pair in pairs]
    short = [
        f"{count} domains>{pair.partition('>')[2]}" if count > 3 else pair
        for count, pair in zip(counts, pairs, strict=True)
    ]
    return short if len(set(short)) == len(set(pairs)) else list(pairs)


def _pair_spread(scores: Sequence[Score], system: str, pairs: Sequence[str]) -> str:
    """Spread between seeds of one system: of its mean over the pairs, else the mean of the pairs' spreads."""
    values: dict[str | None, list[float]] = {}
    for score in scores:
        if score.system == system and score.seed is not None:
            values.setdefault(score.pair, []).append(score.value)
    numbers = {len(values.get(pair, ())) for pair in pairs}
    if len(values.get(ALL_PAIRS, ())) > 1 and numbers == {len(values[ALL_PAIRS])}:
        return f"{statistics.stdev(values[ALL_PAIRS]) * 100:.2f}"
    spreads = [statistics.stdev(own) for pair, own in values.items() if pair != ALL_PAIRS and len(own) > 1]
    return f"{statistics.fmean(spreads) * 100:.2f}" if spreads else "–"
