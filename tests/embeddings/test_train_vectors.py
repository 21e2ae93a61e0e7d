"""Vectors trained on the spot: the same every time, and closer for words that share contexts."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nlptransfer.embeddings.train_vectors import train_word_vectors
from nlptransfer.errors import InputError

SENTENCES = [["a", "good", "book"], ["a", "bad", "film", "film"], []]


def test_the_same_text_and_seed_give_the_same_vectors() -> None:
    first = train_word_vectors(iter(SENTENCES), dim=8, seed=3)
    again = train_word_vectors(SENTENCES, dim=8, seed=3)
    other = train_word_vectors(SENTENCES, dim=8, seed=4)
    np.testing.assert_array_equal(first.matrix, again.matrix)
    assert first.words == again.words and first.digest == again.digest != other.digest
    assert first.matrix.shape == (5, 8) and first.matrix.dtype == np.float32


def test_another_process_with_another_hash_seed_gives_the_same_vectors() -> None:
    script = (
        "from nlptransfer.embeddings.train_vectors import train_word_vectors\n"
        f"print(train_word_vectors({SENTENCES!r}, dim=8, seed=3).digest)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == train_word_vectors(SENTENCES, dim=8, seed=3).digest


@pytest.mark.parametrize("skip_gram", [True, False])
def test_words_that_share_contexts_come_closer_than_words_that_do_not(skip_gram: bool) -> None:
    generator = np.random.default_rng(0)
    animals, tools = ["cat", "dog"], ["saw", "hammer"]
    sentences = [
        ["the", str(generator.choice(nouns)), *generator.choice(context, size=3).tolist()]
        for _ in range(400)
        for nouns, context in ((animals, ["eats", "sleeps", "runs", "fur"]), (tools, ["steel", "wood", "cuts", "nail"]))
    ]
    vectors = train_word_vectors(sentences, dim=10, epochs=40, skip_gram=skip_gram, seed=1)
    rows = vectors.vectors_for(["cat", "dog", "saw"])[0]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.1


def test_rare_words_are_left_out_and_no_words_at_all_is_an_error() -> None:
    assert train_word_vectors(SENTENCES, dim=4, min_count=2, seed=0).words == ["film", "a"]
    with pytest.raises(InputError, match=r"no word to train.*at least 9 times.*3 sentences of 7 tokens"):
        train_word_vectors(SENTENCES, dim=4, min_count=9, seed=0)
    with pytest.raises(InputError, match="no word to train"):
        train_word_vectors([], seed=0)
