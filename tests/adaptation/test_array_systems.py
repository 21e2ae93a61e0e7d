"""Methods by name against the same chain written out, one transform and one classifier after the other."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from scipy import sparse
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from nlptransfer.adaptation.array_systems import DomainArrays, LinearSystem, fit_array_system, prepare_arrays
from nlptransfer.adaptation.coral import CORAL
from nlptransfer.adaptation.easyadapt import EasyAdapt, EasyAdaptPlusPlus
from nlptransfer.adaptation.instance_weighting import DensityRatioWeighting, effective_sample_size
from nlptransfer.adaptation.inverse_document_frequency import IDFWeighting
from nlptransfer.adaptation.kernel_mean_matching import KernelMeanMatching
from nlptransfer.adaptation.kliep import KLIEP
from nlptransfer.adaptation.label_shift import LabelShiftCorrection
from nlptransfer.adaptation.method_names import STEPS, parse_method
from nlptransfer.adaptation.resampling import resample_indices
from nlptransfer.adaptation.scl import StructuralCorrespondenceLearning
from nlptransfer.adaptation.self_training import SelfTraining
from nlptransfer.adaptation.subspace_alignment import SubspaceAlignment
from nlptransfer.adaptation.tradaboost import TrAdaBoost
from nlptransfer.errors import InputError

SEED = 3
SMALL = {"subspace_alignment": "subspace_alignment:5", "scl": "scl:6"}
SMALL_METHODS = [
    SMALL.get(name, name) for name, step in STEPS.items() if step.kind not in ("network", "representation")
]


def make_arrays(num_labels: int = 2, *, thin: bool = True, sizes: tuple[int, ...] = (90, 70, 40, 24)) -> DomainArrays:
    """Counts of 30 words, five of which tell each class; the last ten are the source's alone or the target's alone."""
    rng = np.random.default_rng(num_labels)

    def part(number: int, others: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.permutation(np.arange(number) % num_labels)
        rates = np.full((number, 30), 0.3)
        rates[:, others : others + 5] = 0
        for label in range(num_labels):
            rates[labels == label, 5 * label : 5 * label + 5] += 0.5
        return rng.poisson(rates).astype(np.float32), labels

    (source, labels), (target, _) = part(sizes[0], 25), part(sizes[1], 20)
    (more, _), (few, few_labels) = part(sizes[2], 25), part(sizes[3], 20)
    kind = sparse.csr_matrix if thin else np.asarray
    return DomainArrays(kind(source), labels, kind(target), num_labels, kind(more), kind(few), few_labels)


def logistic(
    rows: object, labels: np.ndarray, weights: np.ndarray | None = None, C: float = 10.0
) -> LogisticRegression:
    return LogisticRegression(C=C, max_iter=1000).fit(rows, labels, sample_weight=weights)


def says(system: LinearSystem, rows: object) -> np.ndarray:
    """The members' weighted probabilities, (N, C), as a `LinearTextClassifier` takes them."""
    parts = [softmax(rows @ w.T + b, axis=1) for w, b in zip(system.coefficients, system.intercepts, strict=True)]
    return np.einsum("m,mnc->nc", system.member_weights / system.member_weights.sum(), np.stack(parts))


def stacked(*parts: object) -> object:
    return sparse.vstack(parts, format="csr") if sparse.issparse(parts[0]) else np.concatenate(parts)


