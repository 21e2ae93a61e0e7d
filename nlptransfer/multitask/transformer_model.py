"""A fine-tuned encoder of several tasks with its tokenizer: raw text in, any task's labels out, one folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlptransfer.data.feature_batches import DocumentBatches
from nlptransfer.data.subword_texts import TokenizedDocuments, tokenize_documents
from nlptransfer.data.subword_words import SubwordSentences, WordBatches, encode_words, window_sizes
from nlptransfer.embeddings.encoder_settings import load_tokenizer
from nlptransfer.embeddings.find_encoder import quiet_transformers
from nlptransfer.models.saving import read_config, write_model_folder
from nlptransfer.models.transformer import load_encoder
from nlptransfer.models.transformer_text_classifier import head_tensors, load_head
from nlptransfer.multitask.task_model import TaskModel
from nlptransfer.multitask.tasks import tasks_from_json, tasks_to_json
from nlptransfer.multitask.transformer_sharing import TransformerSharing


class TransformerMultitaskModel(TaskModel):
    """A `TransformerSharing` that takes words or texts.

    Args:
        tokenizer: the encoder's.
        network: the network.
        max_length: subwords read at once, those that frame a text included; longer sentences of words are windowed, and
            no word is dropped, longer texts are cut.
        context: subwords of context beside a window; of the room in it a quarter at most.
        metadata: facts that travel with the model.

    Raises:
        InputError: `max_length` leaves no room for a word.

    Example:
        >>> model = TransformerMultitaskModel(tokenizer, network, max_length=128)
        >>> model.predict([["The", "bank", "raised", "rates"]], "pos")
    """

    def __init__(
        self,
        tokenizer: Any,
        network: TransformerSharing,
        *,
        max_length: int = 256,
        context: int = 16,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(network, metadata=metadata)
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.context, self._word_length = window_sizes(tokenizer, max_length=max_length, context=context)

    def encode(
        self, sentences: Sequence[Sequence[str]], labels: Sequence[Sequence[int]] | None = None
    ) -> SubwordSentences:
        """Sentences as the subwords that the network reads; see `encode_words`."""
        return encode_words(self.tokenizer, sentences, labels=labels, max_word_length=self._word_length)

    def encode_texts(self, texts: Sequence[Sequence[str]] | Sequence[str]) -> TokenizedDocuments:
        """Texts as subwords, the first `max_length` of them.

        Args:
            texts: plain texts, or lists of words, which are joined by spaces.
        """
        plain = [text if isinstance(text, str) else " ".join(text) for text in texts]
        return tokenize_documents(self.tokenizer, plain, max_length=self.max_length)

    def word_batches(self, encoded: SubwordSentences, *, batch_size: int, seed: int | None = None) -> WordBatches:
        """Batches of what `encode` gave; long sentences are windowed."""
        return WordBatches(encoded, batch_size=batch_size, max_length=self.max_length, context=self.context, seed=seed)

    def text_batches(
        self,
        encoded: TokenizedDocuments,
        labels: np.ndarray | None = None,
        *,
        batch_size: int,
        seed: int | None = None,
    ) -> DocumentBatches:
        """Batches of what `encode_texts` gave."""
        return DocumentBatches(encoded.ids, labels, batch_size=batch_size, max_length=self.max_length, seed=seed)

    def save_pretrained(self, folder: str | Path, *, card: str = "") -> None:
        """Write a folder that `nlptransfer.load` reads: safetensors and JSON, whole or not at all; all tasks in it.

        The AutoModel of transformers reads the encoder; the heads stand beside it.

        Args:
            folder: where; an older model there is replaced.
            card: the model card, in Markdown.

        Raises:
            OSError: the folder can't be written, or the disk is full.
        """
        network: TransformerSharing = self.network
        encoder: Any = network.encoder

        def write_others(place: Path) -> None:
            with quiet_transformers():
                encoder.save_pretrained(place)
            self.tokenizer.save_pretrained(place)

        write_model_folder(
            folder,
            model_type="transformer_multitask_model",
            config={
                "tasks": tasks_to_json(self.tasks.values()),
                "depths": network.depths,
                "subwords": network.subwords,
                "crf": [name for name in self.tasks if network.head(name).crf is not None],
                "dropout": network.dropout.p,
                "max_length": self.max_length,
                "context": self.context,
                "metadata": self.metadata,
            },
            tensors={"head": head_tensors(network)},
            documents={},
            card=card or f"# A fine-tuned encoder of {len(self.tasks)} tasks: {', '.join(self.tasks)}\n",
            write_others=write_others,
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> TransformerMultitaskModel:
        """Read what `save_pretrained` wrote; ready to predict any of its tasks, on the CPU.

        Raises:
            InputError: a file is missing, altered, or does not fit the others.
        """
        config = read_config(folder)
        tokenizer = load_tokenizer(folder)
        network = TransformerSharing(
            tasks_from_json(config["tasks"]),
            load_encoder(folder),
            depths=config["depths"],
            subwords=config["subwords"],
            crf=config["crf"],
            dropout=config["dropout"],
            pad_id=tokenizer.pad_token_id or 0,
        )
        load_head(network, folder)
        return cls(
            tokenizer,
            network.eval(),
            max_length=config["max_length"],
            context=config["context"],
            metadata=config["metadata"],
        )
