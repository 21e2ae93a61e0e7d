"""Bilingual word lists: read, written, split, found in two vocabularies, or made from their shared strings."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlptransfer.data.table_rows import tsv_rows
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError
from nlptransfer.files import read_lines, write_text


@dataclass(frozen=True)
class Lexicon:
    """Pairs of a source word and a target word, many-to-many.

    Attributes:
        pairs: distinct (source word, target word), in the order of the file or of frequency.
    """

    pairs: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def translations(self) -> dict[str, list[str]]:
        """Each source word with all its target words."""
        found: dict[str, list[str]] = {}
        for source_word, target_word in self.pairs:
            found.setdefault(source_word, []).append(target_word)
        return found

    def reversed(self) -> Lexicon:
        """The same pairs from target to source."""
        return Lexicon(tuple((target_word, source_word) for source_word, target_word in self.pairs))


@dataclass(frozen=True, eq=False)
class LexiconRows:
    """A lexicon as rows of two vector matrices, and how much of it they cover.

    Attributes:
        pairs: (P, 2) int64 rows of the source and the target matrix, of the pairs that both sides hold.
        num_pairs: pairs in the lexicon.
        num_source_words: distinct source words in the lexicon.
        num_covered: those of them with a vector, and with one for at least one translation.
        num_without_source: distinct source words without a vector.
        num_without_target: distinct target words without a vector.
    """

    pairs: np.ndarray
    num_pairs: int
    num_source_words: int
    num_covered: int
    num_without_source: int
    num_without_target: int

    @property
    def coverage(self) -> float:
        """The share of source words that are covered."""
        return self.num_covered / self.num_source_words if self.num_source_words else 0.0

    def summary(self) -> str:
        """One line for a report."""
        return (
            f"{self.num_covered:,} of {self.num_source_words:,} source words covered ({self.coverage:.1%}); "
            f"{len(self.pairs):,} of {self.num_pairs:,} pairs; without a vector: {self.num_without_source:,} source "
            f"words, {self.num_without_target:,} target words"
        )


def read_lexicon(path: str | Path, *, source_column: str | None = None, target_column: str | None = None) -> Lexicon:
    """Read word pairs in MUSE's format, or from two columns of a TSV file with a header.

    MUSE's format has one pair a line, separated by a tab or by spaces; a pair with a tab may hold spaces in its words.
    Empty lines are passed over; a pair that is repeated counts once.

    Args:
        path: the file, plain or ``.gz``.
        source_column: the column of source words, if the first line names the columns.
        target_column: the column of target words; with `source_column`.

    Raises:
        InputError: a line is no pair, a column is missing, or the file holds no pair; with the line.
        ValueError: only one column is named.

    Reference: Conneau et al. (2018), Word Translation Without Parallel Data, https://arxiv.org/abs/1710.04087, whose
    dictionaries come in this format.

    Example:
        >>> lexicon = read_lexicon("hi-en.0-5000.txt")
        >>> names = read_lexicon("cldr_names.en-hi-ur.tsv", source_column="hi", target_column="ur")
        >>> len(lexicon), lexicon.translations()["घर"]
        (8704, ['home', 'house'])
    """
    path = Path(path)
    if (source_column is None) != (target_column is None):
        raise ValueError("name both columns, or none")
    pairs: dict[tuple[str, str], None] = {}
    if source_column is not None and target_column is not None:
        for line, row in tsv_rows(path):
            missing = [name for name in (source_column, target_column) if name not in row]
            if missing:
                raise InputError(
                    f"there is no column '{missing[0]}'", where=path, line=1, found=", ".join(map(repr, row))
                )
            pairs.setdefault(_checked_pair((row[source_column], row[target_column]), path, line))
    else:
        for line, text in read_lines(path):
            if text.strip():
                cells = text.split("\t") if "\t" in text.strip() else text.split()
                pairs.setdefault(_checked_pair(cells, path, line))
    if not pairs:
        raise InputError("the file holds no word pair", where=path, expected="'source target' on each line")
    return Lexicon(tuple(pairs))


def _checked_pair(cells: Sequence[str], path: Path, line: int | None) -> tuple[str, str]:
    words = [" ".join(cell.split()) for cell in cells]
    if len(words) != 2 or not all(words):
        raise InputError(
            "the line is not a pair of words",
            where=path,
            line=line,
            expected="a source word and a target word, with a tab or spaces between",
            found=repr(" | ".join(words)[:80]),
            remedy="Put a tab between words that hold spaces; name the columns of a file with a header.",
        )
    return words[0], words[1]


def write_lexicon(path: str | Path, lexicon: Lexicon) -> None:
    """Write a lexicon in MUSE's format, so that `read_lexicon` and other tools read it.

    Words are separated by a space, and by a tab on the lines where a word holds a space.

    Args:
        path: the file to write, whole or not at all.
        lexicon: the pairs.

    Raises:
        InputError: a word is empty, or holds a tab or a line break.
    """
    lines = []
    for number, pair in enumerate(lexicon.pairs, start=1):
        for word in pair:
            if not word.strip() or " ".join(word.split()) != " ".join(word.split(" ")):
                raise InputError(
                    "a word can't be written as one cell of a word list",
                    where=path,
                    line=number,
                    expected="a word without tabs and line breaks",
                    found=repr(word),
                )
        lines.append(("\t" if any(" " in word for word in pair) else " ").join(pair) + "\n")
    write_text(path, "".join(lines))


def split_lexicon(lexicon: Lexicon, *, train_share: float, generator: np.random.Generator) -> tuple[Lexicon, Lexicon]:
    """Split by source word, so that no source word of the test part has been trained on.

    Args:
        lexicon: the pairs.
        train_share: share of the source words that goes to training, between 0 and 1.
        generator: draws the words.

    Returns:
        The train and the test part, each in the order of `lexicon`.

    Raises:
        ValueError: the share is not between 0 and 1.
    """
    if not 0.0 <= train_share <= 1.0:
        raise ValueError(f"train_share must be between 0 and 1; found {train_share}")
    words = list(lexicon.translations())
    chosen = generator.permutation(len(words))[: round(train_share * len(words))]
    train_words = {words[place] for place in chosen}
    train = tuple(pair for pair in lexicon.pairs if pair[0] in train_words)
    test = tuple(pair for pair in lexicon.pairs if pair[0] not in train_words)
    return Lexicon(train), Lexicon(test)


def lexicon_rows(
    lexicon: Lexicon, source: WordVectors, target: WordVectors, *, fallbacks: Sequence[str] = ("unicode form",)
) -> LexiconRows:
    """Find the words of a lexicon in two sets of vectors.

    Args:
        lexicon: the pairs.
        source: vectors of the source language.
        target: vectors of the target language.
        fallbacks: some of `nlptransfer.embeddings.word_forms.FALLBACKS`: how a word may be found beside its exact form.
            ``subwords`` finds no row.

    Returns:
        Rows of the pairs found, and the coverage. Pairs may repeat a row where two words fall back to one.
    """
    rows_of: list[dict[str, int]] = []
    for side, vectors in enumerate((source, target)):
        words = list(dict.fromkeys(pair[side] for pair in lexicon.pairs))
        rows_of.append(dict(zip(words, vectors.lookup(words, fallbacks=fallbacks)[0].tolist(), strict=True)))
    source_rows, target_rows = rows_of
    held = [pair for pair in lexicon.pairs if source_rows[pair[0]] >= 0 and target_rows[pair[1]] >= 0]
    return LexiconRows(
        pairs=np.array([(source_rows[a], target_rows[b]) for a, b in held], dtype=np.int64).reshape(-1, 2),
        num_pairs=len(lexicon),
        num_source_words=len(source_rows),
        num_covered=len({source_word for source_word, _ in held}),
        num_without_source=sum(row < 0 for row in source_rows.values()),
        num_without_target=sum(row < 0 for row in target_rows.values()),
    )


def lexicon_of_rows(pairs: np.ndarray, source_words: Sequence[str], target_words: Sequence[str]) -> Lexicon:
    """The words of (P, 2) row pairs, such as an induced dictionary, as a lexicon.

    Args:
        pairs: (P, 2) rows; repeated ones count once.
        source_words: the source words, by row.
        target_words: the target words, by row.
    """
    return Lexicon(tuple(dict.fromkeys((source_words[a], target_words[b]) for a, b in np.asarray(pairs).tolist())))


def identical_strings(source_words: Sequence[str], target_words: Sequence[str]) -> Lexicon:
    """The words that two vocabularies share letter by letter: names, numbers, loans, punctuation.

    Args:
        source_words: most frequent first, or in any order, which is kept.
        target_words: in any order.

    Reference: Smith, Turban, Hamblin, Hammerla (2017), section 2.3, https://arxiv.org/abs/1702.03859

    Compare with: `numerals`, where shared strings deceive; `cognates`, across scripts.

    Example:
        >>> identical_strings(["the", "2019", "Paris"], ["Paris", "le", "2019"]).pairs
        (('2019', '2019'), ('Paris', 'Paris'))
    """
    shared = set(target_words)
    return Lexicon(tuple((word, word) for word in dict.fromkeys(source_words) if word in shared))


def numerals(source_words: Sequence[str], target_words: Sequence[str]) -> Lexicon:
    """The words made of decimal digits alone that write the same number, in whatever script.

    Leading zeros count: ``07`` is not ``7``. All spellings are paired, so ``१९`` and ``19`` each with ``۱۹``.

    Args:
        source_words: in any order, which is kept.
        target_words: in any order.

    Reference: Artetxe, Labaka, Agirre (2017), section 4.1, https://aclanthology.org/P17-1042, which needs the same
    script on both sides.

    Example:
        >>> numerals(["१९४७", "घर"], ["۱۹۴۷", "1947", "گھر"]).pairs
        (('१९४७', '۱۹۴۷'), ('१९४७', '1947'))
    """
    by_digits: dict[str, list[str]] = {}
    for word in dict.fromkeys(target_words):
        if word.isdecimal():
            by_digits.setdefault(_digits(word), []).append(word)
    return Lexicon(
        tuple(
            (source_word, target_word)
            for source_word in dict.fromkeys(source_words)
            if source_word.isdecimal()
            for target_word in by_digits.get(_digits(source_word), ())
        )
    )


def _digits(word: str) -> str:
    return "".join(str(unicodedata.decimal(character)) for character in word)


def cognates(
    source_words: Sequence[str],
    target_words: Sequence[str],
    key: Callable[[str], str],
    *,
    max_rank: int | None = None,
    min_key_length: int = 1,
) -> Lexicon:
    """Words whose keys agree, each the most frequent with that key in its language: at most one pair a key.

    A key is what the caller holds to be common to both languages, such as a romanisation or a consonant skeleton.

    Args:
        source_words: most frequent first.
        target_words: most frequent first.
        key: word -> key, the same function for both languages; a word with an empty key has no cognate.
        max_rank: only words among the first so many of each list; None for all.
        min_key_length: shortest key that counts, since short ones agree by chance.

    Returns:
        Pairs in the order of `source_words`.

    Raises:
        ValueError: `max_rank` or `min_key_length` is below 1.

    Compare with: `identical_strings`, within one script.

    Example:
        >>> cognates(["दिल्ली", "घर"], ["دہلی", "گھر"], romanised_skeleton).pairs
        (('दिल्ली', 'دہلی'), ('घर', 'گھر'))
    """
    if min_key_length < 1 or (max_rank is not None and max_rank < 1):
        raise ValueError(f"max_rank and min_key_length start at 1; found {max_rank} and {min_key_length}")
    source_by_key = _first_by_key(source_words[:max_rank], key, min_key_length)
    target_by_key = _first_by_key(target_words[:max_rank], key, min_key_length)
    return Lexicon(
        tuple((word, target_by_key[shared]) for shared, word in source_by_key.items() if shared in target_by_key)
    )


def _first_by_key(words: Iterable[str], key: Callable[[str], str], min_key_length: int) -> dict[str, str]:
    first: dict[str, str] = {}
    for word in words:
        found = key(word)
        if len(found) >= min_key_length:
            first.setdefault(found, word)
    return first
