"""The recipe on multitask learning: verdicts by task, where sharing helps, one model of all tasks, resume, mistakes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
import yaml

import nlptransfer
from nlptransfer.data.synthetic import make_tagged_languages
from nlptransfer.errors import InputError
from nlptransfer.evaluation.predictions import read_predictions
from nlptransfer.evaluation.run_folder import read_run
from nlptransfer.models import saving
from nlptransfer.multitask.gradient_balancing import Balancing
from nlptransfer.multitask.saved import MultitaskModel
from nlptransfer.multitask.selection import task_score
from nlptransfer.multitask.transformer_model import TransformerMultitaskModel
from nlptransfer.recipes.multitask_data import load_arms, read_numbers
from nlptransfer.recipes.multitask_models import find_vectors, make_model
from nlptransfer.recipes.multitask_systems import list_trainings, make_encoder_optimizer
from nlptransfer.recipes.multitask_tagging import Settings, main
from nlptransfer.recipes.settings import read_settings

# The fresh process that loads the saved model is left out; a test of its own has it.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "no_reload")]

ROOT = Path(__file__).parents[2]
SMALL = [
    "--vectors", "--embedding_dim", "24", "--hidden_dim", "16", "--characters", "none", "--batch_size", "8",
    "--learning_rate", "1e-2", "--dropout", "0.2", "--device", "cpu",
]  # fmt: skip
IN_NOUN_PHRASE = ("DET", "ADJ", "NOUN")


def spans_of(tags: list[str]) -> list[str]:
    """Noun phrases, which a tagger that knows the tags could read off them."""
    inside = [tag in IN_NOUN_PHRASE for tag in tags]
    starts = [own and not before for own, before in zip(inside, [False, *inside], strict=False)]
    return ["B-NP" if start else "I-NP" if own else "O" for own, start in zip(inside, starts, strict=True)]


def write_corpus(folder: Path, *, noise: bool = False, seed: int = 0) -> Path:
    """Tags as UPOS, noun phrases (or, for the control, tags that mean nothing) as XPOS."""
    data = make_tagged_languages(600, seed=seed).source
    names, rng = data.features["tags"].feature.names, np.random.default_rng(0)
    blocks = []
    for row in data:
        tags = [names[tag] for tag in row["tags"]]
        chunks = spans_of(tags)
        upos = [str(own) for own in rng.permutation(tags)] if noise else tags
        columns = zip(row["tokens"], upos, chunks, strict=True)
        lines = [
            f"{number}\t{word}\t_\t{tag}\t{chunk}\t_\t_\t_\t_\t_"
            for number, (word, tag, chunk) in enumerate(columns, 1)
        ]
        blocks.append("\n".join(lines) + "\n\n")
    folder.mkdir()
    for split, part in (("train", blocks[:300]), ("dev", blocks[300:340]), ("test", blocks[400:])):
        (folder / f"x-{split}.conllu").write_text("".join(part), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpora") / "right")


def run(corpus: Path, folder: Path, *flags: str) -> dict[str, Any]:
    tasks = ["--tasks", f"pos={corpus}:upos", f"chunk={corpus}:xpos"]
    main([*SMALL, *tasks, *flags, "--output_dir", str(folder)])
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return metrics


def mean_score(metrics: dict[str, Any], system: str, metric: str, split: str = "test") -> float:
    (value,) = [
        score["value"]
        for score in metrics["scores"]
        if (score["system"], score["split"], score["metric"], score["seed"]) == (system, split, metric, None)
    ]
    return float(value)


# As many steps for the chunks alone as for all together: else what helps might be the longer training.
FEW = [
    "--train_sizes", "chunk=12", "--epochs", "8", "--min_steps", "320", "--batches", "alternating", "--sampling",
    "uniform",
]  # fmt: skip


@pytest.fixture(scope="module")
def few_chunks(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Few chunks and many tags; scored at the epoch at which the saved model is."""
    folder = tmp_path_factory.mktemp("runs") / "few"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nlptransfer.models.saving.check_reload", lambda folder, items, expected: None)
        flags = ("--sharing", "hard", "tied", "cross_stitch", "--selection", "joint")
        return folder, run(corpus, folder, *FEW, *flags)


