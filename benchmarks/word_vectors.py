"""Reading word vectors, against gensim, side by side in one run: seconds and peak memory.

    python benchmarks/word_vectors.py                          # 200,000 words of 300 numbers: the published table
    python benchmarks/word_vectors.py --words 5000 --dim 50    # a minute's smoke run

The files are made on the spot and removed at the end (about 800 MB at full size, besides a cache of 300 MB). Every
measurement is a process of its own, with the libraries imported beforehand, and the files already in the system's
page cache. Memory is the peak of the resident set above what it was after the imports.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RESTRICTED_SHARE = 0.1
ROUNDS = 3

MEASURE = """
import logging, os, resource, sys, time
what, text, binary, vocabulary = sys.argv[1:]
logging.disable(logging.WARNING)
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
if what.startswith("gensim"):
    from gensim.models import KeyedVectors
    run = {
        "gensim text": lambda: KeyedVectors.load_word2vec_format(text, no_header=True),
        "gensim binary": lambda: KeyedVectors.load_word2vec_format(binary, binary=True),
    }[what]
else:
    import pyarrow.csv
    from nlptransfer.embeddings.word_vectors import read_word_vectors
    with open(vocabulary, encoding="utf-8") as stream:
        words = stream.read().split()
    file = text if "text" in what else binary
    kept = words if "restricted" in what else None
    cache = "without cache" not in what
    run = lambda: read_word_vectors(file, vocabulary=kept, cache=cache)
before = peak()
start = time.perf_counter()
result = run()
seconds = time.perf_counter() - start
print(seconds, peak() - before, len(result))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Read word vectors with nlptransfer and with gensim.")
    parser.add_argument("--words", type=int, default=200_000, help="words in the files")
    parser.add_argument("--dim", type=int, default=300, help="numbers per word")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="word_vectors_"))
    try:
        print(f"Writing {arguments.words:,} x {arguments.dim} as text and binary to {folder} ...", flush=True)
        write_files(folder, arguments.words, arguments.dim)
        table = compare(folder)
    finally:
        shutil.rmtree(folder)
    print(f"\n{arguments.words:,} words x {arguments.dim}, restricted to {RESTRICTED_SHARE:.0%} of the words\n")
    print(table)


def write_files(folder: Path, num_words: int, dim: int) -> None:
    """The same random vectors as GloVe-style text and as word2vec binary, and a tenth of the words as vocabulary."""
    generator = np.random.default_rng(13)
    words = [spelled(number) for number in range(num_words)]
    with (folder / "glove.txt").open("wb") as text, (folder / "word2vec.bin").open("wb") as binary:
        binary.write(f"{num_words} {dim}\n".encode())
        for word in words:
            row = generator.normal(scale=0.4, size=dim).round(5)
            text.write(f"{word} {' '.join([f'{value:.5f}' for value in row.tolist()])}\n".encode())
            binary.write(word.encode() + b" " + row.astype("<f4").tobytes())
    chosen = generator.choice(num_words, size=int(RESTRICTED_SHARE * num_words), replace=False)
    (folder / "vocabulary.txt").write_text("\n".join(words[index] for index in chosen), encoding="utf-8")


def spelled(number: int) -> str:
    """A word of consonants and vowels, another for each number."""
    word = ""
    while number or len(word) < 4:
        number, rest = divmod(number, 85)
        word += "bcdfghklmnprstvwz"[rest // 5] + "aeiou"[rest % 5]
    return word


def compare(folder: Path) -> str:
    """A Markdown table of medians over rounds; each round measures every case, so that all see the same machine."""
    cases = (
        ("text, gensim", "gensim text", None),
        ("text, first read, writing the cache", "text", "empty"),
        ("text, first read, without the cache", "text without cache", None),
        ("text, restricted, first read, writing the cache", "text restricted", "empty"),
        ("text, restricted, second read", "text restricted", "fill"),
        ("text, second read", "text", "fill"),
        ("binary, gensim", "gensim binary", None),
        ("binary, first read, writing the cache", "binary", "empty"),
        ("binary, first read, without the cache", "binary without cache", None),
        ("binary, restricted, first read, writing the cache", "binary restricted", "empty"),
        ("binary, second read", "binary", "fill"),
    )
    found: dict[str, list[tuple[float, float]]] = {name: [] for name, _, _ in cases}
    for number in range(1, ROUNDS + 1):
        for name, what, cache in cases:
            if cache == "empty":
                shutil.rmtree(folder / "cache", ignore_errors=True)
            elif cache == "fill":
                run_once(folder, what)
            found[name].append(run_once(folder, what))
            print(f"  round {number}: {name}: {found[name][-1][0]:.3f} s, {found[name][-1][1]:.0f} MB", flush=True)
    median = {name: np.median(np.array(values), axis=0) for name, values in found.items()}
    lines = [
        "| reading | seconds | MB | times as fast as gensim | share of gensim's memory |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, (seconds, megabytes) in median.items():
        reference = median[f"{name.split(',')[0]}, gensim"]
        ratios = f"{reference[0] / seconds:.1f} | {megabytes / reference[1]:.2f}"
        lines.append(f"| {name} | {seconds:.3f} | {megabytes:.0f} | {ratios} |")
    return "\n".join(lines)


def run_once(folder: Path, what: str) -> tuple[float, float]:
    files = [str(folder / name) for name in ("glove.txt", "word2vec.bin", "vocabulary.txt")]
    environment = {**os.environ, "NLPTRANSFER_CACHE": str(folder / "cache")}
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, what, *files], env=environment, capture_output=True, text=True
    )
    if result.returncode:
        sys.exit(result.stderr)
    seconds, megabytes, _ = map(float, result.stdout.split())
    return seconds, megabytes


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"\n{time.perf_counter() - started:.0f} s in all, medians of {ROUNDS} rounds")
