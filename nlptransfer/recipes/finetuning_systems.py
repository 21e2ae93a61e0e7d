"""Every strategy of fine-tuning: how its encoder is made ready, how it is tuned, and what it says of the tests."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.errors import InputError
from nlptransfer.finetuning.strategies import FROZEN, STRATEGY_STEPS, Strategy, parse_strategy
from nlptransfer.recipes.finetuning_data import Job, Test
from nlptransfer.recipes.finetuning_encoder import masked_lm_head, prepare_encoder, target_text, whole_ids
from nlptransfer.recipes.finetuning_models import (
    as_given,
    fit_head,
    frozen_features,
    make_batches,
    make_extractor,
    make_model,
    predict,
    probabilities,
    reading,
    share_right,
)

if TYPE_CHECKING:
    from accelerate import Accelerator

    from nlptransfer.experiments import Cell
    from nlptransfer.recipes.transformer_finetuning import Settings

CHECKPOINT = "checkpoint.pt"
ENSEMBLE = "ensemble"
_PSEUDO_LABEL_RATE = 0.5


@dataclass(frozen=True)
class System:
    """One row of the result: a strategy, and how many training items it has.

    Attributes:
        name: in scores, files and plots.
        strategy: how the encoder is used; of an ensemble the first member's.
        size: training items; None for all.
        members: the strategies of an ensemble, none otherwise.
    """

    name: str
    strategy: Strategy
    size: int | None = None
    members: tuple[Strategy, ...] = ()

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        """All that it rests on."""
        return self.members or (self.strategy,)

    @property
    def uses_target(self) -> bool:
        """Whether it reads the target's unlabelled text."""
        return any(own.uses_target for own in self.strategies)

    @property
    def is_random(self) -> bool:
        """Whether another seed gives another result: another seed draws other training items, too."""
        return self.size is not None or any(own.is_random for own in self.strategies)


@dataclass(frozen=True)
class Tuned:
    """A trained system.

    Attributes:
        model: takes raw texts or lists of words.
        history: one row per epoch.
        facts: what it reports of itself.
        predict: items -> label ids, one per text or a list per sentence.
    """

    model: Any
    history: list[dict[str, Any]]
    facts: dict[str, Any]
    predict: Callable[[Sequence[Any]], list[Any]]


def list_systems(settings: Settings) -> list[System]:
    """Every system of a run: the baselines first, then the strategies as asked for; for each number of training items.

    A strategy that goes on from the network of another one comes after it, and an ensemble at the end.
    """
    wanted = {own.name: own for own in map(parse_strategy, [*settings.baselines, *settings.strategies])}
    ordered: dict[str, Strategy] = {}
    for own in wanted.values():
        base = own.without_after.name
        ordered |= {base: wanted[base]} if base in wanted else {}
        ordered[own.name] = own
    sizes: tuple[int | None, ...] = settings.train_sizes or (None,)
    marks = {size: "" if size is None else f"@{size}" for size in sizes}
    systems = [
        System(own.name.replace(":", "=") + mark, own, size) for own in ordered.values() for size, mark in marks.items()
    ]
    if settings.ensemble:
        members = tuple(map(parse_strategy, settings.ensemble))
        systems += [System(ENSEMBLE + mark, members[0], size, members) for size, mark in marks.items()]
    return systems


def seeds_of(system: System, settings: Settings) -> tuple[int, ...]:
    """The seeds a system is trained under: all, or the first where every seed would give the same."""
    return settings.seeds if system.is_random else settings.seeds[:1]


