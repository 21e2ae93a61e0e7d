"""What the READMEs show works: Python snippets run, commands name recipes, flags, files and targets that exist."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nlptransfer import cli
from nlptransfer.recipes.settings import read_settings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("recipes/*/README.md")), *sorted(ROOT.glob("benchmarks/README.md"))]


def fences(page: str, *languages: str) -> list[str]:
    """The contents of the page's code fences in one of these languages."""
    found = re.findall(r"^```(\w*)[^\n]*\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def commands(page: str) -> list[list[str]]:
    """The words of each shell command, prompts, comments and settings of the environment taken off.

    Where lines begin with the prompt `$ `, the others are output.
    """
    found = []
    for fence in fences(page, "sh", "bash", "shell", "console"):
        lines = fence.replace("\\\n", " ").splitlines()
        if any(line.startswith("$ ") for line in lines):
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        for line in lines:
            for part in re.split(r"&&|\||;", line):
                words = shlex.split(part, comments=True)
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words.pop(0)
                words = words[: next((i for i, word in enumerate(words) if word in ("<", ">")), len(words))]
                if words:
                    found.append(words)
    return found


def check(words: list[str]) -> None:
    """Fail where one of our commands would fail on its words."""
    if words[:3] == ["accelerate", "launch", "-m"] or words[:2] == ["python", "-m"]:
        words = words[words.index("-m") + 1 :]
        if words[0].startswith("nlptransfer.recipes."):
            words = ["nlptransfer", words[0].removeprefix("nlptransfer.recipes."), *words[1:]]
    if words[0] == "make":
        targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert {word for word in words[1:] if "=" not in word} <= targets, words
    elif words[0] == "nlptransfer" and len(words) > 1:
        recipes = cli.find_recipes()
        if words[1] in recipes:
            if "--help" not in words:
                read_settings(importlib.import_module(f"nlptransfer.recipes.{words[1]}").Settings, words[2:])
        else:
            parsed = cli._make_parser(recipes).parse_args(words[1:])
            assert isinstance(parsed, argparse.Namespace)
    elif words[0] == "python" or words[0].startswith("benchmarks/"):
        script = words[1] if words[0] == "python" else words[0]
        assert script.startswith("-") or (ROOT / script).is_file(), words


def test_the_reader_of_pages_finds_the_commands() -> None:
    page = (
        "```sh\npip install nlptransfer  # here\nA_B=1 nlptransfer pos_tagging \\\n  --seeds 0 1 > log\n```\n"
        "```console\n$ make test ARGS=-x && nlptransfer\n99 passed\n```\n```python\nx = 1\n```\n"
    )
    assert commands(page) == [
        ["pip", "install", "nlptransfer"],
        ["nlptransfer", "pos_tagging", "--seeds", "0", "1"],
        ["make", "test", "ARGS=-x"],
        ["nlptransfer"],
    ]
    assert fences(page, "python") == ["x = 1\n"]


@pytest.mark.parametrize(
    "words", [["make", "coffee"], ["nlptransfer", "predict", "--modell", "x"], ["python", "no.py"]]
)
def test_the_check_of_commands_fails_on_what_is_not_there(words: list[str]) -> None:
    with pytest.raises((AssertionError, SystemExit)):
        check(words)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_on_the_page_parse(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for words in commands(path.read_text(encoding="utf-8")):
        check(words)


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_on_the_page_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    snippets = fences(path.read_text(encoding="utf-8"), "python")
    if snippets:
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(snippets)], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr


def test_links_to_files_lead_somewhere() -> None:
    for path in PAGES:
        for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
