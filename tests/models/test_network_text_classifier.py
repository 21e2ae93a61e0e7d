"""Documents in, labels out, through both kinds of network; saved and loaded they say the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import nlptransfer
from nlptransfer.data.documents import Document
from nlptransfer.data.vocabulary import UNKNOWN, Vocabulary
from nlptransfer.embeddings.ngrams import NgramVectorizer
from nlptransfer.errors import InputError
from nlptransfer.models.classifier import BagOfWordsNetwork, RecurrentClassifier
from nlptransfer.models.network_text_classifier import NetworkTextClassifier, WordReader, lower_words
from nlptransfer.models.saving import check_reload, read_tensors, write_model_folder
from nlptransfer.training.seeding import seeded

TEXTS: list[Document] = [
    "A good book, a very good one.",
    "Dull. I didn't finish it",
    "",
    "unheard-of words only",
    "good " * 30 + "dull " * 30,
]
LABELS = ["neg", "pos"]


def make_bag_of_words(texts: list[Document] = TEXTS, **settings: float) -> NetworkTextClassifier:
    extractor = NgramVectorizer(ngram_range=(1, 1), min_documents=1).fit(texts)
    with seeded(0):
        network = BagOfWordsNetwork(extractor.dim, 2, hidden_dim=6, dropout=0.5, activation="tanh")
        nn.init.normal_(network.head.weight, std=3.0)
    return NetworkTextClassifier(extractor, LABELS, network.eval(), metadata={"trained_on": "nothing"})


def make_recurrent() -> NetworkTextClassifier:
    vocabulary = Vocabulary(["good", "book", "dull", "didn't", "a"])
    with seeded(0):
        embedding = nn.Embedding(len(vocabulary), 5, padding_idx=0)
        embedding.weight.requires_grad_(False)
        network = RecurrentClassifier(embedding, 2, hidden_dim=4, cell="gru", pooling="max", dropout=0.5)
        nn.init.normal_(network.head.weight, std=3.0)
    return NetworkTextClassifier(WordReader(vocabulary, max_length=30), LABELS, network.eval())


def make(kind: str) -> NetworkTextClassifier:
    return make_bag_of_words() if kind == "bag of words" else make_recurrent()


KINDS = ["bag of words", "recurrent"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_document_gets_a_label_whatever_stands_beside_it(kind: str) -> None:
    classifier = make(kind)
    probabilities = classifier.predict_proba(TEXTS)
    assert probabilities.shape == (5, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert classifier.predict(TEXTS) == [LABELS[index] for index in probabilities.argmax(axis=1)]
    for number, text in enumerate(TEXTS):
        np.testing.assert_allclose(classifier.predict_proba([text])[0], probabilities[number], rtol=1e-4)
    assert len({round(float(p), 4) for p in probabilities[:, 0]}) > 2
    assert classifier.predict([]) == [] and classifier.predict_proba([]).shape == (0, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_classifier_says_the_same_in_a_fresh_process(kind: str, tmp_path: Path) -> None:
    classifier = make(kind)
    classifier.save_pretrained(tmp_path / "model")
    loaded = nlptransfer.load(tmp_path / "model")
    assert isinstance(loaded, NetworkTextClassifier)
    assert loaded.labels == LABELS and loaded.metadata == classifier.metadata
    assert not loaded.network.training and loaded.network.dropout.p == 0.5
    assert (loaded.predict_proba(TEXTS) == classifier.predict_proba(TEXTS)).all()
    check_reload(tmp_path / "model", TEXTS, classifier.predict(TEXTS))
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".json", ".safetensors", ".md"}


def test_a_bag_of_words_network_also_reads_counted_terms(tmp_path: Path) -> None:
    bags: list[Document] = [{"good": 2.0, "book": 1.0}, {"dull": 1.0}, {}]
    classifier = make_bag_of_words(bags)
    classifier.save_pretrained(tmp_path / "model")
    assert nlptransfer.load(tmp_path / "model").predict(bags) == classifier.predict(bags)


def test_a_recurrent_classifier_reads_lower_cased_words_and_as_many_as_it_may() -> None:
    classifier = make_recurrent()
    assert isinstance(classifier.reader, WordReader)
    assert lower_words("Good BOOK, didn't it?") == ["good", "book", "didn't", "it"]
    assert classifier.reader.ids(["Good BOOK, didn't it?"])[0].tolist() == [2, 3, 5, UNKNOWN]
    long = classifier.predict_proba(["good " * 30 + "dull " * 30, "good " * 30])
    np.testing.assert_allclose(long[0], long[1], rtol=1e-5)


def test_what_cannot_be_read_is_said() -> None:
    with pytest.raises(InputError, match="reads texts, and this corpus holds counted terms only"):
        make_recurrent().predict([{"good": 1.0}])
    for kind in KINDS:
        with pytest.raises(TypeError, match="takes a list of documents"):
            make(kind).predict("a good book")


def test_parts_that_do_not_go_together_are_refused() -> None:
    recurrent, bag = make_recurrent(), make_bag_of_words()
    with pytest.raises(ValueError, match="a RecurrentClassifier can't read what a NgramVectorizer makes"):
        NetworkTextClassifier(bag.reader, LABELS, recurrent.network)
    with pytest.raises(ValueError, match="the network has 2 classes, and there are 3 labels"):
        NetworkTextClassifier(bag.reader, ["neg", "neutral", "pos"], bag.network)


def test_weights_that_do_not_fit_are_said_so(tmp_path: Path) -> None:
    make_recurrent().save_pretrained(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    tensors: dict[str, torch.Tensor] = read_tensors(tmp_path / "model", "model")
    config["network"]["hidden_dim"] = 7
    write_model_folder(
        tmp_path / "model",
        model_type="recurrent_classifier",
        config={name: config[name] for name in ("labels", "metadata", "network", "embedding", "max_length")},
        tensors={"model": tensors},
        documents={"vocabulary": ["good", "book", "dull", "didn't", "a"]},
        card="",
    )
    with pytest.raises(InputError, match="the weights do not fit the configuration beside them"):
        nlptransfer.load(tmp_path / "model")
