"""Logits equal those that transformers gives for one text at a time; words are made of their own subwords alone."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from nlptransfer.data.feature_batches import DocumentBatches
from nlptransfer.data.subword_texts import tokenize_documents
from nlptransfer.data.subword_words import WordBatches, encode_words
from nlptransfer.embeddings.encoder_settings import load_tokenizer
from nlptransfer.errors import InputError
from nlptransfer.models.transformer import (
    HiddenStates,
    TransformerClassifier,
    TransformerTagger,
    load_encoder,
    load_native_classifier,
    output_layer,
    word_states,
)
from nlptransfer.types import NO_LABEL, Batch

TEXTS = ["a good book", "", "not a good read and a dull, bad book", "the film was bad", "unknown words"]
SENTENCES = [["the", "books", "reading", "was", "a", "bad", "film"], ["good", "reads"], ["a"]]


def seeded_head(network: nn.Module) -> nn.Linear:
    """The head, with weights large enough to tell logits apart."""
    head = network.get_submodule("head")
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(3)))
        head.bias.copy_(torch.arange(len(head.bias)))
    return head


def documents(folder: Path, *, max_length: int = 10) -> Batch:
    """All texts in one batch, in their order."""
    ids = tokenize_documents(load_tokenizer(folder), TEXTS, max_length=max_length).ids
    batches = DocumentBatches(ids, np.array([0, 2, 1, 1, 0]), batch_size=8, max_length=max_length)
    ((rows, batch),) = batches.groups()
    order = np.argsort(rows)
    return Batch(**{name: getattr(batch, name)[order] for name in ("input_ids", "mask", "labels")})


def slow_states(folder: Path, text: str, *, max_length: int = 10) -> np.ndarray:
    """(layers + 1, time, H) of one text, by transformers alone."""
    from transformers import AutoModel, AutoTokenizer

    encoded = AutoTokenizer.from_pretrained(folder)(text, truncation=True, max_length=max_length, return_tensors="pt")
    with torch.no_grad():
        output = AutoModel.from_pretrained(folder).eval()(**encoded, output_hidden_states=True)
    np.testing.assert_allclose(output.hidden_states[-1], output.last_hidden_state)
    return np.stack([state[0].numpy() for state in output.hidden_states])


@pytest.mark.parametrize("layers", [(-1,), (2,), (0,), (1, -1), (0, 1, 2), "mix"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_logits_equal_transformers_on_one_text_at_a_time(tiny: Path, pooling: Any, layers: Any) -> None:
    network = TransformerClassifier(load_encoder(tiny), 3, pooling=pooling, layers=layers).eval()
    head = seeded_head(network)
    weights = np.ones(3) / 3
    scale = 1.0
    if layers == "mix":
        assert network.states.mix is not None
        scores, scale = np.array([0.3, -1.0, 0.7]), 1.5
        weights = np.exp(scores) / np.exp(scores).sum()
        with torch.no_grad():
            network.states.mix.scores.copy_(torch.tensor(scores))
            network.states.mix.scale.fill_(scale)
    with torch.no_grad():
        output = network(documents(tiny))
    for row, text in enumerate(TEXTS):
        states = slow_states(tiny, text)
        if layers == "mix":
            states = scale * sum(weight * state for weight, state in zip(weights, states, strict=True))
        else:
            states = sum(states[layer] for layer in layers) / len(layers)
        pooled = {"mean": states.sum(axis=0) / len(states), "cls": states[0], "max": states.max(axis=0)}[pooling]
        np.testing.assert_allclose(output.features[row], pooled, atol=1e-5)
        expected = head.weight.detach().numpy() @ pooled + head.bias.detach().numpy()
        np.testing.assert_allclose(output.logits[row], expected, atol=1e-4)
    assert network.decode(output, documents(tiny)).tolist() == output.logits.argmax(dim=1).tolist()


def test_the_native_head_is_that_of_transformers(tiny: Path) -> None:
    from transformers import BertForSequenceClassification

    torch.manual_seed(0)
    network = TransformerClassifier(load_native_classifier(tiny, 3), 3, pooling="native").eval()
    torch.manual_seed(0)
    other = BertForSequenceClassification.from_pretrained(tiny, num_labels=3).eval()
    assert isinstance(network.native, BertForSequenceClassification)
    assert network.encoder is network.native.bert
    assert network.head is network.native.classifier
    batch = documents(tiny)
    with torch.no_grad():
        output = network(batch)
        expected = other(input_ids=batch.input_ids, attention_mask=batch.mask.long(), labels=batch.labels)
        assert torch.allclose(output.logits, network.head(output.features), atol=1e-6)
        for row in range(len(TEXTS)):
            alone = other(input_ids=batch.input_ids[row][batch.mask[row]][None]).logits[0]
            assert torch.allclose(output.logits[row], alone, atol=1e-5)
    # A head that the folder lacks is drawn alike from the same seed.
    assert torch.allclose(output.logits, expected.logits, atol=1e-6)
    assert network.loss(output, batch).item() == pytest.approx(expected.loss.item(), abs=1e-6)


def test_a_native_head_with_a_hidden_layer_shows_what_its_last_layer_saw() -> None:
    from transformers import RobertaConfig, RobertaForSequenceClassification

    config = RobertaConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=20,
        num_labels=3,
    )
    native = RobertaForSequenceClassification(config)
    network = TransformerClassifier(native, 3, pooling="native", pad_id=1).eval()
    assert network.head is native.classifier.out_proj
    batch = Batch(torch.tensor([[0, 5, 6, 2], [0, 7, 2, 0]]), torch.tensor([[True] * 4, [True] * 3 + [False]]))
    with torch.no_grad():
        output = network(batch)
        hidden = native.roberta(batch.input_ids[:1]).last_hidden_state[:, 0]
        assert torch.allclose(output.features[:1], torch.tanh(native.classifier.dense(hidden)), atol=1e-6)
        assert torch.allclose(output.logits[1:], native(torch.tensor([[0, 7, 2]])).logits, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "native"])
def test_padding_changes_nothing(tiny: Path, pooling: Any) -> None:
    native = pooling == "native"
    encoder = load_native_classifier(tiny, 2) if native else load_encoder(tiny)
    network = TransformerClassifier(encoder, 2, pooling=pooling).eval()
    seeded_head(network)
    batch = documents(tiny)
    padding = torch.full((len(TEXTS), 5), 7)  # not even what stands there counts
    padded = Batch(
        torch.cat([batch.input_ids, padding], dim=1), torch.cat([batch.mask, torch.zeros_like(padding).bool()], dim=1)
    )
    with torch.no_grad():
        assert torch.allclose(network(padded).logits, network(batch).logits, atol=1e-5)
        exported = network.logits(batch.input_ids, batch.mask.long())
        assert torch.allclose(exported, network(batch).logits, atol=1e-6)


def test_a_pad_id_other_than_0_is_what_the_encoder_reads_on_padding() -> None:
    from transformers import RobertaConfig, RobertaModel

    # RoBERTa numbers positions by which ids are not its padding, 1: a 0 there is a token to it.
    config = RobertaConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=20,
        pad_token_id=1,
        initializer_range=0.5,
    )
    encoder = RobertaModel(config, add_pooling_layer=False).eval()
    seen: list[torch.Tensor] = []
    encoder.embeddings.word_embeddings.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    batch = Batch(
        torch.tensor([[0, 5, 6, 7, 2], [0, 8, 2, 0, 0]]),
        torch.tensor([[True] * 5, [True] * 3 + [False] * 2]),
        words=torch.tensor([[-1, 0, 1, 1, -1], [-1, 0, -1, -1, -1]]),
    )
    with torch.no_grad():
        for network in (TransformerClassifier(encoder, 2, pad_id=1), TransformerTagger(encoder, 2, pad_id=1)):
            network.eval()(batch)
            assert seen[-1].tolist() == [[0, 5, 6, 7, 2], [0, 8, 2, 1, 1]]
        states = HiddenStates(encoder, pad_id=1)(batch.input_ids, batch.mask)
        alone = encoder(torch.tensor([[0, 8, 2]])).last_hidden_state
    assert torch.allclose(states[1:, :3], alone, atol=1e-5)
    assert batch.input_ids[1].tolist() == [0, 8, 2, 0, 0], "the batch is left as it was"


def random_words(random: np.random.Generator) -> tuple[torch.Tensor, list[list[list[int]]]]:
    """(4, 12) which word each position is of; and the positions of each row's words."""
    words = torch.full((4, 12), -1)
    positions: list[list[list[int]]] = []
    for row, num_words in enumerate((5, 1, 3, 4)):
        own, at = [], 1
        for word in range(num_words):
            size = int(random.integers(1, 3))
            own.append(list(range(at, at + size)))
            words[row, at : at + size] = word
            at += size
        positions.append(own)
    return words, positions


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("subwords", ["first", "mean"])
def test_a_word_is_its_first_subword_or_the_mean_of_all(subwords: Any, dtype: torch.dtype) -> None:
    for seed in range(5):
        words, positions = random_words(np.random.default_rng(seed))
        states = torch.randn(4, 12, 6, generator=torch.Generator().manual_seed(seed)).to(dtype)
        found = word_states(states, words, subwords=subwords)
        assert found.shape == (4, 5, 6) and found.dtype == dtype
        for row, own in enumerate(positions):
            for word, at in enumerate(own):
                expected = states[row, at[0]].float()
                if subwords == "mean":
                    expected = sum((states[row, position].float() for position in at), torch.zeros(6)) / len(at)
                rounding = 0.02 if dtype == torch.bfloat16 and subwords == "mean" else 1e-6
                assert torch.allclose(found[row, word].float(), expected, atol=rounding)
        if subwords == "mean":
            assert (found[1, 1:] == 0).all()


