"""The report: one self-contained HTML page for people, verdict first, and the same in short for the terminal."""

from __future__ import annotations

import base64
import statistics
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.errors import InputError
from nlptransfer.evaluation.metrics import per_tag_scores
from nlptransfer.evaluation.predictions import Predictions, by_split, pooled_tags
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
body { margin: 0 auto; max-width: 60rem; padding: 1rem 1.2rem 4rem; background: #fff; color: #1b1b1b;
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
tr.best td { font-weight: 600; }
figure { margin: 1rem 0 1.6rem; break-inside: avoid; }
figure img { max-width: 100%; height: auto; }
figcaption { font-size: .88rem; color: #444; }
@media print { body { max-width: none; padding: 0; font-size: 10.5pt; } .scroll { overflow: visible; }
  table, .verdict, .warning { break-inside: auto; } tr, .verdict, .warning { break-inside: avoid; }
  h2, h3 { break-after: avoid; } }
"""


def write_report(
    path: str | Path,
    *,
    title: str,
    question: str,
    scores: Sequence[Score],
    verdicts: Sequence[Verdict],
    signature: Mapping[str, Any],
    settings: Mapping[str, Any],
    predictions: Sequence[Predictions] = (),
    best_system: str | None = None,
    coverage: Sequence[Mapping[str, Any]] = (),
    plots: Mapping[str, Path] | None = None,
    seconds: Mapping[str, float] | None = None,
    warnings: Sequence[str] = (),
    notes: Sequence[str] = (),
    confidence: float = 0.95,
) -> None:
    """Write the page: verdicts, scores, tags, coverage, plots, labels used, settings. No scripts, nothing from outside.

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
        plots: PNG files by caption, as `write_plots` returns them.
        seconds: how long each part took.
        warnings: what a reader must not miss (a synthetic corpus in place of the real one, say): banners on top.
        notes: what a reader should also know.
        confidence: of the intervals.

    Raises:
        InputError: a picture can't be read.
        OSError: the file can't be written.
    """
    body = [f"<h1>{escape(title)}</h1>", f'<p class="question">{escape(question)}</p>']
    body += [f'<div class="warning">{escape(text)}</div>' for text in warnings]
    body += _verdict_section(verdicts, scores, confidence)
    body += _score_section(scores, best_system, confidence)
    body += _tag_section(predictions, best_system)
    body += _coverage_section(coverage)
    if plots:
        body.append("<h2>Pictures</h2>")
        body += [_figure(caption, file) for caption, file in plots.items()]
    body += ["<h2>What the numbers rest on</h2>", _mapping_table(signature)]
    if notes:
        body += ["<h2>Notes</h2>", *(f"<p>{escape(text)}</p>" for text in notes)]
    if seconds:
        body += ["<h2>Time</h2>", _table(["", "seconds"], [[name, f"{value:,.1f}"] for name, value in seconds.items()])]
    body += ["<h2>Settings</h2>", _mapping_table(settings)]
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
    confidence: float = 0.95,
    console: Console | None = None,
) -> None:
    """Print warnings, verdicts and mean test scores: tables on a terminal, plain lines into a pipe or file.

    Args:
        scores: of which the means over the seeds are printed, but for `SELECTION_SPLITS`.
        verdicts: every verdict.
        warnings: printed first.
        confidence: of the intervals.
        console: where to; standard output by default.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = console or Console()
    means = [score for score in scores if score.seed is None and score.split not in SELECTION_SPLITS]
    if not console.is_terminal:
        # A log wants whole lines: no boxes, and nothing wrapped to a width that nobody has.
        lines = [f"Warning: {text}" for text in warnings]
        lines += [describe(own, num_seeds=_num_seeds(scores, own), confidence=confidence) for own in verdicts]
        lines += [
            f"{score.system} {score.split} {score.metric} {_percent(score.value)} % "
            f"({_percent(score.low)} to {_percent(score.high)})"
            for score in means
        ]
        console.print(Text("\n".join(lines)), soft_wrap=True)
        return
    for text in warnings:
        console.print(Text(f"Warning: {text}", style="bold yellow"))
    styles = {"helped": "bold green", "harmed": "bold red", "no evidence": "bold"}
    for own in verdicts:
        console.print(
            Text(describe(own, num_seeds=_num_seeds(scores, own), confidence=confidence), style=styles[own.verdict])
        )
    table = Table(title="Mean over the seeds, %", title_justify="left")
    for name in ("system", "split", "metric"):
        table.add_column(name)
    for name in ("score", f"{confidence * 100:g} % interval", "sd over seeds"):
        table.add_column(name, justify="right", no_wrap=True)
    for score in means:
        table.add_row(
            Text(score.system),
            Text(score.split.replace("_", " ")),
            Text(score.metric.replace("_", " ")),
            _percent(score.value),
            f"{_percent(score.low)} to {_percent(score.high)}",
            _spread(_of_seeds(scores, score)),
        )
    console.print(table)


def _verdict_section(verdicts: Sequence[Verdict], scores: Sequence[Score], confidence: float) -> list[str]:
    if not verdicts:
        return ["<h2>Verdict</h2>", "<p>No two systems were compared.</p>"]
    body = ["<h2>Verdict</h2>"]
    for own in verdicts:
        sentence = describe(own, num_seeds=_num_seeds(scores, own), confidence=confidence)
        css = {"helped": "verdict helped", "harmed": "verdict harmed"}.get(own.verdict, "verdict")
        body.append(f'<p class="{css}">{escape(sentence)}</p>')
    header = ["System", "over", "on", "by", "Gain, points", f"{confidence * 100:g} % interval", "p", "Verdict"]
    rows = [
        [
            own.system,
            own.baseline,
            own.split.replace("_", " "),
            METRIC_NAMES.get(own.metric, own.metric),
            points(own.gain),
            f"{points(own.low)} to {points(own.high)}",
            p_text(own.p_value).removeprefix("p = ").removeprefix("p "),
            own.verdict,
        ]
        for own in verdicts
    ]
    several = f" The {len(verdicts)} p-values are each for its own comparison, not corrected for their number."
    body += [
        _table(header, rows),
        '<p class="small">Gain: mean over the seeds of the system less that of its baseline. Interval: paired '
        "bootstrap over test sentences; p: paired permutation test over test sentences, two-sided. Both are about "
        "other test sentences at the mean over these seeds; how much the seeds differ is in the next table. "
        "“No evidence” does not say that there is no difference."
        f"{several if len(verdicts) > 1 else ''}</p>",
    ]
    return body


def _score_section(scores: Sequence[Score], best_system: str | None, confidence: float) -> list[str]:
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
                    mean.system,
                    _percent(mean.value),
                    f"{_percent(mean.low)} to {_percent(mean.high)}",
                    _spread(values),
                    *(_percent(values[seed]) if seed in values else "" for seed in seeds),
                ]
            )
        n = max((mean.n for mean in means), default=0)
        name = METRIC_NAMES.get(metric, metric)
        unit = "positions" if metric == "padded_accuracy" else "words"
        body.append(f"<h3>{escape(split.replace('_', ' '))}: {escape(name)} ({n:,} {unit})</h3>")
        best_row = next((number for number, mean in enumerate(means) if mean.system == best_system), None)
        body.append(_table([*header, *(f"seed {seed}" for seed in seeds)], rows, best_row))
        if metric == "padded_accuracy":
            words = max((s.n for s in scores if (s.split, s.metric) == (split, "token_accuracy")), default=0)
            body.append(
                f'<p class="small">Padding is counted here as right: {n:,} positions were scored for {words:,} real '
                "words. If a share r of the positions is real and the accuracy on these is a, this number is "
                "1 − r (1 − a): the errors look r times as many. It is given for comparison with tables "
                "that report it so; judge by the accuracy on real words.</p>"
            )
    body.append(
        '<p class="small">Intervals: percentile bootstrap over sentences at the mean over the seeds. sd: standard '
        "deviation between seeds, in points.</p>"
    )
    return body


