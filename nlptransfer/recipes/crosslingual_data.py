"""What a cross-lingual run reads: a source with labels, a target to test on, unlabelled text and vectors of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from nlptransfer.recipes.cross_lingual_transfer import Settings

USUAL = ("ud:UD_Hindi-HDTB", "ud:UD_Urdu-UDTB")
SYNTHETIC = ("synthetic:source", "synthetic:target")
OUTSIDE = "O"
MOST_UNLABELLED = 10_000
"""Unlabelled items of the target that are read at most, for self-training and to tell how near the source is."""


@dataclass(frozen=True)
class LabelledItems:
    """Items with their labels.

    Attributes:
        items: lists of words, or texts.
        labels: a list of label names per sentence, or a name per text.
    """

    items: list[Any]
    labels: list[Any]

    def __len__(self) -> int:
        return len(self.items)

    def rows(self, numbers: Sequence[int]) -> LabelledItems:
        """Some of them."""
        return LabelledItems([self.items[row] for row in numbers], [self.labels[row] for row in numbers])


@dataclass(frozen=True)
class LanguagePair:
    """Everything that a run is made of.

    Attributes:
        is_tagging: a label per word, or one per text.
        label_names: those that the source's training data have, sorted.
        train: the source's.
        dev: the source's, by which epochs are chosen.
        source_test: the source's; None where it has none.
        target_test: what is scored.
        target_train: labelled items of the target, for the reference and for --target_labels; None where there are
            none. No other system sees its labels.
        source_text: files of the source's running text.
        target_text: files of the target's.
        names: of source and target.
        data_dir: folder to look for these files in first.
        warnings: what every reader must see.
    """

    is_tagging: bool
    label_names: list[str]
    train: LabelledItems
    dev: LabelledItems
    source_test: LabelledItems | None
    target_test: LabelledItems
    target_train: LabelledItems | None
    source_text: tuple[str, ...]
    target_text: tuple[str, ...]
    names: tuple[str, str]
    data_dir: str | None
    warnings: tuple[str, ...] = ()

    def sentences(self, language: str) -> Iterator[list[str]]:
        """Tokens of everything that is known of a language without labels: its training items, then its files.

        Args:
            language: ``source`` or ``target``.
        """
        from nlptransfer.data.text_lines import find_text_source
        from nlptransfer.data.words import split_tokens

        own = self.train if language == "source" else self.target_train
        for item in own.items if own else ():
            yield list(item) if self.is_tagging else split_tokens(item)
        for name in self.source_text if language == "source" else self.target_text:
            for line in find_text_source(name, data_dir=self.data_dir).lines():
                yield split_tokens(line)

    def unlabelled_target(self) -> list[Any]:
        """Items of the target without their labels: its training items, or where it has none, lines of its files."""
        from nlptransfer.data.text_lines import find_text_source
        from nlptransfer.data.words import split_tokens

        if self.target_train is not None:
            return self.target_train.items[:MOST_UNLABELLED]
        lines = (line for name in self.target_text for line in find_text_source(name, data_dir=self.data_dir).lines())
        first = list(islice((line for line in lines if line.strip()), MOST_UNLABELLED))
        return [split_tokens(line) for line in first] if self.is_tagging else first

    def few_target_labels(self, number: int, *, seed: int) -> LabelledItems:
        """So many labelled items of the target, drawn by the seed: for one seed 10 are among 100."""
        import numpy as np

        assert self.target_train is not None
        order = np.random.default_rng([seed, *b"target labels"]).permutation(len(self.target_train))
        return self.target_train.rows(order[:number].tolist())


def load_pair(settings: Settings) -> LanguagePair:
    """Read source and target.

    Raises:
        InputError: a corpus can't be had, or the two do not go together.
    """
    warnings: list[str] = []
    source_name, target_name = settings.source or USUAL[0], settings.target or USUAL[1]
    if settings.source is None and settings.target is None:
        from nlptransfer.data.fetching import NotToBeHad

        try:
            source = _load(settings, source_name)
        except NotToBeHad as error:
            source_name, target_name = SYNTHETIC
            source = _load(settings, source_name)
            warnings.append(
                "THE CORPORA ARE SYNTHETIC. They were generated here, because the usual ones can't be had, and their "
                f"scores say nothing about real languages. {error}"
            )
    else:
        source = _load(settings, source_name)
    target = _load(settings, target_name)
    is_tagging = settings.task == "tagging"
    parts = _splits(source, "source", source_name, settings)
    target_parts = target if isinstance(target, dict) else {"test": target}
    if "test" not in target_parts:
        raise InputError("the target ships no test split", where=target_name, found=", ".join(target_parts))
    test = _items(target_parts["test"], settings)
    labelled = None
    if settings.target_train is not None:
        given = _load(settings, settings.target_train)
        labelled = _items(given["train"] if isinstance(given, dict) else given, settings)
    elif "train" in target_parts:
        labelled = _items(target_parts["train"], settings)
    elif not isinstance(target, dict):
        # One file: a part of it serves as labelled target text, the rest is tested on.
        from nlptransfer.data.splits import cut_corpus

        rest, tested = cut_corpus(target, 0.5, seed=settings.split_seed)
        labelled, test = _items(rest, settings), _items(tested, settings)
    train = _items(parts["train"], settings)
    names = sorted(set(_flat(train.labels, is_tagging)))
    warnings += _check_labels(names, test, is_tagging, target_name, settings)
    if labelled is not None:
        labelled, leaked = _without(labelled, test)
        if leaked:
            warnings.append(
                f"{leaked} labelled target items stand in the target's test, too, and were left out of the former."
            )
    most = max(settings.target_labels, default=0)
    if most and (labelled is None or most > len(labelled)):
        raise InputError(
            "--target_labels asks for more labelled target items than there are",
            expected=f"at most {0 if labelled is None else len(labelled):,}",
            found=f"{most:,}",
            remedy="Name a corpus that has them with --target_train.",
        )
    return LanguagePair(
        is_tagging,
        names,
        train,
        _items(parts["dev"], settings),
        _items(parts["test"], settings) if "test" in parts else None,
        test,
        labelled,
        settings.source_text,
        settings.target_text,
        (source_name, target_name),
        settings.data_dir,
        tuple(warnings),
    )


def _load(settings: Settings, name: str) -> Dataset | DatasetDict:
    from nlptransfer.data.corpora import load_corpus

    return load_corpus(
        name,
        task=settings.task,
        data_dir=settings.data_dir,
        tag_column=settings.tag_column,
        columns=settings.columns or None,
        text_column=settings.text_column,
        label_column=settings.label_column,
    )


def _splits(corpus: Dataset | DatasetDict, role: str, name: str, settings: Settings) -> Mapping[str, Dataset]:
    from nlptransfer.data.splits import cut_corpus

    parts = dict(corpus) if isinstance(corpus, dict) else {"train": corpus}
    if "train" not in parts:
        raise InputError(f"the {role} ships no training split", where=name, found=", ".join(parts))
    if "dev" not in parts:
        parts["train"], parts["dev"] = cut_corpus(parts["train"], settings.dev_fraction, seed=settings.split_seed)
    return parts


def _items(data: Dataset, settings: Settings) -> LabelledItems:
    """Items and label names; of --labels only, where these are named."""
    kept = set(settings.labels)
    if settings.task == "tagging":
        from nlptransfer.data.splits import tag_texts

        tags = tag_texts(data)
        if kept:
            tags = [[tag if tag.split("-")[-1] in kept else OUTSIDE for tag in sentence] for sentence in tags]
        return LabelledItems(data["tokens"][:], tags)
    names = data.features["label"].names
    rows = [
        (text, names[label])
        for text, label in zip(data["text"][:], data["label"][:], strict=True)
        if label is not None and (not kept or names[label] in kept)
    ]
    return LabelledItems([text for text, _ in rows], [label for _, label in rows])


def _flat(labels: Sequence[Any], is_tagging: bool) -> list[str]:
    return [tag for sentence in labels for tag in sentence] if is_tagging else list(labels)


def _check_labels(
    names: Sequence[str], test: LabelledItems, is_tagging: bool, where: str, settings: Settings
) -> list[str]:
    """Refuse two sets of labels that have little to do with each other, and warn of a few that never occur in training.

    Names are looked at and counted, not whose they are.
    """
    flat = _flat(test.labels, is_tagging)
    strange = sorted(set(flat) - set(names))
    share = sum(label in set(strange) for label in flat) / max(1, len(flat))
    if not flat:
        raise InputError(
            "nothing is left to test on",
            where=where,
            expected=f"labels such as {', '.join(names[:8])}",
            remedy="Check --labels against the labels that both corpora have." if settings.labels else None,
        )
    if share > 0.5 or (strange and settings.unseen_labels == "error"):
        raise InputError(
            f"{share:.1%} of the target's labels never occur in the source's training data",
            where=where,
            expected=f"only {', '.join(names[:30])}",
            found=", ".join(strange[:20]),
            remedy="Name the labels that both share with --labels, choose another --tag_column, or count such labels "
            "as errors with --unseen_labels count_as_wrong.",
        )
    if not strange:
        return []
    return [
        f"{share:.2%} of the target's labels never occur in the source's training data and count as wrong: "
        f"{', '.join(strange)}."
    ]


def _without(labelled: LabelledItems, test: LabelledItems) -> tuple[LabelledItems, int]:
    """Labelled items that do not stand in the test, and how many did."""
    tested = {_key(item) for item in test.items}
    rows = [row for row, item in enumerate(labelled.items) if _key(item) not in tested]
    return labelled.rows(rows), len(labelled) - len(rows)


def _key(item: Any) -> str:
    return item if isinstance(item, str) else " ".join(item)


def as_dataset(items: LabelledItems, names: Sequence[str]) -> Dataset:
    """Tagged sentences as a Dataset whose tags are numbered as in `names`."""
    from datasets import ClassLabel, Dataset, Features, Value
    from datasets import Sequence as Many

    features = Features({"tokens": Many(Value("string")), "tags": Many(ClassLabel(names=list(names)))})
    return Dataset.from_dict({"tokens": items.items, "tags": items.labels}, features=features)


def rewritten(items: LabelledItems, written: list[Any]) -> LabelledItems:
    """The same labels on items that are written otherwise."""
    return replace(items, items=written)
