"""One spelling for each word: the many encodings of Urdu and of Hindi text brought to one form.

Urdu is typed with Arabic, Persian and Urdu code points that look alike, Hindi with composed and decomposed letters and
with two marks for one nasal. A word that is encoded in two ways is two words to a vocabulary, a vector file or a
lexicon.
"""

from __future__ import annotations

import re
import unicodedata

from nlptransfer.errors import InputError

_INVISIBLE = {
    "\u00ad": "",  # soft hyphen
    "\u061c": "",  # Arabic letter mark
    **dict.fromkeys(map(chr, range(0x200B, 0x2010)), ""),  # zero-width space, non-joiner, joiner; marks of direction
    **dict.fromkeys(map(chr, range(0x202A, 0x202F)), ""),  # embeddings and overrides of direction
    "\u2060": "",  # word joiner
    **dict.fromkeys(map(chr, range(0x2066, 0x206A)), ""),  # isolates of direction
    "\ufeff": "",  # byte order mark
}

# Urdu

_VOWEL_MARKS = "\u064b-\u0652\u0656-\u065f\u0670"
_ARABIC_LETTERS = "\u0620-\u063f\u0641-\u064a\u066e\u066f\u0671-\u06d3\u06d5\u06ee\u06ef\u06fa-\u06ff"
_UNWRITTEN_MARK = re.compile("[\u064c-\u0652\u0656-\u065f]")
_MARK_ASTRAY = re.compile("(?<!ا)\u064b|(?<![یوہ])\u0670")
_TANWIN_BEFORE_ALEF = re.compile("\u064b(ا+)")
_HAMZA_OR_MADDA = re.compile(f"([اویہے]?)([{_VOWEL_MARKS}]*)([\u0653-\u0655])")
_CARRIED = {"ا\u0653": "آ", "و\u0654": "ؤ", "ی\u0654": "ئ", "ہ\u0654": "ۂ", "ے\u0654": "ئے"}
_YEH_BARREE_INSIDE = re.compile(f"ے(?=[{_ARABIC_LETTERS}])")
_NOT_ASPIRATED = re.compile(f"(?<![بپتٹجچدڈرڑکگلمن{_VOWEL_MARKS}])ھ")

_URDU = {
    **_INVISIBLE,
    "ـ": "",  # tatweel
    **dict.fromkeys("كڪ", "ک"),
    **dict.fromkeys("يى", "ی"),
    **dict.fromkeys("هە", "ہ"),
    "ة": "ۃ",
    **dict.fromkeys("أإٱٲٳٵ", "ا"),  # Urdu writes جرات
    "ٶ": "ؤ",
    "ٸ": "ئ",
    "ۀ": "ۂ",
    "ۓ": "ئے",
    "\u0674": "\u0654",  # high hamza
    # Honorifics and Koranic signs
    **{chr(code): "" for code in (*range(0x610, 0x61B), *range(0x6D6, 0x6DD), *range(0x6DF, 0x6E9))},
    **{chr(code): "" for code in range(0x6EA, 0x6EE)},
    **{chr(zero + digit): str(digit) for zero in (0x660, 0x6F0) for digit in range(10)},
    **dict(zip("،؛؟٪٫٬٭؍", ",;?%.,*/", strict=True)),
}


def _presentation_forms() -> dict[str, str]:
    """The shapes of letters and ligatures that have a code point each -> the letters they are made of.

    NFKC is right for these and for no more: over a whole text it would also turn ``½`` into three characters. It puts
    a space below a vowel mark that stands alone, which is not text.
    """
    forms = {"\ufe73": ""}  # the tail of a letter that is cut in two, in an encoding long gone
    for code in (*range(0xFB50, 0xFE00), *range(0xFE70, 0xFEFF)):
        letters = unicodedata.normalize("NFKC", chr(code))
        if letters != chr(code):
            forms[chr(code)] = "".join(_URDU.get(letter, letter) for letter in letters.removeprefix(" "))
    return forms


