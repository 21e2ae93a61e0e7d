"""Keys tell documents apart as a plain comparison does."""

from __future__ import annotations

import numpy as np
import pyarrow

from nlptransfer.data.repeats import document_keys, repeats_earlier


def test_texts_are_the_same_whatever_their_case_and_white_space() -> None:
    texts = ["A fine  book", "a FINE\tbook ", "a finebook", "", " \n", "Straße", "STRASSE", "A fine book!"]
    keys = document_keys(pyarrow.table({"text": texts}))
    plain = [" ".join(text.split()).casefold() for text in texts]
    assert [[a == b for b in keys] for a in keys] == [[a == b for b in plain] for a in plain]


def test_bags_are_the_same_whatever_the_order_of_their_terms() -> None:
    bags = [
        {"good": 1.0, "bad": 2.0},
        {"bad": 2.0, "good": 1.0},
        {"good": 2.0, "bad": 1.0},
        {"good": 1.0},
        {},
        {"bad": 3.0},
        {},
        {"a": 0.5},
    ]
    table = pyarrow.table(
        {
            "terms": pyarrow.array([list(bag) for bag in bags], pyarrow.list_(pyarrow.string())),
            "counts": pyarrow.array([list(bag.values()) for bag in bags], pyarrow.list_(pyarrow.float32())),
        }
    )
    keys = document_keys(table)
    assert [[a == b for b in keys] for a in keys] == [[a == b for b in bags] for a in bags]
    # Rows chosen from the table keep their keys, and so do rows that lie in several chunks.
    assert document_keys(table.take([3, 0, 4])).tolist() == keys[[3, 0, 4]].tolist()
    assert document_keys(pyarrow.concat_tables([table.slice(2, 3), table.slice(7)])).tolist() == [
        *keys[2:5], *keys[7:]
    ]  # fmt: skip
    assert document_keys(table.slice(0, 0)).tolist() == []


def test_many_random_bags_are_told_apart_as_sorted_pairs_tell_them() -> None:
    rng = np.random.default_rng(0)
    terms = [list(rng.choice(list("abcde"), size=rng.integers(0, 5), replace=False)) for _ in range(600)]
    counts = [[float(count) for count in rng.integers(1, 3, size=len(row))] for row in terms]
    keys = document_keys(pyarrow.table({"terms": terms, "counts": counts})).tolist()
    pairs = [tuple(sorted(zip(*row, strict=True))) for row in zip(terms, counts, strict=True)]
    assert len(set(pairs)) > 100
    assert len(set(zip(keys, pairs, strict=True))) == len(set(keys)) == len(set(pairs))


def test_the_first_of_equal_documents_repeats_nothing() -> None:
    keys = document_keys(pyarrow.table({"text": ["b", "a", "b", "c", "B", "a"]}))
    assert repeats_earlier(keys).tolist() == [False, False, True, False, True, True]
    assert repeats_earlier(keys[:0]).tolist() == []


def test_no_documents_have_no_keys() -> None:
    assert document_keys(pyarrow.table({"text": pyarrow.array([], pyarrow.string())})).shape == (0,)
