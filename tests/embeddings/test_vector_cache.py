"""The cache is there whole or not at all, follows the content of the file, and is never needed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nlptransfer.embeddings import vector_cache
from nlptransfer.embeddings.vector_cache import content_digest
from nlptransfer.embeddings.word_vectors import WordVectors, read_word_vectors
from nlptransfer.errors import InputError


def write(path: Path, first: float = 1.0, count: int = 20) -> Path:
    lines = [f"w{row} {first + row:.4f} {first - row:.4f}\n" for row in range(count)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def entries(cache: Path) -> list[Path]:
    return [path for path in (cache / "vectors").iterdir() if path.name != "digests"]


def same(first: WordVectors, second: WordVectors) -> bool:
    return first.words == second.words and np.array_equal(first.matrix, second.matrix)


@pytest.fixture
def no_parsing(monkeypatch: pytest.MonkeyPatch) -> object:
    """Call it to make any further parsing fail."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the file was parsed again")

    return lambda: monkeypatch.setattr("nlptransfer.embeddings.word_vectors.detect_format", refuse)


def test_a_second_read_maps_the_first_one_and_parses_nothing(tmp_path: Path, no_parsing) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path / "a.txt")
    first = read_word_vectors(path)
    no_parsing()
    assert same(read_word_vectors(path), first)
    assert isinstance(first.matrix.base, np.memmap) and not first.matrix.flags.writeable
    shutil.copy(path, tmp_path / "same content.txt")
    assert same(read_word_vectors(tmp_path / "same content.txt"), first)


def test_restricted_reads_come_from_the_whole_entry_or_one_of_their_own(tmp_path: Path, no_parsing) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path / "a.txt")
    lower = ("lower case",)
    part = read_word_vectors(path, vocabulary=["W3", "w5"], fallbacks=lower)
    first = read_word_vectors(path, max_words=2)
    whole = read_word_vectors(path)
    assert part.words == ["w3", "w5"] and first.words == ["w0", "w1"]
    no_parsing()
    assert same(read_word_vectors(path, vocabulary=["w5", "W3", "w5"], fallbacks=lower), part)
    assert same(read_word_vectors(path, max_words=2), first)
    assert read_word_vectors(path, vocabulary=["w4"], fallbacks=lower).words == ["w4"]
    assert read_word_vectors(path, vocabulary=["w4", "w1"], fallbacks=lower, max_words=3).words == ["w1"]
    assert same(read_word_vectors(path), whole)


