"""A saved tagger tags the same in a fresh process, every word, and transformers loads what it can of the folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nlptransfer
from nlptransfer.cli import main
from nlptransfer.embeddings.encoder_settings import load_tokenizer
from nlptransfer.errors import InputError
from nlptransfer.models.saving import check_reload
from nlptransfer.models.transformer import TransformerTagger, load_encoder
from nlptransfer.models.transformer_word_tagger import TransformerWordTagger, native_tagger

TAGS = ["ADJ", "DET", "NOUN", "VERB"]
SENTENCES = [
    ["the", "books", "reading", "was", "a", "bad", "film"],
    [],
    ["good", "reads"],
    ["a"],
    ["", "zz", "\u200b"],
]
LONG = ["not", "a", "good", "reading", "and", "dull", "books", "the", "film", "reads"] * 12


def make_tagger(
    folder: Path, *, subwords: Any = "first", layers: Any = (-1,), **settings: Any
) -> TransformerWordTagger:
    """With a head that tells the words apart."""
    network = TransformerTagger(load_encoder(folder), 4, subwords=subwords, layers=layers)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        network.head.weight.copy_(torch.randn(network.head.weight.shape, generator=random))
        if layers == "mix":
            assert network.states.mix is not None
            network.states.mix.scores.copy_(torch.randn(3, generator=random))
    return TransformerWordTagger(load_tokenizer(folder), TAGS, network, **{"max_length": 32, **settings})


@pytest.mark.parametrize(("subwords", "layers"), [("first", (-1,)), ("first", "mix"), ("mean", (0, 1))])
def test_all_that_a_tagger_is_comes_back(tiny: Path, tmp_path: Path, subwords: Any, layers: Any) -> None:
    tagger = make_tagger(tiny, subwords=subwords, layers=layers, context=5, metadata={"tag_column": "upos"})
    expected = tagger.predict([*SENTENCES, LONG])
    assert len({tag for tags in expected for tag in tags}) > 1, "else it proves nothing"
    tagger.save_pretrained(tmp_path / "model", card="# A card\n")
    loaded = nlptransfer.load(tmp_path / "model")
    assert isinstance(loaded, TransformerWordTagger)
    assert loaded.predict([*SENTENCES, LONG]) == expected
    assert (loaded.tags, loaded.max_length, loaded.context) == (TAGS, 32, 5)
    assert (loaded.network.subwords, loaded.network.states.layers) == (subwords, layers)
    assert loaded.metadata == {"tag_column": "upos"} and not loaded.network.training
    weights, saved = tagger.network.state_dict(), loaded.network.state_dict()
    assert weights.keys() == saved.keys()
    assert all(torch.equal(weights[name], saved[name]) for name in weights)


@pytest.mark.slow  # a process of its own takes long to start
def test_a_fresh_process_tags_the_same(tiny: Path, tmp_path: Path) -> None:
    tagger = make_tagger(tiny)
    tagger.save_pretrained(tmp_path / "model")
    check_reload(tmp_path / "model", [*SENTENCES, LONG], tagger.predict([*SENTENCES, LONG]))


@pytest.mark.parametrize("subwords", ["first", "mean"])
def test_a_folder_holds_safetensors_json_and_text_alone(tiny: Path, tmp_path: Path, subwords: Any) -> None:
    make_tagger(tiny, subwords=subwords).save_pretrained(tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {Path(name).suffix for name in names} <= {".safetensors", ".json", ".txt", ".md"}
    assert {"config.json", "nlptransfer.json", "model.safetensors", "head.safetensors", "tokenizer.json"} <= names


def test_a_folder_of_first_subwords_is_one_for_transformers(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    tagger = make_tagger(tiny)
    tagger.save_pretrained(tmp_path / "model")
    model, info = AutoModelForTokenClassification.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert type(model).__name__ == "BertForTokenClassification"
    assert model.config.id2label == dict(enumerate(TAGS))
    assert model.config.label2id == {tag: number for number, tag in enumerate(TAGS)}
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    sentences = [sentence for sentence in SENTENCES[:4] if sentence]
    for sentence in sentences:
        encoded = tokenizer(sentence, is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            logits = model.eval()(**encoded).logits[0]
            own = tagger.network.eval().logits(encoded["input_ids"], encoded["attention_mask"])[0]
        assert torch.allclose(logits, own, atol=1e-6)
        words = encoded.word_ids()
        firsts = [words.index(number) for number in range(len(sentence))]
        tags = [model.config.id2label[number] for number in logits[firsts].argmax(dim=1).tolist()]
        assert tagger.predict([sentence]) == [tags]


@pytest.mark.parametrize(("subwords", "layers"), [("mean", (-1,)), ("first", "mix"), ("first", (1,))])
def test_the_encoder_of_another_folder_is_one_for_transformers(
    tiny: Path, tmp_path: Path, subwords: Any, layers: Any
) -> None:
    from transformers import AutoModel

    tagger = make_tagger(tiny, subwords=subwords, layers=layers)
    assert native_tagger(tagger.network, TAGS) is None
    tagger.save_pretrained(tmp_path / "model")
    encoder = AutoModel.from_pretrained(tmp_path / "model").eval()
    ids = torch.tensor([[2, 5, 6, 7, 3]])
    with torch.no_grad():
        expected = tagger.network.encoder.eval()(ids).last_hidden_state
        assert torch.equal(encoder(ids).last_hidden_state, expected)


def test_a_native_tagger_shares_the_weights_and_leaves_the_generator_alone(tiny: Path) -> None:
    tagger = make_tagger(tiny)
    before = torch.get_rng_state()
    native: Any = native_tagger(tagger.network, TAGS)
    assert torch.equal(torch.get_rng_state(), before)
    assert native.bert is tagger.network.encoder and native.classifier is tagger.network.head
    assert tagger.network.encoder.config.num_labels == 2, "the encoder's own configuration stays as it was"


def test_an_architecture_whose_own_head_is_of_another_make_is_saved_as_an_encoder(tmp_path: Path) -> None:
    from transformers import ModernBertConfig, ModernBertModel

    # Its head for tokens has a hidden layer, which ours has not.
    config = ModernBertConfig(
        vocab_size=20,
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
        pad_token_id=0,
    )
    network = TransformerTagger(ModernBertModel(config), 4)
    assert native_tagger(network, TAGS) is None


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "head.safetensors", "tokenizer.json"])
def test_an_altered_file_is_named(tiny: Path, tmp_path: Path, name: str) -> None:
    make_tagger(tiny).save_pretrained(tmp_path / "model")
    file = tmp_path / "model" / name
    file.write_bytes(file.read_bytes()[:-1] + b" ")
    with pytest.raises(InputError, match=f"{name}: the file was altered"):
        nlptransfer.load(tmp_path / "model")


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_as_many_tags_as_words_however_long_the_sentence(tiny: Path, batch_size: int) -> None:
    tagger = make_tagger(tiny, context=5)
    sentences = [*SENTENCES, LONG, ["not" + "s" * 100, "a"] * 20, []]
    tags = tagger.predict(sentences, batch_size=batch_size)
    assert [len(own) for own in tags] == [len(sentence) for sentence in sentences]
    assert {tag for own in tags for tag in own} <= set(TAGS)


def test_the_words_of_a_long_sentence_are_tagged_within_their_windows(tiny: Path) -> None:
    from nlptransfer.data.subword_words import WordBatches

    tagger = make_tagger(tiny, context=4)
    encoded = tagger.encode([LONG])
    windows = WordBatches(encoded, batch_size=1, max_length=32, context=4).windows
    assert len(windows) > 4
    expected: list[str] = []
    for window in windows:
        (tags,) = tagger.predict([LONG[window.start : window.end]])
        expected += tags[window.first - window.start : window.last - window.start]
    assert tagger.predict([LONG]) == [expected]


@pytest.mark.parametrize("max_length", [8, 12, 32])
def test_a_short_longest_input_leaves_room_for_words_beside_the_context(tiny: Path, max_length: int) -> None:
    tagger = make_tagger(tiny, max_length=max_length)  # the default context alone would fill it
    assert tagger.context == (max_length - 2) // 4
    assert len(tagger.predict([LONG])[0]) == len(LONG)


def test_no_sentences_and_empty_sentences_are_answered(tiny: Path) -> None:
    tagger = make_tagger(tiny)
    assert tagger.predict([]) == []
    assert tagger.predict([[], []]) == [[], []]
    assert [len(tags) for tags in tagger.predict([[""], [], ["", " "]])] == [1, 0, 2]
    assert tagger.predict_ids(tagger.encode([])).shape == (0,)


def test_a_string_is_no_list_of_words(tiny: Path) -> None:
    tagger = make_tagger(tiny)
    wrong: Any
    for wrong in ("the book", ["the book"]):
        with pytest.raises(TypeError, match="predict takes lists of words"):
            tagger.predict(wrong)
    with pytest.raises(ValueError, match="the network has 4 tags, and there are 3 names"):
        TransformerWordTagger(tagger.tokenizer, TAGS[:3], tagger.network)


def test_tagging_neither_drops_units_nor_leaves_the_mode_it_found(tiny: Path) -> None:
    tagger = make_tagger(tiny)
    encoded = tagger.encode([LONG])
    for training in (True, False):
        tagger.network.train(training)
        np.testing.assert_array_equal(tagger.predict_ids(encoded), tagger.predict_ids(encoded))
        assert tagger.network.training == tagger.network.encoder.training == training


@pytest.mark.parametrize("subwords", ["first", "mean"])
def test_the_command_line_predicts_and_evaluates(
    tiny: Path, tmp_path: Path, subwords: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    tagger = make_tagger(tiny, subwords=subwords, metadata={"tag_column": "upos"})
    tagger.save_pretrained(tmp_path / "model")
    sentences = [SENTENCES[0], SENTENCES[2]]
    predicted = tagger.predict(sentences)
    gold = [list(tags) for tags in predicted]
    gold[0][0] = next(tag for tag in TAGS if tag != predicted[0][0])
    blocks = [
        "".join(
            f"{number}\t{word}\t_\t{tag}\t_\t_\t{number - 1}\t{'root' if number == 1 else 'dep'}\t_\t_\n"
            for number, (word, tag) in enumerate(zip(words, tags, strict=True), start=1)
        )
        for words, tags in zip(sentences, gold, strict=True)
    ]
    data, output, model = tmp_path / "data.conllu", tmp_path / "out.conllu", str(tmp_path / "model")
    data.write_text("\n".join(blocks) + "\n")
    main(["predict", "--model", model, "--input", str(data), "--output", str(output)])
    columns = [line.split("\t") for line in output.read_text().splitlines() if line]
    assert [column[3] for column in columns] == [tag for tags in predicted for tag in tags]
    main(["evaluate", "--model", model, "--data", str(data), "--output", str(tmp_path / "scores.json")])
    assert f"2 sentences, 9 words\ntoken accuracy {8 / 9:.2%}" in capsys.readouterr().out
    assert json.loads((tmp_path / "scores.json").read_text())["scores"][0]["value"] == pytest.approx(8 / 9)
