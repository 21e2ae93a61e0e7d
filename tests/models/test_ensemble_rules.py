"""Averages and votes: the formula, ties the same in any order, better than each bridge where their errors differ."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from nlptransfer.models.ensemble_rules import average_probabilities, majority_vote, most_probable


def random_probabilities(seed: int, *, items: int = 7, classes: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(classes), size=items)


def test_the_average_is_the_weighted_sum_of_each_cell() -> None:
    parts = [random_probabilities(seed) for seed in range(3)]
    weights = [2.0, 1.0, 5.0]
    found = average_probabilities(parts, weights=weights)
    for item in range(7):
        for label in range(3):
            expected = sum(w * part[item, label] for w, part in zip(weights, parts, strict=True)) / 8
            assert found[item, label] == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(average_probabilities(parts), np.mean(parts, axis=0), rtol=1e-12)


def test_one_predictor_or_all_the_weight_on_one_changes_nothing() -> None:
    first, second = random_probabilities(0), random_probabilities(1)
    np.testing.assert_allclose(average_probabilities([first]), first, rtol=1e-15)
    np.testing.assert_allclose(average_probabilities([first, second], weights=[0, 3]), second, rtol=1e-15)
    np.testing.assert_allclose(average_probabilities([first] * 3), first, rtol=1e-15)
    assert majority_vote([["a", "b"], ["c", "c"]], weights=[0, 1]) == ["c", "c"]


def test_rounding_does_not_decide_ties() -> None:
    parts = [np.array([[0.1, 0.3, 0.6]]), np.array([[0.2, 0.4, 0.4]]), np.array([[0.7, 0.3, 0.0]])]
    # 1.0, 1.0, 1.0 in whichever order the thirds are added
    answers = {int(most_probable(average_probabilities(order))[0]) for order in permutations(parts)}
    assert answers == {0}
    assert majority_vote([["a"], ["b"], ["b"], ["a"]], weights=[0.1, 0.3, 0.0, 0.2]) == ["a"]


def test_ties_of_votes_go_to_the_first_predictor_among_them() -> None:
    assert majority_vote([["a", "x"], ["b", "y"], ["b", "z"], ["a", "y"]]) == ["a", "y"]
    assert majority_vote([["b", "x"], ["a", "y"], ["a", "z"], ["b", "y"]]) == ["b", "y"]
    assert majority_vote([[], []]) == []


def test_bridges_that_err_apart_are_better_together_and_equal_ones_are_not() -> None:
    random = np.random.default_rng(0)
    gold = random.integers(0, 4, 2000)
    # Each bridge is sure of the right class for some words, and led astray by others.
    bridges = []
    for _ in range(3):
        scores = 1.0 * (np.arange(4) == gold[:, None]) + random.normal(size=(2000, 4))
        bridges.append(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))
    single = max(float((most_probable(bridge) == gold).mean()) for bridge in bridges)
    averaged = float((most_probable(average_probabilities(bridges)) == gold).mean())
    voted = float((np.array(majority_vote([most_probable(bridge).tolist() for bridge in bridges])) == gold).mean())
    assert single < 0.65
    assert averaged > voted > single + 0.02 and averaged > single + 0.1
    same = [bridges[0]] * 3
    np.testing.assert_array_equal(most_probable(average_probabilities(same)), most_probable(bridges[0]))
    assert majority_vote([most_probable(bridge).tolist() for bridge in same]) == most_probable(bridges[0]).tolist()


def test_what_does_not_fit_is_refused() -> None:
    first = random_probabilities(0)
    with pytest.raises(ValueError, match="no predictors"):
        average_probabilities([])
    with pytest.raises(ValueError, match="same items and classes"):
        average_probabilities([first, first[:3]])
    with pytest.raises(ValueError, match="rows of predictor 1 are not probabilities"):
        average_probabilities([first, 2 * first])
    with pytest.raises(ValueError, match="2 predictors need as many weights"):
        average_probabilities([first, first], weights=[1, -1])
    with pytest.raises(ValueError, match="no predictors"):
        majority_vote([])
    with pytest.raises(ValueError, match="same items"):
        majority_vote([["a"], []])
