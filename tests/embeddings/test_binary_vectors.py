"""word2vec binary files, compared with gensim, in both newline habits."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from nlptransfer.embeddings import binary_vectors
from nlptransfer.embeddings.binary_vectors import read_binary_vectors
from nlptransfer.embeddings.vector_formats import detect_format
from nlptransfer.embeddings.word_forms import WantedWords
from nlptransfer.errors import InputError

WORDS = ["in", "for", "that", "کتاب", "New_York", "x" * 300, '"']
ROWS = np.random.default_rng(5).normal(size=(len(WORDS), 4)).astype("<f4")


def content(newline: bytes = b"\n", count: int = len(WORDS), dim: int = 4) -> bytes:
    body = b"".join(word.encode() + b" " + row.tobytes() + newline for word, row in zip(WORDS, ROWS, strict=True))
    return f"{count} {dim}\n".encode() + body


def write(folder: Path, data: bytes) -> Path:
    path = folder / "vectors.bin"
    path.write_bytes(data)
    return path


def read(path: Path, vocabulary: list[str] | None = None, max_words: int | None = None) -> tuple[list, np.ndarray]:
    wanted = None if vocabulary is None else WantedWords(vocabulary, ())
    chunks = list(read_binary_vectors(detect_format(path), wanted=wanted, max_words=max_words))
    return [word for words, _ in chunks for word in words], np.concatenate([rows for _, rows in chunks])


@pytest.fixture(params=[1 << 22, 37], autouse=True)
def block_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary_vectors, "_BLOCK", request.param)


@pytest.mark.parametrize("newline", [b"\n", b""])
@pytest.mark.parametrize("packed", [False, True])
def test_words_and_numbers_are_those_that_gensim_reads(tmp_path: Path, newline: bytes, packed: bool) -> None:
    from gensim.models import KeyedVectors

    theirs = KeyedVectors.load_word2vec_format(write(tmp_path, content(newline)), binary=True)
    data = content(newline)
    words, matrix = read(write(tmp_path, gzip.compress(data) if packed else data))
    assert words == theirs.index_to_key
    np.testing.assert_array_equal(matrix, theirs.vectors)


@pytest.mark.parametrize("newline", [b"\n", b""])
def test_only_wanted_or_first_words_are_read(tmp_path: Path, newline: bytes) -> None:
    path = write(tmp_path, content(newline))
    words, matrix = read(path, ["کتاب", "for", "elsewhere"])
    assert words == ["for", "کتاب"]
    np.testing.assert_array_equal(matrix, ROWS[[1, 3]])
    assert read(path, max_words=2)[0] == ["in", "for"]


def test_a_word_cut_in_the_middle_of_a_character_is_kept(tmp_path: Path) -> None:
    data = content().replace("کتاب".encode(), "کتاب".encode()[:-1])
    assert read(write(tmp_path, data))[0][3] == "کتا\ufffd"


@pytest.mark.parametrize("cut", [1, 3, 17])
@pytest.mark.parametrize("vocabulary", [None, ["in"]])
def test_a_file_that_ends_too_early_says_how_many_words_are_whole(
    tmp_path: Path, cut: int, vocabulary: list[str] | None
) -> None:
    path = write(tmp_path, content(b"")[:-cut])
    whole = len(WORDS) - 1
    with pytest.raises(InputError, match=f"cut short.*Expected 7 words of 4 numbers.*found {whole} whole words"):
        read(path, vocabulary)


@pytest.mark.parametrize("newline", [b"\n", b""])
@pytest.mark.parametrize(("count", "dim"), [(5, 4), (9, 4), (7, 3), (7, 5), (7, 400)])
def test_a_header_that_lies_is_an_error(tmp_path: Path, newline: bytes, count: int, dim: int) -> None:
    path = write(tmp_path, content(newline, count, dim))
    with pytest.raises(InputError, match=r"contradicts|promises too much|not a vector file") as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_header_with_nothing_behind_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found 0 whole words"):
        read(write(tmp_path, b"5 300\n"))
