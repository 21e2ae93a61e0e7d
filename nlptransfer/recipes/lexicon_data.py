"""Two languages by their word vectors, and word pairs of both: those that may be learnt from, and those to test on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nlptransfer.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from nlptransfer.crosslingual.lexicon import Lexicon
    from nlptransfer.embeddings.word_vectors import WordVectors
    from nlptransfer.recipes.bilingual_lexicon import Settings

_INVENTED_DIM = 50
_INVENTED_NOISE = 0.3
"""Of the target's invented vectors, in units of their length: most words find their translation, and not all."""


@dataclass(frozen=True, eq=False)
class TwoLanguages:
    """What a run is about. All words are in the one spelling of their script.

    Attributes:
        source: vectors, the most frequent word first.
        target: likewise.
        scripts: ISO 15924 codes of source and target.
        normal: one spelling for one word, of source and of target.
        train: pairs that may be learnt from.
        test: pairs of other source words.
        test_rows: (P, 2) rows of the test pairs that have vectors on both sides.
        num_phrases: pairs that were left out because a side has several words.
        warnings: what every reader must see.
    """

    source: WordVectors
    target: WordVectors
    scripts: tuple[str, str]
    normal: tuple[Callable[[str], str], Callable[[str], str]]
    train: Lexicon
    test: Lexicon
    test_rows: np.ndarray
    num_phrases: int
    warnings: tuple[str, ...]


def load_languages(settings: Settings) -> TwoLanguages:
    """Read vectors and pairs, bring their words to one spelling, and hold pairs out.

    Args:
        settings: the recipe's.

    Raises:
        InputError: a file is missing or faulty; the vectors differ in dimension; or no pair is left to test on.
    """
    import numpy as np

    from nlptransfer.crosslingual.lexicon import Lexicon, lexicon_rows, split_lexicon
    from nlptransfer.crosslingual.target_reader import normaliser
    from nlptransfer.crosslingual.transliteration import script_of

    warnings = []
    if settings.pairs is None:
        warnings.append(
            "No vectors were given: this run is about two invented languages, to show that it works. Name your own "
            "with --source_vectors, --target_vectors and --pairs."
        )
        source, target, pairs = invented_languages()
    else:
        source, target = (_read_vectors(settings, name) for name in (settings.source_vectors, settings.target_vectors))
        pairs = _read_pairs(settings)
    if source.dim != target.dim:
        raise InputError(
            "the vectors of the two languages differ in dimension",
            expected="as many numbers per word",
            found=f"{source.dim} in {source.source} and {target.dim} in {target.source}",
            remedy="Take vectors of one dimension, or reduce the larger by SVD first.",
        )
    scripts = script_of(source.words[:1000]), script_of(target.words[:1000])
    normal = normaliser(scripts[0]), normaliser(scripts[1])
    source, target = (_in_one_spelling(own, spell) for own, spell in zip((source, target), normal, strict=True))
    single = [pair for pair in pairs.pairs if not any(len(word.split()) > 1 for word in pair)]
    spelt = [(normal[0](first), normal[1](second)) for first, second in single]
    lexicon = Lexicon(tuple(dict.fromkeys(pair for pair in spelt if all(pair))))
    train, test = split_lexicon(
        lexicon, train_share=settings.train_share, generator=np.random.default_rng(settings.split_seed)
    )
    rows = lexicon_rows(test, source, target)
    if not len(rows.pairs):
        raise InputError(
            "no word pair that was held out to test on has vectors on both sides",
            where=settings.pairs,
            found=f"{len(pairs):,} pairs, {len(lexicon):,} of single words, {len(test):,} held out; {rows.summary()}",
            remedy="Check that the columns (--pair_columns) are in the order source, target, and that the vectors are "
            "of these languages.",
        )
    return TwoLanguages(
        source, target, scripts, normal, train, test, rows.pairs, len(pairs) - len(single), tuple(warnings)
    )


def _read_vectors(settings: Settings, name: str | None) -> WordVectors:
    from nlptransfer.embeddings.find_vectors import find_word_vectors

    assert name is not None  # the settings have seen to it
    vectors, _ = find_word_vectors(
        name, sentences=(), dim=100, seed=0, max_words=settings.keep_vectors, data_dir=settings.data_dir
    )
    return vectors


def _read_pairs(settings: Settings) -> Lexicon:
    from nlptransfer.crosslingual.lexicon import read_lexicon
    from nlptransfer.data.text_lines import find_text_source

    assert settings.pairs is not None
    path = find_text_source(settings.pairs, data_dir=settings.data_dir).path
    assert path is not None
    columns = settings.pair_columns or (None, None)
    return read_lexicon(path, source_column=columns[0], target_column=columns[1])


def _in_one_spelling(vectors: WordVectors, normal: Callable[[str], str]) -> WordVectors:
    """Each word once, as its script's normalisation writes it; what is no single word then is left out."""
    from nlptransfer.recipes.crosslingual_bridges import distinct_words

    spelt = distinct_words(vectors, [normal(word) for word in vectors.words])
    rows = [row for row, word in enumerate(spelt.words) if len(word.split()) == 1]
    return replace(spelt, words=[spelt.words[row] for row in rows], matrix=spelt.matrix[rows], subwords=None)


def invented_languages() -> tuple[WordVectors, WordVectors, Lexicon]:
    """Two languages in two scripts whose vectors are one space, turned and blurred; and their lexicon."""
    import numpy as np

    from nlptransfer.crosslingual.lexicon import Lexicon
    from nlptransfer.data.corpora import SYNTHETIC_SEED
    from nlptransfer.data.synthetic import make_tagged_languages, make_tagged_vectors
    from nlptransfer.embeddings.word_vectors import WordVectors

    words, matrix = make_tagged_vectors(_INVENTED_DIM, seed=SYNTHETIC_SEED)
    lexicon = make_tagged_languages(1, seed=SYNTHETIC_SEED).lexicon
    generator = np.random.default_rng(SYNTHETIC_SEED)
    turn = np.linalg.qr(generator.standard_normal((_INVENTED_DIM, _INVENTED_DIM)))[0]
    length = np.linalg.norm(matrix, axis=1).mean() / np.sqrt(_INVENTED_DIM)
    blurred = matrix @ turn + _INVENTED_NOISE * length * generator.standard_normal(matrix.shape)
    source, target = (
        WordVectors(own, vectors.astype(np.float32), None, source=f"synthetic:{name}", digest=f"seed {SYNTHETIC_SEED}")
        for own, vectors, name in ((words, matrix, "source"), ([lexicon[word] for word in words], blurred, "target"))
    )
    return source, target, Lexicon(tuple((word, lexicon[word]) for word in words))
