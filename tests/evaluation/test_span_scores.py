"""F1 of spans against seqeval and a count by hand; its interval and test against plain resampling."""

from __future__ import annotations

import numpy as np
import pytest
from seqeval.metrics import f1_score

from nlptransfer.errors import InputError
from nlptransfer.evaluation.metrics import token_accuracy
from nlptransfer.evaluation.outcomes import sentence_outcomes
from nlptransfer.evaluation.predictions import Predictions
from nlptransfer.evaluation.span_scores import SpanOutcomes, is_span_tag_set, span_counts, span_f1
from nlptransfer.evaluation.verdict import compare, score_predictions

TAGS = ["B-NP", "I-NP", "B-VP", "I-VP", "O"]


def sentences(number: int, seed: int) -> list[list[str]]:
    random = np.random.default_rng(seed)
    return [random.choice(TAGS, random.integers(1, 9)).tolist() for _ in range(number)]


def spoiled(gold: list[list[str]], rate: float, seed: int) -> list[list[str]]:
    random = np.random.default_rng(seed)
    return [[str(random.choice(TAGS)) if random.random() < rate else tag for tag in tags] for tags in gold]


def spans_by_hand(tags: list[str]) -> set[tuple[int, int, str]]:
    """A span begins at B-, or at I- that does not go on with a span of its type."""
    found, start, kind = set(), None, ""
    for place, tag in enumerate([*tags, "O"]):
        goes_on = tag.startswith("I-") and start is not None and tag[2:] == kind
        if not goes_on:
            if start is not None:
                found.add((start, place, kind))
            start, kind = (None, "") if tag == "O" else (place, tag[2:])
    return found


def outcomes(gold: list[list[str]], *systems: list[list[str]]) -> SpanOutcomes:
    counts = [span_counts(gold, own) for own in systems]
    return SpanOutcomes(
        np.stack([own.right for own in counts]), counts[0].gold, np.stack([own.predicted for own in counts])
    )


# The number


def test_span_f1_is_seqevals_and_a_count_by_hand() -> None:
    gold = sentences(60, 0)
    predicted = spoiled(gold, 0.3, 1)
    right = there = found = 0
    for own, other in zip(gold, predicted, strict=True):
        first, second = spans_by_hand(own), spans_by_hand(other)
        right, there, found = right + len(first & second), there + len(first), found + len(second)
    assert span_f1(gold, predicted) == pytest.approx(2 * right / (there + found))
    assert span_f1(gold, predicted) == pytest.approx(f1_score(gold, predicted))


def test_a_span_with_one_wrong_border_or_type_is_wrong() -> None:
    gold = [["B-NP", "I-NP", "B-NP"]]
    for predicted, expected in (
        (["B-NP", "I-NP", "B-NP"], 1.0),
        (["B-NP", "I-NP", "I-NP"], 0.0),
        (["B-NP", "O", "B-NP"], 0.5),
        (["B-VP", "I-VP", "B-NP"], 0.5),
        (["I-NP", "I-NP", "B-NP"], 1.0),
        (["O", "O", "O"], 0.0),
    ):
        assert span_f1(gold, [predicted]) == expected, predicted


def test_a_tagger_that_says_o_everywhere_is_accurate_and_worthless() -> None:
    gold = [["O"] * 9 + ["B-NP"]]
    assert token_accuracy(gold, [["O"] * 10]) == 0.9 and span_f1(gold, [["O"] * 10]) == 0.0


def test_nothing_to_find_and_nothing_found_is_no_score() -> None:
    with pytest.raises(InputError, match="no span to score"):
        span_f1([["O"]], [["O"]])
    assert span_f1([["O"]], [["B-NP"]]) == 0.0
    with pytest.raises(InputError, match="differ in number"):
        span_f1([["O"]], [["O", "O"]])


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (TAGS, True),
        (["B-x", "O"], True),
        (["B-x", "E-x", "S-x", "I-x", "O"], True),
        (["NOUN", "VERB"], False),
        (["O"], False),
        ([*TAGS, "X"], False),
        (["I-x", "O"], False),
    ],
)
def test_tags_that_mark_spans_are_told_from_others(tags: list[str], expected: bool) -> None:
    assert is_span_tag_set(tags) is expected


# Intervals and tests


def test_the_score_is_the_mean_over_the_seeds() -> None:
    gold = sentences(20, 0)
    first, second = spoiled(gold, 0.2, 1), spoiled(gold, 0.5, 2)
    both = outcomes(gold, first, second)
    assert both.score() == pytest.approx((span_f1(gold, first) + span_f1(gold, second)) / 2)
    assert both.of_seed(1).score() == pytest.approx(span_f1(gold, second))
    assert both.n == sum(len(spans_by_hand(tags)) for tags in gold)


