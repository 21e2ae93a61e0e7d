"""Balanced gradients against the papers' formulas, and what they promise of conflicting tasks."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import nn

from nlptransfer.errors import InputError
from nlptransfer.multitask.gradient_balancing import Balancing, flat_gradient, load_aggregator, make_balanced_step
from nlptransfer.multitask.hard_sharing import HardSharing
from nlptransfer.multitask.task_sampling import TaskBatches
from nlptransfer.multitask.task_step import make_task_step, task_losses
from nlptransfer.types import TaskBatch

needs_torchjd = pytest.mark.skipif(
    not __import__("importlib").util.find_spec("torchjd"), reason="torchjd is not installed"
)
GRADIENTS = torch.tensor([[4.0, 0.0, 1.0], [-1.0, 1.0, 0.5]])  # they conflict: their product is -3.5


class Bowls(nn.Module):
    """Tasks a and b are quadratic bowls around their own centres, each seen through a head of its own."""

    def __init__(self, *, conflict: bool = True) -> None:
        super().__init__()
        self.shared = nn.Parameter(torch.tensor([1.0, 1.0]))
        self.heads = nn.Parameter(torch.tensor([1.0, 2.0]))
        steep = torch.tensor([5.0, 0.5]), torch.tensor([-1.0, 1.0]) if conflict else torch.tensor([1.0, 1.0])
        self.slopes = nn.ParameterList([nn.Parameter(own, requires_grad=False) for own in steep])

    def shared_parameters(self) -> list[nn.Parameter]:
        return [self.shared]


def bowl_losses(model: Any, batch: TaskBatch, progress: float) -> dict[str, torch.Tensor]:
    parts = zip("ab", model.slopes, model.heads, strict=True)
    return {name: torch.dot(slope, model.shared) + (head * 0.5 - 2).square() for name, slope, head in parts}


def gradients(model: Bowls, found: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    model.zero_grad()
    found["loss"].backward()
    assert model.shared.grad is not None and model.heads.grad is not None
    return model.shared.grad.clone(), model.heads.grad.clone()


# The formulas


@needs_torchjd
def test_pcgrad_takes_off_what_runs_against_the_other_task() -> None:
    first, second = GRADIENTS.double().numpy()
    expected = (first - first @ second / (second @ second) * second) + (
        second - first @ second / (first @ first) * first
    )
    np.testing.assert_allclose(load_aggregator("pcgrad")(GRADIENTS).numpy(), expected, rtol=1e-5)
    agreeing = GRADIENTS.abs()
    torch.testing.assert_close(load_aggregator("pcgrad")(agreeing), agreeing.sum(dim=0))


@needs_torchjd
def test_mgda_of_two_tasks_is_the_shortest_point_between_them() -> None:
    first, second = GRADIENTS.double().numpy()
    share = np.clip((second - first) @ second / ((first - second) @ (first - second)), 0, 1)
    expected = share * first + (1 - share) * second
    np.testing.assert_allclose(load_aggregator("mgda")(GRADIENTS).numpy(), expected, atol=1e-2)


@needs_torchjd
def test_cagrad_helps_the_worst_off_task_most_within_its_radius() -> None:
    from scipy.optimize import minimize

    matrix, radius = GRADIENTS.double().numpy(), 0.4
    mean = matrix.mean(axis=0)

    def worst(direction: np.ndarray) -> float:
        return -float((matrix @ direction).min())

    # A smooth problem: the least gain t as a variable of its own.
    limits = [
        {"type": "ineq", "fun": lambda x: (radius * np.linalg.norm(mean)) ** 2 - ((x[:3] - mean) ** 2).sum()},
        {"type": "ineq", "fun": lambda x: matrix @ x[:3] - x[3]},
    ]
    best = minimize(lambda x: -x[3], [*mean, -worst(mean)], constraints=limits, method="SLSQP").x[:3]
    found = load_aggregator("cagrad", radius=radius)(GRADIENTS).double().numpy()
    np.testing.assert_allclose(found, best, atol=2e-3)


@needs_torchjd
@pytest.mark.parametrize("method", get_args(Balancing))
def test_no_task_is_harmed_by_methods_that_promise_it_and_all_run(method: Balancing) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        direction = load_aggregator(method)(GRADIENTS)
    assert direction.shape == (3,) and bool(direction.isfinite().all())
    if method in ("pcgrad", "mgda", "upgrad", "dualproj", "imtl_g", "config", "aligned_mtl"):
        assert bool((GRADIENTS @ direction >= -0.01).all())
    assert bool((GRADIENTS @ GRADIENTS.sum(dim=0) < 0).any()), "control: the sum harms one of them"


@needs_torchjd
@pytest.mark.parametrize("method", get_args(Balancing))
def test_equal_gradients_are_summed_or_averaged(method: Balancing) -> None:
    """As `load_aggregator` says, which decides about the learning rate."""
    one = torch.tensor([3.0, 4.0])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        length = float(load_aggregator(method)(torch.stack([one, one])).norm())
    expected = {"pcgrad": 10.0, "graddrop": 10.0, "config": 10.0, "cagrad": 7.0}.get(method, 5.0)
    assert length == pytest.approx(expected, rel=0.02)


# The step


def mean_direction(rows: torch.Tensor) -> torch.Tensor:
    return rows[0] * 0.25 - rows[1] * 3.0


def test_shared_parameters_get_the_aggregators_direction_and_heads_their_own_tasks_gradient() -> None:
    model = Bowls()
    plain = make_task_step(losses=bowl_losses)(model, TaskBatch({}), 0.0)
    _, heads = gradients(model, plain)
    balanced = make_balanced_step(mean_direction, losses=bowl_losses)(model, TaskBatch({}), 0.0)
    assert balanced["loss"].item() == pytest.approx(plain["loss"].item(), rel=1e-6), "the value is the sum's"
    shared, balanced_heads = gradients(model, balanced)
    torch.testing.assert_close(shared, model.slopes[0] * 0.25 - model.slopes[1] * 3.0)
    torch.testing.assert_close(balanced_heads, heads)


@needs_torchjd
def test_balancing_keeps_the_weaker_task_from_being_harmed() -> None:
    """One step down the sum raises b's loss, a balanced one does not. Control: where nothing conflicts both are one."""

    def change_of_b(model: Bowls, step: Any) -> float:
        before = float(torch.dot(model.slopes[1], model.shared).detach())
        shared, _ = gradients(model, step(model, TaskBatch({}), 0.0))
        with torch.no_grad():
            model.shared -= 0.1 * shared
        return float(torch.dot(model.slopes[1], model.shared).detach()) - before

    plain, balanced = (
        make_task_step(losses=bowl_losses),
        make_balanced_step(load_aggregator("pcgrad"), losses=bowl_losses),
    )
    assert change_of_b(Bowls(), plain) > 0.1
    assert change_of_b(Bowls(), balanced) < 0
    assert change_of_b(Bowls(conflict=False), balanced) == pytest.approx(change_of_b(Bowls(conflict=False), plain))


