"""Predictions: kept, read back, and refused where the file was cut or altered."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptransfer.errors import InputError
from nlptransfer.evaluation.predictions import Predictions, check_same_items, read_predictions, write_predictions

TOKENS, GOLD = [["a", "“b\u2028c”"], [], ["द"]], [["DT", "NN"], [], ["PRP$"]]


def parts() -> list[Predictions]:
    return [
        Predictions("frozen", "dev", 1, TOKENS[:1], GOLD[:1], GOLD[:1]),
        Predictions("frozen", "test", 0, TOKENS, GOLD, [["DT", "DT"], [], ["NN"]]),
    ]


def test_predictions_come_back_as_they_were(tmp_path: Path) -> None:
    write_predictions(tmp_path / "frozen.jsonl", parts())
    assert read_predictions(tmp_path / "frozen.jsonl") == parts()
    assert len((tmp_path / "frozen.jsonl").read_text("utf-8").split("\n")) == 4 + 1  # one line per sentence


def test_a_dropped_word_can_not_become_predictions() -> None:
    with pytest.raises(InputError, match="sentence 1"):
        Predictions("frozen", "test", 0, TOKENS, GOLD, [["DT"], [], ["NN"]])


def damage(tmp_path: Path, line: int, text: str) -> Path:
    file = tmp_path / "frozen.jsonl"
    write_predictions(file, parts())
    lines = file.read_text("utf-8").split("\n")
    lines[line - 1] = text
    file.write_text("\n".join(lines), "utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"split": "test", "seed"', "is not JSON"),
        ('["test"]', "not a prediction"),
        ('{"split": "test"}', "Expected the fields split, seed, index.*found split"),
        ('{"split":"test","seed":"0","index":0,"tokens":[],"gold":[],"predicted":[]}', "wrong type"),
        ('{"split":"test","seed":0,"index":0,"tokens":["a"],"gold":[1],"predicted":["N"]}', "lists of text"),
        (
            '{"split":"test","seed":0,"index":0,"tokens":["a"],"gold":["N"],"predicted":[]}',
            "1 words, 1 gold and 0 predicted",
        ),
        ('{"split":"test","seed":0,"index":1,"tokens":[],"gold":[],"predicted":[]}', "Expected index 0; found 1"),
    ],
)
def test_a_damaged_line_is_told_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    file = damage(tmp_path, 2, text)
    with pytest.raises(InputError, match=message) as caught:
        read_predictions(file)
    assert str(caught.value).startswith(f"{file}, line 2: ")


def test_a_missing_or_empty_file_or_one_of_bytes_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_predictions(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(InputError, match="holds no predictions"):
        read_predictions(tmp_path / "empty.jsonl")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        read_predictions(tmp_path / "bytes.jsonl")


def test_other_test_items_are_told_with_the_first_difference() -> None:
    first = Predictions("a", "test", 0, [["x", "y"], ["z"]], [["N", "N"], ["V"]], [["N", "N"], ["V"]])
    words = Predictions("b", "test", 0, [["x", "y"], ["w"]], first.gold, first.predicted)
    tags = Predictions("b", "test", 0, first.tokens, [["N", "V"], ["V"]], first.predicted)
    fewer = Predictions("b", "test", 0, [["x", "y"]], [["N", "N"]], [["N", "N"]])
    check_same_items([first, first])
    with pytest.raises(InputError, match=r"sentence 2 differs in its words\. Expected 'z' as in a.*found 'w' in b"):
        check_same_items([first, words])
    with pytest.raises(InputError, match=r"sentence 1 differs in its gold tags\. Expected 'N N'.*found 'N V'"):
        check_same_items([first, tags])
    with pytest.raises(InputError, match=r"Expected 2 sentences as in a.*found 1 in b"):
        check_same_items([first, fewer])