@pytest.mark.parametrize("subwords", ["first", "mean"])
def test_gradients_reach_the_subwords_that_stand_for_a_word_and_no_others(subwords: Any) -> None:
    words = torch.tensor([[-1, 0, 0, 1, -1], [-1, 0, -1, -1, -1]])
    states = torch.zeros(2, 5, 3, requires_grad=True)
    real = torch.tensor([[True, True], [True, False]])
    word_states(states, words, subwords=subwords)[real].sum().backward()
    expected = {"first": [[0, 1, 0, 1, 0], [0, 1, 0, 0, 0]], "mean": [[0, 0.5, 0.5, 1, 0], [0, 1, 0, 0, 0]]}[subwords]
    assert states.grad is not None
    assert states.grad[..., 0].tolist() == expected


@pytest.mark.parametrize("subwords", ["first", "mean"])
def test_a_tagger_equals_transformers_on_one_sentence_at_a_time(tiny: Path, subwords: Any) -> None:
    tokenizer = load_tokenizer(tiny)
    network = TransformerTagger(load_encoder(tiny), 4, subwords=subwords).eval()
    head = seeded_head(network)
    encoded = encode_words(tokenizer, SENTENCES)
    (batch,) = WordBatches(encoded, batch_size=4, seed=None)
    rows = sorted(range(3), key=lambda number: len(SENTENCES[number]))
    with torch.no_grad():
        output = network(batch)
        assert output.logits.shape == (3, 7, 4) and output.features.shape == (3, 7, 8)
        exported = network.logits(batch.input_ids, batch.mask.long())
    for row, number in enumerate(rows):
        states = slow_states(tiny, " ".join(SENTENCES[number]), max_length=32)
        at = 1
        for place, word in enumerate(SENTENCES[number]):
            size = len(tokenizer.tokenize(word))
            own = states[-1, at : at + (1 if subwords == "first" else size)].mean(axis=0)
            np.testing.assert_allclose(output.features[row, place], own, atol=1e-5)
            expected = head.weight.detach().numpy() @ own + head.bias.detach().numpy()
            np.testing.assert_allclose(output.logits[row, place], expected, atol=1e-4)
            if subwords == "first":
                np.testing.assert_allclose(exported[row, at], expected, atol=1e-4)
            at += size


