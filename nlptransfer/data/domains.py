"""Domains by name: `load_domain_pair` loads and divides them; a grid's list of domains becomes its pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from nlptransfer.data.corpora import load_corpus
from nlptransfer.data.domain_names import FAMILIES, check_different, place_and_domain, source_domains
from nlptransfer.data.domain_pairs import DomainPair, assemble_domain_pair
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def load_domain_pair(
    source: str,
    target: str,
    *,
    target_labels: int = 0,
    label_pool: int | None = None,
    drop_duplicates: bool = False,
    transductive: bool = False,
    further_text: Sequence[str] = (),
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
            with a column for it. Several that are joined by `` + `` are one source (`source_domains` tells how).
        target: likewise, of one domain.
        target_labels: how many labelled reviews of the target training may use.
        label_pool: how many reviews to take out of the test where they come from there; `target_labels` by default.
        drop_duplicates: take reviews out of the labelled source that stand there already, or in the target's test.
        transductive: let adaptation see the test documents, without labels, beside the unlabelled ones.
        further_text: other domains whose documents, without labels, join the source's unlabelled ones.
        seed: of drawing the labelled target reviews.
        data_dir: the folder to look in first.
        text_column: the column with the texts, in a file or hub dataset.
        label_column: the column with the labels.
        domain_column: the column with the domains.

    Returns:
        The pair.

    Raises:
        InputError: two of the domains are the same; a domain that the file does not hold (lists those it holds); what
            `load_corpus` or `assemble_domain_pair` refuses.

    Example:
        >>> pair = load_domain_pair("amazon:books", "amazon:dvd", seed=0)
        >>> pair = load_domain_pair("reviews.csv#books", "reviews.csv#dvd", target_labels=50, seed=0)
        >>> pair = load_domain_pair("amazon:books + amazon:dvd", "amazon:kitchen", seed=0)
    """
    check_different(source, target)
    sources = source_domains(source)
    for name in further_text:
        check_different(name, target)
    corpora = [
        load_domain(
            name, data_dir=data_dir, text_column=text_column, label_column=label_column, domain_column=domain_column
        )
        for name in (*sources, target, *further_text)
    ]
    source_corpora, target_corpus = corpora[: len(sources)], corpora[len(sources)]
    return assemble_domain_pair(
        source_corpora,
        target_corpus,
        source=sources,
        target=target,
        target_labels=target_labels,
        label_pool=label_pool,
        drop_duplicates=drop_duplicates,
        transductive=transductive,
        further_text=dict(zip(further_text, corpora[len(sources) + 1 :], strict=True)),
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
    place, domain = place_and_domain(name)
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
            remedy=f"For a source of several, name the file each time: {where}#books + {where}#dvd."
            if "+" in domain
            else None,
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


def expand_families(names: Sequence[str]) -> list[str]:
    """The names of domains, with those of its domains in place of a family's, such as ``amazon``.

    Example:
        >>> expand_families(["synthetic-reviews", "mine.csv"])
        ['synthetic-reviews:source', 'synthetic-reviews:target', 'mine.csv']
    """
    return [
        expanded
        for name in names
        for expanded in ([f"{name}:{domain}" for domain in FAMILIES[name]] if name in FAMILIES else [name])
    ]


def expand_pairs(
    domains: Sequence[str],
    *,
    kind: Literal["all", "leave_one_out"] = "all",
    data_dir: str | Path | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    domain_column: str | None = None,
) -> list[tuple[str, str]]:
    """Every ordered pair of the domains given, or each of them once as the target of all others together.

    ``amazon``, ``amazon-bow5000`` and ``amazon-ngrams`` stand for their four domains, ``synthetic-reviews`` for its
    two. A single file stands for the domains that its column names; among others, a file is one domain.

    Args:
        domains: names as for `load_domain`.
        kind: ``all``: every ordered pair. ``leave_one_out``: each target once, the other domains joined as its source.
        data_dir: see `load_corpus`; so also the next three.
        text_column: the column with the texts.
        label_column: the column with the labels.
        domain_column: the column with the domains.

    Returns:
        (source, target) names for `load_domain_pair`: sources in the order given, and for each its targets in that
        order; or targets in the order given.

    Raises:
        InputError: a domain is named twice, or fewer than two are.

    Example:
        >>> len(expand_pairs(["amazon"]))
        12
        >>> expand_pairs(["a.csv", "b.jsonl"])
        [('a.csv', 'b.jsonl'), ('b.jsonl', 'a.csv')]
        >>> expand_pairs(["amazon"], kind="leave_one_out")[-1]
        ('amazon:books + amazon:dvd + amazon:electronics', 'amazon:kitchen')
    """
    names = expand_families(domains)
    if len(names) == 1 and place_and_domain(names[0])[1] is None:
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
    if kind == "leave_one_out":
        return [(" + ".join(name for name in names if name != target), target) for target in names]
    return pairs


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
