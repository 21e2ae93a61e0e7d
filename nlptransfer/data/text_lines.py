"""Running text for pretraining: lines of files of several kinds, texts to keep out, and shares of small languages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from nlptransfer.data.fetching import data_folders
from nlptransfer.data.synthetic import make_tagged_languages
from nlptransfer.data.table_rows import jsonl_rows, tsv_rows
from nlptransfer.errors import InputError
from nlptransfer.files import missing_file, read_lines

SYNTHETIC = ("synthetic:source", "synthetic:target")
_SYNTHETIC_SENTENCES = 2000
_SENTENCE_END = re.compile(r"[.!?।॥۔؟]+")
_SHORTEST = 20  # letters


@dataclass(frozen=True)
class TextSource:
    """A file of running text.

    Attributes:
        name: as the user named it, or one of `SYNTHETIC`.
        group: what it belongs to, such as its language: small groups are shown more often than their size.
        path: where it was found; None for synthetic text.
    """

    name: str
    group: str
    path: Path | None

    def lines(self) -> Iterator[str]:
        """Its lines, see `read_text_lines`; synthetic text has a sentence per line."""
        if self.path is not None:
            yield from read_text_lines(self.path)
            return
        languages = make_tagged_languages(_SYNTHETIC_SENTENCES, seed=0)
        corpus = languages.source if self.name == SYNTHETIC[0] else languages.target
        yield from (" ".join(tokens) for tokens in corpus["tokens"][:])


def find_text_source(name: str, *, data_dir: str | Path | None = None) -> TextSource:
    """Where a file of text is: at its path, or under one of the folders with corpora.

    Args:
        name: a path, as it is or below `data_dir`, a folder of ``NLPTRANSFER_DATA`` or the user's cache; with
            ``group=`` before it, the group that it belongs to. Without, it is a group of its own.
        data_dir: the folder to look in first.

    Returns:
        The source.

    Raises:
        InputError: there is no such file.

    Example:
        >>> find_text_source("hi=text/hi_stories.txt.gz").group
        'hi'
    """
    if name in SYNTHETIC:
        return TextSource(name, name, None)
    group, sign, rest = name.partition("=")
    wanted = Path(rest if sign and not Path(name).expanduser().is_file() else name).expanduser()
    group = group if sign and wanted != Path(name).expanduser() else str(wanted)
    candidates = [wanted] if wanted.is_absolute() else [wanted, *(base / wanted for base in data_folders(data_dir))]
    for path in candidates:
        if path.is_file():
            return TextSource(str(wanted), group, path)
    if wanted.is_absolute() or wanted.parent.is_dir():
        raise missing_file(wanted)
    raise InputError(
        "there is no such file of text",
        where=wanted,
        found="nothing at " + ", ".join(map(str, candidates)),
        remedy="Check the name, or set NLPTRANSFER_DATA to the folder that holds it.",
    )


def read_text_lines(path: str | Path) -> Iterator[str]:
    """The text of a file, line by line, streamed; white space is made single spaces, and empty lines are left out.

    Args:
        path: plain text; ``.conllu``, of which the ``# text`` comments are read; ``.tsv`` or ``.jsonl`` with a column
            ``text``. Each may be gzipped (``.gz``).

    Yields:
        One line, sentence or text.

    Raises:
        InputError: the file is missing, is not UTF-8, or has no ``text``.
    """
    path = Path(path)
    kind = Path(path.name.removesuffix(".gz")).suffix
    found = False
    for text in _texts(path, kind):
        line = " ".join(text.split())
        if line:
            found = True
            yield line
    if not found:
        raise InputError(
            "the file holds no text",
            where=path,
            expected="a line `# text = ...` for each sentence" if kind == ".conllu" else "a line or more of text",
            found="nothing",
            remedy="Check that this is the file you meant, and that it was copied whole.",
        )


def _texts(path: Path, kind: str) -> Iterator[str]:
    if kind == ".conllu":
        yield from (line[8:] for _, line in read_lines(path) if line.startswith("# text = "))
    elif kind in (".tsv", ".jsonl"):
        rows = tsv_rows(path) if kind == ".tsv" else jsonl_rows(path, example='{"text": "A joy!"}')
        for line, row in rows:
            if not isinstance(row.get("text"), str):
                raise InputError(
                    "the row has no text in the column 'text'",
                    where=path,
                    line=line,
                    found=", ".join(map(repr, row)),
                    remedy="Rename the column, or write the texts into a plain file, one per line.",
                )
            yield row["text"]
    else:
        yield from (line for _, line in read_lines(path))


class _Letters(dict[int, int | None]):
    """For `str.translate`: letters, marks and numbers stay, everything else goes. Filled as characters are met."""

    def __missing__(self, code: int) -> int | None:
        self[code] = code if unicodedata.category(chr(code))[0] in "LMN" else None
        return self[code]


_LETTERS = _Letters()


def letters_only(text: str) -> str:
    """A text without spaces, punctuation and case: what two ways to write one sentence have in common."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS)


