"""Names of domains: several joined by a plus sign, short names of pairs, and names that lead to the same reviews."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptransfer.data.domain_names import check_different, pair_name, source_domains
from nlptransfer.errors import InputError


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with files, some of whose names hold a plus sign, and one that is called like a domain."""
    monkeypatch.chdir(tmp_path)
    for name in ("mine.csv", "c++.csv", "a+b.csv", "a + b.csv", "c#d+e.csv", "dvd"):
        Path(name).write_text("")


@pytest.mark.parametrize(
    ("source", "domains"),
    [
        ("amazon:books", ["amazon:books"]),
        ("amazon:books + amazon:dvd", ["amazon:books", "amazon:dvd"]),
        ("amazon:books+amazon:dvd+amazon:kitchen", ["amazon:books", "amazon:dvd", "amazon:kitchen"]),
        ("amazon-bow5000:books+dvd", ["amazon-bow5000:books", "amazon-bow5000:dvd"]),
        ("amazon:books + dvd +  kitchen", ["amazon:books", "amazon:dvd", "amazon:kitchen"]),
        ("amazon:books+ dvd", ["amazon:books", "amazon:dvd"]),
        ("amazon:books+./dvd", ["amazon:books", "./dvd"]),
        ("mine.csv+dvd", ["mine.csv", "dvd"]),
        ("synthetic-reviews:source+target", ["synthetic-reviews:source", "synthetic-reviews:target"]),
        ("amazon:books+mine.csv", ["amazon:books", "mine.csv"]),
        ("mine.csv+amazon:books", ["mine.csv", "amazon:books"]),
        ("mine.csv+gone.csv", ["mine.csv", "gone.csv"]),
        ("nltk:movie_reviews+hub:owner/name", ["nltk:movie_reviews", "hub:owner/name"]),
        ("a+b.csv", ["a+b.csv"]),
        ("gone+away.csv", ["gone+away.csv"]),
        ("a + b.csv", ["a + b.csv"]),
        ("a + b.csv + a+b.csv+c++.csv", ["a + b.csv", "a+b.csv", "c++.csv"]),
        ("c#d+e.csv", ["c#d+e.csv"]),
        ("mine.csv#home+mine.csv#toys", ["mine.csv#home", "mine.csv#toys"]),
        ("mine.csv#home+garden", ["mine.csv#home+garden"]),
        ("mine.csv#home+garden+c++.csv#toys", ["mine.csv#home+garden", "c++.csv#toys"]),
        ("c++.csv#18+ + mine.csv#A+", ["c++.csv#18+", "mine.csv#A+"]),
        (" + ".join(f"mine.csv#domain_{n}" for n in range(60)), [f"mine.csv#domain_{n}" for n in range(60)]),
    ],
)  # fmt: skip
def test_a_plus_sign_joins_domains_but_not_within_a_name(source: str, domains: list[str]) -> None:
    found = source_domains(source)
    assert list(found) == domains
    assert source_domains(" + ".join(found)) == found


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("amazon:books+kichen", r"'kichen' is neither a domain of amazon nor a file.*books, dvd, electronics, kitchen"),
        ("amazon:books + gone.csv", "'gone.csv' is neither a domain of amazon nor a file"),
        ("amazon:books + ", "one of the domains joined by . has no name"),
        ("amazon:books++amazon:dvd", "has no name"),
    ],
)
def test_a_source_with_a_name_that_can_not_be_is_an_error(source: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        source_domains(source)


@pytest.mark.parametrize(
    ("source", "target", "name"),
    [
        ("amazon:books", "amazon:dvd", "books>dvd"),
        ("amazon-bow5000:books", "x/reviews.csv#dvd", "books>dvd"),
        ("data/mine.csv", "theirs.jsonl.gz", "mine>theirs"),
        ("nltk:movie_reviews", "amazon:dvd", "movie_reviews>dvd"),
        ("hub:owner/reviews", "synthetic-reviews:target", "reviews>target"),
        ("synthetic", "mine/", "synthetic>mine"),
        ("a/mine.csv", "b/mine.csv", "a/mine.csv>b/mine.csv"),
        ("amazon:books", "amazon-ngrams:books", "amazon:books>amazon-ngrams:books"),
        ("amazon:books+dvd+electronics", "amazon:kitchen", "books+dvd+electronics>kitchen"),
        ("mine.csv#toys + amazon:dvd", "a+b.csv", "toys+dvd>a+b"),
        ("mine.csv#dvd + amazon:dvd", "amazon:books", "mine.csv#dvd+amazon:dvd>amazon:books"),
    ],
)
def test_a_pair_has_a_short_name_that_tells_the_domains_apart(source: str, target: str, name: str) -> None:
    assert pair_name(source, target) == name


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("amazon:books", "amazon:books", "source and target are the same corpus.*Name each domain once"),
        ("amazon:dvd+books", "amazon:books", "amazon:books and amazon:books: the target is among the sources"),
        ("amazon:dvd+dvd", "amazon:books", "two domains of the source are the same corpus"),
        ("amazon:dvd + mine.csv", "mine.csv#toys", "a part of the other: source and target share.*mine.csv#books"),
        ("mine.csv + ./mine.csv#toys", "amazon:dvd", "a part of the other: two domains of the source share reviews"),
        ("amazon:books", "amazon:dvd+kitchen", "the target is several domains.*found amazon:dvd, amazon:kitchen"),
    ],
)
def test_names_that_lead_to_the_same_reviews_are_refused(source: str, target: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_different(source, target)
    check_different("mine.csv#a + mine.csv#b + amazon:books", "mine.csv#c")
