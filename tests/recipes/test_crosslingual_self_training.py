"""Self-training at the end of a bridge: what is chosen, what is undone, and words of the target alone are learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nlptransfer.data.vocabulary import Vocabulary
from nlptransfer.embeddings.ngrams import NgramVectorizer
from nlptransfer.finetuning.feature_extraction import fit_feature_classifier
from nlptransfer.models.tagger import RecurrentTagger, TaggerShape
from nlptransfer.recipes.cross_lingual_transfer import Settings
from nlptransfer.recipes.crosslingual_self_training import (
    Pseudo,
    choose_sentences,
    know_words,
    self_train_linear,
    self_train_network,
    self_train_tagger,
)

TAGS = ["FRAME", "NOUN", "VERB"]
UNIFORM = np.full(3, 1 / 3)


def silent(line: str) -> None:
    """Tells nobody."""


def test_sentences_are_chosen_by_the_geometric_mean_of_the_best_tags() -> None:
    random = np.random.default_rng(0)
    lengths = [3, 1, 0, 5, 2, 4]
    sentences = [[f"w{row}"] * length for row, length in enumerate(lengths)]
    probabilities = random.dirichlet(np.full(3, 0.4), size=sum(lengths))
    chosen = choose_sentences(probabilities, sentences, 0.4, UNIFORM)
    scores = {}
    for row, length in enumerate(lengths):
        start = sum(lengths[:row])
        if length:
            scores[row] = float(np.prod([max(word) for word in probabilities[start : start + length]]) ** (1 / length))
    best = sorted(sorted(scores, key=lambda row: -scores[row])[:2])  # 0.4 of the five that have words
    assert chosen.items == [sentences[row] for row in best]
    for row, labels in zip(best, chosen.labels, strict=True):
        start = sum(lengths[:row])
        assert len(labels) == lengths[row]
        own = probabilities[start : start + lengths[row]].argmax(axis=1)
        assert all(label in (-100, tag) for label, tag in zip(labels, own, strict=True))


def test_no_tag_gets_more_words_than_its_share_in_the_source() -> None:
    sentences = [["a"] * 10]
    certain = np.column_stack([np.linspace(0.6, 0.99, 10), np.zeros(10), 1 - np.linspace(0.6, 0.99, 10)])
    shares = np.array([0.3, 0.3, 0.4])
    (labels,) = choose_sentences(certain, sentences, 1.0, shares).labels
    assert labels.count(0) == 3 and labels[-3:] == [0, 0, 0], "the surest three of ten"
    assert set(labels) == {0, -100}, "and no word is given a tag that it has not"
    assert choose_sentences(np.zeros((0, 3)), [[]], 0.5, shares).items == []


class Dial(torch.nn.Module):
    """A network whose one weight says how good it is."""

    def __init__(self) -> None:
        super().__init__()
        self.level = torch.nn.Parameter(torch.zeros(1), requires_grad=False)


def turn(levels: list[float], answers: list[list[float]]) -> tuple[Dial, list[dict[str, Any]]]:
    """Self-training whose rounds reach these levels, with these answers on four texts, the first before any round."""
    dial = Dial()
    at = [0]

    def go_on(pseudo: Pseudo, number: int) -> list[dict[str, Any]]:
        at[0] = number
        dial.load_state_dict({"level": torch.tensor([float(number)])})
        return [{"epoch": 1, "loss": 0.5}]

    _, rounds = self_train_network(
        dial,
        ask=lambda: np.stack([1 - np.array(answers[at[0]]), np.array(answers[at[0]])], axis=1),
        choose=lambda given, share: Pseudo(["text"], [1], np.ones(1), 1),
        go_on=go_on,
        judge=lambda: levels[at[0]],
        num_judged=100_000,
        num_rounds=len(levels) - 1,
        tell=silent,
    )
    return dial, rounds


def test_a_round_that_reads_the_source_worse_is_undone_and_the_last() -> None:
    same = [[0.9, 0.8, 0.2, 0.1]] * 4
    dial, rounds = turn([0.9, 0.9, 0.8, 0.9], same)
    assert float(dial.level) == 1.0, "as the round before left it"
    assert [own["kept"] for own in rounds] == [True, False]
    dial, rounds = turn(
        [0.9, 0.898, 0.899, 0.9],
        [[0.9, 0.8, 0.2, 0.1], [0.9, 0.8, 0.8, 0.9], [0.9, 0.8, 0.8, 0.1], [0.9, 0.8, 0.8, 0.1]],
    )
    assert float(dial.level) == 3.0, "the control: a fifth of a point is nothing"
    assert [own["agreement"] for own in rounds] == [0.5, 0.75, 1.0]


def test_answers_that_settle_no_more_end_it() -> None:
    dial, rounds = turn([0.9] * 4, [[0.9, 0.8, 0.2, 0.1], [0.9, 0.8, 0.2, 0.9], [0.1, 0.8, 0.2, 0.9], [0.9] * 4])
    assert [own["agreement"] for own in rounds] == [0.75, 0.75]
    assert float(dial.level) == 2.0


def make_tagger(words: list[str], *, seed: int = 0, characters: Any = "none") -> RecurrentTagger:
    torch.manual_seed(seed)
    vocabulary = Vocabulary(words)
    letters = Vocabulary(["<begin>", "<end>", *sorted(set("".join(words)))])
    shape = TaggerShape(hidden_dim=16, characters=characters, character_dim=6, dropout=0.1, word_dropout=1.0)
    table = torch.nn.Embedding(len(vocabulary), 12, padding_idx=0)
    counts = np.full(len(vocabulary), 3)
    return RecurrentTagger(vocabulary, letters, TAGS, table, shape, counts=counts)


@pytest.mark.parametrize("characters", ["none", "cnn", "lstm"])
def test_a_tagger_that_knows_more_words_says_what_it_said_before(characters: Any) -> None:
    with torch.random.fork_rng():
        trained = make_tagger(["ab", "ba"], characters=characters).eval()
        grown = make_tagger(["zb", "ab", "new", "ba"], seed=1, characters=characters).eval()
    sentences = [["ab", "new", "zb"], ["ba"], ["never", "ab"]]
    assert not np.allclose(grown.predict_proba(sentences), trained.predict_proba(sentences), atol=1e-3)
    know_words(grown, trained)
    np.testing.assert_allclose(grown.predict_proba(sentences), trained.predict_proba(sentences), atol=1e-6)
    assert not torch.equal(grown.embedding.weight[2], grown.embedding.weight[3])


def make_sentences(nouns: list[str], verbs: list[str], number: int, *, clear: float, seed: int) -> tuple[Any, Any]:
    """A frame tells the class of a word, but for one frame that goes with either: there the word alone tells."""
    random = np.random.default_rng(seed)
    sentences, tags = [], []
    for _ in range(number):
        is_verb = int(random.integers(2))
        frame = ("to" if is_verb else "the") if random.random() < clear else "and"
        sentences.append([frame, str(random.choice(verbs if is_verb else nouns)), "."])
        tags.append([0, 1 + is_verb, 0])
    return sentences, tags


def test_self_training_learns_words_that_only_the_target_has() -> None:
    from accelerate import Accelerator

    nouns, verbs = [f"n{row}" for row in range(8)], [f"v{row}" for row in range(8)]
    new_nouns, new_verbs = [f"x{row}" for row in range(6)], [f"y{row}" for row in range(6)]
    train = make_sentences(nouns, verbs, 160, clear=0.5, seed=0)
    target, _ = make_sentences(new_nouns, new_verbs, 150, clear=0.7, seed=1)
    test, gold = make_sentences(new_nouns, new_verbs, 100, clear=0.0, seed=2)
    known = ["the", "to", "and", ".", *nouns, *verbs]
    settings = Settings(learning_rate=4e-2, batch_size=16, self_training_epochs=6, device="cpu", hidden_dim=16)
    accelerator = Accelerator(cpu=True)
    with torch.random.fork_rng():
        base = make_tagger(known)
        # To train on the source is a round without the target.
        flags: dict[str, Any] = {
            "judge": lambda: 0.9, "num_judged": 100, "seed": 0, "accelerator": accelerator, "tell": silent,
        }  # fmt: skip
        self_train_tagger(base, train, train[0][:1], settings=settings, num_rounds=1, name="base", **flags)
        grown = make_tagger([*known, *new_nouns, *new_verbs])

    def right(tagger: RecurrentTagger) -> float:
        found = [TAGS.index(tags[1]) for tags in tagger.predict(test)]
        return float(np.mean([own == tags[1] for own, tags in zip(found, gold, strict=True)]))

    assert np.mean([tags[1] == TAGS[own[1]] for tags, own in zip(base.predict(train[0]), train[1], strict=True)]) > 0.9
    assert right(base) < 0.7, "nothing tells an unknown word after a frame that goes with either"
    know_words(grown, base)
    assert right(grown) == right(base)
    history, rounds = self_train_tagger(grown, train, target, settings=settings, num_rounds=2, name="on top", **flags)
    assert right(grown) > 0.9
    assert [row["round"] for row in history] == [1] * 6 + [2] * 6
    assert rounds[0]["pseudo_labels"] <= 3 * rounds[0]["items"] == 3 * 60


def test_a_linear_classifier_learns_words_that_only_the_target_has() -> None:
    random = np.random.default_rng(0)

    def make(number: int, shared: int, own: int, seed: str) -> tuple[list[str], list[int]]:
        labels = [row % 2 for row in range(number)]
        texts = [
            " ".join(
                [
                    *(f"both{label}{random.integers(4)}" for _ in range(shared)),
                    *(f"{seed}{label}{random.integers(4)}" for _ in range(own)),
                    f"noise{random.integers(9)}",
                ]
            )
            for label in labels
        ]
        return texts, labels

    train, (target, _), (test, gold) = make(80, 1, 2, "source"), make(120, 1, 2, "target"), make(60, 0, 2, "target")
    names = ["bad", "good"]
    plain = NgramVectorizer().fit(train[0])
    fitted = fit_feature_classifier(plain.transform(train[0]), np.array(train[1]), num_labels=2, seed=0)
    assert np.mean(fitted.predict(plain.transform(test)) == gold) < 0.7, "it knows none of these words"
    both = NgramVectorizer().fit([*train[0], *target])
    model, rounds = self_train_linear(both, names, train, target, num_rounds=3, seed=0, tell=silent, name="on top")
    found = [names.index(label) for label in model.predict(test)]
    assert np.mean(np.array(found) == gold) > 0.95
    assert [own["round"] for own in rounds] == [0, 1, 2, 3]
    assert rounds[0]["pseudo_labels"] == 0 and rounds[3]["pseudo_labels"] == pytest.approx(96, abs=4)
