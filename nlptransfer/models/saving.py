"""Model folders: safetensors and JSON only, checked against their own digests when they are read."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

import nlptransfer
from nlptransfer.embeddings.extractors import Extractor, restore_extractor
from nlptransfer.errors import InputError
from nlptransfer.files import write_folder_whole, write_json, write_text

CONFIG = "config.json"
OWN_CONFIG = "nlptransfer.json"
"""Ours, in a folder whose config.json is of `transformers`, which loads the folder too."""
CARD = "README.md"
MODEL_TYPES = {
    "bag_of_words_network": ("nlptransfer.models.network_text_classifier", "NetworkTextClassifier"),
    "bridged_tagger": ("nlptransfer.crosslingual.bridged_model", "BridgedTagger"),
    "bridged_text_classifier": ("nlptransfer.crosslingual.bridged_model", "BridgedTextClassifier"),
    "dense_outputs_at_depths": ("nlptransfer.multitask.dense_outputs", "DenseOutputsAtDepths"),
    "encoder_with_decoders": ("nlptransfer.multitask.two_decoders", "EncoderWithDecoders"),
    "linear_text_classifier": ("nlptransfer.models.linear", "LinearTextClassifier"),
    "multitask_model": ("nlptransfer.multitask.saved", "MultitaskModel"),
    "recurrent_classifier": ("nlptransfer.models.network_text_classifier", "NetworkTextClassifier"),
    "recurrent_tagger": ("nlptransfer.models.tagger", "RecurrentTagger"),
    "tagger_ensemble": ("nlptransfer.models.model_ensemble", "TaggerEnsemble"),
    "text_classifier_ensemble": ("nlptransfer.models.model_ensemble", "TextClassifierEnsemble"),
    "transformer_multitask_model": (
        "nlptransfer.multitask.transformer_model",
        "TransformerMultitaskModel",
    ),
    "transformer_classifier": ("nlptransfer.models.transformer_text_classifier", "TransformerTextClassifier"),
    "transformer_tagger": ("nlptransfer.models.transformer_word_tagger", "TransformerWordTagger"),
    "tree_text_classifier": ("nlptransfer.models.tree_ensemble", "TreeTextClassifier"),
}
"""What `load` can load: the model type in our configuration -> module and class, which has `from_pretrained`."""


def load(folder: str | Path) -> Any:
    """Load a saved model, whatever its kind, ready to predict.

    Args:
        folder: a model folder, or a run folder with one named ``model`` in it.

    Returns:
        The model on the CPU, in evaluation mode.

    Raises:
        InputError: the folder is no model folder, or one of its files is missing or was altered.

    Example:
        >>> nlptransfer.load("runs/pos_tagging/model").predict([["The", "bank", "raised", "rates"]])
    """
    folder = Path(folder)
    if not _config_file(folder).exists() and _config_file(folder / "model").exists():
        folder = folder / "model"
    config = read_config(folder)
    module, name = MODEL_TYPES.get(config["model_type"], (None, None))
    if module is None or name is None:
        raise InputError(
            "this model type is not known to this version",
            where=_config_file(folder),
            expected=" or ".join(MODEL_TYPES),
            found=repr(config["model_type"]),
            remedy=f"Load it with the nlptransfer that wrote it: {config.get('version', 'version not stated')}.",
        )
    return getattr(import_module(module), name).from_pretrained(folder)


def write_model_folder(
    folder: str | Path,
    *,
    model_type: str,
    config: dict[str, Any],
    tensors: dict[str, dict[str, torch.Tensor]],
    documents: dict[str, Any],
    card: str,
    write_others: Callable[[Path], object] | None = None,
) -> None:
    """Write a model folder, whole or not at all.

    Args:
        folder: where; an older model there is replaced.
        model_type: a key of `MODEL_TYPES`.
        config: what the model is built from.
        tensors: name of a safetensors file, without its ending -> its tensors.
        documents: name of a JSON file, without its ending -> its content.
        card: the text of the model card.
        write_others: called with the folder to write files of another library there, its own config.json among them.
    """
    with write_folder_whole(folder) as temporary:
        if write_others is not None:
            write_others(temporary)
        for name, named_tensors in tensors.items():
            write_tensors(_safetensors(temporary, name), named_tensors)
        for name, content in documents.items():
            write_json(temporary / f"{name}.json", content)
        write_text(temporary / CARD, card)
        paths = sorted(path for path in temporary.rglob("*") if path.is_file() and path != temporary / CARD)
        digests = {path.relative_to(temporary).as_posix(): _digest(path) for path in paths}
        whole = {"model_type": model_type, "version": nlptransfer.__version__, **config, "files": digests}
        name = CONFIG if write_others is None else OWN_CONFIG
        write_json(temporary / name, {**whole, "digest": _config_digest(whole)})


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read a model folder's configuration, and check that each file it names is there, unaltered.

    Raises:
        InputError: a file is missing, altered or unreadable; it says which.
    """
    folder = Path(folder)
    remedy = "Copy the model folder again from where it was written, or train the model again."
    if not folder.is_dir():
        raise InputError("there is no such model folder", where=folder, remedy="Check the path given to --model.")
    file = _config_file(folder)
    if not file.exists():
        raise InputError(
            f"the folder has no {CONFIG}, so it is not a model folder",
            where=folder,
            expected=f"{CONFIG}, *.safetensors and *.json as written by save_pretrained",
            found=", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing",
            remedy=remedy,
        )
    try:
        config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        files = dict(config["files"])
        stated, own = config["digest"], _config_digest(config)
        _ = config["model_type"]
    except json.JSONDecodeError as error:
        raise InputError(f"this is not JSON ({error.msg})", where=file, line=error.lineno, remedy=remedy) from error
    except (UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            "this is not the configuration of a model",
            where=file,
            expected='the keys "model_type", "files" and "digest"',
            found=f"{type(error).__name__}: {error}",
            remedy=remedy,
        ) from error
    if own != stated:
        raise InputError(
            "the file was altered after it was written",
            where=file,
            expected=f"content with digest {stated}",
            found=f"digest {own}",
            remedy=remedy,
        )
    for name, digest in files.items():
        if not (folder / name).exists():
            raise InputError(f"the model folder lacks the file {name}", where=folder, remedy=remedy)
        found = _digest(folder / name)
        if found != digest:
            raise InputError(
                "the file was altered or cut short after it was written",
                where=folder / name,
                expected=f"content with digest {digest}",
                found=f"{(folder / name).stat().st_size:,} bytes with digest {found}",
                remedy=remedy,
            )
    return config


