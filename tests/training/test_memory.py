"""Peak memory is the highest reading of a block, counted from its beginning, and its thread always ends."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from nlptransfer.training import memory as memory_module
from nlptransfer.training.memory import PeakMemory

MEGABYTE = 2**20


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "PeakMemory"]


def test_what_a_block_allocates_is_counted() -> None:
    held = []
    with PeakMemory() as memory:
        held.append(np.ones(64 * MEGABYTE, dtype=np.uint8))
    assert held[0].nbytes * 0.9 < memory.gained_bytes < memory.peak_bytes


def test_what_stood_in_memory_before_the_block_is_not_counted_as_gained() -> None:
    held = np.ones(64 * MEGABYTE, dtype=np.uint8)
    with PeakMemory() as memory:
        held[:2] = 2
    assert memory.gained_bytes < held.nbytes / 2 < memory.peak_bytes


def test_a_peak_between_beginning_and_end_is_seen_by_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    level, seen = [100], threading.Event()

    def read() -> int:
        if threading.current_thread().name == "PeakMemory" and level[0] == 500:
            seen.set()
        return level[0]

    monkeypatch.setattr(memory_module, "_resident_bytes", read)
    with PeakMemory(interval=0.001) as memory:
        level[0] = 500
        assert seen.wait(60)
        level[0] = 120
    assert (memory.peak_bytes, memory.gained_bytes) == (500, 400)
    # Used again, it begins anew.
    with memory:
        pass
    assert (memory.peak_bytes, memory.gained_bytes) == (120, 0)


def test_memory_given_back_within_the_block_does_not_lower_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([300, 80])
    monkeypatch.setattr(memory_module, "_resident_bytes", lambda: next(readings))
    with PeakMemory(interval=3600) as memory:
        assert memory.peak_bytes == 300
    assert (memory.peak_bytes, memory.gained_bytes) == (300, 0)


def test_the_thread_ends_with_the_block_and_on_an_error() -> None:
    assert not watchers()
    with PeakMemory(interval=3600):
        assert len(watchers()) == 1
    assert not watchers()
    memory = PeakMemory()
    with pytest.raises(KeyError, match="lost"), memory:
        raise KeyError("lost")
    assert not watchers()
    assert memory.peak_bytes > 0


def test_on_cuda_the_peak_is_that_of_torch_counted_from_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append(f"synchronize {device}"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: calls.append(f"reset {device}"))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 1_000)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 9_000)
    with PeakMemory("cuda:1") as memory:
        assert not watchers()
    assert calls == ["synchronize cuda:1", "reset cuda:1"]
    assert (memory.peak_bytes, memory.gained_bytes) == (9_000, 8_000)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_tensor_freed_within_the_block_is_counted_on_a_gpu() -> None:
    held = torch.ones(8 * MEGABYTE, dtype=torch.uint8, device="cuda")
    with PeakMemory("cuda") as memory:
        passing = torch.ones(32 * MEGABYTE, dtype=torch.uint8, device="cuda")
        del passing
    assert memory.gained_bytes == 32 * MEGABYTE
    assert memory.peak_bytes >= memory.gained_bytes + held.nbytes


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0, not 0"):
        PeakMemory(interval=0)
