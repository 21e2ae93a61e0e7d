"""Noise for denoising autoencoders: values set to 0, moved, or set to the least or the largest value."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import torch

from nlptransfer.types import Batch

Noise = Literal["masking", "gaussian", "salt_and_pepper"]


def masking_noise(values: torch.Tensor, corruption: float, generator: torch.Generator | None = None) -> torch.Tensor:
    """Set each value to 0 with the probability `corruption`, independently; the others stay as they are.

    Args:
        values: of any shape.
        corruption: from 0 to 1.
        generator: on the values' device; None for torch's own, which `train` seeds.

    Returns:
        A new tensor.

    Raises:
        ValueError: `corruption` is no probability.

    Reference:
        Vincent et al. 2010, section 3.3, https://jmlr.org/papers/v11/vincent10a.html.

    Example:
        >>> masking_noise(torch.ones(2, 3), 0.5, torch.Generator().manual_seed(0))
    """
    _check_probability(corruption)
    return values.masked_fill(_uniform(values, generator) < corruption, 0.0)


def gaussian_noise(values: torch.Tensor, scale: float, generator: torch.Generator | None = None) -> torch.Tensor:
    """Add to each value a normally distributed number of mean 0.

    Args:
        values: of any shape.
        scale: standard deviation of what is added, 0 or more.
        generator: on the values' device; None for torch's own, which `train` seeds.

    Returns:
        A new tensor.

    Raises:
        ValueError: `scale` is negative.

    Reference:
        Vincent et al. 2010, section 3.3, https://jmlr.org/papers/v11/vincent10a.html.

    Example:
        >>> gaussian_noise(torch.zeros(2, 3), 0.1, torch.Generator().manual_seed(0))
    """
    if not scale >= 0:
        raise ValueError(f"scale must be 0 or more, found {scale}")
    drawn = torch.randn(values.shape, generator=generator, device=values.device, dtype=values.dtype)
    return values + scale * drawn


def salt_and_pepper_noise(
    values: torch.Tensor, corruption: float, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Set each value with the probability `corruption` to the least or the largest of all, a fair coin deciding.

    Args:
        values: of any shape.
        corruption: from 0 to 1.
        generator: on the values' device; None for torch's own, which `train` seeds.

    Returns:
        A new tensor.

    Raises:
        ValueError: `corruption` is no probability.

    Reference:
        Vincent et al. 2010, section 3.3, https://jmlr.org/papers/v11/vincent10a.html.

    Compare with:
        `masking_noise`, which can hide what is there but invents nothing. At the same `corruption` a row of few words
        gets far more invented ones from this than it had.

    Example:
        >>> salt_and_pepper_noise(torch.eye(3), 0.2, torch.Generator().manual_seed(0))
    """
    _check_probability(corruption)
    if not values.numel():
        return values.clone()
    drawn = _uniform(values, generator)  # below corruption / 2 is pepper, from there to corruption is salt
    salted = torch.where(drawn < corruption, values.max(), values)
    return torch.where(drawn < corruption / 2, values.min(), salted)


def corrupt_batch(batch: Batch, noise: Noise, strength: float, generator: torch.Generator | None = None) -> Batch:
    """The batch with noise on the values that its rows list, which costs nothing for those that they don't.

    Where a row lists all its features, as batches of dense rows do, this is the noise as defined. A sparse row gets it
    on its listed features alone: "masking" loses nothing by that, since a 0 that is masked stays 0; "gaussian" moves no
    absent feature; "salt_and_pepper" sets each listed feature with the probability `strength` to 0 or to the largest
    value in the batch, and never invents an absent one.

    Args:
        batch: rows of features, with values.
        noise: "masking", "gaussian" or "salt_and_pepper".
        strength: the probability of corruption, or the standard deviation of Gaussian noise.
        generator: on the batch's device; None for torch's own, which `train` seeds.

    Returns:
        A batch with new values, 0 on padding; all else is shared with `batch`.

    Raises:
        ValueError: the batch has no values; an unknown noise, or a strength that it can't have.

    Example:
        >>> corrupted = corrupt_batch(batch, "masking", 0.8)
    """
    if batch.values is None:
        raise ValueError("only a batch with values, such as FeatureBatches makes, can be corrupted")
    return replace(batch, values=torch.where(batch.mask, _listed(batch, noise, strength, generator), 0.0))


def _listed(batch: Batch, noise: Noise, strength: float, generator: torch.Generator | None) -> torch.Tensor:
    assert batch.values is not None
    if noise == "masking":
        return masking_noise(batch.values, strength, generator)
    if noise == "gaussian":
        return gaussian_noise(batch.values, strength, generator)
    if noise == "salt_and_pepper":
        return salt_and_pepper_noise(batch.values, strength, generator)
    raise ValueError(f"noise must be one of {', '.join(get_args(Noise))}; found {noise!r}")


def _uniform(values: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """Numbers from 0 up to but without 1, of the values' shape."""
    return torch.rand(values.shape, generator=generator, device=values.device)


def _check_probability(corruption: float) -> None:
    if not 0 <= corruption <= 1:
        raise ValueError(f"corruption must be from 0 to 1, found {corruption}")
