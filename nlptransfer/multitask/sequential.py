"""Train on one task, then on another: what of the first is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nlptransfer.evaluation.predictions import SystemPredictions
from nlptransfer.evaluation.verdict import Verdict, compare


def forgetting(
    before: Sequence[SystemPredictions],
    after: Sequence[SystemPredictions],
    *,
    metric: str | None = None,
    num_resamples: int = 9_999,
    seed: int,
) -> Verdict:
    r"""What a model lost on its first task by being trained on a second one.

    .. math:: F_A = a_{A}(\text{after } A) - a_{A}(\text{after } A, \text{then } B)

    It is the `compare` of the later model with the earlier one on the first task's test set, so that the forgetting is
    ``-verdict.gain``, its interval from ``-verdict.high`` to ``-verdict.low``, and a verdict of `harmed` says that
    something was forgotten.

    Args:
        before: predictions for the first task's test set after training on it, one per seed.
        after: those of the same models after training on the second task, with the first one's head.
        metric: see `compare`; ``span_f1`` for chunks and names.
        num_resamples: of the bootstrap and of the test.
        seed: of both.

    Returns:
        The verdict, with the systems named "after" and "before".

    Raises:
        InputError: the two are not for the same items.

    Reference:
        Chaudhry et al. 2018, the forgetting measure, for two tasks, https://arxiv.org/abs/1801.10112.

    Compare with:
        the gain on the second task over training on it alone, which is what intermediate-task transfer is for.

    Example:
        >>> train(network, make_task_step(), pos_batches, optimizer, epochs=10, seed=0)
        >>> before = [Predictions("pos", "test", 0, tokens, gold, predict("pos"))]
        >>> train(network, make_task_step(), chunk_batches, other_optimizer, epochs=10, seed=0)
        >>> lost = forgetting(before, [Predictions("pos", "test", 0, tokens, gold, predict("pos"))], seed=0)
    """
    return compare(
        [replace(part, system="after") for part in after],
        [replace(part, system="before") for part in before],
        metric=metric,
        num_resamples=num_resamples,
        seed=seed,
    )
