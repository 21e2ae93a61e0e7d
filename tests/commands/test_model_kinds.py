from __future__ import annotations

from types import SimpleNamespace

import pytest

from nlptransfer.commands.model_kinds import conllu_column


@pytest.mark.parametrize(
    ("learned", "tags", "column"),
    [
        ("xpos", ["VERB"], "xpos"),
        ("upos", ["VBD"], "upos"),
        (None, ["VERB", "X"], "upos"),
        (None, ["VERB", "VBD"], "xpos"),
        ("my_tags", ["VBD"], "xpos"),
    ],
)
def test_a_model_that_names_no_conllu_column_is_known_by_its_tags(
    learned: str | None, tags: list[str], column: str
) -> None:
    assert conllu_column(SimpleNamespace(metadata={"tag_column": learned}, tags=tags)) == column
