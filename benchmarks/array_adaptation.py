"""Adaptation of feature arrays, against skada, side by side in one run: seconds and peak memory.

    python benchmarks/array_adaptation.py            # 2,000 x 300, 1,000 and 5,000, and sparse 2,000 x 30,000
    python benchmarks/array_adaptation.py --small    # a smoke run on small arrays

Each measurement is a process of its own, with the libraries imported and the arrays made beforehand. Memory is the peak
of the resident set above what it was then. Both sides fit the same arrays and map the source rows,
or weight them: density ratios by logistic regression with the same C and tolerance, out of five folds on both sides.
Besides, skada's of a single fit, which has seen the rows that it weights, stands against ours of five folds and of two.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description="Adapt feature arrays with nlptransfer and with skada.")
    parser.add_argument("--small", action="store_true", help="small arrays, one round: only to see that it runs")
    parser.add_argument("--threads", type=int, default=2, help="threads of the linear algebra")
    parser.add_argument("--measure", nargs=4, metavar=("CASE", "SIDE", "ROWS", "COLUMNS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        case, side, rows, columns = arguments.measure
        print(*time_and_peak({**CASES, **ALONE}[case][side](int(rows), int(columns))))
        return
    sizes = [(200, 100), (200, 500)] if arguments.small else [(2000, 300), (2000, 1000), (2000, 5000)]
    wide = (200, 3000) if arguments.small else (2000, 30_000)
    runs = [(case, *size) for case in CASES for size in sizes] + [(case, *wide) for case in ALONE]
    print(compare(runs, rounds=1 if arguments.small else ROUNDS, threads=arguments.threads))


def compare(runs: list[tuple[str, int, int]], *, rounds: int, threads: int) -> str:
    """A Markdown table of medians over rounds; in each, every side runs, so that all see the same machine."""
    lines = [
        "| method | rows x columns | nlptransfer, s (least) | skada, s (least) | times as fast "
        "| nlptransfer, MB | skada, MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for case, rows, columns in runs:
        sides = [side for side in ("nlptransfer", "skada") if side in {**CASES, **ALONE}[case]]
        found: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        for number in range(1, rounds + 1):
            for side in sides:
                found[side].append(run_once(case, side, rows, columns, threads))
                taken = found[side][-1][0]
                print(f"  round {number}: {case}, {rows:,} x {columns:,}, {side}: {taken:.3f} s", flush=True)
        seconds = {side: np.array(values)[:, 0] for side, values in found.items()}
        megabytes = {side: f"{np.median(np.array(values)[:, 1]):.0f}" for side, values in found.items()}
        times = {side: f"{np.median(taken):.3f} ({taken.min():.3f})" for side, taken in seconds.items()}
        ratio = f"{np.median(seconds['skada'] / seconds['nlptransfer']):.2f}" if "skada" in seconds else "-"
        cells = [times["nlptransfer"], times.get("skada", "-"), ratio]
        cells += [megabytes["nlptransfer"], megabytes.get("skada", "-")]
        lines.append(f"| {case} | {rows:,} x {columns:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def run_once(case: str, side: str, rows: int, columns: int, threads: int) -> tuple[float, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--measure", case, side, str(rows), str(columns)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(result.stderr)
    seconds, megabytes = map(float, result.stdout.split()[-2:])
    return seconds, megabytes


def time_and_peak(run: Callable[[], Any]) -> tuple[float, float]:
    """Seconds, and MB above those before, of one run in this process."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is that of making the arrays: forget it
    before = peak_megabytes()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start, peak_megabytes() - before


