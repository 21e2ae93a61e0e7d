"""A linear-chain conditional random field over a tagger's logits."""

from __future__ import annotations

import torch
from torch import nn

from nlptransfer.types import NO_LABEL


class LinearChainCRF(nn.Module):
    r"""Scores of whole tag sequences: each tag's own score plus that of each pair of neighbours.

    .. math::
        s(x, y) = b_{y_1} + \sum_{t=1}^{T} P_{t, y_t} + \sum_{t=2}^{T} A_{y_{t-1}, y_t} + e_{y_T}
        \qquad \text{loss} = \log \sum_{y'} e^{s(x, y')} - \log \sum_{y' \sim y} e^{s(x, y')}

    where :math:`y' \sim y` are the sequences that agree with the labels given: one sequence when every token is
    labelled, more where labels are missing.

    Args:
        num_tags: C.

    Attributes:
        transitions: (C, C), ``A[i, j]`` for tag j after tag i.
        begin, end: (C,), b and e.

    Reference:
        Lafferty et al. 2001; as a layer on an LSTM: Huang et al. 2015, section 2.4, https://arxiv.org/abs/1508.01991.

    Compare with:
        the softmax head, which decides each tag for itself: faster, and about as good for part-of-speech tags. Prefer
        the CRF where tags constrain their neighbours, as BIO tags do.
    """

    def __init__(self, num_tags: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags).uniform_(-0.1, 0.1))
        self.begin = nn.Parameter(torch.empty(num_tags).uniform_(-0.1, 0.1))
        self.end = nn.Parameter(torch.empty(num_tags).uniform_(-0.1, 0.1))

    def loss(self, logits: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Negative log-likelihood of the labels, summed over the batch.

        Args:
            logits: (batch, time, C).
            labels: (batch, time), `NO_LABEL` where there is none.
            mask: (batch, time), True on real tokens, which come first in each row.

        Returns:
            A scalar.
        """
        logits = logits.float()  # log-sum-exp over a sentence needs more than bf16 holds
        labelled = (labels != NO_LABEL) & mask
        if torch.equal(labelled, mask):  # one sequence agrees: its score takes no sum over others
            return (self._log_partition(logits, mask) - self._score(logits, labels, mask)).sum()
        tags = torch.arange(logits.shape[-1], device=logits.device)
        disagrees = labelled[..., None] & (labels[..., None] != tags)  # (batch, time, C)
        agreeing = logits.masked_fill(disagrees, -torch.inf)
        return (self._log_partition(logits, mask) - self._log_partition(agreeing, mask)).sum()

    def _score(self, logits: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """s(x, y) of sentences with a label on each token, (batch,)."""
        tags = labels.masked_fill(~mask, 0)
        last = tags.gather(1, mask.sum(dim=1, keepdim=True) - 1).squeeze(1)
        own = logits.gather(2, tags[..., None]).squeeze(2).masked_fill(~mask, 0).sum(dim=1)
        between = self.transitions[tags[:, :-1], tags[:, 1:]].masked_fill(~mask[:, 1:], 0).sum(dim=1)
        scores: torch.Tensor = self.begin[tags[:, 0]] + own + between + self.end[last]
        return scores

    def _log_partition(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Log-sum-exp of the scores of all sequences, (batch,), by the forward algorithm."""
        scores = self.begin + logits[:, 0]  # (batch, C)
        # Log-sum-exp over the tag before as a product of matrices, which is twice as fast. The largest term of each
        # sum is at least exp(A - max A): nothing is lost while transitions differ by less than 80.
        largest = self.transitions.detach().amax()
        factors = (self.transitions - largest).exp()
        for step in range(1, logits.shape[1]):
            best = scores.detach().amax(dim=1, keepdim=True)
            after = ((scores - best).exp() @ factors).log() + best + largest + logits[:, step]
            scores = torch.where(mask[:, step, None], after, scores)
        return torch.logsumexp(scores + self.end, dim=1)

    @torch.no_grad()
    def decode(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The best tag sequence of each sentence, by the Viterbi algorithm.

        Args:
            logits: (batch, time, C).
            mask: (batch, time), True on real tokens, which come first in each row.

        Returns:
            (batch, time) tags; 0 on padding.
        """
        logits = logits.float()
        scores = self.begin + logits[:, 0]
        stay = torch.arange(logits.shape[-1], device=logits.device).expand_as(scores)
        came_from = []
        for step in range(1, logits.shape[1]):
            best, previous = (scores[:, :, None] + self.transitions).max(dim=1)  # (batch, C)
            real = mask[:, step, None]
            came_from.append(torch.where(real, previous, stay))  # on padding the last real tag is carried along
            scores = torch.where(real, best + logits[:, step], scores)
        tag = (scores + self.end).argmax(dim=1, keepdim=True)
        tags = [tag]
        for previous in reversed(came_from):
            tag = previous.gather(1, tag)
            tags.append(tag)
        return torch.cat(tags[::-1], dim=1).masked_fill(~mask, 0)
