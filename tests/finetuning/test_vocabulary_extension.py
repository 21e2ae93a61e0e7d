"""Split words are ranked by what they cost, and added ones are read as words, start as means, and survive saving."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nlptransfer.errors import InputError
from nlptransfer.finetuning.vocabulary_extension import SplitWord, extend_vocabulary, find_split_words

TEXTS = [
    "the good book was read by a good reader and the bad film was not good, said the reader of books",
    "a film about the sea and the reader's ship: naive waves, deep water and the long road home; zoo, jelly, quiz, kiv",
] * 5


def make_bert(tmp_path: Path, *, lowercase: bool = True) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import BertTokenizerFast

    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer = normalizers.BertNormalizer(lowercase=True)
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    # Every letter inside a word, so that no word is unknown.
    letters = "abcdefghijklmnopqrstuvwxyz"
    alphabet = "".join(f" {letter} x{letter}" for letter in letters)
    trained.train_from_iterator([*TEXTS, alphabet], trainers.WordPieceTrainer(vocab_size=130, special_tokens=special))
    vocabulary = trained.get_vocab()
    folder = tmp_path / "words"
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)))
    return BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=lowercase)


def make_roberta(tmp_path: Path) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import RobertaTokenizerFast

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=special, initial_alphabet=alphabet)
    trained.train_from_iterator(TEXTS, trainer)
    model = json.loads(trained.to_str())["model"]
    return RobertaTokenizerFast(vocab=model["vocab"], merges=[tuple(merge) for merge in model["merges"]])


def make_unigram(special: list[str], unknown: str, letters: str) -> list[tuple[str, float]]:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    trainer = trainers.UnigramTrainer(vocab_size=90, special_tokens=special, unk_token=unknown)
    trained.train_from_iterator([*TEXTS, letters], trainer)
    return [tuple(piece) for piece in json.loads(trained.to_str())["model"]["vocab"]]


def make_xlm_roberta(tmp_path: Path) -> Any:
    from transformers import XLMRobertaTokenizerFast

    pieces = make_unigram(
        ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "<unk>", "Z \u0915\u093f\u0924\u093e\u092c\u0947\u0902"
    )
    return XLMRobertaTokenizerFast(vocab=pieces)


def make_deberta(tmp_path: Path) -> Any:
    from transformers import DebertaV2TokenizerFast

    pieces = make_unigram(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], "[UNK]", "Z")
    return DebertaV2TokenizerFast(vocab=pieces, unk_id=1)


MAKERS: dict[str, Callable[[Path], Any]] = {
    "WordPiece": make_bert, "BPE": make_roberta, "Unigram": make_xlm_roberta, "Unigram of DeBERTa": make_deberta,
}  # fmt: skip


@pytest.fixture(params=MAKERS)
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return MAKERS[request.param](tmp_path)


def make_encoder(tokenizer: Any, *, spare: int = 0, tied: bool | None = None) -> Any:
    """A small BERT without a head, or with one for masked LM that is `tied` to its embeddings or not."""
    from transformers import BertConfig, BertForMaskedLM, BertModel

    config = BertConfig(
        vocab_size=len(tokenizer) + spare, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=12, pad_token_id=tokenizer.pad_token_id, tie_word_embeddings=bool(tied),
    )  # fmt: skip
    return BertModel(config) if tied is None else BertForMaskedLM(config)


def ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def test_words_are_ranked_by_the_subwords_that_they_cost(tmp_path: Path) -> None:
    tokenizer = make_bert(tmp_path)
    texts = [
        "Zymurgy, zymurgy: the zymurgy of quartz",
        "the quartz of the jazz, don't 2718 2718 2718",
        "jazz Jazz rare",
    ]
    pieces = {word: len(tokenizer.tokenize(word)) for word in ("zymurgy", "quartz", "jazz", "the", "rare")}
    assert pieces["the"] == 1 and pieces["zymurgy"] > pieces["quartz"] > 1 and pieces["rare"] > 1
    found = find_split_words(tokenizer, texts, num_words=10, min_count=2)
    expected = [SplitWord("zymurgy", 3, pieces["zymurgy"]), SplitWord("quartz", 2, pieces["quartz"]),
                SplitWord("jazz", 3, pieces["jazz"])]  # fmt: skip
    saved = {split.word: split.count * (split.pieces - 1) for split in expected}
    # "of" may be split as well; "don't" and numbers are left out.
    assert [split for split in found if split.word in saved] == sorted(
        expected, key=lambda split: (-saved[split.word], split.word)
    )
    assert {split.word for split in found} <= {*saved, "of"}
    assert find_split_words(tokenizer, texts, num_words=1, min_count=2) == found[:1]
    assert "rare" in {split.word for split in find_split_words(tokenizer, texts, num_words=10, min_count=1)}


def test_of_words_that_cost_the_same_the_alphabet_decides(tmp_path: Path) -> None:
    tokenizer = make_bert(tmp_path)
    # Among so many words some cost the same, whatever the pieces that the tokenizer has happened to learn.
    words = ["".join(letters) for letters in product("zqx", repeat=3)]
    found = find_split_words(tokenizer, [" ".join(words)], num_words=len(words), min_count=1)
    costs = [split.count * (split.pieces - 1) for split in found]
    assert len(set(costs)) < len(costs)
    assert [split.word for split in found] == [
        word for _, word in sorted((-cost, split.word) for cost, split in zip(costs, found, strict=True))
    ]


def test_an_unknown_word_is_one_piece_and_is_not_found(tmp_path: Path) -> None:
    tokenizer = make_bert(tmp_path)
    assert ids(tokenizer, "\u043c\u0438\u0440") == [tokenizer.unk_token_id]
    assert find_split_words(tokenizer, ["\u043c\u0438\u0440 " * 5], num_words=3, min_count=1) == []


def test_a_new_word_is_one_token_as_a_word_and_none_inside_others(tokenizer: Any) -> None:
    texts = ["zymurgy", "the zymurgy", "the zymurgy was good", "zymurgy the zymurgy"]
    others = ["the subzymurgy was", "zymurgys", "azymurgyb the", "the good book", "the_zymurgy_b"]
    before = {text: ids(tokenizer, text) for text in others}
    first, space = ids(tokenizer, "the"), ids(tokenizer, "the was good")
    new = len(tokenizer)
    report = extend_vocabulary(tokenizer, make_encoder(tokenizer), ["zymurgy"], texts=texts)
    assert report.added == ("zymurgy",) and report.skipped == () and len(tokenizer) == new + 1
    assert ids(tokenizer, texts[0]) == [new]
    assert ids(tokenizer, texts[1]) == [*first, new]
    assert ids(tokenizer, texts[2]) == [*first, new, *space[len(first) :]]
    assert ids(tokenizer, texts[3])[0] == ids(tokenizer, texts[3])[-1] == new
    assert {text: ids(tokenizer, text) for text in others} == before


def test_punctuation_does_not_keep_a_word_from_being_found(tokenizer: Any) -> None:
    extend_vocabulary(tokenizer, make_encoder(tokenizer), ["zymurgy"], texts=["the"])
    new = len(tokenizer) - 1
    for text in ("zymurgy, the", "the (zymurgy)", "the zymurgy's"):
        assert ids(tokenizer, text).count(new) == 1


def test_new_rows_are_means_of_the_pieces_and_old_rows_keep_every_bit(tokenizer: Any) -> None:
    encoder = make_encoder(tokenizer)
    old = encoder.get_input_embeddings().weight.detach().numpy().copy()
    # As they stand in the midst of a text: after a space, where that matters.
    start = len(ids(tokenizer, "the"))
    pieces = {word: ids(tokenizer, f"the {word}")[start:] for word in ("zymurgy", "quizzical")}
    state = torch.random.get_rng_state()
    extend_vocabulary(tokenizer, encoder, list(pieces), texts=["the"])
    assert torch.equal(torch.random.get_rng_state(), state)
    new = encoder.get_input_embeddings().weight.detach().numpy()
    assert new.shape == (len(old) + 2, 8) and encoder.config.vocab_size == len(new)
    np.testing.assert_array_equal(new[: len(old)], old)
    for row, word in enumerate(pieces, start=len(old)):
        assert len(pieces[word]) > 2
        slow = sum(old[piece].astype(np.float64) for piece in pieces[word]) / len(pieces[word])
        np.testing.assert_allclose(new[row], slow, atol=1e-7)
        assert ids(tokenizer, word) == [row]


def test_saved_and_loaded_again_tokenizer_and_encoder_behave_the_same(tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    encoder = make_encoder(tokenizer).eval()
    extend_vocabulary(tokenizer, encoder, ["zymurgy", "quizzical"], texts=["the"])
    tokenizer.save_pretrained(tmp_path / "saved")
    encoder.save_pretrained(tmp_path / "saved")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "saved")
    again = AutoModel.from_pretrained(tmp_path / "saved").eval()
    texts = ["the Zymurgy zymurgy, zymurgys and subzymurgy's quizzical", "zymurgy", "quizzical.zymurgy the"]
    assert [ids(loaded, text) for text in texts] == [ids(tokenizer, text) for text in texts]
    batch = tokenizer(texts[0], return_tensors="pt")
    with torch.inference_mode():
        one, other = (
            model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
            for model in (encoder, again)
        )
    assert torch.equal(one, other)


def test_capitals_matter_only_where_they_matter_to_the_tokenizer(tmp_path: Path) -> None:
    small = make_bert(tmp_path)
    report = extend_vocabulary(small, make_encoder(small), ["Zymurgy", "zymurgy"], texts=["the"])
    assert report.added == ("zymurgy",)
    assert ids(small, "ZYMURGY zymurgy Z\u00fdmurgy") == [len(small) - 1] * 3
    cased = make_roberta(tmp_path)
    extend_vocabulary(cased, make_encoder(cased), ["Zymurgy"], texts=["the"])
    assert ids(cased, "Zymurgy zymurgy").count(len(cased) - 1) == 1


def test_a_word_is_not_found_in_a_longer_one_that_goes_on_with_a_vowel_sign(tmp_path: Path) -> None:
    tokenizer = make_xlm_roberta(tmp_path)
    word, longer = "\u0915\u093f\u0924\u093e\u092c", "\u0915\u093f\u0924\u093e\u092c\u0947\u0902"
    before = ids(tokenizer, longer)
    extend_vocabulary(tokenizer, make_encoder(tokenizer), [word], texts=[word])
    assert ids(tokenizer, word) == [len(tokenizer) - 1]
    assert ids(tokenizer, longer) == before


def test_the_report_counts_subwords_per_running_word(tokenizer: Any) -> None:
    texts = ["the zymurgy the zymurgy", "the quartz"]
    start = len(ids(tokenizer, "the"))
    size = {word: len(ids(tokenizer, f"the {word}")) - start for word in ("the", "zymurgy", "quartz")}
    report = extend_vocabulary(tokenizer, make_encoder(tokenizer), ["zymurgy"], texts=texts)
    assert report.pieces_per_word_before == (3 * size["the"] + 2 * size["zymurgy"] + size["quartz"]) / 6
    assert report.pieces_per_word_after == (3 * size["the"] + 2 + size["quartz"]) / 6


def test_words_that_the_tokenizer_has_are_skipped(tmp_path: Path) -> None:
    tokenizer = make_bert(tmp_path)
    encoder = make_encoder(tokenizer)
    before = len(tokenizer)
    report = extend_vocabulary(tokenizer, encoder, ["the", "reader"], texts=["the reader"])
    assert report.added == () and report.skipped == ("the", "reader")
    assert len(tokenizer) == before == encoder.get_input_embeddings().num_embeddings
    assert report.pieces_per_word_before == report.pieces_per_word_after == 1


def test_an_unknown_word_can_be_added_and_begins_as_the_unknown_token(tmp_path: Path) -> None:
    tokenizer = make_bert(tmp_path)
    encoder = make_encoder(tokenizer)
    extend_vocabulary(tokenizer, encoder, ["\u043c\u0438\u0440"], texts=["the"])
    rows = encoder.get_input_embeddings().weight
    assert ids(tokenizer, "\u043c\u0438\u0440") == [len(tokenizer) - 1]
    assert torch.equal(rows[-1], rows[tokenizer.unk_token_id])


def test_rows_that_the_encoder_has_to_spare_are_used_and_none_is_lost(tmp_path: Path) -> None:
    tokenizer = make_bert(tmp_path)
    encoder = make_encoder(tokenizer, spare=5)
    pieces = ids(tokenizer, "zymurgy")
    old = encoder.get_input_embeddings().weight.detach().clone()
    extend_vocabulary(tokenizer, encoder, ["zymurgy"], texts=["the"])
    new = encoder.get_input_embeddings().weight.detach()
    used = len(tokenizer) - 1
    assert new.shape == old.shape
    assert (new != old).any(dim=1).nonzero().flatten().tolist() == [used]
    torch.testing.assert_close(new[used], old[pieces].mean(dim=0))


@pytest.mark.parametrize("tied", [True, False])
def test_the_output_layer_of_a_masked_lm_follows(tied: bool, tmp_path: Path) -> None:
    tokenizer = make_bert(tmp_path)
    model = make_encoder(tokenizer, tied=tied)
    old = model.get_output_embeddings().weight.detach().clone()
    pieces = ids(tokenizer, "zymurgy")
    extend_vocabulary(tokenizer, model, ["zymurgy"], texts=["the"])
    new = model.get_output_embeddings().weight.detach()
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == tied
    assert torch.equal(new[:-1], old)
    torch.testing.assert_close(new[-1], old[pieces].mean(dim=0))
    logits = model(**tokenizer("the zymurgy", return_tensors="pt")).logits
    assert logits.shape[-1] == len(tokenizer)


def test_a_telling_word_of_the_domain_that_was_cut_off_is_read_once_it_is_in_the_vocabulary(tmp_path: Path) -> None:
    tokenizer = make_bert(tmp_path)
    texts = ["zymurgy zymurgy good", "zymurgy zymurgy bad"]

    def read() -> list[list[int]]:
        rows: list[list[int]] = tokenizer(texts, truncation=True, max_length=8)["input_ids"]
        return rows

    # As the tokenizer is, the two documents are the same to an encoder that reads 8 tokens.
    assert read()[0] == read()[1]
    words = [split.word for split in find_split_words(tokenizer, texts, num_words=1, min_count=2)]
    extend_vocabulary(tokenizer, make_encoder(tokenizer), words, texts=texts)
    assert read()[0] != read()[1]


def test_what_can_not_be_extended_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    from tokenizers import pre_tokenizers

    tokenizer = make_bert(tmp_path)
    encoder = make_encoder(tokenizer)
    for word in ("two words", "semi-colon", ""):
        with pytest.raises(InputError, match="not a single word"):
            extend_vocabulary(tokenizer, encoder, [word], texts=["the"])
    with pytest.raises(InputError, match="no words to report on"):
        extend_vocabulary(tokenizer, encoder, ["zymurgy"], texts=["..."])
    with pytest.raises(InputError, match=r"not that of the encoder.*embeddings of all"):
        extend_vocabulary(tokenizer, make_encoder(tokenizer, spare=-3), ["zymurgy"], texts=["the"])
    slow = SimpleNamespace(is_fast=False)
    with pytest.raises(InputError, match="not a fast one"):
        extend_vocabulary(slow, encoder, ["zymurgy"], texts=["the"])
    with pytest.raises(InputError, match="not a fast one"):
        find_split_words(slow, ["zymurgy"], num_words=1, min_count=1)
    with pytest.raises(ValueError, match="min_count must be 1 or more"):
        find_split_words(tokenizer, ["zymurgy"], num_words=1, min_count=0)
    # One that makes a token of the space before a word, which nothing takes away.
    odd = make_bert(tmp_path)
    odd.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "isolated")
    size = len(odd)
    with pytest.raises(InputError, match=r"can't hold the word 'zymurgy'.*'a zymurgy a' read as"):
        extend_vocabulary(odd, make_encoder(odd), ["zymurgy"], texts=["the"])
    assert len(odd) == size and len(tokenizer) == size == encoder.get_input_embeddings().num_embeddings
