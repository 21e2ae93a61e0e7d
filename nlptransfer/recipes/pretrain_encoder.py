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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nlptransfer.errors import InputError
from nlptransfer.recipes.pretraining_report import (
    describe_development,
    describe_run,
    describe_training,
    model_card,
    report,
    save_model,
)
from nlptransfer.recipes.pretraining_text import prepare, read_lines_dealt, read_tokenizer
from nlptransfer.recipes.running import run_recipe
from nlptransfer.recipes.settings import RunSettings, check_values, settings_to_dict

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import ModernBertForMaskedLM

    from nlptransfer.data.text_lines import TextSource
    from nlptransfer.finetuning.masked_lm import MaskedLMScores

SYNTHETIC_VOCABULARY, SYNTHETIC_STEPS = 1_000, 100
USUAL_VOCABULARY, USUAL_STEPS = 16_000, 20_000
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
        check_values(
            self,
            ("hidden_dim",),
            lambda value: value % (2 * heads) == 0,
            expected="even below 128, or a multiple of 64",
        )
        check_values(self, ("seeds",), lambda seeds: len(seeds) == 1, expected="one seed: one encoder is made")


def run(settings: Settings) -> None:
    """Learn the vocabulary, train the encoder, score it, save it, report."""
    from functools import partial

    from nlptransfer.data.text_lines import SYNTHETIC, excluded_keys, find_text_source
    from nlptransfer.data.token_blocks import BlockBatches, dev_batches
    from nlptransfer.evaluation.run_folder import check_run_folder, open_run_folder
    from nlptransfer.finetuning.adaptive_pretraining import EncoderWithHead, make_adamw, make_masked_lm_step
    from nlptransfer.finetuning.masked_lm import MaskedLMHead, mask_and_special_ids, score_masked_lm
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
    mask_id, special_ids = mask_and_special_ids(tokenizer)
    ends: dict[str, Any] = {"start_id": tokenizer.cls_token_id, "end_id": tokenizer.sep_token_id}

    # 3. The encoder, and what it knows before training: nothing but how often tokens come, if that.
    seed = settings.seeds[0]
    model = build_encoder(settings, len(tokenizer), accelerator)
    whole = EncoderWithHead(model.base_model, MaskedLMHead.of(model, was_pretrained=False)).to(accelerator.device)
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
                mask_id=mask_id,
                special_ids=special_ids,
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
        make_masked_lm_step(whole.head, mask_id=mask_id, special_ids=special_ids, probability=settings.probability),
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


def build_encoder(settings: Settings, vocab_size: int, accelerator: Accelerator) -> ModernBertForMaskedLM:
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
    from nlptransfer.finetuning.adaptive_pretraining import EncoderWithHead, make_masked_lm_step
    from nlptransfer.finetuning.masked_lm import MaskedLMHead
    from nlptransfer.training.forecast import forecast_bytes, parameter_groups

    for source in sources:
        size = "invented" if source.path is None else f"{source.path.stat().st_size:,} bytes at {source.path}"
        print(f"text {source.name} (group {source.group}): {size}")
    for source in kept_out:
        print(f"kept out: {source.path}")
    model = build_encoder(settings, vocab_size, accelerator)
    whole = (
        EncoderWithHead(model.base_model, MaskedLMHead.of(model, was_pretrained=False)).to(accelerator.device).train()
    )
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
