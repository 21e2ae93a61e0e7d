"""The perceptron learns words, endings and neighbours, repeatably, and leaves the global generator alone."""

from __future__ import annotations

import random

import pytest

from nlptransfer.models.perceptron import PerceptronTagger

SENTENCES = [["the", "dog", "barks"], ["a", "cat", "sleeps"], [], ["the", "cats", "walk"], ["dogs", "walk", "home"]] * 4
TAGS = [["D", "N", "V"], ["D", "N", "V"], [], ["D", "N", "V"], ["N", "V", "R"]] * 4


def test_it_learns_what_it_is_shown_and_judges_new_words_by_their_ending() -> None:
    tagger = PerceptronTagger().fit(SENTENCES, TAGS, seed=0)
    assert tagger.predict(SENTENCES) == TAGS
    assert tagger.predict([["the", "bird", "sleeps"], [], ["zzz"]])[0] == ["D", "N", "V"]


def test_every_sentence_gets_one_tag_per_word() -> None:
    tagger = PerceptronTagger(iterations=1).fit(SENTENCES, TAGS, seed=0)
    given = [[], ["x"], ["-LRB-", "1999", "", "the"]]
    assert [len(tags) for tags in tagger.predict(given)] == [0, 1, 4]


def test_the_seed_alone_decides() -> None:
    draw = random.Random(0)
    sentences = [[draw.choice("abcdefgh") for _ in range(5)] for _ in range(30)]
    tags = [[draw.choice("NV") for _ in words] for words in sentences]  # nothing to learn: each pass changes much

    def weights(seed: int) -> object:
        return PerceptronTagger(iterations=3).fit(sentences, tags, seed=seed)._tagger.model.weights

    first = weights(1)
    random.random()
    assert weights(1) == first
    assert weights(2) != first


def test_the_global_generator_is_left_as_it_was() -> None:
    random.seed(5)
    state = random.getstate()
    PerceptronTagger(iterations=1).fit(SENTENCES, TAGS, seed=0)
    assert random.getstate() == state


def test_more_tags_than_words_are_our_own_mistake() -> None:
    with pytest.raises(ValueError):
        PerceptronTagger().fit([["the"]], [["D", "N"]], seed=0)
