"""Pretrained transformers: extract features, fine-tune, adapt. Which way, for how much data, and did it help?

Each strategy is trained on the same data under the same seeds, held against a head on frozen features and against the
same network without pretraining, and ends in a verdict, with what it cost beside it. With --target_data it is tested in
another domain, and adapts to that domain's unlabelled text where the strategy does. With --train_sizes it is trained on
several numbers of labels.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nlptransfer.errors import InputError
from nlptransfer.finetuning.strategies import parse_strategy
from nlptransfer.recipes.processes import num_processes, run_jobs, tell
from nlptransfer.recipes.running import run_recipe
from nlptransfer.recipes.settings import RunSettings, check_values, settings_to_dict

if TYPE_CHECKING:
    from nlptransfer.evaluation.verdict import Score, Verdict
    from nlptransfer.recipes.finetuning_cells import Cells
    from nlptransfer.recipes.finetuning_data import Job

CHOICE = "choice_by_source_dev"
CHOICE_BY_MEAN = "choice_by_mean_source_dev"
CHOICE_ON_OTHER_PAIRS = "choice_on_other_pairs"
ORACLE = "oracle_choice"
QUESTION = "A pretrained encoder and some labels: which way of using it, at what cost, and did it help?"


@dataclass(frozen=True)
class Settings(RunSettings):
    """What can be set; `nlptransfer transformer_finetuning --help` shows it."""

    encoder: str | None = None
    """Folder of a pretrained encoder, or its name on the hub. Default: sentence-transformers/all-MiniLM-L6-v2, or where
    it can't be had a small one that is pretrained here on synthetic text."""
    strategies: tuple[str, ...] = ("full", "lp_ft", "gradual_unfreezing")
    """Ways of using it and chains of them, such as lora:16 or dapt+lp_ft+self_training; an unknown one lists them."""
    baselines: tuple[Literal["feature_extraction", "no_pretraining"], ...] = ("feature_extraction", "no_pretraining")
    """What the strategies are held against: a head on frozen features, the same network without pretraining."""

    ensemble: tuple[str, ...] = ()
    """Two or more of them that are also asked together: the mean of their probabilities is one more system."""

    task: Literal["classification", "tagging"] = "classification"
    """A label per text, or a tag per word."""
    train_data: str | None = None
    """Corpus or file with labels. Default: Amazon books; for tagging UD_English-EWT."""
    dev_data: str | None = None
    """Corpus or file to choose epochs and strategies by. Default: the corpus's own, or a part of the training data."""
    test_data: str | None = None
    """Corpus or file to test on. Default: the corpus's own, or a part of the training data."""
    target_data: tuple[str, ...] = ()
    """Corpora or files of other domains to test on, without labels to adapt to; FILE#NAME takes a domain of a file."""
    pairs: Literal["one", "all"] = "one"
    """--train_data alone; or each of --domains as the source of all others."""
    domains: tuple[str, ...] = ()
    """The domains of --pairs all; amazon stands for its four. Default: amazon."""
    data_dir: str | None = None
    """Folder to look for corpora in, before those of NLPTRANSFER_DATA."""
    text_column: str | None = None
    """Column with the texts, in one's own files. Default: text."""
    label_column: str | None = None
    """Column with the labels, in one's own files. Default: label."""
    domain_column: str | None = None
    """Column with the domain's name, in one file with several domains. Default: domain."""
    tag_column: str | None = None
    """Column of tags: upos or xpos in CoNLL-U, a name elsewhere. Default: upos."""
    tagset: Literal["universal"] | None = None
    """Map NLTK's tags to the 12 universal ones."""
    unseen_tags: Literal["error", "count_as_wrong"] = "error"
    """What to do about a tag in dev, test or target data that never occurs in training."""
    drop_duplicates: bool = False
    """Take texts out of the source that stand there twice, or in the target's test; they are reported in any case."""
    max_unlabelled: int = 0
    """Read so many unlabelled texts of a target at most; 0: all."""
    train_sizes: tuple[int, ...] = ()
    """Train on so many labelled items; several numbers draw a curve. Default: all."""
    dev_fraction: float = 0.2
    """Share of the training data to develop on, where no development data is given."""
    test_fraction: float = 0.2
    """Share of all data to test on, where no test data and no target is given; cut off first."""
    split_seed: int = 4
    """Seed of these cuts."""

    pooling: Literal["mean", "cls", "max", "native"] = "mean"
    """What stands for a text: the mean, first or maximal state of its tokens, or transformers' own head."""
    subwords: Literal["first", "mean"] = "first"
    """What stands for a word in tagging: its first subword's state, or the mean of all."""
    layers: tuple[str, ...] = ("-1",)
    """Hidden states that are read, 0 the embeddings, -1 the last, of several the mean; or mix, a learnt mean of all."""
    max_length: int = 256
    """Subwords read at once. Longer sentences of a tagger are windowed, and no word is dropped."""
    truncation: Literal["head", "head_tail", "windows"] = "head_tail"
    """What is read of a longer text: its beginning, a quarter of that and its end, or all of it in windows."""
    dropout: float = 0.1
    """Before the head."""
    attention_dropout: float = 0.0
    """Share of attention weights dropped in training; 0 is far faster than any other."""

    epochs: int = 4
    """Passes over the training data; the best one on development data is kept."""
    min_steps: int = 100
    """At least so many steps: few labels are gone through several times an epoch."""
    patience: int = 0
    """Stop after so many epochs without a better development score; 0: go through all."""
    batch_size: int = 16
    """Items per step."""
    learning_rate: float = 1e-4
    """Of AdamW, at its highest."""
    lora_learning_rate: float = 1e-3
    """The same for lora, whose few weights start from 0."""
    masked_lm_learning_rate: float = 1e-4
    """The same for dapt."""
    self_training_epochs: int = 1
    """Passes over source and pseudo-labelled texts, at half the learning rate."""
    schedule: Literal["constant", "linear", "cosine", "slanted_triangular"] = "linear"
    """How the learning rate rises and falls over the run; ulmfit has its own."""
    warmup: float = 0.1
    """Share of the run in which linear and cosine rise."""
    weight_decay: float = 0.01
    """Of AdamW, not on biases and normalisations."""
    regularization: float | None = None
    """C of the logistic regression of feature_extraction and lp_ft, on features of unit variance. Default: the best in
    a cross-validation of the training data."""
    processes: int = 0
    """Sources trained at once, a core each. Default: as many as there are cores and sources; 1 with a GPU."""

    def __post_init__(self) -> None:
        """Refuse what can't be run."""
        super().__post_init__()
        counts = ("max_length", "epochs", "batch_size", "self_training_epochs")
        check_values(self, counts, lambda value: value >= 1, expected="at least 1")
        rates = ("learning_rate", "lora_learning_rate", "masked_lm_learning_rate")
        check_values(self, rates, lambda value: value > 0, expected="above 0")
        check_values(self, ("regularization",), lambda value: value is None or value > 0, expected="above 0")
        from_zero = ("weight_decay", "processes", "min_steps", "patience", "max_unlabelled")
        check_values(self, from_zero, lambda value: value >= 0, expected="0 or above")
        check_values(
            self, ("dropout", "attention_dropout", "warmup"), lambda value: 0 <= value < 1, expected="from 0 to below 1"
        )
        check_values(self, ("split_seed",), lambda value: 0 <= value < 2**32, expected="from 0 to 4294967295")
        check_values(self, ("train_sizes",), lambda ns: all(n >= 1 for n in ns), expected="whole numbers from 1 on")
        once = ("strategies", "baselines", "ensemble", "train_sizes", "target_data")
        check_values(self, once, lambda names: len(set(names)) == len(names), expected="each at most once")
        if not self.strategies and not self.baselines:
            raise InputError("there is nothing to train", remedy="Name --strategies, such as full.")
        trained = [*self.strategies, *self.baselines]
        if len(self.ensemble) == 1 or not set(self.ensemble) <= set(trained):
            raise InputError(
                "--ensemble asks strategies of this run together",
                expected=f"two or more of {', '.join(trained)}",
                found=", ".join(self.ensemble),
            )
        from nlptransfer.recipes.finetuning_models import choose_layers

        choose_layers(self.layers)
        for name in self.strategies:
            strategy = parse_strategy(name)
            if strategy.uses_target and not self.target_data and self.pairs == "one":
                raise InputError(
                    f"'{name}' adapts to a target's unlabelled text, and no target is named",
                    remedy="Name one with --target_data, or leave this strategy out.",
                )
        if self.pairs == "all" and (self.train_data or self.target_data or self.task == "tagging"):
            raise InputError(
                "--pairs all takes its data from --domains, of texts",
                remedy="Leave out --train_data, --target_data and --task, or --pairs.",
            )
        if self.pairs == "one" and self.domains:
            raise InputError("--domains is for --pairs all", remedy="Add it, or use --train_data and --target_data.")
        if self.target_data and (self.test_data or self.dev_data) and self.task == "classification":
            raise InputError(
                "with --target_data the target's labelled texts are the test, and dev is cut off the training data",
                remedy="Leave out --dev_data and --test_data.",
            )


