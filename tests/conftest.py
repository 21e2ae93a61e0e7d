"""Shared by all tests: the real data where it is at hand, and a cache of their own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def real_data() -> Path:
    """The first folder of NLPTRANSFER_DATA. Tests that use it carry the marker `data`."""
    folders = [Path(name) for name in os.environ.get("NLPTRANSFER_DATA", "").split(os.pathsep) if name]
    for folder in folders:
        if folder.is_dir():
            return folder.resolve()
    message = "NLPTRANSFER_DATA names no folder with the real corpora"
    if os.environ.get("NLPTRANSFER_REQUIRE_DATA") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test caches in a folder of its own, so that none sees what another, or a user, left behind."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("NLPTRANSFER_CACHE", str(folder))
    return folder


@pytest.fixture
def make_bert(tmp_path: Path) -> Callable[..., Path]:
    """Makes the folder of an untrained BERT, 8 wide, whose tokenizer knows the words it is given."""

    def made(words: list[str], *, num_layers: int, max_length: int, initializer_range: float = 0.5) -> Path:
        import torch
        from transformers import BertConfig, BertModel, BertTokenizerFast

        folder = tmp_path / "tiny"
        folder.mkdir()
        (folder / "words.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
        tokenizer = BertTokenizerFast(vocab=str(folder / "words.txt"), model_max_length=max_length)
        tokenizer.save_pretrained(folder)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=8,
            num_hidden_layers=num_layers,
            num_attention_heads=2,
            intermediate_size=12,
            max_position_embeddings=max_length,
            initializer_range=initializer_range,
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            BertModel(config).save_pretrained(folder)
        (folder / "words.txt").unlink()
        return folder

    return made
