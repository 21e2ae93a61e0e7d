"""Coverage counted by hand, for plain columns and for datasets."""

import json

import numpy as np
import pytest

from nlptransfer.embeddings.coverage import coverage_report, format_coverage
from nlptransfer.embeddings.word_forms import FOUND_BY
from nlptransfer.embeddings.word_vectors import WordVectors

VECTORS = WordVectors(
    words=["the", "bank", "0000", "rose"],
    matrix=np.ones((4, 2), np.float32),
    subwords=None,
    source="here",
    digest="none",
)
TRAIN = {
    "tokens": [["The", "bank", "the", "bank"], [], ["Xqzy", "1990"]],
    "tags": [[0, 1, 0, 1], [], [1, 2]],
    "domain": ["news", "news", "web"],
}
TEST = {"tokens": [["rose", "xqzy"]], "tags": [[1, 1]], "domain": ["web"]}


def as_columns() -> dict:
    names = ["DT", "NN", "CD"]
    return {
        split: {**columns, "tags": [[names[tag] for tag in tags] for tags in columns["tags"]]}
        for split, columns in (("train", TRAIN), ("test", TEST))
    }


def as_datasets() -> object:
    from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

    features = Features(
        {"tokens": List(Value("string")), "tags": List(ClassLabel(names=["DT", "NN", "CD"])), "domain": Value("string")}
    )
    return DatasetDict(
        {
            "train": Dataset.from_dict(TRAIN, features=features),
            "test": Dataset.from_dict(TEST, features=features),
        }
    )


@pytest.mark.parametrize("make", [as_columns, as_datasets])
def test_shares_are_those_counted_by_hand(make) -> None:  # type: ignore[no-untyped-def]
    rows = coverage_report(VECTORS, make())
    assert [(row["group"], row["name"], row["tokens"], row["types"]) for row in rows] == [
        ("split", "train", 6, 5),
        ("split", "test", 2, 2),
        ("domain", "news", 4, 3),
        ("domain", "web", 4, 4),
        ("tag", "NN", 5, 4),
        ("tag", "DT", 2, 2),
        ("tag", "CD", 1, 1),
    ]
    train = rows[0]
    assert train["token_share"] == {
        "exact": 3 / 6,
        "lower case": 1 / 6,
        "unicode form": 0,
        "digits folded": 1 / 6,
        "subwords": 0,
        "not found": 1 / 6,
    }
    assert train["type_share"]["exact"] == 2 / 5 and train["type_share"]["not found"] == 1 / 5
    for row in rows:
        for share in ("token_share", "type_share"):
            assert tuple(row[share]) == FOUND_BY and sum(row[share].values()) == pytest.approx(1)
    assert json.loads(json.dumps(rows)) == rows


def test_a_fallback_that_is_switched_off_finds_nothing() -> None:
    train = coverage_report(VECTORS, as_columns(), fallbacks=("lower case",))[0]
    assert train["token_share"]["digits folded"] == 0 and train["token_share"]["not found"] == 2 / 6


def test_tags_and_domains_may_be_missing_and_a_split_may_be_empty() -> None:
    rows = coverage_report(VECTORS, {"train": {"tokens": [["the"]]}, "dev": {"tokens": []}})
    assert [row["name"] for row in rows] == ["train", "dev"]
    assert rows[1]["tokens"] == 0 and set(rows[1]["token_share"].values()) == {0}


def test_the_table_shows_only_fallbacks_that_found_something() -> None:
    table = format_coverage(coverage_report(VECTORS, as_columns())).splitlines()
    assert table[0].split("  ")[-1].strip() == "types not found"
    assert "digits folded" in table[0] and "subwords" not in table[0]
    assert table[1].split() == ["split", "train", "6", "5", "50.0%", "16.7%", "16.7%", "16.7%", "20.0%"]
    assert format_coverage([]).split() == ["tokens", "types", "types", "not", "found"]
