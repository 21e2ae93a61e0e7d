"""Representation and classification at once: one loss that reconstructs both domains and classifies the source."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from nlptransfer.adaptation.domain_step import DomainStep
from nlptransfer.models.noise import corrupt_batch
from nlptransfer.models.sampled_reconstruction import reconstruction_share
from nlptransfer.training.random_streams import own_random_stream
from nlptransfer.training.schedules import linear
from nlptransfer.types import DomainBatch


class ReconstructionDecoder(nn.Module):
    r"""From hidden features back to a domain's input: :math:`z = h V^\top + c_d`.

    With V the network's own first layer the weights are tied: what a word adds to a hidden unit is what that unit adds
    to the word. So a word that only the target has takes its part in the classification as soon as it is reconstructed,
    and there are hardly more weights to learn. A parameter of its own for V leaves them untied.

    Each domain has an intercept of its own, at first its mean row. Else the features would have to tell which domain a
    row is from, before all that is common, and the units that do so shift the target's decisions to one class.

    Args:
        weight: V, (D, H): `BagOfWordsNetwork.hidden_weight` to tie, or another parameter.
        source_mean: (D,) the mean of the source's rows.
        target_mean: (D,) the mean of the target's rows.

    Raises:
        ValueError: a mean row has not D values.

    Example:
        >>> decoder = ReconstructionDecoder(network.hidden_weight, source.mean(axis=0), target.mean(axis=0))
    """

    def __init__(self, weight: nn.Parameter, source_mean: ArrayLike, target_mean: ArrayLike) -> None:
        super().__init__()
        self.weight = weight
        self.source_bias = nn.Parameter(_intercept(weight, source_mean))
        self.target_bias = nn.Parameter(_intercept(weight, target_mean))

    def loss(
        self, source_features: torch.Tensor, target_features: torch.Tensor, batch: DomainBatch, *, num_sampled: int
    ) -> torch.Tensor:
        r"""The squared error of reconstructing the rows, as a share of their squared length; the mean of the domains'.

        .. math:: R = \frac12 \sum_{d \in \{S, T\}}
                  \frac{\sum_i \lVert x_{di} - z_{di} \rVert^2}{\sum_i \lVert x_{di} \rVert^2}

        estimated as in `reconstruction_share`; from all columns where the rows are dense. As a share it asks for
        the same weight whatever the features' scale, and for a domain of long documents as for one of short ones.

        Args:
            source_features: h, (N, H), of the source's corrupted rows.
            target_features: (M, H), of the target's.
            batch: x, the N and M clean rows, sparse or dense.
            num_sampled: how many of the columns that no row of a domain lists are drawn.

        Returns:
            A scalar: 0 for a perfect reconstruction, 1 for one that is 0 everywhere. Rows that are all empty have no
            length, and their mean squared error counts as it is.
        """
        weight, number = self.weight, num_sampled
        source = reconstruction_share(source_features, weight, self.source_bias, batch.source, num_sampled=number)
        target = reconstruction_share(target_features, weight, self.target_bias, batch.target, num_sampled=number)
        return (source + target) / 2


def make_reconstruction_step(
    decoder: ReconstructionDecoder,
    *,
    reconstruction_weight: float,
    corruption: float = 0.8,
    num_sampled: int = 500,
    schedule: Callable[[float], float] = linear,
) -> DomainStep:
    r"""A step that trains the classifier on the source and, from the same features, a denoiser of both domains.

    .. math:: L = L_{\text{task}}(\text{source}) + \lambda \, f(p) \, R

    with R the decoder's loss: of both domains' clean rows, given the features of rows of which masking noise has hidden
    a part. To reconstruct a hidden word the features have to hold what stands beside it, and so words of the target
    come to share features with the words of the source that are used like them.

    The weight falls in the course of the run: first the representation is learnt, with the classifier in attendance,
    and in the end the classifier decides. The reconstructions draw noise and dropout from a stream of their own; with a
    weight of 0 the target is not read, and the training is source-only's, number for number.

    Args:
        decoder: reconstructs; train it with the network in a `NetworkWithParts`.
        reconstruction_weight: :math:`\lambda`, 0 or more.
        corruption: which share of the features is hidden, 0 to 1.
        num_sampled: for sparse rows, how many of the columns that no row of a batch lists are reconstructed.
        schedule: f, progress in 0..1 -> factor on the weight.

    Returns:
        A step for `train` over `DomainBatches` of features, with the losses "loss", "task" and "reconstruction";
        without the last where the weight is 0.

    Raises:
        ValueError: a weight that is negative or no number, or a corruption that is no share; from the step, batches
            that are no bags of words.

    Reference:
        Weston, Ratle & Collobert 2008, section 3 (an unsupervised loss beside the classifier's, trained at once),
        https://doi.org/10.1145/1390156.1390303; Ghifary et al. 2016 (DRCN), section 3, https://arxiv.org/abs/1607.03516.
        DRCN reconstructs the target alone, in turn with classifying the source and at a fixed trade-off, through a deep
        convolutional encoder and a decoder of its own weights. Here both domains are reconstructed in one step with the
        classification, each with an intercept of its own, the error is a share of the input, the weights are tied, and
        the trade-off is annealed.

    Compare with:
        `MarginalizedDenoising`, learnt before the classifier and in closed form; `make_pivot_step`, which predicts a
        few chosen words.

    Example:
        >>> decoder = ReconstructionDecoder(network.hidden_weight, source.mean(axis=0), target.mean(axis=0))
        >>> step = make_reconstruction_step(decoder, reconstruction_weight=100.0)
        >>> train(NetworkWithParts(network, decoder), step, domain_batches, optimizer, epochs=20, seed=0)
    """
    if not 0 <= reconstruction_weight < math.inf:
        raise ValueError(f"reconstruction_weight must be a number from 0 on, found {reconstruction_weight}")
    if not 0 <= corruption <= 1:
        raise ValueError(f"corruption must be from 0 to 1, found {corruption}")

    def step(model: Any, batch: DomainBatch, progress: float) -> dict[str, torch.Tensor]:
        source = model(batch.source)
        task = model.loss(source, batch.source)
        if reconstruction_weight == 0:
            return {"loss": task, "task": task}
        with own_random_stream(task.device):
            hidden = [
                model(corrupt_batch(rows, "masking", corruption)).features for rows in (batch.source, batch.target)
            ]
            with torch.autocast(task.device.type, enabled=False):
                reconstruction = decoder.loss(hidden[0].float(), hidden[1].float(), batch, num_sampled=num_sampled)
        loss = task + reconstruction_weight * schedule(progress) * reconstruction
        return {"loss": loss, "task": task, "reconstruction": reconstruction}

    return step


def _intercept(weight: torch.Tensor, mean: ArrayLike) -> torch.Tensor:
    values = torch.tensor(np.asarray(mean).ravel(), dtype=weight.dtype, device=weight.device)
    if values.shape != weight.shape[:1]:
        raise ValueError(f"a mean row has {len(weight)} values, one per feature; found {len(values)}")
    return values
