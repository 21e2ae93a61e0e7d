"""Parsed vector files, kept as memory-mapped arrays under the digest of the file's content.

An entry is a folder: ``matrix.npy``, ``words.json``, perhaps ``ngrams.npy`` and ``buckets.npy``, and ``entry.json``,
which says how large each file is, when it was written, and its digest. It is made under another name and renamed, so
that it is there whole or not at all.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import xxhash

from nlptransfer.embeddings.subwords import Subwords
from nlptransfer.embeddings.vector_rows import DistinctRows
from nlptransfer.errors import InputError
from nlptransfer.files import cache_folder, write_json

_VERSION = 1
_BLOCK = 1 << 20
_UNFINISHED = ".unfinished-"
_ABANDONED_SECONDS = 24 * 3600
# File systems stamp files with a clock that may tick only every second or two.
_STAMP_NANOSECONDS = 2_500_000_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class CachedVectors:
    """An entry of the cache.

    Attributes:
        words: in the order of the file, each once.
        matrix: (V, D) float32, memory-mapped.
        subwords: the n-grams of a fastText model, memory-mapped; or None.
        num_repeated: how many rows of the file were dropped because their word had come before.
    """

    words: list[str]
    matrix: np.ndarray
    subwords: Subwords | None
    num_repeated: int


class CacheNotWritable(Exception):
    """The entry could not be written; the vectors must be kept in memory."""


def content_digest(path: Path, *, remember: bool = True) -> str:
    """The xxh3_128 digest of a file's bytes, and of the ``.npy`` files that gensim may have written beside it.

    With `remember`, the digest of an unchanged file (same size, inode and times) is not computed again. It is only
    remembered once the file's times are so old that a later change would show in them.

    Raises:
        InputError: the file can't be read, or changes while it is read.
    """
    beside = sorted(path.parent.glob(_escaped(path.name) + ".*.np[yz]"))
    digests = [_file_digest(part, remember=remember) for part in [path, *beside]]
    return digests[0] if len(digests) == 1 else xxhash.xxh3_128_hexdigest("".join(digests).encode())


def load_entry(key: str) -> CachedVectors | None:
    """The entry `key`; None when there is none or it is damaged, in which case it is removed."""
    folder = _folder() / key
    try:
        entry = json.loads((folder / "entry.json").read_text(encoding="utf-8"))
        if entry["version"] != _VERSION:
            return None
        for name, stamp in entry["files"].items():
            _check_file(folder / name, stamp)
        words = json.loads((folder / "words.json").read_bytes())
        matrix = _mapped(folder / "matrix.npy")
        if not isinstance(words, list) or matrix.dtype != np.float32 or matrix.shape != (len(words), entry["dim"]):
            raise ValueError("words and matrix don't match")
        subwords = None
        if entry["subwords"] is not None:
            buckets = _mapped(folder / "buckets.npy") if (folder / "buckets.npy").exists() else None
            subwords = Subwords(ngrams=_mapped(folder / "ngrams.npy"), buckets=buckets, **entry["subwords"])
        return CachedVectors(words=words, matrix=matrix, subwords=subwords, num_repeated=entry["num_repeated"])
    except FileNotFoundError:
        if not folder.exists():
            return None
        reason = "a file is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error)
    _log.warning("%s: a damaged cache entry (%s); the vectors are read anew.", folder, reason)
    shutil.rmtree(folder, ignore_errors=True)
    return None


def store_entry(key: str, rows: DistinctRows, dim: int, subwords: Subwords | None) -> CachedVectors:
    """Write all rows as the entry `key` and load it. No rows are not worth an entry, nor can they be mapped.

    Raises:
        CacheNotWritable: the cache folder can't be written, or the disk is full.
        InputError: whatever the reader behind `rows` says about its file.
    """
    with _unfinished_folder() as folder:
        if not _write_matrix(folder / "matrix.npy", rows, dim):
            return CachedVectors([], np.zeros((0, dim), dtype=np.float32), subwords, 0)
        with _writing():
            # One JSON text of all words loads several times faster than one line or array item per word.
            (folder / "words.json").write_bytes(
                json.dumps(rows.words, ensure_ascii=False).encode("utf-8", "surrogatepass")
            )
            if subwords is not None:
                np.save(folder / "ngrams.npy", subwords.ngrams)
                if subwords.buckets is not None:
                    np.save(folder / "buckets.npy", subwords.buckets)
            entry = {
                "version": _VERSION,
                "dim": dim,
                "num_repeated": rows.num_repeated,
                "subwords": None
                if subwords is None
                else {"num_buckets": subwords.num_buckets, "min_n": subwords.min_n, "max_n": subwords.max_n},
                "files": {path.name: _stamp(path) for path in sorted(folder.iterdir())},
            }
            write_json(folder / "entry.json", entry)
            final = _folder() / key
            try:
                folder.rename(final)
            except OSError:
                # Another process was quicker, and its entry is as good.
                if not (final / "entry.json").exists():
                    raise
    stored = load_entry(key)
    if stored is None:
        raise CacheNotWritable("the entry was removed at once")
    return stored


def _folder() -> Path:
    return cache_folder() / "vectors"


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CacheNotWritable(str(error)) from error


@contextmanager
def _unfinished_folder() -> Iterator[Path]:
    """A new folder to fill; removed at the end unless it was renamed."""
    with _writing():
        _folder().mkdir(parents=True, exist_ok=True)
        for left in _folder().glob(_UNFINISHED + "*"):
            # What a killed process left. A day is longer than any process takes to write an entry.
            if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=_folder(), prefix=_UNFINISHED))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_matrix(path: Path, rows: DistinctRows, dim: int) -> int:
    """Write the rows as an .npy file without knowing beforehand how many there are; returns their number."""
    count = 0
    with _writing():
        stream = path.open("wb")
    with stream:
        with _writing():
            _write_header(stream, 0, dim)
            header_size = stream.tell()
        for part in rows:
            with _writing():
                stream.write(np.ascontiguousarray(part, dtype=np.float32).data)
            count += len(part)
        with _writing():
            stream.seek(0)
            # numpy leaves room for the first axis to grow, so the true header is as long as the first one.
            _write_header(stream, count, dim)
            assert stream.tell() == header_size
            stream.flush()
    return count


def _write_header(stream: BinaryIO, count: int, dim: int) -> None:
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)),
        "fortran_order": False,
        "shape": (count, dim),
    }
    np.lib.format.write_array_header_1_0(stream, header)


def _mapped(path: Path) -> np.ndarray:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _stamp(path: Path) -> dict[str, Any]:
    digest, status = _digest(path)
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "xxh3_128": digest}


def _check_file(path: Path, stamp: dict[str, Any]) -> None:
    status = path.stat()
    if status.st_size != stamp["size"]:
        raise ValueError(f"{path.name} has {status.st_size:,} bytes instead of {stamp['size']:,}")
    if status.st_mtime_ns != stamp["mtime_ns"] and _digest(path)[0] != stamp["xxh3_128"]:
        raise ValueError(f"{path.name} was changed")


def _digest(path: Path) -> tuple[str, os.stat_result]:
    """The digest of a file's bytes, and its status, the same before and after reading."""
    hasher = xxhash.xxh3_128()
    block = bytearray(_BLOCK)
    view = memoryview(block)
    with path.open("rb", buffering=0) as stream:
        before = os.fstat(stream.fileno())
        while size := stream.readinto(block):
            hasher.update(view[:size])
        after = os.fstat(stream.fileno())
    if _identity(before) != _identity(after):
        raise InputError("the file changed while it was read", where=path, remedy="Wait until it is complete.")
    return hasher.hexdigest(), after


def _identity(status: os.stat_result) -> list[int]:
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _file_digest(path: Path, *, remember: bool) -> str:
    try:
        status = path.stat()
        if not remember:
            return _digest(path)[0]
        memo = _folder() / "digests" / f"{xxhash.xxh3_128_hexdigest(os.fsencode(path.resolve()))}.json"
        try:
            known = json.loads(memo.read_text(encoding="utf-8"))
            if known["identity"] == _identity(status):
                return str(known["digest"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # Not remembered, or no longer readable: computed again.
        digest, status = _digest(path)
    except OSError as error:
        raise InputError("can't be read", where=path, found=error.strerror or str(error)) from error
    # A file written a moment ago could be written again without its times changing.
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _STAMP_NANOSECONDS:
        with suppress(OSError):  # Then it is computed again the next time.
            write_json(memo, {"path": str(path), "identity": _identity(status), "digest": digest})
    return digest
