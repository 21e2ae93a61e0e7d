"""Cross-domain sentiment: labelled reviews in one domain, unlabelled ones in another; which method carries over?

Source-only, the chosen methods and, where the target has labels, a reference trained on the target are trained under
the same seeds. Each method ends in a verdict against source-only, with the share of the gap to the reference that it
closed. With --pairs all every ordered pair of the domains is run, with --pairs leave_one_out every domain once as the
target of all others together, and each method gets a verdict over all pairs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from nlptransfer.adaptation.method_names import STEPS, parse_method
from nlptransfer.errors import InputError
from nlptransfer.recipes.domain_cells import read_cells, sign_pair, train_pairs
from nlptransfer.recipes.domain_report import describe_choice, keep_models, make_figures, make_tables
from nlptransfer.recipes.domain_systems import REFERENCE, SOURCE_ONLY, System, list_systems, load_pair, seeds_of
from nlptransfer.recipes.processes import num_processes
from nlptransfer.recipes.running import run_recipe
from nlptransfer.recipes.settings import RunSettings, check_values, settings_to_dict

if TYPE_CHECKING:
    from nlptransfer.data.domain_pairs import DomainPair
    from nlptransfer.evaluation.document_predictions import DocumentPredictions
    from nlptransfer.evaluation.verdict import Score, Verdict
    from nlptransfer.recipes.domain_cells import Cells

USUAL = ("amazon:books", "amazon:dvd")
STAND_IN = ("synthetic-reviews:source", "synthetic-reviews:target")
CHOICE = "label_free_choice"
CHOICE_BY_MEAN = "label_free_choice_by_mean"
CHOICE_ELSEWHERE = "choice_on_other_domains"
CHOICE_ON_OTHER_PAIRS = "choice_on_other_pairs"
ORACLE = "oracle_choice"
QUESTION = "Labels in one domain, unlabelled reviews in another: what can be carried over, by which method?"


@dataclass(frozen=True)
class Settings(RunSettings):
    """What can be set; `nlptransfer cross_domain_sentiment --help` shows it."""

    source: str | None = None
    """Corpus or file with labelled reviews, or several joined by +, such as amazon:books+dvd. Default: Amazon books, or
    where they can't be had synthetic reviews."""
    target: str | None = None
    """Corpus or file of the other domain, whose labels only score. FILE#NAME takes one domain of a file."""
    pairs: Literal["one", "all", "leave_one_out"] = "one"
    """One pair; every ordered pair of --domains; or each of them once, with all the others joined as its source."""
    domains: tuple[str, ...] = ()
    """The domains of --pairs all or leave_one_out; amazon stands for its four. Default: --source and --target, or
    amazon."""
    data_dir: str | None = None
    """Folder to look for corpora in, before those of NLPTRANSFER_DATA."""
    text_column: str | None = None
    """Column with the texts, in one's own files. Default: text."""
    label_column: str | None = None
    """Column with the labels, in one's own files. Default: label."""
    domain_column: str | None = None
    """Column with the domain's name, in one file with several domains. Default: domain."""
    drop_duplicates: bool = False
    """Take reviews out of the source that stand there twice, or in the target's test; they are reported in any case."""
    transductive: bool = False
    """Let adaptation read the test reviews, without labels, beside the unlabelled ones: for reviews at hand."""
    further_text: tuple[str, ...] = ()
    """Other domains whose texts, without labels, msda, sda and scl learn from, too: amazon is all but a pair's own."""
    target_labels: tuple[int, ...] = (0,)
    """How many labelled target reviews the methods made for that may use; several numbers draw a curve."""
    split_seed: int = 4
    """Seed of drawing them."""

    methods: tuple[str, ...] = ("idf", "coral", "scl", "idf+self_training", "dann", "mmd")
    """Methods and chains of them, such as idf+scl+self_training or dann:0.3; an unknown one lists them all."""
    features: tuple[Literal["ngrams", "vectors", "encoder"], ...] = ("ngrams",)
    """What methods on arrays read: n-grams, averaged word vectors, a frozen encoder's features; or several."""
    weighting: Literal["binary", "counts", "log", "tfidf"] = "binary"
    """Of n-grams."""
    max_ngram: int = 2
    """Words in an n-gram, at most."""
    min_documents: int = 3
    """Leave out n-grams, or words, of fewer documents, both domains taken together."""
    max_features: int = 30_000
    """Keep so many n-grams, the most frequent ones."""
    vectors: str = "auto"
    """Word vectors for --features vectors and --network recurrent: a file, gensim:NAME, train, or auto."""
    encoder: str | None = None
    """Folder or hub name of a pretrained encoder for --features encoder."""
    regularization: float = 10.0
    """C of the logistic regression that every method on arrays ends in; a larger one trusts the labels more."""

    corruption: float | None = None
    """Share of the features that msda and sda take away and learn to put back. Default: 0.5 of msda, 0.8 of sda."""
    output_dim: int = 1000
    """Main directions of msda's representation to keep; 0 keeps all of it, and takes far more time and memory."""

    curve_corruptions: tuple[float, ...] = ()
    """Draw the accuracy of msda with a linear classifier at these corruptions, and choose among them label-free."""
    curve_layers: tuple[int, ...] = (1, 3, 5)
    """The numbers of layers of that curve."""

    network: Literal["bag_of_words", "recurrent"] = "bag_of_words"
    """What dann, mmd and the like train: a hidden layer over the features, or a recurrent encoder over word vectors."""
    hidden_dim: int = 100
    """Units of the hidden layer, or per direction of the recurrent one."""
    pooling: Literal["attention", "max", "mean"] = "attention"
    """How a recurrent network sums up a document."""
    dropout: float = 0.5
    """Share of features dropped in a network's training."""
    max_length: int = 256
    """Words that a recurrent network, or subwords that an encoder, reads of a document."""
    epochs: int = 20
    """Passes of a network over the source; the last one is kept, for want of target labels to choose by."""
    batch_size: int = 64
    """Source documents per step, and target documents."""
    learning_rate: float = 1e-3
    """Of AdamW."""
    weight_decay: float = 0.01
    """Of AdamW."""

    selection: Literal[
        "reverse_validation", "importance_weighting", "entropy", "information_maximization", "neighbourhood_density"
    ] = "reverse_validation"
    """The label-free score that chooses among methods, and with --tune among each method's numbers."""
    chosen_by: str | None = None
    """Folder of a finished run on other domains: whichever of these methods was best there is a choice of its own."""
    tune: bool = False
    """Let the label-free score choose each method's number (dann's weight, scl's dimensions), once per pair."""
    reference: bool = True
    """Train a reference on the target's own labels, where it has any."""
    keep_models: bool = True
    """Leave the trained models in the run folder; those of learnt representations take hundreds of megabytes."""
    processes: int = 0
    """Pairs trained at once, a core each. Default: as many as there are cores and pairs; 1 with a GPU."""

    def __post_init__(self) -> None:
        """Refuse what can't be run."""
        super().__post_init__()
        counts = ("max_ngram", "min_documents", "max_features", "hidden_dim", "max_length", "epochs", "batch_size")
        check_values(self, counts, lambda value: value >= 1, expected="at least 1")
        check_values(self, ("learning_rate", "regularization"), lambda value: value > 0, expected="above 0")
        check_values(self, ("weight_decay", "processes", "output_dim"), lambda value: value >= 0, expected="0 or above")
        check_values(self, ("dropout",), lambda value: 0 <= value < 1, expected="from 0 to below 1")
        check_values(self, ("corruption",), lambda value: value is None or 0 < value < 1, expected="between 0 and 1")
        check_values(self, ("curve_corruptions",), lambda ps: all(0 < p < 1 for p in ps), expected="between 0 and 1")
        check_values(self, ("curve_layers",), lambda ns: ns and min(ns) >= 1, expected="whole numbers from 1 on")
        check_values(self, ("split_seed",), lambda value: 0 <= value < 2**32, expected="from 0 to 4294967295")
        check_values(self, ("target_labels",), lambda ns: ns and min(ns) >= 0, expected="whole numbers from 0 on")
        once = ("methods", "features", "target_labels")
        check_values(self, once, lambda names: len(set(names)) == len(names) > 0, expected="each at most once")
        for name in self.methods:
            method = parse_method(name)
            if method.needs_target_labels and not any(self.target_labels):
                raise InputError(
                    f"'{name}' needs a few labelled reviews of the target, and none are allowed",
                    remedy="Allow some with --target_labels 50, or leave this method out.",
                )
            if method.is_network and self.network == "recurrent" and len(method.steps) > 1:
                before = ", ".join(step for step, _ in method.steps if STEPS[step].kind != "network")
                raise InputError(
                    f"'{name}' can't be had with --network recurrent, which reads words and not features",
                    remedy=f"Leave out {before}, or use --network bag_of_words.",
                )
            if method.head == "reconstruction" and self.network == "recurrent":
                raise InputError(
                    f"'{name}' reconstructs features, and --network recurrent reads words",
                    remedy="Use --network bag_of_words, or sequence_denoising, which rebuilds documents word by word.",
                )
            if method.head == "sequence_denoising" and self.network != "recurrent":
                raise InputError(
                    f"'{name}' rebuilds documents word by word, and features have no order",
                    remedy="Use --network recurrent, or leave this method out.",
                )
            if any(step == "subspace_alignment" for step, _ in method.steps) and find_spec("skada") is None:
                raise InputError(
                    f"'{name}' needs skada, which is not installed",
                    remedy='Install it with: pip install "nlptransfer[adaptation]"',
                )
        if "encoder" in self.features and self.encoder is None:
            raise InputError("--features encoder needs an encoder", remedy="Name its folder with --encoder.")
        if self.pairs == "one" and self.domains:
            raise InputError(
                "--domains is for --pairs all or leave_one_out",
                remedy="Add one of them, or use --source and --target.",
            )
        if self.pairs == "one" and (self.source is None) != (self.target is None):
            raise InputError("--source and --target come together", remedy="Name both, or neither for Amazon reviews.")


