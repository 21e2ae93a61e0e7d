"""Searching for the most likely sequence: against all sequences there are, against greedy search, and when it stops."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from nlptransfer.multitask.beam_search import END, Hypotheses, NextSymbols, State, beam_search, greedy_search
from nlptransfer.types import NO_LABEL

NUM_SYMBOLS, DIM = 4, 3  # END and three others


class TinyModel:
    """Probabilities that depend on all that was written, and differ from item to item by what the state begins with."""

    def __init__(self, seed: int, *, scale: float = 1.5) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.recurrent = torch.randn(DIM, DIM, generator=generator)
        self.embedding = torch.randn(NUM_SYMBOLS, DIM, generator=generator)
        self.output = scale * torch.randn(DIM, NUM_SYMBOLS, generator=generator)
        self.calls = 0

    def next_symbols(self, symbols: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        self.calls += 1
        hidden = (state[0] @ self.recurrent + self.embedding[symbols]).tanh()
        return (hidden @ self.output).log_softmax(dim=-1), (hidden,)

    def score(self, start: torch.Tensor, sequence: tuple[int, ...]) -> float:
        """One symbol at a time, in numpy."""
        hidden, before, total = start.double().numpy(), END, 0.0
        for symbol in sequence:
            hidden = np.tanh(hidden @ self.recurrent.double().numpy() + self.embedding[before].double().numpy())
            logits = hidden @ self.output.double().numpy()
            total += logits[symbol] - np.log(np.exp(logits).sum())
            before = symbol
        return total


def all_sequences(max_length: int) -> list[tuple[int, ...]]:
    """Those that end, and those that ran out of room."""
    inner = range(1, NUM_SYMBOLS)
    ended = [(*body, END) for length in range(max_length) for body in product(inner, repeat=length)]
    return ended + list(product(inner, repeat=max_length))


def make_start(num_items: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(num_items, 1, DIM, generator=torch.Generator().manual_seed(seed))


def rows(hypotheses: Hypotheses, item: int) -> list[tuple[int, ...]]:
    return [tuple(s for s in row if s != NO_LABEL) for row in hypotheses.symbols[item].tolist()]


def test_a_beam_as_wide_as_there_are_sequences_finds_all_of_them_in_the_order_of_their_probability() -> None:
    start, max_lengths = make_start(2), torch.tensor([3, 2])
    model = TinyModel(1)
    number = len(all_sequences(3))
    assert number == 1 + 3 + 9 + 27
    found = beam_search(model.next_symbols, (start,), max_lengths, width=number)
    for item, max_length in enumerate(max_lengths.tolist()):
        scores = {sequence: model.score(start[item, 0], sequence) for sequence in all_sequences(max_length)}
        assert sum(np.exp(score) for score in scores.values()) == pytest.approx(1.0)
        best_first = sorted(scores, key=lambda sequence: -scores[sequence])
        assert rows(found, item)[: len(best_first)] == best_first
        assert found.scores[item, : len(best_first)].numpy() == pytest.approx(
            [scores[sequence] for sequence in best_first], abs=1e-5
        )
    # The second item has fewer sequences than the beam has places.
    assert bool(found.scores[1, 13:].isneginf().all()) and bool((found.symbols[1, 13:] == NO_LABEL).all())


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_of_width_one_is_greedy_search(seed: int) -> None:
    start, max_lengths = make_start(7, seed), torch.tensor([5, 1, 9, 0, 4, 9, 2])
    greedy = greedy_search(TinyModel(seed).next_symbols, (start,), max_lengths)
    beam = beam_search(TinyModel(seed).next_symbols, (start,), max_lengths, width=1)
    assert torch.equal(greedy.symbols, beam.symbols) and torch.equal(greedy.scores, beam.scores)
    assert rows(greedy, 3) == [()], "no room, nothing written"
    model = TinyModel(seed)
    for item in range(7):
        (sequence,) = rows(greedy, item)
        assert len(sequence) <= max_lengths[item]
        assert float(greedy.scores[item, 0]) == pytest.approx(model.score(start[item, 0], sequence), abs=1e-5)
        for at in range(len(sequence)):  # no other symbol is likelier in any place
            others = [model.score(start[item, 0], (*sequence[:at], symbol)) for symbol in range(NUM_SYMBOLS)]
            assert np.argmax(others) == sequence[at]


def table_model(table: dict[tuple[int, ...], list[float]], symbols: int) -> NextSymbols:
    """Probabilities written down for each beginning; the state is what was written, the leading END included."""

    def next_symbols(last: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        (written,) = state
        written = torch.cat([written, last[..., None]], dim=-1)
        probabilities = [
            [table.get(tuple(row[1:]), [1.0] + [0.0] * (symbols - 1)) for row in item] for item in written.tolist()
        ]
        return torch.tensor(probabilities).log(), (written,)

    return next_symbols


def test_two_hypotheses_find_what_greedy_search_turns_away_from() -> None:
    a, b = 1, 2
    model = table_model({(): [0.0, 0.6, 0.4], (a,): [0.5, 0.25, 0.25], (b,): [1.0, 0.0, 0.0]}, 3)
    start, max_lengths = torch.zeros(1, 1, 0, dtype=torch.long), torch.tensor([4])
    greedy = greedy_search(model, (start,), max_lengths)
    assert rows(greedy, 0) == [(a, END)] and float(greedy.scores[0, 0]) == pytest.approx(np.log(0.3))
    beam = beam_search(model, (start,), max_lengths, width=2)
    assert rows(beam, 0) == [(b, END), (a, END)]
    assert beam.scores[0].tolist() == pytest.approx(np.log([0.4, 0.3]))


def test_the_search_of_a_batch_is_that_of_each_item_alone() -> None:
    start, max_lengths = make_start(4), torch.tensor([6, 2, 4, 1])
    together = beam_search(TinyModel(2).next_symbols, (start,), max_lengths, width=3)
    for item in range(4):
        alone = beam_search(TinyModel(2).next_symbols, (start[item : item + 1],), max_lengths[[item]], width=3)
        assert rows(together, item) == rows(alone, 0)
        assert together.scores[item].tolist() == pytest.approx(alone.scores[0].tolist(), abs=1e-6)


def test_a_wider_beam_never_finds_worse_here_and_its_scores_fall() -> None:
    start, max_lengths = make_start(6, 3), torch.full((6,), 4)
    best = []
    for width in (1, 5, 200):
        found = beam_search(TinyModel(3).next_symbols, (start,), max_lengths, width=width)
        assert bool((found.scores[:, :-1] >= found.scores[:, 1:]).all())
        best.append(found.scores[:, 0])
    assert bool((best[0] <= best[2] + 1e-9).all()) and bool((best[1] <= best[2] + 1e-9).all())
    assert bool((best[0] < best[2] - 1e-3).any()), "greedy search is not always right"


def test_the_search_stops_when_all_have_ended() -> None:
    calls = 0
    model = table_model({(): [0.0, 0.5, 0.5], (1,): [1.0, 0.0, 0.0], (2,): [0.0, 1.0, 0.0]}, 3)

    def counted(symbols: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        nonlocal calls
        calls += 1
        return model(symbols, state)

    start = torch.zeros(1, 1, 0, dtype=torch.long)
    found = beam_search(counted, (start,), torch.tensor([50]), width=2)
    assert {*rows(found, 0)} == {(1, END), (2, 1, END)} and calls == 3
    calls = 0
    assert rows(greedy_search(counted, (start,), torch.tensor([50])), 0)[0][-1] == END and calls <= 3


def test_a_beam_without_room_is_refused_and_a_batch_without_items_is_not() -> None:
    model = TinyModel(0)
    with pytest.raises(ValueError, match="width of a beam must be at least 1, found 0"):
        beam_search(model.next_symbols, (make_start(2),), torch.tensor([1, 1]), width=0)
    nothing = torch.zeros(0, dtype=torch.long)
    assert beam_search(model.next_symbols, (make_start(0),), nothing, width=2).symbols.shape == (0, 2, 0)
    assert greedy_search(model.next_symbols, (make_start(0),), nothing).symbols.shape == (0, 1, 0)
    assert model.calls == 0
