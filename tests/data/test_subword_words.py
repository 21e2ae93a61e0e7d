"""Every word counts once, in a window of whole words that has context; and it is cut as in the midst of a text."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nlptransfer.data.subword_words import SubwordSentences, WordBatches, encode_words
from nlptransfer.types import NO_LABEL

PIECES = ["a", "b", "##a", "##b", "bank", "rate", "##s", "rose"]
SENTENCES = [["bank", "rates", "rose"], [], ["aab", "b"]]


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    """WordPiece over a few pieces: `rates` is two of them, a word of K letters a and b is K."""
    from transformers import BertTokenizerFast

    (tmp_path / "words.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PIECES]))
    return BertTokenizerFast(vocab=str(tmp_path / "words.txt"))


@pytest.fixture
def byte_tokenizer() -> Any:
    """Byte-level BPE as in RoBERTa, in which `Ġ` stands for a space before a word."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "r"), ("a", "t"), ("Ġr", "at"), ("Ġrat", "e"), ("Ġ", "a"), ("r", "at")]
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *alphabet, *(left + right for left, right in merges)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **special)


def random_sentences(seed: int) -> SubwordSentences:
    """Some sentences, several of them long, of words of 1 to 5 subwords; each subword has an id of its own."""
    random = np.random.default_rng(seed)
    lengths = random.integers(0, 60, size=12)
    sizes = random.integers(1, 6, size=lengths.sum())
    return SubwordSentences(
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        subword_starts=np.concatenate([[0], np.cumsum(sizes)]),
        subwords=100 + np.arange(sizes.sum()),
        labels=np.arange(lengths.sum()),
        prefix=(1,),
        suffix=(2, 3),
        num_unknown=0,
        num_cut=0,
    )


def spelled(encoded: SubwordSentences) -> list[list[int]]:
    """The subwords of each word."""
    return [part.tolist() for part in np.split(encoded.subwords, encoded.subword_starts[1:-1])]


