"""The end of every recipe: the run folder's files, and the verdict on the screen."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from nlptransfer import __version__
from nlptransfer.evaluation.plots import write_plots
from nlptransfer.evaluation.predictions import Predictions
from nlptransfer.evaluation.report import print_report, write_report
from nlptransfer.evaluation.run_folder import RunFolder
from nlptransfer.evaluation.verdict import Score, Verdict


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
    predictions: Sequence[Predictions],
    history: Sequence[Mapping[str, Any]],
    coverage: Sequence[Mapping[str, Any]],
    best_system: str,
    seconds: Mapping[str, float],
    warnings: Sequence[str],
    notes: Sequence[str] = (),
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
        history: one row per epoch, system and seed.
        coverage: rows of `coverage_report`.
        best_system: whose confusions and tags to show.
        seconds: by part of the run.
        warnings: what every reader must see.
        notes: what a curious reader may want to know, a sentence each.
    """
    folder.write_predictions(predictions)
    folder.write_history(history)
    plots = write_plots(
        folder.plots,
        history=history,
        predictions=predictions,
        scores=scores,
        verdicts=verdicts,
        coverage=coverage,
        best_system=best_system,
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
        plots=plots,
        seconds=seconds,
        warnings=warnings,
        notes=notes,
    )
    folder.write_metrics(
        recipe=recipe, version=__version__, signature=signature, scores=scores, verdicts=verdicts, seconds=seconds
    )
    shutil.rmtree(folder.path / "cells", ignore_errors=True)
    print_report(scores, verdicts, warnings=warnings)
    print("\n" + "\n".join(notes))
    print(f"\nReport: {folder.report}")
