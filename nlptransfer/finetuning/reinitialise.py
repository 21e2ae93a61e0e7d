"""The top layers of a pretrained encoder drawn anew, before fine-tuning on few examples."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nlptransfer.errors import InputError
from nlptransfer.models.encoder_layers import encoder_layers
from nlptransfer.training.seeding import seeded


def reinitialise_layers(encoder: Any, num_layers: int, *, seed: int) -> None:
    r"""Draw the weights of the top layers, and of the pooler where there is one, as for an untrained encoder; in place.

    .. math:: W_{ij} \sim N(0, \sigma^2), \qquad b = 0, \qquad \text{layer norm: } \gamma = 1, \beta = 0

    with sigma the encoder's ``config.initializer_range``, 0.02 in BERT. A family that initialises in another way
    is drawn in its own: the encoder's own rule is applied to each module.

    The top layers of a pretrained encoder have specialised in the pretraining task; with few examples fine-tuning does
    not get them away from there, and runs that differ in their seed alone end far apart.

    Everything else is left as it is, bit for bit: the layers below, the embeddings, a head, a norm that stands above
    the layers. Which parameters train is not changed.

    Args:
        encoder: a model of `transformers`, alone or with a head around it.
        num_layers: how many layers to draw anew, counted from the top; 0 leaves everything, the pooler too. The paper
            tried 1 to 6 of 24 and found that the best number depends on the task.
        seed: the same seed gives the same weights on the same kind of device.

    Raises:
        InputError: the encoder has fewer layers, or none that can be told apart.
        ValueError: `num_layers` is negative.

    Reference:
        Zhang, Wu, Katiyar, Weinberger, Artzi 2021, "Revisiting few-sample BERT fine-tuning", section 5,
        https://arxiv.org/abs/2006.05987.

    Compare with:
        Smaller learning rates for lower layers, which keep what the top layers learned.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> encoder = BertModel(BertConfig(num_hidden_layers=4))
        >>> reinitialise_layers(encoder, 2, seed=0)
    """
    if num_layers < 0:
        raise ValueError(f"num_layers counts layers from the top, so it can't be {num_layers}")
    layers = encoder_layers(encoder)
    if num_layers > len(layers):
        raise InputError(
            "there are fewer layers than are to be drawn anew",
            where=type(encoder).__name__,
            expected=f"at most {len(layers)}",
            found=str(num_layers),
        )
    if num_layers == 0:
        return
    drawn: list[nn.Module] = list(layers[len(layers) - num_layers :])
    pooler = getattr(encoder.base_model, "pooler", None)
    if pooler is not None:
        drawn.append(pooler)
    with seeded(seed), torch.no_grad():
        for module in drawn:
            for tensor in (*module.parameters(), *module.buffers()):
                # Set on what was loaded from a file: the library's rule would pass it over.
                tensor.__dict__.pop("_is_hf_initialized", None)
            module.apply(encoder._init_weights)
