"""How one script spells the words of another: a learned character model, with or without given pairs of words."""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nlptransfer.crosslingual.spelling_model import WORD_END, WORD_START, SpellingModel

_ANY = "\x00"  # instead of a neighbour: whichever
_LONGEST_WORD = 30  # characters of a training pair: what is longer is no word
_BATCH = 20_000  # pairs at once
_FLOOR_SHARES = (0.25, 0.6, 0.1, 0.05)  # of chunks of 0, 1, 2 and 3 characters, before anything is learned
_SAME_KEY = 20  # target words with the key of a source word that are looked at, the most frequent ones
_UNLIKE_SHARE = 0.1  # of source words that are none of the target words they were paired with
_UNLIKE_ORDER = 3  # of the n-grams that give such a word its chance
_UNSURE_SHARE = 0.05  # of the prior of target words that the rules don't join with a source word, but do others
_SURE_ROUNDS = 3  # EM rounds with the sure pairs alone
_SMALLEST_COUNT, _SMALLEST_TOTAL = 0.01, 0.5  # expected uses of a chunk in a context and in all; less is not kept
_MOST_OPTIONS = 15  # target characters tried in the search for a source chunk
_LEAST_CHANCE = 0.01  # of the most frequent one's, below which a target character is not tried
_LEAST_LIKELY = -6.0  # log chance of a chunk, below which the search leaves a target character out
_FAR_BEHIND = 8.0  # nats behind the best spelling, in the search
_MOST_LEFT_OUT = 2  # target characters in a row that the search lets the source leave out


class _Word(NamedTuple):
    """A training word: a source word with the target words that it may be, and their log priors."""

    source: str
    targets: list[str]
    log_priors: list[float]
    sure: list[bool]  # whether the first rounds see the target word
    weight: float = 1.0


