"""The names of the bridges of a cross-lingual run: what each spells, which model it is, what is put on top."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from nlptransfer.errors import InputError
from nlptransfer.step_chains import Number, parse_chain

Spelling = Literal["none", "rules", "script", "script_train", "translated"]
Model = Literal["recurrent", "vectors", "subwords", "encoder"]
_MODELS = ("vectors", "subwords", "encoder")

_STEPS: dict[str, Number | None] = {
    **dict.fromkeys((*get_args(Spelling), *_MODELS)),
    "source_weighting": None,
    "self_training": Number("rounds", 1, "a whole number from 1 on"),
}
"""What can be said in a bridge's name, each with the number that it can be given."""

_SPELLINGS: tuple[Spelling, ...] = get_args(Spelling)
INTO_TARGET = ("script_train", "translated")
"""Spellings of the source's training text: the model reads the target as it is."""


@dataclass(frozen=True)
class Bridge:
    """How a model of the source language comes to read the target.

    Attributes:
        name: as it was written.
        spelling: ``none``; ``rules`` and ``script``: the target's words are written in the source's script, letter by
            letter or as words that the source's text knows; ``script_train``: the source's training text is written in
            the target's script, and the model reads the target as it is; ``translated``: the same in its words.
        model: the recurrent network on vectors of the language that it reads; on ``vectors`` of both languages in one
            space; on vectors of ``subwords`` of both; or a pretrained ``encoder``.
        weighted: whether source items count by how near they are to the target.
        rounds: of self-training on the target's unlabelled text.
    """

    name: str
    spelling: Spelling
    model: Model
    weighted: bool = False
    rounds: int = 0

    @property
    def without_rounds(self) -> Bridge:
        """The bridge up to its self-training."""
        return replace(self, name=self.name.rpartition("+")[0] or _SPELLINGS[0], rounds=0) if self.rounds else self


def parse_bridge(name: str) -> Bridge:
    """Read a bridge's name: at most one way of spelling, one kind of model, then what is put on top, joined by ``+``.

    Raises:
        InputError: an unknown step, or steps that do not go together.

    Example:
        >>> parse_bridge("script+self_training:2").rounds
        2
    """
    written, steps = parse_chain(name, _STEPS, noun="bridge")
    names = [step for step, _ in steps]
    spellings = [step for step in names if step in _SPELLINGS]
    models = [step for step in names if step in _MODELS]
    if len(spellings) > 1 or len(models) > 1:
        raise InputError(
            f"'{written}' names two of a kind",
            expected=f"one of {', '.join(_SPELLINGS)} and one of {', '.join(_MODELS)} at most",
            remedy="Leave one out.",
        )
    order = [_SPELLINGS, _MODELS, ("source_weighting",), ("self_training",)]
    places = [next(number for number, group in enumerate(order) if step in group) for step in names]
    if places != sorted(places):
        raise InputError(
            f"the bridge '{written}' is out of order",
            expected="how words are spelt, then the model, then source_weighting, then self_training, such as "
            "script+encoder+self_training",
        )
    rounds = next((int(number or 1) for step, number in steps if step == "self_training"), 0)
    return Bridge(
        written,
        spellings[0] if spellings else "none",
        models[0] if models else "recurrent",  # type: ignore[arg-type]
        "source_weighting" in names,
        rounds,
    )
