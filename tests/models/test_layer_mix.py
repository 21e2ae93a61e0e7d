"""The layer mix is ELMo's equation, begins as the mean, and finds the layer that a task needs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nlptransfer.models.layer_mix import LayerMix


def slowly(scores: list[float], scale: float, states: np.ndarray) -> np.ndarray:
    """Equation 1, number by number."""
    total = sum(math.exp(score) for score in scores)
    layers, batch, time, size = states.shape
    mixed = np.zeros((batch, time, size))
    for j in range(layers):
        for place in np.ndindex(batch, time, size):
            mixed[place] += scale * math.exp(scores[j]) / total * states[(j, *place)]
    return mixed


def test_the_mix_equals_the_equation_computed_number_by_number() -> None:
    mix = LayerMix(3)
    with torch.no_grad():
        mix.scores.copy_(torch.tensor([0.3, -1.2, 2.0]))
        mix.scale.fill_(0.7)
    states = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = slowly(mix.scores.tolist(), 0.7, states.numpy())
    np.testing.assert_allclose(mix(states).detach().numpy(), expected, atol=1e-6)


def test_a_list_of_layers_and_a_stack_of_them_give_the_same() -> None:
    mix = LayerMix(4)
    torch.nn.init.normal_(mix.scores, generator=torch.Generator().manual_seed(1))
    states = torch.randn(4, 1, 3, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mix(list(states)), mix(states), rtol=0, atol=0)
    torch.testing.assert_close(mix(tuple(states)), mix(states), rtol=0, atol=0)


def test_an_untrained_mix_is_the_mean_of_the_layers() -> None:
    states = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(LayerMix(3)(states), states.mean(dim=0))
    torch.testing.assert_close(LayerMix(1)(states[:1]), states[0])


def test_the_result_has_the_type_of_the_states() -> None:
    states = torch.ones(2, 1, 3, 4, dtype=torch.bfloat16)
    assert LayerMix(2)(states).dtype == torch.bfloat16


def test_gradients_reach_the_weights_and_every_layer() -> None:
    mix = LayerMix(2)
    states = torch.randn(2, 1, 3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    mix(states).square().sum().backward()
    assert mix.scores.grad is not None and mix.scale.grad is not None and states.grad is not None
    assert mix.scores.grad.abs().min() > 0 and mix.scale.grad != 0 and (states.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


def test_training_finds_the_layer_that_holds_the_answer_and_its_scale() -> None:
    # The answer is three times layer 1; the mean of the layers is far from it.
    states = torch.randn(3, 8, 6, 4, generator=torch.Generator().manual_seed(0))
    answer = 3 * states[1]
    mix = LayerMix(3)
    assert (mix(states) - answer).square().mean() > 1
    optimizer = torch.optim.Adam(mix.parameters(), lr=0.1)
    for _ in range(300):
        loss = (mix(states) - answer).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.01
    assert mix.shares()[1] > 0.95 and mix.scale.item() == pytest.approx(3, abs=0.2)


def test_a_wrong_number_of_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="weights for 3 layers and was given 2"):
        LayerMix(3)(torch.zeros(2, 1, 1, 1))
    with pytest.raises(ValueError, match="at least 1 layer, not 0"):
        LayerMix(0)
