"""Labels carried to another language word by word, by a bilingual lexicon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from nlptransfer.crosslingual.word_bigrams import is_word

Missing: TypeAlias = Literal["keep", "drop"] | Callable[[str], str]
"""What becomes of a word without a translation: it stays, goes, or is written by a function (a transliterator)."""

_LISTED = 20


@dataclass(frozen=True)
class TranslatedSentences:
    """What `translate_words` gives. Words are tokens that hold a letter.

    Attributes:
        sentences: lists of words, as many as there were.
        num_words: running words.
        num_translated: those of them that the lexicon translates.
        num_distinct: distinct words.
        num_distinct_translated: those of them that the lexicon translates.
        commonest_missing: the most frequent words without a translation and their counts, 20 at most.
    """

    sentences: list[list[str]]
    num_words: int
    num_translated: int
    num_distinct: int
    num_distinct_translated: int
    commonest_missing: tuple[tuple[str, int], ...]

    @property
    def coverage(self) -> float:
        """The share of running words that the lexicon translates; 0 where there are none."""
        return self.num_translated / max(self.num_words, 1)

    def summary(self) -> str:
        """One line for a report."""
        missing = ", ".join(f"{word} ({count:,})" for word, count in self.commonest_missing[:5])
        return (
            f"{self.num_translated:,} of {self.num_words:,} running words translated ({self.coverage:.1%}), "
            f"{self.num_distinct_translated:,} of {self.num_distinct:,} distinct ones"
            + (f"; most missed: {missing}" if missing else "")
        )


def translate_words(
    sentences: Sequence[Sequence[str]], lexicon: Mapping[str, Sequence[str]], *, missing: Missing = "keep"
) -> TranslatedSentences:
    """Translate labelled sentences word by word; their labels hold for the translation, to train a target model on.

    Each word becomes the first of its translations that is a single word; without one it is looked up in lower case.
    The order of words stays as it is, so this suits languages whose order is alike.

    Unless words are dropped, every sentence keeps its length, and with it its tags. A token without a letter is never
    dropped.

    Args:
        sentences: lists of words of the source language.
        lexicon: source word -> its translations, the best first, such as `Lexicon.translations` gives.
        missing: what becomes of a token without a translation, punctuation and numbers included: "keep" it as it is;
            "drop" it if it is a word, for classification only; or a function that writes it in the target language.

    Returns:
        The sentences, and how much of them the lexicon covered.

    Raises:
        ValueError: an unknown choice of `missing`.
        TypeError: a sentence is a string and not a list of words.

    Reference:
        Mayhew, Tsai and Roth 2017, https://aclanthology.org/D17-1269, who also translate phrases, and choose among
        translations by a language model.

    Compare with:
        a script bridge alone, which is the better choice where most words are cognates; mapped vectors.

    Example:
        >>> translate_words([["the", "old", "house"]], {"old": ["purana"], "house": ["ghar"]}).sentences
        [['the', 'purana', 'ghar']]
    """
    _check_missing(missing)
    if any(isinstance(sentence, str) for sentence in sentences):
        raise TypeError("sentences are lists of words, such as [['the', 'old', 'house']]; found a string")
    counts = Counter(token for sentence in sentences for token in sentence)
    found = {token: _translations(token, lexicon) for token in counts}
    written: dict[str, str | None] = {
        token: translations[0] if translations else _fallback(token, missing) for token, translations in found.items()
    }
    words = [token for token in counts if is_word(token)]
    absent = Counter({word: counts[word] for word in words if not found[word]})
    num_words = sum(counts[word] for word in words)
    return TranslatedSentences(
        sentences=[[word for token in sentence if (word := written[token]) is not None] for sentence in sentences],
        num_words=num_words,
        num_translated=num_words - absent.total(),
        num_distinct=len(words),
        num_distinct_translated=len(words) - len(absent),
        commonest_missing=tuple(absent.most_common(_LISTED)),
    )


@dataclass(frozen=True)
class ProjectedLabels:
    """What `project_word_labels` gives.

    Attributes:
        shares: target word -> label -> share; a word's shares sum to 1.
        num_words: source words with a label.
        num_translated: those of them that the lexicon translates.
    """

    shares: dict[str, dict[str, float]]
    num_words: int
    num_translated: int

    @property
    def coverage(self) -> float:
        """The share of labelled words that the lexicon translates; 0 where there are none."""
        return self.num_translated / max(self.num_words, 1)


def project_word_labels(
    word_labels: Mapping[str, str], lexicon: Mapping[str, Sequence[str]], *, missing: Missing = "drop"
) -> ProjectedLabels:
    r"""Carry the labels of words, such as polarities or tags, over to their translations.

    With :math:`L(s)` the translations of s that are single words, each label votes for all of them:

    .. math:: q(c \mid t) \propto \sum_{s \,:\, t \in L(s)} \frac{[\text{label}(s) = c]}{|L(s)|}

    Args:
        word_labels: source word -> its label.
        lexicon: source word -> its translations.
        missing: what becomes of a source word without a translation: "drop" it, "keep" it as a target word, or a
            function that writes it in the target language.

    Returns:
        Shares of labels by target word, and the coverage.

    Raises:
        ValueError: an unknown choice of `missing`.

    Reference:
        Mihalcea, Banea and Wiebe 2007, section 3, https://aclanthology.org/P07-1123; the division of a vote is ours.

    Example:
        >>> project_word_labels({"good": "pos", "fine": "pos"}, {"good": ["accha"], "fine": ["accha", "patla"]}).shares
        {'accha': {'pos': 1.0}, 'patla': {'pos': 1.0}}
    """
    _check_missing(missing)
    votes: dict[str, dict[str, float]] = {}
    num_translated = 0
    for word, label in word_labels.items():
        translations = _translations(word, lexicon)
        num_translated += bool(translations)
        if not translations and (other := _fallback(word, missing)) is not None:
            translations = [other]
        for translation in translations:
            own = votes.setdefault(translation, {})
            own[label] = own.get(label, 0.0) + 1 / len(translations)
    shares = {word: {label: vote / sum(cast.values()) for label, vote in cast.items()} for word, cast in votes.items()}
    return ProjectedLabels(shares, len(word_labels), num_translated)


def lexicon_probabilities(
    sentences: Sequence[Sequence[str]], shares: Mapping[str, Mapping[str, float]], labels: Sequence[str]
) -> np.ndarray:
    r"""Classify texts of the target language by the labels of their words alone.

    .. math:: p(c \mid d) = \frac{1 + \sum_{w} q(c \mid w)}{C + n}

    over the n running words w of the text d that have a label: uniform where there are none.

    Args:
        sentences: N texts as lists of words.
        shares: word -> label -> q, as `project_word_labels` gives them.
        labels: the C labels.

    Returns:
        (N, C) float64, rows sum to 1: weak labels to begin self-training with, or a member of an ensemble.

    Raises:
        ValueError: a word has a label that is not among `labels`.

    Reference:
        ours, as a smoothed count; for the counts Mihalcea et al. 2007, section 3.

    Example:
        >>> lexicon_probabilities([["accha", "ghar"]], {"accha": {"pos": 1.0}}, ["neg", "pos"])
        array([[0.33333333, 0.66666667]])
    """
    columns = {label: column for column, label in enumerate(labels)}
    if unknown := {label for own in shares.values() for label in own} - set(columns):
        raise ValueError(f"words have the labels {sorted(unknown)}, which are not among {list(labels)}")
    sums = np.ones((len(sentences), len(labels)))
    for row, sentence in zip(sums, sentences, strict=True):
        for word in sentence:
            for label, share in shares.get(word, {}).items():
                row[columns[label]] += share
    return sums / sums.sum(axis=1, keepdims=True)


def _translations(word: str, lexicon: Mapping[str, Sequence[str]]) -> list[str]:
    """The distinct translations of a word that are single words, by its own form or in lower case."""
    for form in (word, word.lower()):
        if found := [other for other in dict.fromkeys(lexicon.get(form, ())) if len(other.split()) == 1]:
            return found
    return []


def _fallback(token: str, missing: Missing) -> str | None:
    """What is written for a token without a translation; None for nothing."""
    if callable(missing):
        return missing(token)
    return None if missing == "drop" and is_word(token) else token


def _check_missing(missing: Missing) -> None:
    if not callable(missing) and missing not in ("keep", "drop"):
        raise ValueError(f"missing must be 'keep', 'drop' or a function; found {missing!r}")
