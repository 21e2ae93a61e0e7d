"""Word lists: what is read and refused, what comes back, how vocabularies give pairs, and what vectors cover."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nlptransfer.crosslingual.lexicon import (
    Lexicon,
    cognates,
    identical_strings,
    lexicon_of_rows,
    lexicon_rows,
    numerals,
    read_lexicon,
    split_lexicon,
    write_lexicon,
)
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError


def vectors(*words: str) -> WordVectors:
    return WordVectors(list(words), np.ones((len(words), 2), np.float32), None, source="test", digest="test")


def test_spaces_and_tabs_part_words_and_repeated_pairs_count_once(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text("घर گھر\n\nघर\tمکان\nघर   گھر\nनई दिल्ली\tنئی دہلی\n", encoding="utf-8")
    lexicon = read_lexicon(path)
    assert lexicon.pairs == (("घर", "گھر"), ("घर", "مکان"), ("नई दिल्ली", "نئی دہلی"))
    assert lexicon.translations() == {"घर": ["گھر", "مکان"], "नई दिल्ली": ["نئی دہلی"]}
    assert lexicon.reversed().pairs[1] == ("مکان", "घर")


def test_named_columns_are_read_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "names.tsv"
    path.write_text("kind\ten\thi\tur\nt\tIndia\tभारत\tبھارت\nl\tUrdu\tउर्दू\tاردو\n", encoding="utf-8")
    assert read_lexicon(path, source_column="hi", target_column="ur").pairs == (("भारत", "بھارت"), ("उर्दू", "اردو"))
    with pytest.raises(InputError, match=r"names\.tsv, line 1: there is no column 'urdu'.*Found 'kind', 'en'"):
        read_lexicon(path, source_column="hi", target_column="urdu")
    with pytest.raises(ValueError, match="both columns"):
        read_lexicon(path, source_column="hi")


@pytest.mark.parametrize("bad", ["alone", "one two three", "one\t", "a\tb\tc"])
def test_a_line_that_is_no_pair_is_named_with_its_number(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text(f"a b\n\n{bad}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"pairs\.txt, line 3: the line is not a pair of words.*tab"):
        read_lexicon(path)


def test_an_empty_file_holds_no_pair(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(InputError, match="no word pair"):
        read_lexicon(path)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    lexicon = Lexicon((("a", "x"), ("a b", "y"), ("c", "y z")))
    write_lexicon(tmp_path / "pairs.txt", lexicon)
    assert (tmp_path / "pairs.txt").read_text(encoding="utf-8") == "a x\na b\ty\nc\ty z\n"
    assert read_lexicon(tmp_path / "pairs.txt") == lexicon
    for word in ("", "a\tb", "a\nb"):
        with pytest.raises(InputError, match="line 2: a word can't be written"):
            write_lexicon(tmp_path / "bad.txt", Lexicon((("a", "x"), ("b", word))))
    assert not (tmp_path / "bad.txt").exists()


def test_no_source_word_is_in_both_parts_of_a_split() -> None:
    lexicon = Lexicon(tuple((f"s{number % 10}", f"t{number}") for number in range(30)))
    train, test = split_lexicon(lexicon, train_share=0.3, generator=np.random.default_rng(3))
    assert len(train.translations()) == 3
    assert len(test.translations()) == 7
    assert not set(train.translations()) & set(test.translations())
    assert set(train.pairs) | set(test.pairs) == set(lexicon.pairs)
    other, _ = split_lexicon(lexicon, train_share=0.3, generator=np.random.default_rng(4))
    assert other != train
    with pytest.raises(ValueError, match="between 0 and 1"):
        split_lexicon(lexicon, train_share=30, generator=np.random.default_rng(3))


def test_rows_and_coverage_are_those_counted_by_hand() -> None:
    lexicon = Lexicon((("a", "x"), ("a", "missing"), ("b", "missing"), ("absent", "y"), ("c", "y")))
    rows = lexicon_rows(lexicon, vectors("c", "b", "a"), vectors("x", "y", "z", "w"))
    assert rows.pairs.tolist() == [[2, 0], [0, 1]]
    assert (rows.num_pairs, rows.num_source_words, rows.num_covered) == (5, 4, 2)
    assert (rows.num_without_source, rows.num_without_target) == (1, 1)
    assert rows.coverage == 0.5
    assert rows.summary().startswith("2 of 4 source words covered (50.0%); 2 of 5 pairs")
    assert lexicon_of_rows(rows.pairs, ["c", "b", "a"], ["x", "y"]).pairs == (("a", "x"), ("c", "y"))
    empty = lexicon_rows(Lexicon(()), vectors("a"), vectors("x"))
    assert empty.pairs.shape == (0, 2)
    assert empty.coverage == 0.0


def test_a_word_is_found_under_its_other_unicode_form_but_not_in_another_case() -> None:
    composed, decomposed = "\u0958\u0932\u092e", "\u0915\u093c\u0932\u092e"  # qa in one code point, and in two
    lexicon = Lexicon(((composed, "x"), ("Delhi", "x")))
    assert lexicon_rows(lexicon, vectors(decomposed, "delhi"), vectors("x")).pairs.tolist() == [[0, 0]]
    assert not len(lexicon_rows(lexicon, vectors(decomposed, "delhi"), vectors("x"), fallbacks=()).pairs)


def test_identical_strings_keep_the_source_order() -> None:
    assert identical_strings(["b", "a", "b", "c"], ["a", "b", "d"]).pairs == (("b", "b"), ("a", "a"))


def test_numerals_meet_across_scripts_by_their_digits() -> None:
    found = numerals(["१९४७", "घर", "07", "x7", "²"], ["۱۹۴۷", "1947", "7", "٠٧", "²"])
    assert found.pairs == (("१९४७", "۱۹۴۷"), ("१९४७", "1947"), ("07", "٠٧"))


def test_cognates_are_the_most_frequent_words_of_a_key_on_both_sides() -> None:
    source, target = ["Tak", "dili", "tek", "ab", "rare"], ["DaLi", "TK", "TiK", "oo", "RN"]

    def consonants(word: str) -> str:
        return "".join(letter for letter in word.lower() if letter not in "aeiou")

    assert cognates(source, target, consonants).pairs == (("Tak", "TK"), ("dili", "DaLi"))
    assert cognates(source, target, lambda word: consonants(word)[:1]).pairs == (
        ("Tak", "TK"),
        ("dili", "DaLi"),
        ("rare", "RN"),
    )
    assert cognates(source, target, lambda word: consonants(word)[:1], max_rank=2).pairs == (
        ("Tak", "TK"),
        ("dili", "DaLi"),
    )
    assert not cognates(source, target, consonants, min_key_length=3).pairs
    assert not cognates(["a"], ["o"], consonants).pairs, "an empty key is no key"
    with pytest.raises(ValueError, match="start at 1"):
        cognates(source, target, consonants, min_key_length=0)
