"""TSDAE through sentence-transformers: the loss falls, and what is left behind is an encoder that loads anywhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nlptransfer.adaptation.tsdae import delete_words, pretrain_tsdae
from nlptransfer.embeddings.encoder_features import EncoderFeatures
from nlptransfer.errors import InputError

BOOK = ["story", "author", "page", "novel", "chapter", "read", "plot", "tale"]
PAN = ["pan", "knife", "kitchen", "cook", "oil", "steel", "handle", "lid"]


def make_texts(number: int = 60) -> list[str]:
    """Sentences about books and about pans, and one that is empty."""
    rng = np.random.default_rng(0)
    topics = [(BOOK, PAN)[row % 2] for row in range(number - 1)]
    return [*(" ".join(["the", *rng.choice(words, 6)]) for words in topics), " "]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained BERT of two layers that reads at most 24 tokens."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    folder.mkdir()
    (folder / "words.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", *BOOK, *PAN]))
    tokenizer = BertTokenizerFast(vocab=str(folder / "words.txt"), model_max_length=24)
    tokenizer.save_pretrained(folder)
    (folder / "words.txt").unlink()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=24,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    return folder


def run(encoder: Path, output: Path, **settings: Any) -> tuple[Path, list[float]]:
    rows: list[dict[str, Any]] = []
    given = {"epochs": 6, "learning_rate": 3e-3, "max_length": 16, "seed": 0, **settings}
    return pretrain_tsdae(encoder, make_texts(), output, on_epoch=rows.append, **given), [row["loss"] for row in rows]


@pytest.fixture(scope="module")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    return run(tiny, tmp_path_factory.mktemp("out") / "adapted")


def test_the_loss_falls_below_that_of_guessing(trained: tuple[Path, list[float]]) -> None:
    _, losses = trained
    # A sentence is "the", six words of 16 and [SEP]: guessing costs 6 log 16 nats for 8 tokens.
    assert losses[-1] < 6 * np.log(16) / 8 < losses[0]


def test_the_folder_is_an_encoder_for_transformers_and_for_features(
    trained: tuple[Path, list[float]], tiny: Path
) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder, _ = trained
    model = AutoModel.from_pretrained(folder, local_files_only=True)
    assert type(model).__name__ == "BertModel"
    assert not getattr(model.config, "is_decoder", False) and not getattr(model.config, "add_cross_attention", False)
    assert AutoTokenizer.from_pretrained(folder, local_files_only=True).model_max_length == 24
    names = {path.name for path in folder.iterdir()}
    assert names >= {"config.json", "model.safetensors"} and all(
        name.endswith((".json", ".safetensors")) for name in names
    )
    before, after = (
        EncoderFeatures(place, max_length=16, cache=False).encode(make_texts()[:8]) for place in (tiny, folder)
    )
    assert after.shape == before.shape == (8, 32)
    assert np.abs(after - before).mean() > 0.1 * np.abs(before).mean()


def test_sentences_of_one_topic_come_together(trained: tuple[Path, list[float]], tiny: Path) -> None:
    def separation(folder: Path) -> float:
        """Distance of the topics' means, in standard deviations within them."""
        rows = EncoderFeatures(folder, max_length=16, cache=False).encode(make_texts()[:-1])
        books, pans = rows[::2], rows[1::2]
        spread = np.concatenate([books - books.mean(axis=0), pans - pans.mean(axis=0)])
        return float(np.linalg.norm(books.mean(axis=0) - pans.mean(axis=0)) / np.sqrt((spread**2).sum(axis=1).mean()))

    assert separation(trained[0]) > 1.5 * separation(tiny)


def test_the_seed_alone_decides_the_weights(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    from safetensors.torch import load_file

    weights = []
    for number, seed in enumerate((0, 0, 1)):
        torch.manual_seed(number)
        state = torch.get_rng_state()
        folder, _ = run(tiny, tmp_path / str(number), epochs=1, seed=seed)
        assert torch.equal(torch.get_rng_state(), state)
        weights.append(load_file(folder / "model.safetensors")["embeddings.word_embeddings.weight"])
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_words_are_deleted_at_the_rate_and_stay_in_order() -> None:
    text = " ".join(map(str, range(5000)))
    left = [int(word) for word in delete_words(text, 0.6, np.random.default_rng(0)).split()]
    assert len(left) / 5000 == pytest.approx(0.4, abs=0.03)
    assert left == sorted(left)
    assert delete_words("a  good\nbook", 0.0, np.random.default_rng(0)) == "a good book"
    kept = [delete_words("a b c", 0.999, np.random.default_rng(seed)) for seed in range(60)]
    assert set(kept) == {"a", "b", "c"}, "one word is left, whichever it is"


def test_input_that_nothing_can_be_made_of(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    with pytest.raises(InputError, match="no text has a word"):
        pretrain_tsdae(tiny, ["", " "], tmp_path / "out", seed=0)
    with pytest.raises(InputError, match=r"max_length is more than the encoder reads.*at most 24; found 128"):
        pretrain_tsdae(tiny, make_texts(), tmp_path / "out", seed=0)
    with pytest.raises(InputError, match="no such file or folder"):
        pretrain_tsdae(tmp_path / "nowhere", make_texts(), tmp_path / "out", seed=0)
    with pytest.raises(ValueError, match="deletion"):
        pretrain_tsdae(tiny, make_texts(), tmp_path / "out", deletion=1.0, seed=0)
    assert not (tmp_path / "out").exists()


def test_without_sentence_transformers_it_says_what_to_install(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(InputError, match=r'pip install "nlptransfer\[sentence-transformers\]"'):
        pretrain_tsdae(tiny, make_texts(), tmp_path / "out", seed=0)
