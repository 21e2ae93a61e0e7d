"""Multitask learning: several tasks together. Does it help each of them, and which way of sharing?

Each task is trained alone, and all of them together by each way of sharing, under the same seeds. For each task and way
of sharing it ends in a verdict against the task alone: helped, no evidence, harmed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from nlptransfer.errors import InputError
from nlptransfer.recipes.running import run_recipe
from nlptransfer.recipes.settings import RunSettings, check_values, settings_to_dict

if TYPE_CHECKING:
    from nlptransfer.experiments import Cell
    from nlptransfer.recipes.multitask_models import Training

_OF_RECURRENT_LAYERS = (
    "vectors", "embedding", "embedding_dim", "keep_vectors", "hidden_dim", "num_layers", "characters", "character_dim",
    "word_dropout",
)  # fmt: skip
"""What there is to set of a network of recurrent layers on word vectors, and not of a pretrained encoder."""

QUESTION = "Does learning several tasks together help each of them, and which way of sharing?"


@dataclass(frozen=True)
class Settings(RunSettings):
    """What can be set; `nlptransfer multitask_tagging --help` shows it."""

    tasks: tuple[str, ...] = ()
    """The tasks, each as name=corpus or name=corpus:column, the lowest first. Default: parts of speech and chunks of
    CoNLL-2000, or where it can't be had two tasks of a synthetic corpus."""
    sharing: tuple[
        Literal[
            "hard", "low_layer", "joint_many_task", "tied", "cross_stitch", "sluice", "shared_private", "sequential"
        ],
        ...,
    ] = ("hard", "tied", "cross_stitch")
    """Ways of sharing. low_layer is hard sharing with the first task at the first layer and the others on top;
    sequential trains one encoder on the first task, then on the next and so on, and tells what is forgotten."""
    data_dir: str | None = None
    """Folder to look for corpora in, before those of NLPTRANSFER_DATA."""
    columns: tuple[str, ...] = ()
    """Names of the columns of a file with one word per line, such as: tokens tags."""
    text_column: str | None = None
    """Column with the texts, in one's own tables. Default: text."""
    train_sizes: tuple[str, ...] = ()
    """Training texts of a task, as name=number, such as chunk=500. Default: all."""
    curve_task: str | None = None
    """Task whose training texts --curve_sizes counts."""
    curve_sizes: tuple[int, ...] = ()
    """Everything is trained once for each of these numbers, and a curve is drawn."""
    dev_fraction: float = 0.15
    """Share of the training texts to develop on, where a corpus brings no development split."""
    test_fraction: float = 0.15
    """Share of all texts to test on, where it brings no test split; cut off first."""
    split_seed: int = 4
    """Seed of these cuts, and of which training texts are kept."""

    batches: Literal["shared", "alternating", "mixed"] = "shared"
    """shared: a text that several tasks label is read once for all of them, and other texts take turns; alternating:
    the tasks take turns, each with its own texts; mixed: each step reads a batch of every task."""
    sampling: Literal["proportional", "square_root", "temperature", "annealed", "uniform", "round_robin"] = (
        "proportional"
    )
    """How often each turn comes, by the number of its texts."""
    temperature: float | None = None
    """Of the sampling by temperature, 1 or more."""
    weighting: Literal[
        "fixed", "uncertainty", "dwa", "pcgrad", "cagrad", "mgda", "imtl_g", "aligned_mtl", "config", "graddrop",
        "upgrad", "dualproj",
    ] = "fixed"  # fmt: skip
    """How much the loss of each task counts: fixed weights, learned noise, or by the pace at which it falls. The others
    balance gradients in hard and low_layer sharing, need steps that show several tasks and the package torchjd."""
    weights: tuple[str, ...] = ()
    """The fixed weights, as name=number; a task not named has 1."""
    tie_strength: float = 1e-3
    """Of tied networks: how hard their encoders are drawn together, at the first step."""
    last_tie_strength: float | None = None
    """The same at the last step; it changes evenly between. Default: no change."""
    adversarial_weight: float = 0.05
    """Of separated encoders: how much it counts that the shared one does not tell the task."""
    overlap_weight: float = 0.01
    """Of separated encoders: how much it counts that shared and private states say different things."""
    selection: Literal["task", "joint"] = "task"
    """Which epoch is scored: of each task the best one on its own development data, or the best for all together. The
    model that is saved is always of the latter."""
    conflict_every: int = 0
    """Note how the tasks' gradients agree at every so manieth step of hard sharing, for a map; 0 never. Needs batches
    that show several tasks."""

    encoder: str | None = None
    """Pretrained transformer to fine-tune, in place of recurrent layers on word vectors: a folder, or a name on the
    hub. For --sharing hard, low_layer and sequential."""
    encoder_learning_rate: float = 1e-4
    """Of its weights, at its highest; the heads have --learning_rate."""
    low_depth: int | None = None
    """How many layers low_layer has below its first task. Default: 1, or half of a pretrained encoder's."""

    vectors: tuple[str, ...] = ("auto",)
    """Word vectors: files, gensim:NAME, train, or auto: GoogleNews where at hand. --vectors alone: random ones."""
    embedding: Literal["frozen", "finetuned"] = "finetuned"
    """Whether they are trained on."""
    embedding_dim: int = 100
    """Size of vectors that are trained here, and of random ones."""
    keep_vectors: int = 100_000
    """How many of a file's first words the saved model knows beside its training words."""
    hidden_dim: int = 128
    """Units per direction of each layer."""
    num_layers: int = 1
    """Layers of each encoder; a joint many-task stack has one per task."""
    characters: Literal["none", "cnn", "lstm"] = "lstm"
    """Encoder of each word's spelling."""
    character_dim: int = 128
    """Features from the spelling."""
    head: Literal["softmax", "crf"] = "softmax"
    """Decide each tag for itself; or, in tasks of spans such as chunks and names, whole sequences; of
    joint_many_task in the last task alone."""
    dropout: float = 0.5
    """Share of features dropped in training."""
    word_dropout: float = 0.25
    """How readily a rare training word is read as unknown: with probability w / (w + count)."""
    max_length: int = 256
    """Words, or subwords of a pretrained encoder, read at once; longer sentences are windowed, longer texts cut."""
    epochs: int = 15
    """Passes over the training data."""
    min_steps: int = 0
    """Steps that each training has at least: small tasks get more passes."""
    batch_size: int = 16
    """Texts per step."""
    learning_rate: float = 2e-3
    """Of AdamW, at its highest."""

    def __post_init__(self) -> None:
        """Refuse what can't be run."""
        super().__post_init__()
        sizes = ("embedding_dim", "keep_vectors", "hidden_dim", "num_layers", "character_dim", "max_length")
        check_values(self, (*sizes, "epochs", "batch_size"), lambda value: value >= 1, expected="at least 1")
        rates = ("learning_rate", "encoder_learning_rate")
        check_values(self, rates, lambda value: value > 0, expected="above 0")
        weights = (
            "tie_strength", "adversarial_weight", "overlap_weight", "min_steps", "conflict_every", "word_dropout",
        )  # fmt: skip
        check_values(self, weights, lambda value: value >= 0, expected="0 or above")
        check_values(self, ("last_tie_strength",), lambda value: value is None or value >= 0, expected="0 or above")
        check_values(self, ("dropout",), lambda value: 0 <= value < 1, expected="from 0 to below 1")
        shares = ("dev_fraction", "test_fraction")
        check_values(self, shares, lambda value: 0 < value < 1, expected="between 0 and 1")
        check_values(self, ("split_seed",), lambda value: 0 <= value < 2**32, expected="from 0 to 4294967295")
        even = self.characters != "lstm" or self.character_dim % 2 == 0
        check_values(self, ("character_dim",), lambda _: even, expected="an even number, half for each direction")
        check_values(self, ("sharing",), lambda own: len(set(own)) == len(own) > 0, expected="each at most once")
        check_values(
            self, ("curve_sizes",), lambda own: len(set(own)) == len(own) and min(own, default=1) >= 1,
            expected="different numbers from 1 on",
        )  # fmt: skip
        if len(self.tasks) == 1:
            raise InputError("--tasks names one task", expected="two or more", found=self.tasks[0])
        if (self.curve_task is None) != (not self.curve_sizes):
            raise InputError("--curve_task and --curve_sizes go together", remedy="Give both, or neither.")
        if (self.temperature is None) != (self.sampling != "temperature"):
            raise InputError("--temperature and --sampling temperature go together", remedy="Give both, or neither.")
        if self.temperature is not None and self.temperature < 1:
            raise InputError("--temperature is out of range", expected="1 or more", found=str(self.temperature))
        if self.weights and self.weighting != "fixed":
            raise InputError(f"--weights are fixed, and --weighting is {self.weighting}", remedy="Leave one out.")
        balanced = self.weighting not in ("fixed", "uncertainty", "dwa")
        if balanced and set(self.sharing) - {"hard", "low_layer"}:
            raise InputError(
                f"--weighting {self.weighting} balances the gradients of parameters that all tasks share",
                expected="--sharing hard or low_layer",
                found=", ".join(self.sharing),
                remedy="Name only these, or weigh the losses: --weighting fixed, uncertainty or dwa.",
            )
        if balanced and self.batches == "alternating":
            raise InputError(
                f"--weighting {self.weighting} balances the tasks of one step, and alternating steps show one task",
                remedy="Choose --batches mixed, or shared for tasks on one text.",
            )
        if self.weighting == "dwa" and self.sampling == "annealed":
            raise InputError(
                "--weighting dwa compares the losses of epochs, and annealed sampling changes their share",
                remedy="Choose another of the two.",
            )
        if self.encoder is not None:
            self._check_encoder_settings()
        elif "low_layer" in self.sharing:
            if self.num_layers < 2:
                raise InputError("low_layer needs a layer below another", remedy="Add --num_layers 2, for all systems.")
            check_values(
                self, ("low_depth",), lambda own: own is None or 1 <= own < self.num_layers,
                expected=f"from 1 to {self.num_layers - 1}, below the top one of --num_layers",
            )  # fmt: skip
        if {"cross_stitch", "sluice"} & set(self.sharing) and self.hidden_dim % 2:
            raise InputError(
                "cross_stitch and sluice halve each layer", expected="an even --hidden_dim", found=str(self.hidden_dim)
            )

    def _check_encoder_settings(self) -> None:
        defaults = {own.name: own.default for own in fields(self)}
        given = [name for name in _OF_RECURRENT_LAYERS if getattr(self, name) != defaults[name]]
        if given:
            raise InputError(
                "--encoder stands in the place of recurrent layers on word vectors",
                found=", ".join(f"--{name}" for name in given),
                remedy="Leave these out, or --encoder.",
            )
        able = {"hard", "low_layer", "sequential"}
        if not set(self.sharing) <= able:
            raise InputError(
                "a pretrained encoder is shared as a whole",
                expected="--sharing hard, low_layer or sequential",
                found=", ".join(name for name in self.sharing if name not in able),
            )


