"""Files written whole or not at all (beside their place first, then renamed), and text files read line by line."""

from __future__ import annotations

import difflib
import gzip
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nlptransfer.errors import InputError


@contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well, rename it to `path`.

    If the block raises, the temporary file is removed and whatever stood at `path` stays as it was.

    Args:
        path: the file to write. Its folder is created if it is missing.

    Yields:
        The temporary path to write to. It has the same suffix as `path`.

    Raises:
        OSError: the folder can't be created or written, or the disk is full. It names `path`, or the part of it that
            is in the way.

    Example:
        >>> with write_whole("out/scores.json") as temporary:
        ...     temporary.write_text("{}")
    """
    path = Path(path)
    prefix = f".{path.stem}."
    with _errors_name(path, prefix):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            open_to_others(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _errors_name(path: Path, prefix: str) -> Iterator[None]:
    """Let an `OSError` name `path` where it names nothing (a full disk) or what is temporary (begins with `prefix`)."""
    try:
        yield
    except OSError as error:
        temporary = str((path.parent / prefix).resolve())  # `tempfile` gives absolute names
        unnamed = error.filename is None or str(Path(str(error.filename)).resolve()).startswith(temporary)
        # One without a number is a library's own sentence, on a download say, and tells where by itself.
        if unnamed and error.errno is not None:
            error.filename = str(path)
        raise


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
        OSError: the folder can't be created or written, or the disk is full. It names `path`, or the part of it that
            is in the way.
    """
    path = Path(path)
    prefix = f".{path.name}."
    with _errors_name(path, prefix):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=prefix))
        try:
            yield temporary
            for entry in [temporary, *temporary.rglob("*")]:
                open_to_others(entry)
            if path.exists():
                # A folder can't be renamed over a filled one: the old one steps aside first.
                aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f"{prefix}old."))
                path.replace(aside)
                temporary.replace(path)
                shutil.rmtree(aside)
            else:
                temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text file, plain or gzipped (``.gz``), numbered from 1, without their line ends.

    The file is streamed. A byte order mark is skipped.

    Raises:
        InputError: the file is missing or can't be read, is not UTF-8 (says the line and the byte), or is not whole
            gzip data.
    """
    path = Path(path)
    if not path.is_file():
        raise missing_file(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as handle:
            for number, line in decoded_lines(handle, where=path):
                yield number, (line.removeprefix("\ufeff") if number == 1 else line).rstrip("\r\n")
    except OSError as error:
        raise InputError(f"the file can't be read ({error.strerror})", where=path) from error


def decoded_lines(lines: Iterable[bytes], *, where: str | Path) -> Iterator[tuple[int, str]]:
    """Lines of UTF-8 as text, numbered from 1, with their line ends and a byte order mark where there is one.

    Args:
        lines: an open file, or a gzip file that unpacks while it is read.
        where: its name, for messages.

    Raises:
        InputError: a line is not UTF-8 (says the byte), or the gzip data is damaged or cut short.
    """
    number = 0
    try:
        for number, line in enumerate(lines, start=1):
            yield number, line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"the file is not UTF-8 (byte {error.start + 1} of the line is 0x{error.object[error.start]:02x})",
            where=where,
            line=number,
            remedy="Convert it, for instance with: iconv -f LATIN1 -t UTF-8.",
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"the gzip data is damaged or cut short ({error})",
            where=where,
            line=number + 1,
            remedy="Copy or download the file again.",
        ) from error


def missing_file(path: Path, *, remedy: str = "Check the name.") -> InputError:
    """The error for a file or folder that is not there, with the names beside it that look alike.

    Args:
        path: what is not there.
        remedy: what to do where its folder exists and no name in it looks alike.
    """
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, beside)
    if close:
        remedy = f"Did you mean {' or '.join(str(path.with_name(name)) for name in close)}?"
    elif not path.parent.is_dir():
        remedy = f"The folder {path.parent} does not exist either."
    return InputError("no such file or folder", where=path, remedy=remedy)
