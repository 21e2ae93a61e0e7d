"""Domain-adversarial training: features from which a discriminator can't tell the domain."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from nlptransfer.models.gradient_reversal import reverse_gradient


class DomainDiscriminator(nn.Module):
    """Tells source from target features: a logistic regression, or one hidden layer before it.

    Args:
        feature_dim: H.
        hidden_dim: units of the hidden layer; 0 for the logistic regression of Ganin et al. 2016, section 4.1.

    Example:
        >>> discriminator = DomainDiscriminator(100, 100)
    """

    def __init__(self, feature_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.layers = (
            nn.Sequential(nn.Linear(feature_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, 1))
            if hidden_dim
            else nn.Linear(feature_dim, 1)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, H) -> (N,) logits of being of the target."""
        logits: torch.Tensor = self.layers(features).squeeze(-1)
        return logits


def domain_adversarial_loss(
    source_features: torch.Tensor,
    target_features: torch.Tensor,
    discriminator: nn.Module,
    reversal_strength: float = 1.0,
) -> torch.Tensor:
    r"""The discriminator's loss, which it lowers and the features, through reversed gradients, raise.

    .. math::
        L_d = \frac{1}{n} \sum_{i=1}^{n} -\log(1 - G_d(R(h_i))) + \frac{1}{n'} \sum_{j=1}^{n'} -\log G_d(R(h'_j))

    With :math:`G_d` the probability of being of the target. Task loss plus :math:`\lambda L_d` has the gradients of
    the paper's saddle point: :math:`-\lambda` for the features, :math:`+\lambda` for the discriminator. For image
    networks the paper keeps the discriminator's at full size; for Adam, which rescales gradients, this differs little.

    Args:
        source_features: (N, H).
        target_features: (M, H).
        discriminator: (N, H) -> (N,) logits of being of the target; its parameters belong in the optimizer.
        reversal_strength: factor on the features' gradients beside the adaptation weight.

    Returns:
        A scalar; 2 log 2 where the discriminator knows nothing.

    Reference:
        Ganin et al. 2016, equations 9 and 10 and section 4.2, https://jmlr.org/papers/v17/15-239.html.

    Compare with:
        `mmd_loss` and `coral_loss`, which have no parameters and are steadier; DANN finds differences that are not in
        the means or covariances.

    Example:
        >>> discriminator = DomainDiscriminator(network.feature_dim, 100)
        >>> step = make_domain_step(lambda source, target: domain_adversarial_loss(source, target, discriminator),
        ...                         adaptation_weight=0.1)
    """
    source_logits = discriminator(reverse_gradient(source_features, reversal_strength))
    target_logits = discriminator(reverse_gradient(target_features, reversal_strength))
    # log(1 - sigmoid(z)) = -softplus(z) and log sigmoid(z) = -softplus(-z)
    return functional.softplus(source_logits).mean() + functional.softplus(-target_logits).mean()