def test_each_task_has_its_metric_and_a_verdict_on_each_way_of_sharing(
    few_chunks: tuple[Path, dict[str, Any]],
) -> None:
    folder, metrics = few_chunks
    found = {(own["system"], own["baseline"], own["metric"], own["split"]) for own in metrics["verdicts"]}
    ways = ("hard", "tied", "cross_stitch")
    assert found == {(f"pos.{way}", "pos.single", "token_accuracy", "test") for way in ways} | {
        (f"chunk.{way}", "chunk.single", "span_f1", "test") for way in ways
    }
    assert len(metrics["verdicts"]) == len(found)
    for name in ("settings.yaml", "history.jsonl", "report.html", "model/README.md"):
        assert (folder / name).stat().st_size > 0, name
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "Tasks by ways of sharing" in report
    assert "trained parameters" in report and "peak memory, MB" in report
    assert "Each task is scored at the epoch" not in report, "here all are scored at the joint one"


def test_many_tags_help_few_chunks_and_tags_that_mean_nothing_do_not(
    few_chunks: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    _, metrics = few_chunks
    alone = mean_score(metrics, "chunk.single", "span_f1")
    assert alone < 0.75, "twelve sentences do not teach the chunks"
    assert mean_score(metrics, "chunk.hard", "span_f1") > alone + 0.05
    verdicts = {own["system"]: own["verdict"] for own in metrics["verdicts"]}
    assert verdicts["chunk.hard"] == "helped"
    noisy = run(write_corpus(tmp_path / "noise", noise=True), tmp_path / "run", *FEW, "--sharing", "hard")
    assert {own["system"]: own["verdict"] for own in noisy["verdicts"]}["chunk.hard"] != "helped"


def test_the_saved_folder_predicts_each_task_as_it_was_scored(few_chunks: tuple[Path, dict[str, Any]]) -> None:
    folder, metrics = few_chunks
    model = nlptransfer.load(folder)
    way = model.metadata["sharing"]
    card = (folder / "model" / "README.md").read_text(encoding="utf-8")
    assert "sharing by" in card and "seed 0." in card
    for task in ("pos", "chunk"):
        parts = read_predictions(folder / "predictions" / f"{task}.{way}.jsonl")
        (test,) = [part for part in parts if part.split == "test"]
        assert model.predict(test.tokens, task) == test.predicted
        score = task_score(model.tasks[task], test.gold, test.predicted)
        metric = "span_f1" if task == "chunk" else "token_accuracy"
        (told,) = [
            own["value"]
            for own in metrics["scores"]
            if (own["system"], own["split"], own["metric"], own["seed"]) == (f"{task}.{way}", "test", metric, 0)
        ]
        assert score == pytest.approx(told, abs=1e-12)


def test_every_way_of_sharing_runs_and_a_low_layer_is_held_against_the_same_layer(corpus: Path, tmp_path: Path) -> None:
    ways = ("hard", "low_layer", "joint_many_task", "tied", "cross_stitch", "sluice", "shared_private")
    sizes = ("--train_sizes", "pos=24", "chunk=16", "--epochs", "1", "--num_layers", "2")
    flags = ("--weighting", "uncertainty", "--conflict_every", "1", "--vectors", "synthetic", "--embedding", "frozen")
    metrics = run(corpus, tmp_path / "run", "--sharing", *ways, *sizes, *flags)
    found = [(own["system"], own["baseline"]) for own in metrics["verdicts"]]
    expected = [(f"{task}.{way}", f"{task}.single") for task in ("pos", "chunk") for way in ways]
    expected += [(f"{task}.low_layer", f"{task}.hard") for task in ("pos", "chunk")]
    assert sorted(found) == sorted(expected)
    pictures = {path.name for path in (tmp_path / "run" / "plots").glob("conflict_*.png")}
    assert pictures == {"conflict_hard.png", "conflict_low_layer.png"}


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (("--sharing", "hard", "--weighting", "dwa"), "hard, seed 1, epoch 2"),
        (("--sharing", "sequential"), "sequential: chunk, seed 1, epoch 2"),
    ],
)
def test_a_run_that_was_interrupted_goes_on_to_the_same_end(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], line: str
) -> None:
    flags = (*flags, "--train_sizes", "pos=24", "chunk=16", "--epochs", "3", "--seeds", "0", "1")
    whole = run(corpus, tmp_path / "whole", *flags)

    def interrupted(told: str) -> None:
        if told.startswith(line):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("nlptransfer.recipes.processes.tell", interrupted)
        with pytest.raises(SystemExit) as caught:
            run(corpus, tmp_path / "stopped", *flags)
    assert caught.value.code == 130
    assert not (tmp_path / "stopped" / "metrics.json").exists()
    main(["--output_dir", str(tmp_path / "stopped"), "--resume"])
    resumed = json.loads((tmp_path / "stopped" / "metrics.json").read_text(encoding="utf-8"))
    assert resumed["scores"] == whole["scores"]
    assert resumed["verdicts"] == whole["verdicts"]
    assert not (tmp_path / "stopped" / "cells").exists()


