from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import nlptransfer
from nlptransfer.cli import main
from nlptransfer.data.synthetic_reviews import make_review_domains
from nlptransfer.embeddings.ngrams import NgramVectorizer
from nlptransfer.models.linear import LinearTextClassifier


def fails(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["predict", "--model", "m", *argv])
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_texts_are_labelled_in_the_format_of_the_input(tmp_path: Path, text_model: object) -> None:
    for name, text, expected in (
        ("a.txt", "A joy!\n\nDull.\n", "pos\n\nneg\n"),
        ("a.csv", "id,text\n1,joy\n", "id,text,label,probability\n1,joy,pos,0.9\n"),
        ("a.tsv", "text\tlabel\ndull\tpos\n", "text\tlabel\tpredicted_label\tprobability\ndull\tpos\tneg\t0.8\n"),
        ("a.jsonl", '{"text": "joy"}\n', '{"text": "joy", "label": "pos", "probability": 0.9}\n'),
    ):
        (tmp_path / name).write_text(text)
        output = tmp_path / f"labelled-{name}"
        main(["predict", "--model", "m", "--input", str(tmp_path / name), "--output", str(output)])
        assert output.read_text() == expected


def test_texts_go_through_pipes(text_model: object, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"review\noh joy\n")))
    flags = ["--format", "csv", "--text_column", "review"]
    main(["predict", "--model", "m", "--input", "-", "--output", "-", *flags])
    assert capfdbinary.readouterr() == (b"review,label,probability\noh joy,pos,0.9\n", b"")


def test_a_broken_table_leaves_nothing_half_written(
    tmp_path: Path, text_model: object, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("text\njoy\njoy,dull\n")
    message = fails(capsys, "--input", str(source), "--output", str(target))
    assert message.startswith(f"error: {source}, line 3: the row has another number of cells than the header.")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_flags_of_the_other_kind_of_model_are_refused_for_texts(
    tmp_path: Path, text_model: object, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("joy\n")
    argv = ["--input", str(tmp_path / "in.txt"), "--output", str(tmp_path / "out.txt")]
    assert fails(capsys, *argv, "--column", "upos") == (
        "error: the model labels texts, which --column does not go with. Leave the flag out.\n"
    )
    assert fails(capsys, *argv, "--format", "conllu") == (
        "error: the model labels texts, which the format does not go with. "
        "Expected lines or jsonl or csv or tsv; found conllu.\n"
    )


def test_flags_of_the_other_kind_of_model_are_refused_for_words(
    tmp_path: Path, tagger: object, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("joy\n")
    argv = ["--input", str(tmp_path / "in.txt"), "--output", str(tmp_path / "out.txt")]
    assert "tags words, which --text_column does not" in fails(capsys, *argv, "--text_column", "text")
    assert "Expected conllu or lines or jsonl; found csv." in fails(capsys, *argv, "--format", "csv")


@pytest.mark.slow
def test_a_trained_and_saved_model_labels_raw_text_in_a_process_of_its_own(tmp_path: Path) -> None:
    train = make_review_domains(300, seed=0).source["train"]
    test = make_review_domains(120, seed=0).source["train"]  # other reviews: the number changes what is drawn
    vectorizer = NgramVectorizer().fit(train["text"][:])
    estimator = LogisticRegression().fit(vectorizer.transform(train["text"][:]), np.array(train["label"][:]))
    model = LinearTextClassifier.from_sklearn(vectorizer, train.features["label"].names, estimator)
    model.save_pretrained(tmp_path / "model")
    texts = test["text"][:]
    with (tmp_path / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])
    for argv in (
        ["predict", "--input", "in.csv", "--output", "out.csv"],
        ["evaluate", "--data", "synthetic-reviews:source", "--split", "train", "--output", "scores.json"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "nlptransfer", argv[0], "--model", "model", *argv[1:]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    loaded = nlptransfer.load(tmp_path / "model")
    assert [row["text"] for row in rows] == texts
    assert [row["label"] for row in rows] == model.predict(texts) == loaded.predict(texts)
    assert [float(row["probability"]) for row in rows] == pytest.approx(
        model.predict_proba(texts).max(axis=1), abs=1e-6
    )
    right = np.mean([row["label"] == ("neg", "pos")[label] for row, label in zip(rows, test["label"][:], strict=True)])
    assert right > 0.75
    scores = {score["metric"]: score for score in json.loads((tmp_path / "scores.json").read_text())["scores"]}
    assert scores["accuracy"]["n"] == 2000
    assert 0.75 < scores["accuracy"]["low"] < scores["accuracy"]["value"] < 1
