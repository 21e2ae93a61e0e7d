"""Representations by name: what a method's first step learns from the unlabelled text of both domains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from nlptransfer.adaptation.array_systems import DomainArrays
from nlptransfer.adaptation.feature_arrays import FeatureArray
from nlptransfer.adaptation.marginalized_denoising import MarginalizedDenoising
from nlptransfer.adaptation.method_names import STEPS, Method, setting_of
from nlptransfer.embeddings.feature_layers import FeatureLayers

SDA_UNITS = 500
"""Units in each layer of an SDA."""


class Representation(Protocol):
    """What every learnt representation has: `MarginalizedDenoising` and `StackedDenoising`.

    Attributes:
        layers_: applies it; there once it is fitted.
        facts_: what its fit reports of itself, as plain values.
    """

    layers_: FeatureLayers
    facts_: dict[str, Any]

    def fit_transform(
        self,
        features: FeatureArray,
        labels: np.ndarray | None = None,
        *,
        target_features: FeatureArray | None = None,
        source_unlabelled: FeatureArray | None = None,
    ) -> np.ndarray:
        """Learn from all rows, and represent the source's, the target's and the further source rows, in this order."""

    def transform(self, features: FeatureArray, *, domain: str = "target") -> np.ndarray:
        """(N, dim) float32 for (N, D) rows of either domain."""

    def influences(self, columns: np.ndarray) -> np.ndarray:
        """(F, D): by how much each feature adds to the first layer's reconstruction of the given ones."""

    def reconstruction_errors(self, features: FeatureArray, *, seed: int) -> list[float]:
        """By layer, the error of reconstructing from corrupted rows; 1 where nothing was learnt, 0 at best."""


def make_representation(
    step: str, value: float | None = None, *, corruption: float | None = None, output_dim: int | None = None, seed: int
) -> Representation:
    """An unfitted representation.

    Args:
        step: such as "msda" or "sda_without_target".
        value: its number, the layers; None for the default.
        corruption: p; None for the default of its kind.
        output_dim: main directions to project to; None for all of the representation. mSDA's alone.
        seed: of what is random in it.

    Returns:
        The estimator.

    Raises:
        ValueError: the step is no representation.

    Example:
        >>> make_representation("msda", 5, corruption=0.7, seed=0)
    """
    if step not in STEPS or STEPS[step].kind != "representation":
        raise ValueError(f"{step} is no representation")
    num_layers = int(setting_of(step, value))
    if step.startswith("msda"):
        made: Any = MarginalizedDenoising(num_layers=num_layers, output_dim=output_dim, seed=seed)
    else:
        from nlptransfer.adaptation.denoising import StackedDenoising  # which loads torch

        made = StackedDenoising(hidden_dims=(SDA_UNITS,) * num_layers, seed=seed)
    representation: Representation = made if corruption is None else made.set_params(corruption=corruption)
    return representation


@dataclass(frozen=True)
class RepresentedArrays:
    """Two domains in a representation that was learnt from them.

    Attributes:
        method: what is left to do: the method's other steps.
        arrays: the same rows, represented; without the further source rows, which no later step reads.
        learnt: the fitted representation.
    """

    method: Method
    arrays: DomainArrays
    learnt: Representation


def represent_arrays(
    method: Method,
    arrays: DomainArrays,
    *,
    corruption: float | None = None,
    output_dim: int | None = None,
    seed: int,
) -> RepresentedArrays:
    """Learn the representation that a method begins with, without any label, and represent all rows by it.

    A step "..._without_target" learns from the source's rows alone: the control, which tells what is owed to the
    target's text and what to a representation as such.

    Args:
        method: one that begins with a representation.
        arrays: what it may see of the two domains.
        corruption: see `make_representation`.
        output_dim: see `make_representation`.
        seed: of what is random in the representation.

    Returns:
        The rows, and the method that works on them.

    Raises:
        ValueError: the method begins with no representation.

    Example:
        >>> represented = represent_arrays(parse_method("msda+self_training"), arrays, seed=0)
        >>> system = fit_array_system(represented.method, represented.arrays, seed=0)
        >>> system.coefficients @ represented.learnt.transform(test_features).T
    """
    if method.representation is None:
        raise ValueError(f"{method.name} begins with no representation")
    step, value = method.representation
    learnt = make_representation(step, value, corruption=corruption, output_dim=output_dim, seed=seed)
    rows = learnt.fit_transform(
        arrays.source,
        target_features=None if method.is_control else arrays.target,
        source_unlabelled=arrays.source_unlabelled,
    )
    num_source, num_target = arrays.source.shape[0], arrays.target.shape[0]
    represented = DomainArrays(
        source=rows[:num_source],
        labels=arrays.labels,
        target=learnt.transform(arrays.target) if method.is_control else rows[num_source : num_source + num_target],
        num_labels=arrays.num_labels,
        few=None if arrays.few is None else learnt.transform(arrays.few),
        few_labels=arrays.few_labels,
    )
    return RepresentedArrays(method.on_representation(), represented, learnt)
