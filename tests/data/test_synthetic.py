"""The invented languages: known lexicon, known difficulty, and vectors that help exactly where they should."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from datasets import Dataset

from nlptransfer.data.splits import tag_names
from nlptransfer.data.synthetic import TaggedLanguages, make_tagged_languages, make_tagged_vectors
from nlptransfer.errors import InputError

Sentences = list[list[tuple[str, str]]]


@pytest.fixture(scope="module")
def languages() -> TaggedLanguages:
    return make_tagged_languages(2000, seed=0)


def pairs(data: Dataset) -> Sentences:
    names = tag_names(data)
    return [
        [(word, names[tag]) for word, tag in zip(words, tags, strict=True)]
        for words, tags in zip(data["tokens"], data["tags"], strict=True)
    ]


def unseen(sentences: Sentences, known: set[str]) -> list[tuple[str, str]]:
    return [(word, tag) for sentence in sentences for word, tag in sentence if word not in known]


@pytest.mark.parametrize("language", ["source", "target"])
def test_a_perceptron_tagger_does_well_but_not_perfectly(languages: TaggedLanguages, language: str) -> None:
    from nltk.tag.perceptron import PerceptronTagger

    sentences = pairs(getattr(languages, language))
    train, test = sentences[:1700], sentences[1700:]
    tagger = PerceptronTagger(load=False)
    tagger.train(train, nr_iter=3)
    right = [
        predicted == tag
        for sentence in test
        for (_, predicted), (_, tag) in zip(tagger.tag([word for word, _ in sentence]), sentence, strict=True)
    ]
    assert 0.9 < np.mean(right) < 0.99


@pytest.mark.parametrize("language", ["source", "target"])
def test_vectors_tell_the_tag_of_unseen_words_and_shuffled_ones_do_not(
    languages: TaggedLanguages, language: str
) -> None:
    sentences = pairs(getattr(languages, language))
    train = [pair for sentence in sentences[:500] for pair in sentence]
    new = unseen(sentences[500:], {word for word, _ in train})
    assert len(new) > 500
    accuracy = {}
    for shuffled in (False, True):
        words, vectors = make_tagged_vectors(32, seed=0, language=language, shuffled=shuffled)
        row = {word: index for index, word in enumerate(words)}
        tags = sorted({tag for _, tag in train})
        centres = np.stack([vectors[[row[word] for word, of in train if of == tag]].mean(axis=0) for tag in tags])
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        best = (vectors[[row[word] for word, _ in new]] @ centres.T).argmax(axis=1)
        accuracy[shuffled] = np.mean([tags[index] == tag for index, (_, tag) in zip(best, new, strict=True)])
    assert accuracy[False] > 0.9
    assert accuracy[True] < 0.4


def test_vectors_follow_their_formula() -> None:
    # Without noise, words of one class share one unit vector, and ambiguous ones lie midway between two.
    words, vectors = make_tagged_vectors(7, seed=3, noise=0.0)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(words), 7)
    kinds = np.unique(vectors.round(5), axis=0)
    lengths = np.linalg.norm(kinds, axis=1)
    assert len(kinds) == 11
    assert np.isclose(lengths, 1, atol=1e-4).sum() == 9
    plain, mixed = kinds[np.isclose(lengths, 1, atol=1e-4)], kinds[~np.isclose(lengths, 1, atol=1e-4)]
    midway = (plain[:, None] + plain[None]) / 2
    assert all(np.abs(midway - vector).max(axis=2).min() < 1e-4 for vector in mixed)
    # The noise has length sigma on average.
    noisy = make_tagged_vectors(200, seed=3, noise=0.8)[1] - make_tagged_vectors(200, seed=3, noise=0.0)[1]
    assert np.sqrt((noisy**2).sum(axis=1).mean()) == pytest.approx(0.8, rel=0.02)


def test_the_lexicon_joins_all_words_one_to_one_across_scripts(languages: TaggedLanguages) -> None:
    lexicon = languages.lexicon
    assert len(set(lexicon.values())) == len(lexicon)
    source = {word for sentence in languages.source["tokens"] for word in sentence}
    target = {word for sentence in languages.target["tokens"] for word in sentence}
    assert source <= set(lexicon)
    assert target <= set(lexicon.values())
    assert len(source) < len(lexicon)
    assert all(ord(letter) < 128 for word in lexicon for letter in word)
    assert all(0x900 <= ord(letter) < 0x980 for word in lexicon.values() if word != "," for letter in word)


def test_some_words_take_two_tags_and_frequencies_are_zipfian(languages: TaggedLanguages) -> None:
    flat = [pair for sentence in pairs(languages.source) for pair in sentence]
    tags_of: dict[str, set[str]] = {}
    for word, tag in flat:
        tags_of.setdefault(word, set()).add(tag)
    both = Counter("/".join(sorted(tags)) for tags in tags_of.values() if len(tags) > 1)
    assert set(both) == {"NOUN/VERB", "ADJ/NOUN"}
    nouns = [count for _, count in Counter(word for word, tag in flat if tag == "NOUN").most_common()]
    assert nouns[0] > 20 * nouns[len(nouns) // 2]


def test_the_seed_alone_decides(languages: TaggedLanguages) -> None:
    again = make_tagged_languages(50, seed=0)
    assert again.lexicon == languages.lexicon
    assert again.source["tokens"][:] == languages.source["tokens"][:50]
    other = make_tagged_languages(50, seed=1)
    assert other.lexicon != again.lexicon
    state = np.random.get_state()[1].copy()  # type: ignore[union-attr]
    make_tagged_vectors(4, seed=0)
    assert (np.random.get_state()[1] == state).all()


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1; found 0"):
        make_tagged_languages(0, seed=0)
    with pytest.raises(InputError, match="source or target; found latin"):
        make_tagged_vectors(4, seed=0, language="latin")
