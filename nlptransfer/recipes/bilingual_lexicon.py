"""Bilingual lexicon: vectors and writing of two languages. Which seed makes a lexicon of them, and how good is it?

The vectors are mapped into one space from each seed (given word pairs, words that sound alike, words written alike, or
nothing) by each method, and asked for the translations of words that were held out. Beside this, the ways of writing
words of one language in the script of the other are scored on the held-out pairs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from nlptransfer.errors import InputError
from nlptransfer.recipes.running import run_recipe
from nlptransfer.recipes.settings import RunSettings, check_values, settings_to_dict

if TYPE_CHECKING:
    from nlptransfer.evaluation.document_predictions import DocumentPredictions
    from nlptransfer.experiments import Cell


@dataclass(frozen=True)
class Settings(RunSettings):
    """What can be set; `nlptransfer bilingual_lexicon --help` shows it."""

    source_vectors: str | None = None
    """Word vectors of the source language, the most frequent word first. Default: two invented languages."""
    target_vectors: str | None = None
    """Word vectors of the target language, of the same dimension."""
    pairs: str | None = None
    """File of source words and their translations: to learn from, and to test on."""
    pair_columns: tuple[str, ...] = ()
    """The names of its columns of source and target words, where it has a header."""
    data_dir: str | None = None
    """Folder to look for files in, before those of NLPTRANSFER_DATA."""
    keep_vectors: int = 100_000
    """How many of a file's first words are kept."""
    train_share: float = 0.5
    """Share of the pairs' source words that may be learnt from; the others are held out."""
    split_seed: int = 4
    """Seed of this cut."""

    seed_pairs: tuple[Literal["given", "cognates", "identical", "none"], ...] = (
        "given",
        "cognates",
        "identical",
        "none",
    )
    """What the mapping starts from: given pairs, words that sound alike, words written alike, or nothing. The first one
    is what the others are compared with."""
    methods: tuple[Literal["procrustes", "self_learning"], ...] = ("procrustes", "self_learning")
    """How vectors are mapped: by the orthogonal map of the seed, or by one that goes on to learn from what it finds."""
    max_words: int = 5_000
    """Self-learning learns from so many first words of each language."""
    max_iterations: int = 100
    """It stops there in any case."""

    table: str | None = None
    """Table that writes the target's words in the source's script. Default: rules, where these scripts have some."""
    reverse_table: str | None = None
    """Table that writes the source's words in the target's script."""

    def __post_init__(self) -> None:
        """Refuse what can't be run."""
        super().__post_init__()
        # Spaces are mapped and searched on the processor.
        check_values(self, ("device",), lambda device: device in ("auto", "cpu"), expected="auto or cpu")
        check_values(self, ("precision",), lambda name: name != "fp16", expected="fp32 or bf16")
        counts = ("keep_vectors", "max_words", "max_iterations")
        check_values(self, counts, lambda value: value >= 1, expected="at least 1")
        check_values(self, ("train_share",), lambda value: 0 < value < 1, expected="between 0 and 1")
        check_values(self, ("split_seed",), lambda value: 0 <= value < 2**32, expected="from 0 to 4294967295")
        check_values(self, ("pair_columns",), lambda names: len(names) in (0, 2), expected="two names, or none")
        for name in ("seed_pairs", "methods"):
            check_values(self, (name,), lambda names: len(names) > 0, expected="one at least")
            check_values(self, (name,), lambda names: len(set(names)) == len(names), expected="each at most once")
        named = [self.source_vectors, self.target_vectors, self.pairs]
        if None in named and any(named):
            raise InputError(
                "--source_vectors, --target_vectors and --pairs go together",
                remedy="Name all three, or none for two invented languages.",
            )
        if self.pairs is None and (self.table or self.reverse_table):
            raise InputError("a table is for vectors of one's own", remedy="Name --source_vectors, too, or no table.")


def run(settings: Settings) -> None:
    """Induce a lexicon from every seed by every method, write words in every way, score, keep the surest, report.

    Args:
        settings: the recipe's.

    Raises:
        InputError: there are no such data, or nothing can be made of them.
    """
    from nlptransfer.evaluation.run_folder import check_run_folder, open_run_folder
    from nlptransfer.experiments import cell_folder, run_cell
    from nlptransfer.recipes import lexicon_report as report
    from nlptransfer.recipes.lexicon_data import load_languages
    from nlptransfer.recipes.lexicon_systems import Induction
    from nlptransfer.recipes.lexicon_writing import LEARNED, LEARNED_WITH_PAIRS, RULES, Writing
    from nlptransfer.recipes.processes import tell

    started = time.perf_counter()
    if not settings.dry_run:
        check_run_folder(settings.output_dir, settings=settings_to_dict(settings), resume=settings.resume)
        if (settings.output_dir / "metrics.json").exists():
            print(f"This run is complete: {settings.output_dir / 'report.html'}")
            return

    # 1. Vectors, pairs, and what is held out of them; the seeds, which see no held-out pair.
    languages = load_languages(settings)
    writing = Writing(settings, languages)
    induction = Induction(settings, languages, writing, tell)
    signature = report.describe_run(settings, languages, induction, writing)
    systems = list(induction.systems())
    warnings = list(languages.warnings)
    if settings.dry_run:
        for name, value in signature.items():
            print(f"{name}: {value}")
        print(f"Systems: {', '.join(name for name, _, _ in systems)}. Nothing was mapped.")
        return
    folder = open_run_folder(settings.output_dir, settings=settings_to_dict(settings), resume=settings.resume)

    # 2. Will it work? Said before anything is mapped.
    for name, diagnosis in induction.diagnoses.items():
        warnings += [f"{name}: {found.text}" for found in diagnosis.findings if found.outlook == "hopeless"]
        tell(f"outlook for mapping from the seed '{name}': {diagnosis.outlook}")
    for warning in warnings:
        tell(f"Warning: {warning}")

    # 3. Every lexicon under every seed of chance, and every way of writing.
    cells: dict[tuple[str, int], Cell[DocumentPredictions]] = {}
    for seed in settings.seeds:
        for name, seed_pairs, method in systems:
            induce = partial(induction.run, seed_pairs, method, seed)
            cells[name, seed] = run_cell(cell_folder(settings.output_dir, name, seed), induce)
    first = settings.seeds[0]
    for way in (RULES, LEARNED, LEARNED_WITH_PAIRS) if writing.directions else ():
        tell(f"writing by {way}")
        cells[way, first] = run_cell(cell_folder(settings.output_dir, way, first), partial(writing.run, way, first))

    # 4. Scores over held-out words; a verdict for each against the first; the choice, which uses no pair.
    scores = report.lexicon_scores(induction, cells, settings.seeds) + report.writing_scores(writing, cells, first)
    verdicts = report.make_verdicts(induction, writing, cells, settings.seeds)
    chosen = report.choose(induction, cells, settings.seeds)

    # 5. The lexicon and the mapped vectors; the report.
    size = report.keep_lexicon(folder.model, languages, induction, chosen, first, scores, signature)
    seconds = {f"{name}, seed {seed}": cell.seconds for (name, seed), cell in cells.items()}
    seconds["total"] = time.perf_counter() - started
    report.finish(
        settings,
        folder,
        cells,
        scores,
        verdicts,
        signature,
        report.make_tables(languages, induction, writing, cells, settings.seeds, scores, chosen[0]),
        seconds,
        warnings,
        report.notes_on(chosen[0], induction, scores, writing, size),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the recipe from the command line."""
    run_recipe(Settings, run, argv)


if __name__ == "__main__":
    main()