def write_tensors(path: str | Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write a safetensors file.

    Raises:
        OSError: it can't be written, or the disk is full.
    """
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        # What the system said is only in the text.
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def read_tensors(folder: str | Path, name: str) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file of a model folder, by name."""
    try:
        tensors: dict[str, torch.Tensor] = load_file(_safetensors(Path(folder), name))
    except SafetensorError as error:
        raise InputError(f"this is not a safetensors file ({error})", where=_safetensors(Path(folder), name)) from error
    return tensors


def read_document(folder: str | Path, name: str) -> Any:
    """The content of a JSON file of a model folder."""
    return json.loads((Path(folder) / f"{name}.json").read_text(encoding="utf-8"))


def read_extractor(folder: str | Path, config: Mapping[str, Any]) -> Extractor:
    """The feature extractor of a model folder that was saved with one.

    Args:
        folder: the model folder.
        config: its configuration, as `read_config` gives it.

    Raises:
        InputError: the encoder that makes the features is no longer there.
    """
    tensors = read_tensors(folder, "extractor") if "extractor.safetensors" in config["files"] else {}
    return restore_extractor(config["extractor"], tensors, read_document(folder, "extractor"))


def _config_file(folder: Path) -> Path:
    """Where our configuration of a model is, or would be."""
    return folder / (OWN_CONFIG if (folder / OWN_CONFIG).exists() else CONFIG)


def _safetensors(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"


def _config_digest(config: dict[str, Any]) -> str:
    """Of everything in a configuration but the digest itself, however it is laid out."""
    rest = {name: value for name, value in config.items() if name != "digest"}
    return xxhash.xxh3_128_hexdigest(json.dumps(rest, sort_keys=True).encode())


def _digest(path: Path) -> str:
    hasher = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            hasher.update(block)
    return hasher.hexdigest()


Items = Sequence[Sequence[str] | Mapping[str, float]]
Predicted = Sequence[str | float | Sequence[str]]


def check_reload(
    folder: str | Path, items: Items | Mapping[str, Items], expected: Predicted | Mapping[str, Predicted]
) -> None:
    """Load a model folder in a fresh process and check that it predicts what the model in memory predicted.

    A folder that fails the check is removed: nobody should come upon it and trust it.

    Args:
        folder: the model folder.
        items: what the model reads: lists of words for a tagger, texts or bags of counted terms for a classifier; of a
            model of several tasks by task.
        expected: what the model predicted for them before it was saved; by task likewise.

    Raises:
        RuntimeError: the fresh process failed, or predicts otherwise; of numbers, by more than a ten-thousandth.
    """
    program = (
        "import json, sys, nlptransfer\n"
        "model, items = nlptransfer.load(sys.argv[1]), json.load(sys.stdin)\n"
        "by_task = isinstance(items, dict)\n"
        "found = {task: model.predict(own, task) for task, own in items.items()} if by_task else model.predict(items)\n"
        "print(json.dumps(found))"
    )
    given = {task: [_as_json(item) for item in own] for task, own in _by_task(items).items()}
    process = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        input=json.dumps(given if isinstance(items, Mapping) else given[None]),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode != 0:
        shutil.rmtree(folder)
        raise RuntimeError(f"{folder}: the saved model does not load in a fresh process:\n{process.stderr}")
    predicted = _by_task(json.loads(process.stdout))
    for task, own in _by_task(expected).items():
        for number, (found, wanted) in enumerate(zip(predicted[task], own, strict=True)):
            if not _same(found, _as_json(wanted)):
                shutil.rmtree(folder)
                raise RuntimeError(
                    f"{folder}: loaded in a fresh process the model predicts {found} for item {number}"
                    f"{'' if task is None else f' of {task}'}; before it was saved it said {_as_json(wanted)}"
                )


def _same(found: Any, wanted: Any) -> bool:
    """Equal; of numbers, up to the order in which another process adds."""
    if isinstance(found, float) and isinstance(wanted, int | float):
        return math.isclose(found, wanted, rel_tol=1e-4, abs_tol=1e-5)
    return bool(found == wanted)


def _by_task(values: Any) -> dict[str | None, Any]:
    """Items or predictions by task; those of a model of one task under None."""
    return dict(values) if isinstance(values, Mapping) else {None: values}


def _as_json(item: Sequence[str] | Mapping[str, float] | float) -> Any:
    """A text, a list of words, a bag of counted terms or a number, of types that JSON has."""
    if isinstance(item, int | float):
        return item
    if isinstance(item, Mapping):
        return {term: float(count) for term, count in item.items()}
    return str(item) if isinstance(item, str) else list(item)
