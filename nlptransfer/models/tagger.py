"""A recurrent tagger: word vectors and characters in, one tag per word out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nlptransfer.data.batching import Batches, EncodedSentences
from nlptransfer.data.vocabulary import Vocabulary
from nlptransfer.embeddings.packed_vectors import pack_vectors, unpack_vectors
from nlptransfer.embeddings.word_forms import FALLBACKS
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError
from nlptransfer.models.characters import CharacterCNN, CharacterLSTM
from nlptransfer.models.crf import LinearChainCRF
from nlptransfer.models.recurrent import CellType, RecurrentEncoder
from nlptransfer.models.saving import read_config, read_document, read_tensors, write_model_folder
from nlptransfer.models.word_features import append_spelling, embed_words, encode_for_vectors, unknown_probability
from nlptransfer.models.word_outputs import words_in_order
from nlptransfer.types import NO_LABEL, Batch, ModelOutput

CharacterEncoder = Literal["none", "cnn", "lstm"]
Head = Literal["softmax", "crf"]


@dataclass(frozen=True)
class TaggerShape:
    """What a tagger is built from, beside its vocabularies and weights.

    Attributes:
        cell: "rnn", "gru" or "lstm".
        hidden_dim: units per direction.
        num_layers: recurrent layers.
        bidirectional: read both ways.
        characters: encoder of a word's spelling: "none", "cnn" or "lstm".
        character_dim: features from the spelling.
        head: "softmax" or "crf".
        dropout: on the word and spelling features, between layers and before the head, 0 to 1.
        word_dropout: how readily a rare training word is read as unknown: with probability
            ``word_dropout / (word_dropout + count)``.
        max_length: tokens read at once; longer sentences are windowed.
        context: tokens of context beside a window.
        fallbacks: how a word may be found among the vectors beside its exact form.

    Raises:
        ValueError: an unknown encoder of characters, or an unknown head.
    """

    cell: CellType = "lstm"
    hidden_dim: int = 128
    num_layers: int = 1
    bidirectional: bool = True
    characters: CharacterEncoder = "lstm"
    character_dim: int = 128
    head: Head = "softmax"
    dropout: float = 0.5
    word_dropout: float = 0.25
    max_length: int = 256
    context: int = 16
    fallbacks: tuple[str, ...] = FALLBACKS

    def __post_init__(self) -> None:
        for name, value, choices in (("characters", self.characters, CharacterEncoder), ("head", self.head, Head)):
            if value not in get_args(choices):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}; found {value!r}")


class RecurrentTagger(nn.Module):
    """Word and spelling features, a recurrent encoder, and a softmax or CRF head (Huang et al. 2015; Ling et al. 2015).

    Words of the training vocabulary have a row of `embedding`. A word that it lacks is looked up in `vectors`, the
    pretrained vectors that travel with the tagger; only what neither holds is unknown.

    Args:
        vocabulary: the training words.
        character_vocabulary: the training words' characters and `BOUNDARIES`; None without spelling features.
        tags: the C tag names, in the order of their ids.
        embedding: (len(vocabulary), D), frozen or trainable.
        shape: see `TaggerShape`.
        vectors: what else is known at prediction time; None when the embedding is not from pretrained vectors.
        counts: (len(vocabulary),) how often each word occurs in training, for word dropout; None: no word dropout.
        metadata: facts that travel with the model, such as which column of a CoNLL-U file it predicts.

    Raises:
        ValueError: the shape wants characters, and there is no vocabulary of them.

    Example:
        >>> tagger = RecurrentTagger(vocabulary, characters, ["NOUN", "VERB"], embedding, TaggerShape())
        >>> tagger.predict([["The", "bank", "raised", "rates"]])
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        character_vocabulary: Vocabulary | None,
        tags: Sequence[str],
        embedding: nn.Embedding,
        shape: TaggerShape,
        *,
        vectors: WordVectors | None = None,
        counts: np.ndarray | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.character_vocabulary = character_vocabulary
        self.tags = list(tags)
        self.shape = shape
        self.vectors = vectors
        self.metadata = dict(metadata or {})
        self.embedding = embedding
        input_dim = embedding.embedding_dim
        self.characters: CharacterCNN | CharacterLSTM | None = None
        if shape.characters != "none":
            if character_vocabulary is None:
                raise ValueError(f"a tagger with characters={shape.characters!r} needs a character vocabulary")
            encoder = CharacterCNN if shape.characters == "cnn" else CharacterLSTM
            self.characters = encoder(len(character_vocabulary), shape.character_dim)
            input_dim += shape.character_dim
        self.encoder = RecurrentEncoder(
            input_dim,
            shape.hidden_dim,
            cell=shape.cell,
            num_layers=shape.num_layers,
            bidirectional=shape.bidirectional,
            dropout=shape.dropout,
        )
        self.head = nn.Linear(self.encoder.output_dim, len(self.tags))
        self.crf = LinearChainCRF(len(self.tags)) if shape.head == "crf" else None
        self.dropout = nn.Dropout(shape.dropout)
        self.register_buffer(
            "unknown_probability", unknown_probability(len(vocabulary), counts, shape.word_dropout), persistent=False
        )
        self.unknown_probability: torch.Tensor

    def forward(self, batch: Batch) -> ModelOutput:
        """Logits (batch, time, C) and features (batch, time, hidden)."""
        words = self._embed_words(batch)  # (batch, time, D)
        if self.characters is not None:
            words = append_spelling(words, batch, self.characters)
        features = self.dropout(self.encoder(self.dropout(words), batch.mask))  # (batch, time, hidden)
        return ModelOutput(logits=self.head(features), features=features)

    def loss(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """Mean negative log-likelihood per labelled token."""
        assert batch.labels is not None, "the batch has no labels"
        if self.crf is not None:
            total = self.crf.loss(output.logits, batch.labels, batch.mask)
        else:
            total = functional.cross_entropy(
                output.logits.flatten(0, 1), batch.labels.flatten(), ignore_index=NO_LABEL, reduction="sum"
            )
        # Not the mean of cross_entropy, which is NaN where no token is labelled.
        return total / (batch.labels != NO_LABEL).sum().clamp(min=1)

    def decode(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """Tag ids (batch, time); what stands on padding is meaningless."""
        if self.crf is None:
            return output.logits.argmax(dim=-1)
        return self.crf.decode(output.logits, batch.mask)

    def _embed_words(self, batch: Batch) -> torch.Tensor:
        return embed_words(batch, self.embedding, self.unknown_probability if self.training else None)

    def encode(
        self, sentences: Sequence[Sequence[str]], labels: Sequence[Sequence[int]] | None = None
    ) -> EncodedSentences:
        """Sentences as the integers that this tagger reads; see `encode_sentences`."""
        return encode_for_vectors(
            sentences,
            self.vocabulary,
            self.character_vocabulary,
            labels=labels,
            vectors=self.vectors,
            fallbacks=self.shape.fallbacks,
        )

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
        ids = self.predict_ids(encoded, batch_size=batch_size)
        names = np.array(self.tags, dtype=object)[ids].tolist()
        starts = encoded.starts.tolist()
        return [names[start:end] for start, end in pairwise(starts)]

    def predict_ids(self, encoded: EncodedSentences, *, batch_size: int = 64) -> np.ndarray:
        """Tag ids of encoded sentences, (tokens,), in the order of their tokens."""
        return self._read(encoded, batch_size, lambda batch: self.decode(self(batch), batch)).astype(np.int64)

    def predict_proba(self, sentences: Sequence[Sequence[str]], *, batch_size: int = 64) -> np.ndarray:
        """The probability of each tag for each word.

        Args:
            sentences: lists of words, W in all; empty ones are allowed.
            batch_size: sentences read at once.

        Returns:
            (W, C) float32, words of all sentences below one another, tags in the order of `tags`.

        Raises:
            ValueError: a CRF decides whole sequences, and gives words no probabilities here.
        """
        if self.crf is not None:
            raise ValueError("a CRF decides whole sequences; probabilities of words need a softmax head")
        found = self._read(self.encode(sentences), batch_size, lambda batch: self(batch).logits.softmax(dim=-1))
        return found.reshape(-1, len(self.tags)).astype(np.float32)

    def _read(self, encoded: EncodedSentences, batch_size: int, read: Callable[[Batch], torch.Tensor]) -> np.ndarray:
        batches = Batches(encoded, batch_size=batch_size, max_length=self.shape.max_length, context=self.shape.context)
        return words_in_order(self, batches, len(encoded.word_rows), read)

    def save_pretrained(self, folder: str | Path, *, card: str = "") -> None:
        """Write the tagger as safetensors and JSON, whole or not at all.

        Args:
            folder: where; an older model there is replaced.
            card: the model card, in Markdown.

        Raises:
            OSError: the folder can't be written, or the disk is full.
        """
        tensors = {"model": {name: tensor.cpu() for name, tensor in self.state_dict().items()}}
        documents: dict[str, Any] = {
            "vocabulary": {
                "words": self.vocabulary.entries,
                "characters": None if self.character_vocabulary is None else self.character_vocabulary.entries,
            }
        }
        if self.vectors is not None:
            arrays, documents["vectors"] = pack_vectors(self.vectors)
            tensors["vectors"] = {name: torch.from_numpy(array) for name, array in arrays.items()}
        write_model_folder(
            folder,
            model_type="recurrent_tagger",
            config={
                "tags": self.tags,
                "shape": asdict(self.shape),
                "embedding": {
                    "dim": self.embedding.embedding_dim,
                    "trainable": self.embedding.weight.requires_grad,
                },
                "metadata": self.metadata,
            },
            tensors=tensors,
            documents=documents,
            card=card or f"# A recurrent tagger with {len(self.tags)} tags\n",
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> RecurrentTagger:
        """Read what `save_pretrained` wrote; ready to predict, on the CPU.

        Raises:
            InputError: a file is missing, altered, or does not fit the others.
        """
        config = read_config(folder)
        vocabulary = read_document(folder, "vocabulary")
        characters = vocabulary["characters"]
        shape = dict(config["shape"])
        words = Vocabulary(vocabulary["words"])
        embedding = nn.Embedding(len(words), config["embedding"]["dim"], padding_idx=0)
        embedding.weight.requires_grad_(config["embedding"]["trainable"])
        tagger = cls(
            words,
            None if characters is None else Vocabulary(characters),
            config["tags"],
            embedding,
            TaggerShape(**{**shape, "fallbacks": tuple(shape["fallbacks"])}),
            vectors=_read_vectors(folder) if "vectors.safetensors" in config["files"] else None,
            metadata=config["metadata"],
        )
        try:
            tagger.load_state_dict(read_tensors(folder, "model"))
        except RuntimeError as error:
            raise InputError(
                "the weights do not fit the configuration beside them",
                where=Path(folder) / "model.safetensors",
                found=" ".join(str(error).split()),
                remedy="Copy the model folder again from where it was written, or train the model again.",
            ) from error
        return tagger.eval()


def _read_vectors(folder: str | Path) -> WordVectors:
    arrays = {name: tensor.numpy() for name, tensor in read_tensors(folder, "vectors").items()}
    return unpack_vectors(arrays, read_document(folder, "vectors"))
