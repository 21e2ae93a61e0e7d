"""Two runs paired by their saved predictions."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptransfer.errors import InputError
from nlptransfer.evaluation.compare_runs import compare_runs
from nlptransfer.evaluation.document_predictions import DocumentPredictions
from nlptransfer.evaluation.predictions import Predictions
from nlptransfer.evaluation.run_folder import open_run_folder
from nlptransfer.evaluation.verdict import score_predictions

TOKENS, GOLD = [["a", "b"]] * 8, [["N", "V"]] * 8
HALF = [["N", "N"]] * 8


def save(
    path: Path,
    systems: dict[str, list[list[str]]],
    *,
    split: str = "test",
    tokens: list[list[str]] = TOKENS,
    seeds: tuple[int, ...] = (0,),
) -> Path:
    gold = GOLD[: len(tokens)]
    parts = [
        Predictions(name, own, seed, tokens, gold, predicted[: len(tokens)])
        for name, predicted in systems.items()
        for own in ("dev", split)
        for seed in seeds
    ]
    folder = open_run_folder(path, settings={"epochs": 1})
    folder.write_history([])
    folder.write_predictions(parts)
    scores = score_predictions(parts, num_resamples=20, seed=0)
    folder.write_metrics(recipe="pos_tagging", version="0", signature={}, scores=scores, verdicts=[], seconds={})
    return path


def test_named_systems_of_two_runs_are_compared_a_over_b(tmp_path: Path) -> None:
    a, b = save(tmp_path / "a", {"lstm": GOLD}, seeds=(0, 1)), save(tmp_path / "b", {"rnn": HALF})
    (verdict,) = compare_runs(f"{a}:lstm", f"{b}:rnn")
    assert (verdict.system, verdict.baseline, verdict.split) == (f"{a}:lstm", f"{b}:rnn", "test")
    assert (verdict.gain, verdict.verdict) == (0.5, "helped")


def test_two_systems_of_one_run_may_be_compared(tmp_path: Path) -> None:
    a = save(tmp_path / "a", {"lstm": GOLD, "rnn": HALF})
    (verdict,) = compare_runs(f"{a}:rnn", f"{a}:lstm")
    assert (verdict.gain, verdict.verdict) == (-0.5, "harmed")


def test_without_names_namesakes_are_compared(tmp_path: Path) -> None:
    a, b = save(tmp_path / "a", {"lstm": GOLD, "rnn": HALF}), save(tmp_path / "b", {"rnn": HALF, "gru": GOLD})
    (verdict,) = compare_runs(a, b)
    assert (verdict.system, verdict.gain, verdict.verdict) == (f"{a}:rnn", 0.0, "no evidence")
    (verdict,) = compare_runs(f"{a}:rnn", b)
    assert verdict.baseline == f"{b}:rnn"


def test_a_folder_whose_name_holds_a_colon_is_taken_as_it_is(tmp_path: Path) -> None:
    a = save(tmp_path / "run:2", {"lstm": GOLD})
    assert compare_runs(a, f"{a}:lstm")[0].gain == 0.0


def test_other_test_items_are_refused_with_the_first_difference(tmp_path: Path) -> None:
    a = save(tmp_path / "a", {"lstm": GOLD})
    b = save(tmp_path / "b", {"lstm": GOLD}, tokens=[*TOKENS[:5], ["a", "c"], *TOKENS[6:]])
    with pytest.raises(InputError, match=r"sentence 6 differs in its words.*'a c'.*'a b'"):
        compare_runs(a, b)
    c = save(tmp_path / "c", {"lstm": GOLD}, tokens=TOKENS[:7])
    with pytest.raises(InputError, match=r"Expected 7 sentences.*found 8"):
        compare_runs(a, c)


def test_nothing_in_common_is_told(tmp_path: Path) -> None:
    a, b = save(tmp_path / "a", {"lstm": GOLD}), save(tmp_path / "b", {"rnn": GOLD})
    with pytest.raises(InputError, match=f"no system in common.*Name the two systems: {a}:lstm {b}:rnn"):
        compare_runs(a, b)
    with pytest.raises(InputError, match=r"no system 'lstm'.*Expected one of rnn.*Name one of them"):
        compare_runs(f"{a}:lstm", b)
    c = save(tmp_path / "c", {"lstm": GOLD}, split="target_test")
    with pytest.raises(InputError, match="no test split in common"):
        compare_runs(a, c)  # development data is shared, but no ground for a verdict


def save_grid(path: Path, system: str, right: int, pairs: tuple[str, ...], *, ids: str = "") -> Path:
    """A run whose system is right on the first `right` of 40 documents of each pair."""
    gold = ["pos", "neg"] * 20
    predicted = [label if number < right else "odd" for number, label in enumerate(gold)]
    names = [f"{ids}{number}" for number in range(40)]
    parts = [
        DocumentPredictions(system, split, seed, names, gold, predicted, pair)
        for pair in pairs
        for split in ("dev", "target_test")
        for seed in (0, 1)
    ]
    folder = open_run_folder(path, settings={})
    folder.write_history([])
    folder.write_predictions(parts)
    scores = score_predictions(parts, num_resamples=20, seed=0)
    folder.write_metrics(recipe="sentiment", version="0", signature={}, scores=scores, verdicts=[], seconds={})
    return path


def test_runs_over_pairs_are_compared_on_each_pair_that_both_hold_and_over_them(tmp_path: Path) -> None:
    a = save_grid(tmp_path / "a", "dann", 30, ("a>b", "b>a", "a>c"))
    b = save_grid(tmp_path / "b", "source-only", 20, ("b>a", "a>b"))
    verdicts = compare_runs(f"{a}:dann", f"{b}:source-only")
    assert [(verdict.pair, verdict.gain, verdict.verdict) for verdict in verdicts] == [
        ("a>b", 0.25, "helped"),
        ("b>a", 0.25, "helped"),
        ("all", 0.25, "no evidence"),  # two pairs can't be significant
    ]
    assert {verdict.metric for verdict in verdicts} == {"accuracy"}
    assert {verdict.system for verdict in verdicts} == {f"{a}:dann"}
    assert [verdict.pair for verdict in compare_runs(a, a)] == ["a>b", "b>a", "a>c", "all"]


def test_runs_over_other_pairs_or_documents_are_refused(tmp_path: Path) -> None:
    a, b = save_grid(tmp_path / "a", "dann", 30, ("a>b",)), save_grid(tmp_path / "b", "dann", 20, ("b>a",))
    with pytest.raises(InputError, match=r"no pair of domains in common on target_test\. Expected one of a>b"):
        compare_runs(a, b)
    c = save_grid(tmp_path / "c", "dann", 20, ("a>b",), ids="other")
    with pytest.raises(InputError, match=r"document 1 differs in its id.*on target_test of a>b"):
        compare_runs(a, c)
    d = save(tmp_path / "d", {"dann": GOLD}, split="target_test")
    with pytest.raises(InputError, match="no pair of domains in common"):
        compare_runs(a, d)
