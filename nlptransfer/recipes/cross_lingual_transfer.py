"""Cross-lingual transfer: labels in one language, a model for another. Which bridge, and what is it worth?

A model is trained on the source language's labels only and carried over by each bridge: by writing one language in the
other's script, by vectors of both in one space, by subwords that both share, by an encoder that knows both. Each ends
in a verdict against no bridge, with a model trained on the target's labels beside it. With --target_labels 0 10 100
1000 some labelled target sentences are added: how many of them is the bridge worth?
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from nlptransfer.errors import InputError
from nlptransfer.recipes.crosslingual_bridge_names import parse_bridge
from nlptransfer.recipes.running import run_recipe
from nlptransfer.recipes.settings import RunSettings, check_values, settings_to_dict

if TYPE_CHECKING:
    from nlptransfer.experiments import Cell
    from nlptransfer.recipes.crosslingual_data import LanguagePair
    from nlptransfer.recipes.crosslingual_systems import System

QUESTION = "Labels in one language, a model for another: which bridge carries it over, and what is it worth?"


@dataclass(frozen=True)
class Settings(RunSettings):
    """What can be set; `nlptransfer cross_lingual_transfer --help` shows it."""

    source: str | None = None
    """Corpus of the source language, with labels. Default: ud:UD_Hindi-HDTB, or where that can't be had a synthetic
    one."""
    target: str | None = None
    """Corpus of the target language; its test split is scored. Default: ud:UD_Urdu-UDTB."""
    target_train: str | None = None
    """Labelled corpus of the target, for --target_labels and the reference alone. Default: the target's own split."""
    task: Literal["tagging", "classification"] = "tagging"
    """A tag per word, or a label per text."""
    bridges: tuple[str, ...] = ("rules", "script", "script_train")
    """How to cross: rules, script, script_train, translated, vectors, subwords, encoder, and chains such as
    script+encoder, with source_weighting and self_training behind; an unknown one lists them. No bridge is always
    there."""
    ensemble: tuple[str, ...] = ()
    """Bridges that are also asked together, as one more system: the mean of what they hold likely."""
    target_labels: tuple[int, ...] = (0,)
    """Labelled target items to train on beside the source; several numbers draw a curve."""
    reference: bool = True
    """Train on the target's own labels, too, where there are some: what the bridges are to come near."""
    data_dir: str | None = None
    """Folder to look for corpora in, before those of NLPTRANSFER_DATA."""
    tag_column: str | None = None
    """Column of tags: upos or xpos in CoNLL-U, a name elsewhere. Default: upos."""
    columns: tuple[str, ...] = ()
    """Names of the columns of a file with one word per line, such as: tokens tags."""
    text_column: str | None = None
    """Column with the texts, in one's own files. Default: text."""
    label_column: str | None = None
    """Column with the labels, in one's own files. Default: label."""
    labels: tuple[str, ...] = ()
    """Labels to keep: texts of others are left out, entities of other types are O. Default: all."""
    unseen_labels: Literal["error", "count_as_wrong"] = "count_as_wrong"
    """What to do about labels of the target that never occur in the source's training data."""
    dev_fraction: float = 0.15
    """Share of the source to develop on, where it brings no development split."""
    split_seed: int = 4
    """Seed of this cut, and of what is drawn in making bridges."""

    source_text: tuple[str, ...] = ()
    """Files of running text of the source language, for its word list; as --text of pretrain_encoder."""
    target_text: tuple[str, ...] = ()
    """The same of the target language."""
    source_vectors: str | None = None
    """Word vectors of the source language. Default: random ones, trained."""
    target_vectors: str | None = None
    """Word vectors of the target language."""
    keep_vectors: int = 100_000
    """How many of a file's first words are kept."""
    pairs: str | None = None
    """File of words and their translations or spellings in the other language."""
    pair_columns: tuple[str, ...] = ()
    """The names of its columns of source and target words, where it has a header."""
    table: str | None = None
    """Table that writes the target's words in the source's script. Default: rules, where these scripts have some."""
    reverse_table: str | None = None
    """Table that writes the source's words in the target's script."""
    encoder: str | None = None
    """Folder or hub name of a pretrained encoder, for the bridge of that name."""

    embedding: Literal["frozen", "finetuned"] = "finetuned"
    """Whether word vectors are trained on; those of both languages in one space never are."""
    embedding_dim: int = 100
    """Size of random vectors."""
    hidden_dim: int = 128
    """Units per direction of the recurrent tagger."""
    num_layers: int = 1
    """Its layers."""
    characters: Literal["none", "cnn", "lstm"] = "lstm"
    """Its encoder of each word's spelling."""
    head: Literal["softmax", "crf"] = "softmax"
    """Decide each tag for itself, or whole sequences."""
    dropout: float = 0.5
    """Share of its features dropped in training."""
    epochs: int = 15
    """Passes over the training data; the best one on the source's development data is kept."""
    batch_size: int = 16
    """Items per step."""
    learning_rate: float = 2e-3
    """Of AdamW, at its highest."""
    self_training_epochs: int = 3
    """Passes in each round of self-training, over the source and the target items that a bridge is surest of."""
    encoder_strategy: str = "full"
    """How an encoder is tuned; the recipe transformer_finetuning lists the ways."""
    encoder_epochs: int = 4
    """Passes in fine-tuning an encoder."""
    encoder_learning_rate: float = 1e-4
    """Its learning rate."""
    max_length: int = 128
    """Subwords that an encoder reads at once. Longer sentences are windowed, and no word is dropped."""
    simulate: bool = True
    """Also score the source's development data as written in the target's script, to choose a bridge without labels."""

    def __post_init__(self) -> None:
        """Refuse what can't be run."""
        super().__post_init__()
        sizes = ("embedding_dim", "hidden_dim", "num_layers", "keep_vectors", "max_length")
        counts = ("epochs", "batch_size", "encoder_epochs", "self_training_epochs")
        check_values(self, (*sizes, *counts), lambda value: value >= 1, expected="at least 1")
        rates = ("learning_rate", "encoder_learning_rate")
        check_values(self, rates, lambda value: value > 0, expected="above 0")
        check_values(self, ("dropout",), lambda value: 0 <= value < 1, expected="from 0 to below 1")
        check_values(self, ("dev_fraction",), lambda value: 0 < value < 1, expected="between 0 and 1")
        check_values(self, ("split_seed",), lambda value: 0 <= value < 2**32, expected="from 0 to 4294967295")
        check_values(
            self, ("target_labels",), lambda ns: len(ns) > 0 and min(ns) >= 0, expected="whole numbers from 0 on"
        )
        once = ("bridges", "ensemble", "target_labels")
        check_values(self, once, lambda names: len(set(names)) == len(names), expected="each at most once")
        check_values(self, ("pair_columns",), lambda names: len(names) in (0, 2), expected="two names, or none")
        if (self.source is None) != (self.target is None):
            raise InputError("--source and --target go together", remedy="Name both, or neither.")
        bridges = [parse_bridge(name) for name in self.bridges]
        asked = [parse_bridge(name).name for name in self.ensemble]
        if asked and (len(asked) < 2 or not {"none", *(bridge.name for bridge in bridges)}.issuperset(asked)):
            raise InputError(
                "--ensemble is out of range",
                expected="two or more of the --bridges",
                found=", ".join(asked),
                remedy="Name them among the --bridges, too.",
            )
        if self.task == "tagging" and self.head == "crf":
            wanted = [bridge.name for bridge in bridges if bridge.model != "encoder" and bridge.rounds]
            if wanted or asked:
                raise InputError(
                    f"{'self_training' if wanted else '--ensemble'} needs the probability of each word's tag, and a "
                    "crf decides whole sentences",
                    remedy="Take --head softmax.",
                )
        for name, bridge in zip(self.bridges, bridges, strict=True):
            if bridge.model == "encoder" and self.encoder is None:
                raise InputError(f"'{name}' needs an encoder", remedy="Name one with --encoder, or leave it out.")
            no_vectors = None in (self.source_vectors, self.target_vectors)
            if bridge.spelling == "translated" and self.pairs is None and no_vectors:
                raise InputError(
                    f"'{name}' needs words with their translations",
                    remedy="Name a file of them with --pairs, or the vectors of both languages with --source_vectors "
                    "and --target_vectors, or leave it out.",
                )
            if bridge.model == "vectors" and no_vectors:
                raise InputError(
                    f"'{name}' needs the vectors of both languages",
                    remedy="Name them with --source_vectors and --target_vectors, or leave it out.",
                )


