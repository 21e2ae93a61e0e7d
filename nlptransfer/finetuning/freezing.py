"""Which layer groups train in which epoch."""

from __future__ import annotations


def train_all(num_groups: int, epochs: int) -> list[list[bool]]:
    """Everything trains from the first epoch on: (epochs, groups), all True."""
    return [[True] * num_groups for _ in range(epochs)]


def freeze_below(num_groups: int, epochs: int, *, num_frozen: int) -> list[list[bool]]:
    """The lowest groups stay as they are.

    Args:
        num_groups: of them the head is the last.
        epochs: of the training.
        num_frozen: how many groups, the embeddings being the first; at most `num_groups` - 1.

    Returns:
        (epochs, groups), True where a group trains.

    Raises:
        ValueError: nothing would train, or fewer than no groups are frozen.

    Example:
        >>> freeze_below(4, 1, num_frozen=2)
        [[False, False, True, True]]
    """
    if not 0 <= num_frozen < num_groups:
        raise ValueError(f"of {num_groups} groups 0 to {num_groups - 1} can be frozen, not {num_frozen}")
    return [[group >= num_frozen for group in range(num_groups)] for _ in range(epochs)]


def gradual_unfreezing(num_groups: int, epochs: int, *, groups_per_epoch: int | None = None) -> list[list[bool]]:
    r"""The head trains first, and each epoch more groups below it join in, until all do.

    .. math:: \text{group } g \in 1..G \text{ trains in epoch } e \text{ iff } g > G - 1 - k (e - 1)

    Ours: k is 1 in the paper, where an LSTM has few layers. By default it is the least number with which all groups
    train in the last epoch, so that a deep encoder is thawed within a few epochs.

    Args:
        num_groups: G, of them the head is the last.
        epochs: of the training.
        groups_per_epoch: k; None as said above.

    Returns:
        (epochs, groups), True where a group trains.

    Raises:
        ValueError: k is below 1.

    Reference: Howard & Ruder 2018, section 3.3, https://aclanthology.org/P18-1031.

    Example:
        >>> gradual_unfreezing(4, 3, groups_per_epoch=1)
        [[False, False, False, True], [False, False, True, True], [False, True, True, True]]
    """
    step = -(-(num_groups - 1) // max(epochs - 1, 1)) if groups_per_epoch is None else groups_per_epoch
    if step < 1:
        raise ValueError(f"each epoch must thaw at least 1 group, not {step}")
    return [[group >= num_groups - 1 - step * epoch for group in range(num_groups)] for epoch in range(epochs)]
