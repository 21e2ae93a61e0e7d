"""One pretrained encoder, a head per task: what each is read off, what moves what, and when sharing helps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nlptransfer.data.feature_batches import DocumentBatches
from nlptransfer.data.subword_words import WordBatches, encode_words
from nlptransfer.embeddings.encoder_settings import load_tokenizer
from nlptransfer.errors import InputError
from nlptransfer.models.small_encoder import make_small_encoder
from nlptransfer.models.transformer import TransformerTagger, load_encoder
from nlptransfer.multitask.gradient_conflict import shared_layers
from nlptransfer.multitask.task_sampling import AlternatingBatches, TaskBatches
from nlptransfer.multitask.task_step import make_task_step, sum_losses, task_losses
from nlptransfer.multitask.tasks import Task
from nlptransfer.multitask.transformer_model import TransformerMultitaskModel
from nlptransfer.multitask.transformer_sharing import TransformerSharing
from nlptransfer.training.loop import train
from nlptransfer.training.seeding import seeded
from nlptransfer.types import NO_LABEL, Batch, TaskBatch

LOW = Task("low", "tagging", ("A", "B", "C"))
HIGH = Task("high", "tagging", ("X", "Y"))
TOPIC = Task("v1.topic", "classification", ("books", "films"))  # names may hold a dot
STARS = Task("stars", "regression")
WORDS = ["a", "book", "read", "##s", "##ing", "dull", *[f"w{number}" for number in range(60)]]
SENTENCES = [["a", "reading", "book"], ["dull"], ["books", "a", "reads", "dull", "book"]]
LABELS = [[0, 1, 2], [1], [2, 0, 1, 1, 2]]


@pytest.fixture
def folder(make_bert: Callable[..., Path]) -> Path:
    """A BERT of three layers."""
    return make_bert(WORDS, num_layers=3, max_length=32)


def make(folder: Path, tasks: Any = (LOW, HIGH), **settings: Any) -> TransformerSharing:
    with seeded(0):
        return TransformerSharing(tasks, load_encoder(folder), **settings)


def sentence_batch(folder: Path, labels: Any = LABELS, *, size: int = 3) -> Batch:
    encoded = encode_words(load_tokenizer(folder), SENTENCES, labels=labels)
    return next(iter(WordBatches(encoded, batch_size=size, max_length=32, context=2)))


def high_labels(batch: Batch) -> Batch:
    """The same with labels of the task of two."""
    assert batch.labels is not None
    return replace(batch, labels=torch.where(batch.labels == NO_LABEL, NO_LABEL, batch.labels % 2))


def text_batch(folder: Path, labels: Any) -> Batch:
    ids = load_tokenizer(folder)([" ".join(sentence) for sentence in SENTENCES])["input_ids"]
    (batch,) = DocumentBatches(ids, None, batch_size=3, max_length=32)
    order = sorted(range(3), key=lambda row: len(ids[row]))
    return replace(batch, labels=torch.tensor([labels[row] for row in order]))


@pytest.mark.parametrize("subwords", ["first", "mean"])
def test_alone_it_is_the_plain_tagger(folder: Path, subwords: Any) -> None:
    network = make(folder, [LOW], subwords=subwords).eval()
    tagger = TransformerTagger(load_encoder(folder), 3, subwords=subwords).eval()
    tagger.head.load_state_dict(network.head("low").output.state_dict())
    batch = sentence_batch(folder)
    expected, output = tagger(batch), network(batch, "low")
    torch.testing.assert_close(output.logits, expected.logits)
    torch.testing.assert_close(output.features, expected.features)
    torch.testing.assert_close(network.loss(output, batch, "low"), tagger.loss(expected, batch))
    assert torch.equal(network.decode(output, batch, "low"), tagger.decode(expected, batch))


def test_each_task_is_read_off_its_layer_word_by_word(folder: Path) -> None:
    network = make(folder, [LOW, HIGH, TOPIC], depths={"low": 1, "v1.topic": 2}).eval()
    batch = sentence_batch(folder)
    hidden = network.encoder(
        input_ids=batch.input_ids, attention_mask=batch.mask.long(), output_hidden_states=True
    ).hidden_states
    outputs = network.forward_text(batch, ["low", "high"])
    for task, depth in (("low", 1), ("high", 3)):
        head = network.head(task).output
        for row, words in enumerate(batch.words.tolist()):  # type: ignore[union-attr]
            for word in range(max(words) + 1):
                expected = head(hidden[depth][row, words.index(word)])
                torch.testing.assert_close(outputs[task].logits[row, word], expected)
    texts = text_batch(folder, [0, 1, 0])
    states = network.encoder(
        input_ids=texts.input_ids, attention_mask=texts.mask.long(), output_hidden_states=True
    ).hidden_states[2]
    expected = network.head("v1.topic")(states, texts.mask).logits
    torch.testing.assert_close(network(texts, "v1.topic").logits, expected)


def test_tasks_on_one_text_go_through_the_encoder_once(folder: Path) -> None:
    network = make(folder, depths={"low": 1}).eval()
    batch = sentence_batch(folder)
    calls: list[int] = []
    network.encoder.register_forward_hook(lambda *_: calls.append(1))
    losses = task_losses(network, TaskBatch({"low": batch, "high": replace(batch, labels=batch.labels % 2)}), 0.0)  # type: ignore[operator]
    assert len(calls) == 1
    alone = network.loss(network(batch, "low"), batch, "low")
    torch.testing.assert_close(losses["low"], alone)


def test_a_low_task_supervises_the_layers_up_to_its_depth_alone(folder: Path) -> None:
    network = make(folder, depths={"low": 1, "high": 2})
    network(sentence_batch(folder), "low").logits.sum().backward()
    reached = {id(weight) for weight in network.parameters() if weight.grad is not None}
    own = {id(weight) for weight in [*network.shared_parameters(), *network.task_parameters("low")]}
    assert reached == own
    assert list(shared_layers(network)) == [
        "embeddings.word_embeddings", "embeddings.position_embeddings", "embeddings.token_type_embeddings",
        "embeddings.LayerNorm", "encoder.layer.0",
    ]  # fmt: skip
    assert all("encoder.layer.1" in name or "heads.1" in name for name in names_of(network, "high"))


def names_of(network: TransformerSharing, task: str) -> list[str]:
    own = {id(weight) for weight in network.task_parameters(task)}
    return [name for name, weight in network.named_parameters() if id(weight) in own]


def test_a_last_normalisation_is_of_those_at_the_top(folder: Path) -> None:
    encoder: Any = make_small_encoder(80, seed=0, num_layers=2, hidden_dim=16, num_heads=2).base_model
    network = TransformerSharing([LOW, HIGH], encoder, depths={"low": 1})
    assert any("final_norm" in name for name in names_of(network, "high"))
    network(sentence_batch(folder), "low").logits.sum().backward()
    reached = {id(weight) for weight in network.parameters() if weight.grad is not None}
    assert reached == {id(weight) for weight in [*network.shared_parameters(), *network.task_parameters("low")]}
    batch = sentence_batch(folder)
    network.eval()
    expected = encoder(input_ids=batch.input_ids, attention_mask=batch.mask.long()).last_hidden_state[0, 1]
    torch.testing.assert_close(network(batch, "high").features[0, 0], expected)


def test_shared_and_own_parameters_make_up_what_is_used(folder: Path) -> None:
    network = make(folder, [LOW, HIGH, TOPIC, STARS], depths={"low": 1}, crf=["low"])
    parts = [network.shared_parameters(), *(network.task_parameters(task) for task in network.tasks)]
    everything = [weight for part in parts for weight in part]
    assert len(everything) == len(set(everything)) and set(everything) == set(network.parameters())
    assert sum(weight.numel() for weight in network.task_parameters("low")) == 8 * 3 + 3 + (3 * 3 + 3 + 3)


@pytest.mark.parametrize("crf", [[], ["high"]])
def test_a_label_missing_for_a_task_moves_nothing_of_its_head_bit_for_bit(folder: Path, crf: list[str]) -> None:
    network = make(folder, crf=crf)
    optimizer = torch.optim.AdamW(network.parameters(), 0.02, weight_decay=0.1)
    labelled = sentence_batch(folder, [[0, 1, 0], [1], [1, 0, 1, 1, 0]])
    none = replace(labelled, labels=torch.full_like(labelled.labels, NO_LABEL))  # type: ignore[arg-type]
    step = make_task_step()
    remembered: list[list[torch.Tensor]] = []
    for high in (labelled, labelled, none, none):
        optimizer.zero_grad()
        step(network, TaskBatch({"low": labelled, "high": high}), 0.0)["loss"].backward()
        optimizer.step()
        own = network.task_parameters("high")
        remembered.append([value.clone() for p in own for value in (p, *optimizer.state[p].values())])
    assert any(not torch.equal(a, b) for a, b in zip(remembered[0], remembered[1], strict=True)), "with labels it moves"
    for later in remembered[2:]:
        assert all(torch.equal(a, b) for a, b in zip(remembered[1], later, strict=True))


def test_what_stands_beyond_a_sentence_changes_nothing(folder: Path) -> None:
    network = make(folder, [LOW, TOPIC], crf=["low"]).eval()
    model = TransformerMultitaskModel(load_tokenizer(folder), network, max_length=32)
    alone = [model.predict([sentence], "low")[0] for sentence in SENTENCES]
    assert model.predict(SENTENCES, "low") == alone
    batch = sentence_batch(folder)
    whole = network.loss(network(batch, "low"), batch, "low")
    encoded = encode_words(load_tokenizer(folder), SENTENCES, labels=LABELS)
    parts = list(WordBatches(encoded, batch_size=1, max_length=32, context=2))
    sums = [network.loss(network(part, "low"), part, "low") * part.num_labels() for part in parts]
    torch.testing.assert_close(whole, torch.stack(sums).sum() / batch.num_labels())


@pytest.mark.parametrize("crf", [[], ["low"]])
def test_the_parts_of_two_processes_make_up_the_whole_step(folder: Path, crf: list[str]) -> None:
    network = make(folder, crf=crf).eval()
    batch = sentence_batch(folder)
    step = TaskBatch({"low": batch, "high": high_labels(batch)})
    whole = sum_losses(task_losses(network, step, 0.0))
    halves = [sum_losses(task_losses(network, step.part(index, 2), 0.0)) for index in range(2)]
    torch.testing.assert_close(whole, sum(halves) / 2)


def test_numbers_and_labels_of_texts_are_learnt_too(folder: Path) -> None:
    network = make(folder, [TOPIC, STARS])
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    batch = {"v1.topic": text_batch(folder, [0, 1, 0]), "stars": text_batch(folder, [1.0, 5.0, 2.0])}
    with seeded(0):
        losses = []
        for _ in range(40):
            optimizer.zero_grad()
            found = make_task_step()(network, TaskBatch(batch), 0.0)
            found["loss"].backward()
            optimizer.step()
            losses.append(float(found["loss"].detach()))
    assert losses[-1] < 0.3 * losses[0]
    decoded = network.eval().decode(network(batch["v1.topic"], "v1.topic"), batch["v1.topic"], "v1.topic")
    assert torch.equal(decoded, batch["v1.topic"].labels)  # type: ignore[arg-type]


@pytest.mark.parametrize(("unrelated", "helps"), [(False, True), (True, False)])
def test_a_task_with_few_labels_gains_by_a_related_task_and_not_by_an_unrelated_one(
    make_bert: Callable[..., Path], unrelated: bool, helps: bool
) -> None:
    """Words have hidden classes; both tasks tell them under names of their own, or "many" tells others."""
    folder = make_bert(WORDS, num_layers=1, max_length=32, initializer_range=0.1)
    random = np.random.default_rng(0)
    words = [word for word in WORDS if word.startswith("w")]
    classes = random.integers(0, 3, len(words))
    others = random.permutation(classes)
    many, few = Task("many", "tagging", ("a", "b", "c")), Task("few", "tagging", ("x", "y", "z"))

    def sentences(number: int) -> list[list[str]]:
        return [random.choice(words, random.integers(3, 8)).tolist() for _ in range(number)]

    def labels(given: list[list[str]], of: Any) -> list[list[int]]:
        return [[int(of[int(word[1:])]) for word in sentence] for sentence in given]

    texts = {"many": sentences(120), "few": sentences(6)}
    test = sentences(60)
    gold = [few.labels[own] for sentence in labels(test, classes) for own in sentence]

    def score(tasks: list[Task]) -> float:
        network = make(folder, tasks)
        model = TransformerMultitaskModel(load_tokenizer(folder), network, max_length=32)
        batches = {}
        for task in tasks:
            own = labels(texts[task.name], others if unrelated and task.name == "many" else classes)
            places, column = _positions(own)
            encoded = model.encode(texts[task.name], places)
            batches[task.name] = TaskBatches(model.word_batches(encoded, batch_size=8, seed=0), {task.name: column})
        turns: Any = batches["few"] if len(tasks) == 1 else AlternatingBatches(batches, sampling="uniform", seed=0)
        epochs = 320 // len(turns)
        optimizer = torch.optim.AdamW(network.parameters(), 0.03, weight_decay=0.0)
        train(network, make_task_step(), turns, optimizer, epochs=epochs, seed=0)
        found = [tag for tags in model.predict(test, "few") for tag in tags]
        return sum(one == other for one, other in zip(found, gold, strict=True)) / len(gold)

    alone, together = score([few]), score([many, few])
    assert alone < 0.75, "six sentences do not show most of the words"
    assert together > 0.95 if helps else together < alone + 0.05


def _positions(labels: list[list[int]]) -> tuple[list[list[int]], Any]:
    flat = [each for own in labels for each in own]
    places = iter(range(len(flat)))
    return [[next(places) for _ in own] for own in labels], np.array(flat)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"depths": {"low": 0}}, "depths 1 to 3"),
        ({"depths": {"low": 4}}, "depths 1 to 3"),
        ({"depths": {"lwo": 1}}, "no task 'lwo'"),
        ({"crf": ["lwo"]}, "no task 'lwo'"),
    ],
)
def test_settings_that_fit_no_task_or_layer_are_refused(folder: Path, settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make(folder, **settings)


def test_an_unknown_choice_of_subwords_and_layers_that_can_not_be_told_are_refused(folder: Path) -> None:
    from transformers import AlbertConfig, AlbertModel

    with pytest.raises(InputError, match="first or mean"):
        make(folder, subwords="last")
    sizes = {"vocab_size": 20, "embedding_size": 4, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}
    albert = AlbertModel(AlbertConfig(num_hidden_layers=2, **sizes))  # type: ignore[arg-type]
    TransformerSharing([LOW, HIGH], albert)
    with pytest.raises(InputError, match="share one set of weights"):
        TransformerSharing([LOW, HIGH], albert, depths={"low": 1})
