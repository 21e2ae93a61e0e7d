"""Every system on one pair of domains: how it is trained, scored without labels, and what it says of the test."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.adaptation.method_names import Method, parse_method
from nlptransfer.errors import InputError
from nlptransfer.recipes.domain_representations import describe_representation, represent_pair

if TYPE_CHECKING:
    import numpy as np

    from nlptransfer.data.domain_pairs import DomainPair
    from nlptransfer.experiments import Cell
    from nlptransfer.models.linear import LinearTextClassifier
    from nlptransfer.models.network_text_classifier import NetworkTextClassifier
    from nlptransfer.recipes.cross_domain_sentiment import Settings
    from nlptransfer.recipes.domain_features import PairData

REFERENCE = "target_trained"
SOURCE_ONLY = {"linear": "source_only", "network": "source_only_network"}
FOLDS = 5
HOLDOUT = 0.2
PICTURE_ROWS = 300


@dataclass(frozen=True)
class System:
    """One row of the result: a method, and how many labelled target reviews it may use.

    Attributes:
        name: in scores, files and plots.
        method: None for the reference that is trained on the target.
        num_few: labelled target reviews.
    """

    name: str
    method: Method | None
    num_few: int = 0


@dataclass(frozen=True)
class Trained:
    """A trained system.

    Attributes:
        model: takes raw documents.
        history: one row per epoch, of networks.
        facts: what it reports of itself.
        before: (source, target) rows before its representation, or None where it learns none.
        after: the same rows in its representation.
    """

    model: LinearTextClassifier | NetworkTextClassifier
    history: list[dict[str, Any]]
    facts: dict[str, Any]
    before: tuple[Any, Any] | None = None
    after: tuple[Any, Any] | None = None


def list_systems(settings: Settings) -> list[System]:
    """Every system of a run: the baselines first, then the methods as asked for, then the reference."""
    methods = [parse_method(name) for name in settings.methods]
    baselines = [parse_method("linear")]
    if any(method.is_network for method in methods):
        baselines.append(parse_method("network"))
    systems = [System(SOURCE_ONLY[method.name], method) for method in baselines]
    for method in methods:
        name = method.name.replace(":", "=")  # a colon is no character for a file's name everywhere
        if method.needs_target_labels:
            several = len(settings.target_labels) > 1
            systems += [System(f"{name}@{n}" if several else name, method, n) for n in settings.target_labels if n]
        elif method.name not in SOURCE_ONLY:
            systems.append(System(name, method))
    return [*systems, System(REFERENCE, None)] if settings.reference else systems


def seeds_of(system: System, settings: Settings) -> tuple[int, ...]:
    """The seeds a system is trained under: all, or the first where every seed would give the same."""
    # Another seed draws other labelled target reviews, too.
    is_random = system.method is None or system.method.is_random or system.num_few > 0
    return settings.seeds if is_random else settings.seeds[:1]


def can_train_reference(pair: DomainPair) -> bool:
    """Whether the target has labels to train a reference on."""
    return pair.target_train is not None or pair.test_labels is not None


def load_pair(settings: Settings, source: str, target: str, num_few: int = 0) -> DomainPair:
    """The pair, with `num_few` labelled target reviews; the test is the same for any number of them."""
    from nlptransfer.data.domain_names import source_domains
    from nlptransfer.data.domains import expand_families, load_domain_pair

    ends = {*source_domains(source), target}
    further = [name for name in expand_families(settings.further_text) if name not in ends]
    return load_domain_pair(
        source,
        target,
        target_labels=num_few,
        label_pool=max(settings.target_labels, default=0),
        drop_duplicates=settings.drop_duplicates,
        transductive=settings.transductive,
        further_text=further,
        seed=settings.split_seed,
        data_dir=settings.data_dir,
        text_column=settings.text_column,
        label_column=settings.label_column,
        domain_column=settings.domain_column,
    )


def train_cell(
    settings: Settings,
    data: PairData,
    system: System,
    seed: int,
    pair: DomainPair,
    chosen: Method | None,
    folder: Path,
) -> Cell[Any]:
    """Train one system under one seed and let it label the target's test, whose own labels stay under seal.

    Where the target has no labels, and so no test, it labels the unlabelled reviews.

    Args:
        settings: the recipe's.
        data: the pair's features.
        system: what to train.
        seed: of all that is random.
        pair: with the labelled target reviews that the system may use.
        chosen: the method with the number that an earlier seed has chosen; None lets this one choose.
        folder: the cell's, where the model is kept.
    """
    import numpy as np
    import sklearn

    from nlptransfer.evaluation.document_predictions import DocumentPredictions
    from nlptransfer.experiments import Cell

    started = time.perf_counter()
    first = seed == settings.seeds[0]
    # Warnings go into the report. To import skada, as anyone may have done, switches on metadata routing, under which
    # no groups can be passed to a cross-validation.
    with warnings.catch_warnings(record=True) as caught, sklearn.config_context(enable_metadata_routing=False):
        warnings.simplefilter("always")
        if system.method is None:
            trained, predicted = train_reference(settings, data, seed)
        else:
            trained, data = train_method(settings, data, system.method, seed, pair, chosen)
            predicted = predict_test(data, trained.model)
    own = [warning for warning in caught if issubclass(warning.category, UserWarning | RuntimeWarning)]
    facts = {**trained.facts, "warnings": list(dict.fromkeys(str(warning.message) for warning in own))}
    if first and settings.keep_models:
        trained.model.save_pretrained(folder / "model")
    if first and trained.before is not None and trained.after is not None:
        keep_picture(folder / "picture.json", trained.before, trained.after, seed)
    split = "target_test"
    if data.test is None:
        split = "target_unlabelled"
        predicted = predict_pool(data, trained.model, np.arange(len(data.labels), data.pool.shape[0])).argmax(axis=1)
    names = [pair.label_names[label] for label in predicted]
    ids = [str(number) for number in range(len(names))]
    history = [{"pair": data.name, "system": system.name, "seed": seed, **row} for row in trained.history]
    predictions = [DocumentPredictions(system.name, split, seed, ids, None, names, pair=data.name)]
    return Cell(predictions, history, time.perf_counter() - started, facts)


def train_method(
    settings: Settings, data: PairData, method: Method, seed: int, pair: DomainPair, chosen: Method | None
) -> tuple[Trained, PairData]:
    """Choose the method's number where that was asked for, train it, and score it without labels; see `train_cell`.

    The pair is given back in the representation that the method has learnt, or as it is where it learns none.

    A method that learns from labelled target reviews keeps its default number, and can't be the label-free choice: the
    scores would have to be made without those reviews, which is another method. Nor can a control.
    """
    import numpy as np

    num_source = len(data.labels)
    rows = np.arange(num_source + data.num_target)
    facts: dict[str, Any] = {}
    if chosen is not None:
        method = chosen
    elif settings.tune and not method.needs_target_labels and len(method.variants()) > 1:
        method, facts["candidates"] = choose_number(settings, data, pair, method, seed)
    facts["chosen"] = method.described()
    can_be_chosen = not method.needs_target_labels and not method.is_control
    data, method = represent_pair(settings, data, method, seed)
    if method.is_plain and seed == settings.seeds[0]:
        facts |= describe_representation(data, settings.split_seed)
    trained = fit_rows(settings, data, method, rows[:num_source], data.labels, rows[num_source:], seed, pair=pair)
    facts |= trained.facts
    if seed == settings.seeds[0] and can_be_chosen:
        try:
            facts["label_free_score"] = label_free_score(settings, data, method, trained)
        except InputError as error:
            # Reverse validation has to train on predicted labels, among which a class may be missing.
            warnings.warn(f"There is no label-free score, so it can't be the choice: {error}", stacklevel=1)
    return replace(trained, facts=facts), data


def fit_rows(
    settings: Settings,
    data: PairData,
    method: Method,
    source: np.ndarray,
    labels: np.ndarray,
    target: np.ndarray,
    seed: int,
    *,
    pair: DomainPair | None = None,
) -> Trained:
    """Train a method from some rows of the pool to others.

    Args:
        settings: the recipe's.
        data: the pair's features.
        method: what to train.
        source: rows with labels.
        labels: their class ids.
        target: rows without.
        seed: of all that is random.
        pair: whose few labelled target reviews and unlabelled source may be used; None for neither, as in validation.
    """
    import numpy as np

    from nlptransfer.adaptation.array_systems import DomainArrays, fit_array_system
    from nlptransfer.adaptation.network_systems import DomainItems, fit_network_system, train_network
    from nlptransfer.data.documents import documents
    from nlptransfer.data.feature_batches import DocumentBatches, FeatureBatches
    from nlptransfer.models.linear import LinearTextClassifier
    from nlptransfer.models.network_text_classifier import NetworkTextClassifier

    names = data.pair.label_names
    # Some documents for a picture. Corpora may list one class after the other, so not the first ones.
    picked = [np.random.default_rng(seed).permutation(len(part))[:PICTURE_ROWS] for part in (source, target)]
    shown_source, shown_target = source[picked[0]], target[picked[1]]
    before = (data.pool[shown_source], data.pool[shown_target])
    raw = data if data.raw is None else data.raw
    first = (raw.pool[shown_source], raw.pool[shown_target])
    few = None if pair is None or not len(pair.target_labelled) else documents(pair.target_labelled)
    few_labels = None if few is None or pair is None else _label_ids(pair.target_labelled)
    network = {
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "seed": seed,
        "accelerator": data.accelerator,
    }
    if method.is_network and data.reader is not None and data.pool_ids is not None and data.make_recurrent is not None:
        pool = data.pool_ids
        items = DomainItems(
            [pool[row] for row in source],
            labels,
            [pool[row] for row in target],
            len(names),
            few=None if few is None else data.reader.ids(few),
            few_labels=few_labels,
        )
        system = train_network(method, data.make_recurrent, items, max_length=settings.max_length, **network)
        recurrent = system.network.cpu().eval()
        batches = [
            DocumentBatches([pool[row] for row in part], None, batch_size=64, max_length=settings.max_length)
            for part in (shown_source, shown_target)
        ]
        after = (recurrent.represent(batches[0]), recurrent.represent(batches[1]))
        return Trained(
            NetworkTextClassifier(data.reader, names, recurrent), system.history, system.facts, before, after
        )
    arrays = DomainArrays(
        source=data.pool[source],
        labels=labels,
        target=data.pool[target],
        num_labels=len(names),
        source_unlabelled=None if pair is None else data.source_unlabelled,
        few=None if few is None else data.extractor.transform(few),
        few_labels=few_labels,
    )
    if method.is_network:
        trained = fit_network_system(
            method, arrays, hidden_dim=settings.hidden_dim, dropout=settings.dropout, **network
        )
        rows = [FeatureBatches(part, None, batch_size=256) for part in before]
        after = (trained.network.represent(rows[0]), trained.network.represent(rows[1]))
        model = NetworkTextClassifier(data.extractor, names, trained.network)
        return Trained(model, trained.history, trained.facts, first, after)
    linear = fit_array_system(method, arrays, regularization=settings.regularization, seed=seed)
    classifier = LinearTextClassifier(
        data.extractor, names, linear.coefficients, linear.intercepts, linear.member_weights
    )
    learns = any(step in ("coral", "scl", "subspace_alignment") for step, _ in method.steps)
    if data.raw is not None and method.is_plain:
        return Trained(classifier, [], linear.facts, first, before)
    if not learns or linear.prepared.rows.shape[0] != len(source):  # resampled rows are other documents
        return Trained(classifier, [], linear.facts)
    after = (linear.prepared.rows[picked[0]], linear.prepared.target[picked[1]])
    return Trained(classifier, [], linear.facts, first, after)


def predict_pool(data: PairData, model: Any, rows: np.ndarray) -> np.ndarray:
    """Probabilities (rows, C) of rows of the pool."""
    ids = None if data.pool_ids is None else [data.pool_ids[row] for row in rows]
    return _probabilities(data, model, data.pool[rows], ids)


def predict_test(data: PairData, model: Any) -> np.ndarray:
    """Class ids (documents,) of the target's test."""
    import numpy as np

    if data.test is None:
        return np.zeros(0, dtype=np.int64)
    return _probabilities(data, model, data.test, data.test_ids).argmax(axis=1)


