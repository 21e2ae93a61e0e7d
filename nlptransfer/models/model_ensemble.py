"""Several saved models asked at once, and kept in one folder: the mean of their probabilities decides."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np

import nlptransfer
from nlptransfer.errors import InputError
from nlptransfer.models.ensemble_rules import average_probabilities, most_probable
from nlptransfer.models.saving import read_config, write_model_folder

_MEMBERS = "members"


class TextClassifierEnsemble:
    """Text classifiers with the same labels, as one.

    Args:
        members: have ``labels``, ``predict_proba`` and ``save_pretrained``.

    Raises:
        ValueError: there are none, or their labels are not the same in the same order.

    Example:
        >>> TextClassifierEnsemble([fine_tuned, with_lora]).predict(["A book to read again."])
        ['pos']
    """

    def __init__(self, members: Sequence[Any]) -> None:
        self.members = list(members)
        self.labels: list[str] = _same([member.labels for member in self.members])
        self.metadata: dict[str, Any] = {}

    def predict(self, documents: Sequence[str]) -> list[str]:
        """The most likely label of each document."""
        return [self.labels[index] for index in most_probable(self.predict_proba(documents))]

    def predict_proba(self, documents: Sequence[str]) -> np.ndarray:
        """(N, C), in the order of `labels`: the mean over the members, `average_probabilities`."""
        return average_probabilities([member.predict_proba(documents) for member in self.members])

    def save_pretrained(self, folder: str | Path, *, card: str = "") -> None:
        """Write all members into one folder, whole or not at all.

        Args:
            folder: where; an older model there is replaced.
            card: the model card, in Markdown.
        """
        _save(self.members, folder, model_type="text_classifier_ensemble", card=card)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> TextClassifierEnsemble:
        """Read what `save_pretrained` wrote.

        Raises:
            InputError: a file is missing, altered, or does not fit the others.
        """
        return cls(_load(folder))


class TaggerEnsemble:
    """Taggers with the same tags, as one.

    Args:
        members: have ``tags``, ``metadata``, ``predict_proba`` and ``save_pretrained``; the metadata are the first's.

    Raises:
        ValueError: there are none, or their tags are not the same in the same order.

    Example:
        >>> TaggerEnsemble([recurrent, fine_tuned]).predict([["The", "bank", "raised", "rates"]])
        [['DET', 'NOUN', 'VERB', 'NOUN']]
    """

    def __init__(self, members: Sequence[Any]) -> None:
        self.members = list(members)
        self.tags: list[str] = _same([member.tags for member in self.members])
        self.metadata: dict[str, Any] = dict(self.members[0].metadata)

    def predict(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """One tag per word.

        Args:
            sentences: lists of words; empty ones are allowed.

        Raises:
            TypeError: a sentence is a string and not a list of words.
        """
        if isinstance(sentences, str) or any(isinstance(sentence, str) for sentence in sentences):
            raise TypeError("predict takes lists of words; found a string")
        names = [self.tags[index] for index in most_probable(self.predict_proba(sentences))]
        starts = accumulate(map(len, sentences), initial=0)
        return [names[start:end] for start, end in pairwise(starts)]

    def predict_proba(self, sentences: Sequence[Sequence[str]]) -> np.ndarray:
        """(W, C), words of all sentences below one another: the mean over the members, `average_probabilities`."""
        return average_probabilities([member.predict_proba(sentences) for member in self.members])

    def save_pretrained(self, folder: str | Path, *, card: str = "") -> None:
        """Write all members into one folder, whole or not at all.

        Args:
            folder: where; an older model there is replaced.
            card: the model card, in Markdown.
        """
        _save(self.members, folder, model_type="tagger_ensemble", card=card)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> TaggerEnsemble:
        """Read what `save_pretrained` wrote.

        Raises:
            InputError: a file is missing, altered, or does not fit the others.
        """
        return cls(_load(folder))


def _same(names: Sequence[Sequence[str]]) -> list[str]:
    if not names:
        raise ValueError("an ensemble needs a member")
    if any(list(own) != list(names[0]) for own in names):
        raise ValueError(f"members of an ensemble tell the same labels apart, in the same order; found {names}")
    return list(names[0])


def _save(members: Sequence[Any], folder: str | Path, *, model_type: str, card: str) -> None:
    def write_others(place: Path) -> None:
        for number, member in enumerate(members):
            member.save_pretrained(place / _MEMBERS / str(number))

    write_model_folder(
        folder,
        model_type=model_type,
        config={"members": len(members)},
        tensors={},
        documents={},
        card=card or f"# {len(members)} models that are asked at once\n",
        write_others=write_others,
    )


def _load(folder: str | Path) -> list[Any]:
    number = read_config(folder)["members"]
    if not isinstance(number, int) or number < 1:
        raise InputError("an ensemble has a member at least", where=folder, expected="a number from 1 on", found=number)
    return [nlptransfer.load(Path(folder) / _MEMBERS / str(index)) for index in range(number)]
