"""The documents of a corpus: texts, or bags of counted terms."""

from __future__ import annotations

import pytest
from datasets import Dataset

from nlptransfer.data.documents import documents
from nlptransfer.errors import InputError


def test_texts_come_in_their_order() -> None:
    assert documents(Dataset.from_dict({"text": ["b", "a"], "label": [0, 1]})) == ["b", "a"]


def test_counted_terms_become_bags_and_an_empty_review_an_empty_bag() -> None:
    data = Dataset.from_dict({"terms": [["good", "not_good"], []], "counts": [[2.0, 1.0], []]})
    assert documents(data) == [{"good": 2.0, "not_good": 1.0}, {}]


def test_a_selection_gives_its_own_documents() -> None:
    data = Dataset.from_dict({"terms": [["a"], ["b"], ["c"]], "counts": [[1.0], [2.0], [3.0]]})
    assert documents(data.select([2, 0])) == [{"c": 3.0}, {"a": 1.0}]
    assert documents(Dataset.from_dict({"text": ["a", "b", "c"]}).select([2, 0])) == ["c", "a"]


def test_a_dataset_without_documents_names_its_columns() -> None:
    with pytest.raises(InputError, match=r"no documents.*found 'review', 'counts'.*text_column"):
        documents(Dataset.from_dict({"review": ["a"], "counts": [[1.0]]}))
