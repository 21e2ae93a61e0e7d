"""Looking words up, and the one door to every file."""

import gzip
import random
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from nlptransfer.embeddings.word_forms import FALLBACKS, FOUND_BY
from nlptransfer.embeddings.word_vectors import WordVectors, read_word_vectors
from nlptransfer.errors import InputError


def vectors_of(words: list[str], dim: int = 3) -> WordVectors:
    matrix = np.arange(1, len(words) * dim + 1, dtype=np.float32).reshape(-1, dim)
    return WordVectors(words=words, matrix=matrix, subwords=None, source="here", digest="none")


VECTORS = vectors_of(["bank", "Bank", "rates", "0000", "##", "café", unicodedata.normalize("NFD", "naïve"), "us-00"])


@pytest.mark.parametrize(
    ("word", "found", "how"),
    [
        ("Bank", "Bank", "exact"),
        ("RATES", "rates", "lower case"),
        (unicodedata.normalize("NFD", "café"), "café", "unicode form"),
        ("naïve", unicodedata.normalize("NFD", "naïve"), "unicode form"),
        ("ＲＡＴＥＳ", "rates", "unicode form"),
        ("1990", "0000", "digits folded"),
        ("۱۹", "##", "digits folded"),
        ("US-19", "us-00", "digits folded"),
    ],
)
def test_each_fallback_finds_its_words_and_can_be_switched_off(word: str, found: str, how: str) -> None:
    rows, found_by = VECTORS.lookup([word])
    assert (VECTORS.words[rows[0]], found_by) == (found, [how])
    others = tuple(name for name in FALLBACKS if name != how)
    rows, found_by = VECTORS.lookup([word], fallbacks=others)
    assert (found_by == ["exact"]) if how == "exact" else (rows[0] == -1 and found_by == ["not found"])


def test_lookup_gives_rows_and_vectors_for_gives_their_vectors_or_zeros() -> None:
    rows, found_by = VECTORS.lookup(["rates", "xqzy", "bank", "rates"])
    assert rows.tolist() == [2, -1, 0, 2] and rows.dtype == np.int64
    matrix, same = VECTORS.vectors_for(["rates", "xqzy", "bank", "rates"])
    assert same == found_by == ["exact", "not found", "exact", "exact"] and set(found_by) <= set(FOUND_BY)
    np.testing.assert_array_equal(matrix, [[7, 8, 9], [0, 0, 0], [1, 2, 3], [7, 8, 9]])
    assert VECTORS.vectors_for([])[0].shape == (0, 3)
    assert len(VECTORS) == 8 and VECTORS.dim == 3


def test_words_and_vectors_must_match() -> None:
    with pytest.raises(ValueError, match="2 words need as many vectors"):
        WordVectors(words=["a", "b"], matrix=np.zeros((3, 2), np.float32), subwords=None, source="", digest="")


@pytest.mark.parametrize("seed", range(20))
def test_a_restricted_read_finds_every_word_just_as_the_whole_file_does(tmp_path: Path, seed: int) -> None:
    choice = random.Random(seed)
    letters = ["a", "B", "é", "e\u0301", "ﬁ", "1", "2", "۳", "0", "#", "\u00a0", "İ", "ß"]

    def word() -> str:
        return "".join(choice.choices(letters, k=choice.randint(1, 3)))

    words = list(dict.fromkeys(word() for _ in range(150)))
    path = tmp_path / "vectors.txt"
    path.write_text("".join(f"{word} {row} {-row}\n" for row, word in enumerate(words)), encoding="utf-8")
    vocabulary = [word() for _ in range(60)]
    fallbacks = tuple(name for name in FALLBACKS if choice.random() < 0.7)
    whole = read_word_vectors(path, cache=False)
    assert whole.words == words
    part = read_word_vectors(path, vocabulary=vocabulary, fallbacks=fallbacks, cache=False)
    assert len(part) <= len(whole) and [word for word in words if word in set(part.words)] == part.words
    expected, found_by = whole.vectors_for(vocabulary, fallbacks=fallbacks)
    matrix, part_found_by = part.vectors_for(vocabulary, fallbacks=fallbacks)
    assert part_found_by == found_by
    np.testing.assert_array_equal(matrix, expected)


