"""`nlptransfer predict`: a saved model's tags or labels, written into a file or through a pipe."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from nlptransfer.commands.model_kinds import check_fit, conllu_column, is_tagger
from nlptransfer.commands.task_readers import of_task


def predict(arguments: argparse.Namespace) -> None:
    """Tag the words, or label the texts, of a file or of standard input with a saved model."""
    from nlptransfer import load
    from nlptransfer.data.tag_files import UPOS_COLUMN, XPOS_COLUMN, tag_stream
    from nlptransfer.data.text_files import label_stream

    with _opened_input(arguments.input) as source, _opened_output(arguments.output) as target:
        model = of_task(load(arguments.model), arguments.task)
        if is_tagger(model):
            check_fit(arguments, "tags words", formats=("conllu", "lines", "jsonl"), unfit=("text_column",))
            column = arguments.column or conllu_column(model)
            with _progress_bar("words") as progress:
                tag_stream(
                    model.predict,
                    source,
                    target,
                    name=arguments.input,
                    format=arguments.format,
                    column={"upos": UPOS_COLUMN, "xpos": XPOS_COLUMN}[column],
                    progress=progress,
                )
        else:
            check_fit(arguments, "labels texts", formats=("lines", "jsonl", "csv", "tsv"), unfit=("column",))
            with _progress_bar("texts") as progress:
                label_stream(
                    model.predict_proba,
                    model.labels,
                    source,
                    target,
                    name=arguments.input,
                    format=arguments.format,
                    text_column=arguments.text_column,
                    progress=progress,
                )


@contextmanager
def _opened_input(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
    else:
        with Path(name).open("rb") as file:
            yield file


@contextmanager
def _opened_output(name: str) -> Iterator[BinaryIO]:
    """Standard output, or a file that appears under its name only when all of it is written."""
    from nlptransfer.files import write_whole

    if name == "-":
        yield sys.stdout.buffer
    else:
        with write_whole(name) as temporary, temporary.open("wb") as file:
            yield file


@contextmanager
def _progress_bar(counted: str) -> Iterator[Callable[[int], Any]]:
    """Words or texts done so far, on standard error where that is a terminal."""
    from tqdm import tqdm

    with tqdm(unit=f" {counted}", unit_scale=True, disable=None, file=sys.stderr) as bar:
        yield bar.update
