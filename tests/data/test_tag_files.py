from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from nlptransfer.data.conllu import read_conllu
from nlptransfer.data.tag_files import XPOS_COLUMN, Format, tag_stream
from nlptransfer.errors import InputError

CONLLU = (
    "# newdoc id = 1\n"
    "# text = Don't  go\t!\n"
    "1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "1\tDo\tdo\tAUX\tVB\tMood=Imp\t3\taux\t_\t_\n"
    "2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\tA=\u00e9 b\n"
    "2.1\tplease\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\tSpaceAfter=No\n"
    "\n"
    "# a comment alone\n"
    "\n"
    "\n"
    "1\tStop\tstop\tVERB\tVB\t_\t0\troot\t_\t_"
)


def upper(sentences: list[list[str]]) -> list[list[str]]:
    """A model that tags each word with itself in capitals."""
    assert all(sentences), "empty sentences do not reach the model"
    return [[word.upper() for word in words] for words in sentences]


def tagged(text: str | bytes, name: str = "-", **options: object) -> str:
    writer = io.BytesIO()
    reader = io.BufferedReader(io.BytesIO(text.encode() if isinstance(text, str) else text))
    tag_stream(upper, reader, writer, name=name, **options)  # type: ignore[arg-type]
    return writer.getvalue().decode()


def error(text: str | bytes, name: str) -> str:
    with pytest.raises(InputError) as caught:
        tagged(text, name)
    return str(caught.value)


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n\n\n"])
def test_only_the_tag_column_of_syntactic_words_changes(end: str) -> None:
    expected = CONLLU.replace("\tAUX\t", "\tDO\t").replace("\tPART\t", "\tN'T\t").replace("go\tVERB", "go\tGO")
    expected = expected.replace("stop\tVERB", "stop\tSTOP") + end
    assert tagged(CONLLU + end, "a.conllu") == expected
    assert tagged((CONLLU + end).replace("\n", "\r\n"), "a.conllu") == expected.replace("\n", "\r\n")
    assert tagged("\ufeff" + CONLLU + end, "a.conllu") == "\ufeff" + expected


def test_the_xpos_column_is_written_where_it_is_asked_for() -> None:
    line = "1\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_\n"
    assert tagged(line, "a.conllu", column=XPOS_COLUMN) == line.replace("\tVB\t", "\tGO\t")


def test_lines_become_a_word_and_tag_per_line_and_empty_lines_stay_sentences() -> None:
    assert tagged("The  bank\n\nx\u00a0y\ta \r\nend", "a.txt") == (
        "The\tTHE\nbank\tBANK\n\n\nx\u00a0y\tX\u00a0Y\na\tA\n\nend\tEND\n\n"
    )
    assert tagged("\ufeffThe\n", "a.txt") == "The\tTHE\n\n"


def test_json_lines_keep_their_other_keys_and_empty_sentences() -> None:
    lines = '{"id": 7, "tokens": ["a", "\u00e9"], "x": {"y": [1.5, null]}}\r\n\n{"tokens": []}\n{"tokens": ["\\ud800"]}'
    first, empty, second, third = tagged(lines, "a.jsonl").split("\n")
    assert first.endswith("\r")
    assert json.loads(first) == {"id": 7, "tokens": ["a", "\u00e9"], "x": {"y": [1.5, None]}, "tags": ["A", "\u00c9"]}
    assert empty == ""
    assert json.loads(second) == {"tokens": [], "tags": []}
    assert json.loads(third) == {"tokens": ["\ud800"], "tags": ["\ud800"]}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("-", CONLLU, "conllu"),
        ("x.txt", "\n" + CONLLU, "conllu"),
        ("-", '\n{"tokens": ["a"]}\n', "jsonl"),
        ("-", "# a plain line\nThe bank\n", "lines"),
        ("-", "# only this\n", "lines"),
        ("-", "", "lines"),
        ("X.CONLLU", "", "conllu"),
        ("x.jsonl", "", "jsonl"),
    ],
)
def test_the_format_is_told_by_the_suffix_or_the_first_lines(name: str, text: str, expected: Format) -> None:
    assert tagged(text, name) == tagged(text, name, format=expected)


