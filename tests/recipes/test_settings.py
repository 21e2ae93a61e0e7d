from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
import yaml

from nlptransfer.cli import find_recipes
from nlptransfer.errors import InputError
from nlptransfer.recipes.settings import RunSettings, read_settings, settings_to_dict

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Settings(RunSettings):
    systems: tuple[Literal["random", "frozen", "tuned"], ...] = ("random", "frozen")
    """What to train, 100 % of it."""
    test_data: list[str] = field(default_factory=list)
    """Files
    to test on."""
    learning_rate: float = 1e-3
    epochs: int = 30
    cell: Literal["lstm", "gru"] = "lstm"
    vectors: Path | None = None
    max_length: int | None = None
    traces: bool = True
    train_data: str = "treebank"


def read(*flags: str) -> Settings:
    return read_settings(Settings, flags)


def error(*flags: str) -> str:
    with pytest.raises(InputError) as caught:
        read(*flags)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def yaml_file(tmp_path: Path) -> Path:
    return tmp_path / "some.yaml"


def test_without_flags_every_setting_has_its_default() -> None:
    assert read() == Settings()


def test_exponents_without_a_point_are_numbers_in_yaml(yaml_file: Path) -> None:
    yaml_file.write_text("learning_rate: 5e-5\n")
    assert read("--config", str(yaml_file)).learning_rate == 5e-5
    assert read("--learning_rate", "5e-5").learning_rate == 5e-5


def test_lists_are_separated_by_spaces_on_the_command_line_and_lists_in_yaml(yaml_file: Path) -> None:
    yaml_file.write_text("seeds: [0, 1, 2]\nsystems: [tuned]\ntest_data: [a.conllu]\n")
    assert read("--config", str(yaml_file)) == replace(
        Settings(), seeds=(0, 1, 2), systems=("tuned",), test_data=["a.conllu"]
    )
    flags = ["--seeds", "0", "1", "2", "--systems", "random", "tuned", "--test_data", "a b", "5"]
    assert read(*flags) == replace(Settings(), seeds=(0, 1, 2), systems=("random", "tuned"), test_data=["a b", "5"])


def test_switches_are_bare_flags_and_true_or_false_in_yaml(yaml_file: Path) -> None:
    assert read("--resume", "--dry_run", "--debug") == replace(Settings(), resume=True, dry_run=True, debug=True)
    assert read("--resume", "--seeds", "3") == replace(Settings(), resume=True, seeds=(3,))
    assert read("--traces", "false").traces is False
    yaml_file.write_text("resume: true\ntraces: false\n")
    assert read("--config", str(yaml_file)) == replace(Settings(), resume=True, traces=False)
    assert read("--config", str(yaml_file), "--resume", "false").resume is False


def test_flags_override_the_file_wherever_they_stand_and_a_later_file_an_earlier_one(tmp_path: Path) -> None:
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text("epochs: 1\ncell: gru\nseeds: [1]\n")
    second.write_text("epochs: 2\nlearning_rate: 0.5\n")
    both = ["--config", str(first), f"--config={second}"]
    expected = replace(Settings(), epochs=3, cell="gru", seeds=(1,), learning_rate=0.5)
    assert read(*both, "--epochs", "3") == read("--epochs", "3", *both) == expected
    assert read(*both).epochs == 2


def test_paths_and_null(yaml_file: Path) -> None:
    assert read("--vectors", "a/b.txt", "--max_length", "50") == replace(
        Settings(), vectors=Path("a/b.txt"), max_length=50
    )
    yaml_file.write_text("vectors: a/b.txt\nmax_length: 50\n")
    flags = ["--config", str(yaml_file)]
    assert read(*flags, "--vectors", "null", "--max_length", "null") == Settings()
    yaml_file.write_text("vectors: null\nmax_length:\n")
    assert read(*flags) == Settings()


def test_text_that_looks_like_a_number_stays_text() -> None:
    assert read("--train_data", "5e-5").train_data == "5e-5"
    assert read("--train_data", "true").train_data == "true"


def test_an_empty_file_and_one_of_comments_change_nothing(yaml_file: Path) -> None:
    for text in ("", "# only a comment\n"):
        yaml_file.write_text(text)
        assert read("--config", str(yaml_file)) == Settings()


def test_settings_written_out_read_back_the_same(yaml_file: Path) -> None:
    settings = replace(
        Settings(),
        output_dir=Path("runs/a b"),
        seeds=(0, 7),
        vectors=Path("v.txt"),
        learning_rate=5e-5,
        train_data="5",
        test_data=["yes", "null"],
        traces=False,
    )
    yaml_file.write_text(yaml.safe_dump(settings_to_dict(settings)))
    assert read("--config", str(yaml_file)) == settings


def test_how_a_run_is_started_is_no_part_of_what_it_is() -> None:
    assert settings_to_dict(replace(Settings(), resume=True, dry_run=True, debug=True)) == settings_to_dict(Settings())


