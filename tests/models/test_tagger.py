"""What a tagger reads, what it loses, what it learns, and that no word goes without a tag."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nlptransfer.data.batching import Batches
from nlptransfer.data.vocabulary import BOUNDARIES, UNKNOWN, Vocabulary, count_entries
from nlptransfer.embeddings.embedding_layer import make_embedding, make_random_embedding
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.models.tagger import RecurrentTagger, TaggerShape
from nlptransfer.training.loop import train
from nlptransfer.training.seeding import seeded
from nlptransfer.types import NO_LABEL, Batch

TAGS = ["DET", "NOUN", "VERB"]
WORDS = ["the", "bank", "raised", "rates", "of", "interest", "a", "river"]
SMALL: dict[str, Any] = {"hidden_dim": 8, "character_dim": 6, "dropout": 0.0, "word_dropout": 0.0}


def make_tagger(
    words: Sequence[str] = WORDS,
    *,
    tags: Sequence[str] = TAGS,
    embedding: nn.Embedding | None = None,
    vectors: WordVectors | None = None,
    counts: np.ndarray | None = None,
    seed: int = 0,
    **shape: Any,
) -> RecurrentTagger:
    vocabulary = Vocabulary(list(words))
    characters = Vocabulary([*BOUNDARIES, *count_entries(words)])
    with seeded(seed):
        tagger = RecurrentTagger(
            vocabulary,
            None if shape.get("characters") == "none" else characters,
            tags,
            embedding or make_random_embedding(vocabulary, 5),
            TaggerShape(**{**SMALL, **shape}),
            vectors=vectors,
            counts=counts,
        )
    return tagger.eval()


def decisive(tagger: RecurrentTagger) -> RecurrentTagger:
    """Scaled up and without bias, an untrained tagger's choices vary from word to word."""
    with torch.no_grad():
        tagger.embedding.weight.mul_(3)
        tagger.head.weight.mul_(10)
        tagger.head.bias.zero_()
    return tagger


def make_vectors(table: dict[str, list[float]]) -> WordVectors:
    matrix = np.array(list(table.values()), dtype=np.float32)
    return WordVectors(words=list(table), matrix=matrix, subwords=None, source="test", digest="test")


def random_sentences(number: int, longest: int, words: Sequence[str] = WORDS, seed: int = 0) -> list[list[str]]:
    random = np.random.default_rng(seed)
    return [random.choice(list(words), random.integers(1, longest + 1)).tolist() for _ in range(number)]


def one_batch(
    tagger: RecurrentTagger, sentences: list[list[str]], labels: list[list[int]] | None = None, **settings: Any
) -> Batch:
    (batch,) = Batches(tagger.encode(sentences, labels), batch_size=1000, **settings)
    return batch


HEADS_AND_CHARACTERS = [
    {"head": head, "characters": characters} for head in ("softmax", "crf") for characters in ("none", "cnn", "lstm")
]


# The numbers


def test_softmax_loss_is_cross_entropy_over_real_labelled_tokens_only() -> None:
    tagger = make_tagger()
    sentences = [["the", "bank"], ["a", "river", "bank", "raised", "rates"], ["of"]]
    labels = [[0, NO_LABEL], [0, 1, 1, NO_LABEL, 2], [1]]
    batch = one_batch(tagger, sentences, labels)
    output = tagger(batch)
    logits = output.logits.detach().double().numpy()
    losses = []
    for row, row_labels, real in zip(logits, batch.labels.numpy(), batch.mask.numpy(), strict=True):  # type: ignore[union-attr]
        for scores, label, is_real in zip(row, row_labels, real, strict=True):
            if is_real and label >= 0:
                losses.append(np.log(np.exp(scores).sum()) - scores[label])
    assert len(losses) == 6
    assert tagger.loss(output, batch).item() == pytest.approx(np.mean(losses), rel=1e-6)


def test_crf_loss_is_per_labelled_token() -> None:
    tagger = make_tagger(head="crf")
    sentences, labels = [["the", "bank", "of"], ["a", "river"]], [[0, 1, NO_LABEL], [0, 1]]
    batch = one_batch(tagger, sentences, labels)
    output = tagger(batch)
    assert tagger.crf is not None and batch.labels is not None
    total = tagger.crf.loss(output.logits, batch.labels, batch.mask)
    assert tagger.loss(output, batch).item() == pytest.approx(total.item() / 4, rel=1e-6)
    twice = one_batch(tagger, sentences * 2, labels * 2)
    assert tagger.loss(tagger(twice), twice).item() == pytest.approx(total.item() / 4, rel=1e-5)


