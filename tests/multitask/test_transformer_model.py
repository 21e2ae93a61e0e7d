"""One folder of a fine-tuned encoder predicts each of its tasks from raw text, in any process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import nlptransfer
from nlptransfer.commands.task_readers import of_task
from nlptransfer.embeddings.encoder_settings import load_tokenizer
from nlptransfer.errors import InputError
from nlptransfer.models.saving import check_reload
from nlptransfer.models.transformer import load_encoder
from nlptransfer.multitask.tasks import Task
from nlptransfer.multitask.transformer_model import TransformerMultitaskModel
from nlptransfer.multitask.transformer_sharing import TransformerSharing
from nlptransfer.training.seeding import seeded

TASKS = [
    Task("pos", "tagging", ("A", "B", "C")),
    Task("v1.topic", "classification", ("books", "music", "food")),
    Task("stars", "regression"),
]
WORDS = ["a", "book", "to", "read", "again", "dull", "loan", "##s", "##ing"]
SENTENCES = [["a", "book"], [], ["to", "reading", "a", "loan", "again", "xqzy"], ["dull", "books", "a"] * 20]
TEXTS = ["A book to read again.", "", "dull loan " * 30, "??", "a loan"]


@pytest.fixture
def model(make_bert: Callable[..., Path]) -> TransformerMultitaskModel:
    folder = make_bert(WORDS, num_layers=2, max_length=32)
    with seeded(0):
        network = TransformerSharing(TASKS, load_encoder(folder), depths={"pos": 1}, crf=["pos"], subwords="mean")
        with torch.no_grad():  # decisive: an untrained network's choices vary from word to word
            for head in network.heads:
                head.output.weight.normal_()  # type: ignore[union-attr, operator]
    tokenizer = load_tokenizer(folder)
    return TransformerMultitaskModel(tokenizer, network.eval(), max_length=16, context=3, metadata={"language": "en"})


def given(task: Task) -> Any:
    return SENTENCES if task.kind == "tagging" else TEXTS


def predictions(model: Any) -> dict[str, Any]:
    return {task.name: model.predict(given(task), task.name) for task in TASKS}


def test_a_saved_model_predicts_each_task_as_before(model: TransformerMultitaskModel, tmp_path: Path) -> None:
    expected = predictions(model)
    assert [len(tags) for tags in expected["pos"]] == [2, 0, 6, 60]
    assert all(len(expected[task]) == len(TEXTS) for task in ("v1.topic", "stars"))
    assert len({tag for tags in expected["pos"] for tag in tags}) > 1, "control: predictions differ"
    model.save_pretrained(tmp_path / "model", card="# Mine\n")
    with seeded(7):
        loaded = nlptransfer.load(tmp_path / "model")
    assert isinstance(loaded, TransformerMultitaskModel) and loaded.tasks == model.tasks
    assert predictions(loaded) == expected and loaded.metadata == {"language": "en"}
    own, other = model.network, loaded.network
    assert (other.depths, other.subwords, other.dropout.p) == ({"pos": 1, "v1.topic": 2, "stars": 2}, "mean", 0.1)
    assert other.head("pos").crf is not None and other.head("v1.topic").crf is None
    assert (loaded.max_length, loaded.context) == (16, 3)
    weights = other.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in own.state_dict().items())


@pytest.mark.slow  # a process of its own takes long to start
def test_a_fresh_process_predicts_all_tasks(model: TransformerMultitaskModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    items = {task.name: given(task) for task in TASKS}
    expected = predictions(model)
    check_reload(tmp_path / "model", items, expected)
    with pytest.raises(RuntimeError, match="for item 0 of stars"):
        check_reload(
            tmp_path / "model", items, {**expected, "stars": [own * 1.001 + 1e-3 for own in expected["stars"]]}
        )


def test_transformers_reads_the_encoder_of_the_folder(model: TransformerMultitaskModel, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    model.save_pretrained(tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {Path(name).suffix for name in names} <= {".safetensors", ".json", ".txt", ".md"}
    encoder = AutoModel.from_pretrained(tmp_path / "model").eval()
    ids = AutoTokenizer.from_pretrained(tmp_path / "model")("a book", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        own = model.network.states(ids, torch.ones_like(ids, dtype=torch.bool))
        torch.testing.assert_close(encoder(input_ids=ids).last_hidden_state, own)


def test_predictions_do_not_depend_on_batch_size_or_mates(model: TransformerMultitaskModel) -> None:
    for task in TASKS:
        whole = model.predict(given(task), task.name)
        alone = [model.predict([each], task.name, batch_size=1)[0] for each in given(task)]
        assert whole == (pytest.approx(alone, abs=1e-5) if task.kind == "regression" else alone)
        assert model.predict([], task.name) == []


def test_texts_are_cut_at_max_length_and_words_are_joined(model: TransformerMultitaskModel) -> None:
    words = ["dull", "book"] * 10
    assert model.predict([words], "stars") == model.predict([" ".join(words)], "stars")
    assert model.predict([words], "stars") == model.predict([words[:14]], "stars"), "and two tokens frame the text"
    assert model.predict([words[:13]], "stars") != model.predict([words[:14]], "stars")


def test_probabilities_agree_with_labels(model: TransformerMultitaskModel) -> None:
    found = of_task(model, "v1.topic").predict_proba(TEXTS)
    assert found.shape == (5, 3) and found.sum(axis=1) == pytest.approx(1)
    assert [TASKS[1].labels[row.argmax()] for row in found] == model.predict(TEXTS, "v1.topic")
    assert model.predict_proba([], "v1.topic").shape == (0, 3)


def test_prediction_is_without_dropout_and_leaves_the_mode_as_it_was(model: TransformerMultitaskModel) -> None:
    model.network.train()
    assert predictions(model) == predictions(model) and model.network.training


def test_mistakes_are_told(model: TransformerMultitaskModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such task.*pos or v1\.topic or stars; found 'topic'"):
        model.predict([["a"]], "topic")
    with pytest.raises(TypeError, match="lists of words"):
        model.predict(["a book"], "pos")
    with pytest.raises(TypeError, match="list of texts"):
        model.predict("a book", "stars")
    with pytest.raises(TypeError, match="list of texts"):
        model.predict_proba("a book", "v1.topic")
    with pytest.raises(InputError, match="does not label texts"):
        model.predict_proba(TEXTS, "stars")
    with pytest.raises(InputError, match="no room for a word"):
        TransformerMultitaskModel(model.tokenizer, model.network, max_length=2)


def test_heads_of_another_network_are_refused(model: TransformerMultitaskModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    place = tmp_path / "model" / "nlptransfer.json"
    config = json.loads(place.read_text(encoding="utf-8"))
    config["crf"] = []
    place.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(InputError, match=r"altered|do not fit"):
        nlptransfer.load(tmp_path / "model")
