"""Where corpora are looked for, and how they are fetched from their public source."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nlptransfer.errors import InputError
from nlptransfer.files import cache_folder, write_text, write_whole

if TYPE_CHECKING:
    from requests.exceptions import RequestException

UD_URL = "https://raw.githubusercontent.com/UniversalDependencies"
NLTK_URL = "https://raw.githubusercontent.com/nltk/nltk_data"

# A host may have eight addresses, and each is tried in turn: a short wait keeps an offline machine from hanging.
CONNECT_SECONDS = 3
READ_SECONDS = 30


@dataclass(frozen=True)
class Release:
    """One fixed state of a treebank's repository.

    Attributes:
        commit: the commit, or ``master``, the newest release.
        sha256: the checksum of each split that the treebank has; None where it is not known.
    """

    commit: str
    sha256: dict[str, str | None]


NEWEST = Release("master", {"train": None, "dev": None, "test": None})

TREEBANKS = {
    "UD_English-EWT": Release(
        "15d613d8447b3478787d4c278730a1e48a945efb",
        {
            "train": None,
            "dev": "531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6",
            "test": "e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd",
        },
    ),
    "UD_English-GUM": Release(
        "afb41ee9bca57991125814fa04d96a0e61470c8b",
        {
            "train": None,
            "dev": "581997015a2d878ad49619032d265a9753e1b6b03d75ca18b04a00bb9ee8991d",
            "test": "fe95c0e744f81cdf2a307ce522604ecc05cd359c7c6d1abaa3a46c85d024f34c",
        },
    ),
    "UD_Hindi-PUD": Release(
        "8bc630f73e0737ce5ed9eaa97abf11f172ecc9bd",
        {"test": "3562b7f49420912acad70a45a483f683dcb44624ea92f82e21b29f2ee41a9dff"},
    ),
    "UD_Urdu-UDTB": Release(
        "ed8da673c32352fb78036808349a9546e21fc78a",
        {
            "train": None,
            "dev": "0d8ac3c4f8838ea3fe05a6a3028ce4bcd187a505225a2fd2e6f43084bc2e86e1",
            "test": "b47c89659bfafd5219d859aa47f78e34877a0eb350a17ab9834a78b045f45f58",
        },
    ),
}
"""The treebanks whose files are fetched at a fixed commit. All others come from their newest release."""

NLTK_COMMIT = "5db857e6f7df11eabb5e5665836db9ec8df07e28"
NLTK_PACKAGES = {
    "corpora/brown": "9b275f9b3b95d7bd66ccfb7cd259f445a13bbe5d1f4107aba09fd3e8364bafa6",
    "corpora/conll2000": "01e65164f268366e7caa0db92332a1955d081908c87016e2c7640c3c5279b7cd",
    "corpora/masc_tagged": "678a5141cf3381bedb1839c58a330507337be07c7c71603279c0ef5337032304",
    "corpora/movie_reviews": "a41211ae685019137410268134db6a1a14428c89b671eb83056151a878539008",
    "corpora/nps_chat": "a4433d5da5e62fdbede49efa572a53a0139fff1014ffbe86cb263e17cbb4a837",
    "corpora/product_reviews_1": "627bfb0bb7c87586246d99b4402c3d7e4fb77ac14559d8695c283bd6850615ac",
    "corpora/product_reviews_2": "272b08fe130882e5867aa7ecc69a65616099183c4ccc10374a62c271801b0bc1",
    "corpora/pros_cons": "b5bca541ba5b2e614cde2213ddcca027416f6997067c90e45c173bf55c6fade8",
    "corpora/sentence_polarity": "6e1ed4405b65c7eabf1d199a7f7c437091ac21da0ea7467b410a74062574566b",
    "corpora/treebank": "9da92d76c3666cfb6cddeaed0f7e86b344cce0f0928a286d439e555f19c37399",
    "taggers/universal_tagset": "d490e1ae8f5625dcdfdda04be15c22a2aade8c2561a36a61edcdf0c7d6aa8352",
}
"""The sha256 of the zip of each package at `NLTK_COMMIT`."""

# Treebank files start with the code of the language, which the treebank's name does not tell.
# fmt: off
_LANGUAGE_CODES = {
    "Afrikaans": "af", "Ancient_Greek": "grc", "Arabic": "ar", "Armenian": "hy", "Basque": "eu", "Belarusian": "be",
    "Bengali": "bn", "Breton": "br", "Bulgarian": "bg", "Catalan": "ca", "Chinese": "zh", "Classical_Chinese": "lzh",
    "Coptic": "cop", "Croatian": "hr", "Czech": "cs", "Danish": "da", "Dutch": "nl", "English": "en", "Erzya": "myv",
    "Estonian": "et", "Faroese": "fo", "Finnish": "fi", "French": "fr", "Galician": "gl", "German": "de",
    "Gothic": "got", "Greek": "el", "Hebrew": "he", "Hindi": "hi", "Hungarian": "hu", "Icelandic": "is",
    "Indonesian": "id", "Irish": "ga", "Italian": "it", "Japanese": "ja", "Kazakh": "kk", "Korean": "ko", "Latin": "la",
    "Latvian": "lv", "Lithuanian": "lt", "Maltese": "mt", "Marathi": "mr", "Naija": "pcm", "North_Sami": "sme",
    "Norwegian": "no", "Old_Church_Slavonic": "cu", "Old_French": "fro", "Persian": "fa", "Polish": "pl",
    "Portuguese": "pt", "Romanian": "ro", "Russian": "ru", "Sanskrit": "sa", "Scottish_Gaelic": "gd", "Serbian": "sr",
    "Slovak": "sk", "Slovenian": "sl", "Spanish": "es", "Swedish": "sv", "Tagalog": "tl", "Tamil": "ta", "Telugu": "te",
    "Thai": "th", "Turkish": "tr", "Ukrainian": "uk", "Urdu": "ur", "Uyghur": "ug", "Vietnamese": "vi", "Welsh": "cy",
    "Wolof": "wo", "Yoruba": "yo",
}
# fmt: on


class NotToBeHad(InputError):
    """A corpus that is neither at hand nor to be fetched, though nothing is wrong with its name."""


def not_to_be_had(name: str, tried: Sequence[object], *, remedy: str) -> NotToBeHad:
    """The error that names each place where a corpus was looked for.

    Args:
        name: the corpus.
        tried: the files and addresses, or the errors that came from them.
        remedy: what to do, as a full sentence.
    """
    places = "".join(f"\n  - {place}" for place in tried)
    return NotToBeHad(
        "this is neither at hand nor could it be fetched", where=name, found=f"nothing at{places}", remedy=remedy
    )


def data_folders(data_dir: str | Path | None = None) -> list[Path]:
    """The folders that hold corpora, in the order in which they are searched.

    `data_dir`, then each folder of ``NLPTRANSFER_DATA`` (separated as in ``PATH``), then the user's cache.

    Raises:
        InputError: `data_dir` is named but is no folder.
    """
    folders = []
    if data_dir is not None:
        if not Path(data_dir).is_dir():
            raise InputError(
                "the data folder does not exist", where=data_dir, remedy="Name an existing folder as data_dir."
            )
        folders.append(Path(data_dir))
    folders += [Path(name) for name in os.environ.get("NLPTRANSFER_DATA", "").split(os.pathsep) if name]
    return [*folders, cache_folder()]


def find_path(name: str | Path, data_dir: str | Path | None = None) -> Path:
    """The path as it is, or below the first data folder that has it; as it is where none has.

    Args:
        name: a path, such as ``sib200/hin_Deva``.
        data_dir: see `data_folders`.
    """
    path = Path(name).expanduser()
    if path.is_absolute() or path.exists():
        return path
    places = (base / path for base in data_folders(data_dir))
    return next((place for place in places if place.exists()), path)


def fetch_file(url: str, path: Path, *, sha256: str | None = None) -> Path:
    """Download `url` to `path` with a progress bar: whole, checked, or not at all.

    The file's sha256 is written beside it (``<name>.sha256``), so that `check_file` finds later damage, also where
    the source publishes no checksum.

    Args:
        url: the address.
        path: the file to write; its folder is created.
        sha256: the expected checksum, or None where none is known.

    Returns:
        `path`.

    Raises:
        FileNotFoundError: the server has no such file.
        ConnectionError: the server can't be reached, or broke off.
        InputError: the file that came has another checksum.
    """
    import pooch
    from requests.exceptions import RequestException

    download = pooch.HTTPDownloader(progressbar=True, chunk_size=1 << 16, timeout=(CONNECT_SECONDS, READ_SECONDS))
    with write_whole(path) as temporary:
        try:
            download(url, str(temporary), None)
        except RequestException as error:
            if _reason(error) == "status 404":
                raise FileNotFoundError(f"{url} (no such file there)") from error
            raise ConnectionError(f"{url} ({_reason(error)})") from error
        found = pooch.file_hash(str(temporary))
        if sha256 is not None and found != sha256:
            raise InputError(
                "the downloaded file is not the one expected, and was not kept",
                where=url,
                expected=f"sha256 {sha256}",
                found=found,
                remedy=f"Try again; if it stays so, get the file yourself and put it at {path}.",
            )
    write_text(_checksum_file(path), found + "\n")
    return path


def check_file(path: Path) -> Path:
    """`path`, after a comparison with the sha256 recorded beside it, where one is.

    Raises:
        InputError: the file has changed since it was downloaded.
    """
    recorded = _checksum_file(path)
    if recorded.is_file():
        import pooch

        expected, found = recorded.read_text(encoding="utf-8").strip(), pooch.file_hash(str(path))
        if found != expected:
            raise InputError(
                "the file has changed since it was downloaded",
                where=path,
                expected=f"sha256 {expected}",
                found=found,
                remedy="Delete it, and it is fetched again.",
            )
    return path


def treebank_release(name: str) -> Release:
    """The state in which a treebank is fetched: a fixed commit for those in `TREEBANKS`, else the newest release."""
    return TREEBANKS.get(name, NEWEST)


def fetch_treebank_file(name: str, split: str, folder: Path, *, base_url: str = UD_URL) -> Path:
    """Fetch one split of a Universal Dependencies treebank into `folder`.

    Files of the treebanks in `TREEBANKS` come from a fixed commit and are compared with their sha256 where it is
    known. Files of other treebanks come from the newest release, which has no published checksum: they are trusted on
    first use, and their sha256 is recorded beside them.

    Args:
        name: the treebank, such as ``UD_English-EWT``.
        split: ``train``, ``dev`` or ``test``.
        folder: where the file goes.
        base_url: the address under which the treebanks' repositories lie.

    Returns:
        The file.

    Raises:
        FileNotFoundError: the treebank does not exist, or has no such split, or its language code is not known here.
        ConnectionError: the server can't be reached.
        InputError: the checksum differs.
    """
    language, _, treebank = name.removeprefix("UD_").partition("-")
    if language not in _LANGUAGE_CODES or not treebank:
        raise FileNotFoundError(f"{base_url}/{name} (the file names of this treebank are not known here)")
    release = treebank_release(name)
    if split not in release.sha256:
        raise FileNotFoundError(f"{base_url}/{name} (it has no {split} split)")
    file_name = f"{_LANGUAGE_CODES[language]}_{treebank.lower()}-ud-{split}.conllu"
    url = f"{base_url}/{name}/{release.commit}/{file_name}"
    return fetch_file(url, folder / file_name, sha256=release.sha256[split])


def fetch_nltk_package(package: str, folder: Path, *, base_url: str = NLTK_URL) -> Path:
    """Fetch one of `NLTK_PACKAGES` at a fixed commit into an NLTK data folder, and compare it with its sha256.

    NLTK's own downloader is not used: its checksums come from the server together with the files, it waits two
    minutes for a server that does not answer, and it refuses proxies.

    Args:
        package: such as ``corpora/treebank``.
        folder: the NLTK data folder; the package becomes ``<folder>/corpora/treebank.zip``.
        base_url: the address of the repository with NLTK's data.

    Returns:
        The zip.

    Raises:
        FileNotFoundError: the server does not have it.
        ConnectionError: the server can't be reached.
        InputError: the checksum differs.
    """
    url = f"{base_url}/{NLTK_COMMIT}/packages/{package}.zip"
    path = fetch_file(url, folder / f"{package}.zip", sha256=NLTK_PACKAGES[package])
    # NLTK refuses files that the group may change, which is what many systems' umask gives.
    path.chmod(path.stat().st_mode & ~0o022)
    return path


def unreachable(address: str) -> str | None:
    """Why the server of `address` does not answer, or None if it does, whatever its answer. Takes a few seconds."""
    import requests

    try:
        requests.head(address, timeout=(CONNECT_SECONDS, READ_SECONDS))
    except requests.exceptions.RequestException as error:
        return f"{address} ({_reason(error)})"
    return None


def _reason(error: RequestException) -> str:
    """A server's status, or what kept it from being reached, in a word or two."""
    from requests.exceptions import ChunkedEncodingError, ConnectionError, Timeout

    if error.response is not None:
        return f"status {error.response.status_code}"
    kinds = ((Timeout, "no answer in time"), (ChunkedEncodingError, "broken off"), (ConnectionError, "no connection"))
    return next((reason for kind, reason in kinds if isinstance(error, kind)), type(error).__name__)


def _checksum_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
