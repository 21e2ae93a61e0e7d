"""The parameters of a network in groups from the bottom up: what is frozen, thawed and slowed together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from nlptransfer.models.encoder_layers import encoder_layers, stands_above_layers


@dataclass(frozen=True)
class LayerGroup:
    """Parameters that are trained alike.

    Attributes:
        name: "embeddings", "layer 1" to "layer L", "head".
        parameters: in the network's order.
    """

    name: str
    parameters: tuple[nn.Parameter, ...]

    @property
    def size(self) -> int:
        """How many numbers they hold."""
        return sum(parameter.numel() for parameter in self.parameters)


def layer_groups(network: Any) -> list[LayerGroup]:
    """The groups of a network around a pretrained encoder, the lowest first.

    The embeddings hold whatever of the encoder stands in none of its layers, such as relative positions. The head holds
    what is outside the encoder, together with the encoder's pooler and last normalisation, which come after the layers.

    Args:
        network: has the encoder as ``encoder``.

    Returns:
        L + 2 groups. Each parameter is in one.

    Raises:
        InputError: the encoder's layers can't be told apart.

    Example:
        >>> [group.name for group in layer_groups(network)]
        ['embeddings', 'layer 1', 'layer 2', 'head']
    """
    layers = encoder_layers(network.encoder)
    place = {id(parameter): at for at, layer in enumerate(layers, start=1) for parameter in layer.parameters()}
    top = len(layers) + 1
    for name, parameter in network.encoder.named_parameters():
        place.setdefault(id(parameter), top if stands_above_layers(name) else 0)
    parts: list[list[nn.Parameter]] = [[] for _ in range(top + 1)]
    for parameter in network.parameters():
        parts[place.get(id(parameter), top)].append(parameter)
    names = ["embeddings", *(f"layer {number}" for number in range(1, top)), "head"]
    return [LayerGroup(name, tuple(own)) for name, own in zip(names, parts, strict=True)]
