"""mSDA: its expectations against explicit corruptions and float64, the stream, the claim and its control."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from nlptransfer.adaptation.marginalized_denoising import (
    MarginalizedDenoising,
    Moments,
    _collect_moments,
    _mirror_lower,
    _scale_lower,
    denoising_weights,
)
from nlptransfer.data.synthetic_reviews import make_review_domains
from nlptransfer.embeddings.ngrams import NgramVectorizer
from nlptransfer.errors import InputError


def counts(seed: int, num_rows: int, num_columns: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    topics = rng.random((num_rows, 3)) @ rng.uniform(0, 0.6, size=(3, num_columns))
    return rng.poisson(topics).astype(np.float32)


def moments(rows: np.ndarray, part: np.ndarray | None = None, wanted: np.ndarray | None = None) -> Moments:
    return _collect_moments([rows], np.arange(rows.shape[1]) if part is None else part, wanted)


def largest_one(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(rows.max(axis=1, keepdims=True), 1e-9)


def exact_weights(rows: np.ndarray, corruption: float) -> np.ndarray:
    """The paper's (4) and (5) with unbiased corruption and a constant feature that is never corrupted, in float64."""
    with_one = np.concatenate([rows.astype(np.float64), np.ones((len(rows), 1))], axis=1)
    scatter = with_one.T @ with_one
    kept = np.append(np.full(rows.shape[1], 1 - corruption), 1.0)  # probability of each feature
    both = np.outer(kept, kept)
    np.fill_diagonal(both, kept)
    expected_square = scatter * both / np.outer(kept, kept)  # each corrupted feature is divided by its probability
    return np.linalg.solve(expected_square, scatter[:, :-1])  # (D + 1, D)


@pytest.mark.parametrize("corruption", [0.1, 0.5, 0.9])
def test_the_weights_are_the_papers_closed_form_in_float64(corruption: float) -> None:
    rows = counts(1, 60, 25)
    expected = exact_weights(rows, corruption)
    own = moments(rows)
    mean = own.mean
    weights, ridge = denoising_weights(own, corruption)
    assert ridge == 0 and weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected[:-1], atol=2e-5)
    np.testing.assert_allclose(mean - mean @ weights, expected[-1], atol=2e-5)  # the intercept


def test_the_expectations_are_averages_over_explicit_corruptions() -> None:
    rows, corruption, rng = counts(2, 30, 6).astype(np.float64), 0.4, np.random.default_rng(0)
    draws = 20_000
    square, cross = np.zeros((6, 6)), np.zeros((6, 6))
    mean = rows.mean(axis=0)
    for _ in range(draws // 100):
        kept = rng.random((100, *rows.shape)) >= corruption
        corrupted = rows * kept / (1 - corruption)
        square += np.einsum("kni,knj->ij", corrupted - mean, corrupted - mean)
        cross += np.einsum("kni,nj->ij", corrupted - mean, rows - mean)
    found = moments(rows.astype(np.float32))
    covariance = np.tril(found.covariance) + np.tril(found.covariance, -1).T
    noise = np.diag(corruption / (1 - corruption) * found.squares)
    scale = np.abs(square).max() / draws
    np.testing.assert_allclose(square / draws / scale, (covariance + noise) / scale, atol=0.02)
    np.testing.assert_allclose(cross / draws / scale, covariance / scale, atol=0.02)
    # And the weights are the least squares over all these corruptions.
    np.testing.assert_allclose(denoising_weights(found, corruption)[0], np.linalg.solve(square, cross), atol=0.03)


def test_every_layer_is_the_closed_form_of_the_one_before() -> None:
    given = counts(3, 50, 12)
    msda = MarginalizedDenoising(num_layers=3).fit(given[:30], target_features=given[30:])
    rows = largest_one(given)
    inputs, parts, read = rows, [rows], rows
    for layer in msda.layers_.layers:
        expected = exact_weights(inputs.astype(np.float64), 0.5)
        inputs = np.tanh(inputs @ expected[:-1] + expected[-1])
        read = layer.apply(read)
        np.testing.assert_allclose(read, inputs, atol=1e-3)
        parts.append(inputs)
    parts[0] = rows * (np.log(51 / (1 + (given > 0).sum(axis=0))) + 1)  # inverse document frequencies
    lengths = [np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9) for part in parts]
    whole = np.concatenate([part / length for part, length in zip(parts, lengths, strict=True)], axis=1)
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    np.testing.assert_allclose(msda.transform(given), whole, atol=1e-3)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csr_array])
@pytest.mark.parametrize(
    "options", [{}, {"max_features": 11}, {"output_dim": 5}, {"max_features": 11, "output_dim": 5}]
)
def test_the_stream_is_the_fit_in_memory(kind: type, options: dict[str, int]) -> None:
    rows = counts(4, 60, 30)
    in_memory = MarginalizedDenoising(num_layers=2, seed=3, **options)
    given = in_memory.fit_transform(kind(rows[:25]), target_features=kind(rows[25:45]), source_unlabelled=rows[45:])
    streamed = MarginalizedDenoising(num_layers=2, seed=3, **options)
    streamed.fit_batches(lambda: (kind(rows[start : start + 7]) for start in range(0, 60, 7)))
    np.testing.assert_allclose(in_memory.transform(kind(rows)), given, atol=1e-5)
    np.testing.assert_allclose(streamed.layers_.blocks(rows), in_memory.layers_.blocks(rows), atol=1e-5)
    gram = given @ given.T  # directions may be turned
    np.testing.assert_allclose(streamed.transform(rows) @ streamed.transform(rows).T, gram, atol=1e-4)


