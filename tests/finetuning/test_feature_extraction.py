"""Classifiers on frozen features equal scikit-learn's, choose their C on training rows alone, and are saved as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nlptransfer
from nlptransfer.embeddings.ngrams import NgramVectorizer
from nlptransfer.errors import InputError
from nlptransfer.finetuning.feature_extraction import REGULARIZATIONS, fit_feature_classifier

KINDS = ["logistic_regression", "random_forest", "gradient_boosting"]


def rows(number: int, num_labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of very different scale, one of them constant; the labels are a noisy linear map of the others."""
    rng = np.random.default_rng(seed)
    plain = rng.normal(size=(number, 6))
    labels = (plain[:, :num_labels] + 0.7 * rng.normal(size=(number, num_labels))).argmax(axis=1)
    plain[:, 5] = 0
    return (plain * [100, 1, 0.01, 1, 1, 1] + [5, -300, 0, 1, 0, 4]).astype(np.float64), labels


@pytest.mark.parametrize("num_labels", [2, 3])
def test_logistic_regression_is_that_on_standardised_features(num_labels: int) -> None:
    features, labels = rows(120, num_labels)
    unseen, _ = rows(40, num_labels, seed=1)
    fitted = fit_feature_classifier(features, labels, num_labels=num_labels, seed=0, regularization=0.3)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=1000)).fit(features, labels)
    np.testing.assert_allclose(fitted.predict_proba(unseen), pipeline.predict_proba(unseen), atol=1e-8)
    np.testing.assert_array_equal(fitted.predict(unseen), pipeline.predict(unseen))
    assert fitted.regularization == 0.3


def test_sparse_features_are_scaled_and_not_moved() -> None:
    features, labels = rows(120, 3)
    features = np.where(np.random.default_rng(0).random(features.shape) < 0.5, features, 0)
    fitted = fit_feature_classifier(sparse.csr_matrix(features), labels, num_labels=3, seed=0, regularization=0.1)
    scaled = make_pipeline(StandardScaler(with_mean=False), LogisticRegression(C=0.1, max_iter=1000))
    expected = scaled.fit(features, labels).predict_proba(features)
    np.testing.assert_allclose(fitted.predict_proba(sparse.csr_matrix(features)), expected, atol=1e-4)


def test_the_regularization_is_that_of_a_grid_search_over_the_training_rows() -> None:
    chosen = set()
    for seed, noise in ((0, 0.0), (1, 3.0)):
        features, labels = rows(150, 2)
        features = np.concatenate([features, np.random.default_rng(seed).normal(size=(150, 40))], axis=1)
        features[:, :3] += noise * np.random.default_rng(2).normal(size=(150, 3)) * [100, 1, 0.01]
        fitted = fit_feature_classifier(features, labels, num_labels=2, seed=seed)
        search = GridSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
            {"logisticregression__C": REGULARIZATIONS},
            scoring="neg_log_loss",
            cv=StratifiedKFold(5, shuffle=True, random_state=seed),
        ).fit(features, labels)
        assert fitted.regularization == search.best_params_["logisticregression__C"]
        chosen.add(fitted.regularization)
    assert len(chosen) == 2, "noisier features want more of it"


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_classifier(kind: Any) -> None:
    features, labels = rows(80, 3)
    before = features.copy()
    first, again = (
        fit_feature_classifier(features, labels, kind=kind, num_labels=3, seed=5, num_trees=12) for _ in range(2)
    )
    np.testing.assert_array_equal(first.predict_proba(features), again.predict_proba(features))
    np.testing.assert_array_equal(features, before)
    if kind != "logistic_regression":
        other = fit_feature_classifier(features, labels, kind=kind, num_labels=3, seed=6, num_trees=12)
        assert (first.predict_proba(features) != other.predict_proba(features)).any()


def test_trees_are_those_of_scikit_learn() -> None:
    features, labels = rows(80, 3)
    unseen, _ = rows(50, 3, seed=1)
    forest = RandomForestClassifier(15, random_state=4).fit(features, labels)
    boosted = GradientBoostingClassifier(n_estimators=15, max_features="sqrt", random_state=4).fit(features, labels)
    for kind, estimator in (("random_forest", forest), ("gradient_boosting", boosted)):
        fitted = fit_feature_classifier(features, labels, kind=kind, num_labels=3, seed=4, num_trees=15)  # type: ignore[arg-type]
        np.testing.assert_allclose(fitted.predict_proba(unseen), estimator.predict_proba(unseen), atol=1e-6)
        assert fitted.regularization is None


