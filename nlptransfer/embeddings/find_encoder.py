"""Pretrained encoders by whatever name the user gave: a folder, or a name on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xxhash

from nlptransfer.embeddings.vector_cache import content_digest
from nlptransfer.errors import InputError
from nlptransfer.files import missing_file

_WEIGHTS = "*.safetensors"
# What decides an encoder's features beside the weights: the architecture, and the files of every kind of tokenizer.
_SETTINGS = (
    "config.json", "*.safetensors.index.json", "tokenizer*", "vocab.*", "merges.txt", "spiece.model", "sentencepiece*",
    "special_tokens_map.json",
)  # fmt: skip


def find_encoder(name: str) -> Path:
    """The folder of an encoder: itself, or in the hub's local cache, or fetched from the hub.

    Args:
        name: a model folder as `transformers` writes it, or a name on the hub.

    Returns:
        A folder with ``config.json`` and safetensors.

    Raises:
        InputError: there is no such folder or name, it can't be fetched, or it has no safetensors.

    Example:
        >>> find_encoder("sentence-transformers/all-MiniLM-L6-v2")
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not _is_encoder(folder):
            raise InputError(
                "the folder holds no encoder that can be read",
                where=folder,
                expected="config.json, *.safetensors and the tokenizer's files",
                found=", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing",
                remedy="Check the path. Weights of another kind, such as pytorch_model.bin, can be written anew as "
                "safetensors with transformers' save_pretrained.",
            )
        return folder
    if folder.is_absolute() or name.startswith((".", "~")):
        raise missing_file(folder, remedy="Name the folder of the encoder, or put it there.")
    return _hub_folder(name)


def encoder_digest(folder: Path, *, remember: bool = True) -> str:
    """Identifies the weights, the architecture and the tokenizer of an encoder's folder.

    Args:
        folder: as `find_encoder` gives it.
        remember: keep the digests of unchanged files in the cache, so that they are not read again.
    """
    files = {path for pattern in (_WEIGHTS, *_SETTINGS) for path in folder.glob(pattern) if path.is_file()}
    digests = [(path.name, content_digest(path, remember=remember)) for path in sorted(files)]
    return xxhash.xxh3_128_hexdigest(repr(digests).encode())


def _is_encoder(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob(_WEIGHTS))


def _hub_folder(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    patterns = [_WEIGHTS, *_SETTINGS]
    try:
        folder = Path(snapshot_download(name, allow_patterns=patterns, ignore_patterns="*/*", local_files_only=True))
        if _is_encoder(folder):
            return folder
    except (OSError, HFValidationError):
        pass  # Not at hand: fetched, if there is a network.
    try:
        folder = Path(snapshot_download(name, allow_patterns=patterns, ignore_patterns="*/*"))
    except (OSError, HFValidationError) as error:
        raise InputError(
            "there is no such encoder",
            where=name,
            expected="a folder, or a name on the Hugging Face hub such as sentence-transformers/all-MiniLM-L6-v2",
            found=f"no folder, nothing in the hub's local cache, and from the hub: {str(error).splitlines()[0]}",
            remedy=f"Give the path of a folder, or fetch it where there is a network: hf download {name}.",
        ) from error
    if not _is_encoder(folder):
        raise InputError(
            "the model on the hub has no config.json or no safetensors", where=name, remedy="Name another encoder."
        )
    return folder


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Within it transformers draws no bars and reports no weights that a checkpoint lacks; after it, all is as before.

    Its bars go into logs as well, and a head that is not in the checkpoint is as it must be.
    """
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
