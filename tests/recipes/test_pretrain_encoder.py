"""The recipe from its command line: a folder for transformers, texts kept out, and the same curve after a SIGKILL."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from nlptransfer.data.synthetic import make_tagged_languages
from nlptransfer.recipes.pretrain_encoder import Settings, main, shared_out
from nlptransfer.recipes.settings import read_settings

ROOT = Path(__file__).parents[2]
FAST = {
    "num_layers": 1, "hidden_dim": 32, "max_length": 24, "vocab_size": 300, "batch_size": 16, "max_steps": 60,
    "steps_per_checkpoint": 20, "dev_fraction": 0.1, "learning_rate": 0.01, "device": "cpu",
}  # fmt: skip


@dataclass(frozen=True)
class Finished:
    """A run on text in two scripts, and what it showed."""

    folder: Path
    shown: str
    metrics: dict[str, Any]


def read_history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in row if name not in ("seconds", "tokens_per_second")} for row in rows]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text in two scripts, some of its sentences as a test set, and a settings file for quick runs."""
    folder = tmp_path_factory.mktemp("texts")
    languages = make_tagged_languages(700, seed=0)
    lines = {
        name: [" ".join(tokens) for tokens in corpus["tokens"][:]]
        for name, corpus in (("one", languages.source), ("two", languages.target))
    }
    (folder / "one.txt").write_text("\n".join(lines["one"]) + "\n", encoding="utf-8")
    (folder / "two.conllu").write_text("".join(f"# text = {line}\n\n" for line in lines["two"][:300]), encoding="utf-8")
    # Written another way, as test sets are.
    out = [line.replace(" .", ".").upper() for line in lines["one"][:50]]
    (folder / "test.tsv").write_text("id\ttext\n" + "".join(f"{n}\t{line}\n" for n, line in enumerate(out)))
    settings = {
        **FAST,
        "text": [f"a={folder / 'one.txt'}", str(folder / "two.conllu")],
        "exclude_text": [str(folder / "test.tsv")],
    }
    (folder / "base.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return folder


def command(*flags: str | Path) -> list[str]:
    return [sys.executable, "-m", "nlptransfer.recipes.pretrain_encoder", *map(str, flags)]


@pytest.fixture(scope="module")
def finished(texts: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run that none may change."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    flags = ("--config", texts / "base.yaml", "--output_dir", folder)
    done = subprocess.run(command(*flags), capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return Finished(folder, done.stdout, json.loads((folder / "metrics.json").read_text()))


@pytest.mark.slow
def test_the_run_folder_holds_what_it_should_and_nothing_else(finished: Finished) -> None:
    found = {str(path.relative_to(finished.folder)) for path in finished.folder.rglob("*") if path.is_file()}
    model = ["README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert found == {
        "settings.yaml", "metrics.json", "history.jsonl", "report.html", "plots/loss.png",
        *(f"model/{name}" for name in model),
    }  # fmt: skip
    history = read_history(finished.folder)
    assert [row["step"] for row in history] == [20, 40, 60]
    assert {"loss", "dev_loss", "learning_rate", "seconds", "tokens_per_second", "padding"} < set(history[0])
    assert history[-1]["dev_loss"] < history[0]["dev_loss"]
    training = finished.metrics["training"]
    assert (training["steps"], training["tokens"]) == (60, 60 * 16 * 24)
    assert training["padding"] == 0
    card = (finished.folder / "model" / "README.md").read_text(encoding="utf-8")
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    for name in ("one.txt", "two.conllu", "test.tsv"):
        assert name in card and name in page
    assert "<script" not in page and "data:image/png" in page


@pytest.mark.slow
def test_training_tells_hidden_tokens_far_better_than_the_untrained_encoder(finished: Finished) -> None:
    for row in finished.metrics["development"]:
        assert row["accuracy before, %"] < 3
        assert row["accuracy after, %"] > 10
        assert row["loss after"] < row["loss before"] - 0.7
    untrained, trained = (
        [s for s in finished.metrics["scores"] if s["system"] == name] for name in ("untrained", "pretrained")
    )
    assert untrained[0]["high"] < trained[0]["low"] <= trained[0]["value"] <= trained[0]["high"]
    assert trained[0]["n"] == sum(row["hidden tokens"] for row in finished.metrics["development"])


@pytest.mark.slow
def test_sentences_of_the_test_set_are_kept_out_and_counted(finished: Finished, texts: Path) -> None:
    one, two = finished.metrics["signature"]["text"]
    counts = re.search(r"one\.txt \(group a\): (\d+) lines to train on, (\d+) to develop on, (\d+) kept out", one)
    assert counts is not None
    train, dev, out = map(int, counts.groups())
    lines = (texts / "one.txt").read_text().splitlines()
    assert out == sum(line in lines[:50] for line in lines) >= 50
    assert train + dev == len(lines) - out and dev > 30
    assert "0 kept out" in two
    assert f"{out} kept out" in finished.shown


@pytest.mark.slow
def test_transformers_loads_what_was_saved_and_scores_it_alike(finished: Finished) -> None:
    from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

    folder = finished.folder / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForMaskedLM.from_pretrained(folder, local_files_only=True).eval()
    encoder = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    assert len(tokenizer) == model.config.vocab_size == 300
    dropouts = (model.config.embedding_dropout, model.config.attention_dropout, model.config.mlp_dropout)
    assert set(dropouts) == {0.1}, "for fine-tuning"
    assert (tokenizer.model_max_length, model.config.max_position_embeddings) == (24, 24)
    assert tokenizer.pad_token_id == model.config.pad_token_id == 0
    languages = make_tagged_languages(700, seed=0)
    right = total = 0
    for tokens in languages.source["tokens"][:60]:
        ids = tokenizer(" ".join(tokens), truncation=True, return_tensors="pt")["input_ids"]
        hidden = ids.clone()
        place = ids.shape[1] // 2
        hidden[0, place] = tokenizer.mask_token_id
        with torch.no_grad():
            logits = model(input_ids=hidden).logits
            states = encoder(input_ids=hidden).last_hidden_state
        torch.testing.assert_close(model.decoder(model.head(states)), logits)
        right += int(logits[0, place].argmax() == ids[0, place])
        total += 1
    assert right / total > 0.05, "the trained weights, not the first ones"


@pytest.mark.slow
def test_a_run_killed_halfway_goes_on_along_the_same_curve(
    finished: Finished, texts: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        command("--config", texts / "base.yaml", "--output_dir", folder),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    for line in process.stdout:
        if line.startswith("step 20 of 60"):
            process.send_signal(signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    process.stderr.close()
    assert (folder / "cells" / "checkpoint.pt").is_file() and not (folder / "metrics.json").exists()
    resumed = subprocess.run(
        command("--output_dir", folder, "--resume"), capture_output=True, text=True, env=environment, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "The vocabulary has" not in resumed.stdout, "what was made is found again"
    assert without_times(read_history(folder)) == without_times(read_history(finished.folder))
    metrics = json.loads((folder / "metrics.json").read_text())
    for name in ("development", "scores"):
        assert metrics[name] == finished.metrics[name]
    for name in ("model.safetensors", "tokenizer.json"):
        assert (folder / "model" / name).read_bytes() == (finished.folder / "model" / name).read_bytes()
    again = subprocess.run(
        command("--output_dir", folder, "--resume"), capture_output=True, text=True, env=environment, check=False
    )
    assert again.stdout == f"This run is complete: {folder / 'report.html'}\n"


@pytest.mark.slow
def test_two_processes_train_one_encoder(texts: Path, environment: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    folder = tmp_path / "two"
    flags = ["--config", texts / "base.yaml", "--output_dir", folder, "--max_steps", "40"]
    launched = [
        sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2",
        "--module", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", port,
        *command(*flags)[1:],
    ]  # fmt: skip
    done = subprocess.run(launched, capture_output=True, text=True, env=environment, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("step 40 of 40") == 1, "one process speaks"
    metrics = json.loads((folder / "metrics.json").read_text())
    for row in metrics["development"]:
        assert row["loss after"] < row["loss before"] - 0.5
    assert (folder / "model" / "model.safetensors").is_file()


def test_nothing_is_trained_or_written_by_a_dry_run(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--config", str(texts / "base.yaml"), "--output_dir", str(tmp_path / "run"), "--dry_run"])
    shown = capsys.readouterr().out
    assert "one.txt (group a)" in shown and f"kept out: {texts / 'test.tsv'}" in shown
    assert "300 subwords" in shown and "60 steps of 16 blocks of 24 tokens" in shown
    assert not (tmp_path / "run").exists()


def test_without_text_the_invented_one_is_taken_and_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], one_thread: None
) -> None:
    flags = ["--num_layers", "1", "--hidden_dim", "16", "--max_steps", "3", "--vocabulary", "bpe", "--device", "cpu"]
    main(["--output_dir", str(tmp_path / "run"), *flags])
    warning = "Warning: No --text was given: this run learns from an invented corpus"
    assert capsys.readouterr().out.count(warning) == 2, "at the start, and at the end"
    for name in ("report.html", "model/README.md"):
        assert "invented corpus" in (tmp_path / "run" / name).read_text(encoding="utf-8")


def test_bad_input_is_one_message(texts: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    base = ["--config", texts / "base.yaml", "--output_dir", tmp_path / "run"]
    message = fails(main, *base, "--text", texts / "none.txt")
    assert message.startswith(f"error: {texts / 'none.txt'}: no such file or folder. Did you mean")
    (tmp_path / "empty.txt").write_text("\n\n")
    assert "empty.txt: the file holds no text" in fails(main, *base, "--text", tmp_path / "empty.txt", "--resume")
    message = fails(main, *base, "--vocab_size", "50000", "--output_dir", tmp_path / "large")
    assert re.search(r"vocab_size is larger than this text allows. Expected at most \d+; found 50000", message)
    assert not (tmp_path / "large" / "model").exists()
    for flags, said in (
        (["--text", texts / "one.txt", f"b={texts / 'one.txt'}", "--dry_run"], "names a file twice"),
        (["--hidden_dim", "131"], "below 128, or a multiple of 64"),
        (["--seeds", "0", "1"], "one seed"),
        (["--dev_fraction", "0"], "between 0 and 1"),
    ):
        assert said in fails(main, *base, *flags)


def test_steps_are_shared_out_over_checkpoints() -> None:
    assert shared_out(Settings(max_steps=60, steps_per_checkpoint=20)) == (3, 20)
    assert shared_out(Settings(max_steps=70, steps_per_checkpoint=20)) == (4, 18)
    assert shared_out(Settings(max_steps=5, steps_per_checkpoint=20)) == (1, 5)
    assert shared_out(Settings(text=("x",))) == (40, 500)
    assert shared_out(Settings()) == (1, 100)


def test_every_settings_file_parses() -> None:
    files = sorted((ROOT / "recipes" / "pretrain_encoder").glob("*.yaml"))
    assert files
    for file in files:
        settings = read_settings(Settings, ["--config", str(file)])
        assert settings.text and not any(Path(name.partition("=")[2]).is_absolute() for name in settings.text)
        assert not any("bilingual" in name for name in settings.text)


@pytest.mark.data
def test_the_files_that_settings_name_are_there(real_data: Path) -> None:
    from nlptransfer.data.text_lines import find_text_source

    for file in sorted((ROOT / "recipes" / "pretrain_encoder").glob("*.yaml")):
        settings = read_settings(Settings, ["--config", str(file)])
        for name in (*settings.text, *settings.exclude_text):
            source = find_text_source(name, data_dir=real_data)
            assert next(source.lines())
