"""NLTK's sentiment corpora: their published sizes, the sign of opinions, and damaged packages."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import nltk.data
import numpy as np
import pytest

from nlptransfer.data.nltk_sentiment import NLTK_SENTIMENT, read_nltk_sentiment
from nlptransfer.errors import InputError

PRODUCT = """*****
* See Readme.txt; price[+2]
*****
[t]a title[+3]
picture[+3], size[-1]##sharp , if large .
##i bought it in may .
price[-2][u],weight[+2]##cheap and heavy .
manual[-2][p][cc]##what a ##manual !
zoom[2]##zoomed .
grip[+1}, strap[-3[p]##it fell .
lens[-]##scratched .
flash[+1]##bright ! battery life[-2]##empty at noon .
noise[+]##
"""
EXPECTED = {
    "sharp , if large .": "pos",
    "what a manual !": "neg",
    "zoomed .": "pos",
    "it fell .": "neg",
    "scratched .": "neg",
    "bright !": "pos",
    "empty at noon .": "neg",
}


def make_package(folder: Path, name: str, files: dict[str, str]) -> Path:
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/", "")
        for file, text in files.items():
            archive.writestr(f"{name}/{file}", text)
    return path


def test_a_sentence_has_the_sign_of_its_summed_opinions_and_no_marks(tmp_path: Path) -> None:
    files = {"Some camera.txt": PRODUCT, "README.txt": "x[+2]##not a review"}
    data = read_nltk_sentiment("product_reviews_1", make_package(tmp_path, "product_reviews_1", files))
    names = data.features["label"].names
    assert {row["text"]: names[row["label"]] for row in data} == EXPECTED
    assert set(data["domain"]) == {"Some camera"}


def test_documents_sentences_and_lists_are_read_whole(tmp_path: Path) -> None:
    films = make_package(
        tmp_path, "movie_reviews", {"neg/a.txt": "dull .\nvery .\n", "pos/b.txt": "a joy", "README": "x"}
    )
    data = read_nltk_sentiment("movie_reviews", films)
    assert data.to_dict() == {"text": ["dull .\nvery .", "a joy"], "label": [0, 1], "domain": ["movie_reviews"] * 2}
    sentences = make_package(
        tmp_path,
        "sentence_polarity",
        {"rt-polarity.neg": "dull \n\n", "rt-polarity.pos": "a joy\nfine", "README.txt": "x"},
    )
    assert read_nltk_sentiment("sentence_polarity", sentences)["label"][:] == [0, 1, 1]
    lists = make_package(
        tmp_path,
        "pros_cons",
        {"IntegratedCons.txt": "\t<Cons>slow <b></Cons>\r\n<Cons> </Cons>", "IntegratedPros.txt": "<Pros>cheap</Pros>"},
    )
    assert read_nltk_sentiment("pros_cons", lists)["text"][:] == ["slow <b>", "cheap"]


def test_an_unpacked_package_reads_like_its_zip(tmp_path: Path) -> None:
    package = make_package(tmp_path, "product_reviews_2", {"a.txt": PRODUCT, "b.txt": PRODUCT})
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path / "corpora")
    unpacked = read_nltk_sentiment("product_reviews_2", tmp_path / "corpora" / "product_reviews_2")
    assert unpacked.to_dict() == read_nltk_sentiment("product_reviews_2", package).to_dict()


def test_a_damaged_or_foreign_package_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = make_package(tmp_path, "movie_reviews", {"pos/a.txt": "a joy"})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"movie_reviews\.zip: the NLTK package is damaged.*nltk\.downloader movie_r"):
        read_nltk_sentiment("movie_reviews", path)
    path = make_package(tmp_path, "movie_reviews", {"README": "x"})
    with pytest.raises(InputError, match="holds none of the corpus's files"):
        read_nltk_sentiment("movie_reviews", path)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "num_negative", "num_positive", "num_domains"),
    [
        ("movie_reviews", 1_000, 1_000, 1),
        ("sentence_polarity", 5_331, 5_331, 1),
        ("product_reviews_1", 639, 1_081, 5),
        ("product_reviews_2", 744, 1_357, 9),
        # Of 45,877 lines, ten are empty.
        ("pros_cons", 22_931, 22_936, 1),
    ],
)
def test_corpora_have_their_published_sizes(
    real_data: Path, name: str, num_negative: int, num_positive: int, num_domains: int
) -> None:
    assert name in NLTK_SENTIMENT
    data = read_nltk_sentiment(name, real_data / "nltk_data" / "corpora" / f"{name}.zip")
    assert data.features["label"].names == ["neg", "pos"]
    assert np.bincount(data["label"]).tolist() == [num_negative, num_positive]
    assert len(set(data["domain"])) == num_domains
    assert not any("##" in text or "[+" in text or "[-" in text for text in data["text"])


@pytest.mark.data
def test_opinions_are_those_that_nltk_reads(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nltk.corpus.reader import ReviewsCorpusReader

    monkeypatch.setattr(nltk.data, "path", [str(real_data / "nltk_data")])
    package = real_data / "nltk_data" / "corpora" / "product_reviews_1.zip"
    root = nltk.data.find("corpora/product_reviews_1.zip/product_reviews_1/")
    theirs: Counter[tuple[str, int]] = Counter()
    for review in ReviewsCorpusReader(root, r"^(?!README).*\.txt", encoding="utf-8").reviews():
        for line in review.review_lines:
            total = sum(int(size) for _, size in line.features)
            if total:
                theirs["".join("".join(line.sent).split()), int(total > 0)] += 1
    data = read_nltk_sentiment("product_reviews_1", package)
    ours = Counter(("".join(row["text"].split()), row["label"]) for row in data)
    # NLTK's pattern passes over a handful of marks with unusual names or brackets.
    assert sum((ours - theirs).values()) + sum((theirs - ours).values()) < 0.01 * len(data)
