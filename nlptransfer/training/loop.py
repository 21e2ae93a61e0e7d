"""The only training loop: steps, schedule, clipping, evaluation, early stopping, checkpoints, several processes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import reduce
from torch import nn
from tqdm import tqdm

from nlptransfer.errors import InputError
from nlptransfer.training.checkpoint import read_checkpoint, write_checkpoint
from nlptransfer.types import Batch, DomainBatch, TaskBatch

Step = Callable[[Any, Any, float], Mapping[str, torch.Tensor]]
"""(model, batch, progress in 0..1) -> named scalar losses, among them "loss", which is minimised.

The batch is a `Batch`, `DomainBatch` or `TaskBatch`; of the last, a step scales each task's loss by `TaskBatch.scaled`.
"""


class EpochBatches(Protocol):
    """What `train` goes through: a sized iterable of batches whose order depends on the epoch alone."""

    def set_epoch(self, epoch: int) -> None:
        """Order the batches for `epoch`."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch | DomainBatch | TaskBatch]: ...


def train(
    model: nn.Module,
    step: Step,
    batches: EpochBatches,
    optimizer: torch.optim.Optimizer,
    *,
    epochs: int,
    seed: int,
    evaluate: Callable[[], float] | None = None,
    schedule: Callable[[float], float] | None = None,
    max_gradient_norm: float | None = None,
    patience: int | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    accelerator: Accelerator | None = None,
    before_epoch: Callable[[int], None] | None = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    description: str = "training",
) -> list[dict[str, Any]]:
    """Train `model` in place and leave it with the weights of its best epoch.

    Under ``accelerate launch`` each process takes its part of every batch; the gradients are those of the whole
    batch's mean loss over labelled positions, so that any number of processes trains the same model.

    Args:
        model: any module that `step` understands. It is moved to the accelerator's device.
        step: where the idea lives; see `Step`.
        batches: the epoch's batches.
        optimizer: over the parameters to train.
        epochs: passes over `batches`, at most.
        seed: of dropout and whatever else is random in a step: each epoch starts from (seed, epoch, process) anew.
            torch's global generators are left as they were found.
        evaluate: called after each epoch; higher is better. None keeps the last epoch's weights.
        schedule: progress in 0..1 -> factor on each group's learning rate.
        max_gradient_norm: gradients are scaled down to this norm.
        patience: stop after so many epochs without a better score.
        checkpoint: file that holds the state after each epoch; None writes none.
        resume: continue from `checkpoint` where there is one.
        accelerator: device, precision and processes; ``Accelerator()`` by default.
        before_epoch: called with the number of each epoch, from 0, before it begins: to freeze and thaw parameters.
        on_epoch: called with each epoch's history row, also with those that were read back from a checkpoint.
        description: of the progress bar.

    Returns:
        The history, one row per epoch: "epoch" from 1, the mean of each named loss, "score", "learning_rate" of the
        last step (of the first group), "seconds".

    Under several processes every one must hand in the same weights: seed their making alike.

    Raises:
        ValueError: `patience` without `evaluate`.
        FloatingPointError: the loss is not finite.
        InputError: the checkpoint can't be read, or is of another model.

    Example:
        >>> history = train(tagger, lambda model, batch, progress: {"loss": model.loss(model(batch), batch)},
        ...                 batches, torch.optim.AdamW(tagger.parameters(), 1e-3), epochs=10, seed=0,
        ...                 evaluate=lambda: accuracy(tagger, dev))
    """
    if patience is not None and evaluate is None:
        raise ValueError("patience counts epochs without a better score, so it needs evaluate")
    accelerator = accelerator or Accelerator()
    model.to(accelerator.device)
    learning_rates = [group["lr"] for group in optimizer.param_groups]
    history: list[dict[str, Any]] = []
    best_score, best_weights = float("-inf"), None
    if checkpoint is not None and resume and Path(checkpoint).exists():
        state = read_checkpoint(checkpoint, device=accelerator.device)
        try:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            if accelerator.scaler is not None:
                accelerator.scaler.load_state_dict(state["scaler"])
            history, best_score, best_weights = state["history"], state["best_score"], state["best_weights"]
        except (KeyError, TypeError, RuntimeError, ValueError) as error:
            raise InputError(
                "the checkpoint is of another model",
                where=checkpoint,
                remedy="Resume with the settings it was made with, or delete this file to train from the beginning.",
            ) from error
        for past in history:
            if on_epoch is not None:
                on_epoch(past)
    bar = tqdm(
        total=epochs * len(batches),
        initial=len(history) * len(batches),
        desc=description,
        unit="batch",
        leave=False,
        # Drawn for people only: not into a log, and by one process of several.
        disable=None if accelerator.is_main_process else True,
    )
    try:
        for epoch in range(len(history), epochs):
            if _has_stopped(history, patience):
                break
            started = time.perf_counter()
            batches.set_epoch(epoch)
            model.train()
            if before_epoch is not None:
                before_epoch(epoch)
            sums: dict[str, torch.Tensor] = {}
            with _own_randomness(accelerator, seed, epoch):
                for number, batch in enumerate(batches):
                    progress = (epoch + number / len(batches)) / epochs
                    if schedule is not None:
                        for group, learning_rate in zip(optimizer.param_groups, learning_rates, strict=True):
                            group["lr"] = learning_rate * schedule(progress)
                    losses = _update(model, step, batch, progress, optimizer, accelerator, max_gradient_norm)
                    for name, loss in losses.items():
                        sums[name] = sums[name] + loss if name in sums else loss
                    bar.update()
            row: dict[str, Any] = {"epoch": epoch + 1}
            row |= {name: float(reduce(total, "sum")) / len(batches) for name, total in sums.items()}
            if not math.isfinite(row["loss"]):
                raise FloatingPointError(
                    f"{description}: the loss of epoch {epoch + 1} is {row['loss']}. A smaller learning rate, clipped "
                    "gradients or single precision usually mend this."
                )
            if evaluate is not None:
                model.eval()
                row["score"] = float(evaluate())  # a numpy number would make the checkpoint unreadable
            row["learning_rate"] = optimizer.param_groups[0]["lr"]
            row["seconds"] = time.perf_counter() - started
            history.append(row)
            if evaluate is not None and row["score"] > best_score:
                best_score = row["score"]
                best_weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            if checkpoint is not None and accelerator.is_main_process:
                write_checkpoint(
                    checkpoint,
                    {
                        "model": model.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "scaler": None if accelerator.scaler is None else accelerator.scaler.state_dict(),
                        "history": history,
                        "best_score": best_score,
                        "best_weights": best_weights,
                    },
                )
            if on_epoch is not None:
                on_epoch(row)
    finally:
        bar.close()
        # A schedule must not leave its last factor behind for whoever uses the optimizer next.
        for group, learning_rate in zip(optimizer.param_groups, learning_rates, strict=True):
            group["lr"] = learning_rate
    if best_weights is not None:
        model.load_state_dict(best_weights)
    model.eval()
    return history


