"""A saved model of several tasks must predict in a fresh process what it predicted before: each of its tasks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_PROGRAM = """
import json, sys, nlptransfer
model = nlptransfer.load(sys.argv[1])
print(json.dumps({task: model.predict(items, task) for task, items in json.load(sys.stdin).items()}))
"""


def check_tasks_reload(
    folder: str | Path, items: Mapping[str, Sequence[Any]], expected: Mapping[str, Sequence[Any]]
) -> None:
    """Load a model folder in a fresh process and check that it predicts what the model in memory predicted.

    A folder that fails the check is removed: nobody should come upon it and trust it.

    Args:
        folder: the model folder.
        items: by task, lists of words or texts.
        expected: by task, what the model predicted for them before it was saved.

    Raises:
        RuntimeError: the fresh process failed, or predicts otherwise.

    Compare with:
        `nlptransfer.models.saving.check_reload`, for models of one task.
    """
    process = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(folder)],
        input=json.dumps({task: list(own) for task, own in items.items()}),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode != 0:
        shutil.rmtree(folder)
        raise RuntimeError(f"{folder}: the saved model does not load in a fresh process:\n{process.stderr}")
    predicted = json.loads(process.stdout)
    for task, wanted in expected.items():
        for number, (found, own) in enumerate(zip(predicted[task], wanted, strict=True)):
            if found != own:
                shutil.rmtree(folder)
                raise RuntimeError(
                    f"{folder}: loaded in a fresh process the model predicts {found} for item {number} of {task}; "
                    f"before it was saved it said {own}"
                )
