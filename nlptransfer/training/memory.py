"""How much memory a stretch of a run takes at its highest."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from types import TracebackType

import psutil  # type: ignore[import-untyped]
import torch


class PeakMemory:
    """The most memory in use at one time while a block runs, and how far that is above what was in use before it.

    On a CUDA device it is what this process's tensors take there, as torch counts it: exact, without what the driver
    and torch's cache hold beside them. The count of the peak is reset when the block begins, so that blocks on CUDA
    can't stand inside each other.

    Everywhere else it is the resident set of this process, all that it holds in the machine's memory, the interpreter
    and libraries included. That has limits:

    - It is read when the block begins, when it ends, and by a thread every `interval` seconds in between. A peak
      shorter than that can be missed, and so can one within a single call that does not let other threads of Python
      run; the operations of torch do.
    - Memory that was freed before the block is given back first where the allocator can do so (glibc's can). What it
      keeps all the same a block can use again without gaining any: of two equal blocks the second may show less. To
      compare them beyond doubt, run each in a process of its own.
    - Other processes, workers of a data loader among them, are not counted, nor is what the driver of an Apple GPU
      holds outside the process.

    Args:
        device: where the work is done: "cpu", "mps", "cuda", "cuda:1".
        interval: seconds between two readings; not used on CUDA.

    Raises:
        ValueError: `interval` is not above 0.

    Compare with: ``torch.profiler``, which tells which operation allocated what, and slows the run down.

    Example:
        >>> with PeakMemory() as memory:
        ...     numbers = torch.ones(25_000_000)
        >>> memory.gained_bytes > 90_000_000
        True
    """

    def __init__(self, device: str | torch.device = "cpu", *, interval: float = 0.01) -> None:
        if not interval > 0:
            raise ValueError(f"the interval is a number of seconds above 0, not {interval}")
        self.device = torch.device(device)
        self.interval = interval
        self._at_start = 0
        self._peak = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def peak_bytes(self) -> int:
        """The most in use at one time, in bytes; final once the block has ended, 0 before it begins."""
        return self._peak

    @property
    def gained_bytes(self) -> int:
        """`peak_bytes` less what was in use when the block began."""
        return self._peak - self._at_start

    def __enter__(self) -> PeakMemory:
        """Begin to measure."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            self._at_start = self._peak = torch.cuda.memory_allocated(self.device)
            return self
        self._ended.clear()
        _give_back_what_is_free()
        self._at_start = self._peak = _resident_bytes()
        self._thread = threading.Thread(target=self._watch, name="PeakMemory", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the measurement, on an error too; the error goes on."""
        if self.device.type == "cuda":
            self._peak = torch.cuda.max_memory_allocated(self.device)
            return
        assert self._thread is not None
        self._ended.set()
        self._thread.join()
        self._thread = None
        self._peak = max(self._peak, _resident_bytes())

    def _watch(self) -> None:
        while not self._ended.wait(self.interval):
            self._peak = max(self._peak, _resident_bytes())


def _give_back_what_is_free() -> None:
    """Have the allocator return memory that is free, so that a block that uses it again gains it anew (glibc only)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _resident_bytes() -> int:
    """The resident set of this process."""
    return int(psutil.Process().memory_info().rss)
