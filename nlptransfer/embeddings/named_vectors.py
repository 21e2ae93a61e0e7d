"""Word vectors by name, fetched by gensim's downloader where they are not at hand."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nlptransfer.errors import InputError

GENSIM = "gensim:"
"""What a name from gensim's downloader begins with."""


def load_named_vectors(name: str) -> Path:
    """The file of a set of gensim's downloader, fetched if need be.

    Args:
        name: as gensim calls it, ``glove-wiki-gigaword-100``.

    Returns:
        Its file, in gensim's own data folder (``GENSIM_DATA_DIR``).

    Raises:
        InputError: there is no such set, or it is not at hand and can't be fetched.
    """
    from gensim import downloader

    folder = Path(downloader.BASE_DIR) / name
    file = folder / f"{name}.gz"
    if file.is_file():
        return file
    try:
        with _quiet():
            known = list(downloader.info(name_only=True)["models"])
            if name not in known:
                close = difflib.get_close_matches(name, known, n=3)
                raise InputError(
                    "gensim's downloader has no vectors of that name",
                    where=GENSIM + name,
                    expected=f"one of {', '.join(sorted(known))}",
                    remedy=f"Did you mean {' or '.join(close)}?" if close else None,
                )
            return Path(downloader.load(name, return_path=True))
    except InputError:
        raise
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            "the vectors are not at hand and can't be fetched",
            where=GENSIM + name,
            expected=f"{file}, or an internet connection",
            found=str(error).rstrip("."),
            remedy=f"Connect and run `python -m gensim.downloader --download {name}`, or name a file instead.",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """gensim logs a traceback when it is offline; our message says the same in one line."""
    logger = logging.getLogger("gensim.downloader")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
