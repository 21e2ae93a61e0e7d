"""Which source language or corpus for a target: candidates ranked by what can be measured without target labels."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from nlptransfer.data.splits import tag_names
from nlptransfer.errors import InputError
from nlptransfer.transferability.vocabulary_overlap import vocabulary_overlap

Bridge = Callable[[str], str]
"""A word in one spelling -> in another, such as a transliteration; words that need none come back as they are."""

WEIGHTS = {
    "script": 1.0,
    "words": 1.0,
    "character n-grams": 1.0,
    "word order": 1.0,
    "type-token ratio": 1.0,
    "size": 1.0,
    "vector space": 1.0,
    "tags": 1.0,
}
"""What a rank by each criterion counts in the mean: all the same, for nobody has measured better weights for every
task. Lin et al. 2019 learn them, for each task others; word overlap and the type-token ratio lead for tagging (Rice et
al. 2025)."""

STEPS = {
    "script": 0.01,
    "words": 0.01,
    "character n-grams": 0.01,
    "word order": 0.05,
    "type-token ratio": 0.01,
    "tags": 0.01,
}
"""Values are ranked when rounded to multiples of these, so that a loan word in a thousand decides no rank. A profile of
frequent words has a standard error of some 0.02 at 500 sentences, so that parts of one corpus may differ by 0.03.
Sizes are ranked by the nearest power of 2; distances of vector spaces as they are."""

_SPELLING = ("script", "words", "character n-grams")
_SIMILARITIES = (*_SPELLING, "size")  # of the others, less is better
_NGRAM = 3
_FREQUENT_WORDS = 20
_EDGE = 3
_MAX_TTR_WORDS = 10_000


class SpellingOverlap(NamedTuple):
    """How much a candidate's spelling has in common with the target's, each 0..1.

    Attributes:
        script: letters in the same scripts, in like shares.
        words: the target's running words that the candidate has too.
        ngrams: 1 - the Jensen-Shannon divergence of the character n-grams.
    """

    script: float
    words: float
    ngrams: float


@dataclass(frozen=True)
class RankedSource:
    """A candidate, its place and why.

    Attributes:
        name: of the candidate.
        mean_rank: weighted mean of its ranks, from 1; lower is better.
        values: what was measured, by criterion; spelling after the bridge, where there is one.
        ranks: its rank by each criterion, from 1; the mean of the places where several are alike.
        as_written: its spelling overlap without a bridge.
        reasons: a sentence for each criterion, what speaks most for it first.
    """

    name: str
    mean_rank: float
    values: dict[str, float]
    ranks: dict[str, float]
    as_written: SpellingOverlap
    reasons: tuple[str, ...]


def rank_sources(
    target: Any,
    candidates: Mapping[str, Any],
    *,
    bridges: Mapping[str, Bridge] | None = None,
    vector_distances: Mapping[str, float] | None = None,
    target_tag_shares: Mapping[str, float] | None = None,
) -> list[RankedSource]:
    r"""Rank candidate sources for a target by measured overlap, and say why.

    Each candidate gets a rank by each criterion, and the weighted mean of its ranks decides:

    .. math:: \bar r_j = \sum_c w_c\, r_{cj} \Big/ \sum_c w_c

    with the weights of `WEIGHTS`, which are all 1. The criteria are the script, word and character n-gram overlap of
    `spelling_overlap`, after the bridge where one is given; the distance of `frequent_word_profile`s; the distance of
    `type_token_ratio`s; size; and, where given, the distance of vector spaces and of tag distributions. Values that
    are alike, by `STEPS`, share a rank.

    It is a rule of thumb, not a forecast. A mean of ranks knows not by how much one candidate leads, and a rank says
    nothing about whether the first is good enough: read the values, and run it against the second. Genre is in all of
    it: a corpus of news is nearer to news, whatever its language.

    Args:
        target: corpus with ``tokens`` (lists of words); its labels are not read.
        candidates: by name, corpora with ``tokens``, and ``tags`` where `target_tag_shares` are given.
        bridges: by candidate, a function that brings its words and the target's to one spelling. It is applied to the
            words of both, once to each distinct one.
        vector_distances: by candidate, a distance between its vector space and the target's, such as eigenvector
            similarity; of all of them or of none, and of one measure.
        target_tag_shares: share of each tag in the target, where some of its labels are known and may be used.

    Returns:
        The candidates, the best first; equal ones in the order given.

    Raises:
        InputError: there are no candidates, a corpus has no words or no long enough sentences, a name is not that of
            a candidate, or a vector distance is missing.

    Reference: the criteria: Lin et al. 2019, "Choosing transfer languages for cross-lingual learning",
    https://aclanthology.org/P19-1301 (word and subword overlap, type-token ratio, size); for tagging Rice et al. 2025,
    https://arxiv.org/abs/2503.19979. The rule is ours, and so is the stand-in for word order.

    Compare with: `recommend_strategy`, which asks how to train, not on what.

    Example:
        >>> ranked = rank_sources(urdu, {"hindi": hindi, "english": english}, bridges={"hindi": romanise})
        >>> print(format_sources(ranked))
    """
    _check_names(candidates, bridges, vector_distances)
    target_sentences = _sentences(target, "the target")
    sentences = {name: _sentences(corpus, name) for name, corpus in candidates.items()}
    sizes = {name: sum(map(len, held)) for name, held in sentences.items()}
    num_words = min(_MAX_TTR_WORDS, *sizes.values(), sum(map(len, target_sentences)))
    profile, ratio = frequent_word_profile(target_sentences), type_token_ratio(target_sentences, num_words)
    values, as_written = {}, {}
    for name, held in sentences.items():
        as_written[name] = spelling_overlap(held, target_sentences)
        bridge = (bridges or {}).get(name)
        spelling = as_written[name] if bridge is None else spelling_overlap(held, target_sentences, bridge=bridge)
        values[name] = {
            **dict(zip(_SPELLING, spelling, strict=True)),
            "word order": float(np.abs(frequent_word_profile(held) - profile).mean()),
            "type-token ratio": (1 - type_token_ratio(held, num_words) / ratio) ** 2,
            "size": float(sizes[name]),
        }
        if vector_distances is not None:
            values[name]["vector space"] = float(vector_distances[name])
        if target_tag_shares is not None:
            values[name]["tags"] = _tag_divergence(candidates[name], name, target_tag_shares)
    ranks = _ranks(values)
    ranked = [
        RankedSource(
            name=name,
            mean_rank=float(
                np.average(list(ranks[name].values()), weights=[WEIGHTS[criterion] for criterion in ranks[name]])
            ),
            values=values[name],
            ranks=ranks[name],
            as_written=as_written[name],
            reasons=_reasons(
                name,
                ranks,
                values[name],
                dict(zip(_SPELLING, as_written[name], strict=True)) if name in (bridges or {}) else {},
            ),
        )
        for name in candidates
    ]
    return sorted(ranked, key=lambda source: source.mean_rank)


def format_sources(ranked: Sequence[RankedSource]) -> str:
    """The ranking for the screen: a table of the values, then the reasons of each candidate.

    Args:
        ranked: from `rank_sources`.

    Returns:
        Lines of text.
    """
    criteria = list(ranked[0].values) if ranked else []
    rows = [["", "mean rank", *criteria]]
    for source in ranked:
        cells = [_number(criterion, source.values[criterion]) for criterion in criteria]
        rows.append([source.name, f"{source.mean_rank:.2f}", *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    for source in ranked:
        lines += ["", f"{source.name}:", *(f"- {reason}" for reason in source.reasons)]
    return "\n".join(lines)


def spelling_overlap(
    source_sentences: Iterable[Sequence[str]],
    target_sentences: Iterable[Sequence[str]],
    *,
    bridge: Bridge | None = None,
) -> SpellingOverlap:
    r"""How much of the target's spelling a source has seen: scripts, words and character n-grams.

    With :math:`P` and :math:`Q` the shares of the scripts among letters, K and JSD as in `vocabulary_overlap`:

    .. math:: \text{script} = \sum_s \min(P_s, Q_s), \qquad \text{words} = K_{\text{words}}, \qquad
              \text{ngrams} = 1 - \mathrm{JSD}_{\text{trigrams}}

    Words without a letter are left out, since digits and punctuation are shared by most languages. Case is folded.
    Trigrams are of running words, with a mark at either end.

    Args:
        source_sentences: lists of words.
        target_sentences: likewise.
        bridge: applied to the words of both, once to each distinct one.

    Returns:
        The three numbers.

    Raises:
        InputError: a side has no words with a letter.

    Compare with: `measure_fertility`, for the subwords of an encoder that is at hand.

    Example:
        >>> spelling_overlap([["das", "Haus"]], [["the", "house"]]).script
        1.0
    """
    counts = [_word_counts(sentences, bridge) for sentences in (source_sentences, target_sentences)]
    scripts = [script_shares(count) for count in counts]
    words = vocabulary_overlap(*_as_rows(*counts))
    ngrams = vocabulary_overlap(*_as_rows(*map(_ngram_counts, counts)))
    return SpellingOverlap(
        script=sum(min(share, scripts[1].get(script, 0.0)) for script, share in scripts[0].items()),
        words=words.known_token_share,
        ngrams=1 - ngrams.jensen_shannon,
    )


def script_shares(counts: Mapping[str, float]) -> dict[str, float]:
    """The share of each script among the letters and vowel signs of counted words.

    A script is the first word of a character's Unicode name: ``LATIN``, ``DEVANAGARI``, ``ARABIC``, ``CJK``.

    Args:
        counts: how often each word occurs.

    Returns:
        Shares that sum to 1, the largest first; empty where there are no letters.

    Example:
        >>> script_shares({"hai": 3, "है": 1})
        {'LATIN': 0.818..., 'DEVANAGARI': 0.181...}
    """
    totals: dict[str, float] = {}
    for word, count in counts.items():
        for character in word:
            if script := _script(character):
                totals[script] = totals.get(script, 0) + count
    whole = sum(totals.values())
    return {script: totals[script] / whole for script in sorted(totals, key=totals.__getitem__, reverse=True)}


def frequent_word_profile(sentences: Iterable[Sequence[str]]) -> np.ndarray:
    """How often one of the 20 most frequent words stands at each of the first and last three places of a sentence.

    Most frequent words are function words, and they stand first where verbs come before objects and prepositions
    before nouns, last where it is the other way round; where endings do their work they are few. So the profile tells
    something of word order and of morphology without labels and whatever the script. Words without a letter are left
    out, as are sentences of fewer than six words. A stand-in: it knows one thing of grammar, and genre tells in it.

    Args:
        sentences: lists of words; some hundred at least, for one share has a standard error of up to 0.5 / root of
            their number.

    Returns:
        (6,) shares, 0..1: of the first, second, third, third last, second last and last word.

    Raises:
        InputError: no sentence has six words.

    Reference: Gervain et al. 2008, "Bootstrapping word order in prelexical infants" (frequent words come
    first in Italian utterances and last in Japanese ones), https://doi.org/10.1016/j.cogpsych.2007.12.001. To compare
    corpora by it is ours.

    Example:
        >>> frequent_word_profile(english["tokens"]).round(2)
        array([0.15, 0.28, 0.3 , 0.34, 0.32, 0.06])
    """
    held = [[word.casefold() for word in sentence if _has_letter(word)] for sentence in sentences]
    held = [sentence for sentence in held if len(sentence) >= 2 * _EDGE]
    if not held:
        raise InputError(
            "there are no sentences to tell the place of frequent words by",
            expected=f"some of {2 * _EDGE} words or more",
            found="none",
            remedy="Give running text in sentences, not word lists.",
        )
    counts = Counter(word for sentence in held for word in sentence)
    frequent = {word for word, _ in counts.most_common(_FREQUENT_WORDS)}
    edges = np.array([[word in frequent for word in (*sentence[:_EDGE], *sentence[-_EDGE:])] for sentence in held])
    profile: np.ndarray = edges.mean(axis=0)
    return profile


def type_token_ratio(sentences: Iterable[Sequence[str]], num_words: int) -> float:
    """Distinct words / running words, over the first so many; it falls with their number, and rises with inflection.

    Args:
        sentences: lists of words; those without a letter are left out.
        num_words: how many to count, the same wherever ratios are compared.

    Returns:
        0..1.

    Raises:
        InputError: there are fewer words than that.

    Reference: Lin et al. 2019, https://aclanthology.org/P19-1301.
    """
    words = [word.casefold() for sentence in sentences for word in sentence if _has_letter(word)][:num_words]
    if not words or len(words) < num_words:
        raise InputError("too few words for a type-token ratio", expected=f"{num_words:,}", found=f"{len(words):,}")
    return len(set(words)) / len(words)


def _check_names(
    candidates: Mapping[str, Any],
    bridges: Mapping[str, Bridge] | None,
    vector_distances: Mapping[str, float] | None,
) -> None:
    if not candidates:
        raise InputError("there are no candidates to rank", expected="at least one corpus", found="none")
    for what, given in (("bridge", bridges), ("vector distance", vector_distances)):
        unknown = [name for name in given or () if name not in candidates]
        if unknown:
            raise InputError(
                f"there is a {what} for {unknown[0]!r}, which is no candidate",
                expected="one of " + ", ".join(candidates),
            )
    missing = [name for name in candidates if vector_distances is not None and name not in vector_distances]
    if missing:
        raise InputError(
            f"the vector distance of {missing[0]!r} is missing",
            expected="one for each candidate",
            remedy="Leave them all out if some can't be had: a mean of unlike ranks would not be fair.",
        )


def _sentences(corpus: Any, name: str) -> list[list[str]]:
    """The words with a letter of each sentence."""
    columns = getattr(corpus, "column_names", None) or list(corpus)
    if "tokens" not in columns:
        raise InputError(
            "the corpus has no tokens", where=name, expected="a column of word lists", found=", ".join(columns)
        )
    sentences = [[word for word in sentence if _has_letter(word)] for sentence in corpus["tokens"]]
    if not any(sentences):
        raise InputError("the corpus has no words", where=name, expected="at least one with a letter", found="none")
    return sentences


def _word_counts(sentences: Iterable[Sequence[str]], bridge: Bridge | None) -> Counter[str]:
    written = Counter(word for sentence in sentences for word in sentence if _has_letter(word))
    counts: Counter[str] = Counter()
    for word, count in written.items():
        counts[(word if bridge is None else bridge(word)).casefold()] += count
    return counts


def _ngram_counts(counts: Mapping[str, int]) -> Counter[str]:
    ngrams: Counter[str] = Counter()
    for word, count in counts.items():
        marked = f"\x02{word}\x03"  # characters that no text holds
        for start in range(len(marked) - _NGRAM + 1):
            ngrams[marked[start : start + _NGRAM]] += count
    return ngrams


def _as_rows(source: Mapping[str, int], target: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """(1, V) each, over the terms of both."""
    terms = list({**source, **target})
    first, second = (np.array([[counts.get(term, 0) for term in terms]], dtype=np.int64) for counts in (source, target))
    return first, second


def _tag_divergence(corpus: Any, name: str, target_tag_shares: Mapping[str, float]) -> float:
    """Jensen-Shannon divergence of the tags, in bits."""
    from scipy.spatial.distance import jensenshannon

    if "tags" not in corpus.column_names:
        raise InputError("the corpus has no tags to compare with the target's", where=name)
    names = tag_names(corpus)
    counts = Counter(names[tag] for tags in corpus["tags"] for tag in tags if tag >= 0)
    every = list({**counts, **target_tag_shares})
    distance = jensenshannon([counts[tag] for tag in every], [target_tag_shares.get(tag, 0) for tag in every], base=2)
    return float(distance**2)


def _ranks(values: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """By candidate and criterion, from 1 for the best; like values share the mean of their places."""
    from scipy.stats import rankdata

    names = list(values)
    ranks: dict[str, dict[str, float]] = {name: {} for name in names}
    for criterion in values[names[0]]:
        column = np.array([values[name][criterion] for name in names])
        if criterion == "size":
            column = np.round(np.log2(column))
        elif criterion in STEPS:
            column = np.round(column / STEPS[criterion])
        for name, rank in zip(names, rankdata(-column if criterion in _SIMILARITIES else column), strict=True):
            ranks[name][criterion] = float(rank)
    return ranks


def _reasons(
    name: str, ranks: Mapping[str, Mapping[str, float]], values: Mapping[str, float], written: Mapping[str, float]
) -> tuple[str, ...]:
    """A sentence for each criterion; `written` holds what a bridge changed, as it was before."""
    texts = {
        "script": "{:.0%} of the letters are of scripts that both write",
        "words": "{:.1%} of the target's running words are known",
        "character n-grams": "the character trigrams are alike by {:.2f} of 1",
        "word order": "frequent words stand at the edges of sentences as often to within {:.2f}",
        "type-token ratio": "the type-token ratios differ by {:.2f}, squared and relative",
        "size": "{:,.0f} words to learn from",
        "vector space": "the vector spaces are {:.3g} apart",
        "tags": "the distributions of tags diverge by {:.2f} bits",
    }
    telling, idle = [], []
    for criterion in sorted(values, key=lambda criterion: ranks[name][criterion]):
        text = texts[criterion].format(values[criterion])
        if criterion in written:
            text += f" after the bridge ({_number(criterion, written[criterion])} as written)"
        rank = ranks[name][criterion]
        if len(ranks) > 1 and all(other[criterion] == rank for other in ranks.values()):
            idle.append(f"{criterion}, the same for all: {text}.")
        else:
            telling.append(f"{criterion}, rank {rank:g} of {len(ranks)}: {text}.")
    return (*telling, *idle)


def _number(criterion: str, value: float) -> str:
    if criterion == "size":
        return f"{value:,.0f}"
    return f"{value:.3g}" if criterion == "vector space" else f"{value:.3f}"


def _has_letter(word: str) -> bool:
    return any(map(str.isalpha, word))


@cache
def _script(character: str) -> str:
    """Empty for what is neither a letter nor a mark that goes with one."""
    if unicodedata.category(character)[0] not in "LM":
        return ""
    return unicodedata.name(character, "UNNAMED").split(" ", 1)[0]
