"""The head of one task: from an encoder's states to labels per word, a label per text, or a number per text."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from nlptransfer.models.classifier import classification_loss
from nlptransfer.models.crf import LinearChainCRF
from nlptransfer.models.pooling import AttentionPooling
from nlptransfer.multitask.tasks import Task
from nlptransfer.types import NO_LABEL, Batch, ModelOutput


class TaskHead(nn.Module):
    """A linear layer over the states of words, or over their mean by attention where the task is about texts.

    Args:
        task: what is predicted.
        input_dim: H, size of the states.
        crf: score whole tag sequences; for tagging only.

    Raises:
        ValueError: a CRF for a task about texts, or a task that needs labels and has none.

    Example:
        >>> head = TaskHead(Task("pos", "tagging", ("NOUN", "VERB")), 128)
        >>> head(torch.randn(2, 7, 128), torch.ones(2, 7, dtype=torch.bool)).logits.shape
        torch.Size([2, 7, 2])
    """

    def __init__(self, task: Task, input_dim: int, *, crf: bool = False) -> None:
        super().__init__()
        if crf and task.kind != "tagging":
            raise ValueError(f"a CRF scores sequences of tags, and the task {task.name!r} is {task.kind}")
        if not task.labels and task.kind != "regression":
            raise ValueError(f"the task {task.name!r} is {task.kind} and has no labels to tell apart")
        self.task = task
        self.pooling = None if task.kind == "tagging" else AttentionPooling(input_dim)
        self.output = nn.Linear(input_dim, 1 if task.kind == "regression" else len(task.labels))
        self.crf = LinearChainCRF(len(task.labels)) if crf else None

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> ModelOutput:
        """Logits and what they were made from.

        Args:
            states: (batch, time, H).
            mask: (batch, time), True on real tokens.

        Returns:
            Logits (batch, time, C) and features (batch, time, H) for tagging; (batch, C) and (batch, H) for
            classification; (batch, 1) and (batch, H) for regression.
        """
        features = states if self.pooling is None else self.pooling(states, mask)
        return ModelOutput(logits=self.output(features), features=features)

    def loss(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        r"""The mean over what carries a label: cross-entropy, the CRF's, or the squared error.

        Where nothing does, the zero that comes back hangs on no parameter: backwards through it every gradient stays
        None, so that an optimizer with momentum or weight decay leaves the task's weights and its own state alone. A
        zero gradient would not do: Adam's running means would fade and the weights would move by them.

        Args:
            output: as `forward` gives it.
            batch: labels (batch, time) for tagging, else (batch,), `NO_LABEL` where there is none; those of regression
                are floats. Items of a task about texts may carry weights.

        Returns:
            A scalar.
        """
        if batch.num_labels() == 0:
            return torch.zeros((), device=output.logits.device, requires_grad=torch.is_grad_enabled())
        assert batch.labels is not None
        if self.task.kind == "classification":
            return classification_loss(output, batch)
        if self.task.kind == "regression":
            return regression_loss(output, batch)
        if self.crf is not None:
            total = self.crf.loss(output.logits, batch.labels, batch.mask)
        else:
            total = functional.cross_entropy(
                output.logits.flatten(0, 1), batch.labels.flatten(), ignore_index=NO_LABEL, reduction="sum"
            )
        return total / batch.num_labels()

    def decode(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """Tag ids (batch, time), meaningless on padding; class ids (batch,); or numbers (batch,)."""
        if self.task.kind == "regression":
            return output.logits.squeeze(-1)
        if self.crf is not None:
            return self.crf.decode(output.logits, batch.mask)
        return output.logits.argmax(dim=-1)


def regression_loss(output: ModelOutput, batch: Batch) -> torch.Tensor:
    r"""Mean squared error over the items that carry a number, each times its weight.

    .. math:: \frac{1}{n} \sum_{i=1}^{n} w_i \, (\hat{y}_i - y_i)^2

    Args:
        output: logits (batch, 1), the predictions.
        batch: labels (batch,) floats, `NO_LABEL` where there is none; weights (batch,), or None for 1.

    Returns:
        A scalar; 0 where no item is labelled.
    """
    assert batch.labels is not None, "the batch has no labels"
    labelled = batch.labels != NO_LABEL
    errors = (output.logits.squeeze(-1).float() - batch.labels.float()).square() * labelled
    if batch.weights is not None:
        errors = errors * batch.weights
    return errors.sum() / labelled.sum().clamp(min=1)


def find_head(heads: nn.ModuleList, tasks: Mapping[str, Task], task: str) -> TaskHead:
    """The head of one task, of heads in the order of the tasks.

    Args:
        heads: of `TaskHead`.
        tasks: by name.
        task: a name.
    """
    head = heads[list(tasks).index(task)]
    assert isinstance(head, TaskHead)
    return head
