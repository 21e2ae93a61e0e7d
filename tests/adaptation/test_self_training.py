"""Self-training against slow loops, and what it does under a known shift, without one, and where it drifts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from nlptransfer.adaptation.inverse_document_frequency import IDFWeighting
from nlptransfer.adaptation.self_training import (
    SelfTraining,
    calibration_temperature,
    choose_pseudo_labels,
    match_priors,
    prior_offsets,
    self_train,
)
from nlptransfer.data.synthetic_reviews import make_review_domains
from nlptransfer.embeddings.ngrams import NgramVectorizer
from nlptransfer.errors import InputError

Domains = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def classes(seed: int, sizes: tuple[int, ...], num_rows: int, shift: float = 0.5, dim: int = 6) -> Domains:
    """A Gaussian per class, all of the target moved a little: source rows, labels, target rows, target labels."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(sizes), dim))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    truth = rng.permutation(np.arange(num_rows) % len(sizes))
    source = centres[labels] + rng.normal(size=(len(labels), dim))
    return source, labels, centres[truth] + shift + rng.normal(size=(num_rows, dim)), truth


def probabilities(seed: int, shape: tuple[int, int], sharpness: float = 2.0) -> np.ndarray:
    logits = sharpness * np.random.default_rng(seed).normal(size=shape)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def slow_choice(
    given: np.ndarray, share: float, priors: list[float], temperature: float
) -> dict[int, tuple[int, float]]:
    """Row -> (label, weight), one class and one row at a time."""
    rows, labels = given.shape
    wants: dict[int, list[tuple[float, int]]] = {}
    for label in range(labels):
        margins = []
        for row in range(rows):
            rivals = [given[row, other] for other in range(labels) if other != label]
            margins.append((np.log(given[row, label] / max(rivals)), row))
        for margin, row in sorted(margins, key=lambda pair: (-pair[0], pair[1]))[: round(share * rows * priors[label])]:
            wants.setdefault(row, []).append((margin, label))
    chosen = {}
    for row, offers in wants.items():
        label = max(offers, key=lambda pair: pair[0])[1]
        sharp = given[row] ** (1 / temperature)
        weight = (sharp[label] / sharp.sum() - 1 / labels) / (1 - 1 / labels)
        chosen[row] = (label, max(weight, 0.0))
    return chosen


@pytest.mark.parametrize(
    ("priors", "share", "temperature"),
    [
        ([0.5, 0.5], 0.3, 1.0),
        ([0.2, 0.8], 0.9, 2.5),
        ([0.5, 0.3, 0.2], 0.4, 0.5),
        ([0.1, 0.1, 0.8], 1.0, 1.3),
        ([1.0, 0.0], 0.5, 1.0),
    ],
)
def test_rows_labels_and_weights_are_those_chosen_one_by_one(
    priors: list[float], share: float, temperature: float
) -> None:
    given = probabilities(len(priors), (37, len(priors)))
    before = given.copy()
    rows, labels, weights = choose_pseudo_labels(given, share, np.array(priors), temperature)
    expected = slow_choice(given, share, priors, temperature)
    assert rows.tolist() == sorted(expected)
    assert labels.tolist() == [expected[row][0] for row in rows]
    np.testing.assert_allclose(weights, [expected[row][1] for row in rows], atol=1e-12)
    assert ((weights >= 0) & (weights <= 1)).all()
    np.testing.assert_array_equal(given, before)


def test_each_class_gets_its_quota_even_where_the_model_favours_one() -> None:
    given = probabilities(4, (200, 3)) * [1, 20, 1]
    given /= given.sum(axis=1, keepdims=True)
    assert np.bincount(given.argmax(axis=1), minlength=3)[1] > 150
    _, labels, _ = choose_pseudo_labels(given, 0.3, np.array([0.5, 0.2, 0.3]))
    assert np.bincount(labels).tolist() == [30, 12, 17], "18 for the last, of which one row was another's"


def test_a_weight_is_nought_for_a_guess_and_one_for_certainty() -> None:
    given = np.array([[1 / 3, 1 / 3, 1 / 3], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]])
    rows, labels, weights = choose_pseudo_labels(given, 1.0, np.full(3, 1 / 3))
    found = {row: (label, weight) for row, label, weight in zip(rows, labels, weights, strict=True)}
    assert found[1] == (0, pytest.approx(1)) and found[2] == (2, pytest.approx(1))
    np.testing.assert_allclose(choose_pseudo_labels(given[:1], 1.0, np.array([1.0, 0, 0]))[2], [0], atol=1e-12)


