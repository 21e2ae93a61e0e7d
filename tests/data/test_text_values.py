"""Numbers to be predicted: from every kind of table, with gaps, and what is no number."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset

from nlptransfer.data.text_values import load_text_values
from nlptransfer.errors import InputError

FILES = {
    "a.csv": "text,stars\none,1.5\ntwo,\nthree,3\n",
    "a.tsv": "text\tstars\none\t1.5\ntwo\t\nthree\t3\n",
    "a.jsonl": '{"text": "one", "stars": 1.5}\n{"text": "two"}\n{"text": "three", "stars": 3}\n',
    "a.json": '[{"text": "one", "stars": 1.5}, {"text": "two", "stars": null}, {"text": "three", "stars": "3"}]',
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_table_gives_the_same(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    data = load_text_values(tmp_path / name, value_column="stars")
    assert data["text"][:] == ["one", "two", "three"] and data["value"][:] == [1.5, None, 3.0]


def test_parquet_and_folders_of_splits_are_read(tmp_path: Path) -> None:
    for split, value in (("train", 0.25), ("test", float("nan"))):
        rows = Dataset.from_dict({"body": ["one", "two"], "stars": [1.0, value]})
        rows.to_parquet(str(tmp_path / f"{split}.parquet"))
    data = load_text_values(tmp_path, value_column="stars", text_column="body")
    assert {split: part["value"][:] for split, part in data.items()} == {"train": [1.0, 0.25], "test": [1.0, None]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text,stars\none,many\n", "line 2: row 1 has no number in the column 'stars'.*found 'many'"),
        ("text,stars\none,inf\n", "has no number"),
        ("text,score\none,1\n", "there is no column 'stars'.*found 'score', 'text'"),
        ("text,stars\n,1\n", "row 1 has no text"),
        ("text,stars\n", "the corpus is empty"),
    ],
)
def test_what_is_no_number_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"(?i){message}"):
        load_text_values(tmp_path / "a.csv", value_column="stars")


def test_true_is_no_number(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one", "stars": true}', encoding="utf-8")
    with pytest.raises(InputError, match="has no number"):
        load_text_values(tmp_path / "a.jsonl", value_column="stars")
    with pytest.raises(InputError, match="no such file"):
        load_text_values(tmp_path / "b.jsonl", value_column="stars")
