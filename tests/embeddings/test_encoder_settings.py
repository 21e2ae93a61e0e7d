"""How much each family reads, against the families themselves; and checkpoints that lack weights."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nlptransfer.embeddings.encoder_features import EncoderFeatures
from nlptransfer.embeddings.encoder_settings import (
    check_max_length,
    load_config,
    load_tokenizer,
    longest_input,
    padding_id,
)
from nlptransfer.errors import InputError
from nlptransfer.models.transformer import load_encoder, load_native_classifier


def make_encoder(family: str) -> Any:
    """An untrained model of a family with 20 positions, its token of padding being 1."""
    from transformers import AutoConfig, AutoModel

    sizes: dict[str, Any] = {
        "vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12,
        "max_position_embeddings": 20, "pad_token_id": 1,
    }  # fmt: skip
    if family == "distilbert":
        sizes = {"vocab_size": 30, "dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 12, "pad_token_id": 1}
        sizes["max_position_embeddings"] = 20
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModel.from_config(AutoConfig.for_model(family, **sizes)).eval()


@pytest.mark.parametrize(
    ("family", "longest"),
    [
        ("bert", 20), ("distilbert", 20), ("electra", 20), ("camembert", 18), ("mpnet", 18), ("roberta", 18),
        ("roberta-prelayernorm", 18), ("xlm-roberta", 18),
    ],
)  # fmt: skip
def test_the_longest_input_is_what_the_family_has_positions_for(family: str, longest: int) -> None:
    encoder = make_encoder(family)
    assert longest_input(encoder.config) == longest
    ids = torch.full((1, longest), 7)
    assert encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.isfinite().all()
    more = torch.full((1, longest + 1), 7)
    with pytest.raises((IndexError, RuntimeError)):
        encoder(input_ids=more, attention_mask=torch.ones_like(more))


def test_an_encoder_without_a_number_of_positions_reads_as_much_as_its_tokenizer() -> None:
    for config in (SimpleNamespace(model_type="xlnet"), SimpleNamespace(model_type="x", max_position_embeddings=-1)):
        assert longest_input(config) is None and padding_id(config) == 0
        check_max_length(300, config, SimpleNamespace(model_max_length=300), where="here")
        with pytest.raises(InputError, match=r"at most 300"):
            check_max_length(301, config, SimpleNamespace(model_max_length=300), where="here")


def test_a_max_length_that_runs_over_the_positions_of_roberta_is_refused() -> None:
    roberta = make_encoder("roberta").config
    check_max_length(18, roberta, SimpleNamespace(model_max_length=10**30), where="here")
    with pytest.raises(InputError, match=r"more than the encoder reads.*at most 18"):
        check_max_length(19, roberta, SimpleNamespace(model_max_length=10**30), where="here")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An untrained BERT with a tokenizer."""
    from transformers import BertTokenizerFast

    words = tmp_path / "words.txt"
    words.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "book"]))
    place = tmp_path / "encoder"
    encoder = make_encoder("bert")
    encoder.save_pretrained(place)
    BertTokenizerFast(vocab=str(words), model_max_length=20).save_pretrained(place)
    return place


def without(folder: Path, part: str) -> None:
    """Take all weights away whose name has a part in it."""
    file = folder / "model.safetensors"
    weights = load_file(file)
    kept = {name: tensor for name, tensor in weights.items() if part not in name}
    assert len(kept) < len(weights)
    save_file(kept, file, metadata={"format": "pt"})


def test_a_checkpoint_that_lacks_a_pooler_is_read_and_one_that_lacks_a_layer_is_not(folder: Path) -> None:
    without(folder, "pooler")
    load_encoder(folder)
    load_native_classifier(folder, 2)
    assert EncoderFeatures(folder, max_length=8, cache=False).encode(["a good book"]).shape == (1, 8)
    without(folder, "layer.0.output")
    for read in (
        lambda: load_encoder(folder),
        lambda: load_native_classifier(folder, 2),
        lambda: EncoderFeatures(folder, max_length=8, cache=False).encode(["a good book"]),
    ):
        with pytest.raises(InputError, match=r"lacks weights of the encoder.*layer\.0\.output.* and 1 more"):
            read()
    load_encoder(folder, pretrained=False)


def test_what_can_not_be_read_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"can't read the tokenizer"):
        load_tokenizer(tmp_path / "empty")
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"can't read the encoder's configuration"):
        load_config(folder)
