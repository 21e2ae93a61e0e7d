"""One vocabulary serves two languages, small ones too; what they share is counted, and a bridge makes them share it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nlptransfer.crosslingual.shared_subwords import subword_overlap, train_shared_vocabulary
from nlptransfer.errors import InputError
from nlptransfer.models.subword_vocabulary import train_subword_vocabulary

LATIN = "bdgklmnprst"
SCRIPTS = (LATIN + "aeiou", "бдгклмнпрстаеиоу")
OTHER, BRIDGE = str.maketrans(*SCRIPTS), str.maketrans(*reversed(SCRIPTS))


def make_sentences(number: int, *, seed: int, stems: int = 60, own: int = 0) -> list[list[str]]:
    """Words of stem and ending in Latin script; `own` numbers a language with other stems and the same endings."""
    words = np.random.default_rng((5, own))
    made = ["".join(words.choice(list(LATIN)) + words.choice(list("aeiou")) for _ in range(3)) for _ in range(stems)]
    random = np.random.default_rng(seed)
    endings = ["mok", "ril", "nus", "ta"]
    return [
        [str(random.choice(made)) + str(random.choice(endings)) for _ in range(random.integers(4, 9))]
        for _ in range(number)
    ]


def in_other_script(sentences: list[list[str]]) -> list[list[str]]:
    return [[word.translate(OTHER) for word in sentence] for sentence in sentences]


def lines(sentences: list[list[str]]) -> list[str]:
    return [" ".join(sentence) for sentence in sentences]


SOURCE = make_sentences(300, seed=0)
TARGET = in_other_script(make_sentences(200, seed=1))
BRIDGED = [[word.translate(BRIDGE) for word in sentence] for sentence in TARGET]


def test_the_overlap_is_what_counting_pieces_line_by_line_gives() -> None:
    tokenizer = train_shared_vocabulary({"a": lines(SOURCE), "b": lines(TARGET)}, vocab_size=120, seed=0)
    source, target = [*SOURCE[:40], ["7"]], [*BRIDGED[:30], *TARGET[:9], ["xq☃", "7"], []]
    found = subword_overlap(tokenizer, source, target)
    counts = []
    for sentences in (source, target):
        pieces: Counter[str] = Counter()
        for sentence in sentences:
            for word in sentence:
                pieces.update(tokenizer.convert_ids_to_tokens(tokenizer(word, add_special_tokens=False)["input_ids"]))
        counts.append(pieces)
    types = [{piece for piece in own if piece != "[UNK]"} for own in counts]
    assert found.shared_types == pytest.approx(len(types[0] & types[1]) / len(types[0] | types[1]))
    known = sum(count for piece, count in counts[1].items() if piece in types[0])
    assert found.known_share == pytest.approx(known / counts[1].total())
    assert found.source_subwords_per_word == pytest.approx(counts[0].total() / sum(map(len, source)))
    assert found.target_subwords_per_word == pytest.approx(counts[1].total() / sum(map(len, target)))
    characters = "".join(word for sentence in target for word in sentence)
    known_letters = set("".join(lines(SOURCE) + lines(TARGET)))
    unknown = sum(letter not in known_letters for letter in characters) / len(characters)
    assert found.target_unknown_characters == pytest.approx(unknown) and unknown > 0
    assert found.source_unknown_characters > 0  # the 7
    assert "of the target's text" in found.summary()


def test_two_scripts_share_nothing_and_a_bridge_makes_them_share() -> None:
    apart = train_shared_vocabulary({"a": lines(SOURCE), "b": lines(TARGET)}, vocab_size=160, seed=0)
    without = subword_overlap(apart, SOURCE, TARGET)
    # The mark of a word's beginning may be a piece of its own; it is all that two scripts can share.
    assert without.shared_types < 0.02 and without.known_share < 0.35
    shared = train_shared_vocabulary({"a": lines(SOURCE), "b": lines(BRIDGED)}, vocab_size=160, seed=0)
    bridged = subword_overlap(shared, SOURCE, BRIDGED)
    assert bridged.known_share > 0.95 and bridged.shared_types > 0.8
    assert bridged.target_subwords_per_word < without.target_subwords_per_word


def test_text_that_the_vocabulary_cannot_spell_is_not_shared() -> None:
    only_source = train_subword_vocabulary(lines(SOURCE), vocab_size=80, seed=0)
    found = subword_overlap(only_source, [["☃☃"], *SOURCE], TARGET)
    assert found.target_unknown_characters == 1.0 and 0 < found.source_unknown_characters < 0.01
    unknown_alone = subword_overlap(only_source, [["☃"], *SOURCE], [["☃☃"]])
    assert unknown_alone.known_share <= 0.5  # the mark of the beginning, at most


def test_a_small_language_is_not_swamped() -> None:
    large, small = make_sentences(800, seed=2, stems=200), in_other_script(make_sentences(30, seed=3, own=1))
    texts = {"large": lines(large), "small": lines(small)}
    per_word = {
        exponent: subword_overlap(
            train_shared_vocabulary(texts, vocab_size=300, exponent=exponent, seed=0), large, small
        ).target_subwords_per_word
        for exponent in (1.0, 0.5, 0.0)
    }
    assert per_word[1.0] > per_word[0.5] > per_word[0.0]


def test_one_language_alone_gives_the_vocabulary_that_its_text_gives() -> None:
    shared = train_shared_vocabulary({"a": lines(SOURCE)}, vocab_size=90, kind="bpe", seed=0, max_length=7)
    alone = train_subword_vocabulary(lines(SOURCE), vocab_size=90, kind="bpe", seed=0, max_length=7)
    assert shared.get_vocab() == alone.get_vocab() and shared.model_max_length == 7


def test_a_language_without_text_or_words_is_named() -> None:
    with pytest.raises(InputError, match="no text of 'b'"):
        train_shared_vocabulary({"a": lines(SOURCE), "b": ["", " "]}, vocab_size=90, seed=0)
    with pytest.raises(TypeError, match="the lines of 'b' are read twice"):
        train_shared_vocabulary({"a": lines(SOURCE), "b": iter(lines(TARGET))}, vocab_size=90, seed=0)
    tokenizer = train_subword_vocabulary(lines(SOURCE), vocab_size=80, seed=0)
    with pytest.raises(InputError, match="the target has no words"):
        subword_overlap(tokenizer, SOURCE, [[]])
