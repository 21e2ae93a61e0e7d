"""One vector per word from its embedding and its spelling: what a tagger's encoder reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nlptransfer.data.batching import EncodedSentences, encode_sentences
from nlptransfer.data.vocabulary import UNKNOWN, Vocabulary
from nlptransfer.embeddings.word_forms import FALLBACKS
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.models.characters import CharacterCNN, CharacterLSTM
from nlptransfer.types import Batch


class WordFeatures(nn.Module):
    """Word vectors, and beside them features of the word's spelling.

    Words of the training vocabulary have a row of `embedding`. A word that it lacks is looked up in `vectors`; only
    what neither holds is unknown.

    Args:
        vocabulary: the training words.
        embedding: (len(vocabulary), D), frozen or trainable.
        characters: the encoder of a word's spelling; None without such features.
        character_vocabulary: the training words' characters and `BOUNDARIES`; None without spelling features.
        vectors: what else is known at prediction time; None when the embedding is not from pretrained vectors.
        fallbacks: how a word may be found among the vectors beside its exact form.
        counts: (len(vocabulary),) how often each word occurs in training, for word dropout; None: no word dropout.
        word_dropout: how readily a rare training word is read as unknown; see `unknown_probability`.

    Attributes:
        output_dim: D and the size of the spelling features.

    Raises:
        ValueError: there is an encoder of characters without a vocabulary of them, or the reverse.

    Compare with:
        `RecurrentTagger`, which has the same features and its own encoder and head: prefer it for a single task.

    Example:
        >>> words = WordFeatures(vocabulary, make_random_embedding(vocabulary, 100))
        >>> words(next(iter(Batches(words.encode([["The", "bank"]]), batch_size=1)))).shape
        torch.Size([1, 2, 100])
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        embedding: nn.Embedding,
        *,
        characters: CharacterCNN | CharacterLSTM | None = None,
        character_vocabulary: Vocabulary | None = None,
        vectors: WordVectors | None = None,
        fallbacks: Sequence[str] = FALLBACKS,
        counts: np.ndarray | None = None,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if (characters is None) != (character_vocabulary is None):
            raise ValueError("an encoder of characters and a vocabulary of them go together; found one of the two")
        self.vocabulary = vocabulary
        self.character_vocabulary = character_vocabulary
        self.vectors = vectors
        self.fallbacks = tuple(fallbacks)
        self.embedding = embedding
        self.characters = characters
        self.output_dim = embedding.embedding_dim + (0 if characters is None else characters.output_dim)
        self.register_buffer(
            "unknown_probability", unknown_probability(len(vocabulary), counts, word_dropout), persistent=False
        )
        self.unknown_probability: torch.Tensor

    def forward(self, batch: Batch) -> torch.Tensor:
        """(batch, time, output_dim)."""
        words = embed_words(batch, self.embedding, self.unknown_probability if self.training else None)
        return words if self.characters is None else append_spelling(words, batch, self.characters)

    def encode(
        self, sentences: Sequence[Sequence[str]], labels: Sequence[Sequence[int]] | None = None
    ) -> EncodedSentences:
        """Sentences as the integers that these features are made from; see `encode_sentences`."""
        return encode_for_vectors(
            sentences,
            self.vocabulary,
            self.character_vocabulary,
            labels=labels,
            vectors=self.vectors,
            fallbacks=self.fallbacks,
        )


def unknown_probability(num_words: int, counts: np.ndarray | None, word_dropout: float) -> torch.Tensor:
    r"""How likely training reads each word as unknown, the rarer the likelier.

    .. math:: p(w) = \frac{\alpha}{\alpha + n(w)}

    Args:
        num_words: ids in the vocabulary.
        counts: (num_words,) :math:`n`, how often each occurs in training; None for no word dropout.
        word_dropout: :math:`\alpha`.

    Returns:
        (num_words,); 0 for padding and the unknown word.

    Reference:
        Kiperwasser & Goldberg 2016, section 4.3, https://aclanthology.org/Q16-1023.
    """
    unknown = torch.zeros(num_words)
    if counts is not None and word_dropout > 0:
        unknown = word_dropout / (word_dropout + torch.from_numpy(counts).float())
        unknown[: UNKNOWN + 1] = 0.0
    return unknown


def embed_words(batch: Batch, embedding: nn.Embedding, unknown: torch.Tensor | None) -> torch.Tensor:
    """The vector of each word of a batch, also of those that only the pretrained vectors hold.

    Args:
        batch: ids from the embedding's size on are rows of `unseen_vectors`.
        embedding: (V, D).
        unknown: (V,) how likely each word is read as unknown; None to read every word as it is.

    Returns:
        (batch, time, D).
    """
    ids = batch.input_ids
    size = embedding.num_embeddings
    if unknown is not None:
        # Words of which only the vectors know stand beyond the table; they are never read as unknown.
        dropped = unknown[ids.masked_fill(ids >= size, UNKNOWN)]
        ids = torch.where(torch.rand(ids.shape, device=ids.device) < dropped, UNKNOWN, ids)
    if batch.unseen_vectors is None:
        embedded: torch.Tensor = embedding(ids)
        return embedded
    unseen = ids - size
    embedded = embedding(ids.masked_fill(unseen >= 0, UNKNOWN))
    vectors = functional.embedding(unseen.clamp(min=0), batch.unseen_vectors.to(embedded.dtype))
    return torch.where((unseen >= 0)[..., None], vectors, embedded)


def append_spelling(words: torch.Tensor, batch: Batch, characters: CharacterCNN | CharacterLSTM) -> torch.Tensor:
    """Features of each word's spelling behind its vector, each distinct word spelled once.

    Args:
        words: (batch, time, D).
        batch: with its characters.
        characters: (distinct words, characters) -> (distinct words, S).

    Returns:
        (batch, time, D + S).
    """
    assert batch.characters is not None and batch.character_rows is not None, "the batch has no characters"
    spelled = characters(batch.characters)  # (distinct words, S)
    return torch.cat([words, functional.embedding(batch.character_rows, spelled)], dim=-1)


def encode_for_vectors(
    sentences: Sequence[Sequence[str]],
    vocabulary: Vocabulary,
    character_vocabulary: Vocabulary | None,
    *,
    labels: Sequence[Sequence[int]] | None,
    vectors: WordVectors | None,
    fallbacks: Sequence[str],
) -> EncodedSentences:
    """Encode sentences, with the vectors of words that the vocabulary lacks; see `encode_sentences`.

    Args:
        sentences: lists of words.
        vocabulary: of words.
        character_vocabulary: of characters; None without spelling features.
        labels: one integer per word; None when there are none.
        vectors: where unseen words are looked up; None for nowhere.
        fallbacks: how a word may be found among the vectors beside its exact form.
    """

    def find_vectors(words: list[str]) -> tuple[np.ndarray, np.ndarray]:
        assert vectors is not None
        found, found_by = vectors.vectors_for(words, fallbacks=tuple(fallbacks))
        return found, np.asarray(found_by) != "not found"

    return encode_sentences(
        sentences,
        vocabulary,
        characters=character_vocabulary,
        labels=labels,
        find_vectors=None if vectors is None else find_vectors,
    )
