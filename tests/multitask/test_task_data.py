"""Splits, missing labels, smaller training sets, and which tasks share their text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from nlptransfer.errors import InputError
from nlptransfer.multitask.task_data import TaskData, TaskSplit, load_task, share_texts, warn_of_leaks
from nlptransfer.multitask.tasks import Task, TaskSource, parse_task
from nlptransfer.types import NO_LABEL

WORDS = ["red", "dog", "runs", "far", "home"]


def conllu(folder: Path, name: str, number: int, *, start: int = 0, with_chunks: bool = True) -> Path:
    """Sentences of 2 to 4 words; every third word has no chunk, and a sentence comes several times."""
    blocks = []
    for sentence in range(start, start + number):
        lines = []
        for place in range(2 + sentence % 3):
            word = WORDS[(sentence * (place + 1)) % len(WORDS)]
            chunk = f"Chunk={'BI'[place % 2]}-NP" if with_chunks and place % 3 < 2 else "_"
            lines.append(f"{place + 1}\t{word}\t_\t{'AB'[place % 2]}\t_\t_\t_\t_\t_\t{chunk}")
        blocks.append("\n".join(lines) + "\n")
    path = folder / name
    path.write_text("\n".join(blocks), encoding="utf-8")
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus without splits, of 100 sentences, of which few are different."""
    return conllu(tmp_path, "all.conllu", 100)


def both(corpus: Path, num_chunks: int | None = None) -> tuple[TaskData, TaskData]:
    pos = load_task(parse_task(f"pos={corpus}"), seed=0)
    return pos, load_task(parse_task(f"chunk={corpus}:misc:Chunk"), seed=0, num_train=num_chunks)


def test_two_columns_of_one_corpus_are_cut_alike(corpus: Path) -> None:
    pos, chunk = both(corpus)
    assert {split: len(part) for split, part in pos.splits.items()} == {"train": 72, "dev": 13, "test": 15}
    for split in pos.splits:
        assert pos.splits[split].texts == chunk.splits[split].texts
    assert pos.task.labels == ("A", "B") and chunk.task.labels == ("B-NP", "I-NP")


def test_a_word_without_a_tag_has_no_label(corpus: Path) -> None:
    _, chunk = both(corpus)
    row = next(row for row, text in enumerate(chunk.splits["train"].texts) if len(text) == 4)
    assert chunk.splits["train"].labels[row] == [0, 1, NO_LABEL, 1]
    assert chunk.splits["train"].gold()[row] == ["B-NP", "I-NP", "_", "I-NP"]


def test_smaller_training_sets_are_parts_of_larger_ones_and_keep_dev_and_test(corpus: Path) -> None:
    sets = {}
    for number in (5, 20, 60):
        data = load_task(parse_task(f"pos={corpus}"), seed=3, num_train=number)
        part = data.splits["train"]
        sets[number] = {(*text, copy) for text, copy in zip(part.texts, part.copies, strict=True)}
        assert len(sets[number]) == number
        assert len(data.splits["test"]) == 15 and data.task.labels == ("A", "B")
    assert sets[5] < sets[20] < sets[60]
    other = load_task(parse_task(f"pos={corpus}"), seed=4, num_train=20).splits["train"]
    assert {(*text, copy) for text, copy in zip(other.texts, other.copies, strict=True)} != sets[20]


def test_a_part_of_the_text_is_found_in_the_whole(corpus: Path) -> None:
    pos, chunk = both(corpus, 7)
    (shared,) = share_texts([chunk, pos])
    assert shared.texts == pos.splits["train"].texts and list(shared.labels) == ["chunk", "pos"]
    assert shared.labels["pos"] == pos.splits["train"].labels
    labelled = [row for row, own in enumerate(shared.labels["chunk"]) if own is not None]
    assert [shared.texts[row] for row in labelled] == chunk.splits["train"].texts
    assert [shared.labels["chunk"][row] for row in labelled] == chunk.splits["train"].labels
    assert len(labelled) == 7


