"""The ways of writing words of one language in the script of the other, and what each makes of the test pairs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from nlptransfer.crosslingual.word_bridge import WordBridge
    from nlptransfer.evaluation.document_predictions import DocumentPredictions
    from nlptransfer.experiments import Cell
    from nlptransfer.recipes.bilingual_lexicon import Settings
    from nlptransfer.recipes.lexicon_data import TwoLanguages

RULES, LEARNED, LEARNED_WITH_PAIRS = "rules", "learned", "learned_with_pairs"


class Writing:
    """How the words of each language are written in the other's script.

    Args:
        settings: the recipe's.
        languages: the data.

    Attributes:
        directions: (source, written) sides, 0 or 1, that there are rules for; none where there are no rules.
        key: gives words of both languages that may be one word the same key; None without rules.
        note: why something is left out; empty where nothing is.

    Raises:
        InputError: a table is faulty.
    """

    def __init__(self, settings: Settings, languages: TwoLanguages) -> None:
        from nlptransfer.crosslingual.transliteration import sound_key

        self._languages = languages
        source, target = scripts = languages.scripts
        self._rules: dict[tuple[int, int], Callable[[str], str]] = {}
        self.key: Callable[[str], str] | None = None
        self.note = ""
        if source == target:
            self.note = f"Both languages are in {source}: there is nothing to transliterate."
            return
        for sides, table in (((0, 1), settings.reverse_table), ((1, 0), settings.table)):
            rules = _rules_for(scripts[sides[0]], scripts[sides[1]], table, settings.data_dir)
            if rules is not None:
                self._rules[sides] = _spelt(rules, languages.normal[sides[1]])
        if not self._rules:
            self.note = (
                f"There are no rules between {source} and {target}, so that transliteration is left out: supply "
                "--table or --reverse_table."
            )
        elif settings.table is None and settings.reverse_table is None:
            self.key = sound_key
        else:
            # Words of the script that the table writes have no letter that it reads, and stay as they are.
            self.key = self._rules.get((1, 0)) or self._rules[0, 1]

    @property
    def directions(self) -> tuple[tuple[int, int], ...]:
        """Sides that are read and written."""
        return tuple(self._rules)

    def name(self, sides: tuple[int, int]) -> str:
        """A direction by its scripts, as the split is called."""
        scripts = self._languages.scripts
        return f"{scripts[sides[0]]}_to_{scripts[sides[1]]}"

    def test_pairs(self, sides: tuple[int, int]) -> list[tuple[str, str]]:
        """Words and how they are written, none of which is in a pair that was learnt from."""
        known = {word for pair in self._languages.train.pairs for word in pair}
        kept = [pair for pair in self._languages.test.pairs if not known.intersection(pair)]
        return [(pair[sides[0]], pair[sides[1]]) for pair in kept]

    def is_one_word(self, sides: tuple[int, int], word: str, written: str) -> bool:
        """Whether a pair may be one word in two scripts, and not two words of one meaning: the rules are half right.

        Args:
            sides: that are read and written.
            word: a word as it is read.
            written: the other word of the pair.
        """
        from nlptransfer.evaluation.transliteration_scores import edit_distance

        return 2 * edit_distance(self._rules[sides](word), written) <= len(written)

    def run(self, system: str, seed: int, folder: Path) -> Cell[DocumentPredictions]:
        """What one way makes of the test pairs in each direction.

        Args:
            system: `RULES`, `LEARNED` or `LEARNED_WITH_PAIRS`.
            seed: under which it is filed; nothing is drawn.
            folder: the cell's; nothing is kept there.
        """
        from nlptransfer.evaluation.document_predictions import DocumentPredictions
        from nlptransfer.experiments import Cell

        started = time.perf_counter()
        parts = []
        for sides in self.directions:
            pairs = self.test_pairs(sides)
            words = [word for word, _ in pairs]
            if system == RULES:
                written = [self._rules[sides](word) for word in words]
            else:
                normal = self._languages.normal[sides[1]]
                written = [normal(word) for word in self._fit(sides, with_pairs=system != LEARNED).words(words)]
            parts.append(
                DocumentPredictions(system, self.name(sides), seed, words, [gold for _, gold in pairs], written)
            )
        return Cell(parts, [], time.perf_counter() - started)

    def _fit(self, sides: tuple[int, int], *, with_pairs: bool) -> WordBridge:
        """A bridge learnt from the words of the vectors, and from the pairs of one word that may be learnt from."""
        from nlptransfer.crosslingual.word_bridge import WordBridge

        read, written = ((self._languages.source, self._languages.target)[side].words for side in sides)
        assert self.key is not None
        bridge = WordBridge(rules=self._rules[sides], key=self.key, reverse_rules=self._rules.get((sides[1], sides[0])))
        pairs = [(pair[sides[0]], pair[sides[1]]) for pair in self._languages.train.pairs] if with_pairs else []
        pairs = [pair for pair in pairs if self.is_one_word(sides, *pair)]
        counts = counts_by_rank(written)
        sentences = ([word] for word, count in counts.items() for _ in range(count))
        return bridge.fit(sentences, counts_by_rank(read), pairs=pairs)


def counts_by_rank(words: Sequence[str]) -> dict[str, int]:
    """How often each word of a list may occur, by Zipf's law: the number of words by the rank.

    Args:
        words: V distinct words, the most frequent first, as in most files of vectors.

    Example:
        >>> counts_by_rank(["the", "of", "cat"])
        {'the': 3, 'of': 1, 'cat': 1}
    """
    return {word: len(words) // rank for rank, word in enumerate(words, start=1)}


def _rules_for(source: str, target: str, table: str | None, data_dir: str | None) -> Callable[[str], str] | None:
    """Rules from a table, or else built-in ones, or else None."""
    from nlptransfer.crosslingual.target_reader import script_rules
    from nlptransfer.data.text_lines import find_text_source

    if table is not None:
        return script_rules(source, target, find_text_source(table, data_dir=data_dir).path)
    try:
        return script_rules(source, target)
    except InputError:
        return None


def _spelt(rules: Callable[[str], str], normal: Callable[[str], str]) -> Callable[[str], str]:
    return lambda word: normal(rules(word))