def test_a_forced_format_goes_over_suffix_and_content() -> None:
    assert tagged("{ }\n", "a.jsonl", format="lines") == "{\t{\n}\t}\n\n"


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 1000])
def test_chunks_do_not_change_the_result(chunk_size: int) -> None:
    text = "a b\n\nc\n" * 4
    assert tagged(text, "a.txt", chunk_size=chunk_size) == tagged(text, "a.txt")


def test_output_begins_before_the_input_has_been_read_to_its_end() -> None:
    target = io.BytesIO()
    written: list[int] = []

    class Endless(io.BytesIO):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(10):
                yield b"a b\n"
                written.append(len(target.getvalue()))

    def predict(sentences: list[list[str]]) -> Sequence[Sequence[str]]:
        assert len(sentences) <= 2
        return sentences

    progress: list[int] = []
    total = tag_stream(predict, Endless(), target, name="x.txt", chunk_size=2, progress=progress.append)
    assert total == 20
    assert progress == [4] * 5
    assert written[2] < written[4] < written[6]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.conllu", "# x\n1\tgo\n", "a.conllu, line 2: the line has another number of columns. Expected 10, "),
        (
            "a.conllu",
            "1 go go VERB VB _ 0 root _ _\n",
            "a.conllu, line 1: the line has another number of columns. Expected 10, ",
        ),
        (
            "a.conllu",
            "1\tgo" + "\t_" * 8 + "\n3\ton" + "\t_" * 8,
            "a.conllu, line 2: the word numbers are not in sequence. Expected 2; found 3.",
        ),
        ("a.conllu", "1\t" + "\t_" * 8 + "\n", "a.conllu, line 1: a column is empty."),
        ("a.conllu", "1\tgo\t" + "\t_" * 7 + "\n", "a.conllu, line 1: a column is empty."),
        ("a.conllu", "1\tgo" + "\t_" * 8 + "\n\n\n2\tgo" + "\t_" * 8, "a.conllu, line 4: the word numbers are not"),
        ("a.conllu", "x\tgo" + "\t_" * 8 + "\n", "a.conllu, line 1: the first column is no word number."),
        ("a.jsonl", '{"tokens": ["a"]}\n{"tokens": "a b"}\n', "a.jsonl, line 2: the line holds no sentence."),
        ("a.jsonl", '{"tokens": ["a"]\n', "a.jsonl, line 1: the line holds no sentence."),
        ("a.jsonl", '{"words": ["a"]}\n', "a.jsonl, line 1: the line holds no sentence."),
        ("a.jsonl", '{"tokens": [1]}\n', "a.jsonl, line 1: the line holds no sentence."),
        ("a.txt", b"fine\ncaf\xe9\n", "a.txt, line 2: the file is not UTF-8 (byte 4 of the line is 0xe9)."),
    ],
)
def test_a_broken_line_is_named(name: str, text: str | bytes, message: str) -> None:
    assert error(text, name).startswith(message)


def test_a_line_that_is_no_conllu_may_be_of_another_format() -> None:
    assert error("a b\n", "a.conllu").endswith("name the file's format with --format.")


@pytest.mark.parametrize(
    "line",
    [
        "1\tgo\t" + "\t_" * 7,  # an empty lemma
        "1-9\tgo" + "\t_" * 8 + "\n1\tgo" + "\t_" * 8,  # a range past the end
        "0.2\tgo" + "\t_" * 8,  # an empty node out of place
        "1\ta  b" + "\t_" * 8,  # two spaces
    ],
)
def test_what_can_not_be_read_for_training_is_not_tagged_either(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.conllu"
    path.write_text(line + "\n")
    with pytest.raises(InputError) as caught:
        read_conllu(path)
    mended, _, _ = str(caught.value).partition(" Mend")
    assert error(line, str(path)).startswith(mended)


@pytest.mark.parametrize(
    ("name", "text"), [("a.conllu.gz", CONLLU), ("a.JSONL.GZ", '{"tokens": ["a"]}\n'), ("-", "The bank\n")]
)
def test_gzipped_input_is_unpacked(name: str, text: str) -> None:
    assert tagged(gzip.compress(text.encode()), name) == tagged(text, name)


def test_gzipped_input_that_is_cut_short_is_told() -> None:
    assert error(gzip.compress(b"word\n" * 9999)[:-40], "a.txt.gz").startswith("a.txt.gz, line ")
    assert "damaged or cut short" in error(gzip.compress(b"word\n" * 9999)[:-40], "a.txt.gz")