def test_a_task_learnt_before_another_is_forgotten_and_the_last_one_is_not(corpus: Path, tmp_path: Path) -> None:
    sizes = ("--train_sizes", "pos=48", "chunk=48", "--epochs", "5", "--learning_rate", "2e-2")
    metrics = run(corpus, tmp_path / "run", "--sharing", "sequential", *sizes)
    before = mean_score(metrics, "pos.sequential_before", "token_accuracy")
    after = mean_score(metrics, "pos.sequential", "token_accuracy")
    assert before == mean_score(metrics, "pos.single", "token_accuracy") > 0.6, "the first turn is learning it alone"
    verdicts = {(own["system"], own["baseline"]): own for own in metrics["verdicts"]}
    assert set(verdicts) == {
        ("pos.sequential", "pos.single"), ("chunk.sequential", "chunk.single"),
        ("pos.sequential", "pos.sequential_before"),
    }  # fmt: skip
    lost = verdicts["pos.sequential", "pos.sequential_before"]
    assert lost["gain"] == pytest.approx(after - before) and lost["verdict"] == "harmed"
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "What a sequential training forgot" in report and "forgotten, points" in report
    # Scored and saved is the model as it is after the last task.
    model = nlptransfer.load(tmp_path / "run")
    for task in ("pos", "chunk"):
        (test,) = [
            part
            for part in read_predictions(tmp_path / "run" / "predictions" / f"{task}.sequential.jsonl")
            if part.split == "test"
        ]
        assert model.predict(test.tokens, task) == test.predicted


