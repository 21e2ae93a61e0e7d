"""Cross-stitch units: a network per task, and after each layer a learned mix of all networks' features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from nlptransfer.multitask.hard_sharing import HardSharing
from nlptransfer.multitask.parameter_groups import own_parameters, shared_parameters
from nlptransfer.multitask.single_networks import check_same_layers, embed_all, find_network, single_tasks
from nlptransfer.types import Batch, ModelOutput


class CrossStitchUnit(nn.Module):
    r"""Each stream of features becomes a weighted sum of all streams.

    .. math::
        \begin{bmatrix} \tilde{x}_A \\ \tilde{x}_B \end{bmatrix} =
        \begin{bmatrix} \alpha_{AA} & \alpha_{AB} \\ \alpha_{BA} & \alpha_{BB} \end{bmatrix}
        \begin{bmatrix} x_A \\ x_B \end{bmatrix}

    The weights start as `own_share` for a stream's own features and equal parts of the rest for the others; nothing
    keeps them positive or their sum at 1 in training. The paper gives them a learning rate of 100 to 1,000 times the
    network's.

    Args:
        num_streams: S, one per task, or per task and subspace.
        num_groups: G, groups of neighbouring channels with a matrix each.
        own_share: 1 makes the unit the identity.

    Attributes:
        weight: (G, S, S), row i the weights of what goes into stream i.

    Raises:
        ValueError: no streams, or a single one with less than all of itself.

    Reference:
        Misra et al. 2016, equations 1-3, https://arxiv.org/abs/1604.03539; groups between one matrix for a layer and
        one for each channel.

    Example:
        >>> CrossStitchUnit(2)(torch.randn(2, 5, 7, 8)).shape
        torch.Size([2, 5, 7, 8])
    """

    def __init__(self, num_streams: int, *, num_groups: int = 1, own_share: float = 0.9) -> None:
        super().__init__()
        if num_streams < 1 or (num_streams == 1 and own_share != 1.0):
            raise ValueError(f"a unit mixes at least 2 streams, found {num_streams}")
        others = (1.0 - own_share) / max(num_streams - 1, 1)
        weight = torch.full((num_groups, num_streams, num_streams), others)
        weight.diagonal(dim1=1, dim2=2).fill_(own_share)
        self.weight = nn.Parameter(weight)

    def forward(self, streams: torch.Tensor) -> torch.Tensor:
        """Mix the streams.

        Args:
            streams: (S, batch, time, H), H a multiple of G.

        Returns:
            (S, batch, time, H).
        """
        grouped = streams.unflatten(-1, (len(self.weight), -1))  # (S, batch, time, G, H / G)
        return torch.einsum("gij,jbtgh->ibtgh", self.weight, grouped).flatten(-2)


class CrossStitch(nn.Module):
    """A network per task, joined by a cross-stitch unit after each layer.

    Every task's batch goes through all networks. With `own_share` 1 it computes what the single-task networks compute.

    Args:
        networks: task name -> the network of this task alone; equally many layers of the same sizes. Word features may
            be of each network's own, or the same object in all.
        num_subspaces: groups of channels with a matrix of their own in each unit.
        own_share: what the mixes start with; see `CrossStitchUnit`.

    Attributes:
        units: one per layer; their parameters want a higher learning rate.

    Raises:
        ValueError: a network is of other tasks than its own, layers differ in size, or a size is no multiple of the
            number of subspaces.

    Reference:
        Misra et al. 2016, section 3, https://arxiv.org/abs/1604.03539.

    Compare with:
        `Sluice`, which also mixes subspaces with each other and layers; `HardSharing`, which is as fast as one network
        where this is as slow as all of them.

    Example:
        >>> network = CrossStitch({"pos": pos_network, "chunk": chunk_network})
        >>> groups = [{"params": network.units.parameters(), "lr": 0.1}, ...]
    """

    def __init__(self, networks: Mapping[str, HardSharing], *, num_subspaces: int = 1, own_share: float = 0.9) -> None:
        super().__init__()
        self.tasks = single_tasks(networks)
        sizes = check_same_layers(networks)
        check_divisible(sizes, num_subspaces)
        self.networks = nn.ModuleList(networks.values())
        self.units = nn.ModuleList(
            CrossStitchUnit(len(networks), num_groups=num_subspaces, own_share=own_share) for _ in sizes
        )

    def forward(self, batch: Batch, task: str) -> ModelOutput:
        """The logits of one task and the features that its head saw; see `TaskHead`."""
        return self.forward_text(batch, [task])[task]

    def forward_text(self, batch: Batch, tasks: Sequence[str]) -> dict[str, ModelOutput]:
        """The outputs of several tasks on one text, as `forward` gives them; what they have in common is done once.

        In training they then have one draw of dropout in common.

        Args:
            batch: the text.
            tasks: their names.
        """
        streams = embed_all(self.networks, batch)
        for depth, unit in enumerate(self.units):
            streams = list(unit(run_layers(self.networks, depth, streams, batch)))
        own = dict(zip(self.tasks, streams, strict=True))
        return {task: find_network(self.networks, self.tasks, task).finish(own[task], batch, task) for task in tasks}

    def loss(self, output: ModelOutput, batch: Batch, task: str) -> torch.Tensor:
        """See `TaskHead.loss`."""
        return find_network(self.networks, self.tasks, task).loss(output, batch, task)

    def decode(self, output: ModelOutput, batch: Batch, task: str) -> torch.Tensor:
        """See `TaskHead.decode`."""
        return find_network(self.networks, self.tasks, task).decode(output, batch, task)

    def modules_of(self) -> dict[str, list[nn.Module]]:
        """Task name -> the modules that its output depends on."""
        return joined_modules(self.networks, self.tasks, [self.units])

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those that more than one task uses: all networks' word features and layers, and the units."""
        return shared_parameters(self.modules_of())

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Those that `task` alone uses: its head and its private layers."""
        return own_parameters(self.modules_of(), task)


def run_layers(networks: nn.ModuleList, depth: int, streams: list[torch.Tensor], batch: Batch) -> torch.Tensor:
    """Each network's layer at one depth over its own stream.

    Args:
        networks: T of `HardSharing`.
        depth: which layer, from 0.
        streams: T of (batch, time, D).
        batch: for its mask.

    Returns:
        (T, batch, time, H), after dropout.
    """
    states = []
    for network, stream in zip(networks, streams, strict=True):
        assert isinstance(network, HardSharing)
        states.append(network.dropout(network.layers[depth](stream, batch.mask)))
    return torch.stack(states)


def joined_modules(
    networks: nn.ModuleList, tasks: Mapping[str, object], joints: list[nn.Module]
) -> dict[str, list[nn.Module]]:
    """Task name -> the modules that its output depends on, where all layers of all networks are joined.

    Args:
        networks: in the order of the tasks.
        tasks: by name.
        joints: the modules that join them.
    """
    common: list[nn.Module] = list(joints)
    for network in networks:
        assert isinstance(network, HardSharing)
        common += [network.words, network.layers]
    return {
        name: [*common, network.private_layers, network.heads]  # type: ignore[list-item]
        for name, network in zip(tasks, networks, strict=True)
    }


def check_divisible(sizes: list[int], num_subspaces: int) -> None:
    """Refuse sizes that can't be cut into so many subspaces.

    Args:
        sizes: of the layers.
        num_subspaces: into which each is cut.

    Raises:
        ValueError: one can't.
    """
    for size in sizes:
        if num_subspaces < 1 or size % num_subspaces:
            raise ValueError(f"{size} channels can't be cut into {num_subspaces} subspaces of equal size")