@pytest.mark.parametrize("priors", [[0.5], [0.5, 0.6], [1.5, -0.5], [float("nan"), 1.0]])
def test_priors_that_are_none_are_refused(priors: list[float]) -> None:
    given = probabilities(0, (5, 2))
    for function in (lambda: choose_pseudo_labels(given, 0.5, np.array(priors)), lambda: match_priors(given, priors)):
        with pytest.raises(ValueError, match="expected 2 numbers from 0 on that sum to 1"):
            function()
    with pytest.raises(ValueError, match="no offset makes a class's mean probability 0"):
        prior_offsets(given, np.array([1.0, 0.0]))


HARD = np.eye(3)[np.random.default_rng(0).choice(3, size=200, p=[0.5, 0.3, 0.2])]


@pytest.mark.parametrize(
    ("given", "priors"),
    [
        (probabilities(1, (50, 2)), [0.3, 0.7]),
        (probabilities(2, (80, 3), 6.0), [0.05, 0.05, 0.9]),
        (probabilities(3, (7, 4), 30.0), [0.4, 0.3, 0.2, 0.1]),
        (HARD[HARD[:, 2] == 0][:, :2], [0.5, 0.5]),
        (np.repeat([[1.0, 0.0], [0.0, 1.0]], [51, 49], axis=0), [0.5, 0.5]),
        (np.repeat([[1.0, 0.0]], 9, axis=0), [0.2, 0.8]),
        (HARD, [1 / 3, 1 / 3, 1 / 3]),
        (HARD, [0.01, 0.98, 0.01]),
    ],
    ids=["two", "three", "sharp four", "hard two", "hard and nearly right", "one answer", "hard three", "hard rare"],
)
def test_matched_probabilities_have_the_priors_as_their_mean(given: np.ndarray, priors: list[float]) -> None:
    before = given.copy()
    matched = match_priors(given, np.array(priors))
    np.testing.assert_allclose(matched.mean(axis=0), priors, atol=1e-6)
    np.testing.assert_allclose(matched.sum(axis=1), 1)
    np.testing.assert_array_equal(given, before)
    offsets = prior_offsets(given, np.array(priors))
    assert abs(offsets.sum()) < 1e-9
    # The same offset on every row is what has been done to them, nothing else.
    logs = np.log(np.maximum(given, 1e-12))
    ratio = np.log(matched) - logs
    np.testing.assert_allclose(ratio - ratio.mean(axis=1, keepdims=True), np.tile(offsets, (len(given), 1)), atol=1e-6)


def test_the_offset_of_two_classes_is_that_of_a_bisection() -> None:
    given, low, high = probabilities(5, (40, 2)), -50.0, 50.0
    odds = np.log(given[:, 1] / given[:, 0])
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-odds - middle))).mean() < 0.85 else (low, middle)
    offsets = prior_offsets(given, np.array([0.15, 0.85]))
    assert offsets[1] - offsets[0] == pytest.approx(low, abs=1e-5)


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_temperature_is_that_of_a_grid_search(labels: int, weighted: bool) -> None:
    rng = np.random.default_rng(labels)
    given = probabilities(6, (300, labels), 3.0)
    flat = given**0.4 / (given**0.4).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(labels, p=row) for row in flat])
    weights = rng.integers(0, 4, 300).astype(float) if weighted else np.ones(300)
    grid = np.exp(np.linspace(np.log(0.02), np.log(50), 4001))
    losses = []
    for temperature in grid:
        sharp = given ** (1 / temperature)
        right = sharp[np.arange(300), truth] / sharp.sum(axis=1)
        losses.append(-(weights * np.log(np.maximum(right, 1e-300))).sum() / weights.sum())
    best = grid[int(np.argmin(losses))]
    assert 1.5 < best < 5  # it was made to be 2.5
    assert calibration_temperature(given, truth, weights if weighted else None) == pytest.approx(best, rel=3e-3)


def test_a_model_that_is_always_right_may_be_surer_and_one_that_is_always_wrong_not_at_all() -> None:
    given = np.full((20, 2), [0.7, 0.3])
    assert calibration_temperature(given, np.zeros(20, dtype=int)) < 0.03
    assert calibration_temperature(given, np.ones(20, dtype=int)) > 40


