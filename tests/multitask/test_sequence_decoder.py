"""The decoder's formula in plain numpy, with and without attention; teacher forcing and searches agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nlptransfer.multitask.beam_search import END
from nlptransfer.multitask.sequence_decoder import SequenceDecoder, sequence_log_probability, sequence_loss
from nlptransfer.training.seeding import seeded
from nlptransfer.types import NO_LABEL

CODE, HIDDEN, STATES, SYMBOLS = 3, 4, 5, 3
MASK = torch.tensor([[True, True, True, True], [True, True, False, False]])
LABELS = torch.tensor([[2, 1, 3, END], [3, END, NO_LABEL, NO_LABEL]])


def make_decoder(attention: bool) -> SequenceDecoder:
    with seeded(0):
        decoder = SequenceDecoder(SYMBOLS, CODE, hidden_dim=HIDDEN, attention_dim=STATES if attention else None)
        for parameter in decoder.parameters():
            torch.nn.init.normal_(parameter, std=0.8)  # far from uniform
    return decoder.eval()


def make_inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, CODE, generator=generator), torch.randn(2, 4, STATES, generator=generator)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def slow_log_probabilities(decoder: SequenceDecoder, code: np.ndarray, states: np.ndarray, labels: list[int]) -> list:
    """One item and one symbol at a time, in float64."""
    weights = {name: tensor.double().numpy() for name, tensor in decoder.state_dict().items()}
    hidden = np.tanh(weights["first_state.weight"] @ code + weights["first_state.bias"])
    cell = weights["first_cell.weight"] @ code + weights["first_cell.bias"]
    before, found = END, []
    for symbol in labels:
        gates = weights["lstm.weight_ih_l0"] @ weights["embedding.weight"][before] + weights["lstm.bias_ih_l0"]
        gates = gates + weights["lstm.weight_hh_l0"] @ hidden + weights["lstm.bias_hh_l0"]
        entering, forgetting, new, showing = np.split(gates, 4)
        cell = sigmoid(forgetting) * cell + sigmoid(entering) * np.tanh(new)
        hidden = sigmoid(showing) * np.tanh(cell)
        seen = hidden
        if decoder.score is not None:
            shares = np.exp([hidden @ weights["score.weight"] @ state for state in states])
            context = (shares / shares.sum()) @ states
            seen = np.tanh(weights["combine.weight"] @ np.concatenate([context, hidden]))
        logits = weights["output.weight"] @ seen + weights["output.bias"]
        found.append(logits - np.log(np.exp(logits).sum()))
        before = symbol
    return found


@pytest.mark.parametrize("attention", [False, True])
def test_the_probabilities_are_the_formula_item_by_item_without_padding(attention: bool) -> None:
    decoder = make_decoder(attention)
    code, states = make_inputs()
    with torch.no_grad():
        logits = decoder(code, LABELS, states, MASK)
    scores, total = [], 0.0
    for item, (tokens, length) in enumerate([(4, 4), (2, 2)]):
        symbols = LABELS[item, :length].tolist()
        slow = slow_log_probabilities(
            decoder, code[item].double().numpy(), states[item, :tokens].double().numpy(), symbols
        )
        np.testing.assert_allclose(logits[item, :length].log_softmax(-1).numpy(), slow, atol=1e-5)
        scores.append(sum(row[symbol] for row, symbol in zip(slow, symbols, strict=True)))
        total -= scores[-1]
    assert sequence_log_probability(logits, LABELS).tolist() == pytest.approx(scores, abs=1e-5)
    assert float(sequence_loss(logits, LABELS)) == pytest.approx(total / 6, abs=1e-6)


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("width", [1, 3])
def test_the_score_of_a_search_is_the_probability_that_teacher_forcing_gives_the_sequence(
    attention: bool, width: int
) -> None:
    decoder = make_decoder(attention)
    code, states = make_inputs()
    found = decoder.search(code, torch.tensor([6, 4]), states, MASK, width=width)
    assert found.symbols.shape[:2] == (2, width)
    with torch.no_grad():
        for place in range(width):
            labels = found.symbols[:, place]
            forced = sequence_log_probability(decoder(code, labels, states, MASK), labels)
            assert found.scores[:, place].tolist() == pytest.approx(forced.tolist(), abs=1e-5)


@pytest.mark.parametrize("attention", [False, True])
def test_a_prediction_sees_the_symbols_before_it_alone(attention: bool) -> None:
    decoder = make_decoder(attention)
    code, states = make_inputs()
    other = LABELS.clone()
    other[0, 1] = 2
    with torch.no_grad():
        first, second = (decoder(code, labels, states, MASK)[0] for labels in (LABELS, other))
    assert torch.equal(first[:2], second[:2]) and not torch.allclose(first[2], second[2])


def test_attention_leaves_out_padding_and_without_it_the_states_are_not_read() -> None:
    code, states = make_inputs()
    changed = states.clone()
    changed[1, 2:] = 9.0
    with torch.no_grad():
        attending = make_decoder(True)
        assert torch.equal(attending(code, LABELS, states, MASK), attending(code, LABELS, changed, MASK))
        assert not torch.allclose(attending(code, LABELS, states, MASK), attending(code, LABELS, -states, MASK))
        item_without_words = torch.zeros_like(MASK)
        assert bool(attending(code, LABELS, states, item_without_words).isfinite().all())
        plain = make_decoder(False)
        assert torch.equal(plain(code, LABELS, states, MASK), plain(code, LABELS))


def test_a_sequence_that_is_not_known_counts_for_nothing() -> None:
    decoder = make_decoder(False)
    code, _ = make_inputs()
    unknown = LABELS.clone()
    unknown[0] = NO_LABEL
    with torch.no_grad():
        alone = sequence_loss(decoder(code[1:], LABELS[1:]), LABELS[1:])
        assert float(sequence_loss(decoder(code, unknown), unknown)) == pytest.approx(float(alone), abs=1e-6)
        nothing = torch.full_like(LABELS, NO_LABEL)
        assert float(sequence_loss(decoder(code, nothing), nothing)) == 0.0