@pytest.mark.parametrize("head", ["softmax", "crf"])
def test_a_batch_without_a_single_label_loses_nothing(head: str) -> None:
    tagger = make_tagger(head=head)
    batch = one_batch(tagger, [["the", "bank"]], [[NO_LABEL, NO_LABEL]])
    loss = tagger.loss(tagger(batch), batch)
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert tagger.head.weight.grad is not None and tagger.head.weight.grad.abs().max() < 1e-6


def test_a_word_is_read_as_unknown_the_more_readily_the_rarer_it_is() -> None:
    counts = np.array([50, 60, 1, 2, 10, 1000, 3, 4, 5, 6])  # the first two are of padding and unknown: never dropped
    tagger = make_tagger(counts=counts, word_dropout=0.25).train()
    expected = np.array([0, 0, *(0.25 / (0.25 + count) for count in counts[2:])])
    np.testing.assert_allclose(tagger.unknown_probability.numpy(), expected, rtol=1e-6)

    read: list[torch.Tensor] = []
    tagger.embedding.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    batch = one_batch(tagger, [WORDS, WORDS[:3], ["xqzy"]])
    with seeded(0):
        for _ in range(4000):
            tagger._embed_words(batch)
    ids = torch.stack(read)  # (draws, sentences, words)
    shares = (ids[:, batch.mask.sum(dim=1) == 8] == UNKNOWN).float().mean(dim=(0, 1)).numpy()
    np.testing.assert_allclose(shares, expected[2:], atol=0.025)
    assert (ids[:, ~batch.mask] == 0).all(), "padding stays padding"
    dropped = ids != batch.input_ids
    assert (ids[dropped] == UNKNOWN).all()


@pytest.mark.parametrize("quiet", [{"training": False}, {"counts": None}, {"word_dropout": 0.0}])
def test_no_word_is_read_as_unknown_at_prediction_or_without_counts(quiet: dict[str, Any]) -> None:
    settings = {"counts": np.zeros(10, dtype=np.int64), "word_dropout": 0.9, "training": True, **quiet}
    training = settings.pop("training")
    tagger = make_tagger(**settings).train(training)
    read: list[torch.Tensor] = []
    tagger.embedding.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    batch = one_batch(tagger, [WORDS] * 20)
    tagger(batch)
    assert torch.equal(read[0], batch.input_ids)


@pytest.mark.parametrize("shape", [{"characters": "none"}, {"characters": "cnn", "head": "crf"}])
def test_a_word_that_only_the_vectors_hold_reads_as_if_training_had_known_it(shape: dict[str, Any]) -> None:
    table = {"the": [1.0, 0.0, 2.0], "loan": [0.5, -3.0, 1.0], "debt": [4.0, 4.0, -1.0], "2000": [9.0, 0.0, 0.0]}
    vectors = make_vectors(table)
    unknown = torch.tensor([0.1, 0.2, 0.3])

    def build(words: list[str], **settings: Any) -> RecurrentTagger:
        layer = make_embedding(vectors, Vocabulary(words), trainable=False, unseen="zero")
        with torch.no_grad():
            layer.weight[UNKNOWN] = unknown
        return make_tagger(words, embedding=layer, **{**shape, **settings})

    knows_all = build(["the", "loan", "debt", "Loan"])
    reader = build(["the"], vectors=vectors)
    blind = build(["the"])
    characters = knows_all.character_vocabulary
    for tagger in (reader, blind):
        tagger.character_vocabulary = characters
        tagger.characters = knows_all.characters
        tagger.encoder, tagger.head, tagger.crf = knows_all.encoder, knows_all.head, knows_all.crf
    sentences = [["the", "debt", "xqzy", "loan"], ["debt"], ["Loan", "the"]]
    expected, read, unread = (tagger(one_batch(tagger, sentences)) for tagger in (knows_all, reader, blind))
    mask = one_batch(reader, sentences).mask
    torch.testing.assert_close(read.logits[mask], expected.logits[mask])
    assert not torch.allclose(unread.logits[mask], expected.logits[mask]), "control: without vectors it can't"
    assert reader.predict(sentences) == knows_all.predict(sentences)


def test_what_neither_holds_is_unknown_and_fallbacks_can_be_switched_off() -> None:
    vectors = make_vectors({"loan": [1.0, 1.0, 1.0, 1.0, 1.0]})
    tagger = make_tagger(vectors=vectors)
    encoded = tagger.encode([["loan", "LOAN", "xqzy", "the"]])
    assert encoded.word_ids.tolist() == [10, 11, UNKNOWN, 2]
    assert encoded.unseen_vectors is not None and encoded.unseen_vectors.shape == (2, 5)
    strict = make_tagger(vectors=vectors, fallbacks=())
    assert strict.encode([["loan", "LOAN"]]).word_ids.tolist() == [10, UNKNOWN]
    assert make_tagger().encode([["loan", "the"]]).word_ids.tolist() == [UNKNOWN, 2]