_URDU_TABLE = str.maketrans({**_URDU, **_presentation_forms()})

# Devanagari

_SIGNS = "ऺऻा-ौॎॏॕ-ॗॢॣ"
_NUQTA_LATE = re.compile(f"([ँ-ः{_SIGNS}]+)(़+)")
_NUQTA_ASTRAY = re.compile("(?<![क-नप-रलळव-ह])़")
_NASAL_EARLY = re.compile(f"ं[ं{_SIGNS}]*[{_SIGNS}]")
_REPEATED = re.compile(f"([ं्{_SIGNS}])\\1+")
_VOWELS = dict(zip("ािीुूेैोौॉॅ", "आइईउऊएऐओऔऑऍ", strict=True))
_IN_PIECES = {
    **{f"अ{sign}": vowel for sign, vowel in _VOWELS.items()},
    **{f"{vowel}{sign}": vowel for sign, vowel in _VOWELS.items()},
    **dict(zip(("आे", "आै", "आॅ", "एे", "एॅ"), "ओऔऑऐऍ", strict=True)),
    **dict(zip(("ाे", "ाै", "ाॅ"), "ोौॉ", strict=True)),
}
_PIECES = re.compile("|".join(_IN_PIECES))
_HOMORGANIC = re.compile("(?<=[ऄ-हा-ौ़])(?:ङ्(?=[क-घ])|ञ्(?=[च-झ])|ण्(?=[ट-ढ])|न्(?=[त-ध])|म्(?=[प-भ]))")

_DEVANAGARI_TABLE = str.maketrans(
    {
        **_INVISIBLE,
        **dict.fromkeys("ऀँ", "ं"),
        **dict(zip("ऄॲऎऒॆॊ", "अऍएओेो", strict=True)),
        **{chr(code): "" for code in range(0x951, 0x955)},  # Vedic accents
        **{chr(0x966 + digit): str(digit) for digit in range(10)},
    }
)
_LATIN_TABLE = str.maketrans(_INVISIBLE)


def with_urdu_letters(text: str) -> str:
    """The first half of `normalise_urdu`: Urdu's own letters, digits and signs, with all vowel marks left.

    A rule that reads words aloud needs the marks, and the ے that some texts have inside a word (مےں).

    Args:
        text: any text.

    Returns:
        The text in NFC.

    Example:
        >>> with_urdu_letters("\\u0643\\u0650\\u064a")
        'کِی'
    """
    text = text.translate(_URDU_TABLE)
    text = _HAMZA_OR_MADDA.sub(lambda found: _CARRIED.get(found[1] + found[3], found[1]) + found[2], text)
    return unicodedata.normalize("NFC", _NOT_ASPIRATED.sub("ہ", text))


def normalise_urdu(text: str) -> str:
    """Bring Urdu text to Urdu's own code points, one form for each letter.

    Presentation forms and ligatures become letters; Arabic kaf, yeh, alef maqsura, heh and teh marbuta become ک, ی, ی,
    ہ and ۃ; a hamza or madda that stands as a mark is joined to its letter (آ, ؤ, ئ, ۂ), and an alef loses its
    hamza; ے inside a word becomes ی; ھ where nothing can be aspirated (ھے) becomes ہ. Tatweel, zero-width characters
    (the non-joiner too), marks of direction and Koranic signs go. Digits become ASCII; so do the comma, semicolon,
    question mark, percent and decimal signs, of which Urdu text mixes both kinds, but not the full stop ۔, since an
    ASCII full stop also ends abbreviations.

    Vowel marks go, but for the two that Urdu writes: the tanwin on an alef (فوراً) and the small alef on ی, و and ہ
    (اعلیٰ). So اُس and اِس become one word; `transliteration` reads the marks before they go.

    Args:
        text: any text; what is not of the Arabic script is brought to NFC and loses its zero-width characters.

    Returns:
        The text in NFC. Normalising it again changes nothing.

    Reference:
        The Unicode Standard, section 9.2, Arabic, https://www.unicode.org/versions/latest/core-spec/chapter-9/.

    Example:
        >>> normalise_urdu("\\ufedb\\u0650\\u064a \\u06f1")
        'کی 1'
    """
    text = _TANWIN_BEFORE_ALEF.sub("\\1\u064b", with_urdu_letters(text))
    text = _MARK_ASTRAY.sub("", _UNWRITTEN_MARK.sub("", text))
    return _NOT_ASPIRATED.sub("ہ", _YEH_BARREE_INSIDE.sub("ی", text))