def by_hand(name: str, arrays: DomainArrays) -> np.ndarray:
    """Probabilities of the target's rows, each chain written out."""
    source, labels, target = arrays.source, arrays.labels, arrays.target
    few, few_labels = arrays.few, arrays.few_labels
    if name == "linear":
        return logistic(source, labels).predict_proba(target)
    if name == "few_only":
        return logistic(few, few_labels).predict_proba(target)
    if name == "pooled":
        return logistic(stacked(source, few), np.concatenate([labels, few_labels])).predict_proba(target)
    if name == "idf":
        idf = IDFWeighting().fit(source, target_features=target)
        return logistic(idf.transform(source), labels).predict_proba(idf.transform(target))
    if name.startswith("coral"):
        coral = CORAL(regularization=float(name.partition(":")[2] or 0.01)).fit(source, target_features=target)
        return logistic(coral.transform(source, domain="source"), labels).predict_proba(coral.transform(target))
    if name == "idf+coral":
        idf = IDFWeighting().fit(source, target_features=target)
        rows, aims = idf.transform(source), idf.transform(target)
        coral = CORAL(regularization=0.01).fit(rows, target_features=aims)
        return logistic(coral.transform(rows, domain="source"), labels).predict_proba(aims)
    if name == "scl:6":
        scl = StructuralCorrespondenceLearning(num_dimensions=6)
        scl.fit(source, labels, target_features=target, source_unlabelled=arrays.source_unlabelled)
        return logistic(scl.transform(source, domain="source"), labels).predict_proba(scl.transform(target))
    if name == "idf+scl:6+self_training":
        idf = IDFWeighting().fit(source, target_features=target)
        rows, aims, more = (idf.transform(part) for part in (source, target, arrays.source_unlabelled))
        scl = StructuralCorrespondenceLearning(num_dimensions=6)
        scl.fit(rows, labels, target_features=aims, source_unlabelled=more)
        trainer = SelfTraining(LogisticRegression(C=10, max_iter=1000), seed=SEED)
        trainer.fit(scl.transform(rows, domain="source"), labels, target_features=scl.transform(aims))
        return trainer.predict_proba(scl.transform(aims))
    if name == "subspace_alignment:5":
        aligned = SubspaceAlignment(num_components=5, seed=SEED).fit(source, target_features=target)
        return logistic(aligned.transform(source, domain="source"), labels).predict_proba(aligned.transform(target))
    if name in ("easyadapt", "oversample+easyadapt"):
        if name != "easyadapt":
            kept = resample_indices(labels, kind="over", seed=SEED)
            source, labels = source[kept], labels[kept]
        adapt = EasyAdapt().fit(source, target_features=target)
        rows = stacked(adapt.transform(source, domain="source"), adapt.transform(few))
        return logistic(rows, np.concatenate([labels, few_labels])).predict_proba(adapt.transform(target))
    if name in ("easyadapt_pp", "idf+easyadapt_pp:0.1"):
        if name != "easyadapt_pp":
            idf = IDFWeighting().fit(source, target_features=target)
            source, target, few = (idf.transform(part) for part in (source, target, few))
        adapt = EasyAdaptPlusPlus(unlabelled_weight=0.01 if name == "easyadapt_pp" else 0.1)
        adapt.fit(source, target_features=target)
        rows, known, weights = adapt.training_rows(
            source, labels, target_features=target, labelled_target_features=few, labelled_target_labels=few_labels
        )
        return logistic(rows, known, weights).predict_proba(adapt.transform(target))
    if name in ("density_ratio", "kmm", "kliep"):
        weighting = {"density_ratio": DensityRatioWeighting(C=0.01, seed=SEED), "kmm": KernelMeanMatching()}.get(
            name, KLIEP(seed=SEED)
        )
        weights = weighting.fit(source, target_features=target).weights_
        return logistic(source, labels, weights).predict_proba(target)
    if name == "density_ratio:0.1+undersample+coral":
        weights = DensityRatioWeighting(C=0.1, seed=SEED).fit(source, target_features=target).weights_
        kept = resample_indices(labels, kind="under", seed=SEED)
        coral = CORAL(regularization=0.01).fit(source[kept], target_features=target)
        weights = weights[kept] / weights[kept].mean()
        return logistic(coral.transform(source[kept], domain="source"), labels[kept], weights).predict_proba(target)
    if name in ("oversample", "undersample"):
        kept = resample_indices(labels, kind="over" if name == "oversample" else "under", seed=SEED)
        return logistic(source[kept], labels[kept]).predict_proba(target)
    if name.startswith("self_training"):
        share = float(name.partition(":")[2] or 0.8)
        trainer = SelfTraining(LogisticRegression(C=10, max_iter=1000), final_share=share, seed=SEED)
        return trainer.fit(source, labels, target_features=target).predict_proba(target)
    if name == "density_ratio+self_training":
        weights = DensityRatioWeighting(C=0.01, seed=SEED).fit(source, target_features=target).weights_
        trainer = SelfTraining(LogisticRegression(C=10, max_iter=1000), seed=SEED)
        return trainer.fit(source, labels, target_features=target, sample_weight=weights).predict_proba(target)
    if name == "label_shift":
        corrected = LabelShiftCorrection(LogisticRegression(C=10, max_iter=1000), seed=SEED)
        return corrected.fit(source, labels, target_features=target).predict_proba(target)
    rounds = int(name.partition(":")[2] or 10)
    boosting = TrAdaBoost(LogisticRegression(C=10, max_iter=1000), num_rounds=rounds)
    boosting.fit(source, labels, labelled_target_features=few, labelled_target_labels=few_labels)
    return boosting.predict_proba(target)


