"""Which parameters several tasks use, and which only one does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn


def shared_parameters(modules_of: Mapping[str, Sequence[nn.Module]]) -> list[nn.Parameter]:
    """The trainable parameters that more than one task uses, each once.

    Args:
        modules_of: task name -> the modules that its output depends on.

    Returns:
        The parameters, in the order in which the tasks' modules name them.

    Example:
        >>> shared_parameters({"pos": [encoder, pos_head], "chunk": [encoder, chunk_head]})  # those of the encoder
    """
    count: dict[nn.Parameter, int] = {}
    for modules in modules_of.values():
        for parameter in used_parameters(modules):
            count[parameter] = count.get(parameter, 0) + 1
    return [parameter for parameter, tasks in count.items() if tasks > 1]


def own_parameters(modules_of: Mapping[str, Sequence[nn.Module]], task: str) -> list[nn.Parameter]:
    """The trainable parameters that `task` alone uses.

    Args:
        modules_of: task name -> the modules that its output depends on.
        task: one of its names.

    Returns:
        The parameters; with `shared_parameters` and those of the other tasks they are all, each once.
    """
    others = {p for name, modules in modules_of.items() if name != task for p in used_parameters(modules)}
    return [parameter for parameter in used_parameters(modules_of[task]) if parameter not in others]


def used_parameters(modules: Sequence[nn.Module]) -> list[nn.Parameter]:
    """The trainable parameters of some modules, each once.

    Args:
        modules: which may have parts in common.
    """
    found = {parameter: None for module in modules for parameter in module.parameters() if parameter.requires_grad}
    return list(found)
