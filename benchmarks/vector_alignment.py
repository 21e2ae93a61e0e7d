"""Procrustes and a dictionary induced by CSLS in both directions, against the published procedure in plain numpy.

    python benchmarks/vector_alignment.py                  # 200,000 x 300 on both sides, 2 threads
    python benchmarks/vector_alignment.py --words 20000    # less time
    python benchmarks/vector_alignment.py --small          # a smoke run

Each side is a process of its own, with the libraries imported and the vectors made beforehand. All sides compute the
same: vectors of length 1, centred, of length 1 again; the orthogonal map from 5,000 pairs; and for every word, in both
directions, the word of the other language with the highest CSLS (10 neighbours) among all of them. No word is left out
and no search is approximate, but for the bfloat16 side, which chooses candidates by bfloat16 products and scores them
in float32. The plain side multiplies the vectors four times, block by block, as VecMap's code does: for the mean
similarity of each language's words to the other's, and for the translations in each direction. It finds the means by
np.partition, which is faster than VecMap's repeated maxima. Recall is the share of words whose right translation is
found. Memory is the peak of the whole process, vectors and libraries included. On a busy machine, the CPU seconds are
to be trusted more than those on the clock.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SIDES = ("nlptransfer, bfloat16", "nlptransfer, float32", "plain numpy")
TARGET = 3.0
MOST_MEMORY = 4.0
NUM_NEIGHBOURS = 10

Answers = tuple[np.ndarray, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description="Align two sets of vectors and induce a dictionary by CSLS.")
    parser.add_argument("--words", type=int, default=200_000, help="words on each side")
    parser.add_argument("--dim", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="threads of the linear algebra")
    parser.add_argument("--small", action="store_true", help="1,500 words of 40 numbers: only to see that it runs")
    parser.add_argument("--measure", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.small:
        arguments.words, arguments.dim = 1500, 40
    if arguments.measure:
        print(*measure(arguments.measure, arguments.words, arguments.dim))
    else:
        print(compare(arguments.words, arguments.dim, rounds=arguments.rounds, threads=arguments.threads))


def compare(words: int, dim: int, *, rounds: int, threads: int) -> str:
    """A Markdown table of medians over rounds, in each of which every side runs."""
    found: dict[str, list[list[float]]] = {side: [] for side in SIDES}
    for number in range(1, rounds + 1):
        for side in SIDES:
            found[side].append(run_once(side, words, dim, threads))
            print(f"  round {number}: {side}: {found[side][-1][0]:.2f} s", flush=True)
    lines = [
        f"{words:,} x {dim} on both sides, {threads} threads",
        "",
        "| side | seconds | CPU seconds | times as fast | by CPU seconds | peak, GB | recall, forward | backward |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    runs = {side: np.array(values) for side, values in found.items()}
    plain = runs["plain numpy"]
    for side, values in runs.items():
        ratios = np.median(plain[:, :2] / values[:, :2], axis=0)
        clock, cpu, peak, forward, backward = np.median(values, axis=0)
        lines.append(
            f"| {side} | {clock:.2f} | {cpu:.2f} | {ratios[0]:.2f} | {ratios[1]:.2f} | {peak:.2f} | {forward:.4f} "
            f"| {backward:.4f} |"
        )
    best = runs["nlptransfer, bfloat16"]
    # The lower of the two: on a busy machine the clock says more about the others than about the sides.
    speed, peak = float(np.median(plain[:, :2] / best[:, :2], axis=0).min()), float(best[:, 2].max())
    lines += [
        "",
        f"Target, bfloat16 against plain numpy, at least {TARGET}: {'reached' if speed >= TARGET else 'missed'}",
        f"Target, peak memory under {MOST_MEMORY:.0f} GB: {'reached' if peak < MOST_MEMORY else 'missed'}",
    ]
    return "\n".join(lines)


def run_once(side: str, words: int, dim: int, threads: int) -> list[float]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--measure", side, "--words", str(words), "--dim", str(dim)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(result.stderr)
    return [float(number) for number in result.stdout.split()[-5:]]


def measure(side: str, words: int, dim: int) -> tuple[float, float, float, float, float]:
    """Seconds, CPU seconds, peak GB, and recall forward and backward."""
    import torch  # noqa: F401  by both sides, so that both pay for it

    from nlptransfer.crosslingual import alignment, retrieval  # noqa: F401

    source, target, place = two_languages(words, dim)
    seed_rows = np.random.default_rng(7).choice(words, size=min(5000, words // 3), replace=False)
    pairs = np.stack([seed_rows, place[seed_rows]], axis=1)
    run: Callable[[np.ndarray, np.ndarray, np.ndarray], Answers] = {
        "nlptransfer, bfloat16": lambda *arrays: toolkit(*arrays, precision="bfloat16"),
        "nlptransfer, float32": lambda *arrays: toolkit(*arrays, precision="float32"),
        "plain numpy": plain_numpy,
    }[side]
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is that of making the vectors: forget it
    cpu, clock = time.process_time(), time.perf_counter()
    forward, backward = run(source, target, pairs)
    taken = time.perf_counter() - clock, time.process_time() - cpu
    recall = float((forward == place).mean()), float((backward[place] == np.arange(words)).mean())
    return *taken, peak_gigabytes(), *recall


def peak_gigabytes() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024**2


def two_languages(words: int, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source vectors in clusters about a common middle, the target's turned, disturbed and in another order.

    Rarer words are disturbed more, as in real vectors, and the common middle makes hubs.

    Returns:
        (words, dim) float32 twice, and the target row of each source row.
    """
    rng = np.random.default_rng(13)
    spread = (0.3 + rng.gamma(1.0, size=dim)).astype(np.float32)
    centres = rng.standard_normal((max(10, words // 200), dim), dtype=np.float32) * spread
    source = rng.standard_normal((words, dim), dtype=np.float32)
    source += centres[rng.integers(len(centres), size=words)]
    source += spread * rng.standard_normal(dim, dtype=np.float32)
    turn = np.linalg.qr(rng.standard_normal((dim, dim)))[0].astype(np.float32)
    place = rng.permutation(words)
    noise = (0.5 + 1.7 * np.arange(words) / words).astype(np.float32)[:, None]
    target = np.empty_like(source)
    target[place] = source @ turn + noise * rng.standard_normal((words, dim), dtype=np.float32)
    return source, target, place


def toolkit(source: np.ndarray, target: np.ndarray, pairs: np.ndarray, *, precision: str) -> Answers:
    from nlptransfer.crosslingual.alignment import fit_procrustes
    from nlptransfer.crosslingual.retrieval import translate_both_ways

    fitted = fit_procrustes(source, target, pairs)
    forward, backward = translate_both_ways(
        fitted.transform_source(source),
        fitted.transform_target(target),
        num_neighbours=NUM_NEIGHBOURS,
        precision="bfloat16" if precision == "bfloat16" else "float32",
    )
    return forward.rows[:, 0], backward.rows[:, 0]


def plain_numpy(source: np.ndarray, target: np.ndarray, pairs: np.ndarray) -> Answers:
    """Conneau et al. 2018, equations 2 and 3, over VecMap's normalisation and blocks of 1,000 words."""
    source, target = plain_normalise(source), plain_normalise(target)
    u, _, vt = np.linalg.svd(source[pairs[:, 0]].T @ target[pairs[:, 1]])
    source = source @ (u @ vt)
    source_mean, target_mean = plain_means(source, target), plain_means(target, source)
    return plain_answers(source, target, target_mean), plain_answers(target, source, source_mean)


def plain_normalise(matrix: np.ndarray) -> np.ndarray:
    matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    matrix = matrix - matrix.mean(axis=0)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def plain_means(queries: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """(N,) mean cosine of each query to its nearest neighbours."""
    means = np.empty(len(queries), np.float32)
    for start in range(0, len(queries), 1000):
        cosine = queries[start : start + 1000] @ answers.T
        means[start : start + 1000] = np.partition(cosine, -NUM_NEIGHBOURS, axis=1)[:, -NUM_NEIGHBOURS:].mean(axis=1)
    return means


def plain_answers(queries: np.ndarray, answers: np.ndarray, answer_means: np.ndarray) -> np.ndarray:
    """(N,) the best answer by CSLS; the query's own mean changes no order."""
    best = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), 1000):
        scores = 2 * (queries[start : start + 1000] @ answers.T) - answer_means
        best[start : start + 1000] = scores.argmax(axis=1)
    return best


if __name__ == "__main__":
    main()
