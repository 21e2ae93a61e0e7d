"""Several strategies asked at once: their models are read from where they were kept, and the mean of them decides."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlptransfer.recipes.finetuning_data import Job, Test
from nlptransfer.recipes.finetuning_models import as_given, probabilities, share_right
from nlptransfer.recipes.finetuning_systems import System, label_tests

if TYPE_CHECKING:
    from accelerate import Accelerator

    from nlptransfer.experiments import Cell
    from nlptransfer.recipes.transformer_finetuning import Settings


def ask_members(
    settings: Settings, job: Job, system: System, seed: int, tests: Sequence[Test], members: Sequence[Path]
) -> Cell[Any]:
    """Average the probabilities of trained strategies on the development data and on the tests.

    Args:
        settings: the recipe's.
        job: what they were trained on.
        system: the ensemble.
        seed: of the members.
        tests: what to label.
        members: the folders of their cells.
    """
    import nlptransfer
    from nlptransfer.experiments import Cell, read_facts
    from nlptransfer.models.ensemble_rules import average_probabilities, most_probable
    from nlptransfer.training.devices import make_accelerator

    accelerator = make_accelerator(settings.device, settings.precision)
    started = time.perf_counter()
    parts = [job.dev, *(test.items for test in tests)]
    said: list[list[np.ndarray]] = []
    for folder in members:
        model = nlptransfer.load(folder / "model")  # one at a time is in memory
        said.append([_probabilities(model, items, accelerator) for items in parts])
    answers = [most_probable(average_probabilities(own)).tolist() for own in zip(*said, strict=True)]
    dev, *labels = [as_given(ids, items) for ids, items in zip(answers, parts, strict=True)]
    costs = [read_facts(folder) for folder in members]
    facts: dict[str, Any] = {
        "members": [own.name for own in system.members],
        "training_seconds": sum(own["training_seconds"] for own in costs),
        "trained_parameters": sum(own.get("trained_parameters", 0) for own in costs),
        "memory_bytes": max(own["memory_bytes"] for own in costs),
        "dev_accuracy": share_right(dev, job.dev_labels),
    }
    before = sum(own.get("seconds_before") or 0.0 for own in costs)
    if before:
        facts["seconds_before"] = before
    predictions = [label_tests(job, system, seed, test, ids) for test, ids in zip(tests, labels, strict=True)]
    return Cell(predictions, [], time.perf_counter() - started, facts)


def _probabilities(model: Any, items: Sequence[Any], accelerator: Accelerator) -> np.ndarray:
    """(texts or words, C), in the run's precision where a network is asked."""
    if hasattr(model, "tags"):
        model.network.to(accelerator.device)
        words: np.ndarray = model.predict_proba(items, autocast=accelerator.autocast)
        return words
    if not hasattr(model, "network"):
        trees: np.ndarray = model.predict_proba(list(items))
        return trees
    return probabilities(model, items, accelerator)
