"""Methods by name, alone or in a chain such as `idf+scl:50+self_training`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlptransfer.errors import InputError
from nlptransfer.step_chains import Number, parse_chain, shortest_number

Kind = Literal["representation", "transform", "weighting", "classifier", "network"]

_WHOLE = "a whole number from 1 on"
_SHARE = "a number above 0 and at most 1"
_ON_WORDS = ("idf", "scl", "pivot_tasks")
_WITHOUT_WEIGHTS = ("tradaboost", "few_only", "label_shift")


@dataclass(frozen=True)
class Step:
    """What can be said in a method's name.

    Attributes:
        kind: a representation that is learnt from unlabelled text, a transform of features, a weighting of source rows,
            a linear classifier, or a network's training.
        setting: what the number after the colon sets; None where there is nothing to set.
        default: that number.
        candidates: the numbers to choose from by a label-free score.
        allowed: what the number may be.
        random: whether another seed gives another result.
        needs_target_labels: whether it wants a few labelled reviews of the target.
    """

    kind: Kind
    setting: str | None = None
    default: float | None = None
    candidates: tuple[float, ...] = ()
    allowed: str = "a number from 0 on"
    random: bool = False
    needs_target_labels: bool = False


STEPS = {
    "msda": Step("representation", "num_layers", 5, (1, 3, 5), _WHOLE),
    "msda_without_target": Step("representation", "num_layers", 5, (1, 3, 5), _WHOLE),
    "sda": Step("representation", "num_layers", 1, (1, 2, 3), _WHOLE, random=True),
    "sda_without_target": Step("representation", "num_layers", 1, (1, 2, 3), _WHOLE, random=True),
    "idf": Step("transform"),
    "coral": Step("transform", "regularization", 0.01, (0.001, 0.01, 0.1), "a number above 0"),
    "scl": Step("transform", "num_dimensions", 50, (25, 50, 100), _WHOLE),
    "subspace_alignment": Step("transform", "num_components", 100, (50, 100, 200), _WHOLE, random=True),
    "easyadapt": Step("transform", needs_target_labels=True),
    "easyadapt_pp": Step("transform", "unlabelled_weight", 0.01, (0.001, 0.01, 0.1), needs_target_labels=True),
    "density_ratio": Step("weighting", "C", 0.01, (0.001, 0.01, 0.1), "a number above 0", random=True),
    "kmm": Step("weighting"),
    "kliep": Step("weighting", random=True),
    "oversample": Step("weighting", random=True),
    "undersample": Step("weighting", random=True),
    "linear": Step("classifier"),
    "pooled": Step("classifier", needs_target_labels=True),
    "few_only": Step("classifier", needs_target_labels=True),
    "self_training": Step("classifier", "final_share", 0.8, (0.4, 0.8), _SHARE, random=True),
    "label_shift": Step("classifier", random=True),
    "tradaboost": Step("classifier", "num_rounds", 10, (10, 30), _WHOLE, needs_target_labels=True),
    "network": Step("network", random=True),
    "dann": Step("network", "adaptation_weight", 0.3, (0.1, 0.3, 1.0), random=True),
    "mmd": Step("network", "adaptation_weight", 1.0, (0.3, 1.0, 3.0), random=True),
    "deep_coral": Step("network", "adaptation_weight", 100.0, (1.0, 10.0, 100.0), random=True),
    "pivot_tasks": Step("network", "adaptation_weight", 0.3, (0.1, 0.3, 1.0), random=True),
    "reconstruction": Step("network", "reconstruction_weight", 100.0, (30.0, 100.0, 300.0), random=True),
    "network_self_training": Step("network", "final_share", 0.8, (0.4, 0.8), _SHARE, random=True),
    "sequence_denoising": Step("network", "epochs", 5, allowed=_WHOLE, random=True),
    "l2_sp": Step("network", "strength", 0.1, (0.01, 0.1, 1.0), random=True, needs_target_labels=True),
}
"""Every step by name. A new method is one file and one line here, and one where its kind is built
(`representations.py`, `array_systems.py`, `network_systems.py`)."""


_NUMBERS = {
    name: None if step.setting is None or step.default is None else Number(step.setting, step.default, step.allowed)
    for name, step in STEPS.items()
}


@dataclass(frozen=True)
class Method:
    """A parsed name.

    Attributes:
        name: as it was written, without spaces.
        steps: (name of the step, its number or None for the default), the last one the classifier or network.
    """

    name: str
    steps: tuple[tuple[str, float | None], ...]

    @property
    def head(self) -> str:
        """What classifies in the end: a classifier's or network's step."""
        return self.steps[-1][0]

    @property
    def representation(self) -> tuple[str, float | None] | None:
        """The step that learns a representation, on which all others work, with its number; None without one."""
        return next((own for own in self.steps if STEPS[own[0]].kind == "representation"), None)

    def on_representation(self) -> Method:
        """The method without its representation: what is done with the features that it learns."""
        if self.representation is None:
            return self
        return Method(self.name, self.steps[self.steps.index(self.representation) + 1 :])

    @property
    def is_control(self) -> bool:
        """Whether its representation is kept from the target's text, to tell what that text is worth."""
        return self.representation is not None and self.representation[0].endswith("_without_target")

    @property
    def is_plain(self) -> bool:
        """Whether a linear classifier is all there is beside a representation."""
        return self.on_representation().steps == (("linear", None),)

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
        """Every step, with its number where it is not left to the default: `parse_method` reads the same steps."""
        return "+".join(step if value is None else f"{step}:{shortest_number(value)}" for step, value in self.steps)


