"""The small encoder has the shape that was asked for, follows from its seed, and is a model of transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nlptransfer.models.small_encoder import make_small_encoder


def test_it_has_the_shape_that_was_asked_for() -> None:
    model = make_small_encoder(50, seed=0, num_layers=3, hidden_dim=128, max_length=20, dropout=0.2)
    config = model.config
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (3, 128, 2)
    assert (config.intermediate_size, config.max_position_embeddings, config.vocab_size) == (336, 20, 50)
    assert config.embedding_dropout == config.attention_dropout == config.mlp_dropout == 0.2
    assert set(config.layer_types) == {"full_attention"}, "at this length no layer needs a window"
    other = make_small_encoder(50, seed=0, num_layers=1, hidden_dim=24, num_heads=3, intermediate_dim=30, pad_id=7)
    assert (other.config.num_attention_heads, other.config.intermediate_size, other.config.pad_token_id) == (3, 30, 7)
    with pytest.raises(ValueError, match="multiple of num_heads, found 24 and 8"):
        make_small_encoder(50, seed=0, hidden_dim=24, num_heads=8)


def test_its_weights_follow_from_the_seed_and_leave_torchs_own_draws_alone() -> None:
    state = torch.get_rng_state()
    first, again, other = (make_small_encoder(30, seed=seed, num_layers=1, hidden_dim=16) for seed in (3, 3, 4))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    assert first.decoder.weight is first.model.embeddings.tok_embeddings.weight


def test_transformers_loads_it_with_the_same_outputs(tmp_path: Path) -> None:
    from transformers import AutoModel, AutoModelForMaskedLM

    model = make_small_encoder(30, seed=0, num_layers=2, hidden_dim=16, max_length=12).eval()
    model.save_pretrained(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    ids = torch.tensor([[2, 9, 11, 3]])
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(loaded(input_ids=ids).logits, model(input_ids=ids).logits)
    encoder = AutoModel.from_pretrained(tmp_path).eval()
    states = model.base_model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(encoder(input_ids=ids).last_hidden_state, states)
