"""The report of many pairs: verdicts over all pairs first, systems by pairs, and an oracle that is no result."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from nlptransfer.evaluation.document_predictions import DocumentPredictions
from nlptransfer.evaluation.pair_report import short_pairs
from nlptransfer.evaluation.report import Table, print_report, write_report
from nlptransfer.evaluation.verdict import Score, Verdict, describe

PAIRS = ["books>dvd", "dvd>books"]
VALUES = {"source-only": (0.75, 0.77), "dann": (0.78, 0.76), "target-trained": (0.85, 0.86), "oracle": (0.80, 0.79)}


def score(system: str, value: float, pair: str, seed: int | None = None) -> Score:
    return Score(system, "target_test", "accuracy", value, value - 0.01, value + 0.01, 1_000, seed, pair)


SCORES = [
    score(system, value + spread, pair, seed)
    for system, values in VALUES.items()
    for pair, value in zip([*PAIRS, "all"], (*values, sum(values) / 2), strict=True)
    for seed, spread in ((0, -0.01), (1, 0.01), (None, 0.0))
]


def verdict(system: str, gain: float, pair: str, closed: float | None, reading: str) -> Verdict:
    return Verdict(
        system, "source-only", "target_test", "accuracy", gain, gain - 0.01, gain + 0.01, 0.03, reading, pair, closed
    )  # type: ignore[arg-type]


VERDICTS = [
    verdict("dann", 0.03, "books>dvd", 0.3, "helped"),
    verdict("oracle", 0.05, "books>dvd", 0.5, "helped"),
    verdict("dann", -0.01, "dvd>books", None, "harmed"),
    verdict("oracle", 0.02, "dvd>books", None, "helped"),
    verdict("oracle", 0.035, "all", 0.37, "helped"),
    verdict("dann", 0.01, "all", 0.11, "no evidence"),
]


def page(tmp_path: Path) -> str:
    ids, gold = ["0", "1"], ["neg", "pos"]
    write_report(
        tmp_path / "report.html",
        title="Cross-domain sentiment",
        question="What can be carried over?",
        scores=SCORES,
        verdicts=VERDICTS,
        signature={},
        settings={},
        predictions=[
            DocumentPredictions("dann", "target_test", seed, ids, gold, ["neg", "neg"], pair)
            for pair in PAIRS
            for seed in (0, 1)
        ],
        best_system="dann",
        tables=[
            Table(
                "Domains", [{"pair": "books>dvd", "MMD": 0.0123456, "words": ["<b>", "plot"]}, {"pair": "dvd>books"}]
            ),
            Table("Words", [{"n": 1_234, "moved": True}], "The most <moved>."),
        ],
        reference="target-trained",
        not_usable=["oracle"],
    )
    return (tmp_path / "report.html").read_text("utf-8")


def test_the_verdicts_over_all_pairs_come_first_and_those_of_pairs_are_folded(tmp_path: Path) -> None:
    text = page(tmp_path)
    order = [
        "<h2>Verdict over all pairs",
        "no evidence that dann helped or harmed: +1.0 points",
        "NOT USABLE, since it was chosen by test labels: oracle helped",
        "sign-flip permutation test over the pairs",
        "<details><summary>The 4 verdicts on single pairs",
        "<h2>Scores",
        "Gap closed: target test",
        "<h2>Domains",
        "The most &lt;moved&gt;.",
        "<h2>Label by label: dann",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "16 p-values" not in text
    assert text.count('class="verdict') == 2


def rows_of(text: str, heading: str) -> list[list[str]]:
    table = text[text.index(heading) :]
    table = table[: table.index("</table>")]
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr[^>]*>(.*?)</tr>", table)]


def test_systems_stand_by_pairs_with_mean_interval_and_spread_in_percent(tmp_path: Path) -> None:
    rows = rows_of(page(tmp_path), "target test: accuracy, %")
    assert rows[0] == ["System", "B&gt;D", "D&gt;B", "mean", "95 % interval", "sd over seeds"]
    assert rows[2] == ["dann", "78.00", "76.00", "77.00", "76.00 to 78.00", "1.41"]
    assert [row[0] for row in rows[1:]] == ["source-only", "dann", "target-trained", "oracle (NOT USABLE)"]


def test_neither_reference_nor_oracle_is_marked_as_the_best(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert re.findall(r'<td class="best">(.*?)</td>', text) == ["77.00", "78.00", "77.00"]
    assert '<tr class="unusable"><td>oracle (NOT USABLE)' in text
    assert "target-trained (trained on target labels) apart" in text
    assert "B: books, D: dvd" in text


def test_a_gap_that_can_not_be_told_is_a_dash(tmp_path: Path) -> None:
    rows = rows_of(page(tmp_path), "Gap closed: target test")
    assert rows[0] == ["System", "over", "B&gt;D", "D&gt;B", "all pairs"]
    assert rows[1] == ["dann", "source-only", "30 %", "–", "11 %"]
    assert rows_of(page(tmp_path), "The 4 verdicts")[3][-3:] == ["harmed", "dvd&gt;books", "–"]


def test_tables_of_the_recipe_take_any_value_and_none_becomes_markup(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert rows_of(text, "<h2>Domains") == [
        ["pair", "MMD", "words"],
        ["books&gt;dvd", "0.01235", "&lt;b&gt;, plot"],
        ["dvd&gt;books", "–", "–"],
    ]
    assert rows_of(text, "<h2>Words") == [["n", "moved"], ["1,234", "yes"]]


def test_gold_labels_are_counted_once_for_all_seeds_but_for_every_pair(tmp_path: Path) -> None:
    rows = rows_of(page(tmp_path), "<h2>Label by label")
    assert rows[0] == ["Label", "Precision, %", "Recall, %", "F1, %", "Documents"]
    assert [row[-1] for row in rows[1:]] == ["2", "2"]


def test_one_pair_only_is_shown_as_a_run_without_pairs(tmp_path: Path) -> None:
    scores = [own for own in SCORES if own.pair == "books>dvd"]
    path = tmp_path / "report.html"
    write_report(path, title="t", question="q", scores=scores, verdicts=VERDICTS[:1], signature={}, settings={})
    text = path.read_text("utf-8")
    assert "<h2>Verdict</h2>" in text
    assert "target test: accuracy (1,000 documents)" in text
    assert "paired permutation test over test documents" in text
    assert "percentile bootstrap over documents" in text
    assert rows_of(text, "target test: accuracy")[1] == [
        "source-only",
        "75.00",
        "74.00 to 76.00",
        "1.41",
        "74.00",
        "76.00",
    ]


def test_into_a_pipe_a_system_goes_on_one_line() -> None:
    out = io.StringIO()
    print_report(SCORES, VERDICTS, not_usable=["oracle"], console=Console(file=out, width=40))
    lines = out.getvalue().split("\n")
    assert lines[:2] == [
        f"NOT USABLE, since it was chosen by test labels: {describe(VERDICTS[4], num_seeds=2)}",
        describe(VERDICTS[5], num_seeds=2),
    ]
    assert lines[3] == (
        "dann target_test accuracy 77.00 % (76.00 to 78.00), mean of 2 pairs: books>dvd 78.00, dvd>books 76.00"
    )
    assert lines[5].startswith("oracle (NOT USABLE) target_test")


def test_on_a_terminal_systems_stand_by_pairs() -> None:
    out = io.StringIO()
    print_report(SCORES, VERDICTS, console=Console(file=out, width=100, force_terminal=True))
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert re.search(r"system +B>D +D>B +mean", text)
    assert re.search(r"dann +78\.0 +76\.0 +77\.0", text)
    assert "B: books, D: dvd" in text


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (["books>dvd"], (["B>D"], "B: books, D: dvd")),
        (["dvd>drama"], (["dvd>drama"], "")),
        (["mine.csv>theirs>odd"], (["mine.csv>theirs>odd"], "")),
        (["dvd+toys>books", "books+toys>dvd"], (["D+T>B", "B+T>D"], "D: dvd, T: toys, B: books")),
        (["dvd+drama>books"], (["dvd+drama>books"], "")),
        (["a+b+c+d>toys", "a+b+c+toys>d"], (["A+B+C+D>T", "A+B+C+T>D"], "A: a, B: b, C: c, D: d, T: toys")),
        (["a1+a2+a3+a4>toys", "a1+a2+a3+toys>a4"], (["4 domains>toys", "4 domains>a4"], "")),
        (["a1+a2+a3+a4>t", "a1+a2+a3+a5>t"], (["a1+a2+a3+a4>t", "a1+a2+a3+a5>t"], "")),
    ],
)
def test_pairs_are_shortened_only_where_initials_tell_domains_apart(
    pairs: list[str], expected: tuple[list[str], str]
) -> None:
    assert short_pairs(pairs) == expected
