"""The systems of a bilingual lexicon: a seed, a method that maps the vectors by it, and how words come out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nlptransfer.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from nlptransfer.crosslingual.alignment import Alignment
    from nlptransfer.crosslingual.lexicon import Lexicon
    from nlptransfer.crosslingual.mapping_diagnosis import MappingDiagnosis
    from nlptransfer.crosslingual.retrieval import Precision
    from nlptransfer.evaluation.document_predictions import DocumentPredictions
    from nlptransfer.experiments import Cell
    from nlptransfer.recipes.bilingual_lexicon import Settings
    from nlptransfer.recipes.lexicon_data import TwoLanguages
    from nlptransfer.recipes.lexicon_writing import Writing

Seed = Literal["given", "cognates", "identical", "none"]
Method = Literal["procrustes", "self_learning"]

_SEED_WORDS = 20_000
_SHORTEST_KEY = 3
_JUDGED_WORDS = 10_000
_DIAGNOSED_WORDS = 1_000
_NEIGHBOURS = 10


class Induction:
    """Lexicons induced from each seed by each method.

    Args:
        settings: the recipe's.
        languages: the data.
        writing: whose keys find cognates.
        tell: called with lines for the screen.

    Attributes:
        seeds: the pairs of each seed; None for `none`. Seeds without a pair are left out.
        left_out: why, for each seed that was left out.

    Raises:
        InputError: no seed is left.
    """

    def __init__(
        self, settings: Settings, languages: TwoLanguages, writing: Writing, tell: Callable[[str], Any]
    ) -> None:
        self._settings, self._languages, self._writing, self._tell = settings, languages, writing, tell
        self._precision: Precision = "bfloat16" if settings.precision == "bf16" else "float32"
        self._fitted: dict[tuple[str, int], Alignment] = {}
        self.seeds: dict[Seed, Lexicon | None] = {}
        self.left_out: list[str] = []
        for name in settings.seed_pairs:
            lexicon = None if name == "none" else self._find(name)
            if lexicon is not None and not len(self._rows_of(lexicon)):
                reason = f" {writing.note}" if name == "cognates" and writing.note else ""
                self.left_out.append(
                    f"The seed '{name}' is left out: it has no pair with vectors on both sides.{reason}"
                )
            else:
                self.seeds[name] = lexicon
        if not self.seeds:
            raise InputError(
                "no seed has a pair with vectors on both sides",
                expected="one at least of " + ", ".join(settings.seed_pairs),
                found=" ".join(self.left_out),
                remedy="Add the seed 'none', which needs no pair: --seed_pairs none.",
            )

    def _find(self, name: Seed) -> Lexicon:
        """The pairs of a seed. But for `given`, nothing is looked at than how words are written."""
        from nlptransfer.crosslingual.lexicon import Lexicon, cognates, identical_strings

        source, target = self._languages.source.words, self._languages.target.words
        if name == "given":
            return self._languages.train
        if name == "identical":
            return identical_strings(source, target)
        key = self._writing.key
        if key is None:
            return Lexicon(())
        return cognates(source, target, key, max_rank=_SEED_WORDS, min_key_length=_SHORTEST_KEY)

    def _rows_of(self, lexicon: Lexicon) -> np.ndarray:
        from nlptransfer.crosslingual.lexicon import lexicon_rows

        return lexicon_rows(lexicon, self._languages.source, self._languages.target).pairs

    def systems(self) -> Iterator[tuple[str, Seed, Method]]:
        """Name, seed and method of each system, the baseline first."""
        for seed_pairs in self.seeds:
            for method in self._settings.methods:
                yield f"{seed_pairs}+{method}", seed_pairs, method

    @cached_property
    def diagnoses(self) -> dict[Seed, MappingDiagnosis]:
        """Will it work? By seed, before anything is mapped."""
        from nlptransfer.crosslingual.mapping_diagnosis import diagnose_mapping

        return {
            name: diagnose_mapping(
                self._languages.source,
                self._languages.target,
                seed=self._settings.split_seed,
                lexicon=lexicon,
                num_words=_DIAGNOSED_WORDS,
            )
            for name, lexicon in self.seeds.items()
        }

    @cached_property
    def seeded_words(self) -> set[int]:
        """Rows of test words whose translation is among the pairs of a seed that looks at spelling alone."""
        spelt = {pair for name in ("cognates", "identical") for pair in self._pairs_of(name)}
        return {int(row) for row, answer in self._languages.test_rows if self._words(row, answer) in spelt}

    def num_test_pairs(self, name: Seed) -> int:
        """How many test pairs are among a seed's."""
        return len(set(self._languages.test.pairs) & set(self._pairs_of(name)))

    def _pairs_of(self, name: Seed) -> tuple[tuple[str, str], ...]:
        lexicon = self.seeds.get(name)
        return () if lexicon is None else lexicon.pairs

    def _words(self, row: int, answer: int) -> tuple[str, str]:
        return self._languages.source.words[row], self._languages.target.words[answer]

    def alignment(
        self, seed_pairs: Seed, method: Method, seed: int, history: list[dict[str, Any]] | None = None
    ) -> Alignment:
        """The maps of a system; those that this process has fitted are remembered.

        Args:
            seed_pairs: where it starts from.
            method: how it goes on.
            seed: of what self-learning draws.
            history: gets a row for each iteration, of which Procrustes has one.
        """
        import numpy as np

        from nlptransfer.crosslingual.alignment import fit_procrustes
        from nlptransfer.crosslingual.self_learning import Iteration, self_learn, unsupervised_pairs

        system = f"{seed_pairs}+{method}"
        if (system, seed) in self._fitted:
            return self._fitted[system, seed]
        source, target = self._languages.source.matrix, self._languages.target.matrix
        lexicon = self.seeds[seed_pairs]
        rows = unsupervised_pairs(source, target) if lexicon is None else self._rows_of(lexicon)

        def keep(now: Iteration) -> None:
            if history is not None:
                row = {"num_pairs": now.num_pairs, "mean_similarity": now.mean_similarity}
                history.append({"system": system, "seed": seed, "epoch": now.number, **row})

        if method == "procrustes":
            fitted = fit_procrustes(source, target, rows)
            if history is not None:
                history.append({"system": system, "seed": seed, "epoch": 1, "num_pairs": len(rows)})
        else:
            # A seed that determines a rotation is trusted; from a weaker one chance helps out of poor beginnings.
            trusted = lexicon is not None and len(rows) >= source.shape[1]
            fitted = self_learn(
                source,
                target,
                rows,
                generator=np.random.default_rng(seed),
                max_words=self._settings.max_words,
                max_iterations=self._settings.max_iterations,
                keep_probability=1.0 if trusted else 0.1,
                precision=self._precision,
                on_iteration=keep,
            ).alignment
        self._fitted[system, seed] = fitted
        return fitted

    def run(self, seed_pairs: Seed, method: Method, seed: int, folder: Path) -> Cell[DocumentPredictions]:
        """Map, translate the test words, and say how sure the map is of itself.

        Args:
            seed_pairs: where it starts from.
            method: how it goes on.
            seed: of what self-learning draws.
            folder: the cell's; nothing is kept there.
        """
        import numpy as np

        from nlptransfer.crosslingual.mapping_diagnosis import hubness
        from nlptransfer.crosslingual.retrieval import csls_penalties, mutual_pairs, nearest_both_ways, rank_answers
        from nlptransfer.evaluation.document_predictions import DocumentPredictions
        from nlptransfer.experiments import Cell

        started = time.perf_counter()
        system = f"{seed_pairs}+{method}"
        self._tell(f"mapping by {system}, seed {seed}")
        history: list[dict[str, Any]] = []
        fitted = self.alignment(seed_pairs, method, seed, history)
        source = fitted.transform_source(self._languages.source.matrix)
        target = fitted.transform_target(self._languages.target.matrix)
        nearest = partial(nearest_both_ways, source, target, _NEIGHBOURS, precision=self._precision)
        penalties = csls_penalties(*nearest())
        forward, backward = nearest(source_penalty=penalties[0], target_penalty=penalties[1])
        ranks = rank_answers(source, target, self._languages.test_rows, target_penalty=penalties[1])
        right = self._right_answers()
        words, gold, found = [], [], []
        for query, best in zip(ranks.queries.tolist(), ranks.best_rank.tolist(), strict=True):
            words.append(self._languages.source.words[query])
            gold.append(" / ".join(right[query]))
            # An item with several right answers is right by any of them.
            answer = self._languages.target.words[forward.rows[query, 0]]
            found.append(gold[-1] if best == 1 else answer)
        facts = {
            "queries": ranks.queries.tolist(),
            "best_rank": ranks.best_rank.tolist(),
            "average_precision": ranks.average_precision.tolist(),
            "mean_csls": float(2 * forward.scores[:_JUDGED_WORDS, 0].mean(dtype=np.float64)),
            "mutual_pairs": len(mutual_pairs(forward, backward)),
            "never_found": hubness(forward.rows, len(target)).anti_hub_share,
        }
        parts = [DocumentPredictions(system, "test", seed, words, gold, found)]
        return Cell(parts, history, time.perf_counter() - started, facts)

    def _right_answers(self) -> dict[int, list[str]]:
        """Of each test word by its row."""
        right: dict[int, list[str]] = {}
        for row, answer in self._languages.test_rows.tolist():
            right.setdefault(row, []).append(self._languages.target.words[answer])
        return right