CHAINS = [
    *SMALL_METHODS,
    "coral:1",
    "idf+coral",
    "idf+scl:6+self_training",
    "idf+easyadapt_pp:0.1",
    "oversample+easyadapt",
    "density_ratio:0.1+undersample+coral",
    "density_ratio+self_training",
    "self_training:0.3",
    "tradaboost:3",
]


@pytest.mark.parametrize("thin", [True, False], ids=["sparse", "dense"])
@pytest.mark.parametrize("name", CHAINS)
def test_on_raw_target_rows_a_system_says_what_the_chain_says(name: str, thin: bool) -> None:
    arrays = make_arrays(thin=thin)
    if "sample" in name:  # unbalanced, so that there is something to repeat or to drop
        kept = np.flatnonzero((arrays.labels == 0) | (np.arange(90) % 3 == 0))
        arrays = dataclasses.replace(arrays, source=arrays.source[kept], labels=arrays.labels[kept])
    system = fit_array_system(parse_method(name), arrays, seed=SEED)
    members, num_labels, width = system.coefficients.shape
    assert (num_labels, width) == (2, 30) and system.intercepts.shape == (members, 2)
    assert system.member_weights.shape == (members,)
    expected = by_hand(name, arrays)
    np.testing.assert_allclose(says(system, arrays.target), expected, atol=1e-3)
    assert np.ptp(expected[:, 1]) > 0.3, "it says something"
    assert json.loads(json.dumps(system.facts)) == system.facts


@pytest.mark.parametrize("name", [name for name in SMALL_METHODS if name != "tradaboost"])
def test_three_classes_are_told_apart_by_every_method_that_is_for_them(name: str) -> None:
    arrays = make_arrays(3)
    system = fit_array_system(parse_method(name), arrays, seed=SEED)
    assert system.coefficients.shape == (1, 3, 30)
    np.testing.assert_allclose(says(system, arrays.target), by_hand(name, arrays), atol=2e-3)
    if name != "label_shift":  # which may find that the target lacks one
        assert set(says(system, arrays.target).argmax(axis=1)) == {0, 1, 2}
    json.dumps(system.facts)


def test_tradaboost_is_refused_for_three_classes() -> None:
    with pytest.raises(InputError, match=r"'idf[+]tradaboost' is for two classes. Found 3"):
        fit_array_system(parse_method("idf+tradaboost"), make_arrays(3), seed=0)


