"""Each kind of task's loss against its formula, and that what carries no label moves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from nlptransfer.multitask.heads import TaskHead, regression_loss
from nlptransfer.multitask.tasks import Task
from nlptransfer.training.seeding import seeded
from nlptransfer.types import NO_LABEL, Batch, ModelOutput

MASK = torch.tensor([[True, True, True], [True, False, False]])
TAGS = torch.tensor([[0, NO_LABEL, 2], [1, NO_LABEL, NO_LABEL]])
HEADS: dict[str, tuple[Callable[[], TaskHead], torch.Tensor]] = {
    "softmax": (lambda: TaskHead(Task("t", "tagging", ("A", "B", "C")), 4), TAGS),
    "crf": (lambda: TaskHead(Task("t", "tagging", ("A", "B", "C")), 4, crf=True), TAGS),
    "classification": (lambda: TaskHead(Task("t", "classification", ("no", "yes")), 4), torch.tensor([1, NO_LABEL])),
    "regression": (lambda: TaskHead(Task("t", "regression"), 4), torch.tensor([0.5, float(NO_LABEL)])),
}


def make(kind: str) -> tuple[TaskHead, torch.Tensor, Batch]:
    with seeded(0):
        head, states = HEADS[kind][0](), torch.randn(2, 3, 4)
    return head, states, Batch(torch.zeros(2, 3, dtype=torch.long), MASK, labels=HEADS[kind][1])


def log_softmax(scores: np.ndarray) -> np.ndarray:
    return scores - np.log(np.exp(scores).sum())


def test_tagging_loses_the_mean_cross_entropy_of_labelled_words() -> None:
    head, states, batch = make("softmax")
    output = head(states, MASK)
    logits = output.logits.detach().double().numpy()
    expected = -np.mean([log_softmax(logits[row, at])[tag] for row, at, tag in ((0, 0, 0), (0, 2, 2), (1, 0, 1))])
    assert head.loss(output, batch).item() == pytest.approx(expected, rel=1e-6)
    assert torch.equal(head.decode(output, batch), output.logits.argmax(-1))


def test_a_crf_loses_per_labelled_word_and_decodes_sequences() -> None:
    head, states, batch = make("crf")
    output = head(states, MASK)
    assert head.crf is not None
    assert head.loss(output, batch).item() == pytest.approx(head.crf.loss(output.logits, TAGS, MASK).item() / 3)
    with torch.no_grad():  # after each tag must come the next
        head.crf.transitions.fill_(-1e3)
        for tag in range(3):
            head.crf.transitions[tag, (tag + 1) % 3] = 0.0
    tags = head.decode(output, batch)[0].tolist()
    assert [(after - before) % 3 for before, after in pairwise(tags)] == [1, 1]


def test_texts_are_read_by_attention_over_real_words_and_lose_their_mean_cross_entropy() -> None:
    head, states, batch = make("classification")
    output = head(states, MASK)
    assert head.pooling is not None
    torch.testing.assert_close(output.features[1], states[1, 0], msg="a text of one word is this word")
    expected = -log_softmax(output.logits[0].detach().double().numpy())[1]
    assert head.loss(output, batch).item() == pytest.approx(expected, rel=1e-6)
    assert head.decode(output, batch).shape == (2,)


def test_numbers_lose_the_mean_squared_error_of_labelled_texts_each_times_its_weight() -> None:
    labels = torch.tensor([0.5, float(NO_LABEL), -1.0])
    predicted = np.array([2.0, 7.0, 0.25])
    output = ModelOutput(torch.tensor(predicted[:, None]), torch.zeros(3, 1))
    batch = Batch(torch.zeros(3, 1, dtype=torch.long), torch.ones(3, 1, dtype=torch.bool), labels=labels)
    assert regression_loss(output, batch).item() == pytest.approx((1.5**2 + 1.25**2) / 2)
    weighed = replace(batch, weights=torch.tensor([2.0, 5.0, 0.0]))
    assert regression_loss(output, weighed).item() == pytest.approx(2 * 1.5**2 / 2)
    head = TaskHead(Task("t", "regression"), 1)
    assert head.decode(output, batch).tolist() == predicted.tolist()


@pytest.mark.parametrize("kind", HEADS)
def test_a_batch_without_a_label_loses_a_zero_that_moves_nothing_bit_for_bit(kind: str) -> None:
    head, states, batch = make(kind)
    assert batch.labels is not None
    optimizer = torch.optim.AdamW(head.parameters(), 0.1, weight_decay=0.1)
    for _ in range(2):  # momentum that a gradient of zero would let run on
        optimizer.zero_grad()
        head.loss(head(states, MASK), batch).backward()
        optimizer.step()
    weights = {name: weight.clone() for name, weight in head.state_dict().items()}
    moments = [{name: value.clone() for name, value in state.items()} for state in optimizer.state.values()]
    assert moments
    for labels in (torch.full_like(batch.labels, NO_LABEL), None):
        optimizer.zero_grad()
        loss = head.loss(head(states, MASK), replace(batch, labels=labels))
        (loss * 1.0).backward()
        optimizer.step()
        assert loss.item() == 0.0
    assert all(torch.equal(weight, weights[name]) for name, weight in head.state_dict().items())
    for before, after in zip(moments, optimizer.state.values(), strict=True):
        assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("kind", HEADS)
def test_an_item_without_a_label_leaves_the_gradient_to_the_others(kind: str) -> None:
    """The gradient of a batch is that of its labelled rows alone."""
    gradients = []
    for rows in (slice(0, 2), slice(0, 1)):
        head, states, batch = make(kind)
        labels = HEADS[kind][1].clone()
        labels[1] = NO_LABEL
        part = Batch(batch.input_ids[rows], MASK[rows], labels=labels[rows])
        head.loss(head(states[rows], MASK[rows]), part).backward()
        gradients.append([weight.grad for weight in head.parameters()])
    for both, one in zip(*gradients, strict=True):
        torch.testing.assert_close(both, one)


def test_wrong_heads_are_refused() -> None:
    with pytest.raises(ValueError, match="sequences of tags"):
        TaskHead(Task("t", "regression"), 4, crf=True)
    with pytest.raises(ValueError, match="no labels"):
        TaskHead(Task("t", "classification"), 4)


def test_losses_can_be_read_without_gradients() -> None:
    head, states, batch = make("softmax")
    with torch.inference_mode():
        loss = head.loss(head(states, MASK), replace(batch, labels=None))
    assert loss.item() == 0.0 and not loss.requires_grad
