"""Shared by the recipes' tests: a small synthetic corpus with vectors on disk, and one finished run on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import nlptransfer
from nlptransfer.data.synthetic import make_tagged_languages, make_tagged_vectors

DIMENSION = 30
FAST = {"characters": "none", "hidden_dim": 24, "epochs": 6, "batch_size": 16, "learning_rate": 0.02, "device": "cpu"}
"""Settings with which a system trains in a second. Spelling is left out: vectors alone tell about unseen words."""

Snapshot = dict[str, tuple[bytes, int]]


@dataclass(frozen=True)
class FinishedRun:
    """A run of all systems under two seeds, with a target."""

    folder: Path
    shown: str
    metrics: dict[str, Any]

    def scores(self, **wanted: Any) -> list[dict[str, Any]]:
        return [score for score in self.metrics["scores"] if wanted.items() <= score.items()]


def write_vectors(path: Path, words: list[str], matrix: np.ndarray) -> None:
    """In word2vec's text format."""
    rows = [f"{word} {' '.join(f'{value:.4f}' for value in row)}" for word, row in zip(words, matrix, strict=True)]
    path.write_text("\n".join([f"{len(words)} {matrix.shape[1]}", *rows]) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train, dev and test as JSON lines, a target.jsonl, and vectors: right ones and shuffled ones."""
    folder = tmp_path_factory.mktemp("corpus")
    data = make_tagged_languages(500, seed=0).source
    names = data.features["tags"].feature.names
    lines = [json.dumps({"tokens": row["tokens"], "tags": [names[tag] for tag in row["tags"]]}) + "\n" for row in data]
    (folder / "splits").mkdir()
    for name, part in (
        ("splits/train", lines[:150]),
        ("splits/dev", lines[150:200]),
        ("splits/test", lines[200:400]),
        ("target", lines[400:]),
    ):
        (folder / f"{name}.jsonl").write_text("".join(part), encoding="utf-8")
    write_vectors(folder / "vectors.txt", *make_tagged_vectors(DIMENSION, seed=0))
    write_vectors(folder / "shuffled.txt", *make_tagged_vectors(DIMENSION, seed=0, shuffled=True))
    return folder


@pytest.fixture(scope="session")
def base_settings(corpus: Path) -> Path:
    """A settings file for quick runs on that corpus; flags say the rest."""
    settings = {"train_data": str(corpus / "splits"), "vectors": str(corpus / "vectors.txt"), **FAST}
    (corpus / "base.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return corpus / "base.yaml"


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For processes started by tests: the package as it stands here, a cache of their own, one thread."""
    return {
        **os.environ,
        "PYTHONPATH": str(Path(nlptransfer.__file__).parents[1]),
        "NLPTRANSFER_CACHE": str(tmp_path_factory.mktemp("cache")),
        "NLPTRANSFER_DATA": "",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture(scope="session")
def start(environment: dict[str, str]) -> Callable[..., subprocess.Popen[str]]:
    """Starts the recipe as a user does: in a process of its own."""

    def started(*flags: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "nlptransfer.recipes.pos_tagging", *map(str, flags)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    return started


@pytest.fixture(scope="session")
def finished(
    base_settings: Path,
    corpus: Path,
    start: Callable[..., subprocess.Popen[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> FinishedRun:
    """The run that most tests look at. None may change it."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    flags = ("--target", corpus / "target.jsonl", "--seeds", "0", "1", "--output_dir", folder)
    process = start("--config", base_settings, *flags)
    shown, complaints = process.communicate()
    assert process.returncode == 0, complaints
    return FinishedRun(folder, shown, json.loads((folder / "metrics.json").read_text()))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For runs in this process: as in the others, and quick beside other tests."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the fresh process that loads the saved model: it takes longer than all the rest of such a run."""
    monkeypatch.setattr("nlptransfer.models.saving.check_reload", lambda folder, sentences, expected: None)


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command in this process, which must end with code 2 and one message; gives the message."""

    def failed(main: Callable[[list[str]], None], *argv: str | Path) -> str:
        with pytest.raises(SystemExit) as caught:
            main(list(map(str, argv)))
        message = capsys.readouterr().err
        assert caught.value.code == 2
        assert message.startswith("error: ")
        assert message.count("error: ") == 1
        assert "Traceback" not in message
        return message

    return failed


@pytest.fixture
def snapshot() -> Callable[[Path], Snapshot]:
    """What is in a folder: each file's content and time of change."""

    def taken(folder: Path) -> Snapshot:
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    return taken