def _update(
    model: nn.Module,
    step: Step,
    whole_batch: Batch | DomainBatch | TaskBatch,
    progress: float,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    max_gradient_norm: float | None,
) -> dict[str, torch.Tensor]:
    """One step of the optimizer; gives this process's share of each named loss, their sum being the whole batch's."""
    part = whole_batch.part(accelerator.process_index, accelerator.num_processes)
    share = _share(part, whole_batch, accelerator.num_processes)
    with accelerator.autocast():
        losses = step(model, part.to(accelerator.device), progress)
    optimizer.zero_grad()
    if share > 0:  # a mean over no labels may be no number
        accelerator.backward(losses["loss"] * share)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    _sum_gradients(accelerator, parameters)
    scaler = accelerator.scaler  # of fp16, else None
    if max_gradient_norm is not None:
        if scaler is not None:
            scaler.unscale_(optimizer)  # the norm is that of the true gradients
        nn.utils.clip_grad_norm_(parameters, max_gradient_norm)
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer)  # passes over a step whose gradients overflowed
        scaler.update()
    return {
        name: loss.detach() * share if share > 0 else torch.zeros_like(loss.detach()) for name, loss in losses.items()
    }


def _has_stopped(history: list[dict[str, Any]], patience: int | None) -> bool:
    """Whether the last `patience` epochs brought no better score than those before."""
    if patience is None or len(history) <= patience:
        return False
    scores = [row["score"] for row in history]
    return max(scores[-patience:]) <= max(scores[:-patience])


@contextmanager
def _own_randomness(accelerator: Accelerator, seed: int, epoch: int) -> Iterator[None]:
    """Within it torch's generators follow from (seed, epoch, process); after it they are as before."""
    devices = [accelerator.device.index or 0] if accelerator.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        # Distinct for all that can occur: fewer than 10,000 epochs, fewer than 1,000 processes.
        torch.manual_seed((seed * 10_000 + epoch) * 1_000 + accelerator.process_index)
        yield


def _share(part: Batch | DomainBatch | TaskBatch, whole: Batch | DomainBatch | TaskBatch, num_processes: int) -> float:
    """The factor that makes the sum of the processes' mean losses the mean loss of the whole batch."""
    if part is whole:
        return 1.0 / num_processes
    if isinstance(part, TaskBatch) or isinstance(whole, TaskBatch):
        # Each task has its own share of labels in this part; the step has scaled its loss by it.
        return 1.0 / num_processes if part.num_labels() else 0.0
    if whole.num_labels():
        return part.num_labels() / whole.num_labels()
    return len(part.input_ids) / len(whole.input_ids)


def _sum_gradients(accelerator: Accelerator, parameters: list[nn.Parameter]) -> None:
    """Add up the gradients of all processes, in one message."""
    if accelerator.num_processes == 1:
        return
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    reached = torch.tensor([float(parameter.grad is not None) for parameter in trained], device=accelerator.device)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    flat = torch.cat([reached, *(gradient.reshape(-1) for gradient in gradients)])
    torch.distributed.all_reduce(flat)
    at = len(trained)
    for parameter, gradient, count in zip(trained, gradients, flat[:at].tolist(), strict=True):
        # What no process reached stays without a gradient: a zero would let weight decay and momentum move it.
        if count:
            parameter.grad = gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
        at += gradient.numel()