def train_cell(
    settings: Settings,
    job: Job,
    system: System,
    seed: int,
    tests: Sequence[Test],
    base: Path | None,
    folder: Path,
    tell: Callable[[str], Any],
) -> Cell[Any]:
    """Train one system under one seed, and let it label the tests, whose own labels it does not see.

    Args:
        settings: the recipe's.
        job: what to train on.
        system: what to train.
        seed: of all that is random.
        tests: what to label; one where the strategy reads its unlabelled text.
        base: folder of the network that the strategy goes on from, where another cell has kept it.
        folder: the cell's, where the model is kept.
        tell: called with lines for the screen.
    """
    from nlptransfer.experiments import Cell
    from nlptransfer.training.devices import make_accelerator
    from nlptransfer.training.memory import PeakMemory

    own = job if system.size is None else job.with_few(system.size, seed=seed)
    accelerator = make_accelerator(settings.device, settings.precision)
    place, prepared = prepare_encoder(settings, own, system.strategy, seed, tests, accelerator, tell)
    started = time.perf_counter()
    with PeakMemory(str(accelerator.device)) as memory:
        tuned = tune(settings, own, system.strategy, seed, tests, place, base, folder, accelerator, tell)
    facts = {
        **prepared,
        **tuned.facts,
        "training_seconds": time.perf_counter() - started,
        "memory_bytes": memory.gained_bytes,
    }
    tuned.model.save_pretrained(folder / "model")
    dev = tuned.predict(own.dev)
    facts["dev_accuracy"] = share_right(dev, own.dev_labels)
    predictions = [label_tests(job, system, seed, test, tuned.predict(test.items)) for test in tests]
    # Where it was trained: on a source, or on a pair where the target's text is read.
    trained_on = tests[0].name if system.strategy.uses_target else job.name
    of_pair = {} if tests[0].name is None else {"pair": trained_on}
    history = [{**of_pair, "system": system.name, "seed": seed, **row} for row in tuned.history]
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return Cell(predictions, history, time.perf_counter() - started, facts)


def label_tests(job: Job, system: System, seed: int, test: Test, predicted: Sequence[Any]) -> Any:
    """What a system says of a test, by the labels' names.

    Args:
        job: whose labels they are.
        system: that labels.
        seed: it was trained under.
        test: what it labels.
        predicted: label ids, one per text or a list per sentence.
    """
    from nlptransfer.evaluation.document_predictions import DocumentPredictions
    from nlptransfer.evaluation.predictions import Predictions

    if job.is_tagging:
        assert test.gold is not None
        named = [[job.label_names[tag] for tag in tags] for tags in predicted]
        return Predictions(system.name, test.split, seed, test.items, test.gold, named)
    ids = [str(number) for number in range(len(test.items))]
    labels = [job.label_names[label] for label in predicted]
    return DocumentPredictions(system.name, test.split, seed, ids, test.gold, labels, test.name)


def tune(
    settings: Settings,
    job: Job,
    strategy: Strategy,
    seed: int,
    tests: Sequence[Test],
    place: Path,
    base: Path | None,
    folder: Path,
    accelerator: Accelerator,
    tell: Callable[[str], Any],
) -> Tuned:
    """Train by a strategy, starting from the encoder in the folder `place`; see `train_cell`."""
    if strategy.tuning in FROZEN:
        return _tune_head_only(settings, job, strategy, seed, place, accelerator)
    if strategy.after:
        return _self_train(settings, job, strategy, seed, tests, place, base, folder, accelerator, tell)
    return _tune_network(settings, job, strategy, seed, tests, place, folder, accelerator, tell)


