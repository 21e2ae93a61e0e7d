"""What unlabelled text is worth to an encoder alone: its own words are told better, those of other text are not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nlptransfer.data.feature_batches import DocumentBatches
from nlptransfer.errors import InputError
from nlptransfer.finetuning.adaptive_pretraining import (
    EncoderWithHead,
    _framing,
    adapt_by_masked_lm,
    cut_document,
    make_adamw,
    make_masked_lm_step,
)
from nlptransfer.finetuning.masked_lm import MaskedLMHead, score_masked_lm
from nlptransfer.training.seeding import seeded
from nlptransfer.types import Batch

TOKENS: dict[str, Any] = {"mask_id": 4, "special_ids": [0, 1, 2, 3, 4]}
FRAME = {"num_before": 1, "num_after": 1}


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


def documents(number: int, *, seed: int, shift: int = 0) -> list[np.ndarray]:
    """Texts with a rule: each word is followed by its own successor, so that a hidden word can be told."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(number):
        first = random.integers(0, 10, random.integers(2, 5))
        body = np.stack([10 + shift + first, 20 + shift + first], axis=1).ravel()
        made.append(np.concatenate([[2], body, [3]]))
    return made


def batch_of(texts: Sequence[np.ndarray]) -> Batch:
    return next(iter(DocumentBatches(texts, None, batch_size=len(texts), max_length=40)))


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def tied_weight(head: MaskedLMHead) -> torch.Tensor:
    """The matrix that decodes."""
    if isinstance(head.layers, nn.Sequential):
        return head.layers[-1].weight  # type: ignore[return-value]
    return head.layers.predictions.decoder.weight  # type: ignore[union-attr, return-value]


@pytest.mark.parametrize("pretrained", [True, False])
def test_the_decoder_is_the_encoders_input_embeddings_and_moves_with_them(tmp_path: Path, pretrained: bool) -> None:
    from transformers import AutoModel

    model = make_encoder()
    (model if pretrained else model.bert).save_pretrained(tmp_path)
    encoder = AutoModel.from_pretrained(tmp_path)
    with seeded(0):
        head = MaskedLMHead.from_folder(tmp_path, encoder)
    assert head.was_pretrained == pretrained
    embeddings = encoder.get_input_embeddings().weight
    assert tied_weight(head) is embeddings
    before = embeddings.detach().clone()
    adapt_by_masked_lm(
        encoder, head, documents(8, seed=0),
        epochs=1, batch_size=4, learning_rate=1e-2, max_length=40, seed=0, **TOKENS,
    )  # fmt: skip
    assert tied_weight(head) is encoder.get_input_embeddings().weight
    assert not torch.equal(before, embeddings)
    # The mask token is read but never decoded to: only a decoder that is tied moves the tokens that no text holds.
    assert not torch.equal(before[59], embeddings[59])


def adapted(texts: list[np.ndarray], *, epochs: int = 12, **others: Any) -> tuple[Any, MaskedLMHead, list[dict]]:
    model = make_encoder(dropout=0.1)
    head = MaskedLMHead(model.cls, was_pretrained=False)
    history = adapt_by_masked_lm(
        model.bert, head, texts, epochs=epochs, batch_size=16, learning_rate=1e-2, max_length=40, seed=0,
        **TOKENS, **others,
    )  # fmt: skip
    return model.bert, head, history


def test_text_of_the_target_lowers_its_loss_and_other_text_does_not() -> None:
    held_out = [batch_of(documents(60, seed=9, shift=25))]
    untrained = make_encoder()
    start = score_masked_lm(
        untrained.bert, MaskedLMHead(untrained.cls, was_pretrained=False), held_out, seed=0, **TOKENS
    )
    encoder, head, history = adapted(documents(200, seed=1, shift=25))
    after = score_masked_lm(encoder, head, held_out, seed=0, **TOKENS)
    other_encoder, other_head, _ = adapted(documents(200, seed=1))
    other = score_masked_lm(other_encoder, other_head, held_out, seed=0, **TOKENS)
    assert start.accuracy < 0.1
    assert other.loss > start.loss, "control: it learnt of other words"
    assert after.loss < np.log(20) - 0.4 < start.loss - 1, "better than by the frequencies of the twenty words"
    assert [row["epoch"] for row in history] == list(range(1, 13))
    assert history[-1]["loss"] < history[0]["loss"]


