"""The systems of a cross-lingual run: which model each trains, on what, and how it reads the target."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.recipes.crosslingual_bridges import Bridge, Bridging, parse_bridge
from nlptransfer.recipes.crosslingual_data import LabelledItems, LanguagePair, as_dataset, rewritten

if TYPE_CHECKING:
    from accelerate import Accelerator

    from nlptransfer.embeddings.word_vectors import WordVectors
    from nlptransfer.experiments import Cell
    from nlptransfer.recipes.cross_lingual_transfer import Settings

REFERENCE = "target_trained"
TARGET_ONLY = "target_only"
BASELINE = "none"
CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights"
_MOST_REPEATS = 20
_TARGET_DEV = 0.1
_PLAIN = Bridge(BASELINE, "none", "recurrent")


@dataclass(frozen=True)
class System:
    """One row of the result.

    Attributes:
        name: in scores, files and plots.
        bridge: from the source's model to the target; None where the target's labels alone are trained on.
        labels: labelled target items that it is trained on.
    """

    name: str
    bridge: Bridge | None
    labels: int

    @property
    def reads(self) -> Bridge:
        """How it reads the target."""
        return self.bridge or _PLAIN


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
        model: takes items as it was trained on them.
        predict: items -> labels: a list per sentence, or one per text.
        history: one row per epoch.
        dev_accuracy: on the development data of what it was trained on.
    """

    model: Any
    predict: Callable[[Sequence[Any]], list[Any]]
    history: list[dict[str, Any]]
    dev_accuracy: float


def list_systems(settings: Settings, pair: LanguagePair) -> list[System]:
    """No bridge first, then the bridges as asked for, for each number of target labels; at last the reference."""
    systems = []
    bridges = {name: parse_bridge(name) for name in (BASELINE, *settings.bridges)}
    for number in settings.target_labels:
        mark = f"@{number}" if len(settings.target_labels) > 1 or number else ""
        systems += [System(bridge.name.replace(":", "=") + mark, bridge, number) for bridge in bridges.values()]
        if number:
            systems.append(System(TARGET_ONLY + mark, None, number))
    if settings.reference and pair.target_train is not None:
        systems.append(System(REFERENCE, None, len(pair.target_train)))
    return systems


def train_system(
    settings: Settings,
    pair: LanguagePair,
    bridging: Bridging,
    system: System,
    seed: int,
    accelerator: Accelerator,
    tell: Callable[[str], Any],
    folder: Path,
) -> Cell[Any]:
    """Train one system under one seed, and let it label the tests, whose own labels it does not see.

    Args:
        settings: the recipe's.
        pair: the data.
        bridging: what the bridges need.
        system: what to train.
        seed: of all that is random.
        accelerator: device and precision.
        tell: called with lines for the screen.
        folder: the cell's; its model is kept below that of the model's name.
    """
    from nlptransfer.experiments import Cell

    started = time.perf_counter()
    bridge = system.reads
    spell_source, spell_target = speller(pair, bridging, bridge)
    trained = train_model(settings, pair, bridging, system, seed, accelerator, tell, folder)
    facts: dict[str, Any] = {"dev_accuracy": trained.dev_accuracy}
    if system.bridge is not None and settings.simulate:
        # The source's development data as the target would write them: labels of the target are not needed.
        written = as_target(pair, bridging, pair.dev.items)
        facts["simulated_accuracy"] = share_right(trained.predict(spell_target(written)), pair.dev.labels)
    predictions = [
        labelled(
            pair,
            system.name,
            "target_test",
            seed,
            pair.target_test,
            trained.predict(spell_target(pair.target_test.items)),
        )
    ]
    if system.bridge is not None and pair.source_test is not None:
        predicted = trained.predict(spell_source(pair.source_test.items))
        predictions.insert(0, labelled(pair, system.name, "source_test", seed, pair.source_test, predicted))
    history = [{"system": system.name, "seed": seed, **row} for row in trained.history]
    return Cell(predictions, history, time.perf_counter() - started, facts)


def speller(
    pair: LanguagePair, bridging: Bridging, bridge: Bridge
) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """How items of source and target are written for the model of a bridge: lists of words, or texts."""
    source, target = bridging.spell_source(bridge.spelling), bridging.spell_target(bridge.spelling)
    if pair.is_tagging:
        return source, target
    return of_texts(source), of_texts(target)


def of_texts(spell: Callable[[Any], list[list[str]]]) -> Callable[[Sequence[str]], list[str]]:
    """A way of spelling sentences of words, for texts."""
    from nlptransfer.data.words import split_tokens

    return lambda texts: [" ".join(words) for words in spell([split_tokens(text) for text in texts])]


def as_target(pair: LanguagePair, bridging: Bridging, items: Sequence[Any]) -> Any:
    """The source's items in the target's script."""
    spell = bridging.spell_source("script_train")
    return spell(items) if pair.is_tagging else of_texts(spell)(items)


