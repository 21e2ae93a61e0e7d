"""A stack in which each task has a layer, and each layer reads what the tasks below it predict."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import nn

from nlptransfer.multitask.hard_sharing import output_dim, tasks_by_name
from nlptransfer.multitask.heads import TaskHead, find_head
from nlptransfer.multitask.parameter_groups import own_parameters, shared_parameters, used_parameters
from nlptransfer.multitask.tasks import Task
from nlptransfer.types import Batch, ModelOutput


class JointManyTask(nn.Module):
    r"""Layer k reads the layer below, the word features, and embeddings of the labels predicted so far.

    .. math::
        h^{(1)} = f_1(x), \qquad
        h^{(k)} = f_k\Big(\big[h^{(k-1)};\; x;\; \textstyle\sum_{i<k} y^{(i)}\big]\Big), \qquad
        y_t^{(i)} = \sum_{j=1}^{C_i} p\big(y_t^{(i)} = j \mid h_t^{(i)}\big)\, \ell_i(j)

    Gradients of a task flow through the predictions of those below it, as in the paper, and so also into their heads:
    a task's head is its own only at the top. What is predicted for a text stands at each of its words.

    Args:
        tasks: lowest first, one per layer; those below the top tag or classify.
        words: `Batch` -> (batch, time, D), such as `WordFeatures`; a module with an `output_dim`.
        layers: one per task; the lowest reads D features, the one above a layer of size H reads
            H + D + `label_dim`. Modules with an `output_dim`, such as `RecurrentEncoder` of one layer.
        label_dim: size of a label's embedding.
        crf: the name of the top task, to score whole tag sequences there; those below pass on probabilities of labels.
        dropout: on the word features and after each layer, 0 to 1.

    Raises:
        ValueError: not one layer per task, a regression below the top, which has no labels to embed, or a CRF there.

    Reference:
        Hashimoto et al. 2017, sections 2.2-2.4 and equation 2, https://aclanthology.org/D17-1206.

    Compare with:
        `HardSharing` with depths, which passes on features and no predictions: cheaper, and each task keeps a head
        that no other moves.

    Example:
        >>> top = RecurrentEncoder(128 + words.output_dim + 50, 64)
        >>> network = JointManyTask([pos, chunk], words, [RecurrentEncoder(words.output_dim, 64), top], label_dim=50)
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        words: nn.Module,
        layers: Sequence[nn.Module],
        *,
        label_dim: int,
        crf: Collection[str] = (),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.tasks = tasks_by_name(tasks)
        if len(layers) != len(tasks):
            raise ValueError(f"each task has a layer: found {len(tasks)} tasks and {len(layers)} layers")
        for task in tasks[:-1]:
            if task.kind == "regression":
                raise ValueError(
                    f"the task {task.name!r} predicts numbers, which have no embeddings; put it at the top"
                )
        if below := set(crf) - {tasks[-1].name}:
            raise ValueError(
                f"a task below the top passes on probabilities of labels and has no CRF: {', '.join(sorted(below))}"
            )
        self.words = words
        self.layers = nn.ModuleList(layers)
        self.heads = nn.ModuleList(
            TaskHead(task, output_dim(layer), crf=task.name in crf) for task, layer in zip(tasks, layers, strict=True)
        )
        self.label_embeddings = nn.ModuleList(nn.Linear(len(task.labels), label_dim, bias=False) for task in tasks[:-1])
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
        names = list(self.tasks)
        top = max(names.index(task) for task in tasks)
        outputs: dict[str, ModelOutput] = {}
        words = self.dropout(self.words(batch))  # (batch, time, D)
        states, labels = words, torch.zeros((), device=words.device)
        for depth in range(top + 1):
            read = words if depth == 0 else torch.cat([states, words, labels], dim=-1)
            states = self.dropout(self.layers[depth](read, batch.mask))  # (batch, time, H)
            outputs[names[depth]] = self.heads[depth](states, batch.mask)
            if depth < top:
                labels = labels + self._embed_prediction(
                    depth, outputs[names[depth]], batch
                )  # (batch, time, label_dim)
        return {task: outputs[task] for task in tasks}

    def _embed_prediction(self, depth: int, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """The mean of the labels' embeddings by their probabilities, (batch, time, label_dim)."""
        embedded: torch.Tensor = self.label_embeddings[depth](output.logits.softmax(dim=-1))
        return embedded if embedded.dim() == 3 else embedded[:, None].expand(-1, batch.mask.shape[1], -1)

    def loss(self, output: ModelOutput, batch: Batch, task: str) -> torch.Tensor:
        """See `TaskHead.loss`."""
        return find_head(self.heads, self.tasks, task).loss(output, batch)

    def decode(self, output: ModelOutput, batch: Batch, task: str) -> torch.Tensor:
        """See `TaskHead.decode`."""
        return find_head(self.heads, self.tasks, task).decode(output, batch)

    def modules_of(self) -> dict[str, list[nn.Module]]:
        """Task name -> the modules that its output depends on."""
        return {
            name: [self.words, *self.layers[: number + 1], *self.heads[: number + 1], *self.label_embeddings[:number]]
            for number, name in enumerate(self.tasks)
        }

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those that more than one task uses: all but the top task's layer and head and what only these read."""
        return shared_parameters(self.modules_of())

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Those that `task` alone uses; none below the top."""
        return own_parameters(self.modules_of(), task)

    def parameters_below(self, task: str) -> dict[str, nn.Parameter]:
        """By name, the parameters of the tasks below `task`, which its training should not carry far away."""
        below = list(self.tasks)[: list(self.tasks).index(task)]
        used = set(used_parameters([module for name in below for module in self.modules_of()[name]]))
        return {name: parameter for name, parameter in self.named_parameters() if parameter in used}


def successive_regularisation(
    parameters: Mapping[str, torch.Tensor], earlier: Mapping[str, torch.Tensor], *, strength: float
) -> torch.Tensor:
    r"""Holds what the lower tasks have learnt while a higher one is trained.

    .. math:: \delta \, \lVert \theta - \theta' \rVert^2

    Args:
        parameters: :math:`\theta`, by name, such as ``network.parameters_below("chunk")``.
        earlier: :math:`\theta'`, copies of them from the end of the lower task's epoch; the same names.
        strength: :math:`\delta`; 0.01 in the paper.

    Returns:
        A scalar.

    Raises:
        ValueError: the names differ.

    Reference:
        Hashimoto et al. 2017, sections 3.1-3.3, https://aclanthology.org/D17-1206.

    Example:
        >>> earlier = {name: weight.detach().clone() for name, weight in network.parameters_below("chunk").items()}
        >>> loss = loss + successive_regularisation(network.parameters_below("chunk"), earlier, strength=0.01)
    """
    if set(parameters) != set(earlier):
        raise ValueError(f"only one of the two has {sorted(set(parameters) ^ set(earlier))[:5]}")
    distances = [(weight - earlier[name]).square().sum() for name, weight in parameters.items()]
    return strength * torch.stack(distances).sum() if distances else torch.zeros(())
