"""Part-of-speech tagging: do pretrained word vectors help my recurrent tagger, frozen or fine-tuned?

The same network is trained with random embeddings (the baseline), with pretrained vectors frozen, and with pretrained
vectors fine-tuned; the averaged perceptron stands beside them as a reference. Each ends in a verdict against the
baseline, in this domain and, with --target, in another.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nlptransfer.embeddings.word_forms import FALLBACKS
from nlptransfer.recipes.running import run_recipe
from nlptransfer.recipes.settings import RunSettings, check_values, settings_to_dict

if TYPE_CHECKING:
    from accelerate import Accelerator
    from datasets import Dataset

    from nlptransfer.embeddings.word_vectors import WordVectors
    from nlptransfer.experiments import Cell
    from nlptransfer.models.tagger import RecurrentTagger

BASELINE = "random"
PERCEPTRON = "perceptron"  # the one system that is no network
TOKENS = "token_accuracy"
USUAL = "treebank"
CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights"
QUESTION = "Do pretrained word vectors help a recurrent tagger, frozen or fine-tuned, and by how much?"


@dataclass(frozen=True)
class Settings(RunSettings):
    """What can be set; `nlptransfer pos_tagging --help` shows it."""

    train_data: str | None = None
    """Corpus name or file to train on. Default: the NLTK treebank, or where it can't be had the synthetic corpus."""
    dev_data: str | None = None
    """Corpus to choose the epoch and the best system on. Default: its own split, else a part of it."""
    test_data: str | None = None
    """Corpus to test on. Default: its own split, else a part of it."""
    target: str | None = None
    """Corpus of another domain, for testing only. Its test split is used where it has splits."""
    data_dir: str | None = None
    """Folder to look for corpora in, before those of NLPTRANSFER_DATA."""
    tag_column: str | None = None
    """Which tags to learn: upos or xpos of CoNLL-U, or the name of a column. Default: upos, or tags."""
    columns: tuple[str, ...] = ()
    """Names of the columns of a file with one word per line, such as: tokens pos chunk. Default: first and last."""
    tagset: Literal["universal"] | None = None
    """Map Penn, Brown and chat tags to the 12 universal ones, so that two corpora share one label set."""
    traces: bool = True
    """Keep the treebank's -NONE- tokens, as the public tables do; they are easy and flatter every score."""
    unseen_tags: Literal["error", "count_as_wrong"] = "error"
    """What to do about a tag in dev, test or target data that never occurs in training."""
    dev_fraction: float = 0.15
    """Share of the training sentences to develop on, where no development data is given."""
    test_fraction: float = 0.15
    """Share of all sentences to test on, where no test data is given; cut off first."""
    split_seed: int = 4
    """Seed of these two cuts."""

    systems: tuple[Literal["random", "frozen", "finetuned", "perceptron"], ...] = (
        "random",
        "frozen",
        "finetuned",
        "perceptron",
    )
    """What to train: random embeddings, vectors frozen, vectors fine-tuned, the averaged perceptron."""
    vectors: str = "auto"
    """Word vectors: a file, gensim:NAME, train (word2vec on the training text), or auto: GoogleNews where at hand."""
    unlabelled: str | None = None
    """Text for --vectors train, beside the training text: a sentence per line, its words separated by spaces."""
    embedding_dim: int = 100
    """Size of vectors that are trained here; otherwise the file decides, for random embeddings too."""
    unseen: Literal["random", "mean", "zero"] = "random"
    """What a training word without a vector starts from."""
    fallbacks: tuple[str, ...] = FALLBACKS
    """How a word may be found among the vectors beside its exact form; --fallbacks alone switches all off."""
    keep_vectors: int = 100_000
    """How many of the file's first words the saved model knows beside its training words."""

    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    """Kind of recurrent layer."""
    hidden_dim: int = 128
    """Units per direction."""
    num_layers: int = 1
    """Recurrent layers."""
    bidirectional: bool = True
    """Read each sentence in both directions."""
    characters: Literal["none", "cnn", "lstm"] = "lstm"
    """Encoder of each word's spelling."""
    character_dim: int = 128
    """Features from the spelling."""
    head: Literal["softmax", "crf"] = "softmax"
    """Decide each tag for itself, or whole sequences."""
    dropout: float = 0.5
    """Share of features dropped in training."""
    word_dropout: float = 0.25
    """How readily a rare training word is read as unknown: with probability w / (w + count)."""
    max_length: int = 256
    """Tokens read at once; longer sentences are windowed, and no word is dropped."""
    padded_length: int = 50
    """Positions per sentence in padded_accuracy, the figure that counts padding as right."""

    epochs: int = 20
    """Passes over the training data, at most."""
    batch_size: int = 32
    """Sentences per step."""
    learning_rate: float = 2e-3
    """Of AdamW, at its highest."""
    weight_decay: float = 0.0
    """Of AdamW."""
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    """How the learning rate falls over the run."""
    max_gradient_norm: float = 5.0
    """Gradients are scaled down to this norm."""
    patience: int = 10
    """Stop after so many epochs without a better development accuracy."""

    def __post_init__(self) -> None:
        """Refuse what no network can be made of."""
        super().__post_init__()
        sizes = ("embedding_dim", "hidden_dim", "num_layers", "character_dim", "max_length", "padded_length")
        counts = ("keep_vectors", "epochs", "batch_size", "patience")
        check_values(self, (*sizes, *counts), lambda value: value >= 1, expected="at least 1")
        check_values(self, ("learning_rate", "max_gradient_norm"), lambda value: value > 0, expected="above 0")
        check_values(self, ("word_dropout", "weight_decay"), lambda value: value >= 0, expected="0 or above")
        check_values(self, ("dropout",), lambda value: 0 <= value < 1, expected="from 0 to below 1")
        even = self.characters != "lstm" or self.character_dim % 2 == 0
        check_values(self, ("character_dim",), lambda _: even, expected="an even number, half for each direction")
        check_values(self, ("split_seed",), lambda value: 0 <= value < 2**32, expected="from 0 to 4294967295")
        check_values(self, ("systems",), lambda names: len(set(names)) == len(names) > 0, expected="each at most once")