def _probabilities(data: PairData, model: Any, features: Any, ids: list[np.ndarray] | None) -> np.ndarray:
    """What a model says of documents that were read already."""
    from nlptransfer.data.feature_batches import DocumentBatches, FeatureBatches
    from nlptransfer.models.linear import LinearTextClassifier
    from nlptransfer.models.network_text_classifier import WordReader

    if isinstance(model, LinearTextClassifier):
        return model.predict_proba_features(features)
    if isinstance(model.reader, WordReader):
        assert ids is not None
        batches = DocumentBatches(ids, None, batch_size=64, max_length=model.reader.max_length)
        return model.network.probabilities(batches)
    return model.network.probabilities(FeatureBatches(features, None, batch_size=256))


def train_reference(settings: Settings, data: PairData, seed: int) -> tuple[Trained, np.ndarray]:
    """What a linear classifier reaches that was trained on the target's own labels; and what it predicts on the test.

    Where the target has no labels beside its test's, every part of the test is labelled by a classifier that was
    trained on the other parts.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    from nlptransfer.data.documents import documents
    from nlptransfer.models.linear import LinearTextClassifier

    estimator = LogisticRegression(C=settings.regularization, max_iter=1000)
    if data.pair.target_train is not None:
        features = data.extractor.transform(documents(data.pair.target_train))
        estimator.fit(features, _label_ids(data.pair.target_train))
        predicted = estimator.predict(data.test)
    else:
        assert data.pair.test_labels is not None
        labels = data.pair.test_labels.open_for_reference()
        counts = np.bincount(labels, minlength=len(data.pair.label_names))
        if counts.min() < FOLDS:
            raise InputError(
                "the target has too few labelled reviews of a class for a reference trained on the target",
                expected=f"at least {FOLDS} of each class",
                found=", ".join(f"{count} {name}" for name, count in zip(data.pair.label_names, counts, strict=True)),
                remedy="Leave the reference out with --reference false.",
            )
        # A review that stands there twice stays within one fold.
        known: dict[str, int] = {}
        groups = [known.setdefault(repr(document), len(known)) for document in documents(data.pair.target_test)]
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        predicted = cross_val_predict(estimator, data.test, labels, groups=groups, cv=folds)
        estimator.fit(data.test, labels)
    model = LinearTextClassifier.from_sklearn(data.extractor, data.pair.label_names, estimator)
    return Trained(model, [], {"opened_test_labels": data.pair.target_train is None}), predicted


def choose_number(
    settings: Settings, data: PairData, pair: DomainPair, method: Method, seed: int
) -> tuple[Method, list[dict[str, Any]]]:
    """The candidate with the best label-free score, and what each scored and predicted.

    The predictions are kept so that the report can tell, after the labels were opened, what the choice has cost.
    """
    import numpy as np

    num_source = len(data.labels)
    rows = np.arange(num_source + data.num_target)
    candidates: list[dict[str, Any]] = []
    for variant in method.variants():
        own, steps = represent_pair(settings, data, variant, seed)
        trained = fit_rows(settings, own, steps, rows[:num_source], data.labels, rows[num_source:], seed, pair=pair)
        try:
            score = label_free_score(settings, own, steps, trained)
        except InputError:
            score = float("-inf")
        predicted = "".join(map(chr, 48 + predict_test(own, trained.model)))  # a digit for each document
        candidates.append({"method": variant.described(), "score": max(score, -1e9), "predicted": predicted})
    best = max(range(len(candidates)), key=lambda number: float(candidates[number]["score"]))
    return method.variants()[best], candidates


def label_free_score(settings: Settings, data: PairData, method: Method, trained: Trained) -> float:
    """How good the method seems on this pair, by `settings.selection`; higher is better. No target label is used.

    One cut of the source leaves few hundred documents, whose accuracy moves by more than methods differ: a score that
    cuts is averaged over one cut, and training, for each seed of the run.
    """
    if settings.selection in ("reverse_validation", "importance_weighting"):
        return sum(_score_of_cut(settings, data, method, seed) for seed in settings.seeds) / len(settings.seeds)
    import numpy as np

    from nlptransfer.transferability import label_free_scores as scores

    probabilities = predict_pool(data, trained.model, np.arange(len(data.labels), len(data.labels) + data.num_target))
    if settings.selection == "entropy":
        return scores.prediction_entropy_score(probabilities)
    if settings.selection == "information_maximization":
        return scores.information_maximization_score(probabilities)
    return scores.soft_neighbourhood_density(probabilities)


def _score_of_cut(settings: Settings, data: PairData, method: Method, seed: int) -> float:
    """The score on the part of the source that this seed holds out."""
    import numpy as np

    from nlptransfer.transferability import label_free_scores as scores

    num_source = len(data.labels)
    rows = np.arange(num_source + data.num_target)
    source, target = rows[:num_source], rows[num_source:]
    if settings.selection == "reverse_validation":

        def fit_predict(own: np.ndarray, labels: np.ndarray, other: np.ndarray, new: np.ndarray) -> np.ndarray:
            there = fit_rows(settings, data, method, own[:, 0], labels, other[:, 0], seed)
            return predict_pool(data, there.model, new[:, 0]).argmax(axis=1)

        return scores.reverse_validation_accuracy(
            fit_predict, source[:, None], data.labels, target[:, None], holdout=HOLDOUT, seed=seed
        )
    from sklearn.model_selection import train_test_split

    from nlptransfer.adaptation.instance_weighting import DensityRatioWeighting

    seen, unseen = train_test_split(source, test_size=HOLDOUT, random_state=seed, stratify=data.labels)
    there = fit_rows(settings, data, method, seen, data.labels[seen], target, seed)
    right = predict_pool(data, there.model, unseen).argmax(axis=1) == data.labels[unseen]
    weighting = DensityRatioWeighting(seed=seed).fit(data.pool[source], target_features=data.pool[target])
    return scores.importance_weighted_accuracy(right, weighting.weights_[unseen])


def _label_ids(data: Any) -> np.ndarray:
    import numpy as np

    return np.asarray(data["label"][:], dtype=np.int64)


def keep_picture(path: Path, before: tuple[Any, Any], after: tuple[Any, Any], seed: int) -> None:
    """Keep the same documents in two dimensions, before and after a representation."""
    from scipy import sparse

    from nlptransfer.files import write_json
    from nlptransfer.transferability.two_dimensions import project_two_dimensions

    pictures = []
    for rows in (before, after):
        source, target = rows
        if sparse.issparse(source) != sparse.issparse(target):  # CORAL makes the source dense and leaves the target
            source, target = (part.toarray() if sparse.issparse(part) else part for part in rows)
        points = project_two_dimensions(source, target, seed=seed, max_rows=PICTURE_ROWS)
        pictures.append([part.round(4).tolist() for part in points])
    write_json(path, pictures)
