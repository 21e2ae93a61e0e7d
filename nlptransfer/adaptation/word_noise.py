"""Noise on documents of words: leave words out, move them a little, put others in their place."""

from __future__ import annotations

from dataclasses import replace

import torch

from nlptransfer.types import Batch


def drop_words(batch: Batch, probability: float, *, generator: torch.Generator | None = None) -> Batch:
    """Leave out each word with `probability`; a document that would lose all keeps one, drawn.

    Args:
        batch: N documents as word ids, with or without the spelling of the words.
        probability: 0 to below 1.
        generator: draws; None for torch's own, which `train` seeds.

    Returns:
        A new batch of what is left, padded to its longest document, without labels and weights.

    Raises:
        ValueError: the probability is out of range, or the batch holds bags of words.

    Reference:
        Hill, Cho & Korhonen 2016 (SDAE), as N(S | p_o, 0), https://aclanthology.org/N16-1162; Lample et al. 2018,
        section 2.3, https://arxiv.org/abs/1711.00043, with 0.1.
    """
    _check_probability(probability)
    draws = _uniform(batch, generator).masked_fill(~batch.mask, -1.0)
    kept = draws >= probability
    # All draws being below it, the largest is as likely to stand at any word as at any other.
    largest = torch.arange(draws.shape[1], device=draws.device) == draws.argmax(dim=1, keepdim=True)
    kept |= largest & ~kept.any(dim=1, keepdim=True)
    kept &= batch.mask
    lengths = kept.sum(dim=1)
    width = int(lengths.max())
    order = (~kept).to(torch.uint8).argsort(dim=1, stable=True)[:, :width]  # what is kept first, in its order
    mask = torch.arange(width, device=order.device) < lengths[:, None]
    return _rearrange(batch, order + _row_starts(batch), mask)


def shuffle_words(batch: Batch, max_distance: int, *, generator: torch.Generator | None = None) -> Batch:
    r"""Permute the words of each document so that none moves further than `max_distance` places.

    .. math:: \sigma = \operatorname{argsort}(q), \qquad q_i = i + U(0, k + 1), \qquad |\sigma(i) - i| \le k

    Args:
        batch: N documents as word ids, with or without the spelling of the words.
        max_distance: k, 0 or more; 0 leaves all as it is.
        generator: draws; None for torch's own, which `train` seeds.

    Returns:
        A new batch of the same shape, without labels and weights.

    Raises:
        ValueError: the distance is negative, or the batch holds bags of words.

    Reference:
        Lample et al. 2018, section 2.3, https://arxiv.org/abs/1711.00043, where k is 3.

    Compare with:
        Hill, Cho & Korhonen 2016, who swap neighbours with a probability: near to k = 1 here.
    """
    if max_distance < 0:
        raise ValueError(f"max_distance must be 0 or more, found {max_distance}")
    places = torch.arange(batch.input_ids.shape[1], device=batch.input_ids.device)
    keys = places + (max_distance + 1) * _uniform(batch, generator)
    # Stable: where a sum is rounded up to the next whole number, the bound still holds.
    order = keys.masked_fill(~batch.mask, torch.inf).argsort(dim=1, stable=True)
    return _rearrange(batch, order + _row_starts(batch), batch.mask)


def replace_words(batch: Batch, probability: float, *, generator: torch.Generator | None = None) -> Batch:
    """Put another word in the place of each word with `probability`, drawn from all words of the batch.

    A word is drawn as often as it occurs there, so that it follows the corpus's unigram distribution, and comes with
    its spelling or vector where the model reads one. It may be the same word.

    Args:
        batch: N documents as word ids, with or without the spelling of the words.
        probability: 0 to below 1.
        generator: draws; None for torch's own, which `train` seeds.

    Returns:
        A new batch of the same shape, without labels and weights.

    Raises:
        ValueError: the probability is out of range, or the batch holds bags of words.

    Reference:
        Xie et al. 2017, unigram noising, https://arxiv.org/abs/1703.02573.
    """
    _check_probability(probability)
    chosen = _uniform(batch, generator) < probability
    real = batch.mask.flatten().nonzero().squeeze(1)
    drawn = real[torch.randint(len(real), chosen.shape, generator=generator, device=real.device)]
    own = torch.arange(chosen.shape[1], device=real.device) + _row_starts(batch)
    return _rearrange(batch, torch.where(chosen, drawn, own), batch.mask)


def _rearrange(batch: Batch, positions: torch.Tensor, mask: torch.Tensor) -> Batch:
    """The words at `positions` of the flattened batch, (batch, time), 0 where `mask` is False."""
    if batch.values is not None:
        raise ValueError("a bag of words has no order and no places; noise on words is for word ids")

    def take(ids: torch.Tensor) -> torch.Tensor:
        return ids.reshape(-1)[positions].masked_fill(~mask, 0)

    rows = None if batch.character_rows is None else take(batch.character_rows)
    # The labels of words would stand beside other words now.
    return replace(batch, input_ids=take(batch.input_ids), mask=mask, character_rows=rows, labels=None, weights=None)


def _row_starts(batch: Batch) -> torch.Tensor:
    """Where each document begins in the flattened batch, (batch, 1)."""
    rows, width = batch.input_ids.shape
    return torch.arange(rows, device=batch.input_ids.device)[:, None] * width


def _uniform(batch: Batch, generator: torch.Generator | None) -> torch.Tensor:
    return torch.rand(batch.input_ids.shape, generator=generator, device=batch.input_ids.device)


def _check_probability(probability: float) -> None:
    if not 0 <= probability < 1:
        raise ValueError(f"the probability must be from 0 to below 1, found {probability}")
