"""A fine-tuned encoder with its tokenizer: texts in, labels out, saved as a folder that transformers loads too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nlptransfer.data.documents import Document, only_texts
from nlptransfer.data.feature_batches import DocumentBatches
from nlptransfer.data.subword_texts import TokenizedDocuments, Truncation, tokenize_documents
from nlptransfer.embeddings.encoder_settings import load_tokenizer
from nlptransfer.embeddings.find_encoder import quiet_transformers
from nlptransfer.errors import InputError
from nlptransfer.models.saving import read_config, read_tensors, write_model_folder
from nlptransfer.models.transformer import (
    Layers,
    TransformerClassifier,
    load_encoder,
    load_native_classifier,
)
from nlptransfer.types import ModelOutput

Autocast = Callable[[], AbstractContextManager[Any]]


class TransformerTextClassifier:
    """A trained `TransformerClassifier` that takes raw texts.

    Args:
        tokenizer: the encoder's.
        labels: the C label names, in the order of their ids.
        network: the network.
        max_length: subwords read of a text at once, those that frame it included.
        truncation: what of a longer text is read: see `tokenize_documents`.
        metadata: facts that travel with the model.

    Raises:
        ValueError: there are not as many labels as logits.

    Example:
        >>> classifier = TransformerTextClassifier(tokenizer, ["neg", "pos"], network, max_length=128)
        >>> classifier.predict(["A book to read again."])
        ['pos']
    """

    def __init__(
        self,
        tokenizer: Any,
        labels: Sequence[str],
        network: TransformerClassifier,
        *,
        max_length: int = 256,
        truncation: Truncation = "head",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if len(labels) != network.num_labels:
            raise ValueError(f"the network has {network.num_labels} classes, and there are {len(labels)} labels")
        self.tokenizer = tokenizer
        self.labels = list(labels)
        self.network = network
        self.max_length = max_length
        self.truncation = truncation
        self.metadata = dict(metadata or {})

    def encode(self, documents: Sequence[Document]) -> TokenizedDocuments:
        """Texts as the subword ids that the network reads.

        Raises:
            InputError: a document is a bag of terms, which has no order.
        """
        return tokenize_documents(
            self.tokenizer, only_texts(documents), max_length=self.max_length, truncation=self.truncation
        )

    def predict(self, documents: Sequence[Document]) -> list[str]:
        """The most likely label of each document."""
        return [self.labels[index] for index in self.predict_proba(documents).argmax(axis=1)]

    def predict_proba(self, documents: Sequence[Document]) -> np.ndarray:
        """The probability of each label for each document.

        Args:
            documents: N texts; empty ones are allowed.

        Returns:
            (N, C) float32.

        Raises:
            TypeError: a single text and not a list of them.
            InputError: a document is no text.
        """
        if isinstance(documents, str):
            raise TypeError("predict takes a list of documents, such as ['A book to read again.']; found a string")
        if not len(documents):
            return np.zeros((0, len(self.labels)), dtype=np.float32)
        return document_probabilities(self.network, self.encode(documents))

    def save_pretrained(self, folder: str | Path, *, card: str = "") -> None:
        """Write a folder that `nlptransfer.load` reads, and transformers: safetensors and JSON, whole or not at all.

        With the native head it is one for AutoModelForSequenceClassification; else AutoModel reads the encoder, and the
        head stands beside it.

        Args:
            folder: where; an older model there is replaced.
            card: the model card, in Markdown.

        Raises:
            OSError: the folder can't be written, or the disk is full.
        """
        network = self.network
        tensors: dict[str, dict[str, torch.Tensor]] = {}
        if network.native is None:
            tensors["head"] = head_tensors(network)

        def write_others(place: Path) -> None:
            model: Any = network.encoder if network.native is None else network.native
            if network.native is not None:
                model.config.id2label = dict(enumerate(self.labels))
                model.config.label2id = {label: number for number, label in enumerate(self.labels)}
            with quiet_transformers():
                model.save_pretrained(place)
            self.tokenizer.save_pretrained(place)

        write_model_folder(
            folder,
            model_type="transformer_classifier",
            config={
                "labels": self.labels,
                "pooling": network.pooling,
                "layers": _layers_of(network),
                "dropout": network.dropout.p,
                "max_length": self.max_length,
                "truncation": self.truncation,
                "metadata": self.metadata,
            },
            tensors=tensors,
            documents={},
            card=card or f"# A fine-tuned encoder with {len(self.labels)} labels\n",
            write_others=write_others,
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> TransformerTextClassifier:
        """Read what `save_pretrained` wrote; ready to predict, on the CPU.

        Raises:
            InputError: a file is missing, altered, or does not fit the others.
        """
        config = read_config(folder)
        tokenizer = load_tokenizer(folder)
        labels, pooling = config["labels"], config["pooling"]
        native = pooling == "native"
        encoder = load_native_classifier(folder, len(labels)) if native else load_encoder(folder)
        network = TransformerClassifier(
            encoder,
            len(labels),
            pooling=pooling,
            layers=read_layers(config["layers"]),
            dropout=config["dropout"],
            pad_id=tokenizer.pad_token_id or 0,
        )
        if not native:
            load_head(network, folder)
        return cls(
            tokenizer,
            labels,
            network.eval(),
            max_length=config["max_length"],
            truncation=config["truncation"],
            metadata=config["metadata"],
        )


def document_probabilities(
    network: TransformerClassifier,
    tokenized: TokenizedDocuments,
    *,
    batch_size: int = 64,
    autocast: Autocast = nullcontext,
) -> np.ndarray:
    """(N, C) of N documents, without dropout; of a document in several windows the mean over these.

    Args:
        network: on any device; it is left in the mode it was in.
        tokenized: as `tokenize_documents` gives it.
        batch_size: rows read at once.
        autocast: the precision of the pass.
    """
    return _mean_of_rows(network, tokenized, lambda output: output.logits.float().softmax(dim=-1), batch_size, autocast)


def document_features(
    network: TransformerClassifier,
    tokenized: TokenizedDocuments,
    *,
    batch_size: int = 64,
    autocast: Autocast = nullcontext,
) -> np.ndarray:
    """(N, H) what the head sees of N documents; see `document_probabilities`."""
    return _mean_of_rows(network, tokenized, lambda output: output.features.float(), batch_size, autocast)


@torch.inference_mode()
def _mean_of_rows(
    network: TransformerClassifier,
    tokenized: TokenizedDocuments,
    pick: Callable[[ModelOutput], torch.Tensor],
    batch_size: int,
    autocast: Autocast,
) -> np.ndarray:
    longest = max([1, *map(len, tokenized.ids)])  # a tokenizer that frames nothing makes nothing of an empty text
    batches = DocumentBatches(tokenized.ids, None, batch_size=batch_size, max_length=longest)
    device = network.head.weight.device
    was_training = network.training
    network.eval()
    rows: np.ndarray | None = None
    for items, batch in batches.groups():
        with autocast():
            picked = pick(network(batch.to(device))).cpu().numpy()
        if rows is None:
            rows = np.zeros((len(tokenized.ids), picked.shape[1]), dtype=np.float32)
        rows[items] = picked
    network.train(was_training)
    if rows is None:
        raise ValueError("there is no document")
    starts = np.flatnonzero(np.diff(tokenized.documents, prepend=-1))
    if len(starts) == len(rows):
        return rows
    return np.asarray(np.add.reduceat(rows, starts) / np.diff(starts, append=len(rows))[:, None], dtype=np.float32)


def head_tensors(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a network that are not its encoder's, on the CPU, by name: what `load_head` reads."""
    return {name: tensor.cpu() for name, tensor in network.state_dict().items() if not _is_of_encoder(name)}


def load_head(network: torch.nn.Module, folder: str | Path) -> None:
    """Put the weights beside an encoder's into the rest of a network.

    Raises:
        InputError: they do not fit it.
    """
    try:
        missing, unexpected = network.load_state_dict(read_tensors(folder, "head"), strict=False)
    except RuntimeError as error:
        missing, unexpected = [], [" ".join(str(error).split())]
    missing = [name for name in missing if not _is_of_encoder(name)]
    if missing or unexpected:
        raise InputError(
            "the weights do not fit the configuration beside them",
            where=Path(folder) / "head.safetensors",
            found="; ".join([*missing, *unexpected]),
            remedy="Copy the model folder again from where it was written, or train the model again.",
        )


def read_layers(saved: Any) -> Layers:
    """Layers as they stand in a saved configuration."""
    return "mix" if saved == "mix" else tuple(saved)


def _layers_of(network: TransformerClassifier) -> Any:
    if network.native is not None:
        return [-1]
    return network.states.layers if network.states.layers == "mix" else list(network.states.layers)


def _is_of_encoder(name: str) -> bool:
    return name.startswith(("states.encoder.", "native."))
