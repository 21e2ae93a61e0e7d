"""What a user can get wrong ends as one message with what to do, before anything is written."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from nlptransfer import cli
from nlptransfer.data import fetching
from nlptransfer.recipes.pos_tagging import main

NOBODY = "http://127.0.0.1:9"
QUICK = ["--systems", "random", "--epochs", "1"]

Fails = Callable[..., str]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No corpus at hand, and no server that answers."""
    monkeypatch.setattr(fetching, "UD_URL", NOBODY)
    monkeypatch.setattr(fetching, "NLTK_URL", NOBODY)
    monkeypatch.setattr("nltk.data.path", [])
    monkeypatch.delenv("NLPTRANSFER_DATA", raising=False)


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def json_lines(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def conllu(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The lines of a CoNLL-U file."""
    lines: list[str] = []
    for row in rows:
        for number, (word, tag) in enumerate(zip(row["tokens"], row["tags"], strict=True), start=1):
            lines.append(f"{number}\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\t_")
        lines.append("")
    return lines


# Each gets the lines of a good vector file: 2,111 words of 30 numbers, under a header.
BAD_VECTORS: dict[str, tuple[Callable[[list[str]], str], list[str]]] = {
    "cut short between words": (
        lambda lines: "\n".join(lines[:500]) + "\n",
        ["line 500", "cut short", "Expected 2,111 words", "found 499", "Download"],
    ),
    "cut short within a word's numbers": (
        lambda lines: "\n".join([*lines[:500], "foo 0.1 0.2"]),
        ["line 501", "vector of 'foo'", "Expected 30 numbers", "found 2", "Download"],
    ),
    "a wrong dimension on one line": (
        lambda lines: "\n".join([*lines[:100], f"{lines[100]} 0.5", *lines[101:]]) + "\n",
        ["line 101", "wrong length", "Expected 30 numbers", "found 31"],
    ),
    "a header that lies about the dimension": (
        lambda lines: "\n".join(["2111 31", *lines[1:]]) + "\n",
        ["line 1", "header", "Expected 31 numbers", "found 30 on line 2", "Correct the header"],
    ),
    "a header that lies about the number of words": (
        lambda lines: "\n".join(["2110 30", *lines[1:]]) + "\n",
        ["2,110", "2,111"],
    ),
    "no words": (lambda lines: "0 30\n", ["line 1", "no words", "above 0", "found 0 and 30"]),
    "an empty file": (lambda lines: "", ["no words", "found an empty file"]),
    "not a vector file": (
        lambda lines: "<html>\n<body>Not found</body>\n</html>\n",
        ["line 1", "not a vector file", "Expected word2vec text or binary, GloVe text", "found '<html>'"],
    ),
}


@pytest.mark.parametrize("case", BAD_VECTORS)
def test_a_faulty_vector_file(case: str, base_settings: Path, corpus: Path, tmp_path: Path, fails: Fails) -> None:
    damage, fragments = BAD_VECTORS[case]
    file = tmp_path / "bad.txt"
    file.write_text(damage((corpus / "vectors.txt").read_text().splitlines()))
    out = tmp_path / "run"
    message = fails(main, "--config", base_settings, *QUICK, "--vectors", file, "--output_dir", out)
    for fragment in [str(file), *fragments]:
        assert fragment in message
    assert not out.exists()


def test_a_vector_file_that_is_not_there(base_settings: Path, corpus: Path, fails: Fails) -> None:
    message = fails(main, "--config", base_settings, "--vectors", corpus / "vectors.text", "--output_dir", "never")
    assert message.startswith(f"error: {corpus / 'vectors.text'}: no such file or folder. Did you mean ")
    assert str(corpus / "vectors.txt") in message


# Each gets the rows of a good training file, and gives a file's name and text.
BAD_CORPORA: dict[str, tuple[Callable[[list[dict[str, Any]]], tuple[str, str]], list[str]]] = {
    "a broken line in CoNLL-U": (
        lambda rows: ("bad.conllu", "\n".join([*conllu(rows)[:3], "4\tonly\tthree", *conllu(rows)[3:]])),
        ["line 4", "Expected 10", "found 3 ('4\\tonly\\tthree')", "Mend the line"],
    ),
    "no tokens in JSON lines": (
        lambda rows: ("bad.jsonl", '{"words": ["a"], "tags": ["DET"]}\n'),
        ["line 1", "no column 'tokens'", "'tokens' and 'tags'", "found 'words', 'tags'", "Rename the columns"],
    ),
    "no tags in a later JSON line": (
        lambda rows: ("bad.jsonl", json_lines(rows[:4]) + '{"tokens": ["a"]}\n'),
        ["line 5", "tags"],
    ),
    "no tags in CSV": (
        lambda rows: ("bad.csv", "tokens,label\na b,DET NOUN\n"),
        ["line 1", "no column 'tags'", "found 'tokens', 'label'", "Rename the columns"],
    ),
    "more tags than words": (
        lambda rows: ("bad.jsonl", '{"tokens": ["a"], "tags": ["DET", "NOUN"]}\n'),
        ["line 1", "1", "2"],
    ),
    "an empty corpus": (
        lambda rows: ("bad.conllu", ""),
        ["the corpus is empty", "Expected at least one sentence", "copied whole"],
    ),
    "a suffix that says nothing": (lambda rows: ("bad.doc", "a b"), ["format", ".conllu", "Rename the file"]),
}


@pytest.mark.parametrize("case", BAD_CORPORA)
def test_a_faulty_corpus(case: str, base_settings: Path, corpus: Path, tmp_path: Path, fails: Fails) -> None:
    make, fragments = BAD_CORPORA[case]
    name, text = make(read_rows(corpus / "splits" / "train.jsonl"))
    (tmp_path / name).write_text(text)
    for role in ("train_data", "test_data"):
        message = fails(main, "--config", base_settings, f"--{role}", tmp_path / name, "--output_dir", tmp_path / "run")
        for fragment in [str(tmp_path / name), *fragments]:
            assert fragment in message
    assert not (tmp_path / "run").exists()


def test_a_test_set_with_another_label_set(base_settings: Path, corpus: Path, tmp_path: Path, fails: Fails) -> None:
    rows = read_rows(corpus / "target.jsonl")
    other = tmp_path / "other.jsonl"
    other.write_text(json_lines([{**row, "tags": [tag.lower() for tag in row["tags"]]} for row in rows]))
    message = fails(main, "--config", base_settings, "--test_data", other, "--output_dir", tmp_path / "run")
    for fragment in ("'test' and 'train' use different tag sets", "such as ADJ, ADP", "found adj, adp", "tag_column"):
        assert fragment in message
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_tag_unseen_in_training_is_an_error_or_on_request_counted_as_wrong(
    base_settings: Path, corpus: Path, tmp_path: Path, fails: Fails, one_thread: None, no_reload: None
) -> None:
    rows = read_rows(corpus / "target.jsonl")
    other = tmp_path / "other.jsonl"
    other.write_text(json_lines([{**row, "tags": [*row["tags"][:-1], "SYM"]} for row in rows]))
    flags = ["--config", base_settings, *QUICK, "--test_data", other, "--output_dir", tmp_path / "run"]
    message = fails(main, *flags)
    for fragment in ("the tag 'SYM' of 'test' never occurs in 'train'", "found 'SYM' 100 times", "count_as_wrong"):
        assert fragment in message
    assert not (tmp_path / "run").exists()
    main([*map(str, flags), "--unseen_tags", "count_as_wrong"])
    tagged = read_rows(tmp_path / "run" / "predictions" / "random.jsonl")
    assert {row["gold"][-1] for row in tagged if row["split"] == "test"} == {"SYM"}
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())["scores"]
    (score,) = [row for row in scores if (row["split"], row["metric"], row["seed"]) == ("test", "token_accuracy", None)]
    assert score["n"] == sum(len(row["tokens"]) for row in rows), "every word counts"
    assert score["value"] <= 1 - len(rows) / score["n"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocabulary.json"])
def test_a_model_folder_with_a_file_missing_or_altered(name: str, finished: Any, tmp_path: Path, fails: Fails) -> None:
    folder, source, target = tmp_path / "model", tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("a b\n")
    target.write_text("earlier work")
    flags = ["predict", "--model", folder, "--input", source, "--output", target]

    def damaged(damage: Callable[[Path], object]) -> str:
        shutil.copytree(finished.folder / "model", folder)
        damage(folder / name)
        message = fails(cli.main, *flags)
        shutil.rmtree(folder)
        assert str(folder) in message and name in message
        assert "Copy the model folder again" in message
        return message

    assert ("has no" if name == "config.json" else "lacks the file") in damaged(Path.unlink)
    damaged(lambda path: path.write_bytes(path.read_bytes()[:-20]))
    whole = (finished.folder / "model" / name).read_bytes()
    # The tags NOUN and VERB changed places, say; a well-formed file that would mislead without a word.
    middle = len(whole) // 2
    altered = (
        whole.replace(b'"NOUN"', b'"TEMP"').replace(b'"VERB"', b'"NOUN"').replace(b'"TEMP"', b'"VERB"')
        if name == "config.json"
        else whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    )
    assert altered != whole
    message = damaged(lambda path: path.write_bytes(altered))
    assert "altered" in message and "Expected content with digest" in message and "found" in message
    assert target.read_text() == "earlier work"


def test_an_output_folder_that_can_not_be(base_settings: Path, tmp_path: Path, fails: Fails) -> None:
    (tmp_path / "file").write_text("here before")
    for place in ("file", "file/run"):
        message = fails(main, "--config", base_settings, *QUICK, "--output_dir", tmp_path / place)
        assert message == (
            f"error: {tmp_path / place}: Not a directory. Part of the path is already taken by a file: choose another "
            "path.\n"
        )
    assert (tmp_path / "file").read_text() == "here before"


def test_unknown_names_of_settings(base_settings: Path, tmp_path: Path, fails: Fails) -> None:
    assert fails(main, "--epoch", "3") == (
        "error: unknown flag --epoch. Did you mean --epochs? `--help` lists the settings.\n"
    )
    file = tmp_path / "bad.yaml"
    file.write_text("epochs: 3\nhiden_dim: 64\n")
    assert fails(main, "--config", file) == (
        f"error: {file}, line 2: unknown setting 'hiden_dim'. Did you mean hidden_dim? `--help` lists the settings.\n"
    )


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--epochs 0", "at least 1; found 0"),
        ("--hidden_dim -4", "at least 1; found -4"),
        ("--batch_size 0", "at least 1; found 0"),
        ("--learning_rate 0", "above 0; found 0.0"),
        ("--dropout 1", "from 0 to below 1; found 1.0"),
        ("--word_dropout -0.1", "0 or above; found -0.1"),
        ("--systems", "each at most once; found ()"),
        ("--systems random random", "each at most once; found ('random', 'random')"),
        ("--seeds 0 -1", "from 0 to 4294967295; found (0, -1)"),
    ],
)
def test_numbers_that_nothing_can_be_made_of(flags: str, expected: str, fails: Fails) -> None:
    name = flags.split()[0]
    assert fails(main, *flags.split()) == f"error: {name} is out of range. Expected {expected}.\n"


def test_a_treebank_that_can_not_be_had_is_never_replaced(
    base_settings: Path, tmp_path: Path, fails: Fails, no_network: None, own_cache: Path
) -> None:
    for name in ("ud:UD_Nonexistent-XYZ", "treebank"):
        message = fails(main, "--config", base_settings, "--train_data", name, "--output_dir", tmp_path / "run")
        assert "this is neither at hand nor could it be fetched" in message
        assert name.partition(":")[2] in message
        assert f"\n  - {own_cache}" in message and f"\n  - {NOBODY}" in message, "each place tried is named"
        assert "Get it from" in message or "Run `python -m nltk.downloader treebank`" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_bare_command_falls_back_to_the_synthetic_corpus_and_says_so_loudly(
    tmp_path: Path, no_network: None, one_thread: None, no_reload: None, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--hidden_dim", "8", "--characters", "none", "--device", "cpu", *QUICK]
    main([*small, "--output_dir", str(tmp_path / "run")])
    shown = capsys.readouterr().out
    said = "THE CORPUS IS SYNTHETIC."
    assert shown.index(said) < shown.index("epoch 1"), "before anybody waits for it"
    assert shown.count(said) == 2, "and beside the scores"
    report = (tmp_path / "run" / "report.html").read_text()
    assert report.index(said) < report.index("token accuracy")
    signature = json.loads((tmp_path / "run" / "metrics.json").read_text())["signature"]
    assert signature["train_data"] == "synthetic, in place of treebank"
    assert signature["vectors"].startswith("synthetic, ")
    assert said in (tmp_path / "run" / "model" / "README.md").read_text()


def test_a_loss_that_is_not_finite(base_settings: Path, tmp_path: Path, one_thread: None, fails: Fails) -> None:
    wild = ["--learning_rate", "1e38", "--schedule", "constant", "--systems", "random", "--epochs", "2"]
    message = fails(main, "--config", base_settings, *wild, "--output_dir", tmp_path / "run")
    assert message.startswith("error: random, seed 0: the loss of epoch ")
    assert "A smaller learning rate" in message


@pytest.mark.slow
def test_the_process_ends_with_code_2_and_debug_shows_where(
    base_settings: Path, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text("0 30\n")
    flags = ["--config", base_settings, "--vectors", bad, "--output_dir", tmp_path / "run"]
    plain, traced = start(*flags), start(*flags, "--debug")
    shown, message = plain.communicate()
    assert (plain.returncode, shown) == (2, "")
    assert message.startswith(f"error: {bad}, line 1: the file holds no words.")
    assert message.count("\n") == 1
    shown, message = traced.communicate()
    assert (traced.returncode, shown) == (2, "")
    assert message.startswith("Traceback (most recent call last):")
    assert f"\nerror: {bad}, line 1: the file holds no words." in message
    assert not (tmp_path / "run").exists()
