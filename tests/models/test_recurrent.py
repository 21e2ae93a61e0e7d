"""The encoder equals torch's packed sequences, and padding never reaches a real token."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nlptransfer.models.recurrent import CellType, RecurrentEncoder, reorder, reversal

CELLS: list[CellType] = ["rnn", "gru", "lstm"]
LENGTHS = [3, 7, 1, 5]


def make_mask(lengths: list[int], time: int | None = None) -> torch.Tensor:
    return torch.arange(time or max(lengths)) < torch.tensor(lengths)[:, None]


def make_packed_twin(encoder: RecurrentEncoder, cell: CellType, num_layers: int, bidirectional: bool) -> nn.RNNBase:
    """torch's own stacked module with the same weights."""
    first = encoder.directions[0]
    twin = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell](
        first.input_size, first.hidden_size, num_layers=num_layers, bidirectional=bidirectional, batch_first=True
    )
    names = ["weight_ih_l{}", "weight_hh_l{}", "bias_ih_l{}", "bias_hh_l{}"]
    with torch.no_grad():
        for number, direction in enumerate(encoder.directions):
            layer, backward = divmod(number, encoder.num_directions)
            for name in names:
                ours = getattr(direction, name.format(0))
                getattr(twin, name.format(layer) + ("_reverse" if backward else "")).copy_(ours)
    return twin


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_equals_packed_sequences_and_so_do_its_gradients(cell: CellType, num_layers: int, bidirectional: bool) -> None:
    torch.manual_seed(0)
    encoder = RecurrentEncoder(4, 3, cell=cell, num_layers=num_layers, bidirectional=bidirectional)
    twin = make_packed_twin(encoder, cell, num_layers, bidirectional)
    mask = make_mask(LENGTHS)
    inputs = torch.randn(4, 7, 4, requires_grad=True)
    twin_inputs = inputs.detach().clone().requires_grad_()

    ours = encoder(inputs, mask)
    packed = pack_padded_sequence(twin_inputs, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    theirs, _ = pad_packed_sequence(twin(packed)[0], batch_first=True)
    torch.testing.assert_close(ours[mask], theirs[mask])
    assert ours.shape == (4, 7, encoder.output_dim) and encoder.output_dim == theirs.shape[-1]

    weights = torch.randn_like(ours)[mask]
    (ours[mask] * weights).sum().backward()
    (theirs[mask] * weights).sum().backward()
    torch.testing.assert_close(inputs.grad, twin_inputs.grad)
    for name, parameter in encoder.directions[-1].named_parameters():
        suffix = "_reverse" if bidirectional else ""
        twin_name = name.replace("_l0", f"_l{num_layers - 1}{suffix}")
        torch.testing.assert_close(parameter.grad, getattr(twin, twin_name).grad)


@pytest.mark.parametrize("cell", CELLS)
def test_a_sentence_reads_the_same_alone_in_another_batch_and_with_more_padding(cell: CellType) -> None:
    torch.manual_seed(0)
    encoder = RecurrentEncoder(4, 3, cell=cell, num_layers=2)
    sentence = torch.randn(1, 5, 4)
    alone = encoder(sentence, make_mask([5]))[0]

    mask = make_mask([2, 5, 9], time=12)
    crowd = torch.full((3, 12, 4), 1e3)  # padding that would be seen at once if it were read
    crowd[mask] = torch.randn(int(mask.sum()), 4)
    crowd[1, :5] = sentence
    torch.testing.assert_close(encoder(crowd, mask)[1, :5], alone)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_padding_gets_no_gradient(num_layers: int) -> None:
    torch.manual_seed(0)
    encoder = RecurrentEncoder(4, 3, num_layers=num_layers)
    mask = make_mask(LENGTHS, time=9)
    inputs = torch.randn(4, 9, 4, requires_grad=True)
    encoder(inputs, mask)[mask].sum().backward()
    assert inputs.grad is not None
    assert (inputs.grad[~mask] == 0).all()
    assert (inputs.grad[mask].abs().sum(dim=-1) > 0).all()


def test_the_first_word_hears_the_last_and_the_last_hears_the_first() -> None:
    torch.manual_seed(0)
    encoder = RecurrentEncoder(2, 3)
    inputs = torch.randn(1, 6, 2, requires_grad=True)
    states = encoder(inputs, make_mask([6]))
    forward, backward = states[0, :, :3], states[0, :, 3:]
    (heard_left,) = torch.autograd.grad(forward[2].sum(), inputs, retain_graph=True)
    (heard_right,) = torch.autograd.grad(backward[2].sum(), inputs)
    assert [bool(row.any()) for row in heard_left[0]] == [True, True, True, False, False, False]
    assert [bool(row.any()) for row in heard_right[0]] == [False, False, True, True, True, True]


def test_reversing_once_turns_each_sentence_round_and_leaves_its_padding() -> None:
    features = torch.tensor([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8], [9, 0, 0, 0, 0]])[..., None]
    turned = reorder(features, reversal(features[..., 0] != 0))
    assert turned[..., 0].tolist() == [[3, 2, 1, 0, 0], [8, 7, 6, 5, 4], [9, 0, 0, 0, 0]]


def test_reversing_twice_is_identity_and_once_is_not() -> None:
    torch.manual_seed(0)
    features = torch.randn(5, 8, 3)
    order = reversal(make_mask([8, 1, 5, 2, 0], time=8))
    assert torch.equal(reorder(reorder(features, order), order), features)
    assert not torch.equal(reorder(features, order), features)


def test_dropout_falls_between_layers_only_and_only_in_training() -> None:
    torch.manual_seed(0)
    inputs, mask = torch.randn(2, 4, 3), make_mask([4, 2])
    one = RecurrentEncoder(3, 5, num_layers=1, dropout=0.9)
    assert torch.equal(one(inputs, mask), one(inputs, mask))
    two = RecurrentEncoder(3, 5, num_layers=2, dropout=0.9)
    assert not torch.equal(two(inputs, mask), two(inputs, mask))
    two.eval()
    assert torch.equal(two(inputs, mask), two(inputs, mask))


def test_an_unknown_cell_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"rnn, gru, lstm; found 'LSTM'"):
        RecurrentEncoder(3, 2, cell="LSTM")  # type: ignore[arg-type]
