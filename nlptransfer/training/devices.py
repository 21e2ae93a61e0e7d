"""The device and number format of a run, through accelerate."""

from __future__ import annotations

from typing import Literal

import torch
from accelerate import Accelerator

from nlptransfer.errors import InputError

Precision = Literal["fp32", "bf16", "fp16"]


def make_accelerator(device: str = "auto", precision: Precision = "fp32") -> Accelerator:
    """What `train` runs on.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the best at hand. Under ``accelerate launch`` "auto"
            follows the launcher.
        precision: "fp32"; or "bf16" or "fp16", mixed with fp32 weights.

    Returns:
        The accelerator.

    Raises:
        InputError: the device is not there, or can't compute in that precision.
    """
    kind = device.partition(":")[0]
    if kind not in ("auto", "cpu", "cuda", "mps"):
        raise InputError("unknown --device", expected="auto, cpu, cuda, cuda:1 or mps", found=device)
    present = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present[kind]:
        raise InputError(
            f"--device {device} is not at hand on this machine",
            found=", ".join(name for name, there in present.items() if there),
            remedy="Choose one of these; for cuda, install the torch build that fits your driver.",
        )
    if kind == "cuda" and ":" in device:
        torch.cuda.set_device(device)
    try:
        accelerator = Accelerator(cpu=kind == "cpu", mixed_precision="no" if precision == "fp32" else precision)
    except ValueError as error:
        raise InputError(
            f"--precision {precision} can't be used here ({error})".splitlines()[0], remedy="Use --precision fp32."
        ) from error
    if precision != "fp32" and not accelerator.native_amp:
        # accelerate would train in fp32 without a word.
        raise InputError(
            f"--precision {precision} can't be used on {accelerator.device.type}", remedy="Use --precision fp32."
        )
    return accelerator
