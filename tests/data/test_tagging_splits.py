"""Splits come from the corpora named for them; what is missing is cut off; nothing asked for is ever replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from datasets import Dataset

from nlptransfer.data import fetching
from nlptransfer.data.splits import split_corpus, tag_names
from nlptransfer.data.tagging_splits import load_splits
from nlptransfer.errors import InputError


def write(path: Path, prefix: str, count: int, *, tags: tuple[str, str] = ("DET", "NOUN")) -> str:
    """`count` sentences that can be told apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ({"tokens": ["the", f"{prefix}{number}"], "tags": list(tags)} for number in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def names(data: Dataset) -> list[str]:
    return [tokens[1] for tokens in data["tokens"][:]]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "UD_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(fetching, "NLTK_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("nltk.data.path", [])
    monkeypatch.delenv("NLPTRANSFER_DATA", raising=False)


def test_one_corpus_is_cut_as_split_corpus_cuts_it(tmp_path: Path) -> None:
    corpus = write(tmp_path / "all.jsonl", "w", 40)
    splits, _, warnings = load_splits(corpus, dev_fraction=0.2, test_fraction=0.25, seed=4, usual="treebank")
    assert warnings == []
    assert list(splits) == ["train", "dev", "test"]
    assert {split: len(data) for split, data in splits.items()} == {"train": 24, "dev": 6, "test": 10}
    assert sorted(word for data in splits.values() for word in names(data)) == sorted(f"w{n}" for n in range(40))
    whole = Dataset.from_dict({"tokens": [["the", f"w{number}"] for number in range(40)]})
    expected = split_corpus(whole, dev_fraction=0.2, test_fraction=0.25, seed=4)
    assert {split: names(data) for split, data in splits.items()} == {
        split: names(data) for split, data in expected.items()
    }
    other, _, _ = load_splits(corpus, dev_fraction=0.2, test_fraction=0.25, seed=5, usual="treebank")
    assert names(other["test"]) != names(splits["test"])


def test_what_a_corpus_ships_is_not_cut(tmp_path: Path) -> None:
    for split, count in (("train", 5), ("dev", 3), ("test", 2)):
        write(tmp_path / "corpus" / f"{split}.jsonl", split, count)
    splits, _, _ = load_splits(str(tmp_path / "corpus"), seed=0, usual="treebank")
    assert names(splits["train"]) == [f"train{n}" for n in range(5)]
    assert names(splits["dev"]) == [f"dev{n}" for n in range(3)]
    assert names(splits["test"]) == [f"test{n}" for n in range(2)]
    (tmp_path / "corpus" / "dev.jsonl").unlink()
    splits, _, _ = load_splits(str(tmp_path / "corpus"), dev_fraction=0.4, seed=0, usual="treebank")
    assert (len(splits["train"]), len(splits["dev"])) == (3, 2)
    assert names(splits["test"]) == [f"test{n}" for n in range(2)]


def test_data_named_for_a_split_takes_the_place_of_what_the_corpus_ships(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        write(tmp_path / "corpus" / f"{split}.jsonl", split, 4)
        write(tmp_path / "other" / f"{split}.jsonl", f"other-{split}", 3)
    single = write(tmp_path / "single.jsonl", "single", 2)
    splits, _, _ = load_splits(
        str(tmp_path / "corpus"), dev_data=single, test_data=str(tmp_path / "other"), seed=0, usual="treebank"
    )
    assert names(splits["train"]) == [f"train{n}" for n in range(4)]
    assert names(splits["dev"]) == ["single0", "single1"]
    assert names(splits["test"]) == [f"other-test{n}" for n in range(3)], "of one that ships splits, its test"


def test_with_a_target_the_test_splits_say_whose_they_are(tmp_path: Path) -> None:
    source = write(tmp_path / "source.jsonl", "s", 20)
    target = write(tmp_path / "target.jsonl", "t", 7)
    splits, _, _ = load_splits(source, target=target, seed=0, usual="treebank")
    assert list(splits) == ["train", "dev", "source_test", "target_test"]
    assert names(splits["target_test"]) == [f"t{n}" for n in range(7)], "all of it: none is trained on"
    assert all(word.startswith("s") for word in names(splits["source_test"]))


def test_tags_are_numbered_alike_and_unseen_ones_are_refused_or_kept(tmp_path: Path) -> None:
    source = write(tmp_path / "source.jsonl", "s", 20, tags=("DET", "NOUN"))
    target = write(tmp_path / "target.jsonl", "t", 7, tags=("ADJ", "NOUN"))
    with pytest.raises(InputError, match="the tag 'ADJ' of 'target_test' never occurs in 'train'"):
        load_splits(source, target=target, seed=0, usual="treebank")
    splits, _, _ = load_splits(source, target=target, seed=0, usual="treebank", unseen_tags="count_as_wrong")
    assert tag_names(splits["train"]) == ["DET", "NOUN"]
    assert tag_names(splits["target_test"]) == ["DET", "NOUN", "ADJ"]
    assert splits["target_test"][0]["tags"] == [2, 1]


def test_a_corpus_that_lacks_the_split_needed_says_what_it_has(tmp_path: Path) -> None:
    source = write(tmp_path / "source.jsonl", "s", 20)
    write(tmp_path / "tests" / "test.jsonl", "x", 3)
    with pytest.raises(InputError, match=r"tests: the corpus ships no training split. Found test"):
        load_splits(str(tmp_path / "tests"), seed=0, usual="treebank")
    with pytest.raises(InputError, match=r"tests: the corpus ships no split 'dev'. Found test"):
        load_splits(source, dev_data=str(tmp_path / "tests"), seed=0, usual="treebank")


def test_only_the_usual_corpus_falls_back_to_the_synthetic_one(no_network: None) -> None:
    splits, name, (warning,) = load_splits(None, seed=0, usual="treebank")
    assert name == "synthetic, in place of treebank"
    assert warning.startswith("THE CORPUS IS SYNTHETIC.")
    assert "nltk:treebank" in warning and "nltk.downloader treebank" in warning
    assert {split: len(data) for split, data in splits.items()} == {"train": 1445, "dev": 255, "test": 300}
    # The tagset asked for is that of the usual corpus; the synthetic one has no other.
    assert tag_names(load_splits(None, seed=0, usual="treebank", tagset="universal")[0]["train"]) == tag_names(
        splits["train"]
    )
    with pytest.raises(InputError, match="neither at hand nor could it be fetched"):
        load_splits("treebank", seed=0, usual="treebank")


def test_a_damaged_corpus_is_not_replaced_either(
    no_network: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "nltk_data" / "corpora" / "treebank.zip"
    package.parent.mkdir(parents=True)
    package.write_bytes(b"half a zip")
    monkeypatch.setenv("NLPTRANSFER_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"treebank\.zip"):
        load_splits(None, seed=0, usual="treebank")


def test_the_synthetic_corpus_can_be_asked_for(no_network: None) -> None:
    splits, _, warnings = load_splits("synthetic", target="synthetic:target", seed=0, usual="treebank")
    assert warnings == []
    assert list(splits) == ["train", "dev", "source_test", "target_test"]


def test_the_training_data_are_no_test_data(tmp_path: Path, no_network: None) -> None:
    source = write(tmp_path / "source.jsonl", "s", 20)
    for option in ("dev_data", "test_data", "target"):
        with pytest.raises(InputError, match="data are the training data"):
            load_splits(source, seed=0, usual="treebank", **{option: str(tmp_path / "." / "source.jsonl")})


def test_a_split_that_repeats_training_sentences_is_warned_of(tmp_path: Path) -> None:
    source = write(tmp_path / "source.jsonl", "s", 20)
    again = tmp_path / "again.jsonl"
    again.write_text((tmp_path / "source.jsonl").read_text())
    _, _, (warning,) = load_splits(source, test_data=str(again), seed=0, usual="treebank")
    assert "sentences of test stand in the training data word for word" in warning
