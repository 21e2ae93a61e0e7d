"""How well words are spelled in another script: words that are right, and edits per character."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from nlptransfer.errors import InputError


class TransliterationScores(NamedTuple):
    """What a transliteration scores on N pairs.

    Attributes:
        word_accuracy: share of words that are spelled as in the reference.
        character_error_rate: edits per character of the reference; may exceed 1.
        n: number of pairs.
    """

    word_accuracy: float
    character_error_rate: float
    n: int


def edit_distance(first: Sequence[object], second: Sequence[object]) -> int:
    r"""The least number of insertions, deletions and substitutions that turn one sequence into the other.

    .. math:: d_{ij} = \min(d_{i-1,j} + 1,\; d_{i,j-1} + 1,\; d_{i-1,j-1} + [a_i \ne b_j])

    Args:
        first: M items, such as the characters of a string.
        second: N items.

    Returns:
        d_MN, 0 to max(M, N).

    Reference:
        Wagner and Fischer 1974, "The String-to-String Correction Problem", https://doi.org/10.1145/321796.321811.

    Example:
        >>> edit_distance("kitab", "kitaab")
        1
    """
    row = list(range(len(second) + 1))
    for i, item in enumerate(first, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (item != other))
    return row[-1]


def transliteration_scores(
    pairs: Sequence[tuple[str, str]], transliterate: Callable[[str], str]
) -> TransliterationScores:
    r"""Word accuracy and character error rate of a transliteration on pairs of words.

    .. math:: \mathrm{CER} = \frac{\sum_i d(\hat{y}_i, y_i)}{\sum_i |y_i|}

    Characters are Unicode code points. Spellings that differ only in encoding count as wrong: normalise the pairs.

    Args:
        pairs: N (word, reference in the other script).
        transliterate: writes a word in the other script.

    Returns:
        Both scores, as fractions.

    Raises:
        InputError: there are no pairs, or a reference is empty.

    Example:
        >>> transliteration_scores([("कमल", "kamal"), ("जल", "jal")], {"कमल": "kamal", "जल": "jl"}.get)
        TransliterationScores(word_accuracy=0.5, character_error_rate=0.125, n=2)
    """
    if not pairs:
        raise InputError("there are no pairs to score", remedy="Give at least one word with its spelling.")
    if empty := [word for word, reference in pairs if not reference]:
        raise InputError(f"the reference of {empty[0]!r} is empty", expected="a spelling for each word")
    edits = right = 0
    for word, reference in pairs:
        written = transliterate(word)
        right += written == reference
        edits += edit_distance(written, reference)
    return TransliterationScores(right / len(pairs), edits / sum(len(reference) for _, reference in pairs), len(pairs))