def test_equal_votes_of_tradaboost_make_the_second_class() -> None:
    # With more columns than labelled rows every round is right on the few, and all votes weigh the same.
    rng = np.random.default_rng(1)
    source, few, target = rng.normal(size=(60, 8)), rng.normal(size=(4, 8)), rng.normal(size=(3000, 8))
    labels, few_labels = (source[:, 0] - source[:, 1] > 0).astype(int), np.array([0, 1, 0, 1])
    few[:, 0] = np.array([-0.2, 0.2, -0.2, 0.2])
    arrays = DomainArrays(source, labels, target, 2, few=few, few_labels=few_labels)
    boosting = TrAdaBoost(LogisticRegression(C=10, max_iter=1000), num_rounds=2)
    boosting.fit(source, labels, labelled_target_features=few, labelled_target_labels=few_labels)
    shares = boosting.predict_proba(target)[:, 1]
    assert (np.abs(shares - 0.5) < 1e-12).any(), "some rows must have equal votes"
    system = fit_array_system(parse_method("tradaboost:2"), arrays, seed=0)
    assert says(system, target).argmax(axis=1).tolist() == boosting.predict(target).tolist()


@pytest.mark.parametrize(
    "name", ["few_only", "pooled", "easyadapt", "easyadapt_pp", "idf+tradaboost", "easyadapt+dann"]
)
def test_methods_for_a_few_target_labels_complain_without_them(name: str) -> None:
    arrays = dataclasses.replace(make_arrays(), few=None, few_labels=None)
    with pytest.raises(InputError, match=r"needs a few labelled reviews of the target.*--target_labels 50") as caught:
        prepare_arrays(parse_method(name), arrays, seed=0)
    assert f"'{name}'" in str(caught.value)


@pytest.mark.parametrize("name", [name for name in SMALL_METHODS if not parse_method(name).needs_target_labels])
def test_methods_without_target_labels_do_not_look_at_them(name: str) -> None:
    arrays = make_arrays()
    without = dataclasses.replace(arrays, few=None, few_labels=None)
    given, expected = (fit_array_system(parse_method(name), part, seed=SEED) for part in (arrays, without))
    np.testing.assert_array_equal(given.coefficients, expected.coefficients)
    assert given.facts == expected.facts


