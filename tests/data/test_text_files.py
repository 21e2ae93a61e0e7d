from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nlptransfer.data.documents import Document
from nlptransfer.data.table_rows import csv_rows
from nlptransfer.data.text_files import Format, label_stream
from nlptransfer.errors import InputError

LABELS = ["neg", "pos"]


def joyful(documents: list[Document]) -> np.ndarray:
    """A model that finds documents with `joy` positive: 0.9; others are negative: 0.8."""
    assert documents, "no documents, no call"
    assert all(not isinstance(document, str) or document.strip() for document in documents)
    return np.array([[0.1, 0.9] if "joy" in document else [0.8, 0.2] for document in documents])


def labelled(text: str | bytes, name: str = "-", **options: object) -> str:
    writer = io.BytesIO()
    reader = io.BufferedReader(io.BytesIO(text.encode() if isinstance(text, str) else text))
    label_stream(joyful, LABELS, reader, writer, name=name, **options)  # type: ignore[arg-type]
    return writer.getvalue().decode()


def error(text: str | bytes, name: str, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        labelled(text, name, **options)
    return str(caught.value)


def test_lines_become_a_label_a_line_and_empty_lines_stay() -> None:
    assert labelled("A joy!\n\n  \nDull.\r\na joy", "a.txt") == "pos\n\n\nneg\npos\n"
    assert labelled("\ufeffjoy\n", "a.txt") == "pos\n"
    assert labelled("", "a.txt") == ""


def test_json_lines_keep_their_keys_and_get_a_label_and_its_probability() -> None:
    text = '{"id": 7, "text": "a joy \u00e9", "x": {"y": [1.5, null]}}\r\n\n{"text": " "}\n{"text": "\\ud800"}'
    first, empty, second, third = labelled(text, "a.jsonl").split("\n")
    assert first.endswith("\r")
    assert json.loads(first) == {
        "id": 7,
        "text": "a joy \u00e9",
        "x": {"y": [1.5, None]},
        "label": "pos",
        "probability": 0.9,
    }
    assert empty == ""
    assert json.loads(second) == {"text": " ", "label": None, "probability": None}
    assert json.loads(third) == {"text": "\ud800", "label": "neg", "probability": 0.8}


def test_counted_terms_are_read_where_there_is_no_text() -> None:
    seen: list[Document] = []

    def predict(documents: list[Document]) -> np.ndarray:
        seen.extend(documents)
        return joyful(documents)

    text = '{"terms": ["joy", "a"], "counts": [2, 0.5]}\n{"terms": [], "counts": []}\n'
    writer = io.BytesIO()
    assert label_stream(predict, LABELS, io.BytesIO(text.encode()), writer, name="a.jsonl") == 1
    assert seen == [{"joy": 2.0, "a": 0.5}]
    rows = [json.loads(line) for line in writer.getvalue().splitlines()]
    assert [row["label"] for row in rows] == ["pos", None]
    assert labelled('{"terms": ["a"], "counts": [1], "text": "joy"}\n').count('"pos"') == 1


CSV = (
    "id,text,note\n"
    '1,"a ""joy"", really",x\n'
    "\n"
    "2,dull,'y'\n"
    '"3","two\nlines of joy",\n'
    "4,  ,z"
)  # fmt: skip


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_csv_gets_two_more_columns_and_else_stays_as_it_was(end: str, newline: str, mark: str) -> None:
    expected = (
        "id,text,note,label,probability\n"
        '1,"a ""joy"", really",x,pos,0.9\n'
        "\n"
        "2,dull,'y',neg,0.8\n"
        '"3","two\nlines of joy",,pos,0.9\n'
        "4,  ,z,,"
    )
    assert labelled((mark + CSV + end).replace("\n", newline), "a.csv") == mark + (expected + end).replace(
        "\n", newline
    )
    assert len({len(row) for row in csv.reader(io.StringIO(expected)) if row}) == 1


def test_a_tsv_takes_quotes_for_characters_but_around_a_whole_cell() -> None:
    text = 'text\tsize\n"a joy"\t5"\n"joy, he said\t4"\n'
    assert labelled(text, "a.tsv") == (
        'text\tsize\tlabel\tprobability\n"a joy"\t5"\tpos\t0.9\n"joy, he said\t4"\tpos\t0.9\n'
    )
    texts: list[Document] = []

    def predict(documents: list[Document]) -> np.ndarray:
        texts.extend(documents)
        return joyful(documents)

    label_stream(predict, LABELS, io.BytesIO(text.encode()), io.BytesIO(), name="a.tsv")
    assert texts == ["a joy", '"joy, he said']


def test_a_label_that_needs_quotes_in_csv_gets_them() -> None:
    writer = io.BytesIO()
    label_stream(joyful, ["bad, or so", "good"], io.BytesIO(b"text\ndull\n"), writer, name="a.csv")
    assert writer.getvalue() == b'text,label,probability\ndull,"bad, or so",0.8\n'


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "text,label\njoy,neg\n", "text,label,predicted_label,probability\njoy,neg,pos,0.9\n"),
        ("a.tsv", "text\tprobability\njoy\t1\n", "text\tprobability\tlabel\tpredicted_probability\njoy\t1\tpos\t0.9\n"),
        (
            "a.jsonl",
            '{"text": "joy", "label": null}\n',
            '{"text": "joy", "label": null, "predicted_label": "pos", "probability": 0.9}\n',
        ),
    ],
)
def test_a_label_that_is_there_stays(name: str, text: str, expected: str) -> None:
    assert labelled(text, name) == expected


