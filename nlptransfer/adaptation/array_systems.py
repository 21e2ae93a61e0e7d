"""Methods on arrays, chained: features and labels in, one linear classifier over the original features out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from nlptransfer.adaptation.coral import CORAL
from nlptransfer.adaptation.easyadapt import EasyAdapt, EasyAdaptPlusPlus
from nlptransfer.adaptation.feature_arrays import FeatureArray, stack_rows
from nlptransfer.adaptation.instance_weighting import DensityRatioWeighting, effective_sample_size
from nlptransfer.adaptation.inverse_document_frequency import IDFWeighting
from nlptransfer.adaptation.kernel_mean_matching import KernelMeanMatching
from nlptransfer.adaptation.kliep import KLIEP
from nlptransfer.adaptation.label_shift import LabelShiftCorrection
from nlptransfer.adaptation.method_names import STEPS, Method, setting_of
from nlptransfer.adaptation.resampling import resample_indices
from nlptransfer.adaptation.scl import StructuralCorrespondenceLearning
from nlptransfer.adaptation.self_training import SelfTraining
from nlptransfer.adaptation.subspace_alignment import SubspaceAlignment
from nlptransfer.adaptation.tradaboost import TrAdaBoost
from nlptransfer.errors import InputError
from nlptransfer.models.linear import collapse

_HARD_VOTE = 1e6
"""What a vote's logits are multiplied by: its probabilities are then 0 or 1."""
_TIE_VOTE = 1e-9
"""The share of the votes that decides where the rounds' are equal."""


@dataclass(frozen=True)
class DomainArrays:
    """What a method on arrays may see of two domains.

    Attributes:
        source: (N, D) features of labelled source rows.
        labels: (N,) their class ids, 0..C-1.
        target: (M, D) features of target rows, without labels.
        num_labels: C.
        source_unlabelled: (K, D) further source rows, or None.
        few: (L, D) the few labelled target rows that were allowed, or None.
        few_labels: (L,) their class ids, or None.
    """

    source: FeatureArray
    labels: np.ndarray
    target: FeatureArray
    num_labels: int
    source_unlabelled: FeatureArray | None = None
    few: FeatureArray | None = None
    few_labels: np.ndarray | None = None


@dataclass(frozen=True)
class PreparedArrays:
    """A chain's features and rows, ready for its classifier or network.

    Attributes:
        rows: (N', D') the training rows.
        labels: (N',) their class ids.
        weights: (N',) what each counts, with mean 1.
        target: (M, D') the target's unlabelled rows.
        few: (L, D') the few labelled target rows, or None; they are among `rows` where a transform asked for them.
        few_labels: (L,) or None.
        transforms: those that were fitted, in their order, each with its input's width.
        facts: what they report, as plain values.
    """

    rows: FeatureArray
    labels: np.ndarray
    weights: np.ndarray
    target: FeatureArray
    few: FeatureArray | None
    few_labels: np.ndarray | None
    transforms: list[tuple[Any, int]]
    facts: dict[str, Any]


@dataclass(frozen=True)
class LinearSystem:
    """A trained method: the members of a `LinearTextClassifier` over the original features.

    Attributes:
        coefficients: (M, C, D).
        intercepts: (M, C).
        member_weights: (M,).
        facts: what the method reports of itself, as plain values.
        prepared: what its classifier was trained on, and the target beside it.
    """

    coefficients: np.ndarray
    intercepts: np.ndarray
    member_weights: np.ndarray
    facts: dict[str, Any]
    prepared: PreparedArrays


