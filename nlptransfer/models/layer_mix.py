"""One vector per token from all layers of an encoder, by weights that are learned with the task."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class LayerMix(nn.Module):
    r"""The scalar mix of ELMo: a weighted mean of an encoder's layers, times one scale.

    .. math:: \mathrm{ELMo}_k = \gamma \sum_{j=0}^{L} \mathrm{softmax}(s)_j \, h_{k,j}

    The s_j start at 0 and gamma at 1, so that the mix begins as the plain mean of the layers. It has num_layers + 1
    numbers to learn, and none that depends on the token.

    Ours: as in the paper's default, layers are not normalised before they are weighed; the paper says that it helped
    in some cases. The paper's penalty on the weights is left to the optimizer's weight decay.

    Args:
        num_layers: L + 1, how many hidden states are mixed; for those that `transformers` gives with
            ``output_hidden_states=True``, the encoder's layers and one more for the embeddings below them.

    Raises:
        ValueError: `num_layers` is below 1.

    Reference:
        Peters et al. 2018, "Deep contextualized word representations", equation 1,
        https://aclanthology.org/N18-1202.

    Compare with:
        The last layer alone, which needs no hidden states to be kept; the lower layers tend to hold more of syntax,
        so that the mix is worth its memory for tagging on frozen features.

    Example:
        >>> mix = LayerMix(3)
        >>> mix(torch.randn(3, 2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """

    def __init__(self, num_layers: int) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"a mix needs at least 1 layer, not {num_layers}")
        self.scores = nn.Parameter(torch.zeros(num_layers))
        self.scale = nn.Parameter(torch.ones(()))

    def shares(self) -> torch.Tensor:
        """softmax(s): (layers,), how much each layer counts; they add up to 1."""
        return self.scores.softmax(dim=0)

    def forward(self, hidden_states: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
        """Mix the layers; of a list no stacked copy is made.

        Args:
            hidden_states: (layers, batch, time, H), or as many tensors (batch, time, H), lowest layer first.

        Returns:
            (batch, time, H), in the type of the hidden states.

        Raises:
            ValueError: there are more or fewer layers than the mix has weights.
        """
        if len(hidden_states) != len(self.scores):
            raise ValueError(f"the mix has weights for {len(self.scores)} layers and was given {len(hidden_states)}")
        # Numbers without dimensions do not raise bfloat16 states to float32.
        shares = (self.scale * self.shares()).unbind()
        mixed = shares[0] * hidden_states[0]
        for share, states in zip(shares[1:], hidden_states[1:], strict=True):
            mixed = mixed + share * states
        return mixed
