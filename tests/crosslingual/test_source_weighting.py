"""Source sentences near the target weigh more, given features that both share; across scripts nothing is shared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from nlptransfer.adaptation.instance_weighting import DensityRatioWeighting
from nlptransfer.crosslingual.shared_subwords import train_shared_vocabulary
from nlptransfer.crosslingual.source_weighting import draw_by_weight, shared_subword_features
from nlptransfer.errors import InputError

OTHER = str.maketrans("bdgklmnprstaeiou", "бдгклмнпрстаеиоу")
LEXICON = np.random.default_rng(3)
WORDS = [
    "".join(LEXICON.choice(list("bdgklmnprst")) + LEXICON.choice(list("aeiou")) for _ in range(3)) for _ in range(90)
]
TOPICS = (WORDS[:20], WORDS[20:40])
POLAR = (WORDS[40:43], WORDS[43:46])
"""Words of praise in the first topic are words of blame in the second, and the reverse."""
OWN = {"source": WORDS[50:70], "target": WORDS[70:]}


def make_reviews(topics: np.ndarray, language: str, *, seed: int) -> tuple[list[list[str]], np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, len(topics))
    sentences = [
        [
            *random.choice(TOPICS[topic], 5).tolist(),
            str(random.choice(POLAR[label ^ topic])),
            *random.choice(OWN[language], 2).tolist(),
        ]
        for topic, label in zip(topics, labels, strict=True)
    ]
    return sentences, labels


RANDOM = np.random.default_rng(0)
SOURCE_TOPICS = (RANDOM.random(600) < 0.7).astype(int)
SOURCE, SOURCE_LABELS = make_reviews(SOURCE_TOPICS, "source", seed=1)
TARGET, TARGET_LABELS = make_reviews(np.zeros(250, dtype=int), "target", seed=2)


def vocabulary(target: list[list[str]]) -> Any:
    texts = {"source": [" ".join(words) for words in SOURCE], "target": [" ".join(words) for words in target]}
    return train_shared_vocabulary(texts, vocab_size=130, seed=0)


def test_columns_are_the_subwords_that_enough_sentences_of_both_hold() -> None:
    tokenizer = vocabulary(TARGET)
    unknown = tokenizer.unk_token_id
    source, target = [*SOURCE[:40], ["☃"], []], TARGET[:30]
    found = shared_subword_features(tokenizer, source, target, min_sentences=3)
    sets = [
        [set(tokenizer(" ".join(words), add_special_tokens=False)["input_ids"]) - {unknown} for words in sentences]
        for sentences in (source, target)
    ]
    shared = sorted(
        (
            piece
            for piece in set().union(*sets[0], *sets[1])
            if all(sum(piece in own for own in language) >= 3 for language in sets)
        ),
        key=tokenizer.convert_ids_to_tokens,
    )
    for features, own in zip(found, sets, strict=True):
        assert features.shape == (len(own), len(shared))
        expected = [[float(piece in pieces) for piece in shared] for pieces in own]
        np.testing.assert_array_equal(features.toarray(), expected)


def test_weights_over_shared_subwords_find_the_targets_topic_and_help_there() -> None:
    source, target = shared_subword_features(vocabulary(TARGET), SOURCE, TARGET)
    weights = DensityRatioWeighting(C=0.1, seed=0).fit(source, target_features=target).weights_
    assert weights[SOURCE_TOPICS == 0].mean() > 3 * weights[SOURCE_TOPICS == 1].mean()

    def accuracy(**how: Any) -> float:
        model = LogisticRegression(max_iter=500).fit(source, SOURCE_LABELS, **how)
        return float((model.predict(target) == TARGET_LABELS).mean())

    baseline = accuracy()
    assert baseline < 0.6
    assert accuracy(sample_weight=weights) > baseline + 0.15
    assert accuracy(sample_weight=np.ones(len(SOURCE))) == pytest.approx(baseline)
    # The same by drawing, for models that take no weights.
    rows = draw_by_weight(weights, seed=0)
    drawn = LogisticRegression(max_iter=500).fit(source[rows], SOURCE_LABELS[rows])
    assert (drawn.predict(target) == TARGET_LABELS).mean() > baseline + 0.15


def test_columns_of_one_language_blur_the_topic() -> None:
    tokenizer = vocabulary(TARGET)
    shared = shared_subword_features(tokenizer, SOURCE, TARGET)
    # All columns: as if each language had used every subword.
    every = [*SOURCE, *TARGET]
    rows, _ = shared_subword_features(tokenizer, every, every)
    everything = rows[: len(SOURCE)], rows[len(SOURCE) :]
    ratios = []
    for source, target in (shared, everything):
        weights = DensityRatioWeighting(C=1.0, seed=0).fit(source, target_features=target).weights_
        ratios.append(weights[SOURCE_TOPICS == 0].mean() / weights[SOURCE_TOPICS == 1].mean())
    assert everything[0].shape[1] > shared[0].shape[1]
    assert ratios[0] > 1.5 * ratios[1]


def test_two_scripts_have_nothing_to_weigh_by() -> None:
    unbridged = [[word.translate(OTHER) for word in words] for words in TARGET]
    tokenizer = vocabulary(unbridged)
    source, _ = shared_subword_features(tokenizer, SOURCE, unbridged)
    assert source.shape[1] == 1  # the mark of a word's beginning
    with pytest.raises(InputError, match="Bring both languages to one script"):
        shared_subword_features(tokenizer, [["☃"]], [["б"]], min_sentences=1)


def test_items_are_drawn_as_often_as_they_weigh() -> None:
    weights = np.array([0.0, 0.5, 1.0, 2.25, 6.25])  # mean 2
    counts = np.mean([np.bincount(draw_by_weight(weights, seed=seed), minlength=5) for seed in range(4000)], axis=0)
    np.testing.assert_allclose(counts, weights / 2, atol=0.04)
    once = np.bincount(draw_by_weight(weights, seed=0), minlength=5)
    assert (np.abs(once - weights / 2) < 1).all()
    np.testing.assert_array_equal(draw_by_weight([3.0, 3.0, 3.0], seed=1), [0, 1, 2])
    for wrong in ([], [0.0, 0.0], [1.0, -1.0], [np.nan, 1.0], [np.inf, 1.0]):
        with pytest.raises(ValueError, match="finite and from 0 on"):
            draw_by_weight(wrong, seed=0)
