"""gensim's own files, read without running what is in them."""

import gzip
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptransfer.embeddings.word_vectors import read_word_vectors
from nlptransfer.errors import InputError

SENTENCES = [["the", "bank", "raised", "rates"], ["the", "bank", "کتاب"]] * 5


def trained(kind: str) -> Any:
    from gensim import models

    options = {"bucket": 40} if kind == "FastText" else {}
    return getattr(models, kind)(SENTENCES, vector_size=5, min_count=1, epochs=1, seed=1, workers=1, **options)


@pytest.mark.parametrize("kind", ["Word2Vec", "FastText"])
@pytest.mark.parametrize("part", ["model", "vectors"])
@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_words_and_vectors_are_those_that_were_saved(
    tmp_path: Path, kind: str, part: str, beside: bool, suffix: str
) -> None:
    model = trained(kind)
    saved = model if part == "model" else model.wv
    path = tmp_path / f"saved{suffix}"
    # As for large models, whose arrays go to files of their own.
    saved.save(str(path), sep_limit=0 if beside else 10**9)
    assert any(name.name != path.name for name in tmp_path.iterdir()) is beside
    for _ in range(2):
        ours = read_word_vectors(path)
        assert ours.words == model.wv.index_to_key
        # gensim does not save a FastText model's full vectors: both add them up, in another order.
        np.testing.assert_allclose(ours.matrix, model.wv.vectors, rtol=1e-5 if kind == "FastText" else 0)
    if kind == "FastText":
        np.testing.assert_allclose(ours.vectors_for(["banking"])[0][0], model.wv["banking"], rtol=1e-5)
    assert read_word_vectors(path, vocabulary=["Bank"]).words == ["bank"]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    model = trained("Word2Vec")
    path = tmp_path / "saved"
    path.write_bytes(pickle.dumps(model.wv, protocol=protocol))
    np.testing.assert_array_equal(read_word_vectors(path).matrix, model.wv.vectors)


def test_a_change_of_the_array_beside_the_file_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "saved"
    trained("Word2Vec").wv.save(str(path), sep_limit=0)
    before = read_word_vectors(path)
    beside = tmp_path / "saved.vectors.npy"
    np.save(beside, np.load(beside) + 1)
    np.testing.assert_array_equal(read_word_vectors(path).matrix, before.matrix + np.float32(1))


class Malicious:
    def __init__(self, call: Any, argument: str) -> None:
        self.call = call
        self.argument = argument

    def __reduce__(self) -> Any:
        return self.call, (self.argument,)


@pytest.mark.parametrize("call", [os.system, eval, exec, __import__])
def test_code_in_the_file_is_refused_and_never_run(tmp_path: Path, call: Any) -> None:
    trace = tmp_path / "trace"
    path = tmp_path / "evil"
    path.write_bytes(pickle.dumps({"vectors": Malicious(call, f"open({str(trace)!r}, 'w')")}))
    with pytest.raises(InputError, match="asks for code to be run, which was refused"):
        read_word_vectors(path)
    assert not trace.exists()


def test_an_object_array_beside_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "saved"
    trained("Word2Vec").wv.save(str(path), sep_limit=0)
    np.save(tmp_path / "saved.vectors.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"saved\.vectors\.npy: the array can't be read"):
        read_word_vectors(path)


def test_missing_and_damaged_parts_are_named(tmp_path: Path) -> None:
    path = tmp_path / "saved"
    trained("Word2Vec").wv.save(str(path), sep_limit=0)
    (tmp_path / "saved.vectors.npy").unlink()
    with pytest.raises(InputError, match=r"vectors is missing.*saved\.vectors\.npy.*copy them all"):
        read_word_vectors(path)
    data = pickle.dumps(trained("Word2Vec").wv)
    for content in (data[:-40], data[:3], gzip.compress(data)[:-30]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"saved: .*(cut short|damaged)"):
            read_word_vectors(path)
    path.write_bytes(pickle.dumps({"words": 3}))
    with pytest.raises(InputError, match=r"without word vectors.*found a dict"):
        read_word_vectors(path)