def test_one_task_alone_is_trained_as_it_would_be_without(lab: Any) -> None:
    network = HardSharing([lab.many, lab.few], lab.words(), lab.layers([16]))
    batch = TaskBatch({"few": lab.batch()})

    def refused(rows: torch.Tensor) -> torch.Tensor:
        raise AssertionError("there is nothing to balance")

    found = make_balanced_step(refused)(network, batch, 0.0)
    assert torch.equal(found["loss"], make_task_step()(network, batch, 0.0)["loss"])
    # Nor where the other task has no label at all.
    batch = TaskBatch({"few": lab.batch(), "many": lab.unlabelled(lab.batch())})
    make_balanced_step(refused)(network, batch, 0.0)


def test_a_network_trains_on_balanced_gradients(lab: Any) -> None:
    from nlptransfer.data.batching import Batches
    from nlptransfer.multitask.task_data import SharedTexts
    from nlptransfer.training.loop import train

    torch.manual_seed(0)
    network = HardSharing([lab.many, lab.few], lab.words(), lab.layers([16]))
    sentences = lab.sentences(60, 1)
    flat = np.array([label for own in lab.labels(sentences) for label in own])
    encoded = lab.words().encode(sentences, SharedTexts(sentences, {}).positions())
    batches = TaskBatches(Batches(encoded, batch_size=16, seed=0), {"many": flat, "few": flat})
    step = make_balanced_step(lambda rows: rows.mean(dim=0))
    before = lab.score(network)
    history = train(network, step, batches, torch.optim.Adam(network.parameters(), 0.03), epochs=8, seed=0)
    assert lab.score(network) > max(0.6, before + 0.2) and {"many", "few"} <= set(history[-1])


def test_a_flat_gradient_leaves_the_parameters_alone_and_the_graph_standing() -> None:
    first, second = nn.Parameter(torch.tensor([2.0, 3.0])), nn.Parameter(torch.tensor([1.0]))
    loss = first.square().sum()
    assert flat_gradient(loss, [first, second]).tolist() == [4.0, 6.0, 0.0]  # type: ignore[union-attr]
    assert first.grad is None
    loss.backward()
    assert flat_gradient(torch.tensor(1.0), [first]) is None
    assert flat_gradient(second.sum(), [first]) is None


# What is missing


def test_without_torchjd_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchjd", None)
    with pytest.raises(InputError, match=r"pip install nlptransfer\[multitask\]"):
        load_aggregator("pcgrad")


@needs_torchjd
def test_a_method_that_needs_more_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    # torchjd imports the function by name.
    monkeypatch.setattr("torchjd._mixins.find_spec", lambda name: None if name == "cvxpy" else find(name))
    with pytest.raises(InputError, match=r"cvxpy.*pip install nlptransfer\[multitask\]"):
        load_aggregator("cagrad")


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="method must be one of pcgrad"):
        load_aggregator("gradnorm")  # type: ignore[arg-type]


def test_the_losses_of_a_network_are_by_task(lab: Any) -> None:
    network = HardSharing([lab.many, lab.few], lab.words(), lab.layers([16]))
    batch = lab.batch()
    found = task_losses(network, TaskBatch({"few": batch}), 0.0)
    assert list(found) == ["few"]
    torch.testing.assert_close(found["few"], network.loss(network(batch, "few"), batch, "few"))
