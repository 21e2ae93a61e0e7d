"""Hard sharing of a pretrained transformer: one encoder that is fine-tuned for all tasks, a head per task."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import torch
from torch import nn

from nlptransfer.errors import InputError
from nlptransfer.models.encoder_layers import encoder_layers, stands_above_layers
from nlptransfer.models.transformer import HiddenStates, Subwords, word_states
from nlptransfer.multitask.hard_sharing import check_task_names, tasks_by_name
from nlptransfer.multitask.heads import TaskHead, find_head
from nlptransfer.multitask.parameter_groups import own_parameters, shared_parameters
from nlptransfer.multitask.tasks import Task
from nlptransfer.types import Batch, ModelOutput


class TransformerSharing(nn.Module):
    r"""One pretrained encoder; task t is read off its layer :math:`d_t`.

    .. math:: \text{logits}_t = g_t\!\left(r_t\!\left(h^{(d_t)}\right)\right)

    with :math:`r_t` the states of words, one for each, where the task tags words, and those of all subwords where it is
    about texts. With all tasks at the top it is the usual multitask fine-tuning; a task at a lower layer supervises the
    layers up to there alone. With one task it is plain fine-tuning, which the others are compared with.

    Ours: the paper's tasks are about texts, take turns and are read off the first token. Here a text that several tasks
    label is read once for all of them, and a text's states are pooled by attention.

    Args:
        tasks: with distinct names.
        encoder: of `transformers`, such as `load_encoder` gives it.
        depths: task name -> the number of encoder layers below its head, from 1; a task not named is at the top.
        subwords: what stands for a word: its first subword's state, or the mean of all its subwords'.
        crf: names of tagging tasks that score whole tag sequences.
        dropout: before each head, 0 to 1.
        pad_id: what the encoder reads on padding.

    Raises:
        ValueError: two tasks of one name, an unknown name, or a depth that the encoder does not have.
        InputError: an unknown choice of subwords; a task at a lower layer of an encoder whose layers can't be told.

    Reference:
        Liu et al. 2019, MT-DNN, section 3, https://aclanthology.org/P19-1441.

    Compare with:
        `HardSharing`, the same of recurrent layers on word vectors, for languages without a pretrained transformer.

    Example:
        >>> network = TransformerSharing([pos, chunk], load_encoder(find_encoder(name)), depths={"pos": 3})
        >>> loss = network.loss(network(batch, "pos"), batch, "pos")
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        encoder: Any,
        *,
        depths: Mapping[str, int] | None = None,
        subwords: Subwords = "first",
        crf: Collection[str] = (),
        dropout: float = 0.1,
        pad_id: int = 0,
    ) -> None:
        super().__init__()
        self.tasks = tasks_by_name(tasks)
        depths = dict(depths or {})
        check_task_names(self.tasks, [*depths, *crf])
        if subwords not in get_args(Subwords):
            raise InputError("unknown choice of subwords", expected="first or mean", found=repr(subwords))
        top = int(encoder.config.num_hidden_layers)
        self.depths = {name: depths.get(name, top) for name in self.tasks}
        for name, depth in self.depths.items():
            if not 1 <= depth <= top:
                raise ValueError(f"the task {name!r} is at depth {depth}; the encoder has depths 1 to {top}")
        if min(self.depths.values()) < top:
            encoder_layers(encoder)  # says what is wrong where they can't be told
        self.states = HiddenStates(encoder, pad_id=pad_id)
        self.subwords: Subwords = subwords
        width = int(encoder.config.hidden_size)
        self.heads = nn.ModuleList(TaskHead(task, width, crf=task.name in crf) for task in self.tasks.values())
        for head in self.heads:
            # As BERT draws it: torch's own default is several times larger, and its first steps shake the encoder.
            nn.init.normal_(head.output.weight, std=0.02)  # type: ignore[union-attr, arg-type]
            nn.init.zeros_(head.output.bias)  # type: ignore[union-attr, arg-type]
        self.dropout = nn.Dropout(dropout)

    @property
    def encoder(self) -> nn.Module:
        """The encoder without the heads."""
        return self.states.encoder

    def forward(self, batch: Batch, task: str) -> ModelOutput:
        """The logits of one task and the features that its head saw; see `TaskHead`.

        Args:
            batch: subwords, as `WordBatches` makes them where the task tags words; of whole texts where it does not.
            task: its name.
        """
        return self.forward_text(batch, [task])[task]

    def forward_text(self, batch: Batch, tasks: Sequence[str]) -> dict[str, ModelOutput]:
        """The outputs of several tasks on one text, which goes through the encoder once.

        Args:
            batch: the text.
            tasks: their names.
        """
        layers = self.states.at_depths(batch.input_ids, batch.mask, {self.depths[task] for task in tasks})
        outputs: dict[str, ModelOutput] = {}
        for task in tasks:
            states, own = layers[self.depths[task]], batch
            if self.tasks[task].kind == "tagging":
                assert batch.words is not None, "the batch does not say which word each subword is of"
                states, own = word_states(states, batch.words, subwords=self.subwords), _word_batch(batch)
            outputs[task] = self.head(task)(self.dropout(states), own.mask)
        return outputs

    def loss(self, output: ModelOutput, batch: Batch, task: str) -> torch.Tensor:
        """See `TaskHead.loss`."""
        return self.head(task).loss(output, self._as_read(batch, task))

    def decode(self, output: ModelOutput, batch: Batch, task: str) -> torch.Tensor:
        """Tag ids (batch, words), meaningless beyond a row's words; class ids (batch,); or numbers (batch,)."""
        return self.head(task).decode(output, self._as_read(batch, task))

    def head(self, task: str) -> TaskHead:
        """The head of a task."""
        return find_head(self.heads, self.tasks, task)

    def modules_of(self) -> dict[str, list[nn.Module]]:
        """Task name -> what its output depends on: the encoder's parameters up to its depth, and its head."""
        return {
            name: [nn.ParameterList(self._below(self.depths[name])), self.heads[number]]
            for number, name in enumerate(self.tasks)
        }

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those that more than one task uses: the encoder's, up to the layer below at least two heads."""
        return shared_parameters(self.modules_of())

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Those that `task` alone uses: its head, and the layers above all other heads."""
        return own_parameters(self.modules_of(), task)

    def _below(self, depth: int) -> list[nn.Parameter]:
        """The encoder's parameters that its hidden state of a depth comes from."""
        if depth == int(self.states.encoder.config.num_hidden_layers):
            return list(self.encoder.parameters())
        above = {id(weight) for layer in encoder_layers(self.encoder)[depth:] for weight in layer.parameters()}
        return [
            weight
            for name, weight in self.encoder.named_parameters()
            if id(weight) not in above and not stands_above_layers(name)
        ]

    def _as_read(self, batch: Batch, task: str) -> Batch:
        return _word_batch(batch) if self.tasks[task].kind == "tagging" else batch


def _word_batch(batch: Batch) -> Batch:
    """The batch with a mask and labels of words, (batch, words), as heads over words need them."""
    assert batch.words is not None
    num_words = int(batch.words.max()) + 1
    places = torch.arange(num_words, device=batch.words.device)
    # A part of a batch, one process's own, may have fewer words a row than the whole has labels.
    labels = None if batch.labels is None else batch.labels[:, :num_words]
    return replace(batch, mask=places <= batch.words.amax(dim=1, keepdim=True), labels=labels)
