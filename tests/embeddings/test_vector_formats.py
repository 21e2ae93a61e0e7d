"""The format is told from the content; what is no vector file is said so."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from nlptransfer.embeddings.vector_formats import detect_format, numbers_at_end
from nlptransfer.errors import InputError


def write(folder: Path, content: bytes, name: str = "vectors") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"2 3\nthe 0.1 0.2 0.3\nof 1 2 3\n", ("text", 3, 2, 2)),
        (b"\xef\xbb\xbf2 3\r\nthe 0.1 0.2 0.3\r\nof 1 2 3\r\n", ("text", 3, 2, 2)),
        (b"the 0.1 0.2 0.3\nof 1 2 3\n", ("text", 3, None, 1)),
        (b". . . 0.1 -2e-3\nof 1 2\nto 3 4", ("text", 2, None, 1)),
        (b"7 9\nof 1\nto 3\n", ("text", 1, None, 1)),
        (b"2 1\nof 1\nto 3\n", ("text", 1, 2, 2)),
        (b"2 2\nof " + np.array([0.5, -1], "<f4").tobytes() + b"to " + bytes(8), ("word2vec binary", 2, 2, 1)),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_formats_are_told_apart(tmp_path: Path, content: bytes, expected: tuple, packed: bool) -> None:
    found = detect_format(write(tmp_path, gzip.compress(content) if packed else content))
    assert (found.format, found.dim, found.num_words, found.first_line) == expected
    assert found.compressed is packed


def test_one_bad_line_at_the_top_does_not_set_the_dimension(tmp_path: Path) -> None:
    found = detect_format(write(tmp_path, b"the 0.1 0.2\nof 1 2 3\nto 1 2 3\n"))
    assert found.dim == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no words"),
        (b" \n\n", "no words"),
        (b"0 300\n", "no words"),
        (b"3 99999999999999\nabc", r"line 1: the header is implausible"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0", "not a vector file.*GloVe"),
        (b"It was the best of times,\nit was the worst of times.\n", "not a vector file.*'It was the best"),
        (b"12 5\nhello world, how are you today, my friend?\n", "not a vector file"),
        ("12 5\nآپ کیسے ہیں جناب آج کل آپ کیا کرتے ہیں\n".encode(), "not a vector file"),
        (b"PK\x03\x04rest of a zip archive", "zip archive.*Unpack it first"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12ab\n", "not a vector file"),
        (b"3 5\na 1 2 3\nb 1 2 3\nc 1 2 3\n", "line 1: the header contradicts.*Expected 5 numbers.*found 3 on line 2"),
    ],
)
def test_what_is_not_a_vector_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        detect_format(path)
    assert str(path) in str(caught.value)


def test_numbers_are_counted_from_the_end_and_never_include_the_word() -> None:
    assert numbers_at_end(b"12 0.5 1 2\r\n") == 3
    assert numbers_at_end(b"at name@domain.com 0.5 -1e5 \n") == 2
    assert numbers_at_end(b"word\n") == 0
