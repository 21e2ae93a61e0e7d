"""Models asked at once: the mean of what they say, better than each where they err apart, saved in one folder."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nlptransfer
from nlptransfer.data.vocabulary import Vocabulary
from nlptransfer.embeddings.embedding_layer import make_random_embedding
from nlptransfer.embeddings.encoder_settings import load_tokenizer
from nlptransfer.models.model_ensemble import TaggerEnsemble, TextClassifierEnsemble
from nlptransfer.models.saving import check_reload
from nlptransfer.models.tagger import RecurrentTagger, TaggerShape
from nlptransfer.models.transformer import TransformerClassifier, load_encoder
from nlptransfer.models.transformer_text_classifier import TransformerTextClassifier
from nlptransfer.training.seeding import seeded

TEXTS = ["a good book", "", "the film was dull", "bad reading and a good film"]
SENTENCES = [["the", "bank"], [], ["rates", "of", "the", "river"], ["bank"] * 40]


class Noisy:
    """Says the truth, more or less surely, with errors of its own."""

    labels = ("neg", "pos")

    def __init__(self, truth: np.ndarray, seed: int) -> None:
        noise = np.random.default_rng(seed).normal(size=len(truth))
        self.positive = 1 / (1 + np.exp(-(2 * truth - 1 + 1.5 * noise)))

    def predict_proba(self, documents: Any) -> np.ndarray:
        return np.stack([1 - self.positive, self.positive], axis=1)


def make_tagger(seed: int, *, tags: tuple[str, ...] = ("DET", "NOUN", "VERB"), head: Any = "softmax") -> Any:
    words = Vocabulary(["the", "bank", "of", "rates", "river"])
    shape = TaggerShape(hidden_dim=8, characters="none", head=head, max_length=16, context=2)
    with seeded(seed):
        tagger = RecurrentTagger(words, None, tags, make_random_embedding(words, 5), shape, metadata={"number": seed})
        with torch.no_grad():
            tagger.embedding.weight.mul_(3)
            tagger.head.weight.mul_(10)
    return tagger.eval()


def make_classifier(folder: Path, seed: int) -> TransformerTextClassifier:
    with seeded(seed):
        network = TransformerClassifier(load_encoder(folder), 2)
        torch.nn.init.normal_(network.head.weight, std=2.0)
    return TransformerTextClassifier(load_tokenizer(folder), ["neg", "pos"], network.eval(), max_length=16)


def test_models_that_err_apart_do_better_together_and_copies_of_one_do_not() -> None:
    truth = np.random.default_rng(0).integers(0, 2, size=400)
    names = ["neg" if label == 0 else "pos" for label in truth]

    def right(members: list[Noisy]) -> float:
        found = TextClassifierEnsemble(members).predict([""] * 400)
        return float(np.mean([one == other for one, other in zip(found, names, strict=True)]))

    members = [Noisy(truth, seed) for seed in range(1, 6)]
    best = max(right([member]) for member in members)
    assert best < 0.85, "else there is nothing to gain"
    assert right(members) > best + 0.05
    assert right([members[0]] * 3) == right([members[0]])


def test_an_ensemble_of_classifiers_says_the_mean_and_comes_back_from_its_folder(tiny: Path, tmp_path: Path) -> None:
    members = [make_classifier(tiny, seed) for seed in (1, 2)]
    ensemble = TextClassifierEnsemble(members)
    mean = sum(member.predict_proba(TEXTS).astype(float) for member in members) / 2
    np.testing.assert_allclose(ensemble.predict_proba(TEXTS), mean, atol=1e-6)
    assert ensemble.predict_proba([]).shape == (0, 2)
    ensemble.save_pretrained(tmp_path / "model", card="# A card\n")
    loaded = nlptransfer.load(tmp_path / "model")
    assert loaded.labels == ["neg", "pos"]
    assert loaded.predict(TEXTS) == ensemble.predict(TEXTS)
    check_reload(tmp_path / "model", TEXTS, ensemble.predict(TEXTS))


def test_an_ensemble_of_taggers_tags_every_word_by_the_mean_and_comes_back(tmp_path: Path) -> None:
    members = [make_tagger(seed) for seed in (1, 2, 3)]
    ensemble = TaggerEnsemble(members)
    found = ensemble.predict(SENTENCES)
    assert [len(tags) for tags in found] == [2, 0, 4, 40]
    mean = sum(member.predict_proba(SENTENCES).astype(float) for member in members) / 3
    names = [members[0].tags[index] for index in mean.argmax(axis=1)]
    assert found == [names[start:end] for start, end in pairwise([0, 2, 2, 6, 46])]
    assert len(set(names)) > 1, "else it proves nothing"
    ensemble.save_pretrained(tmp_path / "model")
    loaded = nlptransfer.load(tmp_path / "model")
    assert loaded.predict(SENTENCES) == found and loaded.metadata == {"number": 1}


def test_the_likeliest_tag_of_a_word_is_the_one_that_a_tagger_predicts() -> None:
    tagger = make_tagger(1)
    found = tagger.predict_proba(SENTENCES)
    assert found.shape == (46, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-6)
    expected = [tag for tags in tagger.predict(SENTENCES) for tag in tags]
    assert [tagger.tags[index] for index in found.argmax(axis=1)] == expected
    assert tagger.predict_proba([[]]).shape == (0, 3)
    with pytest.raises(ValueError, match="softmax head"):
        make_tagger(1, head="crf").predict_proba(SENTENCES)


def test_members_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="in the same order"):
        TaggerEnsemble([make_tagger(1), make_tagger(1, tags=("NOUN", "DET", "VERB"))])
    with pytest.raises(ValueError, match="needs a member"):
        TextClassifierEnsemble([])
    with pytest.raises(TypeError, match="lists of words"):
        TaggerEnsemble([make_tagger(1)]).predict(["a string"])  # type: ignore[list-item]
