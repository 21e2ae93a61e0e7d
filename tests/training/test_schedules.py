"""Whole schedules, pinned."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nlptransfer.training.schedules import constant, cosine, linear, slanted_triangular

TENTHS = [step / 10 for step in range(11)]


def test_constant_is_one_throughout() -> None:
    assert [constant(progress) for progress in TENTHS] == [1.0] * 11


def test_linear_falls_in_a_straight_line() -> None:
    assert [linear(progress) for progress in TENTHS] == pytest.approx(
        [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
    )


def test_linear_rises_over_the_warmup_first() -> None:
    assert [linear(progress, warmup=0.2) for progress in TENTHS] == pytest.approx(
        [0.0, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0]
    )


def test_cosine_falls_along_half_a_cosine() -> None:
    expected = [1.0, 0.975528, 0.904508, 0.793893, 0.654508, 0.5, 0.345492, 0.206107, 0.095492, 0.024472, 0.0]
    assert [cosine(progress) for progress in TENTHS] == pytest.approx(expected, abs=1e-6)


def test_cosine_rises_over_the_warmup_first() -> None:
    expected = [0.0, 0.5, 1.0, 0.96194, 0.853553, 0.691342, 0.5, 0.308658, 0.146447, 0.03806, 0.0]
    assert [cosine(progress, warmup=0.2) for progress in TENTHS] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("schedule", [linear, cosine])
@pytest.mark.parametrize("warmup", [0.0, 0.06, 0.5, 0.99])
def test_a_schedule_peaks_at_one_and_jumps_nowhere(schedule, warmup: float) -> None:  # type: ignore[no-untyped-def]
    grid = np.linspace(0, 1, 10_001)
    values = np.array([schedule(float(progress), warmup=warmup) for progress in grid])
    assert schedule(warmup, warmup=warmup) == pytest.approx(1.0)
    assert values.max() <= 1.0 and values.min() >= 0.0
    assert math.isclose(values[-1], 0.0, abs_tol=1e-9)
    assert np.abs(np.diff(values)).max() < 0.02
    peak = round(warmup * 10_000)
    assert (np.diff(values[: peak + 1]) > 0).all() and (np.diff(values[peak:]) <= 0).all()


def test_slanted_triangular_is_the_paper_s_equation_over_whole_steps() -> None:
    steps, cut_fraction, ratio = 40, 0.1, 32
    cut = math.floor(steps * cut_fraction)
    for t in range(steps):
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / cut_fraction - 1))
        assert slanted_triangular(t / steps) == pytest.approx((1 + p * (ratio - 1)) / ratio)
    assert slanted_triangular(0.0) == pytest.approx(1 / 32) and slanted_triangular(1.0) == pytest.approx(1 / 32)
    assert slanted_triangular(0.1) == 1.0
