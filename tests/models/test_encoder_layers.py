"""The layers of an encoder are found in every family, and refused where there are none to tell apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from nlptransfer.errors import InputError
from nlptransfer.models.encoder_layers import encoder_layers

SMALL = {"vocab_size": 20, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}


def make_encoder(family: str, num_layers: int, **settings: Any) -> Any:
    from transformers import AutoConfig, AutoModel

    distil = {"vocab_size": 20, "dim": 8, "n_heads": 2, "hidden_dim": 12, "n_layers": num_layers}
    sizes = distil if family == "distilbert" else {**SMALL, "num_hidden_layers": num_layers}
    if family == "modernbert":
        sizes.update(pad_token_id=0, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2)
    return AutoModel.from_config(AutoConfig.for_model(family, **sizes, **settings))


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize(
    "family",
    [
        "bert",
        "roberta",
        "xlm-roberta",
        "distilbert",
        "electra",
        "deberta",
        "deberta-v2",
        "mpnet",
        "camembert",
        "modernbert",
    ],
)
def test_the_layers_of_a_family_are_found_in_their_order(family: str, num_layers: int) -> None:
    encoder = make_encoder(family, num_layers)
    layers = encoder_layers(encoder)
    assert isinstance(layers, nn.ModuleList) and len(layers) == num_layers
    # In reading order: each layer runs once, lowest first.
    order: list[int] = []
    for index, layer in enumerate(layers):
        layer.register_forward_hook(lambda *_, index=index: order.append(index))
    encoder(input_ids=torch.tensor([[3, 4, 5]]), attention_mask=torch.ones(1, 3, dtype=torch.long))
    assert order == list(range(num_layers))


def test_the_layers_of_a_model_with_a_head_are_those_of_its_encoder() -> None:
    from transformers import BertConfig, BertForSequenceClassification

    model = BertForSequenceClassification(BertConfig(**SMALL, num_hidden_layers=2))
    assert encoder_layers(model) is model.bert.encoder.layer


def test_layers_that_share_their_weights_are_refused() -> None:
    with pytest.raises(InputError, match=r"AlbertModel: .* share one set of weights.*found 3 layers that share 1"):
        encoder_layers(make_encoder("albert", 3, embedding_size=4))
    with pytest.raises(InputError, match="share one set of weights"):
        encoder_layers(make_encoder("albert", 1, embedding_size=4))


def test_a_module_without_layers_or_with_two_stacks_is_refused() -> None:
    class Stacks(nn.Module):
        def __init__(self, *depths: int) -> None:
            super().__init__()
            self.config = SimpleNamespace(num_hidden_layers=2)
            for number, depth in enumerate(depths):
                setattr(self, f"stack{number}", nn.ModuleList(nn.Linear(2, 2) for _ in range(depth)))

    with pytest.raises(InputError, match=r"no list of layers.*one list of 2 layers.*found none"):
        encoder_layers(Stacks(3))
    with pytest.raises(InputError, match=r"can't be told.*found 2: stack0, stack1"):
        encoder_layers(Stacks(2, 2))


def test_of_a_list_inside_a_layer_the_outer_one_counts() -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = SimpleNamespace(num_hidden_layers=2)
            self.stack = nn.ModuleList(nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)]) for _ in range(2))

    nested = Nested()
    assert encoder_layers(nested) is nested.stack
