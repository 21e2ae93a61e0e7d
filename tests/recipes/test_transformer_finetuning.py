"""The recipe on pretrained transformers: every strategy, texts and tags, pairs, sizes, what it leaves, its mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import nlptransfer
from nlptransfer.data.synthetic import make_tagged_languages
from nlptransfer.data.synthetic_reviews import make_review_domains
from nlptransfer.evaluation.run_folder import read_run
from nlptransfer.finetuning.strategies import STRATEGY_STEPS
from nlptransfer.recipes.finetuning_systems import list_systems
from nlptransfer.recipes.transformer_finetuning import Settings, main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "no_reload")]

SMALL = ["--epochs", "1", "--min_steps", "0", "--batch_size", "16", "--max_length", "24", "--device", "cpu"]


def write_reviews(path: Path, data: Any, *, domain: str | None = None) -> list[str]:
    extra = {} if domain is None else {"domain": domain}
    rows = [{"text": row["text"], "label": ("neg", "pos")[row["label"]], **extra} for row in data]
    lines = [json.dumps(row) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return lines


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reviews of two domains, tagged sentences of two languages, and an untrained encoder of the reviews' words."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("data")
    made = make_review_domains(60, seed=0)
    write_reviews(folder / "source.jsonl", made.source["train"])
    write_reviews(folder / "target.jsonl", made.target["train"])
    whole = write_reviews(folder / "a.jsonl", made.source["train"], domain="books")
    whole += write_reviews(folder / "b.jsonl", made.target["train"], domain="films")
    more = make_review_domains(60, seed=1).target["train"]
    whole += write_reviews(folder / "c.jsonl", more, domain="music")
    (folder / "domains.jsonl").write_text("".join(whole), encoding="utf-8")
    languages = make_tagged_languages(60, seed=0)
    for name, data in (("tagged", languages.source), ("tagged_target", languages.source)):
        names = data.features["tags"].feature.names
        lines = [
            json.dumps({"tokens": row["tokens"], "tags": [names[tag] for tag in row["tags"]]}) + "\n" for row in data
        ]
        (folder / f"{name}.jsonl").write_text("".join(lines if name == "tagged" else lines[:30]), encoding="utf-8")
    words = {word for own in (made.source, made.target) for row in own["train"]["text"][:] for word in row.split()}
    words |= {word.lower() for sentence in languages.source["tokens"][:] for word in sentence}
    encoder = folder / "encoder"
    encoder.mkdir()
    (folder / "words.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(words)]))
    tokenizer = BertTokenizerFast(vocab=str(folder / "words.txt"), model_max_length=32)
    tokenizer.save_pretrained(encoder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(encoder)
    return folder


@pytest.fixture(scope="module")
def strategies() -> list[str]:
    """Every way of tuning, and a chain for every other step."""
    ways = [name for name, step in STRATEGY_STEPS.items() if step.stage == "tuning"]
    chains = ["dapt+full", "extend_vocabulary:2+full", "reinitialise:1+full", "full+self_training"]
    return [name for name in ways if name not in ("feature_extraction", "no_pretraining", "freeze")] + [
        "freeze:2",
        *chains,
    ]


@pytest.fixture(scope="module")
def folder(files: Path, strategies: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    main(
        [
            *SMALL, "--encoder", str(files / "encoder"), "--train_data", str(files / "source.jsonl"),
            "--target_data", str(files / "target.jsonl"), "--strategies", *strategies, "--output_dir", str(run),
        ]
    )  # fmt: skip
    return run


def test_every_strategy_has_a_score_and_a_verdict_over_each_baseline(folder: Path, strategies: list[str]) -> None:
    run = json.loads((folder / "metrics.json").read_text())
    names = {name.replace(":", "=") for name in strategies}
    found = {(own["system"], own["baseline"]) for own in run["verdicts"]}
    assert found == {
        (name, baseline)
        for baseline in ("feature_extraction", "no_pretraining")
        for name in (*names, "feature_extraction", "no_pretraining")
        if name != baseline
    }
    scored = {own["system"] for own in run["scores"] if own["split"] == "target_test"}
    assert scored == {*names, "feature_extraction", "no_pretraining"}
    assert run["recipe"] == "transformer_finetuning"


def test_the_report_tells_costs_plans_and_the_recommendation(folder: Path) -> None:
    report = (folder / "report.html").read_text()
    for said in ("Cost and score", "trained parameters", "memory, MB", "Which way?", "Learning rates of lora"):
        assert said in report
    assert (folder / "plots" / "cost.png").exists()


def test_the_target_s_labels_are_opened_once_and_none_of_them_trains(folder: Path) -> None:
    signature = json.loads((folder / "metrics.json").read_text())["signature"]
    (pair,) = signature["pairs"].values()
    assert pair["labels_in_training"] == ["source_labelled"]
    assert sum(pair["test_labels_opened"].values()) == 1


def test_the_model_that_is_left_predicts_from_raw_texts(folder: Path) -> None:
    model = nlptransfer.load(folder)
    assert set(model.predict(["a fine read", ""])) <= {"neg", "pos"}
    files = {path.suffix for path in (folder / "model").iterdir()}
    assert files <= {".json", ".safetensors", ".md", ".txt", ".jinja"}


def test_the_run_folder_can_be_read_and_compared(folder: Path) -> None:
    run = read_run(folder)
    assert len(run.predictions) >= 10


def test_strategies_that_read_no_target_are_trained_once_for_all_targets_and_a_chain_goes_on_from_its_base(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nlptransfer.recipes import finetuning_cells

    trained: list[tuple[str, int, bool]] = []
    real = finetuning_cells.train_cell

    def note(settings: Any, job: Any, system: Any, seed: int, tests: Any, base: Any, *rest: Any) -> Any:
        trained.append((system.name, len(tests), base is not None))
        return real(settings, job, system, seed, tests, base, *rest)

    monkeypatch.setattr(finetuning_cells, "train_cell", note)
    ends = [f"{files / 'domains.jsonl'}#{name}" for name in ("books", "films", "music")]
    main(
        [
            *SMALL, "--encoder", str(files / "encoder"), "--pairs", "all", "--domains", *ends, "--processes", "1",
            "--strategies", "full+self_training", "full", "--baselines", "feature_extraction",
            "--output_dir", str(tmp_path / "run"),
        ]
    )  # fmt: skip
    assert trained.count(("full", 2, False)) == 3
    assert trained.count(("full+self_training", 1, True)) == 6
    run = json.loads((tmp_path / "run" / "metrics.json").read_text())
    systems = {own["system"] for own in run["scores"] if own.get("pair") == "all"}
    choices = {"choice_by_source_dev", "choice_by_mean_source_dev", "choice_on_other_pairs", "oracle_choice"}
    assert choices | {"full"} <= systems
    overall = {own["system"] for own in run["verdicts"] if own.get("pair") == "all"}
    assert {"choice_by_source_dev", "choice_on_other_pairs", "full", "full+self_training"} <= overall


def test_a_run_on_several_sizes_draws_the_curve_and_tells_where_the_lines_cross(files: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    main(
        [
            *SMALL, "--encoder", str(files / "encoder"), "--train_data", str(files / "source.jsonl"),
            "--strategies", "full", "--baselines", "feature_extraction", "--train_sizes", "10", "30",
            "--seeds", "0", "1", "--output_dir", str(run),
        ]
    )  # fmt: skip
    verdicts = json.loads((run / "metrics.json").read_text())["verdicts"]
    assert {(own["system"], own["baseline"]) for own in verdicts} == {
        ("full@10", "feature_extraction@10"),
        ("full@30", "feature_extraction@30"),
    }
    assert (run / "plots" / "label_curve.png").exists()
    assert "Where fine-tuning overtakes frozen features" in (run / "report.html").read_text()


def test_a_tagger_is_trained_and_scored_on_every_word_of_both_domains(files: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    main(
        [
            *SMALL, "--task", "tagging", "--encoder", str(files / "encoder"), "--train_data",
            str(files / "tagged.jsonl"), "--target_data", str(files / "tagged_target.jsonl"), "--max_length", "16",
            "--strategies", "full", "lp_ft", "--ensemble", "full", "lp_ft", "--layers", "mix", "--output_dir", str(run),
        ]
    )  # fmt: skip
    found = json.loads((run / "metrics.json").read_text())
    words = {
        (own["split"], own["n"]) for own in found["scores"] if own["metric"] == "token_accuracy" and own["seed"] is None
    }
    lines = (files / "tagged_target.jsonl").read_text().splitlines()
    assert ("target_test", sum(len(json.loads(line)["tokens"]) for line in lines)) in words
    assert {own["system"] for own in found["verdicts"]} >= {"full", "lp_ft", "ensemble"}
    tagger = nlptransfer.load(run)
    assert [len(tags) for tags in tagger.predict([["one", "two"], [], ["three"] * 60])] == [2, 0, 60]


def test_lp_ft_starts_from_the_head_of_feature_extraction(files: Path) -> None:
    from nlptransfer.recipes.finetuning_data import load_jobs
    from nlptransfer.recipes.finetuning_models import fit_head, frozen_features, make_model
    from nlptransfer.training.devices import make_accelerator

    settings = Settings(
        encoder=str(files / "encoder"),
        train_data=str(files / "source.jsonl"),
        max_length=24,
        regularization=0.1,
        device="cpu",
    )
    (job,) = load_jobs(settings)
    accelerator, place = make_accelerator("cpu"), files / "encoder"
    model = make_model(settings, job, place, accelerator, seed=0)
    fit_head(settings, model, job, place, accelerator, 0)
    features = frozen_features(settings, model, job.dev, place, accelerator)
    # What the kept features say is what the network says, and what a pass of the network would have given.
    with torch.no_grad():
        scores = model.network.head(torch.from_numpy(features)).numpy()
    assert (scores.argmax(axis=1) == model.predict_proba(job.dev).argmax(axis=1)).all()
    own = frozen_features(settings, model, job.dev, None, accelerator)
    assert abs(features - own).max() < 1e-4


def test_l2_sp_holds_the_encoder_and_not_the_head_that_transformers_brings(files: Path) -> None:
    from nlptransfer.finetuning.strategies import parse_strategy
    from nlptransfer.recipes.finetuning_data import load_jobs
    from nlptransfer.recipes.finetuning_models import make_batches, make_model
    from nlptransfer.recipes.finetuning_systems import _with_parts
    from nlptransfer.training.devices import make_accelerator

    place = files / "encoder"
    for pooling in ("mean", "native"):
        settings = Settings(
            encoder=str(place), train_data=str(files / "source.jsonl"), max_length=24, pooling=pooling, device="cpu"
        )
        (job,) = load_jobs(settings)
        model = make_model(settings, job, place, make_accelerator("cpu"), seed=0)
        batches = make_batches(model, job.train[:8], job.train_labels[:8], batch_size=8, seed=0)
        network, step, batches = _with_parts(
            settings, parse_strategy("l2_sp"), model, batches, job, job.tests, place, seed=0
        )
        (batch,) = batches
        with torch.no_grad():
            network.head.weight += 1
            assert step(network.eval(), batch, 0.0)["penalty"] == 0
            next(network.encoder.parameters()).add_(1)
            assert step(network, batch, 0.0)["penalty"] > 0


def test_texts_in_windows_are_scored_by_what_the_saved_model_answers(files: Path, tmp_path: Path) -> None:
    from nlptransfer.finetuning.strategies import parse_strategy
    from nlptransfer.recipes.finetuning_data import load_jobs
    from nlptransfer.recipes.finetuning_models import frozen_features
    from nlptransfer.recipes.finetuning_systems import tune
    from nlptransfer.training.devices import make_accelerator

    settings = Settings(
        encoder=str(files / "encoder"), train_data=str(files / "source.jsonl"), truncation="windows", max_length=6,
        regularization=0.1, device="cpu",
    )  # fmt: skip
    (job,) = load_jobs(settings)
    strategy, accelerator = parse_strategy("feature_extraction"), make_accelerator("cpu")
    tuned = tune(settings, job, strategy, 0, job.tests, files / "encoder", None, tmp_path, accelerator, print)
    tuned.model.save_pretrained(tmp_path / "model")
    items = [*job.train, *job.tests[0].items]
    answers = nlptransfer.load(tmp_path / "model").predict(items)
    assert [job.label_names[label] for label in tuned.predict(items)] == answers
    features = frozen_features(settings, tuned.model, items, files / "encoder", accelerator)
    head = tuned.model.network.head
    by_mean = (features @ head.weight.detach().numpy().T + head.bias.detach().numpy()).argmax(axis=1)
    assert [job.label_names[label] for label in by_mean] != answers, "the mean over all tokens says something else"


def test_an_adapted_encoder_tells_the_same_of_itself_to_all_who_start_from_it(files: Path, tmp_path: Path) -> None:
    from nlptransfer.finetuning.strategies import parse_strategy
    from nlptransfer.recipes.finetuning_data import load_jobs
    from nlptransfer.recipes.finetuning_encoder import prepare_encoder
    from nlptransfer.training.devices import make_accelerator

    settings = Settings(
        encoder=str(files / "encoder"), train_data=str(files / "source.jsonl"), max_length=24, device="cpu",
        target_data=(str(files / "target.jsonl"),), max_unlabelled=20, output_dir=tmp_path,
    )  # fmt: skip
    (job,) = load_jobs(settings)
    strategy, accelerator = parse_strategy("extend_vocabulary:2+dapt+full"), make_accelerator("cpu")
    first, again = (prepare_encoder(settings, job, strategy, 0, job.tests, accelerator, print) for _ in range(2))
    assert first == again
    from nlptransfer.models.transformer import load_encoder
    from nlptransfer.recipes.finetuning_encoder import masked_lm_head

    adapted, fresh = (
        masked_lm_head(settings, place, load_encoder(first[0]), 0).layers[0].weight
        for place in (first[0], files / "encoder")
    )
    assert not torch.equal(adapted, fresh), "udalm goes on from the head that dapt has trained"
    assert {"encoder adapted by", "words added", "pieces per word", "masked_lm_loss", "seconds_before"} == set(first[1])


def test_a_label_that_is_too_rare_to_be_cut_is_told_of(files: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    lines = (files / "source.jsonl").read_text(encoding="utf-8")
    (tmp_path / "rare.jsonl").write_text(lines + json.dumps({"text": "a book", "label": "mixed"}) + "\n")
    flags = ["--encoder", files / "encoder", "--train_data", tmp_path / "rare.jsonl", "--output_dir", tmp_path / "run"]
    assert "1 of the rarest label" in fails(main, *SMALL, *flags)


def test_lp_ft_drops_no_feature_that_its_head_has_balanced(files: Path, tmp_path: Path) -> None:
    flags = [
        *SMALL, "--encoder", str(files / "encoder"), "--train_data", str(files / "source.jsonl"),
        "--strategies", "lp_ft", "--baselines", "--learning_rate", "1e-9", "--dropout", "0.9",
        "--output_dir", str(tmp_path / "run"),
    ]  # fmt: skip
    main(flags)
    assert nlptransfer.load(tmp_path / "run").network.dropout.p == 0.0


def test_a_finished_run_is_not_trained_again_and_a_killed_one_goes_on(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nlptransfer.recipes import finetuning_cells

    flags = [
        *SMALL, "--encoder", str(files / "encoder"), "--train_data", str(files / "source.jsonl"), "--strategies",
        "full", "lora", "--baselines", "feature_extraction",
    ]  # fmt: skip
    main([*flags, "--output_dir", str(tmp_path / "whole")])
    real = finetuning_cells.train_cell

    def killed(settings: Any, job: Any, system: Any, *rest: Any) -> Any:
        if system.name == "lora":
            raise KeyboardInterrupt
        return real(settings, job, system, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(finetuning_cells, "train_cell", killed)
        with pytest.raises(SystemExit):
            main([*flags, "--output_dir", str(tmp_path / "broken")])
    again: list[str] = []

    def note(settings: Any, job: Any, system: Any, *rest: Any) -> Any:
        again.append(system.name)
        return real(settings, job, system, *rest)

    monkeypatch.setattr(finetuning_cells, "train_cell", note)
    main(["--output_dir", str(tmp_path / "broken"), "--resume"])
    assert again == ["lora"]
    scores = [json.loads((tmp_path / run / "metrics.json").read_text())["scores"] for run in ("whole", "broken")]
    assert scores[0] == scores[1]
    main(["--output_dir", str(tmp_path / "broken"), "--resume"])
    assert again == ["lora"] and "This run is complete" in capsys.readouterr().out


def test_an_ensemble_says_the_mean_of_its_members_and_is_saved_with_them(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nlptransfer.evaluation.predictions import read_predictions
    from nlptransfer.recipes import finetuning_cells, transformer_finetuning

    run, members = tmp_path / "run", ["full", "random_forest", "feature_extraction"]
    monkeypatch.setattr(transformer_finetuning, "choose", lambda *given: {"source>target": "ensemble"})
    kept: list[Path] = []
    real = finetuning_cells.ask_members
    monkeypatch.setattr(finetuning_cells, "ask_members", lambda *given: [kept.extend(given[5]), real(*given)][1])
    main(
        [
            *SMALL, "--encoder", str(files / "encoder"), "--train_data", str(files / "source.jsonl"), "--target_data",
            str(files / "target.jsonl"), "--strategies", "full", "random_forest", "--ensemble", *members,
            "--output_dir", str(run),
        ]
    )  # fmt: skip
    assert [folder.name for folder in kept] == ["full-0", "random_forest-0", "feature_extraction-0"]
    model = nlptransfer.load(run)
    texts = [json.loads(line)["text"] for line in (files / "target.jsonl").read_text().splitlines()]
    (said,) = [part for part in read_predictions(run / "predictions" / "ensemble.jsonl") if part.split == "target_test"]
    assert said.predicted == model.predict(texts)
    mean = sum(member.predict_proba(texts).astype(float) for member in model.members) / 3
    assert said.predicted == [model.labels[index] for index in mean.argmax(axis=1)]
    rows = {row["system"]: row for row in json.loads((run / "metrics.json").read_text())["verdicts"]}
    assert "ensemble" in rows and "no_pretraining" in rows
    assert "feature_extraction" in (run / "report.html").read_text()


def test_a_dry_run_tells_what_it_would_do_and_recommends(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(
        [
            *SMALL, "--encoder", str(files / "encoder"), "--train_data", str(files / "source.jsonl"),
            "--output_dir", str(tmp_path / "run"), "--dry_run",
        ]
    )  # fmt: skip
    shown = capsys.readouterr().out
    assert "5 trainings. Nothing was trained." in shown and "Recommended: " in shown
    assert not (tmp_path / "run").exists()


def test_a_bare_run_has_an_encoder_and_texts_and_says_what_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLPTRANSFER_DATA", "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    main(["--dry_run", "--output_dir", str(tmp_path / "run")])
    shown = capsys.readouterr().out
    assert "THE TEXTS ARE SYNTHETIC" in shown and "THE ENCODER IS A STAND-IN" in shown


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--strategies", "fulll"], "Did you mean full?"),
        (["--strategies", "dapt+full"], "no target is named"),
        (["--strategies", "full", "full"], "each at most once"),
        (["--encoder", "no/such-encoder"], "there is no such encoder"),
        (["--max_length", "64"], "max_length is more than the encoder reads"),
        (["--layers", "-9"], "no such layer"),
        (["--layers", "all"], "whole numbers, or mix"),
        (["--pairs", "all"], "--pairs all takes its data from --domains"),
        (["--domains", "amazon"], "--domains is for --pairs all"),
        (["--train_sizes", "5000"], "asks for more than there is"),
        (["--train_data", "nowhere.csv"], "nowhere.csv"),
        (["--train_data", "ud:UD_English-EWT"], "Add --task tagging"),
        (["--strategies", "freeze:9"], "freezes everything"),
        (["--learning_rate", "0"], "above 0"),
        (["--ensemble", "full"], "two or more of full, feature_extraction, no_pretraining"),
        (["--ensemble", "full", "lora"], "found full, lora"),
    ],
)
def test_a_mistake_ends_in_one_message(
    files: Path, tmp_path: Path, fails: Callable[..., str], flags: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    base = ["--encoder", str(files / "encoder"), "--train_data", str(files / "source.jsonl"), "--strategies", "full"]
    given = dict(zip(base[::2], base[1::2], strict=True))
    for flag in flags:
        given.pop(flag, None)
    rest = [text for pair in given.items() for text in pair]
    small = SMALL if "--max_length" not in flags else [*SMALL[:6], "--device", "cpu"]
    message = fails(main, *small, *rest, *flags, "--output_dir", tmp_path / "run")
    assert said in message


def test_what_taggers_can_not_do_is_refused(files: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    flags = [
        *SMALL, "--task", "tagging", "--encoder", str(files / "encoder"), "--train_data", str(files / "tagged.jsonl"),
        "--baselines", "feature_extraction", "--output_dir", str(tmp_path / "run"),
    ]  # fmt: skip
    assert "is for texts" in fails(main, *flags, "--strategies", "random_forest")


def test_a_chain_comes_after_the_strategy_that_it_goes_on_from() -> None:
    settings = Settings(strategies=("full+self_training", "lora", "full"), target_data=("x",))
    names = [system.name for system in list_systems(settings)]
    assert names == ["feature_extraction", "no_pretraining", "full", "full+self_training", "lora"]


def test_one_system_for_all_is_the_best_in_the_mean_over_the_sources() -> None:
    from nlptransfer.experiments import Cell
    from nlptransfer.recipes.finetuning_data import Job, Test
    from nlptransfer.recipes.transformer_finetuning import choose, choose_one_for_all

    settings = Settings(strategies=("full", "lora"))
    jobs = [
        Job(name, False, ("neg", "pos"), [], [], [], [], (Test("target_test", [], None, name=f"{name}>x"),), name)
        for name in ("a", "b")
    ]
    dev = {("a", "full"): 0.8, ("a", "lora"): 0.7, ("b", "full"): 0.6, ("b", "lora"): 0.9}
    cells: Any = {(place, system, 0): Cell([], [], 0.0, {"dev_accuracy": own}) for (place, system), own in dev.items()}
    assert choose(settings, cells, jobs) == {"a>x": "full", "b>x": "lora"}
    assert choose_one_for_all(settings, cells, jobs) == {"a>x": "lora", "b>x": "lora"}


def test_every_settings_file_can_be_read() -> None:
    from nlptransfer.recipes.settings import read_settings

    files = sorted((Path(__file__).parents[2] / "recipes" / "transformer_finetuning").glob("*.yaml"))
    assert len(files) >= 3
    for file in files:
        read_settings(Settings, ["--config", str(file)])
