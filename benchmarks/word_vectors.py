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
REPEATS = 3

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
    words = [f"word{number}" for number in range(num_words)]
    with (folder / "glove.txt").open("wb") as text, (folder / "word2vec.bin").open("wb") as binary:
        binary.write(f"{num_words} {dim}\n".encode())
        for word in words:
            row = generator.normal(scale=0.4, size=dim).round(5)
            text.write(f"{word} {' '.join([f'{value:.5f}' for value in row.tolist()])}\n".encode())
            binary.write(word.encode() + b" " + row.astype("<f4").tobytes())
    chosen = generator.choice(num_words, size=int(RESTRICTED_SHARE * num_words), replace=False)
    (folder / "vocabulary.txt").write_text("\n".join(words[index] for index in chosen), encoding="utf-8")


def compare(folder: Path) -> str:
    """A Markdown table of the medians and of the ratios to gensim."""
    gensim_text = measure(folder, "gensim text")
    gensim_binary = measure(folder, "gensim binary")
    lines = [
        "| reading | seconds | MB | times as fast as gensim | share of gensim's memory |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, what, reference, steps in (
        ("text, gensim", None, gensim_text, []),
        ("text, first read, writing the cache", "text", gensim_text, ["empty"]),
        ("text, first read, without the cache", "text without cache", gensim_text, []),
        ("text, restricted, first read, writing the cache", "text restricted", gensim_text, ["empty"]),
        ("text, second read", "text", gensim_text, ["fill"]),
        ("text, restricted, second read", "text restricted", gensim_text, ["fill"]),
        ("binary, gensim", None, gensim_binary, []),
        ("binary, first read, writing the cache", "binary", gensim_binary, ["empty"]),
        ("binary, first read, without the cache", "binary without cache", gensim_binary, []),
        ("binary, restricted, first read, writing the cache", "binary restricted", gensim_binary, ["empty"]),
        ("binary, second read", "binary", gensim_binary, ["fill"]),
    ):
        seconds, megabytes = reference if what is None else measure(folder, what, steps=steps)
        speed = f"{reference[0] / seconds:.1f}"
        lines.append(f"| {name} | {seconds:.3f} | {megabytes:.0f} | {speed} | {megabytes / reference[1]:.2f} |")
    return "\n".join(lines)


def measure(folder: Path, what: str, *, steps: list[str] | None = None) -> tuple[float, float]:
    """Median seconds and megabytes over fresh processes; `steps` empties or fills the cache before each."""
    cache = folder / "cache"
    found = []
    for _ in range(1 if what == "gensim text" else REPEATS):
        if "empty" in (steps or []):
            shutil.rmtree(cache, ignore_errors=True)
        if "fill" in (steps or []):
            run_once(folder, what)
        found.append(run_once(folder, what))
    seconds, megabytes = np.median(np.array(found), axis=0)
    print(f"  {what}: {seconds:.3f} s, {megabytes:.0f} MB", flush=True)
    return float(seconds), float(megabytes)


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
    print(f"\n{time.perf_counter() - started:.0f} s in all, medians of {REPEATS} (gensim on text: one run)")
