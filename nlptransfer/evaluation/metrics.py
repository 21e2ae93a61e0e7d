"""Accuracy of tags (on real words, on words unseen in training, with padding counted) and of documents' labels.

Every tagging accuracy is a ratio of two sums over sentences, so each is told by two arrays: how many positions of each
sentence count, and how many of those are right (`sentence_counts`). Intervals and tests (`significance.py`) start
there; those of documents are in `document_significance.py`. Numbers are scored in `number_scores.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nlptransfer.errors import InputError

if TYPE_CHECKING:
    import evaluate

TagLists = Sequence[Sequence[str]]
"""One list of tags (or of words) per sentence."""

METRICS = ("token_accuracy", "unseen_word_accuracy", "padded_accuracy")
"""The metrics of tags, which `sentence_counts` knows."""

DOCUMENT_METRICS = ("accuracy", "macro_f1")
"""The metrics of one label per document."""


class SentenceCounts(NamedTuple):
    """What each sentence adds to an accuracy.

    Attributes:
        correct: (sentences,) integers, positions that are right.
        counts: (sentences,) integers, positions that count.
    """

    correct: np.ndarray
    counts: np.ndarray

    def accuracy(self) -> float:
        """sum(correct) / sum(counts). Raises `InputError` when nothing counts: 0/0 is not an accuracy."""
        total = int(self.counts.sum())
        if total == 0:
            raise InputError("there is no word to score", remedy="Give at least one sentence whose words count.")
        return float(self.correct.sum() / total)


def check_word_counts(gold: TagLists, other: TagLists, *, name: str = "the predicted tags") -> None:
    """Make sure that no word was dropped: as many sentences as the gold has, each with as many words.

    Args:
        gold: one list of gold tags per sentence.
        other: what is held against it: predicted tags, or the words themselves.
        name: what `other` is, for the message.

    Raises:
        InputError: the number of sentences, or of words in one sentence, differs.
    """
    remedy = "Give exactly one tag for each word of each sentence, in the order of the gold file."
    if len(gold) != len(other):
        raise InputError(
            f"{name} and the gold tags differ in the number of sentences",
            expected=f"{len(gold)} sentences, as in the gold",
            found=str(len(other)),
            remedy=remedy,
        )
    for number, (gold_tags, other_tags) in enumerate(zip(gold, other, strict=True), start=1):
        if len(gold_tags) != len(other_tags):
            raise InputError(
                f"in sentence {number} {name} and the gold tags differ in number",
                expected=f"{len(gold_tags)} words, as in the gold",
                found=str(len(other_tags)),
                remedy=remedy,
            )


def sentence_counts(
    metric: str,
    gold: TagLists,
    predicted: TagLists,
    *,
    tokens: TagLists | None = None,
    training_words: Collection[str] | None = None,
    max_length: int | None = None,
) -> SentenceCounts:
    """Per-sentence counts behind one metric: accuracy = sum(correct) / sum(counts).

    Args:
        metric: `token_accuracy` (every real word counts), `unseen_word_accuracy` (only words that are not among
            `training_words`) or `padded_accuracy` (every one of `max_length` positions; see `padded_accuracy`).
        gold: one list of gold tags per sentence.
        predicted: one list of predicted tags per sentence, of the same lengths.
        tokens: the words; needed for `unseen_word_accuracy`.
        training_words: the words of the training set as written there (case matters); for `unseen_word_accuracy`.
        max_length: positions per sentence; for `padded_accuracy`.

    Returns:
        `SentenceCounts`, two arrays of (sentences,) integers.

    Raises:
        InputError: the number of sentences or words differs between gold, predicted and tokens.
        ValueError: the metric is not known, or what it needs was not given.

    Example:
        >>> sentence_counts("token_accuracy", [["DT", "NN"], ["NN"]], [["DT", "VB"], ["NN"]]).correct
        array([1, 1])
    """
    check_word_counts(gold, predicted)
    if metric == "token_accuracy":
        counted = [[True] * len(tags) for tags in gold]
    elif metric == "unseen_word_accuracy":
        if tokens is None or training_words is None:
            raise ValueError("unseen_word_accuracy needs the tokens and the training words")
        check_word_counts(gold, tokens, name="the words")
        seen = training_words if isinstance(training_words, set | frozenset | dict) else frozenset(training_words)
        counted = [[word not in seen for word in words] for words in tokens]
    elif metric == "padded_accuracy":
        if max_length is None or max_length < 1:
            raise ValueError(f"padded_accuracy needs a max_length of at least 1, got {max_length}")
        counted = [[True] * min(len(tags), max_length) for tags in gold]
    else:
        raise ValueError(f"unknown metric {metric!r}; known are {', '.join(METRICS)}")

    correct = [
        sum(counts and gold_tag == tag for counts, gold_tag, tag in zip(flags, gold_tags, tags, strict=False))
        for flags, gold_tags, tags in zip(counted, gold, predicted, strict=True)
    ]
    result = SentenceCounts(np.array(correct, dtype=np.int64), np.array([sum(f) for f in counted], dtype=np.int64))
    if metric == "padded_accuracy" and max_length is not None:
        pads = max_length - result.counts
        return SentenceCounts(result.correct + pads, result.counts + pads)
    return result


def token_accuracy(gold: TagLists, predicted: TagLists) -> float:
    """Fraction of real words whose tag is right: correct / words. Padding never counts.

    Args:
        gold: one list of gold tags per sentence.
        predicted: one list of predicted tags per sentence, of the same lengths.

    Returns:
        A number in 0..1.

    Raises:
        InputError: the number of sentences or words differs, or there is no word.

    Example:
        >>> token_accuracy([["DT", "NN"], ["NN", "VB"]], [["DT", "VB"], ["NN", "VB"]])
        0.75
    """
    return sentence_counts("token_accuracy", gold, predicted).accuracy()


def unseen_word_accuracy(
    gold: TagLists, predicted: TagLists, *, tokens: TagLists, training_words: Collection[str]
) -> float:
    """Fraction of the words that training never showed whose tag is right.

    Args:
        gold: one list of gold tags per sentence.
        predicted: one list of predicted tags per sentence, of the same lengths.
        tokens: the words, of the same lengths.
        training_words: the words of the training set as written there (case matters).

    Returns:
        A number in 0..1.

    Raises:
        InputError: the number of sentences or words differs, or every word was seen in training.

    Compare with `token_accuracy`: the gap between the two is what a tagger owes to having met the word before.
    """
    counts = sentence_counts("unseen_word_accuracy", gold, predicted, tokens=tokens, training_words=training_words)
    return counts.accuracy()


def padded_accuracy(gold: TagLists, predicted: TagLists, *, max_length: int) -> float:
    """Accuracy with padding counted: for comparison with tables that report it, never for judging a tagger.

    Each sentence is cut to `max_length` positions and padded to it, and the pads count as positions tagged right,
    which every trained tagger gets right::

        padded accuracy = (correct + pads) / (sentences * max_length)

    With r = real positions / all positions, that is ``1 - r * (1 - a)``, where a is the accuracy on the real
    positions kept: padding multiplies the *error* by r. Treebank sentences of 24 words on average, padded to 50, give
    r = 0.48; then 0.94 on real words reads as 0.97. Words beyond `max_length` are not scored at all.

    Args:
        gold: one list of gold tags per sentence.
        predicted: one list of predicted tags per sentence, of the same lengths.
        max_length: positions per sentence, at least 1.

    Returns:
        A number in 0..1.

    Raises:
        InputError: the number of sentences or words differs, or there is no sentence.
        ValueError: `max_length` is below 1.

    Example:
        >>> padded_accuracy([["DT", "NN"]], [["DT", "VB"]], max_length=10)  # token accuracy is 0.5
        0.9
    """
    return sentence_counts("padded_accuracy", gold, predicted, max_length=max_length).accuracy()


def accuracy(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Fraction of documents whose label is right: correct / documents.

    Args:
        gold: the gold label of each document.
        predicted: the predicted label of each document.

    Returns:
        A number in 0..1.

    Raises:
        InputError: the two differ in length, or there is no document.

    Compare with `macro_f1`, which gives a rare label the weight of a frequent one.

    Example:
        >>> accuracy(["pos", "neg", "neg", "neg"], ["neg", "neg", "neg", "neg"])
        0.75
    """
    from sklearn.metrics import accuracy_score

    _check_documents(gold, predicted)
    return float(accuracy_score(list(gold), list(predicted)))


