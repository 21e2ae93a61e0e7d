"""Running a recipe from the command line: settings in, and errors that end as messages.

A recipe ends in:

    def main(argv: Sequence[str] | None = None) -> None:
        '''Read the settings and run.'''
        run_recipe(Settings, run, argv)
"""

from __future__ import annotations

import errno
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from nlptransfer.errors import InputError
from nlptransfer.recipes.settings import RunSettings, SettingsType, read_settings


def run_recipe(
    settings_type: type[SettingsType], run: Callable[[SettingsType], None], argv: Sequence[str] | None = None
) -> None:
    """Read a recipe's settings from flags and file, and run it; what the user can mend ends as a message.

    ``--resume`` takes up the settings that the run in ``--output_dir`` was started with: no other flag is needed.

    Args:
        settings_type: the recipe's dataclass, a `RunSettings`.
        run: the recipe; it gets the settings with the time and name put into `output_dir`.
        argv: the flags; those of this process where it is None.

    Raises:
        SystemExit: with code 2 after a message about the input, 130 after an interruption, 0 after ``--help``.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    with errors_as_messages(debug="--debug" in argv):
        recipe = Path(inspect.getfile(settings_type)).stem
        settings = read_settings(settings_type, argv)
        saved = settings.output_dir / "settings.yaml"
        if settings.resume and saved.is_file():
            settings = read_settings(settings_type, ["--config", str(saved), *argv])
        settings = replace(settings, output_dir=_resolved(settings, recipe))
        try:
            run(settings)
        except KeyboardInterrupt:
            if (settings.output_dir / "settings.yaml").is_file():
                print(f"\nTo go on: nlptransfer {recipe} --output_dir {settings.output_dir} --resume", file=sys.stderr)
            raise


@contextmanager
def errors_as_messages(*, debug: bool = False) -> Iterator[None]:
    """End the process with one message, not a traceback, where the user can mend what went wrong.

    Args:
        debug: show the traceback too.

    Raises:
        SystemExit: code 2 after bad input, a file that can't be read or written, or a loss that is not finite; 130
            after Ctrl-C; 141 where the reader of our output went away.
    """
    try:
        yield
        # Here and not on exit, so that a reader who went away is noticed while we can still end quietly.
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except KeyboardInterrupt:
        if debug:
            traceback.print_exc()
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except (InputError, OSError, FloatingPointError) as error:
        if debug:
            traceback.print_exc()
        print(f"error: {_file_message(error) if isinstance(error, OSError) else error}", file=sys.stderr)
        raise SystemExit(2) from None


def _resolved(settings: RunSettings, recipe: str) -> Path:
    """The run's folder, with the recipe's name and the time put in."""
    folder = str(settings.output_dir)
    if "{time}" in folder:
        if settings.resume:
            raise InputError("--resume does not say which run to go on with", remedy="Name its folder: --output_dir.")
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            # Each process would read its own clock, and they would write into different folders.
            raise InputError("several processes share one run", remedy="Name its folder: --output_dir.")
    return Path(folder.replace("{recipe}", recipe).replace("{time}", f"{datetime.now():%Y%m%d-%H%M%S}"))


def _file_message(error: OSError) -> str:
    """What the system says about a file, and what to do."""
    full = "Free some space and repeat the command, a run with --resume; what was already written is intact."
    taken = "Part of the path is already taken by a file: choose another path."
    remedies = {
        errno.ENOSPC: full,
        errno.EDQUOT: full,
        errno.ENOTDIR: taken,
        errno.EEXIST: taken,
        errno.EACCES: "Choose a place that you may use, or change its permissions.",
        errno.EPERM: "Choose a place that you may use, or change its permissions.",
        errno.EROFS: "The place can only be read: write elsewhere.",
        errno.ENOENT: "Check the path.",
    }
    where = f"{error.filename}: " if error.filename is not None else ""
    remedy = remedies.get(error.errno or 0)
    return f"{where}{error.strerror or error}." + (f" {remedy}" if remedy else "")