@pytest.mark.parametrize("name", SMALL_METHODS)
@pytest.mark.parametrize("thin", [True, False])
def test_the_callers_arrays_stay_as_they_were(name: str, thin: bool) -> None:
    arrays, same = make_arrays(thin=thin), make_arrays(thin=thin)
    fit_array_system(parse_method(name), arrays, seed=SEED)
    for field in dataclasses.fields(DomainArrays):
        before, after = getattr(same, field.name), getattr(arrays, field.name)
        if sparse.issparse(before):
            before, after = before.toarray(), after.toarray()
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", SMALL_METHODS)
def test_only_a_method_that_says_so_depends_on_the_seed(name: str) -> None:
    arrays, method = make_arrays(), parse_method(name)
    first, again, other = (fit_array_system(method, arrays, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.coefficients, again.coefficients)
    if not method.is_random:
        np.testing.assert_array_equal(first.coefficients, other.coefficients)
        np.testing.assert_array_equal(first.intercepts, other.intercepts)


def test_weightings_report_how_many_rows_their_weights_are_worth() -> None:
    arrays = make_arrays()
    method = parse_method("density_ratio:0.1+coral")
    system = fit_array_system(method, arrays, seed=SEED)
    weights = DensityRatioWeighting(C=0.1, seed=SEED).fit(arrays.source, target_features=arrays.target).weights_
    assert system.facts["effective_sample_size"] == pytest.approx(effective_sample_size(weights))
    assert 1 < system.facts["effective_sample_size"] < 90 == system.facts["source_rows"]
    np.testing.assert_allclose(system.prepared.weights, weights)
    assert system.prepared.weights.mean() == pytest.approx(1)
    assert "effective_sample_size" not in fit_array_system(parse_method("coral"), arrays, seed=SEED).facts


@pytest.mark.parametrize(("name", "rows"), [("oversample", 120), ("undersample", 60)])
def test_resampling_makes_the_classes_equally_many(name: str, rows: int) -> None:
    arrays = dataclasses.replace(make_arrays(), labels=np.repeat([0, 1], [60, 30]))
    system = fit_array_system(parse_method(name), arrays, seed=SEED)
    assert system.facts == {"effective_sample_size": rows, "source_rows": rows}
    assert np.bincount(system.prepared.labels).tolist() == [rows // 2] * 2


def test_self_training_reports_its_rounds_and_its_agreement() -> None:
    facts = fit_array_system(parse_method("self_training"), make_arrays(), seed=SEED).facts
    assert facts["stopped_by_drift"] == (facts["rounds"] < 8)
    assert len(facts["agreement"]) == facts["rounds"] + 1
    assert all(0 <= share <= 1 for share in facts["agreement"])


def test_label_shift_reports_the_shares_that_it_estimates() -> None:
    arrays = make_arrays(sizes=(400, 400, 4, 4))
    clear = logistic(arrays.source, arrays.labels).predict(arrays.target)
    rare = np.concatenate([np.flatnonzero(clear == 0)[:20], np.flatnonzero(clear == 1)])
    arrays = dataclasses.replace(arrays, target=arrays.target[rare])
    facts = fit_array_system(parse_method("label_shift"), arrays, seed=SEED).facts
    assert sum(facts["estimated_target_priors"]) == pytest.approx(1)
    assert facts["estimated_target_priors"][1] > 0.85


def test_regularization_is_that_of_the_classifier() -> None:
    arrays = make_arrays()
    system = fit_array_system(parse_method("linear"), arrays, regularization=0.01, seed=0)
    expected = logistic(arrays.source, arrays.labels, C=0.01).predict_proba(arrays.target)
    np.testing.assert_allclose(says(system, arrays.target), expected, atol=1e-6)


@pytest.mark.parametrize(("num_labels", "left"), [(2, [1]), (3, [0, 2]), (3, [1, 2])])
def test_a_class_that_is_missing_is_told_and_no_other_takes_its_place(num_labels: int, left: list[int]) -> None:
    arrays = make_arrays(num_labels)
    kept, few_kept = np.isin(arrays.labels, left), np.isin(arrays.few_labels, left)
    lacking_few = dataclasses.replace(arrays, few=arrays.few[few_kept], few_labels=arrays.few_labels[few_kept])
    with pytest.raises(InputError, match=r"'few_only' lacks labelled reviews of the target of a class.*none of class"):
        fit_array_system(parse_method("few_only"), lacking_few, seed=0)
    assert fit_array_system(parse_method("pooled"), lacking_few, seed=0).coefficients.shape == (1, num_labels, 30)
    lacking = dataclasses.replace(arrays, source=arrays.source[kept], labels=arrays.labels[kept])
    for name in ("linear", "self_training", "label_shift", "idf+coral"):
        with pytest.raises(InputError, match=f"'{name.replace('+', '[+]')}' lacks labelled reviews of a class"):
            fit_array_system(parse_method(name), lacking, seed=0)
    assert fit_array_system(parse_method("pooled"), lacking, seed=0).coefficients.shape == (1, num_labels, 30)


def test_more_components_than_can_be_had_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="subspace alignment cannot find that many principal components"):
        fit_array_system(parse_method("subspace_alignment:100000"), make_arrays(), seed=0)


def test_more_dimensions_than_scl_can_find_are_those_that_it_finds() -> None:
    system = fit_array_system(parse_method("scl:100000"), make_arrays(), seed=0)
    assert 36 < system.prepared.rows.shape[1] <= 40


def test_weights_that_sum_to_zero_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(weighting: KernelMeanMatching, features: object, *, target_features: object) -> KernelMeanMatching:
        weighting.weights_ = np.zeros(90)
        return weighting

    monkeypatch.setattr(KernelMeanMatching, "fit", nothing)
    with pytest.raises(InputError, match="the weights sum to zero"):
        fit_array_system(parse_method("kmm"), make_arrays(), seed=0)


def test_a_network_is_not_trained_here() -> None:
    with pytest.raises(ValueError, match="dann is a network"):
        fit_array_system(parse_method("dann"), make_arrays(), seed=0)
