"""From one vector per token to one per document, over real tokens only."""

from __future__ import annotations

import torch
from torch import nn


class AttentionPooling(nn.Module):
    r"""A mean in which a learned query says how much each token counts.

    .. math::
        u_t = \tanh(W h_t + b), \qquad \alpha_t = \frac{\exp(u_t^\top u_w)}{\sum_{t'} \exp(u_{t'}^\top u_w)}, \qquad
        s = \sum_t \alpha_t h_t

    Args:
        dim: size of :math:`h_t`, and of :math:`u_t`.

    Reference:
        Yang et al. 2016, equations 5-7, https://aclanthology.org/N16-1174.

    Compare with:
        `max_pooling`, which has no weights and is faster; prefer attention for long documents.

    Example:
        >>> AttentionPooling(8)(torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)).shape
        torch.Size([2, 8])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.transform = nn.Linear(dim, dim)
        self.query = nn.Linear(dim, 1, bias=False)

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Pool a batch whose rows have a real token each.

        Args:
            states: (batch, time, dim).
            mask: (batch, time), True on real tokens.

        Returns:
            (batch, dim).
        """
        scores = self.query(self.transform(states).tanh()).squeeze(-1).float()  # (batch, time)
        shares = scores.masked_fill(~mask, -torch.inf).softmax(dim=1)
        return (shares[..., None] * states.masked_fill(~mask[..., None], 0.0)).sum(dim=1)


def max_pooling(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The maximum of each dimension over the real tokens: (batch, time, dim), (batch, time) -> (batch, dim)."""
    return states.masked_fill(~mask[..., None], -torch.inf).amax(dim=1)


def mean_pooling(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean of each dimension over the real tokens: (batch, time, dim), (batch, time) -> (batch, dim)."""
    return states.masked_fill(~mask[..., None], 0.0).sum(dim=1) / mask.sum(dim=1, keepdim=True)
