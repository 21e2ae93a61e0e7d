"""Tiny encoders, untrained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

WORDS = ["a", "good", "book", "dull", "and", "bad", "read", "##s", "##ing", "not", "the", "was", "film"]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The folder of a BERT of two layers, 8 wide, that reads at most 32 tokens; its tokenizer knows few words."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "words.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    tokenizer = BertTokenizerFast(vocab=str(folder / "words.txt"), model_max_length=32)
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=32,
        initializer_range=0.5,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    (folder / "words.txt").unlink()
    return folder
