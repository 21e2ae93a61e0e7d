"""Scores and verdicts of documents, on one pair of domains and over many."""

from __future__ import annotations

import numpy as np
import pytest

from nlptransfer.errors import InputError
from nlptransfer.evaluation.document_predictions import DocumentPredictions
from nlptransfer.evaluation.metrics import accuracy, macro_f1
from nlptransfer.evaluation.over_pairs import compare_over_pairs, compare_system_over_pairs, score_over_pairs
from nlptransfer.evaluation.pair_significance import sign_flip_test
from nlptransfer.evaluation.verdict import (
    Score,
    Verdict,
    best_system,
    compare,
    compare_with_baseline,
    describe,
    gap_closed,
    score_predictions,
)

PAIRS = [f"{source}>{target}" for source in ("books", "dvd", "games") for target in ("books", "dvd", "games")]
PAIRS = [pair for pair in PAIRS if len(set(pair.split(">"))) == 2]  # six of three domains


def run(system: str, right: float, *, seed: int = 0, pair: str = "books>dvd", split: str = "target_test", n: int = 200):
    """A system that is right with this probability; the test documents of a pair are its own, of a size of its own."""
    size = n + 10 * PAIRS.index(pair)
    gold = np.random.default_rng(PAIRS.index(pair)).choice(["neg", "pos"], size, p=[0.3, 0.7])
    random = np.random.default_rng([seed, round(right * 1_000), len(system), PAIRS.index(pair)])
    other = np.where(gold == "neg", "pos", "neg")
    predicted = np.where(random.random(size) < right, gold, other)
    ids = [f"{pair}-{number}" for number in range(size)]
    return DocumentPredictions(system, split, seed, ids, gold.tolist(), predicted.tolist(), pair)


def grid(*systems: tuple[str, float], seeds: tuple[int, ...] = (0, 1), split: str = "target_test"):
    return [
        run(system, right + 0.02 * (number % 3), seed=seed, pair=pair, split=split)
        for number, pair in enumerate(PAIRS)
        for system, right in systems
        for seed in seeds
    ]


def value(part: DocumentPredictions, metric: str = "accuracy") -> float:
    assert part.gold is not None
    return (accuracy if metric == "accuracy" else macro_f1)(part.gold, part.predicted)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_scores_hold_every_seed_and_their_mean_on_every_pair(metric: str) -> None:
    parts = grid(("source-only", 0.7), seeds=(0, 3))
    scores = score_predictions(parts, metrics=[metric], num_resamples=300, seed=0)
    assert len(scores) == len(PAIRS) * 3
    for pair in PAIRS:
        own = {score.seed: score for score in scores if score.pair == pair}
        values = {part.seed: value(part, metric) for part in parts if part.pair == pair}
        assert {seed: own[seed].value for seed in values} == pytest.approx(values)
        mean = own[None]
        assert mean.value == pytest.approx(np.mean(list(values.values())))
        assert mean.low < mean.value < mean.high
        assert (mean.system, mean.split, mean.metric) == ("source-only", "target_test", metric)
        assert mean.n == 200 + 10 * PAIRS.index(pair)


def test_gain_and_closed_gap_are_those_of_the_means_over_the_seeds() -> None:
    ours, base = [run("dann", 0.8, seed=s) for s in (0, 1, 2)], [run("source-only", 0.7)]
    best = [run("target-trained", 0.9, seed=s) for s in (0, 1)]
    means = [np.mean([value(part) for part in parts]) for parts in (ours, base, best)]
    verdict = compare(ours, base, reference=best, num_resamples=500, seed=0)
    assert verdict.gain == pytest.approx(means[0] - means[1])
    assert verdict.low < verdict.gain < verdict.high
    assert verdict.gap_closed == pytest.approx((means[0] - means[1]) / (means[2] - means[1]))
    assert (verdict.metric, verdict.pair, verdict.verdict) == ("accuracy", "books>dvd", "helped")
    assert compare(base, ours, num_resamples=500, seed=0).verdict == "harmed"
    assert compare(base, ours, num_resamples=500, seed=0).gap_closed is None


def test_a_verdict_by_macro_f1_can_differ_from_that_by_accuracy() -> None:
    gold = ["pos"] * 90 + ["neg"] * 10
    lazy = DocumentPredictions("lazy", "test", 0, list(map(str, range(100))), gold, ["pos"] * 100)
    # Finds all of the rare label at the price of as many of the frequent one.
    keen = DocumentPredictions("keen", "test", 0, lazy.ids, gold, ["pos"] * 80 + ["neg"] * 20)
    assert compare([keen], [lazy], seed=0).verdict == "no evidence"
    verdict = compare([keen], [lazy], metric="macro_f1", seed=0)
    assert verdict.gain == pytest.approx(macro_f1(gold, keen.predicted) - macro_f1(gold, lazy.predicted))
    assert (verdict.verdict, verdict.pair) == ("helped", None)


