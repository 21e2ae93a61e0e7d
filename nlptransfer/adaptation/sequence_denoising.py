"""Denoising pre-training of a recurrent encoder: read a document with noise, and write it out without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nlptransfer.adaptation.word_noise import drop_words, replace_words, shuffle_words
from nlptransfer.data.vocabulary import PADDING, RESERVED
from nlptransfer.errors import InputError
from nlptransfer.models.pooling import mean_pooling
from nlptransfer.models.recurrent import RecurrentEncoder
from nlptransfer.training.loop import EpochBatches, train
from nlptransfer.training.seeding import seeded
from nlptransfer.types import NO_LABEL, Batch

if TYPE_CHECKING:
    from accelerate import Accelerator


class SequenceDenoiser(nn.Module):
    r"""An encoder of noisy documents and a decoder that writes the clean ones, word by word.

    .. math::
        e = \frac{1}{T'} \sum_t \text{encoder}(\tilde w)_t, \qquad
        s_t = \text{GRU}([E_{w_{t-1}}; e], s_{t-1}), \qquad
        p(w_t \mid w_{<t}, \tilde w) = \text{softmax}(E (W s_t + b) + c)_{w_t}

    with :math:`\tilde w` the T' words that noise left of the document w, and E the embedding, which reads and writes
    (Press & Wolf 2017). In training the decoder is given the clean words before t, and the softmax's sum over all
    words is estimated: the right word's term is exact, and S words drawn from the smoothed unigram distribution q
    stand for the others,

    .. math:: \hat Z = \exp(z_w) + \frac{1}{S} \sum_{j=1}^{S} [v_j \ne w] \, \frac{\exp(z_{v_j})}{q(v_j)},
              \qquad \mathbb{E} \hat Z = Z

    so that a vocabulary of 20,000 words is affordable without a GPU. In evaluation mode, and where there are no more
    words than S, the sum is exact. Padding and unknown words are read and never written.

    Its own weights are drawn from torch's global generator: make it within `seeded`.

    Args:
        embedding: (V, D), the ids being those of a `Vocabulary`. If it is frozen it stays so.
        encoder: reads D features per word, and those of `characters`.
        word_counts: (V,) how often each word occurs in what will be read; see `count_words`.
        characters: the module that reads the spelling of words, as a tagger has it; or None.
        word_drop: probability of leaving out a word.
        max_distance: places that a word may move, at most.
        replacement: probability of putting another word in a word's place.
        num_sampled: S.

    Raises:
        ValueError: there is not one count per id.
        InputError: no word of the vocabulary occurs.

    Reference:
        Hill, Cho & Korhonen 2016 (SDAE), https://aclanthology.org/N16-1162, whose encoding is the last
        state; here it is the mean over words, which is how a classifier starts to pool. Noise: see `word_noise`. The
        estimated sum: Botev, Zheng & Barber 2017, https://proceedings.mlr.press/v54/botev17a.html.

    Compare with:
        `pretrain_tsdae`, for transformers. Masked language models, which rebuild each word in its place: those teach
        what stands beside a word, this what a document is about.

    Example:
        >>> with seeded(0):
        ...     denoiser = SequenceDenoiser(network.embedding, network.encoder, count_words(batches, len(vocabulary)))
        >>> loss = denoiser.loss(denoiser.corrupt(batch), batch)
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        encoder: RecurrentEncoder,
        word_counts: np.ndarray,
        *,
        characters: nn.Module | None = None,
        word_drop: float = 0.1,
        max_distance: int = 3,
        replacement: float = 0.1,
        num_sampled: int = 1000,
    ) -> None:
        super().__init__()
        if word_counts.shape != (embedding.num_embeddings,):
            raise ValueError(f"expected a count for each of {embedding.num_embeddings} ids, found {word_counts.shape}")
        counts = torch.as_tensor(word_counts[len(RESERVED) :], dtype=torch.float64)
        if not counts.sum():
            raise InputError(
                "there is nothing to reconstruct: the documents hold no word of the vocabulary",
                remedy="Give more unlabelled documents, or make the vocabulary from them.",
            )
        self.embedding = embedding
        self.encoder = encoder
        self.characters = characters
        self.word_drop = word_drop
        self.max_distance = max_distance
        self.replacement = replacement
        self.num_sampled = num_sampled
        # One more than it occurs, so that no word's probability is 0.
        unigrams = ((counts + 1) / (counts + 1).sum()).float()
        self.register_buffer("unigrams", unigrams, persistent=False)  # of the words, from the first id that is one
        self.unigrams: torch.Tensor
        self.decoder = nn.GRU(embedding.embedding_dim + encoder.output_dim, encoder.output_dim, batch_first=True)
        self.output = nn.Linear(encoder.output_dim, embedding.embedding_dim)
        self.bias = nn.Parameter(unigrams.log())  # begins with what is known without reading

    def corrupt(self, batch: Batch, *, generator: torch.Generator | None = None) -> Batch:
        """The batch with all three kinds of noise: words replaced, then left out, then moved."""
        noisy = replace_words(batch, self.replacement, generator=generator)
        noisy = drop_words(noisy, self.word_drop, generator=generator)
        return shuffle_words(noisy, self.max_distance, generator=generator)

    def encode(self, batch: Batch) -> torch.Tensor:
        """The encoding of each document, (batch, H): the mean of the encoder's states over its words."""
        words = self._embed(batch)  # (batch, time, D)
        if self.characters is not None:
            spelled = self.characters(batch.characters)  # (distinct words, character_dim)
            assert batch.character_rows is not None, "the batch has no characters"
            words = torch.cat([words, functional.embedding(batch.character_rows, spelled)], dim=-1)
        return mean_pooling(self.encoder(words, batch.mask), batch.mask)

    def forward(self, noisy: Batch, clean: Batch) -> torch.Tensor:
        """What is held against the word vectors to tell each clean word: W s_t + b, (batch, time, D)."""
        words = self._embed(clean)  # (batch, time, D)
        before = functional.pad(words[:, :-1], (0, 0, 1, 0))  # no word stands before the first: zeros
        encoding = self.encode(noisy)[:, None].expand(-1, words.shape[1], -1)  # (batch, time, H)
        states, _ = self.decoder(torch.cat([before, encoding], dim=-1))
        predicted: torch.Tensor = self.output(states)
        return predicted

    def loss(self, noisy: Batch, clean: Batch) -> torch.Tensor:
        """Mean negative log-likelihood of the clean documents' words, in nats; estimated in training.

        Args:
            noisy: what is read, see `corrupt`.
            clean: the same documents, to be written.

        Returns:
            A scalar; 0 where no document has a known word.
        """
        words = words_to_write(clean, self.embedding.num_embeddings)  # (batch, time)
        written = words != NO_LABEL
        predicted, words = self(noisy, clean)[written].float(), words[written]  # (words, D), (words,)
        weight, first = self.embedding.weight.float(), len(RESERVED)
        if self.training and self.num_sampled < len(self.unigrams):
            drawn = torch.multinomial(self.unigrams, self.num_sampled, replacement=True)  # (S,)
            own = (predicted * functional.embedding(words, weight)).sum(dim=-1) + self.bias[words - first]
            others = predicted @ functional.embedding(drawn + first, weight).T + self.bias[drawn]  # (words, S)
            others = others - (self.num_sampled * self.unigrams[drawn]).log()
            others = others.masked_fill(drawn + first == words[:, None], -torch.inf)
            logits, answers = torch.cat([own[:, None], others], dim=1), torch.zeros_like(words)
        else:
            logits, answers = predicted @ weight[first:].T + self.bias, words - first
        return functional.cross_entropy(logits, answers, reduction="sum") / max(len(words), 1)

    def _embed(self, batch: Batch) -> torch.Tensor:
        weight = self.embedding.weight
        if batch.unseen_vectors is not None:  # ids beyond the table are rows of these
            weight = torch.cat([weight, batch.unseen_vectors.to(weight.dtype)])
        return functional.embedding(batch.input_ids, weight, padding_idx=PADDING)


