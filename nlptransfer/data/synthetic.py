"""Two invented tagged languages in two scripts, joined by a known lexicon, and word vectors that know their tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from nlptransfer.data.tables import tagged_dataset
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset

# Per class: how many words, and the endings that mark it. Closed classes have no ending of their own. Two classes
# joined by / are words that take either tag, by context.
_CLASSES: dict[str, tuple[int, tuple[str, ...]]] = {
    "NOUN": (900, ("ta", "mo", "ri")),
    "VERB": (450, ("se", "nu")),
    "ADJ": (450, ("ko", "vi")),
    "ADV": (120, ("li",)),
    "NOUN/VERB": (80, ("de",)),
    "ADJ/NOUN": (80, ("gu",)),
    "DET": (6, ()),
    "PRON": (8, ()),
    "ADP": (12, ()),
    "CCONJ": (3, ()),
}
_REGULAR_ENDINGS = 0.6
_COGNATES = 0.7
_ZIPF_EXPONENT = 0.9

_CONSONANTS = dict(zip("bdfgklmnprstvz", "बदफगकलमनपरसतवज", strict=True))
_VOWELS = dict(zip("aeiou", "ाेिोु", strict=True))
_MARKS = {".": "।", ",": ","}
_SCRIPT = str.maketrans({**_CONSONANTS, **_VOWELS, **_MARKS})


@dataclass(frozen=True)
class TaggedLanguages:
    """What `make_tagged_languages` makes.

    Attributes:
        source: the corpus in Latin script, with columns ``tokens`` and ``tags``.
        target: the corpus in Devanagari script, of the same grammar but with sentences of its own.
        lexicon: every word of the source language and its translation, one to one; also words that no sentence uses.
    """

    source: Dataset
    target: Dataset
    lexicon: dict[str, str]


def make_tagged_languages(num_sentences: int, *, seed: int) -> TaggedLanguages:
    """Make two tagged corpora whose difficulties are known.

    One grammar writes both: a sentence is a subject, a verb with its object, adverbs and prepositional phrases, and
    sometimes a second clause. What a tagger has to cope with:

    - Frequencies are Zipfian, so that any test part holds words that training lacks.
    - Six in ten open-class words carry an ending of their class; the others end at random. So characters help with
      unseen words, and do not settle them.
    - 160 words are ambiguous. NOUN/VERB words are settled by their context; ADJ/NOUN words before a noun are either,
      and nothing tells which: no tagger is right about all of them.

    The target language has its own script and sentences, and the same lexicon: seven in ten words are cognates, spelt
    letter by letter in the other script; the rest are other words with the same ending.

    Args:
        num_sentences: how many sentences in each language, of about 10 tokens.
        seed: numbers the words and the sentences. The words depend on it alone, not on `num_sentences`.

    Returns:
        The two corpora, with 9 tags, and the lexicon.

    Raises:
        InputError: `num_sentences` is less than 1.

    Example:
        >>> languages = make_tagged_languages(100, seed=0)
        >>> languages.target["tokens"][0][0] in languages.lexicon.values()
        True
    """
    if num_sentences < 1:
        raise InputError("there are no sentences to make", expected="at least 1", found=str(num_sentences))
    words, lexicon = _make_words(seed)
    corpora = []
    for language in ("source", "target"):
        rng = _generator(seed, f"{language} sentences")
        writer = _Writer(words, rng)
        sentences = [writer.sentence() for _ in range(num_sentences)]
        tokens = [[word for word, _ in sentence] for sentence in sentences]
        if language == "target":
            tokens = [[lexicon[word] for word in sentence] for sentence in tokens]
        tags = [[tag for _, tag in sentence] for sentence in sentences]
        corpora.append(tagged_dataset(tokens, tags, where=f"synthetic:{language}"))
    return TaggedLanguages(source=corpora[0], target=corpora[1], lexicon=lexicon)


def make_tagged_vectors(
    dimension: int, *, seed: int, noise: float = 1.0, language: str = "source", shuffled: bool = False
) -> tuple[list[str], np.ndarray]:
    r"""Make word vectors for all words of a synthetic language, also for those that no sentence uses.

    The vector of a word :math:`w` whose class has the direction :math:`c(w)` (a random unit vector) is

    .. math:: v(w) = c(w) + \sigma\, \varepsilon / \sqrt{D}, \qquad \varepsilon \sim N(0, I_D),

    with the mean of two directions for an ambiguous word. So the vectors tell the tag of an unseen word, up to noise.

    Args:
        dimension: D, the length of the vectors.
        seed: that of `make_tagged_languages`, whose words these are.
        noise: sigma, the length of the noise in units of the length of the signal.
        language: ``source`` or ``target``.
        shuffled: give the vectors to the wrong words, as a control: same words, same geometry, no knowledge.

    Returns:
        The words, and their vectors: float32, (words, dimension).

    Raises:
        InputError: an unknown language.
    """
    if language not in ("source", "target"):
        raise InputError("the language is unknown", expected="source or target", found=language)
    words, lexicon = _make_words(seed)
    rng = _generator(seed, f"{language} vectors")
    tags = sorted({tag for name in words for tag in name.split("/")})
    directions = rng.standard_normal((len(tags), dimension))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    of_class = {name: np.mean([directions[tags.index(tag)] for tag in name.split("/")], axis=0) for name in words}
    spelled = [word for group in words.values() for word in group]
    signal = np.stack([of_class[name] for name, group in words.items() for _ in group])
    vectors = signal + noise * rng.standard_normal(signal.shape) / np.sqrt(dimension)
    if shuffled:
        vectors = vectors[rng.permutation(len(vectors))]
    if language == "target":
        spelled = [lexicon[word] for word in spelled]
    return spelled, vectors.astype(np.float32)


def _generator(seed: int, purpose: str) -> Generator:
    """A generator for one purpose, so that more sentences do not change the words, nor the source the target."""
    return np.random.default_rng([seed, *purpose.encode()])


def _make_words(seed: int) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The words of each class, most frequent first, and the lexicon."""
    rng = _generator(seed, "words")
    endings = [ending for _, group in _CLASSES.values() for ending in group]
    taken = set(_MARKS)
    words: dict[str, list[str]] = {"PUNCT": list(_MARKS)}
    lexicon = dict(_MARKS)
    for name, (size, own) in _CLASSES.items():
        words[name] = []
        for _ in range(size):
            ending = ""
            if own:
                ending = str(rng.choice(own if rng.random() < _REGULAR_ENDINGS else endings))
            word = _new_word(rng, ending, taken)
            other = word if rng.random() < _COGNATES else _new_word(rng, ending, taken)
            words[name].append(word)
            lexicon[word] = other.translate(_SCRIPT)
    return words, lexicon


