"""Normalisation of Urdu and Hindi, on the awkward code points by name and as a property of both blocks."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable

import pytest

from nlptransfer.crosslingual.script_normalisation import (
    normalise,
    normalise_devanagari,
    normalise_latin,
    normalise_urdu,
    with_urdu_letters,
)
from nlptransfer.errors import InputError

named = unicodedata.lookup

ARABIC = [chr(code) for code in (*range(0x600, 0x700), *range(0xFB50, 0xFE00), *range(0xFE70, 0xFF00), 0x200C, 0x200D)]
DEVANAGARI = [chr(code) for code in (*range(0x900, 0x980), 0x200C, 0x200D)]


@pytest.mark.parametrize(
    ("letter", "expected"),
    [
        ("ARABIC LETTER KAF", "ک"),
        ("ARABIC LETTER SWASH KAF", "ک"),
        ("ARABIC LETTER YEH", "ی"),
        ("ARABIC LETTER ALEF MAKSURA", "ی"),
        ("ARABIC LETTER HEH", "ہ"),
        ("ARABIC LETTER AE", "ہ"),
        ("ARABIC LETTER TEH MARBUTA", "ۃ"),
        ("ARABIC LETTER ALEF WITH HAMZA ABOVE", "ا"),
        ("ARABIC LETTER ALEF WITH HAMZA BELOW", "ا"),
        ("ARABIC LETTER ALEF WASLA", "ا"),
        ("ARABIC LETTER HEH WITH YEH ABOVE", "ۂ"),
        ("ARABIC LETTER YEH BARREE WITH HAMZA ABOVE", "ئے"),
        ("ARABIC LETTER HIGH HAMZA WAW", "ؤ"),
        ("ARABIC LETTER HIGH HAMZA YEH", "ئ"),
        ("ARABIC TATWEEL", ""),
        ("ZERO WIDTH NON-JOINER", ""),
        ("ZERO WIDTH JOINER", ""),
        ("ZERO WIDTH NO-BREAK SPACE", ""),
        ("RIGHT-TO-LEFT MARK", ""),
        ("ARABIC SMALL HIGH LIGATURE SAD WITH LAM WITH ALEF MAKSURA", ""),
        ("ARABIC FATHA", ""),
        ("ARABIC SHADDA", ""),
        ("ARABIC SUKUN", ""),
        ("ARABIC-INDIC DIGIT FOUR", "4"),
        ("EXTENDED ARABIC-INDIC DIGIT SEVEN", "7"),
        ("ARABIC COMMA", ","),
        ("ARABIC SEMICOLON", ";"),
        ("ARABIC QUESTION MARK", "?"),
        ("ARABIC PERCENT SIGN", "%"),
        ("ARABIC DECIMAL SEPARATOR", "."),
        ("ARABIC FULL STOP", "۔"),
        ("ARABIC LETTER KEHEH INITIAL FORM", "ک"),
        ("ARABIC LETTER YEH FINAL FORM", "ی"),
        ("ARABIC LETTER HEH GOAL MEDIAL FORM", "ہ"),
        ("ARABIC LETTER YEH BARREE FINAL FORM", "ے"),
        ("ARABIC LETTER NOON GHUNNA FINAL FORM", "ں"),
        ("ARABIC LIGATURE LAM WITH ALEF FINAL FORM", "لا"),
        ("ARABIC LIGATURE LAM WITH ALEF WITH MADDA ABOVE ISOLATED FORM", "لآ"),
        ("ARABIC LIGATURE ALLAH ISOLATED FORM", "اللہ"),
        ("ARABIC LIGATURE SHADDA WITH FATHA ISOLATED FORM", ""),
        ("ARABIC FATHATAN ISOLATED FORM", ""),
        ("RIAL SIGN", "ریال"),
    ],
)
def test_awkward_code_points_of_urdu(letter: str, expected: str) -> None:
    assert normalise_urdu(named(letter)) == expected


@pytest.mark.parametrize(
    ("base", "mark", "expected"),
    [
        ("ARABIC LETTER ALEF", "ARABIC MADDAH ABOVE", "آ"),
        ("ARABIC LETTER WAW", "ARABIC HAMZA ABOVE", "ؤ"),
        ("ARABIC LETTER FARSI YEH", "ARABIC HAMZA ABOVE", "ئ"),
        ("ARABIC LETTER YEH", "ARABIC HAMZA ABOVE", "ئ"),
        ("ARABIC LETTER ALEF MAKSURA", "ARABIC HAMZA ABOVE", "ئ"),
        ("ARABIC LETTER FARSI YEH", "ARABIC LETTER HIGH HAMZA", "ئ"),
        ("ARABIC LETTER HEH GOAL", "ARABIC HAMZA ABOVE", "ۂ"),
        ("ARABIC LETTER YEH BARREE", "ARABIC HAMZA ABOVE", "ئے"),
        ("ARABIC LETTER ALEF", "ARABIC HAMZA ABOVE", "ا"),
        ("ARABIC LETTER BEH", "ARABIC HAMZA ABOVE", "ب"),
    ],
)
def test_hamza_and_madda_join_the_letter_that_carries_them(base: str, mark: str, expected: str) -> None:
    assert normalise_urdu(named(base) + named("ZERO WIDTH JOINER") + named(mark)) == expected
    assert normalise_urdu(named(base) + named(mark)) == expected


def test_urdu_keeps_the_two_vowel_marks_that_it_writes() -> None:
    fathatan, small_alef = named("ARABIC FATHATAN"), named("ARABIC LETTER SUPERSCRIPT ALEF")
    assert normalise_urdu(f"فورا{fathatan}") == normalise_urdu(f"فور{fathatan}ا") == f"فورا{fathatan}"
    assert normalise_urdu(f"اعلی{small_alef}") == f"اعلی{small_alef}"
    assert normalise_urdu(f"رحم{small_alef}ن") == "رحمن"
    assert normalise_urdu("مُحَمَّد") == "محمد"


def test_yeh_barree_and_do_chashmi_he_stand_only_where_urdu_has_them() -> None:
    assert normalise_urdu("مےں اےک") == "میں ایک"
    assert normalise_urdu("بڑے کے ساتھ") == "بڑے کے ساتھ"
    assert normalise_urdu("ھے ھو اھم") == "ہے ہو اہم"
    assert normalise_urdu("انھوں بھی") == "انھوں بھی"


def test_letters_keep_their_marks_for_whoever_reads_aloud() -> None:
    assert with_urdu_letters("اُس مےں") == "اُس مےں"
    assert with_urdu_letters(named("ARABIC LETTER KAF") + named("ARABIC KASRA")) == "کِ"


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        (["DEVANAGARI LETTER QA"], ["DEVANAGARI LETTER KA", "DEVANAGARI SIGN NUKTA"]),
        (["DEVANAGARI LETTER ZA"], ["DEVANAGARI LETTER JA", "DEVANAGARI SIGN NUKTA"]),
        (["DEVANAGARI LETTER RHA"], ["DEVANAGARI LETTER DDHA", "DEVANAGARI SIGN NUKTA"]),
        (["DEVANAGARI LETTER NA", "DEVANAGARI SIGN NUKTA"], ["DEVANAGARI LETTER NNNA"]),
        (["DEVANAGARI LETTER RA", "DEVANAGARI SIGN NUKTA"], ["DEVANAGARI LETTER RRA"]),
        (
            ["DEVANAGARI LETTER JA", "DEVANAGARI VOWEL SIGN AA", "DEVANAGARI SIGN NUKTA"],
            ["DEVANAGARI LETTER JA", "DEVANAGARI SIGN NUKTA", "DEVANAGARI VOWEL SIGN AA"],
        ),
        (["DEVANAGARI SIGN CANDRABINDU"], ["DEVANAGARI SIGN ANUSVARA"]),
        (["DEVANAGARI SIGN INVERTED CANDRABINDU"], ["DEVANAGARI SIGN ANUSVARA"]),
        (["DEVANAGARI LETTER A", "DEVANAGARI VOWEL SIGN AA"], ["DEVANAGARI LETTER AA"]),
        (["DEVANAGARI LETTER A", "DEVANAGARI VOWEL SIGN AA", "DEVANAGARI VOWEL SIGN E"], ["DEVANAGARI LETTER O"]),
        (["DEVANAGARI VOWEL SIGN AA", "DEVANAGARI VOWEL SIGN E"], ["DEVANAGARI VOWEL SIGN O"]),
        (["DEVANAGARI VOWEL SIGN AA", "DEVANAGARI VOWEL SIGN CANDRA E"], ["DEVANAGARI VOWEL SIGN CANDRA O"]),
        (["DEVANAGARI VOWEL SIGN II", "DEVANAGARI VOWEL SIGN II"], ["DEVANAGARI VOWEL SIGN II"]),
        (["DEVANAGARI VOWEL SIGN SHORT E"], ["DEVANAGARI VOWEL SIGN E"]),
        (["DEVANAGARI LETTER CANDRA A"], ["DEVANAGARI LETTER CANDRA E"]),
        (["DEVANAGARI LETTER SHORT A"], ["DEVANAGARI LETTER A"]),
        (["DEVANAGARI STRESS SIGN UDATTA"], []),
        (["DEVANAGARI DIGIT NINE"], ["DIGIT NINE"]),
        (["DEVANAGARI DANDA"], ["DEVANAGARI DANDA"]),
        (
            ["DEVANAGARI LETTER KA", "DEVANAGARI SIGN VIRAMA", "ZERO WIDTH JOINER", "DEVANAGARI LETTER YA"],
            ["DEVANAGARI LETTER KA", "DEVANAGARI SIGN VIRAMA", "DEVANAGARI LETTER YA"],
        ),
        (
            ["DEVANAGARI LETTER KA", "DEVANAGARI SIGN VIRAMA", "ZERO WIDTH NON-JOINER", "DEVANAGARI LETTER YA"],
            ["DEVANAGARI LETTER KA", "DEVANAGARI SIGN VIRAMA", "DEVANAGARI LETTER YA"],
        ),
    ],
)
def test_awkward_code_points_of_devanagari(letters: list[str], expected: list[str]) -> None:
    assert normalise_devanagari("".join(map(named, letters))) == "".join(map(named, expected))


def test_nasal_letters_before_their_own_class_become_anusvara_and_others_stay() -> None:
    for spelling in ("हिन्दी", "हिंदी"):
        assert normalise_devanagari(spelling) == "हिंदी"
    assert normalise_devanagari("लम्बा पञ्जाब अङ्ग घण्टा") == "लंबा पंजाब अंग घंटा"
    assert normalise_devanagari("उन्होंने जन्म अन्न") == "उन्होंने जन्म अन्न"


@pytest.mark.parametrize(("function", "alphabet"), [(normalise_urdu, ARABIC), (normalise_devanagari, DEVANAGARI)])
def test_normalising_again_changes_nothing_and_nfc_neither(function: Callable[[str], str], alphabet: list[str]) -> None:
    choices = random.Random(7)
    texts = [*alphabet, *("ک" + sign + "ا" for sign in alphabet), *("क" + sign + "ा" for sign in alphabet)]
    texts += ["".join(choices.choices(alphabet, k=5)) for _ in range(1500)]
    for text in texts:
        once = function(text)
        assert function(once) == once, ascii(text)
        assert unicodedata.normalize("NFC", once) == once, ascii(text)


def test_no_letter_has_a_presentation_form_left() -> None:
    forms = [chr(code) for code in (*range(0xFB50, 0xFBB2), *range(0xFBD3, 0xFD3E), *range(0xFE70, 0xFEFD))]
    for form in forms:
        if unicodedata.category(form) == "Lo":
            assert not set(normalise_urdu(form)) & {*forms, " "}, unicodedata.name(form)


def test_other_scripts_are_left_alone() -> None:
    text = "½ ﬁ Ａ e-mail: a_b@c.org 12,5% हिन्दी"
    assert normalise_urdu(text) == text
    assert normalise_latin("kita\u0304b\u200c") == "kitāb"


def test_script_codes_choose_the_function_and_others_are_refused() -> None:
    assert normalise("كه", "Arab") == "کہ"
    assert normalise("क़", "Deva") == normalise_devanagari("क़")
    assert normalise("e\u0301", "Latn") == "é"
    with pytest.raises(InputError, match=r"script 'Cyrl'.*Arab, Deva, Latn"):
        normalise("д", "Cyrl")