class CharacterChannel:
    r"""The probability of a source spelling :math:`x` given a target spelling :math:`y`, summed over segmentations.

    .. math:: P(x \mid y) = \sum_{x_1 \ldots x_J = x} \prod_{j=1}^{J} P(x_j \mid y_j, y_{j-1}, y_{j+1})

    over all ways to cut :math:`x` into as many chunks as :math:`y` has characters, of 0 to `longest_chunk` characters
    each. What a character is spelled with depends on its neighbours, of which the ends of the word are two:

    .. math::
        P(z \mid c, l, r) = \frac{n(z, lcr) + \alpha \frac12 [P(z \mid lc) + P(z \mid cr)]}{n(lcr) + \alpha}, \qquad
        P(z \mid lc) = \frac{n(z, lc) + \alpha P(z \mid c)}{n(lc) + \alpha}, \qquad
        P(z \mid c) = \frac{n(z, c) + \alpha u(z)}{n(c) + \alpha}

    with expected counts :math:`n` from EM, and a floor :math:`u` that gives every chunk of a length the same chance, so
    that nothing is impossible but a source word longer than `longest_chunk` times its target word.

    Ours: the paper joins chunks of both sides, as does Bisani and Ney's joint-sequence model. Measured on Urdu and
    Hindi, chunks of two target characters spread the few pairs over too many of them; neighbours that are backed off
    from say the same (ک before ھ) with less.

    Args:
        longest_chunk: source characters that one target character is spelled with, at most.
        smoothing: :math:`\alpha`, in words.

    Attributes:
        log_likelihoods: of the training words, mean, before each EM round of the last `fit`.

    Reference:
        Jiampojamarn, Kondrak and Sherif 2007, "Applying many-to-many alignments and hidden Markov models to
        letter-to-phoneme conversion", section 2, https://aclanthology.org/N07-1047; Bisani and Ney 2008,
        "Joint-sequence models for grapheme-to-phoneme conversion", https://doi.org/10.1016/j.specom.2008.01.002;
        the smoothing: MacKay and Peto 1995, "A hierarchical Dirichlet language model".

    Compare with:
        rules (`make_transliterator`), which need no training, and give one spelling with what the source leaves out
        left out.

    Example:
        >>> channel = CharacterChannel().fit([("ktb", "kitab"), ("klm", "kalam"), ("mkn", "makan")])
        >>> channel.log_probability("klb", "kalab") > channel.log_probability("klb", "kitab")
        True
    """

    def __init__(self, *, longest_chunk: int = 2, smoothing: float = 3.0) -> None:
        if not 1 <= longest_chunk < len(_FLOOR_SHARES):
            raise ValueError(f"longest_chunk must be 1 to {len(_FLOOR_SHARES) - 1}, found {longest_chunk}")
        if smoothing <= 0:
            raise ValueError(f"smoothing must be above 0, found {smoothing}")
        self.longest_chunk = longest_chunk
        self.smoothing = smoothing
        self.log_likelihoods: list[float] = []
        self._set_counts({}, alphabet_size=1)

    # Training

    def fit(
        self, pairs: Sequence[tuple[str, str]], *, max_rounds: int = 20, smallest_gain: float = 1e-3
    ) -> CharacterChannel:
        """Learn from pairs of words that spell the same word.

        Args:
            pairs: source and target spelling. Pairs that can't be joined, and those of over 30 characters, are left
                out.
            max_rounds: of EM.
            smallest_gain: of the mean log likelihood in a round, below which no further round is made.

        Returns:
            Itself.
        """
        return self._fit(
            [_Word(source, [target], [0.0], [True]) for source, target in pairs],
            max_rounds=max_rounds,
            smallest_gain=smallest_gain,
        )

    def fit_without_pairs(
        self,
        source_counts: Mapping[str, int],
        target_counts: Mapping[str, int],
        *,
        rules: Callable[[str], str],
        key: Callable[[str], str],
        reverse_rules: Callable[[str], str] | None = None,
        known_pairs: Sequence[tuple[str, str]] = (),
        max_words: int = 5_000,
        max_rounds: int = 20,
        smallest_gain: float = 1e-3,
    ) -> CharacterChannel:
        r"""Learn from the two languages' word lists.

        A source word may be any target word that has its key, or that the rules join with it, in either direction.
        Which of them it is, is learned in the same EM as how it is spelled, from

        .. math:: \sum_x \log \Big[ \sum_{y} P(x \mid y) \min(f_x, f_y) + 0.1\, P(x) \Big]

        with the words' shares of their texts :math:`f`: what occurs once can't be how a frequent word is spelled.
        The first rounds see the pairs that the rules join alone, lest frequent words draw all others to them; the last
        term, with a model of source spellings, is for words that none of their target words is the same word as.

        Args:
            source_counts: how often each source word occurs.
            target_counts: how often each target word occurs; P(y).
            rules: writes a source word in the target script.
            key: gives source and target words that may be the same word the same key, such as their consonants.
            reverse_rules: writes a target word in the source script.
            known_pairs: source and target spelling of the same word, where some are known.
            max_words: source words that are used, the most frequent that meet a target word.
            max_rounds: of EM.
            smallest_gain: of the mean log likelihood in a round, below which no further round is made.

        Returns:
            Itself; untrained where no words meet.
        """
        source_total, target_total = sum(source_counts.values()), sum(target_counts.values())
        met = words_that_meet(
            source_counts, target_counts, rules=rules, key=key, reverse_rules=reverse_rules, max_words=max_words
        )
        words = []
        # Frequent words count more, if less than by their frequency, and a word counts once on average.
        mean_log = float(np.mean([math.log(1 + source_counts[source]) for source in met])) if met else 1.0
        for source, targets in met.items():
            share = source_counts[source] / source_total
            log_priors = [math.log(min(target_counts[target] / target_total, share)) for target in targets]
            if any(targets.values()):
                # The rules are mostly right where they meet a word.
                unsure = math.log(_UNSURE_SHARE)
                log_priors = [p if sure else p + unsure for p, sure in zip(log_priors, targets.values(), strict=True)]
            weight = math.log(1 + source_counts[source]) / mean_log
            words.append(_Word(source, list(targets), log_priors, list(targets.values()), weight))
        words += [_Word(source, [target], [0.0], [True]) for source, target in known_pairs]
        return self._fit(words, max_rounds=max_rounds, smallest_gain=smallest_gain)

    def _fit(self, words: Sequence[_Word], *, max_rounds: int, smallest_gain: float) -> CharacterChannel:
        training = _Training(words, longest_chunk=self.longest_chunk)
        self._set_counts({}, alphabet_size=len(set().union(*(word.source for word in words))) + 1)
        self.log_likelihoods = []
        chances = np.array([self._floor(len(chunk)) for _, chunk in training.names])
        counts = np.zeros(len(chances))
        for number in range(-_SURE_ROUNDS, max_rounds + 1):
            counts, likelihood = training.expected_counts(chances, sure_only=number < 0)
            if number >= 0:
                self.log_likelihoods.append(likelihood)
            gained = number < 1 or likelihood - self.log_likelihoods[-2] >= smallest_gain
            if number == max_rounds or not gained or not len(chances):
                break
            chances = training.smoothed(counts, smoothing=self.smoothing, floor=self._floor)
        self._set_counts(training.by_context(counts), alphabet_size=self._alphabet_size)
        return self

    # Scoring

    def log_probability(self, source: str, target: str) -> float:
        """log P(source | target); minus infinity where the source word is too long for the target word.

        Args:
            source: a word as the source script spells it.
            target: a word as the target script spells it.
        """
        return float(self.log_probabilities([(source, target)])[0])

    def log_probabilities(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """log P(source | target) of many pairs at once.

        Args:
            pairs: source and target spelling; N of them.

        Returns:
            (N,) float64.
        """
        result = np.full(len(pairs), -np.inf)
        chunks = {source: self._chunk_numbers(source) for source in {source for source, _ in pairs}}
        rows = {target: self._context_rows(target) for target in {target for _, target in pairs}}
        for (target_length, _), part in _by_length(pairs, longest_chunk=self.longest_chunk):
            sources = np.stack([chunks[pairs[i][0]] for i in part])  # (words, places, lengths)
            targets = np.array([rows[pairs[i][1]] for i in part], dtype=np.int64)  # (words, characters)
            reached = np.zeros(sources.shape[:2])
            reached[:, 0] = 1
            scale = np.zeros(len(part))
            for position in range(target_length):
                row = targets[:, position][:, None]
                after = np.zeros_like(reached)
                for length in range(self.longest_chunk + 1):
                    end = sources.shape[1] - length
                    if end > 0:
                        chosen = sources[:, :end, length]
                        after[:, length:] += reached[:, :end] * self._table[row, chosen]
                # Brought back to about 1, lest long words vanish.
                largest = after.max(axis=1)
                reached = after / largest[:, None]
                scale += np.log(largest)
            with np.errstate(divide="ignore"):
                result[part] = np.log(reached[:, -1]) + scale
        return result

    # Search

    def candidates(
        self, source: str, k: int = 5, *, spelling: SpellingModel, spelling_weight: float = 1.0, beam: int = 20
    ) -> list[tuple[str, float]]:
        """Spellings of the target script for a source word, also such as are on no list, the best first.

        They are found by a beam search with the best segmentation of each, and ranked by the whole sum,
        log P(source | target) + spelling_weight * log P(target).

        Args:
            source: the word.
            k: how many, at most.
            spelling: of the target's word list, the prior P(target).
            spelling_weight: of the prior.
            beam: spellings that are followed at each place of the word.

        Returns:
            Spellings and their scores; none where the channel is untrained or the word empty.
        """
        if not source or not self.is_trained:
            return []
        # By place in the source word: the spelling so far -> what it scores, of which the last chunk is provisional
        # until its right neighbour is known; what it scores without that; the last chunk.
        places: list[dict[str, tuple[float, float, str]]] = [{} for _ in range(len(source) + 1)]
        places[0][WORD_START] = (0.0, 0.0, "")
        for place, there in enumerate(places):
            left_out = there
            for _ in range(_MOST_LEFT_OUT):
                # Target characters that the source word left out here, one after the other.
                more: dict[str, tuple[float, float, str]] = {}
                for text, path in _best(left_out, beam):
                    self._extend(more, text, path, "", spelling, spelling_weight)
                for text, path in more.items():
                    if path[0] > there.get(text, (-math.inf, 0.0, ""))[0]:
                        there[text] = path
                left_out = more
            for text, path in _best(there, beam):
                for end in range(place + 1, min(place + self.longest_chunk, len(source)) + 1):
                    self._extend(places[end], text, path, source[place:end], spelling, spelling_weight)
        ends = []
        for text, (_, sure, chunk) in places[-1].items():
            if len(text) > 1:
                last = self._log_chance(text[-2:] + WORD_END, chunk)
                ends.append((sure + last + spelling_weight * spelling.log_next(text, WORD_END), text[1:]))
        words = [word for _, word in sorted(ends, reverse=True)[: max(2 * k, 10)]]
        fits = self.log_probabilities([(source, word) for word in words]).tolist()
        scored = [
            (word, fit + spelling_weight * spelling.log_probability(word))
            for word, fit in zip(words, fits, strict=True)
        ]
        return sorted(scored, key=lambda item: -item[1])[:k]

    def _extend(
        self,
        reached: dict[str, tuple[float, float, str]],
        text: str,
        path: tuple[float, float, str],
        chunk: str,
        spelling: SpellingModel,
        spelling_weight: float,
    ) -> None:
        """Put a character behind a spelling that stands for a source chunk, each that may."""
        _, sure, last_chunk = path
        for character in self._options(chunk):
            provisional = self._log_chance(text[-1] + character + _ANY, chunk)
            if provisional < _LEAST_LIKELY:
                continue
            new = sure + spelling_weight * spelling.log_next(text, character)
            if len(text) > 1:
                new += self._log_chance(text[-2:] + character, last_chunk)
            whole = text + character
            if new + provisional > reached.get(whole, (-math.inf, 0.0, ""))[0]:
                reached[whole] = (new + provisional, new, chunk)

    def _options(self, chunk: str) -> list[str]:
        """Target characters that a source chunk may stand for."""
        options = self._characters.get(chunk)
        # A character that was never seen is taken over.
        return ([chunk] if len(chunk) == 1 else []) if options is None else options

    # Counts

    @property
    def is_trained(self) -> bool:
        """Whether it learned anything."""
        return bool(self._counts)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs to make the same channel."""
        return {
            "longest_chunk": self.longest_chunk,
            "smoothing": self.smoothing,
            "alphabet_size": self._alphabet_size,
            "counts": self._counts,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CharacterChannel:
        """A channel as `to_json` wrote it.

        Args:
            value: read from JSON.

        Raises:
            KeyError: it is not what `to_json` wrote.
        """
        channel = cls(longest_chunk=value["longest_chunk"], smoothing=value["smoothing"])
        channel._set_counts(value["counts"], alphabet_size=value["alphabet_size"])
        return channel

    def _set_counts(self, counts: dict[str, dict[str, float]], *, alphabet_size: int) -> None:
        """Take over expected counts of chunks by context (left neighbour, character, right neighbour)."""
        self._counts = counts
        self._alphabet_size = alphabet_size
        self._sums: dict[str, dict[str, float]] = {}  # the same, also for contexts with `_ANY` neighbour
        by_chunk: dict[str, dict[str, float]] = {}
        for own, chunks in counts.items():
            left, character, right = list(own)
            for context in (left + character + right, *_shorter(left, character, right), _ANY + character + _ANY):
                sums = self._sums.setdefault(context, {})
                for chunk, count in chunks.items():
                    sums[chunk] = sums.get(chunk, 0.0) + count
            for chunk, count in chunks.items():
                characters = by_chunk.setdefault(chunk, {})
                characters[character] = characters.get(character, 0.0) + count
        # The first numbers are for chunks that were never seen, by their length.
        self._number = {chunk: row for row, chunk in enumerate(by_chunk, start=self.longest_chunk + 1)}
        self._unlearned = np.array(
            [self._floor(length) for length in (*range(self.longest_chunk + 1), *map(len, self._number))]
        )
        self._rows: dict[str, int] = {}
        self._table = np.zeros((0, len(self._unlearned)))
        self._chances: dict[str, np.ndarray] = {}
        self._logs: dict[tuple[str, str], float] = {}
        self._characters = {}
        for chunk, characters in by_chunk.items():
            most = max(characters.values())
            best = sorted(characters, key=lambda character: -characters[character])[:_MOST_OPTIONS]
            self._characters[chunk] = [c for c in best if characters[c] >= _LEAST_CHANCE * most]

    def _floor(self, length: int) -> float:
        """u of a chunk with so many characters."""
        return _FLOOR_SHARES[length] / sum(_FLOOR_SHARES[: self.longest_chunk + 1]) / self._alphabet_size**length

    def _chances_of(self, context: str) -> np.ndarray:
        """(chunks,) the chance of each chunk in a context: left neighbour, character, right neighbour."""
        found = self._chances.get(context)
        if found is None:
            left, character, right = list(context)
            if left == right == _ANY:
                lower = self._unlearned
            elif _ANY in (left, right):
                lower = self._chances_of(_ANY + character + _ANY)
            else:
                lower = np.mean([self._chances_of(shorter) for shorter in _shorter(left, character, right)], axis=0)
            counts = self._sums.get(context, {})
            found = self.smoothing * lower
            found[[self._number[chunk] for chunk in counts]] += list(counts.values())
            found /= self.smoothing + sum(counts.values())
            self._chances[context] = found
        return found

    def _log_chance(self, context: str, chunk: str) -> float:
        """log of the chance of one chunk in a context."""
        found = self._logs.get((context, chunk))
        if found is None:
            number = self._number.get(chunk, len(chunk))
            found = self._logs[context, chunk] = math.log(self._chances_of(context)[number])
        return found

    def _chunk_numbers(self, source: str) -> np.ndarray:
        """(places, lengths) the numbers of the chunks that begin at each place of a source word."""
        lengths = range(self.longest_chunk + 1)
        return np.array(
            [
                [self._number.get(source[start : start + length], length) for length in lengths]
                for start in range(len(source) + 1)
            ]
        )

    def _context_rows(self, target: str) -> list[int]:
        """The rows of the table for the characters of a target word."""
        padded = WORD_START + target + WORD_END
        rows = []
        for start in range(len(target)):
            context = padded[start : start + 3]
            row = self._rows.get(context)
            if row is None:
                row = self._rows[context] = len(self._rows)
                if row >= len(self._table):
                    more = np.zeros((max(1000, len(self._table)), self._table.shape[1]))
                    self._table = np.concatenate([self._table, more])
                self._table[row] = self._chances_of(context)
            rows.append(row)
        return rows


class _Training:
    """Source words and the target words that each may be, laid out for EM.

    Args:
        words: the words.
        longest_chunk: see `CharacterChannel`.

    Attributes:
        names: the context and the chunk of each entry of the arrays of counts and chances.
    """

    def __init__(self, words: Sequence[_Word], *, longest_chunk: int) -> None:
        pairs = [(word.source, target) for word in words for target in word.targets]
        self._word_of = np.repeat(np.arange(len(words)), [len(word.targets) for word in words])
        self._log_priors = np.array([prior for word in words for prior in word.log_priors])
        sure = np.array([sure for word in words for sure in word.sure], dtype=bool)
        self._sure_priors = np.where(sure, self._log_priors, -np.inf) if sure.any() else self._log_priors
        unlike = SpellingModel([word.source for word in words], order=_UNLIKE_ORDER)
        self._log_unlike = np.array([math.log(_UNLIKE_SHARE) + unlike.log_probability(word.source) for word in words])
        self._weights = np.array([word.weight for word in words])
        chunks: dict[str, int] = defaultdict(lambda: len(chunks))
        contexts: dict[str, int] = defaultdict(lambda: len(contexts))
        # By lengths: the rows of `pairs`, and by length of chunk the numbers (words, characters, places).
        self._groups: list[tuple[np.ndarray, list[np.ndarray]]] = []
        for (target_length, source_length), part in _by_length(pairs, longest_chunk=longest_chunk):
            if max(target_length, source_length) > _LONGEST_WORD or not target_length:
                continue
            padded = [WORD_START + pairs[i][1] + WORD_END for i in part]
            places = np.array([[contexts[word[j : j + 3]] for j in range(target_length)] for word in padded])
            numbers = []
            for length in range(min(longest_chunk, source_length) + 1):
                starts = range(source_length - length + 1)
                found = np.array([[chunks[pairs[i][0][start : start + length]] for start in starts] for i in part])
                numbers.append((places[:, :, None].astype(np.int64) << 32) | found[:, None, :])
            self._groups.append((np.array(part), numbers))
        whole = [number.ravel() for _, numbers in self._groups for number in numbers]
        known, inverse = np.unique(np.concatenate(whole), return_inverse=True) if whole else (np.zeros(0, int),) * 2
        taken = 0
        for _, numbers in self._groups:
            for length, number in enumerate(numbers):
                numbers[length] = inverse[taken : taken + number.size].reshape(number.shape).astype(np.int32)
                taken += number.size
        context_names, chunk_names = list(contexts), list(chunks)
        self.names = [(context_names[number >> 32], chunk_names[number & 0xFFFFFFFF]) for number in known.tolist()]

    def expected_counts(self, chances: np.ndarray, *, sure_only: bool) -> tuple[np.ndarray, float]:
        """E-step: how often each chunk is used in each context, and the mean log likelihood of the words.

        Args:
            chances: P(chunk | context), as `names`.
            sure_only: whether to leave the other pairs out; then a source word is one of its target words for certain.

        Returns:
            Counts, as `names`; the mean.
        """
        priors = self._sure_priors if sure_only else self._log_priors
        forwards = [self._forward(numbers, chances) for _, numbers in self._groups]
        logs = np.full(len(self._word_of), -np.inf)
        for (part, _), forward in zip(self._groups, forwards, strict=True):
            logs[part] = np.log(forward[:, -1, -1]) + priors[part]
        evidence = np.full(len(self._log_unlike), -np.inf) if sure_only else self._log_unlike.copy()
        np.logaddexp.at(evidence, self._word_of, logs)
        met = np.isfinite(evidence)
        shares = np.exp(logs - np.where(met, evidence, 0)[self._word_of]) * self._weights[self._word_of]
        counts = np.zeros(len(chances))
        for (part, numbers), forward in zip(self._groups, forwards, strict=True):
            counts += self._backward(numbers, chances, forward, shares[part] / forward[:, -1, -1])
        return counts, float(np.average(evidence[met], weights=self._weights[met])) if met.any() else 0.0

    def _forward(self, numbers: list[np.ndarray], chances: np.ndarray) -> np.ndarray:
        """(words, characters + 1, places) the chance of the beginnings of the words."""
        num_words, num_characters, num_places = numbers[0].shape
        forward = np.zeros((num_words, num_characters + 1, num_places))
        forward[:, 0, 0] = 1
        for position in range(num_characters):
            for length, number in enumerate(numbers):
                part = forward[:, position, : num_places - length] * chances[number[:, position]]
                forward[:, position + 1, length:] += part
        return forward

    def _backward(
        self, numbers: list[np.ndarray], chances: np.ndarray, forward: np.ndarray, shares: np.ndarray
    ) -> np.ndarray:
        """Expected counts of the chunks of words with the given shares."""
        _, num_characters, num_places = numbers[0].shape
        backward = np.zeros_like(forward[:, 0])
        backward[:, -1] = shares
        found, used = [], []
        for position in reversed(range(num_characters)):
            before = np.zeros_like(backward)
            for length, number in enumerate(numbers):
                part = chances[number[:, position]] * backward[:, length:]
                before[:, : num_places - length] += part
                found.append(number[:, position].ravel())
                used.append((part * forward[:, position, : num_places - length]).ravel())
            backward = before
        return np.bincount(np.concatenate(found), np.concatenate(used), minlength=len(chances))

    def smoothed(self, counts: np.ndarray, *, smoothing: float, floor: Callable[[int], float]) -> np.ndarray:
        """M-step: the chances that the counts give, see `CharacterChannel`.

        Args:
            counts: as `names`.
            smoothing: alpha.
            floor: u, by the length of a chunk.

        Returns:
            Chances, as `names`.
        """
        # Each depth of context: the entry and the context that an entry of `names` belongs to.
        unlearned = np.array([floor(len(chunk)) for _, chunk in self.names])
        lower = unlearned
        chances = []
        for entries, contexts in self._depths():
            sums = np.bincount(entries, counts)[entries]
            totals = np.bincount(contexts, counts)[contexts]
            chances.append((sums + smoothing * lower) / (totals + smoothing))
            if len(chances) == 1:
                lower = chances[0]
            elif len(chances) == 3:
                lower = (chances[1] + chances[2]) / 2
        return chances[-1]

    def _depths(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For the character alone, with its left, its right and both neighbours: numbers of entries and of contexts."""
        if not hasattr(self, "_found_depths"):
            self._found_depths = []
            for part in (slice(1, 2), slice(0, 2), slice(1, 3), slice(0, 3)):
                entries: dict[tuple[str, str], int] = defaultdict(lambda: len(entries))  # noqa: B023
                contexts: dict[str, int] = defaultdict(lambda: len(contexts))  # noqa: B023
                self._found_depths.append(
                    (
                        np.array([entries[context[part], chunk] for context, chunk in self.names]),
                        np.array([contexts[context[part]] for context, _ in self.names]),
                    )
                )
        return self._found_depths

    def by_context(self, counts: np.ndarray) -> dict[str, dict[str, float]]:
        """The counts that matter, by context and chunk.

        Args:
            counts: as `names`.
        """
        totals: Counter[str] = Counter()
        for (_, chunk), count in zip(self.names, counts.tolist(), strict=True):
            totals[chunk] += count
        kept: dict[str, dict[str, float]] = defaultdict(dict)
        for (context, chunk), count in zip(self.names, counts.tolist(), strict=True):
            if count >= _SMALLEST_COUNT and totals[chunk] >= _SMALLEST_TOTAL:
                kept[context][chunk] = round(count, 4)
        return dict(kept)


def words_that_meet(
    source_counts: Mapping[str, int],
    target_counts: Mapping[str, int],
    *,
    rules: Callable[[str], str],
    key: Callable[[str], str],
    reverse_rules: Callable[[str], str] | None = None,
    max_words: int,
) -> dict[str, dict[str, bool]]:
    """Target words that a source word may be, by key and by rules.

    Args:
        source_counts: how often each source word occurs.
        target_counts: how often each target word occurs.
        rules: writes a source word in the target script.
        key: of a word of either script.
        reverse_rules: writes a target word in the source script.
        max_words: source words that are looked for, the most frequent that meet any.

    Returns:
        By source word, the 20 most frequent target words with its key and those that the rules join with it in either
        direction, which are marked True.
    """
    by_key: dict[str, list[str]] = defaultdict(list)
    by_writing: dict[str, list[str]] = defaultdict(list)
    for target in sorted(target_counts, key=lambda word: (-target_counts[word], word)):
        for index, entry in ((by_key, key(target)), (by_writing, reverse_rules(target) if reverse_rules else "")):
            # An empty key says nothing.
            if entry and len(index[entry]) < _SAME_KEY:
                index[entry].append(target)
    met: dict[str, dict[str, bool]] = {}
    for source in sorted(source_counts, key=lambda word: (-source_counts[word], word)):
        if len(met) >= max_words:
            break
        targets = dict.fromkeys(by_key.get(key(source), []), False)
        targets |= dict.fromkeys(by_writing.get(source, []), True)
        written = rules(source)
        if written in target_counts:
            targets[written] = True
        if targets:
            met[source] = targets
    return met


def _by_length(pairs: Sequence[tuple[str, str]], *, longest_chunk: int) -> Iterator[tuple[tuple[int, int], list[int]]]:
    """The rows of pairs that can be joined, by the lengths of target and source word, so many at once."""
    by_length: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, (source, target) in enumerate(pairs):
        if len(source) <= longest_chunk * len(target):
            by_length[len(target), len(source)].append(index)
    for lengths, part in by_length.items():
        for start in range(0, len(part), _BATCH):
            yield lengths, part[start : start + _BATCH]


def _shorter(left: str, character: str, right: str) -> tuple[str, str]:
    """The contexts with one neighbour."""
    return left + character + _ANY, _ANY + character + right


def _best(paths: Mapping[str, tuple[float, float, str]], number: int) -> list[tuple[str, tuple[float, float, str]]]:
    """The spellings with the highest scores, without those that are far behind."""
    if not paths:
        return []
    least = max(path[0] for path in paths.values()) - _FAR_BEHIND
    return heapq.nlargest(number, [item for item in paths.items() if item[1][0] >= least], key=lambda item: item[1][0])
