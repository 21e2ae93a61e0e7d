"""The Amazon reviews in their three shapes: what is read, what is refused, and what the real files hold."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from nlptransfer.data.documents import documents
from nlptransfer.data.fetching import NotToBeHad
from nlptransfer.data.reviews import DOMAINS, load_amazon_bow5000, load_amazon_ngrams, load_amazon_texts
from nlptransfer.data.text_tables import label_names
from nlptransfer.errors import InputError

ORIGINAL = """<review>
<unique_id>
1
</unique_id>
<rating>
1.0
</rating>
<title>
Broke &amp; gone
</title>
<review_text>
It   broke in
a <b>week</b> \x93really\x94.
</review_text>
</review>
"""


def write(root: Path, name: str, text: str | bytes) -> None:
    path = root / "amazon_reviews" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


def jsonl(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_texts(root: Path, suffix: str = ".jsonl.gz", domain: str = "books") -> None:
    labelled = jsonl({"label": "pos", "text": "A joy"}, {"label": "neg", "text": "Dull"})
    write(root, f"text/{domain}.labeled{suffix}", labelled)
    write(root, f"text/{domain}.unlabeled{suffix}", jsonl({"text": "Hm", "label": "pos", "domain": "else"}))


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl"])
def test_unlabelled_reviews_lose_the_labels_that_their_file_may_hold(tmp_path: Path, suffix: str) -> None:
    write_texts(tmp_path, suffix)
    data = load_amazon_texts("books", [tmp_path / "absent", tmp_path])
    assert data["train"].to_dict() == {"text": ["A joy", "Dull"], "label": [1, 0], "domain": ["books"] * 2}
    assert label_names(data["train"]) == ["neg", "pos"]
    assert data["unlabelled"].to_dict() == {"text": ["Hm"], "domain": ["books"]}


def test_the_original_files_are_read_as_they_are_distributed(tmp_path: Path) -> None:
    for part in ("negative", "positive", "unlabeled"):
        text = (ORIGINAL + ORIGINAL.replace("broke", part)).encode("latin-1")
        write(tmp_path, f"sorted_data_acl/kitchen_&_housewares/{part}.review", text)
    data = load_amazon_texts("kitchen", [tmp_path])
    assert data["train"]["text"][0] == "Broke & gone It broke in a <b>week</b> \u201creally\u201d."
    assert data["train"]["label"][:] == [0, 0, 1, 1]
    assert data["unlabelled"]["text"][1].split()[4] == "unlabeled"
    assert set(data["unlabelled"]["domain"]) == {"kitchen"}
    write(tmp_path, "sorted_data_acl/kitchen_&_housewares/positive.review", "nothing")
    with pytest.raises(InputError, match=r"positive\.review: the file holds no reviews"):
        load_amazon_texts("kitchen", [tmp_path])


@pytest.mark.parametrize("place", ["bow_ngrams/dvd/{}.review.gz", "processed_acl/dvd/{}.review"])
def test_an_ngram_may_hold_a_colon_and_other_marks(tmp_path: Path, place: str) -> None:
    write(tmp_path, place.format("negative"), "bad:3 a:b:2 :):1 re:_x:12 #label#:negative\n\n")
    write(tmp_path, place.format("positive"), "so_good\u00a0x:1 #label#:positive\nok:1 #label#:positive\n")
    data = load_amazon_ngrams("dvd", [tmp_path])
    assert documents(data) == [{"bad": 3, "a:b": 2, ":)": 1, "re:_x": 12}, {"so_good\u00a0x": 1}, {"ok": 1}]
    assert data["label"][:] == [0, 1, 1] and data["domain"][:] == ["dvd"] * 3
    assert data.column_names == ["terms", "counts", "label", "domain"]


@pytest.mark.parametrize(
    "line", ["bad:3 #label#:positive", "bad:3", "bad #label#:negative", ":3 #label#:negative", "bad:x #label#:negative"]
)
def test_a_line_that_is_no_count_of_ngrams_is_named(tmp_path: Path, line: str) -> None:
    write(tmp_path, "bow_ngrams/dvd/negative.review.gz", f"bad:3 #label#:negative\n{line}\n")
    write(tmp_path, "bow_ngrams/dvd/positive.review.gz", "ok:1 #label#:positive\n")
    with pytest.raises(InputError, match=r"negative\.review\.gz, line 2: .*#label#:negative; found"):
        load_amazon_ngrams("dvd", [tmp_path])


def test_numbered_features_are_named_by_their_number(tmp_path: Path) -> None:
    write(tmp_path, "bow_5000/books_train.svmlight.gz", "1 0:6 4999:1\n-1\n-1 17:2.5\n")
    write(tmp_path, "bow_5000/books_test.svmlight", "-1 3:1 #  a comment\n")
    data = load_amazon_bow5000("books", [tmp_path])
    assert documents(data["train"]) == [{"0": 6.0, "4999": 1.0}, {}, {"17": 2.5}]
    assert data["train"]["label"][:] == [1, 0, 0] and label_names(data["train"]) == ["neg", "pos"]
    assert documents(data["test"]) == [{"3": 1.0}]


@pytest.mark.parametrize("line", ["1 5000:1", "1 -1:1", "2 1:1", "1 2:x", "1 a:1", "1 3:1 2:1", "1 3:1 3:1", "x 1:1"])
def test_a_line_that_is_no_svmlight_is_named(tmp_path: Path, line: str) -> None:
    write(tmp_path, "bow_5000/books_train.svmlight.gz", f"1 0:6\n{line}\n")
    write(tmp_path, "bow_5000/books_test.svmlight.gz", "-1 3:1\n")
    with pytest.raises(InputError, match=r"books_train\.svmlight\.gz, line 2: .*0 to 4999; found"):
        load_amazon_bow5000("books", [tmp_path])


@pytest.mark.parametrize("name", ["bow_5000/books_test.svmlight.gz", "bow_5000/books_train.svmlight.gz"])
def test_a_damaged_or_empty_file_is_named(tmp_path: Path, name: str) -> None:
    for part in ("train", "test"):
        write(tmp_path, f"bow_5000/books_{part}.svmlight.gz", "1 0:6\n" * 50)
    path = tmp_path / "amazon_reviews" / name
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(InputError, match=f"{path.name}: the file can't be read.*again"):
        load_amazon_bow5000("books", [tmp_path])
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(InputError, match=f"{path.name}: the corpus is empty"):
        load_amazon_bow5000("books", [tmp_path])


@pytest.mark.parametrize(
    ("load", "missing", "mend"),
    [
        (load_amazon_texts, "text/books.unlabeled.jsonl", "domain_sentiment_data.tar.gz from https://www.cs.jhu.edu"),
        (load_amazon_ngrams, "bow_ngrams/books/negative.review", "processed_acl.tar.gz from https://www.cs.jhu.edu"),
        (load_amazon_bow5000, "bow_5000/books_test.svmlight", "books_train.svmlight and books_test.svmlight of https"),
    ],
)
def test_what_can_not_be_had_names_each_place_and_the_address(
    tmp_path: Path, load: Callable[..., Any], missing: str, mend: str
) -> None:
    # A half of the files is not enough, and halves of two folders are not put together.
    write(tmp_path / "a", "text/books.labeled.jsonl.gz", jsonl({"text": "a", "label": "pos"}))
    write(tmp_path / "b", "text/books.unlabeled.jsonl.gz", jsonl({"text": "a"}))
    with pytest.raises(NotToBeHad) as caught:
        load("books", [tmp_path / "a", tmp_path / "b"])
    message = str(caught.value)
    assert message.startswith("amazon") and mend in message
    for folder in ("a", "b"):
        assert str(tmp_path / folder / "amazon_reviews" / missing) in message


@pytest.mark.data
@pytest.mark.parametrize(
    ("domain", "num_unlabelled", "num_test"),
    [("books", 3_695, 4_465), ("dvd", 3_378, 3_586), ("electronics", 3_551, 5_681), ("kitchen", 3_764, 5_945)],
)
def test_the_corpora_have_their_published_sizes_and_balance(
    real_data: Path, domain: str, num_unlabelled: int, num_test: int
) -> None:
    assert domain in DOMAINS
    load_amazon_bow5000(domain, [real_data])  # the first call imports what the others need too
    started = time.monotonic()
    text, ngrams, features = (
        load(domain, [real_data]) for load in (load_amazon_texts, load_amazon_ngrams, load_amazon_bow5000)
    )
    assert time.monotonic() - started < 5  # about 0.5 s
    assert {part: len(data) for part, data in text.items()} == {"train": 2_000, "unlabelled": num_unlabelled}
    assert {part: len(data) for part, data in features.items()} == {"train": 2_000, "test": num_test}
    assert text["unlabelled"].column_names == ["text", "domain"]
    for data in (text["train"], ngrams, features["train"]):
        assert np.bincount(data["label"]).tolist() == [1_000, 1_000]
        assert set(data["domain"]) == {domain}
    assert 0.48 < np.mean(features["test"]["label"]) < 0.56
    # No term occurs twice in a review: as a bag it loses nothing.
    assert all(len(set(terms)) == len(terms) for terms in ngrams["terms"])


@pytest.mark.data
def test_the_numbered_features_survive_the_way_through_the_dataset(real_data: Path, tmp_path: Path) -> None:
    data = load_amazon_bow5000("kitchen", [real_data])["train"]
    path = real_data / "amazon_reviews" / "bow_5000" / "kitchen_train.svmlight.gz"
    expected, signs = load_svmlight_file(str(path), n_features=5000, zero_based=True)
    rows = np.repeat(np.arange(len(data)), [len(terms) for terms in data["terms"]])
    again = np.zeros(expected.shape)
    again[rows, [int(term) for terms in data["terms"] for term in terms]] = [
        count for counts in data["counts"] for count in counts
    ]
    assert np.array_equal(again, expected.toarray())
    assert np.array_equal(np.array(data["label"]) == 1, signs > 0)
    write(tmp_path, "bow_5000/kitchen_test.svmlight", "1 0:1\n")
    dump_svmlight_file(expected, signs, str(tmp_path / "amazon_reviews/bow_5000/kitchen_train.svmlight"))
    assert load_amazon_bow5000("kitchen", [tmp_path])["train"].to_dict() == data.to_dict()