def tagged_batch(folder: Path) -> Batch:
    labels = [[0, 1, 2, 3, 0, 1, 2], [NO_LABEL, 3], [1]]
    (batch,) = WordBatches(encode_words(load_tokenizer(folder), SENTENCES, labels=labels), batch_size=4)
    return batch


def test_the_loss_of_a_tagger_is_the_mean_over_labelled_words(tiny: Path) -> None:
    network = TransformerTagger(load_encoder(tiny), 4).eval()
    seeded_head(network)
    batch = tagged_batch(tiny)
    assert batch.labels is not None
    with torch.no_grad():
        output = network(batch)
        terms = [
            -functional.log_softmax(output.logits[row, place], dim=-1)[label]
            for row in range(3)
            for place, label in enumerate(batch.labels[row].tolist())
            if label != NO_LABEL
        ]
        assert len(terms) == batch.num_labels() == 9
        assert network.loss(output, batch).item() == pytest.approx(float(sum(terms)) / 9, rel=1e-5)
        unlabelled = replace(batch, labels=torch.full_like(batch.labels, NO_LABEL))
        assert network.loss(output, unlabelled).item() == 0.0
    assert network.decode(output, batch).shape == (3, 7)


def test_the_parts_of_a_batch_that_processes_take_add_up_to_its_loss(tiny: Path) -> None:
    network = TransformerTagger(load_encoder(tiny), 4).eval()
    seeded_head(network)
    batch = tagged_batch(tiny)
    with torch.no_grad():
        whole = network.loss(network(batch), batch).item() * batch.num_labels()
        parts = [batch.part(index, 2) for index in range(2)]
        # The second has two words a row at most, in a batch of seven.
        assert [int(part.words.max()) for part in parts if part.words is not None] == [6, 1]
        assert [len(part.input_ids) for part in parts] == [2, 1]
        added = sum(network.loss(network(part), part).item() * part.num_labels() for part in parts)
    assert added == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("layers", [(-1,), "mix"])
