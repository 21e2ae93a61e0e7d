"""One folder predicts any of its tasks from raw text, whatever the way of sharing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import nlptransfer
from nlptransfer.data.vocabulary import BOUNDARIES, Vocabulary, count_entries
from nlptransfer.embeddings.embedding_layer import make_embedding, make_random_embedding
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError
from nlptransfer.multitask.recurrent_networks import MultitaskShape, Sharing, make_network
from nlptransfer.multitask.saved import MultitaskModel
from nlptransfer.multitask.tasks import Task
from nlptransfer.training.seeding import seeded

TASKS = [
    Task("pos", "tagging", ("A", "B", "C")),
    Task("v1.topic", "classification", ("books", "music", "food")),
    Task("stars", "regression"),
]
WORDS = ["a", "book", "to", "read", "again", "dull"]
SENTENCES = [["a", "book"], [], ["to", "read", "a", "loan", "again", "xqzy"], ["dull"] * 20]
TEXTS = ["A book to read again.", "", "dull " * 30, "??", "a loan"]


def make_model(sharing: str, *, trainable: bool = True, vectors: bool = False, **settings: Any) -> MultitaskModel:
    vocabulary, characters = Vocabulary(WORDS), Vocabulary([*BOUNDARIES, *count_entries(WORDS)])
    table = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    known = WordVectors(["book", "loan"], table, None, source="test", digest="test") if vectors else None
    defaults: dict[str, Any] = {"hidden_dim": 4, "character_dim": 4, "max_length": 9, "context": 2, "num_layers": 2}
    shape = MultitaskShape(sharing=sharing, **{**defaults, **settings})  # type: ignore[arg-type]
    with seeded(0):
        embedding = (
            make_random_embedding(vocabulary, 5)
            if known is None
            else make_embedding(known, vocabulary, trainable=trainable)
        )
        embedding.weight.requires_grad_(trainable)
        network = make_network(
            TASKS, shape, vocabulary, embedding, character_vocabulary=characters, vectors=known
        ).eval()
        with torch.no_grad():  # decisive: an untrained network's choices vary from word to word
            for name, weight in network.named_parameters():
                if weight.dim() == 2:
                    weight.mul_(4)
                elif name.endswith("output.bias"):
                    weight.zero_()
    return MultitaskModel(network, shape, metadata={"language": "en"})


def predictions(model: MultitaskModel) -> dict[str, Any]:
    return {task.name: model.predict(SENTENCES if task.kind == "tagging" else TEXTS, task.name) for task in TASKS}


@pytest.mark.parametrize("sharing", get_args(Sharing))
@pytest.mark.parametrize("vectors", [False, True])
def test_a_saved_model_predicts_each_task_as_before(sharing: str, vectors: bool, tmp_path: Path) -> None:
    model = make_model(sharing, trainable=not vectors, vectors=vectors)
    expected = predictions(model)
    assert [len(tags) for tags in expected["pos"]] == [2, 0, 6, 20]
    assert all(len(expected[task]) == len(TEXTS) for task in ("v1.topic", "stars"))
    assert len({tag for tags in expected["pos"] for tag in tags}) > 1, "control: predictions differ"
    model.save_pretrained(tmp_path / "model", card="# Mine\n")
    with seeded(7):
        loaded = nlptransfer.load(tmp_path / "model")
    assert isinstance(loaded, MultitaskModel) and loaded.shape == model.shape and loaded.tasks == model.tasks
    assert predictions(loaded) == expected and loaded.metadata == {"language": "en"}
    weights = dict(loaded.network.named_parameters())
    for name, weight in model.network.named_parameters():
        assert torch.equal(weight, weights[name]) and weight.requires_grad == weights[name].requires_grad


def test_a_fresh_process_predicts_all_tasks(tmp_path: Path) -> None:
    model = make_model("sluice", vectors=True)
    model.save_pretrained(tmp_path)
    program = (
        "import json, sys, nlptransfer\n"
        "model = nlptransfer.load(sys.argv[1])\n"
        "print(json.dumps([model.predict(given, task) for task, given in json.load(sys.stdin)]))"
    )
    given = [(task.name, SENTENCES if task.kind == "tagging" else TEXTS) for task in TASKS]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == list(predictions(model).values())


def test_what_networks_have_in_common_is_written_once(tmp_path: Path) -> None:
    make_model("tied", trainable=False).save_pretrained(tmp_path)
    names = [name for name in load_file(tmp_path / "model.safetensors") if name.endswith("words.embedding.weight")]
    assert names == ["networks.0.words.embedding.weight"]
    loaded = nlptransfer.load(tmp_path)
    tables = {id(each.words.embedding) for each in loaded.network.networks}
    assert len(tables) == 1


def test_shapes_come_back_with_all_their_settings(tmp_path: Path) -> None:
    model = make_model("hard", depths={"pos": 1}, crf=("pos",), num_private_layers=1, fallbacks=(), characters="none")
    model.save_pretrained(tmp_path)
    assert nlptransfer.load(tmp_path).shape == model.shape


def test_predictions_do_not_depend_on_batch_size_or_mates() -> None:
    model = make_model("cross_stitch")
    for task in TASKS:
        given: Any = SENTENCES if task.kind == "tagging" else TEXTS
        whole = model.predict(given, task.name)
        alone = [model.predict([each], task.name, batch_size=1)[0] for each in given]
        assert whole == (pytest.approx(alone, abs=1e-5) if task.kind == "regression" else alone)
        assert model.predict([], task.name) == []


def test_texts_are_words_up_to_max_length_and_an_empty_one_is_read_too() -> None:
    model = make_model("hard")
    assert model.predict(["a book, to read"], "stars") == model.predict([["a", "book", "to", "read"]], "stars")
    long = [*WORDS, *WORDS]
    assert model.predict([long], "stars") == model.predict([long[:9]], "stars")
    assert model.predict([long[:8]], "stars") != model.predict([long[:9]], "stars")
    assert model.predict([""], "stars") == model.predict([[""]], "stars") == model.predict(["?!"], "stars")


def test_prediction_is_without_dropout_and_leaves_the_mode_as_it_was() -> None:
    model = make_model("shared_private", dropout=0.9)
    model.network.train()
    assert predictions(model) == predictions(model) and model.network.training


def test_mistakes_are_told(tmp_path: Path) -> None:
    model = make_model("hard")
    with pytest.raises(InputError, match=r"no such task.*pos or v1\.topic or stars; found 'topic'"):
        model.predict([["a"]], "topic")
    with pytest.raises(TypeError, match="lists of words"):
        model.predict(["a book"], "pos")
    with pytest.raises(TypeError, match="list of texts"):
        model.predict("a book", "stars")
    model.save_pretrained(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    config["shape"]["hidden_dim"] = 5
    (tmp_path / "model" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(InputError, match="altered"):
        nlptransfer.load(tmp_path / "model")


@pytest.mark.parametrize("change", [{"hidden_dim": 5}, {"num_layers": 1}])
def test_weights_of_another_network_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    model = make_model("hard")
    model.shape = make_model("hard", **change).shape
    model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="do not fit"):
        nlptransfer.load(tmp_path)
