"""The one door: names, paths, splits, the order of the search, and what can't be had."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nltk.data
import pytest
from datasets import Dataset, DatasetDict

from nlptransfer.data import fetching
from nlptransfer.data.corpora import is_synthetic, load_corpus
from nlptransfer.data.splits import tag_names
from nlptransfer.errors import InputError

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No data but the test's own, and no server that answers."""
    monkeypatch.setattr(fetching, "UD_URL", NOBODY)
    monkeypatch.setattr(fetching, "NLTK_URL", NOBODY)
    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.delenv("NLPTRANSFER_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def conllu(*words: tuple[str, str]) -> str:
    rows = (f"{i}\t{word}\t_\t{tag}\tX{tag}\t_\t_\t_\t_\t_\n" for i, (word, tag) in enumerate(words, start=1))
    return "".join(rows) + "\n"


def write_treebank(root: Path, name: str, prefix: str, **splits: str) -> None:
    folder = root / "ud" / name
    folder.mkdir(parents=True)
    for split, text in splits.items():
        (folder / f"{prefix}-ud-{split}.conllu").write_text(text)


def test_importing_the_door_loads_no_heavy_package() -> None:
    code = (
        "import sys, nlptransfer.data.corpora;"
        "print([n for n in ('torch', 'datasets', 'nltk', 'sklearn', 'conllu', 'pooch') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_corpus_needs_torch(tmp_path: Path) -> None:
    (tmp_path / "a.conllu").write_text(conllu(("a", "X")))
    code = (
        "import sys; from nlptransfer.data.corpora import load_corpus; load_corpus(sys.argv[1]);"
        "load_corpus('synthetic'); load_corpus('synthetic-reviews:target'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.conllu")], check=True)


def test_the_synthetic_corpus_is_always_there(no_network: None) -> None:
    source, target = load_corpus("synthetic"), load_corpus("synthetic:target")
    assert len(source) == len(target) == 2000
    assert load_corpus("synthetic:source").to_dict() == source.to_dict()
    assert source[0]["tokens"] != target[0]["tokens"]


def test_a_treebank_gives_all_its_splits_with_one_numbering(tmp_path: Path, no_network: None) -> None:
    write_treebank(
        tmp_path,
        "UD_English-Toy",
        "en_toy",
        train=conllu(("a", "X"), ("b", "Y")),
        dev=conllu(("c", "A")),
        test=conllu(("d", "Y")),
    )
    data = load_corpus("ud:UD_English-Toy", data_dir=tmp_path)
    assert isinstance(data, DatasetDict)
    assert list(data) == ["train", "dev", "test"]
    assert {tuple(tag_names(part)) for part in data.values()} == {("A", "X", "Y")}
    assert data["test"]["tags"][:] == [[2]]
    one = load_corpus("ud:UD_English-Toy", "test", data_dir=tmp_path, tag_column="xpos")
    assert isinstance(one, Dataset)
    assert tag_names(one) == ["XY"]


