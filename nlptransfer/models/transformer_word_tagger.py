"""A fine-tuned encoder with its tokenizer: words in, a tag for each out, saved as a folder that transformers loads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nlptransfer.data.subword_words import SubwordSentences, WordBatches, encode_words, window_sizes
from nlptransfer.embeddings.encoder_settings import load_tokenizer
from nlptransfer.embeddings.find_encoder import quiet_transformers
from nlptransfer.models.saving import read_config, write_model_folder
from nlptransfer.models.transformer import TransformerTagger, load_encoder
from nlptransfer.models.transformer_text_classifier import (
    Autocast,
    head_tensors,
    load_head,
    read_layers,
)
from nlptransfer.models.word_outputs import words_in_order
from nlptransfer.types import Batch


class TransformerWordTagger:
    """A trained `TransformerTagger` that takes lists of words.

    Args:
        tokenizer: the encoder's.
        tags: the C tag names, in the order of their ids.
        network: the network.
        max_length: subwords read at once; longer sentences are windowed, and no word is dropped.
        context: subwords of context beside a window; of the room in it a quarter at most.
        metadata: facts that travel with the model, such as which column of a CoNLL-U file it predicts.

    Raises:
        ValueError: there are not as many tags as logits.
        InputError: `max_length` leaves no room for a word.

    Example:
        >>> tagger = TransformerWordTagger(tokenizer, ["NOUN", "VERB"], network)
        >>> tagger.predict([["The", "bank", "raised", "rates"]])
    """

    def __init__(
        self,
        tokenizer: Any,
        tags: Sequence[str],
        network: TransformerTagger,
        *,
        max_length: int = 256,
        context: int = 16,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if len(tags) != network.num_labels:
            raise ValueError(f"the network has {network.num_labels} tags, and there are {len(tags)} names")
        self.tokenizer = tokenizer
        self.tags = list(tags)
        self.network = network
        self.max_length = max_length
        self.context, self._word_length = window_sizes(tokenizer, max_length=max_length, context=context)
        self.metadata = dict(metadata or {})

    def encode(
        self, sentences: Sequence[Sequence[str]], labels: Sequence[Sequence[int]] | None = None
    ) -> SubwordSentences:
        """Sentences as the subwords that the network reads; see `encode_words`."""
        return encode_words(self.tokenizer, sentences, labels=labels, max_word_length=self._word_length)

    def predict(self, sentences: Sequence[Sequence[str]], *, batch_size: int = 64) -> list[list[str]]:
        """One tag per word, whatever the sentences' lengths.

        Args:
            sentences: lists of words; empty ones are allowed.
            batch_size: sentences read at once.

        Returns:
            Lists of tag names, as many and as long as the sentences.

        Raises:
            TypeError: a sentence is a string and not a list of words.
        """
        if isinstance(sentences, str) or any(isinstance(sentence, str) for sentence in sentences):
            raise TypeError(
                "predict takes lists of words, such as [['The', 'bank', 'raised', 'rates']]; found a string"
            )
        encoded = self.encode(sentences)
        names = np.array(self.tags, dtype=object)[self.predict_ids(encoded, batch_size=batch_size)].tolist()
        return [names[start:end] for start, end in pairwise(encoded.starts.tolist())]

    def predict_ids(
        self, encoded: SubwordSentences, *, batch_size: int = 64, autocast: Autocast = nullcontext
    ) -> np.ndarray:
        """Tag ids of encoded sentences, (words,), in the order of their words."""

        def decode(batch: Batch) -> torch.Tensor:
            with autocast():
                return self.network.decode(self.network(batch), batch)

        return self._read(encoded, batch_size, decode).astype(np.int64)

    def predict_proba(
        self, sentences: Sequence[Sequence[str]], *, batch_size: int = 64, autocast: Autocast = nullcontext
    ) -> np.ndarray:
        """The probability of each tag for each word.

        Args:
            sentences: lists of words, W in all; empty ones are allowed.
            batch_size: sentences read at once.
            autocast: the precision of the pass.

        Returns:
            (W, C) float32, words of all sentences below one another, tags in the order of `tags`.
        """

        def probabilities(batch: Batch) -> torch.Tensor:
            with autocast():
                return self.network(batch).logits.float().softmax(dim=-1)

        found = self._read(self.encode(sentences), batch_size, probabilities)
        return found.reshape(-1, len(self.tags)).astype(np.float32)

    def _read(self, encoded: SubwordSentences, batch_size: int, read: Callable[[Batch], torch.Tensor]) -> np.ndarray:
        batches = WordBatches(encoded, batch_size=batch_size, max_length=self.max_length, context=self.context)
        return words_in_order(self.network, batches, encoded.num_words, read)

    def save_pretrained(self, folder: str | Path, *, card: str = "") -> None:
        """Write a folder that `nlptransfer.load` reads, and transformers: safetensors and JSON, whole or not at all.

        Where a word is its first subword and the last layer alone is read, as in AutoModelForTokenClassification, it is
        one for that class; else AutoModel reads the encoder. Our head stands beside it in any case.

        Args:
            folder: where; an older model there is replaced.
            card: the model card, in Markdown.

        Raises:
            OSError: the folder can't be written, or the disk is full.
        """
        network = self.network
        states = network.states

        def write_others(place: Path) -> None:
            native = native_tagger(network, self.tags)
            whole: Any = states.encoder if native is None else native
            with quiet_transformers():
                whole.save_pretrained(place)
            self.tokenizer.save_pretrained(place)

        write_model_folder(
            folder,
            model_type="transformer_tagger",
            config={
                "tags": self.tags,
                "subwords": network.subwords,
                "layers": states.layers if states.layers == "mix" else list(states.layers),
                "dropout": network.dropout.p,
                "max_length": self.max_length,
                "context": self.context,
                "metadata": self.metadata,
            },
            tensors={"head": head_tensors(network)},
            documents={},
            card=card or f"# A fine-tuned tagger with {len(self.tags)} tags\n",
            write_others=write_others,
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> TransformerWordTagger:
        """Read what `save_pretrained` wrote; ready to predict, on the CPU.

        Raises:
            InputError: a file is missing, altered, or does not fit the others.
        """
        config = read_config(folder)
        tokenizer = load_tokenizer(folder)
        network = TransformerTagger(
            load_encoder(folder),
            len(config["tags"]),
            subwords=config["subwords"],
            layers=read_layers(config["layers"]),
            dropout=config["dropout"],
            pad_id=tokenizer.pad_token_id or 0,
        )
        load_head(network, folder)
        return cls(
            tokenizer,
            config["tags"],
            network.eval(),
            max_length=config["max_length"],
            context=config["context"],
            metadata=config["metadata"],
        )


def native_tagger(network: TransformerTagger, tags: Sequence[str]) -> torch.nn.Module | None:
    """The same tagger as a model of AutoModelForTokenClassification, sharing its weights; None where it is no such one.

    Args:
        network: the tagger.
        tags: the names of its tags.
    """
    from transformers import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING

    encoder: Any = network.encoder
    if network.subwords != "first" or network.states.layers != (-1,):
        return None
    kind: Any = MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING.get(type(encoder.config), None)
    if kind is None:
        return None
    config = type(encoder.config).from_dict(
        {
            **encoder.config.to_dict(),
            "id2label": dict(enumerate(tags)),
            "label2id": {tag: number for number, tag in enumerate(tags)},
        }
    )
    with torch.random.fork_rng(devices=[]):
        native = kind(config)
    head = getattr(native, "classifier", None)
    heads = [name for name, _ in native.named_children() if name not in (native.base_model_prefix, "dropout")]
    if (
        heads != ["classifier"]
        or not isinstance(head, torch.nn.Linear)
        or head.weight.shape != network.head.weight.shape
    ):
        return None  # a head of another make, such as one with a hidden layer
    setattr(native, native.base_model_prefix, encoder)
    native.classifier = network.head
    whole: torch.nn.Module = native
    return whole