def _tune_network(
    settings: Settings,
    job: Job,
    strategy: Strategy,
    seed: int,
    tests: Sequence[Test],
    place: Path,
    folder: Path,
    accelerator: Accelerator,
    tell: Callable[[str], Any],
) -> Tuned:
    from torch.nn import Dropout

    from nlptransfer.finetuning.freezing import freeze_below, gradual_unfreezing
    from nlptransfer.finetuning.layer_groups import layer_groups
    from nlptransfer.finetuning.learning_rates import discriminative_rates
    from nlptransfer.finetuning.lora import add_lora, merge_lora
    from nlptransfer.finetuning.plans import fine_tune, format_plan, make_plan
    from nlptransfer.training import schedules
    from nlptransfer.training.seeding import seeded

    model = make_model(settings, job, place, accelerator, seed=seed, pretrained=strategy.tuning != "no_pretraining")
    facts: dict[str, Any] = reading(model, job)
    was_altered = _reinitialise(model, strategy, seed)
    kind, number = strategy.tuning, strategy.number or 0.0
    if kind == "lp_ft":
        facts |= fit_head(settings, model, job, None if was_altered else place, accelerator, seed)
        # The regression saw whole features. Pooled states lie far from 0 in some dimensions, and to drop one of these
        # would throw off a head that balances it with its bias: the training would see nothing but that noise.
        inside = {id(part) for part in model.network.encoder.modules()}
        for part in model.network.modules():
            if isinstance(part, Dropout) and id(part) not in inside:
                part.p = 0.0
    if kind == "lora":
        with seeded(seed):
            add_lora(model.network.encoder, rank=int(number))
    # Few items are gone through several times an epoch: to develop after each pass would take longer than the passes.
    steps = max(settings.epochs * -(-len(job.train) // settings.batch_size), 1)
    passes = max(1, math.ceil(settings.min_steps / steps))
    if passes > 1:
        facts["passes an epoch"] = passes
    batches: Any = make_batches(
        model, job.train * passes, job.train_labels * passes, batch_size=settings.batch_size, seed=seed
    )
    network, step_of, batches = _with_parts(settings, strategy, model, batches, job, tests, place, seed)
    groups = layer_groups(network)
    epochs = settings.epochs
    rate: float | list[float] = settings.lora_learning_rate if kind == "lora" else settings.learning_rate
    trained = None
    if kind in ("discriminative_rates", "ulmfit"):
        rate = discriminative_rates(len(groups), settings.learning_rate, factor=number)
    if kind in ("gradual_unfreezing", "ulmfit"):
        trained = gradual_unfreezing(len(groups), epochs)
    if kind == "freeze":
        if int(number) >= len(groups):
            raise InputError(
                f"'{strategy.name}' freezes everything",
                expected=f"at most {len(groups) - 1} groups of {len(groups)}, the embeddings being the first",
                found=str(int(number)),
            )
        trained = freeze_below(len(groups), epochs, num_frozen=int(number))
    shape = "slanted_triangular" if kind == "ulmfit" else settings.schedule
    warmup = settings.warmup
    schedule: Callable[[float], float] = {
        "constant": schedules.constant,
        "linear": lambda progress: schedules.linear(progress, warmup=warmup),
        "cosine": lambda progress: schedules.cosine(progress, warmup=warmup),
        "slanted_triangular": schedules.slanted_triangular,
    }[shape]
    plan = make_plan(groups, epochs=epochs, learning_rate=rate, schedule=schedule, trained=trained)
    facts["trained_parameters"] = plan.num_trained
    facts["plan"] = plan.preview()
    tell(f"{job.name}: {strategy.name}, seed {seed}\n{format_plan(plan)}")
    history = fine_tune(
        network,
        plan,
        step_of,
        batches,
        seed=seed,
        weight_decay=0.0 if kind == "l2_sp" else settings.weight_decay,
        evaluate=lambda: share_right(predict(model, job.dev, accelerator), job.dev_labels),
        patience=settings.patience or None,
        checkpoint=folder / CHECKPOINT,
        accelerator=accelerator,
        description=f"{job.name}, {strategy.name}",
    )
    if kind == "lora":
        merge_lora(model.network.encoder)
    return Tuned(model, history, facts, lambda items: predict(model, items, accelerator))


def _with_parts(
    settings: Settings,
    strategy: Strategy,
    model: Any,
    batches: Any,
    job: Job,
    tests: Sequence[Test],
    place: Path,
    seed: int,
) -> tuple[Any, Any, Any]:
    """The network with what else is trained, the step, and the batches of one domain or of both."""
    network, kind, number = model.network, strategy.tuning, strategy.number or 0.0
    if kind == "l2_sp":
        from nlptransfer.adaptation.l2_sp import make_l2_sp_step

        # By the parameters themselves: the head that transformers brings goes by a name inside the encoder.
        head_weights = {id(weight) for weight in network.head.parameters()}
        start = {name: weight for name, weight in network.named_parameters() if id(weight) not in head_weights}
        return network, make_l2_sp_step(start, strength_shared=number, strength_new=0.0), batches
    if not STRATEGY_STEPS[kind].uses_target:
        return network, _task_step, batches
    import numpy as np
    import torch

    from nlptransfer.data.feature_batches import DocumentBatches, DomainBatches
    from nlptransfer.training.seeding import seeded

    # By a seed of its own: shuffled by the source's, two domains of one size would be shuffled alike.
    target_seed = int(np.random.default_rng([seed, *b"target"]).integers(2**32))
    texts = target_text(tests, strategy)
    if kind == "udalm":
        from nlptransfer.data.subword_texts import framing_ids
        from nlptransfer.finetuning.adaptive_pretraining import cut_document
        from nlptransfer.finetuning.masked_lm import mask_and_special_ids
        from nlptransfer.finetuning.udalm import ModelWithHead, make_udalm_step

        mask_id, special_ids = mask_and_special_ids(model.tokenizer)
        before, after = map(len, framing_ids(model.tokenizer))
        length = settings.max_length
        ids = [
            part
            for row in whole_ids(model.tokenizer, texts)
            for part in cut_document(row, max_length=length, num_before=before, num_after=after)
        ]
        target = DocumentBatches(ids, None, batch_size=settings.batch_size, max_length=length, seed=target_seed)
        head = masked_lm_head(settings, place, network.encoder, seed)
        step = make_udalm_step(head, mask_id=mask_id, special_ids=special_ids)
        return ModelWithHead(network, head), step, DomainBatches(batches, target)
    if job.is_tagging:
        raise InputError(
            f"'{kind}' aligns one vector per text, and a tagger has one per word",
            remedy="Leave it out; dapt and udalm adapt taggers.",
        )
    from nlptransfer.adaptation.dann import DomainDiscriminator, domain_adversarial_loss
    from nlptransfer.adaptation.deep_coral import coral_loss
    from nlptransfer.adaptation.domain_step import NetworkWithParts, make_domain_step
    from nlptransfer.adaptation.mmd import mmd_loss

    both = DomainBatches(batches, make_batches(model, texts, None, batch_size=settings.batch_size, seed=target_seed))
    if kind == "dann":
        with seeded(seed):
            discriminator = DomainDiscriminator(network.feature_dim, 100)

        def adversarial(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            return domain_adversarial_loss(first, second, discriminator)

        return NetworkWithParts(network, discriminator), make_domain_step(adversarial, adaptation_weight=number), both
    return network, make_domain_step(mmd_loss if kind == "mmd" else coral_loss, adaptation_weight=number), both


def _tune_head_only(
    settings: Settings,
    job: Job,
    strategy: Strategy,
    seed: int,
    place: Path,
    accelerator: Accelerator,
) -> Tuned:
    """A linear head, or trees, on features that are computed once and kept."""
    facts: dict[str, Any] = {}
    if STRATEGY_STEPS[strategy.tuning].trees:
        if job.is_tagging:
            raise InputError(f"'{strategy.name}' is for texts", remedy="Use feature_extraction for tags.")
        import numpy as np

        from nlptransfer.finetuning.feature_extraction import fit_feature_classifier

        # By the name that was given, so that the saved model can be read on another machine.
        extractor = make_extractor(settings, str(settings.encoder), accelerator)
        fitted = fit_feature_classifier(
            extractor.transform(job.train),
            np.asarray(job.train_labels),
            kind="random_forest" if strategy.tuning == "random_forest" else "gradient_boosting",
            num_labels=len(job.label_names),
            seed=seed,
        )
        trees = fitted.text_classifier(extractor, job.label_names)
        names = {name: number for number, name in enumerate(job.label_names)}
        return Tuned(trees, [], facts, lambda texts: [names[label] for label in trees.predict(list(texts))])
    model = make_model(settings, job, place, accelerator, seed=seed)
    kept = None if _reinitialise(model, strategy, seed) else place
    facts |= {**reading(model, job), **fit_head(settings, model, job, kept, accelerator, seed)}
    facts["trained_parameters"] = sum(parameter.numel() for parameter in model.network.head.parameters())
    if settings.truncation == "windows" and not job.is_tagging:
        # The saved model asks each window and takes the mean of their answers, which is not the answer to their mean.
        return Tuned(model, [], facts, lambda items: predict(model, items, accelerator))

    def predict_by_kept(items: Sequence[Any]) -> list[Any]:
        features = frozen_features(settings, model, items, kept, accelerator)
        head = model.network.head
        scores = features @ head.weight.detach().cpu().numpy().T + head.bias.detach().cpu().numpy()
        return as_given(scores.argmax(axis=1).tolist(), items)

    return Tuned(model, [], facts, predict_by_kept)


def _reinitialise(model: Any, strategy: Strategy, seed: int) -> bool:
    """Draw the top layers anew where the strategy says so; whether it does."""
    for step, number in strategy.before:
        if step == "reinitialise":
            from nlptransfer.finetuning.reinitialise import reinitialise_layers

            reinitialise_layers(model.network.encoder, int(number), seed=seed)
            return True
    return False


def _self_train(
    settings: Settings,
    job: Job,
    strategy: Strategy,
    seed: int,
    tests: Sequence[Test],
    place: Path,
    base: Path | None,
    folder: Path,
    accelerator: Accelerator,
    tell: Callable[[str], Any],
) -> Tuned:
    """Go on from a tuned network on the source together with the target texts that it is surest of, class by class."""
    import numpy as np

    import nlptransfer
    from nlptransfer.adaptation.self_training import calibration_temperature, choose_pseudo_labels
    from nlptransfer.experiments import read_facts
    from nlptransfer.finetuning.layer_groups import layer_groups
    from nlptransfer.finetuning.plans import fine_tune, format_plan, make_plan
    from nlptransfer.training import schedules

    if job.is_tagging:
        raise InputError("self_training is for texts", remedy="Leave it out; dapt and udalm adapt taggers.")
    texts = target_text(tests, strategy)
    history: list[dict[str, Any]] = []
    if base is not None:
        model = nlptransfer.load(base)
        kept = read_facts(base.parent)
        facts: dict[str, Any] = {
            "goes on from": strategy.without_after.name,
            "seconds_before": kept["training_seconds"] + kept.get("seconds_before", 0.0),
        }
    else:
        before = strategy.without_after
        first = _tune_network(settings, job, before, seed, tests, place, folder / "first", accelerator, tell)
        model, history, facts = first.model, first.history, first.facts
    model.network.to(accelerator.device)
    ((_, share),) = strategy.after
    labels = np.asarray(job.train_labels)
    priors = np.bincount(labels, minlength=len(job.label_names)) / len(labels)
    temperature = calibration_temperature(probabilities(model, job.dev, accelerator), np.asarray(job.dev_labels))
    rows, pseudo, weights = choose_pseudo_labels(
        probabilities(model, texts, accelerator).astype(np.float64), share, priors, temperature
    )
    batches = make_batches(
        model,
        [*job.train, *(texts[row] for row in rows)],
        [*job.train_labels, *pseudo.tolist()],
        batch_size=settings.batch_size,
        seed=seed,
        weights=np.concatenate([np.ones(len(labels)), weights]),
    )
    groups = layer_groups(model.network)
    plan = make_plan(
        groups,
        epochs=settings.self_training_epochs,
        learning_rate=_PSEUDO_LABEL_RATE * settings.learning_rate,
        schedule=lambda progress: schedules.linear(progress, warmup=settings.warmup),
    )
    tell(f"{tests[0].name}: {strategy.name}, seed {seed}, {len(rows):,} pseudo-labels\n{format_plan(plan)}")
    history += fine_tune(
        model.network,
        plan,
        _task_step,
        batches,
        seed=seed,
        weight_decay=settings.weight_decay,
        checkpoint=folder / CHECKPOINT,
        accelerator=accelerator,
        description=f"{tests[0].name}, {strategy.name}",
    )
    facts |= {
        "pseudo_labels": len(rows),
        "temperature": round(float(temperature), 3),
        "trained_parameters": plan.num_trained,
        "plan": plan.preview(),
    }
    numbered = [{**row, "epoch": number} for number, row in enumerate(history, start=1)]
    return Tuned(model, numbered, facts, lambda items: predict(model, items, accelerator))


def _task_step(model: Any, batch: Any, progress: float) -> dict[str, Any]:
    """What each step minimises: the network's own loss."""
    return {"loss": model.loss(model(batch), batch)}
