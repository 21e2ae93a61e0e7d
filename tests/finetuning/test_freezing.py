"""Which groups train when, against the definitions."""

from __future__ import annotations

import pytest

from nlptransfer.finetuning.freezing import freeze_below, gradual_unfreezing, train_all


def test_everything_trains_throughout() -> None:
    assert train_all(3, 2) == [[True] * 3] * 2


def test_the_lowest_groups_stay_frozen_in_every_epoch() -> None:
    assert freeze_below(4, 2, num_frozen=3) == [[False, False, False, True]] * 2
    assert freeze_below(4, 1, num_frozen=0) == [[True] * 4]


@pytest.mark.parametrize("num_frozen", [-1, 4, 5])
def test_freezing_all_or_less_than_nothing_is_refused(num_frozen: int) -> None:
    with pytest.raises(ValueError, match="0 to 3"):
        freeze_below(4, 1, num_frozen=num_frozen)


def test_gradual_unfreezing_thaws_one_more_group_each_epoch_from_the_head_down() -> None:
    rows = gradual_unfreezing(4, 6, groups_per_epoch=1)
    assert [sum(row) for row in rows] == [1, 2, 3, 4, 4, 4]
    for row in rows:
        assert row == sorted(row)  # what trains is above what does not


@pytest.mark.parametrize(("num_groups", "epochs"), [(8, 4), (8, 8), (8, 2), (5, 3), (14, 4), (4, 12)])
def test_by_default_the_last_epoch_trains_all_and_the_first_the_head_alone(num_groups: int, epochs: int) -> None:
    rows = gradual_unfreezing(num_groups, epochs)
    assert sum(rows[0]) == 1 and all(rows[-1])
    thawed = [sum(row) for row in rows]
    assert thawed == sorted(thawed)


def test_one_more_group_an_epoch_would_not_be_needed() -> None:
    # k is the least number that thaws all: with one less, some group would never train.
    rows = gradual_unfreezing(8, 4, groups_per_epoch=2)
    assert not all(rows[-1])
    assert gradual_unfreezing(8, 4) == gradual_unfreezing(8, 4, groups_per_epoch=3)


def test_thawing_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        gradual_unfreezing(4, 3, groups_per_epoch=0)
