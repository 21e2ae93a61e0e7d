"""Each step's exact rate and trainable set, for each schedule; and that what is frozen does not move by a bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nlptransfer.data.feature_batches import DocumentBatches
from nlptransfer.finetuning import plans
from nlptransfer.finetuning.freezing import freeze_below, gradual_unfreezing
from nlptransfer.finetuning.layer_groups import layer_groups
from nlptransfer.finetuning.learning_rates import discriminative_rates
from nlptransfer.finetuning.plans import TuningPlan, fine_tune, format_plan, make_plan
from nlptransfer.models.transformer import TransformerClassifier, load_encoder
from nlptransfer.training import schedules

EPOCHS = 4
RATE = 0.01


def make_network(tiny: Path) -> TransformerClassifier:
    torch.manual_seed(1)
    return TransformerClassifier(load_encoder(tiny), 2, dropout=0.0)


def make_batches() -> DocumentBatches:
    random = np.random.default_rng(0)
    documents = [np.array([2, *random.integers(5, 17, size=4), 3]) for _ in range(12)]
    return DocumentBatches(documents, random.integers(2, size=12), batch_size=4, max_length=8, seed=0)


def step(model: Any, batch: Any, progress: float) -> dict[str, torch.Tensor]:
    return {"loss": model.loss(model(batch), batch)}


class Recorder(torch.optim.AdamW):
    """AdamW that notes, at each step, each parameter's rate and whether it has a gradient."""

    notes: list[dict[int, tuple[float, bool]]]

    def step(self, closure: Any = None) -> Any:
        self.notes.append(
            {
                id(parameter): (group["lr"], parameter.grad is not None)
                for group in self.param_groups
                for parameter in group["params"]
            }
        )
        return super().step(closure)


def notes_of(network: TransformerClassifier, plan: TuningPlan, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    notes: list[Any] = []
    monkeypatch.setattr(plans.torch.optim, "AdamW", type("Noting", (Recorder,), {"notes": notes}))
    fine_tune(network, plan, step, make_batches(), seed=0)
    return notes


SCHEDULES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "constant": (schedules.constant, lambda p: 1.0),
    "linear": (lambda p: schedules.linear(p, warmup=0.25), lambda p: p / 0.25 if p < 0.25 else (1 - p) / 0.75),
    "cosine": (
        lambda p: schedules.cosine(p, warmup=0.25),
        lambda p: p / 0.25 if p < 0.25 else 0.5 * (1 + math.cos(math.pi * (p - 0.25) / 0.75)),
    ),
    "slanted_triangular": (
        schedules.slanted_triangular,
        # Equation 3 of the paper in its own terms: T steps, cut = T / 10.
        lambda p: (1 + (p / 0.1 if p < 0.1 else 1 - (p - 0.1) / (0.1 * (1 / 0.1 - 1))) * 31) / 32,
    ),
}


@pytest.mark.parametrize("shape", SCHEDULES)
@pytest.mark.parametrize("way", ["full", "freeze", "gradual", "discriminative", "ulmfit"])
def test_each_step_has_the_rates_and_the_trainable_set_of_its_definition(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, way: str, shape: str
) -> None:
    network = make_network(tiny)
    groups = layer_groups(network)
    schedule, defined = SCHEDULES[shape]
    trained = None
    if way in ("gradual", "ulmfit"):
        trained = gradual_unfreezing(len(groups), EPOCHS, groups_per_epoch=1)
    if way == "freeze":
        trained = freeze_below(len(groups), EPOCHS, num_frozen=2)
    slow = way in ("discriminative", "ulmfit")
    rates: Any = discriminative_rates(len(groups), RATE, factor=2.6) if slow else RATE
    plan = make_plan(groups, epochs=EPOCHS, learning_rate=rates, schedule=schedule, trained=trained)
    notes = notes_of(network, plan, monkeypatch)
    per_epoch = len(make_batches())
    assert len(notes) == EPOCHS * per_epoch
    for number, note in enumerate(notes):
        epoch, factor = number // per_epoch, defined(number / len(notes))
        for place, group in enumerate(groups):
            trains = {"full": True, "discriminative": True, "freeze": place >= 2}.get(way, place >= 4 - epoch)
            height = RATE / 2.6 ** (4 - place) if slow else RATE
            for parameter in group.parameters:
                rate, has_gradient = note[id(parameter)]
                assert rate == pytest.approx(height * factor, abs=1e-15)
                assert has_gradient == trains


