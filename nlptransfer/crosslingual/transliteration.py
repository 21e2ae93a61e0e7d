"""Write the words of one script in another by tables of rules: Urdu, Devanagari and Latin, or a table of one's own.

Scripts leave different things out, so that no table is without loss. Urdu writes no short vowels (اس is इस or उस),
has several letters for one sound (س, ص and ث are all स) and one letter for several (و is a consonant, o, u or au);
Hindi often leaves out the nuqta. The rules give the likeliest reading of a letter where it stands, and frequent words
that no rule can read are listed whole. Whoever has a word list of the target script can do better: these are first
guesses.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

from nlptransfer.crosslingual import urdu_hindi_rules
from nlptransfer.crosslingual.script_normalisation import (
    normalise_devanagari,
    normalise_latin,
    normalise_urdu,
    with_urdu_letters,
)
from nlptransfer.errors import InputError
from nlptransfer.files import read_lines

POSITIONS = ("initial", "medial", "final", "whole")
"""Where in a word a rule may be bound to: touching its start, neither end, its end, or both."""

_CACHED_WORDS = 1 << 17
_KEPT = re.compile(r"(?i:https?://|www\.)\S+|\S*@\S*|[\w.-]+\.(?:com|org|net|in|pk)(?:/\S*)?")
"""Links, addresses and user names: whole, whatever script is in them."""


class Transliterator:
    """Writes words in another script by a table of rules.

    A word is read from its start; at each place the longest rule that fits is taken. Of two rules for the same letters,
    one that is bound to a position goes before one that is not, and ``whole`` before ``initial`` before ``final``; of
    two that are bound alike, the first in the table. Letters that no rule reads stay as they are.

    A word is an unbroken run of letters and of the marks in the table: digits, hyphens and underscores bound it. What
    is not in the table's script stays as it is, as do links, addresses and user names (all that holds an ``@``).

    Args:
        rules: (letters read, letters written, position or empty) triples.
        prepare: brings a text to the spelling that the rules read, before words are cut; None for NFC.
        finish: mends what the rules wrote for a word; None for nothing.

    Example:
        >>> Transliterator([("sh", "ш", ""), ("s", "с", ""), ("h", "х", "")]).word("shhs")
        'шхс'
    """

    def __init__(
        self,
        rules: Iterable[tuple[str, str, str]],
        *,
        prepare: Callable[[str], str] | None = None,
        finish: Callable[[str], str] | None = None,
    ) -> None:
        self._prepare = prepare or partial(unicodedata.normalize, "NFC")
        self._finish = finish
        at: dict[str, dict[str, str]] = {position: {} for position in ("", *POSITIONS)}
        for read, written, position in rules:
            at[position].setdefault(read, written)
        # One look-up at each place of a word: the rules bound to the place stand over those that are not.
        self._medial = {**at[""], **at["medial"]}
        self._initial = {**at[""], **at["initial"]}
        self._final = {**at[""], **at["final"]}
        self._whole = {**at[""], **at["final"], **at["initial"], **at["whole"]}
        self._longest: dict[str, int] = {}
        for read in {read for table in at.values() for read in table}:
            self._longest[read[0]] = max(len(read), self._longest.get(read[0], 0))
        self._runs = _runs_of({letter for table in at.values() for read in table for letter in read})
        self._cached = lru_cache(_CACHED_WORDS)(self._write)

    def word(self, word: str) -> str:
        """Write one word in the target script.

        Args:
            word: a word without spaces, with or without digits and signs.

        Returns:
            The word in the target script.
        """
        return self._cached(word)

    def words(self, words: Sequence[str]) -> list[str]:
        """Write each word in the target script; words are remembered, which makes running text fast.

        Args:
            words: N words.

        Returns:
            N words in the target script.
        """
        return list(map(self._cached, words))

    def text(self, text: str) -> str:
        """Write running text in the target script, with its spaces and line ends as they were.

        Args:
            text: any text.

        Returns:
            The text, with all that is not of the source script as it was.
        """
        return "".join(map(self._cached, re.split(r"(\s+)", text)))

    def _write(self, token: str) -> str:
        if _KEPT.fullmatch(token):
            return token
        return self._runs.sub(self._write_run, self._prepare(token))

    def _write_run(self, run: re.Match[str]) -> str:
        written = self._by_rules(run[0])
        return self._finish(written) if self._finish else written

    def _by_rules(self, word: str) -> str:
        if word in self._whole:
            return self._whole[word]
        written = []
        start = 0
        table = self._initial
        while start < len(word):
            for end in range(min(len(word), start + self._longest.get(word[start], 0)), start, -1):
                found = (self._final if start and end == len(word) else table).get(word[start:end])
                if found is not None:
                    break
            else:
                found, end = word[start], start + 1
            written.append(found)
            start = end
            table = self._medial
        return "".join(written)

    def __getstate__(self) -> dict[str, Any]:
        # Words that were remembered are not sent along to another process.
        return {name: value for name, value in self.__dict__.items() if name != "_cached"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cached = lru_cache(_CACHED_WORDS)(self._write)


def _runs_of(letters: set[str]) -> re.Pattern[str]:
    """Finds words: letters, and the marks that a table reads; and each other sign that it reads, alone."""
    marks = {letter for letter in letters if unicodedata.category(letter).startswith("M")}
    signs = {letter for letter in letters - marks if not letter.isalpha()}
    word = r"[^\W\d_]" + "".join(f"|{re.escape(mark)}" for mark in sorted(marks))
    patterns = [f"(?:{word})+"]
    if signs:
        patterns.append("[" + "".join(map(re.escape, sorted(signs))) + "]")
    return re.compile("|".join(patterns))


def read_table(path: str | Path) -> Transliterator:
    """Read a transliterator for any pair of scripts from a table of rules.

    Each line holds what is read, what is written for it (may be empty) and, if it is so only there, a position, with
    tabs between. Lines that begin with ``#`` and empty lines are skipped. Letters are compared in NFC and as they
    stand: a script with capitals needs rules for them too.

    Args:
        path: the table, UTF-8, plain or gzipped.

    Returns:
        A transliterator that keeps what no rule reads.

    Raises:
        InputError: the file is missing or no UTF-8; a line has no tab, too many columns, nothing to read, a space in
            it, or an unknown position; the same letters stand twice for one position; or there is no rule.

    Example:
        >>> Path("serbian.tsv").write_text("љ\\tlj\\nу\\tu\\nд\\td\\nи\\ti\\n")
        >>> read_table("serbian.tsv").word("људи")
        'ljudi'
    """
    rules: list[tuple[str, str, str]] = []
    first_lines: dict[tuple[str, str], int] = {}
    for number, line in read_lines(path):
        if not line.strip() or line.startswith("#"):
            continue
        columns = [unicodedata.normalize("NFC", column.strip(" ")) for column in line.split("\t")]
        if len(columns) not in (2, 3):
            raise InputError(
                "the line is not a rule",
                where=path,
                line=number,
                expected="what is read, a tab, what is written, and perhaps a tab and a position",
                found=f"{len(columns)} column(s)",
            )
        read, written, position = columns if len(columns) == 3 else (*columns, "")
        if not read or any(letter.isspace() for letter in read):
            raise InputError(
                "the first column is not a run of letters",
                where=path,
                line=number,
                expected="one or more letters without spaces",
                found=repr(read),
            )
        if position and position not in POSITIONS:
            raise InputError(
                f"there is no position {position!r}",
                where=path,
                line=number,
                expected=", ".join(POSITIONS) + ", or no third column",
            )
        if (read, position) in first_lines:
            raise InputError(
                f"{read!r} stands twice for the same position",
                where=path,
                line=number,
                found=f"the first on line {first_lines[read, position]}",
                remedy="Keep one of the two, or give them different positions.",
            )
        first_lines[read, position] = number
        rules.append((read, written, position))
    if not rules:
        raise InputError(
            "the table has no rules", where=path, expected="lines of: what is read, a tab, what is written"
        )
    return Transliterator(rules)


_SIGN_ASTRAY = re.compile(f"(?<![क-ह़])[{''.join(urdu_hindi_rules.VOWEL_SIGNS)}]")
_VIRAMA_ASTRAY = re.compile("(?<![क-ह़])्|्(?![क-ह])")


def join_vowel_signs(word: str) -> str:
    """Make letters of the Devanagari vowel signs that follow no consonant, and drop a virama that joins none.

    Args:
        word: Devanagari in which vowels may stand as signs anywhere.

    Returns:
        The word with each vowel in the form that its place asks for.

    Example:
        >>> join_vowel_signs("भाी")
        'भाई'
    """
    word = _VIRAMA_ASTRAY.sub("", word)
    return _SIGN_ASTRAY.sub(lambda sign: urdu_hindi_rules.VOWEL_SIGNS[sign[0]], word)


_INHERENT = re.compile("([क-ह]़?)(?![़ा-्])")
_SILENT = re.compile("([ऄ-औा-ौ]़?[क-ह])ऄ(?=़?[क-ह]ं?[ऄ-औा-ौ])")
_DEVANAGARI_WORD = re.compile("[ऀ-ॣॱ-ॿ]+")


def spoken_schwas(text: str) -> str:
    """Normalise Hindi text and write ऄ for each inherent vowel that is spoken, so that letters can be read one by one.

    A schwa is silent at the end of a word of more than one consonant, and, from the right, between a vowel and
    consonant and a consonant and vowel (Ohala 1983): समझना is samajhnā.

    Args:
        text: Hindi text.

    Returns:
        The text, normalised, with ऄ for the spoken schwas.

    Example:
        >>> spoken_schwas("सरकार")
        'सऄरकार'
    """
    return _DEVANAGARI_WORD.sub(_speak, normalise_devanagari(text))


def _speak(word: re.Match[str]) -> str:
    spoken = _INHERENT.sub(r"\1ऄ", word[0])
    if sum(letter in "ऄअआइईउऊऋएऐओऔऑऍािीुूृेैोौॉॅ" for letter in spoken) > 1:
        spoken = spoken.removesuffix("ऄ")
    # Read from the right, so that of two schwas in a row the last is dropped; reversed, a nuqta is before its letter.
    return _SILENT.sub(r"\1", spoken[::-1])[::-1]


def _lower_latin(text: str) -> str:
    return normalise_latin(text).lower()


def make_transliterator(source: str, target: str) -> Transliterator:
    """The built-in rules from one script to another, for Hindi and Urdu.

    What is lost, and what is guessed:

    - ``Arab`` to ``Deva``: Urdu writes no short vowels, so that कि, कु and क are all ک: the rules write the bare
      letter but in the commonest openings and words. و is व, ो, ू or ौ and ی is य, ी, े or ै by where they stand;
      twin letters are written once; ن is also ण. Vowel marks are read where a text has them (اُس, پکّا), and so is
      izafat (حکومتِ is हुकूमत-ए). ق, خ and غ become क, ख and ग, as Hindi mostly prints them; ज़ and फ़ keep their nuqta.
    - ``Deva`` to ``Arab``: short vowels and twin letters are dropped; of several letters for one sound the commonest
      is written (स is س, ह is ہ, ज़ is ز, त is ت) but in frequent words; ा at the end is ا, though many a name has ہ.
      Words without their nuqta are taken by the letter (ज is ج).
    - ``Deva`` to ``Latn``: letters as in Hunterian romanisation, with long vowels and retroflexes marked (ā, ṭ, ṛ), and
      without the schwas that are not spoken. ण and न, ष and श, क़ and क are one: Urdu does not tell them apart.
    - ``Arab`` to ``Latn`` goes through Devanagari, so that a Hindi word and its Urdu spelling are romanised alike where
      the rules read the vowels right.
    - ``Latn`` to ``Deva`` and ``Arab``: the same letters, and chat spelling (``kya haal hai``), where dental and
      retroflex letters are one and ``a`` inside a word is taken for the short one.

    Args:
        source: ISO 15924 code of the script that is read: ``Arab`` (as Urdu), ``Deva`` (as Hindi) or ``Latn``.
        target: that of the script that is written, another of these.

    Returns:
        A transliterator. Its first call of a kind builds the table, which takes a few milliseconds.

    Raises:
        InputError: there are no rules for the pair.

    Reference:
        Hunterian system: United Nations Group of Experts on Geographical Names, "Romanization of Hindi",
        https://www.eki.ee/wgrs/rom1_hi.htm. Schwas: Ohala 1983, "Aspects of Hindi Phonology", the rule
        ə -> nothing / VC _ CV, from the right.

    Compare with: `read_table` for other scripts; `character_channel` learns a mapping from pairs or from two word
    lists and ranks its answers.

    Example:
        >>> make_transliterator("Arab", "Deva").text("یہ کتاب میری ہے۔")
        'यह किताब मेरी है।'
    """
    if (source, target) not in _PAIRS:
        raise InputError(
            f"there are no transliteration rules from {source!r} to {target!r}",
            expected="a pair of ISO 15924 codes: " + ", ".join(f"{one} to {other}" for one, other in _PAIRS),
            remedy="For other scripts, supply a table and read it with read_table(path).",
        )
    return _PAIRS[source, target]()


@cache
def _urdu_to_devanagari() -> Transliterator:
    rules = [*urdu_hindi_rules.urdu_to_devanagari(), ("۔", "।", "")]
    return Transliterator(rules, prepare=with_urdu_letters, finish=join_vowel_signs)


@cache
def _devanagari_to_urdu() -> Transliterator:
    rules = [*urdu_hindi_rules.devanagari_to_urdu(), ("।", "۔", ""), ("॥", "۔", "")]
    return Transliterator(rules, prepare=normalise_devanagari)


@cache
def _devanagari_to_latin() -> Transliterator:
    return Transliterator(urdu_hindi_rules.devanagari_to_latin(), prepare=spoken_schwas)


@cache
def _latin_to_devanagari() -> Transliterator:
    return Transliterator(urdu_hindi_rules.latin_to_devanagari(), prepare=_lower_latin, finish=join_vowel_signs)


@cache
def _urdu_to_latin() -> Transliterator:
    rules = [*urdu_hindi_rules.urdu_to_devanagari(), ("۔", "।", "")]
    return Transliterator(rules, prepare=with_urdu_letters, finish=_devanagari_in_latin)


@cache
def _latin_to_urdu() -> Transliterator:
    return Transliterator(urdu_hindi_rules.latin_to_devanagari(), prepare=_lower_latin, finish=_devanagari_in_urdu)


def _devanagari_in_latin(word: str) -> str:
    return _devanagari_to_latin().word(join_vowel_signs(word))


def _devanagari_in_urdu(word: str) -> str:
    return _devanagari_to_urdu().word(join_vowel_signs(word))


_PAIRS: dict[tuple[str, str], Callable[[], Transliterator]] = {
    ("Arab", "Deva"): _urdu_to_devanagari,
    ("Arab", "Latn"): _urdu_to_latin,
    ("Deva", "Arab"): _devanagari_to_urdu,
    ("Deva", "Latn"): _devanagari_to_latin,
    ("Latn", "Arab"): _latin_to_urdu,
    ("Latn", "Deva"): _latin_to_devanagari,
}


_SCRIPT_CODES = {
    "ARABIC": "Arab",
    "DEVANAGARI": "Deva",
    "LATIN": "Latn",
    "CYRILLIC": "Cyrl",
    "GREEK": "Grek",
    "HEBREW": "Hebr",
    "BENGALI": "Beng",
    "GUJARATI": "Gujr",
    "GURMUKHI": "Guru",
    "TAMIL": "Taml",
    "TELUGU": "Telu",
}


def script_of(words: Iterable[str]) -> str:
    """The script in which most letters of the words are.

    Args:
        words: words or texts; read once.

    Returns:
        Its ISO 15924 code, or for a script that is not in the list here the first word of its letters' Unicode names
        (``ARMENIAN``), which tells it from others as well.

    Raises:
        InputError: the words hold no letter.

    Example:
        >>> script_of(["کتاب", "iPad", "اردو"])
        'Arab'
    """
    letters: Counter[str] = Counter()
    for word in words:
        letters.update(word)
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        if letter.isalpha():
            scripts[unicodedata.name(letter, "UNNAMED").split()[0]] += count
    if not scripts:
        raise InputError("the words hold no letter, so that their script can't be told")
    name = scripts.most_common(1)[0][0]
    return _SCRIPT_CODES.get(name, name)


def sound_key(word: str) -> str:
    """A rough key in which a Hindi word and its Urdu or chat spelling agree, for finding cognates and candidates.

    Letters of one sound are one (س ص ث स; ز ذ ض ظ ज़, with ج and ज, since writers leave the nuqta out; ت ط त; ہ ح ह;
    ک ق क क़; ش श ष; پھ ف फ), twin letters are written once, any nasal is n. Retroflex letters are capitals. A vowel at
    either end of the word is kept as A, W (ो, ू, و) or Y (े, ी, ی); within it only ा is, and ع, which is read so, since
    one spelling has و or ی too often where the other has a short vowel. A final ہ, ح or ह is a final ा.

    Args:
        word: in Devanagari, Urdu or Latin; told by its first letter of one of these.

    Returns:
        The key; empty where the word has no such letter.

    Compare with: `make_transliterator`, which spells a word out; many words share a key.

    Example:
        >>> sound_key("क़ानून"), sound_key("قانون"), sound_key("qanoon")
        ('kAnn', 'kAnn', 'knn')
    """
    return _cached_key(word)


@lru_cache(_CACHED_WORDS)
def _cached_key(word: str) -> str:
    return _NO_SOUND.sub("", _sounds(word))


def _sounds(word: str) -> str:
    for letter in word:
        if "ऀ" <= letter <= "ॿ":
            return _devanagari_sounds().word(word)
        if "\u0600" <= letter <= "\u06ff" or "\ufb50" <= letter <= "\ufefc":
            return _urdu_sounds().word(word)
        if letter.isalpha():
            return _devanagari_sounds().word(_latin_to_devanagari().word(word))
    return ""


@cache
def _devanagari_sounds() -> Transliterator:
    return Transliterator(urdu_hindi_rules.devanagari_to_sounds(), prepare=normalise_devanagari, finish=_skeleton)


@cache
def _urdu_sounds() -> Transliterator:
    return Transliterator(urdu_hindi_rules.urdu_to_sounds(), prepare=normalise_urdu, finish=_skeleton)


_INNER_VOWEL = re.compile("(?<=.)(?<!^A)[WY]+(?=.)")
_NO_SOUND = re.compile("[^A-Za-z]+")
_TWINS = re.compile(r"(.)\1+")


def _skeleton(sounds: str) -> str:
    return _TWINS.sub(r"\1", _INNER_VOWEL.sub("", sounds))
