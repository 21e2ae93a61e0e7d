"""Column files: separators, named columns, and broken lines."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from nlptransfer.data.columns import read_columns
from nlptransfer.data.splits import tag_names
from nlptransfer.errors import InputError


def write(folder: Path, text: str) -> Path:
    path = folder / "a.conll"
    path.write_text(text, encoding="utf-8")
    return path


def pairs(path: Path, **options: object) -> list[list[tuple[str, str]]]:
    data = read_columns(path, **options)  # type: ignore[arg-type]
    names = tag_names(data)
    return [
        [(word, names[tag]) for word, tag in zip(words, tags, strict=True)]
        for words, tags in zip(data["tokens"], data["tags"], strict=True)
    ]


EXPECTED = [[("The", "DET"), ("end", "NOUN")], [("#", "SYM")]]


@pytest.mark.parametrize("separator", ["\t", " ", "   "])
def test_first_and_last_column_are_read_by_default(tmp_path: Path, separator: str) -> None:
    text = "The x DET\nend x NOUN\n\n\n# x SYM\n".replace(" ", separator)
    assert pairs(write(tmp_path, text)) == EXPECTED


def test_a_tag_column_that_no_name_leads_to_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "four.conll").write_text("The DT B-NP O\nend NN I-NP O\n")
    with pytest.raises(InputError, match=r"which column is 'pos' can't be told.*--columns tokens pos"):
        read_columns(tmp_path / "four.conll", tag_column="pos")
    named = read_columns(tmp_path / "four.conll", columns=("tokens", "pos", "chunk", "ner"), tag_column="pos")
    assert named.features["tags"].feature.names == ["DT", "NN"]


def test_named_columns_are_read_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "DET 1 The B-NP\nNOUN 2 end I-NP\n\nSYM 1 # O\n")
    columns = ("pos", "number", "tokens", "tags")
    assert pairs(path, columns=columns, tag_column="pos") == EXPECTED
    assert pairs(path, columns=columns)[0] == [("The", "B-NP"), ("end", "I-NP")]


def test_a_token_may_hold_spaces_where_tabs_separate(tmp_path: Path) -> None:
    assert pairs(write(tmp_path, "New York\tPROPN\n")) == [[("New York", "PROPN")]]


def test_document_marks_are_no_sentences_and_gzip_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(b"-DOCSTART- -X-\n\nThe DET\n"))
    assert pairs(path) == [[("The", "DET")]]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a\tX\n\nb\tY\tZ\n", {}, r"line 3: .*'b\\tY\\tZ'.*Expected 2 columns, as on the first line; found 3"),
        ("a X\nb\n", {"columns": ("tokens", "tags")}, r"line 2: .*Expected 2 columns \(tokens, tags\); found 1"),
        ("a\nb\n", {}, "line 1: .*Expected at least 2 columns"),
        ("a\t\n", {}, "sentence 1 has a tag that is no text .*of the token 'a'"),
        ("\n\n", {}, "the corpus is empty"),
        ("a X\n", {"columns": ("words", "tags")}, "no column 'tokens'.*found 'words', 'tags'"),
        ("a X\n", {"columns": ("tokens", "pos")}, "no column 'tags'.*found 'tokens', 'pos'"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, text: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        pairs(write(tmp_path, text), **options)