def test_a_frozen_layers_weights_do_not_move_by_a_bit(tiny: Path) -> None:
    network = make_network(tiny)
    before = {name: own.detach().clone() for name, own in network.named_parameters()}
    groups = layer_groups(network)
    frozen = {id(own) for group in groups[:3] for own in group.parameters}
    trained = freeze_below(len(groups), 2, num_frozen=3)
    plan = make_plan(groups, epochs=2, learning_rate=0.1, schedule=schedules.constant, trained=trained)
    fine_tune(network, plan, step, make_batches(), seed=0, weight_decay=0.5)
    for name, own in network.named_parameters():
        assert torch.equal(own, before[name]) == (id(own) in frozen), name
    assert all(own.requires_grad for own in network.parameters())


def test_a_group_does_not_move_before_its_epoch_and_moves_from_it_on(tiny: Path) -> None:
    network = make_network(tiny)
    groups = layer_groups(network)
    plan = make_plan(
        groups,
        epochs=5,
        learning_rate=0.01,
        schedule=schedules.constant,
        trained=gradual_unfreezing(len(groups), 5, groups_per_epoch=1),
    )
    seen: list[list[torch.Tensor]] = []

    def look(row: dict[str, Any]) -> None:
        seen.append([torch.cat([own.detach().flatten() for own in group.parameters]) for group in groups])

    start = [torch.cat([own.detach().flatten() for own in group.parameters]) for group in groups]
    fine_tune(network, plan, step, make_batches(), seed=0, on_epoch=look)
    for epoch, (before, after) in enumerate(zip([start, *seen], seen, strict=False)):
        moved = [not torch.equal(first, second) for first, second in zip(before, after, strict=True)]
        assert moved == [place >= 4 - epoch for place in range(5)]


def test_what_was_frozen_before_stays_frozen(tiny: Path) -> None:
    network = make_network(tiny)
    network.encoder.embeddings.requires_grad_(False)
    before = network.encoder.embeddings.word_embeddings.weight.detach().clone()
    plan = make_plan(layer_groups(network), epochs=1, learning_rate=0.1, schedule=schedules.constant)
    fine_tune(network, plan, step, make_batches(), seed=0)
    assert torch.equal(network.encoder.embeddings.word_embeddings.weight, before)
    assert not network.encoder.embeddings.word_embeddings.weight.requires_grad


