from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from nlptransfer.errors import InputError
from nlptransfer.recipes.running import errors_as_messages, run_recipe
from nlptransfer.recipes.settings import RunSettings, settings_to_dict


@dataclass(frozen=True)
class Settings(RunSettings):
    epochs: int = 30


def run(*flags: str) -> Settings:
    """The settings that the recipe got."""
    got: list[Settings] = []
    run_recipe(Settings, got.append, flags)
    return got[0]


def ended(capsys: pytest.CaptureFixture[str], error: BaseException, *, debug: bool = False) -> tuple[object, str]:
    """Exit code and message."""
    with pytest.raises(SystemExit) as caught, errors_as_messages(debug=debug):
        raise error
    return caught.value.code, capsys.readouterr().err


def test_the_run_folder_is_named_after_recipe_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.fullmatch(r"runs/test_running/\d{8}-\d{6}", str(run().output_dir))
    assert run("--output_dir", "out/{recipe}").output_dir == Path("out/test_running")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit):  # two processes might read two times
        run()
    assert run("--output_dir", "out").output_dir == Path("out")


def test_resuming_takes_up_the_settings_that_the_run_was_started_with(tmp_path: Path) -> None:
    started = run("--output_dir", str(tmp_path), "--epochs", "7", "--seeds", "4", "5")
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings_to_dict(started)))
    resumed = run("--output_dir", str(tmp_path), "--resume")
    assert (resumed.epochs, resumed.seeds, resumed.resume) == (7, (4, 5), True)
    assert run("--output_dir", str(tmp_path), "--resume", "--seeds", "4", "5", "6").seeds == (4, 5, 6)
    assert run("--output_dir", str(tmp_path)).epochs == 30


def test_resuming_asks_which_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("--resume")
    assert caught.value.code == 2
    assert "Name its folder: --output_dir." in capsys.readouterr().err


def test_bad_input_ends_as_one_line_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("--epoch", "3")
    assert caught.value.code == 2
    assert capsys.readouterr() == (
        "",
        "error: unknown flag --epoch. Did you mean --epochs? `--help` lists the settings.\n",
    )
    assert ended(capsys, InputError("the file is bad", where="x")) == (2, "error: x: the file is bad.\n")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (
            errno.ENOSPC,
            "No space left on device. Free some space and repeat the command, a run with --resume; what was already "
            "written is intact.",
        ),
        (
            errno.ENOTDIR,
            "Not a directory. Part of the path is already taken by a file: choose another path.",
        ),
        (errno.EACCES, "Permission denied. Choose a place that you may use, or change its permissions."),
        (errno.ENOENT, "No such file or directory. Check the path."),
        (errno.EISDIR, "Is a directory."),
    ],
)
def test_what_the_system_refuses_says_which_file_and_what_to_do(
    capsys: pytest.CaptureFixture[str], number: int, remedy: str
) -> None:
    assert ended(capsys, OSError(number, os.strerror(number), "a.txt")) == (2, f"error: a.txt: {remedy}\n")


def test_debug_shows_the_traceback_too(capsys: pytest.CaptureFixture[str]) -> None:
    code, message = ended(capsys, InputError("the file is bad"), debug=True)
    assert code == 2
    assert message.startswith("Traceback")
    assert message.endswith("error: the file is bad.\n")


def test_our_own_mistakes_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError), errors_as_messages():
        _ = 1 / 0


def test_an_interruption_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(settings: Settings) -> None:
        settings.output_dir.mkdir(exist_ok=True)
        (settings.output_dir / "settings.yaml").touch()
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run_recipe(Settings, interrupted, ["--output_dir", str(tmp_path)])
    assert caught.value.code == 130
    assert f"To go on: nlptransfer test_running --output_dir {tmp_path} --resume" in capsys.readouterr().err


def test_a_reader_that_goes_away_ends_us_quietly() -> None:
    code = (
        "from nlptransfer.recipes.running import errors_as_messages\n"
        "with errors_as_messages():\n    for _ in range(100_000): print('x')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait() == 141
    assert process.stderr.read() == b""
    process.stderr.close()