def run(settings: Settings) -> None:
    """Train every system, carry it over, compare, save the chosen model, report.

    Args:
        settings: the recipe's.

    Raises:
        InputError: there are no such data, or nothing can be made of them.
    """
    from nlptransfer.evaluation.run_folder import check_run_folder, open_run_folder
    from nlptransfer.evaluation.verdict import compare_with_baseline, score_predictions
    from nlptransfer.experiments import cell_folder, run_cell
    from nlptransfer.recipes.crosslingual_bridges import Bridging
    from nlptransfer.recipes.crosslingual_data import load_pair
    from nlptransfer.recipes.crosslingual_diagnosis import diagnose_pair
    from nlptransfer.recipes.crosslingual_report import (
        describe_run,
        keep_model,
        make_figures,
        make_tables,
        notes_on,
        print_plan,
    )
    from nlptransfer.recipes.crosslingual_systems import BASELINE, REFERENCE, list_systems, train_system
    from nlptransfer.recipes.finishing import finish_run
    from nlptransfer.recipes.processes import tell
    from nlptransfer.training.devices import make_accelerator

    started = time.perf_counter()
    accelerator = make_accelerator(settings.device, settings.precision)
    if not settings.dry_run:
        check_run_folder(settings.output_dir, settings=settings_to_dict(settings), resume=settings.resume)

    # 1. The data. Of the target, systems see words alone, but for the labels that --target_labels grants them.
    pair = load_pair(settings)
    systems = list_systems(settings, pair)
    bridging = Bridging(settings, pair, tell)
    warnings = list(pair.warnings)
    if settings.dry_run:
        print_plan(settings, pair, bridging, systems)
        return
    folder = open_run_folder(settings.output_dir, settings=settings_to_dict(settings), resume=settings.resume)
    for warning in warnings:
        tell(f"Warning: {warning}")
    if (settings.output_dir / "metrics.json").exists():
        print(f"This run is complete: {settings.output_dir / 'report.html'}")
        return

    tables, told = diagnose_pair(settings, pair, bridging)
    for warning in told:
        tell(f"Warning: {warning}")
    warnings += told

    # 2. Every system under every seed.
    cells: dict[tuple[str, int], Cell[Any]] = {}
    for seed in settings.seeds:
        for system in systems:
            train = partial(train_system, settings, pair, bridging, system, seed, accelerator, tell)
            cells[system.name, seed] = run_cell(cell_folder(settings.output_dir, system.name, seed), train)

    # 3. Scores, and a verdict on each bridge against none, with as many target labels.
    predictions = [part for cell in cells.values() for part in cell.predictions]
    scoring: dict[str, Any] = {"seed": 0}
    metrics = metrics_of(pair)
    scores = score_predictions(predictions, metrics=metrics, **scoring)
    verdicts = []
    target = [part for part in predictions if part.split == "target_test"]
    for number in settings.target_labels:
        mark = f"@{number}" if len(settings.target_labels) > 1 or number else ""
        own = [part for part in target if part.system.endswith(mark) and ("@" in part.system) == bool(mark)]
        reference = [part for part in target if part.system == REFERENCE]
        if mark:
            own += reference
        verdicts += compare_with_baseline(
            own, BASELINE + mark, reference=REFERENCE if reference else None, metrics=metrics, **scoring
        )
    chosen = choose(settings, systems, cells)

    # 4. The chosen model, tables, pictures, report.
    signature = describe_run(settings, pair, bridging)
    keep_model(settings, folder, pair, bridging, chosen, accelerator, scores, verdicts, signature, warnings)
    finish_run(
        folder,
        recipe="cross_lingual_transfer",
        title="Cross-lingual transfer",
        question=QUESTION,
        settings=settings_to_dict(settings),
        signature=signature,
        scores=scores,
        verdicts=verdicts,
        predictions=predictions,
        history=[row for cell in cells.values() for row in cell.history],
        tables=[*make_tables(settings, systems, cells, scores), *tables],
        figures=make_figures(settings, scores),
        seconds={
            **{f"{name}, seed {seed}": cell.seconds for (name, seed), cell in cells.items()},
            "total": time.perf_counter() - started,
        },
        warnings=warnings,
        notes=notes_on(settings, chosen, scores),
        best_system=chosen.name if pair.is_tagging else None,
        reference=REFERENCE,
    )


def metrics_of(pair: LanguagePair) -> tuple[str, ...]:
    """What a task is scored by: spans of words where the tags are B-X and I-X."""
    if not pair.is_tagging:
        return ("accuracy", "macro_f1")
    has_spans = any(name.startswith("B-") for name in pair.label_names)
    return ("token_accuracy", "span_f1") if has_spans else ("token_accuracy",)


def choose(settings: Settings, systems: Sequence[System], cells: Mapping[tuple[str, int], Cell[Any]]) -> System:
    """The bridge that read the source's development data best as the target would write them; no target label is used.

    With several numbers of target labels, among the bridges that have the most of them. Without such data as the target
    would write them, by the development data as they are.
    """
    most = max(settings.target_labels)
    candidates = [system for system in systems if system.crosses and system.labels == most]

    def mean(system: System) -> float:
        facts = [cells[system.name, seed].facts for seed in settings.seeds]
        return sum(own.get("simulated_accuracy", own["dev_accuracy"]) for own in facts) / len(facts)

    return max(candidates, key=mean)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the recipe from the command line."""
    run_recipe(Settings, run, argv)


if __name__ == "__main__":
    main()
