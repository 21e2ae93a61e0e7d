"""The recipe on cross-lingual transfer: bridges and their verdicts, target labels kept out, the curve, its mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nlptransfer
from nlptransfer.data.synthetic import make_tagged_languages
from nlptransfer.errors import InputError
from nlptransfer.evaluation.predictions import read_predictions
from nlptransfer.recipes.cross_lingual_transfer import Settings, main
from nlptransfer.recipes.crosslingual_bridge_names import parse_bridge

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "no_reload")]

SMALL = [
    "--epochs", "6", "--hidden_dim", "32", "--embedding_dim", "30", "--batch_size", "8", "--learning_rate", "1e-2",
    "--device", "cpu",
]  # fmt: skip


def write_tagged(path: Path, data: Any, *, shuffled: bool = False) -> None:
    names = data.features["tags"].feature.names
    rng = np.random.default_rng(0)
    lines = []
    for row in data:
        tags = [names[tag] for tag in row["tags"]]
        lines.append(json.dumps({"tokens": row["tokens"], "tags": list(rng.permutation(tags)) if shuffled else tags}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tagged languages in two scripts: a source, a target to test on, and more of it, labelled rightly and wrongly."""
    folder = tmp_path_factory.mktemp("languages")
    languages = make_tagged_languages(500, seed=0)
    (folder / "source").mkdir()
    write_tagged(folder / "source" / "train.jsonl", languages.source.select(range(400)))
    write_tagged(folder / "source" / "test.jsonl", languages.source.select(range(400, 500)))
    (folder / "target").mkdir()
    write_tagged(folder / "target" / "test.jsonl", languages.target.select(range(150)))
    write_tagged(folder / "labelled.jsonl", languages.target.select(range(150, 400)))
    write_tagged(folder / "wrong.jsonl", languages.target.select(range(150, 400)), shuffled=True)
    return folder


def run(files: Path, folder: Path, *flags: str, train: str = "labelled.jsonl") -> dict[str, Any]:
    main(
        [
            *SMALL, "--source", str(files / "source"), "--target", str(files / "target"), "--target_train",
            str(files / train), *flags, "--output_dir", str(folder),
        ]
    )  # fmt: skip
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return metrics


def mean_score(metrics: dict[str, Any], system: str, split: str = "target_test") -> float:
    (value,) = [
        score["value"]
        for score in metrics["scores"]
        if (score["system"], score["split"], score["metric"], score["seed"]) == (system, split, "token_accuracy", None)
    ]
    return float(value)


