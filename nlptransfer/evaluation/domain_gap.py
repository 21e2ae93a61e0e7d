"""How much a system loses from its own domain to another."""

from __future__ import annotations

from collections.abc import Iterable

from nlptransfer.evaluation.document_predictions import ALL_PAIRS
from nlptransfer.evaluation.verdict import Score


def describe_gaps(scores: Iterable[Score], *, metric: str = "token_accuracy") -> list[str]:
    """A sentence per system: in-domain score, out-of-domain score, and the gap between them.

        gap = score on source_test - score on target_test, both means over the seeds

    Args:
        scores: of any systems and splits.
        metric: which of them.

    Returns:
        One sentence for each system with a score on both splits, in per cent and percentage points; of a run over many
        pairs of domains, from the means over the pairs.
    """
    wanted = [score for score in scores if score.seed is None and score.metric == metric]
    over_pairs = [score for score in wanted if score.pair == ALL_PAIRS]
    means: dict[str, dict[str, float]] = {}
    for score in over_pairs or wanted:
        means.setdefault(score.system, {})[score.split] = score.value
    return [
        f"{system}: in-domain {own['source_test']:.2%}, out-of-domain {own['target_test']:.2%}, "
        f"gap {(own['source_test'] - own['target_test']) * 100:.2f} points."
        for system, own in means.items()
        if {"source_test", "target_test"} <= set(own)
    ]
