"""Re-initialised layers are drawn as for an untrained encoder, and everything else keeps every bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nlptransfer.errors import InputError
from nlptransfer.finetuning.reinitialise import reinitialise_layers
from nlptransfer.models.encoder_layers import encoder_layers

SIZES = {
    "vocab_size": 20, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, "num_hidden_layers": 3,
    "initializer_range": 0.3,
}  # fmt: skip
DISTIL = {"vocab_size": 20, "dim": 16, "n_heads": 2, "hidden_dim": 24, "n_layers": 3, "initializer_range": 0.3}


def make_encoder(family: str = "bert") -> Any:
    """An encoder whose every number was moved away from where it began, as by training."""
    from transformers import AutoConfig, AutoModel

    encoder = AutoModel.from_config(AutoConfig.for_model(family, **(DISTIL if family == "distilbert" else SIZES)))
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.fill_(5.0)
    return encoder


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(before: dict[str, torch.Tensor], model: Any) -> set[str]:
    return {name for name, tensor in model.state_dict().items() if not torch.equal(before[name], tensor)}


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra", "deberta", "deberta-v2", "mpnet"])
def test_the_top_layers_and_the_pooler_are_drawn_and_nothing_else_moves(family: str) -> None:
    encoder = make_encoder(family)
    before = weights(encoder)
    reinitialise_layers(encoder, 2, seed=1)
    layers = encoder_layers(encoder)
    names = {id(parameter): name for name, parameter in encoder.named_parameters()}
    expected = {names[id(parameter)] for layer in layers[1:] for parameter in layer.parameters()}
    pooler = getattr(encoder, "pooler", None)
    if pooler is not None:
        expected |= {names[id(parameter)] for parameter in pooler.parameters()}
    assert (pooler is None) == (family in ("distilbert", "electra", "deberta", "deberta-v2"))
    assert changed(before, encoder) == expected


def test_weights_are_normal_with_the_range_of_the_settings_biases_zero_and_norms_one() -> None:
    encoder = make_encoder()
    reinitialise_layers(encoder, 3, seed=1)
    drawn = []
    for name, parameter in encoder.named_parameters():
        if name.startswith("embeddings"):
            continue
        if name.endswith("bias"):
            assert (parameter == 0).all(), name
        elif "LayerNorm" in name:
            assert (parameter == 1).all(), name
        else:
            drawn.append(parameter.detach().flatten())
    values = torch.cat(drawn)
    # The error of a standard deviation from n draws is about sigma / sqrt(2 n).
    assert len(values) > 5_000
    assert abs(values.std().item() - 0.3) < 5 * 0.3 / (2 * len(values)) ** 0.5
    assert abs(values.mean().item()) < 5 * 0.3 / len(values) ** 0.5
    assert (values.abs() < 0.3).float().mean().item() == pytest.approx(0.6827, abs=0.03)


def test_no_two_layers_get_the_same_weights() -> None:
    encoder = make_encoder()
    reinitialise_layers(encoder, 2, seed=1)
    one, other = (layer.attention.self.query.weight for layer in encoder_layers(encoder)[1:])
    assert not torch.equal(one, other)


def test_the_seed_decides_the_weights_and_the_global_generator_is_left_alone() -> None:
    found = []
    for seed in (1, 1, 2):
        encoder = make_encoder()
        state = torch.random.get_rng_state()
        reinitialise_layers(encoder, 1, seed=seed)
        assert torch.equal(torch.random.get_rng_state(), state)
        found.append(encoder_layers(encoder)[-1].output.dense.weight)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_layers_of_a_model_read_from_a_folder_are_drawn_too(tmp_path: Path) -> None:
    from transformers import AutoModel

    make_encoder().save_pretrained(tmp_path)
    encoder = AutoModel.from_pretrained(tmp_path)
    reinitialise_layers(encoder, 1, seed=1)
    *below, top = encoder_layers(encoder)
    assert all((parameter == 5).all() for layer in below for parameter in layer.parameters())
    assert not any((parameter == 5).any() for parameter in (*top.parameters(), *encoder.pooler.parameters()))


def test_a_head_is_left_and_the_pooler_below_it_is_drawn() -> None:
    from transformers import BertConfig, BertForSequenceClassification

    model = BertForSequenceClassification(BertConfig(**SIZES))
    before = weights(model)
    reinitialise_layers(model, 1, seed=1)
    moved = changed(before, model)
    assert not any(name.startswith("classifier") for name in moved)
    assert "bert.pooler.dense.weight" in moved and "bert.encoder.layer.2.output.dense.weight" in moved


def test_frozen_parameters_stay_frozen() -> None:
    encoder = make_encoder().requires_grad_(False)
    reinitialise_layers(encoder, 3, seed=1)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_none_to_draw_leaves_every_bit() -> None:
    encoder = make_encoder()
    before = weights(encoder)
    reinitialise_layers(encoder, 0, seed=1)
    assert not changed(before, encoder)


def test_more_layers_than_there_are_and_shared_layers_are_refused() -> None:
    from transformers import AlbertConfig, AlbertModel

    with pytest.raises(InputError, match=r"BertModel: there are fewer layers .*at most 3; found 4"):
        reinitialise_layers(make_encoder(), 4, seed=1)
    with pytest.raises(ValueError, match="can't be -1"):
        reinitialise_layers(make_encoder(), -1, seed=1)
    albert = AlbertModel(AlbertConfig(**SIZES, embedding_size=4))
    with pytest.raises(InputError, match="share one set of weights"):
        reinitialise_layers(albert, 1, seed=1)
