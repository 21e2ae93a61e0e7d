"""The step that adds an alignment loss between two domains' features to the source's task loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from nlptransfer.training.random_streams import own_random_stream
from nlptransfer.types import Batch, DomainBatch, ModelOutput

AlignmentLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(source features (N, H), target features (M, H)) -> scalar."""

DomainStep = Callable[[Any, DomainBatch, float], dict[str, torch.Tensor]]
"""A `nlptransfer.training.loop.Step` over batches of two domains."""


def adversarial_ramp(progress: float) -> float:
    r"""From 0 up to 1 over a run, steeply at first, so that early, meaningless features are not aligned.

    .. math:: \lambda_p = \frac{2}{1 + \exp(-10 p)} - 1

    Args:
        progress: p, the share of the run that is done, 0 to 1.

    Returns:
        The factor on the adaptation weight, 0 to 1.

    Reference:
        Ganin et al. 2016, section 5.2.2, https://jmlr.org/papers/v17/15-239.html.
    """
    return 2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0


def make_domain_step(
    alignment_loss: AlignmentLoss,
    *,
    adaptation_weight: float,
    ramp: Callable[[float], float] = adversarial_ramp,
) -> DomainStep:
    r"""A step that trains on labelled source items while it draws the two domains' features together.

    .. math:: L = L_{\text{task}}(\text{source}) + \lambda \, f(p) \, L_{\text{align}}(h_S, h_T)

    The target's pass draws its dropout from a stream of its own, so that the source's is what it would be without
    adaptation. With a weight of 0 the target is not read, and the training is source-only's, number for number.

    Args:
        alignment_loss: such as `mmd_loss`, `coral_loss`, or `domain_adversarial_loss` with its discriminator.
        adaptation_weight: :math:`\lambda`, 0 or more.
        ramp: f, progress in 0..1 -> factor on the weight.

    Returns:
        A step for `train` over `DomainBatches`, with the losses "loss", "task" and "alignment"; without the last
        where the weight is 0. A batch with fewer than two items of a domain says nothing about a distribution: its
        alignment is 0.

    Raises:
        ValueError: a negative weight.

    Example:
        >>> step = make_domain_step(mmd_loss, adaptation_weight=1.0)
        >>> train(network, step, DomainBatches(source_batches, target_batches), optimizer, epochs=30, seed=0)
    """
    check_weight(adaptation_weight)

    def step(model: Any, batch: DomainBatch, progress: float) -> dict[str, torch.Tensor]:
        source = model(batch.source)
        task = model.loss(source, batch.source)
        if adaptation_weight == 0:
            return {"loss": task, "task": task}
        if min(len(batch.source.input_ids), len(batch.target.input_ids)) < 2:
            return {"loss": task, "task": task, "alignment": torch.zeros_like(task)}
        with own_random_stream(task.device):
            target = model(batch.target)
            # Distances and covariances need more digits than half precision has.
            with torch.autocast(task.device.type, enabled=False):
                alignment = alignment_loss(source.features.float(), target.features.float())
        loss = task + adaptation_weight * ramp(progress) * alignment
        return {"loss": loss, "task": task, "alignment": alignment}

    return step


class NetworkWithParts(nn.Module):
    """A network together with the modules that only its training needs, such as a domain discriminator.

    `train` moves, checkpoints and resumes what it is given: it is given this, the optimizer its parameters, and the
    network alone is evaluated and saved.

    Args:
        network: the model; it does all the work.
        part: what else is trained.

    Example:
        >>> whole = NetworkWithParts(network, discriminator)
        >>> train(whole, step, batches, torch.optim.AdamW(whole.parameters()), epochs=30, seed=0)
    """

    def __init__(self, network: nn.Module, part: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.part = part

    @property
    def encoder(self) -> nn.Module:
        """The network's, where it has one."""
        encoder: nn.Module = self.network.encoder  # type: ignore[assignment]
        return encoder

    def forward(self, batch: Batch) -> ModelOutput:
        """What the network gives."""
        output: ModelOutput = self.network(batch)
        return output

    def loss(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """The network's loss."""
        loss: torch.Tensor = self.network.loss(output, batch)  # type: ignore[operator]
        return loss


def check_weight(adaptation_weight: float) -> None:
    """Refuse a weight that is negative or no number."""
    if not 0 <= adaptation_weight < math.inf:
        raise ValueError(f"adaptation_weight must be a number from 0 on, found {adaptation_weight}")