def run(
    settings: Settings,
    *,
    recipe: str = "cross_domain_sentiment",
    title: str = "Cross-domain sentiment",
    question: str = QUESTION,
) -> None:
    """Train every system on every pair, then open the target's labels once, compare and report.

    Args:
        settings: the recipe's.
        recipe: its name; others ask their own question of the same pairs and systems.
        title: of the report.
        question: that the report answers.

    Raises:
        InputError: there are no such data, or nothing can be made of them; or, when all else is done and reported,
            some method could not be trained.
    """
    from nlptransfer.evaluation.choices import (
        best_elsewhere,
        best_on_other_pairs,
        choice_rows,
        chosen_predictions,
        oracle_choice,
    )
    from nlptransfer.evaluation.document_predictions import with_gold
    from nlptransfer.evaluation.over_pairs import compare_over_pairs, score_over_pairs
    from nlptransfer.evaluation.run_folder import check_run_folder, open_run_folder, read_run
    from nlptransfer.evaluation.verdict import compare_with_baseline, score_predictions
    from nlptransfer.recipes.finishing import finish_run

    started = time.perf_counter()
    # How many processes share the work changes no result: a run may go on with another number.
    kept = {name: value for name, value in settings_to_dict(settings).items() if name != "processes"}
    if not settings.dry_run:
        check_run_folder(settings.output_dir, settings=kept, resume=settings.resume)

    # 1. The pairs. Of the target only texts are seen until everything is trained.
    names, warnings = find_pairs(settings)
    loaded = {name: load_pair(settings, *ends) for name, ends in names.items()}
    check_documents(settings, loaded)
    warnings += warnings_of(loaded)
    systems = list_systems(settings)
    elsewhere = None
    if settings.chosen_by is not None:
        elsewhere = best_elsewhere(read_run(settings.chosen_by).scores, names, contenders(systems))
    if settings.dry_run:
        print_plan(settings, loaded, systems, warnings)
        return
    folder = open_run_folder(settings.output_dir, settings=kept, resume=settings.resume)
    for warning in warnings:
        print(f"Warning: {warning}", flush=True)
    if (settings.output_dir / "metrics.json").exists():
        print(f"This run is complete: {settings.output_dir / 'report.html'}")
        return

    # 2. Every system under every seed, on every pair. A cell that an earlier try has kept is not run again.
    train_pairs(settings, names)
    cells, failures = read_cells(settings, names, loaded, systems)
    warnings += [f"{system} could not be trained on {name}: {why}" for (name, system), why in failures.items()]
    predictions = [part for cell in cells.values() for part in cell.predictions]
    history = [row for cell in cells.values() for row in cell.history]
    seconds = {f"{pair}, {system}, seed {seed}": cell.seconds for (pair, system, seed), cell in cells.items()}
    signature = {"recipe": recipe, **describe_run(settings, systems), "pairs": {}}

    # 3. What would be chosen without target labels: on each pair the method with the best label-free score there, and
    # the one with the best mean over all pairs that know no label of this target; chance moves a mean less.
    choice = {name: choose_method(cells, [name], settings) for name in names}
    choices = {CHOICE: choice}
    others = {name: without_labels_of(names, name) for name in names}
    if any(len(own) > 1 for own in others.values()):  # else it is the same choice
        choices[CHOICE_BY_MEAN] = {name: choose_method(cells, own, settings) for name, own in others.items()}
    if elsewhere is not None:
        choices[CHOICE_ELSEWHERE] = {
            name: elsewhere for name in names if any((name, elsewhere) == cell[:2] for cell in cells)
        }
    trained = list(predictions)
    for label, chosen in choices.items():
        predictions += chosen_predictions(trained, chosen, name=label)

    # 4. The target's labels are opened, once, to score.
    scored = {name: pair for name, pair in loaded.items() if pair.test_labels is not None}
    gold: dict[str, list[str]] = {}
    for name, pair in scored.items():
        assert pair.test_labels is not None
        gold[name] = [pair.label_names[label] for label in pair.test_labels.open()]
    predictions = [with_gold(part, gold[part.pair or ""]) for part in predictions if part.pair in gold]
    signature["pairs"] = {name: sign_pair(name, pair, cells) for name, pair in loaded.items()}
    scores: list[Score] = []
    verdicts: list[Verdict] = []
    on_other_pairs: dict[str, str] = {}
    if predictions:
        plain = score_predictions(predictions, num_resamples=1, seed=0)
        # Which method carried over best among the other domains, no label of the target being used.
        on_other_pairs = best_on_other_pairs(plain, scored, contenders(systems))
        oracle = oracle_choice(plain, contenders(systems))
        for label, chosen in {CHOICE_ON_OTHER_PAIRS: on_other_pairs, ORACLE: oracle}.items():
            predictions += chosen_predictions(predictions, chosen, name=label)
        resamples = 9_999 if len(scored) == 1 else 1_999
        scores = score_predictions(predictions, metrics=("accuracy", "macro_f1"), num_resamples=resamples, seed=0)
        scores += score_over_pairs(on_every_pair(predictions), seed=0)

        # 5. A verdict on each system against source-only of its own kind, networks against networks.
        for baseline, group in by_baseline(predictions, systems):
            comparing: dict[str, Any] = {"reference": REFERENCE if settings.reference else None, "seed": 0}
            verdicts += compare_with_baseline(group, baseline, num_resamples=resamples, **comparing)
            verdicts += compare_over_pairs(on_every_pair(group), baseline, **comparing)
        verdicts = [verdict for verdict in verdicts if verdict.system not in (REFERENCE, *SOURCE_ONLY.values())]

    # 6. Models, tables, pictures, report.
    keep_models(settings, folder, loaded, choice, systems, scores, verdicts, signature, warnings)
    finish_run(
        folder,
        recipe=recipe,
        title=title,
        question=question,
        settings=settings_to_dict(settings),
        signature=signature,
        scores=scores,
        verdicts=verdicts,
        predictions=predictions,
        history=history,
        tables=make_tables(settings, names, cells, gold, loaded, choice_rows(scores, choice, oracle) if gold else []),
        figures=make_figures(settings, names, systems, scores, gold, loaded),
        seconds={**seconds, "total": time.perf_counter() - started},
        warnings=warnings,
        notes=describe_choice(settings, choice, bool(gold), elsewhere, on_other_pairs),
        reference=REFERENCE if settings.reference else None,
        not_usable=(ORACLE,),
    )
    if failures:
        (name, system), why = next(iter(failures.items()))
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise InputError(
            f"the run is complete, but {system} could not be trained on {name}{more}: {why.rstrip('.')}",
            remedy="The report tells of all others.",
        )


