"""Soft sharing: an encoder per task, drawn together by the squared distance between their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import torch
from torch import nn

from nlptransfer.multitask.hard_sharing import HardSharing
from nlptransfer.multitask.parameter_groups import own_parameters, shared_parameters
from nlptransfer.multitask.single_networks import find_network, single_tasks
from nlptransfer.types import Batch, ModelOutput


class TiedNetworks(nn.Module):
    r"""A whole network per task; a penalty ties their encoders, and nothing else joins them.

    .. math:: \Omega = \lambda \sum_{a < b} \lVert \theta_a - \theta_b \rVert_2^2

    At :math:`\lambda = 0` the networks train as if each were alone; as it grows the encoders become one. Heads and
    private layers are never tied. Parts that are the same object in two networks are shared outright.

    Ours: all networks are trained together, where the paper ties a new network to one that is trained already; and one
    strength for all parameters.

    Args:
        networks: task name -> the network of this task alone.
        tie_words: whether the word features' parameters are tied too. The paper leaves word embeddings free, since its
            tasks are languages; with one vocabulary for all tasks they can be tied.

    Raises:
        ValueError: a network is of other tasks than its own, or parameters to be tied differ in name or shape.

    Reference:
        Duong et al. 2015, the objective of the cross-lingual parser, https://aclanthology.org/P15-2139.

    Compare with:
        `HardSharing`, the limit of a large strength, with a fraction of the parameters; `CrossStitch`, where features
        and not parameters are mixed. Anneal the strength with `annealed_strength`.

    Example:
        >>> network = TiedNetworks({"pos": pos_network, "chunk": chunk_network})
        >>> loss = network.loss(network(batch, "pos"), batch, "pos") + network.penalty(0.01)
    """

    def __init__(self, networks: Mapping[str, HardSharing], *, tie_words: bool = True) -> None:
        super().__init__()
        self.tasks = single_tasks(networks)
        self.networks = nn.ModuleList(networks.values())
        encoders = [_encoder_parameters(network, with_words=tie_words) for network in networks.values()]
        shapes = [{name: tuple(weight.shape) for name, weight in encoder.items()} for encoder in encoders]
        for name, other in zip(list(networks)[1:], shapes[1:], strict=True):
            if other != shapes[0]:
                differ = sorted(set(other.items()) ^ set(shapes[0].items()))[0]
                raise ValueError(
                    f"the encoders of {next(iter(networks))!r} and {name!r} can't be tied: only one has {differ[0]} of "
                    f"the shape {differ[1]}; make them alike, or pass tie_words=False where only the words differ"
                )
        # By name, not the parameters themselves: those would not follow a copy of the network.
        self.tied_names = list(shapes[0])

    def forward(self, batch: Batch, task: str) -> ModelOutput:
        """The output of the task's own network."""
        output: ModelOutput = self.network(task)(batch, task)
        return output

    def network(self, task: str) -> HardSharing:
        """The network of a task."""
        return find_network(self.networks, self.tasks, task)

    def loss(self, output: ModelOutput, batch: Batch, task: str) -> torch.Tensor:
        """See `TaskHead.loss`; the penalty is apart."""
        return self.network(task).loss(output, batch, task)

    def decode(self, output: ModelOutput, batch: Batch, task: str) -> torch.Tensor:
        """See `TaskHead.decode`."""
        return self.network(task).decode(output, batch, task)

    def penalty(self, strength: float) -> torch.Tensor:
        r"""The squared distance between the encoders, times the strength.

        Args:
            strength: :math:`\lambda`. At 0 the result hangs on no parameter, so that a network without a batch gets no
                gradient, rather than one of 0 that would let an optimizer's momentum move it.

        Returns:
            A scalar.

        Raises:
            ValueError: a negative strength.
        """
        if strength < 0:
            raise ValueError(f"the strength must be 0 or more, found {strength}")
        if strength == 0:
            return torch.zeros((), device=next(self.parameters()).device)
        return strength * self.squared_distance()

    def squared_distance(self) -> torch.Tensor:
        """The sum over all pairs of networks of the squared distance between their tied parameters: a scalar."""
        total = next(self.parameters()).new_zeros(())
        encoders = [dict(network.named_parameters()) for network in self.networks]
        for name in self.tied_names:
            for first, second in combinations([encoder[name] for encoder in encoders], 2):
                if first is not second:
                    total = total + (first - second).square().sum()
        return total

    def modules_of(self) -> dict[str, list[nn.Module]]:
        """Task name -> the modules that its output depends on."""
        return {name: [network] for name, network in zip(self.tasks, self.networks, strict=True)}

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those that more than one task uses: none, unless networks have a part in common. Tied ones are not shared."""
        return shared_parameters(self.modules_of())

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Those of the task's own network."""
        return own_parameters(self.modules_of(), task)


def annealed_strength(progress: float, *, first: float, last: float) -> float:
    """A strength that changes evenly over the training.

    Args:
        progress: 0 at the first step, 1 after the last, as `train` hands it to a step.
        first: the strength at 0.
        last: the strength at 1.

    Returns:
        The strength at `progress`.

    Example:
        >>> annealed_strength(0.25, first=0.1, last=0.0)
        0.075
    """
    return first + progress * (last - first)


def _encoder_parameters(network: HardSharing, *, with_words: bool) -> dict[str, nn.Parameter]:
    parts = ("words.", "layers.") if with_words else ("layers.",)
    return {
        name: weight for name, weight in network.named_parameters() if name.startswith(parts) and weight.requires_grad
    }
