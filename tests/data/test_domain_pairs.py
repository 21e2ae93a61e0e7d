"""The label firewall: which rows go where, and that no target label goes where it must not."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Sequence

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from nlptransfer.data.domain_pairs import DomainPair, assemble_domain_pair
from nlptransfer.data.sealed_labels import SealedLabels
from nlptransfer.errors import InputError

MAY_HAVE_LABELS = {"source_labelled", "target_labelled", "target_train"}


def texts(prefix: str, labels: Sequence[str | None] | None = None, *, count: int = 0) -> Dataset:
    """Reviews that can be told apart; without a label column if there are no labels."""
    rows = [f"{prefix} {number}" for number in range(count if labels is None else len(labels))]
    if labels is None:
        return Dataset.from_dict({"text": rows}, features=Features({"text": Value("string")}))
    names = sorted({label for label in labels if label is not None})
    features = Features({"text": Value("string"), "label": ClassLabel(names=names), "domain": Value("string")})
    ids = [None if label is None else names.index(label) for label in labels]
    return Dataset.from_dict({"text": rows, "label": ids, "domain": [prefix] * len(rows)}, features=features)


def bags(rows: Sequence[dict[str, float]], labels: Sequence[str]) -> Dataset:
    names = sorted(set(labels))
    features = Features(
        {"terms": List(Value("string")), "counts": List(Value("float32")), "label": ClassLabel(names=names)}
    )
    return Dataset.from_dict(
        {
            "terms": [list(row) for row in rows],
            "counts": [list(row.values()) for row in rows],
            "label": [names.index(label) for label in labels],
        },
        features=features,
    )


def pair(source, target, /, **options) -> DomainPair:
    return assemble_domain_pair(source, target, **{"source": "books", "target": "dvd", "seed": 0, **options})


def named(pair: DomainPair, dataset: Dataset) -> dict[str, str]:
    """Class name by text."""
    assert dataset.features["label"].names == list(pair.label_names)
    return {row["text"]: pair.label_names[row["label"]] for row in dataset}


BOOKS = texts("book", ["neg", "pos", "pos", "neg", "pos"])
DVD_LABELS = ["pos", "neg"] * 20 + ["pos"] * 4
AMAZON = DatasetDict({"train": texts("dvd", DVD_LABELS), "unlabelled": texts("more dvd", count=30)})
"""Like the raw Amazon reviews: labelled ones, and others without labels."""
BOW = DatasetDict({"train": texts("dvd", DVD_LABELS), "test": texts("dvd test", ["neg", "pos", "pos"])})
"""Like the 5,000-feature files: a training part and a test part."""

NO_LABELS = "no label column"
TARGETS = {
    "labelled and unlabelled": AMAZON,
    "train and test": BOW,
    "train, test and unlabelled": DatasetDict({**BOW, "unlabelled": texts("more dvd", count=12)}),
    "one table, all labelled": texts("dvd", DVD_LABELS),
    "one table, some labelled": texts("dvd", ["pos", None, "neg", None, "pos"] * 6),
    "test only": DatasetDict({"test": texts("dvd", DVD_LABELS)}),
    NO_LABELS: texts("dvd", count=20),
    "test without labels": DatasetDict({"train": texts("dvd", DVD_LABELS), "test": texts("dvd test", count=20)}),
}


@pytest.mark.parametrize(
    ("kind", "number"), [(kind, number) for kind in TARGETS for number in (0, 4) if (kind, number) != (NO_LABELS, 4)]
)
def test_no_dataset_that_adaptation_sees_has_a_label_column(kind: str, number: int) -> None:
    found = pair(BOOKS, TARGETS[kind], target_labels=number)
    datasets = {
        field.name: value
        for field in dataclasses.fields(found)
        if isinstance(value := getattr(found, field.name), Dataset)
    }
    assert len(datasets) >= 5
    for name, data in datasets.items():
        assert data.column_names == (["text", "label"] if name in MAY_HAVE_LABELS else ["text"]), name
        assert list(data.features) == data.column_names
        # Neither the values nor what `datasets` notes beside them.
        assert data.data.schema.names == data.column_names
        assert "label" not in str(data.data.schema.metadata) or name in MAY_HAVE_LABELS
    assert len(found.target_labelled) == number
    assert found.signature["labels_in_training"] == ["source_labelled", *(["target_labelled"] if number else [])]
    if number:
        drawn = set(found.target_labelled["text"])
        assert len(drawn) == number and not drawn & set(found.target_test["text"])


def test_a_pair_with_sealed_labels_reaches_no_other_process() -> None:
    with pytest.raises(TypeError, match="sealed test labels"):
        pickle.dumps(pair(BOOKS, AMAZON))


def test_labelled_reviews_of_the_target_are_the_test_and_others_are_unlabelled() -> None:
    found = pair(BOOKS, AMAZON)
    assert found.label_names == ("neg", "pos")
    assert named(found, found.source_labelled) == {
        "book 0": "neg", "book 1": "pos", "book 2": "pos", "book 3": "neg", "book 4": "pos"
    }  # fmt: skip
    assert len(found.source_unlabelled) == 0
    assert set(found.target_unlabelled["text"][:]) == {f"more dvd {n}" for n in range(30)}
    assert found.target_test["text"][:] == [f"dvd {n}" for n in range(44)]
    assert found.test_labels is not None
    assert [found.label_names[label] for label in found.test_labels.open()] == DVD_LABELS
    assert found.target_train is None
    assert found.signature["reference_trained_on"] == "the test, by cross-validation"
    assert found.warnings == ()


def test_the_source_brings_its_unlabelled_reviews_too() -> None:
    source = DatasetDict({"train": texts("book", ["pos", None, "neg"]), "unlabelled": texts("more books", count=2)})
    found = pair(source, AMAZON)
    assert named(found, found.source_labelled) == {"book 0": "pos", "book 2": "neg"}
    assert found.source_unlabelled["text"][:] == ["book 1", "more books 0", "more books 1"]


def test_a_test_split_is_the_test_and_train_serves_adaptation_without_its_labels() -> None:
    found = pair(BOOKS, BOW)
    assert found.target_test["text"][:] == ["dvd test 0", "dvd test 1", "dvd test 2"]
    assert found.test_labels is not None and found.test_labels.open().tolist() == [0, 1, 1]
    assert set(found.target_unlabelled["text"][:]) == {f"dvd {n}" for n in range(44)}
    assert found.target_train is not None
    assert list(named(found, found.target_train).values()) == DVD_LABELS
    assert found.signature["target_unlabelled_from"] == "split train, labels taken off"
    assert found.signature["reference_trained_on"] == "target_train"
    also = pair(BOOKS, TARGETS["train, test and unlabelled"])
    assert "more dvd 0" in also.target_unlabelled["text"][:] and len(also.target_unlabelled) == 12


def test_without_unlabelled_reviews_the_test_texts_serve_and_it_is_said_loudly() -> None:
    found = pair(BOOKS, TARGETS["one table, all labelled"], target_labels=4)
    assert sorted(found.target_unlabelled["text"][:]) == sorted(found.target_test["text"][:])
    assert len(found.target_test) == 40
    assert found.signature["transductive"] is True
    assert any("THE TEST TEXTS ARE SEEN" in warning for warning in found.warnings)
    assert pair(BOOKS, AMAZON).signature["transductive"] is False


@pytest.mark.parametrize("target", [AMAZON, BOW])
def test_asked_for_the_test_texts_join_the_unlabelled_ones(target: DatasetDict) -> None:
    usual, found = pair(BOOKS, target), pair(BOOKS, target, transductive=True)
    assert found.target_test["text"][:] == usual.target_test["text"][:]
    assert sorted(found.target_unlabelled["text"][:]) == sorted(
        [*usual.target_unlabelled["text"][:], *usual.target_test["text"][:]]
    )
    assert "label" not in found.target_unlabelled.column_names
    assert found.signature["transductive"] is True and "and the test" in found.signature["target_unlabelled_from"]
    assert any("As asked for" in warning for warning in found.warnings)


def test_texts_of_further_domains_join_the_unlabelled_source_without_their_labels() -> None:
    music = DatasetDict({"train": texts("cd", ["pos", "neg"]), "unlabelled": texts("more cds", count=2)})
    music["test"] = texts("cd test", ["pos", "neg"])
    toys = with_texts(texts("toy", ["neg", "pos"]), ["toy 0", "dvd 3"])
    usual, found = pair(BOOKS, AMAZON), pair(BOOKS, AMAZON, further_text={"music": music, "toys": toys})
    added = ["cd 0", "cd 1", "cd test 0", "cd test 1", "more cds 0", "more cds 1", "toy 0", "dvd 3"]
    assert found.source_unlabelled["text"][:] == usual.source_unlabelled["text"][:] + added
    assert "label" not in found.source_unlabelled.column_names
    assert found.source_labelled["text"][:] == usual.source_labelled["text"][:]
    assert found.signature["further_text"] == {"music": 6, "toys": 2}
    assert found.signature["duplicates"]["source_unlabelled_in_target_test"] == 1


def test_several_corpora_are_one_source_whose_classes_are_told_apart_by_name() -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["pos", "never", "neg"])})
    rows = {"text": ["good cd", "bad cd", "BOOK 1"], "label": [0, 2, 0]}
    music = DatasetDict({"train": Dataset.from_dict(rows, features=features), "unlabelled": texts("more cds", count=2)})
    found = pair([BOOKS, music], AMAZON, source=["books", "music"])
    expected = {"book 0": "neg", "book 1": "pos", "book 2": "pos", "book 3": "neg", "book 4": "pos"}
    expected |= {"good cd": "pos", "bad cd": "neg", "BOOK 1": "pos"}
    assert named(found, found.source_labelled) == expected
    assert found.source_unlabelled["text"][:] == ["more cds 0", "more cds 1"]
    assert found.source == found.signature["source"] == "books + music"
    assert found.signature["duplicates"]["within_source_labelled"] == 1
    assert found.signature["source_labelled_by_domain"] == {"books": 5, "music": 3}
    with pytest.raises(ValueError, match="2 corpora of the source, and 1 names"):
        pair([BOOKS, music], AMAZON)


def test_a_review_of_any_source_that_stands_in_the_test_is_counted() -> None:
    music = texts("music", ["neg", "pos", "pos"])
    music = with_texts(music, ["DVD 7", "music 1", "music 2"])
    found = pair([BOOKS, music], AMAZON, source=["books", "music"], drop_duplicates=True)
    assert found.signature["duplicates"]["source_labelled_in_target_test"] == 1
    assert found.source_labelled["text"][:] == [*BOOKS["text"][:], "music 1", "music 2"]
    assert found.signature["source_labelled_by_domain"] == {"books": 5, "music": 2}
    assert "1 of the labelled source stand in the target's test. 1 were dropped" in found.warnings[-1]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (texts("cd", ["bad", "good"]), "books and music: .* different classes.*'neg', 'pos'; found 'bad', 'good' in"),
        (texts("cd", ["neg", "neutral", "pos"]), "found 'neg', 'neutral', 'pos' in music"),
        (texts("cd", ["pos", "pos"]), "music: the source has one class only"),
        (bags([{"good": 1.0}, {"bad": 1.0}], ["pos", "neg"]), "books and music: .* one has texts, the other counted"),
    ],
)
def test_sources_that_can_not_be_joined_are_named(other: Dataset, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pair([BOOKS, other], AMAZON, source=["books", "music"])


def test_rows_without_label_of_one_table_are_the_unlabelled_ones() -> None:
    found = pair(BOOKS, TARGETS["one table, some labelled"])
    assert set(found.target_unlabelled["text"][:]) == {f"dvd {n}" for n in range(30) if n % 5 in (1, 3)}
    assert found.target_test["text"][:] == [f"dvd {n}" for n in range(30) if n % 5 not in (1, 3)]


def test_a_target_without_labels_has_no_test_and_no_verdict() -> None:
    for target in (texts("dvd", count=20), DatasetDict({"unlabelled": texts("dvd", count=20)})):
        found = pair(BOOKS, target)
        assert found.test_labels is None and len(found.target_test) == 0
        assert found.target_test.column_names == ["text"]
        assert len(found.target_unlabelled) == 20
        assert any("no verdict" in warning for warning in found.warnings)
        assert found.signature["reference_trained_on"] is None
        assert found.signature["test_labels_opened"] is None
        with pytest.raises(InputError, match="at most 0 of its 0 labelled"):
            pair(BOOKS, target, target_labels=1)


def test_a_test_split_without_labels_is_unlabelled_text() -> None:
    found = pair(BOOKS, TARGETS["test without labels"])
    assert len(found.target_test) == 44 and len(found.target_unlabelled) == 20
    partly = DatasetDict({**BOW, "test": texts("dvd test", ["neg", None, "pos"])})
    found = pair(BOOKS, partly)
    assert found.target_test["text"][:] == ["dvd test 0", "dvd test 2"]
    assert any("1 test reviews of dvd have no label" in warning for warning in found.warnings)


@pytest.mark.parametrize("target", [AMAZON, BOW], ids=["from the test", "from train"])
def test_few_labels_are_nested_and_in_proportion(target: DatasetDict) -> None:
    few = {number: pair(BOOKS, target, target_labels=number, label_pool=22) for number in (0, 1, 7, 11, 22)}
    drawn = {number: found.target_labelled["text"][:] for number, found in few.items()}
    assert drawn[22][:11] == drawn[11] and drawn[11][:7] == drawn[7] and drawn[7][:1] == drawn[1]
    # 24 of the 44 are positive.
    assert sum(few[22].target_labelled["label"]) == 12 and sum(few[11].target_labelled["label"]) == 6
    truth = dict(zip(AMAZON["train"]["text"], DVD_LABELS, strict=True))
    assert named(few[22], few[22].target_labelled) == {text: truth[text] for text in drawn[22]}
    tests = [found.target_test["text"][:] for found in few.values()]
    assert all(test == tests[0] for test in tests)
    assert len(tests[0]) == (22 if target is AMAZON else 3)
    assert not set(tests[0]) & set(drawn[22])
    other = pair(BOOKS, target, target_labels=22, seed=1)
    assert set(other.target_labelled["text"]) != set(drawn[22])


def test_the_test_keeps_its_order_and_its_labels_when_a_pool_is_taken_out() -> None:
    found = pair(BOOKS, AMAZON, target_labels=5, label_pool=9)
    left = [int(text.split()[1]) for text in found.target_test["text"]]
    assert left == sorted(left) and len(left) == 35
    assert found.test_labels is not None
    assert [found.label_names[label] for label in found.test_labels.open()] == [DVD_LABELS[n] for n in left]
    assert found.signature["taken_out_of_test"] == 9 and found.signature["target_labels_seed"] == 0


def test_reviews_that_the_test_holds_twice_are_never_drawn() -> None:
    labels = ["pos", "neg"] * 10
    twice = texts("dvd", labels).to_dict()
    twice["text"][:16] = ["The SAME"] * 8 + ["other"] * 8
    target = Dataset.from_dict(twice, features=texts("dvd", labels).features)
    found = pair(BOOKS, target, target_labels=4)
    assert sorted(found.target_labelled["text"]) == [f"dvd {n}" for n in (16, 17, 18, 19)]
    with pytest.raises(InputError, match="at most 4 of its 20"):
        pair(BOOKS, target, target_labels=5)
    leaking = DatasetDict({"train": target, "test": texts("dvd", labels)})
    assert set(pair(BOOKS, leaking, target_labels=8).target_labelled["text"]) == {"The SAME", "other"}


def test_all_labelled_reviews_can_be_drawn_from_train_but_not_from_the_test() -> None:
    assert len(pair(BOOKS, BOW, target_labels=44).target_labelled) == 44
    assert len(pair(BOOKS, AMAZON, target_labels=43).target_test) == 1
    with pytest.raises(InputError, match=r"at most 43 of its 44 .* found 44.*fewer \(target_labels\)"):
        pair(BOOKS, AMAZON, target_labels=44)
    with pytest.raises(ValueError, match="label_pool"):
        pair(BOOKS, AMAZON, target_labels=4, label_pool=3)


def test_few_labels_that_miss_a_class_are_warned_of() -> None:
    found = pair(BOOKS, AMAZON, target_labels=1)
    missing = "neg" if found.target_labelled["label"][0] == 1 else "pos"
    assert f"The 1 labelled reviews of dvd hold none of class '{missing}'." in found.warnings


def test_ids_mean_the_same_classes_whatever_each_corpus_numbers() -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["pos", "never", "neg"])})
    rows = {"text": ["good dvd", "bad dvd", "fine dvd"], "label": [0, 2, 0]}
    found = pair(BOOKS, Dataset.from_dict(rows, features=features))
    assert found.label_names == ("neg", "pos")
    assert found.test_labels is not None and found.test_labels.open().tolist() == [1, 0, 1]


def test_a_minus_one_is_a_missing_label() -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    rows = {"text": ["a", "b", "c", "d"], "label": [1, -1, 0, -1]}
    found = pair(BOOKS, Dataset.from_dict(rows, features=features))
    assert found.target_test["text"][:] == ["a", "c"] and set(found.target_unlabelled["text"][:]) == {"b", "d"}


def test_bags_of_terms_are_divided_as_texts_are() -> None:
    source = bags([{"good": 2.0}, {"bad": 1.0, "so": 1.0}], ["pos", "neg"])
    parts = DatasetDict(
        {
            "train": bags([{"good": 1.0}, {"bad": 3.0}, {"dull": 1.0}], ["pos", "neg", "neg"]),
            "test": bags([{"so": 1.0, "bad": 1.0}, {"fun": 1.0}], ["neg", "pos"]),
        }
    )
    found = pair(source, parts)
    assert found.target_unlabelled.column_names == ["terms", "counts"]
    assert {"terms": ["bad"], "counts": [3.0]} in list(found.target_unlabelled)
    assert found.signature["duplicates"]["source_labelled_in_target_test"] == 1
    with pytest.raises(InputError, match="one has texts, the other counted terms"):
        pair(BOOKS, parts)


def with_texts(data: Dataset, new: Sequence[str]) -> Dataset:
    return Dataset.from_dict({**data.to_dict(), "text": list(new)}, features=data.features)


def test_duplicates_are_counted_and_dropped_from_the_source_by_a_flag() -> None:
    labels = ["neg", "pos", "pos", "neg", "pos", "neg", "pos"]
    source = with_texts(texts("book", labels), ["a", "b", "A ", "c", "dvd  1", "d", "B"])
    target = DatasetDict(
        {
            "train": with_texts(texts("dvd", ["pos", "neg", "pos", "neg"]), ["dvd 0", "DVD 1", "dvd 0", "dvd 2"]),
            "unlabelled": with_texts(texts("more", count=12), ["dvd 2", *(f"more {n}" for n in range(11))]),
        }
    )
    kept, dropped = pair(source, target), pair(source, target, drop_duplicates=True)
    counts = {
        "within_source_labelled": 2,
        "within_target_test": 1,
        "source_labelled_in_target_test": 1,
        "source_unlabelled_in_target_test": 0,
        "target_unlabelled_in_target_test": 1,
        "target_train_in_target_test": 0,
    }
    assert kept.signature["duplicates"] == {**counts, "dropped_from_source": 0}
    assert dropped.signature["duplicates"] == {**counts, "dropped_from_source": 3}
    assert kept.source_labelled["text"][:] == source["text"][:]
    assert dropped.source_labelled["text"][:] == ["a", "b", "c", "d"]
    assert dropped.source_labelled["label"][:] == [0, 1, 0, 0]
    assert dropped.target_test["text"][:] == kept.target_test["text"][:] == ["dvd 0", "DVD 1", "dvd 0", "dvd 2"]
    assert "drop_duplicates takes" in kept.warnings[-1] and "3 were dropped" in dropped.warnings[-1]


def test_the_training_part_of_the_target_may_repeat_the_test() -> None:
    target = DatasetDict({"train": texts("dvd", DVD_LABELS), "test": texts("dvd", ["pos", "neg", "pos"])})
    found = pair(BOOKS, target)
    assert found.signature["duplicates"]["target_train_in_target_test"] == 3
    assert "flatters the reference" in found.warnings[0]


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (texts("book", ["pos"] * 4), AMAZON, "books: the source has one class only.*all 'pos'"),
        (texts("book", [None] * 4), AMAZON, "books: the source has no labels.*4 reviews without one.*label_column"),
        (texts("book", count=4), AMAZON, "books: the source has no labels"),
        (texts("book", []), AMAZON, "books: the domain is empty"),
        (BOOKS, texts("dvd", []), "dvd: the domain is empty"),
        (BOOKS, DatasetDict({"dev": texts("dvd", ["pos"])}), "dvd: the domain is empty.*1 in dev"),
        (DatasetDict({"test": BOOKS}), AMAZON, "books: the source has no reviews to train on.*found test"),
        (BOOKS, texts("dvd", ["good", "bad"] * 9), "different classes.*'neg', 'pos'; found 'bad', 'good'.*same names"),
        (BOOKS, texts("dvd", ["pos"] * 9), "different classes.*'neg', 'pos'; found 'pos'"),
        (BOOKS, texts("dvd", ["pos", "neg", "neutral"] * 9), "found 'neg', 'neutral', 'pos'.*one of them lacks"),
        (BOOKS, BOOKS, "both are the same reviews"),
        (BOOKS, texts("dvd", count=1), "too few reviews to adapt to.*found 1"),
        (BOOKS, texts("dvd", ["pos", "neg", None]), "too few reviews to adapt to.*delete those without a label"),
        (BOOKS, Dataset.from_dict({"review": ["a"]}), "no text corpus.*found review"),
        (BOOKS, Dataset.from_dict({"text": ["a"], "label": ["pos"]}), "labels have no names"),
    ],
)  # fmt: skip
def test_what_makes_no_pair_is_one_clear_message(source, target, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pair(source, target)


def test_a_source_that_loses_a_class_with_its_duplicates_is_an_error() -> None:
    source = with_texts(texts("book", ["neg", "pos", "pos"]), ["dvd 1", "b", "c"])
    with pytest.raises(InputError, match=r"no review left of some class.*found 'pos'"):
        pair(source, AMAZON, drop_duplicates=True)


def test_few_unlabelled_reviews_are_warned_of() -> None:
    assert "dvd has 9 unlabelled reviews" in pair(BOOKS, texts("dvd", count=9)).warnings[1]
    assert len(pair(BOOKS, texts("dvd", count=10)).warnings) == 1


def test_the_signature_is_plain_and_follows_the_openings() -> None:
    found = pair(BOOKS, AMAZON, target_labels=3, label_pool=5)
    assert found.test_labels is not None
    signature = found.signature
    assert json.loads(json.dumps(signature)) == signature
    assert signature["rows"] == {
        "source_labelled": 5, "source_unlabelled": 0, "target_unlabelled": 30, "target_labelled": 3,
        "target_train": None, "target_test": 39,
    }  # fmt: skip
    assert signature["test_labels_opened"] == {"scorer": 0, "reference": 0}
    found.test_labels.open()
    found.test_labels.open_for_reference()
    found.test_labels.open_for_reference()
    assert found.signature["test_labels_opened"] == {"scorer": 1, "reference": 2}
    found.signature["rows"]["target_test"] = 0
    assert found.signature["rows"]["target_test"] == 39


def test_a_pair_with_other_test_labels_is_made_by_replace() -> None:
    found = pair(BOOKS, AMAZON)
    shuffled = np.random.default_rng(0).permutation(found.test_labels.open_for_reference())
    other = dataclasses.replace(found, test_labels=SealedLabels(shuffled))
    assert other.test_labels.open().tolist() == shuffled.tolist()
    assert other.signature["test_labels_opened"] == {"scorer": 1, "reference": 0}


def test_what_is_given_is_not_written_to() -> None:
    source, target = texts("book", ["neg", "pos"]), texts("dvd", DVD_LABELS)
    before = source.to_dict(), target.to_dict()
    pair(source, target, target_labels=4, drop_duplicates=True)
    assert (source.to_dict(), target.to_dict()) == before


def test_a_chosen_part_of_a_dataset_is_read_in_its_order() -> None:
    found = pair(BOOKS, AMAZON["train"].select([5, 0, 3]))
    assert found.target_test["text"][:] == ["dvd 5", "dvd 0", "dvd 3"]
    assert found.test_labels.open().tolist() == [0, 1, 0]


def test_the_order_of_the_unlabelled_target_does_not_tell_its_labels() -> None:
    in_order = ["neg"] * 100 + ["pos"] * 100
    train = texts("dvd", in_order)
    target = DatasetDict({"train": train, "test": texts("dvd test", ["neg", "pos"])})
    found, again, other = (pair(BOOKS, target, seed=seed) for seed in (0, 0, 1))
    order = found.target_unlabelled["text"][:]
    assert order == again.target_unlabelled["text"][:] != other.target_unlabelled["text"][:]
    label = dict(zip(train["text"][:], in_order, strict=True))
    assert 30 < sum(label[text] == "neg" for text in order[:100]) < 70
