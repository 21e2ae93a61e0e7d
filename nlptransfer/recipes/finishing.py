"""The end of every recipe: the run folder's files, and the verdict on the screen."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlptransfer import __version__
from nlptransfer.evaluation.plots import write_plots
from nlptransfer.evaluation.predictions import SystemPredictions
from nlptransfer.evaluation.report import Table, print_report, write_report
from nlptransfer.evaluation.run_folder import RunFolder
from nlptransfer.evaluation.verdict import Score, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def finish_run(
    folder: RunFolder,
    *,
    recipe: str,
    title: str,
    question: str,
    settings: Mapping[str, Any],
    signature: Mapping[str, Any],
    scores: Sequence[Score],
    verdicts: Sequence[Verdict],
    predictions: Sequence[SystemPredictions],
    history: Sequence[Mapping[str, Any]],
    seconds: Mapping[str, float],
    best_system: str | None = None,
    coverage: Sequence[Mapping[str, Any]] = (),
    tables: Sequence[Table] = (),
    figures: Mapping[str, tuple[str, Figure]] | None = None,
    warnings: Sequence[str] = (),
    notes: Sequence[str] = (),
    reference: str | None = None,
    not_usable: Collection[str] = (),
) -> None:
    """Write predictions, history, plots, report and metrics; drop the cells; print verdicts and scores.

    metrics.json comes last of the files and the cells go after it, so that a run killed in between can be resumed.

    Args:
        folder: where.
        recipe: its name.
        title: of the report.
        question: that the recipe answers.
        settings: every setting as resolved.
        signature: what the numbers rest on.
        scores: all of them.
        verdicts: all of them.
        predictions: all of them.
        history: one row per epoch, system, seed and, in a grid, pair.
        seconds: by part of the run.
        best_system: whose confusions and tags to show; None shows none.
        coverage: rows of `coverage_report`.
        tables: the recipe's own, for the report.
        figures: the recipe's own pictures, by file name: caption and figure.
        warnings: what every reader must see.
        notes: what a curious reader may want to know, a sentence each.
        reference: the system trained on the target's labels.
        not_usable: systems that were chosen by test labels: marked so in the report, and in no picture.
    """
    folder.write_predictions(predictions)
    folder.write_history(history)
    plots = write_plots(
        folder.plots,
        history=history,
        predictions=predictions,
        scores=[score for score in scores if score.system not in not_usable],
        verdicts=[verdict for verdict in verdicts if verdict.system not in not_usable],
        coverage=coverage,
        best_system=best_system,
        figures=figures,
    )
    write_report(
        folder.report,
        title=title,
        question=question,
        scores=scores,
        verdicts=verdicts,
        signature=signature,
        settings=settings,
        predictions=predictions,
        best_system=best_system,
        coverage=coverage,
        tables=tables,
        plots=plots,
        seconds=seconds,
        warnings=warnings,
        notes=notes,
        reference=reference,
        not_usable=not_usable,
    )
    folder.write_metrics(
        recipe=recipe, version=__version__, signature=signature, scores=scores, verdicts=verdicts, seconds=seconds
    )
    shutil.rmtree(folder.path / "cells", ignore_errors=True)
    print_report(scores, verdicts, warnings=warnings, not_usable=not_usable)
    print("\n" + "\n".join(notes))
    print(f"\nReport: {folder.report}")
