"""The loop against a plain one written out, then stopping, resuming, randomness and several processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import nlptransfer
from nlptransfer.data.batching import Batches, encode_sentences
from nlptransfer.data.vocabulary import Vocabulary
from nlptransfer.errors import InputError
from nlptransfer.training.loop import train
from nlptransfer.training.schedules import linear
from nlptransfer.types import NO_LABEL, Batch, TaskBatch

NUM_WORDS, NUM_TAGS = 12, 3


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class TinyTagger(nn.Module):
    """Embedding, dropout, head: enough for every promise of the loop."""

    def __init__(self, *, dropout: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.embedding = nn.Embedding.from_pretrained(torch.randn(NUM_WORDS + 2, 4, generator=generator), freeze=False)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4, NUM_TAGS)
        with torch.no_grad():
            for parameter in self.head.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, batch: Batch) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.dropout(self.embedding(batch.input_ids)))
        return logits


def tagging_step(model: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
    assert batch.labels is not None
    return {"loss": functional.cross_entropy(model(batch).flatten(0, 1), batch.labels.flatten())}


def make_batches(num_sentences: int = 13, batch_size: int = 4, seed: int = 0) -> Batches:
    """Random words whose label is their id modulo 3, a fifth of them unlabelled; the last batch is short."""
    random = np.random.default_rng(5)
    words = [f"w{number}" for number in range(NUM_WORDS)]
    sentences, labels = [], []
    for _ in range(num_sentences):
        numbers = random.integers(0, NUM_WORDS, random.integers(1, 9)).tolist()
        sentences.append([words[number] for number in numbers])
        kept = random.random(len(numbers)) < 0.8
        kept[0] = True
        labels.append([n % NUM_TAGS if keep else NO_LABEL for n, keep in zip(numbers, kept, strict=True)])
    encoded = encode_sentences(sentences, Vocabulary(words), labels=labels)
    return Batches(encoded, batch_size=batch_size, seed=seed)


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def same_weights(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def without_seconds(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


class SpyOptimizer(torch.optim.SGD):
    """SGD that notes what it is given at each step."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.norms: list[float] = []
        self.learning_rates: list[list[float]] = []

    def step(self, closure: Any = None) -> Any:
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        self.norms.append(float(torch.cat([gradient.flatten() for gradient in gradients]).norm()))
        self.learning_rates.append([group["lr"] for group in self.param_groups])
        return super().step(closure)


# The numbers


@pytest.mark.parametrize("clip", [None, 0.3])
def test_equals_a_plain_loop_bit_for_bit(clip: float | None) -> None:
    ours, plain = TinyTagger(), TinyTagger()
    train(ours, tagging_step, make_batches(), torch.optim.AdamW(ours.parameters(), 0.1), epochs=3, seed=0,
          schedule=linear, max_gradient_norm=clip)  # fmt: skip
    batches, optimizer = make_batches(), torch.optim.AdamW(plain.parameters(), 0.1)
    number, total = 0, 3 * len(batches)
    for epoch in range(3):
        batches.set_epoch(epoch)
        for batch in batches:
            optimizer.param_groups[0]["lr"] = 0.1 * (1 - number / total)
            optimizer.zero_grad()
            tagging_step(plain, batch, 0.0)["loss"].backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(plain.parameters(), clip)
            optimizer.step()
            number += 1
    assert same_weights(weights_of(ours), weights_of(plain))
    assert not ours.training, "ready for use"