def replica(answers: list[list[int]]) -> tuple[list[int], object]:
    """A `Fit` that gives these answers, one list per round, and notes how many pseudo-labels it was given."""
    seen: list[int] = []

    def fit(rows: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
        assert len(rows) == len(labels) == len(weights)
        seen.append(len(rows))
        return np.where(np.eye(2)[answers[len(seen) - 1]] == 1, 0.9, 0.1)

    return seen, fit


@pytest.mark.parametrize(
    ("disagreements", "kept"),
    [([0, 0, 0, 0], 4), ([0, 1, 1, 1], 4), ([0, 1, 2, 2], 2), ([0, 2, 0, 0], 1), ([4, 4, 2, 0], 4), ([4, 5, 6, 0], 2)],
)
def test_rounds_are_dropped_from_where_replicas_agree_less_than_at_the_start(
    disagreements: list[int], kept: int
) -> None:
    # Ten rows, balanced answers; in a pair of rows per disagreement the second replica has it the other way round.
    first = [0, 1] * 10
    others = [[1, 0] * number + first[2 * number :] for number in disagreements]
    main_seen, main = replica([first] * 4)
    seen_one, one = replica([first] * 4)
    _, two = replica(others)
    rounds = self_train(
        main, class_priors=np.full(2, 0.5), num_rounds=3, final_share=0.6, replicas=(one, two), max_agreement_drop=0.15
    )
    assert len(rounds) == kept
    np.testing.assert_allclose(
        [part.agreement for part in rounds], [1 - number / 10 for number in disagreements][:kept]
    )
    tried = min(kept + 1, 4)
    assert main_seen == seen_one == [0, 4, 8, 12][:tried]
    assert [len(part.rows) for part in rounds] == [0, 4, 8, 12][:kept]


def test_without_replicas_there_is_no_stop_rule() -> None:
    _, main = replica([[0, 1], [0, 0], [1, 0]])
    rounds = self_train(main, class_priors=np.full(2, 0.5), num_rounds=2)
    assert [part.agreement for part in rounds] == [None, None, None]


@pytest.mark.parametrize(
    "settings",
    [
        {"num_rounds": 0},
        {"final_share": 0.0},
        {"final_share": 1.1},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"max_agreement_drop": -0.1},
        {"replicas": (replica([[0]])[1],)},
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match=r"expected|needs two replicas"):
        self_train(replica([[0, 1]])[1], class_priors=np.full(2, 0.5), **settings)


def by_hand(
    source: np.ndarray, labels: np.ndarray, target: np.ndarray, model: SelfTraining, temperature: float
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """The rounds as one loop; the means of coefficients and intercepts, and each round's probabilities."""
    weight_of = np.ones(len(labels))
    priors = [float((labels == label).mean()) for label in np.unique(labels)]
    extra: dict[int, tuple[int, float]] = {}
    coefficients, intercepts, given = [], [], []
    for number in range(model.num_rounds + 1):
        rows = np.array([*source, *[target[row] for row in sorted(extra)]])
        answers = [*labels, *[extra[row][0] for row in sorted(extra)]]
        weights = [*weight_of, *[extra[row][1] for row in sorted(extra)]]
        fitted = LogisticRegression().fit(rows, answers, sample_weight=weights)
        coefficients.append(fitted.coef_)
        intercepts.append(fitted.intercept_)
        given.append(fitted.predict_proba(target))
        share = model.final_share * (number + 1) / model.num_rounds
        extra = slow_choice(given[-1], share, priors, temperature)
    return sum(coefficients) / len(given), sum(intercepts) / len(given), given


@pytest.mark.parametrize("sizes", [(40, 25), (20, 30, 25)])
def test_the_coefficients_are_the_mean_over_the_rounds(sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    source, labels, target, _ = classes(1, sizes, 31)
    kept = []
    monkeypatch.setattr(
        "nlptransfer.adaptation.self_training.calibration_temperature",
        lambda *given: kept.append(calibration_temperature(*given)) or kept[-1],
    )
    model = SelfTraining(num_rounds=3, final_share=0.7, max_agreement_drop=None)
    model.fit(source, labels, target_features=target)
    coefficients, intercepts, given = by_hand(source, labels, target, model, kept[0])
    np.testing.assert_allclose(model.coef_, coefficients, atol=1e-5)
    for part, expected in zip(model.rounds_, given, strict=True):
        np.testing.assert_allclose(part.probabilities, expected, atol=1e-5)
    # The intercepts differ from the mean by what makes the mean prediction the priors.
    priors = np.array(sizes) / sum(sizes)
    np.testing.assert_allclose(model.predict_proba(target).mean(axis=0), priors, atol=1e-6)
    scores = target @ coefficients.T + intercepts
    scores = np.concatenate([0 * scores, scores], axis=1) if scores.shape[1] == 1 else scores
    raw = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(target), match_priors(raw, priors), atol=1e-4)


def test_the_first_round_is_source_only_and_the_others_have_their_numbers_of_rows() -> None:
    source, labels, target, _ = classes(2, (30, 30), 50)
    model = SelfTraining(num_rounds=4, max_agreement_drop=None).fit(source, labels, target_features=target)
    alone = LogisticRegression().fit(source, labels)
    np.testing.assert_array_equal(model.rounds_[0].probabilities, alone.predict_proba(target))
    assert [len(part.rows) for part in model.rounds_] == [0, 10, 20, 30, 40]
    assert not model.stopped_


def test_with_too_small_a_share_to_add_a_row_it_is_source_only_but_for_the_intercept() -> None:
    source, labels, target, _ = classes(3, (30, 20), 40)
    model = SelfTraining(final_share=0.01).fit(source, labels, target_features=target)
    alone = LogisticRegression().fit(source, labels)
    assert all(not len(part.rows) for part in model.rounds_) and not model.stopped_
    np.testing.assert_allclose(model.coef_, alone.coef_, rtol=1e-12)
    expected = match_priors(alone.predict_proba(target), np.array([0.6, 0.4]))
    np.testing.assert_allclose(model.predict_proba(target), expected, atol=1e-6)


@pytest.mark.parametrize("sizes", [(40, 30), (25, 20, 30)])
@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array])
def test_dense_and_sparse_features_give_the_same(sizes: tuple[int, ...], kind: type) -> None:
    source, labels, target, _ = classes(4, sizes, 45)
    source, target = np.maximum(source, 0), np.maximum(target, 0)
    before = source.copy(), labels.copy(), target.copy()
    dense = SelfTraining().fit(source, labels, target_features=target)
    thin_source, thin_target = kind(source), kind(target)
    thin = SelfTraining().fit(thin_source, labels, target_features=thin_target)
    mixed = SelfTraining().fit(thin_source, labels, target_features=target)
    for other in (thin, mixed):
        np.testing.assert_allclose(other.coef_, dense.coef_, atol=1e-3)
        np.testing.assert_allclose(other.predict_proba(thin_target), dense.predict_proba(target), atol=1e-3)
    assert dense.coef_.shape == ((1 if len(sizes) == 2 else 3), 6)
    for given, kept in zip((source, labels, target), before, strict=True):
        np.testing.assert_array_equal(given, kept)
    np.testing.assert_array_equal(thin_source.toarray(), before[0])
    np.testing.assert_array_equal(thin_target.toarray(), before[2])


