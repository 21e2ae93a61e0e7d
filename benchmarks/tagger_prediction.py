"""How fast the default tagger predicts: from lists of words, and from a text file to a tagged file.

    python benchmarks/tagger_prediction.py

The tagger has the default shape over 300-dimensional vectors and the vocabulary of treebank's training part, and tags
all of treebank. A word that the vocabulary lacks is looked up among the vectors, as in use; they hold every second
distinct word, so that the fallbacks are tried too. The weights are random: the time does not depend on them.

- **lists of words**: `tagger.predict(sentences)`: looking words up, spelling, batching, the network, names of tags.
- **file to file**: `tag_stream`, which `nlptransfer predict` runs: the same, and reading lines of words from a file and
  writing words and tags to another.

The two take turns; the speed is the median over rounds. Loading the tagger is not timed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch
from tagger_training import Sentences, invent_sentences, machine, read_treebank

from nlptransfer.data.tag_files import tag_stream
from nlptransfer.data.vocabulary import BOUNDARIES, Vocabulary, count_entries
from nlptransfer.embeddings.embedding_layer import make_embedding
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.models.tagger import RecurrentTagger, TaggerShape
from nlptransfer.recipes.running import errors_as_messages
from nlptransfer.training.seeding import seeded

VECTOR_DIM = 300
TARGET = 40_000  # tokens per second, on two cores


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="timed passes over the text")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="a few invented sentences, to see that it runs")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)

    if arguments.small:
        name, corpus = "invented sentences", invent_sentences(200, seed=arguments.seed)
        training = corpus
    else:
        name, (corpus, training) = "treebank", read_treebank()
    sentences = corpus[0]
    num_tokens = sum(map(len, sentences))
    print(machine(arguments.threads))
    print(f"{name}: {len(sentences):,} sentences, {num_tokens:,} tokens, tagged {arguments.rounds} times\n")
    tagger = make_tagger(training, list(count_entries(sentences))[::2], seed=arguments.seed)
    print(table(time_prediction(tagger, sentences, rounds=arguments.rounds), num_tokens=num_tokens))


def make_tagger(training: Sentences, words_with_vectors: list[str], *, seed: int) -> RecurrentTagger:
    words, tags = training
    counts = count_entries(words)
    generator = torch.Generator().manual_seed(seed)
    vectors = WordVectors(
        words_with_vectors,
        torch.randn(len(words_with_vectors), VECTOR_DIM, generator=generator).numpy(),
        subwords=None,
        source="random numbers",
        digest="",
    )
    vocabulary = Vocabulary(list(counts))
    with seeded(seed):
        return RecurrentTagger(
            vocabulary,
            Vocabulary([*BOUNDARIES, *count_entries(counts)]),
            sorted({tag for sentence_tags in tags for tag in sentence_tags}),
            make_embedding(vectors, vocabulary, trainable=True, generator=generator),
            TaggerShape(),
            vectors=vectors,
        )


def time_prediction(tagger: RecurrentTagger, sentences: list[list[str]], *, rounds: int) -> dict[str, list[float]]:
    """Way to predict -> the seconds of each of its passes over all sentences, taken in turns."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "words.txt", Path(folder) / "tagged.txt"
        source.write_text("".join(" ".join(words) + "\n" for words in sentences), encoding="utf-8")

        def from_file_to_file() -> None:
            with source.open("rb") as read, target.open("wb") as written:
                tag_stream(tagger.predict, read, written, name=str(source), format="lines")

        ways = {"lists of words": lambda: tagger.predict(sentences), "file to file": from_file_to_file}
        for predict in ways.values():  # the first pass only warms up
            predict()
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, predict in ways.items():
                seconds[way].append(duration(predict))
        lines = target.read_text(encoding="utf-8").splitlines()
    assert sum(map(bool, lines)) == sum(map(len, sentences)), "a word was lost between the files"
    return seconds


def duration(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def table(seconds: dict[str, list[float]], *, num_tokens: int) -> str:
    rows = [
        "| prediction, default tagger | tokens per second (least to most) | target |",
        "|---|--:|--:|",
    ]
    for way, passes in seconds.items():
        speeds = num_tokens / np.array(passes)
        reached = "reached" if num_tokens / median(passes) >= TARGET else "missed"
        rows.append(
            f"| {way} | {np.median(speeds):,.0f} ({speeds.min():,.0f} to {speeds.max():,.0f}) | {TARGET:,}: {reached} |"
        )
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    with errors_as_messages():
        main()
