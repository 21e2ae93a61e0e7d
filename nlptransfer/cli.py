"""The command `nlptransfer`: lists the recipes, runs one, and uses what it left (predict, evaluate, compare)."""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from nlptransfer import __version__
from nlptransfer.commands.predicting import predict
from nlptransfer.commands.scoring import evaluate
from nlptransfer.errors import InputError
from nlptransfer.recipes.running import errors_as_messages


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
    command.add_argument("--task", metavar="NAME", help="of a model of several tasks (default: the first)")
    command.add_argument("--input", required=True, metavar="FILE", help="what to tag or label; - is standard input")
    command.add_argument("--output", required=True, metavar="FILE", help="where to write; - is standard output")
    command.add_argument(
        "--format",
        choices=["conllu", "lines", "jsonl", "csv", "tsv"],
        help="to be tagged: CoNLL-U, or a sentence a line, words separated by spaces, or a JSON object a line with "
        "`tokens`; to be labelled: a text a line, or a JSON object a line with `text` (or `terms` and `counts`), or a "
        "table with a column `text` (default: told by the suffix or the first lines)",
    )
    command.add_argument(
        "--column",
        choices=["upos", "xpos"],
        help="for taggers: CoNLL-U column to write (default: the one that the model learned)",
    )
    command.add_argument("--text_column", metavar="NAME", help="for texts: column or key to read (default: text)")


def _add_evaluate_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", required=True, metavar="DIR", help="folder of a saved model")
    command.add_argument("--task", metavar="NAME", help="of a model of several tasks (default: the first)")
    command.add_argument("--data", required=True, metavar="NAME|FILE", help="corpus by name or path")
    command.add_argument(
        "--split", choices=["train", "dev", "test"], help="of a corpus that has splits (default: test)"
    )
    command.add_argument("--data_dir", metavar="DIR", help="folder to look for corpora in first")
    command.add_argument(
        "--tag_column",
        metavar="NAME",
        help="for taggers: upos or xpos of CoNLL-U (default: the one that the model learned), or a column",
    )
    command.add_argument(
        "--columns", nargs="+", metavar="NAME", help="for taggers: the columns of a file with one word per line"
    )
    command.add_argument(
        "--tagset",
        choices=["universal"],
        help="for taggers: map the tags of an NLTK corpus to the 12 universal ones",
    )
    command.add_argument(
        "--traces",
        choices=["true", "false"],
        help="for taggers: keep the treebank's -NONE- tokens (default: true)",
    )
    command.add_argument("--text_column", metavar="NAME", help="for texts: the column with them (default: text)")
    command.add_argument("--label_column", metavar="NAME", help="for texts: the column with labels (default: label)")
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
