"""The arrays of the trees say what scikit-learn says, and a saved classifier holds nothing but arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy import sparse
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import nlptransfer
from nlptransfer.embeddings.ngrams import NgramVectorizer
from nlptransfer.errors import InputError
from nlptransfer.models import saving
from nlptransfer.models.saving import check_reload
from nlptransfer.models.tree_ensemble import TreeEnsemble, TreeTextClassifier

TEXTS = ["a good book", "a dull book", "good and short", "dull and long", "good", "dull dull", "a book", "long book"]
LABELS = np.array([1, 0, 1, 0, 1, 0, 1, 0])


def rows(number: int, num_labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rounded, so that features of other rows lie exactly on the thresholds; labels with noise."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(number, 7)).round(1).astype(np.float32)
    scores = features[:, :num_labels] * features[:, 3:4] + rng.normal(size=(number, num_labels))
    return features, scores.argmax(axis=1)


ESTIMATORS = [
    RandomForestClassifier(10, random_state=0),
    RandomForestClassifier(31, max_depth=4, class_weight="balanced", random_state=1),
    RandomForestClassifier(20, max_leaf_nodes=9, bootstrap=False, random_state=2),
    GradientBoostingClassifier(n_estimators=20, random_state=0),
    GradientBoostingClassifier(n_estimators=7, init="zero", max_leaf_nodes=6, subsample=0.7, random_state=0),
]


@pytest.mark.parametrize("num_labels", [2, 3])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_the_arrays_say_what_the_estimator_says(estimator: Any, num_labels: int) -> None:
    estimator.fit(*rows(150, num_labels))
    unseen, _ = rows(400, num_labels, seed=1)
    ensemble = TreeEnsemble.from_sklearn(estimator, num_labels=num_labels)
    found, expected = ensemble.predict_proba(unseen), estimator.predict_proba(unseen)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(found.argmax(axis=1), estimator.predict(unseen))
    np.testing.assert_array_equal(ensemble.predict_proba(unseen[:1]), found[:1])
    np.testing.assert_array_equal(ensemble.predict_proba(sparse.csr_matrix(unseen)), found)
    assert ensemble.predict_proba(unseen[:0]).shape == (0, num_labels)


def test_rows_on_a_threshold_go_left_as_float32() -> None:
    features = np.array([[0.1], [0.3]], dtype=np.float32)
    estimator = RandomForestClassifier(5, bootstrap=False, random_state=0).fit(features, [0, 1])
    ensemble = TreeEnsemble.from_sklearn(estimator, num_labels=2)
    edge = ensemble.threshold[ensemble.roots[0]]
    rows_at_edge = np.array([[edge], [np.nextafter(edge, 1)], [edge + 1e-6]])
    np.testing.assert_array_equal(ensemble.predict_proba(rows_at_edge), estimator.predict_proba(rows_at_edge))


def test_more_rows_than_a_block_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = rows(150, 3)
    ensemble = TreeEnsemble.from_sklearn(RandomForestClassifier(9, random_state=0).fit(features, labels), num_labels=3)
    whole = ensemble.predict_proba(features)
    monkeypatch.setattr("nlptransfer.models.tree_ensemble._BLOCK", 40)
    np.testing.assert_array_equal(ensemble.predict_proba(features), whole)


@pytest.mark.parametrize("estimator", [RandomForestClassifier(9), GradientBoostingClassifier(n_estimators=5)], ids=str)
def test_a_label_without_a_row_gets_no_probability(estimator: Any) -> None:
    for num_labels in (2, 3):
        features, labels = rows(100, num_labels)
        labels = np.array([0, 2, 4])[labels]
        found = TreeEnsemble.from_sklearn(estimator.fit(features, labels), num_labels=6).predict_proba(features)
        expected = np.zeros((100, 6))
        expected[:, estimator.classes_] = estimator.predict_proba(features)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_is_no_ensemble_of_trees_is_refused() -> None:
    features, labels = rows(50, 3)
    for estimator in (LogisticRegression(), ExtraTreesClassifier(3)):
        with pytest.raises(ValueError, match="no random forest and no gradient boosting"):
            TreeEnsemble.from_sklearn(estimator.fit(features, labels), num_labels=3)
    with pytest.raises(ValueError, match="not only 0 to 1"):
        TreeEnsemble.from_sklearn(RandomForestClassifier(2).fit(features, labels), num_labels=2)
    boosted = GradientBoostingClassifier(n_estimators=2, init=RandomForestClassifier(2)).fit(features, labels)
    with pytest.raises(ValueError, match="boosting that begins with"):
        TreeEnsemble.from_sklearn(boosted, num_labels=3)


def make_classifier(estimator: Any) -> tuple[TreeTextClassifier, np.ndarray]:
    extractor = NgramVectorizer().fit(TEXTS)
    features = extractor.transform(TEXTS)
    estimator.fit(features, LABELS)
    ensemble = TreeEnsemble.from_sklearn(estimator, num_labels=2)
    return TreeTextClassifier(extractor, ["neg", "pos"], ensemble), estimator.predict_proba(features)


@pytest.mark.parametrize(
    "estimator",
    [RandomForestClassifier(9, random_state=0), GradientBoostingClassifier(n_estimators=5, random_state=0)],
    ids=str,
)
def test_a_saved_classifier_reads_raw_texts_and_says_the_same(estimator: Any, tmp_path: Path) -> None:
    classifier, expected = make_classifier(estimator)
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), expected, atol=1e-6)
    classifier.save_pretrained(tmp_path / "model", card="# Trees")
    loaded = nlptransfer.load(tmp_path / "model")
    assert isinstance(loaded, TreeTextClassifier)
    assert loaded.labels == ["neg", "pos"]
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), classifier.predict_proba(TEXTS))
    assert loaded.predict(TEXTS) == classifier.predict(TEXTS)
    assert len(set(loaded.predict(TEXTS))) == 2
    assert loaded.predict_proba([]).shape == (0, 2) and loaded.predict([]) == []
    with pytest.raises(TypeError, match="a list of texts"):
        loaded.predict("a good book")
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".safetensors", ".json", ".md"}


def test_a_saved_classifier_is_the_same_in_another_process(tmp_path: Path) -> None:
    classifier, _ = make_classifier(RandomForestClassifier(5, random_state=0))
    classifier.save_pretrained(tmp_path / "model")
    check_reload(tmp_path / "model", TEXTS, classifier.predict(TEXTS))


@pytest.mark.parametrize(
    "name, where, value", [("left", 0, 0), ("left", -1, 0), ("right", 0, 10**6), ("feature", 0, -1)]
)
def test_trees_that_do_not_end_or_lead_nowhere_are_refused(tmp_path: Path, name: str, where: int, value: int) -> None:
    classifier, _ = make_classifier(RandomForestClassifier(3, random_state=0))
    classifier.save_pretrained(tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    trees = load_file(path)
    trees[name][where] = value
    save_file(trees, path)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["files"]["model.safetensors"] = saving._digest(path)
    config["digest"] = saving._config_digest(config)
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="the trees do not fit the configuration"):
        nlptransfer.load(tmp_path / "model")


def test_trees_must_fit_the_labels_and_the_features() -> None:
    classifier, _ = make_classifier(RandomForestClassifier(3, random_state=0))
    with pytest.raises(ValueError, match="know 2 labels, not 3"):
        TreeTextClassifier(classifier.extractor, ["a", "b", "c"], classifier.ensemble)
    narrow = NgramVectorizer(min_documents=1).fit(["a"])
    with pytest.raises(ValueError, match="ask for feature"):
        TreeTextClassifier(narrow, ["neg", "pos"], classifier.ensemble)
