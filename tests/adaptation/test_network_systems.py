"""Methods on networks by name: what 0 must leave alone, what is folded into the weights, and each method's claim."""

from __future__ import annotations

import dataclasses
import functools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from nlptransfer.adaptation import network_systems
from nlptransfer.adaptation.array_systems import DomainArrays
from nlptransfer.adaptation.coral import CORAL
from nlptransfer.adaptation.easyadapt import EasyAdapt
from nlptransfer.adaptation.inverse_document_frequency import IDFWeighting
from nlptransfer.adaptation.l2_sp import make_l2_sp_step
from nlptransfer.adaptation.method_names import STEPS, parse_method
from nlptransfer.adaptation.network_systems import DomainItems, NetworkSystem, fit_network_system, train_network
from nlptransfer.adaptation.scl import StructuralCorrespondenceLearning
from nlptransfer.adaptation.self_training import Round, prior_offsets
from nlptransfer.data.feature_batches import DocumentBatches, DomainBatches, FeatureBatches
from nlptransfer.data.synthetic_reviews import make_review_domains
from nlptransfer.data.vocabulary import RESERVED
from nlptransfer.embeddings.ngrams import NgramVectorizer
from nlptransfer.errors import InputError
from nlptransfer.models.classifier import BagOfWordsNetwork, RecurrentClassifier
from nlptransfer.models.network_text_classifier import NetworkTextClassifier
from nlptransfer.training.loop import train
from nlptransfer.training.seeding import seeded

SEED = 3
NETWORK_METHODS = [name for name, step in STEPS.items() if step.kind == "network"]
BAG_METHODS = [name for name in NETWORK_METHODS if name != "sequence_denoising"]  # which reads the order of words
RECURRENT_METHODS = [name for name in NETWORK_METHODS if name != "reconstruction"]  # which reconstructs features
DOMAIN_METHODS = ["dann", "mmd", "deep_coral", "pivot_tasks"]
QUICK: dict[str, Any] = {"hidden_dim": 8, "epochs": 2, "batch_size": 16, "learning_rate": 0.01, "seed": SEED}


def make_arrays(
    num_labels: int = 2, *, dense: bool = False, sizes: tuple[int, int, int] = (60, 45, 12), seed: int = 0
) -> DomainArrays:
    """Counts of 24 words, four of which tell each class; the target has another taste in the last ten."""
    rng = np.random.default_rng(seed)

    def part(number: int, taste: float) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.permutation(np.arange(number) % num_labels)
        rates = np.full((number, 24), 0.3)
        rates[:, 14:] += taste
        for label in range(num_labels):
            rates[labels == label, 4 * label : 4 * label + 4] += 0.7
        return rng.poisson(rates).astype(np.float32), labels

    (source, labels), (target, _), (few, few_labels) = part(sizes[0], 0.0), part(sizes[1], 0.5), part(sizes[2], 0.5)
    kind = np.asarray if dense else sparse.csr_matrix
    return DomainArrays(kind(source), labels, kind(target), num_labels, None, kind(few), few_labels)


def make_documents() -> DomainItems:
    """Word ids of 40 source and 31 target documents and of 6 labelled target ones; one of each is empty."""
    rng = np.random.default_rng(0)

    def part(number: int, labels: np.ndarray) -> list[np.ndarray]:
        own = [rng.integers(2 + 4 * label, 6 + 4 * label, 3) for label in labels]
        documents = [np.concatenate([words, rng.integers(10, 20, rng.integers(1, 6))]) for words in own]
        return [*documents[: number - 1], np.zeros(0, dtype=np.int64)]

    labels, few_labels = np.arange(40) % 2, np.arange(6) % 2
    target = part(31, np.arange(31) % 2)
    return DomainItems(part(40, labels), labels, target, 2, few=part(6, few_labels), few_labels=few_labels)


def make_recurrent() -> RecurrentClassifier:
    embedding = nn.Embedding(20, 6, padding_idx=0)
    return RecurrentClassifier(embedding, 2, hidden_dim=5, cell="gru", dropout=0.4)


def run(name: str, arrays: DomainArrays, **settings: Any) -> NetworkSystem:
    return fit_network_system(parse_method(name), arrays, **{**QUICK, **settings})


def run_items(
    name: str, items: DomainItems, make: Callable[[], Any] = make_recurrent, **settings: Any
) -> NetworkSystem:
    given = {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "weight_decay": 0.01, "seed": SEED, **settings}
    return train_network(parse_method(name), make, items, **given)