def peak_megabytes() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def dense_domains(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Float32 features of two domains; correlated, and not alike."""
    rng = np.random.default_rng(13)
    domains = []
    for spread in (1.0, 2.0):
        topics = rng.normal(size=(rows, 50)) @ rng.normal(size=(50, columns))
        domains.append((spread * topics / 7 + rng.normal(size=(rows, columns))).astype(np.float32))
    return domains[0], domains[1]


def sparse_domains(rows: int, columns: int) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Binary features with the frequencies of words, about 100 in a document; twice as many target documents."""
    rng = np.random.default_rng(13)
    frequencies = 1 / np.arange(1, columns + 1)
    domains = []
    for number in (rows, 2 * rows):
        words = rng.choice(columns, size=(number, 150), p=frequencies / frequencies.sum())
        starts = np.arange(number + 1) * 150
        counted = sparse.csr_matrix((np.ones(words.size, np.float32), words.ravel(), starts), shape=(number, columns))
        counted.sum_duplicates()
        counted.data[:] = 1
        domains.append(counted)
    return domains[0], domains[1]


def coral(rows: int, columns: int) -> Callable[[], Any]:
    from nlptransfer.adaptation.coral import CORAL

    source, target = dense_domains(rows, columns)
    return lambda: CORAL().fit(source, target_features=target).transform(source, domain="source")


def sparse_coral(rows: int, columns: int) -> Callable[[], Any]:
    from nlptransfer.adaptation.coral import CORAL

    source, target = sparse_domains(rows, columns)
    return lambda: CORAL().fit(source, target_features=target).transform(source, domain="source")


def skada_coral(rows: int, columns: int) -> Callable[[], Any]:
    from skada import CORALAdapter

    # With shrinkage by a given number, its fastest: "auto" estimates it by Ledoit and Wolf.
    both = np.concatenate(dense_domains(rows, columns))
    domain = np.repeat([1, -2], rows)
    adapter = CORALAdapter(reg=0.1)

    def run() -> np.ndarray:
        adapter.fit(both, sample_domain=domain)
        return adapter.transform(both[:rows], sample_domain=domain[:rows], allow_source=True)

    return run


def density_ratio(rows: int, columns: int) -> Callable[[], Any]:
    from nlptransfer.adaptation.instance_weighting import DensityRatioWeighting

    source, target = dense_domains(rows, columns)
    return lambda: DensityRatioWeighting().fit(source, target_features=target)


def two_fold_ratio(rows: int, columns: int) -> Callable[[], Any]:
    from nlptransfer.adaptation.instance_weighting import DensityRatioWeighting

    source, target = dense_domains(rows, columns)
    return lambda: DensityRatioWeighting(folds=2).fit(source, target_features=target)


def sparse_density_ratio(rows: int, columns: int) -> Callable[[], Any]:
    from nlptransfer.adaptation.instance_weighting import DensityRatioWeighting

    source, target = sparse_domains(rows, columns)
    return lambda: DensityRatioWeighting().fit(source, target_features=target)


def skada_density_ratio(rows: int, columns: int) -> Callable[[], Any]:
    from skada import DiscriminatorReweightAdapter
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    both = np.concatenate(dense_domains(rows, columns))
    domain = np.repeat([1, -2], rows)
    adapter = DiscriminatorReweightAdapter(LogisticRegression(C=0.01, max_iter=1000))

    def run() -> np.ndarray:
        # skada weights the rows that its classifier has seen; ours never does, so skada's is trained by folds too.
        weights = np.zeros(len(both))
        for seen, unseen in StratifiedKFold(5, shuffle=True, random_state=0).split(both, domain):
            adapter.fit(both[seen], sample_domain=domain[seen])
            weights[unseen] = adapter.compute_weights(both[unseen], sample_domain=domain[unseen])
        return weights

    return run


def skada_density_ratio_once(rows: int, columns: int) -> Callable[[], Any]:
    from skada import DiscriminatorReweightAdapter
    from sklearn.linear_model import LogisticRegression

    both = np.concatenate(dense_domains(rows, columns))
    domain = np.repeat([1, -2], rows)
    adapter = DiscriminatorReweightAdapter(LogisticRegression(C=0.01, max_iter=1000))
    return lambda: adapter.fit(both, sample_domain=domain).compute_weights(both, sample_domain=domain)


Sides = dict[str, Callable[[int, int], Callable[[], Any]]]

CASES: dict[str, Sides] = {
    "CORAL": {"nlptransfer": coral, "skada": skada_coral},
    "density ratio, 5 folds": {"nlptransfer": density_ratio, "skada": skada_density_ratio},
    "density ratio, 5 folds, skada's of one fit": {"nlptransfer": density_ratio, "skada": skada_density_ratio_once},
    "density ratio, 2 folds, skada's of one fit": {"nlptransfer": two_fold_ratio, "skada": skada_density_ratio_once},
}
"""What skada has too: run on the dense arrays. Each side is a function that makes its arrays and returns the work."""

ALONE: dict[str, Sides] = {
    "CORAL, sparse": {"nlptransfer": sparse_coral},
    "density ratio, sparse": {"nlptransfer": sparse_density_ratio},
}
"""What skada has no peer for, since it takes dense arrays."""


if __name__ == "__main__":
    main()
