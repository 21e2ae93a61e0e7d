"""The systems of a cross-lingual run: which model each trains, on what, and how it reads the target."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.errors import InputError
from nlptransfer.recipes.crosslingual_bridge_names import Bridge, parse_bridge
from nlptransfer.recipes.crosslingual_bridges import Bridging
from nlptransfer.recipes.crosslingual_data import LabelledItems, LanguagePair, as_dataset, rewritten

if TYPE_CHECKING:
    from accelerate import Accelerator

    from nlptransfer.embeddings.extractors import Extractor
    from nlptransfer.embeddings.word_vectors import WordVectors
    from nlptransfer.experiments import Cell
    from nlptransfer.models.tagger import RecurrentTagger
    from nlptransfer.recipes.cross_lingual_transfer import Settings

REFERENCE = "target_trained"
TARGET_ONLY = "target_only"
BASELINE = "none"
ENSEMBLE = "ensemble"
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
        bridge: from the source's model to the target; None for an ensemble, and where the target's labels alone are
            trained on.
        labels: labelled target items that it is trained on.
        members: of an ensemble.
    """

    name: str
    bridge: Bridge | None
    labels: int
    members: tuple[System, ...] = ()

    @property
    def reads(self) -> Bridge:
        """How it reads the target."""
        return self.bridge or _PLAIN

    @property
    def crosses(self) -> bool:
        """Whether it comes from the source to the target, so that it can be chosen."""
        return self.bridge is not None or bool(self.members)


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
        model: takes items as it was trained on them.
        predict: items -> labels: a list per sentence, or one per text.
        history: one row per epoch.
        dev_accuracy: on the development data of what it was trained on.
        rounds: of self-training, what each did.
    """

    model: Any
    predict: Callable[[Sequence[Any]], list[Any]]
    history: list[dict[str, Any]]
    dev_accuracy: float
    rounds: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class TrainingData:
    """What the model of a system is trained on, as it is spelt for it.

    Attributes:
        train: items and labels.
        dev: likewise, to choose epochs by.
        names: the labels that occur.
        vectors: of words; None for random ones.
    """

    train: LabelledItems
    dev: LabelledItems
    names: list[str]
    vectors: WordVectors | None


def list_systems(settings: Settings, pair: LanguagePair) -> list[System]:
    """No bridge first, then the bridges as asked for and their ensemble, for each number of target labels; at last the
    reference.

    Raises:
        InputError: self-training or weights are asked for, and there is no unlabelled text of the target.
    """
    systems: list[System] = []
    bridges = {name: parse_bridge(name) for name in (BASELINE, *settings.bridges)}
    asked = [bridge.name for bridge in bridges.values() if bridge.rounds or bridge.weighted]
    if asked and not pair.unlabelled_target():
        raise InputError(
            f"'{asked[0]}' needs unlabelled text of the target, and there is none",
            remedy="Name files of it with --target_text, or a corpus with --target_train, whose labels are not read.",
        )
    for number in settings.target_labels:
        mark = f"@{number}" if len(settings.target_labels) > 1 or number else ""
        own = {bridge.name: _system(bridge, mark, number) for bridge in bridges.values()}
        systems += own.values()
        if settings.ensemble:
            members = tuple(own[parse_bridge(name).name] for name in settings.ensemble)
            systems.append(System(ENSEMBLE + mark, None, number, members))
        if number:
            systems.append(System(TARGET_ONLY + mark, None, number))
    if settings.reference and pair.target_train is not None:
        systems.append(System(REFERENCE, None, len(pair.target_train)))
    return systems


def _system(bridge: Bridge, mark: str, labels: int) -> System:
    return System(bridge.name.replace(":", "=") + mark, bridge, labels)


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
    systems = system.members or (system,)
    spellers = [speller(pair, bridging, own.reads) for own in systems]
    trained = [train_model(settings, pair, bridging, own, seed, accelerator, tell, folder) for own in systems]

    def of_source(items: Sequence[Any]) -> list[Any]:
        return _ask(trained, [source(items) for source, _ in spellers])

    def of_target(items: Sequence[Any]) -> list[Any]:
        return _ask(trained, [target(items) for _, target in spellers])

    facts: dict[str, Any] = {
        "dev_accuracy": share_right(of_source(pair.dev.items), pair.dev.labels)
        if system.members
        else trained[0].dev_accuracy
    }
    if system.members:
        facts["members"] = [own.name for own in systems]
    elif system.reads.rounds:
        facts["self_training"] = list(trained[0].rounds)
    if system.crosses and settings.simulate:
        # The source's development data as the target would write them: labels of the target are not needed.
        written = as_target(pair, bridging, pair.dev.items)
        facts["simulated_accuracy"] = share_right(of_target(written), pair.dev.labels)
    test = pair.target_test
    predictions = [labelled(pair, system.name, "target_test", seed, test, of_target(test.items))]
    if system.crosses and pair.source_test is not None:
        predicted = of_source(pair.source_test.items)
        predictions.insert(0, labelled(pair, system.name, "source_test", seed, pair.source_test, predicted))
    # An ensemble has learnt nothing that its members have not told.
    rows = [] if system.members else trained[0].history
    history = [{"system": system.name, "seed": seed, **row} for row in rows]
    return Cell(predictions, history, time.perf_counter() - started, facts)


def _ask(trained: Sequence[Trained], items: Sequence[Sequence[Any]]) -> list[Any]:
    """The labels of items that each model reads in its own spelling: those of one, or of the mean of several."""
    if len(trained) == 1:
        return trained[0].predict(items[0])
    from itertools import accumulate, pairwise

    from nlptransfer.models.ensemble_rules import average_probabilities, most_probable

    models = [own.model for own in trained]
    ids = most_probable(
        average_probabilities([model.predict_proba(own) for model, own in zip(models, items, strict=True)])
    )
    if not hasattr(models[0], "tags"):
        return [models[0].labels[number] for number in ids]
    tags = [models[0].tags[number] for number in ids]
    return [tags[start:end] for start, end in pairwise(accumulate(map(len, items[0]), initial=0))]


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
    """The model of a system, trained, or as an earlier system has left it: bridges may share one.

    Raises:
        InputError: what was kept was trained on other words.
    """
    bridge = system.reads
    place = folder.parent / "models" / model_name(system, seed)
    data = training_data(settings, pair, bridging, system, seed)
    check_kept(place, data.train)
    if bridge.rounds:
        _, _, mark = system.name.partition("@")
        before = _system(bridge.without_rounds, mark and f"@{mark}", system.labels)
        base = train_model(settings, pair, bridging, before, seed, accelerator, tell, folder)
        return self_train(settings, pair, bridging, system, data, base, seed, accelerator, place, tell)
    if bridge.model == "encoder":
        return fit_encoder(
            settings, pair, data.names, data.train, data.dev, seed, accelerator, place, tell, system.name
        )
    if pair.is_tagging:
        return fit_tagger(settings, bridge, data, seed, accelerator, place, tell, system.name)
    return fit_classifier(bridge, data, seed)


def training_data(
    settings: Settings, pair: LanguagePair, bridging: Bridging, system: System, seed: int
) -> TrainingData:
    """What a system's model is trained on: the source, or the target's labels, or both."""
    bridge = system.reads
    if system.bridge is None:
        few = pair.few_target_labels(system.labels, seed=seed)
        num_dev = max(1, round(_TARGET_DEV * len(few)))
        few = rewritten(few, speller(pair, bridging, bridge)[1](few.items))
        dev, train = few.rows(range(num_dev)), few.rows(range(num_dev, len(few)))
        if not len(train):
            train = dev
        vectors = bridging.target_vectors
    else:
        spell_source, spell_target = speller(pair, bridging, bridge)
        train = rewritten(pair.train, spell_source(pair.train.items))
        dev = rewritten(pair.dev, spell_source(pair.dev.items))
        if bridge.weighted:
            train = by_closeness(pair, bridging, bridge, train, seed=seed)
        if system.labels:
            few = pair.few_target_labels(system.labels, seed=seed)
            few = rewritten(few, spell_target(few.items))
            repeats = max(1, min(_MOST_REPEATS, len(train) // (2 * len(few))))
            train = LabelledItems([*train.items, *few.items * repeats], [*train.labels, *few.labels * repeats])
        vectors = bridging.vectors(bridge) if bridge.model != "encoder" else None
    return TrainingData(train, dev, label_names(train), vectors)


def by_closeness(
    pair: LanguagePair, bridging: Bridging, bridge: Bridge, train: LabelledItems, *, seed: int
) -> LabelledItems:
    """Source items as spelt for a bridge, drawn by how near they are to the target: each on average as it weighs."""
    from nlptransfer.crosslingual.source_weighting import draw_by_weight

    target = speller(pair, bridging, bridge)[1](pair.unlabelled_target())
    words = [items if pair.is_tagging else [text.split() for text in items] for items in (train.items, target)]
    return train.rows(draw_by_weight(bridging.source_weights(bridge.spelling, *words), seed=seed).tolist())


def check_kept(place: Path, train: LabelledItems) -> None:
    """Note what a model is trained on, or refuse one that an earlier try has trained on something else.

    Raises:
        InputError: the two differ.
    """
    import json

    import xxhash

    from nlptransfer.files import write_json

    digest = xxhash.xxh3_128_hexdigest(json.dumps([train.items, train.labels]).encode())
    file = place / "trained_on.json"
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))["digest"]
        if kept != digest:
            raise _other_words(place, expected=f"training items with the digest {digest}", found=kept)
        return
    place.mkdir(parents=True, exist_ok=True)
    write_json(file, {"digest": digest})


def _other_words(place: Path, *, expected: str, found: str) -> InputError:
    return InputError(
        "the model that was kept was trained on other words or labels than this run makes",
        where=place,
        expected=expected,
        found=found,
        remedy="The bridge spells words otherwise since, as after an update or a change of its text or pairs. Start "
        "anew without --resume, in another --output_dir.",
    )


def _load_weights(model: RecurrentTagger, place: Path) -> None:
    from nlptransfer.models.saving import read_tensors

    try:
        model.load_state_dict(read_tensors(place, WEIGHTS))
    except RuntimeError as error:  # the digest says nothing of the target's words, which self-training knows, too
        raise _other_words(place, expected="weights of the same sizes", found=" ".join(str(error).split())) from error


def self_train(
    settings: Settings,
    pair: LanguagePair,
    bridging: Bridging,
    system: System,
    data: TrainingData,
    base: Trained,
    seed: int,
    accelerator: Accelerator,
    place: Path,
    tell: Callable[[str], Any],
) -> Trained:
    """Go on from a bridge's model with the target's unlabelled items, whose labels nobody looks at."""
    import json

    import nlptransfer
    from nlptransfer.files import write_json, write_whole
    from nlptransfer.models.saving import write_tensors
    from nlptransfer.recipes import crosslingual_self_training as rounds_of

    bridge = system.reads
    spell_target = speller(pair, bridging, bridge)[1]
    target = spell_target(pair.unlabelled_target())
    simulated = spell_target(as_target(pair, bridging, pair.dev.items)) if settings.simulate else data.dev.items
    train = (data.train.items, label_ids(data.train.labels, data.names))
    kept = place / "self_training.json"
    done = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else None
    if not pair.is_tagging and bridge.model != "encoder":
        extractor = _extractor(bridge, data, [*data.train.items, *target])
        linear, rounds = rounds_of.self_train_linear(
            extractor, data.names, train, target, num_rounds=bridge.rounds, seed=seed, tell=tell, name=system.name
        )
        accuracy = share_right(linear.predict(data.dev.items), data.dev.labels)
        return Trained(linear, linear.predict, [], accuracy, tuple(rounds))
    model: Any
    if bridge.model == "encoder":
        model = nlptransfer.load(place / "model") if done else base.model
    else:
        model = _build_tagger(settings, bridge, data, seed, more=target)
        if done:
            _load_weights(model, place)
        else:
            rounds_of.know_words(model, base.model)
        model.to(accelerator.device)
    if done is None:
        num_judged = len(data.dev) if not pair.is_tagging else sum(map(len, data.dev.items))

        def judge() -> float:
            return share_right(model.predict(simulated), data.dev.labels)

        if bridge.model == "encoder":
            history, rounds = rounds_of.self_train_encoder(
                model, train, (data.dev.items, label_ids(data.dev.labels, data.names)), target, settings=settings,
                judge=judge, num_judged=num_judged, num_rounds=bridge.rounds, seed=seed, accelerator=accelerator,
                tell=tell, name=system.name,
            )  # fmt: skip
            model.save_pretrained(place / "model")
        else:
            history, rounds = rounds_of.self_train_tagger(
                model, train, target, settings=settings, judge=judge, num_judged=num_judged,
                num_rounds=bridge.rounds, seed=seed, accelerator=accelerator, tell=tell, name=system.name,
            )  # fmt: skip
            with write_whole(place / f"{WEIGHTS}.safetensors") as temporary:
                write_tensors(temporary, model.state_dict())
        done = {"history": history, "rounds": rounds}
        write_json(kept, done)
    accuracy = share_right(model.predict(data.dev.items), data.dev.labels)
    return Trained(model, model.predict, [*base.history, *done["history"]], accuracy, tuple(done["rounds"]))


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
    if system.labels or bridge.rounds or bridge.weighted:
        return f"{system.name}-{seed}"
    training = {"script_train": "source_as_target", "translated": "source_translated"}.get(bridge.spelling, "source")
    spelling = f"-{bridge.spelling}" if bridge.model in ("vectors", "subwords") else ""
    return f"{training}-{bridge.model}{spelling}-{seed}"


def _build_tagger(
    settings: Settings, bridge: Bridge, data: TrainingData, seed: int, *, more: Sequence[Sequence[str]] = ()
) -> RecurrentTagger:
    """A recurrent tagger before training; it knows the words of the training data and of `more` sentences."""
    from nlptransfer.models.tagger import TaggerShape
    from nlptransfer.recipes.recurrent_taggers import make_tagger

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
    words = LabelledItems(
        [*data.train.items, *more], [*data.train.labels, *([data.names[0]] * len(sentence) for sentence in more)]
    )
    embedding: Any = "random" if data.vectors is None else "frozen" if joint else settings.embedding
    return make_tagger(
        as_dataset(words, data.names), data.vectors, shape, embedding=embedding, dim=settings.embedding_dim, seed=seed,
        metadata={"tag_column": settings.tag_column},
    )  # fmt: skip


def fit_tagger(
    settings: Settings,
    bridge: Bridge,
    data: TrainingData,
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
    from nlptransfer.models.saving import write_tensors
    from nlptransfer.recipes.recurrent_taggers import make_optimizer, tagging_step
    from nlptransfer.training.loop import train as run_training
    from nlptransfer.training.schedules import linear

    train, dev, names = data.train, data.dev, data.names
    model = _build_tagger(settings, bridge, data, seed)
    model.to(accelerator.device)
    encoded = model.encode(dev.items, label_ids(dev.labels, names))
    history: list[dict[str, Any]] = []
    kept = place / "history.json"
    if kept.exists():
        _load_weights(model, place)
    else:

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
                model.encode(train.items, label_ids(train.labels, names)),
                batch_size=settings.batch_size,
                max_length=model.shape.max_length,
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


def fit_classifier(bridge: Bridge, data: TrainingData, seed: int) -> Trained:
    """A logistic regression: on the words of a text and pairs of them, or on the mean of their vectors."""
    import numpy as np

    from nlptransfer.finetuning.feature_extraction import fit_feature_classifier

    train, dev, names = data.train, data.dev, data.names
    extractor = _extractor(bridge, data, train.items)
    fitted = fit_feature_classifier(
        extractor.transform(train.items),
        np.array(label_ids(train.labels, names)),
        num_labels=len(names),
        seed=seed,
    )
    model = fitted.text_classifier(extractor, names)
    return Trained(model, model.predict, [], share_right(model.predict(dev.items), dev.labels))


def _extractor(bridge: Bridge, data: TrainingData, texts: list[str]) -> Extractor:
    """What makes features of texts, with the terms and their rarity from these texts."""
    from nlptransfer.embeddings.averaged_vectors import AveragedVectors
    from nlptransfer.embeddings.ngrams import NgramVectorizer

    if bridge.model in ("vectors", "subwords"):
        assert data.vectors is not None
        return AveragedVectors(data.vectors, weighting="idf").fit(texts)
    return NgramVectorizer(weighting="tfidf", normalize=True).fit(texts)


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
