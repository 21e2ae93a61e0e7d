"""Two domains of invented reviews that share weak words of sentiment and have strong ones each of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from nlptransfer.data.text_tables import drop_labels, text_dataset
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

DOMAINS = ("source", "target")
LABELS = ("neg", "pos")

# How many words there are of each kind; those of sentiment for each label.
_WEAK_WORDS = 30
_STRONG_WORDS = 40
_SHARED_NEUTRAL_WORDS = 1200
_DOMAIN_NEUTRAL_WORDS = 500
# How many words of a kind stand in a review, on average, and how often they agree with its label.
_WEAK_IN_REVIEW, _WEAK_RIGHT = 3.0, 0.74
_STRONG_IN_REVIEW, _STRONG_RIGHT = 2.5, 0.94
_NEUTRAL_IN_REVIEW, _NEUTRAL_OF_DOMAIN = 30.0, 0.4
_ZIPF_EXPONENT = 1.0


@dataclass(frozen=True)
class ReviewDomains:
    """What `make_review_domains` makes.

    Attributes:
        source: the first domain: ``train`` with labels, and ``unlabelled`` with as many other reviews.
        target: the second domain, likewise.
        weak: the shared words of sentiment of each label.
        strong: the words of sentiment that only one domain has: by domain, then by label.
        neutral: the shared words without sentiment.
        domain_neutral: the words without sentiment that only one domain has.
    """

    source: DatasetDict
    target: DatasetDict
    weak: dict[str, list[str]]
    strong: dict[str, dict[str, list[str]]]
    neutral: list[str]
    domain_neutral: dict[str, list[str]]


def make_review_domains(num_documents: int, *, seed: int) -> ReviewDomains:
    """Make reviews of two domains whose shift is known.

    A review has a label, and given the label its words are drawn one by one, in random order:

    - 3 weak words on average, of 30 for each label; 74% are those of its label. Both domains have the same ones.
    - 2.5 strong words on average, of 40 for each label; 94% are those of its label. Each domain has its own.
    - 30 words without sentiment on average; 40% are of the domain's own 500, the others of 1,200 that are shared.

    The numbers of words are Poisson, and the frequencies within a list Zipfian. Labels are balanced in every part.

    So a classifier learns the strong words of its domain, and in the other one has only the weak words left: with 2,000
    reviews, a logistic regression is right about 74% of the time from source to target, while one trained on the target
    reaches 92%. Within a domain, strong words stand beside weak ones of the same label. A method that reads
    unlabelled target reviews can find this out, by predicting the shared words (SCL) or by trusting its own
    predictions (self-training).

    Args:
        num_documents: how many reviews in each part of each domain.
        seed: numbers the words and the reviews. The words depend on it alone, not on `num_documents`.

    Returns:
        The two domains, and their lists of words, most frequent first.

    Raises:
        InputError: `num_documents` is less than 2.

    Example:
        >>> domains = make_review_domains(100, seed=0)
        >>> sorted(domains.target), sorted(domains.strong["target"])
        (['train', 'unlabelled'], ['neg', 'pos'])
    """
    if num_documents < 2:
        raise InputError("there are too few reviews to make", expected="at least 2", found=str(num_documents))
    from datasets import DatasetDict

    words = _make_words(seed)
    made = {}
    for domain in DOMAINS:
        parts = {}
        for part in ("train", "unlabelled"):
            rng = np.random.default_rng([seed, *f"{domain} {part}".encode()])
            parts[part] = _write_reviews(num_documents, words, domain, rng)
        made[domain] = DatasetDict({"train": parts["train"], "unlabelled": drop_labels(parts["unlabelled"])})
    weak, strong, neutral, domain_neutral = words
    return ReviewDomains(made["source"], made["target"], weak, strong, neutral, domain_neutral)


_Words = tuple[dict[str, list[str]], dict[str, dict[str, list[str]]], list[str], dict[str, list[str]]]


def _make_words(seed: int) -> _Words:
    rng = np.random.default_rng([seed, *b"words"])
    sizes = [*[_WEAK_WORDS] * 2, *[_STRONG_WORDS] * 4, _SHARED_NEUTRAL_WORDS, *[_DOMAIN_NEUTRAL_WORDS] * 2]
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    # A set would not keep the order, which is what the seed fixes.
    spelled: dict[str, None] = {}
    while len(spelled) < sum(sizes):
        spelled["".join(rng.choice(syllables, size=rng.integers(2, 4, endpoint=True)))] = None
    unused = iter(spelled)
    lists = [[next(unused) for _ in range(size)] for size in sizes]
    weak = dict(zip(LABELS, lists[:2], strict=True))
    strong = {
        "source": dict(zip(LABELS, lists[2:4], strict=True)),
        "target": dict(zip(LABELS, lists[4:6], strict=True)),
    }
    return weak, strong, lists[6], dict(zip(DOMAINS, lists[7:], strict=True))


def _write_reviews(num_documents: int, words: _Words, domain: str, rng: Generator) -> Dataset:
    weak, strong, neutral, domain_neutral = words
    labels = rng.permutation(np.arange(num_documents) % 2)
    drawn: list[list[str]] = [[] for _ in labels]
    for lists, mean, right in (
        (weak, _WEAK_IN_REVIEW, _WEAK_RIGHT),
        (strong[domain], _STRONG_IN_REVIEW, _STRONG_RIGHT),
    ):
        rows, agrees = _places(num_documents, mean, right, rng)
        polarity = np.where(agrees, labels[rows], 1 - labels[rows])
        _draw([lists[label] for label in LABELS], rows, polarity, drawn, rng)
    rows, is_shared = _places(num_documents, _NEUTRAL_IN_REVIEW, 1 - _NEUTRAL_OF_DOMAIN, rng)
    _draw([domain_neutral[domain], neutral], rows, is_shared.astype(int), drawn, rng)
    # A review without a single word is as good as impossible, but it would be no text.
    texts = [" ".join(rng.permutation(review or neutral[:1])) for review in drawn]
    names = [LABELS[label] for label in labels]
    return text_dataset(texts, names, where=f"synthetic-reviews:{domain}", domains=[domain] * num_documents)


def _places(num_documents: int, mean: float, share: float, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """For each word to draw the review it goes to, and a coin that falls True with the probability `share`."""
    rows = np.repeat(np.arange(num_documents), rng.poisson(mean, size=num_documents))
    return rows, rng.random(len(rows)) < share


def _draw(
    lists: Sequence[list[str]], rows: np.ndarray, which: np.ndarray, drawn: list[list[str]], rng: Generator
) -> None:
    """Add to each review of `rows` a word of Zipfian frequency from the list that `which` names."""
    for index, group in enumerate(lists):
        here = rows[which == index]
        weights = 1.0 / np.arange(1, len(group) + 1) ** _ZIPF_EXPONENT
        cumulative = np.cumsum(weights / weights.sum())
        # Rounding may leave the last cumulative weight a hair below 1.
        chosen = np.minimum(np.searchsorted(cumulative, rng.random(len(here))), len(group) - 1)
        for row, word in zip(here, chosen, strict=True):
            drawn[row].append(group[word])
