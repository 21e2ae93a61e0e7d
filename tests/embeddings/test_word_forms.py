"""Other spellings of a word, and which rows of a file they make worth reading."""

import unicodedata

import pytest

from nlptransfer.embeddings.word_forms import FALLBACKS, WantedWords, check_fallbacks, word_forms
from nlptransfer.errors import InputError


def test_without_fallbacks_a_word_is_only_itself() -> None:
    assert word_forms("US-1990", ()) == [("US-1990", "exact")]


def test_fallbacks_build_on_each_other_in_order() -> None:
    forms = dict(word_forms("US-19", FALLBACKS))
    assert forms == {
        "US-19": "exact",
        "us-19": "lower case",
        "US-00": "digits folded",
        "US-##": "digits folded",
        "us-00": "digits folded",
        "us-##": "digits folded",
    }


def test_digits_of_every_script_are_folded() -> None:
    assert ("00", "digits folded") in word_forms("۱۹", ["digits folded"])
    assert ("##", "digits folded") in word_forms("१९", ["digits folded"])


def test_composed_and_compatibility_forms_are_tried() -> None:
    assert dict(word_forms("cafe\u0301", ["unicode form"])) == {"cafe\u0301": "exact", "café": "unicode form"}
    assert ("fi", "unicode form") in word_forms("\ufb01", ["unicode form"])


@pytest.mark.parametrize("fallbacks", ["lower case", ["lowercase"], ["lower case", "stemmed"]])
def test_an_unknown_fallback_is_an_error_that_lists_the_known_ones(fallbacks: list[str]) -> None:
    with pytest.raises(InputError, match="'digits folded'"):
        check_fallbacks(fallbacks)


def test_wanted_words_are_those_that_some_fallback_could_use() -> None:
    wanted = WantedWords(["Bank", "1990", "café"], FALLBACKS)
    for word in ["Bank", "bank", "0000", "####", "1990", "café", unicodedata.normalize("NFD", "café")]:
        assert word in wanted
        assert wanted.may_start_with(word.encode())
    for word in ["BANK", "000", "cafe", "rates"]:
        assert word not in wanted
        assert not wanted.may_start_with(word.encode())
    assert "bank" not in WantedWords(["Bank"], ["digits folded"])


def test_a_wanted_word_with_a_space_is_recognised_by_its_beginning() -> None:
    wanted = WantedWords(["New York", "10 km"], FALLBACKS)
    assert wanted.may_start_with(b"New") and "New" not in wanted and "New York" in wanted
    assert wanted.may_start_with("10\u00a0km".encode()) and "10\u00a0km" in wanted
