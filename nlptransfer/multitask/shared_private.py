"""A shared encoder and one per task, kept apart: the shared one must not tell which task the text came from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from nlptransfer.models.gradient_reversal import reverse_gradient
from nlptransfer.models.pooling import mean_pooling
from nlptransfer.multitask.hard_sharing import check_task_names, output_dim, tasks_by_name
from nlptransfer.multitask.heads import TaskHead, find_head
from nlptransfer.multitask.orthogonality import orthogonality_loss
from nlptransfer.multitask.parameter_groups import own_parameters, shared_parameters
from nlptransfer.multitask.tasks import Task
from nlptransfer.types import Batch, ModelOutput


@dataclass(frozen=True)
class SharedPrivateOutput(ModelOutput):
    """What a shared-private network returns.

    Attributes:
        shared: (batch, time, S), states of the shared encoder.
        private: (batch, time, P), states of the task's own.
    """

    shared: torch.Tensor
    private: torch.Tensor


class SharedPrivate(nn.Module):
    r"""The head of each task reads the states of a shared encoder beside those of the task's own.

    .. math:: L = L_{\text{task}} + \lambda L_{\text{adv}} + \gamma L_{\text{diff}}

    `loss` is the first term, `adversarial_loss` and `overlap` are the others; none of them needs the labels of the
    others, so that text without labels can be used for them. In the paper lambda is 0.05 and gamma 0.01.

    Args:
        tasks: with distinct names.
        words: `Batch` -> (batch, time, D), such as `WordFeatures`; read by all encoders.
        shared_layers: ((batch, time, D), mask) -> (batch, time, H), lowest first; modules with an `output_dim`.
        private_layers: task name -> the layers of its own encoder, lowest first.
        crf: names of tagging tasks that score whole tag sequences.
        dropout: on the word features and after each layer, 0 to 1.

    Raises:
        ValueError: two tasks of one name, an unknown name, or an encoder without layers.

    Reference:
        Liu et al. 2017, sections 4.1 and 5, https://aclanthology.org/P17-1001.

    Compare with:
        `HardSharing` with private layers, which stand on the shared encoder and not beside it: cheaper, and the first
        to try. The adversary is for tasks whose texts differ, as in 16 domains of reviews; on one text with several
        labels there is nothing that it could tell, and `overlap` alone does the separating.

    Example:
        >>> output = network(batch, "books")
        >>> loss = network.loss(output, batch, "books") + 0.05 * network.adversarial_loss(output, batch, "books")
        >>> loss = loss + 0.01 * network.overlap(output, batch)
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        words: nn.Module,
        shared_layers: Sequence[nn.Module],
        private_layers: Mapping[str, Sequence[nn.Module]],
        *,
        crf: Collection[str] = (),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.tasks = tasks_by_name(tasks)
        check_task_names(self.tasks, [*private_layers, *crf])
        if not shared_layers or not all(private_layers.get(name) for name in self.tasks):
            raise ValueError("the shared encoder and that of each task need a layer at least")
        self.words = words
        self.shared_layers = nn.ModuleList(shared_layers)
        self.private_layers = nn.ModuleList(nn.ModuleList(private_layers[name]) for name in self.tasks)
        shared_dim = output_dim(shared_layers[-1])
        self.heads = nn.ModuleList(
            TaskHead(task, shared_dim + output_dim(private_layers[name][-1]), crf=name in crf)
            for name, task in self.tasks.items()
        )
        self.discriminator = nn.Linear(shared_dim, len(self.tasks))
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: Batch, task: str) -> SharedPrivateOutput:
        """The logits of one task, the features that its head saw, and the states of the two encoders."""
        return self.forward_text(batch, [task])[task]

    def forward_text(self, batch: Batch, tasks: Sequence[str]) -> dict[str, SharedPrivateOutput]:
        """The outputs of several tasks on one text, as `forward` gives them; what they have in common is done once.

        In training they then have one draw of dropout in common.

        Args:
            batch: the text.
            tasks: their names.
        """
        words = self.dropout(self.words(batch))  # (batch, time, D)
        shared = words
        for layer in self.shared_layers:
            shared = self.dropout(layer(shared, batch.mask))
        outputs = {}
        for task in tasks:
            number, private = list(self.tasks).index(task), words
            layers = self.private_layers[number]
            assert isinstance(layers, nn.ModuleList)
            for layer in layers:
                private = self.dropout(layer(private, batch.mask))
            output = self.heads[number](torch.cat([shared, private], dim=-1), batch.mask)
            outputs[task] = SharedPrivateOutput(output.logits, output.features, shared, private)
        return outputs

    def loss(self, output: ModelOutput, batch: Batch, task: str) -> torch.Tensor:
        """See `TaskHead.loss`; the adversarial loss and the overlap are apart."""
        return find_head(self.heads, self.tasks, task).loss(output, batch)

    def decode(self, output: ModelOutput, batch: Batch, task: str) -> torch.Tensor:
        """See `TaskHead.decode`."""
        return find_head(self.heads, self.tasks, task).decode(output, batch)

    def adversarial_loss(
        self, output: SharedPrivateOutput, batch: Batch, task: str, *, reversal_strength: float = 1.0
    ) -> torch.Tensor:
        r"""The loss of telling the task from the shared states, which the discriminator lowers and the encoder raises.

        .. math:: L_{\text{adv}} = \frac{1}{N} \sum_{i=1}^{N} -\log D(R(s_i))_t, \qquad D(s) = \text{softmax}(U s + b)

        Ours: a text is the mean of the shared states of its words, where the paper takes an LSTM's last state; and one
        update through reversed gradients R stands for its two.

        Args:
            output: as `forward` gives it.
            batch: for its mask.
            task: whose batch it is.
            reversal_strength: factor on the encoder's gradients beside the weight of this loss.

        Returns:
            A scalar; the log of the number of tasks where the discriminator knows nothing.
        """
        texts = mean_pooling(output.shared, batch.mask)  # (batch, S)
        logits = self.discriminator(reverse_gradient(texts, reversal_strength)).float()
        answer = torch.full((len(texts),), list(self.tasks).index(task), device=texts.device)
        return functional.cross_entropy(logits, answer)

    def overlap(self, output: SharedPrivateOutput, batch: Batch) -> torch.Tensor:
        """How much the shared and the private states of the batch's words say the same; see `orthogonality_loss`."""
        return orthogonality_loss(output.shared[batch.mask], output.private[batch.mask])

    def modules_of(self) -> dict[str, list[nn.Module]]:
        """Task name -> the modules that its losses depend on."""
        return {
            name: [
                self.words,
                self.shared_layers,
                self.discriminator,
                self.private_layers[number],
                self.heads[number],
            ]
            for number, name in enumerate(self.tasks)
        }

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those that more than one task uses: the word features, the shared encoder and the discriminator."""
        return shared_parameters(self.modules_of())

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Those that `task` alone uses: its encoder and its head."""
        return own_parameters(self.modules_of(), task)