def run(settings: Settings) -> None:
    """Train every system under every seed, compare, save the best, report."""
    from nlptransfer.data.corpora import is_synthetic
    from nlptransfer.data.tagging_splits import load_splits
    from nlptransfer.data.unlabelled import read_sentences
    from nlptransfer.embeddings.coverage import coverage_report
    from nlptransfer.embeddings.find_vectors import find_word_vectors
    from nlptransfer.evaluation.domain_gap import describe_gaps
    from nlptransfer.evaluation.model_card import model_card
    from nlptransfer.evaluation.run_folder import check_run_folder, open_run_folder
    from nlptransfer.evaluation.verdict import best_system, compare_with_baseline, score_predictions
    from nlptransfer.experiments import run_cell
    from nlptransfer.models.saving import check_reload
    from nlptransfer.recipes.finishing import finish_run
    from nlptransfer.training.devices import make_accelerator

    started = time.perf_counter()
    accelerator = make_accelerator(settings.device, settings.precision)
    if accelerator.is_main_process and not settings.dry_run:
        check_run_folder(settings.output_dir, settings=settings_to_dict(settings), resume=settings.resume)

    # 1. The data. Labels of dev choose epochs and the system that is saved; those of test and target only score.
    splits, corpus, warnings = load_splits(
        settings.train_data,
        usual=USUAL,
        dev_data=settings.dev_data,
        test_data=settings.test_data,
        target=settings.target,
        dev_fraction=settings.dev_fraction,
        test_fraction=settings.test_fraction,
        seed=settings.split_seed,
        unseen_tags=settings.unseen_tags,
        data_dir=settings.data_dir,
        tag_column=settings.tag_column,
        tagset=settings.tagset,
        columns=settings.columns,
        traces=settings.traces,
    )

    # 2. The vectors, and how much of each split they know.
    vectors, notes = find_word_vectors(
        corpus.partition(",")[0] if is_synthetic(corpus) and settings.vectors == "auto" else settings.vectors,
        sentences=splits["train"]["tokens"][:],
        unlabelled=read_sentences(settings.unlabelled) if settings.unlabelled else (),
        dim=settings.embedding_dim,
        seed=settings.split_seed,
        max_words=settings.keep_vectors,
        fallbacks=settings.fallbacks,
        data_dir=settings.data_dir,
    )
    warnings += notes
    # By tag, too, but only where the labels may be looked at before the end.
    seen = {split: data if split in ("train", "dev") else data.remove_columns("tags") for split, data in splits.items()}
    coverage = coverage_report(vectors, seen, fallbacks=settings.fallbacks)
    not_found = coverage[0]["token_share"]["not found"]
    if not_found > 0.5:
        warnings.append(f"The vectors know only {1 - not_found:.0%} of the training text: are they of its language?")
    if settings.dry_run:
        print_forecast(settings, corpus, splits, vectors, coverage, accelerator, warnings)
        return

    # 3. Every system under every seed: the same network, the same batches, other embeddings.
    if accelerator.is_main_process:
        folder = open_run_folder(settings.output_dir, settings=settings_to_dict(settings), resume=settings.resume)
        for warning in warnings:  # again in the report; nobody should wait for it to learn this
            print(f"Warning: {warning}", flush=True)
    if (settings.output_dir / "metrics.json").exists():
        print(f"This run is complete: {settings.output_dir / 'report.html'}")
        return
    accelerator.wait_for_everyone()
    cells = {}
    for seed in settings.seeds:
        for system in settings.systems:
            run_system = partial(train_system, settings, system, seed, splits, vectors, accelerator)
            cell_folder = settings.output_dir / "cells" / f"{system}-{seed}"
            cells[system, seed] = run_cell(cell_folder, run_system, write=accelerator.is_main_process)
            accelerator.wait_for_everyone()
            # Only now: a run killed before the cell was kept goes on from its checkpoint.
            if accelerator.is_main_process:
                (cell_folder / CHECKPOINT).unlink(missing_ok=True)
    accelerator.end_training()  # together: a process that loses its partner at its own end is aborted
    if not accelerator.is_main_process:
        return

    # 4. Scores, and a verdict on each system against random embeddings.
    predictions = [part for cell in cells.values() for part in cell.predictions]
    history = [row for cell in cells.values() for row in cell.history]
    words = {word for sentence in splits["train"]["tokens"][:] for word in sentence}
    scoring: dict[str, Any] = {"training_words": words, "max_length": settings.padded_length, "seed": 0}
    scores = score_predictions(predictions, **scoring)
    verdicts = []
    if BASELINE in settings.systems:
        metrics = ("token_accuracy", "unseen_word_accuracy")
        verdicts = compare_with_baseline(predictions, BASELINE, metrics=metrics, **scoring)
    signature = describe_run(settings, corpus, splits, vectors)

    # 5. The best network on development data is saved, and must predict the same in a fresh process.
    networks = [score for score in scores if score.system != PERCEPTRON]
    if not networks:
        warnings.append("No network was trained, so no model was saved.")
    else:
        best = best_system(networks)
        dev = [score for score in networks if (score.system, score.split, score.metric) == (best, "dev", TOKENS)]
        seed = max((score.value, score.seed) for score in dev if score.seed is not None)[1]
        tagger = build_tagger(settings, best, seed, splits["train"], vectors)
        load_weights(tagger, settings.output_dir / "cells" / f"{best}-{seed}")
        card = model_card(
            title=f"Part-of-speech tagger ({best} embeddings)",
            system=best,
            seed=seed,
            summary=f"A recurrent tagger with {len(tagger.tags)} tags, trained on {corpus}.",
            scores=scores,
            verdicts=verdicts,
            signature=signature,
            notes=["A fresh process loads it and predicts what it predicted before: a run ends only then.", *warnings],
        )
        tagger.save_pretrained(folder.model, card=card)
        sentences = splits["dev"]["tokens"][:200]
        check_reload(folder.model, sentences, tagger.predict(sentences))

    # 6. The run folder: predictions, history, plots, report, metrics.
    padding = max((row["padding"] for row in history), default=0.0)
    seconds = {f"{system}, seed {seed}": cell.seconds for (system, seed), cell in cells.items()}
    finish_run(
        folder,
        recipe="pos_tagging",
        title="Part-of-speech tagging",
        question=QUESTION,
        settings=settings_to_dict(settings),
        signature=signature,
        scores=scores,
        verdicts=verdicts,
        predictions=predictions,
        history=history,
        coverage=coverage,
        best_system=best if networks else settings.systems[0],
        seconds={**seconds, "total": time.perf_counter() - started},
        warnings=warnings,
        notes=[f"At most {padding:.1%} of the positions of a training epoch were padding.", *describe_gaps(scores)],
    )


