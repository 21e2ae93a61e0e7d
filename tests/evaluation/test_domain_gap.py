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
