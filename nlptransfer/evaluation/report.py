"""The report: one self-contained HTML page for people, verdict first, and the same in short for the terminal."""

from __future__ import annotations

import base64
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.errors import InputError
from nlptransfer.evaluation.document_predictions import ALL_PAIRS, DocumentPredictions
from nlptransfer.evaluation.html_tables import html_table, mapping_table, percent, rows_table, share_or_dash
from nlptransfer.evaluation.metrics import DOCUMENT_METRICS, per_tag_scores
from nlptransfer.evaluation.pair_report import Marks, pair_section, pairs_of, short_pairs
from nlptransfer.evaluation.predictions import SystemPredictions, by_pair, by_split, pooled_tags
from nlptransfer.evaluation.verdict import (
    METRIC_NAMES,
    SELECTION_SPLITS,
    Score,
    Verdict,
    describe,
    p_text,
    points,
)
from nlptransfer.files import write_text

if TYPE_CHECKING:
    from rich.console import Console

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1rem 1.2rem 4rem; background: #fff; color: #1b1b1b;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .6rem 0 .2rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid #ccc; padding-bottom: .2rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .5rem 0; max-width: 46rem; }
.question { font-size: 1.05rem; color: #333; }
.small { font-size: .85rem; color: #555; }
.warning { background: #fff3cd; border: 2px solid #b26a00; padding: .7rem 1rem; font-weight: 600; margin: 1rem 0; }
.verdict { border-left: .4rem solid #767676; background: #f5f5f5; padding: .5rem .9rem; margin: .5rem 0;
  max-width: none; }
.helped { border-color: #0072b2; } .harmed { border-color: #d55e00; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; margin: .3rem 0; }
th, td { padding: .22rem .7rem .22rem 0; text-align: right; border-bottom: 1px solid #e4e4e4; white-space: nowrap; }
th { font-weight: 600; border-bottom: 1px solid #888; vertical-align: bottom; }
th:first-child, td:first-child, .text td, .text th { text-align: left; }
.text td { white-space: normal; vertical-align: top; overflow-wrap: anywhere; }
.text td:first-child { white-space: nowrap; }
tr.best td, td.best { font-weight: 700; }
.pairs th, .wrapped th { white-space: normal; } .pairs th, .pairs td { padding-right: .45rem; }
.pairs { font-size: .84rem; } td.words, th.words { text-align: left; white-space: normal; }
tr.unusable td { color: #767676; font-style: italic; }
details { margin: .6rem 0; } summary { cursor: pointer; }
figure { margin: 1rem 0 1.6rem; break-inside: avoid; }
figure img { max-width: 100%; height: auto; }
figcaption { font-size: .88rem; color: #444; }
@media print { body { max-width: none; padding: 0; font-size: 10.5pt; } .scroll { overflow: visible; }
  table, .verdict, .warning { break-inside: auto; } tr, .verdict, .warning { break-inside: avoid; }
  h2, h3 { break-after: avoid; } }
"""


@dataclass(frozen=True)
class Table:
    """A table of the report that a recipe brings along: distances between domains, words that moved.

    Attributes:
        title: its heading.
        rows: one mapping per row, column name to value; numbers are shown with four digits, a column that a row lacks
            as a dash.
        caption: what the reader should know to read it; none where empty.
    """

    title: str
    rows: Sequence[Mapping[str, Any]]
    caption: str = ""


def write_report(
    path: str | Path,
    *,
    title: str,
    question: str,
    scores: Sequence[Score],
    verdicts: Sequence[Verdict],
    signature: Mapping[str, Any],
    settings: Mapping[str, Any],
    predictions: Sequence[SystemPredictions] = (),
    best_system: str | None = None,
    coverage: Sequence[Mapping[str, Any]] = (),
    tables: Sequence[Table] = (),
    plots: Mapping[str, Path] | None = None,
    seconds: Mapping[str, float] | None = None,
    warnings: Sequence[str] = (),
    notes: Sequence[str] = (),
    reference: str | None = None,
    not_usable: Collection[str] = (),
    confidence: float = 0.95,
) -> None:
    """Write the page: verdicts, scores, tags, coverage, plots, labels used, settings. No scripts, nothing from outside.

    Of a run over several pairs of domains, the verdicts over all pairs come first, then a table of systems by pairs,
    and the share of the gap that was closed; the verdicts of single pairs are folded in.

    Args:
        path: the file; `RunFolder.report`.
        title: the recipe's name, or better.
        question: the question that the recipe answers.
        scores: every score.
        verdicts: every verdict.
        signature: what the numbers rest on, among it which labels were used for what.
        settings: every setting as resolved.
        predictions: of which `best_system`'s are told tag by tag, all seeds together.
        best_system: the system chosen on development data.
        coverage: rows of the coverage report: `group`, `name`, `tokens`, `types`, `token_share`, `type_share`.
        tables: the recipe's own, in the order to show them.
        plots: PNG files by caption, as `write_plots` returns them.
        seconds: how long each part took.
        warnings: what a reader must not miss (a synthetic corpus in place of the real one, say): banners on top.
        notes: what a reader should also know.
        reference: the system trained on the target's labels: shown, but not counted among those that can be best.
        not_usable: systems that were chosen by test labels, to tell how far the choice without them is from the best;
            marked so, and never the best.
        confidence: of the intervals.

    Raises:
        InputError: a picture can't be read.
        OSError: the file can't be written.
    """
    body = [f"<h1>{escape(title)}</h1>", f'<p class="question">{escape(question)}</p>']
    body += [f'<div class="warning">{escape(text)}</div>' for text in warnings]
    marked = Marks(reference, frozenset(not_usable))
    body += _verdict_section(verdicts, scores, confidence, marked)
    if len({score.pair for score in scores}) > 1:
        body += pair_section(scores, verdicts, best_system, confidence, marked)
    else:
        body += _score_section(scores, best_system, confidence, marked)
    for own in tables:
        body += [f"<h2>{escape(own.title)}</h2>", rows_table(own.rows)]
        body += [f'<p class="small">{escape(own.caption)}</p>'] if own.caption else []
    body += _tag_section(predictions, best_system)
    body += _coverage_section(coverage)
    if plots:
        body.append("<h2>Pictures</h2>")
        body += [_figure(caption, file) for caption, file in plots.items()]
    body += ["<h2>What the numbers rest on</h2>", mapping_table(signature)]
    if notes:
        body += ["<h2>Notes</h2>", *(f"<p>{escape(text)}</p>" for text in notes)]
    if seconds:
        body += [
            "<h2>Time</h2>",
            html_table(["", "seconds"], [[name, f"{value:,.1f}"] for name, value in seconds.items()]),
        ]
    body += ["<h2>Settings</h2>", mapping_table(settings)]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )
    write_text(path, page)


def print_report(
    scores: Sequence[Score],
    verdicts: Sequence[Verdict],
    *,
    warnings: Sequence[str] = (),
    not_usable: Collection[str] = (),
    confidence: float = 0.95,
    console: Console | None = None,
) -> None:
    """Print warnings, verdicts and mean test scores: tables on a terminal, plain lines into a pipe or file.

    Of a run over several pairs of domains, the verdicts are those over all pairs, and a system's scores on the pairs
    share a line or row.

    Args:
        scores: of which the means over the seeds are printed, but for `SELECTION_SPLITS`.
        verdicts: every verdict.
        warnings: printed first.
        not_usable: systems that were chosen by test labels; marked so.
        confidence: of the intervals.
        console: where to; standard output by default.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    console = console or Console()
    marked = Marks(None, frozenset(not_usable))
    means = [score for score in scores if score.seed is None and score.split not in SELECTION_SPLITS]
    told = [own for own in verdicts if own.pair == ALL_PAIRS] or verdicts
    sentences = [
        (own, marked.sentence(own, describe(own, num_seeds=_num_seeds(scores, own), confidence=confidence)))
        for own in told
    ]
    pairs = pairs_of(means)
    if not console.is_terminal:
        # A log wants whole lines: no boxes, and nothing wrapped to a width that nobody has.
        lines = [f"Warning: {text}" for text in warnings]
        lines += [sentence for _, sentence in sentences]
        for score in [score for score in means if score.pair == ALL_PAIRS] or means:
            line = (
                f"{marked.name(score.system)} {score.split} {score.metric} {percent(score.value)} % "
                f"({percent(score.low)} to {percent(score.high)})"
            )
            if score.pair == ALL_PAIRS:
                single = [other for other in means if _key(other) == _key(score) and other is not score]
                each = ", ".join(f"{other.pair} {percent(other.value)}" for other in single)
                # Of more pairs nobody finds a number in such a line: the report has the table.
                line += f", mean of {len(single)} pairs" + (f": {each}" if len(single) <= 6 else "")
            elif score.pair is not None:
                line += f", {score.pair}"
            lines.append(line)
        console.print(Text("\n".join(lines)), soft_wrap=True)
        return
    for text in warnings:
        console.print(Text(f"Warning: {text}", style="bold yellow"))
    styles = {"helped": "bold green", "harmed": "bold red", "no evidence": "bold"}
    for own_verdict, sentence in sentences:
        console.print(Text(sentence, style=styles[own_verdict.verdict]))
    if len(pairs) > 1:
        short, legend = short_pairs(pairs)
        for split, metric in dict.fromkeys((score.split, score.metric) for score in means):
            title = f"{split.replace('_', ' ')}, {METRIC_NAMES.get(metric, metric)}, mean over the seeds, %"
            table = Grid(
                title=title,
                title_justify="left",
                caption=legend or None,
                caption_justify="left",
                box=box.SIMPLE_HEAD,
                padding=(0, 1, 0, 0),  # narrow, so that twelve pairs fit
            )
            table.add_column("system", overflow="fold")
            for name in [*short, "mean"]:
                table.add_column(Text(name), justify="right", no_wrap=True)
            values = {
                (score.system, score.pair): score.value
                for score in means
                if (score.split, score.metric) == (split, metric)
            }
            for system in dict.fromkeys(system for system, _ in values):
                row = [values.get((system, pair)) for pair in (*pairs, ALL_PAIRS)]
                shown = ["–" if value is None else f"{value * 100:.1f}" for value in row]
                table.add_row(Text(marked.name(system)), *shown)
            console.print(table)
        return
    table = Grid(title="Mean over the seeds, %", title_justify="left")
    for name in ("system", "split", "metric"):
        table.add_column(name)
    for name in ("score", f"{confidence * 100:g} % interval", "sd over seeds"):
        table.add_column(name, justify="right", no_wrap=True)
    for score in means:
        table.add_row(
            Text(marked.name(score.system)),
            Text(score.split.replace("_", " ")),
            Text(score.metric.replace("_", " ")),
            percent(score.value),
            f"{percent(score.low)} to {percent(score.high)}",
            _spread(_of_seeds(scores, score)),
        )
    console.print(table)


def _verdict_section(
    verdicts: Sequence[Verdict], scores: Sequence[Score], confidence: float, marked: Marks
) -> list[str]:
    if not verdicts:
        return ["<h2>Verdict</h2>", "<p>No two systems were compared.</p>"]
    over_pairs = [own for own in verdicts if own.pair == ALL_PAIRS]
    told = sorted(over_pairs or verdicts, key=lambda own: own.system in marked.not_usable)  # stable
    body = ["<h2>Verdict over all pairs</h2>" if over_pairs else "<h2>Verdict</h2>"]
    for own in told:
        sentence = describe(own, num_seeds=_num_seeds(scores, own), confidence=confidence)
        css = {"helped": "verdict helped", "harmed": "verdict harmed"}.get(own.verdict, "verdict")
        if own.system in marked.not_usable:
            css = "verdict"
        body.append(f'<p class="{css}">{escape(marked.sentence(own, sentence))}</p>')
    body.append(_verdict_table(told, confidence, marked))
    item = "document" if told[0].metric in DOCUMENT_METRICS else "sentence"
    several = f" The {len(told)} p-values are each for its own comparison, not corrected for their number."
    about = (
        "Gain: mean over the pairs of the mean over the seeds, of the system less that of its baseline. Interval: "
        "hierarchical bootstrap over pairs, seeds and test documents; p: sign-flip permutation test over the pairs, "
        "two-sided. The unit is the pair of domains: seeds of one pair are no independent evidence. Pairs that share a "
        "test set or labelled data are not independent either, and p does not know it: it is evidence about these "
        "pairs, and weaker evidence about other domains. Fewer than six pairs can give no p below 0.05."
        if over_pairs
        else "Gain: mean over the seeds of the system less that of its baseline. Interval: paired "
        f"bootstrap over test {item}s; p: paired permutation test over test {item}s, two-sided. Both are about "
        f"other test {item}s at the mean over these seeds; how much the seeds differ is in the next table."
    )
    body.append(
        f'<p class="small">{about} “No evidence” does not say that there is no difference.'
        f"{several if len(told) > 1 else ''}</p>"
    )
    single = [own for own in verdicts if own.pair != ALL_PAIRS]
    if over_pairs and single:
        body.append(
            f"<details><summary>The {len(single)} verdicts on single pairs</summary>"
            f"{_verdict_table(single, confidence, marked)}"
            '<p class="small">Interval: paired bootstrap over test documents; p: paired permutation test over test '
            "documents, two-sided, at the mean over these seeds; not corrected for their number.</p></details>"
        )
    return body


def _verdict_table(verdicts: Sequence[Verdict], confidence: float, marked: Marks) -> str:
    header = ["System", "over", "on", "by", "Gain, points", f"{confidence * 100:g} % interval", "p", "Verdict"]
    with_pair = any(own.pair not in (None, ALL_PAIRS) for own in verdicts)
    with_gap = any(own.gap_closed is not None for own in verdicts)
    rows = [
        [
            marked.name(own.system),
            own.baseline,
            own.split.replace("_", " "),
            METRIC_NAMES.get(own.metric, own.metric),
            points(own.gain),
            f"{points(own.low)} to {points(own.high)}",
            p_text(own.p_value).removeprefix("p = ").removeprefix("p "),
            own.verdict,
            *([str(own.pair)] if with_pair else []),
            *([share_or_dash(own.gap_closed)] if with_gap else []),
        ]
        for own in verdicts
    ]
    header += [*(["Pair"] if with_pair else []), *(["Gap closed"] if with_gap else [])]
    return html_table(header, rows)


def _score_section(scores: Sequence[Score], best_system: str | None, confidence: float, marked: Marks) -> list[str]:
    body = ["<h2>Scores</h2>"]
    if best_system is not None:
        body.append(f"<p>Best on development data: <b>{escape(best_system)}</b>.</p>")
    # Stable: test splits, which verdicts rest on, come before those that training or model choice has used.
    shown = sorted(scores, key=lambda score: score.split in SELECTION_SPLITS)
    for split, metric in dict.fromkeys((score.split, score.metric) for score in shown):
        means = [score for score in scores if (score.split, score.metric, score.seed) == (split, metric, None)]
        seeds = list(
            dict.fromkeys(
                score.seed
                for score in scores
                if (score.split, score.metric) == (split, metric) and score.seed is not None
            )
        )
        header = ["System", "Mean, %", f"{confidence * 100:g} % interval", "sd over seeds"]
        rows = []
        for mean in means:
            values = _of_seeds(scores, mean)
            rows.append(
                [
                    marked.name(mean.system),
                    percent(mean.value),
                    f"{percent(mean.low)} to {percent(mean.high)}",
                    _spread(values),
                    *(percent(values[seed]) if seed in values else "" for seed in seeds),
                ]
            )
        n = max((mean.n for mean in means), default=0)
        name = METRIC_NAMES.get(metric, metric)
        unit = "words"
        if metric in ("padded_accuracy", *DOCUMENT_METRICS):
            unit = "positions" if metric == "padded_accuracy" else "documents"
        body.append(f"<h3>{escape(split.replace('_', ' '))}: {escape(name)} ({n:,} {unit})</h3>")
        best_row = next((number for number, mean in enumerate(means) if mean.system == best_system), None)
        body.append(html_table([*header, *(f"seed {seed}" for seed in seeds)], rows, best_row))
        if metric == "padded_accuracy":
            words = max((s.n for s in scores if (s.split, s.metric) == (split, "token_accuracy")), default=0)
            body.append(
                f'<p class="small">Padding is counted here as right: {n:,} positions were scored for {words:,} real '
                "words. If a share r of the positions is real and the accuracy on these is a, this number is "
                "1 − r (1 − a): the errors look r times as many. It is given for comparison with tables "
                "that report it so; judge by the accuracy on real words.</p>"
            )
    items = "documents" if any(score.metric in DOCUMENT_METRICS for score in scores) else "sentences"
    body.append(
        f'<p class="small">Intervals: percentile bootstrap over {items} at the mean over the seeds. sd: standard '
        "deviation between seeds, in points.</p>"
    )
    return body


def _tag_section(predictions: Sequence[SystemPredictions], best_system: str | None) -> list[str]:
    own = [part for part in predictions if part.system == best_system and part.split not in SELECTION_SPLITS]
    splits = by_split(own)
    tag, items = ("Label", "Documents") if own and isinstance(own[0], DocumentPredictions) else ("Tag", "Words")
    body = [f"<h2>{tag} by {tag.lower()}: {escape(str(best_system))}</h2>"] if splits else []
    for split, parts in splits.items():
        # The gold words are the same under every seed; count them once. Pairs may have different numbers of seeds.
        once = {row["tag"]: row["support"] for row in per_tag_scores(*pooled_tags(_one_seed(parts)))}
        rows = [
            [
                row["tag"],
                *(percent(row[name]) for name in ("precision", "recall", "f1")),
                f"{once.get(row['tag'], 0):,}",
            ]
            for row in per_tag_scores(*pooled_tags(parts))
        ]
        body += [
            f"<h3>{escape(split.replace('_', ' '))}</h3>",
            html_table([tag, "Precision, %", "Recall, %", "F1, %", items], rows),
        ]
    return body


def _coverage_section(coverage: Sequence[Mapping[str, Any]]) -> list[str]:
    if not coverage:
        return []
    found_by = list(dict.fromkeys(name for row in coverage for name, share in row["token_share"].items() if share > 0))
    header = ["", "Tokens", *(f"{name}, %" for name in found_by), "Types", "types not found, %"]
    body = [
        "<h2>What the word vectors cover</h2>",
        '<p class="small">Share of the tokens whose vector was found, and by which fallback.</p>',
    ]
    for group in dict.fromkeys(row["group"] for row in coverage):
        rows = [
            [
                str(row["name"]),
                f"{row['tokens']:,}",
                *(percent(row["token_share"].get(name, 0.0)) for name in found_by),
                f"{row['types']:,}",
                percent(row["type_share"].get("not found", 0.0)),
            ]
            for row in coverage
            if row["group"] == group
        ]
        body += [f"<h3>By {escape(str(group))}</h3>", html_table(header, rows)]
    return body


def _figure(caption: str, file: Path) -> str:
    try:
        picture = base64.b64encode(file.read_bytes()).decode("ascii")
    except OSError as error:
        raise InputError(f"the picture can't be read ({error.strerror})", where=file) from error
    text = escape(caption)
    return f'<figure><img src="data:image/png;base64,{picture}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _key(score: Score) -> tuple[str, str, str]:
    return score.system, score.split, score.metric


def _of_seeds(scores: Iterable[Score], mean: Score) -> dict[int, float]:
    """The seeds' values behind a mean."""
    key = (*_key(mean), mean.pair)
    return {own.seed: own.value for own in scores if (*_key(own), own.pair) == key and own.seed is not None}


def _num_seeds(scores: Iterable[Score], verdict: Verdict) -> int | None:
    """How many seeds were averaged; over all pairs, those of any pair."""
    key = verdict.system, verdict.split, verdict.metric
    seeds = {
        own.seed
        for own in scores
        if _key(own) == key and own.seed is not None and verdict.pair in (own.pair, ALL_PAIRS)
    }
    return len(seeds) or None


def _one_seed(parts: Sequence[SystemPredictions]) -> list[SystemPredictions]:
    """Of each pair, the first seed's predictions."""
    return [own[0] for own in by_pair(parts).values()]


def _spread(values: Mapping[int, float]) -> str:
    """Standard deviation between seeds (n - 1), in points; one seed has none."""
    return f"{statistics.stdev(values.values()) * 100:.2f}" if len(values) > 1 else "–"
