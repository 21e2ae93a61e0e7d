from __future__ import annotations

import json
from pathlib import Path

import pytest
from sklearn.metrics import f1_score

from nlptransfer.cli import main

GOLD = ["pos", "pos", "neg", "neg", "neg", "mixed"]
TEXTS = ["a joy", "fine", "dull", "no joy", "bad", "so so"]
PREDICTED = ["pos", "neg", "neg", "pos", "neg", "neg"]


def write_csv(path: Path, columns: str, texts: list[str], gold: list[str]) -> Path:
    rows = [f"{text},{label}" for text, label in zip(texts, gold, strict=True)]
    path.write_text("\n".join([columns, *rows]) + "\n")
    return path


def fails(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "--model", "m", *argv])
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_texts_are_scored_with_an_interval_and_label_by_label(
    tmp_path: Path, text_model: object, capsys: pytest.CaptureFixture[str]
) -> None:
    data, output = write_csv(tmp_path / "a.csv", "text,label", TEXTS, GOLD), tmp_path / "scores.json"
    main(["evaluate", "--model", "runs/m", "--data", str(data), "--output", str(output)])
    shown = capsys.readouterr().out
    assert shown.startswith(f"{data} (whole corpus): 6 texts\naccuracy 50.00% (95 % interval ")
    f1 = f1_score(GOLD, PREDICTED, average="macro", zero_division=0)
    assert f"\nmacro F1 {f1:.2%} (95 % interval " in shown
    assert "texts whose label the model does not know, counted as wrong: 1 (mixed)" in shown
    assert "label  precision  recall      F1    texts\nneg       50.00%  66.67%  57.14%        3\n" in shown
    result = json.loads(output.read_text())
    assert [(score["metric"], score["value"], score["n"]) for score in result["scores"]] == [
        ("accuracy", 0.5, 6),
        ("macro_f1", pytest.approx(f1), 6),
    ]
    assert {row["label"]: row["recall"] for row in result["labels"]} == {"neg": 2 / 3, "pos": 1 / 2, "mixed": 0.0}


def test_columns_may_be_named_and_texts_without_a_label_are_left_out(
    tmp_path: Path, text_model: object, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_csv(tmp_path / "a.csv", "review,stars", TEXTS[:4], ["pos", "", "neg", "pos"])
    main(["evaluate", "--model", "m", "--data", str(data), "--text_column", "review", "--label_column", "stars"])
    shown = capsys.readouterr().out
    assert "3 texts\ntexts without a label, left out: 1\naccuracy 100.00%" in shown


def test_a_corpus_with_splits_is_scored_on_its_test_split(
    tmp_path: Path, text_model: object, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "train.csv", "text,label", TEXTS[:3], GOLD[:3])
    write_csv(tmp_path / "test.csv", "text,label", TEXTS[:2], GOLD[:2])
    main(["evaluate", "--model", "m", "--data", str(tmp_path)])
    assert "(test): 2 texts" in capsys.readouterr().out
    (tmp_path / "test.csv").unlink()
    message = fails(capsys, "--data", str(tmp_path))
    assert message.endswith("no test split. Found train. Say which split to score with --split.\n")


def test_labels_that_the_model_has_none_of_are_a_mistake(
    tmp_path: Path, text_model: object, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_csv(tmp_path / "a.csv", "text,label", TEXTS[:2], ["0", "1"])
    assert fails(capsys, "--data", str(data)) == (
        f"error: {data}: the model knows no label of the data. Expected neg, pos; found 0, 1. Rename the labels, or "
        "name the column with the labels as --label_column.\n"
    )
    write_csv(data, "text,label", TEXTS[:2], ["", ""])
    assert fails(capsys, "--data", str(data)).startswith(f"error: {data}: no text of the data carries a label.")
    write_csv(data, "text,stars", TEXTS[:2], GOLD[:2])
    assert "the dataset has no named labels" in fails(capsys, "--data", str(data))


@pytest.mark.parametrize("flag", [["--tag_column", "upos"], ["--traces", "false"], ["--tagset", "universal"]])
def test_flags_for_taggers_are_refused_for_texts(
    flag: list[str], text_model: object, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(capsys, "--data", "a.csv", *flag)
    assert message == f"error: the model labels texts, which {flag[0]} does not go with. Leave the flag out.\n"


def test_flags_for_texts_are_refused_for_taggers(tagger: object, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(capsys, "--data", "a.conllu", "--label_column", "x")
    assert message == "error: the model tags words, which --label_column does not go with. Leave the flag out.\n"