def test_the_first_folder_that_has_the_corpus_wins(
    tmp_path: Path, no_network: None, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    roots = [tmp_path / "named", tmp_path / "first", tmp_path / "second", own_cache]
    for index, root in enumerate(roots):
        write_treebank(root, "UD_English-Toy", "en_toy", test=conllu((f"from{index}", "X")))
    monkeypatch.setenv("NLPTRANSFER_DATA", os.pathsep.join([str(roots[1]), str(roots[2])]))

    def found(data_dir: Path | None = None) -> str:
        return load_corpus("ud:UD_English-Toy", "test", data_dir=data_dir)["tokens"][0][0]

    assert found(roots[0]) == "from0"
    assert found() == "from1"
    (roots[1] / "ud" / "UD_English-Toy" / "en_toy-ud-test.conllu").unlink()
    assert found() == "from2"
    monkeypatch.delenv("NLPTRANSFER_DATA")
    assert found() == "from3"


def test_a_treebank_that_is_not_at_hand_is_fetched_once(
    tmp_path: Path, no_network: None, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    remote = tmp_path / "remote" / "UD_Hindi-Toy" / "master"
    remote.mkdir(parents=True)
    for split in ("train", "test"):  # no dev
        (remote / f"hi_toy-ud-{split}.conllu").write_text(conllu((split, "X")))

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "remote")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(fetching, "UD_URL", f"http://127.0.0.1:{server.server_port}")
    try:
        assert list(load_corpus("ud:UD_Hindi-Toy")) == ["train", "test"]
    finally:
        server.shutdown()
        server.server_close()
    # From here on the server is gone, and the cache serves.
    assert load_corpus("ud:UD_Hindi-Toy", "test")["tokens"][:] == [["test"]]
    kept = own_cache / "ud" / "UD_Hindi-Toy" / "hi_toy-ud-test.conllu"
    assert (kept.parent / f"{kept.name}.sha256").read_text().strip() == hashlib.sha256(kept.read_bytes()).hexdigest()
    kept.write_text(conllu(("changed", "X")))
    with pytest.raises(InputError, match="changed since it was downloaded"):
        load_corpus("ud:UD_Hindi-Toy", "test")


@pytest.mark.parametrize(
    "name",
    [
        "treebank",
        "nltk:brown/news",
        "nltk:pros_cons",
        "ud:UD_English-EWT",
        "ud:UD_French-GSD",
        "hub:someone/something",
    ],
)
def test_what_can_not_be_had_names_each_place_and_the_remedy_soon(
    name: str, tmp_path: Path, no_network: None, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", NOBODY)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NLPTRANSFER_DATA", str(tmp_path / "mine"))
    started = time.monotonic()
    with pytest.raises(InputError, match="neither at hand nor could it be fetched") as caught:
        load_corpus(name)
    assert time.monotonic() - started < 10
    message = str(caught.value)
    assert NOBODY in message and "(no connection)" in message
    if not name.startswith("hub:"):
        assert str(tmp_path / "mine") in message and str(own_cache) in message
    assert any(word in message for word in ("nltk.downloader", "universaldependencies.org", "HF_HUB_OFFLINE"))
    assert list(own_cache.rglob("*.zip")) == list(own_cache.rglob("*.conllu")) == []


def test_a_folder_of_split_files_is_a_corpus_with_splits(tmp_path: Path) -> None:
    (tmp_path / "train.conllu").write_text(conllu(("a", "X")))
    (tmp_path / "my-validation.tsv").write_text("b\tY\n")
    (tmp_path / "x_test.jsonl").write_text(json.dumps({"tokens": ["c"], "tags": ["Z"]}))
    (tmp_path / "README.md").write_text("not data")
    data = load_corpus(tmp_path)
    assert {split: part["tokens"][:] for split, part in data.items()} == {
        "train": [["a"]],
        "dev": [["b"]],
        "test": [["c"]],
    }
    assert tag_names(data["dev"]) == ["X", "Y", "Z"]
    assert tag_names(load_corpus(tmp_path, "dev")) == ["Y"]


def test_a_saved_dataset_is_loaded_by_its_folder(tmp_path: Path) -> None:
    part = Dataset.from_dict({"tokens": [["a", "b"]], "pos": [["Y", "X"]], "extra": [1]})
    part.save_to_disk(str(tmp_path / "one"))
    DatasetDict({"train": part, "validation": part}).save_to_disk(str(tmp_path / "two"))
    one = load_corpus(tmp_path / "one", tag_column="pos")
    assert one.column_names == ["tokens", "tags"] and one["tags"][:] == [[1, 0]]
    assert list(load_corpus(tmp_path / "two", tag_column="pos")) == ["train", "dev"]
    assert len(load_corpus(tmp_path / "two", "dev", tag_column="pos")) == 1


def test_what_load_corpus_gives_can_be_saved_and_loaded_again(tmp_path: Path) -> None:
    data = load_corpus("synthetic")
    data.save_to_disk(str(tmp_path / "saved"))
    again = load_corpus(tmp_path / "saved")
    assert again.features == data.features and again.to_dict() == data.to_dict()


def test_named_columns_reach_column_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("X a\nY b\n")
    assert load_corpus(tmp_path / "a.txt", columns=("tags", "tokens"))["tokens"][:] == [["a", "b"]]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("treebnak", {}, "treebnak: no corpus has this name.*Did you mean treebank"),
        ("nltk:trebank", {}, "Did you mean nltk:treebank"),
        ("nltk:treebank/news", {}, "no corpus has this name"),
        ("synthetic:third", {}, "no corpus has this name"),
        ("amazon:music", {}, "no corpus has this name"),
        ("amazon:boks", {}, "Did you mean amazon:books"),
        ("amazon-bow500:dvd", {}, "Did you mean amazon-bow5000:dvd"),
        ("nltk:movie_review", {}, "Did you mean nltk:movie_reviews"),
        ("synthetic-reviews:third", {}, "Did you mean synthetic-reviews:t?"),
        ("synthetic-reviews:target", {"split": "dev"}, "no split 'dev'.*one of train, unlabelled"),
        ("nltk:movie_reviews", {"split": "test"}, "no split 'test'.*one piece"),
        ("ud:UD_English-EWT", {"split": "unlabelled"}, "no split 'unlabelled'.*train, dev, test"),
        ("treebank", {"task": "classification"}, "a corpus of tagged sentences.*Expected .*texts.*amazon:books"),
        ("amazon:books", {"task": "tagging"}, "a corpus of texts with labels.*Expected .*tagged.*treebank"),
        ("treebank", {"task": "parsing"}, "the task is unknown.*tagging or classification; found parsing"),
        ("amazon:books", {"tagset": "universal"}, "can't be mapped to the universal tagset"),
        ("a.conllu", {"task": "classification"}, r"format can't be told.*\.csv.*found \.conllu"),
        ("a.csv", {"label_column": "stars"}, "no column 'text' and no column 'stars'"),
        ("synthetic", {"split": "train"}, "there is no split 'train'.*Leave the split out"),
        ("treebank", {"split": "test"}, "nltk:treebank: there is no split 'test'"),
        ("nltk:conll2000", {"split": "dev"}, "there is no split 'dev'.*one of train, test"),
        ("treebank", {"split": "tset"}, "the split is unknown.*train, dev, test, unlabelled; found tset"),
        ("treebank", {"tagset": "upos"}, "the tagset is unknown.*found upos"),
        ("ud:UD_English-EWT", {"tagset": "universal"}, "can't be mapped to the universal tagset"),
        ("ud:EWT", {}, "no name of a treebank"),
        ("hub:conll", {}, "no name on the hub"),
        ("a.conllu", {"split": "test"}, "the corpus is one piece"),
        ("b.conllu", {}, r"no such file or folder\. Did you mean a\.conllu"),
        ("a.docx", {}, r"format can't be told.*\.conllu.*found \.docx"),
        ("empty", {}, "the folder holds no corpus.*an empty folder"),
        ("twice", {}, r"two files for test.*a-test\.conllu and test\.conllu"),
        ("twice", {"split": "dev"}, "two files for test"),
        ("broken", {}, "no dataset that `datasets` can load"),
    ],
)
def test_a_mistaken_request_says_what_to_do(
    tmp_path: Path, no_network: None, name: str, options: dict[str, str], message: str
) -> None:
    (tmp_path / "a.conllu").write_text(conllu(("a", "X")))
    (tmp_path / "a.docx").touch()
    (tmp_path / "a.csv").write_text("review,label\nDull,neg\n")
    for folder in ("empty", "twice", "broken"):
        (tmp_path / folder).mkdir()
    (tmp_path / "twice" / "test.conllu").touch()
    (tmp_path / "twice" / "a-test.conllu").touch()
    (tmp_path / "broken" / "state.json").write_text("{}")
    with pytest.raises(InputError, match=message):
        load_corpus(name, **options)  # type: ignore[arg-type]


