"""Words of one script written in another as its own readers would, by a character model, a word list and context."""

from __future__ import annotations

import json
import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nlptransfer.crosslingual.character_channel import CharacterChannel
from nlptransfer.crosslingual.spelling_model import SpellingModel
from nlptransfer.crosslingual.word_bigrams import BOUNDARY, BigramCounts, BigramModel, count_bigrams, is_word
from nlptransfer.errors import InputError
from nlptransfer.files import missing_file, write_folder_whole, write_json

_BRIDGE, _BIGRAMS = "bridge.json", "bigrams.safetensors"
_SPELLED = 50_000  # words that the prior of spellings is made from, the most frequent ones
_SAME_KEY = 50  # target words with one key that are scored, the most frequent ones
_CACHED = 300_000


class _Candidates(NamedTuple):
    """Target words that a source word may be, and log P(source word | target word)."""

    words: list[str]
    fits: list[float]


class WordBridge:
    r"""From words of a source script to words of a target script, by the noisy channel.

    .. math::
        \hat y_1 \ldots \hat y_n = \arg\max \sum_i \log P(x_i \mid y_i) + \lambda \log P(y_i \mid y_{i-1})

    with the `CharacterChannel` :math:`P(x \mid y)` and the `BigramModel` of target text for
    :math:`P(y_i \mid y_{i-1})`, which falls back on the `SpellingModel` of its words for what it never saw. `word` has
    no sentence and takes :math:`P(y)` instead.

    Candidates for a source word are the target words of the same key; those that `reverse_rules` write like it; what
    the rules give; and what a beam search over spellings gives, so that a word on no list has a spelling too.

    Without target text it is the rules alone.

    Args:
        rules: writes a source word in the target script; also used on numbers and punctuation.
        key: gives source and target words that may be the same word the same key.
        reverse_rules: writes a target word in the source script, where these are the surer ones.
        frequency_weight: of log P(y) in `word` and `words`.
        context_weight: of log P(y_i | y_{i-1}) in `sentence`; :math:`\lambda`.
        max_candidates: target words per source word that are kept, the best ones.

    Attributes:
        channel: the character model.

    Reference:
        Knight and Graehl 1998, "Machine transliteration", https://aclanthology.org/J98-4003, for the channel with a
        prior of the target's words.

    Compare with:
        rules alone (`make_transliterator`), which need no text.

    Example:
        >>> bridge = WordBridge(rules=str.lower, key=consonants).fit([["kitab", "ka", "kalam"]], {"KTB": 3})
        >>> bridge.sentence(["KTB"])
        ['kitab']
    """

    def __init__(
        self,
        *,
        rules: Callable[[str], str],
        key: Callable[[str], str],
        reverse_rules: Callable[[str], str] | None = None,
        frequency_weight: float = 1.0,
        context_weight: float = 1.0,
        max_candidates: int = 8,
    ) -> None:
        if max_candidates < 1:
            raise ValueError(f"max_candidates must be at least 1, found {max_candidates}")
        self.rules = rules
        self.key = key
        self.reverse_rules = reverse_rules
        self.frequency_weight = frequency_weight
        self.context_weight = context_weight
        self.max_candidates = max_candidates
        self.channel = CharacterChannel()
        self._source_script = ""
        self._spelling: SpellingModel | None = None
        self._indexed: tuple[dict[str, list[str]], dict[str, list[str]]] | None = None
        self._found: dict[str, _Candidates] = {}
        self._set_counts(count_bigrams([]))

    def fit(
        self,
        target_sentences: Iterable[Sequence[str]],
        source_counts: Mapping[str, int],
        *,
        pairs: Sequence[tuple[str, str]] = (),
        max_words: int = 200_000,
        max_bigrams: int = 2_000_000,
    ) -> WordBridge:
        """Learn the target's words and their order, and how the source spells them.

        Args:
            target_sentences: tokens of running target text, read once.
            source_counts: how often each source word occurs.
            pairs: source and target spelling of the same word, where some are known.
            max_words: target words that are kept.
            max_bigrams: pairs of neighbours that are kept, about.

        Returns:
            Itself.
        """
        scripts: Counter[str] = Counter()
        for word, count in source_counts.items():
            scripts[_script(word)] += count
        self._source_script = next((script for script, _ in scripts.most_common() if script), "")
        self._set_counts(count_bigrams(target_sentences, max_words=max_words, max_bigrams=max_bigrams))
        self.channel.fit_without_pairs(
            {word: count for word, count in source_counts.items() if self._is_source_word(word)},
            {word: self.bigrams.count(word) for word in self._target_words()},
            rules=self.rules,
            key=self.key,
            reverse_rules=self.reverse_rules,
            known_pairs=pairs,
        )
        return self

    # Bridging

    def word(self, word: str) -> str:
        """The target word for a source word, by itself."""
        return self.words([word])[0]

    def words(self, words: Sequence[str]) -> list[str]:
        """The target word for each source word, each by itself; numbers and signs by rules, other scripts as they are.

        Args:
            words: of the source script, normalised as those that it was fitted on.
        """
        self._find(words)
        chosen = {word: self._best(word) for word in set(words)}
        return [chosen[word] for word in words]

    def sentence(self, tokens: Sequence[str]) -> list[str]:
        """The target words for the tokens of a sentence, chosen together.

        Args:
            tokens: of the source script, normalised as those that it was fitted on.

        Returns:
            As many tokens.
        """
        self._find(tokens)
        # The best sum of each candidate so far, and the way back.
        paths: list[tuple[float, str]] = [(0.0, BOUNDARY)]
        ways: list[tuple[list[str], list[int]]] = []
        for token in [*tokens, BOUNDARY]:
            found = self._found.get(token)
            if found is None:
                found = _Candidates([BOUNDARY], [0.0])
            new, back = [], []
            for word, fit in zip(found.words, found.fits, strict=True):
                best, way = -math.inf, 0
                for number, (score, previous) in enumerate(paths):
                    score += self.context_weight * self.bigrams.log_next(previous, word)
                    if score > best:
                        best, way = score, number
                new.append((best + fit, word))
                back.append(way)
            paths = new
            ways.append((found.words, back))
        result: list[str] = []
        number = ways.pop()[1][0]
        for token, (words, back) in zip(reversed(tokens), reversed(ways), strict=True):
            result.append(words[number] if token in self._found else self._passed(token))
            number = back[number]
        return result[::-1]

    def candidates(self, word: str) -> list[tuple[str, float]]:
        """Target words for a source word and their scores without context, the best first; none for what is no word."""
        self._find([word])
        found = self._found.get(word)
        if found is None:
            return []
        scored = [
            (target, fit + self.frequency_weight * self.bigrams.log_probability(target))
            for target, fit in zip(found.words, found.fits, strict=True)
        ]
        return sorted(scored, key=lambda item: -item[1])

    def _best(self, word: str) -> str:
        found = self.candidates(word)
        return found[0][0] if found else self._passed(word)

    def _passed(self, token: str) -> str:
        """What is no word of the source script: signs and numbers by rules, words of other scripts as they are."""
        return token if is_word(token) else self.rules(token)

    def _is_source_word(self, token: str) -> bool:
        return is_word(token) if not self._source_script else any(map(self._in_source_script, token))

    def _in_source_script(self, character: str) -> bool:
        return character.isalpha() and _script(character) == self._source_script

    def _find(self, tokens: Iterable[str]) -> None:
        """Find the candidates of words that have none yet, all at once."""
        if len(self._found) > _CACHED:
            self._found.clear()
        new = [token for token in dict.fromkeys(tokens) if token not in self._found and self._is_source_word(token)]
        if not new:
            return
        options = {word: list(dict.fromkeys([*self._listed(word), self.rules(word)])) for word in new}
        scored = self._scored(options)
        if self.channel.is_trained:
            # Where the best spelling so far is on no list, there may be better ones that are on none.
            searched = {
                word: [
                    target for target, _ in self.channel.candidates(word, self.max_candidates, spelling=self.spelling)
                ]
                for word in new
                if scored[word][0][0] not in self.bigrams
            }
            options = {word: list(dict.fromkeys([*options[word], *found])) for word, found in searched.items()}
            scored |= self._scored(options)
        for word, found in scored.items():
            best = found[: self.max_candidates]
            self._found[word] = _Candidates([target for target, _, _ in best], [fit for _, fit, _ in best])

    def _scored(self, options: Mapping[str, list[str]]) -> dict[str, list[tuple[str, float, float]]]:
        """Target words, log P(source word | target word) and that with the word's own chance, the best first."""
        pairs = [(word, target) for word, targets in options.items() for target in targets]
        fits = iter(self.channel.log_probabilities(pairs).tolist() if self.channel.is_trained else [0.0] * len(pairs))
        scored = {
            word: [
                (target, fit, fit + self.frequency_weight * self.bigrams.log_probability(target))
                for target, fit in zip(targets, fits, strict=False)
            ]
            for word, targets in options.items()
        }
        return {word: sorted(found, key=lambda item: -item[2]) for word, found in scored.items()}

    def _listed(self, word: str) -> list[str]:
        """Target words of the same key, or that the rules the other way write like this word."""
        by_key, by_writing = self._index()
        same = self.key(word)
        return [*(by_key.get(same, []) if same else []), *by_writing.get(word, [])]

    def _index(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        if self._indexed is None:
            by_key: dict[str, list[str]] = defaultdict(list)
            by_writing: dict[str, list[str]] = defaultdict(list)
            for word in self._target_words():
                written = self.reverse_rules(word) if self.reverse_rules else ""
                for index, entry in ((by_key, self.key(word)), (by_writing, written)):
                    if entry and len(index[entry]) < _SAME_KEY:
                        index[entry].append(word)
            self._indexed = dict(by_key), dict(by_writing)
        return self._indexed

    def _target_words(self) -> list[str]:
        """The words of the target text that are of its script, the most frequent first."""
        words = self.bigrams.counts.words[1:]
        scripts = Counter(_script(word) for word in words[:1000])
        script = scripts.most_common(1)[0][0] if scripts else ""
        return [word for word in words if _script(word) == script]

    # Files

    def save(self, folder: str | Path) -> None:
        """Write all that was learned into a folder, whole or not at all; the rules and the key are not written.

        Args:
            folder: one that is there is replaced.
        """
        from safetensors.numpy import save_file

        counts = self.bigrams.counts
        with write_folder_whole(folder) as temporary:
            write_json(
                temporary / _BRIDGE,
                {
                    "source_script": self._source_script,
                    "frequency_weight": self.frequency_weight,
                    "context_weight": self.context_weight,
                    "max_candidates": self.max_candidates,
                    "channel": self.channel.to_json(),
                    "words": counts.words,
                },
            )
            arrays = {
                "counts": counts.counts, "first": counts.first, "second": counts.second, "pairs": counts.pair_counts,
            }  # fmt: skip
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary / _BIGRAMS)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        rules: Callable[[str], str],
        key: Callable[[str], str],
        reverse_rules: Callable[[str], str] | None = None,
    ) -> WordBridge:
        """A bridge as `save` wrote it.

        Args:
            folder: as given to `save`.
            rules: those that it was fitted with.
            key: that which it was fitted with.
            reverse_rules: those that it was fitted with.

        Raises:
            InputError: the folder is no saved bridge, or one of its files is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(folder)
        for name in (_BRIDGE, _BIGRAMS):
            if not (folder / name).is_file():
                raise missing_file(folder / name, remedy="Give the folder that WordBridge.save wrote.")
        try:
            value = json.loads((folder / _BRIDGE).read_text(encoding="utf-8"))
            arrays = load_file(folder / _BIGRAMS)
            bridge = cls(
                rules=rules,
                key=key,
                reverse_rules=reverse_rules,
                frequency_weight=value["frequency_weight"],
                context_weight=value["context_weight"],
                max_candidates=value["max_candidates"],
            )
            bridge._source_script = value["source_script"]
            bridge.channel = CharacterChannel.from_json(value["channel"])
            counts = BigramCounts(value["words"], arrays["counts"], arrays["first"], arrays["second"], arrays["pairs"])
            if len(counts.words) != len(counts.counts) or len(counts.first) != len(counts.second):
                raise KeyError("words")
        except (KeyError, TypeError, ValueError, SafetensorError) as error:
            raise InputError(
                "this is not a saved word bridge, or it is damaged",
                where=folder,
                remedy="Fit it again and save it with WordBridge.save.",
            ) from error
        bridge._set_counts(counts)
        return bridge

    @property
    def spelling(self) -> SpellingModel:
        """The prior of spellings, made from the most frequent target words when it is first needed."""
        if self._spelling is None:
            self._spelling = SpellingModel(self._target_words()[:_SPELLED])
        return self._spelling

    def _set_counts(self, counts: BigramCounts) -> None:
        self.bigrams = BigramModel(counts, log_unseen=lambda word: self.spelling.log_probability(word))
        self._spelling = None
        self._indexed = None
        self._found = {}


def _script(word: str) -> str:
    """The first word of the Unicode name of the first letter, such as DEVANAGARI; empty without a letter."""
    for character in word:
        if character.isalpha():
            return unicodedata.name(character, "").partition(" ")[0]
    return ""
