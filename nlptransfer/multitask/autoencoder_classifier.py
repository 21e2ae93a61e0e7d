"""Representation and classification learnt together: an autoencoder and a classifier that share one code."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn
from torch.nn import functional

from nlptransfer.models.classifier import BagOfWordsNetwork, RecurrentClassifier
from nlptransfer.models.sampled_reconstruction import reconstruction_share
from nlptransfer.multitask.beam_search import END
from nlptransfer.multitask.sequence_decoder import SequenceDecoder, sequence_loss
from nlptransfer.types import NO_LABEL, Batch, ModelOutput


class RowReconstruction(nn.Module):
    r"""From the code back to a bag of words or another row of features: :math:`z = h V^\top + c`.

    With V the network's own first layer the weights are tied; a parameter of its own leaves them free.

    Args:
        weight: V, (D, H): `BagOfWordsNetwork.hidden_weight` to tie, or another parameter.
        mean: (D,) the mean row, which c begins with.
        num_sampled: for sparse rows, how many of the columns that no row of a batch lists are reconstructed.

    Raises:
        ValueError: the mean row has not D values.

    Example:
        >>> reconstruction = RowReconstruction(network.hidden_weight, features.mean(axis=0))
    """

    def __init__(self, weight: nn.Parameter, mean: ArrayLike, *, num_sampled: int = 500) -> None:
        super().__init__()
        bias = torch.tensor(np.asarray(mean).ravel(), dtype=weight.dtype, device=weight.device)
        if bias.shape != weight.shape[:1]:
            raise ValueError(f"a mean row has {len(weight)} values, one per feature; found {len(bias)}")
        self.weight = weight
        self.bias = nn.Parameter(bias)
        self.num_sampled = num_sampled

    def loss(self, features: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The squared error as a share of the rows' squared length; see `reconstruction_share`.

        Args:
            features: the code h, (B, H).
            batch: the B rows, sparse or dense.

        Returns:
            A scalar: 0 for a perfect reconstruction, 1 for one that is 0 everywhere.
        """
        return reconstruction_share(features.float(), self.weight, self.bias, batch, num_sampled=self.num_sampled)


class SentenceReconstruction(nn.Module):
    """From the code back to a sentence, word by word, by a `SequenceDecoder` that knows nothing but the code.

    It writes word ids as they are read, also `UNKNOWN`, and 0 for the end. The softmax is over the whole vocabulary,
    which sentences and vocabularies of a few thousand words bear.

    Its weights are drawn from torch's global generator: make it within `seeded`.

    Args:
        vocabulary_size: ids in the vocabulary.
        feature_dim: H, size of the code.
        hidden_dim: units of the decoder.

    Compare with:
        `SequenceDenoiser`, which estimates the softmax of large vocabularies, and trains the encoder beforehand.

    Example:
        >>> with seeded(0):
        ...     reconstruction = SentenceReconstruction(len(vocabulary), network.feature_dim, hidden_dim=64)
        >>> written = reconstruction.decoder.search(network(batch).features, max_lengths).symbols
    """

    def __init__(self, vocabulary_size: int, feature_dim: int, *, hidden_dim: int) -> None:
        super().__init__()
        self.decoder = SequenceDecoder(vocabulary_size - 1, feature_dim, hidden_dim=hidden_dim)

    def loss(self, features: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Mean negative log-likelihood per word, the end of each sentence included, in nats.

        Args:
            features: the code, (B, H).
            batch: the B sentences.

        Returns:
            A scalar.
        """
        words = functional.pad(batch.input_ids.masked_fill(~batch.mask, NO_LABEL), (0, 1), value=NO_LABEL)
        words = words.scatter(1, batch.mask.sum(dim=1, keepdim=True), END)  # (batch, time + 1)
        return sequence_loss(self.decoder(features, words), words)


class AutoencoderClassifier(nn.Module):
    r"""A classifier whose features are also the code of an autoencoder, both trained at once.

    .. math:: L = L_{\text{classification}} + \lambda \, L_{\text{reconstruction}}

    The reconstruction needs no labels: items without one, in the same batches, teach the features what the input is
    like, and the labelled ones what of it matters. It helps where what tells the classes also varies together in the
    input, as the words of a topic do, and takes room from the classifier where it doesn't.

    With a weight of 0 the decoder is not run, and the training is the network's own, number for number. After training
    `network` is all that is needed: it predicts, and `NetworkTextClassifier` saves it.

    Args:
        network: makes the code and classifies it.
        reconstruction: the decoder that goes with the network's input.
        reconstruction_weight: :math:`\lambda`, 0 or more.

    Raises:
        ValueError: a weight that is negative or no number; or a decoder that does not write what the network reads.

    Reference:
        Weston, Ratle & Collobert 2008, section 3, https://doi.org/10.1145/1390156.1390303; Ranzato & Szummer 2008,
        section 2, with documents as bags of words, https://doi.org/10.1145/1390156.1390256, where the code is learnt
        layer by layer. For sentences Dai & Le 2015 have the autoencoder first and the classifier afterwards,
        https://arxiv.org/abs/1511.01432.

    Compare with:
        `make_reconstruction_step`, which does this over two domains, with noise and a weight that falls; `denoising`,
        where the representation is learnt first.

    Example:
        >>> model = AutoencoderClassifier(network, reconstruction, reconstruction_weight=1.0)
        >>> train(model, lambda model, batch, progress: model.losses(model(batch), batch), batches,
        ...       torch.optim.Adam(model.parameters(), 1e-3), epochs=10, seed=0)
        >>> NetworkTextClassifier(extractor, ["neg", "pos"], model.network).save_pretrained("model")
    """

    def __init__(
        self,
        network: BagOfWordsNetwork | RecurrentClassifier,
        reconstruction: RowReconstruction | SentenceReconstruction,
        *,
        reconstruction_weight: float,
    ) -> None:
        super().__init__()
        if not 0 <= reconstruction_weight < math.inf:
            raise ValueError(f"reconstruction_weight must be a number from 0 on, found {reconstruction_weight}")
        if isinstance(network, RecurrentClassifier) != isinstance(reconstruction, SentenceReconstruction):
            raise ValueError(f"a {type(reconstruction).__name__} can't write what a {type(network).__name__} reads")
        self.network = network
        self.reconstruction = reconstruction
        self.reconstruction_weight = reconstruction_weight

    def forward(self, batch: Batch) -> ModelOutput:
        """What the network gives: logits (batch, C) and features (batch, H), which are the code."""
        output: ModelOutput = self.network(batch)
        return output

    def losses(self, output: ModelOutput, batch: Batch) -> dict[str, torch.Tensor]:
        """The two losses by their names, and their weighted sum as "loss".

        The classification is left out where no item has a label, so that the head gets no gradient at all; the
        reconstruction where its weight is 0.
        """
        losses = {}
        if batch.num_labels():
            losses["classification"] = self.network.loss(output, batch)
        if self.reconstruction_weight > 0:
            losses["reconstruction"] = self.reconstruction.loss(output.features, batch)
        # Where neither is known the sum still hangs on the weights, since `train` goes back from it.
        total = losses.get("classification", 0.0 * output.logits.sum() if not losses else 0.0)
        if "reconstruction" in losses:
            total = total + self.reconstruction_weight * losses["reconstruction"]
        return {**losses, "loss": torch.as_tensor(total)}

    def loss(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """The weighted sum of both losses."""
        return self.losses(output, batch)["loss"]

    def decode(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """Class ids, (batch,)."""
        return self.network.decode(output, batch)
