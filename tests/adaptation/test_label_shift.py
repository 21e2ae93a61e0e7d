"""Label shift: the estimate against exact tables and least squares, and the corrected classifier."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from nlptransfer.adaptation.label_shift import LabelShiftCorrection, estimate_label_shift
from nlptransfer.errors import InputError


def documents(seed: int, counts: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Rows around a point per class; classes overlap."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(len(counts)), counts))
    return random.normal(size=(len(labels), 2)) + 1.6 * labels[:, None] * np.array([1, -1]), labels


def test_the_shares_come_out_exactly_where_the_predictions_are_exactly_as_expected() -> None:
    # P(prediction | label), three classes; source and target counts make every cell a whole number.
    given_label = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.2], [0.1, 0.3, 0.7]])
    source_counts, target_counts = [100, 200, 100], [300, 50, 150]

    def table(counts: list[int]) -> tuple[list[int], list[int]]:
        labels, predictions = [], []
        for prediction, label in itertools.product(range(3), range(3)):
            number = round(given_label[prediction, label] * counts[label])
            labels += [label] * number
            predictions += [prediction] * number
        return labels, predictions

    labels, predictions = table(source_counts)
    _, target_predictions = table(target_counts)
    weights, shares = estimate_label_shift(labels, predictions, target_predictions, 3)
    np.testing.assert_allclose(shares, [0.6, 0.1, 0.3])
    np.testing.assert_allclose(weights, [0.6 / 0.25, 0.1 / 0.5, 0.3 / 0.25])


def test_the_weights_solve_the_equation_of_the_paper() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 90)
    predictions = np.where(random.random(90) < 0.8, labels, 1 - labels)
    target = random.integers(0, 2, 47)
    weights, _ = estimate_label_shift(labels, predictions, target, 2)
    joint = np.array([[((predictions == i) & (labels == j)).mean() for j in range(2)] for i in range(2)])
    np.testing.assert_allclose(np.linalg.inv(joint) @ [(target == 0).mean(), (target == 1).mean()], weights)
    assert weights[labels].mean() == pytest.approx(1)


def test_a_share_below_zero_becomes_zero_and_the_rest_sum_to_one() -> None:
    labels, predictions = [0] * 10 + [1] * 10, [0] * 8 + [1] * 2 + [1] * 9 + [0]
    weights, shares = estimate_label_shift(labels, predictions, [1] * 30, 2)  # more than 90 % of predictions are 1
    assert shares.tolist() == [0.0, 1.0]
    assert weights.tolist() == pytest.approx([0.0, 2.0])


def test_correction_helps_where_the_classes_shares_differ() -> None:
    source, labels = documents(1, (900, 100))
    target, target_labels = documents(2, (100, 700))
    plain = LogisticRegression().fit(source, labels).score(target, target_labels)
    corrected = LabelShiftCorrection(LogisticRegression()).fit(source, labels, target_features=target)
    np.testing.assert_allclose(corrected.target_priors_, [1 / 8, 7 / 8], atol=0.05)
    assert plain < 0.85
    assert corrected.score(target, target_labels) > plain + 0.08


def test_without_a_shift_nothing_changes_much() -> None:
    source, labels = documents(3, (500, 300))
    target, target_labels = documents(4, (375, 225))
    corrected = LabelShiftCorrection(LogisticRegression()).fit(source, labels, target_features=target)
    np.testing.assert_allclose(corrected.class_weights_, 1, atol=0.2)
    plain = LogisticRegression().fit(source, labels).score(target, target_labels)
    assert corrected.score(target, target_labels) == pytest.approx(plain, abs=0.01)


def test_the_classifier_is_trained_with_the_estimated_class_weights() -> None:
    source, labels = documents(5, (120, 80, 60))
    target, _ = documents(6, (20, 20, 90))
    corrected = LabelShiftCorrection(LogisticRegression(), folds=3).fit(source, labels + 4, target_features=target)
    again = LogisticRegression().fit(source, labels, sample_weight=corrected.class_weights_[labels])
    np.testing.assert_allclose(corrected.coef_, again.coef_)
    np.testing.assert_allclose(corrected.intercept_, again.intercept_)
    np.testing.assert_allclose(corrected.predict_proba(target), again.predict_proba(target))
    assert corrected.classes_.tolist() == [4, 5, 6]
    assert set(corrected.predict(target)) == {4, 5, 6}
    assert corrected.target_priors_.sum() == pytest.approx(1)


def test_sparse_rows_give_the_same_classifier_and_no_array_is_changed() -> None:
    source, labels = documents(7, (60, 40))
    target, _ = documents(8, (20, 50))
    before = source.copy(), labels.copy(), target.copy()
    dense = LabelShiftCorrection(LogisticRegression()).fit(source, labels, target_features=target)
    of_sparse = clone(dense).fit(sparse.csr_array(source), labels, target_features=sparse.csr_array(target))
    np.testing.assert_allclose(of_sparse.coef_, dense.coef_, rtol=1e-3)
    for now, then in zip((source, labels, target), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_classifier_that_tells_classes_hardly_apart_is_refused() -> None:
    labels, guesses = [0, 0, 1, 1], [0, 1, 0, 1]
    with pytest.raises(InputError, match="a singular one"):
        estimate_label_shift(labels, guesses, guesses, 2)
    with pytest.raises(InputError, match="a singular one"):
        estimate_label_shift(labels, [0, 0, 0, 0], guesses, 2)  # one class is never predicted
    almost = [0] * 501 + [1] * 499 + [0] * 499 + [1] * 501
    with pytest.raises(InputError, match=r"condition number up to 100; found 500\."):
        estimate_label_shift([0] * 1000 + [1] * 1000, almost, guesses, 2)


def test_a_rare_class_is_no_reason_to_refuse() -> None:
    labels = [0] * 995 + [1] * 5
    _, shares = estimate_label_shift(labels, labels, [0, 1], 2)
    np.testing.assert_allclose(shares, [0.5, 0.5])


def test_bad_input_is_told() -> None:
    with pytest.raises(InputError, match="none of class 2"):
        estimate_label_shift([0, 1], [0, 1], [0, 1], 3)
    with pytest.raises(InputError, match="0 in the target"):
        estimate_label_shift([0, 1], [0, 1], [], 2)
    with pytest.raises(ValueError, match="from 0 to 1"):
        estimate_label_shift([0, 2], [0, 1], [0], 2)
    with pytest.raises(ValueError, match="1 predictions"):
        estimate_label_shift([0, 1], [0], [0], 2)
    rows, labels = documents(9, (20, 3))
    with pytest.raises(InputError, match="at least 5, one for every fold; found 3"):
        LabelShiftCorrection(LogisticRegression()).fit(rows, labels, target_features=rows)
