"""A card tells the saved system's own scores and verdicts, and how to load it."""

from __future__ import annotations

import ast
import re

from nlptransfer.evaluation.model_card import model_card
from nlptransfer.evaluation.verdict import Score, Verdict, describe

SCORES = [
    Score("frozen", "test", "token_accuracy", 0.9712, 0.9, 0.99, 12_345, 0),
    Score("frozen", "test", "token_accuracy", 0.9611, 0.9, 0.99, 12_345, 1),
    Score("frozen", "test", "token_accuracy", 0.96615, 0.95, 0.98, 12_345, None),
    Score("random", "test", "token_accuracy", 0.8642, 0.8, 0.9, 12_345, 1),
]
VERDICTS = [
    Verdict("frozen", "random", "test", "token_accuracy", 0.1, 0.08, 0.12, 0.0002, "helped"),
    Verdict("perceptron", "random", "test", "token_accuracy", -0.1, -0.12, -0.08, 0.0002, "harmed"),
]


def card(system: str = "frozen", seed: int = 1) -> str:
    return model_card(
        title="A tagger",
        system=system,
        seed=seed,
        summary="It tags.",
        scores=SCORES,
        verdicts=VERDICTS,
        signature={"train_data": "treebank", "seeds": [0, 1]},
        notes=["Checked.", "THE CORPUS IS SYNTHETIC."],
    )


def test_scores_are_those_of_the_seed_that_was_saved_and_the_mean() -> None:
    rows = [line for line in card().splitlines() if line.startswith("| test")]
    assert rows == [
        "| test | token_accuracy | 1 | 96.11 | 90.00 to 99.00 | 12,345 |",
        "| test | token_accuracy | mean over seeds | 96.61 | 95.00 to 98.00 | 12,345 |",
    ]


def test_the_verdict_is_the_systems_own() -> None:
    text = card()
    assert f"- {describe(VERDICTS[0])}" in text
    assert "harmed" not in text
    assert "This system is the baseline" in card("random") and "helped" not in card("random")


def test_what_the_numbers_rest_on_and_every_caution_is_told() -> None:
    text = card()
    assert text.startswith("# A tagger\n\nIt tags.\n")
    for line in ("- train_data: treebank", "- seeds: [0, 1]", "- Checked.", "- THE CORPUS IS SYNTHETIC."):
        assert f"\n{line}\n" in text


def test_the_code_in_it_is_python() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", card(), re.DOTALL)
    ast.parse(code)
    assert "nlptransfer.load(" in code


def test_the_card_of_a_model_for_documents_shows_its_own_pair() -> None:
    scores = [
        Score("dann", "target_test", "accuracy", value, 0.7, 0.9, 2_000, 0, pair)
        for pair, value in (("books>dvd", 0.8), ("dvd>books", 0.75))
    ]
    verdicts = [
        Verdict("dann", "source-only", "target_test", "accuracy", 0.1, 0.08, 0.12, 0.0002, "helped", pair)
        for pair in ("books>dvd", "dvd>books")
    ]
    text = model_card(
        title="Sentiment",
        system="dann",
        seed=0,
        summary="It reads reviews.",
        scores=scores,
        verdicts=verdicts,
        signature={},
        pair="books>dvd",
    )
    assert "| target_test | accuracy | 0 | 80.00 | 70.00 to 90.00 | 2,000 |" in text
    assert "75.00" not in text and "dvd>books" not in text
    assert "interval over documents" in text and "| documents |" in text
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert 'predict(["' in code
    ast.parse(code)
