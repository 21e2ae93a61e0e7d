"""An LSTM that writes a sequence from a code, with attention to an encoder's states where it is wanted."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from nlptransfer.multitask.beam_search import END, Hypotheses, NextSymbols, State, beam_search, greedy_search
from nlptransfer.types import NO_LABEL


class SequenceDecoder(nn.Module):
    r"""An LSTM that starts from a code and writes one symbol after the other.

    .. math::
        s_0 = \tanh(W_s e + b_s), \quad c_0 = W_c e + b_c, \quad
        s_t, c_t = \text{LSTM}(E_{y_{t-1}}, s_{t-1}, c_{t-1}), \quad
        p(y_t \mid y_{<t}) = \text{softmax}(W_o \tilde s_t + b_o)

    with e the code, and :math:`\tilde s_t = s_t`; or with attention to the encoder's states :math:`h_j`

    .. math::
        \alpha_{tj} = \frac{\exp(s_t^\top W_a h_j)}{\sum_{j'} \exp(s_t^\top W_a h_{j'})}, \qquad
        \tilde s_t = \tanh\Big(W_h \Big[\sum_j \alpha_{tj} h_j;\, s_t\Big]\Big)

    Symbols are numbered from 1; 0 is `END`, read in the beginning and written in the end. Its weights are drawn from
    torch's global generator: make it within `seeded`.

    Args:
        num_symbols: S, without `END`.
        code_dim: size of e.
        hidden_dim: size of s, c and E.
        attention_dim: size of h; None without attention.
        dropout: on what is read and on :math:`\tilde s`, 0 to 1.

    Reference:
        Sutskever, Vinyals & Le 2014, https://arxiv.org/abs/1409.3215. Attention: Luong, Pham & Manning 2015, section
        3.1, equations 5-8 with the score "general", https://aclanthology.org/D15-1166; the last :math:`\tilde s` is
        not fed back (their section 3.3), so that in training the whole sequence is read in one call.

    Example:
        >>> decoder = SequenceDecoder(5, 8, hidden_dim=16)
        >>> decoder(torch.randn(2, 8), torch.tensor([[3, 1, 0], [2, 0, NO_LABEL]])).shape
        torch.Size([2, 3, 6])
    """

    def __init__(
        self,
        num_symbols: int,
        code_dim: int,
        *,
        hidden_dim: int,
        attention_dim: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_symbols + 1, hidden_dim)
        self.first_state = nn.Linear(code_dim, hidden_dim)
        self.first_cell = nn.Linear(code_dim, hidden_dim)
        self.lstm = nn.LSTM(hidden_dim, hidden_dim, batch_first=True)
        self.score = None if attention_dim is None else nn.Linear(attention_dim, hidden_dim, bias=False)
        self.combine = None if attention_dim is None else nn.Linear(attention_dim + hidden_dim, hidden_dim, bias=False)
        self.output = nn.Linear(hidden_dim, num_symbols + 1)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        code: torch.Tensor,
        labels: torch.Tensor,
        states: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits for each symbol of known sequences, given those before it (teacher forcing).

        Args:
            code: (batch, code_dim).
            labels: (batch, length), `NO_LABEL` after each sequence's `END`.
            states: (batch, time, attention_dim) the encoder's; with attention only.
            mask: (batch, time), True on real tokens; with attention only.

        Returns:
            (batch, length, S + 1).
        """
        before = functional.pad(labels[:, :-1], (1, 0), value=END).clamp(min=END)
        read, _ = self._read(before, self.start(code))  # (batch, length, hidden); after an END it is meaningless
        logits: torch.Tensor = self.output(self._attend(read, states, mask))
        return logits

    def start(self, code: torch.Tensor) -> State:
        """The state that has read nothing yet: two tensors of (batch, 1, hidden_dim)."""
        return self.first_state(code).tanh()[:, None], self.first_cell(code)[:, None]

    def search(
        self,
        code: torch.Tensor,
        max_lengths: torch.Tensor,
        states: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        *,
        width: int = 1,
    ) -> Hypotheses:
        """The most likely sequences, by greedy search or by beam search.

        Args:
            code: (batch, code_dim).
            max_lengths: (batch,) symbols written at most, the `END` included.
            states: as in `forward`.
            mask: as in `forward`.
            width: of the beam; 1 for greedy search.

        Returns:
            `width` sequences per item, the most likely first.

        Raises:
            ValueError: `width` is less than 1.
        """
        next_symbols, state = self.next_symbols(states, mask), self.start(code)
        if width == 1:
            return greedy_search(next_symbols, state, max_lengths)
        return beam_search(next_symbols, state, max_lengths, width=width)

    def next_symbols(self, states: torch.Tensor | None = None, mask: torch.Tensor | None = None) -> NextSymbols:
        """What a search asks for each next symbol; `states` and `mask` as in `forward`."""

        def next_symbols(symbols: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
            batch, hypotheses = symbols.shape
            flat = tuple(part.reshape(batch * hypotheses, 1, -1) for part in state)
            read, flat = self._read(symbols.reshape(-1, 1), flat)  # (batch * hypotheses, 1, hidden)
            # All hypotheses of an item look at the same states, which are therefore not copied for each.
            attended = self._attend(read.view(batch, hypotheses, -1), states, mask)
            state = tuple(part.reshape(batch, hypotheses, -1) for part in flat)
            return self.output(attended).float().log_softmax(dim=-1), state

        return next_symbols

    def _read(self, symbols: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """The states after each of (rows, length) symbols, and the last of them."""
        first = tuple(part.transpose(0, 1).contiguous() for part in state)  # (1, rows, hidden), as torch wants it
        read, last = self.lstm(self.dropout(self.embedding(symbols)), first)
        return read, tuple(part.transpose(0, 1) for part in last)

    def _attend(self, read: torch.Tensor, states: torch.Tensor | None, mask: torch.Tensor | None) -> torch.Tensor:
        """What the softmax sees, of the LSTM's states (batch, queries, hidden)."""
        if self.score is None or self.combine is None:
            return self.dropout(read)
        assert states is not None and mask is not None, "a decoder with attention is given what to attend to"
        scores = (read @ self.score.weight @ states.transpose(1, 2)).float()  # (batch, queries, time)
        # The least number and not -inf: an item without a token would have no shares at all.
        shares = scores.masked_fill(~mask[:, None], torch.finfo(scores.dtype).min).softmax(dim=-1).to(states.dtype)
        context = shares @ states  # (batch, queries, attention_dim)
        return self.dropout(self.combine(torch.cat([context, read], dim=-1)).tanh())


def sequence_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood per symbol, each sequence's `END` included.

    Args:
        logits: (batch, length, S + 1).
        labels: (batch, length), `NO_LABEL` after each sequence's `END`; a row of `NO_LABEL` alone is not known, and
            counts for nothing.

    Returns:
        A scalar; 0 where no sequence is known.
    """
    total = functional.cross_entropy(
        logits.flatten(0, 1).float(), labels.flatten(), ignore_index=NO_LABEL, reduction="sum"
    )
    return total / (labels != NO_LABEL).sum().clamp(min=1)


def sequence_log_probability(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The log probability of each known sequence, (batch,) float64: the score that a search gives it.

    Args:
        logits: (batch, length, S + 1), as `SequenceDecoder.forward` gives them for `labels`.
        labels: (batch, length), `NO_LABEL` after each sequence's `END`.
    """
    chosen = logits.float().log_softmax(dim=-1).double().gather(2, labels.clamp(min=END)[..., None]).squeeze(2)
    return chosen.masked_fill(labels == NO_LABEL, 0.0).sum(dim=1)