@pytest.fixture(scope="module")
def bridged(files: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("runs") / "bridged"
    return folder, run(files, folder, "--bridges", "rules", "script", "script_train")


def test_bridges_help_where_no_bridge_fails_and_each_has_its_verdict(bridged: tuple[Path, dict[str, Any]]) -> None:
    folder, metrics = bridged
    assert mean_score(metrics, "none") < 0.45, "words of another script tell nothing"
    assert mean_score(metrics, "script") > mean_score(metrics, "rules") > mean_score(metrics, "none") + 0.1
    verdicts = {verdict["system"]: verdict for verdict in metrics["verdicts"]}
    assert set(verdicts) == {"rules", "script", "script_train", "target_trained"}
    assert all(verdict["verdict"] == "helped" for verdict in verdicts.values())
    assert all(verdict["baseline"] == "none" for verdict in verdicts.values())
    for name in ("settings.yaml", "history.jsonl", "report.html", "model/README.md"):
        assert (folder / name).exists(), name
    on_source = [mean_score(metrics, system, "source_test") for system in ("none", "rules", "script")]
    assert len(set(on_source)) == 1, "one model, which reads its own language as ever"
    assert "Chosen without target labels" in (folder / "report.html").read_text(encoding="utf-8")


def test_the_saved_model_reads_the_target_as_it_is_written(bridged: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = bridged
    chosen = re.search(r"Chosen without target labels: (\w+)", (folder / "report.html").read_text(encoding="utf-8"))
    assert chosen is not None
    model = nlptransfer.load(folder)
    parts = read_predictions(folder / "predictions" / f"{chosen[1]}.jsonl")
    (test,) = [part for part in parts if part.split == "target_test"]
    assert model.predict(test.tokens) == test.predicted
    with pytest.raises(TypeError, match="lists of words"):
        model.predict(["a text"])


def test_labels_of_the_target_reach_the_reference_alone(
    files: Path, bridged: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    run(files, tmp_path / "wrong", "--bridges", "rules", "script", "script_train", train="wrong.jsonl")

    def on_target(folder: Path, system: str) -> Any:
        parts = read_predictions(folder / "predictions" / f"{system}.jsonl")
        return next(part.predicted for part in parts if part.split == "target_test")

    for system in ("none", "rules", "script", "script_train"):
        assert on_target(bridged[0], system) == on_target(tmp_path / "wrong", system), system
    reference = [on_target(folder, "target_trained") for folder in (bridged[0], tmp_path / "wrong")]
    assert reference[0] != reference[1], "the control: these labels are used"


def test_a_curve_over_target_labels_says_what_a_bridge_is_worth(files: Path, tmp_path: Path) -> None:
    metrics = run(files, tmp_path / "run", "--bridges", "script", "--target_labels", "0", "20", "200")
    systems = {score["system"] for score in metrics["scores"]}
    assert {"none@0", "script@0", "target_only@20", "none@200", "script@200", "target_trained"} <= systems
    assert mean_score(metrics, "target_only@20") < mean_score(metrics, "script@20")
    assert {(verdict["system"], verdict["baseline"]) for verdict in metrics["verdicts"]} >= {
        ("script@0", "none@0"), ("script@200", "none@200"), ("target_only@20", "none@20"),
    }  # fmt: skip
    assert (tmp_path / "run" / "plots" / "label_curve.png").exists()
    assert "is worth" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("scripts", "Did you mean script"),
        ("script+rules", "names two of a kind"),
        ("encoder+script", "out of order"),
        ("script:2", "no number to set"),
    ],
)
def test_a_bridge_that_can_not_be_read_is_refused(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_bridge(name)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"bridges": ("vectors",)}, "needs the vectors of both languages"),
        ({"bridges": ("script+encoder",)}, "needs an encoder"),
        ({"source": "synthetic:source"}, "go together"),
        ({"target_labels": ()}, "target_labels is out of range"),
        ({"pair_columns": ("hi",)}, "pair_columns is out of range"),
    ],
)
def test_settings_that_can_not_be_run_are_refused(flags: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Settings(**flags)


def test_data_that_do_not_go_together_are_refused(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def error(*flags: str) -> str:
        with pytest.raises(SystemExit):
            main([*SMALL, *flags, "--output_dir", str(tmp_path / "run")])
        assert not (tmp_path / "run").exists(), "nothing is written before the data are read"
        return capsys.readouterr().err

    source, target = ["--source", str(files / "source")], ["--target", str(files / "target")]
    assert "asks for more labelled target items than there are" in error(*source, *target, "--target_labels", "10")
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"tokens": ["ein", "Hund"], "tags": ["ART", "NN"]}) + "\n", encoding="utf-8")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "test.jsonl").write_text(other.read_text(encoding="utf-8"), encoding="utf-8")
    assert "never occur in the source's training data" in error(*source, "--target", str(tmp_path / "other"))


