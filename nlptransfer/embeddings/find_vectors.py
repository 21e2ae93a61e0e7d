"""Word vectors by whatever name the user gave: a file, a file at hand, a named set, or trained here and now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nlptransfer.data.corpora import SYNTHETIC_SEED
from nlptransfer.data.fetching import data_folders
from nlptransfer.data.synthetic import make_tagged_vectors
from nlptransfer.embeddings.train_vectors import train_word_vectors
from nlptransfer.embeddings.word_forms import FALLBACKS
from nlptransfer.embeddings.word_vectors import WordVectors, read_word_vectors

USUAL = "googlenews"
"""How the files begin that ``auto`` looks for in the ``vectors`` folder of each data folder, in any case."""

_SUFFIXES = (".bin", ".bin.gz", ".vec", ".vec.gz", ".txt", ".txt.gz")


def find_word_vectors(
    name: str,
    *,
    sentences: Sequence[Sequence[str]],
    unlabelled: Iterable[Sequence[str]] = (),
    dim: int,
    seed: int,
    max_words: int,
    fallbacks: Sequence[str] = FALLBACKS,
    data_dir: str | Path | None = None,
) -> tuple[WordVectors, list[str]]:
    """Find or train word vectors, and keep those that a tagger will know.

    Of a file these are its first `max_words` words and whatever the words of `sentences` can use, so that a file of
    millions of words costs neither time nor memory that nobody has a use for.

    Args:
        name: a path; a file's name in the ``vectors`` folder of `data_dir` or of a folder of ``NLPTRANSFER_DATA``;
            ``gensim:NAME``; ``train``, word2vec trained on `sentences` and `unlabelled`; ``synthetic``, for the
            synthetic corpus (``synthetic:target`` for its other language); or ``auto``, GoogleNews vectors where a
            data folder holds them, else ``train``.
        sentences: the training sentences, without labels.
        unlabelled: more text to train on.
        dim: size of vectors trained here.
        seed: of vectors trained here.
        max_words: how many of a file's first words to keep beside those of the sentences.
        fallbacks: some of `FALLBACKS`; without "subwords" a fastText file's n-grams are left out.
        data_dir: a data folder to look in first.

    Returns:
        The vectors, and notes that every reader of the results must see.

    Raises:
        InputError: there are no such vectors, or the file is faulty.
    """
    notes = []
    if name == "auto":
        at_hand = _usual_files(data_dir)
        if at_hand:
            name = str(at_hand[0])
        else:
            name = "train"
            notes = [
                "No pretrained vectors are at hand, so word2vec was trained on the training text: a small text, and "
                "no knowledge from elsewhere. Name a file with --vectors."
            ]
    kind, _, language = name.partition(":")
    if kind == "synthetic":
        words, matrix = make_tagged_vectors(dim, seed=SYNTHETIC_SEED, language=language or "source")
        return WordVectors(words, matrix, None, source=name, digest=f"seed {SYNTHETIC_SEED}"), notes
    if name == "train":
        return train_word_vectors([*sentences, *unlabelled], dim=dim, seed=seed), notes
    if not Path(name).exists():
        places = [folder / "vectors" / name for folder in data_folders(data_dir)]
        name = str(next((place for place in places if place.is_file()), name))
    first = read_word_vectors(name, max_words=max_words)
    if "subwords" not in fallbacks:
        first = replace(first, subwords=None)
    if len(first) < max_words:  # that was the whole file
        return first, notes
    vocabulary = {word for sentence in sentences for word in sentence}
    used = read_word_vectors(name, vocabulary=vocabulary, fallbacks=fallbacks)
    held = set(first.words)
    rows = [row for row, word in enumerate(used.words) if word not in held]
    words = first.words + [used.words[row] for row in rows]
    return replace(first, words=words, matrix=np.concatenate([first.matrix, used.matrix[rows]])), notes


def _usual_files(data_dir: str | Path | None) -> list[Path]:
    """The usual vectors' files that are at hand: by folder, then binary before text."""
    files = [
        path
        for folder in data_folders(data_dir)
        for suffix in _SUFFIXES
        for path in sorted((folder / "vectors").glob(f"*{suffix}"))
    ]
    return [path for path in files if path.is_file() and path.name.lower().startswith(USUAL)]
