"""The recipe on bilingual lexicons: exact rotations are found, spelling is scored, and mistakes are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptransfer.crosslingual.alignment import write_word2vec
from nlptransfer.crosslingual.lexicon import read_lexicon
from nlptransfer.embeddings.word_vectors import WordVectors, read_word_vectors
from nlptransfer.errors import InputError
from nlptransfer.evaluation.predictions import read_predictions
from nlptransfer.evaluation.transliteration_scores import transliteration_scores
from nlptransfer.recipes.bilingual_lexicon import Settings, main
from nlptransfer.recipes.lexicon_data import invented_languages
from nlptransfer.recipes.lexicon_report import word_scores
from nlptransfer.recipes.lexicon_writing import counts_by_rank

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

LETTERS = dict(zip("bdgklmnprstaeiou", "ბდგკლმნპრსტაეიოუ", strict=True))
"""From Latin to Georgian, of which the toolkit knows nothing."""

NUM_WORDS, DIM, NUM_PAIRS = 240, 8, 120


def in_georgian(word: str) -> str:
    return "".join(LETTERS[letter] for letter in word)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors of a language and, turned, of another one in another script; half its words are of other roots."""
    folder = tmp_path_factory.mktemp("languages")
    rng = np.random.default_rng(0)

    def new_word() -> str:
        return "".join(rng.choice(list("bdgklmnprst")) + rng.choice(list("aeiou")) for _ in range(3))

    words = list(dict.fromkeys(new_word() for _ in range(4 * NUM_WORDS)))
    source, others = words[:NUM_WORDS], words[NUM_WORDS : 2 * NUM_WORDS]
    target = [in_georgian(word if number % 2 else others[number]) for number, word in enumerate(source)]
    # Clusters and lengths of their own, so that rows are told apart by their neighbours as words are.
    centres = rng.standard_normal((12, DIM))
    matrix = (centres[rng.integers(12, size=NUM_WORDS)] + 0.7 * rng.standard_normal((NUM_WORDS, DIM))).astype(
        np.float32
    )
    turn = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0].astype(np.float32)
    places = rng.permutation(NUM_WORDS)  # the target has an order of its own
    write_word2vec(folder / "source.bin", WordVectors(source, matrix, None, source="source", digest="1"))
    turned = WordVectors([target[place] for place in places], matrix[places] @ turn, None, source="target", digest="2")
    write_word2vec(folder / "target.bin", turned)
    lines = ["latin\tgeorgian", *(f"{source[n]}\t{target[n]}" for n in range(NUM_PAIRS)), "two words\tორი სიტყვა"]
    (folder / "pairs.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "table.tsv").write_text("".join(f"{g}\t{a}\n" for a, g in LETTERS.items()), encoding="utf-8")
    (folder / "reverse.tsv").write_text("".join(f"{a}\t{g}\n" for a, g in LETTERS.items()), encoding="utf-8")
    return folder


def flags(files: Path, *more: str) -> list[str]:
    return [
        "--source_vectors", str(files / "source.bin"), "--target_vectors", str(files / "target.bin"),
        "--pairs", str(files / "pairs.tsv"), "--pair_columns", "latin", "georgian", "--max_iterations", "20", *more,
    ]  # fmt: skip


TABLES = ("--table", "table.tsv", "--reverse_table", "reverse.tsv")


def with_tables(files: Path, *more: str) -> list[str]:
    return flags(files, *(str(files / flag) if flag.endswith(".tsv") else flag for flag in TABLES), *more)


@pytest.fixture(scope="module")
def finished(files: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    main(with_tables(files, "--seed_pairs", "given", "cognates", "--output_dir", str(folder)))
    return folder, json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def score(metrics: dict[str, Any], system: str, split: str, metric: str, field: str = "value") -> Any:
    wanted = (system, split, metric, None)
    (own,) = [s for s in metrics["scores"] if (s["system"], s["split"], s["metric"], s["seed"]) == wanted]
    return own[field]


def test_an_exact_rotation_is_found_from_given_pairs_and_from_cognates(finished: tuple[Path, dict[str, Any]]) -> None:
    _, metrics = finished
    for system in ("given+procrustes", "given+self_learning", "cognates+procrustes", "cognates+self_learning"):
        for metric in ("precision_at_1", "precision_at_5", "precision_at_10", "mean_average_precision"):
            assert score(metrics, system, "test", metric) == 1.0, (system, metric)
        assert score(metrics, system, "test", "precision_at_1", "n") == NUM_PAIRS / 2
        assert score(metrics, system, "test", "precision_at_1", "low") < 1, "sixty words make nobody certain"
        assert score(metrics, system, "test_not_in_seeds", "precision_at_1") == 1.0
    assert 0 < score(metrics, "given+procrustes", "test_not_in_seeds", "precision_at_1", "n") < NUM_PAIRS / 2
    assert {(own["system"], own["baseline"], own["metric"]) for own in metrics["verdicts"]} >= {
        ("cognates+procrustes", "given+procrustes", "precision_at_1"), ("learned", "rules", "word_accuracy"),
    }  # fmt: skip
    assert all(own["verdict"] == "no evidence" for own in metrics["verdicts"] if own["metric"] == "precision_at_1")


def test_wrong_pairs_find_nothing_are_said_to_be_hopeless_and_are_not_what_is_kept(files: Path, tmp_path: Path) -> None:
    rows = (files / "pairs.tsv").read_text(encoding="utf-8").splitlines()[1:-1]
    source, target = zip(*(row.split("\t") for row in rows), strict=True)
    shifted = "\n".join(f"{a} {b}" for a, b in zip(source, (*target[7:], *target[:7]), strict=True))
    (tmp_path / "pairs.txt").write_text(shifted + "\n", encoding="utf-8")
    given = ["--pairs", str(tmp_path / "pairs.txt"), "--seed_pairs", "given", "none", "--methods", "procrustes"]
    columns = [flag for flag in flags(files) if flag not in ("--pair_columns", "latin", "georgian")]
    main([*columns, *given, "--output_dir", str(tmp_path / "run")])
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert score(metrics, "given+procrustes", "test", "precision_at_1") < 0.1
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "no better than chance" in page
    assert "none+procrustes (kept)" in page, "the surest of itself, without a look at the pairs"


def test_words_are_written_by_tables_and_scored_as_the_scorer_of_transliteration_does(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    folder, metrics = finished
    for split in ("Latn_to_GEORGIAN", "GEORGIAN_to_Latn"):
        parts = read_predictions(folder / "predictions" / "rules.jsonl")
        (part,) = [own for own in parts if own.split == split]
        pairs = list(zip(part.ids, part.gold, strict=True))  # type: ignore[union-attr, arg-type]
        expected = transliteration_scores(pairs, dict(zip(part.ids, part.predicted, strict=True)).__getitem__)  # type: ignore[union-attr, arg-type]
        assert score(metrics, "rules", split, "word_accuracy") == pytest.approx(expected.word_accuracy)
        assert score(metrics, "rules", split, "character_error_rate") == pytest.approx(expected.character_error_rate)
        assert 0.3 < expected.word_accuracy < 0.7, "half the pairs are cognates"
        for way in ("learned", "learned_with_pairs"):
            assert score(metrics, way, split, "word_accuracy") >= expected.word_accuracy - 0.1
    assert "pairs of one word" in (folder / "report.html").read_text(encoding="utf-8")


def test_the_kept_lexicon_and_vectors_are_of_one_space(finished: tuple[Path, dict[str, Any]], files: Path) -> None:
    folder, _ = finished
    kept = read_lexicon(folder / "model" / "lexicon.txt")
    rows = [row.split("\t") for row in (files / "pairs.tsv").read_text(encoding="utf-8").splitlines()[1:-1]]
    assert {(first, second) for first, second in rows} <= set(kept.pairs)
    source, target = (read_word_vectors(folder / "model" / name) for name in ("source.bin", "target.bin"))
    assert (len(source), len(target)) == (NUM_WORDS, NUM_WORDS)
    pair = kept.pairs[0]
    one, other = source.matrix[source.words.index(pair[0])], target.matrix[target.words.index(pair[1])]
    assert one @ other / (np.linalg.norm(one) * np.linalg.norm(other)) > 0.999
    assert "word2vec" in (folder / "model" / "README.md").read_text(encoding="utf-8")


def test_the_report_opens_and_says_what_was_chosen_and_how(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, metrics = finished
    page = (folder / "report.html").read_text(encoding="utf-8")
    for text in ("without any pair", "Will mapping work?", "test pairs are among the pairs of the seed", "never found"):
        assert text in page
    assert page.count("data:image/png;base64,") == 4, "two splits of the lexicon, two directions of writing"
    assert {path.name for path in (folder / "plots").iterdir()} >= {"scores_test.png", "scores_test_not_in_seeds.png"}
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["system"] for row in history} == {
        f"{seed}+{method}" for seed in ("given", "cognates") for method in ("procrustes", "self_learning")
    }
    assert metrics["recipe"] == "bilingual_lexicon"
    assert not (folder / "cells").exists()


def test_a_complete_run_is_left_as_it_is_and_a_killed_one_goes_on(
    files: Path,
    finished: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    snapshot: Callable[[Path], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, metrics = finished
    before = snapshot(folder)
    main(["--output_dir", str(folder), "--resume"])
    assert "This run is complete" in capsys.readouterr().out
    assert snapshot(folder) == before

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    again = with_tables(files, "--seed_pairs", "given", "cognates", "--output_dir", str(tmp_path / "run"))
    with monkeypatch.context() as patched:
        patched.setattr("nlptransfer.recipes.lexicon_systems.Induction.run", _only_first(killed))
        with pytest.raises(SystemExit):
            main(again)
    assert not (tmp_path / "run" / "metrics.json").exists()
    capsys.readouterr()
    main([*again, "--resume"])
    assert "mapping by given+procrustes," not in capsys.readouterr().out, "that one was kept"
    resumed = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert resumed["scores"] == metrics["scores"]


def _only_first(otherwise: Callable[..., Any]) -> Callable[..., Any]:
    """The first system is run as ever, the others are not."""
    from nlptransfer.recipes.lexicon_systems import Induction

    whole = Induction.run
    return lambda self, seed_pairs, method, seed, folder: (
        whole(self, seed_pairs, method, seed, folder)
        if (seed_pairs, method) == ("given", "procrustes")
        else otherwise()
    )


def test_seeds_without_pairs_and_scripts_without_rules_are_left_out_with_a_note(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(flags(files, "--methods", "procrustes", "--output_dir", str(tmp_path / "run")))
    shown = capsys.readouterr().out
    assert "The seed 'cognates' is left out" in shown and "The seed 'identical' is left out" in shown
    assert "supply --table or --reverse_table" in shown
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert {own["system"] for own in metrics["scores"]} == {"given+procrustes", "none+procrustes"}
    assert score(metrics, "none+procrustes", "test", "precision_at_1") == 1.0, "a rotation alone needs no pair"
    assert "(kept)" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_no_held_out_pair_reaches_the_seeds_that_are_given(files: Path, tmp_path: Path) -> None:
    """Held-out pairs are shuffled among each other: the lexicon that is left must stay the same."""
    import dataclasses

    from nlptransfer.recipes.lexicon_data import load_languages
    from nlptransfer.recipes.lexicon_systems import Induction
    from nlptransfer.recipes.lexicon_writing import Writing

    settings = Settings(
        source_vectors=str(files / "source.bin"), target_vectors=str(files / "target.bin"),
        pairs=str(files / "pairs.tsv"), pair_columns=("latin", "georgian"), seed_pairs=("given",),
    )  # fmt: skip
    languages = load_languages(settings)
    trained, held_out = set(languages.train.translations()), set(languages.test.translations())
    assert not trained & held_out and len(trained) == len(held_out) == NUM_PAIRS / 2 and languages.num_phrases == 1
    shuffled = dataclasses.replace(languages, test=languages.train, test_rows=languages.test_rows[::-1])
    maps = [
        Induction(settings, own, Writing(settings, own), print).alignment("given", "procrustes", 0).source_map
        for own in (languages, shuffled)
    ]
    assert np.array_equal(maps[0], maps[1])


def test_the_bare_command_is_about_invented_languages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--dry_run", "--output_dir", str(tmp_path / "run")])
    shown = capsys.readouterr().out
    assert "Deva" in shown and "given+procrustes" in shown and "Nothing was mapped" in shown
    assert not (tmp_path / "run").exists()
    source, target, lexicon = invented_languages()
    assert len(source) == len(target) == len(lexicon) and source.dim == target.dim


def test_an_interval_of_a_rate_is_that_of_resampled_words() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 9, size=40).astype(float)
    edits = np.minimum(rng.integers(0, 5, size=40), lengths + 2).astype(float)
    edits[0] = lengths[0] + 2  # more edits than letters: no share
    (of_seed, mean) = word_scores("rules", "a_to_b", "character_error_rate", edits[None], lengths, (3,))
    assert (of_seed.seed, mean.seed, mean.n) == (3, None, 40)
    assert mean.value == pytest.approx(edits.sum() / lengths.sum())
    drawn = rng.integers(40, size=(20_000, 40))
    rates = edits[drawn].sum(axis=1) / lengths[drawn].sum(axis=1)
    assert [mean.low, mean.high] == pytest.approx(np.quantile(rates, [0.025, 0.975]), abs=0.01)


def test_counts_fall_with_the_rank_and_never_to_zero() -> None:
    counts = counts_by_rank([f"w{number}" for number in range(50)])
    values = list(counts.values())
    assert values == sorted(values, reverse=True) and values[0] == 50 and values[-1] == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"source_vectors": "a.txt"}, "go together"),
        ({"pairs": "a.txt"}, "go together"),
        ({"table": "a.tsv"}, "vectors of one's own"),
        ({"train_share": 1.0}, "train_share is out of range"),
        ({"seed_pairs": ()}, "seed_pairs is out of range"),
        ({"methods": ("procrustes", "procrustes")}, "methods is out of range"),
        ({"pair_columns": ("hi",)}, "pair_columns is out of range"),
        ({"max_words": 0}, "max_words is out of range"),
        ({"device": "cuda"}, "device is out of range"),
        ({"precision": "fp16"}, "precision is out of range"),
    ],
)
def test_settings_that_can_not_be_run_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Settings(**settings)


def test_files_that_can_not_be_used_are_told_before_anything_is_written(
    files: Path, tmp_path: Path, fails: Callable[..., str]
) -> None:
    def error(*more: str) -> str:
        message = fails(main, *flags(files), *more, "--output_dir", str(tmp_path / "run"))
        assert not (tmp_path / "run").exists()
        return message

    assert "there is no column 'urdu'" in error("--pair_columns", "latin", "urdu")
    assert "are in the order source, target" in error("--pair_columns", "georgian", "latin")
    assert "absent.bin" in error("--source_vectors", str(tmp_path / "absent.bin"))
    assert "absent.tsv" in error("--pairs", str(tmp_path / "absent.tsv"))
    assert "absent.tsv" in error("--table", str(tmp_path / "absent.tsv"))
    faulty = tmp_path / "faulty.tsv"
    faulty.write_text("ა\n", encoding="utf-8")
    assert "the line is not a rule" in error("--table", str(faulty))
    assert "--seed_pairs none" in error("--seed_pairs", "identical")
    shorter = WordVectors(["one", "two"], np.eye(2, DIM - 1, dtype=np.float32), None, source="shorter", digest="3")
    write_word2vec(tmp_path / "shorter.bin", shorter)
    assert "differ in dimension" in error("--target_vectors", str(tmp_path / "shorter.bin"))
    assert "is not one of" in error("--methods", "rcsls") or "wrong kind" in error("--methods", "rcsls")


def test_bf16_searches_by_bfloat16_products_in_every_step(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nlptransfer.crosslingual import retrieval, self_learning

    asked: set[str] = set()
    whole = retrieval.nearest_both_ways

    def noted(*arguments: Any, **settings: Any) -> Any:
        asked.add(settings["precision"])
        return whole(*arguments, **settings)

    learned: set[str] = set()

    def learn(*arguments: Any, **settings: Any) -> Any:
        learned.add(settings["precision"])
        return self_learn(*arguments, **settings)

    self_learn = self_learning.self_learn
    monkeypatch.setattr(self_learning, "self_learn", learn)
    monkeypatch.setattr("nlptransfer.recipes.lexicon_systems.Induction.diagnoses", {})
    flags = ("--seed_pairs", "given", "--methods", "self_learning", "--precision", "bf16")
    monkeypatch.setattr(retrieval, "nearest_both_ways", noted)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("nlptransfer.recipes.lexicon_systems.Induction.run", _then_stop())
        with pytest.raises(SystemExit):
            main(with_tables(files, *flags, "--output_dir", str(tmp_path / "run")))
    assert learned == asked == {"bfloat16"}


def _then_stop() -> Callable[..., Any]:
    from nlptransfer.recipes.lexicon_systems import Induction

    whole = Induction.run

    def once(*arguments: Any) -> Any:
        whole(*arguments)
        raise KeyboardInterrupt

    return once
