"""Text files: the numbers gensim reads, words with spaces, and the exact line of every error."""

from pathlib import Path

import numpy as np
import pytest

from nlptransfer.embeddings import text_vectors
from nlptransfer.embeddings.text_vectors import read_text_vectors
from nlptransfer.embeddings.vector_formats import detect_format
from nlptransfer.embeddings.word_forms import WantedWords
from nlptransfer.errors import InputError


def read(path: Path, vocabulary: list[str] | None = None, max_words: int | None = None) -> tuple[list, np.ndarray]:
    wanted = None if vocabulary is None else WantedWords(vocabulary, ())
    file = detect_format(path)
    chunks = list(read_text_vectors(file, wanted=wanted, max_words=max_words))
    words = [word for part, _ in chunks for word in part]
    return words, np.concatenate([rows for _, rows in chunks] or [np.zeros((0, file.dim), np.float32)])


def write_lines(folder: Path, lines: list[str], end: str = "\n") -> Path:
    path = folder / "vectors.txt"
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def numbered(count: int, dim: int = 3) -> list[str]:
    return [f"w{row} " + " ".join(f"{row + column / 8}" for column in range(dim)) for row in range(count)]


@pytest.fixture(params=[1 << 22, 40])
def block_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Once as it is, and once with blocks of about two lines."""
    for name in ("_BLOCK", "_SCANNED_BLOCK", "_SELECTED_BLOCK"):
        monkeypatch.setattr(text_vectors, name, request.param)
    return int(request.param)


def test_the_numbers_are_those_that_gensim_reads(tmp_path: Path) -> None:
    from gensim.models import KeyedVectors

    generator = np.random.default_rng(3)
    rows = generator.normal(size=(50, 7)) * 10.0 ** generator.integers(-8, 8, size=(50, 7))
    lines = [f"w{index} " + " ".join(f"{value:.6g}" for value in row) for index, row in enumerate(rows)]
    path = write_lines(tmp_path, lines)
    theirs = KeyedVectors.load_word2vec_format(path, no_header=True)
    words, matrix = read(path)
    assert words == theirs.index_to_key
    np.testing.assert_array_max_ulp(matrix, theirs.vectors, maxulp=1)


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
@pytest.mark.parametrize("header", [[], ["7 3"]])
def test_every_line_end_and_header_gives_the_same(tmp_path: Path, block_size: int, end: str, header: list[str]) -> None:
    words, matrix = read(write_lines(tmp_path, header + numbered(7), end))
    assert words == [f"w{row}" for row in range(7)]
    np.testing.assert_array_equal(matrix, np.arange(7)[:, None] + np.arange(3) / 8)


def test_odd_words_stay_as_they_are(tmp_path: Path, block_size: int) -> None:
    odd = ["null", "NA", "nan", '"', '"quoted"', "'", "\\", ",", "#", "", " ", ". . .", "at name@domain.com"]
    odd += ["\ufeff", "\u00a0", "\u0085", "\u2028", "a\rb", "12", "1e5", "-", "कि", "پانی"]
    lines = [f"{word} {row}.5 -1 2e-3" for row, word in enumerate(odd)]
    words, matrix = read(write_lines(tmp_path, ["one 1 2 3", *lines, "two 1 2 3"]))
    assert words == ["one", *odd, "two"]
    np.testing.assert_array_equal(matrix[1:-1, 0], np.arange(len(odd)) + np.float32(0.5))
    vocabulary = [word for word in odd if word != "null"]
    words, matrix = read(write_lines(tmp_path, ["one 1 2 3", *lines, "two 1 2 3"]), vocabulary)
    assert words == vocabulary


def test_a_file_without_a_final_line_end_is_whole(tmp_path: Path, block_size: int) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("\n".join(numbered(5)))
    assert len(read(path)[0]) == 5


def test_only_wanted_rows_are_read_in_the_order_of_the_file(tmp_path: Path, block_size: int) -> None:
    words, matrix = read(write_lines(tmp_path, numbered(9)), ["w7", "w1", "elsewhere"])
    assert words == ["w1", "w7"]
    np.testing.assert_array_equal(matrix[:, 0], [1, 7])


def test_the_first_words_are_read_without_looking_at_the_rest(tmp_path: Path, block_size: int) -> None:
    path = write_lines(tmp_path, ["9 3", *numbered(4), "broken line"])
    assert read(path, max_words=4)[0] == ["w0", "w1", "w2", "w3"]
    assert read(path, ["w3", "w4"], max_words=4)[0] == ["w3"]


@pytest.mark.parametrize("vocabulary", [None, ["w1", "w5", "bad"]])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("bad 1 2", "line 6: the vector of 'bad' has the wrong length. Expected 3 numbers; found 2"),
        ("bad 1 2 3 4", "line 6: the vector of 'bad' has the wrong length. Expected 3 numbers; found 4"),
        ("bad", "line 6: the vector of 'bad' has the wrong length. Expected 3 numbers; found 0"),
        ("bad word 2 3", "line 6: the vector of 'bad word' has the wrong length. Expected 3 numbers; found 2"),
        ("bad 1 x 3", "line 6: the vector of 'bad' holds something that is not a number.*'x'"),
        ("bad 1 2,5 3", "line 6: the vector of 'bad' holds something that is not a number.*'2,5'"),
        ("bad 1  3", "line 6: the vector of 'bad' holds something that is not a number"),
        ("bad 1 nan 3", "line 6: the vector of 'bad' holds a number that is not finite. Found nan"),
        ("bad 1 2 -inf", "line 6: the vector of 'bad' holds a number that is not finite. Found -inf"),
        ("bad 1 2 1e99", "line 6: the vector of 'bad' holds a number that is not finite. Found 1e99"),
    ],
)
def test_a_bad_line_is_named_with_its_word(
    tmp_path: Path, block_size: int, line: str, message: str, vocabulary: list[str] | None
) -> None:
    lines = numbered(12)
    lines[5] = line
    lines[8] = "also bad 1"  # A later error must not be reported first.
    path = write_lines(tmp_path, lines)
    with pytest.raises(InputError, match=message) as caught:
        read(path, vocabulary)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("vocabulary", [None, ["w1"]])
def test_a_file_cut_within_a_line_is_said_to_be_cut_short(
    tmp_path: Path, block_size: int, vocabulary: list[str] | None
) -> None:
    path = tmp_path / "vectors.txt"
    whole = "\n".join(["6 3", *numbered(6)])
    path.write_text(whole[: whole.rindex(" ")])
    with pytest.raises(InputError, match=r"line 7: the file is cut short in the vector of 'w5'. Expected 3.*found 2"):
        read(path, vocabulary)


@pytest.mark.parametrize("vocabulary", [None, ["w1"]])
def test_a_header_that_promises_another_number_of_words_is_an_error(
    tmp_path: Path, block_size: int, vocabulary: list[str] | None
) -> None:
    with pytest.raises(InputError, match=r"cut short. Expected 9 words, as the header says; found 6"):
        read(write_lines(tmp_path, ["9 3", *numbered(6)]), vocabulary)
    with pytest.raises(InputError, match=r"line 1: the header promises fewer words.*Expected 4 words.*found 6"):
        read(write_lines(tmp_path, ["4 3", *numbered(6)]), vocabulary)


def test_a_bad_first_line_is_reported_as_such(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"line 1: the vector of 'w0' has the wrong length. Expected 3 numbers; found 2"
    ):
        read(write_lines(tmp_path, ["w0 1 2", *numbered(4)]))
