"""Methods by name, alone or in a chain such as `idf+scl:50+self_training`."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from nlptransfer.errors import InputError

Kind = Literal["transform", "weighting", "classifier", "network"]


@dataclass(frozen=True)
class Step:
    """What can be said in a method's name.

    Attributes:
        kind: a transform of features, a weighting of source rows, a linear classifier, or a network's training.
        setting: what the number after the colon sets; None where there is nothing to set.
        default: that number.
        candidates: the numbers to choose from by a label-free score.
        random: whether another seed gives another result.
        needs_target_labels: whether it wants a few labelled reviews of the target.
    """

    kind: Kind
    setting: str | None = None
    default: float | None = None
    candidates: tuple[float, ...] = ()
    random: bool = False
    needs_target_labels: bool = False


STEPS = {
    "idf": Step("transform"),
    "coral": Step("transform", "regularization", 0.01, (0.001, 0.01, 0.1)),
    "scl": Step("transform", "num_dimensions", 50, (25, 50, 100)),
    "subspace_alignment": Step("transform", "num_components", 100, (50, 100, 200), random=True),
    "easyadapt": Step("transform", needs_target_labels=True),
    "easyadapt_pp": Step("transform", "unlabelled_weight", 0.01, (0.001, 0.01, 0.1), needs_target_labels=True),
    "density_ratio": Step("weighting", "C", 0.01, (0.001, 0.01, 0.1), random=True),
    "kmm": Step("weighting"),
    "kliep": Step("weighting", random=True),
    "oversample": Step("weighting", random=True),
    "undersample": Step("weighting", random=True),
    "linear": Step("classifier"),
    "pooled": Step("classifier", needs_target_labels=True),
    "few_only": Step("classifier", needs_target_labels=True),
    "self_training": Step("classifier", "final_share", 0.8, (0.4, 0.8), random=True),
    "label_shift": Step("classifier", random=True),
    "tradaboost": Step("classifier", "num_rounds", 10, (10, 30), needs_target_labels=True),
    "network": Step("network", random=True),
    "dann": Step("network", "adaptation_weight", 0.3, (0.1, 0.3, 1.0), random=True),
    "mmd": Step("network", "adaptation_weight", 1.0, (0.3, 1.0, 3.0), random=True),
    "deep_coral": Step("network", "adaptation_weight", 100.0, (1.0, 10.0, 100.0), random=True),
    "pivot_tasks": Step("network", "adaptation_weight", 0.3, (0.1, 0.3, 1.0), random=True),
    "network_self_training": Step("network", "final_share", 0.8, (0.4, 0.8), random=True),
    "l2_sp": Step("network", "strength", 0.1, (0.01, 0.1, 1.0), random=True, needs_target_labels=True),
}
"""Every step by name. A new method is one file and one line here, and one where its kind is built (`array_systems.py`,
`network_systems.py`)."""


@dataclass(frozen=True)
class Method:
    """A parsed name.

    Attributes:
        name: as it was written.
        steps: (name of the step, its number or None for the default), the last one the classifier or network.
    """

    name: str
    steps: tuple[tuple[str, float | None], ...]

    @property
    def head(self) -> str:
        """What classifies in the end: a classifier's or network's step."""
        return self.steps[-1][0]

    @property
    def is_network(self) -> bool:
        """Whether it ends as a network, which is compared with a network."""
        return STEPS[self.head].kind == "network"

    @property
    def is_random(self) -> bool:
        """Whether another seed gives another result."""
        return any(STEPS[step].random for step, _ in self.steps)

    @property
    def needs_target_labels(self) -> bool:
        """Whether it wants a few labelled reviews of the target."""
        return any(STEPS[step].needs_target_labels for step, _ in self.steps)

    def variants(self) -> list[Method]:
        """The same method with each candidate number of its last step that has candidates and was given none."""
        for place in range(len(self.steps) - 1, -1, -1):
            step, value = self.steps[place]
            if value is None and STEPS[step].candidates:
                return [
                    Method(self.name, (*self.steps[:place], (step, candidate), *self.steps[place + 1 :]))
                    for candidate in STEPS[step].candidates
                ]
        return [self]

    def described(self) -> str:
        """The name with every number that is not the default."""
        return "+".join(step if value is None else f"{step}:{value:g}" for step, value in self.steps)


def setting_of(step: str, value: float | None) -> float:
    """The number that a step works with: the one given, else its default."""
    default = STEPS[step].default
    if value is None and default is None:
        raise ValueError(f"{step} has no number")
    return float(default if value is None else value)  # type: ignore[arg-type]


def parse_method(name: str) -> Method:
    """Read a method's name.

    Steps are joined by ``+``: transforms of the features and weightings of the source rows in the order in which they
    are applied, then at most one classifier or network; without one, a logistic regression. A number after a colon
    sets the step's one main setting.

    Args:
        name: such as ``coral``, ``dann:0.1`` or ``idf+scl+self_training``.

    Returns:
        The method.

    Raises:
        InputError: an unknown step, a number where there is nothing to set, or two classifiers.

    Example:
        >>> parse_method("idf+dann:0.3").steps
        (('idf', None), ('dann', 0.3))
    """
    steps: list[tuple[str, float | None]] = []
    for part in name.split("+"):
        step, colon, number = part.strip().partition(":")
        if step not in STEPS:
            close = difflib.get_close_matches(step, STEPS, n=1)
            raise InputError(
                f"there is no method '{step}'" + (f" (in '{name}')" if step != name else ""),
                expected=f"one of {', '.join(STEPS)}, or several joined by +",
                remedy=f"Did you mean {close[0]}?" if close else None,
            )
        value = None
        if colon:
            if STEPS[step].setting is None:
                raise InputError(f"'{step}' has no number to set", found=part, remedy=f"Write {step}.")
            try:
                value = float(number)
            except ValueError:
                value = -1.0
            if not 0 <= value < float("inf"):
                raise InputError(
                    f"the {STEPS[step].setting} of '{step}' is no number from 0 on",
                    expected=f"such as {step}:{setting_of(step, None):g}",
                    found=part,
                )
        steps.append((step, value))
    heads = [step for step, _ in steps if STEPS[step].kind in ("classifier", "network")]
    if len(heads) > 1 or (heads and steps[-1][0] != heads[0]):
        raise InputError(
            f"the method '{name}' has a classifier or network that is not its last step",
            expected="transforms and weightings first, then at most one of them",
            found=", ".join(heads),
        )
    if not heads:
        steps.append(("linear", None))
    weightings = [step for step, _ in steps if STEPS[step].kind == "weighting"]
    if weightings and steps[-1][0] in ("tradaboost", "few_only", "label_shift", "l2_sp", "network_self_training"):
        raise InputError(
            f"'{steps[-1][0]}' weighs the source rows itself, or uses none",
            found=name,
            remedy=f"Leave out {weightings[0]}.",
        )
    return Method(name, tuple(steps))
