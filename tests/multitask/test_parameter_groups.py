"""Every parameter is shared or of one task, and none is both."""

from __future__ import annotations

from torch import nn

from nlptransfer.multitask.parameter_groups import own_parameters, shared_parameters, used_parameters


def test_parameters_of_two_tasks_are_shared_and_the_rest_is_of_one() -> None:
    encoder, low, high, frozen = nn.Linear(2, 3), nn.Linear(3, 1), nn.Linear(3, 2), nn.Linear(5, 5)
    frozen.requires_grad_(False)
    modules = {"low": [frozen, encoder, low], "middle": [encoder, high], "high": [high]}
    assert {*shared_parameters(modules)} == {*encoder.parameters(), *high.parameters()}
    assert own_parameters(modules, "low") == list(low.parameters())
    assert own_parameters(modules, "middle") == own_parameters(modules, "high") == []


def test_a_module_that_stands_within_another_counts_once() -> None:
    inner = nn.Linear(2, 2)
    outer = nn.Sequential(inner, nn.Linear(2, 1))
    assert used_parameters([outer, inner]) == list(outer.parameters())
    assert shared_parameters({"a": [outer, inner]}) == [], "twice by one task is not shared"
    assert shared_parameters({"a": [outer], "b": [inner]}) == list(inner.parameters())
