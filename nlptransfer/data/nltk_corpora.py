"""The tagged corpora that NLTK distributes: treebank, brown, conll2000, nps_chat, masc_tagged."""

from __future__ import annotations

import difflib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.data import fetching
from nlptransfer.data.fetching import check_file
from nlptransfer.data.tables import tagged_dataset
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset

UNIVERSAL_TAGS = ("VERB", "NOUN", "PRON", "ADJ", "ADV", "ADP", "CONJ", "DET", "NUM", "PRT", "X", ".")


@dataclass(frozen=True)
class _Format:
    """How one corpus is read: the folder in its package, the map of its tags, and the options of NLTK's reader."""

    folder: str
    universal_map: str
    has_genres: bool = False
    splits: tuple[str, ...] = ()
    has_chunks: bool = False


_FORMATS = {
    "treebank": _Format("treebank/combined", "en-ptb"),
    "brown": _Format("brown", "en-brown", has_genres=True),
    "conll2000": _Format("conll2000", "en-ptb", splits=("train", "test"), has_chunks=True),
    "nps_chat": _Format("nps_chat", "en-ptb"),
    "masc_tagged": _Format("masc_tagged", "en-ptb", has_genres=True),
}
NLTK_CORPORA = tuple(_FORMATS)


def nltk_splits(name: str) -> tuple[str, ...]:
    """The splits that a corpus of `NLTK_CORPORA` ships; most ship none."""
    return _FORMATS[name].splits


def has_chunks(name: str) -> bool:
    """Whether a corpus of `NLTK_CORPORA` has chunks beside its parts of speech."""
    return name in _FORMATS and _FORMATS[name].has_chunks


def read_nltk_corpus(
    name: str,
    package: Path,
    *,
    genres: Sequence[str] = (),
    split: str | None = None,
    traces: bool = True,
    universal_package: Path | None = None,
    chunks: bool = False,
) -> Dataset:
    """Read one corpus with NLTK's own reader.

    What is not plainly a word with its tag: ``-NONE-`` traces of treebank are words unless `traces` is False; in
    nps_chat and masc_tagged a token without a word is left out, and one without a tag gets ``X``.

    Args:
        name: one of `NLTK_CORPORA`.
        package: its zip or its unpacked folder, as `find_nltk_package` gives it.
        genres: of brown and masc_tagged, the genres to read; none means all. The order is that of the corpus.
        split: of conll2000, ``train`` or ``test``.
        traces: keep treebank's 6,592 traces, as most published tables on this sample do.
        universal_package: the zip or folder of ``taggers/universal_tagset``. If given, tags are mapped to the 12
            universal tags with NLTK's map for the corpus. In nps_chat the ``^`` that marks misspelt words is taken
            off first (of ``^PRP^VBP`` the first tag counts). Tags that the map lacks become ``X``: traces, and the
            chat-only tags BES, HVS and GW.
        chunks: of conll2000, read the chunks (``B-NP``) in place of the parts of speech.

    Returns:
        The corpus, with the schema of `tagged_dataset`; brown and masc_tagged with ``domain``, the genre.

    Raises:
        InputError: an unknown genre; a damaged package.
        ValueError: chunks of a corpus that has none, or chunks by a map of parts of speech.

    Reference: S. Petrov, D. Das, R. McDonald (2012), A universal part-of-speech tagset,
        http://www.lrec-conf.org/proceedings/lrec2012/pdf/274_Paper.pdf
    """
    layout = _FORMATS[name]
    if chunks and (universal_package is not None or not layout.has_chunks):
        raise ValueError(f"{name} has no chunks, or they were to be mapped to universal parts of speech")
    to_universal = None if universal_package is None else read_universal_map(universal_package, layout.universal_map)
    tokens: list[list[str]] = []
    tags: list[list[str]] = []
    domains: list[str] = []
    try:
        with _data_path(package.parent.parent):
            reader = _open_reader(name, check_file(package), layout)
            for sentence, genre in _sentences(name, reader, genres=genres, split=split, chunks=chunks):
                pairs = [(word, tag or "X") for word, tag in sentence if word and (traces or tag != "-NONE-")]
                if not pairs:
                    continue
                tokens.append([word for word, _ in pairs])
                tags.append([tag if to_universal is None else _universal(tag, to_universal) for _, tag in pairs])
                domains.append(genre)
    except PermissionError as error:
        raise InputError(
            f"the NLTK package may not be read ({str(error).rstrip('.')})",
            where=package,
            remedy=f"NLTK reads only files that nobody else can change: `chmod -R go-w {package}`, or copy it to a "
            "data folder of your own.",
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the NLTK package is damaged or incomplete ({error})",
            where=package,
            remedy=f"Delete it and get it again: python -m nltk.downloader {name}.",
        ) from error
    return tagged_dataset(tokens, tags, where=f"nltk:{name}", domains=domains if layout.has_genres else None)


