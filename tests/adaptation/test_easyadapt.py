"""EasyAdapt and EA++: the maps, what a classifier makes of them, and where they help."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from nlptransfer.adaptation.easyadapt import EasyAdapt, EasyAdaptPlusPlus
from nlptransfer.errors import InputError

ROWS = np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]], dtype=np.float32)


def conflicting_domains(seed: int, num_rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Feature 0 means the same in both domains; features 1 to 3 mean the opposite ("small", "long", "quiet")."""
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(2, num_rows, 8))
    conflict = np.array([1.0, 2.0, 2.0, 2.0, 0, 0, 0, 0]), np.array([1.0, -2.0, -2.0, -2.0, 0, 0, 0, 0])
    return source, (source @ conflict[0] > 0).astype(int), target, (target @ conflict[1] > 0).astype(int)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csr_array])
def test_the_copies_stand_where_the_paper_has_them(kind: type) -> None:
    features, none = kind(ROWS), np.zeros_like(ROWS)
    adapt = EasyAdaptPlusPlus().fit(features, target_features=features)
    expected = {"source": [ROWS, ROWS, none], "target": [ROWS, none, ROWS]}
    made = {domain: adapt.transform(features, domain=domain) for domain in expected}
    made["unlabelled"], expected["unlabelled"] = adapt.unlabelled_rows(features), [none, ROWS, -ROWS]
    for domain, rows in made.items():
        assert sparse.issparse(rows) == sparse.issparse(features) and rows.dtype == np.float32
        dense = rows
        if sparse.issparse(rows):
            assert rows.format == "csr" and rows.indices.dtype == np.int32
            assert rows.nnz == 2 * features.nnz  # the empty copy is not stored
            dense = rows.toarray()
        np.testing.assert_array_equal(dense, np.concatenate(expected[domain], axis=1))


def test_on_target_rows_the_classifier_uses_its_general_and_its_target_weights() -> None:
    source, labels, target, target_labels = conflicting_domains(1, 60)
    adapt = EasyAdapt().fit(source, target_features=target)
    rows = np.concatenate([adapt.transform(source, domain="source"), adapt.transform(target)])
    classifier = LogisticRegression().fit(rows, [*labels, *target_labels])
    general, of_source, of_target = np.split(classifier.coef_[0], 3)
    for features, domain, weights in ((source, "source", general + of_source), (target, "target", general + of_target)):
        scores = classifier.decision_function(adapt.transform(features, domain=domain))
        np.testing.assert_allclose(scores, features @ weights + classifier.intercept_)
    # What the domains agree about is shared; what they do not is apart, with opposite signs.
    assert general[0] > max(abs(of_source[0]), abs(of_target[0]))
    assert (of_source[1:4] > 0).all() and (of_target[1:4] < 0).all()


def test_where_features_conflict_pooling_fails_and_easyadapt_does_not() -> None:
    source, labels, target, target_labels = conflicting_domains(2, 500)
    few = slice(0, 50)
    test, test_labels = target[100:], target_labels[100:]
    pooled_rows, pooled_labels = np.concatenate([source, target[few]]), np.concatenate([labels, target_labels[few]])
    pooled = LogisticRegression().fit(pooled_rows, pooled_labels).score(test, test_labels)
    assert pooled < 0.3
    adapt = EasyAdapt().fit(source, labels, target_features=target)
    rows = np.concatenate([adapt.transform(source, domain="source"), adapt.transform(target[few])])
    adapted = LogisticRegression().fit(rows, pooled_labels).score(adapt.transform(test), test_labels)
    assert adapted > 0.85


def test_without_labelled_target_rows_the_target_weights_are_zero() -> None:
    source, labels, target, _ = conflicting_domains(3, 80)
    adapt = clone(EasyAdapt()).fit(source, target_features=target)
    classifier = LogisticRegression().fit(adapt.transform(source, domain="source"), labels)
    np.testing.assert_array_equal(classifier.coef_[0, 16:], 0)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_each_unlabelled_row_is_given_every_label(kind: type) -> None:
    labels = np.array([2, 0])
    adapt = EasyAdaptPlusPlus(unlabelled_weight=0.25).fit(kind(ROWS), target_features=kind(ROWS))
    rows, known, weights = adapt.training_rows(
        kind(ROWS), labels, target_features=kind(ROWS[:1]), labelled_target_features=kind(ROWS[1:]),
        labelled_target_labels=np.array([1]),
    )  # fmt: skip
    dense = rows.toarray() if sparse.issparse(rows) else rows
    np.testing.assert_array_equal(known, [2, 0, 1, 0, 1, 2])
    np.testing.assert_array_equal(weights, [1, 1, 1, 0.25, 0.25, 0.25])
    np.testing.assert_array_equal(dense[2], [*ROWS[1], 0, 0, 0, *ROWS[1]])
    np.testing.assert_array_equal(dense[3:], [[0, 0, 0, *ROWS[0], *-ROWS[0]]] * 3)


