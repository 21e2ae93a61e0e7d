"""Vectors that two languages share: the same every time, n-grams for any word, and tags that cross over a bridge."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from nlptransfer.crosslingual.subword_vectors import _balanced, train_shared_vectors
from nlptransfer.data.synthetic import make_tagged_languages
from nlptransfer.embeddings.packed_vectors import pack_vectors, unpack_vectors
from nlptransfer.embeddings.train_vectors import train_word_vectors
from nlptransfer.errors import InputError

SMALL = {"a": [["bata", "koli"], ["bata"]], "b": [["batu", "kolo", "bata"], []]}
SIZES = {"dim": 8, "num_buckets": 200, "epochs": 2}


def test_the_same_text_and_seed_give_the_same_vectors_also_in_another_process() -> None:
    vectors = train_shared_vectors(SMALL, **SIZES, seed=3)
    assert train_shared_vectors(SMALL, **SIZES, seed=4).digest != vectors.digest
    script = (
        "from nlptransfer.crosslingual.subword_vectors import train_shared_vectors\n"
        f"print(train_shared_vectors({SMALL!r}, **{SIZES!r}, seed=3).digest)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == vectors.digest


def test_an_unlisted_word_is_the_mean_of_its_ngrams_and_survives_packing() -> None:
    vectors = train_shared_vectors(SMALL, **SIZES, min_n=3, max_n=4, seed=0)
    assert vectors.subwords is not None and "a and b" in vectors.source
    (row,), (found_by,) = vectors.vectors_for(["koto"])
    assert found_by == "subwords"
    ngrams = ["<ko", "kot", "oto", "to>", "<kot", "koto", "oto>"]
    np.testing.assert_array_equal(
        np.sort(vectors.subwords.hashes("koto")), np.sort([_fnv(ngram) % 200 for ngram in ngrams])
    )
    expected = np.mean([vectors.subwords.ngrams[_fnv(ngram) % 200] for ngram in ngrams], axis=0)
    np.testing.assert_allclose(row, expected, rtol=1e-5)
    np.testing.assert_array_equal(unpack_vectors(*pack_vectors(vectors)).vectors_for(["koto"])[0][0], row)


def _fnv(text: str) -> int:
    """fastText's hash, written down from its paper's code: FNV-1a on signed bytes."""
    value = 2166136261
    for byte in text.encode():
        value = ((value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) % 2**32
    return value


def test_languages_have_their_shares_of_the_sample() -> None:
    texts = {"large": [["a", "b"]] * 4000, "small": [["c"]] * 500}
    for exponent, share in ((1.0, 500 / 8500), (0.5, 500**0.5 / (500**0.5 + 8000**0.5)), (0.0, 0.5)):
        sample = _balanced(texts, exponent, 0)
        words = [word for sentence in sample for word in sentence]
        assert words.count("c") / len(words) == pytest.approx(share, abs=0.01)
        assert len(words) == pytest.approx(8500, rel=0.03)
        half = words[: len(words) // 2]
        assert half.count("c") / len(half) == pytest.approx(share, abs=0.05)  # mixed, not one after the other


def test_a_language_without_words_is_named_and_rare_words_alone_are_refused() -> None:
    with pytest.raises(InputError, match="no words of 'b'"):
        train_shared_vectors({"a": [["x"]], "b": [[]]}, **SIZES, seed=0)
    with pytest.raises(InputError, match=r"no word to train.*at least 99 times"):
        train_shared_vectors(SMALL, **SIZES, min_count=99, seed=0)


LANGUAGES = make_tagged_languages(900, seed=0)
LETTERS = str.maketrans("बदफगकलमनपरसतवजाेिोु।", "bdfgklmnprstvzaeiou.")
SOURCE, TARGET = LANGUAGES.source["tokens"][:], LANGUAGES.target["tokens"][:]
TAGS = {
    name: dict(zip(np.concatenate(data["tokens"][:]).tolist(), np.concatenate(data["tags"][:]).tolist(), strict=True))
    for name, data in (("source", LANGUAGES.source), ("target", LANGUAGES.target))
}


def tag_unseen_words(target: list[list[str]], letters: dict[int, int]) -> tuple[float, float, float]:
    """Accuracy on target words that no text of training holds, the commonest class's share, and word2vec's coverage."""
    known = target[:450]
    vectors = train_shared_vectors(
        {"source": SOURCE, "target": known}, dim=30, epochs=8, min_n=2, max_n=4, num_buckets=5_000, seed=0
    )
    in_text = {word for sentence in [*SOURCE, *known] for word in sentence}
    tags = {word.translate(letters): tag for word, tag in TAGS["target"].items()}
    words = [word for word in tags if word not in in_text]
    gold = np.array([tags[word] for word in words])
    # From their n-grams alone, as the words to come will be.
    assert vectors.subwords is not None
    source = [word for word in TAGS["source"] if len(vectors.subwords.rows(word))]
    rows = np.stack([vectors.subwords.vector(word) for word in source])
    model = LogisticRegression(C=100, max_iter=2000).fit(rows, [TAGS["source"][word] for word in source])
    found, found_by = vectors.vectors_for(words)
    assert set(found_by) == {"subwords"}
    plain = train_word_vectors([*SOURCE, *known], dim=5, epochs=1, seed=0)
    covered = np.mean([name != "not found" for name in plain.vectors_for(words)[1]])
    return float((model.predict(found) == gold).mean()), float(np.bincount(gold).max() / len(gold)), float(covered)


def test_words_on_no_list_cross_over_a_bridge_by_their_subwords() -> None:
    accuracy, commonest, covered_by_word2vec = tag_unseen_words(
        [[word.translate(LETTERS) for word in sentence] for sentence in TARGET], LETTERS
    )
    assert covered_by_word2vec == 0.0
    assert accuracy > commonest + 0.1


def test_without_a_bridge_subwords_carry_no_tags_over() -> None:
    accuracy, commonest, _ = tag_unseen_words(TARGET, {})
    assert accuracy < commonest + 0.05
