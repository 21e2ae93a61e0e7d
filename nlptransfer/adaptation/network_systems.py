"""Methods on networks by name: rows or word ids of two domains in, one trained network out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from torch import nn

from nlptransfer.adaptation.array_systems import DomainArrays, prepare_arrays, undo_transforms
from nlptransfer.adaptation.dann import DomainDiscriminator, domain_adversarial_loss
from nlptransfer.adaptation.deep_coral import coral_loss
from nlptransfer.adaptation.domain_step import NetworkWithParts, make_domain_step
from nlptransfer.adaptation.feature_arrays import stack_rows
from nlptransfer.adaptation.joint_reconstruction import ReconstructionDecoder, make_reconstruction_step
from nlptransfer.adaptation.l2_sp import make_l2_sp_step
from nlptransfer.adaptation.method_names import Method, setting_of
from nlptransfer.adaptation.mmd import mmd_loss
from nlptransfer.adaptation.pivot_tasks import PivotTasks, make_pivot_step
from nlptransfer.adaptation.pivots import select_pivots
from nlptransfer.adaptation.self_training import calibration_temperature, prior_offsets, self_train
from nlptransfer.adaptation.sequence_denoising import pretrain_by_denoising
from nlptransfer.data.feature_batches import DocumentBatches, DomainBatches, FeatureBatches
from nlptransfer.data.vocabulary import RESERVED
from nlptransfer.errors import InputError
from nlptransfer.models.classifier import BagOfWordsNetwork, RecurrentClassifier
from nlptransfer.training.loop import train
from nlptransfer.training.seeding import seeded

if TYPE_CHECKING:
    from accelerate import Accelerator

Network = BagOfWordsNetwork | RecurrentClassifier
Items = Any
"""What a network reads of N documents: features (N, D), or a list of N arrays of word ids."""

_ROW_NORM = 10.0
"""Rows of features are scaled to this mean length: of unit rows with hundreds of words each entry is tiny, and a
network with a learning rate of 1e-3 would learn from them for hundreds of epochs."""
_PREDICTION_BATCH = 256
_NUM_PIVOTS = 200
_PIVOTS_IN_AT_MOST = 0.5
_SELF_TRAINING_ROUNDS = 4


@dataclass(frozen=True)
class DomainItems:
    """What a network may see of two domains; as `DomainArrays`, with word ids or features.

    Attributes:
        source: labelled source items.
        labels: (N,) their class ids.
        target: target items, without labels.
        num_labels: C.
        weights: (N,) what each source item counts, or None.
        few: the few labelled target items, or None.
        few_labels: their class ids, or None.
    """

    source: Items
    labels: np.ndarray
    target: Items
    num_labels: int
    weights: np.ndarray | None = None
    few: Items = None
    few_labels: np.ndarray | None = None


@dataclass(frozen=True)
class NetworkSystem:
    """A trained network, with what it reports.

    Attributes:
        network: reads the original features, or word ids.
        history: the loop's rows, one per epoch.
        facts: what the method reports of itself, as plain values.
    """

    network: Network
    history: list[dict[str, Any]]
    facts: dict[str, Any]


def fit_network_system(
    method: Method,
    arrays: DomainArrays,
    *,
    hidden_dim: int = 100,
    dropout: float = 0.5,
    epochs: int = 20,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.01,
    seed: int,
    accelerator: Accelerator | None = None,
) -> NetworkSystem:
    """Train a network of one hidden layer on features, after whatever transforms the method names.

    The transforms are affine and the first layer is linear, so that they are taken up into its weights: the network
    that is returned reads the original features.

    Args:
        method: a method that ends in a network.
        arrays: what it may see of the two domains.
        hidden_dim: units of the hidden layer.
        dropout: on them.
        epochs: passes over the source; the last one's weights are kept, so that no development data is needed.
        batch_size: source rows per step, and target rows.
        learning_rate: of AdamW.
        weight_decay: of AdamW; none where `l2_sp` fine-tunes, since it draws to 0 and not to the source's weights.
        seed: of the weights, the batches and the dropout.
        accelerator: device and precision.

    Returns:
        The network, with what its training reports.

    Raises:
        InputError: see `prepare_arrays` and `train_network`.
        ValueError: the method is no network.

    Example:
        >>> system = fit_network_system(parse_method("dann:0.1"), arrays, seed=0)
    """
    if not method.is_network:
        raise ValueError(f"{method.name} is no network: train it with fit_array_system")
    prepared = prepare_arrays(method, arrays, seed=seed)
    lengths = _row_lengths(stack_rows(prepared.rows, prepared.target))
    scale = np.float32(_ROW_NORM / max(float(lengths.mean()), 1e-12))

    def scaled(rows: Any) -> Any:
        return None if rows is None else (rows * scale).astype(np.float32)

    items = DomainItems(
        scaled(prepared.rows),
        prepared.labels,
        scaled(prepared.target),
        arrays.num_labels,
        weights=None if np.all(prepared.weights == 1) else prepared.weights.astype(np.float32),
        few=scaled(prepared.few),
        few_labels=prepared.few_labels,
    )
    num_features = items.source.shape[1]
    system = train_network(
        method,
        lambda: BagOfWordsNetwork(num_features, arrays.num_labels, hidden_dim=hidden_dim, dropout=dropout),
        items,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        seed=seed,
        accelerator=accelerator,
    )
    trained = system.network.cpu()
    assert isinstance(trained, BagOfWordsNetwork)
    weight = trained.hidden_weight.detach().numpy().T * scale  # (H, D')
    hidden, bias = undo_transforms(weight, trained.hidden_bias.detach().numpy(), prepared.transforms)
    with seeded(seed):  # its own weights are drawn for nothing, and nobody else's generator is to notice
        network = BagOfWordsNetwork(hidden.shape[1], arrays.num_labels, hidden_dim=hidden_dim, dropout=dropout)
    state = {**trained.state_dict(), "hidden_weight": torch.tensor(hidden.T), "hidden_bias": torch.tensor(bias)}
    network.load_state_dict(state)
    return NetworkSystem(network.eval(), system.history, {**prepared.facts, **system.facts})


def train_network(
    method: Method,
    make_network: Callable[[], Network],
    items: DomainItems,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    max_length: int = 256,
    seed: int,
    accelerator: Accelerator | None = None,
) -> NetworkSystem:
    """Train one network by the method's last step; those before it are not applied here.

    With a weight of 0 the network of dann, mmd, deep_coral, pivot_tasks and reconstruction is that of ``network``,
    number for number.

    Args:
        method: a method that ends in a network.
        make_network: makes it with fresh weights from torch's generators.
        items: what it may see of the two domains.
        epochs: passes over the source; the last one's weights are kept.
        batch_size: source items per step, and target items.
        learning_rate: of AdamW.
        weight_decay: of AdamW; none where `l2_sp` fine-tunes.
        max_length: words read of a document, where items are word ids.
        seed: of the weights, the batches and the dropout.
        accelerator: device and precision.

    Returns:
        The network and its history.

    Raises:
        InputError: the method can't be had on such items: `l2_sp` without labelled target items, a class without
            pivots, self-training with less than two items of a class, `sequence_denoising` of features,
            `reconstruction` of word ids.
        ValueError: the method is no network.
    """
    if not method.is_network:
        raise ValueError(f"{method.name} is no network: train it with fit_array_system")
    head, value = method.steps[-1]

    def batches(part: Items, labels: np.ndarray | None, weights: np.ndarray | None = None) -> Any:
        return _make_batches(part, labels, weights, batch_size=batch_size, max_length=max_length, seed=seed)

    def fit(
        model: nn.Module, step: Any, data: Any, *, rate: float = learning_rate, decay: float = weight_decay
    ) -> list[dict[str, Any]]:
        optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=decay)
        return train(
            model, step, data, optimizer, epochs=epochs, seed=seed, accelerator=accelerator, description=method.name
        )

    def task_step(model: Any, batch: Any, progress: float) -> dict[str, torch.Tensor]:
        return {"loss": model.loss(model(batch), batch)}

    def probabilities(network: Network, part: Items) -> np.ndarray:
        data = _make_batches(part, None, None, batch_size=_PREDICTION_BATCH, max_length=max_length, seed=None)
        return np.asarray(network.probabilities(data), dtype=np.float64)

    if head == "l2_sp" and items.few is None:
        raise InputError(
            f"'{method.name}' needs a few labelled reviews of the target",
            remedy="Allow some with --target_labels 50, or leave this method out.",
        )
    with seeded(seed):
        network = make_network()
    source = batches(items.source, items.labels, items.weights)
    facts: dict[str, Any] = {}
    step: Any
    if head == "network":
        return NetworkSystem(network, fit(network, task_step, source), facts)
    number = setting_of(head, value)
    if head == "sequence_denoising":
        if not isinstance(network, RecurrentClassifier):
            raise InputError(
                f"'{method.name}' rebuilds documents word by word, and features have no order",
                remedy="Use --network recurrent, or leave this method out.",
            )
        documents = batches(_join(items.source, items.target), None)
        pretraining = pretrain_by_denoising(
            network.embedding, network.encoder, documents, epochs=int(number), seed=seed, accelerator=accelerator
        )
        facts["reconstruction_loss"] = [round(row["loss"], 4) for row in pretraining]
        return NetworkSystem(network, fit(network, task_step, source), facts)
    if head == "l2_sp":
        history = fit(network, task_step, source)
        step = make_l2_sp_step(network.state_dict(), strength_shared=number, strength_new=0.0)
        # Weight decay would draw to 0; the penalty draws to the source's weights in its place.
        history += fit(network, step, batches(items.few, items.few_labels), rate=learning_rate / 3, decay=0.0)
        return NetworkSystem(network, _numbered(history), facts)
    if head == "network_self_training":
        return _self_train_network(number, make_network, items, seed, fit, task_step, batches, probabilities)
    # Shuffled by a seed of its own. By the source's, two domains of one size would be shuffled alike, and where the
    # corpora list their documents by label each target batch would hold the labels of the source batch beside it.
    target_seed = int(np.random.default_rng([seed, *b"target"]).integers(2**32))
    target = _make_batches(items.target, None, None, batch_size=batch_size, max_length=max_length, seed=target_seed)
    both = DomainBatches(source, target)
    if head == "pivot_tasks":
        pivots = _pivots_by_class(items, max_length)
        facts["pivots_per_class"] = [len(ids) for ids in pivots]
        with seeded(seed):
            tasks = PivotTasks(network.feature_dim, len(pivots))
        step = make_pivot_step(tasks, pivots, adaptation_weight=number)
        return NetworkSystem(network, fit(NetworkWithParts(network, tasks), step, both), facts)
    if head == "reconstruction":
        if not isinstance(network, BagOfWordsNetwork):
            raise InputError(
                f"'{method.name}' reconstructs features, and word ids have none",
                remedy="Use a network over features, or sequence_denoising, which rebuilds documents word by word.",
            )
        means = (items.source.mean(axis=0), items.target.mean(axis=0))
        decoder = ReconstructionDecoder(network.hidden_weight, *means)
        step = make_reconstruction_step(decoder, reconstruction_weight=number)
        return NetworkSystem(network, fit(NetworkWithParts(network, decoder), step, both), facts)
    if head == "dann":
        with seeded(seed):
            discriminator = DomainDiscriminator(network.feature_dim, 100)
        step = make_domain_step(
            lambda first, second: domain_adversarial_loss(first, second, discriminator), adaptation_weight=number
        )
        return NetworkSystem(network, fit(NetworkWithParts(network, discriminator), step, both), facts)
    step = make_domain_step(mmd_loss if head == "mmd" else coral_loss, adaptation_weight=number)
    return NetworkSystem(network, fit(network, step, both), facts)


def _self_train_network(
    final_share: float,
    make_network: Callable[[], Network],
    items: DomainItems,
    seed: int,
    fit: Callable[..., list[dict[str, Any]]],
    task_step: Any,
    batches: Callable[..., Any],
    probabilities: Callable[[Network, Items], np.ndarray],
) -> NetworkSystem:
    """`self_train` with a new network each round; the last kept round's network, its head set to the class priors."""
    random = np.random.default_rng(seed)
    num_source, num_target = len(items.labels), _num_items(items.target)
    weights = np.ones(num_source, dtype=np.float32) if items.weights is None else items.weights
    counts = np.bincount(items.labels, minlength=items.num_labels)
    masses = np.bincount(items.labels, weights, minlength=items.num_labels)
    if counts.min() < 2 or not masses.all():
        raise InputError(
            "self-training lacks labelled reviews of a class",
            expected=f"of each of the {items.num_labels} classes 2 or more that have weight",
            found=f"by class {counts.tolist()}",
            remedy="Leave the class out, or add reviews of it.",
        )
    priors = masses / masses.sum()
    source_order, target_half = random.permutation(num_source), random.permutation(num_target) % 2
    source_order = source_order[np.argsort(items.labels[source_order], kind="stable")]  # each class is cut in half
    halves = [np.sort(source_order[half::2]) for half in (0, 1)]
    trained: list[tuple[Network, list[dict[str, Any]]]] = []

    def trainer(source: np.ndarray, allowed: np.ndarray | None) -> Callable[..., np.ndarray]:
        def fit_round(rows: np.ndarray, pseudo_labels: np.ndarray, pseudo_weights: np.ndarray) -> np.ndarray:
            if allowed is not None:
                mine = allowed[rows]
                rows, pseudo_labels, pseudo_weights = rows[mine], pseudo_labels[mine], pseudo_weights[mine]
            with seeded(seed):
                network = make_network()
            part = _join(_take(items.source, source), _take(items.target, rows))
            labels = np.concatenate([items.labels[source], pseudo_labels])
            history = fit(network, task_step, batches(part, labels, np.concatenate([weights[source], pseudo_weights])))
            if allowed is None:
                trained.append((network, history))
            return probabilities(network, items.target)

        return fit_round

    # How sure a network trained on one half of the source may be is told by the other half.
    held_out = np.zeros((num_source, items.num_labels))
    for mine, other in (halves, halves[::-1]):
        with seeded(seed):
            probe = make_network()
        fit(probe, task_step, batches(_take(items.source, mine), items.labels[mine], weights[mine]))
        held_out[other] = probabilities(probe, _take(items.source, other))
    rounds = self_train(
        trainer(np.arange(num_source), None),
        class_priors=priors,
        num_rounds=_SELF_TRAINING_ROUNDS,
        final_share=final_share,
        temperature=calibration_temperature(held_out, items.labels, weights),
        replicas=[trainer(halves[half], target_half == half) for half in (0, 1)],
    )
    network, _ = trained[len(rounds) - 1]
    offsets = prior_offsets(rounds[-1].probabilities, priors)
    with torch.no_grad():
        bias = network.head.bias
        bias.add_(torch.tensor(offsets, dtype=bias.dtype, device=bias.device))
    kept: list[dict[str, Any]] = [row for _, rows in trained[: len(rounds)] for row in rows]
    facts = {
        "rounds": len(rounds) - 1,
        "stopped_by_drift": len(rounds) <= _SELF_TRAINING_ROUNDS,
        "agreement": [round(part.agreement, 4) for part in rounds if part.agreement is not None],
    }
    return NetworkSystem(network, _numbered(kept), facts)


