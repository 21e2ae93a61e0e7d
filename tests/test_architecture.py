"""The rules that hold between files: who imports whom, what loads torch, which names and shapes are not allowed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "nlptransfer"
FILES = sorted(PACKAGE.rglob("*.py"))

BOTTOM = {"errors", "files", "step_chains", "types"}
BRICKS = {*BOTTOM, "data", "embeddings", "models", "training", "evaluation"}
METHODS = {"finetuning", "adaptation", "crosslingual", "multitask", "fewshot", "transferability"}
MAY_IMPORT = {
    "errors": set(),
    "files": {"errors"},
    "step_chains": {"errors"},
    "types": {"errors"},
    "data": BOTTOM,
    "embeddings": {*BOTTOM, "data"},
    "models": {*BOTTOM, "data", "embeddings"},
    "training": BOTTOM,
    "evaluation": BOTTOM,
    # Methods do not import each other: what two of them need moves down.
    **dict.fromkeys(METHODS, BRICKS),
    "experiments": {*BOTTOM, "evaluation"},
    "recipes": {*BRICKS, *METHODS, "experiments"},
    "commands": BRICKS,
    "cli": {*BRICKS, *METHODS, "experiments", "recipes", "commands"},
    "__main__": {"cli"},
    "__init__": {"models"},
}
"""Folder or file of the package -> what it may import, beside itself and the version."""

HEAVY = {
    "accelerate", "datasets", "evaluate", "gensim", "matplotlib", "nltk", "pooch", "scipy", "sklearn", "torch",
    "transformers",
}  # fmt: skip
LIGHT = {
    "__init__",
    "__main__",
    "cli",
    "commands",
    "data",
    "errors",
    "evaluation",
    "experiments",
    "files",
    "recipes",
    "step_chains",
}
HEAVY_BY_NATURE = {
    "data/batching.py": "it makes tensors",
    "data/feature_batches.py": "it makes tensors",
    "data/token_blocks.py": "it makes tensors",
    "data/subword_words.py": "it makes tensors",
    "evaluation/evaluate_metrics.py": "its classes inherit from evaluate's",
}
"""Files of light folders that need a heavy package to be read at all; everyone imports them inside a function."""

trees = {path: ast.parse(path.read_text(encoding="utf-8"), filename=str(path)) for path in FILES}


def part_of(path: Path) -> str:
    """The folder or file directly below the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path, tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module that is imported anywhere in the file, and the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}, line {node.lineno}: imports are absolute here"
            for alias in node.names:
                # `from nlptransfer import load` and `from nlptransfer.data import splits` may name a module each.
                yield f"{node.module}.{alias.name}", node.lineno


