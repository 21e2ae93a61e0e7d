"""A run that was killed, or met a full disk, goes on from where it was and ends as if nothing had happened."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nlptransfer.recipes.pos_tagging import main
from nlptransfer.training.checkpoint import read_checkpoint

Snapshot = dict[str, tuple[bytes, int]]


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def without_seconds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.slow
def test_a_run_killed_halfway_ends_as_an_undisturbed_one(
    finished: Any, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    killed = start("--config", finished.folder / "settings.yaml", "--output_dir", folder)
    assert killed.stdout is not None and killed.stderr is not None
    seen = []
    for line in killed.stdout:
        seen.append(line)
        if line.startswith("frozen, seed 0, epoch 3 of 6"):
            killed.send_signal(signal.SIGKILL)
            break
    assert killed.wait() == -signal.SIGKILL, "".join(seen) + killed.stderr.read()
    killed.stdout.close()
    killed.stderr.close()
    cells = folder / "cells"
    assert (cells / "random-0" / "cell.json").is_file()
    assert (cells / "frozen-0" / "checkpoint.pt").is_file()
    assert not (cells / "frozen-0" / "cell.json").exists()
    assert not (folder / "metrics.json").exists()
    before = read_checkpoint(cells / "frozen-0" / "checkpoint.pt")["history"]
    assert 3 <= len(before) < 6

    resumed = start("--output_dir", folder, "--resume")
    shown, complaints = resumed.communicate()
    assert resumed.returncode == 0, complaints
    assert "random, seed 0" not in shown, "what was finished is not trained again"
    assert "finetuned, seed 0, epoch 1 of 6" in shown
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["scores"] == finished.metrics["scores"]
    assert metrics["verdicts"] == finished.metrics["verdicts"]
    assert without_seconds(history(folder)) == without_seconds(history(finished.folder))
    frozen = [row["seconds"] for row in history(folder) if (row["system"], row["seed"]) == ("frozen", 0)]
    assert frozen[: len(before)] == [row["seconds"] for row in before], "nor is what the checkpoint held"
    kept = [path.relative_to(folder) for path in (folder / "predictions").iterdir()]
    for file in [*kept, Path("model/model.safetensors"), Path("model/config.json")]:
        assert (folder / file).read_bytes() == (finished.folder / file).read_bytes(), file
    assert not cells.exists()


@pytest.mark.slow
def test_a_finished_run_is_not_run_again(
    finished: Any, snapshot: Callable[[Path], Snapshot], capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(finished.folder)
    main(["--output_dir", str(finished.folder), "--resume"])
    assert capsys.readouterr().out == f"This run is complete: {finished.folder / 'report.html'}\n"
    assert snapshot(finished.folder) == before


@pytest.mark.slow
def test_a_run_does_not_go_on_under_other_settings(
    finished: Any, snapshot: Callable[[Path], Snapshot], fails: Callable[..., str]
) -> None:
    before = snapshot(finished.folder)
    flags = ["--epochs", "7", "--cell", "gru"]
    message = fails(main, "--output_dir", finished.folder, "--resume", *flags)
    assert message == (
        f'error: {finished.folder / "settings.yaml"}: the run begun there has other settings (cell: "lstm" there, '
        '"gru" now; epochs: 6 there, 7 now). Resume with the same settings (--config that file), or choose another '
        "--output_dir.\n"
    )
    assert snapshot(finished.folder) == before


def test_a_folder_that_holds_something_is_not_written_into(
    base_settings: Path, tmp_path: Path, snapshot: Callable[[Path], Snapshot], fails: Callable[..., str]
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    before = snapshot(tmp_path)
    message = fails(main, "--config", base_settings, "--output_dir", tmp_path)
    assert message.startswith(f"error: {tmp_path}: the output folder is not empty. Found thesis.txt.")
    assert "--resume" in message and "another --output_dir" in message
    message = fails(main, "--config", base_settings, "--output_dir", tmp_path, "--resume")
    assert "settings.yaml" in message
    assert snapshot(tmp_path) == before


@pytest.mark.slow
def test_a_full_disk_is_one_message_and_the_run_goes_on_once_there_is_room(
    base_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None, no_reload: None,
    fails: Callable[..., str], snapshot: Callable[[Path], Snapshot], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The disk is full at each file in turn; in between the run is resumed, and gets as far as the next."""
    full: list[str] = []

    def refuse(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*, prefix: str, **rest: Any) -> Any:
            if prefix.startswith(tuple(full)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return make(prefix=prefix, **rest)

        return made

    # Every file of a run begins as a temporary one beside its place.
    monkeypatch.setattr(tempfile, "mkstemp", refuse(tempfile.mkstemp))
    monkeypatch.setattr(tempfile, "mkdtemp", refuse(tempfile.mkdtemp))
    folder = tmp_path / "run"
    flags = ["--systems", "random", "frozen", "--epochs", "2", "--output_dir", folder]
    already: Snapshot = {}
    for place in (
        "settings.yaml",
        "cells/random-0/checkpoint.pt",
        "cells/random-0/weights.safetensors",
        "cells/random-0/random.jsonl",
        "cells/random-0/cell.json",
        "model",
        "predictions/frozen.jsonl",
        "history.jsonl",
        "plots/learning_curves.png",
        "report.html",
        "metrics.json",
    ):
        full[:] = [f".{Path(place).stem}."]
        message = fails(main, "--config", base_settings, *flags, "--resume")
        assert message == (
            f"error: {folder / place}: No space left on device. Free some space and repeat the command, a run with "
            "--resume; what was already written is intact.\n"
        )
        found = snapshot(folder)
        kept = {name for name in already if not name.endswith("checkpoint.pt") and not name.startswith("model/")}
        assert {name: content for name, (content, _) in found.items() if name in kept} == {
            name: already[name][0] for name in kept
        }
        assert not [name for name in found if Path(name).name.startswith(".")], "no half file is left"
        assert "metrics.json" not in found
        already = found
    full[:] = ["nothing"]
    capsys.readouterr()
    main(["--output_dir", str(folder), "--resume"])
    assert not re.search(r"epoch \d", capsys.readouterr().out), "all was trained before"
    assert len(json.loads((folder / "metrics.json").read_text())["scores"]) == 2 * 2 * 3 * 2
    assert [row["epoch"] for row in history(folder)] == [1, 2, 1, 2]
    assert not (folder / "cells").exists()
