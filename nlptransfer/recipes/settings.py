"""A recipe's settings: one dataclass, read from a YAML file and from flags.

A recipe declares its settings in its own file and says what each field is in the string below it:

    @dataclass(frozen=True)
    class Settings(RunSettings):
        epochs: int = 30
        '''Passes over the training data.'''

A flag overrides the file, the file overrides the defaults, and an unknown name is an error.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


@dataclass(frozen=True)
class RunSettings:
    """What every recipe can be told. A recipe's own settings inherit these fields and add theirs."""

    output_dir: Path = Path("runs/{recipe}/{time}")
    """Folder of the run. `{recipe}` and `{time}` stand for the recipe's name and the time of the start."""
    seeds: tuple[int, ...] = (0,)
    """Random seeds. Everything is trained once per seed, and the scores are averaged."""
    device: str = "auto"
    """Where to train: cpu, cuda, cuda:1, mps, or auto for the best one at hand."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Number format of the training; bf16 and fp16 want a GPU that has it."""
    resume: bool = False
    """Go on with the run in --output_dir, with the settings it was started with."""
    dry_run: bool = False
    """Say what would be done, and train nothing."""
    debug: bool = False
    """Show the traceback of an error."""

    def __post_init__(self) -> None:
        """Refuse seeds that no run can be made of."""
        if not self.seeds:
            raise InputError("--seeds is empty", expected="at least one whole number", remedy="Try `--seeds 0 1 2`.")
        check_values(
            self, ("seeds",), lambda seeds: 0 <= min(seeds) <= max(seeds) < 2**32, expected="from 0 to 4294967295"
        )
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(
                "--seeds holds a number twice",
                expected="different seeds",
                found=" ".join(map(str, self.seeds)),
                remedy="The same seed gives the same run: give each number once.",
            )


SettingsType = TypeVar("SettingsType", bound=RunSettings)


def check_values(settings: Any, names: Sequence[str], fits: Callable[[Any], bool], *, expected: str) -> None:
    """Refuse values that are of the right kind but that nothing can be made of.

    Args:
        settings: the dataclass; call this in its ``__post_init__``.
        names: of the fields.
        fits: whether a value will do.
        expected: what will do, in words.

    Raises:
        InputError: the first field whose value will not do.
    """
    for name in names:
        if not fits(getattr(settings, name)):
            raise InputError(f"--{name} is out of range", expected=expected, found=_shown(getattr(settings, name)))


# They say how this one start goes about it, not which run it is: a run folder's settings.yaml leaves them out.
_OF_THE_START = ("resume", "dry_run", "debug")


def read_settings(settings_type: type[SettingsType], argv: Sequence[str]) -> SettingsType:
    """The settings that the flags, the files they name with ``--config``, and the defaults amount to.

    Args:
        settings_type: the recipe's dataclass.
        argv: the flags. A later ``--config`` overrides an earlier one; any other flag overrides them all.

    Returns:
        The settings, every value of its declared type.

    Raises:
        InputError: an unknown flag or YAML name, a value of the wrong type, or a file that is no settings file.
        SystemExit: with code 0 after ``--help`` or ``--print_config``.

    Example:
        >>> read_settings(RunSettings, ["--seeds", "0", "1", "--resume"]).seeds
        (0, 1)
    """
    from jsonargparse import ArgumentError

    hints = typing.get_type_hints(settings_type)
    parser = _make_parser(settings_type, hints)
    files, flags = _split_off_config(argv)
    for file in files:
        parser.set_defaults(_read_file(Path(file), parser, hints))
    for flag in flags:
        name = flag[2:].split("=")[0]
        if flag.startswith("--") and name not in {*hints, "help", "print_config"}:
            raise InputError(f"unknown flag --{name}", remedy=_remedy(f"--{name}", [f"--{known}" for known in hints]))
    try:
        namespace = parser.parse_args(flags)
    except ArgumentError as error:
        raise _flag_error(str(error), hints) from None
    return settings_type(**{name: _typed(getattr(namespace, name), hint) for name, hint in hints.items()})


def settings_to_dict(settings: RunSettings) -> dict[str, Any]:
    """The settings as plain values (text, numbers, lists), in the order of the fields, ready for YAML and JSON.

    Left out is how this one start goes about it (`resume`, `dry_run`, `debug`): it is not part of what the run is.
    """
    plain: dict[str, Any] = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name in _OF_THE_START:
            continue
        if isinstance(value, Path):
            value = str(value)
        elif isinstance(value, tuple | list):
            value = [str(item) if isinstance(item, Path) else item for item in value]
        plain[field.name] = value
    return plain


def _make_parser(settings_type: type, hints: dict[str, Any]) -> ArgumentParser:
    """One flag per field, its help taken from the string below the field."""
    from jsonargparse import ArgumentParser

    module = sys.modules[settings_type.__module__]
    descriptions = _field_descriptions(settings_type)
    parser = ArgumentParser(
        prog=f"nlptransfer {Path(inspect.getfile(settings_type)).stem}",
        description=(module.__doc__ or "").strip().partition("\n\n")[0],
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="config", help="YAML file with settings; flags override it.")
    for field in fields(settings_type):
        hint = hints[field.name]
        default: Any = field.default_factory() if callable(field.default_factory) else field.default
        options: dict[str, Any] = {"help": descriptions.get(field.name), "type": _without_paths(_item_type(hint))}
        if _is_list(hint):
            options |= {"nargs": "*", "default": [str(item) if isinstance(item, Path) else item for item in default]}
        elif hint is bool:
            options |= {"nargs": "?", "const": True, "default": default}
        else:
            options["default"] = str(default) if isinstance(default, Path) else default
        parser.add_argument(f"--{field.name}", **options)
    return parser