def setting_of(step: str, value: float | None) -> float:
    """The number that a step works with: the one given, else its default."""
    number = STEPS[step].default if value is None else value
    if number is None:
        raise ValueError(f"{step} has no number")
    return float(number)


def parse_method(name: str) -> Method:
    """Read a method's name.

    Steps are joined by ``+``: a representation, if any; transforms of the features and weightings of the source rows in
    the order in which they are applied; then at most one classifier or network; without one, a logistic regression.
    A number after a colon sets the step's one main setting.

    Args:
        name: such as ``coral``, ``dann:0.1`` or ``idf+scl+self_training``.

    Returns:
        The method.

    Raises:
        InputError: an unknown step, one that stands twice, a number where there is nothing to set or out of the step's
            range, a classifier that is not the last step, or steps that do not go together.

    Example:
        >>> parse_method("idf+dann:0.3").steps
        (('idf', None), ('dann', 0.3))
    """
    written, steps = parse_chain(name, _NUMBERS, noun="method")
    names = [step for step, _ in steps]
    heads = [step for step in names if STEPS[step].kind in ("classifier", "network")]
    if len(heads) > 1 or (heads and names[-1] != heads[0]):
        raise InputError(
            f"the method '{name}' has a classifier or network that is not its last step",
            expected="transforms and weightings first, then at most one of them",
            found=", ".join(heads),
        )
    if not heads:
        steps.append(("linear", None))
    _check_combination(name, names, heads[0] if heads else "linear")
    return Method(written, tuple(steps))


def _check_combination(name: str, names: list[str], head: str) -> None:
    """Refuse steps of which one would undo or ignore another."""
    weighting = next((step for step in names if STEPS[step].kind == "weighting"), None)
    if weighting and head in _WITHOUT_WEIGHTS:
        raise InputError(
            f"'{head}' weighs the source rows itself, or uses none", found=name, remedy=f"Leave out {weighting}."
        )
    augmentation = next((step for step in names if step in ("easyadapt", "easyadapt_pp")), None)
    if augmentation and head in ("pooled", "few_only", "tradaboost"):
        raise InputError(
            f"'{augmentation}' and '{head}' both add the target's few labelled rows",
            found=name,
            remedy=f"Leave out {augmentation} or {head}.",
        )
    if augmentation == "easyadapt_pp" and head != "linear":
        raise InputError(
            f"the rows that 'easyadapt_pp' adds carry every label, which '{head}' would take for labelled reviews",
            found=name,
            remedy=f"Write easyadapt, or leave out {head}.",
        )
    places = [place for place, step in enumerate(names) if STEPS[step].kind == "representation"]
    if places and places != [0]:
        raise InputError(
            f"the method '{name}' learns a representation from the features of an earlier step",
            expected="a representation first, since it reads the words of a document",
            remedy="Write it as the first step, and no second one; it weighs words by idf itself.",
        )
    wants_words = next((step for step in names[places[0] + 1 :] if step in _ON_WORDS), None) if places else None
    if wants_words:
        raise InputError(
            f"'{wants_words}' works on words, and '{names[places[0]]}' leaves none",
            found=name,
            remedy=f"Leave out {wants_words}, or {names[places[0]]}.",
        )
    transforms = [step for step in names if STEPS[step].kind == "transform"]
    if "easyadapt_pp" in transforms[:-1]:
        raise InputError(
            "the rows that 'easyadapt_pp' adds belong to no domain, so that no transform can follow it",
            found=name,
            remedy=f"Write {'+'.join(step for step in transforms if step != 'easyadapt_pp')}+easyadapt_pp.",
        )
