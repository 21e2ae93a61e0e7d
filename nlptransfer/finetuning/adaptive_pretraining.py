"""Adaptive pretraining: an encoder goes on learning from unlabelled text alone, before it learns a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from nlptransfer.data.feature_batches import DocumentBatches
from nlptransfer.errors import InputError
from nlptransfer.finetuning.masked_lm import PROBABILITY, MaskedLMHead, masked_lm_loss
from nlptransfer.training.loop import train
from nlptransfer.training.schedules import linear
from nlptransfer.types import Batch

_LONGEST_FRAME = 4

MaskedLMStep = Callable[[Any, Batch, float], dict[str, torch.Tensor]]
"""A `nlptransfer.training.loop.Step` over batches of text."""


def adapt_by_masked_lm(
    encoder: nn.Module,
    head: MaskedLMHead,
    ids: Sequence[np.ndarray],
    *,
    mask_id: int,
    special_ids: Sequence[int],
    epochs: int,
    batch_size: int,
    learning_rate: float,
    max_length: int,
    seed: int,
    probability: float = PROBABILITY,
    warmup: float = 0.06,
    weight_decay: float = 0.01,
    max_gradient_norm: float = 1.0,
    accelerator: Accelerator | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    description: str = "masked LM",
) -> list[dict[str, Any]]:
    """Go on with an encoder's pretraining on unlabelled documents: those of a domain (DAPT), or of a task (TAPT).

    Documents longer than `max_length` are cut into parts of about equal length, so that all their text is read.
    AdamW, with a learning rate that rises over the first `warmup` of the run and then falls to 0 in a straight line.

    Args:
        encoder: an ``AutoModel``; trained in place.
        head: its head; trained in place.
        ids: the documents as subword ids, special tokens around them included.
        mask_id: the mask token.
        special_ids: tokens that are never hidden.
        epochs: passes over the documents.
        batch_size: documents per step.
        learning_rate: at its highest; 1e-4 in the paper.
        max_length: tokens read at once.
        seed: of the order, of the hidden tokens and of dropout.
        probability: see `mask_tokens`.
        warmup: share of the run.
        weight_decay: of AdamW, on matrices alone.
        max_gradient_norm: gradients are scaled down to this norm.
        accelerator: see `train`; so are the four that follow.
        checkpoint: file that holds the state after each epoch; None writes none.
        resume: continue from `checkpoint` where there is one.
        on_epoch: called with each epoch's history row.
        description: of the progress bar.

    Returns:
        The history, as `train` gives it.

    Raises:
        InputError: there are no documents.

    Reference:
        Gururangan et al. 2020, sections 3 and 4, https://aclanthology.org/2020.acl-main.740.

    Compare with:
        `make_udalm_step`, which learns the task at the same time.

    Example:
        >>> ids = [np.array(tokenizer(text).input_ids) for text in target_texts]
        >>> mask_id, special_ids = mask_and_special_ids(tokenizer)
        >>> adapt_by_masked_lm(encoder, head, ids, mask_id=mask_id, special_ids=special_ids, epochs=3,
        ...                    batch_size=16, learning_rate=1e-4, max_length=256, seed=0)
    """
    if not len(ids):
        raise InputError("there is no text to adapt the encoder to", expected="a document or more", found="none")
    before, after = _framing(ids, special_ids)
    parts = [
        part
        for document in ids
        for part in cut_document(document, max_length=max_length, num_before=before, num_after=after)
    ]
    model = EncoderWithHead(encoder, head)
    return train(
        model,
        make_masked_lm_step(head, mask_id=mask_id, special_ids=special_ids, probability=probability),
        DocumentBatches(parts, None, batch_size=batch_size, max_length=max_length, seed=seed),
        make_adamw(model, learning_rate=learning_rate, weight_decay=weight_decay),
        epochs=epochs,
        seed=seed,
        schedule=partial(linear, warmup=warmup),
        max_gradient_norm=max_gradient_norm,
        checkpoint=checkpoint,
        resume=resume,
        accelerator=accelerator,
        on_epoch=on_epoch,
        description=description,
    )


class EncoderWithHead(nn.Module):
    """An encoder and its masked-LM head as the one module that `train` wants.

    Args:
        encoder: an ``AutoModel``.
        head: its head.
    """

    def __init__(self, encoder: nn.Module, head: MaskedLMHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head


def make_masked_lm_step(
    head: MaskedLMHead, *, mask_id: int, special_ids: Sequence[int], probability: float = PROBABILITY
) -> MaskedLMStep:
    """A step that trains an encoder on text without labels.

    Every process of several draws its own tokens to hide.

    Args:
        head: the encoder's.
        mask_id: the mask token.
        special_ids: tokens that are never hidden.
        probability: see `mask_tokens`.

    Returns:
        A step for `train` over an `EncoderWithHead`.

    Example:
        >>> mask_id, special_ids = mask_and_special_ids(tokenizer)
        >>> step = make_masked_lm_step(head, mask_id=mask_id, special_ids=special_ids)
        >>> train(EncoderWithHead(encoder, head), step, batches, optimizer, epochs=3, seed=0)
    """

    def step(model: Any, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        loss = masked_lm_loss(
            model.encoder, head, batch, mask_id=mask_id, special_ids=special_ids, probability=probability
        )
        return {"loss": loss}

    return step


def _framing(ids: Sequence[np.ndarray], special_ids: Sequence[int]) -> tuple[int, int]:
    """How many special tokens all documents begin with, and end with.

    Not what is special at the ends of one: unknown words are special as well, and a text may begin with many. For the
    same reason no token counts twice.
    """
    special = set(special_ids)

    def number(ends: list[list[int]]) -> int:
        found: list[int] = []
        for column in zip(*ends, strict=False):
            if len(set(column)) > 1 or column[0] not in special or column[0] in found:
                break
            found.append(column[0])
        return len(found)

    before = number([document[:_LONGEST_FRAME].tolist() for document in ids])
    return before, number([document[before:][::-1][:_LONGEST_FRAME].tolist() for document in ids])


def cut_document(document: np.ndarray, *, max_length: int, num_before: int, num_after: int) -> list[np.ndarray]:
    """A document in parts of about equal length, none too long, each with the special tokens around it.

    Args:
        document: (T,) subword ids.
        max_length: of a part.
        num_before: special tokens that the document begins with, and each part too.
        num_after: those that it ends with, likewise.

    Returns:
        The parts; the document itself where it fits.

    Raises:
        ValueError: no room for a token between the special ones.

    Example:
        >>> document = np.array([2, 7, 8, 9, 3])
        >>> [part.tolist() for part in cut_document(document, max_length=4, num_before=1, num_after=1)]
        [[2, 7, 8, 3], [2, 9, 3]]
    """
    if len(document) <= max_length:
        return [document]
    room = max_length - num_before - num_after
    if room < 1:
        raise ValueError(
            f"max_length must leave room beside {num_before + num_after} special tokens, found {max_length}"
        )
    last = len(document) - num_after
    start, body, end = document[:num_before], document[num_before:last], document[last:]
    return [np.concatenate([start, part, end]) for part in np.array_split(body, -(-len(body) // room))]


def make_adamw(model: nn.Module, *, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over all that trains, which spares biases and layer norms the weight decay.

    Args:
        model: whose parameters to train.
        learning_rate: at its highest.
        weight_decay: on matrices.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=learning_rate, fused=True)
