"""Tokenised text: its words, and what is no such text."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from nlptransfer.data.unlabelled import read_sentences
from nlptransfer.errors import InputError


def test_each_line_is_a_sentence_and_empty_ones_are_passed_over(tmp_path: Path) -> None:
    text = "the  bank\n\n raised rates \n"
    (tmp_path / "text.txt").write_text(text)
    (tmp_path / "text.txt.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("text.txt", "text.txt.gz"):
        assert list(read_sentences(tmp_path / name)) == [["the", "bank"], ["raised", "rates"]]


def test_an_empty_or_absent_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(InputError, match=r"empty\.txt: the file holds no words"):
        list(read_sentences(tmp_path / "empty.txt"))
    with pytest.raises(InputError, match=r"none\.txt"):
        list(read_sentences(tmp_path / "none.txt"))
