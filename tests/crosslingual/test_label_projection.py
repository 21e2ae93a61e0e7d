"""Word-by-word translation keeps labels, says what it covered, and trains a tagger for a language without labels."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from nlptransfer.crosslingual.label_projection import lexicon_probabilities, project_word_labels, translate_words
from nlptransfer.data.synthetic import make_tagged_languages

LEXICON = {"old": ["purana"], "house": ["ghar", "makan"], "kitchen": ["rasoi ghar"], "new": ["ek dam naya", "naya"]}


def test_each_word_becomes_its_first_translation_of_one_word() -> None:
    found = translate_words([["The", "old", "House", "."], [], ["new", "kitchen", "7"]], LEXICON)
    assert found.sentences == [["The", "purana", "ghar", "."], [], ["naya", "kitchen", "7"]]
    assert (found.num_words, found.num_translated, found.num_distinct, found.num_distinct_translated) == (5, 3, 5, 3)
    assert found.coverage == 3 / 5 and found.commonest_missing == (("The", 1), ("kitchen", 1))
    assert found.summary() == (
        "3 of 5 running words translated (60.0%), 3 of 5 distinct ones; most missed: The (1), kitchen (1)"
    )


def test_words_without_a_translation_are_kept_dropped_or_written_by_a_function() -> None:
    sentences = [["the", "old", "kitchen", ",", "2"]]
    assert translate_words(sentences, LEXICON, missing="drop").sentences == [["purana", ",", "2"]]
    written = translate_words(sentences, LEXICON, missing=lambda word: {",": "،"}.get(word, word.upper()))
    assert written.sentences == [["THE", "purana", "KITCHEN", "،", "2"]]
    assert written.coverage == translate_words(sentences, LEXICON).coverage == 1 / 3


def test_nothing_to_translate_has_no_coverage_and_strings_are_no_sentences() -> None:
    empty = translate_words([[], ["."]], {})
    assert empty.coverage == 0.0 and empty.sentences == [[], ["."]] and empty.summary().endswith("0 distinct ones")
    with pytest.raises(TypeError, match="found a string"):
        translate_words(["the old house"], LEXICON)
    with pytest.raises(ValueError, match="'keep', 'drop' or a function; found 'skip'"):
        translate_words([["the"]], LEXICON, missing="skip")  # type: ignore[arg-type]


LANGUAGES = make_tagged_languages(400, seed=0)
SCRIPT = str.maketrans("bdfgklmnprstvzaeiou.", "बदफगकलमनपरसतवजाेिोु।")


def target_accuracy(sentences: list[list[str]]) -> float:
    """Of the commonest tag of each word in the labelled sentences; for unseen words of the commonest of all."""
    tags = LANGUAGES.source["tags"][:]
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for words, own in zip(sentences, tags, strict=True):
        for word, tag in zip(words, own, strict=True):
            counts[word][tag] += 1
    commonest = Counter(tag for own in tags for tag in own).most_common(1)[0][0]
    right = [
        (counts[word].most_common(1)[0][0] if word in counts else commonest) == tag
        for words, own in zip(LANGUAGES.target["tokens"][:], LANGUAGES.target["tags"][:], strict=True)
        for word, tag in zip(words, own, strict=True)
    ]
    return float(np.mean(right))


def test_tags_of_translated_sentences_train_a_tagger_where_the_source_cannot() -> None:
    source = LANGUAGES.source["tokens"][:]
    lexicon = {word: [translation] for word, translation in LANGUAGES.lexicon.items()}
    words, translations = list(lexicon), list(lexicon.values())
    order = np.random.default_rng(0).permutation(len(words)).tolist()
    shuffled = {word: translations[row] for word, row in zip(words, order, strict=True)}
    baseline = target_accuracy(source)
    translated = target_accuracy(translate_words(source, lexicon).sentences)
    control = target_accuracy(translate_words(source, shuffled).sentences)
    assert baseline < 0.4
    assert translated > 0.8
    assert control < baseline + 0.1


def test_a_transliterator_makes_up_for_a_small_lexicon() -> None:
    source = LANGUAGES.source["tokens"][:]
    half = {word: [other] for row, (word, other) in enumerate(LANGUAGES.lexicon.items()) if row % 2}
    kept = target_accuracy(translate_words(source, half).sentences)
    written = target_accuracy(translate_words(source, half, missing=lambda word: word.translate(SCRIPT)).sentences)
    assert written > kept + 0.1


def test_word_labels_vote_for_translations_in_equal_parts() -> None:
    labels = {"good": "pos", "fine": "pos", "thin": "neg", "odd": "neg"}
    lexicon = {"good": ["accha"], "fine": ["accha", "patla", "patla", "ek dam"], "thin": ["patla"], "odd": ["a b"]}
    found = project_word_labels(labels, lexicon)
    assert found.shares.keys() == {"accha", "patla"} and found.coverage == 3 / 4
    # fine gives half a vote to each of two; thin a whole one
    assert found.shares["patla"] == pytest.approx({"pos": 0.5 / 1.5, "neg": 1 / 1.5})
    assert found.shares["accha"] == {"pos": 1.0}
    assert project_word_labels(labels, lexicon, missing=str.upper).shares["ODD"] == {"neg": 1.0}
    assert project_word_labels(labels, lexicon, missing="keep").shares["odd"] == {"neg": 1.0}
    assert project_word_labels({}, lexicon).coverage == 0.0


def test_lexicon_probabilities_are_smoothed_counts() -> None:
    shares = {"accha": {"pos": 1.0}, "patla": {"pos": 0.25, "neg": 0.75}}
    found = lexicon_probabilities([["accha", "patla", "accha", "x"], [], ["x"]], shares, ["neg", "pos", "mixed"])
    expected = [[1.75 / 6, 3.25 / 6, 1 / 6], [1 / 3] * 3, [1 / 3] * 3]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"the labels \['pos'\]"):
        lexicon_probabilities([["accha"]], {"accha": {"pos": 1.0}}, ["neg"])


def test_projected_polarities_classify_where_those_of_the_source_cannot() -> None:
    random = np.random.default_rng(0)
    polar = {f"w{row}": ("neg", "pos")[row % 2] for row in range(40)}
    lexicon = {word: [f"z{word[1:]}"] for row, word in enumerate(polar) if row < 28}
    gold = random.integers(0, 2, 200)
    texts = [
        [f"z{2 * random.integers(20) + (label if random.random() < 0.75 else 1 - label)}" for _ in range(7)]
        + ["filler"] * 3
        for label in gold
    ]

    def accuracy(shares: dict[str, dict[str, float]]) -> float:
        found = lexicon_probabilities(texts, shares, ["neg", "pos"])
        return float((found.argmax(axis=1) == gold).mean())

    unprojected = {word: {label: 1.0} for word, label in polar.items()}
    projected = project_word_labels(polar, lexicon)
    assert projected.coverage == 28 / 40
    assert accuracy(unprojected) < 0.6
    assert accuracy(projected.shares) > 0.8
    words = list(lexicon)
    mixed = {word: lexicon[words[row]] for word, row in zip(words, random.permutation(28).tolist(), strict=True)}
    assert accuracy(project_word_labels(polar, mixed).shares) < 0.75
