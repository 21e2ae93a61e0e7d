"""The gap between domains: the number, and who has none."""

from __future__ import annotations

from nlptransfer.evaluation.domain_gap import describe_gaps
from nlptransfer.evaluation.verdict import Score


def score(system: str, split: str, value: float, seed: int | None = None) -> Score:
    return Score(system, split, "token_accuracy", value, value, value, 10, seed)


def test_the_gap_is_the_difference_of_the_means_in_points() -> None:
    scores = [
        score("frozen", "source_test", 0.5, seed=0),
        score("frozen", "source_test", 0.95),
        score("frozen", "target_test", 0.9),
    ]
    assert describe_gaps(scores) == ["frozen: in-domain 95.00%, out-of-domain 90.00%, gap 5.00 points."]


def test_without_a_second_domain_there_is_no_gap() -> None:
    assert describe_gaps([score("frozen", "test", 0.95)]) == []


def test_of_many_pairs_the_means_over_them_are_told() -> None:
    scores = [
        Score("dann", split, "accuracy", value, value, value, 10, None, pair)
        for pair, values in (("all", (0.8, 0.75)), ("books>dvd", (0.9, 0.7)))
        for split, value in zip(("source_test", "target_test"), values, strict=True)
    ]
    told = ["dann: in-domain 80.00%, out-of-domain 75.00%, gap 5.00 points."]
    assert describe_gaps(scores, metric="accuracy") == told
    assert describe_gaps(scores[:2], metric="accuracy") == told
