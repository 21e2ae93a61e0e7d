"""A trained recurrent network of several tasks: raw text in, any task's labels out, one folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from nlptransfer.data.batching import Batches, EncodedSentences
from nlptransfer.data.vocabulary import Vocabulary
from nlptransfer.data.words import split_words
from nlptransfer.embeddings.packed_vectors import pack_vectors, unpack_vectors
from nlptransfer.errors import InputError
from nlptransfer.models.saving import read_config, read_document, read_tensors, write_model_folder
from nlptransfer.models.word_features import WordFeatures
from nlptransfer.multitask.recurrent_networks import MultitaskNetwork, MultitaskShape, make_network
from nlptransfer.multitask.task_model import TaskModel
from nlptransfer.multitask.tasks import tasks_from_json, tasks_to_json
from nlptransfer.multitask.text_batches import TextBatches


class MultitaskModel(TaskModel):
    """A trained recurrent network of several tasks that takes words or texts.

    Args:
        network: from `make_network`.
        shape: what it was made from.
        metadata: facts that travel with the model.

    Attributes:
        tasks: name -> task.
        words: the word features, which know the vocabularies.

    Example:
        >>> model = MultitaskModel(network, shape)
        >>> model.predict([["The", "bank", "raised", "rates"]], "pos")
        >>> model.predict(["A book to read again."], "sentiment")
    """

    def __init__(
        self, network: MultitaskNetwork, shape: MultitaskShape, *, metadata: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(network, metadata=metadata)
        self.shape = shape
        # Some ways of sharing have several word features; they all read the same vocabulary.
        self.words = next(module for module in network.modules() if isinstance(module, WordFeatures))

    def encode(
        self, sentences: Sequence[Sequence[str]], labels: Sequence[Sequence[int]] | None = None
    ) -> EncodedSentences:
        """Sentences as the network reads them; see `WordFeatures.encode`."""
        return self.words.encode(sentences, labels)

    def encode_texts(self, texts: Sequence[Sequence[str]] | Sequence[str]) -> EncodedSentences:
        """Texts as a task about texts reads them: the first `max_length` words; an empty one as a word without letters.

        Args:
            texts: plain texts, or lists of words.
        """
        split = [split_words(text) if isinstance(text, str) else text for text in texts]
        return self.words.encode([words[: self.shape.max_length] or [""] for words in split])

    def word_batches(self, encoded: EncodedSentences, *, batch_size: int, seed: int | None = None) -> Batches:
        """Batches of what `encode` gave; long sentences are windowed."""
        shape = self.shape
        return Batches(encoded, batch_size=batch_size, max_length=shape.max_length, context=shape.context, seed=seed)

    def text_batches(
        self,
        encoded: EncodedSentences,
        labels: np.ndarray | None = None,
        *,
        batch_size: int,
        seed: int | None = None,
    ) -> TextBatches:
        """Batches of what `encode_texts` gave."""
        return TextBatches(encoded, labels, batch_size=batch_size, seed=seed)

    def save_pretrained(self, folder: str | Path, *, card: str = "") -> None:
        """Write the model as safetensors and JSON, whole or not at all; all tasks in one folder.

        Args:
            folder: where; an older model there is replaced.
            card: the model card, in Markdown.

        Raises:
            OSError: the folder can't be written, or the disk is full.
        """
        words = self.words
        tensors = {"model": {name: tensor.detach().cpu() for name, tensor in _distinct_tensors(self.network).items()}}
        characters = words.character_vocabulary
        documents: dict[str, Any] = {
            "vocabulary": {
                "words": words.vocabulary.entries,
                "characters": None if characters is None else characters.entries,
            }
        }
        if words.vectors is not None:
            arrays, documents["vectors"] = pack_vectors(words.vectors)
            tensors["vectors"] = {name: torch.from_numpy(array) for name, array in arrays.items()}
        write_model_folder(
            folder,
            model_type="multitask_model",
            config={
                "tasks": tasks_to_json(self.tasks.values()),
                "shape": asdict(self.shape),
                "embedding": {
                    "dim": words.embedding.embedding_dim,
                    "trainable": words.embedding.weight.requires_grad,
                },
                "metadata": self.metadata,
            },
            tensors=tensors,
            documents=documents,
            card=card or f"# A network of {len(self.tasks)} tasks: {', '.join(self.tasks)}\n",
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> MultitaskModel:
        """Read what `save_pretrained` wrote; ready to predict any of its tasks, on the CPU.

        Raises:
            InputError: a file is missing, altered, or does not fit the others.
        """
        config = read_config(folder)
        vocabulary = read_document(folder, "vocabulary")
        shape = dict(config["shape"])
        words = Vocabulary(vocabulary["words"])
        characters = vocabulary["characters"]
        embedding = nn.Embedding(len(words), config["embedding"]["dim"], padding_idx=0)
        embedding.weight.requires_grad_(config["embedding"]["trainable"])
        vectors = None
        if "vectors.safetensors" in config["files"]:
            arrays = {name: tensor.numpy() for name, tensor in read_tensors(folder, "vectors").items()}
            vectors = unpack_vectors(arrays, read_document(folder, "vectors"))
        built = MultitaskShape(**{**shape, "crf": tuple(shape["crf"]), "fallbacks": tuple(shape["fallbacks"])})
        network = make_network(
            tasks_from_json(config["tasks"]),
            built,
            words,
            embedding,
            character_vocabulary=None if characters is None else Vocabulary(characters),
            vectors=vectors,
        )
        tensors = read_tensors(folder, "model")
        try:
            missing = _distinct_tensors(network).keys() ^ tensors.keys()
            if missing:
                raise RuntimeError(f"only one of the two has {', '.join(sorted(missing)[:5])}")
            # Not strict: a part that several networks have in common was written once.
            network.load_state_dict(tensors, strict=False)
        except RuntimeError as error:
            raise InputError(
                "the weights do not fit the configuration beside them",
                where=Path(folder) / "model.safetensors",
                found=" ".join(str(error).split()),
                remedy="Copy the model folder again from where it was written, or train the model again.",
            ) from error
        return cls(network.eval(), built, metadata=config["metadata"])


def _distinct_tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a network by name, each once, under the first name it has."""
    distinct: dict[int, tuple[str, torch.Tensor]] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        distinct.setdefault(id(tensor), (name, tensor))
    return dict(distinct.values())
