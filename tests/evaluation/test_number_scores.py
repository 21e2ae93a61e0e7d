"""Numbers predicted for texts: R squared as scikit-learn has it, its interval and test, the file that keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import r2_score

from nlptransfer.errors import InputError
from nlptransfer.evaluation.number_scores import R_SQUARED, NumberOutcomes, NumberPredictions, r_squared
from nlptransfer.evaluation.predictions import (
    DocumentPredictions,
    check_same_items,
    read_predictions,
    write_predictions,
)
from nlptransfer.evaluation.verdict import compare, compare_with_baseline, score_predictions


def made(system: str, noise: float, *, seed: int = 0, texts: int = 200, split: str = "test") -> NumberPredictions:
    """Gold numbers of spread 1, predicted up to noise."""
    gold = np.random.default_rng(7).normal(3, 1, texts)
    predicted = gold + np.random.default_rng([seed, int(noise * 100)]).normal(0, noise, texts)
    return NumberPredictions(system, split, seed, [str(row) for row in range(texts)], gold.tolist(), predicted.tolist())


def test_it_is_scikit_learns_r2() -> None:
    random = np.random.default_rng(0)
    gold, predicted = random.normal(size=9), random.normal(size=9)
    assert r_squared(gold, predicted) == pytest.approx(r2_score(gold, predicted))
    assert r_squared([1.0, 2.0, 6.0], [3.0] * 3) == pytest.approx(0.0)
    assert r_squared(gold, gold) == 1.0
    for known in ([2.0, 2.0], [1.0], []):
        with pytest.raises(InputError, match="no different numbers"):
            r_squared(known, known)


def test_the_score_of_several_seeds_is_their_mean() -> None:
    parts = [made("s", 0.5, seed=seed) for seed in range(3)]
    scores = {own.seed: own for own in score_predictions(parts, metrics=("accuracy", "macro_f1"), seed=0)}
    each = [r2_score(part.gold, part.predicted) for part in parts]
    assert [scores[seed].value for seed in range(3)] == pytest.approx(each)
    assert scores[None].value == pytest.approx(np.mean(each))
    assert {own.metric for own in scores.values()} == {R_SQUARED} and scores[0].n == 200


def test_the_interval_is_that_of_texts_drawn_one_by_one() -> None:
    part = made("s", 0.7)
    (score, _) = score_predictions([part], seed=0)
    random, gold, predicted = np.random.default_rng(1), np.asarray(part.gold), np.asarray(part.predicted)
    drawn = []
    for _ in range(2_000):
        rows = random.integers(len(gold), size=len(gold))
        drawn.append(r2_score(gold[rows], predicted[rows]))
    assert (score.low, score.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)
    assert score.low < score.value < score.high


def test_a_gain_is_read_on_the_same_texts_and_its_p_value_is_that_of_all_swaps() -> None:
    good, bad = made("good", 0.3), made("bad", 0.6)
    found = compare([good], [bad], seed=0)
    assert found.metric == R_SQUARED and found.verdict == "helped" and found.p_value == pytest.approx(0.0002)
    assert found.gain == pytest.approx(r2_score(good.gold, good.predicted) - r2_score(bad.gold, bad.predicted))
    assert 0 < found.low < found.gain < found.high
    back = compare([bad], [good], seed=0)
    assert back.verdict == "harmed" and back.gain == pytest.approx(-found.gain)
    few, other = made("few", 0.3, texts=8), made("other", 0.4, texts=8)
    saved = (np.asarray(other.predicted) - other.gold) ** 2 - (np.asarray(few.predicted) - few.gold) ** 2
    signs = np.array(np.meshgrid(*[[1, -1]] * 8)).reshape(8, -1)
    sums = signs.T @ saved
    expected = 2 * min(np.mean(sums >= saved.sum() - 1e-12), np.mean(sums <= saved.sum() + 1e-12))
    assert compare([few], [other], seed=0).p_value == pytest.approx(min(expected, 1.0))


def test_alike_systems_get_no_verdict() -> None:
    part = made("s", 0.5)
    (verdict,) = compare_with_baseline([part, made("t", 0.5)], "s", seed=0)
    assert verdict.gain == 0 and verdict.p_value == 1.0 and verdict.verdict == "no evidence"


def test_a_draw_of_one_number_alone_makes_nothing_look_perfect() -> None:
    outcomes = NumberOutcomes.of([1.0, 2.0], [[1.0, 1.0]])
    low, high = outcomes.interval(confidence=0.95, num_resamples=99, seed=0)
    assert low == high == outcomes.score() == -1.0
    assert outcomes.gain_interval(outcomes, confidence=0.95, num_resamples=99, seed=0) == (0.0, 0.0)


def test_a_file_of_numbers_comes_back(tmp_path: Path) -> None:
    parts = [made("s", 0.5, seed=seed, split=split) for seed in (0, 1) for split in ("dev", "test")]
    write_predictions(tmp_path / "s.jsonl", parts)
    assert read_predictions(tmp_path / "s.jsonl") == parts
    lines = (tmp_path / "s.jsonl").read_text(encoding="utf-8").splitlines()
    (tmp_path / "t.jsonl").write_text(lines[0] + "\n" + lines[1].replace('"gold": ', '"gold": "x", "was": '))
    with pytest.raises(InputError, match="gold and predicted numbers"):
        read_predictions(tmp_path / "t.jsonl")


def test_other_texts_and_other_kinds_are_told() -> None:
    part = made("s", 0.5, texts=3)
    labels = DocumentPredictions("s", "test", 0, part.ids, ["a"] * 3, ["a"] * 3)
    with pytest.raises(InputError, match=r"Expected numbers as in .*; found labels of documents"):
        check_same_items([part, labels])
    other = NumberPredictions("t", "test", 0, part.ids, [*part.gold[:2], 9.0], part.predicted)
    with pytest.raises(InputError, match=r"text 3 differs in its gold number.*found 9\.0"):
        check_same_items([part, other])
    with pytest.raises(InputError, match="differ in number"):
        NumberPredictions("s", "test", 0, ["1"], [1.0], [1.0, 2.0])
