"""Vectors by path, by a file's name in a data folder, by kind; and a note where they are less than one would think."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptransfer.data.corpora import load_corpus
from nlptransfer.data.synthetic import make_tagged_vectors
from nlptransfer.embeddings.find_vectors import find_word_vectors
from nlptransfer.errors import InputError

SENTENCES = [["the", "bank", "raised", "rates"], ["the", "rates", "of", "the", "bank"]]
OPTIONS: dict[str, Any] = {"sentences": SENTENCES, "dim": 6, "seed": 3, "max_words": 100}


@pytest.fixture(autouse=True)
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NLPTRANSFER_DATA", raising=False)


def write(path: Path, word: str = "rates") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"2 2\n{word} 1 2\nthe 3 4\n")
    return path


def test_a_path_is_read(tmp_path: Path) -> None:
    vectors, notes = find_word_vectors(str(write(tmp_path / "mine.txt")), **OPTIONS)
    assert (vectors.words, notes) == (["rates", "the"], [])


def test_a_files_name_is_looked_for_in_the_data_folders_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("first", "second", "own"):
        write(tmp_path / folder / "vectors" / "mine.txt", word=folder)
    monkeypatch.setenv("NLPTRANSFER_DATA", f"{tmp_path / 'empty'}:{tmp_path / 'first'}:{tmp_path / 'second'}")
    assert find_word_vectors("mine.txt", **OPTIONS)[0].words[0] == "first"
    assert find_word_vectors("mine.txt", data_dir=tmp_path / "own", **OPTIONS)[0].words[0] == "own"
    write(tmp_path / "mine.txt", word="here")
    assert find_word_vectors("mine.txt", **OPTIONS)[0].words[0] == "here"


def test_auto_takes_googlenews_where_it_is_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "vectors" / "another.txt", word="another")
    write(tmp_path / "vectors" / "GoogleNews-some.txt", word="news")
    monkeypatch.setenv("NLPTRANSFER_DATA", str(tmp_path))
    vectors, notes = find_word_vectors("auto", **OPTIONS)
    assert (vectors.words, notes) == (["news", "the"], [])


def test_auto_without_any_trains_on_the_text_and_says_so() -> None:
    vectors, (note,) = find_word_vectors("auto", **OPTIONS)
    assert "No pretrained vectors are at hand" in note and "--vectors" in note
    assert vectors.dim == 6
    assert set(vectors.words) == {word for sentence in SENTENCES for word in sentence}
    assert "word2vec" in vectors.source and "seed 3" in vectors.source


def test_training_is_no_surprise_where_it_was_asked_for() -> None:
    vectors, notes = find_word_vectors("train", **OPTIONS)
    assert notes == []
    np.testing.assert_array_equal(vectors.matrix, find_word_vectors("auto", **OPTIONS)[0].matrix)


def test_synthetic_vectors_are_those_of_the_synthetic_corpus() -> None:
    vectors, notes = find_word_vectors("synthetic", **OPTIONS)
    words, matrix = make_tagged_vectors(6, seed=0)
    assert (vectors.words, notes) == (words, [])
    np.testing.assert_array_equal(vectors.matrix, matrix)
    written = {word for sentence in load_corpus("synthetic")["tokens"][:] for word in sentence}  # type: ignore[call-overload]
    assert written <= set(vectors.words)


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        find_word_vectors(str(tmp_path / "none.txt"), **OPTIONS)
    with pytest.raises(InputError, match="data folder does not exist"):
        find_word_vectors("none.txt", data_dir=tmp_path / "nowhere", **OPTIONS)


def test_of_a_large_file_the_first_words_and_those_of_the_sentences_are_kept(tmp_path: Path) -> None:
    lines = [f"word{number} {number} 1" for number in range(50)]
    lines += ["RAISED 7 7", "bank 8 8", "nobody 9 9", "rates 10 10"]
    file = tmp_path / "large.txt"
    file.write_text("\n".join(lines) + "\n")
    vectors, _ = find_word_vectors(str(file), **{**OPTIONS, "max_words": 3})
    assert vectors.words == ["word0", "word1", "word2", "bank", "rates"]
    np.testing.assert_array_equal(vectors.matrix[3:], [[8, 8], [10, 10]])
    upper = find_word_vectors(str(file), **{**OPTIONS, "max_words": 3, "sentences": [["RAISED", "Bank"]]})[0]
    assert upper.words[3:] == ["RAISED", "bank"], "what a fallback finds is kept too"
    exact = find_word_vectors(str(file), **{**OPTIONS, "max_words": 3, "sentences": [["Bank"]], "fallbacks": ()})[0]
    assert exact.words[3:] == []


def test_unlabelled_text_is_trained_on_beside_the_sentences() -> None:
    vectors, _ = find_word_vectors("train", unlabelled=[["more", "text"]], **OPTIONS)
    assert {"more", "text", "bank"} <= set(vectors.words)


def test_a_licence_beside_the_vectors_is_not_taken_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "vectors" / "GoogleNews-some.vec", word="news")
    (tmp_path / "vectors" / "GoogleNews-LICENSE").write_text("free")
    (tmp_path / "vectors" / "googlenews.bin").mkdir()
    monkeypatch.setenv("NLPTRANSFER_DATA", str(tmp_path))
    assert find_word_vectors("auto", **OPTIONS)[0].words == ["news", "the"]
