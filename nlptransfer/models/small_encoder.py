"""A small encoder without pretraining, of a kind that `transformers` loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import BertForMaskedLM


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
    dropout: float = 0.1,
) -> BertForMaskedLM:
    """A BERT with a masked-LM head, its weights drawn at random.

    BERT and not a newer kind, since every version of `transformers` and every export knows it, and since at 128 tokens
    its learnt positions cost nothing. Attention is torch's own fused one, on the CPU too.

    Args:
        vocab_size: pieces of the vocabulary.
        seed: of the weights.
        num_layers: transformer layers.
        hidden_dim: width H.
        num_heads: attention heads, of H / num_heads each; None: one per 64 of H, as in Devlin et al.
        intermediate_dim: width of the feed-forward layers; None: 4 H.
        max_length: tokens that it can read.
        pad_id: of the padding.
        dropout: of hidden states and attention in training.

    Returns:
        The model, decoder and input embeddings being one matrix.

    Raises:
        ValueError: H can't be shared out evenly among the heads.

    Reference:
        Devlin et al. 2019, https://aclanthology.org/N19-1423; small ones: Turc et al. 2019,
        https://arxiv.org/abs/1908.08962.

    Example:
        >>> model = make_small_encoder(len(tokenizer), seed=0, num_layers=4, hidden_dim=256)
        >>> model.bert(input_ids=ids).last_hidden_state.shape[-1]
        256
    """
    from transformers import BertConfig, BertForMaskedLM

    num_heads = num_heads or max(1, hidden_dim // 64)
    if hidden_dim % num_heads:
        raise ValueError(f"hidden_dim must be a multiple of num_heads, found {hidden_dim} and {num_heads}")
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_dim,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        intermediate_size=intermediate_dim or 4 * hidden_dim,
        max_position_embeddings=max_length,
        pad_token_id=pad_id,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BertForMaskedLM(config)