def test_a_mistyped_treebank_is_told_with_its_look_alike(no_network: None) -> None:
    with pytest.raises(InputError, match=r"Did you mean ud:UD_English-EWT\?"):
        load_corpus("ud:UD_English-EWTT")


def test_the_synthetic_reviews_are_always_there(no_network: None) -> None:
    source, target = load_corpus("synthetic-reviews:source"), load_corpus("synthetic-reviews:target")
    assert {part: len(data) for part, data in target.items()} == {"train": 2000, "unlabelled": 2000}
    assert load_corpus("synthetic-reviews", "train").to_dict() == source["train"].to_dict()
    unlabelled = load_corpus("synthetic-reviews:target", "unlabelled", task="classification")
    assert unlabelled.to_dict() == target["unlabelled"].to_dict()
    assert is_synthetic("synthetic-reviews:target") and is_synthetic("synthetic, in place of amazon:books")
    assert not is_synthetic("amazon:books") and not is_synthetic("synthetic.csv")


def test_a_table_of_texts_is_read_by_the_task_or_by_a_named_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nDull,neg\n")
    (tmp_path / "a.tsv").write_text("review\tlabel\nDull\tneg\n")
    by_task = load_corpus(tmp_path / "a.csv", task="classification")
    assert by_task.to_dict() == {"text": ["Dull"], "label": [0]}
    assert load_corpus(tmp_path / "a.tsv", text_column="review").to_dict() == by_task.to_dict()
    with pytest.raises(InputError, match="no column 'tokens'"):
        load_corpus(tmp_path / "a.csv")


