"""The state of a training run in one file, written whole, read without executing anything."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import torch

from nlptransfer.errors import InputError
from nlptransfer.files import write_whole


def write_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers, strings, lists and dicts to `path`, whole or not at all.

    Raises:
        OSError: the file can't be written, or the disk is full.
    """
    with write_whole(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            # torch puts its complaint about the unfinished archive over what the system said.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def read_checkpoint(path: str | Path, *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what `write_checkpoint` wrote. Only tensors and plain values are loaded, never code.

    Raises:
        InputError: the file is not a whole checkpoint.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise
    except (
        RuntimeError,
        OSError,
        EOFError,
        LookupError,
        ValueError,
        TypeError,
        struct.error,
        pickle.UnpicklingError,
    ) as error:
        # All that torch is known to raise on a file that is cut short, altered, or something else.
        raise InputError(
            "the file is not a whole checkpoint",
            where=path,
            remedy="Delete this file: the system that it belongs to is then trained from its beginning.",
        ) from error
    return state