def test_labels_may_be_names_and_probabilities_stand_in_their_order() -> None:
    source, labels, target, _ = classes(5, (30, 30, 30), 40)
    names = np.array(["neg", "pos", "so-so"])
    numbered = SelfTraining().fit(source, labels, target_features=target)
    named = SelfTraining().fit(source, names[labels], target_features=target)
    assert named.predict(target).tolist() == names[numbered.predict(target)].tolist()


def test_the_same_seed_gives_the_same_numbers_and_a_clone_has_the_same_settings() -> None:
    source, labels, target, _ = classes(6, (40, 40), 60)
    model = SelfTraining(LogisticRegression(C=0.5), num_rounds=3, class_priors=np.array([0.3, 0.7]), seed=3)
    again = clone(model)
    assert again.get_params(deep=False).keys() == model.get_params(deep=False).keys()
    assert again.num_rounds == 3 and again.seed == 3 and again.class_priors.tolist() == [0.3, 0.7]
    model.fit(source, labels, target_features=target)
    again.fit(source, labels, target_features=target)
    np.testing.assert_array_equal(model.coef_, again.coef_)
    np.testing.assert_array_equal(model.intercept_, again.intercept_)
    assert [part.agreement for part in model.rounds_] == [part.agreement for part in again.rounds_]
    np.testing.assert_allclose(again.predict_proba(target).mean(axis=0), [0.3, 0.7], atol=1e-6)
    other = clone(model).set_params(seed=4).fit(source, labels, target_features=target)
    assert [part.agreement for part in model.rounds_] != [part.agreement for part in other.rounds_]