def test_printed_settings_are_a_settings_file(yaml_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read("--epochs", "4", "--seeds", "1", "2", "--print_config")
    assert caught.value.code == 0
    yaml_file.write_text(capsys.readouterr().out)
    assert read("--config", str(yaml_file)) == replace(Settings(), epochs=4, seeds=(1, 2))


def test_help_says_what_each_flag_is_from_the_string_below_the_field(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read("--help")
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "What to train, 100 % of it. (type: Literal['random', 'frozen', 'tuned'], default: ['random'," in text
    assert "Files to test on." in text
    assert "Random seeds." in text
    assert "default: 0.001" in text


def test_an_unknown_flag_names_the_closest_one() -> None:
    assert error("--learnin_rate", "1").startswith("unknown flag --learnin_rate. Did you mean --learning_rate?")
    assert "Did you mean --output_dir?" in error("--output-dir=x")
    assert "Did you mean" not in error("--zzzzzz")
    # An abbreviation would change its meaning when a flag is added.
    assert "Did you mean --learning_rate?" in error("--learning")


def test_an_unknown_yaml_name_gives_file_line_and_the_closest_one(yaml_file: Path) -> None:
    yaml_file.write_text("epochs: 3\n\nlearnin_rate: 1\n")
    message = error("--config", str(yaml_file))
    assert message.startswith(f"{yaml_file}, line 3: unknown setting 'learnin_rate'. Did you mean learning_rate?")


@pytest.mark.parametrize(
    ("flags", "expected", "found"),
    [
        (["--epochs", "many"], "a whole number", "'many'"),
        (["--epochs", "1.5"], "a whole number", "'1.5'"),
        (["--learning_rate", "fast"], "a number", "'fast'"),
        (["--max_length", "x"], "a whole number or null", "'x'"),
        (["--cell", "rnn"], "one of 'lstm', 'gru'", "'rnn'"),
        (["--seeds", "0", "x"], "a list, each item a whole number", "'x'"),
        (["--systems", "random", "frosen"], "a list, each item one of 'random', 'frozen', 'tuned'", "'frosen'"),
        (["--traces", "maybe"], "true or false", "'maybe'"),
    ],
)
def test_a_flag_of_the_wrong_kind_says_what_was_expected_and_found(flags: list[str], expected: str, found: str) -> None:
    assert error(*flags) == f"{flags[0]} has a value of the wrong kind. Expected {expected}; found {found}."


@pytest.mark.parametrize(
    ("line", "expected", "found"),
    [
        ("epochs: many", "a whole number", "'many'"),
        ("epochs: true", "a whole number", "True"),
        ("epochs: null", "a whole number", "None"),
        ("seeds: 3", "a list, each item a whole number", "3"),
        ("seeds: [1, x]", "a list, each item a whole number", "[1, 'x']"),
        ("seeds: [[1], [2]]", "a list, each item a whole number", "[[1], [2]]"),
        ("epochs: [3]", "a whole number", "[3]"),
        ("resume: maybe", "true or false", "'maybe'"),
        ("cell: {a: 1}", "one of 'lstm', 'gru'", "{'a': 1}"),
        ("vectors: 5", "text or null", "5"),
    ],
)
def test_a_yaml_value_of_the_wrong_kind_says_where(yaml_file: Path, line: str, expected: str, found: str) -> None:
    yaml_file.write_text(f"# my run\n{line}\n")
    name = line.partition(":")[0]
    assert error("--config", str(yaml_file)).startswith(
        f"{yaml_file}, line 2: '{name}' has a value of the wrong kind. Expected {expected}; found {found}."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: [", ", line 1: the settings can't be read"),
        ("- epochs\n", ": this is not a settings file. Expected lines such as `epochs: 10`; found ['epochs']."),
        ("epochs: 1\ncell: gru\nepochs: 2\n", ", line 1: the setting 'epochs' stands here twice."),
        ("\udcff", ": this is not a settings file. Expected YAML in UTF-8."),
    ],
)
def test_a_file_that_holds_no_settings_is_one_message(yaml_file: Path, text: str, message: str) -> None:
    yaml_file.write_text(text, errors="surrogateescape")
    assert error("--config", str(yaml_file)).startswith(f"{yaml_file}{message}")


def test_a_missing_file_and_missing_values_are_one_message(tmp_path: Path) -> None:
    assert "none.yaml: there is no such settings file." in error("--config", str(tmp_path / "none.yaml"))
    assert error("--config").startswith("--config names no file.")
    assert error("--config", "--resume").startswith("--config names no file.")
    assert error("--epochs") == "--epochs has no value. Expected a whole number."
    assert error("stray").startswith("unrecognized arguments: stray.")


def test_no_seed_or_the_same_seed_twice_is_an_error(yaml_file: Path) -> None:
    assert error("--seeds", "1", "1").startswith("--seeds holds a number twice.")
    yaml_file.write_text("seeds: []\n")
    assert error("--config", str(yaml_file)).startswith("--seeds is empty.")


def test_every_published_settings_file_is_read_by_its_recipe() -> None:
    files = sorted((ROOT / "recipes").glob("*/*.yaml"))
    assert len(files) >= 5
    for file in files:
        module = importlib.import_module(f"nlptransfer.recipes.{file.parent.name}")
        settings = read_settings(module.Settings, ["--config", str(file)])
        # A file that sets nothing that its recipe doesn't set already would publish nothing.
        assert settings_to_dict(settings) is not None
    assert {file.parent.name for file in files} == set(find_recipes()), "each recipe publishes its settings"


def test_every_recipe_shows_its_help_without_loading_torch() -> None:
    for recipe in find_recipes():
        code = (
            f"import sys\nfrom nlptransfer.recipes.{recipe} import main\n"
            "try: main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
            "assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)"
        )
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for flag in ("--output_dir", "--seeds", "--device", "--precision", "--resume", "--dry_run", "--config"):
            assert flag in shown.stdout
