"""Random numbers drawn on the side, so that those of the main computation stay what they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_random_stream(device: torch.device) -> Iterator[None]:
    """Within it torch draws other numbers than after it; after it, those that would have come without it.

    Args:
        device: where the numbers are drawn.

    Example:
        >>> with own_random_stream(loss.device):
        ...     target = model(batch.target)  # its dropout is its own
    """
    devices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        # Without a new seed the source's next batch would draw the very numbers that the target's batch drew. It is
        # drawn where dropout draws, since elsewhere the stream stands still from batch to batch.
        torch.manual_seed(int(torch.randint(2**62, (), device=device)))
        yield
