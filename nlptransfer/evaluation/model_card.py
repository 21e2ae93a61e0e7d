"""The README.md of a saved model: what it is, what it was compared with, and whether the transfer helped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nlptransfer.evaluation.metrics import DOCUMENT_METRICS
from nlptransfer.evaluation.verdict import Score, Verdict, describe


def model_card(
    *,
    title: str,
    system: str,
    seed: int,
    summary: str,
    scores: Sequence[Score],
    verdicts: Sequence[Verdict],
    signature: Mapping[str, Any],
    notes: Sequence[str] = (),
    pair: str | None = None,
) -> str:
    """The card as Markdown.

    Args:
        title: first heading.
        system: the system that was saved.
        seed: the seed that it was trained under.
        summary: what the model is, in a sentence or two.
        scores: all scores of the run; the system's own are shown.
        verdicts: all verdicts of the run; the system's own are shown.
        signature: what the numbers rest on.
        notes: checks made and cautions, a sentence each.
        pair: the pair of domains that it was trained on; its scores and verdicts are shown.

    Returns:
        Markdown text.
    """
    own = [score for score in scores if (score.system, score.pair) == (system, pair) and score.seed in (seed, None)]
    of_documents = any(score.metric in DOCUMENT_METRICS for score in own)
    example = '["Not worth the money."]' if of_documents else '[["The", "bank", "raised", "rates"]]'
    unit, items = ("documents", "documents") if of_documents else ("words", "sentences")
    rows = [
        f"| {score.split} | {score.metric} | {'mean over seeds' if score.seed is None else score.seed} "
        f"| {score.value * 100:.2f} | {score.low * 100:.2f} to {score.high * 100:.2f} | {score.n:,} |"
        for score in own
    ]
    readings = [f"- {describe(verdict)}" for verdict in verdicts if (verdict.system, verdict.pair) == (system, pair)]
    return "\n".join(
        [
            f"# {title}",
            "",
            summary,
            "",
            "```python",
            "import nlptransfer",
            "",
            f'nlptransfer.load("model").predict({example})',
            "```",
            "",
            "## Did the transfer help?",
            "",
            *(readings or ["This system is the baseline that the others were compared with."]),
            "",
            f"## Scores (per cent, 95 % interval over {items})",
            "",
            f"| split | metric | seed | score | interval | {unit} |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "## What the numbers rest on",
            "",
            *(f"- {name}: {value}" for name, value in signature.items()),
            "",
            *(f"- {note}" for note in notes),
            "",
        ]
    )
