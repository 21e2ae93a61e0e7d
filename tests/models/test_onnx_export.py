"""An exported model computes in ONNX Runtime what it computes here, on any batch and length, or is not written."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nlptransfer.errors import InputError
from nlptransfer.models.onnx_export import OnnxReport, export_onnx

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

SIZES = {
    "vocab_size": 30, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, "num_hidden_layers": 1,
    "initializer_range": 0.5, "max_position_embeddings": 64,
}  # fmt: skip


class Classifier(nn.Module):
    """Mean pooling and a head of 3 classes."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(16, 3)

    def logits(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask[..., None].to(states.dtype)
        return self.head(self.dropout((states * mask).sum(dim=1) / mask.sum(dim=1)))


class Tagger(Classifier):
    """A head of 3 classes on each subword."""

    def logits(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self.head(self.dropout(states))


class Forgetful(Classifier):
    """Gives another answer each time it is asked, which no file can."""

    calls = 0

    def logits(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().logits(input_ids, attention_mask) + self.calls


def make_encoder(family: str = "bert", **settings: Any) -> Any:
    from transformers import AutoConfig, AutoModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModel.from_config(AutoConfig.for_model(family, **{**SIZES, **settings}))


def run(path: Path, ids: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(["logits"], {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
    return found


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, OnnxReport]:
    network = Classifier(make_encoder()).train()
    return network, export_onnx(network, tmp_path_factory.mktemp("exported") / "out" / "model.onnx")


def test_a_classifier_agrees_also_on_shapes_that_the_export_never_saw(exported: tuple[Classifier, OnnxReport]) -> None:
    network, report = exported
    assert report.shapes == ((1, 7), (5, 7), (1, 33), (5, 33))
    assert report.largest_difference < 1e-4
    assert report.num_bytes == report.path.stat().st_size
    assert [path.name for path in report.path.parent.iterdir()] == ["model.onnx"]
    for batch, length in ((1, 1), (3, 2), (4, 63)):
        ids = torch.randint(1, 30, (batch, length), generator=torch.Generator().manual_seed(1))
        mask = torch.ones_like(ids)
        mask[1:, length // 2 + 1 :] = 0
        evaluated = copy.deepcopy(network).eval()
        with torch.inference_mode():
            np.testing.assert_allclose(run(report.path, ids, mask), evaluated.logits(ids, mask), atol=1e-4)


def test_the_network_is_left_as_it_was(exported: tuple[Classifier, OnnxReport]) -> None:
    network, _ = exported
    assert network.training and network.dropout.training
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_padding_does_not_change_what_the_file_says_of_a_text(exported: tuple[Classifier, OnnxReport]) -> None:
    path = exported[1].path
    ids = torch.tensor([[5, 9, 7]])
    alone = run(path, ids, torch.ones_like(ids))
    padded = run(path, torch.tensor([[5, 9, 7, 0, 0]]), torch.tensor([[1, 1, 1, 0, 0]]))
    np.testing.assert_allclose(padded, alone, atol=1e-5)
    # The control: read as tokens, the same two would change it.
    assert np.abs(run(path, torch.tensor([[5, 9, 7, 0, 0]]), torch.ones(1, 5, dtype=torch.long)) - alone).max() > 1e-2


def test_a_tagger_gives_logits_of_each_subword(tmp_path: Path) -> None:
    network = Tagger(make_encoder("roberta", pad_token_id=1)).eval()
    path = export_onnx(network, tmp_path / "model.onnx").path
    ids = torch.tensor([[5, 9, 7, 8], [6, 4, 1, 1]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    found = run(path, ids, mask)
    assert found.shape == (2, 4, 3)
    with torch.inference_mode():
        np.testing.assert_allclose(found[mask.bool()], network.logits(ids, mask)[mask.bool()], atol=1e-4)


def test_a_model_of_transformers_is_exported_as_it_is(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    model = BertForSequenceClassification(BertConfig(**SIZES, num_labels=4)).to(torch.bfloat16)
    report = export_onnx(model, tmp_path / "model.onnx")
    assert model.dtype == torch.bfloat16
    ids = torch.tensor([[5, 9, 7]])
    assert run(report.path, ids, torch.ones_like(ids)).shape == (1, 4)


def test_a_file_that_disagrees_is_not_written_and_an_older_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"older")
    with pytest.raises(InputError, match=r"disagrees .*a difference of at most 0\.0001; found \d.*Nothing was written"):
        export_onnx(Forgetful(make_encoder()), path)
    assert path.read_bytes() == b"older" and list(tmp_path.iterdir()) == [path]


def test_a_folder_of_an_encoder_that_reads_little_is_checked_on_what_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Forgetful(make_encoder(max_position_embeddings=12))
    monkeypatch.setattr("nlptransfer.models.onnx_export.load", lambda folder: SimpleNamespace(network=network))
    # A tolerance that allows for the difference accepts it.
    report = export_onnx(tmp_path / "folder", tmp_path / "model.onnx", tolerance=100)
    assert report.shapes == ((1, 7), (5, 7), (1, 12), (5, 12))
    assert 0.5 < report.largest_difference < 100


def test_missing_packages_are_named_with_the_extra_that_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r'onnxruntime.*pip install "nlptransfer\[onnx\]"'):
        export_onnx(Classifier(make_encoder()), tmp_path / "model.onnx")


def test_what_is_no_transformer_and_what_is_too_large_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"only transformers are written.*found Linear"):
        export_onnx(nn.Linear(2, 2), tmp_path / "model.onnx")
    with pytest.raises(InputError, match="no such model folder"):
        export_onnx(tmp_path / "nowhere", tmp_path / "model.onnx")
    monkeypatch.setattr("nlptransfer.models.onnx_export._LARGEST", 1_000)
    with pytest.raises(InputError, match="too large for one ONNX file"):
        export_onnx(Classifier(make_encoder()), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
