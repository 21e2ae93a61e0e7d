"""Scores of a bilingual lexicon over its test words, what the report shows of them, and the lexicon that is left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.recipes.lexicon_writing import LEARNED, LEARNED_WITH_PAIRS, RULES
from nlptransfer.recipes.settings import settings_to_dict

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from nlptransfer.evaluation.document_predictions import DocumentPredictions
    from nlptransfer.evaluation.report import Table
    from nlptransfer.evaluation.run_folder import RunFolder
    from nlptransfer.evaluation.verdict import Score, Verdict
    from nlptransfer.experiments import Cell
    from nlptransfer.recipes.bilingual_lexicon import Settings
    from nlptransfer.recipes.lexicon_data import TwoLanguages
    from nlptransfer.recipes.lexicon_systems import Induction, Method, Seed
    from nlptransfer.recipes.lexicon_writing import Writing

    Cells = Mapping[tuple[str, int], Cell[DocumentPredictions]]

QUESTION = "Vectors and writing of two languages: which seed makes a lexicon of them, and how good is it?"
NOT_IN_SEEDS = "test_not_in_seeds"
_RESAMPLES = 9_999


def lexicon_scores(induction: Induction, cells: Cells, seeds: Sequence[int]) -> list[Score]:
    """Precision at 1, 5, 10 and mean average precision on the test words, and on those that no seed has spelt out."""
    import numpy as np

    scores = []
    for split, kept in test_splits(induction, cells).items():
        for system, _, _ in induction.systems():
            facts = [cells[system, seed].facts for seed in seeds]
            rank = np.array([own["best_rank"] for own in facts])[:, kept]
            average = np.array([own["average_precision"] for own in facts])[:, kept]
            ones = np.ones(rank.shape[1])
            for number in (1, 5, 10):
                scores += word_scores(system, split, f"precision_at_{number}", 1.0 * (rank <= number), ones, seeds)
            scores += word_scores(system, split, "mean_average_precision", average, ones, seeds)
    return scores


def test_splits(induction: Induction, cells: Cells) -> dict[str, np.ndarray]:
    """Places of the test words of each split; the second one is left out where it is empty or the first again."""
    import numpy as np

    queries = next(own.facts["queries"] for own in cells.values() if "queries" in own.facts)
    unseen = np.array([number for number, row in enumerate(queries) if row not in induction.seeded_words], dtype=int)
    splits = {"test": np.arange(len(queries))}
    return splits | ({NOT_IN_SEEDS: unseen} if 0 < len(unseen) < len(queries) else {})


def writing_scores(writing: Writing, cells: Cells, seed: int) -> list[Score]:
    """Word accuracy and character error rate of each way of writing in each direction."""
    import numpy as np

    from nlptransfer.evaluation.transliteration_scores import edit_distance

    scores = []
    for sides in writing.directions:
        for way in ways_of(cells):
            (part,) = [own for own in cells[way, seed].predictions if own.split == writing.name(sides)]
            pairs = list(zip(part.predicted, part.gold or (), strict=True))
            right = np.array([[1.0 * (written == gold) for written, gold in pairs]])
            edits = np.array([[1.0 * edit_distance(written, gold) for written, gold in pairs]])
            lengths = np.array([1.0 * len(gold) for _, gold in pairs])
            scores += word_scores(way, part.split, "word_accuracy", right, np.ones(len(pairs)), (seed,))
            scores += word_scores(way, part.split, "character_error_rate", edits, lengths, (seed,))
    return scores


def ways_of(cells: Cells) -> list[str]:
    """The ways of writing that were run."""
    return [way for way in (RULES, LEARNED, LEARNED_WITH_PAIRS) if any(system == way for system, _ in cells)]


def word_scores(
    system: str, split: str, metric: str, values: np.ndarray, weights: np.ndarray, seeds: Sequence[int]
) -> list[Score]:
    """sum(values) / sum(weights) under each seed and as the mean over them, with its interval over words.

    Args:
        system: the system's name.
        split: what was scored.
        metric: its name.
        values: (seeds, N).
        weights: (N,).
        seeds: their numbers.
    """
    from nlptransfer.evaluation.verdict import Score

    scores = []
    every: list[tuple[np.ndarray, int | None]] = [(values[[place]], seed) for place, seed in enumerate(seeds)]
    for own, seed in [*every, (values, None)]:
        value = float(own.mean(axis=0).sum() / weights.sum())
        low, high = _interval(own, weights)
        # Rounding may bring an end of the interval past the value by a hair.
        scores.append(Score(system, split, metric, value, min(low, value), max(high, value), values.shape[1], seed))
    return scores


def _interval(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Percentile bootstrap over words, of which `bootstrap_interval` takes those that count in whole numbers."""
    import numpy as np
    from scipy.stats import bootstrap

    from nlptransfer.evaluation.significance import bootstrap_interval

    if (values == np.floor(values)).all() and (values <= weights).all():
        return bootstrap_interval(values.astype(int), weights.astype(int), num_resamples=_RESAMPLES, seed=0)
    if values.shape[1] == 1:
        return 0.0, float("inf") if (values > weights).any() else 1.0

    def ratio(top: np.ndarray, bottom: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(top.sum(axis=axis) / bottom.sum(axis=axis))

    found = bootstrap(
        (values.mean(axis=0), weights), ratio, paired=True, vectorized=True, method="percentile",
        n_resamples=_RESAMPLES, batch=max(1, 500_000 // len(weights)), rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)


def make_verdicts(induction: Induction, writing: Writing, cells: Cells, seeds: Sequence[int]) -> list[Verdict]:
    """Each system against the first, by precision at 1; each learnt way of writing against the rules."""
    from nlptransfer.evaluation.verdict import compare

    verdicts = []
    systems = [name for name, _, _ in induction.systems()]
    for split, kept in test_splits(induction, cells).items():
        parts = {name: [_part_of(cells[name, seed].predictions[0], split, kept) for seed in seeds] for name in systems}
        for name in systems[1:]:
            found = compare(parts[name], parts[systems[0]], metric="accuracy", seed=0)
            verdicts.append(replace(found, metric="precision_at_1"))
    ways = ways_of(cells)
    for number in range(len(writing.directions)):
        for way in ways[1:]:
            own, rules = ([cells[name, seeds[0]].predictions[number]] for name in (way, RULES))
            verdicts.append(replace(compare(own, rules, metric="accuracy", seed=0), metric="word_accuracy"))
    return verdicts


def _part_of(whole: DocumentPredictions, split: str, kept: np.ndarray) -> DocumentPredictions:
    assert whole.gold is not None
    ids, gold, predicted = ([values[place] for place in kept] for values in (whole.ids, whole.gold, whole.predicted))
    return replace(whole, split=split, ids=ids, gold=gold, predicted=predicted)


def choose(induction: Induction, cells: Cells, seeds: Sequence[int]) -> tuple[str, Seed, Method]:
    """The system whose map is surest of itself: mean CSLS of frequent words to their translations; no pair is used."""
    return max(induction.systems(), key=lambda system: sum(cells[system[0], seed].facts["mean_csls"] for seed in seeds))


def describe_run(settings: Settings, languages: TwoLanguages, induction: Induction, writing: Writing) -> dict[str, Any]:
    """The signature: what the numbers rest on."""
    tested = len({row for row, _ in languages.test_rows.tolist()})
    held_out = len(languages.test.translations())
    return {
        "source": f"{languages.source.source}: {len(languages.source):,} words, {languages.scripts[0]}",
        "target": f"{languages.target.source}: {len(languages.target):,} words, {languages.scripts[1]}",
        "word pairs": f"{settings.pairs or 'invented'}: {len(languages.train):,} of single words to learn from, "
        f"{len(languages.test):,} held out, by source word (split seed {settings.split_seed}); "
        f"{languages.num_phrases:,} with phrases left out",
        "test words of the lexicon": f"{tested:,} of {held_out:,} held-out source words have vectors, and so does a "
        f"translation of them ({tested / held_out:.1%}); the others are not asked for",
        "transliteration": writing.note
        or f"between {languages.scripts[0]} and {languages.scripts[1]}, on held-out "
        "pairs neither of whose words is in a pair that may be learnt from",
        "what the seeds use": "given: the pairs to learn from; cognates and identical: spelling alone; none: nothing",
        "choice of the lexicon that is kept": "highest mean CSLS of the 10,000 most frequent source words to their "
        "translations; no word pair is used",
        "retrieval": "CSLS, 10 neighbours, among all target words",
        "seeds": list(settings.seeds),
        "interval": f"95 %, bootstrap over test words, {_RESAMPLES:,} resamples",
        "test": "paired permutation over test words, two-sided",
    }


def make_tables(
    languages: TwoLanguages,
    induction: Induction,
    writing: Writing,
    cells: Cells,
    seeds: Sequence[int],
    scores: Sequence[Score],
    chosen: str,
) -> list[Table]:
    """The lexicons beside what was known of them beforehand; the seeds; the spaces; the ways of writing."""
    from nlptransfer.evaluation.report import Table

    tables = [
        Table(
            "Lexicons",
            [_lexicon_row(name, cells, seeds, scores, name == chosen) for name, _, _ in induction.systems()],
            "In per cent, mean over the seeds. The mean CSLS needs no pair: the lexicon that is kept has the highest. "
            "Mutual: words that are each other's translation. Never found: target words that are among the ten best "
            "answers to no source word.",
        ),
        Table(
            "Seeds",
            [_seed_row(name, induction) for name in induction.seeds],
            "Before anything is mapped. Left-out pairs: parts of the seed that a Procrustes map of the rest was asked "
            "for. Test pairs among them: found by spelling alone, and scored apart as test_not_in_seeds.",
        ),
        Table("Will mapping work?", _finding_rows(induction), "What speaks against it, for each seed."),
        Table(
            "The two spaces",
            _shape_rows(induction),
            "Distances, 0 for the same shape, beside those of two spaces that are known to be alike or not.",
        ),
    ]
    ways = ways_of(cells)
    if ways:
        rows = [
            _writing_row(way, sides, writing, cells, seeds[0], scores) for sides in writing.directions for way in ways
        ]
        tables.append(
            Table(
                "Writing words in the other script",
                rows,
                "Word accuracy and character error rate, with 95 % intervals. Many pairs translate each other and "
                "are not one word, so that no spelling can be right: the last columns are of those that the rules "
                "write at least half right, by letters.",
            )
        )
    return tables


def _value(scores: Sequence[Score], system: str, split: str, metric: str) -> Score | None:
    wanted = (system, split, metric, None)
    return next((own for own in scores if (own.system, own.split, own.metric, own.seed) == wanted), None)


def _percent(score: Score | None, *, interval: bool = False) -> Any:
    if score is None:
        return None
    value = f"{100 * score.value:.1f}"
    return f"{value} ({100 * score.low:.1f} to {100 * score.high:.1f})" if interval else float(value)


def _lexicon_row(
    system: str, cells: Cells, seeds: Sequence[int], scores: Sequence[Score], is_chosen: bool
) -> dict[str, Any]:
    facts = [cells[system, seed].facts for seed in seeds]

    def mean(name: str) -> float:
        return sum(float(own[name]) for own in facts) / len(facts)

    columns = {"P@1": "precision_at_1", "P@5": "precision_at_5", "P@10": "precision_at_10"}
    return {
        "system": system + (" (kept)" if is_chosen else ""),
        **{name: _percent(_value(scores, system, "test", metric)) for name, metric in columns.items()},
        "MAP": _percent(_value(scores, system, "test", "mean_average_precision")),
        "P@1, not in seeds": _percent(_value(scores, system, NOT_IN_SEEDS, "precision_at_1")),
        "mean CSLS": round(mean("mean_csls"), 4),
        "mutual": round(mean("mutual_pairs")),
        "never found, %": round(100 * mean("never_found"), 1),
        "seconds": round(sum(cells[system, seed].seconds for seed in seeds), 1),
    }


def _seed_row(name: Seed, induction: Induction) -> dict[str, Any]:
    diagnosis = induction.diagnoses[name]
    row: dict[str, Any] = {"seed": name, "outlook": diagnosis.outlook}
    quality = diagnosis.seeds
    if quality is None:
        return row
    return row | {
        "pairs": quality.num_pairs,
        "with vectors": quality.num_known,
        "test pairs among them": induction.num_test_pairs(name),
        "middle rank, source": round(quality.source_rank),
        "target": round(quality.target_rank),
        "relational similarity": f"{quality.relational_similarity:.2f}",
        "left-out P@1, %": None if quality.held_out is None else round(100 * quality.held_out.precision_at_1, 1),
        "standard errors above chance": None if quality.held_out is None else round(quality.z_above_chance, 1),
    }


def _finding_rows(induction: Induction) -> list[dict[str, Any]]:
    rows = [
        {"seed": name, "outlook": finding.outlook, "why": finding.text}
        for name, diagnosis in induction.diagnoses.items()
        for finding in diagnosis.findings
    ]
    return rows or [{"seed": "all", "outlook": "promising", "why": "Nothing speaks against it."}]


def _shape_rows(induction: Induction) -> list[dict[str, Any]]:
    """Of one seed: the shape of the spaces is the same for all."""
    diagnosis = next(iter(induction.diagnoses.values()))
    first, second = diagnosis.effective_ranks
    rows: list[dict[str, Any]] = [
        {
            "measure": name,
            "source and target": distance.value,
            "two halves of the target": distance.same_language,
            "source and a random cloud": distance.structureless,
            "place between these, %": None if math.isnan(distance.position) else round(100 * distance.position),
        }
        for name, distance in (
            ("eigenvector similarity", diagnosis.eigenvector_similarity),
            ("bottleneck distance", diagnosis.bottleneck_distance),
        )
    ]
    rows.append({"measure": "singular value gap", "source and target": diagnosis.singular_value_gap})
    rows.append({"measure": "effective ranks", "source and target": f"{first:.1f} and {second:.1f}"})
    return rows


def _writing_row(
    way: str, sides: tuple[int, int], writing: Writing, cells: Cells, seed: int, scores: Sequence[Score]
) -> dict[str, Any]:
    split = writing.name(sides)
    (part,) = [own for own in cells[way, seed].predictions if own.split == split]
    items = list(zip(part.ids, part.gold or (), part.predicted, strict=True))
    one = [gold == written for word, gold, written in items if writing.is_one_word(sides, word, gold)]
    return {
        "direction": split.replace("_", " "),
        "way": way,
        "pairs": len(items),
        "word accuracy, %": _percent(_value(scores, way, split, "word_accuracy"), interval=True),
        "character error rate, %": _percent(_value(scores, way, split, "character_error_rate"), interval=True),
        "pairs of one word": len(one),
        "word accuracy on them, %": round(100 * sum(one) / len(one), 1) if one else None,
    }


def make_figures(scores: Sequence[Score]) -> dict[str, tuple[str, Figure]]:
    """Scores by system: a picture for each split."""
    from nlptransfer.evaluation.plots import plot_scores

    captions = {
        "test": "Translations found of the test words, with intervals over words; a tick for each seed.",
        NOT_IN_SEEDS: "The same of test words that no seed of spelling alone has spelt out.",
    }
    return {
        f"scores_{split}.png": (
            captions.get(split, f"Words written, {split.replace('_', ' ')}, with intervals over words."),
            plot_scores([score for score in scores if score.metric != "character_error_rate"], split=split),
        )
        for split in dict.fromkeys(score.split for score in scores)
    }


def notes_on(
    chosen: str, induction: Induction, scores: Sequence[Score], writing: Writing, lexicon_size: int
) -> list[str]:
    """The choice and what it left on the table, seeds that hold test pairs, and how to read the report's words."""
    notes = [f"Kept, by mean CSLS without any pair: {chosen}, {lexicon_size:,} mutual pairs."]
    found = [own for own in scores if (own.split, own.metric, own.seed) == ("test", "precision_at_1", None)]
    best = max(found, key=lambda own: own.value)
    (kept,) = [own for own in found if own.system == chosen]
    if best.value > kept.value:
        notes.append(
            f"The test words found {best.system} best ({100 * best.value:.1f} against {100 * kept.value:.1f} %); that "
            "can't be known without them."
        )
    spelt: tuple[Seed, ...] = ("cognates", "identical")
    notes += [
        f"{induction.num_test_pairs(name):,} test pairs are among the pairs of the seed '{name}', found by spelling "
        f"alone; {NOT_IN_SEEDS} leaves their words out."
        for name in spelt
        if induction.num_test_pairs(name)
    ]
    notes += [*induction.left_out, *([writing.note] if writing.note else [])]
    return [*notes, "What the report calls a sentence is a test word here."]


def keep_lexicon(
    folder: Path,
    languages: TwoLanguages,
    induction: Induction,
    chosen: tuple[str, Seed, Method],
    seed: int,
    scores: Sequence[Score],
    signature: Mapping[str, Any],
) -> int:
    """Write lexicon and mapped vectors, whole; gives the number of pairs."""
    from nlptransfer.crosslingual.alignment import write_word2vec
    from nlptransfer.crosslingual.lexicon import lexicon_of_rows, write_lexicon
    from nlptransfer.crosslingual.retrieval import mutual_pairs, translate_both_ways
    from nlptransfer.files import write_folder_whole, write_text

    fitted = induction.alignment(*chosen[1:], seed)
    source, target = fitted.map_source(languages.source), fitted.map_target(languages.target)
    pairs = mutual_pairs(*translate_both_ways(source.matrix, target.matrix))
    lexicon = lexicon_of_rows(pairs, source.words, target.words)
    with write_folder_whole(folder) as temporary:
        write_lexicon(temporary / "lexicon.txt", lexicon)
        write_word2vec(temporary / "source.bin", source)
        write_word2vec(temporary / "target.bin", target)
        write_text(temporary / "README.md", _card(chosen[0], len(lexicon), scores, signature))
    return len(lexicon)


def _card(chosen: str, size: int, scores: Sequence[Score], signature: Mapping[str, Any]) -> str:
    rows = [
        f"| {own.split} | {own.metric} | {own.value * 100:.2f} | {own.low * 100:.2f} to {own.high * 100:.2f} "
        f"| {own.n:,} |"
        for own in scores
        if own.system == chosen and own.seed is None
    ]
    return "\n".join(
        [
            f"# Bilingual lexicon ({chosen})",
            "",
            f"- `lexicon.txt`: {size:,} pairs of words, each the other's translation, in MUSE's format",
            "- `source.bin`, `target.bin`: the vectors of both languages in one space; word2vec's binary format",
            "",
            "```python",
            "from nlptransfer.crosslingual.lexicon import read_lexicon",
            "from nlptransfer.embeddings.word_vectors import read_word_vectors",
            "",
            'lexicon = read_lexicon("lexicon.txt")',
            'source, target = read_word_vectors("source.bin"), read_word_vectors("target.bin")',
            "```",
            "",
            "## Scores (per cent, 95 % interval over test words)",
            "",
            "| split | metric | score | interval | words |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "## What the numbers rest on",
            "",
            *(f"- {name}: {value}" for name, value in signature.items()),
            "",
        ]
    )


def finish(
    settings: Settings,
    folder: RunFolder,
    cells: Cells,
    scores: Sequence[Score],
    verdicts: Sequence[Verdict],
    signature: Mapping[str, Any],
    tables: Sequence[Table],
    seconds: Mapping[str, float],
    warnings: Sequence[str],
    notes: Sequence[str],
) -> None:
    """Predictions, history, pictures, page and metrics, and the scores on the screen."""
    import shutil

    from nlptransfer import __version__
    from nlptransfer.evaluation.plots import write_plots
    from nlptransfer.evaluation.report import print_report, write_report

    folder.write_predictions([part for cell in cells.values() for part in cell.predictions])
    folder.write_history([row for cell in cells.values() for row in cell.history])
    plots = write_plots(folder.plots, figures=make_figures(scores))
    write_report(
        folder.report,
        title="Bilingual lexicon",
        question=QUESTION,
        scores=scores,
        verdicts=verdicts,
        signature=signature,
        settings=settings_to_dict(settings),
        tables=tables,
        plots=plots,
        seconds=seconds,
        warnings=warnings,
        notes=notes,
    )
    folder.write_metrics(
        recipe="bilingual_lexicon",
        version=__version__,
        signature=signature,
        scores=scores,
        verdicts=verdicts,
        seconds=seconds,
    )
    shutil.rmtree(folder.path / "cells", ignore_errors=True)
    print_report(scores, verdicts, warnings=warnings)
    print("\n" + "\n".join(notes))
    print(f"\nLexicon: {folder.model}\nReport: {folder.report}")
