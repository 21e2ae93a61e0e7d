"""What is said of a pair of languages before a model is trained: how near they are, and whether vectors will map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nlptransfer.errors import InputError
from nlptransfer.recipes.crosslingual_bridge_names import Spelling, parse_bridge
from nlptransfer.recipes.crosslingual_bridges import Bridging
from nlptransfer.recipes.crosslingual_data import LanguagePair

if TYPE_CHECKING:
    from nlptransfer.crosslingual.mapping_diagnosis import MappingDiagnosis
    from nlptransfer.evaluation.report import Table
    from nlptransfer.recipes.cross_lingual_transfer import Settings

_BEST_FIRST: tuple[Spelling, ...] = ("script", "script_train", "rules", "translated")
_COMPARED_WORDS = 1_000


def diagnose_pair(settings: Settings, pair: LanguagePair, bridging: Bridging) -> tuple[list[Table], list[str]]:
    """Tables for the report, and warnings: from the source's items and the target's words; no label is read.

    Args:
        settings: the recipe's.
        pair: the data.
        bridging: the bridges' spellings and vectors.
    """
    source = _words(pair, pair.train.items)
    target = _words(pair, pair.unlabelled_target() or pair.target_test.items)
    tables: list[Table] = []
    warnings: list[str] = []
    distance = None
    try:
        if any(parse_bridge(name).model == "vectors" for name in settings.bridges):
            diagnosis = _diagnose_vectors(settings, bridging, source, target)
            distance = diagnosis.eigenvector_similarity.value
            tables.append(_vector_table(diagnosis))
            warnings += [f"Bridge vectors, {finding.outlook}: {finding.text}" for finding in diagnosis.findings]
        tables.insert(0, _nearness(settings, bridging, source, target, distance))
    except InputError as error:
        # Too little text or too few vectors to measure is no reason not to train.
        warnings.append(f"Nearness of the languages was not measured in full. {error}")
    return tables, warnings


def _words(pair: LanguagePair, items: Sequence[Any]) -> list[list[str]]:
    from nlptransfer.data.words import split_tokens

    return [list(item) for item in items] if pair.is_tagging else [split_tokens(item) for item in items]


def _nearness(
    settings: Settings, bridging: Bridging, source: list[list[str]], target: list[list[str]], distance: float | None
) -> Table:
    """What `rank_sources` measures of the one source, as written and after the best of the spellings asked for."""
    from nlptransfer.evaluation.report import Table
    from nlptransfer.transferability.which_source import RankedSource, rank_sources

    def measure(first: list[list[str]], second: list[list[str]]) -> RankedSource:
        distances = None if distance is None else {"source": distance}
        return rank_sources({"tokens": second}, {"source": {"tokens": first}}, vector_distances=distances)[0]

    asked = {parse_bridge(name).spelling for name in settings.bridges}
    spelling = next((own for own in _BEST_FIRST if own in asked), None)
    written = measure(source, target)
    bridged = None
    if spelling is not None:
        bridged = measure(bridging.spell_source(spelling)(source), bridging.spell_target(spelling)(target))
    reasons = {reason.partition(",")[0]: reason.partition(": ")[2] for reason in (bridged or written).reasons}
    rows = []
    for name, value in written.values.items():
        row: dict[str, Any] = {"measured": name, "as written": _number(name, value)}
        if bridged is not None:
            row[f"after {spelling}"] = _number(name, bridged.values[name])
        rows.append({**row, "in words": reasons[name]})
    return Table(
        "How near is the source to the target?",
        rows,
        "From the source's items and the target's words, without labels. Of script, words and character n-grams more "
        "is better, of word order, type-token ratio and vector space less. With several sources at hand "
        "`nlptransfer.transferability.which_source.rank_sources` ranks them by the same numbers.",
    )


def _number(name: str, value: float) -> str:
    return f"{value:,.0f}" if name == "size" else f"{value:.3f}"


def _diagnose_vectors(
    settings: Settings, bridging: Bridging, source: list[list[str]], target: list[list[str]]
) -> MappingDiagnosis:
    from nlptransfer.crosslingual.mapping_diagnosis import diagnose_mapping
    from nlptransfer.crosslingual.target_reader import by_word

    return diagnose_mapping(
        *bridging.vectors_to_map,
        seed=settings.split_seed,
        lexicon=bridging.vector_seed if len(bridging.vector_seed) else None,
        source_sentences=by_word(bridging.normal("source"))(source),
        target_sentences=by_word(bridging.normal("target"))(target),
        num_words=_COMPARED_WORDS,
    )


def _vector_table(diagnosis: MappingDiagnosis) -> Table:
    from nlptransfer.crosslingual.mapping_diagnosis import format_diagnosis
    from nlptransfer.evaluation.report import Table

    return Table(
        "Will the vectors of both languages map?",
        [{"before the mapping": line.strip()} for line in format_diagnosis(diagnosis).splitlines() if line.strip()],
        "From the seed of the mapping, left out in parts, and from the shape of both spaces. The word pairs are the "
        "user's, and words that sound or are written alike.",
    )
