"""Denoising autoencoders: mSDA against the paper's formulas in plain numpy, and against training an SDA, in one run.

    python benchmarks/denoising_autoencoders.py            # 8,000 x 5,000, 5 layers; 30,000 features; to 64,000 rows
    python benchmarks/denoising_autoencoders.py --small    # a smoke run on small arrays

Documents are generated: some sixty words each, drawn from a Zipfian list by a topic. Each measurement is a process of
its own, with the libraries imported and the documents made beforehand; memory is the peak of the resident set above
what it was then. All sides give the representation of all rows, but for the stream, which is fitted only. The numpy
side is what the formulas say, dense, in float64, with an explicit inverse and numpy's threads. The SDA has as many
layers of as many units and is trained for one epoch a layer, without the joint epochs; its time is multiplied by the
epochs of its default.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from array_adaptation import time_and_peak
from scipy import sparse

ROUNDS = 3
WORDS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit denoising autoencoders with nlptransfer and in plain numpy.")
    parser.add_argument("--small", action="store_true", help="small arrays, one round: only to see that it runs")
    parser.add_argument("--threads", type=int, default=2, help="threads of the linear algebra")
    parser.add_argument("--measure", nargs=4, metavar=("SIDE", "ROWS", "COLUMNS", "LAYERS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        side, *numbers = arguments.measure
        run, factor = make_run(side, *map(int, numbers))
        seconds, megabytes = time_and_peak(run)
        print(seconds * factor, megabytes)
        return
    rows, columns, layers = (300, 100, 2) if arguments.small else (8_000, 5_000, 5)
    sides = [("msda", ROUNDS), ("numpy", ROUNDS), ("sda", 1)]
    runs = [(side, rows, columns, layers, 1 if arguments.small else rounds) for side, rounds in sides]
    runs.append(("msda parts", 300 if arguments.small else 8_000, 600 if arguments.small else 30_000, layers, 1))
    for number in (100, 200) if arguments.small else (2_000, 4_000, 8_000, 16_000, 32_000, 64_000):
        runs.append(("msda stream", number, 100 if arguments.small else 2_000, 3, 1))
    lines = ["| what | rows x features | layers | seconds (least) | peak MB |", "|---|---:|---:|---:|---:|"]
    seconds: dict[str, float] = {}
    for side, num_rows, num_columns, num_layers, rounds in runs:
        found = np.array([run_once(side, num_rows, num_columns, num_layers, arguments.threads) for _ in range(rounds)])
        middle, least = np.median(found[:, 0]), found[:, 0].min()
        seconds.setdefault(side, float(middle))
        size = f"{num_rows:,} x {num_columns:,}"
        lines.append(f"| {side} | {size} | {num_layers} | {middle:.2f} ({least:.2f}) | {np.median(found[:, 1]):.0f} |")
        print(lines[-1], flush=True)
    print("\n" + "\n".join(lines))
    print(f"\nmSDA is {seconds['numpy'] / seconds['msda']:.1f} times as fast as the formulas in numpy, and")
    print(f"{seconds['sda'] / seconds['msda']:.1f} times as fast as training an SDA of its width.")


def run_once(side: str, rows: int, columns: int, layers: int, threads: int) -> tuple[float, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--measure", side, str(rows), str(columns), str(layers)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(result.stderr)
    seconds, megabytes = map(float, result.stdout.split()[-2:])
    return seconds, megabytes


def make_documents(rows: int, columns: int, seed: int = 0) -> sparse.csr_matrix:
    """Binary documents of about sixty different words each, of ten topics."""
    rng = np.random.default_rng(seed)
    frequency = 1 / (10 + np.arange(columns))
    drawn = []
    for topic in range(10):
        own = frequency * np.where(rng.random(columns) < 0.1, 5, 1)
        share = range(topic, rows, 10)
        drawn.append(rng.choice(columns, size=(len(share), 2 * WORDS), p=own / own.sum()))
    words = np.concatenate(drawn)[rng.permutation(rows), : int(1.3 * WORDS)]
    places = np.repeat(np.arange(rows), words.shape[1])
    made = sparse.csr_matrix((np.ones(words.size, np.float32), (places, words.ravel())), shape=(rows, columns))
    made.data[:] = 1
    return made


def make_run(side: str, rows: int, columns: int, layers: int) -> tuple[Callable[[], Any], float]:
    """What is to be timed, and what its seconds are multiplied by."""
    documents = make_documents(rows, columns)
    if side == "numpy":
        dense = documents.toarray().astype(np.float64)
        return lambda: by_the_formulas(dense, layers), 1
    if side == "sda":
        from nlptransfer.adaptation.denoising import StackedDenoising

        usual = StackedDenoising()
        sda = StackedDenoising(hidden_dims=(columns,) * layers, epochs=1, joint_epochs=0)
        return lambda: sda.fit_transform(documents), usual.epochs
    from nlptransfer.adaptation.marginalized_denoising import MarginalizedDenoising

    msda = MarginalizedDenoising(num_layers=layers, max_features=100 if columns == 600 else 5_000)
    if side == "msda stream":
        return lambda: msda.fit_batches(lambda: (documents[at : at + 2_000] for at in range(0, rows, 2_000))), 1
    return lambda: msda.fit_transform(documents), 1


def by_the_formulas(rows: np.ndarray, layers: int, corruption: float = 0.5) -> np.ndarray:
    """Chen et al. 2012, equations 4 and 5 and section 3.3, as they stand."""
    kept = []
    for _ in range(layers):
        with_one = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
        survives = np.append(np.full(rows.shape[1], 1 - corruption), 1.0)
        scatter = with_one.T @ with_one
        square = scatter * np.outer(survives, survives)
        np.fill_diagonal(square, survives * np.diag(scatter))
        cross = scatter[:-1] * survives
        weights = cross @ np.linalg.inv(square + 1e-5 * np.eye(len(square)))
        rows = np.tanh(with_one @ weights.T)
        kept.append(rows)
    return np.concatenate(kept, axis=1)


if __name__ == "__main__":
    main()
