"""Outputs at different depths of a small network on dense inputs, each with a loss of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from nlptransfer.data.feature_batches import FeatureBatches
from nlptransfer.errors import InputError
from nlptransfer.models.saving import read_config, read_tensors, write_model_folder
from nlptransfer.multitask.tasks import RESERVED_NAMES
from nlptransfer.types import Batch


class DenseOutputsAtDepths(nn.Module):
    r"""A stack of dense layers, with numbers read off at the layers where they are wanted.

    .. math:: h_0 = x, \qquad h_l = \tanh(W_l h_{l-1} + b_l), \qquad \hat y_k = V_k h_{l(k)} + c_k

    An output at a low layer shapes the layers below it, and all higher outputs build on these; layers above it are none
    of its business. With d_0 inputs, layers of d_1, d_2, ... units and an output k of m_k numbers, there are
    :math:`\sum_l (d_{l-1} + 1)\, d_l + \sum_k (d_{l(k)} + 1)\, m_k` parameters. They are drawn from torch's global
    generator: make it within `seeded`.

    Args:
        input_dim: d_0, numbers per item.
        layer_dims: d_1, d_2, ...: units of each layer.
        outputs: output name -> l(k), the layer it is read off, counted from 1.
        output_dims: output name -> m_k, how many numbers it has; 1 for those that are not named.

    Raises:
        ValueError: sizes that are not 1 or more, no outputs or one with a name of `RESERVED_NAMES`, an output at a
            layer that there is not, numbers for an output that there is not, or layers above the highest output, which
            nothing would train.

    Reference:
        Sogaard & Goldberg 2016, tasks supervised at different layers, https://aclanthology.org/P16-2038, here for
        dense inputs and regression.

    Compare with:
        `HardSharing`, which does this for words and their labels.

    Example:
        >>> import numpy as np, torch
        >>> from nlptransfer.training.loop import train
        >>> from nlptransfer.training.seeding import seeded
        >>> with seeded(0):
        ...     model = DenseOutputsAtDepths(3, [8, 6, 4], {"first": 2, "second": 3})
        >>> sum(parameter.numel() for parameter in model.parameters())  # 32 + 54 + 28, and 7 + 5
        126
        >>> inputs = np.random.default_rng(0).normal(size=(200, 3))
        >>> labels = {"first": inputs[:, 0] * inputs[:, 1], "second": np.sin(inputs).sum(axis=1)}
        >>> batches = LabelledRows(model, inputs, labels, batch_size=20, seed=0)
        >>> history = train(model, make_dense_step({"first": 1.0, "second": 0.5}), batches,
        ...                 torch.optim.Adam(model.parameters(), 0.01), epochs=3, seed=0)
        >>> model.predict(inputs[:5])["second"].shape
        (5, 1)
    """

    def __init__(
        self,
        input_dim: int,
        layer_dims: Sequence[int],
        outputs: Mapping[str, int],
        *,
        output_dims: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        dims = dict(output_dims or {})
        if min([input_dim, *layer_dims, *dims.values()]) < 1:
            raise ValueError(f"sizes must be 1 or more, found {[input_dim, *layer_dims, *dims.values()]}")
        if not outputs or set(outputs) & set(RESERVED_NAMES):
            raise ValueError(f"expected outputs called neither {', nor '.join(RESERVED_NAMES)}; found {list(outputs)}")
        if wrong := {name: layer for name, layer in outputs.items() if not 1 <= layer <= len(layer_dims)}:
            raise ValueError(f"there are the layers 1 to {len(layer_dims)}, and outputs at others: {wrong}")
        if strange := set(dims) - set(outputs):
            raise ValueError(f"there are sizes of outputs that there are not: {', '.join(sorted(strange))}")
        if max(outputs.values()) < len(layer_dims):
            raise ValueError(
                f"no output is read off above layer {max(outputs.values())}, so nothing trains the layers up to "
                f"{len(layer_dims)}; leave them out"
            )
        self.input_dim = input_dim
        self.layer_dims = list(layer_dims)
        self.outputs = dict(outputs)
        self.output_dims = {name: dims.get(name, 1) for name in outputs}
        sizes = [input_dim, *layer_dims]
        self.layers = nn.ModuleList(nn.Linear(size, sizes[at + 1]) for at, size in enumerate(sizes[:-1]))
        # A list, since a module's children can't have every name that an output may.
        self.heads = nn.ModuleList(nn.Linear(sizes[layer], self.output_dims[name]) for name, layer in outputs.items())

    def forward(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """What is predicted for each output, (batch, m_k), for inputs (batch, d_0)."""
        states = [inputs]
        for layer in self.layers:
            states.append(layer(states[-1]).tanh())
        heads = zip(self.outputs.items(), self.heads, strict=True)
        return {name: head(states[layer]) for (name, layer), head in heads}

    def losses(self, predicted: Mapping[str, torch.Tensor], labels: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        r"""Each output's mean squared error over the labels that are there.

        .. math:: L_k = \frac{1}{n_k} \sum_{i, j : y_{kij} \text{ known}} (\hat y_{kij} - y_{kij})^2

        Args:
            predicted: output name -> (batch, m_k).
            labels: output name -> (batch, m_k), NaN where there is none.

        Returns:
            Output name -> a scalar. An output of which no label is known is left out, so that its head and the layers
            that it alone uses get no gradient at all, which weight decay or momentum would turn into a step.
        """
        found = {}
        for name, values in labels.items():
            known = ~values.isnan()
            if bool(known.any()):
                # Not multiplied by 0: the gradient of a NaN times 0 is NaN.
                errors = torch.where(known, predicted[name] - values, 0.0).square()
                found[name] = errors.sum() / known.sum()
        return found

    @torch.no_grad()
    def predict(self, inputs: ArrayLike) -> dict[str, np.ndarray]:
        """The predictions for each output, (N, m_k) float32.

        Args:
            inputs: (N, d_0).

        Raises:
            InputError: the rows have another length.
        """
        rows = _as_rows(inputs, self.input_dim)
        device = next(self.parameters()).device
        predicted = self(torch.from_numpy(rows).to(device))
        return {name: values.cpu().numpy() for name, values in predicted.items()}

    def save_pretrained(self, folder: str | Path, *, card: str = "") -> None:
        """Write the network as safetensors and JSON, whole or not at all.

        Args:
            folder: where; an older model there is replaced.
            card: the model card, in Markdown.

        Raises:
            OSError: the folder can't be written, or the disk is full.
        """
        write_model_folder(
            folder,
            model_type="dense_outputs_at_depths",
            config={
                "input_dim": self.input_dim,
                "layer_dims": self.layer_dims,
                # A list, since the order of the outputs is that of the heads.
                "outputs": [[name, layer, self.output_dims[name]] for name, layer in self.outputs.items()],
            },
            tensors={"model": {name: tensor.cpu() for name, tensor in self.state_dict().items()}},
            documents={},
            card=card or f"# A network with the outputs {', '.join(self.outputs)}\n",
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> DenseOutputsAtDepths:
        """Read what `save_pretrained` wrote; ready to predict, on the CPU.

        Raises:
            InputError: a file is missing, altered, or does not fit the others.
        """
        config = read_config(folder)
        model = cls(
            config["input_dim"],
            config["layer_dims"],
            {name: layer for name, layer, _ in config["outputs"]},
            output_dims={name: dim for name, _, dim in config["outputs"]},
        )
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


class LabelledRows:
    """Batches of dense rows with the labels of several outputs, for `DenseOutputsAtDepths`.

    `Batch.values` are the rows, and `Batch.labels` the numbers of all outputs side by side, in the model's order.

    Args:
        model: whose outputs the labels are of.
        inputs: (N, d_0).
        labels: output name -> (N, m_k), or (N,) where m_k is 1; NaN where there is none. An output that is not named
            has none at all.
        batch_size: rows per batch, at most.
        seed: shuffles; None keeps the rows in their order.

    Raises:
        InputError: an input is not finite, rows or labels of another shape, or an output that the model has not.
        ValueError: no room in a batch.

    Example:
        >>> LabelledRows(model, inputs, {"first": numbers}, batch_size=32, seed=0)
    """

    def __init__(
        self,
        model: DenseOutputsAtDepths,
        inputs: ArrayLike,
        labels: Mapping[str, ArrayLike],
        *,
        batch_size: int,
        seed: int | None = None,
    ) -> None:
        rows = _as_rows(inputs, model.input_dim)
        if unknown := sorted(set(labels) - set(model.outputs)):
            raise InputError("the model has no such output", expected=" or ".join(model.outputs), found=unknown[0])
        columns = []
        for name, dim in model.output_dims.items():
            values = np.asarray(labels.get(name, np.full((len(rows), dim), np.nan)), dtype=np.float32)
            if values.shape != (len(rows), dim) and (values.shape, dim) != ((len(rows),), 1):
                raise InputError(
                    f"the labels of the output {name} do not go with the inputs",
                    expected=f"an array of shape ({len(rows)}, {dim})",
                    found=str(values.shape),
                )
            columns.append(values.reshape(len(rows), dim))
        self.labels = np.concatenate(columns, axis=1)
        self._rows = FeatureBatches(rows, None, batch_size=batch_size, seed=seed)

    def set_epoch(self, epoch: int) -> None:
        """Order the rows for `epoch`."""
        self._rows.set_epoch(epoch)

    def __len__(self) -> int:
        """The number of batches."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Batch]:
        for numbers, batch in self._rows.groups():
            yield replace(batch, labels=torch.from_numpy(self.labels[numbers]))


