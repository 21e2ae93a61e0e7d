"""Counts are those of the parameters, times are scaled up right, and nothing is changed by looking."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from nlptransfer.training import forecast
from nlptransfer.training.forecast import ParameterGroup, forecast_bytes, forecast_seconds_per_epoch, parameter_groups
from nlptransfer.types import Batch


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.embedding.weight.requires_grad_(False)
        self.dropout = nn.Dropout(0.5)
        self.parts = nn.ModuleDict({"a": nn.Linear(4, 3), "b": nn.Linear(3, 2, bias=False)})
        self.parts["b"].weight.requires_grad_(False)

    def forward(self, batch: Batch) -> torch.Tensor:
        words: torch.Tensor = self.dropout(self.embedding(batch.input_ids))
        hidden: torch.Tensor = self.parts["b"](self.parts["a"](words))
        return hidden


class Epoch:
    """`count` batches, of which no more than are needed are made."""

    def __init__(self, count: int) -> None:
        self.count, self.made = count, 0

    def set_epoch(self, epoch: int) -> None:
        raise AssertionError("a forecast orders nothing anew")

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(self.count):
            self.made += 1
            yield Batch(torch.ones(2, 5, dtype=torch.long), torch.ones(2, 5, dtype=torch.bool))


def step(model: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
    return {"loss": model(batch).square().mean()}


def test_groups_count_every_parameter_and_which_are_trained() -> None:
    model = Model()
    groups = parameter_groups(model)
    assert groups == [ParameterGroup("embedding", 40, 0), ParameterGroup("parts", 4 * 3 + 3 + 3 * 2, 4 * 3 + 3)]
    assert sum(group.parameters for group in groups) == sum(parameter.numel() for parameter in model.parameters())


def test_memory_is_weights_twice_and_gradients_and_two_averages_of_what_is_trained() -> None:
    # 100 numbers, kept now and as the best epoch's; of 30 of them the gradient and Adam's averages; 4 bytes each.
    assert forecast_bytes([ParameterGroup("a", 70, 0), ParameterGroup("b", 30, 30)]) == 4 * (100 + 100 + 30 + 30 + 30)
    assert forecast_bytes([]) == 0


@pytest.mark.parametrize(
    ("num_batches", "made", "per_batch"),
    # The clock gives 9 s to the first batch and then 1, 2, 3, ... s.
    [(50, 5, (1 + 2 + 3 + 4) / 4), (3, 3, (1 + 2) / 2), (1, 1, 9)],
)
def test_the_first_batch_warms_up_and_the_next_are_scaled_to_an_epoch(
    monkeypatch: pytest.MonkeyPatch, num_batches: int, made: int, per_batch: float
) -> None:
    ticks = iter([0, 9, 9, 10, 10, 12, 12, 15, 15, 19, 19, 24])
    monkeypatch.setattr(forecast.time, "perf_counter", lambda: float(next(ticks)))
    batches = Epoch(num_batches)
    seconds = forecast_seconds_per_epoch(Model(), step, batches, accelerator=Accelerator(cpu=True), num_batches=4)
    assert seconds == per_batch * num_batches
    assert batches.made == made


def test_a_forecast_changes_nothing() -> None:
    model = Model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    assert forecast_seconds_per_epoch(model, step, Epoch(3), accelerator=Accelerator(cpu=True)) > 0
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training
