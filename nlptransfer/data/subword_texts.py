"""Documents as the subword ids that an encoder reads: tokenised in one call, and cut where they are too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from nlptransfer.errors import InputError

Truncation = Literal["head", "head_tail", "windows"]

# Whatever the vocabulary holds, one of these becomes at least one token.
_PROBES = ("a", "the", "1", ".", "a the 1 .")


@dataclass(frozen=True)
class TokenizedDocuments:
    """Documents as rows of subword ids, special tokens included, each at most as long as the encoder may read.

    Attributes:
        ids: R arrays of int64, in the order of the documents; a document that was cut into windows has several.
        num_truncated: documents of which some tokens are in no row.
        documents: (R,) the number of the document that each row belongs to.
        counted: (R, 2) from which position of each row up to which one (not included) its tokens count, so that each
            token of a document counts once: all of them, but where windows overlap.
    """

    ids: list[np.ndarray]
    num_truncated: int
    documents: np.ndarray
    counted: np.ndarray


def tokenize_documents(
    tokenizer: Any, texts: Sequence[str], *, max_length: int, truncation: Truncation = "head"
) -> TokenizedDocuments:
    """Texts as rows of at most `max_length` subword ids.

    Args:
        tokenizer: of `transformers`.
        texts: N of them.
        max_length: in subword tokens, the special ones included.
        truncation: what becomes of a text that is longer, see `cut_documents`.

    Returns:
        The rows: one of each text, or as many as a text has windows.

    Raises:
        InputError: `max_length` leaves no room beside the special tokens, or there is no such truncation.

    Example:
        >>> tokenize_documents(tokenizer, ["a good book"], max_length=256).ids
        [array([ 101, 1037, 2204, 2338,  102])]
    """
    prefix_ids, suffix_ids = framing_ids(tokenizer)
    room = _room(max_length, len(prefix_ids) + len(suffix_ids), truncation)
    bare = _bare_ids(tokenizer, texts)
    lengths = np.fromiter(map(len, bare), dtype=np.int64, count=len(bare))
    rows = cut_documents(
        bare, max_length=max_length, truncation=truncation, prefix_ids=prefix_ids, suffix_ids=suffix_ids
    )
    num_rows = _num_windows(lengths, room) if truncation == "windows" else np.ones(len(bare), dtype=np.int64)
    documents = np.repeat(np.arange(len(bare)), num_rows)
    ends = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    counted = np.stack([np.zeros_like(ends), ends], axis=1)
    # The first half of what two windows share counts in the earlier one, the rest in the later one, where each has
    # the more context. Special tokens count at the ends of the document alone.
    overlap = room // 4
    follows = np.flatnonzero(documents[1:] == documents[:-1])  # the rows that another window of the document follows
    counted[follows, 1] -= len(suffix_ids) + overlap - overlap // 2
    counted[follows + 1, 0] += len(prefix_ids) + overlap // 2
    num_truncated = 0 if truncation == "windows" else int((lengths > room).sum())
    return TokenizedDocuments(rows, num_truncated, documents, counted)


def cut_documents(
    ids_without_special: Sequence[Sequence[int]],
    *,
    max_length: int,
    truncation: Truncation,
    prefix_ids: Sequence[int],
    suffix_ids: Sequence[int],
) -> list[np.ndarray]:
    """Documents as rows of at most `max_length` ids, with the special tokens at the ends of each row.

    With R = max_length - (special tokens), the room for the document's own tokens, a longer document becomes::

        head        its first R tokens
        head_tail   its first ceil(R / 4) tokens and its last R - ceil(R / 4)
        windows     as many rows as it takes: tokens 0 to R, S to S + R, 2 S to 2 S + R, ..., with S = R - floor(R / 4)

    Args:
        ids_without_special: the token ids of N documents.
        max_length: in tokens, the special ones included.
        truncation: "head", "head_tail" or "windows".
        prefix_ids: of the special tokens before a document, see `framing_ids`.
        suffix_ids: of those after it.

    Returns:
        int64 arrays in the order of the documents: one of each, or as many as a document has windows.

    Raises:
        InputError: `max_length` leaves no room beside the special tokens, or there is no such truncation.

    Reference: Sun et al. 2019, section 5.3.1 (head 128 and tail 382 of 510), https://arxiv.org/abs/1905.05583.

    Compare with: `nlptransfer.data.subword_words`, which cuts sentences between words.
    """
    room = _room(max_length, len(prefix_ids) + len(suffix_ids), truncation)
    head = -(-room // 4)
    stride = room - room // 4
    before, after = np.array(prefix_ids, dtype=np.int64), np.array(suffix_ids, dtype=np.int64)
    rows = []
    for document in ids_without_special:
        ids = np.array(document, dtype=np.int64)
        if len(ids) <= room:
            pieces: list[tuple[np.ndarray, ...]] = [(ids,)]
        elif truncation == "head":
            pieces = [(ids[:room],)]
        elif truncation == "head_tail":
            pieces = [(ids[:head], ids[len(ids) - (room - head) :])]
        else:
            starts = range(0, len(ids) - room + stride, stride)
            pieces = [(ids[start : start + room],) for start in starts]
        rows += [np.concatenate([before, *piece, after]) for piece in pieces]
    return rows


def count_truncated(tokenizer: Any, texts: Sequence[str], *, max_length: int, truncation: Truncation = "head") -> int:
    """How many of the texts have tokens that are not read; the arguments are those of `tokenize_documents`."""
    room = _room(max_length, sum(map(len, framing_ids(tokenizer))), truncation)
    return 0 if truncation == "windows" else sum(len(ids) > room for ids in _bare_ids(tokenizer, texts))


def framing_ids(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The ids that a tokenizer puts before a text and after it, such as those of [CLS] and [SEP].

    Found by what it does to a short text, since tokenizers of different makes agree on nothing else.

    Args:
        tokenizer: of `transformers`.

    Raises:
        InputError: it makes no token of any of a few short texts, or changes the tokens between the special ones.
    """
    for probe in _PROBES:
        bare = list(tokenizer(probe, add_special_tokens=False)["input_ids"])
        whole = list(tokenizer(probe)["input_ids"])
        for start in range(len(whole) - len(bare) + 1) if bare else ():
            if whole[start : start + len(bare)] == bare:
                return whole[:start], whole[start + len(bare) :]
    raise InputError(
        "the tokenizer's special tokens can't be told from a text's own",
        found=f"{type(tokenizer).__name__}, which makes no token of {', '.join(map(repr, _PROBES))}",
        remedy="Name another encoder.",
    )


def _bare_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    if not texts:
        return []
    encoded = tokenizer(
        list(texts),
        add_special_tokens=False,
        truncation=False,
        padding=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,  # long texts are expected here
    )
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def _num_windows(lengths: np.ndarray, room: int) -> np.ndarray:
    """(N,) how many windows documents of so many tokens, (N,), are cut into."""
    stride = room - room // 4
    return 1 - (np.minimum(room - lengths, 0) // stride)


def _room(max_length: int, num_special: int, truncation: str) -> int:
    """Tokens of a document that fit beside the special ones."""
    if truncation not in get_args(Truncation):
        raise InputError("unknown truncation", expected=" or ".join(get_args(Truncation)), found=repr(truncation))
    if max_length <= num_special:
        raise InputError(
            "max_length leaves no room for a text",
            expected=f"at least {num_special + 1}, since the tokenizer adds {num_special} special tokens",
            found=str(max_length),
        )
    return max_length - num_special
