"""The benchmarks run, on a few invented sentences or rows, and print the table that their README holds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_benchmark(script: str, *flags: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "benchmarks" / script), *flags]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


@pytest.mark.slow
def test_training_benchmark_rates_train_against_the_bare_loop() -> None:
    result = run_benchmark(
        "tagger_training.py", "--small", "--rounds", "2", "--threads", "1", "--heads", "softmax", "crf"
    )
    assert result.returncode == 0, result.stderr
    for head in ("softmax", "crf"):
        assert f"| training, {head} |" in result.stdout
    assert len(re.findall(r"^\| nlptransfer \| [\d,]+ \|", result.stdout, re.MULTILINE)) == 2
    # The ratio itself is for a quiet machine to tell.
    assert len(re.findall(r"^\| bare PyTorch loop \|.* 0\.9: (?:reached|missed) \|$", result.stdout, re.MULTILINE)) == 2
    assert "Flair" not in result.stdout


def test_prediction_benchmark_loses_no_word_between_the_files() -> None:
    result = run_benchmark("tagger_prediction.py", "--small", "--rounds", "2", "--threads", "1")
    assert result.returncode == 0, result.stderr
    for way in ("lists of words", "file to file"):
        assert re.search(rf"^\| {way} \| [\d,]+ ", result.stdout, re.MULTILINE)


def test_a_missing_flair_python_is_told_before_anything_is_trained() -> None:
    result = run_benchmark("tagger_training.py", "--small", "--flair_python", "no/such/python")
    assert result.returncode == 2
    assert "no/such/python is no file" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_word_vector_benchmark_rates_every_reader_against_gensim() -> None:
    result = run_benchmark("word_vectors.py", "--words", "5000", "--dim", "50")
    assert result.returncode == 0, result.stderr
    assert "gensim" in result.stdout


@pytest.mark.slow
def test_array_benchmark_rates_every_method_against_skada() -> None:
    result = run_benchmark("array_adaptation.py", "--small", "--threads", "1")
    assert result.returncode == 0, result.stderr
    rows = re.findall(r"^\| ([^|]+) \| 200 x [\d,]+ \|.*\|$", result.stdout, re.MULTILINE)
    assert len(rows) == 2 * 4 + 2
    assert {"CORAL", "density ratio, 5 folds", "CORAL, sparse", "density ratio, sparse"} <= set(rows)


@pytest.mark.slow
def test_adversarial_benchmark_rates_dann_against_a_dense_loop() -> None:
    result = run_benchmark("domain_adversarial.py", "--small", "--threads", "1")
    assert result.returncode == 0, result.stderr
    for method in ("source-only", "DANN"):
        for side in ("nlptransfer", "plain dense PyTorch loop"):
            assert re.search(rf"^\| {method}, {side} \| \d+\.\d\d ", result.stdout, re.MULTILINE)


def test_denoising_benchmark_compares_with_the_formulas_and_with_a_trained_autoencoder() -> None:
    result = run_benchmark("denoising_autoencoders.py", "--small", "--threads", "1")
    assert result.returncode == 0, result.stderr
    for side in ("msda", "numpy", "sda", "msda parts", "msda stream"):
        assert re.search(rf"^\| {side} \| [\d,]+ x [\d,]+ \|", result.stdout, re.MULTILINE)
    assert "times as fast as the formulas in numpy" in result.stdout


@pytest.mark.slow
def test_fine_tuning_benchmark_rates_both_precisions_against_trainer() -> None:
    result = run_benchmark("transformer_finetuning.py", "--small", "--threads", "1", "--check_accuracy")
    assert result.returncode == 0, result.stderr
    for side in ("nlptransfer, bf16", "nlptransfer, fp32", "Trainer, fp32", "Trainer, bf16"):
        assert re.search(rf"^\| {side} \| [\d,.]+ \(.*\) \| \d+\.\d\d \(.*\) \| [\d,]+ \|", result.stdout, re.MULTILINE)
        assert re.search(rf"^\| {side} \| \d+\.\d% \| \d+ \|$", result.stdout, re.MULTILINE)
    assert re.search(r"1\.5: (?:reached|missed) \|$", result.stdout, re.MULTILINE)


@pytest.mark.slow
def test_encoder_benchmark_rates_features_against_sentence_transformers() -> None:
    pytest.importorskip("sentence_transformers")
    result = run_benchmark("encoder_features.py", "--small", "--threads", "1")
    assert result.returncode == 0, result.stderr
    for side in ("nlptransfer, fp32", "nlptransfer, bf16", "sentence-transformers, encode"):
        assert re.search(rf"^\| {side} \| [\d,.]+ \(.*\) \| \d+\.\d\d ", result.stdout, re.MULTILINE)
    assert "nlptransfer, fp32 1.000000" in result.stdout, "the same features"
    assert re.search(r"^\| second, over kept features \| .* 200: (?:reached|missed) \|$", result.stdout, re.MULTILINE)


def test_alignment_benchmark_compares_with_the_published_procedure_in_numpy() -> None:
    result = run_benchmark("vector_alignment.py", "--small", "--threads", "1")
    assert result.returncode == 0, result.stderr
    for side in ("nlptransfer, bfloat16", "nlptransfer, float32", "plain numpy"):
        assert re.search(rf"^\| {side} \| \d+\.\d\d \| .* \| 0\.\d{{4}} \| 0\.\d{{4}} \|$", result.stdout, re.MULTILINE)
    assert "Target, peak memory under 4 GB: reached" in result.stdout


@pytest.mark.slow
def test_multitask_benchmark_rates_two_tasks_together_against_each_alone() -> None:
    result = run_benchmark("multitask_cost.py", "--small", "--rounds", "1", "--threads", "1")
    assert result.returncode == 0, result.stderr
    for system in ("last alone", "first alone", "both, hard sharing"):
        assert re.search(rf"^\| {system} \| \d+\.\d\d \| \d+\.\d\d \| [\d,]+ \|$", result.stdout, re.MULTILINE)
    ratio = r"^Together / sum of each alone, CPU seconds: \d\.\d\d \(.*\); target, at most 1\.15: (?:reached|missed)$"
    assert re.search(ratio, result.stdout, re.MULTILINE)