def train_system(
    settings: Settings,
    system: str,
    seed: int,
    splits: Mapping[str, Dataset],
    vectors: WordVectors,
    accelerator: Accelerator,
    folder: Path,
) -> Cell:
    """Train one system under one seed, and let it predict every split but the training data."""
    from tqdm import tqdm

    from nlptransfer.data.batching import Batches
    from nlptransfer.data.splits import tag_texts
    from nlptransfer.evaluation.predictions import Predictions
    from nlptransfer.experiments import Cell
    from nlptransfer.files import write_whole
    from nlptransfer.models.perceptron import PerceptronTagger
    from nlptransfer.models.saving import write_tensors
    from nlptransfer.recipes.recurrent_taggers import make_optimizer, tagging_step
    from nlptransfer.training import schedules
    from nlptransfer.training.loop import train

    started = time.perf_counter()
    tokens, labels = splits["train"]["tokens"][:], splits["train"]["tags"][:]
    history: list[dict[str, Any]] = []

    def tell(row: Mapping[str, Any]) -> None:
        batches.set_epoch(row["epoch"] - 1)  # the row may be of an epoch before a resumed run's first
        history.append({"system": system, "seed": seed, **row, "padding": batches.padding})
        tqdm.write(
            f"{system}, seed {seed}, epoch {row['epoch']} of {settings.epochs}: loss {row['loss']:.4f}, "
            f"dev accuracy {row['score']:.4f}, {row['seconds']:.1f} s"
        )

    model: PerceptronTagger | RecurrentTagger
    if system == PERCEPTRON:
        model = PerceptronTagger().fit(tokens, tag_texts(splits["train"]), seed=seed)
    else:
        model = build_tagger(settings, system, seed, splits["train"], vectors).to(accelerator.device)
        dev = model.encode(splits["dev"]["tokens"][:], splits["dev"]["tags"][:])
        batches = Batches(
            model.encode(tokens, labels), batch_size=settings.batch_size, max_length=settings.max_length, seed=seed
        )
        train(
            model,
            tagging_step,
            batches,
            make_optimizer(model, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay),
            epochs=settings.epochs,
            seed=seed,
            evaluate=lambda: float((model.predict_ids(dev) == dev.labels).mean()),
            schedule=getattr(schedules, settings.schedule),
            max_gradient_norm=settings.max_gradient_norm,
            patience=settings.patience,
            checkpoint=folder / CHECKPOINT,
            resume=True,
            accelerator=accelerator,
            on_epoch=tell,
            description=f"{system}, seed {seed}",
        )
        if accelerator.is_main_process:
            with write_whole(folder / f"{WEIGHTS}.safetensors") as temporary:
                write_tensors(temporary, model.state_dict())
    predictions = []
    for split, data in splits.items():
        if split != "train":
            sentences = data["tokens"][:]
            predictions.append(Predictions(system, split, seed, sentences, tag_texts(data), model.predict(sentences)))
    return Cell(predictions, history, time.perf_counter() - started)


