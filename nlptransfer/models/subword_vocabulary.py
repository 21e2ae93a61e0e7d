"""A subword vocabulary learnt from text: sentencepiece trains it, `transformers` reads it."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np

from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from tokenizers.models import Model
    from transformers import PreTrainedTokenizerFast

Kind = Literal["unigram", "bpe"]

PAD, UNKNOWN, START, END, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""The first pieces of every vocabulary, in this order: padding is 0, as in a `Batch`."""
SPACE = "▁"
_THREADS = 2  # fixed, since sums over threads, and so the last digits of scores, depend on their number


def train_subword_vocabulary(
    lines: Iterable[str],
    *,
    kind: Kind = "unigram",
    vocab_size: int,
    seed: int,
    max_lines: int = 500_000,
    character_coverage: float = 1.0,
    max_length: int = 512,
) -> PreTrainedTokenizerFast:
    """Learn a vocabulary of subwords, and give the tokenizer that splits texts as sentencepiece does.

    Texts are normalised to NFKC, and white space to single spaces. A text becomes ``[CLS] pieces [SEP]``.

    Args:
        lines: the text, streamed; of more than `max_lines` a random sample is learnt from.
        kind: "unigram" (Kudo 2018), or "bpe": pairs merged by frequency (Sennrich et al. 2016).
        vocab_size: pieces in all, the five special ones included.
        seed: of the sample.
        max_lines: kept in memory at most.
        character_coverage: share of the text's characters that get a piece; the rarest others are unknown. 1 is right
            for small scripts, 0.9995 for Chinese or Japanese.
        max_length: tokens that the model will read at most, for the tokenizer to cut by.

    Returns:
        A fast tokenizer with the ids 0 to 4 for padding, unknown, start, end and mask. `save_pretrained` writes it, and
        ``AutoTokenizer`` loads it.

    Raises:
        InputError: there is no text, or `vocab_size` does not fit it; says which would.

    Reference:
        Kudo & Richardson 2018, https://aclanthology.org/D18-2012.

    Example:
        >>> tokenizer = train_subword_vocabulary(lines, vocab_size=16_000, seed=0, max_length=128)
        >>> tokenizer.save_pretrained("model")
    """
    model = train_sentencepiece(
        sample_lines(lines, max_lines=max_lines, seed=seed),
        kind=kind,
        vocab_size=vocab_size,
        character_coverage=character_coverage,
    )
    return tokenizer_from_sentencepiece(model, kind=kind, max_length=max_length)


def sample_lines(lines: Iterable[str], *, max_lines: int, seed: int) -> list[str]:
    """At most `max_lines` of a stream, each with the same chance, in memory for no more than these.

    Args:
        lines: the stream.
        max_lines: how many to keep.
        seed: of the choice.

    Reference:
        Vitter 1985, algorithm R, https://doi.org/10.1145/3147.3165.
    """
    random = np.random.default_rng(seed)
    kept: list[str] = []
    for number, line in enumerate(lines):
        if number < max_lines:
            kept.append(line)
        elif (place := int(random.integers(number + 1))) < max_lines:
            kept[place] = line
    return kept


def train_sentencepiece(lines: Iterable[str], *, kind: Kind, vocab_size: int, character_coverage: float = 1.0) -> bytes:
    """Train a sentencepiece model.

    Args:
        lines: the text.
        kind: "unigram" or "bpe".
        vocab_size: pieces in all.
        character_coverage: see `train_subword_vocabulary`.

    Returns:
        The model, as sentencepiece writes it to a file.

    Raises:
        InputError: there is no text, or `vocab_size` does not fit it.
    """
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_normalised(lines),
            model_writer=model,
            model_type=kind,
            vocab_size=vocab_size,
            character_coverage=character_coverage,
            # What texts are before they are split is settled outside, by means that both libraries share.
            normalization_rule_name="identity",
            pad_id=0,
            unk_id=1,
            bos_id=2,
            eos_id=3,
            pad_piece=PAD,
            unk_piece=UNKNOWN,
            bos_piece=START,
            eos_piece=END,
            control_symbols=[MASK],
            max_sentence_length=1 << 20,  # bytes; longer ones would be left out, which a paragraph easily is
            num_threads=_THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _training_error(str(error), vocab_size) from error
    return model.getvalue()


def tokenizer_from_sentencepiece(model: bytes, *, kind: Kind, max_length: int) -> PreTrainedTokenizerFast:
    """The same pieces as a tokenizer of `transformers`.

    Args:
        model: as `train_sentencepiece` gives it.
        kind: how it was trained.
        max_length: tokens that the model will read at most.

    Returns:
        The tokenizer. Where sentencepiece shows an unknown stretch, it shows ``[UNK]``; ids are equal.
    """
    from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(_pieces(model, kind))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}",
        pair=f"{START} $A {END} $B:1 {END}:1",
        special_tokens=[(START, SPECIAL.index(START)), (END, SPECIAL.index(END))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        cls_token=START,
        sep_token=END,
        mask_token=MASK,
        model_max_length=max_length,
    )


def _pieces(model: bytes, kind: Kind) -> Model:
    """The part of a fast tokenizer that splits words."""
    import sentencepiece
    from tokenizers.models import BPE, Unigram

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = [(processor.id_to_piece(i), processor.get_score(i)) for i in range(processor.get_piece_size())]
    if kind == "unigram":
        return Unigram(pieces, unk_id=SPECIAL.index(UNKNOWN))
    ids = {piece: number for number, (piece, _) in enumerate(pieces)}
    # sentencepiece merges the pair whose whole has the best score, whichever the two are: every way to make it counts.
    merges = [
        (-score, ids[piece[:cut]], ids[piece[cut:]], (piece[:cut], piece[cut:]))
        for piece, score in pieces[len(SPECIAL) :]
        for cut in range(1, len(piece))
        if piece[:cut] in ids and piece[cut:] in ids
    ]
    return BPE(ids, [merge[-1] for merge in sorted(merges)], unk_token=UNKNOWN, fuse_unk=True)


def _normalised(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield " ".join(unicodedata.normalize("NFKC", line).split())


def _training_error(message: str, vocab_size: int) -> InputError:
    """What sentencepiece says about a size that does not fit, as something to act on."""
    if "sentences_.empty()" in message:
        return InputError("there is no text to learn a vocabulary from", expected="a line or more", found="none")
    if largest := re.search(r"Please set it to a value <= (\d+)", message):
        return InputError(
            "vocab_size is larger than this text allows",
            expected=f"at most {largest[1]}",
            found=str(vocab_size),
            remedy=f"Give more text, or --vocab_size {largest[1]} or less.",
        )
    if smallest := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return InputError(
            "vocab_size is smaller than the number of characters of this text",
            expected=f"more than {smallest[1]}",
            found=str(vocab_size),
            remedy="Raise --vocab_size, or lower the share of characters that must get a piece.",
        )
    return InputError(f"sentencepiece can't learn a vocabulary from this text ({message.splitlines()[0]})")