def test_the_text_column_may_be_named() -> None:
    assert labelled("text,review\ndull,joy\n", "a.csv", text_column="review").endswith("dull,joy,pos,0.9\n")
    assert json.loads(labelled('{"review": "joy"}', "a.jsonl", text_column="review"))["label"] == "pos"
    assert error("joy\n", "a.txt", text_column="review").startswith("a.txt: plain lines have no column to choose.")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("-", '\n{"text": "joy"}\n', "jsonl"),
        ("-", "text,joy\n", "lines"),
        ("a.log", "joy\n", "lines"),
        ("-", "", "lines"),
        ("a.NDJSON", '{"text": "joy"}', "jsonl"),
        ("A.CSV.GZ", "text\njoy\n", "csv"),
        ("a.tsv", "text\njoy\n", "tsv"),
    ],
)
def test_the_format_is_told_by_the_suffix_or_the_first_line(name: str, text: str, expected: Format) -> None:
    assert labelled(text, name) == labelled(text, name, format=expected)


def test_a_forced_format_goes_over_suffix_and_content() -> None:
    assert labelled('{"text": "joy"}\n', "a.csv", format="lines") == "pos\n"
    assert labelled("joy\n", "a.json", format="lines") == "pos\n"


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 1000])
def test_chunks_do_not_change_the_result(chunk_size: int) -> None:
    assert labelled(CSV, "a.csv", chunk_size=chunk_size) == labelled(CSV, "a.csv")
    text = "joy\n\ndull\n" * 4
    assert labelled(text, "a.txt", chunk_size=chunk_size) == labelled(text, "a.txt")


@pytest.mark.parametrize(("name", "head"), [("a.txt", b""), ("a.csv", b"text\n"), ("a.tsv", b"text\n")])
def test_output_begins_before_the_input_has_been_read_to_its_end(name: str, head: bytes) -> None:
    target = io.BytesIO()
    written: list[int] = []

    class Endless(io.BytesIO):
        def __iter__(self) -> Iterator[bytes]:
            yield from [head] * bool(head)
            for _ in range(20):
                yield b"a joy\n"
                written.append(len(target.getvalue()))

    progress: list[int] = []
    total = label_stream(joyful, LABELS, Endless(), target, name=name, chunk_size=4, progress=progress.append)
    assert total == sum(progress) == 20
    assert max(progress) == 4
    assert written[5] < written[10] < written[15]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.csv",
            "id,review\n1,joy\n",
            "a.csv, line 1: there is no column 'text'. Expected a column with the texts; found 'id', 'review'. Name it "
            "with --text_column.",
        ),
        ("a.csv", "id,text\n1,joy, oh joy\n", "a.csv, line 2: the row has another number of cells than the header."),
        ("a.csv", 'text\n"a "joy""\n', "a.csv, line 2: this is not CSV ("),
        ("a.csv", 'text\n"joy\n', "a.csv, line 2: this is not CSV (unexpected end of data). Look for a quote"),
        ("a.csv", "text,text\na,b\n", "a.csv, line 1: two columns have the name 'text'."),
        ("a.csv", "text,label,predicted_label\na,b,c\n", "a.csv, line 1: the file already has 'predicted_label' bes"),
        ("a.tsv", "text\tid\njoy\n", "a.tsv, line 2: the row has another number of cells than the header. Expected 2 "),
        ("a.jsonl", '{"text": "a"}\n{"text": 5}\n', "a.jsonl, line 2: the line holds no text under 'text'."),
        ("a.jsonl", '{"text": null}\n', "a.jsonl, line 1: the line holds no text under 'text'."),
        (
            "a.jsonl",
            '{"text": "a"}\n{"body": "b"}\n',
            "a.jsonl, line 2: there is no column 'text'. Expected a column w",
        ),
        ("a.jsonl", '{"text": "a"\n', "a.jsonl, line 1: the line is not a JSON object."),
        ("a.jsonl", '["a"]\n', "a.jsonl, line 1: the line is not a JSON object."),
        (
            "a.jsonl",
            '{"text": "a"}\n{"text": "b", "label": "x"}\n',
            "a.jsonl, line 2: the line holds 'label', which th",
        ),
        ("a.jsonl", '{"terms": ["a"], "counts": [1, 2]}\n', "a.jsonl, line 1: the line holds no counted terms."),
        ("a.jsonl", '{"terms": ["a"], "counts": [-1]}\n', "a.jsonl, line 1: the line holds no counted terms."),
        ("a.jsonl", '{"terms": ["a"], "counts": [NaN]}\n', "a.jsonl, line 1: the line holds no counted terms."),
        ("a.jsonl", '{"terms": ["a", "a"], "counts": [1, 1]}\n', "a.jsonl, line 1: the line holds no counted terms."),
        ("a.txt", b"fine\ncaf\xe9\n", "a.txt, line 2: the file is not UTF-8 (byte 4 of the line is 0xe9)."),
        ("a.json", "[]", "a.json: a .json file can't be labelled piece by piece."),
    ],
)
def test_a_broken_line_is_named(name: str, text: str | bytes, message: str) -> None:
    assert error(text, name).startswith(message)


def test_a_table_is_read_as_training_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(CSV, newline="")
    texts: list[Document] = []

    def predict(documents: list[Document]) -> np.ndarray:
        texts.extend(documents)
        return joyful(documents)

    label_stream(predict, LABELS, io.BytesIO(path.read_bytes()), io.BytesIO(), name="a.csv")
    assert texts == [row["text"] for _, row in csv_rows(path) if row["text"].strip()]


@pytest.mark.parametrize(("name", "text"), [("a.csv.gz", CSV), ("a.JSONL.GZ", '{"text": "joy"}\n'), ("-", "joy\n")])
def test_gzipped_input_is_unpacked(name: str, text: str) -> None:
    assert labelled(gzip.compress(text.encode()), name) == labelled(text, name)
