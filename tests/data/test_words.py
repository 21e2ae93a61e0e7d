"""Words are kept whole in the scripts that the toolkit meets, and punctuation is left out."""

from __future__ import annotations

import pytest

from nlptransfer.data.words import split_tokens, split_words


def test_negation_and_words_of_one_letter_are_kept() -> None:
    assert split_words("I don't like it: 'a bore', 2/5!") == ["I", "don't", "like", "it", "a", "bore", "2", "5"]
    assert split_words("the readers' choice ''") == ["the", "readers", "choice"]


def test_both_apostrophes_make_the_same_word() -> None:
    assert split_words("didn\u2019t \u2018quote\u2019") == ["didn't", "quote"]


@pytest.mark.parametrize("text", ["", " \n", "!?", "'", "\u0301"])
def test_a_text_without_words_has_none(text: str) -> None:
    assert split_words(text) == []


def test_hindi_and_urdu_words_are_whole_and_their_full_stops_are_not_words() -> None:
    assert split_words("यह किताब अच्छी नहीं है।") == ["यह", "किताब", "अच्छी", "नहीं", "है"]
    assert split_words("می\u200cخواهم") == ["می\u200cخواهم"]
    assert split_words("یہ کِتاب اچّھی نہیں ہے۔") == ["یہ", "کِتاب", "اچّھی", "نہیں", "ہے"]


def test_tokens_are_the_words_and_each_other_sign() -> None:
    assert split_tokens("I don't: 2/5.") == ["I", "don't", ":", "2", "/", "5", "."]
    assert split_tokens("یہ کتاب، اچھی ہے۔") == ["یہ", "کتاب", "،", "اچھی", "ہے", "۔"]
    assert split_tokens("मैं घर जाता हूँ।") == ["मैं", "घर", "जाता", "हूँ", "।"]
    assert split_tokens(" \n") == []
