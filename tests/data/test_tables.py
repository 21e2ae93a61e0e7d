"""The schema of a tagging corpus, and the tables that become one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from nlptransfer.data.splits import tag_names
from nlptransfer.data.tables import conform_dataset, read_table, tagged_dataset
from nlptransfer.errors import InputError

ROWS: list[dict[str, Any]] = [
    {"tokens": ["New", "York", ","], "tags": ["PROPN", "PROPN", "PUNCT"], "domain": "news"},
    {"tokens": ["خبر"], "tags": ["NOUN"], "domain": "mail"},
]


def as_rows(data: Dataset, *, tag_column: str = "tags") -> list[dict[str, Any]]:
    names = tag_names(data)
    return [{**row, tag_column: [names[tag] for tag in row["tags"]]} for row in data]


def jsonl(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def test_the_schema_has_sorted_tag_names() -> None:
    data = tagged_dataset([["b", "a"]], [["Y", "X"]], where="here", comments=[["# c"]])
    assert data.features["tags"] == List(ClassLabel(names=["X", "Y"]))
    assert data.to_dict() == {"tokens": [["b", "a"]], "tags": [[1, 0]], "comments": [["# c"]]}


TABLES = {
    "a.jsonl": jsonl(ROWS) + "\n",
    "a.json": json.dumps(ROWS),
    "spaces.csv": 'tokens,tags,domain,other\n"New York ,",PROPN PROPN PUNCT,news,1\nخبر,NOUN,mail,2\n',
    "lists.csv": 'domain,tags,tokens\nnews,"[""PROPN"",""PROPN"",""PUNCT""]","[""New"",""York"","",""]"\n'
    'mail,NOUN,"[""خبر""]"\n',
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", TABLES)
def test_every_text_table_gives_the_same_corpus(tmp_path: Path, name: str, zipped: bool) -> None:
    data = TABLES[name].encode()
    path = tmp_path / (name + ".gz" if zipped else name)
    path.write_bytes(gzip.compress(data) if zipped else data)
    assert as_rows(read_table(path)) == ROWS


def test_parquet_is_read_with_text_and_with_numbered_tags(tmp_path: Path) -> None:
    Dataset.from_list(ROWS).to_parquet(tmp_path / "text.parquet")
    assert as_rows(read_table(tmp_path / "text.parquet")) == ROWS
    features = Features(
        {
            "tokens": List(Value("string")),
            "tags": List(ClassLabel(names=["PUNCT", "NOUN", "PROPN"])),
            "domain": Value("string"),
        }
    )
    Dataset.from_list(ROWS, features=features).to_parquet(tmp_path / "ids.parquet")
    assert as_rows(read_table(tmp_path / "ids.parquet")) == ROWS


def test_another_tag_column_is_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(jsonl([{"tokens": ["a"], "pos": ["X"]}]))
    assert as_rows(read_table(tmp_path / "a.jsonl", tag_column="pos"))[0]["tags"] == ["X"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROWS[0], {"words": ["a"], "tags": ["X"]}], "line 2: there is no column 'tokens'.*found 'words', 'tags'"),
        (
            [ROWS[0], {"tokens": ["a", "b"], "tags": ["X"]}],
            "line 2: sentence 2 has another number of tags.*2 tags.*found 1",
        ),
        ([{"tokens": [], "tags": []}], "line 1: sentence 1 has no words"),
        ([{"tokens": "a b", "tags": ["X"]}], "line 1: .*list of words and a list of tags; found 'a b'"),
        ([{"tokens": ["a", 7], "tags": ["X", "Y"]}], "token that is no text .*number 2.*found 7"),
        ([{"tokens": ["a"], "tags": [""]}], "tag that is no text .*of the token 'a'"),
        ([{"tokens": ["a"], "tags": [None]}], "tag that is no text .*found None"),
        ([3], "line 1: the line is not a JSON object"),
        ([], "the corpus is empty"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, rows: list[Any], message: str) -> None:
    (tmp_path / "a.jsonl").write_text(jsonl(rows))
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", jsonl(ROWS) + '{"tokens": [', "line 3: this is not JSON"),
        ("a.json", '[\n{"tokens": ["a"],\n "tags": }]', "line 3: this is not JSON"),
        ("a.json", '{"tokens": ["a"]}', "does not hold a list of objects"),
        ("a.csv", "tokens,pos\na,X\n", "line 1: there is no column 'tags'.*found 'tokens', 'pos'"),
        ("a.csv", "tokens,tags\na b,X Y\na,b,X\n", r"line 3: .*Expected 2 \(tokens, tags\); found 3"),
        ("a.csv", "tokens,tags\na b,X\n", "line 2: sentence 1 has another number of tags"),
        ("a.csv", 'tokens,tags\n"a" b,X Y\n', "line 2: this is not CSV"),
        ("a.csv", "", "line 1: the file is empty.*first line that names the columns"),
        ("a.parquet", "text", "not a Parquet file"),
    ],
)
def test_a_broken_table_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / name)


def test_numbers_without_names_are_no_tags() -> None:
    data = Dataset.from_dict({"tokens": [["a"]], "tags": [[3]]})
    with pytest.raises(InputError, match=r"can't be read as tags.*List"):
        conform_dataset(data, where="here")


def test_a_missing_column_names_those_found() -> None:
    with pytest.raises(InputError, match=r"here: there is no column 'tags'.*found 'tokens', 'ner_tags'"):
        conform_dataset(Dataset.from_dict({"tokens": [["a"]], "ner_tags": [["O"]]}), where="here")