def text_key(text: str) -> int:
    """64 bits that are the same for texts with the same `letters_only`."""
    return int.from_bytes(blake2b(letters_only(text).encode(), digest_size=8).digest(), "little")


def excluded_keys(sources: Iterable[TextSource]) -> set[int]:
    """The keys of all lines of texts that are to be kept out, such as those of test sets, and of their sentences.

    Args:
        sources: the texts.
    """
    keys: set[int] = set()
    for source in sources:
        for line in source.lines():
            keys.add(text_key(line))
            keys.update(map(text_key, _long_sentences(line)))
    # Lines of signs alone are all alike.
    return keys - {text_key("")}


def has_excluded_sentence(line: str, keys: set[int]) -> bool:
    """Whether one of the sentences of a line, of at least 20 letters, is one of the excluded texts.

    Args:
        line: of the training text.
        keys: as `excluded_keys` gives them.
    """
    return bool(keys) and any(text_key(sentence) in keys for sentence in _long_sentences(line))


def _long_sentences(line: str) -> Iterator[str]:
    """The sentences of a line that has several; short ones are left out, for they are anybody's."""
    parts = _SENTENCE_END.split(line)
    if len(parts) > 1:
        yield from (part for part in parts if len(part) >= _SHORTEST and len(letters_only(part)) >= _SHORTEST)


def group_shares(sizes: Mapping[str, float], *, exponent: float) -> dict[str, float]:
    r"""How often each group is shown: small ones more often than their size says.

    .. math:: q_i = p_i^\alpha / \sum_j p_j^\alpha, \qquad p_i = n_i / \sum_j n_j

    Args:
        sizes: n_i by group, in any unit.
        exponent: :math:`\alpha`: 1 keeps the sizes' shares, 0 makes all equal.

    Returns:
        q by group; they sum to 1.

    Raises:
        ValueError: no group, or one without a size.

    Reference:
        Conneau & Lample 2019, section 3.1, https://arxiv.org/abs/1901.07291 (with 0.5 for vocabularies).

    Example:
        >>> group_shares({"hi": 900, "ur": 100}, exponent=0.5)
        {'hi': 0.75, 'ur': 0.25}
    """
    if not sizes or min(sizes.values()) <= 0:
        raise ValueError(f"every group must have a size above 0, found {dict(sizes)}")
    raised = {name: size**exponent for name, size in sizes.items()}
    total = sum(raised.values())
    return {name: value / total for name, value in raised.items()}


def balanced_lines(
    groups: Mapping[str, Sequence[Iterable[str]]],
    sizes: Mapping[str, tuple[int, int]],
    *,
    max_lines: int,
    exponent: float,
    seed: int,
) -> list[str]:
    """A sample of lines in which each group has its share of the characters; memory holds the sample alone.

    The lines of a group too small for its share come several times.

    Args:
        groups: by name, the streams of lines that make it up.
        sizes: by name, how many lines these hold and how many characters.
        max_lines: of the sample, about.
        exponent: see `group_shares`; sizes are counted in characters.
        seed: of the sample.

    Returns:
        The sample, group by group.
    """
    shares = group_shares({name: characters for name, (_, characters) in sizes.items()}, exponent=exponent)
    lengths = {name: characters / lines for name, (lines, characters) in sizes.items()}
    # Shares of characters as shares of lines.
    weights = {name: shares[name] / lengths[name] for name in groups}
    wanted = {name: min(max_lines, sum(count for count, _ in sizes.values())) * weights[name] for name in groups}
    whole = sum(weights.values())
    sample: list[str] = []
    for number, (name, streams) in enumerate(groups.items()):
        random = np.random.default_rng((seed, number))
        copies, rest = divmod(wanted[name] / whole, sizes[name][0])
        chance = rest / sizes[name][0]
        for stream in streams:
            for line in stream:
                sample += [line] * (int(copies) + (random.random() < chance))
    return sample