def _field_descriptions(settings_type: type) -> dict[str, str]:
    """The string below each field of the class and of those it inherits from."""
    descriptions: dict[str, str] = {}
    for cls in reversed(settings_type.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, following in zip(body.body, body.body[1:], strict=False):
            match statement, following:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    descriptions[name] = " ".join(text.split())
    return descriptions


def _split_off_config(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The files named by --config, and the other flags. Apart, so that flags win wherever --config stands."""
    files, flags, rest = [], [], iter(argv)
    for token in rest:
        if token == "--config":
            file = next(rest, None)
            if file is None or file.startswith("--"):
                raise InputError("--config names no file", expected="a YAML file, as in `--config settings.yaml`")
            files.append(file)
        elif token.startswith("--config="):
            files.append(token.removeprefix("--config="))
        else:
            flags.append(token)
    return files, flags


def _read_file(path: Path, parser: ArgumentParser, hints: dict[str, Any]) -> dict[str, Any]:
    """The settings of a YAML file, each checked by itself so that a complaint can name its line."""
    import yaml
    from jsonargparse import ArgumentError

    try:
        text = path.read_text(encoding="utf-8")
        tree, values = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except FileNotFoundError:
        raise InputError(
            "there is no such settings file", where=path, remedy="Check the path after --config."
        ) from None
    except UnicodeDecodeError:
        raise InputError("this is not a settings file", where=path, expected="YAML in UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "no YAML"
        raise InputError(
            f"the settings can't be read ({problem})",
            where=path,
            line=mark.line + 1 if mark else None,
            expected="lines such as `learning_rate: 5e-5`",
        ) from None
    if tree is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(
            "this is not a settings file", where=path, expected="lines such as `epochs: 10`", found=_shown(values)
        )
    checked: dict[str, Any] = {}
    for key, (name, value) in zip((key for key, _ in tree.value), values.items(), strict=False):
        line = key.start_mark.line + 1
        if [other.value for other, _ in tree.value].count(key.value) > 1:
            raise InputError(f"the setting '{key.value}' stands here twice", where=path, line=line)
        if name not in hints:
            raise InputError(f"unknown setting '{name}'", where=path, line=line, remedy=_remedy(str(name), list(hints)))
        try:
            if (value is None and not _takes_none(hints[name])) or (_is_list(hints[name]) != isinstance(value, list)):
                raise ArgumentError(None, "null, or a list where none is due, or none where one is")
            checked[name] = getattr(parser.parse_object({name: value}, defaults=False), name)
        except ArgumentError:
            quotes = "Put it in quotes." if "text" in _described(hints[name]) and not _is_list(hints[name]) else None
            raise InputError(
                f"'{name}' has a value of the wrong kind",
                where=path,
                line=line,
                expected=_described(hints[name]),
                found=_shown(value),
                remedy=quotes,
            ) from None
    return checked


def _flag_error(message: str, hints: dict[str, Any]) -> InputError:
    """What jsonargparse says about a flag, in one line with what was expected and found."""
    flag = re.match(r'Parser key "(\w+)"', message) or re.match(r"argument --(\w+):", message)
    if flag is None or flag[1] not in hints:
        return InputError(" ".join(message.split()), remedy="`--help` lists the flags.")
    found = re.search(r"(?:Got|Given) value: (.*?)$", message, re.MULTILINE)
    return InputError(
        f"--{flag[1]} has a value of the wrong kind" if found else f"--{flag[1]} has no value",
        expected=_described(hints[flag[1]]),
        found=_shown(found[1]) if found else None,
    )


def _is_list(hint: Any) -> bool:
    return typing.get_origin(hint) in (list, tuple)


def _item_type(hint: Any) -> Any:
    return typing.get_args(hint)[0] if _is_list(hint) else hint


def _takes_none(hint: Any) -> bool:
    return type(None) in typing.get_args(hint)


def _without_paths(hint: Any) -> Any:
    """The same type with text for paths: jsonargparse's own path types demand that the file be there."""
    return {Path: str, Path | None: str | None}.get(hint, hint)


def _typed(value: Any, hint: Any) -> Any:
    """A parsed value as its field declares it: paths as Path, tuples as tuples."""
    if _is_list(hint):
        return typing.get_origin(hint)(_typed(item, _item_type(hint)) for item in value)
    return Path(value) if value is not None and Path in (hint, *typing.get_args(hint)) else value


def _described(hint: Any) -> str:
    """A type in words."""
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    if _is_list(hint):
        return f"a list, each item {_described(_item_type(hint))}"
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(f"'{choice}'" for choice in typing.get_args(hint))
    if typing.get_args(hint):
        return " or ".join(_described(member) for member in typing.get_args(hint))
    return words.get(_without_paths(hint), str(hint))


def _shown(value: Any) -> str:
    text = str(value) if not isinstance(value, str) else f"'{value}'"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _remedy(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name.replace("-", "_"), [k.replace("-", "_") for k in known], n=1)
    names = {k.replace("-", "_"): k for k in known}
    return (f"Did you mean {names[close[0]]}? " if close else "") + "`--help` lists the settings."
