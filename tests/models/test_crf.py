"""The chain's sums and maxima, against going through every sequence there is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from nlptransfer.models.crf import LinearChainCRF
from nlptransfer.types import NO_LABEL


def make_case(num_tags: int, lengths: list[int], seed: int = 0) -> tuple[LinearChainCRF, torch.Tensor, torch.Tensor]:
    """A field with strong transitions, logits (with something large on padding) and the mask."""
    generator = torch.Generator().manual_seed(seed)
    crf = LinearChainCRF(num_tags)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 2)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    logits = torch.randn(len(lengths), max(lengths), num_tags, generator=generator) * 2
    return crf, logits.masked_fill(~mask[..., None], 50.0), mask


def score(crf: LinearChainCRF, logits: torch.Tensor, tags: tuple[int, ...]) -> torch.Tensor:
    """s(x, y) of one sentence, term by term, in double precision; gradients flow."""
    total = crf.begin[tags[0]].double() + crf.end[tags[-1]].double()
    for step, tag in enumerate(tags):
        total = total + logits[step, tag].double()
        if step:
            total = total + crf.transitions[tags[step - 1], tag].double()
    return total


def brute_loss(crf: LinearChainCRF, logits: torch.Tensor, labels: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    losses = []
    for number, length in enumerate(lengths):
        sequences = list(product(range(logits.shape[-1]), repeat=length))
        scores = torch.stack([score(crf, logits[number], tags) for tags in sequences])
        given = labels[number, :length].tolist()
        agrees = torch.tensor(
            [all(label in (NO_LABEL, tag) for label, tag in zip(given, tags, strict=True)) for tags in sequences]
        )
        losses.append(scores.logsumexp(0) - scores[agrees].logsumexp(0))
    return torch.stack(losses).sum()


CASES = [(2, [1]), (3, [4]), (3, [1, 4, 2]), (1, [3, 2]), (5, [3, 1, 3]), (2, [7, 1])]


@pytest.mark.parametrize(("num_tags", "lengths"), CASES)
@pytest.mark.parametrize("missing", [0.0, 0.5, 1.0])
def test_loss_and_gradients_equal_those_over_all_sequences(num_tags: int, lengths: list[int], missing: float) -> None:
    crf, logits, mask = make_case(num_tags, lengths)
    random = np.random.default_rng(1)
    labels = torch.from_numpy(random.integers(0, num_tags, mask.shape))
    labels[torch.from_numpy(random.random(mask.shape) < missing)] = NO_LABEL
    labels[~mask] = NO_LABEL
    logits.requires_grad_()
    ours = crf.loss(logits, labels, mask)
    ours_gradients = torch.autograd.grad(ours, [logits, *crf.parameters()], allow_unused=True, materialize_grads=True)
    brute = brute_loss(crf, logits, labels, lengths)
    assert ours.item() == pytest.approx(brute.item(), abs=1e-4)
    if missing == 1.0 or num_tags == 1:
        assert ours.item() == pytest.approx(0.0, abs=1e-4)
        assert all(float(gradient.abs().max()) < 1e-5 for gradient in ours_gradients)
        return
    brute_gradients = torch.autograd.grad(brute, [logits, *crf.parameters()], allow_unused=True, materialize_grads=True)
    for gradient, expected in zip(ours_gradients, brute_gradients, strict=True):
        torch.testing.assert_close(gradient, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("num_tags", "lengths"), CASES)
@pytest.mark.parametrize("seed", range(4))
def test_decode_finds_the_best_of_all_sequences(num_tags: int, lengths: list[int], seed: int) -> None:
    crf, logits, mask = make_case(num_tags, lengths, seed)
    decoded = crf.decode(logits, mask)
    assert decoded.shape == mask.shape and (decoded[~mask] == 0).all()
    for number, length in enumerate(lengths):
        sequences = product(range(num_tags), repeat=length)
        best = max(sequences, key=lambda tags: score(crf, logits[number], tags).item())
        assert tuple(decoded[number, :length].tolist()) == best


def test_transitions_change_what_is_decoded() -> None:
    """Control: were the pairs ignored, the best tags would be the best of each position."""
    crf, logits, mask = make_case(3, [6, 5, 4])
    assert not torch.equal(crf.decode(logits, mask)[mask], logits.argmax(-1)[mask])
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.zero_()
    assert torch.equal(crf.decode(logits, mask)[mask], logits.argmax(-1)[mask])


def test_the_probabilities_of_all_sequences_sum_to_one() -> None:
    crf, logits, mask = make_case(3, [4])
    total = sum(torch.exp(-crf.loss(logits, torch.tensor([tags]), mask)).item() for tags in product(range(3), repeat=4))
    assert total == pytest.approx(1.0, abs=1e-5)


def test_without_transitions_the_loss_is_softmax_cross_entropy() -> None:
    crf, logits, mask = make_case(4, [5, 2])
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.zero_()
    labels = torch.randint(4, mask.shape, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.cross_entropy(logits[mask], labels[mask], reduction="sum")
    torch.testing.assert_close(crf.loss(logits, labels, mask), expected)


def test_padding_never_matters() -> None:
    crf, logits, mask = make_case(3, [2, 4])
    labels = torch.randint(3, mask.shape, generator=torch.Generator().manual_seed(0))
    apart = [crf.loss(logits[n : n + 1, :length], labels[n : n + 1, :length], mask[n : n + 1, :length])
             for n, length in ((0, 2), (1, 4))]  # fmt: skip
    wider = [torch.nn.functional.pad(part, (0, 0, 0, 3), value=-70.0) if part.dim() == 3 else
             torch.nn.functional.pad(part, (0, 3)) for part in (logits, labels, mask)]  # fmt: skip
    torch.testing.assert_close(crf.loss(logits, labels, mask), apart[0] + apart[1])
    torch.testing.assert_close(crf.loss(*wider), apart[0] + apart[1])
    assert torch.equal(crf.decode(wider[0], wider[2])[:, :4], crf.decode(logits, mask))


def test_a_long_sentence_keeps_its_precision() -> None:
    crf, logits, mask = make_case(4, [400])
    labels = torch.randint(4, (1, 400), generator=torch.Generator().manual_seed(0))
    labels[0, 100:200] = NO_LABEL
    twin = LinearChainCRF(4).double()
    twin.load_state_dict(crf.state_dict())
    with torch.no_grad():
        # The same recursion in double precision; `loss` itself always computes in single.
        tags = torch.arange(4)
        disagrees = (labels != NO_LABEL)[..., None] & (labels[..., None] != tags)
        exact = twin._log_partition(logits.double(), mask) - twin._log_partition(
            logits.double().masked_fill(disagrees, -torch.inf), mask
        )
        ours = crf.loss(logits, labels, mask)
    assert float(ours) == pytest.approx(float(exact.sum()), rel=1e-4)


@pytest.mark.parametrize(("right", "wrong"), [(1e3, 0.0), (0.0, -1e3), (1e5, 0.0), (0.0, -1e5)])
def test_confident_logits_give_a_finite_loss_of_the_right_size(right: float, wrong: float) -> None:
    crf, _, mask = make_case(3, [3])
    logits = torch.full((1, 3, 3), wrong)
    logits[0, :, 0] = right
    logits.requires_grad_()
    loss = crf.loss(logits, torch.ones(1, 3, dtype=torch.long), mask)  # the sequence 1, 1, 1 is all but impossible
    loss.backward()
    assert loss.item() == pytest.approx(3 * (right - wrong), rel=0.05)
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_half_precision_logits_are_summed_in_single() -> None:
    crf, logits, mask = make_case(3, [4, 3])
    labels = torch.zeros(mask.shape, dtype=torch.long)
    half = logits.to(torch.bfloat16)
    assert crf.loss(half, labels, mask).dtype == torch.float32
    torch.testing.assert_close(crf.loss(half, labels, mask), crf.loss(half.float(), labels, mask))