def test_words_are_cut_as_the_tokenizer_cuts_them_one_by_one(tokenizer: Any) -> None:
    encoded = encode_words(tokenizer, SENTENCES, labels=[[3, 4, 5], [], [6, 7]])
    words = [word for sentence in SENTENCES for word in sentence]
    assert spelled(encoded) == [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    assert tokenizer.convert_ids_to_tokens(spelled(encoded)[1]) == ["rate", "##s"]
    assert encoded.starts.tolist() == [0, 3, 3, 5]
    assert (len(encoded), encoded.num_words, encoded.num_unknown, encoded.num_cut) == (3, 5, 0, 0)
    assert (encoded.prefix, encoded.suffix) == ((2,), (3,))
    assert encoded.labels is not None and encoded.labels.tolist() == [3, 4, 5, 6, 7]


def test_a_word_without_subwords_is_read_as_unknown_and_counted(tokenizer: Any) -> None:
    encoded = encode_words(tokenizer, [["", "bank", " "], ["", "\u200b"]])  # a zero-width space: BERT takes it away
    assert spelled(encoded) == [[1], [9], [1], [1], [1]]
    assert encoded.num_unknown == 4
    unknown = encode_words(tokenizer, [["qqq"]])  # of letters that no piece has: the tokenizer's own unknown token
    assert (spelled(unknown), unknown.num_unknown) == ([[1]], 0)


def test_words_that_are_too_long_are_cut_and_counted(tokenizer: Any) -> None:
    long = "ab" * 4
    encoded = encode_words(tokenizer, [[long, "ab", long]], max_word_length=3)
    whole = tokenizer(long, add_special_tokens=False)["input_ids"]
    assert len(whole) == 8
    assert spelled(encoded) == [whole[:3], whole[:2], whole[:3]]
    assert encoded.num_cut == 2
    assert encode_words(tokenizer, [[long]], max_word_length=8).num_cut == 0


def test_labels_that_do_not_match_the_words_are_an_error(tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="sentence 1 has 2 words and 1 labels"):
        encode_words(tokenizer, [["a"], ["a", "b"]], labels=[[0], [0]])
    with pytest.raises(ValueError, match="shorter"):
        encode_words(tokenizer, [["a"], ["b"]], labels=[[0]])


def test_a_byte_level_tokenizer_gets_words_as_after_a_space(byte_tokenizer: Any) -> None:
    words = ["rate", "a", "rat", "été"]
    encoded = encode_words(byte_tokenizer, [words])
    text = byte_tokenizer("x " + " ".join(words), add_special_tokens=False)["input_ids"]
    assert encoded.subwords.tolist() == text[1:]
    assert byte_tokenizer.convert_ids_to_tokens(spelled(encoded)[0]) == ["Ġrate"]
    assert byte_tokenizer("rate", add_special_tokens=False)["input_ids"] != spelled(encoded)[0]
    assert (encoded.prefix, encoded.suffix) == ((0,), (2,))


def test_a_byte_level_tokenizer_that_adds_the_space_itself_gets_no_second_one(byte_tokenizer: Any) -> None:
    from tokenizers import pre_tokenizers

    byte_tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    encoded = encode_words(byte_tokenizer, [["rate", "rat"]])
    assert byte_tokenizer.convert_ids_to_tokens(spelled(encoded)[0]) == ["Ġrate"]
    assert encoded.subwords.tolist() == byte_tokenizer("rate rat", add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("max_length", "context"), [(8, 0), (9, 0), (14, 3), (18, 5), (40, 5), (40, 16), (400, 16)])
def test_each_word_counts_in_one_window_which_is_not_too_long(seed: int, max_length: int, context: int) -> None:
    sentences = random_sentences(seed)
    batches = WordBatches(sentences, batch_size=3, max_length=max_length, context=context, seed=seed)
    counted = Counter(word for window in batches.windows for word in range(window.first, window.last))
    assert counted == Counter(range(sentences.num_words))
    for window in batches.windows:
        assert window.start <= window.first < window.last <= window.end
        sentence = int(np.searchsorted(sentences.starts, window.start, side="right")) - 1
        assert window.end <= sentences.starts[sentence + 1], "a window is of one sentence"
        assert sentences.subword_starts[window.end] - sentences.subword_starts[window.start] <= max_length - 3
    assert all(batch.input_ids.shape[1] <= max_length for batch in batches)
    seen = Counter(
        int(label) for batch in batches if batch.labels is not None for label in batch.labels.flatten() if label >= 0
    )
    assert seen == Counter(range(sentences.num_words)), "labels stand only where the word counts"


@pytest.mark.parametrize("context", [6, 16])
def test_the_context_is_there_but_for_less_than_a_word(context: int) -> None:
    sentences = random_sentences(5)
    at, longest = sentences.subword_starts, 5
    windows = WordBatches(sentences, batch_size=3, max_length=60, context=context).windows
    cut = 0
    for window in windows:
        start = int(sentences.starts[np.searchsorted(sentences.starts, window.start, side="right") - 1])
        end = int(sentences.starts[np.searchsorted(sentences.starts, window.start, side="right")])
        before, after = at[window.first] - at[window.start], at[window.end] - at[window.last]
        # All of the context that the sentence holds, whole words only; at its ends there may be none.
        assert before <= context and (before > context - longest or window.start == start)
        assert context <= after < context + longest or window.end == end
        cut += window.end != end
    assert cut > 5, "some sentences are cut"


def test_a_batch_holds_the_words_and_knows_them(tokenizer: Any) -> None:
    encoded = encode_words(tokenizer, SENTENCES, labels=[[3, 4, 5], [], [6, 7]])
    (batch,) = WordBatches(encoded, batch_size=8)
    # The same lengths: the order of the sentences. The empty one has no row.
    assert tokenizer.convert_ids_to_tokens(batch.input_ids[0].tolist()) == [
        "[CLS]", "bank", "rate", "##s", "rose", "[SEP]",
    ]  # fmt: skip
    assert tokenizer.convert_ids_to_tokens(batch.input_ids[1].tolist()) == ["[CLS]", "a", "##a", "##b", "b", "[SEP]"]
    assert batch.words is not None and batch.labels is not None
    assert batch.words.tolist() == [[-1, 0, 1, 1, 2, -1], [-1, 0, 0, 0, 1, -1]]
    assert batch.labels.tolist() == [[3, 4, 5], [6, 7, NO_LABEL]]
    assert batch.mask.all() and batch.mask.dtype == torch.bool


def test_padding_is_masked_and_counted(tokenizer: Any) -> None:
    batches = WordBatches(encode_words(tokenizer, [["a"], ["a", "b", "aab"]]), batch_size=2)
    (batch,) = batches
    assert batch.labels is None
    assert batch.input_ids[0].tolist() == [2, 5, 3, 0, 0, 0, 0]
    assert batch.mask.tolist() == [[True] * 3 + [False] * 4, [True] * 7]
    assert batch.words is not None and batch.words[0].tolist() == [-1, 0, -1, -1, -1, -1, -1]
    assert batches.padding == pytest.approx(4 / 14)


def test_batches_of_a_window_carry_context_without_labels() -> None:
    sentences = random_sentences(0)
    batches = WordBatches(sentences, batch_size=2, max_length=30, context=8)
    assert len(batches.windows) > len(sentences)
    for windows, batch in batches.groups():
        assert batch.words is not None and batch.labels is not None
        for row, window in enumerate(windows):
            ids = batch.input_ids[row][batch.words[row] >= 0]
            bounds = sentences.subword_starts[[window.start, window.end]]
            assert ids.tolist() == sentences.subwords[slice(*bounds)].tolist()
            own = range(window.start, window.end)
            expected = [word if window.first <= word < window.last else NO_LABEL for word in own]
            assert batch.labels[row, : len(expected)].tolist() == expected
            assert (batch.labels[row, len(expected) :] == NO_LABEL).all()


def orders(sentences: SubwordSentences, seed: int | None, epochs: list[int]) -> list[list[list[int]]]:
    batches = WordBatches(sentences, batch_size=2, max_length=30, context=4, seed=seed)
    found = []
    for epoch in epochs:
        batches.set_epoch(epoch)
        found.append([[window.first for window in windows] for windows, _ in batches.groups()])
    return found


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    sentences = random_sentences(1)
    first, second = orders(sentences, 0, [0, 1])
    assert orders(sentences, 0, [3, 1, 0, 1])[1:] == [second, first, second]
    assert first != second
    assert orders(sentences, 1, [0]) != [first]
    assert orders(sentences, None, [0, 1])[0] == orders(sentences, None, [1])[0]


def test_no_sentences_and_empty_sentences_have_no_batches(tokenizer: Any) -> None:
    for sentences in ([], [[], []]):
        encoded = encode_words(tokenizer, sentences, labels=sentences)
        batches = WordBatches(encoded, batch_size=2, seed=0)
        assert (len(encoded), encoded.num_words) == (len(sentences), 0)
        assert (len(batches), list(batches), batches.windows, batches.padding) == (0, [], [], 0.0)


def test_too_little_room_is_told_with_the_number_that_would_do() -> None:
    sentences = random_sentences(2)  # its longest word has 5 subwords; 3 tokens frame a text
    with pytest.raises(ValueError, match=r"no room for a word of 5 between 4 subwords .* must be 1 more"):
        WordBatches(sentences, batch_size=2, max_length=15, context=4)
    assert WordBatches(sentences, batch_size=2, max_length=16, context=4).windows
    with pytest.raises(ValueError, match="batch_size must be at least 1, found 0"):
        WordBatches(sentences, batch_size=0)