def test_a_folder_of_texts_shares_labels_and_leaves_those_of_unlabelled_texts_behind(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\nDull,neg\nFine,neu\n")
    (tmp_path / "my-dev.tsv").write_text("text\tlabel\nA joy\tpos\n")
    (tmp_path / "reviews_unlabeled.jsonl").write_text(json.dumps({"text": "Hm", "label": "secret"}))
    data = load_corpus(tmp_path, task="classification")
    assert list(data) == ["train", "dev", "unlabelled"]
    assert data["dev"].features["label"].names == ["neg", "neu", "pos"] and data["dev"]["label"][:] == [2]
    assert data["unlabelled"].to_dict() == {"text": ["Hm"]}
    assert load_corpus(tmp_path, "unlabelled", task="classification").to_dict() == {"text": ["Hm"]}
    with pytest.raises(InputError, match=r"no split 'test'.*one of train, dev, unlabelled"):
        load_corpus(tmp_path, "test", task="classification")
    # A tagging corpus has no unlabelled split: such a file beside it is passed over.
    (tmp_path / "tagged").mkdir()
    (tmp_path / "tagged" / "train.conllu").write_text(conllu(("a", "X")))
    (tmp_path / "tagged" / "unlabelled.txt").write_text("plain text\n")
    assert list(load_corpus(tmp_path / "tagged")) == ["train"]


def test_a_saved_text_corpus_is_loaded_by_its_folder_under_the_names_of_the_hub(tmp_path: Path) -> None:
    part = Dataset.from_dict({"review": ["Dull", "A joy"], "stars": [1, 5]})
    plain = Dataset.from_dict({"review": ["Hm"], "stars": [-1]})
    DatasetDict({"train": part, "validation": part, "unsupervised": plain}).save_to_disk(str(tmp_path / "saved"))
    data = load_corpus(tmp_path / "saved", text_column="review", label_column="stars")
    assert list(data) == ["train", "dev", "unlabelled"]
    assert data["train"].features["label"].names == ["1", "5"]
    assert data["unlabelled"].column_names == ["text"]


@pytest.mark.parametrize("name", ["synthetic-reviews:source", "amazon-bow5000:dvd"])
def test_a_text_corpus_can_be_saved_and_loaded_again(tmp_path: Path, no_network: None, name: str) -> None:
    folder = tmp_path / "amazon_reviews" / "bow_5000"
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        (folder / f"dvd_{part}.svmlight").write_text("1 0:1 7:2\n-1 3:1\n")
    data = load_corpus(name, data_dir=tmp_path)
    data.save_to_disk(str(tmp_path / "saved"))
    again = load_corpus(tmp_path / "saved", task="classification")
    assert list(again) == list(data)
    for part in data:
        assert again[part].features == data[part].features and again[part].to_dict() == data[part].to_dict()


@pytest.mark.data
def test_the_named_text_corpora_at_hand_are_loaded(real_data: Path) -> None:
    assert len(load_corpus("amazon:books", "unlabelled", data_dir=real_data)) == 3_695
    assert list(load_corpus("amazon:kitchen", data_dir=real_data)) == ["train", "unlabelled"]
    assert len(load_corpus("amazon-ngrams:dvd", data_dir=real_data, task="classification")) == 2_000
    assert len(load_corpus("amazon-bow5000:electronics", "test", data_dir=real_data)) == 5_681
    assert len(load_corpus("nltk:sentence_polarity", data_dir=real_data)) == 10_662
    urdu = load_corpus(real_data / "sentiment_hi_ur" / "ur_products_services", task="classification")
    assert {split: len(part) for split, part in urdu.items()} == {"train": 7_682, "dev": 959, "test": 962}
    topics = load_corpus(real_data / "sib200" / "hin_Deva", task="classification", label_column="category")
    assert len(topics["test"]) == 204 and len(topics["train"].features["label"].names) == 7


@pytest.mark.slow
@pytest.mark.data
def test_the_named_corpora_at_hand_are_loaded(real_data: Path) -> None:
    assert len(load_corpus("treebank", data_dir=real_data)) == 3_914
    ewt = load_corpus("ud:UD_English-EWT", data_dir=real_data)
    assert {split: len(part) for split, part in ewt.items()} == {"train": 12_544, "dev": 2_001, "test": 2_077}
    assert set(ewt["train"]["domain"]) == {"answers", "email", "newsgroup", "reviews", "weblog"}
    assert len(tag_names(ewt["test"])) == 17
    gum = load_corpus("ud:UD_English-GUM", "test", data_dir=real_data)
    assert "fiction" in gum["domain"] and len(set(gum["domain"])) == 15
    assert list(load_corpus("nltk:conll2000", data_dir=real_data)) == ["train", "test"]
    chat = load_corpus("nltk:nps_chat", data_dir=real_data, tagset="universal")
    assert len(tag_names(chat)) == 12
    assert set(load_corpus("nltk:brown/humor+news", data_dir=real_data)["domain"]) == {"humor", "news"}
    assert list(load_corpus(real_data / "ner" / "en_wnut17")) == ["train", "dev", "test"]
