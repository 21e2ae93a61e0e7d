"""Greedy and beam search for the most likely sequence of a model that gives each next symbol a probability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from nlptransfer.types import NO_LABEL

END = 0
"""The symbol that ends each sequence; a model that has written nothing yet reads it as the beginning."""

State = tuple[torch.Tensor, ...]
"""What a model keeps of what it has read: tensors of (batch, hypotheses, ...)."""

NextSymbols = Callable[[torch.Tensor, State], tuple[torch.Tensor, State]]
"""(last symbols (batch, hypotheses), state) -> (log probabilities (batch, hypotheses, symbols), state)."""


@dataclass(frozen=True)
class Hypotheses:
    """The sequences that a search found, the most likely first.

    Attributes:
        symbols: (batch, width, length), `NO_LABEL` after each sequence's `END`; without an `END` where the length
            allowed ran out.
        scores: (batch, width) float64, the log probability of all that was written, an `END` included; -inf where
            there are fewer sequences than the width.
    """

    symbols: torch.Tensor
    scores: torch.Tensor


@torch.no_grad()
def greedy_search(next_symbols: NextSymbols, state: State, max_lengths: torch.Tensor) -> Hypotheses:
    """Write the most likely symbol again and again, until all sequences have ended.

    Args:
        next_symbols: reads the last symbol of each sequence; see `NextSymbols`.
        state: tensors of (batch, 1, ...) before anything is read.
        max_lengths: (batch,) symbols written at most, the `END` included.

    Returns:
        One sequence per item: width 1.

    Compare with:
        `beam_search`, which keeps more than one beginning in view. This is its width 1, at the price of no sorting.

    Example:
        >>> greedy_search(next_symbols, decoder.start(code), torch.tensor([5, 3])).symbols[:, 0]
    """
    symbols = torch.full_like(max_lengths, END)[:, None]
    scores = torch.zeros(len(max_lengths), dtype=torch.float64, device=max_lengths.device)
    running = torch.ones_like(max_lengths, dtype=torch.bool)
    written = []
    for length in range(int(max_lengths.max()) if len(max_lengths) else 0):
        running = running & (length < max_lengths)
        if not running.any():
            break
        log_probabilities, state = next_symbols(symbols, state)  # (batch, 1, symbols)
        gained, best = log_probabilities[:, 0].double().max(dim=-1)
        scores = scores + torch.where(running, gained, 0.0)
        written.append(torch.where(running, best, NO_LABEL))
        running = running & (best != END)
        symbols = best[:, None]
    found = torch.stack(written, dim=1) if written else symbols[:, :0]
    return Hypotheses(found[:, None], scores[:, None])


@torch.no_grad()
def beam_search(next_symbols: NextSymbols, state: State, max_lengths: torch.Tensor, *, width: int) -> Hypotheses:
    r"""Keep the K most likely beginnings, lengthen each by every symbol, and again keep the K most likely.

    .. math:: s(y_1 \dots y_t) = \sum_{i \le t} \log p(y_i \mid y_{<i})

    A sequence that has ended keeps its score and its place for as long as fewer than K others have a better one. The
    search stops when all K have ended or are as long as allowed. As a score can only fall, what stands first then is
    better than all that could still grow out of the K. Scores are not divided by the length: among outputs as long as
    their input the shorter ones have no advantage to make up for.

    Args:
        next_symbols: reads the last symbol of each hypothesis; see `NextSymbols`.
        state: tensors of (batch, 1, ...) before anything is read.
        max_lengths: (batch,) symbols written at most, the `END` included.
        width: K.

    Returns:
        K sequences per item, the most likely first.

    Raises:
        ValueError: `width` is less than 1.

    Reference:
        Sutskever, Vinyals & Le 2014, section 3.2, https://arxiv.org/abs/1409.3215.

    Compare with:
        `greedy_search`, which finds what a width of 1 finds, ties aside.

    Example:
        >>> beam_search(next_symbols, decoder.start(code), torch.tensor([5, 3]), width=4).symbols[:, 0]
    """
    if width < 1:
        raise ValueError(f"the width of a beam must be at least 1, found {width}")
    device = max_lengths.device
    state = tuple(part.expand(-1, width, *part.shape[2:]) for part in state)
    symbols = torch.full((len(max_lengths), width), END, device=device)
    # In the beginning there is one hypothesis, the empty one; the others are not there yet.
    scores = torch.full((len(max_lengths), width), -torch.inf, dtype=torch.float64, device=device)
    scores[:, 0] = 0.0
    ended = torch.zeros_like(symbols, dtype=torch.bool)
    written = symbols[..., None][..., :0]  # (batch, width, length)
    for length in range(int(max_lengths.max()) if len(max_lengths) else 0):
        closed = ended | (length >= max_lengths)[:, None]
        if bool((closed | scores.isneginf()).all()):
            break
        log_probabilities, state = next_symbols(symbols, state)
        gained = log_probabilities.double()  # (batch, width, symbols): in double, so that no sum makes a tie
        # What is closed goes on in one copy, at no cost.
        gained = gained.masked_fill(closed[..., None], -torch.inf)
        gained[..., END] = torch.where(closed, 0.0, gained[..., END])
        scores, chosen = (scores[..., None] + gained).flatten(1).topk(width, dim=1)
        parents, symbols = chosen // gained.shape[-1], chosen % gained.shape[-1]  # (batch, width)
        closed = closed.gather(1, parents)
        ended = ended.gather(1, parents) | ((symbols == END) & ~closed)
        written = torch.cat([_of(parents, written), symbols.masked_fill(closed, NO_LABEL)[..., None]], dim=-1)
        state = tuple(_of(parents, part) for part in state)
    return Hypotheses(written.masked_fill(scores.isneginf()[..., None], NO_LABEL), scores)


def _of(parents: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
    """Of (batch, width, ...) the rows of each hypothesis's parent."""
    index = parents.view(*parents.shape, *[1] * (part.dim() - 2)).expand(-1, -1, *part.shape[2:])
    return part.gather(1, index)
