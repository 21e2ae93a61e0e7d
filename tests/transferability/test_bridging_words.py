"""Bridging words: the formula by hand, and two words of one domain each that a shared one leads to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from nlptransfer.errors import InputError
from nlptransfer.transferability.bridging_words import bridging_words, document_shares, domain_specific_words

TERMS = ["excellent", "gripping", "sharp", "awful", "dull", "blunt", "the", "never"]


def make_reviews(number: int, own: dict[str, str], random: np.random.Generator, *, paired: bool) -> np.ndarray:
    """Half of the reviews praise and half do not, in a shared word, a domain's own one, or both; all of them weighted.

    Not `paired`, the shared word is drawn without regard to the label."""
    rows = np.zeros((number, len(TERMS)))
    for place, row in enumerate(rows):
        praise = place % 2 == 0
        shared = praise if paired else random.random() < 0.5
        if random.random() < 0.7:
            row[TERMS.index("excellent" if shared else "awful")] = 1
        if random.random() < 0.5:
            row[TERMS.index(own["praise" if praise else "blame"])] = 1
        row[TERMS.index("the")] = 1
    return rows * random.uniform(0.3, 0.6, (number, 1))


def make_domains(seed: int, *, paired: bool = True) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    source = make_reviews(300, {"praise": "gripping", "blame": "dull"}, random, paired=paired)
    return source, make_reviews(240, {"praise": "sharp", "blame": "blunt"}, random, paired=paired)


def regression_influences(rows: np.ndarray) -> np.ndarray:
    """(D, D) ridge regression of every word on all others: entry f, j is what word j adds to word f."""
    centred = rows - rows.mean(axis=0)
    weights = np.zeros((len(TERMS), len(TERMS)))
    for word in range(len(TERMS)):
        others = [column for column in range(len(TERMS)) if column != word]
        part = centred[:, others]
        weights[word, others] = np.linalg.solve(part.T @ part + np.eye(len(others)), part.T @ centred[:, word])
    return weights


def test_a_word_of_each_domain_is_bridged_by_the_word_that_stands_beside_both() -> None:
    source, target = make_domains(0)
    columns = np.concatenate(domain_specific_words(source, target, TERMS))
    assert {TERMS[column] for column in columns} == {"gripping", "dull", "sharp", "blunt"}
    shares = {"source_share": document_shares(source), "target_share": document_shares(target)}
    weights = regression_influences(np.concatenate([source, target]))
    rows = {row["word"]: row for row in bridging_words(lambda own: weights[own], TERMS, columns, **shares)}
    assert {word: row["domain"] for word, row in rows.items()} == {
        "gripping": "source",
        "dull": "source",
        "sharp": "target",
        "blunt": "target",
    }
    first = {word: row["reconstructed_from"].split(", ")[0] for word, row in rows.items()}
    assert first == {"gripping": "excellent", "sharp": "excellent", "dull": "awful", "blunt": "awful"}


def test_words_that_nothing_stands_beside_are_not_bridged() -> None:
    source, target = make_domains(0, paired=False)
    shares = {"source_share": document_shares(source), "target_share": document_shares(target)}
    columns = np.array([TERMS.index("gripping"), TERMS.index("sharp")])
    strengths = []
    for rows in (np.concatenate(make_domains(0)), np.concatenate([source, target])):
        weights = regression_influences(rows)[columns]
        strengths.append(weights[:, TERMS.index("excellent")] - weights[:, TERMS.index("awful")])
    assert (np.abs(strengths[1]) < strengths[0] / 3).all()
    nothing = bridging_words(lambda own: np.zeros((len(own), len(TERMS))), TERMS, columns, **shares)
    assert [row["reconstructed_from"] for row in nothing] == ["", ""]


def test_the_order_is_that_of_the_formula_and_own_words_are_marked() -> None:
    terms = ["own", "shared", "everywhere", "theirs", "rare", "against", "mine"]
    source_share = np.array([0.4, 0.3, 1.0, 0.0, 0.1, 0.5, 0.2])
    target_share = np.array([0.01, 0.2, 1.0, 0.3, 0.03, 0.5, 0.0])
    weights = np.array([[9.0, 0.5, 7.0, 0.8, 1.0, -3.0, 9.0]])
    expected = {
        term: weight * share * (1 - share)
        for term, weight, share in zip(terms, weights[0], target_share, strict=True)
        if term != "own" and weight * share * (1 - share) > 0
    }
    order = sorted(expected, key=lambda term: -expected[term])
    assert order == ["theirs", "shared", "rare"]  # never what is everywhere, nowhere, or against it
    share = {"source_share": source_share, "target_share": target_share}
    (row,) = bridging_words(lambda columns: weights[columns], terms, np.array([0]), **share)
    assert row == {
        "word": "own",
        "domain": "source",
        "source_share": 0.4,
        "target_share": 0.01,
        "reconstructed_from": "theirs (target), shared, rare",
    }
    (row,) = bridging_words(lambda columns: weights[columns], terms, np.array([0]), **share, top=1)
    assert row["reconstructed_from"] == "theirs (target)"


def test_shares_count_documents_whatever_the_weights_and_the_form() -> None:
    rows = np.array([[0.5, 0.0, -1.0], [0.1, 0.0, 0.0], [3.0, 2.0, 0.0], [0.0, 0.0, 0.0]], dtype=np.float32)
    stored = sparse.csr_matrix(np.where(rows == 0, 9, rows))
    stored.data[stored.data == 9] = 0  # written out, and still a 0
    for form in (rows, sparse.csr_matrix(rows), stored):
        assert document_shares(form).tolist() == [0.75, 0.25, 0.25]


def test_a_domains_own_words_are_five_times_as_common_and_not_rare() -> None:
    terms = ["both", "twice", "own", "rare", "other"]
    source, target = np.zeros((50, 5)), np.zeros((40, 5))
    for column, (number, others) in enumerate([(40, 32), (20, 8), (20, 2), (4, 0), (1, 20)]):
        source[:number, column], target[:others, column] = 0.2, 0.7
    found = domain_specific_words(sparse.csr_matrix(source), sparse.csr_matrix(target), terms, min_documents=5)
    assert [part.tolist() for part in found] == [[2], [4]]
    found = domain_specific_words(source, target, terms, min_documents=4)
    assert [part.tolist() for part in found] == [[2, 3], [4]]
    assert [len(part) for part in domain_specific_words(source, target, terms, min_documents=4, top=1)] == [1, 1]
    assert [len(part) for part in domain_specific_words(source, source, terms)] == [0, 0]


def test_what_does_not_fit_together_is_refused() -> None:
    share = {"source_share": np.ones(2), "target_share": np.ones(2)}
    with pytest.raises(ValueError, match="3 terms need as many shares, not 2 and 2"):
        bridging_words(lambda columns: np.ones((len(columns), 2)), ["a", "b", "c"], np.array([0]), **share)
    with pytest.raises(ValueError, match=r"expected influences of the shape \(1, 2\), found \(2, 1\)"):
        bridging_words(lambda columns: np.ones((2, 1)), ["a", "b"], np.array([0]), **share)
    with pytest.raises(InputError, match="the target has no documents"):
        domain_specific_words(np.ones((2, 2)), np.ones((0, 2)), ["a", "b"])
    with pytest.raises(ValueError, match="1 terms for 2 columns"):
        domain_specific_words(np.ones((2, 2)), np.ones((3, 2)), ["a"])
