"""Outputs at two depths of a dense network: its formula, its size, that both are learnt, and what a gap moves."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nlptransfer
from nlptransfer.errors import InputError
from nlptransfer.models.saving import read_config, write_model_folder
from nlptransfer.multitask import dense_outputs
from nlptransfer.multitask.dense_outputs import DenseOutputsAtDepths, LabelledRows, make_dense_step
from nlptransfer.training.loop import train
from nlptransfer.training.seeding import seeded
from nlptransfer.types import Batch


def make_model(dims: tuple[int, ...] = (8, 6, 4), **more: Any) -> DenseOutputsAtDepths:
    with seeded(0):
        return DenseOutputsAtDepths(3, dims, {"first": 2, "second": 3}, **more)


def make_regression(number: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Two numbers of three inputs, neither of which a line gives; the second is made of the first."""
    random = np.random.default_rng(seed)
    inputs = random.uniform(-1, 1, (number, 3))
    first = inputs[:, 0] * inputs[:, 1] + 0.5 * np.sin(3 * inputs[:, 2])
    second = np.tanh(2 * first) - inputs[:, 1] ** 2
    noise = 0.02 * random.standard_normal((2, number))
    return inputs, {"first": first + noise[0], "second": second + noise[1]}


def r_squared(predicted: np.ndarray, values: np.ndarray) -> float:
    return 1 - float(np.square(predicted.ravel() - values).sum() / np.square(values - values.mean()).sum())


def only_batch(model: DenseOutputsAtDepths, inputs: Any, labels: Any) -> Batch:
    (batch,) = LabelledRows(model, inputs, labels, batch_size=len(inputs))
    return batch


def test_the_network_of_three_inputs_and_two_outputs_is_the_formula_and_has_its_126_parameters() -> None:
    model = make_model()
    # Layers of 3 -> 8 -> 6 -> 4, a number from the 6 units of the second and one from the 4 of the third.
    assert sum(parameter.numel() for parameter in model.parameters()) == (3 + 1) * 8 + (8 + 1) * 6 + (6 + 1) * 4 + 7 + 5
    assert sum(parameter.numel() for parameter in model.parameters()) == 126
    inputs, _ = make_regression(5, 0)
    weights = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    states = [inputs]
    for layer in range(3):
        states.append(np.tanh(states[-1] @ weights[f"layers.{layer}.weight"].T + weights[f"layers.{layer}.bias"]))
    predicted = model.predict(inputs)
    for number, (name, layer) in enumerate([("first", 2), ("second", 3)]):
        expected = states[layer] @ weights[f"heads.{number}.weight"].T + weights[f"heads.{number}.bias"]
        np.testing.assert_allclose(predicted[name], expected, atol=1e-6)


def test_other_sizes_have_the_parameters_of_the_formula() -> None:
    model = DenseOutputsAtDepths(5, [7, 2], {"low": 1, "high": 2, "both": 2}, output_dims={"low": 3, "both": 4})
    assert sum(p.numel() for p in model.parameters()) == 6 * 7 + 8 * 2 + 8 * 3 + 3 * 1 + 3 * 4
    assert {name: values.shape for name, values in model.predict(np.zeros((6, 5))).items()} == {
        "low": (6, 3),
        "high": (6, 1),
        "both": (6, 4),
    }


def test_both_outputs_are_learnt_where_a_line_learns_neither() -> None:
    inputs, labels = make_regression(400, 0)
    test_inputs, test_labels = make_regression(200, 1)
    model = make_model((16, 16, 8))
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    batches = LabelledRows(model, inputs, labels, batch_size=50, seed=0)
    train(model, make_dense_step(), batches, optimizer, epochs=100, seed=0, schedule=lambda progress: 1 - progress)
    predicted = model.predict(test_inputs)
    for name in ("first", "second"):
        line = np.linalg.lstsq(np.c_[inputs, np.ones(400)], labels[name], rcond=None)[0]
        assert r_squared(np.c_[test_inputs, np.ones(200)] @ line, test_labels[name]) < 0.6
        assert r_squared(predicted[name], test_labels[name]) > 0.95


def test_the_loss_is_the_weighted_sum_of_the_outputs_means_over_the_labels_that_are_there() -> None:
    model = make_model(output_dims={"second": 2})
    inputs = np.array([[0.1, 0.2, 0.3], [1.0, -1.0, 0.5], [0.0, 0.4, -0.7]])
    labels = {"first": [1.0, np.nan, 2.0], "second": [[0.5, np.nan], [np.nan, np.nan], [1.5, -1.0]]}
    losses = make_dense_step({"second": 0.25})(model, only_batch(model, inputs, labels), 0.0)
    predicted = model.predict(inputs)
    first = ((predicted["first"][0, 0] - 1) ** 2 + (predicted["first"][2, 0] - 2) ** 2) / 2
    second = (predicted["second"][0, 0] - 0.5) ** 2 + (predicted["second"][2, 0] - 1.5) ** 2
    second = (second + (predicted["second"][2, 1] + 1) ** 2) / 3
    assert {name: float(loss.detach()) for name, loss in losses.items()} == pytest.approx(
        {"first": first, "second": second, "loss": first + 0.25 * second}, rel=1e-5
    )