def test_the_first_words_are_the_same_from_the_cache_when_words_repeat(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a 1 1\na 2 2\nb 3 3\nc 4 4\n")
    read_word_vectors(path)
    assert (
        read_word_vectors(path, max_words=2).words == read_word_vectors(path, max_words=2, cache=False).words == ["a"]
    )


@pytest.mark.parametrize("aged", [False, True])
def test_a_rewritten_file_of_the_same_size_and_time_is_never_taken_for_the_old_one(tmp_path: Path, aged: bool) -> None:
    path = write(tmp_path / "a.txt", 1.0)
    then = time.time_ns() - 3600 * 10**9 if aged else path.stat().st_mtime_ns
    os.utime(path, ns=(then, then))
    old = read_word_vectors(path)
    for first in (2.0, 3.0, 4.0):
        write(path, first)
        os.utime(path, ns=(then, then))
        assert read_word_vectors(path).matrix[0, 0] == first != old.matrix[0, 0]


def test_the_digest_of_an_old_file_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.txt")
    digest = content_digest(path)
    monkeypatch.setattr(vector_cache, "_STAMP_NANOSECONDS", -1)
    assert content_digest(path) == digest
    monkeypatch.setattr(vector_cache, "_digest", lambda _: pytest.fail("computed again"))
    assert content_digest(path) == digest


def test_a_file_that_changes_while_it_is_read_is_an_error_and_leaves_no_entry(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.txt")
    digest = vector_cache._digest

    def digest_then_change(file: Path) -> tuple[str, os.stat_result]:
        result = digest(file)
        write(path, 5.0, count=21)
        return result

    monkeypatch.setattr(vector_cache, "_digest", digest_then_change)
    with pytest.raises(InputError, match="changed while it was read"):
        read_word_vectors(path)
    assert entries(own_cache) == []


@pytest.mark.parametrize("name", ["matrix.npy", "words.json", "entry.json"])
@pytest.mark.parametrize("damage", ["removed", "cut", "emptied", "altered"])
def test_a_damaged_entry_is_noticed_and_rebuilt(tmp_path: Path, own_cache: Path, name: str, damage: str) -> None:
    path = write(tmp_path / "a.txt")
    first = read_word_vectors(path, cache=False)
    read_word_vectors(path)
    (entry,) = entries(own_cache)
    file = entry / name
    data = file.read_bytes()
    time.sleep(0.02)
    if damage == "removed":
        file.unlink()
    else:
        middle = len(data) // 2
        altered = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        file.write_bytes({"cut": data[:-9], "emptied": b"", "altered": altered}[damage])
    assert same(read_word_vectors(path), first)
    (entry,) = entries(own_cache)
    assert (entry / name).read_bytes()[:40] == data[:40] or name == "entry.json"
    assert same(read_word_vectors(path), first)


def test_a_killed_write_leaves_no_entry(tmp_path: Path, own_cache: Path) -> None:
    path = write(tmp_path / "a.txt")
    script = (
        "import os, signal, sys\n"
        "from nlptransfer.embeddings import vector_cache, word_vectors\n"
        "vector_cache.write_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "word_vectors.read_word_vectors(sys.argv[1])\n"
    )
    # The digest's memo is written by the same function; a fresh file has none.
    killed = subprocess.run([sys.executable, "-c", script, str(path)], cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL
    (left,) = entries(own_cache)
    assert left.name.startswith(".unfinished-")
    day_before_yesterday = time.time() - 2 * 24 * 3600
    os.utime(left, (day_before_yesterday, day_before_yesterday))
    assert len(read_word_vectors(path)) == 20
    assert [entry.name.startswith(".") for entry in entries(own_cache)] == [False]


def test_an_error_in_the_file_leaves_no_entry(tmp_path: Path, own_cache: Path) -> None:
    path = write(tmp_path / "a.txt")
    path.write_text(path.read_text() + "bad 1\n")
    with pytest.raises(InputError, match="line 21"):
        read_word_vectors(path)
    assert entries(own_cache) == []


def test_without_a_place_to_cache_the_vectors_are_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.txt")
    (tmp_path / "file").touch()
    monkeypatch.setenv("NLPTRANSFER_CACHE", str(tmp_path / "file" / "cache"))
    vectors = read_word_vectors(path)
    assert same(vectors, read_word_vectors(path, cache=False))
    assert "can't be cached" in caplog.text


def test_a_full_disk_does_not_stop_the_reading(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = write(tmp_path / "a.txt")
    monkeypatch.setattr(vector_cache, "write_json", full)
    assert len(read_word_vectors(path)) == 20
    assert entries(own_cache) == []


def test_nothing_is_written_without_the_cache(tmp_path: Path, own_cache: Path) -> None:
    read_word_vectors(write(tmp_path / "a.txt"), cache=False)
    assert list(own_cache.iterdir()) == []


def test_an_entry_of_another_version_is_not_used(tmp_path: Path, own_cache: Path) -> None:
    path = write(tmp_path / "a.txt")
    first = read_word_vectors(path, cache=False)
    read_word_vectors(path)
    (entry,) = entries(own_cache)
    stored = json.loads((entry / "entry.json").read_text())
    (entry / "entry.json").write_text(json.dumps({**stored, "version": -1}))
    assert same(read_word_vectors(path), first)
