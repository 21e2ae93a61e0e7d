"""Numbers predicted for texts: how much of the gold numbers' variance they account for, with interval and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlptransfer.errors import InputError
from nlptransfer.evaluation.significance import percentile_interval, swap_test

R_SQUARED = "r_squared"


@dataclass(frozen=True)
class NumberPredictions:
    """One system's numbers for the texts of one split, under one seed.

    Attributes:
        system: the system's name, also the name of its file.
        split: `dev`, `test`.
        seed: the seed it was trained under.
        ids: a short stable name of each text, in the order of the split.
        gold: the gold numbers.
        predicted: the predicted ones.

    Raises:
        InputError: the three differ in length.
    """

    system: str
    split: str
    seed: int
    ids: Sequence[str]
    gold: Sequence[float]
    predicted: Sequence[float]

    def __post_init__(self) -> None:
        for name, values in (("predicted", self.predicted), ("gold", self.gold)):
            if len(values) != len(self.ids):
                raise InputError(
                    f"the {name} numbers and the texts of {self.system} on {self.split} differ in number",
                    expected=f"one for each of {len(self.ids)} texts",
                    found=str(len(values)),
                )


def r_squared(gold: ArrayLike, predicted: ArrayLike) -> float:
    r"""The coefficient of determination: the share of the gold numbers' variance that the predictions account for.

    .. math:: R^2 = 1 - \frac{\sum_i (y_i - \hat{y}_i)^2}{\sum_i (y_i - \bar{y})^2}

    Args:
        gold: (texts,) numbers.
        predicted: (texts,) numbers.

    Returns:
        At most 1; 0 for the mean of the gold numbers, below for worse.

    Raises:
        InputError: there are fewer than two different gold numbers.

    Example:
        >>> r_squared([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
        0.5
    """
    return NumberOutcomes.of(gold, np.asarray(predicted, dtype=np.float64)[None]).score()


@dataclass(frozen=True)
class NumberOutcomes:
    """How far each text's numbers are off, under each seed.

    Attributes:
        gold: (texts,) the gold numbers.
        errors: (seeds, texts) squared errors.
    """

    gold: NDArray[np.float64]
    errors: NDArray[np.float64]

    @classmethod
    def of(cls, gold: ArrayLike, predicted: ArrayLike) -> NumberOutcomes:
        """From gold numbers (texts,) and those of each seed (seeds, texts).

        Raises:
            InputError: there are fewer than two different gold numbers.
        """
        wanted = np.asarray(gold, dtype=np.float64)
        if len(np.unique(wanted)) < 2:
            raise InputError("there are no different numbers to predict", found=f"{len(wanted)} known numbers")
        return cls(wanted, (np.asarray(predicted, dtype=np.float64) - wanted) ** 2)

    @property
    def n(self) -> int:
        """The number of texts."""
        return len(self.gold)

    def of_seed(self, index: int) -> NumberOutcomes:
        """Those of one seed."""
        return NumberOutcomes(self.gold, self.errors[[index]])

    def score(self) -> float:
        """`r_squared`, the mean over the seeds."""
        return float(1.0 - self.errors.mean(axis=0).sum() / _spread(self.gold))

    def interval(self, *, confidence: float, num_resamples: int, seed: int) -> tuple[float, float]:
        """The score's percentile bootstrap interval over texts; see `bootstrap_interval`."""

        def score(errors: NDArray[np.float64], gold: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
            return 1.0 - _share(errors.sum(axis=axis), _spread(gold, axis), otherwise=1.0 - self.score())

        data = (self.errors.mean(axis=0), self.gold)
        return percentile_interval(data, score, confidence=confidence, num_resamples=num_resamples, seed=seed)

    def gain_interval(
        self, baseline: NumberOutcomes, *, confidence: float, num_resamples: int, seed: int
    ) -> tuple[float, float]:
        """The gain's over a baseline on the same texts, both read on the same drawn ones."""

        def gain(saved: NDArray[np.float64], gold: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
            return _share(saved.sum(axis=axis), _spread(gold, axis), otherwise=self.score() - baseline.score())

        data = (self._saved(baseline), self.gold)
        return percentile_interval(data, gain, confidence=confidence, num_resamples=num_resamples, seed=seed)

    def p_value(self, baseline: NumberOutcomes, *, num_resamples: int, seed: int) -> float:
        """The gain's over a baseline on the same texts: the paired permutation test of `paired_permutation_test`.

        The gain is a sum over texts of what each saves, divided by a spread that no swap changes.
        """
        return swap_test(self._saved(baseline), num_resamples=num_resamples, seed=seed)

    def _saved(self, baseline: NumberOutcomes) -> NDArray[np.float64]:
        saved: NDArray[np.float64] = baseline.errors.mean(axis=0) - self.errors.mean(axis=0)
        return saved


def number_outcomes(*systems: Sequence[NumberPredictions]) -> list[NumberOutcomes]:
    """The outcomes of each system, whose predictions are of the same texts, one per seed.

    Raises:
        InputError: there are fewer than two different gold numbers.
    """
    return [NumberOutcomes.of(parts[0].gold, [part.predicted for part in parts]) for parts in systems]


def _spread(gold: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    """The sum of squared distances from the mean."""
    spread: NDArray[np.float64] = ((gold - gold.mean(axis=axis, keepdims=True)) ** 2).sum(axis=axis)
    return spread


def _share(part: NDArray[np.float64], whole: NDArray[np.float64], *, otherwise: float) -> NDArray[np.float64]:
    """A quotient; where all drawn numbers are the same one, which tells nothing, what was found without drawing."""
    return np.divide(part, whole, out=np.full_like(part, otherwise), where=whole > 0)
