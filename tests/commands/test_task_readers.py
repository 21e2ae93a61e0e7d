from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nlptransfer
from nlptransfer.commands.predicting import predict
from nlptransfer.commands.task_readers import of_task
from nlptransfer.data.vocabulary import Vocabulary
from nlptransfer.embeddings.embedding_layer import make_random_embedding
from nlptransfer.errors import InputError
from nlptransfer.multitask.recurrent_networks import MultitaskShape, make_network
from nlptransfer.multitask.saved import MultitaskModel
from nlptransfer.multitask.tasks import Task
from nlptransfer.training.seeding import seeded

TEXTS = ["a dog", "barks", "", "a dog barks and a dog barks"]


@pytest.fixture(scope="module")
def model() -> MultitaskModel:
    """Untrained, of all kinds of tasks."""
    vocabulary = Vocabulary(["a", "dog", "barks"])
    tasks = [
        Task("pos", "tagging", ("DET", "NOUN", "VERB")),
        Task("topic", "classification", ("cats", "dogs", "people")),
        Task("stars", "regression"),
    ]
    shape = MultitaskShape(hidden_dim=6, characters="none")
    embedding = make_random_embedding(vocabulary, 8, generator=torch.Generator().manual_seed(0))
    with seeded(0):
        return MultitaskModel(make_network(tasks, shape, vocabulary, embedding).eval(), shape)


def test_a_task_of_texts_has_probabilities_that_agree_with_its_labels(model: MultitaskModel) -> None:
    reader = of_task(model, "topic")
    probabilities = reader.predict_proba(TEXTS)
    assert probabilities.shape == (4, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert [reader.labels[row.argmax()] for row in probabilities] == reader.predict(TEXTS)
    alone = np.concatenate([reader.predict_proba([text]) for text in TEXTS])
    np.testing.assert_allclose(probabilities, alone, atol=1e-6)
    assert reader.predict_proba([]).shape == (0, 3)


def test_the_first_task_is_meant_where_none_is_named(model: MultitaskModel) -> None:
    sentences = [["a", "dog"], [], ["barks"]]
    assert of_task(model, None).predict(sentences) == model.predict(sentences, "pos")
    assert of_task(model, None).tags == ["DET", "NOUN", "VERB"]


def test_a_model_of_one_task_is_used_as_it_is() -> None:
    plain = object()
    assert of_task(plain, None) is plain
    with pytest.raises(InputError, match="Leave out --task"):
        of_task(plain, "pos")


@pytest.mark.parametrize(("task", "said"), [("ner", "no such task"), ("stars", "predicts numbers")])
def test_tasks_that_can_not_be_written_are_refused(model: MultitaskModel, task: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        of_task(model, task)


@pytest.mark.parametrize("task", [None, "topic"])
def test_the_command_writes_the_task_asked_for(
    model: MultitaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str | None
) -> None:
    monkeypatch.setattr(nlptransfer, "load", lambda folder: model, raising=False)
    (tmp_path / "in.txt").write_text("a dog barks\n", encoding="utf-8")
    files = {"input": str(tmp_path / "in.txt"), "output": str(tmp_path / "out.txt")}
    rest: dict[str, Any] = {"model": "m", "format": None, "column": None, "text_column": None}
    predict(argparse.Namespace(**files, **rest, task=task))
    written = (tmp_path / "out.txt").read_text(encoding="utf-8")
    if task is None:
        (tags,) = model.predict([["a", "dog", "barks"]], "pos")
        words = zip(["a", "dog", "barks"], tags, strict=True)
        assert written == "".join(f"{word}\t{tag}\n" for word, tag in words) + "\n"
    else:
        assert written == model.predict(["a dog barks"], "topic")[0] + "\n"
