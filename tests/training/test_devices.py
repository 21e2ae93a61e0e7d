"""The accelerator is the one asked for, and what is not at hand says what is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from accelerate.state import AcceleratorState

from nlptransfer.errors import InputError
from nlptransfer.training import devices
from nlptransfer.training.devices import make_accelerator


@pytest.fixture(autouse=True)
def new_process() -> Iterator[None]:
    """accelerate remembers the first choice of a process; each test is to make its own."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_cpu_is_the_cpu_in_single_precision() -> None:
    accelerator = make_accelerator("cpu")
    assert accelerator.device.type == "cpu"
    assert accelerator.mixed_precision == "no"


def test_auto_takes_the_best_at_hand() -> None:
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    assert make_accelerator().device.type == next(name for name, there in present.items() if there)


def test_bf16_is_mixed_with_single_precision_weights() -> None:
    accelerator = make_accelerator("cpu", "bf16")
    layer = torch.nn.Linear(3, 2)
    with accelerator.autocast():
        assert layer(torch.randn(1, 3)).dtype == torch.bfloat16
    assert layer.weight.dtype == torch.float32


def test_a_precision_that_the_device_lacks_is_an_error_and_not_fp32_in_disguise() -> None:
    with pytest.raises(InputError, match=r"^--precision fp16 can't be used on cpu\. Use --precision fp32\.$"):
        make_accelerator("cpu", "fp16")


def test_what_accelerate_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: object) -> None:
        raise ValueError("bf16 mixed precision requires a supported device.\nSecond line.")

    monkeypatch.setattr(devices, "Accelerator", refuse)
    with pytest.raises(InputError, match=r"--precision bf16 can't be used here \(bf16 mixed.*Use --pre") as caught:
        make_accelerator("cpu", "bf16")
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_at_hand_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "cuda:1", "mps"):
        with pytest.raises(InputError, match=f"--device {name} is not at hand on this machine. Found auto, cpu"):
            make_accelerator(name)


def test_an_unknown_device_is_an_error() -> None:
    with pytest.raises(InputError, match=r"unknown --device\. Expected auto, cpu, cuda, cuda:1 or mps; found tpu"):
        make_accelerator("tpu")
