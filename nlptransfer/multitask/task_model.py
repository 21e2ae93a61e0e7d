"""A network of several tasks with what turns text into its input: words or texts in, any task's labels out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from nlptransfer.data.batching import WindowBatches
from nlptransfer.errors import InputError
from nlptransfer.models.word_outputs import words_in_order
from nlptransfer.multitask.tasks import Task
from nlptransfer.types import Batch


class WholeTexts(Protocol):
    """Batches of whole texts, and which texts each holds: `TextBatches` and `DocumentBatches`."""

    def set_epoch(self, epoch: int) -> None:
        """Order the texts for `epoch`."""

    def groups(self) -> Iterator[tuple[np.ndarray, Batch]]:
        """Each batch with the numbers of its texts, (batch,)."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


class TaskModel:
    """What `MultitaskModel` and `TransformerMultitaskModel` have in common: they differ in how text is read.

    Args:
        network: with ``tasks`` by name, ``network(batch, task)`` and ``decode(output, batch, task)``.
        metadata: facts that travel with the model.

    Attributes:
        tasks: name -> task.
    """

    def __init__(self, network: Any, *, metadata: Mapping[str, Any] | None = None) -> None:
        self.network = network
        self.metadata = dict(metadata or {})
        self.tasks: dict[str, Task] = network.tasks

    def encode(self, sentences: Sequence[Sequence[str]], labels: Sequence[Sequence[int]] | None = None) -> Any:
        """Sentences as the network reads them, with an integer for each word where there are labels."""
        raise NotImplementedError

    def encode_texts(self, texts: Sequence[Sequence[str]] | Sequence[str]) -> Any:
        """Texts, or lists of words, as a task about texts reads them; longer ones are cut."""
        raise NotImplementedError

    def word_batches(self, encoded: Any, *, batch_size: int, seed: int | None = None) -> WindowBatches:
        """Batches of what `encode` gave; without a seed in the order of their length."""
        raise NotImplementedError

    def text_batches(
        self, encoded: Any, labels: np.ndarray | None = None, *, batch_size: int, seed: int | None = None
    ) -> WholeTexts:
        """Batches of what `encode_texts` gave, with an integer for each text where there are labels."""
        raise NotImplementedError

    def save_pretrained(self, folder: str | Path, *, card: str = "") -> None:
        """Write the model as safetensors and JSON, whole or not at all; all tasks in one folder."""
        raise NotImplementedError

    def predict(
        self, sentences: Sequence[Sequence[str]] | Sequence[str], task: str, *, batch_size: int = 64
    ) -> list[Any]:
        """What one of the tasks says.

        Args:
            sentences: lists of words, empty ones allowed; for a task about texts also plain texts.
            task: the name of the task.
            batch_size: sentences read at once.

        Returns:
            As many as the sentences: for tagging lists of tag names, one per word; for classification label names;
            for regression numbers.

        Raises:
            InputError: the model has no such task.
            TypeError: a single string, or for tagging a string in place of a list of words.
        """
        self._check_task(task)
        if self.tasks[task].kind == "tagging":
            if isinstance(sentences, str) or any(isinstance(sentence, str) for sentence in sentences):
                raise TypeError(
                    f"{task!r} takes lists of words, such as [['The', 'bank', 'raised', 'rates']]; found a string"
                )
            encoded = self.encode(sentences)
            names = np.array(self.tasks[task].labels, dtype=object)
            tags = names[self.predict_ids(encoded, task, batch_size=batch_size)].tolist()
            return [tags[start:end] for start, end in pairwise(encoded.starts.tolist())]
        found = self.predict_ids(self._texts(sentences, task), task, batch_size=batch_size).tolist()
        return found if self.tasks[task].kind == "regression" else [self.tasks[task].labels[index] for index in found]

    def predict_ids(self, encoded: Any, task: str, *, batch_size: int = 64) -> np.ndarray:
        """Decoded predictions of what is encoded, in its order.

        Args:
            encoded: by `encode`, or for a task about texts by `encode_texts`.
            task: the name of the task.
            batch_size: sentences read at once.

        Returns:
            (words,) tag ids for tagging, else (texts,) class ids or numbers.

        Raises:
            InputError: the model has no such task.
        """
        self._check_task(task)
        network, kind = self.network, self.tasks[task].kind

        def decode(batch: Batch) -> torch.Tensor:
            decoded: torch.Tensor = network.decode(network(batch, task), batch, task)
            return decoded

        if kind == "tagging":
            batches = self.word_batches(encoded, batch_size=batch_size)
            return words_in_order(network, batches, int(encoded.starts[-1]), decode).astype(np.int64)
        found = texts_in_order(network, self.text_batches(encoded, batch_size=batch_size), decode)
        return found.astype(np.float32 if kind == "regression" else np.int64)

    def predict_proba(self, texts: Sequence[Sequence[str]] | Sequence[str], task: str) -> np.ndarray:
        """The probability of each label for each text.

        Args:
            texts: N plain texts, or lists of words.
            task: the name of a task that labels texts.

        Returns:
            (N, C), labels in the order of the task's.

        Raises:
            InputError: the model has no such task, or it does not label texts.
            TypeError: a single string.
        """
        self._check_task(task)
        if self.tasks[task].kind != "classification":
            raise InputError(f"the task {task!r} does not label texts", found=self.tasks[task].kind)

        def probabilities(batch: Batch) -> torch.Tensor:
            logits: torch.Tensor = self.network(batch, task).logits
            return logits.double().softmax(dim=-1)

        batches = self.text_batches(self._texts(texts, task), batch_size=64)
        return texts_in_order(self.network, batches, probabilities).reshape(-1, len(self.tasks[task].labels))

    def _texts(self, texts: Sequence[Sequence[str]] | Sequence[str], task: str) -> Any:
        if isinstance(texts, str):
            raise TypeError(f"{task!r} takes a list of texts, such as ['A book to read again.']; found a string")
        return self.encode_texts(texts)

    def _check_task(self, task: str) -> None:
        if task not in self.tasks:
            raise InputError("the model has no such task", expected=" or ".join(self.tasks), found=repr(task))


@torch.inference_mode()
def texts_in_order(network: nn.Module, batches: WholeTexts, read: Callable[[Batch], torch.Tensor]) -> np.ndarray:
    """Run a network over whole texts, and put what it says of each in the texts' order.

    Args:
        network: on any device; it runs in evaluation mode, and is left in the mode it was in.
        batches: of all texts.
        read: batch on the network's device -> (batch, ...), as many numbers for each text.

    Returns:
        (texts, ...) of the type that `read` gives; (0,) where there is no text.

    Compare with: `words_in_order`.
    """
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    parts = [(items, read(batch.to(device)).cpu().numpy()) for items, batch in batches.groups()]
    network.train(was_training)
    if not parts:
        return np.zeros(0)
    found = np.concatenate([rows for _, rows in parts])
    return found[np.argsort(np.concatenate([items for items, _ in parts]))]
