"""Weights of losses: the formulas written out anew, then what they are for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from nlptransfer.multitask.loss_weighting import DynamicWeightAverage, UncertaintyWeighting, fixed_weighting
from nlptransfer.multitask.task_step import make_task_step, sum_losses
from nlptransfer.multitask.tasks import Task
from nlptransfer.types import Batch, TaskBatch

STARS = Task("stars", "regression")
PRICE = Task("price", "regression")
POS = Task("pos", "tagging", ("A", "B"))


def losses(**values: float) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value) for name, value in values.items()}


# Fixed


def test_fixed_weights_multiply_each_loss() -> None:
    weighting = fixed_weighting({"pos": 0.5, "stars": 3.0})
    assert float(weighting(losses(pos=4.0, stars=1.5))) == pytest.approx(0.5 * 4 + 3 * 1.5)
    assert float(weighting(losses(stars=1.5))) == pytest.approx(4.5), "of the tasks that are there"
    with pytest.raises(ValueError, match="from 0 on"):
        fixed_weighting({"pos": -1.0})


def test_without_a_weighting_a_step_minimises_the_sum() -> None:
    step = make_task_step(losses=lambda model, batch, progress: losses(pos=4.0, stars=1.5))
    found = step(None, TaskBatch({}), 0.0)
    assert {name: float(value) for name, value in found.items()} == {"loss": 5.5, "pos": 4.0, "stars": 1.5}
    assert float(sum_losses(losses(pos=4.0))) == 4.0


# Uncertainty


def test_uncertainty_weighting_is_the_equation_of_the_paper() -> None:
    weighting = UncertaintyWeighting([STARS, POS])
    sigma_stars, sigma_pos = 0.7, 1.9
    with torch.no_grad():
        weighting.log_variances.copy_(torch.tensor([math.log(sigma_stars**2), math.log(sigma_pos**2)]))
    expected = 1 / (2 * sigma_stars**2) * 2.5 + 1 / sigma_pos**2 * 0.8 + math.log(sigma_stars) + math.log(sigma_pos)
    assert weighting(losses(stars=2.5, pos=0.8)).item() == pytest.approx(expected, rel=1e-6)
    only = 1 / sigma_pos**2 * 0.8 + math.log(sigma_pos)
    assert weighting(losses(pos=0.8)).item() == pytest.approx(only, rel=1e-6), "a step of one task"
    assert weighting.variances() == pytest.approx({"stars": 0.49, "pos": 3.61})


def test_the_regression_form_is_the_negative_log_likelihood_of_a_gaussian() -> None:
    random = np.random.default_rng(0)
    answers, guesses, sigma = random.normal(size=7), random.normal(size=7), 1.3
    densities = np.exp(-((answers - guesses) ** 2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
    weighting = UncertaintyWeighting([STARS])
    with torch.no_grad():
        weighting.log_variances.fill_(math.log(sigma**2))
    mean_loss = float(((answers - guesses) ** 2).mean())
    expected = float(-np.log(densities).mean()) - 0.5 * math.log(2 * math.pi)
    assert weighting(losses(stars=mean_loss)).item() == pytest.approx(expected, rel=1e-5)


def fit(noises: tuple[float, float], *, weighted: bool, seed: int) -> tuple[np.ndarray, list[float]]:
    """Two regressions with the same true weights, fitted by one shared layer: its weights, and learned variances."""
    random = np.random.default_rng(seed)
    inputs = torch.from_numpy(random.normal(size=(2, 60, 8)).astype(np.float32))
    noise = torch.from_numpy(random.normal(size=(2, 60)).astype(np.float32)) * torch.tensor(noises)[:, None]
    answers = inputs.sum(dim=-1) + noise  # the true weights are all 1
    layer = nn.Linear(8, 1, bias=False)
    nn.init.zeros_(layer.weight)
    weighting = UncertaintyWeighting([STARS, PRICE])
    optimizer = torch.optim.Adam([*layer.parameters(), *weighting.parameters()], 0.1)
    for _ in range(250):
        found = {
            name: (layer(inputs[row]).squeeze(-1) - answers[row]).square().mean()
            for row, name in enumerate(("stars", "price"))
        }
        optimizer.zero_grad()
        (weighting(found) if weighted else sum_losses(found)).backward()
        optimizer.step()
    return layer.weight.detach().numpy()[0], list(weighting.variances().values())


def test_the_learned_variance_is_near_the_true_one() -> None:
    learned = np.mean([fit((0.3, 2.0), weighted=True, seed=seed)[1] for seed in range(3)], axis=0)
    assert learned[0] == pytest.approx(0.09, rel=0.35) and learned[1] == pytest.approx(4.0, rel=0.35)


def test_a_noisy_task_spoils_a_clean_one_unless_it_is_weighed() -> None:
    """The shared weights are nearer the truth; with noise alike there is nothing to gain."""

    def error(noises: tuple[float, float], weighted: bool) -> float:
        found = [fit(noises, weighted=weighted, seed=seed)[0] for seed in range(4)]
        return float(np.mean([np.linalg.norm(weights - 1) for weights in found]))

    assert error((0.3, 3.0), False) > 0.5
    assert error((0.3, 3.0), True) < 0.3 * error((0.3, 3.0), False)
    assert error((1.0, 1.0), True) == pytest.approx(error((1.0, 1.0), False), rel=0.1), "control"


def test_the_variances_move_with_the_module_and_are_saved_with_it() -> None:
    weighting = UncertaintyWeighting([STARS, POS])
    assert list(weighting.state_dict()) == ["log_variances"]
    assert weighting.variances() == {"stars": 1.0, "pos": 1.0}


# Dynamic weight average


def record(weighting: DynamicWeightAverage, *rows: dict[str, float]) -> DynamicWeightAverage:
    for row in rows:
        weighting.record({"epoch": 1, "loss": sum(row.values()), **row})
    return weighting


def test_dynamic_weights_are_the_equation_of_the_paper() -> None:
    rows = [{"pos": 2.0, "stars": 9.0}, {"pos": 1.0, "stars": 8.1}, {"pos": 0.9, "stars": 4.05}]
    weighting = record(DynamicWeightAverage([POS, STARS], temperature=2.0), *rows)
    powers = np.exp(np.array([0.9 / 1.0, 4.05 / 8.1]) / 2.0)
    expected = 2 * powers / powers.sum()
    assert list(weighting.weights().values()) == pytest.approx(expected.tolist())
    total = weighting(losses(pos=0.5, stars=3.0))
    assert float(total) == pytest.approx(float(expected @ [0.5, 3.0]))


def test_the_first_two_epochs_weigh_all_tasks_alike() -> None:
    weighting = DynamicWeightAverage([POS, STARS])
    assert weighting.weights() == {"pos": 1.0, "stars": 1.0}
    assert record(weighting, {"pos": 3.0, "stars": 1.0}).weights() == {"pos": 1.0, "stars": 1.0}


def test_a_task_that_stands_still_counts_for_more_than_one_that_learns() -> None:
    weights = record(
        DynamicWeightAverage([POS, STARS]), {"pos": 2.0, "stars": 2.0}, {"pos": 2.0, "stars": 0.2}
    ).weights()
    assert weights["pos"] > 1.2 > 0.8 > weights["stars"]
    alike = record(DynamicWeightAverage([POS, STARS]), {"pos": 2.0, "stars": 6.0}, {"pos": 1.0, "stars": 3.0}).weights()
    assert alike == pytest.approx({"pos": 1.0, "stars": 1.0}), "control: the same pace at another scale"


def test_losses_of_zero_and_huge_leaps_have_weights_too() -> None:
    weights = record(
        DynamicWeightAverage([POS, STARS]), {"pos": 0.0, "stars": 1e-9}, {"pos": 0.0, "stars": 9e9}
    ).weights()
    assert sum(weights.values()) == pytest.approx(2.0) and weights["stars"] == pytest.approx(2.0)
    with pytest.raises(ValueError, match="above 0"):
        DynamicWeightAverage([POS], temperature=0.0)


def test_an_item_without_a_label_weighs_nothing_in_the_step() -> None:
    """`scaled` leaves out a task that has no label in a process's part, whatever its loss says."""
    batch = TaskBatch({"pos": Batch(torch.zeros(1, 1), torch.ones(1, 1))}, {"pos": 0.0})
    assert float(batch.scaled(losses(pos=float("nan")))["pos"]) == 0.0
