"""Files written whole or not at all: beside their place first, then renamed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well, rename it to `path`.

    If the block raises, the temporary file is removed and whatever stood at `path` stays as it was.

    Args:
        path: the file to write. Its folder is created if it is missing.

    Yields:
        The temporary path to write to. It has the same suffix as `path`.

    Raises:
        OSError: the folder can't be created or written, or the disk is full.

    Example:
        >>> with write_whole("out/scores.json") as temporary:
        ...     temporary.write_text("{}")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        open_to_others(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def open_to_others(path: Path) -> None:
    """Give a file or folder the rights that a plain ``open`` or ``mkdir`` would have given it, not private ones."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    with write_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, whole or not at all. NaN is refused: JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def cache_folder() -> Path:
    """Where downloads and parsed files are kept: ``NLPTRANSFER_CACHE``, else the user's own cache folder.

    It is created by whoever writes to it first.
    """
    named = os.environ.get("NLPTRANSFER_CACHE")
    if named:
        return Path(named)
    import pooch

    return Path(pooch.os_cache("nlptransfer"))


@contextmanager
def write_folder_whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; when the block ends well, put it in the place of `path`.

    If the block raises, the temporary folder is removed and whatever stood at `path` stays as it was.

    Args:
        path: the folder to write; one that is there is replaced.

    Yields:
        The temporary folder to write to.

    Raises:
        OSError: the folder can't be created or written, or the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        for entry in [temporary, *temporary.rglob("*")]:
            open_to_others(entry)
        if path.exists():
            # A folder can't be renamed over a filled one: the old one steps aside first.
            aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            path.replace(aside)
            temporary.replace(path)
            shutil.rmtree(aside)
        else:
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
