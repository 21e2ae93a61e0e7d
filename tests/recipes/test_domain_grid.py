"""A grid of pairs: killed and resumed it repeats nothing, the number of processes changes no score, and a method that
fails takes no other with it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nlptransfer.data.synthetic_reviews import make_review_domains
from nlptransfer.errors import InputError
from nlptransfer.recipes import domain_systems
from nlptransfer.recipes.cross_domain_sentiment import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "no_reload")]

SYSTEMS = ["source_only", "source_only_network", "idf", "dann", "target_trained"]
CELLS = 6 * (2 + 2 * 3)  # pairs; two systems of one seed, three of two


@pytest.fixture(scope="module")
def domains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of three domains."""
    made = make_review_domains(80, seed=0)
    parts = {"books": made.source["train"], "dvd": made.target["train"]}
    rows = [
        {"text": row["text"], "label": ("neg", "pos")[row["label"]], "domain": name}
        for name, data in parts.items()
        for row in data
    ]
    mixed = zip(*(data.select(range(50)) for data in parts.values()), strict=True)
    rows += [
        {"text": f"{one['text']} {other['text']} toy", "label": ("neg", "pos")[one["label"]], "domain": "toys"}
        for one, other in mixed
    ]
    file = tmp_path_factory.mktemp("domains") / "reviews.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def flags(domains: Path) -> list[str]:
    small = ["--epochs", "1", "--hidden_dim", "4", "--max_ngram", "1", "--device", "cpu", "--seeds", "0", "1"]
    return ["--pairs", "all", "--domains", str(domains), *small, "--methods", "idf", "dann"]


@pytest.fixture(scope="module")
def undisturbed(flags: list[str], tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """The grid, trained by two processes."""
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    argv = command(*flags, "--processes", "2", "--output_dir", folder)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (folder / "shown.txt").write_text(done.stdout)
    return folder


def command(*argv: str | Path) -> list[str]:
    return [sys.executable, "-m", "nlptransfer.recipes.cross_domain_sentiment", *map(str, argv)]


def metrics(folder: Path) -> dict[str, Any]:
    """What a run has found, without times."""
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    del found["seconds"]
    return found


def test_every_pair_is_scored_and_the_verdicts_are_over_all_pairs(undisturbed: Path) -> None:
    found = metrics(undisturbed)
    pairs = {f"{one}>{other}" for one in ("books", "dvd", "toys") for other in ("books", "dvd", "toys") if one != other}
    accuracy = [score for score in found["scores"] if score["metric"] == "accuracy"]
    assert {score["pair"] for score in accuracy} == {*pairs, "all"}
    choices = {"label_free_choice", "label_free_choice_by_mean", "choice_on_other_pairs", "oracle_choice"}
    assert {score["system"] for score in accuracy if score["pair"] == "all"} == {*SYSTEMS, *choices}
    values = {(score["system"], score["pair"]): score["value"] for score in accuracy if score["seed"] is None}
    means = {system: value for (system, pair), value in values.items() if pair == "all"}
    for system, mean in means.items():
        own = [
            score["value"]
            for score in accuracy
            if score["system"] == system and score["pair"] in pairs and score["seed"] is None
        ]
        assert mean == pytest.approx(sum(own) / len(pairs))
    for pair in pairs:
        others = [other for other in pairs if pair.split(">")[1] not in other.split(">")]
        best = max(("idf", "dann"), key=lambda name: sum(values[name, other] for other in others))
        assert values["choice_on_other_pairs", pair] == values[best, pair]
    over_all = {verdict["system"] for verdict in found["verdicts"] if verdict["pair"] == "all"}
    assert over_all == {"idf", "dann", *choices}
    assert {path.stem for path in (undisturbed / "plots").iterdir()} >= {"heat_map_target_test", "gains"}
    assert {path.name for path in (undisturbed / "models").iterdir()} == {pair.replace(">", "_to_") for pair in pairs}


def test_the_screen_shows_means_and_verdicts_and_not_every_number_of_a_grid(undisturbed: Path) -> None:
    shown = (undisturbed / "shown.txt").read_text()
    assert shown.count(", seed ") == CELLS, "a line for each cell"
    assert shown.count("THE TEST TEXTS ARE SEEN IN ADAPTATION") == 2, "at the start and beside the verdicts"
    assert len(shown[shown.rindex(", seed ") :].splitlines()) < 30


def test_a_killed_grid_resumes_repeats_no_finished_cell_and_ends_the_same(
    flags: list[str], undisturbed: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "killed"
    killed = subprocess.Popen(
        command(*flags, "--processes", "2", "--output_dir", folder),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert killed.stdout is not None
    done = 0
    for line in killed.stdout:
        done += ", seed " in line
        if done == 15:
            break
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    time.sleep(1)
    kept = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.glob("cells/*/*/cell.json")}
    assert 15 <= len(kept) < CELLS
    time.sleep(1)
    assert set(folder.glob("cells/*/*/cell.json")) == set(kept), "no process trains on for a run that was killed"
    assert not (folder / "metrics.json").exists()

    # Up to the end of training, so that the cells can be looked at; then to the end. One process now.
    stopped = subprocess.run(
        [sys.executable, "-c", STOP_BEFORE_THE_REPORT, "--output_dir", str(folder), "--resume", "--processes", "1"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "stopped here" in stopped.stderr
    assert len(list(folder.glob("cells/*/*/cell.json"))) == CELLS
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in kept} == kept
    assert stopped.stdout.count(", seed ") == CELLS - len(kept)
    main(["--output_dir", str(folder), "--resume"])
    assert metrics(folder) == metrics(undisturbed), "and the number of processes changes nothing"
    for path in (undisturbed / "predictions").iterdir():
        assert path.read_bytes() == (folder / "predictions" / path.name).read_bytes()


STOP_BEFORE_THE_REPORT = """
import nlptransfer.recipes.cross_domain_sentiment as recipe
def stop(*args):
    raise RuntimeError("stopped here")
recipe.read_cells = stop
recipe.main()
"""


def test_a_method_that_fails_on_one_pair_takes_no_other_with_it(
    flags: list[str],
    domains: Path,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: Callable[..., str],
) -> None:
    train = domain_systems.train_method

    def failing(settings: Any, data: Any, method: Any, seed: int, *rest: Any) -> Any:
        if (data.name, method.name, seed) == ("dvd>toys", "dann", 1):
            raise InputError("the domains are too far apart", remedy="Come closer.")
        return train(settings, data, method, seed, *rest)

    monkeypatch.setattr(domain_systems, "train_method", failing)
    folder = tmp_path / "run"
    two = ["--domains", f"{domains}#dvd", f"{domains}#toys"]
    message = fails(main, *flags, *two, "--processes", "1", "--output_dir", folder)
    assert message == (
        "error: the run is complete, but dann could not be trained on dvd>toys: the domains are too far apart. Come "
        "closer. The report tells of all others.\n"
    )
    assert "dann could not be trained on dvd&gt;toys" in (folder / "report.html").read_text()
    found = metrics(folder)["scores"]
    dann = {score["pair"] for score in found if score["system"] == "dann"}
    assert dann == {"toys>dvd"}, "a mean over fewer pairs would be no mean to compare"
    rows = [score for score in found if (score["system"], score["metric"]) == ("idf", "accuracy")]
    whole = [score for score in metrics(undisturbed)["scores"] if score in rows]
    assert {score["pair"] for score in rows} == {"dvd>toys", "toys>dvd", "all"}
    assert {score["pair"] for score in whole} >= {"dvd>toys", "toys>dvd"}, "as in the grid where all went well"
