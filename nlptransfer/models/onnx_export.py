"""A fine-tuned transformer as one ONNX file, checked against the model that it was made from."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nlptransfer.embeddings.encoder_settings import longest_input, padding_id
from nlptransfer.errors import InputError
from nlptransfer.files import write_whole
from nlptransfer.models.saving import load

_BATCHES = (1, 5)
_LENGTHS = (7, 33)
_INPUTS = ["input_ids", "attention_mask"]
_LARGEST = 2**31 - 2**20
"""Bytes that fit into one file of protobuf, and so of ONNX, less a little for the graph beside the weights."""


@dataclass(frozen=True)
class OnnxReport:
    """A written ONNX file and how well it agrees.

    Attributes:
        path: the file.
        num_bytes: its size.
        largest_difference: between a logit of the file and the model's, over all shapes.
        shapes: (batch, time) of the inputs that were compared.
    """

    path: Path
    num_bytes: int
    largest_difference: float
    shapes: tuple[tuple[int, int], ...]


def export_onnx(model: nn.Module | str | Path, path: str | Path, *, tolerance: float = 1e-4) -> OnnxReport:
    """Write a transformer with a head to one ONNX file, and check that ONNX Runtime computes the same with it.

    The file takes ``input_ids`` and ``attention_mask``, (batch, time) int64 each, 1 in the mask on real tokens, and
    gives ``logits``, (batch, C) of a classifier or (batch, time, C) of a tagger, one row per subword. Both axes may be
    of any size up to what the encoder reads. Texts are turned into ids by the tokenizer in the model's folder, and
    logits into labels by the list there. Weights are written as float32.

    Compared are batches of 1 and 5 texts of 7 and 33 tokens, those of a batch of different lengths and padded on the
    right, on a CPU; what is computed for padding is not.

    Args:
        model: a model folder of a transformer, or a network: one with a method ``logits(input_ids, attention_mask)``,
            or a model of `transformers` whose output has ``logits``. It is left as it is.
        path: the file to write, usually ``model.onnx``; written whole or not at all.
        tolerance: the largest difference to accept between two logits.

    Returns:
        What was written, and the largest difference found.

    Raises:
        InputError: packages are missing, the folder holds no transformer, the model is too large for one file or
            can't be exported, or its outputs differ by more than `tolerance`. Nothing is written then.

    Example:
        >>> export_onnx("runs/transformer_finetuning/model", "model.onnx").largest_difference < 1e-4
        True
    """
    _check_packages()
    network = copy.deepcopy(_network(model)).cpu().float().eval().requires_grad_(False)
    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in (*network.parameters(), *network.buffers()))
    if num_bytes > _LARGEST:
        raise InputError(
            "the model is too large for one ONNX file",
            expected=f"at most {_LARGEST / 1e9:.1f} GB of weights",
            found=f"{num_bytes / 1e9:.1f} GB",
            remedy="Choose a smaller encoder.",
        )
    logits = _Logits(network)
    path = Path(path)
    with write_whole(path) as temporary, torch.inference_mode():
        _export(logits, temporary)
        largest, shapes = _compare(logits, temporary, tolerance)
    return OnnxReport(path, path.stat().st_size, largest, shapes)


class _Logits(nn.Module):
    """A network as a function of ids and mask alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        network: Any = self.network
        if callable(getattr(network, "logits", None)):
            found: torch.Tensor = network.logits(input_ids, attention_mask)
        else:
            found = network(input_ids=input_ids, attention_mask=attention_mask).logits
        return found


def _check_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # type: ignore[import-untyped]  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"writing ONNX needs a package that is not installed ({error})",
            remedy='Install it with: pip install "nlptransfer[onnx]".',
        ) from error


def _network(model: nn.Module | str | Path) -> nn.Module:
    if isinstance(model, nn.Module):
        network: Any = model
        where = None
    else:
        loaded = load(model)
        network, where = getattr(loaded, "network", loaded), model
    has_logits = callable(getattr(network, "logits", None)) or hasattr(network, "base_model")
    if not isinstance(network, nn.Module) or not has_logits:
        raise InputError(
            "only transformers are written as ONNX",
            where=where,
            expected="a fine-tuned classifier or tagger",
            found=type(network).__name__,
        )
    return network


def _encoder_config(network: nn.Module) -> Any:
    """The settings of the encoder inside: the first module that carries any."""
    return next((module.config for module in network.modules() if hasattr(module, "config")), None)


def _inputs(network: nn.Module, batch: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids of every part of the vocabulary, rows shorter and shorter, padding on the right: (batch, length) each."""
    config = _encoder_config(network)
    pad = padding_id(config)
    ids = torch.arange(batch * length).view(batch, length) * 7919 % int(getattr(config, "vocab_size", 2))
    ids = ids.where(ids != pad, (pad + 1) % int(getattr(config, "vocab_size", 2)))
    lengths = length - torch.arange(batch) * (length - 1) // batch
    mask = (torch.arange(length) < lengths[:, None]).long()
    return ids.where(mask.bool(), pad), mask


def _longest(network: nn.Module) -> int:
    """The most tokens that the encoder reads, or that are compared."""
    return longest_input(_encoder_config(network)) or max(_LENGTHS)


def _export(logits: _Logits, path: Path) -> None:
    # An axis of one entry would be taken for one that is always so.
    example = _inputs(logits.network, 2, min(11, _longest(logits.network)))
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")}
    try:
        with _quiet():
            torch.onnx.export(
                logits,
                example,
                path,
                input_names=_INPUTS,
                output_names=["logits"],
                dynamic_shapes=(axes, axes),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise InputError(
            f"the model can't be exported ({str(error).strip().splitlines()[0]})", where=type(logits.network).__name__
        ) from error


def _compare(logits: _Logits, path: Path, tolerance: float) -> tuple[float, tuple[tuple[int, int], ...]]:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as states  # type: ignore[import-untyped]

    largest, shapes = 0.0, []
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        for length in sorted({min(length, _longest(logits.network)) for length in _LENGTHS}):
            for batch in _BATCHES:
                ids, mask = _inputs(logits.network, batch, length)
                expected = logits(ids, mask)
                feed = dict(zip(_INPUTS, (ids.numpy(), mask.numpy()), strict=True))
                found = torch.from_numpy(session.run(None, feed)[0])
                if found.shape != expected.shape:
                    raise _disagreement(
                        (batch, length), f"logits of shape {tuple(expected.shape)}", f"{tuple(found.shape)}"
                    )
                difference = (found - expected).abs()
                if difference.dim() == 3:
                    difference = difference[mask.bool()]
                worst = float(difference.max())
                if not worst <= tolerance:  # NaN is no agreement
                    raise _disagreement((batch, length), f"a difference of at most {tolerance}", f"{worst:.3g}")
                largest = max(largest, worst)
                shapes.append((batch, length))
    except (states.Fail, states.InvalidArgument, states.InvalidGraph, states.RuntimeException) as error:
        raise InputError(f"ONNX Runtime can't run the exported model ({str(error).splitlines()[0]})") from error
    return largest, tuple(shapes)


def _disagreement(shape: tuple[int, int], expected: str, found: str) -> InputError:
    return InputError(
        f"the exported model disagrees with the one it was made from, on {shape[0]} texts of {shape[1]} tokens",
        expected=expected,
        found=found,
        remedy="Nothing was written. The model does something that depends on more than ids and mask.",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes on packages that it does not need and on its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
