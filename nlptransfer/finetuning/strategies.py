"""Strategies of fine-tuning by name, alone or in a chain such as `dapt+lp_ft+self_training`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlptransfer.errors import InputError
from nlptransfer.step_chains import Number, parse_chain

Stage = Literal["before", "tuning", "after"]

_WHOLE = "a whole number from 1 on"


@dataclass(frozen=True)
class StrategyStep:
    """What can be said in a strategy's name.

    Attributes:
        stage: what is done to the encoder before it is tuned, how it is tuned, what follows.
        uses_target: whether it reads the target's unlabelled text.
        number: the one number that it can be given.
        trees: whether, in place of a linear head, trees read its features.
    """

    stage: Stage
    uses_target: bool = False
    number: Number | None = None
    trees: bool = False


STRATEGY_STEPS = {
    "extend_vocabulary": StrategyStep("before", True, Number("words", 200, _WHOLE)),
    "dapt": StrategyStep("before", True, Number("epochs", 1, _WHOLE)),
    "reinitialise": StrategyStep("before", number=Number("layers", 1, _WHOLE)),
    "feature_extraction": StrategyStep("tuning"),
    "random_forest": StrategyStep("tuning", trees=True),
    "gradient_boosting": StrategyStep("tuning", trees=True),
    "full": StrategyStep("tuning"),
    "freeze": StrategyStep("tuning", number=Number("groups", 4, _WHOLE)),
    "lp_ft": StrategyStep("tuning"),
    "gradual_unfreezing": StrategyStep("tuning"),
    "discriminative_rates": StrategyStep("tuning", number=Number("factor", 1.3, "a number from 1 on")),
    "ulmfit": StrategyStep("tuning", number=Number("factor", 1.3, "a number from 1 on")),
    "lora": StrategyStep("tuning", number=Number("rank", 8, _WHOLE)),
    "l2_sp": StrategyStep("tuning", number=Number("strength", 0.01, "a number from 0 on")),
    "udalm": StrategyStep("tuning", True),
    "dann": StrategyStep("tuning", True, Number("adaptation_weight", 0.1, "a number from 0 on")),
    "mmd": StrategyStep("tuning", True, Number("adaptation_weight", 0.1, "a number from 0 on")),
    "deep_coral": StrategyStep("tuning", True, Number("adaptation_weight", 1.0, "a number from 0 on")),
    "no_pretraining": StrategyStep("tuning"),
    "self_training": StrategyStep("after", True, Number("share", 0.6, "a number above 0 and at most 1")),
}
"""Every step by name."""

FROZEN = ("feature_extraction", "random_forest", "gradient_boosting")
"""Ways of tuning that leave the encoder as it is."""


@dataclass(frozen=True)
class Strategy:
    """A parsed name.

    Attributes:
        name: as it was written, without spaces.
        before: what is done to the encoder first: (step, number).
        tuning: how it is tuned.
        number: what the tuning was given, or its default; None where there is nothing to give.
        after: what follows: (step, number).
    """

    name: str
    before: tuple[tuple[str, float], ...]
    tuning: str
    number: float | None
    after: tuple[tuple[str, float], ...]

    @property
    def uses_target(self) -> bool:
        """Whether it reads the target's unlabelled text."""
        return any(STRATEGY_STEPS[step].uses_target for step in self.steps)

    @property
    def steps(self) -> list[str]:
        """The names of its steps, in order."""
        return [*(step for step, _ in self.before), self.tuning, *(step for step, _ in self.after)]

    @property
    def without_after(self) -> Strategy:
        """The strategy up to the end of its tuning."""
        name = self.name.rpartition("+")[0] if self.after else self.name
        return Strategy(name, self.before, self.tuning, self.number, ())

    @property
    def is_random(self) -> bool:
        """Whether another seed gives another result."""
        return self.tuning != "feature_extraction" or bool(self.before or self.after)


def parse_strategy(name: str) -> Strategy:
    """Read a strategy's name.

    Steps are joined by ``+``: what is done to the encoder, then one way of tuning (``full`` where none is named), then
    what follows. A number after a colon sets the step's one main setting.

    Args:
        name: such as ``full``, ``lora:16`` or ``dapt+lp_ft+self_training``.

    Returns:
        The strategy.

    Raises:
        InputError: an unknown step, one that stands twice, a number where there is nothing to set or out of range, two
            ways of tuning, steps in the wrong order, or steps that do not go together.

    Example:
        >>> parse_strategy("dapt+lora:16").tuning
        'lora'
    """
    numbers = {step: own.number for step, own in STRATEGY_STEPS.items()}
    written, steps = parse_chain(name, numbers, noun="strategy")
    stages = [STRATEGY_STEPS[step].stage for step, _ in steps]
    order = sorted(stages, key=("before", "tuning", "after").index)
    if stages != order or stages.count("tuning") > 1 or stages.count("after") > 1:
        raise InputError(
            f"the strategy '{name}' is out of order",
            expected="what is done to the encoder first, then one way of tuning, then self_training",
            found=", ".join(f"{step} ({stage})" for (step, _), stage in zip(steps, stages, strict=True)),
        )
    filled = [(step, _number(step, number)) for step, number in steps]
    tuning = next(((step, number) for step, number in filled if STRATEGY_STEPS[step].stage == "tuning"), ("full", None))
    before = tuple((step, number or 0.0) for step, number in filled if STRATEGY_STEPS[step].stage == "before")
    after = tuple((step, number or 0.0) for step, number in filled if STRATEGY_STEPS[step].stage == "after")
    if after and tuning[0] in FROZEN:
        raise InputError(
            f"'{tuning[0]}' leaves the encoder as it is, so that no network follows it",
            found=name,
            remedy="Leave out self_training, or name a way of tuning such as full.",
        )
    if before and STRATEGY_STEPS[tuning[0]].trees:
        raise InputError(
            f"'{tuning[0]}' is saved with the name of its encoder and not with the encoder, so that none made by "
            f"{before[0][0]} goes with it",
            found=name,
            remedy=f"Leave {before[0][0]} out, or put feature_extraction in the place of the trees.",
        )
    if before and tuning[0] == "no_pretraining":
        raise InputError(
            f"'no_pretraining' draws all weights anew, and undoes {before[0][0]}", found=name, remedy="Leave one out."
        )
    return Strategy(written, before, tuning[0], tuning[1], after)


def _number(step: str, given: float | None) -> float | None:
    number = STRATEGY_STEPS[step].number
    return number.default if given is None and number is not None else given
