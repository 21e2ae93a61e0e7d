"""A saved model predicts the same in a fresh process, holds only safe files, and does not load once it was altered."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import nlptransfer
from nlptransfer.data.vocabulary import BOUNDARIES, Vocabulary, count_entries
from nlptransfer.embeddings.embedding_layer import make_embedding, make_random_embedding
from nlptransfer.embeddings.word_vectors import WordVectors, read_word_vectors
from nlptransfer.errors import InputError
from nlptransfer.models import saving
from nlptransfer.models.saving import check_reload, read_config, read_tensors, write_model_folder, write_tensors
from nlptransfer.models.tagger import RecurrentTagger, TaggerShape
from nlptransfer.training.seeding import seeded

WORDS = ["the", "bank", "raised", "rates", "of", "interest", "Straße", "کتاب"]
UNSEEN = ["banking", "loan", "xqzy", "Bank"]
SENTENCES = [["the", "Bank", "raised", "xqzy", "loan", "rates"], [], ["Straße", "banking"], [*WORDS, *UNSEEN] * 3]


def table() -> WordVectors:
    words = [*WORDS, "loan"]
    matrix = np.random.default_rng(1).standard_normal((len(words), 5)).astype(np.float32)
    return WordVectors(words, matrix, None, source="table", digest="none")


def fasttext(folder: Path) -> WordVectors:
    from gensim.models import FastText
    from gensim.models.fasttext import save_facebook_model

    model = FastText([WORDS] * 5, vector_size=5, min_count=1, epochs=2, bucket=40, min_n=2, max_n=4, seed=1, workers=1)
    save_facebook_model(model, str(folder / "model.bin"))
    return read_word_vectors(folder / "model.bin")


def make_tagger(vectors: WordVectors | None, *, trainable: bool = True, **shape: Any) -> RecurrentTagger:
    vocabulary = Vocabulary(WORDS)
    small: dict[str, Any] = {"hidden_dim": 8, "character_dim": 6, "max_length": 12, "context": 2}
    with seeded(0):
        embedding = (
            make_random_embedding(vocabulary, 5)
            if vectors is None
            else make_embedding(vectors, vocabulary, trainable=trainable)
        )
        tagger = RecurrentTagger(
            vocabulary,
            None if shape.get("characters") == "none" else Vocabulary([*BOUNDARIES, *count_entries(WORDS)]),
            ["ADP", "DET", "NOUN", "VERB"],
            embedding,
            TaggerShape(**{**small, **shape}),
            vectors=vectors,
            counts=np.arange(len(vocabulary)),
            metadata={"tag_column": "upos"},
        )
        with torch.no_grad():  # so that an untrained tagger's choices differ from word to word
            tagger.embedding.weight.mul_(3)
            tagger.head.weight.mul_(10)
    return tagger.eval()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    make_tagger(table(), characters="none").save_pretrained(tmp_path / "model", card="# A tagger\n")
    return tmp_path / "model"


@pytest.mark.slow
def test_a_fresh_process_predicts_the_same(tmp_path: Path) -> None:
    taggers = {
        "random": make_tagger(None),
        "frozen": make_tagger(table(), trainable=False, cell="gru", num_layers=2),
        "crf": make_tagger(table(), head="crf"),
        "no_characters": make_tagger(table(), characters="none", cell="rnn", bidirectional=False),
        "subwords": make_tagger(fasttext(tmp_path), characters="lstm"),
        "no_fallbacks": make_tagger(table(), fallbacks=()),
    }
    for name, tagger in taggers.items():
        tagger.save_pretrained(tmp_path / name)
    program = (
        "import json, sys, nlptransfer\n"
        "given = json.load(sys.stdin)\n"
        "print(json.dumps({n: nlptransfer.load(n).predict(given['sentences']) for n in given['names']}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps({"names": [str(tmp_path / name) for name in taggers], "sentences": SENTENCES}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    predicted = json.loads(done.stdout)
    for name, tagger in taggers.items():
        expected = tagger.predict(SENTENCES)
        assert predicted[str(tmp_path / name)] == expected, name
        assert len({tag for tags in expected for tag in tags}) > 1, "control: the tags differ"


def test_all_that_a_tagger_is_comes_back(tmp_path: Path) -> None:
    tagger = make_tagger(table(), trainable=False, head="crf", fallbacks=("lower case",))
    tagger.save_pretrained(tmp_path / "model")
    loaded = RecurrentTagger.from_pretrained(tmp_path / "model")
    assert loaded.tags == tagger.tags
    assert loaded.shape == tagger.shape
    assert loaded.metadata == {"tag_column": "upos"}
    assert not loaded.training
    assert not loaded.embedding.weight.requires_grad
    assert loaded.vocabulary.entries == WORDS
    ours, theirs = tagger.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(theirs[name], tensor) for name, tensor in ours.items())


def test_a_word_that_only_the_vectors_hold_has_its_vector_after_loading(tmp_path: Path) -> None:
    for name, vectors in (("table", table()), ("fasttext", fasttext(tmp_path))):
        make_tagger(vectors).save_pretrained(tmp_path / name)
        encoded = nlptransfer.load(tmp_path / name).encode([["loan", "Bank"]])
        expected, found_by = vectors.vectors_for(["loan", "Bank"])
        assert found_by == ["exact" if name == "table" else "subwords", "lower case"]
        assert encoded.unseen_vectors is not None
        np.testing.assert_allclose(encoded.unseen_vectors, expected, rtol=1e-6)


def test_a_model_folder_holds_safetensors_json_and_a_card(saved: Path) -> None:
    names = sorted(path.name for path in saved.iterdir())
    assert names == [
        "README.md", "config.json", "model.safetensors", "vectors.json", "vectors.safetensors", "vocabulary.json",
    ]  # fmt: skip
    assert (saved / "README.md").read_text() == "# A tagger\n"
    config = json.loads((saved / "config.json").read_text())
    assert config["model_type"] == "recurrent_tagger"
    assert config["version"] == nlptransfer.__version__
    assert set(config["files"]) == set(names) - {"README.md", "config.json"}


def test_a_model_is_found_in_its_run_folder(saved: Path) -> None:
    assert nlptransfer.load(saved.parent).predict(SENTENCES) == nlptransfer.load(saved).predict(SENTENCES)


def test_an_older_model_is_replaced_whole(saved: Path) -> None:
    make_tagger(None).save_pretrained(saved)
    assert not (saved / "vectors.json").exists()
    assert nlptransfer.load(saved).vectors is None
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_a_full_disk_is_an_os_error_and_leaves_the_older_model(saved: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits are those of POSIX")
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, limits[1]))  # no file may grow beyond it
    try:
        with pytest.raises(OSError) as caught:
            make_tagger(None, hidden_dim=64).save_pretrained(saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_tensors_that_do_not_lie_in_one_piece_come_back(tmp_path: Path) -> None:
    tensor = torch.arange(6.0).reshape(2, 3).T
    write_tensors(tmp_path / "some.safetensors", {"turned": tensor})
    assert torch.equal(read_tensors(tmp_path, "some")["turned"], tensor)


def rewrite(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def test_what_is_no_model_folder_says_so(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none: there is no such model folder\. Check the path"):
        nlptransfer.load(tmp_path / "none")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(InputError, match=r"other: the folder has no config\.json.*found notes\.txt"):
        nlptransfer.load(tmp_path / "other")
    (saved / "config.json").write_text('{"model_type": "recurrent_tagger",\n "files": [}')
    with pytest.raises(InputError, match=r"config\.json, line 2: this is not JSON"):
        nlptransfer.load(saved)
    for text in ('{"tags": ["NOUN"]}', "[1, 2]", '"text"'):
        (saved / "config.json").write_text(text)
        with pytest.raises(InputError, match=r'not the configuration of a model\. Expected the keys "model_type"'):
            nlptransfer.load(saved)


def test_an_altered_configuration_is_noticed_but_not_a_new_layout(saved: Path) -> None:
    rewrite(saved)  # one line now
    assert len((saved / "config.json").read_text().splitlines()) == 1
    nlptransfer.load(saved)
    rewrite(saved, tags=["DET", "ADP", "NOUN", "VERB"])
    with pytest.raises(InputError, match=r"config\.json: the file was altered after it was written"):
        nlptransfer.load(saved)


@pytest.mark.parametrize("name", ["model.safetensors", "vectors.safetensors", "vectors.json", "vocabulary.json"])
def test_a_file_that_is_missing_or_altered_is_named(saved: Path, name: str) -> None:
    whole = (saved / name).read_bytes()
    for damaged in (whole[:-1], whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], b""):
        (saved / name).write_bytes(damaged)
        with pytest.raises(InputError, match=rf"{name}: the file was altered or cut short.*found {len(damaged):,} byt"):
            nlptransfer.load(saved)
    (saved / name).unlink()
    with pytest.raises(InputError, match=f"the model folder lacks the file {name}"):
        nlptransfer.load(saved)


def test_an_unknown_kind_of_model_says_which_version_wrote_it(tmp_path: Path) -> None:
    write_model_folder(tmp_path / "m", model_type="newer", config={}, tensors={}, documents={}, card="")
    with pytest.raises(InputError, match=f"found 'newer'. Load it with.*wrote it: {nlptransfer.__version__}"):
        nlptransfer.load(tmp_path / "m")


def test_weights_that_do_not_fit_the_configuration_are_an_error(tmp_path: Path) -> None:
    make_tagger(None).save_pretrained(tmp_path / "m")
    config = read_config(tmp_path / "m")
    fitting = {name: config[name] for name in ("shape", "embedding", "metadata")}
    write_model_folder(
        tmp_path / "m",
        model_type="recurrent_tagger",
        config={**fitting, "tags": ["ADP"]},
        tensors={"model": read_tensors(tmp_path / "m", "model")},
        documents={"vocabulary": json.loads((tmp_path / "m" / "vocabulary.json").read_text())},
        card="",
    )
    with pytest.raises(InputError, match=r"model\.safetensors: the weights do not fit.*head\.weight"):
        nlptransfer.load(tmp_path / "m")


def test_a_model_that_predicts_otherwise_once_loaded_is_not_passed(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fresh process is replaced: it takes seconds, and the recipe's tests go through it."""

    def process(code: int, predicted: list[list[str]]) -> Any:
        done = SimpleNamespace(returncode=code, stdout=json.dumps(predicted), stderr="no such module")
        return SimpleNamespace(run=lambda *args, **kwargs: done)

    sentences, expected = [["a"], ["b", "c"]], [["DET"], ["NOUN", "VERB"]]
    monkeypatch.setattr(saving, "subprocess", process(0, expected))
    check_reload(saved, sentences, expected)
    monkeypatch.setattr(saving, "subprocess", process(0, [["DET"], ["NOUN", "NOUN"]]))
    with pytest.raises(RuntimeError, match=r"predicts \['NOUN', 'NOUN'\] for item 1"):
        check_reload(saved, sentences, expected)
    assert not saved.exists(), "nobody should come upon it and trust it"
    saved.mkdir()
    monkeypatch.setattr(saving, "subprocess", process(1, []))
    with pytest.raises(RuntimeError, match="does not load in a fresh process:\nno such module"):
        check_reload(saved, sentences, expected)
