"""Search order, and downloads against a server on this machine."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nlptransfer.data import fetching
from nlptransfer.errors import InputError

CONLLU = b"1\tHello\thello\tINTJ\tUH\t_\t0\troot\t_\t_\n\n"
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Starts servers that hold the files given, and says their address; `stall` sends half a file and waits."""
    servers = []

    def start(files: dict[str, bytes], *, stall: bool = False, cut: bool = False) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if stall or cut:
                    self.wfile.write(body[: len(body) // 2])
                    self.wfile.flush()
                    if stall:
                        time.sleep(30)
                else:
                    self.wfile.write(body)

            def do_HEAD(self) -> None:
                self.send_error(404)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_file_is_fetched_whole_and_its_checksum_recorded(serve: Callable[..., str], tmp_path: Path) -> None:
    digest = hashlib.sha256(CONLLU).hexdigest()
    path = fetching.fetch_file(serve({"/a": CONLLU}) + "/a", tmp_path / "new" / "a.conllu", sha256=digest)
    assert path.read_bytes() == CONLLU
    assert (tmp_path / "new" / "a.conllu.sha256").read_text() == digest + "\n"
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["a.conllu", "a.conllu.sha256"]
    assert fetching.check_file(path) == path


def test_another_checksum_is_refused_and_nothing_is_kept(serve: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"Expected sha256 {'0' * 64}; found {hashlib.sha256(CONLLU).hexdigest()}"):
        fetching.fetch_file(serve({"/a": CONLLU}) + "/a", tmp_path / "a.conllu", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_changed_after_its_download_is_noticed(serve: Callable[..., str], tmp_path: Path) -> None:
    path = fetching.fetch_file(serve({"/a": CONLLU}) + "/a", tmp_path / "a.conllu")
    path.write_bytes(CONLLU + b" ")
    with pytest.raises(InputError, match=r"has changed since it was downloaded.*Delete it"):
        fetching.check_file(path)


def test_a_broken_connection_leaves_no_file(serve: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match="broken off"):
        fetching.fetch_file(serve({"/a": CONLLU * 99}, cut=True) + "/a", tmp_path / "a.conllu")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_download_leaves_no_file_of_that_name_and_can_be_repeated(
    serve: Callable[..., str], tmp_path: Path
) -> None:
    body = CONLLU * 20_000
    code = (
        "import sys; from pathlib import Path; from nlptransfer.data.fetching import fetch_file;"
        "fetch_file(sys.argv[1], Path(sys.argv[2]))"
    )
    path = tmp_path / "x-ud-train.conllu"
    address = serve({"/a": body}, stall=True) + "/a"
    process = subprocess.Popen([sys.executable, "-c", code, address, str(path)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not any(entry.stat().st_size for entry in tmp_path.iterdir()):
        time.sleep(0.05)
    assert any(entry.stat().st_size for entry in tmp_path.iterdir()), "the download never started"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()
    fetching.fetch_file(serve({"/a": body}) + "/a", path)
    assert path.read_bytes() == body


def test_a_missing_file_and_a_missing_server_are_told_apart(serve: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file there"):
        fetching.fetch_file(serve({}) + "/a", tmp_path / "a")
    started = time.monotonic()
    with pytest.raises(ConnectionError, match="no connection"):
        fetching.fetch_file(NOBODY + "/a", tmp_path / "a")
    assert time.monotonic() - started < 5


def test_reachability_is_an_answer_of_any_kind(serve: Callable[..., str]) -> None:
    assert fetching.unreachable(serve({})) is None
    assert fetching.unreachable(NOBODY) == f"{NOBODY} (no connection)"


def test_a_treebank_comes_from_its_commit_and_is_compared_with_its_checksum(
    serve: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = fetching.Release("abc", {"test": hashlib.sha256(CONLLU).hexdigest()})
    monkeypatch.setitem(fetching.TREEBANKS, "UD_French-Toy", release)
    address = serve({"/UD_French-Toy/abc/fr_toy-ud-test.conllu": CONLLU})
    path = fetching.fetch_treebank_file("UD_French-Toy", "test", tmp_path, base_url=address)
    assert path == tmp_path / "fr_toy-ud-test.conllu"
    with pytest.raises(FileNotFoundError, match="no train split"):
        fetching.fetch_treebank_file("UD_French-Toy", "train", tmp_path, base_url=address)


def test_a_treebank_of_an_unknown_language_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="file names of this treebank are not known"):
        fetching.fetch_treebank_file("UD_Klingon-KLI", "test", tmp_path, base_url=NOBODY)


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_an_nltk_package_is_private_enough_for_nltk_under_any_umask(
    serve: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fetching.NLTK_PACKAGES, "corpora/treebank", hashlib.sha256(b"zip").hexdigest())
    address = serve({f"/{fetching.NLTK_COMMIT}/packages/corpora/treebank.zip": b"zip"})
    mask = os.umask(0o002)
    try:
        path = fetching.fetch_nltk_package("corpora/treebank", tmp_path, base_url=address)
    finally:
        os.umask(mask)
    assert path == tmp_path / "corpora" / "treebank.zip"
    assert path.stat().st_mode & 0o022 == 0


@pytest.mark.data
def test_the_registered_checksums_are_those_of_the_files_at_hand(real_data: Path) -> None:
    checked = 0
    for package, digest in fetching.NLTK_PACKAGES.items():
        assert hashlib.sha256((real_data / "nltk_data" / f"{package}.zip").read_bytes()).hexdigest() == digest
        checked += 1
    for name, release in fetching.TREEBANKS.items():
        for split, digest in release.sha256.items():
            if digest is not None:
                (path,) = (real_data / "ud" / name).glob(f"*-ud-{split}.conllu")
                assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
                checked += 1
    assert checked == 18


def test_folders_are_searched_in_the_documented_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    monkeypatch.setenv("NLPTRANSFER_DATA", os.pathsep.join(["/one", "", "/two"]))
    assert fetching.data_folders(tmp_path) == [tmp_path, Path("/one"), Path("/two"), own_cache]


def test_a_named_data_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data folder does not exist"):
        fetching.data_folders(tmp_path / "absent")
