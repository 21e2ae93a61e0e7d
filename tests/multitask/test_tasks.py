"""Tasks by name: corpora with colons of their own, columns, kinds, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptransfer.errors import InputError
from nlptransfer.multitask.tasks import TaskSource, parse_task, parse_tasks


@pytest.mark.parametrize(
    ("text", "corpus", "column", "kind"),
    [
        ("t=nltk:conll2000:chunk", "nltk:conll2000", "chunk", "tagging"),
        ("t=nltk:conll2000", "nltk:conll2000", None, "tagging"),
        ("t=nltk:brown/news+fiction", "nltk:brown/news+fiction", None, "tagging"),
        ("t=treebank", "treebank", None, "tagging"),
        ("t=ud:UD_English-EWT:xpos", "ud:UD_English-EWT", "xpos", "tagging"),
        ("t=ud:UD_English-EWT#weblog:xpos", "ud:UD_English-EWT#weblog", "xpos", "tagging"),
        ("t=synthetic", "synthetic", None, "tagging"),
        ("t=synthetic:target:tags", "synthetic:target", "tags", "tagging"),
        ("t=synthetic-reviews:source:domain", "synthetic-reviews:source", "domain", "classification"),
        ("t=amazon:books", "amazon:books", None, "classification"),
        ("t=amazon:books+dvd:domain", "amazon:books+dvd", "domain", "classification"),
        ("t=amazon:books + amazon:dvd:domain", "amazon:books + amazon:dvd", "domain", "classification"),
        ("t=nltk:movie_reviews", "nltk:movie_reviews", None, "classification"),
        ("t=hub:owner/name:label:classification", "hub:owner/name", "label", "classification"),
        ("t=there/no.conll", "there/no.conll", None, "tagging"),
        ("t=no.conllu.gz:misc:Chunk", "no.conllu.gz", "misc:Chunk", "tagging"),
        ("t=no.csv:stars:regression", "no.csv", "stars", "regression"),
        ("t=no.csv:tagging", "no.csv", None, "tagging"),
        ("t= no.conll ", "no.conll", None, "tagging"),
    ],
)
def test_a_task_is_a_corpus_a_column_and_a_kind(text: str, corpus: str, column: str | None, kind: str) -> None:
    assert parse_task(text) == TaskSource("t", corpus, column, kind)  # type: ignore[arg-type]


def test_a_path_ends_where_there_is_such_a_file(tmp_path: Path) -> None:
    path = tmp_path / "odd:name.conllu"
    path.touch()
    assert parse_task(f"a={path}") == TaskSource("a", str(path), None, "tagging")
    assert parse_task(f"a={path}:misc:Chunk") == TaskSource("a", str(path), "misc:Chunk", "tagging")


def test_a_folder_tells_its_kind_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "train.conll").touch()
    assert parse_task(f"ner={tmp_path}").kind == "tagging"
    (tmp_path / "train.conll").rename(tmp_path / "train.tsv")
    with pytest.raises(InputError, match=r"what kind of task 'ner' is.*as in ner=.*:label:classification"):
        parse_task(f"ner={tmp_path}")


def test_a_path_may_be_below_a_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ner" / "tweets").mkdir(parents=True)
    (tmp_path / "ner" / "tweets" / "train.conll").touch()
    expected = TaskSource("ner", "ner/tweets", "tags", "tagging")
    assert parse_task("ner=ner/tweets:tags", data_dir=tmp_path) == expected
    monkeypatch.setenv("NLPTRANSFER_DATA", str(tmp_path))
    assert parse_tasks(["ner=ner/tweets:tags"]) == [expected]


def test_a_task_called_chunk_reads_chunks_where_there_are_some() -> None:
    assert parse_task("chunk=nltk:conll2000").column == "chunk"
    assert parse_task("chunk=nltk:conll2000:pos").column == "pos"
    assert parse_task("chunk=nltk:brown").column is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pos", "not written as one.*Expected name=corpus"),
        ("=nltk:brown", "not written as one"),
        ("pos=", "not written as one"),
        ("loss=nltk:brown", "'loss' can't be the name of a task"),
        ("a b=nltk:brown", "'a b' can't be the name"),
        ("t=x.csv:stars", "does not tell what kind of task 't' is.*t=x.csv:stars:classification"),
        ("t=hub:owner/name", "does not tell"),
        ("t=nltk:movie_reviews:label:tagging", "can't be tagging. Expected classification"),
        ("t=nltk:brown:tags:regression", "can't be regression. Expected tagging"),
    ],
)
def test_what_is_no_task_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_task(text)


def test_tasks_have_names_of_their_own() -> None:
    assert [own.name for own in parse_tasks(["pos=nltk:conll2000", "chunk=nltk:conll2000"])] == ["pos", "chunk"]
    with pytest.raises(InputError, match="two tasks are called 'pos'"):
        parse_tasks(["pos=nltk:conll2000", "pos=nltk:brown"])
    with pytest.raises(InputError, match="no task is named"):
        parse_tasks([])
