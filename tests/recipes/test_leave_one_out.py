"""Each domain once as the target of all others: names, folders, choices, tables and resuming."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from nlptransfer.data.synthetic_reviews import make_review_domains
from nlptransfer.recipes import cross_domain_sentiment
from nlptransfer.recipes.cross_domain_sentiment import main, without_labels_of

PAIRS = {"dvd+toys>books", "books+toys>dvd", "books+dvd>toys"}
SYSTEMS = {"source_only", "idf", "label_free_choice", "oracle_choice", "target_trained"}


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One CSV file of three domains, 40 reviews each."""
    made = make_review_domains(80, seed=0)
    parts = {"books": made.source["train"], "dvd": made.target["train"]}
    rows = [(row["text"], ("neg", "pos")[row["label"]], name) for name in parts for row in list(parts[name])[:40]]
    rows += [(f"{text} toy", label, "toys") for text, label, _ in rows[20:60]]
    file = tmp_path_factory.mktemp("domains") / "reviews.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label", "domain"), *rows])
    return file


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread", "no_reload")
def test_every_domain_is_once_the_target_of_all_others(
    reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    small = ["--methods", "idf", "--max_ngram", "1", "--min_documents", "1", "--device", "cpu", "--processes", "1"]
    flags = ["--pairs", "leave_one_out", "--domains", str(reviews), *small, "--seeds", "0"]
    folders = {pair.replace(">", "_to_") for pair in PAIRS}

    def stop(*args: object) -> None:
        raise RuntimeError("stopped here")

    with monkeypatch.context() as patch:
        patch.setattr(cross_domain_sentiment, "read_cells", stop)
        with pytest.raises(RuntimeError, match="stopped here"):
            main([*flags, "--output_dir", str(folder)])
    assert capsys.readouterr().out.count(", seed 0 (") == 9
    assert {path.name for path in (folder / "cells").iterdir()} == folders
    (folder / "cells" / "books+dvd_to_toys" / "idf-0" / "cell.json").unlink()
    main(["--output_dir", str(folder), "--resume", "--processes", "1"])
    assert capsys.readouterr().out.count(", seed 0 (") == 1, "what is there is not trained again"

    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    accuracy = [score for score in metrics["scores"] if score["metric"] == "accuracy"]
    assert {score["pair"] for score in accuracy} == {*PAIRS, "all"}
    # No choice by the mean: every other pair's source holds the target's labels.
    assert {score["system"] for score in accuracy if score["pair"] == "all"} == SYSTEMS
    signature = metrics["signature"]["pairs"]["books+dvd>toys"]
    assert signature["source"] == f"{reviews}#books + {reviews}#dvd"
    assert signature["source_labelled_by_domain"] == {f"{reviews}#books": 40, f"{reviews}#dvd": 40}
    assert signature["rows"]["source_labelled"] == 80 and signature["rows"]["target_test"] == 40
    assert signature["duplicates"]["source_labelled_in_target_test"] == 0
    assert {path.name for path in (folder / "models").iterdir()} == folders
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "B+D&gt;T" in report and "B: books" in report and "Words that moved most, books+dvd&gt;toys" in report
    assert (folder / "plots" / "heat_map_target_test.png").exists()


def test_no_pair_is_chosen_for_by_labels_of_its_target() -> None:
    a, b, c = "amazon:books", "amazon:dvd", "amazon:kitchen"
    single = {f"{one}>{other}": (one, other) for one in (a, b, c) for other in (a, b, c) if one != other}
    assert without_labels_of(single, f"{a}>{b}") == [name for name in single if not name.startswith(b)]
    joined = {"bc>a": (f"{b} + {c}", a), "ac>b": (f"{a} + {c}", b), "ab>c": (f"{a} + {b}", c)}
    assert [without_labels_of(joined, name) for name in joined] == [["bc>a"], ["ac>b"], ["ab>c"]]
    mixed = {"b>a": (b, a), "ab>c": ("amazon:books+dvd", c), "c>a": (c, a)}
    assert without_labels_of(mixed, "b>a") == ["b>a", "c>a"]
    assert without_labels_of(mixed, "ab>c") == ["b>a", "ab>c"]
