from __future__ import annotations

import json

import numpy as np
from scipy import sparse

from nlptransfer.transferability.domain_distances import describe_domains
from nlptransfer.transferability.kernel_mean_discrepancy import kernel_mean_discrepancy
from nlptransfer.transferability.proxy_a_distance import proxy_a_distance


def test_one_row_holds_every_distance_and_goes_into_json() -> None:
    rng = np.random.default_rng(0)
    source = sparse.csr_matrix(rng.poisson(0.4, size=(60, 30)).astype(np.float32))
    target = sparse.csr_matrix(rng.poisson(np.linspace(0, 0.8, 30), size=(40, 30)).astype(np.float32))
    row = describe_domains("a>b", source, target, source_counts=source, target_counts=target, seed=1)
    assert row["pair"] == "a>b"
    assert (row["source_documents"], row["target_documents"]) == (60, 40)
    assert row["proxy_a_distance"] == proxy_a_distance(source, target, seed=1)
    assert row["squared_mmd"] == kernel_mean_discrepancy(source, target, seed=1)
    assert 0 < row["jensen_shannon"] < 1
    assert row["vocabulary_overlap"] == 29 / 30  # the first term never occurs in the target
    assert json.loads(json.dumps(row)) == row


def test_a_nearer_domain_is_nearer_by_every_distance() -> None:
    rng = np.random.default_rng(2)
    terms = 1 / np.arange(1, 301)

    def documents(change: float) -> sparse.csr_matrix:
        shares = terms * np.exp(change * np.random.default_rng(9).normal(size=300))
        return sparse.csr_matrix(rng.multinomial(30, shares / shares.sum(), size=200).astype(np.float32))

    source = documents(0.0)
    rows = []
    for change in (0.1, 1.5):
        target = documents(change)
        rows.append(describe_domains("a>b", source, target, source_counts=source, target_counts=target, seed=0))
    near, far = rows
    for name in ("proxy_a_distance", "squared_mmd", "jensen_shannon"):
        assert near[name] < far[name]
    assert near["known_token_share"] > far["known_token_share"]
