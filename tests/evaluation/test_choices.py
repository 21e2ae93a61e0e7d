"""A choice pair by pair is a system of its own; the oracle's is told beside it and marked."""

from __future__ import annotations

import pytest

from nlptransfer.errors import InputError
from nlptransfer.evaluation.choices import (
    best_elsewhere,
    best_on_other_pairs,
    choice_rows,
    chosen_predictions,
    oracle_choice,
)
from nlptransfer.evaluation.document_predictions import DocumentPredictions
from nlptransfer.evaluation.verdict import Score


def part(system: str, pair: str, seed: int = 0, split: str = "target_test") -> DocumentPredictions:
    return DocumentPredictions(system, split, seed, ["0"], ["pos"], ["pos" if system == "dann" else "neg"], pair)


def score(system: str, pair: str | None, value: float, seed: int | None = None) -> Score:
    return Score(system, "target_test", "accuracy", value, 0.0, 1.0, 10, seed, pair)


SCORES = [
    score("dann", "a>b", 0.8),
    score("dann", "b>a", 0.7),
    score("dann", "b>a", 0.99, seed=0),
    score("coral", "a>b", 0.75),
    score("coral", "b>a", 0.725),
    score("target-trained", "a>b", 0.9),
    score("dann", "all", 0.75),
]


def test_the_choice_holds_every_split_and_seed_of_what_was_chosen() -> None:
    parts = [part(s, p, seed, split) for s in ("dann", "coral") for p in ("a>b", "b>a") for seed, split in
             ((0, "dev"), (0, "target_test"), (1, "target_test"))]  # fmt: skip
    chosen = chosen_predictions(parts, {"a>b": "dann", "b>a": "coral"}, name="chosen")
    assert [(own.system, own.pair, own.split, own.seed) for own in chosen] == [
        ("chosen", pair, split, seed)
        for pair in ("a>b", "b>a")
        for seed, split in ((0, "dev"), (0, "target_test"), (1, "target_test"))
    ]
    assert [own.predicted for own in chosen] == [["pos"]] * 3 + [["neg"]] * 3
    with pytest.raises(ValueError, match="'mmd' was chosen on a>b but has no predictions"):
        chosen_predictions(parts, {"a>b": "mmd"}, name="chosen")


def test_the_oracle_takes_the_best_mean_over_the_seeds_among_those_named() -> None:
    assert oracle_choice(SCORES, ["dann", "coral"]) == {"a>b": "dann", "b>a": "coral"}
    assert oracle_choice(SCORES, ["coral"]) == {"a>b": "coral", "b>a": "coral"}


def test_the_rows_tell_the_gap_and_mark_the_oracle() -> None:
    rows = choice_rows(SCORES, {"a>b": "coral", "b>a": "coral"}, {"a>b": "dann", "b>a": "coral"})
    assert [row["pair"] for row in rows] == ["a>b", "b>a", "mean"]
    assert [row["gap, points"] for row in rows] == [5.0, 0.0, 2.5]
    assert rows[0]["chosen without target labels"] == "coral"
    assert [name for name in rows[0] if "oracle" in name] == [
        "oracle (NOT USABLE)",
        "oracle's score, % (NOT USABLE)",
    ]
    assert rows[2]["score, %"] == pytest.approx(73.75)
    assert len(choice_rows(SCORES, {"a>b": "coral"}, {"a>b": "dann"})) == 1


def test_the_best_elsewhere_has_the_best_mean_over_the_other_runs_pairs() -> None:
    scores = [
        score("dann", "home>garden", 0.8),
        score("dann", "garden>home", 0.6),
        score("coral", "home>garden", 0.75),
        score("coral", "garden>home", 0.7),
        score("idf", "garden>home", 0.99),  # not on every pair
        score("oracle_choice", "home>garden", 1.0),
        score("oracle_choice", "garden>home", 1.0),
    ]
    assert best_elsewhere(scores, ["books>dvd"], ["dann", "coral", "idf"]) == "coral"
    assert best_elsewhere(scores, ["books>dvd"], ["dann"]) == "dann"
    with pytest.raises(InputError, match=r"labels would take part.*[Ff]ound home"):
        best_elsewhere(scores, ["books>dvd", "books + home>dvd"], ["dann"])
    with pytest.raises(InputError, match=r"none of these methods.*[Ff]ound dann, coral"):
        best_elsewhere(scores, ["books>dvd"], ["mmd"])


def test_the_best_on_other_pairs_is_without_the_target_at_either_end() -> None:
    dann = {"a>b": 0.9, "b>a": 0.8, "a>c": 0.1, "c>a": 0.1, "b>c": 0.6, "c>b": 0.6}
    coral = {"a>b": 0.7, "b>a": 0.7, "a>c": 0.9, "c>a": 0.9, "b>c": 0.5, "c>b": 0.5}
    scores = [
        score(system, pair, value) for system, own in (("dann", dann), ("coral", coral)) for pair, value in own.items()
    ]
    systems = ["coral", "dann", "absent"]
    chosen = best_on_other_pairs(scores, dann, systems)
    # Targets a, b and c are judged by b and c, a and c, a and b.
    assert chosen == {"a>b": "coral", "b>a": "dann", "a>c": "dann", "c>a": "dann", "b>c": "dann", "c>b": "coral"}
    partial = [own for own in scores if (own.system, own.pair) != ("dann", "c>b")]
    chosen = best_on_other_pairs(partial, dann, systems)
    assert (chosen["c>a"], chosen["c>b"]) == ("coral", "coral")
    assert best_on_other_pairs(scores, ["a>b", "b>a"], systems) == {}
    assert best_on_other_pairs(scores, ["a+b>c", "b+c>a"], systems) == {}