def find_nltk_package(package: str, folders: Sequence[Path]) -> tuple[Path | None, list[Path]]:
    """Look for a package in data folders, then where NLTK itself looks.

    Args:
        package: such as ``corpora/treebank`` or ``taggers/universal_tagset``.
        folders: data folders; each may hold ``nltk_data/``, or be an NLTK data folder itself.

    Returns:
        The zip or folder, or None; and the places looked at.
    """
    import nltk.data

    tried: list[Path] = []
    own = [base for folder in folders for base in (folder / "nltk_data", folder)]
    for base in [*own, *(Path(str(place)) for place in nltk.data.path)]:
        # An unpacked folder may stand beside its zip; the zip has a checksum, the folder may have been changed.
        for place in (base / f"{package}.zip", base / package):
            if place.exists():
                return place, tried
        tried.append(base / f"{package}.zip")
    return None, tried


def get_nltk_package(package: str, data_dir: str | Path | None) -> Path:
    """Find a package, or else fetch it into the user's cache.

    Args:
        package: such as ``corpora/treebank``.
        data_dir: the folder to look in first, see `data_folders`.

    Returns:
        The zip, or an unpacked folder.

    Raises:
        NotToBeHad: it is nowhere, and could not be fetched.
    """
    folders = fetching.data_folders(data_dir)
    found, tried = find_nltk_package(package, folders)
    if found is not None:
        return found
    try:
        return fetching.fetch_nltk_package(package, folders[-1] / "nltk_data", base_url=fetching.NLTK_URL)
    except OSError as error:
        short = package.partition("/")[2]
        raise fetching.not_to_be_had(
            f"nltk:{short}",
            [*tried, error],
            remedy=f"Run `python -m nltk.downloader {short}` where there is a network, or put {short}.zip at one of "
            "these places.",
        ) from error


def read_universal_map(package: Path, name: str) -> dict[str, str]:
    """Read one of the maps to the 12 universal tags, such as ``en-ptb``, from the zip or folder that holds them."""
    member = f"{name}.map"
    if package.is_dir():
        text = (package / member).read_text(encoding="utf-8")
    else:
        with zipfile.ZipFile(check_file(package)) as archive:
            text = archive.read(f"universal_tagset/{member}").decode("utf-8")
    pairs = (line.split("\t") for line in text.splitlines() if line.strip())
    return {fine: coarse.strip() for fine, coarse in pairs}


def _universal(tag: str, to_universal: dict[str, str]) -> str:
    if tag.startswith("^"):
        tag = tag[1:].split("^")[0]
    return to_universal.get(tag, "X")


def _sentences(
    name: str, reader: Any, *, genres: Sequence[str], split: str | None, chunks: bool
) -> Iterator[tuple[list[tuple[str, str]], str]]:
    if name == "nps_chat":
        for post in reader.tagged_posts():
            yield post, ""
        return
    if chunks:
        for sentence in reader.iob_sents(None if split is None else f"{split}.txt"):
            yield [(word, chunk) for word, _, chunk in sentence], ""
        return
    if not _FORMATS[name].has_genres:
        for sentence in reader.tagged_sents(None if split is None else f"{split}.txt"):
            yield sentence, ""
        return
    known = reader.categories()
    for genre in genres:
        if genre not in known:
            close = difflib.get_close_matches(genre, known)
            raise InputError(
                f"there is no genre '{genre}'",
                where=f"nltk:{name}",
                expected=f"one of {', '.join(known)}",
                found=genre,
                remedy=f"Did you mean {' or '.join(close)}?" if close else "Join several by +, as in news+fiction.",
            )
    for file in reader.fileids():
        # Three files of masc_tagged are in no category; their folder says spoken or written.
        genre = next(iter(reader.categories(file)), file.split("/")[0])
        if not genres or genre in genres:
            for sentence in reader.tagged_sents(file):
                yield sentence, genre


def _open_reader(name: str, package: Path, layout: _Format) -> Any:
    from nltk.corpus import reader as readers
    from nltk.data import FileSystemPathPointer, ZipFilePathPointer

    root: Any
    if package.is_dir():
        root = FileSystemPathPointer(str(package.parent / layout.folder))
    else:
        root = ZipFilePathPointer(str(package), f"{layout.folder}/")
    make: dict[str, Callable[[], Any]] = {
        "treebank": lambda: readers.BracketParseCorpusReader(root, r"wsj_.*\.mrg", encoding="ascii"),
        "brown": lambda: readers.CategorizedTaggedCorpusReader(
            root, r"c[a-z]\d\d", cat_file="cats.txt", encoding="ascii"
        ),
        "conll2000": lambda: readers.ConllChunkCorpusReader(
            root, ["train.txt", "test.txt"], ("NP", "VP", "PP"), encoding="ascii"
        ),
        "nps_chat": lambda: readers.NPSChatCorpusReader(root, r"(?!README|\.).*\.xml"),
        "masc_tagged": lambda: readers.CategorizedTaggedCorpusReader(
            root, r"(spoken|written)/.*\.txt", cat_file="categories.txt", encoding="utf-8", sep="_"
        ),
    }
    return make[name]()


@contextmanager
def _data_path(folder: Path) -> Iterator[None]:
    """Let NLTK read below `folder` for a while: it refuses files outside its data path, whoever names them."""
    import nltk.data

    entry = os.fspath(folder.resolve())
    nltk.data.path.insert(0, entry)
    try:
        yield
    finally:
        nltk.data.path.remove(entry)
