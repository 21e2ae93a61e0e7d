"""What a task is: a name, a kind, and the labels that it tells apart; and how one is named: `chunk=nltk:conll2000`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from nlptransfer.data.corpora import known_task
from nlptransfer.data.fetching import find_path
from nlptransfer.data.nltk_corpora import has_chunks
from nlptransfer.errors import InputError

TaskKind = Literal["tagging", "classification", "regression"]

RESERVED_NAMES = ("epoch", "learning_rate", "loss", "score", "seconds")
"""What a row of the training history holds beside the loss of each task, which has the task's name."""

_NAME = re.compile(r"[\w.-]+")
_KINDS = get_args(TaskKind)
_TAGGED_SUFFIXES = (".conllu", ".conll", ".pos", ".txt")
_FAMILY = r"(?:nltk|ud|hub|amazon|amazon-bow5000|amazon-ngrams|synthetic-reviews)"
# One corpus known by name, or several joined by plus signs; what comes behind it begins with a colon.
_NAMED = re.compile(
    rf"(?:{_FAMILY}:[^:]+?(?:\s*\+\s*{_FAMILY}:[^:]+?)*|synthetic(?::(?:source|target))?|treebank)(?=:|$)"
)
_EXAMPLE = "name=corpus or name=corpus:column, such as chunk=nltk:conll2000:chunk"


@dataclass(frozen=True)
class Task:
    """One task of several that are learnt together.

    Attributes:
        name: what it is called, such as "pos".
        kind: "tagging", a label per word; "classification", a label per text; "regression", a number per text.
        labels: the label names, in the order of their ids; none for regression.
    """

    name: str
    kind: TaskKind
    labels: tuple[str, ...] = ()


def tasks_to_json(tasks: Iterable[Task]) -> list[dict[str, Any]]:
    """Tasks as they stand in a saved model's configuration; `tasks_from_json` reads them.

    Args:
        tasks: in their order.
    """
    return [{"name": task.name, "kind": task.kind, "labels": list(task.labels)} for task in tasks]


def tasks_from_json(rows: Iterable[Mapping[str, Any]]) -> list[Task]:
    """Tasks from a saved model's configuration.

    Args:
        rows: as `tasks_to_json` gives them.
    """
    return [Task(row["name"], row["kind"], tuple(row["labels"])) for row in rows]


@dataclass(frozen=True)
class TaskSource:
    """Where the labels of a task come from.

    Attributes:
        name: of the task.
        corpus: name or path, as `load_corpus` takes it.
        column: of the corpus, with the labels; None for the usual one.
        kind: of the task.
    """

    name: str
    corpus: str
    column: str | None
    kind: TaskKind


def parse_task(text: str, *, data_dir: str | Path | None = None) -> TaskSource:
    """Read `name=corpus`, `name=corpus:column` or `name=corpus:column:kind`.

    A corpus may hold colons itself: of ``nltk:conll2000:chunk`` the first two parts are the corpus, and so with
    ``ud:``, ``hub:``, ``amazon:`` and ``synthetic:``; a path ends where there is such a file or folder, also below a
    data folder. Columns may hold them too: ``chunk=urdu.conllu:misc:Chunk``.

    The kind is told by the corpus where it can be: by its name, or by the suffix of a file (``.conllu``, ``.conll``,
    ``.pos`` and ``.txt`` are tagged words). Tables, folders of tables and hub datasets need it written out, and
    numbers to be predicted need ``regression``: ``stars=reviews.csv:stars:regression``.

    A task called ``chunk`` reads the chunks of a corpus that has them, unless another column is named.

    Args:
        text: the task, as on the command line or in YAML.
        data_dir: the folder to look in first; see `load_corpus`.

    Returns:
        Its parts.

    Raises:
        InputError: there is no name or no corpus, the name is taken, or the kind can't be told.

    Example:
        >>> parse_task("ner=names/train.conll")
        TaskSource(name='ner', corpus='names/train.conll', column=None, kind='tagging')
        >>> parse_task("pos=ud:UD_English-EWT:xpos").column
        'xpos'
    """
    name, equals, rest = text.partition("=")
    name, rest = name.strip(), rest.strip()
    if not equals or not name or not rest:
        raise InputError("the task is not written as one", expected=_EXAMPLE, found=repr(text))
    if not _NAME.fullmatch(name) or name in RESERVED_NAMES:
        raise InputError(
            f"'{name}' can't be the name of a task",
            expected=f"letters, digits, _, - and dots, and none of {', '.join(RESERVED_NAMES)}",
            found=repr(text),
        )
    corpus, parts = _corpus_and_rest(rest, data_dir)
    kind: TaskKind | None = None
    if parts and parts[-1] in _KINDS:
        *parts, kind = parts  # type: ignore[assignment]  # it is one of them
    column = ":".join(parts) or None
    told = _told_kind(corpus, data_dir)
    if kind is None and told is None:
        raise InputError(
            f"the corpus does not tell what kind of task '{name}' is",
            where=corpus,
            expected=f"one of {', '.join(_KINDS)} after the column",
            remedy=f"Write it out, as in {name}={corpus}:{column or 'label'}:classification.",
        )
    if kind is not None and told is not None and kind != told and not (kind, told) == ("regression", "classification"):
        raise InputError(f"the task '{name}' can't be {kind}", where=corpus, expected=f"{told}, as its corpus is")
    if column is None and name == "chunk" and corpus.startswith("nltk:") and has_chunks(corpus.removeprefix("nltk:")):
        column = "chunk"
    found = kind or told
    assert found is not None
    return TaskSource(name, corpus, column, found)


def parse_tasks(texts: Sequence[str], *, data_dir: str | Path | None = None) -> list[TaskSource]:
    """Read several tasks.

    Args:
        texts: as for `parse_task`.
        data_dir: likewise.

    Returns:
        The tasks, in the order given.

    Raises:
        InputError: none is given, two have one name, or what `parse_task` refuses.
    """
    sources = [parse_task(text, data_dir=data_dir) for text in texts]
    if not sources:
        raise InputError("no task is named", expected=_EXAMPLE)
    for number, source in enumerate(sources):
        if source.name in [other.name for other in sources[:number]]:
            raise InputError(
                f"two tasks are called '{source.name}'",
                found=", ".join(texts),
                remedy="Give each a name of its own: their losses and scores go by it.",
            )
    return sources


def _corpus_and_rest(text: str, data_dir: str | Path | None) -> tuple[str, list[str]]:
    """The corpus, and the parts between the colons behind it."""
    named = _NAMED.match(text)
    if named and not Path(text).exists():
        return named[0], text[named.end() + 1 :].split(":") if named.end() < len(text) else []
    parts = text.split(":")
    for taken in range(len(parts), 1, -1):
        place = ":".join(parts[:taken])
        if find_path(place.partition("#")[0], data_dir).exists():
            return place, parts[taken:]
    return parts[0], parts[1:]


def _told_kind(corpus: str, data_dir: str | Path | None) -> TaskKind | None:
    """The kind that the name of a corpus, or the suffix of its files, tells."""
    place = corpus.split("+")[0].partition("#")[0].strip()
    named = known_task(place)
    if named is not None:
        return named
    if place.partition(":")[0] == "hub":
        return None
    path = find_path(place, data_dir)
    files = [each.name for each in path.iterdir()] if path.is_dir() else [path.name]
    return "tagging" if any(name.removesuffix(".gz").endswith(_TAGGED_SUFFIXES) for name in files) else None
