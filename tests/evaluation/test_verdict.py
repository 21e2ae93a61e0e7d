"""The verdict: its numbers, what it says of known gains, and how often it errs where there is nothing to find."""

from __future__ import annotations

import numpy as np
import pytest

from nlptransfer.errors import InputError
from nlptransfer.evaluation.metrics import token_accuracy
from nlptransfer.evaluation.predictions import Predictions
from nlptransfer.evaluation.verdict import (
    Score,
    Verdict,
    best_system,
    compare,
    compare_with_baseline,
    describe,
    score_predictions,
)

RANDOM = np.random.default_rng(0)
GOLD = [["N"] * int(length) for length in RANDOM.integers(1, 20, 80)]
TOKENS = [[f"word{number % 7}" for number, _ in enumerate(tags)] for tags in GOLD]


def run(system: str, accuracy: float, seed: int, *, split: str = "test") -> Predictions:
    """A system that is right with this probability, word by word."""
    random = np.random.default_rng([seed, round(accuracy * 1_000), len(system)])
    predicted = [["N" if random.random() < accuracy else "V" for _ in tags] for tags in GOLD]
    return Predictions(system, split, seed, TOKENS, GOLD, predicted)


def test_gain_is_the_difference_of_the_means_over_the_seeds() -> None:
    system, baseline = [run("a", 0.9, seed) for seed in (0, 1, 2)], [run("b", 0.8, seed) for seed in (0, 1)]
    mean = [np.mean([token_accuracy(part.gold, part.predicted) for part in parts]) for parts in (system, baseline)]
    verdict = compare(system, baseline, num_resamples=200, seed=0)
    assert verdict.gain == pytest.approx(mean[0] - mean[1])
    assert verdict.low < verdict.gain < verdict.high
    assert (verdict.system, verdict.baseline, verdict.split, verdict.metric) == ("a", "b", "test", "token_accuracy")


def test_a_better_system_helped_and_a_worse_one_harmed() -> None:
    better, worse = [run("better", 0.9, seed) for seed in (0, 1)], [run("worse", 0.8, seed) for seed in (0, 1)]
    assert compare(better, worse, num_resamples=500, seed=0).verdict == "helped"
    assert compare(worse, better, num_resamples=500, seed=0).verdict == "harmed"


def test_a_system_against_itself_gives_no_evidence_of_anything() -> None:
    verdict = compare([run("a", 0.9, 0)], [run("a", 0.9, 0)], seed=0)
    assert verdict == Verdict("a", "a", "test", "token_accuracy", 0.0, 0.0, 0.0, 1.0, "no evidence")


def test_one_sentence_is_no_evidence_however_large_the_gain() -> None:
    tokens, gold = [["x"] * 30], [["N"] * 30]
    right = Predictions("right", "test", 0, tokens, gold, gold)
    wrong = Predictions("wrong", "test", 0, tokens, gold, [["V"] * 30])
    verdict = compare([right], [wrong], seed=0)
    assert (verdict.gain, verdict.low, verdict.high, verdict.p_value) == (1.0, -1.0, 1.0, 1.0)
    assert verdict.verdict == "no evidence"


def test_alike_systems_are_called_different_about_as_often_as_alpha_says() -> None:
    found = {"helped": 0, "harmed": 0, "no evidence": 0}
    for trial in range(400):
        random = np.random.default_rng(trial)
        predicted = [[["N" if random.random() < 0.9 else "V" for _ in tags] for tags in GOLD[:40]] for _ in range(2)]
        a, b = (Predictions("ab"[i], "test", 0, TOKENS[:40], GOLD[:40], predicted[i]) for i in range(2))
        found[compare([a], [b], alpha=0.1, num_resamples=99, seed=trial).verdict] += 1
    # Two standard errors of a share of 0.1 of 400 are 0.03.
    assert (found["helped"] + found["harmed"]) / 400 == pytest.approx(0.1, abs=0.035)
    assert found["helped"] / 400 == pytest.approx(0.05, abs=0.025)


def test_unseen_words_are_compared_among_themselves() -> None:
    tokens, gold = [["seen", "new"]] * 12, [["N", "N"]] * 12
    good_on_seen = Predictions("a", "test", 0, tokens, gold, [["N", "V"]] * 12)
    good_on_new = Predictions("b", "test", 0, tokens, gold, [["V", "N"]] * 12)
    unseen = compare([good_on_new], [good_on_seen], metric="unseen_word_accuracy", training_words=["seen"], seed=0)
    assert (unseen.gain, unseen.verdict) == (1.0, "helped")
    assert compare([good_on_new], [good_on_seen], seed=0).verdict == "no evidence"