def run(settings: Settings) -> None:
    """Train every system on every source, open the sealed labels once, compare, save the chosen model, report.

    Args:
        settings: the recipe's.

    Raises:
        InputError: there are no such data or no such encoder, or nothing can be made of them.
    """
    from nlptransfer.evaluation.choices import best_on_other_pairs, chosen_predictions, oracle_choice
    from nlptransfer.evaluation.document_predictions import with_gold
    from nlptransfer.evaluation.over_pairs import compare_over_pairs, score_over_pairs
    from nlptransfer.evaluation.run_folder import check_run_folder, open_run_folder
    from nlptransfer.evaluation.verdict import compare_with_baseline, score_predictions
    from nlptransfer.recipes.cross_domain_sentiment import warnings_of
    from nlptransfer.recipes.finetuning_cells import read_cells, train_job
    from nlptransfer.recipes.finetuning_data import load_jobs
    from nlptransfer.recipes.finetuning_encoder import encoder_at_hand
    from nlptransfer.recipes.finetuning_report import (
        describe_run,
        keep_model,
        make_figures,
        make_tables,
        notes_on,
        on_every_pair,
        print_plan,
        recommend,
    )
    from nlptransfer.recipes.finetuning_systems import list_systems
    from nlptransfer.recipes.finishing import finish_run

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            "this recipe runs several sources at once by itself, and not under accelerate launch",
            remedy="Start it once, with --processes 2.",
        )
    started = time.perf_counter()
    kept = {name: value for name, value in settings_to_dict(settings).items() if name != "processes"}
    if not settings.dry_run:
        check_run_folder(settings.output_dir, settings=kept, resume=settings.resume)

    # 1. The data and the encoder. Of a target only texts are seen until everything is trained.
    jobs, systems = load_jobs(settings), list_systems(settings)
    settings, warnings = encoder_at_hand(settings, jobs)
    sealed = {str(test.name): test.pair for job in jobs for test in job.tests if test.pair is not None}
    warnings += [*warnings_of(sealed), *(warning for job in jobs for warning in job.warnings)]
    advice = recommend(settings, jobs[0])
    if settings.dry_run:
        print_plan(settings, jobs, systems, advice, warnings)
        return
    folder = open_run_folder(settings.output_dir, settings=kept, resume=settings.resume)
    for warning in warnings:
        tell(f"Warning: {warning}")
    if (settings.output_dir / "metrics.json").exists():
        print(f"This run is complete: {settings.output_dir / 'report.html'}")
        return

    # 2. Every system under every seed. What a strategy does is said before it begins; a kept cell is not run again.
    processes = num_processes(settings.processes, len(jobs), device=settings.device)
    run_jobs(train_job, [(settings, job.name) for job in jobs], processes=processes)
    cells = read_cells(settings, jobs, systems)
    predictions = [part for cell in cells.values() for part in cell.predictions]

    # 3. The sealed labels are opened, once. Choices are made by development data of the source, and by other pairs.
    gold: dict[str, list[str]] = {}
    for name, pair in sealed.items():
        assert pair.test_labels is not None
        gold[name] = [pair.label_names[label] for label in pair.test_labels.open()]
    predictions = [with_gold(part, gold[part.pair]) if getattr(part, "pair", None) else part for part in predictions]
    resamples = 9_999 if len(gold) <= 1 else 1_999
    chosen = choose(settings, cells, jobs)
    if len(gold) > 1:
        names = [system.name for system in systems]
        plain = score_predictions(predictions, num_resamples=1, seed=0)
        choices = {
            CHOICE: chosen,
            CHOICE_BY_MEAN: choose_one_for_all(settings, cells, jobs),
            CHOICE_ON_OTHER_PAIRS: best_on_other_pairs(plain, sealed, names),
        }
        choices[ORACLE] = oracle_choice(plain, names)
        trained = list(predictions)
        for label, choice in choices.items():
            predictions += chosen_predictions(trained, choice, name=label)

    # 4. Scores, and a verdict on each system against each baseline of its size.
    scoring: dict[str, Any] = {"num_resamples": resamples, "seed": 0}
    if not jobs[0].is_tagging:
        scoring["metrics"] = ("accuracy", "macro_f1")
    else:
        scoring["training_words"] = {word for sentence in jobs[0].train for word in sentence}
    scores: list[Score] = score_predictions(predictions, **scoring)
    scoring.pop("metrics", None)
    everywhere = on_every_pair(predictions) if len(gold) > 1 else []
    scores += score_over_pairs(everywhere, seed=0) if everywhere else []
    verdicts: list[Verdict] = []
    for size in settings.train_sizes or (None,):
        mark = "" if size is None else f"@{size}"
        for baseline in settings.baselines:
            own = [part for part in predictions if part.system.endswith(mark)]
            verdicts += compare_with_baseline(own, baseline + mark, **scoring)
            if everywhere:
                group = [part for part in everywhere if part.system.endswith(mark)]
                verdicts += compare_over_pairs(group, baseline + mark, seed=0)

    # 5. The chosen model, tables of cost, pictures, report.
    signature = {"recipe": "transformer_finetuning", **describe_run(settings, jobs, sealed)}
    keep_model(settings, folder, jobs, cells, chosen, scores, verdicts, signature, warnings)
    finish_run(
        folder,
        recipe="transformer_finetuning",
        title="Pretrained transformers",
        question=QUESTION,
        settings=settings_to_dict(settings),
        signature=signature,
        scores=scores,
        verdicts=verdicts,
        predictions=predictions,
        history=[row for cell in cells.values() for row in cell.history],
        tables=make_tables(settings, jobs, cells, scores, advice),
        figures=make_figures(settings, cells, scores),
        seconds={
            **{", ".join(map(str, key)): cell.seconds for key, cell in cells.items()},
            "total": time.perf_counter() - started,
        },
        warnings=warnings,
        notes=notes_on(settings, chosen, advice, scores),
        best_system=next(iter(chosen.values())) if jobs[0].is_tagging else None,
        not_usable=(ORACLE,),
    )


