from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import nlptransfer
from nlptransfer.cli import find_recipes, main
from nlptransfer.evaluation.predictions import Predictions

CONLLU = "# text = Go on\n1\tGo\tgo\tX\tVB\t_\t0\troot\t_\t_\n2\ton\ton\tX\tRP\t_\t1\tcompound\t_\t_\n\n"


class Model:
    """Says VERB of words with a capital, else ADV."""

    def __init__(self, tag_column: str | None = "upos") -> None:
        self.metadata = {"tag_column": tag_column}
        self.tags = ["ADV", "VERB"]

    def predict(self, sentences: list[list[str]]) -> list[list[str]]:
        return [["VERB" if word[0].isupper() else "ADV" for word in words] for words in sentences]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    made = Model()
    monkeypatch.setattr(nlptransfer, "load", lambda folder: made, raising=False)
    return made


def fails(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_alone_it_lists_each_recipe_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    shown = capsys.readouterr().out
    recipes = find_recipes()
    assert "pos_tagging" in recipes
    assert not {"settings", "running"} & set(recipes)
    for name, line in recipes.items():
        assert line.endswith((".", "?"))
        assert f"  {name}" in shown
        assert line in shown
    for command in ("predict", "evaluate", "compare"):
        assert f"    {command} " in shown


def test_a_recipe_gets_the_words_after_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setitem(sys.modules, "nlptransfer.recipes.pos_tagging", SimpleNamespace(main=called.append))  # type: ignore[arg-type]
    main(["pos_tagging", "--seeds", "0", "1"])
    assert called == [["--seeds", "0", "1"]]


def test_a_mistyped_recipe_or_command_names_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(capsys, "pos-taging")
    assert message.startswith("error: there is no recipe or command 'pos-taging'.")
    assert message.endswith("Did you mean pos_tagging?\n")


def test_help_loads_neither_torch_nor_other_heavy_packages() -> None:
    heavy = {
        "torch",
        "transformers",
        "datasets",
        "gensim",
        "nltk",
        "matplotlib",
        "sklearn",
        "scipy",
        "pooch",
        "accelerate",
    }
    calls = [[], ["--help"], ["--version"], *([verb, "--help"] for verb in ("predict", "evaluate", "compare"))]
    calls += [[recipe, "--help"] for recipe in find_recipes()]
    code = (
        "import sys\nfrom nlptransfer.cli import main\n"
        f"for argv in {calls!r}:\n"
        "    try: main(argv)\n"
        "    except SystemExit as end: assert end.code == 0, argv\n"
        f"    assert not {heavy!r} & set(sys.modules), (argv, {heavy!r} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_predict_writes_the_column_that_the_model_learned(tmp_path: Path, model: Model) -> None:
    source, target = tmp_path / "in.conllu", tmp_path / "out.conllu"
    source.write_bytes(CONLLU.encode())
    argv = ["predict", "--model", "m", "--input", str(source), "--output", str(target)]
    main(argv)
    assert target.read_text() == CONLLU.replace("go\tX", "go\tVERB").replace("on\tX", "on\tADV")
    xpos = CONLLU.replace("X\tVB", "X\tVERB").replace("X\tRP", "X\tADV")
    main([*argv, "--column", "xpos"])
    assert target.read_text() == xpos
    model.metadata["tag_column"] = "xpos"
    main(argv)
    assert target.read_text() == xpos
    main(["predict", "--model", "m", "--input", str(source), "--output", str(source)])
    assert source.read_text() == xpos


def test_predict_pipes(model: Model, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Go on\n")))
    main(["predict", "--model", "m", "--input", "-", "--output", "-"])
    assert capfdbinary.readouterr() == (b"Go\tVERB\non\tADV\n\n", b"")


def test_predict_leaves_nothing_half_written(tmp_path: Path, model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "in.conllu", tmp_path / "out.conllu"
    source.write_text(CONLLU + "1\tbroken\n")
    target.write_text("what was here")
    message = fails(capsys, "predict", "--model", "m", "--input", str(source), "--output", str(target))
    assert message.startswith(f"error: {source}, line 5: the line has another number of columns. Expected 10")
    assert "Traceback" not in message
    assert target.read_text() == "what was here"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.conllu", "out.conllu"]


def test_predict_says_which_file_or_folder_is_missing(
    tmp_path: Path, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "none.conllu")
    message = fails(capsys, "predict", "--model", "m", "--input", missing, "--output", "-")
    assert message == f"error: {missing}: No such file or directory. Check the path.\n"
    (tmp_path / "file").touch()
    blocked = str(tmp_path / "file" / "out.txt")
    assert "error: " in fails(capsys, "predict", "--model", "m", "--input", str(tmp_path / "file"), "--output", blocked)


def test_debug_shows_where_an_error_came_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(capsys, "predict", "--debug", "--model", "m", "--input", str(tmp_path / "x"), "--output", "-")
    assert message.startswith("Traceback")


def test_evaluate_scores_a_model_on_labelled_data(
    tmp_path: Path, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    gold = CONLLU.replace("go\tX", "go\tVERB").replace("on\tX", "on\tPART") + CONLLU.replace("\tX\t", "\tVERB\t") * 3
    data, output = tmp_path / "gold.conllu", tmp_path / "scores.json"
    data.write_text(gold)
    main(["evaluate", "--model", "runs/m", "--data", str(data), "--output", str(output)])
    shown = capsys.readouterr().out
    assert f"{data} (whole corpus): 4 sentences, 8 words" in shown
    assert "token accuracy 50.00% (95 % interval " in shown
    assert "words whose tag the model does not know, counted as wrong: 1 (PART)" in shown
    result = json.loads(output.read_text())
    assert result["scores"][0]["value"] == 0.5
    assert {row["tag"]: row["recall"] for row in result["tags"]} == {"VERB": 4 / 7, "ADV": 0.0, "PART": 0.0}


def test_evaluate_reads_the_column_that_the_model_learned(
    tmp_path: Path, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "gold.conllu"
    data.write_text(CONLLU.replace("\tVB\t", "\tVERB\t").replace("\tRP\t", "\tADV\t"))
    model.metadata["tag_column"] = "xpos"
    main(["evaluate", "--model", "m", "--data", str(data)])
    assert "token accuracy 100.00%" in capsys.readouterr().out


def test_evaluate_takes_the_test_split_of_a_corpus_that_has_splits(
    tmp_path: Path, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    for split, text in (("train", CONLLU * 2), ("test", CONLLU)):
        (tmp_path / f"{split}.conllu").write_text(text)
    main(["evaluate", "--model", "m", "--data", str(tmp_path)])
    main(["evaluate", "--model", "m", "--data", str(tmp_path), "--split", "train"])
    shown = capsys.readouterr().out
    assert "(test): 1 sentences" in shown
    assert "(train): 2 sentences" in shown
    (tmp_path / "test.conllu").unlink()
    message = fails(capsys, "evaluate", "--model", "m", "--data", str(tmp_path))
    assert (
        message
        == f"error: {tmp_path}: the corpus has no test split. Found train. Say which split to score with --split.\n"
    )


def test_compare_says_what_one_run_gained_over_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens, gold = [["a", "dog"]] * 9, [["DT", "NN"]] * 9
    runs = {
        "a": {"lstm": [Predictions("lstm", "test", 0, tokens, gold, gold)]},
        "b": {"lstm": [Predictions("lstm", "test", 0, tokens, gold, [["DT", "VB"]] * 9)]},
    }
    monkeypatch.setattr(
        "nlptransfer.evaluation.compare_runs.read_run", lambda folder: SimpleNamespace(predictions=runs[str(folder)])
    )
    main(["compare", "a", "b", "--output", str(tmp_path / "verdicts.json")])
    assert capsys.readouterr().out.startswith("a:lstm helped: +50")
    assert json.loads((tmp_path / "verdicts.json").read_text())[0]["gain"] == 0.5


def test_compare_with_a_folder_that_is_no_run_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(capsys, "compare", str(tmp_path / "x"), str(tmp_path / "y"))
    assert message.startswith("error: ")
    assert message.count("\n") == 1
