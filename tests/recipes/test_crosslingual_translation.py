"""Bridges by translation and by closeness of the source: words of a lexicon, vectors of two lengths, drawn items."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nlptransfer
from nlptransfer.data.synthetic import make_tagged_languages
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError
from nlptransfer.recipes.cross_lingual_transfer import Settings, main
from nlptransfer.recipes.crosslingual_bridge_names import parse_bridge
from nlptransfer.recipes.crosslingual_bridges import Bridging, reduce_vectors
from nlptransfer.recipes.crosslingual_data import load_pair

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "no_reload")]

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def write_texts(path: Path, texts: list[tuple[list[str], str]]) -> None:
    path.parent.mkdir(exist_ok=True)
    lines = [json.dumps({"text": " ".join(words), "label": label}, ensure_ascii=False) for words, label in texts]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(folder: Path, *flags: str, output: str = "run") -> dict[str, float]:
    main(
        [
            "--task", "classification", "--source", str(folder / "source"), "--target", str(folder / "target"),
            "--target_train", str(folder / "unlabelled.jsonl"), "--reference", "false", "--simulate", "false",
            "--device", "cpu", *flags, "--output_dir", str(folder / output),
        ]
    )  # fmt: skip
    metrics = json.loads((folder / output / "metrics.json").read_text(encoding="utf-8"))
    return {
        own["system"]: own["value"]
        for own in metrics["scores"]
        if (own["split"], own["metric"], own["seed"]) == ("target_test", "accuracy", None)
    }


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of two classes in two scripts, told apart by words that do not sound alike; a lexicon of most of them."""
    folder = tmp_path_factory.mktemp("translated")
    words = [word for word in make_tagged_languages(200, seed=0).lexicon if len(word) > 3][:60]
    random = np.random.default_rng(0)
    # The target's words are those of the source in another order, in the target's letters: none sounds like its own.
    letters = make_tagged_languages(200, seed=0).lexicon
    other = {word: letters[partner] for word, partner in zip(words, [*words[7:], *words[:7]], strict=True)}

    def texts(number: int, *, target: bool) -> list[tuple[list[str], str]]:
        made = []
        for row in range(number):
            label = row % 2
            text = [str(random.choice(words[20 + 20 * label : 40 + 20 * label])) for _ in range(4)]
            text += [str(random.choice(words[:20])) for _ in range(4)]
            made.append(([other[word] if target else word for word in text], ["bad", "good"][label]))
        return made

    write_texts(folder / "source" / "train.jsonl", texts(160, target=False))
    write_texts(folder / "source" / "test.jsonl", texts(40, target=False))
    write_texts(folder / "target" / "test.jsonl", texts(120, target=True))
    write_texts(folder / "unlabelled.jsonl", texts(100, target=True))
    pairs = "".join(f"{word}\t{other[word]}\n" for word in words if words.index(word) % 10)
    (folder / "lexicon.tsv").write_text(pairs, encoding="utf-8")
    return folder


def test_a_lexicon_carries_labels_over_where_no_word_sounds_alike(translated: Path) -> None:
    found = run(translated, "--bridges", "rules", "translated", "--pairs", str(translated / "lexicon.tsv"))
    assert found["translated"] > 0.9
    assert found["translated"] > max(found["none"], found["rules"]) + 0.2
    model = nlptransfer.load(translated / "run")
    line = (translated / "target" / "test.jsonl").read_text(encoding="utf-8").splitlines()[0]
    assert model.predict([json.loads(line)["text"]]) in (["bad"], ["good"])


