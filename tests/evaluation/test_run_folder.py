"""The run folder: written, resumed, refused, read back."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from nlptransfer.errors import InputError
from nlptransfer.evaluation import run_folder
from nlptransfer.evaluation.document_predictions import DocumentPredictions
from nlptransfer.evaluation.over_pairs import compare_over_pairs, score_over_pairs
from nlptransfer.evaluation.predictions import Predictions
from nlptransfer.evaluation.run_folder import RunFolder, check_run_folder, open_run_folder, read_run
from nlptransfer.evaluation.verdict import compare_with_baseline, score_predictions

SETTINGS = {"train_data": Path("a/b.conllu"), "learning_rate": 5e-5, "seeds": (0, 1), "crf": False, "vectors": None}
HISTORY = [{"system": "random", "seed": 0, "epoch": 1, "loss": 0.5, "score": 0.9}]


def finished(path: Path) -> RunFolder:
    gold = [["N", "V"]] * 6
    tokens = [["a", "b"]] * 6
    parts = [
        Predictions("random", "test", 0, tokens, gold, [["V", "V"]] * 6),
        Predictions("frozen", "test", 0, tokens, gold, gold),
    ]
    folder = open_run_folder(path, settings=SETTINGS)
    folder.write_history(HISTORY)
    folder.write_predictions(parts)
    folder.write_metrics(
        recipe="pos_tagging",
        version="0.1.0",
        signature={"data": "made here"},
        scores=score_predictions(parts, seed=0),
        verdicts=compare_with_baseline(parts, "random", seed=0),
        seconds={"training": 1.5},
    )
    return folder


def test_a_finished_run_comes_back_as_it_was(tmp_path: Path) -> None:
    finished(tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert (run.recipe, run.version, run.signature) == ("pos_tagging", "0.1.0", {"data": "made here"})
    assert [verdict.system for verdict in run.verdicts] == ["frozen"]
    assert [(score.system, score.seed, score.value) for score in run.scores] == [
        ("random", 0, 0.5),
        ("random", None, 0.5),
        ("frozen", 0, 1.0),
        ("frozen", None, 1.0),
    ]
    assert sorted(run.predictions) == ["frozen", "random"]
    assert run.predictions["frozen"][0].predicted == [["N", "V"]] * 6
    assert run.history == HISTORY
    assert run.seconds == {"training": 1.5}
    assert run.settings["learning_rate"] == 5e-5


def test_metrics_hold_exactly_the_fields_of_the_contract(tmp_path: Path) -> None:
    metrics = json.loads((finished(tmp_path / "run").path / "metrics.json").read_text("utf-8"))
    assert list(metrics) == ["recipe", "version", "signature", "scores", "verdicts", "seconds"]


def test_settings_load_again_with_their_types(tmp_path: Path) -> None:
    open_run_folder(tmp_path / "run", settings=SETTINGS)
    assert yaml.safe_load((tmp_path / "run" / "settings.yaml").read_text("utf-8")) == {
        **SETTINGS,
        "train_data": "a/b.conllu",
        "seeds": [0, 1],
    }


def test_an_empty_folder_may_be_used_and_hidden_files_do_not_count(tmp_path: Path) -> None:
    (tmp_path / ".settings.half.yaml").touch()
    open_run_folder(tmp_path, settings=SETTINGS)
    assert (tmp_path / "settings.yaml").exists()


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"not empty.*thesis\.tex.*--resume.*another --output_dir"):
        open_run_folder(tmp_path, settings=SETTINGS)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("thesis.tex", "years of work")]


def test_resume_of_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"settings\.yaml: the file is missing"):
        open_run_folder(tmp_path, settings=SETTINGS, resume=True)


def test_resume_goes_on_where_the_settings_agree(tmp_path: Path) -> None:
    finished(tmp_path / "run")
    before = (tmp_path / "run" / "settings.yaml").read_bytes()
    settings = {**SETTINGS, "output_dir": "elsewhere"}
    folder = open_run_folder(tmp_path / "run", settings=settings, resume=True)
    assert folder.path == tmp_path / "run"
    assert (tmp_path / "run" / "settings.yaml").read_bytes() == before


def test_resume_of_nothing_starts_from_the_beginning(tmp_path: Path) -> None:
    open_run_folder(tmp_path / "run", settings=SETTINGS, resume=True)
    assert (tmp_path / "run" / "settings.yaml").exists()


def test_resume_under_other_settings_lists_every_difference(tmp_path: Path) -> None:
    open_run_folder(tmp_path / "run", settings=SETTINGS)
    settings: dict[str, Any] = {**SETTINGS, "learning_rate": 1e-3, "epochs": 3, "output_dir": "elsewhere"}
    del settings["crf"]
    with pytest.raises(InputError) as caught:
        open_run_folder(tmp_path / "run", settings=settings, resume=True)
    message = str(caught.value)
    assert "learning_rate: 5e-05 there, 0.001 now" in message
    assert "crf: false there, not set now" in message
    assert "epochs: not set there, 3 now" in message
    assert "elsewhere" not in message
    assert "seeds" not in message


def test_a_path_under_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "run", tmp_path / "file"):
        with pytest.raises(NotADirectoryError) as caught:
            open_run_folder(place, settings=SETTINGS)
        assert str(caught.value.filename) == str(place)


def test_a_full_disk_is_told_and_what_was_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = finished(tmp_path / "run")
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        folder.write_history([])
    assert caught.value.filename == str(folder.path / "history.jsonl")
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


def test_a_system_name_that_is_no_file_name_is_refused(tmp_path: Path) -> None:
    folder = open_run_folder(tmp_path / "run", settings=SETTINGS)
    with pytest.raises(ValueError, match="can't be a file name"):
        folder.write_predictions([Predictions("../frozen", "test", 0, [], [], [])])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("settings.yaml", None, r"settings\.yaml: the file is missing: the run did not finish"),
        ("settings.yaml", "a: [1\nb: 2", r"settings\.yaml, line 2: the file is not YAML"),
        ("settings.yaml", "just text", "holds no settings"),
        ("metrics.json", None, r"metrics\.json: the file is missing"),
        ("metrics.json", '{\n"recipe": }', r"metrics\.json, line 2: the file is not JSON"),
        ("metrics.json", '{"recipe": "x"}', r"the field 'version' is missing or altered"),
        ("history.jsonl", None, r"history\.jsonl: the file is missing"),
        ("history.jsonl", "{}\n[1", r"history\.jsonl, line 2: the line is not a JSON object"),
        ("predictions/frozen.jsonl", '{"split"', r"frozen\.jsonl, line 1: the line is not JSON"),
    ],
)
def test_a_missing_or_altered_file_is_told_with_its_line(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    file = finished(tmp_path / "run").path / name
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path / "run")


def test_predictions_cut_at_the_end_of_a_line_are_noticed(tmp_path: Path) -> None:
    file = finished(tmp_path / "run").path / "predictions" / "frozen.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match=r"not those that were scored\. Expected 12 words.*found 10"):
        read_run(tmp_path / "run")


@pytest.mark.parametrize(("key", "value"), [("value", "0.9"), ("system", 3), ("n", True)])
def test_an_altered_score_is_told(tmp_path: Path, key: str, value: object) -> None:
    file = finished(tmp_path / "run").path / "metrics.json"
    metrics = json.loads(file.read_text())
    metrics["scores"][1][key] = value
    file.write_text(json.dumps(metrics))
    with pytest.raises(InputError, match=f"score 2 is altered: {key} has the wrong type"):
        read_run(tmp_path / "run")


def test_a_score_with_a_field_too_few_is_told(tmp_path: Path) -> None:
    file = finished(tmp_path / "run").path / "metrics.json"
    metrics = json.loads(file.read_text())
    del metrics["verdicts"][0]["gain"]
    file.write_text(json.dumps(metrics))
    with pytest.raises(InputError, match="verdict 1 is altered"):
        read_run(tmp_path / "run")


def test_a_folder_without_predictions_or_no_folder_at_all_is_told(tmp_path: Path) -> None:
    folder = finished(tmp_path / "run").path
    for file in (folder / "predictions").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="no predictions are there"):
        read_run(folder)
    with pytest.raises(InputError, match="is not a folder"):
        read_run(tmp_path / "none")


def test_reading_history_alone_works_too(tmp_path: Path) -> None:
    finished(tmp_path / "run")
    assert run_folder.read_history(tmp_path / "run" / "history.jsonl") == HISTORY


def test_a_folder_is_checked_without_being_touched(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert check_run_folder(folder, settings={"epochs": 2}) is False
    assert not folder.exists()
    open_run_folder(folder, settings={"epochs": 2})
    with pytest.raises(InputError, match="not empty"):
        check_run_folder(folder, settings={"epochs": 2})
    assert check_run_folder(folder, settings={"epochs": 2}, resume=True) is True
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        check_run_folder(tmp_path / "file" / "run", settings={})


def finished_grid(path: Path) -> tuple[RunFolder, list[DocumentPredictions], list[Any], list[Any]]:
    parts = [
        DocumentPredictions(system, "target_test", seed, ["0", "1", "2"], ["a", "b", "a"], ["a", "b", last], pair)
        for pair in ("x>y", "y>x")
        for system, last in (("source-only", "b"), ("dann", "a"), ("target-trained", "a"))
        for seed in (0, 1)
    ]
    scores = [*score_predictions(parts, num_resamples=50, seed=0), *score_over_pairs(parts, num_resamples=50, seed=0)]
    arguments: dict[str, Any] = {"reference": "target-trained", "num_resamples": 50, "seed": 0}
    verdicts = compare_with_baseline(parts, "source-only", **arguments)
    verdicts += compare_over_pairs(parts, "source-only", **arguments)
    folder = open_run_folder(path, settings=SETTINGS)
    folder.write_history([])
    folder.write_predictions(parts)
    folder.write_metrics(recipe="sentiment", version="0", signature={}, scores=scores, verdicts=verdicts, seconds={})
    return folder, parts, scores, verdicts


def test_a_grid_of_pairs_comes_back_as_it_was(tmp_path: Path) -> None:
    folder, parts, scores, verdicts = finished_grid(tmp_path / "run")
    run = read_run(folder.path)
    assert (run.scores, run.verdicts) == (scores, verdicts)
    assert run.predictions["dann"] == [part for part in parts if part.system == "dann"]
    metrics = json.loads((folder.path / "metrics.json").read_text())
    assert {row["pair"] for row in metrics["scores"]} == {"x>y", "y>x", "all"}
    assert {row["gap_closed"] for row in metrics["verdicts"]} == {1.0, None}


def test_documents_of_a_pair_that_were_cut_are_noticed(tmp_path: Path) -> None:
    folder, *_ = finished_grid(tmp_path / "run")
    file = folder.path / "predictions" / "dann.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(
        InputError, match=r"seed 1 of y>x are not those that were scored\. Expected 3 documents.*found 2"
    ):
        read_run(folder.path)


@pytest.mark.parametrize(("key", "value"), [("pair", 3), ("gap_closed", "0.5"), ("odd", 1)])
def test_an_altered_verdict_on_a_pair_is_told(tmp_path: Path, key: str, value: object) -> None:
    folder, *_ = finished_grid(tmp_path / "run")
    metrics = json.loads((folder.path / "metrics.json").read_text())
    metrics["verdicts"][0][key] = value
    (folder.path / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(InputError, match="verdict 1 is altered"):
        read_run(folder.path)


def test_withheld_gold_labels_do_not_get_into_a_finished_run(tmp_path: Path) -> None:
    folder = open_run_folder(tmp_path / "run", settings=SETTINGS)
    with pytest.raises(ValueError, match="gold labels of dann are withheld"):
        folder.write_predictions([DocumentPredictions("dann", "target_test", 0, ["0"], None, ["a"], "x>y")])