def test_a_pair_of_scripts_without_rules_says_that_a_table_can_be_supplied(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = str.maketrans("abcdefghijklmnoprstuvz", "абцдефгхийклмнопрстувз")
    (tmp_path / "target").mkdir()
    lines = [
        json.loads(line) for line in (files / "source" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:120]
    ]
    rows = [{**row, "tokens": [word.translate(names) for word in row["tokens"]]} for row in lines]
    text = "\n".join(map(json.dumps, rows)) + "\n"
    (tmp_path / "target" / "test.jsonl").write_text(text, encoding="utf-8")
    flags = [
        *SMALL, "--source", str(files / "source"), "--target", str(tmp_path / "target"), "--bridges", "rules",
        "--simulate", "false", "--output_dir",
    ]  # fmt: skip
    with pytest.raises(SystemExit):
        main([*flags, str(tmp_path / "without")])
    assert "supply a table" in capsys.readouterr().err
    table = tmp_path / "table.tsv"
    table.write_text("".join(f"{chr(to)}\t{chr(of)}\n" for of, to in names.items()), encoding="utf-8")
    main([*flags, str(tmp_path / "with"), "--table", str(table)])
    metrics = json.loads((tmp_path / "with" / "metrics.json").read_text(encoding="utf-8"))
    assert mean_score(metrics, "rules") > mean_score(metrics, "none") + 0.3


def write_conllu(path: Path, rows: list[dict[str, Any]]) -> None:
    blocks = (
        "".join(
            f"{number}\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n"
            for number, (word, tag) in enumerate(zip(row["tokens"], row["tags"], strict=True), start=1)
        )
        for row in rows
    )
    path.write_text("\n".join(blocks) + "\n", encoding="utf-8")


def write_vectors(path: Path, words: list[str], matrix: np.ndarray) -> None:
    rows = [
        f"{word} {' '.join(f'{value:.5f}' for value in vector)}" for word, vector in zip(words, matrix, strict=True)
    ]
    path.write_text(f"{len(words)} {matrix.shape[1]}\n" + "\n".join(rows) + "\n", encoding="utf-8")


def test_treebanks_and_vectors_of_one_s_own_cross_between_scripts_that_the_toolkit_has_no_rules_for(
    files: Path, tmp_path: Path
) -> None:
    rows = [
        json.loads(line)
        for name in ("train", "test")
        for line in (files / "source" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    # Georgian for Armenian: letters in another order, so that neither is the other's by sound.
    source = str.maketrans("abcdefghijklmnopqrstuvwxyz", "აბგდევზთიკლმნოპჟრსტუფქღყშჩ")
    target = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ճկլխծմնհօպջռսվցտրքփևյշչէըղ")

    def spelt(own: list[dict[str, Any]], letters: Any) -> list[dict[str, Any]]:
        return [{**row, "tokens": [word.lower().translate(letters) for word in row["tokens"]]} for row in own]

    for folder in ("kat", "hye"):
        (tmp_path / folder).mkdir()
    write_conllu(tmp_path / "kat" / "train.conllu", spelt(rows[:300], source))
    write_conllu(tmp_path / "kat" / "test.conllu", spelt(rows[300:350], source))
    write_conllu(tmp_path / "hye" / "test.conllu", spelt(rows[350:450], target))
    tag_of = {
        word.lower(): tag for row in rows for word, tag in zip(row["tokens"], row["tags"], strict=True)
    }  # a word's usual tag
    words, tags = list(tag_of), sorted(set(tag_of.values()))
    random = np.random.default_rng(0)
    centres = random.normal(size=(len(tags), 16))
    matrix = np.array([centres[tags.index(tag_of[word])] for word in words]) + 0.3 * random.normal(
        size=(len(words), 16)
    )
    rotation = np.linalg.qr(random.normal(size=(16, 16)))[0]
    write_vectors(tmp_path / "kat.vec", [word.translate(source) for word in words], matrix)
    write_vectors(tmp_path / "hye.vec", [word.translate(target) for word in words], matrix @ rotation)
    pairs = [f"{word.translate(source)}\t{word.translate(target)}" for word in words[::3]]
    (tmp_path / "pairs.tsv").write_text("\n".join(pairs) + "\n", encoding="utf-8")
    main(
        [
            *SMALL, "--source", str(tmp_path / "kat"), "--target", str(tmp_path / "hye"), "--bridges", "vectors",
            "--source_vectors", str(tmp_path / "kat.vec"), "--target_vectors", str(tmp_path / "hye.vec"),
            "--pairs", str(tmp_path / "pairs.tsv"), "--simulate", "false", "--output_dir", str(tmp_path / "run"),
        ]
    )  # fmt: skip
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert mean_score(metrics, "vectors") > mean_score(metrics, "none") + 0.3
    tagger = nlptransfer.load(tmp_path / "run")
    sentence = spelt(rows[350:351], target)[0]["tokens"]
    assert len(tagger.predict([sentence])[0]) == len(sentence)
