"""Sluice networks: which subspaces and which layers the tasks share is learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import nn

from nlptransfer.multitask.cross_stitch import CrossStitchUnit, check_divisible, joined_modules, run_layers
from nlptransfer.multitask.hard_sharing import HardSharing
from nlptransfer.multitask.orthogonality import orthogonality_loss
from nlptransfer.multitask.parameter_groups import own_parameters, shared_parameters
from nlptransfer.multitask.single_networks import check_same_layers, embed_all, find_network, single_tasks
from nlptransfer.types import Batch, ModelOutput


@dataclass(frozen=True)
class SluiceOutput(ModelOutput):
    """What a sluice network returns.

    Attributes:
        layer_states: (tasks, batch, time, H) of each layer, before they are mixed.
    """

    layer_states: tuple[torch.Tensor, ...]


class LayerShares(nn.Module):
    r"""A weighted sum of layers, :math:`\sum_k \beta_k h_k`, whose weights start equal and are free.

    Args:
        num_layers: K.

    Compare with:
        `LayerMix`, whose weights are positive and add up to 1, times one scale.

    Example:
        >>> LayerShares(2)([torch.ones(1), torch.zeros(1)])  # 0.5
    """

    def __init__(self, num_layers: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((num_layers,), 1.0 / num_layers))

    def forward(self, layers: Sequence[torch.Tensor]) -> torch.Tensor:
        """K tensors of one shape -> one of this shape."""
        return torch.einsum("k,k...->...", self.weight, torch.stack(list(layers)))


class Sluice(nn.Module):
    r"""A network per task whose layers are cut into subspaces; all subspaces are mixed, and so are the layers.

    .. math::
        \tilde{h}_{\cdot,k} = \alpha_k\, [h_{A_1,k}, h_{A_2,k}, h_{B_1,k}, h_{B_2,k}], \qquad
        \tilde{h}_m = \sum_{k=1}^{K} \beta_{m,k}\, \tilde{h}_{m,k}

    :math:`\alpha_k` is a `CrossStitchUnit` over tasks times subspaces, :math:`\beta_m` a weight per layer and task, at
    first 1 / K; the head reads :math:`\tilde{h}_m`. With alpha the identity and beta 1 for the top layer it computes
    what the single-task networks compute.

    Args:
        networks: task name -> the network of this task alone; equally many layers, all of one size. In the paper the
            word features are the same object in all.
        num_subspaces: into which each layer is cut; 2 in the paper.
        own_share: what a subspace starts with of itself; see `CrossStitchUnit`.

    Attributes:
        units: the alphas, one unit per layer.
        layer_shares: the betas, one `LayerShares` per task.

    Raises:
        ValueError: a network is of other tasks than its own, layers differ in size, or the size is no multiple of the
            number of subspaces.

    Reference:
        Ruder et al. 2019, the section on the architecture, https://arxiv.org/abs/1705.08142.

    Compare with:
        `CrossStitch`, which mixes each channel with the same channel of the other networks, and passes on the top
        layer alone.

    Example:
        >>> network = Sluice({"pos": pos_network, "chunk": chunk_network})
        >>> output = network(batch, "pos")
        >>> loss = network.loss(output, batch, "pos") + 0.1 * network.subspace_overlap(output, batch)
    """

    def __init__(self, networks: Mapping[str, HardSharing], *, num_subspaces: int = 2, own_share: float = 0.9) -> None:
        super().__init__()
        self.tasks = single_tasks(networks)
        sizes = check_same_layers(networks)
        check_divisible(sizes, num_subspaces)
        if len(set(sizes)) > 1:
            raise ValueError(f"layers are mixed with each other, so they must have one size; found {sizes}")
        self.num_subspaces = num_subspaces
        self.networks = nn.ModuleList(networks.values())
        self.units = nn.ModuleList(CrossStitchUnit(len(networks) * num_subspaces, own_share=own_share) for _ in sizes)
        self.layer_shares = nn.ModuleList(LayerShares(len(sizes)) for _ in networks)

    def forward(self, batch: Batch, task: str) -> SluiceOutput:
        """The logits of one task, the features that its head saw, and the states of all networks' layers."""
        return self.forward_text(batch, [task])[task]

    def forward_text(self, batch: Batch, tasks: Sequence[str]) -> dict[str, SluiceOutput]:
        """The outputs of several tasks on one text, as `forward` gives them; what they have in common is done once.

        In training they then have one draw of dropout in common.

        Args:
            batch: the text.
            tasks: their names.
        """
        streams = embed_all(self.networks, batch)
        layer_states, stitched_layers = [], []
        for depth, unit in enumerate(self.units):
            states = run_layers(self.networks, depth, streams, batch)  # (tasks, batch, time, H)
            layer_states.append(states)
            cut = states.unflatten(-1, (self.num_subspaces, -1)).movedim(-2, 1)  # (tasks, subspaces, batch, time, h)
            stitched = unit(cut.flatten(0, 1)).unflatten(0, cut.shape[:2])
            streams = list(stitched.movedim(1, -2).flatten(-2))
            stitched_layers.append(streams)
        outputs = {}
        for task in tasks:
            number = list(self.tasks).index(task)
            mixed = self.layer_shares[number]([layer[number] for layer in stitched_layers])  # (batch, time, H)
            output = find_network(self.networks, self.tasks, task).finish(mixed, batch, task)
            outputs[task] = SluiceOutput(output.logits, output.features, tuple(layer_states))
        return outputs

    def loss(self, output: ModelOutput, batch: Batch, task: str) -> torch.Tensor:
        """See `TaskHead.loss`; the overlap of the subspaces is apart."""
        return find_network(self.networks, self.tasks, task).loss(output, batch, task)

    def decode(self, output: ModelOutput, batch: Batch, task: str) -> torch.Tensor:
        """See `TaskHead.decode`."""
        return find_network(self.networks, self.tasks, task).decode(output, batch, task)

    def subspace_overlap(self, output: SluiceOutput, batch: Batch) -> torch.Tensor:
        r"""How much the subspaces of each layer say the same: a scalar.

        .. math:: L_c = \sum_{m=1}^{M} \sum_{k=1}^{K} \lVert G_{m,k,1}^\top G_{m,k,2} \rVert_F^2

        With the states of the batch's words as G, as in `orthogonality_loss`, and summed over pairs of subspaces. The
        paper's program takes parts of an LSTM's weights for G, which a layer of another kind does not have.

        Args:
            output: as `forward` gives it.
            batch: for its mask.
        """
        total = output.logits.new_zeros(())
        for states in output.layer_states:
            for network_states in states:
                parts = network_states[batch.mask].chunk(self.num_subspaces, dim=-1)  # each (words, h)
                for first, second in combinations(parts, 2):
                    total = total + orthogonality_loss(first, second)
        return total

    def modules_of(self) -> dict[str, list[nn.Module]]:
        """Task name -> the modules that its output depends on."""
        joined = joined_modules(self.networks, self.tasks, [self.units])
        return {name: [*joined[name], self.layer_shares[number]] for number, name in enumerate(self.tasks)}

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those that more than one task uses: all word features and layers, and the alphas."""
        return shared_parameters(self.modules_of())

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Those that `task` alone uses: its betas, its head and its private layers."""
        return own_parameters(self.modules_of(), task)
