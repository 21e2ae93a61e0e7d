"""Every word gives a row, equal to what transformers makes of the sentence, long sentences included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nlptransfer.embeddings.encoder_word_features import EncoderWordFeatures
from nlptransfer.errors import InputError

WORDS = ["a", "good", "book", "dull", "and", "bad", "read", "##s", "##er", "not"]
SENTENCES = [["a", "readers", "book"], [], ["not"], ["reads", "\u200d", "unheard", "bad"]]


@pytest.fixture
def tiny(make_bert: Callable[..., Path]) -> Path:
    """An untrained BERT of two layers that reads at most 24 tokens."""
    return make_bert(WORDS, num_layers=2, max_length=24)


def slowly(folder: Path, pieces: list[list[str]], subwords: str, layers: tuple[int, ...] = (-1,)) -> np.ndarray:
    """(words, H) of one sentence of words given as subwords, without padding."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = ["[CLS]", *(piece for word in pieces for piece in word), "[SEP]"]
    ids = torch.tensor([tokenizer.convert_tokens_to_ids(tokens)])
    with torch.no_grad():
        output = AutoModel.from_pretrained(folder).eval()(ids, output_hidden_states=True)
    hidden = torch.stack(output.hidden_states)[list(layers), 0].mean(dim=0).numpy()
    rows, at = [], 1
    for word in pieces:
        rows.append(hidden[at] if subwords == "first" else hidden[at : at + len(word)].mean(axis=0))
        at += len(word)
    return np.array(rows)


@pytest.mark.parametrize("subwords", ["first", "mean"])
@pytest.mark.parametrize("layers", [(-1,), (0, 1)])
def test_words_are_their_subwords_in_the_sentence(tiny: Path, subwords: Any, layers: tuple[int, ...]) -> None:
    features = EncoderWordFeatures(tiny, subwords=subwords, layers=layers, max_length=24, batch_size=2)
    rows, starts = features.encode(SENTENCES)
    assert rows.shape == (8, features.dim) == (8, 8) and rows.dtype == np.float32
    assert starts.tolist() == [0, 3, 3, 4, 8]
    # A word of which the tokenizer makes nothing is read as one that it does not know.
    pieces = [
        [["a"], ["read", "##er", "##s"], ["book"]],
        [["not"]],
        [["read", "##s"], ["[UNK]"], ["[UNK]"], ["bad"]],
    ]
    expected = np.concatenate([slowly(tiny, sentence, subwords, layers) for sentence in pieces])
    np.testing.assert_allclose(rows, expected, atol=1e-5)


def test_no_sentences_give_no_rows(tiny: Path) -> None:
    for sentences in ([], [[]]):
        rows, starts = EncoderWordFeatures(tiny, max_length=8).encode(sentences)
        assert rows.shape == (0, 8) and starts.tolist() == [0] * (len(sentences) + 1)


@pytest.mark.parametrize("max_length", [3, 5, 8, 12, 24])
def test_a_sentence_longer_than_the_encoder_reads_gives_a_row_for_every_word(tiny: Path, max_length: int) -> None:
    sentences = [["readers", "a", "good", "\u200d"] * 20, ["book"]]
    for subwords in ("first", "mean"):
        rows, starts = EncoderWordFeatures(tiny, subwords=subwords, max_length=max_length).encode(sentences)
        assert rows.shape == (81, 8) and starts.tolist() == [0, 80, 81]
        assert np.isfinite(rows).all() and rows.any(axis=1).all()


def test_words_in_windows_are_read_with_words_on_either_side(tiny: Path) -> None:
    words = ["a", "good", "book", "and", "a", "dull", "book", "and", "not", "a", "good", "read", "a", "bad", "read"] * 2
    rows, _ = EncoderWordFeatures(tiny, max_length=12).encode([words])
    # Room for 10 words, 2 of them of context on either side: the first window counts 8, the next ones 6.
    first = slowly(tiny, [[word] for word in words[:10]], "first")
    second = slowly(tiny, [[word] for word in words[6:16]], "first")
    np.testing.assert_allclose(rows[:8], first[:8], atol=1e-5)
    np.testing.assert_allclose(rows[8:14], second[2:8], atol=1e-5)


def test_words_that_are_too_long_are_reported(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows, _ = EncoderWordFeatures(tiny, max_length=4).encode([["readers", "a"]])
    assert len(rows) == 2
    assert "Of 1 words only the first subwords were read" in caplog.text


def test_a_second_run_does_not_load_the_encoder(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = EncoderWordFeatures(tiny, max_length=24).encode(SENTENCES)
    seven = np.full((8, 8), 7, np.float32)
    monkeypatch.setattr(EncoderWordFeatures, "_compute", lambda self, sentences: seven)
    again, starts = EncoderWordFeatures(tiny, max_length=24).encode(SENTENCES)
    np.testing.assert_array_equal(again, first)
    assert starts.tolist() == [0, 3, 3, 4, 8]
    others = [
        EncoderWordFeatures(tiny, max_length=24, subwords="mean").encode(SENTENCES),
        EncoderWordFeatures(tiny, max_length=24, layers=(1,)).encode(SENTENCES),
        EncoderWordFeatures(tiny, max_length=24, precision="bf16").encode(SENTENCES),
        EncoderWordFeatures(tiny, max_length=23).encode(SENTENCES),
        EncoderWordFeatures(tiny, max_length=24).encode([["a", "readersbook"], *SENTENCES[1:], ["a"]]),
        EncoderWordFeatures(tiny, max_length=24, cache=False).encode(SENTENCES),
    ]
    assert all((rows == 7).all() for rows, _ in others)


def test_what_can_not_be_is_refused(tiny: Path) -> None:
    with pytest.raises(InputError, match="first or mean; found 'last'"):
        EncoderWordFeatures(tiny, subwords="last", max_length=24)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"max_length leaves no room for a word.*at least 3.*found 2"):
        EncoderWordFeatures(tiny, max_length=2).encode([["a"]])
    with pytest.raises(InputError, match="at most 24; found 25"):
        EncoderWordFeatures(tiny, max_length=25)
