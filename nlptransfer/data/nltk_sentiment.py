"""The sentiment corpora that NLTK distributes: film reviews, opinions on products, pros and cons."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nlptransfer.data.fetching import check_file
from nlptransfer.data.text_tables import text_dataset
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset

NLTK_SENTIMENT = ("movie_reviews", "sentence_polarity", "product_reviews_1", "product_reviews_2", "pros_cons")

# A few annotations lack the sign (positive), the strength (1), or close with a wrong bracket.
_OPINION = re.compile(r"\[\s*([+-]?)(\d?)\s*[\]}\[]")
_MARKS_AT_END = re.compile(r"[^.?!]*\[\s*[+-]\d[^.?!]*$")
_PROS_CONS = re.compile(r"<(Pros|Cons)>(.*)</\1>")
_Labelled = tuple[str, str, str]


def read_nltk_sentiment(name: str, package: Path) -> Dataset:
    """Read one corpus from its package.

    - ``movie_reviews``: 2,000 reviews, a document each, in lower case with a space around each mark.
    - ``sentence_polarity``: 10,662 sentences from film reviews.
    - ``product_reviews_1``, ``product_reviews_2``: sentences from reviews of 5 and 9 products, whose opinions on single
      features are marked by hand, as in ``picture[+3],size[-1]##``. A sentence is positive or negative by the sign of
      their sum; where that is 0, or there is no opinion, it is left out, and so are titles. The marks are taken off.
    - ``pros_cons``: 45,867 short lists of what buyers like or dislike.

    Args:
        name: one of `NLTK_SENTIMENT`.
        package: its zip or its unpacked folder, as `find_nltk_package` gives it.

    Returns:
        Columns ``text``, ``label`` (neg, pos) and ``domain``: the product, elsewhere the name of the corpus.

    Raises:
        InputError: a damaged package.

    Reference: B. Pang, L. Lee (2004), A sentimental education, https://aclanthology.org/P04-1035/ (documents), and
        (2005), Seeing stars, https://aclanthology.org/P05-1015/ (sentences); M. Hu, B. Liu (2004), Mining and
        summarizing customer reviews, https://doi.org/10.1145/1014052.1014073 (products)
    """
    try:
        files = dict(_files(package))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, UnicodeDecodeError) as error:
        raise _damaged(name, package, str(error)) from error
    rows = list(_rows(name, files))
    if not rows:
        raise _damaged(name, package, "it holds none of the corpus's files")
    texts, labels, domains = ([row[column] for row in rows] for column in range(3))
    return text_dataset(texts, labels, where=f"nltk:{name}", domains=domains)


def _rows(name: str, files: dict[str, str]) -> Iterator[_Labelled]:
    """The text, label and domain of each document."""
    for file, text in files.items():
        stem = Path(file).stem
        if stem.lower().startswith("readme"):
            continue
        if name == "movie_reviews":
            if file.endswith(".txt"):
                yield text.strip(), Path(file).parent.name, name
        elif name == "sentence_polarity":
            label = Path(file).suffix.removeprefix(".")
            yield from ((line.strip(), label, name) for line in text.split("\n") if line.strip())
        elif name == "pros_cons":
            found = ((kind, words.strip()) for kind, words in _PROS_CONS.findall(text))
            yield from ((words, "pos" if kind == "Pros" else "neg", name) for kind, words in found if words)
        else:
            yield from ((sentence, label, stem) for sentence, label in _opinions(text))


def _opinions(text: str) -> Iterator[tuple[str, str]]:
    """The sentences whose opinions do not cancel out, and the sign of their sum."""
    for line in text.split("\n"):
        for marks, sentence in _sentences(line):
            found = [(sign, size) for sign, size in _OPINION.findall(marks) if sign or size]
            total = sum((-1 if sign == "-" else 1) * int(size or 1) for sign, size in found)
            if total and sentence:
                yield sentence, "pos" if total > 0 else "neg"


def _sentences(line: str) -> Iterator[tuple[str, str]]:
    """The marks before each ``##`` of a line, and what follows it; nothing for titles and the head of a file."""
    marks, *rest = line.split("##")
    sentence = ""
    for number, part in enumerate(rest, start=1):
        # A few lines hold two sentences, so that the marks of the second stand at the end of the first.
        next_marks = _MARKS_AT_END.search(part) if number < len(rest) else None
        sentence = f"{sentence} {part[: next_marks.start()] if next_marks else part}".strip()
        if next_marks:
            yield marks, sentence
            marks, sentence = next_marks[0], ""
    yield marks, sentence


def _files(package: Path) -> Iterator[tuple[str, str]]:
    """The name and text of each file in a zip or folder, in the order of their names."""
    if package.is_dir():
        for path in sorted(package.rglob("*")):
            if path.is_file():
                yield path.relative_to(package.parent).as_posix(), path.read_text(encoding="utf-8")
        return
    with zipfile.ZipFile(check_file(package)) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith("/"):
                yield name, archive.read(name).decode("utf-8").replace("\r\n", "\n")


def _damaged(name: str, package: Path, reason: str) -> InputError:
    return InputError(
        f"the NLTK package is damaged or incomplete ({reason})",
        where=package,
        remedy=f"Delete it and get it again: python -m nltk.downloader {name}.",
    )
