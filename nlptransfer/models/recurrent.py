"""Recurrent encoders: simple RNN, GRU and LSTM, in one or both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

CellType = Literal["rnn", "gru", "lstm"]
_CELLS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentEncoder(nn.Module):
    """Stacked recurrent layers whose result at a token does not depend on the padding beside it.

    The right-to-left direction reads each sentence reversed *within its own length*, so that padding always comes
    last and never reaches a real token. This equals torch's packed sequences and trains about twice as fast on a CPU,
    because the unpacked kernels are the fast ones.

    Args:
        input_dim: size of the input features.
        hidden_dim: units per direction.
        cell: "rnn" (Elman 1990, tanh), "gru" (Cho et al. 2014) or "lstm" (Hochreiter & Schmidhuber 1997).
        num_layers: layers, each reading the one below.
        bidirectional: read in both directions and concatenate (Graves & Schmidhuber 2005).
        dropout: between layers, 0 to 1.

    Raises:
        ValueError: an unknown cell.

    Attributes:
        output_dim: `hidden_dim` times the number of directions.

    Example:
        >>> encoder = RecurrentEncoder(100, 64)
        >>> encoder(torch.randn(2, 7, 100), torch.ones(2, 7, dtype=torch.bool)).shape
        torch.Size([2, 7, 128])
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int,
        *,
        cell: CellType = "lstm",
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if cell not in _CELLS:
            raise ValueError(f"cell must be one of {', '.join(_CELLS)}; found {cell!r}")
        self.num_directions = 2 if bidirectional else 1
        self.output_dim = hidden_dim * self.num_directions
        self.directions = nn.ModuleList(
            _CELLS[cell](input_dim if layer == 0 else self.output_dim, hidden_dim, batch_first=True)
            for layer in range(num_layers)
            for _ in range(self.num_directions)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Encode a batch.

        Args:
            inputs: (batch, time, input_dim).
            mask: (batch, time), True on real tokens, which come first in each row.

        Returns:
            (batch, time, output_dim). What stands on padding is meaningless.
        """
        order = reversal(mask) if self.num_directions == 2 else None
        features = inputs
        for layer in range(0, len(self.directions), self.num_directions):
            if layer > 0:
                features = self.dropout(features)
            forward, _ = self.directions[layer](features)  # (batch, time, hidden)
            if order is None:
                features = forward
            else:
                backward, _ = self.directions[layer + 1](reorder(features, order))
                features = torch.cat([forward, reorder(backward, order)], dim=-1)  # (batch, time, 2 * hidden)
        return features


def reversal(mask: torch.Tensor) -> torch.Tensor:
    """The order that reverses each row's real tokens and leaves its padding in place.

    Doing it twice gives back the first order.

    Args:
        mask: (batch, time), True on real tokens, which come first in each row.

    Returns:
        (batch * time,) positions in the flattened batch.
    """
    batch, time = mask.shape
    steps = torch.arange(time, device=mask.device)
    lengths = mask.sum(dim=1, keepdim=True)
    within = torch.where(steps < lengths, lengths - 1 - steps, steps)  # (batch, time)
    return (within + torch.arange(batch, device=mask.device)[:, None] * time).reshape(-1)


def reorder(features: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Rows of (batch, time, dim) `features` in the order that `reversal` gave."""
    return features.reshape(-1, features.shape[-1]).index_select(0, order).view(features.shape)
