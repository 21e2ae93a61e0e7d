"""Tiny encoders, untrained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

WORDS = ["a", "good", "book", "dull", "and", "bad", "read", "##s", "##ing", "not", "the", "was", "film"]


@pytest.fixture
def tiny(make_bert: Callable[..., Path]) -> Path:
    """The folder of a BERT of two layers, 8 wide, that reads at most 32 tokens; its tokenizer knows few words."""
    return make_bert(WORDS, num_layers=2, max_length=32)