def test_a_tagger_trains_on_words_that_only_the_vectors_hold() -> None:
    """Training sentences need not be those that the vocabulary came from: more data, another domain, rare words cut."""
    vectors = make_vectors({"loan": [1.0, 1.0, 1.0, 1.0, 1.0]})
    tagger = make_tagger(vectors=vectors, counts=np.ones(10, dtype=np.int64), word_dropout=0.5).train()
    batch = one_batch(tagger, [["the", "loan", "xqzy"]], [[0, 1, 2]])
    loss = tagger.loss(tagger(batch), batch)
    loss.backward()
    assert loss.isfinite()


# Properties of predictions


@pytest.mark.parametrize("shape", HEADS_AND_CHARACTERS)
def test_predictions_do_not_depend_on_batch_size_or_mates(shape: dict[str, Any]) -> None:
    tagger = decisive(make_tagger(vectors=make_vectors({"loan": [1.0, 2.0, -1.0, 0.5, 3.0]}), **shape))
    sentences = random_sentences(30, 12, [*WORDS, "loan", "xqzy", "Übermut"])
    reference = tagger.predict(sentences, batch_size=64)
    assert len({tag for tags in reference for tag in tags}) > 1, "control: the tags differ"
    for batch_size in (1, 7):
        assert tagger.predict(sentences, batch_size=batch_size) == reference
    assert [tagger.predict([sentence])[0] for sentence in sentences] == reference
    order = np.random.default_rng(1).permutation(30).tolist()
    assert tagger.predict([sentences[index] for index in order]) == [reference[index] for index in order]


@pytest.mark.parametrize("shape", HEADS_AND_CHARACTERS)
def test_logits_at_real_tokens_do_not_depend_on_batch_mates(shape: dict[str, Any]) -> None:
    tagger = make_tagger(num_layers=2, **shape)
    sentences = random_sentences(9, 12)
    together = tagger(one_batch(tagger, sentences))
    order = np.argsort([len(sentence) for sentence in sentences], kind="stable")
    for row, index in enumerate(order.tolist()):
        alone = tagger(one_batch(tagger, [sentences[index]]))
        torch.testing.assert_close(together.logits[row, : len(sentences[index])], alone.logits[0])
        torch.testing.assert_close(together.features[row, : len(sentences[index])], alone.features[0])


@pytest.mark.parametrize("shape", HEADS_AND_CHARACTERS)
@pytest.mark.parametrize(("max_length", "context"), [(5, 0), (5, 1), (5, 2), (1, 0)])
def test_long_sentences_get_one_tag_per_word(shape: dict[str, Any], max_length: int, context: int) -> None:
    tagger = make_tagger(max_length=max_length, context=context, **shape)
    sentences = [[], ["the"], *random_sentences(6, 40), ["bank"] * 5, ["bank"] * 6, []]
    tags = tagger.predict(sentences, batch_size=4)
    assert [len(sentence) for sentence in sentences] == list(map(len, tags))
    assert {tag for sentence in tags for tag in sentence} <= set(TAGS)


def make_forgetful_tagger(**shape: Any) -> RecurrentTagger:
    """A simple recurrent network that forgets its last state decides for each word by itself."""
    tagger = decisive(make_tagger(cell="rnn", **shape))
    with torch.no_grad():
        for direction in tagger.encoder.directions:
            direction.weight_hh_l0.zero_()
    return tagger


def test_windows_put_each_tag_at_its_own_word() -> None:
    tagger = make_forgetful_tagger(max_length=1000)
    sentences = [[], *random_sentences(8, 40)]
    whole = tagger.predict(sentences)
    assert len({tag for tags in whole for tag in tags}) == 3
    for max_length, context in ((5, 0), (7, 2), (3, 1)):
        windowed = make_forgetful_tagger(max_length=max_length, context=context)
        assert windowed.predict(sentences, batch_size=3) == whole


@pytest.mark.parametrize("shape", HEADS_AND_CHARACTERS)
def test_nothing_to_tag_gets_no_tags(shape: dict[str, Any]) -> None:
    tagger = make_tagger(vectors=make_vectors({"loan": [1.0] * 5}), **shape)
    assert tagger.predict([]) == []
    assert tagger.predict([[]]) == [[]]
    tags = tagger.predict([[], ["the", "bank"], [], ["of"], []])
    assert list(map(len, tags)) == [0, 2, 0, 1, 0]


