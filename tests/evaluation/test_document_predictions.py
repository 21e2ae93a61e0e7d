"""Predictions for documents: kept without text, read back, joined with gold labels late, never mixed with tags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nlptransfer.errors import InputError
from nlptransfer.evaluation.document_predictions import DocumentPredictions, label_ids, with_gold
from nlptransfer.evaluation.predictions import (
    Predictions,
    by_pair,
    by_split,
    check_same_items,
    pooled_tags,
    read_predictions,
    write_predictions,
)


def parts() -> list[DocumentPredictions]:
    return [
        DocumentPredictions("dann", "dev", 1, ["17", "é9"], ["pos", "neg"], ["pos", "pos"], "books>dvd"),
        DocumentPredictions("dann", "target_test", 0, ["0", "1", "2"], None, ["pos", "neg", "neg"], "books>dvd"),
        DocumentPredictions("dann", "target_test", 0, ["0"], ["neg"], ["neg"], "dvd>books"),
        DocumentPredictions("dann", "target_test", 0, ["4"], ["neg"], ["pos"]),
    ]


def test_documents_of_many_pairs_come_back_as_they_were(tmp_path: Path) -> None:
    write_predictions(tmp_path / "dann.jsonl", parts())
    assert read_predictions(tmp_path / "dann.jsonl") == parts()
    rows = [json.loads(line) for line in (tmp_path / "dann.jsonl").read_text("utf-8").splitlines()]
    assert list(rows[0]) == ["split", "seed", "pair", "index", "id", "gold", "predicted"]
    assert [row["index"] for row in rows] == [0, 1, 0, 1, 2, 0, 0]
    assert rows[2]["gold"] is None
    assert "pair" not in rows[-1]


def test_gold_labels_are_joined_late_and_leave_the_kept_predictions_alone() -> None:
    kept = parts()[1]
    joined = with_gold(kept, ("pos", "pos", "neg"))
    assert joined.gold == ["pos", "pos", "neg"]
    assert (joined.predicted, joined.pair, kept.gold) == (kept.predicted, "books>dvd", None)
    with pytest.raises(InputError, match=r"Expected one label for each of 3 documents; found 2"):
        with_gold(kept, ["pos", "pos"])


def test_a_dropped_document_can_not_become_predictions() -> None:
    with pytest.raises(InputError, match="the predicted labels and the documents of dann on test differ in number"):
        DocumentPredictions("dann", "test", 0, ["0", "1"], None, ["pos"])


def test_the_mean_over_pairs_is_no_name_for_a_pair() -> None:
    with pytest.raises(ValueError, match="no pair of domains may be called 'all'"):
        DocumentPredictions("dann", "test", 0, [], [], [], "all")


def test_labels_become_the_same_numbers_in_every_part() -> None:
    first = DocumentPredictions("a", "test", 0, ["0", "1", "2"], ["neg", "pos", "pos"], ["pos", "pos", "neg"])
    second = DocumentPredictions("b", "test", 0, ["0", "1", "2"], ["neg", "pos", "pos"], ["mixed", "pos", "pos"])
    gold, predicted = label_ids([first, second])
    assert gold.tolist() == [1, 2, 2]  # mixed, neg, pos
    assert predicted.tolist() == [[2, 2, 1], [0, 2, 2]]


def test_withheld_gold_labels_can_not_be_scored_nor_can_no_documents() -> None:
    with pytest.raises(InputError, match=r"gold labels of target_test are withheld.*with_gold"):
        label_ids(parts()[1:2])
    with pytest.raises(InputError, match="no document to score on test"):
        label_ids([DocumentPredictions("a", "test", 0, [], [], [])])


def test_other_documents_are_told_with_the_first_difference() -> None:
    first = DocumentPredictions("a", "test", 0, ["0", "1"], ["neg", "pos"], ["neg", "neg"])
    ids = DocumentPredictions("b", "test", 0, ("0", "2"), ["neg", "pos"], ["neg", "neg"])
    gold = DocumentPredictions("b", "test", 0, ["0", "1"], ["neg", "neg"], ["neg", "neg"])
    fewer = DocumentPredictions("b", "test", 0, ["0"], ["neg"], ["neg"])
    check_same_items([first, DocumentPredictions("b", "test", 1, ("0", "1"), None, ["pos", "pos"])])
    with pytest.raises(InputError, match=r"document 2 differs in its id\. Expected '1' as in a.*found '2' in b"):
        check_same_items([first, ids])
    with pytest.raises(InputError, match=r"document 2 differs in its gold label\. Expected 'pos'.*found 'neg'"):
        check_same_items([first, gold])
    with pytest.raises(InputError, match=r"Expected 2 documents as in a.*found 1 in b"):
        check_same_items([first, fewer])


def test_tags_and_documents_are_not_the_same_items() -> None:
    tags = Predictions("a", "test", 0, [["x"]], [["N"]], [["N"]])
    with pytest.raises(InputError, match=r"Expected tags of words as in a.*found labels of documents in dann"):
        check_same_items([tags, parts()[3]])


def test_pairs_and_splits_are_told_apart() -> None:
    assert {pair: len(own) for pair, own in by_pair(parts()).items()} == {"books>dvd": 2, "dvd>books": 1, None: 1}
    assert [len(own) for own in by_split(parts()).values()] == [1, 3]
    assert list(by_pair([Predictions("a", "test", 0, [], [], [])])) == [None]


def test_a_document_counts_as_a_sentence_of_one_word_where_tags_are_pooled() -> None:
    assert pooled_tags([parts()[0], parts()[3]]) == ([["pos"], ["neg"], ["neg"]], [["pos"], ["pos"], ["pos"]])


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (
            2,
            '{"split":"dev","seed":1,"index":1,"id":"7","predicted":"pos"}',
            "Expected the fields split, seed, index, id",
        ),
        (2, '{"split":"dev","seed":1,"index":1,"id":7,"gold":"pos","predicted":"pos"}', "must be text"),
        (2, '{"split":"dev","seed":1,"index":0,"tokens":[],"gold":[],"predicted":[]}', "not a prediction"),
        (3, '{"split":"dev","seed":1,"pair":"books>dvd","index":1,"id":"7","gold":"a","predicted":"a"}', "index 2"),
    ],
)
def test_a_damaged_line_is_told_with_file_and_line(tmp_path: Path, line: int, text: str, message: str) -> None:
    file = tmp_path / "dann.jsonl"
    write_predictions(file, parts())
    lines = file.read_text("utf-8").split("\n")
    lines[line - 1] = text
    file.write_text("\n".join(lines), "utf-8")
    with pytest.raises(InputError, match=message) as caught:
        read_predictions(file)
    assert str(caught.value).startswith(f"{file}, line {line}: ")
