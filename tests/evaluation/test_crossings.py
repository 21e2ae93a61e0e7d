"""Where one curve overtakes another."""

from __future__ import annotations

import pytest

from nlptransfer.evaluation.crossings import crossing_points


def test_lines_over_the_logarithm_cross_where_they_are_equal() -> None:
    curve, other = {20: 0.5, 100: 0.6, 500: 0.9}, {20: 0.7, 100: 0.7, 500: 0.75}
    (at,) = crossing_points(curve, other)

    def height(values: dict[int, float]) -> float:
        import math

        share = (math.log(at) - math.log(100)) / (math.log(500) - math.log(100))
        return values[100] + share * (values[500] - values[100])

    assert 100 < at < 500
    assert height(curve) == pytest.approx(height(other))


def test_curves_that_never_or_always_lead_do_not_cross() -> None:
    assert crossing_points({1: 0.1, 10: 0.2}, {1: 0.3, 10: 0.4}) == []
    assert crossing_points({1: 0.5, 10: 0.6}, {1: 0.3, 10: 0.4}) == []


def test_only_numbers_that_both_have_count_and_each_overtaking_is_told() -> None:
    curve = {1: 0.1, 5: 0.9, 10: 0.9, 100: 0.1, 1000: 0.9}
    other = {1: 0.5, 10: 0.5, 100: 0.5, 1000: 0.5}
    assert len(crossing_points(curve, other)) == 2


def test_curves_that_touch_at_a_number_cross_there() -> None:
    assert crossing_points({1: 0.1, 10: 0.5, 100: 0.9}, {1: 0.5, 10: 0.5, 100: 0.5}) == [pytest.approx(10.0)]
