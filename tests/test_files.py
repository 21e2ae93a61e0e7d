"""Files are written whole or not at all, with nothing left beside them; lines are read whole or refused."""

from __future__ import annotations

import errno
import gzip
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nlptransfer.errors import InputError
from nlptransfer.files import cache_folder, read_lines, write_folder_whole, write_json, write_text, write_whole


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_file_appears_only_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "scores.json"
    with write_whole(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.parent == path.parent, "a rename is whole only within one file system"
        assert temporary.suffix == ".json", "writers such as numpy.save go by the suffix"
    assert path.read_text() == "new"
    assert names_in(path.parent) == ["scores.json"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "scores.json"
    path.write_text("old")
    with pytest.raises(error), write_whole(path) as temporary:
        temporary.write_text("ne")
        raise error
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["scores.json"]


def test_a_failure_leaves_nothing_where_there_was_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), write_whole(tmp_path / "scores.json"):
        raise RuntimeError
    assert names_in(tmp_path) == []


def test_a_killed_process_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text("old")
    script = (
        "import os, sys\nfrom nlptransfer.files import write_whole\n"
        "with write_whole(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('ne')\n    os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert ended.returncode == -9
    assert path.read_text() == "old"


def test_a_folder_in_the_files_place_is_an_error_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.mkdir()
    (path / "weights").write_text("old")
    with pytest.raises(OSError), write_whole(path) as temporary:
        temporary.write_text("new")
    assert names_in(tmp_path) == ["model"]
    assert (path / "weights").read_text() == "old"


def test_a_parent_that_is_a_file_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(OSError), write_whole(tmp_path / "results" / "scores.json"):
        pytest.fail("there is no place to write to")


def test_a_full_disk_names_the_file_and_not_the_temporary_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("model")
    for write in (write_whole, write_folder_whole):
        with pytest.raises(OSError) as unnamed, write(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with pytest.raises(OSError) as inside, write(path) as temporary:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(temporary.absolute() / "weights"))
        assert unnamed.value.filename == inside.value.filename == "model"
        assert names_in(tmp_path) == []


def test_an_error_about_something_else_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as named, write_whole(tmp_path / "a.txt"):
        (tmp_path / "missing").open()
    assert named.value.filename == str(tmp_path / "missing")
    with pytest.raises(ConnectionError, match=r"^the server is away$"), write_whole(tmp_path / "a.txt"):
        raise ConnectionError("the server is away")


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_a_file_gets_the_mode_that_open_would_give(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "plain").open("w").close()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "plain")]
    assert modes[0] == modes[1]


def test_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    texts = [letter * 100_000 for letter in "abcd"]
    threads = [threading.Thread(target=write_text, args=(path, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert names_in(tmp_path) == ["scores.json"]


def test_text_is_utf8_with_plain_newlines(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "Größe\nआम\r\n")
    assert (tmp_path / "a.txt").read_bytes() == "Größe\nआम\r\n".encode()


def test_text_that_has_no_utf8_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


def test_json_reads_back_as_it_was(tmp_path: Path) -> None:
    value = {"word": "Größe", "scores": [0.1 + 0.2, 1e-300, None, True], "nested": {"a": [1, 2]}}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert "Größe" in text and text.endswith("}\n")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), {1, 2}])
def test_what_json_can_not_hold_is_refused_before_the_file_is_touched(tmp_path: Path, bad: object) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"score": 1})
    with pytest.raises((ValueError, TypeError)):
        write_json(path, {"score": bad})
    assert json.loads(path.read_text()) == {"score": 1}


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NLPTRANSFER_CACHE", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache"
    assert not (tmp_path / "cache").exists(), "whoever writes to it makes it"
    monkeypatch.setenv("NLPTRANSFER_CACHE", "")
    assert cache_folder().name == "nlptransfer"


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_lines_are_numbered_and_stripped_of_their_ends_and_of_a_byte_order_mark(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.txt{suffix}"
    # U+2028 and U+0085 end a line for str.splitlines, but not in a file.
    data = "\ufeffone\r\n\ntwo\u2028\x85 three".encode()
    path.write_bytes(gzip.compress(data) if suffix else data)
    assert list(read_lines(path)) == [(1, "one"), (2, ""), (3, "two\u2028\x85 three")]


def test_a_file_that_is_not_utf8_is_refused_with_line_and_byte(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fine\ncaf\xe9\n")
    with pytest.raises(InputError, match=r"a\.txt, line 2: the file is not UTF-8 \(byte 4 of the line is 0xe9\)"):
        list(read_lines(tmp_path / "a.txt"))


@pytest.mark.parametrize("data", [b"not gzip at all", gzip.compress(b"word\n" * 9999)[:-40]])
def test_damaged_gzip_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.gz").write_bytes(data)
    with pytest.raises(InputError, match="gzip data is damaged or cut short"):
        list(read_lines(tmp_path / "a.gz"))


def test_a_missing_file_is_told_with_its_look_alikes(tmp_path: Path) -> None:
    (tmp_path / "train.conllu").touch()
    with pytest.raises(InputError, match=r"no such file or folder.*Did you mean .*train\.conllu\?"):
        list(read_lines(tmp_path / "trian.conllu"))
    with pytest.raises(InputError, match="does not exist either"):
        list(read_lines(tmp_path / "absent" / "a.conllu"))


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").touch()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"a\.txt: the file can't be read \(Permission denied\)"):
        list(read_lines(tmp_path / "a.txt"))