def make_bag(num_features: int = 24, num_labels: int = 2) -> Callable[[], BagOfWordsNetwork]:
    return lambda: BagOfWordsNetwork(num_features, num_labels, hidden_dim=8, dropout=0.5)


def says(network: Any, items: Any) -> np.ndarray:
    if isinstance(items, list):
        return network.probabilities(DocumentBatches(items, None, batch_size=7, max_length=256))
    return network.probabilities(FeatureBatches(items, None, batch_size=7))


def same(first: nn.Module, second: nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


def by_hand(network: nn.Module, rows: Any, labels: np.ndarray, rate: float, decay: float, step: Any = None) -> None:
    """Trains in place, with the settings of `run_items`."""
    plain = lambda model, batch, progress: {"loss": model.loss(model(batch), batch)}  # noqa: E731
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=decay)
    train(network, step or plain, FeatureBatches(rows, labels, batch_size=8, seed=SEED), optimizer, epochs=2, seed=SEED)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("method", [*DOMAIN_METHODS, "reconstruction"])
def test_a_weight_of_0_is_the_plain_network_number_for_number(method: str, dense: bool) -> None:
    arrays = make_arrays(dense=dense and method != "pivot_tasks")
    plain, zero = run("network", arrays), run(f"{method}:0", arrays)
    assert same(zero.network, plain.network)
    assert np.array_equal(says(zero.network, arrays.target), says(plain.network, arrays.target))
    assert not same(run(f"{method}:1", arrays).network, plain.network)


@pytest.mark.parametrize("method", DOMAIN_METHODS)
def test_a_weight_of_0_is_the_plain_recurrent_network_number_for_number(method: str) -> None:
    items = make_documents()
    plain, zero = run_items("network", items), run_items(f"{method}:0", items)
    assert same(zero.network, plain.network)
    assert np.array_equal(says(zero.network, items.target), says(plain.network, items.target))
    assert not same(run_items(f"{method}:1", items).network, plain.network)


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_l2_sp_fine_tunes_at_a_third_of_the_rate_and_without_weight_decay(strength: float) -> None:
    arrays = make_arrays()
    items = DomainItems(arrays.source, arrays.labels, arrays.target, 2, few=arrays.few, few_labels=arrays.few_labels)
    found = run_items(f"l2_sp:{strength}", items, make_bag(), weight_decay=2.0)
    with seeded(SEED):
        network = make_bag()()
    by_hand(network, arrays.source, arrays.labels, 0.01, 2.0)
    step = make_l2_sp_step(network.state_dict(), strength_shared=strength, strength_new=0.0) if strength else None
    by_hand(network, arrays.few, np.asarray(arrays.few_labels), 0.01 / 3, 0.0, step)
    assert same(found.network, network)
    assert [row["epoch"] for row in found.history] == [1, 2, 3, 4]


def test_self_training_that_keeps_no_round_is_the_plain_network_but_for_the_class_priors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def only_the_first(fit: Any, **settings: Any) -> list[Round]:
        nothing = np.zeros(0, dtype=np.int64)
        return [Round(nothing, nothing, fit(nothing, nothing, np.zeros(0)), None)]

    monkeypatch.setattr(network_systems, "self_train", only_the_first)
    arrays = make_arrays()
    arrays = dataclasses.replace(arrays, source=arrays.source[:50], labels=arrays.labels[:50])
    plain, found = run("network", arrays), run("network_self_training", arrays)
    given, state = plain.network.state_dict(), found.network.state_dict()
    assert all(torch.equal(state[name], given[name]) for name in state if name != "head.bias")
    priors = np.bincount(arrays.labels) / 50
    offsets = prior_offsets(says(plain.network, arrays.target).astype(np.float64), priors)
    np.testing.assert_allclose(state["head.bias"] - given["head.bias"], offsets, atol=1e-5)
    np.testing.assert_allclose(says(found.network, arrays.target).mean(axis=0), priors, atol=1e-5)
    assert found.facts["rounds"] == 0 and found.facts["stopped_by_drift"]


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("chain", ["", "idf", "scl:5", "coral", "easyadapt", "idf+scl:5"])
def test_the_network_reads_the_features_as_they_were_before_transforms_and_scaling(chain: str, dense: bool) -> None:
    arrays = make_arrays(dense=dense)
    found = run(f"{chain}+network" if chain else "network", arrays)
    source, target, labels = arrays.source, arrays.target, arrays.labels
    for step in chain.split("+") if chain else []:
        transform: Any = {
            "idf": IDFWeighting(),
            "scl:5": StructuralCorrespondenceLearning(num_dimensions=5),
            "coral": CORAL(regularization=0.01),
            "easyadapt": EasyAdapt(),
        }[step]
        transform.fit(source, labels, target_features=target)
        source, target = transform.transform(source, domain="source"), transform.transform(target, domain="target")
        if step == "easyadapt":
            few = transform.transform(arrays.few, domain="target")
            source = few_below(source, few)
            labels = np.concatenate([labels, np.asarray(arrays.few_labels)])
    lengths = [np.linalg.norm(part.toarray() if sparse.issparse(part) else part, axis=1) for part in (source, target)]
    scale = np.float32(10 / np.concatenate(lengths).mean())
    items = DomainItems((source * scale).astype(np.float32), labels, (target * scale).astype(np.float32), 2)
    inner = run_items("network", items, make_bag(source.shape[1]), batch_size=16)
    assert found.network.hidden_weight.shape == (24, 8)
    expected = says(inner.network, items.target)
    np.testing.assert_allclose(says(found.network, arrays.target), expected, atol=2e-4)
    assert np.ptp(expected) > 0.05