def prepare_arrays(method: Method, arrays: DomainArrays, *, seed: int) -> PreparedArrays:
    """Apply a method's transforms and weightings.

    Transforms are fitted and applied one after the other, each on what the one before has made. Weights multiply;
    resampled rows are repeated or left out.

    Args:
        method: the method.
        arrays: what it may see.
        seed: of what is random in it.

    Returns:
        The rows to train on.

    Raises:
        InputError: the method needs labelled target rows and there are none, or a step can't be fitted.
        ValueError: the method begins with a representation, which `represent_arrays` learns.
    """
    if method.representation is not None:
        raise ValueError(f"{method.name} begins with a representation: see represent_arrays")
    if method.needs_target_labels and arrays.few is None:
        raise InputError(
            f"'{method.name}' needs a few labelled reviews of the target",
            remedy="Allow some with --target_labels 50, or leave this method out.",
        )
    rows, labels = arrays.source, np.asarray(arrays.labels)
    target, few, unlabelled = arrays.target, arrays.few, arrays.source_unlabelled
    weights = np.ones(len(labels))
    uses_few = any(step in ("easyadapt", "easyadapt_pp") for step, _ in method.steps)
    agreement_rows = None
    transforms: list[tuple[Any, int]] = []
    facts: dict[str, Any] = {}
    for step, value in method.steps[:-1]:
        if STEPS[step].kind == "transform":
            transform = _make_transform(step, value, seed)
            extra = {"source_unlabelled": unlabelled} if step == "scl" else {}
            transform.fit(rows, labels, target_features=target, **extra)
            transforms.append((transform, rows.shape[1]))
            if step == "easyadapt_pp":
                agreement_rows = (transform.unlabelled_rows(target), transform.unlabelled_weight)
            rows = transform.transform(rows, domain="source")
            unlabelled = None if unlabelled is None else transform.transform(unlabelled, domain="source")
            target = transform.transform(target, domain="target")
            few = None if few is None else transform.transform(few, domain="target")
        elif step in ("oversample", "undersample"):
            kept = resample_indices(labels, kind="over" if step == "oversample" else "under", seed=seed)
            rows, labels, weights = rows[kept], labels[kept], weights[kept]
        else:
            weighting = _make_weighting(step, value, seed).fit(rows, target_features=target)
            weights = weights * weighting.weights_
    if any(STEPS[step].kind == "weighting" for step, _ in method.steps):
        facts["effective_sample_size"] = effective_sample_size(weights)  # which refuses weights that sum to 0
        facts["source_rows"] = len(weights)
    weights = weights / weights.mean()
    if uses_few:
        rows = stack_rows(rows, few)
        labels = np.concatenate([labels, np.asarray(arrays.few_labels)])
        weights = np.concatenate([weights, np.ones(len(labels) - len(weights))])
    if agreement_rows is not None:
        more, weight = agreement_rows
        rows = stack_rows(rows, *[more] * arrays.num_labels)
        labels = np.concatenate([labels, np.repeat(np.arange(arrays.num_labels), more.shape[0])])
        weights = np.concatenate([weights, np.full(len(labels) - len(weights), weight)])
    return PreparedArrays(rows, labels, weights, target, few, arrays.few_labels, transforms, facts)


def fit_array_system(method: Method, arrays: DomainArrays, *, regularization: float = 10.0, seed: int) -> LinearSystem:
    """Train a method that ends in a linear classifier.

    Every transform here is affine, so that whatever the chain, the result is linear in the original features
    (`collapse`): one matrix to save, to read and to compare.

    Args:
        method: a method that is no network.
        arrays: what it may see of the two domains.
        regularization: C of the logistic regression; a larger one trusts the labels more.
        seed: of what is random in the method.

    Returns:
        The classifier's members.

    Raises:
        InputError: see `prepare_arrays`; a class has too few rows, or there are more classes than the method is for.
        ValueError: the method is a network.

    Example:
        >>> system = fit_array_system(parse_method("idf+self_training"), arrays, seed=0)
    """
    if method.is_network:
        raise ValueError(f"{method.name} is a network: train it with fit_network_system")
    prepared = prepare_arrays(method, arrays, seed=seed)
    rows, labels, weights = prepared.rows, prepared.labels, prepared.weights
    few, few_labels = prepared.few, prepared.few_labels
    facts = dict(prepared.facts)
    head, value = method.steps[-1]
    estimator = LogisticRegression(C=regularization, max_iter=1000)
    if head == "few_only":
        rows, labels = few, np.asarray(few_labels)
        weights = np.ones(len(labels))
    elif head == "pooled":
        rows = stack_rows(rows, few)
        labels = np.concatenate([labels, np.asarray(few_labels)])
        weights = np.concatenate([weights, np.ones(len(labels) - len(weights))])
    _check_classes(method, labels, few_labels if head == "tradaboost" else None, arrays.num_labels)
    members = np.ones(1)
    if head in ("linear", "pooled", "few_only"):
        estimator.fit(rows, labels, sample_weight=weights)
        coefficients, intercepts = _two_rows(estimator.coef_, estimator.intercept_)
    elif head == "self_training":
        trainer = SelfTraining(estimator, final_share=setting_of(head, value), seed=seed)
        trainer.fit(rows, labels, target_features=prepared.target, sample_weight=weights)
        coefficients, intercepts = _two_rows(trainer.coef_, trainer.intercept_)
        facts |= {
            "rounds": len(trainer.rounds_) - 1,
            "stopped_by_drift": trainer.stopped_,
            "agreement": [round(part.agreement, 4) for part in trainer.rounds_ if part.agreement is not None],
        }
    elif head == "label_shift":
        corrected = LabelShiftCorrection(estimator, seed=seed).fit(rows, labels, target_features=prepared.target)
        coefficients, intercepts = _two_rows(corrected.coef_, corrected.intercept_)
        facts["estimated_target_priors"] = [float(prior) for prior in corrected.target_priors_]
    else:
        boosted = TrAdaBoost(estimator, num_rounds=int(setting_of(head, value)))
        boosted.fit(rows, labels, labelled_target_features=few, labelled_target_labels=np.asarray(few_labels))
        rounds, added, members = boosted.members()
        pairs = [_two_rows(row[None], number[None]) for row, number in zip(rounds, added, strict=True)]
        # Rounds vote with what they say, not with how sure they are.
        coefficients = _HARD_VOTE * np.stack([pair[0] for pair in pairs])
        intercepts = _HARD_VOTE * np.stack([pair[1] for pair in pairs])
        # Equal votes make the second class, as in TrAdaBoost, and rounds without an error have equal votes.
        coefficients = np.concatenate([coefficients, np.zeros_like(coefficients[:1])])
        intercepts = np.concatenate([intercepts, [[0.0, _HARD_VOTE]]])
        members = np.append(members, _TIE_VOTE * members.sum())
    if coefficients.ndim == 2:
        coefficients, intercepts = coefficients[None], intercepts[None]
    num_members, num_labels = intercepts.shape
    flat = coefficients.reshape(num_members * num_labels, -1)
    flat, added = undo_transforms(flat, intercepts.reshape(-1), prepared.transforms)
    return LinearSystem(
        flat.reshape(num_members, num_labels, -1), added.reshape(num_members, num_labels), members, facts, prepared
    )