def test_scores_hold_every_seed_and_their_mean() -> None:
    parts = [run("a", 0.9, seed) for seed in (0, 1, 2)]
    scores = score_predictions(parts, training_words={"word0"}, max_length=50, num_resamples=200, seed=0)
    by_name = {(score.metric, score.seed): score for score in scores}
    assert len(scores) == 3 * (3 + 1)
    values = [by_name["token_accuracy", seed].value for seed in (0, 1, 2)]
    mean = by_name["token_accuracy", None]
    assert mean.value == pytest.approx(np.mean(values))
    assert mean.low < mean.value < mean.high
    assert mean.n == sum(map(len, GOLD))
    assert by_name["padded_accuracy", None].n == 80 * 50
    assert by_name["padded_accuracy", None].value == pytest.approx(1 - mean.n / 4_000 * (1 - mean.value))
    unseen = sum(word != "word0" for words in TOKENS for word in words)
    assert by_name["unseen_word_accuracy", None].n == unseen


def test_a_single_seed_is_its_own_mean() -> None:
    own, mean = score_predictions([run("a", 0.9, 3)], num_resamples=100, seed=0)
    assert (own.seed, mean.seed) == (3, None)
    assert (own.value, own.low, own.high) == (mean.value, mean.low, mean.high)


def test_where_every_word_was_seen_there_is_no_score_and_no_verdict_for_unseen_words() -> None:
    words = {word for sentence in TOKENS for word in sentence}
    parts = [run("a", 0.9, 0), run("b", 0.8, 0)]
    scores = score_predictions(parts, training_words=words, num_resamples=50, seed=0)
    assert {score.metric for score in scores} == {"token_accuracy"}
    verdicts = compare_with_baseline(
        parts, "b", metrics=["token_accuracy", "unseen_word_accuracy"], training_words=words, num_resamples=50, seed=0
    )
    assert [verdict.metric for verdict in verdicts] == ["token_accuracy"]


def test_every_other_system_is_held_against_the_baseline_but_never_on_development_data() -> None:
    parts = [run(name, 0.9, 0, split=split) for split in ("dev", "test", "target_test") for name in ("b", "a", "c")]
    verdicts = compare_with_baseline(parts, "b", num_resamples=50, seed=0)
    assert [(verdict.split, verdict.system, verdict.baseline) for verdict in verdicts] == [
        ("test", "a", "b"),
        ("test", "c", "b"),
        ("target_test", "a", "b"),
        ("target_test", "c", "b"),
    ]


def test_a_baseline_that_was_not_run_is_an_error() -> None:
    with pytest.raises(InputError, match="baseline 'random' was not run on split 'test'"):
        compare_with_baseline([run("a", 0.9, 0)], "random", seed=0)


def test_seeds_run_on_other_sentences_are_refused() -> None:
    other = Predictions("a", "test", 1, TOKENS[1:], GOLD[1:], GOLD[1:])
    with pytest.raises(InputError, match="not made for the same test items"):
        score_predictions([run("a", 0.9, 0), other], seed=0)
    with pytest.raises(InputError, match="not made for the same test items"):
        compare([run("a", 0.9, 0)], [other], seed=0)


def test_the_best_system_is_chosen_by_the_mean_on_development_data() -> None:
    def score(system: str, split: str, value: float, seed: int | None = None) -> Score:
        return Score(system, split, "token_accuracy", value, 0.0, 1.0, 10, seed)

    scores = [score("a", "dev", 0.8), score("b", "dev", 0.9), score("a", "test", 1.0), score("a", "dev", 0.99, seed=0)]
    assert best_system(scores) == "b"
    with pytest.raises(ValueError, match="no mean token_accuracy on train"):
        best_system(scores, split="train")


def test_dicts_have_exactly_the_fields_of_the_contract() -> None:
    score = Score("a", "test", "token_accuracy", 0.9, 0.8, 1.0, 10, None)
    assert list(score.to_dict()) == ["system", "split", "metric", "value", "low", "high", "n", "seed"]
    verdict = Verdict("a", "b", "test", "token_accuracy", 0.1, 0.0, 0.2, 0.01, "helped")
    assert list(verdict.to_dict()) == [
        *("system", "baseline", "split", "metric", "gain", "low", "high", "p_value", "verdict")
    ]


def test_the_sentence_says_what_was_gained_over_whom_and_how_surely() -> None:
    verdict = Verdict("frozen", "random", "target_test", "token_accuracy", 0.009, 0.006, 0.012, 0.0002, "helped")
    assert describe(verdict, num_seeds=3) == (
        "frozen helped: +0.9 points (95 % interval +0.6 to +1.2, p = 0.0002) over random on target test token "
        "accuracy, 3 seeds."
    )
    none = Verdict("frozen", "random", "test", "token_accuracy", 0.0001, -0.0003, 0.0005, 0.4, "no evidence")
    assert describe(none, num_seeds=1) == (
        "no evidence that frozen helped or harmed: +0.01 points (95 % interval -0.03 to +0.05, p = 0.40) over random "
        "on test token accuracy, 1 seed."
    )
