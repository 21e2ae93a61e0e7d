"""Strategies by name."""

from __future__ import annotations

import pytest

from nlptransfer.errors import InputError
from nlptransfer.finetuning.strategies import STRATEGY_STEPS, parse_strategy


@pytest.mark.parametrize("name", [name for name, own in STRATEGY_STEPS.items() if own.stage == "tuning"])
def test_each_way_of_tuning_stands_for_itself(name: str) -> None:
    strategy = parse_strategy(name)
    assert (strategy.name, strategy.tuning, strategy.before, strategy.after) == (name, name, (), ())
    number = STRATEGY_STEPS[name].number
    assert strategy.number == (None if number is None else number.default)


def test_a_chain_is_taken_apart() -> None:
    strategy = parse_strategy("dapt:2 + lora:16 + self_training:0.5")
    assert strategy.name == "dapt:2+lora:16+self_training:0.5"
    assert strategy.before == (("dapt", 2.0),) and strategy.after == (("self_training", 0.5),)
    assert (strategy.tuning, strategy.number) == ("lora", 16.0)
    assert strategy.uses_target and strategy.without_after == parse_strategy("dapt:2+lora:16")


def test_without_a_way_of_tuning_everything_is_tuned() -> None:
    assert parse_strategy("reinitialise:2").tuning == "full"
    assert parse_strategy("self_training").tuning == "full"


def test_only_what_reads_the_target_uses_it() -> None:
    using = {name for name in STRATEGY_STEPS if parse_strategy(name).uses_target}
    assert using == {"dapt", "extend_vocabulary", "udalm", "dann", "mmd", "deep_coral", "self_training"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fulll", "Did you mean full"),
        ("full+dapt", "out of order"),
        ("full+lora", "out of order"),
        ("self_training+full", "out of order"),
        ("lora:0", "a whole number from 1 on"),
        ("ulmfit:0.5", "a number from 1 on"),
        ("full:3", "no number to set"),
        ("full+full", "twice"),
        ("feature_extraction+self_training", "leaves the encoder as it is"),
        ("dapt+no_pretraining", "undoes dapt"),
        ("dapt+random_forest", "saved with the name of its encoder"),
        ("reinitialise+gradient_boosting", "put feature_extraction in the place"),
    ],
)
def test_what_can_not_be_had_is_refused_with_a_reason(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_strategy(name)
