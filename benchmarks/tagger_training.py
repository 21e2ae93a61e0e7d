"""How fast a tagger trains: `nlptransfer.training.loop.train`, a bare PyTorch loop and Flair, side by side in one run.

    python benchmarks/tagger_training.py --flair_python flair_environment/bin/python

Three systems train the same network on the same sentences with the same number of threads:

- **nlptransfer**: `train` as a recipe calls it: batches put together anew each epoch, accelerate, a schedule,
  clipping, progress bar, loss averages. Nothing is evaluated.
- **bare PyTorch loop**: the same module over the batches of one epoch, put together beforehand and kept as tensors;
  per batch zero_grad, forward, loss, backward, clip, optimizer step, and nothing else.
- **Flair**: `SequenceTagger` trained by Flair's own `ModelTrainer`, in its own process and virtual environment; see
  `flair_tagger.py`. Without `--flair_python` it is left out.

What is the same: the sentences, the word vocabulary, trainable 100-dimensional word embeddings, a bidirectional LSTM
over 25-dimensional characters (25 units per direction), a bidirectional LSTM of 128 units, the head, 32 sentences a
batch, fused AdamW, clipping at 5, float32 on the CPU.

What differs, each as the system's own way: nlptransfer puts sentences of near lengths into a batch, encodes each
distinct word of a batch once and reads characters between two boundary marks; Flair shuffles freely, spells every
token of every sentence and keeps one tensor per token. nlptransfer drops features at 0.4, and rare words; Flair has
its defaults, locked dropout at 0.5 and word dropout at 0.05. Flair keeps the learning rate, nlptransfer's falls; for
the time that is nothing. The bare loop shares nlptransfer's network and batches.

The systems take turns, one epoch each, so that whatever else the machine does falls on all alike; a ratio is the median
over rounds of that round's ratio. A first epoch of each is not counted. Reading the corpus and turning it into integers
(nlptransfer) or `Sentence`s (Flair), once per run, is not timed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from nlptransfer.data.batching import Batches
from nlptransfer.data.vocabulary import BOUNDARIES, RESERVED, Vocabulary, count_entries
from nlptransfer.embeddings.embedding_layer import make_random_embedding
from nlptransfer.models.characters import CharacterLSTM
from nlptransfer.models.tagger import Head, RecurrentTagger, TaggerShape
from nlptransfer.recipes.running import errors_as_messages
from nlptransfer.training.loop import train
from nlptransfer.training.schedules import linear
from nlptransfer.training.seeding import seeded
from nlptransfer.types import Batch

WORD_DIM, HIDDEN_DIM = 100, 128
CHARACTER_DIM, CHARACTER_UNITS = 25, 25  # Flair's defaults
BATCH_SIZE, LEARNING_RATE, MAX_GRADIENT_NORM = 32, 2e-3, 5.0
FLAIR_TARGET, BARE_TARGET = 5.0, 0.9

Sentences = tuple[list[list[str]], list[list[str]]]  # words and tags


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", nargs="+", default=["softmax"], choices=["softmax", "crf"])
    parser.add_argument("--rounds", type=int, default=5, help="timed epochs of each system")
    parser.add_argument("--threads", type=int, default=2, help="of torch, in every system")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--flair_python", type=Path, help="the Python that has Flair installed")
    parser.add_argument("--small", action="store_true", help="a few invented sentences, to see that it runs")
    arguments = parser.parse_args(argv)
    if arguments.flair_python is not None and not arguments.flair_python.is_file():
        parser.error(f"--flair_python {arguments.flair_python} is no file; see benchmarks/README.md for how to make it")
    torch.set_num_threads(arguments.threads)

    if arguments.small:
        name, sentences = "invented sentences", invent_sentences(200, seed=arguments.seed)
    else:
        name, (_whole, sentences) = "training part of treebank", read_treebank()
    num_tokens = sum(map(len, sentences[0]))
    print(machine(arguments.threads))
    print(f"{name}: {len(sentences[0]):,} sentences, {num_tokens:,} tokens; {arguments.rounds} epochs of each\n")
    for head in arguments.heads:
        seconds = time_epochs(
            sentences,
            head=head,
            rounds=arguments.rounds,
            threads=arguments.threads,
            seed=arguments.seed,
            flair_python=arguments.flair_python,
        )
        print(table(seconds, num_tokens=num_tokens, head=head), flush=True)


def time_epochs(
    sentences: Sentences, *, head: Head, rounds: int, threads: int, seed: int, flair_python: Path | None
) -> dict[str, list[float]]:
    """System -> the seconds of each of its timed epochs, taken in turns."""
    tagger, batches = make_tagger(sentences, head=head, seed=seed)
    bare_tagger, bare_batches = make_tagger(sentences, head=head, seed=seed)
    bare_optimizer = make_optimizer(bare_tagger)
    prepared = list(bare_batches)
    seconds: dict[str, list[float]] = {"nlptransfer": [], "bare PyTorch loop": []}
    peer = nullcontext() if flair_python is None else start_flair(flair_python, tagger, sentences, threads, seed)
    with peer as flair_epoch:
        if flair_epoch is not None:
            seconds["Flair"] = []
        started = time.perf_counter()

        def others(row: dict[str, Any]) -> None:
            """Take note of our epoch, and let the others train theirs before our next."""
            nonlocal started
            seconds["nlptransfer"].append(time.perf_counter() - started)
            seconds["bare PyTorch loop"].append(bare_epoch(bare_tagger, prepared, bare_optimizer))
            if flair_epoch is not None:
                seconds["Flair"].append(flair_epoch())
            started = time.perf_counter()

        train(
            tagger,
            lambda model, batch, progress: {"loss": model.loss(model(batch), batch)},
            batches,
            make_optimizer(tagger),
            epochs=rounds + 1,
            seed=seed,
            schedule=linear,
            max_gradient_norm=MAX_GRADIENT_NORM,
            on_epoch=others,
        )
    return {system: epochs[1:] for system, epochs in seconds.items()}  # the first only warms up


def make_tagger(sentences: Sentences, *, head: Head, seed: int) -> tuple[RecurrentTagger, Batches]:
    words, tags = sentences
    counts = count_entries(words)
    vocabulary, characters = Vocabulary(list(counts)), Vocabulary([*BOUNDARIES, *count_entries(counts)])
    names = sorted({tag for sentence_tags in tags for tag in sentence_tags})
    ids = {name: number for number, name in enumerate(names)}
    with seeded(seed):
        tagger = RecurrentTagger(
            vocabulary,
            characters,
            names,
            make_random_embedding(vocabulary, WORD_DIM),
            TaggerShape(hidden_dim=HIDDEN_DIM, characters="lstm", character_dim=2 * CHARACTER_UNITS, head=head),
            counts=np.array([0] * len(RESERVED) + list(counts.values())),
        )
        # A shape does not say how large a character's embedding is: this one is as large as Flair's.
        tagger.characters = CharacterLSTM(len(characters), 2 * CHARACTER_UNITS, embedding_dim=CHARACTER_DIM)
    labels = [[ids[tag] for tag in sentence_tags] for sentence_tags in tags]
    return tagger, Batches(tagger.encode(words, labels), batch_size=BATCH_SIZE, seed=seed)


def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)


def bare_epoch(model: RecurrentTagger, batches: list[Batch], optimizer: torch.optim.Optimizer) -> float:
    """Train over `batches` once, with nothing around it; the seconds it took."""
    parameters = list(model.parameters())
    model.train()
    started = time.perf_counter()
    for batch in batches:
        optimizer.zero_grad()
        model.loss(model(batch), batch).backward()
        nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
        optimizer.step()
    return time.perf_counter() - started


@contextmanager
def start_flair(python: Path, tagger: RecurrentTagger, sentences: Sentences, threads: int, seed: int) -> Iterator[Any]:
    """A function that has Flair, in a process of its own, train one epoch, and returns the seconds of that epoch."""
    assert tagger.character_vocabulary is not None
    job = {
        "sentences": sentences[0],
        "tags": sentences[1],
        "vocabulary": tagger.vocabulary.entries,
        "characters": [entry for entry in tagger.character_vocabulary.entries if entry not in BOUNDARIES],
        "tag_names": tagger.tags,
        "word_dim": WORD_DIM,
        "hidden_dim": HIDDEN_DIM,
        "head": tagger.shape.head,
        "batch_size": BATCH_SIZE,
        "learning_rate": LEARNING_RATE,
        "max_gradient_norm": MAX_GRADIENT_NORM,
        "threads": threads,
        "seed": seed,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        command = [str(python), str(Path(__file__).with_name("flair_tagger.py")), str(path)]
        environment = os.environ | {"FLAIR_CACHE_ROOT": folder, "PYTHONWARNINGS": "ignore"}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment
        ) as process:
            assert process.stdin is not None and process.stdout is not None

            def read() -> dict[str, Any]:
                line = process.stdout.readline()
                if not line:
                    sys.exit(f"{python}: Flair ended with exit code {process.wait()}; its own message stands above")
                return json.loads(line)

            def epoch() -> float:
                process.stdin.write("go\n")
                process.stdin.flush()
                return read()["seconds"]

            facts = read()
            ours = sum(parameter.numel() for parameter in tagger.parameters())
            print(
                f"Flair {facts['flair']} on torch {facts['torch']}: {facts['parameters']:,} parameters; ours {ours:,}\n"
            )
            yield epoch
            process.stdin.close()  # tells it to end


def table(seconds: dict[str, list[float]], *, num_tokens: int, head: Head) -> str:
    """Speeds, and how many times as fast nlptransfer is, against what it should be."""
    targets = {"bare PyTorch loop": BARE_TARGET, "Flair": FLAIR_TARGET}
    rows = [
        f"| training, {head} | tokens per second | seconds per epoch | nlptransfer / it (least to most) | target |",
        "|---|--:|--:|--:|--:|",
    ]
    for system, epochs in seconds.items():
        ratio = verdict = ""
        if system in targets:
            ratios = [its / ours for its, ours in zip(epochs, seconds["nlptransfer"], strict=True)]
            reached = "reached" if median(ratios) >= targets[system] else "missed"
            ratio = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            verdict = f"{targets[system]:g}: {reached}"
        rows.append(f"| {system} | {num_tokens / median(epochs):,.0f} | {median(epochs):.2f} | {ratio} | {verdict} |")
    return "\n".join(rows) + "\n"


def machine(threads: int) -> str:
    """Processor, cores and versions, for beside the numbers."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = (line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line)
        processor = next(names, processor)
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{processor}, {os.cpu_count()} cores, {threads} torch threads; {versions}"


def read_treebank() -> tuple[Sentences, Sentences]:
    """All of it, and the part that the POS tagging recipe trains on."""
    from nlptransfer.data.corpora import load_corpus
    from nlptransfer.data.splits import split_corpus, tag_names

    corpus = load_corpus("treebank")
    names = tag_names(corpus)
    training = split_corpus(corpus, dev_fraction=0.15, test_fraction=0.15, seed=4)["train"]
    return tuple(
        (list(part["tokens"]), [[names[tag] for tag in tags] for tags in part["tags"]]) for part in (corpus, training)
    )


def invent_sentences(count: int, *, seed: int) -> Sentences:
    """Sentences of 1 to 40 words, drawn as unevenly as real words are; a word's last letter is its tag."""
    random = np.random.default_rng(seed)
    vocabulary = ["".join(random.choice(list("abcdefgh"), random.integers(2, 12))) for _ in range(500)]
    lengths = random.integers(1, 41, count)
    words = [[vocabulary[min(rank, 500) - 1] for rank in random.zipf(1.3, length)] for length in lengths]
    return words, [[word[-1] for word in sentence] for sentence in words]


if __name__ == "__main__":
    with errors_as_messages():
        main()
