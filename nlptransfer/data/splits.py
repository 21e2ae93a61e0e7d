"""Divide a tagged corpus into train, dev and test, and give several corpora one numbering of their tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def split_corpus(dataset: Dataset, *, dev_fraction: float, test_fraction: float, seed: int) -> DatasetDict:
    """Divide a corpus at random: the test part off the whole, then the dev part off the rest.

    With ``dev_fraction=0.15, test_fraction=0.15, seed=4`` these are the sentences of
    ``train_test_split(all, test_size=0.15, random_state=4)``, applied again to its first part.

    Args:
        dataset: the corpus, of at least 3 sentences.
        dev_fraction: the share of dev in what is left after test, between 0 and 1.
        test_fraction: the share of test in the whole, between 0 and 1.
        seed: numbers the division.

    Returns:
        ``train``, ``dev`` and ``test``, each in random order.

    Raises:
        InputError: a fraction out of range, or a part that would be empty.

    Example:
        >>> parts = split_corpus(load_corpus("treebank"), dev_fraction=0.15, test_fraction=0.15, seed=4)
        >>> [len(parts[name]) for name in ("train", "dev", "test")]
        [2827, 499, 588]
    """
    from datasets import DatasetDict

    rest, test = cut_corpus(dataset, test_fraction, seed=seed)
    train, dev = cut_corpus(rest, dev_fraction, seed=seed)
    return DatasetDict({"train": train, "dev": dev, "test": test})


def cut_corpus(dataset: Dataset, fraction: float, *, seed: int) -> tuple[Dataset, Dataset]:
    """Cut a random share of the sentences off a corpus, as scikit-learn's ``train_test_split`` does.

    Args:
        dataset: the corpus, of at least 2 sentences.
        fraction: the share to cut off, between 0 and 1; its number of sentences is rounded up.
        seed: numbers the division.

    Returns:
        What is left, and what was cut off, each in random order.

    Raises:
        InputError: the fraction is out of range, or a part would be empty.
    """
    from sklearn.model_selection import train_test_split

    if not 0 < fraction < 1:
        raise InputError("the fraction to cut off is out of range", expected="between 0 and 1", found=str(fraction))
    try:
        rest, cut = train_test_split(range(len(dataset)), test_size=fraction, random_state=seed)
    except ValueError as error:
        raise InputError(
            "the corpus is too small to be divided",
            expected="at least one sentence in each part",
            found=f"{len(dataset)} sentences, of which a share of {fraction} was to be cut off",
            remedy="Use a larger corpus or another fraction.",
        ) from error
    return dataset.select(rest), dataset.select(cut)


def tag_names(dataset: Dataset) -> list[str]:
    """The names of the tags, by id.

    Raises:
        InputError: the dataset has no column ``tags`` with named tags.
    """
    feature = getattr(dataset.features.get("tags"), "feature", None)
    names = getattr(feature, "names", None)
    if names is None:
        raise InputError(
            "the dataset has no named tags",
            expected="a column 'tags' of List(ClassLabel)",
            found=", ".join(dataset.column_names) or "no columns",
            remedy="Load it with load_corpus.",
        )
    return list(names)


def tag_texts(dataset: Dataset) -> list[list[str]]:
    """The tags of each sentence as text.

    Raises:
        InputError: the dataset has no column ``tags`` with named tags.
    """
    names = tag_names(dataset)
    return [[names[tag] for tag in sentence] for sentence in dataset["tags"][:]]


def share_tags(splits: Mapping[str, Dataset]) -> DatasetDict:
    """The same datasets with one numbering: the sorted names of all of them."""
    from datasets import DatasetDict

    names = sorted({name for data in splits.values() for name in tag_names(data)})
    return DatasetDict({split: _renumber(data, names) for split, data in splits.items()})


def align_tags(
    splits: Mapping[str, Dataset],
    *,
    train: str = "train",
    unseen_tags: Literal["error", "count_as_wrong"] = "error",
) -> DatasetDict:
    """Number the tags of several datasets as the training data does: by name, from the tags that occur in training.

    Args:
        splits: datasets by name; from one corpus or from several.
        train: which of them is trained on.
        unseen_tags: what to do when another dataset holds a tag that never occurs in training. ``error``: raise.
            ``count_as_wrong``: keep it. Its id then lies beyond the training tags, so that a tagger with one output
            per training tag can never predict it, and its words are scored as errors.

    Returns:
        The datasets. ``tag_names(result[train])`` are the sorted tags of the training data: the outputs of a tagger.
        Names of the others start with the same ones, followed by the unseen tags, if any.

    Raises:
        InputError: a tag is unseen in training (says which, where and how often). Also, whatever `unseen_tags` says,
            if more than half of the words of a dataset have such tags: then the tag sets differ.

    Example:
        >>> parts = align_tags({"train": wsj, "target_test": chat}, unseen_tags="count_as_wrong")
        >>> num_labels = len(tag_names(parts["train"]))
    """
    from datasets import DatasetDict

    if unseen_tags not in ("error", "count_as_wrong"):
        raise InputError("unseen_tags is unknown", expected="error or count_as_wrong", found=str(unseen_tags))
    counts = {split: _count_tags(data) for split, data in splits.items()}
    trained = sorted(counts[train])
    unseen: set[str] = set()
    for split, data in splits.items():
        here = sorted(set(counts[split]) - set(trained))
        num_words = sum(counts[split].values())
        num_unseen = sum(counts[split][tag] for tag in here)
        # Two tag sets may share a name or two by accident (SYM is in both UPOS and the Penn set).
        if num_unseen > num_words / 2:
            raise InputError(
                f"'{split}' and '{train}' use different tag sets: {num_unseen:,} of {num_words:,} words of '{split}' "
                f"have tags that never occur in '{train}'",
                expected=f"tags such as {', '.join(trained[:20])}",
                found=", ".join(here[:20]),
                remedy="Bring them to one tag set: tag_column chooses between UPOS and XPOS, and tagset=universal maps "
                "the tags of NLTK's corpora.",
            )
        if here and unseen_tags == "error":
            raise _unseen_tag(data, here, counts[split], split=split, train=train, trained=trained)
        unseen.update(here)
    extended = [*trained, *sorted(unseen)]
    return DatasetDict(
        {split: _renumber(data, trained if split == train else extended) for split, data in splits.items()}
    )


def _count_tags(data: Dataset) -> dict[str, int]:
    names = tag_names(data)
    counts: dict[str, int] = {}
    for sentence in data["tags"][:]:
        for tag in sentence:
            counts[names[tag]] = counts.get(names[tag], 0) + 1
    return counts


def _unseen_tag(
    data: Dataset, unseen: list[str], counts: dict[str, int], *, split: str, train: str, trained: list[str]
) -> InputError:
    names = tag_names(data)
    wanted = names.index(unseen[0])
    row = next(row for row, sentence in enumerate(data["tags"][:]) if wanted in sentence)
    word = data[row]["tokens"][data[row]["tags"].index(wanted)]
    more = ", ".join(f"'{tag}' {counts[tag]} times" for tag in unseen[1:12])
    others = f" (nor do {more})" if more else ""
    return InputError(
        f"the tag '{unseen[0]}' of '{split}' never occurs in '{train}'{others}",
        expected=f"only the tags of '{train}': {', '.join(trained)}",
        found=f"'{unseen[0]}' {counts[unseen[0]]} times in all, first in sentence {row + 1} on the word '{word}'",
        remedy="Use unseen_tags=count_as_wrong to score such words as errors, or bring both to one tag set with "
        "tagset or tag_column.",
    )


def _renumber(data: Dataset, names: list[str]) -> Dataset:
    """The same dataset with the tags numbered by `names`, which hold every tag that occurs in it."""
    from datasets import ClassLabel, Dataset, Features, List

    old = tag_names(data)
    if old == names:
        return data
    position = {name: index for index, name in enumerate(names)}
    new_id = [position.get(name, -1) for name in old]
    columns = {column: data[column][:] for column in data.column_names}
    columns["tags"] = [[new_id[tag] for tag in sentence] for sentence in columns["tags"]]
    features = Features({**data.features, "tags": List(ClassLabel(names=names))})
    return Dataset.from_dict(columns, features=features)
