"""The recipe on denoising autoencoders: a run of every kind of chain, what it says and leaves, and its mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nlptransfer
from nlptransfer.data.synthetic_reviews import make_review_domains
from nlptransfer.recipes.denoising_autoencoder import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "no_reload")]

METHODS = ["msda:2", "msda_without_target:2", "msda:2+self_training", "msda:2+coral", "msda:2+dann", "sda:1"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reviews of two domains; the source's labelled, the target's with labels that only score."""
    made = make_review_domains(150, seed=0)
    folder = tmp_path_factory.mktemp("reviews")
    for name, data in (("source", made.source["train"]), ("target", made.target["train"])):
        lines = [json.dumps({"text": row["text"], "label": ("neg", "pos")[row["label"]]}) + "\n" for row in data]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def flags(files: Path) -> list[str]:
    small = ["--max_ngram", "1", "--epochs", "2", "--hidden_dim", "8", "--output_dim", "40", "--device", "cpu"]
    ends = ["--source", str(files / "source.jsonl"), "--target", str(files / "target.jsonl")]
    return [*ends, *small, "--seeds", "0", "1"]


@pytest.fixture(scope="module")
def folder(flags: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    curve = ["--curve_corruptions", "0.3", "0.6", "--curve_layers", "1", "2"]
    main([*flags, *curve, "--output_dir", str(run), "--methods", *METHODS])
    return run


def verdicts(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    found = json.loads((folder / "metrics.json").read_text())["verdicts"]
    return {(own["system"], own["baseline"]): own for own in found}


def test_every_representation_and_chain_has_a_verdict_over_the_raw_features(folder: Path) -> None:
    found = verdicts(folder)
    for method in METHODS:
        name = method.replace(":", "=")
        baseline = "source_only_network" if "dann" in name else "source_only"
        assert (name, baseline) in found
    assert ("msda=2", "msda_without_target=2") in found  # what is owed to the target's text
    assert json.loads((folder / "metrics.json").read_text())["recipe"] == "denoising_autoencoder"


def test_the_report_tells_what_was_learnt(folder: Path) -> None:
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "reconstructs a domain&#x27;s own words from" in report or "reconstructs a domain's own words from" in report
    for words in ("reconstruction_errors", "proxy_a_distance_after", "mSDA by corruption and layers", "corruption"):
        assert words in report
    assert (folder / "plots" / "corruption.png").stat().st_size > 5_000
    assert (folder / "plots" / "domains_msda=2.png").stat().st_size > 5_000


def test_the_models_read_raw_text_and_are_the_systems_of_the_report(folder: Path, files: Path) -> None:
    assert not list(folder.rglob("*.pkl")) and not list(folder.rglob("*.bin"))
    texts = [json.loads(line)["text"] for line in (files / "target.jsonl").read_text().splitlines()]
    for path in [folder / "model", *(folder / "models").iterdir()]:
        assert set(nlptransfer.load(path).predict(texts[:20])) <= {"neg", "pos"}
    system = "msda=2"
    path = folder / "models" / system
    if path.exists():
        lines = (folder / "predictions" / f"{system}.jsonl").read_text().splitlines()
        kept = [row for row in map(json.loads, lines) if row["seed"] == 0]
        assert nlptransfer.load(path).predict(texts) == [row["predicted"] for row in kept]


def test_a_finished_run_that_is_resumed_trains_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--output_dir", str(folder), "--resume"])
    assert "complete" in capsys.readouterr().out


def test_a_run_on_other_domains_chooses_without_a_label_of_these(
    folder: Path, flags: list[str], files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, other in (("source", "home"), ("target", "away")):
        (tmp_path / f"{other}.jsonl").write_bytes((files / f"{name}.jsonl").read_bytes())
    given = [*flags, "--methods", "msda:2", "msda:2+coral", "--chosen_by", str(folder), "--keep_models", "false"]
    with pytest.raises(SystemExit):
        main([*given, "--output_dir", str(tmp_path / "same")])
    assert "labels would take part in the choice" in capsys.readouterr().err
    ends = ["--source", str(tmp_path / "home.jsonl"), "--target", str(tmp_path / "away.jsonl")]
    main([*given, *ends, "--output_dir", str(tmp_path / "other")])
    scores = json.loads((folder / "metrics.json").read_text())["scores"]
    there = {own["system"]: own["value"] for own in scores if own["seed"] is None and own["metric"] == "accuracy"}
    best = max(("source_only", "msda=2", "msda=2+coral"), key=lambda name: there[name])
    found = json.loads((tmp_path / "other" / "metrics.json").read_text())["scores"]
    here = {own["system"]: own["value"] for own in found if own["seed"] is None and own["metric"] == "accuracy"}
    assert here["choice_on_other_domains"] == here[best]


def test_text_of_further_domains_is_learnt_from_and_models_are_left_out_where_they_are_not_wanted(
    flags: list[str], files: Path, tmp_path: Path
) -> None:
    (tmp_path / "third.jsonl").write_bytes((files / "target.jsonl").read_bytes().replace(b"the ", b"a "))
    learnt = {}
    for name, further in (("pair", []), ("three", ["--further_text", str(tmp_path / "third.jsonl")])):
        run = tmp_path / name
        without = ["--keep_models", "false", "--reference", "false"]
        main([*flags, "--output_dir", str(run), "--methods", "msda:1", *without, *further])
        assert ("msda=1", "source_only") in verdicts(run)
        (pair,) = json.loads((run / "metrics.json").read_text())["signature"]["pairs"].values()
        assert sum(pair["further_text"].values()) == pair["rows"]["source_unlabelled"]
        assert not list(run.rglob("*.safetensors"))
        scores = json.loads((run / "metrics.json").read_text())["scores"]
        learnt[name] = [own["value"] for own in scores if own["system"] == "msda=1"], pair["rows"]["source_unlabelled"]
    assert learnt["pair"][1] == 0 and learnt["three"][1] > 0
    assert learnt["pair"][0] != learnt["three"][0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--methods", "mdsa"], "Did you mean msda"),
        (["--methods", "msda+idf"], "works on words"),
        (["--methods", "coral+msda"], "first step"),
        (["--methods", "msda:1.5"], "whole number"),
        (["--methods", "msda", "--corruption", "1"], "between 0 and 1"),
        (["--methods", "msda", "--curve_layers", "0"], "whole numbers from 1 on"),
        (["--methods", "msda", "--output_dim", "-1"], "0 or above"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(
    flags: list[str], tmp_path: Path, given: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*flags, "--output_dir", str(tmp_path / "run"), *given])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
