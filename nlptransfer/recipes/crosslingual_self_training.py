"""Self-training at the end of a bridge: the model labels target text, and goes on from what it is surest of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from accelerate import Accelerator

    from nlptransfer.embeddings.extractors import Extractor
    from nlptransfer.models.linear import LinearTextClassifier
    from nlptransfer.models.tagger import RecurrentTagger
    from nlptransfer.recipes.cross_lingual_transfer import Settings

_FINAL_SHARE = 0.8
_MOST_DROP = 0.005
_RATE = 0.5
_NO_LABEL = -100


@dataclass(frozen=True)
class Pseudo:
    """Target items that a round goes on training on.

    Attributes:
        items: sentences or texts.
        labels: ids, a list per sentence or one per text; -100 where a word has none.
        weights: one per item.
        number: of labels.
    """

    items: list[Any]
    labels: list[Any]
    weights: np.ndarray
    number: int


def choose_sentences(
    probabilities: np.ndarray, sentences: Sequence[Sequence[str]], share: float, tag_shares: np.ndarray
) -> Pseudo:
    r"""The sentences that a tagger is surest of, with its tags.

    A sentence of T words counts by the geometric mean of what the best tag of each is held likely:

    .. math:: s = \Big(\prod_t \max_c p_t(c)\Big)^{1/T}

    In the sentences with the highest s each tag is given to as many words as its share in the source says, to those
    that are surest of it (`choose_pseudo_labels`); a word whose best tag is full has no label.

    Args:
        probabilities: (W, C) of the words of all sentences, below one another.
        sentences: lists of words.
        share: of the sentences that have words, in 0..1.
        tag_shares: (C,) of each tag in the source.
    """
    from nlptransfer.adaptation.self_training import choose_pseudo_labels

    ends = np.cumsum([len(sentence) for sentence in sentences])
    best = np.log(np.maximum(probabilities.max(axis=1), 1e-12)) if len(probabilities) else np.zeros(0)
    means = [
        float(best[end - len(sentence) : end].mean()) if sentence else -np.inf
        for sentence, end in zip(sentences, ends, strict=True)
    ]
    count = round(share * sum(map(bool, sentences)))
    chosen = sorted(np.argsort(-np.array(means), kind="stable")[:count].tolist())
    words = [word for row in chosen for word in range(ends[row] - len(sentences[row]), ends[row])]
    kept = probabilities[np.array(words, dtype=np.int64)].astype(np.float64)
    tags = np.full(len(kept), _NO_LABEL)
    if len(kept):
        rows, labels, _ = choose_pseudo_labels(kept, 1.0, tag_shares)
        own = labels == kept[rows].argmax(axis=1)  # a tag that wants more words takes none from another
        tags[rows[own]] = labels[own]
    parts = np.split(tags, np.cumsum([len(sentences[row]) for row in chosen])[:-1]) if chosen else []
    return Pseudo(
        [sentences[row] for row in chosen],
        [part.tolist() for part in parts],
        np.ones(len(chosen)),
        int((tags != _NO_LABEL).sum()),
    )


def choose_texts(
    probabilities: np.ndarray, texts: Sequence[str], share: float, shares: np.ndarray, temperature: float
) -> Pseudo:
    """The texts that a classifier is surest of, class by class; see `choose_pseudo_labels`."""
    from nlptransfer.adaptation.self_training import choose_pseudo_labels

    rows, labels, weights = choose_pseudo_labels(probabilities.astype(np.float64), share, shares, temperature)
    return Pseudo([texts[row] for row in rows], labels.tolist(), weights, len(rows))


def self_train_network(
    network: Any,
    *,
    ask: Callable[[], np.ndarray],
    choose: Callable[[np.ndarray, float], Pseudo],
    go_on: Callable[[Pseudo, int], list[dict[str, Any]]],
    judge: Callable[[], float],
    num_judged: int,
    num_rounds: int,
    tell: Callable[[str], Any],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Go on training in rounds, each on the source and on more of the target as the round before labels it.

    Two rules end it before its time, and neither needs a label of the target. A round is undone after which the
    source's development data, written as the target would write them, are read worse than before the first, by more
    than half a point and more than a standard error. And when the answers change no less than in the round before,
    nothing settles any more.

    Args:
        network: trained on the source; it is changed in place.
        ask: what it holds likely of each target word or text, (M, C).
        choose: (M, C) and a share of the items -> what to train on.
        go_on: trains on the source and on these, in the round of this number, from 1; gives rows of history.
        judge: the accuracy on the source's development data.
        num_judged: words or texts that it is a mean over.
        num_rounds: at most.
        tell: called with lines for the screen.

    Returns:
        The history, and a row of facts for each round.
    """
    history: list[dict[str, Any]] = []
    rounds: list[dict[str, Any]] = []
    level, probabilities = judge(), ask()
    most_drop = max(_MOST_DROP, float(np.sqrt(level * (1 - level) / max(1, num_judged))))
    for number in range(1, num_rounds + 1):
        pseudo = choose(probabilities, _FINAL_SHARE * number / num_rounds)
        if not pseudo.number:
            break
        before = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        rows = go_on(pseudo, number)
        value, now = judge(), ask()
        agreement = float((now.argmax(axis=1) == probabilities.argmax(axis=1)).mean())
        is_worse = value < level - most_drop
        settled = bool(rounds) and agreement <= rounds[-1]["agreement"]
        history += [{**row, "round": number} for row in rows]
        rounds.append(
            {
                "round": number,
                "items": len(pseudo.items),
                "pseudo_labels": pseudo.number,
                "agreement": agreement,
                "judged": value,
                "kept": not is_worse,
            }
        )
        tell(
            f"self-training, round {number} of {num_rounds}: {pseudo.number:,} pseudo-labels on {len(pseudo.items):,} "
            f"target items, {agreement:.2%} of the answers as before, source dev {level:.4f} -> {value:.4f}"
            + (": undone" if is_worse else "")
        )
        if is_worse:
            network.load_state_dict(before)
        if is_worse or settled:
            break
        probabilities = now
    network.eval()
    return history, rounds