def test_odd_words_are_tagged_too() -> None:
    tagger = make_tagger()
    (tags,) = tagger.predict([("", " ", "😀", "\x00", "\ud800", "x" * 5000, "<padding>")])
    assert len(tags) == 7 and all(type(tag) is str for tag in tags)


@pytest.mark.parametrize("wrong", ["the bank", ["the", "bank"], [["the"], "bank"]])
def test_a_string_in_place_of_a_list_of_words_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="lists of words"):
        make_tagger().predict(wrong)


@pytest.mark.parametrize("training", [True, False])
def test_prediction_is_without_dropout_and_leaves_the_mode_and_generator_as_they_were(training: bool) -> None:
    tagger = make_tagger(dropout=0.9, word_dropout=0.9, counts=np.ones(10, dtype=np.int64)).train(training)
    sentences = random_sentences(10, 9)
    before = torch.random.get_rng_state()
    assert tagger.predict(sentences) == tagger.predict(sentences)
    assert tagger.training is training
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in tagger.parameters())


def test_decoding_a_crf_takes_its_transitions_into_account() -> None:
    tagger = make_tagger(head="crf")
    assert tagger.crf is not None
    with torch.no_grad():  # after each tag must come the next
        tagger.crf.transitions.fill_(-1e3)
        for tag in range(3):
            tagger.crf.transitions[tag, (tag + 1) % 3] = 0.0
    (tags,) = tagger.predict([WORDS])
    steps = [(TAGS.index(after) - TAGS.index(before)) % 3 for before, after in pairwise(tags)]
    assert steps == [1] * 7


def test_tokens_of_context_teach_nothing_in_their_neighbours_window() -> None:
    tagger = make_tagger(max_length=6, context=2)
    batches = Batches(tagger.encode([WORDS * 2], [[1] * 16]), batch_size=100, max_length=6, context=2)
    assert sum(batch.num_labels() for batch in batches) == 16


# What it learns


def fit(
    tagger: RecurrentTagger, sentences: list[list[str]], labels: list[list[int]], *, epochs: int, rate: float = 0.02
) -> list[dict[str, Any]]:
    batches = Batches(tagger.encode(sentences, labels), batch_size=16, seed=0)
    parameters = [parameter for parameter in tagger.parameters() if parameter.requires_grad]
    return train(
        tagger,
        lambda model, batch, progress: {"loss": model.loss(model(batch), batch)},
        batches,
        torch.optim.Adam(parameters, rate),
        epochs=epochs,
        seed=0,
    )


def accuracy(tagger: RecurrentTagger, sentences: list[list[str]], labels: list[list[int]]) -> float:
    gold = [tagger.tags[label] for sentence in labels for label in sentence]
    predicted = [tag for sentence in tagger.predict(sentences) for tag in sentence]
    return float(np.mean([a == b for a, b in zip(gold, predicted, strict=True)]))


@pytest.mark.parametrize(
    "shape",
    [
        {"cell": "lstm"},
        {"cell": "gru", "head": "crf", "characters": "none"},
        {"cell": "rnn", "num_layers": 2, "characters": "lstm"},
        {"cell": "lstm", "bidirectional": False, "characters": "none", "dropout": 0.1},
    ],
)
def test_a_tagger_learns_that_a_word_takes_its_tag_from_the_word_before(shape: dict[str, Any]) -> None:
    words = ["the", "river", "raised", "it"]
    sentences = random_sentences(150, 10, words)

    def label(sentence: list[str]) -> list[int]:
        labels: list[int] = []
        for word in sentence:
            labels.append(words.index(word) if word != "it" else labels[-1] if labels else 0)
        return labels

    tagger = make_tagger(words, **{"hidden_dim": 16, **shape})
    untrained = accuracy(tagger, sentences, [label(sentence) for sentence in sentences])
    fit(tagger, sentences, [label(sentence) for sentence in sentences], epochs=12)
    fresh = random_sentences(60, 10, words, seed=1)
    assert accuracy(tagger, fresh, [label(sentence) for sentence in fresh]) > 0.95
    assert untrained < 0.8


