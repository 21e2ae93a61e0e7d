"""UDALM: an encoder learns a task from the source while it goes on to learn the target's language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from nlptransfer.finetuning.masked_lm import PROBABILITY, MaskedLMHead, masked_lm_loss
from nlptransfer.training.random_streams import own_random_stream
from nlptransfer.types import Batch, DomainBatch, ModelOutput

UdalmStep = Callable[[Any, DomainBatch, float], dict[str, torch.Tensor]]
"""A `nlptransfer.training.loop.Step` over batches of two domains."""


class ModelWithHead(nn.Module):
    """A task's model and the masked-LM head of its encoder as the one module that `train` wants.

    Args:
        model: the task's, with `encoder`, ``forward(batch)`` and ``loss(output, batch)``; it alone is evaluated and
            saved.
        head: of its encoder.
    """

    def __init__(self, model: nn.Module, head: MaskedLMHead) -> None:
        super().__init__()
        self.model = model
        self.head = head

    @property
    def encoder(self) -> nn.Module:
        """The model's encoder."""
        encoder: nn.Module = self.model.encoder  # type: ignore[assignment]
        return encoder

    def forward(self, batch: Batch) -> ModelOutput:
        """What the model gives."""
        output: ModelOutput = self.model(batch)
        return output

    def loss(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """The model's loss."""
        loss: torch.Tensor = self.model.loss(output, batch)  # type: ignore[operator]
        return loss


def make_udalm_step(
    head: MaskedLMHead,
    *,
    mask_id: int,
    special_ids: Sequence[int],
    probability: float = PROBABILITY,
    masked_lm_weight: float | None = None,
) -> UdalmStep:
    r"""A step that trains on labelled source items while the encoder goes on to learn the target's language.

    .. math:: L = \lambda L_{\text{task}}(\text{source}) + (1 - \lambda) L_{\text{MLM}}(\text{target}),
              \qquad \lambda = n / (n + m)

    with n labelled source items and m unlabelled target items in the batch. As in the paper, adapt the encoder to the
    target's text first (`adapt_by_masked_lm`). We depart in that n and m are counted anew in each batch, the last of
    an epoch being smaller, and in that several processes count them in their parts.

    The target's pass draws from a random stream of its own. With a weight of 0 the target is not read, and the training
    is that on the source alone, number for number.

    Args:
        head: of the model's encoder.
        mask_id: the mask token.
        special_ids: tokens that are never hidden.
        probability: see `mask_tokens`.
        masked_lm_weight: :math:`1 - \lambda`, from 0 to below 1; None: by the numbers of items.

    Returns:
        A step for `train` over a `ModelWithHead` and `DomainBatches`, with the losses "loss", "task" and "masked_lm";
        without the last where the weight is 0.

    Raises:
        ValueError: the weight is out of range.

    Reference:
        Karouzos et al. 2021, section 3, https://aclanthology.org/2021.naacl-main.203.

    Compare with:
        `adapt_by_masked_lm` and then plain training: the same text in two steps; the encoder may forget the first.

    Example:
        >>> mask_id, special_ids = mask_and_special_ids(tokenizer)
        >>> step = make_udalm_step(head, mask_id=mask_id, special_ids=special_ids)
        >>> train(ModelWithHead(classifier, head), step, DomainBatches(source, target), optimizer, epochs=5, seed=0)
    """
    if masked_lm_weight is not None and not 0 <= masked_lm_weight < 1:
        raise ValueError(f"masked_lm_weight must be from 0 to below 1, found {masked_lm_weight}")

    def step(model: Any, batch: DomainBatch, progress: float) -> dict[str, torch.Tensor]:
        task = model.loss(model(batch.source), batch.source)
        if masked_lm_weight == 0:
            return {"loss": task, "task": task}
        n, m = len(batch.source.input_ids), len(batch.target.input_ids)
        weight = m / (n + m) if masked_lm_weight is None else masked_lm_weight
        with own_random_stream(task.device):
            masked_lm = masked_lm_loss(
                model.encoder, head, batch.target, mask_id=mask_id, special_ids=special_ids, probability=probability
            )
        return {"loss": (1 - weight) * task + weight * masked_lm, "task": task, "masked_lm": masked_lm}

    return step
