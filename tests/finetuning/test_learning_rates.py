"""A rate for each group, against the definition."""

from __future__ import annotations

from itertools import pairwise

import pytest

from nlptransfer.finetuning.learning_rates import discriminative_rates


def test_each_group_has_the_rate_above_it_divided_by_the_factor() -> None:
    rates = discriminative_rates(5, 0.01, factor=2.6)
    assert rates[-1] == 0.01
    for lower, upper in pairwise(rates):
        assert lower == pytest.approx(upper / 2.6)


def test_a_factor_of_one_is_one_rate_for_all() -> None:
    assert discriminative_rates(3, 0.5, factor=1.0) == [0.5, 0.5, 0.5]


def test_lower_groups_can_not_be_made_faster() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        discriminative_rates(3, 0.5, factor=0.5)