def _pivots_by_class(items: DomainItems, max_length: int) -> list[list[int]]:
    """Input ids of pivots, each given to the class among whose source documents it is most over-represented.

    A class has its best ones, as many as half of the documents hold one of: of a hundred pivots every document holds
    some, and a task whose answer is always yes teaches nothing.
    """
    source, target = _occurrences(items.source, max_length), _occurrences(items.target, max_length)
    width = max(source.shape[1], target.shape[1])
    source.resize(source.shape[0], width)
    target.resize(target.shape[0], width)
    smallest = min(source.shape[0], target.shape[0])
    chosen = select_pivots(
        source, items.labels, target, num_pivots=_NUM_PIVOTS, min_documents=max(2, min(20, smallest // 50))
    )
    in_source, in_target = source[:, chosen].toarray() > 0, target[:, chosen].toarray() > 0  # (documents, pivots)
    shares = (
        np.stack([in_source[items.labels == label].sum(axis=0) for label in range(items.num_labels)])
        / np.maximum(np.bincount(items.labels, minlength=items.num_labels), 1)[:, None]
    )  # (classes, pivots)
    owner = shares.argmax(axis=0)
    pivots: list[list[int]] = []
    for label in range(items.num_labels):
        mine = np.flatnonzero((owner == label) & ~(in_source.all(axis=0) & in_target.all(axis=0)))
        # The share of documents, averaged over the domains, that hold one of the first 1, 2, ... pivots.
        held = [np.logical_or.accumulate(part[:, mine], axis=1).mean(axis=0) for part in (in_source, in_target)]
        number = max(1, int(((held[0] + held[1]) / 2 <= _PIVOTS_IN_AT_MOST).sum()))
        pivots.append([int(pivot) for pivot in chosen[mine[:number]]])
    if not all(pivots):
        raise InputError(
            "the auxiliary tasks lack pivots for a class",
            expected="for each class a word that is common in both domains, and not in every document",
            found=f"{len(chosen)} pivots, by class {[len(ids) for ids in pivots]}",
            remedy="Give more unlabelled reviews, or leave out pivot_tasks.",
        )
    return pivots


def _occurrences(part: Items, max_length: int) -> sparse.csr_matrix:
    """1 where a document holds an input id, (N, ids)."""
    if isinstance(part, list):
        read = [np.asarray(document[:max_length], dtype=np.int64) for document in part]
        ids = [np.unique(document[document >= len(RESERVED)]) for document in read]
        starts = np.concatenate([[0], np.cumsum([len(row) for row in ids])])
        columns = np.concatenate([np.zeros(0, dtype=np.int64), *ids])
        width = int(columns.max(initial=0)) + 1
        return sparse.csr_matrix((np.ones(len(columns), dtype=np.float32), columns, starts), shape=(len(part), width))
    if not sparse.issparse(part):
        raise InputError(
            "pivots are words, and these features are no words",
            remedy="Leave out pivot_tasks, or use the features of n-grams alone.",
        )
    occurs = sparse.csr_matrix(part, copy=True)
    occurs.sum_duplicates()
    occurs.eliminate_zeros()
    occurs.data[:] = 1
    return occurs


def _make_batches(
    part: Items,
    labels: np.ndarray | None,
    weights: np.ndarray | None,
    *,
    batch_size: int,
    max_length: int,
    seed: int | None,
) -> FeatureBatches | DocumentBatches:
    if isinstance(part, list):
        return DocumentBatches(part, labels, batch_size=batch_size, max_length=max_length, seed=seed, weights=weights)
    return FeatureBatches(part, labels, batch_size=batch_size, seed=seed, weights=weights)


def _take(part: Items, rows: np.ndarray) -> Items:
    return [part[row] for row in rows] if isinstance(part, list) else part[rows]


def _join(part: Items, more: Items) -> Items:
    return [*part, *more] if isinstance(part, list) else stack_rows(part, more)


def _num_items(part: Items) -> int:
    return len(part) if isinstance(part, list) else int(part.shape[0])


def _row_lengths(rows: Any) -> np.ndarray:
    squares = rows.multiply(rows) if sparse.issparse(rows) else np.square(rows)
    return np.sqrt(np.asarray(squares.sum(axis=1)).ravel())


def _numbered(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Several trainings' rows as one history."""
    return [{**row, "epoch": number} for number, row in enumerate(history, start=1)]
