"""What a user of the cross-domain recipe can get wrong ends as one message, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from nlptransfer.data.synthetic_reviews import make_review_domains
from nlptransfer.recipes import cross_domain_sentiment
from nlptransfer.recipes.cross_domain_sentiment import main

Fails = Callable[..., str]
Row = dict[str, Any]


def reviews(domain: str) -> list[Row]:
    data = getattr(make_review_domains(40, seed=0), domain)["train"]
    return [{"text": row["text"], "label": ("neg", "pos")[row["label"]]} for row in data]


def write(path: Path, rows: Sequence[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "source.jsonl", reviews("source"))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return write(tmp_path / "target.jsonl", reviews("target"))


@pytest.mark.parametrize(
    ("flags", "fragments"),
    [
        ("--methods dan", ["no method 'dan'", "Did you mean dann?", "self_training"]),
        ("--methods dann+idf", ["not its last step"]),
        ("--methods idf idf", ["--methods is out of range", "at most once"]),
        ("--methods easyadapt", ["'easyadapt' needs a few labelled reviews", "--target_labels 50"]),
        ("--features encoder", ["--features encoder needs an encoder", "--encoder"]),
        ("--network recurrent --methods idf+dann", ["'idf+dann' can't be had", "Leave out idf", "bag_of_words"]),
        ("--methods sequence_denoising", ["'sequence_denoising' rebuilds documents", "--network recurrent"]),
        ("--methods reconstruction --network recurrent", ["'reconstruction' reconstructs features", "bag_of_words"]),
        ("--pairs some", ["pairs", "some"]),
        ("--domains amazon", ["--domains is for --pairs all"]),
        ("--source amazon:books", ["--source and --target come together"]),
        ("--pairs all --domains amazon:books", ["amazon:books"]),
        ("--source amazon:books --target amazon:books", ["source and target are the same corpus"]),
        ("--source amazon:books+dvd --target amazon:dvd", ["the target is among the sources"]),
        ("--source amazon:books+books --target amazon:dvd", ["two domains of the source are the same corpus"]),
        ("--source amazon:books+kichen --target amazon:dvd", ["'kichen' is neither", "electronics, kitchen"]),
        ("--source amazon:books --target amazon:dvd+kitchen", ["the target is several domains", "only a source"]),
        ("--pairs leave_one_out --domains amazon:books", ["at least two domains"]),
        ("--source amazn:books --target amazon:dvd", ["amazn"]),
        ("--epochs 0", ["--epochs is out of range", "found 0"]),
        ("--target_labels -1", ["--target_labels"]),
    ],
)
def test_settings_that_nothing_can_be_made_of(flags: str, fragments: list[str], tmp_path: Path, fails: Fails) -> None:
    message = fails(main, *flags.split(), "--output_dir", tmp_path / "run")
    for fragment in fragments:
        assert fragment in message
    assert not (tmp_path / "run").exists()


def test_a_method_whose_package_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Fails) -> None:
    monkeypatch.setattr(cross_domain_sentiment, "find_spec", lambda name: None)
    message = fails(main, "--methods", "idf+subspace_alignment", "--output_dir", tmp_path / "run")
    assert 'pip install "nlptransfer[adaptation]"' in message
    assert not (tmp_path / "run").exists()


# Each gets the rows of a good file, and gives those of a faulty one.
FAULTY: dict[str, tuple[Callable[[list[Row]], list[Row]], list[str]]] = {
    "an empty domain": (lambda rows: [], ["faulty.jsonl", "empty"]),
    "cells that are no text": (lambda rows: [{**rows[0], "text": ["a", 1]}, *rows[1:]], ["line 1", "no text"]),
    "one class only": (lambda rows: [{**row, "label": "pos"} for row in rows], ["class", "'pos'"]),
    "other classes": (lambda rows: [{**row, "label": row["label"].upper()} for row in rows], ["different classes"]),
    "no column of texts": (lambda rows: [{"body": row["text"], "label": "neg"} for row in rows], ["found 'body'"]),
}


@pytest.mark.parametrize("case", FAULTY)
@pytest.mark.parametrize("end", ["source", "target"])
def test_a_faulty_domain(case: str, end: str, source: Path, target: Path, tmp_path: Path, fails: Fails) -> None:
    damage, fragments = FAULTY[case]
    ends = {"source": source, "target": target}
    ends[end] = write(tmp_path / "faulty.jsonl", damage(reviews(end)))
    message = fails(main, "--source", ends["source"], "--target", ends["target"], "--output_dir", tmp_path / "run")
    for fragment in fragments:
        assert fragment in message
    assert not (tmp_path / "run").exists()


def test_a_source_whose_labels_are_all_missing(source: Path, target: Path, tmp_path: Path, fails: Fails) -> None:
    write(source, [{**row, "label": None} for row in reviews("source")])
    message = fails(main, "--source", source, "--target", target, "--output_dir", tmp_path / "run")
    assert "the source has no labels" in message and "label_column" in message
    assert not (tmp_path / "run").exists()


def test_a_mistyped_column(source: Path, target: Path, tmp_path: Path, fails: Fails) -> None:
    ends = ["--source", source, "--target", target, "--output_dir", tmp_path / "run"]
    message = fails(main, *ends, "--text_column", "txet")
    assert "there is no column 'txet'" in message and "found 'text', 'label'" in message


def test_the_same_reviews_under_two_names(source: Path, tmp_path: Path, fails: Fails) -> None:
    copy = write(tmp_path / "copy.jsonl", reviews("source"))
    message = fails(main, "--source", source, "--target", copy, "--output_dir", tmp_path / "run")
    assert "both are the same reviews" in message


def test_a_domain_that_the_file_does_not_hold(tmp_path: Path, fails: Fails) -> None:
    file = write(tmp_path / "all.jsonl", [{**row, "domain": "books"} for row in reviews("source")])
    message = fails(main, "--source", f"{file}#books", "--target", f"{file}#dvd", "--output_dir", tmp_path / "run")
    assert "there is no domain 'dvd'" in message and "one of books" in message


def test_more_labelled_target_reviews_than_there_are(source: Path, target: Path, tmp_path: Path, fails: Fails) -> None:
    ends = ["--source", source, "--target", target, "--output_dir", tmp_path / "run"]
    message = fails(main, *ends, "--target_labels", "500", "--methods", "pooled")
    assert "more labelled reviews of the target are asked for" in message and "found 500" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "flags",
    ["--features encoder --encoder nowhere", "--features vectors", "--network recurrent --methods dann"],
)
def test_counted_terms_are_no_words_to_read_in_order(flags: str, tmp_path: Path, fails: Fails) -> None:
    folder = tmp_path / "amazon_reviews" / "bow_5000"
    folder.mkdir(parents=True)
    for domain, first in (("books", 1), ("dvd", 101)):
        for part, place in (("train", first), ("test", first + 50)):
            rows = [f"{label} {place + number}:1 4000:2" for number, label in enumerate([1, -1] * 6)]
            (folder / f"{domain}_{part}.svmlight").write_text("\n".join(rows) + "\n")
    ends = ["--source", "amazon-bow5000:books", "--target", "amazon-bow5000:dvd", "--data_dir", tmp_path]
    message = fails(main, *ends, *flags.split(), "--output_dir", tmp_path / "run")
    assert "counted terms" in message
    assert not (tmp_path / "run").exists()


def test_an_encoder_that_is_not_there(source: Path, target: Path, tmp_path: Path, fails: Fails) -> None:
    ends = ["--source", source, "--target", target, "--output_dir", tmp_path / "run"]
    message = fails(main, *ends, "--features", "encoder", "--encoder", tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in message
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_tiny_target_says_which_methods_want_more(
    source: Path, target: Path, tmp_path: Path, fails: Fails, one_thread: None, no_reload: None
) -> None:
    write(target, [*reviews("target")[:6], *({"text": "a b c", "label": None} for _ in range(3))])
    run = tmp_path / "run"
    quick = ["--epochs", "1", "--hidden_dim", "4", "--reference", "false", "--output_dir", run]
    message = fails(main, "--source", source, "--target", target, *quick, "--methods", "idf", "scl")
    assert "scl could not be trained on source>target" in message and "give more documents" in message
    scores = json.loads((run / "metrics.json").read_text())["scores"]
    assert {"source_only", "idf"} <= {score["system"] for score in scores}
    assert "has 3 unlabelled reviews" in (run / "report.html").read_text()