def test_alike_systems_are_called_different_about_as_often_as_alpha_says() -> None:
    found = {"helped": 0, "harmed": 0, "no evidence": 0}
    ids = list(map(str, range(60)))
    for trial in range(400):
        draws = np.where(np.random.default_rng(trial).random((2, 60)) < 0.7, "pos", "neg").tolist()
        a, b = (DocumentPredictions("ab"[i], "test", 0, ids, ["pos"] * 60, draws[i]) for i in range(2))
        found[compare([a], [b], alpha=0.1, num_resamples=199, seed=trial).verdict] += 1
    assert 0.04 <= (found["helped"] + found["harmed"]) / 400 <= 0.135  # accuracies are coarse: a little below alpha
    assert found["helped"] / 400 == pytest.approx(0.05, abs=0.035)


def test_a_gap_of_half_a_point_or_less_is_none() -> None:
    assert gap_closed(0.01, 0.02) == pytest.approx(0.5)
    assert gap_closed(-0.01, 0.02) == pytest.approx(-0.5)
    assert gap_closed(0.01, 0.005) is None
    assert gap_closed(0.01, -0.02) is None


def test_the_baseline_meets_every_other_system_on_every_pair_and_the_reference_closes_no_gap() -> None:
    systems = (("source-only", 0.7), ("dann", 0.75), ("target-trained", 0.85))
    parts = grid(*systems) + grid(*systems, split="dev")
    verdicts = compare_with_baseline(parts, "source-only", reference="target-trained", num_resamples=99, seed=0)
    assert [(verdict.pair, verdict.system) for verdict in verdicts] == [
        (pair, system) for pair in PAIRS for system in ("dann", "target-trained")
    ]
    assert all((verdict.gap_closed is None) == (verdict.system == "target-trained") for verdict in verdicts)
    without = compare_with_baseline(parts, "source-only", reference="none", num_resamples=99, seed=0)
    assert {verdict.gap_closed for verdict in without} == {None}


def test_a_baseline_that_was_not_run_on_a_pair_is_an_error() -> None:
    with pytest.raises(InputError, match=r"'source-only' was not run on split 'target_test' of books>dvd"):
        compare_with_baseline([run("dann", 0.8)], "source-only", seed=0)


def test_withheld_labels_are_not_scored() -> None:
    kept = DocumentPredictions("dann", "target_test", 0, ["0"], None, ["pos"], "books>dvd")
    for call in (lambda: score_predictions([kept], seed=0), lambda: compare([kept], [kept], seed=0)):
        with pytest.raises(InputError, match="withheld"):
            call()


def test_the_verdict_over_pairs_is_that_of_the_mean_gains() -> None:
    parts = grid(("source-only", 0.70), ("dann", 0.80), ("coral", 0.70), ("target-trained", 0.85))
    verdicts = compare_over_pairs(parts, "source-only", reference="target-trained", num_resamples=500, seed=0)
    assert [(verdict.system, verdict.pair) for verdict in verdicts] == [
        (system, "all") for system in ("dann", "coral", "target-trained")
    ]
    means = {
        (system, pair): np.mean([value(part) for part in parts if (part.system, part.pair) == (system, pair)])
        for system in ("source-only", "dann", "target-trained")
        for pair in PAIRS
    }
    gains = [means["dann", pair] - means["source-only", pair] for pair in PAIRS]
    best = [means["target-trained", pair] - means["source-only", pair] for pair in PAIRS]
    dann = verdicts[0]
    assert dann.gain == pytest.approx(np.mean(gains))
    assert dann.p_value == pytest.approx(sign_flip_test(gains, seed=0))
    assert dann.gap_closed == pytest.approx(np.mean(gains) / np.mean(best))
    assert dann.low < dann.gain < dann.high
    assert dann.verdict == "helped"
    assert verdicts[1].verdict == "no evidence"
    assert verdicts[2].gap_closed is None


def test_a_pair_with_more_seeds_weighs_no_more() -> None:
    parts = grid(("source-only", 0.7), ("dann", 0.75), seeds=(0,))
    more = [run("dann", 0.95, seed=seed, pair=PAIRS[0]) for seed in (1, 2, 3)]
    (verdict,) = compare_over_pairs([*parts, *more], "source-only", num_resamples=99, seed=0)
    gains = []
    for pair in PAIRS:
        own = [value(part) for part in [*parts, *more] if (part.system, part.pair) == ("dann", pair)]
        base = [value(part) for part in parts if (part.system, part.pair) == ("source-only", pair)]
        gains.append(np.mean(own) - np.mean(base))
    assert verdict.gain == pytest.approx(np.mean(gains))


def test_harm_on_every_pair_is_said_to_be_harm() -> None:
    parts = grid(("source-only", 0.8), ("dann", 0.7))
    (verdict,) = compare_over_pairs(parts, "source-only", num_resamples=99, seed=0)
    assert (verdict.verdict, verdict.p_value) == ("harmed", pytest.approx(2 / 2**6))