def test_an_output_without_labels_moves_neither_its_head_nor_the_layer_that_it_alone_uses() -> None:
    model = make_model()
    inputs, labels = make_regression(10, 0)
    optimizer = torch.optim.AdamW(model.parameters(), 0.1, weight_decay=0.5)
    nothing = np.full(10, np.nan)

    def update(own: dict[str, Any]) -> set[str]:
        """What one step of the optimizer moves: layers and heads by their names."""
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        optimizer.zero_grad()
        make_dense_step()(model, only_batch(model, inputs, own), 0.0)["loss"].backward()
        optimizer.step()
        assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())
        changed = (name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name]))
        return {name.rsplit(".", 1)[0] for name in changed}

    lower, everything = {"layers.0", "layers.1"}, {"layers.0", "layers.1", "layers.2", "heads.0", "heads.1"}
    assert update(labels) == everything  # and the optimizer has momentum for all of it
    for without_second in ({"first": labels["first"]}, {**labels, "second": nothing}):
        assert update(without_second) == lower | {"heads.0"}
    assert update({**labels, "first": nothing}) == lower | {"layers.2", "heads.1"}


def test_an_item_without_a_label_counts_for_nothing_in_that_output_alone() -> None:
    model = make_model()
    inputs, labels = make_regression(6, 0)
    gap = {**labels, "second": np.array([np.nan, *labels["second"][1:]])}

    def gradients(rows: Any, own: Any, output: str) -> list[torch.Tensor]:
        model.zero_grad()
        make_dense_step()(model, only_batch(model, rows, own), 0.0)[output].backward()
        return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in model.parameters()]

    rest = {name: values[1:] for name, values in labels.items()}
    for found, expected in zip(gradients(inputs, gap, "second"), gradients(inputs[1:], rest, "second"), strict=True):
        torch.testing.assert_close(found, expected)
    for found, expected in zip(gradients(inputs, gap, "first"), gradients(inputs, labels, "first"), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_batch_without_any_label_can_be_gone_through() -> None:
    model = make_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batches = LabelledRows(model, make_regression(4, 0)[0], {}, batch_size=4)
    history = train(model, make_dense_step(), batches, torch.optim.SGD(model.parameters(), 1.0), epochs=1, seed=0)
    assert history[0]["loss"] == 0.0
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_example_in_the_docstring_runs() -> None:
    (example,) = doctest.DocTestFinder(recurse=False).find(DenseOutputsAtDepths, globs={**vars(dense_outputs)})
    assert len(example.examples) > 5
    assert doctest.DocTestRunner().run(example).failed == 0


def test_a_saved_network_loads_as_it_was(tmp_path: Path) -> None:
    model = DenseOutputsAtDepths(2, [3, 4], {"z": 2, "a": 1}, output_dims={"a": 2})
    model.save_pretrained(tmp_path / "m")
    loaded = nlptransfer.load(tmp_path / "m")
    assert isinstance(loaded, DenseOutputsAtDepths) and loaded.outputs == {"z": 2, "a": 1}
    rows = np.random.default_rng(0).normal(size=(5, 2))
    found, expected = loaded.predict(rows), model.predict(rows)
    assert list(found) == ["z", "a"] and all(np.array_equal(found[name], expected[name]) for name in found)
    config = read_config(tmp_path / "m")
    write_model_folder(
        tmp_path / "m",
        model_type="dense_outputs_at_depths",
        config={"input_dim": 2, "layer_dims": [3, 5], "outputs": config["outputs"]},
        tensors={"model": model.state_dict()},
        documents={},
        card="",
    )
    with pytest.raises(InputError, match=r"model\.safetensors: the weights do not fit"):
        nlptransfer.load(tmp_path / "m")


@pytest.mark.parametrize(
    ("sizes", "outputs", "dims", "message"),
    [
        ((3, [4, 0]), {"a": 2}, None, r"1 or more, found \[3, 4, 0\]"),
        ((3, [4]), {}, None, "outputs called neither epoch"),
        ((3, [4]), {"loss": 1}, None, "found .*loss"),
        ((3, [4]), {"a": 1, "b": 2}, None, r"layers 1 to 1, and outputs at others: {'b': 2}"),
        ((3, [4]), {"a": 0}, None, r"{'a': 0}"),
        ((3, [4]), {"a": 1}, {"b": 2}, "outputs that there are not: b"),
        ((3, [4, 5, 6]), {"a": 1}, None, "nothing trains the layers up to 3"),
    ],
)
def test_networks_that_make_no_sense_are_refused(sizes: Any, outputs: Any, dims: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DenseOutputsAtDepths(*sizes, outputs, output_dims=dims)


def test_mistakes_in_the_data_are_named() -> None:
    model = make_model()
    with pytest.raises(InputError, match=r"rows of 3 numbers.*found an array of shape \(4, 2\)"):
        model.predict(np.zeros((4, 2)))
    with pytest.raises(InputError, match=r"input in row 2 is not finite.*only labels may be missing"):
        model.predict([[0, 0, 0], [0, np.nan, 0]])
    with pytest.raises(InputError, match=r"no such output. Expected first or second; found third"):
        LabelledRows(model, np.zeros((4, 3)), {"third": np.zeros(4)}, batch_size=2)
    with pytest.raises(InputError, match=r"output first do not go.*shape \(4, 1\); found \(3,\)"):
        LabelledRows(model, np.zeros((4, 3)), {"first": np.zeros(3)}, batch_size=2)
    with pytest.raises(ValueError, match="weights of losses are numbers from 0 on"):
        make_dense_step({"first": -1.0})
    with pytest.raises(ValueError, match="weights of outputs that there are not: third"):
        make_dense_step({"third": 1.0})(model, only_batch(model, np.zeros((2, 3)), {}), 0.0)