def _new_word(rng: Generator, ending: str, taken: set[str]) -> str:
    consonants, vowels = list(_CONSONANTS), list(_VOWELS)
    # Words without an ending belong to closed classes, which are short.
    shortest, longest = (1, 2) if not ending else (1, 3)
    while True:
        length = int(rng.integers(shortest, longest, endpoint=True))
        word = "".join(str(rng.choice(consonants)) + str(rng.choice(vowels)) for _ in range(length)) + ending
        if word not in taken:
            taken.add(word)
            return word


class _Writer:
    """Writes sentences by a small grammar, with words of Zipfian frequency."""

    def __init__(self, words: dict[str, list[str]], rng: Generator) -> None:
        self.rng = rng
        self.words = words
        self.cumulative = {}
        for name, group in words.items():
            weights = 1.0 / np.arange(1, len(group) + 1) ** _ZIPF_EXPONENT
            self.cumulative[name] = np.cumsum(weights / weights.sum())

    def sentence(self) -> list[tuple[str, str]]:
        clause = self.clause()
        if self.chance(0.2):
            clause += [(",", "PUNCT"), self.word("CCONJ"), *self.clause()]
        return [*clause, (".", "PUNCT")]

    def clause(self) -> list[tuple[str, str]]:
        subject = [self.word("PRON")] if self.chance(0.25) else self.noun_phrase()
        adverb = [self.word("ADV")] if self.chance(0.2) else []
        verb = self.word("VERB", ambiguous="NOUN/VERB", share=0.15)
        thing = self.noun_phrase() if self.chance(0.6) else []
        place = [self.word("ADP"), *self.noun_phrase()] if self.chance(0.4) else []
        late = [self.word("ADV")] if self.chance(0.2) else []
        return [*subject, *adverb, verb, *thing, *place, *late]

    def noun_phrase(self) -> list[tuple[str, str]]:
        phrase = [self.word("DET")] if self.chance(0.7) else []
        if self.chance(0.35):
            phrase.append(self.word("ADJ", ambiguous="ADJ/NOUN", share=0.25))
        if self.chance(0.2):
            phrase.append(self.word("NOUN", ambiguous="ADJ/NOUN", share=0.35))
        phrase.append(self.word("NOUN", ambiguous="NOUN/VERB", share=0.15))
        return phrase

    def word(self, tag: str, *, ambiguous: str = "", share: float = 0.0) -> tuple[str, str]:
        name = ambiguous if ambiguous and self.chance(share) else tag
        index = int(np.searchsorted(self.cumulative[name], self.rng.random()))
        # Rounding may leave the last cumulative weight a hair below 1.
        return self.words[name][min(index, len(self.words[name]) - 1)], tag

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)
