"""The adversarial loss against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nlptransfer.adaptation.dann import DomainDiscriminator, domain_adversarial_loss
from nlptransfer.training.seeding import seeded


def make_features(number: int, seed: int) -> torch.Tensor:
    return torch.randn(number, 3, generator=torch.Generator().manual_seed(seed)).requires_grad_()


@pytest.mark.parametrize("hidden_dim", [0, 5])
def test_the_loss_is_the_sum_of_the_two_domains_mean_cross_entropies(hidden_dim: int) -> None:
    source, target = make_features(4, 0), make_features(7, 1)
    with seeded(0):
        discriminator = DomainDiscriminator(3, hidden_dim)
    loss = domain_adversarial_loss(source, target, discriminator)
    probabilities = [1 / (1 + np.exp(-discriminator(rows).detach().numpy().astype(float))) for rows in (source, target)]
    expected = -np.log(1 - probabilities[0]).mean() - np.log(probabilities[1]).mean()
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_a_discriminator_without_a_hidden_layer_is_a_logistic_regression() -> None:
    discriminator = DomainDiscriminator(3, 0)
    (weight, bias) = discriminator.parameters()
    features = make_features(4, 0)
    torch.testing.assert_close(discriminator(features), features @ weight[0] + bias)


def test_an_ignorant_discriminator_loses_two_log_two() -> None:
    discriminator = DomainDiscriminator(3, 0)
    for parameter in discriminator.parameters():
        torch.nn.init.zeros_(parameter)
    loss = domain_adversarial_loss(make_features(4, 0), make_features(7, 1), discriminator)
    assert float(loss) == pytest.approx(2 * np.log(2))


def test_the_discriminator_descends_while_the_features_climb() -> None:
    with seeded(0):
        discriminator = DomainDiscriminator(3, 5)
    gradients = []
    for strength in (-1.0, 0.7):  # -1 gives the gradient that is not reversed
        source, target = make_features(4, 0), make_features(7, 1)
        discriminator.zero_grad()
        domain_adversarial_loss(source, target, discriminator, strength).backward()
        assert source.grad is not None and target.grad is not None
        own = torch.cat(
            [parameter.grad.flatten() for parameter in discriminator.parameters() if parameter.grad is not None]
        )
        gradients.append((torch.cat([source.grad, target.grad]), own))
    (straight, own_straight), (turned, own_turned) = gradients
    torch.testing.assert_close(turned, -0.7 * straight)
    torch.testing.assert_close(own_turned, own_straight)
    assert straight.abs().max() > 0
