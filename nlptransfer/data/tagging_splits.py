"""The splits of a tagging experiment from the corpora named for it, under one numbering of tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from nlptransfer.data.corpora import load_corpus
from nlptransfer.data.fetching import NotToBeHad
from nlptransfer.data.splits import align_tags, cut_corpus
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def load_splits(
    train_data: str | None,
    *,
    usual: str = "treebank",
    dev_data: str | None = None,
    test_data: str | None = None,
    target: str | None = None,
    dev_fraction: float = 0.15,
    test_fraction: float = 0.15,
    seed: int,
    unseen_tags: Literal["error", "count_as_wrong"] = "error",
    tagset: str | None = None,
    **options: Any,
) -> tuple[DatasetDict, list[str]]:
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
        options: passed on to `load_corpus` for each corpus.

    Returns:
        The splits ``train``, ``dev``, ``test``, or with `target` ``train``, ``dev``, ``source_test``,
        ``target_test``; and warnings that every reader of the results must see.

    Raises:
        InputError: a corpus that was asked for by name can't be had, or the label sets differ.
    """

    def load(name: str) -> DatasetDict | Dataset:
        return load_corpus(name, tagset=None if name.startswith("synthetic") else tagset, **options)

    warnings = []
    if train_data is not None:
        corpus = load(train_data)
    else:
        try:
            corpus = load(usual)
        except NotToBeHad as error:
            corpus = load("synthetic")
            warnings.append(
                "THE CORPUS IS SYNTHETIC. It was generated here, because the usual one can't be had, and its scores "
                f"say nothing about real text. {error}"
            )
    parts: dict[str, Dataset] = dict(corpus) if isinstance(corpus, dict) else {"train": corpus}
    if "train" not in parts:
        raise InputError("the corpus ships no training split", where=train_data, found=", ".join(parts))
    for split, name in (("dev", dev_data), ("test", test_data), ("target_test", target)):
        if name is not None:
            given = load(name)
            wanted = split.removeprefix("target_")
            if isinstance(given, dict) and wanted not in given:
                raise InputError(f"the corpus ships no split '{wanted}'", where=name, found=", ".join(given))
            parts[split] = given[wanted] if isinstance(given, dict) else given
    for split, fraction in (("test", test_fraction), ("dev", dev_fraction)):
        if split not in parts:
            parts["train"], parts[split] = cut_corpus(parts["train"], fraction, seed=seed)
    order = ["train", "dev", "test"]
    if target is not None:
        parts["source_test"] = parts.pop("test")
        order = ["train", "dev", "source_test", "target_test"]
    return align_tags({split: parts[split] for split in order}, unseen_tags=unseen_tags), warnings
