"""Random splits against scikit-learn, and one numbering of tags."""

from __future__ import annotations

import pytest
from datasets import Dataset
from sklearn.model_selection import train_test_split

from nlptransfer.data.splits import align_tags, cut_corpus, share_tags, split_corpus, tag_names
from nlptransfer.data.tables import tagged_dataset
from nlptransfer.errors import InputError


def corpus(*sentences: str) -> Dataset:
    """A corpus from sentences like ``the/DET end/NOUN``."""
    pairs = [[tuple(item.split("/")) for item in sentence.split()] for sentence in sentences]
    return tagged_dataset(
        [[word for word, _ in sentence] for sentence in pairs],
        [[tag for _, tag in sentence] for sentence in pairs],
        where="test",
    )


def names_of(data: Dataset) -> list[list[str]]:
    names = tag_names(data)
    return [[names[tag] for tag in sentence] for sentence in data["tags"]]


NUMBERED = corpus(*(f"w{index}/X" for index in range(41)))


def test_the_split_is_that_of_scikit_learn_applied_twice() -> None:
    everything = NUMBERED["tokens"][:]
    rest, test = train_test_split(everything, test_size=0.15, random_state=4)
    train, dev = train_test_split(rest, test_size=0.2, random_state=4)
    parts = split_corpus(NUMBERED, dev_fraction=0.2, test_fraction=0.15, seed=4)
    assert list(parts) == ["train", "dev", "test"]
    assert [parts[name]["tokens"][:] for name in parts] == [train, dev, test]


def test_the_parts_hold_every_sentence_once_and_depend_on_the_seed() -> None:
    parts = split_corpus(NUMBERED, dev_fraction=0.3, test_fraction=0.1, seed=1)
    words = [words[0] for part in parts.values() for words in part["tokens"]]
    assert sorted(words) == sorted(f"w{index}" for index in range(41))
    other = split_corpus(NUMBERED, dev_fraction=0.3, test_fraction=0.1, seed=2)
    assert other["test"]["tokens"][:] != parts["test"]["tokens"][:]


def test_one_cut_gives_what_is_left_and_what_was_cut_off() -> None:
    rest, cut = cut_corpus(NUMBERED, 0.25, seed=3)
    assert (len(rest), len(cut)) == (30, 11)


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 15])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(InputError, match=f"out of range.*found {fraction}"):
        cut_corpus(NUMBERED, fraction, seed=0)


def test_a_corpus_too_small_is_refused() -> None:
    with pytest.raises(InputError, match=r"too small to be divided.*found 1 sentences"):
        split_corpus(corpus("a/X"), dev_fraction=0.5, test_fraction=0.5, seed=0)


def test_tags_are_renumbered_by_name_to_those_that_occur_in_training() -> None:
    whole = corpus("a/D", "b/B c/C", "d/A")
    parts = align_tags({"train": whole.select([1]), "test": corpus("e/C f/B")})
    assert tag_names(parts["train"]) == tag_names(parts["test"]) == ["B", "C"]
    assert parts["train"]["tags"][:] == [[0, 1]]
    assert parts["test"]["tags"][:] == [[1, 0]]


def test_aligning_changes_no_name_and_keeps_other_columns() -> None:
    test = tagged_dataset([["a", "b"]], [["Y", "X"]], where="test", domains=["news"])
    parts = align_tags({"train": corpus("a/W b/X c/Y d/Z"), "test": test})
    assert names_of(parts["test"]) == [["Y", "X"]]
    assert parts["test"]["domain"][:] == ["news"]
    assert parts["test"].column_names == ["tokens", "tags", "domain"]


def test_an_unseen_tag_is_named_with_its_place_and_number() -> None:
    splits = {
        "train": corpus("a/X b/Y"),
        "dev": corpus("c/X"),
        "test": corpus("d/X e/X f/Y g/X", "h/Y i/SYM j/SYM k/W"),
    }
    with pytest.raises(InputError) as caught:
        align_tags(splits)
    message = str(caught.value)
    assert "the tag 'SYM' of 'test' never occurs in 'train' (nor do 'W' 1 times)" in message
    assert (
        "Expected only the tags of 'train': X, Y; found 'SYM' 2 times in all, first in sentence 2 on the word 'i'"
        in message
    )
    assert "unseen_tags=count_as_wrong" in message


def test_an_unseen_tag_can_be_kept_beyond_the_outputs_of_a_tagger() -> None:
    splits = {"train": corpus("a/X b/Y"), "test": corpus("d/X f/Y", "h/Y i/A")}
    parts = align_tags(splits, unseen_tags="count_as_wrong")
    assert tag_names(parts["train"]) == ["X", "Y"]
    assert tag_names(parts["test"]) == ["X", "Y", "A"]
    assert parts["test"]["tags"][:] == [[0, 1], [1, 2]]


@pytest.mark.parametrize("unseen_tags", ["error", "count_as_wrong"])
def test_different_tag_sets_are_told_as_such(unseen_tags: str) -> None:
    splits = {"train": corpus("a/NN b/VBZ c/SYM"), "test": corpus("a/NOUN b/VERB c/SYM")}
    with pytest.raises(InputError, match=r"different tag sets: 2 of 3 words.*tag_column chooses"):
        align_tags(splits, unseen_tags=unseen_tags)  # type: ignore[arg-type]


def test_shared_tags_are_the_union() -> None:
    parts = share_tags({"train": corpus("a/B"), "test": corpus("b/C c/A")})
    assert tag_names(parts["train"]) == tag_names(parts["test"]) == ["A", "B", "C"]
    assert names_of(parts["test"]) == [["C", "A"]]


def test_a_dataset_without_named_tags_is_refused() -> None:
    with pytest.raises(InputError, match=r"no named tags.*found tokens"):
        tag_names(Dataset.from_dict({"tokens": [["a"]]}))
