"""Word vectors of two languages in one space, trained on both languages' text with subwords in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xxhash

from nlptransfer.data.text_lines import group_shares
from nlptransfer.embeddings.subwords import Subwords
from nlptransfer.embeddings.word_vectors import WordVectors
from nlptransfer.errors import InputError


def train_shared_vectors(
    sentences: Mapping[str, Sequence[Sequence[str]]],
    *,
    dim: int = 100,
    window: int = 5,
    epochs: int = 5,
    min_count: int = 1,
    min_n: int = 3,
    max_n: int = 6,
    num_buckets: int = 200_000,
    exponent: float = 0.5,
    seed: int,
) -> WordVectors:
    r"""Train fastText's skip-gram on the text of several languages at once.

    Words of the languages that share character n-grams, as they do in one script, get vectors that lie close; words
    that share none are drawn together by neighbours that do. A word on no list gets the mean of its n-grams' vectors,
    also at prediction time, wherever `WordVectors` are used with the fallback "subwords". The same text and seed give
    the same vectors, bit for bit.

    A language of :math:`n_i` words has the share :math:`n_i^\alpha / \sum_j n_j^\alpha` of a sample that is as long as
    all the text: sentences of small languages come several times, and of large ones not all. They are shuffled
    together, since the learning rate falls over the sample.

    Args:
        sentences: language -> lists of words, bridged into one script. All are held in memory.
        dim: D, numbers per word.
        window: how many words to either side count as context.
        epochs: passes over the sample.
        min_count: words that are rarer in the sample have no vector of their own, only that of their n-grams.
        min_n: shortest n-gram, in characters, the marks of a word's ends included.
        max_n: longest.
        num_buckets: vectors for n-grams; those that fall into one bucket share its vector.
        exponent: :math:`\alpha`, from 0 to 1: 1 keeps the languages' shares, 0 makes all equal.
        seed: of the sample, the first values and what training draws.

    Returns:
        The vectors, most frequent word first, with their n-grams.

    Raises:
        InputError: a language has no words, or no word occurs `min_count` times.

    Reference:
        Bojanowski, Grave, Joulin, Mikolov 2017, https://aclanthology.org/Q17-1010; for two languages at once Chaudhary
        et al. 2018, https://aclanthology.org/D18-1366.

    Compare with:
        `train_word_vectors`, without n-grams; `fit_procrustes` and `fit_vecmap`, which map vectors that were trained
        apart and need a seed lexicon.

    Example:
        >>> vectors = train_shared_vectors({"hi": hindi, "ur": [bridge.words(words) for words in urdu]}, seed=0)
        >>> vectors.vectors_for(["किताबें"])[1]
        ['subwords']
    """
    from gensim.models import FastText

    texts = _balanced(sentences, exponent, seed)
    model = FastText(
        vector_size=dim,
        window=window,
        min_count=min_count,
        sg=1,
        min_n=min_n,
        max_n=max_n,
        bucket=num_buckets,
        seed=seed,
        workers=1,  # with more, the order of updates, and so the result, depends on the threads
    )
    model.build_vocab(texts)
    if not len(model.wv):
        raise InputError(
            "no word to train vectors for",
            expected=f"text in which some word occurs at least {min_count} times",
            found=f"{len(texts):,} sentences of {sum(map(len, texts)):,} words",
        )
    model.train(texts, total_examples=model.corpus_count, epochs=epochs)
    words = list(model.wv.index_to_key)
    matrix = np.array(model.wv.vectors, dtype=np.float32)
    ngrams = np.array(model.wv.vectors_ngrams, dtype=np.float32)
    hasher = xxhash.xxh3_128(matrix.tobytes())
    hasher.update(ngrams.tobytes())
    hasher.update("\n".join(words).encode("utf-8", "surrogatepass"))
    return WordVectors(
        words=words,
        matrix=matrix,
        subwords=Subwords(ngrams=ngrams, num_buckets=num_buckets, min_n=min_n, max_n=max_n),
        source=f"fastText ({dim} dimensions, seed {seed}) trained on {sum(map(len, texts)):,} words of "
        + " and ".join(sentences),
        digest=hasher.hexdigest(),
    )


def _balanced(sentences: Mapping[str, Sequence[Sequence[str]]], exponent: float, seed: int) -> list[list[str]]:
    """As many words as there are in all, each language with its share of them, in random order."""
    sizes = {language: sum(map(len, own)) for language, own in sentences.items()}
    for language, size in sizes.items():
        if not size:
            raise InputError(f"there are no words of {language!r}", expected="sentences as lists of words")
    shares = group_shares(sizes, exponent=exponent)
    random = np.random.default_rng(seed)
    sample = []
    for language, own in sentences.items():
        copies = shares[language] * sum(sizes.values()) / sizes[language]
        for sentence in own:
            sample += [list(sentence)] * (int(copies) + (random.random() < copies % 1))
    random.shuffle(sample)
    return sample
