"""fastText models, trained and saved by gensim, give gensim's vectors for known and for unseen words."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from nlptransfer.embeddings.vector_formats import detect_format
from nlptransfer.embeddings.word_vectors import read_word_vectors
from nlptransfer.errors import InputError

SENTENCES = [["the", "bank", "raised", "rates"], ["the", "Straße", "of", "کتاب"], ["banks", "rate", "the", "bank"]] * 5
UNSEEN = ["banking", "rated", "کتابیں", "größe", "a"]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from gensim.models import FastText
    from gensim.models.fasttext import save_facebook_model

    model = FastText(SENTENCES, vector_size=6, min_count=1, epochs=2, bucket=50, min_n=2, max_n=4, seed=1, workers=1)
    path = tmp_path_factory.mktemp("fasttext") / "model.bin"
    save_facebook_model(model, str(path))
    return path


def packed(path: Path, folder: Path) -> Path:
    copy = folder / "model.bin.gz"
    copy.write_bytes(gzip.compress(path.read_bytes()))
    return copy


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("gzipped", [False, True])
def test_known_and_unseen_words_get_the_vectors_that_gensim_gives(
    model_file: Path, tmp_path: Path, cache: bool, gzipped: bool
) -> None:
    from gensim.models.fasttext import load_facebook_vectors

    theirs = load_facebook_vectors(str(model_file))
    path = packed(model_file, tmp_path) if gzipped else model_file
    for _ in range(2):  # The second time from the cache.
        ours = read_word_vectors(path, cache=cache)
        assert ours.words == theirs.index_to_key
        np.testing.assert_allclose(ours.matrix, theirs.vectors, rtol=1e-5, atol=1e-7)
        matrix, found_by = ours.vectors_for(UNSEEN)
        assert found_by == ["subwords"] * len(UNSEEN)
        np.testing.assert_allclose(matrix, [theirs[word] for word in UNSEEN], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("cache", [True, False])
def test_restricted_to_a_vocabulary_its_words_get_the_same_vectors(model_file: Path, cache: bool) -> None:
    whole = read_word_vectors(model_file, cache=False)
    vocabulary = ["bank", "Banking", "rated", "THE"]
    for _ in range(2):
        part = read_word_vectors(model_file, vocabulary=vocabulary, cache=cache)
        assert part.words == ["the", "bank"]
        expected, found_by = whole.vectors_for(vocabulary)
        matrix, part_found_by = part.vectors_for(vocabulary)
        assert found_by == part_found_by == ["exact", "subwords", "subwords", "lower case"]
        np.testing.assert_allclose(matrix, expected, rtol=1e-6)


def test_a_word_whose_ngrams_were_not_kept_is_not_found_rather_than_wrong(model_file: Path) -> None:
    part = read_word_vectors(model_file, vocabulary=["bank"])
    assert part.lookup(["xylophone"])[1] == ["not found"]


def test_subwords_can_be_switched_off(model_file: Path) -> None:
    off = ("lower case",)
    assert read_word_vectors(model_file).lookup(UNSEEN, fallbacks=off)[1] == ["not found"] * len(UNSEEN)
    assert read_word_vectors(model_file, vocabulary=UNSEEN, fallbacks=off).subwords is None


def test_a_model_cut_short_anywhere_is_an_error(model_file: Path, tmp_path: Path) -> None:
    data = model_file.read_bytes()
    first_matrix = len(data) // 2
    for size in [10, 60, 80, 100, 130, first_matrix - 400]:
        for name, content in (("cut.bin", data[:size]), ("cut.bin.gz", gzip.compress(data[:size]))):
            path = tmp_path / name
            path.write_bytes(content)
            with pytest.raises(InputError, match=r"cut\.bin.*cut short"):
                read_word_vectors(path)


def test_a_quantized_model_and_one_that_contradicts_itself_are_refused(model_file: Path, tmp_path: Path) -> None:
    data = bytearray(model_file.read_bytes())
    path = tmp_path / "changed.bin"
    assert detect_format(model_file).format == "fasttext binary"
    bucket = 4 * 10
    data[bucket : bucket + 4] = struct.pack("<i", 51)
    path.write_bytes(data)
    with pytest.raises(InputError, match="contradicts itself"):
        read_word_vectors(path)
    pruned = 4 * 14 + 8 + 12 + 8
    data[pruned : pruned + 8] = struct.pack("<q", 5)
    path.write_bytes(data)
    with pytest.raises(InputError, match="quantized"):
        read_word_vectors(path)