def fitted_predictors(weight: float, num_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source weights, target weights, (classes, D), and unlabelled target rows."""
    rng = np.random.default_rng(4)
    source, target = rng.normal(size=(80, 5)), rng.normal(size=(200, 5)) * [1, 1, 1, 3, 0.1]
    labels, few_labels = np.arange(80) % num_classes, np.arange(12) % num_classes
    source[:, 0] += 2 * labels
    target[:12, 1] += 2 * few_labels
    adapt = EasyAdaptPlusPlus(unlabelled_weight=weight).fit(source, target_features=target)
    rows, known, weights = adapt.training_rows(
        source, labels, target_features=target[12:], labelled_target_features=target[:12],
        labelled_target_labels=few_labels,
    )  # fmt: skip
    classifier = LogisticRegression(fit_intercept=False, tol=1e-8, max_iter=5000).fit(
        rows, known, sample_weight=weights
    )
    general, of_source, of_target = np.split(classifier.coef_, 3, axis=1)
    return general + of_source, general + of_target, target[12:]


@pytest.mark.parametrize("num_classes", [2, 3])
def test_unlabelled_rows_make_the_two_predictors_agree_on_the_target(num_classes: int) -> None:
    def disagreement(weight: float) -> float:
        of_source, of_target, rows = fitted_predictors(weight, num_classes)
        scores = rows @ (of_source - of_target).T
        return float(np.abs(scores - scores.mean(axis=1, keepdims=num_classes > 2)).mean())

    alone, together, forced = disagreement(0.0), disagreement(0.1), disagreement(100.0)
    assert alone > 1
    assert together < 0.5 * alone
    assert forced < 0.02 * alone


def test_with_weight_zero_ea_plus_plus_is_easyadapt() -> None:
    source, labels, target, target_labels = conflicting_domains(5, 60)
    plus = EasyAdaptPlusPlus(unlabelled_weight=0).fit(source, target_features=target)
    rows, known, weights = plus.training_rows(
        source, labels, target_features=target, labelled_target_features=target[:9],
        labelled_target_labels=target_labels[:9],
    )  # fmt: skip
    easy = EasyAdapt().fit(source, target_features=target)
    easy_rows = np.concatenate([easy.transform(source, domain="source"), easy.transform(target[:9])])
    np.testing.assert_array_equal(rows[weights > 0], easy_rows)
    np.testing.assert_array_equal(known[weights > 0], [*labels, *target_labels[:9]])


def test_unlabelled_target_rows_help_where_the_target_varies_in_what_means_nothing() -> None:
    # Features 0 and 1 mean the same in both domains, feature 2 the opposite, and twelve others, which vary most, mean
    # nothing. Twenty labelled target rows mistake those for signs; the source's predictor knows better.
    spread, meaning = np.array([1.0] * 3 + [3.0] * 12), np.array([2, 2, 1.5] + [0] * 12)
    easy, plus, source_only = [], [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        source, target = rng.normal(size=(500, 15)) * spread, rng.normal(size=(800, 15)) * spread
        labels = (source @ meaning > 0).astype(int)
        target_labels = (target @ (meaning * [1, 1, -1, *[1] * 12]) > 0).astype(int)
        test, test_labels = target[300:], target_labels[300:]
        source_only.append(LogisticRegression().fit(source, labels).score(test, test_labels))
        for weight, scores in ((0.0, easy), (0.01, plus)):
            adapt = EasyAdaptPlusPlus(unlabelled_weight=weight).fit(source, target_features=target[:300])
            rows, known, weights = adapt.training_rows(
                source, labels, target_features=target[20:300], labelled_target_features=target[:20],
                labelled_target_labels=target_labels[:20],
            )  # fmt: skip
            classifier = LogisticRegression(fit_intercept=False).fit(rows, known, sample_weight=weights)
            scores.append(classifier.score(adapt.transform(test), test_labels))
    assert np.mean(easy) < np.mean(source_only) + 0.01
    assert np.mean(plus) > np.mean(source_only) + 0.03
    assert all(better > worse for better, worse in zip(plus, easy, strict=True))


def test_bad_input_is_told() -> None:
    adapt = EasyAdapt().fit(ROWS, target_features=ROWS)
    with pytest.raises(InputError, match=r"source features have another width. Expected 3 columns; found 2"):
        adapt.transform(ROWS[:, :2], domain="source")
    plus = EasyAdaptPlusPlus(unlabelled_weight=-1).fit(ROWS, target_features=ROWS)
    with pytest.raises(InputError, match="weight of the unlabelled rows is negative"):
        plus.training_rows(ROWS, np.array([0, 1]), target_features=ROWS)
    with pytest.raises(ValueError, match="come together"):
        plus.set_params(unlabelled_weight=1).training_rows(
            ROWS, np.array([0, 1]), target_features=ROWS, labelled_target_features=ROWS
        )