def words_to_write(batch: Batch, vocabulary_size: int) -> torch.Tensor:
    """The word ids of a batch, (batch, time), `NO_LABEL` on padding and on words without an id of their own."""
    ids = batch.input_ids
    return ids.masked_fill(~batch.mask | (ids < len(RESERVED)) | (ids >= vocabulary_size), NO_LABEL)


def count_words(batches: Iterable[Batch], vocabulary_size: int) -> np.ndarray:
    """How often each id is to be written, (vocabulary_size,); see `words_to_write`."""
    counts = np.zeros(vocabulary_size, dtype=np.int64)
    for batch in batches:
        words = words_to_write(batch, vocabulary_size)
        counts += np.bincount(words[words != NO_LABEL].numpy(), minlength=vocabulary_size)
    return counts


def pretrain_by_denoising(
    embedding: nn.Embedding,
    encoder: RecurrentEncoder,
    batches: EpochBatches,
    *,
    epochs: int,
    characters: nn.Module | None = None,
    word_drop: float = 0.1,
    max_distance: int = 3,
    replacement: float = 0.1,
    num_sampled: int = 1000,
    learning_rate: float = 1e-3,
    seed: int,
    accelerator: Accelerator | None = None,
) -> list[dict[str, Any]]:
    """Train an embedding and an encoder in place to rebuild unlabelled documents from noisy ones.

    The modules are those of the classifier or tagger that is trained afterwards; the decoder is thrown away. Labels
    of the batches are not read. See `SequenceDenoiser`.

    Args:
        embedding: (V, D) word vectors. Frozen ones stay as they are.
        encoder: reads them, beside the features of `characters`.
        batches: `DocumentBatches`, or a tagger's `Batches`, of unlabelled documents of both domains.
        epochs: passes over them.
        characters: the tagger's module that reads the spelling of words, trained as well; or None.
        word_drop: probability of leaving out a word.
        max_distance: places that a word may move, at most.
        replacement: probability of putting another word in a word's place.
        num_sampled: words that stand for the vocabulary in each step; see `SequenceDenoiser`.
        learning_rate: of Adam.
        seed: of the decoder's weights, the noise and the drawn words.
        accelerator: device and precision; the modules are left on its device.

    Returns:
        One row per epoch, as of `train`; "loss" is in nats per word.

    Raises:
        InputError: the documents hold no word of the vocabulary.
        ValueError: a probability or distance is out of range.

    Reference:
        See `SequenceDenoiser`; Dai & Le 2015, section 2, start a classifier from such an encoder,
        https://arxiv.org/abs/1511.01432.

    Example:
        >>> batches = Batches(tagger.encode(sentences), batch_size=32, seed=0)
        >>> pretrain_by_denoising(tagger.embedding, tagger.encoder, batches, characters=tagger.characters, epochs=5,
        ...                       seed=0)
    """
    data = _Unlabelled(batches, embedding.num_embeddings)
    counts = count_words(data, embedding.num_embeddings)
    with seeded(seed):
        denoiser = SequenceDenoiser(
            embedding,
            encoder,
            counts,
            characters=characters,
            word_drop=word_drop,
            max_distance=max_distance,
            replacement=replacement,
            num_sampled=num_sampled,
        )
    trained = [parameter for parameter in denoiser.parameters() if parameter.requires_grad]

    def step(model: Any, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        return {"loss": model.loss(model.corrupt(batch), batch)}

    return train(
        denoiser,
        step,
        data,
        torch.optim.Adam(trained, learning_rate),
        epochs=epochs,
        seed=seed,
        max_gradient_norm=5.0,
        accelerator=accelerator,
        description="denoising sequences",
    )


class _Unlabelled:
    """Batches whose labels are the words to write, by whose number the loop weighs the parts of several processes."""

    def __init__(self, batches: EpochBatches, vocabulary_size: int) -> None:
        self.batches = batches
        self.vocabulary_size = vocabulary_size

    def set_epoch(self, epoch: int) -> None:
        self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.batches:
            assert isinstance(batch, Batch), "documents of both domains stand in one batch here"
            yield replace(batch, labels=words_to_write(batch, self.vocabulary_size), weights=None)
