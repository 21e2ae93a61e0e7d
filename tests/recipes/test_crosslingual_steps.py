"""Steps on top of a bridge in whole runs: self-training and ensembles of texts, what is kept, and what is diagnosed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nlptransfer
from nlptransfer.cli import main as command
from nlptransfer.data.synthetic import make_tagged_languages
from nlptransfer.errors import InputError
from nlptransfer.evaluation.predictions import read_predictions
from nlptransfer.recipes.cross_lingual_transfer import Settings, main
from nlptransfer.recipes.crosslingual_bridge_names import parse_bridge
from nlptransfer.recipes.crosslingual_data import LabelledItems
from nlptransfer.recipes.crosslingual_systems import check_kept

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "no_reload")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of two classes in two scripts; a third of the words has no cognate, which rules can't bridge."""
    folder = tmp_path_factory.mktemp("texts")
    lexicon = make_tagged_languages(200, seed=0).lexicon
    words = [word for word in lexicon if len(word) > 3][:90]
    random = np.random.default_rng(0)

    def write(path: Path, number: int, *, target: bool, labelled: bool = True) -> None:
        path.parent.mkdir(exist_ok=True)
        rows = []
        for row in range(number):
            label = row % 2
            text = [str(random.choice(words[30 + 30 * label : 60 + 30 * label])) for _ in range(4)]
            text += [str(random.choice(words[:30])) for _ in range(4)]
            spelt = " ".join(lexicon[word] if target else word for word in text)
            rows.append({"text": spelt, "label": ["bad", "good"][label if labelled else int(random.integers(2))]})
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")

    write(folder / "source" / "train.jsonl", 160, target=False)
    write(folder / "source" / "test.jsonl", 40, target=False)
    write(folder / "target" / "test.jsonl", 120, target=True)
    write(folder / "unlabelled.jsonl", 200, target=True, labelled=False)
    return folder


def run(files: Path, folder: Path, *flags: str) -> dict[str, Any]:
    main(
        [
            "--task", "classification", "--source", str(files / "source"), "--target", str(files / "target"),
            "--target_train", str(files / "unlabelled.jsonl"), "--reference", "false", "--simulate", "false",
            "--device", "cpu", *flags, "--output_dir", str(folder),
        ]
    )  # fmt: skip
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return metrics


