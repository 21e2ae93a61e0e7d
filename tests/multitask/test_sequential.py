"""Forgetting: what the first task lost, with its interval."""

from __future__ import annotations

import numpy as np
import pytest

from nlptransfer.errors import InputError
from nlptransfer.evaluation.metrics import token_accuracy
from nlptransfer.evaluation.predictions import Predictions
from nlptransfer.evaluation.span_scores import span_f1
from nlptransfer.multitask.sequential import forgetting

GOLD = [["B-NP", "I-NP", "O"]] * 60
TOKENS = [["the", "dog", "runs"]] * 60


def predictions(wrong: float, seed: int) -> Predictions:
    """Each sentence's second word is wrong with this probability."""
    spoiled = np.random.default_rng(seed).random(len(GOLD)) < wrong
    tags = [["B-NP", "O", "O"] if bad else list(gold) for gold, bad in zip(GOLD, spoiled, strict=True)]
    return Predictions("pos", "test", seed, TOKENS, GOLD, tags)


@pytest.mark.parametrize("metric", [None, "span_f1"])
def test_forgetting_is_the_loss_between_the_two_models(metric: str | None) -> None:
    before, after = predictions(0.1, 0), predictions(0.5, 1)
    lost = forgetting([before], [after], metric=metric, num_resamples=500, seed=0)
    score = token_accuracy if metric is None else span_f1
    assert -lost.gain == pytest.approx(score(GOLD, before.predicted) - score(GOLD, after.predicted))
    assert lost.low <= lost.gain <= lost.high < 0
    assert (lost.verdict, lost.system, lost.baseline) == ("harmed", "after", "before")


def test_a_model_that_kept_its_task_has_forgotten_nothing() -> None:
    lost = forgetting([predictions(0.1, 0)], [predictions(0.1, 0)], num_resamples=200, seed=0)
    assert lost.gain == 0 and lost.verdict == "no evidence"


def test_other_sentences_cannot_be_compared() -> None:
    other = Predictions("pos", "test", 0, [["a", "b", "c"]] * 60, GOLD, GOLD)
    with pytest.raises(InputError, match="words"):
        forgetting([predictions(0.1, 0)], [other], seed=0)
