"""Word vectors by whatever name the user gave: a file, a file at hand, a named set, or trained here and now."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nlptransfer.data.corpora import SYNTHETIC_SEED
from nlptransfer.data.fetching import data_folders
from nlptransfer.data.synthetic import make_tagged_vectors
from nlptransfer.embeddings.train_vectors import train_word_vectors
from nlptransfer.embeddings.word_vectors import WordVectors, read_word_vectors

USUAL = "googlenews"
"""How the files begin that ``auto`` looks for in the ``vectors`` folder of each data folder, in any case."""


def find_word_vectors(
    name: str,
    *,
    sentences: Iterable[list[str]],
    dim: int,
    seed: int,
    data_dir: str | Path | None = None,
) -> tuple[WordVectors, list[str]]:
    """Find or train word vectors.

    Args:
        name: a path; a file's name in the ``vectors`` folder of `data_dir` or of a folder of ``NLPTRANSFER_DATA``;
            ``gensim:NAME``; ``train``, word2vec trained on `sentences`; ``synthetic``, for the synthetic corpus; or
            ``auto``, GoogleNews vectors where a data folder holds them, else ``train``.
        sentences: the text to train on, without labels.
        dim: size of vectors trained here.
        seed: of vectors trained here.
        data_dir: a data folder to look in first.

    Returns:
        The vectors, and notes that every reader of the results must see.

    Raises:
        InputError: there are no such vectors, or the file is faulty.
    """
    if name == "auto":
        files = [path for folder in data_folders(data_dir) for path in sorted((folder / "vectors").glob("*"))]
        at_hand = [path for path in files if path.name.lower().startswith(USUAL)]
        if at_hand:
            return read_word_vectors(at_hand[0]), []
        note = (
            "No pretrained vectors are at hand, so word2vec was trained on the training text: a small text, and no "
            "knowledge from elsewhere. Name a file with --vectors."
        )
        return train_word_vectors(sentences, dim=dim, seed=seed), [note]
    if name == "synthetic":
        words, matrix = make_tagged_vectors(dim, seed=SYNTHETIC_SEED)
        return WordVectors(words, matrix, None, source="synthetic", digest=f"seed {SYNTHETIC_SEED}"), []
    if name == "train":
        return train_word_vectors(sentences, dim=dim, seed=seed), []
    if not Path(name).exists():
        for folder in data_folders(data_dir):
            if (folder / "vectors" / name).is_file():
                return read_word_vectors(folder / "vectors" / name), []
    return read_word_vectors(name), []