def test_the_mean_score_over_pairs_is_the_mean_of_the_pairs_scores() -> None:
    parts = grid(("source-only", 0.7), ("dann", 0.8), seeds=(0, 1))
    single = score_predictions(parts, num_resamples=50, seed=0)
    means = score_over_pairs(parts, num_resamples=300, seed=0)
    assert [(score.system, score.seed, score.pair) for score in means] == [
        (system, seed, "all") for system in ("source-only", "dann") for seed in (0, 1, None)
    ]
    for mean in means:
        own = [s.value for s in single if (s.system, s.seed) == (mean.system, mean.seed)]
        assert len(own) == len(PAIRS)
        assert mean.value == pytest.approx(np.mean(own))
        assert mean.low < mean.value < mean.high
        assert mean.n == sum(200 + 10 * number for number in range(len(PAIRS)))
    alone = score_over_pairs(grid(("source-only", 0.7), seeds=(4,)), num_resamples=50, seed=0)
    assert [score.seed for score in alone] == [4, None]
    assert (alone[0].value, alone[0].low, alone[0].high) == (alone[1].value, alone[1].low, alone[1].high)


def test_a_seed_that_was_not_run_on_every_pair_has_no_mean_over_pairs() -> None:
    parts = [*grid(("source-only", 0.7), seeds=(0,)), run("source-only", 0.7, seed=1)]
    assert [score.seed for score in score_over_pairs(parts, num_resamples=50, seed=0)] == [0, None]


def test_a_system_without_some_pair_has_no_mean_over_pairs() -> None:
    parts = grid(("source-only", 0.7), ("dann", 0.75))
    parts = [part for part in parts if (part.system, part.pair) != ("dann", "dvd>books")]
    for call in (
        lambda: score_over_pairs(parts, num_resamples=20, seed=0),
        lambda: compare_over_pairs(parts, "source-only", num_resamples=20, seed=0),
        lambda: compare_over_pairs(parts, "dann", num_resamples=20, seed=0),
    ):
        with pytest.raises(InputError, match=r"'dann' was not run on every pair.*none of dvd>books"):
            call()
    systems = [[part for part in parts if part.system == name] for name in ("source-only", "dann")]
    for ours, base in (systems, systems[::-1]):
        with pytest.raises(InputError, match="none of dvd>books"):
            compare_system_over_pairs(ours, base, num_resamples=20, seed=0)


def test_one_pair_has_no_mean_over_pairs_and_tags_have_no_pairs() -> None:
    parts = [run("source-only", 0.7), run("dann", 0.8)]
    assert score_over_pairs(parts, seed=0) == []
    assert compare_over_pairs(parts, "source-only", seed=0) == []
    with pytest.raises(ValueError, match="only labels of documents of a pair"):
        score_over_pairs([DocumentPredictions("a", "test", 0, ["0"], ["x"], ["x"])], seed=0)


def test_the_best_system_may_be_chosen_on_one_pair_or_over_all() -> None:
    def score(system: str, value: float, pair: str | None) -> Score:
        return Score(system, "dev", "accuracy", value, 0.0, 1.0, 10, None, pair)

    scores = [score("a", 0.9, "x>y"), score("b", 0.8, "x>y"), score("a", 0.7, "all"), score("b", 0.75, "all")]
    assert best_system(scores, metric="accuracy", pair="x>y") == "a"
    assert best_system(scores, metric="accuracy", pair="all") == "b"
    with pytest.raises(ValueError, match="no mean accuracy on dev of y>x"):
        best_system(scores, metric="accuracy", pair="y>x")


def test_dicts_hold_the_pair_and_the_gap_where_there_are_pairs() -> None:
    score = Score("a", "test", "accuracy", 0.9, 0.8, 1.0, 10, None, "x>y")
    assert score.to_dict()["pair"] == "x>y"
    verdict = Verdict("a", "b", "test", "accuracy", 0.1, 0.0, 0.2, 0.01, "helped", "x>y")
    assert list(verdict.to_dict())[-2:] == ["pair", "gap_closed"]
    assert verdict.to_dict()["gap_closed"] is None


def test_the_sentence_says_which_pair_and_how_much_of_the_gap() -> None:
    verdict = Verdict(
        "dann", "source-only", "target_test", "accuracy", -0.02, -0.03, -0.01, 0.001, "harmed", "a>b", -0.4
    )
    assert describe(verdict, num_seeds=3) == (
        "dann harmed: -2.0 points (95 % interval -3.0 to -1.0, p = 0.0010) over source-only on target test accuracy, "
        "a>b, 3 seeds; -40 % of the gap to the reference closed."
    )
    verdict = Verdict("dann", "source-only", "target_test", "macro_f1", 0.02, 0.01, 0.03, 0.001, "helped", "all")
    assert describe(verdict).endswith("over source-only on target test macro F1, mean of all pairs.")
