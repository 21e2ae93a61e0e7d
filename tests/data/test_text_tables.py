"""The schema of a text corpus, and the tables that become one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value, load_from_disk

from nlptransfer.data.text_tables import (
    conform_text_dataset,
    drop_labels,
    label_names,
    read_text_table,
    share_labels,
    text_dataset,
)
from nlptransfer.errors import InputError

ROWS: list[dict[str, Any]] = [
    {"text": 'A "joy", all of it', "label": "pos", "domain": "books"},
    {"text": "नीरस", "label": "neg", "domain": "dvd"},
    {"text": "No verdict", "label": None, "domain": "dvd"},
]
TABLES = {
    "a.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS) + "\n",
    "a.json": json.dumps(ROWS),
    "a.csv": 'domain,text,other,label\nbooks,"A ""joy"", all of it",1,pos\ndvd,नीरस,2, neg\n\ndvd,No verdict,3,\n',
    "bare.tsv": 'text\tlabel\tdomain\nA "joy", all of it\tpos\tbooks\nनीरस\tneg\tdvd\nNo verdict\t\tdvd\n',
    "quoted.tsv": 'text\tlabel\tdomain\n"A ""joy"", all of it"\tpos\tbooks\r\nनीरस\t"neg"\tdvd\nNo verdict\t \tdvd\n',
}


def as_rows(data: Dataset) -> list[dict[str, Any]]:
    names = label_names(data)
    return [{**row, "label": None if row["label"] is None else names[row["label"]]} for row in data]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", TABLES)
def test_every_text_table_gives_the_same_corpus(tmp_path: Path, name: str, zipped: bool) -> None:
    data = TABLES[name].encode()
    path = tmp_path / (name + ".gz" if zipped else name)
    path.write_bytes(gzip.compress(data) if zipped else data)
    read = read_text_table(path)
    assert as_rows(read) == ROWS
    assert read.features == {
        "text": Value("string"),
        "label": ClassLabel(names=["neg", "pos"]),
        "domain": Value("string"),
    }


def test_parquet_is_read_with_text_and_with_numbered_labels(tmp_path: Path) -> None:
    Dataset.from_list(ROWS).to_parquet(tmp_path / "text.parquet")
    assert as_rows(read_text_table(tmp_path / "text.parquet")) == ROWS
    features = Features(
        {"text": Value("string"), "label": ClassLabel(names=["unused", "pos", "neg"]), "domain": Value("string")}
    )
    Dataset.from_list([{**row, "label": row["label"] or -1} for row in ROWS], features=features).to_parquet(
        tmp_path / "ids.parquet"
    )
    assert as_rows(read_text_table(tmp_path / "ids.parquet")) == ROWS


def test_a_line_break_within_quotes_stays_in_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"one\ntwo",pos\nthree,neg\n')
    assert read_text_table(tmp_path / "a.csv")["text"][:] == ["one\ntwo", "three"]


def test_columns_are_read_by_the_names_given(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label,review,stars,shop\nx,y,Dull,1,here\nx,z,A joy,5,there\n")
    data = read_text_table(tmp_path / "a.csv", text_column="review", label_column="stars", domain_column="shop")
    assert data.to_dict() == {"text": ["Dull", "A joy"], "label": [0, 1], "domain": ["here", "there"]}
    assert label_names(data) == ["1", "5"]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_table_without_labels_is_an_unlabelled_corpus(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text("text,domain\nDull,\nA joy,\n")
    (tmp_path / "a.jsonl").write_text('{"text": "Dull"}\n{"text": "A joy"}\n')
    assert read_text_table(tmp_path / name).to_dict() == {"text": ["Dull", "A joy"]}
    with pytest.raises(InputError, match=r"no column 'label'.*found 'text'"):
        read_text_table(tmp_path / name, label_column="label")


def test_a_label_column_that_is_all_missing_gives_null_labels(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nDull,\nA joy,\n")
    data = read_text_table(tmp_path / "a.csv")
    assert data["label"][:] == [None, None] and label_names(data) == []
    data.save_to_disk(tmp_path / "saved")
    assert load_from_disk(tmp_path / "saved").features == data.features


@pytest.mark.parametrize(
    ("given", "names", "ids"),
    [
        ([1, 0, 10, 2], ["0", "1", "10", "2"], [1, 0, 2, 3]),
        ([True, False, None], ["False", "True"], [1, 0, None]),
        ([1.0, float("nan"), 0.0], ["0", "1"], [1, None, 0]),
        ([" pos", "neg ", "", "  "], ["neg", "pos"], [1, 0, None, None]),
    ],
)
def test_labels_become_text_and_gaps_null(given: list[Any], names: list[str], ids: list[int | None]) -> None:
    data = text_dataset(["a"] * len(given), given, where="here")
    assert (label_names(data), data["label"][:]) == (names, ids)
    table = Dataset.from_dict({"text": ["a"] * len(given), "label": given})
    assert conform_text_dataset(table, where="here").to_dict() == data.to_dict()


def test_rows_of_json_may_lack_their_label(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "Dull", "label": "neg"}\n{"text": "Hm"}\n')
    assert read_text_table(tmp_path / "a.jsonl")["label"][:] == [0, None]


@pytest.mark.parametrize(
    ("name", "text", "options", "message"),
    [
        (
            "a.csv",
            "review,stars\nDull,1\n",
            {},
            "a.csv: there is no column 'text'.*found 'review', 'stars'.*text_column",
        ),
        ("a.csv", "text,label\na,b\n", {"label_column": "stars"}, "no column 'stars'.*found 'text', 'label'"),
        ("a.csv", "text,label\na,b\n", {"domain_column": "shop"}, "no column 'shop'.*domain_column"),
        ("a.csv", "x,y\na,b\n", {"label_column": "z"}, "no column 'text' and no column 'z'"),
        ("a.csv", "text,label\na,b\n,b\n \t,b\n", {}, r"line 3: row 2 has no text .*'text'; so have 1 other.*found ''"),
        ("a.csv", "text,label\na,b\na,b,c\n", {}, r"line 3: .*another number of cells.*2 \(text, label\); found 3"),
        ("a.csv", 'text,label\n"a" b,c\n', {}, "line 2: this is not CSV"),
        ("a.csv", 'text,label\n"a,b\nc,d\n', {}, "this is not CSV.*quote that is not closed"),
        ("a.csv", "text,text\na,b\n", {}, "line 1: two columns have the name 'text'"),
        ("a.csv", "", {}, "the file is empty"),
        ("a.csv", "text,label\n", {}, "the corpus is empty.*at least one text"),
        ("a.csv", "text,label,domain\na,b,x\na,b,\n", {}, r"line 3: row 2 has no text in the column 'domain'"),
        ("a.tsv", "text\tlabel\na\tb\na\n", {}, "line 3: .*another number of cells.*CSV or JSON Lines"),
        ("a.tsv", "", {}, "the file is empty"),
        ("a.tsv", "text label\na b\n", {}, "no column 'text'.*found 'text label'"),
        ("a.jsonl", "", {}, "the corpus is empty"),
        ("a.jsonl", '{"text": "a"}\n{"txt": "b"}\n', {}, "line 2: row 2 has no column 'text'.*found 'txt'"),
        ("a.jsonl", '{"text": "a"}\n\n{"text": 7}\n', {}, "line 3: row 2 has no text .*found 7"),
        ("a.jsonl", '{"text": ["a", "b"]}\n', {}, r"line 1: row 1 has no text .*found \['a', 'b'\]"),
        ("a.jsonl", '{"text": null}\n', {}, "line 1: row 1 has no text .*found None"),
        ("a.jsonl", '{"text": "a", "label": 2.5}\n', {}, "line 1: row 1 has no label .*whole number.*found 2.5"),
        ("a.jsonl", '{"text": "a", "label": ["pos"]}\n', {}, r"line 1: row 1 has no label .*found \['pos'\]"),
        ("a.jsonl", '{"text": "a"}\n{"text": "\\ud800"}\n', {}, "line 2: row 2 has half a character"),
        ("a.jsonl", '{"text": "a"\n', {}, "line 1: this is not JSON"),
        ("a.jsonl", '["a"]\n', {}, 'line 1: the line is not a JSON object.*"text"'),
        ("a.json", '{"text": "a"}', {}, "does not hold a list of objects"),
        ("a.parquet", "text", {}, "not a Parquet file"),
    ],
)
def test_a_broken_table_is_one_clear_message(
    tmp_path: Path, name: str, text: str, options: dict[str, str], message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_text_table(tmp_path / name, **options)


def test_a_number_column_is_no_text() -> None:
    with pytest.raises(
        InputError, match=r"here: row 1 has no text in the column 'text'; so have 1 other rows.*found 3"
    ):
        conform_text_dataset(Dataset.from_dict({"text": [3, 4]}), where="here")


def test_a_counted_corpus_keeps_its_counts() -> None:
    features = Features({"terms": List(Value("string")), "counts": List(Value("float64")), "label": Value("string")})
    data = Dataset.from_dict(
        {"terms": [["a", "b"], [], ["c"]], "counts": [[1, 2], [], [3]], "label": ["x", None, "w"]}, features=features
    )
    conformed = conform_text_dataset(data.select([2, 0]), where="here")
    assert conformed.to_dict() == {"terms": [["c"], ["a", "b"]], "counts": [[3.0], [1.0, 2.0]], "label": [0, 1]}
    assert conformed.features["counts"] == List(Value("float32"))


@pytest.mark.parametrize(
    ("terms", "counts", "message"),
    [
        ([["a"], ["b", "c"]], [[1], [2]], "row 2 has not as many counts as terms"),
        (["a", "b"], ["1", "2"], "row 1 has not as many counts as terms"),
        ([[1]], [[1]], "can't be read as counted terms"),
        ([["a"]], [["one"]], "can't be read as counted terms"),
    ],
)
def test_counts_that_do_not_fit_their_terms_are_told(terms: list[Any], counts: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        conform_text_dataset(Dataset.from_dict({"terms": terms, "counts": counts}), where="here")


def test_splits_share_one_numbering_and_keep_their_gaps() -> None:
    splits = {
        "train": text_dataset(["a", "b", "c"], ["pos", None, "neg"], where="here", domains=["x"] * 3),
        "dev": text_dataset(["d"], ["pos"], where="here", domains=["x"]),
        "unlabelled": text_dataset(["e"], where="here"),
    }
    shared = share_labels(splits)
    assert isinstance(shared, DatasetDict)
    assert label_names(shared["dev"]) == label_names(shared["train"]) == ["neg", "pos"]
    assert (shared["train"]["label"][:], shared["dev"]["label"][:]) == ([1, None, 0], [1])
    assert shared["dev"].column_names == ["text", "label", "domain"]
    assert shared["unlabelled"].to_dict() == {"text": ["e"]}


def test_dropped_labels_are_gone() -> None:
    data = drop_labels(text_dataset(["a"], ["pos"], where="here"))
    assert data.column_names == ["text"] and drop_labels(data) is data
    with pytest.raises(InputError, match="no named labels"):
        label_names(data)