def find_pairs(settings: Settings) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """The pairs by name, and warnings."""
    from nlptransfer.data.domain_names import pair_name
    from nlptransfer.data.domains import expand_pairs
    from nlptransfer.data.fetching import NotToBeHad

    warnings: list[str] = []
    columns = {name: getattr(settings, name) for name in ("data_dir", "text_column", "label_column", "domain_column")}
    given = settings.domains or tuple(name for name in (settings.source, settings.target) if name is not None)
    if settings.pairs != "one":
        ends = expand_pairs(given or ("amazon",), kind=settings.pairs, **columns)
    else:
        ends = [(settings.source, settings.target)] if settings.source and settings.target else [USUAL]
        if not given:
            try:
                load_pair(settings, *USUAL)
            except NotToBeHad as error:
                ends = [STAND_IN]
                warnings.append(
                    "THE REVIEWS ARE SYNTHETIC. They were generated here, because Amazon's can't be had, and their "
                    f"scores say nothing about real text. {error}"
                )
    names = {pair_name(*pair): pair for pair in ends}
    if len(names) < len(ends):
        # Short names that coincide: the full ones tell the pairs apart.
        names = {f"{source}>{target}": (source, target) for source, target in ends}
    return names, warnings


def check_documents(settings: Settings, loaded: Mapping[str, DomainPair]) -> None:
    """Refuse, before anything is trained, what can't be made of the documents or of what was named to read them."""
    words_only = [f"--features {name}" for name in settings.features if name != "ngrams"]
    if settings.network == "recurrent" and any(parse_method(name).is_network for name in settings.methods):
        words_only.append("--network recurrent")
    for name, pair in loaded.items():
        if words_only and "text" not in pair.source_labelled.column_names:
            raise InputError(
                f"{words_only[0]} reads texts, and these corpora hold counted terms only",
                where=name,
                remedy="Use --features ngrams and --network bag_of_words, or corpora with texts, such as amazon:books.",
            )
    if settings.encoder is not None and "encoder" in settings.features:
        from nlptransfer.embeddings.find_encoder import find_encoder

        find_encoder(settings.encoder)