@pytest.mark.parametrize("kind", KINDS)
def test_trees_learn_what_is_not_linear_and_all_learn_what_is(kind: Any) -> None:
    rng = np.random.default_rng(0)
    features, unseen = rng.normal(size=(300, 4)), rng.normal(size=(300, 4))

    def accuracy(rule: Any) -> float:
        fitted = fit_feature_classifier(features, rule(features), kind=kind, num_labels=2, seed=0, num_trees=40)
        return float((fitted.predict(unseen) == rule(unseen)).mean())

    assert accuracy(lambda rows: (rows[:, 0] > 0).astype(int)) > 0.93
    product = accuracy(lambda rows: (rows[:, 0] * rows[:, 1] > 0).astype(int))
    assert product < 0.65 if kind == "logistic_regression" else product > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_labels_without_a_row_get_no_probability(kind: Any) -> None:
    features, labels = rows(60, 2)
    fitted = fit_feature_classifier(features, np.array([3, 1])[labels], kind=kind, num_labels=5, seed=0, num_trees=9)
    found = fitted.predict_proba(features)
    assert found.shape == (60, 5)
    assert (found[:, [0, 2, 4]] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    same = fit_feature_classifier(features, 1 - labels, kind=kind, num_labels=2, seed=0, num_trees=9)
    np.testing.assert_allclose(found[:, [1, 3]], same.predict_proba(features), atol=1e-6)


def test_one_row_of_a_label_is_enough() -> None:
    features, _ = rows(5, 2)
    fitted = fit_feature_classifier(features, np.array([0, 0, 1, 0, 0]), num_labels=2, seed=0)
    assert fitted.regularization in REGULARIZATIONS
    assert np.isfinite(fitted.predict_proba(features)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_classifier_is_saved_with_what_makes_its_features(kind: Any, tmp_path: Path) -> None:
    texts = [
        "a good book",
        "a dull book",
        "good and short",
        "dull and long",
        "good",
        "dull dull",
        "a book",
        "long book",
    ]
    labels = np.array([1, 0, 1, 0, 1, 0, 1, 0])
    extractor = NgramVectorizer().fit(texts)
    features = extractor.transform(texts)
    fitted = fit_feature_classifier(features, labels, kind=kind, num_labels=2, seed=0, num_trees=20)
    fitted.text_classifier(extractor, ["neg", "pos"]).save_pretrained(tmp_path / "model")
    loaded = nlptransfer.load(tmp_path / "model")
    np.testing.assert_allclose(loaded.predict_proba(texts), fitted.predict_proba(features), atol=1e-12)
    assert loaded.predict(texts)[:2] == ["pos", "neg"]


def test_what_can_not_be_learned_is_refused() -> None:
    features, labels = rows(10, 2)
    with pytest.raises(InputError, match="all training rows have the same label"):
        fit_feature_classifier(features, np.zeros(10, int), num_labels=2, seed=0)
    with pytest.raises(InputError, match=r"unknown kind of classifier.*found 'svm'"):
        fit_feature_classifier(features, labels, kind="svm", num_labels=2, seed=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="10 rows need as many labels"):
        fit_feature_classifier(features, labels[:9], num_labels=2, seed=0)
    with pytest.raises(ValueError, match="labels must be 0 to 1"):
        fit_feature_classifier(features, labels + 1, num_labels=2, seed=0)


def test_a_dimension_that_is_all_but_dead_gets_no_coefficient_beyond_all_others() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(2, size=60)
    features = random.normal(size=(60, 8)) + labels[:, None]
    features[:, 3] = 1e-33 * random.normal(size=60)
    with_dead = fit_feature_classifier(features, labels, num_labels=2, seed=0, regularization=0.1)
    without = fit_feature_classifier(np.delete(features, 3, axis=1), labels, num_labels=2, seed=0, regularization=0.1)
    assert isinstance(with_dead.model, tuple) and isinstance(without.model, tuple)
    assert np.abs(with_dead.model[0]).max() < 10
    assert np.allclose(np.delete(with_dead.model[0], 3, axis=1), without.model[0], atol=1e-6)


def test_of_many_rows_some_are_enough_to_choose_by_and_rare_labels_do_not_stop_it() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(2, size=6_000)
    features = random.normal(size=(6_000, 3)) + labels[:, None]
    labels[:3] = 2  # too few for any fold
    fitted = fit_feature_classifier(features, labels, num_labels=3, seed=0)
    assert fitted.regularization in REGULARIZATIONS and fitted.regularization != 0.01
    assert (fitted.predict(features)[3:] == labels[3:]).mean() > 0.75
