"""The one door to tagged text: `load_corpus` takes a name or a path and gives a `datasets.Dataset`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from nlptransfer.data import fetching
from nlptransfer.data.columns import COLUMN_SUFFIXES, read_columns
from nlptransfer.data.conllu import read_conllu
from nlptransfer.data.nltk_corpora import NLTK_CORPORA, find_nltk_package, nltk_splits, read_nltk_corpus
from nlptransfer.data.splits import share_tags
from nlptransfer.data.synthetic import make_tagged_languages
from nlptransfer.data.tables import TABLE_SUFFIXES, conform_dataset, read_table
from nlptransfer.errors import InputError
from nlptransfer.files import missing_file

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

SPLITS = ("train", "dev", "test")
SYNTHETIC_SENTENCES = 2000
SYNTHETIC_SEED = 0

_NAMES = ("treebank", "synthetic", "synthetic:source", "synthetic:target", *(f"nltk:{name}" for name in NLTK_CORPORA))
_SUFFIXES = (".conllu", *COLUMN_SUFFIXES, *TABLE_SUFFIXES)
_SPLIT_FILE = re.compile(
    rf"(?:.*[-_.])?(train|dev|validation|test)(?:{'|'.join(re.escape(suffix) for suffix in _SUFFIXES)})(?:\.gz)?"
)


@overload
def load_corpus(
    name: str | Path,
    split: str,
    *,
    data_dir: str | Path | None = None,
    tag_column: str | None = None,
    traces: bool = True,
    columns: Sequence[str] | None = None,
    tagset: str | None = None,
) -> Dataset: ...


@overload
def load_corpus(
    name: str | Path,
    split: None = None,
    *,
    data_dir: str | Path | None = None,
    tag_column: str | None = None,
    traces: bool = True,
    columns: Sequence[str] | None = None,
    tagset: str | None = None,
) -> Dataset | DatasetDict: ...


def load_corpus(
    name: str | Path,
    split: str | None = None,
    *,
    data_dir: str | Path | None = None,
    tag_column: str | None = None,
    traces: bool = True,
    columns: Sequence[str] | None = None,
    tagset: str | None = None,
) -> Dataset | DatasetDict:
    """Load a tagged corpus by name or by path.

    Names:

    - ``treebank`` or ``nltk:treebank``: NLTK's sample of the Penn Treebank (Wall Street Journal).
    - ``nltk:brown``, ``nltk:brown/news+fiction``: Brown, whole or by genre; ``nltk:masc_tagged`` likewise.
    - ``nltk:conll2000``: Wall Street Journal, with train and test. ``nltk:nps_chat``: posts from chat rooms.
    - ``ud:UD_English-EWT``: any Universal Dependencies treebank, with its train, dev and test.
    - ``synthetic``, ``synthetic:target``: 2,000 sentences of `make_tagged_languages` with seed 0; the first is the
      source language.
    - ``hub:owner/name``: the Hugging Face hub; ``hub:owner/name/configuration`` where there are several.

    Paths:

    - ``.conllu``: CoNLL-U, see `read_conllu`.
    - ``.conll``, ``.tsv``, ``.txt``, ``.pos``: a word per line, see `read_columns`.
    - ``.jsonl``, ``.json``, ``.csv``, ``.parquet``: a sentence per row, see `read_table`.
    - a folder of such files named for their split (``train.conllu``, ``x-dev.tsv``), or saved by ``save_to_disk``.

    Text files may be gzipped (``.gz``). Named corpora are looked for in `data_dir`, in each folder of
    ``NLPTRANSFER_DATA``, in the user's cache, and for NLTK where NLTK looks itself; then they are fetched into the
    cache. A corpus is never replaced by another one.

    Args:
        name: the name or path.
        split: ``train``, ``dev`` or ``test``. None: all splits of a corpus that ships splits, else the whole corpus.
        data_dir: the folder to look in first.
        tag_column: the column with the tags: ``upos`` (default) or ``xpos`` in CoNLL-U; elsewhere the column's name,
            ``tags`` by default. Corpora with one kind of tags ignore it: NLTK's and the synthetic one.
        traces: keep the ``-NONE-`` traces of treebank.
        columns: the names of the columns of a column file, see `read_columns`.
        tagset: ``universal`` maps the tags of an NLTK corpus to the 12 universal tags, see `read_nltk_corpus`. None
            keeps them.

    Returns:
        One Dataset, or a DatasetDict with the keys that there are of ``train``, ``dev`` and ``test`` if the corpus
        ships splits and `split` is None. Columns: ``tokens``, ``tags`` (ClassLabel), ``domain`` where the corpus knows
        it, ``comments`` in CoNLL-U. Label names are those that occur, sorted; the splits of a DatasetDict share them.
        Between corpora or splits loaded one by one, ids agree only after `align_tags`.

    Raises:
        InputError: what was asked for can't be had; says where it was looked for, or which line is at fault.

    Example:
        >>> news = load_corpus("nltk:brown/news", tagset="universal")
        >>> ewt = load_corpus("ud:UD_English-EWT", tag_column="xpos")  # a DatasetDict
        >>> test = load_corpus("mine/test.conllu")
    """
    if tagset not in (None, "universal"):
        raise InputError("the tagset is unknown", expected="universal, or none to keep the tags", found=str(tagset))
    if split is not None and split not in SPLITS:
        raise InputError("the split is unknown", where=name, expected=", ".join(SPLITS), found=split)
    kind, _, rest = str(name).partition(":")
    if tagset is not None and kind not in ("treebank", "nltk"):
        raise InputError(
            "tags of this corpus can't be mapped to the universal tagset",
            where=name,
            expected="an NLTK corpus",
            remedy="Leave tagset out; the UPOS column of CoNLL-U is universal already, with 17 tags.",
        )
    if name == "treebank":
        kind, rest = "nltk", "treebank"
    if kind == "nltk":
        return _load_nltk(rest, split, data_dir=data_dir, traces=traces, tagset=tagset)
    if kind == "ud":
        return _load_treebank(rest, split, data_dir=data_dir, tag_column=tag_column or "upos")
    if kind == "hub":
        return _load_hub(rest, split, tag_column=tag_column or "tags")
    if kind == "synthetic":
        return _load_synthetic(rest, split)
    return _load_path(Path(name).expanduser(), split, tag_column=tag_column, columns=columns)


def is_synthetic(name: str) -> bool:
    """Whether this is the name of a synthetic corpus, and not of a file, say."""
    return re.split(r"[:,]", name)[0] == "synthetic"


def _load_synthetic(language: str, split: str | None) -> Dataset:
    if language not in ("", "source", "target"):
        raise _unknown_name(f"synthetic:{language}")
    if split is not None:
        raise _no_splits(f"synthetic:{language}".rstrip(":"), split)
    languages = make_tagged_languages(SYNTHETIC_SENTENCES, seed=SYNTHETIC_SEED)
    return languages.target if language == "target" else languages.source


def _load_nltk(
    rest: str, split: str | None, *, data_dir: str | Path | None, traces: bool, tagset: str | None
) -> Dataset | DatasetDict:
    corpus, _, genres = rest.partition("/")
    if corpus not in NLTK_CORPORA or (genres and corpus not in ("brown", "masc_tagged")):
        raise _unknown_name(f"nltk:{rest}")
    shipped = nltk_splits(corpus)
    if split is not None and split not in shipped:
        raise _no_splits(f"nltk:{rest}", split, shipped)
    package = _nltk_package(f"corpora/{corpus}", data_dir)
    universal = None if tagset is None else _nltk_package("taggers/universal_tagset", data_dir)

    def read(split: str | None) -> Dataset:
        return read_nltk_corpus(
            corpus,
            package,
            genres=genres.split("+") if genres else (),
            split=split,
            traces=traces,
            universal_package=universal,
        )

    if split is None and shipped:
        return share_tags({part: read(part) for part in shipped})
    return read(split)


def _nltk_package(package: str, data_dir: str | Path | None) -> Path:
    folders = fetching.data_folders(data_dir)
    found, tried = find_nltk_package(package, folders)
    if found is not None:
        return found
    try:
        return fetching.fetch_nltk_package(package, folders[-1] / "nltk_data", base_url=fetching.NLTK_URL)
    except OSError as error:
        short = package.partition("/")[2]
        raise _not_to_be_had(
            f"nltk:{short}",
            [*tried, error],
            remedy=f"Run `python -m nltk.downloader {short}` where there is a network, or put {short}.zip at one of "
            "these places.",
        ) from error


def _load_treebank(
    name: str, split: str | None, *, data_dir: str | Path | None, tag_column: str
) -> Dataset | DatasetDict:
    if not re.fullmatch(r"UD_[\w]+-[\w]+", name):
        raise InputError(
            f"'{name}' is no name of a treebank", where=f"ud:{name}", expected="a name such as ud:UD_English-EWT"
        )
    folders = [base / "ud" / name for base in fetching.data_folders(data_dir)]
    if split is not None:
        return read_conllu(_treebank_file(name, split, folders), tag_column=tag_column)
    for folder in folders[:-1]:
        # A folder of the user's own is taken as it stands: a treebank may well have a test split only.
        if files := _split_files(folder):
            return share_tags({part: read_conllu(file, tag_column=tag_column) for part, file in files.items()})
    files = {}
    for part in fetching.treebank_release(name).sha256:
        try:
            files[part] = _treebank_file(name, part, folders)
        except InputError as error:
            # Not every treebank has all splits, and only its server knows; but all of them have a test split.
            if part == "test" or not isinstance(error.__cause__, FileNotFoundError):
                raise
    return share_tags({part: read_conllu(file, tag_column=tag_column) for part, file in files.items()})


def _treebank_file(name: str, split: str, folders: list[Path]) -> Path:
    tried: list[object] = []
    for folder in folders:
        if file := _split_files(folder).get(split):
            return fetching.check_file(file)
        tried.append(folder / f"*-ud-{split}.conllu")
    try:
        return fetching.fetch_treebank_file(name, split, folders[-1], base_url=fetching.UD_URL)
    except OSError as error:
        places = (place for folder in folders if folder.parent.is_dir() for place in folder.parent.iterdir())
        known = {place.name for place in places if _split_files(place)} | set(fetching.TREEBANKS)
        close = [] if name in known else difflib.get_close_matches(name, sorted(known), cutoff=0.8)
        raise _not_to_be_had(
            f"ud:{name} ({split})",
            [*tried, error],
            remedy=(f"Did you mean {' or '.join(f'ud:{other}' for other in close)}? Otherwise get" if close else "Get")
            + " it from https://universaldependencies.org and put its .conllu files at one of these places.",
        ) from error


def _load_hub(name: str, split: str | None, *, tag_column: str) -> Dataset | DatasetDict:
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
        raise _not_to_be_had(f"hub:{name}", [failure], remedy=remedy)
    try:
        loaded = datasets.load_dataset("/".join(parts[:2]), *parts[2:])
    except (OSError, ValueError, RuntimeError) as error:
        raise _not_to_be_had(f"hub:{name}", [error], remedy=remedy) from error
    return _conform_all(loaded, split, where=f"hub:{name}", tag_column=tag_column)


def _load_path(
    path: Path, split: str | None, *, tag_column: str | None, columns: Sequence[str] | None
) -> Dataset | DatasetDict:
    if not path.exists():
        close = difflib.get_close_matches(str(path), _NAMES) if len(path.parts) <= 2 else []
        if close or (":" in str(path) and not path.drive):
            raise _unknown_name(str(path))
        raise missing_file(path)
    if path.is_file():
        if split is not None:
            raise _no_splits(str(path), split)
        return _read_file(path, tag_column=tag_column, columns=columns)
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return _load_saved(path, split, tag_column=tag_column or "tags")
    files = _split_files(path)
    if not files:
        raise InputError(
            "the folder holds no corpus",
            where=path,
            expected=f"files named for their split, such as train.conllu (or {', '.join(_SUFFIXES[1:])})",
            found=", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "an empty folder",
            remedy="Name one file instead, or rename the files.",
        )
    if split is not None:
        if split not in files:
            raise _no_splits(str(path), split, tuple(files))
        return _read_file(files[split], tag_column=tag_column, columns=columns)
    return share_tags({part: _read_file(file, tag_column=tag_column, columns=columns) for part, file in files.items()})


def _load_saved(path: Path, split: str | None, *, tag_column: str) -> Dataset | DatasetDict:
    import datasets

    try:
        loaded = datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"the folder holds no dataset that `datasets` can load ({error})",
            where=path,
            remedy="Save it again with save_to_disk.",
        ) from error
    return _conform_all(loaded, split, where=path, tag_column=tag_column)


def _conform_all(
    loaded: Dataset | DatasetDict, split: str | None, *, where: str | Path, tag_column: str
) -> Dataset | DatasetDict:
    if not isinstance(loaded, dict):
        if split is not None:
            raise _no_splits(str(where), split)
        return conform_dataset(loaded, where=where, tag_column=tag_column)
    parts = {"dev" if part == "validation" else part: data for part, data in loaded.items()}
    if split is not None:
        if split not in parts:
            raise _no_splits(str(where), split, tuple(parts))
        return conform_dataset(parts[split], where=f"{where} ({split})", tag_column=tag_column)
    return share_tags(
        {part: conform_dataset(data, where=f"{where} ({part})", tag_column=tag_column) for part, data in parts.items()}
    )


def _read_file(path: Path, *, tag_column: str | None, columns: Sequence[str] | None) -> Dataset:
    name = path.name.removesuffix(".gz")
    if name.endswith(".conllu"):
        return read_conllu(path, tag_column=tag_column or "upos")
    if name.endswith(TABLE_SUFFIXES):
        return read_table(path, tag_column=tag_column or "tags")
    if name.endswith(COLUMN_SUFFIXES):
        return read_columns(path, columns=columns, tag_column=tag_column or "tags")
    raise InputError(
        "the format can't be told from the file's name",
        where=path,
        expected=f"one of {', '.join(_SUFFIXES)}, or one of these with .gz",
        found=path.suffix or "no suffix",
        remedy="Rename the file.",
    )


def _split_files(folder: Path) -> dict[str, Path]:
    """The file of each split in a folder, in the order train, dev, test."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_file() and (match := _SPLIT_FILE.fullmatch(path.name)):
            part = "dev" if match[1] == "validation" else match[1]
            if part in files:
                raise InputError(
                    f"the folder holds two files for {part}",
                    where=folder,
                    found=f"{files[part].name} and {path.name}",
                    remedy="Name one of the files instead of the folder, or move one away.",
                )
            files[part] = path
    return {part: files[part] for part in SPLITS if part in files}


def _unknown_name(name: str) -> InputError:
    close = difflib.get_close_matches(name, _NAMES)
    return InputError(
        "no corpus has this name, and there is no such file",
        where=name,
        expected=f"a path, ud:<treebank>, hub:<owner>/<name>, or one of {', '.join(_NAMES)}",
        remedy=f"Did you mean {' or '.join(close)}?" if close else None,
    )


def _no_splits(name: str, split: str, shipped: tuple[str, ...] = ()) -> InputError:
    return InputError(
        f"there is no split '{split}'",
        where=name,
        expected=f"one of {', '.join(shipped)}" if shipped else "no split: the corpus is one piece",
        found=split,
        remedy="Leave the split out.",
    )


def _not_to_be_had(name: str, tried: Sequence[object], *, remedy: str) -> InputError:
    places = "".join(f"\n  - {place}" for place in tried)
    return fetching.NotToBeHad(
        "this is neither at hand nor could it be fetched", where=name, found=f"nothing at{places}", remedy=remedy
    )
