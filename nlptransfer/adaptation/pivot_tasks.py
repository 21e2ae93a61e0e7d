"""Auxiliary tasks: from a document without its pivot words, tell which kinds of pivot words it held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from nlptransfer.adaptation.domain_step import DomainStep, check_weight
from nlptransfer.data.vocabulary import UNKNOWN
from nlptransfer.training.random_streams import own_random_stream
from nlptransfer.types import Batch, DomainBatch


class PivotTasks(nn.Module):
    r"""One logistic regression per auxiliary task, on the features of documents whose pivots are hidden.

    .. math:: L = -\frac{1}{n} \sum_{i=1}^{n} \sum_{k=1}^{K} \left[ o_{ik} \log p_k(\tilde h_i)
              + (1 - o_{ik}) \log (1 - p_k(\tilde h_i)) \right]

    with :math:`o_{ik}` = 1 where document i holds a pivot of task k, and :math:`\tilde h_i` its features without them.

    Args:
        feature_dim: H.
        num_tasks: K; Yu & Jiang have two, for positive and for negative pivots.

    Reference:
        Yu & Jiang 2016, sections 3.2 and 3.4, https://aclanthology.org/D16-1023. They give the auxiliary tasks an
        encoder of their own, whose features are joined to the classifier's; here one encoder serves both, so that
        the network is the same with and without the tasks.

    Compare with:
        SCL, the same idea on fixed arrays with linear predictors of many pivots; `domain_adversarial_loss`, which
        needs no pivots.

    Example:
        >>> tasks = PivotTasks(network.feature_dim, 2)
        >>> step = make_pivot_step(tasks, [positive_pivots, negative_pivots], adaptation_weight=1.0)
        >>> train(NetworkWithParts(network, tasks), step, domain_batches, optimizer, epochs=30, seed=0)
    """

    def __init__(self, feature_dim: int, num_tasks: int) -> None:
        super().__init__()
        self.head = nn.Linear(feature_dim, num_tasks)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, H) -> (N, K) logits."""
        logits: torch.Tensor = self.head(features)
        return logits

    def loss(self, features: torch.Tensor, occurrences: torch.Tensor) -> torch.Tensor:
        """Binary cross-entropy, summed over tasks and averaged over documents.

        Args:
            features: (N, H), of documents without their pivots.
            occurrences: (N, K), 1 where the document held a pivot of the task, else 0.

        Returns:
            A scalar.
        """
        losses = functional.binary_cross_entropy_with_logits(self(features), occurrences.float(), reduction="none")
        return losses.sum(dim=1).mean()


def pivot_occurrences(batch: Batch, pivots: Sequence[Sequence[int]]) -> torch.Tensor:
    """Which documents hold a pivot of which task.

    Args:
        batch: N documents, as word ids or as a bag of words.
        pivots: for each of K tasks the input ids of its pivots.

    Returns:
        (N, K), 1.0 or 0.0.
    """
    return torch.stack([_holds(batch, ids).any(dim=1) for ids in pivots], dim=1).float()


def hide_pivots(batch: Batch, pivots: Sequence[Sequence[int]]) -> Batch:
    """The documents without their pivots: an unknown word in the place of each, or a weight of 0 in a bag of words.

    Args:
        batch: N documents.
        pivots: for each task the input ids of its pivots.

    Returns:
        A new batch of the same shape.
    """
    hidden = _holds(batch, [pivot for ids in pivots for pivot in ids])
    if batch.values is not None:
        return replace(batch, values=batch.values.masked_fill(hidden, 0.0))
    return replace(batch, input_ids=batch.input_ids.masked_fill(hidden, UNKNOWN))


def make_pivot_step(tasks: PivotTasks, pivots: Sequence[Sequence[int]], *, adaptation_weight: float) -> DomainStep:
    """A step that trains the classifier on the source and the auxiliary tasks on both domains, jointly.

    As with `make_domain_step`, a weight of 0 gives source-only's training, number for number.

    Args:
        tasks: the auxiliary heads; train them in a `NetworkWithParts`.
        pivots: for each task the input ids of its pivots: features of a bag of words, or ids of a vocabulary.
        adaptation_weight: factor on the auxiliary loss, 0 or more.

    Returns:
        A step for `train` over `DomainBatches`, with the losses "loss", "task" and "auxiliary"; without the last where
        the weight is 0.

    Raises:
        ValueError: a negative weight, or as many lists of pivots as tasks were not given, or one of them is empty.
    """
    check_weight(adaptation_weight)
    num_tasks = tasks.head.out_features
    if len(pivots) != num_tasks or not all(len(ids) for ids in pivots):
        raise ValueError(
            f"each of the {num_tasks} auxiliary tasks needs pivots; found lists of {[len(ids) for ids in pivots]}"
        )

    def step(model: Any, batch: DomainBatch, progress: float) -> dict[str, torch.Tensor]:
        source = model(batch.source)
        task = model.loss(source, batch.source)
        if adaptation_weight == 0:
            return {"loss": task, "task": task}
        with own_random_stream(task.device):
            domains = (batch.source, batch.target)
            features = torch.cat([model(hide_pivots(documents, pivots)).features for documents in domains])
        occurrences = torch.cat([pivot_occurrences(documents, pivots) for documents in domains])
        auxiliary = tasks.loss(features, occurrences)
        return {"loss": task + adaptation_weight * auxiliary, "task": task, "auxiliary": auxiliary}

    return step


def _holds(batch: Batch, ids: Sequence[int]) -> torch.Tensor:
    """(N, time), True where a pivot stands."""
    found = torch.isin(batch.input_ids, torch.as_tensor(list(ids), device=batch.input_ids.device)) & batch.mask
    return found if batch.values is None else found & (batch.values != 0)
