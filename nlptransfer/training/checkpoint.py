"""The state of a training run in one file, written whole, read without executing anything."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from nlptransfer.errors import InputError
from nlptransfer.files import write_whole


def write_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers, strings, lists and dicts to `path`, whole or not at all."""
    with write_whole(path) as temporary:
        torch.save(state, temporary)


def read_checkpoint(path: str | Path, *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what `write_checkpoint` wrote. Only tensors and plain values are loaded, never code.

    Raises:
        InputError: the file is not a whole checkpoint.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"the checkpoint can't be read ({error})".splitlines()[0],
            where=path,
            remedy="Delete this file: the system that it belongs to is then trained from its beginning.",
        ) from error
    return state
