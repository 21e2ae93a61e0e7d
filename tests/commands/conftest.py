from __future__ import annotations

import numpy as np
import pytest

import nlptransfer


class TextModel:
    """Finds texts with `joy` positive, others negative."""

    labels = ("neg", "pos")

    def predict(self, documents: list[str]) -> list[str]:
        return [self.labels[row.argmax()] for row in self.predict_proba(documents)]

    def predict_proba(self, documents: list[str]) -> np.ndarray:
        return np.array([[0.1, 0.9] if "joy" in document else [0.8, 0.2] for document in documents])


class Tagger:
    """Tags every word X."""

    def __init__(self) -> None:
        self.tags = ["X"]
        self.metadata: dict[str, str] = {}

    def predict(self, sentences: list[list[str]]) -> list[list[str]]:
        return [["X"] * len(words) for words in sentences]


@pytest.fixture
def text_model(monkeypatch: pytest.MonkeyPatch) -> TextModel:
    made = TextModel()
    monkeypatch.setattr(nlptransfer, "load", lambda folder: made, raising=False)
    return made


@pytest.fixture
def tagger(monkeypatch: pytest.MonkeyPatch) -> Tagger:
    made = Tagger()
    monkeypatch.setattr(nlptransfer, "load", lambda folder: made, raising=False)
    return made
