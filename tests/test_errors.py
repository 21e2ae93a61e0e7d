"""The one error for bad input: what its message says, and that it survives being passed about."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from nlptransfer.errors import InputError


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({}, "bad."),
        ({"where": "a.txt"}, "a.txt: bad."),
        ({"where": Path("folder") / "a.txt", "line": 12}, f"{Path('folder') / 'a.txt'}, line 12: bad."),
        ({"line": 1}, "line 1: bad."),
        ({"line": 0, "where": "a.txt"}, "a.txt, line 0: bad."),
        ({"expected": "3 columns"}, "bad. Expected 3 columns."),
        ({"found": "'Ünsinn'"}, "bad. Found 'Ünsinn'."),
        ({"expected": "3", "found": "2"}, "bad. Expected 3; found 2."),
        ({"remedy": "Mend it."}, "bad. Mend it."),
        ({"found": ""}, "bad. Found ."),
        (
            {"where": "a.txt", "line": 3, "expected": "300 numbers", "found": "299", "remedy": "Download it again."},
            "a.txt, line 3: bad. Expected 300 numbers; found 299. Download it again.",
        ),
    ],
)
def test_a_message_says_where_what_expected_found_and_what_to_do(facts: dict[str, object], message: str) -> None:
    assert str(InputError("bad", **facts)) == message  # type: ignore[arg-type]


def test_only_the_first_letter_of_the_comparison_is_made_a_capital() -> None:
    # `str.capitalize` would lower the rest: "Expected upos, as in ud".
    error = InputError("bad", expected="UPOS, as in UD", found="XPOS")
    assert str(error) == "bad. Expected UPOS, as in UD; found XPOS."


def test_an_input_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="bad"):
        raise InputError("bad")


@pytest.mark.parametrize("passed", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_the_message_is_the_same_after_a_process_boundary(passed) -> None:  # type: ignore[no-untyped-def]
    error = InputError("bad", where="a.txt", line=3, remedy="Mend it.")
    assert str(passed(error)) == str(error)
