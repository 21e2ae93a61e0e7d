"""LoRA starts as the encoder, trains nothing else of it, and leaves a plain encoder behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nlptransfer.finetuning.layer_groups import layer_groups
from nlptransfer.finetuning.lora import add_lora, merge_lora
from nlptransfer.finetuning.plans import fine_tune, make_plan
from nlptransfer.models.transformer import TransformerClassifier, load_encoder
from nlptransfer.training import schedules
from tests.finetuning.test_plans import make_batches, step

pytest.importorskip("peft")


def logits(network: TransformerClassifier) -> torch.Tensor:
    network.eval()
    with torch.no_grad():
        return torch.cat([network(batch).logits for batch in make_batches()])


def test_at_first_nothing_is_changed_and_only_low_rank_matrices_and_the_head_are_trainable(tiny: Path) -> None:
    network = TransformerClassifier(load_encoder(tiny), 2)
    before = logits(network)
    torch.manual_seed(0)
    add_lora(network.encoder, rank=2)
    assert torch.equal(logits(network), before)
    trainable = {name for name, own in network.named_parameters() if own.requires_grad}
    assert trainable and all("lora_" in name or name.startswith("head.") for name in trainable)
    # Six linear maps a layer: four of 8 x 8, one of 8 x 12, one of 12 x 8, each with A and B of rank 2.
    per_layer = 4 * 2 * (8 + 8) + 2 * 2 * (8 + 12)
    count = sum(own.numel() for name, own in network.named_parameters() if "lora_" in name)
    assert count == 3 * per_layer


def test_after_training_the_change_has_the_rank_and_merging_keeps_the_outputs(tiny: Path) -> None:
    network = TransformerClassifier(load_encoder(tiny), 2)
    names = list(network.state_dict())
    start = {name: own.detach().clone() for name, own in network.state_dict().items()}
    torch.manual_seed(0)
    add_lora(network.encoder, rank=2, scale=3.0)
    plan = make_plan(layer_groups(network), epochs=2, learning_rate=0.05, schedule=schedules.constant)
    fine_tune(network, plan, step, make_batches(), seed=0)
    layer = network.encoder.encoder.layer[0].attention.self.query
    expected = 3.0 * layer.lora_B["default"].weight.detach() @ layer.lora_A["default"].weight.detach()
    trained = logits(network)
    merge_lora(network.encoder)
    assert list(network.state_dict()) == names
    assert torch.allclose(logits(network), trained, atol=1e-5)
    assert all(own.requires_grad for own in network.parameters())
    key = "states.encoder.encoder.layer.0.attention.self.query.weight"
    change = network.state_dict()[key] - start[key]
    assert torch.allclose(change, expected, atol=1e-6)
    assert torch.linalg.matrix_rank(change, atol=1e-5) == 2
    assert torch.equal(
        network.encoder.embeddings.word_embeddings.weight, start["states.encoder.embeddings.word_embeddings.weight"]
    )