def build_tagger(
    settings: Settings, system: str, seed: int, train_split: Dataset, vectors: WordVectors
) -> RecurrentTagger:
    """The network, the same for every system but for its embedding; before training, or to load weights into."""
    from nlptransfer.models.tagger import TaggerShape
    from nlptransfer.recipes.recurrent_taggers import make_tagger

    shape = TaggerShape(
        cell=settings.cell,
        hidden_dim=settings.hidden_dim,
        num_layers=settings.num_layers,
        bidirectional=settings.bidirectional,
        characters=settings.characters,
        character_dim=settings.character_dim,
        head=settings.head,
        dropout=settings.dropout,
        word_dropout=settings.word_dropout,
        max_length=settings.max_length,
        context=min(16, settings.max_length // 4),
        fallbacks=settings.fallbacks,
    )
    return make_tagger(
        train_split,
        vectors,
        shape,
        embedding=system,  # type: ignore[arg-type]  # the systems but the perceptron are named by their embeddings
        dim=vectors.dim,
        seed=seed,
        unseen=settings.unseen,
        # The 12 tags of `tagset` are not the 17 of the UPOS column.
        metadata={"tag_column": settings.tag_column or ("xpos" if settings.tagset else None)},
    )


def describe_run(
    settings: Settings, corpus: str, splits: Mapping[str, Dataset], vectors: WordVectors
) -> dict[str, Any]:
    """What the numbers rest on; part of every file that holds them."""
    sizes = {
        split: f"{len(data)} sentences, {sum(map(len, data['tokens'][:]))} words" for split, data in splits.items()
    }
    return {
        "train_data": corpus,
        **sizes,
        "vectors": f"{vectors.source}, {len(vectors)} words of {vectors.dim} dimensions, digest {vectors.digest}",
        "labels of train": "training",
        "labels of dev": "choice of the epoch, of the best system and of the seed that is saved",
        "labels of test and target": "final scores; their names are compared with those of train when they are loaded",
        "seeds": list(settings.seeds),
        "intervals and p-values": "95 %, over sentences at the mean over seeds, 9,999 resamples, seed 0",
    }


def print_forecast(
    settings: Settings,
    corpus: str,
    splits: Mapping[str, Dataset],
    vectors: WordVectors,
    coverage: Sequence[Mapping[str, Any]],
    accelerator: Accelerator,
    warnings: Sequence[str],
) -> None:
    """What --dry_run says: data, coverage, parameters, time and memory. Nothing is trained, nothing written."""
    from nlptransfer.data.batching import Batches
    from nlptransfer.embeddings.coverage import format_coverage
    from nlptransfer.recipes.recurrent_taggers import tagging_step
    from nlptransfer.training.forecast import forecast_bytes, forecast_seconds_per_epoch, parameter_groups

    for name, value in describe_run(settings, corpus, splits, vectors).items():
        print(f"{name}: {value}")
    print(f"\n{format_coverage(coverage)}\n")
    total = 0.0
    train_split = splits["train"]
    for system in settings.systems:
        if system == PERCEPTRON:
            continue
        model = build_tagger(settings, system, settings.seeds[0], train_split, vectors)
        batches = Batches(
            model.encode(train_split["tokens"][:], train_split["tags"][:]),
            batch_size=settings.batch_size,
            max_length=settings.max_length,
            seed=settings.seeds[0],
        )
        groups = parameter_groups(model)
        seconds = settings.epochs * forecast_seconds_per_epoch(model, tagging_step, batches, accelerator=accelerator)
        total += seconds * len(settings.seeds)
        parts = ", ".join(f"{group.name} {group.trained:,} of {group.parameters:,}" for group in groups)
        print(
            f"{system}: {len(batches)} batches per epoch, {batches.padding:.1%} padding; parameters trained: {parts}; "
            f"about {seconds:.0f} s per seed for {settings.epochs} epochs and {forecast_bytes(groups) / 1e6:.0f} MB"
        )
    print(f"\nAbout {total:.0f} s for {len(settings.seeds)} seed(s), the perceptron left out.")
    print(f"Would write settings, metrics, predictions, history, plots, report and model to {settings.output_dir}.")
    print("\n".join(warnings))


def load_weights(model: RecurrentTagger, folder: Path) -> None:
    """Put the weights that a finished cell left behind into `model`."""
    from nlptransfer.models.saving import read_tensors

    model.load_state_dict(read_tensors(folder, WEIGHTS))
    model.eval()


def main(argv: Sequence[str] | None = None) -> None:
    """Run the recipe from the command line."""
    run_recipe(Settings, run, argv)


if __name__ == "__main__":
    main()