def test_columns_hold_each_label_at_its_position(corpus: Path) -> None:
    pos, chunk = both(corpus, 7)
    (shared,) = share_texts([pos, chunk])
    columns, positions = shared.columns(), shared.positions()
    assert columns["pos"].dtype == np.int64 and len(columns["pos"]) == sum(map(len, shared.texts))
    for text, own, pos_labels, chunk_labels in zip(
        shared.texts, positions, shared.labels["pos"], shared.labels["chunk"], strict=True
    ):
        assert columns["pos"][list(own)].tolist() == pos_labels
        assert columns["chunk"][list(own)].tolist() == (chunk_labels or [NO_LABEL] * len(text))


def test_texts_of_different_corpora_are_not_joined_though_they_have_sentences_in_common(tmp_path: Path) -> None:
    first = load_task(parse_task(f"a={conllu(tmp_path, 'a.conllu', 60)}"), seed=0)
    path = conllu(tmp_path, "b.conllu", 30)
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text + "\n1\tnever\t_\tA\t_\t_\t_\t_\t_\t_\n2\tseen\t_\tB\t_\t_\t_\t_\t_\t_\n" * 9, encoding="utf-8"
    )
    second = load_task(parse_task(f"b={path}"), seed=0)
    assert [list(shared.labels) for shared in share_texts([first, second])] == [["a"], ["b"]]


def test_tags_and_classes_of_one_corpus_do_not_share_their_text() -> None:
    """One is about words and the other about whole texts: batches of the one hold nothing that the other could read."""

    def task(name: str, kind: Literal["tagging", "classification"], texts: list[Any], labels: list[Any]) -> TaskData:
        part = TaskSplit(texts, labels, ("A", "B"), list(range(len(texts))))
        source = TaskSource(name, "hub:messages", name, kind)
        return TaskData(Task(name, kind, ("A", "B")), source, {"train": part})

    words, texts = [["red", "dog"], ["far"]], ["red dog", "far"]
    tags = task("tags", "tagging", words, [[0, 1], [1]])
    mood = task("mood", "classification", texts, [1, 0])
    topic = task("topic", "classification", texts, [0, 0])
    chunk = task("chunk", "tagging", words, [[1, 1], [0]])
    groups = share_texts([tags, mood, topic, chunk])
    assert [list(group.labels) for group in groups] == [["tags", "chunk"], ["mood", "topic"]]
    assert [group.texts for group in groups] == [words, texts]
    assert [group.columns()[name].tolist() for group in groups for name in group.labels] == [
        [0, 1, 1], [1, 1, 0], [1, 0], [0, 0]
    ]  # fmt: skip


def test_labels_that_only_test_shows_are_none_of_the_task(tmp_path: Path) -> None:
    for split, extra in (("train", ""), ("dev", ""), ("test", "\nodd\tC\nend\tB\n")):
        (tmp_path / f"{split}.conll").write_text("red\tB\ndog\tA\n" * 2 + extra, encoding="utf-8")
    data = load_task(parse_task(f"pos={tmp_path}"), seed=0)
    assert data.task.labels == ("A", "B")
    assert data.splits["test"].names == ("A", "B", "C")
    assert data.splits["test"].gold() == [["B", "A", "B", "A"], ["C", "B"]]


def rows(folder: Path) -> Path:
    """Every tenth text lacks its class, every tenth its number."""
    texts = [
        {"text": f"text {n}", "label": None if n % 10 == 3 else "np"[n % 2], "stars": None if n % 10 == 4 else n / 2}
        for n in range(40)
    ]
    path = folder / "reviews.jsonl"
    path.write_text("\n".join(map(json.dumps, texts)), encoding="utf-8")
    return path


def test_classes_and_numbers_of_one_table_share_their_text(tmp_path: Path) -> None:
    path = rows(tmp_path)
    label = load_task(parse_task(f"polarity={path}:label:classification"), seed=0, dev_fraction=0.1, test_fraction=0.1)
    stars = load_task(parse_task(f"stars={path}:stars:regression"), seed=0, dev_fraction=0.1, test_fraction=0.1)
    assert label.task.labels == ("n", "p") and stars.task.labels == ()
    assert label.splits["test"].texts == stars.splits["test"].texts
    (shared,) = share_texts([label, stars])
    known = dict(zip(shared.texts, zip(*shared.labels.values(), strict=True), strict=True))
    assert len(known) == len(shared.texts) == 32
    lacking = {number: [text for text in known if text.endswith(str(number))] for number in (3, 4)}
    assert lacking[3] and all(known[text] == (None, int(text[5:]) / 2) for text in lacking[3])
    assert lacking[4] and all(known[text] == (0, None) for text in lacking[4])
    assert known["text 7"] == (1, 3.5)