def warnings_of(loaded: Mapping[str, DomainPair]) -> list[str]:
    """What every reader must see of the data; what differs from pair to pair in names and numbers only, once."""
    alike: dict[str, list[str]] = {}
    for name, pair in loaded.items():
        for warning in pair.warnings:
            kind = re.sub(r"\d[\d,]*", "", warning.replace(pair.target, ""))
            alike.setdefault(kind, []).append(warning if len(loaded) == 1 else f"{name}: {warning}")
    return [
        own[0] + (f" So it is, with other numbers, on {len(own) - 1} more pairs." if len(own) > 1 else "")
        for own in alike.values()
    ]


def on_every_pair(predictions: Sequence[DocumentPredictions]) -> list[DocumentPredictions]:
    """Those of the systems that were trained on every pair: only they have a mean over the pairs."""
    pairs = {part.pair for part in predictions}
    found: dict[str, set[str | None]] = {}
    for part in predictions:
        found.setdefault(part.system, set()).add(part.pair)
    return [part for part in predictions if found[part.system] == pairs]


def contenders(systems: Sequence[System]) -> list[str]:
    """The systems that use no target label, and are no control of another."""
    methods = {system.name: system.method for system in systems if system.method is not None}
    return [name for name, own in methods.items() if not own.needs_target_labels and not own.is_control]


