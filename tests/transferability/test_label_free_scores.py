"""Label-free scores against scipy, skada and loops; what each rewards, and what deceives it."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import sklearn
from scipy import stats
from sklearn.linear_model import LogisticRegression

from nlptransfer.errors import InputError
from nlptransfer.transferability import label_free_scores
from nlptransfer.transferability.label_free_scores import (
    importance_weighted_accuracy,
    information_maximization_score,
    prediction_entropy_score,
    reverse_validation_accuracy,
    soft_neighbourhood_density,
)


def probabilities(seed: int, number: int = 23, classes: int = 3, sharpness: float = 1.0) -> np.ndarray:
    logits = sharpness * np.random.default_rng(seed).normal(size=(number, classes))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


SURE = np.repeat(np.eye(3), [4, 5, 6], axis=0)
COLLAPSED = np.repeat([[1.0, 0, 0]], 15, axis=0)
UNSURE = np.full((15, 3), 1 / 3)


def test_prediction_entropy_is_scipys() -> None:
    given = probabilities(0)
    assert prediction_entropy_score(given) == pytest.approx(-np.mean(stats.entropy(given, axis=1)))
    assert prediction_entropy_score(UNSURE) == pytest.approx(-np.log(3))
    assert prediction_entropy_score(SURE) == 0  # 0 log 0 is 0


def test_prediction_entropy_takes_a_collapse_for_the_best_there_is() -> None:
    assert prediction_entropy_score(COLLAPSED) == prediction_entropy_score(SURE)
    assert prediction_entropy_score(SURE) > prediction_entropy_score(UNSURE)


def test_information_maximization_is_the_mutual_information_of_document_and_class() -> None:
    given = probabilities(1)
    joint = given / len(given)  # documents are equally likely
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    assert information_maximization_score(given) == pytest.approx(np.sum(joint * np.log(joint / independent)))


def test_information_maximization_sees_through_a_collapse() -> None:
    assert information_maximization_score(COLLAPSED) == pytest.approx(0)
    assert information_maximization_score(UNSURE) == pytest.approx(0)
    assert information_maximization_score(SURE) == pytest.approx(stats.entropy([4, 5, 6]))


def test_soft_neighbourhood_density_is_the_entropy_of_the_similarities_to_all_others() -> None:
    rows, temperature = np.random.default_rng(2).normal(size=(9, 4)), 0.3
    entropies = []
    for i in range(9):
        cosines = [rows[i] @ rows[j] / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j]) for j in range(9) if j != i]
        entropies.append(stats.entropy(np.exp(np.array(cosines) / temperature)))
    assert soft_neighbourhood_density(rows, temperature=temperature) == pytest.approx(np.mean(entropies))


def test_soft_neighbourhood_density_agrees_with_skada() -> None:
    class Fixed:
        def predict_proba(self, features: np.ndarray, **_: object) -> np.ndarray:
            return features

    given = probabilities(3, number=40, sharpness=2.0)
    with sklearn.config_context(enable_metadata_routing=True):  # skada wants it, and switches it on when imported
        scorer = pytest.importorskip("skada.metrics").SoftNeighborhoodDensity()
        theirs = scorer._score(None, Fixed(), given, np.zeros(40), sample_domain=np.full(40, -1))
    assert soft_neighbourhood_density(given) == pytest.approx(theirs, abs=1e-6)


def test_soft_neighbourhood_density_is_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(4).normal(size=(37, 5))
    whole = soft_neighbourhood_density(rows)
    monkeypatch.setattr(label_free_scores, "_BLOCK_NUMBERS", 37 * 5)
    assert soft_neighbourhood_density(rows) == pytest.approx(whole, rel=1e-12)


def test_soft_neighbourhood_density_prefers_dense_clusters_and_is_deceived_by_one_point() -> None:
    random = np.random.default_rng(5)
    clusters = SURE + 0.01 * random.normal(size=SURE.shape)
    scattered = random.normal(size=SURE.shape)
    assert soft_neighbourhood_density(clusters) > soft_neighbourhood_density(scattered)
    assert soft_neighbourhood_density(COLLAPSED) > soft_neighbourhood_density(clusters)
    assert soft_neighbourhood_density(COLLAPSED) == pytest.approx(np.log(14))
    assert np.isfinite(soft_neighbourhood_density(np.zeros((3, 2))))  # rows without length


def test_importance_weighted_accuracy_is_the_accuracy_on_rows_drawn_by_weight() -> None:
    random = np.random.default_rng(6)
    correct, weights = random.random(50) < 0.6, random.exponential(size=50)
    drawn = random.choice(50, size=200_000, p=weights / weights.sum())
    assert importance_weighted_accuracy(correct, weights) == pytest.approx(correct[drawn].mean(), abs=0.005)
    assert importance_weighted_accuracy(correct, np.full(50, 4.0)) == pytest.approx(correct.mean())


def test_importance_weighted_accuracy_foretells_target_accuracy_under_covariate_shift() -> None:
    random = np.random.default_rng(7)
    source, target = random.normal(0, 1, 4_000), random.normal(1, 0.7, 4_000)

    def right(x: np.ndarray) -> np.ndarray:  # the model is good on the left and bad on the right
        return random.random(len(x)) < 1 / (1 + np.exp(2 * x))

    weights = stats.norm(1, 0.7).pdf(source) / stats.norm(0, 1).pdf(source)
    on_source, on_target = right(source), right(target).mean()
    assert on_source.mean() > on_target + 0.2
    assert importance_weighted_accuracy(on_source, weights) == pytest.approx(on_target, abs=0.03)


def reviews(seed: int, angle: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(200) % 2
    rows = random.normal(size=(200, 2))
    rows[:, 0] += np.where(labels, 2.5, -2.5)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return rows @ turn.T, labels


def source_only(features: np.ndarray, labels: np.ndarray, target: np.ndarray, new: np.ndarray) -> np.ndarray:
    return LogisticRegression().fit(features, labels).predict(new)


def test_reverse_validation_is_its_four_steps_written_out() -> None:
    source, labels = reviews(8, 0.0)
    target, _ = reviews(9, 1.0)
    seen: list[tuple[int, ...]] = []

    def spy(features: np.ndarray, given: np.ndarray, other: np.ndarray, new: np.ndarray) -> np.ndarray:
        seen.append((len(features), len(other), len(new)))
        return source_only(features, given, other, new)

    score = reverse_validation_accuracy(spy, source, labels, target[:150], holdout=0.2, seed=3)
    assert seen == [(160, 150, 150), (150, 160, 40)]
    kept, held_out = label_free_scores._stratified_cut(labels, 0.2, 3)
    assert sorted([*kept, *held_out]) == list(range(200))
    assert labels[held_out].sum() == 20
    guessed = LogisticRegression().fit(source[kept], labels[kept]).predict(target[:150])
    back = LogisticRegression().fit(target[:150], guessed)
    assert score == pytest.approx(back.score(source[held_out], labels[held_out]))


def test_reverse_validation_tells_a_transfer_that_works_from_one_that_does_not() -> None:
    source, labels = reviews(10, 0.0)
    target, _ = reviews(11, 0.3)

    def noisy(features: np.ndarray, given: np.ndarray, other: np.ndarray, new: np.ndarray) -> np.ndarray:
        random = np.random.default_rng(0)
        return np.where(random.random(len(new)) < 0.45, 1, source_only(features, given, other, new))

    good = reverse_validation_accuracy(source_only, source, labels, target, holdout=0.3, seed=0)
    assert good > 0.9
    assert reverse_validation_accuracy(noisy, source, labels, target, holdout=0.3, seed=0) < good - 0.1


def test_reverse_validation_is_deceived_by_errors_that_the_way_back_undoes() -> None:
    source, labels = reviews(12, 0.0)
    target, target_labels = reviews(13, np.pi)  # the classes have changed places: every answer is wrong
    assert (source_only(source, labels, target, target) == target_labels).mean() < 0.05
    assert reverse_validation_accuracy(source_only, source, labels, target, seed=0) > 0.95


def test_a_target_labelled_as_one_class_scores_that_class_share() -> None:
    source, labels = reviews(14, 0.0)

    def constant(features: np.ndarray, given: np.ndarray, other: np.ndarray, new: np.ndarray) -> np.ndarray:
        assert len(set(given)) == 2
        return np.ones(len(new), dtype=int)

    assert reverse_validation_accuracy(constant, source, labels, source, seed=0) == 0.5


def test_no_score_takes_target_labels() -> None:
    scores = [
        function
        for name, function in inspect.getmembers(label_free_scores, inspect.isfunction)
        if not name.startswith("_") and function.__module__ == label_free_scores.__name__
    ]
    assert len(scores) == 5
    allowed = {
        "probabilities", "features", "temperature", "correct", "weights", "fit_predict", "source_features",
        "source_labels", "target_features", "holdout", "seed",
    }  # fmt: skip
    for function in scores:
        assert set(inspect.signature(function).parameters) <= allowed, function.__name__


def test_bad_input_is_told() -> None:
    for score in (prediction_entropy_score, information_maximization_score):
        with pytest.raises(ValueError, match="sum to 1"):
            score([[0.5, 0.6]])
        with pytest.raises(ValueError, match="sum to 1"):
            score([[np.nan, 1.0]])
        with pytest.raises(ValueError, match="shape"):
            score(np.zeros((0, 2)))
    with pytest.raises(ValueError, match="at least 2"):
        soft_neighbourhood_density([[1.0, 0.0]])
    with pytest.raises(ValueError, match="temperature"):
        soft_neighbourhood_density(SURE, temperature=0)
    with pytest.raises(InputError, match="can't be weighted"):
        importance_weighted_accuracy([1, 0], [0.0, 0.0])
    with pytest.raises(ValueError, match="one weight per document"):
        importance_weighted_accuracy([1, 0], [1.0])
    source, labels = reviews(15, 0.0)
    with pytest.raises(InputError, match="found 1 of class 5"):
        reverse_validation_accuracy(source_only, source, np.append(labels[:-1], 5), source, seed=0)
    with pytest.raises(ValueError, match="holdout"):
        reverse_validation_accuracy(source_only, source, labels, source, holdout=1.0, seed=0)
    with pytest.raises(ValueError, match="199 labels"):
        reverse_validation_accuracy(source_only, source, labels[:-1], source, seed=0)
