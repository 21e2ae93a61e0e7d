"""A tiny encoder, untrained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

WORDS = ["a", "good", "book", "dull", "and", "bad", "read", "##s", "not", "the", "was", "film"]


@pytest.fixture
def tiny(make_bert: Callable[..., Path]) -> Path:
    """The folder of a BERT of three layers, 8 wide, that reads at most 32 tokens."""
    return make_bert(WORDS, num_layers=3, max_length=32, initializer_range=0.2)