@pytest.fixture(scope="module")
def finished(files: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("runs") / "texts"
    chain = "rules+self_training:3"
    with pytest.MonkeyPatch.context() as patched:
        # Whatever the development data say, so that the model that is saved is the one to look at.
        patched.setattr(
            "nlptransfer.recipes.cross_lingual_transfer.choose",
            lambda settings, systems, cells: next(system for system in systems if system.members),
        )
        return folder, run(files, folder, "--bridges", "rules", chain, "--ensemble", "rules", chain)


def scores(metrics: dict[str, Any]) -> dict[str, float]:
    return {
        own["system"]: own["value"]
        for own in metrics["scores"]
        if (own["split"], own["metric"], own["seed"]) == ("target_test", "accuracy", None)
    }


def test_self_training_with_unlabelled_texts_adds_to_a_bridge(finished: tuple[Path, dict[str, Any]]) -> None:
    found = scores(finished[1])
    assert found["none"] < 0.65
    assert found["rules"] > found["none"] + 0.1
    assert found["rules"] < 0.95, "the words without a cognate are lost on it"
    assert found["rules+self_training=3"] > found["rules"] + 0.02
    assert set(found) == {"none", "rules", "rules+self_training=3", "ensemble"}


def test_an_ensemble_is_the_mean_of_its_members_and_is_saved_with_all_of_them(
    files: Path, finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder = finished[0]
    lines = (files / "target" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    model = nlptransfer.load(folder)
    members = [member.predict_proba(texts) for member in model.members]
    assert len(members) == 2 and not np.allclose(members[0], members[1])
    np.testing.assert_allclose(model.predict_proba(texts), (members[0] + members[1]) / 2, atol=1e-9)
    parts = read_predictions(folder / "predictions" / "ensemble.jsonl")
    (own,) = [part for part in parts if part.split == "target_test"]
    assert model.predict(texts) == list(own.predicted)
    (tmp_path / "raw.txt").write_text("\n".join(texts[:5]) + "\n", encoding="utf-8")
    written = tmp_path / "labelled.jsonl"
    command(
        ["predict", "--model", str(folder / "model"), "--input", str(tmp_path / "raw.txt"), "--output", str(written)]
    )
    found = written.read_text(encoding="utf-8").splitlines()
    assert len(found) == 5 and all(label in line for label, line in zip(own.predicted, found, strict=False))


def test_bridged_taggers_together_are_saved_with_their_readers(tmp_path: Path) -> None:
    import torch

    from nlptransfer.crosslingual.bridged_model import BridgedTagger
    from nlptransfer.crosslingual.target_reader import TargetReader
    from nlptransfer.data.vocabulary import Vocabulary
    from nlptransfer.embeddings.embedding_layer import make_random_embedding
    from nlptransfer.models.model_ensemble import TaggerEnsemble
    from nlptransfer.models.tagger import RecurrentTagger, TaggerShape

    members = []
    for seed, spelling in enumerate(("rules", "none")):
        words = Vocabulary(["यह", "किताब", "ہے"])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            table = make_random_embedding(words, 6)
            tagger = RecurrentTagger(words, None, ["X", "Y", "Z"], table, TaggerShape(characters="none", hidden_dim=5))
        members.append(BridgedTagger(tagger.eval(), TargetReader(("Deva", "Arab"), spelling)))  # type: ignore[arg-type]
    sentences = [["یہ", "کتاب", "ہے"], [], ["کتاب"]]
    TaggerEnsemble(members).save_pretrained(tmp_path / "model")
    loaded = nlptransfer.load(tmp_path / "model")
    mean = (members[0].predict_proba(sentences) + members[1].predict_proba(sentences)) / 2
    np.testing.assert_allclose(loaded.predict_proba(sentences), mean, atol=1e-6)
    tags = [["X", "Y", "Z"][number] for number in mean.argmax(axis=1)]
    assert loaded.predict(sentences) == [tags[:3], [], tags[3:]]


def test_the_report_says_how_near_the_languages_are_as_written_and_bridged(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    report = (finished[0] / "report.html").read_text(encoding="utf-8")
    assert "How near is the source to the target?" in report
    assert "after rules" in report and "words to learn from" in report


def test_a_model_that_was_trained_on_other_words_is_not_taken_up_again(tmp_path: Path) -> None:
    items = LabelledItems([["a", "b"], ["c"]], [["X", "Y"], ["X"]])
    check_kept(tmp_path / "model", items)
    check_kept(tmp_path / "model", LabelledItems(list(items.items), list(items.labels)))
    for other in (
        LabelledItems([["a", "b"], ["d"]], items.labels),
        LabelledItems([["a"], ["b", "c"]], [["X"], ["Y", "X"]]),
        LabelledItems(items.items, [["X", "Y"], ["Y"]]),
    ):
        with pytest.raises(InputError, match=r"trained on other words or labels.*(?s:.*)without --resume"):
            check_kept(tmp_path / "model", other)


@pytest.mark.parametrize(
    ("name", "before"),
    [("script_train+self_training:2", "script_train"), ("self_training", "none"), ("script+encoder", "script+encoder")],
)
def test_a_bridge_knows_what_its_self_training_goes_on_from(name: str, before: str) -> None:
    bridge = parse_bridge(name)
    assert bridge.without_rounds == parse_bridge(before)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"ensemble": ("rules",)}, "two or more of the --bridges"),
        ({"ensemble": ("rules", "vectors")}, "two or more of the --bridges"),
        ({"ensemble": ("rules", "rules")}, "each at most once"),
        ({"ensemble": ("rules", "script"), "head": "crf"}, "--ensemble needs the probability"),
        ({"bridges": ("rules+self_training",), "head": "crf"}, "self_training needs the probability"),
        ({"self_training_epochs": 0}, "self_training_epochs is out of range"),
    ],
)
def test_what_can_not_be_asked_together_is_refused(flags: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Settings(**flags)