def run(settings: Settings) -> None:
    """Train every task alone and all together, compare, save a model of all tasks, report.

    Args:
        settings: the recipe's.

    Raises:
        InputError: there are no such data, or nothing can be made of them.
    """
    from nlptransfer.evaluation.run_folder import check_run_folder, open_run_folder
    from nlptransfer.experiments import cell_folder, run_cell
    from nlptransfer.recipes.finishing import finish_run
    from nlptransfer.recipes.multitask_data import load_arms
    from nlptransfer.recipes.multitask_models import check_encoder, find_vectors
    from nlptransfer.recipes.multitask_report import (
        describe_run,
        keep_model,
        make_figures,
        make_tables,
        notes_on,
        print_plan,
        score_tasks,
        seconds_of,
    )
    from nlptransfer.recipes.multitask_systems import list_trainings, train_and_predict
    from nlptransfer.recipes.processes import tell
    from nlptransfer.training.devices import make_accelerator

    started = time.perf_counter()
    accelerator = make_accelerator(settings.device, settings.precision)
    if not settings.dry_run:
        check_run_folder(settings.output_dir, settings=settings_to_dict(settings), resume=settings.resume)

    # 1. The tasks, each with its own splits, and the vectors of their words, or the encoder.
    check_encoder(settings)
    arms, warnings = load_arms(settings)
    vectors, notes = find_vectors(settings, arms[-1])
    warnings += notes
    trainings = list_trainings(settings, arms)
    signature = describe_run(settings, arms, vectors)
    if settings.dry_run:
        print_plan(settings, signature, trainings)
        return
    folder = open_run_folder(settings.output_dir, settings=settings_to_dict(settings), resume=settings.resume)
    for warning in warnings:
        tell(f"Warning: {warning}")
    if (settings.output_dir / "metrics.json").exists():
        print(f"This run is complete: {settings.output_dir / 'report.html'}")
        return

    # 2. Each task alone, and all tasks by each way of sharing, under every seed. A cell is one task of one model.
    cells: dict[tuple[str, int], Cell[Any]] = {}
    for seed in settings.seeds:
        for training in trainings:
            for task, early in training.cells():
                system = training.system(task, early=early)
                train = partial(
                    train_and_predict, settings, training, task, seed, vectors, accelerator, tell, early=early
                )
                cells[system, seed] = run_cell(cell_folder(settings.output_dir, system, seed), train)

    # 3. Scores of each task by its own metric, and verdicts against the task alone.
    scores, verdicts = score_tasks(settings, arms, cells)
    chosen, seed = choose(settings, trainings, cells)

    # 4. The model of all tasks, tables, pictures, report.
    keep_model(settings, folder, chosen, seed, vectors, accelerator, scores, verdicts, signature, warnings)
    finish_run(
        folder,
        recipe="multitask_tagging",
        title="Multitask learning",
        question=QUESTION,
        settings=settings_to_dict(settings),
        signature=signature,
        scores=scores,
        verdicts=verdicts,
        predictions=[part for cell in cells.values() for part in cell.predictions],
        history=[row for cell in cells.values() for row in cell.history],
        tables=make_tables(settings, arms, trainings, cells, scores, verdicts),
        figures=make_figures(settings, arms, trainings, cells, scores),
        seconds={**seconds_of(settings, trainings, cells), "total": time.perf_counter() - started},
        warnings=warnings,
        notes=notes_on(settings, chosen, seed),
    )


def choose(
    settings: Settings, trainings: Sequence[Training], cells: Mapping[tuple[str, int], Cell[Any]]
) -> tuple[Training, int]:
    """The way of sharing with the best mean over tasks and seeds on development data, and its best seed.

    Of a curve, among the models with most training texts.
    """
    from nlptransfer.recipes.multitask_models import SINGLE

    def joint(training: Training, seed: int) -> float:
        facts = cells[training.system(next(iter(training.tasks))), seed].facts
        return float(facts["joint_score"])

    most = f"@{max(settings.curve_sizes)}" if settings.curve_sizes else ""
    candidates = [own for own in trainings if own.way != SINGLE and own.mark == most]
    chosen = max(candidates, key=lambda own: sum(joint(own, seed) for seed in settings.seeds))
    return chosen, max(settings.seeds, key=lambda seed: joint(chosen, seed))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the recipe from the command line."""
    run_recipe(Settings, run, argv)


if __name__ == "__main__":
    main()
