"""Stacked denoising autoencoders (SDA): a representation of two domains, trained layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn
from torch.nn import functional

from nlptransfer.adaptation.feature_arrays import FeatureArray, check_domain, check_features, stack_domains
from nlptransfer.adaptation.inverse_document_frequency import document_frequencies, inverse_document_frequencies
from nlptransfer.data.feature_batches import FeatureBatches
from nlptransfer.embeddings.feature_layers import FeatureLayer, FeatureLayers, scale_to_largest
from nlptransfer.errors import InputError
from nlptransfer.models.noise import Noise, corrupt_batch
from nlptransfer.models.sampled_reconstruction import ReconstructionKind, reconstruction_loss, sample_columns
from nlptransfer.training.loop import train
from nlptransfer.training.seeding import seeded
from nlptransfer.types import Batch

if TYPE_CHECKING:
    from accelerate import Accelerator

Units = Literal["relu", "softplus", "tanh", "sigmoid"]

_UNITS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": functional.relu,
    "softplus": functional.softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
_FIRST_BIAS = {"relu": 0.0, "softplus": -2.0, "tanh": 0.0, "sigmoid": -2.0}
"""Units that are never 0 begin almost so: else their constant sum moves every reconstruction at every step."""
_BLOCK_ROWS = 1_000


class DenoisingAutoencoder(nn.Module):
    r"""One layer that codes a row, and gives the row back from the code.

    .. math:: h = \phi(x W + b), \qquad z = h V^\top + c

    Tied weights are V = W. Its weights are drawn from torch's global generator (as in Glorot & Bengio 2010, equation
    16): make it within `seeded`.

    Args:
        num_features: D.
        hidden_dim: H.
        activation: :math:`\phi`, "relu", "softplus", "tanh" or "sigmoid".
        tied: whether V is W, rather than weights of its own, which begin as W does.
        decoder_bias: (D,) what c begins with.
        input_scale: what the rows were multiplied by before they came here.
    """

    def __init__(
        self,
        num_features: int,
        hidden_dim: int,
        *,
        activation: Units,
        tied: bool,
        decoder_bias: torch.Tensor,
        input_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.input_scale = input_scale
        self.num_features = num_features
        self.activation = activation
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_features, hidden_dim)))
        self.bias = nn.Parameter(torch.full((hidden_dim,), _FIRST_BIAS[activation]))
        self.own_decoder = None if tied else nn.Parameter(self.weight.detach().clone())
        self.decoder_bias = nn.Parameter(decoder_bias.to(torch.float32).clone())

    @property
    def decoder_weight(self) -> torch.Tensor:
        """V, (D, H)."""
        return self.weight if self.own_decoder is None else self.own_decoder

    def forward(self, batch: Batch) -> torch.Tensor:
        """The codes, (batch, H)."""
        return self._encode(batch, None, self.weight)

    def loss(
        self,
        clean: Batch,
        corrupted: Batch,
        *,
        num_sampled: int,
        kind: ReconstructionKind,
        deeper: Iterable[DenoisingAutoencoder] = (),
    ) -> torch.Tensor:
        """What it costs to reconstruct the clean rows from the corrupted ones, which list the same features.

        It is what `sampled_reconstruction_loss` gives for the corrupted rows' codes. But of tied weights the chosen
        columns are read once for both directions, and their gradient is written once.

        Args:
            clean: rows with values.
            corrupted: the same rows with other values.
            num_sampled: see `sample_columns`.
            kind: "squared" or "cross_entropy".
            deeper: autoencoders of the codes, each of those of the one before: they are gone through, and back.

        Returns:
            A scalar: summed over D, averaged over the batch.
        """
        columns, weights, values = sample_columns(clean, self.num_features, num_sampled=num_sampled)
        chosen = None if len(columns) == self.num_features else columns
        weight = _rows_of(self.weight, chosen)
        codes = self._encode(corrupted, chosen, weight)
        passed = list(deeper)
        for layer in passed:
            codes = layer.encode_dense(codes * layer.input_scale)
        for layer in reversed(passed):
            codes = functional.linear(codes, layer.decoder_weight, layer.decoder_bias) / layer.input_scale
        decoder = weight if self.own_decoder is None else _rows_of(self.own_decoder, chosen)
        reconstructed = functional.linear(codes, decoder, _rows_of(self.decoder_bias, chosen))
        return reconstruction_loss(reconstructed, values, weights, kind=kind)

    def encode_dense(self, values: torch.Tensor) -> torch.Tensor:
        """(N, D) -> the codes, (N, H)."""
        return _UNITS[self.activation](values @ self.weight + self.bias)

    def _encode(self, batch: Batch, columns: torch.Tensor | None, weight: torch.Tensor) -> torch.Tensor:
        """The codes, from the rows of W of `columns`, ascending, or from all of W."""
        assert batch.values is not None, "an autoencoder reads values"
        if batch.values.shape[1] == self.num_features and bool(batch.mask.all()):
            weighed = batch.values @ weight  # a row that lists all features
        else:
            listed = batch.mask & (batch.values != 0)  # what was masked costs nothing
            ids, lengths = batch.input_ids[listed], listed.sum(dim=1)
            weighed = functional.embedding_bag(
                ids if columns is None else torch.searchsorted(columns, ids),
                weight,
                lengths.cumsum(dim=0) - lengths,
                mode="sum",
                per_sample_weights=batch.values[listed],
            )
        return _UNITS[self.activation](weighed + self.bias)


class StackedDenoising(BaseEstimator):
    r"""Layers of units that learn to give back what noise took away, each trained on the codes of the one before.

    .. math::
        h_l = \phi(h_{l-1} W_l + b_l), \qquad z = \phi(\tilde h_{l-1} W_l + b_l) V_l^\top + c_l, \qquad h_0 = x

    with :math:`\tilde h` the corrupted input, and z what is compared with the clean one. A word that is often taken
    away must be told from the words beside it, so that units learn which words of the two domains stand for the same.
    The first layer reads a row divided by its largest entry. The representation is x (unless `keep_input` is off),
    weighted by its inverse document frequencies in the rows of the fit, and every h side by side, each row of each
    scaled to the same length and all together to length 1; see `FeatureLayers`. A feature that no row of the fit has
    says nothing: its weights are set to 0.

    The first layer tells by default *whether* a feature is there (cross-entropy), and reads its value; deeper ones give
    back the codes (squared error). The first reconstruction is sampled, see `sampled_reconstruction_loss`, so that wide
    input stays affordable: on one core, with 500 units, a step takes 15 ms at D = 5,000, 65 ms at 30,000 and 160 ms at
    100,000. Codes are scaled to a mean square of 1 before a deeper layer reads them.

    The defaults were chosen on three pairs, from Amazon's reviews to film reviews, to single sentences and to lists of
    pros and cons, with 5,000 words and a logistic regression.

    Args:
        hidden_dims: H of each layer.
        activation: :math:`\phi`, "relu", "softplus", "tanh" or "sigmoid".
        noise: "masking", "gaussian" or "salt_and_pepper"; see `corrupt_batch` for what it does to sparse rows.
        corruption: of the first layer's input: the probability that a value is changed, or the standard deviation of
            Gaussian noise.
        deeper_corruption: of the other layers' inputs.
        reconstruction: of the first layer, "cross_entropy" or "squared"; features below 0 need the latter.
        tied: whether V = W.
        epochs: passes over the rows for each layer.
        joint_epochs: further passes, in which all layers together give x back from corrupted x; after them a deeper
            layer need no more give back the codes that it reads.
        batch_size: rows per step.
        learning_rate: of Adam.
        num_sampled: features per step that no row of the batch has, of which the first layer tells that they are not
            there.
        keep_input: whether x is part of the representation.
        seed: of weights, batches, noise and samples.

    Attributes:
        layers_: a `FeatureLayers`, which applies and keeps the representation.
        autoencoders_: the trained layers, each a `DenoisingAutoencoder`.
        history_: the training's rows, one per epoch, with the number of the layer, or "joint".
        facts_: what the fit reports of itself.
        n_features_in_: D.

    Raises:
        InputError: a setting is out of range; there are no rows, or no feature is ever used.

    Reference:
        Vincent et al. 2010, Stacked Denoising Autoencoders, JMLR 11, sections 3 and 4,
        https://jmlr.org/papers/v11/vincent10a.html; for domain adaptation Glorot, Bordes and Bengio 2011, ICML,
        section 3, https://icml.cc/2011/papers/342_icmlpaper.pdf.

    Compare with:
        `MarginalizedDenoising`, which is solved in closed form, with linear reconstructions and masking noise alone,
        and has nothing to choose but the noise; its codes are as wide as the input.

    Example:
        >>> sda = StackedDenoising(seed=0).fit(source_features, target_features=target_features)
        >>> classifier.fit(sda.transform(source_features), labels).predict(sda.transform(test_features))
    """

    def __init__(
        self,
        *,
        hidden_dims: Sequence[int] = (500,),
        activation: Units = "relu",
        noise: Noise = "masking",
        corruption: float = 0.8,
        deeper_corruption: float = 0.5,
        reconstruction: ReconstructionKind = "cross_entropy",
        tied: bool = True,
        epochs: int = 15,
        joint_epochs: int = 0,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        num_sampled: int = 500,
        keep_input: bool = True,
        seed: int = 0,
    ) -> None:
        self.hidden_dims = hidden_dims
        self.activation = activation
        self.noise = noise
        self.corruption = corruption
        self.deeper_corruption = deeper_corruption
        self.reconstruction = reconstruction
        self.tied = tied
        self.epochs = epochs
        self.joint_epochs = joint_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.num_sampled = num_sampled
        self.keep_input = keep_input
        self.seed = seed

    def fit(
        self,
        features: FeatureArray,
        labels: np.ndarray | None = None,
        *,
        target_features: FeatureArray | None = None,
        source_unlabelled: FeatureArray | None = None,
        accelerator: Accelerator | None = None,
    ) -> StackedDenoising:
        """Train every layer on the rows of both domains.

        Args:
            features: (N, D) source rows, dense or sparse.
            labels: not used.
            target_features: (M, D) target rows; None for the control that sees none.
            source_unlabelled: (K, D) further source rows, or None.
            accelerator: device and precision; see `train`.
        """
        self._fit(stack_domains(features, target_features, source_unlabelled), accelerator)
        return self

    def fit_transform(
        self,
        features: FeatureArray,
        labels: np.ndarray | None = None,
        *,
        target_features: FeatureArray | None = None,
        source_unlabelled: FeatureArray | None = None,
        accelerator: Accelerator | None = None,
    ) -> np.ndarray:
        """`fit`, and the representation of all rows.

        Args:
            features: (N, D) source rows, dense or sparse.
            labels: not used.
            target_features: (M, D) target rows, or None.
            source_unlabelled: (K, D) further source rows, or None.
            accelerator: device and precision; see `train`.

        Returns:
            (N + M + K, dim) float32: the source, then the target, then the further source rows.
        """
        rows = stack_domains(features, target_features, source_unlabelled)
        self._fit(rows, accelerator)
        return self.layers_.transform(rows)

    def transform(self, features: FeatureArray, *, domain: str = "target") -> np.ndarray:
        """Represent rows; both domains' alike.

        Args:
            features: (N, D), dense or sparse.
            domain: "source" or "target".

        Returns:
            (N, dim) float32, dense.
        """
        check_domain(domain)
        rows = check_features(features, f"{domain} features", num_columns=self.n_features_in_)
        return self.layers_.transform(rows)

    def influences(self, columns: np.ndarray) -> np.ndarray:
        r"""By how much each feature adds to the first layer's reconstruction of some, on average over the fit's rows.

        .. math:: \frac{\partial z_f}{\partial x} = V_f \operatorname{diag}(\phi'(x W + b))\, W^\top

        With the cross-entropy z are log odds of the feature's being there.

        Args:
            columns: (F,) of the features that are reconstructed.

        Returns:
            (F, D) float32: the mean of that derivative, so that row f holds what one unit of each feature, in a row
            whose largest is 1, adds to the reconstruction of `columns[f]`.
        """
        first = self.autoencoders_[0]
        with torch.no_grad():
            decoder = first.decoder_weight[torch.as_tensor(np.asarray(columns))] * torch.from_numpy(self.slopes_)
            result: np.ndarray = (decoder @ first.weight.T).numpy()
        return result

    def reconstruction_errors(self, features: FeatureArray, *, seed: int) -> list[float]:
        r"""By layer, the squared error of reconstructing its clean input from a corrupted one.

        .. math:: \frac{\sum_i \lVert x_i - \hat x_i \rVert^2}{\sum_i \lVert x_i - \bar x \rVert^2}

        with :math:`\bar x` the mean of `features` at that layer: 1 where nothing was learnt, 0 where all comes back.
        With the cross-entropy x is 1 where a feature is there, and :math:`\hat x` the probability that it is.

        Args:
            features: (N, D) rows, best ones that were not learnt from.
            seed: of the corruption.
        """
        rows = scale_to_largest(check_features(features, "features", num_columns=self.n_features_in_))
        generator = torch.Generator().manual_seed(seed)
        errors = []
        for number, autoencoder in enumerate(self.autoencoders_):
            kind, corruption = self._task(number)
            inputs = rows * np.float32(autoencoder.input_scale)
            mean = torch.from_numpy(_column_means(inputs > 0 if kind == "cross_entropy" else inputs))
            error = spread = 0.0
            for batch in FeatureBatches(inputs, None, batch_size=_BLOCK_ROWS):
                _, _, wanted = sample_columns(_clean(batch, kind), len(mean), num_sampled=len(mean))
                with torch.no_grad():
                    codes = autoencoder(corrupt_batch(batch, self.noise, corruption, generator))
                    answer = functional.linear(codes, autoencoder.decoder_weight, autoencoder.decoder_bias)
                    if kind == "cross_entropy":
                        answer = answer.sigmoid()
                    error += float((wanted - answer).square().sum(dtype=torch.float64))
                    spread += float((wanted - mean).square().sum(dtype=torch.float64))
            errors.append(error / max(spread, 1e-30))
            rows = self.layers_.layers[number].apply(rows)
        return errors

    def _fit(self, given: Any, accelerator: Accelerator | None) -> None:
        self._check_settings()
        rows = scale_to_largest(given)
        if self.reconstruction == "cross_entropy" and rows.min() < 0:
            raise InputError(
                "features below 0 can't be reconstructed as there or not there",
                expected="values of 0 and above",
                found=f"{given.min():.4g}",
                remedy="Set reconstruction to squared.",
            )
        self.n_features_in_ = int(rows.shape[1])
        self.autoencoders_: list[DenoisingAutoencoder] = []
        self.history_: list[dict[str, Any]] = []
        seeds = np.random.default_rng(self.seed).integers(2**32, size=(len(self.hidden_dims) + 1, 2))
        codes = rows
        first_inputs: Any = None
        for number, hidden_dim in enumerate(self.hidden_dims):
            kind, _ = self._task(number)
            # Rows whose largest value is 1 need no more; codes may be of any size.
            scale = 1 / max(float(np.sqrt(np.square(codes).mean())), 1e-12) if number else 1.0
            inputs = codes * np.float32(scale)
            means = _column_means(inputs > 0 if kind == "cross_entropy" else inputs)
            if kind == "cross_entropy":
                least = 1 / (inputs.shape[0] + 1)
                odds = np.clip(means, least, 1 - least)
                means = np.log(odds / (1 - odds)).astype(np.float32)
            with seeded(int(seeds[number, 0])):
                autoencoder = DenoisingAutoencoder(
                    inputs.shape[1],
                    hidden_dim,
                    activation=self.activation,
                    tied=self.tied,
                    decoder_bias=torch.from_numpy(means),
                    input_scale=scale,
                )
            self._train([autoencoder], inputs, self.epochs, int(seeds[number, 1]), accelerator, number + 1)
            self.autoencoders_.append(autoencoder)
            first_inputs = inputs if number == 0 else first_inputs
            codes = _to_layer(autoencoder).apply(codes)
        if self.joint_epochs:
            self._train(self.autoencoders_, first_inputs, self.joint_epochs, int(seeds[-1, 1]), accelerator, "joint")
        with torch.no_grad():
            self.autoencoders_[0].weight[torch.from_numpy(_column_means(rows != 0) == 0)] = 0
        layers = [_to_layer(autoencoder) for autoencoder in self.autoencoders_]
        weights = inverse_document_frequencies(document_frequencies(rows), rows.shape[0])
        self.layers_ = FeatureLayers(layers, keep_input=self.keep_input, input_weights=weights)
        # How steep the first layer's units are on average.
        parts = (rows[start : start + _BLOCK_ROWS] for start in range(0, rows.shape[0], _BLOCK_ROWS))
        slopes = sum(_slopes(layers[0].apply(part), self.activation).sum(axis=0) for part in parts)
        self.slopes_ = (slopes / rows.shape[0]).astype(np.float32)
        self.facts_: dict[str, Any] = {"loss": [row["loss"] for row in self.history_]}

    def _task(self, number: int) -> tuple[ReconstructionKind, float]:
        """What the layer reconstructs, and from how corrupted an input."""
        return (self.reconstruction, self.corruption) if number == 0 else ("squared", self.deeper_corruption)

    def _train(
        self,
        autoencoders: Sequence[DenoisingAutoencoder],
        inputs: Any,
        epochs: int,
        seed: int,
        accelerator: Accelerator | None,
        name: int | str,
    ) -> None:
        kind, corruption = self._task(name - 1 if isinstance(name, int) else 0)

        def step(model: Any, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
            corrupted = corrupt_batch(batch, self.noise, corruption)
            loss = model[0].loss(
                _clean(batch, kind), corrupted, num_sampled=self.num_sampled, kind=kind, deeper=model[1:]
            )
            return {"loss": loss}

        model = nn.ModuleList(autoencoders)
        history = train(
            model,
            step,
            FeatureBatches(inputs, None, batch_size=self.batch_size, seed=seed),
            torch.optim.Adam(model.parameters(), self.learning_rate, fused=True),
            epochs=epochs,
            seed=seed,
            accelerator=accelerator,
            description=f"denoising, layer {name}",
        )
        model.cpu()
        self.history_ += [{"layer": name, **row} for row in history]

    def _check_settings(self) -> None:
        for name, value, allowed in (
            ("activation", self.activation, get_args(Units)),
            ("noise", self.noise, get_args(Noise)),
            ("reconstruction", self.reconstruction, get_args(ReconstructionKind)),
        ):
            if value not in allowed:
                raise InputError(f"unknown {name} of SDA", expected=", ".join(allowed), found=str(value))
        for name in ("corruption", "deeper_corruption"):
            strength = getattr(self, name)
            if not (strength >= 0 if self.noise == "gaussian" else 0 <= strength < 1):
                expected = "0 or more" if self.noise == "gaussian" else "from 0, and below 1"
                raise InputError(f"the {name} of SDA is out of range", expected=expected, found=str(strength))
        least_one = {name: getattr(self, name) for name in ("epochs", "batch_size", "num_sampled")}
        least_one |= {"hidden_dims": min(self.hidden_dims, default=0)}
        for name, number in least_one.items():
            if number < 1:
                raise InputError(f"{name} of SDA is out of range", expected="1 or more", found=str(getattr(self, name)))
        if self.joint_epochs < 0:
            raise InputError("joint_epochs of SDA is out of range", expected="0 or more", found=str(self.joint_epochs))
        if not self.learning_rate > 0:
            raise InputError("learning_rate of SDA is out of range", expected="above 0", found=str(self.learning_rate))


def _rows_of(parameter: torch.Tensor, columns: torch.Tensor | None) -> torch.Tensor:
    return parameter if columns is None else parameter.index_select(0, columns)


def _clean(batch: Batch, kind: ReconstructionKind) -> Batch:
    """What is to be reconstructed of a batch: its values, or where they are above 0."""
    assert batch.values is not None
    return batch if kind == "squared" else replace(batch, values=(batch.values > 0).to(batch.values.dtype))


def _column_means(rows: Any) -> np.ndarray:
    return np.asarray(rows.mean(axis=0), dtype=np.float32).ravel()


def _slopes(codes: np.ndarray, activation: Units) -> np.ndarray:
    """The unit's derivative where its result is `codes`."""
    if activation == "relu":
        return (codes > 0).astype(np.float32)
    if activation == "tanh":
        return 1 - np.square(codes)
    if activation == "sigmoid":
        return codes * (1 - codes)
    return -np.expm1(-codes)  # softplus


def _to_layer(autoencoder: DenoisingAutoencoder) -> FeatureLayer:
    """The encoder, for rows as they were before they were scaled."""
    weight = autoencoder.weight.detach().numpy() * np.float32(autoencoder.input_scale)
    return FeatureLayer(weight, autoencoder.bias.detach().numpy().copy(), autoencoder.activation)