@pytest.mark.parametrize(("characters", "learns"), [("cnn", True), ("lstm", True), ("none", False)])
def test_only_a_tagger_that_reads_characters_knows_unseen_words_by_their_ending(characters: str, learns: bool) -> None:
    random = np.random.default_rng(0)
    endings = ["ing", "ed", "ly"]
    words = ["".join(random.choice(list("bcdfghklm"), 4)) + endings[number % 3] for number in range(600)]
    seen, unseen = words[:300], [word for word in words[300:] if word not in words[:300]]
    sentences = [random_sentences(200, 6, part, seed=2) for part in (seen, unseen)]
    labels = [[[[w.endswith(e) for e in endings].index(True) for w in s] for s in part] for part in sentences]
    tagger = make_tagger(list(dict.fromkeys(seen)), characters=characters,
                         counts=np.ones(len(set(seen)) + 2), word_dropout=0.5)  # fmt: skip
    fit(tagger, sentences[0], labels[0], epochs=8)
    reached = accuracy(tagger, sentences[1], labels[1])
    assert reached > 0.95 if learns else reached < 0.6


def vectors_by_tag(seed: int = 0) -> tuple[WordVectors, dict[str, int]]:
    """600 words whose vectors lie about the centre of their tag, the tags in no order."""
    random = np.random.default_rng(seed)
    tags = random.integers(0, 3, 600)
    centres = random.normal(size=(3, 20))
    matrix = centres[tags] + 0.3 * random.normal(size=(600, 20))
    words = [f"w{number}" for number in range(600)]
    return make_vectors(dict(zip(words, matrix.tolist(), strict=True))), dict(zip(words, tags.tolist(), strict=True))


def accuracy_with(vectors: WordVectors | None, tags: dict[str, int], *, trainable: bool) -> float:
    """On words of which training saw none, without characters."""
    words = list(tags)
    vocabulary = Vocabulary(words[:300])
    with seeded(0):
        layer = (
            make_random_embedding(vocabulary, 20)
            if vectors is None
            else make_embedding(vectors, vocabulary, trainable=trainable)
        )
    tagger = make_tagger(words[:300], embedding=layer, vectors=vectors, characters="none",
                         counts=np.ones(302), word_dropout=0.2)  # fmt: skip
    sentences = [random_sentences(150, 8, part, seed=3) for part in (words[:300], words[300:])]
    labels = [[[tags[word] for word in sentence] for sentence in part] for part in sentences]
    fit(tagger, sentences[0], labels[0], epochs=5)
    return accuracy(tagger, sentences[1], labels[1])


def test_pretrained_vectors_help_on_unseen_words_and_shuffled_ones_do_not() -> None:
    vectors, tags = vectors_by_tag()
    order = np.random.default_rng(1).permutation(len(vectors.words))
    shuffled = make_vectors(dict(zip(vectors.words, vectors.matrix[order].tolist(), strict=True)))
    random, frozen, trainable = (
        accuracy_with(vectors_used, tags, trainable=is_trainable)
        for vectors_used, is_trainable in ((None, True), (vectors, False), (vectors, True))
    )
    assert frozen > 0.9 and trainable > 0.9
    assert random < 0.5
    assert accuracy_with(shuffled, tags, trainable=False) < 0.5


def test_frozen_embeddings_stay_and_trainable_ones_move() -> None:
    vectors = make_vectors({word: [float(number), 1.0, -1.0] for number, word in enumerate(WORDS)})
    for trainable in (True, False):
        layer = make_embedding(vectors, Vocabulary(WORDS), trainable=trainable)
        tagger = make_tagger(embedding=layer, vectors=vectors)
        before = layer.weight.detach().clone()
        sentences = random_sentences(20, 6)
        fit(tagger, sentences, [[len(word) % 3 for word in sentence] for sentence in sentences], epochs=1)
        assert torch.equal(layer.weight, before) is not trainable
        assert (layer.weight[0] == 0).all()


# Shapes


@pytest.mark.parametrize("shape", HEADS_AND_CHARACTERS)
@pytest.mark.parametrize("bidirectional", [True, False])
def test_shapes(shape: dict[str, Any], bidirectional: bool) -> None:
    tagger = make_tagger(bidirectional=bidirectional, **shape)
    batch = one_batch(tagger, [["the", "bank"], ["of", "a", "river"]])
    output = tagger(batch)
    assert output.logits.shape == (2, 3, 3)
    assert output.features.shape == (2, 3, 16 if bidirectional else 8)
    assert tagger.decode(output, batch).shape == (2, 3)


def test_mistakes_in_the_shape_are_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match="characters must be one of none, cnn, lstm; found 'CNN'"):
        TaggerShape(characters="CNN")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="head must be one of softmax, crf; found 'CRF'"):
        TaggerShape(head="CRF")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cell must be one of rnn, gru, lstm; found 'LSTM'"):
        make_tagger(cell="LSTM")
    with pytest.raises(ValueError, match="needs a character vocabulary"):
        vocabulary = Vocabulary(WORDS)
        RecurrentTagger(vocabulary, None, TAGS, make_random_embedding(vocabulary, 5), TaggerShape())
