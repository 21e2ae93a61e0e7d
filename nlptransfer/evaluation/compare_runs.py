"""Two finished runs held against each other by their saved predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nlptransfer.errors import InputError
from nlptransfer.evaluation.document_predictions import DocumentPredictions
from nlptransfer.evaluation.over_pairs import compare_system_over_pairs
from nlptransfer.evaluation.predictions import SystemPredictions, by_pair, by_split, check_same_items
from nlptransfer.evaluation.run_folder import read_run
from nlptransfer.evaluation.verdict import SELECTION_SPLITS, Verdict, compare


def compare_runs(
    run_a: str | Path,
    run_b: str | Path,
    *,
    alpha: float = 0.05,
    confidence: float = 0.95,
    num_resamples: int = 9_999,
    seed: int = 0,
) -> list[Verdict]:
    """Pair the saved predictions of two runs: what did A gain over B, split by split?

    Tags are compared by token accuracy, documents by accuracy; runs over many pairs of domains are compared on each
    pair that both hold, and over these pairs.

    Args:
        run_a: `FOLDER` or `FOLDER:system`.
        run_b: the baseline, likewise. Where only one names a system, the other's system of the same name is meant;
            where neither does, every system that both hold is compared with its namesake.
        alpha: level of each test.
        confidence: of the intervals.
        num_resamples: of bootstrap and test.
        seed: of both.

    Returns:
        One verdict per system, test split and pair that both hold, system and baseline named `FOLDER:system`; where
        these pairs are several, then one over them with pair `all`.

    Raises:
        InputError: a folder is no finished run, a system or a common split or pair is not there, or the test items
            differ (the message says where first).
    """
    folder_a, system_a = _split_name(run_a)
    folder_b, system_b = _split_name(run_b)
    predictions_a, predictions_b = read_run(folder_a).predictions, read_run(folder_b).predictions
    if system_a is None and system_b is None:
        pairs = [(name, name) for name in predictions_a if name in predictions_b]
        if not pairs:
            raise InputError(
                "the two runs have no system in common",
                expected=f"one of {', '.join(predictions_a)}, as in {folder_a}",
                found=f"{', '.join(predictions_b)} in {folder_b}",
                remedy=f"Name the two systems: {folder_a}:{next(iter(predictions_a))} "
                f"{folder_b}:{next(iter(predictions_b))}.",
            )
    else:
        pairs = [(system_a or str(system_b), system_b or str(system_a))]
    verdicts = []
    for name_a, name_b in pairs:
        own_a = _system(predictions_a, name_a, folder_a)
        own_b = _system(predictions_b, name_b, folder_b)
        splits = [split for split in own_a if split in own_b and split not in SELECTION_SPLITS]
        if not splits:
            raise InputError(
                "the two have no test split in common",
                expected=f"one of {', '.join(own_a)}, as in {folder_a}:{name_a}",
                found=f"{', '.join(own_b)} in {folder_b}:{name_b}",
                remedy="Compare runs that were tested on the same split.",
            )
        for split in splits:
            pairs_a, pairs_b = by_pair(own_a[split]), by_pair(own_b[split])
            domains = [pair for pair in pairs_a if pair in pairs_b]
            if not domains:
                raise InputError(
                    f"the two have no pair of domains in common on {split}",
                    expected=f"one of {', '.join(map(str, pairs_a))}, as in {folder_a}:{name_a}",
                    found=f"{', '.join(map(str, pairs_b))} in {folder_b}:{name_b}",
                    remedy="Compare runs over the same pairs.",
                )
            for pair in domains:
                of_pair = "" if pair is None else f" of {pair}"
                names = [f"{run}:{name} on {split}{of_pair}" for run, name in ((folder_b, name_b), (folder_a, name_a))]
                check_same_items([pairs_b[pair][0], pairs_a[pair][0]], names=names)
                verdicts.append(
                    compare(
                        pairs_a[pair],
                        pairs_b[pair],
                        alpha=alpha,
                        confidence=confidence,
                        num_resamples=num_resamples,
                        seed=seed,
                    )
                )
            if len(domains) > 1:
                verdicts.append(
                    compare_system_over_pairs(
                        _of_pairs(own_a[split], domains),
                        _of_pairs(own_b[split], domains),
                        alpha=alpha,
                        confidence=confidence,
                        num_resamples=num_resamples,
                        seed=seed,
                    )
                )
    return verdicts


def _split_name(name: str | Path) -> tuple[Path, str | None]:
    """`FOLDER:system` in two; a folder whose own name holds a colon is taken as it is."""
    text = str(name)
    folder, colon, system = text.rpartition(":")
    if not colon or not system or Path(text).exists():
        return Path(text), None
    return Path(folder), system


def _system(
    predictions: Mapping[str, Sequence[SystemPredictions]], system: str, folder: Path
) -> dict[str, list[SystemPredictions]]:
    """One system's predictions by split, under the name FOLDER:system."""
    if system not in predictions:
        raise InputError(
            f"the run has no system {system!r}",
            where=folder,
            expected=f"one of {', '.join(predictions)}",
            remedy=f"Name one of them: {folder}:{next(iter(predictions))}.",
        )
    return by_split(replace(part, system=f"{folder}:{system}") for part in predictions[system])


def _of_pairs(parts: Sequence[SystemPredictions], pairs: Sequence[str | None]) -> list[DocumentPredictions]:
    return [part for part in parts if isinstance(part, DocumentPredictions) and part.pair in pairs]