def without_labels_of(names: Mapping[str, tuple[str, str]], name: str) -> list[str]:
    """The pairs whose label-free score has seen no label of this pair's target, which is in the source of other pairs.

    Where each domain once is the target of all others together, every other pair's source holds this target: only the
    pair itself is left.
    """
    from nlptransfer.data.domain_names import source_domains

    return [other for other, (source, _) in names.items() if names[name][1] not in source_domains(source)]


def choose_method(cells: Cells, pairs: Collection[str], settings: Settings) -> str:
    """Of the systems that have a label-free score on each of the pairs, the one with the best mean."""
    scores: dict[str, list[float]] = {}
    for (name, system, seed), cell in cells.items():
        if name in pairs and seed == settings.seeds[0] and "label_free_score" in cell.facts:
            scores.setdefault(system, []).append(float(cell.facts["label_free_score"]))
    means = {system: sum(own) / len(own) for system, own in scores.items() if len(own) == len(pairs)}
    return max(means, key=lambda system: means[system])


def by_baseline(
    predictions: Sequence[DocumentPredictions], systems: Sequence[System]
) -> list[tuple[str, list[DocumentPredictions]]]:
    """For each baseline the predictions to compare with it, and its own.

    A representation that was learnt without target text is the baseline of the one that was learnt with it.
    """
    networks = {system.name for system in systems if system.method is not None and system.method.is_network}
    groups = [(SOURCE_ONLY["linear"], [part for part in predictions if part.system not in networks])]
    if networks:
        group = [part for part in predictions if part.system in networks or part.system == REFERENCE]
        groups.append((SOURCE_ONLY["network"], group))
    trained = {part.system for part in predictions}
    for control in sorted(name for name in trained if "_without_target" in name):
        with_target = control.replace("_without_target", "", 1)
        if with_target in trained:
            groups.append((control, [part for part in predictions if part.system in (control, with_target)]))
    return groups


