"""The wheel as its users get it: built, installed in a folder of its own, run from elsewhere and without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from nlptransfer.cli import find_recipes

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that neither an older build folder nor this one leaves traces."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("nlptransfer", "tests", "recipes", "benchmarks"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "runs"))
    # Without isolation: an isolated build would fetch setuptools.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(built), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = built.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the wheel in it; what the wheel depends on is taken from this environment."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    return folder


def run_installed(installed: Path, folder: Path, *command: str) -> str:
    """Run it in `folder` with the installed wheel in front, no corpora at hand and every way out closed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NLPTRANSFER_", "NLTK_"))}
    nowhere = "http://127.0.0.1:9"
    environment |= {
        "PYTHONPATH": str(installed),
        "HOME": str(folder),
        "NLPTRANSFER_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere),
    }
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    inside = {name for name in names if ".dist-info/" not in name}
    expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / "nlptransfer").rglob("*.py")}
    assert inside == expected | {"nlptransfer/py.typed"}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert any(name.endswith(".dist-info/entry_points.txt") for name in names)


def test_the_installed_command_lists_the_recipes(installed: Path, tmp_path: Path) -> None:
    where = run_installed(installed, tmp_path, "-c", "import nlptransfer; print(nlptransfer.__file__)")
    assert Path(where.strip()).is_relative_to(installed)
    script = str(installed / "bin" / "nlptransfer")
    for command in ([script], [script, "--help"], ["-m", "nlptransfer"]):
        shown = run_installed(installed, tmp_path, *command)
        for recipe, line in find_recipes().items():
            assert recipe in shown
            assert line in shown
    assert run_installed(installed, tmp_path, script, "--version").startswith("nlptransfer ")


@pytest.mark.parametrize("recipe", sorted(find_recipes()))
def test_the_installed_recipe_runs_its_sample_from_another_folder_without_a_network(
    installed: Path, tmp_path: Path, recipe: str
) -> None:
    flags = ["--output_dir", "out", "--device", "cpu"]
    flags += {
        "bilingual_lexicon": ["--seed_pairs", "given"],
        "denoising_autoencoder": ["--epochs", "1", "--max_features", "500", "--output_dim", "100"],
        "pretrain_encoder": [
            "--max_steps",
            "2",
            "--steps_per_checkpoint",
            "1",
            "--num_layers",
            "1",
            "--hidden_dim",
            "64",
        ],
        "transformer_finetuning": ["--epochs", "1", "--min_steps", "0", "--strategies", "full", "--max_length", "32"],
    }.get(recipe, ["--epochs", "1"])
    run_installed(installed, tmp_path, "-m", f"nlptransfer.recipes.{recipe}", *flags)
    for name in ("settings.yaml", "metrics.json", "history.jsonl", "report.html", "model/README.md"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    if recipe in ("bilingual_lexicon", "pretrain_encoder"):
        return  # a lexicon or an encoder alone predicts nothing
    (tmp_path / "in.txt").write_text("The bank raised rates\n")
    script = str(installed / "bin" / "nlptransfer")
    files = ["--input", "in.txt", "--output", "out.txt"]
    run_installed(installed, tmp_path, script, "predict", "--model", "out/model", *files)
    lines = [line.partition("\t")[0] for line in (tmp_path / "out.txt").read_text().splitlines()]
    # A tagger writes a word per line, a classifier a label per text.
    assert lines == ["The", "bank", "raised", "rates", ""] or (len(lines) == 1 and lines[0] in ("neg", "pos"))
