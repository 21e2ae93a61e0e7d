"""The tokenizer splits as sentencepiece does, loads by AutoTokenizer, and says which sizes a text allows."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece

from nlptransfer.errors import InputError
from nlptransfer.models.subword_vocabulary import (
    SPECIAL,
    sample_lines,
    tokenizer_from_sentencepiece,
    train_sentencepiece,
    train_subword_vocabulary,
)

DEVANAGARI = ("कखगघचछजझटठडढणतथदधनपफबभमयरलवशसह", ("", "ा", "ि", "ी", "ु", "े", "ो", "्", "ं", "़"))
ARABIC = ("ابپتٹجچحخدڈرزسشعغفقکگلمنوہیےۓ", ("", "", "", "َ", "ِ", "ُ", "ّ"))


def sentences(number: int, *, seed: int) -> list[str]:
    """Invented Hindi-like and Urdu-like text of a few hundred words each, with signs, digits and Latin words."""
    random = np.random.default_rng(seed)
    lexicon = []
    for letters, marks in (DEVANAGARI, ARABIC):
        own = np.random.default_rng(7)
        lexicon.append(
            [
                "".join(own.choice(list(letters)) + own.choice(marks) for _ in range(own.integers(1, 5)))
                for _ in range(500)
            ]
        )
    made = []
    for row in range(number):
        words = lexicon[row % 2]
        chosen = [words[min(499, int(random.exponential(120)))] for _ in range(random.integers(3, 12))]
        if row % 5 == 0:
            chosen.insert(1, str(random.integers(0, 3000)))
        if row % 7 == 0:
            chosen.append("Delhi")
        made.append(" ".join(chosen) + ("।" if row % 2 == 0 else " ۔"))
    return made


TEXT = sentences(600, seed=0)
AWKWARD = [
    "", " ", "  two  spaces ", "१२३४ ۴۵۶ 2026", "नई☃दिल्ली ☃☃ 😀", "ﷲ اﻟﺒﻴﺖ", "क़लम", "ｆｕｌｌ ½ …", "a\tb\nc",
    "unseen Cyrillic слово", "x" * 70, "۔۔۔", "ز\u200cن",
]  # fmt: skip


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def trained(request: pytest.FixtureRequest) -> tuple[str, bytes]:
    return request.param, train_sentencepiece(TEXT, kind=request.param, vocab_size=400)


def test_pieces_are_sentencepieces_own(trained: tuple[Any, bytes]) -> None:
    kind, model = trained
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    tokenizer = tokenizer_from_sentencepiece(model, kind=kind, max_length=32)
    known = 0
    for text in [*sentences(300, seed=5), *AWKWARD]:
        normalised = " ".join(unicodedata.normalize("NFKC", text).split())
        found = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert found == processor.encode(normalised, out_type=int), text
        expected = processor.encode(normalised, out_type=str)
        shown = tokenizer.convert_ids_to_tokens(found)
        assert [piece for piece in shown if piece != "[UNK]"] == [
            piece for piece, number in zip(expected, found, strict=True) if number != 1
        ], text
        known += len(found)
    assert known > 3000


def test_special_tokens_stand_around_a_text_and_words_keep_their_places(trained: tuple[Any, bytes]) -> None:
    kind, model = trained
    tokenizer = tokenizer_from_sentencepiece(model, kind=kind, max_length=8)
    assert tokenizer.convert_ids_to_tokens(range(5)) == list(SPECIAL)
    assert sorted(tokenizer.all_special_ids) == [0, 1, 2, 3, 4]
    assert (tokenizer.pad_token_id, tokenizer.mask_token_id, tokenizer.model_max_length) == (0, 4, 8)
    single = tokenizer(TEXT[0])["input_ids"]
    assert (single[0], single[-1]) == (2, 3) and 2 not in single[1:]
    pair = tokenizer(TEXT[0], TEXT[1])["input_ids"]
    assert pair[: len(single)] == single and pair[-1] == 3
    assert tokenizer("a [MASK] b")["input_ids"].count(4) == 1
    words = TEXT[1].split()
    encoded = tokenizer(words, is_split_into_words=True)
    assert set(encoded.word_ids()) == {None, *range(len(words))}
    assert encoded["input_ids"] == tokenizer(TEXT[1])["input_ids"]
    assert tokenizer.decode(tokenizer(TEXT[1])["input_ids"], skip_special_tokens=True) == TEXT[1]


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_autotokenizer_loads_the_folder_of_a_model(tmp_path: Path, kind: Any) -> None:
    from transformers import AutoTokenizer

    from nlptransfer.models.small_encoder import make_small_encoder

    tokenizer = train_subword_vocabulary(iter(TEXT), kind=kind, vocab_size=300, seed=0, max_length=16)
    tokenizer.save_pretrained(tmp_path)
    make_small_encoder(len(tokenizer), seed=0, num_layers=1, hidden_dim=8).save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert loaded.is_fast and len(loaded) == 300
    for text in [*TEXT[:50], *AWKWARD]:
        assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert loaded.all_special_tokens == tokenizer.all_special_tokens
    assert loaded.model_max_length == 16


def test_the_same_text_gives_the_same_vocabulary() -> None:
    first, again, other = (
        train_subword_vocabulary(TEXT, vocab_size=300, seed=seed, max_lines=150).get_vocab() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other, "another sample of the lines"


def test_a_sample_is_fair_and_no_larger_than_asked() -> None:
    lines = [str(number) for number in range(40)]
    assert sample_lines(lines, max_lines=50, seed=0) == lines
    counts = np.zeros(40)
    for seed in range(600):
        sample = sample_lines(iter(lines), max_lines=10, seed=seed)
        assert len(set(sample)) == 10
        counts[[int(line) for line in sample]] += 1
    # Each with a chance of a quarter: 150, give or take.
    assert abs(counts - 150).max() < 5 * (600 * 0.25 * 0.75) ** 0.5


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_size_that_the_text_does_not_allow_is_said_with_one_that_it_does(kind: Any) -> None:
    with pytest.raises(InputError, match="vocab_size is larger than this text allows") as caught:
        train_subword_vocabulary(TEXT, kind=kind, vocab_size=50_000, seed=0)
    largest = int(str(caught.value).split("at most ")[1].split(";")[0])
    assert len(train_subword_vocabulary(TEXT, kind=kind, vocab_size=largest, seed=0)) == largest
    with pytest.raises(InputError, match="smaller than the number of characters") as caught:
        train_subword_vocabulary(TEXT, kind=kind, vocab_size=20, seed=0)
    assert "found 20" in str(caught.value)
    with pytest.raises(InputError, match="no text to learn a vocabulary from"):
        train_subword_vocabulary([], kind=kind, vocab_size=20, seed=0)


def test_coverage_leaves_out_the_rarest_characters() -> None:
    lines = ["abab baba abba"] * 300 + ["ab ☃"]
    whole = train_subword_vocabulary(lines, vocab_size=10, seed=0)
    most = train_subword_vocabulary(lines, vocab_size=9, seed=0, character_coverage=0.99)
    assert whole.unk_token_id not in whole("☃")["input_ids"]
    assert most.unk_token_id in most("☃")["input_ids"]