def imported_parts(path: Path, tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The parts of nlptransfer that a file imports."""
    known = {part_of(file) for file in FILES}
    for module, line in imported_modules(path, tree):
        names = module.split(".")
        if names[0] == "nlptransfer" and len(names) > 1:
            yield {"load": "models", "__version__": part_of(path)}.get(names[1], names[1]), line
            assert names[1] in {*known, "load", "__version__"}, f"{path}, line {line}: what is {module}?"


def test_the_rules_cover_every_part_of_the_package() -> None:
    assert len(FILES) > 20
    assert {part_of(path) for path in FILES} <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path: Path) -> None:
    part = part_of(path)
    for imported, line in imported_parts(path, trees[path]):
        assert imported == part or imported in MAY_IMPORT[part], f"{path}, line {line}: {part} imports {imported}"


def test_the_check_of_the_arrows_sees_every_way_to_import() -> None:
    source = (
        "import nlptransfer.recipes.settings\nfrom nlptransfer import cli, load, __version__\n"
        "def f():\n    from nlptransfer.data import splits\n"
        "if TYPE_CHECKING:\n    from nlptransfer.models.tagger import RecurrentTagger\nimport torch\n"
    )
    found = [part for part, _ in imported_parts(PACKAGE / "files.py", ast.parse(source))]
    assert sorted(found) == ["cli", "data", "files", "models", "models", "recipes"]


def test_light_modules_load_no_heavy_package() -> None:
    modules = [
        "nlptransfer"
        if path == PACKAGE / "__init__.py"
        else ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in FILES
        if part_of(path) in LIGHT - {"__main__"} and path.relative_to(PACKAGE).as_posix() not in HEAVY_BY_NATURE
    ]
    code = (
        f"import sys, importlib\nheavy = {HEAVY!r}\n"
        f"for module in {modules!r}:\n"
        "    importlib.import_module(module)\n"
        "    loaded = heavy & set(sys.modules)\n"
        "    assert not loaded, f'{module} loads {sorted(loaded)}'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_exceptions_to_lightness_are_needed() -> None:
    for name in HEAVY_BY_NATURE:
        top = [node for node in trees[PACKAGE / name].body if isinstance(node, ast.Import | ast.ImportFrom)]
        modules = {alias.name for node in top for alias in node.names} | {getattr(node, "module", "") for node in top}
        assert HEAVY & {str(module).split(".")[0] for module in modules}, name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_handler_catches_everything(path: Path) -> None:
    for node in ast.walk(trees[path]):
        if isinstance(node, ast.ExceptHandler):
            caught = {name.id for name in ast.walk(node.type or ast.Name("Exception")) if isinstance(name, ast.Name)}
            assert not caught & {"Exception", "BaseException"}, f"{path}, line {node.lineno}"


def test_no_file_is_a_drawer_for_everything() -> None:
    root = PACKAGE.parent
    files = [path for folder in ("nlptransfer", "tests", "benchmarks") for path in (root / folder).rglob("*.py")]
    assert not [path for path in files if path.stem in {"utils", "helpers", "misc", "common", "util", "helper"}]


def test_no_python_lies_among_the_published_settings() -> None:
    assert not list((PACKAGE.parent / "recipes").rglob("*.py"))


def public_signatures() -> Iterator[tuple[str, str, list[str]]]:
    """Where, docstring and parameter names of each public function and class that says what its arguments are."""
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            docstring = ast.get_docstring(node) or ""
            function = node
            if isinstance(node, ast.ClassDef):
                made = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
                if not made:
                    continue
                function = made[0]
            assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            of = function.args
            names = [argument.arg for argument in (*of.posonlyargs, *of.args, *of.kwonlyargs)]
            names += [argument.arg for argument in (of.vararg, of.kwarg) if argument]
            names = [name for name in names if name not in ("self", "cls")]
            yield f"{path.relative_to(PACKAGE.parent)}, line {node.lineno}: {node.name}", docstring, names


def documented(docstring: str, section: str) -> list[str]:
    """The names that a docstring's section explains."""
    match = re.search(rf"^{section}:\n((?:(?:    .*)?\n?)*)", docstring, re.MULTILINE)
    return re.findall(r"^    \**(\w+):", match[1], re.MULTILINE) if match else []


def test_documented_arguments_are_those_of_the_signature() -> None:
    checked = 0
    for where, docstring, names in public_signatures():
        if explained := documented(docstring, "Args"):
            checked += 1
            assert explained == names, where
    assert checked > 20


def test_documented_attributes_are_the_fields_of_the_dataclass() -> None:
    checked = 0
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(mark) for mark in node.decorator_list):
                fields = [
                    item.target.id
                    for item in node.body
                    if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
                ]
                if explained := documented(ast.get_docstring(node) or "", "(?:Attributes|Args)"):
                    checked += 1
                    public = [name for name in fields if not name.startswith("_")]
                    assert explained == public, f"{path.relative_to(PACKAGE.parent)}: {node.name}"
    assert checked > 3


def test_the_check_of_the_docstrings_reads_a_whole_section() -> None:
    docstring = "Do.\n\nArgs:\n    first: one,\n        more: of it.\n    *rest: others.\n\nReturns:\n    it: all.\n"
    assert documented(docstring, "Args") == ["first", "rest"]
