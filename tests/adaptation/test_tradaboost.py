"""TrAdaBoost against the paper's algorithm written out row by row, and what it does with a few target labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from nlptransfer.adaptation.tradaboost import TrAdaBoost
from nlptransfer.errors import InputError

Domains = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def half_helpful(seed: int, num_source: int = 400, num_target: int = 20, helpful: float = 0.5) -> Domains:
    """Twenty features, five of which count; in a share of the source rows as in the target, in the others otherwise."""
    random = np.random.default_rng(seed)
    source, target = random.normal(size=(num_source, 20)), random.normal(size=(num_target, 20))
    in_target, elsewhere = np.repeat([1.0, 0.0], [5, 15]), np.repeat([1.0, -1.0, 0.0], [2, 3, 15])
    helps = random.random(num_source) < helpful
    labels = np.where(helps, source @ in_target > 0, source @ elsewhere > 0).astype(int)
    return source, labels, target, (target @ in_target > 0).astype(int)


def paper(source: Domains, rounds: int, new: np.ndarray) -> tuple[list[float], list[float], list[int]]:
    """Algorithm 1, row by row: final weights (sum 1), errors, answers."""
    rows, labels, few, few_labels = source
    n, m = len(rows), len(few)
    x, y = np.concatenate([rows, few]), np.concatenate([labels, few_labels])
    w = [1.0] * (n + m)
    beta = 1 / (1 + math.sqrt(2 * math.log(n) / rounds))
    hypotheses, betas, errors = [], [], []
    for _ in range(rounds):
        p = np.array(w) / sum(w)
        h = DecisionTreeClassifier(max_depth=1, random_state=0).fit(x, y, sample_weight=p * (n + m))
        answer = h.predict(x)
        error = sum(w[i] * abs(answer[i] - y[i]) for i in range(n, n + m)) / sum(w[n:])
        errors.append(error)
        error = min(max(error, 0.001), 0.499)
        beta_t = error / (1 - error)
        for i in range(n + m):
            w[i] *= beta ** abs(answer[i] - y[i]) if i < n else beta_t ** -abs(answer[i] - y[i])
        hypotheses.append(h)
        betas.append(beta_t)
    answers = []
    for row in new:
        left = right = 1.0
        for t in range(math.ceil(rounds / 2), rounds + 1):
            left *= betas[t - 1] ** -hypotheses[t - 1].predict(row[None])[0]
            right *= betas[t - 1] ** -0.5
        answers.append(int(left >= right))
    return [weight / sum(w) for weight in w], errors, answers


@pytest.mark.parametrize("rounds", [1, 4, 7])
def test_weights_errors_and_answers_are_those_of_the_paper(rounds: int) -> None:
    random = np.random.default_rng(rounds)
    rows, few, new = random.normal(size=(40, 3)), random.normal(0.5, 1, size=(13, 3)), random.normal(size=(30, 3))
    labels = (rows[:, 0] + random.normal(size=40) > 0).astype(int)
    few_labels = (few[:, 1] + random.normal(size=13) > 0.5).astype(int)
    boosting = TrAdaBoost(DecisionTreeClassifier(max_depth=1, random_state=0), num_rounds=rounds)
    boosting.fit(rows, labels, labelled_target_features=few, labelled_target_labels=few_labels)
    weights, errors, answers = paper((rows, labels, few, few_labels), rounds, new)
    found = np.concatenate([boosting.source_weights_, boosting.target_weights_])
    np.testing.assert_allclose(found / found.sum(), weights)
    np.testing.assert_allclose(boosting.errors_, errors)
    assert boosting.predict(new).tolist() == answers
    assert len(boosting.estimators_) == rounds - math.ceil(rounds / 2) + 1


def accuracies(seed: int, helpful: float) -> dict[str, float]:
    rows, labels, few, few_labels = half_helpful(seed, helpful=helpful)
    _, _, test, test_labels = half_helpful(seed + 100, num_target=500)
    boosting = TrAdaBoost(LogisticRegression(), num_rounds=10)
    boosting.fit(rows, labels, labelled_target_features=few, labelled_target_labels=few_labels)
    both = LogisticRegression().fit(np.concatenate([rows, few]), np.concatenate([labels, few_labels]))
    return {
        "boosting": boosting.score(test, test_labels),
        "few": LogisticRegression().fit(few, few_labels).score(test, test_labels),
        "both": both.score(test, test_labels),
    }


def test_a_source_that_helps_by_half_is_used_better_than_all_of_it_or_none_of_it() -> None:
    found = [accuracies(seed, helpful=0.5) for seed in range(4)]
    mean = {system: np.mean([one[system] for one in found]) for system in found[0]}
    assert mean["few"] < 0.73
    assert mean["both"] < 0.73
    assert mean["boosting"] > max(mean["few"], mean["both"]) + 0.04


def test_a_source_that_helps_throughout_is_kept() -> None:
    found = accuracies(0, helpful=1.0)
    assert found["both"] > 0.9
    assert found["boosting"] > found["both"] - 0.05


def test_a_source_that_contradicts_throughout_is_not_forgotten() -> None:
    # The limit that the docstring names: errors near 1/2 move no weight, and the target alone would do better.
    found = accuracies(0, helpful=0.0)
    assert found["boosting"] < found["few"]


def test_source_rows_that_contradict_the_target_end_with_less_weight() -> None:
    rows, labels, few, few_labels = half_helpful(2)
    boosting = TrAdaBoost(LogisticRegression(), num_rounds=10)
    boosting.fit(rows, labels, labelled_target_features=few, labelled_target_labels=few_labels)
    against = (rows[:, :5].sum(axis=1) > 0) != labels
    assert boosting.source_weights_[against].mean() < 0.5 * boosting.source_weights_[~against].mean()


def test_members_are_all_it_takes_to_vote_again() -> None:
    rows, labels, few, few_labels = half_helpful(4)
    new = np.random.default_rng(5).normal(size=(50, 20))
    boosting = TrAdaBoost(LogisticRegression(), num_rounds=6)
    boosting.fit(rows, labels, labelled_target_features=few, labelled_target_labels=few_labels)
    coefficients, intercepts, votes = boosting.members()
    assert (coefficients.shape, intercepts.shape, votes.shape) == ((4, 20), (4,), (4,))
    shares = ((new @ coefficients.T + intercepts > 0) * votes).sum(axis=1) / votes.sum()
    np.testing.assert_allclose(boosting.predict_proba(new)[:, 1], shares)
    np.testing.assert_allclose(boosting.predict_proba(new).sum(axis=1), 1)
    assert (boosting.predict(new) == (shares >= 0.5)).all()


def test_a_vote_is_not_the_average_of_the_coefficients() -> None:
    boosting = TrAdaBoost(LogisticRegression())
    boosting.classes_, boosting.votes_ = np.array([0, 1]), np.ones(3)
    boosting.estimators_ = []
    for coefficient in (0.1, 0.1, -5.0):
        member = LogisticRegression()
        member.classes_, member.coef_, member.intercept_ = np.array([0, 1]), np.array([[coefficient]]), np.zeros(1)
        boosting.estimators_.append(member)
    assert boosting.predict(np.ones((1, 1))).tolist() == [1]
    assert np.mean(boosting.members()[0]) < 0


def test_any_two_label_ids_and_sparse_rows_will_do() -> None:
    rows, labels, few, few_labels = half_helpful(6)
    dense, of_sparse = (
        TrAdaBoost(LogisticRegression(), num_rounds=3).fit(
            make(rows), labels * 5 + 2, labelled_target_features=make(few), labelled_target_labels=few_labels * 5 + 2
        )
        for make in (np.asarray, sparse.csr_array)
    )
    assert set(dense.predict(few)) <= {2, 7}
    assert dense.classes_.tolist() == [2, 7]
    assert of_sparse.predict(sparse.csr_array(few)).tolist() == dense.predict(few).tolist()


def test_the_callers_arrays_and_estimator_stay_as_they_were() -> None:
    given = half_helpful(7)
    before = [part.copy() for part in given]
    estimator = LogisticRegression()
    boosting = TrAdaBoost(estimator, num_rounds=2)
    rows, labels, few, few_labels = given
    clone(boosting).fit(rows, labels, labelled_target_features=few, labelled_target_labels=few_labels)
    for now, then in zip(given, before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert not hasattr(estimator, "coef_")


def test_what_it_is_not_made_for_is_told() -> None:
    rows, labels, few, few_labels = half_helpful(8)
    with pytest.raises(ValueError, match="two classes, there are 3"):
        TrAdaBoost(LogisticRegression()).fit(
            rows, labels, labelled_target_features=few, labelled_target_labels=few_labels + 1
        )
    with pytest.raises(InputError, match="same class"):
        TrAdaBoost(LogisticRegression()).fit(
            rows, labels * 0, labelled_target_features=few, labelled_target_labels=few_labels * 0
        )
    with pytest.raises(ValueError, match="differ in number"):
        TrAdaBoost(LogisticRegression()).fit(
            rows, labels[:-1], labelled_target_features=few, labelled_target_labels=few_labels
        )
    with pytest.raises(InputError, match="no rows"):
        TrAdaBoost(LogisticRegression()).fit(
            rows, labels, labelled_target_features=few[:0], labelled_target_labels=few_labels[:0]
        )
    trees = TrAdaBoost(DecisionTreeClassifier(max_depth=1))
    trees.fit(rows, labels, labelled_target_features=few, labelled_target_labels=few_labels)
    with pytest.raises(ValueError, match="not linear"):
        trees.members()
