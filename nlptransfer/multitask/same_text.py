"""Which tasks of a step read the same text, so that it need be encoded only once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from nlptransfer.types import Batch, ModelOutput

Output = TypeVar("Output", bound=ModelOutput)


def same_text(batches: Mapping[str, Batch]) -> list[list[str]]:
    """The tasks of a step in groups that read the same text.

    Args:
        batches: by task. Those of one text hold the very same tensors but for labels, as `TaskBatches` makes them;
            equal tensors that are not the same are different texts.

    Returns:
        Names in the order of the tasks; each is in one group.

    Example:
        >>> same_text({"pos": batch, "chunk": replace(batch, labels=chunks), "ner": another})
        [['pos', 'chunk'], ['ner']]
    """
    groups: dict[int, list[str]] = {}
    for task, batch in batches.items():
        groups.setdefault(id(batch.input_ids), []).append(task)
    return list(groups.values())


def once_per_text(
    batches: Mapping[str, Batch], forward: Callable[[Batch, Sequence[str]], Mapping[str, Output]]
) -> dict[str, Output]:
    """The outputs of several tasks, each text gone through once.

    Args:
        batches: by task; see `same_text`.
        forward: (a text, the tasks to read off it) -> their outputs.

    Returns:
        By task, in the order of the batches.

    Example:
        >>> outputs = once_per_text({"pos": batch, "chunk": batch}, network.forward_text)
    """
    outputs: dict[str, Output] = {}
    for tasks in same_text(batches):
        outputs.update(forward(batches[tasks[0]], tasks))
    return {task: outputs[task] for task in batches}
