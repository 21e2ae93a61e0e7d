"""How domains are named: `books + dvd` is a source of two of them, `reviews.csv#books` one domain of a file."""

from __future__ import annotations

import re
from itertools import combinations, product
from pathlib import Path

from nlptransfer.data.reviews import DOMAINS
from nlptransfer.errors import InputError

FAMILIES = {
    **dict.fromkeys(("amazon", "amazon-bow5000", "amazon-ngrams"), DOMAINS),
    "synthetic-reviews": ("source", "target"),
}
"""Names that stand for several domains: ``amazon`` for ``amazon:books``, ``amazon:dvd`` and so on."""

_KINDS = (*FAMILIES, "hub", "nltk")
_PLUS = re.compile(r"(\s+\+\s+|\+)")


def source_domains(source: str) -> tuple[str, ...]:
    """The domains that a source names: one, or several that are joined by a plus sign.

    A plus sign within the path of a file that is there belongs to the path. One without blanks around it that comes
    after ``reviews.csv#home`` belongs to the domain's name, unless another whole name follows. Any other one joins.
    The name of a corpus with several domains need stand once only, as in ``amazon:books+dvd``.

    Args:
        source: one name as for `load_domain`, or several.

    Returns:
        The domains' names, each as for `load_domain`.

    Raises:
        InputError: one of several has no name, or is neither a domain of the corpus named before it nor a file.

    Example:
        >>> source_domains("amazon:books+dvd + mine.csv")
        ('amazon:books', 'amazon:dvd', 'mine.csv')
        >>> source_domains("reviews.csv#home+garden + reviews.csv#toys")
        ('reviews.csv#home+garden', 'reviews.csv#toys')
    """
    parts = _PLUS.split(source)  # what is joined at even places, what joins it at odd ones
    names: list[str] = []
    place = 0
    while place < len(parts):
        # As much as is a file: its path may hold a plus sign.
        ends = range(len(parts), place + 1, -2)
        end = next((end for end in ends if _is_file("".join(parts[place:end]).strip())), place + 1)
        name = "".join(parts[place:end]).strip()
        is_rest = place > 0 and parts[place - 1] == "+" and not (_is_whole(name) or _is_whole_corpus(names[-1]))
        if is_rest:
            names[-1] += f"+{name}"
        elif not name and len(parts) > 1:
            raise InputError(
                "one of the domains joined by + has no name", where=source, expected="a source such as amazon:books+dvd"
            )
        else:
            names.append(_with_corpus(name, names[-1], where=source) if names else name)
        place = end + 1
    return tuple(names)


def _is_file(name: str) -> bool:
    """Whether it is the path of something that is there, or one domain of it."""
    place, mark, domain = name.rpartition("#")
    return _exists(name) or (bool(mark) and "+" not in domain and _exists(place))


def _is_whole(name: str) -> bool:
    """Whether it is sure to be a name by itself, and not what follows a plus sign within one."""
    return name.partition(":")[0] in _KINDS or _is_file(name)


def _is_whole_corpus(name: str) -> bool:
    """Whether no plus sign can belong to it any more, as it may to a domain of a file."""
    return "#" not in name and _is_whole(name)


def _with_corpus(name: str, before: str, *, where: str) -> str:
    """``dvd`` after ``amazon:books`` is ``amazon:dvd``, even where a file has that name."""
    corpus = before.partition(":")[0]
    if corpus not in FAMILIES or ":" in name or "#" in name:
        return name
    if name in FAMILIES[corpus]:
        return f"{corpus}:{name}"
    if not _exists(name):
        raise InputError(
            f"'{name}' is neither a domain of {corpus} nor a file",
            where=where,
            expected=f"one of {', '.join(FAMILIES[corpus])}, or a path",
            found=name,
        )
    return name


def pair_name(source: str, target: str) -> str:
    """A pair's short name.

    Args:
        source: name of the source, or of several joined by a plus sign.
        target: name of the target.

    Example:
        >>> pair_name("amazon:books", "data/reviews.csv#dvd")
        'books>dvd'
        >>> pair_name("amazon:books + amazon:dvd", "amazon:kitchen")
        'books+dvd>kitchen'
        >>> pair_name("mine.csv", "theirs.jsonl.gz")
        'mine>theirs'
    """
    full = [*source_domains(source), target]
    short = [short_name(name) for name in full]
    names = short if len(set(short)) == len(short) else full
    return f"{'+'.join(names[:-1])}>{names[-1]}"


def short_name(name: str) -> str:
    """A domain's name without the corpus or the folder that it is in: ``books`` of ``amazon:books``."""
    place, domain = place_and_domain(name)
    if domain is not None:
        return domain
    kind, mark, rest = place.partition(":")
    if mark and not _exists(place):
        return rest.rpartition("/")[2] or kind
    return Path(place).name.partition(".")[0] or place


def check_different(source: str, target: str) -> None:
    """Raise InputError if two of the domains named lead to the same reviews, or the target is several domains.

    Args:
        source: name of the source, or of several joined by a plus sign.
        target: name of the target.

    Raises:
        InputError: two domains share reviews, whole or in part; or the target is several domains.
    """
    sources, targets = source_domains(source), source_domains(target)
    if len(targets) > 1:
        raise InputError(
            "the target is several domains",
            where=target,
            expected="one domain; only a source may be several, joined by +",
            found=", ".join(targets),
        )
    for ends, pairs in (
        ("source and target", product(sources, targets)),
        ("two domains of the source", combinations(sources, 2)),
    ):
        for one, other in pairs:
            _check_two(one, other, ends=ends, among=len(sources) > 1 and ends == "source and target")


def _check_two(one: str, other: str, *, ends: str, among: bool) -> None:
    (place, domain), (other_place, other_domain) = place_and_domain(one), place_and_domain(other)
    files = [Path(name).expanduser() for name in (place, other_place)]
    same = place == other_place or (files[0].exists() and files[1].exists() and files[0].samefile(files[1]))
    if not same or (domain is not None and other_domain is not None and domain != other_domain):
        return
    if domain == other_domain:
        problem = "the target is among the sources" if among else f"{ends} are the same corpus"
    else:
        problem = f"the one is a part of the other: {ends} share reviews"
    raise InputError(
        problem,
        where=f"{one} and {other}",
        expected="different domains",
        remedy=f"Of a file with a column of domains, name one domain each, such as {place}#books and {place}#dvd."
        if files[0].exists()
        else "Name each domain once.",
    )


def place_and_domain(name: str) -> tuple[str, str | None]:
    """What to load, and which domain of it; a file whose own name holds a # is taken whole.

    Args:
        name: of one domain.

    Raises:
        InputError: nothing stands before the #, or behind it.
    """
    place, mark, domain = str(name).rpartition("#")
    if not mark or _exists(name):
        return str(name), None
    if not place or not domain:
        raise InputError("the domain has no name", where=name, expected="a name such as reviews.csv#books")
    return place, domain


def _exists(name: str) -> bool:
    try:
        return bool(name) and Path(name).expanduser().exists()
    except OSError:  # too long for a path, as many domains in one name are
        return False