def test_a_repeated_word_keeps_its_first_vector_and_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("4 2\na 1 1\nb 2 2\na 3 3\nc 4 4\n")
    for cache in (False, True, True):
        vectors = read_word_vectors(path, cache=cache)
        assert vectors.words == ["a", "b", "c"] and vectors.matrix[:, 0].tolist() == [1, 2, 4]
    assert "1 repeated words" in caplog.text


def test_no_word_of_the_vocabulary_in_the_file_gives_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("a 1 1\nb 2 2\n")
    for cache in (False, True):
        assert read_word_vectors(path, vocabulary=["x"], cache=cache).matrix.shape == (0, 2)
        assert read_word_vectors(path, vocabulary=[], cache=cache).matrix.shape == (0, 2)


def test_numbers_that_are_not_finite_are_refused_in_binary_files_too(tmp_path: Path) -> None:
    path = tmp_path / "vectors.bin"
    path.write_bytes(b"2 1\na " + np.float32(1).tobytes() + b"b " + np.float32("nan").tobytes())
    with pytest.raises(InputError, match=r"the vector of 'b' holds a number that is not finite. Found nan"):
        read_word_vectors(path)


def test_a_damaged_gzip_file_is_named(tmp_path: Path) -> None:
    data = gzip.compress("".join(f"w{row} {row} 2\n" for row in range(2000)).encode())
    path = tmp_path / "vectors.txt.gz"
    path.write_bytes(data[:-300])
    with pytest.raises(InputError, match=r"vectors\.txt\.gz: the gzip file is cut short"):
        read_word_vectors(path)
    path.write_bytes(data[:500] + b"\xff" * 40 + data[540:])
    with pytest.raises(InputError, match=r"vectors\.txt\.gz: the gzip data is damaged"):
        read_word_vectors(path)


def test_a_missing_file_is_answered_with_close_names(tmp_path: Path) -> None:
    (tmp_path / "glove.6B.100d.txt").touch()
    with pytest.raises(InputError, match=r"no such file or folder. Did you mean .*glove\.6B\.100d\.txt\?"):
        read_word_vectors(tmp_path / "glove.6b.100d.txt")
    with pytest.raises(InputError, match="gensim:glove-twitter-25"):
        read_word_vectors("glove-twitter-25")
    with pytest.raises(InputError, match="a folder, not a vector file"):
        read_word_vectors(tmp_path)
    with pytest.raises(InputError, match=r"no such file or folder\. The folder .*nowhere does not exist either"):
        read_word_vectors(tmp_path / "nowhere" / "glove.txt")


def test_an_impossible_request_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="max_words is too small"):
        read_word_vectors(tmp_path, max_words=0)
    with pytest.raises(InputError, match="fallbacks"):
        read_word_vectors(tmp_path, fallbacks=["stemmed"])


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("googlenews_word2vec_8000x300.txt.gz", {}),
        ("googlenews_word2vec_8000x300.bin", {"binary": True}),
        ("glove_twitter_25d_11925.txt.gz", {"no_header": True}),
        ("fasttext_wiki_en_1000x300.vec.gz", {}),
        ("hi_ppmi_svd_20000x100.txt.gz", {}),
        ("ur_ppmi_svd_20000x100.txt.gz", {}),
    ],
)
def test_real_files_read_as_gensim_reads_them(real_data: Path, name: str, options: dict[str, bool]) -> None:
    from gensim.models import KeyedVectors

    path = real_data / "vectors" / name
    theirs = KeyedVectors.load_word2vec_format(path, **options)
    for _ in range(2):
        ours = read_word_vectors(path)
        assert ours.words == theirs.index_to_key
        np.testing.assert_array_max_ulp(ours.matrix, theirs.vectors, maxulp=1)
    vocabulary = [word.upper() for word in theirs.index_to_key[::7]]
    part = read_word_vectors(path, vocabulary=vocabulary, cache=False)
    expected, found_by = ours.vectors_for(vocabulary)
    matrix, part_found_by = part.vectors_for(vocabulary)
    assert found_by == part_found_by
    np.testing.assert_array_equal(matrix, expected)