def test_rows_without_weight_count_for_nothing_and_the_priors_are_weighted() -> None:
    source, labels, target, _ = classes(7, (40, 40), 50)
    weights = np.where(labels == 0, 3.0, 1.0)
    model = SelfTraining(max_agreement_drop=None).fit(source, labels, target_features=target, sample_weight=weights)
    np.testing.assert_allclose(model.predict_proba(target).mean(axis=0), [0.75, 0.25], atol=1e-6)
    alone = LogisticRegression().fit(source, labels, sample_weight=weights)
    np.testing.assert_array_equal(model.rounds_[0].probabilities, alone.predict_proba(target))
    # Wrong rows without weight change nothing but which fold a row falls into.
    more = np.concatenate([source, source[::-1]]), np.concatenate([labels, labels])
    without = np.repeat([1.0, 0.0], 80)
    given = SelfTraining(max_agreement_drop=None).fit(*more, target_features=target, sample_weight=without)
    expected = SelfTraining(max_agreement_drop=None).fit(source, labels, target_features=target)
    np.testing.assert_allclose(given.coef_, expected.coef_, atol=0.05)


@pytest.mark.parametrize("num_rows", [1, 5])
@pytest.mark.parametrize("drop", [None, 0.1])
def test_a_target_of_few_rows_is_worked_with(num_rows: int, drop: float | None) -> None:
    source, labels, target, _ = classes(8, (20, 20, 20), num_rows)
    model = SelfTraining(max_agreement_drop=drop).fit(source, labels, target_features=target)
    assert model.predict(target).shape == (num_rows,)
    np.testing.assert_allclose(model.predict_proba(target).mean(axis=0), [1 / 3] * 3, atol=1e-6)


@pytest.mark.parametrize("sizes", [(20, 2), (2, 2), (15, 12, 2)])
def test_a_class_of_two_rows_is_enough(sizes: tuple[int, ...]) -> None:
    source, labels, target, _ = classes(9, sizes, 30)
    model = SelfTraining().fit(source, labels, target_features=target)
    assert model.predict_proba(target).shape == (30, len(sizes))


def test_bad_input_is_told() -> None:
    source, labels, target, _ = classes(10, (20, 1, 20), 30)
    model = SelfTraining()
    with pytest.raises(InputError, match=r"lacks rows of a class.*20 of class 0, 1 of class 1, 20 of class 2"):
        model.fit(source, labels, target_features=target)
    with pytest.raises(InputError, match="at least 2 classes"):
        model.fit(source, np.zeros(41, dtype=int), target_features=target)
    two = np.arange(41) % 2
    with pytest.raises(InputError, match="2 rows or more that have weight"):
        model.fit(source, two, target_features=target, sample_weight=two.astype(float))
    with pytest.raises(ValueError, match="41 rows, 40 labels and 40 weights"):
        model.fit(source, two[:40], target_features=target)
    with pytest.raises(ValueError, match="41 rows, 41 labels and 3 weights"):
        model.fit(source, two, target_features=target, sample_weight=np.ones(3))
    with pytest.raises(InputError, match="target features have another width"):
        model.fit(source, two, target_features=target[:, :2])
    with pytest.raises(InputError, match="target features have no rows"):
        model.fit(source, two, target_features=target[:0])
    with pytest.raises(ValueError, match="expected 2 numbers from 0 on"):
        SelfTraining(class_priors=np.full(3, 1 / 3)).fit(source, two, target_features=target)
    with pytest.raises(ValueError, match="final_share 0"):
        SelfTraining(final_share=0).fit(source, two, target_features=target)


def test_very_sure_scores_are_set_to_the_priors_too() -> None:
    # Log odds of some hundred: probabilities cut off at 1e-12 would hide by how much the intercept must move.
    source, labels, target = np.array([[-1.0], [1.0]] * 10), np.arange(20) % 2, np.linspace(20, 40, 11)[:, None]
    model = SelfTraining(LogisticRegression(C=1e6), max_agreement_drop=None)
    model.fit(source, labels, target_features=target)
    assert model.rounds_[0].probabilities.min() < 1e-30
    np.testing.assert_allclose(model.predict_proba(target).mean(axis=0), [0.5, 0.5], atol=1e-6)


@pytest.fixture(scope="module", params=[0, 1])
def reviews(request: pytest.FixtureRequest) -> dict[str, sparse.csr_matrix | np.ndarray]:
    domains = make_review_domains(1500, seed=request.param)
    parts = {"source": domains.source["train"], "target": domains.target["unlabelled"], "test": domains.target["train"]}
    vectorizer = NgramVectorizer(ngram_range=(1, 1), normalize=True)
    vectorizer.fit([*parts["source"]["text"], *parts["target"]["text"]])
    made = {name: vectorizer.transform(list(part["text"])) for name, part in parts.items()}
    return {**made, "labels": np.array(parts["source"]["label"]), "gold": np.array(parts["test"]["label"])}


