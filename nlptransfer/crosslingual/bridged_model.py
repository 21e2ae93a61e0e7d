"""A model of one language with the bridge before it: another language in as it is written, labels out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import nlptransfer
from nlptransfer.crosslingual.target_reader import TargetReader
from nlptransfer.models.saving import read_config, write_model_folder

_MODEL, _READER = "model", "reader"


class BridgedTagger:
    """A tagger of the source language that reads the target.

    Args:
        model: the tagger: has ``tags``, ``metadata``, ``predict`` and ``save_pretrained``.
        reader: writes the target's words as `model` reads them.

    Example:
        >>> BridgedTagger(tagger, TargetReader(("Deva", "Arab"), "rules")).predict([["یہ", "کتاب", "ہے"]])
        [['PRON', 'NOUN', 'AUX']]
    """

    def __init__(self, model: Any, reader: TargetReader) -> None:
        self.model = model
        self.reader = reader
        self.tags: list[str] = list(model.tags)
        self.metadata: dict[str, Any] = dict(model.metadata)

    def predict(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """One tag per word.

        Args:
            sentences: lists of words of the target, as they are written.

        Raises:
            TypeError: a sentence is a string and not a list of words.
        """
        if isinstance(sentences, str) or any(isinstance(sentence, str) for sentence in sentences):
            raise TypeError("predict takes lists of words; found a string")
        predicted: list[list[str]] = self.model.predict(self.reader.sentences(sentences))
        return predicted

    def predict_proba(self, sentences: Sequence[Sequence[str]]) -> np.ndarray:
        """(W, C), words of all sentences below one another, in the order of `tags`."""
        probabilities: np.ndarray = self.model.predict_proba(self.reader.sentences(sentences))
        return probabilities

    def save_pretrained(self, folder: str | Path, *, card: str = "") -> None:
        """Write model and bridge into one folder, whole or not at all.

        Args:
            folder: where; an older model there is replaced.
            card: the model card, in Markdown.
        """
        _save(self.model, self.reader, folder, model_type="bridged_tagger", card=card)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> BridgedTagger:
        """Read what `save_pretrained` wrote.

        Raises:
            InputError: a file is missing, altered, or does not fit the others.
        """
        return cls(*_load(folder))


class BridgedTextClassifier:
    """A text classifier of the source language that reads the target.

    Args:
        model: the classifier: has ``labels``, ``predict``, ``predict_proba`` and ``save_pretrained``.
        reader: writes the target's words as `model` reads them.

    Example:
        >>> BridgedTextClassifier(classifier, TargetReader(("Deva", "Arab"), "rules")).predict(["بہت اچھا"])
        ['pos']
    """

    def __init__(self, model: Any, reader: TargetReader) -> None:
        self.model = model
        self.reader = reader
        self.labels: list[str] = list(model.labels)

    def predict(self, documents: Sequence[str]) -> list[str]:
        """One label per text of the target, as it is written."""
        predicted: list[str] = self.model.predict(self.reader.texts(documents))
        return predicted

    def predict_proba(self, documents: Sequence[str]) -> np.ndarray:
        """(N, C), in the order of `labels`."""
        probabilities: np.ndarray = self.model.predict_proba(self.reader.texts(documents))
        return probabilities

    def save_pretrained(self, folder: str | Path, *, card: str = "") -> None:
        """Write model and bridge into one folder, whole or not at all.

        Args:
            folder: where; an older model there is replaced.
            card: the model card, in Markdown.
        """
        _save(self.model, self.reader, folder, model_type="bridged_text_classifier", card=card)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> BridgedTextClassifier:
        """Read what `save_pretrained` wrote.

        Raises:
            InputError: a file is missing, altered, or does not fit the others.
        """
        return cls(*_load(folder))


def _save(model: Any, reader: TargetReader, folder: str | Path, *, model_type: str, card: str) -> None:
    def write_others(place: Path) -> None:
        model.save_pretrained(place / _MODEL)
        (place / _READER).mkdir()
        reader.save(place / _READER)

    write_model_folder(
        folder,
        model_type=model_type,
        config={"reader": reader.to_config()},
        tensors={},
        documents={},
        card=card or "# A model behind a bridge between two languages\n",
        write_others=write_others,
    )


def _load(folder: str | Path) -> tuple[Any, TargetReader]:
    config = read_config(folder)
    return nlptransfer.load(Path(folder) / _MODEL), TargetReader.load(Path(folder) / _READER, config["reader"])
