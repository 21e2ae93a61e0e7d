"""The sampled reconstruction loss: its mean over samples is the whole loss, and so is the mean of its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from nlptransfer.data.feature_batches import FeatureBatches
from nlptransfer.models.sampled_reconstruction import (
    reconstruction_loss,
    reconstruction_share,
    sample_columns,
    sampled_reconstruction_loss,
)
from nlptransfer.types import Batch

NUM_ROWS, NUM_COLUMNS, HIDDEN = 5, 40, 3


def random_rows() -> np.ndarray:
    random = np.random.default_rng(0)
    rows = random.random((NUM_ROWS, NUM_COLUMNS)) * (random.random((NUM_ROWS, NUM_COLUMNS)) < 0.1)
    rows[2] = 0  # a document of which no feature is known
    return rows.astype(np.float32)


def make_batch(rows: np.ndarray, form: str = "sparse") -> Batch:
    (batch,) = FeatureBatches(sparse.csr_matrix(rows) if form == "sparse" else rows, None, batch_size=len(rows))
    return batch


def make_network() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    shapes = ((NUM_ROWS, HIDDEN), (NUM_COLUMNS, HIDDEN), (NUM_COLUMNS,))
    hidden, weight, bias = (torch.randn(shape, generator=random, requires_grad=True) for shape in shapes)
    return hidden, weight, bias


def whole_loss(rows: np.ndarray, kind: str) -> float:
    """Entry by entry, in float64."""
    hidden, weight, bias = (tensor.detach().double().numpy() for tensor in make_network())
    total = 0.0
    for i in range(NUM_ROWS):
        for j in range(NUM_COLUMNS):
            z = float(hidden[i] @ weight[j] + bias[j])
            if kind == "squared":
                total += (z - rows[i, j]) ** 2
            else:
                probability = 1 / (1 + np.exp(-z))
                total -= rows[i, j] * np.log(probability) + (1 - rows[i, j]) * np.log(1 - probability)
    return total / NUM_ROWS


@pytest.mark.parametrize("kind", ["squared", "cross_entropy"])
@pytest.mark.parametrize("form", ["sparse", "dense"])
def test_with_every_column_it_is_the_whole_loss(form: str, kind: Any) -> None:
    rows = random_rows()
    loss = sampled_reconstruction_loss(*make_network(), make_batch(rows, form), num_sampled=NUM_COLUMNS, kind=kind)
    assert loss.item() == pytest.approx(whole_loss(rows, kind), rel=1e-5)


@pytest.mark.parametrize("kind", ["squared", "cross_entropy"])
def test_the_mean_over_many_samples_is_the_whole_loss_and_its_gradient(kind: Any) -> None:
    rows = random_rows()
    batch, generator = make_batch(rows), torch.Generator().manual_seed(2)
    network = make_network()
    num_draws = 3_000
    drawn = torch.stack(
        [
            sampled_reconstruction_loss(*network, batch, num_sampled=4, generator=generator, kind=kind)
            for _ in range(num_draws)
        ]
    )
    error = drawn.std().item() / num_draws**0.5
    whole = whole_loss(rows, kind)
    assert 0 < error < 0.02 * whole  # it does vary, and the next line can tell
    assert drawn.mean().item() == pytest.approx(whole, abs=4 * error)

    drawn.mean().backward()
    again = make_network()
    sampled_reconstruction_loss(*again, batch, num_sampled=NUM_COLUMNS, kind=kind).backward()
    for sampled, exact in zip(network, again, strict=True):
        assert sampled.grad is not None and exact.grad is not None
        assert torch.linalg.norm(sampled.grad - exact.grad) < 0.05 * torch.linalg.norm(exact.grad)


def test_all_listed_columns_are_chosen_and_the_others_are_equally_likely() -> None:
    rows = random_rows()
    listed = np.flatnonzero(rows.any(axis=0))
    others = np.setdiff1d(np.arange(NUM_COLUMNS), listed)
    assert 5 < len(listed) < 25
    generator, counts = torch.Generator().manual_seed(3), np.zeros(NUM_COLUMNS)
    for _ in range(2_000):
        columns, weights, values = sample_columns(make_batch(rows), NUM_COLUMNS, num_sampled=4, generator=generator)
        assert len(columns) == len(listed) + 4 and bool((columns.diff() > 0).all())
        np.testing.assert_array_equal(values.numpy(), rows[:, columns.numpy()])
        expected = np.where(np.isin(columns.numpy(), listed), 1, len(others) / 4)
        np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-6)
        counts[columns.numpy()] += 1
    assert (counts[listed] == 2_000).all()
    share = 4 / len(others)
    assert np.abs(counts[others] / 2_000 - share).max() < 4 * (share * (1 - share) / 2_000) ** 0.5


def test_the_same_generator_gives_the_same_columns() -> None:
    batch = make_batch(random_rows())
    first, second, other = (
        sample_columns(batch, NUM_COLUMNS, num_sampled=4, generator=torch.Generator().manual_seed(seed))[0]
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_columns_that_are_not_chosen_get_no_gradient() -> None:
    batch, (hidden, weight, bias) = make_batch(random_rows()), make_network()
    columns, _, _ = sample_columns(batch, NUM_COLUMNS, num_sampled=4, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    sampled_reconstruction_loss(hidden, weight, bias, batch, num_sampled=4, generator=generator).backward()
    assert weight.grad is not None and bias.grad is not None
    np.testing.assert_array_equal(np.flatnonzero(weight.grad.abs().sum(dim=1)), columns.numpy())
    np.testing.assert_array_equal(np.flatnonzero(bias.grad), columns.numpy())


def test_weights_multiply_columns() -> None:
    reconstructed, values = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    weights = torch.tensor([1.0, 10.0])
    assert reconstruction_loss(reconstructed, values).item() == pytest.approx((0 + 4 + 9 + 16) / 2)
    assert reconstruction_loss(reconstructed, values, weights).item() == pytest.approx((0 + 40 + 9 + 160) / 2)


def test_what_cannot_be_reconstructed_is_refused() -> None:
    words = Batch(torch.ones(2, 3, dtype=torch.long), torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="with values"):
        sample_columns(words, NUM_COLUMNS, num_sampled=4)
    with pytest.raises(ValueError, match="at least 1, found 0"):
        sample_columns(make_batch(random_rows()), NUM_COLUMNS, num_sampled=0)
    with pytest.raises(ValueError, match="squared, cross_entropy; found 'hinge'"):
        reconstruction_loss(torch.zeros(1, 1), torch.zeros(1, 1), kind="hinge")  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["sparse", "dense"])
def test_the_share_is_the_squared_error_over_the_squared_length_whatever_the_scale(form: str) -> None:
    rows, (hidden, weight, bias) = random_rows(), make_network()
    share = reconstruction_share(hidden, weight, bias, make_batch(rows, form), num_sampled=NUM_COLUMNS)
    assert share.item() == pytest.approx(
        whole_loss(rows, "squared") * NUM_ROWS / float(np.square(rows).sum()), rel=1e-5
    )
    scaled = reconstruction_share(10 * hidden, weight, 10 * bias, make_batch(10 * rows, form), num_sampled=NUM_COLUMNS)
    assert scaled.item() == pytest.approx(share.item(), rel=1e-4)
    empty = reconstruction_share(hidden, weight, bias, make_batch(0 * rows, form), num_sampled=NUM_COLUMNS)
    assert empty.item() == pytest.approx(whole_loss(0 * rows, "squared"), rel=1e-5), "no length to be a share of"