def test_biases_and_normalisations_have_no_weight_decay(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network(tiny)
    made: list[Any] = []
    real = torch.optim.AdamW

    class Kept(real):  # type: ignore[misc, valid-type]
        def __init__(self, groups: Any, **settings: Any) -> None:
            made.extend(groups)
            super().__init__(groups, **settings)

    monkeypatch.setattr(plans.torch.optim, "AdamW", Kept)
    plan = make_plan(layer_groups(network), epochs=1, learning_rate=0.1, schedule=schedules.constant)
    fine_tune(network, plan, step, make_batches(), seed=0, weight_decay=0.3)
    decays = {id(own): group["weight_decay"] for group in made for own in group["params"]}
    for name, own in network.named_parameters():
        assert decays[id(own)] == (0.0 if name.endswith("bias") or "LayerNorm" in name else 0.3), name


def test_the_best_epochs_weights_are_kept_and_patience_ends_the_training(tiny: Path) -> None:
    network = make_network(tiny)
    scores = iter([0.5, 0.7, 0.6, 0.6, 0.9])
    kept: list[torch.Tensor] = []

    def look(row: dict[str, Any]) -> None:
        kept.append(network.head.weight.detach().clone())

    plan = make_plan(layer_groups(network), epochs=5, learning_rate=0.01, schedule=schedules.constant)
    history = fine_tune(
        network, plan, step, make_batches(), seed=0, evaluate=lambda: next(scores), patience=2, on_epoch=look
    )
    assert [row["score"] for row in history] == [0.5, 0.7, 0.6, 0.6]
    assert torch.equal(network.head.weight, kept[1])


def test_a_killed_training_goes_on_as_if_nothing_had_happened(tiny: Path, tmp_path: Path) -> None:
    def tune(network: TransformerClassifier, stop_after: int | None, checkpoint: Path) -> list[dict[str, Any]]:
        groups = layer_groups(network)
        plan = make_plan(
            groups,
            epochs=4,
            learning_rate=0.01,
            schedule=schedules.linear,
            trained=gradual_unfreezing(len(groups), 4),
        )

        def look(row: dict[str, Any]) -> None:
            if row["epoch"] == stop_after:
                raise KeyboardInterrupt

        return fine_tune(network, plan, step, make_batches(), seed=0, checkpoint=checkpoint, on_epoch=look)

    whole, broken = make_network(tiny), make_network(tiny)
    expected = tune(whole, None, tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        tune(broken, 2, tmp_path / "broken.pt")
    resumed = make_network(tiny)
    found = tune(resumed, None, tmp_path / "broken.pt")
    assert [row["loss"] for row in found] == [row["loss"] for row in expected]
    for own, other in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(own, other)


def test_the_preview_shows_the_rate_of_each_group_in_each_epoch_the_head_first(tiny: Path) -> None:
    groups = layer_groups(make_network(tiny))
    plan = make_plan(
        groups,
        epochs=2,
        learning_rate=discriminative_rates(5, 0.01, factor=2.0),
        schedule=schedules.linear,
        trained=[[False] * 4 + [True], [True] * 5],
    )
    rows = plan.preview()
    assert [row["group"] for row in rows] == ["head", "layer 3", "layer 2", "layer 1", "embeddings"]
    assert rows[0]["epoch 1"] == pytest.approx(0.01 * 0.75) and rows[0]["epoch 2"] == pytest.approx(0.01 * 0.25)
    assert rows[2]["epoch 1"] == 0.0 and rows[2]["epoch 2"] == pytest.approx(0.01 / 4 * 0.25)
    assert rows[0]["parameters"] == 2 * 8 + 2
    assert plan.num_trained == sum(group.size for group in groups)
    assert len(format_plan(plan).splitlines()) == 6


def test_groups_that_train_alike_share_a_line_of_the_preview(tiny: Path) -> None:
    groups = layer_groups(make_network(tiny))
    trained = freeze_below(5, 3, num_frozen=4)
    plan = make_plan(groups, epochs=3, learning_rate=0.01, schedule=schedules.constant, trained=trained)
    lines = format_plan(plan).splitlines()
    assert len(lines) == 3
    assert lines[1].split() == ["head", "18", "1.0e-02", "1.0e-02", "1.0e-02"]
    assert lines[2].startswith("layer 3 to embeddings") and lines[2].split()[-3:] == ["-", "-", "-"]
    assert plan.num_trained == groups[-1].size


def test_a_plan_must_fit_the_network(tiny: Path) -> None:
    network = make_network(tiny)
    groups = layer_groups(network)
    with pytest.raises(ValueError, match="something must train"):
        make_plan(groups, epochs=1, learning_rate=0.1, schedule=schedules.constant, trained=[[False] * 5])
    with pytest.raises(ValueError, match="rows of"):
        make_plan(groups, epochs=1, learning_rate=[0.1], schedule=schedules.constant)
    plan = make_plan(groups[1:], epochs=1, learning_rate=0.1, schedule=schedules.constant)
    with pytest.raises(ValueError, match="for 4 groups"):
        fine_tune(network, plan, step, make_batches(), seed=0)
