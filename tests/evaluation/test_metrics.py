"""Accuracies against numpy, against the formula in the docstring, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from nlptransfer.errors import InputError
from nlptransfer.evaluation.metrics import (
    accuracy,
    confusion_matrix,
    load_metric,
    macro_f1,
    padded_accuracy,
    per_tag_scores,
    sentence_counts,
    token_accuracy,
    unseen_word_accuracy,
)

TOKENS = [["The", "bank", "rose"], [], ["Banks", "the"]]
GOLD = [["DT", "NN", "VBD"], [], ["NNS", "DT"]]
PREDICTED = [["DT", "NN", "NN"], [], ["NNS", "NN"]]


def test_token_accuracy_is_the_mean_over_words_and_not_over_sentences() -> None:
    gold, predicted = [["A", "A", "A"], ["A"]], [["A", "A", "A"], ["B"]]
    assert token_accuracy(gold, predicted) == 0.75


def test_token_accuracy_equals_numpy_on_random_tags() -> None:
    random = np.random.default_rng(0)
    lengths = [4, 0, 7, 1]
    gold = [list(map(str, random.integers(0, 3, length))) for length in lengths]
    predicted = [list(map(str, random.integers(0, 3, length))) for length in lengths]
    expected = np.mean(np.concatenate([np.array(g) == np.array(p) for g, p in zip(gold, predicted, strict=True) if g]))
    assert token_accuracy(gold, predicted) == pytest.approx(expected)


def test_sentence_counts_tell_each_sentence_apart() -> None:
    counts = sentence_counts("token_accuracy", GOLD, PREDICTED)
    assert counts.correct.tolist() == [2, 0, 1]
    assert counts.counts.tolist() == [3, 0, 2]


def test_unseen_words_are_told_by_their_exact_form() -> None:
    # "bank" and "The" were seen, "the" and "Banks" were not.
    value = unseen_word_accuracy(GOLD, PREDICTED, tokens=TOKENS, training_words=["The", "bank"])
    assert value == pytest.approx(1 / 3)  # rose wrong, Banks right, the wrong


def test_with_no_training_words_every_word_is_unseen() -> None:
    unseen = unseen_word_accuracy(GOLD, PREDICTED, tokens=TOKENS, training_words=[])
    assert unseen == token_accuracy(GOLD, PREDICTED)


@pytest.mark.parametrize("max_length", [3, 5, 50])
def test_padded_accuracy_equals_scoring_the_padded_rows(max_length: int) -> None:
    def pad(rows: list[list[str]]) -> np.ndarray:
        return np.array([(row + ["<pad>"] * max_length)[:max_length] for row in rows])

    expected = (pad(GOLD) == pad(PREDICTED)).mean()
    assert padded_accuracy(GOLD, PREDICTED, max_length=max_length) == pytest.approx(expected)


def test_padding_multiplies_the_error_by_the_share_of_real_positions() -> None:
    real_share = 5 / (3 * 50)
    expected = 1 - real_share * (1 - token_accuracy(GOLD, PREDICTED))
    assert padded_accuracy(GOLD, PREDICTED, max_length=50) == pytest.approx(expected)


def test_padded_accuracy_does_not_see_words_beyond_the_cut() -> None:
    assert padded_accuracy([["A", "A", "A"]], [["A", "B", "B"]], max_length=1) == 1.0


def test_padded_accuracy_needs_a_length() -> None:
    with pytest.raises(ValueError, match="max_length of at least 1"):
        padded_accuracy(GOLD, PREDICTED, max_length=0)


def test_a_dropped_word_is_an_error_that_names_the_sentence() -> None:
    with pytest.raises(InputError, match=r"sentence 3 .*Expected 2 words.*found 1"):
        token_accuracy(GOLD, [["DT", "NN", "NN"], [], ["NNS"]])


def test_a_dropped_sentence_is_an_error() -> None:
    with pytest.raises(InputError, match=r"Expected 3 sentences, as in the gold; found 2"):
        token_accuracy(GOLD, PREDICTED[:2])


def test_words_that_do_not_fit_the_tags_are_an_error() -> None:
    with pytest.raises(InputError, match="the words and the gold tags differ"):
        unseen_word_accuracy(GOLD, PREDICTED, tokens=TOKENS[:2], training_words=[])


def test_nothing_to_score_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(InputError, match="no word to score"):
        token_accuracy([[]], [[]])


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(ValueError, match="unknown metric 'acc'"):
        sentence_counts("acc", GOLD, PREDICTED)
    with pytest.raises(ValueError, match="unknown metric 'acc'"):
        load_metric("acc")


def test_per_tag_scores_equal_counts_by_hand() -> None:
    rows = {row["tag"]: row for row in per_tag_scores(GOLD, PREDICTED)}
    # NN: gold once, predicted three times, right once.
    assert rows["NN"] == {"tag": "NN", "precision": pytest.approx(1 / 3), "recall": 1.0, "f1": 0.5, "support": 1}
    # VBD: never predicted; precision has no denominator and is told as 0.
    assert rows["VBD"] == {"tag": "VBD", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert next(iter(rows)) == "DT"  # most frequent first


def test_confusion_matrix_has_gold_rows() -> None:
    tags, counts = confusion_matrix(GOLD, PREDICTED)
    assert tags == ["DT", "NN", "NNS", "VBD"]
    assert counts.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0]]


def test_tables_of_nothing_are_empty() -> None:
    assert per_tag_scores([[]], [[]]) == []
    assert confusion_matrix([], [])[1].shape == (0, 0)


def test_accuracy_and_macro_f1_equal_counts_by_hand() -> None:
    gold, predicted = ["pos", "neg", "neg", "neg", "odd"], ["neg", "neg", "neg", "pos", "neg"]
    assert accuracy(gold, predicted) == pytest.approx(2 / 5)
    # neg: 2 right of 3 gold and 4 predicted; pos: 0 right of 1 and 1; odd: never predicted.
    assert macro_f1(gold, predicted) == pytest.approx((2 * 2 / (3 + 4) + 0 + 0) / 3)


def test_a_label_that_is_only_predicted_counts_in_macro_f1() -> None:
    assert macro_f1(["pos", "pos"], ["pos", "odd"]) == pytest.approx((2 / 3 + 0) / 2)


def test_documents_that_do_not_match_or_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="Expected 2, as in the gold; found 1"):
        accuracy(["pos", "neg"], ["pos"])
    with pytest.raises(InputError, match="no document to score"):
        macro_f1([], [])