def test_autocast_to_bf16_gives_about_the_same_loss_and_gradients(tiny: Path, layers: Any) -> None:
    classifier = TransformerClassifier(load_encoder(tiny), 3, layers=layers, dropout=0.0).eval()
    tagger = TransformerTagger(load_encoder(tiny), 4, layers=layers, subwords="mean", dropout=0.0).eval()
    for network, batch in ((classifier, documents(tiny)), (tagger, tagged_batch(tiny))):
        seeded_head(network)
        found = []
        for enabled in (False, True):
            network.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                loss = network.loss(network(batch), batch)
            loss.backward()
            assert loss.dtype == torch.float32
            gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
            assert len(gradients) == len(list(network.parameters()))
            found.append((loss.item(), torch.cat([gradient.flatten() for gradient in gradients])))
        (loss, gradient), (loss_bf16, gradient_bf16) = found
        assert loss_bf16 == pytest.approx(loss, rel=0.02)
        assert functional.cosine_similarity(gradient, gradient_bf16, dim=0) > 0.99


def test_attention_dropout_is_set_or_left_as_the_folder_says(tiny: Path) -> None:
    for load in (load_encoder, lambda folder, **given: load_native_classifier(folder, 2, **given)):
        left, without = load(tiny), load(tiny, attention_dropout=0.0)
        assert [model.config.attention_probs_dropout_prob for model in (left, without)] == [0.1, 0.0]
        dropped = {name: part.p for name, part in without.named_modules() if isinstance(part, nn.Dropout)}
        assert {share for name, share in dropped.items() if "attention.self" in name} <= {0.0}
        assert 0.1 in dropped.values(), "other dropout stays"
        assert left.training and next(left.parameters()).dtype == torch.float32


def test_an_encoder_without_pretraining_is_drawn_from_torch_s_generator(tiny: Path) -> None:
    def first(**given: Any) -> torch.Tensor:
        return next(load_encoder(tiny, **given).parameters()).detach()

    torch.manual_seed(1)
    drawn = first(pretrained=False)
    torch.manual_seed(1)
    assert torch.equal(first(pretrained=False), drawn)
    assert not torch.equal(first(pretrained=False), drawn)
    assert torch.equal(first(), first()) and not torch.equal(first(), drawn)


def test_no_parameter_is_left_that_no_head_reads(tiny: Path) -> None:
    network = TransformerClassifier(load_encoder(tiny), 3)
    batch = documents(tiny)
    network.loss(network(batch), batch).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_the_head_starts_small_and_the_uncertainty_even(tiny: Path) -> None:
    network = TransformerClassifier(load_encoder(tiny), 3).eval()
    assert 0.005 < network.head.weight.std().item() < 0.04
    assert (network.head.bias == 0).all()
    batch = documents(tiny)
    assert network.loss(network(batch), batch).item() == pytest.approx(math.log(3), abs=0.1)


def test_unknown_layers_poolings_and_subwords_say_what_there_is(tiny: Path) -> None:
    encoder: Any = load_encoder(tiny)
    for layers in ((3,), (-4,), (0, 9), ()):
        with pytest.raises(InputError, match=r"no such layer. Expected numbers from -3 to 2 .* or mix"):
            TransformerClassifier(encoder, 2, layers=layers)
        with pytest.raises(InputError, match="no such layer"):
            TransformerTagger(encoder, 2, layers=layers)
    unknown: Any = "median"
    with pytest.raises(InputError, match=r"unknown pooling. Expected mean or cls or max or native; found 'median'"):
        TransformerClassifier(encoder, 2, pooling=unknown)
    with pytest.raises(InputError, match=r"unknown choice of subwords. Expected first or mean; found 'median'"):
        TransformerTagger(encoder, 2, subwords=unknown)
    with pytest.raises(InputError, match="the native head reads the last layer"):
        TransformerClassifier(load_native_classifier(tiny, 2), 2, pooling="native", layers="mix")


def test_what_transformers_cannot_read_says_so(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: transformers can't read the encoder"):
        load_encoder(tmp_path / "empty")
    load_native_classifier(tiny, 3).save_pretrained(tmp_path / "three")  # type: ignore[operator]
    assert load_encoder(tmp_path / "three")
    with pytest.raises(InputError, match=r"the weights do not fit the configuration and 2 labels. Use --pooling"):
        load_native_classifier(tmp_path / "three", 2)
    with pytest.raises(InputError, match="BertModel has no linear output layer of 5 labels"):
        output_layer(load_encoder(tiny), 5)
    weights = tiny / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(InputError, match="transformers can't read the encoder"):
        load_encoder(tiny)


def test_transformers_is_quiet_while_loading_and_as_it_was_afterwards(
    tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging

    level = logging.get_verbosity()
    load_native_classifier(tiny, 3)  # its head is not in the folder, which transformers would report
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (level, True)
    assert capfd.readouterr() == ("", "")
