"""The data of several tasks: their splits, missing labels, smaller training sets, and which tasks share their text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from nlptransfer.data.corpora import load_corpus
from nlptransfer.data.domain_names import place_and_domain, source_domains
from nlptransfer.data.domains import pick_domain
from nlptransfer.data.nltk_corpora import has_chunks
from nlptransfer.data.splits import align_tags, cut_corpus, tag_names
from nlptransfer.data.text_tables import label_names
from nlptransfer.data.text_values import load_text_values
from nlptransfer.errors import InputError
from nlptransfer.multitask.tasks import Task, TaskSource
from nlptransfer.types import NO_LABEL

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

MISSING_TAG = "_"
"""The tag of a word that carries none."""

_SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class TaskSplit:
    """Texts with the labels of one task.

    Attributes:
        texts: lists of words for tagging, else texts.
        labels: for each text a list of ids, one for each word; an id; or a number. `NO_LABEL` where there is none.
        names: the label names by id: those of the task, then those that training never shows. None for regression.
        copies: which of the texts with the same words each is, from 0.
    """

    texts: list[Any]
    labels: list[Any]
    names: tuple[str, ...]
    copies: list[int]

    def __len__(self) -> int:
        """The number of texts."""
        return len(self.texts)

    def gold(self) -> list[Any]:
        """The labels as text, `MISSING_TAG` where there is none; numbers as they are."""
        if not self.names:
            return list(self.labels)
        names = {**dict(enumerate(self.names)), NO_LABEL: MISSING_TAG}
        return [names[own] if isinstance(own, int) else [names[each] for each in own] for own in self.labels]

    def select(self, rows: Sequence[int]) -> TaskSplit:
        """Some of the texts."""
        parts = ([values[row] for row in rows] for values in (self.texts, self.labels, self.copies))
        texts, labels, copies = parts
        return replace(self, texts=texts, labels=labels, copies=copies)

    def labelled(self) -> list[int]:
        """The rows of texts of which at least a word, or the text itself, carries a label."""
        return [row for row, own in enumerate(self.labels) if _is_labelled(own)]


@dataclass(frozen=True)
class TaskData:
    """One task and its data.

    Attributes:
        task: with the labels that its training data show.
        source: where the data come from.
        splits: ``train``, ``dev`` and ``test``; of the first only texts that carry a label.
    """

    task: Task
    source: TaskSource
    splits: Mapping[str, TaskSplit]


@dataclass(frozen=True)
class SharedTexts:
    """Texts that carry the labels of one or more tasks.

    Attributes:
        texts: lists of words, or texts.
        labels: by task, what `TaskSplit.labels` holds for each text; None where the task has no label there.
    """

    texts: list[Any]
    labels: Mapping[str, list[Any]]

    def positions(self) -> Any:
        """Where each label is found in `columns`: to be handed to whatever makes batches, in the place of labels.

        Returns:
            For lists of words, for each text the range of its words; for texts, (N,) int64.
        """
        if not _has_words(self.texts):
            return np.arange(len(self.texts))
        ends = list(accumulate(map(len, self.texts), initial=0))
        return [range(start, end) for start, end in pairwise(ends)]

    def columns(self) -> dict[str, np.ndarray]:
        """By task, the labels of all words in a row, or of all texts; `NO_LABEL` where there is none.

        Returns:
            (words,) or (texts,) int64, or float32 for regression.
        """
        found = {}
        for name, labels in self.labels.items():
            if _has_words(self.texts):
                pairs = zip(self.texts, labels, strict=True)
                flat = [each for words, own in pairs for each in ([NO_LABEL] * len(words) if own is None else own)]
            else:
                flat = [NO_LABEL if own is None else own for own in labels]
            is_number = any(isinstance(each, float) for each in flat)
            found[name] = np.array(flat, dtype=np.float32 if is_number else np.int64)
        return found


def load_task(
    source: TaskSource,
    *,
    seed: int,
    num_train: int | None = None,
    dev_fraction: float = 0.15,
    test_fraction: float = 0.15,
    data_dir: str | None = None,
    columns: Sequence[str] = (),
    text_column: str | None = None,
) -> TaskData:
    """Load the data of one task, and cut off what it lacks.

    A corpus without a test split, or a dev split, has one cut off at random: the same sentences for every task on
    that corpus. Of several corpora that are joined by a plus sign each is cut. A tag ``_`` is no label, nor is an
    empty cell of a table; training texts without any label are left out.

    Args:
        source: from `parse_task`.
        seed: of the cuts, and of the choice of training texts.
        num_train: how many labelled training texts to keep. With one seed a smaller number keeps a part of what a
            larger one keeps, and two tasks on one corpus keep the same texts. None keeps all.
        dev_fraction: share of the training texts that is cut off where there is no dev split.
        test_fraction: share of all texts that is cut off, before that, where there is no test split.
        data_dir: see `load_corpus`; so also the next two.
        columns: the columns' names of a file with one word per line.
        text_column: the column with the texts of a table.

    Returns:
        The task and its splits. Its labels are those of all training texts, also of those that `num_train` leaves
        out. Labels that only dev or test show have ids beyond them, and count as errors.

    Raises:
        InputError: the corpus or the column can't be had, or there are fewer training texts than asked for.

    Example:
        >>> data = load_task(parse_task("chunk=nltk:conll2000"), seed=0, num_train=500)
        >>> len(data.splits["train"]), len(data.task.labels)
        (500, 19)
    """
    parts: list[Mapping[str, Dataset]] = []
    for name in [source.corpus] if source.kind == "tagging" else source_domains(source.corpus):
        place, domain = place_and_domain(name)
        corpus = _load(source, place, data_dir=data_dir, columns=columns, text_column=text_column)
        if domain is not None:
            corpus = pick_domain(corpus, domain, where=place)
        parts.append(_cut(corpus, place, seed=seed, dev_fraction=dev_fraction, test_fraction=test_fraction))
    make = {"tagging": _tag_splits, "classification": _label_splits, "regression": _number_splits}[source.kind]
    splits = make(parts, source)
    train = splits["train"].select(splits["train"].labelled())
    if not len(train):
        raise InputError(
            f"no training text of the task '{source.name}' carries a label",
            where=source.corpus,
            remedy="Name another column.",
        )
    seen = {each for own in train.labels for each in (own if isinstance(own, list) else [own])} - {NO_LABEL}
    labels = tuple(name for number, name in enumerate(train.names) if number in seen)
    if num_train is not None:
        train = _first_of(train, num_train, source=source, seed=seed)
    splits = {split: _renumber(part, labels) for split, part in {**splits, "train": train}.items()}
    if source.kind != "regression" and len(labels) < 2:
        raise InputError(
            f"the task '{source.name}' has one label only",
            where=source.corpus,
            expected="two labels or more",
            found=", ".join(labels),
            remedy="Name another column.",
        )
    return TaskData(Task(source.name, source.kind, labels), source, splits)


def share_texts(tasks: Sequence[TaskData], split: str = "train") -> list[SharedTexts]:
    """Find out which tasks share their text, and join what they know about it.

    Two tasks share their text where they are columns of one corpus, or where all texts of one are among the other's.
    Equal texts of otherwise different corpora are not joined, nor are words that are tagged and whole texts, though
    they come from one corpus.

    Args:
        tasks: with distinct names.
        split: which split of theirs.

    Returns:
        Groups of tasks with their texts, each text once; every task is in one of them.

    Example:
        >>> (shared,) = share_texts([pos, chunk_of_500])
        >>> len(shared.texts), sum(own is not None for own in shared.labels["chunk"])
        (8936, 500)
    """
    keyed = {data.task.name: _keyed(data.splits[split]) for data in tasks}
    corpora = {data.task.name: (data.source.corpus, data.task.kind == "tagging") for data in tasks}
    groups: list[tuple[list[str], dict[Any, None]]] = []  # names and keys, in the order in which they came
    # The largest first: whatever is a part of it joins it.
    for name in sorted(keyed, key=lambda own: -len(keyed[own])):
        for names, keys in groups:
            if corpora[name] in [corpora[other] for other in names] or keyed[name].keys() <= keys.keys():
                names.append(name)
                keys.update(dict.fromkeys(keyed[name]))
                break
        else:
            groups.append(([name], dict.fromkeys(keyed[name])))
    order = [data.task.name for data in tasks]
    shared = [
        SharedTexts(
            [text if isinstance(text, str) else list(text) for text, _ in keys],
            {name: [keyed[name].get(key) for key in keys] for name in order if name in names},
        )
        for names, keys in groups
    ]
    return sorted(shared, key=lambda group: order.index(next(iter(group.labels))))


def warn_of_leaks(tasks: Sequence[TaskData], *, share: float = 0.1) -> list[str]:
    """A warning for each split of which more than `share` of the texts are training texts of any of the tasks.

    Learning several tasks together, a text that one task is trained on has been seen when another is tested on it.

    Args:
        tasks: that are learnt together.
        share: from 0 to 1.

    Returns:
        Sentences for the report.
    """
    warnings = []
    for trained in tasks:
        known = set(map(_hashable, trained.splits["train"].texts))
        for tested in tasks:
            for split in ("dev", "test"):
                texts = tested.splits[split].texts
                found = sum(_hashable(text) in known for text in texts)
                if found > share * len(texts):
                    warnings.append(
                        f"{found} of the {len(texts)} texts of {split} of the task '{tested.task.name}' stand in the "
                        f"training data of '{trained.task.name}': its scores tell less about new text."
                    )
    return warnings


def _load(
    source: TaskSource, place: str, *, data_dir: str | None, columns: Sequence[str], text_column: str | None
) -> Dataset | DatasetDict:
    if source.kind == "regression":
        return load_text_values(
            place, value_column=source.column or "value", text_column=text_column or "text", data_dir=data_dir
        )
    if source.kind == "tagging":
        _check_one_kind_of_tags(source, place)
        return load_corpus(place, task="tagging", data_dir=data_dir, tag_column=source.column, columns=columns or None)
    return load_corpus(
        place,
        task="classification",
        data_dir=data_dir,
        text_column=text_column,
        label_column=None if source.column == "domain" else source.column,
    )


def _check_one_kind_of_tags(source: TaskSource, place: str) -> None:
    """Where a corpus has one kind of tags `load_corpus` passes over the column, and the task would be another one."""
    family, _, rest = place.partition(":")
    if family not in ("nltk", "synthetic", "treebank"):
        return
    offered = ("pos", "chunk") if has_chunks(rest) else ("pos", "tags")
    if source.column not in (None, *offered):
        raise InputError(
            f"the corpus has no column '{source.column}'",
            where=place,
            expected=" or ".join(offered),
            remedy=f"Write {source.name}={place}:{offered[0]}.",
        )


def _cut(
    corpus: Dataset | DatasetDict, name: str, *, seed: int, dev_fraction: float, test_fraction: float
) -> dict[str, Dataset]:
    parts = dict(corpus) if isinstance(corpus, Mapping) else {"train": corpus}
    if "train" not in parts:
        raise InputError("the corpus ships no training split", where=name, found=", ".join(parts))
    for split, fraction in (("test", test_fraction), ("dev", dev_fraction)):
        if split not in parts:
            parts["train"], parts[split] = cut_corpus(parts["train"], fraction, seed=seed)
    return {split: parts[split] for split in _SPLITS}


def _tag_splits(parts: Sequence[Mapping[str, Dataset]], source: TaskSource) -> dict[str, TaskSplit]:
    (splits,) = parts
    aligned = align_tags(splits, unseen_tags="count_as_wrong")
    return {
        split: _made(data["tokens"][:], _without_missing(data["tags"][:], tag_names(data)), tag_names(data))
        for split, data in aligned.items()
    }


def _without_missing(labels: list[list[int]], names: Sequence[str]) -> list[list[int]]:
    if MISSING_TAG not in names:
        return labels
    missing = names.index(MISSING_TAG)
    return [[NO_LABEL if each == missing else each for each in own] for own in labels]


def _label_splits(parts: Sequence[Mapping[str, Dataset]], source: TaskSource) -> dict[str, TaskSplit]:
    texts: dict[str, list[str]] = {split: [] for split in _SPLITS}
    labels: dict[str, list[str | None]] = {split: [] for split in _SPLITS}
    for splits in parts:
        for split, data in splits.items():
            texts[split] += _texts(data, source)
            labels[split] += _label_texts(data, source)
    names = sorted({label for own in labels.values() for label in own if label is not None})
    ids: dict[str | None, int] = {**{name: number for number, name in enumerate(names)}, None: NO_LABEL}
    return {split: _made(texts[split], [ids[label] for label in labels[split]], names) for split in _SPLITS}


def _texts(data: Dataset, source: TaskSource) -> list[str]:
    if "text" not in data.column_names:
        raise InputError(
            f"the task '{source.name}' needs running text, and the corpus ships counted terms",
            where=source.corpus,
            remedy="Name a corpus of texts, such as amazon:books.",
        )
    return list(data["text"][:])


def _label_texts(data: Dataset, source: TaskSource) -> list[str | None]:
    if source.column == "domain":
        if "domain" not in data.column_names:
            raise InputError("the corpus has no column of domains", where=source.corpus)
        return list(data["domain"][:])
    if "label" not in data.column_names:
        raise InputError(
            "the corpus has no labels",
            where=source.corpus,
            found=", ".join(data.column_names),
            remedy=f"Name the column with the labels of the task '{source.name}'.",
        )
    names = label_names(data)
    return [None if label is None else names[label] for label in data["label"][:]]


def _number_splits(parts: Sequence[Mapping[str, Dataset]], source: TaskSource) -> dict[str, TaskSplit]:
    found = {}
    for split in _SPLITS:
        texts = [text for splits in parts for text in splits[split]["text"][:]]
        values = [value for splits in parts for value in splits[split]["value"][:]]
        if NO_LABEL in values:
            raise InputError(
                f"a text has the value {NO_LABEL}, which stands for no value",
                where=source.corpus,
                remedy="Shift or scale the values.",
            )
        found[split] = _made(texts, [float(NO_LABEL if value is None else value) for value in values], ())
    return found


def _made(texts: list[Any], labels: list[Any], names: Sequence[str]) -> TaskSplit:
    seen: Counter[Any] = Counter()
    copies = []
    for text in texts:
        key = _hashable(text)
        copies.append(seen[key])
        seen[key] += 1
    return TaskSplit(texts, labels, tuple(names), copies)


def _first_of(train: TaskSplit, num_train: int, *, source: TaskSource, seed: int) -> TaskSplit:
    if not 1 <= num_train <= len(train):
        raise InputError(
            f"the task '{source.name}' can't be trained on {num_train:,} texts",
            where=source.corpus,
            expected=f"a number from 1 to {len(train):,}, as many as carry a label",
            found=str(num_train),
        )
    # The beginning of one order of all, so that smaller choices are parts of larger ones.
    chosen = np.random.default_rng(seed).permutation(len(train))[:num_train]
    return train.select(sorted(chosen.tolist()))


def _renumber(part: TaskSplit, labels: tuple[str, ...]) -> TaskSplit:
    """The task's labels first, then the others that occur in this part."""
    if not part.names:
        return part
    used = {each for own in part.labels for each in (own if isinstance(own, list) else [own])}
    others = [name for number, name in enumerate(part.names) if number in used and name not in labels]
    names = (*labels, *others)
    place = {name: number for number, name in enumerate(names)}
    new = {number: place[name] for number, name in enumerate(part.names) if name in place}
    new[NO_LABEL] = NO_LABEL
    renumbered = [new[own] if isinstance(own, int) else [new[each] for each in own] for own in part.labels]
    return replace(part, labels=renumbered, names=names)


def _keyed(part: TaskSplit) -> dict[Any, Any]:
    return {
        (_hashable(text), copy): label for text, copy, label in zip(part.texts, part.copies, part.labels, strict=True)
    }


def _hashable(text: Any) -> Any:
    return text if isinstance(text, str) else tuple(text)


def _has_words(texts: Sequence[Any]) -> bool:
    return bool(texts) and not isinstance(texts[0], str)


def _is_labelled(label: Any) -> bool:
    return any(each != NO_LABEL for each in label) if isinstance(label, list) else label != NO_LABEL
