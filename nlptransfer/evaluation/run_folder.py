"""The run folder: settings, scores, predictions and history of one run, written whole and read back with checks.

::

    settings.yaml                 every setting as resolved, loadable again with --config
    metrics.json                  recipe, version, signature, scores, verdicts, seconds
    predictions/<system>.jsonl    one line per sentence, split and seed: tokens, gold, predicted;
                                  or one per document, split, seed and pair of domains: id, gold, predicted
    history.jsonl                 one line per epoch per system and seed
    plots/*.png  report.html  model/
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from nlptransfer.errors import InputError
from nlptransfer.evaluation.document_predictions import ALL_PAIRS, DocumentPredictions
from nlptransfer.evaluation.metrics import DOCUMENT_METRICS
from nlptransfer.evaluation.number_scores import R_SQUARED, NumberPredictions
from nlptransfer.evaluation.predictions import (
    Predictions,
    SystemPredictions,
    by_system,
    read_predictions,
    write_predictions,
)
from nlptransfer.evaluation.verdict import Score, Verdict
from nlptransfer.files import write_json, write_text

_SYSTEM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=@-]*")  # safe as a file name everywhere
_MAY_DIFFER = "output_dir"  # of a run folder that was moved, or is named another way
_REPEAT = "Finish the run with --resume, or repeat it into another --output_dir."
_METRICS_FIELDS = {"recipe": str, "version": str, "signature": dict, "scores": list, "verdicts": list, "seconds": dict}

Row = TypeVar("Row", Score, Verdict)


@dataclass(frozen=True)
class RunFolder:
    """A run folder open for writing. Each file is written whole, so that a killed run leaves no half file.

    All methods raise `OSError` where the folder can't be written or the disk is full; files already written stay.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def plots(self) -> Path:
        """Where the pictures go."""
        return self.path / "plots"

    @property
    def model(self) -> Path:
        """Where the model goes."""
        return self.path / "model"

    @property
    def report(self) -> Path:
        """The page to read."""
        return self.path / "report.html"

    def write_history(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write history.jsonl anew: one line per row.

        Args:
            rows: one per epoch, system and seed, with whatever `train` told of it.
        """
        lines = [json.dumps(dict(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows]
        write_text(self.path / "history.jsonl", "".join(lines))

    def write_predictions(self, predictions: Iterable[SystemPredictions]) -> None:
        """Write predictions/<system>.jsonl for each system given; other systems' files stay.

        Args:
            predictions: all splits, seeds and pairs of the systems given.

        Raises:
            ValueError: a system's name can't be a file name, or gold labels are still withheld.
        """
        for system, parts in by_system(predictions).items():
            if not _SYSTEM_NAME.fullmatch(system):
                raise ValueError(f"system name {system!r} can't be a file name: use letters, digits and . _ + = @ -")
            if any(part.gold is None for part in parts):
                raise ValueError(f"gold labels of {system} are withheld: a finished run holds them")
            write_predictions(self.path / "predictions" / f"{system}.jsonl", parts)

    def write_metrics(
        self,
        *,
        recipe: str,
        version: str,
        signature: Mapping[str, Any],
        scores: Iterable[Score],
        verdicts: Iterable[Verdict],
        seconds: Mapping[str, float],
    ) -> None:
        """Write metrics.json; it is the last word of a run: a folder without it is unfinished.

        Args:
            recipe: the recipe's name.
            version: nlptransfer's version.
            signature: what the numbers rest on: data, splits, seeds, which labels were used for what, resamples.
            scores: every score.
            verdicts: every verdict.
            seconds: how long each part took.
        """
        metrics = {
            "recipe": recipe,
            "version": version,
            "signature": dict(signature),
            "scores": [score.to_dict() for score in scores],
            "verdicts": [verdict.to_dict() for verdict in verdicts],
            "seconds": dict(seconds),
        }
        write_json(self.path / "metrics.json", metrics)


@dataclass(frozen=True)
class Run:
    """A finished run, read back.

    Attributes:
        path: its folder.
        settings: every setting as resolved.
        recipe: the recipe's name.
        version: the version of nlptransfer that ran it.
        signature: what the numbers rest on.
        scores: every score.
        verdicts: every verdict.
        seconds: how long each part took.
        predictions: by system; each split and seed.
        history: one row per epoch per system and seed.
    """

    path: Path
    settings: dict[str, Any]
    recipe: str
    version: str
    signature: dict[str, Any]
    scores: list[Score]
    verdicts: list[Verdict]
    seconds: dict[str, float]
    predictions: dict[str, list[Predictions] | list[DocumentPredictions] | list[NumberPredictions]]
    history: list[dict[str, Any]]


def open_run_folder(path: str | Path, *, settings: Mapping[str, Any], resume: bool = False) -> RunFolder:
    """Create a run folder and its settings.yaml, or go on with one that was begun under the same settings.

    Args:
        path: the folder. It may exist if it is empty. With `resume` it may also be missing or empty: then the run
            starts from the beginning, so that one command line serves for the first try and for all others.
        settings: every setting as resolved: text, numbers, paths, and lists and dicts of these.
        resume: go on with what is there.

    Returns:
        The folder, open for writing.

    Raises:
        InputError: see `check_run_folder`.
        OSError: it can't be created or written.
    """
    if not check_run_folder(path, settings=settings, resume=resume):
        write_text(Path(path) / "settings.yaml", _to_yaml(_plain(settings)))
    return RunFolder(Path(path))


def check_run_folder(path: str | Path, *, settings: Mapping[str, Any], resume: bool = False) -> bool:
    """Say early, before anything is loaded or trained, that a folder can't take this run. Nothing is written.

    Args:
        path: as for `open_run_folder`.
        settings: as for `open_run_folder`.
        resume: as for `open_run_folder`.

    Returns:
        Whether a run was begun there under the same settings.

    Raises:
        InputError: the folder holds something and `resume` is off; it is no run folder, or was begun under other
            settings (they are listed; the folder's own name may differ).
        OSError: it can't be looked into, or part of its path is a file.
    """
    path = Path(path)
    # Hidden files are not looked at: a killed run's temporary file, or a file browser's notes.
    found = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith(".")) if path.exists() else []
    if not found:
        existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
        if not existing.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        return False
    if not resume:
        raise InputError(
            "the output folder is not empty",
            where=path,
            found=", ".join(found[:5]) + (", ..." if len(found) > 5 else ""),
            remedy="Add --resume to go on with the run begun there, or choose another --output_dir.",
        )
    settings_file = path / "settings.yaml"
    saved, plain = _read_settings(settings_file), _plain(settings)
    missing = object()
    differing = [
        f"{name}: {_shown(saved, name)} there, {_shown(plain, name)} now"
        for name in [*saved, *(name for name in plain if name not in saved)]
        if name != _MAY_DIFFER and saved.get(name, missing) != plain.get(name, missing)
    ]
    if differing:
        raise InputError(
            f"the run begun there has other settings ({'; '.join(differing)})",
            where=settings_file,
            remedy="Resume with the same settings (--config that file), or choose another --output_dir.",
        )
    return True


def read_run(path: str | Path) -> Run:
    """Read a finished run folder and check that its files are whole and agree with each other.

    Args:
        path: the run folder.

    Returns:
        The run.

    Raises:
        InputError: the folder or one of settings.yaml, metrics.json, history.jsonl, predictions/*.jsonl is missing, is
            not what it should be, or the predictions are not those that were scored.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError("is not a folder", where=path, remedy="Give the --output_dir of a finished run.")
    settings = _read_settings(path / "settings.yaml")
    metrics_file = path / "metrics.json"
    metrics = _read_json(metrics_file)
    for name, kind in _METRICS_FIELDS.items():
        if not isinstance(metrics.get(name), kind):
            raise InputError(
                f"the field {name!r} is missing or altered",
                where=metrics_file,
                expected={str: "text", list: "a list", dict: "an object"}[kind],
                found=repr(metrics.get(name))[:60],
                remedy=_REPEAT,
            )
    scores = _rows(metrics["scores"], Score, metrics_file)
    verdicts = _rows(metrics["verdicts"], Verdict, metrics_file)
    files = sorted((path / "predictions").glob("[!.]*.jsonl"))
    if not files:
        raise InputError("no predictions are there", where=path / "predictions", remedy=_REPEAT)
    predictions = {file.stem: read_predictions(file) for file in files}
    _check_scored(predictions, scores, path)
    return Run(
        path=path,
        settings=settings,
        recipe=metrics["recipe"],
        version=metrics["version"],
        signature=metrics["signature"],
        scores=scores,
        verdicts=verdicts,
        seconds=metrics["seconds"],
        predictions=predictions,
        history=read_history(path / "history.jsonl"),
    )


def read_history(path: str | Path) -> list[dict[str, Any]]:
    """Read a history.jsonl.

    Args:
        path: the file.

    Returns:
        One row per line.

    Raises:
        InputError: the file is missing, or a line is not a JSON object.
    """
    rows = []
    for number, line in enumerate(_read_text(Path(path)).split("\n"), start=1):
        if not line:
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        if not isinstance(row, dict):
            raise InputError(
                "the line is not a JSON object", where=path, line=number, found=repr(line[:60]), remedy=_REPEAT
            )
        rows.append(row)
    return rows


def _check_scored(predictions: Mapping[str, Sequence[SystemPredictions]], scores: Iterable[Score], path: Path) -> None:
    """Every scored item must be in the predictions that were kept: catches a file cut at a line's end, or swapped."""
    kept: dict[tuple[str, str, int | None, str | None], int] = {}
    for part in (part for own in predictions.values() for part in own):
        if isinstance(part, Predictions):
            kept[part.system, part.split, part.seed, None] = sum(map(len, part.tokens))
        else:
            pair = part.pair if isinstance(part, DocumentPredictions) else None
            kept[part.system, part.split, part.seed, pair] = len(part.ids)
    for score in scores:
        counted = ("token_accuracy", R_SQUARED, *DOCUMENT_METRICS)
        if score.metric not in counted or score.seed is None or score.pair == ALL_PAIRS:
            continue
        # A recipe may keep predictions of the test splits only.
        if score.split not in {part.split for part in predictions.get(score.system, ())}:
            continue
        found = kept.get((score.system, score.split, score.seed, score.pair), 0)
        if found != score.n:
            of_pair = "" if score.pair is None else f" of {score.pair}"
            unit = "words" if score.metric == "token_accuracy" else "documents"
            raise InputError(
                f"the predictions of split {score.split}, seed {score.seed}{of_pair} are not those that were scored",
                where=path / "predictions" / f"{score.system}.jsonl",
                expected=f"{score.n} {unit}, as metrics.json says",
                found=f"{found}",
                remedy=_REPEAT,
            )


def _rows(values: list[Any], kind: type[Row], path: Path) -> list[Row]:
    names = [field.name for field in fields(kind)]
    needed = [field.name for field in fields(kind) if field.default is MISSING]
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict) or not set(needed) <= set(value) <= set(names):
            raise InputError(
                f"{kind.__name__.lower()} {number} is altered",
                where=path,
                expected=f"the fields {', '.join(needed)}",
                found=", ".join(value) if isinstance(value, dict) else repr(value)[:60],
                remedy=_REPEAT,
            )
        for name, own in value.items():
            text = name in ("system", "baseline", "split", "metric", "verdict", "pair")
            right = isinstance(own, str) if text else type(own) in (int, float)
            if not right and not (own is None and (name == "seed" or name not in needed)):
                raise InputError(
                    f"{kind.__name__.lower()} {number} is altered: {name} has the wrong type",
                    where=path,
                    expected="text" if text else "a number",
                    found=repr(own)[:60],
                    remedy=_REPEAT,
                )
    return [kind(**value) for value in values]


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError("the file is missing: the run did not finish", where=path, remedy=_REPEAT) from error
    except OSError as error:
        raise InputError(f"the file can't be read ({error.strerror})", where=path, remedy=_REPEAT) from error
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8 text", where=path, remedy=_REPEAT) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(
            f"the file is not JSON ({error.msg})", where=path, line=error.lineno, remedy=_REPEAT
        ) from error
    if not isinstance(value, dict):
        raise InputError("the file is not a JSON object", where=path, remedy=_REPEAT)
    return value


def _read_settings(path: Path) -> dict[str, Any]:
    import yaml

    try:
        settings = yaml.safe_load(_read_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise InputError(
            "the file is not YAML", where=path, line=None if mark is None else mark.line + 1, remedy=_REPEAT
        ) from error
    if not isinstance(settings, dict):
        raise InputError(
            "the file holds no settings", where=path, expected="one `name: value` per line", remedy=_REPEAT
        )
    return settings


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they come back from YAML: paths as text, tuples as lists."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(settings), default=os.fspath))
    return plain


def _to_yaml(plain: Mapping[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(dict(plain), sort_keys=False, allow_unicode=True)
    return text


def _shown(settings: Mapping[str, Any], name: str) -> str:
    return json.dumps(settings[name], ensure_ascii=False) if name in settings else "not set"
