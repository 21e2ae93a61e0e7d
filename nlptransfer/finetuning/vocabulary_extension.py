"""Words of a new domain that a tokenizer cuts into many subwords, added to it and to its encoder as words."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlptransfer.data.subword_words import encode_words
from nlptransfer.data.words import split_words
from nlptransfer.errors import InputError


@dataclass(frozen=True)
class SplitWord:
    """A word that a tokenizer splits.

    Attributes:
        word: as the tokenizer reads it, in small letters where it makes no difference between them and capitals.
        count: how often it occurs.
        pieces: the subwords that it is split into, 2 or more.
    """

    word: str
    count: int
    pieces: int


@dataclass(frozen=True)
class ExtensionReport:
    """What became of the words, and of texts.

    Attributes:
        added: the words that are new, in the order of their ids.
        skipped: those left out, since the tokenizer has an entry of that spelling already.
        pieces_per_word_before: mean subwords per running word of the texts.
        pieces_per_word_after: the same with the new words.
    """

    added: tuple[str, ...]
    skipped: tuple[str, ...]
    pieces_per_word_before: float
    pieces_per_word_after: float


def find_split_words(tokenizer: Any, texts: Iterable[str], *, num_words: int, min_count: int) -> list[SplitWord]:
    r"""The words of a domain that it would save the most subwords to have in the vocabulary.

    .. math:: \text{saved}(w) = \text{count}(w)\,(\text{pieces}(w) - 1)

    Words are counted after the tokenizer's own normalisation. Left out are words with an apostrophe, whose parts are
    words themselves, and those without a letter, of which there is no end. A word that a tokenizer replaces whole by
    its unknown token is one piece, and so is not among them.

    Args:
        tokenizer: a fast tokenizer of `transformers`.
        texts: of the new domain; no labels are needed.
        num_words: how many words at most.
        min_count: words that occur less often are left out: a rare word's embedding learns nothing.

    Returns:
        The words, those that save the most first; equal ones by the alphabet.

    Raises:
        InputError: the tokenizer is not a fast one.
        ValueError: `num_words` or `min_count` is below 1.

    Compare with:
        Sachidananda, Kessler and Lai 2021, https://aclanthology.org/2021.sustainlp-1.16, who choose subword sequences
        by how much likelier they are in the domain than elsewhere, for which one needs the other text too.

    Example:
        >>> find_split_words(tokenizer, ["zymurgy is fun", "a book on zymurgy"], num_words=1, min_count=2)
        [SplitWord(word='zymurgy', count=2, pieces=4)]
    """
    for name, value in (("num_words", num_words), ("min_count", min_count)):
        if value < 1:
            raise ValueError(f"{name} must be 1 or more, not {value}")
    counts: Counter[str] = Counter()
    for spelling, count in _count_words(texts).items():
        word = _normalised(tokenizer, spelling)
        if split_words(word) == [word] and "'" not in word and any(map(str.isalpha, word)):
            counts[word] += count
    frequent = [word for word, count in counts.items() if count >= min_count]
    pieces = [len(ids) for ids in _pieces(tokenizer, frequent)]
    found = [SplitWord(word, counts[word], size) for word, size in zip(frequent, pieces, strict=True) if size > 1]
    return sorted(found, key=lambda split: (-split.count * (split.pieces - 1), split.word))[:num_words]


def extend_vocabulary(tokenizer: Any, encoder: Any, words: Sequence[str], *, texts: Iterable[str]) -> ExtensionReport:
    r"""Add words to a tokenizer and to its encoder, in place; each begins as the mean of what it was split into.

    .. math:: e_w = \frac{1}{|\text{pieces}(w)|} \sum_{p \in \text{pieces}(w)} e_p

    The new words are read where they stand as words, not inside longer ones, after the tokenizer's normalisation: a
    tokenizer that knows no capitals finds a word with them too. They are found before other text is split, for
    which reason a vocabulary whose subwords mark the beginning of a word reads punctuation right after a new word as
    if it began a word, and `decode` leaves out the space before a new word.

    All rows that were there keep every bit. So does an output layer of its own, as of a masked LM that is not tied to
    the embeddings; its new rows are means as well. Train the encoder on the domain's texts by masked LM before the
    task: until then a new word says less than its pieces said, of whose order the mean knows nothing.

    Args:
        tokenizer: a fast tokenizer of `transformers`: WordPiece, BPE or Unigram.
        encoder: the encoder that belongs to it, with or without a head.
        words: single words, such as those of `find_split_words`; repeated ones count once.
        texts: to report the mean number of subwords on, of the new domain.

    Returns:
        What was added, and the mean number of subwords per word before and after.

    Raises:
        InputError: the tokenizer is not a fast one, is not the encoder's, or can't hold words of their own; one of
            `words` is not a single word; the texts have no words. Tokenizer and encoder are then as they were.

    Reference:
        Koto, Lau and Baldwin 2021, "IndoBERTweet", https://aclanthology.org/2021.emnlp-main.833: of the ways they
        compare to start the embeddings of added words, the mean of the subwords' was the best, and the fastest to
        train.

    Example:
        >>> words = [split.word for split in find_split_words(tokenizer, texts, num_words=500, min_count=20)]
        >>> extend_vocabulary(tokenizer, encoder, words, texts=texts).pieces_per_word_after
        1.08
    """
    import torch
    from tokenizers import AddedToken
    from tokenizers.models import WordPiece

    for word in words:
        if split_words(word) != [word]:
            raise InputError(
                "what is to be added is not a single word", expected="letters and digits", found=repr(word)
            )
    counts = _count_words(texts)
    if not counts:
        raise InputError("the texts have no words to report on")
    wanted = list(dict.fromkeys(_normalised(tokenizer, word) for word in words))
    pieces = dict(zip(wanted, _pieces(tokenizer, wanted), strict=True))
    present = tokenizer.get_vocab()
    skipped = [
        word
        for word in wanted
        if word in present or (len(pieces[word]) == 1 and pieces[word] != [tokenizer.unk_token_id])
    ]
    added = [word for word in wanted if word not in set(skipped)]
    embeddings = encoder.get_input_embeddings()
    num_old = len(tokenizer)
    if embeddings.num_embeddings < num_old:
        raise InputError(
            "the tokenizer is not that of the encoder",
            where=type(encoder).__name__,
            expected=f"embeddings of all {num_old:,} tokens",
            found=f"{embeddings.num_embeddings:,}",
            remedy="Load both from the same folder.",
        )
    # WordPiece throws spaces away; the others read one before a token as part of it, so that the word must take it.
    takes_space = not isinstance(tokenizer.backend_tokenizer.model, WordPiece)
    tokens = [AddedToken(word, single_word=True, lstrip=takes_space, normalized=True) for word in added]
    extended = copy.deepcopy(tokenizer)
    extended.add_tokens(tokens)
    _check_reading(tokenizer, extended, added, first_id=num_old)
    report = ExtensionReport(
        tuple(added), tuple(skipped), _pieces_per_word(tokenizer, counts), _pieces_per_word(extended, counts)
    )
    if not added:
        return report
    tokenizer.add_tokens(tokens)
    if embeddings.num_embeddings < len(tokenizer):
        # The new rows are drawn at random first; they are overwritten, and the caller's generator is left alone.
        with torch.random.fork_rng():
            encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    tables = [encoder.get_input_embeddings().weight]
    output = encoder.get_output_embeddings()
    if output is not None and output.weight is not tables[0]:
        tables.append(output.weight)
    with torch.no_grad():
        for table in tables:
            for row, word in enumerate(added, start=num_old):
                ids = torch.as_tensor(pieces[word], device=table.device)
                table[row] = table[ids].float().mean(dim=0).to(table.dtype)
    return report


def _check_reading(tokenizer: Any, extended: Any, added: Sequence[str], *, first_id: int) -> None:
    """Refuse a tokenizer that can't hold words of their own: each is read as itself, and so is what is around it."""
    first, both = _ids(tokenizer, ["a", "a a"])
    for number, (word, ids) in enumerate(zip(added, _ids(extended, [f"a {word} a" for word in added]), strict=True)):
        if ids != [*first, first_id + number, *both[len(first) :]]:
            raise InputError(
                f"the tokenizer can't hold the word {word!r} beside its subwords",
                where=type(tokenizer).__name__,
                expected="a WordPiece, BPE or Unigram tokenizer that splits text at spaces",
                found=f"'a {word} a' read as {extended.convert_ids_to_tokens(ids)}",
            )


def _count_words(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in split_words(text))


def _normalised(tokenizer: Any, word: str) -> str:
    """The word as the tokenizer's vocabulary would spell it."""
    if not tokenizer.is_fast:
        raise InputError(
            "the tokenizer is not a fast one",
            where=type(tokenizer).__name__,
            expected="one that is backed by the tokenizers library",
        )
    normalizer = tokenizer.backend_tokenizer.normalizer
    # Some write a space as a sign of its own, and one before each text.
    return word if normalizer is None else str(normalizer.normalize_str(word)).strip().lstrip("\u2581")


def _ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    if not texts:
        return []
    encoded: list[list[int]] = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    return encoded


def _pieces(tokenizer: Any, words: Sequence[str]) -> list[list[int]]:
    """The subword ids of each word, in the midst of a text."""
    encoded = encode_words(tokenizer, [words], max_word_length=1_000_000)  # no word is cut
    return [ids.tolist() for ids in np.split(encoded.subwords, encoded.subword_starts[1:-1])] if words else []


def _pieces_per_word(tokenizer: Any, counts: Counter[str]) -> float:
    words = list(counts)
    total = sum(counts[word] * len(ids) for word, ids in zip(words, _pieces(tokenizer, words), strict=True))
    return total / counts.total()
