"""Domain-adversarial training on thousands of sparse features, against a plain dense PyTorch loop in the same run.

    python benchmarks/domain_adversarial.py            # 2,000 + 2,000 rows of 5,000 columns, 20 epochs
    python benchmarks/domain_adversarial.py --small    # a smoke run on small arrays

Four trainings of one network (100 hidden units, a discriminator of 100, batches of 64 rows of each domain, AdamW):
DANN and source-only, each by `fit_network_system` and by a loop that keeps the rows as dense tensors and does nothing
but forward, backward and the optimizer's step. (skada's DANN wants skorch, which the package does without.)

Each measurement is a process of its own, with the libraries imported, torch warmed up and the sparse arrays made
beforehand; both sides are given those. Memory is the peak of the resident set above what it was then. The sides take
turns, so that all see the same machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from array_adaptation import sparse_domains, time_and_peak
from scipy import sparse
from torch import nn
from torch.nn import functional

EPOCHS, BATCH_SIZE, HIDDEN_DIM, LEARNING_RATE, WEIGHT_DECAY = 20, 64, 100, 1e-3, 0.01
METHODS = {"source-only": "network", "DANN": "dann"}
SIDES = ("nlptransfer", "plain dense PyTorch loop")
TARGET_SECONDS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description="Train domain-adversarially with nlptransfer and with a plain loop.")
    parser.add_argument("--small", action="store_true", help="small arrays, one round: only to see that it runs")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side runs")
    parser.add_argument("--threads", type=int, default=2, help="threads of the linear algebra")
    parser.add_argument(
        "--measure", nargs=5, metavar=("METHOD", "SIDE", "ROWS", "COLUMNS", "EPOCHS"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.measure:
        method, side, *numbers = arguments.measure
        print(*time_and_peak(make_training(method, side, *map(int, numbers))))
        return
    size = (150, 300, 2) if arguments.small else (2000, 5000, EPOCHS)
    print(compare(*size, rounds=1 if arguments.small else arguments.rounds, threads=arguments.threads))


def compare(rows: int, columns: int, epochs: int, *, rounds: int, threads: int) -> str:
    """A Markdown table of medians, with the least and most, over rounds."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for number in range(1, rounds + 1):
        for method in METHODS:
            for side in SIDES:
                measured = run_once(method, side, rows, columns, epochs, threads)
                found.setdefault((method, side), []).append(measured)
                print(f"  round {number}: {method}, {side}: {measured[0]:.2f} s", flush=True)
    lines = [
        f"| {rows:,} + {rows:,} rows x {columns:,} columns, {epochs} epochs | seconds (least to most) | "
        "nlptransfer is x times as fast | MB |",
        "|---|---:|---:|---:|",
    ]
    for (method, side), values in found.items():
        seconds, megabytes = np.array(values).T
        ratio = "-"
        if side != "nlptransfer":
            ours = np.array(found[method, "nlptransfer"])[:, 0]
            ratio = f"{np.median(seconds / ours):.2f}"
        lines.append(
            f"| {method}, {side} | {np.median(seconds):.2f} ({seconds.min():.2f} to {seconds.max():.2f}) | {ratio} | "
            f"{np.median(megabytes):.0f} |"
        )
    if epochs == EPOCHS:
        seconds = float(np.median(np.array(found["DANN", "nlptransfer"])[:, 0]))
        lines += ["", f"DANN in under {TARGET_SECONDS} s: {'reached' if seconds < TARGET_SECONDS else 'missed'}."]
    return "\n".join(lines)


def run_once(method: str, side: str, rows: int, columns: int, epochs: int, threads: int) -> tuple[float, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--measure", method, side, str(rows), str(columns), str(epochs)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(result.stderr)
    seconds, megabytes = map(float, result.stdout.split()[-2:])
    return seconds, megabytes


def make_training(method: str, side: str, rows: int, columns: int, epochs: int) -> Callable[[], Any]:
    source, target = sparse_domains(rows, columns)
    target = target[:rows]
    slope = np.random.default_rng(1).normal(size=columns).astype(np.float32)
    scores = source @ slope
    labels = (scores > np.median(scores)).astype(np.int64)
    if side != "nlptransfer":
        plain_loop(source[:64], labels[:64], target[:64], adversarial=True, epochs=1)
        return lambda: plain_loop(source, labels, target, adversarial=method == "DANN", epochs=epochs)

    from nlptransfer.adaptation.array_systems import DomainArrays
    from nlptransfer.adaptation.method_names import parse_method
    from nlptransfer.adaptation.network_systems import fit_network_system

    few = DomainArrays(source[:64], labels[:64], target[:64], num_labels=2)
    fit_network_system(parse_method("dann"), few, epochs=1, seed=0)
    arrays = DomainArrays(source, labels, target, num_labels=2)
    return lambda: fit_network_system(parse_method(METHODS[method]), arrays, epochs=epochs, seed=0)


class Reversal(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, features: torch.Tensor) -> torch.Tensor:
        return features.view_as(features)

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return -gradients[0]


def plain_loop(
    source: sparse.csr_matrix, labels: np.ndarray, target: sparse.csr_matrix, *, adversarial: bool, epochs: int
) -> nn.Module:
    """The same network and updates, over dense tensors; written without nlptransfer."""
    torch.manual_seed(0)
    source_rows, target_rows, classes = (
        torch.from_numpy(part) for part in (source.toarray(), target.toarray(), labels)
    )
    encoder = nn.Sequential(nn.Linear(source.shape[1], HIDDEN_DIM), nn.ReLU(), nn.Dropout(0.5))
    head = nn.Linear(HIDDEN_DIM, 2)
    discriminator = nn.Sequential(nn.Linear(HIDDEN_DIM, 100), nn.ReLU(), nn.Linear(100, 1))
    parameters = [*encoder.parameters(), *head.parameters(), *(discriminator.parameters() if adversarial else ())]
    optimizer = torch.optim.AdamW(parameters, LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = -(-len(classes) // BATCH_SIZE)
    for epoch in range(epochs):
        batches = zip(
            torch.randperm(len(classes)).chunk(steps), torch.randperm(len(target_rows)).chunk(steps), strict=True
        )
        for number, (picked, picked_target) in enumerate(batches):
            features = encoder(source_rows[picked])
            loss = functional.cross_entropy(head(features), classes[picked])
            if adversarial:
                own = discriminator(Reversal.apply(features))
                other = discriminator(Reversal.apply(encoder(target_rows[picked_target])))
                progress = (epoch * steps + number) / (epochs * steps)
                weight = 2 / (1 + np.exp(-10 * progress)) - 1
                loss = loss + weight * (functional.softplus(own).mean() + functional.softplus(-other).mean())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return nn.Sequential(encoder, head)


if __name__ == "__main__":
    main()
