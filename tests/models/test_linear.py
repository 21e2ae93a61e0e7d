"""A linear text classifier says what its members say, before and after it was saved; heads collapse exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import Normalizer
from sklearn.svm import LinearSVC

import nlptransfer
from nlptransfer.data.documents import Document
from nlptransfer.embeddings.ngrams import NgramVectorizer
from nlptransfer.errors import InputError
from nlptransfer.models.linear import LinearTextClassifier, collapse
from nlptransfer.models.saving import check_reload, read_config, read_document, read_tensors, write_model_folder

TEXTS = ["a good book", "good, really good", "a dull book", "dull and bad", "a book", "neither good nor dull"]
LABELS = np.array([1, 1, 0, 0, 2, 2])
BAGS: list[Document] = [{"1": 1.0, "2": np.float32(2)}, {"2": 1.0}, {"1": 3.0, "3": 1.0}, {}]
NAMES = ["neg", "pos", "mixed"]


def fit_classifier(documents: list[Any], labels: np.ndarray, names: list[str]) -> LinearTextClassifier:
    vectorizer = NgramVectorizer(min_documents=1, weighting="log")
    estimator = LogisticRegression(C=10).fit(vectorizer.fit_transform(documents), labels)
    return LinearTextClassifier.from_sklearn(vectorizer, names, estimator)


class Affine:
    """x A_d + t_d for domain d."""

    def __init__(self, input_dim: int, output_dim: int, *, keep_sparse: bool, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.keep_sparse = keep_sparse
        self.maps = {
            name: rng.standard_normal((input_dim, output_dim)).astype(np.float32) for name in ("source", "target")
        }
        shift = 0.0 if keep_sparse else 2.0
        self.shifts = {
            name: np.float32(shift) * rng.standard_normal(output_dim).astype(np.float32) for name in self.maps
        }

    def transform(self, features: Any, *, domain: str = "target") -> Any:
        if self.keep_sparse:
            return sparse.csr_matrix(features) @ sparse.csr_matrix(self.maps[domain])
        return features @ self.maps[domain] + self.shifts[domain]


def test_probabilities_are_the_weighted_average_of_the_members() -> None:
    rng = np.random.default_rng(0)
    vectorizer = NgramVectorizer(min_documents=1).fit(TEXTS)
    coefficients, intercepts = rng.standard_normal((4, 3, vectorizer.dim)), rng.standard_normal((4, 3))
    weights = np.array([1.0, 0.0, 3.0, 2.0])
    classifier = LinearTextClassifier(vectorizer, NAMES, coefficients, intercepts, weights)
    for text, found in zip(TEXTS, classifier.predict_proba(TEXTS), strict=True):
        row = vectorizer.transform([text]).toarray()[0].astype(np.float64)
        expected = np.zeros(3)
        for member in range(4):
            powers = np.exp(coefficients[member] @ row + intercepts[member])
            expected += weights[member] / 6 * powers / powers.sum()
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    features = vectorizer.transform(TEXTS)
    np.testing.assert_allclose(
        classifier.predict_proba_features(features.toarray()), classifier.predict_proba_features(features)
    )


@pytest.mark.parametrize("num_classes", [2, 3])
def test_it_says_what_the_scikit_learn_classifier_says(num_classes: int) -> None:
    labels = LABELS % num_classes
    vectorizer = NgramVectorizer(min_documents=1)
    features = vectorizer.fit_transform(TEXTS)
    estimator = LogisticRegression(C=10).fit(features, labels)
    classifier = LinearTextClassifier.from_sklearn(vectorizer, NAMES[:num_classes], estimator)
    unseen = [*TEXTS, "", "a bad book", "good bad"]
    np.testing.assert_allclose(
        classifier.predict_proba(unseen), estimator.predict_proba(vectorizer.transform(unseen)), atol=1e-6
    )
    assert classifier.predict(unseen) == [NAMES[label] for label in estimator.predict(vectorizer.transform(unseen))]
    svm = LinearSVC(fit_intercept=False).fit(features, labels)
    classifier = LinearTextClassifier.from_sklearn(vectorizer, NAMES[:num_classes], svm)
    assert classifier.predict(unseen) == [NAMES[label] for label in svm.predict(vectorizer.transform(unseen))]


@pytest.mark.parametrize("keep_sparse", [False, True])
@pytest.mark.parametrize("domain", ["source", "target"])
@pytest.mark.parametrize("block", [3, 7, 2048])
def test_a_collapsed_head_equals_transform_then_head(keep_sparse: bool, domain: str, block: int) -> None:
    rng = np.random.default_rng(1)
    affine = Affine(7, 5, keep_sparse=keep_sparse, seed=2)
    coefficients, intercepts = rng.standard_normal((3, 5)), rng.standard_normal(3)
    weights, added = collapse(coefficients, intercepts, affine, 7, domain=domain, block=block)
    assert weights.shape == (3, 7) and added.shape == (3,)
    dense = rng.standard_normal((11, 7)).astype(np.float32)
    for features in (dense, sparse.csr_matrix(dense)):
        expected = affine.transform(features, domain=domain) @ coefficients.T + intercepts
        np.testing.assert_allclose(features @ weights.T + added, expected, atol=1e-5)


def test_what_is_not_affine_does_not_collapse() -> None:
    class Transform:
        def __init__(self, function: Any) -> None:
            self.function = function

        def transform(self, features: Any, *, domain: str = "target") -> Any:
            return self.function(features)

    functions = [np.tanh, np.sign, np.square, lambda rows: np.maximum(rows, 0.5), Normalizer().transform]
    for function in [*functions, lambda rows: rows * rows[:, :1]]:
        with pytest.raises(ValueError, match="Transform is not affine"):
            collapse(np.ones((2, 6)), np.zeros(2), Transform(lambda rows, f=function: f(rows.toarray())), 6)
    weights, added = collapse(np.ones((2, 6)), np.zeros(2), Transform(lambda rows: 3 * rows), 6)
    assert (weights == 3).all() and not added.any()


def test_an_estimator_on_transformed_features_becomes_a_classifier_of_texts() -> None:
    vectorizer = NgramVectorizer(min_documents=1)
    features = vectorizer.fit_transform(TEXTS)
    affine = Affine(vectorizer.dim, 9, keep_sparse=False, seed=3)
    estimator = LogisticRegression().fit(affine.transform(features, domain="source"), LABELS % 2)
    classifier = LinearTextClassifier.from_sklearn(vectorizer, ["neg", "pos"], estimator, transform=affine)
    np.testing.assert_allclose(
        classifier.predict_proba(TEXTS), estimator.predict_proba(affine.transform(features)), atol=1e-5
    )


@pytest.mark.parametrize(("documents", "names"), [(TEXTS, NAMES), (BAGS, ["neg", "pos"])])
def test_a_saved_classifier_loads_again_from_safe_files(tmp_path: Path, documents: list[Any], names: list[str]) -> None:
    labels = LABELS[: len(documents)] % len(names)
    one = fit_classifier(documents, labels, names)
    classifier = LinearTextClassifier(
        one.extractor, names, np.concatenate([one.coefficients, one.coefficients / 2]), [*one.intercepts] * 2, [2, 1]
    )
    classifier.save_pretrained(tmp_path / "run" / "model", card="# Mine\n")
    assert sorted(path.name for path in (tmp_path / "run" / "model").iterdir()) == [
        "README.md",
        "config.json",
        "extractor.json",
        "extractor.safetensors",
        "model.safetensors",
    ]
    loaded = nlptransfer.load(tmp_path / "run")
    assert loaded.labels == names
    np.testing.assert_array_equal(loaded.predict_proba(documents), classifier.predict_proba(documents))
    loaded.save_pretrained(tmp_path / "again")
    again = nlptransfer.load(tmp_path / "again")
    np.testing.assert_array_equal(again.predict_proba(documents), classifier.predict_proba(documents))


@pytest.mark.slow
def test_a_fresh_process_predicts_the_same(tmp_path: Path) -> None:
    for name, documents in (("texts", TEXTS), ("bags", BAGS)):
        classifier = fit_classifier(documents, LABELS[: len(documents)] % 2, ["neg", "pos"])
        predicted = classifier.predict(documents)
        assert len(set(predicted)) == 2
        classifier.save_pretrained(tmp_path / name)
        check_reload(tmp_path / name, documents, predicted)


def test_no_documents_have_no_labels_and_a_bare_text_is_refused() -> None:
    classifier = fit_classifier(TEXTS, LABELS, NAMES)
    assert classifier.predict([]) == []
    assert classifier.predict_proba([]).shape == (0, 3)
    with pytest.raises(TypeError, match="takes a list of texts"):
        classifier.predict("a good book")


def test_shapes_and_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    vectorizer = NgramVectorizer(ngram_range=(1, 1), min_documents=1).fit(TEXTS)
    size = vectorizer.dim
    with pytest.raises(ValueError, match=rf"3 labels and {size} features need .* not \(1, 2, {size}\)"):
        LinearTextClassifier(vectorizer, NAMES, np.zeros((2, size)), np.zeros(2))
    for weights in ([1.0], [1.0, -1.0], [0.0, 0.0], [1.0, np.nan]):
        with pytest.raises(ValueError, match="2 members need as many weights"):
            LinearTextClassifier(vectorizer, NAMES, np.zeros((2, 3, size)), np.zeros((2, 3)), weights)
    estimator = LogisticRegression().fit(vectorizer.transform(TEXTS), LABELS + 1)
    with pytest.raises(ValueError, match=r"knows the classes .*, not 0 to 2"):
        LinearTextClassifier.from_sklearn(vectorizer, NAMES, estimator)
    fit_classifier(TEXTS, LABELS, NAMES).save_pretrained(tmp_path / "m")
    write_model_folder(
        tmp_path / "m",
        model_type="linear_text_classifier",
        config={"labels": ["neg", "pos"], "extractor": read_config(tmp_path / "m")["extractor"]},
        tensors={name: read_tensors(tmp_path / "m", name) for name in ("model", "extractor")},
        documents={"extractor": read_document(tmp_path / "m", "extractor")},
        card="",
    )
    with pytest.raises(InputError, match=r"model\.safetensors: the weights do not fit.*2 labels"):
        nlptransfer.load(tmp_path / "m")