def undo_transforms(
    coefficients: np.ndarray, intercepts: np.ndarray, transforms: list[tuple[Any, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of coefficients over the last transform's output, as rows over the first one's input; see `collapse`.

    Args:
        coefficients: (R, D').
        intercepts: (R,).
        transforms: fitted transforms in their order, each with its input's width.

    Returns:
        (R, D) and (R,).
    """
    for transform, width in reversed(transforms):
        coefficients, intercepts = collapse(coefficients, intercepts, transform, width)
    return coefficients, intercepts


def _check_classes(method: Method, labels: np.ndarray, few_labels: np.ndarray | None, num_labels: int) -> None:
    """Refuse training rows that lack a class, for which a classifier would have no coefficients."""
    head = method.head
    if head == "tradaboost" and num_labels != 2:
        raise InputError(
            f"'{method.name}' is for two classes",
            found=str(num_labels),
            remedy="Leave it out, or use pooled or easyadapt.",
        )
    known = labels if few_labels is None else np.concatenate([labels, few_labels])
    missing = np.flatnonzero(np.bincount(np.asarray(known, dtype=np.int64), minlength=num_labels) == 0)
    if len(missing):
        rows = "labelled reviews of the target" if head == "few_only" else "labelled reviews"
        raise InputError(
            f"'{method.name}' lacks {rows} of a class",
            expected=f"some of each of the {num_labels} classes",
            found=f"none of class {', '.join(str(label) for label in missing)} among {len(known)}",
            remedy="Allow more with --target_labels, or leave this method out."
            if head == "few_only"
            else "Leave the class out, or add reviews of it.",
        )


def _make_transform(step: str, value: float | None, seed: int) -> Any:
    if step == "idf":
        return IDFWeighting()
    if step == "coral":
        return CORAL(regularization=setting_of(step, value))
    if step == "scl":
        return StructuralCorrespondenceLearning(num_dimensions=int(setting_of(step, value)))
    if step == "subspace_alignment":
        return SubspaceAlignment(num_components=int(setting_of(step, value)), seed=seed)
    if step == "easyadapt":
        return EasyAdapt()
    return EasyAdaptPlusPlus(unlabelled_weight=setting_of(step, value))


def _make_weighting(step: str, value: float | None, seed: int) -> Any:
    if step == "density_ratio":
        return DensityRatioWeighting(C=setting_of(step, value), seed=seed)
    if step == "kmm":
        return KernelMeanMatching()
    return KLIEP(seed=seed)


def _two_rows(coefficients: np.ndarray, intercepts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C, D) and (C,) also for two classes, of which scikit-learn gives the second one only."""
    if len(coefficients) > 1:
        return np.asarray(coefficients), np.asarray(intercepts)
    # The sigmoid of z is the second entry of the softmax of (0, z).
    return np.concatenate([0 * coefficients, coefficients]), np.concatenate([0 * intercepts, intercepts])