def test_many_features_are_rebuilt_by_the_average_over_random_parts() -> None:
    rows = largest_one(counts(5, 80, 26))
    msda = MarginalizedDenoising(num_layers=2, max_features=10, seed=1).fit(sparse.csr_matrix(rows))
    most = np.sort(np.argsort(-(rows > 0).sum(axis=0), kind="stable")[:10])
    np.testing.assert_array_equal(msda.reconstructed_, most)
    parts = np.array_split(np.random.default_rng(1).permutation(26), 3)
    mean, weight = rows.mean(axis=0), np.zeros((26, 10))
    for part in parts:
        centred = rows[:, part].astype(np.float64) - mean[part]
        square = centred.T @ centred + np.diag(np.square(rows[:, part]).sum(axis=0))
        weight[part] = np.linalg.solve(square, centred.T @ (rows[:, most] - mean[most])) / 3
    np.testing.assert_allclose(msda.layers_.layers[0].weight, weight, atol=1e-5)
    np.testing.assert_allclose(msda.layers_.layers[0].bias, mean[most] - mean @ weight, atol=1e-5)
    assert msda.layers_.dim == 26 + 10 + 10
    other = MarginalizedDenoising(num_layers=2, max_features=10, seed=2).fit(rows)
    assert np.abs(other.layers_.layers[0].weight - msda.layers_.layers[0].weight).max() > 0.01


def test_the_projection_keeps_the_main_directions() -> None:
    rows = counts(6, 90, 40)
    whole = MarginalizedDenoising(num_layers=2).fit(rows).layers_.blocks(rows)
    msda = MarginalizedDenoising(num_layers=2, output_dim=6)
    made, projection = msda.fit_transform(rows), msda.layers_.projection
    assert projection is not None and made.shape == (90, 6)
    np.testing.assert_allclose(projection.T @ projection, np.eye(6), atol=1e-4)
    best = (np.linalg.svd(whole, compute_uv=False)[:6] ** 2).sum()
    assert best * 0.99 < np.square(whole @ projection).sum() < best * 1.0001
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)