def _tag_section(predictions: Sequence[Predictions], best_system: str | None) -> list[str]:
    own = [part for part in predictions if part.system == best_system and part.split not in SELECTION_SPLITS]
    splits = by_split(own)
    body = [f"<h2>Tag by tag: {escape(str(best_system))}</h2>"] if splits else []
    for split, parts in splits.items():
        rows = [
            # The gold words are the same under every seed; count them once.
            [
                row["tag"],
                *(_percent(row[name]) for name in ("precision", "recall", "f1")),
                f"{row['support'] // len(parts):,}",
            ]
            for row in per_tag_scores(*pooled_tags(parts))
        ]
        body += [
            f"<h3>{escape(split.replace('_', ' '))}</h3>",
            _table(["Tag", "Precision, %", "Recall, %", "F1, %", "Words"], rows),
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
                *(_percent(row["token_share"].get(name, 0.0)) for name in found_by),
                f"{row['types']:,}",
                _percent(row["type_share"].get("not found", 0.0)),
            ]
            for row in coverage
            if row["group"] == group
        ]
        body += [f"<h3>By {escape(str(group))}</h3>", _table(header, rows)]
    return body


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], best_row: int | None = None) -> str:
    """Cells are escaped here, and only here."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = [
        ('<tr class="best">' if number == best_row else "<tr>")
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for number, row in enumerate(rows)
    ]
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _mapping_table(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(_shown(value))}</td></tr>" for name, value in values.items()
    )
    return f'<div class="scroll"><table class="text"><tbody>{rows}</tbody></table></div>'


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_shown(own)}" for name, own in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    return str(value)


def _figure(caption: str, file: Path) -> str:
    try:
        picture = base64.b64encode(file.read_bytes()).decode("ascii")
    except OSError as error:
        raise InputError(f"the picture can't be read ({error.strerror})", where=file) from error
    text = escape(caption)
    return f'<figure><img src="data:image/png;base64,{picture}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _of_seeds(scores: Iterable[Score], mean: Score) -> dict[int, float]:
    """The seeds' values behind a mean."""
    key = (mean.system, mean.split, mean.metric)
    return {s.seed: s.value for s in scores if (s.system, s.split, s.metric) == key and s.seed is not None}


def _num_seeds(scores: Iterable[Score], verdict: Verdict) -> int | None:
    number = sum(
        (s.system, s.split, s.metric) == (verdict.system, verdict.split, verdict.metric) and s.seed is not None
        for s in scores
    )
    return number or None


def _spread(values: Mapping[int, float]) -> str:
    """Standard deviation between seeds (n - 1), in points; one seed has none."""
    return f"{statistics.stdev(values.values()) * 100:.2f}" if len(values) > 1 else "–"


def _percent(value: float) -> str:
    return f"{value * 100:.2f}"
