"""Within the block every generator follows from the seed; after it none has moved."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from nlptransfer.training.seeding import seeded


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_the_same_seed_draws_the_same_and_another_draws_others() -> None:
    draws = []
    for seed in (3, 3, 4):
        with seeded(seed):
            draws.append(draw())
    assert draws[0] == draws[1]
    assert all(first != other for first, other in zip(draws[0], draws[2], strict=True))


def test_the_seed_is_what_each_library_takes_it_for() -> None:
    with seeded(7):
        drawn = draw()
    reference = (
        random.Random(7).random(),
        float(np.random.RandomState(7).rand()),
        float(torch.rand((), generator=torch.Generator().manual_seed(7))),
    )
    assert drawn == reference


def test_generators_go_on_afterwards_as_if_nothing_had_been() -> None:
    with seeded(0):
        undisturbed = [draw(), draw()]
    with seeded(0):
        disturbed = [draw()]
        with seeded(1):
            draw()
        disturbed.append(draw())
    assert disturbed == undisturbed


@pytest.mark.parametrize("seed", [5, -1])
def test_generators_go_on_after_an_error_too(seed: int) -> None:
    with seeded(0):
        undisturbed = [draw(), draw()]
    with seeded(0):
        disturbed = [draw()]
        with pytest.raises(ValueError), seeded(seed):  # numpy refuses the negative seed before the block begins
            raise ValueError
        disturbed.append(draw())
    assert disturbed == undisturbed
