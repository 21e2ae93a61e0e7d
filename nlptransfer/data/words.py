"""The words of a running text, for every model that is given texts and not sentences of tokens."""

from __future__ import annotations

import re
import unicodedata

# What `\w` leaves out although words are written with it: accents of their own, the vowel signs and points of Hebrew,
# Arabic and the scripts of India and its neighbours, and the two joiners that stand inside words.
_MARKS = "".join(chr(code) for code in range(0x300, 0x1E00) if unicodedata.category(chr(code)).startswith("M"))
_WORD = re.compile(rf"\w[\w{_MARKS}\u200c\u200d']*(?<!')")
_TOKEN = re.compile(rf"{_WORD.pattern}|[^\w\s]")


def split_words(text: str) -> list[str]:
    """The words of a text, in its order and spelling: runs of letters, digits and apostrophes.

    Words of one letter and contractions (``don't``, with either apostrophe, given as ``'``) are kept whole;
    punctuation is left out.

    Args:
        text: any text; an empty one has no words.

    Returns:
        The words.

    Example:
        >>> split_words("I didn't like it: 2/5, 'poor' book.")
        ['I', "didn't", 'like', 'it', '2', '5', 'poor', 'book']
    """
    return _WORD.findall(text.replace("\u2019", "'"))


def split_tokens(text: str) -> list[str]:
    """The words of a text as `split_words` finds them, and each other sign by itself.

    About what a treebank calls tokens; a treebank's own tokenizer knows its language better.

    Args:
        text: any text.

    Returns:
        The tokens.

    Example:
        >>> split_tokens("I didn't like it: 2/5.")
        ['I', "didn't", 'like', 'it', ':', '2', '/', '5', '.']
    """
    return _TOKEN.findall(text.replace("\u2019", "'"))
