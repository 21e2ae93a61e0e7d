"""One encoder and two decoders: both outputs learnt to 0.99, greedy as beam of width 1, what is missing, saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import nlptransfer
from nlptransfer.data.synthetic import make_tagged_languages
from nlptransfer.data.vocabulary import Vocabulary, count_entries
from nlptransfer.embeddings.embedding_layer import make_random_embedding
from nlptransfer.errors import InputError
from nlptransfer.models.saving import read_config, write_model_folder
from nlptransfer.multitask.beam_search import END, beam_search
from nlptransfer.multitask.sequence_decoder import SequenceDecoder, sequence_log_probability
from nlptransfer.multitask.two_decoders import EncoderWithDecoders, SequenceBatches
from nlptransfer.training.loop import train
from nlptransfer.training.seeding import seeded
from nlptransfer.types import NO_LABEL

WORDS = ["the", "a", "dog", "cat", "sea", "run", "sees", "likes", "red", "old"]
TAGS = ["DET", "ADJ", "NOUN", "VERB"]


def make_sentences(number: int, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """Sentences of 1 to 7 words, of which "run" is a noun after a determiner or an adjective, and a verb elsewhere."""
    random = np.random.default_rng(seed)

    def phrase() -> list[tuple[str, str]]:
        if random.random() < 0.3:
            return [(str(random.choice(["dog", "cat", "sea"])), "NOUN")]
        adjective = [(str(random.choice(["red", "old"])), "ADJ")] if random.random() < 0.4 else []
        noun = (str(random.choice(["dog", "cat", "sea", "run"])), "NOUN")
        return [(str(random.choice(["the", "a"])), "DET"), *adjective, noun]

    tokens, tags = [], []
    for _ in range(number):
        sentence = phrase()
        if random.random() < 0.8:
            sentence.append((str(random.choice(["sees", "likes", "run"])), "VERB"))
            sentence += phrase() if random.random() < 0.6 else []
        tokens.append([word for word, _ in sentence])
        tags.append([tag for _, tag in sentence])
    return tokens, tags


def make_model(*, attention: bool = True, hidden_dim: int = 8, **more: Any) -> EncoderWithDecoders:
    vocabulary = Vocabulary(WORDS)
    with seeded(0):
        embedding = make_random_embedding(vocabulary, hidden_dim)
        symbols = {"tags": TAGS, "words": WORDS}
        return EncoderWithDecoders(vocabulary, symbols, embedding, hidden_dim=hidden_dim, attention=attention, **more)


def step(model: Any, batch: Any, progress: float) -> dict[str, torch.Tensor]:
    return model.losses(model(batch), batch)  # type: ignore[no-any-return]


def fit(model: EncoderWithDecoders, batches: SequenceBatches, *, epochs: int, learning_rate: float = 1e-2) -> None:
    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    train(
        model,
        step,
        batches,
        optimizer,
        epochs=epochs,
        seed=0,
        max_gradient_norm=1.0,
        schedule=lambda progress: 1 - progress,
    )


def accuracy(predicted: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> float:
    """Right symbols in their places, over the places of the longer of the two."""
    right = sum(a == b for p, g in zip(predicted, gold, strict=True) for a, b in zip(p, g, strict=False))
    return right / sum(max(len(p), len(g)) for p, g in zip(predicted, gold, strict=True))


@pytest.fixture(scope="module")
def trained() -> EncoderWithDecoders:
    tokens, tags = make_sentences(1500, seed=0)
    model = make_model(hidden_dim=48)
    fit(model, SequenceBatches(model, tokens, {"tags": tags, "words": tokens}, batch_size=32, seed=0), epochs=4)
    return model


def test_sentences_never_seen_are_copied_and_tagged_to_99_per_cent(trained: EncoderWithDecoders) -> None:
    seen = {tuple(sentence) for sentence in make_sentences(1500, seed=0)[0]}
    tokens, tags = make_sentences(400, seed=1)
    new = [number for number, sentence in enumerate(tokens) if tuple(sentence) not in seen]
    assert len(new) > 50
    tokens, tags = [tokens[number] for number in new], [tags[number] for number in new]
    for beam_width in (1, 3):
        predicted = trained.predict(tokens, beam_width=beam_width)
        assert accuracy(predicted["words"], tokens) >= 0.99
        assert accuracy(predicted["tags"], tags) >= 0.99
    untrained = make_model(hidden_dim=48).predict(tokens)
    assert max(accuracy(untrained["words"], tokens), accuracy(untrained["tags"], tags)) < 0.4
    # By its word alone "run" can't be tagged: the encoder had to read what stands before it.
    pairs = {pair for words, own in zip(tokens, tags, strict=True) for pair in zip(words, own, strict=True)}
    assert {tag for word, tag in pairs if word == "run"} == {"NOUN", "VERB"}


def test_without_attention_the_code_alone_holds_a_short_sentence() -> None:
    tokens = [[first, second] for first in WORDS[:6] for second in WORDS[:6]]
    model = make_model(attention=False, hidden_dim=24)
    fit(model, SequenceBatches(model, tokens, {"words": tokens}, batch_size=6, seed=0), epochs=40)
    assert accuracy(model.predict(tokens)["words"], tokens) >= 0.99


def make_short_language(number: int, *, words_of_a_kind: int) -> tuple[list[list[str]], list[list[str]], list[str]]:
    """Short sentences of the synthetic language with few words: of those that take the same tags, many become one.

    Words that are adjectives as well as nouns are left out: nothing tells which they are before another noun.
    """
    corpus = make_tagged_languages(number, seed=0).source
    names = corpus.features["tags"].feature.names
    tagged = list(zip(corpus["tokens"][:], [[names[tag] for tag in row] for row in corpus["tags"][:]], strict=True))
    kinds: dict[str, set[str]] = {}
    for tokens, tags in tagged:
        for word, tag in zip(tokens, tags, strict=True):
            kinds.setdefault(word, set()).add(tag)
    kept = [
        (tokens, tags)
        for tokens, tags in tagged
        if len(tokens) <= 8 and not any({"ADJ", "NOUN"} <= kinds[word] for word in tokens)
    ]
    groups: dict[str, list[str]] = {}
    for word in count_entries([tokens for tokens, _ in kept]):
        groups.setdefault("/".join(sorted(kinds[word])), []).append(word)
    one = {word: own[at % words_of_a_kind] for own in groups.values() for at, word in enumerate(own)}
    return [[one[word] for word in tokens] for tokens, _ in kept], [tags for _, tags in kept], names


@pytest.mark.slow
def test_the_synthetic_language_is_copied_and_tagged_to_99_per_cent() -> None:
    tokens, tags, names = make_short_language(5_000, words_of_a_kind=3)
    vocabulary = Vocabulary(sorted({word for sentence in tokens for word in sentence}))
    assert len(tokens) > 1_500 and len(vocabulary) > 20
    with seeded(0):
        symbols = {"tags": names, "words": vocabulary.entries}
        model = EncoderWithDecoders(vocabulary, symbols, make_random_embedding(vocabulary, 64), hidden_dim=64)
    outputs = {"tags": tags[:-250], "words": tokens[:-250]}
    fit(model, SequenceBatches(model, tokens[:-250], outputs, batch_size=32, seed=0), epochs=11)
    seen = set(map(tuple, tokens[:-250]))
    unread = [number for number in range(len(tokens))[-250:] if tuple(tokens[number]) not in seen]
    assert len(unread) > 100
    predicted = model.predict([tokens[number] for number in unread])
    assert accuracy(predicted["words"], [tokens[number] for number in unread]) >= 0.99
    assert accuracy(predicted["tags"], [tags[number] for number in unread]) >= 0.99
    # Some words can't be tagged by themselves.
    pairs = {pair for words, own in zip(tokens, tags, strict=True) for pair in zip(words, own, strict=True)}
    assert len(pairs) > len(vocabulary)


def wild_model(*, attention: bool = True, **more: Any) -> EncoderWithDecoders:
    """Untrained, and sure of what it says."""
    model = make_model(attention=attention, **more).eval()
    with seeded(3):
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.5)
    return model


@pytest.mark.parametrize("attention", [False, True])
def test_a_beam_of_width_one_is_greedy_search_exactly(attention: bool) -> None:
    model = wild_model(attention=attention)
    (batch,) = SequenceBatches(model, make_sentences(9, seed=2)[0], None, batch_size=9)
    greedy = model.search(batch)
    with torch.no_grad():
        code, states = model.encode(batch)
    for name, decoder in zip(model.symbols, model.decoders, strict=True):
        assert isinstance(decoder, SequenceDecoder)
        found = beam_search(
            decoder.next_symbols(states, batch.mask), decoder.start(code), 2 * batch.mask.sum(dim=1) + 1, width=1
        )
        assert torch.equal(found.symbols, greedy[name].symbols) and torch.equal(found.scores, greedy[name].scores)
        assert len(set(greedy[name].symbols.flatten().tolist())) > 2, "something was written"


@pytest.mark.parametrize("attention", [False, True])
def test_teacher_forcing_gives_each_hypothesis_the_probability_that_the_search_states(attention: bool) -> None:
    model = wild_model(attention=attention)
    (batch,) = SequenceBatches(model, make_sentences(9, seed=2)[0], None, batch_size=9)
    wide = model.search(batch, width=4)
    longest = max(found.symbols.shape[-1] for found in wide.values())
    for place in range(4):
        labels = torch.full((9, 2, longest), NO_LABEL)
        for number, found in enumerate(wide.values()):
            labels[:, number, : found.symbols.shape[-1]] = found.symbols[:, place]
        with torch.no_grad():
            forced = model(replace(batch, labels=labels))
        for number, (name, found) in enumerate(wide.items()):
            expected = sequence_log_probability(forced[name], labels[:, number])
            assert found.scores[:, place].tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_the_loss_is_the_sum_of_the_outputs_means_per_symbol() -> None:
    model = wild_model()
    sentences, outputs = [["the", "dog"], ["cat"]], {"tags": [["DET", "NOUN"], None], "words": [["dog"], []]}
    (batch,) = SequenceBatches(model, sentences, outputs, batch_size=2)
    assert batch.labels is not None and batch.labels.tolist() == [
        # Sorted by length: "cat" is first. Its tags are not known; its words are none, so that the end comes at once.
        [[NO_LABEL, NO_LABEL, NO_LABEL], [END, NO_LABEL, NO_LABEL]],
        [[1, 3, END], [3, END, NO_LABEL]],
    ]
    with torch.no_grad():
        output = model(batch)
        losses = model.losses(output, batch)
    tags = -sequence_log_probability(output["tags"], batch.labels[:, 0]).sum() / 3
    words = -sequence_log_probability(output["words"], batch.labels[:, 1]).sum() / 3
    assert {name: float(loss) for name, loss in losses.items()} == pytest.approx(
        {"tags": float(tags), "words": float(words), "loss": float(tags + words)}, rel=1e-5
    )
    assert float(model.loss(output, batch)) == float(losses["loss"])


def test_the_code_is_what_both_directions_end_with_whatever_the_padding() -> None:
    model = wild_model()
    (batch,) = SequenceBatches(model, [["the", "red", "dog"], ["cat"]], None, batch_size=2)
    code, states = model.encode(batch)
    (alone,) = SequenceBatches(model, [["cat"]], None, batch_size=1)
    own, own_states = model.encode(alone)
    torch.testing.assert_close(code[0], own[0])
    torch.testing.assert_close(own[0], own_states[0, 0])
    torch.testing.assert_close(code[1], torch.cat([states[1, 2, :8], states[1, 0, 8:]]))


def test_an_output_without_labels_moves_nothing_of_its_decoder_and_both_teach_the_encoder() -> None:
    tokens, tags = make_sentences(8, seed=4)
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), 0.1, weight_decay=0.5)

    def update(outputs: dict[str, Any]) -> list[str]:
        """Which parameters one step of the optimizer moves."""
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        (batch,) = SequenceBatches(model, tokens, outputs, batch_size=8)
        optimizer.zero_grad()
        model.loss(model(batch), batch).backward()
        optimizer.step()
        return [name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])]

    both = update({"tags": tags, "words": tokens})
    assert any(name.startswith("decoders.0") for name in both) and any(name.startswith("decoders.1") for name in both)
    for outputs in ({"words": tokens}, {"words": tokens, "tags": [None] * 8}):
        moved = update(outputs)
        assert not any(name.startswith("decoders.0") for name in moved), "not even by weight decay or momentum"
        assert any(name.startswith("decoders.1") for name in moved)
        assert any(name.startswith("encoder") for name in moved)
    assert any(name.startswith("encoder") for name in update({"tags": tags}))
    # One item's missing tags change nothing about the other items' share of the loss.
    (some,) = SequenceBatches(model, tokens, {"tags": [None, *tags[1:]]}, batch_size=8)
    (rest,) = SequenceBatches(model, tokens[1:], {"tags": tags[1:]}, batch_size=8)
    assert float(model.loss(model(some), some).detach()) == pytest.approx(
        float(model.loss(model(rest), rest).detach()), rel=1e-5
    )


def test_a_batch_of_which_nothing_is_known_can_be_gone_through() -> None:
    model = make_model()
    batches = SequenceBatches(model, [["dog"], ["cat"]], {}, batch_size=2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    history = train(model, step, batches, torch.optim.SGD(model.parameters(), 1.0), epochs=1, seed=0)
    assert history[0]["loss"] == 0.0
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_batches_hold_each_sentence_with_its_outputs_and_shuffle_by_seed_and_epoch() -> None:
    tokens, tags = make_sentences(30, seed=5)
    model = make_model()
    batches = SequenceBatches(model, tokens, {"tags": tags, "words": tokens}, batch_size=4, seed=1)
    orders = []
    for epoch in (0, 1, 0):
        batches.set_epoch(epoch)
        orders.append([])
        for rows, batch in batches.groups():
            orders[-1] += rows.tolist()
            assert batch.labels is not None and len(batch.labels) <= 4
            for row, ids, labels in zip(rows, batch.input_ids.tolist(), batch.labels.tolist(), strict=True):
                length = len(tokens[row])
                assert [WORDS[number - 2] for number in ids[:length]] == tokens[row] and not any(ids[length:])
                for own, names, gold in zip(labels, (TAGS, WORDS), (tags[row], tokens[row]), strict=True):
                    assert [names[number - 1] for number in own[:length]] == gold
                    assert own[length] == END and set(own[length + 1 :]) <= {NO_LABEL}
    assert sorted(orders[0]) == list(range(30)) and orders[0] == orders[2] != orders[1]


def test_predictions_come_in_the_order_of_the_sentences_of_any_length(trained: EncoderWithDecoders) -> None:
    tokens, _ = make_sentences(9, seed=6)
    sentences = [tokens[0], [], *tokens[1:], ["dog", "zebra"]]
    together = trained.predict(sentences, batch_size=4)
    for number, sentence in enumerate(sentences):
        alone = trained.predict([sentence])
        assert {name: [found[number]] for name, found in together.items()} == alone
    assert together["words"][1] == [] and together["tags"][1] == []
    assert set(together["words"][-1]) <= set(WORDS), "an unknown word is read, and one that is known is written"
    assert trained.predict([]) == {"tags": [], "words": []}
    cut = make_model(max_ratio=0.5)
    assert all(len(found) <= 2 for found in cut.predict([["dog"] * 3])["words"])


def test_a_saved_model_loads_as_it_was(trained: EncoderWithDecoders, tmp_path: Path) -> None:
    tokens, _ = make_sentences(5, seed=7)
    trained.save_pretrained(tmp_path / "m")
    loaded = nlptransfer.load(tmp_path / "m")
    assert isinstance(loaded, EncoderWithDecoders) and list(loaded.symbols) == ["tags", "words"]
    assert loaded.predict(tokens, beam_width=2) == trained.predict(tokens, beam_width=2)
    assert loaded.max_ratio == trained.max_ratio and loaded.embedding.weight.requires_grad
    shallow = make_model(attention=False, max_ratio=3.0, dropout=0.2)
    shallow.embedding.weight.requires_grad_(False)
    shallow.save_pretrained(tmp_path / "m")
    loaded = nlptransfer.load(tmp_path / "m")
    assert (loaded.attention, loaded.max_ratio, loaded.dropout.p) == (False, 3.0, 0.2)
    assert not loaded.embedding.weight.requires_grad
    assert loaded.predict(tokens) == shallow.predict(tokens)


def test_weights_that_do_not_fit_are_an_error(tmp_path: Path) -> None:
    model = make_model()
    model.save_pretrained(tmp_path / "m")
    config = read_config(tmp_path / "m")
    write_model_folder(
        tmp_path / "m",
        model_type="encoder_with_decoders",
        config={"shape": {**config["shape"], "hidden_dim": 9}, "embedding": config["embedding"]},
        tensors={"model": model.state_dict()},
        documents={"vocabulary": WORDS, "symbols": list(model.symbols.items())},
        card="",
    )
    with pytest.raises(InputError, match=r"model\.safetensors: the weights do not fit"):
        nlptransfer.load(tmp_path / "m")


def test_mistakes_are_named() -> None:
    model = make_model()
    with pytest.raises(InputError, match=r"no output ner. Expected tags or words; found ner"):
        SequenceBatches(model, [["dog"]], {"ner": [["O"]]}, batch_size=1)
    with pytest.raises(InputError, match=r"output tags does not go.*Expected 2 sequences.*found 1"):
        SequenceBatches(model, [["dog"], ["cat"]], {"tags": [["NOUN"]]}, batch_size=1)
    with pytest.raises(InputError, match=r"tags of sentence 2 has a symbol.*one of 4 symbols.*found 'X'.*give None"):
        SequenceBatches(model, [["dog"], ["cat"]], {"tags": [["NOUN"], ["X"]]}, batch_size=1)
    with pytest.raises(TypeError, match="lists of words"):
        model.predict(["the dog"])
    (unlabelled,) = SequenceBatches(model, [["dog"]], None, batch_size=1)
    with pytest.raises(ValueError, match=r"labels of shape \(batch, 2, length\).*found None"):
        model(unlabelled)
    for symbols in ({}, {"loss": ["a"]}, {"tags": []}, {"tags": ["a", "a"]}):
        with pytest.raises(ValueError, match=r"outputs called neither|must be distinct"):
            EncoderWithDecoders(model.vocabulary, symbols, model.embedding)
    with pytest.raises(ValueError, match="at least 1, found 0"):
        model.predict([["dog"]], beam_width=0)
