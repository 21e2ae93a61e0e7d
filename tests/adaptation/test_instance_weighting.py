"""Density-ratio weights against the true ratio of known densities, and what they are good for."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import norm
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from nlptransfer.adaptation.instance_weighting import DensityRatioWeighting, check_weights, effective_sample_size
from nlptransfer.errors import InputError


def gaussians(seed: int, num_source: int = 600, num_target: int = 430, shift: float = 1.0) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(seed)
    source, target = random.normal(size=(num_source, 3)), random.normal(size=(num_target, 3))
    target[:, 0] += shift
    return source, target


def covariate_shift(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One feature; far from 0 on either side is class 1. No line follows that in the source; on the right, one does."""
    random = np.random.default_rng(seed)
    source, target = random.normal(0, 1, (1200, 1)), random.normal(1.5, 1, (900, 1))
    return source, (np.abs(source[:, 0]) > 1).astype(int), target, (np.abs(target[:, 0]) > 1).astype(int)


def test_effective_sample_size_is_the_size_at_which_equal_weights_are_as_steady() -> None:
    weights = np.array([0.2, 3.0, 1.0, 0.0, 2.0])
    # Variance of a weighted mean of independent unit-variance numbers, and of a plain mean of k of them.
    variance = sum((weight / weights.sum()) ** 2 for weight in weights)
    assert effective_sample_size(weights) == pytest.approx(1 / variance)
    assert effective_sample_size(np.full(7, 3.0)) == pytest.approx(7)
    assert effective_sample_size([0, 0, 5]) == pytest.approx(1)


def test_weights_are_the_true_density_ratio_where_it_is_known() -> None:
    source, target = gaussians(0)
    weighting = DensityRatioWeighting(C=1.0).fit(source, target_features=target)
    truth = norm(1, 1).pdf(source[:, 0]) / norm(0, 1).pdf(source[:, 0])
    assert np.corrcoef(np.log(weighting.weights_), np.log(truth))[0, 1] > 0.97
    assert np.corrcoef(weighting.weights_, truth)[0, 1] > 0.97
    assert weighting.weights_.mean() == pytest.approx(1)
    assert weighting.effective_sample_size_ == pytest.approx(effective_sample_size(truth), rel=0.25)


def test_weights_are_the_formula_over_the_probabilities_of_the_folds() -> None:
    source, target = gaussians(1, 40, 27)
    weighting = DensityRatioWeighting(C=0.5, clip=1.4, folds=3, seed=2).fit(source, target_features=target)
    rows, domains = np.concatenate([source, target]), np.repeat([0, 1], [40, 27])
    probabilities = cross_val_predict(
        LogisticRegression(C=0.5, tol=1e-8),
        rows,
        domains,
        cv=StratifiedKFold(3, shuffle=True, random_state=2),
        method="predict_proba",
    )[:40]
    ratios = [min(1.4, target / source * 40 / 27) for source, target in probabilities]
    assert max(ratios) == 1.4  # the clip is at work
    np.testing.assert_allclose(weighting.weights_, np.array(ratios) / np.mean(ratios), rtol=2e-3)


def test_a_row_gets_its_weight_from_a_classifier_that_has_not_seen_it() -> None:
    # More columns than rows: seen in training, every row is told apart, though the domains are one distribution.
    random = np.random.default_rng(0)
    source, target = random.normal(size=(60, 400)), random.normal(size=(50, 400))
    rows, domains = np.concatenate([source, target]), np.repeat([0, 1], [60, 50])
    seen = LogisticRegression(C=0.01).fit(rows, domains).predict_proba(source)[:, 1]
    assert seen.max() < 0.5  # with all rows seen, each source row looks like source
    weights = DensityRatioWeighting(C=0.01).fit(source, target_features=target).weights_
    assert (weights > 1).mean() == pytest.approx(0.5, abs=0.2)


def test_other_rows_of_a_fold_have_no_say_in_its_weights() -> None:
    # The first fold's rows are replaced by others, but for one; all get what the other folds' classifier says.
    random = np.random.default_rng(9)
    source, target = random.normal(size=(40, 60)), random.normal(0.3, 1, size=(30, 60))
    domains = np.repeat([0, 1], [40, 30])
    seen, unseen = next(StratifiedKFold(4, shuffle=True, random_state=0).split(domains, domains))
    others, other_target = source.copy(), target.copy()
    unseen_source = unseen[unseen < 40]
    others[unseen_source[:-1]] = random.normal(size=(len(unseen_source) - 1, 60))
    other_target[unseen[unseen >= 40] - 40] = -7.0
    weights = [
        DensityRatioWeighting(C=0.1, folds=4, seed=0).fit(rows, target_features=rows_of_target).weights_
        for rows, rows_of_target in ((source, target), (others, other_target))
    ]
    truth = LogisticRegression(C=0.1, tol=1e-8, max_iter=1000).fit(
        np.concatenate([source, target])[seen], domains[seen]
    )
    kept = unseen_source[-1]
    logit = truth.decision_function(source[kept : kept + 1])[0]
    for found, rows in zip(weights, (source, others), strict=True):
        # Weights are divided by their mean, so ratios within the fold are what can be compared.
        expected = np.exp(truth.decision_function(rows[unseen_source]) - logit)
        np.testing.assert_allclose(found[unseen_source] / found[kept], expected, rtol=2e-2)


def test_an_unfinished_classifier_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = gaussians(0, 60, 50)
    monkeypatch.setattr("nlptransfer.adaptation.instance_weighting._MOST_STEPS", 2)
    with pytest.warns(UserWarning, match="not done after 2 steps"):
        DensityRatioWeighting(C=1.0).fit(source, target_features=target)


