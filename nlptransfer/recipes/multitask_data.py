"""What a multitask run reads: its tasks with their data, one after the other in size where a curve is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from nlptransfer.multitask.task_data import TaskData, TaskSplit
    from nlptransfer.multitask.tasks import TaskSource
    from nlptransfer.recipes.multitask_tagging import Settings

USUAL = ("pos=nltk:conll2000", "chunk=nltk:conll2000")
SYNTHETIC = "synthetic"
_FUNCTION_TAGS = ("ADP", "AUX", "CCONJ", "DET", "PART", "PRON", "PUNCT", "SCONJ")
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Arm:
    """The tasks with training data of one size; a run has one arm, or one for each size of a curve.

    Attributes:
        mark: "@100" in a curve, behind the names of its systems; else empty.
        tasks: by name, in the order given.
    """

    mark: str
    tasks: Mapping[str, TaskData]

    def mark_of(self, task: str, curve_task: str | None) -> str:
        """The mark of a model of one task alone: only that of the curve differs between arms."""
        return self.mark if task == curve_task else ""


def read_numbers(texts: Sequence[str], *, flag: str) -> dict[str, float]:
    """Read `name=number`.

    Args:
        texts: such texts.
        flag: where they stand, for messages.

    Raises:
        InputError: one is not written so, or a name comes twice.
    """
    found: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if not name or not value >= 0 or name in found:
            raise InputError(f"--{flag} can't be read", expected="a task and a number, such as chunk=500", found=text)
        found[name] = value
    return found


def load_arms(settings: Settings) -> tuple[list[Arm], list[str]]:
    """Read the tasks.

    Args:
        settings: the recipe's.

    Returns:
        The arms, and what every reader must see.

    Raises:
        InputError: a corpus can't be had, or nothing can be made of it.
    """
    from nlptransfer.data.fetching import NotToBeHad
    from nlptransfer.multitask.task_data import warn_of_leaks
    from nlptransfer.multitask.tasks import parse_tasks

    warnings: list[str] = []
    sources = parse_tasks(settings.tasks or USUAL, data_dir=settings.data_dir)
    for source in sources:
        if not _SAFE_NAME.fullmatch(source.name):
            raise InputError(
                f"'{source.name}' can't be the name of a task here",
                expected="letters from a to z, digits, _ and -: files are named by it",
            )
    try:
        arms = _arms_of(settings, sources)
    except NotToBeHad as error:
        if settings.tasks:
            raise
        arms = [Arm("", _synthetic_tasks(settings))]
        warnings.append(
            "THE CORPUS IS SYNTHETIC. It was generated here, because the usual one can't be had, and its scores say "
            f"nothing about real language: the tags of an artificial language, and a coarse tag made of them. {error}"
        )
    return arms, warnings + warn_of_leaks(list(arms[-1].tasks.values()))


def _arms_of(settings: Settings, sources: Sequence[TaskSource]) -> list[Arm]:
    from nlptransfer.multitask.task_data import load_task

    sizes = {name: int(number) for name, number in read_numbers(settings.train_sizes, flag="train_sizes").items()}
    names = [source.name for source in sources]
    weights = read_numbers(settings.weights, flag="weights")
    curve = [settings.curve_task] if settings.curve_task is not None else []
    for flag, given in (("train_sizes", sizes), ("weights", weights), ("curve_task", curve)):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise InputError(f"--{flag} names no task of this run", expected=" or ".join(names), found=unknown[0])
    loaded: dict[tuple[str, int | None], TaskData] = {}
    arms = []
    for size in settings.curve_sizes or (None,):
        tasks = {}
        for source in sources:
            number = size if size is not None and source.name == settings.curve_task else sizes.get(source.name)
            if (source.name, number) not in loaded:
                loaded[source.name, number] = load_task(
                    source,
                    seed=settings.split_seed,
                    num_train=number,
                    dev_fraction=settings.dev_fraction,
                    test_fraction=settings.test_fraction,
                    data_dir=settings.data_dir,
                    columns=settings.columns,
                    text_column=settings.text_column,
                )
            tasks[source.name] = loaded[source.name, number]
        arms.append(Arm("" if size is None else f"@{size}", tasks))
    return arms


def _synthetic_tasks(settings: Settings) -> dict[str, TaskData]:
    """The tags of the synthetic corpus, and a coarse tag: whether a word has a meaning of its own."""
    from nlptransfer.multitask.task_data import TaskData, load_task
    from nlptransfer.multitask.tasks import Task, TaskSource

    tags = load_task(
        TaskSource("pos", SYNTHETIC, None, "tagging"),
        seed=settings.split_seed,
        dev_fraction=settings.dev_fraction,
        test_fraction=settings.test_fraction,
    )
    names = ("content", "function")

    def coarse(part: TaskSplit) -> TaskSplit:
        ids = [int(tag in _FUNCTION_TAGS) for tag in part.names]
        return replace(part, labels=[[ids[each] for each in own] for own in part.labels], names=names)

    splits = {split: coarse(part) for split, part in tags.splits.items()}
    source = TaskSource("coarse", SYNTHETIC, None, "tagging")
    return {"pos": tags, "coarse": TaskData(Task("coarse", "tagging", names), source, splits)}
