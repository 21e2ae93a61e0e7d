"""A network with what turns documents into its input: raw documents in, labels out, saved and loaded as one folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from nlptransfer.data.documents import Document
from nlptransfer.data.feature_batches import DocumentBatches, FeatureBatches, ItemBatches
from nlptransfer.data.vocabulary import Vocabulary
from nlptransfer.data.words import split_words
from nlptransfer.embeddings.extractors import Extractor
from nlptransfer.errors import InputError
from nlptransfer.models.classifier import BagOfWordsNetwork, RecurrentClassifier
from nlptransfer.models.saving import read_config, read_document, read_extractor, read_tensors, write_model_folder


class WordReader:
    """Texts to the word ids that a recurrent classifier reads: lower-cased words, the first `max_length` of a text.

    Args:
        vocabulary: of lower-cased words.
        max_length: words read of a text; what follows is not.

    Example:
        >>> words = [lower_words(text) for text in texts]
        >>> reader = WordReader(Vocabulary(list(count_entries(words))), max_length=300)
        >>> batches = DocumentBatches(reader.ids(texts), labels, batch_size=32, max_length=300, seed=0)
    """

    def __init__(self, vocabulary: Vocabulary, *, max_length: int) -> None:
        self.vocabulary = vocabulary
        self.max_length = max_length

    def ids(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """The ids of each text's words, all of them.

        Raises:
            InputError: a document is a bag of terms, which has no order.
        """
        return [self.vocabulary.ids(lower_words(document)) for document in documents]


def lower_words(document: Document) -> list[str]:
    """The lower-cased words of a text, as `WordReader` looks them up.

    Raises:
        InputError: the document is a bag of terms, which has no order.
    """
    if not isinstance(document, str):
        raise InputError(
            "a recurrent classifier reads texts, and this corpus holds counted terms only",
            remedy="Use a corpus with texts, or features of a bag of words.",
        )
    return [word.lower() for word in split_words(document)]


class NetworkTextClassifier:
    """A trained network that takes raw documents.

    Args:
        reader: what makes the network's input: an extractor for a `BagOfWordsNetwork`, a `WordReader` for a
            `RecurrentClassifier`.
        labels: the C label names, in the order of their ids.
        network: the network.
        metadata: facts that travel with the model.

    Raises:
        ValueError: network and reader don't go together, or there are not as many labels as logits.

    Example:
        >>> classifier = NetworkTextClassifier(extractor, ["neg", "pos"], network)
        >>> classifier.predict(["A book to read again."])
        ['pos']
    """

    def __init__(
        self,
        reader: Extractor | WordReader,
        labels: Sequence[str],
        network: BagOfWordsNetwork | RecurrentClassifier,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(network, RecurrentClassifier) != isinstance(reader, WordReader):
            raise ValueError(f"a {type(network).__name__} can't read what a {type(reader).__name__} makes")
        if len(labels) != network.num_labels:
            raise ValueError(f"the network has {network.num_labels} classes, and there are {len(labels)} labels")
        self.network = network
        self.labels = list(labels)
        self.reader = reader
        self.metadata = dict(metadata or {})

    def predict(self, documents: Sequence[Document]) -> list[str]:
        """The most likely label of each document."""
        return [self.labels[index] for index in self.predict_proba(documents).argmax(axis=1)]

    def predict_proba(self, documents: Sequence[Document]) -> np.ndarray:
        """The probability of each label for each document.

        Args:
            documents: N texts, or bags of terms where the extractor reads these; empty ones are allowed.

        Returns:
            (N, C) float32.

        Raises:
            TypeError: a single text and not a list of them.
            InputError: the reader can't read such documents.
        """
        if isinstance(documents, str):
            raise TypeError("predict takes a list of documents, such as ['A book to read again.']; found a string")
        if not len(documents):
            return np.zeros((0, len(self.labels)), dtype=np.float32)
        batches: ItemBatches
        if isinstance(self.reader, WordReader):
            ids = self.reader.ids(documents)
            batches = DocumentBatches(ids, None, batch_size=64, max_length=self.reader.max_length)
        else:
            batches = FeatureBatches(self.reader.transform(documents), None, batch_size=256)
        return self.network.probabilities(batches)

    def save_pretrained(self, folder: str | Path, *, card: str = "") -> None:
        """Write the classifier as safetensors and JSON, whole or not at all.

        Args:
            folder: where; an older model there is replaced.
            card: the model card, in Markdown.

        Raises:
            OSError: the folder can't be written, or the disk is full.
        """
        tensors = {"model": {name: tensor.cpu() for name, tensor in self.network.state_dict().items()}}
        config: dict[str, Any] = {"labels": self.labels, "metadata": self.metadata}
        documents: dict[str, Any]
        if isinstance(self.network, RecurrentClassifier):
            assert isinstance(self.reader, WordReader)
            config["network"] = {
                "hidden_dim": self.network.hidden_dim,
                "cell": self.network.cell,
                "pooling": self.network.pooling,
                "dropout": self.network.dropout.p,
            }
            config["embedding"] = {
                "dim": self.network.embedding.embedding_dim,
                "trainable": self.network.embedding.weight.requires_grad,
            }
            config["max_length"] = self.reader.max_length
            documents = {"vocabulary": self.reader.vocabulary.entries}
        else:
            assert not isinstance(self.reader, WordReader)
            config["network"] = {
                "num_features": self.network.num_features,
                "hidden_dim": self.network.feature_dim,
                "dropout": self.network.dropout.p,
                "activation": self.network.activation,
            }
            config["extractor"], extractor_tensors, extractor_values = self.reader.to_saved()
            documents = {"extractor": extractor_values}
            if extractor_tensors:
                tensors["extractor"] = extractor_tensors
        write_model_folder(
            folder,
            model_type="recurrent_classifier" if isinstance(self.reader, WordReader) else "bag_of_words_network",
            config=config,
            tensors=tensors,
            documents=documents,
            card=card or f"# A network that tells {len(self.labels)} labels apart\n",
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> NetworkTextClassifier:
        """Read what `save_pretrained` wrote; ready to predict, on the CPU.

        Raises:
            InputError: a file is missing, altered, or does not fit the others.
        """
        config = read_config(folder)
        labels, shape = config["labels"], config["network"]
        network: BagOfWordsNetwork | RecurrentClassifier
        reader: Extractor | WordReader
        if config["model_type"] == "recurrent_classifier":
            vocabulary = Vocabulary(read_document(folder, "vocabulary"))
            embedding = nn.Embedding(len(vocabulary), config["embedding"]["dim"], padding_idx=0)
            embedding.weight.requires_grad_(config["embedding"]["trainable"])
            network = RecurrentClassifier(embedding, len(labels), **shape)
            reader = WordReader(vocabulary, max_length=config["max_length"])
        else:
            network = BagOfWordsNetwork(shape.pop("num_features"), len(labels), **shape)
            reader = read_extractor(folder, config)
        try:
            network.load_state_dict(read_tensors(folder, "model"))
        except RuntimeError as error:
            raise InputError(
                "the weights do not fit the configuration beside them",
                where=Path(folder) / "model.safetensors",
                found=" ".join(str(error).split()),
                remedy="Copy the model folder again from where it was written, or train the model again.",
            ) from error
        return cls(reader, labels, network.eval(), metadata=config["metadata"])
