"""What the command line must know of a model before it can use it: whether it tags words or labels texts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Literal

from nlptransfer.errors import InputError

# https://universaldependencies.org/u/pos/; the column xpos takes any tag.
_UNIVERSAL_TAGS = {
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN",
    "PUNCT", "SCONJ", "SYM", "VERB", "X",
}  # fmt: skip


def is_tagger(model: Any) -> bool:
    """Whether the model has tags for words, and not labels for texts."""
    return hasattr(model, "tags")


def check_fit(
    arguments: argparse.Namespace, what: str, *, formats: Sequence[str] = (), unfit: Sequence[str] = ()
) -> None:
    """Refuse the flags that say nothing to this kind of model, rather than pass over them."""
    for name in unfit:
        if getattr(arguments, name) is not None:
            raise InputError(f"the model {what}, which --{name} does not go with", remedy="Leave the flag out.")
    if formats and arguments.format not in (None, *formats):
        raise InputError(
            f"the model {what}, which the format does not go with",
            expected=" or ".join(formats),
            found=arguments.format,
        )


def conllu_column(model: Any) -> Literal["upos", "xpos"]:
    """The CoNLL-U column that the model's tags belong in: as its metadata says, else upos if all are universal tags."""
    learned = model.metadata.get("tag_column")
    if learned in ("upos", "xpos"):
        return "upos" if learned == "upos" else "xpos"
    return "upos" if set(model.tags) <= _UNIVERSAL_TAGS else "xpos"
