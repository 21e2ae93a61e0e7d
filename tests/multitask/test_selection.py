"""The metric of each task, one score for all, and the epoch that is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nlptransfer.evaluation.span_scores import span_f1
from nlptransfer.multitask.selection import TaskSelection, joint_score, task_metric, task_score
from nlptransfer.multitask.tasks import Task
from nlptransfer.types import NO_LABEL

POS = Task("pos", "tagging", ("N", "V"))
CHUNK = Task("chunk", "tagging", ("B-NP", "I-NP", "O"))
TOPIC = Task("topic", "classification", ("x", "y"))
STARS = Task("stars", "regression")


def test_each_kind_of_task_has_its_metric() -> None:
    names = ["token_accuracy", "span_f1", "accuracy", "r_squared"]
    assert [task_metric(task) for task in (POS, CHUNK, TOPIC, STARS)] == names


def test_scores_pass_over_what_carries_no_label() -> None:
    assert task_score(POS, [["N", "_"], ["V", "V"]], [["N", "N"], ["V", "N"]]) == pytest.approx(2 / 3)
    gold, predicted = [["B-NP", "I-NP", "O"], ["B-NP"]], [["B-NP", "O", "O"], ["B-NP"]]
    assert task_score(CHUNK, gold, predicted) == span_f1(gold, predicted) == 0.5
    assert task_score(TOPIC, ["x", "_", "y"], ["x", "x", "x"]) == 0.5
    assert task_score(STARS, [1.0, NO_LABEL, 3.0], [1.0, 9.0, 3.0]) == 1.0


def test_the_joint_score_is_the_mean_share_of_what_each_task_reaches_alone() -> None:
    scores = {"pos": 0.95, "chunk": 0.6, "ner": 0.3}
    alone = {"pos": 0.96, "chunk": 0.75, "ner": 0.25}
    assert joint_score(scores, alone) == pytest.approx(np.mean([0.95 / 0.96, 0.6 / 0.75, 0.3 / 0.25]))
    assert joint_score(scores) == pytest.approx(np.mean(list(scores.values())))
    with pytest.raises(ValueError, match="a reference above 0"):
        joint_score(scores, {"pos": 0.9, "chunk": 0.0, "ner": 0.1})
    with pytest.raises(ValueError, match="no score"):
        joint_score({})


class OneNumber(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.zeros(()))

    def set(self, value: float) -> None:
        with torch.no_grad():
            self.number.fill_(value)


def run(selection: TaskSelection, model: Any, epochs: list[int]) -> list[float]:
    found = []
    for epoch in epochs:
        model.set(float(epoch))
        found.append(selection())
    return found


SCORES = {"pos": [0.5, 0.9, 0.8, 0.9], "chunk": [0.2, 0.3, 0.7, 0.1]}


def made(model: Any, **settings: Any) -> TaskSelection:
    def score(task: str) -> Any:
        return lambda: SCORES[task][int(model.number)]

    return TaskSelection(model, {task: score(task) for task in SCORES}, **settings)


def test_each_task_keeps_its_best_epoch_and_the_joint_score_has_its_own() -> None:
    model = OneNumber()
    selection = made(model)
    joint = run(selection, model, [0, 1, 2, 3])
    assert joint == pytest.approx([0.35, 0.6, 0.75, 0.5])
    assert selection.best == {"pos": 0.9, "chunk": 0.7}
    selection.restore("pos")
    assert model.number.item() == 1.0, "the first of two equals"
    selection.restore("chunk")
    assert model.number.item() == 2.0 == float(np.argmax(joint))


def test_a_resumed_selection_knows_of_the_epochs_before(tmp_path: Path) -> None:
    model, other = OneNumber(), OneNumber()
    run(made(model, checkpoint=tmp_path / "best.pt"), model, [0, 1, 2])
    resumed = made(other, checkpoint=tmp_path / "best.pt", resume=True, references={"pos": 0.9, "chunk": 0.5})
    assert run(resumed, other, [3]) == pytest.approx([(0.9 / 0.9 + 0.1 / 0.5) / 2])
    resumed.restore("chunk")
    assert other.number.item() == 2.0
    fresh = made(other, checkpoint=tmp_path / "best.pt")
    assert fresh.best == {}, "a training from the beginning starts anew"
