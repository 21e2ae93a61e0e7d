"""What the bridges of a cross-lingual run need: scripts, word bridges, vectors of both languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from nlptransfer.errors import InputError
from nlptransfer.recipes.crosslingual_bridge_names import INTO_TARGET, Bridge, Spelling

if TYPE_CHECKING:
    import numpy as np

    from nlptransfer.crosslingual.lexicon import Lexicon
    from nlptransfer.crosslingual.target_reader import TargetReader
    from nlptransfer.crosslingual.word_bridge import WordBridge
    from nlptransfer.embeddings.word_vectors import WordVectors
    from nlptransfer.recipes.cross_lingual_transfer import Settings
    from nlptransfer.recipes.crosslingual_data import LanguagePair

Language = Literal["source", "target"]
Spell = Callable[[Sequence[Sequence[str]]], list[list[str]]]


class Bridging:
    """Everything that the bridges of a run share, made when it is first asked for.

    Args:
        settings: the recipe's.
        pair: the data.
        tell: called with lines for the screen.
    """

    def __init__(self, settings: Settings, pair: LanguagePair, tell: Callable[[str], Any]) -> None:
        from nlptransfer.crosslingual.transliteration import script_of

        self._readers: dict[Spelling, TargetReader] = {}
        self._weights: dict[Spelling, np.ndarray] = {}
        self._settings = settings
        self._pair = pair
        self._tell = tell
        self.scripts = (
            script_of(word for sentence in _first(pair, "source") for word in sentence),
            script_of(word for sentence in _first(pair, "target") for word in sentence),
        )

    # Spellings.

    def spell_source(self, spelling: Spelling) -> Spell:
        """How the source's sentences are written before a model is trained on them."""
        if spelling == "script_train":
            return by_bridge(self.forth, self.normal("target"))
        if spelling == "translated":
            return self.translate
        from nlptransfer.crosslingual.target_reader import by_word

        return by_word(self.normal("source"))

    def spell_target(self, spelling: Spelling) -> Spell:
        """How the target's sentences are written before a model reads them."""
        return self.reader(spelling).sentences

    def reader(self, spelling: Spelling) -> TargetReader:
        """What writes the target's words as a model reads them."""
        from nlptransfer.crosslingual.target_reader import TargetReader

        if spelling not in self._readers:
            self._readers[spelling] = TargetReader(
                self.scripts,
                "none" if spelling in INTO_TARGET else spelling,  # type: ignore[arg-type]
                table=self._settings.table,
                reverse_table=self._settings.reverse_table,
                bridge=self.back if spelling == "script" else None,
            )
        return self._readers[spelling]

    def normal(self, language: Language) -> Callable[[str], str]:
        """One spelling for one word of a language."""
        from nlptransfer.crosslingual.target_reader import normaliser

        return normaliser(self.scripts[0 if language == "source" else 1])

    @cached_property
    def rules_back(self) -> Callable[[str], str]:
        """One word of the target in the source's script, by rules."""
        from nlptransfer.crosslingual.target_reader import script_rules

        return script_rules(self.scripts[1], self.scripts[0], self._settings.table)

    @cached_property
    def rules_forth(self) -> Callable[[str], str]:
        """One word of the source in the target's script, by rules."""
        from nlptransfer.crosslingual.target_reader import script_rules

        return script_rules(self.scripts[0], self.scripts[1], self._settings.reverse_table)

    @cached_property
    def back(self) -> WordBridge:
        """From the target's words to the source's."""
        return self._fit("target", "source", self.rules_back, self.rules_forth)

    @cached_property
    def forth(self) -> WordBridge:
        """From the source's words to the target's."""
        return self._fit("source", "target", self.rules_forth, self.rules_back)

    def _fit(
        self, read: Language, written: Language, rules: Callable[[str], str], reverse: Callable[[str], str]
    ) -> WordBridge:
        from nlptransfer.crosslingual.target_reader import by_word
        from nlptransfer.crosslingual.transliteration import sound_key
        from nlptransfer.crosslingual.word_bridge import WordBridge

        self._tell(f"learning how words of the {read} are written in the {written}'s script")
        spell = by_word(self.normal(written))
        counts = Counter(word for sentence in self._pair.sentences(read) for word in sentence)
        pairs = self.word_pairs if read == "source" else [(target, source) for source, target in self.word_pairs]
        return WordBridge(rules=rules, key=sound_key, reverse_rules=reverse).fit(
            (spell([sentence])[0] for sentence in self._pair.sentences(written)), counts, pairs=pairs
        )

    @cached_property
    def word_pairs(self) -> list[tuple[str, str]]:
        """Source and target words that translate each other, as the user gave them."""
        from nlptransfer.crosslingual.lexicon import read_lexicon
        from nlptransfer.data.text_lines import find_text_source

        settings = self._settings
        if settings.pairs is None:
            return []
        path = find_text_source(settings.pairs, data_dir=settings.data_dir).path
        assert path is not None
        columns = settings.pair_columns or (None, None)
        lexicon = read_lexicon(path, source_column=columns[0], target_column=columns[1])
        return [pair for pair in lexicon.pairs if not any(" " in word for word in pair)]

    def translate(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The source's sentences word by word in the target's words; what has no translation letter by letter."""
        from nlptransfer.crosslingual.label_projection import translate_words
        from nlptransfer.crosslingual.target_reader import by_word

        own, other = self.normal("source"), self.normal("target")
        try:
            rules = self.rules_forth
        except InputError:
            if self._settings.reverse_table is not None:
                raise
            rules = own  # there are none for these scripts: names and numbers stay as they are
        return translate_words(by_word(own)(sentences), self.lexicon, missing=lambda word: other(rules(word))).sentences

    @cached_property
    def lexicon(self) -> dict[str, list[str]]:
        """Source words with their translations: the user's pairs, then the nearest in the space of both languages."""
        from nlptransfer.crosslingual.retrieval import translate_both_ways, unit_rows

        own, other = self.normal("source"), self.normal("target")
        found: dict[str, list[str]] = {}
        for source, target in self.word_pairs:
            found.setdefault(own(source), []).append(other(target))
        num_given = len(found)
        if self.source_vectors is not None and self.target_vectors is not None:
            first, second = self.mapped_vectors
            forward, _ = translate_both_ways(unit_rows(first.matrix), unit_rows(second.matrix))
            for word, (row,) in zip(first.words, forward.rows.tolist(), strict=True):
                found.setdefault(word, []).append(second.words[row])
        self._tell(f"translating by a lexicon of {num_given:,} given words and {len(found) - num_given:,} by vectors")
        return found

    def source_weights(
        self, spelling: Spelling, source: Sequence[Sequence[str]], target: Sequence[Sequence[str]]
    ) -> np.ndarray:
        """How much each source sentence counts, by the subwords that both languages use; see `DensityRatioWeighting`.

        Args:
            spelling: the bridge's; weights are estimated once for each.
            source: lists of words as the model is trained on them.
            target: lists of words as it reads them.

        Returns:
            (N,) weights of mean 1, for N source sentences.

        Raises:
            InputError: the languages have no subword in common.
        """
        from nlptransfer.adaptation.instance_weighting import DensityRatioWeighting
        from nlptransfer.crosslingual.shared_subwords import train_shared_vocabulary
        from nlptransfer.crosslingual.source_weighting import shared_subword_features

        if spelling in self._weights:
            return self._weights[spelling]
        lines = {"source": [" ".join(own) for own in source], "target": [" ".join(own) for own in target]}
        words = {word for own in (*source, *target) for word in own}
        # Of little text no large vocabulary can be learnt.
        vocab_size = min(_SHARED_SUBWORDS, len(set().union(*words)) + len(words) // 2 + _SPECIAL_PIECES)
        tokenizer = train_shared_vocabulary(lines, vocab_size=vocab_size, kind="bpe", seed=self._settings.split_seed)
        features = shared_subword_features(tokenizer, source, target)
        weighting = DensityRatioWeighting(seed=self._settings.split_seed)
        weighting.fit(features[0], target_features=features[1])
        self._tell(
            f"weighing {len(source):,} source items by {features[0].shape[1]:,} subwords of both languages: they count "
            f"as {weighting.effective_sample_size_:,.0f} items of equal weight"
        )
        self._weights[spelling] = weighting.weights_
        return self._weights[spelling]

    # Vectors.

    def vectors(self, bridge: Bridge) -> WordVectors | None:
        """The vectors under a recurrent network; None for random ones."""
        if bridge.model == "vectors":
            return self.joint_vectors(bridge.spelling)
        if bridge.model == "subwords":
            return self.subword_vectors(bridge.spelling)
        return self.target_vectors if bridge.spelling in INTO_TARGET else self.source_vectors

    @cached_property
    def source_vectors(self) -> WordVectors | None:
        """The source language's own."""
        return self._read(self._settings.source_vectors, "source")

    @cached_property
    def target_vectors(self) -> WordVectors | None:
        """The target language's own."""
        return self._read(self._settings.target_vectors, "target")

    def _read(self, name: str | None, language: Language) -> WordVectors | None:
        from nlptransfer.embeddings.find_vectors import find_word_vectors

        if name is None:
            return None
        vectors, notes = find_word_vectors(
            name, sentences=(), dim=100, seed=0, max_words=self._settings.keep_vectors, data_dir=self._settings.data_dir
        )
        for note in notes:
            self._tell(note)
        normal = self.normal(language)
        return distinct_words(vectors, [normal(word) for word in vectors.words])

    @cached_property
    def vector_seed(self) -> Lexicon:
        """The pairs that the mapping of vectors begins from: the user's, and words that sound or are written alike."""
        from nlptransfer.crosslingual.lexicon import Lexicon, cognates, identical_strings
        from nlptransfer.crosslingual.transliteration import sound_key

        source, target = self.vectors_to_map
        same = identical_strings(source.words, target.words)
        alike = cognates(source.words, target.words, sound_key, max_rank=_SEED_WORDS, min_key_length=3)
        seed = Lexicon(tuple(dict.fromkeys((*self.word_pairs, *alike.pairs, *same.pairs))))
        self._tell(
            f"mapping vectors from {len(seed):,} pairs: {len(self.word_pairs):,} given, {len(alike):,} that sound "
            f"alike, {len(same):,} written alike"
        )
        return seed

    def joint_vectors(self, spelling: Spelling) -> WordVectors:
        """Words of both languages in one space: the target's as the model will meet them."""
        return join_vectors(
            *self.mapped_vectors,
            spell=lambda words: [spelt[0] for spelt in self.spell_target(spelling)([[word] for word in words])],
        )

    @cached_property
    def vectors_to_map(self) -> tuple[WordVectors, WordVectors]:
        """Those of source and target with as many numbers each: the longer ones by their principal components."""
        source, target = self.source_vectors, self.target_vectors
        assert source is not None and target is not None  # the settings have seen to it
        dim = min(source.dim, target.dim)
        if source.dim != target.dim:
            self._tell(f"reducing vectors of {max(source.dim, target.dim)} numbers to the {dim} of the other language")
        return reduce_vectors(source, dim), reduce_vectors(target, dim)

    @cached_property
    def mapped_vectors(self) -> tuple[WordVectors, WordVectors]:
        """Those of source and target in one space.

        The seed of the mapping are the user's pairs, where there are some, and words whose sounds agree; self-learning
        goes on from there.
        """
        import numpy as np

        from nlptransfer.crosslingual.lexicon import lexicon_rows
        from nlptransfer.crosslingual.self_learning import self_learn

        source, target = self.vectors_to_map
        rows = lexicon_rows(self.vector_seed, source, target)
        generator = np.random.default_rng(self._settings.split_seed)
        alignment = self_learn(
            source.matrix, target.matrix, rows.pairs, generator=generator, max_words=_MAPPED_WORDS,
            keep_probability=1.0, max_iterations=_REFINEMENTS, reweight_at_end=False,
        ).alignment  # fmt: skip
        return alignment.map_source(source), alignment.map_target(target)

    def subword_vectors(self, spelling: Spelling) -> WordVectors:
        """Vectors of words by the subwords that both languages share, learnt from the text of both."""
        from nlptransfer.crosslingual.subword_vectors import train_shared_vectors

        source, target = self.spell_source(spelling), self.spell_target(spelling)
        sentences = {
            "source": source(list(islice(self._pair.sentences("source"), _SUBWORD_SENTENCES))),
            "target": target(list(islice(self._pair.sentences("target"), _SUBWORD_SENTENCES))),
        }
        self._tell("learning vectors of subwords from the text of both languages")
        return train_shared_vectors(sentences, seed=self._settings.split_seed)


_SEED_WORDS = 20_000
_MAPPED_WORDS = 10_000
_REFINEMENTS = 3
_SUBWORD_SENTENCES = 30_000
_SHARED_SUBWORDS = 8_000
_SPECIAL_PIECES = 6


def reduce_vectors(vectors: WordVectors, dim: int) -> WordVectors:
    """Word vectors by their first principal components; as they are where they have no more numbers.

    Args:
        vectors: of D numbers.
        dim: numbers that are left.

    Reference:
        Raunak, Gupta, Metze 2019, section 2, https://aclanthology.org/W19-4328, without its further steps.
    """
    from sklearn.decomposition import PCA

    if vectors.dim <= dim:
        return vectors
    reduced = PCA(dim, svd_solver="covariance_eigh").fit_transform(vectors.matrix)
    return replace(vectors, matrix=reduced.astype("float32"), subwords=None, digest=f"{vectors.digest} {dim}")


def distinct_words(vectors: WordVectors, written: Sequence[str]) -> WordVectors:
    """Vectors whose words are written otherwise; of several that come out alike the first, most frequent one counts."""
    first: dict[str, int] = {}
    for row, word in enumerate(written):
        first.setdefault(word, row)
    return replace(vectors, words=list(first), matrix=vectors.matrix[list(first.values())])


def by_bridge(bridge: WordBridge, normal: Callable[[str], str]) -> Spell:
    """A way of spelling sentences by a word bridge, each word in its sentence."""
    from nlptransfer.crosslingual.target_reader import by_word

    normalised = by_word(normal)
    return lambda sentences: normalised([bridge.sentence(sentence) for sentence in sentences])


def join_vectors(source: WordVectors, target: WordVectors, *, spell: Callable[[list[str]], list[str]]) -> WordVectors:
    """The source's words and the target's as they are spelt for the model; of two spelt alike the source's counts."""
    import numpy as np

    from nlptransfer.embeddings.word_vectors import WordVectors

    held = dict.fromkeys(source.words)
    words, rows = [], []
    for row, word in enumerate(spell(target.words)):
        if word not in held:
            held[word] = None
            words.append(word)
            rows.append(row)
    matrix = np.concatenate([source.matrix, target.matrix[rows]])
    return WordVectors(
        [*source.words, *words],
        matrix,
        None,
        f"{source.source} and {target.source}",
        f"{source.digest} {target.digest}",
    )


def _first(pair: LanguagePair, language: str, number: int = 500) -> Iterable[Sequence[str]]:
    """A few sentences, to tell the script by."""
    if language == "target":
        from nlptransfer.data.words import split_tokens

        items = pair.target_test.items[:number]
        return items if pair.is_tagging else [split_tokens(item) for item in items]
    return islice(pair.sentences(language), number)
