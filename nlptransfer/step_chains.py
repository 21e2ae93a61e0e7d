"""Chains of named steps as users write them: joined by plus signs, each with at most one number after a colon."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nlptransfer.errors import InputError

_RANGES: dict[str, Callable[[float], bool]] = {
    "a number from 0 on": lambda value: value >= 0,
    "a number above 0": lambda value: value > 0,
    "a number above 0 and at most 1": lambda value: 0 < value <= 1,
    "a number from 1 on": lambda value: value >= 1,
    "a whole number from 1 on": lambda value: value >= 1 and value == int(value),
}
"""What a step's number may be, each as it is said to the user."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Number:
    """The one number that a step can be given.

    Attributes:
        name: what it sets.
        default: what it is where none is given.
        allowed: what it may be, in the words of `_RANGES`.
    """

    name: str
    default: float
    allowed: str


def parse_chain(
    name: str, numbers: Mapping[str, Number | None], *, noun: str
) -> tuple[str, list[tuple[str, float | None]]]:
    """Read a chain of steps.

    Args:
        name: as it was written.
        numbers: the steps that there are, each with the number that it can be given, if any.
        noun: what such a chain is called in messages, such as method.

    Returns:
        The chain without spaces, and its steps in order, each with its number or None.

    Raises:
        InputError: an unknown step, one that stands twice, a number where there is nothing to set or out of range.
    """
    parts = ["".join(part.split()) for part in re.split(r"\+(?!\d)", name)]  # a plus before a digit is that of 1e+3
    steps = [_parse_step(part, name, numbers, noun) for part in parts]
    names = [step for step, _ in steps]
    twice = next((step for step in names if names.count(step) > 1), None)
    if twice:
        raise InputError(f"'{twice}' stands twice in a {noun}'s name", found=name, remedy="Write it once.")
    return "+".join(parts), steps


def _parse_step(part: str, name: str, numbers: Mapping[str, Number | None], noun: str) -> tuple[str, float | None]:
    step, colon, text = part.partition(":")
    if step not in numbers:
        close = difflib.get_close_matches(step.lower(), numbers, n=1)
        raise InputError(
            f"there is no {noun} '{step}'" + (f" (in '{name}')" if step != name else ""),
            expected=f"one of {', '.join(numbers)}, or several joined by +",
            remedy=f"Did you mean {close[0]}?" if close else None,
        )
    if not colon:
        return step, None
    number = numbers[step]
    if number is None:
        raise InputError(f"'{step}' has no number to set", found=part, remedy=f"Write {step}.")
    value = float(text) + 0.0 if _NUMBER.fullmatch(text) else math.nan  # with + 0.0, -0 is 0
    if not math.isfinite(value) or not _RANGES[number.allowed](value):
        raise InputError(
            f"the {number.name} of '{step}' can't be '{text}'",
            expected=f"{number.allowed}, such as {step}:{shortest_number(number.default)}",
            found=part,
        )
    return step, value


def shortest_number(value: float) -> str:
    """The shortest number that is read as the same one, without a plus sign, which would part two steps."""
    return repr(value).removesuffix(".0").replace("e+", "e")
