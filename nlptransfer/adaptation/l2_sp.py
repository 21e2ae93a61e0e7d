"""L2-SP: fine-tuning on a few target labels that is held near the source's weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from nlptransfer.types import Batch


def l2_sp_penalty(
    model: nn.Module,
    source_weights: Mapping[str, torch.Tensor],
    *,
    strength_shared: float,
    strength_new: float,
) -> torch.Tensor:
    r"""Squared distance to the starting point for weights that the source knew, to 0 for new ones.

    .. math:: \Omega(w) = \frac{\alpha}{2} \lVert w_S - w_S^0 \rVert_2^2 + \frac{\beta}{2} \lVert w_{\bar S} \rVert_2^2

    Args:
        model: its trainable parameters are w.
        source_weights: :math:`w_S^0`, by the names of the model's parameters; parameters it lacks are new. These must
            be copies: a `state_dict` is the model's own weights, and moves with them.
        strength_shared: :math:`\alpha`.
        strength_new: :math:`\beta`.

    Returns:
        A scalar.

    Raises:
        ValueError: a parameter's shape is not the source's.

    Reference:
        Li, Grandvalet & Davoine 2018, section 3.3, the equation of L2-SP, https://arxiv.org/abs/1802.01483.

    Compare with:
        weight decay, which pulls everything towards 0: leave it off here, the penalty takes its place.

    Example:
        >>> loss = model.loss(output, batch) + l2_sp_penalty(model, start, strength_shared=0.1, strength_new=0.01)
    """
    shared: list[torch.Tensor] = []
    new: list[torch.Tensor] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name not in source_weights:
            new.append(parameter.square().sum())
            continue
        start = source_weights[name]
        if start.shape != parameter.shape:
            raise ValueError(
                f"the source's {name} has the shape {tuple(start.shape)}, the model's {tuple(parameter.shape)}; "
                "leave it out of source_weights to have it count as new"
            )
        shared.append((parameter - start.to(parameter.device)).square().sum())
    zero = next(model.parameters()).new_zeros(())
    return strength_shared / 2 * sum(shared, zero) + strength_new / 2 * sum(new, zero)


def make_l2_sp_step(
    source_weights: Mapping[str, torch.Tensor], *, strength_shared: float, strength_new: float
) -> Callable[[Any, Batch, float], dict[str, torch.Tensor]]:
    """A step for fine-tuning on labelled target items; see `l2_sp_penalty`.

    With both strengths 0 it is plain fine-tuning, number for number.

    Args:
        source_weights: the weights after training on the source, such as ``model.state_dict()``; they are copied here.
        strength_shared: how strongly these weights are held.
        strength_new: how strongly parameters that are not among them are drawn to 0.

    Returns:
        A step for `train`, with the losses "loss", "task" and "penalty"; without the last where both strengths are 0.

    Raises:
        ValueError: a negative strength.

    Example:
        >>> step = make_l2_sp_step(network.state_dict(), strength_shared=0.1, strength_new=0.01)
        >>> train(network, step, few_target_batches, optimizer, epochs=50, seed=0)
    """
    if strength_shared < 0 or strength_new < 0:
        raise ValueError(f"strengths must be 0 or more, found {strength_shared} and {strength_new}")
    start = {name: weight.detach().clone() for name, weight in source_weights.items()}

    def step(model: Any, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        task = model.loss(model(batch), batch)
        if strength_shared == 0 and strength_new == 0:
            return {"loss": task, "task": task}
        penalty = l2_sp_penalty(model, start, strength_shared=strength_shared, strength_new=strength_new)
        return {"loss": task + penalty, "task": task, "penalty": penalty}

    return step
