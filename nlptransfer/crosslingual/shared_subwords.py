"""One vocabulary of subwords for several languages, and how much of it they use in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nlptransfer.data.subword_words import encode_words
from nlptransfer.data.text_lines import balanced_lines
from nlptransfer.errors import InputError
from nlptransfer.models.subword_vocabulary import Kind, train_subword_vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_WHOLE_WORD = 1024
"""Subwords read of one word: more than any word has."""


def train_shared_vocabulary(
    texts: Mapping[str, Iterable[str]],
    *,
    vocab_size: int,
    kind: Kind = "unigram",
    exponent: float = 0.5,
    max_lines: int = 500_000,
    character_coverage: float = 1.0,
    max_length: int = 512,
    seed: int,
) -> PreTrainedTokenizerFast:
    r"""Learn one vocabulary from the text of several languages, of which small ones are not swamped by large ones.

    A language of :math:`n_i` characters has the share

    .. math:: q_i = n_i^\alpha / \sum_j n_j^\alpha

    of the text that is learnt from. Whether the languages share subwords is up to their scripts: give the text of one
    as a script bridge writes it, and use the vocabulary on text that went over the same bridge.

    Args:
        texts: language -> its lines, which are read twice: a list or the like, not an iterator.
        vocab_size: pieces in all, the five special ones included.
        kind: "unigram" or "bpe".
        exponent: :math:`\alpha`, from 0 to 1: 1 keeps the languages' shares, 0 makes all equal.
        max_lines: lines learnt from, about.
        character_coverage: see `train_subword_vocabulary`.
        max_length: tokens that a model will read at most.
        seed: of the sample.

    Returns:
        The tokenizer.

    Raises:
        InputError: a language has no text, or `vocab_size` does not fit the text.
        TypeError: a language's lines are an iterator.

    Reference:
        Conneau & Lample 2019, section 3.1, https://arxiv.org/abs/1901.07291.

    Compare with:
        `train_subword_vocabulary`, for text of one language; `extend_vocabulary`, to add words to one that exists.

    Example:
        >>> bridged = [bridge.text(line) for line in urdu_lines]
        >>> tokenizer = train_shared_vocabulary({"hi": hindi_lines, "ur": bridged}, vocab_size=8_000, seed=0)
    """
    sizes = {}
    for language, lines in texts.items():
        if isinstance(lines, Iterator):
            raise TypeError(f"the lines of {language!r} are read twice; give a list, not an iterator")
        lengths = [len(line) for line in lines if line.strip()]
        if not lengths:
            raise InputError(
                f"there is no text of {language!r} to learn a vocabulary from", expected="a line or more", found="none"
            )
        sizes[language] = (len(lengths), sum(lengths))
    sample = balanced_lines(
        {language: [(line for line in lines if line.strip())] for language, lines in texts.items()},
        sizes,
        max_lines=max_lines,
        exponent=exponent,
        seed=seed,
    )
    return train_subword_vocabulary(
        sample,
        kind=kind,
        vocab_size=vocab_size,
        seed=seed,
        max_lines=len(sample),
        character_coverage=character_coverage,
        max_length=max_length,
    )


@dataclass(frozen=True)
class SubwordOverlap:
    """What `subword_overlap` gives; shares are in 0..1.

    Attributes:
        shared_types: subwords that both languages use / subwords that either does.
        known_share: the share of the target's running subwords whose type the source uses too. What a model learnt of
            them on the source's labels it can use on the target.
        source_subwords_per_word: of the running text; 1 where every word is one subword.
        target_subwords_per_word: likewise.
        source_unknown_characters: the share of the running characters that the vocabulary can't spell.
        target_unknown_characters: likewise.
    """

    shared_types: float
    known_share: float
    source_subwords_per_word: float
    target_subwords_per_word: float
    source_unknown_characters: float
    target_unknown_characters: float

    def summary(self) -> str:
        """One line for a report."""
        return (
            f"{self.shared_types:.1%} of the subwords are used by both languages; they are {self.known_share:.1%} of "
            f"the target's text; subwords per word: {self.source_subwords_per_word:.2f} in the source, "
            f"{self.target_subwords_per_word:.2f} in the target; unknown characters: "
            f"{self.source_unknown_characters:.1%} and {self.target_unknown_characters:.1%}"
        )


def subword_overlap(
    tokenizer: Any, source_sentences: Iterable[Sequence[str]], target_sentences: Iterable[Sequence[str]]
) -> SubwordOverlap:
    r"""Compare which subwords two languages use, and how they are served by one vocabulary.

    With :math:`S` and :math:`T` the subwords that occur and :math:`t_s` the target's counts:

    .. math:: \text{shared types} = \frac{|S \cap T|}{|S \cup T|}, \qquad
              \text{known share} = \frac{\sum_{s \in S} t_s}{\sum_s t_s}

    The unknown piece is no subword of :math:`S` or :math:`T`, but counts in the text: two scripts that a vocabulary
    knows neither of have nothing in common. Both shares count pieces of one letter like any others: read them beside
    the subwords per word, since a vocabulary that falls apart into letters is shared by all languages of a script.

    Args:
        tokenizer: a tokenizer of `transformers`, such as `train_shared_vocabulary` gives, or that of an encoder.
        source_sentences: lists of words, bridged where the bridge goes from the source.
        target_sentences: lists of words, likewise.

    Returns:
        The six numbers.

    Raises:
        InputError: a language has no words.

    Compare with:
        `vocabulary_overlap`, the same of any terms, given their counts.

    Example:
        >>> subword_overlap(tokenizer, hindi["tokens"], [bridge.words(words) for words in urdu["tokens"]]).known_share
        0.93
    """
    source = _usage(tokenizer, source_sentences, "source")
    target = _usage(tokenizer, target_sentences, "target")
    both = (source.counts > 0) & (target.counts > 0)
    either = (source.counts > 0) | (target.counts > 0)
    return SubwordOverlap(
        shared_types=float(both.sum() / max(either.sum(), 1)),
        known_share=float(target.counts[both].sum() / target.num_subwords),
        source_subwords_per_word=source.num_subwords / source.num_words,
        target_subwords_per_word=target.num_subwords / target.num_words,
        source_unknown_characters=source.unknown_characters,
        target_unknown_characters=target.unknown_characters,
    )


@dataclass(frozen=True, eq=False)
class _Usage:
    """How a language uses a vocabulary: (V,) counts without the unknown piece, and totals with it."""

    counts: np.ndarray
    num_subwords: int
    num_words: int
    unknown_characters: float


def _usage(tokenizer: Any, sentences: Iterable[Sequence[str]], side: str) -> _Usage:
    words = Counter(word for sentence in sentences for word in sentence if word)
    if not words:
        raise InputError(f"the {side} has no words", expected="sentences as lists of words", found="none")
    encoded = encode_words(tokenizer, [list(words)], max_word_length=_WHOLE_WORD)
    sizes = np.diff(encoded.subword_starts)
    running = np.repeat(np.fromiter(words.values(), dtype=np.int64, count=len(words)), sizes)
    counts = np.bincount(encoded.subwords, weights=running, minlength=len(tokenizer)).astype(np.int64)
    num_subwords = int(counts.sum())
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    unknown = 0
    if tokenizer.unk_token_id is not None:
        counts[tokenizer.unk_token_id] = 0
        spelled = encode_words(tokenizer, [list(characters)])
        starts = spelled.subword_starts
        for number, count in enumerate(characters.values()):
            if tokenizer.unk_token_id in spelled.subwords[starts[number] : starts[number + 1]]:
                unknown += count
    return _Usage(counts, num_subwords, words.total(), unknown / characters.total())
