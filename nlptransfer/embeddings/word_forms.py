"""The other spellings under which a word may stand in a vector file, in the order in which they are tried."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from nlptransfer.errors import InputError

FALLBACKS = ("lower case", "unicode form", "digits folded", "subwords")
"""What is tried, in this order, when the word itself is not in the file. A shorter tuple switches some off."""

FOUND_BY = ("exact", *FALLBACKS, "not found")
"""How a word can have been found."""

_DIGIT = re.compile(r"\d")


def check_fallbacks(fallbacks: Sequence[str]) -> None:
    """Refuse a name that is not in `FALLBACKS`, and a bare string, which would be read letter by letter."""
    names = [fallbacks] if isinstance(fallbacks, str) else list(fallbacks)
    unknown = [name for name in names if name not in FALLBACKS]
    if unknown or isinstance(fallbacks, str):
        raise InputError(
            "the fallbacks are not a sequence of known names",
            expected="some of " + ", ".join(repr(name) for name in FALLBACKS),
            found=", ".join(repr(name) for name in unknown or names),
        )


def word_forms(word: str, fallbacks: Sequence[str] = FALLBACKS) -> list[tuple[str, str]]:
    """The word and its other spellings, each with the name of the fallback that made it.

    Each fallback is applied to the word and to all that the fallbacks before it made, so that ``US-1990`` is also
    looked for as ``us-0000``.

    Args:
        word: as it stands in the text.
        fallbacks: some of `FALLBACKS`, in the order of use. ``subwords`` makes no spelling.

    Returns:
        Distinct (spelling, found by) pairs, the word itself first as ``exact``.

    Example:
        >>> word_forms("B52", ["lower case", "digits folded"])
        [('B52', 'exact'), ('b52', 'lower case'), ('B00', 'digits folded'), ('B##', 'digits folded'), \
('b00', 'digits folded'), ('b##', 'digits folded')]
    """
    forms = {word: "exact"}
    for fallback in fallbacks:
        for form in list(forms):
            for spelling in _spellings(form, fallback):
                forms.setdefault(spelling, fallback)
    return list(forms.items())


def _spellings(word: str, fallback: str) -> tuple[str, ...]:
    """What one fallback makes of a word."""
    if fallback == "lower case":
        return (word.lower(),)
    if fallback == "unicode form" and not word.isascii():
        return (unicodedata.normalize("NFC", word), normal_form(word))
    if fallback == "digits folded" and _DIGIT.search(word):
        # GloVe and many tagger embeddings write 0 for every digit, the GoogleNews vectors write #.
        return (_DIGIT.sub("0", word), _DIGIT.sub("#", word))
    return ()


def normal_form(word: str) -> str:
    """The Unicode form (NFKC) in which words are compared when their code points differ."""
    return unicodedata.normalize("NFKC", word)


class WantedWords:
    """Decides which rows of a vector file any word of a vocabulary could use, by itself or by a fallback.

    Args:
        vocabulary: the words of the text.
        fallbacks: some of `FALLBACKS`.
    """

    def __init__(self, vocabulary: Iterable[str], fallbacks: Sequence[str]) -> None:
        self.vocabulary = sorted(set(vocabulary))
        self.fallbacks = tuple(fallbacks)
        self._normalised = "unicode form" in fallbacks
        self._forms = set(self.vocabulary)
        for fallback in fallbacks:
            self._forms.update([spelling for form in self._forms for spelling in _spellings(form, fallback)])
        # A word of a text file may hold spaces, but a quick look at a line sees only what precedes its first one.
        self._heads = {form.partition(" ")[0].encode("utf-8", "replace") for form in self._forms}

    def __contains__(self, word: str) -> bool:
        if word in self._forms:
            return True
        return self._normalised and not word.isascii() and normal_form(word) in self._forms

    def may_start_with(self, head: bytes) -> bool:
        """Whether a wanted word may begin with `head`, the UTF-8 bytes of a row before the first space."""
        if head in self._heads:
            return True
        if not self._normalised or head.isascii():
            return False
        return normal_form(head.decode("utf-8", "replace")).partition(" ")[0].encode("utf-8", "replace") in self._heads

    def rows_of(self, heads: Sequence[bytes]) -> list[int]:
        """The positions of those `heads` with which a wanted word may begin."""
        # As above for each, but without a call for each: this is where restricted reading spends its time.
        known = self._heads
        if not self._normalised or b"".join(heads).isascii():
            return [row for row, head in enumerate(heads) if head in known]
        return [row for row, head in enumerate(heads) if self.may_start_with(head)]