def test_the_learning_rate_rises_and_then_falls_to_nothing() -> None:
    rates: list[float] = []
    _, _, history = adapted(
        documents(32, seed=1), epochs=5, warmup=0.4, on_epoch=lambda row: rates.append(row["learning_rate"])
    )
    # Two steps an epoch: the last of each starts at progress 0.1, 0.3, 0.5, 0.7, 0.9.
    assert rates == pytest.approx([1e-2 * f for f in (0.25, 0.75, 5 / 6, 0.5, 1 / 6)])
    assert len(history) == 5


def test_an_adaptation_that_was_cut_off_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    texts = documents(40, seed=1)
    encoder, head, history = adapted(texts, epochs=4)

    class Cut(Exception):
        pass

    def cut(row: dict[str, Any]) -> None:
        if row["epoch"] == 2:
            raise Cut

    with pytest.raises(Cut):
        adapted(texts, epochs=4, checkpoint=tmp_path / "state.pt", on_epoch=cut)
    resumed, resumed_head, resumed_history = adapted(texts, epochs=4, checkpoint=tmp_path / "state.pt", resume=True)
    assert same(weights_of(encoder), weights_of(resumed)) and same(weights_of(head), weights_of(resumed_head))
    assert [row["loss"] for row in history] == [row["loss"] for row in resumed_history]


def test_long_documents_are_read_to_their_end() -> None:
    document = np.array([2, *range(10, 31), 3])
    parts = cut_document(document, max_length=10, **FRAME)
    assert all(len(part) <= 10 and part[0] == 2 and part[-1] == 3 for part in parts)
    assert np.concatenate([part[1:-1] for part in parts]).tolist() == list(range(10, 31))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert cut_document(document, max_length=23, **FRAME) == [document]
    assert [part.tolist() for part in cut_document(np.array([7, 8, 9]), max_length=2, num_before=0, num_after=0)] == [
        [7, 8],
        [9],
    ]
    with pytest.raises(ValueError, match="2 special tokens"):
        cut_document(document, max_length=2, **FRAME)


def test_a_text_of_words_that_are_all_unknown_is_no_part_of_the_frame() -> None:
    unknown = np.array([2, *[1] * 60, 12, 3])  # longer than what is read at once, and unknown words are special too
    short = documents(4, seed=0)
    _, _, history = adapted([*short, unknown], epochs=1)
    assert np.isfinite(history[0]["loss"])
    assert _framing([*short, unknown], TOKENS["special_ids"]) == (1, 1)
    assert _framing([np.array([7, 8]), np.array([7, 3])], TOKENS["special_ids"]) == (0, 0)
    assert _framing([np.array([2, 3]), np.array([2, 9, 3])], TOKENS["special_ids"]) == (1, 1)
    assert _framing([unknown, unknown], TOKENS["special_ids"]) == (2, 1)


def test_no_text_is_an_error() -> None:
    with pytest.raises(InputError, match="no text to adapt"):
        adapted([])


def test_weight_decay_spares_biases_and_norms() -> None:
    model = make_encoder()
    optimizer = make_adamw(EncoderWithHead(model.bert, MaskedLMHead(model.cls, was_pretrained=False)),
                           learning_rate=1e-3, weight_decay=0.01)  # fmt: skip
    decayed, spared = optimizer.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0)
    assert {parameter.ndim for parameter in decayed["params"]} == {2}
    assert {parameter.ndim for parameter in spared["params"]} == {1}
    listed = [*decayed["params"], *spared["params"]]
    assert len(listed) == len({id(parameter) for parameter in listed}) == len(list(model.parameters()))


def test_the_step_names_its_loss() -> None:
    model = make_encoder()
    head = MaskedLMHead(model.cls, was_pretrained=False)
    step = make_masked_lm_step(head, **TOKENS)
    assert set(step(EncoderWithHead(model.bert, head), batch_of(documents(3, seed=0)), 0.0)) == {"loss"}
