"""Domains by name: `load_domain_pair` loads two and divides them; a grid's list of domains becomes its pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nlptransfer.data.corpora import load_corpus
from nlptransfer.data.domain_pairs import DomainPair, assemble_domain_pair
from nlptransfer.data.reviews import DOMAINS
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

FAMILIES = {
    **dict.fromkeys(("amazon", "amazon-bow5000", "amazon-ngrams"), DOMAINS),
    "synthetic-reviews": ("source", "target"),
}
"""Names that stand for several domains: ``amazon`` for ``amazon:books``, ``amazon:dvd`` and so on."""


def load_domain_pair(
    source: str,
    target: str,
    *,
    target_labels: int = 0,
    label_pool: int | None = None,
    drop_duplicates: bool = False,
    seed: int,
    data_dir: str | Path | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    domain_column: str | None = None,
) -> DomainPair:
    """Load a source and a target, and divide them into what training, adaptation and scoring may see.

    How they are divided is told at `assemble_domain_pair`. To make many pairs of few domains, load each domain once
    with `load_domain` and call that one.

    Args:
        source: a corpus name or path as for `load_corpus`; ``reviews.csv#books`` takes the rows of one domain of a file
            with a column for it.
        target: likewise.
        target_labels: how many labelled reviews of the target training may use.
        label_pool: how many reviews to take out of the test where they come from there; `target_labels` by default.
        drop_duplicates: take reviews out of the labelled source that stand there already, or in the target's test.
        seed: of drawing the labelled target reviews.
        data_dir: the folder to look in first.
        text_column: the column with the texts, in a file or hub dataset.
        label_column: the column with the labels.
        domain_column: the column with the domains.

    Returns:
        The pair.

    Raises:
        InputError: source and target are the same; a domain that the file does not hold (lists those it holds); what
            `load_corpus` or `assemble_domain_pair` refuses.

    Example:
        >>> pair = load_domain_pair("amazon:books", "amazon:dvd", seed=0)
        >>> pair = load_domain_pair("reviews.csv#books", "reviews.csv#dvd", target_labels=50, seed=0)
    """
    check_different(source, target)
    corpora = [
        load_domain(
            name, data_dir=data_dir, text_column=text_column, label_column=label_column, domain_column=domain_column
        )
        for name in (source, target)
    ]
    return assemble_domain_pair(
        corpora[0],
        corpora[1],
        source=source,
        target=target,
        target_labels=target_labels,
        label_pool=label_pool,
        drop_duplicates=drop_duplicates,
        seed=seed,
    )


def load_domain(
    name: str,
    *,
    data_dir: str | Path | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    domain_column: str | None = None,
) -> Dataset | DatasetDict:
    """Load one domain: a corpus, or after ``#`` the rows of one domain of a corpus with a column for it.

    Args:
        name: such as ``amazon:books``, ``mine.csv`` or ``reviews.csv#books``.
        data_dir: see `load_corpus`; so also the next three.
        text_column: the column with the texts.
        label_column: the column with the labels.
        domain_column: the column with the domains.

    Returns:
        A Dataset, or a DatasetDict of those splits that hold rows of the domain.

    Raises:
        InputError: there is no column of domains, or no row of this one (lists those there are).
    """
    place, domain = _place_and_domain(name)
    corpus = load_corpus(
        place,
        task="classification",
        data_dir=data_dir,
        text_column=text_column,
        label_column=label_column,
        domain_column=domain_column,
    )
    return corpus if domain is None else pick_domain(corpus, domain, where=place)


def pick_domain(corpus: Dataset | DatasetDict, domain: str, *, where: str | Path) -> Dataset | DatasetDict:
    """The rows of a corpus that are of one domain.

    Args:
        corpus: with a column ``domain``.
        domain: its name.
        where: the corpus, for messages.

    Returns:
        A Dataset, or a DatasetDict of those splits that hold rows of the domain.

    Raises:
        InputError: there is no column ``domain``, or no row of this one (lists those there are).
    """
    from datasets import DatasetDict

    splits = _splits(corpus)
    columns = {split: _domain_column(data, where=where) for split, data in splits.items()}
    rows = {split: np.flatnonzero(column == domain) for split, column in columns.items()}
    picked = {split: splits[split].select(found) for split, found in rows.items() if len(found)}
    if not picked:
        known = sorted({name for column in columns.values() for name in column if name is not None})
        raise InputError(
            f"there is no domain '{domain}'",
            where=where,
            expected=f"one of {', '.join(known) or 'none: no row names its domain'}",
            found=domain,
        )
    return DatasetDict(picked) if isinstance(corpus, Mapping) else picked["train"]


def domains_of(
    name: str,
    *,
    data_dir: str | Path | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    domain_column: str | None = None,
) -> list[str]:
    """The domains that the column of domains of a corpus names, sorted.

    Args:
        name: a corpus name or path, without ``#``.
        data_dir: see `load_corpus`; so also the next three.
        text_column: the column with the texts.
        label_column: the column with the labels.
        domain_column: the column with the domains.

    Raises:
        InputError: there is no such column.

    Example:
        >>> domains_of("reviews.csv")
        ['books', 'dvd']
    """
    corpus = load_corpus(
        name,
        task="classification",
        data_dir=data_dir,
        text_column=text_column,
        label_column=label_column,
        domain_column=domain_column,
    )
    columns = [_domain_column(data, where=name) for data in _splits(corpus).values()]
    return sorted({domain for column in columns for domain in column if domain is not None})


def expand_pairs(
    domains: Sequence[str],
    *,
    data_dir: str | Path | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    domain_column: str | None = None,
) -> list[tuple[str, str]]:
    """Every ordered pair of the domains given.

    ``amazon``, ``amazon-bow5000`` and ``amazon-ngrams`` stand for their four domains, ``synthetic-reviews`` for its
    two. A single file stands for the
    domains that its column names; among others, a file is one domain.

    Args:
        domains: names as for `load_domain_pair`.
        data_dir: see `load_corpus`; so also the next three.
        text_column: the column with the texts.
        label_column: the column with the labels.
        domain_column: the column with the domains.

    Returns:
        (source, target) names: sources in the order given, and for each its targets in that order.

    Raises:
        InputError: a domain is named twice, or fewer than two are.

    Example:
        >>> len(expand_pairs(["amazon"]))
        12
        >>> expand_pairs(["a.csv", "b.jsonl"])
        [('a.csv', 'b.jsonl'), ('b.jsonl', 'a.csv')]
    """
    names = [
        expanded
        for name in domains
        for expanded in ([f"{name}:{domain}" for domain in FAMILIES[name]] if name in FAMILIES else [name])
    ]
    if len(names) == 1 and _place_and_domain(names[0])[1] is None:
        found = domains_of(
            names[0],
            data_dir=data_dir,
            text_column=text_column,
            label_column=label_column,
            domain_column=domain_column,
        )
        names = [f"{names[0]}#{domain}" for domain in found]
    if len(names) < 2:
        raise InputError(
            "pairs need at least two domains",
            expected="two names or more, amazon, or a file whose column of domains names two or more",
            found=", ".join(names) or "none",
        )
    pairs = list(permutations(names, 2))
    for source, target in pairs:
        check_different(source, target)
    return pairs


def pair_name(source: str, target: str) -> str:
    """A pair's short name.

    Args:
        source: name of the source.
        target: name of the target.

    Example:
        >>> pair_name("amazon:books", "data/reviews.csv#dvd")
        'books>dvd'
        >>> pair_name("mine.csv", "theirs.jsonl.gz")
        'mine>theirs'
    """
    short = [_short_name(name) for name in (source, target)]
    return ">".join(short if short[0] != short[1] else (source, target))


def check_different(source: str, target: str) -> None:
    """Raise InputError if two names lead to the same reviews, whole or in part."""
    (place, domain), (other, other_domain) = _place_and_domain(source), _place_and_domain(target)
    files = [Path(name).expanduser() for name in (place, other)]
    same = place == other or (files[0].exists() and files[1].exists() and files[0].samefile(files[1]))
    if same and (domain is None or other_domain is None or domain == other_domain):
        raise InputError(
            "source and target are the same corpus"
            if domain == other_domain
            else "the one is a part of the other: source and target share reviews",
            where=f"{source} and {target}",
            expected="two different domains",
            remedy=f"Of a file with a column of domains, name one domain each, such as {place}#books and {place}#dvd."
            if files[0].exists()
            else "Name another target.",
        )


def _place_and_domain(name: str) -> tuple[str, str | None]:
    """What to load, and which domain of it; a file whose own name holds a # is taken whole."""
    place, mark, domain = str(name).rpartition("#")
    if not mark or Path(name).expanduser().exists():
        return str(name), None
    if not place or not domain:
        raise InputError("the domain has no name", where=name, expected="a name such as reviews.csv#books")
    return place, domain


def _short_name(name: str) -> str:
    place, domain = _place_and_domain(name)
    if domain is not None:
        return domain
    kind, mark, rest = place.partition(":")
    if mark and not Path(place).expanduser().exists():
        return rest.rpartition("/")[2] or kind
    return Path(place).name.partition(".")[0] or place


def _splits(corpus: Dataset | DatasetDict) -> dict[str, Dataset]:
    return dict(corpus) if isinstance(corpus, Mapping) else {"train": corpus}


def _domain_column(data: Dataset, *, where: str | Path) -> np.ndarray:
    if "domain" not in data.column_names:
        raise InputError(
            "the corpus has no column of domains",
            where=where,
            expected="a column 'domain'",
            found=", ".join(data.column_names) or "no columns",
            remedy="Name the column (domain_column), or name two corpora instead of one.",
        )
    return np.array(data["domain"][:], dtype=object)