def test_intervals_are_those_of_sentences_drawn_again() -> None:
    gold = sentences(50, 0)
    first, second, other = (spoiled(gold, rate, seed) for rate, seed in ((0.2, 1), (0.25, 2), (0.5, 3)))
    random = np.random.default_rng(7)
    scores, gains = [], []
    for _ in range(600):
        rows = random.integers(0, len(gold), len(gold))
        own = np.mean([span_f1([gold[r] for r in rows], [tags[r] for r in rows]) for tags in (first, second)])
        scores.append(own)
        gains.append(own - span_f1([gold[r] for r in rows], [other[r] for r in rows]))
    settings = {"confidence": 0.95, "num_resamples": 4_000, "seed": 0}
    system, baseline = outcomes(gold, first, second), outcomes(gold, other)
    np.testing.assert_allclose(system.interval(**settings), np.quantile(scores, [0.025, 0.975]), atol=0.02)  # type: ignore[arg-type]
    np.testing.assert_allclose(
        system.gain_interval(baseline, **settings),  # type: ignore[arg-type]
        np.quantile(gains, [0.025, 0.975]),
        atol=0.03,
    )


def test_the_p_value_is_the_share_of_swaps_at_least_as_extreme() -> None:
    """All swaps of seven sentences, gone through one by one; two seeds against one."""
    gold = sentences(7, 4)
    ours, theirs = [spoiled(gold, 0.2, 5), spoiled(gold, 0.2, 6)], spoiled(gold, 0.6, 7)

    def gain(swaps: int) -> float:
        def pick(mine: list, yours: list) -> list:
            return [yours[row] if swaps >> row & 1 else mine[row] for row in range(len(gold))]

        own = np.mean([span_f1(gold, pick(system, theirs)) for system in ours])
        return float(own - np.mean([span_f1(gold, pick(theirs, system)) for system in ours]))

    gains = np.array([gain(swaps) for swaps in range(2**7)])
    expected = min(1.0, 2 * min((gains >= gains[0] - 1e-9).mean(), (gains <= gains[0] + 1e-9).mean()))
    found = outcomes(gold, *ours).p_value(outcomes(gold, theirs), num_resamples=20_000, seed=0)
    assert found == pytest.approx(expected, abs=0.02)
    assert 0.0 < expected < 0.6, "the case tells something"


def test_equal_systems_are_no_evidence_and_certainty_is_never_claimed() -> None:
    gold = sentences(12, 0)
    same = outcomes(gold, spoiled(gold, 0.3, 1))
    assert same.p_value(same, num_resamples=199, seed=0) == 1.0
    settings = {"confidence": 0.95, "num_resamples": 199, "seed": 0}
    low, high = outcomes(gold, gold).interval(**settings)  # type: ignore[arg-type]
    assert high == 1.0 and low == pytest.approx(0.025 ** (1 / sum(bool(spans_by_hand(tags)) for tags in gold)))
    nothing = [["O"] * len(tags) for tags in gold]
    assert outcomes(gold, nothing).interval(**settings)[0] == 0.0  # type: ignore[arg-type]
    one = outcomes([["B-NP", "B-VP"]], [["B-NP", "O"]])
    assert one.interval(**settings) == (0.0, 1.0) and one.gain_interval(one, **settings) == (-1.0, 1.0)  # type: ignore[arg-type]


# Where verdicts are made


def test_verdicts_and_scores_go_by_spans_on_request() -> None:
    gold = sentences(80, 0)
    tokens = [["w"] * len(tags) for tags in gold]
    good = Predictions("good", "test", 0, tokens, gold, spoiled(gold, 0.1, 1))
    poor = Predictions("poor", "test", 0, tokens, gold, spoiled(gold, 0.5, 2))
    verdict = compare([good], [poor], metric="span_f1", num_resamples=300, seed=0)
    assert verdict.metric == "span_f1" and verdict.verdict == "helped"
    assert verdict.gain == pytest.approx(span_f1(gold, good.predicted) - span_f1(gold, poor.predicted))
    scores = score_predictions([good], metrics=["span_f1"], num_resamples=99, seed=0)
    assert [score.metric for score in scores] == ["token_accuracy"] * 2 + ["span_f1"] * 2
    assert scores[2].value == pytest.approx(span_f1(gold, good.predicted))
    assert [score.metric for score in score_predictions([good], num_resamples=99, seed=0)] == ["token_accuracy"] * 2
    (own,) = sentence_outcomes([good], metric="span_f1")
    assert own.n == scores[2].n
