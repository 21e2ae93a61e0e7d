"""How much of a text the word vectors know: by type and token, by split, by domain and by tag."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nlptransfer.embeddings.word_forms import FALLBACKS, FOUND_BY
from nlptransfer.embeddings.word_vectors import WordVectors


def coverage_report(
    vectors: WordVectors, splits: Mapping[str, Any], *, fallbacks: Sequence[str] = FALLBACKS
) -> list[dict[str, Any]]:
    """Count which words are found in the vectors, and by which fallback.

    Args:
        vectors: the word vectors.
        splits: by name, tagging corpora: `datasets.Dataset`s or mappings of columns. ``tokens`` (lists of words) must
            be there; ``tags`` (a list per sentence) and ``domain`` (one per sentence) may be.
        fallbacks: some of `FALLBACKS`.

    Returns:
        One row for each split, then for each domain and each tag over all splits, each with

        - ``group``: ``split``, ``domain`` or ``tag``, and ``name``: which one,
        - ``tokens`` and ``types``: how many running words and how many distinct ones,
        - ``token_share`` and ``type_share``: for each name of `FOUND_BY`, the fraction found so; each sums to 1,
          or is all 0 where there is nothing to count.

        Tags come by falling number of tokens.

    Example:
        >>> rows = coverage_report(vectors, {"train": train, "target_test": test})
        >>> rows[1]["name"], rows[1]["token_share"]["not found"]
        ('target_test', 0.071)
    """
    by_split: dict[str, Counter[str]] = {}
    by_domain: defaultdict[str, Counter[str]] = defaultdict(Counter)
    by_tag: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for split, corpus in splits.items():
        by_split[split] = Counter()
        for words, tags, domain in _sentences(corpus):
            by_split[split].update(words)
            if domain is not None:
                by_domain[domain].update(words)
            for word, tag in zip(words, tags, strict=True) if tags is not None else ():
                by_tag[tag][word] += 1
    words = list(dict.fromkeys(word for counts in by_split.values() for word in counts))
    found_by = dict(zip(words, vectors.lookup(words, fallbacks=fallbacks)[1], strict=True))
    by_size = sorted(by_tag.items(), key=lambda item: (-item[1].total(), item[0]))
    return [
        _row(group, name, counts, found_by)
        for group, members in (("split", by_split.items()), ("domain", by_domain.items()), ("tag", by_size))
        for name, counts in members
    ]


def format_coverage(rows: Sequence[Mapping[str, Any]]) -> str:
    """The report as a plain table, shares of tokens in percent; fallbacks that found nothing are left out."""
    shown = [name for name in FOUND_BY if any(row["token_share"][name] > 0 for row in rows)]
    table = [["", "", "tokens", "types", *shown, "types not found"]]
    for row in rows:
        shares = [f"{100 * row['token_share'][name]:.1f}%" for name in shown]
        missing = f"{100 * row['type_share']['not found']:.1f}%"
        table.append([row["group"], row["name"], f"{row['tokens']:,}", f"{row['types']:,}", *shares, missing])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in table
    )
    return "\n".join(line.rstrip() for line in lines)


def _sentences(corpus: Any) -> Iterable[tuple[Sequence[str], Sequence[str] | None, str | None]]:
    """Words, tag names and domain of each sentence; None for a column that isn't there."""
    columns = set(getattr(corpus, "column_names", None) or corpus)
    tags: Iterable[Any] = corpus["tags"] if "tags" in columns else (None for _ in corpus["tokens"])
    domains: Iterable[Any] = corpus["domain"] if "domain" in columns else (None for _ in corpus["tokens"])
    tag_names = _class_names(corpus, "tags")
    domain_names = _class_names(corpus, "domain")
    for words, sentence_tags, domain in zip(corpus["tokens"], tags, domains, strict=True):
        if sentence_tags is not None:
            sentence_tags = [tag_names[tag] if tag_names and tag >= 0 else str(tag) for tag in sentence_tags]
        if domain is not None:
            domain = domain_names[domain] if domain_names else str(domain)
        yield words, sentence_tags, domain


def _class_names(corpus: Any, column: str) -> list[str] | None:
    """The names behind a column of `ClassLabel`s, plain or in lists."""
    feature = (getattr(corpus, "features", None) or {}).get(column)
    return getattr(getattr(feature, "feature", feature), "names", None)


def _row(group: str, name: str, counts: Counter[str], found_by: Mapping[str, str]) -> dict[str, Any]:
    tokens: Counter[str] = Counter()
    for word, count in counts.items():
        tokens[found_by[word]] += count
    types = Counter(found_by[word] for word in counts)
    return {
        "group": group,
        "name": name,
        "tokens": counts.total(),
        "types": len(counts),
        "token_share": {how: tokens[how] / max(counts.total(), 1) for how in FOUND_BY},
        "type_share": {how: types[how] / max(len(counts), 1) for how in FOUND_BY},
    }
