"""Domains by name: own files, one file with a column of domains, the Amazon reviews, and the pairs of a grid."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from nlptransfer.data.domains import domains_of, expand_pairs, load_domain, load_domain_pair, pick_domain
from nlptransfer.errors import InputError


def write_csv(path: Path, rows: list[tuple[str, ...]], *, header: tuple[str, ...] = ("text", "label")) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def reviews(domain: str, count: int) -> list[tuple[str, str, str]]:
    return [(f"a {domain} number {n}", ("neg", "pos")[n % 2], domain) for n in range(count)]


@pytest.fixture
def one_file(tmp_path: Path) -> str:
    """Three domains, the third without labels."""
    unlabelled = [(text, "", domain) for text, _, domain in reviews("kitchen", 11)]
    rows = [*reviews("dvd", 12), *reviews("books", 7), *unlabelled]
    return write_csv(tmp_path / "reviews.csv", rows, header=("text", "label", "domain"))


def test_two_files_of_ones_own_are_a_pair(tmp_path: Path) -> None:
    mine = write_csv(tmp_path / "mine.csv", [("dull", "neg"), ("a joy", "pos"), ("fine", "pos")])
    theirs = write_jsonl(
        tmp_path / "theirs.jsonl",
        [{"text": "it broke", "label": "neg"}, {"text": "works", "label": "pos"}]
        + [{"text": f"thing {n}", "label": None} for n in range(10)],
    )
    pair = load_domain_pair(mine, theirs, seed=0)
    assert (pair.source, pair.target, pair.label_names) == (mine, theirs, ("neg", "pos"))
    assert pair.source_labelled["text"][:] == ["dull", "a joy", "fine"]
    assert pair.target_test["text"][:] == ["it broke", "works"]
    assert set(pair.target_unlabelled["text"][:]) == {f"thing {n}" for n in range(10)}
    assert pair.test_labels is not None and pair.test_labels.open().tolist() == [0, 1]
    assert pair.warnings == ()


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    header = ("shop", "review", "stars")
    rows = [(domain, text, label) for name in ("dvd", "books") for text, label, domain in reviews(name, 6)]
    path = write_csv(tmp_path / "all.csv", rows, header=header)
    columns = {"text_column": "review", "label_column": "stars", "domain_column": "shop"}
    pair = load_domain_pair(f"{path}#books", f"{path}#dvd", seed=0, **columns)
    assert len(pair.source_labelled) == len(pair.target_test) == 6
    assert domains_of(path, **columns) == ["books", "dvd"]
    assert expand_pairs([path], **columns) == [
        (f"{path}#books", f"{path}#dvd"), (f"{path}#dvd", f"{path}#books")
    ]  # fmt: skip


def test_a_hash_takes_one_domain_of_a_file(one_file: str) -> None:
    pair = load_domain_pair(f"{one_file}#books", f"{one_file}#dvd", target_labels=2, seed=0)
    assert all("books" in text for text in pair.source_labelled["text"]) and len(pair.source_labelled) == 7
    assert all("dvd" in text for text in pair.target_test["text"]) and len(pair.target_test) == 10
    assert len(pair.target_labelled) == 2
    unlabelled = load_domain_pair(f"{one_file}#books", f"{one_file}#kitchen", seed=0)
    assert unlabelled.test_labels is None and len(unlabelled.target_unlabelled) == 11


def test_an_unknown_domain_is_an_error_that_lists_those_there_are(one_file: str) -> None:
    with pytest.raises(InputError, match=r"no domain 'boks'.*one of books, dvd, kitchen; found boks"):
        load_domain_pair(f"{one_file}#boks", f"{one_file}#dvd", seed=0)


def test_a_file_without_domains_has_none_to_take(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "plain.csv", [("dull", "neg"), ("a joy", "pos")])
    for attempt in (lambda: load_domain(f"{path}#books"), lambda: domains_of(path), lambda: expand_pairs([path])):
        with pytest.raises(InputError, match=r"no column of domains.*found text, label.*domain_column"):
            attempt()
    with pytest.raises(InputError, match="the domain has no name"):
        load_domain(f"{path}#")


def test_a_file_whose_own_name_holds_a_hash_is_taken_whole(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "c#books.csv", [("dull", "neg"), ("a joy", "pos")])
    assert len(load_domain(path)) == 2


def test_splits_without_the_domain_are_left_out() -> None:
    corpus = DatasetDict(
        {
            "train": Dataset.from_dict({"text": ["a", "b", "c"], "domain": ["x", "y", "x"]}),
            "test": Dataset.from_dict({"text": ["d"], "domain": ["y"]}),
        }
    )
    assert {split: data["text"][:] for split, data in pick_domain(corpus, "x", where="here").items()} == {
        "train": ["a", "c"]
    }
    assert set(pick_domain(corpus, "y", where="here")) == {"train", "test"}


def test_source_and_target_may_not_share_reviews(one_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for source, target in (
        ("amazon:books", "amazon:books"),
        (one_file, one_file),
        (f"{one_file}#books", f"{one_file}#books"),
    ):
        with pytest.raises(InputError, match="are the same corpus"):
            load_domain_pair(source, target, seed=0)
    with pytest.raises(InputError, match="a part of the other"):
        load_domain_pair(one_file, f"{one_file}#dvd", seed=0)
    monkeypatch.chdir(Path(one_file).parent)
    with pytest.raises(InputError, match=r"are the same corpus.*reviews.csv#books and"):
        load_domain_pair("reviews.csv", one_file, seed=0)


def test_every_ordered_pair_is_made_once() -> None:
    pairs = expand_pairs(["amazon"])
    assert len(pairs) == len(set(pairs)) == 12
    assert pairs[:3] == [("amazon:books", f"amazon:{other}") for other in ("dvd", "electronics", "kitchen")]
    assert all(source != target for source, target in pairs)
    assert len(expand_pairs(["amazon-bow5000"])) == len(expand_pairs(["amazon-ngrams"])) == 12
    assert expand_pairs(["synthetic-reviews"]) == [
        ("synthetic-reviews:source", "synthetic-reviews:target"),
        ("synthetic-reviews:target", "synthetic-reviews:source"),
    ]
    assert expand_pairs(["a.csv", "b.csv"]) == [("a.csv", "b.csv"), ("b.csv", "a.csv")]
    assert len(expand_pairs(["amazon:books", "amazon:dvd", "mine.csv"])) == 6


def test_one_file_stands_for_its_domains(one_file: str) -> None:
    names = [f"{one_file}#{domain}" for domain in ("books", "dvd", "kitchen")]
    assert expand_pairs([one_file]) == [(a, b) for a in names for b in names if a != b]


@pytest.mark.parametrize("domains", [[], ["reviews.csv#books"]])
def test_one_domain_makes_no_pair(domains: list[str]) -> None:
    with pytest.raises(InputError, match="at least two domains"):
        expand_pairs(domains)


def test_a_domain_named_twice_is_an_error() -> None:
    with pytest.raises(InputError, match="are the same corpus"):
        expand_pairs(["amazon:dvd", "amazon"])


def test_every_domain_is_once_the_target_of_all_others(one_file: str) -> None:
    assert expand_pairs(["amazon"], kind="leave_one_out") == [
        ("amazon:dvd + amazon:electronics + amazon:kitchen", "amazon:books"),
        ("amazon:books + amazon:electronics + amazon:kitchen", "amazon:dvd"),
        ("amazon:books + amazon:dvd + amazon:kitchen", "amazon:electronics"),
        ("amazon:books + amazon:dvd + amazon:electronics", "amazon:kitchen"),
    ]
    books, dvd, kitchen = (f"{one_file}#{domain}" for domain in ("books", "dvd", "kitchen"))
    assert expand_pairs([one_file], kind="leave_one_out") == [
        (f"{dvd} + {kitchen}", books), (f"{books} + {kitchen}", dvd), (f"{books} + {dvd}", kitchen)
    ]  # fmt: skip
    with pytest.raises(InputError, match="are the same corpus"):
        expand_pairs(["amazon:dvd", "amazon"], kind="leave_one_out")
    with pytest.raises(InputError, match=r"the target is several domains.*found amazon:books, amazon:dvd"):
        expand_pairs(["amazon:books+dvd", "amazon:kitchen"], kind="leave_one_out")


def test_the_rows_of_several_sources_stand_below_one_another(one_file: str, tmp_path: Path) -> None:
    more = [{"text": f"thing {n}", "label": None if n % 3 else ("pos", "neg")[n // 3 % 2]} for n in range(9)]
    things = write_jsonl(tmp_path / "more+things.jsonl", [{"text": "a BOOKS  number 3", "label": "neg"}, *more])
    pair = load_domain_pair(f"{one_file}#books + {things}", f"{one_file}#dvd", seed=0)
    books, dvd = reviews("books", 7), reviews("dvd", 12)
    expected = [*((text, label) for text, label, _ in books), ("a BOOKS  number 3", "neg")]
    expected += [("thing 0", "pos"), ("thing 3", "neg"), ("thing 6", "pos")]
    names = pair.label_names
    assert [(row["text"], names[row["label"]]) for row in pair.source_labelled] == expected
    assert pair.source_unlabelled["text"][:] == [f"thing {n}" for n in range(9) if n % 3]
    assert pair.target_test["text"][:] == [text for text, _, _ in dvd]
    assert pair.source == f"{one_file}#books + {things}"
    assert pair.signature["source_labelled_by_domain"] == {f"{one_file}#books": 7, things: 4}
    assert pair.signature["duplicates"]["within_source_labelled"] == 1, "it stands in the other domain"
    dropped = load_domain_pair(pair.source, pair.target, drop_duplicates=True, seed=0)
    assert dropped.signature["source_labelled_by_domain"] == {f"{one_file}#books": 7, things: 3}
    assert len(dropped.source_labelled) == 10


def test_what_can_not_be_joined_says_which_domains(one_file: str, tmp_path: Path) -> None:
    stars = write_csv(tmp_path / "stars.csv", [("dull", "1"), ("a joy", "5")])
    for source, message in (
        (f"{one_file}#books + {one_file}#dvd", r"the target is among the sources"),
        (f"{one_file}#books + {one_file}#books", r"two domains of the source are the same corpus"),
        (f"{one_file}#books + {stars}", r"books and .*stars.csv: the domains of the source have different classes.*"
         r"'neg', 'pos'; found '1', '5' in .*stars.csv"),
        (f"{one_file}#books + {one_file}#kitchen", r"reviews.csv#kitchen: the source has no labels"),
        (f"{one_file}#books+toys", r"no domain 'books\+toys'.*name the file each time: .*reviews.csv#books \+ "),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            load_domain_pair(source, f"{one_file}#dvd", seed=0)


def test_a_domain_whose_name_holds_a_plus_sign_is_one(tmp_path: Path) -> None:
    rows = [*reviews("home+garden", 6), *reviews("toys", 8), *reviews("18+", 6)]
    path = write_csv(tmp_path / "shop.csv", rows, header=("text", "label", "domain"))
    sizes = {
        target: len(load_domain_pair(source, target, seed=0).source_labelled)
        for source, target in expand_pairs([path], kind="leave_one_out")
    }
    assert sizes == {f"{path}#18+": 14, f"{path}#home+garden": 14, f"{path}#toys": 12}
    assert len(load_domain_pair(f"{path}#home+garden", f"{path}#18+", seed=0).source_labelled) == 6


@pytest.mark.data
@pytest.mark.parametrize(
    ("family", "rows", "transductive"),
    [
        ("amazon", {"source_unlabelled": 3695, "target_unlabelled": 3378, "target_test": 1900}, False),
        ("amazon-bow5000", {"source_unlabelled": 0, "target_unlabelled": 2000, "target_test": 3586}, False),
        ("amazon-ngrams", {"source_unlabelled": 0, "target_unlabelled": 1900, "target_test": 1900}, True),
    ],
)
def test_the_amazon_reviews_are_divided_as_the_papers_divide_them(
    real_data: Path, family: str, rows: dict[str, int], transductive: bool
) -> None:
    pair = load_domain_pair(
        f"{family}:books", f"{family}:dvd", target_labels=50, label_pool=100, seed=0, data_dir=real_data
    )
    signature = pair.signature
    assert len(pair.source_labelled) == 2000 and {name: signature["rows"][name] for name in rows} == rows
    assert signature["transductive"] is transductive
    assert sum(pair.target_labelled["label"]) == 25
    assert len(pair.label_names) == 2
    # Blitzer's labelled files hold a few reviews twice, in every shape.
    assert signature["duplicates"]["within_source_labelled"] == 44
    assert "label" not in pair.target_unlabelled.column_names


@pytest.mark.data
def test_three_amazon_domains_are_one_source(real_data: Path) -> None:
    source = "amazon-bow5000:books+dvd+electronics"
    pair = load_domain_pair(source, "amazon-bow5000:kitchen", seed=0, data_dir=real_data)
    assert pair.source == "amazon-bow5000:books + amazon-bow5000:dvd + amazon-bow5000:electronics"
    assert list(pair.signature["source_labelled_by_domain"].values()) == [2000, 2000, 2000]
    parts = [load_domain(name, data_dir=real_data)["train"] for name in pair.source.split(" + ")]
    for column in ("terms", "counts", "label"):
        assert pair.source_labelled[column][:] == [value for part in parts for value in part[column]]
    assert pair.target_unlabelled.column_names == ["terms", "counts"]
    with pytest.raises(InputError, match=r"amazon-bow5000:dvd: .* one has texts, the other counted terms"):
        load_domain_pair("amazon:books + amazon-bow5000:dvd", "amazon:kitchen", seed=0, data_dir=real_data)