def macro_f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Mean over the labels of F1 = 2 right / (gold + predicted), the harmonic mean of precision and recall.

    Every label that occurs in gold or predictions counts alike; one that is never right counts 0.

    Args:
        gold: the gold label of each document.
        predicted: the predicted label of each document.

    Returns:
        A number in 0..1.

    Raises:
        InputError: the two differ in length, or there is no document.

    Compare with `accuracy`: where the labels are about equally frequent the two say the same.

    Example:
        >>> macro_f1(["pos", "neg", "neg", "neg"], ["neg", "neg", "neg", "neg"])  # F1 of neg is 6/7, of pos 0
        0.42857142857142855
    """
    from sklearn.metrics import f1_score

    _check_documents(gold, predicted)
    return float(f1_score(list(gold), list(predicted), average="macro", zero_division=0.0))


def per_tag_scores(gold: TagLists, predicted: TagLists) -> list[dict[str, Any]]:
    """Precision, recall and F1 of every tag that occurs in gold or predictions.

    precision = right / predicted, recall = right / gold, F1 = their harmonic mean; 0 where a denominator is 0.

    Args:
        gold: one list of gold tags per sentence.
        predicted: one list of predicted tags per sentence, of the same lengths.

    Returns:
        One dict per tag, most frequent gold tag first: `tag`, `precision`, `recall`, `f1` (all in 0..1), `support`
        (gold words).

    Raises:
        InputError: the number of sentences or words differs.
    """
    from sklearn.metrics import precision_recall_fscore_support

    labels, gold_tags, predicted_tags = _flatten(gold, predicted)
    if not labels:
        return []
    precision, recall, f1, support = precision_recall_fscore_support(
        gold_tags, predicted_tags, labels=labels, zero_division=0.0
    )
    rows = [
        {"tag": tag, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
        for tag, p, r, f, n in zip(labels, precision, recall, f1, support, strict=True)
    ]
    return sorted(rows, key=lambda row: (-row["support"], row["tag"]))


def confusion_matrix(gold: TagLists, predicted: TagLists) -> tuple[list[str], np.ndarray]:
    """How often each gold tag (row) was given each tag (column).

    Args:
        gold: one list of gold tags per sentence.
        predicted: one list of predicted tags per sentence, of the same lengths.

    Returns:
        The tags in sorted order, and the counts (tags, tags).

    Raises:
        InputError: the number of sentences or words differs.
    """
    from sklearn.metrics import confusion_matrix as count_pairs

    labels, gold_tags, predicted_tags = _flatten(gold, predicted)
    if not labels:
        return [], np.zeros((0, 0), dtype=np.int64)
    return labels, count_pairs(gold_tags, predicted_tags, labels=labels)


def load_metric(
    name: str, *, training_words: Collection[str] | None = None, max_length: int | None = None
) -> evaluate.Metric:
    """The metric as an `evaluate.Metric`, built from this package: no download, no cache file.

    Args:
        name: `token_accuracy`, `unseen_word_accuracy` or `padded_accuracy` of tags; `accuracy` or `macro_f1` of
            documents.
        training_words: needed by `unseen_word_accuracy`.
        max_length: needed by `padded_accuracy`.

    Returns:
        A module with `compute`, `add` and `add_batch`; `references` and `predictions` are lists of tag lists
        (of labels, for documents), and `unseen_word_accuracy` also takes `tokens`.

    Raises:
        ValueError: the name is not known, or what the metric needs was not given.

    Example:
        >>> load_metric("token_accuracy").compute(references=[["DT", "NN"]], predictions=[["DT", "VB"]])
        {'token_accuracy': 0.5}
    """
    from nlptransfer.evaluation.evaluate_metrics import (
        Accuracy,
        MacroF1,
        PaddedAccuracy,
        TokenAccuracy,
        UnseenWordAccuracy,
    )

    if name == "accuracy":
        return Accuracy()
    if name == "macro_f1":
        return MacroF1()
    if name == "token_accuracy":
        return TokenAccuracy()
    if name == "unseen_word_accuracy":
        if training_words is None:
            raise ValueError("unseen_word_accuracy needs training_words")
        return UnseenWordAccuracy(training_words=training_words)
    if name == "padded_accuracy":
        if max_length is None:
            raise ValueError("padded_accuracy needs max_length")
        return PaddedAccuracy(max_length=max_length)
    raise ValueError(f"unknown metric {name!r}; known are {', '.join((*METRICS, *DOCUMENT_METRICS))}")


def _check_documents(gold: Sequence[str], predicted: Sequence[str]) -> None:
    if len(gold) != len(predicted):
        raise InputError(
            "the gold and the predicted labels differ in number",
            expected=f"{len(gold)}, as in the gold",
            found=str(len(predicted)),
            remedy="Give exactly one label for each document.",
        )
    if not len(gold):
        raise InputError("there is no document to score", remedy="Give at least one document.")


def _flatten(gold: TagLists, predicted: TagLists) -> tuple[list[str], list[str], list[str]]:
    """All tags that occur, then the gold and the predicted tags of all words in a row."""
    check_word_counts(gold, predicted)
    gold_tags = [tag for tags in gold for tag in tags]
    predicted_tags = [tag for tags in predicted for tag in tags]
    return sorted({*gold_tags, *predicted_tags}), gold_tags, predicted_tags