def shares_of(labels: Sequence[int], num_labels: int) -> np.ndarray:
    """(C,) the share of each label."""
    counts = np.bincount(np.asarray(labels), minlength=num_labels)[:num_labels]
    return np.asarray(counts / counts.sum())


def self_train_tagger(
    model: RecurrentTagger,
    train: tuple[list[Any], list[list[int]]],
    target: list[Any],
    *,
    settings: Settings,
    judge: Callable[[], float],
    num_judged: int,
    num_rounds: int,
    seed: int,
    accelerator: Accelerator,
    tell: Callable[[str], Any],
    name: str,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """`self_train_network` for a recurrent tagger.

    Args:
        model: knows the words of the target, see `know_words`.
        train: the source's sentences, and the ids of their tags.
        target: unlabelled sentences of the target, as the model reads them.
        settings: the recipe's.
        judge: see `self_train_network`.
        num_judged: likewise.
        num_rounds: at most.
        seed: of all that is random.
        accelerator: device and precision.
        tell: called with lines for the screen.
        name: of the system.
    """
    from nlptransfer.data.batching import Batches
    from nlptransfer.recipes.recurrent_taggers import make_optimizer, tagging_step
    from nlptransfer.training.loop import train as run_training
    from nlptransfer.training.schedules import linear

    shares = shares_of([tag for tags in train[1] for tag in tags], len(model.tags))

    def go_on(pseudo: Pseudo, number: int) -> list[dict[str, Any]]:
        return run_training(
            model,
            tagging_step,
            Batches(
                model.encode([*train[0], *pseudo.items], [*train[1], *pseudo.labels]),
                batch_size=settings.batch_size,
                max_length=model.shape.max_length,
                seed=seed + number,
            ),
            make_optimizer(model, learning_rate=_RATE * settings.learning_rate),
            epochs=settings.self_training_epochs,
            seed=seed + number,
            schedule=linear,
            max_gradient_norm=5.0,
            accelerator=accelerator,
            description=f"{name}, seed {seed}, round {number}",
        )

    return self_train_network(
        model,
        ask=lambda: model.predict_proba(target),
        choose=lambda probabilities, share: choose_sentences(probabilities, target, share, shares),
        go_on=go_on,
        judge=judge,
        num_judged=num_judged,
        num_rounds=num_rounds,
        tell=lambda line: tell(f"{name}, seed {seed}, {line}"),
    )


def know_words(grown: RecurrentTagger, trained: RecurrentTagger) -> None:
    """Give a tagger of more words the weights of one that was trained on fewer: both then say the same of any text.

    Words and characters that are new to it start from the vector that the trained tagger reads them by: the pretrained
    one, or that of the unknown.

    Args:
        grown: of the same shape and tags; its words and characters include the other's. It is changed in place.
        trained: on fewer words.
    """
    import torch

    from nlptransfer.data.vocabulary import RESERVED

    state = {name: tensor.detach().clone() for name, tensor in trained.state_dict().items()}
    words = grown.vocabulary.entries
    encoded = trained.encode([words])
    rows = torch.from_numpy(encoded.word_ids)  # one per word, for they are distinct
    table = state["embedding.weight"]
    if encoded.unseen_vectors is not None and len(encoded.unseen_vectors):
        table = torch.cat([table, torch.from_numpy(encoded.unseen_vectors).to(table)])
    first = torch.arange(len(RESERVED))
    state["embedding.weight"] = table[torch.cat([first, rows])]
    if trained.characters is not None:
        assert trained.character_vocabulary is not None and grown.character_vocabulary is not None
        ids = torch.from_numpy(trained.character_vocabulary.ids(grown.character_vocabulary.entries))
        characters = state["characters.embedding.weight"]
        state["characters.embedding.weight"] = characters[torch.cat([first, ids])]
    grown.load_state_dict(state)
    grown.eval()


def self_train_encoder(
    model: Any,
    train: tuple[list[Any], list[Any]],
    dev: tuple[list[Any], list[Any]],
    target: list[Any],
    *,
    settings: Settings,
    judge: Callable[[], float],
    num_judged: int,
    num_rounds: int,
    seed: int,
    accelerator: Accelerator,
    tell: Callable[[str], Any],
    name: str,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """`self_train_network` for a fine-tuned encoder, of words or of texts.

    Args:
        model: the encoder with its head.
        train: the source's items, and the ids of their labels.
        dev: the source's to develop on, by which the certainty about texts is calibrated.
        target: unlabelled items of the target, as the model reads them.
        settings: the recipe's.
        judge: see `self_train_network`.
        num_judged: likewise.
        num_rounds: at most.
        seed: of all that is random.
        accelerator: device and precision.
        tell: called with lines for the screen.
        name: of the system.
    """
    from nlptransfer.adaptation.self_training import calibration_temperature
    from nlptransfer.finetuning.layer_groups import layer_groups
    from nlptransfer.finetuning.plans import fine_tune, make_plan
    from nlptransfer.recipes.finetuning_models import make_batches, probabilities
    from nlptransfer.recipes.recurrent_taggers import tagging_step
    from nlptransfer.training.schedules import linear

    is_tagging = hasattr(model, "tags")
    model.network.to(accelerator.device)

    def ask(items: list[Any]) -> np.ndarray:
        if is_tagging:
            given: np.ndarray = model.predict_proba(items, autocast=accelerator.autocast)
            return given
        return probabilities(model, items, accelerator)

    if is_tagging:
        shares = shares_of([tag for tags in train[1] for tag in tags], len(model.tags))
        temperature = 1.0
    else:
        shares = shares_of(train[1], len(model.labels))
        known = [row for row, label in enumerate(dev[1]) if label < len(model.labels)]
        temperature = calibration_temperature(
            ask([dev[0][row] for row in known]).astype(np.float64), np.array([dev[1][row] for row in known])
        )

    def choose(given: np.ndarray, share: float) -> Pseudo:
        if is_tagging:
            return choose_sentences(given, target, share, shares)
        return choose_texts(given, target, share, shares, temperature)

    def go_on(pseudo: Pseudo, number: int) -> list[dict[str, Any]]:
        batches = make_batches(
            model,
            [*train[0], *pseudo.items],
            [*train[1], *pseudo.labels],
            batch_size=min(settings.batch_size, 16),
            seed=seed + number,
            weights=None if is_tagging else np.concatenate([np.ones(len(train[0])), pseudo.weights]),
        )
        plan = make_plan(
            layer_groups(model.network),
            epochs=settings.self_training_epochs,
            learning_rate=_RATE * settings.encoder_learning_rate,
            schedule=linear,
        )
        return fine_tune(
            model.network,
            plan,
            tagging_step,
            batches,
            seed=seed + number,
            accelerator=accelerator,
            description=f"{name}, seed {seed}, round {number}",
        )

    return self_train_network(
        model.network,
        ask=lambda: ask(target),
        choose=choose,
        go_on=go_on,
        judge=judge,
        num_judged=num_judged,
        num_rounds=num_rounds,
        tell=lambda line: tell(f"{name}, seed {seed}, {line}"),
    )


def self_train_linear(
    extractor: Extractor,
    names: list[str],
    train: tuple[list[str], list[int]],
    target: list[str],
    *,
    num_rounds: int,
    seed: int,
    tell: Callable[[str], Any],
    name: str,
) -> tuple[LinearTextClassifier, list[dict[str, Any]]]:
    """A logistic regression self-trained on target texts; its rounds, quotas and stop rule are `SelfTraining`'s.

    Args:
        extractor: fitted on the texts of both, so that it knows the words of the target.
        names: the labels.
        train: the source's texts, and the ids of their labels.
        target: unlabelled texts of the target, as the model reads them.
        num_rounds: with pseudo-labels.
        seed: of all that is random.
        tell: called with lines for the screen.
        name: of the system.

    Returns:
        The classifier, and a row of facts for each round.
    """
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    from nlptransfer.adaptation.feature_arrays import stack_rows
    from nlptransfer.adaptation.self_training import SelfTraining
    from nlptransfer.finetuning.feature_extraction import fit_feature_classifier
    from nlptransfer.models.linear import LinearTextClassifier

    source, other, labels = extractor.transform(train[0]), extractor.transform(target), np.array(train[1])
    both = stack_rows(source, other)
    scaler = StandardScaler(with_mean=not sparse.issparse(both)).fit(both)
    strength = fit_feature_classifier(source, labels, num_labels=len(names), seed=seed).regularization
    assert strength is not None
    fitted = SelfTraining(LogisticRegression(C=strength, max_iter=1000), num_rounds=num_rounds, seed=seed).fit(
        scaler.transform(source), labels, target_features=scaler.transform(other)
    )
    coefficients = fitted.coef_ / scaler.scale_
    intercepts = fitted.intercept_ - (coefficients @ scaler.mean_ if scaler.with_mean else 0.0)
    if len(coefficients) == 1:  # sigmoid(z) = softmax((0, z))
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        intercepts = np.concatenate([np.zeros_like(intercepts), intercepts])
    rounds = [
        {"round": number, "pseudo_labels": len(own.rows), "agreement": own.agreement, "kept": True}
        for number, own in enumerate(fitted.rounds_)
    ]
    if fitted.stopped_:
        rounds.append({"round": len(rounds), "kept": False})
    for row in rounds[1:]:
        tell(
            f"{name}, seed {seed}, self-training, round {row['round']} of {num_rounds}: "
            + (
                f"{row['pseudo_labels']:,} pseudo-labels, two halves agree on {row['agreement']:.2%}"
                if row["kept"]
                else "two halves agree less than before: left out, and an end"
            )
        )
    return LinearTextClassifier(extractor, names, coefficients, intercepts), rounds
