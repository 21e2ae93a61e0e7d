"""The two losses by their weights, and a task carried over to words that only the target's text knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from nlptransfer.data.feature_batches import DocumentBatches, DomainBatches
from nlptransfer.finetuning.masked_lm import MaskedLMHead, hidden_states
from nlptransfer.finetuning.udalm import ModelWithHead, make_udalm_step
from nlptransfer.training.loop import train
from nlptransfer.training.seeding import seeded
from nlptransfer.types import Batch, DomainBatch, ModelOutput

TOKENS: dict[str, Any] = {"mask_id": 4, "special_ids": [0, 2, 3, 4]}


def make_encoder(*, dropout: float = 0.0) -> Any:
    """An untrained BERT with a masked-LM head, in evaluation mode."""
    import transformers

    config = transformers.BertConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=40, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
        initializer_range=0.1,
    )  # fmt: skip
    with seeded(0):
        return transformers.BertForMaskedLM(config).eval()


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


class Classifier(nn.Module):
    """The mean of the encoder's states, and one layer."""

    def __init__(self, encoder: nn.Module, *, seed: int = 0) -> None:
        super().__init__()
        self.encoder = encoder
        with seeded(seed):
            self.layer = nn.Linear(16, 2)

    def forward(self, batch: Batch) -> ModelOutput:
        states = hidden_states(self.encoder, batch.input_ids, batch.mask)
        real = batch.mask[..., None].float()
        features = (states * real).sum(dim=1) / real.sum(dim=1)
        return ModelOutput(self.layer(features), features)

    def loss(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        assert batch.labels is not None
        return functional.cross_entropy(output.logits, batch.labels)


def trained(step_of: Callable[[MaskedLMHead], Any] | None, batches: Any, *, epochs: int, seed: int = 0) -> Classifier:
    model = make_encoder(dropout=0.1)
    head = MaskedLMHead(model.cls, was_pretrained=False)
    classifier = Classifier(model.bert)
    whole: nn.Module = classifier if step_of is None else ModelWithHead(classifier, head)
    step = step_of(head) if step_of else lambda m, batch, p: {"loss": m.loss(m(batch), batch)}
    train(whole, step, batches, torch.optim.AdamW(whole.parameters(), 2e-3, weight_decay=0.0), epochs=epochs, seed=seed)
    return classifier


def reviews(number: int, *, seed: int, words: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Documents of two classes: cues of the domain, and words that both domains use and that tell the class, too."""
    random = np.random.default_rng(seed)
    labels = np.arange(number) % 2
    starts = {"source": 10, "target": 30, "shared": 20}
    made = []
    for label in labels:
        cues = [starts[kind] + 5 * label + random.integers(0, 5, 3) for kind in words.split("+")]
        made.append(np.concatenate([[2], random.permutation(np.concatenate(cues)), [3]]))
    return made, labels


def source_batches(number: int = 40) -> DocumentBatches:
    texts, labels = reviews(number, seed=1, words="source+shared")
    return DocumentBatches(texts, labels, batch_size=8, max_length=40, seed=0)


def target_batches(number: int = 90, words: str = "target+shared") -> DocumentBatches:
    texts, _ = reviews(number, seed=2, words=words)
    return DocumentBatches(texts, None, batch_size=12, max_length=40, seed=0)


def test_udalm_without_weight_is_training_on_the_source_number_for_number() -> None:
    plain = weights_of(trained(None, source_batches(), epochs=2))
    pairs = DomainBatches(source_batches(), target_batches())
    nothing = trained(lambda head: make_udalm_step(head, masked_lm_weight=0, **TOKENS), pairs, epochs=2)
    assert same(plain, weights_of(nothing))
    something = trained(lambda head: make_udalm_step(head, masked_lm_weight=0.1, **TOKENS), pairs, epochs=2)
    assert not same(plain, weights_of(something))


def test_udalm_weighs_the_losses_by_the_numbers_of_items() -> None:
    model = make_encoder(dropout=0.2).train()
    head = MaskedLMHead(model.cls, was_pretrained=False)
    whole = ModelWithHead(Classifier(model.bert), head)
    texts, labels = reviews(6, seed=3, words="source+shared")
    source = next(iter(DocumentBatches(texts, labels, batch_size=6, max_length=40)))
    target = batch_of_texts(reviews(10, seed=4, words="target")[0])
    with seeded(1):
        losses = make_udalm_step(head, **TOKENS)(whole, DomainBatch(source, target), 0.5)
        after = torch.rand(3)
    torch.testing.assert_close(losses["loss"], 6 / 16 * losses["task"] + 10 / 16 * losses["masked_lm"])
    with seeded(1):
        alone = whole.loss(whole(source), source)
        expected = torch.rand(3)
    assert torch.equal(alone, losses["task"]) and torch.equal(after, expected)
    fixed = make_udalm_step(head, masked_lm_weight=0.25, **TOKENS)(whole, DomainBatch(source, target), 0.5)
    torch.testing.assert_close(fixed["loss"], 0.75 * fixed["task"] + 0.25 * fixed["masked_lm"])
    for weight in (-0.1, 1.0):
        with pytest.raises(ValueError, match="masked_lm_weight"):
            make_udalm_step(head, masked_lm_weight=weight, **TOKENS)


def accuracy(classifier: Classifier, words: str) -> float:
    texts, labels = reviews(200, seed=7, words=words)
    with torch.no_grad():
        return float((classifier.eval()(batch_of_texts(texts)).logits.argmax(-1).numpy() == labels).mean())


def batch_of_texts(texts: list[np.ndarray]) -> Batch:
    ids = torch.from_numpy(np.stack(texts))
    return Batch(ids, torch.ones_like(ids, dtype=torch.bool))


@pytest.mark.slow
def test_udalm_carries_the_task_over_to_words_that_only_the_targets_text_knows() -> None:
    def udalm(words: str, seed: int) -> Classifier:
        pairs = DomainBatches(source_batches(80), target_batches(120, words))
        return trained(lambda head: make_udalm_step(head, **TOKENS), pairs, epochs=20, seed=seed)

    plain = [trained(None, source_batches(80), epochs=20, seed=seed) for seed in range(2)]
    helped = [udalm("target+shared", seed) for seed in range(2)]
    for model in (*plain, *helped):
        assert accuracy(model, "source+shared") > 0.95
    assert np.mean([accuracy(model, "target") for model in plain]) < 0.7
    assert np.mean([accuracy(model, "target") for model in helped]) > 0.9
    # Control: as much unlabelled text, of the source.
    assert accuracy(udalm("source+shared", 0), "target") < 0.7
