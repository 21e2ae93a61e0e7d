"""What training two tasks together costs: hard sharing against each task alone, at equal epochs.

    python benchmarks/multitask_cost.py

Parts of speech and chunks of the training part of CoNLL-2000 (or two tags of invented words, where it is not at hand):
a network for each task alone, and one network with a head for each, all of the same layers, vocabulary and settings,
by the same `train` over batches of the same sentences. A sentence that both tasks label is encoded once.

The three take turns in one process, an epoch each, so that whatever else the machine does falls on all alike; the ratio
is the median over rounds of that round's together / (one alone + other alone). A first epoch of each is not counted.
Peak memory is the most above what the process held when the epoch began; see
`nlptransfer.training.memory.PeakMemory` for what that tells of blocks that follow each other. Reading the corpus,
encoding it and scoring development data are not in it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import torch
from tagger_training import invent_sentences, machine

from nlptransfer.data.batching import Batches
from nlptransfer.data.fetching import NotToBeHad
from nlptransfer.data.vocabulary import BOUNDARIES, RESERVED, Vocabulary, count_entries
from nlptransfer.embeddings.embedding_layer import make_random_embedding
from nlptransfer.models.word_features import WordFeatures
from nlptransfer.multitask.recurrent_networks import MultitaskNetwork, MultitaskShape, make_network
from nlptransfer.multitask.task_data import SharedTexts, load_task, share_texts
from nlptransfer.multitask.task_sampling import TaskBatches
from nlptransfer.multitask.task_step import make_task_step
from nlptransfer.multitask.tasks import Task, parse_task
from nlptransfer.recipes.running import errors_as_messages
from nlptransfer.training.loop import train
from nlptransfer.training.memory import PeakMemory
from nlptransfer.training.seeding import seeded

CORPUS = "nltk:conll2000"
WORD_DIM, HIDDEN_DIM, CHARACTER_DIM = 100, 128, 128
BATCH_SIZE, LEARNING_RATE, MAX_GRADIENT_NORM = 32, 2e-3, 5.0
TARGET = 1.15
TOGETHER = "both, hard sharing"


@dataclass
class System:
    """A network with its batches, and what each of its timed epochs took."""

    network: MultitaskNetwork
    batches: TaskBatches
    optimizer: torch.optim.Optimizer
    cpu_seconds: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, help="how many to train on; all by default")
    parser.add_argument("--rounds", type=int, default=5, help="timed epochs of each system")
    parser.add_argument("--threads", type=int, default=2, help="of torch, in every system")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="a few invented sentences, to see that it runs")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)

    name, tasks, texts = read_tasks(arguments.sentences, small=arguments.small, seed=arguments.seed)
    print(machine(arguments.threads))
    tokens = sum(map(len, texts.texts))
    print(f"{name}: {len(texts.texts):,} sentences, {tokens:,} tokens; {arguments.rounds} epochs of each\n")
    systems = {f"{task.name} alone": make_system([task], texts, seed=arguments.seed) for task in tasks}
    systems[TOGETHER] = make_system(tasks, texts, seed=arguments.seed)
    for number in range(arguments.rounds + 1):
        for system in systems.values():
            train_epoch(system, seed=number)
    print(table(systems))


def read_tasks(sentences: int | None, *, small: bool, seed: int) -> tuple[str, list[Task], SharedTexts]:
    """Two tasks on the same sentences, and what the sentences are."""
    if not small:
        try:
            loaded = [
                load_task(parse_task(f"{task}={CORPUS}"), seed=seed, num_train=sentences) for task in ("pos", "chunk")
            ]
        except NotToBeHad as error:
            print(f"Invented sentences instead: {error}\n")
        else:
            (texts,) = share_texts(loaded)
            return f"training part of {CORPUS}", [data.task for data in loaded], texts
    words, last = invent_sentences(sentences or (100 if small else 7_000), seed=seed)
    letters = tuple("abcdefgh")
    tasks = [Task("last", "tagging", letters), Task("first", "tagging", letters)]
    labels = {
        "last": [[letters.index(tag) for tag in tags] for tags in last],
        "first": [[letters.index(word[0]) for word in sentence] for sentence in words],
    }
    return "invented sentences", tasks, SharedTexts(words, labels)


def make_system(tasks: Sequence[Task], texts: SharedTexts, *, seed: int) -> System:
    counts = count_entries(texts.texts)
    vocabulary = Vocabulary(list(counts))
    with seeded(seed):
        network = make_network(
            tasks,
            MultitaskShape(hidden_dim=HIDDEN_DIM, characters="lstm", character_dim=CHARACTER_DIM),
            vocabulary,
            make_random_embedding(vocabulary, WORD_DIM),
            character_vocabulary=Vocabulary([*BOUNDARIES, *count_entries(counts)]),
            counts=np.array([0] * len(RESERVED) + list(counts.values())),
        )
    words = network.words
    assert isinstance(words, WordFeatures)
    columns = texts.columns()
    batches = TaskBatches(
        Batches(words.encode(texts.texts, texts.positions()), batch_size=BATCH_SIZE, seed=seed),
        {task.name: columns[task.name] for task in tasks},
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    return System(network, batches, optimizer)


def train_epoch(system: System, *, seed: int) -> None:
    """Train for one epoch; the seconds and the memory that it took."""
    with PeakMemory() as memory:
        cpu, wall = time.process_time(), time.perf_counter()
        train(
            system.network,
            make_task_step(),
            system.batches,
            system.optimizer,
            epochs=1,
            seed=seed,
            max_gradient_norm=MAX_GRADIENT_NORM,
        )
        system.cpu_seconds.append(time.process_time() - cpu)
        system.seconds.append(time.perf_counter() - wall)
    system.memory.append(memory.gained_bytes)


def table(systems: dict[str, System]) -> str:
    """Seconds and memory of each, and the cost of both together against the sum of each alone."""
    rows = ["| training | CPU seconds per epoch | seconds | peak MB above the start |", "|---|--:|--:|--:|"]
    for name, system in systems.items():
        cpu, seconds = median(system.cpu_seconds[1:]), median(system.seconds[1:])  # the first only warms up
        rows.append(f"| {name} | {cpu:.2f} | {seconds:.2f} | {max(system.memory) / 1e6:,.0f} |")
    rows.append("")
    together, alone = systems[TOGETHER], [system for name, system in systems.items() if name != TOGETHER]
    for what, times in (
        ("CPU seconds", [system.cpu_seconds[1:] for system in (together, *alone)]),
        ("seconds", [system.seconds[1:] for system in (together, *alone)]),
    ):
        ratios = [own / sum(each) for own, *each in zip(*times, strict=True)]
        reached = "reached" if median(ratios) <= TARGET else "missed"
        rows.append(
            f"Together / sum of each alone, {what}: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
            f"target, at most {TARGET}: {reached}"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    with errors_as_messages():
        main()
