"""Hard sharing: one encoder for all tasks, a head per task, each at a depth of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import nn

from nlptransfer.multitask.heads import TaskHead, find_head
from nlptransfer.multitask.parameter_groups import own_parameters, shared_parameters
from nlptransfer.multitask.tasks import Task
from nlptransfer.types import Batch, ModelOutput


class HardSharing(nn.Module):
    r"""A stack of shared layers; task t is read off after layer :math:`d_t`, through layers of its own if it has any.

    .. math::
        h^{(0)} = w(x), \qquad h^{(k)} = f_k(h^{(k-1)}), \qquad
        \text{logits}_t = g_t\!\left(p_t\!\left(h^{(d_t)}\right)\right)

    With all tasks at the top it is the usual hard sharing (Caruana 1997). A low-layer task supervises the layers up to
    its depth alone, and a higher one reads what these made of it (Sogaard & Goldberg 2016). With one task it is the
    single-task network that the other ways of sharing are compared with, and that tied and cross-stitched networks
    are made of.

    Args:
        tasks: with distinct names.
        words: `Batch` -> (batch, time, D), such as `WordFeatures`; a module with an `output_dim`.
        layers: ((batch, time, D), mask) -> (batch, time, H), lowest first; modules with an `output_dim`, such as
            `RecurrentEncoder` of one layer.
        depths: task name -> the number of shared layers below its head, from 1; a task not named is at the top.
        private_layers: task name -> layers that this task alone uses, between its depth and its head.
        crf: names of tagging tasks that score whole tag sequences.
        dropout: on the word features and after each layer, 0 to 1.

    Raises:
        ValueError: two tasks of one name, an unknown name, a depth that the stack does not have, or a layer above
            all heads.

    Reference:
        Caruana 1997, https://doi.org/10.1023/A:1007379606734; Sogaard & Goldberg 2016, section 2,
        https://aclanthology.org/P16-2038.

    Compare with:
        `TransformerSharing`, the same of a pretrained transformer; `JointManyTask`, whose higher layers also read the
        lower tasks' predictions; `CrossStitch` and `TiedNetworks`, whose tasks have an encoder each: prefer these where
        the tasks turn out to harm each other.

    Example:
        >>> layers = [RecurrentEncoder(words.output_dim, 64), RecurrentEncoder(128, 64)]
        >>> network = HardSharing([pos, chunk], words, layers, depths={"pos": 1}, crf=["chunk"])
        >>> loss = network.loss(network(batch, "pos"), batch, "pos")
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        words: nn.Module,
        layers: Sequence[nn.Module],
        *,
        depths: Mapping[str, int] | None = None,
        private_layers: Mapping[str, Sequence[nn.Module]] | None = None,
        crf: Collection[str] = (),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.tasks = tasks_by_name(tasks)
        depths, private_layers = dict(depths or {}), dict(private_layers or {})
        check_task_names(self.tasks, [*depths, *private_layers, *crf])
        self.depths = {name: depths.get(name, len(layers)) for name in self.tasks}
        for name, depth in self.depths.items():
            if not 1 <= depth <= len(layers):
                raise ValueError(f"the task {name!r} is at depth {depth}; the stack has depths 1 to {len(layers)}")
        if max(self.depths.values()) < len(layers):
            raise ValueError(f"no task is at the top of the {len(layers)} layers; leave out those above all heads")
        self.words = words
        self.layers = nn.ModuleList(layers)
        # Lists in the order of the tasks: names of modules may hold no dot, names of tasks may.
        self.private_layers = nn.ModuleList(nn.ModuleList(private_layers.get(name, ())) for name in self.tasks)
        self.heads = nn.ModuleList(
            TaskHead(
                task,
                output_dim([*layers[: self.depths[task.name]], *private_layers.get(task.name, ())][-1]),
                crf=task.name in crf,
            )
            for task in self.tasks.values()
        )
        self.dropout = nn.Dropout(dropout)

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
        outputs: dict[str, ModelOutput] = {}
        states = self.embed(batch)
        for depth, layer in enumerate(self.layers[: max(self.depths[task] for task in tasks)], start=1):
            states = self.dropout(layer(states, batch.mask))  # (batch, time, H)
            for task in tasks:
                if self.depths[task] == depth:
                    outputs[task] = self.finish(states, batch, task)
        return outputs

    def embed(self, batch: Batch) -> torch.Tensor:
        """What the lowest layer reads: (batch, time, D), after dropout."""
        features: torch.Tensor = self.dropout(self.words(batch))
        return features

    def finish(self, states: torch.Tensor, batch: Batch, task: str) -> ModelOutput:
        """From the states at a task's depth, (batch, time, H), through its own layers and head."""
        number = list(self.tasks).index(task)
        layers = self.private_layers[number]
        assert isinstance(layers, nn.ModuleList)
        for layer in layers:
            states = self.dropout(layer(states, batch.mask))
        output: ModelOutput = self.heads[number](states, batch.mask)
        return output

    def loss(self, output: ModelOutput, batch: Batch, task: str) -> torch.Tensor:
        """See `TaskHead.loss`."""
        return self.head(task).loss(output, batch)

    def decode(self, output: ModelOutput, batch: Batch, task: str) -> torch.Tensor:
        """See `TaskHead.decode`."""
        return self.head(task).decode(output, batch)

    def head(self, task: str) -> TaskHead:
        """The head of a task."""
        return find_head(self.heads, self.tasks, task)

    def modules_of(self) -> dict[str, list[nn.Module]]:
        """Task name -> the modules that its output depends on."""
        return {
            name: [self.words, *self.layers[: self.depths[name]], self.private_layers[number], self.heads[number]]
            for number, name in enumerate(self.tasks)
        }

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those that more than one task uses: the word features, and the layers below at least two heads."""
        return shared_parameters(self.modules_of())

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Those that `task` alone uses: its head, its private layers, and the layers above all other heads."""
        return own_parameters(self.modules_of(), task)


def tasks_by_name(tasks: Iterable[Task]) -> dict[str, Task]:
    """Tasks by their names, in the order given.

    Args:
        tasks: at least one.

    Raises:
        ValueError: there is none, or two have one name.
    """
    tasks = list(tasks)
    named = {task.name: task for task in tasks}
    if not named or len(named) != len(tasks):
        raise ValueError(f"tasks need distinct names, found {[task.name for task in tasks]}")
    return named


def check_task_names(tasks: Mapping[str, Task], names: Iterable[str]) -> None:
    """Refuse names that are of no task.

    Args:
        tasks: by name.
        names: to check.

    Raises:
        ValueError: one of them is not known.
    """
    for name in names:
        if name not in tasks:
            raise ValueError(f"there is no task {name!r}; the tasks are {', '.join(tasks)}")


def output_dim(module: nn.Module) -> int:
    """The size of a layer's output.

    Args:
        module: with an attribute `output_dim`.
    """
    size: int = module.output_dim  # type: ignore[assignment]
    return size
