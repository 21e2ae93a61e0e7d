"""The splits of a tagging experiment from the corpora named for it, under one numbering of tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nlptransfer.data.corpora import is_synthetic, load_corpus
from nlptransfer.data.fetching import NotToBeHad
from nlptransfer.data.splits import align_tags, cut_corpus
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def load_splits(
    train_data: str | None,
    *,
    usual: str,
    dev_data: str | None = None,
    test_data: str | None = None,
    target: str | None = None,
    dev_fraction: float = 0.15,
    test_fraction: float = 0.15,
    seed: int,
    unseen_tags: Literal["error", "count_as_wrong"] = "error",
    tagset: str | None = None,
    data_dir: str | None = None,
    tag_column: str | None = None,
    columns: Sequence[str] = (),
    traces: bool = True,
) -> tuple[DatasetDict, str, list[str]]:
    """Load and, where a split is missing, cut.

    Args:
        train_data: name or path of the corpus to train on; a corpus that ships splits brings its own dev and test.
            None: `usual`, or where that can't be had the synthetic corpus.
        usual: the corpus that a bare command trains on.
        dev_data: corpus to develop on instead; of one that ships splits, its dev.
        test_data: corpus to test on instead; of one that ships splits, its test.
        target: a corpus of another domain, for testing only; its test split where it ships splits.
        dev_fraction: share of the training sentences cut off where there is no dev.
        test_fraction: share of all sentences cut off where there is no test; cut off first.
        seed: of these two cuts.
        unseen_tags: see `align_tags`.
        tagset: see `load_corpus`; the synthetic corpus keeps its nine tags.
        data_dir: see `load_corpus`; so also the next three.
        tag_column: the column with the tags.
        columns: the columns' names of a file with one word per line.
        traces: keep the treebank's traces.

    Returns:
        The splits ``train``, ``dev``, ``test``, or with `target` ``train``, ``dev``, ``source_test``,
        ``target_test``; what was trained on, in words; and warnings that every reader of the results must see.

    Raises:
        InputError: a corpus that was asked for by name can't be had, or the label sets differ.
    """

    def load(name: str) -> DatasetDict | Dataset:
        return load_corpus(
            name,
            tagset=None if is_synthetic(name) else tagset,
            columns=columns or None,
            data_dir=data_dir,
            tag_column=tag_column,
            traces=traces,
        )

    name, warnings = train_data or usual, []
    if train_data is not None:
        corpus = load(train_data)
    else:
        try:
            corpus = load(usual)
        except NotToBeHad as error:
            corpus = load("synthetic")
            name = f"synthetic, in place of {usual}"
            warnings.append(
                "THE CORPUS IS SYNTHETIC. It was generated here, because the usual one can't be had, and its scores "
                f"say nothing about real text. {error}"
            )
    parts: dict[str, Dataset] = dict(corpus) if isinstance(corpus, dict) else {"train": corpus}
    if "train" not in parts:
        raise InputError("the corpus ships no training split", where=train_data, found=", ".join(parts))
    for split, other in (("dev", dev_data), ("test", test_data), ("target_test", target)):
        if other is not None:
            if _same(other, name) and not isinstance(corpus, dict):
                raise InputError(
                    f"the {split.replace('_', ' ')} data are the training data",
                    where=other,
                    expected="sentences that were held out of training",
                    remedy="Leave it out: where no such data are named, a part of the corpus is held out.",
                )
            given = load(other)
            wanted = split.removeprefix("target_")
            if isinstance(given, dict) and wanted not in given:
                raise InputError(f"the corpus ships no split '{wanted}'", where=other, found=", ".join(given))
            parts[split] = given[wanted] if isinstance(given, dict) else given
    for split, fraction in (("test", test_fraction), ("dev", dev_fraction)):
        if split not in parts:
            parts["train"], parts[split] = cut_corpus(parts["train"], fraction, seed=seed)
    order = ["train", "dev", "test"]
    if target is not None:
        parts["source_test"] = parts.pop("test")
        order = ["train", "dev", "source_test", "target_test"]
    warnings += _warn_of_repeats(parts)
    return align_tags({split: parts[split] for split in order}, unseen_tags=unseen_tags), name, warnings


def _same(name: str, other: str) -> bool:
    """Whether two names lead to one corpus."""
    plain = [text.removeprefix("nltk:") for text in (name, other)]
    return plain[0] == plain[1] or (Path(name).exists() and Path(other).exists() and Path(name).samefile(other))


def _warn_of_repeats(parts: Mapping[str, Dataset], *, share: float = 0.2) -> list[str]:
    """A warning for each split of which more than `share` of the sentences stand in the training data word for word."""
    trained = {tuple(words) for words in parts["train"]["tokens"][:]}
    warnings = []
    for split, data in parts.items():
        repeated = sum(tuple(words) in trained for words in data["tokens"][:])
        if split != "train" and repeated > share * len(data):
            warnings.append(
                f"{repeated} of the {len(data)} sentences of {split.replace('_', ' ')} stand in the training data word "
                "for word: its scores tell less about new text."
            )
    return warnings
