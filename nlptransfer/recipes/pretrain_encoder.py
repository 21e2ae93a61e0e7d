"""Pretraining: a subword vocabulary and a small encoder learnt from text files, by masked language modelling.

What comes out is a folder that `transformers` loads, for the recipes that take an encoder. Lines of texts that are to
be tested on are kept out of the training text, and a share of the lines is held out to see how well hidden tokens are
told: before training, and after.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nlptransfer.errors import InputError
from nlptransfer.recipes.running import run_recipe
from nlptransfer.recipes.settings import RunSettings, check_values, settings_to_dict

if TYPE_CHECKING:
    from accelerate import Accelerator
    from matplotlib.figure import Figure
    from transformers import BertForMaskedLM, PreTrainedTokenizerFast

    from nlptransfer.data.text_lines import TextSource
    from nlptransfer.data.token_blocks import SourceLines
    from nlptransfer.evaluation.verdict import Score
    from nlptransfer.finetuning.masked_lm import MaskedLMScores

QUESTION = "How well does an encoder learnt from this text alone tell words that are hidden from it?"
SYNTHETIC_VOCABULARY, SYNTHETIC_STEPS = 1_000, 100
USUAL_VOCABULARY, USUAL_STEPS = 16_000, 20_000
FINETUNING_DROPOUT = 0.1
"""What the saved configuration says, for whoever trains the encoder further: fewer texts want it."""
DEV_SEED = 0
"""Of the tokens that are hidden in development text: the same in every run, epoch and process."""


@dataclass(frozen=True)
class Settings(RunSettings):
    """What can be set; `nlptransfer pretrain_encoder --help` shows it."""

    text: tuple[str, ...] = ()
    """Files of text: .txt, .conllu, or .tsv and .jsonl with a column `text`, plain or .gz; by path, or below a folder
    of NLPTRANSFER_DATA. `hi=FILE` puts a file into the group hi. Default: the synthetic corpus."""
    exclude_text: tuple[str, ...] = ()
    """Files whose sentences are kept out of the training text, such as those of test sets; likewise."""
    data_dir: str | None = None
    """Folder to look for files in, before those of NLPTRANSFER_DATA."""
    dev_fraction: float = 0.01
    """Share of the lines held out to develop on."""
    dev_blocks: int = 100
    """Blocks of each file's held-out lines that are scored, at most."""
    split_seed: int = 4
    """Seed of the choice of held-out lines, and of the sample that the vocabulary is learnt from."""
    sampling_exponent: float = 0.5
    """How often a group of files is shown: its share of the text to this power. 1 keeps the shares, 0 levels them."""

    vocabulary: Literal["unigram", "bpe"] = "unigram"
    """How subwords are found."""
    vocab_size: int | None = None
    """Subwords, special ones included. Default: 16,000, or 1,000 of the synthetic corpus."""
    vocabulary_lines: int = 200_000
    """Lines that the vocabulary is learnt from, at most, about."""
    character_coverage: float = 1.0
    """Share of the text's characters that get a subword; less than 1 is for scripts of thousands of characters."""

    num_layers: int = 4
    """Transformer layers."""
    hidden_dim: int = 256
    """Width; each 64 of it is an attention head."""
    max_length: int = 128
    """Tokens of a block, and the most that the encoder will read at once."""
    dropout: float = 0.0
    """Share of features dropped in training. Tokens that are hidden anew in each pass do the same work at no cost."""

    max_steps: int | None = None
    """Steps in all, however often the text is gone through. Default: 20,000, or 100 of the synthetic corpus."""
    steps_per_checkpoint: int = 500
    """A checkpoint and a development score come after so many steps; a killed run loses no more."""
    batch_size: int = 32
    """Blocks per step."""
    learning_rate: float = 1e-3
    """Of AdamW, at its highest."""
    warmup: float = 0.06
    """Share of the steps over which the learning rate rises; then it falls to 0 in a straight line."""
    weight_decay: float = 0.01
    """Of AdamW, on matrices alone."""
    probability: float = 0.15
    """Share of the tokens that are hidden."""
    max_gradient_norm: float = 1.0
    """Gradients are scaled down to this norm."""

    def __post_init__(self) -> None:
        """Refuse what no encoder can be made of."""
        super().__post_init__()
        counts = ("dev_blocks", "vocabulary_lines", "num_layers", "hidden_dim", "steps_per_checkpoint", "batch_size")
        check_values(self, counts, lambda value: value >= 1, expected="at least 1")
        check_values(self, ("vocab_size", "max_steps"), lambda value: value is None or value >= 1, expected="1 or more")
        check_values(self, ("max_length",), lambda value: value >= 3, expected="at least 3")
        check_values(self, ("learning_rate", "max_gradient_norm"), lambda value: value > 0, expected="above 0")
        check_values(self, ("weight_decay",), lambda value: value >= 0, expected="0 or above")
        check_values(self, ("sampling_exponent",), lambda value: 0 <= value <= 1, expected="from 0 to 1")
        check_values(self, ("dropout", "warmup"), lambda value: 0 <= value < 1, expected="from 0 to below 1")
        check_values(self, ("dev_fraction", "probability"), lambda value: 0 < value < 1, expected="between 0 and 1")
        check_values(self, ("character_coverage",), lambda value: 0 < value <= 1, expected="above 0, at most 1")
        check_values(self, ("split_seed",), lambda value: 0 <= value < 2**32, expected="from 0 to 4294967295")
        heads = max(1, self.hidden_dim // 64)
        check_values(self, ("hidden_dim",), lambda value: value % heads == 0, expected="below 128, or a multiple of 64")
        check_values(self, ("seeds",), lambda seeds: len(seeds) == 1, expected="one seed: one encoder is made")


def run(settings: Settings) -> None:
    """Learn the vocabulary, train the encoder, score it, save it, report."""
    from functools import partial

    from nlptransfer.data.text_lines import SYNTHETIC, excluded_keys, find_text_source
    from nlptransfer.data.token_blocks import BlockBatches, dev_batches
    from nlptransfer.evaluation.run_folder import check_run_folder, open_run_folder
    from nlptransfer.finetuning.masked_lm import (
        EncoderWithHead,
        MaskedLMHead,
        make_adamw,
        make_masked_lm_step,
        score_masked_lm,
    )
    from nlptransfer.training.devices import make_accelerator
    from nlptransfer.training.loop import train
    from nlptransfer.training.schedules import linear

    started = time.perf_counter()
    accelerator = make_accelerator(settings.device, settings.precision)
    is_main = accelerator.is_main_process
    if is_main and not settings.dry_run:
        check_run_folder(settings.output_dir, settings=settings_to_dict(settings), resume=settings.resume)

    # 1. The text, and the texts to keep out of it.
    warnings = []
    if not settings.text:
        warnings.append(
            "No --text was given: this run learns from an invented corpus in two scripts, to show that it works. "
            "Its encoder is of no use."
        )
    sources = [find_text_source(name, data_dir=settings.data_dir) for name in settings.text or SYNTHETIC]
    repeated = [
        source.name for number, source in enumerate(sources) if source.path in {s.path for s in sources[:number]}
    ]
    if settings.text and repeated:
        raise InputError("--text names a file twice", where=repeated[0], remedy="Name each file once, in one group.")
    kept_out = [find_text_source(name, data_dir=settings.data_dir) for name in settings.exclude_text]
    vocab_size = settings.vocab_size or (USUAL_VOCABULARY if settings.text else SYNTHETIC_VOCABULARY)
    num_epochs, steps_per_epoch = shared_out(settings)
    if settings.dry_run:
        print_forecast(settings, sources, kept_out, vocab_size, num_epochs * steps_per_epoch, accelerator, warnings)
        return
    if is_main:
        folder = open_run_folder(settings.output_dir, settings=settings_to_dict(settings), resume=settings.resume)
        for warning in warnings:
            print(f"Warning: {warning}", flush=True)
    if (settings.output_dir / "metrics.json").exists():
        print(f"This run is complete: {settings.output_dir / 'report.html'}")
        return

    # 2. Vocabulary and tokens, made once: a resumed run finds them.
    cells = settings.output_dir / "cells"
    if is_main:
        prepare(settings, sources, excluded_keys(kept_out), vocab_size, cells)
    accelerator.wait_for_everyone()
    tokenizer, lines = read_tokenizer(cells), read_lines_dealt(cells)
    token_ids: dict[str, Any] = {"mask_id": tokenizer.mask_token_id, "special_ids": tokenizer.all_special_ids}
    ends: dict[str, Any] = {"start_id": tokenizer.cls_token_id, "end_id": tokenizer.sep_token_id}

    # 3. The encoder, and what it knows before training: nothing but how often tokens come, if that.
    seed = settings.seeds[0]
    model = build_encoder(settings, len(tokenizer), accelerator)
    whole = EncoderWithHead(model.bert, MaskedLMHead(model.cls, was_pretrained=False)).to(accelerator.device)
    batches = BlockBatches(
        cells / "tokens",
        batch_size=settings.batch_size,
        max_length=settings.max_length,
        steps_per_epoch=steps_per_epoch,
        seed=seed,
        exponent=settings.sampling_exponent,
        **ends,
    )
    dev = dev_batches(
        cells / "tokens",
        batch_size=settings.batch_size,
        max_length=settings.max_length,
        max_blocks=settings.dev_blocks,
        **ends,
    )
    if not dev:
        warnings.append("No line was held out to develop on: the text is too short. The last weights were kept.")

    def score() -> dict[str, MaskedLMScores]:
        return {
            name: score_masked_lm(
                whole.encoder,
                whole.head,
                own,
                seed=DEV_SEED,
                probability=settings.probability,
                accelerator=accelerator,
                **token_ids,
            )
            for name, own in dev.items()
        }

    groups = {own.name: own.group for own in lines}
    before = score()

    # 4. Training.
    history: list[dict[str, Any]] = []

    def tell(row: Mapping[str, Any]) -> None:
        tokens = steps_per_epoch * settings.batch_size * settings.max_length
        step = row["epoch"] * steps_per_epoch
        made = {"step": step, **row, "tokens_per_second": tokens / row["seconds"], "padding": batches.padding}
        if "score" in row:
            made["dev_loss"] = -row["score"]
        history.append(made)
        if is_main:
            developed = f", dev loss {made['dev_loss']:.4f}" if "score" in row else ""
            print(
                f"step {step:,} of {num_epochs * steps_per_epoch:,}: loss {row['loss']:.4f}{developed}, "
                f"{made['tokens_per_second']:,.0f} tokens per second",
                flush=True,
            )

    train(
        whole,
        make_masked_lm_step(whole.head, probability=settings.probability, **token_ids),
        batches,
        make_adamw(whole, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay),
        epochs=num_epochs,
        seed=seed,
        evaluate=(lambda: -mean_loss(score(), groups)) if dev else None,
        schedule=partial(linear, warmup=settings.warmup) if settings.warmup else linear,
        max_gradient_norm=settings.max_gradient_norm,
        checkpoint=cells / "checkpoint.pt",
        resume=True,
        accelerator=accelerator,
        on_epoch=tell,
        description="pretraining",
    )
    after = score()
    accelerator.end_training()  # together: a process that loses its partner at its own end is aborted
    if not is_main:
        return

    # 5. The model folder, and the run folder; metrics.json comes last of the files.
    development = describe_development(before, after, groups)
    training = describe_training(settings, history, batches.num_tokens)
    signature = describe_run(settings, lines, model, tokenizer, training, batches.shares)
    save_model(folder.model, model, tokenizer, model_card(settings, development, signature, warnings))
    seconds = {"training": sum(row["seconds"] for row in history), "total": time.perf_counter() - started}
    report(settings, folder, history, before, after, development, lines, signature, seconds, training, warnings)
    shutil.rmtree(cells, ignore_errors=True)


def shared_out(settings: Settings) -> tuple[int, int]:
    """How many epochs of how many steps make up max_steps, about; a checkpoint follows each."""
    max_steps = settings.max_steps or (USUAL_STEPS if settings.text else SYNTHETIC_STEPS)
    num_epochs = math.ceil(max_steps / settings.steps_per_checkpoint)
    return num_epochs, math.ceil(max_steps / num_epochs)


def prepare(
    settings: Settings, sources: Sequence[TextSource], excluded: set[int], vocab_size: int, cells: Path
) -> None:
    """Learn the vocabulary and write the tokens, unless an earlier try has."""
    from nlptransfer.data.text_lines import balanced_lines
    from nlptransfer.data.token_blocks import count_lines, train_lines, write_token_streams
    from nlptransfer.files import write_folder_whole, write_json
    from nlptransfer.models.subword_vocabulary import train_subword_vocabulary

    dealt: dict[str, Any] = {
        "excluded": excluded, "dev_fraction": settings.dev_fraction, "seed": settings.split_seed
    }  # fmt: skip
    if not (cells / "lines.json").exists():
        counted = [count_lines(source, **dealt) for source in sources]
        write_json(cells / "lines.json", [asdict(own) for own in counted])
    lines = read_lines_dealt(cells)
    for own in lines:
        print(
            f"{own.name}: {own.train_lines:,} lines to train on, {own.dev_lines:,} to develop on, "
            f"{own.excluded_lines:,} kept out",
            flush=True,
        )
    if not (cells / "vocabulary").exists():
        sizes: dict[str, tuple[int, int]] = {}
        for own in lines:
            number, characters = sizes.get(own.group, (0, 0))
            sizes[own.group] = number + own.train_lines, characters + own.train_characters
        tokenizer = train_subword_vocabulary(
            balanced_lines(
                train_lines(sources, **dealt),
                sizes,
                max_lines=settings.vocabulary_lines,
                exponent=settings.sampling_exponent,
                seed=settings.split_seed,
            ),
            kind=settings.vocabulary,
            vocab_size=vocab_size,
            seed=settings.split_seed,
            # The sample above is what counts; rounding may make it a little larger.
            max_lines=2 * settings.vocabulary_lines,
            character_coverage=settings.character_coverage,
            max_length=settings.max_length,
        )
        with write_folder_whole(cells / "vocabulary") as temporary:
            tokenizer.save_pretrained(temporary)
        print(f"The vocabulary has {len(tokenizer):,} subwords.", flush=True)
    if not (cells / "tokens").exists():
        tokenizer = read_tokenizer(cells)
        backend = tokenizer.backend_tokenizer

        def encode(texts: list[str]) -> list[list[int]]:
            return [encoded.ids for encoded in backend.encode_batch_fast(texts, add_special_tokens=False)]

        write_token_streams(
            cells / "tokens",
            sources,
            encode,
            vocab_size=len(tokenizer),
            separator_id=tokenizer.sep_token_id,
            **dealt,
        )


def read_lines_dealt(cells: Path) -> list[SourceLines]:
    """How the lines of each text were dealt out."""
    import json

    from nlptransfer.data.token_blocks import SourceLines

    return [SourceLines(**own) for own in json.loads((cells / "lines.json").read_text(encoding="utf-8"))]


def read_tokenizer(cells: Path) -> PreTrainedTokenizerFast:
    """The vocabulary that `prepare` wrote."""
    from transformers import PreTrainedTokenizerFast

    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(
        cells / "vocabulary", local_files_only=True
    )
    return tokenizer


def build_encoder(settings: Settings, vocab_size: int, accelerator: Accelerator) -> BertForMaskedLM:
    """The network, before training."""
    from nlptransfer.models.small_encoder import make_small_encoder

    model = make_small_encoder(
        vocab_size,
        seed=settings.seeds[0],
        num_layers=settings.num_layers,
        hidden_dim=settings.hidden_dim,
        max_length=settings.max_length,
        dropout=settings.dropout,
    )
    if accelerator.device.type == "cpu":
        # At 128 tokens plain matrix products train a quarter faster there in bf16 than the fused kernel.
        model.set_attn_implementation("eager")
    return model


def mean_loss(scores: Mapping[str, MaskedLMScores], groups: Mapping[str, str]) -> float:
    """Over all hidden tokens of a group, and then over the groups: none decides alone which weights are kept."""
    losses: dict[str, float] = {}
    tokens: dict[str, int] = {}
    for name, own in scores.items():
        group = groups[name]
        losses[group] = losses.get(group, 0.0) + own.loss * own.num_tokens
        tokens[group] = tokens.get(group, 0) + own.num_tokens
    return sum(losses[group] / tokens[group] for group in losses) / len(losses)


def describe_development(
    before: Mapping[str, MaskedLMScores], after: Mapping[str, MaskedLMScores], groups: Mapping[str, str]
) -> list[dict[str, Any]]:
    """A row for each file: loss, perplexity and accuracy on hidden tokens, before training and after."""
    return [
        {
            "file": name,
            "group": groups[name],
            "hidden tokens": before[name].num_tokens,
            "loss before": before[name].loss,
            "loss after": own.loss,
            "perplexity before": before[name].perplexity,
            "perplexity after": own.perplexity,
            "accuracy before, %": before[name].accuracy * 100,
            "accuracy after, %": own.accuracy * 100,
        }
        for name, own in after.items()
    ]


def describe_training(settings: Settings, history: Sequence[Mapping[str, Any]], num_tokens: int) -> dict[str, Any]:
    """How much was trained on, and how fast."""
    seconds = sum(row["seconds"] for row in history)
    tokens = history[-1]["step"] * settings.batch_size * settings.max_length
    return {
        "steps": history[-1]["step"],
        "tokens": tokens,
        "tokens_in_text": num_tokens,
        "passes": tokens / num_tokens,
        "tokens_per_second": tokens / seconds,
        "padding": max(row["padding"] for row in history),
    }


def describe_run(
    settings: Settings,
    lines: Sequence[SourceLines],
    model: BertForMaskedLM,
    tokenizer: PreTrainedTokenizerFast,
    training: Mapping[str, Any],
    shares: Mapping[str, float],
) -> dict[str, Any]:
    """What the numbers rest on; part of every file that holds them."""
    texts = [
        f"{own.name} (group {own.group}): {own.train_lines:,} lines to train on, {own.dev_lines:,} to develop on, "
        f"{own.excluded_lines:,} kept out; {shares[own.name]:.1%} of the blocks"
        for own in lines
    ]
    return {
        "text": texts,
        "kept out of the text": list(settings.exclude_text) or "nothing",
        "vocabulary": f"{settings.vocabulary}, {len(tokenizer):,} subwords",
        "model": f"BERT, {settings.num_layers} layers, {settings.hidden_dim} wide, "
        f"{model.num_parameters():,} parameters, reads {settings.max_length} tokens",
        "training": f"{training['steps']:,} steps, {training['tokens']:,} tokens, {training['passes']:.2f} times the "
        f"text, {settings.precision}",
        "held-out lines": "choice of the checkpoint that is kept, and the scores shown: no independent test",
        "seeds": list(settings.seeds),
    }


def save_model(folder: Path, model: BertForMaskedLM, tokenizer: PreTrainedTokenizerFast, card: str) -> None:
    """Write the folder that `transformers` loads, whole: config, safetensors, tokenizer and card."""
    from transformers.utils import logging

    from nlptransfer.files import write_folder_whole, write_text

    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = FINETUNING_DROPOUT
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    with write_folder_whole(folder) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        write_text(temporary / "README.md", card)
    if bars:
        logging.enable_progress_bar()


def model_card(
    settings: Settings,
    development: Sequence[Mapping[str, Any]],
    signature: Mapping[str, Any],
    warnings: Sequence[str],
) -> str:
    """The README.md of the model folder."""
    rows = [
        f"| {row['file']} | {row['hidden tokens']:,} | {row['loss before']:.3f} | {row['loss after']:.3f} "
        f"| {row['accuracy before, %']:.2f} | {row['accuracy after, %']:.2f} |"
        for row in development
    ]
    facts: list[str] = []
    for name, value in signature.items():
        if isinstance(value, list):
            facts += [f"- {name}:", *(f"  - {item}" for item in value)]
        else:
            facts.append(f"- {name}: {value}")
    return "\n".join(
        [
            f"# Encoder with {settings.num_layers} layers, {settings.hidden_dim} wide",
            "",
            "A small BERT, pretrained from scratch by masked language modelling with nlptransfer.",
            "",
            *(f"**{warning}**\n" for warning in warnings),
            "```python",
            "from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer",
            "",
            'tokenizer = AutoTokenizer.from_pretrained("model")',
            'encoder = AutoModel.from_pretrained("model", add_pooling_layer=False)  # a pooler was not trained',
            "```",
            "",
            "## Hidden tokens of held-out lines",
            "",
            "| file | hidden tokens | loss before | loss after | accuracy before, % | accuracy after, % |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "## What the numbers rest on",
            "",
            *facts,
            "",
        ]
    )


def report(
    settings: Settings,
    folder: Any,
    history: Sequence[Mapping[str, Any]],
    before: Mapping[str, MaskedLMScores],
    after: Mapping[str, MaskedLMScores],
    development: Sequence[Mapping[str, Any]],
    lines: Sequence[SourceLines],
    signature: Mapping[str, Any],
    seconds: Mapping[str, float],
    training: Mapping[str, Any],
    warnings: Sequence[str],
) -> None:
    """History, picture, page and metrics, and the scores on the screen."""
    from nlptransfer import __version__
    from nlptransfer.evaluation.plots import write_plots
    from nlptransfer.evaluation.report import Table, print_report, write_report
    from nlptransfer.files import write_json

    scores = [
        score
        for system, own in (("untrained", before), ("pretrained", after))
        for score in accuracy_scores(system, own, settings.seeds[0])
    ]
    notes = [
        f"{training['tokens_per_second']:,.0f} tokens per second, development scores included; "
        f"{training['padding']:.2%} of the positions were padding.",
        "Scores are shares of hidden tokens told rightly; a tenth of these was left in its place, as in training. What "
        f"counts as a sentence here is a block of {settings.max_length} tokens, and as a word a hidden token.",
    ]
    folder.write_history(history)
    plots = write_plots(
        folder.plots,
        figures={"loss.png": ("Loss on hidden tokens, in training and on held-out lines.", plot_loss(history))},
    )
    write_report(
        folder.report,
        title="Pretrained encoder",
        question=QUESTION,
        scores=scores,
        verdicts=[],
        signature=signature,
        settings=settings_to_dict(settings),
        tables=[
            Table("Hidden tokens of held-out lines, by file", development, "Losses in nats per token."),
            Table("The text", [asdict(own) for own in lines]),
        ],
        plots=plots,
        seconds=seconds,
        warnings=warnings,
        notes=notes,
    )
    write_json(
        folder.path / "metrics.json",
        {
            "recipe": "pretrain_encoder",
            "version": __version__,
            "signature": dict(signature),
            "scores": [score.to_dict() for score in scores],
            "verdicts": [],
            "seconds": dict(seconds),
            "development": list(development),
            "training": dict(training),
        },
    )
    print_report(scores, [], warnings=warnings)
    for row in development:
        print(
            f"{row['file']}: loss {row['loss before']:.3f} to {row['loss after']:.3f}, accuracy "
            f"{row['accuracy before, %']:.2f} % to {row['accuracy after, %']:.2f} %"
        )
    print("\n" + "\n".join(notes))
    print(f"\nModel: {folder.model}\nReport: {folder.report}")


def accuracy_scores(system: str, scores: Mapping[str, MaskedLMScores], seed: int) -> list[Score]:
    """Accuracy on all files' hidden tokens together, with an interval over blocks of text."""
    import numpy as np

    from nlptransfer.evaluation.verdict import Score

    if not scores:
        return []
    correct = np.concatenate([own.correct for own in scores.values()])
    hidden = np.concatenate([own.hidden for own in scores.values()])
    drawn = np.random.default_rng(0).integers(len(hidden), size=(1_000, len(hidden)))
    resampled = correct[drawn].sum(axis=1) / np.maximum(hidden[drawn].sum(axis=1), 1)
    value = float(correct.sum() / hidden.sum())
    # Of very few blocks the interval may miss the value by a hair.
    low, high = min(value, float(np.quantile(resampled, 0.025))), max(value, float(np.quantile(resampled, 0.975)))
    number = int(hidden.sum())
    return [Score(system, "dev", "masked_token_accuracy", value, low, high, number, own) for own in (seed, None)]


def plot_loss(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Training and development loss by step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    steps = [row["step"] for row in history]
    axes.plot(steps, [row["loss"] for row in history], marker="o", ms=3, label="training")
    if all("dev_loss" in row for row in history):
        axes.plot(steps, [row["dev_loss"] for row in history], marker="s", ms=3, label="held-out lines, mean of groups")
    axes.set(xlabel="step", ylabel="loss, nats per hidden token")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    return figure


def print_forecast(
    settings: Settings,
    sources: Sequence[TextSource],
    kept_out: Sequence[TextSource],
    vocab_size: int,
    num_steps: int,
    accelerator: Accelerator,
    warnings: Sequence[str],
) -> None:
    """What --dry_run says: files, parameters, time and memory. Nothing is trained, nothing written."""
    import numpy as np
    import torch

    from nlptransfer.data.token_blocks import make_block_batch
    from nlptransfer.finetuning.masked_lm import EncoderWithHead, MaskedLMHead, make_masked_lm_step
    from nlptransfer.training.forecast import forecast_bytes, parameter_groups

    for source in sources:
        size = "invented" if source.path is None else f"{source.path.stat().st_size:,} bytes at {source.path}"
        print(f"text {source.name} (group {source.group}): {size}")
    for source in kept_out:
        print(f"kept out: {source.path}")
    model = build_encoder(settings, vocab_size, accelerator)
    whole = EncoderWithHead(model.bert, MaskedLMHead(model.cls, was_pretrained=False)).to(accelerator.device).train()
    random = np.random.default_rng(0)
    blocks = list(random.integers(5, vocab_size, (settings.batch_size, settings.max_length - 2)))
    batch = make_block_batch(blocks, start_id=2, end_id=3).to(accelerator.device)
    step = make_masked_lm_step(whole.head, mask_id=4, special_ids=range(5), probability=settings.probability)
    taken = []
    with torch.random.fork_rng():
        for _ in range(3):
            begun = time.perf_counter()
            with accelerator.autocast():
                accelerator.backward(step(whole, batch, 0.0)["loss"])
            taken.append(time.perf_counter() - begun)
    own = min(taken)
    print(
        f"{settings.num_layers} layers, {settings.hidden_dim} wide, {vocab_size:,} subwords: "
        f"{model.num_parameters():,} parameters, about "
        f"{forecast_bytes(parameter_groups(whole)) / 1e6:.0f} MB"
    )
    print(
        f"{num_steps:,} steps of {settings.batch_size} blocks of {settings.max_length} tokens: about "
        f"{num_steps * own:.0f} s ({settings.batch_size * settings.max_length / own:,.0f} tokens per second), "
        "the vocabulary left out."
    )
    print(f"Would write settings, metrics, history, a plot, report and model to {settings.output_dir}.")
    print("\n".join(warnings))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the recipe from the command line."""
    run_recipe(Settings, run, argv)


if __name__ == "__main__":
    main()
