"""How a model of one language comes to read another: its words, written as the model knows them."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from nlptransfer.crosslingual.script_normalisation import NORMALISED_SCRIPTS, normalise
from nlptransfer.crosslingual.transliteration import make_transliterator, read_table, sound_key
from nlptransfer.crosslingual.word_bridge import WordBridge

Spelling = Literal["none", "rules", "script"]

_BRIDGE = "word_bridge"
_TABLES = ("table.tsv", "reverse_table.tsv")


class TargetReader:
    """Writes the target's words as a model of the source language reads them.

    All words are brought to one spelling first and last: the normalisation of their script, or NFC where this toolkit
    has none.

    Args:
        scripts: ISO 15924 codes of the source's script and the target's.
        spelling: ``none``: in the target's own script; ``rules``: letter by letter in the source's; ``script``: as
            words that the source's text knows, by `bridge`.
        table: file of rules from the target's script to the source's, see `read_table`; None: the built-in ones.
        reverse_table: file of rules the other way; likewise.
        bridge: from the target's words to the source's; for ``script``.

    Raises:
        InputError: there are no rules for these scripts, and they are needed.
        ValueError: ``script`` without a bridge.

    Compare with: a model that was trained on the source's text as the target would write it, which needs no reader.

    Example:
        >>> reader = TargetReader(("Deva", "Arab"), "rules")
        >>> reader.sentences([["یہ", "کتاب", "میری", "ہے", "۔"]])
        [['यह', 'किताब', 'मेरी', 'है', '।']]
    """

    def __init__(
        self,
        scripts: tuple[str, str],
        spelling: Spelling,
        *,
        table: str | Path | None = None,
        reverse_table: str | Path | None = None,
        bridge: WordBridge | None = None,
    ) -> None:
        if spelling == "script" and bridge is None:
            raise ValueError("the spelling 'script' needs a word bridge")
        self.scripts = scripts
        self.spelling = spelling
        self.tables = (table, reverse_table)
        self.bridge = bridge
        own = normaliser(scripts[1 if spelling == "none" else 0])
        self._rules = script_rules(scripts[1], scripts[0], table) if spelling == "rules" else None
        self._last = by_word(own if self._rules is None else lambda word: own(self._spelt(word)))

    def _spelt(self, word: str) -> str:
        assert self._rules is not None
        return self._rules(word)

    def sentences(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """As many words in as out.

        Args:
            sentences: lists of words of the target.

        Returns:
            The words as the model reads them.
        """
        if self.spelling == "script":
            assert self.bridge is not None
            sentences = [self.bridge.sentence(sentence) for sentence in sentences]
        return self._last(sentences)

    def texts(self, texts: Sequence[str]) -> list[str]:
        """Running texts as the model reads them, their tokens with spaces between.

        Args:
            texts: of the target.
        """
        from nlptransfer.data.words import split_tokens

        return [" ".join(words) for words in self.sentences([split_tokens(text) for text in texts])]

    def save(self, folder: Path) -> None:
        """Write the tables and the bridge beside a model; `to_config` has the rest.

        Args:
            folder: one that is there.
        """
        for path, name in zip(self.tables, _TABLES, strict=True):
            if path is not None:
                shutil.copyfile(path, folder / name)
        if self.bridge is not None:
            self.bridge.save(folder / _BRIDGE)

    def to_config(self) -> dict[str, Any]:
        """What the model's configuration says of it."""
        return {"scripts": list(self.scripts), "spelling": self.spelling}

    @classmethod
    def load(cls, folder: Path, config: dict[str, Any]) -> TargetReader:
        """The reader as `save` and `to_config` left it.

        Args:
            folder: as given to `save`.
            config: as `to_config` gave it.

        Raises:
            InputError: a file is damaged.
        """
        source, target = config["scripts"]
        table, reverse = (folder / name if (folder / name).exists() else None for name in _TABLES)
        bridge = None
        if config["spelling"] == "script":
            bridge = WordBridge.load(
                folder / _BRIDGE,
                rules=script_rules(target, source, table),
                key=sound_key,
                reverse_rules=script_rules(source, target, reverse),
            )
        return cls((source, target), config["spelling"], table=table, reverse_table=reverse, bridge=bridge)


def script_rules(source: str, target: str, table: str | Path | None = None) -> Callable[[str], str]:
    """Rules that write one word of a script in another.

    Args:
        source: ISO 15924 code of the script that is read.
        target: that of the script that is written.
        table: file of rules; None: the built-in ones.

    Returns:
        Word -> word. Within one script words stay as they are.

    Raises:
        InputError: there are no rules for these scripts, or the table is faulty.

    Example:
        >>> script_rules("Arab", "Deva")("کتاب")
        'किताब'
    """
    if table is not None:
        return read_table(table).word
    if source == target:
        return lambda word: word
    return make_transliterator(source, target).word


def normaliser(script: str) -> Callable[[str], str]:
    """One spelling for one word: the normalisation of a script, or NFC where this toolkit has none for it.

    Args:
        script: ISO 15924 code.

    Example:
        >>> normaliser("Arab")("\\u0643\\u0647")
        'کہ'
    """
    if script in NORMALISED_SCRIPTS:
        return lambda word: normalise(word, script)
    return lambda word: unicodedata.normalize("NFC", word)


def by_word(spell: Callable[[str], str]) -> Callable[[Sequence[Sequence[str]]], list[list[str]]]:
    """A way of spelling words, for sentences; each distinct word is spelt once, and none becomes empty.

    Args:
        spell: word -> word.

    Example:
        >>> by_word(str.upper)([["a", "b"], ["a"]])
        [['A', 'B'], ['A']]
    """
    known: dict[str, str] = {}

    def spelt(word: str) -> str:
        if word not in known:
            known[word] = spell(word) or word
        return known[word]

    return lambda sentences: [[spelt(word) for word in sentence] for sentence in sentences]
