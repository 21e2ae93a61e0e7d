"""Pooling against loops over the real tokens."""

from __future__ import annotations

import numpy as np
import torch

from nlptransfer.models.pooling import AttentionPooling, max_pooling, mean_pooling
from nlptransfer.training.seeding import seeded

LENGTHS = [3, 1, 4]


def make_states() -> tuple[torch.Tensor, torch.Tensor]:
    states = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mask = torch.arange(4) < torch.tensor(LENGTHS)[:, None]
    states[~mask] = torch.nan  # what stands on padding is meaningless
    return states, mask


def test_max_and_mean_are_those_of_the_real_tokens() -> None:
    states, mask = make_states()
    for row, length in enumerate(LENGTHS):
        assert torch.equal(max_pooling(states, mask)[row], states[row, :length].max(dim=0).values)
        assert torch.allclose(mean_pooling(states, mask)[row], states[row, :length].mean(dim=0))


def test_attention_is_the_papers_weighted_mean() -> None:
    states, mask = make_states()
    with seeded(0):
        pooling = AttentionPooling(5).double()
    pooled = pooling(states, mask).detach().numpy()
    weight, bias = pooling.transform.weight.detach().numpy(), pooling.transform.bias.detach().numpy()
    query = pooling.query.weight.detach().numpy()[0]
    for row, length in enumerate(LENGTHS):
        tokens = states[row, :length].numpy()
        exponentials = [np.exp(np.tanh(weight @ token + bias) @ query) for token in tokens]
        expected = sum(e / sum(exponentials) * token for e, token in zip(exponentials, tokens, strict=True))
        np.testing.assert_allclose(pooled[row], expected, atol=1e-6)


def test_no_gradient_comes_from_padding() -> None:
    states, mask = make_states()
    with seeded(0):
        pooling = AttentionPooling(5).double()
    for pool in (pooling, max_pooling, mean_pooling):
        leaf = states.nan_to_num(7.0).requires_grad_()
        pool(leaf, mask).sum().backward()
        assert leaf.grad is not None and (leaf.grad[~mask] == 0).all() and (leaf.grad[mask] != 0).any()
