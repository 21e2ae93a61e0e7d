"""The one error for input that the user can mend: it ends as a message, not as a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class InputError(ValueError):
    """Bad input, told in one message: where, what was wrong, expected, found, and what to do.

    The command line prints ``str(error)`` and exits with code 2; ``--debug`` shows the traceback.

    Args:
        problem: what is wrong, as a clause without a closing full stop.
        where: the file, folder or corpus name that holds the problem.
        line: its line number, counted from 1.
        expected: what would have been right.
        found: what was there instead.
        remedy: what the user can do, as a full sentence.

    Example:
        >>> print(InputError("the vector of 'the' has the wrong length", where="glove.txt", line=12,
        ...                  expected="300 numbers, as the header says", found="299",
        ...                  remedy="Download the file again."))
        glove.txt, line 12: the vector of 'the' has the wrong length. Expected 300 numbers, as the header says; \
found 299. Download the file again.
    """

    def __init__(
        self,
        problem: str,
        *,
        where: str | Path | None = None,
        line: int | None = None,
        expected: str | None = None,
        found: str | None = None,
        remedy: str | None = None,
    ) -> None:
        place = "" if where is None else str(where)
        if line is not None:
            place = f"{place}, line {line}" if place else f"line {line}"
        comparison = "; ".join(
            f"{word} {text}" for word, text in (("expected", expected), ("found", found)) if text is not None
        )
        sentences = [f"{place}: {problem}." if place else f"{problem}."]
        if comparison:
            sentences.append(f"{comparison[0].upper()}{comparison[1:]}.")
        if remedy is not None:
            sentences.append(remedy)
        super().__init__(" ".join(sentences))

    def __reduce__(self) -> tuple[Any, ...]:
        # Rebuilt from its message, which must not be taken for the problem and get another full stop.
        return _rebuild, (str(self),)


def _rebuild(message: str) -> InputError:
    error = InputError.__new__(InputError)
    error.args = (message,)
    return error
