"""Noise: how often it strikes, what it leaves, and what it does to rows that list only some features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from nlptransfer.data.feature_batches import FeatureBatches
from nlptransfer.models.noise import corrupt_batch, gaussian_noise, masking_noise, salt_and_pepper_noise
from nlptransfer.types import Batch


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_values() -> torch.Tensor:
    return torch.rand(200, 300, generator=generator(1)) + 1.0  # none of them 0, from 1 to 2


def test_masking_sets_the_share_to_zero_and_leaves_the_rest() -> None:
    values = make_values()
    before = values.clone()
    noisy = masking_noise(values, 0.3, generator())
    masked = noisy == 0
    assert masked.float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(noisy[~masked], values[~masked])
    assert torch.equal(values, before)
    # Each value on its own: no row and no column is struck much more often than another.
    assert masked.float().mean(dim=0).std().item() == pytest.approx((0.3 * 0.7 / 200) ** 0.5, rel=0.2)


def test_gaussian_noise_has_mean_zero_and_the_given_deviation() -> None:
    values = make_values()
    added = (gaussian_noise(values, 0.5, generator()) - values).numpy()
    assert added.mean() == pytest.approx(0, abs=0.01)
    assert added.std() == pytest.approx(0.5, rel=0.02)
    assert (np.abs(added) < 0.5).mean() == pytest.approx(0.6827, abs=0.01)


def test_salt_and_pepper_are_the_largest_and_the_least_value_in_equal_shares() -> None:
    values = make_values()
    noisy = salt_and_pepper_noise(values, 0.4, generator())
    assert (noisy == values.max()).float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert (noisy == values.min()).float().mean().item() == pytest.approx(0.2, abs=0.01)
    untouched = (noisy != values.max()) & (noisy != values.min())
    assert torch.equal(noisy[untouched], values[untouched])
    assert salt_and_pepper_noise(torch.zeros(0, 3), 0.4).shape == (0, 3)


@pytest.mark.parametrize("noise", [masking_noise, gaussian_noise, salt_and_pepper_noise])
def test_noise_of_no_strength_changes_nothing_and_a_generator_repeats_it(noise: Any) -> None:
    values = make_values()
    assert torch.equal(noise(values, 0.0, generator()), values)
    assert torch.equal(noise(values, 0.5, generator(3)), noise(values, 0.5, generator(3)))
    assert not torch.equal(noise(values, 0.5, generator(3)), noise(values, 0.5, generator(4)))
    with torch.random.fork_rng():
        torch.manual_seed(5)
        first = noise(values, 0.5)
        torch.manual_seed(5)
        assert torch.equal(noise(values, 0.5), first)


def test_everything_is_masked_at_a_corruption_of_one() -> None:
    assert masking_noise(make_values(), 1.0).count_nonzero() == 0


@pytest.mark.parametrize("corruption", [-0.1, 1.1, float("nan")])
def test_a_corruption_that_is_no_probability_is_refused(corruption: float) -> None:
    for noise in (masking_noise, salt_and_pepper_noise):
        with pytest.raises(ValueError, match="from 0 to 1"):
            noise(make_values(), corruption)


def test_gaussian_noise_of_a_negative_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more, found -1"):
        gaussian_noise(make_values(), -1)


def sparse_batch() -> Batch:
    random = np.random.default_rng(0)
    rows = (random.random((50, 400)) < 0.2) * random.integers(1, 4, size=(50, 400))
    rows[7] = 0  # a document without any known word
    (batch,) = FeatureBatches(sparse.csr_matrix(rows.astype(np.float32)), None, batch_size=50)
    return batch


@pytest.mark.parametrize("noise", ["masking", "gaussian", "salt_and_pepper"])
def test_a_sparse_row_is_corrupted_in_its_listed_features_alone(noise: Any) -> None:
    batch = sparse_batch()
    corrupted = corrupt_batch(batch, noise, 0.5, generator())
    assert corrupted.values is not None and batch.values is not None
    assert torch.equal(corrupted.input_ids, batch.input_ids) and torch.equal(corrupted.mask, batch.mask)
    assert corrupted.values[~batch.mask].count_nonzero() == 0
    listed, clean = corrupted.values[batch.mask], batch.values[batch.mask]
    if noise == "gaussian":
        assert (listed - clean).std().item() == pytest.approx(0.5, rel=0.05)
    else:
        share = 0.25 if noise == "salt_and_pepper" else 0.5
        assert (listed == 0).float().mean().item() == pytest.approx(share, abs=0.03)
        # A third are 3 to begin with: half of these stay, and a quarter of all becomes 3.
        expected = (clean == 3).float().mean().item() / 2 + (0.25 if noise == "salt_and_pepper" else 0)
        assert (listed == 3).float().mean().item() == pytest.approx(expected, abs=0.03)


def test_a_dense_row_gets_the_noise_as_it_is_defined() -> None:
    rows = np.eye(6, 9, dtype=np.float32)
    (batch,) = FeatureBatches(rows, None, batch_size=6)
    corrupted = corrupt_batch(batch, "salt_and_pepper", 0.5, generator())
    assert corrupted.values is not None
    assert torch.equal(corrupted.values, salt_and_pepper_noise(torch.from_numpy(rows), 0.5, generator()))
    assert corrupted.values.sum() > 6  # ones where there were none


def test_a_batch_without_values_and_an_unknown_noise_are_refused() -> None:
    words = Batch(torch.ones(2, 3, dtype=torch.long), torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="with values"):
        corrupt_batch(words, "masking", 0.5)
    with pytest.raises(ValueError, match="gaussian, salt_and_pepper; found 'snow'"):
        corrupt_batch(sparse_batch(), "snow", 0.5)  # type: ignore[arg-type]
