"""A small encoder without pretraining, of a kind that `transformers` loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import ModernBertForMaskedLM


def make_small_encoder(
    vocab_size: int,
    *,
    seed: int,
    num_layers: int = 6,
    hidden_dim: int = 384,
    num_heads: int | None = None,
    intermediate_dim: int | None = None,
    max_length: int = 128,
    pad_id: int = 0,
    start_id: int = 2,
    end_id: int = 3,
    dropout: float = 0.1,
) -> ModernBertForMaskedLM:
    """A ModernBERT with a masked-LM head, its weights drawn at random.

    ModernBERT and not BERT, since with its rotary positions and its normalisation before each block it begins to use
    context after far fewer steps: what counts where millions of tokens are read, and not billions. Every layer sees the
    whole input; at a few hundred tokens no local window is needed.

    Args:
        vocab_size: pieces of the vocabulary.
        seed: of the weights.
        num_layers: transformer layers.
        hidden_dim: width H.
        num_heads: attention heads, of H / num_heads each; None: one per 64 of H, as in Devlin et al.
        intermediate_dim: width of the gated feed-forward layers; None: 8 H / 3, which has the weights of 4 H without
            gates.
        max_length: tokens that it is to read.
        pad_id: of the padding.
        start_id: of the token that begins a text.
        end_id: of the token that ends it.
        dropout: of hidden states and attention in training.

    Returns:
        The model, decoder and input embeddings being one matrix.

    Raises:
        ValueError: H can't be shared out evenly among the heads.

    Reference:
        Warner et al. 2024, https://arxiv.org/abs/2412.13663; one head per 64 of H: Devlin et al. 2019,
        https://aclanthology.org/N19-1423.

    Example:
        >>> model = make_small_encoder(len(tokenizer), seed=0, num_layers=4, hidden_dim=256)
        >>> model.base_model(input_ids=ids).last_hidden_state.shape[-1]
        256
    """
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    num_heads = num_heads or max(1, hidden_dim // 64)
    if hidden_dim % (2 * num_heads):
        raise ValueError(f"hidden_dim must be an even multiple of num_heads, found {hidden_dim} and {num_heads}")
    rotary = {"rope_type": "default", "rope_theta": 10_000.0}
    config = ModernBertConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_dim,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        intermediate_size=intermediate_dim or max(16, 8 * hidden_dim // 3 // 16 * 16),
        max_position_embeddings=max_length,
        layer_types=["full_attention"] * num_layers,
        rope_parameters={"full_attention": rotary, "sliding_attention": rotary},
        pad_token_id=pad_id,
        bos_token_id=start_id,
        cls_token_id=start_id,
        eos_token_id=end_id,
        sep_token_id=end_id,
        embedding_dropout=dropout,
        attention_dropout=dropout,
        mlp_dropout=dropout,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ModernBertForMaskedLM(config)
