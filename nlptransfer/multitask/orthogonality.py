"""A loss that keeps two sets of features from saying the same."""

from __future__ import annotations

import torch


def orthogonality_loss(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    r"""The squared Frobenius norm of the two sets' mean products.

    .. math:: L_{\text{diff}} = \Big\lVert \frac{1}{N} S^\top H \Big\rVert_F^2

    Ours: the paper sums over the N rows; divided by N, the weight of this loss does not hang on the batch's size.

    Args:
        first: (N, D), S, one row per word or text.
        second: (N, E), H.

    Returns:
        A scalar; 0 where there are no rows.

    Reference:
        Liu et al. 2017, section 5.3, https://aclanthology.org/P17-1001; after Bousmalis et al. 2016, equation 5,
        https://arxiv.org/abs/1608.06019.

    Example:
        >>> orthogonality_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
        tensor(4.)
    """
    return (first.T @ second / max(len(first), 1)).square().sum()