def describe_run(settings: Settings, systems: Sequence[System]) -> dict[str, Any]:
    """The signature: what the numbers rest on."""
    few = [system.name for system in systems if system.num_few]
    return {
        "seeds": list(settings.seeds),
        "features": " + ".join(settings.features) + (f" ({settings.encoder})" if settings.encoder else ""),
        "labels for training": "source",
        "labels for model choice": f"none of the target; by {settings.selection.replace('_', ' ')} on the source's "
        "labels, on average over a cut for each seed",
        "target labels for training": (
            f"{', '.join(map(str, settings.target_labels))} in {', '.join(few)}" if few else "none"
        ),
        "target test labels": "opened once, to score; before that by no system but the reference",
        "interval": "95 %, bootstrap over documents; over all pairs: over pairs, seeds and documents",
        "test": "paired permutation over documents; over all pairs: sign flips of the pairs' gains; two-sided",
    }


def print_plan(
    settings: Settings, loaded: Mapping[str, DomainPair], systems: Sequence[System], warnings: Sequence[str]
) -> None:
    """What a run would do."""
    for warning in warnings:
        print(f"Warning: {warning}")
    for name, pair in loaded.items():
        print(
            f"{name}: {len(pair.source_labelled):,} labelled source reviews ({len(pair.source_unlabelled):,} more "
            f"unlabelled), {len(pair.target_unlabelled):,} unlabelled target reviews, {len(pair.target_test):,} to test"
        )
    cells = sum(len(seeds_of(system, settings)) for system in systems) * len(loaded)
    print(f"Systems: {', '.join(system.name for system in systems)}")
    processes = num_processes(settings.processes, len(loaded), device=settings.device)
    print(f"{cells} cells, {processes} pairs at once. Nothing was trained.")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the recipe from the command line."""
    run_recipe(Settings, run, argv)


if __name__ == "__main__":
    main()
