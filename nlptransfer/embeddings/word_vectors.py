"""Word vectors from any common file, or by name, and how words are looked up in them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import xxhash

from nlptransfer.embeddings.binary_vectors import read_binary_vectors
from nlptransfer.embeddings.fasttext_binary import read_fasttext_model
from nlptransfer.embeddings.gensim_native import read_gensim_vectors
from nlptransfer.embeddings.named_vectors import GENSIM, load_named_vectors
from nlptransfer.embeddings.subwords import Subwords
from nlptransfer.embeddings.text_vectors import read_text_vectors
from nlptransfer.embeddings.vector_cache import CacheNotWritable, content_digest, load_entry, store_entry
from nlptransfer.embeddings.vector_formats import VectorFile, detect_format
from nlptransfer.embeddings.vector_rows import Chunks, DistinctRows, rows_in_memory
from nlptransfer.embeddings.word_forms import FALLBACKS, WantedWords, check_fallbacks, normal_form, word_forms
from nlptransfer.errors import InputError
from nlptransfer.files import missing_file

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Words and their vectors.

    Attributes:
        words: V distinct words, usually the most frequent first.
        matrix: (V, D) float32; read-only and memory-mapped where it comes from the cache.
        subwords: character n-grams for words that are not in `words`; or None.
        source: the file or name they were read from.
        digest: identifies the vectors: of the file's content, or of words and matrix where there is no file.

    Example:
        >>> vectors = read_word_vectors("glove.6B.100d.txt")
        >>> rows, found_by = vectors.lookup(["Bank", "rates", "xqzy"])
        >>> found_by
        ['lower case', 'exact', 'not found']
    """

    words: list[str]
    matrix: np.ndarray
    subwords: Subwords | None
    source: str
    digest: str

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or len(self.words) != len(self.matrix):
            raise ValueError(f"{len(self.words)} words need as many vectors, not an array of shape {self.matrix.shape}")

    @property
    def dim(self) -> int:
        """D, numbers per word."""
        return int(self.matrix.shape[1])

    def __len__(self) -> int:
        return len(self.words)

    def lookup(self, words: Iterable[str], *, fallbacks: Sequence[str] = FALLBACKS) -> tuple[np.ndarray, list[str]]:
        """Find the row of each word, by itself or by the fallbacks.

        Args:
            words: N words.
            fallbacks: some of `FALLBACKS`; the first that finds a word is the one that counts.

        Returns:
            (N,) int64 rows of `matrix`, -1 where there is none; and N names of `FOUND_BY`. A word found by its
            ``subwords`` has no row: `vectors_for` gives its vector.
        """
        check_fallbacks(fallbacks)
        found = [self._find(word, fallbacks) for word in words]
        return np.array([row for row, _ in found], dtype=np.int64), [name for _, name in found]

    def vectors_for(
        self, words: Iterable[str], *, fallbacks: Sequence[str] = FALLBACKS
    ) -> tuple[np.ndarray, list[str]]:
        """The vector of each word, by itself or by the fallbacks.

        Args:
            words: N words.
            fallbacks: some of `FALLBACKS`.

        Returns:
            (N, D) float32, zeros where a word is not found; and N names of `FOUND_BY`.
        """
        words = list(words)
        rows, found_by = self.lookup(words, fallbacks=fallbacks)
        vectors = np.zeros((len(words), self.dim), dtype=np.float32)
        held = rows >= 0
        vectors[held] = self.matrix[rows[held]]
        if self.subwords is not None:
            for position, name in enumerate(found_by):
                if name == "subwords":
                    vectors[position] = self.subwords.vector(words[position])
        return vectors, found_by

    def _find(self, word: str, fallbacks: Sequence[str]) -> tuple[int, str]:
        row = self._rows.get(word)
        if row is not None:
            return row, "exact"
        forms = word_forms(word, fallbacks)
        for form, found_by in forms:
            row = self._rows.get(form)
            if row is not None:
                return row, found_by
        if "unicode form" in fallbacks:
            # The file's own words may be the ones in another normal form than the text's.
            for form, _ in forms:
                row = self._normalised_rows.get(form)
                if row is not None:
                    return row, "unicode form"
        if "subwords" in fallbacks and self.subwords is not None and len(self.subwords.rows(word)):
            return -1, "subwords"
        return -1, "not found"

    @cached_property
    def _rows(self) -> dict[str, int]:
        # Backwards, so that the first of a repeated word has the last say.
        return dict(zip(reversed(self.words), range(len(self.words) - 1, -1, -1), strict=True))

    @cached_property
    def _normalised_rows(self) -> dict[str, int]:
        """The words that are not in Unicode normal form, by their normal form."""
        rows: dict[str, int] = {}
        for row, word in enumerate(self.words):
            if not word.isascii() and (form := normal_form(word)) != word:
                rows.setdefault(form, row)
        return rows