def choose(settings: Settings, cells: Cells, jobs: Sequence[Job]) -> dict[str, str]:
    """For each pair, or for the one source, the system with the best accuracy on the source's development data.

    Where there are several sizes, among those trained on the most.
    """
    return {name: _best(scores) for name, scores in _dev_scores(settings, cells, jobs).items()}


def choose_one_for_all(settings: Settings, cells: Cells, jobs: Sequence[Job]) -> dict[str, str]:
    """For every pair the one system whose accuracy on development data is best in the mean over the sources.

    The development data of one source are few; together they say more about which way is best.
    """
    found = _dev_scores(settings, cells, jobs)
    everywhere = set.intersection(*(set(scores) for scores in found.values()))
    means = {
        system: sum(scores[system] for scores in found.values()) / len(found)
        for system in next(iter(found.values()))
        if system in everywhere
    }
    return dict.fromkeys(found, _best(means))


def _dev_scores(settings: Settings, cells: Cells, jobs: Sequence[Job]) -> dict[str, dict[str, float]]:
    """By pair, or by the one source: each system's accuracy on the source's development data, mean over seeds."""
    largest = max(settings.train_sizes, default=None)
    found: dict[str, dict[str, float]] = {}
    for job in jobs:
        for name in [test.name for test in job.tests if test.name is not None] or [job.name]:
            scores: dict[str, list[float]] = {}
            for (place, system, _), cell in cells.items():
                if place in (job.name, name) and system.endswith("" if largest is None else f"@{largest}"):
                    scores.setdefault(system, []).append(float(cell.facts["dev_accuracy"]))
            found[name] = {system: sum(own) / len(own) for system, own in scores.items()}
    return found


def _best(scores: dict[str, float]) -> str:
    return max(scores, key=lambda system: scores[system])


def main(argv: Sequence[str] | None = None) -> None:
    """Run the recipe from the command line."""
    run_recipe(Settings, run, argv)


if __name__ == "__main__":
    main()