def test_gradients_are_balanced_where_all_tasks_share_parameters(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("torchjd")
    flags = ("--train_sizes", "pos=24", "chunk=24", "--epochs", "1", "--num_layers", "2")
    history = {}
    for weighting in ("fixed", "pcgrad"):
        run(corpus, tmp_path / weighting, "--sharing", "hard", "low_layer", "--weighting", weighting, *flags)
        lines = (tmp_path / weighting / "history.jsonl").read_text(encoding="utf-8").splitlines()
        history[weighting] = {row["system"]: row["loss"] for row in map(json.loads, lines)}
    fixed, balanced = history["fixed"], history["pcgrad"]
    assert fixed.keys() == balanced.keys() == {"pos.single", "chunk.single", "hard", "low_layer"}
    assert {system for system in fixed if fixed[system] != balanced[system]} == {"hard", "low_layer"}


def test_gradients_that_cannot_be_balanced_are_refused_before_anything_is_trained(
    corpus: Path, tmp_path: Path, fails: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchjd")
    other = write_corpus(tmp_path / "other", seed=1)
    flags = (*SMALL, "--epochs", "1", "--sharing", "hard", "--weighting", "mgda", "--output_dir", tmp_path / "run")
    said = fails(main, "--tasks", f"pos={corpus}:upos", f"chunk={other}:xpos", *flags)
    assert "these have texts of their own" in said and "Add --batches mixed" in said
    monkeypatch.setitem(sys.modules, "torchjd", None)
    said = fails(main, "--tasks", f"pos={corpus}:upos", f"chunk={corpus}:xpos", *flags)
    assert "needs the package torchjd" in said and "pip install nlptransfer[multitask]" in said
    assert not (tmp_path / "run").exists()


def test_the_weightings_are_those_of_losses_and_all_that_balance_gradients() -> None:
    offered = get_args(get_type_hints(Settings)["weighting"])
    assert offered == ("fixed", "uncertainty", "dwa", *get_args(Balancing))


def test_a_curve_trains_what_does_not_change_once(corpus: Path, tmp_path: Path) -> None:
    curve = ("--curve_task", "chunk", "--curve_sizes", "8", "24", "--train_sizes", "pos=24")
    metrics = run(corpus, tmp_path / "run", *curve, "--epochs", "1", "--sharing", "hard", "--batches", "alternating")
    assert {own["system"] for own in metrics["scores"]} == {
        "pos.single", "pos.hard@8", "pos.hard@24", "chunk.single@8", "chunk.single@24", "chunk.hard@8", "chunk.hard@24",
    }  # fmt: skip
    assert {(own["system"], own["baseline"]) for own in metrics["verdicts"]} == {
        ("pos.hard@8", "pos.single"), ("pos.hard@24", "pos.single"),
        ("chunk.hard@8", "chunk.single@8"), ("chunk.hard@24", "chunk.single@24"),
    }  # fmt: skip
    assert (tmp_path / "run" / "plots" / "size_curve.png").exists()


def test_labels_of_texts_are_learnt_together_too(tmp_path: Path) -> None:
    both = "synthetic-reviews:source + synthetic-reviews:target"
    tasks = ("--tasks", f"sentiment={both}", f"domain={both}:domain")
    sizes = ("--train_sizes", "sentiment=120", "domain=120", "--epochs", "1", "--max_length", "20", "--min_steps", "20")
    main([*SMALL, *tasks, *sizes, "--sharing", "shared_private", "--output_dir", str(tmp_path / "run")])
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert {(own["system"], own["metric"]) for own in metrics["verdicts"]} == {
        ("sentiment.shared_private", "accuracy"), ("domain.shared_private", "accuracy"),
    }  # fmt: skip
    assert set(nlptransfer.load(tmp_path / "run").predict(["A joy."], "sentiment")) <= {"neg", "pos"}


def write_reviews(folder: Path, number: int = 400) -> Path:
    """Texts with stars that their words tell, and a label for whether there are many."""
    random = np.random.default_rng(0)
    worth = {"dull": 0.0, "poor": 1.0, "fair": 2.0, "good": 3.0, "great": 4.0}
    rows = []
    for _ in range(number):
        words = random.choice(list(worth), 3).tolist()
        stars = float(np.mean([worth[word] for word in words]))
        rows.append({"text": " ".join(words), "stars": round(stars, 2), "label": "high" if stars > 2 else "low"})
    folder.mkdir()
    lines = [json.dumps(row) + "\n" for row in rows]
    for split, part in (("train", lines[:250]), ("dev", lines[250:300]), ("test", lines[300:])):
        (folder / f"{split}.jsonl").write_text("".join(part), encoding="utf-8")
    return folder


def test_numbers_are_learnt_beside_labels_and_have_a_verdict(tmp_path: Path) -> None:
    reviews = write_reviews(tmp_path / "reviews")
    tasks = ("--tasks", f"label={reviews}:label:classification", f"stars={reviews}:stars:regression")
    flags = ("--train_sizes", "stars=30", "--epochs", "5", "--max_length", "8", "--sharing", "hard", "tied")
    main([*SMALL, *tasks, *flags, "--output_dir", str(tmp_path / "run")])
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert {(own["system"], own["metric"]) for own in metrics["verdicts"]} == {
        (f"{task}.{way}", metric) for task, metric in (("label", "accuracy"), ("stars", "r_squared"))
        for way in ("hard", "tied")
    }  # fmt: skip
    assert mean_score(metrics, "stars.hard", "r_squared") > 0.3, "it has learnt"
    assert "R squared" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    kept = read_run(tmp_path / "run").predictions["stars.hard"]
    (test,) = [part for part in kept if part.split == "test"]
    assert len(test.predicted) == 100 and all(isinstance(own, float) for own in test.predicted)
    model = nlptransfer.load(tmp_path / "run")
    dull, great = model.predict(["dull dull dull", "great great great"], "stars")
    assert great > dull + 0.5


def test_without_corpora_it_says_loudly_that_they_are_synthetic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nlptransfer.data import fetching
    from nlptransfer.multitask import task_data

    def nowhere(source: Any, **settings: Any) -> Any:
        if source.corpus != "synthetic":
            raise fetching.not_to_be_had(source.corpus, ["nowhere"], remedy="Look elsewhere.")
        return load_task(source, **{**settings, "num_train": 40})

    load_task = task_data.load_task
    monkeypatch.setattr(task_data, "load_task", nowhere)
    flags = ("--epochs", "1", "--sharing", "hard", "--output_dir", str(tmp_path / "run"))
    main([*SMALL, "--vectors", "auto", *flags])
    assert "THE CORPUS IS SYNTHETIC" in capsys.readouterr().out
    assert "THE CORPUS IS SYNTHETIC" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    tags = nlptransfer.load(tmp_path / "run").predict([["the", "bank"]], "coarse")
    assert set(tags[0]) <= {"content", "function"}


def test_a_saved_model_that_predicts_otherwise_is_thrown_away(
    few_chunks: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    model = nlptransfer.load(few_chunks[0])
    model.save_pretrained(tmp_path / "model")
    items = {"pos": [["the", "bank"]], "chunk": [["the", "bank"]]}
    right = {task: model.predict(own, task) for task, own in items.items()}
    saving.check_reload(tmp_path / "model", items, right)
    with pytest.raises(RuntimeError, match="for item 0 of chunk"):
        saving.check_reload(tmp_path / "model", items, {**right, "chunk": [["X", "X"]]})
    assert not (tmp_path / "model").exists()


@pytest.fixture
def encoder(corpus: Path, make_bert: Callable[..., Path]) -> Path:
    """A BERT of two layers, not pretrained, that knows the words of the corpus."""
    lines = (corpus / "x-train.conllu").read_text(encoding="utf-8").splitlines()
    words = sorted({line.split("\t")[1].lower() for line in lines if line})
    return make_bert(words, num_layers=2, max_length=64, initializer_range=0.1)


# Without the flags of recurrent layers.
FINE_TUNED = [
    "--batch_size", "8", "--learning_rate", "1e-2", "--encoder_learning_rate", "3e-2", "--dropout", "0.1", "--device",
    "cpu", "--max_length", "64", "--head", "crf",
]  # fmt: skip


def fine_tune(corpus: Path, encoder: Path, folder: Path, *flags: str) -> dict[str, Any]:
    tasks = ["--tasks", f"pos={corpus}:upos", f"chunk={corpus}:xpos", "--encoder", str(encoder)]
    main([*FINE_TUNED, *tasks, *flags, "--output_dir", str(folder)])
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return metrics


def test_a_pretrained_encoder_is_shared_and_saved_for_all_tasks(corpus: Path, encoder: Path, tmp_path: Path) -> None:
    sizes = ("--train_sizes", "pos=120", "chunk=120", "--epochs", "4", "--conflict_every", "5")
    metrics = fine_tune(
        corpus,
        encoder,
        tmp_path / "run",
        "--sharing",
        "hard",
        "low_layer",
        "sequential",
        "--selection",
        "joint",
        *sizes,
    )
    found = {(own["system"], own["baseline"]) for own in metrics["verdicts"]}
    ways = ("hard", "low_layer", "sequential")
    expected = {(f"{task}.{way}", f"{task}.single") for task in ("pos", "chunk") for way in ways}
    expected |= {(f"{task}.low_layer", f"{task}.hard") for task in ("pos", "chunk")}
    assert found == expected | {("pos.sequential", "pos.sequential_before")}
    assert mean_score(metrics, "chunk.hard", "span_f1") > 0.5, "it has learnt"
    assert metrics["signature"]["encoder"].startswith(str(encoder)) and "vectors" not in metrics["signature"]
    pictures = {path.name for path in (tmp_path / "run" / "plots").glob("conflict_*.png")}
    assert pictures == {"conflict_hard.png", "conflict_low_layer.png"}
    model = nlptransfer.load(tmp_path / "run")
    assert isinstance(model, TransformerMultitaskModel)
    way = model.metadata["sharing"]
    for task in ("pos", "chunk"):
        parts = read_predictions(tmp_path / "run" / "predictions" / f"{task}.{way}.jsonl")
        (test,) = [part for part in parts if part.split == "test"]
        assert model.predict(test.tokens, task) == test.predicted


def test_a_low_task_of_an_encoder_is_at_half_its_depth_or_where_it_is_put(
    corpus: Path, tmp_path: Path, make_bert: Callable[..., Path]
) -> None:
    place = make_bert(["a"], num_layers=4, max_length=64)
    for flags, depth in (((), 2), (("--low_depth", "3"), 3)):
        tasks = ("--tasks", f"pos={corpus}:upos", f"chunk={corpus}:xpos", "--encoder", str(place))
        settings = read_settings(Settings, [*FINE_TUNED, *tasks, "--sharing", "low_layer", *flags])
        arms, _ = load_arms(settings)
        training = list_trainings(settings, arms)[-1]
        assert make_model(settings, training, 0, None).network.depths == {"pos": depth, "chunk": 4}


def test_word_dropout_and_the_low_layers_depth_reach_recurrent_networks(corpus: Path) -> None:
    tasks = ("--tasks", f"pos={corpus}:upos", f"chunk={corpus}:xpos", "--sharing", "low_layer", "--num_layers", "3")
    settings = read_settings(Settings, [*SMALL, *tasks, "--word_dropout", "2.5", "--low_depth", "2"])
    training = list_trainings(settings, load_arms(settings)[0])[-1]
    model = make_model(settings, training, 0, None)
    assert isinstance(model, MultitaskModel)
    assert model.network.depths == {"pos": 2, "chunk": 3}
    assert model.shape.word_dropout == 2.5
    chances = model.words.unknown_probability
    rarest = float(chances[chances > 0].max())
    assert rarest == pytest.approx(2.5 / 3.5), "a word that occurs once"


def test_the_encoder_has_a_rate_of_its_own(corpus: Path, encoder: Path) -> None:
    tasks = ("--tasks", f"pos={corpus}:upos", f"chunk={corpus}:xpos", "--encoder", str(encoder))
    flags = ("--sharing", "hard", "--encoder_learning_rate", "3e-5", "--learning_rate", "2e-3")
    settings = read_settings(Settings, [*tasks, "--max_length", "64", *flags])
    training = list_trainings(settings, load_arms(settings)[0])[-1]
    network = make_model(settings, training, 0, None).network
    optimizer = make_encoder_optimizer(settings, torch.nn.ModuleDict({"network": network}))
    rates = {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}
    assert {rates[id(weight)] for weight in network.encoder.parameters()} == {3e-5}
    assert {rates[id(weight)] for weight in network.heads.parameters()} == {2e-3}
    assert rates.keys() == {id(weight) for weight in network.parameters()}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--hidden_dim", "64", "--vectors"], "Found --vectors, --hidden_dim"),
        (["--sharing", "hard", "tied"], "found tied"),
        (["--encoder_learning_rate", "0"], "above 0"),
    ],
)
def test_what_a_pretrained_encoder_has_no_use_for_is_refused(flags: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_settings(Settings, ["--encoder", "somewhere", "--sharing", "hard", *flags])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--max_length", "100"], "max_length is more than the encoder reads"),
        (["--sharing", "low_layer", "--low_depth", "2"], "expected --low_depth from 1 to 1; found 2"),
        (["--encoder", "./nowhere"], "nowhere"),
    ],
)
def test_an_encoder_that_has_not_what_is_asked_of_it_is_refused(
    corpus: Path, encoder: Path, tmp_path: Path, fails: Any, flags: list[str], said: str
) -> None:
    tasks = ["--tasks", f"pos={corpus}:upos", f"chunk={corpus}:xpos", "--encoder", str(encoder), "--sharing", "hard"]
    shown = fails(main, *FINE_TUNED, *tasks, *flags, "--output_dir", tmp_path / "run")
    assert said.lower() in shown.lower()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--tasks", "pos=nltk:conll2000"], "names one task"),
        (["--sharing", "hart"], "one of 'hard'"),
        (["--sharing", "low_layer"], "Add --num_layers 2"),
        (["--sharing", "low_layer", "--num_layers", "2", "--low_depth", "2"], "from 1 to 1"),
        (["--sharing", "sluice", "--hidden_dim", "5"], "an even --hidden_dim"),
        (["--curve_task", "chunk"], "go together"),
        (["--sampling", "temperature"], "go together"),
        (["--weights", "pos=0.5", "--weighting", "dwa"], "Leave one out"),
        (["--weighting", "dwa", "--sampling", "annealed"], "Choose another"),
        (["--weighting", "cagrad"], "Expected --sharing hard or low_layer; found hard, tied, cross_stitch"),
        (["--weighting", "mgda", "--sharing", "hard", "--batches", "alternating"], "Choose --batches mixed"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(flags: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_settings(Settings, flags)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--train_sizes", "chunks=5"], "--train_sizes names no task of this run"),
        (["--train_sizes", "chunk=5000"], "a number from 1 to 300"),
        (["--curve_task", "ner", "--curve_sizes", "5"], "--curve_task names no task"),
    ],
)
def test_numbers_of_tasks_that_are_not_there_are_refused(
    corpus: Path, tmp_path: Path, fails: Any, flags: list[str], said: str
) -> None:
    tasks = ["--tasks", f"pos={corpus}:upos", f"chunk={corpus}:xpos"]
    assert said in fails(main, *SMALL, *tasks, *flags, "--output_dir", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_files_of_vectors_are_joined_and_must_be_of_one_size(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("2 2\ncat 1 2\ndog 3 4\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("2 2\ndog 5 6\nbird 7 8\n", encoding="utf-8")
    (tmp_path / "c.txt").write_text("1 3\nfish 1 2 3\n", encoding="utf-8")
    a, b, c = (str(tmp_path / f"{name}.txt") for name in "abc")
    settings = Settings(tasks=(f"pos={corpus}:upos", f"chunk={corpus}:xpos"), vectors=(a, b))
    arms, _ = load_arms(settings)
    vectors, _ = find_vectors(settings, arms[0])
    assert vectors is not None
    assert vectors.words == ["cat", "dog", "bird"]
    np.testing.assert_array_equal(vectors.matrix, [[1, 2], [3, 4], [7, 8]])
    with pytest.raises(InputError, match="differ in the size"):
        find_vectors(replace(settings, vectors=(a, c)), arms[0])


def test_numbers_of_tasks_are_read() -> None:
    assert read_numbers(["pos=0.5", "chunk=2"], flag="weights") == {"pos": 0.5, "chunk": 2.0}
    for wrong in (["pos"], ["pos=x"], ["=3"], ["pos=-1"], ["pos=1", "pos=2"]):
        with pytest.raises(InputError, match="such as chunk=500"):
            read_numbers(wrong, flag="weights")


def test_the_settings_files_are_all_readable() -> None:
    files = sorted((ROOT / "recipes" / "multitask_tagging").glob("*.yaml"))
    assert len(files) == 8
    for file in files:
        settings = read_settings(Settings, ["--config", str(file)])
        assert len(settings.tasks) == 2
        assert set(yaml.safe_load(file.read_text(encoding="utf-8"))) <= set(Settings.__dataclass_fields__)
