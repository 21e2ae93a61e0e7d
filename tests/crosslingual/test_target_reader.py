"""A model of one language reads another: spellings, one form for one word, and a folder that holds both."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import nlptransfer
from nlptransfer.crosslingual.bridged_model import BridgedTagger, BridgedTextClassifier
from nlptransfer.crosslingual.target_reader import TargetReader, by_word, normaliser, script_rules
from nlptransfer.crosslingual.transliteration import sound_key
from nlptransfer.crosslingual.word_bridge import WordBridge
from nlptransfer.embeddings.ngrams import NgramVectorizer
from nlptransfer.errors import InputError
from nlptransfer.models.linear import LinearTextClassifier

HINDI = [["यह", "किताब", "अच्छी", "है", "।"], ["वह", "घर", "जाता", "है", "।"]] * 20
URDU = [["یہ", "کتاب", "اچھی", "ہے", "۔"], ["وہ", "گھر", "جاتا", "ہے", "۔"]]


@pytest.fixture(scope="module")
def bridge() -> WordBridge:
    counts = {word: 5 for sentence in URDU for word in sentence}
    rules = script_rules("Arab", "Deva")
    return WordBridge(rules=rules, key=sound_key, reverse_rules=script_rules("Deva", "Arab")).fit(HINDI, counts)


def test_each_spelling_gives_a_word_for_a_word(bridge: WordBridge) -> None:
    assert TargetReader(("Deva", "Arab"), "none").sentences(URDU) == URDU
    by_rules = TargetReader(("Deva", "Arab"), "rules").sentences(URDU)
    assert [len(sentence) for sentence in by_rules] == [5, 5] and by_rules[0][0] == "यह"
    assert TargetReader(("Deva", "Arab"), "script", bridge=bridge).sentences(URDU) == HINDI[:2]
    assert TargetReader(("Deva", "Arab"), "script", bridge=bridge).texts(["یہ کتاب اچھی ہے۔"]) == ["यह किताब अच्छी है ।"]
    with pytest.raises(ValueError, match="needs a word bridge"):
        TargetReader(("Deva", "Arab"), "script")


def test_words_are_brought_to_one_spelling_and_never_vanish() -> None:
    assert TargetReader(("Deva", "Arab"), "none").sentences([["\u0643\u0647", "\u200c"]]) == [["کہ", "\u200c"]]
    assert normaliser("Grek")("e\u0301") == "\u00e9", "NFC, where there are no rules for a script"
    spelt: list[str] = []
    spell = by_word(lambda word: spelt.append(word) or word.upper())  # type: ignore[func-returns-value]
    assert spell([["a", "b"], ["a"]]) == [["A", "B"], ["A"]] and spelt == ["a", "b"], "each word is spelt once"


def test_scripts_without_rules_need_a_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no transliteration rules"):
        TargetReader(("Latn", "Grek"), "rules")
    table = tmp_path / "mine.tsv"
    table.write_text("α\ta\nβ\tb\n", encoding="utf-8")
    assert TargetReader(("Latn", "Grek"), "rules", table=table).sentences([["αβ"]]) == [["ab"]]
    assert script_rules("Latn", "Latn")("as it is") == "as it is"


class KnownWords:
    """A tagger that knows whether it has seen a word."""

    tags = ("known", "new")
    metadata: ClassVar[dict[str, Any]] = {"tag_column": "upos"}


def classifier(documents: list[str]) -> LinearTextClassifier:
    extractor = NgramVectorizer(ngram_range=(1, 1), min_documents=1).fit(documents)
    weights = torch.linspace(-1, 1, extractor.dim).numpy()[None]
    return LinearTextClassifier(extractor, ["neg", "pos"], [-weights[0], weights[0]], [0.0, 0.0])


def test_a_folder_holds_the_model_and_its_bridge(bridge: WordBridge, tmp_path: Path) -> None:
    own = classifier([" ".join(sentence) for sentence in HINDI])
    whole = BridgedTextClassifier(own, TargetReader(("Deva", "Arab"), "script", bridge=bridge))
    whole.save_pretrained(tmp_path / "model", card="# Mine\n")
    loaded = nlptransfer.load(tmp_path / "model")
    texts = [" ".join(sentence) for sentence in URDU]
    assert loaded.labels == ["neg", "pos"]
    assert loaded.predict(texts) == own.predict([" ".join(sentence) for sentence in HINDI[:2]])
    assert (loaded.predict_proba(texts) == whole.predict_proba(texts)).all()
    assert (loaded.predict_proba(texts) != own.predict_proba(texts)).any(), "the bridge is crossed"
    assert {path.suffix for path in (tmp_path / "model").rglob("*") if path.is_file()} == {
        ".json",
        ".safetensors",
        ".md",
    }
    (next((tmp_path / "model" / "reader").rglob("*.json"))).write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="altered"):
        nlptransfer.load(tmp_path / "model")


def test_a_table_of_the_users_own_travels_with_the_model(tmp_path: Path) -> None:
    table = tmp_path / "mine.tsv"
    table.write_text("α\ta\nβ\tb\n", encoding="utf-8")
    own = classifier(["a b", "b"])
    whole = BridgedTextClassifier(own, TargetReader(("Latn", "Grek"), "rules", table=table))
    whole.save_pretrained(tmp_path / "model")
    table.unlink()
    assert nlptransfer.load(tmp_path / "model").predict_proba(["β"]).tolist() == own.predict_proba(["b"]).tolist()


def test_a_bridged_tagger_takes_lists_of_words() -> None:
    tagger = BridgedTagger(KnownWords(), TargetReader(("Deva", "Arab"), "rules"))
    assert tagger.tags == ["known", "new"] and tagger.metadata == {"tag_column": "upos"}
    with pytest.raises(TypeError, match="lists of words"):
        tagger.predict(["یہ کتاب"])  # type: ignore[list-item]
