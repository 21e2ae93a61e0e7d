"""A seed for code that draws from the global generators."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block the global generators of Python, numpy and torch follow from `seed`; then they are as before.

    For code of others that draws from global generators, such as layer initialisation in torch.

    Args:
        seed: from 0 to 2**32 - 1.

    Example:
        >>> with seeded(0):
        ...     layer = nn.Linear(3, 2)
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
