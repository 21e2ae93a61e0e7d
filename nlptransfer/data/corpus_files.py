"""Corpora by path and from the hub: files, folders of split files and saved datasets, for any kind of corpus."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nlptransfer.data import fetching
from nlptransfer.data.text_tables import drop_labels
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

_SAME_SPLIT = {"validation": "dev", "unlabeled": "unlabelled", "unsupervised": "unlabelled"}


@dataclass(frozen=True)
class Format:
    """How the corpora of one task are read.

    Attributes:
        splits: that a folder may hold; labels are taken off ``unlabelled``.
        suffixes: of the files it reads, without ``.gz``.
        read: reads one file.
        conform: brings a dataset from elsewhere into the task's schema; also takes its name, for messages.
        share: gives several splits one numbering of their labels.
    """

    splits: tuple[str, ...]
    suffixes: tuple[str, ...]
    read: Callable[[Path], Dataset]
    conform: Callable[[Dataset, str], Dataset]
    share: Callable[[Mapping[str, Dataset]], DatasetDict]


def load_path(path: Path, split: str | None, layout: Format) -> Dataset | DatasetDict:
    """Load a file, a folder of files named for their split, or a folder written by ``save_to_disk``.

    Args:
        path: the file or folder; it exists.
        split: the split to load, or None for all there are.
        layout: how the files are read.

    Raises:
        InputError: there is no such split, the folder holds no corpus, or a file can't be read.
    """
    if path.is_file():
        if split is not None:
            raise no_splits(str(path), split)
        return _read_file(path, layout)
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return _load_saved(path, split, layout)
    files = split_files(path, layout.suffixes, layout.splits)
    if not files:
        raise InputError(
            "the folder holds no corpus",
            where=path,
            expected=f"files named for their split, such as train{layout.suffixes[0]} "
            f"(or {', '.join(layout.suffixes[1:])})",
            found=", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "an empty folder",
            remedy="Name one file instead, or rename the files.",
        )
    if split is not None:
        if split not in files:
            raise no_splits(str(path), split, tuple(files))
        files = {split: files[split]}
    return _join({part: _read_file(file, layout) for part, file in files.items()}, split, layout)


def load_hub(name: str, split: str | None, layout: Format) -> Dataset | DatasetDict:
    """Load a dataset from the Hugging Face hub.

    Args:
        name: ``owner/name``, or ``owner/name/configuration``.
        split: the split to load, or None for all there are.
        layout: the schema to bring it into.

    Raises:
        NotToBeHad: the hub can't be reached, or has no such dataset.
        InputError: there is no such split, or the columns are not those asked for.
    """
    import datasets
    from huggingface_hub import constants

    parts = name.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise InputError(f"'{name}' is no name on the hub", where=f"hub:{name}", expected="hub:owner/name")
    remedy = (
        "Check the name and the network. HF_HUB_OFFLINE=1 uses the copy that `datasets` cached earlier; a dataset on "
        "disk is loaded by its folder."
    )
    if not constants.HF_HUB_OFFLINE and (failure := fetching.unreachable(constants.ENDPOINT)):
        # load_dataset would try six times, for half a minute.
        raise fetching.not_to_be_had(f"hub:{name}", [failure], remedy=remedy)
    try:
        loaded = datasets.load_dataset("/".join(parts[:2]), *parts[2:])
    except (OSError, ValueError, RuntimeError) as error:
        raise fetching.not_to_be_had(f"hub:{name}", [error], remedy=remedy) from error
    return _conform_all(loaded, split, f"hub:{name}", layout)


def split_files(folder: Path, suffixes: tuple[str, ...], splits: tuple[str, ...]) -> dict[str, Path]:
    """The file of each split in a folder; a file is named for it, as in ``x-dev.tsv``.

    Args:
        folder: the folder, which need not exist.
        suffixes: of the files to look for, without ``.gz``.
        splits: to look for, in the order of the result.

    Raises:
        InputError: two files are named for one split.
    """
    ending = "|".join(re.escape(suffix) for suffix in suffixes)
    named = re.compile(rf"(?:.*[-_.])?({'|'.join((*splits, *_SAME_SPLIT))})(?:{ending})(?:\.gz)?")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_file() and (match := named.fullmatch(path.name)):
            part = _split_of(match[1], splits)
            if part in files:
                raise InputError(
                    f"the folder holds two files for {part}",
                    where=folder,
                    found=f"{files[part].name} and {path.name}",
                    remedy="Name one of the files instead of the folder, or move one away.",
                )
            files[part] = path
    return {part: files[part] for part in splits if part in files}


def no_splits(name: str, split: str, shipped: tuple[str, ...] = ()) -> InputError:
    """The error for a split that a corpus does not have.

    Args:
        name: the corpus.
        split: what was asked for.
        shipped: the splits it has; none if it is one piece.
    """
    return InputError(
        f"there is no split '{split}'",
        where=name,
        expected=f"one of {', '.join(shipped)}" if shipped else "no split: the corpus is one piece",
        found=split,
        remedy="Leave the split out.",
    )


def _read_file(path: Path, layout: Format) -> Dataset:
    if not path.name.removesuffix(".gz").endswith(layout.suffixes):
        raise InputError(
            "the format can't be told from the file's name",
            where=path,
            expected=f"one of {', '.join(layout.suffixes)}, or one of these with .gz",
            found=path.suffix or "no suffix",
            remedy="Rename the file.",
        )
    return layout.read(path)


def _load_saved(path: Path, split: str | None, layout: Format) -> Dataset | DatasetDict:
    import datasets

    try:
        loaded = datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"the folder holds no dataset that `datasets` can load ({error})",
            where=path,
            remedy="Save it again with save_to_disk.",
        ) from error
    return _conform_all(loaded, split, str(path), layout)


def _conform_all(loaded: Dataset | DatasetDict, split: str | None, where: str, layout: Format) -> Dataset | DatasetDict:
    if not isinstance(loaded, dict):
        if split is not None:
            raise no_splits(where, split)
        return layout.conform(loaded, where)
    parts = {_split_of(part, layout.splits): data for part, data in loaded.items()}
    if split is not None:
        if split not in parts:
            raise no_splits(where, split, tuple(parts))
        parts = {split: parts[split]}
    return _join({part: layout.conform(data, f"{where} ({part})") for part, data in parts.items()}, split, layout)


def _join(parts: dict[str, Dataset], split: str | None, layout: Format) -> Dataset | DatasetDict:
    if "unlabelled" in parts:
        parts["unlabelled"] = drop_labels(parts["unlabelled"])
    return layout.share(parts) if split is None else parts[split]


def _split_of(name: str, splits: tuple[str, ...]) -> str:
    """The split that a name stands for, among those that the task knows."""
    same = _SAME_SPLIT.get(name, name)
    return same if same in splits else name