def test_numbers_become_floats_with_gaps(tmp_path: Path) -> None:
    data = load_task(parse_task(f"stars={rows(tmp_path)}:stars:regression"), seed=0)
    everything = {
        text: value for part in data.splits.values() for text, value in zip(part.texts, part.labels, strict=True)
    }
    assert everything["text 7"] == 3.5
    assert everything.get("text 4", NO_LABEL) == NO_LABEL
    (shared,) = share_texts([data])
    column = shared.columns()["stars"]
    assert column.dtype == np.float32 and column[shared.positions()].tolist() == shared.labels["stars"]


def test_domains_of_joined_corpora_are_a_task_on_the_same_text(tmp_path: Path) -> None:
    for domain in ("books", "dvd"):
        texts = [{"text": f"{domain} {n}", "label": "pn"[n % 2], "domain": domain} for n in range(20)]
        (tmp_path / f"{domain}.jsonl").write_text("\n".join(map(json.dumps, texts)), encoding="utf-8")
    name = f"{tmp_path}/books.jsonl + {tmp_path}/dvd.jsonl"
    polarity = load_task(parse_task(f"polarity={name}:label:classification"), seed=0)
    domain = load_task(parse_task(f"domain={name}:domain:classification"), seed=0)
    assert domain.task.labels == ("books", "dvd")
    assert sorted(domain.splits["test"].gold()) == ["books"] * 3 + ["dvd"] * 3, "each corpus is cut"
    (shared,) = share_texts([polarity, domain])
    assert len(shared.texts) == 28


def test_training_texts_that_another_task_is_tested_on_are_told(tmp_path: Path, corpus: Path) -> None:
    pos, chunk = both(corpus)
    assert any(
        "of test of the task 'chunk' stand in the training data of 'pos'" in w for w in warn_of_leaks([pos, chunk])
    )
    for number, split in enumerate(("train", "dev", "test")):
        (tmp_path / f"{split}.conll").write_text(f"red{number}\tB\ndog\tA\n", encoding="utf-8")
    assert warn_of_leaks([load_task(parse_task(f"a={tmp_path}"), seed=0)]) == []


def test_what_cannot_be_a_task_says_why(tmp_path: Path, corpus: Path) -> None:
    with pytest.raises(InputError, match=r"can't be trained on 73 texts.*from 1 to 72"):
        load_task(parse_task(f"pos={corpus}"), seed=0, num_train=73)
    with pytest.raises(InputError, match=r"no column 'chunk'.*Expected pos or tags"):
        load_task(parse_task("a=synthetic:target:chunk"), seed=0)
    path = tmp_path / "one.conll"
    path.write_text("\n".join(["a\tX\n"] * 9), encoding="utf-8")
    with pytest.raises(InputError, match="'one' has one label only"):
        load_task(parse_task(f"one={path}"), seed=0)
    path.write_text("\n".join(["a\t_\n"] * 9), encoding="utf-8")
    with pytest.raises(InputError, match="no training text of the task 'none' carries a label"):
        load_task(parse_task(f"none={path}"), seed=0)
    values = tmp_path / "values.csv"
    values.write_text("text,value\n" + "a,-100\n" * 9, encoding="utf-8")
    with pytest.raises(InputError, match="the value -100, which stands for no value"):
        load_task(parse_task(f"v={values}:value:regression"), seed=0)


@pytest.mark.data
def test_chunks_of_conll2000_with_few_labels(real_data: Path) -> None:
    chunk = load_task(parse_task("chunk=nltk:conll2000"), seed=0, num_train=500, data_dir=str(real_data))
    assert len(chunk.splits["train"]) == 500 and len(chunk.splits["test"]) == 2_012
    assert len(chunk.splits["dev"]) == 1_341
    assert "B-NP" in chunk.task.labels and "I-LST" not in chunk.task.labels
    assert "I-LST" in chunk.splits["test"].names


@pytest.mark.data
def test_names_of_tweets(real_data: Path) -> None:
    ner = load_task(parse_task(f"ner={real_data}/ner/en_wnut17"), seed=0)
    assert [len(part) for part in ner.splits.values()] == [3_394, 1_009, 1_287]