def read_word_vectors(
    path_or_name: str | Path,
    *,
    vocabulary: Iterable[str] | None = None,
    fallbacks: Sequence[str] = FALLBACKS,
    max_words: int | None = None,
    cache: bool = True,
) -> WordVectors:
    """Read word vectors; the format is told from the file's content.

    Formats: word2vec text and binary, GloVe text, fastText ``.vec`` and ``.bin``, gensim's own files; all of them also
    gzipped. A parsed file is kept in the cache as a memory-mapped array, under the digest of its content, so that the
    next read takes no time and hardly any memory. A word that occurs twice keeps its first vector.

    With `vocabulary` or `max_words` only the rows that are needed are parsed, so that an error in another row stays
    unnoticed.

    Args:
        path_or_name: a file, or ``gensim:NAME`` for a set that gensim's downloader knows
            (``gensim:glove-wiki-gigaword-100``).
        vocabulary: keep only the rows that these words can use, by themselves or by one of the `fallbacks`.
        fallbacks: some of `FALLBACKS`; matters only with `vocabulary`.
        max_words: keep only words among the first so many of the file.
        cache: look in the cache, and write to it. Without it, the vectors are held in memory.

    Returns:
        The vectors, in the order of the file. None of the words may be in the file; then there are no rows.

    Raises:
        InputError: no such file or name, not a vector file, or one that is cut short, damaged or contradicts itself;
            with the line where there is one.

    Example:
        >>> vectors = read_word_vectors("GoogleNews-vectors-negative300.bin", vocabulary=["Bank", "rates"])
        >>> vectors.matrix.shape
        (4, 300)
    """
    check_fallbacks(fallbacks)
    if max_words is not None and max_words < 1:
        raise InputError("max_words is too small", expected="at least 1", found=str(max_words))
    name = os.fspath(path_or_name)
    path = load_named_vectors(name.removeprefix(GENSIM)) if name.startswith(GENSIM) else _existing_file(Path(name))
    wanted = None if vocabulary is None else WantedWords(vocabulary, fallbacks)
    before = path.stat()
    digest = content_digest(path, remember=cache)
    key = _entry_key(digest, wanted, max_words)
    if cache:
        known = _known_vectors(digest, key, wanted, max_words)
        if known is not None:
            return WordVectors(*known, source=name, digest=digest)
    file = detect_format(path)
    if cache:
        try:
            chunks, dim, subwords = _open_reader(file, wanted, max_words)
            rows = DistinctRows(_of_unchanged_file(chunks, path, before), where=name)
            stored = store_entry(key, rows, dim, subwords)
            return WordVectors(stored.words, stored.matrix, stored.subwords, source=name, digest=digest)
        except CacheNotWritable as error:
            _log.warning("The parsed vectors can't be cached (%s); they are held in memory.", error)
    chunks, dim, subwords = _open_reader(file, wanted, max_words)
    rows = DistinctRows(_of_unchanged_file(chunks, path, before), where=name)
    matrix = rows_in_memory(rows, dim)
    return WordVectors(rows.words, matrix, subwords, source=name, digest=digest)


def _open_reader(
    file: VectorFile, wanted: WantedWords | None, max_words: int | None
) -> tuple[Chunks, int, Subwords | None]:
    """Words and vectors in parts, the dimension, and the n-grams where the format has them."""
    if file.format == "text":
        return read_text_vectors(file, wanted=wanted, max_words=max_words), file.dim, None
    if file.format == "word2vec binary":
        return read_binary_vectors(file, wanted=wanted, max_words=max_words), file.dim, None
    if file.format == "gensim":
        chunks, dim, subwords = read_gensim_vectors(file, wanted=wanted, max_words=max_words)
    else:
        model = read_fasttext_model(file)
        chunks, dim = model.chunks(wanted=wanted, max_words=max_words), model.vectors.shape[1]
        subwords = model.subwords
    if wanted is not None and subwords is not None:
        subwords = subwords.restricted_to(wanted.vocabulary) if "subwords" in wanted.fallbacks else None
    return chunks, dim, subwords


def _entry_key(digest: str, wanted: WantedWords | None, max_words: int | None) -> str:
    if wanted is None and max_words is None:
        return digest
    hasher = xxhash.xxh3_128(repr((max_words, None if wanted is None else wanted.fallbacks)).encode())
    for word in () if wanted is None else wanted.vocabulary:
        hasher.update(word.encode("utf-8", "surrogatepass") + b"\n")
    return f"{digest}-{hasher.hexdigest()}"


def _known_vectors(
    digest: str, key: str, wanted: WantedWords | None, max_words: int | None
) -> tuple[list[str], np.ndarray, Subwords | None] | None:
    """From the cache: the very rows asked for, or a choice from those of the whole file."""
    entry = load_entry(key)
    if entry is not None or key == digest:
        return None if entry is None else (entry.words, entry.matrix, entry.subwords)
    whole = load_entry(digest)
    # "The first rows of the file" can't be told from an entry that lacks its repeated words.
    if whole is None or (max_words is not None and whole.num_repeated):
        return None
    if wanted is None:
        return whole.words[:max_words], whole.matrix[:max_words], whole.subwords
    rows = [row for row, word in enumerate(whole.words[:max_words]) if word in wanted]
    subwords = whole.subwords if "subwords" in wanted.fallbacks else None
    return [whole.words[row] for row in rows], whole.matrix[rows], subwords


def _of_unchanged_file(chunks: Chunks, path: Path, before: os.stat_result) -> Chunks:
    """The chunks, and then an error if the file was written to since `before`: they would go by the wrong digest."""
    yield from chunks
    after = path.stat()
    if (before.st_ino, before.st_size, before.st_mtime_ns) != (after.st_ino, after.st_size, after.st_mtime_ns):
        raise InputError("the file changed while it was read", where=path, remedy="Wait until it is complete.")


def _existing_file(path: Path) -> Path:
    path = path.expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise InputError("a folder, not a vector file", where=path, remedy="Name the file in it.")
    if path.name == str(path) and not path.suffix:
        raise missing_file(path, remedy=f"For a set of gensim's downloader write '{GENSIM}{path}'.")
    raise missing_file(path)