def estimator() -> LogisticRegression:
    return LogisticRegression(C=10, max_iter=1000)


def test_words_of_the_target_are_learnt_from_its_unlabelled_reviews(reviews: dict) -> None:
    source_only = estimator().fit(reviews["source"], reviews["labels"]).score(reviews["test"], reviews["gold"])
    assert 0.7 < source_only < 0.78
    idf = IDFWeighting().fit(reviews["source"], target_features=reviews["target"])
    source, target, test = (idf.transform(reviews[name]) for name in ("source", "target", "test"))
    model = SelfTraining(estimator()).fit(source, reviews["labels"], target_features=target)
    assert not model.stopped_
    assert model.score(test, reviews["gold"]) > 0.88


def test_without_a_shift_it_does_no_harm(reviews: dict) -> None:
    rows, labels = reviews["source"], reviews["labels"]
    source_only = estimator().fit(rows[:750], labels[:750]).score(rows[750:], labels[750:])
    model = SelfTraining(estimator()).fit(rows[:750], labels[:750], target_features=rows[750:])
    assert model.score(rows[750:], labels[750:]) > source_only - 0.01


def favours_one(seed: int, num_source: int = 400, num_target: int = 600) -> Domains:
    """What speaks for class 1 in the source is said all the time in the target, which has its own telling feature."""
    rng = np.random.default_rng(seed)

    def part(number: int, is_target: bool) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(number) % 2
        sign = 2 * labels - 1
        rows = rng.normal(size=(number, 3))
        rows[:, 0] += 0.8 * sign
        rows[:, 1] += 2.0 if is_target else sign
        rows[:, 2] = rows[:, 2] + sign if is_target else 0
        return rows, labels

    return (*part(num_source, False), *part(num_target, True))


@pytest.mark.parametrize("seed", range(3))
def test_quotas_keep_a_favoured_class_from_taking_all(seed: int) -> None:
    source, labels, target, gold = favours_one(seed)
    model = LogisticRegression().fit(source, labels)
    at_first = model.score(target, gold)
    for number in range(1, 9):  # plain self-training: the surest rows, whatever their class
        given = model.predict_proba(target)
        surest = np.argsort(-given.max(axis=1))[: int(0.8 * len(target) * number / 8)]
        pseudo = np.concatenate([labels, given[surest].argmax(axis=1)])
        model = LogisticRegression().fit(np.concatenate([source, target[surest]]), pseudo)
    assert model.predict(target).mean() > 0.92 and model.score(target, gold) <= at_first
    with_quotas = SelfTraining().fit(source, labels, target_features=target)
    assert 0.45 < with_quotas.predict(target).mean() < 0.55
    assert with_quotas.score(target, gold) > at_first + 0.2


def many_topics(seed: int, num_source: int = 200, num_target: int = 1000) -> Domains:
    """One feature tells the classes; ten topics, told by ten features each, say nothing and part the target clearly."""
    rng = np.random.default_rng(seed)

    def part(number: int, loudness: float, clarity: float) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(number) % 2
        telling = rng.normal(size=(number, 1)) + clarity * (2 * labels - 1)[:, None]
        topics = np.repeat(rng.choice([-1.0, 1.0], size=(number, 10)), 10, axis=1)
        return np.hstack([telling, loudness * topics + 0.5 * rng.normal(size=(number, 100))]), labels

    return (*part(num_source, 0.3, 2.0), *part(num_target, 1.0, 1.0))


def test_the_stop_rule_ends_it_where_pseudo_labels_drift_towards_topics() -> None:
    stopped, unstopped, source_only = [], [], []
    for seed in range(3):
        source, labels, target, gold = many_topics(seed)
        model = SelfTraining().fit(source, labels, target_features=target)
        assert model.stopped_ and len(model.rounds_) < 9
        assert min(part.agreement for part in model.rounds_) >= model.rounds_[0].agreement - 0.1
        stopped.append(model.score(target, gold))
        unruled = SelfTraining(max_agreement_drop=None).fit(source, labels, target_features=target)
        assert len(unruled.rounds_) == 9
        unstopped.append(unruled.score(target, gold))
        source_only.append(LogisticRegression().fit(source, labels).score(target, gold))
    assert np.mean(unstopped) < np.mean(source_only) - 0.015
    assert np.mean(stopped) > np.mean(source_only) - 0.01
