"""A checkpoint reads back exactly, executes nothing, and a damaged one says which file it is."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nlptransfer.errors import InputError
from nlptransfer.training.checkpoint import read_checkpoint, write_checkpoint


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def make_state() -> dict[str, Any]:
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    layer(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    return {
        "model": layer.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": [{"epoch": 1, "loss": 0.1 + 0.2, "score": 0.5}],
        "best_score": float("-inf"),
        "best_weights": None,
    }


def test_what_was_written_is_read_bit_for_bit(tmp_path: Path) -> None:
    state = make_state()
    write_checkpoint(tmp_path / "run" / "state.pt", state)
    read = read_checkpoint(tmp_path / "run" / "state.pt")
    assert all(torch.equal(read["model"][name], tensor) for name, tensor in state["model"].items())
    assert read["history"] == state["history"] and read["best_score"] == float("-inf")
    assert read["best_weights"] is None
    for number, moments in state["optimizer"]["state"].items():
        for name, tensor in moments.items():
            assert torch.equal(read["optimizer"]["state"][number][name], tensor)
    assert names_in(tmp_path / "run") == ["state.pt"]


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:1],
        lambda whole: whole[:100],
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-1],
        lambda whole: b"just some text\n",
        lambda whole: "Größe आम\n".encode() * 50,
        lambda whole: b"\x00" * 1000,
        lambda whole: bytes(range(256)) * 20,
        lambda whole: pickle.dumps([1, 2, 3]),
        lambda whole: pickle.dumps({"model": 1}, protocol=4),
    ],
    ids=["empty", "1 byte", "100 bytes", "half", "last byte", "text", "utf8", "zeros", "bytes", "pickle", "pickle4"],
)
def test_a_damaged_checkpoint_is_an_input_error_that_names_the_file(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "state.pt"
    write_checkpoint(path, make_state())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value) and "Delete this file" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_whatever_is_in_the_file_it_is_read_or_refused_by_name(tmp_path: Path) -> None:
    """Random bytes, random text, and a checkpoint with some bytes altered: torch has many ways to stumble over them."""
    path = tmp_path / "state.pt"
    write_checkpoint(path, make_state())
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    random = np.random.default_rng(0)
    escaped: dict[str, int] = {}
    for number in range(450):
        if number % 3 == 0:
            content = random.integers(0, 256, random.integers(1, 200), dtype=np.uint8)
        elif number % 3 == 1:
            content = random.integers(32, 127, random.integers(1, 200), dtype=np.uint8)
        else:
            content = whole.copy()
            content[random.integers(0, len(content), 3)] = random.integers(0, 256, 3)
        path.write_bytes(content.tobytes())
        try:
            read_checkpoint(path)
        except InputError as error:
            assert str(path) in str(error)
        except Exception as error:  # noqa: BLE001 - which ones get through is what the test reports
            escaped[type(error).__name__] = escaped.get(type(error).__name__, 0) + 1
    assert escaped == {}


class Trap:
    """An object whose unpickling would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_checkpoint_never_runs_code(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({"model": Trap(tmp_path / "trapped")}, path)
    with pytest.raises(InputError, match=r"state\.pt"):
        read_checkpoint(path)
    assert not (tmp_path / "trapped").exists()


def test_a_full_disk_is_an_os_error_and_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits are those of POSIX")
    path = tmp_path / "state.pt"
    write_checkpoint(path, {"history": [1]})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # no file may grow beyond it
    try:
        with pytest.raises(OSError):
            write_checkpoint(path, {"model": torch.zeros(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_checkpoint(path) == {"history": [1]}
    assert names_in(tmp_path) == ["state.pt"]


def test_a_state_that_can_not_be_saved_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    write_checkpoint(path, {"history": [1]})
    with pytest.raises((AttributeError, pickle.PicklingError)):
        write_checkpoint(path, {"history": lambda: None})
    assert read_checkpoint(path) == {"history": [1]}
    assert names_in(tmp_path) == ["state.pt"]
