"""A trained multitask network with what turns text into its input: raw text in, any task's labels out, one folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
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
from nlptransfer.models.word_outputs import words_in_order
from nlptransfer.multitask.recurrent_networks import MultitaskNetwork, MultitaskShape, make_network
from nlptransfer.multitask.tasks import Task
from nlptransfer.multitask.text_batches import TextBatches
from nlptransfer.types import Batch


class MultitaskModel:
    """A trained network of several tasks that takes words or texts.

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
        self.network = network
        self.shape = shape
        self.tasks: dict[str, Task] = network.tasks
        self.metadata = dict(metadata or {})
        # Some ways of sharing have several word features; they all read the same vocabulary.
        self.words = next(module for module in network.modules() if isinstance(module, WordFeatures))

    def predict(
        self, sentences: Sequence[Sequence[str]] | Sequence[str], task: str, *, batch_size: int = 64
    ) -> list[Any]:
        """What one of the tasks says.

        Args:
            sentences: lists of words, empty ones allowed; for a task about texts also plain texts.
            task: the name of the task.
            batch_size: sentences read at once.

        Returns:
            As many as the sentences: for tagging lists of tag names, one per word; for classification label names;
            for regression numbers.

        Raises:
            InputError: the model has no such task.
            TypeError: a single string, or for tagging a string in place of a list of words.
        """
        self._check_task(task)
        if self.tasks[task].kind == "tagging":
            if isinstance(sentences, str) or any(isinstance(sentence, str) for sentence in sentences):
                raise TypeError(
                    f"{task!r} takes lists of words, such as [['The', 'bank', 'raised', 'rates']]; found a string"
                )
            encoded = self.words.encode(sentences)
            names = np.array(self.tasks[task].labels, dtype=object)
            tags = names[self.predict_ids(encoded, task, batch_size=batch_size)].tolist()
            return [tags[start:end] for start, end in pairwise(encoded.starts.tolist())]
        if isinstance(sentences, str):
            raise TypeError(f"{task!r} takes a list of texts, such as ['A book to read again.']; found a string")
        found = self.predict_ids(self.encode_texts(sentences), task, batch_size=batch_size).tolist()
        return found if self.tasks[task].kind == "regression" else [self.tasks[task].labels[index] for index in found]

    def encode_texts(self, texts: Sequence[Sequence[str]] | Sequence[str]) -> EncodedSentences:
        """Texts as a task about texts reads them: the first `max_length` words; an empty one as a word without letters.

        Args:
            texts: plain texts, or lists of words.
        """
        split = [split_words(text) if isinstance(text, str) else text for text in texts]
        return self.words.encode([words[: self.shape.max_length] or [""] for words in split])

    @torch.inference_mode()
    def predict_ids(self, encoded: EncodedSentences, task: str, *, batch_size: int = 64) -> np.ndarray:
        """Decoded predictions of encoded sentences, in their order.

        Args:
            encoded: by `WordFeatures.encode`, or for a task about texts by `encode_texts`.
            task: the name of the task.
            batch_size: sentences read at once.

        Returns:
            (tokens,) tag ids for tagging, else (sentences,) class ids or numbers.

        Raises:
            InputError: the model has no such task.
        """
        self._check_task(task)
        kind = self.tasks[task].kind
        network = self.network

        def decode(batch: Batch) -> torch.Tensor:
            decoded: torch.Tensor = network.decode(network(batch, task), batch, task)
            return decoded

        if kind == "tagging":
            windowed = Batches(
                encoded, batch_size=batch_size, max_length=self.shape.max_length, context=self.shape.context
            )
            return words_in_order(network, windowed, len(encoded.word_rows), decode).astype(np.int64)
        device = next(network.parameters()).device
        was_training = network.training
        network.eval()
        predictions = np.zeros(len(encoded), dtype=np.float32 if kind == "regression" else np.int64)
        for items, batch in TextBatches(encoded, None, batch_size=batch_size).groups():
            predictions[items] = decode(batch.to(device)).cpu().numpy()
        network.train(was_training)
        return predictions

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
                "tasks": [
                    {"name": task.name, "kind": task.kind, "labels": list(task.labels)} for task in self.tasks.values()
                ],
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
            [Task(name=task["name"], kind=task["kind"], labels=tuple(task["labels"])) for task in config["tasks"]],
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

    def _check_task(self, task: str) -> None:
        if task not in self.tasks:
            raise InputError("the model has no such task", expected=" or ".join(self.tasks), found=repr(task))


def _distinct_tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a network by name, each once, under the first name it has."""
    distinct: dict[int, tuple[str, torch.Tensor]] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        distinct.setdefault(id(tensor), (name, tensor))
    return dict(distinct.values())
