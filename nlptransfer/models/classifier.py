"""Networks that classify documents: one hidden layer over a bag of words, or a recurrent encoder over word vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nlptransfer.data.feature_batches import ItemBatches
from nlptransfer.models.pooling import AttentionPooling, max_pooling, mean_pooling
from nlptransfer.models.recurrent import CellType, RecurrentEncoder
from nlptransfer.types import NO_LABEL, Batch, ModelOutput

Activation = Literal["relu", "sigmoid", "tanh"]
Pooling = Literal["attention", "max", "mean"]


class BagOfWordsNetwork(nn.Module):
    r"""One hidden layer over weighted features, sparse or dense.

    .. math:: h = \phi(x W + b), \qquad \text{logits} = h V + c

    Its weights are drawn from torch's global generator (W as in Glorot & Bengio 2010, equation 16): make it within
    `seeded`. In training W's gradient is dense, so that any optimizer and clipping apply.

    Args:
        num_features: D.
        num_labels: C.
        hidden_dim: H, units in the hidden layer.
        dropout: on the hidden layer, 0 to 1.
        activation: of the hidden layer, "relu", "sigmoid" or "tanh".

    Raises:
        ValueError: an unknown activation.

    Reference:
        Ganin et al. 2016, section 4.1, with "sigmoid"; https://jmlr.org/papers/v17/15-239.html.

    Compare with:
        `RecurrentClassifier`, which knows the order of words and needs word vectors and more time.

    Example:
        >>> with seeded(0):
        ...     network = BagOfWordsNetwork(5_000, 2, hidden_dim=100, dropout=0.5)
    """

    def __init__(
        self,
        num_features: int,
        num_labels: int,
        *,
        hidden_dim: int = 100,
        dropout: float = 0.0,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        if activation not in get_args(Activation):
            raise ValueError(f"activation must be one of {', '.join(get_args(Activation))}; found {activation!r}")
        self.num_features = num_features
        self.num_labels = num_labels
        self.feature_dim = hidden_dim
        self.activation = activation
        self.hidden_weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_features, hidden_dim)))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden_dim))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_dim, num_labels)

    def forward(self, batch: Batch) -> ModelOutput:
        """Logits (batch, C) and features (batch, H), after dropout, as the head sees them."""
        weighed = self._weigh(batch) + self.hidden_bias  # (batch, H)
        features = self.dropout(_ACTIVATIONS[self.activation](weighed))
        return ModelOutput(logits=self.head(features), features=features)

    def _weigh(self, batch: Batch) -> torch.Tensor:
        """x W, (batch, H)."""
        assert batch.values is not None, "a bag of words has values"
        if batch.values.shape[1] == self.num_features and bool(batch.mask.all()):
            # Ids are ascending and distinct, so that a row of D of them is the whole row.
            return batch.values @ self.hidden_weight
        # Flat, so that padding costs nothing: rows differ in length by far more than sentences do. On a CPU, with
        # D = 30,000, an epoch took 215 ms, gradient and optimizer included; by a product with a dense matrix 444 ms,
        # with a sparse CSR one 153 ms.
        lengths = batch.mask.sum(dim=1)
        return functional.embedding_bag(
            batch.input_ids[batch.mask],
            self.hidden_weight,
            lengths.cumsum(dim=0) - lengths,
            mode="sum",
            per_sample_weights=batch.values[batch.mask],
        )

    def loss(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """See `classification_loss`."""
        return classification_loss(output, batch)

    def decode(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """Class ids, (batch,)."""
        return output.logits.argmax(dim=-1)

    def probabilities(self, batches: ItemBatches) -> np.ndarray:
        """(N, C), in the order of the items, however the batches order them."""
        return _collect(self, batches, _to_probabilities)

    def represent(self, batches: ItemBatches) -> np.ndarray:
        """The features of all items, (N, H), in the order of the items."""
        return _collect(self, batches, _to_features)


class RecurrentClassifier(nn.Module):
    """A bidirectional recurrent encoder over word vectors, pooled over a document's words.

    Its weights are drawn from torch's global generator: make it within `seeded`.

    Args:
        embedding: (V, D) word vectors, from `make_embedding`; frozen or trainable.
        num_labels: C.
        hidden_dim: units per direction; the features have H = 2 `hidden_dim`.
        cell: "rnn", "gru" or "lstm".
        pooling: "attention" (see `AttentionPooling`), "max" or "mean".
        dropout: on the word vectors and on the pooled features, 0 to 1.

    Raises:
        ValueError: an unknown pooling or cell.

    Reference:
        Yang et al. 2016, section 2.2, at the level of words alone; https://aclanthology.org/N16-1174.

    Compare with:
        `BagOfWordsNetwork`, which takes a tenth of the time and is hard to beat without good word vectors.

    Example:
        >>> with seeded(0):
        ...     network = RecurrentClassifier(make_embedding(vectors, vocabulary, trainable=False), 2)
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        num_labels: int,
        *,
        hidden_dim: int = 100,
        cell: CellType = "lstm",
        pooling: Pooling = "attention",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if pooling not in get_args(Pooling):
            raise ValueError(f"pooling must be one of {', '.join(get_args(Pooling))}; found {pooling!r}")
        self.num_labels = num_labels
        self.hidden_dim = hidden_dim
        self.cell = cell
        self.pooling = pooling
        self.embedding = embedding
        self.encoder = RecurrentEncoder(embedding.embedding_dim, hidden_dim, cell=cell)
        self.feature_dim = self.encoder.output_dim
        self.attention = AttentionPooling(self.feature_dim) if pooling == "attention" else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.feature_dim, num_labels)

    def forward(self, batch: Batch) -> ModelOutput:
        """Logits (batch, C) and features (batch, H), after dropout, as the head sees them."""
        states = self.encoder(self.dropout(self.embedding(batch.input_ids)), batch.mask)  # (batch, time, H)
        if self.attention is not None:
            pooled = self.attention(states, batch.mask)  # (batch, H)
        else:
            pooled = (max_pooling if self.pooling == "max" else mean_pooling)(states, batch.mask)
        features = self.dropout(pooled)
        return ModelOutput(logits=self.head(features), features=features)

    def loss(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """See `classification_loss`."""
        return classification_loss(output, batch)

    def decode(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """Class ids, (batch,)."""
        return output.logits.argmax(dim=-1)

    def probabilities(self, batches: ItemBatches) -> np.ndarray:
        """(N, C), in the order of the items, however the batches order them."""
        return _collect(self, batches, _to_probabilities)

    def represent(self, batches: ItemBatches) -> np.ndarray:
        """The features of all items, (N, H), in the order of the items."""
        return _collect(self, batches, _to_features)


def classification_loss(output: ModelOutput, batch: Batch) -> torch.Tensor:
    r"""Mean cross-entropy over the labelled items, each times its weight.

    .. math:: \frac{1}{n} \sum_{i=1}^{n} w_i \, (-\log p(y_i \mid x_i))

    It is divided by the number n of labelled items and not by the sum of their weights, which would count an item for
    more where its batch happens to hold light ones.

    Args:
        output: logits (batch, C).
        batch: labels (batch,), `NO_LABEL` where there is none; weights (batch,), or None for 1.

    Returns:
        A scalar; 0 where no item is labelled.
    """
    assert batch.labels is not None, "the batch has no labels"
    losses = functional.cross_entropy(output.logits.float(), batch.labels, ignore_index=NO_LABEL, reduction="none")
    if batch.weights is not None:
        losses = losses * batch.weights
    return losses.sum() / (batch.labels != NO_LABEL).sum().clamp(min=1)


_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


def _to_probabilities(output: ModelOutput) -> torch.Tensor:
    return output.logits.float().softmax(dim=-1)


def _to_features(output: ModelOutput) -> torch.Tensor:
    return output.features.float()


@torch.inference_mode()
def _collect(
    network: BagOfWordsNetwork | RecurrentClassifier,
    batches: ItemBatches,
    pick: Callable[[ModelOutput], torch.Tensor],
) -> np.ndarray:
    """One row per item of what `pick` takes from the network's output, without dropout, in the items' order."""
    device = network.head.weight.device
    was_training = network.training
    network.eval()
    width = network.num_labels if pick is _to_probabilities else network.feature_dim
    rows = np.zeros((batches.num_items, width), dtype=np.float32)
    for items, batch in batches.groups():
        rows[items] = pick(network(batch.to(device))).cpu().numpy()
    network.train(was_training)
    return rows