def test_a_system_that_float32_can_not_solve_is_mended_and_said() -> None:
    rows = counts(7, 40, 20)
    twice = np.concatenate([rows, rows], axis=1)
    with pytest.warns(UserWarning, match="ill-conditioned"):
        msda = MarginalizedDenoising(num_layers=1, corruption=1e-8).fit(twice)
    assert msda.ridge_ == [pytest.approx(1e-4)] and msda.facts_ == {"ridge": msda.ridge_}
    assert np.isfinite(msda.transform(twice)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not any(MarginalizedDenoising(corruption=0.01).fit(twice).ridge_)


def test_what_mends_a_system_is_part_of_its_solution() -> None:
    rows, corruption = counts(7, 40, 20), 1e-8
    own = moments(np.concatenate([rows, rows], axis=1))
    covariance = np.tril(own.covariance).astype(np.float64)
    covariance += np.tril(covariance, -1).T
    square = covariance + np.diag(corruption * own.squares.astype(np.float64))
    with pytest.warns(UserWarning, match="ill-conditioned"):
        weights, ridge = denoising_weights(own, corruption)
    square += ridge * np.diag(np.diag(square))
    np.testing.assert_allclose(weights, np.linalg.solve(square, covariance), atol=5e-3)


def test_matrices_wider_than_a_block_are_scaled_and_solved_as_narrow_ones() -> None:
    rows = counts(15, 900, 600)
    own = moments(rows)
    found, _ = denoising_weights(own, 0.5)
    np.testing.assert_allclose(found, exact_weights(rows, 0.5)[:-1], atol=1e-4)
    square = np.cov(rows.T).astype(np.float32) + np.eye(600, dtype=np.float32)
    scale = 1 / np.sqrt(np.diag(square))
    lower = np.asfortranarray(np.tril(square))
    norm = _scale_lower(lower, scale)
    expected = square * np.outer(scale, scale)
    np.testing.assert_allclose(lower, np.tril(expected), atol=1e-5)
    assert norm == pytest.approx(np.abs(expected).sum(axis=0).max(), rel=1e-4)


def test_features_that_never_occur_stay_out_of_it() -> None:
    rows = counts(8, 40, 10)
    rows[:, [2, 7]] = 0
    msda = MarginalizedDenoising(num_layers=1).fit(rows)
    weight = msda.layers_.layers[0].weight
    assert not weight[[2, 7]].any() and not weight[:, [2, 7]].any()
    np.testing.assert_array_equal(msda.influences(np.array([2])), 0)


def test_influences_are_what_a_feature_adds_to_a_reconstruction() -> None:
    rows = counts(9, 50, 12)
    expected = exact_weights(largest_one(rows), 0.5)[:-1]
    found = MarginalizedDenoising(num_layers=2).fit(sparse.csr_matrix(rows)).influences(np.array([3, 5]))
    np.testing.assert_allclose(found, expected[:, [3, 5]].T, atol=1e-5)


def test_reconstruction_errors_are_squares_over_the_spread() -> None:
    rows, new = largest_one(counts(10, 300, 8)), largest_one(counts(10, 4000, 8))
    msda = MarginalizedDenoising(num_layers=2, corruption=0.3).fit(rows)
    weights = exact_weights(rows, 0.3)
    kept = np.random.default_rng(5).random((200, *new.shape)) >= 0.3
    answers = (new * kept / 0.7) @ weights[:-1] + weights[-1]
    expected = np.square(answers - new).sum(axis=(1, 2)).mean() / np.square(new - new.mean(axis=0)).sum()
    found = msda.reconstruction_errors(sparse.csr_matrix(new), seed=0)
    assert found[0] == pytest.approx(expected, rel=0.02) and len(found) == 2
    assert 0 < found[0] < 1


def test_the_lower_triangle_is_mirrored_over_block_borders() -> None:
    matrix = np.random.default_rng(0).random((700, 700), dtype=np.float32)
    expected = np.tril(matrix) + np.tril(matrix, -1).T
    _mirror_lower(matrix)
    np.testing.assert_array_equal(matrix, expected)


def test_given_arrays_stay_as_they_are_and_the_estimator_clones() -> None:
    rows = sparse.csr_matrix(counts(11, 30, 9))
    before = rows.copy()
    msda = MarginalizedDenoising(num_layers=2, corruption=0.3)
    made = clone(msda).fit(rows).transform(rows)
    assert (rows != before).nnz == 0
    np.testing.assert_array_equal(made, msda.fit_transform(rows))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda rows: MarginalizedDenoising(corruption=0.0).fit(rows), "corruption"),
        (lambda rows: MarginalizedDenoising(corruption=1.0).fit(rows), "corruption"),
        (lambda rows: MarginalizedDenoising(num_layers=0).fit(rows), "num_layers"),
        (lambda rows: MarginalizedDenoising().fit_batches(lambda: iter(())), "nothing to learn"),
        (lambda rows: MarginalizedDenoising().fit(0 * rows), "no feature"),
        (lambda rows: MarginalizedDenoising().fit(rows, target_features=rows[:, 1:]), "another width"),
        (lambda rows: MarginalizedDenoising().fit_batches(lambda: iter((rows, rows[:, 1:]))), "another width"),
        (lambda rows: MarginalizedDenoising().fit(rows).transform(rows[:, 1:]), "another width"),
    ],
)
def test_what_can_not_be_is_refused(make: Callable[[np.ndarray], object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make(counts(12, 20, 6))


@pytest.fixture(scope="module")
def accuracies() -> dict[str, float]:
    """By features, the mean accuracy on the target of a classifier trained on the source, over four corpora."""
    found: dict[str, list[float]] = {"raw": [], "without target": [], "with target": []}
    for seed in range(4):
        domains = make_review_domains(700, seed=seed)
        labelled = (domains.source["train"], domains.target["train"])
        texts = [list(part["text"]) for part in (*labelled, domains.target["unlabelled"])]
        vectorizer = NgramVectorizer(ngram_range=(1, 1), weighting="binary", min_documents=3, max_features=1200)
        vectorizer.fit([*texts[0], *texts[2]])
        source, test, unlabelled = (vectorizer.transform(part) for part in texts)
        labels, gold = (np.asarray(part["label"][:]) for part in labelled)
        for name, given in (("raw", None), ("without target", None), ("with target", unlabelled)):
            learnt = MarginalizedDenoising().fit(source, target_features=given)
            rows = (source, test) if name == "raw" else (learnt.transform(source), learnt.transform(test))
            classifier = LogisticRegression(C=10, max_iter=500).fit(rows[0], labels)
            found[name].append(float(classifier.score(rows[1], gold)))
    return {name: float(np.mean(values)) for name, values in found.items()}


def test_features_learnt_with_target_text_carry_over_better_than_raw_ones(accuracies: dict[str, float]) -> None:
    assert 0.5 < accuracies["raw"] < 0.9  # there is something to gain
    assert accuracies["with target"] > accuracies["raw"] + 0.01


def test_without_target_text_less_is_gained(accuracies: dict[str, float]) -> None:
    assert accuracies["without target"] < accuracies["with target"] - 0.01