@pytest.mark.parametrize("num_columns", [30, 900])
def test_weights_are_as_near_to_those_of_the_optimum_as_is_said(num_columns: int) -> None:
    random = np.random.default_rng(11)
    topics = random.normal(size=(20, num_columns))
    source, target = (
        (random.normal(size=(number, 20)) @ topics * spread / 4 + random.normal(mean, 1, (number, num_columns)))
        for number, spread, mean in ((300, 1, 0), (210, 2, 0.05))
    )
    rows, domains = np.concatenate([source, target]), np.repeat([0, 1], [300, 210])
    exact = np.empty(300)
    for seen, unseen in StratifiedKFold(5, shuffle=True, random_state=0).split(rows, domains):
        classifier = LogisticRegression(C=0.01, tol=1e-9, max_iter=10_000).fit(rows[seen], domains[seen])
        unseen = unseen[unseen < 300]
        exact[unseen] = np.exp(classifier.decision_function(rows[unseen]))
    weights = DensityRatioWeighting().fit(source.astype(np.float32), target_features=target.astype(np.float32)).weights_
    deviation = np.abs(weights / (exact / exact.mean()) - 1)
    assert np.median(deviation) < 0.01
    assert deviation.max() < 0.1
    assert np.abs(np.log(exact)).max() > 1  # the weights do differ


def test_weighting_mends_a_line_that_the_source_bends_away() -> None:
    source, labels, target, target_labels = covariate_shift(3)
    plain = LogisticRegression().fit(source, labels).score(target, target_labels)
    weighting = DensityRatioWeighting(C=1.0).fit(source, target_features=target)
    weighted = LogisticRegression().fit(source, labels, sample_weight=weighting.weights_).score(target, target_labels)
    assert plain < 0.5
    assert weighted > 0.8


def test_without_a_shift_all_weights_are_near_one() -> None:
    source, target = gaussians(4, shift=0)
    weighting = DensityRatioWeighting(C=1.0).fit(source, target_features=target)
    assert np.abs(weighting.weights_ - 1).mean() < 0.15
    assert weighting.effective_sample_size_ > 0.98 * len(source)


def test_a_c_near_zero_weights_nothing() -> None:
    source, target = gaussians(4)
    np.testing.assert_allclose(DensityRatioWeighting(C=1e-9).fit(source, target_features=target).weights_, 1, atol=1e-3)


def test_sparse_and_dense_rows_get_the_same_weights_and_the_input_stays_as_it_was() -> None:
    random = np.random.default_rng(5)
    source = sparse.random_array((50, 30), density=0.2, rng=random, format="csr", dtype=np.float32)
    target = sparse.random_array((41, 30), density=0.3, rng=random, format="csr", dtype=np.float32)
    before = source.copy(), target.copy()
    of_sparse = DensityRatioWeighting(C=1.0).fit(source, target_features=target).weights_
    of_dense = DensityRatioWeighting(C=1.0).fit(source.toarray(), target_features=target.toarray()).weights_
    np.testing.assert_allclose(of_sparse, of_dense, rtol=5e-3)
    for now, then in zip((source, target), before, strict=True):
        np.testing.assert_array_equal(now.data, then.data)


def test_sparse_rows_are_never_made_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("made dense")

    rows = sparse.random_array((20, 9), density=0.5, rng=np.random.default_rng(0), format="csr")
    monkeypatch.setattr(sparse.csr_array, "toarray", refuse)
    monkeypatch.setattr(sparse.csr_matrix, "toarray", refuse)
    assert len(DensityRatioWeighting().fit(rows, target_features=rows).weights_) == 20


def test_degenerate_weights_are_warned_of_and_good_ones_are_not() -> None:
    source, target = gaussians(6, shift=8)
    with pytest.warns(UserWarning, match="600 source rows count like"):
        weighting = DensityRatioWeighting(C=100.0).fit(source, target_features=target)
    assert weighting.effective_sample_size_ < 30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_weights(np.arange(100))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.0, 0.0], "the weights sum to zero"),
        ([1.0, np.nan], "found nan in row 1"),
        ([np.inf, 1.0], "found inf in row 0"),
        ([1.0, -0.5], "found -0.5 in row 1"),
        ([], "there are no weights"),
    ],
)
def test_weights_that_nothing_can_be_trained_with_are_refused(weights: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_weights(weights)
    with pytest.raises(InputError, match=message):
        effective_sample_size(weights)


def test_weights_come_back_with_mean_one_in_an_array_of_their_own() -> None:
    given = np.array([1.0, 3.0, 0.0])
    np.testing.assert_allclose(check_weights(given), [0.75, 2.25, 0])
    assert given.tolist() == [1, 3, 0]


def test_bad_domains_are_told() -> None:
    source, target = gaussians(7, 20, 4)
    with pytest.raises(InputError, match="found 20 in the source, 4 in the target"):
        DensityRatioWeighting().fit(source, target_features=target)
    with pytest.raises(InputError, match="width"):
        DensityRatioWeighting().fit(source, target_features=target[:, :2])


def test_the_weighting_can_be_cloned_and_another_seed_cuts_other_folds() -> None:
    source, target = gaussians(8, 60, 50)
    first = DensityRatioWeighting(seed=1).fit(source, target_features=target)
    np.testing.assert_array_equal(clone(first).fit(source, target_features=target).weights_, first.weights_)
    other = clone(first).set_params(seed=2).fit(source, target_features=target)
    assert (other.weights_ != first.weights_).any()
