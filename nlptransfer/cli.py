"""The command `nlptransfer`: lists the recipes, runs one, and uses what it left (predict, evaluate, compare)."""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

from nlptransfer import __version__
from nlptransfer.errors import InputError
from nlptransfer.recipes.running import errors_as_messages

# https://universaldependencies.org/u/pos/; the column xpos takes any tag.
_UNIVERSAL_TAGS = {
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN",
    "PUNCT", "SCONJ", "SYM", "VERB", "X",
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        argv: the words after `nlptransfer`; those of this process where it is None.

    Raises:
        SystemExit: with code 2 after a message about the input, 0 after ``--help``.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    recipes = find_recipes()
    if argv and argv[0] in recipes:
        importlib.import_module(f"nlptransfer.recipes.{argv[0]}").main(argv[1:])
        return
    with errors_as_messages(debug="--debug" in argv):
        parser = _make_parser(recipes)
        if not argv:
            parser.print_help()
            return
        if not argv[0].startswith("-") and argv[0] not in _VERBS:
            known = [*recipes, *_VERBS]
            close = difflib.get_close_matches(argv[0].replace("-", "_"), known, n=1)
            raise InputError(
                f"there is no recipe or command '{argv[0]}'",
                expected=f"one of {', '.join(known)}",
                remedy=f"Did you mean {close[0]}?" if close else "`nlptransfer` lists them.",
            )
        arguments = parser.parse_args(argv)
        arguments.run(arguments)


def find_recipes() -> dict[str, str]:
    """Every recipe's name and the first line of its docstring, read without importing it.

    A recipe is a module of `nlptransfer.recipes` with a function `main`.
    """
    found = {}
    for path in sorted((Path(__file__).parent / "recipes").glob("*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in module.body):
            found[path.stem] = (ast.get_docstring(module) or "").partition("\n")[0]
    return found


def conllu_column(model: Any) -> Literal["upos", "xpos"]:
    """The CoNLL-U column that the model's tags belong in: as its metadata says, else upos if all are universal tags."""
    learned = model.metadata.get("tag_column")
    if learned in ("upos", "xpos"):
        return "upos" if learned == "upos" else "xpos"
    return "upos" if set(model.tags) <= _UNIVERSAL_TAGS else "xpos"


def predict(arguments: argparse.Namespace) -> None:
    """Tag a file, or standard input, with a saved model."""
    from nlptransfer import load
    from nlptransfer.data.tag_files import UPOS_COLUMN, XPOS_COLUMN, tag_stream

    with _opened_input(arguments.input) as source, _opened_output(arguments.output) as target:
        model = load(arguments.model)
        column = arguments.column or conllu_column(model)
        with _progress_bar() as progress:
            tag_stream(
                model.predict,
                source,
                target,
                name=arguments.input,
                format=arguments.format,
                column={"upos": UPOS_COLUMN, "xpos": XPOS_COLUMN}[column],
                progress=progress,
            )


def evaluate(arguments: argparse.Namespace) -> None:
    """Score a saved model on labelled data: token accuracy with its interval, and each tag by itself."""
    from nlptransfer import load
    from nlptransfer.evaluation.metrics import per_tag_scores
    from nlptransfer.evaluation.predictions import Predictions
    from nlptransfer.evaluation.verdict import score_predictions
    from nlptransfer.files import write_json

    model = load(arguments.model)
    split, tokens, gold = _load_labelled(arguments, conllu_column(model))
    predictions = Predictions(Path(arguments.model).name, split, 0, tokens, gold, model.predict(tokens))
    score = score_predictions([predictions], seed=arguments.seed)[-1]  # the mean, which claims no seed
    print(f"{arguments.data} ({split}): {len(tokens):,} sentences, {score.n:,} words")
    print(f"token accuracy {score.value:.2%} (95 % interval {score.low:.2%} to {score.high:.2%})")
    unknown = sorted({tag for tags in gold for tag in tags} - set(model.tags))
    if unknown:
        words = sum(tag in unknown for tags in gold for tag in tags)
        print(f"words whose tag the model does not know, counted as wrong: {words:,} ({', '.join(unknown)})")
    rows = per_tag_scores(gold, predictions.predicted)
    width = max(len("tag"), *(len(row["tag"]) for row in rows))
    print(f"\n{'tag':<{width}}  precision  recall      F1    words")
    for row in rows:
        columns = f"{row['precision']:>9.2%}  {row['recall']:>6.2%}  {row['f1']:>6.2%}  {row['support']:>7,}"
        print(f"{row['tag']:<{width}}  {columns}")
    if arguments.output:
        result = {"model": arguments.model, "data": arguments.data, "split": split, "version": __version__}
        write_json(arguments.output, {**result, "scores": [score.to_dict()], "tags": rows})


def compare(arguments: argparse.Namespace) -> None:
    """Say whether run A gained over run B, by their saved predictions."""
    from nlptransfer.evaluation.compare_runs import compare_runs
    from nlptransfer.evaluation.verdict import describe
    from nlptransfer.files import write_json

    verdicts = compare_runs(arguments.run_a, arguments.run_b, seed=arguments.seed)
    for verdict in verdicts:
        print(describe(verdict))
    if arguments.output:
        write_json(arguments.output, [verdict.to_dict() for verdict in verdicts])


def _make_parser(recipes: dict[str, str]) -> argparse.ArgumentParser:
    """One sub-command per verb; the recipes, whose flags are their own, are only listed."""
    width = max(map(len, [*recipes, *_VERBS]), default=0)
    listed = [f"  {name:<{width}}  {line}" for name, line in recipes.items()]
    parser = argparse.ArgumentParser(
        prog="nlptransfer",
        usage="nlptransfer RECIPE [--flags] | COMMAND [--flags]",
        description="Transfer learning for NLP.\n\nrecipes (`nlptransfer RECIPE --help` shows the flags):\n"
        + "\n".join(listed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"nlptransfer {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", prog="nlptransfer")
    for name, (run, add_arguments) in _VERBS.items():
        line = (run.__doc__ or "").partition("\n")[0]
        command = commands.add_parser(name, help=line, description=line, allow_abbrev=False)
        add_arguments(command)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        command.set_defaults(run=run)
    return parser


def _add_predict_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", required=True, metavar="DIR", help="folder of a saved model")
    command.add_argument("--input", required=True, metavar="FILE", help="what to tag; - is standard input")
    command.add_argument("--output", required=True, metavar="FILE", help="where to write; - is standard output")
    command.add_argument(
        "--format",
        choices=["conllu", "lines", "jsonl"],
        help="CoNLL-U; or a sentence a line, words separated by spaces; or a JSON object a line with `tokens` "
        "(default: told by the suffix or the first lines)",
    )
    command.add_argument(
        "--column", choices=["upos", "xpos"], help="CoNLL-U column to write (default: the one that the model learned)"
    )


def _add_evaluate_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", required=True, metavar="DIR", help="folder of a saved model")
    command.add_argument("--data", required=True, metavar="NAME|FILE", help="corpus by name or path")
    command.add_argument(
        "--split", choices=["train", "dev", "test"], help="of a corpus that has splits (default: test)"
    )
    command.add_argument("--data_dir", metavar="DIR", help="folder to look for corpora in first")
    command.add_argument(
        "--tag_column",
        metavar="NAME",
        help="upos or xpos of CoNLL-U (default: the one that the model learned), or a column",
    )
    command.add_argument("--columns", nargs="+", metavar="NAME", help="the columns of a file with one word per line")
    command.add_argument(
        "--tagset", choices=["universal"], help="map the tags of an NLTK corpus to the 12 universal ones"
    )
    command.add_argument(
        "--traces", choices=["true", "false"], default="true", help="keep the treebank's -NONE- tokens (default: true)"
    )
    command.add_argument("--seed", type=int, default=0, help="of the resampling (default: 0)")
    command.add_argument("--output", metavar="FILE", help="write the scores as JSON too")


def _add_compare_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("run_a", metavar="RUN_A", help="run folder, or FOLDER:system for one of its systems")
    command.add_argument("run_b", metavar="RUN_B", help="the baseline, likewise")
    command.add_argument("--seed", type=int, default=0, help="of the resampling (default: 0)")
    command.add_argument("--output", metavar="FILE", help="write the verdicts as JSON too")


_VERBS: dict[str, tuple[Callable[[argparse.Namespace], None], Callable[[argparse.ArgumentParser], None]]] = {
    "predict": (predict, _add_predict_arguments),
    "evaluate": (evaluate, _add_evaluate_arguments),
    "compare": (compare, _add_compare_arguments),
}


def _load_labelled(arguments: argparse.Namespace, learned_column: str) -> tuple[str, list[list[str]], list[list[str]]]:
    """The split's name, and the words and tags of its sentences."""
    from nlptransfer.data.corpora import load_corpus
    from nlptransfer.data.splits import tag_texts

    is_conllu = arguments.data.startswith("ud:") or ".conllu" in arguments.data
    is_conllu = is_conllu or any(Path(arguments.data).glob("*.conllu*"))
    corpus = load_corpus(
        arguments.data,
        arguments.split,
        data_dir=arguments.data_dir,
        tag_column=arguments.tag_column or (learned_column if is_conllu else None),
        columns=arguments.columns,
        tagset=arguments.tagset,
        traces=arguments.traces == "true",
    )
    # A corpus in one piece is scored whole, with whatever of it the model was trained on.
    split = arguments.split or ("test" if isinstance(corpus, dict) else "whole corpus")
    if isinstance(corpus, dict):
        if split not in corpus:
            raise InputError(
                "the corpus has no test split",
                where=arguments.data,
                found=", ".join(corpus),
                remedy="Say which split to score with --split.",
            )
        corpus = corpus[split]
    return split, corpus["tokens"][:], tag_texts(corpus)


@contextmanager
def _opened_input(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
    else:
        with Path(name).open("rb") as file:
            yield file


@contextmanager
def _opened_output(name: str) -> Iterator[BinaryIO]:
    """Standard output, or a file that appears under its name only when all of it is written."""
    from nlptransfer.files import write_whole

    if name == "-":
        yield sys.stdout.buffer
    else:
        with write_whole(name) as temporary, temporary.open("wb") as file:
            yield file


@contextmanager
def _progress_bar() -> Iterator[Callable[[int], Any]]:
    """Words tagged so far, on standard error where that is a terminal."""
    from tqdm import tqdm

    with tqdm(unit=" words", unit_scale=True, disable=None, file=sys.stderr) as bar:
        yield bar.update
