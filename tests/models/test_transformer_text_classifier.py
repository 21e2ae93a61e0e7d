"""A saved classifier predicts the same in a fresh process, and transformers loads what it can of the folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nlptransfer
from nlptransfer.cli import main
from nlptransfer.data.subword_texts import Truncation
from nlptransfer.embeddings.encoder_settings import load_tokenizer
from nlptransfer.errors import InputError
from nlptransfer.models.saving import check_reload
from nlptransfer.models.transformer import TransformerClassifier, load_encoder, load_native_classifier
from nlptransfer.models.transformer_text_classifier import (
    TransformerTextClassifier,
    document_features,
    document_probabilities,
)

LABELS = ["bad", "fair", "good"]
TEXTS = ["a good book", "", "not a good read and a dull, bad book", "the film was bad", "unknown words", "book"]


def make_classifier(
    folder: Path, *, pooling: Any = "mean", layers: Any = (-1,), truncation: Truncation = "head", **settings: Any
) -> TransformerTextClassifier:
    """With a head that tells the texts apart."""
    native = pooling == "native"
    encoder = load_native_classifier(folder, 3) if native else load_encoder(folder)
    network = TransformerClassifier(encoder, 3, pooling=pooling, layers=layers)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        network.head.weight.copy_(torch.randn(network.head.weight.shape, generator=random))
        if layers == "mix":
            assert network.states.mix is not None
            network.states.mix.scores.copy_(torch.randn(3, generator=random))
    return TransformerTextClassifier(
        load_tokenizer(folder), LABELS, network, max_length=10, truncation=truncation, **settings
    )


@pytest.mark.parametrize(("pooling", "layers"), [("mean", (-1,)), ("cls", (0, 2)), ("max", "mix"), ("native", (-1,))])
def test_all_that_a_classifier_is_comes_back(tiny: Path, tmp_path: Path, pooling: Any, layers: Any) -> None:
    classifier = make_classifier(tiny, pooling=pooling, layers=layers, truncation="windows", metadata={"learned": "x"})
    expected = classifier.predict_proba(TEXTS)
    assert expected.shape == (6, 3) and expected.dtype == np.float32
    assert np.ptp(expected, axis=0).max() > 0.01, "else it proves nothing"
    classifier.save_pretrained(tmp_path / "model", card="# A card\n")
    loaded = nlptransfer.load(tmp_path / "model")
    assert isinstance(loaded, TransformerTextClassifier)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), expected)
    assert (loaded.labels, loaded.max_length, loaded.truncation) == (LABELS, 10, "windows")
    assert loaded.metadata == {"learned": "x"}
    assert loaded.network.pooling == pooling and not loaded.network.training
    assert native_or_layers(loaded) == native_or_layers(classifier)
    assert (tmp_path / "model" / "README.md").read_text() == "# A card\n"
    loaded.save_pretrained(tmp_path / "again")
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def native_or_layers(classifier: TransformerTextClassifier) -> Any:
    return "native" if classifier.network.native is not None else classifier.network.states.layers


@pytest.mark.slow  # a process of its own takes long to start
def test_a_fresh_process_predicts_the_same(tiny: Path, tmp_path: Path) -> None:
    classifier = make_classifier(tiny)
    assert len(set(classifier.predict(TEXTS))) > 1, "else it proves nothing"
    classifier.save_pretrained(tmp_path / "model")
    check_reload(tmp_path / "model", TEXTS, classifier.predict(TEXTS))
    assert (tmp_path / "model").is_dir()


@pytest.mark.parametrize("pooling", ["mean", "native"])
def test_a_folder_holds_safetensors_json_and_text_alone(tiny: Path, tmp_path: Path, pooling: Any) -> None:
    make_classifier(tiny, pooling=pooling).save_pretrained(tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {Path(name).suffix for name in names} <= {".safetensors", ".json", ".txt", ".md"}
    assert {"config.json", "nlptransfer.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    assert ("head.safetensors" in names) == (pooling == "mean")
    for name in names - {"model.safetensors", "head.safetensors", "tokenizer.json"}:
        assert str(tmp_path) not in (tmp_path / "model" / name).read_text(), "no path of the machine that wrote it"


def transformers_logits(model: Any, folder: Path, text: str) -> np.ndarray:
    from transformers import AutoTokenizer

    encoded = AutoTokenizer.from_pretrained(folder)(text, truncation=True, max_length=10, return_tensors="pt")
    with torch.no_grad():
        return np.asarray(model(**encoded).logits[0])


def test_a_native_folder_is_one_for_transformers(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, pipeline

    classifier = make_classifier(tiny, pooling="native")
    classifier.save_pretrained(tmp_path / "model")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    assert model.config.id2label == dict(enumerate(LABELS))
    assert model.config.label2id == {"bad": 0, "fair": 1, "good": 2}
    logits = np.stack([transformers_logits(model, tmp_path / "model", text) for text in TEXTS])
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), shares, atol=1e-6)
    answers = pipeline("text-classification", str(tmp_path / "model"), device="cpu")([TEXTS[0], TEXTS[3]])
    assert [answer["label"] for answer in answers] == classifier.predict([TEXTS[0], TEXTS[3]])


def test_the_encoder_of_a_pooled_folder_is_one_for_transformers(tiny: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModel, AutoTokenizer

    classifier = make_classifier(tiny)
    classifier.save_pretrained(tmp_path / "model")
    model = AutoModel.from_pretrained(tmp_path / "model").eval()
    head = load_file(tmp_path / "model" / "head.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in head.items()} == {"head.weight": (3, 8), "head.bias": (3,)}
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    for text in TEXTS:
        with torch.no_grad():
            encoded = tokenizer(text, truncation=True, max_length=10, return_tensors="pt")
            mean = model(**encoded).last_hidden_state[0].mean(dim=0)
            shares = (head["head.weight"] @ mean + head["head.bias"]).softmax(dim=0)
        np.testing.assert_allclose(classifier.predict_proba([text])[0], shares, atol=1e-6)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "head.safetensors", "tokenizer.json"])
def test_an_altered_file_is_named(tiny: Path, tmp_path: Path, name: str) -> None:
    make_classifier(tiny).save_pretrained(tmp_path / "model")
    file = tmp_path / "model" / name
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b" ")
    with pytest.raises(InputError, match=f"{name}: the file was altered"):
        nlptransfer.load(tmp_path / "model")
    file.unlink()
    with pytest.raises(InputError, match=f"lacks the file {name}"):
        nlptransfer.load(tmp_path / "model")


def test_an_altered_configuration_of_ours_is_named(tiny: Path, tmp_path: Path) -> None:
    make_classifier(tiny).save_pretrained(tmp_path / "model")
    file = tmp_path / "model" / "nlptransfer.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "pooling": "max"}))
    with pytest.raises(InputError, match=r"nlptransfer.json: the file was altered"):
        nlptransfer.load(tmp_path / "model")
    file.unlink()  # a folder of transformers, and none of ours
    with pytest.raises(InputError, match=r"config.json: this is not the configuration of a model"):
        nlptransfer.load(tmp_path / "model")


def test_a_head_that_does_not_fit_is_an_error(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nlptransfer.models import transformer_text_classifier

    make_classifier(tiny).save_pretrained(tmp_path / "model")
    good = {"head.weight": torch.zeros(3, 8), "head.bias": torch.zeros(3)}
    for bad, found in (
        ({"head.weight": good["head.weight"]}, "Found head.bias"),
        ({**good, "states.mix.scale": torch.ones(())}, "Found states.mix.scale"),
        ({**good, "head.bias": torch.zeros(4)}, "size mismatch for head.bias"),
    ):
        monkeypatch.setattr(transformer_text_classifier, "read_tensors", lambda folder, name, bad=bad: bad)
        with pytest.raises(InputError, match=f"the weights do not fit the configuration.*{found}"):
            nlptransfer.load(tmp_path / "model")


def test_windows_are_averaged_over_a_document(tiny: Path) -> None:
    classifier = make_classifier(tiny, truncation="windows")
    long, short = " ".join(["good", "dull", "not", "film", "bad"] * 5), "a good book"
    tokenized = classifier.encode([long, short, long])
    assert tokenized.documents.tolist() == [0, 0, 0, 0, 1, 2, 2, 2, 2], "25 tokens, 8 at once, in strides of 6"
    tokenizer, other = classifier.tokenizer, make_classifier(tiny)
    assert tokenizer.decode(tokenized.ids[1]) == "[CLS] dull not film bad good dull not film [SEP]"
    windows = [tokenizer.decode(row[1:-1]) for row in tokenized.ids[:4]]
    expected = other.predict_proba(windows).mean(axis=0)
    assert np.abs(other.predict_proba(windows) - expected).max() > 0.01, "the windows differ"
    found = classifier.predict_proba([long, short, long])
    np.testing.assert_allclose(found, [expected, other.predict_proba([short])[0], expected], atol=1e-6)
    features = document_features(classifier.network, tokenized)
    assert features.shape == (3, 8)
    alone = document_features(other.network, other.encode(windows))
    np.testing.assert_allclose(features[0], alone.mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("truncation", ["head", "head_tail"])
def test_long_documents_are_cut_as_the_setting_says(tiny: Path, truncation: Truncation) -> None:
    classifier = make_classifier(tiny, truncation=truncation)
    words = ["good", "dull", "not", "film", "bad", "book", "read", "was", "the", "a"]
    kept = words[:8] if truncation == "head" else words[:2] + words[4:]
    found, expected = classifier.predict_proba([" ".join(words), " ".join(kept)])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_no_texts_and_empty_texts_are_answered(tiny: Path) -> None:
    classifier = make_classifier(tiny)
    assert classifier.predict([]) == []
    assert classifier.predict_proba([]).shape == (0, 3)
    assert set(classifier.predict(["", " "])) <= set(LABELS)
    np.testing.assert_allclose(classifier.predict_proba(["", "a"])[0], classifier.predict_proba([""])[0], atol=1e-6)
    with pytest.raises(ValueError, match="there is no document"):
        document_probabilities(classifier.network, classifier.encode([]))


def test_what_is_no_list_of_texts_is_refused(tiny: Path) -> None:
    classifier = make_classifier(tiny)
    with pytest.raises(TypeError, match="predict takes a list of documents"):
        classifier.predict("a good book")
    with pytest.raises(InputError, match=r"an encoder reads texts. Expected running text"):
        classifier.predict(["a good book", {"good": 1.0}])
    with pytest.raises(ValueError, match="the network has 3 classes, and there are 2 labels"):
        TransformerTextClassifier(classifier.tokenizer, ["neg", "pos"], classifier.network)


def test_predicting_neither_drops_units_nor_leaves_the_mode_it_found(tiny: Path) -> None:
    classifier = make_classifier(tiny)
    for training in (True, False):
        classifier.network.train(training)
        np.testing.assert_array_equal(classifier.predict_proba(TEXTS), classifier.predict_proba(TEXTS))
        assert classifier.network.training == classifier.network.encoder.training == training


def test_the_batch_size_changes_nothing(tiny: Path) -> None:
    classifier = make_classifier(tiny)
    tokenized = classifier.encode(TEXTS)
    for batch_size in (1, 4):
        found = document_probabilities(classifier.network, tokenized, batch_size=batch_size)
        np.testing.assert_allclose(found, classifier.predict_proba(TEXTS), atol=1e-6)


def test_a_folder_without_a_tokenizer_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: transformers can't read the tokenizer"):
        load_tokenizer(tmp_path / "empty")


def test_saving_is_quiet(tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    classifier = make_classifier(tiny)
    capfd.readouterr()
    classifier.save_pretrained(tmp_path / "model")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("pooling", ["mean", "native"])
def test_the_command_line_predicts_and_evaluates(
    tiny: Path, tmp_path: Path, pooling: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = make_classifier(tiny, pooling=pooling)
    classifier.save_pretrained(tmp_path / "model")
    texts = [text for text in TEXTS if text]
    predicted = classifier.predict(texts)
    gold = [predicted[0], *(LABELS[(LABELS.index(label) + 1) % 3] for label in predicted[1:])]
    data = tmp_path / "data.csv"
    with data.open("w", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *zip(texts, gold, strict=True)])
    model, output = str(tmp_path / "model"), tmp_path / "out.csv"
    main(["predict", "--model", model, "--input", str(data), "--output", str(output)])
    rows = list(csv.DictReader(output.open()))
    assert [row["predicted_label"] for row in rows] == predicted
    probabilities = [float(row["probability"]) for row in rows]
    assert probabilities == pytest.approx(classifier.predict_proba(texts).max(axis=1), abs=1e-4)
    main(["evaluate", "--model", model, "--data", str(data), "--output", str(tmp_path / "scores.json")])
    assert f"{len(texts)} texts\naccuracy {1 / len(texts):.2%}" in capsys.readouterr().out
    assert json.loads((tmp_path / "scores.json").read_text())["scores"][0]["value"] == 1 / len(texts)