def train_model(
    settings: Settings,
    pair: LanguagePair,
    bridging: Bridging,
    system: System,
    seed: int,
    accelerator: Accelerator,
    tell: Callable[[str], Any],
    folder: Path,
) -> Trained:
    """The model of a system, trained, or as an earlier system has left it: bridges may share one."""
    bridge = system.reads
    spell_source, spell_target = speller(pair, bridging, bridge)
    if system.bridge is None:
        few = pair.few_target_labels(system.labels, seed=seed)
        num_dev = max(1, round(_TARGET_DEV * len(few)))
        dev, train = few.rows(range(num_dev)), few.rows(range(num_dev, len(few)))
        if not len(train):
            train = dev
        vectors = bridging.target_vectors
    else:
        train = rewritten(pair.train, spell_source(pair.train.items))
        dev = rewritten(pair.dev, spell_source(pair.dev.items))
        if system.labels:
            few = pair.few_target_labels(system.labels, seed=seed)
            few = rewritten(few, spell_target(few.items))
            repeats = max(1, min(_MOST_REPEATS, len(train) // (2 * len(few))))
            train = LabelledItems([*train.items, *few.items * repeats], [*train.labels, *few.labels * repeats])
        vectors = bridging.vectors(bridge) if bridge.model != "encoder" else None
    place = folder.parent / "models" / model_name(system, seed)
    names = label_names(train)
    if bridge.model == "encoder":
        trained = fit_encoder(settings, pair, names, train, dev, seed, accelerator, place, tell, system.name)
    elif pair.is_tagging:
        trained = fit_tagger(
            settings, bridge, pair, names, train, dev, vectors, seed, accelerator, place, tell, system.name
        )
    else:
        trained = fit_classifier(bridge, names, train, dev, vectors, seed)
    return trained


def label_names(items: LabelledItems) -> list[str]:
    """The labels that occur, sorted: the target's own may be more than the source's."""
    return sorted({label for own in items.labels for label in ([own] if isinstance(own, str) else own)})


def label_ids(labels: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """Numbers of labels; a label that is not among the names gets one that is never predicted."""
    number_of = {name: number for number, name in enumerate(names)}
    unknown = len(names)
    return [
        number_of.get(own, unknown) if isinstance(own, str) else [number_of.get(tag, unknown) for tag in own]
        for own in labels
    ]


def model_name(system: System, seed: int) -> str:
    """The folder of a system's model: bridges that differ in how the target is spelt alone share it."""
    bridge = system.reads
    if system.labels:
        return f"{system.name}-{seed}"
    training = "source_as_target" if bridge.spelling == "script_train" else "source"
    spelling = f"-{bridge.spelling}" if bridge.model in ("vectors", "subwords") else ""
    return f"{training}-{bridge.model}{spelling}-{seed}"


def fit_tagger(
    settings: Settings,
    bridge: Bridge,
    pair: LanguagePair,
    names: list[str],
    train: LabelledItems,
    dev: LabelledItems,
    vectors: WordVectors | None,
    seed: int,
    accelerator: Accelerator,
    place: Path,
    tell: Callable[[str], Any],
    name: str,
) -> Trained:
    """A recurrent tagger."""
    import json

    from nlptransfer.data.batching import Batches
    from nlptransfer.files import write_json, write_whole
    from nlptransfer.models.saving import read_tensors, write_tensors
    from nlptransfer.models.tagger import TaggerShape
    from nlptransfer.recipes.recurrent_taggers import make_optimizer, make_tagger, tagging_step
    from nlptransfer.training.loop import train as run_training
    from nlptransfer.training.schedules import linear

    joint = bridge.model in ("vectors", "subwords")
    # Letters of two scripts have nothing to tell each other.
    spelling = "none" if bridge.model == "vectors" and bridge.spelling == "none" else settings.characters
    shape = TaggerShape(
        hidden_dim=settings.hidden_dim,
        num_layers=settings.num_layers,
        characters=spelling,
        head=settings.head,
        dropout=settings.dropout,
    )
    dataset = as_dataset(train, names)
    embedding = "random" if vectors is None else "frozen" if joint else settings.embedding
    model = make_tagger(
        dataset, vectors, shape, embedding=embedding, dim=settings.embedding_dim, seed=seed,
        metadata={"tag_column": settings.tag_column},
    )  # fmt: skip
    model.to(accelerator.device)
    encoded = model.encode(dev.items, label_ids(dev.labels, names))
    history: list[dict[str, Any]] = []
    kept = place / "history.json"
    if kept.exists():
        model.load_state_dict(read_tensors(place, WEIGHTS))
    else:
        place.mkdir(parents=True, exist_ok=True)

        def on_epoch(row: Any) -> None:
            history.append(dict(row))
            tell(
                f"{name}, seed {seed}, epoch {row['epoch']} of {settings.epochs}: loss {row['loss']:.4f}, "
                f"dev accuracy {row['score']:.4f}, {row['seconds']:.1f} s"
            )

        run_training(
            model,
            tagging_step,
            Batches(
                model.encode(dataset["tokens"][:], dataset["tags"][:]),
                batch_size=settings.batch_size,
                max_length=shape.max_length,
                seed=seed,
            ),
            make_optimizer(model, learning_rate=settings.learning_rate),
            epochs=settings.epochs,
            seed=seed,
            evaluate=lambda: float((model.predict_ids(encoded) == encoded.labels).mean()),
            schedule=linear,
            max_gradient_norm=5.0,
            checkpoint=place / CHECKPOINT,
            resume=True,
            accelerator=accelerator,
            on_epoch=on_epoch,
            description=f"{name}, seed {seed}",
        )
        with write_whole(place / f"{WEIGHTS}.safetensors") as temporary:
            write_tensors(temporary, model.state_dict())
        write_json(kept, history)
        (place / CHECKPOINT).unlink(missing_ok=True)
    model.eval()
    rows = json.loads(kept.read_text(encoding="utf-8"))
    return Trained(model, model.predict, rows, float((model.predict_ids(encoded) == encoded.labels).mean()))


def fit_encoder(
    settings: Settings,
    pair: LanguagePair,
    names: list[str],
    train: LabelledItems,
    dev: LabelledItems,
    seed: int,
    accelerator: Accelerator,
    place: Path,
    tell: Callable[[str], Any],
    name: str,
) -> Trained:
    """A pretrained encoder, tuned by a strategy of the recipe transformer_finetuning."""
    import json

    import nlptransfer
    from nlptransfer.embeddings.find_encoder import find_encoder
    from nlptransfer.files import write_json
    from nlptransfer.finetuning.strategies import parse_strategy
    from nlptransfer.recipes.finetuning_data import Job
    from nlptransfer.recipes.finetuning_systems import tune
    from nlptransfer.recipes.transformer_finetuning import Settings as FinetuningSettings

    kept = place / "history.json"
    if not kept.exists():
        place.mkdir(parents=True, exist_ok=True)
        job = Job(
            name, pair.is_tagging, tuple(names), list(train.items), label_ids(train.labels, names), list(dev.items),
            label_ids(dev.labels, names), (), pair.names[0],
        )  # fmt: skip
        own = FinetuningSettings(
            encoder=settings.encoder,
            task=settings.task,
            strategies=(settings.encoder_strategy,),
            baselines=(),
            tag_column=settings.tag_column,
            epochs=settings.encoder_epochs,
            batch_size=min(settings.batch_size, 16),
            learning_rate=settings.encoder_learning_rate,
            max_length=settings.max_length,
            device=settings.device,
            precision=settings.precision,
        )
        encoder = find_encoder(str(settings.encoder))
        strategy = parse_strategy(settings.encoder_strategy)
        tuned = tune(own, job, strategy, seed, (), encoder, None, place, accelerator, tell)
        tuned.model.save_pretrained(place / "model")
        write_json(kept, tuned.history)
        (place / CHECKPOINT).unlink(missing_ok=True)
    model = nlptransfer.load(place / "model")
    rows = json.loads(kept.read_text(encoding="utf-8"))
    return Trained(model, model.predict, rows, share_right(model.predict(dev.items), dev.labels))


def fit_classifier(
    bridge: Bridge,
    names: list[str],
    train: LabelledItems,
    dev: LabelledItems,
    vectors: WordVectors | None,
    seed: int,
) -> Trained:
    """A logistic regression: on the words of a text and pairs of them, or on the mean of their vectors."""
    import numpy as np

    from nlptransfer.embeddings.averaged_vectors import AveragedVectors
    from nlptransfer.embeddings.extractors import Extractor
    from nlptransfer.embeddings.ngrams import NgramVectorizer
    from nlptransfer.finetuning.feature_extraction import fit_feature_classifier

    extractor: Extractor
    if bridge.model in ("vectors", "subwords"):
        assert vectors is not None
        extractor = AveragedVectors(vectors, weighting="idf").fit(train.items)
    else:
        extractor = NgramVectorizer(weighting="tfidf", normalize=True).fit(train.items)
    fitted = fit_feature_classifier(
        extractor.transform(train.items),
        np.array(label_ids(train.labels, names)),
        num_labels=len(names),
        seed=seed,
    )
    model = fitted.text_classifier(extractor, names)
    return Trained(model, model.predict, [], share_right(model.predict(dev.items), dev.labels))


def share_right(predicted: Sequence[Any], gold: Sequence[Any]) -> float:
    """Share of the labels that are right: of words, or of texts."""
    pairs = [
        (own, other)
        for mine, right in zip(predicted, gold, strict=True)
        for own, other in ([(mine, right)] if isinstance(right, str) else zip(mine, right, strict=True))
    ]
    return sum(own == other for own, other in pairs) / max(1, len(pairs))


def labelled(pair: LanguagePair, system: str, split: str, seed: int, test: LabelledItems, predicted: list[Any]) -> Any:
    """Predictions beside the labels, for the scorer."""
    from nlptransfer.evaluation.document_predictions import DocumentPredictions
    from nlptransfer.evaluation.predictions import Predictions

    if pair.is_tagging:
        return Predictions(system, split, seed, test.items, test.labels, predicted)
    ids = [str(number) for number in range(len(test))]
    return DocumentPredictions(system, split, seed, ids, test.labels, predicted, None)