def make_dense_step(
    weights: Mapping[str, float] | None = None,
) -> Callable[[DenseOutputsAtDepths, Batch, float], dict[str, torch.Tensor]]:
    r"""A step that trains all outputs at once: :math:`L = \sum_k w_k L_k`.

    Args:
        weights: output name -> w_k, 0 or more; 1 for those that are not named.

    Returns:
        A step for `train` over `LabelledRows`, with each output's loss by its name, and "loss".

    Raises:
        ValueError: a weight that is negative or no number; from the step, a weight of an output that there is not.

    Example:
        >>> train(model, make_dense_step({"second": 0.5}), batches, optimizer, epochs=100, seed=0)
    """
    weights = dict(weights or {})
    if not all(0 <= weight < math.inf for weight in weights.values()):
        raise ValueError(f"the weights of losses are numbers from 0 on; found {weights}")

    def step(model: DenseOutputsAtDepths, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        if strange := set(weights) - set(model.outputs):
            raise ValueError(f"there are weights of outputs that there are not: {', '.join(sorted(strange))}")
        assert batch.values is not None and batch.labels is not None, "LabelledRows have both"
        predicted = model(batch.values)
        labels = batch.labels.split(list(model.output_dims.values()), dim=1)
        losses = model.losses(predicted, dict(zip(model.outputs, labels, strict=True)))
        # Where nothing is known the sum still hangs on the weights, since `train` goes back from it.
        weighted = [weights.get(name, 1.0) * loss for name, loss in losses.items()]
        weighted = weighted or [0.0 * values.sum() for values in predicted.values()]
        return {**losses, "loss": torch.stack(weighted).sum()}

    return step


def _as_rows(inputs: ArrayLike, input_dim: int) -> np.ndarray:
    rows = np.asarray(inputs, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != input_dim:
        raise InputError(
            "the inputs do not fit the network",
            expected=f"rows of {input_dim} numbers, an array of shape (N, {input_dim})",
            found=f"an array of shape {rows.shape}",
        )
    if not np.isfinite(rows).all():
        row = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise InputError(
            f"the input in row {row + 1} is not finite",
            expected="numbers; only labels may be missing",
            found=str(rows[row].tolist()),
        )
    return rows
