"""One encoder, two decoders (or more): sentences in, several sequences out, each at its own length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from nlptransfer.data.feature_batches import DocumentBatches
from nlptransfer.data.vocabulary import PADDING, Vocabulary
from nlptransfer.errors import InputError
from nlptransfer.models.recurrent import RecurrentEncoder
from nlptransfer.models.saving import read_config, read_document, read_tensors, write_model_folder
from nlptransfer.multitask.beam_search import END, Hypotheses
from nlptransfer.multitask.sequence_decoder import SequenceDecoder, sequence_loss
from nlptransfer.multitask.tasks import RESERVED_NAMES
from nlptransfer.types import NO_LABEL, Batch


class EncoderWithDecoders(nn.Module):
    r"""A bidirectional LSTM that reads a sentence, and a decoder for each named output that writes a sequence.

    .. math:: h = \text{BiLSTM}(E_x), \qquad e = [\overrightarrow{h}_T; \overleftarrow{h}_1], \qquad
              L = \sum_k \frac{1}{n_k} \sum_t -\log p_k(y_{kt} \mid y_{k,<t}, x)

    with n_k the symbols of output k in the batch. All decoders start from the same code e, and attend to the same
    states h: what one output teaches the encoder, the others can use. An output is a label sequence, or the sentence
    itself: reconstruction, whose symbols are the vocabulary's words. An output need not be as long as the sentence.

    `Batch.labels` are (batch, outputs, length) here: symbols from 1, `END` after the last, then `NO_LABEL`; a row of
    `NO_LABEL` alone where an item's output is not known, which then moves nothing of that decoder. `SequenceBatches`
    makes them. The weights are drawn from torch's global generator: make it within `seeded`.

    Args:
        vocabulary: the words that are read.
        symbols: output name -> its S distinct symbols.
        embedding: (len(vocabulary), D) word vectors, frozen or trainable.
        hidden_dim: units per direction of the encoder, and twice as many in each decoder.
        attention: whether the decoders attend to the encoder's states, or know the sentence by its code alone.
        dropout: on the word vectors, the encoder's states and in the decoders, 0 to 1.
        max_ratio: an output has at most so many symbols per word of its sentence.

    Raises:
        ValueError: there are no outputs, one has a name of `RESERVED_NAMES`, or symbols that are none or not distinct.

    Reference:
        Luong, Le, Sutskever, Vinyals & Kaiser 2016, Multi-task Sequence to Sequence Learning, section 3.1 (one to
        many), with an autoencoder as one of the tasks in section 3.4, https://arxiv.org/abs/1511.06114.

    Compare with:
        A tagger with a head per task, which gives each word one label, and is right for such tasks far sooner.

    Example:
        >>> with seeded(0):
        ...     model = EncoderWithDecoders(vocabulary, {"tags": tags, "words": vocabulary.entries}, embedding)
        >>> batches = SequenceBatches(model, sentences, {"tags": tag_sequences, "words": sentences}, batch_size=32)
        >>> train(model, lambda model, batch, progress: model.losses(model(batch), batch), batches,
        ...       torch.optim.Adam(model.parameters(), 3e-3), epochs=10, seed=0)
        >>> model.predict([["The", "bank"]], beam_width=4)["tags"]
        [['DET', 'NOUN']]
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        symbols: Mapping[str, Sequence[str]],
        embedding: nn.Embedding,
        *,
        hidden_dim: int = 128,
        attention: bool = True,
        dropout: float = 0.0,
        max_ratio: float = 2.0,
    ) -> None:
        super().__init__()
        if not symbols or set(symbols) & set(RESERVED_NAMES):
            raise ValueError(f"expected outputs called neither {', nor '.join(RESERVED_NAMES)}; found {list(symbols)}")
        for name, entries in symbols.items():
            if not len(entries) or len(set(entries)) < len(entries):
                raise ValueError(f"the symbols of the output {name!r} must be distinct, and at least one")
        self.vocabulary = vocabulary
        self.symbols = {name: list(entries) for name, entries in symbols.items()}
        self.hidden_dim = hidden_dim
        self.attention = attention
        self.max_ratio = max_ratio
        self.embedding = embedding
        self.encoder = RecurrentEncoder(embedding.embedding_dim, hidden_dim)
        dim = self.encoder.output_dim
        # A list, since a module's children can't have every name that an output may.
        self.decoders = nn.ModuleList(
            SequenceDecoder(
                len(entries), dim, hidden_dim=dim, attention_dim=dim if attention else None, dropout=dropout
            )
            for entries in self.symbols.values()
        )
        self.dropout = nn.Dropout(dropout)

    def encode(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """What is common to all outputs: the code e, (batch, H), and the states h, (batch, time, H)."""
        states = self.dropout(self.encoder(self.dropout(self.embedding(batch.input_ids)), batch.mask))
        last = batch.mask.sum(dim=1).clamp(min=1) - 1
        forward = states[torch.arange(len(states), device=states.device), last, : self.hidden_dim]
        return torch.cat([forward, states[:, 0, self.hidden_dim :]], dim=-1), states

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Logits of each output given its own symbols so far (teacher forcing), (batch, length, S + 1).

        Raises:
            ValueError: the batch has no labels, or not those of as many outputs.
        """
        if batch.labels is None or batch.labels.dim() != 3 or batch.labels.shape[1] != len(self.symbols):
            raise ValueError(
                f"teacher forcing needs labels of shape (batch, {len(self.symbols)}, length), such as SequenceBatches "
                f"makes; found {None if batch.labels is None else tuple(batch.labels.shape)}"
            )
        code, states = self.encode(batch)
        labels = batch.labels.unbind(dim=1)
        return {
            name: decoder(code, own, states, batch.mask)
            for name, decoder, own in zip(self.symbols, self.decoders, labels, strict=True)
        }

    def losses(self, output: Mapping[str, torch.Tensor], batch: Batch) -> dict[str, torch.Tensor]:
        """Each output's mean negative log-likelihood per symbol by its name, and their sum as "loss".

        An output that no item of the batch has is left out, so that its decoder gets no gradient at all, which
        weight decay or momentum would turn into a step.
        """
        assert batch.labels is not None, "checked where the output was made"
        known = {
            name: sequence_loss(output[name], labels)
            for name, labels in zip(self.symbols, batch.labels.unbind(dim=1), strict=True)
            if bool((labels != NO_LABEL).any())
        }
        # Where nothing is known the sum still hangs on the weights, since `train` goes back from it.
        losses = list(known.values()) or [0.0 * logits.sum() for logits in output.values()]
        return {**known, "loss": torch.stack(losses).sum()}

    def loss(self, output: Mapping[str, torch.Tensor], batch: Batch) -> torch.Tensor:
        """The sum of the outputs' losses."""
        return self.losses(output, batch)["loss"]

    @torch.no_grad()
    def search(self, batch: Batch, *, width: int = 1) -> dict[str, Hypotheses]:
        """The most likely sequences of each output, by greedy search (width 1) or by beam search.

        Args:
            batch: sentences; labels are not read.
            width: of the beam.

        Returns:
            Output name -> `width` sequences per item, the most likely first.
        """
        code, states = self.encode(batch)
        found = {}
        for name, decoder in zip(self.symbols, self.decoders, strict=True):
            assert isinstance(decoder, SequenceDecoder)
            found[name] = decoder.search(code, self._max_lengths(batch), states, batch.mask, width=width)
        return found

    def predict(
        self, sentences: Sequence[Sequence[str]], *, beam_width: int = 1, batch_size: int = 64
    ) -> dict[str, list[list[str]]]:
        """The most likely sequence of each output for each sentence.

        Args:
            sentences: lists of words. An empty one has empty outputs.
            beam_width: hypotheses kept in view; 1 for greedy search.
            batch_size: sentences read at once.

        Returns:
            Output name -> a list of symbols per sentence.

        Raises:
            TypeError: a sentence is a string and not a list of words.
        """
        device = self.embedding.weight.device
        found: dict[str, list[list[str]]] = {name: [[] for _ in sentences] for name in self.symbols}
        was_training = self.training
        self.eval()
        for rows, batch in SequenceBatches(self, sentences, None, batch_size=batch_size).groups():
            for name, hypotheses in self.search(batch.to(device), width=beam_width).items():
                for row, symbols in zip(rows.tolist(), hypotheses.symbols[:, 0].tolist(), strict=True):
                    if len(sentences[row]):
                        found[name][row] = [self.symbols[name][symbol - 1] for symbol in symbols if symbol > END]
        self.train(was_training)
        return found

    def _max_lengths(self, batch: Batch) -> torch.Tensor:
        """(batch,) how many symbols are written at most, one for the `END` included."""
        return (batch.mask.sum(dim=1) * self.max_ratio).long() + 1

    def save_pretrained(self, folder: str | Path, *, card: str = "") -> None:
        """Write the model as safetensors and JSON, whole or not at all.

        Args:
            folder: where; an older model there is replaced.
            card: the model card, in Markdown.

        Raises:
            OSError: the folder can't be written, or the disk is full.
        """
        write_model_folder(
            folder,
            model_type="encoder_with_decoders",
            config={
                "shape": {
                    "hidden_dim": self.hidden_dim,
                    "attention": self.attention,
                    "dropout": self.dropout.p,
                    "max_ratio": self.max_ratio,
                },
                "embedding": {
                    "dim": self.embedding.embedding_dim,
                    "trainable": self.embedding.weight.requires_grad,
                },
            },
            tensors={"model": {name: tensor.cpu() for name, tensor in self.state_dict().items()}},
            # A list of pairs, since the order of the outputs is that of the decoders.
            documents={"vocabulary": self.vocabulary.entries, "symbols": list(self.symbols.items())},
            card=card or f"# An encoder with a decoder for each of {', '.join(self.symbols)}\n",
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> EncoderWithDecoders:
        """Read what `save_pretrained` wrote; ready to predict, on the CPU.

        Raises:
            InputError: a file is missing, altered, or does not fit the others.
        """
        config = read_config(folder)
        vocabulary = Vocabulary(read_document(folder, "vocabulary"))
        embedding = nn.Embedding(len(vocabulary), config["embedding"]["dim"], padding_idx=PADDING)
        embedding.weight.requires_grad_(config["embedding"]["trainable"])
        model = cls(vocabulary, dict(read_document(folder, "symbols")), embedding, **config["shape"])
        try:
            model.load_state_dict(read_tensors(folder, "model"))
        except RuntimeError as error:
            raise InputError(
                "the weights do not fit the configuration beside them",
                where=Path(folder) / "model.safetensors",
                found=" ".join(str(error).split()),
                remedy="Copy the model folder again from where it was written, or train the model again.",
            ) from error
        return model.eval()


class SequenceBatches:
    """Batches of sentences of about the same length with what is to be written for each, for `EncoderWithDecoders`.

    Sentences are read whole, whatever their length. Shuffled batches depend on the seed and the epoch alone.

    Args:
        model: whose vocabulary reads the sentences and whose symbols number the outputs.
        sentences: N lists of words.
        outputs: output name -> N lists of symbols, None where an item's is not known; an output that is not named is
            known of no item. None for all: no labels, as for prediction.
        batch_size: sentences per batch, at most.
        seed: shuffles; None keeps the sentences sorted by length, as for prediction.

    Attributes:
        num_items: N.

    Raises:
        InputError: an output that the model has not, another number of sequences than of sentences, or a symbol that
            the output does not have.
        TypeError: a sentence is a string and not a list of words.

    Example:
        >>> SequenceBatches(model, [["The", "bank"]], {"tags": [["DET", "NOUN"]], "words": [None]}, batch_size=32)
    """

    def __init__(
        self,
        model: EncoderWithDecoders,
        sentences: Sequence[Sequence[str]],
        outputs: Mapping[str, Sequence[Sequence[str] | None]] | None,
        *,
        batch_size: int,
        seed: int | None = None,
    ) -> None:
        if isinstance(sentences, str) or any(isinstance(sentence, str) for sentence in sentences):
            raise TypeError(
                "sentences are lists of words, such as [['The', 'bank', 'raised', 'rates']]; found a string"
            )
        self.num_items = len(sentences)
        self.labels = None if outputs is None else _number(model, self.num_items, outputs)
        longest = max(map(len, sentences), default=0)
        self._documents = DocumentBatches(
            [model.vocabulary.ids(words) for words in sentences],
            None,
            batch_size=batch_size,
            max_length=max(1, longest),
            seed=seed,
        )

    def set_epoch(self, epoch: int) -> None:
        """Group and order the sentences for `epoch`."""
        self._documents.set_epoch(epoch)

    def __len__(self) -> int:
        """The number of batches."""
        return len(self._documents)

    def __iter__(self) -> Iterator[Batch]:
        for _, batch in self.groups():
            yield batch

    def groups(self) -> Iterator[tuple[np.ndarray, Batch]]:
        """Each batch with the numbers of its sentences, (batch,)."""
        for rows, batch in self._documents.groups():
            yield rows, batch if self.labels is None else replace(batch, labels=_stack(self.labels, rows))


def _number(
    model: EncoderWithDecoders, num_items: int, outputs: Mapping[str, Sequence[Sequence[str] | None]]
) -> list[list[np.ndarray]]:
    """Of each output of the model and each item the symbols' numbers and an `END`; nothing where it is not known."""
    if unknown := sorted(set(outputs) - set(model.symbols)):
        raise InputError(
            f"the model has no output {', '.join(unknown)}", expected=" or ".join(model.symbols), found=unknown[0]
        )
    nothing = np.zeros(0, dtype=np.int64)
    numbered = []
    for name, symbols in model.symbols.items():
        sequences = outputs.get(name, [None] * num_items)
        if len(sequences) != num_items:
            raise InputError(
                f"the output {name} does not go with the sentences",
                expected=f"{num_items} sequences, one per sentence",
                found=str(len(sequences)),
            )
        ids = {symbol: number for number, symbol in enumerate(symbols, start=END + 1)}
        rows = []
        for item, sequence in enumerate(sequences):
            if sequence is None:
                rows.append(nothing)
                continue
            if strange := [symbol for symbol in sequence if symbol not in ids]:
                raise InputError(
                    f"the output {name} of sentence {item + 1} has a symbol that the model does not write",
                    expected=f"one of {len(symbols)} symbols, such as {symbols[0]!r}",
                    found=repr(strange[0]),
                    remedy="Make the model with all symbols of its training data, or give None for this sentence.",
                )
            rows.append(np.array([*(ids[symbol] for symbol in sequence), END], dtype=np.int64))
        numbered.append(rows)
    return numbered


def _stack(labels: list[list[np.ndarray]], items: np.ndarray) -> torch.Tensor:
    """(batch, outputs, length) of these items."""
    chosen = [[rows[item] for item in items.tolist()] for rows in labels]
    longest = max(len(row) for rows in chosen for row in rows)
    stacked = np.full((len(items), len(labels), max(1, longest)), NO_LABEL, dtype=np.int64)
    for output, rows in enumerate(chosen):
        for item, row in enumerate(rows):
            stacked[item, output, : len(row)] = row
    return torch.from_numpy(stacked)
