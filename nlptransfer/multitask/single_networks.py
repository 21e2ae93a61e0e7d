"""Networks of one task each, which the ways of soft sharing join."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from nlptransfer.multitask.hard_sharing import HardSharing, output_dim
from nlptransfer.multitask.tasks import Task
from nlptransfer.types import Batch


def single_tasks(networks: Mapping[str, HardSharing]) -> dict[str, Task]:
    """The task of each network.

    Args:
        networks: task name -> a network of this task alone.

    Raises:
        ValueError: there is no network, or one is of other tasks than its own.
    """
    if not networks:
        raise ValueError("there are no networks to join")
    for name, network in networks.items():
        if list(network.tasks) != [name]:
            raise ValueError(f"the network of {name!r} must have this task alone; it has {', '.join(network.tasks)}")
    return {name: network.tasks[name] for name, network in networks.items()}


def find_network(networks: nn.ModuleList, tasks: Mapping[str, Task], task: str) -> HardSharing:
    """The network of one task, of networks in the order of the tasks.

    Args:
        networks: of `HardSharing`.
        tasks: by name.
        task: a name.
    """
    network = networks[list(tasks).index(task)]
    assert isinstance(network, HardSharing)
    return network


def check_same_layers(networks: Mapping[str, HardSharing]) -> list[int]:
    """The size of each layer's output, which is the same in all networks.

    Args:
        networks: by task.

    Raises:
        ValueError: the networks differ in the number or the sizes of their layers.
    """
    sizes = {name: [output_dim(layer) for layer in network.layers] for name, network in networks.items()}
    first = next(iter(sizes.values()))
    if any(other != first for other in sizes.values()):
        raise ValueError(f"layers are joined at each depth, so their sizes must agree; found {sizes}")
    return first


def embed_all(networks: nn.ModuleList, batch: Batch) -> list[torch.Tensor]:
    """What the lowest layer of each network reads; word features that several have in common are made once.

    Args:
        networks: of `HardSharing`.
        batch: of any task.

    Returns:
        (batch, time, D) for each network, after dropout.
    """
    embedded: dict[nn.Module, torch.Tensor] = {}
    for network in networks:
        assert isinstance(network, HardSharing)
        if network.words not in embedded:
            embedded[network.words] = network.embed(batch)
    return [embedded[network.words] for network in networks]  # type: ignore[index]
