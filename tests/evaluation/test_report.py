"""The page and the printed summary: what stands where, and that nothing from the data becomes markup."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from nlptransfer.errors import InputError
from nlptransfer.evaluation.predictions import Predictions
from nlptransfer.evaluation.report import print_report, write_report
from nlptransfer.evaluation.verdict import Score, Verdict, describe

SCORES = [
    Score("random", "test", "token_accuracy", 0.95, 0.94, 0.96, 1_000, None),
    Score("random", "test", "token_accuracy", 0.95, 0.94, 0.96, 1_000, 0),
    Score("frozen", "test", "token_accuracy", 0.97, 0.96, 0.98, 1_000, None),
    Score("frozen", "test", "token_accuracy", 0.968, 0.96, 0.98, 1_000, 0),
    Score("frozen", "test", "token_accuracy", 0.972, 0.96, 0.98, 1_000, 1),
    Score("frozen", "test", "padded_accuracy", 0.985, 0.98, 0.99, 2_000, None),
    Score("frozen", "dev", "token_accuracy", 0.911, 0.91, 0.92, 500, None),
]
VERDICTS = [
    Verdict("frozen", "random", "test", "token_accuracy", 0.02, 0.015, 0.025, 0.0002, "helped"),
    Verdict("<i>&", "random", "test", "token_accuracy", -0.001, -0.003, 0.001, 0.3, "no evidence"),
]
COVERAGE = [
    {
        "group": "tag",
        "name": "PRP$<b>",
        "tokens": 1_234,
        "types": 56,
        "token_share": {"exact": 0.9, "not found": 0.1},
        "type_share": {"exact": 0.7, "not found": 0.3},
    }
]
VOID = {"meta", "img", "br"}


class Balance(HTMLParser):
    """Fails on a tag that is not closed, and collects the text and the sources."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page(tmp_path: Path) -> str:
    (tmp_path / "gains.png").write_bytes(b"not really a picture")
    gold = [["N", "<u>"]]
    write_report(
        tmp_path / "report.html",
        title="POS tagging",
        question="Do vectors help?",
        scores=SCORES,
        verdicts=VERDICTS,
        signature={"labels used for training": "train", "seeds": [0, 1]},
        settings={"train_data": "<script>alert(1)</script>", "crf": False, "vectors": None},
        predictions=[Predictions("frozen", "test", seed, [["a", "b"]], gold, gold) for seed in (0, 1)],
        best_system="frozen",
        coverage=COVERAGE,
        plots={"Gains & more": tmp_path / "gains.png"},
        seconds={"training": 12.34},
        warnings=["This is the synthetic corpus."],
        notes=["Padding was 3 % of positions."],
    )
    return (tmp_path / "report.html").read_text("utf-8")


def test_the_page_is_well_formed_and_takes_nothing_from_outside(tmp_path: Path) -> None:
    text = page(tmp_path)
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    picture = base64.b64encode(b"not really a picture").decode()
    assert parser.sources == [f"data:image/png;base64,{picture}"]
    assert "http" not in text
    assert "<script" not in text


def test_data_never_becomes_markup(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert "&lt;script&gt;alert(1)" in text
    assert "PRP$&lt;b&gt;" in text
    assert "&lt;i&gt;&amp;" in text
    assert "&lt;u&gt;" in text
    assert "&amp;lt;" not in text  # nor is it escaped twice


def test_warnings_come_first_then_the_verdict_and_the_settings_last(tmp_path: Path) -> None:
    text = page(tmp_path)
    order = [
        "This is the synthetic corpus.",
        "<h2>Verdict",
        "frozen helped: +2.0 points",
        "<h2>Scores",
        "<h2>Tag by tag: frozen",
        "<h2>What the word vectors cover",
        "<h2>Pictures",
        "<h2>What the numbers rest on",
        "<h2>Notes",
        "<h2>Settings",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_scores_show_mean_interval_spread_and_every_seed_in_percent(tmp_path: Path) -> None:
    cells = re.findall(r"<td>(.*?)</td>", page(tmp_path))
    row = cells[cells.index("97.00") - 1 :][:6]
    assert row == ["frozen", "97.00", "96.00 to 98.00", "0.28", "96.80", "97.20"]


def test_the_scores_of_test_splits_come_before_those_of_dev(tmp_path: Path) -> None:
    scores = [SCORES[-1], *SCORES[:-1]]
    path = tmp_path / "report.html"
    write_report(path, title="t", question="q", scores=scores, verdicts=[], signature={}, settings={})
    assert re.findall(r"<h3>(\w+):", path.read_text("utf-8")) == ["test", "test", "dev"]


def test_the_support_of_a_tag_is_counted_once_for_all_seeds(tmp_path: Path) -> None:
    assert "<td>N</td><td>100.00</td><td>100.00</td><td>100.00</td><td>1</td>" in page(tmp_path)


def test_padding_is_explained_where_it_is_counted(tmp_path: Path) -> None:
    assert "2,000 positions were scored for 1,000 real words" in page(tmp_path)


def test_several_p_values_are_said_to_be_uncorrected(tmp_path: Path) -> None:
    assert "The 2 p-values are each for its own comparison" in page(tmp_path)


def test_a_missing_picture_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.png: the picture can't be read"):
        write_report(
            tmp_path / "report.html",
            title="t",
            question="q",
            scores=[],
            verdicts=[],
            signature={},
            settings={},
            plots={"x": tmp_path / "none.png"},
        )
    assert not (tmp_path / "report.html").exists()


def test_into_a_pipe_go_whole_lines_without_boxes() -> None:
    out = io.StringIO()
    print_report(SCORES, VERDICTS, warnings=["Synthetic [bold]corpus."], console=Console(file=out, width=40))
    assert out.getvalue().split("\n") == [
        "Warning: Synthetic [bold]corpus.",
        *(describe(verdict, num_seeds=seeds) for verdict, seeds in zip(VERDICTS, (2, None), strict=True)),
        "random test token_accuracy 95.00 % (94.00 to 96.00)",
        "frozen test token_accuracy 97.00 % (96.00 to 98.00)",
        "frozen test padded_accuracy 98.50 % (98.00 to 99.00)",
        "",
    ]


def test_on_a_terminal_goes_a_table_without_development_scores() -> None:
    out = io.StringIO()
    print_report(SCORES, VERDICTS, console=Console(file=out, width=120, force_terminal=True))
    assert "sd over seeds" in out.getvalue()
    assert "97.00" in out.getvalue()
    assert "91.10" not in out.getvalue()