def normalise_devanagari(text: str) -> str:
    """Bring Hindi text to one spelling of nuqta letters, nasals and vowel signs.

    Nuqta letters take the form of NFC, whichever way they were typed: क़ ख़ ग़ ज़ ड़ ढ़ फ़ य़ are letter and nuqta (NFC never
    composes them), ऩ ऱ ऴ one code point. Chandrabindu becomes anusvara, and so does the nasal letter before a stop of
    its own class (हिन्दी, हिंदी), since Hindi text mixes both: हँस "laugh" and हंस "swan" become one word. Vowels typed in
    pieces are joined (अ + ा), a nuqta or anusvara typed on the wrong side of a vowel sign changes sides, repeated signs
    and Vedic accents go. So do zero-width characters: the joiner and non-joiner only choose the shape of a conjunct in
    Hindi (Marathi also tells two forms of र by it). Digits become ASCII; the danda stays.

    Args:
        text: any text; what is not Devanagari is brought to NFC and loses its zero-width characters.

    Returns:
        The text in NFC. Normalising it again changes nothing.

    Reference:
        The Unicode Standard, section 12.1, Devanagari, https://www.unicode.org/versions/latest/core-spec/chapter-12/;
        composition exclusions: Unicode Standard Annex 15, section 5, https://www.unicode.org/reports/tr15/.

    Example:
        >>> normalise_devanagari("हिन्दी में पाँच") == "हिंदी में पांच"
        True
    """
    text = unicodedata.normalize("NFC", text.translate(_DEVANAGARI_TABLE))
    text = _NUQTA_ASTRAY.sub("", _NUQTA_LATE.sub(r"\2\1", text))
    text = _NASAL_EARLY.sub(lambda signs: signs[0].replace("ं", "") + "ं", text)
    while (joined := _PIECES.sub(lambda pieces: _IN_PIECES[pieces[0]], _REPEATED.sub(r"\1", text))) != text:
        text = joined
    return unicodedata.normalize("NFC", _HOMORGANIC.sub("ं", text))


def normalise_latin(text: str) -> str:
    """Latin text in NFC, without zero-width characters.

    Args:
        text: any text.

    Returns:
        The text in NFC. Normalising it again changes nothing.

    Example:
        >>> normalise_latin("kita\\u0304b")
        'kitāb'
    """
    return unicodedata.normalize("NFC", text.translate(_LATIN_TABLE))


_NORMALISERS = {"Arab": normalise_urdu, "Deva": normalise_devanagari, "Latn": normalise_latin}
NORMALISED_SCRIPTS = tuple(_NORMALISERS)
"""The scripts that `normalise` knows, by their ISO 15924 codes."""


def normalise(text: str, script: str) -> str:
    """Normalise text of the named script.

    Args:
        text: any text; other scripts in it are brought to NFC and lose their zero-width characters.
        script: ISO 15924 code: ``Arab`` (as Urdu), ``Deva`` (as Hindi) or ``Latn``.

    Returns:
        The text in NFC. Normalising it again changes nothing.

    Raises:
        InputError: the script has no rules here.

    Example:
        >>> normalise("\\u0643\\u0647", "Arab")
        'کہ'
    """
    if script not in _NORMALISERS:
        raise InputError(
            f"there is no normalisation for the script {script!r}",
            expected="an ISO 15924 code: " + ", ".join(_NORMALISERS),
            remedy='For other scripts, NFC does most of it: unicodedata.normalize("NFC", text).',
        )
    return _NORMALISERS[script](text)