def test_history_holds_the_mean_of_each_loss_and_the_score() -> None:
    seen: list[list[float]] = []

    def step(model: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        loss = tagging_step(model, batch, progress)["loss"]
        seen.append([float(loss.detach()), float(len(batch.input_ids))])
        return {"loss": loss, "items": torch.tensor(float(len(batch.input_ids)))}

    model, batches, rows = TinyTagger(), make_batches(), []
    scores = iter([0.25, 0.5])
    history = train(model, step, batches, torch.optim.SGD(model.parameters(), 0.1), epochs=2, seed=0,
                    evaluate=lambda: next(scores), on_epoch=rows.append)  # fmt: skip
    assert [row["epoch"] for row in history] == [1, 2]
    assert [row["score"] for row in history] == [0.25, 0.5]
    for row, means in zip(history, np.array(seen).reshape(2, len(batches), 2).mean(axis=1), strict=True):
        assert row["loss"] == pytest.approx(means[0], rel=1e-6)
        assert row["items"] == pytest.approx(means[1])
        assert row["learning_rate"] == 0.1 and row["seconds"] > 0
    assert rows == history
    assert list(history[0]) == ["epoch", "loss", "items", "score", "learning_rate", "seconds"]
    assert json.loads(json.dumps(history)) == history, "a row is written to history.jsonl as it is"


def test_the_optimizer_sees_clipped_gradients() -> None:
    norms = []
    for clip in (None, 0.05):
        model = TinyTagger()
        optimizer = SpyOptimizer(model.parameters(), lr=0.0)  # stands still, so that both see the same gradients
        train(model, tagging_step, make_batches(), optimizer, epochs=1, seed=0, max_gradient_norm=clip)
        norms.append(np.array(optimizer.norms))
    assert (norms[0] > 0.05).all()
    np.testing.assert_allclose(norms[1], 0.05, rtol=1e-4)
    model = TinyTagger()
    optimizer = SpyOptimizer(model.parameters(), lr=0.0)
    train(model, tagging_step, make_batches(), optimizer, epochs=1, seed=0, max_gradient_norm=1e3)
    np.testing.assert_allclose(optimizer.norms, norms[0], rtol=1e-6)  # gradients below the norm are left alone


def test_each_step_has_its_progress_and_each_group_its_scheduled_rate() -> None:
    model, batches, progresses = TinyTagger(), make_batches(), []
    optimizer = SpyOptimizer(
        [{"params": model.embedding.parameters(), "lr": 0.5}, {"params": model.head.parameters()}], lr=0.01
    )

    def step(model: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        progresses.append(progress)
        return tagging_step(model, batch, progress)

    history = train(model, step, batches, optimizer, epochs=2, seed=0, schedule=lambda p: 1 + 7 * p)
    total = 2 * len(batches)
    assert progresses == pytest.approx([number / total for number in range(total)])
    expected = [[factor * 0.5, factor * 0.01] for factor in (1 + 7 * number / total for number in range(total))]
    np.testing.assert_allclose(optimizer.learning_rates, expected)
    assert [row["learning_rate"] for row in history] == pytest.approx([expected[len(batches) - 1][0], expected[-1][0]])
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.01]


def test_every_epoch_goes_through_its_own_order() -> None:
    batches, seen = make_batches(), []

    def step(model: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        seen.append(batch.input_ids.tolist())
        return tagging_step(model, batch, progress)

    model = TinyTagger()
    train(model, step, batches, torch.optim.SGD(model.parameters(), 0.1), epochs=3, seed=0)
    expected = []
    for epoch in range(3):
        batches.set_epoch(epoch)
        expected += [batch.input_ids.tolist() for batch in batches]
    assert seen == expected


def test_parameters_that_the_optimizer_lacks_stay_as_they_were() -> None:
    model = TinyTagger()
    before = weights_of(model)
    train(model, tagging_step, make_batches(), torch.optim.SGD(model.head.parameters(), 0.1), epochs=1, seed=0,
          max_gradient_norm=1.0)  # fmt: skip
    assert torch.equal(model.embedding.weight, before["embedding.weight"])
    assert not torch.equal(model.head.weight, before["head.weight"])


# Evaluation and early stopping


def run_with_scores(
    scores: list[float], *, patience: int | None, epochs: int = 10, **settings: Any
) -> tuple[list[dict[str, Any]], list[dict[str, torch.Tensor]], TinyTagger]:
    model, snapshots = TinyTagger(dropout=0.3), []

    def evaluate() -> float:
        assert not model.training, "evaluation is without dropout"
        snapshots.append(weights_of(model))
        return scores[len(snapshots) - 1]

    def step(model: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        assert model.training, "training is with dropout, also after an evaluation"
        return tagging_step(model, batch, progress)

    history = train(model, step, make_batches(), torch.optim.Adam(model.parameters(), 0.1), epochs=epochs, seed=0,
                    evaluate=evaluate, patience=patience, **settings)  # fmt: skip
    return history, snapshots, model


@pytest.mark.parametrize(
    ("scores", "patience", "epochs_run", "best"),
    [
        ([0.1, 0.5, 0.4, 0.3, 0.9], 2, 4, 2),
        ([0.1, 0.5, 0.4, 0.6, 0.5, 0.5, 0.9], 2, 6, 4),
        ([0.5, 0.4, 0.6], 1, 2, 1),
        ([0.5, 0.5, 0.5, 0.9], 2, 3, 1),  # as good is not better
        ([-3.0, -2.0, -2.5, -4.0], 2, 4, 2),  # scores such as a negative loss
        ([0.1, 0.5, 0.4, 0.3, 0.2, 0.1], None, 6, 2),
        ([0.1, 0.2, 0.3], 2, 3, 3),
    ],
)
def test_training_stops_after_patience_and_the_best_weights_come_back(
    scores: list[float], patience: int | None, epochs_run: int, best: int
) -> None:
    history, snapshots, model = run_with_scores(scores, patience=patience, epochs=len(scores))
    assert len(history) == len(snapshots) == epochs_run
    assert same_weights(weights_of(model), snapshots[best - 1])
    assert best == epochs_run or not same_weights(weights_of(model), snapshots[-1])
    assert not model.training


def test_patience_without_evaluation_is_refused_before_training() -> None:
    model, steps = TinyTagger(), []

    def step(model: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        steps.append(1)
        return tagging_step(model, batch, progress)

    with pytest.raises(ValueError, match="patience"):
        train(model, step, make_batches(), torch.optim.SGD(model.parameters(), 0.1), epochs=4, seed=0, patience=1)
    assert not steps


# Checkpoints


class Killed(KeyboardInterrupt):
    """Stands for the signal that ends a run."""


def run_resumable(
    folder: Path, *, kill_epoch: int | None = None, kill_batch: int | None = None, resume: bool = False, **settings: Any
) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor], list[dict[str, Any]]]:
    """Six epochs with dropout, schedule, clipping and a best epoch in the middle; killed where asked."""
    torch.manual_seed(len(list(folder.iterdir())))  # what the process's generators hold must not matter
    model, rows, steps = TinyTagger(dropout=0.5), [], []
    scores = [0.1, 0.3, 0.6, 0.5, 0.4, 0.2]
    batches = make_batches()

    def step(model: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        steps.append(1)
        if kill_batch is not None and len(steps) == kill_batch:
            raise Killed
        return tagging_step(model, batch, progress)

    def on_epoch(row: dict[str, Any]) -> None:
        rows.append(dict(row))
        if row["epoch"] == kill_epoch:
            raise Killed

    history = train(model, step, batches, torch.optim.AdamW(model.parameters(), 0.05), epochs=6, seed=1,
                    evaluate=lambda: scores[len(rows)], schedule=linear, max_gradient_norm=1.0,
                    checkpoint=folder / "state.pt", resume=resume, on_epoch=on_epoch, **settings)  # fmt: skip
    return history, weights_of(model), rows


@pytest.mark.parametrize("kill", [{"kill_epoch": 1}, {"kill_epoch": 4}, {"kill_batch": 11}, {"kill_batch": 1}])
@pytest.mark.parametrize("patience", [None, 2])
def test_a_killed_run_resumes_on_the_same_curve_bit_for_bit(
    tmp_path: Path, kill: dict[str, int], patience: int | None
) -> None:
    folders = [tmp_path / name for name in ("undisturbed", "killed")]
    for folder in folders:
        folder.mkdir()
    history, weights, _ = run_resumable(folders[0], patience=patience)
    with pytest.raises(Killed):
        run_resumable(folders[1], patience=patience, **kill)
    resumed_history, resumed_weights, rows = run_resumable(folders[1], patience=patience, resume=True)
    assert without_seconds(resumed_history) == without_seconds(history)
    assert same_weights(resumed_weights, weights)
    assert rows == resumed_history, "rows that were read back are told too"
    assert len(history) == (6 if patience is None else 5)


@pytest.mark.parametrize("patience", [None, 2])
def test_a_finished_run_resumes_to_its_end_without_another_step(tmp_path: Path, patience: int | None) -> None:
    history, weights, _ = run_resumable(tmp_path, patience=patience)
    again, again_weights, rows = run_resumable(tmp_path, patience=patience, resume=True, kill_batch=1)
    assert again == history == rows
    assert same_weights(again_weights, weights)


def test_without_resume_a_checkpoint_is_started_over(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run_resumable(tmp_path, kill_epoch=3)
    _, _, rows = run_resumable(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert names_in(tmp_path) == ["state.pt"]


def test_resume_without_a_checkpoint_starts_at_the_beginning(tmp_path: Path) -> None:
    history, _, _ = run_resumable(tmp_path, resume=True)
    assert len(history) == 6


def test_a_score_may_be_any_kind_of_number(tmp_path: Path) -> None:
    """Scores usually come out of numpy, and a checkpoint that is read without executing anything holds none of that."""
    for score in (np.float64(0.5), np.float32(0.5), torch.tensor(0.5), 1):
        model = TinyTagger()
        settings: dict[str, Any] = {"epochs": 1, "seed": 0, "evaluate": lambda score=score: score,
                                    "checkpoint": tmp_path / "state.pt"}  # fmt: skip
        history = train(model, tagging_step, make_batches(), torch.optim.SGD(model.parameters(), 0.1), **settings)
        again = train(model, tagging_step, make_batches(), torch.optim.SGD(model.parameters(), 0.1), **settings,
                      resume=True)  # fmt: skip
        assert again == history
        assert json.loads(json.dumps(history))[0]["score"] == float(score)


@pytest.mark.parametrize("keep", [0, 10, 0.5, -1])
def test_a_checkpoint_that_is_cut_short_is_an_error_that_names_it(tmp_path: Path, keep: float) -> None:
    run_resumable(tmp_path)
    whole = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(InputError, match=r"state\.pt"):
        run_resumable(tmp_path, resume=True)


@pytest.mark.parametrize("other", ["another shape", "another kind of file"])
def test_a_checkpoint_of_something_else_is_an_error_that_names_it(tmp_path: Path, other: str) -> None:
    path = tmp_path / "state.pt"
    if other == "another shape":
        narrow = nn.Linear(2, 2)
        batches = make_batches()
        train(narrow, lambda model, batch, progress: {"loss": model(torch.ones(1, 2)).sum()}, batches,
              torch.optim.SGD(narrow.parameters(), 0.1), epochs=1, seed=0, checkpoint=path)  # fmt: skip
    else:
        torch.save(TinyTagger().state_dict(), path)
    model = TinyTagger()
    with pytest.raises(InputError, match=r"state\.pt"):
        train(model, tagging_step, make_batches(), torch.optim.SGD(model.parameters(), 0.1), epochs=2, seed=0,
              checkpoint=path, resume=True)  # fmt: skip


def test_an_interrupted_run_leaves_the_optimizers_rates_as_they_were() -> None:
    """In a notebook the next call of `train` would take the last factor for the rate."""
    model = TinyTagger()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def interrupt(row: dict[str, Any]) -> None:
        raise Killed

    with pytest.raises(Killed):
        train(model, tagging_step, make_batches(), optimizer, epochs=2, seed=0, schedule=linear, on_epoch=interrupt)
    assert optimizer.param_groups[0]["lr"] == 0.1


# Randomness and broken losses


def run_seeded(seed: int, evaluate: Callable[[], float] | None = None) -> dict[str, torch.Tensor]:
    model = TinyTagger(dropout=0.5)
    train(model, tagging_step, make_batches(), torch.optim.SGD(model.parameters(), 0.1), epochs=2, seed=seed,
          evaluate=evaluate)  # fmt: skip
    return weights_of(model)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first = run_seeded(3)
    torch.rand(7)
    assert same_weights(run_seeded(3), first)
    assert not same_weights(run_seeded(4), first)
    scores = iter([1.0, 2.0])
    assert same_weights(run_seeded(3, lambda: next(scores) + 0 * float(torch.rand(()))), first), (
        "what evaluation draws must not reach training"
    )


def test_each_epoch_draws_other_dropout() -> None:
    draws = []

    def step(model: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        draws.append(float(torch.rand(())))
        return tagging_step(model, batch, progress)

    model, batches = TinyTagger(), make_batches()
    for seed in (0, 1):
        train(model, step, batches, torch.optim.SGD(model.parameters(), 0.1), epochs=3, seed=seed)
    assert len(set(draws)) == len(draws) == 6 * len(batches)


def test_torchs_global_generator_is_left_as_it_was() -> None:
    model = TinyTagger(dropout=0.5)
    before = torch.random.get_rng_state()
    train(model, tagging_step, make_batches(), torch.optim.SGD(model.parameters(), 0.1), epochs=2, seed=0)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_training_and_keeps_the_last_good_checkpoint(tmp_path: Path, bad: float) -> None:
    steps = []

    def step(model: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        steps.append(1)
        loss = tagging_step(model, batch, progress)["loss"]
        return {"loss": loss * bad if len(steps) == 6 else loss}  # in the second of four batches of epoch 2

    model = TinyTagger()
    settings: dict[str, Any] = {"epochs": 3, "seed": 0, "checkpoint": tmp_path / "state.pt"}
    with pytest.raises(FloatingPointError, match="mine: the loss of epoch 2 is"):
        train(model, step, make_batches(), torch.optim.SGD(model.parameters(), 0.1), description="mine", **settings)
    healthy = TinyTagger()
    history = train(healthy, tagging_step, make_batches(), torch.optim.SGD(healthy.parameters(), 0.1), **settings,
                    resume=True)  # fmt: skip
    assert len(history) == 3 and all(np.isfinite(row["loss"]) for row in history)


def test_a_second_run_with_a_model_goes_on_from_where_it_is() -> None:
    model = TinyTagger()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    first = train(model, tagging_step, make_batches(), optimizer, epochs=2, seed=0)
    second = train(model, tagging_step, make_batches(), optimizer, epochs=2, seed=0)
    assert second[0]["loss"] < first[0]["loss"]


# Several processes

SCENARIOS = ["even", "stopped", "frozen", "unreached", "unlabelled", "tasks"]


def run_scenario(name: str, folder: Path) -> tuple[TinyTagger, list[dict[str, Any]]]:
    """One training run; the same call in one process and in each of several."""
    model = TinyTagger()
    batches: Any = make_batches()
    settings: dict[str, Any] = {}
    step: Any = tagging_step
    if name == "stopped":
        scores = iter([0.2, 0.4, 0.3, 0.1, 0.9])
        settings = {"evaluate": lambda: next(scores), "patience": 2, "checkpoint": folder / "state.pt"}
    elif name == "frozen":
        model.embedding.weight.requires_grad_(False)  # and yet in the optimizer, whose weight decay must not touch it
    elif name == "unreached":
        step = headless_step
    elif name == "unlabelled":
        step = careful_step
        labels = batches.sentences.labels
        assert labels is not None
        starts = batches.sentences.starts
        for sentence in range(0, len(batches.sentences), 2):
            labels[starts[sentence] : starts[sentence + 1]] = NO_LABEL
    elif name == "tasks":
        step, batches = task_step, TwoTasks()
    history = train(model, step, batches, torch.optim.AdamW(model.parameters(), 0.05, weight_decay=0.5), epochs=5,
                    seed=0, schedule=linear, max_gradient_norm=0.5, **settings)  # fmt: skip
    return model, history


def headless_step(model: Any, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
    """A loss that never reaches the head, whose weights therefore don't decay."""
    assert batch.labels is not None
    return {"loss": functional.cross_entropy(model.embedding(batch.input_ids).flatten(0, 1), batch.labels.flatten())}


def careful_step(model: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
    """The mean over labelled tokens, 0 where there are none."""
    assert batch.labels is not None
    total = functional.cross_entropy(model(batch).flatten(0, 1), batch.labels.flatten(), reduction="sum")
    return {"loss": total / max(batch.num_labels(), 1)}


class TwoTasks:
    """Each step shows the tokens of a batch to one task, and those of the first tag alone to another."""

    def __init__(self) -> None:
        self.batches = make_batches()
        self.set_epoch = self.batches.set_epoch

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[TaskBatch]:
        for batch in self.batches:
            assert batch.labels is not None
            few = torch.where(batch.labels == 0, 1, NO_LABEL)
            yield TaskBatch({"all": batch, "few": replace(batch, labels=few)})


def task_step(model: nn.Module, batch: TaskBatch, progress: float) -> dict[str, torch.Tensor]:
    losses = batch.scaled({task: careful_step(model, own, progress)["loss"] for task, own in batch.batches.items()})
    return {"loss": losses["all"] + 3 * losses["few"], **losses}


def main_of_a_process(folder: Path) -> None:
    from accelerate import Accelerator

    rank = Accelerator().process_index
    for name in SCENARIOS:
        model, history = run_scenario(name, folder)
        torch.save(
            {"weights": model.state_dict(), "history": history, "processes": Accelerator().num_processes},
            folder / f"{name}.{rank}.pt",
        )
    draws: list[float] = []

    def dropout_step(model: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        draws.append(float(torch.rand(())))
        return tagging_step(model, batch, progress)

    model = TinyTagger(dropout=0.5)
    train(model, dropout_step, make_batches(), torch.optim.SGD(model.parameters(), 0.1), epochs=2, seed=0)
    torch.save({"weights": model.state_dict(), "draws": draws}, folder / f"dropout.{rank}.pt")
    # Together: a process that loses its partner at its own end is aborted.
    Accelerator().wait_for_everyone()
    Accelerator().end_training()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All scenarios, run once by two processes. `accelerate launch --cpu` alone starts one: it needs a launcher."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2",
               "--module", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", port,
               __file__, str(folder)]  # fmt: skip
    # The tested package, also where it is not installed but stands in the working folder.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(nlptransfer.__file__).parents[1])}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_two_processes_train_the_same_model_as_one(two_processes: Path, tmp_path: Path, name: str) -> None:
    results = [torch.load(two_processes / f"{name}.{rank}.pt", weights_only=True) for rank in range(2)]
    assert [result["processes"] for result in results] == [2, 2]
    assert same_weights(results[0]["weights"], results[1]["weights"]), "the processes hold different models"
    model, history = run_scenario(name, tmp_path)
    alone = weights_of(model)
    for parameter, weights in results[0]["weights"].items():
        torch.testing.assert_close(weights, alone[parameter], atol=1e-5, rtol=0, msg=lambda m, p=parameter: f"{p}: {m}")
    assert not same_weights(alone, weights_of(TinyTagger())), "control: training did something"
    assert len(results[0]["history"]) == len(history)
    assert without_seconds(results[0]["history"]) == without_seconds(results[1]["history"])
    if name == "stopped":
        assert len(history) == 4


@pytest.mark.slow
def test_each_process_drops_out_by_itself_and_all_hold_one_model(two_processes: Path) -> None:
    results = [torch.load(two_processes / f"dropout.{rank}.pt", weights_only=True) for rank in range(2)]
    assert not set(results[0]["draws"]) & set(results[1]["draws"])
    assert same_weights(results[0]["weights"], results[1]["weights"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["even", "frozen", "tasks"])
def test_two_processes_report_the_same_loss_as_one(two_processes: Path, tmp_path: Path, name: str) -> None:
    together = torch.load(two_processes / f"{name}.0.pt", weights_only=True)["history"]
    _, alone = run_scenario(name, tmp_path)
    names = [key for key in alone[0] if key in ("loss", "all", "few")]
    assert len(names) == (3 if name == "tasks" else 1)
    losses = [[[row[key] for key in names] for row in history] for history in (together, alone)]
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-5)


if __name__ == "__main__":
    main_of_a_process(Path(sys.argv[1]))


def test_before_each_epoch_the_caller_may_freeze_and_thaw_also_when_a_run_goes_on(tmp_path: Path) -> None:
    def run(stop_after: int | None, file: str, model: TinyTagger) -> list[int]:
        called: list[int] = []

        def before(epoch: int) -> None:
            called.append(epoch)
            model.embedding.weight.requires_grad_(epoch >= 1)

        def after(row: Mapping[str, Any]) -> None:
            if row["epoch"] == stop_after:
                raise KeyboardInterrupt

        optimizer = torch.optim.AdamW(model.parameters(), 0.1)
        train(
            model, tagging_step, make_batches(), optimizer, epochs=3, seed=0, before_epoch=before, on_epoch=after,
            checkpoint=tmp_path / file, resume=True,
        )  # fmt: skip
        return called

    whole, broken = TinyTagger(), TinyTagger()
    assert run(None, "whole.pt", whole) == [0, 1, 2]
    with pytest.raises(KeyboardInterrupt):
        run(1, "broken.pt", broken)
    assert torch.equal(broken.embedding.weight, TinyTagger().embedding.weight)  # frozen in the first epoch
    resumed = TinyTagger()
    assert run(None, "broken.pt", resumed) == [1, 2]
    assert same_weights(weights_of(resumed), weights_of(whole))