def few_below(source: Any, few: Any) -> Any:
    return sparse.vstack([source, few], format="csr") if sparse.issparse(source) else np.concatenate([source, few])


@pytest.mark.parametrize("method", ["network", "mmd:1", "network_self_training"])
def test_instance_weights_reach_the_loss(method: str) -> None:
    arrays = make_arrays()
    weighed = run(f"density_ratio:1+{method}", arrays, epochs=1)
    assert not same(weighed.network, run(method, arrays, epochs=1).network)
    assert 0 < weighed.facts["effective_sample_size"] < 60
    items = DomainItems(arrays.source, arrays.labels, arrays.target, 2)
    uniform = dataclasses.replace(items, weights=np.ones(60, dtype=np.float32))
    first, second = (run_items(method, part, make_bag(), epochs=1) for part in (items, uniform))
    assert same(first.network, second.network)


def test_self_training_expects_and_calibrates_by_the_weighted_source(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, seen = make_arrays(), {}
    real_train, real_temperature = network_systems.self_train, network_systems.calibration_temperature

    def look(fit: Any, **settings: Any) -> list[Round]:
        seen["priors"] = settings["class_priors"]
        return real_train(fit, **settings)

    def measure(*given: Any) -> float:
        seen["held out"], seen["weights"] = given[0], given[2]
        return real_temperature(*given)

    monkeypatch.setattr(network_systems, "self_train", look)
    monkeypatch.setattr(network_systems, "calibration_temperature", measure)
    weights = np.where(arrays.labels == 0, 0.5, 1.5).astype(np.float32)
    items = DomainItems(arrays.source, arrays.labels, arrays.target, 2, weights=weights)
    run_items("network_self_training", items, make_bag(), epochs=1)
    np.testing.assert_allclose(seen["priors"], [0.25, 0.75])
    assert np.array_equal(seen["weights"], weights)
    np.testing.assert_allclose(seen["held out"].sum(axis=1), 1, atol=1e-5)  # every row was held out once


@pytest.mark.parametrize("kind", ["features", "documents"])
def test_two_domains_of_one_size_are_not_shuffled_alike(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Corpora list their reviews by label: shuffled alike, target batches would hold the labels of the source's.
    seen: list[DomainBatches] = []

    def keep(*parts: Any) -> DomainBatches:
        seen.append(DomainBatches(*parts))
        return seen[-1]

    monkeypatch.setattr(network_systems, "DomainBatches", keep)
    labels = np.arange(64) // 32
    rows: Any = sparse.identity(64, dtype=np.float32, format="csr")
    make: Any = make_bag(64)
    if kind == "documents":
        rows, make = [np.array([number + 2]) for number in range(64)], functools.partial(make_wide, 66)
    run_items("mmd", DomainItems(rows, labels, rows, 2), make, batch_size=16, epochs=1)
    both = seen[0]
    shares = []
    for epoch in range(20):
        both.set_epoch(epoch)
        for batch in both:
            source, target = set(batch.source.input_ids.ravel().tolist()), set(batch.target.input_ids.ravel().tolist())
            shares.append(len(source & target) / len(source))
    assert len(shares) == 80
    assert np.mean(shares) == pytest.approx(0.25, abs=0.06)


def make_wide(num_words: int) -> RecurrentClassifier:
    return RecurrentClassifier(nn.Embedding(num_words, 4, padding_idx=0), 2, hidden_dim=3, cell="gru")


@pytest.mark.parametrize("num_labels", [2, 3])
@pytest.mark.parametrize("method", BAG_METHODS)
def test_every_method_follows_its_seed_and_leaves_nothing_behind(method: str, num_labels: int) -> None:
    arrays = make_arrays(num_labels)
    copies = [part.copy() for part in (arrays.source, arrays.labels, arrays.target, arrays.few, arrays.few_labels)]
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    first = run(method, arrays, epochs=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1]) and random.getstate() == before[2]
    for part, copy in zip((arrays.source, arrays.target, arrays.few), (copies[0], copies[2], copies[3]), strict=True):
        for name in ("data", "indices", "indptr"):
            assert np.array_equal(getattr(part, name), getattr(copy, name))
            assert getattr(part, name).dtype == getattr(copy, name).dtype
    assert np.array_equal(arrays.labels, copies[1]) and np.array_equal(arrays.few_labels, copies[4])

    again, other = run(method, arrays, epochs=1), run(method, arrays, epochs=1, seed=SEED + 1)
    assert same(first.network, again.network) and not same(first.network, other.network)
    assert not first.network.training
    assert [row["epoch"] for row in first.history] == list(range(1, len(first.history) + 1))
    assert json.loads(json.dumps(first.facts)) == first.facts
    json.dumps(first.history)
    answers = says(first.network, arrays.target)
    assert answers.shape == (45, num_labels)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("method", BAG_METHODS)
def test_ten_source_and_five_target_rows_are_enough_to_run(method: str) -> None:
    arrays = make_arrays(sizes=(10, 5, 2))
    answers = says(run(method, arrays, batch_size=64).network, arrays.target)
    assert answers.shape == (5, 2) and np.isfinite(answers).all()


@pytest.mark.parametrize("method", RECURRENT_METHODS)
def test_recurrent_networks_read_empty_documents_under_every_method(method: str) -> None:
    items = make_documents()
    copies = [row.copy() for row in [*items.source, *items.target]]
    state = torch.get_rng_state()
    first, second = run_items(method, items), run_items(method, items)
    assert torch.equal(torch.get_rng_state(), state)
    assert same(first.network, second.network)
    assert all(np.array_equal(row, copy) for row, copy in zip([*items.source, *items.target], copies, strict=True))
    answers = says(first.network, [np.zeros(0, dtype=np.int64), np.array([3, 12])])
    assert answers.shape == (2, 2) and np.isfinite(answers).all()
    assert [row["epoch"] for row in first.history] == list(range(1, len(first.history) + 1))


def test_pivots_are_words() -> None:
    with pytest.raises(InputError, match="these features are no words"):
        run("pivot_tasks", make_arrays(dense=True))
    with pytest.raises(InputError, match="these features are no words"):
        run("coral+pivot_tasks", make_arrays())


def test_a_class_without_pivots_is_said_so() -> None:
    rows = np.zeros((40, 3), dtype=np.float32)
    labels = np.arange(40) % 2
    rows[labels == 0, 0] = 1  # a word of class 0 alone
    rows[:, 1] = 1  # stands everywhere, and so tells no class and teaches no task
    given = sparse.csr_matrix(rows)
    with pytest.raises(InputError, match=r"by class \[1, 0\]"):
        run("pivot_tasks", DomainArrays(given, labels, given, 2))
    with pytest.raises(InputError, match="lack pivots for a class"):
        run("pivot_tasks", DomainArrays(given[:20], np.zeros(20, dtype=np.int64), given, 2))


def test_pivots_are_the_best_words_that_half_of_the_documents_hold() -> None:
    labels = np.arange(200) % 2
    rng = np.random.default_rng(0)
    likely = np.where(labels[:, None] == np.arange(10) % 2, 0.4, 0.1)  # ten words, in turn of class 0 and 1
    rows = sparse.csr_matrix((rng.random((200, 10)) < likely).astype(np.float32))
    items = DomainItems(rows, labels, rows, 2)
    pivots = network_systems._pivots_by_class(items, 256)
    for label, ids in enumerate(pivots):
        assert ids and {pivot % 2 for pivot in ids} == {label}
        assert (rows[:, ids].toarray().any(axis=1)).mean() <= 0.5
        assert len(ids) < 5
    # However the matrix is stored, and where a count of 0 is written out.
    zeros = rows.tolil()
    stored = zeros.tocsr()
    stored = sparse.csr_matrix(stored + sparse.csr_matrix(np.full(rows.shape, 1e-9, dtype=np.float32)))
    stored.data[stored.data < 0.5] = 0
    assert stored.nnz == 2000
    for form in (rows.tocsc(), rows.tocoo(), stored, rows * 3):
        assert network_systems._pivots_by_class(dataclasses.replace(items, source=form, target=form), 256) == pivots
    assert stored.nnz == 2000


def test_pivots_of_documents_are_words_that_are_read_and_no_reserved_ids() -> None:
    labels = np.arange(30) % 2
    first = len(RESERVED)
    documents = [np.array([1, 1, first + label, first + 2 + label]) for label in labels]
    items = DomainItems(documents, labels, documents[:21], 2)
    assert network_systems._pivots_by_class(items, 256)[0][0] == first
    assert network_systems._pivots_by_class(items, 3) == [[first], [first + 1]]


def test_what_is_missing_is_said() -> None:
    arrays = make_arrays()
    items = DomainItems(arrays.source, arrays.labels, arrays.target, 2)
    with pytest.raises(InputError, match="needs a few labelled reviews"):
        run_items("l2_sp", items, make_bag())
    with pytest.raises(InputError, match="needs a few labelled reviews"):
        run("l2_sp", dataclasses.replace(arrays, few=None, few_labels=None))
    with pytest.raises(InputError, match=r"lacks labelled reviews of a class.*\n?.*2 or more"):
        run_items("network_self_training", dataclasses.replace(items, labels=0 * arrays.labels), make_bag())
    for method in ("linear", "self_training"):
        with pytest.raises(ValueError, match="is no network"):
            run(method, arrays)
        with pytest.raises(ValueError, match="is no network"):
            run_items(method, items, make_bag())


def test_a_saved_network_says_the_same(tmp_path: Path) -> None:
    data = make_data(0, 60)
    system = run("idf+mmd", data.arrays)
    classifier = NetworkTextClassifier(data.extractor, ["neg", "pos"], system.network)
    expected = says(system.network, data.test)
    np.testing.assert_allclose(classifier.predict_proba(data.test_texts), expected, atol=1e-6)
    classifier.save_pretrained(tmp_path / "model")
    loaded = NetworkTextClassifier.from_pretrained(tmp_path / "model")
    assert np.array_equal(loaded.predict_proba(data.test_texts), classifier.predict_proba(data.test_texts))


@dataclasses.dataclass(frozen=True)
class Data:
    """Invented reviews of two domains as features."""

    arrays: DomainArrays
    test: Any
    test_labels: np.ndarray
    test_texts: list[str]
    extractor: NgramVectorizer


@functools.lru_cache(maxsize=8)
def make_data(seed: int, number: int = 1500, *, shifted: bool = True) -> Data:
    """The target's unlabelled reviews to learn from and its others as the test; not shifted, the source's."""
    domains = make_review_domains(number, seed=seed)
    source, other = domains.source["train"], domains.target if shifted else domains.source
    rows, labels = list(source["text"]), np.asarray(source["label"])
    test_texts, test_labels = list(other["train"]["text"]), np.asarray(other["train"]["label"])
    if not shifted:
        half = number // 2
        rows, labels, test_texts, test_labels = rows[:half], labels[:half], rows[half:], labels[half:]
    unlabelled = list(other["unlabelled"]["text"])
    extractor = NgramVectorizer(ngram_range=(1, 1), min_documents=5).fit([*rows, *unlabelled])
    arrays = DomainArrays(extractor.transform(rows), labels, extractor.transform(unlabelled), 2)
    return Data(arrays, extractor.transform(test_texts), test_labels, test_texts, extractor)


@functools.lru_cache(maxsize=64)
def review_accuracy(method: str, seed: int, *, shifted: bool = True, epochs: int = 10) -> float:
    data = make_data(seed, shifted=shifted)
    found = run(method, data.arrays, hidden_dim=50, epochs=epochs, batch_size=64, learning_rate=1e-3, seed=seed)
    return float((says(found.network, data.test).argmax(axis=1) == data.test_labels).mean())


@pytest.mark.slow
@pytest.mark.parametrize(("method", "gain"), [("mmd", 0.08), ("deep_coral", 0.14), ("pivot_tasks", 0.02)])
def test_invented_reviews_of_another_domain_are_read_better_with_it(method: str, gain: float) -> None:
    for seed in (0, 1):
        baseline = review_accuracy("network", seed)
        assert baseline < 0.76
        assert review_accuracy(method, seed) >= baseline + gain


@pytest.mark.parametrize("method", ["mmd", "deep_coral", "pivot_tasks"])
def test_invented_reviews_of_the_same_domain_are_read_as_well_with_it(method: str) -> None:
    baseline = review_accuracy("network", 0, shifted=False)
    assert baseline > 0.85
    assert review_accuracy(method, 0, shifted=False) >= baseline - 0.02


@pytest.mark.slow
def test_self_training_reads_invented_reviews_of_another_domain_better() -> None:
    baseline = review_accuracy("network", 0, epochs=5)
    assert baseline < 0.77
    assert review_accuracy("network_self_training", 0, epochs=5) >= baseline + 0.1


def test_self_training_reads_invented_reviews_of_the_same_domain_as_well() -> None:
    baseline = review_accuracy("network", 0, shifted=False, epochs=5)
    assert baseline > 0.85
    assert review_accuracy("network_self_training", 0, shifted=False, epochs=5) >= baseline - 0.02


def moved_accuracy(method: str, shift: float, seed: int) -> float:
    """One feature tells the label, two tell it better; in the target those two are moved by `shift`."""
    rng = np.random.default_rng(seed)

    def part(number: int, moved: float) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.permutation(np.arange(number) % 2)
        signs = 2.0 * labels - 1
        rows = rng.normal(size=(number, 6))
        rows[:, 0] += 1.2 * signs
        rows[:, 1:3] += 1.5 * signs[:, None] + moved
        return rows.astype(np.float32), labels

    (source, labels), (target, target_labels) = part(600, 0.0), part(500, shift)
    arrays = DomainArrays(source, labels, target, 2)
    found = run(method, arrays, hidden_dim=20, dropout=0.2, epochs=10, batch_size=32, learning_rate=5e-3, seed=seed)
    return float((says(found.network, target).argmax(axis=1) == target_labels).mean())


def test_dann_takes_back_a_move_of_the_telling_features() -> None:
    for seed in (0, 1, 2):
        baseline = moved_accuracy("network", 2.0, seed)
        assert baseline < 0.8
        assert moved_accuracy("dann:1", 2.0, seed) >= baseline + 0.06


def test_dann_does_no_harm_where_nothing_moved() -> None:
    assert moved_accuracy("dann:1", 0.0, 0) >= moved_accuracy("network", 0.0, 0) - 0.01


def fine_tuned(strength: float, *, wrong: float, seed: int) -> tuple[float, float]:
    """Accuracy in the target and the distance of the weights from the source's, after 20 labels, some of them wrong."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=12)

    def part(number: int) -> tuple[np.ndarray, np.ndarray]:
        rows = rng.normal(size=(number, 12)).astype(np.float32)
        return rows, (rows @ direction > 0).astype(np.int64)

    (source, labels), (few, few_labels), (test, test_labels) = part(600), part(20), part(500)
    few_labels = np.where(np.arange(20) < 20 * wrong, 1 - few_labels, few_labels)
    if wrong == 1:
        test_labels = 1 - test_labels  # the target's labels truly mean the opposite
    arrays = DomainArrays(source, labels, test, 2, None, few, few_labels)
    settings: dict[str, Any] = {"hidden_dim": 20, "epochs": 10, "batch_size": 5, "learning_rate": 0.06, "seed": seed}
    start, found = run("network", arrays, **settings), run(f"l2_sp:{strength}", arrays, **settings)
    ours, theirs = start.network.state_dict(), found.network.state_dict()
    distance = float(sum((ours[name] - theirs[name]).square().sum() for name in ours))
    return float((says(found.network, test).argmax(axis=1) == test_labels).mean()), distance


@pytest.mark.slow
def test_l2_sp_keeps_what_the_source_taught_where_a_few_labels_are_wrong() -> None:
    for seed in (0, 1):
        (free, far), (held, near) = (fine_tuned(strength, wrong=0.4, seed=seed) for strength in (0.0, 10.0))
        assert free < 0.89
        assert held >= free + 0.04
        assert near < 0.1 * far


def test_l2_sp_learns_less_where_the_target_is_truly_another() -> None:
    assert fine_tuned(10.0, wrong=1.0, seed=1)[0] <= fine_tuned(0.0, wrong=1.0, seed=1)[0] - 0.3
