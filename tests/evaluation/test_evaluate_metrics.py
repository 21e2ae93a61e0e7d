"""The same numbers through the interface of `evaluate`, without network or cache."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nlptransfer.errors import InputError
from nlptransfer.evaluation.metrics import load_metric, padded_accuracy

GOLD = [["DT", "NN"], ["NN"], ["VB"]]
PREDICTED = [["DT", "VB"], ["NN"], ["NN"]]
TOKENS = [["the", "run"], ["dog"], ["run"]]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_token_accuracy_computes_from_lists_of_tags() -> None:
    assert load_metric("token_accuracy").compute(references=GOLD, predictions=PREDICTED) == {"token_accuracy": 0.5}


def test_batches_added_one_by_one_give_the_same() -> None:
    metric = load_metric("token_accuracy")
    for gold, predicted in zip(GOLD, PREDICTED, strict=True):
        metric.add(references=gold, predictions=predicted)
    assert metric.compute() == {"token_accuracy": 0.5}


def test_unseen_word_accuracy_takes_the_words_as_an_input() -> None:
    metric = load_metric("unseen_word_accuracy", training_words=["the", "dog"])
    metric.add_batch(references=GOLD, predictions=PREDICTED, tokens=TOKENS)
    assert metric.compute() == {"unseen_word_accuracy": 0.0}  # both "run" are wrong


def test_padded_accuracy_equals_the_function() -> None:
    value = load_metric("padded_accuracy", max_length=7).compute(references=GOLD, predictions=PREDICTED)
    assert value == {"padded_accuracy": padded_accuracy(GOLD, PREDICTED, max_length=7)}


def test_metrics_combine() -> None:
    import evaluate

    combined = evaluate.combine([load_metric("token_accuracy"), load_metric("padded_accuracy", max_length=4)])
    assert combined.compute(references=GOLD, predictions=PREDICTED) == {
        "token_accuracy": 0.5,
        "padded_accuracy": pytest.approx(10 / 12),
    }


def test_a_dropped_word_is_refused_here_too() -> None:
    with pytest.raises(InputError, match="sentence 1"):
        load_metric("token_accuracy").compute(references=[["DT", "NN"]], predictions=[["DT"]])


def test_what_a_metric_needs_is_asked_for() -> None:
    with pytest.raises(ValueError, match="needs training_words"):
        load_metric("unseen_word_accuracy")
    with pytest.raises(ValueError, match="needs max_length"):
        load_metric("padded_accuracy")


def test_no_cache_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import evaluate

    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path)
    load_metric("token_accuracy").compute(references=GOLD, predictions=PREDICTED)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_accuracy_and_macro_f1_take_one_label_per_document() -> None:
    gold, predicted = ["pos", "neg", "neg", "neg"], ["pos", "pos", "neg", "neg"]
    metric = load_metric("accuracy")
    metric.add(references="pos", predictions="pos")
    metric.add_batch(references=gold[1:], predictions=predicted[1:])
    assert metric.compute() == {"accuracy": 0.75}
    assert load_metric("macro_f1").compute(references=gold, predictions=predicted) == {
        "macro_f1": pytest.approx((2 / 3 + 4 / 5) / 2)
    }
