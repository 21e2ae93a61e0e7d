"""Several trainings at once on one machine, a process and a core each."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any

from nlptransfer.errors import InputError


def num_processes(wanted: int, jobs: int, *, device: str) -> int:
    """How many processes to use: as many as there are cores and jobs, unless told otherwise; a GPU is not shared.

    Args:
        wanted: 0 to have it decided here.
        jobs: that there are.
        device: "cpu", "cuda", "auto" and so on.
    """
    if wanted:
        return min(wanted, jobs)
    if device not in ("auto", "cpu"):
        return 1
    import torch

    return 1 if device == "auto" and torch.cuda.is_available() else min(os.cpu_count() or 1, jobs)


def run_jobs(function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], *, processes: int) -> None:
    """Call a function once per job, in several fresh processes where there is more than one.

    Args:
        function: of a module, so that a process can find it; what it gives is left behind.
        jobs: the arguments of each call.
        processes: 1 calls it here.

    Raises:
        InputError: a process was ended from outside; or what the function raises, after which no further job begins.
    """
    if processes == 1:
        for job in jobs:
            function(*job)
        return
    # Fresh processes: a forked one would inherit the threads of torch half-way through.
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_begin_process) as pool:
        waiting = [pool.submit(function, *job) for job in jobs]
        try:
            for done in as_completed(waiting):
                done.result()
        except BrokenProcessPool as error:
            raise InputError(
                "a process that trained was ended from outside, perhaps for want of memory",
                remedy="What was finished is kept: go on with --resume --processes 1.",
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # after an error the other jobs need not begin


def tell(line: str) -> None:
    """Print a line at once, also from one of several processes."""
    print(line, flush=True)


def _begin_process() -> None:
    """Make of a fresh process one of several: one thread, no bars or tracebacks among the others' lines."""
    import scipy.linalg  # noqa: F401  threadpoolctl limits what is loaded
    import sklearn.linear_model  # noqa: F401
    import threadpoolctl
    import torch

    # Several processes on all cores are faster than several that fight for all of them.
    torch.set_num_threads(1)
    threadpoolctl.threadpool_limits(1)
    sys.stderr = io.StringIO()  # errors come back to the first process
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Else a killed run would train on, and write where the resumed one does."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