def test_words_are_translated_by_the_pairs_given_before_the_nearest_of_the_mapped_vectors(
    translated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        task="classification", source=str(translated / "source"), target=str(translated / "target"),
        pairs=str(translated / "lexicon.tsv"), bridges=("translated",),
    )  # fmt: skip
    bridging = Bridging(settings, load_pair(settings), lambda line: None)
    given = dict(bridging.word_pairs)
    (first, target), *_ = given.items()

    def vectors(words: list[str], matrix: np.ndarray) -> WordVectors:
        return WordVectors(words, matrix.astype(np.float32), None, "made", "made")

    axes = np.eye(4)
    monkeypatch.setattr(
        Bridging,
        "mapped_vectors",
        (vectors([first, "near", "far"], axes[[0, 1, 2]]), vectors(["a", "b", "c"], axes[[0, 1, 2]] + 0.1)),
    )
    bridging.source_vectors = bridging.target_vectors = vectors(["x"], axes[:1])
    assert bridging.lexicon[first] == [target, "a"]
    assert bridging.lexicon["near"] == ["b"] and bridging.lexicon["far"] == ["c"]
    assert bridging.translate([[first, "near", "7"]]) == [[target, "b", "7"]]


def test_longer_vectors_are_reduced_to_their_principal_components() -> None:
    random = np.random.default_rng(0)
    plane = random.normal(size=(50, 2)) @ random.normal(size=(2, 6))
    vectors = WordVectors([str(row) for row in range(50)], plane.astype(np.float32), None, "made", "made")
    reduced = reduce_vectors(vectors, 2)
    assert reduced.matrix.shape == (50, 2) and reduced.digest != vectors.digest
    # All that varies lies in a plane: no distance between words is lost.
    distances = [np.linalg.norm(rows[:, None] - rows[None], axis=-1) for rows in (plane, reduced.matrix)]
    np.testing.assert_allclose(distances[1], distances[0], atol=1e-4)
    assert reduce_vectors(vectors, 6) is vectors


def shifted(folder: Path, *, near: float) -> Path:
    """Texts whose signal words mean one thing near the target and the opposite far from it; a share of them near."""
    random = np.random.default_rng(1)

    def texts(number: int, share: float) -> list[tuple[list[str], str]]:
        made = []
        for row in range(number):
            label, is_near = row % 2, random.random() < share
            signal = label if is_near else 1 - label
            neutral = [f"{'near' if is_near else 'far'}{LETTERS[random.integers(20)]}" for _ in range(6)]
            text = [*neutral, *(f"{'pq'[signal]}{LETTERS[random.integers(8)]}" for _ in range(3))]
            made.append(([str(word) for word in random.permutation(text)], ["bad", "good"][label]))
        return made

    write_texts(folder / "source" / "train.jsonl", texts(600, near))
    write_texts(folder / "target" / "test.jsonl", texts(200, 1.0))
    write_texts(folder / "unlabelled.jsonl", texts(300, 1.0))
    return folder


def test_source_weighting_helps_where_most_of_the_source_is_far_from_the_target(tmp_path: Path) -> None:
    found = run(shifted(tmp_path, near=0.35), "--bridges", "source_weighting")
    assert found["none"] < 0.85
    assert found["source_weighting"] > found["none"] + 0.1


def test_source_weighting_does_no_harm_where_source_and_target_are_alike(tmp_path: Path) -> None:
    found = run(shifted(tmp_path, near=1.0), "--bridges", "source_weighting")
    assert found["none"] > 0.95
    assert found["source_weighting"] > found["none"] - 0.03


@pytest.mark.parametrize(
    ("name", "spelling", "weighted"),
    [
        ("translated+source_weighting", "translated", True),
        ("source_weighting+self_training:2", "none", True),
        ("translated", "translated", False),
    ],
)
def test_names_of_these_bridges_are_read(name: str, spelling: str, weighted: bool) -> None:
    bridge = parse_bridge(name)
    assert (bridge.spelling, bridge.weighted) == (spelling, weighted)
    assert bridge.without_rounds.weighted == weighted


def test_what_they_need_is_said() -> None:
    with pytest.raises(InputError, match=r"'translated' needs words with their translations(?s:.*)--pairs"):
        Settings(bridges=("translated",))
    with pytest.raises(InputError, match="out of order"):
        parse_bridge("self_training+source_weighting")
