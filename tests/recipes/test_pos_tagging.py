"""The recipe from its command line: what the run folder holds, that vectors help where they know something, and how
the same run comes again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

import nlptransfer
from nlptransfer import cli
from nlptransfer.recipes.pos_tagging import main

SYSTEMS = ["random", "frozen", "finetuned", "perceptron"]
SPLITS = ["dev", "source_test", "target_test"]
METRICS = ["token_accuracy", "unseen_word_accuracy", "padded_accuracy"]


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_the_run_folder_holds_what_it_should_and_nothing_else(finished: Any, corpus: Path) -> None:
    pictures = ["learning_curves", "coverage", "gains"]
    pictures += [f"{kind}_{split}" for kind in ("confusion", "scores") for split in ("source_test", "target_test")]
    model = ["README.md", "config.json", "model.safetensors", "vectors.json", "vectors.safetensors", "vocabulary.json"]
    wanted = {"settings.yaml", "metrics.json", "history.jsonl", "report.html"}
    wanted |= {f"predictions/{system}.jsonl" for system in SYSTEMS}
    wanted |= {f"plots/{name}.png" for name in pictures} | {f"model/{name}" for name in model}
    found = {str(path.relative_to(finished.folder)) for path in finished.folder.rglob("*") if path.is_file()}
    assert found == wanted
    folders = {path.name for path in finished.folder.rglob("*") if path.is_dir()}
    assert folders == {"predictions", "plots", "model"}, "no cells are left"

    metrics = finished.metrics
    assert list(metrics) == ["recipe", "version", "signature", "scores", "verdicts", "seconds"]
    assert (metrics["recipe"], metrics["version"]) == ("pos_tagging", nlptransfer.__version__)
    for score in metrics["scores"]:
        assert list(score) == ["system", "split", "metric", "value", "low", "high", "n", "seed"]
        assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1
    keys = [(score["system"], score["split"], score["metric"], score["seed"]) for score in metrics["scores"]]
    assert sorted(keys, key=repr) == sorted(product(SYSTEMS, SPLITS, METRICS, [0, 1, None]), key=repr)
    for verdict in metrics["verdicts"]:
        assert list(verdict) == [
            "system", "baseline", "split", "metric", "gain", "low", "high", "p_value", "verdict",
        ]  # fmt: skip
        assert verdict["baseline"] == "random"
    compared = {(verdict["system"], verdict["split"], verdict["metric"]) for verdict in metrics["verdicts"]}
    assert compared == set(product(SYSTEMS[1:], SPLITS[1:], METRICS[:2])), "dev has chosen: no verdict rests on it"
    signature = metrics["signature"]
    assert signature["train_data"] == str(corpus / "splits")
    assert signature["train"] == "150 sentences, 1261 words"
    assert signature["seeds"] == [0, 1]
    assert "choice" in signature["labels of dev"]
    assert "final scores" in signature["labels of test and target"]

    history = read_lines(finished.folder / "history.jsonl")
    assert [(row["system"], row["seed"], row["epoch"]) for row in history if row["epoch"] == 1] == [
        (system, seed, 1) for seed in (0, 1) for system in SYSTEMS[:3]
    ]
    assert {"loss", "score", "learning_rate", "seconds"} < set(history[0])


@pytest.mark.slow
def test_scores_are_those_of_the_predictions(finished: Any, corpus: Path) -> None:
    trained = {word for row in read_lines(corpus / "splits" / "train.jsonl") for word in row["tokens"]}
    test = read_lines(corpus / "splits" / "test.jsonl")
    for system, seed in product(SYSTEMS, (0, 1)):
        rows = [
            row
            for row in read_lines(finished.folder / "predictions" / f"{system}.jsonl")
            if (row["split"], row["seed"]) == ("source_test", seed)
        ]
        assert [(row["index"], row["tokens"], row["gold"]) for row in rows] == [
            (number, row["tokens"], row["tags"]) for number, row in enumerate(test)
        ]
        right = [
            (word, tag == gold)
            for row in rows
            for word, tag, gold in zip(row["tokens"], row["predicted"], row["gold"], strict=True)
        ]
        unseen = [hit for word, hit in right if word not in trained]
        padding = sum(50 - len(row["tokens"]) for row in rows)
        hits = sum(hit for _, hit in right)
        for metric, value, n in (
            ("token_accuracy", hits / len(right), len(right)),
            ("unseen_word_accuracy", sum(unseen) / len(unseen), len(unseen)),
            ("padded_accuracy", (hits + padding) / (len(right) + padding), len(right) + padding),
        ):
            (score,) = finished.scores(system=system, split="source_test", metric=metric, seed=seed)
            assert score["value"] == pytest.approx(value, abs=1e-12)
            assert score["n"] == n
    for mean in finished.scores(seed=None):
        key = {name: mean[name] for name in ("system", "split", "metric")}
        values = [finished.scores(**key, seed=seed)[0]["value"] for seed in (0, 1)]
        assert mean["value"] == pytest.approx(sum(values) / 2, abs=1e-12)


@pytest.mark.slow
def test_vectors_that_know_the_tags_help_on_unseen_words(finished: Any) -> None:
    verdicts = {
        (verdict["system"], verdict["metric"]): verdict
        for verdict in finished.metrics["verdicts"]
        if verdict["split"] == "source_test"
    }
    for system in ("frozen", "finetuned"):
        verdict = verdicts[system, "unseen_word_accuracy"]
        assert verdict["verdict"] == "helped"
        assert verdict["gain"] > 0.1
        assert f"{system} helped: +" in finished.shown


@pytest.mark.slow
def test_vectors_of_the_wrong_words_do_not_help(
    base_settings: Path, corpus: Path, tmp_path: Path, one_thread: None, no_reload: None
) -> None:
    flags = ["--vectors", str(corpus / "shuffled.txt"), "--systems", "random", "frozen", "finetuned"]
    main(["--config", str(base_settings), *flags, "--output_dir", str(tmp_path / "run")])
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    verdicts = {(row["system"], row["metric"]): row["verdict"] for row in metrics["verdicts"]}
    assert len(verdicts) == 4
    assert "helped" not in {verdicts[system, "unseen_word_accuracy"] for system in ("frozen", "finetuned")}


@pytest.mark.slow
def test_the_settings_that_were_written_give_the_same_run_again(
    finished: Any, tmp_path: Path, one_thread: None, no_reload: None
) -> None:
    settings = finished.folder / "settings.yaml"
    main(["--config", str(settings), "--output_dir", str(tmp_path / "again")])
    again = json.loads((tmp_path / "again" / "metrics.json").read_text())
    for part in ("recipe", "version", "signature", "scores", "verdicts"):
        assert again[part] == finished.metrics[part]
    for system in SYSTEMS:
        file = f"predictions/{system}.jsonl"
        assert (tmp_path / "again" / file).read_bytes() == (finished.folder / file).read_bytes()
    folders = (finished.folder, tmp_path / "again")
    theirs, ours = (yaml.safe_load((folder / "settings.yaml").read_text()) for folder in folders)
    assert {**theirs, "output_dir": ""} == {**ours, "output_dir": ""}


@pytest.mark.slow
def test_the_report_needs_nothing_from_outside(finished: Any) -> None:
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)\s*=\s*["\']?([^"\'\s>]+)', page)
    assert len(sources) == len(list((finished.folder / "plots").iterdir()))
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"<script|<link|@import|url\(", page)
    assert page.index("helped") < page.index("data:image"), "the verdict comes first"
    assert str(finished.folder / "report.html") in finished.shown


@pytest.mark.slow
def test_the_saved_model_is_the_best_on_development_data_and_predicts_what_was_kept(finished: Any) -> None:
    means = finished.scores(split="dev", metric="token_accuracy", seed=None)
    best = max((score for score in means if score["system"] != "perceptron"), key=lambda score: score["value"])
    own = finished.scores(split="dev", metric="token_accuracy", system=best["system"])
    seed = max((score["value"], score["seed"]) for score in own if score["seed"] is not None)[1]
    rows = [
        row
        for row in read_lines(finished.folder / "predictions" / f"{best['system']}.jsonl")
        if (row["split"], row["seed"]) == ("source_test", seed)
    ]
    for folder in (finished.folder, finished.folder / "model"):
        model = nlptransfer.load(folder)
        assert model.predict([row["tokens"] for row in rows]) == [row["predicted"] for row in rows]
    card = (finished.folder / "model" / "README.md").read_text()
    assert f"({best['system']} embeddings)" in card
    assert "helped" in card


@pytest.mark.slow
def test_the_saved_model_tags_files_and_is_scored_and_compared_by_the_command_line(
    finished: Any, corpus: Path, tmp_path: Path
) -> None:
    model = nlptransfer.load(finished.folder)
    rows = read_lines(corpus / "target.jsonl")[:7]
    sentences = [row["tokens"] for row in rows]
    tags = model.predict(sentences)

    def predicted(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        flags = ["--input", str(tmp_path / name), "--output", str(tmp_path / "out")]
        cli.main(["predict", "--model", str(finished.folder / "model"), *flags])
        return (tmp_path / "out").read_text()

    def conllu(tagged: list[list[str]]) -> str:
        blocks = (
            "".join(
                f"{number}\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\tKept=Yes\n"
                for number, (word, tag) in enumerate(zip(words, own, strict=True), start=1)
            )
            for words, own in zip(sentences, tagged, strict=True)
        )
        return "".join(f"# text = kept\n{block}\n" for block in blocks)

    assert predicted("in.conllu", conllu([["_"] * len(words) for words in sentences])) == conllu(tags)
    lines = predicted("in.txt", "".join(" ".join(words) + "\n" for words in sentences))
    assert lines == "".join(
        "".join(f"{word}\t{tag}\n" for word, tag in zip(words, own, strict=True)) + "\n"
        for words, own in zip(sentences, tags, strict=True)
    )
    kept = predicted("in.jsonl", "".join(json.dumps({"tokens": words, "id": 1}) + "\n" for words in sentences))
    assert [json.loads(line) for line in kept.splitlines()] == [
        {"tokens": words, "id": 1, "tags": own} for words, own in zip(sentences, tags, strict=True)
    ]

    scores = tmp_path / "scores.json"
    data = ["--data", str(corpus / "splits"), "--output", str(scores)]
    cli.main(["evaluate", "--model", str(finished.folder / "model"), *data])
    (score,) = json.loads(scores.read_text())["scores"]
    assert score["value"] in {row["value"] for row in finished.scores(split="source_test", metric="token_accuracy")}

    cli.main(["compare", f"{finished.folder}:frozen", f"{finished.folder}:random", "--output", str(scores)])
    gains = {row["gain"] for row in json.loads(scores.read_text()) if row["metric"] == "token_accuracy"}
    assert gains >= {
        row["gain"]
        for row in finished.metrics["verdicts"]
        if (row["system"], row["metric"]) == ("frozen", "token_accuracy")
    }


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    base_settings: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], one_thread: None,
    snapshot: Callable[[Path], Any],
) -> None:  # fmt: skip
    before = snapshot(corpus)
    flags = ["--dry_run", "--seeds", "0", "1", "2", "--target", str(corpus / "target.jsonl")]
    main(["--config", str(base_settings), *flags, "--output_dir", str(tmp_path / "run")])
    shown = capsys.readouterr().out
    for line in (
        "train: 150 sentences, 1261 words",
        "dev: 50 sentences, 449 words",
        "source_test: 200 sentences",
        "target_test: 100 sentences",
        "2111 words of 30 dimensions",
        "types not found",
    ):
        assert line in shown
    # 446 training words and two reserved rows; an LSTM of 24 units each way over 30 features, with two biases.
    embedding, encoder, head = 448 * 30, 2 * 4 * 24 * (30 + 24 + 2), (2 * 24 + 1) * 9
    for system, trained in (("random", embedding), ("frozen", 0), ("finetuned", embedding)):
        line = next(line for line in shown.splitlines() if line.startswith(f"{system}: "))
        sizes = f"embedding {trained:,} of {embedding:,}, encoder {encoder:,} of {encoder:,}, head {head} of {head}"
        assert f"parameters trained: {sizes}; " in line
        assert "10 batches per epoch" in line and "% padding" in line
        assert re.search(r"about \d+ s per seed for 6 epochs and \d+ MB", line)
    assert re.search(r"About \d+ s for 3 seed", shown)
    assert list(tmp_path.iterdir()) == []
    assert snapshot(corpus) == before


@pytest.mark.slow
def test_two_processes_write_one_run_folder(base_settings: Path, environment: dict[str, str], tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "-m"]
    flags = ["--config", str(base_settings), "--systems", "random", "perceptron", "--epochs", "3"]
    done = subprocess.run(
        [*launch, "nlptransfer.recipes.pos_tagging", *flags, "--output_dir", str(tmp_path / "run")],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / "metrics.json").is_file()
    assert not (tmp_path / "run" / "cells").exists()
    history = read_lines(tmp_path / "run" / "history.jsonl")
    assert [(row["system"], row["epoch"]) for row in history] == [("random", 1), ("random", 2), ("random", 3)]
    assert done.stdout.count("random, seed 0, epoch 1 of 3") == 1
