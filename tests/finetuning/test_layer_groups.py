"""Each parameter is in one group, and the groups are in the order of the forward pass."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from nlptransfer.adaptation.domain_step import NetworkWithParts
from nlptransfer.finetuning.layer_groups import layer_groups
from nlptransfer.models.transformer import (
    TransformerClassifier,
    TransformerTagger,
    load_encoder,
    load_native_classifier,
)


def test_each_parameter_is_in_one_group(tiny: Path) -> None:
    network = TransformerClassifier(load_encoder(tiny), 2)
    groups = layer_groups(network)
    assert [group.name for group in groups] == ["embeddings", "layer 1", "layer 2", "layer 3", "head"]
    found = [id(parameter) for group in groups for parameter in group.parameters]
    assert sorted(found) == sorted(id(parameter) for parameter in network.parameters())
    assert sum(group.size for group in groups) == sum(parameter.numel() for parameter in network.parameters())
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    for group, part in zip(groups, ["embeddings.", "layer.0.", "layer.1.", "layer.2.", "head."], strict=True):
        assert all(part in names[id(parameter)] for parameter in group.parameters), group.name


def test_the_pooler_of_a_native_head_trains_with_the_head(tiny: Path) -> None:
    network = TransformerClassifier(load_native_classifier(tiny, 3), 3, pooling="native")
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    head = [names[id(parameter)] for parameter in layer_groups(network)[-1].parameters]
    assert sorted({name.split(".")[-2] for name in head}) == ["classifier", "dense"]


def test_what_is_trained_beside_a_network_belongs_to_the_head(tiny: Path) -> None:
    network = TransformerTagger(load_encoder(tiny), 5, layers="mix")
    whole = NetworkWithParts(network, nn.Linear(8, 2))
    head = layer_groups(whole)[-1]
    assert head.size == (8 * 5 + 5) + (4 + 1) + (8 * 2 + 2)  # the head, the mix of layers, the part
    assert sum(group.size for group in layer_groups(whole)) == sum(own.numel() for own in whole.parameters())


@pytest.mark.parametrize("kind", ["distilbert", "roberta", "electra"])
def test_other_families_have_the_same_groups(kind: str) -> None:
    import transformers

    kinds = {"distilbert": "DistilBert", "roberta": "Roberta", "electra": "Electra"}
    config = getattr(transformers, f"{kinds[kind]}Config")(
        vocab_size=20, hidden_size=8, dim=8, hidden_dim=12, num_hidden_layers=2, n_layers=2, num_attention_heads=2,
        n_heads=2, intermediate_size=12, embedding_size=4, max_position_embeddings=20,
    )  # fmt: skip
    network = TransformerClassifier(getattr(transformers, f"{kinds[kind]}Model")(config), 2)
    groups = layer_groups(network)
    assert [group.name for group in groups] == ["embeddings", "layer 1", "layer 2", "head"]
    assert all(group.size for group in groups)
    assert sum(group.size for group in groups) == sum(own.numel() for own in network.parameters())
